//! `plan`: what `container` would do, without writing anything.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::args::Container;
use super::asked::{Asked, Purpose};
use super::container::{self, Gathered, Prepared};
use super::context::Context;
use super::diagnose::{Failure, Place};
use super::output;
use super::proof;
use super::tally::{self, Detail, Share, Tally};
use super::terminal::Terminal;
use super::verdict::Verdict;
use crate::assemble::Manifest;
use crate::audit::{Finding, Severity};
use crate::base::{ByteSize, Escaped};
use crate::closure::{Cause, NOT_REACHED, Slim};
use crate::environment::fidelity::Difference;
use crate::rootfs::{Node, Rootfs};
use crate::session::foreign::Foreign;

/// Files that are named as the biggest.
const BIGGEST: usize = 10;
/// Modules that the table names where nobody asked for all.
const MODULES: usize = 30;

/// What `container` would do. Fields are only ever added to it; a change of meaning changes the
/// version.
#[derive(Debug, Serialize)]
struct Planned {
    schema_version: u32,
    /// The image that it would write.
    #[serde(serialize_with = "crate::base::path_text::one")]
    image: PathBuf,
    format: String,
    /// Files in it, and their bytes before compression, as the report of `container` has them.
    files: u64,
    content_bytes: ByteSize,
    /// Files and bytes by kind of reason, the most bytes first.
    reasons: Vec<Share>,
    biggest: Vec<Big>,
    /// What `--slim` leaves out, as the report of `container` has it.
    slim: Option<Slim>,
    /// What it would save; nothing where it was asked for, or leaves nothing out.
    slim_would_save: Option<Saving>,
    /// Each file system that is written to.
    space: Vec<Space>,
    errors: usize,
    warnings_of_proof: usize,
    expected: usize,
    /// What the proof of completeness found.
    findings: Vec<Finding>,
    /// As it would stand in the image.
    manifest: Manifest,
    /// Everything the user should know, each a sentence.
    warnings: Vec<String>,
    differences: Vec<Difference>,
    foreign: Vec<Foreign>,
    /// The status with which `container` would end.
    status: u8,
}

/// A large file.
#[derive(Debug, Serialize)]
struct Big {
    #[serde(serialize_with = "crate::base::path_text::one")]
    path: PathBuf,
    bytes: ByteSize,
    reason: String,
}

/// What an image would have less.
#[derive(Debug, Serialize)]
struct Saving {
    files: u64,
    bytes: ByteSize,
}

/// A file system and what it has room for.
#[derive(Debug, Serialize)]
struct Space {
    /// `destination` or `scratch`.
    place: &'static str,
    #[serde(serialize_with = "crate::base::path_text::one")]
    path: PathBuf,
    /// At most so many bytes are written.
    needed: ByteSize,
    available: ByteSize,
}

/// Says what `container` would do with the same words, and ends as it would.
pub(super) fn plan(
    context: &Context,
    words: &Container,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let (asked, frozen) = container::freeze(context, words, Purpose::Plan, terminal)?;
    let place = container::place(words, &asked, &frozen);
    output::check(&words.destination, &place.file_name, place.kind(words), words.force)?;
    let gathered = container::gather(context, words, &asked, frozen, terminal)?;
    let slim_would_save = saving(context, words, &asked, &gathered, terminal)?;
    let mut prepared = container::prepare(context, words, &asked, gathered, terminal)?;
    proof::record(&mut prepared.assembled, &prepared.findings)?;
    let needed = container::needed_space(words, &prepared);
    let mut space = Vec::new();
    for (place, path) in output::file_systems(&words.destination, place.kind(words)) {
        let path = path.to_owned();
        let available = output::available(&path)?;
        let place = if place == Place::Destination { "destination" } else { "scratch" };
        space.push(Space { place, path, needed, available });
    }
    let verdict = prepared.verdict();
    let failure = failure(words, (&prepared, &verdict), &space);
    let status = failure.as_ref().map_or(0, Failure::status);
    let image = words.destination.join(&place.file_name);
    let planned = Planned { slim_would_save, space, status, ..planned(words, image, prepared) };
    for warning in &planned.warnings {
        terminal.warning(warning);
    }
    proof::name_errors(&planned.findings, words.allow_incomplete, terminal);
    if words.strict || terminal.verbose {
        verdict.name_warnings(terminal);
    }
    if terminal.verbose {
        verdict.name_lesser(terminal);
    }
    print(words, &planned, terminal)?;
    match failure {
        Some(failure) => Err(failure.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn saving(
    context: &Context,
    words: &Container,
    asked: &Asked,
    gathered: &Gathered,
    terminal: &Terminal,
) -> anyhow::Result<Option<Saving>> {
    let slim = container::if_slim(context, words, asked, gathered, terminal)?;
    let (files, bytes) = container::totals(&gathered.closure.rootfs);
    Ok(slim.map(|(slim_files, slim_bytes)| Saving {
        files: files.saturating_sub(slim_files),
        bytes: ByteSize(bytes.0.saturating_sub(slim_bytes.0)),
    }))
}

/// The first of the reasons for which `container` would write no image.
fn failure(
    words: &Container,
    (prepared, verdict): (&Prepared, &Verdict),
    space: &[Space],
) -> Option<Failure> {
    let errors = proof::count(&prepared.findings, Severity::Error);
    let warnings = prepared.warnings.len() + verdict.warnings.len();
    if words.strict && warnings > 0 {
        return Some(Failure::Strict { count: warnings });
    }
    if errors > 0 && !words.allow_incomplete {
        return Some(Failure::Incomplete { count: errors });
    }
    let full = space.iter().find(|space| space.available < space.needed)?;
    let Space { path, needed, available, .. } = full;
    Some(Failure::NoSpace { path: path.clone(), needed: *needed, available: *available })
}

/// What the image would be, but for what is not known of it alone.
fn planned(words: &Container, image: PathBuf, prepared: Prepared) -> Planned {
    let Prepared { frozen, assembled, slim, warnings, findings, .. } = prepared;
    let (files, content_bytes) = container::totals(&assembled.rootfs);
    let count = |severity| proof::count(&findings, severity);
    Planned {
        schema_version: 1,
        image,
        format: words.format.to_string(),
        files,
        content_bytes,
        reasons: reasons(&assembled.rootfs),
        biggest: biggest(&assembled.rootfs),
        slim,
        slim_would_save: None,
        space: Vec::new(),
        errors: count(Severity::Error),
        warnings_of_proof: count(Severity::Warning),
        expected: count(Severity::Expected),
        findings,
        manifest: assembled.manifest,
        warnings,
        differences: frozen.differences,
        foreign: frozen.foreign,
        status: 0,
    }
}

/// Files and bytes by kind of reason.
fn reasons(rootfs: &Rootfs) -> Vec<Share> {
    let mut tally = Tally::by(Detail::Kinds);
    rootfs.walk(|_, node| match node {
        Node::File(id) => {
            let file = rootfs.file(*id);
            let identity = u32::try_from(id.index()).unwrap_or(u32::MAX);
            tally.add_file(&file.reason, file.size, identity);
        }
        Node::Symlink(link) => tally.add_other(&link.reason),
        Node::Special(special) => tally.add_other(&special.reason),
        Node::Directory(_) => {}
    });
    tally.into_shares()
}

/// The largest files, by their first names.
fn biggest(rootfs: &Rootfs) -> Vec<Big> {
    let mut order: Vec<_> = (0..rootfs.files().len()).collect();
    let size = |at: &usize| rootfs.files().get(*at).map_or(0, |file| file.size);
    order.sort_by_key(|at| (std::cmp::Reverse(size(at)), *at));
    let wanted: BTreeMap<usize, usize> =
        order.into_iter().take(BIGGEST).enumerate().map(|(rank, at)| (at, rank)).collect();
    let mut found = BTreeMap::new();
    rootfs.walk(|path, node| {
        let Node::File(id) = node else { return };
        let Some(rank) = wanted.get(&id.index()) else { return };
        let file = rootfs.file(*id);
        found.entry(*rank).or_insert_with(|| Big {
            path: path.as_path().to_owned(),
            bytes: ByteSize(file.size),
            reason: file.reason.to_string(),
        });
    });
    found.into_values().collect()
}

/// Prints the plan: as JSON, or as a table.
fn print(words: &Container, planned: &Planned, terminal: &Terminal) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if words.talk.json {
        serde_json::to_writer_pretty(&mut stdout, planned).map_err(std::io::Error::from)?;
        writeln!(stdout)?;
    } else {
        stdout.write_all(table(planned, terminal.verbose).as_bytes())?;
    }
    Ok(stdout.flush()?)
}

/// The plan for people.
fn table(planned: &Planned, verbose: bool) -> String {
    let shown = |path: &PathBuf| Escaped(&path.to_string_lossy()).to_string();
    let Planned { files, content_bytes, .. } = planned;
    let image = shown(&planned.image);
    let mut lines = vec![format!("{image}: {content_bytes} in {files} files before compression")];
    lines.push("modules".to_owned());
    lines.extend(modules(&planned.manifest, verbose));
    lines.push("reasons".to_owned());
    lines.extend(planned.reasons.iter().map(|share| format!("  {}", share.line())));
    lines.push("biggest files".to_owned());
    for big in &planned.biggest {
        let (bytes, reason) = (big.bytes.to_string(), in_words(&big.reason));
        lines.push(format!("  {bytes:>8}  {} ({})", shown(&big.path), Escaped(&reason)));
    }
    if let Some(Saving { files, bytes }) = &planned.slim_would_save {
        lines.push(format!("--slim would save {bytes} in {files} files"));
    }
    lines.push("space".to_owned());
    for space in &planned.space {
        let Space { place, path, needed, available } = space;
        let path = shown(path);
        lines.push(format!("  {place} `{path}`: up to {needed} needed, {available} free"));
    }
    let Planned { errors, warnings_of_proof: warnings, expected, .. } = planned;
    lines.push(format!(
        "proof: {errors} errors, {warnings} warnings, {expected} things that the place where it runs is to bring"
    ));
    lines.extend(counted(
        "left out",
        planned.manifest.omissions.iter().map(|omission| match &*omission.reason {
            // what it holds differs for each
            reason if reason.starts_with(NOT_REACHED) => NOT_REACHED,
            reason => reason,
        }),
    ));
    lines.extend(counted(
        "bind points",
        planned.manifest.bind_points.iter().map(|point| &*point.purpose),
    ));
    lines.join("\n") + "\n"
}

/// What a reason is called where a path stands beside it: paths in it say little more.
fn in_words(reason: &str) -> String {
    let cause = Cause::parse(reason);
    let detail = if cause.module().is_some() { Detail::Each } else { Detail::Kinds };
    tally::group(&cause, detail).1
}

/// A line per module, those with the most bytes where there are many.
fn modules(manifest: &Manifest, all: bool) -> Vec<String> {
    let mut sorted: Vec<_> = manifest.modules.iter().collect();
    sorted.sort_by_key(|module| (std::cmp::Reverse(module.bytes), &module.name));
    let few = if all { sorted.len() } else { MODULES };
    let line = |module: &&crate::assemble::ManifestModule| {
        let star = if module.requested { '*' } else { ' ' };
        let (bytes, files, name) = (module.bytes.to_string(), module.files, Escaped(&module.name));
        format!("  {bytes:>8} {files:>7} files {star} {name}")
    };
    let mut lines: Vec<_> = sorted.iter().take(few).map(line).collect();
    if sorted.len() > few {
        lines.push(format!("  and {} smaller ones (--verbose names each)", sorted.len() - few));
    }
    lines
}

/// `title: 3 × this, 1 × that`; nothing where there is none.
fn counted<'a>(title: &str, texts: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(text, count)| (std::cmp::Reverse(*count), *text));
    let parts: Vec<_> =
        counts.iter().map(|(text, count)| format!("{count} × {}", Escaped(text))).collect();
    (!parts.is_empty()).then(|| format!("{title}: {}", parts.join(", ")))
}
