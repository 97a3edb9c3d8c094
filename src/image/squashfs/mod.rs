//! A writer of squashfs 4.0: one pass from the sources to the final place, parallel, in bounded
//! memory, with the same bytes for any number of threads.
//!
//! | part | decided by |
//! |---|---|
//! | data blocks and fragments, in tree order; late documents last | `data`, `pack` |
//! | inode table, directory table | `tables`, `listing` |
//! | fragment table, export table, id table | `lookup` |
//! | superblock, written last | `format` |

mod data;
pub(super) mod format;
mod fragments;
mod keep;
mod listing;
mod lookup;
mod metadata;
mod order;
mod output;
mod pack;
mod tables;

use std::io::{Seek, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use self::data::{Data, DataWriter, Pipeline, Plan};
use self::format::{LZ4_OPTIONS, NONE_64, PAD_BYTES, SUPERBLOCK_BYTES, Superblock, flag};
use self::fragments::foresee;
use self::order::Survey;
pub(super) use self::order::size_of_content;
use self::output::Output;
use self::pack::{Packed, Packer, Press};
use self::tables::Tables;
use super::buffer::Pool;
use super::cache::{Cache, Keys};
use super::codec::Codec;
pub use super::codec::{Compression, InvalidCompression};
use super::source::{Hashing, Sources};
use super::{FileDigest, ImageError, LateContents, Watch};
use crate::base::{Digest, Epoch, Interrupt, Progress};
use crate::rootfs::{Content, Rootfs};

/// How a squashfs is written.
#[derive(Debug, Clone)]
pub struct SquashfsOptions {
    /// How blocks are compressed.
    pub compression: Compression,
    /// Bytes of a data block: a power of two from 4 KiB to 1 MiB. By default 128 KiB.
    pub block_bytes: u32,
    /// Compressor threads; has no influence on the bytes written.
    pub jobs: NonZeroUsize,
    /// Threads that read ahead; has no influence on the bytes written. By default 64, since
    /// network file systems answer late; fewer where blocks are large.
    pub readers: NonZeroUsize,
    /// The time in the superblock.
    pub time: Epoch,
    /// Whether the SHA-256 of every file is computed; without, [`LateContents`] gets none.
    pub digests: bool,
    /// Whether there is a table from inode numbers to inodes, which only NFS servers need.
    pub export_table: bool,
    /// Compressed blocks of earlier images; has no influence on the bytes written. None by default.
    pub cache: Option<Arc<Cache>>,
}

impl Default for SquashfsOptions {
    fn default() -> Self {
        Self {
            compression: Compression::DEFAULT,
            block_bytes: 128 * 1024,
            jobs: NonZeroUsize::MIN,
            readers: NonZeroUsize::MIN.saturating_add(63),
            time: Epoch::GENERATED,
            digests: true,
            export_table: false,
            cache: None,
        }
    }
}

impl SquashfsOptions {
    fn flags(&self) -> u16 {
        let mut flags = flag::ALWAYS_FRAGMENTS | flag::DUPLICATES | flag::NO_XATTRS;
        if self.export_table {
            flags |= flag::EXPORT;
        }
        if self.compression == Compression::Lz4 {
            flags |= flag::COMPRESSOR_OPTIONS;
        }
        if self.compression == Compression::None {
            let stored = flag::INODES_STORED | flag::DATA_STORED;
            flags |= stored | flag::FRAGMENTS_STORED | flag::IDS_STORED;
        }
        flags
    }

    fn plan(&self, rootfs: &Rootfs) -> Result<Plan, ImageError> {
        if !self.block_bytes.is_power_of_two() || !(1 << 12..=1 << 20).contains(&self.block_bytes) {
            return Err(ImageError::Options(format!(
                "a squashfs block has 4096 to 1048576 bytes, a power of two, and not {}",
                self.block_bytes
            )));
        }
        let block = usize::try_from(self.block_bytes).unwrap_or(usize::MAX);
        // each reader may hold three blocks: with large blocks fewer of them do
        let readers = self.readers.get().min((16 << 20) / block).max(1);
        Ok(Plan {
            files: rootfs.files().len(),
            block,
            compression: self.compression,
            jobs: self.jobs.get(),
            readers,
            digests: self.digests,
        })
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SquashfsWritten {
    /// Bytes of the file system, padding to a multiple of 4096 included.
    pub bytes: u64,
    /// How far beyond its start `out` was written at any time, in bytes. More than `bytes` only if
    /// large duplicates stood last: what lies behind is to be cut off.
    pub reached: u64,
    /// Inodes of all kinds.
    pub inodes: u32,
    /// Bytes of all files that were read, duplicates included.
    pub content_bytes: u64,
    /// Digest over the digests of all contents and over all tables: a deterministic identity of the
    /// image, if asked for.
    pub identity: Option<Digest>,
    /// Digests by [`crate::rootfs::FileId::index`], if asked for; late documents included.
    pub digests: Vec<Option<FileDigest>>,
}

/// Writes `rootfs` into `out` from its present position on.
///
/// Contents come in tree order, late documents behind all others, tables last. All owners are 0.
///
/// # Errors
/// A source file that cannot be read or has changed, by name; what squashfs cannot hold; failures
/// of `out`; an interrupt. What has been written is useless then.
pub fn write<W: Write + Seek>(
    rootfs: &Rootfs,
    options: &SquashfsOptions,
    out: &mut W,
    late: &mut LateContents,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<SquashfsWritten, ImageError> {
    write_identified(rootfs, options, out, late, Watch { progress, interrupt }, false)
}

/// As [`write()`], with `identity` computed on request.
pub(super) fn write_identified<W: Write + Seek>(
    rootfs: &Rootfs,
    options: &SquashfsOptions,
    out: &mut W,
    late: &mut LateContents,
    watch: Watch,
    identity: bool,
) -> Result<SquashfsWritten, ImageError> {
    let mut plan = options.plan(rootfs)?;
    plan.digests |= identity;
    let survey = Survey::of(rootfs, u64::from(options.block_bytes))?;
    let mut out = Output::new(out).map_err(ImageError::Write)?;
    out.write_all(&[0; SUPERBLOCK_BYTES]).map_err(ImageError::Write)?;
    if options.compression == Compression::Lz4 {
        out.write_all(&LZ4_OPTIONS).map_err(ImageError::Write)?;
    }
    let (files, bytes) = (survey.planned.len() as u64, survey.bytes);
    watch.progress.stage("writing the image", Some(files), Some(bytes));
    let (mut out, data) = write_data(rootfs, &survey, (&plan, options), out, late, watch)?;
    if identity {
        let digests = data.digests.iter().flatten();
        out.begin_identity(digests.map(|digest| &digest.sha256.as_bytes()[..]));
    }
    let superblock = write_tables(rootfs, &survey, &data, options, &mut out, watch)?;
    out.pad(PAD_BYTES).map_err(ImageError::Write)?;
    let (bytes, reached) = (out.position(), out.reached());
    let identity = out.finish(&superblock.encode()).map_err(ImageError::Write)?;
    watch.progress.finish();
    Ok(SquashfsWritten {
        bytes,
        reached,
        inodes: survey.inodes,
        content_bytes: survey.bytes,
        identity: identity.map(Digest::from_bytes),
        digests: data.digests,
    })
}

/// Writes all contents, the late ones last.
fn write_data<'a, W: Write + Seek>(
    rootfs: &Rootfs,
    survey: &Survey,
    (plan, options): (&Plan, &SquashfsOptions),
    out: Output<'a, W>,
    late: &mut LateContents,
    watch: Watch,
) -> Result<(Output<'a, W>, Data), ImageError> {
    let pool = Pool::new(plan.block);
    // duplicates are the same by either hash; what is kept is named by SHA-256
    let hashing = if plan.digests || options.cache.is_some() {
        Hashing::Digests
    } else {
        Hashing::Duplicates(&survey.repeated)
    };
    let keys = Keys::new(plan.compression, plan.block as u64);
    let known = match &options.cache {
        Some(cache) => {
            Some(foresee((cache, &keys), rootfs, survey, (plan.block, plan.readers), watch)?)
        }
        None => None,
    };
    let cached = known.as_ref().map(|known| (known, &keys));
    let mut packer = Packer::new(&pool, survey, cached.is_some());
    let mut writer = DataWriter::new(out, plan, cached);
    let line = Pipeline { plan, hashing, pool: &pool, watch, cached };
    line.run(Sources::Planned(rootfs, &survey.planned), &mut packer, &mut writer)?;
    if rootfs.files().iter().any(|file| file.content == Content::Late) {
        let documents = late(&writer.data().digests);
        packer.begin();
        line.run(Sources::Late(&documents), &mut packer, &mut writer)?;
    }
    if let Some(fragment) = packer.take_fragment() {
        let mut codec = Codec::new(plan.compression, options.block_bytes)?;
        let press = Press { pool: &pool, cached };
        writer.fragment(Packed::new(&mut codec, fragment, press)?, &pool)?;
    }
    Ok(writer.finish())
}

/// Writes all tables; returns what the superblock says.
fn write_tables<W: Write + Seek>(
    rootfs: &Rootfs,
    survey: &Survey,
    data: &Data,
    options: &SquashfsOptions,
    out: &mut Output<W>,
    watch: Watch,
) -> Result<Superblock, ImageError> {
    let inode_table = out.position();
    let codec = Codec::new(options.compression, options.block_bytes)?;
    let mut tables = Tables::new(rootfs, survey, data, options.block_bytes, codec, &mut *out);
    if options.export_table {
        tables = tables.with_export();
    }
    let written = tables.write(|| Ok(watch.interrupt.check()?))?;
    let directory_table = out.position();
    out.write_all(&written.directories).map_err(ImageError::Write)?;
    let mut codec = Codec::new(options.compression, options.block_bytes)?;
    // without fragments this is the end of the directory table, where some readers look for it
    let fragments = data
        .fragments
        .iter()
        .map(|(start, length)| [&start.to_le_bytes()[..], &length.to_le_bytes(), &[0; 4]].concat());
    let fragment_table = lookup::write(out, &mut codec, fragments)?;
    let export_table = match written.export {
        Some(inodes) => {
            let inodes = inodes.iter().map(|inode| inode.packed().to_le_bytes().to_vec());
            lookup::write(out, &mut codec, inodes)?
        }
        None => NONE_64,
    };
    let owner = std::iter::once(0_u32.to_le_bytes().to_vec());
    let id_table = lookup::write(out, &mut codec, owner)?;
    Ok(Superblock {
        inodes: survey.inodes,
        time: options.time.seconds(),
        block_size: options.block_bytes,
        fragments: u32::try_from(data.fragments.len()).map_err(|_| too_many_fragments())?,
        compression: options.compression.code(),
        flags: options.flags(),
        ids: 1,
        root: written.root,
        bytes_used: out.position(),
        id_table,
        inode_table,
        directory_table,
        fragment_table,
        export_table,
    })
}

fn too_many_fragments() -> ImageError {
    ImageError::Unrepresentable {
        what: "so many small files".to_owned(),
        reason: "a squashfs has at most 4294967295 fragments",
    }
}
