//! `diff`: what two images differ in, of whatever formats they are.

mod files;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::args::Diff;
use super::told::Told;
use crate::assemble::{BaseLayer, Codec, Cpu, Tool};
use crate::environment::Variables;
use crate::image::read::Image;

use files::{FileChange, Summary};

/// What two images differ in. Fields are only ever added to it; a change of meaning changes the
/// version.
#[derive(Debug, Serialize)]
struct Differences {
    schema_version: u32,
    #[serde(serialize_with = "crate::base::path_text::list")]
    images: Vec<PathBuf>,
    /// Whether nothing below differs.
    same: bool,
    /// Name and version.
    identity: Option<Pair<String>>,
    authors: Option<Pair<Vec<String>>>,
    tool: Option<Pair<Tool>>,
    /// How it is compressed; two formats may differ in it.
    codec: Option<Pair<Codec>>,
    cpu: Option<Pair<Cpu>>,
    base: Option<Pair<BaseLayer>>,
    modules: Vec<ModuleChange>,
    environment: Vec<VariableChange>,
    /// Files, links and the like by what they are there for.
    summary: Vec<Summary>,
    files: Vec<FileChange>,
}

/// Something in the first image and in the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Pair<T> {
    before: T,
    after: T,
}

impl<T: PartialEq> Pair<T> {
    /// `None` if both are the same.
    fn of(before: T, after: T) -> Option<Self> {
        (before != after).then_some(Self { before, after })
    }
}

/// A module that is in one image alone, or in another version in each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ModuleChange {
    /// Name without version, if both have one.
    name: String,
    before: Option<String>,
    after: Option<String>,
}

/// A variable whose value differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct VariableChange {
    name: String,
    before: Option<String>,
    after: Option<String>,
    /// Of a list of directories: those that are in the second alone, and those in the first alone.
    /// Both are empty where only their order differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    elements: Option<Elements>,
}

/// What lists of directories differ in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Elements {
    added: Vec<String>,
    removed: Vec<String>,
}

/// Says what two images differ in.
pub(super) fn diff(words: &Diff) -> anyhow::Result<()> {
    let open = |path: &PathBuf| -> anyhow::Result<(Image, Told)> {
        let image = Image::open(path)?;
        let told = Told::read(&image, path)?;
        Ok((image, told))
    };
    let (first, second) = (open(&words.before)?, open(&words.after)?);
    let files = files::changes((&first.0, &first.1.listing), (&second.0, &second.1.listing))?;
    let (one, two) = (&first.1.manifest, &second.1.manifest);
    let identity = |told: &Told| format!("{} {}", told.manifest.name, told.manifest.version);
    let mut differences = Differences {
        schema_version: 1,
        images: vec![words.before.clone(), words.after.clone()],
        same: false,
        identity: Pair::of(identity(&first.1), identity(&second.1)),
        authors: Pair::of(one.authors.clone(), two.authors.clone()),
        tool: Pair::of(one.tool.clone(), two.tool.clone()),
        codec: Pair::of(one.codec.clone(), two.codec.clone()),
        cpu: Pair::of(one.cpu.clone(), two.cpu.clone()),
        base: Pair::of(one.base.clone(), two.base.clone()),
        modules: modules(&names(&first.1), &names(&second.1)),
        environment: environment(&first.1.variables, &second.1.variables),
        summary: files::summary(&files),
        files,
    };
    differences.same = differences.is_nothing();
    show::show(&differences, words)
}

impl Differences {
    fn is_nothing(&self) -> bool {
        self.identity.is_none()
            && self.authors.is_none()
            && self.tool.is_none()
            && self.codec.is_none()
            && self.cpu.is_none()
            && self.base.is_none()
            && self.modules.is_empty()
            && self.environment.is_empty()
            && self.files.is_empty()
    }
}

/// Full names of an image's modules.
fn names(told: &Told) -> Vec<String> {
    told.manifest.modules.iter().map(|module| module.name.clone()).collect()
}

/// The modules that differ, by name. Those with one version in each image are the same module in
/// another version.
fn modules(before: &[String], after: &[String]) -> Vec<ModuleChange> {
    let only = |these: &[String], others: &[String]| -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in these.iter().filter(|name| !others.contains(name)) {
            let short = name.rsplit_once('/').map_or(&**name, |(short, _)| short);
            found.entry(short.to_owned()).or_default().push(name.clone());
        }
        found
    };
    let (gone, new) = (only(before, after), only(after, before));
    let mut changes = Vec::new();
    for short in gone.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let list =
            |all: &BTreeMap<String, Vec<String>>| all.get(short).cloned().unwrap_or_default();
        match (&list(&gone)[..], &list(&new)[..]) {
            ([before], [after]) => changes.push(ModuleChange {
                name: short.clone(),
                before: Some(before.clone()),
                after: Some(after.clone()),
            }),
            (gone, new) => {
                changes.extend(gone.iter().map(|name| ModuleChange {
                    name: short.clone(),
                    before: Some(name.clone()),
                    after: None,
                }));
                changes.extend(new.iter().map(|name| ModuleChange {
                    name: short.clone(),
                    before: None,
                    after: Some(name.clone()),
                }));
            }
        }
    }
    changes
}

/// Lmod's own table says in another way which modules are loaded.
const STATE: &str = "_ModuleTable";

/// The variables that differ.
fn environment(before: &Variables, after: &Variables) -> Vec<VariableChange> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let shown = changed.filter(|name| !name.starts_with(STATE));
    shown
        .map(|name| {
            let (before, after) = (before.get(name).cloned(), after.get(name).cloned());
            let elements = elements(name, before.as_deref(), after.as_deref());
            VariableChange { name: name.clone(), before, after, elements }
        })
        .collect()
}

/// What two lists of directories, or of modules, differ in; `None` where the values are none, or not
/// both there.
fn elements(name: &str, before: Option<&str>, after: Option<&str>) -> Option<Elements> {
    let (before, after) = (before?, after?);
    let is_list = |value: &str| {
        name == "LOADEDMODULES"
            || value.split(':').all(|element| element.is_empty() || element.starts_with('/'))
    };
    if !is_list(before) || !is_list(after) || !before.contains(':') && !after.contains(':') {
        return None;
    }
    let only = |these: &str, others: &str| -> Vec<String> {
        let others: Vec<_> = others.split(':').collect();
        let own = these.split(':').filter(|element| !others.contains(element));
        own.map(str::to_owned).collect()
    };
    Some(Elements { added: only(after, before), removed: only(before, after) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_has_one_version_in_each_has_changed() {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let changes = modules(
            &list(&["GCC/1", "GSL/1", "old", "two/1", "two/2", "same/1"]),
            &list(&["same/1", "GSL/2", "GCC/1", "new/a/1", "two/3"]),
        );
        let shown: Vec<_> =
            changes.iter().map(|c| (&*c.name, c.before.as_deref(), c.after.as_deref())).collect();
        let want = [
            ("GSL", Some("GSL/1"), Some("GSL/2")),
            ("new/a", None, Some("new/a/1")),
            ("old", Some("old"), None),
            ("two", Some("two/1"), None),
            ("two", Some("two/2"), None),
            ("two", None, Some("two/3")),
        ];
        assert_eq!(shown, want);
    }

    #[test]
    fn lists_of_directories_are_compared_by_element() {
        let list = |text: &[&str]| text.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        for (before, after, want) in [
            ("/a:/b", "/b:/c", Some((list(&["/c"]), list(&["/a"])))),
            ("/a:/b", "/b:/a", Some((list(&[]), list(&[])))),
            ("/a", "/a:/b", Some((list(&["/b"]), list(&[])))),
            ("/a", "/b", None),
            ("a:b", "/a:/b", None),
        ] {
            let got = elements("X", Some(before), Some(after)).map(|e| (e.added, e.removed));
            assert_eq!(got, want, "{before} {after}");
        }
        assert_eq!(elements("X", None, Some("/a:/b")), None);
    }
}
