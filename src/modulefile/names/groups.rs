//! Which names of a directory of `MODULEPATH` are modules and which are versions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::rc::Tables;
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
}

/// A directory of `MODULEPATH` as modules and versions.
#[derive(Debug, Default)]
pub(crate) struct Groups {
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
pub(crate) type ReadRc<'a, E> = dyn FnMut(&std::path::Path) -> Result<Vec<super::rc::Line>, E> + 'a;

/// Groups what was found below a directory. `max_depth` is the level at which a directory is a
/// module whatever it holds.
///
/// # Errors
/// Those of `read_rc`.
pub(crate) fn group<E>(
    tree: &Directory,
    max_depth: Option<usize>,
    read_rc: &mut ReadRc<E>,
) -> Result<Groups, E> {
    let mut groups = Groups::default();
    let defaults = Defaults::read(tree, "", &mut groups.rc, read_rc)?;
    add_level(&mut groups, tree, &defaults, 1, max_depth);
    Ok(groups)
}

/// The default of each directory that has a file that names one, by the directory's name.
struct Defaults(BTreeMap<String, Option<String>>);

impl Defaults {
    fn read<E>(
        tree: &Directory,
        name: &str,
        rc: &mut Tables,
        read_rc: &mut ReadRc<E>,
    ) -> Result<Self, E> {
        let mut defaults = Self(BTreeMap::new());
        defaults.add(tree, name, rc, read_rc)?;
        Ok(defaults)
    }

    fn add<E>(
        &mut self,
        tree: &Directory,
        name: &str,
        rc: &mut Tables,
        read_rc: &mut ReadRc<E>,
    ) -> Result<(), E> {
        let directory = (!name.is_empty()).then_some(name);
        for (rank, file) in tree.default_files.iter().enumerate() {
            let value = match file {
                DefaultFile::Link(value) => Some(value.clone()),
                DefaultFile::Rc(path) => rc.add(&read_rc(path)?, directory),
            };
            if rank == 0 {
                self.0.insert(name.to_owned(), value);
            }
        }
        for (name, below) in &tree.directories {
            self.add(below, name, rc, read_rc)?;
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

fn add_level(
    groups: &mut Groups,
    tree: &Directory,
    defaults: &Defaults,
    level: usize,
    max_depth: Option<usize>,
) {
    for (full_name, file) in &tree.files {
        let version = Version {
            path: file.path.clone(),
            plain_weight: META.to_owned(),
            weight: META.to_owned(),
        };
        let files = BTreeMap::from([(full_name.clone(), version)]);
        groups.modules.insert(full_name.clone(), Group { files, ..Group::default() });
    }
    for (name, below) in &tree.directories {
        if defaults.has(name) || below.directories.is_empty() || max_depth == Some(level) {
            groups.nested |= !below.directories.is_empty();
            groups.modules.insert(name.clone(), weigh(below, name, defaults, "", ""));
        } else {
            add_level(groups, below, defaults, level + 1, max_depth);
        }
    }
}

fn weigh(tree: &Directory, name: &str, defaults: &Defaults, plain: &str, marked: &str) -> Group {
    let below = |prefix: &str, own: &str| {
        if prefix.is_empty() { own.to_owned() } else { format!("{prefix}/{own}") }
    };
    let mut group = Group::default();
    for (full_name, file) in &tree.files {
        let own = canonical(base_name(full_name));
        let own_marked = mark(&own, '^', defaults.is_default(name, full_name));
        let version = Version {
            path: file.path.clone(),
            plain_weight: below(plain, &own),
            weight: below(marked, &own_marked),
        };
        group.files.insert(full_name.clone(), version);
    }
    for (full_name, directory) in &tree.directories {
        let own = canonical(base_name(full_name));
        let own = own.strip_suffix(".*zfinal").unwrap_or(&own);
        let own_marked = mark(own, '^', defaults.is_default(name, full_name));
        let (plain, marked) = (below(plain, own), below(marked, &own_marked));
        group
            .directories
            .insert(full_name.clone(), weigh(directory, full_name, defaults, &plain, &marked));
    }
    group
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
