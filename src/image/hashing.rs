//! Hashing of contents as they are read.

mod pair;
#[cfg(target_arch = "x86_64")]
mod stitched;

use std::collections::BTreeSet;
use std::io::{self, Read};

use self::pair::Pair;
use super::FileDigest;
use super::source::FileEnd;
use crate::base::Digest;
use crate::rootfs::FileId;

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

/// Whether all is zero: the first byte is, and each is equal to the one before it.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [first, rest @ ..] => *first == 0 && Some(rest) == bytes.get(..rest.len()),
    }
}

/// Hashes one file as it is read.
pub(super) enum Hasher {
    Digests(Box<Pair>),
    Blake3(Box<blake3::Hasher>),
    Nothing,
}

impl Hasher {
    /// For a file of `size` bytes.
    pub(super) fn new(hashing: Hashing, size: u64) -> Self {
        match hashing {
            Hashing::Digests => {
                // as Git names a file's content
                Self::Digests(Box::new(Pair::new(format!("blob {size}\0").as_bytes())))
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
            Self::Digests(pair) => pair.update(bytes),
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

    /// The end of the file, with the hashes of all of it.
    pub(super) fn finish(self, id: FileId, size: u64) -> FileEnd {
        let (hash, sha1_git) = self.hashes();
        FileEnd { id, size, hash, sha1_git }
    }

    fn hashes(self) -> (Option<Hash>, Option<[u8; 20]>) {
        match self {
            Self::Digests(pair) => {
                let (sha256, sha1_git) = pair.finish();
                (Some(sha256), Some(sha1_git))
            }
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
