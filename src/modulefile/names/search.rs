//! From a name to candidate modulefiles, and from these to one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::groups::{Group, Groups, Version, mark_last};

/// A modulefile that a name may mean.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// `GCC`.
    pub(crate) short_name: String,
    /// `GCC/13.2.0`.
    pub(crate) full_name: String,
    /// `13.2.0`, as it was named where it was named in full; `None` for a module without version.
    pub(crate) version: Option<String>,
    /// The version's own name, where it was named without the dots that hide it.
    pub(crate) hidden_version: Option<String>,
    /// The version of the alias or virtual module for which it stands, where that is shown.
    pub(crate) shown_version: Option<String>,
    /// The modulefile.
    pub(crate) path: PathBuf,
    /// The directory of `MODULEPATH`.
    pub(crate) place: Rc<str>,
    /// Weight by version alone.
    pub(crate) plain_weight: String,
    /// Weight with the mark of a default.
    pub(crate) weight: String,
}

/// A name taken apart, with its candidates.
#[derive(Debug, Clone)]
pub(crate) struct Candidates {
    /// `GCC`.
    pub(crate) short_name: String,
    /// What the name says after it.
    pub(crate) version: Option<String>,
    /// One block for each directory that counts, or one for all (N/V).
    pub(crate) blocks: Vec<Vec<Candidate>>,
}

/// How a name is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting or a rule of Lmod's")]
pub(crate) struct Reading {
    /// `x/1` may mean `x/1.10` (`LMOD_EXTENDED_DEFAULT`).
    pub(crate) extended_default: bool,
    /// `x/1` may mean `x/.1` (`LMOD_DOT_HIDDEN_LOAD_ALIAS`).
    pub(crate) without_dots: bool,
    /// The first directory that has the module decides.
    pub(crate) find_first: bool,
    /// Where the first directory decides, the shortest beginning of a name that is a module is its
    /// short name, if what is below fits; else the longest is.
    pub(crate) shortest_first: bool,
    /// Files count in whether it fits.
    pub(crate) fits_files: bool,
    /// Part of a version may end at a `/`, and versions in directories count beside others.
    pub(crate) partial_directories: bool,
}

/// Takes `name` apart by the modules that `places` (in the order of `MODULEPATH`) have. `marks` are
/// full names of defaults that count before versions of several places are merged.
pub(crate) fn search(
    name: &str,
    places: &[&Groups],
    reading: Reading,
    marks: &BTreeMap<String, char>,
) -> Option<Candidates> {
    let shortest = reading.find_first && reading.shortest_first;
    let (short_name, found) = if shortest {
        shortest_module(name, places, reading)?
    } else {
        longest_module(name, places)?
    };
    let version = name.get(short_name.len() + 1..);
    let collection = Collection { short_name, reading, marks };
    let blocks = if reading.find_first {
        collection.by_place(version, &found)
    } else {
        let mut candidates = Vec::new();
        collection.add(version, &collection.merge(&found), &mut candidates);
        vec![candidates]
    };
    Some(Candidates {
        short_name: short_name.to_owned(),
        version: version.map(str::to_owned),
        blocks,
    })
}

fn having<'b>(short_name: &str, places: &[&'b Groups]) -> Vec<&'b Group> {
    places.iter().filter_map(|place| place.modules.get(short_name)).collect()
}

/// The longest beginning of `name` that is a module, with the module in each place that has it.
fn longest_module<'a, 'b>(
    name: &'a str,
    places: &[&'b Groups],
) -> Option<(&'a str, Vec<&'b Group>)> {
    let mut short_name = name;
    loop {
        let found = having(short_name, places);
        if !found.is_empty() {
            return Some((short_name, found));
        }
        short_name = short_name.rsplit_once('/')?.0;
    }
}

/// The shortest beginning of `name` that is a module somewhere and has what `name` says next.
fn shortest_module<'a, 'b>(
    name: &'a str,
    places: &[&'b Groups],
    reading: Reading,
) -> Option<(&'a str, Vec<&'b Group>)> {
    let ends: Vec<usize> = name.match_indices('/').map(|(at, _)| at).chain([name.len()]).collect();
    ends.iter().enumerate().find_map(|(at, &end)| {
        let short_name = name.get(..end)?;
        let next = ends.get(at + 1).and_then(|&end| name.get(..end));
        let mut found = having(short_name, places);
        found.retain(|group| next.is_none_or(|next| fits(group, next, reading)));
        (!found.is_empty()).then_some((short_name, found))
    })
}

/// Whether a module may be meant by a name that goes on with `next`.
fn fits(group: &Group, next: &str, reading: Reading) -> bool {
    group.directories.is_empty()
        || group.directories.contains_key(next)
        || (reading.fits_files && group.files.contains_key(next))
        || (reading.partial_directories
            && group.files.keys().any(|name| begins_with_version(name, next, false)))
}

/// How candidates are collected.
struct Collection<'a> {
    short_name: &'a str,
    reading: Reading,
    marks: &'a BTreeMap<String, char>,
}

impl Collection<'_> {
    fn weight(&self, full_name: &str, version: &Version) -> String {
        // Lmod looks no deeper for what is marked.
        let depth = version_of(full_name, self.short_name).map_or(0, |one| one.split('/').count());
        match self.marks.get(full_name) {
            Some(mark) if depth <= 2 => mark_last(&version.weight, *mark),
            _ => version.weight.clone(),
        }
    }

    /// The versions of all places: of equal names the first, unless a later one weighs more.
    fn merge(&self, groups: &[&Group]) -> Group {
        let mut merged = Group::default();
        for group in groups {
            for (name, version) in &group.files {
                let mut version = version.clone();
                version.weight = self.weight(name, &version);
                match merged.files.get(name) {
                    Some(known) if known.weight >= version.weight => {}
                    _ => drop(merged.files.insert(name.clone(), version)),
                }
            }
        }
        merged
    }

    /// A block for each place. `version` is followed into the first directory that it names.
    fn by_place(&self, version: Option<&str>, groups: &[&Group]) -> Vec<Vec<Candidate>> {
        let first = version.map(|version| version.split_once('/').map_or(version, |(one, _)| one));
        let key = first.map(|first| self.join(first));
        let below =
            |group: &&Group| key.as_ref().is_some_and(|key| group.directories.contains_key(key));
        let named = version.map(|version| self.join(version));
        let whole = named == key && groups.iter().any(below);
        let version = version.filter(|_| !whole || self.reading.partial_directories);
        let collect = |group: &&Group| {
            let below = key.as_ref().and_then(|key| group.directories.get(key));
            let mut candidates = Vec::new();
            self.add(version, below.unwrap_or(group), &mut candidates);
            candidates
        };
        groups.iter().map(collect).collect()
    }

    /// `x` and `1//2` are `x/1/2`.
    fn join(&self, version: &str) -> String {
        let parts = version.split('/').filter(|part| !part.is_empty() && *part != ".");
        parts.fold(self.short_name.to_owned(), |name, part| format!("{name}/{part}"))
    }

    fn candidate(&self, full_name: &str, file: &Version) -> Candidate {
        Candidate {
            short_name: self.short_name.to_owned(),
            full_name: full_name.to_owned(),
            version: version_of(full_name, self.short_name).map(str::to_owned),
            hidden_version: None,
            shown_version: None,
            path: file.path.clone(),
            place: Rc::clone(&file.place),
            plain_weight: file.plain_weight.clone(),
            weight: self.weight(full_name, file),
        }
    }

    fn add(&self, version: Option<&str>, group: &Group, into: &mut Vec<Candidate>) {
        let reading = self.reading;
        // A default is what is marked, unless some file is called so.
        let any = |version: &&str| *version == "default" && !group.files.contains_key("default");
        let named = version.filter(|version| !(reading.partial_directories && any(version)));
        let rest = version.filter(|_| reading.partial_directories);
        if let Some(version) = named.filter(|_| !group.files.is_empty()) {
            if let Some(exact) = self.exact(version, group) {
                into.push(exact);
                return;
            }
            let before = into.len();
            self.add_beginning(version, group, into);
            let found = into.len() > before;
            if reading.partial_directories {
                if found && group.directories.is_empty() {
                    return;
                }
            } else if found || version != "default" {
                return;
            } else {
                self.add_files(group, into);
            }
        } else {
            self.add_files(group, into);
        }
        for below in group.directories.values() {
            self.add(rest, below, into);
        }
    }

    fn add_files(&self, group: &Group, into: &mut Vec<Candidate>) {
        into.extend(group.files.iter().map(|(name, file)| self.candidate(name, file)));
    }

    /// The version that is named in full.
    fn exact(&self, version: &str, group: &Group) -> Option<Candidate> {
        let named = |key: &str, file: &Version| Candidate {
            full_name: format!("{}/{version}", self.short_name),
            version: Some(version.to_owned()),
            ..self.candidate(key, file)
        };
        let key = self.join(version);
        if let Some(file) = group.files.get(&key) {
            return Some(named(&key, file));
        }
        if !self.reading.without_dots {
            return None;
        }
        let wanted = undotted(version);
        let mut same = group.files.iter().filter(|(name, _)| {
            let version = name.strip_prefix(self.short_name).and_then(|one| one.strip_prefix('/'));
            version.is_some_and(|version| undotted(version) == wanted)
        });
        let ((key, file), None) = (same.next()?, same.next()) else { return None };
        let hidden_version = version_of(key, self.short_name).map(str::to_owned);
        Some(Candidate { full_name: key.clone(), hidden_version, ..named(key, file) })
    }

    /// Versions that begin with what is named.
    fn add_beginning(&self, version: &str, group: &Group, into: &mut Vec<Candidate>) {
        if !self.reading.extended_default {
            return;
        }
        let part = self.join(version);
        let open = version.ends_with(is_open);
        for (name, file) in &group.files {
            let begins = if open {
                name.contains(&part)
            } else {
                goes_on(name, &part, self.reading.partial_directories)
            };
            if begins {
                into.push(self.candidate(name, file));
            }
        }
    }
}

/// A version without the dots that hide parts of it.
fn undotted(version: &str) -> String {
    let parts = version.split('/').filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.map(|part| part.strip_prefix('.').unwrap_or(part)).collect();
    parts.join("/")
}

/// `13.2.0` of `GCC/13.2.0`.
pub(crate) fn version_of<'a>(full_name: &'a str, short_name: &str) -> Option<&'a str> {
    let version = full_name.strip_prefix(short_name)?;
    let version = version.strip_prefix('/').unwrap_or(version);
    (!version.is_empty()).then_some(version)
}

/// Whether a part of a version that ends so may end anywhere.
fn is_open(last: char) -> bool {
    matches!(last, '-' | '+' | '_' | '.' | '=') || last.is_ascii_alphabetic()
}

/// Whether `part` occurs in `name`, a boundary character after it unless it ends in a letter or
/// such a character itself.
pub(crate) fn begins_with_version(name: &str, part: &str, slash: bool) -> bool {
    if part.ends_with(is_open) { name.contains(part) } else { goes_on(name, part, slash) }
}

/// Whether `part` occurs in `name` with a boundary character after it.
fn goes_on(name: &str, part: &str, slash: bool) -> bool {
    let boundary = |c: char| matches!(c, '-' | '+' | '_' | '.' | '=') || (slash && c == '/');
    let starts = name.char_indices().filter_map(|(at, _)| name.get(at..));
    let mut after = starts.filter_map(|rest| rest.strip_prefix(part));
    after.any(|rest| rest.starts_with(boundary))
}

impl Candidates {
    /// The candidate with exactly the version named, among those that are `allowed`.
    ///
    /// # Errors
    /// Those of `allowed`.
    pub(crate) fn exact<E>(
        &self,
        allowed: impl Fn(&Candidate) -> Result<bool, E>,
    ) -> Result<Option<&Candidate>, E> {
        if self.version.is_none() { Ok(None) } else { self.meta(allowed) }
    }

    /// The same, or the module without version where none is named.
    ///
    /// # Errors
    /// Those of `allowed`.
    pub(crate) fn meta<E>(
        &self,
        allowed: impl Fn(&Candidate) -> Result<bool, E>,
    ) -> Result<Option<&Candidate>, E> {
        let version = self.version.as_deref();
        let mut best: Option<&Candidate> = None;
        for candidate in self.blocks.iter().flatten() {
            let better = best.is_none_or(|best| candidate.plain_weight > best.plain_weight);
            if better && candidate.version.as_deref() == version && allowed(candidate)? {
                best = Some(candidate);
            }
        }
        Ok(best)
    }

    /// The candidate of the greatest `weight` among those that `counts`, in the first block that
    /// has one (`all_blocks`), or in the first block. Where two weigh the same, Lmod throws dice;
    /// the first by name is taken here.
    ///
    /// # Errors
    /// Those of `counts`.
    pub(crate) fn highest<E>(
        &self,
        weight: impl Fn(&Candidate) -> &str,
        counts: impl Fn(&Candidate) -> Result<bool, E>,
        all_blocks: bool,
    ) -> Result<Option<&Candidate>, E> {
        let blocks = if all_blocks { self.blocks.len() } else { 1 };
        for block in self.blocks.iter().take(blocks) {
            let mut from_highest: Vec<&Candidate> = block.iter().collect();
            from_highest.sort_by(|one, other| weight(other).cmp(weight(one)));
            // Of what is lower than the one chosen nothing is asked: it may be in a circle.
            for candidate in from_highest {
                if counts(candidate)? {
                    return Ok(Some(candidate));
                }
            }
        }
        Ok(None)
    }
}

/// The modulefile of `full_name` in the place after the one whose modulefile is `file`.
pub(crate) fn inherited(
    full_name: &str,
    file: &std::path::Path,
    places: &[&Groups],
) -> Option<PathBuf> {
    let mut files = places
        .iter()
        .filter_map(|place| place.modules.values().find_map(|group| find_file(group, full_name)));
    files.find(|found| found == file)?;
    files.next()
}

fn find_file(group: &Group, full_name: &str) -> Option<PathBuf> {
    if let Some(version) = group.files.get(full_name) {
        return Some(version.path.clone());
    }
    group.directories.values().find_map(|below| find_file(below, full_name))
}

/// All full names of `places`, for suggestions.
pub(crate) fn full_names<'a>(places: &[&'a Groups]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for place in places {
        for (short_name, group) in &place.modules {
            add_names(group, names.entry(short_name).or_default());
        }
    }
    names
}

fn add_names<'a>(group: &'a Group, into: &mut Vec<&'a str>) {
    into.extend(group.files.keys().map(String::as_str));
    for below in group.directories.values() {
        add_names(below, into);
    }
}
