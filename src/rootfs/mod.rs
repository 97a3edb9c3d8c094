//! A root file system as a tree of inodes; contents stay where they are until an image is written.

mod beneath;
mod dump;
mod path;
mod resolve;
mod stamp;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::Epoch;

pub use beneath::{BENEATH, Part};
pub use path::{ImagePath, InvalidImagePath};
pub use resolve::Resolved;
pub use stamp::Stamp;

/// Permission bits and time of an inode, as the image will have them. Owner is always 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// `st_mode & 0o7777`.
    pub mode: u16,
    /// Last modification.
    pub mtime: Epoch,
}

/// Where a file's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file of the host, read once, when the image is written.
    Host(PathBuf),
    /// A range of an open file, e.g. of an archive; as long as [`File::size`] says.
    Part(Part),
    /// In a layer that is kept as it is: neither read nor written. See [`Rootfs::above`].
    Kept,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A document made after every other content was written (it holds their digests); see
    /// [`crate::image`].
    Late,
}

/// A regular file. Names of a hard-linked file share one `File`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Mode and time.
    pub metadata: Metadata,
    /// Size in bytes as found when planned; 0 for [`Content::Late`].
    pub size: u64,
    /// Where the bytes come from.
    pub content: Content,
    /// Why the file is in the image, as `kind:detail`, e.g. `module:GROMACS/2024.1`.
    pub reason: Arc<str>,
}

/// Index of a [`File`] in its [`Rootfs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(u32);

impl FileId {
    /// Position in [`Rootfs::files`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symlink {
    /// Mode is always 0777.
    pub mtime: Epoch,
    /// The target, as it stands in the link; not empty.
    pub target: Vec<u8>,
    /// Why it is there; see [`File::reason`].
    pub reason: Arc<str>,
}

/// A FIFO or a socket: a name by which programs meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Special {
    /// Mode and time.
    pub metadata: Metadata,
    /// Which of them it is.
    pub kind: SpecialKind,
    /// Why it is there; see [`File::reason`].
    pub reason: Arc<str>,
}

/// What a [`Special`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialKind {
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
}

/// A named thing in a directory. Small, as most of them are files, and there are millions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory(Box<Directory>),
    /// A regular file; two names of the same `FileId` are hard links.
    File(FileId),
    /// A symbolic link.
    Symlink(Box<Symlink>),
    /// A FIFO or a socket.
    Special(Box<Special>),
}

/// A directory: names in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Mode and time.
    pub metadata: Metadata,
    entries: BTreeMap<Box<[u8]>, Node>,
}

impl Directory {
    fn new(metadata: Metadata) -> Self {
        Self { metadata, entries: BTreeMap::new() }
    }

    /// The entries in byte order of their names.
    #[must_use]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&[u8], &Node)> {
        self.entries.iter().map(|(name, node)| (&**name, node))
    }

    /// The entry of this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Node> {
        self.entries.get(name)
    }
}

/// Why a node cannot be put where it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// A parent of the path is a file or a link.
    #[error("`{path}` cannot lie below `{parent}`, which is not a directory")]
    NotADirectory {
        /// The path asked for.
        path: ImagePath,
        /// The parent in the way.
        parent: ImagePath,
    },
    /// The path is taken by something of another kind or content.
    #[error("`{path}` is there already, and is something else")]
    Occupied {
        /// The path asked for.
        path: ImagePath,
    },
    /// Something of another kind lies beneath, and neither can give way.
    #[error(
        "`{path}` is {theirs} in the base, and {ours} in what is packed over it: leave it out, or choose another base"
    )]
    Collision {
        /// The path.
        path: ImagePath,
        /// What the base has there.
        theirs: &'static str,
        /// What was to be put there.
        ours: &'static str,
    },
    /// Links of the base go round in a circle.
    #[error("the links of the base go round in a circle on the way to `{path}`")]
    Loop {
        /// The path asked for.
        path: ImagePath,
    },
    /// More than 2³² − 1 files.
    #[error("more than 4294967295 files")]
    TooManyFiles,
}

/// A root file system: a tree of directories, files and links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootfs {
    root: Directory,
    files: Vec<File>,
    /// Of files of the host, by [`FileId::index`]; those at the end may lack.
    stamps: Vec<Option<Stamp>>,
    implied: Metadata,
    /// Whether what is there lies beneath what is added: links are followed, files give way.
    is_base: bool,
}

impl Rootfs {
    /// An empty root. Directories that nobody asked for by name but that others lie in get the
    /// metadata `implied`, and so does the root.
    #[must_use]
    pub fn new(implied: Metadata) -> Self {
        Self {
            root: Directory::new(implied),
            files: Vec::new(),
            stamps: Vec::new(),
            implied,
            is_base: false,
        }
    }

    /// The root directory.
    #[must_use]
    pub const fn root(&self) -> &Directory {
        &self.root
    }

    /// All files, each once, in the order in which they were added.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The file with this identity.
    #[must_use]
    pub fn file(&self, id: FileId) -> &File {
        &self.files[id.index()]
    }

    /// The node at `path`, links not followed; `None` for the root itself, too.
    #[must_use]
    pub fn get(&self, path: &ImagePath) -> Option<&Node> {
        let mut components = path.components().peekable();
        let mut directory = &self.root;
        while let Some(name) = components.next() {
            let node = directory.get(name)?;
            if components.peek().is_none() {
                return Some(node);
            }
            let Node::Directory(below) = node else { return None };
            directory = below;
        }
        None
    }

    /// Gives the file `id` other bytes.
    pub fn set_bytes(&mut self, id: FileId, bytes: Vec<u8>) {
        if let Some(file) = self.files.get_mut(id.index()) {
            file.size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            file.content = Content::Bytes(bytes);
        }
    }

    /// Remembers when the file `id` of the host was last written to, as it was planned.
    pub fn set_stamp(&mut self, id: FileId, stamp: Stamp) {
        if self.stamps.len() <= id.index() {
            self.stamps.resize(id.index().saturating_add(1), None);
        }
        if let Some(slot) = self.stamps.get_mut(id.index()) {
            *slot = Some(stamp);
        }
    }

    /// When the file `id` of the host had last been written to when it was planned, if that is known.
    #[must_use]
    pub fn stamp(&self, id: FileId) -> Option<Stamp> {
        self.stamps.get(id.index()).copied().flatten()
    }

    /// Makes `path` a directory with `metadata`; one that is there gets the metadata.
    ///
    /// # Errors
    /// [`RootfsError::NotADirectory`], [`RootfsError::Occupied`].
    pub fn add_directory(
        &mut self,
        path: &ImagePath,
        metadata: Metadata,
    ) -> Result<(), RootfsError> {
        let path = self.landing(path)?;
        self.directory_mut(&path)?.metadata = metadata;
        Ok(())
    }

    /// Puts `file` at `path` and returns its identity, by which [`Rootfs::add_hard_link`] gives
    /// it more names.
    ///
    /// # Errors
    /// [`RootfsError::NotADirectory`]; [`RootfsError::Occupied`] if anything is there.
    pub fn add_file(&mut self, path: &ImagePath, file: File) -> Result<FileId, RootfsError> {
        let id = FileId(u32::try_from(self.files.len()).map_err(|_| RootfsError::TooManyFiles)?);
        self.insert(path, Node::File(id))?;
        self.files.push(file);
        Ok(id)
    }

    /// Gives the file `id` another name.
    ///
    /// # Errors
    /// As [`Rootfs::add_file`].
    pub fn add_hard_link(&mut self, path: &ImagePath, id: FileId) -> Result<(), RootfsError> {
        self.insert(path, Node::File(id))
    }

    /// Puts a symbolic link at `path`; an equal target that is there already is kept.
    ///
    /// # Errors
    /// As [`Rootfs::add_file`].
    pub fn add_symlink(&mut self, path: &ImagePath, link: Symlink) -> Result<(), RootfsError> {
        let there =
            if self.is_base { self.get(&self.landing_of_name(path)?) } else { self.get(path) };
        if matches!(there, Some(Node::Symlink(there)) if there.target == link.target) {
            return Ok(());
        }
        self.insert(path, Node::Symlink(Box::new(link)))
    }

    /// Puts a FIFO or a socket at `path`.
    ///
    /// # Errors
    /// As [`Rootfs::add_file`].
    pub fn add_special(&mut self, path: &ImagePath, special: Special) -> Result<(), RootfsError> {
        self.insert(path, Node::Special(Box::new(special)))
    }

    /// Changes metadata of everything in the tree by `change(is_directory, metadata)`
    /// (links: only the time counts). For clamping times once all is in place.
    pub fn map_metadata(&mut self, mut change: impl FnMut(bool, Metadata) -> Metadata) {
        fn below(directory: &mut Directory, change: &mut impl FnMut(bool, Metadata) -> Metadata) {
            directory.metadata = change(true, directory.metadata);
            for node in directory.entries.values_mut() {
                match node {
                    Node::Directory(directory) => below(directory, change),
                    Node::Symlink(link) => {
                        link.mtime =
                            change(false, Metadata { mode: 0o777, mtime: link.mtime }).mtime;
                    }
                    Node::Special(special) => {
                        special.metadata = change(false, special.metadata);
                    }
                    Node::File(_) => {}
                }
            }
        }
        below(&mut self.root, &mut change);
        for file in &mut self.files {
            file.metadata = change(false, file.metadata);
        }
    }

    /// Calls `visit` for every node but the root, in byte order of the whole path's components,
    /// a directory before what is in it.
    pub fn walk<'a>(&'a self, mut visit: impl FnMut(&ImagePath, &'a Node)) {
        fn below<'a>(
            directory: &'a Directory,
            at: &ImagePath,
            visit: &mut impl FnMut(&ImagePath, &'a Node),
        ) {
            for (name, node) in directory.entries() {
                let path = at.join_name(name);
                visit(&path, node);
                if let Node::Directory(directory) = node {
                    below(directory, &path, visit);
                }
            }
        }
        below(&self.root, &ImagePath::root(), &mut visit);
    }

    fn insert(&mut self, path: &ImagePath, node: Node) -> Result<(), RootfsError> {
        let occupied = || RootfsError::Occupied { path: path.clone() };
        let (parent, name) = path.split().ok_or_else(occupied)?;
        let parent = self.landing(&parent)?;
        self.give_way(&parent.join_name(name), &node)?;
        let directory = self.directory_mut(&parent).map_err(|error| match error {
            RootfsError::NotADirectory { parent, .. } | RootfsError::Occupied { path: parent } => {
                RootfsError::NotADirectory { path: path.clone(), parent }
            }
            error => error,
        })?;
        match directory.entries.entry(name.into()) {
            std::collections::btree_map::Entry::Occupied(_) => Err(occupied()),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(node);
                Ok(())
            }
        }
    }

    /// The directory at `path`, made with its parents where missing.
    fn directory_mut(&mut self, path: &ImagePath) -> Result<&mut Directory, RootfsError> {
        let implied = self.implied;
        let mut directory = &mut self.root;
        let mut at = ImagePath::root();
        let depth = path.components().count();
        for (level, name) in path.components().enumerate() {
            at = at.join_name(name);
            let node = directory
                .entries
                .entry(name.into())
                .or_insert_with(|| Node::Directory(Box::new(Directory::new(implied))));
            let Node::Directory(below) = node else {
                return Err(if level + 1 == depth {
                    RootfsError::Occupied { path: at }
                } else {
                    RootfsError::NotADirectory { path: path.clone(), parent: at }
                });
            };
            directory = below;
        }
        Ok(directory)
    }
}

/// `path` of the host as a path in the image.
///
/// # Errors
/// [`InvalidImagePath`] if it is not absolute, or has `.`, `..` or a NUL in it.
pub fn image_path(path: &Path) -> Result<ImagePath, InvalidImagePath> {
    use std::os::unix::ffi::OsStrExt as _;
    ImagePath::new(path.as_os_str().as_bytes())
}
