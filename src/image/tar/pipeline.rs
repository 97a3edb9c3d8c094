//! From sources to the compressed stream: readers run ahead, one thread puts headers and contents
//! behind one another and cuts that into pieces, others compress the pieces, and the caller's thread
//! writes them in order.

use std::collections::VecDeque;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use sha2::Digest as _;

use super::build::{Build, Contents, Pieces, Put};
use super::press::{Job, Press, Pressed};
use super::recipe::{Foreseen, foresee};
use super::walk::{Select, Survey, survey};
use crate::base::Digest;
use crate::image::buffer::Pool;
use crate::image::cache::{Cache, Hash, Keys, Known};
use crate::image::codec::{Codec, Compression};
use crate::image::source::{Cached, Ending, Hashing, Reading, Sources};
use crate::image::threads::at_least_one;
use crate::image::{FileDigest, ImageError, LateContents, Watch};
use crate::rootfs::{FileId, Rootfs};

/// Bytes that a reader hands on at once.
const READ_BYTES: usize = 128 * 1024;
/// How a stream is written; none but `compression` has influence on its bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::image) struct StreamOptions<'a> {
    /// gzip (one member after the other), zstd (one frame after the other), or none.
    pub(in crate::image) compression: Compression,
    /// Compressor threads.
    pub(in crate::image) jobs: NonZeroUsize,
    /// Threads that read ahead.
    pub(in crate::image) readers: NonZeroUsize,
    /// Whether the digest before compression is wanted.
    pub(in crate::image) diff_id: bool,
    /// Compressed pieces of earlier streams.
    pub(in crate::image) cache: Option<&'a Cache>,
}

impl StreamOptions<'_> {
    /// Names of pieces.
    pub(in crate::image) fn keys(&self) -> Keys {
        Keys::new(self.compression, 0)
    }
}

/// A finished stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) struct StreamWritten {
    /// Bytes as written.
    pub(in crate::image) size: u64,
    /// SHA-256 as written.
    pub(in crate::image) digest: Digest,
    /// SHA-256 before compression, if it was asked for.
    pub(in crate::image) diff_id: Digest,
}

impl StreamWritten {
    fn encode(&self) -> Vec<u8> {
        let size = self.size.to_le_bytes();
        [&size[..], self.digest.as_bytes(), self.diff_id.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let digest = |bytes: &[u8]| Some(Digest::from_bytes(bytes.try_into().ok()?));
        Some(Self {
            size: u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
            digest: digest(bytes.get(8..40)?)?,
            diff_id: digest(bytes.get(40..)?)?,
        })
    }
}

/// What the writer does next.
pub(super) enum Event {
    /// Writes a piece, which completes so many files and bytes of them.
    Piece { piece: Receiver<Result<Pressed, ImageError>>, files: u64, bytes: u64 },
    /// Names the earliest pieces that have no name yet, which this file was in.
    Names(Vec<Option<Hash>>, FileId),
}

/// A stream about to be written: a root file system, or the selected part of it.
pub(in crate::image) struct Stream<'a> {
    rootfs: &'a Rootfs,
    select: Select<'a>,
    options: &'a StreamOptions<'a>,
    watch: Watch<'a>,
    survey: Survey,
    foreseen: Option<Foreseen<'a>>,
    whole: Option<StreamWritten>,
}

impl<'a> Stream<'a> {
    /// Looks at what is to be written. `keys` are those of the options.
    ///
    /// # Errors
    /// An interrupt; what a tar archive cannot hold.
    pub(in crate::image) fn new(
        (rootfs, select): (&'a Rootfs, Select<'a>),
        options: &'a StreamOptions<'a>,
        keys: &'a Keys,
        watch: Watch<'a>,
    ) -> Result<Self, ImageError> {
        let survey = survey(rootfs, select)?;
        let mut stream =
            Self { rootfs, select, options, watch, survey, foreseen: None, whole: None };
        if let Some(cache) = options.cache {
            let readers = options.readers.get();
            let known = Known::look(cache, rootfs, &stream.survey.planned, readers, watch)?;
            let foreseen = foresee((known, keys), (rootfs, select), &stream.survey, watch)?;
            let name = foreseen.pieces.as_deref().map(|all| keys.stream(all, options.diff_id));
            let whole = name.and_then(|name| cache.get(&name));
            stream.whole = whole.and_then(|whole| StreamWritten::decode(&whole));
            stream.foreseen = Some(foreseen);
        }
        Ok(stream)
    }

    /// The finished stream, where it is known before it is written.
    pub(in crate::image) const fn known(&self) -> Option<StreamWritten> {
        self.whole
    }

    /// Notes the digests of all files, where the stream is known, and that they are done.
    pub(in crate::image) fn note(&self, digests: &mut [Option<FileDigest>]) {
        let Some(foreseen) = &self.foreseen else { return };
        for id in &self.survey.planned {
            if let Some(slot) = digests.get_mut(id.index()) {
                *slot = foreseen.known.digest(*id);
            }
        }
        self.watch.progress.advance(self.survey.planned.len() as u64, self.survey.bytes);
    }

    /// Writes it into `out`. `digests` (by [`crate::rootfs::FileId::index`]) gets those of its
    /// files. Late documents are made when all others are there, so the stream that selects them
    /// comes last.
    ///
    /// # Errors
    /// A source file that cannot be read or has changed, by name; failures of `out`; an interrupt.
    pub(in crate::image) fn write(
        &self,
        out: &mut dyn Write,
        digests: &mut [Option<FileDigest>],
        late: &mut LateContents,
    ) -> Result<StreamWritten, ImageError> {
        let mut written = 0;
        if let (Some(foreseen), Some(whole)) = (&self.foreseen, self.whole) {
            written = self.copy(foreseen, out)?;
            if written == whole.size {
                self.note(digests);
                return Ok(whole);
            }
        }
        let foreseen = self.foreseen.as_ref();
        let mut pieces = Pieces::new(foreseen);
        let mut sink = Sink::new(out, written, self.press(), foreseen);
        self.run(
            Sources::Planned(self.rootfs, &self.survey.planned),
            &mut pieces,
            digests,
            &mut sink,
        )?;
        if !self.survey.late.is_empty() {
            let documents = late(digests);
            self.run(Sources::Late(&documents), &mut pieces, digests, &mut sink)?;
        }
        let mut codec = Codec::new(self.options.compression, 0)?;
        let last = self.press().press(&mut codec, pieces.finish(digests))?;
        sink.piece(&last)?;
        sink.finish(self.survey.late.is_empty(), self.options.diff_id)
    }

    /// Copies what the cache has; returns how many bytes there were before something was damaged.
    fn copy(&self, foreseen: &Foreseen, out: &mut dyn Write) -> Result<u64, ImageError> {
        let mut written = 0;
        for name in foreseen.pieces.iter().flatten() {
            self.watch.interrupt.check()?;
            let Some(piece) = foreseen.known.cache.get(name) else { break };
            out.write_all(&piece).map_err(ImageError::Write)?;
            written += piece.len() as u64;
        }
        Ok(written)
    }

    fn press(&self) -> Press<'_> {
        let StreamOptions { compression, diff_id, .. } = *self.options;
        let needs_raw = diff_id && compression != Compression::None;
        Press { compression, needs_raw, foreseen: self.foreseen.as_ref() }
    }

    /// Reads `sources` and writes what is complete of the stream; the rest stays in `pieces`.
    ///
    /// Every thread ends when the channel it reads from or writes to closes.
    fn run<'s>(
        &'s self,
        sources: Sources,
        pieces: &mut Pieces<'s>,
        digests: &mut [Option<FileDigest>],
        sink: &mut Sink,
    ) -> Result<(), ImageError> {
        let Self { rootfs, select, ref survey, options, watch, .. } = *self;
        let pool = Pool::new(READ_BYTES);
        let jobs = options.jobs.get();
        let mut codecs =
            (0..jobs).map(|_| Codec::new(options.compression, 0)).collect::<Result<Vec<_>, _>>()?;
        let readers = options.readers.get();
        let (mut reading, queues) =
            Reading::new(sources, Hashing::Digests, &pool, readers, watch.interrupt);
        if let (Some(foreseen), Sources::Planned(..)) = (&self.foreseen, sources) {
            reading.cached = Some(Cached { known: &foreseen.known, chunks: None });
        }
        let (hand_out, work) = bounded::<Job>(2 * jobs);
        let (events, happening) = bounded(2 * jobs + 2);
        thread::scope(|scope| {
            let (reading, pool) = (&reading, &pool);
            let _ending = Ending(reading);
            let builder = thread::Builder::new;
            let put = Put { pieces, digests, jobs: hand_out, events };
            let build = Build { contents: Contents::new(queues, pool), put };
            let building = builder()
                .spawn_scoped(scope, move || match sources {
                    Sources::Planned(..) => build.planned(rootfs, select, survey),
                    Sources::Late(documents) => build.late(rootfs, survey, documents),
                })
                .map_err(ImageError::Threads)?;
            reading.start(scope, 1)?;
            let press = self.press();
            at_least_one(codecs.iter_mut().map(|codec| {
                let work = work.clone();
                builder().spawn_scoped(scope, move || press.run(codec, &work))
            }))?;
            drop(work);
            // there are many more of these, which may leave no room for others
            let _ = reading.start(scope, readers - 1);
            for event in happening {
                watch.interrupt.check()?;
                sink.take(event, watch)?;
            }
            building.join().map_err(|_| ImageError::Codec("tar"))?
        })
    }
}

/// The end of the stream.
struct Sink<'a> {
    out: &'a mut dyn Write,
    /// Bytes that stand in `out` already.
    skip: u64,
    hasher: sha2::Sha256,
    diff_id: Option<sha2::Sha256>,
    size: u64,
    foreseen: Option<&'a Foreseen<'a>>,
    /// The names of all pieces so far, where there is a cache.
    names: Vec<Option<Hash>>,
    /// Pieces without a name: their numbers, and where they are in the cache.
    nameless: VecDeque<(usize, Hash)>,
}

impl<'a> Sink<'a> {
    fn new(
        out: &'a mut dyn Write,
        skip: u64,
        press: Press,
        foreseen: Option<&'a Foreseen<'a>>,
    ) -> Self {
        let diff_id = press.needs_raw.then(sha2::Sha256::default);
        let (names, nameless) = (Vec::new(), VecDeque::new());
        Self {
            out,
            skip,
            hasher: sha2::Sha256::default(),
            diff_id,
            size: 0,
            foreseen,
            names,
            nameless,
        }
    }

    fn take(&mut self, event: Event, watch: Watch) -> Result<(), ImageError> {
        match event {
            Event::Piece { piece, files, bytes } => {
                // a compressor answers before it ends, unless it panicked
                self.piece(&piece.recv().unwrap_or(Err(ImageError::Codec("tar")))?)?;
                watch.progress.advance(files, bytes);
                Ok(())
            }
            Event::Names(names, id) => {
                let Some(Foreseen { known, .. }) = self.foreseen else { return Ok(()) };
                for name in names {
                    let Some((number, address)) = self.nameless.pop_front() else { break };
                    if let (Some(name), Some(slot)) = (name, self.names.get_mut(number)) {
                        *slot = Some(name);
                        known.cache.name(name, address, known.path(id))?;
                    }
                }
                Ok(())
            }
        }
    }

    fn piece(&mut self, piece: &Pressed) -> Result<(), ImageError> {
        if let Some(diff_id) = &mut self.diff_id {
            diff_id.update(&piece.raw);
        }
        self.write(&piece.out)?;
        let Some(Foreseen { known, .. }) = self.foreseen else { return Ok(()) };
        self.names.push(piece.name);
        if piece.is_found {
            return Ok(());
        }
        let address = known.cache.store(&piece.out);
        if let Some(name) = piece.name {
            let path = piece.file.map_or(Path::new("/"), |id| known.path(id));
            return known.cache.name(name, address, path);
        }
        self.nameless.push_back((self.names.len() - 1, address));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        let there = self.skip.min(bytes.len() as u64);
        self.skip -= there;
        let new = usize::try_from(there).ok().and_then(|there| bytes.get(there..));
        self.out.write_all(new.unwrap_or_default()).map_err(ImageError::Write)
    }

    /// What was written; kept as a whole where that is of use.
    fn finish(self, is_kept: bool, with_diff_id: bool) -> Result<StreamWritten, ImageError> {
        let digest = Digest::from_bytes(self.hasher.finalize().into());
        let diff_id =
            self.diff_id.map_or(digest, |hasher| Digest::from_bytes(hasher.finalize().into()));
        let written = StreamWritten { size: self.size, digest, diff_id };
        let names: Option<Vec<Hash>> = self.names.into_iter().collect();
        if let (Some(Foreseen { known, keys, .. }), Some(names), true) =
            (self.foreseen, names, is_kept)
        {
            let address = known.cache.store(&written.encode());
            known.cache.name(keys.stream(&names, with_diff_id), address, Path::new("/"))?;
        }
        Ok(written)
    }
}
