//! The SIF on-disk format, little-endian, packed.
//!
//! Source: apptainer/sif `pkg/sif/sif.go`, `descriptor.go`, `arch.go`.

use std::fmt;
use std::str::FromStr;

use crate::base::Epoch;

/// Descriptors in a new file; unused ones are there for those who add or sign later.
pub(super) const DESCRIPTORS: u64 = 48;
/// Where the descriptors begin.
pub(super) const DESCRIPTORS_AT: u64 = 4096;
/// Bytes of a descriptor.
pub(in crate::image) const DESCRIPTOR_BYTES: usize = 585;
/// Where data begin.
pub(super) const DATA_AT: u64 = DESCRIPTORS_AT + DESCRIPTORS * DESCRIPTOR_BYTES as u64;
/// Partitions begin at multiples of this, since they are mounted from there.
pub(super) const PARTITION_ALIGNMENT: u64 = 4096;
/// Bytes of the header.
pub(in crate::image) const HEADER_BYTES: usize = 128;
/// What a SIF says of itself, 32 bytes into the file.
pub(in crate::image) const MAGIC: &[u8; 10] = b"SIF_MAGIC\0";

const LAUNCH: &[u8] = b"#!/usr/bin/env run-singularity\n";
const VERSION: &[u8] = b"01\0";
/// Marks a number as that of a group.
const GROUP: u32 = 0xf000_0000;

/// The machine that an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `x86_64`, Go's `amd64`.
    X86_64,
    /// `aarch64`, Go's `arm64`.
    Aarch64,
    /// `riscv64`.
    Riscv64,
    /// `ppc64le`, as uname has it; `powerpc64` to Rust.
    Ppc64le,
    /// `s390x`.
    S390x,
}

/// A text that names no architecture that an image can be for.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no architecture that an image can be made for")]
pub struct InvalidArchitecture(String);

impl Architecture {
    const ALL: [(Self, &'static str, &'static [u8; 3]); 5] = [
        (Self::X86_64, "x86_64", b"02\0"),
        (Self::Aarch64, "aarch64", b"04\0"),
        (Self::Riscv64, "riscv64", b"12\0"),
        (Self::Ppc64le, "ppc64le", b"06\0"),
        (Self::S390x, "s390x", b"11\0"),
    ];

    fn row(self) -> (Self, &'static str, &'static [u8; 3]) {
        Self::ALL.into_iter().find(|row| row.0 == self).unwrap_or(Self::ALL[0])
    }

    /// The code in a SIF.
    pub(super) fn code(self) -> &'static [u8; 3] {
        self.row().2
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

impl FromStr for Architecture {
    type Err = InvalidArchitecture;

    /// Reads the name that `uname -m` prints.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|row| row.1 == text)
            .map(|row| row.0)
            .ok_or_else(|| InvalidArchitecture(text.to_owned()))
    }
}

/// What a data object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The definition file: how the image was made.
    Definition,
    /// The root file system, a squashfs.
    PrimaryPartition(Architecture),
    /// Any JSON; told apart by name.
    Json,
    /// A bill of materials in SPDX's JSON.
    Sbom,
}

/// [`Kind::PrimaryPartition`] on disk.
pub(in crate::image) const PARTITION_CODE: u32 = 0x4004;
/// The partition that is the root file system.
pub(in crate::image) const PRIMARY_CODE: u32 = 2;
/// A partition that holds a squashfs.
pub(in crate::image) const SQUASHFS_CODE: u32 = 1;

/// A bill of materials in SPDX's JSON.
const SPDX_JSON_CODE: u32 = 4;

impl Kind {
    const fn code(self) -> u32 {
        match self {
            Self::Definition => 0x4001,
            Self::PrimaryPartition(_) => PARTITION_CODE,
            Self::Json => 0x4006,
            Self::Sbom => 0x4009,
        }
    }

    fn extra(self) -> Vec<u8> {
        match self {
            Self::PrimaryPartition(architecture) => {
                [&SQUASHFS_CODE.to_le_bytes()[..], &PRIMARY_CODE.to_le_bytes(), architecture.code()]
                    .concat()
            }
            Self::Sbom => SPDX_JSON_CODE.to_le_bytes().to_vec(),
            Self::Definition | Self::Json => Vec::new(),
        }
    }
}

/// A data object that is in place.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) offset: u64,
    pub(super) size: u64,
    /// Bytes between the object before it and this one.
    pub(super) padding: u64,
}

impl Object {
    /// Where it ends.
    pub(super) const fn end(&self) -> u64 {
        self.offset + self.size
    }

    /// The descriptor in slot `id` − 1.
    fn encode(&self, id: u32, time: Epoch) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DESCRIPTOR_BYTES);
        bytes.extend(self.kind.code().to_le_bytes());
        bytes.push(1); // used
        for word in [id, 1 | GROUP, 0] {
            bytes.extend(word.to_le_bytes());
        }
        let time = u64::from(time.seconds());
        for long in [self.offset, self.size, self.size + self.padding, time, time, 0, 0] {
            bytes.extend(long.to_le_bytes());
        }
        bytes.extend(padded(self.name.as_bytes(), 128));
        bytes.extend(padded(&self.kind.extra(), 384));
        bytes
    }
}

/// The header and all descriptors: the file's first [`DATA_AT`] bytes.
pub(super) fn encode(
    architecture: Architecture,
    uuid: [u8; 16],
    time: Epoch,
    objects: &[Object],
) -> Vec<u8> {
    let used = objects.len() as u64;
    let end = objects.last().map_or(DATA_AT, Object::end);
    let mut bytes = padded(LAUNCH, 32);
    bytes.extend(MAGIC);
    bytes.extend(VERSION);
    bytes.extend(architecture.code());
    bytes.extend(uuid);
    let seconds = u64::from(time.seconds());
    for long in [
        seconds,
        seconds,
        DESCRIPTORS - used,
        DESCRIPTORS,
        DESCRIPTORS_AT,
        DESCRIPTORS * DESCRIPTOR_BYTES as u64,
        DATA_AT,
        end - DATA_AT,
    ] {
        bytes.extend(long.to_le_bytes());
    }
    bytes.resize(usize::try_from(DESCRIPTORS_AT).unwrap_or(0), 0);
    for (id, object) in (1..).zip(objects) {
        bytes.extend(object.encode(id, time));
    }
    bytes.resize(usize::try_from(DATA_AT).unwrap_or(0), 0);
    bytes
}

fn padded(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(length, 0);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_descriptors_lie_where_readers_look() {
        let partition = Object {
            kind: Kind::PrimaryPartition(Architecture::Aarch64),
            name: "",
            offset: 32768,
            size: 4096,
            padding: 592,
        };
        let time = Epoch::from_seconds(77);
        let bytes = encode(Architecture::Aarch64, [7; 16], time, &[partition]);
        assert_eq!(bytes.len(), 32_176);
        for (at, want) in [
            (32, &b"SIF_MAGIC\x0001\x0004\x00"[..]),
            (48, &[7; 16]),
            (64, &77_u64.to_le_bytes()),
            (80, &47_u64.to_le_bytes()),
            (120, &4688_u64.to_le_bytes()),
            (4096, b"\x04\x40\0\0\x01\x01\0\0\0\x01\0\0\xf0\0\0\0\0"),
            (4113, &32_768_u64.to_le_bytes()),
            (4129, &4688_u64.to_le_bytes()),
            (4297, b"\x01\0\0\0\x02\0\0\x0004\0"),
        ] {
            assert_eq!(&bytes[at..at + want.len()], want, "at {at}");
        }
    }

    #[test]
    fn architectures_are_named_as_uname_does() {
        for text in ["x86_64", "aarch64", "riscv64", "ppc64le", "s390x"] {
            assert_eq!(text.parse::<Architecture>().unwrap().to_string(), text);
        }
        assert!("amd64".parse::<Architecture>().is_err());
    }
}
