//! Installations of which a licence lets only some files be handed on.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use super::ClosureError;

/// The reason of what is left out of such an installation.
pub const NOT_REDISTRIBUTABLE: &str = "its licence does not let it be handed on";
/// Endings of files that a licence text lists.
const LISTED: [&str; 4] = [".so", ".a", ".h", ".bc"];
/// No licence text has more bytes.
const LONGEST: u64 = 1 << 20;

/// Software that may not be handed on as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restricted {
    /// Full name of the module.
    pub module: String,
    /// Why.
    pub reason: String,
    /// Where that is written.
    pub source: String,
    /// What was done.
    pub handling: Handling,
}

/// What is done with restricted software.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handling {
    /// There is no image.
    Refused,
    /// Only what may be handed on is packed.
    Stripped,
    /// Who exports says that they have the right to.
    Allowed,
}

/// What of a module may be packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripped {
    /// Full name of the module.
    pub module: String,
    /// Globs of the names of files that may be.
    pub keep: Vec<String>,
    /// A file of the installation, by its path in it, that lists further ones.
    pub listed_in: Option<String>,
}

/// The rule for one installation.
#[derive(Debug)]
pub(super) struct Rule {
    prefix: PathBuf,
    keep: GlobSet,
    listed: Vec<String>,
}

impl Rule {
    /// The rule for the installation at `prefix`, which has no link in it.
    pub(super) fn new(prefix: PathBuf, stripped: &Stripped) -> Result<Self, ClosureError> {
        let mut keep = GlobSetBuilder::new();
        let wrong = |glob: &str| {
            let glob = glob.to_owned();
            move |source| ClosureError::Exclude { glob, source }
        };
        for pattern in &stripped.keep {
            keep.add(GlobBuilder::new(pattern).build().map_err(wrong(pattern))?);
        }
        let keep = keep.build().map_err(wrong(&stripped.module))?;
        let licence = stripped.listed_in.as_ref().map(|name| prefix.join(name));
        let listed = licence.and_then(|path| read(&path)).map(|text| listed(&text));
        Ok(Self { prefix, keep, listed: listed.unwrap_or_default() })
    }

    /// Whether the file at `path` must stay behind. What `EasyBuild` left is its own.
    pub(super) fn forbids(&self, path: &Path, name: &[u8]) -> bool {
        let Ok(below) = path.strip_prefix(&self.prefix) else { return false };
        let stem = name.split(|&byte| byte == b'.').next().unwrap_or_default();
        let may = below.starts_with("easybuild")
            || self.listed.iter().any(|listed| listed.as_bytes() == stem)
            || path.file_name().is_some_and(|name| self.keep.is_match(Path::new(name)));
        !may
    }
}

/// Whether one of these globs fits the name of the file at `path`.
#[must_use]
pub fn may_be_kept(keep: &[String], path: &Path) -> bool {
    let name = Path::new(path.file_name().unwrap_or_default());
    let fits = |glob: &String| {
        GlobBuilder::new(glob).build().is_ok_and(|glob| glob.compile_matcher().is_match(name))
    };
    keep.iter().any(fits)
}

fn read(path: &Path) -> Option<String> {
    let size = std::fs::metadata(path).ok()?.len();
    let bytes = (size <= LONGEST).then(|| std::fs::read(path).ok()).flatten()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The names without their endings that stand between "Attachment A" and "Attachment B".
///
/// Source: EESSI software-layer-scripts `eb_hooks.py`, `post_postproc_cuda`, which reads the same
/// section of CUDA's `EULA.txt`, and drops a name that NVIDIA misspelt.
fn listed(text: &str) -> Vec<String> {
    let is_heading = |line: &str, letter: char| {
        let line = line.trim();
        let numbered = line.starts_with(|c: char| c.is_ascii_digit());
        numbered && line.ends_with(&format!("Attachment {letter}")) && !line.contains("...")
    };
    let mut names = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if is_heading(line, 'A') {
            inside = true;
        } else if is_heading(line, 'B') {
            inside = false;
        } else if inside {
            let files = line.split([' ', '\t', ',', ';']);
            let files = files.filter(|word| LISTED.iter().any(|end| word.contains(end)));
            names.extend(files.filter_map(|word| word.split('.').next()).map(str::to_owned));
        }
    }
    for name in &mut names {
        if name == "libnvrtx-builtins_static" {
            "libnvrtc-builtins_static".clone_into(name);
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_lists_what_may_be_handed_on() {
        let text = "2.6. Attachment A\n\nComponent CUDA Runtime\nLinux libcudart.so, libcudart_static.a\n\
                    Windows cudart.dll\n2.7. Attachment B\nlibsecret.so\n";
        assert_eq!(listed(text), ["libcudart", "libcudart_static"]);
        assert_eq!(listed("see Attachment A\nlibx.so\n"), [""; 0]);
    }

    #[test]
    fn files_stay_behind_unless_they_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let prefix = directory.path().to_owned();
        std::fs::write(prefix.join("EULA.txt"), "2.6. Attachment A\nlibx.so\n2.7. Attachment B\n")
            .unwrap();
        let stripped = Stripped {
            module: "X/1".to_owned(),
            keep: vec!["lib*.so*".to_owned(), "EULA*".to_owned()],
            listed_in: Some("EULA.txt".to_owned()),
        };
        let rule = Rule::new(prefix.clone(), &stripped).unwrap();
        for (path, forbidden) in [
            ("bin/nvcc", true),
            ("lib64/liby.so.1.2", false),
            ("lib64/libx.a", false),
            ("lib64/libz.a", true),
            ("EULA.txt", false),
            ("easybuild/X-1.eb", false),
        ] {
            let path = prefix.join(path);
            let name = path.file_name().unwrap().as_encoded_bytes();
            assert_eq!(rule.forbids(&path, name), forbidden, "{}", path.display());
        }
        assert!(!rule.forbids(Path::new("/elsewhere/bin/nvcc"), b"nvcc"));
    }
}
