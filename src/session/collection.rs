//! Saved collections: what `module save` leaves in the home directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::ModuleTable;
use super::SyntaxError;
use super::lua_table::parse_assignment;
use super::module_table::read_table;
use crate::base::Escaped;
use crate::environment::Variables;

/// Directories of collections below the home directory, in the order of Lmod 9; those of equal
/// name are told apart by their age.
const DIRECTORIES: [&str; 2] = [".config/lmod", ".lmod.d"];

/// No collection is longer, in bytes.
const LONGEST: u64 = 16 << 20;

/// A saved collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Its file.
    pub file: PathBuf,
    /// The modules that were loaded, and `MODULEPATH` then.
    pub table: ModuleTable,
}

/// Why a collection cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum CollectionError {
    /// There is none of this name.
    #[error("there is no collection `{}`{}", Escaped(name), listed(known))]
    Unknown {
        /// As it was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Names have no `.`, which sets off `LMOD_SYSTEM_NAME`.
    #[error("`{}` is no name of a collection: it has a `.`", Escaped(.0))]
    Dot(String),
    /// The file cannot be read.
    #[error("cannot read the collection {}", Escaped(&.0.to_string_lossy()))]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The file is no collection.
    #[error("the collection {} is damaged", Escaped(&.0.to_string_lossy()))]
    Damaged(PathBuf, #[source] SyntaxError),
    /// A module of the collection lacks what every module has.
    #[error("the collection {} is damaged", Escaped(&.0.to_string_lossy()))]
    Module(PathBuf, #[source] super::SessionError),
}

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        return ", nor any other".to_owned();
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{}`", Escaped(name))).collect();
    format!("; there are {}", names.join(", "))
}

impl Collection {
    /// Reads the collection of this name: of `~/.config/lmod` and `~/.lmod.d` the newer one, with
    /// `LMOD_SYSTEM_NAME` as ending where that is set.
    ///
    /// # Errors
    /// [`CollectionError`] if there is none, or if it is damaged.
    pub fn read(name: &str, environment: &Variables) -> Result<Self, CollectionError> {
        if name.rsplit('/').next().is_some_and(|last| last.contains('.')) {
            return Err(CollectionError::Dot(name.to_owned()));
        }
        let directories = directories(environment);
        let file_name = format!("{name}{}", ending(environment));
        let found = directories.iter().map(|at| at.join(&file_name)).filter(|at| at.is_file());
        let age = |file: &PathBuf| {
            let modified = fs::metadata(file).and_then(|metadata| metadata.modified());
            modified.unwrap_or(SystemTime::UNIX_EPOCH)
        };
        // Of two of the same age the first counts.
        let newest = found.rev().max_by_key(age);
        let Some(file) = newest else {
            let known = known(&directories, &ending(environment));
            return Err(CollectionError::Unknown { name: name.to_owned(), known });
        };
        let text =
            read_file(&file).map_err(|error| CollectionError::Unreadable(file.clone(), error))?;
        let table = parse_assignment(&text, "_ModuleTable_")
            .map_err(|error| CollectionError::Damaged(file.clone(), error))?;
        let table =
            read_table(&table).map_err(|error| CollectionError::Module(file.clone(), error))?;
        Ok(Self { file, table })
    }
}

fn read_file(file: &Path) -> std::io::Result<Vec<u8>> {
    if fs::metadata(file)?.len() > LONGEST {
        return Err(std::io::Error::other(format!("longer than {} MiB", LONGEST >> 20)));
    }
    fs::read(file)
}

fn directories(environment: &Variables) -> Vec<PathBuf> {
    let home = environment.get("HOME").filter(|home| home.starts_with('/'));
    home.map_or_else(Vec::new, |home| {
        DIRECTORIES.iter().map(|below| Path::new(home).join(below)).collect()
    })
}

fn ending(environment: &Variables) -> String {
    let system = environment.get("LMOD_SYSTEM_NAME").filter(|name| !name.is_empty());
    system.map_or_else(String::new, |name| format!(".{name}"))
}

/// Names of the collections that there are.
fn known(directories: &[PathBuf], ending: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    for directory in directories {
        let files = crate::base::fs::sorted_dir(directory).unwrap_or_default();
        for file in files.into_iter().filter(|file| directory.join(file).is_file()) {
            let file = file.to_string_lossy().into_owned();
            if file.starts_with(['.']) || file.starts_with("__") || file.ends_with('~') {
                continue;
            }
            let name = file.strip_suffix(ending).unwrap_or_default();
            if !name.is_empty() && !name.contains('.') {
                names.insert(name.to_owned());
            }
        }
    }
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "-- -*- lua -*-\n-- created: today --\n_ModuleTable_ = {\n  MTversion = 3,\n  mT = {\n    gcc = {\n      fn = \
        \"/m/gcc/9.lua\",\n      fullName = \"gcc/9\",\n      loadOrder = 1,\n      status = \
        \"active\",\n      userName = \"gcc\",\n    },\n  },\n  mpathA = {\n    \"/m\",\n  },\n  \
        systemBaseMPATH = \"/m\",\n}\n";

    fn home(files: &[(&str, &str)]) -> (tempfile::TempDir, Variables) {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = home.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let at = home.path().to_str().unwrap().to_owned();
        (home, Variables::from([("HOME".to_owned(), at)]))
    }

    #[test]
    fn a_collection_is_found_by_its_name_and_system() {
        let (_home, mut environment) =
            home(&[(".lmod.d/work", TABLE), (".config/lmod/other.cluster", TABLE)]);
        let collection = Collection::read("work", &environment).unwrap();
        assert_eq!(collection.table.modules[0].full_name, "gcc/9");
        assert_eq!(collection.table.modulepath, ["/m"]);
        assert!(Collection::read("other", &environment).is_err());
        environment.insert("LMOD_SYSTEM_NAME".to_owned(), "cluster".to_owned());
        assert!(Collection::read("other", &environment).is_ok());
        assert!(Collection::read("work", &environment).is_err());
    }

    #[test]
    fn an_unknown_collection_is_an_error_that_names_the_others() {
        let (_home, environment) = home(&[
            (".lmod.d/work", TABLE),
            (".lmod.d/work~", ""),
            (".config/lmod/default", TABLE),
            (".config/lmod/x.cluster", TABLE),
        ]);
        let said = |name: &str| Collection::read(name, &environment).unwrap_err().to_string();
        assert_eq!(said("play"), "there is no collection `play`; there are `default`, `work`");
        assert!(said("a.b").contains("it has a `.`"));
        let said = Collection::read("x", &Variables::new()).unwrap_err().to_string();
        assert_eq!(said, "there is no collection `x`, nor any other");
    }

    #[test]
    fn damage_is_named_with_the_file() {
        for text in
            ["", "_ModuleTable_ = {", "x = {}", "_ModuleTable_ = {mT={a={status=\"active\"}}}"]
        {
            let (_home, environment) = home(&[(".lmod.d/bad", text)]);
            let said = Collection::read("bad", &environment).unwrap_err().to_string();
            assert!(said.contains(".lmod.d/bad is damaged"), "{text:?}: {said}");
        }
    }
}
