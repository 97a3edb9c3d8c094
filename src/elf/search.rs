//! Where `ld.so` looks for a library, in glibc's order.
//!
//! Source: `ld.so(8)`; glibc `elf/dl-load.c`, `_dl_map_object`, and `elf/dl-hwcaps.c`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Architecture, ElfFacts, LoaderCache};

/// Subdirectories of `glibc-hwcaps` that hold builds for newer CPUs of some architecture.
const HARDWARE_VARIANTS: [&str; 9] =
    ["x86-64-v4", "x86-64-v3", "x86-64-v2", "power10", "power9", "z16", "z15", "z14", "z13"];

/// What is built into a dynamic loader: its default directories, and its cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    interpreter: PathBuf,
    directories: Vec<PathBuf>,
    cache_file: Option<PathBuf>,
    cache: LoaderCache,
}

impl Loader {
    /// The loader `interpreter`, `/lib64/ld-linux-x86-64.so.2`. What it has built in is read from
    /// its own bytes, since each prefix has its own; conventional directories take the place of
    /// what cannot be read. `read` gives the bytes of a file, links followed.
    pub fn new(interpreter: &Path, read: &dyn Fn(&Path) -> Option<Vec<u8>>) -> Self {
        let bytes = read(interpreter).unwrap_or_default();
        let mut directories = built_in_directories(&bytes);
        if directories.is_empty() {
            directories = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from).into();
        }
        let cache_file = built_in_cache(&bytes);
        let cache = cache_file.as_deref().and_then(read);
        let cache = cache.map(|bytes| LoaderCache::parse(&bytes)).unwrap_or_default();
        Self { interpreter: interpreter.to_owned(), directories, cache_file, cache }
    }

    /// The path by which programs ask for it.
    #[must_use]
    pub fn interpreter(&self) -> &Path {
        &self.interpreter
    }

    /// Directories that are searched last, in order.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Its cache, `/etc/ld.so.cache`, if it has one built in.
    #[must_use]
    pub fn cache_file(&self) -> Option<&Path> {
        self.cache_file.as_deref()
    }

    /// What `$LIB` stands for: `lib64`, `lib/x86_64-linux-gnu`.
    fn library_directory(&self) -> PathBuf {
        let first = self.directories.first().map_or(Path::new(""), PathBuf::as_path);
        let names: Vec<_> = first.components().collect();
        let lib = names.iter().position(|c| c.as_os_str().as_bytes().starts_with(b"lib"));
        lib.and_then(|at| names.get(at..)).map_or_else(|| "lib64".into(), |c| c.iter().collect())
    }
}

/// The longest run of NUL-terminated paths that end in a slash: glibc's `system_dirs`.
fn built_in_directories(bytes: &[u8]) -> Vec<PathBuf> {
    let is_directory = |text: &[u8]| {
        text.len() > 1
            && text.starts_with(b"/")
            && text.ends_with(b"/")
            && text.iter().all(u8::is_ascii_graphic)
    };
    let mut best: Vec<&[u8]> = Vec::new();
    let mut run: Vec<&[u8]> = Vec::new();
    for text in bytes.split(|&byte| byte == 0) {
        if is_directory(text) {
            run.push(text);
            continue;
        }
        if run.len() > best.len() {
            best.clone_from(&run);
        }
        run.clear();
    }
    let best = if run.len() > best.len() { run } else { best };
    let path = |text: &&[u8]| Path::new(OsStr::from_bytes(text)).components().collect();
    if best.len() < 2 { Vec::new() } else { best.iter().map(path).collect() }
}

/// The path of the cache: a NUL-terminated absolute path that ends in `.so.cache`.
fn built_in_cache(bytes: &[u8]) -> Option<PathBuf> {
    let mut texts = bytes.split(|&byte| byte == 0);
    let path = texts.find(|text| text.starts_with(b"/") && text.ends_with(b".so.cache"))?;
    Some(PathBuf::from(OsStr::from_bytes(path)))
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
            let path = self.expand(name, needing)?;
            return path.is_absolute().then(|| self.accept(&path, architecture))?;
        }
        // the loader is there before all others, and answers to its own name
        let interpreter = &self.loader.interpreter;
        if interpreter.file_name() == Some(name) {
            let own = self.accept(interpreter, architecture);
            if own.is_some() {
                return own;
            }
        }
        let in_directory = |directory: PathBuf| self.accept(&directory.join(name), architecture);
        let named = self.named_directories(chain).into_iter().find_map(in_directory);
        named.or_else(|| self.in_cache(name, needing)).or_else(|| {
            let mut defaults = self.loader.directories.iter();
            (!needing.facts.no_default_directories)
                .then(|| defaults.find_map(|directory| in_directory(directory.clone())))?
        })
    }

    /// What `program` loads, breadth first as `ld.so` does; a name that was loaded once is not
    /// searched again.
    #[must_use]
    pub fn load(&self, program: Object) -> Process {
        let mut process = Process { objects: vec![program], ..Process::default() };
        // which object loaded the object of the same index
        let mut parents: Vec<Option<usize>> = vec![None];
        let mut names = BTreeSet::new();
        let mut next = 0;
        while let Some(object) = process.objects.get(next).cloned() {
            for name in &object.facts.needed {
                if !names.insert(name.clone()) {
                    continue;
                }
                match self.find(name, &chain(&process.objects, &parents, next)) {
                    Some(found) => {
                        names.extend(found.object.facts.soname.clone());
                        let known = process.objects.iter().any(|o| o.path == found.object.path);
                        if !known {
                            process.variants.extend(found.variants);
                            process.objects.push(found.object);
                            parents.push(Some(next));
                        }
                    }
                    None => process
                        .missing
                        .push(Missing { object: object.path.clone(), name: name.clone() }),
                }
            }
            next += 1;
        }
        process
    }

    /// Directories that the objects and the environment name, in order.
    fn named_directories(&self, chain: &[&Object]) -> Vec<PathBuf> {
        let Some(needing) = chain.first() else { return Vec::new() };
        let mut directories = Vec::new();
        if needing.facts.runpath.is_none() {
            for object in chain.iter().filter(|object| object.facts.runpath.is_none()) {
                directories.extend(self.expand_list(object.facts.rpath.as_deref(), object));
            }
        }
        directories.extend(self.library_path.iter().cloned());
        directories.extend(self.expand_list(needing.facts.runpath.as_deref(), needing));
        directories
    }

    /// What the loader's cache has for `name`.
    fn in_cache(&self, name: &OsStr, needing: &Object) -> Option<Found> {
        let defaults = &self.loader.directories;
        let in_defaults =
            |path: &Path| path.parent().is_some_and(|parent| defaults.iter().any(|d| d == parent));
        let files = self.loader.cache.files(name).iter();
        files
            .filter(|path| !path.iter().any(|part| part == "glibc-hwcaps"))
            .filter(|path| !(needing.facts.no_default_directories && in_defaults(path)))
            .find_map(|path| self.accept(path, needing.facts.architecture))
    }

    /// The library at `path` if it is one that a process of this architecture can load.
    fn accept(&self, path: &Path, architecture: Architecture) -> Option<Found> {
        let fitting = |path: &Path| {
            (self.probe)(path).filter(|facts| facts.architecture == architecture && facts.dynamic)
        };
        let facts = fitting(path)?;
        let (directory, name) = (path.parent()?, path.file_name()?);
        let hwcaps = directory.join("glibc-hwcaps");
        let variants = HARDWARE_VARIANTS.iter().map(|variant| hwcaps.join(variant).join(name));
        let variants = variants.filter(|path| fitting(path).is_some()).collect();
        Some(Found { object: Object { path: path.to_owned(), facts }, variants })
    }

    /// The absolute directories of a colon list, `$ORIGIN` and the like replaced.
    fn expand_list(&self, list: Option<&OsStr>, object: &Object) -> Vec<PathBuf> {
        let elements = list.map_or(&[][..], |list| list.as_bytes());
        let elements = elements.split(|&byte| byte == b':').filter(|element| !element.is_empty());
        elements
            .filter_map(|element| self.expand(OsStr::from_bytes(element), object))
            .filter(|directory| directory.is_absolute())
            .collect()
    }

    /// `text` with `$ORIGIN`, `$LIB` and `$PLATFORM` replaced; `None` if one has no value.
    fn expand(&self, text: &OsStr, object: &Object) -> Option<PathBuf> {
        let mut rest = text.as_bytes();
        let mut out = Vec::with_capacity(rest.len());
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
                Token::Platform => out.extend(platform(object.facts.architecture)?.bytes()),
            }
            rest = after;
        }
        out.extend_from_slice(rest);
        Some(PathBuf::from(OsString::from_vec(out)))
    }
}

/// The object of index `at`, what loaded it, and so on up to the program.
fn chain<'a>(objects: &'a [Object], parents: &[Option<usize>], at: usize) -> Vec<&'a Object> {
    std::iter::successors(Some(at), |&at| parents.get(at).copied().flatten())
        .filter_map(|at| objects.get(at))
        .collect()
}

/// A word that `ld.so` replaces.
enum Token {
    Origin,
    Lib,
    Platform,
}

/// The token that `text` begins with, `$NAME` or `${NAME}`, and what follows it.
fn token(text: &[u8]) -> Option<(Token, &[u8])> {
    let rows =
        [(&b"ORIGIN"[..], Token::Origin), (b"LIB", Token::Lib), (b"PLATFORM", Token::Platform)];
    let text = text.strip_prefix(b"$")?;
    rows.into_iter().find_map(|(name, token)| {
        let plain = || {
            let after = text.strip_prefix(name)?;
            let ends = after.first().is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_');
            ends.then_some(after)
        };
        let braced = || text.strip_prefix(b"{")?.strip_prefix(name)?.strip_prefix(b"}");
        plain().or_else(braced).map(|after| (token, after))
    })
}

/// What the kernel calls the platform (`AT_PLATFORM`), for the common ones.
fn platform(architecture: Architecture) -> Option<&'static str> {
    match (architecture.machine, architecture.is_64_bit) {
        (62, true) => Some("x86_64"),
        (3, false) => Some("i686"),
        (183, true) => Some("aarch64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
