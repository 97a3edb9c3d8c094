//! Which files the loaded modules need, and why.

mod cause;
mod collect;
mod eessi;
mod host;
mod keys;
mod libraries;
mod links;
mod modules;
mod named;
mod packages;
pub mod parallel;
mod policy;
mod prefixes;
mod probe;
mod refusal;
mod scope;
mod slim;
mod stripped;
mod walk;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::fs::PathError;
use crate::base::{ByteSize, Escaped, Interrupt, Interrupted, Progress};
use crate::elf::Look;
use crate::environment::Variables;
use crate::rootfs::{InvalidImagePath, Rootfs, RootfsError};
use crate::stack::Stack;

use collect::Collector;
use scope::Scope;

pub use cause::Cause;
pub use collect::INJECTIONS;
pub use keys::is_flexnet;
pub use links::OF_THE_RUNTIME;
pub use packages::{Packages, is_licence};
pub use policy::LEFT_OUT_ON_REQUEST;
pub use refusal::{NOT_TAKEN, ONLY_NAMED};
pub use scope::is_driver;
pub use slim::{Caller, NOT_REACHED, Opener, Slim};
pub use stripped::{Handling, NOT_REDISTRIBUTABLE, Restricted, Stripped, may_be_kept};

/// What to pack.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The loaded modules in load order.
    pub modules: &'a [ModuleFiles],
    /// Where the software lives.
    pub stack: &'a crate::stack::Stack,
    /// What lies under the modules.
    pub base: Base,
    /// The tree of [`Base::Foreign`].
    pub beneath: Option<&'a Rootfs>,
    /// Files and directories to add.
    pub include: &'a [PathBuf],
    /// Globs of paths to leave out.
    pub exclude: &'a [String],
    /// Directories never packed whole even if a modulefile names them (the home directory).
    pub private: &'a [PathBuf],
    /// `PATH` of the frozen environment, for `#!/usr/bin/env` and for tools of `Base::Host`.
    pub path: &'a [PathBuf],
    /// `LD_LIBRARY_PATH` of the frozen environment.
    pub library_path: &'a [PathBuf],
    /// Modules that may be packed in part only.
    pub stripped: &'a [Stripped],
    /// The session's Lmod, packed with `Base::Host`.
    pub lmod: Option<&'a crate::stack::LmodInstallation>,
    /// `Some` if of the base only a core and what the rest reaches is to be packed: the frozen
    /// environment, whose paths count as reached.
    pub slim: Option<&'a Variables>,
}

/// What lies under the modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// EESSI's compatibility layer.
    CompatibilityLayer,
    /// A closure of this machine's own libraries and tools.
    Host,
    /// What [`Request::beneath`] says: nothing of this machine is added to it.
    Foreign,
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
    /// The packages of what lies under the modules, as far as their database tells.
    pub packages: Packages,
    /// What [`Request::slim`] made of it.
    pub slim: Option<Slim>,
    /// Modules that may not be handed on as a whole, and what was done with each; none unless who
    /// asks for the closure says so.
    pub restricted: Vec<Restricted>,
    /// What not everybody can read at its source, in byte order of the path; what lies in such a
    /// directory is not told of by itself. No more than [`MOST_CLOSED`].
    pub closed: Vec<Closed>,
    /// What files of this machine begin with, as far as they were opened.
    pub looks: BTreeMap<OsString, Look>,
}

/// A module's installation in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// `GCC/13.2.0`.
    pub module: String,
    /// Its modulefile.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub modulefile: PathBuf,
    /// Its installation prefixes; empty for a module that only sets variables.
    #[serde(serialize_with = "crate::base::path_text::list")]
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
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub path: PathBuf,
    /// Why, as a phrase: "build log", "package database", "socket", "not readable".
    pub reason: String,
}

/// A file or directory that not everybody can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is a directory that others cannot enter.
    pub is_directory: bool,
    /// Permission bits.
    pub mode: u32,
    /// Number of its group.
    pub group: u32,
}

/// So many [`Closure::closed`] are noted.
pub const MOST_CLOSED: usize = 10_000;

/// A link into a per-site place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BindPoint {
    /// The link in the image.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub path: PathBuf,
    /// Where it points.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub target: PathBuf,
    /// What a site may bind there, as a phrase.
    pub purpose: String,
}

/// Why no closure can be made.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// The work was stopped.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A pattern of what to leave out is no glob.
    #[error("`{}` is not a pattern", Escaped(glob))]
    Exclude {
        /// The pattern.
        glob: String,
        /// What is wrong with it.
        #[source]
        source: globset::Error,
    },
    /// A file that was to be added cannot be.
    #[error("what was to be added is not there: {0}")]
    Include(#[source] PathError),
    /// The compatibility layer was asked for where there is none.
    #[error("this session does not use EESSI, so there is no compatibility layer to pack")]
    NoCompatibilityLayer,
    /// A path that an image cannot have.
    #[error(transparent)]
    Path(#[from] InvalidImagePath),
    /// Two things that cannot both lie where they have to.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
}

/// Why a file is in the image, as `kind:detail`; see [`Cause`].
type Reason = Arc<str>;

/// Finds everything that the modules need, and plans it at its own place in an image.
///
/// What cannot be read, or is left out on purpose, is an [`Omission`]; what looks wrong is a
/// warning; neither ends the work.
///
/// # Errors
/// [`ClosureError`].
pub fn resolve(
    request: &Request<'_>,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Closure, ClosureError> {
    let eessi = match (request.stack, request.base) {
        (Stack::Eessi(eessi), _) => Some(eessi),
        (Stack::Site, Base::CompatibilityLayer) => return Err(ClosureError::NoCompatibilityLayer),
        (Stack::Site, Base::Host | Base::Foreign) => None,
    };
    progress.stage("finding files", None, None);
    let mut collector = Collector::new(request, eessi, progress, interrupt)?;
    if let Some(eessi) = eessi {
        eessi::declare(&mut collector, eessi, request);
    }
    let prefixes = modules::add(&mut collector, request, eessi)?;
    if let Some(eessi) = eessi {
        eessi::add(&mut collector, eessi, request)?;
    }
    match (request.base, eessi, request.lmod) {
        (Base::Host, _, _) => host::add(&mut collector, request)?,
        (Base::Foreign, None, Some(lmod)) => host::add_lmod_over_base(&mut collector, lmod)?,
        _ => {}
    }
    include(&mut collector, request.include)?;
    let scope = Scope::new(request, &prefixes);
    let (looks, slim) = add_reached(&mut collector, request, &scope)?;
    let packages = packages::add(&mut collector, request)?;
    let installations = modules::installations(&collector, request.modules, prefixes);
    progress.finish();
    Ok(Closure { packages, slim, looks, ..collector.finish(installations) })
}

/// Adds what packed files point at: where links lead, interpreters of scripts, libraries; of a
/// layer that is not packed whole, what they name. Returns what was seen of files on the way.
fn add_reached(
    collector: &mut Collector<'_>,
    request: &Request<'_>,
    scope: &Scope<'_>,
) -> Result<(BTreeMap<OsString, Look>, Option<Slim>), ClosureError> {
    let layers = slim::layers(request);
    let places = match request.base {
        Base::Host => vec![host::Place::this_machine()],
        _ => layers.iter().map(|layer| host::Place::layer(layer)).collect(),
    };
    let mut scripts = host::Scripts::new(request, scope, places);
    let mut reach = slim::Reach::new(collector, layers, request.slim)?;
    let confines = reach.confines();
    let mut libraries = libraries::Needs::new(collector, request, scope);
    let astray = loop {
        let before = collector.rootfs.files().len();
        let astray = links::add(collector, scope)?;
        libraries.add(collector)?;
        collector.confined(confines.as_deref(), |c| scripts.add(c, &libraries))?;
        collector.confined(confines.as_deref(), |c| reach.add(c, &mut libraries))?;
        if collector.rootfs.files().len() == before {
            break astray;
        }
    };
    collector.warnings.extend(libraries.warnings(collector));
    collector.warnings.extend(astray);
    named::note(collector, request, scope, &libraries);
    scope.refusals.tell(collector);
    collector.warnings.extend(collector.policy.idle_patterns());
    if request.base == Base::Host {
        host::add_loader_cache(collector)?;
    }
    let slim = request.slim.map(|_| reach.finish(collector));
    Ok((libraries.into_looks(), slim))
}

/// Adds what the user asked for beyond the modules.
fn include(collector: &mut Collector<'_>, paths: &[PathBuf]) -> Result<(), ClosureError> {
    for path in paths {
        let reason: Reason = Cause::Include(path.clone()).into();
        if path.is_absolute() && collector.add_special(path, &reason)? {
            continue;
        }
        if !path.is_absolute() || !collector.add(path, &reason)? {
            let source = std::fs::metadata(path).err().unwrap_or_else(|| {
                std::io::Error::other("it is left out, cannot be read, or is no file or directory of an absolute path")
            });
            let action = "add";
            let error = PathError { action, path: path.clone(), source };
            return Err(ClosureError::Include(error));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
