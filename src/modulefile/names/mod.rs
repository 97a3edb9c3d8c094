//! From names to modulefiles, as `MODULEPATH` and rc files say.

mod groups;
mod hiding;
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
    /// What is hidden can be chosen like the rest (`LMOD_SHOW_HIDDEN`).
    pub(crate) show_hidden: bool,
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
    /// Whether rc files name it as forbidden, and if so, whether it is now.
    pub(crate) forbidden: Option<bool>,
    /// The virtual module for which it stands, as no other version of the module was found.
    pub(crate) stands_for: Option<String>,
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
    /// How patterns are matched.
    matcher: Option<Patterns>,
}

/// How patterns are matched.
struct Patterns(hiding::Matcher);

impl std::fmt::Debug for Patterns {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Patterns")
    }
}

impl Names {
    pub(crate) fn new(rules: NameRules) -> Self {
        Self { nested: rules.find_first, rules, ..Self::default() }
    }

    /// Sets how names are matched with patterns of rc files.
    pub(crate) fn match_by(&mut self, matcher: hiding::Matcher) {
        self.matcher = Some(Patterns(matcher));
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
            let blank = tree.blank_within.as_ref().filter(|_| rules.skip_blanks);
            if let Some(place) = blank {
                return Err(ScanError::Fault(place.clone(), Fault::BlankName));
            }
            let max_depth = self.rules.max_depth.get(&directory).copied();
            let groups = groups::group(&directory, &tree, max_depth, rc_rules, read_rc)?;
            self.nested |= groups.nested;
            for name in &groups.rc.virtual_defaults {
                self.marks.add(name, '^');
            }
            self.scanned.insert(directory, Rc::new(groups));
        }
        Ok(())
    }

    /// Looks a name up in which aliases are resolved; `typed` is the name before that, with the
    /// alias by which the module is named, if it is. `None` if no module is called so.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn find(
        &self,
        (typed, alias): (&str, Option<&str>),
        name: &str,
        choice: &Choice,
    ) -> Result<Option<Found>, Fault> {
        let Some(mut found) = self.find_plainly(name, choice)? else { return Ok(None) };
        if found.chosen.is_none()
            && typed == found.short_name
            && found.version.as_deref().unwrap_or("").is_empty()
            && let Some(virtual_name) = self.highest_virtual(typed)?
        {
            let target = self.resolve(&virtual_name)?;
            if let Some(again) = self.find_plainly(&target, choice)? {
                found = Found { stands_for: Some(virtual_name), ..again };
            }
        }
        if let Some(chosen) = &mut found.chosen {
            found.forbidden = self.forbidden(chosen)?;
            let stands_for = found.stands_for.as_deref().or(alias);
            chosen.shown_version = self.shown_version(chosen, typed, stands_for)?;
        }
        Ok(Some(found))
    }

    fn find_plainly(&self, name: &str, choice: &Choice) -> Result<Option<Found>, Fault> {
        let early = !self.rules.have(Feature::MarksByPart);
        let none = BTreeMap::new();
        let marks = if early { self.marks.whole() } else { &none };
        let found = search::search(name, &self.places(), self.reading(), marks);
        let Some(mut candidates) = found else { return Ok(None) };
        if !early {
            let virtuals = |place: &str, name: &str| self.target_of_virtual(place, name);
            self.marks.apply(&candidates.short_name, &mut candidates.blocks, &virtuals)?;
        }
        let chosen = self.choose(&candidates, choice)?.cloned();
        let Candidates { short_name, version, .. } = candidates;
        Ok(Some(Found { short_name, version, chosen, forbidden: None, stands_for: None }))
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

    fn choose<'a>(
        &self,
        candidates: &'a Candidates,
        choice: &Choice,
    ) -> Result<Option<&'a Candidate>, Fault> {
        let all = self.rules.have(Feature::AllDirectories);
        match choice {
            Choice::Match if self.rules.exact_match => {
                let exact = candidates.exact(|one| self.can_be_named(one))?;
                exact.map_or_else(
                    || candidates.meta(|one| self.can_be_named(one)),
                    |one| Ok(Some(one)),
                )
            }
            Choice::Match => {
                if let Some(exact) = candidates.exact(|one| self.can_be_named(one))? {
                    return Ok(Some(exact));
                }
                let counts = |one: &Candidate| self.counts(one, &one.weight);
                let highest = candidates.highest(|one| &one.weight, counts, all)?;
                let highest = self.has_version(candidates, highest);
                highest.map_or_else(
                    || candidates.meta(|one| self.can_be_named(one)),
                    |one| Ok(Some(one)),
                )
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
        // It is asked also of one that is marked: whatever is in a circle is an error.
        let visible = self.is_visible(candidate)?;
        Ok(visible || groups::is_marked(weight))
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
