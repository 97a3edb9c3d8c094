//! Files of restricted software that come along although no module of it is loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::restricted::Hit;
use super::{Allowed, Candidate, Software, Table, names};
use crate::closure::{Cause, may_be_kept};
use crate::rootfs::{Node, Rootfs};

/// Such files that are told of.
const NAMED: usize = 5;
/// Names that end the part of a path that says whose it is: what comes below belongs to one
/// software, and has directories for others (`share/cmake/CUDA`, `scipy/io/matlab`).
const INSIDE: [&str; 34] = [
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "libexec",
    "share",
    "include",
    "etc",
    "var",
    "doc",
    "docs",
    "man",
    "src",
    "source",
    "test",
    "tests",
    "testing",
    "examples",
    "data",
    "easybuild",
    "modulefiles",
    "site-packages",
    "dist-packages",
    "node_modules",
    "contrib",
    "plugins",
    "linux",
    "targets",
    "nvvm",
    "extras",
    "compilers",
    "toolbox",
    "python",
];
/// The first of these below a directory shows that software is installed there.
const INSTALLED: [&str; 4] = ["bin", "lib64", "targets", "nvvm"];
/// A shorter name alone is too often another word.
const SHORTEST: usize = 4;

/// A file of restricted software.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached<'a> {
    /// The file.
    pub path: PathBuf,
    /// Why it is there.
    pub cause: Cause,
    /// What it belongs to.
    pub software: &'a Software,
}

/// The first files that lie in a directory of restricted software, as its path has it, and may not be
/// handed on. `modules` were judged by their names already.
#[must_use]
pub fn reached_files<'a>(
    rootfs: &Rootfs,
    table: &'a Table,
    allowed: &Allowed,
    modules: &[Candidate<'_>],
) -> Vec<Reached<'a>> {
    let judged: BTreeMap<&str, &Software> = modules
        .iter()
        .filter_map(|module| Some((module.full_name, table.find(module)?.0.software)))
        .collect();
    let mut found: Vec<Reached<'_>> = Vec::new();
    // files of one directory have the same answer
    let mut before: Option<(PathBuf, String, Option<Hit<'a>>)> = None;
    rootfs.walk(|path, node| {
        let Node::File(id) = node else { return };
        let reason = &rootfs.file(*id).reason;
        let path = path.as_path();
        let Some(directory) = path.parent() else { return };
        if before.as_ref().is_none_or(|(at, why, _)| at != directory || **why != **reason) {
            let hit = hit_of(directory, &Cause::parse(reason), table);
            before = Some((directory.to_owned(), reason.to_string(), hit));
        }
        let Some((_, _, Some(hit))) = &before else { return };
        let cause = Cause::parse(reason);
        if let Cause::Module(name) = &cause
            && judged.get(name.as_str()).is_some_and(|software| *software == hit.software)
        {
            return;
        }
        let known = found.iter().any(|one| one.cause == cause && one.software == hit.software);
        let wanted = found.len() < NAMED && !known && !hit.is_allowed(allowed);
        if wanted && !may_be_kept(&hit.software.keep, path) {
            found.push(Reached { path: path.to_owned(), cause, software: hit.software });
        }
    });
    found
}

/// The software to which a directory belongs whose files have this cause.
fn hit_of<'a>(directory: &Path, cause: &Cause, table: &'a Table) -> Option<Hit<'a>> {
    let asked = match cause {
        Cause::Include(asked) => Some(asked.as_path()),
        Cause::Module(_)
        | Cause::Environment(_)
        | Cause::Library { .. }
        | Cause::Link(_)
        | Cause::Script(_)
        | Cause::Interpreter(_)
        | Cause::Constant(_) => None,
        // a distribution, and what this program makes
        _ => return None,
    };
    let of_system = directory.starts_with("/usr") && !directory.starts_with("/usr/local");
    if of_system && asked.is_none() {
        return None;
    }
    let parts: Vec<String> = directory
        .iter()
        .skip(1)
        .map(|part| names::normal(&part.to_string_lossy()))
        .skip_while(|part| of_system && INSIDE.contains(&part.as_str()))
        .collect();
    let end = parts.iter().position(|part| INSIDE.contains(&part.as_str()));
    let own = parts.get(..end.unwrap_or(parts.len())).unwrap_or_default();
    let is_installed = parts.get(own.len()).is_some_and(|next| INSTALLED.contains(&next.as_str()));
    let depth = asked.map_or(0, |asked| asked.iter().count().saturating_sub(1));
    let text = directory.to_string_lossy();
    let candidate = Candidate { evidence: vec![text.into_owned()], ..Candidate::default() };
    own.iter().enumerate().find_map(|(at, part)| {
        let behind = own.get(at + 1).map_or("", String::as_str);
        let is_asked = at + 1 == depth;
        let is_last = at + 1 == own.len();
        table.software.iter().find_map(|row| {
            let hits = row.named(part, behind).into_iter();
            let mut hits = hits.filter(|(hit, is_own)| {
                let attached = part.len() > hit.name_bytes();
                let with_version = attached || names::is_version(behind);
                // directories have the compiler's name above what it compiled
                let ends = at + if attached { 1 } else { 2 } >= own.len();
                let alone = *is_own
                    && part.len() >= SHORTEST
                    && (is_last && is_installed || is_asked && !row.tag);
                (with_version && (!row.tag || ends) || alone)
                    && row.counts(hit.version())
                    && (*is_own || row.is_signed(&candidate))
            });
            hits.next().map(|(hit, _)| hit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Epoch;
    use crate::rootfs::{Content, File, ImagePath, Metadata};

    fn found(rows: &[(&str, &str)], allowed: &Allowed, modules: &[&str]) -> Vec<String> {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(metadata);
        for (path, reason) in rows {
            let content = Content::Bytes(Vec::new());
            let file = File { metadata, size: 0, content, reason: (*reason).into() };
            rootfs.add_file(&ImagePath::new(path.as_bytes()).unwrap(), file).unwrap();
        }
        let table = Table::shipped().unwrap();
        let modules: Vec<_> = modules
            .iter()
            .map(|name| Candidate {
                short_name: name.split('/').next().unwrap(),
                full_name: name,
                evidence: Vec::new(),
            })
            .collect();
        let found = reached_files(&rootfs, &table, allowed, &modules);
        found.iter().map(|one| one.path.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn files_of_software_that_may_not_be_handed_on_are_found_by_their_paths() {
        let none = Allowed::Names(Vec::new());
        for (path, reason) in [
            ("/apps/CUDA/12.1.1/lib64/libnvvm.so.4", "library:libnvvm.so.4 for /x"),
            ("/apps/MATLAB/R2023a/bin/libmx.so", "link:/x"),
            ("/apps/MATLAB/R2023a/bin/other.so", "module:tools/1"),
            ("/apps/MATLAB/R2023a/toolbox/x/y.m", "environment:MATLABPATH"),
            ("/opt/MATLAB/R2023b/VersionInfo.xml", "include:/opt"),
            ("/opt/matlab/VersionInfo.xml", "include:/opt/matlab"),
            ("/opt/matlab/bin/matlab", "module:tools/1"),
            ("/opt/vasp.6.4.2/bin/vasp_std", "module:tools/1"),
            ("/opt/ansys_inc/ansys2023r1/x", "module:tools/1"),
            ("/opt/nvidia/hpc_sdk/23.9/compilers/bin/nvc", "module:tools/1"),
            ("/opt/intel/oneapi/compiler/2023.2.1/linux/bin/icx", "module:tools/1"),
            ("/usr/local/cuda-12.1/bin/nvcc", "module:tools/1"),
            ("/usr/local/cuda/bin/nvcc", "module:tools/1"),
            ("/opt/linaro/forge/23.1/bin/ddt", "module:tools/1"),
        ] {
            assert_eq!(found(&[(path, reason)], &none, &["tools/1"]), [path], "{reason}");
            assert_eq!(found(&[(path, reason)], &Allowed::All, &["tools/1"]), [""; 0]);
        }
        let matlab = Allowed::Names(vec!["MATLAB".to_owned()]);
        assert_eq!(found(&[("/a/MATLAB/R2023a/bin/x", "module:t/1")], &matlab, &[]), [""; 0]);
    }

    #[test]
    fn directories_of_free_software_may_have_such_names() {
        let none = Allowed::Names(Vec::new());
        for (path, reason) in [
            ("/apps/CUDA/12.1.1/lib64/libcudart.so.12", "library:libcudart.so.12 for /x"),
            ("/apps/CUDA/12.1.1/bin/nvcc", "module:CUDA/12.1.1"),
            ("/usr/share/matlab/common/x", "library:x for /y"),
            ("/apps/SciPy/1/lib/python3/site-packages/scipy/io/matlab/x.py", "module:SciPy/1"),
            ("/apps/FreeSurfer/7.4/matlab/x.m", "module:FreeSurfer/7.4"),
            ("/apps/LAMMPS/2/cuda/x.cu", "module:LAMMPS/2"),
            ("/apps/intel/2023a/zlib/1.2/lib/libz.so", "module:zlib/1"),
            ("/spack/intel-2021.4.0/zlib-1.2/lib/libz.so", "module:zlib/1"),
            ("/apps/VASPKIT/1.5/bin/vaspkit", "module:VASPKIT/1.5"),
            ("/apps/AmberTools/23/bin/tleap", "module:AmberTools/23"),
            ("/apps/cclib/1/data/ORCA/5.0/x.out", "module:cclib/1"),
            ("/apps/forge/0.3/bin/forge", "module:forge/0.3"),
            ("/home/vasp/tools/1/bin/x", "module:tools/1"),
            ("/opt/MATLAB/R2023a/x", "compat:/opt"),
        ] {
            let module = reason.split_once(':').unwrap().1;
            assert_eq!(found(&[(path, reason)], &none, &[module]), [""; 0], "{path}");
        }
    }
}
