//! The tree's order and counts, taken once before anything is written.

use std::collections::BTreeSet;

use super::format::{NAME_BYTES, SYMLINK_BYTES};
use crate::image::ImageError;
use crate::image::groups::beginnings;
use crate::rootfs::{Content, Directory, File, FileId, Node, Rootfs};

/// What a walk over the tree tells.
#[derive(Debug)]
pub(super) struct Survey {
    /// Files with content, each once, in the order of their first names: those of the host first,
    /// then those that were made for the image, so that an image begins with what it shares with
    /// others.
    pub(super) planned: Vec<FileId>,
    /// Number of names of each file, by [`FileId::index`].
    pub(super) links: Vec<u32>,
    /// Inodes of all kinds.
    pub(super) inodes: u32,
    /// Sizes that more than one planned file has; others have no duplicates.
    pub(super) repeated: BTreeSet<u64>,
    /// Bytes of all planned files.
    pub(super) bytes: u64,
    /// Files with which packing begins anew.
    pub(super) beginnings: BTreeSet<FileId>,
}

/// Blocks that the tails of a group of files fill at least if it has fragments of its own.
const OWN_FRAGMENTS: u64 = 4;

type Entries<'a> = Box<dyn Iterator<Item = (&'a [u8], &'a Node)> + 'a>;

impl Survey {
    /// Surveys `rootfs` for an image with data blocks of `block` bytes.
    ///
    /// # Errors
    /// [`ImageError::Unrepresentable`] for what squashfs cannot hold.
    pub(super) fn of(rootfs: &Rootfs, block: u64) -> Result<Self, ImageError> {
        let mut survey = Self {
            planned: Vec::with_capacity(rootfs.files().len()),
            links: vec![0; rootfs.files().len()],
            inodes: 1,
            repeated: BTreeSet::new(),
            bytes: 0,
            beginnings: BTreeSet::new(),
        };
        let mut stack: Vec<Entries> = vec![Box::new(rootfs.root().entries())];
        while let Some(entries) = stack.last_mut() {
            let Some((name, node)) = entries.next() else {
                stack.pop();
                continue;
            };
            check_name(name)?;
            survey.count(rootfs, node)?;
            if let Node::Directory(directory) = node {
                stack.push(Box::new(directory.entries()));
            }
        }
        // stable: each kind stays in the tree's order
        survey.planned.sort_by_key(|id| !is_found(&rootfs.file(*id).content));
        survey.find_repeated(rootfs);
        let tail = |file: &File| size_of_content(file) % block;
        survey.beginnings = beginnings(rootfs, &survey.planned, tail, OWN_FRAGMENTS * block);
        // what is made for this image alone
        let is_made = |id: &&FileId| !matches!(rootfs.file(**id).content, Content::Host(_));
        survey.beginnings.extend(survey.planned.iter().find(is_made));
        Ok(survey)
    }

    fn count(&mut self, rootfs: &Rootfs, node: &Node) -> Result<(), ImageError> {
        let mut new = true;
        match node {
            Node::Directory(_) | Node::Special(_) => {}
            Node::Symlink(link) => check_target(&link.target)?,
            Node::File(id) => {
                if let Some(links) = self.links.get_mut(id.index()) {
                    new = *links == 0;
                    *links += 1;
                }
                if new && rootfs.file(*id).content != Content::Late {
                    self.planned.push(*id);
                    self.bytes += size_of_content(rootfs.file(*id));
                }
            }
        }
        // the number behind the last one serves as the root's parent
        self.inodes = self.inodes.checked_add(u32::from(new)).filter(|&n| n < u32::MAX).ok_or(
            ImageError::Unrepresentable {
                what: "so many files".to_owned(),
                reason: "a squashfs has at most 4294967294 inodes",
            },
        )?;
        Ok(())
    }

    fn find_repeated(&mut self, rootfs: &Rootfs) {
        let mut sizes: Vec<u64> =
            self.planned.iter().map(|id| size_of_content(rootfs.file(*id))).collect();
        sizes.sort_unstable();
        self.repeated =
            sizes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    }
}

/// Whether it was there before the image, e.g. as a file of the host.
const fn is_found(content: &Content) -> bool {
    matches!(content, Content::Host(_) | Content::Part(_))
}

/// Bytes of a file as planned.
pub(in crate::image) fn size_of_content(file: &File) -> u64 {
    match &file.content {
        Content::Host(_) | Content::Part(_) => file.size,
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::Late | Content::Kept => 0,
    }
}

/// Number of directories in `directory`.
pub(super) fn subdirectories(directory: &Directory) -> u32 {
    let count = directory.entries().filter(|(_, node)| matches!(node, Node::Directory(_))).count();
    // there are fewer inodes than that
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn check_name(name: &[u8]) -> Result<(), ImageError> {
    if name.len() <= NAME_BYTES {
        return Ok(());
    }
    Err(ImageError::Unrepresentable { what: text(name), reason: "names have at most 255 bytes" })
}

fn check_target(target: &[u8]) -> Result<(), ImageError> {
    if (1..=SYMLINK_BYTES).contains(&target.len()) {
        return Ok(());
    }
    Err(ImageError::Unrepresentable {
        what: text(target),
        reason: "the target of a symbolic link has 1 to 4095 bytes",
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Epoch;
    use crate::rootfs::{ImagePath, Metadata};

    #[test]
    fn what_was_made_for_the_image_comes_behind_what_was_found() {
        let metadata = Metadata { mode: 0o644, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(Metadata { mode: 0o755, ..metadata });
        let mut add = |path: &str, content: Content| {
            let file = File { metadata, size: 1, content, reason: "t:".into() };
            rootfs.add_file(&ImagePath::new(path.as_bytes()).unwrap(), file).unwrap()
        };
        let made = [add("/a", Content::Bytes(vec![1])), add("/m", Content::Bytes(vec![2]))];
        let found = [add("/b", Content::Host("/b".into())), add("/z", Content::Host("/z".into()))];
        add("/c", Content::Late);
        assert_eq!(Survey::of(&rootfs, 4096).unwrap().planned, [found, made].concat());
    }
}
