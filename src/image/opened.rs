//! Files of the host, opened to be read to their end.

use std::fs::File as HostFile;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::ImageError;
use super::buffer::Buffer;
use crate::base::fs::{PathContext as _, PathError};
use crate::rootfs::{FileId, Part, Rootfs, Stamp};

/// Opens a file that was regular when planned, without waiting should it be a FIFO now.
pub(super) fn open(path: &Path) -> Result<Opened, PathError> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = HostFile::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .at("open", path)?;
    let begun = stamp(&file).at("look at", path)?;
    Ok(Opened { file, begun })
}

/// Opens the file `id` of `rootfs`, at `path`, which must not have been written to since it was
/// planned. A change of its size is told of by whoever reads it.
pub(super) fn open_planned(rootfs: &Rootfs, id: FileId, path: &Path) -> Result<Opened, ImageError> {
    let opened = open(path)?;
    let [size, seconds, nanoseconds] = opened.begun;
    let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
    let stamp = Stamp::at(number(seconds), number(nanoseconds));
    let same = rootfs.stamp(id).is_none_or(|planned| planned == stamp);
    if same || size != i128::from(rootfs.file(id).size) {
        return Ok(opened);
    }
    Err(ImageError::Altered { path: path.to_owned() })
}

/// A file of the host whose end is only reached if nobody has written to it since it was opened.
pub(super) struct Opened {
    pub(super) file: HostFile,
    begun: [i128; 3],
}

/// That somebody has.
#[derive(Debug, thiserror::Error)]
#[error("it was written to meanwhile")]
struct WrittenTo;

impl Read for Opened {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(to)?;
        if read == 0 && !to.is_empty() && stamp(&self.file)? != self.begun {
            return Err(io::Error::other(WrittenTo));
        }
        Ok(read)
    }
}

/// What writing to a file changes: its size, and its time to the nanosecond.
fn stamp(file: &HostFile) -> io::Result<[i128; 3]> {
    let found = rustix::fs::fstat(file)?;
    Ok([found.st_size.into(), found.st_mtime.into(), found.st_mtime_nsec.into()])
}

/// Why a file of this planned size could not be read.
pub(super) fn failed(error: io::Error, path: &Path, planned: u64) -> ImageError {
    if let Some(inner) = error.get_ref()
        && inner.is::<WrittenTo>()
    {
        return ImageError::Changed { path: path.to_owned(), planned, read: planned };
    }
    PathError { action: "read", path: path.to_owned(), source: error }.into()
}

/// Appends `file`, which is at `path`, to `buffer`, which has more than `size` bytes left.
pub(super) fn read_whole(
    path: &Path,
    file: &mut impl Read,
    size: u64,
    buffer: &mut Buffer,
) -> Result<(), ImageError> {
    // less than a block
    let planned = usize::try_from(size).unwrap_or(usize::MAX);
    let got = buffer.read_from(file, planned.saturating_add(1));
    let got = got.map_err(|error| failed(error, path, size))?;
    if got != planned {
        return Err(ImageError::Changed { path: path.to_owned(), planned: size, read: got as u64 });
    }
    Ok(())
}

/// A range of a file, read from its beginning to its end.
pub(super) struct PartReader<'a> {
    part: &'a Part,
    done: u64,
    size: u64,
}

impl<'a> PartReader<'a> {
    /// A reader of `size` bytes.
    pub(super) fn new(part: &'a Part, size: u64) -> Self {
        Self { part, done: 0, size }
    }
}

impl Read for PartReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        let left = usize::try_from(self.size - self.done).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let wanted = buffer.get_mut(..wanted).unwrap_or_default();
        let read = self.part.file.read_at(wanted, self.part.start.saturating_add(self.done))?;
        self.done += read as u64;
        Ok(read)
    }
}
