//! The bytes of a file, wherever they are: on the host, in memory, in an image.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// A file that is read by offset.
pub trait ReadAt {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Reads from `offset` on into `buffer`; how many bytes, at least one unless the file ends
    /// there.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn size(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }
}

impl ReadAt for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let size = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..size), rest.get(..size)) {
            to.copy_from_slice(from);
        }
        Ok(size)
    }
}

/// Bytes that are asked for at once: the tables of an ELF file lie close together.
const WINDOW: u64 = 16 << 10;

/// Windows that are kept: strings and the tables that point into them take turns.
const WINDOWS: usize = 2;

/// A position in a file that is read a window at a time.
pub(super) struct Windows<'a> {
    source: &'a dyn ReadAt,
    size: u64,
    position: u64,
    /// Start and bytes, the one used last at the end.
    kept: Vec<(u64, Vec<u8>)>,
}

impl<'a> Windows<'a> {
    pub(super) fn new(source: &'a dyn ReadAt) -> Self {
        Self { source, size: source.size(), position: 0, kept: Vec::new() }
    }

    /// Makes the window with `position` the last one of those kept.
    fn load(&mut self) -> io::Result<()> {
        let start = self.position / WINDOW * WINDOW;
        if let Some(known) = self.kept.iter().position(|(kept, _)| *kept == start) {
            let window = self.kept.remove(known);
            self.kept.push(window);
            return Ok(());
        }
        let want = usize::try_from(WINDOW.min(self.size.saturating_sub(start))).unwrap_or(0);
        let mut bytes = vec![0; want];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.source.read_at(rest, start + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        if self.kept.len() >= WINDOWS {
            self.kept.remove(0);
        }
        self.kept.push((start, bytes));
        Ok(())
    }
}

impl Read for Windows<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        self.load()?;
        let Some((start, bytes)) = self.kept.last() else { return Ok(0) };
        let inside = usize::try_from(self.position - start).unwrap_or(usize::MAX);
        let count = bytes.get(inside..).unwrap_or_default().read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Windows<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Fills `buffer` from the start of `source` on, as far as it goes; how far.
pub(super) fn read_start(source: &dyn ReadAt, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read_at(rest, filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_the_files_own_in_whatever_order_it_is_read() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|at| at.to_le_bytes()[at as usize % 3]).collect();
        let source = &bytes[..];
        let mut windows = Windows::new(&source);
        for (at, length) in [
            (0, 10),
            (99_990, 10),
            (16_380, 9),
            (50_000, 40_000),
            (3, 1),
            (99_999, 5),
            (200_000, 1),
        ] {
            windows.seek(SeekFrom::Start(at as u64)).unwrap();
            let mut got = Vec::new();
            (&mut windows).take(length as u64).read_to_end(&mut got).unwrap();
            let want = bytes.get(at..bytes.len().min(at + length)).unwrap_or_default();
            assert!(got == want, "{length} at {at}");
        }
        assert_eq!(windows.seek(SeekFrom::End(-1)).unwrap(), 99_999);
        assert!(windows.seek(SeekFrom::Current(-100_000)).is_err());
    }
}
