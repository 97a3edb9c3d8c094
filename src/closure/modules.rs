//! The loaded modules: their software and their modulefiles.

use std::path::{Path, PathBuf};

use super::collect::Collector;
use super::prefixes::{Surroundings, module_root};
use super::stripped::Rule;
use super::{Cause, ClosureError, Installation, ModuleFiles, Reason, Request};
use crate::base::fs::sorted_dir;
use crate::base::{ByteSize, Escaped};
use crate::rootfs::{Directory, FileId, Node};
use crate::stack::Eessi;

/// Adds installation prefixes and modulefiles; returns the prefixes of each module.
pub(super) fn add(
    collector: &mut Collector<'_>,
    request: &Request<'_>,
    eessi: Option<&Eessi>,
) -> Result<Vec<Vec<PathBuf>>, ClosureError> {
    let surroundings = Surroundings::new(request.private, eessi, request.modules);
    // before anything is added: one installation may lie in another
    for module in request.modules {
        let Some(stripped) = request.stripped.iter().find(|one| one.module == module.full_name)
        else {
            continue;
        };
        for prefix in surroundings.prefixes(module).paths {
            let real = std::fs::canonicalize(&prefix).unwrap_or(prefix);
            collector.policy.strip(Rule::new(real, stripped)?);
        }
    }
    let mut all = Vec::new();
    for module in request.modules {
        let prefixes = surroundings.prefixes(module);
        collector.warnings.extend(prefixes.warnings);
        let reason: Reason = Cause::Module(module.full_name.clone()).into();
        let mut paths = prefixes.paths;
        for path in &paths {
            collector.add(path, &reason)?;
            if !collector.holds(path) {
                collector.warnings.push(format!(
                    "module `{}`: its installation prefix `{}` is left out, or cannot be read",
                    Escaped(&module.full_name),
                    Escaped(&path.to_string_lossy())
                ));
            }
        }
        paths.retain(|path| collector.holds(path));
        add_modulefile(collector, module)?;
        all.push(paths);
    }
    for module in request.modules {
        add_defaults(collector, module)?;
    }
    Ok(all)
}

/// Adds a modulefile and the files that give it names: `.modulerc*` and `.version` of its
/// directory and of those above it, up to the one in `MODULEPATH`.
fn add_modulefile(collector: &mut Collector<'_>, module: &ModuleFiles) -> Result<(), ClosureError> {
    let reason: Reason = Cause::Modulefile(module.full_name.clone()).into();
    if !collector.add(&module.modulefile, &reason)? {
        collector.warnings.push(format!(
            "module `{}`: its modulefile `{}` cannot be packed",
            Escaped(&module.full_name),
            Escaped(&module.modulefile.to_string_lossy())
        ));
    }
    for directory in directories(module) {
        for name in sorted_dir(directory).unwrap_or_default() {
            let text = name.to_string_lossy();
            if text == ".version" || text == ".modulerc" || text == ".modulerc.lua" {
                collector.add(&directory.join(&name), &reason)?;
            }
        }
    }
    Ok(())
}

/// Adds the links `default` that lead to a modulefile that is packed.
fn add_defaults(collector: &mut Collector<'_>, module: &ModuleFiles) -> Result<(), ClosureError> {
    let reason: Reason = Cause::Modulefile(module.full_name.clone()).into();
    for directory in directories(module) {
        let link = directory.join("default");
        let Ok(target) = std::fs::canonicalize(&link) else { continue };
        if link.is_symlink() && collector.holds(&target) {
            collector.follow(&link, &reason)?;
        }
    }
    Ok(())
}

/// The directories of a modulefile's names.
fn directories(module: &ModuleFiles) -> impl Iterator<Item = &Path> {
    let root = module_root(module).unwrap_or(Path::new("/"));
    module.modulefile.ancestors().skip(1).take_while(move |at| at.starts_with(root))
}

impl Collector<'_> {
    /// Whether something of this machine's `path`, links followed, is in the image.
    pub(super) fn holds(&self, path: &Path) -> bool {
        let Ok(real) = std::fs::canonicalize(path) else { return false };
        self.image(&real).is_ok_and(|at| self.rootfs.get(&at).is_some())
    }
}

/// What lies in the image for each module.
pub(super) fn installations(
    collector: &Collector<'_>,
    modules: &[ModuleFiles],
    prefixes: Vec<Vec<PathBuf>>,
) -> Vec<Installation> {
    let rows = modules.iter().zip(prefixes);
    rows.map(|(module, prefixes)| {
        let mut files = Vec::new();
        for prefix in &prefixes {
            let real = std::fs::canonicalize(prefix).unwrap_or_else(|_| prefix.clone());
            match collector.image(&real).ok().and_then(|at| collector.rootfs.get(&at)) {
                Some(Node::Directory(directory)) => files_below(directory, &mut files),
                Some(Node::File(id)) => files.push(*id),
                Some(Node::Symlink(_) | Node::Special(_)) | None => {}
            }
        }
        let names = u64::try_from(files.len()).unwrap_or(u64::MAX);
        files.sort_unstable();
        files.dedup();
        let bytes = files.iter().map(|&id| collector.rootfs.file(id).size).sum();
        Installation {
            module: module.full_name.clone(),
            modulefile: module.modulefile.clone(),
            prefixes,
            files: names,
            bytes: ByteSize(bytes),
        }
    })
    .collect()
}

/// Adds the files in `directory` and below, by every name they have.
fn files_below(directory: &Directory, files: &mut Vec<FileId>) {
    for (_, node) in directory.entries() {
        match node {
            Node::Directory(below) => files_below(below, files),
            Node::File(id) => files.push(*id),
            Node::Symlink(_) | Node::Special(_) => {}
        }
    }
}
