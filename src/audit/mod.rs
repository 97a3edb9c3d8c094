//! The proof that an image is complete: every need of every file in it, resolved inside it.
//!
//! Works on any root file system, one that is planned or one that was read back from an image, and
//! looks at nothing else: neither this machine's libraries nor the stack that files came from.

mod environment;
mod libraries;
mod links;
mod list;
mod modes;
mod pointers;
mod preload;
mod scripts;
mod versions;
mod view;
mod why;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::{Interrupt, Interrupted};
use crate::closure::{BindPoint, Omission};
use crate::elf::Look;
use crate::environment::Variables;
use crate::rootfs::{FileId, Rootfs};

pub use list::{Listed, Listing, ListingError, Way};
pub use modes::check_modes;
pub use why::{About, Background, Chain, Step};

/// The contents of the files of a root file system.
pub trait Contents: Sync {
    /// What the file begins with.
    fn look(&self, file: FileId) -> Look;

    /// The whole file, if it can be read and has at most `limit` bytes.
    fn bytes(&self, file: FileId, limit: u64) -> Option<Vec<u8>>;
}

/// A module as its image tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Full name.
    pub name: String,
    /// Whether the user asked for it, or another module did.
    pub requested: bool,
    /// Its modulefile.
    pub modulefile: PathBuf,
    /// Its installation prefixes.
    pub prefixes: Vec<PathBuf>,
    /// Full names of modules that it loads or depends on.
    pub dependencies: Vec<String>,
}

/// What is audited.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The tree.
    pub rootfs: &'a Rootfs,
    /// What is in its files.
    pub contents: &'a dyn Contents,
    /// The environment in which programs start.
    pub environment: &'a Variables,
    /// The modules, in load order.
    pub modules: &'a [Module],
    /// What was left out.
    pub omissions: &'a [Omission],
    /// Links into per-site places.
    pub bind_points: &'a [BindPoint],
    /// What the image's own list has and the tree has not.
    pub lost: &'a BTreeSet<PathBuf>,
    /// Asks for an end of the work.
    pub interrupt: &'a Interrupt,
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").field("modules", &self.modules).finish_non_exhaustive()
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something that the image is for cannot work.
    Error,
    /// Something lacks, as it did where it came from, or as was asked for.
    Warning,
    /// Something lacks that the place where the image runs is to bring.
    Expected,
}

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// The image's list of its files, with their digests.
    List,
    /// The program that loads an ELF file.
    Interpreter,
    /// A library that an ELF file needs.
    Library,
    /// A version of symbols that a library has to define.
    Version,
    /// Whether an ELF file can be read.
    Elf,
    /// The program that runs a script.
    Script,
    /// Where a symbolic link leads.
    Link,
    /// A directory that the environment names.
    Directory,
    /// A module's file, installation, dependencies.
    Module,
    /// A path in a file of a language or a build tool.
    Pointer,
}

/// A need that is not met, or something that is not as the image says.
///
/// In order of severity, then of the path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file that has the need, or with which something is wrong.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub path: PathBuf,
    /// What was checked.
    pub check: Check,
    /// What it needs: a library's name, a path, a version.
    pub need: String,
    /// What is wrong, as a sentence without a full stop.
    pub what: String,
    /// Some of those that need this file in turn, in byte order.
    #[serde(serialize_with = "crate::base::path_text::list")]
    pub needed_by: Vec<PathBuf>,
    /// What would mend it; empty where nothing has to be done.
    pub mend: String,
}

/// What mends a file that was lost.
const MEND_LOST: &str = "take an unaltered copy of the image";
/// What mends a lack that the export found.
const MEND_MISSING: &str = "load the module that provides it, or add it with --include; --allow-incomplete writes the image as it is";

/// Every need that is not met, in order. What files lack that a base brought, as it was made by
/// others, are no errors.
///
/// # Errors
/// [`Interrupted`].
pub fn audit(subject: &Subject<'_>) -> Result<Vec<Finding>, Interrupted> {
    let view = view::View::new(subject)?;
    let mut findings = libraries::check(&view)?;
    findings.extend(scripts::check(&view));
    subject.interrupt.check()?;
    findings.extend(links::check(&view));
    findings.extend(environment::check(&view));
    findings.extend(pointers::check(&view)?);
    for finding in &mut findings {
        tidy(&view, finding);
        if finding.severity == Severity::Error
            && finding.mend != MEND_LOST
            && view.is_of_base(&finding.path)
        {
            finding.severity = Severity::Warning;
        }
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// Shows files by the path at which they are, not the one by which they were found.
fn tidy(view: &view::View<'_>, finding: &mut Finding) {
    for path in std::iter::once(&mut finding.path).chain(&mut finding.needed_by) {
        if let Some(tidy) = view.tidied(path) {
            finding.what = finding.what.replace(&text(path), &text(&tidy));
            *path = tidy;
        }
    }
}

/// Text for a document or a terminal, which escapes it.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
