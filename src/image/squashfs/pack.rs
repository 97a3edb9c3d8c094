//! Packing: decides, in file order, which tails share a fragment and which files are duplicates,
//! and hands full blocks to the compressors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::format::NONE_32;
use super::order::Survey;
use crate::image::ImageError;
use crate::image::buffer::{Buffer, Pool};
use crate::image::codec::Codec;
use crate::image::source::{FileEnd, Hash, Piece};
use crate::rootfs::FileId;

/// A block on its way through a compressor.
pub(super) struct Job {
    input: Buffer,
    reply: Sender<Result<Packed, ImageError>>,
}

/// A compressed block.
pub(super) struct Packed {
    input: Buffer,
    output: Vec<u8>,
    /// Whether `output` is the block; else it did not shrink, and `input` is.
    shrinks: bool,
}

impl Packed {
    /// Compresses `input`.
    ///
    /// # Errors
    /// Those of the codec.
    pub(super) fn new(codec: &mut Codec, input: Buffer, pool: &Pool) -> Result<Self, ImageError> {
        let mut output = pool.take_output();
        let shrinks = codec.compress(input.filled(), &mut output)?;
        Ok(Self { input, output, shrinks })
    }

    /// The block as it goes into the image, and whether it is stored uncompressed.
    pub(super) fn bytes(&self) -> (&[u8], bool) {
        if self.shrinks { (&self.output, false) } else { (self.input.filled(), true) }
    }

    /// Gives the buffers back.
    pub(super) fn recycle(self, pool: &Pool) {
        pool.give(self.input);
        pool.give_output(self.output);
    }
}

/// One compressor thread: works until no more jobs come.
pub(super) fn compress(codec: &mut Codec, jobs: &Receiver<Job>, pool: &Pool) {
    for job in jobs {
        // a writer that has given up does not listen
        let _ = job.reply.send(Packed::new(codec, job.input, pool));
    }
}

/// What the writer does next.
pub(super) enum Event {
    /// Writes the next block of the present file.
    Block(Receiver<Result<Packed, ImageError>>),
    /// Notes that the next block of the present file is all zero.
    Hole,
    /// Writes the next fragment block.
    Fragment(Receiver<Result<Packed, ImageError>>),
    /// Notes where these files' contents ended up.
    Ended(Vec<(FileEnd, Place)>),
    /// Stops.
    Failed(ImageError),
}

/// Where a file's tail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In this fragment at this offset; [`NONE_32`] if there is no tail.
    Tail { fragment: u32, offset: u32 },
    /// All of the file is equal to this one, and whatever was written of it is dropped.
    CopyOf(FileId),
}

/// The packer's state, which lasts over several runs of the pipeline.
pub(super) struct Packer<'a> {
    pool: &'a Pool,
    /// The fragment that is being filled.
    fragment: Option<Buffer>,
    /// Its number.
    fragments: u32,
    /// Sizes that several files have.
    repeated: &'a BTreeSet<u64>,
    /// The first file of each such size and content.
    seen: BTreeMap<(u64, Hash), FileId>,
    /// Files with which a new fragment is begun.
    beginnings: &'a BTreeSet<FileId>,
    /// Whether one has come since the last tail.
    begins: bool,
}

/// Nobody listens any more; the reason is known elsewhere.
struct Gone;

impl<'a> Packer<'a> {
    /// A packer at the beginning of an image.
    pub(super) const fn new(pool: &'a Pool, survey: &'a Survey) -> Self {
        Self {
            pool,
            fragment: None,
            fragments: 0,
            repeated: &survey.repeated,
            seen: BTreeMap::new(),
            beginnings: &survey.beginnings,
            begins: false,
        }
    }

    /// Packs all that the readers read.
    pub(super) fn run(
        &mut self,
        in_order: &mpsc::Receiver<Receiver<Piece>>,
        jobs: &Sender<Job>,
        events: &Sender<Event>,
    ) {
        let mut outlet = Outlet { jobs, events };
        for piece in in_order.iter().flat_map(Receiver::into_iter) {
            if self.pack(piece, &mut outlet).is_err() {
                return;
            }
        }
    }

    /// The last fragment, if one was begun.
    pub(super) const fn take_fragment(&mut self) -> Option<Buffer> {
        self.fragment.take()
    }

    fn pack(&mut self, piece: Piece, outlet: &mut Outlet) -> Result<(), Gone> {
        match piece {
            Piece::Small(buffer, files) => {
                let mut ended = Vec::with_capacity(files.len());
                for file in files {
                    let place = self.place(&file.end, buffer.slice(file.range), outlet)?;
                    ended.push((file.end, place));
                }
                self.pool.give(buffer);
                outlet.event(Event::Ended(ended))
            }
            Piece::Block(buffer) => outlet.block(buffer, Event::Block),
            Piece::Hole => outlet.event(Event::Hole),
            Piece::End(end, tail) => {
                let place = self.place(&end, tail.filled(), outlet)?;
                self.pool.give(tail);
                outlet.event(Event::Ended(vec![(end, place)]))
            }
            Piece::Failed(error) => {
                outlet.event(Event::Failed(error))?;
                Err(Gone)
            }
        }
    }

    /// Decides where the last of a file goes. A fragment that is full goes out here, that is after
    /// all blocks of the present file: these stay in one piece, and may be dropped.
    fn place(&mut self, end: &FileEnd, tail: &[u8], outlet: &mut Outlet) -> Result<Place, Gone> {
        self.begins |= self.beginnings.contains(&end.id);
        if let Some(hash) = end.hash
            && end.size > 0
            && self.repeated.contains(&end.size)
        {
            if let Some(first) = self.seen.get(&(end.size, hash)) {
                return Ok(Place::CopyOf(*first));
            }
            self.seen.insert((end.size, hash), end.id);
        }
        if tail.is_empty() {
            return Ok(Place::Tail { fragment: NONE_32, offset: 0 });
        }
        let begins = std::mem::take(&mut self.begins);
        if let Some(full) = self.fragment.take_if(|full| begins || full.room() < tail.len()) {
            outlet.block(full, Event::Fragment)?;
            self.fragments += 1;
        }
        let fragment = self.fragment.get_or_insert_with(|| self.pool.take());
        // less than a block, which has at most 1 MiB
        let offset = u32::try_from(fragment.len()).unwrap_or(NONE_32);
        fragment.append(tail);
        Ok(Place::Tail { fragment: self.fragments, offset })
    }
}

/// Where the packer's decisions go.
struct Outlet<'a> {
    jobs: &'a Sender<Job>,
    events: &'a Sender<Event>,
}

impl Outlet<'_> {
    fn event(&self, event: Event) -> Result<(), Gone> {
        self.events.send(event).map_err(|_| Gone)
    }

    /// Sends a block to the compressors, and the promise of its result to the writer.
    fn block(
        &self,
        input: Buffer,
        event: impl FnOnce(Receiver<Result<Packed, ImageError>>) -> Event,
    ) -> Result<(), Gone> {
        let (reply, result) = bounded(1);
        self.jobs.send(Job { input, reply }).map_err(|_| Gone)?;
        self.event(event(result))
    }
}
