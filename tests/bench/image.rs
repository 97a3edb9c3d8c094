//! Our squashfs writer against `mksquashfs` and `tar`, on the same tree in the same run.
//!
//! `cargo bench --bench image -- [--rounds N] [--jobs N] TREE…`: for each directory TREE, which is
//! read once before anything is measured, the median of N rounds (3) of wall and CPU time, peak
//! memory, and the image's size, and their ratios. Images go to the temporary directory.
//! `tests/bench/trees DIR` makes two trees. Peak memory of a pipe is that of its shell.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for us alone")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use module_export::base::{Interrupt, Silent, fs::sorted_dir};
use module_export::image::{SquashfsOptions, squashfs};

#[path = "scan.rs"]
mod scan;

fn main() {
    let mut words: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == "--write") {
        write(&words[1..]);
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

/// What is measured, by the names of the table's rows.
const ROWS: [(&str, Peer); 9] = [
    ("mksquashfs (gzip 9)", Peer::Mksquashfs(&[])),
    ("mksquashfs zstd 3", Peer::Mksquashfs(&["-comp", "zstd", "-Xcompression-level", "3"])),
    ("tar | zstd -3 -T2", Peer::Tar("zstd -q -3 -T2 -c")),
    ("tar", Peer::Tar("cat")),
    ("ours gzip:6", Peer::Ours("gzip:6", "false")),
    ("ours gzip:6, digests", Peer::Ours("gzip:6", "true")),
    ("ours zstd:3", Peer::Ours("zstd:3", "false")),
    ("ours zstd:3, digests", Peer::Ours("zstd:3", "true")),
    ("ours none", Peer::Ours("none", "false")),
];

/// Ours, theirs, what is compared, and how much of theirs ours may be: of few large files, of many
/// small ones.
const GOALS: [(&str, &str, Key, [f64; 2]); 8] = [
    ("ours zstd:3", "mksquashfs zstd 3", Key::Cpu, [0.75, 0.60]),
    ("ours gzip:6", "mksquashfs (gzip 9)", Key::Cpu, [1.0 / 6.0, 1.0 / 3.0]),
    ("ours zstd:3", "mksquashfs (gzip 9)", Key::Cpu, [1.0 / 20.0, 1.0 / 6.0]),
    ("ours zstd:3", "tar | zstd -3 -T2", Key::Wall, [1.0, 1.0]),
    ("ours gzip:6", "mksquashfs (gzip 9)", Key::Size, [1.0, 1.0]),
    ("ours zstd:3", "mksquashfs zstd 3", Key::Size, [1.01, 1.01]),
    ("ours gzip:6, digests", "mksquashfs (gzip 9)", Key::Peak, [1.0, 1.0]),
    ("ours zstd:3, digests", "mksquashfs zstd 3", Key::Peak, [1.0, 1.0]),
];

/// Who writes.
#[derive(Clone, Copy)]
enum Peer {
    Mksquashfs(&'static [&'static str]),
    /// GNU tar into this command.
    Tar(&'static str),
    /// Codec, and whether digests are wanted.
    Ours(&'static str, &'static str),
}

#[derive(Clone, Copy, Debug)]
enum Key {
    Wall,
    Cpu,
    Peak,
    Size,
}

impl Peer {
    fn command(self, tree: &Path, image: &Path, jobs: &str) -> Command {
        match self {
            Self::Mksquashfs(options) => {
                let mut command = Command::new("mksquashfs");
                command.arg(tree).arg(image);
                command.args(["-no-progress", "-noappend", "-processors", jobs]).args(options);
                command
            }
            Self::Tar(into) => {
                let mut command = Command::new("sh");
                // GNU tar does not read what it writes to /dev/null
                command.arg("-c").arg(format!("tar -cf - . | {into} >\"$1\"")).arg("sh");
                command.arg(image).current_dir(tree);
                command
            }
            Self::Ours(codec, digests) => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args(["--write", codec, jobs]).arg(tree).arg(image).arg(digests);
                command
            }
        }
    }
}

/// Measures all writers on `tree` and prints a table. The rounds are interleaved, so that what else
/// the machine does meets all of them.
fn compare(tree: &Path, rounds: usize, jobs: &str) {
    let (entries, bytes) = warm(tree);
    println!("\n{}: {entries} entries, {:.0} MB, {jobs} threads", tree.display(), mega(bytes));
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image");
    let mut results: BTreeMap<&str, Vec<Measured>> = BTreeMap::new();
    for _ in 0..rounds {
        for (name, peer) in ROWS {
            let _ = fs::remove_file(&image);
            let measured = measure(peer.command(tree, &image, jobs), &image);
            results.entry(name).or_default().push(measured);
        }
    }
    let medians: BTreeMap<&str, Measured> =
        results.iter().map(|(name, rounds)| (*name, Measured::median(rounds))).collect();
    println!("{:28} {:>8} {:>8} {:>8} {:>9}", "", "wall s", "CPU s", "peak MB", "size MB");
    for (name, _) in ROWS {
        let Measured { wall, cpu, peak, size } = medians[name];
        println!("{name:28} {wall:8.2} {cpu:8.2} {peak:8.0} {size:9.1}");
    }
    // more than a few thousand files are many
    let column = usize::from(entries > 10_000);
    for (ours, theirs, key, goals) in GOALS {
        let ratio = medians[ours].get(key) / medians[theirs].get(key);
        let goal = goals[column];
        let met = if ratio <= goal { "met" } else { "MISSED" };
        println!("{ours} / {theirs}, {key:?}: {ratio:.3} (goal {goal:.3}: {met})");
    }
    #[allow(clippy::cast_precision_loss, reason = "for people to read")]
    let bound = 80.0 + 300e-6 * entries as f64;
    let peak = medians["ours gzip:6, digests"].peak;
    println!("peak memory: {peak:.0} MB (goal {bound:.0} MB)");
}

/// Seconds, seconds of all processors, MB, MB.
#[derive(Clone, Copy)]
struct Measured {
    wall: f64,
    cpu: f64,
    peak: f64,
    size: f64,
}

impl Measured {
    const fn get(&self, key: Key) -> f64 {
        match key {
            Key::Wall => self.wall,
            Key::Cpu => self.cpu,
            Key::Peak => self.peak,
            Key::Size => self.size,
        }
    }

    fn median(rounds: &[Self]) -> Self {
        let middle = |key: Key| {
            let mut values: Vec<f64> = rounds.iter().map(|round| round.get(key)).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let [wall, cpu, peak, size] = [Key::Wall, Key::Cpu, Key::Peak, Key::Size].map(middle);
        Self { wall, cpu, peak, size }
    }
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

/// What is measured: the plan of a tree, and its image. Words: codec, jobs, tree, image, whether
/// digests are wanted, and perhaps the number of readers.
fn write(words: &[String]) {
    let [codec, jobs, tree, image, digests, readers @ ..] = words else { panic!("{words:?}") };
    let tree = Path::new(tree);
    let readers = readers.first().map(|word| word.parse().unwrap());
    let default = SquashfsOptions::default();
    let rootfs = scan::rootfs(tree);
    let options = SquashfsOptions {
        compression: codec.parse().unwrap(),
        jobs: jobs.parse().unwrap(),
        digests: digests.parse().unwrap(),
        readers: readers.unwrap_or(default.readers),
        ..default
    };
    let mut out = File::create(image).unwrap();
    let interrupt = Interrupt::default();
    squashfs::write(&rootfs, &options, &mut out, &mut |_| Vec::new(), &Silent, &interrupt).unwrap();
}
