//! Inode and directory tables.
//!
//! A directory's inode holds where its listing is, and the listing where the inodes of its entries
//! are: so the tree is written from the leaves up. Below each directory come first the
//! subdirectories, then its other entries, whose inodes so lie side by side.

use std::io::Write;

use super::data::Data;
use super::format::{DIRECTORY_EXTRA, InodeRef, Kind, NONE_32};
use super::listing::{Listed, Listing};
use super::metadata::MetadataWriter;
use super::order::{Survey, subdirectories};
use crate::base::Epoch;
use crate::image::ImageError;
use crate::image::codec::Codec;
use crate::rootfs::{Directory, FileId, Metadata, Node, Rootfs, Special, SpecialKind, Symlink};

/// The tables under construction.
pub(super) struct Tables<'a, W> {
    rootfs: &'a Rootfs,
    survey: &'a Survey,
    data: &'a Data,
    block_size: u32,
    codec: Codec,
    inodes: MetadataWriter<W>,
    directories: MetadataWriter<Vec<u8>>,
    /// Inode of each file that has one already (number 0: not yet), by [`FileId::index`].
    files: Vec<(u32, InodeRef)>,
    /// Numbers given so far.
    numbers: u32,
    /// By inode number less one, if an export table is wanted.
    export: Option<Vec<InodeRef>>,
}

/// What has become of the tables.
pub(super) struct Written {
    /// The directory table, which is to follow.
    pub(super) directories: Vec<u8>,
    /// The root directory's inode.
    pub(super) root: InodeRef,
    /// By inode number less one, if an export table is wanted.
    pub(super) export: Option<Vec<InodeRef>>,
}

type Entries<'a> = Box<dyn Iterator<Item = (&'a [u8], &'a Node)> + 'a>;

/// A directory whose subdirectories are being written.
struct Frame<'a> {
    directory: &'a Directory,
    number: u32,
    parent: u32,
    rest: Entries<'a>,
    /// Number and inode of the subdirectories so far.
    below: Vec<(u32, InodeRef)>,
}

impl<'a, W: Write> Tables<'a, W> {
    /// Tables of `rootfs`, whose inode table starts at the present position of `out`.
    pub(super) fn new(
        rootfs: &'a Rootfs,
        survey: &'a Survey,
        data: &'a Data,
        block_size: u32,
        codec: Codec,
        out: W,
    ) -> Self {
        Self {
            rootfs,
            survey,
            data,
            block_size,
            codec,
            inodes: MetadataWriter::new(out),
            directories: MetadataWriter::new(Vec::new()),
            files: vec![(0, InodeRef::default()); rootfs.files().len()],
            numbers: 0,
            export: None,
        }
    }

    /// Also notes where each inode is.
    pub(super) fn with_export(mut self) -> Self {
        self.export = Some(vec![InodeRef::default(); self.survey.inodes as usize]);
        self
    }

    /// Writes all inodes; `check` is called for each directory.
    ///
    /// # Errors
    /// What squashfs cannot hold, what `check` says, failures of codec and output.
    pub(super) fn write(
        mut self,
        check: impl Fn() -> Result<(), ImageError>,
    ) -> Result<Written, ImageError> {
        // by convention the root's parent is the number behind the last one
        let mut stack = vec![self.enter(self.rootfs.root(), self.survey.inodes + 1)];
        let mut root = InodeRef::default();
        while let Some(frame) = stack.last_mut() {
            let number = frame.number;
            let next = frame.rest.find_map(|(_, node)| match node {
                Node::Directory(directory) => Some(directory),
                _ => None,
            });
            if let Some(directory) = next {
                let below = self.enter(directory, number);
                stack.push(below);
                continue;
            }
            check()?;
            let Some(frame) = stack.pop() else { break };
            root = self.leave(&frame)?;
            if let Some(parent) = stack.last_mut() {
                parent.below.push((number, root));
            }
        }
        self.inodes.finish(&mut self.codec)?;
        let (directories, _) = self.directories.finish(&mut self.codec)?;
        Ok(Written { directories, root, export: self.export })
    }

    fn enter(&mut self, directory: &'a Directory, parent: u32) -> Frame<'a> {
        let rest = Box::new(directory.entries());
        Frame { directory, number: self.number(), parent, rest, below: Vec::new() }
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    /// Writes the inodes of all entries that are no directories, the listing, and the directory's
    /// own inode.
    fn leave(&mut self, frame: &Frame) -> Result<InodeRef, ImageError> {
        let mut listing = Listing::new(&self.directories)?;
        let mut below = frame.below.iter().copied();
        for (name, node) in frame.directory.entries() {
            let (kind, (number, inode)) = match node {
                // as many as there were on the way down
                Node::Directory(_) => (Kind::Directory, below.next().unwrap_or_default()),
                Node::File(id) => (Kind::File, self.file(*id)?),
                Node::Symlink(link) => (Kind::Symlink, self.symlink(link)?),
                Node::Special(special) => self.special(special)?,
            };
            let entry = Listed { name, number, inode, kind };
            listing.push(&entry, &mut self.directories, &mut self.codec)?;
        }
        listing.flush(&mut self.directories, &mut self.codec)?;
        self.directory(frame, &listing)
    }

    fn directory(&mut self, frame: &Frame, listing: &Listing) -> Result<InodeRef, ImageError> {
        let size = listing.bytes.checked_add(DIRECTORY_EXTRA).ok_or_else(too_large)?;
        let links = subdirectories(frame.directory).saturating_add(2);
        let start = listing.start;
        let metadata = frame.directory.metadata;
        if let (Ok(size), []) = (u16::try_from(size), listing.index.as_slice()) {
            let mut inode = header(Kind::Directory, metadata, frame.number);
            inode.extend(start.block.to_le_bytes());
            inode.extend(links.to_le_bytes());
            inode.extend(size.to_le_bytes());
            inode.extend(start.offset.to_le_bytes());
            inode.extend(frame.parent.to_le_bytes());
            return self.put(frame.number, &inode);
        }
        let mut inode = header(Kind::ExtendedDirectory, metadata, frame.number);
        for word in [links, size, start.block, frame.parent] {
            inode.extend(word.to_le_bytes());
        }
        let (count, index) = listing.encode_index();
        inode.extend(count.to_le_bytes());
        inode.extend(start.offset.to_le_bytes());
        inode.extend(NONE_32.to_le_bytes());
        inode.extend(index);
        self.put(frame.number, &inode)
    }

    /// The inode of a file, written if this is its first name.
    fn file(&mut self, id: FileId) -> Result<(u32, InodeRef), ImageError> {
        if let Some(&(number @ 1.., inode)) = self.files.get(id.index()) {
            return Ok((number, inode));
        }
        let number = self.number();
        let bytes = self.file_inode(id, number);
        let inode = self.put(number, &bytes)?;
        if let Some(slot) = self.files.get_mut(id.index()) {
            *slot = (number, inode);
        }
        Ok((number, inode))
    }

    fn file_inode(&self, id: FileId, number: u32) -> Vec<u8> {
        let Some(placed) = self.data.placed.get(id.index()) else { return Vec::new() };
        let links = self.survey.links.get(id.index()).copied().unwrap_or(1);
        let sparse = self.data.sparse.get(&id).copied().unwrap_or(0);
        let metadata = self.rootfs.file(id).metadata;
        let mut inode;
        if let (Ok(start), Ok(size), 1, 0) =
            (u32::try_from(placed.start), u32::try_from(placed.size), links, sparse)
        {
            inode = header(Kind::File, metadata, number);
            for word in [start, placed.fragment, placed.offset, size] {
                inode.extend(word.to_le_bytes());
            }
        } else {
            inode = header(Kind::ExtendedFile, metadata, number);
            for long in [placed.start, placed.size, sparse] {
                inode.extend(long.to_le_bytes());
            }
            for word in [links, placed.fragment, placed.offset, NONE_32] {
                inode.extend(word.to_le_bytes());
            }
        }
        // every tail is in a fragment, so only full blocks count; an address space holds them
        let count = usize::try_from(placed.size / u64::from(self.block_size)).unwrap_or(0);
        let blocks = self.data.blocks.iter().skip(placed.first_block).take(count);
        inode.extend(blocks.flat_map(|length| length.to_le_bytes()));
        inode
    }

    fn symlink(&mut self, link: &Symlink) -> Result<(u32, InodeRef), ImageError> {
        let number = self.number();
        let metadata = Metadata { mode: 0o777, mtime: link.mtime };
        let mut inode = header(Kind::Symlink, metadata, number);
        inode.extend(1_u32.to_le_bytes());
        // at most 4095: the survey has looked
        inode.extend(u32::try_from(link.target.len()).unwrap_or(0).to_le_bytes());
        inode.extend(&link.target);
        Ok((number, self.put(number, &inode)?))
    }

    fn special(&mut self, special: &Special) -> Result<(Kind, (u32, InodeRef)), ImageError> {
        let number = self.number();
        let kind = match special.kind {
            SpecialKind::Fifo => Kind::Fifo,
            SpecialKind::Socket => Kind::Socket,
        };
        let mut inode = header(kind, special.metadata, number);
        inode.extend(1_u32.to_le_bytes());
        Ok((kind, (number, self.put(number, &inode)?)))
    }

    fn put(&mut self, number: u32, inode: &[u8]) -> Result<InodeRef, ImageError> {
        let at = self.inodes.position()?;
        self.inodes.push(&mut self.codec, inode)?;
        if let Some(slot) =
            self.export.as_mut().and_then(|export| export.get_mut(number as usize - 1))
        {
            *slot = at;
        }
        Ok(at)
    }
}

/// What every inode begins with. Owner and group are the first of the id table.
fn header(kind: Kind, metadata: Metadata, number: u32) -> Vec<u8> {
    let Metadata { mode, mtime } = metadata;
    let mut inode = Vec::with_capacity(64);
    for half in [kind.code(), mode & 0o7777, 0, 0] {
        inode.extend(half.to_le_bytes());
    }
    inode.extend(Epoch::seconds(mtime).to_le_bytes());
    inode.extend(number.to_le_bytes());
    inode
}

fn too_large() -> ImageError {
    ImageError::Unrepresentable {
        what: "so large a directory".to_owned(),
        reason: "its names take more than 4 GiB",
    }
}
