//! Programs of the stack that scripts on the path name, and that no packed module brings.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::collect::Collector;
use super::libraries::Needs;
use super::refusal::Why;
use super::scope::Scope;
use super::{Cause, Request};
use crate::elf::paths_below;
use crate::rootfs::{Content, Node};

/// Longest script that is searched for paths, in bytes.
const LONGEST_TEXT: u64 = 1 << 20;

/// Notes the programs that scripts of packed modules, in directories of the `PATH`, name by their
/// paths, and that lie in the stack and are not packed.
pub(super) fn note(
    collector: &Collector<'_>,
    request: &Request<'_>,
    scope: &Scope<'_>,
    looked: &Needs<'_>,
) {
    let tops = scope.tops();
    for directory in request.path {
        for script in scripts_in(collector, directory, looked) {
            let Ok(text) = std::fs::read(&script) else { continue };
            for path in tops.iter().flat_map(|top| paths_below(&text, top)) {
                let named = is_program(&path)
                    && !collector.has(&path)
                    && !collector.is_beneath(&path)
                    && !scope.refusals.has(&path);
                if named {
                    scope.refusals.note(&path, Why::OnlyNamed, Some(&script));
                }
            }
        }
    }
}

/// The scripts of packed modules in `directory`.
fn scripts_in(collector: &Collector<'_>, directory: &Path, looked: &Needs<'_>) -> Vec<PathBuf> {
    let real = std::fs::canonicalize(directory).ok();
    let Some(at) = real.and_then(|real| collector.image(&real).ok()) else { return Vec::new() };
    let Some(Node::Directory(directory)) = collector.rootfs.get(&at) else { return Vec::new() };
    let script = |(name, node): (&[u8], &Node)| {
        let Node::File(id) = node else { return None };
        let file = collector.rootfs.file(*id);
        let Content::Host(path) = &file.content else { return None };
        let wanted = file.metadata.mode & 0o111 != 0
            && file.size <= LONGEST_TEXT
            && path.file_name() == Some(OsStr::from_bytes(name))
            && matches!(Cause::parse(&file.reason), Cause::Module(_));
        (wanted && looked.script(path).is_some()).then(|| path.clone())
    };
    directory.entries().filter_map(script).collect()
}

/// Whether everybody may run the file at `path`.
fn is_program(path: &Path) -> bool {
    let metadata = std::fs::metadata(path);
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o001 != 0)
}
