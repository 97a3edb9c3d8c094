//! Headers and contents, one behind the other.

use std::collections::VecDeque;
use std::sync::mpsc;

use super::header::{BLOCK_BYTES, Entry, EntryKind, encode};
use super::pipeline::Event;
use super::press::{Gap, Job, Piece};
use super::recipe::{Foreseen, Recipe, padding};
use super::walk::{Item, Select, Survey, walk};
use crate::image::buffer::{Buffer, Pool};
use crate::image::cache::Hash;
use crate::image::source::{FileEnd, Piece as Read, SmallFile};
use crate::image::squashfs::size_of_content;
use crate::image::{FileDigest, ImageError};
use crate::rootfs::{FileId, Metadata, Rootfs, Special, SpecialKind};
use crossbeam_channel::{Receiver, Sender, bounded};

/// Bytes of the stream that are compressed on their own: much more than a compressor looks back,
/// so that little is lost.
pub(super) const PIECE_BYTES: usize = 1 << 20;
/// A tar stream ends with two units of zeros.
pub(super) const END: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

/// The contents of planned files, in their order.
pub(in crate::image) struct Contents<'a> {
    queues: mpsc::Receiver<Receiver<Read>>,
    small: Option<(Buffer, VecDeque<SmallFile>)>,
    pool: &'a Pool,
    zeros: Vec<u8>,
}

impl<'a> Contents<'a> {
    /// What readers that fill `queues` read.
    pub(in crate::image) fn new(queues: mpsc::Receiver<Receiver<Read>>, pool: &'a Pool) -> Self {
        Self { queues, small: None, pool, zeros: vec![0; pool.block()] }
    }

    /// Hands the next file's content to `take`, piece by piece, holes as
    /// zeros. Returns what ended, and whether it was read at all.
    ///
    /// # Errors
    /// Those of the reader and of `take`.
    pub(in crate::image) fn next(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), ImageError>,
    ) -> Result<(FileEnd, bool), ImageError> {
        if let Some(file) = self.next_small() {
            let buffer = self.small.as_ref().map(|(buffer, _)| buffer);
            let bytes = file.range.and_then(|range| buffer.map(|buffer| buffer.slice(range)));
            let is_read = bytes.is_some();
            take(bytes.unwrap_or_default())?;
            return Ok((file.end, is_read));
        }
        // readers hand in a queue for every file before they end, unless one of them has panicked
        let queue = self.queues.recv().map_err(|_| ImageError::Codec("reader"))?;
        loop {
            match queue.recv().map_err(|_| ImageError::Codec("reader"))? {
                Read::Small(buffer, files) => {
                    self.small = Some((buffer, files.into()));
                    return self.next(take);
                }
                Read::Block(buffer) => {
                    take(buffer.filled())?;
                    self.pool.give(buffer);
                }
                Read::Hole => take(&self.zeros)?,
                Read::End(end, None) => return Ok((end, false)),
                Read::End(end, Some(buffer)) => {
                    take(buffer.filled())?;
                    self.pool.give(buffer);
                    return Ok((end, true));
                }
                // nobody has asked for any
                Read::Chunk(_) => return Err(ImageError::Codec("reader")),
                Read::Failed(error) => return Err(error),
            }
        }
    }

    fn next_small(&mut self) -> Option<SmallFile> {
        let file = self.small.as_mut()?.1.pop_front();
        if file.is_none()
            && let Some((buffer, _)) = self.small.take()
        {
            self.pool.give(buffer);
        }
        file
    }
}

/// What is called for an entry of a stream.
pub(super) type VisitEntry<'a> = dyn FnMut(&Entry, Option<FileId>) -> Result<(), ImageError> + 'a;

/// What stands in a stream, the late files excepted: every entry, with the file if it is one's first
/// name.
///
/// # Errors
/// Those of `visit`; what a tar archive cannot hold.
pub(super) fn entries(
    (rootfs, select): (&Rootfs, Select),
    survey: &Survey,
    visit: &mut VisitEntry,
) -> Result<(), ImageError> {
    walk(rootfs, select, survey, &mut |path, item| {
        let (metadata, kind, id) = match item {
            Item::Directory(directory) => (directory.metadata, EntryKind::Directory, None),
            Item::Symlink(link) => {
                let metadata = Metadata { mode: 0o777, mtime: link.mtime };
                (metadata, EntryKind::Symlink(&link.target), None)
            }
            Item::Special(Special { kind: SpecialKind::Fifo, metadata, .. }) => {
                (*metadata, EntryKind::Fifo, None)
            }
            Item::Special(Special { kind: SpecialKind::Socket, .. }) => {
                return Err(ImageError::Unrepresentable {
                    what: String::from_utf8_lossy(path).into_owned(),
                    reason: "a tar archive holds no sockets; leave it out or choose the format sif",
                });
            }
            Item::HardLink(id, first) => {
                (rootfs.file(id).metadata, EntryKind::HardLink(first), None)
            }
            Item::File(id) => {
                let file = rootfs.file(id);
                (file.metadata, EntryKind::File(size_of_content(file)), Some(id))
            }
        };
        visit(&Entry { path, metadata, kind }, id)
    })
}

/// The stream under construction.
#[derive(Default)]
pub(super) struct Pieces<'a> {
    /// The piece that is being filled.
    piece: Piece,
    /// What it is made of; only where there is a cache.
    recipe: Recipe,
    foreseen: Option<&'a Foreseen<'a>>,
    /// Pieces that were handed on without a name, since files in them were not read to their end.
    nameless: Vec<Recipe>,
    /// Files that ended since the last piece was handed on, and their bytes.
    files: u64,
    bytes: u64,
}

impl<'a> Pieces<'a> {
    /// An empty stream.
    pub(super) fn new(foreseen: Option<&'a Foreseen<'a>>) -> Self {
        Self { foreseen, ..Self::default() }
    }

    /// The last piece, with the stream's end in it.
    pub(super) fn finish(mut self, digests: &[Option<FileDigest>]) -> Piece {
        self.piece.bytes.extend_from_slice(&END);
        if self.foreseen.is_some() {
            self.recipe.literal(&END);
        }
        self.complete(digests).0
    }

    /// The present piece, with its name where that is known, and its recipe.
    fn complete(&mut self, digests: &[Option<FileDigest>]) -> (Piece, Recipe) {
        let mut piece = std::mem::take(&mut self.piece);
        let mut recipe = std::mem::take(&mut self.recipe);
        piece.name = self.name(&mut recipe, digests);
        piece.file = recipe.file();
        (piece, recipe)
    }

    fn name(&self, recipe: &mut Recipe, digests: &[Option<FileDigest>]) -> Option<Hash> {
        let Foreseen { known, keys, .. } = self.foreseen?;
        recipe.name(keys, |id| {
            let read: Option<FileDigest> = digests.get(id.index()).copied().flatten();
            read.map(|digest| *digest.sha256.as_bytes()).or_else(|| known.sha256(id))
        })
    }
}

/// Puts headers and contents behind one another.
pub(super) struct Build<'a, 'b, 'c> {
    pub(super) contents: Contents<'b>,
    pub(super) put: Put<'a, 'c>,
}

/// Where bytes go.
pub(super) struct Put<'a, 'b> {
    pub(super) pieces: &'a mut Pieces<'b>,
    pub(super) digests: &'a mut [Option<FileDigest>],
    pub(super) jobs: Sender<Job>,
    pub(super) events: Sender<Event>,
}

impl Put<'_, '_> {
    /// Appends `bytes`, those of a file from `start` on or literal ones, and hands on what is full.
    fn bytes(&mut self, mut bytes: &[u8], mut of: Option<(FileId, u64)>) -> Result<(), ImageError> {
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.pieces.piece.bytes.len();
            let (now, then) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.pieces.piece.bytes.extend_from_slice(now);
            if self.pieces.foreseen.is_some() {
                match &mut of {
                    None => self.pieces.recipe.literal(now),
                    Some((id, start)) => {
                        self.pieces.recipe.content(*id, *start, now.len() as u64);
                        *start += now.len() as u64;
                    }
                }
            }
            bytes = then;
            self.hand_on_full()?;
        }
        Ok(())
    }

    /// Leaves room for all of a file that was not read.
    fn gap(&mut self, id: FileId, size: u64) -> Result<(), ImageError> {
        let mut start = 0;
        while start < size {
            let at = self.pieces.piece.bytes.len();
            // at most a piece
            let length = usize::try_from(size - start).unwrap_or(PIECE_BYTES).min(PIECE_BYTES - at);
            self.pieces.piece.bytes.resize(at + length, 0);
            self.pieces.piece.gaps.push(Gap { id, at, length, start });
            self.pieces.recipe.content(id, start, length as u64);
            start += length as u64;
            self.hand_on_full()?;
        }
        Ok(())
    }

    fn hand_on_full(&mut self) -> Result<(), ImageError> {
        if self.pieces.piece.bytes.len() == PIECE_BYTES { self.hand_on() } else { Ok(()) }
    }

    /// Hands on the present piece, unless it is empty.
    fn hand_on(&mut self) -> Result<(), ImageError> {
        if self.pieces.piece.bytes.is_empty() {
            return Ok(());
        }
        let (piece, recipe) = self.pieces.complete(self.digests);
        self.pieces.piece.bytes = Vec::with_capacity(PIECE_BYTES);
        if piece.name.is_none() && self.pieces.foreseen.is_some() {
            self.pieces.nameless.push(recipe);
        }
        let (reply, piece_to_come) = bounded(1);
        let event = Event::Piece {
            piece: piece_to_come,
            files: std::mem::take(&mut self.pieces.files),
            bytes: std::mem::take(&mut self.pieces.bytes),
        };
        // whoever does not listen any more has an error of its own to report
        let gone = || ImageError::Codec("tar");
        self.jobs.send(Job { piece, reply }).map_err(|_| gone())?;
        self.events.send(event).map_err(|_| gone())
    }

    /// Notes what was read of a file, and names the pieces that waited for that.
    fn ended(&mut self, end: &FileEnd) -> Result<(), ImageError> {
        self.pieces.files += 1;
        self.pieces.bytes += end.size;
        if let (Some(digest), Some(slot)) = (end.digest(), self.digests.get_mut(end.id.index())) {
            *slot = Some(digest);
        }
        let nameless = std::mem::take(&mut self.pieces.nameless);
        if nameless.is_empty() {
            return Ok(());
        }
        let found =
            nameless.into_iter().map(|mut recipe| self.pieces.name(&mut recipe, self.digests));
        let names = Event::Names(found.collect(), end.id);
        self.events.send(names).map_err(|_| ImageError::Codec("tar"))
    }

    fn header(&mut self, entry: &Entry) -> Result<(), ImageError> {
        let mut header = Vec::with_capacity(BLOCK_BYTES);
        encode(entry, &mut header);
        self.bytes(&header, None)
    }
}

impl Build<'_, '_, '_> {
    /// All entries but the late ones.
    pub(super) fn planned(
        mut self,
        rootfs: &Rootfs,
        select: Select,
        survey: &Survey,
    ) -> Result<(), ImageError> {
        entries((rootfs, select), survey, &mut |entry, id| {
            self.put.header(entry)?;
            let Some(id) = id else { return Ok(()) };
            self.content(id)?;
            if survey.ends.contains(&id) { self.put.hand_on() } else { Ok(()) }
        })
    }

    /// The late entries: `documents` by the names that they have. They share no piece with others.
    pub(super) fn late(
        mut self,
        rootfs: &Rootfs,
        survey: &Survey,
        documents: &[(FileId, Vec<u8>)],
    ) -> Result<(), ImageError> {
        self.put.hand_on()?;
        for (id, bytes) in documents {
            let metadata = rootfs.file(*id).metadata;
            let mut names = survey.late.iter().filter(|(_, late)| late == id).map(|(path, _)| path);
            let Some(first) = names.next() else { continue };
            let kind = EntryKind::File(bytes.len() as u64);
            self.put.header(&Entry { path: first, metadata, kind })?;
            self.content(*id)?;
            for name in names {
                let kind = EntryKind::HardLink(first);
                self.put.header(&Entry { path: name, metadata, kind })?;
            }
        }
        Ok(())
    }

    /// The next file of the contents, which is this one.
    fn content(&mut self, id: FileId) -> Result<(), ImageError> {
        let Self { contents, put } = self;
        let mut start = 0;
        let (end, is_read) = contents.next(|bytes| {
            put.bytes(bytes, Some((id, start)))?;
            start += bytes.len() as u64;
            Ok(())
        })?;
        if !is_read {
            put.gap(id, end.size)?;
        }
        put.bytes(padding(end.size), None)?;
        put.ended(&end)
    }
}
