//! The tree as the checks see it: files by path, links followed, each looked at once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::{Check, Finding, MEND_LOST, MEND_MISSING, Severity, Subject, text};
use crate::base::Interrupted;
use crate::closure::{
    INJECTIONS, LEFT_OUT_ON_REQUEST, NOT_TAKEN, OF_THE_RUNTIME, is_driver, parallel,
};
use crate::elf::{ElfFacts, Look, is_library_name};
use crate::rootfs::{BENEATH, Directory, FileId, Node, Resolved};

/// A tree that is being audited.
pub(super) struct View<'a> {
    pub(super) subject: &'a Subject<'a>,
    /// What may be a program, a library or a script, by all of its names, in order.
    pub(super) candidates: Vec<(PathBuf, FileId)>,
    /// Links, and where they say they lead, in order.
    pub(super) links: Vec<(PathBuf, &'a [u8])>,
    /// Other files that name paths, in order.
    pub(super) pointers: Vec<(PathBuf, FileId)>,
    looks: Vec<OnceLock<Look>>,
    /// Directories by path, links followed;
    /// the text of a path compares faster than the path.
    directories: RwLock<BTreeMap<OsString, Option<&'a Directory>>>,
}

/// Why something is not there.
pub(super) enum Absence {
    /// The image's list has it at this path.
    Lost(PathBuf),
    /// The user did not want it.
    Excluded,
    /// The site or the runtime brings it.
    Expected(&'static str),
    /// It was there at its source and not taken, for this reason.
    Refused(String),
    /// Nobody knows.
    Unknown,
}

impl<'a> View<'a> {
    pub(super) fn new(subject: &'a Subject<'a>) -> Result<Self, Interrupted> {
        let files = subject.rootfs.files().len();
        let mut view = Self {
            subject,
            candidates: Vec::new(),
            links: Vec::new(),
            pointers: Vec::new(),
            looks: std::iter::repeat_with(OnceLock::new).take(files).collect(),
            directories: RwLock::default(),
        };
        let mut seen = vec![false; files];
        subject.rootfs.walk(|path, node| match node {
            Node::File(id) => {
                let first =
                    seen.get_mut(id.index()).is_some_and(|seen| !std::mem::replace(seen, true));
                let path = path.as_path();
                let mode = subject.rootfs.file(*id).metadata.mode;
                if mode & 0o111 != 0 || is_library_name(path.file_name().unwrap_or_default()) {
                    view.candidates.push((path.to_owned(), *id));
                }
                if first && super::pointers::names_paths(path) {
                    view.pointers.push((path.to_owned(), *id));
                }
            }
            Node::Symlink(link) => view.links.push((path.as_path().to_owned(), &link.target)),
            Node::Directory(_) | Node::Special(_) => {}
        });
        // many at a time, where each has to wait for the file system
        let look = |(_, id): &(PathBuf, FileId)| {
            view.look(*id);
        };
        parallel::map(&view.candidates, subject.interrupt, look)?;
        Ok(view)
    }

    /// What the file begins with.
    pub(super) fn look(&self, id: FileId) -> Option<&Look> {
        let place = self.looks.get(id.index())?;
        Some(place.get_or_init(|| self.subject.contents.look(id)))
    }

    /// The file at `path`, links followed.
    pub(super) fn file(&self, path: &Path) -> Option<FileId> {
        let (parent, name) = (path.parent()?, path.file_name()?);
        match self.directory(parent)?.get(name.as_bytes())? {
            Node::File(id) => Some(*id),
            Node::Symlink(_) => match self.subject.rootfs.resolve(path.as_os_str().as_bytes()) {
                Resolved::Found(Some(Node::File(id))) => Some(*id),
                _ => None,
            },
            Node::Directory(_) | Node::Special(_) => None,
        }
    }

    /// The directory at `path`, links followed.
    fn directory(&self, path: &Path) -> Option<&'a Directory> {
        let known = self.directories.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(path.as_os_str()) {
            return *known;
        }
        drop(known);
        let rootfs = self.subject.rootfs;
        let found = match rootfs.resolve(path.as_os_str().as_bytes()) {
            Resolved::Found(None) => Some(rootfs.root()),
            Resolved::Found(Some(Node::Directory(directory))) => Some(&**directory),
            _ => None,
        };
        let mut known = self.directories.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(path.into(), found);
        found
    }

    /// Whether anything is, or was before the image lost it, in a directory at `path`, links
    /// followed.
    pub(super) fn may_have(&self, path: &Path) -> bool {
        if self.directory(path).is_some() {
            return true;
        }
        if self.subject.lost.is_empty() {
            return false;
        }
        let Some(end) = self.subject.rootfs.leads_out_to(path.as_os_str().as_bytes()) else {
            return false;
        };
        let end = end.as_path();
        let below =
            self.subject.lost.range::<Path, _>((Bound::Included(end), Bound::Unbounded)).next();
        below.is_some_and(|below| below.starts_with(end)) || self.lost(path).is_some()
    }

    /// Where what is at `path` is, if `..` in it says so in a roundabout way.
    pub(super) fn tidied(&self, path: &Path) -> Option<PathBuf> {
        if !path.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let id = self.file(path)?;
        let first = self.candidates.iter().find(|(_, candidate)| *candidate == id);
        first.map(|(path, _)| path.clone())
    }

    /// Whether anything is at `path`, links followed.
    pub(super) fn has(&self, path: &Path) -> bool {
        let path = path.as_os_str().as_bytes();
        matches!(self.subject.rootfs.resolve(path), Resolved::Found(_))
    }

    /// Whether a program is at `path`, links followed.
    pub(super) fn has_program(&self, path: &Path) -> bool {
        let mode = |id| self.subject.rootfs.file(id).metadata.mode;
        self.file(path).is_some_and(|id| mode(id) & 0o111 != 0)
    }

    /// Whether what is at `path` came with a base that others made.
    pub(super) fn is_of_base(&self, path: &Path) -> bool {
        self.file(path).is_some_and(|id| &*self.subject.rootfs.file(id).reason == BENEATH)
    }

    /// Facts of the ELF file at `path`, links followed.
    pub(super) fn elf(&self, path: &Path) -> Option<Arc<ElfFacts>> {
        self.look(self.file(path)?)?.elf().cloned()
    }

    /// Where `path` leads although nothing is there, if the image's list has something there.
    pub(super) fn lost(&self, path: &Path) -> Option<PathBuf> {
        if self.subject.lost.is_empty() {
            return None;
        }
        let end = self.subject.rootfs.leads_out_to(path.as_os_str().as_bytes())?;
        let end = end.as_path();
        // what lies in a lost directory leads through it
        let lost = end.ancestors().find(|up| self.subject.lost.contains(*up));
        lost.map(Path::to_owned)
    }

    /// Why nothing is at `path`.
    pub(super) fn absence(&self, path: &Path) -> Absence {
        if let Some(lost) = self.lost(path) {
            return Absence::Lost(lost);
        }
        let end = self.subject.rootfs.leads_out_to(path.as_os_str().as_bytes());
        let end = end.as_ref().map_or(path, |end| end.as_path());
        if end.file_name().is_some_and(|name| is_driver(name.as_bytes())) {
            return Absence::Expected("a driver of the machine that it runs on");
        }
        if OF_THE_RUNTIME.iter().any(|top| end.starts_with(top)) {
            return Absence::Expected("of the runtime");
        }
        let bound = |point: &crate::closure::BindPoint| {
            path == point.path || point.target.is_absolute() && end.starts_with(&point.target)
        };
        if end.starts_with(INJECTIONS) || self.subject.bind_points.iter().any(bound) {
            return Absence::Expected("of the site that it runs on");
        }
        if self.is_excluded(path) || self.is_excluded(end) {
            return Absence::Excluded;
        }
        let refused = self.refusal(path).or_else(|| self.refusal(end));
        refused.map_or(Absence::Unknown, |why| Absence::Refused(why.to_owned()))
    }

    /// Why the file at `path`, which was there at its source, was not taken.
    fn refusal(&self, path: &Path) -> Option<&str> {
        let mut omissions = self.subject.omissions.iter();
        let omission = omissions.find(|one| one.path == path)?;
        omission.reason.strip_prefix(NOT_TAKEN)
    }

    /// The directories in which programs are looked for.
    pub(super) fn search_path(&self) -> Vec<PathBuf> {
        let path = self.subject.environment.get("PATH").map(String::as_str).unwrap_or_default();
        path.split(':').map(PathBuf::from).filter(|path| path.is_absolute()).collect()
    }

    /// Whether the file at `path` is a command: whether it lies in a directory of the `PATH`.
    pub(super) fn is_command(&self, path: &Path) -> bool {
        let Some(own) = path.parent().and_then(|parent| self.directory(parent)) else {
            return false;
        };
        let mut found = self.search_path().into_iter().filter_map(|at| self.directory(&at));
        found.any(|directory| std::ptr::eq(directory, own))
    }

    /// How bad it is that `path` leads to nothing at `at`, where others' needs are warnings: a
    /// command that was one at its source is to be one in the image.
    pub(super) fn severity(&self, path: &Path, at: &Path) -> Severity {
        let refused = matches!(self.absence(at), Absence::Refused(_));
        if refused && self.is_command(path) { Severity::Error } else { Severity::Warning }
    }

    /// Whether the user left `path` out.
    pub(super) fn is_excluded(&self, path: &Path) -> bool {
        let wanted = |omission: &&crate::closure::Omission| omission.reason == LEFT_OUT_ON_REQUEST;
        self.subject
            .omissions
            .iter()
            .filter(wanted)
            .any(|omission| path.starts_with(&omission.path))
    }

    /// The finding that `path` needs `need`, which leads to nothing at `at`; `severity` is for
    /// what cannot be explained.
    pub(super) fn absent(
        &self,
        check: Check,
        path: &Path,
        need: &OsStr,
        at: &Path,
        severity: Severity,
    ) -> Finding {
        let need = need.to_string_lossy().into_owned();
        let (severity, what, mend) = match self.absence(at) {
            Absence::Lost(lost) => {
                let what = format!("`{need}` is gone: the image's list has `{}`", text(&lost));
                (Severity::Error, what, MEND_LOST)
            }
            Absence::Excluded => {
                (Severity::Warning, format!("`{need}` was left out on request"), "")
            }
            Absence::Expected(by) => (Severity::Expected, format!("`{need}` is {by}"), ""),
            Absence::Refused(why) => {
                let mend = if severity == Severity::Error { MEND_MISSING } else { "" };
                (severity, format!("`{need}` is not in the image: {why}"), mend)
            }
            Absence::Unknown => {
                let mend = if severity == Severity::Error { MEND_MISSING } else { "" };
                (severity, format!("`{need}` is not in the image"), mend)
            }
        };
        let (path, mend) = (path.to_owned(), mend.to_owned());
        Finding { severity, path, check, need, what, needed_by: Vec::new(), mend }
    }
}
