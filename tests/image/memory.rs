//! How much memory an image of many files takes: measured in a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use module_export::image::{Compression, Format};
use module_export::rootfs::{Content, File, Rootfs};

use super::formats::options;
use super::tools::run;
use super::tree::{IMPLIED, bytes, path};
use super::write::try_write;

/// Files of the host that every directory of the tree has.
const REAL: usize = 500;
/// What may be used anyhow, and for each file, in bytes.
const FIXED: u64 = 80 << 20;
const EACH: u64 = 460;

/// A tree of so many files: half of them of the host, under names of their own, half of them made,
/// with contents of their own.
fn tree(host: &Path, files: usize) -> Rootfs {
    fs::create_dir(host.join("real")).unwrap();
    for number in 0..REAL {
        fs::write(host.join(format!("real/a file of the host {number:05}")), format!("{number}"))
            .unwrap();
    }
    let mut rootfs = Rootfs::new(IMPLIED);
    for directory in 0..files.div_ceil(2 * REAL) {
        let name = format!("directory {directory:05}");
        symlink("real", host.join(&name)).unwrap();
        for number in 0..REAL {
            let file = format!("{name}/a file of the host {number:05}");
            let content = Content::Host(host.join(&file));
            let size = number.to_string().len() as u64;
            let at = path(format!("/software/{file}"));
            rootfs.add_file(&at, File { content, size, ..bytes("") }).unwrap();
            let at = path(format!("/software/{name}/made {number:05}"));
            rootfs.add_file(&at, bytes(format!("{directory} {number}"))).unwrap();
        }
    }
    rootfs
}

fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
#[ignore = "two million files take minutes; MEMORY_TEST_FILES sets another number, MEMORY_TEST_FORMAT a format"]
fn two_million_files_take_less_than_a_gigabyte() {
    let files = number("MEMORY_TEST_FILES", 2_000_000);
    let format = std::env::var("MEMORY_TEST_FORMAT").unwrap_or("squashfs".to_owned());
    let format: Format = format.parse().unwrap();
    let work = tempfile::tempdir().unwrap();
    let rootfs = tree(work.path(), files);
    let planned = peak_bytes();
    let mut options = options(format, 2);
    if format.takes(Compression::Zstd(1)) {
        options.sif.squashfs.compression = Compression::Zstd(1);
    }
    let image = work.path().join("image");
    try_write(&image, &rootfs, format, &options, &BTreeMap::new()).unwrap();
    let peak = peak_bytes();
    let files = rootfs.files().len() as u64;
    eprintln!(
        "{format}, {files} files: peak {} MiB, of which the plan {} MiB",
        peak >> 20,
        planned >> 20
    );
    assert!(peak < FIXED + EACH * files, "{} bytes a file", (peak.saturating_sub(FIXED)) / files);
}

#[test]
fn memory_grows_by_little_with_each_file() {
    for format in ["squashfs", "tar.zst", "oci-archive"] {
        // the test's own process has other tests in it, and what they use
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "--ignored", "--nocapture"]);
        child.arg("image::memory::two_million_files_take_less_than_a_gigabyte");
        let output =
            run(child.env("MEMORY_TEST_FILES", "100000").env("MEMORY_TEST_FORMAT", format));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
    }
}
