//! A root file system held in memory, its contents left where they are: what a directory or the
//! layers of an archive make.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Chunk, Found, FoundFile, FoundKind, LONGEST_PATH};
use crate::base::Epoch;
use crate::base::fs::PathContext as _;
use crate::image::ImageError;
use crate::rootfs::{Content, ImagePath, Metadata, Part, SpecialKind};

/// Bytes that are handed on at once.
const CHUNK_BYTES: usize = 128 * 1024;
/// Links that are followed on the way to one entry, as in the kernel.
const MOST_LINKS: usize = 40;
/// Bytes that all paths may take: a hostile archive's few would fill the memory with the paths of
/// directories that it only implies.
const ALL_PATHS: usize = 1 << 30;
/// Looking up the parents of a path takes time by their lengths: on average no more bytes of them
/// than this for each name, as in any tree that people make, and `ANYHOW` more.
const PARENTS: usize = 4096;
const ANYHOW: usize = 64 << 20;
/// What has no header of its own.
const IMPLIED: Metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A file of the host.
    Host(PathBuf),
    /// From this byte on in the `n`th open file.
    Part(usize, u64),
}

/// What an inode is of.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Directory,
    File(Place, u64),
    Symlink(Vec<u8>),
    Special(SpecialKind),
    Device,
}

#[derive(Debug)]
struct Inode {
    metadata: Metadata,
    links: u32,
    kind: Kind,
    /// The layer that it came with.
    layer: usize,
}

/// The tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// The image, for messages.
    image: PathBuf,
    /// Inode numbers by path: empty for the root, else with a `/` before each name.
    names: BTreeMap<Vec<u8>, u32>,
    /// Bytes of all paths.
    path_bytes: usize,
    most_path_bytes: usize,
    /// Bytes of all parents that were looked up.
    looked_up: usize,
    /// A directory that was looked up last, without a link on the way: the next is often below it.
    known: Vec<u8>,
    inodes: Vec<Inode>,
    files: Vec<(Arc<Path>, Arc<File>)>,
    /// Names of the host that were passed over, as they cannot be read.
    unreadable: Vec<PathBuf>,
    layer: usize,
    /// Directories of which this layer hides what lower ones have.
    hidden: BTreeSet<Vec<u8>>,
}

impl Tree {
    /// A tree of a root only.
    pub(super) fn new(image: &Path) -> Self {
        let root = Inode { metadata: IMPLIED, links: 2, kind: Kind::Directory, layer: 0 };
        Self {
            image: image.to_owned(),
            names: BTreeMap::from([(Vec::new(), 0)]),
            path_bytes: 0,
            most_path_bytes: ALL_PATHS,
            looked_up: 0,
            known: Vec::new(),
            inodes: vec![root],
            files: Vec::new(),
            unreadable: Vec::new(),
            layer: 0,
            hidden: BTreeSet::new(),
        }
    }

    /// Keeps a file that [`Place::Part`] refers to; returns its number.
    pub(super) fn keep(&mut self, path: &Path, file: Arc<File>) -> usize {
        self.files.push((path.into(), file));
        self.files.len() - 1
    }

    /// Notes that `path` of the host is not in the tree, as it cannot be read.
    pub(super) fn pass_over(&mut self, path: &Path) {
        self.unreadable.push(path.to_owned());
    }

    /// What was passed over.
    pub(super) fn unreadable(&self) -> &[PathBuf] {
        &self.unreadable
    }

    /// A file's bytes as a content of a root file system.
    pub(super) fn content(&self, place: &Place) -> Option<Content> {
        match place {
            Place::Host(path) => Some(Content::Host(path.clone())),
            Place::Part(number, start) => {
                let (path, file) = self.files.get(*number)?;
                let (path, file) = (Arc::clone(path), Arc::clone(file));
                Some(Content::Part(Part { file, start: *start, path }))
            }
        }
    }

    /// Begins the next layer.
    pub(super) fn next_layer(&mut self) {
        self.layer += 1;
        self.hidden.clear();
    }

    /// Number of inodes.
    pub(super) fn inodes(&self) -> u32 {
        u32::try_from(self.inodes.len()).unwrap_or(u32::MAX)
    }

    /// An error that tells what is wrong with this image.
    pub(super) fn broken(&self, what: &str) -> ImageError {
        ImageError::Malformed { path: self.image.clone(), what: what.to_owned() }
    }

    /// Puts something at `path` (components between `/`; `.` and empty ones count for nothing), in
    /// place of what is there.
    ///
    /// # Errors
    /// A path with `..`, one that is too long, or one below something that is no directory.
    pub(super) fn put(
        &mut self,
        path: &[u8],
        metadata: Metadata,
        kind: Kind,
    ) -> Result<u32, ImageError> {
        let key = self.place_of(path)?;
        let is_directory = matches!(kind, Kind::Directory);
        if let Some(&number) = self.names.get(&key) {
            let there = self.inodes.get_mut(number as usize);
            if let Some(there) =
                there.filter(|there| is_directory && matches!(there.kind, Kind::Directory))
            {
                (there.metadata, there.layer) = (metadata, self.layer);
                return Ok(number);
            }
            self.remove(&key);
        }
        let number = self.inodes();
        if number == u32::MAX {
            return Err(self.broken("it has more than 4294967294 files"));
        }
        self.inodes.push(Inode { metadata, links: 1, kind, layer: self.layer });
        self.name(key, number)?;
        Ok(number)
    }

    /// Gives what is at `target` another name.
    ///
    /// # Errors
    /// As [`Tree::put`]; no such file.
    pub(super) fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), ImageError> {
        let from = self.place_of(target)?;
        let shown = String::from_utf8_lossy(target).into_owned();
        let missing = || format!("a hard link to `{shown}`, which is no file in it");
        let number = self.names.get(&from).copied().ok_or_else(|| self.broken(&missing()))?;
        let key = self.place_of(path)?;
        if key == from {
            return Ok(());
        }
        match self.inodes.get_mut(number as usize) {
            Some(inode) if !matches!(inode.kind, Kind::Directory) => inode.links += 1,
            _ => return Err(self.broken(&missing())),
        }
        self.remove(&key);
        self.name(key, number)
    }

    /// Takes away what lower layers have at `path`.
    ///
    /// # Errors
    /// As [`Tree::put`]; a whiteout of nothing, or of the directory that it is in.
    pub(super) fn white_out(&mut self, path: &[u8]) -> Result<(), ImageError> {
        if matches!(path.rsplit(|byte| *byte == b'/').next(), Some(b"" | b"." | b"..")) {
            return Err(self.broken("a whiteout that names no entry"));
        }
        let key = self.place_of(path)?;
        if self.is_lower(&key) {
            self.remove(&key);
        }
        Ok(())
    }

    /// Takes away what lower layers have in the directory at `path`.
    pub(super) fn hide_lower(&mut self, path: &[u8]) -> Result<(), ImageError> {
        let key = self.place_of(path)?;
        // said once more, it hides nothing more
        if !self.hidden.insert(key.clone()) {
            return Ok(());
        }
        for below in self.below(&key) {
            if self.is_lower(&below) {
                self.unname(&below);
            }
        }
        Ok(())
    }

    fn is_lower(&self, key: &[u8]) -> bool {
        let number = self.names.get(key);
        let inode = number.and_then(|number| self.inodes.get(*number as usize));
        inode.is_some_and(|inode| inode.layer < self.layer)
    }

    /// Names below the directory `key`.
    fn below(&self, key: &[u8]) -> Vec<Vec<u8>> {
        let start = [key, b"/"].concat();
        let range = self.names.range(start.clone()..);
        range.map(|(name, _)| name).take_while(|name| name.starts_with(&start)).cloned().collect()
    }

    fn remove(&mut self, key: &[u8]) {
        for below in self.below(key) {
            self.unname(&below);
        }
        self.unname(key);
    }

    fn name(&mut self, key: Vec<u8>, number: u32) -> Result<(), ImageError> {
        self.path_bytes = self.path_bytes.saturating_add(key.len());
        if self.path_bytes > self.most_path_bytes {
            let most = self.most_path_bytes;
            return Err(self.broken(&format!("paths of more than {most} bytes in all")));
        }
        self.names.insert(key, number);
        Ok(())
    }

    fn unname(&mut self, key: &[u8]) {
        self.known.clear();
        if let Some(number) = self.names.remove(key)
            && let Some(inode) = self.inodes.get_mut(number as usize)
        {
            inode.links = inode.links.saturating_sub(1);
        }
    }

    /// The key of `path`: links among its parents are followed inside of the tree, parents that are
    /// missing are made.
    fn place_of(&mut self, path: &[u8]) -> Result<Vec<u8>, ImageError> {
        let mut open: Vec<Vec<u8>> = components(path);
        let mut key = self.begin(&mut open);
        let (mut links, mut straight) = (0, true);
        if open.is_empty() {
            return Ok(key);
        }
        while let Some(name) = open.pop() {
            if name == b".." {
                // of a link's target; at the root it stays there
                straight = false;
                let end = key.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                key.truncate(end);
                continue;
            }
            key.push(b'/');
            key.extend_from_slice(&name);
            if key.len() > LONGEST_PATH {
                return Err(self.broken(&format!("a path of more than {LONGEST_PATH} bytes")));
            }
            if open.is_empty() {
                break;
            }
            self.looked_up = self.looked_up.saturating_add(key.len());
            if self.looked_up.saturating_sub(ANYHOW) / PARENTS > self.inodes.len() {
                return Err(self.broken("very many paths that are very deep"));
            }
            match self.names.get(&key).and_then(|number| self.inodes.get(*number as usize)) {
                Some(Inode { kind: Kind::Directory, .. }) => {}
                Some(Inode { kind: Kind::Symlink(target), .. }) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(self.broken("its links go round in a circle"));
                    }
                    let end = key.len() - name.len() - 1;
                    key.truncate(if target.starts_with(b"/") { 0 } else { end });
                    open.extend(components(target));
                }
                Some(_) => {
                    let shown = String::from_utf8_lossy(&key).into_owned();
                    return Err(self.broken(&format!("`{shown}` is no directory, but has entries")));
                }
                None => {
                    let number = self.inodes();
                    let kind = Kind::Directory;
                    self.inodes.push(Inode {
                        metadata: IMPLIED,
                        links: 1,
                        kind,
                        layer: self.layer,
                    });
                    self.name(key.clone(), number)?;
                }
            }
        }
        if straight && links == 0 {
            let end = key.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            key.get(..end).unwrap_or_default().clone_into(&mut self.known);
        }
        Ok(key)
    }

    /// The directory that is known, where `open` leads into it: these names are taken from there.
    fn begin(&self, open: &mut Vec<Vec<u8>>) -> Vec<u8> {
        let names: Vec<&[u8]> = self.known.split(|byte| *byte == b'/').skip(1).collect();
        let same = open.iter().rev().zip(&names).all(|(name, known)| name == known);
        if !same || names.len() >= open.len() {
            return Vec::new();
        }
        open.truncate(open.len() - names.len());
        self.known.clone()
    }

    /// As [`super::Image::walk`].
    pub(super) fn walk(
        &self,
        mut visit: impl FnMut(&ImagePath, &Found) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        for (key, number) in &self.names {
            let path = if key.is_empty() { Ok(ImagePath::root()) } else { ImagePath::new(key) };
            let path = path.map_err(|error| self.broken(&error.to_string()))?;
            visit(&path, &self.found(*number))?;
        }
        Ok(())
    }

    /// What is at `path`, links not followed.
    pub(super) fn find(&self, path: &ImagePath) -> Option<Found> {
        let root = path.components().next().is_none();
        let key: &[u8] = if root { b"" } else { path.as_bytes() };
        self.names.get(key).map(|number| self.found(*number))
    }

    fn found(&self, number: u32) -> Found {
        let Some(inode) = self.inodes.get(number as usize) else {
            return Found { inode: number, links: 1, metadata: IMPLIED, kind: FoundKind::Device };
        };
        let kind = match &inode.kind {
            Kind::Directory => FoundKind::Directory,
            Kind::File(place, size) => FoundKind::File(FoundFile::in_tree(place.clone(), *size)),
            Kind::Symlink(target) => FoundKind::Symlink(target.clone()),
            Kind::Special(kind) => FoundKind::Special(*kind),
            Kind::Device => FoundKind::Device,
        };
        Found { inode: number, links: inode.links, metadata: inode.metadata, kind }
    }

    /// Hands the content of a file to `take`, piece by piece.
    pub(super) fn copy(
        &self,
        place: &Place,
        size: u64,
        mut take: impl FnMut(Chunk) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let opened;
        let (path, file, start): (&Path, &File, u64) = match place {
            Place::Host(path) => {
                opened = super::source::open(path)?;
                (path, &opened, 0)
            }
            Place::Part(number, start) => {
                let (path, file) =
                    self.files.get(*number).ok_or_else(|| self.broken("a lost file"))?;
                (path, file, *start)
            }
        };
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut done = 0;
        while done < size {
            let want = usize::try_from(size - done).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let part = buffer.get_mut(..want).unwrap_or_default();
            file.read_exact_at(part, start + done).at("read", path)?;
            take(Chunk::Data(part))?;
            done += want as u64;
        }
        Ok(())
    }
}

/// The names in `path`, the last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    names.rev().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tree: &Tree) -> Vec<String> {
        tree.names.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    fn file() -> Kind {
        Kind::File(Place::Host("/dev/null".into()), 0)
    }

    #[test]
    fn links_lead_nowhere_but_inside() {
        let mut tree = Tree::new(Path::new("x"));
        for (at, target) in
            [("up", "../../.."), ("abs", "/lib"), ("loop", "loop"), ("lib64", "usr/lib")]
        {
            tree.put(at.as_bytes(), IMPLIED, Kind::Symlink(target.into())).unwrap();
        }
        tree.put(b"up/a", IMPLIED, file()).unwrap();
        tree.put(b"abs/b", IMPLIED, file()).unwrap();
        tree.put(b"./lib64//c", IMPLIED, file()).unwrap();
        tree.put(b"../../d", IMPLIED, file()).unwrap();
        let error = tree.put(b"loop/e", IMPLIED, file()).unwrap_err().to_string();
        assert!(error.contains("circle"), "{error}");
        assert!(tree.put(b"a/below a file", IMPLIED, file()).is_err());
        let want = [
            "",
            "/a",
            "/abs",
            "/d",
            "/lib",
            "/lib/b",
            "/lib64",
            "/loop",
            "/up",
            "/usr",
            "/usr/lib",
            "/usr/lib/c",
        ];
        assert_eq!(names(&tree), want);
    }

    #[test]
    fn a_layer_hides_what_lies_below_and_not_its_own() {
        let mut tree = Tree::new(Path::new("x"));
        for name in ["a/1", "a/2/deep", "b/1", "c"] {
            tree.put(name.as_bytes(), IMPLIED, file()).unwrap();
        }
        tree.next_layer();
        tree.put(b"b/new", IMPLIED, file()).unwrap();
        tree.hide_lower(b"b").unwrap();
        tree.white_out(b"a/2").unwrap();
        for nothing in ["a/", "a/.", "a/..", ""] {
            assert!(tree.white_out(nothing.as_bytes()).is_err(), "{nothing}");
        }
        tree.white_out(b"never/there").unwrap();
        tree.put(b"c", IMPLIED, Kind::Directory).unwrap();
        assert_eq!(names(&tree), ["", "/a", "/a/1", "/b", "/b/new", "/c", "/never"]);
    }

    #[test]
    fn all_paths_together_have_a_limit() {
        let mut tree = Tree { most_path_bytes: 20, ..Tree::new(Path::new("x")) };
        tree.put(b"a/b", IMPLIED, file()).unwrap();
        tree.put(b"a/b", IMPLIED, Kind::Directory).unwrap();
        tree.link(b"1234567890", b"a/b").unwrap_err();
        let error = tree.put(b"1234567890", IMPLIED, file()).unwrap_err().to_string();
        assert!(error.ends_with("paths of more than 20 bytes in all"), "{error}");
    }

    #[test]
    fn a_hard_link_counts() {
        let mut tree = Tree::new(Path::new("x"));
        let number = tree.put(b"a", IMPLIED, file()).unwrap();
        tree.link(b"b", b"./a").unwrap();
        assert_eq!(tree.found(number).links, 2);
        tree.put(b"a", IMPLIED, Kind::Device).unwrap();
        assert_eq!(tree.found(number).links, 1);
        assert!(tree.link(b"c", b"gone").is_err() && tree.link(b"c", b"").is_err());
    }
}
