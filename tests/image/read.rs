//! Our reader: images of others, our own, and hostile ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use module_export::base::{Digest, Interrupt, Silent};
use module_export::image::read::{Chunk, FoundKind, Image, unpack};
use module_export::image::{Compression, ImageError, SquashfsOptions};
use module_export::rootfs::{Metadata, Rootfs, Symlink};

use super::samples::{large_tree, odd_tree};
use super::squashfs::write_to;
use super::tools::{run, tool};
use super::tree::{IMPLIED, Shown, Tree, assert_same, bytes, expected, kind_name, on_disk, path};

/// What our reader shows of an image.
pub(crate) fn ours(image: &Path) -> Result<Tree, ImageError> {
    let image = Image::open(image)?;
    let mut tree = Tree::new();
    let mut first = BTreeMap::new();
    image.walk(|path, found| {
        let name = path.as_bytes().escape_ascii().to_string();
        let (mode, time) = (found.metadata.mode, found.metadata.mtime.seconds());
        let shown = match &found.kind {
            FoundKind::Directory => Shown::Directory(mode, time),
            FoundKind::Symlink(target) => Shown::Symlink(time, target.escape_ascii().to_string()),
            FoundKind::Special(kind) => Shown::Special(mode, time, kind_name(*kind)),
            FoundKind::Device => Shown::Device,
            FoundKind::File(file) => {
                let mut content = Vec::new();
                image.copy(file, |chunk| {
                    match chunk {
                        Chunk::Data(data) => content.extend(data),
                        Chunk::Hole(size) => content.resize(content.len() + size as usize, 0),
                    }
                    Ok(())
                })?;
                let first = first.entry(found.inode).or_insert_with(|| name.clone()).clone();
                let (links, size) = (u64::from(found.links), content.len() as u64);
                assert_eq!(size, file.size());
                Shown::File(mode, time, links, size, Digest::of(&content), first)
            }
        };
        assert!(tree.insert(name.clone(), shown).is_none(), "{name}");
        Ok(())
    })?;
    Ok(tree)
}

/// What `backhand` shows, but for the number of links and what is linked to what.
pub(crate) fn theirs(image: &Path) -> Tree {
    let file = std::io::BufReader::new(fs::File::open(image).unwrap());
    let image = backhand::FilesystemReader::from_reader(file).unwrap();
    let mut tree = Tree::new();
    for node in image.files() {
        use std::os::unix::ffi::OsStrExt as _;
        let name = |path: &Path| path.as_os_str().as_bytes().escape_ascii().to_string();
        let (mode, time) = (node.header.permissions, node.header.mtime);
        assert_eq!((node.header.uid, node.header.gid), (0, 0));
        let shown = match &node.inner {
            backhand::InnerNode::Dir(_) => Shown::Directory(mode, time),
            backhand::InnerNode::Symlink(link) => Shown::Symlink(time, name(&link.link)),
            backhand::InnerNode::File(file) => {
                let mut content = Vec::new();
                image.file(file).reader().read_to_end(&mut content).unwrap();
                let digest = Digest::of(&content);
                Shown::File(mode, time, 0, content.len() as u64, digest, String::new())
            }
            backhand::InnerNode::NamedPipe => Shown::Special(mode, time, "fifo"),
            backhand::InnerNode::Socket => Shown::Special(mode, time, "socket"),
            other => panic!("{other:?}"),
        };
        tree.insert(name(&node.fullpath), shown);
    }
    tree
}

pub(crate) fn without_links(mut tree: Tree) -> Tree {
    for shown in tree.values_mut() {
        if let Shown::File(_, _, links, _, _, first) = shown {
            (*links, *first) = (0, String::new());
        }
    }
    tree
}

#[test]
fn our_reader_and_backhand_find_what_was_written() {
    let (odd, late) = odd_tree();
    let all = &[Compression::Gzip(1), Compression::Zstd(1), Compression::None][..];
    for (rootfs, late, compressions) in
        [(odd, late, all), (large_tree(), BTreeMap::new(), &all[..1])]
    {
        let want = expected(&rootfs, &late);
        for &compression in compressions {
            let work = tempfile::tempdir().unwrap();
            let image = work.path().join("image.squashfs");
            let options = SquashfsOptions { compression, ..SquashfsOptions::default() };
            write_to(&image, &rootfs, &options, &late).unwrap();
            assert_same(&ours(&image).unwrap(), &want, "our reader");
            assert_same(&theirs(&image), &without_links(want.clone()), "backhand");
        }
    }
}

#[test]
fn an_unpacked_image_is_what_was_written() {
    let (rootfs, late) = odd_tree();
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    write_to(&image, &rootfs, &SquashfsOptions::default(), &late).unwrap();
    let out = work.path().join("out");
    let unpacked = unpack(&image, &out, &Silent, &Interrupt::default()).unwrap();
    let want = expected(&rootfs, &late);
    assert_same(&on_disk(&out), &want, "unpacked");
    let files = want.values().filter(|shown| matches!(shown, Shown::File(..))).count();
    assert_eq!(unpacked.files, files as u64);

    // what is there already is left alone
    let error = unpack(&image, &out, &Silent, &Interrupt::default()).unwrap_err();
    assert!(error.to_string().starts_with("cannot create the directory"), "{error}");
    let interrupt = Interrupt::default();
    interrupt.set();
    let error = unpack(&image, &work.path().join("not"), &Silent, &interrupt).unwrap_err();
    assert!(matches!(error, ImageError::Interrupted(_)));
}

#[test]
fn single_files_are_found_by_path() {
    let (rootfs, late) = odd_tree();
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    write_to(&image, &rootfs, &SquashfsOptions::default(), &late).unwrap();
    let image = Image::open(&image).unwrap();
    assert_eq!(image.read(&path("/copy/of/one"), 10).unwrap(), b"x");
    assert_eq!(image.read(&path("/empty"), 0).unwrap(), b"");
    assert!(image.read(&path("/text"), 100).unwrap_err().to_string().contains("600000 bytes"));
    for missing in ["/nothing", "/one/below", "/copy", "/to/self", "/copy/of/zer", "/"] {
        let error = image.read(&path(missing), 10).unwrap_err();
        assert!(matches!(error, ImageError::NotFound { .. }), "{missing}: {error}");
    }
}

#[test]
fn images_by_mksquashfs_are_read() {
    let Some(program) = tool("mksquashfs") else { return };
    let (rootfs, late) = odd_tree();
    let work = tempfile::tempdir().unwrap();
    let ours_at = work.path().join("ours.squashfs");
    write_to(&ours_at, &rootfs, &SquashfsOptions::default(), &late).unwrap();
    let tree = work.path().join("tree");
    unpack(&ours_at, &tree, &Silent, &Interrupt::default()).unwrap();
    let want = on_disk(&tree);
    for options in [
        &["-comp", "gzip"][..],
        &["-comp", "zstd", "-Xcompression-level", "1", "-b", "1M"],
        &["-comp", "gzip", "-no-fragments", "-b", "4096"],
        &["-noI", "-noD", "-noF", "-no-exports"],
        &["-comp", "xz"],
        &["-comp", "xz", "-Xbcj", "x86", "-b", "1M"],
        &["-comp", "lz4"],
        &["-comp", "lz4", "-Xhc", "-b", "4096"],
    ] {
        let image = work.path().join("theirs.squashfs");
        let mut command = Command::new(&program);
        command.arg(&tree).arg(&image).args(["-noappend", "-no-progress", "-all-root"]);
        run(command.args(options));
        assert_same(&ours(&image).unwrap(), &want, &format!("{options:?}"));
    }
    let image = work.path().join("lzo.squashfs");
    run(Command::new(&program).arg(&tree).arg(&image).args(["-comp", "lzo", "-no-progress"]));
    let error = ours(&image).unwrap_err().to_string();
    assert!(error.ends_with("is no readable image: lzo is not read here"), "{error}");
}

/// An image in which nothing is compressed, so that its bytes can be changed by hand.
fn plain_image(rootfs: &Rootfs) -> (tempfile::TempDir, std::path::PathBuf) {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    let options = SquashfsOptions { compression: Compression::None, ..SquashfsOptions::default() };
    write_to(&image, rootfs, &options, &BTreeMap::new()).unwrap();
    (work, image)
}

fn replace(image: &Path, from: &[u8], to: &[u8]) {
    let mut bytes = fs::read(image).unwrap();
    let found: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert_eq!(found.len(), 1, "{}", from.escape_ascii());
    bytes[found[0]..][..to.len()].copy_from_slice(to);
    fs::write(image, bytes).unwrap();
}

#[test]
fn no_name_leads_out_of_the_destination() {
    for hostile in [&b".."[..], b".\0", b"/x", b"a/"] {
        let mut rootfs = Rootfs::new(IMPLIED);
        rootfs.add_file(&path("/sub/QQ"), bytes("gotcha")).unwrap();
        let (work, image) = plain_image(&rootfs);
        replace(&image, b"QQ", hostile);
        let error =
            unpack(&image, &work.path().join("out"), &Silent, &Interrupt::default()).unwrap_err();
        assert!(matches!(error, ImageError::Malformed { .. }), "{error}");
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().as_os_str().as_encoded_bytes().to_vec();
    for below in ["/QR/file", "/QR"] {
        let mut rootfs = Rootfs::new(IMPLIED);
        let link = Symlink { mtime: IMPLIED.mtime, target: target.clone(), reason: "t:".into() };
        rootfs.add_symlink(&path("/QQ"), link).unwrap();
        rootfs.add_file(&path(below), bytes("gotcha")).unwrap();
        let (work, image) = plain_image(&rootfs);
        replace(&image, b"QR", b"QQ");
        let error =
            unpack(&image, &work.path().join("out"), &Silent, &Interrupt::default()).unwrap_err();
        assert!(error.to_string().contains("names out of order"), "{error}");
        assert_eq!(fs::metadata(outside.path()).unwrap().permissions(), {
            let fresh = tempfile::tempdir().unwrap();
            fs::metadata(fresh.path()).unwrap().permissions()
        });
        assert!(!outside.path().join("file").exists());
    }
}

#[test]
fn setuid_bits_are_not_unpacked() {
    let mut rootfs = Rootfs::new(IMPLIED);
    let mut file = bytes("x");
    file.metadata.mode = 0o6755;
    rootfs.add_file(&path("/sub/file"), file).unwrap();
    rootfs.add_directory(&path("/shut"), Metadata { mode: 0o2500, ..IMPLIED }).unwrap();
    rootfs.add_file(&path("/shut/in"), bytes("y")).unwrap();
    let (work, image) = plain_image(&rootfs);
    let out = work.path().join("out");
    unpack(&image, &out, &Silent, &Interrupt::default()).unwrap();
    let tree = on_disk(&out);
    let mode = |name: &str| match tree[name] {
        Shown::File(mode, ..) | Shown::Directory(mode, _) => mode,
        Shown::Symlink(..) | Shown::Special(..) | Shown::Device => 0,
    };
    assert_eq!((mode("/sub/file"), mode("/shut"), mode("/shut/in")), (0o755, 0o500, 0o644));
}

/// A small image that has everything: blocks, fragments, links, an extended directory.
fn small_tree() -> Rootfs {
    let mut rootfs = Rootfs::new(IMPLIED);
    for number in 0..400 {
        rootfs.add_file(&path(format!("/dir/{number:0>40}")), bytes("x".repeat(number))).unwrap();
    }
    let file = rootfs.add_file(&path("/large"), bytes(vec![7; 20_000])).unwrap();
    rootfs.add_hard_link(&path("/linked"), file).unwrap();
    let link = Symlink { mtime: IMPLIED.mtime, target: b"large".into(), reason: "t:".into() };
    rootfs.add_symlink(&path("/link"), link).unwrap();
    rootfs
}

/// Reads a broken image to its end; it may be readable, but only in finite time and memory.
fn survive(image: &Path, what: &str) -> bool {
    match ours(image) {
        Ok(_) => true,
        Err(ImageError::Malformed { what, .. }) => {
            assert!(!what.is_empty());
            false
        }
        Err(error) => panic!("{what}: {error:?}"),
    }
}

#[test]
fn a_truncated_image_is_an_error_that_says_where() {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    for compression in [Compression::Gzip(6), Compression::None] {
        let options =
            SquashfsOptions { compression, block_bytes: 4096, ..SquashfsOptions::default() };
        write_to(&image, &small_tree(), &options, &BTreeMap::new()).unwrap();
        let whole = fs::read(&image).unwrap();
        let used = u64::from_le_bytes(whole[40..48].try_into().unwrap());
        let used = usize::try_from(used).unwrap();
        for length in (0..used).step_by(97).chain([used - 1]) {
            fs::write(&image, &whole[..length]).unwrap();
            assert!(!survive(&image, &format!("truncated at {length}")), "{length}");
        }
        fs::write(&image, &whole[..used]).unwrap();
        assert!(survive(&image, "without padding"));
    }
}

#[test]
fn a_changed_byte_anywhere_does_no_harm() {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    for (compression, step) in [(Compression::Gzip(6), 61), (Compression::None, 211)] {
        let options =
            SquashfsOptions { compression, block_bytes: 4096, ..SquashfsOptions::default() };
        write_to(&image, &small_tree(), &options, &BTreeMap::new()).unwrap();
        let whole = fs::read(&image).unwrap();
        let tables =
            usize::try_from(u64::from_le_bytes(whole[64..72].try_into().unwrap())).unwrap();
        for at in (0..96).chain((tables..whole.len()).step_by(step)) {
            for value in [0, 0x7f, 0xff, whole[at] ^ 1, whole[at] ^ 0x80] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                fs::write(&image, bytes).unwrap();
                survive(&image, &format!("{value:#x} at {at}"));
            }
        }
    }
}

#[test]
fn what_is_no_image_is_refused_in_words() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("file");
    for (content, want) in [
        (vec![], "its end is missing: no superblock at byte 0"),
        (vec![0; 4096], "it is neither a SIF nor a squashfs"),
        ([&[0; 32][..], b"SIF_MAGIC\0", &[0; 20]].concat(), "its end is missing: no header"),
        ([&[0; 32][..], b"SIF_MAGIC\0", &[0; 200]].concat(), "it has no primary partition"),
        ([&[0; 32][..], b"SIF_MAGIC\0", &[0xff; 200]].concat(), "it claims 18446744073709551615"),
    ] {
        fs::write(&file, content).unwrap();
        let error = Image::open(&file).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    let error = Image::open(work.path()).unwrap_err().to_string();
    assert!(error.contains("neither an image-layout nor a root file system"), "{error}");
    let fifo = work.path().join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    fs::write(work.path().join("oci-layout"), "{}").unwrap();
    for waits in [fifo.clone(), work.path().to_owned()] {
        // a layout whose index nobody writes
        let _ = std::os::unix::fs::symlink("fifo", work.path().join("index.json"));
        let error = Image::open(&waits).unwrap_err().to_string();
        assert!(error.contains("it is not a regular file"), "{error}");
    }
    let error = Image::open(&work.path().join("none")).unwrap_err().to_string();
    assert!(error.starts_with("cannot open `"), "{error}");
}
