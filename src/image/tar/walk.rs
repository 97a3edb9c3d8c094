//! Which entries a stream has: all, or those of a layer with the directories that lead to them.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::ImageError;
use crate::image::groups::beginnings;
use crate::image::squashfs::size_of_content;
use crate::rootfs::{Content, Directory, FileId, Node, Rootfs, Special, Symlink};

/// What belongs to a stream.
#[derive(Clone, Copy)]
pub(in crate::image) enum Select<'a> {
    /// Everything.
    All,
    /// What this is true of: files, links and empty directories, with the directories above.
    Only(&'a (dyn Fn(&Node) -> bool + Sync)),
}

/// One entry of a stream.
#[derive(Debug, Clone, Copy)]
pub(in crate::image) enum Item<'a> {
    /// A directory, before anything in it.
    Directory(&'a Directory),
    /// A file by its first name.
    File(FileId),
    /// Another name of the file that this path (without `/` before it) names.
    HardLink(FileId, &'a [u8]),
    /// A symbolic link.
    Symlink(&'a Symlink),
    /// A FIFO or a socket.
    Special(&'a Special),
}

/// What is known of a stream before it is made.
#[derive(Debug, Default)]
pub(in crate::image) struct Survey {
    /// Files by their first names, in the order of the entries; late ones are not among them.
    pub(in crate::image) planned: Vec<FileId>,
    /// Paths of the files that are made when all others have been read.
    pub(in crate::image) late: Vec<(Vec<u8>, FileId)>,
    /// Files with several names.
    linked: BTreeSet<FileId>,
    /// Bytes of the planned files.
    pub(in crate::image) bytes: u64,
    /// Files behind which a new piece of the stream begins.
    pub(in crate::image) ends: BTreeSet<FileId>,
}

/// Bytes that a group of files has at least if it has pieces of its own.
const OWN_PIECES: u64 = 4 << 20;

/// Walks once, so that reading can begin before writing does.
pub(in crate::image) fn survey(rootfs: &Rootfs, select: Select) -> Result<Survey, ImageError> {
    let mut seen = vec![false; rootfs.files().len()];
    let mut survey = Survey::default();
    each(rootfs, select, &mut |path, node| {
        let Node::File(id) = node else { return Ok(()) };
        let Some(seen) = seen.get_mut(id.index()) else { return Ok(()) };
        if rootfs.file(*id).content == Content::Late {
            survey.late.push((path.to_vec(), *id));
        } else if std::mem::replace(seen, true) {
            survey.linked.insert(*id);
        } else {
            survey.planned.push(*id);
            survey.bytes += size_of_content(rootfs.file(*id));
        }
        Ok(())
    })?;
    let beginnings = beginnings(rootfs, &survey.planned, size_of_content, OWN_PIECES);
    let pairs = survey.planned.iter().zip(survey.planned.iter().skip(1));
    survey.ends =
        pairs.filter(|(_, next)| beginnings.contains(next)).map(|(last, _)| *last).collect();
    Ok(survey)
}

/// What is called for an entry.
pub(in crate::image) type Visit<'a> = dyn FnMut(&[u8], Item) -> Result<(), ImageError> + 'a;
/// What is called for a node of the tree.
type VisitNode<'a, 'b> = dyn FnMut(&[u8], &'a Node) -> Result<(), ImageError> + 'b;

/// Calls `visit` with the path (without `/` before it) of every entry, in byte order of the names
/// but for what leads to late files, which comes last; a directory before what is in it. Late files
/// themselves are left out.
pub(in crate::image) fn walk(
    rootfs: &Rootfs,
    select: Select,
    survey: &Survey,
    visit: &mut Visit,
) -> Result<(), ImageError> {
    let mut names: BTreeMap<FileId, Vec<u8>> = BTreeMap::new();
    each(rootfs, select, &mut |path, node| match node {
        Node::Directory(directory) => visit(path, Item::Directory(directory)),
        Node::Symlink(link) => visit(path, Item::Symlink(link)),
        Node::Special(special) => visit(path, Item::Special(special)),
        Node::File(id) if rootfs.file(*id).content == Content::Late => Ok(()),
        Node::File(id) if survey.linked.contains(id) => {
            if let Some(first) = names.get(id) {
                return visit(path, Item::HardLink(*id, first));
            }
            names.insert(*id, path.to_vec());
            visit(path, Item::File(*id))
        }
        Node::File(id) => visit(path, Item::File(*id)),
    })
}

/// Names in directories (by path) that lead to late files.
type Deferred = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

/// What comes last in its directory, so that late files are the last entries of all, and who
/// unpacks does not come back to a directory whose time is set already.
fn deferred(rootfs: &Rootfs) -> Deferred {
    let mut deferred = Deferred::new();
    if !rootfs.files().iter().any(|file| file.content == Content::Late) {
        return deferred;
    }
    rootfs.walk(|path, node| {
        let Node::File(id) = node else { return };
        if rootfs.file(*id).content != Content::Late {
            return;
        }
        let mut above = Vec::new();
        for name in path.components() {
            deferred.entry(above.clone()).or_default().insert(name.to_vec());
            if !above.is_empty() {
                above.push(b'/');
            }
            above.extend_from_slice(name);
        }
    });
    deferred
}

/// Every selected node with its path; a directory is selected with the first thing in it.
fn each<'a>(
    rootfs: &'a Rootfs,
    select: Select,
    visit: &mut VisitNode<'a, '_>,
) -> Result<(), ImageError> {
    let deferred = deferred(rootfs);
    let mut path = Vec::new();
    let mut levels = vec![Level::new(rootfs.root(), deferred.get(&path), None, 0)];
    while let Some(level) = levels.last_mut() {
        let Some((name, node)) = level.entries.next() else {
            path.truncate(level.parent_length);
            levels.pop();
            continue;
        };
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        match (node, select) {
            (Node::Directory(directory), _)
                if matches!(select, Select::All) || directory.entries().len() > 0 =>
            {
                levels.push(Level::new(directory, deferred.get(&path), Some(node), length));
                if matches!(select, Select::All) {
                    announce(&mut levels, &path, visit)?;
                }
                continue;
            }
            (_, Select::Only(is_wanted)) if !is_wanted(node) => {}
            _ => {
                announce(&mut levels, path.get(..length).unwrap_or_default(), visit)?;
                visit(&path, node)?;
            }
        }
        path.truncate(length);
    }
    Ok(())
}

/// A directory that the walk is in.
struct Level<'a> {
    entries: Box<dyn Iterator<Item = (&'a [u8], &'a Node)> + 'a>,
    /// The directory as long as nobody has seen it.
    unseen: Option<&'a Node>,
    /// Length of the path of the directory around it.
    parent_length: usize,
}

impl<'a> Level<'a> {
    fn new(
        directory: &'a Directory,
        deferred: Option<&BTreeSet<Vec<u8>>>,
        unseen: Option<&'a Node>,
        parent_length: usize,
    ) -> Self {
        let Some(last) = deferred.cloned() else {
            return Self { entries: Box::new(directory.entries()), unseen, parent_length };
        };
        let at_end: Vec<_> = directory.entries().filter(|(name, _)| last.contains(*name)).collect();
        let first = directory.entries().filter(move |(name, _)| !last.contains(*name));
        Self { entries: Box::new(first.chain(at_end)), unseen, parent_length }
    }
}

/// Visits the directories of `path` that have not been visited yet.
fn announce<'a>(
    levels: &mut [Level<'a>],
    path: &[u8],
    visit: &mut VisitNode<'a, '_>,
) -> Result<(), ImageError> {
    let lengths: Vec<usize> = levels.iter().skip(1).map(|level| level.parent_length).collect();
    let ends = lengths.into_iter().skip(1).chain(std::iter::once(path.len()));
    for (level, end) in levels.iter_mut().skip(1).zip(ends.collect::<Vec<_>>()) {
        if let Some(node) = level.unseen.take() {
            visit(path.get(..end).unwrap_or_default(), node)?;
        }
    }
    Ok(())
}
