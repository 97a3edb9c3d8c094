//! From sources to the compressed stream: readers run ahead, one thread puts headers and contents
//! behind one another and cuts that into pieces, others compress the pieces, and the caller's thread
//! writes them in order.

use std::io::Write;
use std::num::NonZeroUsize;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::Digest as _;

use super::build::{Build, Contents, Pieces};
use super::walk::{Select, Survey, survey};
use crate::base::Digest;
use crate::image::buffer::Pool;
use crate::image::codec::{Codec, Compression};
use crate::image::source::{Ending, Hashing, Reading, Sources};
use crate::image::threads::at_least_one;
use crate::image::{FileDigest, ImageError, LateContents, Watch};
use crate::rootfs::Rootfs;

/// Bytes that a reader hands on at once.
const READ_BYTES: usize = 128 * 1024;
/// How a stream is written; none but `compression` has influence on its bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::image) struct StreamOptions {
    /// gzip (one member after the other), zstd (one frame after the other), or none.
    pub(in crate::image) compression: Compression,
    /// Compressor threads.
    pub(in crate::image) jobs: NonZeroUsize,
    /// Threads that read ahead.
    pub(in crate::image) readers: NonZeroUsize,
}

/// A finished stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) struct StreamWritten {
    /// Bytes as written.
    pub(in crate::image) size: u64,
    /// SHA-256 as written.
    pub(in crate::image) digest: Digest,
    /// SHA-256 before compression.
    pub(in crate::image) diff_id: Digest,
}

/// What the compressors are given.
pub(super) struct Job {
    pub(super) piece: Vec<u8>,
    pub(super) reply: Sender<Result<Vec<u8>, ImageError>>,
}

/// A piece on its way into the stream, with what it completed.
pub(super) struct Event {
    pub(super) piece: Receiver<Result<Vec<u8>, ImageError>>,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Writes the selected part of `rootfs` into `out`. `digests` (by [`crate::rootfs::FileId::index`])
/// gets those of the files that are read. Late documents are made when all others are there, so
/// the stream that selects them comes last.
///
/// # Errors
/// A source file that cannot be read or has changed, by name; failures of `out`; an interrupt.
pub(in crate::image) fn write_stream(
    (rootfs, select): (&Rootfs, Select),
    options: &StreamOptions,
    out: &mut dyn Write,
    digests: &mut [Option<FileDigest>],
    late: &mut LateContents,
    watch: Watch,
) -> Result<StreamWritten, ImageError> {
    let survey = survey(rootfs, select)?;
    let line = Line { rootfs, select, survey: &survey, options, watch };
    let (mut pieces, mut sink) = (Pieces::default(), Sink::new(out));
    line.run(Sources::Planned(rootfs, &survey.planned), &mut pieces, digests, &mut sink)?;
    if !survey.late.is_empty() {
        let documents = late(digests);
        line.run(Sources::Late(&documents), &mut pieces, digests, &mut sink)?;
    }
    let (last, diff_id) = pieces.finish();
    let mut end = Vec::new();
    Codec::new(options.compression, 0)?.frame(&last, &mut end)?;
    sink.write(&end)?;
    let digest = Digest::from_bytes(sink.hasher.finalize().into());
    Ok(StreamWritten { size: sink.size, digest, diff_id })
}

/// What stays the same in both runs of the threads.
#[derive(Clone, Copy)]
struct Line<'a> {
    rootfs: &'a Rootfs,
    select: Select<'a>,
    survey: &'a Survey,
    options: &'a StreamOptions,
    watch: Watch<'a>,
}

impl Line<'_> {
    /// Reads `sources` and writes what is complete of the stream; the rest stays in `pieces`.
    ///
    /// Every thread ends when the channel it reads from or writes to closes.
    fn run(
        self,
        sources: Sources,
        pieces: &mut Pieces,
        digests: &mut [Option<FileDigest>],
        sink: &mut Sink,
    ) -> Result<(), ImageError> {
        let Self { rootfs, select, survey, options, watch } = self;
        let pool = Pool::new(READ_BYTES);
        let jobs = options.jobs.get();
        let mut codecs =
            (0..jobs).map(|_| Codec::new(options.compression, 0)).collect::<Result<Vec<_>, _>>()?;
        let readers = options.readers.get();
        let (reading, queues) =
            Reading::new(sources, Hashing::Digests, &pool, readers, watch.interrupt);
        let (hand_out, work) = bounded::<Job>(2 * jobs);
        let (events, happening) = bounded(2 * jobs + 2);
        thread::scope(|scope| {
            let (reading, pool) = (&reading, &pool);
            let _ending = Ending(reading);
            let builder = thread::Builder::new;
            let build = Build {
                contents: Contents::new(queues, pool),
                pieces,
                digests,
                jobs: hand_out,
                events,
            };
            let building = builder()
                .spawn_scoped(scope, move || match sources {
                    Sources::Planned(..) => build.planned(rootfs, select, survey),
                    Sources::Late(documents) => build.late(rootfs, survey, documents),
                })
                .map_err(ImageError::Threads)?;
            reading.start(scope, 1)?;
            at_least_one(codecs.iter_mut().map(|codec| {
                let work = work.clone();
                builder().spawn_scoped(scope, move || compress(codec, &work))
            }))?;
            drop(work);
            // there are many more of these, which may leave no room for others
            let _ = reading.start(scope, readers - 1);
            for event in happening {
                watch.interrupt.check()?;
                sink.take(&event, watch)?;
            }
            building.join().map_err(|_| ImageError::Codec("tar"))?
        })
    }
}

/// One compressor thread: works until no more jobs come.
fn compress(codec: &mut Codec, jobs: &Receiver<Job>) {
    for Job { piece, reply } in jobs {
        let mut out = Vec::new();
        let done = codec.frame(&piece, &mut out);
        // a writer that has given up does not listen
        let _ = reply.send(done.map(|()| out));
    }
}

/// The end of the stream.
struct Sink<'a> {
    out: &'a mut dyn Write,
    hasher: sha2::Sha256,
    size: u64,
}

impl<'a> Sink<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        Self { out, hasher: sha2::Sha256::default(), size: 0 }
    }

    fn take(&mut self, event: &Event, watch: Watch) -> Result<(), ImageError> {
        // a compressor answers before it ends, unless it panicked
        let piece = event.piece.recv().unwrap_or(Err(ImageError::Codec("tar")))?;
        self.write(&piece)?;
        watch.progress.advance(event.files, event.bytes);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.out.write_all(bytes).map_err(ImageError::Write)
    }
}
