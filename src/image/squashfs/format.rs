//! The squashfs 4.0 on-disk format: constants and fixed-size structures, little-endian.
//!
//! Source: Linux `fs/squashfs/squashfs_fs.h`.

/// Bytes of the superblock.
pub(in crate::image) const SUPERBLOCK_BYTES: usize = 96;
/// Bytes of a metadata block before compression.
pub(in crate::image) const METADATA_BYTES: usize = 8192;
/// Set in a metadata block's length if it is stored as it is.
pub(in crate::image) const METADATA_STORED: u16 = 1 << 15;
/// Set in a data block's length if it is stored as it is.
pub(in crate::image) const DATA_STORED: u32 = 1 << 24;
/// "No fragment", "no extended attributes".
pub(in crate::image) const NONE_32: u32 = u32::MAX;
/// "No such table".
pub(super) const NONE_64: u64 = u64::MAX;
/// Longest name in a directory that Linux can look up, in bytes.
pub(super) const NAME_BYTES: usize = 255;
/// Longest target of a symbolic link that Linux can read, in bytes (a page, with its NUL).
pub(super) const SYMLINK_BYTES: usize = 4095;
/// The kernel takes an image for part of a block device: its end must not be cut off.
pub(super) const PAD_BYTES: u64 = 4096;
/// Directory entries after one header.
pub(super) const RUN_ENTRIES: usize = 256;
/// A directory's size as `stat` shows it counts `.` and `..` as 3 bytes; so does the inode.
pub(in crate::image) const DIRECTORY_EXTRA: u32 = 3;

/// What a reader of lz4 must be told, as a stored metadata block: the legacy frame format, and not
/// its high-compression kind. Source: Linux `fs/squashfs/lz4_wrapper.c`.
pub(super) const LZ4_OPTIONS: [u8; 10] = [8, 0x80, 1, 0, 0, 0, 0, 0, 0, 0];

const MAGIC: u32 = 0x7371_7368;

/// Superblock flags.
pub(super) mod flag {
    pub(in super::super) const INODES_STORED: u16 = 0x1;
    pub(in super::super) const DATA_STORED: u16 = 0x2;
    pub(in super::super) const FRAGMENTS_STORED: u16 = 0x8;
    pub(in super::super) const ALWAYS_FRAGMENTS: u16 = 0x20;
    pub(in super::super) const DUPLICATES: u16 = 0x40;
    pub(in super::super) const EXPORT: u16 = 0x80;
    pub(in super::super) const NO_XATTRS: u16 = 0x200;
    pub(in super::super) const COMPRESSOR_OPTIONS: u16 = 0x400;
    pub(in super::super) const IDS_STORED: u16 = 0x800;
}

/// Kind of an inode; directory entries carry the basic one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    Directory = 1,
    File = 2,
    Symlink = 3,
    Fifo = 6,
    Socket = 7,
    ExtendedDirectory = 8,
    ExtendedFile = 9,
}

impl Kind {
    /// The number on disk.
    pub(super) const fn code(self) -> u16 {
        self as u16
    }
}

/// Where an inode lies in the inode table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct InodeRef {
    /// Start of its metadata block, in bytes from the table's start.
    pub(super) block: u32,
    /// Its place in the block once that is uncompressed.
    pub(super) offset: u16,
}

impl InodeRef {
    /// As one number, as superblock and export table hold it.
    pub(super) const fn packed(self) -> u64 {
        ((self.block as u64) << 16) | self.offset as u64
    }
}

/// The superblock's variable fields; positions in bytes from the image's start.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) inodes: u32,
    pub(super) time: u32,
    pub(super) block_size: u32,
    pub(super) fragments: u32,
    pub(super) compression: u16,
    pub(super) flags: u16,
    pub(super) ids: u16,
    pub(super) root: InodeRef,
    pub(super) bytes_used: u64,
    pub(super) id_table: u64,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
    pub(super) export_table: u64,
}

impl Superblock {
    /// The bytes on disk.
    pub(super) fn encode(&self) -> [u8; SUPERBLOCK_BYTES] {
        let mut bytes = Vec::with_capacity(SUPERBLOCK_BYTES);
        for word in [MAGIC, self.inodes, self.time, self.block_size, self.fragments] {
            bytes.extend(word.to_le_bytes());
        }
        // at most 20, since a block has at most 1 MiB
        let block_log = u16::try_from(self.block_size.ilog2()).unwrap_or(0);
        for half in [self.compression, block_log, self.flags, self.ids, 4, 0] {
            bytes.extend(half.to_le_bytes());
        }
        for long in [
            self.root.packed(),
            self.bytes_used,
            self.id_table,
            NONE_64, // extended attributes
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        ] {
            bytes.extend(long.to_le_bytes());
        }
        let mut block = [0; SUPERBLOCK_BYTES];
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = from;
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_superblock_has_96_bytes_and_its_fields_where_linux_looks() {
        let superblock = Superblock {
            inodes: 7,
            time: 9,
            block_size: 1 << 17,
            fragments: 3,
            compression: 1,
            flags: flag::NO_XATTRS,
            ids: 1,
            root: InodeRef { block: 0x1234, offset: 0x56 },
            bytes_used: 1000,
            id_table: 990,
            inode_table: 900,
            directory_table: 950,
            fragment_table: 980,
            export_table: NONE_64,
        };
        let bytes = superblock.encode();
        assert_eq!(&bytes[..4], b"hsqs");
        assert_eq!(bytes[22..24], 17_u16.to_le_bytes());
        assert_eq!(bytes[32..40], 0x1234_0056_u64.to_le_bytes());
        assert_eq!(bytes[40..48], 1000_u64.to_le_bytes());
        assert_eq!(bytes[88..], NONE_64.to_le_bytes());
    }
}
