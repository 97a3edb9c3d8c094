//! Images written by us and read by others.

mod read;
mod samples;
mod sif;
mod squashfs;
mod tools;
mod tree;
