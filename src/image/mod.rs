//! Image formats, written and read. Knows root file systems, never modules.

mod beneath;
mod buffer;
mod cache;
mod codec;
mod error;
mod estimate;
mod format;
mod groups;
mod hashing;
mod identifier;
pub mod oci;
mod opened;
pub mod read;
mod sandbox;
pub mod sif;
mod source;
pub mod squashfs;
mod tar;
mod threads;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

use sha2::Digest as _;

use crate::base::{Digest, Interrupt, Progress};
use crate::rootfs::{FileId, Rootfs};

pub use beneath::{Beneath, BeneathOptions};
pub use cache::{Cache, CacheError, CacheOptions, CacheUse};
pub use error::ImageError;
pub use estimate::estimate_bytes;
pub use format::{Format, InvalidFormat};
pub use identifier::Identifier;
pub use oci::OciOptions;
pub use sif::SifOptions;
pub use squashfs::{Compression, SquashfsOptions, SquashfsWritten};
use tar::StreamOptions;

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
    /// SHA-1 of them behind git's header, by which git and Software Heritage know a content.
    pub sha1_git: [u8; 20],
}

/// A finished image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file, or of all files in the directory.
    pub size: u64,
    /// SHA-256 of the file; none of a directory.
    pub digest: Option<Digest>,
    /// The digest by which registries know the image: an OCI image's manifest.
    pub manifest: Option<Digest>,
    /// The identity in a SIF's header, made from the root file system's bytes.
    pub uuid: Option<[u8; 16]>,
    /// Where in the file the squashfs is, and what is in it.
    pub squashfs: Option<(Range<u64>, SquashfsWritten)>,
}

/// How an image is written; each format takes what it has a place for.
#[derive(Debug, Clone)]
pub struct ImageOptions {
    /// Of a SIF, of a squashfs; streams take compression, time and threads from it.
    pub sif: SifOptions,
    /// Of an OCI image and Docker's.
    pub oci: OciOptions,
}

impl ImageOptions {
    fn stream(&self, format: Format) -> StreamOptions<'_> {
        let SquashfsOptions { compression, jobs, readers, ref cache, .. } = self.sif.squashfs;
        let diff_id = matches!(format, Format::Oci | Format::OciArchive | Format::DockerArchive);
        let is_plain = matches!(format, Format::DockerArchive | Format::Tar | Format::Sandbox);
        let compression = if is_plain { Compression::None } else { compression };
        StreamOptions { compression, jobs, readers, diff_id, cache: cache.as_deref() }
    }
}

/// Where an image goes.
#[derive(Debug)]
pub enum Target<'a> {
    /// Overwrites this file from its start; it ends where the image ends.
    File(&'a mut File),
    /// Fills this directory, which is empty; for OCI it may hold a layout.
    Directory(&'a Path),
}

/// The ties to whoever waits for the image.
#[derive(Clone, Copy)]
struct Watch<'a> {
    progress: &'a dyn Progress,
    interrupt: &'a Interrupt,
}

/// Writes `rootfs` as an image of this `format` into `target`.
///
/// A caller who wants all or nothing gives a temporary file or directory, syncs it, and renames it.
///
/// # Errors
/// A source file that cannot be read or has changed, by name; what the format cannot hold; a full
/// disk; an interrupt; a target that is not of the format's kind. What is in a file or an empty
/// directory is useless then; a layout is as it was.
pub fn write(
    rootfs: &Rootfs,
    format: Format,
    options: &ImageOptions,
    target: Target,
    late: &mut LateContents,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Written, ImageError> {
    let watch = Watch { progress, interrupt };
    let stream = options.stream(format);
    let (sif, oci) = (&options.sif, (&options.oci, &stream, options.sif.time));
    match (format, target) {
        (Format::Sif, Target::File(out)) => sif::write_watched(rootfs, sif, out, late, watch),
        (Format::Squashfs, Target::File(out)) => {
            let squashfs = SquashfsOptions { time: sif.time, ..sif.squashfs.clone() };
            write_squashfs(rootfs, &squashfs, out, late, watch)
        }
        (Format::Tar | Format::TarGz | Format::TarZst, Target::File(out)) => {
            write_tar(rootfs, &stream, out, late, watch)
        }
        (Format::OciArchive, Target::File(out)) => {
            let written = oci::write_archive(rootfs, oci, out, late, watch)?;
            of_file(out, Some(written.manifest), watch)
        }
        (Format::DockerArchive, Target::File(out)) => {
            let written = oci::write_docker(rootfs, oci, out, late, watch)?;
            of_file(out, Some(written.manifest), watch)
        }
        (Format::Oci, Target::Directory(top)) => {
            let written = oci::write_directory(rootfs, oci, top, late, watch)?;
            Ok(Written::of_directory(written.size, Some(written.manifest)))
        }
        (Format::Sandbox, Target::Directory(top)) => {
            let size = sandbox::write(rootfs, stream.readers.get(), top, late, watch)?;
            Ok(Written::of_directory(size, None))
        }
        (_, Target::File(_) | Target::Directory(_)) => {
            let kind = if format.is_directory() { "a directory" } else { "a file" };
            Err(ImageError::Options(format!("the format {format} is written into {kind}")))
        }
    }
}

impl Written {
    fn of_directory(size: u64, manifest: Option<Digest>) -> Self {
        Self { size, digest: None, manifest, uuid: None, squashfs: None }
    }
}

/// What is known of a finished file.
fn of_file(out: &mut File, manifest: Option<Digest>, watch: Watch) -> Result<Written, ImageError> {
    let size = out.seek(SeekFrom::End(0)).map_err(ImageError::Write)?;
    let digest = digest_of(out, size, watch)?;
    Ok(Written { size, digest: Some(digest), manifest, uuid: None, squashfs: None })
}

fn write_tar(
    rootfs: &Rootfs,
    options: &StreamOptions,
    out: &mut File,
    late: &mut LateContents,
    watch: Watch,
) -> Result<Written, ImageError> {
    out.seek(SeekFrom::Start(0)).map_err(ImageError::Write)?;
    let mut digests = vec![None; rootfs.files().len()];
    let all = (rootfs, tar::Select::All);
    watch.progress.stage("writing the image", None, None);
    let keys = options.keys();
    let stream = tar::Stream::new(all, options, &keys, watch)?;
    let written = stream.write(out, &mut digests, late)?;
    watch.progress.finish();
    out.set_len(written.size).map_err(ImageError::Write)?;
    let digest = Some(written.digest);
    Ok(Written { size: written.size, digest, manifest: None, uuid: None, squashfs: None })
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
    let squashfs = Some((0..size, squashfs));
    Ok(Written { size, digest: Some(digest), manifest: None, uuid: None, squashfs })
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
