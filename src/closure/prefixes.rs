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

/// Directories below which nothing is ever packed: they belong to the moment or to the machine.
const VOLATILE: [&str; 8] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var", "/etc", "/boot"];

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
        for named in module.named.iter().map(|named| clean(named)) {
            if roots.iter().any(|root| named.starts_with(root)) || self.is_elsewhere(&named) {
                continue;
            }
            match self.derive(module, &named) {
                Some(prefix) if prefix.exists() => found.paths.push(prefix),
                Some(prefix) => gone.push(prefix),
                None if named.exists() && !is_system(&named) => {
                    let what = "names a directory that others may share; it is not packed";
                    found.warnings.push(format!(
                        "module `{}` {what}: `{}`",
                        Escaped(&module.full_name),
                        Escaped(&named.to_string_lossy())
                    ));
                }
                None => {}
            }
        }
        found.paths = outermost(std::mem::take(&mut found.paths));
        // a modulefile may well name directories that its software never made
        if found.paths.is_empty() || !roots.is_empty() {
            let doubtful =
                gone.iter().filter(|path| found.paths.is_empty() || roots.contains(path));
            for path in outermost(doubtful.cloned().collect()) {
                found.warn(module, &path, "does not exist");
            }
        }
        found
    }

    /// The prefix that a path named by `module` speaks of; `None` if there is none that the module
    /// has for itself.
    fn derive(&self, module: &ModuleFiles, named: &Path) -> Option<PathBuf> {
        if VOLATILE.iter().any(|top| named.starts_with(top)) {
            return None;
        }
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
                Some(named.to_owned()).filter(|path| specific && !hidden && own(path))
            })
    }

    /// Whether a path needs no word: it is packed by other rules, or never.
    fn is_elsewhere(&self, named: &Path) -> bool {
        let at_run_time = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp"];
        let in_eessi = self.eessi.is_some_and(|eessi| {
            let owned = named.starts_with(&eessi.repository) && in_eessi(eessi, named).is_none();
            owned || named.starts_with(eessi.compatibility_layer())
        });
        in_eessi || named == Path::new("/") || at_run_time.iter().any(|top| named.starts_with(top))
    }

    /// Whether `path` is no module's own.
    fn is_shared(&self, path: &Path) -> bool {
        let depth = path.components().count().saturating_sub(1);
        let private = self.private.iter().any(|private| private.starts_with(path));
        let of_eessi = self.eessi.is_some_and(|eessi| {
            eessi.software().join("software").starts_with(path)
                || eessi.site_software().join("software").starts_with(path)
                || eessi.compatibility_layer().starts_with(path)
        });
        let volatile = VOLATILE.iter().any(|top| path.starts_with(top));
        let trees = self.modules.iter().filter(|module| module.modulefile.starts_with(path));
        let module_tree = self.modules.iter().any(|module| module_root(module) == Some(path));
        let mut holders: Vec<_> = trees.map(|module| short_name(&module.full_name)).collect();
        holders.dedup();
        let system = is_system(path);
        depth <= SHARED_DEPTH
            || private
            || of_eessi
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
fn in_eessi(eessi: &Eessi, named: &Path) -> Option<PathBuf> {
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
    let (name, version) = match full_name.rsplit_once('/') {
        Some((short, version)) => (short.rsplit('/').next().unwrap_or(short), Some(version)),
        None => (full_name, None),
    };
    let parts: Vec<&[u8]> = named.iter().map(OsStr::as_bytes).collect();
    let is_name = |part: &[u8]| part.eq_ignore_ascii_case(name.as_bytes());
    let is_version = |part: &[u8]| version.is_some_and(|version| begins(part, version.as_bytes()));
    let is_both = |part: &[u8]| {
        let rest = version.and_then(|version| {
            let (first, rest) = part.split_at_checked(name.len())?;
            let rest = rest.strip_prefix(b"-").or_else(|| rest.strip_prefix(b"_")).unwrap_or(rest);
            (is_name(first) && begins(rest, version.as_bytes())).then_some(rest)
        });
        rest.is_some()
    };
    let before = |at: usize, test: &dyn Fn(&[u8]) -> bool| {
        parts.get(..at).unwrap_or_default().iter().any(|part| test(part))
    };
    let ends_here = |at: usize| {
        parts
            .get(at + 1)
            .is_none_or(|next| SUBDIRECTORIES.iter().any(|sub| sub.as_bytes() == *next))
    };
    let rules: [&dyn Fn(usize, &[u8]) -> bool; 4] = [
        &|_, part| is_both(part),
        &|at, part| is_version(part) && before(at, &is_name),
        &|at, part| is_name(part) && before(at, &is_version),
        &|at, part| (is_version(part) || is_name(part)) && ends_here(at),
    ];
    let prefix = |end: usize| named.iter().take(end + 1).collect::<PathBuf>();
    let matches = |rule: &&dyn Fn(usize, &[u8]) -> bool| {
        parts.iter().enumerate().find(|(at, part)| rule(*at, part)).map(|(at, _)| prefix(at))
    };
    rules.iter().filter_map(matches).collect()
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
fn outermost(paths: Vec<PathBuf>) -> Vec<PathBuf> {
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
