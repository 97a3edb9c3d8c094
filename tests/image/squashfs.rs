//! Bare squashfs files: what other readers find in them.

use std::collections::BTreeMap;
use std::fs::{self, File as HostFile};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;

use module_export::base::{Epoch, Interrupt, Silent};
use module_export::image::squashfs::{Compression, SquashfsOptions, SquashfsWritten, write};
use module_export::image::{FileDigest, ImageError};
use module_export::rootfs::{Content, FileId, Metadata, Rootfs, Symlink};

use super::tools::{Mounted, run, tool};
use super::tree::{
    IMPLIED, Tree, assert_same, bytes, expected, noise, on_disk, path, without_identity,
};

const BLOCK: usize = 128 * 1024;

fn jobs(jobs: usize) -> SquashfsOptions {
    SquashfsOptions { jobs: NonZeroUsize::new(jobs).unwrap(), ..SquashfsOptions::default() }
}

fn write_to(
    file: &Path,
    rootfs: &Rootfs,
    options: &SquashfsOptions,
    late: &BTreeMap<FileId, Vec<u8>>,
) -> Result<SquashfsWritten, ImageError> {
    let mut out = HostFile::create(file).unwrap();
    let mut contents =
        |_: &[Option<FileDigest>]| late.iter().map(|(id, bytes)| (*id, bytes.clone())).collect();
    let written = write(rootfs, options, &mut out, &mut contents, &Silent, &Interrupt::default())?;
    out.set_len(written.bytes).unwrap();
    Ok(written)
}

/// Odd names, odd sizes, odd links.
fn odd_tree() -> (Rootfs, BTreeMap<FileId, Vec<u8>>) {
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
    let deep = "/deep".to_owned() + &"/d".repeat(300) + "/file";
    rootfs.add_file(&path(deep), bytes("deep")).unwrap();
    rootfs.add_directory(&path("/none"), Metadata { mode: 0o700, ..IMPLIED }).unwrap();
    rootfs.add_directory(&path("/tmp"), Metadata { mode: 0o1777, ..IMPLIED }).unwrap();
    let late = module_export::rootfs::File { content: Content::Late, size: 0, ..bytes("") };
    let mut documents = BTreeMap::new();
    for (name, content) in [("/.doc/small", noise(8, 10)), ("/.doc/large", noise(9, 2 * BLOCK))] {
        documents.insert(rootfs.add_file(&path(name), late.clone()).unwrap(), content);
    }
    documents.insert(rootfs.add_file(&path("/.doc/none"), late).unwrap(), Vec::new());
    (rootfs, documents)
}

/// A tree that needs extended directories, and long links.
fn large_tree() -> Rootfs {
    let mut rootfs = Rootfs::new(IMPLIED);
    for number in 0..70_000 {
        let content = if number % 1000 == 0 { noise(number, 300) } else { Vec::new() };
        let name = format!("/many/{number:07}-{}", "x".repeat(usize::try_from(number % 40).unwrap()));
        rootfs.add_file(&path(name), bytes(content)).unwrap();
    }
    for number in 0..300 {
        let name = format!("/some/{number}/{}", "y".repeat(200));
        rootfs.add_file(&path(&name), bytes(name.as_bytes())).unwrap();
    }
    rootfs
}

fn unsquashed(image: &Path, to: &Path) -> Option<Tree> {
    let program = tool("unsquashfs")?;
    let mut command = Command::new(program);
    run(command.args(["-no-progress", "-d"]).arg(to).arg(image));
    Some(on_disk(to))
}

#[track_caller]
fn all_readers_agree(image: &Path, want: &Tree, work: &Path) {
    if let Some(got) = unsquashed(image, &work.join("unsquashed")) {
        assert_same(&got, want, "unsquashfs");
    }
    if let Some(mounted) = Mounted::kernel(image, 0, &work.join("kernel")) {
        assert_same(&on_disk(mounted.path()), want, "kernel");
    }
    if let Some(mounted) = Mounted::fuse(image, 0, &work.join("fuse")) {
        // libfuse numbers inodes by name
        let got = without_identity(on_disk(mounted.path()));
        assert_same(&got, &without_identity(want.clone()), "squashfuse");
    }
}

#[test]
fn other_readers_find_an_odd_tree_as_it_was_written() {
    let (rootfs, late) = odd_tree();
    let want = expected(&rootfs, &late);
    for compression in [Compression::Gzip(6), Compression::Zstd(3), Compression::None] {
        for (block_bytes, export_table) in [(BLOCK as u32, false), (4096, true), (1 << 20, false)] {
            let work = tempfile::tempdir().unwrap();
            let image = work.path().join("image.squashfs");
            let options =
                SquashfsOptions { compression, block_bytes, export_table, ..jobs(2) };
            let written = write_to(&image, &rootfs, &options, &late).unwrap();
            assert_eq!(written.bytes, fs::metadata(&image).unwrap().len());
            assert_eq!(written.bytes % 4096, 0);
            all_readers_agree(&image, &want, work.path());
        }
    }
}

#[test]
fn other_readers_find_every_name_of_large_directories() {
    let rootfs = large_tree();
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    write_to(&image, &rootfs, &jobs(2), &BTreeMap::new()).unwrap();
    all_readers_agree(&image, &expected(&rootfs, &BTreeMap::new()), work.path());
}

#[test]
fn an_empty_tree_is_an_image_too() {
    let rootfs = Rootfs::new(IMPLIED);
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    write_to(&image, &rootfs, &jobs(2), &BTreeMap::new()).unwrap();
    all_readers_agree(&image, &expected(&rootfs, &BTreeMap::new()), work.path());
}
