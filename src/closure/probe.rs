//! Facts of ELF files, each read once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::libraries::Facts;
use super::parallel;
use crate::base::{Interrupt, Interrupted};
use crate::elf;

/// Reads ELF files and remembers what it read.
#[derive(Debug)]
pub(super) struct Probe {
    known: RefCell<BTreeMap<PathBuf, Facts>>,
    /// Directories whose files an image never has.
    absent: Vec<PathBuf>,
}

impl Probe {
    /// A probe to which nothing below `absent` exists.
    pub(super) fn new(absent: Vec<PathBuf>) -> Self {
        Self { known: RefCell::default(), absent }
    }

    /// Facts of the file at `path`, links followed; `None` if it is none that can be loaded.
    pub(super) fn facts(&self, path: &Path) -> Facts {
        if let Some(facts) = self.known.borrow().get(path) {
            return facts.clone();
        }
        let absent = self.absent.iter().any(|absent| path.starts_with(absent));
        let facts = if absent { None } else { elf::read(path).ok().map(Arc::new) };
        self.known.borrow_mut().insert(path.to_owned(), facts.clone());
        facts
    }

    /// Facts of the files at `paths`, many at a time.
    pub(super) fn read_all(
        &self,
        paths: &[PathBuf],
        interrupt: &Interrupt,
    ) -> Result<Vec<Facts>, Interrupted> {
        let facts = parallel::map(paths, interrupt, |path| elf::read(path).ok().map(Arc::new))?;
        let mut known = self.known.borrow_mut();
        known.extend(paths.iter().cloned().zip(facts.iter().cloned()));
        Ok(facts)
    }
}
