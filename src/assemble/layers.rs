//! How an image is cut into layers: what many share lies below what few do.

use std::collections::{BTreeMap, BTreeSet};

use super::ManifestModule;
use crate::rootfs::{Content, Node, Rootfs};

/// Title of the layer of everything that is made for one image alone.
pub const GENERATED_LAYER: &str = "environment and documents";
/// Title of what lies under the modules.
const BASE: &str = "base";

/// A layer: its title and the reasons of the files in it.
pub type LayerReasons = (String, Vec<String>);

/// At most `budget` layers but the last one, [`GENERATED_LAYER`], from the bottom up: the base; the modules
/// that most others need, each on its own, those that more need first; the rest together; the
/// module that was loaded last. What has none of their reasons belongs to the last layer.
///
/// A layer of a module has the same bytes in every image that packs the module.
#[must_use]
pub fn layers(rootfs: &Rootfs, modules: &[ManifestModule], budget: usize) -> Vec<LayerReasons> {
    let mut base = Vec::new();
    let mut of_module: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for reason in reasons(rootfs) {
        match reason.split_once(':') {
            Some(("generated" | "include", _)) => {}
            Some(("module" | "modulefile", name)) => {
                of_module.entry(name.to_owned()).or_default().push(reason);
            }
            _ => base.push(reason),
        }
    }
    let mut ranked: Vec<&ManifestModule> =
        modules.iter().filter(|module| of_module.contains_key(&module.name)).collect();
    let application = ranked.pop();
    let needed = users(modules);
    ranked.sort_by_key(|module| {
        (std::cmp::Reverse(needed.get(module.name.as_str()).copied().unwrap_or(0)), &module.name)
    });
    let mut take = |modules: &[&ManifestModule]| -> Vec<String> {
        modules.iter().filter_map(|module| of_module.remove(&module.name)).flatten().collect()
    };
    // without the base, the rest, the application
    let mut singles = budget.saturating_sub(3).min(ranked.len());
    if singles + 1 == ranked.len() {
        singles += 1; // a rest of one is on its own as well
    }
    let mut layers = vec![(BASE.to_owned(), base)];
    for module in ranked.iter().take(singles) {
        layers.push((module.name.clone(), take(&[module])));
    }
    let rest = ranked.get(singles..).unwrap_or_default();
    layers.push((format!("{} other modules", rest.len()), take(rest)));
    if let Some(module) = application {
        layers.push((module.name.clone(), take(&[module])));
    }
    // modules that the manifest does not list: packed for their modulefile alone
    let unlisted: Vec<String> = of_module.into_values().flatten().collect();
    layers.push(("unlisted modules".to_owned(), unlisted));
    layers.retain(|(_, reasons)| !reasons.is_empty());
    while layers.len() > budget.max(1) {
        let (_, reasons) = layers.pop().unwrap_or_default();
        if let Some((title, below)) = layers.last_mut() {
            below.extend(reasons);
            "modules".clone_into(title);
        }
    }
    layers
}

/// All reasons, each once.
fn reasons(rootfs: &Rootfs) -> BTreeSet<String> {
    let mut reasons: BTreeSet<String> = BTreeSet::new();
    let mut add = |reason: &str| {
        if !reasons.contains(reason) {
            reasons.insert(reason.to_owned());
        }
    };
    let files = rootfs.files().iter().filter(|file| file.content != Content::Kept);
    files.for_each(|file| add(&file.reason));
    rootfs.walk(|_, node| match node {
        Node::Symlink(link) => add(&link.reason),
        Node::Special(special) => add(&special.reason),
        Node::Directory(_) | Node::File(_) => {}
    });
    reasons
}

/// How many modules need each, directly or through others.
fn users(modules: &[ManifestModule]) -> BTreeMap<&str, usize> {
    let by_name: BTreeMap<&str, &ManifestModule> =
        modules.iter().map(|module| (module.name.as_str(), module)).collect();
    let mut users = BTreeMap::new();
    for module in modules {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec![module];
        while let Some(module) = open.pop() {
            for name in &module.dependencies {
                if seen.insert(name) {
                    open.extend(by_name.get(name.as_str()));
                }
            }
        }
        seen.remove(module.name.as_str());
        for name in seen {
            *users.entry(name).or_insert(0) += 1;
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ByteSize, Epoch};
    use crate::rootfs::{File, ImagePath, Metadata};

    fn module(name: &str, dependencies: &[&str]) -> ManifestModule {
        ManifestModule {
            name: name.to_owned(),
            requested: false,
            modulefile: "/m".into(),
            prefixes: Vec::new(),
            files: 1,
            bytes: ByteSize(1),
            description: None,
            dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn rootfs(reasons: &[&str]) -> Rootfs {
        let metadata = Metadata { mode: 0o644, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(metadata);
        for (at, &reason) in reasons.iter().enumerate() {
            let file = File {
                metadata,
                size: 0,
                content: Content::Bytes(Vec::new()),
                reason: reason.into(),
            };
            let path = ImagePath::new(format!("/{at}").as_bytes()).unwrap();
            rootfs.add_file(&path, file).unwrap();
        }
        rootfs
    }

    #[test]
    fn what_many_need_lies_below_and_the_application_on_top() {
        let modules = [
            module("GCCcore/1", &[]),
            module("zlib/1", &["GCCcore/1"]),
            module("GCC/1", &["GCCcore/1"]),
            module("MPI/1", &["GCC/1", "zlib/1"]),
            module("app/1", &["MPI/1"]),
        ];
        let reasons: Vec<String> = modules.iter().map(|m| format!("module:{}", m.name)).collect();
        let mut reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
        reasons.extend(["compat:/c", "generated:", "modulefile:MPI/1", "include:/x"]);
        let rootfs = rootfs(&reasons);
        for (budget, want) in [
            (10, &["base", "GCCcore/1", "GCC/1", "zlib/1", "MPI/1", "app/1"][..]),
            (5, &["base", "GCCcore/1", "GCC/1", "2 other modules", "app/1"]),
            (4, &["base", "GCCcore/1", "3 other modules", "app/1"]),
            (2, &["base", "modules"]),
            (1, &["modules"]),
        ] {
            let layers = layers(&rootfs, &modules, budget);
            let titles: Vec<&str> = layers.iter().map(|(title, _)| title.as_str()).collect();
            assert_eq!(titles, want, "{budget}");
            let count: usize = layers.iter().map(|(_, reasons)| reasons.len()).sum();
            assert_eq!(count, 7, "all but what is made for the image alone");
        }
    }
}
