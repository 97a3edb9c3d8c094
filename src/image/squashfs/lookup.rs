//! Lookup tables: metadata blocks, and behind them the positions of these.

use std::io::{Seek, Write};

use super::metadata::MetadataWriter;
use super::output::Output;
use crate::image::ImageError;
use crate::image::codec::Codec;

/// Writes `entries` as a lookup table. Returns where the table of block positions begins, which is
/// what the superblock holds.
///
/// # Errors
/// Those of codec and output.
pub(super) fn write<W: Write + Seek>(
    out: &mut Output<W>,
    codec: &mut Codec,
    entries: impl Iterator<Item = Vec<u8>>,
) -> Result<u64, ImageError> {
    let position = out.position();
    let mut blocks = MetadataWriter::new(&mut *out);
    for entry in entries {
        blocks.push(codec, &entry)?;
    }
    let (_, starts) = blocks.finish(codec)?;
    let table = out.position();
    for start in starts {
        out.write_all(&(position + start).to_le_bytes()).map_err(ImageError::Write)?;
    }
    Ok(table)
}
