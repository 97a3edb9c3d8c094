//! What the proof came to: for the report, and where warnings are errors.

use super::proof;
use super::terminal::Terminal;
use crate::audit::{Check, Finding, Severity};
use crate::closure::Cause;
use crate::rootfs::{ImagePath, Node, Rootfs};

/// The findings of a proof, by who can mend them.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// How many errors.
    pub(super) errors: usize,
    /// Warnings about what the user asked for, each a sentence.
    pub(super) warnings: Vec<String>,
    /// Those about the layer beneath: as it is, it was where it came from, and nobody who exports
    /// can mend it.
    pub(super) beneath: Vec<String>,
}

impl Verdict {
    /// The verdict on the tree `rootfs`.
    pub(super) fn of(findings: &[Finding], rootfs: &Rootfs) -> Self {
        let mut verdict = Self::default();
        for finding in findings {
            match finding.severity {
                Severity::Error => verdict.errors += 1,
                Severity::Warning if is_beneath(finding, rootfs) => {
                    verdict.beneath.push(proof::sentence(finding));
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
        let beneath = some(self.beneath.len(), "warning");
        let counts = [
            some(self.errors, "error"),
            some(self.warnings.len(), "warning"),
            beneath.map(|beneath| format!("{beneath} about the layer beneath")),
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

    /// Names those about the layer beneath.
    pub(super) fn name_beneath(&self, terminal: &Terminal) {
        for warning in &self.beneath {
            terminal.say(&format!("  beneath    {warning}"));
        }
    }
}

/// Whether a warning is about a file that came with the layer beneath the modules, not with them, and
/// not at the user's wish.
fn is_beneath(finding: &Finding, rootfs: &Rootfs) -> bool {
    if matches!(finding.check, Check::List | Check::Directory | Check::Module)
        || finding.what.ends_with(proof::ON_REQUEST)
    {
        return false;
    }
    let path = finding.path.as_os_str().as_encoded_bytes();
    let node = ImagePath::new(path).ok().and_then(|path| rootfs.get(&path));
    let reason = match node {
        Some(Node::File(id)) => &*rootfs.file(*id).reason,
        Some(Node::Symlink(link)) => &*link.reason,
        Some(Node::Special(special)) => &*special.reason,
        Some(Node::Directory(_)) | None => return false,
    };
    !matches!(
        Cause::parse(reason),
        Cause::Module(_)
            | Cause::Modulefile(_)
            | Cause::Include(_)
            | Cause::Generated
            | Cause::Other(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Epoch;
    use crate::rootfs::{Content, File, Metadata};

    #[test]
    fn what_the_layer_beneath_lacks_is_told_apart_from_what_the_modules_lack() {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(metadata);
        for (path, reason) in [
            ("/layer/a", "compat:/layer"),
            ("/layer/b", "library:b for /apps/x"),
            ("/apps/x", "module:x/1"),
            ("/data/y", "include:/data"),
        ] {
            let content = Content::Bytes(Vec::new());
            let file = File { metadata, size: 0, content, reason: reason.into() };
            rootfs.add_file(&ImagePath::new(path.as_bytes()).unwrap(), file).unwrap();
        }
        let finding = |severity, path: &str, what: &str| Finding {
            severity,
            path: path.into(),
            check: Check::Link,
            need: "n".to_owned(),
            what: what.to_owned(),
            needed_by: Vec::new(),
            mend: String::new(),
        };
        let warning = |path: &str| finding(Severity::Warning, path, "`n` is not in the image");
        let findings = [
            warning("/layer/a"),
            warning("/layer/b"),
            warning("/apps/x"),
            warning("/data/y"),
            warning("/nowhere"),
            finding(Severity::Warning, "/layer/a", "`n` was left out on request"),
            finding(Severity::Expected, "/apps/x", "is of the site"),
        ];
        let verdict = Verdict::of(&findings, &rootfs);
        assert_eq!((verdict.warnings.len(), verdict.beneath.len()), (4, 2), "{verdict:#?}");
        assert!(verdict.summary().starts_with("complete; 4 warnings, 2 warnings about the layer"));
        let error = [finding(Severity::Error, "/apps/x", "is gone")];
        assert!(Verdict::of(&error, &rootfs).summary().starts_with("INCOMPLETE; 1 error ("));
        assert_eq!(Verdict::of(&[], &rootfs).summary(), "complete");
    }
}
