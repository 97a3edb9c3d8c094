//! The loader's cache of the image: of this machine's, the rows whose library is packed.

use std::path::Path;

use super::{loader, reason};
use crate::base::Epoch;
use crate::closure::ClosureError;
use crate::closure::collect::Collector;
use crate::elf::LoaderCache;
use crate::rootfs::{Content, File, Metadata, image_path};

/// Adds the cache, so that libraries outside the default directories are found. Comes after all
/// libraries.
pub(in crate::closure) fn add(collector: &mut Collector<'_>) -> Result<(), ClosureError> {
    let Some(loader) = loader() else { return Ok(()) };
    let Some(path) = loader.cache_file() else { return Ok(()) };
    let Ok(bytes) = std::fs::read(path) else { return Ok(()) };
    let packed = |file: &Path| collector.has(file);
    let bytes = LoaderCache::parse(&bytes).filtered(&packed);
    let at = image_path(path)?;
    if collector.rootfs.get(&at).is_some() {
        return Ok(());
    }
    let file = File {
        metadata: Metadata { mode: 0o644, mtime: Epoch::GENERATED },
        size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        content: Content::Bytes(bytes),
        reason: reason("libraries"),
    };
    collector.rootfs.add_file(&at, file)?;
    Ok(())
}
