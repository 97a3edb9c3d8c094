//! Our writer against `tar` where every file takes its time to open, as on CVMFS, Lustre and NFS.
//!
//! `cargo bench --bench slow -- [--delay MS] TREE`: shows TREE through a file system in user space
//! whose every open takes MS (10) milliseconds, and prints the times of `tar` and of our writer.
//! `cargo bench --bench slow -- --delay MS --serve TREE AT` only mounts it at AT until it is killed.
//! Needs `/dev/fuse` and root, or fusermount3.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for us alone")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen,
    Request,
};
use module_export::base::{Interrupt, Silent, fs::sorted_dir};
use module_export::image::{Compression, SquashfsOptions, squashfs};

#[path = "scan.rs"]
mod scan;

/// The tree does not change.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// More than anyone opens at once.
const THREADS: usize = 128;

fn main() {
    let mut words: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut delay = Duration::from_millis(10);
    if let Some(at) = words.iter().position(|word| word == "--delay") {
        words.remove(at);
        delay = Duration::from_millis(words.remove(at).parse().unwrap());
    }
    match &words[..] {
        [word, tree, at] if word == "--serve" => {
            fuser::mount(Slow::new(tree.as_ref(), delay), at, &config()).unwrap();
        }
        [word, tree, image] if word == "--write" => write(tree.as_ref(), image.as_ref()),
        [tree] => compare(tree.as_ref(), delay),
        _ => println!("nothing to measure: cargo bench --bench slow -- [--delay MS] TREE"),
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::RO, MountOption::FSName("slow".to_owned())];
    config.n_threads = Some(THREADS);
    config
}

fn compare(tree: &Path, delay: Duration) {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.squashfs");
    let at = work.path().join("slow");
    fs::create_dir(&at).unwrap();
    let files = count(tree);
    let mut tar = Command::new("sh");
    tar.args(["-c", "tar -cf - . | cat >/dev/null"]).current_dir(&at);
    let mut ours = Command::new(std::env::current_exe().unwrap());
    ours.arg("--write").args([&at, &image]);
    println!("{}: {files} files, {} ms for each open", tree.display(), delay.as_millis());
    let mut seconds = Vec::new();
    for (name, mut command) in [("tar", tar), ("ours zstd:3", ours)] {
        // mounted anew, so that nothing is in the page cache
        let mounted = fuser::spawn_mount(Slow::new(tree, delay), &at, &config()).unwrap();
        let begun = Instant::now();
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
        seconds.push(begun.elapsed().as_secs_f64());
        println!("{name:12} {:8.2} s", begun.elapsed().as_secs_f64());
        drop(mounted);
    }
    println!("ours is {:.1} times faster (goal 12)", seconds[0] / seconds[1]);
}

fn count(tree: &Path) -> u64 {
    let mut files = 0;
    for name in sorted_dir(tree).unwrap() {
        let path = tree.join(name);
        let kind = path.symlink_metadata().unwrap();
        files += if kind.is_dir() { count(&path) } else { u64::from(kind.is_file()) };
    }
    files
}

fn write(tree: &Path, image: &Path) {
    let options =
        SquashfsOptions { compression: Compression::Zstd(3), ..SquashfsOptions::default() };
    let mut out = File::create(image).unwrap();
    let (rootfs, interrupt) = (scan::rootfs(tree), Interrupt::default());
    squashfs::write(&rootfs, &options, &mut out, &mut |_| Vec::new(), &Silent, &interrupt).unwrap();
}

/// A tree of the host, read only, whose files open slowly.
struct Slow {
    delay: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By inode number less one.
    paths: Vec<PathBuf>,
    numbers: BTreeMap<PathBuf, u64>,
    open: BTreeMap<u64, Arc<File>>,
    opened: u64,
}

impl State {
    fn number(&mut self, path: &Path) -> INodeNo {
        if let Some(number) = self.numbers.get(path) {
            return INodeNo(*number);
        }
        self.paths.push(path.to_owned());
        let number = self.paths.len() as u64;
        self.numbers.insert(path.to_owned(), number);
        INodeNo(number)
    }
}

impl Slow {
    fn new(top: &Path, delay: Duration) -> Self {
        let mut state = State::default();
        state.number(top);
        Self { delay, state: Mutex::new(state) }
    }

    fn path(&self, number: INodeNo) -> PathBuf {
        let at = usize::try_from(number.0 - 1).unwrap();
        self.state.lock().unwrap().paths[at].clone()
    }

    fn attributes(&self, path: &Path) -> Result<FileAttr, Errno> {
        let found = path.symlink_metadata()?;
        let kind = if found.is_dir() {
            FileType::Directory
        } else if found.is_symlink() {
            FileType::Symlink
        } else if found.is_file() {
            FileType::RegularFile
        } else {
            // nobody opens those here
            FileType::Socket
        };
        Ok(FileAttr {
            ino: self.state.lock().unwrap().number(path),
            size: found.size(),
            blocks: found.blocks(),
            atime: SystemTime::UNIX_EPOCH,
            mtime: found.modified()?,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind,
            perm: u16::try_from(found.mode() & 0o7777).unwrap(),
            nlink: u32::try_from(found.nlink()).unwrap(),
            uid: found.uid(),
            gid: found.gid(),
            rdev: 0,
            flags: 0,
            blksize: 4096,
        })
    }
}

impl Filesystem for Slow {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.attributes(&self.path(parent).join(name)) {
            Ok(attributes) => reply.entry(&FOR_EVER, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(&self.path(number)) {
            Ok(attributes) => reply.attr(&FOR_EVER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match fs::read_link(self.path(number)) {
            Ok(target) => reply.data(target.as_os_str().as_bytes()),
            Err(error) => reply.error(error.into()),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        sleep(self.delay);
        match File::open(self.path(number)) {
            Ok(file) => {
                let mut state = self.state.lock().unwrap();
                state.opened += 1;
                let handle = state.opened;
                state.open.insert(handle, Arc::new(file));
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let file = Arc::clone(&self.state.lock().unwrap().open[&handle.0]);
        let mut buffer = vec![0; size as usize];
        let mut done = 0;
        while done < buffer.len() {
            match file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) => return reply.error(error.into()),
            }
        }
        reply.data(&buffer[..done]);
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: fuser::ReplyEmpty,
    ) {
        self.state.lock().unwrap().open.remove(&handle.0);
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let path = self.path(number);
        let names = sorted_dir(&path).unwrap();
        let start = usize::try_from(offset).unwrap();
        for (at, name) in names.iter().enumerate().skip(start) {
            let Ok(found) = self.attributes(&path.join(name)) else { continue };
            if reply.add(found.ino, at as u64 + 1, found.kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
