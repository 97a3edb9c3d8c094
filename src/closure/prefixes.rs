//! Where a module's software is installed.
//!
//! `EasyBuild`'s modulefiles say it (`EBROOT*`). Of others only the paths are known that they put
//! into variables; the prefix is found from the names in these paths.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use super::ModuleFiles;
use crate::base::Escaped;
use crate::stack::Eessi;

/// What is known about directories that no module has for itself.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    private: &'a [PathBuf],
    eessi: Option<&'a Eessi>,
    modules: &'a [ModuleFiles],
}

/// The installation prefixes of a module, and what is doubtful about them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Prefixes {
    /// Those that exist, none inside another.
    pub(super) paths: Vec<PathBuf>,
    pub(super) warnings: Vec<String>,
}

/// Subdirectories of an installation prefix.
const SUBDIRECTORIES: [&str; 14] = [
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "libexec",
    "include",
    "share",
    "man",
    "info",
    "etc",
    "doc",
    "pkgconfig",
    "man1",
];

/// Directories that exist wherever an image runs, and never come from it.
const OF_THE_RUNTIME: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// Directories that belong to the moment or to the machine. Software may lie in them, but only a
/// path that looks like an installation prefix is taken for one.
const VOLATILE: [&str; 4] = ["/tmp", "/var", "/etc", "/boot"];

/// Directories of this depth from the root are never one module's own.
const SHARED_DEPTH: usize = 1;

impl<'a> Surroundings<'a> {
    pub(super) fn new(
        private: &'a [PathBuf],
        eessi: Option<&'a Eessi>,
        modules: &'a [ModuleFiles],
    ) -> Self {
        Self { private, eessi, modules }
    }

    /// The installation prefixes of `module`.
    pub(super) fn prefixes(&self, module: &ModuleFiles) -> Prefixes {
        let mut found = Prefixes::default();
        let mut gone = Vec::new();
        let roots: Vec<_> = module.easybuild_roots.iter().map(|root| clean(root)).collect();
        for root in &roots {
            if self.is_shared(root) {
                found.warn(
                    module,
                    root,
                    "is a directory that others share; it is not packed whole",
                );
            } else if root.exists() {
                found.paths.push(root.clone());
            } else {
                gone.push(root.clone());
            }
        }
        let absolute = module.named.iter().filter(|named| named.is_absolute());
        for named in absolute.map(|named| clean(named)) {
            if roots.iter().any(|root| named.starts_with(root)) || self.is_elsewhere(&named) {
                continue;
            }
            match self.derive(module, &named) {
                Some(prefix) if prefix.exists() => found.paths.push(prefix),
                // a place for a user's data, made when it is first used
                Some(prefix) if self.private.iter().any(|private| prefix.starts_with(private)) => {}
                Some(prefix) => gone.push(prefix),
                None if named.exists() && !is_system(&named) => {
                    let what = "names a path that is not packed, as it may not be its own";
                    found.warnings.push(format!(
                        "module `{}` {what}: `{}`",
                        Escaped(&module.full_name),
                        Escaped(&named.to_string_lossy())
                    ));
                }
                None => {}
            }
        }
        found.paths = outermost(&found.paths);
        // a modulefile may well name directories that its software never made
        if found.paths.is_empty() || !roots.is_empty() {
            let doubtful =
                gone.iter().filter(|path| found.paths.is_empty() || roots.contains(path));
            let doubtful: Vec<_> = doubtful.cloned().collect();
            for path in outermost(&doubtful) {
                found.warn(module, &path, "does not exist");
            }
        }
        found
    }

    /// The prefix that a path named by `module` speaks of; `None` if there is none that the module
    /// has for itself.
    fn derive(&self, module: &ModuleFiles, named: &Path) -> Option<PathBuf> {
        if let Some(eessi) = self.eessi.filter(|eessi| named.starts_with(&eessi.repository)) {
            return in_eessi(eessi, named);
        }
        let own = |path: &PathBuf| !self.is_shared(path);
        by_name(&module.full_name, named)
            .into_iter()
            .find(own)
            .or_else(|| by_layout(named).filter(own))
            .or_else(|| {
                let specific = named.components().count() > 3 || named.is_file();
                let hidden = named.iter().any(|name| name.as_bytes().starts_with(b"."));
                let volatile = VOLATILE.iter().any(|top| named.starts_with(top));
                let sure = specific && !hidden && !volatile && !is_secret(named);
                Some(named.to_owned()).filter(|path| sure && own(path))
            })
    }

    /// Whether a path needs no word: it is packed by other rules, or never.
    fn is_elsewhere(&self, named: &Path) -> bool {
        let in_eessi = self.eessi.is_some_and(|eessi| {
            let owned = named.starts_with(&eessi.repository) && in_eessi(eessi, named).is_none();
            owned || named.starts_with(eessi.compatibility_layer())
        });
        let of_runtime = OF_THE_RUNTIME.iter().any(|top| named.starts_with(top));
        in_eessi || of_runtime || named == Path::new("/") || named == Path::new("/tmp")
    }

    /// Whether `path` is no module's own.
    pub(super) fn is_shared(&self, path: &Path) -> bool {
        let depth = path.components().count().saturating_sub(1);
        let private = self.private.iter().any(|private| private.starts_with(path));
        let of_eessi = self.eessi.is_some_and(|eessi| {
            eessi.software().join("software").starts_with(path)
                || eessi.site_software().join("software").starts_with(path)
                || eessi.compatibility_layer().starts_with(path)
        });
        let of_runtime = OF_THE_RUNTIME.iter().any(|top| path.starts_with(top));
        let volatile = depth < 3 && VOLATILE.iter().any(|top| path.starts_with(top));
        let trees = self.modules.iter().filter(|module| module.modulefile.starts_with(path));
        let module_tree = self.modules.iter().any(|module| module_root(module) == Some(path));
        let mut holders: Vec<_> = trees.map(|module| short_name(&module.full_name)).collect();
        holders.dedup();
        let system = is_system(path);
        depth <= SHARED_DEPTH
            || private
            || of_eessi
            || of_runtime
            || volatile
            || module_tree
            || holders.len() > 1
            || system
    }
}

impl Prefixes {
    fn warn(&mut self, module: &ModuleFiles, prefix: &Path, what: &str) {
        self.warnings.push(format!(
            "module `{}`: its installation prefix `{}` {what}",
            Escaped(&module.full_name),
            Escaped(&prefix.to_string_lossy())
        ));
    }
}

/// Whether a file's name says that it is not for everybody: a licence server's file, a key.
fn is_secret(path: &Path) -> bool {
    let extension = path.extension().map(OsStr::as_bytes);
    [&b"lic"[..], b"key", b"pem"].into_iter().any(|secret| extension == Some(secret))
}

/// Directories that the system, or a whole site, has in common.
fn is_system(path: &Path) -> bool {
    let names: Vec<_> = path.iter().skip(1).map(OsStr::as_bytes).collect();
    let common = |name: &&[u8]| {
        SUBDIRECTORIES.iter().any(|common| common.as_bytes() == *name)
            || [&b"local"[..], b"src", b"games", b"apps", b"software", b"modulefiles"]
                .contains(name)
            || name.ends_with(b"-linux-gnu")
    };
    match names.as_slice() {
        [] => true,
        [b"usr" | b"opt" | b"bin" | b"sbin" | b"lib" | b"lib32" | b"lib64", rest @ ..] => {
            rest.iter().all(common) && !path.is_file()
        }
        [b"home" | b"srv" | b"mnt" | b"media" | b"cvmfs", rest @ ..] => rest.len() < 2,
        _ => false,
    }
}

/// The installation below EESSI's software directory, or its site's, that `named` lies in.
pub(super) fn in_eessi(eessi: &Eessi, named: &Path) -> Option<PathBuf> {
    let mut tops = vec![eessi.software(), eessi.site_software()];
    if let Some(accelerator) = &eessi.accelerator {
        tops.extend([eessi.software().join(accelerator), eessi.site_software().join(accelerator)]);
    }
    tops.into_iter().map(|top| top.join("software")).find_map(|top| {
        let mut below = named.strip_prefix(&top).ok()?.iter();
        Some(top.join(below.next()?).join(below.next()?))
    })
}

/// Prefixes of `named` that end where the module's name and version do, the likeliest first.
fn by_name(full_name: &str, named: &Path) -> Vec<PathBuf> {
    let (short, version) = match full_name.rsplit_once('/') {
        Some((short, version)) => (short, Some(version.as_bytes())),
        None => (full_name, None),
    };
    let name = short.rsplit('/').next().unwrap_or(short).as_bytes();
    let words = Names { name, version, parts: named.iter().map(OsStr::as_bytes).collect() };
    let end =
        |rule: &Rule| words.parts.iter().enumerate().position(|(at, part)| rule(&words, at, part));
    RULES.iter().filter_map(end).map(|end| named.iter().take(end + 1).collect()).collect()
}

/// The names in a path, and what they are compared with.
struct Names<'a> {
    name: &'a [u8],
    version: Option<&'a [u8]>,
    parts: Vec<&'a [u8]>,
}

/// Whether a prefix ends with the part at this index.
type Rule = fn(&Names<'_>, usize, &[u8]) -> bool;

/// From the likeliest to the least likely: `foo-1.0`, `foo/…/1.0`, `1.0/…/foo`, `1.0/bin`.
const RULES: [Rule; 4] = [
    |names, _, part| names.are_both(part),
    |names, at, part| names.is_version(part) && names.before(at).any(|part| names.is_name(part)),
    |names, at, part| names.is_name(part) && names.before(at).any(|part| names.is_version(part)),
    |names, at, part| (names.is_version(part) || names.is_name(part)) && names.end_at(at),
];

impl<'a> Names<'a> {
    fn is_name(&self, part: &[u8]) -> bool {
        part.eq_ignore_ascii_case(self.name)
    }

    fn is_version(&self, part: &[u8]) -> bool {
        self.version.is_some_and(|version| begins(part, version))
    }

    /// Whether `part` is name and version together.
    fn are_both(&self, part: &[u8]) -> bool {
        part.split_at_checked(self.name.len()).is_some_and(|(first, rest)| {
            let joint = rest.first().filter(|&byte| *byte == b'-' || *byte == b'_');
            let rest = rest.get(joint.iter().len()..).unwrap_or_default();
            self.is_name(first) && self.is_version(rest)
        })
    }

    fn before(&self, at: usize) -> impl Iterator<Item = &'a [u8]> {
        self.parts.iter().take(at).copied()
    }

    /// Whether a subdirectory of a prefix, or nothing, follows.
    fn end_at(&self, at: usize) -> bool {
        let is_known = |next: &&[u8]| SUBDIRECTORIES.iter().any(|sub| sub.as_bytes() == *next);
        self.parts.get(at + 1).is_none_or(is_known)
    }
}

/// Whether `part` is `version`, or `version` and then something that is not more of a number.
fn begins(part: &[u8], version: &[u8]) -> bool {
    let next = part.strip_prefix(version).map(|rest| rest.first().copied());
    next.is_some_and(|next| next.is_none_or(|byte| byte == b'-' || byte == b'_' || byte == b'+'))
}

/// `named` without the subdirectories of a prefix at its end; `None` if it ends in none.
fn by_layout(named: &Path) -> Option<PathBuf> {
    let known = |path: &Path| {
        path.file_name().is_some_and(|name| SUBDIRECTORIES.iter().any(|known| name == *known))
    };
    let mut prefix = named;
    // `lib/python3.11/site-packages` and the like belong to the `lib` above them
    for above in named.ancestors().skip(1).take(3) {
        let is_lib = above.file_name().is_some_and(|name| name == "lib" || name == "lib64");
        if is_lib && above.parent().is_some_and(|parent| parent.join("bin").is_dir()) {
            prefix = above;
        }
    }
    while known(prefix) {
        prefix = prefix.parent()?;
    }
    (prefix != named).then(|| prefix.to_owned())
}

/// `path` without repeated slashes, `.` and, as far as names tell, `..`.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// The paths that lie in no other of them, in order, each once.
fn outermost(paths: &[PathBuf]) -> Vec<PathBuf> {
    let inside = |path: &PathBuf| paths.iter().any(|top| path != top && path.starts_with(top));
    let mut out: Vec<PathBuf> = Vec::new();
    for path in paths.iter().filter(|path| !inside(path)) {
        if !out.contains(path) {
            out.push(path.clone());
        }
    }
    out
}

/// `GCC` of `GCC/13.2.0`.
fn short_name(full_name: &str) -> &str {
    full_name.rsplit_once('/').map_or(full_name, |(short, _)| short)
}

/// The directory of `MODULEPATH` that a modulefile was found in.
pub(super) fn module_root(module: &ModuleFiles) -> Option<&Path> {
    module.modulefile.ancestors().nth(module.full_name.split('/').count())
}

#[cfg(test)]
mod tests;
