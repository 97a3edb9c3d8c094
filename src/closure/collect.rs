//! Puts files of this machine into the planned root file system, each at its own place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use super::policy::{Kind, Policy};
use super::{
    BindPoint, Closed, Closure, ClosureError, Installation, MOST_CLOSED, Omission, Packages,
    Reason, Request, keys,
};
use crate::base::{Epoch, Interrupt, Progress};
use crate::rootfs::{
    Content, File, FileId, ImagePath, Metadata, Resolved, Rootfs, RootfsError, Special,
    SpecialKind, Stamp, Symlink, image_path,
};
use crate::stack::Eessi;

/// Links that one path may lead through; the kernel's limit.
const MAX_LINKS: u32 = 40;

/// Metadata of a directory that others lie in.
const IMPLIED: Metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };

/// The plan as it grows.
pub(super) struct Collector<'a> {
    pub(super) rootfs: Rootfs,
    pub(super) policy: Policy,
    pub(super) omissions: BTreeSet<Omission>,
    pub(super) bind_points: BTreeSet<BindPoint>,
    pub(super) warnings: Vec<String>,
    pub(super) progress: &'a dyn Progress,
    pub(super) interrupt: &'a Interrupt,
    /// Directories that were added with all that is in them.
    pub(super) walked: BTreeSet<PathBuf>,
    /// First name of files with several.
    hard_links: BTreeMap<(u64, u64), FileId>,
    injections: Option<Injections>,
    /// What not everybody can read.
    closed: BTreeMap<PathBuf, Closed>,
    /// What lies under everything that is added.
    beneath: Option<&'a Rootfs>,
    /// Where links are followed to; anywhere if it is `None`.
    confines: Option<PathBuf>,
}

/// EESSI's link to what a site adds. On disk it leads wherever the site says; in the image it
/// leads to the default place.
#[derive(Debug)]
struct Injections {
    /// `/cvmfs/software.eessi.io/host_injections`.
    link: PathBuf,
    /// Where it leads on this machine; `None` if nowhere.
    source: Option<PathBuf>,
}

/// Where the link leads in the image. Source: EESSI/filesystem-layer, the default of the
/// variant link `$(EESSI_HOST_INJECTIONS:-/opt/eessi)`.
pub const INJECTIONS: &str = "/opt/eessi";

impl<'a> Collector<'a> {
    /// An empty plan.
    pub(super) fn new(
        request: &Request<'a>,
        eessi: Option<&Eessi>,
        progress: &'a dyn Progress,
        interrupt: &'a Interrupt,
    ) -> Result<Self, ClosureError> {
        let injections = eessi.map(|eessi| {
            let link = eessi.host_injections();
            Injections { source: fs::canonicalize(&link).ok(), link }
        });
        Ok(Self {
            rootfs: Rootfs::new(IMPLIED),
            policy: Policy::new(request.exclude, eessi)?,
            omissions: BTreeSet::new(),
            bind_points: BTreeSet::new(),
            warnings: Vec::new(),
            progress,
            interrupt,
            walked: BTreeSet::new(),
            hard_links: BTreeMap::new(),
            injections,
            closed: BTreeMap::new(),
            beneath: request.beneath,
            confines: None,
        })
    }

    /// The finished closure.
    pub(super) fn finish(self, installations: Vec<Installation>) -> Closure {
        Closure {
            rootfs: self.rootfs,
            installations,
            omissions: self.omissions.into_iter().collect(),
            bind_points: self.bind_points.into_iter().collect(),
            warnings: self.warnings,
            packages: Packages::default(),
            slim: None,
            restricted: Vec::new(),
            closed: self.closed.into_values().collect(),
            looks: BTreeMap::new(),
        }
    }

    /// Adds the file or directory at `path` with all that is in it, and every link on the way.
    /// Returns whether anything is there and was not left out.
    pub(super) fn add(&mut self, path: &Path, reason: &Reason) -> Result<bool, ClosureError> {
        let Some(real) = self.follow(path, reason)? else { return Ok(false) };
        let Some(metadata) = self.examine(&real)? else { return Ok(false) };
        if metadata.is_dir() {
            self.walk(&real, &metadata, reason)?;
            return Ok(true);
        }
        self.add_leaf(&real, &metadata, reason)
    }

    /// Does `work` with links that lead out of `top` added, but not followed.
    pub(super) fn confined<T>(
        &mut self,
        top: Option<&Path>,
        work: impl FnOnce(&mut Self) -> Result<T, ClosureError>,
    ) -> Result<T, ClosureError> {
        let before = std::mem::replace(&mut self.confines, top.map(Path::to_owned));
        let done = work(self);
        self.confines = before;
        done
    }

    /// Adds the links that `path` leads through and returns where it ends, which has no link in
    /// it any more; `None` if that is nowhere, or left out.
    pub(super) fn follow(
        &mut self,
        path: &Path,
        reason: &Reason,
    ) -> Result<Option<PathBuf>, ClosureError> {
        let mut todo: VecDeque<OsString> = names(path).collect();
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            if !self
                .confines
                .as_ref()
                .is_none_or(|top| next.starts_with(top) || top.starts_with(&next))
            {
                return Ok(None);
            }
            let Some(metadata) = self.examine(&next)? else { return Ok(None) };
            if !metadata.is_symlink() {
                at = next;
                continue;
            }
            links += 1;
            let Some(target) = self.add_link(&next, &metadata, reason)? else { return Ok(None) };
            if links > MAX_LINKS {
                return Ok(None);
            }
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                todo.push_front(name);
            }
        }
        Ok(Some(at))
    }

    /// Metadata of `path`, links not followed; `None`, and an omission, if it must not or cannot
    /// be packed; `None` alone if it is not there.
    fn examine(&mut self, path: &Path) -> Result<Option<fs::Metadata>, ClosureError> {
        self.interrupt.check()?;
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                    self.omit(path, "not readable");
                }
                return Ok(None);
            }
        };
        if let Some(reason) = self.policy.omission(path, kind(&metadata)) {
            self.omit(path, reason);
            return Ok(None);
        }
        if metadata.is_dir() {
            self.note_access(path, &metadata);
        }
        Ok(Some(metadata))
    }

    /// Adds the link at `path` and returns where it leads on this machine.
    fn add_link(
        &mut self,
        path: &Path,
        metadata: &fs::Metadata,
        reason: &Reason,
    ) -> Result<Option<PathBuf>, ClosureError> {
        let Ok(target) = fs::read_link(path) else {
            self.omit(path, "not readable");
            return Ok(None);
        };
        let mtime = Epoch::clamped(metadata.mtime());
        if let Some(injections) = self.injections.as_ref().filter(|i| i.link == path) {
            let source = injections.source.clone();
            self.put_link(path, Path::new(INJECTIONS), Epoch::GENERATED, reason)?;
            return Ok(source);
        }
        self.put_link(path, &target, mtime, reason)?;
        Ok(Some(target))
    }

    /// Puts a link that leads to `target` at `path`.
    pub(super) fn put_link(
        &mut self,
        path: &Path,
        target: &Path,
        mtime: Epoch,
        reason: &Reason,
    ) -> Result<(), ClosureError> {
        let target = target.as_os_str().to_owned().into_vec();
        let link = Symlink { mtime, target, reason: reason.clone() };
        let at = self.image(path)?;
        once(self.rootfs.add_symlink(&at, link))
    }

    /// Adds the file at `path`, which is neither a directory nor reached through links. Returns
    /// whether it can be packed.
    pub(super) fn add_leaf(
        &mut self,
        path: &Path,
        metadata: &fs::Metadata,
        reason: &Reason,
    ) -> Result<bool, ClosureError> {
        if metadata.is_symlink() {
            return Ok(self.add_link(path, metadata, reason)?.is_some());
        }
        if let Some(why) = special(metadata).or_else(|| unreadable(path, metadata)) {
            self.omit(path, why);
            return Ok(false);
        }
        if keys::is_key(path, metadata.len()) {
            self.omit(path, "licence key");
            return Ok(false);
        }
        self.note_access(path, metadata);
        let at = self.image(path)?;
        let identity = (metadata.dev(), metadata.ino());
        if let Some(&id) = self.hard_links.get(&identity) {
            once(self.rootfs.add_hard_link(&at, id))?;
            return Ok(true);
        }
        let file = File {
            metadata: Metadata {
                mode: normal_mode(metadata.mode()),
                mtime: Epoch::clamped(metadata.mtime()),
            },
            size: metadata.len(),
            content: Content::Host(path.to_owned()),
            reason: reason.clone(),
        };
        match self.rootfs.add_file(&at, file) {
            Ok(id) => {
                self.rootfs.set_stamp(id, Stamp::of(metadata));
                if metadata.nlink() > 1 {
                    self.hard_links.insert(identity, id);
                }
            }
            other => once(other.map(|_| ()))?,
        }
        Ok(true)
    }

    /// Adds the FIFO or socket at `path`, which nobody wants unasked; returns whether it is one.
    pub(super) fn add_special(
        &mut self,
        path: &Path,
        reason: &Reason,
    ) -> Result<bool, ClosureError> {
        let Some(real) = self.follow(path, reason)? else { return Ok(false) };
        let Some(metadata) = self.examine(&real)? else { return Ok(false) };
        let kind = match metadata.file_type() {
            kind if kind.is_fifo() => SpecialKind::Fifo,
            kind if kind.is_socket() => SpecialKind::Socket,
            _ => return Ok(false),
        };
        let at = self.image(&real)?;
        let metadata = Metadata {
            mode: normal_mode(metadata.mode()),
            mtime: Epoch::clamped(metadata.mtime()),
        };
        once(self.rootfs.add_special(&at, Special { metadata, kind, reason: reason.clone() }))?;
        Ok(true)
    }

    /// Makes the directory at `path` with the time it has.
    pub(super) fn add_directory(
        &mut self,
        path: &Path,
        metadata: &fs::Metadata,
    ) -> Result<(), ClosureError> {
        self.note_access(path, metadata);
        let at = self.image(path)?;
        let metadata = Metadata { mode: 0o755, mtime: Epoch::clamped(metadata.mtime()) };
        Ok(self.rootfs.add_directory(&at, metadata)?)
    }

    /// Makes an empty directory at `path` unless there is one.
    pub(super) fn make_directory(&mut self, path: &Path) -> Result<(), ClosureError> {
        let at = image_path(path)?;
        if self.rootfs.get(&at).is_none() {
            self.rootfs.add_directory(&at, IMPLIED)?;
        }
        Ok(())
    }

    /// Notes that not everybody can read the file, or enter the directory, at `path`; unless that
    /// is known of a directory that it lies in.
    fn note_access(&mut self, path: &Path, metadata: &fs::Metadata) {
        let needed = if metadata.is_dir() { 0o001 } else { 0o004 };
        // a repository is published whole
        if self.policy.is_published(path) {
            return;
        }
        if metadata.mode() & needed != 0 || self.closed.len() >= MOST_CLOSED {
            return;
        }
        if path.ancestors().any(|up| self.closed.get(up).is_some_and(|up| up.is_directory)) {
            return;
        }
        let closed = Closed {
            path: path.to_owned(),
            is_directory: metadata.is_dir(),
            mode: metadata.mode() & 0o7777,
            group: metadata.gid(),
        };
        self.closed.insert(path.to_owned(), closed);
    }

    /// Notes that `path` was left out.
    pub(super) fn omit(&mut self, path: &Path, reason: &str) {
        self.omissions.insert(Omission { path: path.to_owned(), reason: reason.to_owned() });
    }

    /// Where what lies at `path` on this machine lies in the image.
    pub(super) fn image(&self, path: &Path) -> Result<ImagePath, ClosureError> {
        let source = self.injections.as_ref().and_then(|injections| injections.source.as_ref());
        let below = source.and_then(|source| path.strip_prefix(source).ok());
        let moved = below.map(|below| Path::new(INJECTIONS).join(below));
        Ok(image_path(moved.as_deref().unwrap_or(path))?)
    }

    /// The same as a path for reasons; one that no image can have stays as it is.
    pub(super) fn place(&self, path: &Path) -> PathBuf {
        self.image(path).map_or_else(|_| path.to_owned(), |at| at.as_path().to_owned())
    }

    /// Whether the image has something where `path` leads inside it.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.image(path)
            .is_ok_and(|at| matches!(self.rootfs.resolve(at.as_bytes()), Resolved::Found(_)))
    }

    /// Whether the base has something where `path` leads inside it.
    pub(super) fn is_beneath(&self, path: &Path) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let found = self.beneath.map(|base| base.resolve(path.as_os_str().as_bytes()));
        matches!(found, Some(Resolved::Found(_)))
    }

    /// What lies under everything that is added.
    pub(super) fn beneath(&self) -> Option<&'a Rootfs> {
        self.beneath
    }

    /// Directories of the site's own files, which the image does not have.
    pub(super) fn site_directories(&self) -> Vec<PathBuf> {
        let injections = self.injections.iter();
        injections.flat_map(|i| i.source.iter().chain([&i.link])).cloned().collect()
    }

    /// EESSI's link to what a site adds, if this is EESSI.
    pub(super) fn injections(&self) -> Option<&Path> {
        self.injections.as_ref().map(|injections| &*injections.link)
    }
}

/// What is there already was added for another reason: the first one counts.
fn once(result: Result<(), RootfsError>) -> Result<(), ClosureError> {
    match result {
        Ok(()) | Err(RootfsError::Occupied { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The names in `path`, without `.` and the root.
pub(super) fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    })
}

/// What the rules look at.
pub(super) fn kind(metadata: &fs::Metadata) -> Kind {
    Kind {
        is_directory: metadata.is_dir(),
        is_symlink: metadata.is_symlink(),
        mode: metadata.mode(),
    }
}

/// What a thing is that an image has no use for.
fn special(metadata: &fs::Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_fifo() {
        Some("FIFO")
    } else if kind.is_socket() {
        Some("socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("device")
    } else {
        None
    }
}

/// Why the file at `path` cannot be packed. The system is asked only where the mode leaves a doubt.
fn unreadable(path: &Path, metadata: &fs::Metadata) -> Option<&'static str> {
    let doubtful = metadata.mode() & 0o444 != 0o444;
    let readable = !doubtful || rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok();
    (!readable).then_some("not readable")
}

/// Readable by all, executable by all if by anyone, writable by the owner if it was; nothing else.
fn normal_mode(mode: u32) -> u16 {
    let executable = if mode & 0o111 == 0 { 0 } else { 0o111 };
    let writable = if mode & 0o200 == 0 { 0 } else { 0o200 };
    0o444 | executable | writable
}
