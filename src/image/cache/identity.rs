//! When a file of the host counts as the one that was read before.

use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Hash;

/// Path, device, inode, size, and times of a file's content and inode, to the nanosecond. Whoever
/// writes to a file changes the time of its inode, which nobody can set.
///
/// The path is part of it since file systems in user space give an inode's number to another file
/// when they are mounted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) struct Identity {
    key: Hash,
    /// The later of both times, in nanoseconds since 1970.
    changed: i128,
    /// When we looked.
    seen: i128,
}

impl Identity {
    /// That of the file at `path`, just `found`.
    pub(in crate::image) fn of(path: &Path, found: &Metadata) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"file 1\0");
        for number in [found.dev(), found.ino(), found.size()] {
            hasher.update(&number.to_le_bytes());
        }
        for number in [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(path.as_os_str().as_bytes());
        let time =
            |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let mtime = time(found.mtime(), found.mtime_nsec());
        let ctime = time(found.ctime(), found.ctime_nsec());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seen = i128::try_from(now.as_nanos()).unwrap_or(0);
        Self { key: *hasher.finalize().as_bytes(), changed: mtime.max(ctime), seen }
    }

    /// The name by which its content is known.
    pub(in crate::image) const fn key(&self) -> Hash {
        self.key
    }

    /// Whether the file had been left alone for so long when we looked: what is written to it later
    /// gives it another time then, however coarse the file system's clock is.
    pub(in crate::image) fn is_settled(&self, long: Duration) -> bool {
        self.seen - self.changed >= i128::try_from(long.as_nanos()).unwrap_or(i128::MAX)
    }
}
