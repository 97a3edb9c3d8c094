//! The file system with errors that name their path.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::Escaped;

/// What failed, on which path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", Escaped(&path.to_string_lossy()))]
pub struct PathError {
    /// A verb, as in "cannot *read* …".
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// The system's reason.
    #[source]
    pub source: io::Error,
}

/// Adds action and path to an [`io::Error`].
pub trait PathContext<T> {
    /// Names the `path` and the `action` (a verb, as in "cannot *read* …") that failed.
    ///
    /// # Errors
    /// The same failure as a [`PathError`].
    fn at(self, action: &'static str, path: &Path) -> Result<T, PathError>;
}

impl<T, E: Into<io::Error>> PathContext<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, PathError> {
        self.map_err(|source| PathError { action, path: path.to_owned(), source: source.into() })
    }
}

/// Names of the entries of `directory` in byte order, without `.` and `..`.
///
/// # Errors
/// If the directory cannot be read.
#[allow(clippy::disallowed_methods, reason = "the one place that reads directories, and it sorts")]
pub fn sorted_dir(directory: &Path) -> Result<Vec<OsString>, PathError> {
    let names = std::fs::read_dir(directory).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>, _>>()
    });
    let mut names = names.at("read the directory", directory)?;
    names.sort_unstable();
    Ok(names)
}
