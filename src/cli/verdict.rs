//! What the proof came to: for the report, and where warnings are errors.

use std::path::{Path, PathBuf};

use super::container::Prepared;
use super::proof;
use super::terminal::Terminal;
use crate::audit::{Check, Finding, Severity};
use crate::closure::Cause;
use crate::environment::Variables;
use crate::rootfs::{ImagePath, Node, Rootfs};

/// The findings of a proof, by whether the export lost something that was asked for.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// How many errors.
    pub(super) errors: usize,
    /// Warnings about what was there where the files came from, or was left out on request; each a
    /// sentence.
    pub(super) warnings: Vec<String>,
    /// Those that nobody who exports can mend: about what lacked there, too, and about the layer
    /// beneath the modules.
    pub(super) lesser: Vec<String>,
}

impl Verdict {
    /// The verdict on an image with this tree and environment, on the machine that its files come
    /// from.
    pub(super) fn of(findings: &[Finding], rootfs: &Rootfs, environment: &Variables) -> Self {
        let path = environment.get("PATH").map(String::as_str).unwrap_or_default();
        let path: Vec<_> = path.split(':').map(PathBuf::from).collect();
        let mut verdict = Self::default();
        for finding in findings {
            match finding.severity {
                Severity::Error => verdict.errors += 1,
                Severity::Warning if is_lesser(finding, rootfs, &path) => {
                    verdict.lesser.push(proof::sentence(finding));
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
        let counts = [
            some(self.errors, "error"),
            some(self.warnings.len(), "warning"),
            some(self.lesser.len(), "lesser warning"),
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
    pub(super) fn name_lesser(&self, terminal: &Terminal) {
        for warning in &self.lesser {
            terminal.say(&format!("  lesser     {warning}"));
        }
    }
}

impl Prepared {
    /// What the proof came to.
    pub(super) fn verdict(&self) -> Verdict {
        Verdict::of(&self.findings, &self.assembled.rootfs, &self.assembled.environment)
    }
}

/// Whether what a warning is about was like that where the file came from (this machine, whose
/// programs are found along `path`), or is about a file of the layer beneath.
fn is_lesser(finding: &Finding, rootfs: &Rootfs, path: &[PathBuf]) -> bool {
    if finding.what.ends_with(proof::ON_REQUEST) {
        return false;
    }
    is_beneath(&finding.path, rootfs) || is_inherited(finding, path)
}

/// Whether the file at `path` came with the layer beneath the modules, and not with them or at the
/// user's wish.
fn is_beneath(path: &Path, rootfs: &Rootfs) -> bool {
    let path = ImagePath::new(path.as_os_str().as_encoded_bytes()).ok();
    let reason = match path.and_then(|path| rootfs.get(&path)) {
        Some(Node::File(id)) => &*rootfs.file(*id).reason,
        Some(Node::Symlink(link)) => &*link.reason,
        Some(Node::Special(special)) => &*special.reason,
        Some(Node::Directory(_)) | None => return false,
    };
    let of_modules = matches!(Cause::parse(reason), Cause::Module(_) | Cause::Modulefile(_));
    let asked = matches!(Cause::parse(reason), Cause::Include(_) | Cause::Generated);
    !of_modules && !asked
}

fn is_inherited(finding: &Finding, path: &[PathBuf]) -> bool {
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
    use crate::base::Epoch;
    use crate::rootfs::{Metadata, Symlink};

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
    fn what_the_export_lost_is_told_apart_from_what_nobody_can_mend() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(metadata);
        for (name, target, reason) in [
            ("good", "there", "module:x/1"),
            ("bad", "gone", "module:x/1"),
            ("beneath", "there", "compat:/layer"),
            ("asked", "there", "include:/data"),
        ] {
            std::os::unix::fs::symlink(target, at(name)).unwrap();
            let path = ImagePath::new(at(name).as_os_str().as_encoded_bytes()).unwrap();
            let (mtime, target) = (metadata.mtime, target.into());
            rootfs.add_symlink(&path, Symlink { mtime, target, reason: reason.into() }).unwrap();
        }
        std::fs::write(at("there"), "").unwrap();
        let path = top.path().display().to_string();
        let environment: Variables = [("PATH".to_owned(), format!("/none:{path}"))].into();
        let (there, gone) = (format!("{path}/there"), format!("{path}/gone"));
        let script = at("script");
        let mut findings = vec![
            finding(Check::Link, &at("good"), "there"),
            finding(Check::Link, &at("asked"), "there"),
            finding(Check::Script, &script, &there),
            finding(Check::Script, &script, "there"),
            finding(Check::Directory, &at("there"), "PATH"),
        ];
        let left_out = Finding {
            what: "the library `libz.so.1` was left out on request".to_owned(),
            ..finding(Check::Library, &at("beneath"), "libz.so.1")
        };
        findings.push(left_out);
        findings.extend([
            finding(Check::Link, &at("bad"), "gone"),
            finding(Check::Link, &at("beneath"), "there"),
            finding(Check::Script, &script, &gone),
            finding(Check::Script, &script, "gone"),
            finding(Check::Directory, &at("gone"), "PATH"),
            finding(Check::Pointer, &script, &there),
        ]);
        let verdict = Verdict::of(&findings, &rootfs, &environment);
        assert_eq!((verdict.warnings.len(), verdict.lesser.len()), (6, 6), "{verdict:#?}");
        let summary = verdict.summary();
        assert!(summary.starts_with("complete; 6 warnings, 6 lesser warnings ("), "{summary}");
        let error = Finding { severity: Severity::Error, ..finding(Check::Link, &script, "x") };
        let summary = Verdict::of(&[error], &rootfs, &environment).summary();
        assert!(summary.starts_with("INCOMPLETE; 1 error ("), "{summary}");
        assert_eq!(Verdict::of(&[], &rootfs, &environment).summary(), "complete");
    }
}
