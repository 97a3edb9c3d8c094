//! A blob of compressed blocks.

/// Bytes of content whose blocks are kept together.
const CHUNK_BYTES: u64 = 4 << 20;
/// The part of a block's length that counts bytes; what is above are flags.
const LENGTH: u32 = (1 << 24) - 1;

/// Compressed blocks of a file, one behind the other; or one fragment.
#[derive(Debug)]
pub(in crate::image) struct Chunk {
    /// Number of blocks, their lengths (4 bytes each), and the blocks.
    blob: Vec<u8>,
    blocks: usize,
}

impl Chunk {
    /// How many blocks of `block` bytes are kept together.
    pub(in crate::image) fn blocks(block: u64) -> u64 {
        (CHUNK_BYTES / block.max(1)).max(1)
    }

    /// The blob of these blocks.
    pub(in crate::image) fn encode(lengths: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut blob = Vec::with_capacity(4 + 4 * lengths.len() + bytes.len());
        // far fewer
        blob.extend_from_slice(&u32::try_from(lengths.len()).unwrap_or(0).to_le_bytes());
        for length in lengths {
            blob.extend_from_slice(&length.to_le_bytes());
        }
        blob.extend_from_slice(bytes);
        blob
    }

    /// The blocks in `blob`, if these are so many.
    pub(in crate::image) fn decode(blob: Vec<u8>, blocks: u64) -> Option<Self> {
        let found = u32::from_le_bytes(blob.get(..4)?.try_into().ok()?);
        let chunk = Self { blocks: usize::try_from(found).ok()?, blob };
        let bytes: u64 = chunk.lengths().map(|length| u64::from(length & LENGTH)).sum();
        let is_whole = u64::from(found) == blocks && chunk.data().len() as u64 == bytes;
        is_whole.then_some(chunk)
    }

    /// The lengths with their flags; 0 for a hole.
    pub(in crate::image) fn lengths(&self) -> impl Iterator<Item = u32> {
        let rows = self.blob.get(4..4 + 4 * self.blocks).unwrap_or_default().chunks_exact(4);
        rows.filter_map(|row| Some(u32::from_le_bytes(row.try_into().ok()?)))
    }

    /// The blocks themselves.
    pub(in crate::image) fn data(&self) -> &[u8] {
        self.blob.get(4 + 4 * self.blocks..).unwrap_or_default()
    }
}
