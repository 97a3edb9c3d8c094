//! Software of a session that no module gives.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::Escaped;
use crate::base::fs::sorted_dir;
use crate::environment::Variables;

/// Something that programs of the session use and the image will not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// What it is.
    pub kind: Kind,
    /// The directory that would have to be packed.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub path: PathBuf,
}

/// Kinds of software that no module gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `VIRTUAL_ENV`.
    VirtualEnvironment,
    /// `CONDA_PREFIX`.
    CondaEnvironment,
    /// A directory of `PATH`.
    Programs,
    /// A directory of `LD_LIBRARY_PATH`.
    Libraries,
    /// `~/.local/lib/python3.X/site-packages`.
    PythonUserLibrary,
    /// `~/R/ARCH/X.Y`.
    RUserLibrary,
    /// `~/.julia/packages`.
    JuliaUserLibrary,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VirtualEnvironment => "an active virtual environment",
            Self::CondaEnvironment => "an active conda environment",
            Self::Programs => "a directory of PATH that no module adds,",
            Self::Libraries => "a directory of LD_LIBRARY_PATH that no module adds,",
            Self::PythonUserLibrary => "a Python user library",
            Self::RUserLibrary => "an R user library",
            Self::JuliaUserLibrary => "a Julia user library",
        })
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.to_string_lossy();
        let quoted = shell_words::quote(&path);
        write!(
            f,
            "{} at `{}` is not in the image: --include {} packs it",
            self.kind,
            Escaped(&path),
            Escaped(&quoted)
        )
    }
}

/// Finds software that no module gives. `known` are path elements of modules, stack and system;
/// `own` is the directory of this program, which is nobody's science.
#[must_use]
pub fn find(environment: &Variables, known: &BTreeSet<String>, own: Option<&Path>) -> Vec<Foreign> {
    let mut found = environments(environment);
    found.extend(path_entries(environment, known, own, &found));
    found.extend(user_libraries(environment));
    found
}

fn environments(environment: &Variables) -> Vec<Foreign> {
    [("VIRTUAL_ENV", Kind::VirtualEnvironment), ("CONDA_PREFIX", Kind::CondaEnvironment)]
        .into_iter()
        .filter_map(|(name, kind)| {
            let path = PathBuf::from(environment.get(name)?);
            (path.is_absolute() && path.is_dir()).then_some(Foreign { kind, path })
        })
        .collect()
}

/// Directories of `PATH` and `LD_LIBRARY_PATH` with something in them, outside everything known.
fn path_entries(
    environment: &Variables,
    known: &BTreeSet<String>,
    own: Option<&Path>,
    environments: &[Foreign],
) -> Vec<Foreign> {
    let mut found: Vec<Foreign> = Vec::new();
    for (name, kind) in [("PATH", Kind::Programs), ("LD_LIBRARY_PATH", Kind::Libraries)] {
        for element in environment.get(name).iter().flat_map(|list| super::split_path(list)) {
            let path = PathBuf::from(&element);
            let covered = known.contains(&element)
                || known.contains(element.trim_end_matches('/'))
                || own == Some(&*path)
                || environments.iter().any(|there| path.starts_with(&there.path))
                || found.iter().any(|there| there.path == path);
            if !covered && path.is_absolute() && has_entries(&path) {
                found.push(Foreign { kind, path });
            }
        }
    }
    found
}

/// Libraries that Python, R and Julia load from the user's home by themselves.
fn user_libraries(environment: &Variables) -> Vec<Foreign> {
    let home = environment.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let user_base = environment.get("PYTHONUSERBASE").map(PathBuf::from);
    let user_base = user_base.or_else(|| home.as_ref().map(|home| home.join(".local")));
    let mut found = Vec::new();
    if !environment.contains_key("PYTHONNOUSERSITE") {
        for lib in user_base.iter().flat_map(|base| below(&base.join("lib"), "python")) {
            add_library(&mut found, Kind::PythonUserLibrary, lib.join("site-packages"));
        }
    }
    match environment.get("R_LIBS_USER") {
        Some(list) => {
            for path in super::split_path(list) {
                add_library(&mut found, Kind::RUserLibrary, PathBuf::from(path));
            }
        }
        None => {
            for arch in home.iter().flat_map(|home| below(&home.join("R"), "")) {
                for library in below(&arch, "") {
                    add_library(&mut found, Kind::RUserLibrary, library);
                }
            }
        }
    }
    let depot = environment
        .get("JULIA_DEPOT_PATH")
        .and_then(|list| super::split_path(list).first().map(PathBuf::from));
    if let Some(depot) = depot.or_else(|| home.map(|home| home.join(".julia"))) {
        add_library(&mut found, Kind::JuliaUserLibrary, depot.join("packages"));
    }
    found
}

fn add_library(found: &mut Vec<Foreign>, kind: Kind, path: PathBuf) {
    if path.is_absolute() && has_entries(&path) {
        found.push(Foreign { kind, path });
    }
}

fn below(directory: &Path, start: &str) -> Vec<PathBuf> {
    let names = sorted_dir(directory).unwrap_or_default();
    let names = names.into_iter().filter(|name| name.to_string_lossy().starts_with(start));
    names.map(|name| directory.join(name)).filter(|path| path.is_dir()).collect()
}

fn has_entries(directory: &Path) -> bool {
    sorted_dir(directory).is_ok_and(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_module_gives_is_named_with_the_flag_that_packs_it() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        for file in [
            "venv/bin/python",
            "tools/t",
            "mod/bin/m",
            ".local/lib/python3.11/site-packages/x.py",
            "R/x86_64/4.2/p",
            ".julia/packages/q",
            ".local/lib/python3.9/site-packages/",
        ] {
            let path = at(file);
            std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
            if !file.ends_with('/') {
                std::fs::write(path, "").unwrap();
            }
        }
        let path = ["venv/bin", "tools", "gone", "mod/bin", "tools", "own"].map(at).join(":");
        let environment: Variables = [
            ("HOME", home.path().to_str().unwrap().to_owned()),
            ("PATH", path),
            ("VIRTUAL_ENV", at("venv")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let known = [at("mod/bin")].into();
        let found = find(&environment, &known, Some(Path::new(&at("own"))));
        let shown: Vec<_> =
            found.iter().map(|f| f.to_string().replace(&at(""), "$HOME/")).collect();
        assert_eq!(
            shown,
            [
                "an active virtual environment at `$HOME/venv` is not in the image: --include $HOME/venv packs it",
                "a directory of PATH that no module adds, at `$HOME/tools` is not in the image: --include $HOME/tools packs it",
                "a Python user library at `$HOME/.local/lib/python3.11/site-packages` is not in the image: --include $HOME/.local/lib/python3.11/site-packages packs it",
                "an R user library at `$HOME/R/x86_64/4.2` is not in the image: --include $HOME/R/x86_64/4.2 packs it",
                "a Julia user library at `$HOME/.julia/packages` is not in the image: --include $HOME/.julia/packages packs it",
            ]
        );
    }
}
