//! Data blocks and fragments: the pipeline from readers through compressors to the file.

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::thread;

use crossbeam_channel::{Receiver, bounded};

use super::format::NONE_32;
use super::fragments::Place;
use super::keep::Keeper;
use super::output::Output;
use super::pack::{Event, Packed, Packer, Press, compress};
use crate::base::Progress;
use crate::image::buffer::Pool;
use crate::image::cache::{Keys, Known};
use crate::image::codec::{Codec, Compression};
use crate::image::source::{Cached, Ending, FileEnd, Hashing, Reading, Sources};
use crate::image::threads::at_least_one;
use crate::image::{FileDigest, ImageError, Watch};
use crate::rootfs::FileId;

/// Where a file's content is in the image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// Size in bytes.
    pub(super) size: u64,
    /// Position of the first block, in bytes from the image's start; 0 without blocks.
    pub(super) start: u64,
    /// Index of the first block's length in [`Data::blocks`].
    pub(super) first_block: usize,
    /// Fragment that holds the tail, or [`NONE_32`].
    pub(super) fragment: u32,
    /// The tail's place in that fragment.
    pub(super) offset: u32,
}

impl Placed {
    /// Of a file of which nothing has been written.
    const NOWHERE: Self = Self { size: 0, start: 0, first_block: 0, fragment: NONE_32, offset: 0 };
}

/// What is known of all data written.
#[derive(Debug, Default)]
pub(super) struct Data {
    /// By [`FileId::index`].
    pub(super) placed: Vec<Placed>,
    /// Lengths of data blocks, those of a file one behind the other; 0 for a hole.
    pub(super) blocks: Vec<u32>,
    /// Bytes in holes, for the files that have some.
    pub(super) sparse: BTreeMap<FileId, u64>,
    /// Position and length of each fragment block.
    pub(super) fragments: Vec<(u64, u32)>,
    /// What was read of each file, by [`FileId::index`], if digests are asked for.
    pub(super) digests: Vec<Option<FileDigest>>,
}

/// The present file, of which blocks have been written.
struct Open {
    start: u64,
    first_block: usize,
    sparse: u64,
}

/// Writes blocks and notes where they are.
pub(super) struct DataWriter<'a, 'k, W> {
    out: Output<'a, W>,
    block: u64,
    open: Option<Open>,
    data: Data,
    digests: bool,
    /// Where blocks are kept, if they are.
    keeper: Option<Keeper<'k>>,
}

impl<'a, 'k, W: Write + Seek> DataWriter<'a, 'k, W> {
    /// A writer of data blocks into `out`.
    pub(super) fn new(
        out: Output<'a, W>,
        plan: &Plan,
        cached: Option<(&'k Known<'k>, &'k Keys)>,
    ) -> Self {
        let data = Data {
            placed: vec![Placed::NOWHERE; plan.files],
            digests: if plan.digests { vec![None; plan.files] } else { Vec::new() },
            ..Data::default()
        };
        let keeper = cached.map(|(known, keys)| Keeper::new(known, keys, plan.block as u64));
        Self { out, block: plan.block as u64, open: None, data, digests: plan.digests, keeper }
    }

    /// What has been written so far.
    pub(super) const fn data(&self) -> &Data {
        &self.data
    }

    /// Ends the writing of data.
    pub(super) fn finish(self) -> (Output<'a, W>, Data) {
        (self.out, self.data)
    }

    fn handle(
        &mut self,
        event: Event,
        pool: &Pool,
        progress: &dyn Progress,
    ) -> Result<(), ImageError> {
        match event {
            Event::Block(result) => {
                self.begin();
                let packed = wait(&result)?;
                let (bytes, length) = packed.bytes();
                self.out.write_all(bytes).map_err(ImageError::Write)?;
                if let Some(keeper) = &mut self.keeper {
                    keeper.block(length, bytes);
                }
                packed.recycle(pool);
                self.data.blocks.push(length);
                progress.advance(0, self.block);
            }
            Event::Chunk(chunk) => {
                self.begin();
                self.out.write_all(chunk.data()).map_err(ImageError::Write)?;
                for length in chunk.lengths() {
                    if length == 0 {
                        let block = self.block;
                        self.begin().sparse += block;
                    }
                    self.data.blocks.push(length);
                    progress.advance(0, self.block);
                }
                if let Some(keeper) = &mut self.keeper {
                    keeper.skip();
                }
            }
            Event::Hole => {
                let block = self.block;
                self.begin().sparse += block;
                self.data.blocks.push(0);
                if let Some(keeper) = &mut self.keeper {
                    keeper.block(0, &[]);
                }
                progress.advance(0, block);
            }
            Event::Fragment(result) => self.fragment(wait(&result)?, pool)?,
            Event::Ended(files) => {
                let mut tails = 0;
                let count = files.len() as u64;
                for (end, place) in files {
                    tails += end.size % self.block;
                    self.ended(&end, place)?;
                }
                progress.advance(count, tails);
            }
            Event::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// The present file, begun here if no block of it has come before.
    fn begin(&mut self) -> &mut Open {
        let (out, first_block) = (&self.out, self.data.blocks.len());
        self.open.get_or_insert_with(|| Open { start: out.position(), first_block, sparse: 0 })
    }

    /// Writes the next fragment block.
    pub(super) fn fragment(&mut self, packed: Packed, pool: &Pool) -> Result<(), ImageError> {
        let start = self.out.position();
        let (bytes, length) = packed.bytes();
        self.out.write_all(bytes).map_err(ImageError::Write)?;
        if let (Some(keeper), Some(new)) = (&mut self.keeper, packed.new) {
            keeper.fragment(new, length, bytes)?;
        }
        packed.recycle(pool);
        self.data.fragments.push((start, length));
        Ok(())
    }

    /// Notes where a file is.
    fn ended(&mut self, end: &FileEnd, place: Place) -> Result<(), ImageError> {
        let open = self.open.take();
        if let Some(keeper) = &mut self.keeper {
            keeper.ended(end)?;
        }
        let placed = match place {
            Place::CopyOf(first) => {
                if let Some(open) = open {
                    self.take_back(&open)?;
                }
                if let Some(sparse) = self.data.sparse.get(&first).copied() {
                    self.data.sparse.insert(end.id, sparse);
                }
                self.data.placed.get(first.index()).copied().unwrap_or(Placed::NOWHERE)
            }
            Place::Tail { fragment, offset } => {
                let (start, first_block, sparse) =
                    open.map_or((0, 0, 0), |open| (open.start, open.first_block, open.sparse));
                if sparse > 0 {
                    self.data.sparse.insert(end.id, sparse);
                }
                Placed { size: end.size, start, first_block, fragment, offset }
            }
        };
        if let Some(slot) = self.data.placed.get_mut(end.id.index()) {
            *slot = placed;
        }
        if self.digests
            && let Some(slot) = self.data.digests.get_mut(end.id.index())
        {
            *slot = end.digest();
        }
        Ok(())
    }

    /// Forgets the blocks of the present file.
    fn take_back(&mut self, open: &Open) -> Result<(), ImageError> {
        self.data.blocks.truncate(open.first_block);
        self.out.take_back(open.start).map_err(ImageError::Write)
    }
}

fn wait(result: &Receiver<Result<Packed, ImageError>>) -> Result<Packed, ImageError> {
    // a compressor thread cannot end before it has answered, unless it panicked
    result.recv().unwrap_or(Err(ImageError::Codec("block")))
}

/// What stays the same in all runs of the pipeline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Number of files.
    pub(super) files: usize,
    /// Bytes of a block.
    pub(super) block: usize,
    /// The compressors.
    pub(super) compression: Compression,
    /// Compressor threads.
    pub(super) jobs: usize,
    /// Reader threads.
    pub(super) readers: usize,
    /// Whether SHA-256 digests of the files are wanted.
    pub(super) digests: bool,
}

/// The threads between the sources and the file; made anew for each run, while packer and writer
/// keep their state.
#[derive(Clone, Copy)]
pub(super) struct Pipeline<'a> {
    pub(super) plan: &'a Plan,
    pub(super) hashing: Hashing<'a>,
    pub(super) pool: &'a Pool,
    pub(super) watch: Watch<'a>,
    /// Where there is a cache: what it knows, and names of blocks.
    pub(super) cached: Option<(&'a Known<'a>, &'a Keys)>,
}

impl Pipeline<'_> {
    /// Reads `sources`, compresses them, and writes them in order.
    ///
    /// Every thread ends when the channel it reads from or writes to closes; so whichever of them
    /// fails first, the others follow.
    ///
    /// # Errors
    /// The first failure in file order.
    pub(super) fn run<W: Write + Seek>(
        self,
        sources: Sources,
        packer: &mut Packer,
        writer: &mut DataWriter<W>,
    ) -> Result<(), ImageError> {
        let Self { plan, hashing, pool, watch, cached } = self;
        // at most 1 MiB
        let block = u32::try_from(plan.block).unwrap_or(u32::MAX);
        let mut codecs = (0..plan.jobs)
            .map(|_| Codec::new(plan.compression, block))
            .collect::<Result<Vec<_>, _>>()?;
        let (mut reading, in_order) =
            Reading::new(sources, hashing, pool, plan.readers, watch.interrupt);
        if matches!(sources, Sources::Planned(..)) {
            reading.cached = cached.map(|(known, keys)| Cached { known, chunks: Some(keys) });
        }
        let press = Press { pool, cached };
        let (jobs, work) = bounded(2 * plan.jobs);
        let (events, happening) = bounded(2 * plan.jobs + 8);
        thread::scope(|scope| {
            let builder = thread::Builder::new;
            let reading = &reading;
            let _ending = Ending(reading);
            builder()
                .spawn_scoped(scope, move || packer.run(&in_order, &jobs, &events))
                .map_err(ImageError::Threads)?;
            reading.start(scope, 1)?;
            at_least_one(codecs.iter_mut().map(|codec| {
                let work = work.clone();
                builder().spawn_scoped(scope, move || compress(codec, &work, press))
            }))?;
            drop(work);
            // there are many more of these, which may leave no room for others
            let _ = reading.start(scope, plan.readers - 1);
            for event in happening {
                watch.interrupt.check()?;
                writer.handle(event, pool, watch.progress)?;
            }
            Ok(())
        })
    }
}
