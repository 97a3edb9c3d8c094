//! Libraries define the versions of symbols that others need of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use super::{Check, Finding, Severity, text};
use crate::elf::{Loader, Object, Process};

/// The versions that libraries of `process` have to define and do not. Where something else of
/// that name may be there before, `known` says what it defines.
pub(super) fn check(
    loader: &Loader,
    process: &Process,
    known: Option<&BTreeMap<OsString, BTreeSet<OsString>>>,
) -> Vec<Finding> {
    if loader.is_musl() {
        return Vec::new();
    }
    let mut providers: BTreeMap<&OsStr, &Object> = BTreeMap::new();
    for (name, at) in &process.names {
        if let Some(object) = process.objects.get(*at) {
            providers.insert(name, object);
        }
    }
    for object in &process.objects {
        let names = [object.facts.soname.as_deref(), object.path.file_name()];
        for name in names.into_iter().flatten() {
            providers.entry(name).or_insert(object);
        }
    }
    let mut findings = Vec::new();
    for object in &process.objects {
        for need in &object.facts.needed_versions {
            let Some(provider) = providers.get(&*need.library) else { continue };
            let defined = &provider.facts.defined_versions;
            // of a library without any version the loader takes what it gets
            if defined.is_empty() {
                continue;
            }
            for version in need.versions.iter().filter(|version| !defined.contains(version)) {
                let elsewhere = known.and_then(|known| known.get(&need.library));
                if elsewhere.is_some_and(|elsewhere| elsewhere.contains(version)) {
                    continue;
                }
                findings.push(no_version(object, provider, &need.library, version));
            }
        }
    }
    findings
}

fn no_version(object: &Object, provider: &Object, library: &OsStr, version: &OsStr) -> Finding {
    let version = version.to_string_lossy().into_owned();
    Finding {
        severity: Severity::Error,
        path: object.path.clone(),
        check: Check::Version,
        what: format!(
            "it needs {version} of `{}`, which `{}` does not define",
            library.to_string_lossy(),
            text(&provider.path)
        ),
        need: version,
        needed_by: Vec::new(),
        mend: "load the module that the program was built with".to_owned(),
    }
}
