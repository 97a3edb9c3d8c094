//! A directory, a home and an environment for one test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A temporary directory with a home in it, and commands that know of nothing else: their environment is
/// `PATH`, `HOME`, `TMPDIR`, `TZ`, `TERM`, `LC_ALL`, their umask is 022. It goes away with this value.
#[derive(Debug)]
pub(crate) struct TestEnv {
    directory: tempfile::TempDir,
}

impl TestEnv {
    /// Makes the directories.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("module-export-test-").tempdir().unwrap();
        // others than its owner look into it, too: tests that run as an ordinary user
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let env = Self { directory };
        for name in ["home", "tmp", "work"] {
            fs::create_dir(env.root().join(name)).unwrap();
            fs::set_permissions(env.root().join(name), Permissions::from_mode(0o777)).unwrap();
        }
        env
    }

    /// The directory that holds everything, shown as `$ROOT`.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// The working directory of its commands.
    pub(crate) fn work(&self) -> PathBuf {
        self.root().join("work")
    }

    /// Writes a file below the root, with the directories that lead to it.
    pub(crate) fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a program below the root.
    pub(crate) fn program(&self, path: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.write(path, text);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A command in this world.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        // the umask is a property of the process: a shell sets it without `unsafe`
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask 022; exec \"$0\" \"$@\""]).arg(program.as_ref());
        command
            .current_dir(self.work())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.root().join("home"))
            .env("TMPDIR", self.root().join("tmp"))
            .env("TZ", "UTC")
            .env("TERM", "dumb")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// The program under test.
    #[allow(dead_code, reason = "for the tests of verbs")]
    pub(crate) fn module_export(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_module-export"))
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, command: &mut Command) -> Ran {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Ran::new(self, &output)
    }

    /// `text` with the paths of this world as `$ROOT`.
    pub(crate) fn shown(&self, text: &str) -> String {
        text.replace(&*self.root().to_string_lossy(), "$ROOT")
    }
}

/// How a command ended, with the test's paths as `$ROOT`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "either assert its success or look at what it printed"]
pub(crate) struct Ran {
    /// Exit status; 128 + the signal's number if a signal ended it.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn new(env: &TestEnv, output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let signal = output.status.signal().map(|number| 128 + number);
        Self {
            status: output.status.code().or(signal).unwrap(),
            stdout: env.shown(&String::from_utf8_lossy(&output.stdout)),
            stderr: env.shown(&String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Its stdout, if its status was 0.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!(self.status, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

impl std::fmt::Display for Ran {
    /// Everything at once, for inline snapshots.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status: {}\n--- stdout\n{}--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}
