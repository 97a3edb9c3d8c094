//! Files that two images differ in.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::audit::{Listed, Listing};
use crate::base::{ByteSize, Digest};
use crate::cli::tally;
use crate::closure::Cause;
use crate::image::ImageError;
use crate::image::read::{FoundKind, Image};
use crate::rootfs::SpecialKind;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Entry {
    /// `file`, `link`, `directory`, `fifo`, `socket`, `device`.
    pub(super) kind: &'static str,
    /// Permission bits, as a number in octal; of a link there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<ByteSize>,
    /// As the image's list has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "target_text")]
    pub(super) target: Option<PathBuf>,
    /// Why it is there.
    pub(super) reason: String,
}

#[allow(clippy::ref_option, reason = "serde hands it in so")]
fn target_text<S: serde::Serializer>(
    target: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    crate::base::path_text::optional(target, serializer)
}

/// A path at which the images differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct FileChange {
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub(super) path: PathBuf,
    pub(super) before: Option<Entry>,
    pub(super) after: Option<Entry>,
    /// In what, where both have something there: `kind`, `content`, `size`, `target`, `mode`.
    pub(super) what: Vec<&'static str>,
}

/// How many paths differ of those that are there for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    /// `module:GCC/13.2.0`, or `library:` for all libraries.
    pub(super) reason: String,
    /// The same in words.
    pub(super) says: String,
    pub(super) added: u64,
    pub(super) removed: u64,
    pub(super) changed: u64,
    /// Bytes of files that were added, and of those that were removed.
    pub(super) added_bytes: ByteSize,
    pub(super) removed_bytes: ByteSize,
}

impl FileChange {
    /// Why what is there, or was, is there.
    pub(super) fn reason(&self) -> &str {
        self.after.as_ref().or(self.before.as_ref()).map_or("", |entry| &entry.reason)
    }
}

/// The paths at which the images differ, in order. Of directories only empty ones count, and those
/// whose mode differs; times do not.
pub(super) fn changes(
    before: (&Image, &Listing),
    after: (&Image, &Listing),
) -> Result<Vec<FileChange>, ImageError> {
    let (before, mut after) = (entries(before.0, before.1)?, entries(after.0, after.1)?);
    let mut changes = BTreeMap::new();
    for (path, entry) in before {
        let now = after.remove(&path);
        let what = now.as_ref().map(|now| differing(&entry, now)).unwrap_or_default();
        if now.is_none() || !what.is_empty() {
            let change = FileChange { path: path.clone(), before: Some(entry), after: now, what };
            changes.insert(path, change);
        }
    }
    for (path, entry) in after {
        let what = Vec::new();
        let change = FileChange { path: path.clone(), before: None, after: Some(entry), what };
        changes.insert(path, change);
    }
    // what is in a directory says that it is there
    let mut found: Vec<FileChange> = Vec::new();
    for change in changes.into_values().rev() {
        let is_directory =
            |entry: &Option<Entry>| entry.as_ref().is_none_or(|entry| entry.kind == "directory");
        let implied = is_directory(&change.before)
            && is_directory(&change.after)
            && found.last().is_some_and(|inside| inside.path.starts_with(&change.path))
            && !change.what.contains(&"mode");
        if !implied {
            found.push(change);
        }
    }
    found.reverse();
    Ok(found)
}

/// Everything in an image but what tells of all the rest.
fn entries(image: &Image, listing: &Listing) -> Result<BTreeMap<PathBuf, Entry>, ImageError> {
    let mut entries = BTreeMap::new();
    image.walk(|path, found| {
        let path = path.as_path();
        if path == Path::new("/") || Listing::is_unlisted(path) {
            return Ok(());
        }
        let listed = listing.get(path);
        let (mut size, mut sha256, mut target) = (None, None, None);
        let kind = match &found.kind {
            FoundKind::Directory => "directory",
            FoundKind::Device => "device",
            FoundKind::Special(SpecialKind::Fifo) => "fifo",
            FoundKind::Special(SpecialKind::Socket) => "socket",
            FoundKind::File(file) => {
                size = Some(ByteSize(file.size()));
                if let Some((Listed::File(_, digest), _)) = listed {
                    sha256 = Some(*digest);
                }
                "file"
            }
            FoundKind::Symlink(to) => {
                target = Some(PathBuf::from(OsStr::from_bytes(to)));
                "link"
            }
        };
        let mode = (kind != "link").then(|| format!("{:04o}", found.metadata.mode));
        let reason = listed.map(|(_, reason)| reason.to_owned()).unwrap_or_default();
        entries.insert(path.to_owned(), Entry { kind, mode, size, sha256, target, reason });
        Ok(())
    })?;
    Ok(entries)
}

/// In what two entries differ.
fn differing(before: &Entry, after: &Entry) -> Vec<&'static str> {
    if before.kind != after.kind {
        return vec!["kind"];
    }
    [
        ("content", before.sha256 != after.sha256),
        ("size", before.size != after.size),
        ("target", before.target != after.target),
        ("mode", before.mode != after.mode),
    ]
    .into_iter()
    .filter_map(|(what, differs)| differs.then_some(what))
    .collect()
}

/// How many differ for which reasons, those with the most first.
pub(super) fn summary(changes: &[FileChange]) -> Vec<Summary> {
    let mut found: BTreeMap<String, Summary> = BTreeMap::new();
    for change in changes {
        let (reason, says) = tally::group(&Cause::parse(change.reason()), tally::Detail::Each);
        let new = Summary { reason: reason.clone(), says, ..Summary::default() };
        let summary = found.entry(reason).or_insert(new);
        let bytes = |entry: &Option<Entry>| {
            entry.as_ref().and_then(|entry| entry.size).unwrap_or_default().0
        };
        match (&change.before, &change.after) {
            (None, _) => {
                summary.added += 1;
                summary.added_bytes.0 += bytes(&change.after);
            }
            (_, None) => {
                summary.removed += 1;
                summary.removed_bytes.0 += bytes(&change.before);
            }
            _ => summary.changed += 1,
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|summary| {
        let Summary { added, removed, changed, reason, .. } = summary;
        (std::cmp::Reverse(added + removed + changed), reason.clone())
    });
    found
}
