//! Decompressors that never write more than they are told.

use std::fmt;

use libdeflater::Decompressor;
use liblzma::stream::{Action, Status, Stream};
use zstd_safe::DCtx;

/// What a block may ask for, in bytes: a dictionary has at most a block, 1 MiB.
const XZ_MEMORY: u64 = 32 << 20;

/// How the blocks of an image that is read are compressed.
pub(super) enum Decompress {
    Gzip(Decompressor),
    Zstd(DCtx<'static>),
    Xz,
    Lz4,
}

impl fmt::Debug for Decompress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
            Self::Xz => "Xz",
            Self::Lz4 => "Lz4",
        })
    }
}

impl Decompress {
    /// The decompressor with this number in a superblock, or the name of what has none here.
    pub(super) fn new(code: u16) -> Result<Self, &'static str> {
        match code {
            1 => Ok(Self::Gzip(Decompressor::new())),
            6 => DCtx::try_create().map(Self::Zstd).ok_or("zstd (no memory)"),
            2 => Err("lzma"),
            3 => Err("lzo"),
            4 => Ok(Self::Xz),
            5 => Ok(Self::Lz4),
            _ => Err("an unknown codec"),
        }
    }

    /// Decompresses `from`, which must become at most `limit` bytes.
    pub(super) fn run(&mut self, from: &[u8], limit: usize) -> Option<Vec<u8>> {
        let mut to = vec![0; limit];
        let size = match self {
            Self::Gzip(context) => context.zlib_decompress(from, &mut to).ok()?,
            Self::Zstd(context) => context.decompress(to.as_mut_slice(), from).ok()?,
            Self::Xz => {
                let mut stream = Stream::new_stream_decoder(XZ_MEMORY, 0).ok()?;
                let status = stream.process(from, &mut to, Action::Finish).ok()?;
                (status == Status::StreamEnd)
                    .then(|| usize::try_from(stream.total_out()).ok())??
            }
            Self::Lz4 => lz4_flex::block::decompress_into(from, &mut to).ok()?,
        };
        to.truncate(size);
        Some(to)
    }
}
