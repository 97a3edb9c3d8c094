//! Headers and contents, one behind the other.

use std::collections::VecDeque;
use std::sync::mpsc;

use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::Digest as _;

use super::header::{BLOCK_BYTES, Entry, EntryKind, encode};
use super::pipeline::{Event, Job};
use super::walk::{Item, Select, Survey, walk};
use crate::base::Digest;
use crate::image::buffer::{Buffer, Pool};
use crate::image::source::{FileEnd, Piece, SmallFile};
use crate::image::squashfs::size_of_content;
use crate::image::{FileDigest, ImageError};
use crate::rootfs::{FileId, Metadata, Rootfs, Special, SpecialKind};

/// Bytes of the stream that are compressed on their own: much more than a compressor looks back,
/// so that little is lost.
const PIECE_BYTES: usize = 1 << 20;
/// A tar stream ends with two units of zeros.
const END: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

/// The contents of planned files, in their order.
pub(in crate::image) struct Contents<'a> {
    queues: mpsc::Receiver<Receiver<Piece>>,
    small: Option<(Buffer, VecDeque<SmallFile>)>,
    pool: &'a Pool,
    zeros: Vec<u8>,
}

impl<'a> Contents<'a> {
    /// What readers that fill `queues` read.
    pub(in crate::image) fn new(queues: mpsc::Receiver<Receiver<Piece>>, pool: &'a Pool) -> Self {
        Self { queues, small: None, pool, zeros: vec![0; pool.block()] }
    }

    /// Hands the next file's content to `take`, piece by piece, holes as
    /// zeros.
    ///
    /// # Errors
    /// Those of the reader and of `take`.
    pub(in crate::image) fn next(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), ImageError>,
    ) -> Result<FileEnd, ImageError> {
        if let Some(file) = self.next_small() {
            let buffer = self.small.as_ref().map(|(buffer, _)| buffer);
            take(buffer.map(|buffer| buffer.slice(file.range)).unwrap_or_default())?;
            return Ok(file.end);
        }
        // readers hand in a queue for every file before they end, unless one of them has panicked
        let queue = self.queues.recv().map_err(|_| ImageError::Codec("reader"))?;
        loop {
            match queue.recv().map_err(|_| ImageError::Codec("reader"))? {
                Piece::Small(buffer, files) => {
                    self.small = Some((buffer, files.into()));
                    return self.next(take);
                }
                Piece::Block(buffer) => {
                    take(buffer.filled())?;
                    self.pool.give(buffer);
                }
                Piece::Hole => take(&self.zeros)?,
                Piece::End(end, buffer) => {
                    take(buffer.filled())?;
                    self.pool.give(buffer);
                    return Ok(end);
                }
                Piece::Failed(error) => return Err(error),
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

/// The stream under construction.
#[derive(Default)]
pub(super) struct Pieces {
    /// The piece that is being filled.
    piece: Vec<u8>,
    /// Over everything before it.
    hasher: sha2::Sha256,
    /// Files that ended since the last piece was handed on, and their bytes.
    files: u64,
    bytes: u64,
}

impl Pieces {
    /// Appends `bytes`, and hands on what is full.
    fn put(
        &mut self,
        mut bytes: &[u8],
        jobs: &Sender<Job>,
        events: &Sender<Event>,
    ) -> Result<(), ImageError> {
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.piece.len();
            let (now, then) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.piece.extend_from_slice(now);
            bytes = then;
            if self.piece.len() == PIECE_BYTES {
                self.hand_on(jobs, events)?;
            }
        }
        Ok(())
    }

    fn hand_on(&mut self, jobs: &Sender<Job>, events: &Sender<Event>) -> Result<(), ImageError> {
        self.hasher.update(&self.piece);
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let (reply, answer) = bounded(1);
        let event = Event {
            piece: answer,
            files: std::mem::take(&mut self.files),
            bytes: std::mem::take(&mut self.bytes),
        };
        // whoever does not listen any more has an error of its own to report
        let gone = || ImageError::Codec("tar");
        jobs.send(Job { piece, reply }).map_err(|_| gone())?;
        events.send(event).map_err(|_| gone())
    }

    /// The last piece, the stream's end in it, and the digest of all.
    pub(super) fn finish(mut self) -> (Vec<u8>, Digest) {
        self.piece.extend_from_slice(&END);
        self.hasher.update(&self.piece);
        (self.piece, Digest::from_bytes(self.hasher.finalize().into()))
    }
}

/// Puts headers and contents behind one another.
pub(super) struct Build<'a, 'b> {
    pub(super) contents: Contents<'b>,
    pub(super) pieces: &'a mut Pieces,
    pub(super) digests: &'a mut [Option<FileDigest>],
    pub(super) jobs: Sender<Job>,
    pub(super) events: Sender<Event>,
}

impl Build<'_, '_> {
    /// All entries but the late ones.
    pub(super) fn planned(
        mut self,
        rootfs: &Rootfs,
        select: Select,
        survey: &Survey,
    ) -> Result<(), ImageError> {
        walk(rootfs, select, survey, &mut |path, item| match item {
            Item::Directory(directory) => {
                self.header(path, directory.metadata, EntryKind::Directory)
            }
            Item::Symlink(link) => {
                let metadata = Metadata { mode: 0o777, mtime: link.mtime };
                self.header(path, metadata, EntryKind::Symlink(&link.target))
            }
            Item::Special(Special { kind: SpecialKind::Fifo, metadata, .. }) => {
                self.header(path, *metadata, EntryKind::Fifo)
            }
            Item::Special(Special { kind: SpecialKind::Socket, .. }) => {
                Err(ImageError::Unrepresentable {
                    what: String::from_utf8_lossy(path).into_owned(),
                    reason: "a tar archive holds no sockets; leave it out or choose the format sif",
                })
            }
            Item::HardLink(id, first) => {
                self.header(path, rootfs.file(id).metadata, EntryKind::HardLink(first))
            }
            Item::File(id) => {
                let file = rootfs.file(id);
                self.file(path, file.metadata, size_of_content(file))?;
                if survey.ends.contains(&id) && !self.pieces.piece.is_empty() {
                    self.pieces.hand_on(&self.jobs, &self.events)?;
                }
                Ok(())
            }
        })
    }

    /// The late entries: `documents` by the names that they have.
    pub(super) fn late(
        mut self,
        rootfs: &Rootfs,
        survey: &Survey,
        documents: &[(FileId, Vec<u8>)],
    ) -> Result<(), ImageError> {
        for (id, bytes) in documents {
            let metadata = rootfs.file(*id).metadata;
            let mut names = survey.late.iter().filter(|(_, late)| late == id).map(|(path, _)| path);
            let Some(first) = names.next() else { continue };
            self.file(first, metadata, bytes.len() as u64)?;
            for name in names {
                self.header(name, metadata, EntryKind::HardLink(first))?;
            }
        }
        Ok(())
    }

    /// The next file of the contents.
    fn file(&mut self, path: &[u8], metadata: Metadata, size: u64) -> Result<(), ImageError> {
        self.header(path, metadata, EntryKind::File(size))?;
        let Self { contents, pieces, digests, jobs, events } = self;
        let end = contents.next(|bytes| pieces.put(bytes, jobs, events))?;
        let units = usize::try_from(end.size % BLOCK_BYTES as u64).unwrap_or(0);
        let padding = units.next_multiple_of(BLOCK_BYTES) - units;
        pieces.put(END.get(..padding).unwrap_or_default(), jobs, events)?;
        pieces.files += 1;
        pieces.bytes += end.size;
        if let (Some(digest), Some(slot)) = (end.digest(), digests.get_mut(end.id.index())) {
            *slot = Some(digest);
        }
        Ok(())
    }

    fn header(
        &mut self,
        path: &[u8],
        metadata: Metadata,
        kind: EntryKind,
    ) -> Result<(), ImageError> {
        let mut header = Vec::with_capacity(BLOCK_BYTES);
        encode(&Entry { path, metadata, kind }, &mut header);
        self.pieces.put(&header, &self.jobs, &self.events)
    }
}
