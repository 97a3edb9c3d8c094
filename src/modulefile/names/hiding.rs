//! What rc files, names and the site's hook hide, and what rc files forbid.

use std::collections::{BTreeMap, BTreeSet};

use super::Names;
use super::rc::{self, Fault, Hiding, Tables};
use super::search::Candidate;
use crate::modulefile::features::Feature;

/// How Lua matches names with patterns of rc files: `(name, pattern)`.
pub(crate) type Matcher = Box<dyn Fn(&str, &str) -> Result<bool, String>>;

impl Names {
    /// Whether the candidate can be chosen though it is not named in full.
    pub(super) fn is_visible(&self, candidate: &Candidate) -> Result<bool, Fault> {
        if !self.rules.have(Feature::Hide) {
            return self.was_visible(candidate);
        }
        let hiding = self.hiding(candidate)?;
        Ok(matches!(hiding, Hiding::Not | Hiding::Soft)
            || (self.rules.show_hidden && hiding != Hiding::Hard))
    }

    /// Whether the candidate can be chosen where it is named in full.
    pub(super) fn can_be_named(&self, candidate: &Candidate) -> Result<bool, Fault> {
        let kinds = self.rules.have(Feature::Hide);
        Ok(!kinds || self.hiding(candidate)? != Hiding::Hard)
    }

    /// How the candidate is hidden.
    pub(super) fn hiding(&self, candidate: &Candidate) -> Result<Hiding, Fault> {
        if self.is_hidden_by_site(&candidate.path) {
            return Ok(Hiding::Hidden);
        }
        let tables = self.tables_of(&candidate.place);
        let said = self.first_rule(
            &wanted(candidate),
            &tables,
            |one| &one.hidden,
            |one| &one.hidden_patterns,
        )?;
        let dotted = || candidate.full_name.starts_with('.') || candidate.full_name.contains("/.");
        Ok(said.unwrap_or_else(|| if dotted() { Hiding::Hidden } else { Hiding::Not }))
    }

    /// Whether rc files name the candidate as forbidden, and if so, whether it is now.
    pub(super) fn forbidden(&self, candidate: &Candidate) -> Result<Option<bool>, Fault> {
        let tables = self.tables_of(&candidate.place);
        let names = wanted(candidate);
        self.first_rule(&names, &tables, |one| &one.forbidden, |one| &one.forbidden_patterns)
    }

    /// The virtual module of the highest version below `short_name` that nothing hides.
    pub(super) fn highest_virtual(&self, short_name: &str) -> Result<Option<String>, Fault> {
        let mut best: Option<(String, String)> = None;
        for place in self.places() {
            for name in place.rc.virtuals.keys() {
                let Some((_, version)) = name.split_once('/').filter(|(one, _)| *one == short_name)
                else {
                    continue;
                };
                let wanted = [short_name, name.as_str()].map(str::to_owned);
                let tables = self.tables_of(&place.place);
                let said = self.first_rule(
                    &wanted,
                    &tables,
                    |one| &one.hidden,
                    |one| &one.hidden_patterns,
                )?;
                let counts = said.map_or(!name.contains("/."), |how| {
                    how == Hiding::Not || (self.rules.show_hidden && how != Hiding::Hard)
                });
                let weight = super::version::canonical(version);
                if counts && best.as_ref().is_none_or(|(best, _)| weight > *best) {
                    best = Some((weight, name.clone()));
                }
            }
        }
        Ok(best.map(|(_, name)| name))
    }

    /// Whether a name is that of a virtual module.
    pub(super) fn is_virtual(&self, name: &str) -> bool {
        self.global.virtuals.contains_key(name)
            || self.scanned.values().any(|place| place.rc.virtuals.contains_key(name))
    }

    /// What the virtual module `name` stands for, as the directory sees it.
    pub(super) fn target_of_virtual(&self, place: &str, name: &str) -> Option<String> {
        if !self.is_virtual(name) {
            return None;
        }
        let tables = self.tables_of(place);
        let target = tables.iter().find_map(|one| one.virtuals.get(name));
        target.or_else(|| tables.iter().find_map(|one| one.aliases.get(name))).cloned()
    }

    /// The version by which a hidden module is known that was asked for by another name.
    pub(super) fn shown_version(
        &self,
        chosen: &Candidate,
        typed: &str,
        stands_for: Option<&str>,
    ) -> Result<Option<String>, Fault> {
        if !self.rules.have(Feature::RcVirtual) || self.hiding(chosen)? != Hiding::Hidden {
            return Ok(None);
        }
        let short_name = chosen.short_name.as_str();
        let version = |name: &str| {
            let (first, version) = name.split_once('/')?;
            (first == short_name).then(|| version.to_owned())
        };
        if let Some(name) = stands_for {
            return Ok(version(name));
        }
        if typed != short_name {
            return Ok(None);
        }
        let place = self.scanned.get(chosen.place.as_ref());
        let mut names = place.iter().flat_map(|place| place.rc.virtuals.keys());
        let marked = |name: &&String| {
            name.strip_prefix(short_name).is_some_and(|rest| rest.starts_with('/'))
                && self.marks.has(name)
        };
        Ok(names.find(marked).and_then(|name| version(name)))
    }

    /// What the first rule says that is about one of the names: those about a name itself come
    /// before patterns, those of site and user before those of the directory.
    fn first_rule<T: Copy>(
        &self,
        wanted: &[String],
        tables: &[&Tables],
        plain: impl Fn(&Tables) -> &BTreeMap<String, T>,
        patterns: impl Fn(&Tables) -> &BTreeMap<String, T>,
    ) -> Result<Option<T>, Fault> {
        let as_written = self.rules.have(Feature::RelativeTargets);
        let named = |name: &str| tables.iter().find_map(|one| plain(one).get(name)).copied();
        let resolve = |name: &String| {
            if self.is_virtual(name) { Ok(name.clone()) } else { rc::resolve(name, tables) }
        };
        for name in wanted {
            let said = named(name).filter(|_| as_written);
            if let Some(said) = said.or(named(&resolve(name)?)) {
                return Ok(Some(said));
            }
        }
        for table in tables {
            for (pattern, said) in patterns(table) {
                for name in wanted {
                    if self.matches(&resolve(name)?, pattern)? {
                        return Ok(Some(*said));
                    }
                }
            }
        }
        Ok(None)
    }

    fn matches(&self, name: &str, pattern: &str) -> Result<bool, Fault> {
        let Some(matcher) = &self.matcher else { return Ok(false) };
        matcher.0(name, pattern).map_err(|reason| Fault::Pattern(pattern.to_owned(), reason))
    }

    /// What files of site and user say, and those of the directory.
    fn tables_of(&self, place: &str) -> Vec<&Tables> {
        let place = self.scanned.get(place);
        let place = place.filter(|one| !self.forgotten.contains(&one.place));
        std::iter::once(&self.global).chain(place.map(|one| &one.rc)).collect()
    }

    /// [`Names::is_visible`] before Lmod knew of kinds of hiding.
    fn was_visible(&self, candidate: &Candidate) -> Result<bool, Fault> {
        let name = &candidate.full_name;
        if self.is_hidden_by_site(&candidate.path) || name.starts_with('.') || name.contains("/.") {
            return Ok(false);
        }
        let hidden = self.hidden_at_first_look()?;
        Ok(!hidden.contains(name) && !hidden.contains(candidate.path.to_string_lossy().as_ref()))
    }

    /// What is hidden, as Lmod settled it once for all then.
    fn hidden_at_first_look(&self) -> Result<&BTreeSet<String>, Fault> {
        if self.hidden.get().is_none() {
            let tables = self.all_rc();
            let keys = tables.iter().flat_map(|rc| rc.hidden.keys());
            let hidden: Result<BTreeSet<String>, Fault> =
                keys.map(|key| self.resolve(key)).collect();
            drop(self.hidden.set(hidden?));
        }
        Ok(self.hidden.get_or_init(BTreeSet::new))
    }
}

/// Names under which rules may be about a candidate, in the order in which they count.
fn wanted(candidate: &Candidate) -> Vec<String> {
    let (name, short_name) = (&candidate.full_name, &candidate.short_name);
    let path = candidate.path.to_string_lossy().into_owned();
    let plain = path.strip_suffix(".lua").unwrap_or(&path).to_owned();
    let parents = name.match_indices('/').map(|(at, _)| at).rev();
    let parents = parents.filter(|at| *at >= short_name.len());
    let parents: Vec<String> = parents.filter_map(|at| name.get(..at)).map(str::to_owned).collect();
    let mut wanted = vec![short_name.clone(), name.clone(), path, plain];
    wanted.extend(parents);
    wanted
}
