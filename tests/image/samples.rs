//! Trees that are hard to write.

use std::collections::BTreeMap;

use module_export::base::Epoch;
use module_export::image::Compression;
use module_export::rootfs::{
    Content, File, FileId, Metadata, Rootfs, Special, SpecialKind, Symlink,
};

use super::tree::{IMPLIED, bytes, noise, path};

/// Bytes of a block by default.
pub(super) const BLOCK: usize = 128 * 1024;
/// The same as an option.
pub(super) const BLOCK_BYTES: u32 = 128 * 1024;

/// Every compression of a squashfs, at a level that is quick.
pub(super) const COMPRESSIONS: [Compression; 5] = [
    Compression::Gzip(6),
    Compression::Zstd(3),
    Compression::Xz(1),
    Compression::Lz4,
    Compression::None,
];

/// Odd names, odd sizes, odd links.
pub(super) fn odd_tree() -> (Rootfs, BTreeMap<FileId, Vec<u8>>) {
    let mut rootfs = Rootfs::new(IMPLIED);
    for (name, content) in [
        ("/empty", Vec::new()),
        ("/one", b"x".to_vec()),
        ("/block", noise(1, BLOCK)),
        ("/block+1", noise(2, BLOCK + 1)),
        ("/block-1", noise(3, BLOCK - 1)),
        ("/three-blocks", noise(4, 3 * BLOCK)),
        ("/text", b"the same line again and again\n".repeat(20_000)),
        ("/zero", vec![0; 5 * BLOCK + 17]),
        ("/holes", [noise(5, BLOCK), vec![0; 2 * BLOCK], noise(6, 100), vec![0; BLOCK]].concat()),
        ("/copy/of/text", b"the same line again and again\n".repeat(20_000)),
        ("/copy/of/block+1", noise(2, BLOCK + 1)),
        ("/copy/of/zero", vec![0; 5 * BLOCK + 17]),
        ("/copy/of/one", b"x".to_vec()),
        ("/same size/as text", b"The same line again and again\n".repeat(20_000)),
        ("/odd/new\nline", b"1".to_vec()),
        ("/odd/ space ", b"2".to_vec()),
        ("/odd/-dash", b"3".to_vec()),
        ("/odd/quote'\"\\", b"4".to_vec()),
    ] {
        rootfs.add_file(&path(name), bytes(content)).unwrap();
    }
    rootfs.add_file(&path(b"/odd/\xff\xfe not text"), bytes("5")).unwrap();
    rootfs.add_file(&path([b"/odd/".as_slice(), &[b'n'; 255]].concat()), bytes("6")).unwrap();
    let linked = rootfs.add_file(&path("/links/first"), bytes(noise(7, 2 * BLOCK + 5))).unwrap();
    rootfs.add_hard_link(&path("/links/second"), linked).unwrap();
    rootfs.add_hard_link(&path("/a first name elsewhere"), linked).unwrap();
    let empty = rootfs.add_file(&path("/links/empty"), bytes("")).unwrap();
    rootfs.add_hard_link(&path("/links/empty too"), empty).unwrap();
    for (name, target) in
        [("/to/file", "../block"), ("/to/nowhere", "/nowhere/at all"), ("/to/self", "self")]
    {
        let target = target.as_bytes().to_vec();
        let link = Symlink { mtime: Epoch::from_seconds(5), target, reason: "t:".into() };
        rootfs.add_symlink(&path(name), link).unwrap();
    }
    let metadata = Metadata { mode: 0o640, mtime: Epoch::from_seconds(6) };
    let fifo = Special { metadata, kind: SpecialKind::Fifo, reason: "t:".into() };
    rootfs.add_special(&path("/odd/fifo"), fifo).unwrap();
    let deep = "/deep".to_owned() + &"/d".repeat(300) + "/file";
    rootfs.add_file(&path(deep), bytes("deep")).unwrap();
    rootfs.add_directory(&path("/none"), Metadata { mode: 0o700, ..IMPLIED }).unwrap();
    rootfs.add_directory(&path("/tmp"), Metadata { mode: 0o1777, ..IMPLIED }).unwrap();
    let late = File { content: Content::Late, size: 0, ..bytes("") };
    let mut documents = BTreeMap::new();
    for (name, content) in [("/.doc/small", noise(8, 10)), ("/.doc/large", noise(9, 2 * BLOCK))] {
        documents.insert(rootfs.add_file(&path(name), late.clone()).unwrap(), content);
    }
    documents.insert(rootfs.add_file(&path("/.doc/none"), late).unwrap(), Vec::new());
    (rootfs, documents)
}

/// A tree that needs extended directories, and long links.
pub(super) fn large_tree() -> Rootfs {
    let mut rootfs = Rootfs::new(IMPLIED);
    for number in 0..70_000 {
        let content = if number % 1000 == 0 { noise(number, 300) } else { Vec::new() };
        let name =
            format!("/many/{number:07}-{}", "x".repeat(usize::try_from(number % 40).unwrap()));
        rootfs.add_file(&path(name), bytes(content)).unwrap();
    }
    for number in 0..300 {
        let name = format!("/some/{number}/{}", "y".repeat(200));
        rootfs.add_file(&path(&name), bytes(name.as_bytes())).unwrap();
    }
    rootfs
}
