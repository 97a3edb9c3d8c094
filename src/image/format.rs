//! The kinds of image.

use std::fmt;
use std::str::FromStr;

use super::Compression;

/// A kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// What Apptainer and Singularity run.
    #[default]
    Sif,
    /// An OCI image-layout: a directory.
    Oci,
    /// The same in a tar archive.
    OciArchive,
    /// What `docker load` and `docker save` know.
    DockerArchive,
    /// The root file system as a tar archive.
    Tar,
    /// The same, compressed with gzip.
    TarGz,
    /// The same, compressed with zstd.
    TarZst,
    /// The root file system as a squashfs.
    Squashfs,
    /// The root file system as a directory.
    Sandbox,
}

/// A text that names no format.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no image format: give {names}", names = Format::names())]
pub struct InvalidFormat(String);

impl Format {
    const ALL: [(Self, &'static str, &'static str); 9] = [
        (Self::Sif, "sif", "sif"),
        (Self::Oci, "oci", "oci"),
        (Self::OciArchive, "oci-archive", "oci.tar"),
        (Self::DockerArchive, "docker-archive", "docker.tar"),
        (Self::Tar, "tar", "tar"),
        (Self::TarGz, "tar.gz", "tar.gz"),
        (Self::TarZst, "tar.zst", "tar.zst"),
        (Self::Squashfs, "squashfs", "squashfs"),
        (Self::Sandbox, "sandbox", "sandbox"),
    ];

    fn row(self) -> (Self, &'static str, &'static str) {
        Self::ALL.into_iter().find(|row| row.0 == self).unwrap_or(Self::ALL[0])
    }

    /// The names of all formats, for a message.
    fn names() -> String {
        let names = Self::ALL.map(|(_, name, _)| name);
        let [others @ .., last] = &names;
        format!("{} or {last}", others.join(", "))
    }

    /// The end of a file's or directory's name, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        self.row().2
    }

    /// Whether an image of this kind is a directory.
    #[must_use]
    pub const fn is_directory(self) -> bool {
        matches!(self, Self::Oci | Self::Sandbox)
    }

    /// How an image of this kind is compressed if nobody says otherwise.
    #[must_use]
    pub const fn default_compression(self) -> Compression {
        match self {
            Self::Sif | Self::Squashfs | Self::Oci | Self::OciArchive | Self::TarGz => {
                Compression::DEFAULT
            }
            Self::TarZst => Compression::Zstd(3),
            Self::DockerArchive | Self::Tar | Self::Sandbox => Compression::None,
        }
    }

    /// Whether an image of this kind can be compressed like this.
    #[must_use]
    pub const fn takes(self, compression: Compression) -> bool {
        match self {
            Self::Sif | Self::Squashfs => true,
            Self::Oci | Self::OciArchive => matches!(
                compression,
                Compression::Gzip(_) | Compression::Zstd(_) | Compression::None
            ),
            Self::TarGz => matches!(compression, Compression::Gzip(_)),
            Self::TarZst => matches!(compression, Compression::Zstd(_)),
            Self::DockerArchive | Self::Tar | Self::Sandbox => {
                matches!(compression, Compression::None)
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

impl FromStr for Format {
    type Err = InvalidFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|(_, name, _)| *name == text);
        found.map(|row| row.0).ok_or_else(|| InvalidFormat(text.to_owned()))
    }
}
