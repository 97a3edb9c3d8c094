//! Compressors, with every parameter pinned: an image's bytes depend on its content, the options
//! and the compressor's version (fixed by `Cargo.lock`), and on nothing of the machine.

use std::fmt;
use std::str::FromStr;

use libdeflater::{CompressionLvl, Compressor};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use zstd_safe::CCtx;

use crate::image::ImageError;

/// How blocks are compressed. Every kernel with squashfs reads gzip; zstd needs 4.14 or RHEL 9; xz and
/// lz4 are options that distributions' kernels have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// zlib streams made by libdeflate, level 1 to 12.
    Gzip(u8),
    /// zstd, level 1 to 22.
    Zstd(u8),
    /// xz, level 0 to 9; only blocks of a squashfs.
    Xz(u8),
    /// lz4, without levels; only blocks of a squashfs.
    Lz4,
    /// Blocks as they are.
    None,
}

impl Compression {
    /// gzip at level 6: as small as zlib's 9 at a tenth of its time.
    pub const DEFAULT: Self = Self::Gzip(6);

    /// The name without the level: `gzip`, `zstd`, `xz`, `lz4`, `none`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Zstd(_) => "zstd",
            Self::Xz(_) => "xz",
            Self::Lz4 => "lz4",
            Self::None => "none",
        }
    }

    /// The level, where there are levels.
    #[must_use]
    pub const fn level(self) -> Option<u8> {
        match self {
            Self::Gzip(level) | Self::Zstd(level) | Self::Xz(level) => Some(level),
            Self::Lz4 | Self::None => None,
        }
    }

    /// The compressor's library and version, for the record of how an image was made.
    #[must_use]
    pub fn library(self) -> String {
        match self {
            Self::Gzip(_) => "libdeflate 1.26".to_owned(),
            Self::Zstd(_) => format!("libzstd {}", zstd_safe::version_string()),
            Self::Xz(_) => "liblzma-sys 0.4.9".to_owned(),
            Self::Lz4 => "lz4_flex 0.14.0".to_owned(),
            Self::None => "none".to_owned(),
        }
    }

    /// The number in the superblock. A file system without compression says gzip and marks each
    /// block as stored.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::Gzip(_) | Self::None => 1,
            Self::Xz(_) => 4,
            Self::Lz4 => 5,
            Self::Zstd(_) => 6,
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gzip(level) | Self::Zstd(level) | Self::Xz(level) => {
                write!(f, "{}:{level}", self.name())
            }
            Self::Lz4 | Self::None => f.write_str(self.name()),
        }
    }
}

/// A text that names no compression.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no compression: give gzip, gzip:1 to gzip:12, zstd, zstd:1 to zstd:22, xz, xz:0 to xz:9, lz4, or none"
)]
pub struct InvalidCompression(String);

impl FromStr for Compression {
    type Err = InvalidCompression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidCompression(text.to_owned());
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u8>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        match (name, level) {
            ("gzip", None) => Ok(Self::DEFAULT),
            ("gzip", Some(level @ 1..=12)) => Ok(Self::Gzip(level)),
            ("zstd", None) => Ok(Self::Zstd(3)),
            ("zstd", Some(level @ 1..=22)) => Ok(Self::Zstd(level)),
            ("xz", None) => Ok(Self::Xz(6)),
            ("xz", Some(level @ 0..=9)) => Ok(Self::Xz(level)),
            ("lz4", None) => Ok(Self::Lz4),
            ("none", None) => Ok(Self::None),
            _ => Err(invalid()),
        }
    }
}

/// One thread's compressor.
pub(super) enum Codec {
    Gzip(Compressor),
    Zstd(CCtx<'static>, i32),
    /// Level, and bytes of the dictionary.
    Xz(u32, u32),
    Lz4,
    None,
}

impl Codec {
    /// A compressor for `compression` of blocks of up to `block_bytes`.
    ///
    /// # Errors
    /// [`ImageError::Options`] for a level that does not exist, [`ImageError::Codec`] without
    /// memory.
    pub(super) fn new(compression: Compression, block_bytes: u32) -> Result<Self, ImageError> {
        match compression {
            Compression::Gzip(level) if (1..=12).contains(&level) => {
                CompressionLvl::new(i32::from(level))
                    .map(|level| Self::Gzip(Compressor::new(level)))
                    .map_err(|_| ImageError::Codec("gzip"))
            }
            Compression::Zstd(level) if (1..=22).contains(&level) => {
                let context = CCtx::try_create().ok_or(ImageError::Codec("zstd"))?;
                Ok(Self::Zstd(context, i32::from(level)))
            }
            Compression::Xz(level) if level <= 9 => {
                // the kernel's reader keeps no more than a block
                Ok(Self::Xz(u32::from(level), block_bytes.max(8192)))
            }
            Compression::Lz4 => Ok(Self::Lz4),
            Compression::None => Ok(Self::None),
            Compression::Gzip(_) | Compression::Zstd(_) | Compression::Xz(_) => {
                Err(ImageError::Options(format!("{compression} does not exist")))
            }
        }
    }

    /// Replaces the content of `out` by a gzip member or a zstd frame that holds `data`; by `data`
    /// itself where nothing is compressed.
    ///
    /// # Errors
    /// [`ImageError::Codec`] if the compressor fails.
    pub(super) fn frame(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), ImageError> {
        let size = match self {
            Self::Gzip(compressor) => {
                out.resize(compressor.gzip_compress_bound(data.len()), 0);
                compressor.gzip_compress(data, out).map_err(|_| ImageError::Codec("gzip"))?
            }
            Self::Zstd(context, level) => {
                out.resize(zstd_safe::compress_bound(data.len()), 0);
                let done = context.compress(out.as_mut_slice(), data, *level);
                done.map_err(|_| ImageError::Codec("zstd"))?
            }
            Self::None => {
                out.clear();
                out.extend_from_slice(data);
                data.len()
            }
            Self::Xz(..) | Self::Lz4 => {
                return Err(ImageError::Options(
                    "streams are compressed with gzip or zstd".to_owned(),
                ));
            }
        };
        out.truncate(size);
        Ok(())
    }

    /// Compresses `data` into `out` (whose content is replaced). Returns whether that made it
    /// smaller; if not, `data` is to be stored as it is and `out` means nothing.
    ///
    /// # Errors
    /// [`ImageError::Codec`] if the compressor fails for any other reason.
    pub(super) fn compress(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<bool, ImageError> {
        let room = data.len().saturating_sub(1);
        match self {
            Self::Gzip(compressor) => {
                out.resize(room, 0);
                // the only failure is lack of room
                let Ok(size) = compressor.zlib_compress(data, out) else { return Ok(false) };
                out.truncate(size);
                Ok(true)
            }
            Self::Zstd(context, level) => {
                out.resize(room, 0);
                match context.compress(out.as_mut_slice(), data, *level) {
                    Ok(size) => {
                        out.truncate(size);
                        Ok(true)
                    }
                    Err(code) if zstd_safe::get_error_name(code).contains("too small") => Ok(false),
                    Err(_) => Err(ImageError::Codec("zstd")),
                }
            }
            Self::Xz(level, dictionary) => {
                out.resize(room, 0);
                let size = xz_block(*level, *dictionary, data, out)?;
                out.truncate(size.unwrap_or(0));
                Ok(size.is_some())
            }
            Self::Lz4 => {
                out.resize(lz4_flex::block::get_maximum_output_size(data.len()), 0);
                let size = lz4_flex::block::compress_into(data, out);
                let size = size.map_err(|_| ImageError::Codec("lz4"))?;
                out.truncate(size);
                Ok(size <= room)
            }
            Self::None => Ok(false),
        }
    }
}

/// Writes an xz stream that holds `data` into `out`; returns its size, or `None` where there is no
/// room for it.
fn xz_block(
    level: u32,
    dictionary: u32,
    data: &[u8],
    out: &mut [u8],
) -> Result<Option<usize>, ImageError> {
    let failed = |_| ImageError::Codec("xz");
    let mut options = LzmaOptions::new_preset(level).map_err(failed)?;
    options.dict_size(dictionary);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    // the kernel checks nothing stronger
    let mut stream = Stream::new_stream_encoder(&filters, Check::Crc32).map_err(failed)?;
    if out.is_empty() {
        return Ok(None);
    }
    let status = stream.process(data, out, Action::Finish).map_err(failed)?;
    let size = usize::try_from(stream.total_out()).ok();
    Ok(size.filter(|_| status == Status::StreamEnd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_read_as_they_are_shown() {
        for (text, want) in [
            ("gzip", Some(Compression::Gzip(6))),
            ("gzip:12", Some(Compression::Gzip(12))),
            ("zstd:22", Some(Compression::Zstd(22))),
            ("none", Some(Compression::None)),
            ("gzip:13", None),
            ("zstd:0", None),
            ("none:1", None),
            ("xz", Some(Compression::Xz(6))),
            ("xz:0", Some(Compression::Xz(0))),
            ("xz:10", None),
            ("lz4", Some(Compression::Lz4)),
            ("lz4:1", None),
            ("zip", None),
            ("gzip:", None),
        ] {
            let got = text.parse::<Compression>().ok();
            assert_eq!(got, want, "{text}");
            if let Some(compression) = got {
                assert_eq!(compression.to_string().parse::<Compression>().unwrap(), compression);
            }
        }
    }

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        let noise: Vec<u8> = (0..4096_u32)
            .flat_map(|i| blake3::hash(&i.to_le_bytes()).as_bytes()[..4].to_vec())
            .collect();
        for compression in [
            Compression::Gzip(6),
            Compression::Zstd(3),
            Compression::Xz(6),
            Compression::Lz4,
            Compression::None,
        ] {
            let mut codec = Codec::new(compression, 1 << 17).unwrap();
            let mut out = Vec::new();
            assert!(!codec.compress(&noise, &mut out).unwrap(), "{compression}");
            assert!(!codec.compress(b"", &mut out).unwrap(), "{compression}");
            assert!(!codec.compress(b"x", &mut out).unwrap(), "{compression}");
            let shrinks = codec.compress(&[0; 10_000], &mut out).unwrap();
            assert_eq!(shrinks, compression != Compression::None, "{compression}");
        }
    }
}
