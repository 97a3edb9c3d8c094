//! Image formats, written and read. Knows root file systems, never modules.

mod error;
mod estimate;
pub mod read;
pub mod sif;
pub mod squashfs;

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::str::FromStr;

use sha2::Digest as _;

use crate::base::{Digest, Interrupt, Progress};
use crate::rootfs::{FileId, Rootfs};

pub use error::ImageError;
pub use estimate::estimate_bytes;
pub use sif::SifOptions;
pub use squashfs::{Compression, SquashfsOptions, SquashfsWritten};

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

/// A kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// What Apptainer and Singularity run.
    #[default]
    Sif,
    /// The root file system alone.
    Squashfs,
}

/// A text that names no format.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no image format: give sif or squashfs")]
pub struct InvalidFormat(String);

impl Format {
    /// The end of a file name, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Sif => "sif",
            Self::Squashfs => "squashfs",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

impl FromStr for Format {
    type Err = InvalidFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Sif, Self::Squashfs]
            .into_iter()
            .find(|format| format.extension() == text)
            .ok_or_else(|| InvalidFormat(text.to_owned()))
    }
}

/// A finished image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// The identity in a SIF's header, made from the root file system's bytes.
    pub uuid: Option<[u8; 16]>,
    /// Where in the file the squashfs is.
    pub partition: Range<u64>,
    /// Of what is in it.
    pub squashfs: SquashfsWritten,
}

/// The ties to whoever waits for the image.
#[derive(Clone, Copy)]
struct Watch<'a> {
    progress: &'a dyn Progress,
    interrupt: &'a Interrupt,
}

/// Writes `rootfs` as an image of this `format` into `out`, which is overwritten from its start and
/// then ends where the image ends.
///
/// A caller who wants all or nothing gives a temporary file, syncs it, and renames it.
///
/// # Errors
/// A source file that cannot be read or has changed, by name; what the format cannot hold; a full
/// disk; an interrupt. What is in `out` is useless then.
pub fn write(
    rootfs: &Rootfs,
    format: Format,
    options: &SifOptions,
    out: &mut File,
    late: &mut LateContents,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Written, ImageError> {
    let watch = Watch { progress, interrupt };
    match format {
        Format::Sif => sif::write_watched(rootfs, options, out, late, watch),
        Format::Squashfs => {
            let squashfs = SquashfsOptions { time: options.time, ..options.squashfs.clone() };
            write_squashfs(rootfs, &squashfs, out, late, watch)
        }
    }
}

fn write_squashfs(
    rootfs: &Rootfs,
    options: &SquashfsOptions,
    out: &mut File,
    late: &mut LateContents,
    watch: Watch,
) -> Result<Written, ImageError> {
    out.seek(SeekFrom::Start(0)).map_err(ImageError::Write)?;
    let squashfs = squashfs::write_identified(rootfs, options, out, late, watch, false)?;
    let size = squashfs.bytes;
    out.set_len(size).map_err(ImageError::Write)?;
    let digest = digest_of(out, size, watch)?;
    Ok(Written { size, digest, uuid: None, partition: 0..size, squashfs })
}

/// SHA-256 of the whole file: its first bytes are known last, so it is read once more, mostly from
/// the page cache.
fn digest_of(file: &mut File, size: u64, watch: Watch) -> Result<Digest, ImageError> {
    watch.progress.stage("computing the image's digest", None, Some(size));
    file.seek(SeekFrom::Start(0)).map_err(ImageError::Write)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        watch.interrupt.check()?;
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ImageError::Write(error)),
        };
        hasher.update(buffer.get(..read).unwrap_or_default());
        watch.progress.advance(0, read as u64);
    }
    watch.progress.finish();
    Ok(Digest::from_bytes(hasher.finalize().into()))
}
