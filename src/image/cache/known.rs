//! What is known of the files before any is read.

use std::fs::{File, Metadata};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::{Cache, Hash, Identity};
use crate::base::fs::PathContext as _;
use crate::image::hashing::{Hasher, Hashing};
use crate::image::{FileDigest, ImageError, Watch};
use crate::rootfs::{Content, FileId, Rootfs, Stamp};

/// Files that are looked at by one thread at once.
const BATCH: usize = 64;

/// A file whose content is known without reading.
#[derive(Debug, Clone, Copy)]
struct KnownFile {
    /// Of the host's file when its content was looked up; none where it has no file.
    identity: Option<Hash>,
    digest: FileDigest,
}

/// Files whose content is known, and which of them need not be read.
#[derive(Debug)]
pub(in crate::image) struct Known<'a> {
    /// Where it is known from.
    pub(in crate::image) cache: &'a Cache,
    rootfs: &'a Rootfs,
    /// By [`FileId::index`].
    files: Vec<Option<KnownFile>>,
    unread: Vec<bool>,
}

impl<'a> Known<'a> {
    /// Looks at the files of `order`, with several threads: a network's file system answers late.
    ///
    /// # Errors
    /// An interrupt. A file that cannot be looked at is not known.
    pub(in crate::image) fn look(
        cache: &'a Cache,
        rootfs: &'a Rootfs,
        order: &[FileId],
        threads: usize,
        watch: Watch,
    ) -> Result<Self, ImageError> {
        let count = rootfs.files().len();
        let next = AtomicUsize::new(0);
        let found: Mutex<Vec<(FileId, KnownFile)>> = Mutex::new(Vec::new());
        let work = || {
            loop {
                let start = next.fetch_add(BATCH, Ordering::Relaxed);
                let end = order.len().min(start.saturating_add(BATCH));
                let Some(ids) = order.get(start..end).filter(|ids| !ids.is_empty()) else { break };
                let known: Vec<_> =
                    ids.iter().filter_map(|id| Some((*id, look(cache, rootfs, *id)?))).collect();
                found.lock().unwrap_or_else(PoisonError::into_inner).extend(known);
                if watch.interrupt.is_set() {
                    break;
                }
            }
        };
        thread::scope(|scope| {
            let more = threads.min(order.len() / BATCH);
            for _ in 0..more {
                // what fewer threads do is the same
                if thread::Builder::new().stack_size(1 << 18).spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        watch.interrupt.check()?;
        let mut files = vec![None; count];
        for (id, known) in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
            if let Some(slot) = files.get_mut(id.index()) {
                *slot = Some(known);
            }
        }
        Ok(Self { cache, rootfs, files, unread: vec![false; count] })
    }

    fn get(&self, id: FileId) -> Option<&KnownFile> {
        self.files.get(id.index())?.as_ref()
    }

    /// The file's SHA-256.
    pub(in crate::image) fn sha256(&self, id: FileId) -> Option<Hash> {
        self.digest(id).map(|digest| *digest.sha256.as_bytes())
    }

    /// All digests of the file.
    pub(in crate::image) fn digest(&self, id: FileId) -> Option<FileDigest> {
        self.get(id).map(|known| known.digest)
    }

    /// Whether the file need not be read: of a squashfs its tail, of a stream all of it.
    pub(in crate::image) fn is_unread(&self, id: FileId) -> bool {
        self.unread.get(id.index()).copied().unwrap_or(false)
    }

    /// Decides that a file, which is known, is not read but where it turns out to be missing.
    pub(in crate::image) fn leave_unread(&mut self, id: FileId) {
        if self.get(id).is_some_and(|known| known.identity.is_some())
            && let Some(unread) = self.unread.get_mut(id.index())
        {
            *unread = true;
        }
    }

    /// Where the file comes from; `/` if it was made for the image.
    pub(in crate::image) fn path(&self, id: FileId) -> &Path {
        match &self.rootfs.file(id).content {
            Content::Host(path) => path,
            Content::Bytes(_) | Content::Part(_) | Content::Kept | Content::Late => Path::new("/"),
        }
    }

    /// Opens a known file of the host.
    ///
    /// # Errors
    /// [`ImageError::Altered`] if it is not any more what was looked up.
    pub(in crate::image) fn open(&self, id: FileId) -> Result<KnownOpen<'a>, ImageError> {
        let Content::Host(path) = &self.rootfs.file(id).content else {
            return Err(ImageError::Codec("cache"));
        };
        let identity = self.get(id).and_then(|known| known.identity);
        let open = KnownOpen { file: crate::image::opened::open(path)?.file, path, identity };
        open.check()?;
        Ok(open)
    }

    /// The same, unless it is open already.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(in crate::image) fn opened<'o>(
        &self,
        id: FileId,
        open: &'o mut Option<KnownOpen<'a>>,
    ) -> Result<&'o KnownOpen<'a>, ImageError> {
        match open {
            Some(open) => Ok(open),
            none => Ok(none.insert(self.open(id)?)),
        }
    }

    /// Fills `buffer` with what stands at `offset` of a known file.
    ///
    /// # Errors
    /// As [`Self::open`], and those of reading.
    pub(in crate::image) fn read_at(
        &self,
        id: FileId,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), ImageError> {
        let open = self.open(id)?;
        open.file.read_exact_at(buffer, offset).at("read", open.path)?;
        open.check()
    }
}

/// A known file, opened.
pub(in crate::image) struct KnownOpen<'a> {
    pub(in crate::image) file: File,
    pub(in crate::image) path: &'a Path,
    identity: Option<Hash>,
}

impl KnownOpen<'_> {
    /// Whether it is still the same; to be asked when it has been read.
    ///
    /// # Errors
    /// [`ImageError::Altered`].
    pub(in crate::image) fn check(&self) -> Result<(), ImageError> {
        let found = self.file.metadata().at("look at", self.path)?;
        if Some(Identity::of(self.path, &found).key()) == self.identity {
            return Ok(());
        }
        Err(ImageError::Altered { path: self.path.to_owned() })
    }
}

fn look(cache: &Cache, rootfs: &Rootfs, id: FileId) -> Option<KnownFile> {
    let file = rootfs.file(id);
    match &file.content {
        Content::Host(path) => {
            let found = std::fs::metadata(path).ok()?;
            let stamp = rootfs.stamp(id).is_none_or(|planned| planned == Stamp::of(&found));
            if !found.is_file() || found.len() != file.size || !stamp {
                return None; // whoever reads it says so
            }
            let digest = cache.known(path, &found)?;
            Some(KnownFile { identity: Some(Identity::of(path, &found).key()), digest })
        }
        Content::Bytes(bytes) => {
            let size = bytes.len() as u64;
            let mut hasher = Hasher::new(Hashing::Digests, size);
            hasher.update(bytes);
            let digest = hasher.digest(size)?;
            Some(KnownFile { identity: None, digest })
        }
        Content::Part(_) | Content::Kept | Content::Late => None,
    }
}

/// Whether `before` and `after` are of the same content, as far as the host tells.
pub(in crate::image) fn is_same(path: &Path, before: &Metadata, after: &Metadata) -> bool {
    Identity::of(path, before).key() == Identity::of(path, after).key()
}
