//! Images written by us and read by others.

mod sif;
mod squashfs;
mod tools;
mod tree;
