//! Compressing pieces, or finding them compressed.

use crossbeam_channel::{Receiver, Sender};

use super::recipe::Foreseen;
use crate::image::ImageError;
use crate::image::cache::Hash;
use crate::image::codec::{Codec, Compression};
use crate::rootfs::FileId;

/// What the compressors are given.
pub(super) struct Job {
    pub(super) piece: Piece,
    pub(super) reply: Sender<Result<Pressed, ImageError>>,
}

/// A piece before it is compressed.
#[derive(Default)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// What has not been read of it.
    pub(super) gaps: Vec<Gap>,
    /// Its name in the cache, where that is known.
    pub(super) name: Option<Hash>,
    /// A file in it.
    pub(super) file: Option<FileId>,
}

/// Contents that have not been read: where they belong in the piece, and where they are in the file.
pub(super) struct Gap {
    pub(super) id: FileId,
    pub(super) at: usize,
    pub(super) length: usize,
    pub(super) start: u64,
}

/// A piece as it goes into the stream.
pub(super) struct Pressed {
    /// Before compression; nothing where nobody needs it.
    pub(super) raw: Vec<u8>,
    pub(super) out: Vec<u8>,
    /// Whether it came from the cache.
    pub(super) is_found: bool,
    pub(super) name: Option<Hash>,
    pub(super) file: Option<FileId>,
}

/// How pieces are compressed.
#[derive(Clone, Copy)]
pub(super) struct Press<'a> {
    pub(super) compression: Compression,
    /// Whether pieces are needed before compression as well.
    pub(super) needs_raw: bool,
    pub(super) foreseen: Option<&'a Foreseen<'a>>,
}

impl Press<'_> {
    /// One compressor thread: works until no more jobs come.
    pub(super) fn run(self, codec: &mut Codec, jobs: &Receiver<Job>) {
        for Job { piece, reply } in jobs {
            // a writer that has given up does not listen
            let _ = reply.send(self.press(codec, piece));
        }
    }

    /// Compresses a piece, or finds it.
    ///
    /// # Errors
    /// Those of the codec, and of reading what is missing in it.
    pub(super) fn press(self, codec: &mut Codec, piece: Piece) -> Result<Pressed, ImageError> {
        let Piece { mut bytes, gaps, name, file } = piece;
        if let Some((name, foreseen)) = name.zip(self.foreseen)
            && let Some(out) = foreseen.known.cache.get(&name)
            && (!self.needs_raw || gaps.is_empty() || self.unpack(&out, &mut bytes))
        {
            return Ok(Pressed { raw: bytes, out, is_found: true, name: Some(name), file });
        }
        if let Some(foreseen) = self.foreseen {
            for Gap { id, at, length, start } in gaps {
                let buffer = bytes.get_mut(at..at + length).unwrap_or_default();
                foreseen.known.read_at(id, start, buffer)?;
            }
        }
        let mut out = Vec::new();
        codec.frame(&bytes, &mut out)?;
        Ok(Pressed { raw: bytes, out, is_found: false, name, file })
    }

    /// Whether `out` holds as many bytes as there are in `raw`, which they replace.
    fn unpack(self, out: &[u8], raw: &mut [u8]) -> bool {
        let size = match self.compression {
            Compression::Gzip(_) => libdeflater::Decompressor::new().gzip_decompress(out, raw).ok(),
            Compression::Zstd(_) => zstd_safe::decompress(raw, out).ok(),
            Compression::Xz(_) | Compression::Lz4 | Compression::None => None,
        };
        size == Some(raw.len())
    }
}
