//! Paths in documents: text, with what is not UTF-8 replaced.
//!
//! `serde` refuses such a path, and one odd file name must not cost a whole export. Where a path
//! must be exact (`files.jsonl`), its bytes are given.

use std::path::{Path, PathBuf};

use serde::{Serialize as _, Serializer};

/// For `#[serde(serialize_with = …)]` on a path.
///
/// # Errors
/// Those of the serializer.
pub fn one<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(serializer)
}

/// For `#[serde(serialize_with = …)]` on a list of paths.
///
/// # Errors
/// Those of the serializer.
pub fn list<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

/// For `#[serde(serialize_with = …)]` on a path that may not be there.
///
/// # Errors
/// Those of the serializer.
#[allow(clippy::ref_option, reason = "serde hands it in so")]
pub fn optional<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(Path::to_string_lossy).serialize(serializer)
}
