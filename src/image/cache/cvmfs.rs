//! Files of CVMFS say themselves what is in them: `user.hash` is the digest of the compressed object.
//! It holds where device and inode do not, since they change when a repository is mounted again.
//!
//! Ordinary users can set attributes of that name on ordinary file systems, so it is believed only
//! of what the system mounted below `/cvmfs`.
//!
//! Source: cvmfs `cvmfs/magic_xattr.cc` (`user.hash`, `user.fqrn`).

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::Hash;
use crate::base::cvmfs::{is_mounted, repository};

/// Which devices are repositories, asked once each.
#[derive(Debug, Default)]
pub(super) struct Mounts(Mutex<BTreeMap<u64, bool>>);

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
