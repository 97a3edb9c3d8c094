//! Which names of a directory of `MODULEPATH` are modules and which are versions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::rc::{Fault, Line, Scope, Tables};
use super::tree::{DefaultFile, Directory};
use super::version::canonical;

/// The versions of one module in one directory of `MODULEPATH`, or those below one directory.
#[derive(Debug, Default, Clone)]
pub(crate) struct Group {
    /// Versions by full name.
    pub(crate) files: BTreeMap<String, Version>,
    /// Versions in directories, by the directory's name.
    pub(crate) directories: BTreeMap<String, Group>,
}

/// A version of a module.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// Its modulefile.
    pub(crate) path: PathBuf,
    /// By version alone (Lmod's `pV`).
    pub(crate) plain_weight: String,
    /// With the mark of a default (Lmod's `wV`).
    pub(crate) weight: String,
    /// The directory of `MODULEPATH`.
    pub(crate) place: Rc<str>,
}

/// A directory of `MODULEPATH` as modules and versions.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// The directory.
    pub(crate) place: String,
    /// By short name.
    pub(crate) modules: BTreeMap<String, Group>,
    /// Whether some module has versions in directories.
    pub(crate) nested: bool,
    /// What its rc files say.
    pub(crate) rc: Tables,
}

/// The weight of a module without version.
const META: &str = "M.*zfinal";

/// Reads an rc file.
pub(crate) type ReadRc<'a, E> = dyn FnMut(&std::path::Path) -> Result<Vec<Line>, E> + 'a;

/// How rc files in a directory of `MODULEPATH` are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RcRules<'a> {
    /// What the files of site and user say.
    pub(crate) global: &'a Tables,
    /// Of several files in a directory only the best is read.
    pub(crate) only_best: bool,
    /// Targets of aliases may be relative.
    pub(crate) relative_targets: bool,
}

/// What ends a scan.
#[derive(Debug)]
pub(crate) enum ScanError<E> {
    /// Reading an rc file did.
    Read(E),
    /// What an rc file says.
    Fault(PathBuf, Fault),
}

/// Groups what was found below the directory `place`. `max_depth` is the level at which a
/// directory is a module whatever it holds.
///
/// # Errors
/// [`ScanError`].
pub(crate) fn group<E>(
    place: &str,
    tree: &Directory,
    max_depth: Option<usize>,
    rules: RcRules,
    read_rc: &mut ReadRc<E>,
) -> Result<Groups, ScanError<E>> {
    let mut groups = Groups { place: place.to_owned(), ..Groups::default() };
    let mut defaults = Defaults(BTreeMap::new());
    defaults.add(tree, "", &mut groups.rc, rules, read_rc)?;
    let grouping = Grouping { defaults: &defaults, max_depth, place: place.into() };
    grouping.add_level(&mut groups, tree, 1);
    Ok(groups)
}

/// The default of each directory that has a file that names one, by the directory's name.
struct Defaults(BTreeMap<String, Option<String>>);

impl Defaults {
    fn add<E>(
        &mut self,
        tree: &Directory,
        name: &str,
        rc: &mut Tables,
        rules: RcRules,
        read_rc: &mut ReadRc<E>,
    ) -> Result<(), ScanError<E>> {
        let directory = (!name.is_empty()).then_some(name);
        let RcRules { global, relative_targets, only_best } = rules;
        let scope = Scope::Tree { directory, global, relative_targets };
        let count = if only_best { 1 } else { tree.default_files.len() };
        for (rank, file) in tree.default_files.iter().take(count).enumerate() {
            let value = match file {
                DefaultFile::Link(value) => Some(value.clone()),
                DefaultFile::Rc(path) => {
                    let lines = read_rc(path).map_err(ScanError::Read)?;
                    let fault = |fault| ScanError::Fault(path.clone(), fault);
                    rc.add(&lines, scope).map_err(fault)?
                }
            };
            if rank == 0 {
                self.0.insert(name.to_owned(), value);
            }
        }
        for name in &tree.order {
            if let Some(below) = tree.directories.get(name) {
                self.add(below, name, rc, rules, read_rc)?;
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn is_default(&self, directory: &str, full_name: &str) -> bool {
        let value = self.0.get(directory).and_then(Option::as_deref);
        value == Some(full_name) || value == Some(base_name(full_name))
    }
}

fn base_name(full_name: &str) -> &str {
    full_name.rsplit_once('/').map_or(full_name, |(_, name)| name)
}

/// What weighing and grouping need to know.
struct Grouping<'a> {
    defaults: &'a Defaults,
    max_depth: Option<usize>,
    place: Rc<str>,
}

impl Grouping<'_> {
    fn add_level(&self, groups: &mut Groups, tree: &Directory, level: usize) {
        for (full_name, file) in &tree.files {
            let version = Version {
                path: file.path.clone(),
                plain_weight: META.to_owned(),
                weight: META.to_owned(),
                place: Rc::clone(&self.place),
            };
            let files = BTreeMap::from([(full_name.clone(), version)]);
            groups.modules.insert(full_name.clone(), Group { files, ..Group::default() });
        }
        for (name, below) in &tree.directories {
            let is_module = self.defaults.has(name) || below.directories.is_empty();
            if is_module || self.max_depth == Some(level) {
                groups.nested |= !below.directories.is_empty();
                groups.modules.insert(name.clone(), self.weigh(below, name, "", ""));
            } else {
                self.add_level(groups, below, level + 1);
            }
        }
    }

    fn weigh(&self, tree: &Directory, name: &str, plain: &str, marked: &str) -> Group {
        let below = |prefix: &str, own: &str| {
            if prefix.is_empty() { own.to_owned() } else { format!("{prefix}/{own}") }
        };
        let mut group = Group::default();
        for (full_name, file) in &tree.files {
            let own = canonical(base_name(full_name));
            let own_marked = mark(&own, '^', self.defaults.is_default(name, full_name));
            let version = Version {
                path: file.path.clone(),
                plain_weight: below(plain, &own),
                weight: below(marked, &own_marked),
                place: Rc::clone(&self.place),
            };
            group.files.insert(full_name.clone(), version);
        }
        for (full_name, directory) in &tree.directories {
            let own = canonical(base_name(full_name));
            let own = own.strip_suffix(".*zfinal").unwrap_or(&own);
            let own_marked = mark(own, '^', self.defaults.is_default(name, full_name));
            let (plain, marked) = (below(plain, own), below(marked, &own_marked));
            let versions = self.weigh(directory, full_name, &plain, &marked);
            group.directories.insert(full_name.clone(), versions);
        }
        group
    }
}

fn mark(weight: &str, with: char, marked: bool) -> String {
    let mut rest = weight.chars();
    if marked && rest.next().is_some() {
        return format!("{with}{}", rest.as_str());
    }
    weight.to_owned()
}

/// Marks the last component of a weight as a default of the kind `with`.
pub(crate) fn mark_last(weight: &str, with: char) -> String {
    match weight.rsplit_once('/') {
        Some((before, last)) => format!("{before}/{}", mark(last, with, true)),
        None => mark(weight, with, true),
    }
}

/// Whether a weight is that of a default.
pub(crate) fn is_marked(weight: &str) -> bool {
    base_name(weight).chars().next().is_some_and(|first| first >= '^')
}
