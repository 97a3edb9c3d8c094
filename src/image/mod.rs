//! Image formats. Knows root file systems, never modules.

mod error;
pub mod squashfs;

use crate::base::{Digest, Interrupt, Progress};
use crate::rootfs::FileId;

pub use error::ImageError;

/// Contents of the files whose [`crate::rootfs::Content`] is `Late`, made when every other file
/// has been written.
///
/// Called once with the digest of every file that has been written (by [`FileId::index`]; `None`
/// for the late ones themselves); returns the bytes of the late ones, in the order in which they
/// were added to the root file system.
pub type LateContents<'a> = dyn FnMut(&[Option<FileDigest>]) -> Vec<(FileId, Vec<u8>)> + 'a;

/// What was read of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of them.
    pub sha256: Digest,
}

/// The ties to whoever waits for the image.
#[derive(Clone, Copy)]
struct Watch<'a> {
    progress: &'a dyn Progress,
    interrupt: &'a Interrupt,
}
