//! All integration tests, in one binary.

mod image;
mod property;
