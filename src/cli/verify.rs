//! `verify`: an image against its own list, and the proof that it is complete, from it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::args::Verify;
use super::context::Context;
use super::diagnose::Failure;
use super::inspect::MANIFEST_BYTES;
use super::proof;
use super::terminal::Terminal;
use crate::assemble::{MANIFEST, Manifest};
use crate::audit::{self, Check, Contents, Finding, Listing, Severity, Subject};
use crate::base::{ByteSize, Digest, Epoch, Escaped, Hasher, Interrupt};
use crate::elf::{self, Look};
use crate::environment::Variables;
use crate::image::ImageError;
use crate::image::read::{Chunk, FoundFile, FoundKind, Image, Opener, Spool};
use crate::rootfs::{Content, File, FileId, ImagePath, Metadata, Rootfs, Special, Symlink};

/// More than any list has.
const LIST_BYTES: u64 = 4 << 30;
/// Files that a thread takes at once: neighbours share blocks.
const RUN: usize = 32;
/// Directories in one another; programs reach no further, whose paths have 4096 bytes.
const DEEPEST: usize = 2048;
/// As many threads as a login node's other users will bear.
const POLITE_JOBS: usize = 8;

/// What became of it.
#[derive(Debug, Serialize)]
struct Verified {
    #[serde(serialize_with = "crate::base::path_text::one")]
    image: PathBuf,
    /// Whether there is no error, and, with `--strict`, no warning.
    complete: bool,
    files: usize,
    bytes: ByteSize,
    errors: usize,
    warnings: usize,
    expected: usize,
    findings: Vec<Finding>,
}

/// What was read of a file: size, digest and beginning, or why it cannot be read.
type Read = Result<(u64, Digest, Look), String>;

/// An image's tree, and where its files' contents are.
struct Tree {
    rootfs: Rootfs,
    files: Vec<FoundFile>,
    findings: Vec<Finding>,
}

/// Files of an image of which each was read once.
struct Packed<'a> {
    read: &'a [Read],
    files: &'a [FoundFile],
    opener: &'a Opener,
}

impl Contents for Packed<'_> {
    fn look(&self, file: FileId) -> Look {
        match self.read.get(file.index()) {
            Some(Ok((_, _, look))) => look.clone(),
            Some(Err(why)) => Look::Unreadable(why.clone()),
            None => Look::Other,
        }
    }

    fn bytes(&self, file: FileId, limit: u64) -> Option<Vec<u8>> {
        let file = self.files.get(file.index()).filter(|file| file.size() <= limit)?;
        let mut bytes = Vec::new();
        let take = |chunk: Chunk<'_>| {
            match chunk {
                Chunk::Data(data) => bytes.extend_from_slice(data),
                Chunk::Hole(size) => bytes.resize(bytes.len() + size as usize, 0),
            }
            Ok(())
        };
        self.opener.open().ok()?.copy(file, take).ok()?;
        Some(bytes)
    }
}

/// Verifies an image and says what was found.
pub(super) fn verify(
    context: &Context,
    words: &Verify,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let image = Image::open(&words.image)?;
    let findings = find(&image, words, context)?;
    let code = if findings.complete { ExitCode::SUCCESS } else { ExitCode::from(5) };
    show(words, &findings, terminal)?;
    Ok(code)
}

fn find(image: &Image, words: &Verify, context: &Context) -> anyhow::Result<Verified> {
    let document = |path: &str, limit| {
        image.read(&ImagePath::new(path.as_bytes())?, limit).map_err(anyhow::Error::from)
    };
    let name = words.image.to_string_lossy();
    let manifest = document(MANIFEST, MANIFEST_BYTES)
        .with_context(|| format!("`{}` has no manifest of module-export", Escaped(&name)))?;
    let manifest: Manifest =
        serde_json::from_slice(&manifest).context("the image's manifest is damaged")?;
    let interrupt = &context.interrupt;
    let mut findings = Vec::new();
    let environment = document("/.module-export/env.json", MANIFEST_BYTES)
        .and_then(|text| Ok(serde_json::from_slice::<Environment>(&text)?.variables))
        .unwrap_or_else(|error| {
            findings.push(damaged("/.module-export/env.json", &error));
            Variables::new()
        });
    let listing = document("/.module-export/files.jsonl", LIST_BYTES)
        .and_then(|text| Ok(Listing::parse(&text)?))
        .map_err(|error| findings.push(damaged("/.module-export/files.jsonl", &error)));
    let tree = tree(image, listing.as_ref().ok())?;
    findings.extend(tree.findings);
    let jobs = words.jobs.map_or_else(default_jobs, NonZeroUsize::get);
    let opener = image.opener()?;
    let read = read_all(&opener, &tree.files, (jobs, &context.scratch()), interrupt)?;
    let digest = |id: FileId| match read.get(id.index()) {
        Some(Ok((size, digest, _))) => Ok((*size, *digest)),
        Some(Err(why)) => Err(why.clone()),
        None => Err("it was not read".to_owned()),
    };
    let (differences, lost) =
        listing.as_ref().map(|listing| listing.compare(&tree.rootfs, digest)).unwrap_or_default();
    findings.extend(differences);
    if let Ok(listing) = &listing {
        findings.extend(audit::check_modes(listing, &tree.rootfs, image.is_directory()));
    }
    findings.extend(audit::audit(&Subject {
        rootfs: &tree.rootfs,
        contents: &Packed { read: &read, files: &tree.files, opener: &opener },
        environment: &environment,
        modules: &proof::modules(&manifest),
        omissions: &manifest.omissions,
        bind_points: &manifest.bind_points,
        lost: &lost,
        interrupt,
    })?);
    findings.sort();
    let count = |severity| proof::count(&findings, severity);
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    Ok(Verified {
        image: words.image.clone(),
        complete: errors == 0 && !(words.strict && warnings > 0),
        files: tree.files.len(),
        bytes: ByteSize(tree.files.iter().map(FoundFile::size).fold(0, u64::saturating_add)),
        errors,
        warnings,
        expected: count(Severity::Expected),
        findings,
    })
}

/// `env.json`.
#[derive(Deserialize)]
struct Environment {
    variables: Variables,
}

fn damaged(path: &str, error: &anyhow::Error) -> Finding {
    let what = format!("the image cannot be checked without it: {error:#}");
    finding(PathBuf::from(path), what)
}

fn finding(path: PathBuf, what: String) -> Finding {
    Finding {
        severity: Severity::Error,
        need: path.to_string_lossy().into_owned(),
        path,
        check: Check::List,
        what,
        needed_by: Vec::new(),
        mend: "take an unaltered copy of the image".to_owned(),
    }
}

fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(POLITE_JOBS)
}

/// What is in the image, as a tree.
fn tree(image: &Image, list: Option<&Listing>) -> anyhow::Result<Tree> {
    let mut rootfs = Rootfs::new(Metadata { mode: 0o755, mtime: Epoch::GENERATED });
    let mut inodes: BTreeMap<u32, FileId> = BTreeMap::new();
    let (mut files, mut findings) = (Vec::new(), Vec::new());
    let mut failure = None;
    image.walk(|path, found| {
        let mut put = || -> anyhow::Result<()> {
            if path.components().count() > DEEPEST {
                return Err(Failure::Cannot(format!(
                    "the image has directories in one another that are deeper than {DEEPEST}, which no program reaches"
                ))
                .into());
            }
            let reason = list.and_then(|list| list.reason(path.as_path())).unwrap_or_default();
            match &found.kind {
                FoundKind::Directory if path.components().next().is_none() => {}
                FoundKind::Directory => rootfs.add_directory(path, found.metadata)?,
                FoundKind::Symlink(target) => {
                    let (mtime, target) = (found.metadata.mtime, target.clone());
                    rootfs.add_symlink(path, Symlink { mtime, target, reason: reason.into() })?;
                }
                FoundKind::Special(kind) => {
                    let (metadata, kind) = (found.metadata, *kind);
                    rootfs.add_special(path, Special { metadata, kind, reason: reason.into() })?;
                }
                FoundKind::Device => {
                    // bases have some; nothing that is packed is one
                    let what = "it is a device, of which nothing is checked".to_owned();
                    let finding = finding(path.as_path().to_owned(), what);
                    findings.push(Finding { severity: Severity::Warning, ..finding });
                }
                FoundKind::File(file) => {
                    if let Some(id) = inodes.get(&found.inode) {
                        rootfs.add_hard_link(path, *id)?;
                        return Ok(());
                    }
                    let (metadata, size, content) = (found.metadata, file.size(), Content::Late);
                    let id = rootfs
                        .add_file(path, File { metadata, size, content, reason: reason.into() })?;
                    inodes.insert(found.inode, id);
                    files.push(file.clone());
                }
            }
            Ok(())
        };
        put().map_err(|error| {
            failure = Some(error);
            ImageError::NotFound { path: path.as_path().to_owned() }
        })
    })
    .map_err(|error| failure.take().unwrap_or_else(|| error.into()))?;
    Ok(Tree { rootfs, files, findings })
}

/// Reads every file once, many at a time.
fn read_all(
    opener: &Opener,
    files: &[FoundFile],
    (jobs, scratch): (usize, &Path),
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Read>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Read)>, ImageError> {
        let image = opener.open()?;
        let mut done = Vec::new();
        loop {
            let start = next.fetch_add(RUN, Ordering::Relaxed);
            let run = files.iter().enumerate().skip(start).take(RUN);
            if start >= files.len() || interrupt.is_set() {
                return Ok(done);
            }
            for (at, file) in run {
                done.push((at, read_one(&image, file, scratch)?));
            }
        }
    };
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let joined = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    interrupt.check()?;
    let mut read: Vec<_> = results.into_iter().flatten().collect();
    read.sort_unstable_by_key(|(at, _)| *at);
    Ok(read.into_iter().map(|(_, read)| read).collect())
}

/// Reads a file; of one that is no ELF file only the beginning is kept.
fn read_one(image: &Image, file: &FoundFile, scratch: &Path) -> Result<Read, ImageError> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut hasher = Hasher::default();
    let mut size = 0_u64;
    let mut start: Vec<u8> = Vec::new();
    let mut elf: Option<Spool> = None;
    let done = image.copy(file, |chunk| {
        match &chunk {
            Chunk::Data(data) => {
                if size == 0 {
                    start
                        .extend_from_slice(data.get(..data.len().min(ZEROS.len())).unwrap_or(data));
                    elf = data.starts_with(b"\x7fELF").then(|| Spool::new(scratch));
                }
                hasher.update(data);
                size += data.len() as u64;
            }
            Chunk::Hole(hole) => {
                let mut left = *hole as usize;
                while left > 0 {
                    let part = ZEROS.get(..left.min(ZEROS.len())).unwrap_or(&ZEROS);
                    hasher.update(part);
                    left -= part.len();
                }
                size += u64::from(*hole);
            }
        }
        if let Some(elf) = &mut elf {
            elf.take(&chunk);
        }
        Ok(())
    });
    if let Err(error) = done {
        return Ok(Err(error.to_string()));
    }
    let look = match elf {
        Some(elf) => elf::look_at(&elf.finish()?),
        None => elf::look_at(&start.as_slice()),
    };
    Ok(Ok((size, hasher.finish(), look)))
}

/// Prints the findings: as JSON, or for people.
fn show(words: &Verify, verified: &Verified, terminal: &Terminal) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if words.json {
        serde_json::to_writer_pretty(&mut stdout, verified).map_err(std::io::Error::from)?;
        writeln!(stdout)?;
    } else {
        for finding in &verified.findings {
            let severity = proof::severity(finding.severity);
            writeln!(stdout, "{severity}: {}", proof::sentence(finding))?;
        }
    }
    stdout.flush()?;
    let Verified { files, bytes, errors, warnings, expected, .. } = verified;
    let seen: BTreeSet<&str> = verified
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.mend.as_str())
        .filter(|mend| !mend.is_empty())
        .collect();
    for mend in seen {
        terminal.hint(mend);
    }
    terminal.say(&format!(
        "{files} files ({bytes}): {errors} errors, {warnings} warnings, {expected} things that the place where it runs is to bring"
    ));
    Ok(())
}
