//! Paths inside an image.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::base::Escaped;

/// An absolute path inside an image: bytes, no empty component, no `.` or `..`, no NUL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImagePath(Vec<u8>);

/// A text that is no [`ImagePath`].
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not an absolute path without `.` and `..`", Escaped(.0))]
pub struct InvalidImagePath(String);

impl ImagePath {
    /// The root directory.
    #[must_use]
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// The path `bytes`; repeated and trailing slashes are dropped.
    ///
    /// # Errors
    /// [`InvalidImagePath`] if it is not absolute, or has `.`, `..` or a NUL in it.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidImagePath> {
        let invalid = || InvalidImagePath(String::from_utf8_lossy(bytes).into_owned());
        if bytes.first() != Some(&b'/') || bytes.contains(&0) {
            return Err(invalid());
        }
        let mut path = Vec::with_capacity(bytes.len());
        for name in bytes.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
            if name == b"." || name == b".." {
                return Err(invalid());
            }
            path.push(b'/');
            path.extend_from_slice(name);
        }
        Ok(Self(path))
    }

    /// The path of the entry `name` in this directory. `name` must be a single component.
    #[must_use]
    pub fn join_name(&self, name: &[u8]) -> Self {
        debug_assert!(!name.is_empty() && !name.contains(&b'/'), "a single component");
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        path.push(b'/');
        path.extend_from_slice(name);
        Self(path)
    }

    /// Directory and last component; `None` for the root.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &[u8])> {
        let slash = self.0.iter().rposition(|&b| b == b'/')?;
        Some((Self(self.0[..slash].to_vec()), &self.0[slash + 1..]))
    }

    /// The components from the root down.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|name| !name.is_empty())
    }

    /// The bytes: `/` for the root, else without a trailing slash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        if self.0.is_empty() { b"/" } else { &self.0 }
    }

    /// The same as a path of the operating system.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(self.as_bytes()))
    }

    /// Whether this is `other` or lies below it.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.as_path().starts_with(other.as_path())
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&String::from_utf8_lossy(self.as_bytes())).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_hold_no_way_out() {
        for (text, want) in [
            ("/a//b/", Some("/a/b")),
            ("/", Some("/")),
            ("a", None),
            ("/a/../b", None),
            ("/./a", None),
            ("/a\0b", None),
            ("", None),
        ] {
            let got = ImagePath::new(text.as_bytes()).ok();
            assert_eq!(got.as_ref().map(ImagePath::as_bytes), want.map(str::as_bytes), "{text}");
        }
    }
}
