//! A root file system, or a layer of it, as a tar stream: compressed in parallel, with the same bytes
//! for any number of threads.
//!
//! | part | decided by |
//! |---|---|
//! | which entries, in what order | `walk` |
//! | an entry's header | `header` |
//! | contents between headers, in pieces of equal size | `build` |
//! | what a piece is made of, so that the cache has it | `recipe` |
//! | pieces to gzip members or zstd frames | `press` |
//! | these in order into the file | `pipeline` |
//!
//! Owners are 0 without names, there are no times but the modification's, and PAX records only
//! where a plain header has no room.

mod build;
mod header;
mod pipeline;
mod press;
mod recipe;
mod walk;

pub(super) use build::Contents;
pub(super) use header::{BLOCK_BYTES, Entry, EntryKind, encode};
pub(super) use pipeline::{Stream, StreamOptions, StreamWritten};
pub(super) use walk::{Item, Select, Survey, survey, walk};
