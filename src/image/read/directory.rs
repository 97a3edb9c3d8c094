//! A directory of the host as an image.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::tree::{Kind, Place, Tree};
use crate::base::Epoch;
use crate::base::fs::{PathContext as _, sorted_dir};
use crate::image::ImageError;
use crate::rootfs::{Metadata, SpecialKind};

/// What images have at their root.
const MARKS: [&str; 2] = [".module-export", ".singularity.d"];

/// The tree in `top`; nothing outside of it is looked at.
///
/// # Errors
/// What cannot be read, by name; a directory that no image was put into, so that nobody has to
/// wait until all of a home directory was looked at.
///
/// To be built on, `any` directory will do but the machine's own root: other file systems that
/// are mounted in it are passed over, and so is what cannot be read.
pub(super) fn read(top: &Path, any: bool) -> Result<Tree, ImageError> {
    let mut tree = Tree::new(top);
    if any && std::fs::canonicalize(top).is_ok_and(|real| real == Path::new("/")) {
        return Err(tree.broken("it is the root of this machine"));
    }
    if !any && !MARKS.iter().any(|mark| top.join(mark).is_dir()) {
        return Err(tree.broken("it is neither an image-layout nor a root file system of an image"));
    }
    let mut first: BTreeMap<(u64, u64), Vec<u8>> = BTreeMap::new();
    let root = std::fs::metadata(top).at("look at", top)?;
    tree.put(b"", metadata_of(&root), Kind::Directory)?;
    let mut open: Vec<(PathBuf, Vec<u8>)> = vec![(top.to_owned(), Vec::new())];
    while let Some((directory, inside)) = open.pop() {
        let names = match sorted_dir(&directory) {
            Err(_) if any => {
                tree.pass_over(&directory);
                continue;
            }
            names => names?,
        };
        for name in names {
            let path = directory.join(&name);
            let inside = [&inside[..], b"/", name.as_bytes()].concat();
            let found = path.symlink_metadata().at("look at", &path)?;
            let is_readable = || rustix::fs::access(&path, rustix::fs::Access::READ_OK).is_ok();
            let elsewhere = found.is_dir() && found.dev() != root.dev();
            if any && (elsewhere || found.is_file() && !is_readable()) {
                tree.pass_over(&path);
                if found.is_file() {
                    continue;
                }
            }
            let kind = if found.is_dir() && any && elsewhere {
                Kind::Directory
            } else if found.is_dir() {
                open.push((path, inside.clone()));
                Kind::Directory
            } else if found.is_symlink() {
                let target = std::fs::read_link(&path).at("read the link", &path)?;
                Kind::Symlink(target.as_os_str().as_bytes().to_vec())
            } else if found.is_file() {
                let identity = (found.dev(), found.ino());
                if found.nlink() > 1
                    && let Some(first) = first.get(&identity)
                {
                    tree.link(&inside, first)?;
                    continue;
                }
                first.insert(identity, inside.clone());
                Kind::File(Place::Host(path), found.len())
            } else if found.file_type().is_fifo() {
                Kind::Special(SpecialKind::Fifo)
            } else if found.file_type().is_socket() {
                Kind::Special(SpecialKind::Socket)
            } else {
                Kind::Device
            };
            tree.put(&inside, metadata_of(&found), kind)?;
        }
    }
    Ok(tree)
}

fn metadata_of(found: &std::fs::Metadata) -> Metadata {
    // the type is not part of the mode
    let mode = u16::try_from(found.mode() & 0o7777).unwrap_or(0);
    Metadata { mode, mtime: Epoch::clamped(found.mtime()) }
}
