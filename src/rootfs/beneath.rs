//! A root file system that lies beneath another.

use std::fs::File as HostFile;
use std::path::Path;
use std::sync::Arc;

use super::resolve::End;
use super::{Content, Directory, File, FileId, ImagePath, Node, Rootfs, RootfsError};

/// The reason of everything that a base brings.
pub const BENEATH: &str = "base:";

/// A range of an open file that begins at a byte.
#[derive(Debug, Clone)]
pub struct Part {
    /// The file.
    pub file: Arc<HostFile>,
    /// The first byte.
    pub start: u64,
    /// What the file is called, for messages.
    pub path: Arc<Path>,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && self.start == other.start
    }
}

impl Eq for Part {}

impl Rootfs {
    /// Makes this a base: what is added from now on lands where the base's links lead, inside of
    /// it, and takes the place of files and links that have the reason [`BENEATH`].
    pub fn lie_beneath(&mut self) {
        self.is_base = true;
    }

    /// Adds all that `upper` holds; its files come behind those that are here. Directories that
    /// both have keep the base's metadata.
    ///
    /// # Errors
    /// [`RootfsError::Collision`], [`RootfsError::Loop`]; what adding each by itself fails for.
    pub fn lay_over(&mut self, upper: Self) -> Result<(), RootfsError> {
        let Self { root, files, stamps, .. } = upper;
        let first = u32::try_from(self.files.len()).map_err(|_| RootfsError::TooManyFiles)?;
        let all = self.files.len().checked_add(files.len());
        if all.is_none_or(|all| u32::try_from(all).is_err()) {
            return Err(RootfsError::TooManyFiles);
        }
        self.stamps.resize(self.files.len(), None);
        self.stamps.extend(stamps);
        self.files.extend(files);
        let mut open = vec![(ImagePath::root(), root)];
        while let Some((at, directory)) = open.pop() {
            for (name, node) in directory.entries {
                let path = at.join_name(&name);
                match node {
                    Node::Directory(below) => {
                        if !self.has_directory(&path)? {
                            self.add_directory(&path, below.metadata)?;
                        }
                        open.push((path, *below));
                    }
                    Node::File(id) => {
                        self.insert(&path, Node::File(FileId(first.saturating_add(id.0))))?;
                    }
                    Node::Symlink(link) => self.add_symlink(&path, *link)?,
                    Node::Special(special) => self.add_special(&path, *special)?,
                }
            }
        }
        Ok(())
    }

    /// Gives files the contents that `content` returns for them.
    pub fn map_contents(&mut self, mut content: impl FnMut(FileId, &File) -> Option<Content>) {
        for (number, file) in (0..).zip(&mut self.files) {
            if let Some(content) = content(FileId(number), file) {
                file.content = content;
            }
        }
    }

    /// What lies above the layers that are kept: everything but [`Content::Kept`] and the links
    /// and directories of `base`, with the directories that lead to it. Files keep their identity.
    #[must_use]
    pub fn above(&self, base: &Self) -> Self {
        let mut above = self.clone();
        prune(&mut above.root, &above.files, Some(&base.root));
        above
    }

    /// Where `path` leads when links are followed, its last name too; the path itself where this is
    /// no base.
    pub(super) fn landing(&self, path: &ImagePath) -> Result<ImagePath, RootfsError> {
        if !self.is_base {
            return Ok(path.clone());
        }
        match self.follow(path.as_bytes()) {
            End::At(at) | End::Outside(at) => Ok(at),
            End::Loop => Err(RootfsError::Loop { path: path.clone() }),
        }
    }

    /// Where the name `path` lies when links on the way to it are followed.
    pub(super) fn landing_of_name(&self, path: &ImagePath) -> Result<ImagePath, RootfsError> {
        let Some((parent, name)) = path.split() else { return Ok(path.clone()) };
        Ok(self.landing(&parent)?.join_name(name))
    }

    /// Takes away what a base has at `path` if `node` may have its place.
    pub(super) fn give_way(&mut self, path: &ImagePath, node: &Node) -> Result<(), RootfsError> {
        if !self.is_base {
            return Ok(());
        }
        let theirs = match self.get(path) {
            None => return Ok(()),
            Some(Node::Directory(_)) => "a directory",
            Some(there) if !self.is_beneath(there) => return Ok(()),
            Some(Node::File(_)) => "a file",
            Some(Node::Symlink(_)) => "a link",
            Some(Node::Special(_)) => "a FIFO or socket",
        };
        let ours = match node {
            Node::Directory(_) => "a directory",
            Node::File(_) => "a file",
            Node::Symlink(_) => "a link",
            Node::Special(_) => "a FIFO or socket",
        };
        if theirs == "a directory" {
            return Err(RootfsError::Collision { path: path.clone(), theirs, ours });
        }
        if let Some((parent, name)) = path.split() {
            self.directory_mut(&parent)?.entries.remove(name);
        }
        Ok(())
    }

    fn is_beneath(&self, node: &Node) -> bool {
        let reason = match node {
            Node::Directory(_) => return true,
            Node::File(id) => &self.file(*id).reason,
            Node::Symlink(link) => &link.reason,
            Node::Special(special) => &special.reason,
        };
        &**reason == BENEATH
    }

    /// Whether a directory is there, links followed.
    fn has_directory(&self, path: &ImagePath) -> Result<bool, RootfsError> {
        let at = self.landing(path)?;
        match self.get(&at) {
            Some(Node::Directory(_)) => Ok(true),
            Some(_) => Err(RootfsError::Collision {
                path: path.clone(),
                theirs: "a file",
                ours: "a directory",
            }),
            None => Ok(at == ImagePath::root()),
        }
    }
}

/// Takes away what `base` has already. A directory stays if something in it does, or if it is new.
fn prune(directory: &mut Directory, files: &[File], base: Option<&Directory>) {
    directory.entries.retain(|name, node| match node {
        Node::File(id) => files.get(id.index()).is_some_and(|file| file.content != Content::Kept),
        Node::Symlink(link) => &*link.reason != BENEATH,
        Node::Special(special) => &*special.reason != BENEATH,
        Node::Directory(below) => {
            let there = match base.and_then(|base| base.get(name)) {
                Some(Node::Directory(there)) => Some(&**there),
                _ => None,
            };
            prune(below, files, there);
            there.is_none() || !below.entries.is_empty()
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::{Metadata, Symlink};
    use super::*;
    use crate::base::Epoch;

    const METADATA: Metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text.as_bytes()).unwrap()
    }

    /// A tree of files (`/a`), links (`/a>target`) and directories (`/a/`).
    fn tree(entries: &[&str], reason: &str, content: &Content) -> Rootfs {
        let mut tree = Rootfs::new(METADATA);
        for entry in entries {
            if let Some((at, target)) = entry.split_once('>') {
                let target = target.as_bytes().to_vec();
                let link = Symlink { mtime: Epoch::GENERATED, target, reason: reason.into() };
                tree.add_symlink(&path(at), link).unwrap();
            } else if entry.ends_with('/') {
                tree.add_directory(&path(entry), METADATA).unwrap();
            } else {
                let (content, reason) = (content.clone(), reason.into());
                let file = File { metadata: METADATA, size: 0, content, reason };
                tree.add_file(&path(entry), file).unwrap();
            }
        }
        tree
    }

    fn base(entries: &[&str]) -> Rootfs {
        let mut base = tree(entries, BENEATH, &Content::Kept);
        base.lie_beneath();
        base
    }

    fn ours(entries: &[&str]) -> Rootfs {
        tree(entries, "t:", &Content::Bytes(Vec::new()))
    }

    fn names(tree: &Rootfs) -> Vec<String> {
        let mut names = Vec::new();
        tree.walk(|path, node| {
            let mark = match node {
                Node::Directory(_) => "/".to_owned(),
                Node::File(id) => format!(" {}", tree.file(*id).reason),
                Node::Symlink(link) => format!(">{}", String::from_utf8_lossy(&link.target)),
                Node::Special(_) => "|".to_owned(),
            };
            names.push(format!("{path}{mark}"));
        });
        names
    }

    #[test]
    fn what_is_laid_over_lands_where_the_links_of_the_base_lead() {
        let below = base(&[
            "/bin>usr/bin",
            "/usr/bin/sh",
            "/opt>/srv/../../../deep",
            "/etc/file",
            "/etc/link>file",
            "/tmp/",
        ]);
        let mut all = below.clone();
        let upper =
            ["/bin/tool", "/opt/app/x", "/etc/file", "/etc/link", "/new/", "/tmp/", "/bin2>bin"];
        all.lay_over(ours(&upper)).unwrap();
        let want = [
            "/bin>usr/bin",
            "/bin2>bin",
            "/deep/",
            "/deep/app/",
            "/deep/app/x t:",
            "/etc/",
            "/etc/file t:",
            "/etc/link t:",
            "/new/",
            "/opt>/srv/../../../deep",
            "/tmp/",
            "/usr/",
            "/usr/bin/",
            "/usr/bin/sh base:",
            "/usr/bin/tool t:",
        ];
        assert_eq!(names(&all), want);
        let above = [
            "/bin2>bin",
            "/deep/",
            "/deep/app/",
            "/deep/app/x t:",
            "/etc/",
            "/etc/file t:",
            "/etc/link t:",
            "/new/",
            "/usr/",
            "/usr/bin/",
            "/usr/bin/tool t:",
        ];
        assert_eq!(names(&all.above(&below)), above, "what the base has is not written again");
    }

    #[test]
    fn what_cannot_be_merged_names_the_path_and_both_kinds() {
        for (below, above, words) in [
            ("/a/b", "/a", "`/a` is a directory in the base, and a file in what is packed"),
            ("/a/b", "/a>x", "`/a` is a directory in the base, and a link"),
            ("/a", "/a/b", "`/a` is a file in the base, and a directory in what is packed"),
            ("/a>a", "/a/b", "circle on the way to `/a`"),
            ("/a>b", "/a/b/", "circle"),
        ] {
            let mut all = base(&[below, "/b>a"]);
            let error = all.lay_over(ours(&[above])).unwrap_err().to_string();
            assert!(error.contains(words), "{below} under {above}: {error}");
        }
    }

    #[test]
    fn two_of_ours_that_land_at_one_place_are_an_error() {
        let mut all = base(&["/bin>usr/bin", "/usr/bin/"]);
        assert!(all.lay_over(ours(&["/bin/x", "/usr/bin/x"])).is_err());
    }
}
