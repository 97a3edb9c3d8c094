//! What the writer puts into the cache.

use crate::image::ImageError;
use crate::image::cache::{Chunk, Hash, Keys, Known};
use crate::image::source::FileEnd;
use crate::rootfs::FileId;

/// Gathers the blocks of the present file. Their names hold the file's digest, which is known when
/// all of it has been read; so blobs come first, and their names later.
pub(super) struct Keeper<'a> {
    known: &'a Known<'a>,
    keys: &'a Keys,
    /// Blocks that are kept together.
    together: usize,
    lengths: Vec<u32>,
    bytes: Vec<u8>,
    /// Number of the present chunk of the file.
    chunk: u64,
    /// Chunks that wait for a name.
    nameless: Vec<(u64, Hash)>,
}

impl<'a> Keeper<'a> {
    /// A keeper of blocks of so many bytes.
    pub(super) fn new(known: &'a Known<'a>, keys: &'a Keys, block: u64) -> Self {
        // at most 1024
        let together = usize::try_from(Chunk::blocks(block)).unwrap_or(1);
        let (lengths, bytes) = (Vec::new(), Vec::new());
        Self { known, keys, together, lengths, bytes, chunk: 0, nameless: Vec::new() }
    }

    /// Another block of the present file: its length with flags, and its bytes.
    pub(super) fn block(&mut self, length: u32, bytes: &[u8]) {
        self.lengths.push(length);
        self.bytes.extend_from_slice(bytes);
        if self.lengths.len() >= self.together {
            self.store();
        }
    }

    /// A chunk of the present file that came from the cache.
    pub(super) const fn skip(&mut self) {
        self.chunk += 1;
    }

    fn store(&mut self) {
        let address = self.known.cache.store(&Chunk::encode(&self.lengths, &self.bytes));
        self.nameless.push((self.chunk, address));
        self.chunk += 1;
        self.lengths.clear();
        self.bytes.clear();
    }

    /// The present file is complete.
    pub(super) fn ended(&mut self, end: &FileEnd) -> Result<(), ImageError> {
        if !self.lengths.is_empty() {
            self.store();
        }
        self.chunk = 0;
        for (chunk, address) in self.nameless.drain(..) {
            let Some(hash) = end.hash else { continue };
            let name = self.keys.chunk(&hash, end.size, chunk);
            self.known.cache.name(name, address, self.known.path(end.id))?;
        }
        Ok(())
    }

    /// A fragment of this name, with one of its files.
    pub(super) fn fragment(
        &mut self,
        (name, id): (Hash, FileId),
        length: u32,
        bytes: &[u8],
    ) -> Result<(), ImageError> {
        let cache = self.known.cache;
        cache.name(name, cache.store(&Chunk::encode(&[length], bytes)), self.known.path(id))
    }
}
