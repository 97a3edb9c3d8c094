//! What earlier exports compressed, kept by content, so that a later one reads and compresses only
//! what is new. It never decides what an image holds: with it and without, the bytes are the same.
//!
//! | part | decided by |
//! |---|---|
//! | files of the cache: blobs, and names that lead to them | `pack` |
//! | the directory: who may use it, locks, what goes when it is full | `directory` |
//! | what is found and how it is checked | this file |
//! | what is added | `writer` |
//! | which file of the host is the one that was read before | `identity`, `cvmfs`, `known` |
//! | names of compressed blocks, and how they are kept | `keys`, `chunk` |
//!
//! A blob is found by its own BLAKE3, with which it is checked whenever it is used. A name is the
//! BLAKE3 of what a thing was made of, compressor and version included, so that nothing is ever out
//! of date: what nobody asks for any more goes when there is no room.

mod chunk;
mod cvmfs;
mod directory;
mod identity;
mod keys;
mod known;
mod pack;
mod writer;

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) use self::chunk::Chunk;
use self::cvmfs::Mounts;
use self::directory::Directory;
pub(super) use self::identity::Identity;
pub(super) use self::keys::Keys;
pub(super) use self::known::{Known, KnownOpen, is_same};
use self::pack::Packs;
use self::writer::Writer;
use super::{FileDigest, ImageError};
use crate::base::Digest;

/// A BLAKE3, or a SHA-256 of a file.
pub(in crate::image) type Hash = [u8; 32];

/// At most so many bytes by default.
const DEFAULT_LIMIT: u64 = 10 << 30;
/// With less than this there is no point in it.
const LEAST: u64 = 1 << 20;
/// A file that changed less than this before it was read may change again and look the same.
const SETTLED: Duration = Duration::from_secs(2);

/// Where a cache is, and how it is used.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// A directory for nothing else; made if it is not there, for its owner alone.
    pub directory: PathBuf,
    /// Upper bound in bytes; in any case at most half of what would be free without the cache.
    pub limit: u64,
    /// Whether everything is read and compressed again, and compared with what the cache has.
    pub verify: bool,
    /// For how long a file must have been left alone when it is read.
    pub settled: Duration,
}

impl CacheOptions {
    /// The cache in `directory`, with everything else by default: 10 GiB, 2 s.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, limit: DEFAULT_LIMIT, verify: false, settled: SETTLED }
    }
}

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Somebody else could have put something into it.
    #[error("the cache `{}` {why}", crate::base::Escaped(&directory.to_string_lossy()))]
    Refused {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be made or read.
    #[error("cannot use the cache `{}`", crate::base::Escaped(&directory.to_string_lossy()))]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// How much a cache saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheUse {
    /// Files of the host that were known, and so not hashed again.
    pub known_files: u64,
    /// Compressed blobs that were found.
    pub found: u64,
    /// Their bytes.
    pub found_bytes: u64,
    /// Blobs that were added.
    pub added: u64,
    /// Their bytes.
    pub added_bytes: u64,
}

/// An open cache.
#[derive(Debug)]
pub struct Cache {
    options: CacheOptions,
    directory: Directory,
    packs: Packs,
    mounts: Mounts,
    writer: Mutex<Writer>,
    problems: Mutex<BTreeSet<String>>,
    known_files: AtomicU64,
    found: AtomicU64,
    found_bytes: AtomicU64,
}

impl Cache {
    /// Opens the cache, or makes it.
    ///
    /// # Errors
    /// [`CacheError::Refused`] if others can write to it; [`CacheError::Unusable`] if it cannot be
    /// made or read.
    pub fn open(options: CacheOptions) -> Result<Self, CacheError> {
        let directory = Directory::open(&options.directory)?;
        let mut problems = BTreeSet::new();
        let packs = Packs::read(&directory, &mut problems);
        let limit = directory.limit(options.limit);
        if limit < LEAST {
            problems.insert("there is too little room to keep anything".to_owned());
        }
        Ok(Self {
            writer: Mutex::new(Writer::new(limit, limit >= LEAST)),
            directory,
            packs,
            mounts: Mounts::default(),
            problems: Mutex::new(problems),
            known_files: AtomicU64::new(0),
            found: AtomicU64::new(0),
            found_bytes: AtomicU64::new(0),
            options,
        })
    }

    /// Keeps what was added, and lets go what there is no room for. What is not kept by this is
    /// made anew next time.
    pub fn finish(&self) {
        let mut writer = self.writer();
        let saved = self
            .packs
            .salvage(|address, blob| writer.blob(&self.directory, &self.packs, address, blob));
        let saved = saved.and_then(|names| {
            let mut names = names.into_iter();
            names.try_for_each(|(name, value)| {
                writer.name(&self.directory, &self.packs, name, value)
            })
        });
        let result = saved.and_then(|()| writer.finish(&self.directory, &self.packs));
        if let Err(error) = result {
            self.problem(&format!("nothing more is kept in the cache: {error}"));
        }
    }

    /// What went wrong with the cache, each a sentence; no image is worse for it.
    pub fn warnings(&self) -> Vec<String> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How much it saved so far.
    pub fn usage(&self) -> CacheUse {
        let (added, added_bytes) = self.writer().added();
        CacheUse {
            known_files: self.known_files.load(Ordering::Relaxed),
            found: self.found.load(Ordering::Relaxed),
            found_bytes: self.found_bytes.load(Ordering::Relaxed),
            added,
            added_bytes,
        }
    }

    /// The blob of this name, if it is there and whole.
    pub(super) fn get(&self, name: &Hash) -> Option<Vec<u8>> {
        if self.options.verify {
            return None;
        }
        let address = self.packs.named(name)?;
        match self.packs.blob(&self.directory, &address) {
            Ok(Some(blob)) => {
                self.found.fetch_add(1, Ordering::Relaxed);
                self.found_bytes.fetch_add(blob.len() as u64, Ordering::Relaxed);
                Some(blob)
            }
            Ok(None) => None,
            Err(problem) => {
                self.problem(&problem);
                None
            }
        }
    }

    /// Whether there is a blob of this name; it may turn out to be damaged.
    pub(super) fn has(&self, name: &Hash) -> bool {
        let is_there = |address| self.packs.has_blob(&address);
        !self.options.verify && self.packs.named(name).is_some_and(is_there)
    }

    /// Keeps a blob; returns what [`Self::name`] needs.
    pub(super) fn store(&self, blob: &[u8]) -> Hash {
        let address = *blake3::hash(blob).as_bytes();
        if !self.packs.has_blob(&address) {
            let result = self.writer().blob(&self.directory, &self.packs, address, blob);
            self.note(result);
        }
        address
    }

    /// Gives a blob a name. `what` is what it was made from, for a message.
    ///
    /// # Errors
    /// [`ImageError::CacheDiffers`] where everything is verified and another blob has the name.
    pub(super) fn name(&self, name: Hash, address: Hash, what: &Path) -> Result<(), ImageError> {
        match self.packs.named(&name) {
            Some(there) if there == address => {}
            Some(_) if self.options.verify => {
                return Err(ImageError::CacheDiffers { path: what.to_owned() });
            }
            // a damaged blob's, or one made by a compressor that gives this and that
            _ => {
                let result = self.writer().name(&self.directory, &self.packs, name, address);
                self.note(result);
            }
        }
        Ok(())
    }

    /// What is in a file that was read before.
    pub(super) fn known(&self, path: &Path, found: &Metadata) -> Option<FileDigest> {
        if self.options.verify {
            return None;
        }
        let sha256 = self.packs.named(&Identity::of(path, found).key()).or_else(|| {
            let name = self.mounts.name_of(path, found)?;
            self.packs.named(&name)
        })?;
        let padded = self.packs.named(&keys::sha1_git(&sha256, found.len()))?;
        let sha1_git = *padded.first_chunk()?;
        self.known_files.fetch_add(1, Ordering::Relaxed);
        Some(FileDigest { size: found.len(), sha256: Digest::from_bytes(sha256), sha1_git })
    }

    /// Keeps that the file at `path`, which was `found` and then read, has this content.
    ///
    /// # Errors
    /// As [`Self::name`].
    pub(super) fn learn(
        &self,
        path: &Path,
        (found, identity): (&Metadata, &Identity),
        digest: &FileDigest,
    ) -> Result<(), ImageError> {
        let sha256 = *digest.sha256.as_bytes();
        let mut padded = [0; 32];
        if let Some(start) = padded.first_chunk_mut() {
            *start = digest.sha1_git;
        }
        if identity.is_settled(self.options.settled) {
            self.name(identity.key(), sha256, path)?;
            self.name(keys::sha1_git(&sha256, digest.size), padded, path)?;
        }
        if let Some(name) = self.mounts.name_of(path, found) {
            self.name(name, sha256, path)?;
            self.name(keys::sha1_git(&sha256, digest.size), padded, path)?;
        }
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // who panicked has left nothing half done that anybody trusts
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, result: std::io::Result<()>) {
        if let Err(error) = result {
            self.problem(&format!("nothing more is kept in the cache: {error}"));
        }
    }

    fn problem(&self, problem: &str) {
        let shown = self.options.directory.to_string_lossy();
        let problem = format!("cache {}: {problem}", crate::base::Escaped(&shown));
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).insert(problem);
    }
}
