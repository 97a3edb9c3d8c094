//! What a site's hook hides: it is asked about each version of a module before one is chosen.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Names;
use super::groups::Group;

/// A version that the hook is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// `GCC`.
    pub(crate) short_name: String,
    /// `GCC/13.2.0`.
    pub(crate) full_name: String,
    /// Its modulefile.
    pub(crate) path: PathBuf,
    /// The directory of `MODULEPATH`.
    pub(crate) place: String,
}

impl Names {
    /// All versions of the modules that a name may mean.
    pub(crate) fn versions_for(&self, name: &str) -> Vec<Shown> {
        let mut all = Vec::new();
        for place in &self.modulepath {
            let Some(groups) = self.scanned.get(place) else { continue };
            for (short_name, group) in &groups.modules {
                let rest = name.strip_prefix(short_name.as_str());
                if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                    collect(group, short_name, place, &mut all);
                }
            }
        }
        all
    }

    /// From now on the site hides these modulefiles, and no others.
    pub(crate) fn site_hides(&mut self, files: BTreeSet<PathBuf>) {
        self.hidden_by_site = files;
    }

    /// Whether the site's hook hides the modulefile.
    pub(super) fn is_hidden_by_site(&self, file: &Path) -> bool {
        self.hidden_by_site.contains(file)
    }
}

fn collect(group: &Group, short_name: &str, place: &str, all: &mut Vec<Shown>) {
    for (full_name, version) in &group.files {
        all.push(Shown {
            short_name: short_name.to_owned(),
            full_name: full_name.clone(),
            path: version.path.clone(),
            place: place.to_owned(),
        });
    }
    for below in group.directories.values() {
        collect(below, short_name, place, all);
    }
}
