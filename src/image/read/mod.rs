//! Reading images of every format that is written here, written by anyone.
//!
//! Everything in an image is taken for hostile: every offset is checked, nothing is allocated that
//! the file does not fill, nothing recurses, and a name or link never leads a write elsewhere.

pub(super) mod archive;
mod decompress;
pub(super) mod described;
mod directory;
mod filesystem;
mod headers;
mod sif;
mod source;
mod spool;
pub(super) mod store;
mod stream;
mod tree;
mod unpack;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::filesystem::{Content, FileSystem, Inode, Kind, Reference};
use self::source::Source;
use self::stream::Listing;
use self::tree::{Place, Tree};
use super::ImageError;
use super::sif::Architecture;
use super::squashfs::format::DATA_STORED;
use crate::rootfs::{self, ImagePath, Metadata, SpecialKind};

pub use self::spool::{Spool, Spooled};
pub use self::unpack::{Unpacked, unpack, unpack_opened};

/// Longest path in an image; `PATH_MAX` is 4096, but a tree may be deeper than that.
const LONGEST_PATH: usize = 1 << 16;

/// An image that can be read.
#[derive(Debug)]
pub struct Image {
    files: Files,
    /// What an image of layers says of itself.
    pub(super) described: Option<described::Described>,
    /// Layers from the bottom up, where it is made of such.
    pub(super) layers: Vec<archive::LayerData>,
    /// `sif`, `oci`, `directory` …
    pub(super) kind: &'static str,
}

/// Which image of several, and how it is read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choice<'a> {
    /// The tag in a layout.
    pub(super) tag: Option<&'a str>,
    /// The machine that it is for. Then what is to be built on is read: digests are checked, any
    /// directory is a root file system, and nothing may be in doubt.
    pub(super) architecture: Option<Architecture>,
    /// Where what is decompressed goes; the directory for temporary files if not said.
    pub(super) scratch: Option<&'a Path>,
}

impl Choice<'_> {
    fn is_strict(&self) -> bool {
        self.architecture.is_some()
    }
}

#[derive(Debug)]
enum Files {
    Squashfs(FileSystem),
    Tree(Arc<Tree>),
}

/// Opens an image again, for another thread.
#[derive(Debug)]
pub struct Opener(Again);

#[derive(Debug)]
enum Again {
    Squashfs(Source),
    Tree(Arc<Tree>),
}

impl Opener {
    /// The image; files that were found in the first one can be read from it, too.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn open(&self) -> Result<Image, ImageError> {
        let files = match &self.0 {
            Again::Squashfs(source) => Files::Squashfs(FileSystem::open(source.again()?)?),
            Again::Tree(tree) => Files::Tree(Arc::clone(tree)),
        };
        Ok(Image { files, described: None, layers: Vec::new(), kind: "" })
    }
}

/// A thing in an image.
#[derive(Debug)]
pub struct Found {
    /// Number of its inode; names with the same number are hard links.
    pub inode: u32,
    /// Names that it claims to have.
    pub links: u32,
    /// Mode and time.
    pub metadata: Metadata,
    /// What it is.
    pub kind: FoundKind,
}

/// What a thing in an image is.
#[derive(Debug)]
pub enum FoundKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(FoundFile),
    /// A symbolic link with this target.
    Symlink(Vec<u8>),
    /// A FIFO or a socket.
    Special(SpecialKind),
    /// A block or character device.
    Device,
}

/// A regular file in an image; [`Image::copy`] reads it.
#[derive(Debug, Clone)]
pub struct FoundFile {
    content: FoundContent,
}

#[derive(Debug, Clone)]
enum FoundContent {
    Squashfs(Content),
    Tree(Place, u64),
}

impl FoundFile {
    /// Bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        match &self.content {
            FoundContent::Squashfs(content) => content.size,
            FoundContent::Tree(_, size) => *size,
        }
    }

    fn in_tree(place: Place, size: u64) -> Self {
        Self { content: FoundContent::Tree(place, size) }
    }
}

/// Layout and tag, where `path` itself is nothing, but what stands before its last `:` is a layout.
fn tagged(path: &Path) -> Option<(&Path, &str)> {
    let (layout, tag) = path.to_str()?.rsplit_once(':')?;
    let is_layout = Path::new(layout).join("oci-layout").is_file();
    (is_layout && path.symlink_metadata().is_err()).then_some((Path::new(layout), tag))
}

impl Image {
    /// Opens the image at `path`: a SIF, a squashfs, an archive, or a directory, which is an
    /// image-layout or a root file system; `DIR:TAG` is one of several images in a layout. What is
    /// compressed as a whole is decompressed into a temporary file without a name.
    ///
    /// # Errors
    /// What cannot be read, or is nothing of these; a layout of several images without a tag.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        Self::open_with(path, None)
    }

    /// The same; the temporary file lies in the directory `scratch`.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn open_in(path: &Path, scratch: &Path) -> Result<Self, ImageError> {
        Self::open_with(path, Some(scratch))
    }

    fn open_with(path: &Path, scratch: Option<&Path>) -> Result<Self, ImageError> {
        let choice = Choice { scratch, ..Choice::default() };
        match tagged(path) {
            Some((layout, tag)) => Self::open_chosen(layout, &Choice { tag: Some(tag), ..choice }),
            None => Self::open_chosen(path, &choice),
        }
    }

    /// The same where there may be several images; see [`Choice`].
    ///
    /// # Errors
    /// As [`Image::open`]; no such image.
    pub(super) fn open_chosen(path: &Path, choice: &Choice) -> Result<Self, ImageError> {
        if path.join("oci-layout").is_file() {
            return Ok(Self::of_layers(archive::read_layout(path, choice)?, "oci"));
        }
        let alone = |files, kind| Self { files, described: None, layers: Vec::new(), kind };
        if path.is_dir() {
            let tree = directory::read(path, choice.is_strict())?;
            return Ok(alone(Files::Tree(Arc::new(tree)), "directory"));
        }
        let source = Source::open(path)?;
        if archive::is_archive(path)? {
            return Ok(Self::of_layers(archive::read_archive(path, choice)?, "oci-archive"));
        }
        let source = sif::root_file_system(source)?;
        let kind = if source.is_part() { "sif" } else { "squashfs" };
        Ok(alone(Files::Squashfs(FileSystem::open(source)?), kind))
    }

    fn of_layers(layered: archive::Layered, kind: &'static str) -> Self {
        let archive::Layered { tree, described, layers } = layered;
        let kind = match &described {
            Some(described) if described.kind == "docker" => "docker-archive",
            Some(_) => kind,
            None => "tar",
        };
        Self { files: Files::Tree(Arc::new(tree)), described, layers, kind }
    }

    /// Where the bytes of `file` are, if they are there as they are.
    pub(super) fn place(&self, file: &FoundFile) -> Option<rootfs::Content> {
        match (&self.files, &file.content) {
            (Files::Tree(tree), FoundContent::Tree(place, _)) => tree.content(place),
            _ => None,
        }
    }

    /// Whether it is a directory with the files as they are.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == "directory"
    }

    /// What was passed over since it cannot be read.
    pub(super) fn unreadable(&self) -> &[PathBuf] {
        match &self.files {
            Files::Tree(tree) => tree.unreadable(),
            Files::Squashfs(_) => &[],
        }
    }

    /// What opens the image for other threads, without a second look at archives.
    ///
    /// # Errors
    /// No more files can be open.
    pub fn opener(&self) -> Result<Opener, ImageError> {
        Ok(Opener(match &self.files {
            Files::Squashfs(files) => Again::Squashfs(files.source()?),
            Files::Tree(tree) => Again::Tree(Arc::clone(tree)),
        }))
    }

    /// Number of inodes that it claims to have.
    #[must_use]
    pub fn inodes(&self) -> u32 {
        match &self.files {
            Files::Squashfs(files) => files.inodes,
            Files::Tree(tree) => tree.inodes(),
        }
    }

    /// Calls `visit` for everything in the image: the root first, a directory before what is in
    /// it, names in the order of the image.
    ///
    /// # Errors
    /// Those of `visit`; a broken image.
    pub fn walk(
        &self,
        visit: impl FnMut(&ImagePath, &Found) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        match &self.files {
            Files::Squashfs(files) => files.walk(visit),
            Files::Tree(tree) => tree.walk(visit),
        }
    }

    /// What is at `path`, links not followed.
    ///
    /// # Errors
    /// [`ImageError::NotFound`]; a broken image.
    pub fn find(&self, path: &ImagePath) -> Result<Found, ImageError> {
        let found = match &self.files {
            Files::Squashfs(files) => files.find(path)?,
            Files::Tree(tree) => tree.find(path),
        };
        found.ok_or_else(|| ImageError::NotFound { path: path.as_path().to_owned() })
    }

    /// The content of the regular file at `path`, which has at most `limit` bytes.
    ///
    /// # Errors
    /// [`ImageError::NotFound`], also for what is no regular file; a larger file; a broken image.
    pub fn read(&self, path: &ImagePath, limit: u64) -> Result<Vec<u8>, ImageError> {
        let FoundKind::File(file) = self.find(path)?.kind else {
            return Err(ImageError::NotFound { path: path.as_path().to_owned() });
        };
        if file.size() > limit {
            let size = file.size();
            return Err(
                self.broken(&format!("`{path}` has {size} bytes, more than the {limit} expected"))
            );
        }
        let mut bytes = Vec::new();
        self.copy(&file, |chunk| {
            match chunk {
                Chunk::Data(data) => bytes.extend_from_slice(data),
                Chunk::Hole(size) => bytes.resize(bytes.len().saturating_add(size as usize), 0),
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Hands the content of `file` to `take`, piece by piece.
    ///
    /// # Errors
    /// Those of `take`; a broken image.
    pub fn copy(
        &self,
        file: &FoundFile,
        take: impl FnMut(Chunk) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        match (&self.files, &file.content) {
            (Files::Squashfs(files), FoundContent::Squashfs(content)) => files.copy(content, take),
            (Files::Tree(tree), FoundContent::Tree(place, size)) => tree.copy(place, *size, take),
            _ => Err(self.broken("a file of another image was asked for")),
        }
    }

    pub(super) fn broken(&self, what: &str) -> ImageError {
        match &self.files {
            Files::Squashfs(files) => files.broken(what),
            Files::Tree(tree) => tree.broken(what),
        }
    }
}

impl FileSystem {
    /// As [`Image::walk`].
    fn walk(
        &self,
        mut visit: impl FnMut(&ImagePath, &Found) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let mut seen = BTreeSet::new();
        // the path of the directory that is being read, and how long it was one level up
        let mut path = Vec::new();
        let root = self.enter(self.root, &path, &mut seen, &mut visit)?;
        let root = root.ok_or_else(|| self.broken("its root is no directory"))?;
        let mut stack = vec![(0, root)];
        while let Some((parent_length, entries)) = stack.last_mut() {
            let Some(entry) = entries.next()? else {
                path.truncate(*parent_length);
                stack.pop();
                continue;
            };
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(&entry.name);
            match self.enter(entry.inode, &path, &mut seen, &mut visit)? {
                Some(below) => stack.push((length, below)),
                None => path.truncate(length),
            }
        }
        Ok(())
    }

    /// Visits the inode, and returns its entries if it is a directory.
    fn enter(
        &self,
        at: Reference,
        path: &[u8],
        seen: &mut BTreeSet<Reference>,
        visit: &mut impl FnMut(&ImagePath, &Found) -> Result<(), ImageError>,
    ) -> Result<Option<Listing<'_>>, ImageError> {
        if path.len() > LONGEST_PATH {
            let limit = LONGEST_PATH;
            return Err(self.broken(&format!("a path of more than {limit} bytes")));
        }
        let shown = if path.is_empty() { Ok(ImagePath::root()) } else { ImagePath::new(path) };
        let shown = shown.map_err(|error| self.broken(&error.to_string()))?;
        let inode = self.inode(at)?;
        let entries = match inode.kind {
            Kind::Directory { .. } if !seen.insert(at) => {
                return Err(self.broken(&format!("the directory `{shown}` is in itself")));
            }
            Kind::Directory { listing, bytes } => Some(self.listing(listing, bytes)),
            _ => None,
        };
        visit(&shown, &Found::from(inode))?;
        Ok(entries)
    }

    /// What is at `path`, links not followed.
    fn find(&self, path: &ImagePath) -> Result<Option<Found>, ImageError> {
        let mut inode = self.inode(self.root)?;
        for name in path.components() {
            let Kind::Directory { listing, bytes } = inode.kind else { return Ok(None) };
            let mut entries = self.listing(listing, bytes);
            let entry = loop {
                let Some(entry) = entries.next()? else { return Ok(None) };
                if entry.name == name {
                    break entry;
                }
            };
            inode = self.inode(entry.inode)?;
        }
        Ok(Some(Found::from(inode)))
    }

    /// As [`Image::copy`].
    fn copy(
        &self,
        content: &Content,
        mut take: impl FnMut(Chunk) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let Content { size, start, fragment, offset, .. } = *content;
        let block_bytes = u64::from(self.block_bytes);
        let mut lengths = self.block_lengths(content);
        let (mut left, mut position) = (size, start);
        // without a fragment the last block is a short one
        while left >= block_bytes || (left > 0 && fragment.is_none()) {
            let want = u32::try_from(left).unwrap_or(u32::MAX).min(self.block_bytes);
            let length = u32::from_le_bytes(lengths.array()?);
            if length == 0 {
                take(Chunk::Hole(want))?;
            } else {
                let block = self.data_block(position, length, want)?;
                take(Chunk::Data(&block))?;
                position = position.saturating_add(u64::from(length & !DATA_STORED));
            }
            left -= u64::from(want);
        }
        let Some(number) = fragment.filter(|_| left > 0) else { return Ok(()) };
        let block = self.fragment(number)?;
        let (from, left) = (offset as usize, usize::try_from(left).unwrap_or(usize::MAX));
        let tail = from.checked_add(left).and_then(|to| block.get(from..to)).ok_or_else(|| {
            self.broken(&format!("fragment {number} has no {left} bytes at {from}"))
        })?;
        take(Chunk::Data(tail))
    }
}

/// A piece of a file.
#[derive(Debug)]
pub enum Chunk<'a> {
    /// These bytes.
    Data(&'a [u8]),
    /// So many zeros, of which nothing is stored.
    Hole(u32),
}

impl From<Inode> for Found {
    fn from(inode: Inode) -> Self {
        let Inode { number, metadata, links, kind } = inode;
        let kind = match kind {
            Kind::Directory { .. } => FoundKind::Directory,
            Kind::File(content) => {
                FoundKind::File(FoundFile { content: FoundContent::Squashfs(content) })
            }
            Kind::Symlink(target) => FoundKind::Symlink(target),
            Kind::Special(kind) => FoundKind::Special(kind),
            Kind::Device => FoundKind::Device,
        };
        Self { inode: number, links, metadata, kind }
    }
}
