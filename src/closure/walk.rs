//! Whole directories.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::collect::{Collector, kind};
use super::policy::Policy;
use super::{ClosureError, Omission, Reason, parallel};
use crate::base::fs::{PathError, sorted_dir};

/// A thing found in a directory.
enum Entry {
    /// To be packed.
    Keep(PathBuf, fs::Metadata),
    /// To be left out, and why.
    Omit(PathBuf, &'static str),
}

/// A file or link that a walk over a directory would add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Surveyed {
    pub(super) path: PathBuf,
    /// Bytes of a file by its first name; 0 of a link, and by other names.
    pub(super) bytes: u64,
    pub(super) is_link: bool,
}

impl Collector<'_> {
    /// What [`Self::walk`] would add of the directory `top`, which has no link in its path; what it
    /// would leave out goes to `omitted`.
    pub(super) fn survey(
        &self,
        top: &Path,
        omitted: &mut Vec<Omission>,
    ) -> Result<Vec<Surveyed>, ClosureError> {
        let mut level = vec![top.to_owned()];
        let mut found = Vec::new();
        let mut linked = BTreeSet::new();
        while !level.is_empty() {
            let policy = &self.policy;
            let listed = parallel::map(&level, self.interrupt, |at| list(at, policy))?;
            level.clear();
            for entry in listed.into_iter().flatten().flatten() {
                let (path, metadata) = match entry {
                    Entry::Keep(path, metadata) => (path, metadata),
                    Entry::Omit(path, reason) => {
                        omitted.push(Omission { path, reason: reason.to_owned() });
                        continue;
                    }
                };
                if metadata.is_dir() {
                    level.push(path);
                } else {
                    let first =
                        metadata.nlink() == 1 || linked.insert((metadata.dev(), metadata.ino()));
                    let counts = metadata.is_file() && first;
                    let bytes = if counts { metadata.len() } else { 0 };
                    found.push(Surveyed { path, bytes, is_link: metadata.is_symlink() });
                }
            }
        }
        Ok(found)
    }

    /// Adds the directory `top`, which has no link in its path, and everything in it. Directories
    /// of one depth are read at the same time, and added in the order of their names.
    pub(super) fn walk(
        &mut self,
        top: &Path,
        metadata: &fs::Metadata,
        reason: &Reason,
    ) -> Result<(), ClosureError> {
        let mut level = vec![(top.to_owned(), metadata.clone())];
        while !level.is_empty() {
            level.retain(|(directory, _)| self.walked.insert(directory.clone()));
            let policy = &self.policy;
            let listed = parallel::map(&level, self.interrupt, |(at, _)| list(at, policy))?;
            let mut below = Vec::new();
            for ((directory, metadata), entries) in level.iter().zip(listed) {
                match entries {
                    Ok(entries) => {
                        self.add_directory(directory, metadata)?;
                        self.add_entries(entries, reason, &mut below)?;
                    }
                    Err(_) => self.omit(directory, "not readable"),
                }
            }
            level = below;
        }
        Ok(())
    }

    /// Adds what a directory holds; its directories go to `below`.
    fn add_entries(
        &mut self,
        entries: Vec<Entry>,
        reason: &Reason,
        below: &mut Vec<(PathBuf, fs::Metadata)>,
    ) -> Result<(), ClosureError> {
        let (mut files, mut bytes) = (0, 0);
        for entry in entries {
            match entry {
                Entry::Omit(path, why) => self.omit(&path, why),
                Entry::Keep(path, metadata) if metadata.is_dir() => below.push((path, metadata)),
                Entry::Keep(path, metadata) => {
                    self.add_leaf(&path, &metadata, reason)?;
                    files += 1;
                    bytes += metadata.len();
                }
            }
        }
        self.progress.advance(files, bytes);
        Ok(())
    }
}

/// What is in `directory`, in byte order.
fn list(directory: &Path, policy: &Policy) -> Result<Vec<Entry>, PathError> {
    let names = sorted_dir(directory)?;
    let entries = names.into_iter().filter_map(|name| {
        let path = directory.join(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Some(match policy.omission(&path, kind(&metadata)) {
                Some(reason) => Entry::Omit(path, reason),
                None => Entry::Keep(path, metadata),
            }),
            // it was removed since the directory was read
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(Entry::Omit(path, "not readable")),
        }
    });
    Ok(entries.collect())
}
