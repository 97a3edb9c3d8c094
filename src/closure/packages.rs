//! The packages of what lies under the modules, as far as they are packed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::collect::Collector;
use super::{Base, Cause, ClosureError, Reason, Request, eessi, parallel};
use crate::rootfs::{Content, image_path};
use crate::stack::{Dpkg, Package, Portage, Stack};

/// Packages, and the texts of licences that they name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packages {
    /// In byte order of the databases and of their names.
    pub packages: Vec<Package>,
    /// By the name of the licence.
    pub texts: BTreeMap<String, Vec<u8>>,
}

/// How the names of files begin that say who may do what.
const LICENCES: [&[u8]; 7] =
    [b"copying", b"license", b"licence", b"copyright", b"notice", b"authors", b"unlicense"];

/// Whether a file of this name says who may do what, or who made it.
#[must_use]
pub fn is_licence(name: &OsStr) -> bool {
    let name = name.as_bytes().to_ascii_lowercase();
    LICENCES.iter().any(|start| name.starts_with(start))
}

/// Finds the packages of packed files; of this machine's adds the copyright files.
pub(super) fn add(
    collector: &mut Collector<'_>,
    request: &Request<'_>,
) -> Result<Packages, ClosureError> {
    match (request.base, request.stack) {
        (Base::Host, _) => of_this_machine(collector),
        (_, Stack::Eessi(eessi)) => of_layers(collector, &eessi::layers(eessi, request.lmod)),
        (_, Stack::Site) => Ok(Packages::default()),
    }
}

fn of_this_machine(collector: &mut Collector<'_>) -> Result<Packages, ClosureError> {
    let Some(dpkg) = Dpkg::open(Path::new("/")) else { return Ok(Packages::default()) };
    let files = collector.rootfs.files().iter().filter_map(|file| match &file.content {
        Content::Host(path) => Some(path.clone()),
        _ => None,
    });
    let files: BTreeSet<PathBuf> = files.collect();
    let packages = dpkg.owners(&files);
    let reason: Reason = Cause::Base("licences".to_owned()).into();
    for documents in packages.iter().filter_map(|package| package.documents.as_ref()) {
        collector.add(&documents.join("copyright"), &reason)?;
    }
    // many copyright files refer to these for the full text
    collector.add(Path::new("/usr/share/common-licenses"), &reason)?;
    Ok(Packages { packages, texts: BTreeMap::new() })
}

fn of_layers(collector: &Collector<'_>, layers: &[PathBuf]) -> Result<Packages, ClosureError> {
    let mut found = Packages::default();
    let rootfs = &collector.rootfs;
    let packed = |path: &Path| image_path(path).is_ok_and(|at| rootfs.get(&at).is_some());
    for layer in layers {
        let portage = Portage::new(layer);
        let entries = portage.entries();
        let read = |entry: &PathBuf| portage.package(entry, &packed);
        let packages = parallel::map(&entries, collector.interrupt, read)?;
        for package in packages.into_iter().flatten() {
            for name in &package.texts {
                if let Some(text) = portage.licence_text(name) {
                    found.texts.entry(name.clone()).or_insert(text);
                }
            }
            found.packages.push(package);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_go_by_their_names() {
        for (name, want) in [
            ("COPYING", true),
            ("LICENSE.txt.bz2", true),
            ("copyright", true),
            ("Authors", true),
            ("README", false),
            ("changelog", false),
        ] {
            assert_eq!(is_licence(OsStr::new(name)), want, "{name}");
        }
    }
}
