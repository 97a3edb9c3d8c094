//! The image's file: appears complete or not at all.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

use super::diagnose::{Failure, Place};
use crate::base::fs::{PathContext as _, sorted_dir};
use crate::base::{ByteSize, Escaped};

/// Unfinished images are named `.module-export-XXXXXX.part`; who writes one holds a lock on it.
const PREFIX: &str = ".module-export-";
const SUFFIX: &str = ".part";

/// An image that is being written.
#[derive(Debug)]
pub(super) struct Output {
    part: NamedTempFile,
    path: PathBuf,
    replace: bool,
}

impl Output {
    /// Checks that `directory/name` may be written, and begins it in `build` (else in the
    /// directory itself). Clears what killed runs left in either.
    pub(super) fn begin(
        directory: &Path,
        name: &str,
        build: Option<&Path>,
        replace: bool,
    ) -> anyhow::Result<Self> {
        check_directory(directory, Place::Destination)?;
        let path = directory.join(name);
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

    /// Fails unless the file systems of the part and of the destination have room for `needed`.
    pub(super) fn check_space(&self, needed: ByteSize) -> anyhow::Result<()> {
        for path in [self.part.path(), &self.path] {
            let directory = parent(path);
            let available = available(directory)?;
            if available < needed {
                return Err(
                    Failure::NoSpace { path: directory.to_owned(), needed, available }.into()
                );
            }
        }
        Ok(())
    }

    /// The file to write to.
    pub(super) fn file(&mut self) -> &mut File {
        self.part.as_file_mut()
    }

    /// Gives the finished file its name.
    pub(super) fn commit(self) -> anyhow::Result<PathBuf> {
        let Self { part, path, replace } = self;
        let directory = parent(&path).to_owned();
        part.as_file().sync_all().at("write", part.path())?;
        let part = if same_file_system(part.path(), &directory) {
            part
        } else {
            moved(&part, &directory)?
        };
        let mode = 0o755 & !umask();
        part.as_file()
            .set_permissions(std::fs::Permissions::from_mode(mode))
            .at("set the mode of", part.path())?;
        let result = if replace { part.persist(&path) } else { part.persist_noclobber(&path) };
        result.map_err(|error| match error.error.kind() {
            ErrorKind::AlreadyExists => anyhow::Error::new(Failure::NameTaken(path.clone())),
            _ => anyhow::Error::new(error.error)
                .context(format!("cannot give the image its name `{}`", path.display())),
        })?;
        // the name survives a crash only once its directory is on disk; some file systems cannot
        let _ = File::open(&directory).and_then(|directory| directory.sync_all());
        Ok(path)
    }
}

fn part_in(directory: &Path, place: Place) -> anyhow::Result<NamedTempFile> {
    let part = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(directory);
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

/// A copy of `part` in `directory`, which is on another file system.
fn moved(part: &NamedTempFile, directory: &Path) -> anyhow::Result<NamedTempFile> {
    let copy = part_in(directory, Place::Destination)?;
    let options = fs_extra::file::CopyOptions::new().overwrite(true).buffer_size(1 << 20);
    fs_extra::file::copy(part.path(), copy.path(), &options)
        .with_context(|| format!("cannot move the finished image to `{}`", directory.display()))?;
    copy.as_file().sync_all().at("write", copy.path())?;
    Ok(copy)
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

/// Removes unfinished images that nobody holds a lock on.
fn remove_stale(directory: &Path) {
    for name in sorted_dir(directory).unwrap_or_default() {
        let is_part =
            name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        let path = directory.join(name);
        let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        if !is_part || !is_file {
            continue;
        }
        let Ok(file) = File::open(&path) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // somebody else's: not ours to remove, and then it fails
            let _ = std::fs::remove_file(&path);
        }
    }
}

fn available(directory: &Path) -> anyhow::Result<ByteSize> {
    let space = rustix::fs::statvfs(directory).at("ask for the free space of", directory)?;
    Ok(ByteSize(space.f_bavail.saturating_mul(space.f_frsize)))
}

fn same_file_system(file: &Path, directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
    device(file) == device(directory)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The process's umask; there is no way to ask but to set it.
fn umask() -> u32 {
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::umask(mask);
    mask.as_raw_mode()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

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
        let mut output = Output::begin(directory.path(), "x.sif", None, false).unwrap();
        output.file().write_all(b"image").unwrap();
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
        let error = Output::begin(directory.path(), "x.sif", None, false).unwrap_err();
        assert!(error.to_string().ends_with("exists already"), "{error}");
        let late = Output {
            part: part_in(directory.path(), Place::Destination).unwrap(),
            path: path.clone(),
            replace: false,
        };
        assert!(late.commit().is_err(), "it appeared while the image was written");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        Output::begin(directory.path(), "x.sif", None, true).unwrap().commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        assert_eq!(names(directory.path()), ["x.sif"]);
    }

    #[test]
    fn what_a_killed_run_left_is_cleared_and_a_running_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(".module-export-dead.part"), "half").unwrap();
        let running = Output::begin(directory.path(), "a.sif", None, false).unwrap();
        assert!(!names(directory.path()).contains(&".module-export-dead.part".to_owned()));
        drop(Output::begin(directory.path(), "b.sif", None, false).unwrap());
        assert!(running.part.path().exists());
        running.commit().unwrap();
        assert_eq!(names(directory.path()), ["a.sif"]);
    }

    #[test]
    fn a_destination_that_is_no_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        for (name, problem) in [("gone", "does not exist"), ("file", "is not a directory")] {
            let error = Output::begin(&directory.path().join(name), "x", None, false).unwrap_err();
            assert!(error.to_string().ends_with(problem), "{error}");
        }
    }
}
