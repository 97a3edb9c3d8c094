//! `module-export run`: no container runtime at all.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{Exported, minisim};
use crate::cli::session::module_export;
use crate::common::{Ran, TestEnv, as_ordinary_user, is_root, tool};

fn run(words: &[&str], ordinary: bool) -> Option<Ran> {
    let exported = minisim()?;
    let mut command = exported.env.module_export();
    command.arg("run").arg(&exported.image).arg("--").args(words).env("EBROOTLEAK", "/leak");
    if ordinary {
        command = as_ordinary_user(&command)?;
    }
    Some(exported.env.run(&mut command))
}

#[test]
fn a_command_runs_as_root_and_as_an_ordinary_user() {
    let Some(_shared) = minisim() else { return };
    for ordinary in [false, true] {
        let Some(ran) = run(&["minisim"], ordinary) else { return };
        assert!(ran.success().contains("J0(1)=0.765198"), "ordinary: {ordinary}");
        let ran = run(&["bash", "-c", "echo $EBROOTLEAK; pwd; module --terse list 2>&1 | grep -c MiniSim; test -c /dev/null -a -r /proc/self/stat -a -d /sys -a -w /tmp && exit 7"], ordinary).unwrap();
        assert_eq!(
            (ran.status, ran.stdout.as_str()),
            (7, "\n$ROOT/work\n1\n"),
            "ordinary: {ordinary}: {ran}"
        );
    }
}

#[test]
fn the_image_cannot_be_changed_and_nothing_is_left_behind() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let ran = run(&["sh", "-c", "echo x > /etc/hosts.new"], is_root()).unwrap();
    assert_ne!(ran.status, 0, "{ran}");
    let left = std::fs::read_dir(exported.env.root().join("tmp")).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with("module-export-run-"))
        .collect();
    assert_eq!(left, [] as [&str; 0]);
}

#[test]
fn what_is_no_image_is_named() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let text = exported.env.write("work/text.sif", "no image");
    let cut = exported.env.root().join("work/cut.sif");
    std::fs::write(&cut, &std::fs::read(&exported.image).unwrap()[..1_000_000]).unwrap();
    for path in [text, cut, exported.env.root().join("gone.sif")] {
        let ran = exported
            .env
            .run(exported.env.module_export().arg("run").arg(&path).args(["--", "true"]));
        assert_eq!(ran.status, 1, "{ran}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(ran.stderr.contains(name) && !ran.stderr.contains("panicked"), "{ran}");
    }
}

/// `module-export run FLAGS IMAGE -- sh -c SCRIPT`, not started yet.
fn command(exported: &Exported, flags: &[&str], script: &str) -> Command {
    let mut command = exported.env.module_export();
    command.arg("run").args(flags).arg(&exported.image).args(["--", "sh", "-c", script]);
    command
}

/// The same as root, if that is who we are, and as an ordinary user.
fn as_both(command: &Command) -> Vec<Command> {
    let same = in_the_world_of(command, Command::new(command.get_program()), command.get_args());
    as_ordinary_user(command).into_iter().chain(is_root().then_some(same)).collect()
}

/// `start` with these words, in the environment and directory of `command`.
fn in_the_world_of<'a>(
    command: &Command,
    mut start: Command,
    words: impl Iterator<Item = &'a OsStr>,
) -> Command {
    start.args(words).env_clear();
    start.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    start.current_dir(command.get_current_dir().unwrap());
    start
}

/// A script of root's in a mount namespace of its own, where `$@` is the command.
fn with_mounts(command: &Command, script: &str) -> Option<Command> {
    if !is_root() {
        crate::common::skip("only root makes mounts");
        return None;
    }
    let mut wrapped = Command::new("unshare");
    wrapped.args(["-m", "sh", "-c", script, "sh"]).arg(command.get_program());
    Some(in_the_world_of(command, wrapped, command.get_args()))
}

/// Scratch directories in `directory`.
fn scratch_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains("module-export-run-")).collect()
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}");
}

#[test]
fn libraries_and_files_of_the_host_do_not_get_in_and_are_not_written_through() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let script = "echo \"${LD_LIBRARY_PATH-}${LD_PRELOAD-}${LD_AUDIT-}\" | grep -c evil; cmp /etc/hosts $HOME/hosts && ! echo x 2>/dev/null >> /etc/hosts; exit 251";
    std::fs::copy("/etc/hosts", exported.env.root().join("home/hosts")).unwrap();
    let mut words = command(exported, &[], script);
    for name in ["LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT"] {
        words.env(name, "/evil");
    }
    for mut run in as_both(&words) {
        let ran = exported.env.run(&mut run);
        // 251 is a status like any other
        assert_eq!((ran.status, ran.stdout.as_str()), (251, "0\n"), "{ran}");
        assert!(!ran.stderr.contains("user namespaces"), "{ran}");
    }
    let hosts = std::fs::read("/etc/hosts").unwrap();
    assert_eq!(hosts, std::fs::read(exported.env.root().join("home/hosts")).unwrap());
}

#[test]
fn ctrl_c_is_the_commands_own_and_sigterm_is_passed_on_each_time() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let ready = exported.env.root().join("tmp/signals-ready");
    let script = format!(
        "trap 'echo INT' INT; trap 'echo TERM' TERM; trap 'echo HUP' HUP; : > {}; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.2; done; exit 3",
        ready.display()
    );
    let mut run = command(exported, &[], &script);
    run.stdout(Stdio::piped()).process_group(0);
    let child = run.spawn().unwrap();
    let pid = Pid::from_child(&child);
    wait_for("the command has not started", || ready.exists());
    let pause = || std::thread::sleep(Duration::from_millis(600));
    // as a terminal does: to all of them
    kill_process_group(pid, Signal::INT).unwrap();
    pause();
    for signal in [Signal::TERM, Signal::HUP, Signal::TERM] {
        kill_process(pid, signal).unwrap();
        pause();
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(3), "INT\nTERM\nHUP\nTERM\n"));
    std::fs::remove_file(ready).unwrap();
}

#[test]
fn the_working_directory_is_the_real_one_whatever_pwd_says() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    // not below /tmp, which is there anyway
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let real = directory.path().join("real/home/work");
    std::fs::create_dir_all(&real).unwrap();
    std::os::unix::fs::symlink(directory.path().join("real"), directory.path().join("link"))
        .unwrap();
    let linked = directory.path().join("link/home/work");
    for (pwd, want) in
        [(Some("/tmp".into()), &real), (None, &real), (Some(linked.clone()), &linked)]
    {
        // both names of the home directory lead to it
        let script = "pwd; test -d \"$HOME/work\" && test -d ../../home/work && cd -P . && pwd";
        let mut words = command(exported, &[], script);
        words.current_dir(&real).env("HOME", directory.path().join("link/home"));
        for run in as_both(&words) {
            let ran = exported.env.run(&mut with_pwd(&run, pwd.as_deref()));
            let said = ran.stdout.lines().next().unwrap_or_default();
            assert_eq!((ran.status, said), (0, &*want.to_string_lossy()), "{pwd:?}: {ran}");
        }
    }
}

/// The command with this `PWD`, which the shells on its way do not mend.
fn with_pwd(command: &Command, pwd: Option<&Path>) -> Command {
    let program = OsStr::new(env!("CARGO_BIN_EXE_module-export"));
    let set = pwd.map_or("-uPWD".into(), |pwd| format!("PWD={}", pwd.display()));
    let words = command.get_args().flat_map(|word| {
        let before = (word == program).then_some([OsStr::new("/usr/bin/env"), OsStr::new(&set)]);
        before.into_iter().flatten().chain([word])
    });
    in_the_world_of(command, Command::new(command.get_program()), words)
}

#[test]
fn a_host_that_forbids_namespaces_is_told_from_a_command_that_fails() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let words = command(exported, &["-q"], "echo ran");
    let Some(ordinary) = as_ordinary_user(&words) else { return };
    let directory = exported.env.root().join("tmp/chroot");
    std::fs::create_dir_all(&directory).unwrap();
    // no process whose root is not its namespace's may make a user namespace
    let script = format!(
        "mount --rbind / {0} && mount --rbind /proc {0}/proc && PATH=$PATH:/usr/sbin && exec chroot {0} \"$@\"",
        directory.display()
    );
    let Some(mut run) = with_mounts(&ordinary, &script) else { return };
    let ran = exported.env.run(&mut run);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran}");
    assert!(ran.stderr.contains("With Apptainer: apptainer exec "), "{ran}");
}

#[test]
fn a_killed_run_takes_its_command_along_and_the_next_clears_its_scratch() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let tmpdir = directory.path().to_str().unwrap();
    let pid_file = directory.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 300", pid_file.display());
    for mut run in as_both(&command(exported, &["--tmpdir", tmpdir], &script)) {
        let mut child = run.spawn().unwrap();
        wait_for("the command has not started", || pid_file.exists());
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let process = Path::new("/proc").join(pid.trim());
        let state = || std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        wait_for("the command goes on", || state().is_empty() || state().contains(") Z"));
        assert_eq!(scratch_in(directory.path()).len(), 1);
        std::fs::remove_file(&pid_file).unwrap();
        // by the same user
        let words =
            run.get_args().map(|word| if word == &*script { OsStr::new("true") } else { word });
        let mut next = in_the_world_of(&run, Command::new(run.get_program()), words);
        exported.env.run(&mut next).success();
        assert_eq!(scratch_in(directory.path()), [] as [PathBuf; 0]);
    }
}

#[test]
fn a_scratch_without_room_is_named_before_anything_is_unpacked() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let directory = tempfile::tempdir().unwrap();
    let tmpdir = directory.path().to_str().unwrap();
    let script = format!("mount -t tmpfs -o size=1m none {tmpdir} && exec \"$@\"");
    let words = command(exported, &["--tmpdir", tmpdir], "true");
    let Some(mut run) = with_mounts(&words, &script) else { return };
    let ran = exported.env.run(&mut run);
    assert_eq!(ran.status, 4, "{ran}");
    assert!(ran.stderr.contains("not enough space on the file system of `"), "{ran}");
    assert!(ran.stderr.contains(" needed, ") && !ran.stderr.contains("unpacking"), "{ran}");
}

/// An image of these entries: directories end in `/`, links are `NAME>TARGET`.
fn squashfs(env: &TestEnv, entries: &[&str]) -> Option<PathBuf> {
    let mksquashfs = tool("mksquashfs")?;
    let tree = env.root().join("tree");
    let shell = "#!/bin/sh\nexec \"$@\"\n";
    env.program("tree/.module-export/enter", shell);
    for entry in entries {
        if let Some((name, target)) = entry.split_once('>') {
            std::os::unix::fs::symlink(target, tree.join(name)).unwrap();
        } else {
            std::fs::create_dir_all(tree.join(entry)).unwrap();
        }
    }
    let image = env.root().join("hostile.squashfs");
    env.run(env.command(mksquashfs).arg(&tree).arg(&image).args(["-quiet", "-no-progress"]))
        .success();
    Some(image)
}

#[test]
fn a_link_of_an_image_makes_no_directory_on_the_host() {
    for (link, fatal) in [("home", false), ("proc", true), ("tmp", true)] {
        let env = TestEnv::new();
        let victim = env.root().join("home/victim");
        std::fs::create_dir(&victim).unwrap();
        std::fs::set_permissions(&victim, PermissionsExt::from_mode(0o777)).unwrap();
        let link = format!("{link}>/.module-export-host{}", victim.display());
        let Some(image) = squashfs(&env, &[&link]) else { return };
        let mut words = env.module_export();
        words.arg("run").arg(&image).args(["--", "/nothing"]).env("HOME", "/home/tester");
        for mut run in as_both(&words) {
            let ran = env.run(&mut run);
            // there is no shell in it: nothing can be started
            assert_ne!(ran.status, 0, "{ran}");
            assert_eq!(ran.stderr.contains("the image has a symbolic link there"), fatal, "{ran}");
            assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0, "{ran}");
            assert_eq!(scratch_in(&env.root().join("tmp")), [] as [PathBuf; 0]);
        }
    }
}

#[test]
fn what_lets_nobody_write_is_removed_all_the_same() {
    let env = TestEnv::new();
    let closed = env.root().join("tree/closed");
    std::fs::create_dir_all(closed.join("inner/deeper")).unwrap();
    for path in [closed.join("inner"), closed] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o555)).unwrap();
    }
    let Some(image) = squashfs(&env, &[]) else { return };
    let mut words = env.module_export();
    words.arg("run").arg(&image).args(["--", "/nothing"]);
    for mut run in as_both(&words) {
        let ran = env.run(&mut run);
        assert!(!ran.stderr.contains("cannot remove"), "{ran}");
        assert_eq!(scratch_in(&env.root().join("tmp")), [] as [PathBuf; 0]);
    }
}

#[test]
fn an_image_is_built_on_another_mount_of_the_same_file_system() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let (build, seen) = (exported.env.root().join("build"), exported.env.root().join("seen"));
    for directory in [&build, &seen] {
        std::fs::create_dir_all(directory).unwrap();
    }
    let script = format!("mount --bind {} {} && exec \"$@\"", build.display(), seen.display());
    let words = format!(
        "container -a A -n other -q --compression gzip:1 --tmpdir {} -d {}",
        seen.display(),
        build.display()
    );
    let export = module_export(&exported.env, &exported.session, &words);
    let Some(mut export) = with_mounts(&export, &script) else { return };
    exported.env.run(&mut export).success();
    let left: Vec<_> = std::fs::read_dir(&build).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["other.sif"]);
}
