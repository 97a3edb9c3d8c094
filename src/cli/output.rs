//! The image's file: appears complete or not at all.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use tempfile::{NamedTempFile, PersistError};

use super::diagnose::{Failure, Place};
use super::directory::DirectoryOutput;
use super::stale;
use crate::base::fs::{PathContext as _, sorted_dir};
use crate::base::{ByteSize, Escaped};
use crate::image::Target;

/// Unfinished images are named `.module-export-HOST-XXXXXX.part`; who writes one holds a lock on it.
const PREFIX: &str = ".module-export-";
const SUFFIX: &str = ".part";

/// What an image will be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    /// A file; it is built in this directory if one is given, else beside its final place.
    File(Option<&'a Path>),
    /// A directory.
    Directory,
    /// An image-layout in a directory, with this tag.
    Layout(&'a str),
}

/// An image that is being written.
#[derive(Debug)]
pub(super) enum Output {
    File(FileOutput),
    Directory(DirectoryOutput),
}

/// An image that is a file.
#[derive(Debug)]
pub(super) struct FileOutput {
    part: NamedTempFile,
    path: PathBuf,
    replace: bool,
}

/// Fails where [`Output::begin`] would, as far as that can be told without writing anything.
pub(super) fn check(directory: &Path, name: &str, kind: Kind, replace: bool) -> anyhow::Result<()> {
    check_directory(directory, Place::Destination)?;
    let path = directory.join(name);
    match kind {
        Kind::File(build) => {
            if !replace && path.symlink_metadata().is_ok() {
                return Err(Failure::NameTaken(path).into());
            }
            build.map_or(Ok(()), |build| check_directory(build, Place::Scratch))
        }
        Kind::Directory => super::directory::check(&path, replace, None),
        Kind::Layout(tag) => super::directory::check(&path, replace, Some(tag)),
    }
}

/// The directories that are written to, on which file systems ever.
pub(super) fn file_systems<'a>(directory: &'a Path, kind: Kind<'a>) -> Vec<(Place, &'a Path)> {
    let scratch = match kind {
        Kind::File(build) => build.map(|build| (Place::Scratch, build)),
        Kind::Directory | Kind::Layout(_) => None,
    };
    scratch.into_iter().chain([(Place::Destination, directory)]).collect()
}

impl Output {
    /// Checks that `directory/name` may be written, and begins it. Clears what killed runs left.
    pub(super) fn begin(
        directory: &Path,
        name: &str,
        kind: Kind,
        replace: bool,
    ) -> anyhow::Result<Self> {
        check_directory(directory, Place::Destination)?;
        let path = directory.join(name);
        Ok(match kind {
            Kind::File(build) => Self::File(FileOutput::begin(directory, path, build, replace)?),
            Kind::Directory => Self::Directory(DirectoryOutput::begin(path, replace, None)?),
            Kind::Layout(tag) => Self::Directory(DirectoryOutput::begin(path, replace, Some(tag))?),
        })
    }

    /// Fails unless the file systems that are written to have room for `needed`.
    pub(super) fn check_space(&self, needed: ByteSize) -> anyhow::Result<()> {
        match self {
            Self::File(output) => {
                check_room(parent(output.part.path()), needed)?;
                check_room(parent(&output.path), needed)
            }
            Self::Directory(output) => check_room(output.build(), needed),
        }
    }

    /// What to write to.
    pub(super) fn target(&mut self) -> Target<'_> {
        match self {
            Self::File(output) => Target::File(output.part.as_file_mut()),
            Self::Directory(output) => Target::Directory(output.build()),
        }
    }

    /// Gives the finished image its name.
    pub(super) fn commit(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::File(output) => output.commit(),
            Self::Directory(output) => output.commit(),
        }
    }
}

impl FileOutput {
    fn begin(
        directory: &Path,
        path: PathBuf,
        build: Option<&Path>,
        replace: bool,
    ) -> anyhow::Result<Self> {
        if !replace && path.symlink_metadata().is_ok() {
            return Err(Failure::NameTaken(path).into());
        }
        let place = if build.is_some() { Place::Scratch } else { Place::Destination };
        let build = build.unwrap_or(directory);
        check_directory(build, place)?;
        remove_stale(directory);
        remove_stale(build);
        let part = part_in(build, place)?;
        Ok(Self { part, path, replace })
    }

    /// Gives the finished file its name.
    fn commit(self) -> anyhow::Result<PathBuf> {
        let Self { part, path, replace } = self;
        let directory = parent(&path).to_owned();
        part.as_file().sync_all().at("write", part.path())?;
        if let Err(error) = named(part, &path, replace) {
            if error.error.kind() != ErrorKind::CrossesDevices {
                return Err(not_named(error.error, &path));
            }
            // before a long copy that would come to nothing
            if !replace && path.symlink_metadata().is_ok() {
                return Err(Failure::NameTaken(path).into());
            }
            let copy = copied(&error.file, &directory)?;
            named(copy, &path, replace).map_err(|error| not_named(error.error, &path))?;
        }
        // the name survives a crash only once its directory is on disk; some file systems cannot
        let _ = File::open(&directory).and_then(|directory| directory.sync_all());
        Ok(path)
    }
}

/// Whether a rename will do is for the rename to say: two mounts of one file system are two.
fn named(part: NamedTempFile, path: &Path, replace: bool) -> Result<(), PersistError> {
    let mode = std::fs::Permissions::from_mode(0o755 & !umask());
    if let Err(error) = part.as_file().set_permissions(mode) {
        return Err(PersistError { error, file: part });
    }
    let result = if replace { part.persist(path) } else { part.persist_noclobber(path) };
    result.map(drop)
}

pub(super) fn not_named(error: std::io::Error, path: &Path) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AlreadyExists => Failure::NameTaken(path.to_owned()).into(),
        _ => anyhow::Error::new(error).context(format!(
            "cannot give the image its name `{}`",
            Escaped(&path.to_string_lossy())
        )),
    }
}

fn part_in(directory: &Path, place: Place) -> anyhow::Result<NamedTempFile> {
    let prefix = stale::prefix(PREFIX);
    let part = tempfile::Builder::new().prefix(&prefix).suffix(SUFFIX).tempfile_in(directory);
    let part = part.map_err(|error| takes_nothing(error, directory, place))?;
    // without locks (some network file systems) a killed run's file stays until somebody removes it
    let _ = flock(part.as_file(), FlockOperation::NonBlockingLockExclusive);
    Ok(part)
}

/// Why nothing can be made in `directory`; a full disk keeps its own status and way out.
pub(super) fn takes_nothing(
    error: std::io::Error,
    directory: &Path,
    place: Place,
) -> anyhow::Error {
    let problem = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            let shown = directory.to_string_lossy();
            return anyhow::Error::new(error)
                .context(format!("cannot create a file in `{}`", Escaped(&shown)));
        }
        ErrorKind::NotFound if !directory.exists() => "does not exist",
        ErrorKind::PermissionDenied => "is not writable for you",
        _ => "takes no new file",
    };
    Failure::Directory { path: directory.to_owned(), place, problem }.into()
}

/// A copy of `part` in `directory`, which no rename reaches.
fn copied(part: &NamedTempFile, directory: &Path) -> anyhow::Result<NamedTempFile> {
    let needed = ByteSize(part.as_file().metadata().at("look at", part.path())?.len());
    check_room(directory, needed)?;
    let copy = part_in(directory, Place::Destination)?;
    let options = fs_extra::file::CopyOptions::new().overwrite(true).buffer_size(1 << 20);
    fs_extra::file::copy(part.path(), copy.path(), &options).with_context(|| {
        format!("cannot move the finished image to `{}`", Escaped(&directory.to_string_lossy()))
    })?;
    copy.as_file().sync_all().at("write", copy.path())?;
    Ok(copy)
}

/// Fails unless the file system of `directory` has `needed` bytes free.
pub(super) fn check_room(directory: &Path, needed: ByteSize) -> anyhow::Result<()> {
    let available = available(directory)?;
    if available < needed {
        return Err(Failure::NoSpace { path: directory.to_owned(), needed, available }.into());
    }
    Ok(())
}

fn check_directory(directory: &Path, place: Place) -> anyhow::Result<()> {
    let failure =
        |problem| Err(Failure::Directory { path: directory.to_owned(), place, problem }.into());
    match std::fs::metadata(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return failure("does not exist");
        }
        Err(error) => return Err(error).at("look at", directory).map_err(Into::into),
        Ok(metadata) if !metadata.is_dir() => return failure("is not a directory"),
        Ok(_) => {}
    }
    if rustix::fs::access(directory, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .is_err()
    {
        return failure("is not writable for you");
    }
    Ok(())
}

/// Removes unfinished images of this host that nobody holds a lock on.
fn remove_stale(directory: &Path) {
    let prefix = stale::prefix(PREFIX);
    for name in sorted_dir(directory).unwrap_or_default() {
        let is_part = name.to_str().is_some_and(|name| stale::is_named(name, &prefix, SUFFIX));
        let path = directory.join(name);
        let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        if is_part && is_file && stale::locked(&path).is_some() {
            // somebody else's: not ours to remove, and then it fails
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Bytes that are free on the file system of `directory`.
pub(super) fn available(directory: &Path) -> anyhow::Result<ByteSize> {
    let space = rustix::fs::statvfs(directory).at("ask for the free space of", directory)?;
    Ok(ByteSize(space.f_bavail.saturating_mul(space.f_frsize)))
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The process's umask; there is no way to ask but to set it.
pub(super) fn umask() -> u32 {
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::umask(mask);
    mask.as_raw_mode()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn begin(
        directory: &Path,
        name: &str,
        build: Option<&Path>,
        replace: bool,
    ) -> anyhow::Result<FileOutput> {
        match Output::begin(directory, name, Kind::File(build), replace)? {
            Output::File(output) => Ok(output),
            Output::Directory(_) => unreachable!("a file was asked for"),
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        sorted_dir(directory)
            .unwrap()
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn an_image_appears_when_it_is_committed_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let mut output = begin(directory.path(), "x.sif", None, false).unwrap();
        output.part.write_all(b"image").unwrap();
        assert!(!names(directory.path()).contains(&"x.sif".to_owned()));
        output.commit().unwrap();
        assert_eq!(names(directory.path()), ["x.sif"]);
        assert_eq!(std::fs::read(directory.path().join("x.sif")).unwrap(), b"image");
    }

    #[test]
    fn an_existing_image_stays_unless_it_is_to_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sif");
        std::fs::write(&path, "old").unwrap();
        let error = begin(directory.path(), "x.sif", None, false).unwrap_err();
        assert!(error.to_string().ends_with("exists already"), "{error}");
        let late = FileOutput {
            part: part_in(directory.path(), Place::Destination).unwrap(),
            path: path.clone(),
            replace: false,
        };
        assert!(late.commit().is_err(), "it appeared while the image was written");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        begin(directory.path(), "x.sif", None, true).unwrap().commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        assert_eq!(names(directory.path()), ["x.sif"]);
    }

    #[test]
    fn what_a_killed_run_left_is_cleared_and_a_running_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let dead = format!("{}dead00.part", stale::prefix(PREFIX));
        std::fs::write(directory.path().join(&dead), "half").unwrap();
        let running = begin(directory.path(), "a.sif", None, false).unwrap();
        assert!(!names(directory.path()).contains(&dead));
        drop(begin(directory.path(), "b.sif", None, false).unwrap());
        assert!(running.part.path().exists());
        running.commit().unwrap();
        assert_eq!(names(directory.path()), ["a.sif"]);
    }

    #[test]
    fn what_another_host_may_be_writing_stays() {
        let directory = tempfile::tempdir().unwrap();
        let ours = stale::prefix(PREFIX);
        let others = [
            ".module-export-elsewhere.example-abc123.part".to_owned(),
            format!("{ours}1-abc123.part"),
        ];
        for other in &others {
            std::fs::write(directory.path().join(other), "half").unwrap();
        }
        begin(directory.path(), "a.sif", None, false).unwrap().commit().unwrap();
        let left = names(directory.path());
        assert!(others.iter().all(|other| left.contains(other)), "{left:?}");
    }

    #[test]
    fn an_image_built_where_no_rename_reaches_is_copied() {
        let (build, directory) =
            (tempfile::tempdir_in("/dev/shm").unwrap(), tempfile::tempdir().unwrap());
        for (replace, text) in [(false, "one"), (true, "two")] {
            let build = Some(build.path());
            let mut output = begin(directory.path(), "x.sif", build, replace).unwrap();
            output.part.write_all(text.as_bytes()).unwrap();
            let path = output.commit().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o755 & !umask());
        }
        assert_eq!(names(directory.path()), ["x.sif"]);
        assert_eq!(names(build.path()), [] as [&str; 0]);
    }

    #[test]
    fn a_copy_is_not_begun_where_it_has_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let error = check_room(directory.path(), ByteSize(u64::MAX)).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Failure::NoSpace { .. })), "{error}");
    }

    #[test]
    fn a_destination_that_is_no_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        for (name, problem) in [("gone", "does not exist"), ("file", "is not a directory")] {
            let error = begin(&directory.path().join(name), "x", None, false).unwrap_err();
            assert!(error.to_string().ends_with(problem), "{error}");
        }
    }
}
