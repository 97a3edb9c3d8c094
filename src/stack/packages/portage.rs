//! Gentoo's package database, as a Prefix has it.
//!
//! Source: Package Manager Specification, "Ebuild-defined variables" and "Manifest"; portage(5),
//! `/var/db/pkg` and `CONTENTS`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Package, Source, line, read};
use crate::base::fs::sorted_dir;

/// The packages of a compatibility layer.
#[derive(Debug, Clone)]
pub struct Portage {
    layer: PathBuf,
}

/// Where the tree of ebuilds lies.
const TREES: [&str; 2] = ["var/db/repos/gentoo", "usr/portage"];

/// No licence is longer, in bytes.
const LONGEST_LICENCE: usize = 1 << 20;

impl Portage {
    /// The database of the layer in this directory.
    #[must_use]
    pub fn new(layer: &Path) -> Self {
        Self { layer: layer.to_owned() }
    }

    /// The directories of its packages, in byte order.
    #[must_use]
    pub fn entries(&self) -> Vec<PathBuf> {
        let top = self.layer.join("var/db/pkg");
        let below = |at: &PathBuf| {
            let names = sorted_dir(at).unwrap_or_default().into_iter();
            let entries = names.filter(|name| !name.to_string_lossy().starts_with(['-', '.']));
            entries.map(|name| at.join(name)).filter(|path| path.is_dir()).collect::<Vec<_>>()
        };
        below(&top).iter().flat_map(below).collect()
    }

    /// What the database says of the package in the directory `entry`; `None` if none of its files
    /// is `packed`. Where it does not tell its files, it counts as packed.
    #[must_use]
    pub fn package(&self, entry: &Path, packed: &dyn Fn(&Path) -> bool) -> Option<Package> {
        let contents = read(&entry.join("CONTENTS")).unwrap_or_default();
        let mut files = contents.lines().filter_map(file_of).peekable();
        if files.peek().is_some() && !files.any(|file| packed(&file)) {
            return None;
        }
        let full = entry.file_name()?.to_string_lossy().into_owned();
        let category = entry.parent()?.file_name()?.to_string_lossy().into_owned();
        let (name, version) = split(&full);
        let cache = self
            .trees()
            .find_map(|tree| read(&tree.join("metadata/md5-cache").join(&category).join(&full)));
        let cache = cache.unwrap_or_default();
        let value = |name: &str| {
            let own = read(&entry.join(name)).and_then(|text| line(&text));
            own.or_else(|| {
                let known =
                    cache.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
                line(known?)
            })
        };
        let licence = value("LICENSE");
        let texts = licence.as_deref().map(names).unwrap_or_default();
        let homepage =
            value("HOMEPAGE").and_then(|pages| pages.split(' ').next().map(str::to_owned));
        let digests =
            self.trees().find_map(|tree| read(&tree.join(&category).join(&name).join("Manifest")));
        Some(Package {
            sources: sources(&value("SRC_URI").unwrap_or_default(), &digests.unwrap_or_default()),
            licence,
            homepage,
            documents: Some(self.layer.join("usr/share/doc").join(&full)),
            texts: texts.into_iter().collect(),
            version,
            name: format!("{category}/{name}"),
        })
    }

    /// The text of the licence of this name, where the layer has it.
    #[must_use]
    pub fn licence_text(&self, name: &str) -> Option<Vec<u8>> {
        let is_plain = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        let mut trees = self.trees();
        let text = trees.find_map(|tree| {
            std::fs::read(tree.join("licenses").join(name)).ok().filter(|_| is_plain)
        })?;
        (text.len() <= LONGEST_LICENCE).then_some(text)
    }

    fn trees(&self) -> impl Iterator<Item = PathBuf> + '_ {
        TREES.iter().map(|tree| self.layer.join(tree))
    }
}

/// The file or link that a line of `CONTENTS` tells of: `obj PATH MD5 MTIME`,
/// `sym PATH -> TARGET MTIME`.
fn file_of(line: &str) -> Option<PathBuf> {
    if let Some(link) = line.strip_prefix("sym ") {
        return link.split_once(" -> ").map(|(path, _)| path.into());
    }
    let mut words = line.strip_prefix("obj ")?.rsplitn(3, ' ').skip(2);
    words.next().map(PathBuf::from)
}

/// `bash` and `5.1_p16-r2` of `bash-5.1_p16-r2`.
fn split(full: &str) -> (String, Option<String>) {
    let version = full.match_indices('-').find(|(at, _)| {
        full.get(at + 1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    match version.and_then(|(at, _)| full.split_at_checked(at)) {
        Some((name, version)) => (name.to_owned(), version.get(1..).map(str::to_owned)),
        None => (full.to_owned(), None),
    }
}

/// The names of licences in an expression: `|| ( GPL-2 BSD ) foo? ( MIT )`.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split_whitespace();
    let words = words.filter(|word| !word.ends_with('?') && !matches!(*word, "||" | "(" | ")"));
    words.map(str::to_owned).collect()
}

/// The addresses in `uris`, with the digests that `manifest` has of these files.
fn sources(uris: &str, manifest: &str) -> Vec<Source> {
    let digests: BTreeMap<&str, &str> = manifest
        .lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("DIST ")?.split(' ');
            let name = words.next()?;
            words.find(|word| *word == "SHA512")?;
            Some((name, words.next()?))
        })
        .collect();
    let words: Vec<&str> = uris.split_whitespace().collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate().filter(|(_, word)| word.contains("://")) {
        // `ADDRESS -> NAME`
        let renamed =
            words.get(at + 1).filter(|next| **next == "->").and_then(|_| words.get(at + 2));
        let name = renamed.copied().or_else(|| word.rsplit('/').next()).unwrap_or_default();
        let checksum = digests.get(name).map(|digest| format!("sha512:{digest}"));
        let source = Source { address: (*word).to_owned(), checksum };
        if !found.contains(&source) {
            found.push(source);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer() -> tempfile::TempDir {
        let layer = tempfile::tempdir().unwrap();
        let entry = "var/db/pkg/app-shells/bash-5.1_p16-r2";
        for (path, text) in [
            (format!("{entry}/LICENSE"), "|| ( GPL-3+ MIT )\n"),
            (format!("{entry}/HOMEPAGE"), "https://a/ https://b/\n"),
            (
                format!("{entry}/CONTENTS"),
                "dir /l/bin\nobj /l/bin/a bash 0123 17\nsym /l/bin/sh -> bash 17\n",
            ),
            ("var/db/pkg/app-shells/-MERGING-x-1/LICENSE".to_owned(), ""),
            ("var/db/pkg/sys-libs/untold/PF".to_owned(), ""),
            (
                "var/db/repos/gentoo/metadata/md5-cache/app-shells/bash-5.1_p16-r2".to_owned(),
                "LICENSE=other\nSRC_URI=mirror://gnu/bash-5.1.tar.gz doc? ( https://c/d/e -> f.xz )\n",
            ),
            (
                "var/db/repos/gentoo/app-shells/bash/Manifest".to_owned(),
                "DIST bash-5.1.tar.gz 10 BLAKE2B aa SHA512 bb\nDIST f.xz 1 BLAKE2B cc SHA512 dd\nEBUILD x\n",
            ),
            ("var/db/repos/gentoo/licenses/MIT".to_owned(), "Permission is granted"),
        ] {
            let path = layer.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        layer
    }

    #[test]
    fn a_package_says_who_may_do_what_and_where_it_comes_from() {
        let layer = layer();
        let portage = Portage::new(layer.path());
        let entries = portage.entries();
        assert_eq!(entries.len(), 2, "{entries:?}");
        let bash = portage.package(&entries[0], &|path| path == Path::new("/l/bin/a bash"));
        let source = |address: &str, sum: &str| Source {
            address: address.to_owned(),
            checksum: Some(format!("sha512:{sum}")),
        };
        let want = Package {
            name: "app-shells/bash".to_owned(),
            version: Some("5.1_p16-r2".to_owned()),
            licence: Some("|| ( GPL-3+ MIT )".to_owned()),
            homepage: Some("https://a/".to_owned()),
            sources: vec![
                source("mirror://gnu/bash-5.1.tar.gz", "bb"),
                source("https://c/d/e", "dd"),
            ],
            documents: Some(layer.path().join("usr/share/doc/bash-5.1_p16-r2")),
            texts: vec!["GPL-3+".to_owned(), "MIT".to_owned()],
        };
        assert_eq!(bash, Some(want));
        assert!(portage.package(&entries[0], &|path| path == Path::new("/l/bin/sh")).is_some());
        assert_eq!(portage.package(&entries[0], &|_| false), None);
        let untold = portage.package(&entries[1], &|_| false).unwrap();
        assert_eq!((untold.name.as_str(), untold.licence), ("sys-libs/untold", None));
        assert_eq!(portage.licence_text("MIT").unwrap(), b"Permission is granted");
        for name in ["GPL-3+", "../licenses/MIT", ".", ""] {
            assert_eq!(portage.licence_text(name), None, "{name}");
        }
    }
}
