//! Files of restricted software that come along although no module of it is loaded.

use std::path::{Path, PathBuf};

use super::{Allowed, Software, Table};
use crate::closure::may_be_kept;
use crate::rootfs::{Node, Rootfs};

/// Such files that are told of.
const NAMED: usize = 5;

/// A file of restricted software.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached<'a> {
    /// The file.
    pub path: PathBuf,
    /// What it belongs to.
    pub software: &'a Software,
}

/// The first files that were added since others need them, lie in a directory `NAME/VERSION` of
/// restricted software, and may not be handed on.
#[must_use]
pub fn reached_files<'a>(rootfs: &Rootfs, table: &'a Table, allowed: &Allowed) -> Vec<Reached<'a>> {
    let mut found = Vec::new();
    rootfs.walk(|path, node| {
        let Node::File(id) = node else { return };
        let reason = &rootfs.file(*id).reason;
        if !["library:", "link:", "script:", "constant:"]
            .iter()
            .any(|kind| reason.starts_with(kind))
        {
            return;
        }
        let path = path.as_path();
        let Some(software) = software_of(path, table, allowed) else { return };
        if found.len() < NAMED && !may_be_kept(&software.keep, path) {
            found.push(Reached { path: path.to_owned(), software });
        }
    });
    found
}

fn software_of<'a>(path: &Path, table: &'a Table, allowed: &Allowed) -> Option<&'a Software> {
    let names: Vec<_> = path.parent()?.iter().map(|name| name.to_string_lossy()).collect();
    let pairs = names.windows(2).filter_map(|pair| match pair {
        [name, version] if version.contains(|c: char| c.is_ascii_digit()) => Some((name, version)),
        _ => None,
    });
    let mut found = pairs.filter_map(|(name, version)| {
        table.find(name, version).filter(|_| !allowed.has(name, version))
    });
    found.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Epoch;
    use crate::rootfs::{Content, File, ImagePath, Metadata};

    #[test]
    fn a_library_of_a_toolkit_that_may_not_be_handed_on_is_found_by_its_path() {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(metadata);
        for (path, reason) in [
            ("/apps/CUDA/12.1.1/lib64/libcudart.so.12", "library:libcudart.so.12 for /x"),
            ("/apps/CUDA/12.1.1/lib64/libnvvm.so.4", "library:libnvvm.so.4 for /x"),
            ("/apps/MATLAB/R2023a/bin/libmx.so", "link:/x"),
            ("/apps/MATLAB/R2023a/bin/other.so", "module:MATLAB/R2023a"),
            ("/usr/share/matlab/common/x", "library:x for /y"),
        ] {
            let content = Content::Bytes(Vec::new());
            let file = File { metadata, size: 0, content, reason: reason.into() };
            rootfs.add_file(&ImagePath::new(path.as_bytes()).unwrap(), file).unwrap();
        }
        let table = Table::shipped().unwrap();
        let none = Allowed::Names(Vec::new());
        let found = reached_files(&rootfs, &table, &none);
        let paths: Vec<_> = found.iter().map(|one| one.path.to_str().unwrap()).collect();
        assert_eq!(
            paths,
            ["/apps/CUDA/12.1.1/lib64/libnvvm.so.4", "/apps/MATLAB/R2023a/bin/libmx.so"]
        );
        assert!(reached_files(&rootfs, &table, &Allowed::All).is_empty());
    }
}
