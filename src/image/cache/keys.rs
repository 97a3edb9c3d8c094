//! Names of compressed blocks: what they were made of, by which compressor.

use super::Hash;
use crate::image::codec::Compression;

/// The name of the other digest of a content.
pub(super) fn sha1_git(sha256: &Hash, size: u64) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"sha1 of git 1\0").update(sha256).update(&size.to_le_bytes());
    *hasher.finalize().as_bytes()
}

/// Names of one compressor's blobs.
#[derive(Debug, Clone)]
pub(in crate::image) struct Keys {
    start: blake3::Hasher,
}

impl Keys {
    /// Names of what `compression` makes of blocks of so many bytes (0 where their size varies).
    pub(in crate::image) fn new(compression: Compression, block: u64) -> Self {
        let mut start = blake3::Hasher::new();
        start.update(format!("block 1\0{compression}\0{}\0", compression.library()).as_bytes());
        start.update(&block.to_le_bytes());
        Self { start }
    }

    /// The data blocks of a file from the `chunk`th lot of them on.
    pub(in crate::image) fn chunk(&self, sha256: &Hash, size: u64, chunk: u64) -> Hash {
        let mut hasher = self.start.clone();
        hasher.update(b"chunk").update(sha256);
        hasher.update(&size.to_le_bytes()).update(&chunk.to_le_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The fragment of the tails of these files, of which digests and sizes are given.
    pub(in crate::image) fn fragment(&self, members: &[(Hash, u64)]) -> Hash {
        let mut hasher = self.start.clone();
        hasher.update(b"tails");
        for (sha256, size) in members {
            hasher.update(sha256).update(&size.to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// A piece of a stream that is described by this script.
    pub(in crate::image) fn piece(&self, script: &[u8]) -> Hash {
        let mut hasher = self.start.clone();
        *hasher.update(b"piece").update(script).finalize().as_bytes()
    }

    /// A stream of these pieces, with its digest before compression or without.
    pub(in crate::image) fn stream(&self, pieces: &[Hash], diff_id: bool) -> Hash {
        let mut hasher = self.start.clone();
        hasher.update(if diff_id { b"layer" } else { b"whole" });
        for piece in pieces {
            hasher.update(piece);
        }
        *hasher.finalize().as_bytes()
    }
}
