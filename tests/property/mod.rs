//! Rules that hold for every input, tried on random ones.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod formats;
mod image;
