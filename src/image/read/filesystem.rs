//! A squashfs, read by reference: superblock, metadata blocks, inodes, listings.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::decompress::Decompress;
use super::source::{Fields, Source};
use crate::base::Epoch;
use crate::image::ImageError;
use crate::image::squashfs::format::{
    DATA_STORED, DIRECTORY_EXTRA, METADATA_BYTES, METADATA_STORED, NONE_32, SUPERBLOCK_BYTES,
};
use crate::rootfs::Metadata;

/// Metadata blocks kept: 2 MiB.
const KEPT_METADATA: usize = 256;
/// Fragment blocks kept: at most 8 MiB.
const KEPT_FRAGMENTS: usize = 8;

/// A squashfs of which the superblock makes sense.
#[derive(Debug)]
pub(super) struct FileSystem {
    source: Source,
    pub(super) root: Reference,
    pub(super) inodes: u32,
    pub(super) block_bytes: u32,
    fragments: u32,
    inode_table: u64,
    directory_table: u64,
    fragment_table: u64,
    decompress: RefCell<Decompress>,
    /// Uncompressed metadata blocks by position, and where the next one is.
    metadata: RefCell<BTreeMap<u64, Block>>,
    kept_fragments: RefCell<BTreeMap<u32, Rc<Vec<u8>>>>,
}

/// An uncompressed metadata block, and where the next one is.
type Block = (Rc<Vec<u8>>, u64);

/// Where an inode or a listing is: a metadata block, from its table's start, and a place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    pub(super) block: u64,
    pub(super) offset: u16,
}

/// An inode.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) number: u32,
    pub(super) metadata: Metadata,
    pub(super) links: u32,
    pub(super) kind: Kind,
}

/// What an inode is of.
#[derive(Debug)]
pub(super) enum Kind {
    Directory {
        listing: Reference,
        bytes: u32,
    },
    File(Content),
    Symlink(Vec<u8>),
    /// Device, FIFO or socket.
    Special,
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) start: u64,
    pub(super) fragment: Option<u32>,
    pub(super) offset: u32,
    pub(super) blocks: Vec<u32>,
}

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: Vec<u8>,
    pub(super) inode: Reference,
}

impl FileSystem {
    /// The squashfs that `source` is.
    pub(super) fn open(source: Source) -> Result<Self, ImageError> {
        let bytes: [u8; SUPERBLOCK_BYTES] = source.array(0, "superblock")?;
        let mut fields = Fields::of(&bytes);
        if fields.take() != *b"hsqs" {
            return Err(source.broken("it is neither a SIF nor a squashfs"));
        }
        let (inodes, _time, block_bytes, fragments) =
            (fields.word(), fields.word(), fields.word(), fields.word());
        let (codec, log, _flags, _ids) =
            (fields.half(), fields.half(), fields.half(), fields.half());
        let (major, minor, root, used) =
            (fields.half(), fields.half(), fields.long(), fields.long());
        let (_id_table, _xattrs, inode_table) = (fields.long(), fields.long(), fields.long());
        let (directory_table, fragment_table) = (fields.long(), fields.long());
        if (major, minor) != (4, 0) {
            return Err(source.broken(&format!("squashfs version {major}.{minor} is not known")));
        }
        if !(12..=20).contains(&log) || block_bytes != 1 << log {
            return Err(source.broken(&format!("{block_bytes} bytes a block, log {log}")));
        }
        if used > source.length() {
            let length = source.length();
            return Err(source.broken(&format!("its end is missing: {length} of {used} bytes")));
        }
        let decompress = Decompress::new(codec)
            .map_err(|name| source.broken(&format!("{name} is not read here")))?;
        let [root_block, root_offset] = [root >> 16, root & 0xffff];
        Ok(Self {
            root: Reference { block: root_block, offset: u16::try_from(root_offset).unwrap_or(0) },
            inodes,
            block_bytes,
            fragments,
            inode_table,
            directory_table,
            fragment_table,
            decompress: RefCell::new(decompress),
            metadata: RefCell::default(),
            kept_fragments: RefCell::default(),
            source,
        })
    }

    /// An error that tells what is wrong with this image.
    pub(super) fn broken(&self, what: &str) -> ImageError {
        self.source.broken(what)
    }

    /// The inode at `reference`.
    pub(super) fn inode(&self, reference: Reference) -> Result<Inode, ImageError> {
        let mut stream = Stream::new(self, self.inode_table, reference);
        let head: [u8; 16] = stream.array()?;
        let mut fields = Fields::of(&head);
        let (code, mode, _owner, _group) =
            (fields.half(), fields.half(), fields.half(), fields.half());
        let (time, number) = (fields.word(), fields.word());
        let (links, kind) = match code {
            1 => basic_directory(&stream.array()?),
            8 => extended_directory(&stream.array()?),
            2 => self.basic_file(&mut stream)?,
            9 => self.extended_file(&mut stream)?,
            3 | 10 => self.symlink(&mut stream)?,
            4..=7 | 11..=14 => (u32::from_le_bytes(stream.array()?), Kind::Special),
            _ => {
                return Err(self.broken(&format!("inode type {code} at {reference:?}")));
            }
        };
        let metadata = Metadata { mode: mode & 0o7777, mtime: Epoch::from_seconds(time) };
        Ok(Inode { number, metadata, links, kind })
    }

    fn basic_file(&self, stream: &mut Stream) -> Result<(u32, Kind), ImageError> {
        let bytes: [u8; 16] = stream.array()?;
        let mut fields = Fields::of(&bytes);
        let (start, fragment, offset, size) =
            (fields.word(), fields.word(), fields.word(), fields.word());
        let (start, size) = (u64::from(start), u64::from(size));
        Ok((1, self.file(stream, Content::new(size, start, fragment, offset))?))
    }

    fn extended_file(&self, stream: &mut Stream) -> Result<(u32, Kind), ImageError> {
        let bytes: [u8; 40] = stream.array()?;
        let mut fields = Fields::of(&bytes);
        let (start, size, _sparse) = (fields.long(), fields.long(), fields.long());
        let (links, fragment, offset) = (fields.word(), fields.word(), fields.word());
        Ok((links, self.file(stream, Content::new(size, start, fragment, offset))?))
    }

    fn file(&self, stream: &mut Stream, mut content: Content) -> Result<Kind, ImageError> {
        let block = u64::from(self.block_bytes);
        let count = match content.fragment {
            Some(_) => content.size / block,
            None => content.size.div_ceil(block),
        };
        // one by one: a false size ends with the table, before memory does
        for _ in 0..count {
            content.blocks.push(u32::from_le_bytes(stream.array()?));
        }
        Ok(Kind::File(content))
    }

    fn symlink(&self, stream: &mut Stream) -> Result<(u32, Kind), ImageError> {
        let bytes: [u8; 8] = stream.array()?;
        let mut fields = Fields::of(&bytes);
        let (links, length) = (fields.word(), fields.word());
        if !(1..=65_535).contains(&length) {
            return Err(self.broken(&format!("a symbolic link of {length} bytes")));
        }
        Ok((links, Kind::Symlink(stream.bytes(length as usize)?)))
    }

    /// The entries of a directory, in byte order, no name twice.
    pub(super) fn listing(&self, at: Reference, bytes: u32) -> Result<Vec<Listed>, ImageError> {
        let mut stream = Stream::new(self, self.directory_table, at);
        let mut left = u64::from(bytes.saturating_sub(DIRECTORY_EXTRA));
        let mut entries = Vec::new();
        let mut spend = |bytes: usize| {
            left = left.checked_sub(bytes as u64)?;
            Some(left)
        };
        let overrun = || self.broken(&format!("a directory of false length at {at:?}"));
        if spend(0) == Some(0) {
            return Ok(entries);
        }
        loop {
            spend(12).ok_or_else(overrun)?;
            let header: [u8; 12] = stream.array()?;
            let mut fields = Fields::of(&header);
            let (count, block) = (fields.word(), u64::from(fields.word()));
            if count >= 256 {
                return Err(self.broken(&format!("{count} entries in one run at {at:?}")));
            }
            for _ in 0..=count {
                let entry: [u8; 8] = stream.array()?;
                let mut fields = Fields::of(&entry);
                let (offset, _number, _kind) = (fields.half(), fields.half(), fields.half());
                let length = usize::from(fields.half()) + 1;
                spend(8 + length).ok_or_else(overrun)?;
                let name = stream.bytes(length)?;
                self.check_name(&name)?;
                if entries.last().is_some_and(|last: &Listed| last.name >= name) {
                    return Err(
                        self.broken(&format!("names out of order in a directory at {at:?}"))
                    );
                }
                entries.push(Listed { name, inode: Reference { block, offset } });
            }
            if spend(0) == Some(0) {
                return Ok(entries);
            }
        }
    }

    /// A name must be one component, and none that leads elsewhere.
    fn check_name(&self, name: &[u8]) -> Result<(), ImageError> {
        let leads_elsewhere =
            name == b"." || name == b".." || name.iter().any(|b| matches!(b, b'/' | 0));
        if leads_elsewhere || name.len() > 255 {
            let name = String::from_utf8_lossy(name);
            return Err(self.broken(&format!("a file of the name `{}`", name.escape_debug())));
        }
        Ok(())
    }

    /// The metadata block at `position`, and where the next one is.
    fn metadata_block(&self, position: u64) -> Result<Block, ImageError> {
        if let Some(block) = self.metadata.borrow().get(&position) {
            return Ok(block.clone());
        }
        let head = u16::from_le_bytes(self.source.array(position, "metadata block")?);
        let length = usize::from(head & !METADATA_STORED);
        let bad = || self.broken(&format!("a broken metadata block at byte {position}"));
        if length == 0 || length > METADATA_BYTES {
            return Err(bad());
        }
        let mut bytes = vec![0; length];
        self.source.read(position + 2, &mut bytes, "metadata block")?;
        if head & METADATA_STORED == 0 {
            bytes = self.decompress.borrow_mut().run(&bytes, METADATA_BYTES).ok_or_else(bad)?;
        }
        let block = (Rc::new(bytes), position + 2 + length as u64);
        let mut kept = self.metadata.borrow_mut();
        if kept.len() >= KEPT_METADATA {
            kept.clear();
        }
        kept.insert(position, block.clone());
        Ok(block)
    }

    /// A data block at `start` of this length and flag, which is to have at most `limit` bytes.
    pub(super) fn data_block(
        &self,
        start: u64,
        length: u32,
        limit: u32,
    ) -> Result<Vec<u8>, ImageError> {
        let stored = length & DATA_STORED != 0;
        let length = length & !DATA_STORED;
        let bad = || self.broken(&format!("a broken data block at byte {start}"));
        if length > self.block_bytes {
            return Err(bad());
        }
        let mut bytes = vec![0; length as usize];
        self.source.read(start, &mut bytes, "data block")?;
        if !stored {
            return self.decompress.borrow_mut().run(&bytes, limit as usize).ok_or_else(bad);
        }
        Ok(bytes)
    }

    /// The fragment block of this number.
    pub(super) fn fragment(&self, number: u32) -> Result<Rc<Vec<u8>>, ImageError> {
        if let Some(kept) = self.kept_fragments.borrow().get(&number) {
            return Ok(Rc::clone(kept));
        }
        if number >= self.fragments {
            let all = self.fragments;
            return Err(self.broken(&format!("fragment {number} is asked for, of {all}")));
        }
        let slot = self.fragment_table.saturating_add(u64::from(number / 512) * 8);
        let block = u64::from_le_bytes(self.source.array(slot, "fragment table")?);
        // 512 entries of 16 bytes fill a metadata block
        let offset = u16::try_from(number % 512 * 16).unwrap_or(0);
        let entry: [u8; 16] = Stream::new(self, block, Reference { block: 0, offset }).array()?;
        let mut fields = Fields::of(&entry);
        let (start, length) = (fields.long(), fields.word());
        let bytes = Rc::new(self.data_block(start, length, self.block_bytes)?);
        let mut kept = self.kept_fragments.borrow_mut();
        if kept.len() >= KEPT_FRAGMENTS {
            kept.pop_first();
        }
        kept.insert(number, Rc::clone(&bytes));
        Ok(bytes)
    }
}

impl Content {
    fn new(size: u64, start: u64, fragment: u32, offset: u32) -> Self {
        let fragment = (fragment != NONE_32).then_some(fragment);
        Self { size, start, fragment, offset, blocks: Vec::new() }
    }
}

fn basic_directory(bytes: &[u8; 16]) -> (u32, Kind) {
    let mut fields = Fields::of(bytes);
    let (block, links) = (u64::from(fields.word()), fields.word());
    let (bytes, offset) = (u32::from(fields.half()), fields.half());
    (links, Kind::Directory { listing: Reference { block, offset }, bytes })
}

fn extended_directory(bytes: &[u8; 24]) -> (u32, Kind) {
    let mut fields = Fields::of(bytes);
    let (links, bytes, block) = (fields.word(), fields.word(), u64::from(fields.word()));
    let (_parent, _index, offset) = (fields.word(), fields.half(), fields.half());
    (links, Kind::Directory { listing: Reference { block, offset }, bytes })
}

/// Reads on through metadata blocks.
struct Stream<'a> {
    from: &'a FileSystem,
    block: Option<Rc<Vec<u8>>>,
    next: u64,
    offset: usize,
}

impl<'a> Stream<'a> {
    /// A stream that begins at `at` in the table that begins at `table`.
    fn new(from: &'a FileSystem, table: u64, at: Reference) -> Self {
        let next = table.saturating_add(at.block);
        Self { from, block: None, next, offset: usize::from(at.offset) }
    }

    fn fill(&mut self, mut to: &mut [u8]) -> Result<(), ImageError> {
        while !to.is_empty() {
            let block = self.block()?;
            let here = block.get(self.offset..).unwrap_or_default();
            let size = here.len().min(to.len());
            let (now, later) = to.split_at_mut(size);
            now.copy_from_slice(here.get(..size).unwrap_or_default());
            to = later;
            self.offset += size;
            if self.offset >= block.len() {
                self.block = None;
                self.offset = 0;
            }
        }
        Ok(())
    }

    /// The block that is being read, the next one where there is none.
    fn block(&mut self) -> Result<Rc<Vec<u8>>, ImageError> {
        if let Some(block) = &self.block {
            return Ok(Rc::clone(block));
        }
        let (at, offset) = (self.next, self.offset);
        let (block, next) = self.from.metadata_block(at)?;
        if offset >= block.len() {
            let what = format!("nothing at {offset} of the metadata block at byte {at}");
            return Err(self.from.broken(&what));
        }
        self.next = next;
        self.block = Some(Rc::clone(&block));
        Ok(block)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImageError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, ImageError> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}
