//! Trees to write, and what must be found where they were unpacked or mounted.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use module_export::base::{Digest, Epoch, fs::sorted_dir};
use module_export::rootfs::{
    Content, File, FileId, ImagePath, Metadata, Node, Rootfs, SpecialKind, Symlink,
};

/// Metadata of directories that nobody named.
pub(crate) const IMPLIED: Metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };

/// A node as any reader of an image shows it.
#[derive(PartialEq, Eq, Clone)]
pub(crate) enum Shown {
    /// Mode, time.
    Directory(u16, u32),
    /// Mode, time, number of names, size, digest, first of its names.
    File(u16, u32, u64, u64, Digest, String),
    /// Time, target.
    Symlink(u32, String),
    /// Mode, time, kind.
    Special(u16, u32, &'static str),
    /// A device, which we never write.
    Device,
}

impl Shown {
    /// Whether this is a link that some readers refuse.
    pub(crate) fn long_link(&self) -> bool {
        matches!(self, Self::Symlink(_, target) if target.len() > 255)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(mode, time) => write!(f, "d {mode:04o} {time}"),
            Self::File(mode, time, links, size, digest, first) => {
                write!(f, "- {mode:04o} {time} {links} {size} {:.8} {first}", digest.to_string())
            }
            Self::Symlink(time, target) => write!(f, "l {time} {target}"),
            Self::Special(mode, time, kind) => write!(f, "{kind} {mode:04o} {time}"),
            Self::Device => write!(f, "device"),
        }
    }
}

/// All nodes by path.
pub(crate) type Tree = BTreeMap<String, Shown>;

/// The same without telling which names are of the same file.
pub(crate) fn without_identity(mut tree: Tree) -> Tree {
    for shown in tree.values_mut() {
        if let Shown::File(.., first) = shown {
            first.clear();
        }
    }
    tree
}

/// Compares trees; on a difference, panics with the differing lines only.
#[track_caller]
pub(crate) fn assert_same(got: &Tree, want: &Tree, reader: &str) {
    let mut differences: Vec<String> = Vec::new();
    for path in got.keys().chain(want.keys()) {
        let (left, right) = (got.get(path), want.get(path));
        if left != right {
            differences.push(format!("{path}: {left:?} instead of {right:?}"));
        }
    }
    differences.truncate(20);
    assert!(differences.is_empty(), "{reader}:\n{}", differences.join("\n"));
}

/// What a FIFO or socket is shown as.
pub(crate) const fn kind_name(kind: SpecialKind) -> &'static str {
    match kind {
        SpecialKind::Fifo => "fifo",
        SpecialKind::Socket => "socket",
    }
}

fn shown_name(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn digest(mut from: impl Read) -> io::Result<(u64, Digest)> {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok((size, Digest::from_bytes(hasher.finalize().into()))),
            got => {
                size += got as u64;
                hasher.update(&buffer[..got]);
            }
        }
    }
}

/// What a reader must show of `rootfs`; late documents have the `late` contents.
pub(crate) fn expected(rootfs: &Rootfs, late: &BTreeMap<FileId, Vec<u8>>) -> Tree {
    let mut tree = Tree::new();
    let mut names: BTreeMap<FileId, Vec<ImagePath>> = BTreeMap::new();
    let root = rootfs.root().metadata;
    tree.insert("/".into(), Shown::Directory(root.mode, root.mtime.seconds()));
    rootfs.walk(|path, node| {
        let name = shown_name(path.as_bytes());
        match node {
            Node::Directory(directory) => {
                let metadata = directory.metadata;
                tree.insert(name, Shown::Directory(metadata.mode, metadata.mtime.seconds()));
            }
            Node::Symlink(link) => {
                let target = shown_name(&link.target);
                tree.insert(name, Shown::Symlink(link.mtime.seconds(), target));
            }
            Node::Special(special) => {
                let (mode, time) = (special.metadata.mode, special.metadata.mtime.seconds());
                tree.insert(name, Shown::Special(mode, time, kind_name(special.kind)));
            }
            Node::File(id) => names.entry(*id).or_default().push(path.clone()),
        }
    });
    for (id, paths) in names {
        let file = rootfs.file(id);
        let (size, digest) = match &file.content {
            Content::Host(path) => digest(fs::File::open(path).unwrap()).unwrap(),
            Content::Bytes(bytes) => digest(bytes.as_slice()).unwrap(),
            Content::Part(_) | Content::Kept => panic!("no test writes these"),
            Content::Late => digest(late.get(&id).map_or(&[][..], Vec::as_slice)).unwrap(),
        };
        let first = shown_name(paths[0].as_bytes());
        for path in &paths {
            let shown = Shown::File(
                file.metadata.mode,
                file.metadata.mtime.seconds(),
                paths.len() as u64,
                size,
                digest,
                first.clone(),
            );
            tree.insert(shown_name(path.as_bytes()), shown);
        }
    }
    tree
}

/// What is in the directory `root` of the host.
pub(crate) fn on_disk(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut first = BTreeMap::new();
    show(root, b"/", &mut tree, &mut first);
    tree
}

fn show(at: &Path, name: &[u8], tree: &mut Tree, first: &mut BTreeMap<u64, String>) {
    let found = at.symlink_metadata().unwrap();
    let mode = u16::try_from(found.mode() & 0o7777).unwrap();
    let time = u32::try_from(found.mtime()).unwrap();
    let shown = shown_name(name);
    if found.is_symlink() {
        let target = fs::read_link(at).unwrap();
        tree.insert(shown, Shown::Symlink(time, shown_name(target.as_os_str().as_bytes())));
    } else if found.is_file() {
        let (size, digest) = digest(fs::File::open(at).unwrap()).unwrap();
        assert_eq!(size, found.size());
        let first = first.entry(found.ino()).or_insert_with(|| shown.clone()).clone();
        tree.insert(shown, Shown::File(mode, time, found.nlink(), size, digest, first));
    } else if found.file_type().is_fifo() {
        tree.insert(shown, Shown::Special(mode, time, "fifo"));
    } else if found.file_type().is_socket() {
        tree.insert(shown, Shown::Special(mode, time, "socket"));
    } else {
        assert!(found.is_dir(), "{shown}");
        tree.insert(shown, Shown::Directory(mode, time));
        for entry in sorted_dir(at).unwrap() {
            let below = [name.strip_suffix(b"/").unwrap_or(name), b"/", entry.as_bytes()].concat();
            show(&at.join(&entry), &below, tree, first);
        }
    }
}

/// The directory `root` of the host as a root file system.
pub(crate) fn scan(root: &Path) -> Rootfs {
    let mut rootfs = Rootfs::new(metadata(root));
    let mut seen = BTreeMap::new();
    scan_below(root, &ImagePath::root(), &mut rootfs, &mut seen);
    rootfs
}

fn metadata(path: &Path) -> Metadata {
    let found = path.symlink_metadata().unwrap();
    Metadata {
        mode: u16::try_from(found.mode() & 0o7777).unwrap(),
        mtime: Epoch::clamped(found.mtime()),
    }
}

fn scan_below(
    host: &Path,
    at: &ImagePath,
    rootfs: &mut Rootfs,
    seen: &mut BTreeMap<(u64, u64), FileId>,
) {
    for name in sorted_dir(host).unwrap() {
        let path = at.join_name(name.as_bytes());
        let host = host.join(&name);
        let found = host.symlink_metadata().unwrap();
        if found.is_symlink() {
            let target = fs::read_link(&host).unwrap().into_os_string().into_vec();
            let link =
                Symlink { mtime: Epoch::clamped(found.mtime()), target, reason: "t:".into() };
            rootfs.add_symlink(&path, link).unwrap();
        } else if found.is_dir() {
            rootfs.add_directory(&path, metadata(&host)).unwrap();
            scan_below(&host, &path, rootfs, seen);
        } else if let Some(id) = seen.get(&(found.dev(), found.ino())) {
            rootfs.add_hard_link(&path, *id).unwrap();
        } else if found.is_file() {
            let file = File {
                metadata: metadata(&host),
                size: found.size(),
                content: Content::Host(host),
                reason: "t:".into(),
            };
            let id = rootfs.add_file(&path, file).unwrap();
            seen.insert((found.dev(), found.ino()), id);
        }
    }
}

/// A path in an image.
pub(crate) fn path(text: impl AsRef<[u8]>) -> ImagePath {
    ImagePath::new(text.as_ref()).unwrap()
}

/// A file of these bytes.
pub(crate) fn bytes(content: impl Into<Vec<u8>>) -> File {
    let content = content.into();
    File {
        metadata: Metadata { mode: 0o644, mtime: Epoch::from_seconds(1_700_000_000) },
        size: content.len() as u64,
        content: Content::Bytes(content),
        reason: "t:".into(),
    }
}

/// `size` bytes that hardly shrink, different for each `seed`.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(size + 8);
    while out.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.to_le_bytes());
    }
    out.truncate(size);
    out
}
