//! A directory's listing: runs of entries behind headers, and the index into them.

use super::format::{InodeRef, Kind, METADATA_BYTES, RUN_ENTRIES};
use super::metadata::MetadataWriter;
use crate::image::ImageError;
use crate::image::codec::Codec;

const HEADER_BYTES: usize = 12;

/// An entry of a directory.
pub(super) struct Listed<'a> {
    pub(super) name: &'a [u8],
    pub(super) number: u32,
    pub(super) inode: InodeRef,
    pub(super) kind: Kind,
}

/// By which a reader finds the metadata block that a name is in.
pub(super) struct IndexEntry {
    /// Bytes of the listing before the header.
    offset: u32,
    /// The metadata block in which the header begins.
    block: u32,
    /// The first name behind the header.
    name: Vec<u8>,
}

/// A listing under construction.
pub(super) struct Listing {
    /// Where it begins.
    pub(super) start: InodeRef,
    /// Bytes so far.
    pub(super) bytes: u32,
    /// An entry for each metadata block but the first.
    pub(super) index: Vec<IndexEntry>,
    run: Option<Run>,
}

/// Entries behind one header: their inodes lie in one metadata block, and have near numbers.
struct Run {
    /// Bytes from the start of the listing's first metadata block to the header.
    at: usize,
    block: u32,
    base: u32,
    count: usize,
    first: Vec<u8>,
    entries: Vec<u8>,
}

impl Run {
    /// Whether the next entry may join: it must also begin in the metadata block that holds the
    /// header, so that each block has a header that the index can name.
    fn takes(&self, entry: &Listed) -> bool {
        let here = self.at + HEADER_BYTES + self.entries.len();
        self.count < RUN_ENTRIES
            && self.block == entry.inode.block
            && delta(entry.number, self.base).is_some()
            && here / METADATA_BYTES == self.at / METADATA_BYTES
    }
}

/// `number` as a difference to `base`, if it is near enough.
fn delta(number: u32, base: u32) -> Option<i16> {
    i16::try_from(i64::from(number) - i64::from(base)).ok()
}

impl Listing {
    /// A listing that begins where `table` ends.
    ///
    /// # Errors
    /// If the table is too large.
    pub(super) fn new(table: &MetadataWriter<Vec<u8>>) -> Result<Self, ImageError> {
        Ok(Self { start: table.position()?, bytes: 0, index: Vec::new(), run: None })
    }

    /// Appends an entry; names come in byte order.
    ///
    /// # Errors
    /// Those of the table.
    pub(super) fn push(
        &mut self,
        entry: &Listed,
        table: &mut MetadataWriter<Vec<u8>>,
        codec: &mut Codec,
    ) -> Result<(), ImageError> {
        if self.run.as_ref().is_some_and(|run| !run.takes(entry)) {
            self.flush(table, codec)?;
        }
        let at = usize::from(self.start.offset) + self.bytes as usize;
        let run = self.run.get_or_insert_with(|| Run {
            at,
            block: entry.inode.block,
            base: entry.number,
            count: 0,
            first: entry.name.to_vec(),
            entries: Vec::new(),
        });
        run.count += 1;
        run.entries.extend(entry.inode.offset.to_le_bytes());
        run.entries.extend(delta(entry.number, run.base).unwrap_or(0).to_le_bytes());
        run.entries.extend(entry.kind.code().to_le_bytes());
        // names have 1 to 255 bytes: the survey has looked
        let length = u16::try_from(entry.name.len()).unwrap_or(1).saturating_sub(1);
        run.entries.extend(length.to_le_bytes());
        run.entries.extend(entry.name);
        Ok(())
    }

    /// Writes the entries that wait for their header.
    ///
    /// # Errors
    /// Those of the table, or a listing of more than 4 GiB.
    pub(super) fn flush(
        &mut self,
        table: &mut MetadataWriter<Vec<u8>>,
        codec: &mut Codec,
    ) -> Result<(), ImageError> {
        let Some(run) = self.run.take() else { return Ok(()) };
        let block = table.position()?.block;
        let last = self.index.last().map_or(self.start.block, |entry| entry.block);
        if block != last {
            self.index.push(IndexEntry { offset: self.bytes, block, name: run.first });
        }
        // a run has at most 256 entries
        let count = u32::try_from(run.count).unwrap_or(1).saturating_sub(1);
        for word in [count, run.block, run.base] {
            table.push(codec, &word.to_le_bytes())?;
        }
        table.push(codec, &run.entries)?;
        let length = u32::try_from(HEADER_BYTES + run.entries.len()).unwrap_or(u32::MAX);
        self.bytes = self.bytes.checked_add(length).ok_or(ImageError::Unrepresentable {
            what: "so large a directory".to_owned(),
            reason: "its names take more than 4 GiB",
        })?;
        Ok(())
    }

    /// Number of index entries and their bytes. Of an index that is too long for the inode, evenly
    /// spaced entries are kept.
    pub(super) fn encode_index(&self) -> (u16, Vec<u8>) {
        let step = self.index.len() / usize::from(u16::MAX) + 1;
        let mut bytes = Vec::new();
        let mut count = 0;
        for entry in self.index.iter().step_by(step) {
            count += 1;
            for word in [entry.offset, entry.block] {
                bytes.extend(word.to_le_bytes());
            }
            // 1 to 255 bytes
            let length = u32::try_from(entry.name.len()).unwrap_or(1).saturating_sub(1);
            bytes.extend(length.to_le_bytes());
            bytes.extend(&entry.name);
        }
        (count, bytes)
    }
}
