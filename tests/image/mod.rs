//! Images written by us and read by others.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking, skips are said"
)]

mod cache;
pub(crate) mod every_format;
mod failures;
pub(crate) mod formats;
mod golden;
mod groups;
mod hostile;
mod memory;
pub(crate) mod read;
mod samples;
mod sif;
pub(crate) mod squashfs;
pub(crate) mod tools;
pub(crate) mod tree;
pub(crate) mod write;
