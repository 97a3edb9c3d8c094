//! Scripts find what runs them.

use std::path::{Path, PathBuf};

use super::view::View;
use super::{Check, Finding, Severity};
use crate::elf::{Look, Shebang};

/// The scripts whose interpreter is not there. Stacks hold many that never ran where they are:
/// unless the image has lost the interpreter they are no errors.
pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let path = view.subject.environment.get("PATH").map(String::as_str).unwrap_or_default();
    let path: Vec<PathBuf> =
        path.split(':').map(PathBuf::from).filter(|path| path.is_absolute()).collect();
    let mut findings = Vec::new();
    for (script, id) in &view.candidates {
        if view.subject.rootfs.file(*id).metadata.mode & 0o111 == 0 {
            continue;
        }
        if let Some(Look::Script(shebang)) = view.look(*id) {
            findings.extend(check_one(view, script, shebang, &path));
        }
    }
    findings
}

fn check_one(
    view: &View<'_>,
    script: &Path,
    shebang: &Shebang,
    path: &[PathBuf],
) -> Option<Finding> {
    let absent = |at: &Path| {
        let need = at.as_os_str();
        view.absent(Check::Script, script, need, at, Severity::Warning)
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
