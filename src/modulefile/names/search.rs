//! From a name to candidate modulefiles, and from these to one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::groups::{Group, Groups, Version};

/// A modulefile that a name may mean.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// `GCC/13.2.0`.
    pub(crate) full_name: String,
    /// `13.2.0`; `None` for a module without version.
    pub(crate) version: Option<String>,
    /// The modulefile.
    pub(crate) path: PathBuf,
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

/// How the version part of a name is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// `x/1` may mean `x/1.10` (`LMOD_EXTENDED_DEFAULT`).
    pub(crate) extended_default: bool,
    /// The first directory that has the module decides.
    pub(crate) find_first: bool,
    /// Part of a version may end at a `/`, and versions in directories count beside others.
    pub(crate) partial_directories: bool,
}

/// Takes `name` apart by the modules that `places` (in the order of `MODULEPATH`) have.
pub(crate) fn search(name: &str, places: &[&Groups], reading: Reading) -> Option<Candidates> {
    let (short_name, found) = longest_module(name, places)?;
    let version = name.get(short_name.len() + 1..).filter(|version| !version.is_empty());
    let blocks = if reading.find_first {
        found.iter().map(|group| collect_below(short_name, version, group, reading)).collect()
    } else {
        let merged = merge(&found);
        vec![collect_below(short_name, version, &merged, reading)]
    };
    Some(Candidates {
        short_name: short_name.to_owned(),
        version: version.map(str::to_owned),
        blocks,
    })
}

/// The longest beginning of `name` that is a module, with the module in each place that has it.
fn longest_module<'a, 'b>(
    name: &'a str,
    places: &[&'b Groups],
) -> Option<(&'a str, Vec<&'b Group>)> {
    let mut short_name = name;
    loop {
        let found: Vec<&Group> =
            places.iter().filter_map(|place| place.modules.get(short_name)).collect();
        if !found.is_empty() {
            return Some((short_name, found));
        }
        short_name = short_name.rsplit_once('/')?.0;
    }
}

/// The versions of all places: of equal names the first, unless a later one weighs more.
fn merge(groups: &[&Group]) -> Group {
    let mut merged = Group::default();
    for group in groups {
        for (name, version) in &group.files {
            match merged.files.get(name) {
                Some(known) if known.weight >= version.weight => {}
                _ => drop(merged.files.insert(name.clone(), version.clone())),
            }
        }
    }
    merged
}

/// Follows `version` into directories of versions, then collects.
fn collect_below(
    short_name: &str,
    version: Option<&str>,
    group: &Group,
    reading: Reading,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let Some(wanted) = version else {
        collect(short_name, None, group, reading, &mut candidates);
        return candidates;
    };
    let mut group = group;
    let mut whole = false;
    for end in wanted.match_indices('/').map(|(at, _)| at).chain([wanted.len()]) {
        let Some(below) = group.directories.get(&format!("{short_name}/{}", &wanted[..end])) else {
            break;
        };
        group = below;
        whole = end == wanted.len();
    }
    let version = (!whole || reading.partial_directories).then_some(wanted);
    collect(short_name, version, group, reading, &mut candidates);
    candidates
}

fn collect(
    short_name: &str,
    version: Option<&str>,
    group: &Group,
    reading: Reading,
    into: &mut Vec<Candidate>,
) {
    let candidate = |full_name: &str, file: &Version| Candidate {
        full_name: full_name.to_owned(),
        version: version_of(full_name, short_name).map(str::to_owned),
        path: file.path.clone(),
        plain_weight: file.plain_weight.clone(),
        weight: file.weight.clone(),
    };
    let version = version.filter(|version| !(reading.partial_directories && *version == "default"));
    if !group.files.is_empty() {
        if let Some(version) = version {
            let full_name = format!("{short_name}/{version}");
            if let Some(file) = group.files.get(&full_name) {
                into.push(candidate(&full_name, file));
                return;
            }
            let before = into.len();
            if reading.extended_default {
                let begins = |name: &&String| {
                    begins_with_version(name, &full_name, reading.partial_directories)
                };
                let names = group.files.keys().filter(begins);
                into.extend(names.filter_map(|name| Some(candidate(name, group.files.get(name)?))));
            }
            let found = into.len() > before;
            if reading.partial_directories && !(found && group.directories.is_empty()) {
                return collect_directories(short_name, Some(version), group, reading, into);
            }
            if found || version != "default" {
                return;
            }
        }
        into.extend(group.files.iter().map(|(name, file)| candidate(name, file)));
    }
    let version = version.filter(|_| reading.partial_directories);
    collect_directories(short_name, version, group, reading, into);
}

fn collect_directories(
    short_name: &str,
    version: Option<&str>,
    group: &Group,
    reading: Reading,
    into: &mut Vec<Candidate>,
) {
    for below in group.directories.values() {
        collect(short_name, version, below, reading, into);
    }
}

/// `13.2.0` of `GCC/13.2.0`.
pub(crate) fn version_of<'a>(full_name: &'a str, short_name: &str) -> Option<&'a str> {
    let version = full_name.strip_prefix(short_name)?;
    let version = version.strip_prefix('/').unwrap_or(version);
    (!version.is_empty()).then_some(version)
}

/// Whether `part` occurs in `name`, a boundary character after it unless it ends in a letter or
/// such a character itself.
pub(crate) fn begins_with_version(name: &str, part: &str, slash: bool) -> bool {
    let boundary = |c: char| matches!(c, '-' | '+' | '_' | '.' | '=');
    let open = part.ends_with(|c: char| boundary(c) || c.is_ascii_alphabetic());
    let ends = |c: char| boundary(c) || (slash && c == '/');
    name.match_indices(part).any(|(at, _)| open || name[at + part.len()..].starts_with(ends))
}

impl Candidates {
    /// The candidate with exactly the version named.
    pub(crate) fn exact(&self) -> Option<&Candidate> {
        let version = self.version.as_deref()?;
        self.with_version(Some(version))
    }

    /// The module without version.
    pub(crate) fn meta(&self) -> Option<&Candidate> {
        self.with_version(self.version.as_deref())
    }

    fn with_version(&self, version: Option<&str>) -> Option<&Candidate> {
        let mut best: Option<&Candidate> = None;
        for block in &self.blocks {
            let found = block.iter().find(|candidate| candidate.version.as_deref() == version);
            if let Some(found) = found
                && best.is_none_or(|best| found.plain_weight > best.plain_weight)
            {
                best = Some(found);
            }
        }
        best
    }

    /// The candidate of the greatest `weight` among those that `counts`, in the first block that
    /// has one (`all_blocks`), or in the first block.
    pub(crate) fn highest(
        &self,
        weight: impl Fn(&Candidate) -> &str,
        counts: impl Fn(&Candidate) -> bool,
        all_blocks: bool,
    ) -> Option<&Candidate> {
        let blocks = if all_blocks { self.blocks.len() } else { 1 };
        self.blocks.iter().take(blocks).find_map(|block| {
            let mut best: Option<&Candidate> = None;
            for candidate in block.iter().filter(|candidate| counts(candidate)) {
                if best.is_none_or(|best| weight(candidate) > weight(best)) {
                    best = Some(candidate);
                }
            }
            best
        })
    }

    /// The candidate within bounds that weighs most.
    pub(crate) fn between(&self, within: impl Fn(&str) -> bool) -> Option<&Candidate> {
        self.highest(|candidate| &candidate.weight, |one| within(&one.plain_weight), false)
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
