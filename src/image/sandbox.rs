//! A root file system as a plain directory, which Apptainer and `bwrap` can run.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

use super::buffer::Pool;
use super::source::{Ending, Hashing, Reading, Sources, is_zero};
use super::tar::{Contents, Item, Select, Survey, survey, walk};
use super::{FileDigest, ImageError, LateContents, Watch};
use crate::base::Epoch;
use crate::base::fs::PathContext as _;
use crate::rootfs::{FileId, Metadata, Rootfs, Special, SpecialKind};

/// Bytes that a reader hands on at once.
const READ_BYTES: usize = 128 * 1024;
/// The same, to go forward by.
const HOLE: i64 = 128 * 1024;

/// Writes `rootfs` into the empty directory `top`; returns the bytes of all contents.
///
/// # Errors
/// As [`super::write`].
pub(super) fn write(
    rootfs: &Rootfs,
    readers: usize,
    top: &Path,
    late: &mut LateContents,
    watch: Watch,
) -> Result<u64, ImageError> {
    let survey = survey(rootfs, Select::All)?;
    let stage = (survey.planned.len() as u64, survey.bytes);
    watch.progress.stage("writing the directory", Some(stage.0), Some(stage.1));
    let mut sandbox = Sandbox { top, rootfs, watch, directories: Vec::new(), bytes: 0 };
    let mut digests = vec![None; rootfs.files().len()];
    let planned = Sources::Planned(rootfs, &survey.planned);
    read_ahead(planned, readers, watch, |contents| {
        sandbox.entries(&survey, contents, &mut digests)
    })?;
    if !survey.late.is_empty() {
        let documents = late(&digests);
        read_ahead(Sources::Late(&documents), readers, watch, |contents| {
            sandbox.documents(&survey, &documents, contents)
        })?;
    }
    sandbox.finish()?;
    watch.progress.finish();
    Ok(sandbox.bytes)
}

/// Calls `with` with the contents of `sources`, which threads read ahead.
fn read_ahead(
    sources: Sources,
    readers: usize,
    watch: Watch,
    with: impl FnOnce(&mut Contents) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    let pool = Pool::new(READ_BYTES);
    let (reading, queues) =
        Reading::new(sources, Hashing::Digests, &pool, readers, watch.interrupt);
    thread::scope(|scope| {
        let reading = &reading;
        let _ending = Ending(reading);
        reading.start(scope, readers)?;
        with(&mut Contents::new(queues, &pool))
    })
}

struct Sandbox<'a> {
    top: &'a Path,
    rootfs: &'a Rootfs,
    watch: Watch<'a>,
    /// Their modes and times come when nothing is written into them any more.
    directories: Vec<(PathBuf, Metadata)>,
    bytes: u64,
}

impl Sandbox<'_> {
    fn at(&self, path: &[u8]) -> PathBuf {
        self.top.join(OsStr::from_bytes(path))
    }

    fn entries(
        &mut self,
        survey: &Survey,
        contents: &mut Contents,
        digests: &mut [Option<FileDigest>],
    ) -> Result<(), ImageError> {
        walk(self.rootfs, Select::All, survey, &mut |path, item| {
            self.watch.interrupt.check()?;
            let path = self.at(path);
            match item {
                Item::Directory(directory) => {
                    let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
                    made.at("make", &path)?;
                    self.directories.push((path, directory.metadata));
                }
                Item::Symlink(link) => {
                    let target = Path::new(OsStr::from_bytes(&link.target));
                    std::os::unix::fs::symlink(target, &path).at("make", &path)?;
                    set_time(&path, link.mtime)?;
                }
                Item::HardLink(_, first) => {
                    std::fs::hard_link(self.at(first), &path).at("make", &path)?;
                }
                Item::Special(special) => make_special(&path, special)?,
                Item::File(id) => {
                    let digest = self.file(&path, id, contents)?;
                    if let Some(slot) = digests.get_mut(id.index()) {
                        *slot = digest;
                    }
                }
            }
            Ok(())
        })
    }

    fn documents(
        &mut self,
        survey: &Survey,
        documents: &[(FileId, Vec<u8>)],
        contents: &mut Contents,
    ) -> Result<(), ImageError> {
        let mut names: BTreeMap<FileId, Vec<PathBuf>> = BTreeMap::new();
        for (path, id) in &survey.late {
            names.entry(*id).or_default().push(self.at(path));
        }
        for (id, _) in documents {
            let Some((first, others)) = names.get(id).and_then(|names| names.split_first()) else {
                continue;
            };
            self.file(first, *id, contents)?;
            for other in others {
                std::fs::hard_link(first, other).at("make", other)?;
            }
        }
        Ok(())
    }

    /// Writes the next file of the contents.
    fn file(
        &mut self,
        path: &Path,
        id: FileId,
        contents: &mut Contents,
    ) -> Result<Option<FileDigest>, ImageError> {
        let metadata = self.rootfs.file(id).metadata;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut out = made.at("make", path)?;
        let (end, _) = contents.next(|bytes| {
            // a hole, which `set_len` makes where it is the last thing in the file
            let done = if bytes.len() == READ_BYTES && is_zero(bytes) {
                out.seek(SeekFrom::Current(HOLE)).map(drop)
            } else {
                out.write_all(bytes)
            };
            Ok(done.at("write", path)?)
        })?;
        out.set_len(end.size).at("write", path)?;
        finish_file(&out, path, metadata)?;
        self.bytes += end.size;
        self.watch.progress.advance(1, end.size);
        Ok(end.digest())
    }

    /// Gives the directories their modes and times, the innermost first.
    fn finish(&mut self) -> Result<(), ImageError> {
        let root = (self.top.to_owned(), self.rootfs.root().metadata);
        for (path, metadata) in self.directories.drain(..).rev().chain(std::iter::once(root)) {
            let mode = Mode::from_raw_mode(u32::from(metadata.mode));
            rustix::fs::chmod(&path, mode).at("set the mode of", &path)?;
            set_time(&path, metadata.mtime)?;
        }
        Ok(())
    }
}

fn finish_file(file: &File, path: &Path, metadata: Metadata) -> Result<(), ImageError> {
    let mode = Mode::from_raw_mode(u32::from(metadata.mode));
    rustix::fs::fchmod(file, mode).at("set the mode of", path)?;
    Ok(rustix::fs::futimens(file, &times(metadata.mtime)).at("set the time of", path)?)
}

/// Makes a FIFO or a socket's name, which anybody may.
pub(super) fn make_special(path: &Path, special: &Special) -> Result<(), ImageError> {
    let kind = match special.kind {
        SpecialKind::Fifo => FileType::Fifo,
        SpecialKind::Socket => FileType::Socket,
    };
    let mode = Mode::from_raw_mode(u32::from(special.metadata.mode));
    rustix::fs::mknodat(CWD, path, kind, Mode::empty(), 0).at("make", path)?;
    rustix::fs::chmod(path, mode).at("set the mode of", path)?;
    set_time(path, special.metadata.mtime)
}

/// Sets the time of what `path` names itself, link or not.
fn set_time(path: &Path, mtime: Epoch) -> Result<(), ImageError> {
    let done = rustix::fs::utimensat(CWD, path, &times(mtime), AtFlags::SYMLINK_NOFOLLOW);
    Ok(done.at("set the time of", path)?)
}

fn times(mtime: Epoch) -> Timestamps {
    let time = Timespec { tv_sec: i64::from(mtime.seconds()), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
