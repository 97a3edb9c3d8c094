//! What files begin with, each read once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::libraries::Facts;
use super::parallel;
use crate::base::{Interrupt, Interrupted};
use crate::elf::{self, Look, Shebang};

/// Reads ELF files and remembers what it read.
#[derive(Debug)]
pub(super) struct Probe {
    /// By the text of the path, which compares faster than the path.
    known: RefCell<BTreeMap<OsString, Look>>,
    /// Whether directories are there, by the text of their paths.
    directories: RefCell<BTreeMap<OsString, bool>>,
    /// Directories whose files an image never has.
    absent: Vec<PathBuf>,
}

impl Probe {
    /// A probe to which nothing below `absent` exists.
    pub(super) fn new(absent: Vec<PathBuf>) -> Self {
        Self { known: RefCell::default(), directories: RefCell::default(), absent }
    }

    /// Facts of the file at `path`, links followed; `None` if it is none that can be loaded.
    pub(super) fn facts(&self, path: &Path) -> Facts {
        if let Some(look) = self.known.borrow().get(path.as_os_str()) {
            return look.elf().cloned();
        }
        let absent = self.absent.iter().any(|absent| path.starts_with(absent));
        let look = if absent { Look::Other } else { elf::look(path) };
        let facts = look.elf().cloned();
        self.known.borrow_mut().insert(path.into(), look);
        facts
    }

    /// Whether there is a directory at `path`, links followed.
    pub(super) fn has_directory(&self, path: &Path) -> bool {
        if let Some(known) = self.directories.borrow().get(path.as_os_str()) {
            return *known;
        }
        let found = path.is_dir();
        self.directories.borrow_mut().insert(path.into(), found);
        found
    }

    /// Facts of the files at `paths`, many at a time.
    pub(super) fn read_all(
        &self,
        paths: &[PathBuf],
        interrupt: &Interrupt,
    ) -> Result<Vec<Facts>, Interrupted> {
        let looks = parallel::map(paths, interrupt, |path| elf::look(path))?;
        let facts = looks.iter().map(|look| look.elf().cloned()).collect();
        self.known.borrow_mut().extend(paths.iter().map(OsString::from).zip(looks));
        Ok(facts)
    }

    /// The first line of the file at `path`, if it was looked at and is a script.
    pub(super) fn script(&self, path: &Path) -> Option<Shebang> {
        match self.known.borrow().get(path.as_os_str()) {
            Some(Look::Script(shebang)) => Some(shebang.clone()),
            _ => None,
        }
    }

    /// What was seen of every file that was looked at.
    pub(super) fn into_looks(self) -> BTreeMap<OsString, Look> {
        self.known.into_inner()
    }
}
