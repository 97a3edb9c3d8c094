//! What stops the writer, and what it says before and meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File as HostFile};
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;

use module_export::base::{Interrupt, Progress, Silent};
use module_export::image::squashfs::{Compression, SquashfsOptions, write};
use module_export::image::{FileDigest, Format, ImageError, estimate_bytes};
use module_export::rootfs::{Node, Rootfs, Stamp, Symlink};

use super::samples::{BLOCK, BLOCK_BYTES, large_tree, odd_tree};
use super::squashfs::{jobs, write_to};
use super::tools::{is_root, run, skip};
use super::tree::{IMPLIED, bytes, noise, path, scan};
use super::write::{image_options, sif_options, try_write};

#[test]
fn a_source_that_changed_is_named() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    let image = work.path().join("image.squashfs");
    for size in [0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
        for (found, want) in [
            (size + 1, "were planned, more were read"),
            (size + 5 * BLOCK, "were planned, more were read"),
            (size.saturating_sub(1), "read"),
            (0, "were planned, 0 were read"),
        ] {
            if found == size {
                continue;
            }
            let _ = fs::remove_dir_all(&source);
            fs::create_dir(&source).unwrap();
            fs::write(source.join("a"), vec![1; BLOCK]).unwrap();
            fs::write(source.join("file"), noise(6, size)).unwrap();
            fs::write(source.join("z"), vec![1; BLOCK]).unwrap();
            let rootfs = scan(&source);
            fs::write(source.join("file"), noise(6, found)).unwrap();
            let error = write_to(&image, &rootfs, &jobs(2), &BTreeMap::new()).unwrap_err();
            let ImageError::Changed { path, planned, read } = &error else { panic!("{error}") };
            assert_eq!((path, *planned), (&source.join("file"), size as u64));
            assert_eq!(*read > *planned, found > size, "{error}");
            assert!(error.to_string().ends_with(want), "{error}");
        }
    }
}

#[test]
fn a_source_of_the_same_size_that_was_written_to_since_it_was_planned_is_named() {
    let work = tempfile::tempdir().unwrap();
    for size in [5, BLOCK, 3 * BLOCK + 1] {
        let source = work.path().join("source");
        let _ = fs::remove_dir_all(&source);
        fs::create_dir(&source).unwrap();
        let file = source.join("file");
        fs::write(&file, noise(6, size)).unwrap();
        let mut rootfs = scan(&source);
        let mut ids = Vec::new();
        rootfs.walk(|_, node| ids.extend(matches!(node, Node::File(_)).then_some(node)));
        let [Node::File(id)] = ids[..] else { panic!("{ids:?}") };
        let id = *id;
        rootfs.set_stamp(id, Stamp::of(&fs::metadata(&file).unwrap()));
        for format in [Format::Sif, Format::Tar, Format::TarGz, Format::OciArchive, Format::Sandbox]
        {
            let write = |rootfs: &Rootfs, at: &str| {
                let options = image_options(&sif_options());
                try_write(&work.path().join(at), rootfs, format, &options, &BTreeMap::new())
            };
            fs::write(&file, noise(7, size)).unwrap();
            let planned = fs::metadata(&file).unwrap().modified().unwrap();
            let handle = HostFile::options().write(true).open(&file).unwrap();
            handle.set_modified(planned + std::time::Duration::from_nanos(1)).unwrap();
            let error = write(&rootfs, "altered").unwrap_err();
            let named = matches!(&error, ImageError::Altered { path } if *path == file);
            assert!(named, "{format} {size}: {error}");
            rootfs.set_stamp(id, Stamp::of(&fs::metadata(&file).unwrap()));
            write(&rootfs, "same").unwrap_or_else(|error| panic!("{format} {size}: {error}"));
            for name in ["altered", "same"] {
                let at = work.path().join(name);
                let _ = fs::remove_file(&at).or_else(|_| fs::remove_dir_all(&at));
            }
        }
    }
}

#[test]
fn a_source_that_cannot_be_read_is_named() {
    type Spoil = fn(&Path);
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "content").unwrap();
    let rootfs = scan(&source);
    let image = work.path().join("image.squashfs");
    for (spoil, want) in [
        ((|_| ()) as Spoil, "cannot open"),
        (|file| fs::create_dir(file).unwrap(), "cannot read"),
        (|file| drop(run(Command::new("mkfifo").arg(file))), "7 bytes were planned, 0 were read"),
    ] {
        let file = source.join("file");
        let _ = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
        spoil(&file);
        let error = write_to(&image, &rootfs, &jobs(2), &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains(want) && error.contains("source/file"), "{error}");
    }
}

#[test]
fn what_squashfs_cannot_hold_is_refused() {
    let link = |target: Vec<u8>| Symlink { mtime: IMPLIED.mtime, target, reason: "t:".into() };
    let mut long_name = Rootfs::new(IMPLIED);
    long_name.add_file(&path("/".to_owned() + &"n".repeat(256)), bytes("")).unwrap();
    let mut long_link = Rootfs::new(IMPLIED);
    long_link.add_symlink(&path("/link"), link(vec![b'x'; 4096])).unwrap();
    let mut no_link = Rootfs::new(IMPLIED);
    no_link.add_symlink(&path("/link"), link(Vec::new())).unwrap();
    let work = tempfile::tempdir().unwrap();
    for rootfs in [long_name, long_link, no_link] {
        let error = write_to(&work.path().join("image"), &rootfs, &jobs(1), &BTreeMap::new());
        assert!(matches!(error, Err(ImageError::Unrepresentable { .. })), "{error:?}");
    }
    for block_bytes in [0, 2048, 4097, 1 << 21] {
        let options = SquashfsOptions { block_bytes, ..jobs(1) };
        let rootfs = Rootfs::new(IMPLIED);
        let error = write_to(&work.path().join("image"), &rootfs, &options, &BTreeMap::new());
        assert!(matches!(error, Err(ImageError::Options(_))), "{error:?}");
    }
}

#[test]
fn an_interrupt_stops_the_writing() {
    /// Asks to stop after so many reports.
    struct StopAfter(std::sync::atomic::AtomicU64, Interrupt);
    impl Progress for StopAfter {
        fn stage(&self, _: &str, _: Option<u64>, _: Option<u64>) {}
        fn advance(&self, _: u64, _: u64) {
            if self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1 {
                self.1.set();
            }
        }
        fn finish(&self) {}
    }
    let (rootfs, _) = odd_tree();
    let work = tempfile::tempdir().unwrap();
    for reports in [0, 1, 5, 20] {
        let interrupt = Interrupt::default();
        if reports == 0 {
            interrupt.set();
        }
        let progress = StopAfter(reports.into(), interrupt.clone());
        let mut out = HostFile::create(work.path().join("image")).unwrap();
        let mut late = |_: &[Option<FileDigest>]| Vec::new();
        let result = write(&rootfs, &jobs(2), &mut out, &mut late, &progress, &interrupt);
        assert!(matches!(result, Err(ImageError::Interrupted(_))), "{reports}");
    }
}

#[test]
fn progress_adds_up_to_what_was_announced() {
    #[derive(Default)]
    struct Sum(std::sync::Mutex<(u64, u64, u64, u64)>);
    impl Progress for Sum {
        fn stage(&self, _: &str, files: Option<u64>, bytes: Option<u64>) {
            let mut sum = self.0.lock().unwrap();
            (sum.0, sum.1) = (files.unwrap(), bytes.unwrap());
        }
        fn advance(&self, files: u64, bytes: u64) {
            let mut sum = self.0.lock().unwrap();
            (sum.2, sum.3) = (sum.2 + files, sum.3 + bytes);
        }
        fn finish(&self) {}
    }
    let (rootfs, _) = odd_tree();
    let progress = Sum::default();
    let mut out = std::io::Cursor::new(Vec::new());
    let mut late = |_: &[Option<FileDigest>]| Vec::new();
    write(&rootfs, &jobs(2), &mut out, &mut late, &progress, &Interrupt::default()).unwrap();
    let (files, bytes, files_done, bytes_done) = *progress.0.lock().unwrap();
    assert_eq!((files_done, bytes_done), (files, bytes));
}

#[test]
fn a_full_disk_is_an_error_at_any_byte() {
    /// Has room for so many bytes.
    struct Full(std::io::Cursor<Vec<u8>>, usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let room = self.1.saturating_sub(usize::try_from(self.0.position()).unwrap());
            if room == 0 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.0.write(&bytes[..bytes.len().min(room)])
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl Seek for Full {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }
    let (rootfs, _) = odd_tree();
    let mut late = |_: &[Option<FileDigest>]| Vec::new();
    let interrupt = Interrupt::default();
    let mut write_with = |room| {
        let mut out = Full(std::io::Cursor::new(Vec::new()), room);
        write(&rootfs, &jobs(2), &mut out, &mut late, &Silent, &interrupt)
    };
    let size = usize::try_from(write_with(usize::MAX).unwrap().reached).unwrap();
    for room in (0..size).step_by(size / 60).chain([95, 96, 97, size - 1]) {
        let result = write_with(room);
        let Err(ImageError::Write(error)) = result else { panic!("{room}: {result:?}") };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
}

#[test]
fn a_full_file_system_is_an_error() {
    if !is_root() {
        return skip("not root: no small file system to fill");
    }
    let work = tempfile::tempdir().unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=300k", "none"]).arg(work.path()));
    let (rootfs, late) = odd_tree();
    let result = write_to(&work.path().join("image"), &rootfs, &jobs(2), &late);
    run(Command::new("umount").arg(work.path()));
    let Err(ImageError::Write(error)) = result else { panic!("{result:?}") };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn the_estimate_is_never_too_small() {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image");
    let mut incompressible = Rootfs::new(IMPLIED);
    for number in 0..2000 {
        incompressible.add_file(&path(format!("/{number}")), bytes(noise(number, 700))).unwrap();
    }
    for rootfs in [Rootfs::new(IMPLIED), odd_tree().0, large_tree(), incompressible] {
        for block_bytes in [4096, BLOCK_BYTES] {
            let compression = Compression::None;
            let options = SquashfsOptions { compression, block_bytes, ..jobs(2) };
            let written = write_to(&image, &rootfs, &options, &BTreeMap::new()).unwrap();
            let estimate = estimate_bytes(&rootfs, Format::Squashfs);
            assert!(written.reached.max(written.bytes) <= estimate, "{estimate} {written:?}");
        }
    }
}

#[test]
fn a_failure_amid_many_large_files_ends_every_thread() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    fs::create_dir(&source).unwrap();
    for number in 0..80 {
        fs::write(source.join(format!("{number:02}")), noise(number, 8 * BLOCK)).unwrap();
    }
    let rootfs = scan(&source);
    // the second file is not what it was, with all readers at work behind it
    fs::write(source.join("01"), "short").unwrap();
    for threads in [1, 2, 7] {
        let image = work.path().join("image");
        let error = write_to(&image, &rootfs, &jobs(threads), &BTreeMap::new()).unwrap_err();
        assert!(matches!(error, ImageError::Changed { .. }), "{error}");
    }
}
