//! The bytes of an image, of which nothing is believed.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::base::fs::PathContext as _;
use crate::image::ImageError;

/// A part of a file, read by offset.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    path: PathBuf,
    start: u64,
    length: u64,
}

impl Source {
    /// All of the file at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, ImageError> {
        let file = open(path)?;
        let found = file.metadata().at("read", path)?;
        Ok(Self { file, path: path.to_owned(), start: 0, length: found.len() })
    }

    /// The same bytes once more.
    pub(super) fn again(&self) -> Result<Self, ImageError> {
        let file = self.file.try_clone().at("open", &self.path)?;
        Ok(Self { file, path: self.path.clone(), ..*self })
    }

    /// Only `length` bytes from `start` on.
    pub(super) fn part(self, start: u64, length: u64) -> Result<Self, ImageError> {
        match start.checked_add(length) {
            Some(end) if end <= self.length => {
                Ok(Self { start: self.start + start, length, ..self })
            }
            _ => Err(self.broken(&format!(
                "{length} bytes at byte {start} do not lie in a file of {} bytes",
                self.length
            ))),
        }
    }

    /// Whether this is less than a whole file.
    pub(super) const fn is_part(&self) -> bool {
        self.start > 0
    }

    /// Bytes in this part.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Fills `buffer` from `offset` on.
    pub(super) fn read(
        &self,
        offset: u64,
        buffer: &mut [u8],
        what: &str,
    ) -> Result<(), ImageError> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(self.broken(&format!("its end is missing: no {what} at byte {offset}")));
        }
        Ok(self.file.read_exact_at(buffer, self.start + offset).at("read", &self.path)?)
    }

    /// The next `N` bytes from `offset` on.
    pub(super) fn array<const N: usize>(
        &self,
        offset: u64,
        what: &str,
    ) -> Result<[u8; N], ImageError> {
        let mut bytes = [0; N];
        self.read(offset, &mut bytes, what)?;
        Ok(bytes)
    }

    /// An error that tells what is wrong with this image.
    pub(super) fn broken(&self, what: &str) -> ImageError {
        ImageError::Malformed { path: self.path.clone(), what: what.to_owned() }
    }
}

/// Opens the image, or part of one, at `path`, without waiting should it be a FIFO.
pub(super) fn open(path: &Path) -> Result<File, ImageError> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let mut options = File::options();
    let options = options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(path).at("open", path)?;
    if file.metadata().at("read", path)?.is_file() {
        return Ok(file);
    }
    let what = "it is not a regular file".to_owned();
    Err(ImageError::Malformed { path: path.to_owned(), what })
}

/// Little-endian numbers from a run of bytes; zero past its end, which callers rule out by length.
#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields in `bytes`.
    pub(super) const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes.
    pub(super) fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((first, rest)) = self.0.split_first_chunk() else {
            self.0 = &[];
            return [0; N];
        };
        self.0 = rest;
        *first
    }

    /// The next 16 bits.
    pub(super) fn half(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    /// The next 32 bits.
    pub(super) fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    /// The next 64 bits.
    pub(super) fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}
