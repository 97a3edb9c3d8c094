//! Lmod's settings, and where its versions differ.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use mlua::{Lua, Table};

use crate::environment::path::{Blanks, Cleaning};
use crate::environment::{ListRules, Stored, Variables};

use super::features::Feature;
use super::names::NameRules;

/// Lmod's settings as the environment gives them, and its version.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of Lmod's")]
pub(super) struct Rules {
    version: (u32, u32, u32),
    /// The version as text.
    pub(super) version_text: String,
    /// `$HOME`.
    pub(super) home: String,
    /// Path variables may hold an element twice (`LMOD_DUPLICATE_PATHS`).
    pub(super) duplicates: bool,
    /// How elements are added.
    pub(super) list: ListRules,
    /// A family member replaces another (`LMOD_AUTO_SWAP`).
    pub(super) auto_swap: bool,
    /// Loading another version of a loaded module is an error
    /// (`LMOD_DISABLE_SAME_NAME_AUTOSWAP`).
    pub(super) no_name_swap: bool,
    /// Families are not enforced (`LMOD_EXPERT`).
    pub(super) expert: bool,
    /// `prereq` loads (`MODULES_AUTO_HANDLING`).
    pub(super) auto_handling: bool,
    /// A module may not be loaded if a loaded one conflicts with it.
    pub(super) downstream_conflicts: bool,
    /// `LOADEDMODULES` has names as they were asked for (`LMOD_DOT_HIDDEN_LOAD_ALIAS`, unless
    /// `LMOD_PIN_VERSIONS`).
    pub(super) lists_user_names: bool,
    /// Variables that keep the value they have outside (`LMOD_QUARANTINE_VARS`).
    pub(super) quarantine: BTreeSet<String>,
    /// Lua text of the patterns of names that a site ignores (`LMOD_FILE_IGNORE_PATTERNS`).
    ignored: Option<String>,
    /// The patterns themselves, once they have been read.
    patterns: OnceCell<Vec<String>>,
    /// Tcl runs within Lmod's own process, not as a program of its own.
    pub(super) tcl_attached: bool,
}

impl Rules {
    pub(super) fn new(version: &str, environment: &Variables) -> Self {
        let yes = |name: &str| is_on(environment, name, false);
        let exactly = |name: &str| environment.get(name).is_some_and(|value| value == "yes");
        let version_text = version;
        let version = parse_version(version);
        let since = |feature: Feature| version >= feature.since();
        let keep_place = yes("LMOD_TMOD_PATH_RULE");
        let block = environment.get("LMOD_PREPEND_BLOCK").map(|value| value.to_lowercase());
        let no_swap = ["LMOD_DISABLE_NAME_AUTOSWAP", "LMOD_DISABLE_SAME_NAME_AUTOSWAP"];
        let known = if since(Feature::NameSwapRenamed) { &no_swap[..] } else { &no_swap[1..] };
        let no_swap = known.iter().copied().find(|name| environment.contains_key(*name));
        Self {
            version,
            version_text: version_text.to_owned(),
            home: environment.get("HOME").cloned().unwrap_or_else(|| "~".to_owned()),
            duplicates: yes("LMOD_DUPLICATE_PATHS")
                && (!keep_place || since(Feature::DuplicatesKeepPlace)),
            list: ListRules {
                keep_place,
                reverse_blocks: matches!(
                    block.as_deref(),
                    Some("no" | "reverse" | "0" | "" | "off")
                ),
            },
            auto_swap: is_on(environment, "LMOD_AUTO_SWAP", true),
            no_name_swap: no_swap.is_some_and(yes),
            expert: environment.contains_key("LMOD_EXPERT"),
            auto_handling: exactly("MODULES_AUTO_HANDLING")
                || environment.get("MODULES_AUTO_HANDLING").is_some_and(|value| value == "1"),
            downstream_conflicts: exactly("LMOD_DOWNSTREAM_CONFLICTS"),
            lists_user_names: since(Feature::DotHiddenAlias)
                && yes("LMOD_DOT_HIDDEN_LOAD_ALIAS")
                && !yes("LMOD_PIN_VERSIONS"),
            patterns: OnceCell::new(),
            quarantine: environment
                .get("LMOD_QUARANTINE_VARS")
                .map(|names| names.split(':').map(str::to_owned).collect())
                .unwrap_or_default(),
            ignored: environment.get("LMOD_FILE_IGNORE_PATTERNS").cloned(),
            // Later versions do so if they were built for it: most are not.
            tcl_attached: !since(Feature::TclDetaches)
                && is_on(environment, "LMOD_FAST_TCL_INTERP", true),
        }
    }

    /// Whether the rules are those of this version of Lmod or a later one.
    pub(super) fn since(&self, major: u32, minor: u32, patch: u32) -> bool {
        self.version >= (major, minor, patch)
    }

    /// Whether the rules have this feature.
    pub(super) fn have(&self, feature: Feature) -> bool {
        self.version >= feature.since()
    }

    /// Whether files of this name are no modulefiles at this site. Patterns that are none match
    /// nothing.
    pub(super) fn ignores(&self, lua: &Lua, name: &str) -> bool {
        if !self.have(Feature::PatternsIgnored) {
            return false;
        }
        let Some(list) = &self.ignored else { return is_saved_rc(name) };
        let patterns = self.patterns.get_or_init(|| patterns(lua, list).unwrap_or_default());
        matches_any(lua, patterns, name).unwrap_or(false)
    }

    /// How elements of path variables are cleaned.
    pub(super) fn cleaning(&self) -> Cleaning<'_> {
        let collapse = self.have(Feature::DelimitersCollapse);
        let longest_row = match (collapse, self.have(Feature::EmptyElementsStay)) {
            (_, true) => 2,
            (true, false) => 1,
            (false, false) => 0,
        };
        let blanks = if self.have(Feature::BlanksKept) {
            Blanks::Kept
        } else if collapse {
            Blanks::OneBefore
        } else {
            Blanks::Trimmed
        };
        Cleaning { home: &self.home, blanks, longest_row }
    }

    /// Whether a call on the variable may not make duplicates.
    pub(super) fn no_duplicates(&self, variable: &str, asked: bool) -> bool {
        !self.duplicates || asked || variable == "MODULEPATH"
    }
}

/// What a setting of the kind "yes or no" says: anything but `no`, `off`, `0` and nothing is yes.
fn is_on(environment: &Variables, name: &str, otherwise: bool) -> bool {
    match environment.get(name).map(|value| value.to_lowercase()).as_deref() {
        None => otherwise,
        Some(unset) if unset.starts_with('@') => otherwise,
        Some(value) => !matches!(value, "no" | "off" | "0" | ""),
    }
}

/// Lmod's settings, which a site's files may change until they have been run.
#[derive(Debug)]
pub(super) struct Settled {
    first: Rules,
    last: OnceCell<Rules>,
}

impl Settled {
    pub(super) fn new(first: Rules) -> Self {
        Self { first, last: OnceCell::new() }
    }

    /// From now on it is these.
    pub(super) fn settle(&self, rules: Rules) {
        let _ = self.last.set(rules);
    }
}

impl Deref for Settled {
    type Target = Rules;

    fn deref(&self) -> &Rules {
        self.last.get().unwrap_or(&self.first)
    }
}

/// `.version-old` and the like.
fn is_saved_rc(name: &str) -> bool {
    [".version", ".modulerc"].into_iter().any(|saved| {
        name.match_indices(saved)
            .any(|(at, _)| name[at + saved.len()..].starts_with(['-', '.', '_']))
    })
}

/// The patterns that `list`, a Lua table as text, holds.
fn patterns(lua: &Lua, list: &str) -> mlua::Result<Vec<String>> {
    let patterns: Table =
        lua.load(format!("return {list}")).set_environment(lua.create_table()?).eval()?;
    patterns.sequence_values().collect()
}

/// Whether one of the patterns matches `name`.
fn matches_any(lua: &Lua, patterns: &[String], name: &str) -> mlua::Result<bool> {
    let find: mlua::Function = lua.globals().get::<Table>("string")?.get("find")?;
    for pattern in patterns {
        if find.call::<Option<i64>>((name, pattern.as_str()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The rc files in a directory that a list of rc files names, in the file system's own order: of
/// two that say something different about one name the later one counts.
#[allow(clippy::disallowed_methods, reason = "Lmod does not sort them, either")]
pub(super) fn rc_directory(directory: &Path) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = listing.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ignored = |name: &String| {
        name.contains('~')
            || name.starts_with('#')
            || name.starts_with(".#")
            || (name.starts_with('.') && name.contains(".swp"))
    };
    names.filter(|name| !ignored(name)).map(|name| directory.join(name)).collect()
}

/// How names are looked up.
pub(super) fn name_rules(rules: &Rules, environment: &Variables) -> NameRules {
    let yes = |name: &str, otherwise| is_on(environment, name, otherwise);
    NameRules {
        version: rules.version,
        exact_match: yes("LMOD_EXACT_MATCH", false),
        extended_default: yes("LMOD_EXTENDED_DEFAULT", true),
        without_dots: yes("LMOD_DOT_HIDDEN_LOAD_ALIAS", false),
        show_hidden: rules.have(Feature::ShowHidden)
            && shows_hidden(environment.get("LMOD_SHOW_HIDDEN").map_or("no", String::as_str)),
        find_first: yes("LMOD_TMOD_FIND_FIRST", false),
        only_lua: !yes("LMOD_ALLOW_TCL_MFILES", true),
        max_depth: max_depth(environment.get("LMOD_MAXDEPTH").map_or("", String::as_str)),
    }
}

/// Whether hidden modules are shown to loads, too: unless only to commands that are named.
fn shows_hidden(setting: &str) -> bool {
    let setting = setting.to_lowercase();
    setting.split(':').any(|one| !matches!(one, "no" | "spider" | "list" | "avail"))
}

/// `/path:2;/other:1`.
fn max_depth(text: &str) -> BTreeMap<String, usize> {
    let mut words = text.split([';', ':']);
    let mut depths = BTreeMap::new();
    while let (Some(path), Some(depth)) = (words.next(), words.next()) {
        if let Ok(depth) = depth.parse() {
            depths.insert(path.to_owned(), depth);
        }
    }
    depths
}

/// What the environment stores about the elements of a path variable.
pub(super) fn stored(environment: &Variables, variable: &str) -> Stored {
    let pairs = |prefix: &str| -> Vec<(String, String)> {
        let text = environment.get(&format!("{prefix}{variable}")).map_or("", String::as_str);
        text.split(';')
            .filter_map(|pair| pair.split_once(':'))
            .map(|(path, number)| (path.to_owned(), number.to_owned()))
            .collect()
    };
    let counts = pairs("__LMOD_REF_COUNT_").into_iter();
    let priorities = pairs("__LMOD_Priority_").into_iter();
    Stored {
        counts: counts.filter_map(|(path, n)| Some((path, n.parse().ok()?))).collect(),
        priorities: priorities.filter_map(|(path, n)| Some((path, n.parse().ok()?))).collect(),
    }
}

fn parse_version(version: &str) -> (u32, u32, u32) {
    let mut numbers = version.split(['.', '-', ' ']).map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        let rules = Rules::new("8.7.9", &Variables::new());
        assert!(rules.since(8, 6, 19) && !rules.since(9, 0, 0));
        assert!(rules.have(Feature::NamesChecked) && !rules.have(Feature::Tables));
    }

    #[test]
    fn counts_and_priorities_come_from_the_environment() {
        let environment = Variables::from([
            ("__LMOD_REF_COUNT_PATH".to_owned(), "/a:2;/b:1".to_owned()),
            ("__LMOD_Priority_PATH".to_owned(), "/a:-10".to_owned()),
        ]);
        let stored = stored(&environment, "PATH");
        assert_eq!(stored.counts["/a"], 2);
        assert!((stored.priorities["/a"] + 10.0).abs() < f64::EPSILON);
        assert_eq!(max_depth("/a:2;/b:1")["/b"], 1);
    }
}
