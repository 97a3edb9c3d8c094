//! Bare squashfs files: what other readers find in them.

use std::collections::BTreeMap;
use std::fs::{self, File as HostFile};

use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use module_export::base::{Digest, Interrupt, Silent};
use module_export::image::squashfs::{Compression, SquashfsOptions, SquashfsWritten, write};
use module_export::image::{FileDigest, ImageError};
use module_export::rootfs::{Content, FileId, Metadata, Node, Rootfs, Symlink};

use super::samples::{BLOCK, BLOCK_BYTES, COMPRESSIONS, large_tree, odd_tree};
use super::tools::{Mounted, run, tool};
use super::tree::{
    IMPLIED, Tree, assert_same, bytes, expected, noise, on_disk, path, scan, without_identity,
};

/// Options with so many compressor threads.
pub(super) fn jobs(jobs: usize) -> SquashfsOptions {
    SquashfsOptions { jobs: NonZeroUsize::new(jobs).unwrap(), ..SquashfsOptions::default() }
}

pub(crate) fn write_to(
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

pub(crate) fn unsquashed(image: &Path, to: &Path) -> Option<Tree> {
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
    for compression in COMPRESSIONS {
        for (block_bytes, export_table) in [(BLOCK_BYTES, false), (4096, true), (1 << 20, false)] {
            let work = tempfile::tempdir().unwrap();
            let image = work.path().join("image.squashfs");
            let options = SquashfsOptions { compression, block_bytes, export_table, ..jobs(2) };
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

#[test]
fn every_number_of_threads_gives_the_same_bytes() {
    let (rootfs, late) = odd_tree();
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    for digests in [true, false] {
        let mut first: Option<Vec<u8>> = None;
        for (threads, readers) in [(1, 1), (2, 16), (7, 3), (7, 64)] {
            let readers = NonZeroUsize::new(readers).unwrap();
            let options = SquashfsOptions { readers, digests, ..jobs(threads) };
            write_to(&image, &rootfs, &options, &late).unwrap();
            let bytes = fs::read(&image).unwrap();
            assert!(first.get_or_insert_with(|| bytes.clone()) == &bytes, "{threads}, {readers}");
        }
    }
}

#[test]
fn digests_do_not_change_the_image() {
    let (rootfs, late) = odd_tree();
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    let written = write_to(&image, &rootfs, &jobs(2), &late).unwrap();
    let with = fs::read(&image).unwrap();
    let options = SquashfsOptions { digests: false, ..jobs(2) };
    let bare = write_to(&image, &rootfs, &options, &late).unwrap();
    assert!(with == fs::read(&image).unwrap());
    assert!(bare.digests.is_empty());
    assert!(written.digests.iter().all(Option::is_some));
}

/// By what git knows these contents.
fn git_blob(bytes: &[u8], work: &Path) -> Option<String> {
    let git = tool("git")?;
    let file = work.join("content");
    fs::write(&file, bytes).unwrap();
    let found = run(Command::new(git).args(["hash-object", "--no-filters"]).arg(&file)).stdout;
    Some(String::from_utf8(found).unwrap().trim().to_owned())
}

#[test]
fn late_documents_know_the_digest_of_every_other_file() {
    let (rootfs, late) = odd_tree();
    let work = tempfile::tempdir().unwrap();
    let mut out = HostFile::create(work.path().join("image.squashfs")).unwrap();
    let mut calls = 0;
    let mut contents = |digests: &[Option<FileDigest>]| {
        calls += 1;
        for (file, digest) in rootfs.files().iter().zip(digests) {
            match (&file.content, digest) {
                (Content::Bytes(bytes), Some(digest)) => {
                    assert_eq!((digest.size, digest.sha256), (file.size, Digest::of(bytes)));
                    let hex = digest.sha1_git.iter().map(|byte| format!("{byte:02x}"));
                    if let Some(want) = git_blob(bytes, work.path()) {
                        assert_eq!(hex.collect::<String>(), want);
                    }
                }
                (Content::Late, None) => {}
                other => panic!("{other:?}"),
            }
        }
        late.iter().map(|(id, bytes)| (*id, bytes.clone())).collect()
    };
    let interrupt = Interrupt::default();
    write(&rootfs, &jobs(2), &mut out, &mut contents, &Silent, &interrupt).unwrap();
    assert_eq!(calls, 1);
}

#[test]
fn equal_files_are_stored_once_and_holes_not_at_all() {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    let size = |files: &[(&str, Vec<u8>)]| {
        let mut rootfs = Rootfs::new(IMPLIED);
        for (name, content) in files {
            rootfs.add_file(&path(name), bytes(content.as_slice())).unwrap();
        }
        let written = write_to(&image, &rootfs, &jobs(2), &BTreeMap::new()).unwrap();
        assert_same(
            &super::read::ours(&image).unwrap(),
            &expected(&rootfs, &BTreeMap::new()),
            "our reader",
        );
        written.bytes
    };
    let (large, other) = (noise(1, 5 * BLOCK + 1000), noise(2, 5 * BLOCK + 1000));
    let once = size(&[("/a", large.clone())]);
    assert!(size(&[("/a", large.clone()), ("/b", large.clone())]) <= once + 4096);
    // taken back in the middle, and at the very end
    let twice = size(&[("/a", large.clone()), ("/b", other.clone())]);
    for files in [
        [("/a", large.clone()), ("/b", large.clone()), ("/c", other.clone())],
        [("/a", large.clone()), ("/b", other.clone()), ("/c", large.clone())],
    ] {
        assert!(size(&files) <= twice + 4096);
    }
    // only the last byte differs
    let mut near = large.clone();
    *near.last_mut().unwrap() ^= 1;
    assert!(size(&[("/a", large), ("/b", near)]) > once + 4 * BLOCK as u64);
    assert!(size(&[("/zeros", vec![0; 100 * BLOCK])]) <= 8192);
}

#[test]
fn hard_links_and_sparse_files_of_the_host_arrive() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("a"), noise(3, 3 * BLOCK / 2)).unwrap();
    fs::hard_link(source.join("a"), source.join("sub/b")).unwrap();
    let sparse = HostFile::create(source.join("sub/sparse")).unwrap();
    sparse.set_len(100 << 20).unwrap();
    sparse.write_all_at(b"here", 50 << 20).unwrap();
    let rootfs = scan(&source);
    let image = work.path().join("image.squashfs");
    let written = write_to(&image, &rootfs, &jobs(2), &BTreeMap::new()).unwrap();
    assert!(written.bytes < 1 << 20);
    let want = on_disk(&source);
    assert_same(&expected(&rootfs, &BTreeMap::new()), &want, "scanned");
    all_readers_agree(&image, &want, work.path());
}

/// Mounts `image` and compares size and last bytes of the files named.
fn ends_agree(image: &Path, source: &Path, at: &Path, names: &[&str]) {
    let Some(mounted) = Mounted::kernel(image, 0, at) else { return };
    for name in names {
        let end = |root: &Path| {
            let file = HostFile::open(root.join(name)).unwrap();
            let size = file.metadata().unwrap().len();
            let mut last = vec![0; BLOCK + 1];
            file.read_exact_at(&mut last, size - (BLOCK as u64 + 1)).unwrap();
            (size, last)
        };
        assert!(end(mounted.path()) == end(source), "{name}");
    }
}

#[test]
fn a_file_of_more_than_4_gib_is_found() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    fs::create_dir(&source).unwrap();
    // of which almost nothing is there
    let sparse = HostFile::create(source.join("sparse")).unwrap();
    sparse.set_len((4 << 30) + 12_345).unwrap();
    sparse.write_all_at(b"here", (4 << 30) + 5).unwrap();
    let rootfs = scan(&source);
    let image = work.path().join("image.squashfs");
    let options = SquashfsOptions { digests: false, ..jobs(2) };
    let written = write_to(&image, &rootfs, &options, &BTreeMap::new()).unwrap();
    assert!(written.bytes < 1 << 20);
    ends_agree(&image, &source, &work.path().join("kernel"), &["sparse"]);
}

#[test]
#[ignore = "writes an image of more than 4 GiB"]
fn what_lies_beyond_4_gib_of_data_is_found() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    fs::create_dir(&source).unwrap();
    let big = HostFile::create(source.join("big")).unwrap();
    big.set_len((4 << 30) + BLOCK as u64).unwrap();
    for block in 0..=(4_u64 << 30) / BLOCK as u64 {
        // so that no block is a hole
        big.write_all_at(&block.to_le_bytes(), block * BLOCK as u64 + 99).unwrap();
    }
    fs::write(source.join("z behind"), noise(5, 2 * BLOCK + 5)).unwrap();
    let rootfs = scan(&source);
    let image = work.path().join("image.squashfs");
    let options = SquashfsOptions { compression: Compression::None, digests: false, ..jobs(2) };
    let written = write_to(&image, &rootfs, &options, &BTreeMap::new()).unwrap();
    assert!(written.bytes > 4 << 30);
    ends_agree(&image, &source, &work.path().join("kernel"), &["big", "z behind"]);
}

#[test]
fn the_longest_link_that_can_be_is_written() {
    let mut rootfs = Rootfs::new(IMPLIED);
    for length in [255, 256, 4095] {
        let target = "t/".repeat(2048).into_bytes()[..length].to_vec();
        let link = Symlink { mtime: IMPLIED.mtime, target, reason: "t:".into() };
        rootfs.add_symlink(&path(format!("/{length}")), link).unwrap();
    }
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    write_to(&image, &rootfs, &jobs(1), &BTreeMap::new()).unwrap();
    let want = expected(&rootfs, &BTreeMap::new());
    assert_same(&super::read::ours(&image).unwrap(), &want, "our reader");
    all_readers_agree(&image, &want, work.path());
}

#[test]
fn an_image_may_begin_anywhere_in_its_file() {
    let (rootfs, late) = odd_tree();
    let mut contents =
        |_: &[Option<FileDigest>]| late.iter().map(|(id, bytes)| (*id, bytes.clone())).collect();
    let interrupt = Interrupt::default();
    let mut alone = std::io::Cursor::new(Vec::new());
    let written = write(&rootfs, &jobs(2), &mut alone, &mut contents, &Silent, &interrupt).unwrap();
    let mut behind = std::io::Cursor::new(vec![1; 5000]);
    behind.set_position(5000);
    let again = write(&rootfs, &jobs(2), &mut behind, &mut contents, &Silent, &interrupt).unwrap();
    assert_eq!(written, again);
    assert_eq!(behind.position(), 5000 + written.bytes);
    let end = usize::try_from(written.bytes).unwrap();
    assert!(behind.get_ref()[5000..5000 + end] == alone.get_ref()[..end]);
}

#[test]
fn an_ordinary_user_reads_every_file_of_a_kernel_mount() {
    let mut rootfs = odd_tree().0;
    // what assembling does to every tree
    rootfs.map_metadata(|directory, metadata| {
        let mode = metadata.mode | if directory { 0o555 } else { 0o444 };
        Metadata { mode, ..metadata }
    });
    let work = tempfile::tempdir().unwrap();
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let image = work.path().join("image.squashfs");
    write_to(&image, &rootfs, &jobs(2), &BTreeMap::new()).unwrap();
    let Some(mounted) = Mounted::kernel(&image, 0, &work.path().join("kernel")) else { return };
    let mut files = 0;
    rootfs.walk(|_, node| files += u64::from(matches!(node, Node::File(_))));
    let words = ["--reuid=65534", "--regid=65534", "--clear-groups", "find", ".", "-type", "f"];
    let cat = ["-exec", "cat", "--", "{}", ";", "-printf", "\nread\n"];
    let mut command = Command::new("setpriv");
    let output = run(command.args(words).args(cat).current_dir(mounted.path()));
    let read = output.stdout.windows(6).filter(|window| window == b"\nread\n").count();
    assert_eq!(read as u64, files);
}

#[test]
fn the_bytes_of_an_image_change_only_on_purpose() {
    let (rootfs, late) = odd_tree();
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    let mut changed = Vec::new();
    // a new compressor, or a new layout: say so where the change is noted, and update the digest
    for (compression, want) in [
        (Compression::Gzip(6), "8a6d48037571e8232cd6090444f920e07f4447d67efbcc0c2593650ae9532a37"),
        (Compression::Zstd(3), "143cb34b189f64942ead49ca0ebdbe840fe233fcb75e2aa9ed0cd00ce01d103e"),
        (Compression::None, "0a2db31bbaad74d4ae9d8cb51ffa36bb824caa0de83c3b6576f34f03fc99bb37"),
    ] {
        let options = SquashfsOptions { compression, ..jobs(2) };
        write_to(&image, &rootfs, &options, &late).unwrap();
        let digest = Digest::of(&fs::read(&image).unwrap()).to_string();
        if digest != want {
            changed.push(format!("{compression}: {digest}"));
        }
    }
    assert_eq!(changed, [] as [&str; 0]);
}
