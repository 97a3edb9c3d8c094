//! Files of Python and pkg-config name paths.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::view::{Absence, View};
use super::{Check, Finding, Severity};
use crate::base::Interrupted;
use crate::closure::parallel;
use crate::rootfs::FileId;

/// No such file has more bytes.
const LONGEST: u64 = 1 << 16;

/// Whether a file of this name is read here.
pub(super) fn names_paths(name: &[u8]) -> bool {
    name == b"pyvenv.cfg" || name.ends_with(b".pth") || name.ends_with(b".pc")
}

/// The paths in such files that lead to nothing.
pub(super) fn check(view: &View<'_>) -> Result<Vec<Finding>, Interrupted> {
    let one = |(path, id): &(PathBuf, FileId)| -> Vec<Finding> {
        let bytes = view.subject.contents.bytes(*id, LONGEST).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let absent = |at: &str| {
            let at = Path::new(at);
            let known = view.has(at) || matches!(view.absence(at), Absence::Expected(_));
            let need = at.as_os_str();
            (!known).then(|| view.absent(Check::Pointer, path, need, at, Severity::Warning))
        };
        paths_in(path.extension(), &text).into_iter().filter_map(absent).collect()
    };
    let findings = parallel::map(&view.pointers, view.subject.interrupt, one)?;
    Ok(findings.into_iter().flatten().collect())
}

/// The absolute paths that a file with this ending names.
fn paths_in<'a>(ending: Option<&OsStr>, text: &'a str) -> Vec<&'a str> {
    let is_list = ending == Some(OsStr::new("pth"));
    let is_venv = ending == Some(OsStr::new("cfg"));
    let path = |line: &'a str| {
        let value = if is_list {
            line
        } else {
            let (name, value) = line.split_once('=')?;
            // of other words of pkg-config most hold options
            let named = name.trim();
            let wanted = if is_venv {
                named == "home"
            } else {
                named.ends_with("prefix") || named.ends_with("dir")
            };
            wanted.then_some(value)?
        };
        let value = value.trim();
        (value.starts_with('/') && !value.contains(['$', ' '])).then_some(value)
    };
    text.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_paths_count() {
        for (ending, text, want) in [
            ("pth", "import x\n/a/b\n../c\n", &["/a/b"][..]),
            ("cfg", "home = /usr/bin\nversion = 3\nprompt = /x\n", &["/usr/bin"]),
            ("pc", "prefix=/a\nlibdir=${prefix}/lib\nLibs: -L/b\nincludedir = /c\n", &["/a", "/c"]),
        ] {
            assert_eq!(paths_in(Some(OsStr::new(ending)), text), want, "{ending}");
        }
    }
}
