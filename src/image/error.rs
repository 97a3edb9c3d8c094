//! What can go wrong with an image.

use std::cmp::Ordering;
use std::io;
use std::path::PathBuf;

use crate::base::fs::PathError;
use crate::base::{Escaped, Interrupted};

/// Why an image could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file that goes into the image, or the image itself when it is read, or what is unpacked
    /// from it.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A source file is not what it was when the image was planned.
    #[error(
        "`{}` changed while the image was made: {}",
        Escaped(&path.to_string_lossy()),
        changed_how(*planned, *read)
    )]
    Changed {
        /// The file of the host.
        path: PathBuf,
        /// Its size when planned, in bytes.
        planned: u64,
        /// How many bytes were read; more than `planned` if it grew, as many if somebody wrote to
        /// it while it was read.
        read: u64,
    },
    /// A source file was planned or known, and is not any more what it was then.
    #[error("`{}` changed while the image was made", Escaped(&path.to_string_lossy()))]
    Altered {
        /// The file of the host.
        path: PathBuf,
    },
    /// What the cache says of a file is not true.
    #[error(
        "the cache has something else for `{}` than the file gives: remove the cache's directory",
        Escaped(&path.to_string_lossy())
    )]
    CacheDiffers {
        /// The file of the host.
        path: PathBuf,
    },
    /// The image cannot be written, e.g. since the disk is full.
    #[error("cannot write the image")]
    Write(#[source] io::Error),
    /// The root file system holds what the format cannot.
    #[error("the image cannot hold `{}`: {reason}", Escaped(what))]
    Unrepresentable {
        /// A path or name, as text.
        what: String,
        /// The limit.
        reason: &'static str,
    },
    /// An option has no meaning in the format.
    #[error("{0}")]
    Options(String),
    /// The system allows no further thread.
    #[error("cannot start a thread")]
    Threads(#[source] io::Error),
    /// A compressor failed; not caused by what it was given.
    #[error("the {0} compressor failed")]
    Codec(&'static str),
    /// The file that is read is no image, or a broken one.
    #[error("`{}` is no readable image: {what}", Escaped(&path.to_string_lossy()))]
    Malformed {
        /// The image.
        path: PathBuf,
        /// What is wrong, with the offset in bytes where there is one.
        what: String,
    },
    /// There is no such file in the image that is read.
    #[error("`{}` is not in the image", Escaped(&path.to_string_lossy()))]
    NotFound {
        /// The path in the image.
        path: PathBuf,
    },
    /// The work was stopped on request.
    #[error("the image is not complete")]
    Interrupted(#[from] Interrupted),
}

fn changed_how(planned: u64, read: u64) -> String {
    match read.cmp(&planned) {
        Ordering::Less => format!("{planned} bytes were planned, {read} were read"),
        Ordering::Equal => "it was written to while it was read".to_owned(),
        Ordering::Greater => format!("{planned} bytes were planned, more were read"),
    }
}
