//! Where blobs go: a directory, or a tar archive that is written in one pass.

use std::fs::File;
use std::io::{BufRead as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use crate::base::fs::PathContext as _;
use crate::base::{Digest, Epoch};
use crate::image::ImageError;
use crate::image::tar::{BLOCK_BYTES, Entry, EntryKind, encode};
use crate::rootfs::Metadata;

/// What the names of unfinished files begin with.
pub const UNFINISHED: &str = ".part-";

/// A file of an archive or directory that is named after its own digest.
pub(super) type NameOf = fn(Digest) -> String;

/// An image under construction.
pub(super) enum Layout<'a> {
    /// Files below this directory. What this run adds is taken away again unless it is finished.
    Directory { top: &'a Path, added: Vec<PathBuf> },
    /// Entries of a tar archive.
    Archive { out: &'a mut File, time: Epoch },
}

impl Drop for Layout<'_> {
    fn drop(&mut self) {
        if let Self::Directory { added, .. } = self {
            for path in added {
                // nothing refers to it
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl<'a> Layout<'a> {
    /// A layout in the directory `top`, which is there.
    pub(super) fn directory(top: &'a Path) -> Result<Self, ImageError> {
        let blobs = top.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).at("make", &blobs)?;
        Ok(Self::Directory { top, added: Vec::new() })
    }

    /// A layout as a tar archive in `out`, from its start, with these directories: Apptainer does
    /// not make those that it has not been told of (seen with 1.4.5).
    pub(super) fn archive(
        out: &'a mut File,
        time: Epoch,
        directories: &[&str],
    ) -> Result<Self, ImageError> {
        out.seek(SeekFrom::Start(0)).map_err(ImageError::Write)?;
        let metadata = Metadata { mode: 0o755, mtime: time };
        let mut headers = Vec::new();
        for path in directories {
            let path = path.as_bytes();
            encode(&Entry { path, metadata, kind: EntryKind::Directory }, &mut headers);
        }
        out.write_all(&headers).map_err(ImageError::Write)?;
        Ok(Self::Archive { out, time })
    }

    /// Writes a file that is named after its digest, which `write` returns with its size and
    /// whatever else it knows.
    pub(super) fn blob<T>(
        &mut self,
        name_of: NameOf,
        write: impl FnOnce(&mut dyn Write) -> Result<(u64, Digest, T), ImageError>,
    ) -> Result<(u64, Digest, T), ImageError> {
        match self {
            Self::Directory { top, added } => {
                let part = tempfile::Builder::new()
                    .prefix(UNFINISHED)
                    .tempfile_in(*top)
                    .at("make a file in", top)?;
                let mut out = std::io::BufWriter::with_capacity(1 << 20, part.as_file());
                let done = write(&mut out)?;
                out.flush().map_err(ImageError::Write)?;
                drop(out);
                let path = top.join(name_of(done.1));
                let is_there = path.symlink_metadata().is_ok();
                if is_there && is_intact(&path, done.0, done.1) {
                    return Ok(done);
                }
                keep(part, &path)?;
                // in place of a damaged one, to which other images refer
                if !is_there {
                    added.push(path);
                }
                Ok(done)
            }
            Self::Archive { out, time } => {
                let start = out.stream_position().map_err(ImageError::Write)?;
                out.write_all(&[0; BLOCK_BYTES]).map_err(ImageError::Write)?;
                let mut buffered = std::io::BufWriter::with_capacity(1 << 20, &mut **out);
                let done = write(&mut buffered)?;
                buffered.flush().map_err(ImageError::Write)?;
                drop(buffered);
                let header = header(&name_of(done.1), done.0, *time);
                let padding = padding(done.0);
                out.write_all(&padding).map_err(ImageError::Write)?;
                let end = out.stream_position().map_err(ImageError::Write)?;
                out.seek(SeekFrom::Start(start))
                    .and_then(|_| out.write_all(&header))
                    .and_then(|()| out.seek(SeekFrom::Start(end)))
                    .map_err(ImageError::Write)?;
                Ok(done)
            }
        }
    }

    /// Whether a layout in a directory has this file already.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory { top, .. } => top.join(name).is_file(),
            Self::Archive { .. } => false,
        }
    }

    /// Whether a file of this digest and size is there, so that it need not be written.
    pub(super) fn has_blob(&self, name_of: NameOf, digest: Digest, size: u64) -> bool {
        let Self::Directory { top, .. } = self else { return false };
        is_intact(&top.join(name_of(digest)), size, digest)
    }

    /// Writes a small file of this name.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        match self {
            Self::Directory { top, .. } => {
                let part = tempfile::Builder::new()
                    .prefix(UNFINISHED)
                    .tempfile_in(*top)
                    .at("make a file in", top)?;
                part.as_file().write_all(bytes).map_err(ImageError::Write)?;
                keep(part, &top.join(name))
            }
            Self::Archive { out, time } => {
                let mut entry = header(name, bytes.len() as u64, *time);
                entry.extend_from_slice(bytes);
                entry.extend_from_slice(&padding(bytes.len() as u64));
                out.write_all(&entry).map_err(ImageError::Write)
            }
        }
    }

    /// Writes bytes that are named after their digest; returns it.
    pub(super) fn document(&mut self, name_of: NameOf, bytes: &[u8]) -> Result<Digest, ImageError> {
        let (_, digest, ()) = self.blob(name_of, |out| {
            out.write_all(bytes).map_err(ImageError::Write)?;
            Ok((bytes.len() as u64, Digest::of(bytes), ()))
        })?;
        Ok(digest)
    }

    /// Ends the archive; what is in the directory stays.
    pub(super) fn finish(mut self) -> Result<(), ImageError> {
        match &mut self {
            Self::Directory { added, .. } => added.clear(),
            Self::Archive { out, .. } => {
                out.write_all(&[0; 2 * BLOCK_BYTES]).map_err(ImageError::Write)?;
                let size = out.stream_position().map_err(ImageError::Write)?;
                out.set_len(size).map_err(ImageError::Write)?;
            }
        }
        Ok(())
    }
}

/// Whether the file at `path` has this size and digest: nobody knows what became of it since it
/// was written.
fn is_intact(path: &Path, size: u64, digest: Digest) -> bool {
    let found = path.symlink_metadata();
    if !found.is_ok_and(|found| found.is_file() && found.len() == size) {
        return false;
    }
    let mut hasher = sha2::Sha256::default();
    let read = File::open(path).and_then(|file| {
        let mut file = std::io::BufReader::with_capacity(1 << 20, file);
        loop {
            let bytes = file.fill_buf()?;
            if bytes.is_empty() {
                return Ok(());
            }
            hasher.update(bytes);
            let count = bytes.len();
            file.consume(count);
        }
    });
    read.is_ok() && Digest::from_bytes(hasher.finalize().into()) == digest
}

/// Gives a finished file its name, for everyone to read.
fn keep(part: tempfile::NamedTempFile, path: &Path) -> Result<(), ImageError> {
    use std::os::unix::fs::PermissionsExt as _;
    let readable = std::fs::Permissions::from_mode(0o644);
    part.as_file().set_permissions(readable).at("write", path)?;
    part.as_file().sync_data().at("write", path)?;
    part.persist(path).map_err(|error| error.error).at("write", path)?;
    Ok(())
}

fn header(name: &str, size: u64, mtime: Epoch) -> Vec<u8> {
    let metadata = Metadata { mode: 0o644, mtime };
    let mut header = Vec::with_capacity(BLOCK_BYTES);
    encode(&Entry { path: name.as_bytes(), metadata, kind: EntryKind::File(size) }, &mut header);
    header
}

fn padding(size: u64) -> Vec<u8> {
    let behind = usize::try_from(size % BLOCK_BYTES as u64).unwrap_or(0);
    vec![0; behind.next_multiple_of(BLOCK_BYTES) - behind]
}
