//! What the proof came to: for the report, and where warnings are errors.

use std::path::{Path, PathBuf};

use super::proof;
use super::terminal::Terminal;
use crate::audit::{Check, Finding, Severity};
use crate::environment::Variables;

/// The findings of a proof, by whether the export lost something.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// How many errors.
    pub(super) errors: usize,
    /// Warnings about what was there where the files came from, or was left out on request; each a
    /// sentence.
    pub(super) warnings: Vec<String>,
    /// Those about what lacked there, too: nobody who exports can mend it.
    pub(super) inherited: Vec<String>,
}

impl Verdict {
    /// The verdict on an image with this environment, on the machine that its files come from.
    pub(super) fn of(findings: &[Finding], environment: &Variables) -> Self {
        let path = environment.get("PATH").map(String::as_str).unwrap_or_default();
        let path: Vec<_> = path.split(':').map(PathBuf::from).collect();
        let mut verdict = Self::default();
        for finding in findings {
            match finding.severity {
                Severity::Error => verdict.errors += 1,
                Severity::Warning if is_inherited(finding, &path) => {
                    verdict.inherited.push(proof::sentence(finding));
                }
                Severity::Warning => verdict.warnings.push(proof::sentence(finding)),
                Severity::Expected => {}
            }
        }
        verdict
    }

    /// The verdict on one line.
    pub(super) fn summary(&self) -> String {
        let some = |count, one: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            many => Some(format!("{many} {one}s")),
        };
        let inherited = some(self.inherited.len(), "warning");
        let counts = [
            some(self.errors, "error"),
            some(self.warnings.len(), "warning"),
            inherited.map(|all| format!("{all} of what lacked where the files came from, too")),
        ];
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        let verdict = if self.errors > 0 { "INCOMPLETE" } else { "complete" };
        if counts.is_empty() {
            return verdict.to_owned();
        }
        format!("{verdict}; {} (--verbose names each, and so does `verify`)", counts.join(", "))
    }

    /// Names the warnings that count.
    pub(super) fn name_warnings(&self, terminal: &Terminal) {
        for warning in &self.warnings {
            terminal.warning(warning);
        }
    }

    /// Names those that do not.
    pub(super) fn name_inherited(&self, terminal: &Terminal) {
        for warning in &self.inherited {
            terminal.say(&format!("  lacked     {warning}"));
        }
    }
}

/// Whether what a warning is about was like that where the file came from: this machine, whose
/// programs are found along `path`.
fn is_inherited(finding: &Finding, path: &[PathBuf]) -> bool {
    if finding.what.ends_with(proof::ON_REQUEST) {
        return false;
    }
    let need = Path::new(&finding.need);
    match finding.check {
        Check::List => false,
        Check::Link | Check::Directory | Check::Module => !finding.path.exists(),
        Check::Script if need.components().count() > 1 => !need.exists(),
        Check::Script => !path.iter().any(|directory| directory.join(need).exists()),
        // what a library finds depends on no more than what was packed; what files of languages and
        // build tools name outside of the image serves to build, not to run
        Check::Interpreter | Check::Library | Check::Version | Check::Elf | Check::Pointer => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: Check, path: &Path, need: &str) -> Finding {
        Finding {
            severity: Severity::Warning,
            path: path.to_owned(),
            check,
            need: need.to_owned(),
            what: format!("`{need}` is not in the image"),
            needed_by: Vec::new(),
            mend: String::new(),
        }
    }

    #[test]
    fn what_the_export_lost_is_told_apart_from_what_lacked_before() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        std::fs::write(at("there"), "").unwrap();
        std::os::unix::fs::symlink("there", at("good")).unwrap();
        std::os::unix::fs::symlink("gone", at("bad")).unwrap();
        let path = top.path().display().to_string();
        let environment: Variables = [("PATH".to_owned(), format!("/none:{path}"))].into();
        let (there, gone) = (format!("{path}/there"), format!("{path}/gone"));
        let script = at("script");
        let mut findings = vec![
            finding(Check::Link, &at("good"), "there"),
            finding(Check::Script, &script, &there),
            finding(Check::Script, &script, "there"),
            finding(Check::Directory, &at("there"), "PATH"),
        ];
        let left_out = Finding {
            what: "the library `libz.so.1` was left out on request".to_owned(),
            ..finding(Check::Library, &script, "libz.so.1")
        };
        findings.push(left_out);
        let lost = findings.len();
        findings.extend([
            finding(Check::Link, &at("bad"), "gone"),
            finding(Check::Script, &script, &gone),
            finding(Check::Script, &script, "gone"),
            finding(Check::Directory, &at("gone"), "PATH"),
            finding(Check::Pointer, &script, &there),
        ]);
        let verdict = Verdict::of(&findings, &environment);
        assert_eq!((verdict.warnings.len(), verdict.inherited.len()), (lost, 5), "{verdict:#?}");
        let summary = verdict.summary();
        assert!(
            summary.starts_with("complete; 5 warnings, 5 warnings of what lacked"),
            "{summary}"
        );
        let error = Finding { severity: Severity::Error, ..finding(Check::Link, &script, "x") };
        let summary = Verdict::of(&[error], &environment).summary();
        assert!(summary.starts_with("INCOMPLETE; 1 error ("), "{summary}");
        assert_eq!(Verdict::of(&[], &environment).summary(), "complete");
    }
}
