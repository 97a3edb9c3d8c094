//! What may go wrong while an image is written or read, in every format.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use module_export::base::fs::sorted_dir;
use module_export::base::{Interrupt, Silent};
use module_export::image::read::unpack;
use module_export::image::{Format, ImageError};
use module_export::rootfs::{Rootfs, Symlink};

use super::formats::{options, read_back};
use super::read::ours;
use super::samples::{BLOCK, large_tree};
use super::tools::{is_root, run, skip, tool};
use super::tree::{IMPLIED, bytes, expected, noise, path, scan};
use super::write::try_write;

/// All there are.
pub(crate) const FORMATS: [Format; 9] = [
    Format::Sif,
    Format::Squashfs,
    Format::Tar,
    Format::TarGz,
    Format::TarZst,
    Format::Oci,
    Format::OciArchive,
    Format::DockerArchive,
    Format::Sandbox,
];

fn write(at: &Path, rootfs: &Rootfs, format: Format) -> Result<u64, ImageError> {
    let written = try_write(at, rootfs, format, &options(format, 2), &BTreeMap::new());
    written.map(|written| written.size)
}

/// The system's word for what is at the bottom of an error.
fn system_error(error: &ImageError) -> Option<i32> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Whether at the bottom of an error is a full disk.
fn is_full(error: &ImageError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let kind = error.downcast_ref().map(io::Error::kind);
        if kind == Some(io::ErrorKind::StorageFull) {
            return true;
        }
        cause = error.source();
    }
    false
}

const EIO: i32 = 5;
const ENAMETOOLONG: i32 = 36;

#[test]
fn a_source_that_changed_since_it_was_planned_is_named() {
    type Spoil = fn(&Path);
    let rows: [(&str, Spoil, &str); 6] = [
        ("grown", |file| fs::write(file, noise(1, 300_001)).unwrap(), "more were read"),
        ("shrunk", |file| fs::write(file, noise(1, 299_999)).unwrap(), "299999 were read"),
        ("empty", |file| fs::write(file, "").unwrap(), "0 were read"),
        ("gone", |file| fs::remove_file(file).unwrap(), "cannot open"),
        (
            "a directory",
            |file| fs::remove_file(file).and_then(|()| fs::create_dir(file)).unwrap(),
            "cannot read",
        ),
        (
            "on a broken disk",
            |file| fs::remove_file(file).and_then(|()| symlink("/proc/self/mem", file)).unwrap(),
            "cannot read",
        ),
    ];
    for format in FORMATS {
        for (what, spoil, want) in rows {
            let work = tempfile::tempdir().unwrap();
            let source = work.path().join("source");
            fs::create_dir(&source).unwrap();
            fs::write(source.join("a"), vec![1; BLOCK]).unwrap();
            fs::write(source.join("file"), noise(1, 300_000)).unwrap();
            fs::write(source.join("z"), vec![1; BLOCK]).unwrap();
            let rootfs = scan(&source);
            spoil(&source.join("file"));
            let error = write(&work.path().join("image"), &rootfs, format).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(want) && said.contains("source/file"), "{format} {what}: {said}");
            if what == "on a broken disk" {
                assert_eq!(system_error(&error), Some(EIO), "{format}: {error:?}");
            }
        }
    }
}

#[test]
fn a_source_that_is_written_to_while_it_is_read_is_named() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    fs::create_dir(&source).unwrap();
    let large = source.join("large");
    fs::write(&large, noise(1, 12 << 20)).unwrap();
    let rootfs = scan(&source);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // the same bytes again and again: only the time tells
        let writing = scope.spawn(|| {
            let file = fs::File::options().write(true).open(&large).unwrap();
            while !done.load(Ordering::Relaxed) {
                file.write_all_at(&noise(1, 8), 0).unwrap();
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        for format in FORMATS {
            let mut options = options(format, 1);
            options.sif.squashfs.readers = std::num::NonZeroUsize::MIN;
            let image = work.path().join(format.to_string());
            let error = try_write(&image, &rootfs, format, &options, &BTreeMap::new());
            let Err(ImageError::Changed { path, planned, read }) = &error else {
                panic!("{format}: {error:?}")
            };
            assert_eq!((path, planned), (&large, read), "{format}");
            let said = error.unwrap_err().to_string();
            assert!(said.ends_with("it was written to while it was read"), "{said}");
        }
        done.store(true, Ordering::Relaxed);
        writing.join().unwrap();
    });
    for format in [Format::Squashfs, Format::Tar] {
        write(&work.path().join("image"), &rootfs, format).unwrap();
    }
}

/// A file system of so many pages.
struct Small(PathBuf);

impl Small {
    fn new(at: &Path, pages: u64) -> Self {
        let size = format!("size={}k", pages * 4);
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(at));
        Self(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        run(Command::new("umount").arg(&self.0));
    }
}

/// What is used of the file system that `at` is on, in pages.
fn used(at: &Path) -> u64 {
    let space = rustix::fs::statvfs(at).unwrap();
    (space.f_blocks - space.f_bfree) * space.f_frsize / 4096
}

#[test]
fn a_disk_that_fills_up_at_any_page_is_an_error() {
    if !is_root() {
        return skip("not root: no small file system to fill");
    }
    let work = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::new(IMPLIED);
    for number in 0..30_usize {
        let content = noise(number as u64, number * 1000);
        rootfs.add_file(&path(format!("/dir/{number}")), bytes(content)).unwrap();
    }
    for format in FORMATS {
        let image = work.path().join("image");
        let whole = {
            let _disk = Small::new(work.path(), 1000);
            write(&image, &rootfs, format).unwrap();
            used(work.path())
        };
        assert!((50..900).contains(&whole), "{format}: {whole}");
        for pages in [1, 2, 3, whole / 3, whole / 2, whole - 10, whole - 2, whole - 1] {
            let _disk = Small::new(work.path(), pages);
            let error = write(&image, &rootfs, format).unwrap_err();
            let said = error.to_string();
            assert!(is_full(&error), "{format} {pages}/{whole}: {said}");
            if format == Format::Oci {
                let mut left = sorted_dir(&image).unwrap();
                left.retain(|name| name != "blobs" && name != "oci-layout");
                assert!(left.is_empty(), "{left:?}");
                assert!(sorted_dir(&image.join("blobs/sha256")).unwrap().is_empty());
            }
        }
    }
}

/// Names and targets of the greatest length, in every spelling.
fn long_tree() -> Rootfs {
    let mut rootfs = Rootfs::new(IMPLIED);
    rootfs.add_file(&path("/.module-export/mark"), bytes("")).unwrap();
    for byte in [b'n', b'\xff', b'\n'] {
        for length in [99, 100, 101, 155, 254, 255] {
            let name = vec![byte; length];
            let file = bytes(name.clone());
            rootfs.add_file(&path([b"/".as_slice(), &name].concat()), file.clone()).unwrap();
            let below = [b"/d/".as_slice(), &name, b"/", &name].concat();
            let id = rootfs.add_file(&path(below), file).unwrap();
            rootfs.add_hard_link(&path([b"/e/".as_slice(), &name].concat()), id).unwrap();
            let target = [&name[..], b"/"].concat().repeat(20)[..(length * 16).min(4095)].to_vec();
            let link = Symlink { mtime: IMPLIED.mtime, target, reason: "t:".into() };
            rootfs.add_symlink(&path([b"/l/".as_slice(), &name].concat()), link).unwrap();
        }
    }
    rootfs
}

#[test]
fn names_and_targets_of_any_length_and_bytes_come_back() {
    let work = tempfile::tempdir().unwrap();
    let rootfs = long_tree();
    for format in FORMATS {
        let image = work.path().join(format.to_string());
        write(&image, &rootfs, format).unwrap();
        read_back(&image, &rootfs, &BTreeMap::new(), &format.to_string());
        let copy = work.path().join(format!("unpacked {format}"));
        unpack(&image, &copy, &Silent, &Interrupt::default()).unwrap();
        read_back(&copy, &rootfs, &BTreeMap::new(), &format.to_string());
    }
    let Some(tar) = tool("tar") else { return };
    let out = work.path().join("by tar");
    fs::create_dir(&out).unwrap();
    let archive = work.path().join("tar");
    run(Command::new(tar).arg("-xf").arg(archive).arg("-C").arg(&out));
    read_back(&out, &rootfs, &BTreeMap::new(), "GNU tar");
}

#[test]
fn a_path_longer_than_the_system_takes_is_read_and_refused_where_it_would_be_made() {
    let work = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::new(IMPLIED);
    let deep = format!("/{}", "d".repeat(250)).repeat(20) + "/file";
    rootfs.add_file(&path(&deep), bytes("deep")).unwrap();
    for format in FORMATS {
        let image = work.path().join(format.to_string());
        let written = write(&image, &rootfs, format);
        if format == Format::Sandbox {
            let error = written.unwrap_err();
            assert_eq!(system_error(&error), Some(ENAMETOOLONG), "{error}");
            continue;
        }
        written.unwrap();
        assert!(ours(&image).unwrap().contains_key(&deep), "{format}");
        let to = work.path().join("out");
        let error = unpack(&image, &to, &Silent, &Interrupt::default()).unwrap_err();
        assert_eq!(system_error(&error), Some(ENAMETOOLONG), "{format}: {error}");
        fs::remove_dir_all(&to).unwrap();
    }
}

#[test]
fn a_tree_deeper_than_any_that_people_make_is_read() {
    let work = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::new(IMPLIED);
    let deepest = "/d".repeat(3000) + "/file";
    rootfs.add_file(&path(&deepest), bytes("deepest")).unwrap();
    for format in [Format::Squashfs, Format::Tar, Format::Oci] {
        let image = work.path().join(format.to_string());
        write(&image, &rootfs, format).unwrap();
        assert!(ours(&image).unwrap().contains_key(&deepest), "{format}");
    }
}

#[test]
fn a_name_that_would_take_another_away_is_in_no_layer() {
    let work = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::new(IMPLIED);
    rootfs.add_file(&path("/.module-export/mark"), bytes("")).unwrap();
    rootfs.add_file(&path("/lib/.wh.x"), bytes("content")).unwrap();
    for format in FORMATS {
        let image = work.path().join(format.to_string());
        let written = write(&image, &rootfs, format);
        if matches!(format, Format::Oci | Format::OciArchive | Format::DockerArchive) {
            let said = written.unwrap_err().to_string();
            assert!(said.contains("`/lib/.wh.x`: in layers"), "{said}");
        } else {
            written.unwrap();
            read_back(&image, &rootfs, &BTreeMap::new(), &format.to_string());
        }
    }
}

#[test]
fn a_name_too_long_for_any_system_is_refused_or_comes_back() {
    let work = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::new(IMPLIED);
    rootfs.add_file(&path("/".to_owned() + &"n".repeat(256)), bytes("x")).unwrap();
    for format in FORMATS {
        let image = work.path().join(format.to_string());
        match write(&image, &rootfs, format) {
            Ok(_) => read_back(&image, &rootfs, &BTreeMap::new(), &format.to_string()),
            Err(ImageError::Unrepresentable { reason, .. }) => {
                assert_eq!(reason, "names have at most 255 bytes");
            }
            Err(error) => assert_eq!(system_error(&error), Some(ENAMETOOLONG), "{error}"),
        }
    }
}

/// The regular files of an image, or the image itself.
fn files_of(image: &Path) -> Vec<PathBuf> {
    if !image.is_dir() {
        return vec![image.to_owned()];
    }
    let below = sorted_dir(image).unwrap().into_iter().map(|name| image.join(name));
    below.filter(|path| !path.is_symlink()).flat_map(|path| files_of(&path)).collect()
}

/// Reads and unpacks what may be damaged: an error in words, or some tree, and nothing outside.
fn survive(image: &Path, work: &Path, what: &str) {
    let out = work.join("out");
    let read = ours(image);
    let unpacked = unpack(image, &out, &Silent, &Interrupt::default());
    for error in read.err().into_iter().chain(unpacked.err()) {
        let said = error.to_string();
        assert!(said.contains('`'), "{what}: `{said}` names nothing");
    }
    let mut names = sorted_dir(work).unwrap();
    names.retain(|name| name != "out" && name != "image");
    assert!(names.is_empty(), "{what}: {names:?}");
    if out.exists() {
        // modes may have become anything
        run(Command::new("chmod").args(["-R", "u+rwX"]).arg(&out));
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn damage_of_any_format_is_survived() {
    let (rootfs, documents) = {
        let mut rootfs = Rootfs::new(IMPLIED);
        for number in 0..20_usize {
            let content = noise(number as u64 / 2, number * 150);
            rootfs.add_file(&path(format!("/.module-export/{number}")), bytes(content)).unwrap();
        }
        let linked = rootfs.add_file(&path("/a"), bytes("linked")).unwrap();
        rootfs.add_hard_link(&path("/dir/b"), linked).unwrap();
        let link = Symlink { mtime: IMPLIED.mtime, target: b"../a".into(), reason: "t:".into() };
        rootfs.add_symlink(&path("/dir/c"), link).unwrap();
        (rootfs, BTreeMap::new())
    };
    for format in FORMATS {
        let top = tempfile::tempdir().unwrap();
        let work = top.path().join("work");
        fs::create_dir(&work).unwrap();
        let image = work.join("image");
        try_write(&image, &rootfs, format, &options(format, 1), &documents).unwrap();
        for file in files_of(&image) {
            let whole = fs::read(&file).unwrap();
            let what = |how: &str, at: usize| format!("{format}, {} {how} {at}", file.display());
            let samples = if format == Format::Sandbox { 1 } else { 12 };
            for at in (0..whole.len()).step_by(whole.len() / samples + 1) {
                fs::write(&file, &whole[..at]).unwrap();
                survive(&image, &work, &what("cut at", at));
                for value in [whole[at] ^ 1, 0, 0xff] {
                    let mut changed = whole.clone();
                    changed[at] = value;
                    fs::write(&file, &changed).unwrap();
                    survive(&image, &work, &what("changed at", at));
                }
            }
            fs::write(&file, &whole).unwrap();
        }
        let want = expected(&rootfs, &documents);
        assert_eq!(ours(&image).unwrap().len(), want.len(), "{format} is whole again");
    }
}

#[test]
fn directories_of_70000_names_come_back_from_streams_and_layers() {
    let rootfs = large_tree();
    let work = tempfile::tempdir().unwrap();
    for format in [Format::Tar, Format::OciArchive] {
        let image = work.path().join(format.to_string());
        write(&image, &rootfs, format).unwrap();
        read_back(&image, &rootfs, &BTreeMap::new(), &format.to_string());
    }
}

#[test]
#[ignore = "a million files in every format take minutes"]
fn a_directory_of_a_million_names_comes_back() {
    let mut rootfs = Rootfs::new(IMPLIED);
    rootfs.add_file(&path("/.module-export/mark"), bytes("")).unwrap();
    for number in 0..1_000_000 {
        let content = if number % 1000 == 0 { noise(number, 300) } else { Vec::new() };
        rootfs.add_file(&path(format!("/many/name of file {number}")), bytes(content)).unwrap();
    }
    let work = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let image = work.path().join(format.to_string());
        write(&image, &rootfs, format).unwrap();
        read_back(&image, &rootfs, &BTreeMap::new(), &format.to_string());
        eprintln!("{format}: {} bytes", image.metadata().unwrap().size());
        let remove = Command::new("rm").arg("-rf").arg(&image).status().unwrap();
        assert!(remove.success());
    }
}
