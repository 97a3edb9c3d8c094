//! All integration tests, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that fails here says where and why"
)]

mod architecture;
mod cli;
mod common;
mod elf;
mod hooks;
mod image;
mod lmod;
mod lookalike;
mod property;
mod runtime;
