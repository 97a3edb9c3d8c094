//! Where a shell, tools and data lie as on a machine of their own.

use std::path::{Path, PathBuf};

use super::{Cause, Reason, loader, reason};
use crate::elf::Loader;

/// This machine, or a compatibility layer.
#[derive(Debug, Clone)]
pub(in crate::closure) struct Place {
    root: PathBuf,
    /// Directories of its libraries, links followed, each once.
    libraries: Vec<PathBuf>,
}

/// Where a layer keeps its libraries.
const LIBRARIES: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

impl Place {
    /// This machine.
    pub(in crate::closure) fn this_machine() -> Self {
        let loader = loader();
        let directories = loader.iter().flat_map(Loader::directories).map(PathBuf::clone);
        Self { root: PathBuf::from("/"), libraries: real(directories) }
    }

    /// The compatibility layer at `root`.
    pub(in crate::closure) fn layer(root: &Path) -> Self {
        let mut place = Self { root: root.to_owned(), libraries: Vec::new() };
        place.libraries = real(LIBRARIES.map(|directory| place.at(directory)).into_iter());
        place
    }

    /// Its `/`.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where what a machine has at the absolute `path` lies.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Directories of its libraries, links followed, each once.
    pub(super) fn libraries(&self) -> &[PathBuf] {
        &self.libraries
    }

    /// The reason of what is added as `what`.
    pub(super) fn reason(&self, what: &str) -> Reason {
        if self.is_layer() { Cause::Core(what.to_owned()).into() } else { reason(what) }
    }

    /// Whether it is a compatibility layer.
    pub(super) fn is_layer(&self) -> bool {
        self.root != Path::new("/")
    }

    /// Whether what lies at `real`, links followed, is its own and not a module's.
    pub(super) fn is_own(&self, real: &Path) -> bool {
        real.starts_with(if self.is_layer() { &self.root } else { Path::new("/usr") })
    }
}

/// Those of `directories` that exist, links followed, each once.
fn real(directories: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for directory in directories {
        let Ok(real) = std::fs::canonicalize(directory) else { continue };
        if !found.contains(&real) {
            found.push(real);
        }
    }
    found
}
