//! Reading: several threads run ahead of the writer, and what they read comes out in order.
//!
//! A reader claims the next files in order and, with the claim, hands in a short queue of its own;
//! the packer empties these queues in the order of the claims. So memory is bounded by the number
//! of readers, no reader can be waited for in vain, and the order never depends on who was faster.

use std::fs::File as HostFile;
use std::io::{Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::buffer::{Buffer, Pool};
use super::cache::{Chunk, Identity, Keys, Known, KnownOpen, is_same};
use super::hashing::Hasher;
pub(super) use super::hashing::{Hash, Hashing, is_zero, read_full};
use super::opened::{Opened, PartReader, failed, open, open_planned, read_whole};
use super::threads::at_least_one;
use crate::base::fs::PathContext as _;
use crate::base::{Digest, Interrupt};
use crate::image::{FileDigest, ImageError};
use crate::rootfs::{Content, FileId, Part, Rootfs};

/// Readers keep little on their stacks, and there are many of them.
const READER_STACK_BYTES: usize = 256 * 1024;
/// Small files that are read and handed on together.
const BATCH_FILES: usize = 16;

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
    /// The next blocks of it, compressed; only where chunks are asked for.
    Chunk(Chunk),
    /// The same, if all of it is zero.
    Hole,
    /// The rest of a larger file, less than a block; or nothing of it, where that is not needed.
    End(FileEnd, Option<Buffer>),
    /// Reading failed.
    Failed(ImageError),
}

/// A file in [`Piece::Small`].
pub(super) struct SmallFile {
    pub(super) end: FileEnd,
    /// Where it is; nowhere if it is not needed.
    pub(super) range: Option<Range<usize>>,
}

/// What need not be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cached<'a> {
    pub(super) known: &'a Known<'a>,
    /// Names of compressed blocks, which are handed on as they are.
    pub(super) chunks: Option<&'a Keys>,
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
    /// Of a file whose content is known.
    fn known(id: FileId, digest: &FileDigest) -> Self {
        let hash = Some(*digest.sha256.as_bytes());
        Self { id, size: digest.size, hash, sha1_git: Some(digest.sha1_git) }
    }

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
    /// Where there is a cache; nothing at first.
    pub(super) cached: Option<Cached<'a>>,
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
        (Self { sources, hashing, block, pool, interrupt, cached: None, claims }, in_order)
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
            let mut hasher = Hasher::new(self.hashing, size);
            let end = match (input, self.known(id)) {
                (Input::Host(_), Some((known, digest))) if known.is_unread(id) => {
                    read.push(SmallFile { end: FileEnd::known(id, &digest), range: None });
                    continue;
                }
                (Input::Host(path), Some((known, digest))) => {
                    let open = known.open(id)?;
                    read_whole(path, &mut &open.file, size, &mut buffer)?;
                    open.check()?;
                    FileEnd::known(id, &digest)
                }
                (Input::Bytes(bytes), _) => {
                    buffer.append(bytes);
                    hasher.update(bytes);
                    hasher.finish(id, size)
                }
                (Input::Part(part), _) => {
                    let mut range = PartReader::new(part, size);
                    read_whole(&part.path, &mut range, size, &mut buffer)?;
                    hasher.update(buffer.slice(start..buffer.len()));
                    hasher.finish(id, size)
                }
                (Input::Host(path), None) => {
                    let mut file = self.open(id, path)?;
                    let before = self.look(path, &file.file)?;
                    read_whole(path, &mut file, size, &mut buffer)?;
                    hasher.update(buffer.slice(start..buffer.len()));
                    self.learn(path, &file.file, before, hasher.finish(id, size))?
                }
            };
            read.push(SmallFile { end, range: Some(start..buffer.len()) });
        }
        let _ = queue.send(Piece::Small(buffer, read));
        Ok(())
    }

    fn read_large(&self, index: usize, queue: &Sender<Piece>) -> Result<(), ImageError> {
        let Some((id, input, size)) = self.sources.get(index) else { return Ok(()) };
        let mut hasher = Hasher::new(self.hashing, size);
        let (tail, end) = match (input, self.known(id)) {
            (Input::Bytes(mut bytes), _) => {
                let tail =
                    self.read_blocks(Path::new("/"), &mut bytes, size, &mut hasher, queue)?;
                (tail, hasher.finish(id, size))
            }
            (Input::Part(part), _) => {
                let mut range = PartReader::new(part, size);
                let tail = self.read_blocks(&part.path, &mut range, size, &mut hasher, queue)?;
                (tail, hasher.finish(id, size))
            }
            (Input::Host(path), Some((known, digest))) => {
                (self.read_known(path, known, (id, &digest), queue)?, FileEnd::known(id, &digest))
            }
            (Input::Host(path), None) => {
                let mut file = self.open(id, path)?;
                let before = self.look(path, &file.file)?;
                let tail = self.read_blocks(path, &mut file, size, &mut hasher, queue)?;
                (tail, self.learn(path, &file.file, before, hasher.finish(id, size))?)
            }
        };
        let tail = match tail {
            Tail::Read(buffer) => Some(buffer),
            Tail::Unread => None,
            Tail::Unheard => return Ok(()),
        };
        let _ = queue.send(Piece::End(end, tail));
        Ok(())
    }

    /// What the cache knows of a file.
    fn known(&self, id: FileId) -> Option<(&'a Known<'a>, FileDigest)> {
        let known = self.cached?.known;
        Some((known, known.digest(id)?))
    }

    /// Opens a file that was left alone since it was planned.
    fn open(&self, id: FileId, path: &Path) -> Result<Opened, ImageError> {
        match self.sources {
            Sources::Planned(rootfs, _) => open_planned(rootfs, id, path),
            Sources::Late(_) => Ok(open(path)?),
        }
    }

    /// How the file looks before it is read, where that is to be remembered.
    fn look(&self, path: &Path, file: &HostFile) -> Result<Option<Before>, ImageError> {
        if self.cached.is_none() {
            return Ok(None);
        }
        let found = file.metadata().at("look at", path)?;
        let identity = Identity::of(path, &found);
        Ok(Some((found, identity)))
    }

    /// Remembers what was read of a file that looked like this before. Returns the same.
    fn learn(
        &self,
        path: &Path,
        file: &HostFile,
        before: Option<Before>,
        end: FileEnd,
    ) -> Result<FileEnd, ImageError> {
        if let (Some((found, identity)), Some(cached), Some(digest)) =
            (before, self.cached, end.digest())
            && is_same(path, &found, &file.metadata().at("look at", path)?)
        {
            cached.known.cache.learn(path, (&found, &identity), &digest)?;
        }
        Ok(end)
    }

    /// Hands on a large file of which the digest is known: compressed where that is at hand, read
    /// where not. Returns its tail.
    fn read_known(
        &self,
        path: &Path,
        known: &'a Known<'a>,
        (id, digest): (FileId, &FileDigest),
        queue: &Sender<Piece>,
    ) -> Result<Tail, ImageError> {
        let chunks = self.cached.and_then(|cached| cached.chunks);
        if chunks.is_none() && known.is_unread(id) {
            return Ok(Tail::Unread);
        }
        let (size, sha256) = (digest.size, digest.sha256.as_bytes());
        let mut open: Option<KnownOpen> = None;
        let block = self.block as u64;
        let (together, blocks) = (Chunk::blocks(block), size / block);
        for chunk in 0..blocks.div_ceil(together) {
            self.interrupt.check()?;
            let first = chunk * together;
            let count = together.min(blocks - first);
            let name = chunks.map(|keys| keys.chunk(sha256, size, chunk));
            let found = name.and_then(|name| known.cache.get(&name));
            if let Some(found) = found.and_then(|blob| Chunk::decode(blob, count)) {
                if queue.send(Piece::Chunk(found)).is_err() {
                    return Ok(Tail::Unheard);
                }
                continue;
            }
            let file = &known.opened(id, &mut open)?.file;
            for number in first..first + count {
                let mut buffer = self.pool.take();
                (&*file).seek(SeekFrom::Start(number * block)).at("read", path)?;
                let got = buffer.read_from(&mut &*file, self.block).at("read", path)?;
                if got < self.block {
                    let read = number * block + got as u64;
                    return Err(ImageError::Changed { path: path.to_owned(), planned: size, read });
                }
                if queue.send(self.piece(buffer)).is_err() {
                    return Ok(Tail::Unheard);
                }
            }
        }
        // less than a block
        let rest = usize::try_from(size % block).unwrap_or(0);
        let mut tail = Tail::Unread;
        if !known.is_unread(id) {
            let mut buffer = self.pool.take();
            buffer.leave(rest);
            if rest > 0 {
                let file = &known.opened(id, &mut open)?.file;
                let into = buffer.slice_mut(0..rest);
                file.read_exact_at(into, size - rest as u64).at("read", path)?;
            }
            tail = Tail::Read(buffer);
        }
        if let Some(open) = open {
            open.check()?;
        }
        Ok(tail)
    }

    /// A full block, or a hole.
    fn piece(&self, buffer: Buffer) -> Piece {
        if is_zero(buffer.filled()) {
            self.pool.give(buffer);
            Piece::Hole
        } else {
            Piece::Block(buffer)
        }
    }

    /// Reads and hands on all blocks; returns the tail.
    fn read_blocks(
        &self,
        path: &Path,
        from: &mut impl Read,
        size: u64,
        hasher: &mut Hasher,
        queue: &Sender<Piece>,
    ) -> Result<Tail, ImageError> {
        let changed = |read| ImageError::Changed { path: path.to_owned(), planned: size, read };
        let block = self.block as u64;
        for done in 0..size / block {
            self.interrupt.check()?;
            let mut buffer = self.pool.take();
            let got = buffer.read_from(from, self.block).map_err(|e| failed(e, path, size))?;
            if got < self.block {
                return Err(changed(done * block + got as u64));
            }
            hasher.update(buffer.filled());
            if queue.send(self.piece(buffer)).is_err() {
                return Ok(Tail::Unheard);
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
        Ok(Tail::Read(tail))
    }
}

/// Ends the reading when it goes, also where no reader could be started.
pub(super) struct Ending<'a, 'b>(pub(super) &'a Reading<'b>);

impl Drop for Ending<'_, '_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What comes behind the blocks of a file.
enum Tail {
    Read(Buffer),
    /// It is not needed.
    Unread,
    /// Nobody listens any more.
    Unheard,
}

/// How a file looked before it was read.
type Before = (std::fs::Metadata, Identity);
