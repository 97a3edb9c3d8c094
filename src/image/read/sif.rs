//! Finds the root file system in a SIF.

use super::source::{Fields, Source};
use crate::image::ImageError;
use crate::image::sif::format::{
    DESCRIPTOR_BYTES, HEADER_BYTES, MAGIC, PARTITION_CODE, PRIMARY_CODE, SQUASHFS_CODE,
};

/// More descriptors than anyone writes.
const MOST_DESCRIPTORS: u64 = 1 << 16;

/// The squashfs in `source`: its primary partition if it is a SIF, else all of it.
///
/// # Errors
/// A SIF without such a partition, or whose partition is no squashfs or not in the file.
pub(super) fn root_file_system(source: Source) -> Result<Source, ImageError> {
    let length = usize::try_from(source.length()).unwrap_or(usize::MAX);
    let mut start = [0; 42];
    let start = start.get_mut(..length.min(42)).unwrap_or_default();
    source.read(0, start, "header")?;
    if start.get(32..) != Some(MAGIC) {
        return Ok(source);
    }
    let header: [u8; HEADER_BYTES] = source.array(0, "header")?;
    // behind identity and two times
    let mut fields = Fields::of(&header[80..]);
    let (_free, total, at) = (fields.long(), fields.long(), fields.long());
    if total > MOST_DESCRIPTORS {
        return Err(source.broken(&format!("it claims {total} descriptors")));
    }
    for slot in 0..total {
        let offset = at.saturating_add(slot * DESCRIPTOR_BYTES as u64);
        let descriptor: [u8; DESCRIPTOR_BYTES] = source.array(offset, "descriptor")?;
        if let Some((start, length)) = primary(&descriptor, &source)? {
            return source.part(start, length);
        }
    }
    Err(source.broken("it has no primary partition"))
}

/// Offset and size of the object if it is the primary partition.
fn primary(descriptor: &[u8], source: &Source) -> Result<Option<(u64, u64)>, ImageError> {
    let mut fields = Fields::of(descriptor);
    let kind = fields.word();
    let [used] = fields.take();
    let (id, _group, _link) = (fields.word(), fields.word(), fields.word());
    let (offset, size) = (fields.long(), fields.long());
    let mut extra = Fields::of(descriptor.get(201..).unwrap_or_default());
    let (file_system, role) = (extra.word(), extra.word());
    if used == 0 || kind != PARTITION_CODE || role != PRIMARY_CODE {
        return Ok(None);
    }
    match file_system {
        SQUASHFS_CODE => Ok(Some((offset, size))),
        5 | 6 => Err(source.broken(&format!("its primary partition, object {id}, is encrypted"))),
        _ => Err(source.broken(&format!("its primary partition, object {id}, is no squashfs"))),
    }
}
