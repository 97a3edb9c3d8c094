//! The proof of completeness before an image is written.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::FileExt as _;

use super::beneath::Foundation;
use super::diagnose::Failure;
use super::terminal::Terminal;
use crate::assemble::{Assembled, Lack, Manifest};
use crate::audit::{self, Contents, Finding, Module, Severity, Subject};
use crate::base::{Escaped, Interrupt, Progress as _};
use crate::elf::{self, Look, ReadAt};
use crate::rootfs::{Content, FileId, Node, Part, Rootfs};

/// How a finding ends about what the user did not want.
pub(super) const ON_REQUEST: &str = "left out on request";

/// Errors that are named on the way to a failure; the rest are counted.
const NAMED: usize = 20;

/// Files that are to be packed, where they are now.
struct Planned<'a> {
    rootfs: &'a Rootfs,
    /// What the closure saw of them.
    looks: &'a BTreeMap<OsString, Look>,
    kept: Kept,
}

/// Files in layers that are kept as they are: what they begin with, and the bytes of loaders.
#[derive(Default)]
struct Kept {
    looks: BTreeMap<FileId, Look>,
    loaders: BTreeMap<FileId, Vec<u8>>,
}

/// No program loader of a kept layer is larger, in bytes.
const LARGEST_LOADER: u64 = 64 << 20;

impl Kept {
    fn read(rootfs: &Rootfs, foundation: &Foundation) -> anyhow::Result<Self> {
        let mut wanted: Vec<(Vec<u8>, FileId)> = Vec::new();
        rootfs.walk(|path, node| {
            let Node::File(id) = node else { return };
            let file = rootfs.file(*id);
            let path = path.as_bytes();
            let may_matter =
                file.metadata.mode & 0o111 != 0 || path.windows(3).any(|part| part == b".so");
            if file.content == Content::Kept && may_matter {
                wanted.push((path.to_vec(), *id));
            }
        });
        let mut kept = Self::default();
        for (path, id) in wanted {
            let Some(file) = foundation.spooled(id)? else { continue };
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            kept.looks.insert(id, elf::look_at(&file));
            // ld-linux-x86-64.so.2, ld.so.cache
            if name.starts_with(b"ld")
                && let Some(bytes) = foundation.read(&path, LARGEST_LOADER)?
            {
                kept.loaders.insert(id, bytes);
            }
        }
        Ok(kept)
    }
}

/// A range of an open file.
struct Range<'a> {
    part: &'a Part,
    size: u64,
}

impl ReadAt for Range<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let buffer = buffer.get_mut(..count).unwrap_or_default();
        ReadAt::read_at(&*self.part.file, buffer, self.part.start + offset)
    }
}

impl Contents for Planned<'_> {
    fn look(&self, file: FileId) -> Look {
        match &self.rootfs.file(file).content {
            Content::Host(path) => {
                self.looks.get(path.as_os_str()).cloned().unwrap_or_else(|| elf::look(path))
            }
            Content::Bytes(bytes) => elf::look_at(&bytes.as_slice()),
            Content::Part(part) => elf::look_at(&Range { part, size: self.rootfs.file(file).size }),
            Content::Kept => self.kept.looks.get(&file).cloned().unwrap_or(Look::Other),
            Content::Late => Look::Other,
        }
    }

    fn bytes(&self, id: FileId, limit: u64) -> Option<Vec<u8>> {
        let file = self.rootfs.file(id);
        if file.size > limit {
            return None;
        }
        match &file.content {
            Content::Host(path) => std::fs::read(path).ok(),
            Content::Bytes(bytes) => Some(bytes.clone()),
            Content::Part(part) => {
                let mut bytes = vec![0; usize::try_from(file.size).ok()?];
                part.file.read_exact_at(&mut bytes, part.start).ok()?;
                Some(bytes)
            }
            Content::Kept => self.kept.loaders.get(&id).cloned(),
            Content::Late => None,
        }
    }
}

/// The modules of a manifest, as the audit wants them.
pub(super) fn modules(manifest: &Manifest) -> Vec<Module> {
    let module = |module: &crate::assemble::ManifestModule| Module {
        name: module.name.clone(),
        requested: module.requested,
        modulefile: module.modulefile.clone(),
        prefixes: module.prefixes.clone(),
        dependencies: module.dependencies.clone(),
    };
    manifest.modules.iter().map(module).collect()
}

/// What the image lacks.
pub(super) fn find(
    assembled: &Assembled,
    (looks, foundation): (&BTreeMap<OsString, Look>, Option<&Foundation>),
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Finding>> {
    terminal.stage("proving completeness", None, None);
    let kept = foundation.filter(|foundation| foundation.kept().is_some());
    let kept = kept.map(|foundation| Kept::read(&assembled.rootfs, foundation)).transpose()?;
    let kept = kept.unwrap_or_default();
    let findings = audit::audit(&Subject {
        rootfs: &assembled.rootfs,
        contents: &Planned { rootfs: &assembled.rootfs, looks, kept },
        environment: &assembled.environment,
        modules: &modules(&assembled.manifest),
        omissions: &assembled.manifest.omissions,
        bind_points: &assembled.manifest.bind_points,
        lost: &BTreeSet::new(),
        interrupt,
    })?;
    terminal.finish();
    Ok(findings)
}

/// How many of `findings` are of this severity.
pub(super) fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

/// Names the errors among `findings`, and returns how many there are.
pub(super) fn name_errors(
    findings: &[Finding],
    allow_incomplete: bool,
    terminal: &Terminal,
) -> usize {
    let errors: Vec<_> = findings.iter().filter(|f| f.severity == Severity::Error).collect();
    for finding in errors.iter().take(NAMED) {
        let line = sentence(finding);
        if allow_incomplete { terminal.warning(&line) } else { terminal.error(&line) }
    }
    if errors.len() > NAMED {
        terminal.say(&format!("  and {} more of this kind", errors.len() - NAMED));
    }
    errors.len()
}

/// Has the image tell what it lacks. Errors end the work unless they are allowed.
pub(super) fn judge(
    assembled: &mut Assembled,
    findings: &[Finding],
    allow_incomplete: bool,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let errors = name_errors(findings, allow_incomplete, terminal);
    if errors > 0 && !allow_incomplete {
        return Err(Failure::Incomplete { count: errors }.into());
    }
    record(assembled, findings)
}

/// Has the image tell what it lacks.
pub(super) fn record(assembled: &mut Assembled, findings: &[Finding]) -> anyhow::Result<()> {
    let recorded = |finding: &&Finding| {
        finding.severity == Severity::Error
            || finding.severity == Severity::Warning && finding.what.ends_with(ON_REQUEST)
    };
    let lack = |finding: &Finding| Lack {
        severity: severity(finding.severity).to_owned(),
        path: finding.path.clone(),
        need: finding.need.clone(),
        what: finding.what.clone(),
    };
    let lacks: Vec<_> = findings.iter().filter(recorded).map(lack).collect();
    if !lacks.is_empty() {
        assembled.record(lacks)?;
    }
    Ok(())
}

/// The word for how bad it is.
pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Expected => "expected",
    }
}

/// A finding on one line.
pub(super) fn sentence(finding: &Finding) -> String {
    let path = finding.path.to_string_lossy();
    let line = format!("`{}`: {}", Escaped(&path), Escaped(&finding.what));
    if finding.needed_by.is_empty() {
        return line;
    }
    let users: Vec<_> = finding.needed_by.iter().map(|path| path.to_string_lossy()).collect();
    format!("{line} (needed by {})", Escaped(&users.join(", ")))
}
