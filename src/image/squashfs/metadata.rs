//! Metadata blocks: a stream of bytes cut into 8 KiB pieces, each compressed by itself.

use std::io::Write;

use super::format::{InodeRef, METADATA_BYTES, METADATA_STORED};
use crate::image::ImageError;
use crate::image::codec::Codec;

/// Writes a stream of bytes as metadata blocks into `out`.
pub(super) struct MetadataWriter<W> {
    out: W,
    /// The block that is being filled; never full between calls.
    block: Vec<u8>,
    compressed: Vec<u8>,
    /// Bytes written to `out`, i.e. where the next block will start.
    written: u64,
    /// Starts of all blocks written.
    starts: Vec<u64>,
}

impl<W: Write> MetadataWriter<W> {
    /// A stream whose first block lies at the present position of `out`.
    pub(super) fn new(out: W) -> Self {
        let block = Vec::with_capacity(METADATA_BYTES);
        Self { out, block, compressed: Vec::new(), written: 0, starts: Vec::new() }
    }

    /// Where the next byte will lie.
    ///
    /// # Errors
    /// [`ImageError::Unrepresentable`] past 4 GiB of compressed metadata.
    pub(super) fn position(&self) -> Result<InodeRef, ImageError> {
        let block = u32::try_from(self.written).map_err(|_| ImageError::Unrepresentable {
            what: "so many files".to_owned(),
            reason: "their inodes or names take more than 4 GiB",
        })?;
        // a block is never full here, so the offset is below 8192
        let offset = u16::try_from(self.block.len()).unwrap_or(u16::MAX);
        Ok(InodeRef { block, offset })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// Those of the codec and of `out`.
    pub(super) fn push(&mut self, codec: &mut Codec, mut bytes: &[u8]) -> Result<(), ImageError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(METADATA_BYTES - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == METADATA_BYTES {
                self.flush(codec)?;
            }
        }
        Ok(())
    }

    /// Ends the stream; returns `out`, and where each block starts in it, counted from the first.
    ///
    /// # Errors
    /// As [`MetadataWriter::push`].
    pub(super) fn finish(mut self, codec: &mut Codec) -> Result<(W, Vec<u64>), ImageError> {
        if !self.block.is_empty() {
            self.flush(codec)?;
        }
        Ok((self.out, self.starts))
    }

    fn flush(&mut self, codec: &mut Codec) -> Result<(), ImageError> {
        let shrinks = codec.compress(&self.block, &mut self.compressed)?;
        let (flag, bytes) =
            if shrinks { (0, &self.compressed) } else { (METADATA_STORED, &self.block) };
        // at most 8192
        let size = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.out.write_all(&(size | flag).to_le_bytes()).map_err(ImageError::Write)?;
        self.out.write_all(bytes).map_err(ImageError::Write)?;
        self.starts.push(self.written);
        self.written += 2 + u64::from(size);
        self.block.clear();
        Ok(())
    }
}
