//! What an ELF file needs, and where `ld.so` looks for it.

mod cache;
mod constants;
mod loader;
mod look;
mod read;
#[cfg(test)]
pub(crate) mod sample;
mod search;
mod source;
mod tokens;
mod versions;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::base::fs::PathError;

use read::{facts_of, open};

pub use cache::LoaderCache;
pub use constants::{Constants, paths_below};
pub use loader::Loader;
pub use look::{Look, Shebang, look, look_at, read};
pub use search::{Found, Missing, Object, Process, Search, is_library_name, library_path};
pub use source::ReadAt;
pub use versions::NeededVersions;

/// What the headers and the dynamic section of an ELF file say.
///
/// Source: System V ABI (gABI), chapters 4 and 5; GNU's additions in glibc `elf/elf.h`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfFacts {
    /// What can load it.
    pub architecture: Architecture,
    /// `e_type`.
    pub kind: Kind,
    /// `PT_INTERP`: the program that loads it.
    pub interpreter: Option<PathBuf>,
    /// Whether it has a dynamic section.
    pub dynamic: bool,
    /// `DT_NEEDED` in the file's order, each once, and `DT_FILTER`, whose symbols it has from there.
    pub needed: Vec<OsString>,
    /// `DT_AUXILIARY`, `DT_AUDIT` and `DT_DEPAUDIT`: loaded where they are found.
    pub optional: Vec<OsString>,
    /// `DT_SONAME`.
    pub soname: Option<OsString>,
    /// `DT_RPATH` as it stands in the file; without effect where there is a `DT_RUNPATH`.
    pub rpath: Option<OsString>,
    /// `DT_RUNPATH` as it stands in the file.
    pub runpath: Option<OsString>,
    /// `DF_1_NODEFLIB`: the default directories are not searched.
    pub no_default_directories: bool,
    /// `DT_VERNEED`: versions of symbols that libraries it needs must define.
    pub needed_versions: Vec<NeededVersions>,
    /// `DT_VERDEF`: versions of symbols that it defines.
    pub defined_versions: Vec<OsString>,
}

impl ElfFacts {
    /// Those of a file of `architecture` that says nothing of itself.
    pub(crate) const fn empty(architecture: Architecture) -> Self {
        Self {
            architecture,
            kind: Kind::Other,
            interpreter: None,
            dynamic: false,
            needed: Vec::new(),
            optional: Vec::new(),
            soname: None,
            rpath: None,
            runpath: None,
            no_default_directories: false,
            needed_versions: Vec::new(),
            defined_versions: Vec::new(),
        }
    }
}

/// Word size, byte order and instruction set: `ld.so` passes over libraries of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Architecture {
    /// `ELFCLASS64`, else `ELFCLASS32`.
    pub is_64_bit: bool,
    /// `ELFDATA2LSB`, else `ELFDATA2MSB`.
    pub is_little_endian: bool,
    /// `e_machine`: 62 is x86-64, 183 aarch64.
    pub machine: u16,
}

/// The ELF types that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `ET_EXEC`: a program at fixed addresses.
    Executable,
    /// `ET_DYN`: a library, or a program at any address.
    Shared,
    /// Relocatable, core, or unknown.
    Other,
}

/// Why there are no [`ElfFacts`].
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The file is something else: a script, data, a directory.
    #[error("not an ELF file")]
    NotElf,
    /// It begins as an ELF file, and then contradicts itself or ends.
    #[error("damaged ELF file: {0}")]
    Malformed(&'static str),
    /// It cannot be opened or read.
    #[error(transparent)]
    Read(#[from] PathError),
}
