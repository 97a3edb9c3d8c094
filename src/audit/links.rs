//! Symbolic links lead somewhere.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::view::{Absence, View};
use super::{Check, Finding, Severity};
use crate::rootfs::Resolved;

/// The links that lead nowhere. Nothing says that they ever did: unless the image has lost where
/// they lead they are no errors.
pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, target) in &view.links {
        let target = OsStr::from_bytes(target);
        match view.subject.rootfs.resolve(path.as_os_str().as_bytes()) {
            Resolved::Found(_) => {}
            Resolved::Missing => {
                if !matches!(view.absence(path), Absence::Expected("of the runtime")) {
                    let severity = view.severity(path, path);
                    findings.push(view.absent(Check::Link, path, target, path, severity));
                }
            }
            Resolved::Loop => findings.push(Finding {
                severity: Severity::Warning,
                path: path.clone(),
                check: Check::Link,
                need: target.to_string_lossy().into_owned(),
                what: "it leads round in a circle".to_owned(),
                needed_by: Vec::new(),
                mend: String::new(),
            }),
        }
    }
    findings
}
