//! Unpacking an image as an ordinary user.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::{Chunk, Found, FoundFile, FoundKind, Image};
use crate::base::fs::PathContext as _;
use crate::base::{Epoch, Interrupt, Progress};
use crate::image::ImageError;
use crate::image::sandbox::make_special;
use crate::rootfs::{ImagePath, Metadata, Special};

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Names of regular files.
    pub files: u64,
    /// Bytes written to them, holes included.
    pub bytes: u64,
    /// Devices, which were left out: only root can make them.
    pub devices: Vec<ImagePath>,
}

/// Unpacks the image at `image` into the directory `destination`, which is made and must not be
/// there yet.
///
/// Owners are not restored, nor are setuid and setgid bits; hard links are. All is made
/// new and nothing is written through a link, so no image can reach out of `destination`.
///
/// # Errors
/// A broken image; two things of the same name; failures to write; an interrupt. What has been
/// unpacked so far stays, with its directories writable.
pub fn unpack(
    image: &Path,
    destination: &Path,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Unpacked, ImageError> {
    unpack_opened(&Image::open(image)?, destination, progress, interrupt)
}

/// As [`unpack`], of an image that is open already.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_opened(
    image: &Image,
    destination: &Path,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Unpacked, ImageError> {
    progress.stage("unpacking the image", Some(u64::from(image.inodes())), None);
    let mut unpacker = Unpacker {
        image,
        destination,
        progress,
        interrupt,
        names: BTreeMap::new(),
        directories: Vec::new(),
        done: Unpacked::default(),
    };
    image.walk(|path, found| unpacker.make(path, found))?;
    // the deepest first: a finished directory may not let anyone in
    for (path, metadata) in unpacker.directories.iter().rev() {
        set_metadata(path, *metadata)?;
    }
    progress.finish();
    Ok(unpacker.done)
}

struct Unpacker<'a> {
    image: &'a Image,
    destination: &'a Path,
    progress: &'a dyn Progress,
    interrupt: &'a Interrupt,
    /// The first name of each file that has several, by inode number.
    names: BTreeMap<u32, PathBuf>,
    /// In the order of their making; their modes and times come last.
    directories: Vec<(PathBuf, Metadata)>,
    done: Unpacked,
}

impl Unpacker<'_> {
    fn make(&mut self, path: &ImagePath, found: &Found) -> Result<(), ImageError> {
        self.interrupt.check()?;
        let inside = std::ffi::OsStr::from_bytes(path.as_bytes());
        let relative = Path::new(inside).strip_prefix("/").unwrap_or(Path::new(""));
        let at = if relative.as_os_str().is_empty() {
            self.destination.to_owned()
        } else {
            self.destination.join(relative)
        };
        match &found.kind {
            FoundKind::Directory => {
                fs::DirBuilder::new().mode(0o700).create(&at).at("create the directory", &at)?;
                self.directories.push((at, found.metadata));
            }
            FoundKind::Symlink(target) => {
                let target = std::ffi::OsStr::from_bytes(target);
                std::os::unix::fs::symlink(target, &at).at("create the link", &at)?;
                let times = times(found.metadata.mtime);
                utimensat(CWD, &at, &times, AtFlags::SYMLINK_NOFOLLOW)
                    .at("set the time of", &at)?;
            }
            FoundKind::File(file) => self.make_file(&at, found, file)?,
            FoundKind::Special(kind) => {
                let mode = found.metadata.mode & 0o777;
                let metadata = Metadata { mode, ..found.metadata };
                make_special(&at, &Special { metadata, kind: *kind, reason: "".into() })?;
            }
            FoundKind::Device => self.done.devices.push(path.clone()),
        }
        self.progress.advance(1, 0);
        Ok(())
    }

    fn make_file(&mut self, at: &Path, found: &Found, file: &FoundFile) -> Result<(), ImageError> {
        self.done.files += 1;
        if found.links > 1 {
            if let Some(first) = self.names.get(&found.inode) {
                return Ok(fs::hard_link(first, at).at("create the hard link", at)?);
            }
            self.names.insert(found.inode, at.to_owned());
        }
        let mut out =
            File::options().write(true).create_new(true).mode(0o600).open(at).at("create", at)?;
        self.image.copy(file, |chunk| {
            self.interrupt.check()?;
            match chunk {
                Chunk::Data(data) => out.write_all(data),
                Chunk::Hole(size) => out.seek(SeekFrom::Current(i64::from(size))).map(drop),
            }
            .at("write", at)?;
            Ok(())
        })?;
        // a hole at the end
        out.set_len(file.size()).at("write", at)?;
        out.set_permissions(permissions(found.metadata)).at("set the mode of", at)?;
        let time =
            SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(found.metadata.mtime.seconds()));
        let times = FileTimes::new().set_accessed(time).set_modified(time);
        out.set_times(times).at("set the time of", at)?;
        self.done.bytes += file.size();
        self.progress.advance(0, file.size());
        Ok(())
    }
}

fn permissions(metadata: Metadata) -> Permissions {
    Permissions::from_mode(u32::from(metadata.mode & 0o1777))
}

fn set_metadata(directory: &Path, metadata: Metadata) -> Result<(), ImageError> {
    let times = times(metadata.mtime);
    utimensat(CWD, directory, &times, AtFlags::empty()).at("set the time of", directory)?;
    fs::set_permissions(directory, permissions(metadata)).at("set the mode of", directory)?;
    Ok(())
}

fn times(epoch: Epoch) -> Timestamps {
    let time = Timespec { tv_sec: i64::from(epoch.seconds()), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
