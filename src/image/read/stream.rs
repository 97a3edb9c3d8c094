//! Streams of metadata, and the listings of directories: read as they are needed, since a hostile
//! image may claim to have any number of anything.

use std::rc::Rc;

use super::filesystem::{FileSystem, Reference};
use super::source::Fields;
use crate::image::ImageError;

/// Reads on through metadata blocks.
pub(super) struct Stream<'a> {
    from: &'a FileSystem,
    /// The next byte; the block counts from the image's start.
    at: Reference,
    /// The block that this is in, once it was needed, and where the next one is.
    block: Option<(Rc<Vec<u8>>, u64)>,
}

impl<'a> Stream<'a> {
    /// A stream that begins at `at` in the table that begins at `table`.
    pub(super) fn new(from: &'a FileSystem, table: u64, at: Reference) -> Self {
        let at = Reference { block: table.saturating_add(at.block), ..at };
        Self { from, at, block: None }
    }

    /// The place of the next byte, its block counted from the image's start.
    pub(super) const fn here(&self) -> Reference {
        self.at
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ImageError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next `length` bytes, of which there are at most 64 KiB.
    pub(super) fn bytes(&mut self, length: u16) -> Result<Vec<u8>, ImageError> {
        let mut bytes = vec![0; usize::from(length)];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, mut to: &mut [u8]) -> Result<(), ImageError> {
        while !to.is_empty() {
            let (block, next) = match self.block.take() {
                Some(block) => block,
                None => self.from.metadata_block(self.at.block)?,
            };
            let here = block.get(usize::from(self.at.offset)..).unwrap_or_default();
            let size = here.len().min(to.len());
            if size == 0 {
                let Reference { block, offset } = self.at;
                let what = format!("nothing at {offset} of the metadata block at byte {block}");
                return Err(self.from.broken(&what));
            }
            let (now, later) = to.split_at_mut(size);
            now.copy_from_slice(here.get(..size).unwrap_or_default());
            to = later;
            if size == here.len() {
                self.at = Reference { block: next, offset: 0 };
            } else {
                // a block has at most 8192 bytes
                self.at.offset += u16::try_from(size).unwrap_or(u16::MAX);
                self.block = Some((block, next));
            }
        }
        Ok(())
    }
}

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: Vec<u8>,
    pub(super) inode: Reference,
}

/// The entries of a directory, in byte order, no name twice.
pub(super) struct Listing<'a> {
    stream: Stream<'a>,
    /// Bytes that are still to come.
    left: u32,
    /// Entries that still belong to the last header.
    run: u32,
    /// The metadata block that their inodes are in.
    block: u64,
    last: Vec<u8>,
}

impl<'a> Listing<'a> {
    /// The listing of `bytes` bytes that `stream` begins with.
    pub(super) const fn new(stream: Stream<'a>, bytes: u32) -> Self {
        Self { stream, left: bytes, run: 0, block: 0, last: Vec::new() }
    }

    /// The next entry.
    pub(super) fn next(&mut self) -> Result<Option<Listed>, ImageError> {
        if self.run == 0 {
            if self.left == 0 {
                return Ok(None);
            }
            self.header()?;
        }
        self.run -= 1;
        self.spend(8)?;
        let entry: [u8; 8] = self.stream.array()?;
        let mut fields = Fields::of(&entry);
        let (offset, _number, _kind) = (fields.half(), fields.half(), fields.half());
        let length = fields.half().saturating_add(1);
        self.spend(length)?;
        let name = self.stream.bytes(length)?;
        self.check_name(&name)?;
        self.last.clone_from(&name);
        Ok(Some(Listed { name, inode: Reference { block: self.block, offset } }))
    }

    fn header(&mut self) -> Result<(), ImageError> {
        self.spend(12)?;
        let header: [u8; 12] = self.stream.array()?;
        let mut fields = Fields::of(&header);
        let count = fields.word();
        if count >= 256 {
            return Err(self.broken(&format!("{count} entries in one run")));
        }
        self.run = count + 1;
        self.block = u64::from(fields.word());
        Ok(())
    }

    fn spend(&mut self, bytes: u16) -> Result<(), ImageError> {
        match self.left.checked_sub(u32::from(bytes)) {
            Some(left) => self.left = left,
            None => return Err(self.broken("a false length")),
        }
        Ok(())
    }

    /// A name must be one component, none that leads elsewhere, and come after the one before it.
    fn check_name(&self, name: &[u8]) -> Result<(), ImageError> {
        let leads_elsewhere =
            name == b"." || name == b".." || name.iter().any(|b| matches!(b, b'/' | 0));
        if leads_elsewhere || name.len() > 255 {
            let name = String::from_utf8_lossy(name);
            return Err(self.broken(&format!("the name `{}`", name.escape_debug())));
        }
        if self.last.as_slice() >= name {
            return Err(self.broken("names out of order"));
        }
        Ok(())
    }

    fn broken(&self, what: &str) -> ImageError {
        let Reference { block, offset } = self.stream.here();
        self.stream.from.broken(&format!(
            "a directory has {what}, before {offset} of the metadata block at byte {block}"
        ))
    }
}
