//! A file of the cache, a pack: blobs, and behind them two sorted tables.
//!
//! | bytes | hold |
//! |---|---|
//! | 0 | magic |
//! | 16 | blobs, one behind the other |
//! | then | for each blob its BLAKE3, position (8 bytes) and length (4) |
//! | then | names: 32 bytes each, and 32 of what they stand for: a blob's BLAKE3, a file's SHA-256 |
//! | last 64 | number of blobs (8), of names (8), BLAKE3 of both tables, magic |
//!
//! All numbers are little-endian.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Hash;
use super::directory::Directory;

/// The first and the last bytes; the number is that of the format.
pub(super) const MAGIC: [u8; 16] = *b"module-export c1";
/// What stands at the end.
const FOOTER_BYTES: usize = 64;
const BLOB_ROW: usize = 44;
const NAME_ROW: usize = 64;

/// Where a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Blob {
    pub(super) address: Hash,
    pub(super) position: u64,
    pub(super) length: u32,
}

/// A finished pack.
#[derive(Debug)]
pub(super) struct Pack {
    pub(super) name: String,
    pub(super) file: File,
    /// Whether this run took anything from it.
    pub(super) is_used: AtomicBool,
    /// Whether something in it is not what it was.
    pub(super) is_damaged: AtomicBool,
}

/// All packs that were there when the cache was opened. They stay readable, should another process
/// remove them.
#[derive(Debug, Default)]
pub(super) struct Packs {
    all: Vec<Pack>,
    /// By address, with the number of the pack.
    blobs: Vec<(Blob, usize)>,
    /// By name: what it stands for, with the number of the pack.
    names: Vec<(Hash, Hash, usize)>,
}

impl Packs {
    /// Reads the tables of all packs. Of a broken one nothing is used.
    pub(super) fn read(directory: &Directory, problems: &mut BTreeSet<String>) -> Self {
        let mut all = Self::default();
        for name in directory.packs() {
            // another process may have removed it
            let Some(file) = directory.open_file(&name) else { continue };
            let number = all.all.len();
            let tables = Tables::read(&file);
            if let Some(tables) = &tables {
                all.blobs.extend(tables.blobs().map(|blob| (blob, number)));
                all.names.extend(tables.names().map(|(name, value)| (name, value, number)));
            } else {
                problems.insert(format!("`{name}` was damaged, and is made anew"));
            }
            all.all.push(Pack {
                name,
                file,
                is_used: AtomicBool::new(false),
                is_damaged: AtomicBool::new(tables.is_none()),
            });
        }
        all.blobs.sort_unstable();
        all.names.sort_unstable();
        all
    }

    /// The packs.
    pub(super) fn all(&self) -> &[Pack] {
        &self.all
    }

    /// What the name stands for.
    pub(super) fn named(&self, name: &Hash) -> Option<Hash> {
        let from = self.names.partition_point(|row| row.0 < *name);
        let mut rows = self.names.get(from..)?.iter().take_while(|row| row.0 == *name);
        rows.find_map(|row| self.sound(row.2).map(|_| row.1))
    }

    /// Whether there is a blob of this address.
    pub(super) fn has_blob(&self, address: &Hash) -> bool {
        self.places(address).next().is_some()
    }

    /// The blob of this address, checked.
    ///
    /// # Errors
    /// A sentence, if it is damaged; its pack is not used any more then.
    pub(super) fn blob(
        &self,
        directory: &Directory,
        address: &Hash,
    ) -> Result<Option<Vec<u8>>, String> {
        let Some((blob, pack)) = self.places(address).next() else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(blob.length).unwrap_or(0)];
        let read = pack.file.read_exact_at(&mut bytes, blob.position);
        if read.is_err() || blake3::hash(&bytes).as_bytes() != address {
            pack.is_damaged.store(true, Ordering::Relaxed);
            directory.forget(pack);
            return Err(format!("`{}` was damaged, and is made anew", pack.name));
        }
        Ok(Some(bytes))
    }

    /// Hands what is whole in damaged packs to `keep`, and returns their names.
    ///
    /// # Errors
    /// Those of `keep`.
    pub(super) fn salvage(
        &self,
        mut keep: impl FnMut(Hash, &[u8]) -> io::Result<()>,
    ) -> io::Result<Vec<(Hash, Hash)>> {
        let damaged = |number: usize| {
            self.all.get(number).filter(|pack| pack.is_damaged.load(Ordering::Relaxed))
        };
        for (blob, number) in &self.blobs {
            let Some(pack) = damaged(*number) else { continue };
            let mut bytes = vec![0; usize::try_from(blob.length).unwrap_or(0)];
            let read = pack.file.read_exact_at(&mut bytes, blob.position);
            if read.is_ok() && *blake3::hash(&bytes).as_bytes() == blob.address {
                keep(blob.address, &bytes)?;
            }
        }
        let names = self.names.iter().filter(|row| damaged(row.2).is_some());
        Ok(names.map(|row| (row.0, row.1)).collect())
    }

    fn places(&self, address: &Hash) -> impl Iterator<Item = (&Blob, &Pack)> {
        let from = self.blobs.partition_point(|row| row.0.address < *address);
        let rows = self.blobs.get(from..).unwrap_or_default().iter();
        let rows = rows.take_while(move |row| row.0.address == *address);
        rows.filter_map(|row| Some((&row.0, self.sound(row.1)?)))
    }

    /// The pack of this number, marked as used, unless it is damaged.
    fn sound(&self, number: usize) -> Option<&Pack> {
        let pack = self.all.get(number)?;
        if pack.is_damaged.load(Ordering::Relaxed) {
            return None;
        }
        pack.is_used.store(true, Ordering::Relaxed);
        Some(pack)
    }
}

/// Both tables as they stand in a pack.
struct Tables {
    bytes: Vec<u8>,
    blobs: usize,
}

impl Tables {
    /// The tables of a pack; `None` if they are not whole.
    fn read(file: &File) -> Option<Self> {
        let size = file.metadata().ok()?.len();
        let mut magic = [0; MAGIC.len()];
        file.read_exact_at(&mut magic, 0).ok()?;
        let mut footer = [0; FOOTER_BYTES];
        let end = size.checked_sub(FOOTER_BYTES as u64)?;
        file.read_exact_at(&mut footer, end).ok()?;
        let (blobs, names) = (number(footer.get(..8)?)?, number(footer.get(8..16)?)?);
        let length = (blobs.checked_mul(BLOB_ROW as u64)?)
            .checked_add(names.checked_mul(NAME_ROW as u64)?)?;
        let start = end.checked_sub(length)?;
        if magic != MAGIC || footer.get(48..)? != MAGIC {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        file.read_exact_at(&mut bytes, start).ok()?;
        let digest = blake3::hash(&bytes);
        (footer.get(16..48)? == digest.as_bytes()).then_some(())?;
        Some(Self { bytes, blobs: usize::try_from(blobs).ok()? })
    }

    fn blobs(&self) -> impl Iterator<Item = Blob> {
        let rows = self.bytes.chunks_exact(BLOB_ROW).take(self.blobs);
        rows.filter_map(|row| {
            Some(Blob {
                address: row.get(..32)?.try_into().ok()?,
                position: number(row.get(32..40)?)?,
                length: u32::from_le_bytes(row.get(40..)?.try_into().ok()?),
            })
        })
    }

    fn names(&self) -> impl Iterator<Item = (Hash, Hash)> {
        let rows = self.bytes.get(self.blobs * BLOB_ROW..).unwrap_or_default();
        rows.chunks_exact(NAME_ROW).filter_map(|row| {
            Some((row.get(..32)?.try_into().ok()?, row.get(32..)?.try_into().ok()?))
        })
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// What stands behind the blobs.
pub(super) fn tables(blobs: &[Blob], names: &[(Hash, Hash)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(blobs.len() * BLOB_ROW + names.len() * NAME_ROW);
    for blob in blobs {
        bytes.extend_from_slice(&blob.address);
        bytes.extend_from_slice(&blob.position.to_le_bytes());
        bytes.extend_from_slice(&blob.length.to_le_bytes());
    }
    for (name, value) in names {
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
    }
    let digest = blake3::hash(&bytes);
    bytes.extend_from_slice(&(blobs.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&(names.len() as u64).to_le_bytes());
    bytes.extend_from_slice(digest.as_bytes());
    bytes.extend_from_slice(&MAGIC);
    bytes
}
