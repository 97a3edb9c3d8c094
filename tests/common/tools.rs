//! Programs of others, and what the test set-up has built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The user that the test set-up makes.
const ORDINARY_USER: &str = "module-export-tester";

/// Where a program is; `None` (said on stderr) if it is not there and need not be.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let found =
        search_path().into_iter().map(|directory| directory.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// `PATH`, where system administration tools are, and where the test set-up puts Apptainer
/// and SPDX's validator.
fn search_path() -> Vec<PathBuf> {
    let cache =
        env::var_os("MODULE_EXPORT_TEST_CACHE").unwrap_or("/var/cache/module-export-tests".into());
    let own = ["apptainer/usr/bin", "spdx-tools/bin"].map(|below| Path::new(&cache).join(below));
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).chain(own).collect()
}

/// Says why a test cannot run here; where everything must run, that is a failure.
pub(crate) fn skip(why: &str) {
    assert!(env::var_os("REQUIRE_TOOLS").is_none_or(|value| value != "1"), "cannot skip: {why}");
    eprintln!("SKIPPED: {why}");
}

/// The small look-alike of EESSI (`…/versions/2023.06`), built by `tests/standin/build`.
pub(crate) fn lookalike() -> Option<PathBuf> {
    let prefix = Path::new("/cvmfs/module-export.test/versions/2023.06");
    if prefix.join("init/bash").is_file() {
        return Some(prefix.to_owned());
    }
    skip("the look-alike of EESSI is not there (tests/standin/build makes it, as root)");
    None
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The same command as a user without rights: itself if that is who runs the tests.
pub(crate) fn as_ordinary_user(command: &Command) -> Option<Command> {
    let mut wrapped = Command::new("setpriv");
    if is_root() {
        let known = Command::new("id")
            .arg(ORDINARY_USER)
            .output()
            .is_ok_and(|output| output.status.success());
        if !known {
            skip(&format!("there is no user {ORDINARY_USER} (tests/setup/packages.sh makes it)"));
            return None;
        }
        let user = ORDINARY_USER;
        wrapped.args(["--reuid", user, "--regid", user, "--init-groups", "--inh-caps=-all", "--"]);
        wrapped.arg(command.get_program()).args(command.get_args());
    } else {
        wrapped = Command::new(command.get_program());
        wrapped.args(command.get_args());
    }
    wrapped.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            wrapped.env(name, value);
        }
    }
    if let Some(directory) = command.get_current_dir() {
        wrapped.current_dir(directory);
    }
    Some(wrapped)
}
