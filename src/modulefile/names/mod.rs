//! From names to modulefiles, as `MODULEPATH` and rc files say.

mod groups;
mod marks;
mod near;
pub(crate) mod rc;
mod search;
mod site;
mod tree;
pub(crate) mod version;

#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::features::Feature;
pub(crate) use groups::ScanError;
use groups::{Groups, RcRules, ReadRc};
use marks::Marks;
use rc::{Fault, Scope, Tables};
pub(crate) use search::{Candidate, Candidates, version_of};

/// How names are looked up; from `LMOD_*` variables and Lmod's version.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of Lmod's")]
pub(crate) struct NameRules {
    /// Lmod's version.
    pub(crate) version: (u32, u32, u32),
    /// Only exact versions count (`LMOD_EXACT_MATCH`).
    pub(crate) exact_match: bool,
    /// `x/1` may mean `x/1.10` (`LMOD_EXTENDED_DEFAULT`).
    pub(crate) extended_default: bool,
    /// `x/1` may mean `x/.1` (`LMOD_DOT_HIDDEN_LOAD_ALIAS`).
    pub(crate) without_dots: bool,
    /// The first directory always decides (`LMOD_TMOD_FIND_FIRST`).
    pub(crate) find_first: bool,
    /// Tcl modulefiles are not there (`LMOD_ALLOW_TCL_MFILES=no`).
    pub(crate) only_lua: bool,
    /// Level at which a directory of `MODULEPATH` ends (`LMOD_MAXDEPTH`).
    pub(crate) max_depth: BTreeMap<String, usize>,
}

impl NameRules {
    fn have(&self, feature: Feature) -> bool {
        self.version >= feature.since()
    }

    fn scanning<'a>(&self, ignored: &'a dyn Fn(&str) -> bool) -> tree::Rules<'a> {
        tree::Rules {
            only_lua: self.only_lua,
            ignored,
            skip_blanks: !self.have(Feature::BlankDirectories),
            check_rc: self.have(Feature::RcFilesChecked),
            check_owner: self.have(Feature::OwnerChecked),
            as_root: rustix::process::geteuid().is_root(),
        }
    }
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
    /// What the name says after it.
    pub(crate) version: Option<String>,
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
    /// Defaults that these mark.
    marks: Marks,
    /// Directories whose rc files count no longer.
    forgotten: BTreeSet<String>,
    /// What is hidden, where Lmod settles that at the first look.
    hidden: OnceCell<BTreeSet<String>>,
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
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn add_rc(&mut self, lines: &[rc::Line], mark: char) -> Result<(), Fault> {
        self.global.defaults.clear();
        self.global.add(lines, Scope::Global)?;
        for name in std::mem::take(&mut self.global.defaults) {
            self.marks.add(&name, mark);
        }
        Ok(())
    }

    /// Forgets all rc files, for others of the site. Those of directories that have been scanned
    /// are not read again, in Lmod neither; defaults that they mark stay.
    pub(crate) fn forget_rc(&mut self) {
        self.global = Tables::default();
        self.marks = Marks::default();
        self.forgotten = self.scanned.keys().cloned().collect();
    }

    /// Scans what has not been scanned; a site leaves out files that `ignored` says.
    ///
    /// # Errors
    /// Those of `read_rc`, and what rc files say wrong.
    pub(crate) fn scan<E>(
        &mut self,
        ignored: &dyn Fn(&str) -> bool,
        read_rc: &mut ReadRc<E>,
    ) -> Result<(), ScanError<E>> {
        let rules = self.rules.scanning(ignored);
        let rc_rules = RcRules {
            global: &self.global,
            only_best: self.rules.have(Feature::BestRcOnly),
            relative_targets: self.rules.have(Feature::RelativeTargets),
        };
        for directory in std::mem::take(&mut self.unscanned) {
            let tree = tree::scan(Path::new(&directory), rules);
            let max_depth = self.rules.max_depth.get(&directory).copied();
            let groups = groups::group(&directory, &tree, max_depth, rc_rules, read_rc)?;
            self.nested |= groups.nested;
            self.scanned.insert(directory, Rc::new(groups));
        }
        Ok(())
    }

    /// Looks a name up in which aliases are resolved. `None` if no module is called so.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn find(&self, name: &str, choice: &Choice) -> Result<Option<Found>, Fault> {
        let early = !self.rules.have(Feature::MarksByPart);
        let none = BTreeMap::new();
        let marks = if early { self.marks.whole() } else { &none };
        let found = search::search(name, &self.places(), self.reading(), marks);
        let Some(mut candidates) = found else { return Ok(None) };
        if !early {
            self.marks.apply(&candidates.short_name, &mut candidates.blocks)?;
        }
        let chosen = self.choose(&candidates, choice)?.cloned();
        let Candidates { short_name, version, .. } = candidates;
        Ok(Some(Found { short_name, version, chosen }))
    }

    /// The modulefile that `inherit` means in `file`.
    pub(crate) fn inherited(&self, full_name: &str, file: &Path) -> Option<PathBuf> {
        search::inherited(full_name, file, &self.places())
    }

    /// Names near `name`.
    pub(crate) fn near(&self, name: &str) -> Vec<String> {
        near::near(name, &search::full_names(&self.places()))
    }

    /// What `module avail` lists: short names and full names.
    pub(crate) fn listed(&self) -> Vec<String> {
        let places = self.places();
        let mut listed = Vec::new();
        for short_name in search::full_names(&places).into_keys() {
            let candidates =
                search::search(short_name, &places, self.reading(), self.marks.whole());
            let blocks = candidates.map(|found| found.blocks).unwrap_or_default();
            let visible =
                blocks.into_iter().flatten().filter(|one| self.is_visible(one).unwrap_or(false));
            let before = listed.len();
            listed.extend(visible.map(|one| one.full_name));
            if listed.len() > before {
                listed.push(short_name.to_owned());
            }
        }
        listed
    }

    /// Whether the module may not be loaded.
    pub(crate) fn is_forbidden(&self, full_name: &str) -> bool {
        self.all_rc().iter().any(|rc| rc.forbidden.contains(full_name))
    }

    fn choose<'a>(
        &self,
        candidates: &'a Candidates,
        choice: &Choice,
    ) -> Result<Option<&'a Candidate>, Fault> {
        let all = self.rules.have(Feature::AllDirectories);
        match choice {
            Choice::Match if self.rules.exact_match => {
                Ok(candidates.exact().or_else(|| candidates.meta()))
            }
            Choice::Match => {
                if let Some(exact) = candidates.exact() {
                    return Ok(Some(exact));
                }
                let counts = |one: &Candidate| self.counts(one, &one.weight);
                let highest = candidates.highest(|one| &one.weight, counts, all)?;
                Ok(self.has_version(candidates, highest).or_else(|| candidates.meta()))
            }
            Choice::Latest => {
                let counts = |one: &Candidate| self.counts(one, &one.plain_weight);
                let latest = candidates.highest(|one| &one.plain_weight, counts, all)?;
                Ok(self.has_version(candidates, latest))
            }
            Choice::Between(bounds) => {
                let counts = |one: &Candidate| {
                    let weight = match () {
                        () if self.rules.have(Feature::MarkedBetween) => &one.weight,
                        () => &one.plain_weight,
                    };
                    let any = !self.rules.have(Feature::Hide);
                    Ok(bounds.contain(&one.plain_weight) && (any || self.counts(one, weight)?))
                };
                candidates.highest(|one| &one.weight, counts, false)
            }
        }
    }

    /// What is found, if it has the version named somewhere in its own.
    fn has_version<'a>(
        &self,
        candidates: &Candidates,
        found: Option<&'a Candidate>,
    ) -> Option<&'a Candidate> {
        let named = candidates.version.as_deref().filter(|name| !matches!(*name, "" | "default"));
        let named = named.filter(|_| self.rules.have(Feature::PartialDirectories));
        found.filter(|found| {
            let version = found.version.as_deref().unwrap_or("");
            named.is_none_or(|named| version.contains(named))
        })
    }

    fn counts(&self, candidate: &Candidate, weight: &str) -> Result<bool, Fault> {
        Ok(groups::is_marked(weight) || self.is_visible(candidate)?)
    }

    fn is_visible(&self, candidate: &Candidate) -> Result<bool, Fault> {
        if self.is_hidden_by_site(&candidate.path) {
            return Ok(false);
        }
        let name = &candidate.full_name;
        if name.starts_with('.') || name.contains("/.") {
            return Ok(false);
        }
        let path = candidate.path.to_string_lossy();
        if !self.rules.have(Feature::Hide) {
            let hidden = self.hidden_at_first_look()?;
            return Ok(!hidden.contains(name) && !hidden.contains(path.as_ref()));
        }
        let place = self.scanned.get(candidate.place.as_ref());
        let place = place.filter(|one| !self.forgotten.contains(&one.place));
        let tables: Vec<&Tables> =
            std::iter::once(&self.global).chain(place.map(|one| &one.rc)).collect();
        let mut wanted = vec![name.as_str(), &path, path.strip_suffix(".lua").unwrap_or(&path)];
        let version_length = candidate.version.as_ref().map_or(0, |one| one.len() + 1);
        let short_length = name.len().saturating_sub(version_length);
        let parents = name.match_indices('/').map(|(at, _)| at).filter(|at| *at >= short_length);
        wanted.extend(parents.filter_map(|at| name.get(..at)));
        for wanted in wanted {
            let resolved = rc::resolve(wanted, &tables)?;
            let hidden = |name: &str| tables.iter().any(|one| one.hidden.contains(name));
            if hidden(&resolved) || (self.rules.have(Feature::RelativeTargets) && hidden(wanted)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is hidden, as Lmod settled it once for all before it knew of kinds of hiding.
    fn hidden_at_first_look(&self) -> Result<&BTreeSet<String>, Fault> {
        if self.hidden.get().is_none() {
            let tables = self.all_rc();
            let keys = tables.iter().flat_map(|rc| &rc.hidden);
            let hidden: Result<BTreeSet<String>, Fault> =
                keys.map(|key| self.resolve(key)).collect();
            drop(self.hidden.set(hidden?));
        }
        Ok(self.hidden.get_or_init(BTreeSet::new))
    }

    fn reading(&self) -> search::Reading {
        search::Reading {
            extended_default: self.rules.extended_default,
            without_dots: self.rules.without_dots && self.rules.have(Feature::DotHiddenAlias),
            find_first: self.nested,
            shortest_first: self.rules.have(Feature::ShortestFirst),
            fits_files: self.rules.have(Feature::FitsFiles),
            partial_directories: self.rules.have(Feature::PartialDirectories),
        }
    }

    fn places(&self) -> Vec<&Groups> {
        self.modulepath.iter().filter_map(|one| self.scanned.get(one)).map(Rc::as_ref).collect()
    }

    fn all_rc(&self) -> Vec<&Tables> {
        let places = self.places().into_iter().filter(|one| !self.forgotten.contains(&one.place));
        std::iter::once(&self.global).chain(places.map(|place| &place.rc)).collect()
    }

    /// Follows aliases and version names: global ones first, then in the order of `MODULEPATH`.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn resolve(&self, name: &str) -> Result<String, Fault> {
        rc::resolve(name, &self.all_rc())
    }
}
