//! How large an image may become.

use super::Format;
use super::squashfs::size_of_content;
use crate::rootfs::{Content, Node, Rootfs};

/// Header, descriptors, labels, padding.
const FIXED: u64 = 1 << 20;
/// An extended inode, a directory entry with a header of its own, an index entry.
const NODE: u64 = 128;

/// A tar header, the same with a PAX record, and what the content is padded with; or a block of the
/// file system that a sandbox is in.
const ENTRY: u64 = 4096;

/// An upper bound of the bytes that an image of `rootfs` takes: contents that do not
/// shrink at all, and every table. Of late documents the sizes are not known; half a KiB for each
/// file is counted for them.
#[must_use]
pub fn estimate_bytes(rootfs: &Rootfs, format: Format) -> u64 {
    let entry = match format {
        Format::Sif | Format::Squashfs => NODE,
        Format::Tar
        | Format::TarGz
        | Format::TarZst
        | Format::Oci
        | Format::OciArchive
        | Format::DockerArchive
        | Format::Sandbox => ENTRY,
    };
    let mut bytes = FIXED;
    rootfs.walk(|path, node| {
        let name = path.split().map_or(0, |(_, name)| name.len());
        let target = match node {
            Node::Symlink(link) => link.target.len(),
            Node::Directory(_) | Node::File(_) | Node::Special(_) => 0,
        };
        bytes = bytes.saturating_add(entry + (2 * name + target) as u64);
    });
    for file in rootfs.files() {
        // each length of a block, 4 bytes, stands for at least 4 KiB; as much again for fragments
        let size = size_of_content(file);
        bytes = bytes.saturating_add(size).saturating_add(size / 512);
    }
    if rootfs.files().iter().any(|file| file.content == Content::Late) {
        bytes = bytes.saturating_add(512 * rootfs.files().len() as u64);
    }
    bytes
}
