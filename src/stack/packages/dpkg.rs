//! Debian's package database.
//!
//! Source: dpkg(1), deb-control(5); Debian policy 12.5 (copyright), "Machine-readable
//! debian/copyright file" 1.0.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Package, Source, line, read};
use crate::base::fs::sorted_dir;

/// The packages of a machine.
#[derive(Debug, Clone)]
pub struct Dpkg {
    root: PathBuf,
    /// Fields of each installed package, by name.
    status: BTreeMap<String, BTreeMap<String, String>>,
    is_debian: bool,
}

impl Dpkg {
    /// The database of the machine whose root directory is `root`; `None` where there is none.
    #[must_use]
    pub fn open(root: &Path) -> Option<Self> {
        let status = read(&root.join("var/lib/dpkg/status"))?;
        let release = read(&root.join("etc/os-release")).unwrap_or_default();
        let is_debian = release.lines().any(|line| line == "ID=debian");
        let status = status.split("\n\n").filter_map(|stanza| {
            let fields = fields(stanza);
            Some((fields.get("Package")?.clone(), fields))
        });
        Some(Self { root: root.to_owned(), status: status.collect(), is_debian })
    }

    /// The packages that these files are of, in byte order of their names.
    #[must_use]
    pub fn owners(&self, files: &BTreeSet<PathBuf>) -> Vec<Package> {
        // the database still has `/bin/sh` where `/bin` has become a link to `/usr/bin`
        let files: BTreeSet<&Path> = files.iter().map(|path| below_usr(path)).collect();
        let info = self.root.join("var/lib/dpkg/info");
        let mut found = BTreeSet::new();
        for name in sorted_dir(&info).unwrap_or_default() {
            let Some(package) = name.to_str().and_then(|name| name.strip_suffix(".list")) else {
                continue;
            };
            let list = read(&info.join(&name)).unwrap_or_default();
            if list.lines().any(|line| files.contains(below_usr(Path::new(line)))) {
                found.insert(package.split(':').next().unwrap_or(package).to_owned());
            }
        }
        found.into_iter().map(|name| self.package(name)).collect()
    }

    fn package(&self, name: String) -> Package {
        let none = BTreeMap::new();
        let fields = self.status.get(&name).unwrap_or(&none);
        let documents = self.root.join("usr/share/doc").join(&name);
        let copyright = read(&documents.join("copyright")).unwrap_or_default();
        let version = fields.get("Version").cloned();
        let source = self.source(&name, fields, version.as_deref());
        Package {
            licence: licence(&copyright),
            homepage: fields.get("Homepage").cloned(),
            sources: source.into_iter().collect(),
            documents: Some(documents),
            texts: Vec::new(),
            version,
            name,
        }
    }

    /// Where the source package is for good: Debian's alone keeps every version.
    fn source(
        &self,
        name: &str,
        fields: &BTreeMap<String, String>,
        version: Option<&str>,
    ) -> Option<Source> {
        // `bash (5.2.15-2)` where name or version are others
        let stated = fields.get("Source").map(String::as_str).unwrap_or_default();
        let (source, rest) = stated.split_once(' ').unwrap_or((stated, ""));
        let source = if source.is_empty() { name } else { source };
        let version =
            rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).or(version)?;
        self.is_debian.then(|| Source {
            address: format!("https://snapshot.debian.org/package/{source}/{version}/"),
            checksum: None,
        })
    }
}

fn below_usr(path: &Path) -> &Path {
    path.strip_prefix("/usr").or_else(|_| path.strip_prefix("/")).unwrap_or(path)
}

/// The fields of a stanza; of one that goes on over lines, the first.
fn fields(stanza: &str) -> BTreeMap<String, String> {
    let lines = stanza.lines().filter(|line| !line.starts_with([' ', '\t']));
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    lines.filter_map(field).collect()
}

/// The licences that a copyright file names, if it is one that machines can read.
fn licence(copyright: &str) -> Option<String> {
    let mut lines = copyright.lines().filter_map(|line| line.split_once(':'));
    let (_, format) = lines.next().filter(|(name, _)| *name == "Format")?;
    if !format.contains("copyright-format") {
        return None;
    }
    let names: BTreeSet<String> =
        lines.filter(|(name, _)| *name == "License").filter_map(|(_, value)| line(value)).collect();
    let bracketed = |name: &String| {
        let many = name.contains(' ') && names.len() > 1;
        if many { format!("({name})") } else { name.clone() }
    };
    let names: Vec<_> = names.iter().map(bracketed).collect();
    (!names.is_empty()).then(|| names.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("etc/os-release", "NAME=x\nID=debian\n"),
            (
                "var/lib/dpkg/status",
                "Package: bash\nSource: bash-src (5.2-1)\nVersion: 5.2-1+b8\nHomepage: https://x/\nDescription: a\n shell\n\nPackage: libz\nVersion: 1\n",
            ),
            ("var/lib/dpkg/info/bash.list", "/.\n/bin\n/bin/bash\n/usr/share/doc/bash/copyright\n"),
            ("var/lib/dpkg/info/libz:amd64.list", "/lib/libz.so.1\n"),
            ("var/lib/dpkg/info/other.list", "/usr/bin/other\n"),
            (
                "usr/share/doc/bash/copyright",
                "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-3+\n text\n\nFiles: x\nLicense: MIT or BSD\n\nLicense: GPL-3+\n",
            ),
            ("usr/share/doc/libz/copyright", "Copyright: me\nLicense: free text\n"),
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_packages_of_files_are_found_with_what_they_say_of_themselves() {
        let root = machine();
        let dpkg = Dpkg::open(root.path()).unwrap();
        let files = ["/usr/bin/bash", "/usr/lib/libz.so.1", "/nobodys"].map(PathBuf::from).into();
        let got = dpkg.owners(&files);
        let at = |name: &str| Some(root.path().join("usr/share/doc").join(name));
        let source = |address: &str| vec![Source { address: address.to_owned(), checksum: None }];
        let want = [
            Package {
                name: "bash".to_owned(),
                version: Some("5.2-1+b8".to_owned()),
                licence: Some("GPL-3+ and (MIT or BSD)".to_owned()),
                homepage: Some("https://x/".to_owned()),
                sources: source("https://snapshot.debian.org/package/bash-src/5.2-1/"),
                documents: at("bash"),
                texts: Vec::new(),
            },
            Package {
                name: "libz".to_owned(),
                version: Some("1".to_owned()),
                sources: source("https://snapshot.debian.org/package/libz/1/"),
                documents: at("libz"),
                ..Package::default()
            },
        ];
        assert_eq!(got, want);
        assert_eq!(dpkg.owners(&BTreeSet::new()), []);
        assert!(Dpkg::open(&root.path().join("etc")).is_none());
    }
}
