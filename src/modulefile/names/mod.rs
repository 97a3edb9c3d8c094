//! From names to modulefiles, as `MODULEPATH` and rc files say.

mod groups;
mod near;
pub(crate) mod rc;
mod search;
mod site;
mod tree;
pub(crate) mod version;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use groups::{Groups, ReadRc};
use rc::Tables;
pub(crate) use search::{Candidate, Candidates, version_of};

/// How names are looked up; from `LMOD_*` variables.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of Lmod's")]
pub(crate) struct NameRules {
    /// Only exact versions count (`LMOD_EXACT_MATCH`).
    pub(crate) exact_match: bool,
    /// `x/1` may mean `x/1.10`.
    pub(crate) extended_default: bool,
    /// The first directory always decides (`LMOD_TMOD_FIND_FIRST`).
    pub(crate) find_first: bool,
    /// Tcl modulefiles are not there (`LMOD_ALLOW_TCL_MFILES=no`).
    pub(crate) only_lua: bool,
    /// Level at which a directory of `MODULEPATH` ends (`LMOD_MAXDEPTH`).
    pub(crate) max_depth: BTreeMap<String, usize>,
    /// The highest version is looked for in every directory.
    pub(crate) all_directories: bool,
    /// `.version-…` and `.modulerc-…` are ignored.
    pub(crate) skip_saved_rc: bool,
    /// Part of a version may end at a `/`.
    pub(crate) partial_directories: bool,
}

/// Which of several versions a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The default, or the version named.
    Match,
    /// The highest, whatever is marked as default.
    Latest,
    /// The highest within bounds.
    Between(Bounds),
}

/// Bounds of versions; an open end is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    /// Lowest version, and whether it is itself left out.
    pub(crate) lower: Option<(String, bool)>,
    /// Highest version, and whether it is itself left out.
    pub(crate) upper: Option<(String, bool)>,
}

impl Bounds {
    /// The same bounds, themselves within.
    pub(crate) fn closed(&self) -> Self {
        let close = |bound: &Option<(String, bool)>| bound.clone().map(|(text, _)| (text, false));
        Self { lower: close(&self.lower), upper: close(&self.upper) }
    }

    /// Whether a version of this weight lies within.
    pub(crate) fn contain(&self, weight: &str) -> bool {
        let above = self.lower.as_ref().is_none_or(|(bound, open)| {
            let bound = version::canonical(bound);
            if *open { bound.as_str() < weight } else { bound.as_str() <= weight }
        });
        let below = self.upper.as_ref().is_none_or(|(bound, open)| {
            let bound = version::canonical(bound);
            if *open { weight < bound.as_str() } else { weight <= bound.as_str() }
        });
        above && below
    }
}

/// What a name means.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// `GCC`.
    pub(crate) short_name: String,
    /// The modulefile chosen, if any version fits.
    pub(crate) chosen: Option<Candidate>,
}

/// All that is known about names: scanned directories and rc files.
#[derive(Debug, Default)]
pub(crate) struct Names {
    rules: NameRules,
    modulepath: Vec<String>,
    /// Directories that `MODULEPATH` named at any time and that are still to be scanned.
    unscanned: BTreeSet<String>,
    scanned: BTreeMap<String, Rc<Groups>>,
    /// Some directory has versions in directories: the first directory decides from now on.
    nested: bool,
    /// The user's and the site's rc files.
    global: Tables,
    /// Defaults that these mark: full name → mark.
    marked: BTreeMap<String, char>,
    /// Modulefiles that the site's hook hides.
    hidden_by_site: BTreeSet<PathBuf>,
}

impl Names {
    pub(crate) fn new(rules: NameRules) -> Self {
        Self { nested: rules.find_first, rules, ..Self::default() }
    }

    /// Sets the directories that are searched, in order.
    pub(crate) fn set_modulepath(&mut self, directories: Vec<String>) {
        let new = directories.iter().filter(|one| !self.scanned.contains_key(*one)).cloned();
        self.unscanned.extend(new);
        self.modulepath = directories;
    }

    /// Adds an rc file of the site (`s`) or the user (`u`).
    pub(crate) fn add_rc(&mut self, lines: &[rc::Line], mark: char) {
        self.global.defaults.clear();
        self.global.add(lines, None);
        for name in std::mem::take(&mut self.global.defaults) {
            self.marked.insert(name, mark);
        }
    }

    /// Scans what has not been scanned.
    ///
    /// # Errors
    /// Those of `read_rc`.
    pub(crate) fn scan<E>(&mut self, read_rc: &mut ReadRc<E>) -> Result<(), E> {
        let rules = tree::Rules {
            only_lua: self.rules.only_lua,
            skip_saved_rc: self.rules.skip_saved_rc,
            as_root: rustix::process::geteuid().is_root(),
        };
        for directory in std::mem::take(&mut self.unscanned) {
            let tree = tree::scan(Path::new(&directory), &rules);
            let max_depth = self.rules.max_depth.get(&directory).copied();
            let groups = groups::group(&tree, max_depth, read_rc)?;
            self.nested |= groups.nested;
            self.scanned.insert(directory, Rc::new(groups));
        }
        Ok(())
    }

    /// Looks a name up in which aliases are resolved. `None` if no module is called so.
    pub(crate) fn find(&self, name: &str, choice: &Choice) -> Option<Found> {
        let places = self.places();
        let mut candidates = search::search(name, &places, self.reading())?;
        for candidate in candidates.blocks.iter_mut().flatten() {
            if let Some(mark) = self.marked.get(&candidate.full_name) {
                candidate.weight = groups::mark_last(&candidate.weight, *mark);
            }
        }
        let chosen = self.choose(&candidates, choice).cloned();
        Some(Found { short_name: candidates.short_name, chosen })
    }

    /// The modulefile that `inherit` means in `file`.
    pub(crate) fn inherited(&self, full_name: &str, file: &Path) -> Option<PathBuf> {
        search::inherited(full_name, file, &self.places())
    }

    /// Names near `name`.
    pub(crate) fn near(&self, name: &str) -> Vec<String> {
        near::near(name, &search::full_names(&self.places()))
    }

    /// Whether the module may not be loaded.
    pub(crate) fn is_forbidden(&self, full_name: &str) -> bool {
        self.all_rc().any(|rc| rc.forbidden.contains(full_name))
    }

    fn choose<'a>(&self, candidates: &'a Candidates, choice: &Choice) -> Option<&'a Candidate> {
        let counts = |one: &Candidate| self.is_visible(one) || groups::is_marked(&one.weight);
        let all = self.rules.all_directories;
        match choice {
            Choice::Match if self.rules.exact_match => {
                candidates.exact().or_else(|| candidates.meta())
            }
            Choice::Match => candidates
                .exact()
                .or_else(|| candidates.highest(|one| &one.weight, counts, all))
                .or_else(|| candidates.meta()),
            Choice::Latest => {
                let counts =
                    |one: &Candidate| self.is_visible(one) || groups::is_marked(&one.plain_weight);
                candidates.highest(|one| &one.plain_weight, counts, all)
            }
            Choice::Between(bounds) => candidates.between(|weight| bounds.contain(weight)),
        }
    }

    fn is_visible(&self, candidate: &Candidate) -> bool {
        if self.is_hidden_by_site(&candidate.path) {
            return false;
        }
        let path = candidate.path.to_string_lossy();
        let hidden = |what: &str| {
            self.all_rc().any(|rc| {
                rc.hidden.contains(what) || rc.hidden.iter().any(|key| self.resolve(key) == what)
            })
        };
        let name = &candidate.full_name;
        !(name.starts_with('.') || name.contains("/.") || hidden(name) || hidden(&path))
    }

    fn reading(&self) -> search::Reading {
        search::Reading {
            extended_default: self.rules.extended_default,
            find_first: self.nested,
            partial_directories: self.rules.partial_directories,
        }
    }

    fn places(&self) -> Vec<&Groups> {
        self.modulepath.iter().filter_map(|one| self.scanned.get(one)).map(Rc::as_ref).collect()
    }

    fn all_rc(&self) -> impl Iterator<Item = &Tables> {
        std::iter::once(&self.global).chain(self.places().into_iter().map(|place| &place.rc))
    }

    /// Follows aliases and version names: global ones first, then in the order of `MODULEPATH`.
    pub(crate) fn resolve(&self, name: &str) -> String {
        rc::resolve(
            name,
            &|key| self.all_rc().find_map(|rc| rc.aliases.get(key).cloned()),
            &|key| self.all_rc().find_map(|rc| rc.versions.get(key).cloned()),
        )
    }
}
