//! What a piece of a stream is made of, told without reading any file: headers as they are, contents
//! by their digests. Pieces that the cache has are found by this.

use super::build::{END, PIECE_BYTES, entries};
use super::header::{BLOCK_BYTES, EntryKind, encode};
use super::walk::{Select, Survey};
use crate::image::cache::{Hash, Keys, Known};
use crate::image::{ImageError, Watch};
use crate::rootfs::{FileId, Rootfs};

/// A piece under construction.
#[derive(Default)]
pub(super) struct Recipe {
    script: Vec<u8>,
    /// Where digests of files belong in the script.
    digests: Vec<(usize, FileId)>,
    /// The content that came last: file, place in it, bytes.
    last: Option<(FileId, u64, u64)>,
}

impl Recipe {
    /// Adds these bytes.
    pub(super) fn literal(&mut self, bytes: &[u8]) {
        self.close();
        self.script.push(0);
        self.script.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.script.extend_from_slice(bytes);
    }

    /// Adds so many bytes of a file from `start` on. In how many portions they come does not matter.
    pub(super) fn content(&mut self, id: FileId, start: u64, length: u64) {
        match &mut self.last {
            Some((last, from, so_far)) if *last == id && *from + *so_far == start => {
                *so_far += length;
            }
            _ => {
                self.close();
                self.last = Some((id, start, length));
            }
        }
    }

    /// A file that is in it.
    pub(super) fn file(&self) -> Option<FileId> {
        self.digests.first().map(|(_, id)| *id).or(self.last.map(|(id, ..)| id))
    }

    fn close(&mut self) {
        if let Some((id, start, length)) = self.last.take() {
            self.script.push(1);
            self.digests.push((self.script.len(), id));
            self.script.extend_from_slice(&[0; 32]);
            self.script.extend_from_slice(&start.to_le_bytes());
            self.script.extend_from_slice(&length.to_le_bytes());
        }
    }

    /// The piece's name, if every digest is known.
    pub(super) fn name(
        &mut self,
        keys: &Keys,
        digest_of: impl Fn(FileId) -> Option<Hash>,
    ) -> Option<Hash> {
        self.close();
        for (at, id) in &self.digests {
            let digest = digest_of(*id)?;
            self.script.get_mut(*at..*at + digest.len())?.copy_from_slice(&digest);
        }
        Some(keys.piece(&self.script))
    }
}

/// What is known of a stream before it is made.
pub(super) struct Foreseen<'a> {
    pub(super) known: Known<'a>,
    pub(super) keys: &'a Keys,
    /// The names of all pieces, if the cache has them all.
    pub(super) pieces: Option<Vec<Hash>>,
}

/// Finds out which pieces the cache has, and leaves unread what is in these alone.
///
/// # Errors
/// An interrupt; what a tar archive cannot hold.
pub(super) fn foresee<'a>(
    (mut known, keys): (Known<'a>, &'a Keys),
    (rootfs, select): (&Rootfs, Select),
    survey: &Survey,
    watch: Watch,
) -> Result<Foreseen<'a>, ImageError> {
    let files = vec![Availability::default(); rootfs.files().len()];
    let mut foresight = Foresight {
        known: &known,
        keys,
        recipe: Recipe::default(),
        filled: 0,
        touched: Vec::new(),
        pieces: Some(Vec::new()),
        files,
    };
    let mut header = Vec::with_capacity(BLOCK_BYTES);
    entries((rootfs, select), survey, &mut |entry, id| {
        watch.interrupt.check()?;
        header.clear();
        encode(entry, &mut header);
        foresight.literal(&header);
        if let (Some(id), EntryKind::File(size)) = (id, entry.kind) {
            foresight.content(id, size);
            foresight.literal(padding(size));
            if survey.ends.contains(&id) && foresight.filled > 0 {
                foresight.cut();
            }
        }
        Ok(())
    })?;
    if survey.late.is_empty() {
        foresight.recipe.literal(&END);
        foresight.cut();
    } else {
        foresight.cut();
        foresight.pieces = None;
    }
    let Foresight { pieces, files, .. } = foresight;
    for id in &survey.planned {
        // where most of it is missing, it is better read ahead
        if files.get(id.index()).is_some_and(|file| file.is_there || !file.is_missing) {
            known.leave_unread(*id);
        }
    }
    Ok(Foreseen { known, keys, pieces })
}

/// Zeros behind a content of `size` bytes.
pub(super) fn padding(size: u64) -> &'static [u8] {
    let units = usize::try_from(size % BLOCK_BYTES as u64).unwrap_or(0);
    END.get(..units.next_multiple_of(BLOCK_BYTES) - units).unwrap_or_default()
}

/// Whether some of the pieces that a file is in are there, and whether some are not.
#[derive(Clone, Copy, Default)]
struct Availability {
    is_there: bool,
    is_missing: bool,
}

/// The same as [`super::build::Pieces`], without bytes.
struct Foresight<'a, 'b> {
    known: &'b Known<'a>,
    keys: &'a Keys,
    recipe: Recipe,
    filled: usize,
    touched: Vec<FileId>,
    pieces: Option<Vec<Hash>>,
    files: Vec<Availability>,
}

impl Foresight<'_, '_> {
    fn literal(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.filled;
            let (now, then) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.recipe.literal(now);
            self.fill(now.len());
            bytes = then;
        }
    }

    fn content(&mut self, id: FileId, size: u64) {
        let mut start = 0;
        while start < size {
            let now = (size - start).min((PIECE_BYTES - self.filled) as u64);
            self.recipe.content(id, start, now);
            self.touched.push(id);
            // at most a piece
            self.fill(usize::try_from(now).unwrap_or(0));
            start += now;
        }
    }

    fn fill(&mut self, bytes: usize) {
        self.filled += bytes;
        if self.filled == PIECE_BYTES {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let mut recipe = std::mem::take(&mut self.recipe);
        self.filled = 0;
        let name = recipe.name(self.keys, |id| self.known.sha256(id));
        let name = name.filter(|name| self.known.cache.has(name));
        match (&mut self.pieces, name) {
            (Some(pieces), Some(name)) => pieces.push(name),
            (pieces, _) => *pieces = None,
        }
        for id in self.touched.drain(..) {
            if let Some(file) = self.files.get_mut(id.index()) {
                file.is_there |= name.is_some();
                file.is_missing |= name.is_none();
            }
        }
    }
}
