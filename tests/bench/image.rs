//! Our squashfs writer against `mksquashfs`, on the same tree in the same run.
//!
//! `cargo bench --bench image -- [--rounds N] [--jobs N] TREE…`: for each directory TREE, which is
//! read once before anything is measured, the median of N rounds (3) of wall and CPU time, peak
//! memory, and the image's size. Images go to the temporary directory.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for us alone")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use module_export::base::{Epoch, Interrupt, Silent, fs::sorted_dir};
use module_export::image::{SquashfsOptions, squashfs};
use module_export::rootfs::{self, Content, FileId, ImagePath, Metadata, Rootfs, Symlink};

fn main() {
    let mut words: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == "--write") {
        write(&words[1], &words[2], Path::new(&words[3]), Path::new(&words[4]), &words[5]);
        return;
    }
    let mut option = |name: &str, default: &str| {
        words.iter().position(|word| word == name).map_or(default.to_owned(), |at| {
            words.remove(at);
            words.remove(at)
        })
    };
    let rounds = option("--rounds", "3").parse().unwrap();
    let jobs = option("--jobs", "2");
    if words.is_empty() {
        println!("no tree to measure: cargo bench --bench image -- [--rounds N] [--jobs N] TREE…");
    }
    for tree in &words {
        compare(Path::new(tree), rounds, &jobs);
    }
}

/// Measures all writers on `tree` and prints a table.
fn compare(tree: &Path, rounds: usize, jobs: &str) {
    let (entries, bytes) = warm(tree);
    println!("\n{}: {entries} entries, {:.0} MB, {jobs} threads", tree.display(), mega(bytes));
    println!("{:28} {:>8} {:>8} {:>8} {:>9}", "", "wall s", "CPU s", "peak MB", "size MB");
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    let myself = std::env::current_exe().unwrap();
    let ours = |codec: &str, digests: &str| {
        let mut command = Command::new(&myself);
        command.args(["--write", codec, jobs]).arg(tree).arg(&image).arg(digests);
        command
    };
    let theirs = |options: &[&str]| {
        let mut command = Command::new("mksquashfs");
        command.arg(tree).arg(&image).args(["-no-progress", "-noappend", "-processors", jobs]);
        command.args(options);
        command
    };
    let rows: [(&str, &dyn Fn() -> Command); 8] = [
        ("mksquashfs (gzip 9)", &|| theirs(&[])),
        ("mksquashfs zstd 3", &|| theirs(&["-comp", "zstd", "-Xcompression-level", "3"])),
        ("ours gzip:6", &|| ours("gzip:6", "false")),
        ("ours gzip:6, digests", &|| ours("gzip:6", "true")),
        ("ours zstd:3", &|| ours("zstd:3", "false")),
        ("ours zstd:3, digests", &|| ours("zstd:3", "true")),
        ("ours none", &|| ours("none", "false")),
        ("tar (floor)", &|| tar(tree)),
    ];
    let mut base: Option<Measured> = None;
    for (name, command) in rows {
        let mut results: Vec<Measured> = Vec::new();
        for _ in 0..rounds {
            let _ = fs::remove_file(&image);
            results.push(measure(command(), &image));
        }
        let middle = |key: fn(&Measured) -> f64| {
            let mut values: Vec<f64> = results.iter().map(key).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let median = Measured {
            wall: middle(|m| m.wall),
            cpu: middle(|m| m.cpu),
            peak: middle(|m| m.peak),
            size: middle(|m| m.size),
        };
        let base = base.get_or_insert_with(|| median.clone());
        println!(
            "{name:28} {:8.2} {:8.2} {:8.0} {:9.1}   CPU 1/{:.1}, wall 1/{:.1}, size {:+.1} %",
            median.wall,
            median.cpu,
            median.peak,
            median.size,
            base.cpu / median.cpu,
            base.wall / median.wall,
            100.0 * (median.size / base.size - 1.0),
        );
    }
}

fn tar(tree: &Path) -> Command {
    let mut command = Command::new("sh");
    // GNU tar does not read what it writes to /dev/null
    command.args(["-c", "tar -cf - . | cat >/dev/null"]).current_dir(tree);
    command
}

#[derive(Clone)]
struct Measured {
    wall: f64,
    cpu: f64,
    peak: f64,
    size: f64,
}

/// Runs a command to its end. The kernel keeps a process' times until it is waited for, but not
/// its peak memory, so that is asked for again and again.
fn measure(mut command: Command, image: &Path) -> Measured {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let id = child.id();
    let mut peak = 0.0;
    let (wall, cpu) = loop {
        if let Some(found) = status_field(id, "VmHWM:") {
            peak = found / 1000.0;
        }
        let line = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let fields: Vec<&str> = line.rsplit(") ").next().unwrap().split(' ').collect();
        if fields[0] == "Z" {
            // its own and its waited-for children's, in hundredths of a second
            let ticks: f64 = fields[11..15].iter().map(|f| f.parse::<f64>().unwrap()).sum();
            break (start.elapsed().as_secs_f64(), ticks / 100.0);
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(child.wait().unwrap().success(), "{command:?}");
    let size = fs::metadata(image).map_or(0, |found| found.len());
    Measured { wall, cpu, peak, size: mega(size) }
}

fn status_field(id: u32, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[allow(clippy::cast_precision_loss, reason = "for people to read")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Reads everything once; returns entries and bytes.
fn warm(path: &Path) -> (u64, u64) {
    let found = path.symlink_metadata().unwrap();
    if found.is_dir() {
        let below = sorted_dir(path).unwrap();
        below
            .iter()
            .map(|name| warm(&path.join(name)))
            .fold((1, 0), |(entries, bytes), below| (entries + below.0, bytes + below.1))
    } else if found.is_file() {
        let mut file = File::open(path).unwrap();
        (1, io::copy(&mut file.by_ref(), &mut io::sink()).unwrap())
    } else {
        (1, 0)
    }
}

/// What is measured: the plan of a tree, and its image.
fn write(codec: &str, jobs: &str, tree: &Path, image: &Path, digests: &str) {
    let mut rootfs = Rootfs::new(metadata(tree));
    scan(tree, &ImagePath::root(), &mut rootfs, &mut BTreeMap::new());
    let options = SquashfsOptions {
        compression: codec.parse().unwrap(),
        jobs: jobs.parse().unwrap(),
        digests: digests.parse().unwrap(),
        ..SquashfsOptions::default()
    };
    let mut out = File::create(image).unwrap();
    let interrupt = Interrupt::default();
    squashfs::write(&rootfs, &options, &mut out, &mut |_| Vec::new(), &Silent, &interrupt).unwrap();
}

fn metadata(path: &Path) -> Metadata {
    let found = path.symlink_metadata().unwrap();
    let mode = u16::try_from(found.mode() & 0o7777).unwrap();
    Metadata { mode, mtime: Epoch::clamped(found.mtime()) }
}

fn scan(host: &Path, at: &ImagePath, rootfs: &mut Rootfs, seen: &mut BTreeMap<(u64, u64), FileId>) {
    for name in sorted_dir(host).unwrap() {
        let path = at.join_name(name.as_bytes());
        let host: PathBuf = host.join(&name);
        let found = host.symlink_metadata().unwrap();
        let mtime = Epoch::clamped(found.mtime());
        let mode = u16::try_from(found.mode() & 0o7777).unwrap();
        if found.is_dir() {
            rootfs.add_directory(&path, Metadata { mode, mtime }).unwrap();
            scan(&host, &path, rootfs, seen);
        } else if found.is_symlink() {
            let target = fs::read_link(&host).unwrap().into_os_string().into_vec();
            rootfs.add_symlink(&path, Symlink { mtime, target, reason: "b:".into() }).unwrap();
        } else if let Some(id) = seen.get(&(found.dev(), found.ino())) {
            rootfs.add_hard_link(&path, *id).unwrap();
        } else if found.is_file() {
            let file = rootfs::File {
                metadata: Metadata { mode, mtime },
                size: found.size(),
                content: Content::Host(host),
                reason: "b:".into(),
            };
            let id = rootfs.add_file(&path, file).unwrap();
            if found.nlink() > 1 {
                seen.insert((found.dev(), found.ino()), id);
            }
        }
    }
}
