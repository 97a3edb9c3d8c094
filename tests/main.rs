//! All integration tests, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::doc_markdown,
    reason = "a test that fails panics, one that is skipped says so"
)]

mod lmod;
