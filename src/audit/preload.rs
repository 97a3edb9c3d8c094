//! Libraries that the environment loads into every program.

use std::ffi::OsStr;
use std::path::Path;

use super::libraries::Image;
use super::{Check, Finding, MEND_MISSING, Severity, text};
use crate::closure::is_driver;

/// Variables by which `ld.so` loads libraries into every program.
pub(super) const PRELOADING: [&str; 2] = ["LD_PRELOAD", "LD_AUDIT"];

/// The libraries that such variables name and that are not found. `ld.so` then complains at the
/// start of every program.
pub(super) fn check(image: &Image<'_, '_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for variable in PRELOADING {
        let value = image.view.subject.environment.get(variable).map(String::as_str);
        let names = value.unwrap_or_default().split([' ', ':']);
        let names = names.filter(|name| !name.is_empty() && !name.contains('$'));
        findings.extend(names.filter_map(|name| check_one(image, variable, name)));
    }
    findings
}

fn check_one(image: &Image<'_, '_>, variable: &str, name: &str) -> Option<Finding> {
    let view = image.view;
    let at = Path::new(name);
    if at.is_absolute() {
        let absent = || view.absent(Check::Library, at, OsStr::new(variable), at, Severity::Error);
        return view.file(at).is_none().then(absent);
    }
    if is_driver(name.as_bytes()) || image.finds(OsStr::new(name)) {
        return None;
    }
    let links = view.links.iter().map(|(path, _)| path);
    let mut all = view.candidates.iter().map(|(path, _)| path).chain(links);
    let place = all.find(|path| path.file_name() == at.file_name());
    let (severity, what) = match place {
        Some(place) => {
            (Severity::Warning, format!("which is at `{}`, where nothing looks", text(place)))
        }
        None => (Severity::Error, "which is not in the image".to_owned()),
    };
    Some(Finding {
        severity,
        path: at.to_owned(),
        check: Check::Library,
        need: variable.to_owned(),
        what: format!("the variable {variable} loads `{name}`, {what}"),
        needed_by: Vec::new(),
        mend: MEND_MISSING.to_owned(),
    })
}
