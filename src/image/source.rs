//! Reading: several threads run ahead of the writer, and what they read comes out in order.
//!
//! A reader claims the next files in order and, with the claim, hands in a short queue of its own;
//! the packer empties these queues in the order of the claims. So memory is bounded by the number
//! of readers, no reader can be waited for in vain, and the order never depends on who was faster.

use std::collections::BTreeSet;
use std::fs::File as HostFile;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::Digest as _;

use super::buffer::{Buffer, Pool};
use super::threads::at_least_one;
use crate::base::fs::{PathContext as _, PathError};
use crate::base::{Digest, Interrupt};
use crate::image::{FileDigest, ImageError};
use crate::rootfs::{Content, FileId, Part, Rootfs};

/// Readers keep little on their stacks, and there are many of them.
const READER_STACK_BYTES: usize = 256 * 1024;
/// Small files that are read and handed on together.
const BATCH_FILES: usize = 16;

/// Bytes that are hashed in one way before they are hashed in the other: a block of both, so that
/// the processor works on both at a time.
const HASHED_BYTES: usize = 64;

/// A content hash: SHA-256, or BLAKE3 where nobody asked for SHA-256.
pub(super) type Hash = [u8; 32];

/// Which content hashes are computed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hashing<'a> {
    /// SHA-256 of every file.
    Digests,
    /// Only what finding duplicates needs: files of these sizes.
    Duplicates(&'a BTreeSet<u64>),
}

/// Files to read, in the order in which they go into the image.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sources<'a> {
    /// These files of the root file system.
    Planned(&'a Rootfs, &'a [FileId]),
    /// Contents that were made late.
    Late(&'a [(FileId, Vec<u8>)]),
}

enum Input<'a> {
    Host(&'a Path),
    Part(&'a Part),
    Bytes(&'a [u8]),
}

impl<'a> Sources<'a> {
    fn len(self) -> usize {
        match self {
            Self::Planned(_, order) => order.len(),
            Self::Late(files) => files.len(),
        }
    }

    /// Identity, content and size of the file that comes `index`th.
    fn get(self, index: usize) -> Option<(FileId, Input<'a>, u64)> {
        match self {
            Self::Planned(rootfs, order) => {
                let id = *order.get(index)?;
                let file = rootfs.file(id);
                Some(match &file.content {
                    Content::Host(path) => (id, Input::Host(path), file.size),
                    Content::Part(part) => (id, Input::Part(part), file.size),
                    Content::Bytes(bytes) => (id, Input::Bytes(bytes), bytes.len() as u64),
                    Content::Late | Content::Kept => (id, Input::Bytes(&[]), 0),
                })
            }
            Self::Late(files) => {
                let (id, bytes) = files.get(index)?;
                Some((*id, Input::Bytes(bytes), bytes.len() as u64))
            }
        }
    }
}

/// What a reader hands on.
pub(super) enum Piece {
    /// Whole files that are smaller than a block, one behind the other.
    Small(Buffer, Vec<SmallFile>),
    /// The next full block of a larger file.
    Block(Buffer),
    /// The same, if all of it is zero.
    Hole,
    /// The rest of a larger file, less than a block.
    End(FileEnd, Buffer),
    /// Reading failed.
    Failed(ImageError),
}

/// A file in [`Piece::Small`].
pub(super) struct SmallFile {
    pub(super) end: FileEnd,
    pub(super) range: Range<usize>,
}

/// A file of which everything was read.
pub(super) struct FileEnd {
    pub(super) id: FileId,
    pub(super) size: u64,
    pub(super) hash: Option<Hash>,
    /// Together with SHA-256.
    pub(super) sha1_git: Option<[u8; 20]>,
}

impl FileEnd {
    /// What was read, if digests were computed.
    pub(super) fn digest(&self) -> Option<FileDigest> {
        let (sha256, sha1_git) = (Digest::from_bytes(self.hash?), self.sha1_git?);
        Some(FileDigest { size: self.size, sha256, sha1_git })
    }
}

/// What all readers share.
pub(super) struct Reading<'a> {
    pub(super) sources: Sources<'a>,
    pub(super) hashing: Hashing<'a>,
    pub(super) block: usize,
    pub(super) pool: &'a Pool,
    pub(super) interrupt: &'a Interrupt,
    claims: Mutex<Claims>,
}

/// The next file to claim, and where claimed queues go.
struct Claims {
    next: usize,
    /// Closed when nothing is left to claim. Of the standard library, whose receiver takes what is
    /// in the channel with it when it goes: readers must not wait for queues that nobody empties.
    queues: Option<mpsc::SyncSender<Receiver<Piece>>>,
}

impl<'a> Reading<'a> {
    /// Reading of `sources`, for which up to `readers` may be started; the queues come
    /// out of the second value in order.
    pub(super) fn new(
        sources: Sources<'a>,
        hashing: Hashing<'a>,
        pool: &'a Pool,
        readers: usize,
        interrupt: &'a Interrupt,
    ) -> (Self, mpsc::Receiver<Receiver<Piece>>) {
        let (queues, in_order) = mpsc::sync_channel(readers);
        let claims = Mutex::new(Claims { next: 0, queues: Some(queues) });
        let block = pool.block();
        (Self { sources, hashing, block, pool, interrupt, claims }, in_order)
    }

    /// Starts up to `count` readers, as many as the system lets us.
    ///
    /// # Errors
    /// [`ImageError::Threads`] if there can be none.
    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        count: usize,
    ) -> Result<(), ImageError> {
        at_least_one((0..count).map(|_| {
            let builder = thread::Builder::new().stack_size(READER_STACK_BYTES);
            builder.spawn_scoped(scope, || self.run())
        }))
    }

    /// One reader: claims and reads until nothing is left or nobody listens.
    fn run(&self) {
        while let Some((files, queue)) = self.claim() {
            if let Err(error) = self.read(files, &queue) {
                // the packer hears of it in order; where it is gone, it knows already
                let _ = queue.send(Piece::Failed(error));
                return;
            }
        }
    }

    /// Leaves nothing to claim: whoever waits for further queues learns that there are none.
    pub(super) fn close(&self) {
        self.claims().queues = None;
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        // a reader that panicked has left a valid count behind
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next large file, or the next small ones that fit in a block together.
    fn claim(&self) -> Option<(Range<usize>, Sender<Piece>)> {
        let mut claims = self.claims();
        let start = claims.next;
        if start >= self.sources.len() {
            claims.queues = None;
            return None;
        }
        let mut end = start + 1;
        let mut room = self.room_after(self.block, start);
        while let Some(left) = room
            && end - start < BATCH_FILES
        {
            room = self.room_after(left, end);
            if room.is_some() {
                end += 1;
            }
        }
        claims.next = end;
        let (queue, taken) = bounded(2);
        // under the lock, so that queues come in the order of claims
        claims.queues.as_ref()?.send(taken).ok()?;
        Some((start..end, queue))
    }

    /// What is left of `room` behind file `index`, if it is smaller than that: a byte must stay
    /// free, by which a file that grew is noticed.
    fn room_after(&self, room: usize, index: usize) -> Option<usize> {
        let (_, _, size) = self.sources.get(index)?;
        let size = usize::try_from(size).ok()?;
        (size < room).then(|| room - size)
    }

    fn read(&self, files: Range<usize>, queue: &Sender<Piece>) -> Result<(), ImageError> {
        let large = files.len() == 1 && self.room_after(self.block, files.start).is_none();
        if large { self.read_large(files.start, queue) } else { self.read_small(files, queue) }
    }

    fn read_small(&self, files: Range<usize>, queue: &Sender<Piece>) -> Result<(), ImageError> {
        let mut buffer = self.pool.take();
        let mut read = Vec::with_capacity(files.len());
        for index in files {
            self.interrupt.check()?;
            let Some((id, input, size)) = self.sources.get(index) else { break };
            let start = buffer.len();
            match input {
                Input::Bytes(bytes) => buffer.append(bytes),
                Input::Host(path) => read_whole(&mut open(path)?, path, size, &mut buffer)?,
                Input::Part(part) => {
                    read_whole(&mut PartReader::new(part, size), &part.path, size, &mut buffer)?;
                }
            }
            let range = start..buffer.len();
            let mut hasher = Hasher::new(self.hashing, size);
            hasher.update(buffer.slice(range.clone()));
            read.push(SmallFile { end: hasher.finish(id, size), range });
        }
        let _ = queue.send(Piece::Small(buffer, read));
        Ok(())
    }

    fn read_large(&self, index: usize, queue: &Sender<Piece>) -> Result<(), ImageError> {
        let Some((id, input, size)) = self.sources.get(index) else { return Ok(()) };
        match input {
            Input::Bytes(mut bytes) => {
                self.read_blocks(Path::new("/"), &mut bytes, (id, size), queue)
            }
            Input::Host(path) => {
                let mut file = open(path)?;
                self.read_blocks(path, &mut file, (id, size), queue)
            }
            Input::Part(part) => {
                let mut range = PartReader::new(part, size);
                self.read_blocks(&part.path, &mut range, (id, size), queue)
            }
        }
    }

    fn read_blocks(
        &self,
        path: &Path,
        from: &mut impl Read,
        (id, size): (FileId, u64),
        queue: &Sender<Piece>,
    ) -> Result<(), ImageError> {
        let changed = |read| ImageError::Changed { path: path.to_owned(), planned: size, read };
        let mut hasher = Hasher::new(self.hashing, size);
        let block = self.block as u64;
        for done in 0..size / block {
            self.interrupt.check()?;
            let mut buffer = self.pool.take();
            let got = buffer.read_from(from, self.block).map_err(|e| failed(e, path, size))?;
            if got < self.block {
                return Err(changed(done * block + got as u64));
            }
            hasher.update(buffer.filled());
            let piece = if is_zero(buffer.filled()) {
                self.pool.give(buffer);
                Piece::Hole
            } else {
                Piece::Block(buffer)
            };
            if queue.send(piece).is_err() {
                return Ok(());
            }
        }
        let mut tail = self.pool.take();
        // less than a block
        let rest = usize::try_from(size % block).unwrap_or(usize::MAX);
        let got =
            tail.read_from(from, rest.saturating_add(1)).map_err(|e| failed(e, path, size))?;
        if got != rest {
            return Err(changed(size - size % block + got as u64));
        }
        hasher.update(tail.filled());
        let _ = queue.send(Piece::End(hasher.finish(id, size), tail));
        Ok(())
    }
}

/// Ends the reading when it goes, also where no reader could be started.
pub(super) struct Ending<'a, 'b>(pub(super) &'a Reading<'b>);

impl Drop for Ending<'_, '_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A range of a file, read from its beginning to its end.
struct PartReader<'a> {
    part: &'a Part,
    done: u64,
    size: u64,
}

impl<'a> PartReader<'a> {
    fn new(part: &'a Part, size: u64) -> Self {
        Self { part, done: 0, size }
    }
}

impl Read for PartReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        let left = usize::try_from(self.size - self.done).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let wanted = buffer.get_mut(..wanted).unwrap_or_default();
        let read = self.part.file.read_at(wanted, self.part.start.saturating_add(self.done))?;
        self.done += read as u64;
        Ok(read)
    }
}

/// Appends `file`, which is called `path`, to `buffer`, which has more than `size` bytes left.
fn read_whole(
    file: &mut impl Read,
    path: &Path,
    size: u64,
    buffer: &mut Buffer,
) -> Result<(), ImageError> {
    // less than a block
    let planned = usize::try_from(size).unwrap_or(usize::MAX);
    let got = buffer.read_from(file, planned.saturating_add(1));
    let got = got.map_err(|error| failed(error, path, size))?;
    if got != planned {
        return Err(ImageError::Changed { path: path.to_owned(), planned: size, read: got as u64 });
    }
    Ok(())
}

/// Opens a file that was regular when planned, without waiting should it be a FIFO now.
fn open(path: &Path) -> Result<Opened, PathError> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = HostFile::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .at("open", path)?;
    let begun = stamp(&file).at("look at", path)?;
    Ok(Opened { file, begun })
}

/// A file of the host whose end is only reached if nobody has written to it since it was opened.
struct Opened {
    file: HostFile,
    begun: [i128; 3],
}

/// That somebody has.
#[derive(Debug, thiserror::Error)]
#[error("it was written to meanwhile")]
struct WrittenTo;

impl Read for Opened {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(to)?;
        if read == 0 && !to.is_empty() && stamp(&self.file)? != self.begun {
            return Err(io::Error::other(WrittenTo));
        }
        Ok(read)
    }
}

/// What writing to a file changes: its size, and its time to the nanosecond.
fn stamp(file: &HostFile) -> io::Result<[i128; 3]> {
    let found = rustix::fs::fstat(file)?;
    Ok([found.st_size.into(), found.st_mtime.into(), found.st_mtime_nsec.into()])
}

/// Why a file of this planned size could not be read.
fn failed(error: io::Error, path: &Path, planned: u64) -> ImageError {
    if let Some(inner) = error.get_ref()
        && inner.is::<WrittenTo>()
    {
        return ImageError::Changed { path: path.to_owned(), planned, read: planned };
    }
    PathError { action: "read", path: path.to_owned(), source: error }.into()
}

/// Whether all is zero: the first byte is, and each is equal to the one before it.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [first, rest @ ..] => *first == 0 && Some(rest) == bytes.get(..rest.len()),
    }
}

/// Hashes one file as it is read.
pub(super) enum Hasher {
    Digests(Box<(sha2::Sha256, sha1::Sha1)>),
    Blake3(Box<blake3::Hasher>),
    Nothing,
}

impl Hasher {
    /// For a file of `size` bytes.
    pub(super) fn new(hashing: Hashing, size: u64) -> Self {
        match hashing {
            Hashing::Digests => {
                let mut sha1 = sha1::Sha1::default();
                sha1.update(format!("blob {size}\0"));
                Self::Digests(Box::new((sha2::Sha256::default(), sha1)))
            }
            Hashing::Duplicates(repeated) if repeated.contains(&size) => {
                Self::Blake3(Box::default())
            }
            Hashing::Duplicates(_) => Self::Nothing,
        }
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Digests(both) => {
                for part in bytes.chunks(HASHED_BYTES) {
                    both.0.update(part);
                    both.1.update(part);
                }
            }
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Nothing => {}
        }
    }

    /// What was read, if digests were computed.
    pub(super) fn digest(self, size: u64) -> Option<FileDigest> {
        let (hash, sha1_git) = self.hashes();
        Some(FileDigest { size, sha256: Digest::from_bytes(hash?), sha1_git: sha1_git? })
    }

    fn finish(self, id: FileId, size: u64) -> FileEnd {
        let (hash, sha1_git) = self.hashes();
        FileEnd { id, size, hash, sha1_git }
    }

    fn hashes(self) -> (Option<Hash>, Option<[u8; 20]>) {
        match self {
            Self::Digests(both) => (Some(both.0.finalize().into()), Some(both.1.finalize().into())),
            Self::Blake3(hasher) => (Some(hasher.finalize().into()), None),
            Self::Nothing => (None, None),
        }
    }
}

/// Reads until `buffer` is full or the end is reached; returns how much was read.
pub(super) fn read_full(from: &mut impl Read, mut buffer: &mut [u8]) -> io::Result<usize> {
    let wanted = buffer.len();
    while !buffer.is_empty() {
        match from.read(buffer) {
            Ok(0) => break,
            Ok(read) => buffer = buffer.get_mut(read..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - buffer.len())
}
