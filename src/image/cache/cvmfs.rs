//! Files of CVMFS say themselves what is in them: `user.hash` is the digest of the compressed object.
//! It holds where device and inode do not, since they change when a repository is mounted again.
//!
//! Ordinary users can set attributes of that name on ordinary file systems, so it is believed only
//! of what the system mounted below `/cvmfs`.
//!
//! Source: cvmfs `cvmfs/magic_xattr.cc` (`user.hash`, `user.fqrn`).

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Hash;

/// `FUSE_SUPER_MAGIC` of the kernel's `magic.h`.
const FUSE: u64 = 0x6573_5546;

/// Which devices are repositories, asked once each.
#[derive(Debug, Default)]
pub(super) struct Mounts(Mutex<BTreeMap<u64, bool>>);

/// What is known of the file system below a directory `/cvmfs/NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mount<'a> {
    is_fuse: bool,
    is_read_only: bool,
    /// The attribute `user.fqrn` of its root: the repository's name.
    fqrn: &'a [u8],
}

impl Mounts {
    /// The name of the content of the file at `path`, where the repository gives it one.
    pub(super) fn name_of(&self, path: &Path, found: &Metadata) -> Option<Hash> {
        let top = repository(path)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_repository = *known.entry(found.dev()).or_insert_with(|| is_mounted(&top));
        drop(known);
        if !is_repository {
            return None;
        }
        let mut value = [0; 128];
        let length = rustix::fs::getxattr(path, "user.hash", &mut value).ok()?;
        name(value.get(..length)?, found.size())
    }
}

/// `/cvmfs/NAME` of a path below it.
fn repository(path: &Path) -> Option<PathBuf> {
    let name = path.strip_prefix("/cvmfs").ok()?.iter().next()?;
    Some(Path::new("/cvmfs").join(name))
}

fn is_mounted(top: &Path) -> bool {
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

/// Whether what is mounted at `top` is the repository of that name.
fn is_repository(top: &Path, mount: Mount) -> bool {
    let name = top.file_name().map(OsStrExt::as_bytes);
    mount.is_fuse && mount.is_read_only && name == Some(mount.fqrn)
}

/// The name of a content of `size` bytes with this `user.hash`.
fn name(value: &[u8], size: u64) -> Option<Hash> {
    let text = std::str::from_utf8(value).ok()?.trim_end_matches('\0');
    let (hex, algorithm) = text.split_once('-').unwrap_or((text, "sha1"));
    let is_hex = hex.len() == 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !["sha1", "rmd160", "shake128"].contains(&algorithm) {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"cvmfs 1\0").update(&size.to_le_bytes()).update(text.as_bytes());
    Some(*hasher.finalize().as_bytes())
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
    fn a_content_is_named_by_digest_algorithm_and_size() {
        let digest = "0123456789abcdef0123456789ABCDEF01234567";
        let own = |text: String| name(text.as_bytes(), 7);
        let plain = own(digest.to_owned()).unwrap();
        assert_eq!(own(format!("{digest}\0")), Some(plain));
        let others = [own(format!("{digest}-rmd160")), own(format!("{digest}-shake128"))];
        assert!(others.iter().all(|other| other.is_some_and(|other| other != plain)));
        assert_ne!(name(digest.as_bytes(), 8), Some(plain));
        for text in ["", "0123", &format!("{digest}0"), &format!("{digest}-md5"), &"x".repeat(40)] {
            assert_eq!(own(text.to_owned()), None, "{text}");
        }
    }

    #[test]
    fn an_attribute_that_a_user_set_counts_for_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "content").unwrap();
        let value = b"0123456789abcdef0123456789abcdef01234567";
        // where the file system holds none, there is nothing to believe
        let _ = rustix::fs::setxattr(&file, "user.hash", value, rustix::fs::XattrFlags::empty());
        let found = file.metadata().unwrap();
        assert_eq!(Mounts::default().name_of(&file, &found), None);
    }
}
