//! A second export of mostly the same files against the first.
//!
//! `cargo bench --bench cache -- [--jobs N] TREE…`: every directory in TREE is an installation. A SIF
//! is made of them with an empty cache; then again, with one installation changed to its last file;
//! and that one without a cache, whose bytes must be the same. CPU seconds of each, and ratios.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for us alone")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use module_export::base::{Epoch, Interrupt, Silent, fs::sorted_dir};
use module_export::image::sif::{SifOptions, write as write_sif};
use module_export::image::{Cache, CacheOptions, Identifier, SquashfsOptions};
use module_export::rootfs::{self, Content, ImagePath, Metadata, Rootfs};

/// How much less CPU a second export is to take.
const GOALS: [(&str, f64); 2] = [("gzip:6", 5.0), ("zstd:15", 20.0)];

fn main() {
    let mut words: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == "--write") {
        write(&words[1..]);
        return;
    }
    let jobs = words.iter().position(|word| word == "--jobs").map_or("2".to_owned(), |at| {
        words.remove(at);
        words.remove(at)
    });
    if words.is_empty() {
        println!("no tree to measure: cargo bench --bench cache -- [--jobs N] TREE…");
    }
    for tree in &words {
        compare(Path::new(tree), &jobs);
    }
}

/// The first and the second export, in processes of their own.
fn compare(tree: &Path, jobs: &str) {
    let work = tempfile::tempdir().unwrap();
    let changed = change(tree, work.path());
    println!("\n{}: {} installations", tree.display(), sorted_dir(tree).unwrap().len());
    println!(
        "{:10} {:>8} {:>8} {:>8} {:>8} {:>7}",
        "CPU s", "cold", "first", "second", "ratio", "goal"
    );
    std::thread::sleep(Duration::from_secs(3));
    for (codec, goal) in GOALS {
        let cache = work.path().join(codec);
        let image = |name: &str| work.path().join(name);
        let run = |changed: Option<&Path>, cache: Option<&Path>, image: &Path| -> f64 {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--write", codec, jobs]).arg(tree).arg(image);
            command.arg(changed.unwrap_or(Path::new("-"))).arg(cache.unwrap_or(Path::new("-")));
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
        };
        let first = run(None, Some(&cache), &image("first"));
        let second = run(Some(&changed), Some(&cache), &image("second"));
        let cold = run(Some(&changed), None, &image("cold"));
        let same = Command::new("cmp").arg(image("second")).arg(image("cold")).status().unwrap();
        assert!(same.success(), "the second export's bytes are others");
        let ratio = first / second;
        println!("{codec:10} {cold:8.2} {first:8.2} {second:8.2} {ratio:8.1} {goal:7.1}");
    }
}

/// A copy of the middle one of the installations by size, with a byte more in every file.
fn change(tree: &Path, work: &Path) -> PathBuf {
    let names = sorted_dir(tree).unwrap();
    let mut all: Vec<(u64, PathBuf)> =
        names.iter().map(|name| (size(&tree.join(name)), tree.join(name))).collect();
    all.sort();
    let (_, chosen) = &all[all.len() / 2];
    let copy = work.join("changed").join(chosen.file_name().unwrap());
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    assert!(Command::new("cp").arg("-r").args([chosen, &copy]).status().unwrap().success());
    let append =
        ["-type", "f", "-exec", "sh", "-c", "for f; do echo >>\"$f\"; done", "sh", "{}", "+"];
    assert!(Command::new("find").arg(&copy).args(append).status().unwrap().success());
    copy
}

fn size(path: &Path) -> u64 {
    let found = path.symlink_metadata().unwrap();
    if !found.is_dir() {
        return found.len();
    }
    sorted_dir(path).unwrap().iter().map(|name| size(&path.join(name))).sum()
}

/// What is measured. Words: codec, jobs, tree, image, the changed installation, the cache; `-` for
/// none of these.
fn write(words: &[String]) {
    let [codec, jobs, tree, image, changed, cache] = words else { panic!("{words:?}") };
    let cache = (cache != "-").then(|| {
        let options = CacheOptions::new(PathBuf::from(cache));
        Arc::new(Cache::open(options).unwrap())
    });
    let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
    let mut rootfs = Rootfs::new(metadata);
    for name in sorted_dir(Path::new(tree)).unwrap() {
        let changed = Path::new(changed);
        let is_changed = changed.file_name() == Some(&name);
        let host = if is_changed { changed.to_owned() } else { Path::new(tree).join(&name) };
        let name = name.to_str().unwrap();
        let at = ImagePath::new(format!("/{name}").as_bytes()).unwrap();
        scan(&host, &at, &format!("module:{name}"), &mut rootfs);
    }
    let squashfs = SquashfsOptions {
        compression: codec.parse().unwrap(),
        jobs: jobs.parse().unwrap(),
        cache: cache.clone(),
        ..SquashfsOptions::default()
    };
    let options = SifOptions {
        architecture: std::env::consts::ARCH.parse().unwrap(),
        definition: Vec::new(),
        inspect_metadata: Vec::new(),
        identifier: Identifier::default(),
        sbom: Vec::new(),
        time: Epoch::GENERATED,
        squashfs,
    };
    let mut out =
        File::options().read(true).write(true).create(true).truncate(true).open(image).unwrap();
    let interrupt = Interrupt::default();
    write_sif(&rootfs, &options, &mut out, &mut |_| Vec::new(), &Silent, &interrupt).unwrap();
    if let Some(cache) = cache {
        cache.finish();
        assert_eq!(cache.warnings(), [] as [&str; 0]);
    }
    let line = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = line.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    println!("{}", ticks / 100.0);
}

fn scan(host: &Path, at: &ImagePath, reason: &str, rootfs: &mut Rootfs) {
    use std::os::unix::ffi::OsStrExt as _;

    let found = host.symlink_metadata().unwrap();
    let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
    if found.is_dir() {
        rootfs.add_directory(at, metadata).unwrap();
        for name in sorted_dir(host).unwrap() {
            scan(&host.join(&name), &at.join_name(name.as_bytes()), reason, rootfs);
        }
    } else if found.is_file() {
        let (content, reason) = (Content::Host(host.to_owned()), reason.into());
        let file = rootfs::File { metadata, size: found.len(), content, reason };
        rootfs.add_file(at, file).unwrap();
    }
}
