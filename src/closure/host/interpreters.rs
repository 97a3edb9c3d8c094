//! What an interpreter of scripts needs besides itself, known by where distributions put it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Place;
use crate::base::fs::sorted_dir;

/// The directories, of those that exist, from which the interpreter at `program` (links followed)
/// of a place loads its standard library.
pub(super) fn library_directories(program: &Path, place: &Place) -> Vec<PathBuf> {
    below_prefix(program, place.root(), place.libraries())
}

/// Whether a program is called as an interpreter that has a standard library: `python3.11`, and not
/// `pythontex`.
pub(super) fn is_interpreter(program: &Path) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    ["python", "perl", "tclsh"].iter().any(|start| {
        name.strip_prefix(start).is_some_and(|rest| {
            rest.is_empty()
                || rest.starts_with("-exec")
                || rest.starts_with(|c: char| c.is_ascii_digit())
        })
    })
}

fn below_prefix(program: &Path, root: &Path, libraries: &[PathBuf]) -> Vec<PathBuf> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    // <prefix>/bin/<name>
    let Some(prefix) = program.parent().and_then(Path::parent) else { return Vec::new() };
    let usr = root.join("usr");
    let prefix = if prefix == root { &usr } else { prefix };
    let below = |paths: &[&str]| paths.iter().map(|path| prefix.join(path)).collect::<Vec<_>>();
    let mut found = if name.starts_with("python") {
        let mut found = below(&[&format!("lib/{name}"), &format!("lib64/{name}")]);
        if name.starts_with("python-exec") {
            // Gentoo's, which starts the preferred one of several
            found.push(root.join("etc/python-exec"));
            found.extend(pythons(&prefix.join("lib")));
        }
        found
    } else if name.starts_with("perl") {
        let mut found = below(&["share/perl", "share/perl5", "lib/perl5", "lib64/perl5"]);
        for directory in libraries.iter().filter(|directory| directory.starts_with(prefix)) {
            found.extend(["perl", "perl5", "perl-base"].map(|name| directory.join(name)));
        }
        found
    } else if let Some(version) = name.strip_prefix("tclsh") {
        let tcl = format!("tcl{version}");
        below(&[
            &format!("lib/{tcl}"),
            &format!("lib64/{tcl}"),
            &format!("share/{tcl}"),
            &format!("share/tcltk/{tcl}"),
        ])
    } else {
        Vec::new()
    };
    found.retain(|directory| directory.is_dir());
    found.dedup();
    found
}

/// What `python-exec` chooses from, in the directory `lib`: its links, and the libraries of all.
fn pythons(lib: &Path) -> Vec<PathBuf> {
    let names = sorted_dir(lib).unwrap_or_default();
    let names = names.into_iter().filter(|name| name.as_bytes().starts_with(b"python"));
    names.map(|name| lib.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_told_by_their_names() {
        for (name, want) in [
            ("python", true),
            ("python3.11", true),
            ("python-exec2c", true),
            ("perl5.36-x86_64-linux-gnu", true),
            ("tclsh8.6", true),
            ("pythontex", false),
            ("perldoc", false),
            ("perl-user", false),
            ("bash", false),
        ] {
            assert_eq!(is_interpreter(&Path::new("/usr/bin").join(name)), want, "{name}");
        }
    }

    #[test]
    fn the_library_of_an_interpreter_lies_below_its_prefix() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "lib/python3.11",
            "lib/python3",
            "lib/x86/perl-base",
            "share/perl5",
            "share/tcltk/tcl8.6",
            "lib/python-exec",
        ] {
            std::fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let libraries = [root.path().join("lib/x86")];
        for (program, want) in [
            ("bin/python3.11", &["lib/python3.11"][..]),
            ("bin/perl", &["share/perl5", "lib/x86/perl-base"]),
            ("bin/tclsh8.6", &["share/tcltk/tcl8.6"]),
            ("bin/python-exec2c", &["lib/python-exec", "lib/python3", "lib/python3.11"]),
            ("bin/bash", &[]),
        ] {
            let got = below_prefix(&root.path().join(program), Path::new("/"), &libraries);
            let want: Vec<_> = want.iter().map(|path| root.path().join(path)).collect();
            assert_eq!(got, want, "{program}");
        }
    }
}
