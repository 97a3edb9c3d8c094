//! A writer of SIF files: the squashfs goes straight into its place, and header and descriptors
//! follow once its size is known.
//!
//! | bytes | hold |
//! |---|---|
//! | 0 | header: identity, architecture, times, where the rest is |
//! | 4096 | 48 descriptors, of which four are used |
//! | 32176 | definition file; `inspect-metadata.json`, which holds the labels; bill of materials |
//! | next multiple of 4096 | primary partition: the squashfs, padded to a multiple of 4096 |

pub(super) mod format;

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

pub use self::format::{Architecture, InvalidArchitecture};
use self::format::{DATA_AT, Kind, Object, PARTITION_ALIGNMENT};
use super::squashfs::{self, SquashfsOptions};
use super::{Identifier, ImageError, LateContents, Watch, Written, digest_of};
use crate::base::{Digest, Epoch, Interrupt, Progress};
use crate::rootfs::Rootfs;

/// What is in a SIF besides the root file system, and how that is written.
#[derive(Debug, Clone)]
pub struct SifOptions {
    /// The machine that the programs in it run on.
    pub architecture: Architecture,
    /// The definition file. `skopeo` runs its `%environment` and `%runscript`.
    pub definition: Vec<u8>,
    /// What `apptainer inspect` shows, as the JSON object `inspect-metadata.json`.
    pub inspect_metadata: Vec<u8>,
    /// Takes its place in `inspect_metadata` when everything has been read.
    pub identifier: Identifier,
    /// The bill of materials, in SPDX's JSON; none if empty.
    pub sbom: Vec<u8>,
    /// Creation time of the image and its objects.
    pub time: Epoch,
    /// How the root file system is written; its time is `time`, whatever is said here.
    pub squashfs: SquashfsOptions,
}

/// Writes `rootfs` as a SIF into `out`, which is overwritten from its start and then ends where the
/// image ends.
///
/// # Errors
/// As [`squashfs::write`].
pub fn write(
    rootfs: &Rootfs,
    options: &SifOptions,
    out: &mut File,
    late: &mut LateContents,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Written, ImageError> {
    write_watched(rootfs, options, out, late, Watch { progress, interrupt })
}

pub(super) fn write_watched(
    rootfs: &Rootfs,
    options: &SifOptions,
    out: &mut File,
    late: &mut LateContents,
    watch: Watch,
) -> Result<Written, ImageError> {
    let documents = [
        (Kind::Definition, "", options.definition.as_slice()),
        (Kind::Json, "inspect-metadata.json", options.inspect_metadata.as_slice()),
        (Kind::Sbom, "sbom.spdx.json", options.sbom.as_slice()),
    ];
    let is_there = |(kind, _, bytes): &(Kind, _, &[u8])| *kind != Kind::Sbom || !bytes.is_empty();
    let mut objects = Vec::new();
    let mut end = DATA_AT;
    for (kind, name, bytes) in documents.into_iter().filter(is_there) {
        write_at(out, end, bytes)?;
        objects.push(Object { kind, name, offset: end, size: bytes.len() as u64, padding: 0 });
        end += bytes.len() as u64;
    }
    let offset = end.next_multiple_of(PARTITION_ALIGNMENT);
    // the gap, should `out` have had other contents
    write_at(out, end, &vec![0; usize::try_from(offset - end).unwrap_or(0)])?;
    let squashfs = SquashfsOptions { time: options.time, ..options.squashfs.clone() };
    let written = squashfs::write_identified(rootfs, &squashfs, out, late, watch, true)?;
    objects.push(Object {
        kind: Kind::PrimaryPartition(options.architecture),
        name: "",
        offset,
        size: written.bytes,
        padding: offset - end,
    });
    if let Some(inspect) = objects.iter().find(|object| object.kind == Kind::Json) {
        write_at(out, inspect.offset, &options.identifier.fill(&options.inspect_metadata))?;
    }
    let size = offset + written.bytes;
    out.set_len(size).map_err(ImageError::Write)?;
    let uuid = uuid_from(written.identity.unwrap_or_else(|| Digest::of(b"")));
    let head = format::encode(options.architecture, uuid, options.time, &objects);
    write_at(out, 0, &head)?;
    let digest = digest_of(out, size, watch)?;
    let squashfs = Some((offset..size, written));
    Ok(Written { size, digest: Some(digest), manifest: None, uuid: Some(uuid), squashfs })
}

fn write_at(out: &mut File, offset: u64, bytes: &[u8]) -> Result<(), ImageError> {
    out.seek(SeekFrom::Start(offset)).and_then(|_| out.write_all(bytes)).map_err(ImageError::Write)
}

/// The first half of a digest as a UUID of version 8 (made by rules of one's own, RFC 9562).
fn uuid_from(digest: Digest) -> [u8; 16] {
    let mut uuid = [0; 16];
    for (to, from) in uuid.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    uuid[6] = (uuid[6] & 0x0f) | 0x80;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    uuid
}
