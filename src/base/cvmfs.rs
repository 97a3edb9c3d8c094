//! What a mounted CVMFS repository says of itself.
//!
//! Source: cvmfs `cvmfs/magic_xattr.cc` (`user.fqrn`, `user.revision`, `user.root_hash`). A site may
//! hide these attributes: nothing depends on them.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// `FUSE_SUPER_MAGIC` of the kernel's `magic.h`.
const FUSE: u64 = 0x6573_5546;

/// Which state of a repository is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// Counted from 1.
    pub revision: Option<u64>,
    /// Digest of its root catalog.
    pub root_hash: Option<String>,
}

/// What is known of the file system below a directory `/cvmfs/NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mount<'a> {
    is_fuse: bool,
    is_read_only: bool,
    /// The attribute `user.fqrn` of its root: the repository's name.
    fqrn: &'a [u8],
}

/// `/cvmfs/NAME` of a path below it.
#[must_use]
pub fn repository(path: &Path) -> Option<PathBuf> {
    let name = path.strip_prefix("/cvmfs").ok()?.iter().next()?;
    Some(Path::new("/cvmfs").join(name))
}

/// Whether the system mounted at `top` the repository of that name. Ordinary users can set such
/// attributes on ordinary file systems.
#[must_use]
pub fn is_mounted(top: &Path) -> bool {
    let mut fqrn = [0; 256];
    let Ok(length) = rustix::fs::getxattr(top, "user.fqrn", &mut fqrn) else { return false };
    let (Ok(kind), Ok(flags)) = (rustix::fs::statfs(top), rustix::fs::statvfs(top)) else {
        return false;
    };
    let mount = Mount {
        is_fuse: u64::try_from(kind.f_type).is_ok_and(|kind| kind == FUSE),
        is_read_only: flags.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        fqrn: fqrn.get(..length).unwrap_or_default(),
    };
    is_repository(top, mount)
}

/// Which state is mounted at `top`; `None` if it does not say.
#[must_use]
pub fn revision(top: &Path) -> Option<Revision> {
    let text = |name: &str| {
        let mut value = [0; 256];
        let length = rustix::fs::getxattr(top, name, &mut value).ok()?;
        let text = std::str::from_utf8(value.get(..length)?).ok()?;
        Some(text.trim_end_matches('\0').trim().to_owned())
    };
    let revision = text("user.revision").and_then(|text| text.parse().ok());
    let root_hash = text("user.root_hash").filter(|text| is_digest(text));
    (revision.is_some() || root_hash.is_some()).then_some(Revision { revision, root_hash })
}

fn is_digest(text: &str) -> bool {
    let hex = text.split_once('-').map_or(text, |(hex, _)| hex);
    hex.len() >= 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether what is mounted at `top` is the repository of that name.
fn is_repository(top: &Path, mount: Mount) -> bool {
    let name = top.file_name().map(std::ffi::OsStr::as_bytes);
    mount.is_fuse && mount.is_read_only && name == Some(mount.fqrn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_repository_that_the_system_mounted_is_believed() {
        let top = Path::new("/cvmfs/software.eessi.io");
        let good = Mount { is_fuse: true, is_read_only: true, fqrn: b"software.eessi.io" };
        for (mount, want) in [
            (good, true),
            (Mount { is_fuse: false, ..good }, false),
            (Mount { is_read_only: false, ..good }, false),
            (Mount { fqrn: b"other.example", ..good }, false),
            (Mount { fqrn: b"", ..good }, false),
        ] {
            assert_eq!(is_repository(top, mount), want, "{mount:?}");
        }
        for (path, want) in [
            ("/cvmfs/software.eessi.io/a/b", Some("/cvmfs/software.eessi.io")),
            ("/cvmfs", None),
            ("/home/cvmfs/x", None),
        ] {
            assert_eq!(repository(Path::new(path)), want.map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn a_state_is_read_where_it_can_be() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        assert_eq!(revision(top), None);
        let digest = "0123456789abcdef0123456789abcdef01234567";
        let none = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(top, "user.revision", b"17\0", none).is_err() {
            eprintln!("skipped: this file system has no attributes");
            return;
        }
        rustix::fs::setxattr(top, "user.root_hash", digest.as_bytes(), none).unwrap();
        let want = Revision { revision: Some(17), root_hash: Some(digest.to_owned()) };
        assert_eq!(revision(top), Some(want));
        rustix::fs::setxattr(top, "user.root_hash", b"\x1b[31m", none).unwrap();
        assert_eq!(revision(top), Some(Revision { revision: Some(17), root_hash: None }));
    }
}
