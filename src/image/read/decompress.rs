//! Decompressors that never write more than they are told.

use std::fmt;

use libdeflater::Decompressor;
use zstd_safe::DCtx;

/// How the blocks of an image that is read are compressed.
pub(super) enum Decompress {
    Gzip(Decompressor),
    Zstd(DCtx<'static>),
}

impl fmt::Debug for Decompress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
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
            4 => Err("xz"),
            5 => Err("lz4"),
            _ => Err("an unknown codec"),
        }
    }

    /// Decompresses `from`, which must become at most `limit` bytes.
    pub(super) fn run(&mut self, from: &[u8], limit: usize) -> Option<Vec<u8>> {
        let mut to = vec![0; limit];
        let size = match self {
            Self::Gzip(context) => context.zlib_decompress(from, &mut to).ok()?,
            Self::Zstd(context) => context.decompress(to.as_mut_slice(), from).ok()?,
        };
        to.truncate(size);
        Some(to)
    }
}
