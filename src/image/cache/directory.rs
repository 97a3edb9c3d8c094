//! The cache's directory: who may use it, its locks, and what goes when it is full.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Timestamps, flock, openat};

use super::CacheError;
use super::pack::{Pack, Packs};

/// Endings of names: a finished pack, and one that is being written.
const PACK: &str = ".pack";
const PART: &str = ".part";
/// Who adds or removes packs holds a lock on this.
const LOCK: &str = "lock";
/// More packs than this are not kept: each holds a descriptor open. What is still wanted of those
/// that go comes back in a larger one.
const MAX_PACKS: usize = 256;

/// The directory. Everything in it is reached through its descriptor, so that nobody can put another
/// one in its place.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
}

/// While it is there, no other process adds or removes packs.
pub(super) struct Locked {
    _file: File,
}

impl Directory {
    /// Opens the directory, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, CacheError> {
        let unusable =
            |source: io::Error| CacheError::Unusable { directory: path.to_owned(), source };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        // where one cannot be made, one may be there already
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(error) => return Err(unusable(made.err().unwrap_or_else(|| error.into()))),
        };
        let found = rustix::fs::fstat(&fd).map_err(|error| unusable(error.into()))?;
        let refused = |why: &str| {
            Err(CacheError::Refused { directory: path.to_owned(), why: why.to_owned() })
        };
        if found.st_uid != rustix::process::geteuid().as_raw() {
            return refused("belongs to somebody else; name a directory of your own");
        }
        if found.st_mode & 0o022 != 0 {
            return refused("can be written to by others; take that away: chmod 700");
        }
        Ok(Self { fd })
    }

    /// Names of the finished packs, in byte order.
    pub(super) fn packs(&self) -> Vec<String> {
        self.names(PACK)
    }

    fn names(&self, ending: &str) -> Vec<String> {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.fd) else { return Vec::new() };
        let names =
            entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned()));
        let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
        names.sort_unstable();
        names
    }

    /// A file of ours, to read.
    pub(super) fn open_file(&self, name: &str) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(&self.fd, name, flags, Mode::empty()).ok()?);
        let found = file.metadata().ok()?;
        let is_ours = found.uid() == rustix::process::geteuid().as_raw();
        (found.is_file() && is_ours && found.mode() & 0o022 == 0).then_some(file)
    }

    /// Locks others out; waits until they are done, which is soon.
    pub(super) fn lock(&self) -> io::Result<Locked> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&self.fd, LOCK, flags, Mode::from_raw_mode(0o600))?);
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(Locked { _file: file })
    }

    /// A new file for a pack, with a lock on it as long as it is open. Clears what killed runs left.
    pub(super) fn begin(&self, random: u64) -> io::Result<(String, File)> {
        let _locked = self.lock()?;
        for name in self.names(PART) {
            let is_left = self
                .open_file(&name)
                .is_some_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
            if is_left {
                self.remove(&name);
            }
        }
        let name = format!("{random:016x}{PART}");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = File::from(openat(&self.fd, &*name, flags, Mode::from_raw_mode(0o600))?);
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok((name, file))
    }

    /// Gives a finished pack its name.
    pub(super) fn keep(&self, part: &str, digest: &str) -> io::Result<()> {
        let _locked = self.lock()?;
        Ok(rustix::fs::renameat(&self.fd, part, &self.fd, format!("{digest}{PACK}"))?)
    }

    /// Removes a file; that it is gone already is as good.
    pub(super) fn remove(&self, name: &str) {
        let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
    }

    /// Removes a damaged pack, unless another one has its name by now.
    pub(super) fn forget(&self, pack: &Pack) {
        let same = |file: &File| {
            let (there, ours) = (file.metadata().ok()?, pack.file.metadata().ok()?);
            Some((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
        };
        if self.open_file(&pack.name).as_ref().and_then(same) == Some(true) {
            self.remove(&pack.name);
        }
    }

    /// Marks what was used as young, and removes what is old until the rest has room.
    pub(super) fn make_room(&self, limit: u64, packs: &Packs) -> io::Result<()> {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        for pack in packs.all() {
            if pack.is_damaged.load(Ordering::Relaxed) {
                self.forget(pack);
            } else if pack.is_used.load(Ordering::Relaxed) {
                // of a read-only cache it cannot be said
                let _ = rustix::fs::futimens(pack.file.as_fd(), &times);
            }
        }
        let _locked = self.lock()?;
        let mut all: Vec<_> = self.packs().into_iter().filter_map(|name| self.aged(name)).collect();
        all.sort_unstable();
        let mut bytes: u64 = all.iter().map(|(_, size, _)| size).sum();
        let mut count = all.len();
        for (_, size, name) in all {
            if bytes <= limit && count <= MAX_PACKS {
                break;
            }
            self.remove(&name);
            bytes -= size;
            count -= 1;
        }
        Ok(())
    }

    /// Time of last use, size, name.
    fn aged(&self, name: String) -> Option<((i64, i64), u64, String)> {
        let found = rustix::fs::statat(&self.fd, &*name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let time = (found.st_mtime, i64::try_from(found.st_mtime_nsec).unwrap_or(0));
        Some((time, u64::try_from(found.st_size).unwrap_or(0), name))
    }

    /// The bound in bytes: `limit`, or half of what would be free if the cache were empty.
    pub(super) fn limit(&self, limit: u64) -> u64 {
        let own: u64 =
            self.packs().into_iter().filter_map(|name| self.aged(name)).map(|a| a.1).sum();
        let free = rustix::fs::fstatvfs(&self.fd)
            .map_or(0, |space| space.f_bavail.saturating_mul(space.f_frsize));
        limit.min(free.saturating_add(own) / 2)
    }
}
