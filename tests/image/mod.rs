//! Images written by us and read by others.

mod squashfs;
mod tools;
mod tree;
