//! Images written by us and read by others.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking, skips are said"
)]

mod every_format;
mod failures;
mod formats;
mod golden;
mod groups;
mod hostile;
pub(crate) mod read;
mod samples;
mod sif;
pub(crate) mod squashfs;
mod tools;
pub(crate) mod tree;
mod write;
