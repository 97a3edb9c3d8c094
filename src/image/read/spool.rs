//! A file's bytes kept for reading by offset: small ones in memory, large ones on disk.

use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tempfile::{SpooledData, SpooledTempFile};

use super::Chunk;
use crate::base::fs::{PathContext as _, PathError};
use crate::elf::ReadAt;

/// Bytes of one file that are held in memory.
const IN_MEMORY: usize = 32 << 20;

/// Takes a file's bytes in order.
#[derive(Debug)]
pub struct Spool {
    bytes: SpooledTempFile,
    scratch: PathBuf,
    /// Nothing more is taken after it.
    failure: Option<io::Error>,
}

impl Spool {
    /// For one file, on disk in `scratch` if it is large.
    #[must_use]
    pub fn new(scratch: &Path) -> Self {
        let bytes = SpooledTempFile::new_in(IN_MEMORY, scratch);
        Self { bytes, scratch: scratch.to_owned(), failure: None }
    }

    /// Takes the next piece; of a hole nothing is written.
    pub fn take(&mut self, chunk: &Chunk<'_>) {
        if self.failure.is_none() {
            self.failure = self.try_take(chunk).err();
        }
    }

    fn try_take(&mut self, chunk: &Chunk<'_>) -> io::Result<()> {
        match chunk {
            Chunk::Data(data) => self.bytes.write_all(data),
            Chunk::Hole(size) => {
                let end = self.bytes.stream_position()?.saturating_add((*size).into());
                // a long hole is not for memory either
                if end > IN_MEMORY as u64 {
                    self.bytes.roll()?;
                }
                self.bytes.set_len(end)?;
                self.bytes.seek(SeekFrom::Start(end)).map(drop)
            }
        }
    }

    /// The file as a whole.
    ///
    /// # Errors
    /// The directory for scratch took no more of it.
    pub fn finish(self) -> Result<Spooled, PathError> {
        let result = self.failure.map_or(Ok(()), Err);
        result.at("write a large file of the image to", &self.scratch)?;
        Ok(Spooled(self.bytes.into_inner()))
    }
}

/// A file that was taken.
#[derive(Debug)]
pub struct Spooled(SpooledData);

impl ReadAt for Spooled {
    fn size(&self) -> u64 {
        match &self.0 {
            SpooledData::InMemory(bytes) => ReadAt::size(&bytes.get_ref().as_slice()),
            SpooledData::OnDisk(file) => ReadAt::size(file),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.0 {
            SpooledData::InMemory(bytes) => {
                ReadAt::read_at(&bytes.get_ref().as_slice(), buffer, offset)
            }
            SpooledData::OnDisk(file) => ReadAt::read_at(file, buffer, offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_again_in_memory_and_on_disk_and_holes_are_zeros() {
        for hole in [10_u32, 100 << 20] {
            let mut spool = Spool::new(&std::env::temp_dir());
            for chunk in [Chunk::Data(b"head"), Chunk::Hole(hole), Chunk::Data(b"tail")] {
                spool.take(&chunk);
            }
            spool.take(&Chunk::Hole(3));
            let kept = spool.finish().unwrap();
            assert_eq!(matches!(kept.0, SpooledData::OnDisk(_)), hole > 10);
            assert_eq!(kept.size(), u64::from(hole) + 11);
            let mut bytes = [1; 16];
            assert_eq!(kept.read_at(&mut bytes, u64::from(hole) + 2).unwrap(), 9);
            assert_eq!(&bytes[..9], b"\0\0tail\0\0\0");
            assert_eq!(kept.read_at(&mut bytes, 0).unwrap(), 16);
            assert_eq!(&bytes[..8], b"head\0\0\0\0");
        }
    }

    #[test]
    fn no_room_is_told_with_the_directory() {
        let mut spool = Spool::new(Path::new("/nowhere/at all"));
        spool.take(&Chunk::Hole(64 << 20));
        spool.take(&Chunk::Data(b"x"));
        let error = spool.finish().unwrap_err();
        assert!(error.to_string().contains("/nowhere/at all"), "{error}");
    }
}
