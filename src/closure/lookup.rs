//! Where a path leads inside the image that is planned so far.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::rootfs::{ImagePath, Node, Rootfs};

/// Links that one path may lead through; the kernel's limit.
const MAX_LINKS: u32 = 40;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// To something in the image.
    Inside,
    /// To this path, of which the image has nothing.
    Outside(PathBuf),
    /// To itself.
    Loop,
}

/// Where `path` leads in `rootfs`, links followed.
pub(super) fn look_up(rootfs: &Rootfs, path: &Path) -> Place {
    let mut todo: VecDeque<Vec<u8>> = names(path).collect();
    let mut at = ImagePath::root();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == b".." {
            at = at.split().map_or_else(ImagePath::root, |(parent, _)| parent);
            continue;
        }
        let next = at.join_name(&name);
        match rootfs.get(&next) {
            Some(Node::Symlink(link)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Place::Loop;
                }
                let target = Path::new(OsStr::from_bytes(&link.target));
                if target.is_absolute() {
                    at = ImagePath::root();
                }
                names(target).collect::<Vec<_>>().into_iter().rev().for_each(|name| {
                    todo.push_front(name);
                });
            }
            Some(Node::Directory(_)) => at = next,
            Some(Node::File(_)) if todo.is_empty() => return Place::Inside,
            Some(Node::File(_)) | None => {
                let mut outside = next.as_path().to_owned();
                outside.extend(todo.iter().map(|name| OsStr::from_bytes(name)));
                return Place::Outside(outside);
            }
        }
    }
    Place::Inside
}

/// The names in `path`, without `.` and the root.
fn names(path: &Path) -> impl Iterator<Item = Vec<u8>> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.as_bytes().to_owned()),
        Component::ParentDir => Some(b"..".to_vec()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Epoch;
    use crate::rootfs::{Content, File, Metadata, Symlink, image_path};

    #[test]
    fn a_path_leads_inside_or_to_where_the_image_ends() {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(metadata);
        let at = |path: &str| image_path(Path::new(path)).unwrap();
        let content = Content::Bytes(Vec::new());
        let file = File { metadata, size: 0, content, reason: "test:".into() };
        rootfs.add_file(&at("/a/file"), file).unwrap();
        for (path, target) in [
            ("/a/relative", "../a/file"),
            ("/b", "/a"),
            ("/loop", "loop"),
            ("/gone", "/etc/passwd"),
            ("/a/up", "../../../../b/relative"),
        ] {
            let link =
                Symlink { mtime: Epoch::GENERATED, target: target.into(), reason: "t:".into() };
            rootfs.add_symlink(&at(path), link).unwrap();
        }
        let outside = |path: &str| Place::Outside(PathBuf::from(path));
        for (path, want) in [
            ("/", Place::Inside),
            ("/a/file", Place::Inside),
            ("/b/relative", Place::Inside),
            ("/b/up", Place::Inside),
            ("/loop/x", Place::Loop),
            ("/gone", outside("/etc/passwd")),
            ("/b/none/x", outside("/a/none/x")),
            ("/a/file/x", outside("/a/file/x")),
        ] {
            assert_eq!(look_up(&rootfs, Path::new(path)), want, "{path}");
        }
    }
}
