//! Scripts find what runs them.

use std::path::{Path, PathBuf};

use super::view::View;
use super::{Check, Finding, Severity, text};
use crate::closure::ONLY_NAMED;
use crate::elf::{Look, Shebang, paths_below};
use crate::rootfs::FileId;

/// Longest script that is searched for paths, in bytes.
const LONGEST_TEXT: u64 = 1 << 20;

/// The scripts whose interpreter is not there. Stacks hold many that never ran where they are:
/// unless the image has lost the interpreter they are no errors.
pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let path = view.search_path();
    let named = only_named(view);
    let mut findings = Vec::new();
    for (script, id) in &view.candidates {
        if view.subject.rootfs.file(*id).metadata.mode & 0o111 == 0 {
            continue;
        }
        if let Some(Look::Script(shebang)) = view.look(*id) {
            findings.extend(check_one(view, script, shebang, &path));
            findings.extend(carriage_return(script, shebang));
            if !named.is_empty() && view.is_command(script) {
                findings.extend(names_in(view, (script, *id), &named));
            }
        }
    }
    findings
}

/// Programs of which only the text of a script spoke where it came from, and that are not there.
fn only_named<'a>(view: &View<'a>) -> Vec<&'a Path> {
    let omissions = view.subject.omissions.iter().filter(|one| one.reason == ONLY_NAMED);
    omissions.map(|one| one.path.as_path()).filter(|path| !view.has(path)).collect()
}

/// What the text of a script names of them.
fn names_in(view: &View<'_>, (script, id): (&Path, FileId), named: &[&Path]) -> Vec<Finding> {
    let Some(text) = view.subject.contents.bytes(id, LONGEST_TEXT) else { return Vec::new() };
    let is_there = |path: &&&Path| paths_below(&text, path).contains(**path);
    let absent = |path: &&Path| {
        view.absent(Check::Script, script, path.as_os_str(), path, Severity::Warning)
    };
    named.iter().filter(is_there).map(absent).collect()
}

/// What is wrong with a script that was written on Windows.
fn carriage_return(script: &Path, shebang: &Shebang) -> Option<Finding> {
    shebang.ends_in_carriage_return().then(|| Finding {
        severity: Severity::Warning,
        path: script.to_owned(),
        check: Check::Script,
        need: text(&shebang.program),
        what: "its first line ends in a carriage return, which belongs to the name or the option before it".to_owned(),
        needed_by: Vec::new(),
        mend: String::new(),
    })
}

fn check_one(
    view: &View<'_>,
    script: &Path,
    shebang: &Shebang,
    path: &[PathBuf],
) -> Option<Finding> {
    let absent = |at: &Path| {
        let need = at.as_os_str();
        view.absent(Check::Script, script, need, at, view.severity(script, at))
    };
    let program = &shebang.program;
    if !program.is_absolute() || !view.has_program(program) {
        return Some(absent(program));
    }
    let name = shebang.program_of_env()?;
    if name.components().count() > 1 {
        return (!view.has_program(&name)).then(|| absent(&name));
    }
    for directory in path {
        let at = directory.join(&name);
        if view.has_program(&at) {
            return None;
        }
        if view.lost(&at).is_some() {
            return Some(view.absent(
                Check::Script,
                script,
                name.as_os_str(),
                &at,
                Severity::Error,
            ));
        }
    }
    let excluded = path.iter().map(|directory| directory.join(&name));
    let at = excluded.clone().find(|at| view.is_excluded(at)).unwrap_or_else(|| name.clone());
    Some(view.absent(Check::Script, script, name.as_os_str(), &at, Severity::Warning))
}
