//! Packing: fills fragments in file order and hands full blocks to the compressors.

use std::sync::mpsc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::format::DATA_STORED;
use super::fragments::{Fragments, Place};
use super::order::Survey;
use crate::image::ImageError;
use crate::image::buffer::{Buffer, Pool};
use crate::image::cache::{Chunk, Keys, Known};
use crate::image::codec::Codec;
use crate::image::source::{FileEnd, Hash, Piece};
use crate::rootfs::FileId;

/// A block on its way through a compressor.
pub(super) struct Job {
    block: Unpacked,
    reply: Sender<Result<Packed, ImageError>>,
}

/// A block before it is compressed.
pub(super) struct Unpacked {
    input: Buffer,
    /// Files of a fragment, where there is a cache that may have it: digests and sizes.
    members: Vec<(Hash, u64)>,
    /// The first of them.
    first: Option<FileId>,
    /// Tails in it that have not been read.
    missing: Vec<Missing>,
}

/// A tail that has not been read: where it belongs in the block, and where it is in its file.
struct Missing {
    id: FileId,
    at: usize,
    length: usize,
    offset: u64,
}

impl From<Buffer> for Unpacked {
    fn from(input: Buffer) -> Self {
        Self { input, members: Vec::new(), first: None, missing: Vec::new() }
    }
}

/// What compressors need besides the blocks.
#[derive(Clone, Copy)]
pub(super) struct Press<'a> {
    pub(super) pool: &'a Pool,
    /// Where compressed fragments may be, and their names.
    pub(super) cached: Option<(&'a Known<'a>, &'a Keys)>,
}

/// A compressed block.
pub(super) struct Packed {
    input: Buffer,
    output: Vec<u8>,
    kind: PackedAs,
    /// The name that the cache lacks for it, and a file in it.
    pub(super) new: Option<(Hash, FileId)>,
}

/// What a compressed block is.
enum PackedAs {
    /// The output.
    Output,
    /// The input: it did not shrink.
    Input,
    /// From the cache.
    Chunk(Chunk),
}

impl Packed {
    /// Compresses a block, or finds it.
    ///
    /// # Errors
    /// Those of the codec, and of reading what is missing in it.
    pub(super) fn new(
        codec: &mut Codec,
        block: Unpacked,
        press: Press,
    ) -> Result<Self, ImageError> {
        let Unpacked { mut input, members, first, missing } = block;
        let mut output = press.pool.take_output();
        let mut new = None;
        if let (Some((known, keys)), Some(first)) = (press.cached, first) {
            let name = keys.fragment(&members);
            let found = known.cache.get(&name).and_then(|blob| Chunk::decode(blob, 1));
            if let Some(chunk) = found {
                return Ok(Self { input, output, kind: PackedAs::Chunk(chunk), new });
            }
            for Missing { id, at, length, offset } in missing {
                known.read_at(id, offset, input.slice_mut(at..at + length))?;
            }
            new = Some((name, first));
        }
        let shrinks = codec.compress(input.filled(), &mut output)?;
        let kind = if shrinks { PackedAs::Output } else { PackedAs::Input };
        Ok(Self { input, output, kind, new })
    }

    /// The block as it goes into the image, and its length with the flag that tells whether it is
    /// stored uncompressed.
    pub(super) fn bytes(&self) -> (&[u8], u32) {
        // at most 1 MiB
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0);
        match &self.kind {
            PackedAs::Output => (&self.output, length(&self.output)),
            PackedAs::Input => (self.input.filled(), length(self.input.filled()) | DATA_STORED),
            PackedAs::Chunk(chunk) => (chunk.data(), chunk.lengths().next().unwrap_or(0)),
        }
    }

    /// Gives the buffers back.
    pub(super) fn recycle(self, pool: &Pool) {
        pool.give(self.input);
        pool.give_output(self.output);
    }
}

/// One compressor thread: works until no more jobs come.
pub(super) fn compress(codec: &mut Codec, jobs: &Receiver<Job>, press: Press) {
    for job in jobs {
        // a writer that has given up does not listen
        let _ = job.reply.send(Packed::new(codec, job.block, press));
    }
}

/// What the writer does next.
pub(super) enum Event {
    /// Writes the next block of the present file.
    Block(Receiver<Result<Packed, ImageError>>),
    /// Writes the next blocks of the present file.
    Chunk(Chunk),
    /// Notes that the next block of the present file is all zero.
    Hole,
    /// Writes the next fragment block.
    Fragment(Receiver<Result<Packed, ImageError>>),
    /// Notes where these files' contents ended up.
    Ended(Vec<(FileEnd, Place)>),
    /// Stops.
    Failed(ImageError),
}

/// The packer's state, which lasts over several runs of the pipeline.
pub(super) struct Packer<'a> {
    pool: &'a Pool,
    fragments: Fragments<'a>,
    /// The fragment that is being filled.
    fragment: Option<Unpacked>,
    /// Whether there is a cache.
    is_cached: bool,
}

/// Nobody listens any more; the reason is known elsewhere.
struct Gone;

impl<'a> Packer<'a> {
    /// A packer at the beginning of an image.
    pub(super) const fn new(pool: &'a Pool, survey: &'a Survey, is_cached: bool) -> Self {
        let fragments = Fragments::new(pool.block(), survey);
        Self { pool, fragments, fragment: None, is_cached }
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

    /// What comes next shares no fragment with what came before.
    pub(super) const fn begin(&mut self) {
        self.fragments.begin();
    }

    /// The last fragment, if one was begun.
    pub(super) const fn take_fragment(&mut self) -> Option<Unpacked> {
        self.fragment.take()
    }

    fn pack(&mut self, piece: Piece, outlet: &mut Outlet) -> Result<(), Gone> {
        match piece {
            Piece::Small(buffer, files) => {
                let mut ended = Vec::with_capacity(files.len());
                for file in files {
                    let tail = file.range.map(|range| buffer.slice(range));
                    let place = self.place(&file.end, tail, outlet)?;
                    ended.push((file.end, place));
                }
                self.pool.give(buffer);
                outlet.event(Event::Ended(ended))
            }
            Piece::Block(buffer) => outlet.block(buffer.into(), Event::Block),
            Piece::Chunk(chunk) => outlet.event(Event::Chunk(chunk)),
            Piece::Hole => outlet.event(Event::Hole),
            Piece::End(end, tail) => {
                let place = self.place(&end, tail.as_ref().map(Buffer::filled), outlet)?;
                if let Some(tail) = tail {
                    self.pool.give(tail);
                }
                outlet.event(Event::Ended(vec![(end, place)]))
            }
            Piece::Failed(error) => {
                outlet.event(Event::Failed(error))?;
                Err(Gone)
            }
        }
    }

    /// Puts the last of a file where it goes; `None` of a tail that was not read. A fragment that is
    /// full goes out here, that is after all blocks of the present file: these stay in one piece,
    /// and may be dropped.
    fn place(
        &mut self,
        end: &FileEnd,
        tail: Option<&[u8]>,
        outlet: &mut Outlet,
    ) -> Result<Place, Gone> {
        // less than a block
        let length = usize::try_from(end.size % self.pool.block() as u64).unwrap_or(0);
        let (place, ends) = self.fragments.place((end.id, end.size), end.hash, length);
        if ends && let Some(full) = self.fragment.take() {
            outlet.block(full, Event::Fragment)?;
        }
        if matches!(place, Place::Tail { .. }) && length > 0 {
            let fragment = self.fragment.get_or_insert_with(|| self.pool.take().into());
            if let Some(tail) = tail {
                fragment.input.append(tail);
            } else {
                let (at, offset) = (fragment.input.len(), end.size - length as u64);
                fragment.missing.push(Missing { id: end.id, at, length, offset });
                fragment.input.leave(length);
            }
            if self.is_cached
                && let Some(hash) = end.hash
            {
                fragment.members.push((hash, end.size));
                fragment.first.get_or_insert(end.id);
            }
        }
        Ok(place)
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
        block: Unpacked,
        event: impl FnOnce(Receiver<Result<Packed, ImageError>>) -> Event,
    ) -> Result<(), Gone> {
        let (reply, result) = bounded(1);
        self.jobs.send(Job { block, reply }).map_err(|_| Gone)?;
        self.event(event(result))
    }
}
