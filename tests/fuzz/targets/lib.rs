//! Evaluation of small trees with small limits and without commands.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use module_export::environment::Variables;
use module_export::modulefile::{Limits, Options, Request, evaluate};

/// A directory of modulefiles in memory (`/dev/shm`), the same for every input of a run.
#[derive(Debug)]
pub struct Tree {
    top: tempfile::TempDir,
}

impl Default for Tree {
    fn default() -> Self {
        let shared = Path::new("/dev/shm");
        let top = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
        Self { top: top.expect("a scratch directory") }
    }
}

impl Tree {
    /// Writes a file.
    pub fn write(&self, path: &str, text: &[u8]) {
        let path: PathBuf = self.top.path().join(path);
        fs::create_dir_all(path.parent().expect("below the top")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    /// The directory, as text.
    #[must_use]
    pub fn top(&self) -> String {
        self.top.path().display().to_string()
    }

    /// Loads modules with the rules of a version of Lmod; what comes of it is not asked.
    pub fn load(&self, names: &[&str], lmod_version: &str) {
        let top = self.top();
        let environment: Variables = [("PATH", "/nowhere"), ("HOME", "/nowhere"), ("MODULEPATH", &top)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let request = Request {
            environment,
            load: names.iter().map(|&name| name.to_owned()).collect(),
            pins: Vec::new(),
            pinned_only: false,
            lmod_version: lmod_version.to_owned(),
            limits: Limits { time: Duration::from_secs(1), memory_bytes: 64 << 20 },
            options: Options { no_commands: true, ..Options::default() },
        };
        // A refusal is as good an answer as any.
        drop(evaluate(&request, &mut |_| ()));
    }
}
