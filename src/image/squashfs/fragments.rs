//! Which tails share a fragment, and which files are duplicates: decided in file order, from sizes
//! and hashes alone, so that it can be foreseen where these are known.

use std::collections::BTreeMap;

use super::format::NONE_32;
use super::order::Survey;
use crate::image::ImageError;
use crate::image::Watch;
use crate::image::cache::{Cache, Keys, Known};
use crate::image::source::Hash;
use crate::image::squashfs::size_of_content;
use crate::rootfs::{FileId, Rootfs};

/// Where a file's tail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In this fragment at this offset; [`NONE_32`] if there is no tail.
    Tail { fragment: u32, offset: u32 },
    /// All of the file is equal to this one, and whatever was written of it is dropped.
    CopyOf(FileId),
}

/// The decisions so far.
pub(super) struct Fragments<'a> {
    block: usize,
    survey: &'a Survey,
    /// Bytes in the present fragment, and its number.
    filled: usize,
    number: u32,
    /// Whether a file has come, since the last tail, with which a new fragment is begun.
    begins: bool,
    /// The first file of each size and content, of sizes that several files have.
    seen: BTreeMap<(u64, Hash), FileId>,
}

impl<'a> Fragments<'a> {
    /// No decisions yet, for blocks of so many bytes.
    pub(super) const fn new(block: usize, survey: &'a Survey) -> Self {
        Self { block, survey, filled: 0, number: 0, begins: false, seen: BTreeMap::new() }
    }

    /// The next tail begins a new fragment.
    pub(super) const fn begin(&mut self) {
        self.begins = true;
    }

    /// Decides where the last of a file goes, of which the tail has so many bytes. The second value
    /// tells whether the present fragment is complete before that.
    pub(super) fn place(
        &mut self,
        (id, size): (FileId, u64),
        hash: Option<Hash>,
        tail: usize,
    ) -> (Place, bool) {
        self.begins |= self.survey.beginnings.contains(&id);
        if let Some(hash) = hash
            && size > 0
            && self.survey.repeated.contains(&size)
        {
            if let Some(first) = self.seen.get(&(size, hash)) {
                return (Place::CopyOf(*first), false);
            }
            self.seen.insert((size, hash), id);
        }
        if tail == 0 {
            return (Place::Tail { fragment: NONE_32, offset: 0 }, false);
        }
        let begins = std::mem::take(&mut self.begins);
        let ends = self.filled > 0 && (begins || self.block - self.filled < tail);
        if ends {
            self.filled = 0;
            self.number += 1;
        }
        // less than a block, which has at most 1 MiB
        let offset = u32::try_from(self.filled).unwrap_or(NONE_32);
        self.filled += tail;
        (Place::Tail { fragment: self.number, offset }, ends)
    }
}

/// What is known of the files, and which tails are in fragments that the cache has.
///
/// That is a guess where files are not known; what it gets wrong is read later than it might be.
///
/// # Errors
/// An interrupt.
pub(super) fn foresee<'a>(
    (cache, keys): (&'a Cache, &Keys),
    rootfs: &'a Rootfs,
    survey: &Survey,
    (block, readers): (usize, usize),
    watch: Watch,
) -> Result<Known<'a>, ImageError> {
    let mut known = Known::look(cache, rootfs, &survey.planned, readers, watch)?;
    let mut fragments = Fragments::new(block, survey);
    let mut members: Vec<(FileId, Option<Hash>, u64)> = Vec::new();
    let complete = |known: &mut Known, members: &mut Vec<(FileId, Option<Hash>, u64)>| {
        let all: Option<Vec<_>> =
            members.iter().map(|(_, hash, size)| Some(((*hash)?, *size))).collect();
        let is_there = all.is_some_and(|all| cache.has(&keys.fragment(&all)));
        for (id, ..) in members.drain(..) {
            if is_there {
                known.leave_unread(id);
            }
        }
    };
    for id in &survey.planned {
        let size = size_of_content(rootfs.file(*id));
        let hash = known.sha256(*id);
        // less than a block
        let tail = usize::try_from(size % block as u64).unwrap_or(0);
        let (place, ends) = fragments.place((*id, size), hash, tail);
        if ends {
            complete(&mut known, &mut members);
        }
        match place {
            Place::Tail { .. } if tail > 0 => members.push((*id, hash, size)),
            Place::Tail { .. } | Place::CopyOf(_) => known.leave_unread(*id),
        }
    }
    complete(&mut known, &mut members);
    Ok(known)
}
