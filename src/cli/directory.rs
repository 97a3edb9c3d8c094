//! An image that is a directory: appears complete or not at all.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock};

use super::diagnose::{Failure, Place};
use super::output::{not_named, parent, takes_nothing, umask};
use super::{scratch, stale};
use crate::base::Escaped;
use crate::base::fs::{PathContext as _, sorted_dir};
use crate::image::oci;

/// Unfinished ones are named `.module-export-HOST-XXXXXX.directory`; who writes one holds a lock on
/// it.
const PREFIX: &str = ".module-export-";
const SUFFIX: &str = ".directory";

/// A directory that is being filled.
#[derive(Debug)]
pub(super) struct DirectoryOutput {
    /// Where it is filled: beside its final place, or that place where it is a layout already.
    build: PathBuf,
    /// `None` once it has its name, or where it had it from the beginning.
    lock: Option<File>,
    path: PathBuf,
    replace: bool,
    /// Keeps others from a layout that is added to: its index is read and written, and what one run
    /// takes back, another must not have found.
    _layout: Option<File>,
}

impl DirectoryOutput {
    /// Begins the directory `path`. `tag` tells that an OCI layout which is there is to be added to.
    pub(super) fn begin(path: PathBuf, replace: bool, tag: Option<&str>) -> anyhow::Result<Self> {
        remove_stale(parent(&path));
        if path.symlink_metadata().is_ok() {
            let is_layout = tag.is_some() && path.join("oci-layout").is_file();
            let layout = if is_layout { Some(lock_layout(&path)?) } else { None };
            let tags = if is_layout { oci::tags(&path)? } else { None };
            match (tags, tag) {
                (Some(tags), Some(tag)) if replace || !tags.iter().any(|there| there == tag) => {
                    let build = path.clone();
                    return Ok(Self { build, lock: None, path, replace, _layout: layout });
                }
                _ if !replace => return Err(Failure::NameTaken(path).into()),
                _ => check_replaceable(&path)?,
            }
        }
        let directory = parent(&path);
        let prefix = stale::prefix(PREFIX);
        let made = tempfile::Builder::new().prefix(&prefix).suffix(SUFFIX).tempdir_in(directory);
        let made = made.map_err(|error| takes_nothing(error, directory, Place::Destination))?;
        let lock = File::open(made.path()).at("open", made.path())?;
        // without locks (some network file systems) a killed run's directory stays
        let _ = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        Ok(Self { build: made.keep(), lock: Some(lock), path, replace, _layout: None })
    }

    /// The directory to fill.
    pub(super) fn build(&self) -> &Path {
        &self.build
    }

    /// Gives the finished directory its name.
    pub(super) fn commit(mut self) -> anyhow::Result<PathBuf> {
        let Some(lock) = self.lock.take() else { return Ok(self.path.clone()) };
        let done = self.name(&lock);
        if done.is_err() {
            self.lock = Some(lock);
        }
        done.map(|()| self.path.clone())
    }

    fn name(&self, lock: &File) -> anyhow::Result<()> {
        let mode = self.build.metadata().at("look at", &self.build)?.permissions().mode();
        let is_private = mode.trailing_zeros() >= 6;
        if is_private {
            let mode = std::fs::Permissions::from_mode(0o755 & !umask());
            std::fs::set_permissions(&self.build, mode).at("set the mode of", &self.build)?;
        }
        // everything in it, as far as the file system says
        let _ = rustix::fs::syncfs(lock);
        let (from, to) = (&self.build, &self.path);
        let there = to.symlink_metadata().is_ok();
        if self.replace && there {
            rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)
                .map_err(|error| not_named(error.into(), to))?;
            return scratch::remove_tree(from).with_context(|| {
                let shown = from.to_string_lossy();
                format!(
                    "the image is complete, but what it replaces is still there as `{}`",
                    Escaped(&shown)
                )
            });
        }
        rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
            .map_err(|error| not_named(error.into(), to))?;
        let _ = File::open(parent(to)).and_then(|directory| directory.sync_all());
        Ok(())
    }
}

/// Fails where [`DirectoryOutput::begin`] would, without writing anything.
pub(super) fn check(path: &Path, replace: bool, tag: Option<&str>) -> anyhow::Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let is_layout = tag.is_some() && path.join("oci-layout").is_file();
    let tags = if is_layout { oci::tags(path)? } else { None };
    match (tags, tag) {
        (Some(tags), Some(tag)) if replace || !tags.iter().any(|there| there == tag) => Ok(()),
        _ if !replace => Err(Failure::NameTaken(path.to_owned()).into()),
        _ => check_replaceable(path),
    }
}

impl Drop for DirectoryOutput {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // there is an error on its way already
            let _ = scratch::remove_tree(&self.build);
        }
    }
}

/// Waits until nobody else adds to the layout at `path`, and takes away what a killed run left in
/// it. Where the file system has no locks there is none, and nothing is taken away.
fn lock_layout(path: &Path) -> anyhow::Result<File> {
    let lock = File::open(path).at("open", path)?;
    if flock(&lock, FlockOperation::LockExclusive).is_err() {
        return Ok(lock);
    }
    for name in sorted_dir(path).unwrap_or_default() {
        if name.to_str().is_some_and(|name| name.starts_with(oci::UNFINISHED)) {
            // somebody else's: not ours to remove, and then it fails
            let _ = std::fs::remove_file(path.join(name));
        }
    }
    Ok(lock)
}

/// `--force` removes what this tool wrote, and nothing else that happens to have the name.
fn check_replaceable(path: &Path) -> anyhow::Result<()> {
    let is_ours =
        path.join(".module-export/manifest.json").is_file() || path.join("oci-layout").is_file();
    let is_directory = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    if is_directory && is_ours {
        return Ok(());
    }
    let shown = path.to_string_lossy();
    Err(Failure::Cannot(format!(
        "`{}` is no image, so --force does not replace it: remove it yourself, or choose another name with -n",
        Escaped(&shown)
    ))
    .into())
}

/// Removes unfinished directories of this host that nobody holds a lock on.
fn remove_stale(directory: &Path) {
    let prefix = stale::prefix(PREFIX);
    for name in sorted_dir(directory).unwrap_or_default() {
        let is_part = name.to_str().is_some_and(|name| stale::is_named(name, &prefix, SUFFIX));
        let path = directory.join(name);
        let is_directory = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        if is_part && is_directory && stale::locked(&path).is_some() {
            // somebody else's: not ours to remove, and then it fails
            let _ = scratch::remove_tree(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let names = sorted_dir(directory).unwrap();
        names.iter().map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_directory_appears_when_it_is_committed_and_not_before() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("x.sandbox");
        drop(DirectoryOutput::begin(path.clone(), false, None).unwrap());
        assert!(names(top.path()).is_empty());
        let output = DirectoryOutput::begin(path.clone(), false, None).unwrap();
        std::fs::write(output.build().join("a"), "1").unwrap();
        assert_ne!(names(top.path()), ["x.sandbox"]);
        assert_eq!(output.commit().unwrap(), path);
        assert_eq!(
            (names(top.path()), names(&path)),
            (vec!["x.sandbox".to_owned()], vec!["a".to_owned()])
        );
    }

    #[test]
    fn only_an_image_is_replaced() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("x.sandbox");
        std::fs::create_dir_all(path.join("precious")).unwrap();
        assert!(DirectoryOutput::begin(path.clone(), false, None).is_err());
        let error = DirectoryOutput::begin(path.clone(), true, None).unwrap_err();
        assert!(error.to_string().contains("is no image"), "{error}");
        std::fs::create_dir_all(path.join(".module-export")).unwrap();
        std::fs::write(path.join(".module-export/manifest.json"), "{}").unwrap();
        let output = DirectoryOutput::begin(path.clone(), true, None).unwrap();
        std::fs::write(output.build().join("new"), "").unwrap();
        assert!(path.join("precious").exists());
        output.commit().unwrap();
        assert_eq!(
            (names(top.path()), names(&path)),
            (vec!["x.sandbox".to_owned()], vec!["new".to_owned()])
        );
    }

    #[test]
    fn what_a_killed_run_left_is_cleared_and_a_running_one_is_not() {
        let top = tempfile::tempdir().unwrap();
        let dead = format!("{}dead00{SUFFIX}", stale::prefix(PREFIX));
        std::fs::create_dir_all(top.path().join(&dead).join("half")).unwrap();
        let running = DirectoryOutput::begin(top.path().join("a"), false, None).unwrap();
        drop(DirectoryOutput::begin(top.path().join("b"), false, None).unwrap());
        assert!(!names(top.path()).contains(&dead));
        running.commit().unwrap();
        assert_eq!(names(top.path()), ["a"]);
    }

    #[test]
    fn a_layout_takes_another_tag() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("x.oci");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("oci-layout"), "{}").unwrap();
        let index = r#"{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"1"}}]}"#;
        std::fs::write(path.join("index.json"), index).unwrap();
        for (tag, replace, fits) in [("2", false, true), ("1", false, false), ("1", true, true)] {
            let output = DirectoryOutput::begin(path.clone(), replace, Some(tag));
            assert_eq!(output.is_ok(), fits, "{tag}");
            assert!(output.is_err() || output.unwrap().build() == path);
        }
        let left = path.join(format!("{}dead", oci::UNFINISHED));
        std::fs::write(&left, "half a blob").unwrap();
        let first = DirectoryOutput::begin(path.clone(), false, Some("2")).unwrap();
        assert!(!left.exists());
        let second = std::thread::spawn({
            let path = path.clone();
            move || DirectoryOutput::begin(path, false, Some("2")).is_err()
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!second.is_finished(), "it waits for the first");
        std::fs::write(path.join("index.json"), index.replace("\"1\"", "\"2\"")).unwrap();
        first.commit().unwrap();
        assert!(second.join().unwrap(), "the tag has been taken meanwhile");
    }
}
