//! Where `ld.so` looks for a library, in glibc's order.
//!
//! Source: `ld.so(8)`; glibc `elf/dl-load.c`, `_dl_map_object`, and `elf/dl-hwcaps.c`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tokens::{Token, platforms, token};
use super::{Architecture, ElfFacts, Loader};

/// Subdirectories of `glibc-hwcaps` that hold builds for newer CPUs of some architecture.
const HARDWARE_VARIANTS: [&str; 9] =
    ["x86-64-v4", "x86-64-v3", "x86-64-v2", "power10", "power9", "z16", "z15", "z14", "z13"];

/// Directories of a search path that are believed. The longest that stacks have are of some hundred.
const MOST_DIRECTORIES: usize = 4096;

/// The directories of a value of `LD_LIBRARY_PATH`; `$ORIGIN` and the like stay as they are.
#[must_use]
pub fn library_path(value: &str) -> Vec<PathBuf> {
    let elements = value.split([':', ';']);
    elements.filter(|element| element.starts_with(['/', '$'])).map(PathBuf::from).collect()
}

/// An ELF file as it would be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The path by which it was found: what `$ORIGIN` is taken from.
    pub path: PathBuf,
    /// What it needs.
    pub facts: Arc<ElfFacts>,
}

/// A library that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The library.
    pub object: Object,
    /// Builds of it for newer CPUs beside it (`glibc-hwcaps`), which some CPUs load instead.
    pub variants: Vec<PathBuf>,
}

/// A library that no directory of the search order holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Which file needs it.
    pub object: PathBuf,
    /// By which name.
    pub name: OsString,
}

/// What starting a program, or opening a library, loads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// The program itself, and its libraries in load order.
    pub objects: Vec<Object>,
    /// The names by which libraries were asked for, with their index in `objects`.
    pub names: BTreeMap<OsString, usize>,
    /// Builds for newer CPUs of these libraries.
    pub variants: Vec<PathBuf>,
    /// What it lacks.
    pub missing: Vec<Missing>,
}

/// A search for libraries.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// Whose default directories and cache are searched.
    pub loader: &'a Loader,
    /// `LD_LIBRARY_PATH` of the environment.
    pub library_path: &'a [PathBuf],
    /// Facts of the file at a path, links followed; `None` if there is no ELF file.
    pub probe: &'a dyn Fn(&Path) -> Option<Arc<ElfFacts>>,
    /// Whether there is a directory at a path, links followed; the search passes over others.
    pub has_directory: &'a dyn Fn(&Path) -> bool,
}

impl Object {
    /// A program of `architecture` that needs nothing and has no search path.
    #[must_use]
    pub fn nameless(architecture: Architecture) -> Self {
        Self { path: PathBuf::from("/"), facts: Arc::new(ElfFacts::empty(architecture)) }
    }

    /// What loads it if it is a program; `None` for a library, even one that names an interpreter so
    /// that it can be run to show its version, as glibc's do.
    #[must_use]
    pub fn interpreter(&self) -> Option<&Path> {
        let named = self.path.file_name().is_some_and(is_library_name);
        let is_library = named && self.facts.soname.is_some();
        self.facts.interpreter.as_deref().filter(|_| !is_library)
    }
}

/// Whether files of this name are libraries: `libz.so.1`, `plugin.so`.
#[must_use]
pub fn is_library_name(name: &OsStr) -> bool {
    name.as_bytes().windows(3).any(|part| part == b".so")
}

impl std::fmt::Debug for Search<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("loader", &self.loader).finish_non_exhaustive()
    }
}

impl Search<'_> {
    /// The library that `name` (of `DT_NEEDED` or `dlopen`) means to the first object of `chain`;
    /// each following one is what loaded the one before it, the last is the program.
    #[must_use]
    pub fn find(&self, name: &OsStr, chain: &[&Object]) -> Option<Found> {
        let needing = chain.first()?;
        let architecture = needing.facts.architecture;
        if name.as_bytes().contains(&b'/') {
            let paths = self.expand(name, needing);
            let mut paths = paths.iter().filter(|path| path.is_absolute());
            return paths.find_map(|path| self.accept(path, architecture));
        }
        // the loader is there before all others, and answers to its own name
        if self.loader.is_part(name) {
            let own = self.accept(self.loader.interpreter(), architecture);
            if own.is_some() {
                return own;
            }
        }
        let directories = self.named_directories(chain);
        let in_directory = |directory: &PathBuf| self.accept(&directory.join(name), architecture);
        let defaults =
            if needing.facts.no_default_directories { &[] } else { self.loader.directories() };
        let named = directories.iter().find_map(in_directory);
        let found = named.or_else(|| self.in_cache(name, needing));
        let found = found.or_else(|| defaults.iter().find_map(in_directory));
        // there may be nothing but builds for newer CPUs
        found.or_else(|| {
            let variant = |directory: &PathBuf| self.only_variants(directory, name, architecture);
            directories.iter().chain(defaults).find_map(variant)
        })
    }

    /// What `program` loads, breadth first as `ld.so` does; a name that was loaded once is not
    /// searched again.
    #[must_use]
    pub fn load(&self, program: Object) -> Process {
        let mut process = Process { objects: vec![program], ..Process::default() };
        // which object loaded the object of the same index
        let mut parents: Vec<Option<usize>> = vec![None];
        let mut missing = BTreeSet::new();
        let mut next = 0;
        while let Some(object) = process.objects.get(next).cloned() {
            let needed = object.facts.needed.iter().map(|name| (name, true));
            let optional = object.facts.optional.iter().map(|name| (name, false));
            for (name, is_needed) in needed.chain(optional) {
                if process.names.contains_key(name) || missing.contains(name) {
                    continue;
                }
                let Some(found) = self.find(name, &chain(&process.objects, &parents, next)) else {
                    if is_needed {
                        missing.insert(name.clone());
                        let (object, name) = (object.path.clone(), name.clone());
                        process.missing.push(Missing { object, name });
                    }
                    continue;
                };
                let known = process.objects.iter().position(|o| o.path == found.object.path);
                let at = known.unwrap_or(process.objects.len());
                process.names.insert(name.clone(), at);
                if let Some(soname) = &found.object.facts.soname {
                    process.names.entry(soname.clone()).or_insert(at);
                }
                if known.is_none() {
                    process.variants.extend(found.variants);
                    process.objects.push(found.object);
                    parents.push(Some(next));
                }
            }
            next += 1;
        }
        process
    }

    /// Directories that the objects and the environment name, in order.
    fn named_directories(&self, chain: &[&Object]) -> Vec<PathBuf> {
        let (Some(needing), Some(program)) = (chain.first(), chain.last()) else {
            return Vec::new();
        };
        let of_environment =
            self.library_path.iter().flat_map(|path| self.expand(path.as_os_str(), program));
        let mut directories: Vec<PathBuf> = Vec::new();
        if self.loader.is_musl() {
            directories.extend(of_environment);
            for object in chain {
                let list = object.facts.runpath.as_deref().or(object.facts.rpath.as_deref());
                directories.extend(self.expand_list(list, object));
            }
        } else {
            if needing.facts.runpath.is_none() {
                for object in chain.iter().filter(|object| object.facts.runpath.is_none()) {
                    directories.extend(self.expand_list(object.facts.rpath.as_deref(), object));
                }
            }
            directories.extend(of_environment);
            directories.extend(self.expand_list(needing.facts.runpath.as_deref(), needing));
        }
        let mut seen = BTreeSet::new();
        directories.retain(|path| path.is_absolute() && seen.insert(path.clone().into_os_string()));
        directories.truncate(MOST_DIRECTORIES);
        directories.retain(|path| (self.has_directory)(path));
        directories
    }

    /// What the loader's cache has for `name`.
    fn in_cache(&self, name: &OsStr, needing: &Object) -> Option<Found> {
        let defaults = self.loader.directories();
        let in_defaults =
            |path: &Path| path.parent().is_some_and(|parent| defaults.iter().any(|d| d == parent));
        let files = self.loader.cache().files(name).iter();
        files
            .filter(|path| !path.iter().any(|part| part == "glibc-hwcaps"))
            .filter(|path| !(needing.facts.no_default_directories && in_defaults(path)))
            .find_map(|path| self.accept(path, needing.facts.architecture))
    }

    /// The library at `path` if it is one that a process of this architecture can load.
    fn accept(&self, path: &Path, architecture: Architecture) -> Option<Found> {
        let facts = self.fitting(path, architecture)?;
        let (directory, name) = (path.parent()?, path.file_name()?);
        let variants = self.variants(directory, name);
        let variants = variants.filter(|path| self.fitting(path, architecture).is_some());
        let variants = variants.collect();
        Some(Found { object: Object { path: path.to_owned(), facts }, variants })
    }

    fn fitting(&self, path: &Path, architecture: Architecture) -> Option<Arc<ElfFacts>> {
        (self.probe)(path).filter(|facts| facts.architecture == architecture && facts.dynamic)
    }

    /// Where `directory` may have builds of the library `name` for some CPUs, the newest first.
    fn variants(&self, directory: &Path, name: &OsStr) -> impl Iterator<Item = PathBuf> {
        let hwcaps = directory.join("glibc-hwcaps");
        let is_there = (self.has_directory)(&hwcaps);
        let variants = if is_there { &HARDWARE_VARIANTS[..] } else { &[] };
        variants.iter().map(move |variant| hwcaps.join(variant).join(name))
    }

    /// The library `name` where `directory` has it for some CPUs only: for the oldest of them, with
    /// the others as its variants.
    fn only_variants(
        &self,
        directory: &Path,
        name: &OsStr,
        architecture: Architecture,
    ) -> Option<Found> {
        let fitting = |path: PathBuf| {
            let facts = self.fitting(&path, architecture)?;
            Some(Object { path, facts })
        };
        let mut found: Vec<Object> = self.variants(directory, name).filter_map(fitting).collect();
        let object = found.pop()?;
        Some(Found { object, variants: found.into_iter().map(|newer| newer.path).collect() })
    }

    /// The directories of a colon list, `$ORIGIN` and the like replaced.
    fn expand_list(&self, list: Option<&OsStr>, object: &Object) -> Vec<PathBuf> {
        let elements = list.map_or(&[][..], |list| list.as_bytes());
        let elements = elements.split(|&byte| byte == b':').filter(|element| !element.is_empty());
        let elements = elements.take(MOST_DIRECTORIES);
        elements.flat_map(|element| self.expand(OsStr::from_bytes(element), object)).collect()
    }

    /// What `text` may mean with `$ORIGIN`, `$LIB` and `$PLATFORM` replaced; nothing if one has no
    /// value.
    fn expand(&self, text: &OsStr, object: &Object) -> Vec<PathBuf> {
        let platforms = platforms(object.facts.architecture);
        let Some((path, uses_platform)) = self.expand_for(text, object, platforms.first()) else {
            return Vec::new();
        };
        let others = if uses_platform { platforms.get(1..).unwrap_or_default() } else { &[] };
        let others = others.iter().map(|platform| self.expand_for(text, object, Some(platform)));
        std::iter::once(path).chain(others.flatten().map(|(path, _)| path)).collect()
    }

    /// `text` where `$PLATFORM` is `platform`, and whether it names that.
    fn expand_for(
        &self,
        text: &OsStr,
        object: &Object,
        platform: Option<&&str>,
    ) -> Option<(PathBuf, bool)> {
        let mut rest = text.as_bytes();
        let mut out = Vec::with_capacity(rest.len());
        let mut uses_platform = false;
        while let Some(dollar) = rest.iter().position(|&byte| byte == b'$') {
            let (before, from) = rest.split_at(dollar);
            out.extend_from_slice(before);
            let Some((token, after)) = token(from) else {
                out.push(b'$');
                rest = from.get(1..)?;
                continue;
            };
            match token {
                Token::Origin => out.extend(object.path.parent()?.as_os_str().as_bytes()),
                Token::Lib => out.extend(self.loader.library_directory().as_os_str().as_bytes()),
                Token::Platform => {
                    uses_platform = true;
                    out.extend(platform?.bytes());
                }
            }
            rest = after;
        }
        out.extend_from_slice(rest);
        Some((PathBuf::from(OsString::from_vec(out)), uses_platform))
    }
}

/// The object of index `at`, what loaded it, and so on up to the program.
fn chain<'a>(objects: &'a [Object], parents: &[Option<usize>], at: usize) -> Vec<&'a Object> {
    std::iter::successors(Some(at), |&at| parents.get(at).copied().flatten())
        .filter_map(|at| objects.get(at))
        .collect()
}

#[cfg(test)]
mod tests;
