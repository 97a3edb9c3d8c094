//! A squashfs, read by reference: superblock, metadata blocks, inodes, listings.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::decompress::Decompress;
use super::source::{Fields, Source};
use super::stream::{Listing, Stream};
use crate::base::Epoch;
use crate::image::ImageError;
use crate::image::squashfs::format::{
    DATA_STORED, DIRECTORY_EXTRA, METADATA_BYTES, METADATA_STORED, NONE_32, SUPERBLOCK_BYTES,
};
use crate::rootfs::{Metadata, SpecialKind};

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
    Directory { listing: Reference, bytes: u32 },
    File(Content),
    Symlink(Vec<u8>),
    Special(SpecialKind),
    Device,
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) start: u64,
    pub(super) fragment: Option<u32>,
    pub(super) offset: u32,
    /// Where the lengths of its blocks are, in the inode table's metadata blocks.
    pub(super) lengths: Reference,
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

    /// The bytes that this is read from.
    pub(super) fn source(&self) -> Result<Source, ImageError> {
        self.source.again()
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
            2 => basic_file(&stream.array()?, stream.here()),
            9 => extended_file(&stream.array()?, stream.here()),
            3 | 10 => self.symlink(&mut stream)?,
            4 | 5 | 11 | 12 => (u32::from_le_bytes(stream.array()?), Kind::Device),
            6 | 13 => (u32::from_le_bytes(stream.array()?), Kind::Special(SpecialKind::Fifo)),
            7 | 14 => (u32::from_le_bytes(stream.array()?), Kind::Special(SpecialKind::Socket)),
            _ => {
                return Err(self.broken(&format!("inode type {code} at {reference:?}")));
            }
        };
        let metadata = Metadata { mode: mode & 0o7777, mtime: Epoch::from_seconds(time) };
        Ok(Inode { number, metadata, links, kind })
    }

    fn symlink(&self, stream: &mut Stream) -> Result<(u32, Kind), ImageError> {
        let bytes: [u8; 8] = stream.array()?;
        let mut fields = Fields::of(&bytes);
        let (links, length) = (fields.word(), fields.word());
        match u16::try_from(length) {
            Ok(length @ 1..) => Ok((links, Kind::Symlink(stream.bytes(length)?))),
            _ => Err(self.broken(&format!("a symbolic link of {length} bytes"))),
        }
    }

    /// The entries of a directory.
    pub(super) fn listing(&self, at: Reference, bytes: u32) -> Listing<'_> {
        let stream = Stream::new(self, self.directory_table, at);
        Listing::new(stream, bytes.saturating_sub(DIRECTORY_EXTRA))
    }

    /// The lengths of a file's blocks, one by one: of a hostile image there may be very many.
    pub(super) fn block_lengths(&self, content: &Content) -> Stream<'_> {
        Stream::new(self, 0, content.lengths)
    }

    /// The metadata block at `position`, and where the next one is.
    pub(super) fn metadata_block(&self, position: u64) -> Result<Block, ImageError> {
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

    /// The data block at `start` of this length and flag, which must become `want` bytes.
    pub(super) fn data_block(
        &self,
        start: u64,
        length: u32,
        want: u32,
    ) -> Result<Vec<u8>, ImageError> {
        let block = self.block(start, length, want)?;
        if block.len() != want as usize {
            let got = block.len();
            let what = format!("the data block at byte {start} has {got} bytes and not {want}");
            return Err(self.broken(&what));
        }
        Ok(block)
    }

    /// The block at `start`, which becomes at most `limit` bytes.
    fn block(&self, start: u64, length: u32, limit: u32) -> Result<Vec<u8>, ImageError> {
        let stored = length & DATA_STORED != 0;
        let length = length & !DATA_STORED;
        let bad = || self.broken(&format!("a broken data block at byte {start}"));
        if length > self.block_bytes {
            return Err(bad());
        }
        let mut bytes = vec![0; length as usize];
        self.source.read(start, &mut bytes, "data block")?;
        if stored {
            return Ok(bytes);
        }
        self.decompress.borrow_mut().run(&bytes, limit as usize).ok_or_else(bad)
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
        let bytes = Rc::new(self.block(start, length, self.block_bytes)?);
        let mut kept = self.kept_fragments.borrow_mut();
        if kept.len() >= KEPT_FRAGMENTS {
            kept.pop_first();
        }
        kept.insert(number, Rc::clone(&bytes));
        Ok(bytes)
    }
}

fn basic_file(bytes: &[u8; 16], lengths: Reference) -> (u32, Kind) {
    let mut fields = Fields::of(bytes);
    let (start, fragment, offset) = (u64::from(fields.word()), fields.word(), fields.word());
    let size = u64::from(fields.word());
    let fragment = (fragment != NONE_32).then_some(fragment);
    (1, Kind::File(Content { size, start, fragment, offset, lengths }))
}

fn extended_file(bytes: &[u8; 40], lengths: Reference) -> (u32, Kind) {
    let mut fields = Fields::of(bytes);
    let (start, size, _sparse) = (fields.long(), fields.long(), fields.long());
    let (links, fragment, offset) = (fields.word(), fields.word(), fields.word());
    let fragment = (fragment != NONE_32).then_some(fragment);
    (links, Kind::File(Content { size, start, fragment, offset, lengths }))
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
