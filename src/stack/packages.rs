//! Packages of a system: who may do what with them, and where they come from.

mod dpkg;
mod portage;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use dpkg::Dpkg;
pub use portage::Portage;

/// No file of a package database that is read is longer, in bytes.
const LONGEST: u64 = 64 << 20;

/// A package of this machine or of a compatibility layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// `bash`, `app-shells/bash`.
    pub name: String,
    /// With the distribution's own revision.
    pub version: Option<String>,
    /// As its package database says, `GPL-3+`; `None` if that says nothing.
    pub licence: Option<String>,
    /// Its page.
    pub homepage: Option<String>,
    /// What it was built from.
    pub sources: Vec<Source>,
    /// Directory of its documents, among which its licences are.
    #[serde(serialize_with = "crate::base::path_text::optional")]
    pub documents: Option<PathBuf>,
    /// Texts that its licence names, by these names, in a collection of such texts.
    pub texts: Vec<String>,
}

/// A file that something was built from.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// Where it is, or the name of the file where only that is known.
    pub address: String,
    /// `sha256:…`, `sha512:…`
    pub checksum: Option<String>,
}

/// The text of a file of a package database, as far as it is text; `None` if it cannot be read.
fn read(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `text` on one line; `None` if nothing is on it.
fn line(text: &str) -> Option<String> {
    let words: Vec<_> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}
