//! What an export adds to the cache: packs of a handy size, each written beside the others and
//! renamed when it is complete.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Hash;
use super::directory::Directory;
use super::pack::{Blob, MAGIC, Packs, tables};

/// Bytes of a pack, after which a new one is begun: what goes when there is no room goes in such
/// pieces.
const PACK_BYTES: u64 = 64 << 20;

/// The pack that is being written, if any.
#[derive(Debug)]
pub(super) struct Writer {
    limit: u64,
    pack: Option<Part>,
    /// Bytes of all packs of this run, and blobs.
    bytes: u64,
    blobs: u64,
    /// Whether nothing is added any more, since that failed or there is no room for it.
    is_closed: bool,
}

#[derive(Debug)]
struct Part {
    name: String,
    out: BufWriter<File>,
    position: u64,
    blobs: BTreeMap<Hash, (u64, u32)>,
    names: BTreeMap<Hash, Hash>,
}

impl Writer {
    /// A writer of at most `limit` bytes, or of nothing.
    pub(super) const fn new(limit: u64, is_open: bool) -> Self {
        Self { limit, pack: None, bytes: 0, blobs: 0, is_closed: !is_open }
    }

    /// Number and bytes of the blobs added.
    pub(super) const fn added(&self) -> (u64, u64) {
        (self.blobs, self.bytes)
    }

    /// Adds a blob.
    pub(super) fn blob(
        &mut self,
        directory: &Directory,
        packs: &Packs,
        address: Hash,
        bytes: &[u8],
    ) -> io::Result<()> {
        // no more than the cache can hold: it would only push itself out
        if self.bytes.saturating_add(bytes.len() as u64) > self.limit / 10 * 9 {
            return Ok(());
        }
        self.add(directory, packs, |part| {
            if part.blobs.contains_key(&address) {
                return Ok(0);
            }
            // a few MiB at most
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            part.out.write_all(bytes)?;
            part.blobs.insert(address, (part.position, length));
            part.position += u64::from(length);
            Ok(u64::from(length))
        })
    }

    /// Adds a name.
    pub(super) fn name(
        &mut self,
        directory: &Directory,
        packs: &Packs,
        name: Hash,
        value: Hash,
    ) -> io::Result<()> {
        self.add(directory, packs, |part| {
            part.names.entry(name).or_insert(value);
            Ok(0)
        })
    }

    fn add(
        &mut self,
        directory: &Directory,
        packs: &Packs,
        to: impl FnOnce(&mut Part) -> io::Result<u64>,
    ) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let result = self.try_add(directory, packs, to);
        if result.is_err() {
            self.is_closed = true;
            if let Some(part) = self.pack.take() {
                directory.remove(&part.name);
            }
        }
        result
    }

    fn try_add(
        &mut self,
        directory: &Directory,
        packs: &Packs,
        to: impl FnOnce(&mut Part) -> io::Result<u64>,
    ) -> io::Result<()> {
        let part = match &mut self.pack {
            Some(part) => part,
            none => none.insert(Part::begin(directory)?),
        };
        let added = to(part)?;
        let is_full = part.position >= PACK_BYTES.min(self.limit / 8);
        self.bytes += added;
        self.blobs += u64::from(added > 0);
        if is_full { self.end(directory, packs) } else { Ok(()) }
    }

    /// Completes the present pack.
    fn end(&mut self, directory: &Directory, packs: &Packs) -> io::Result<()> {
        if let Some(part) = self.pack.take() {
            part.end(directory)?;
            directory.make_room(self.limit, packs)?;
        }
        Ok(())
    }

    /// Completes the last pack, and makes room.
    pub(super) fn finish(&mut self, directory: &Directory, packs: &Packs) -> io::Result<()> {
        self.end(directory, packs)?;
        directory.make_room(self.limit, packs)
    }
}

impl Part {
    fn begin(directory: &Directory) -> io::Result<Self> {
        let (name, file) = directory.begin(number_of_its_own())?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&MAGIC)?;
        let position = MAGIC.len() as u64;
        Ok(Self { name, out, position, blobs: BTreeMap::new(), names: BTreeMap::new() })
    }

    /// Writes the tables and gives the pack its name; removes it if that fails.
    fn end(self, directory: &Directory) -> io::Result<()> {
        let blob = |(&address, &(position, length))| Blob { address, position, length };
        let blobs: Vec<Blob> = self.blobs.iter().map(blob).collect();
        let names: Vec<(Hash, Hash)> = self.names.into_iter().collect();
        let tables = tables(&blobs, &names);
        let digest = blake3::hash(&tables).to_hex();
        let mut out = self.out;
        let done = out.write_all(&tables).and_then(|()| out.flush());
        let done = done.and_then(|()| directory.keep(&self.name, digest.get(..32).unwrap_or("0")));
        if done.is_err() {
            directory.remove(&self.name);
        }
        done
    }
}

/// A number that no other process takes at the same time, for a name that nobody minds.
fn number_of_its_own() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&now.as_nanos().to_le_bytes());
    hasher.update(&std::process::id().to_le_bytes());
    let digest = hasher.finalize();
    let first = digest.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
    u64::from_le_bytes(first)
}
