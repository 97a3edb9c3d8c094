//! The directory of a `run`: locked while it is used, cleared by the next run if nobody could.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::diagnose::Place;
use super::output::takes_nothing;
use super::stale;
use crate::base::fs::sorted_dir;

/// Scratch directories are named `module-export-run-HOST-XXXXXX`.
const PREFIX: &str = "module-export-run-";
/// The file in it that is locked while it is used.
const LOCK: &str = "lock";
/// The directory for the image.
const ROOT: &str = "root";

/// A directory of our own, which goes away with this value.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    /// `None` once it is removed.
    lock: Option<File>,
}

impl Scratch {
    /// Makes one below `parent`, and clears what killed runs of this host left there.
    pub(super) fn new(parent: &Path) -> anyhow::Result<Self> {
        let prefix = stale::prefix(PREFIX);
        clear(parent, &prefix);
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent);
        let made = made.map_err(|error| takes_nothing(error, parent, Place::Scratch))?;
        let lock = lock(made.path()).context("cannot lock the scratch directory")?;
        Ok(Self { path: made.keep(), lock: Some(lock) })
    }

    /// Where the image goes; not made yet.
    pub(super) fn root(&self) -> PathBuf {
        self.path.join(ROOT)
    }

    /// Removes it.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.lock = None;
        remove(&self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // there is an error on its way already
            let _ = remove(&self.path);
        }
    }
}

/// The lock has its name only once it is held: nobody finds it free in between.
fn lock(directory: &Path) -> io::Result<File> {
    let early = directory.join("lock.new");
    let file = File::create_new(&early)?;
    // without locks (some network file systems) nobody clears it but us
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        std::fs::rename(&early, directory.join(LOCK))?;
    }
    Ok(file)
}

/// Removes our directories that nobody holds the lock of.
fn clear(parent: &Path, prefix: &str) {
    let user = rustix::process::geteuid().as_raw();
    for name in sorted_dir(parent).unwrap_or_default() {
        let path = parent.join(&name);
        let is_named = name.to_str().is_some_and(|name| stale::is_named(name, prefix, ""));
        let is_ours =
            || path.symlink_metadata().is_ok_and(|found| found.is_dir() && found.uid() == user);
        if !is_named || !is_ours() {
            continue;
        }
        if let Some(_lock) = stale::locked(&path.join(LOCK)) {
            // the next run tries again
            let _ = remove(&path);
        }
    }
}

/// The image first: what is killed in the middle is still known by its lock.
fn remove(scratch: &Path) -> io::Result<()> {
    remove_tree(&scratch.join(ROOT))?;
    std::fs::remove_dir_all(scratch)
}

/// Removes the directory `root` of an image, where it is there.
pub(super) fn remove_tree(root: &Path) -> io::Result<()> {
    with_all_descriptors(|| remove_whole(root))
}

/// Does `work`, which needs an open file for each level of a tree, with as many as are allowed. The
/// usual limit is for programs that know no better.
fn with_all_descriptors<T>(work: impl FnOnce() -> T) -> T {
    let limit = getrlimit(Resource::Nofile);
    // what does not work shows in what is to be done
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let done = work();
    let _ = setrlimit(Resource::Nofile, limit);
    done
}

fn remove_whole(root: &Path) -> io::Result<()> {
    if root.symlink_metadata().is_ok() && std::fs::remove_dir_all(root).is_err() {
        open_up(root);
        std::fs::remove_dir_all(root)?;
    }
    Ok(())
}

/// Images have directories that let nobody write, and so nobody remove what is in them.
fn open_up(root: &Path) {
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        // whatever does not work shows when it is removed
        let _ = std::fs::set_permissions(&directory, Permissions::from_mode(0o700));
        let paths = sorted_dir(&directory).unwrap_or_default();
        let paths = paths.into_iter().map(|name| directory.join(name));
        directories
            .extend(paths.filter(|path| path.symlink_metadata().is_ok_and(|found| found.is_dir())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_cleared_and_a_running_one_and_a_strange_one_are_not() {
        let parent = tempfile::tempdir().unwrap();
        let prefix = stale::prefix(PREFIX);
        let make = |name: &str, lock: bool| {
            let path = parent.path().join(name);
            std::fs::create_dir_all(path.join(ROOT).join("sub")).unwrap();
            if lock {
                File::create(path.join(LOCK)).unwrap();
            }
            std::fs::set_permissions(path.join(ROOT), Permissions::from_mode(0o555)).unwrap();
            path
        };
        let dead = make(&format!("{prefix}dead00"), true);
        let kept = [
            make(&format!("{prefix}new000"), false),
            make("module-export-run-elsewhere.example-dead00", true),
            make(&format!("{prefix}long-dead00"), true),
        ];
        let running = Scratch::new(parent.path()).unwrap();
        assert!(!dead.exists());
        let second = Scratch::new(parent.path()).unwrap();
        assert!(running.path.exists() && kept.iter().all(|path| path.exists()));
        second.close().unwrap();
        drop(running);
        assert_eq!(sorted_dir(parent.path()).unwrap().len(), kept.len());
    }

    #[test]
    fn a_tree_that_is_deeper_than_files_may_be_open_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("root");
        let deepest = (0..400).fold(root.clone(), |path, _| path.join("d"));
        std::fs::create_dir_all(deepest).unwrap();
        let limit = Rlimit { current: Some(100), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, limit).unwrap();
        remove_tree(&root).unwrap();
        assert!(!root.exists());
        assert_eq!(getrlimit(Resource::Nofile).current, limit.current);
    }
}
