//! A directory of the host as a root file system.
#![allow(clippy::unwrap_used, reason = "for benchmarks alone")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use module_export::base::{Epoch, fs::sorted_dir};
use module_export::rootfs::{self, Content, FileId, ImagePath, Metadata, Rootfs, Symlink};

/// What is in `tree`, as it is.
pub(crate) fn rootfs(tree: &Path) -> Rootfs {
    let mut rootfs = Rootfs::new(metadata(tree));
    scan(tree, &ImagePath::root(), &mut rootfs, &mut BTreeMap::new());
    rootfs
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
