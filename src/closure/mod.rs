//! Which files the loaded modules need, and why.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::ByteSize;
use crate::rootfs::Rootfs;

/// What to pack.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The loaded modules in load order.
    pub modules: &'a [ModuleFiles],
    /// Where the software lives.
    pub stack: &'a crate::stack::Stack,
    /// What lies under the modules.
    pub base: Base,
    /// Files and directories to add.
    pub include: &'a [PathBuf],
    /// Globs of paths to leave out.
    pub exclude: &'a [String],
    /// Directories never packed whole even if a modulefile names them (the home directory).
    pub private: &'a [PathBuf],
    /// `PATH` of the frozen environment, for `#!/usr/bin/env` and for tools of `Base::Host`.
    pub path: &'a [PathBuf],
    /// The session's Lmod, packed with `Base::Host`.
    pub lmod: Option<&'a crate::stack::LmodInstallation>,
}

/// What lies under the modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// EESSI's compatibility layer.
    CompatibilityLayer,
    /// A closure of this machine's own libraries and tools.
    Host,
}

/// A module and the files that its modulefile names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleFiles {
    /// `GCC/13.2.0`.
    pub full_name: String,
    /// Its modulefile.
    pub modulefile: PathBuf,
    /// `EBROOT*` that the modulefile sets.
    pub easybuild_roots: Vec<PathBuf>,
    /// Other absolute paths that it sets or prepends to variables.
    pub named: Vec<PathBuf>,
}

/// The files to pack.
#[derive(Debug, Clone)]
pub struct Closure {
    /// Every file, link and directory, at its own absolute path, with modes already normalised
    /// (`a+rX`, no write for group and others, no setuid, setgid, sticky) and mtimes as found.
    pub rootfs: Rootfs,
    /// One per module, in load order.
    pub installations: Vec<Installation>,
    /// What was left out on purpose or because it could not be read, in byte order of the path.
    pub omissions: Vec<Omission>,
    /// Links into per-site places, kept as links.
    pub bind_points: Vec<BindPoint>,
    /// What the user should know, each a full sentence.
    pub warnings: Vec<String>,
}

/// A module's installation in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// `GCC/13.2.0`.
    pub module: String,
    /// Its modulefile.
    pub modulefile: PathBuf,
    /// Its installation prefixes; empty for a module that only sets variables.
    pub prefixes: Vec<PathBuf>,
    /// Files in them.
    pub files: u64,
    /// Bytes in them; a hard-linked file counts once.
    pub bytes: ByteSize,
}

/// Something left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Omission {
    /// The file, or the directory with all that is in it.
    pub path: PathBuf,
    /// Why, as a phrase: "build log", "package database", "socket", "not readable".
    pub reason: String,
}

/// A link into a per-site place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BindPoint {
    /// The link in the image.
    pub path: PathBuf,
    /// Where it points.
    pub target: PathBuf,
    /// What a site may bind there, as a phrase.
    pub purpose: String,
}
