//! Sessions with modules loaded, as a real shell with real Lmod leaves them.

use std::collections::BTreeMap;
use std::process::Command;

use crate::common::{TestEnv, lookalike};

/// The variables of a session.
pub(crate) type Session = BTreeMap<String, String>;

/// A session in the look-alike of EESSI after `commands`; `None` where it is not there.
pub(crate) fn eessi(env: &TestEnv, commands: &str) -> Option<Session> {
    let prefix = lookalike()?;
    Some(shell(
        env,
        &format!("source {}/init/bash >/dev/null 2>&1 && {commands}", prefix.display()),
    ))
}

/// The same by the route of EESSI's own module.
pub(crate) fn shell(env: &TestEnv, commands: &str) -> Session {
    let mut bash = env.command("/bin/bash");
    bash.args(["-c", &format!("{{ {commands}; }} >&2 && exec env -0")]);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split('\0')
        .filter_map(|entry| entry.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The program under test in this session, its words split at blanks.
pub(crate) fn module_export(env: &TestEnv, session: &Session, words: &str) -> Command {
    let mut command = env.module_export();
    command.args(words.split_whitespace());
    command
        .envs(session)
        .env("HOME", env.root().join("home"))
        .env("TMPDIR", env.root().join("tmp"));
    command
}
