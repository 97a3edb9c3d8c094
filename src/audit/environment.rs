//! The environment names directories, and modules their files.

use std::ffi::OsStr;
use std::path::Path;

use super::preload::PRELOADING;
use super::view::{Absence, View};
use super::{Check, Finding, Severity};

/// Places that an image need not have: what a runtime brings, and where nothing is to be found.
const NOT_ASKED: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/tmp", "/var", "/home", "/root", "/.module-export"];

/// Homes of languages, and what has to be in each.
const HOMES: [(&str, &str); 2] = [("JAVA_HOME", "bin/java"), ("R_HOME", "bin/R")];

/// A home that is there, and has not what it is for.
fn home(view: &View<'_>, name: &str, value: &str) -> Option<Finding> {
    let (_, inside) = HOMES.iter().find(|(home, _)| *home == name)?;
    let (home, at) = (Path::new(value), Path::new(value).join(inside));
    let lacks = home.is_absolute() && view.has(home) && !view.has(&at);
    lacks.then(|| view.absent(Check::Directory, home, at.as_os_str(), &at, Severity::Warning))
}

/// The directories that the environment names and that are not there, and what lacks of modules.
pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, value) in view.subject.environment {
        if PRELOADING.contains(&name.as_str()) {
            continue;
        }
        findings.extend(home(view, name, value));
        // lists of directories, and prefixes
        if !value.starts_with('/') || value.contains([' ', '\n', ';']) {
            continue;
        }
        for element in value.split(':').filter(|element| element.starts_with('/')) {
            let at = Path::new(element);
            if NOT_ASKED.iter().any(|top| at.starts_with(top)) || view.has(at) {
                continue;
            }
            if !matches!(view.absence(at), Absence::Expected("of the runtime")) {
                let need = OsStr::new(name);
                let finding = view.absent(Check::Directory, at, need, at, Severity::Warning);
                let what = format!("the variable {name} names it, and it is not in the image");
                let plain = finding.severity == Severity::Warning && finding.mend.is_empty();
                findings.push(if plain { Finding { what, ..finding } } else { finding });
            }
        }
    }
    modules(view, &mut findings);
    findings
}

fn modules(view: &View<'_>, findings: &mut Vec<Finding>) {
    let modules = view.subject.modules;
    for module in modules {
        // a module may name an installation that is gone
        let prefixes = module.prefixes.iter().map(|prefix| (prefix, Severity::Warning));
        let needs = std::iter::once((&module.modulefile, Severity::Error)).chain(prefixes);
        for (at, severity) in needs.filter(|(at, _)| at.is_absolute() && !view.has(at)) {
            let finding = view.absent(Check::Module, at, at.as_os_str(), at, severity);
            let needed_by = vec![module.modulefile.clone()];
            findings.push(Finding { needed_by, ..finding });
        }
        for name in &module.dependencies {
            if !modules.iter().any(|module| module.name == *name) {
                findings.push(Finding {
                    severity: Severity::Warning,
                    path: module.modulefile.clone(),
                    check: Check::Module,
                    need: name.clone(),
                    what: format!(
                        "the module {} depends on {name}, which is not in the image",
                        module.name
                    ),
                    needed_by: Vec::new(),
                    mend: "load it before the export".to_owned(),
                });
            }
        }
    }
}
