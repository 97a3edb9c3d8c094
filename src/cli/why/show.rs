//! Answers for people and as JSON.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::Answers;
use super::answer::{Answer, Contents, Kind};
use crate::audit::{About, Chain};
use crate::base::Escaped;
use crate::cli::terminal::Terminal;
use crate::closure::NOT_REACHED;

/// Reasons of which a directory's summary gives a line each; the rest are counted.
const NAMED: usize = 40;

/// Prints what was found to stdout; what was not found is an error on stderr.
pub(super) fn show(answers: &Answers, json: bool, terminal: &Terminal) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut stdout, answers).map_err(std::io::Error::from)?;
        writeln!(stdout)?;
    } else {
        let present = answers.found.iter().filter(|answer| !answer.is_absent());
        let texts: Vec<String> = present.map(text).collect();
        stdout.write_all(texts.join("\n").as_bytes())?;
    }
    stdout.flush()?;
    for answer in answers.found.iter().filter(|answer| answer.is_absent()) {
        terminal.error(&absence(answer));
        let near: Vec<String> = answer.near.iter().map(|path| quoted(path)).collect();
        if !near.is_empty() {
            terminal.hint(&format!("did you mean {}?", near.join(" or ")));
        }
    }
    Ok(())
}

fn quoted(path: &Path) -> String {
    format!("`{}`", plain(path))
}

fn plain(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}

/// What is at a path and why, each thing on a line and its reason below it.
fn text(answer: &Answer) -> String {
    let mut text = String::new();
    let mut line = |depth: usize, words: &str| {
        // writing to a String cannot fail
        let _ = writeln!(text, "{:indent$}{words}", "", indent = 2 * depth);
    };
    let first = |chain: Option<&Chain>| chain.and_then(|chain| chain.steps.first()).cloned();
    for (at, hop) in answer.links.iter().enumerate() {
        line(0, &format!("{} -> {}  (link)", plain(&hop.path), plain(&hop.target)));
        let next = answer.links.get(at + 1).map(|hop| &hop.chain).or(answer.chain.as_ref());
        let (own, next) = (first(Some(&hop.chain)), first(next));
        if own.is_some() && own.map(|step| step.reason) == next.map(|step| step.reason) {
            line(1, "there for the same reason as:");
        } else {
            steps(&hop.chain, &mut line);
        }
    }
    line(0, &format!("{}  ({})", plain(&answer.end), what(answer)));
    if let Some(chain) = &answer.chain {
        steps(chain, &mut line);
    }
    for share in answer.contents.iter().flat_map(|contents| contents.shares.iter().take(NAMED)) {
        line(1, &share.line());
    }
    let more = answer.contents.as_ref().map_or(0, |contents| contents.shares.len());
    if more > NAMED {
        line(1, &format!("and {} more reasons (--json names each)", more - NAMED));
    }
    for name in &answer.names {
        line(1, &format!("another name of the same file: {}", plain(name)));
    }
    if let Some(point) = &answer.bind_point {
        let (purpose, path) = (Escaped(&point.purpose), quoted(&point.path));
        line(1, &format!("a site may bind its own here ({purpose}): {path} stays a link"));
    }
    if let Some(note) = &answer.note {
        line(1, &Escaped(note).to_string());
    }
    text
}

/// The reasons of a chain; what they lead to stands between them.
fn steps(chain: &Chain, line: &mut impl FnMut(usize, &str)) {
    for (at, step) in chain.steps.iter().enumerate() {
        if at > 0 {
            let kind = if step.subject == About::Module { "  (module)" } else { "" };
            line(0, &format!("{}{kind}", plain(&step.name)));
        }
        line(1, &Escaped(&step.says).to_string());
    }
    if !chain.complete {
        line(1, "the image tells no more of it");
    }
}

fn what(answer: &Answer) -> String {
    match (&answer.kind, &answer.contents, answer.size) {
        (_, Some(contents), _) => directory(contents),
        (Kind::File, _, Some(size)) => format!("file, {size}"),
        (Kind::File, ..) => "file".to_owned(),
        (Kind::Directory, ..) => "directory".to_owned(),
        (Kind::Fifo, ..) => "FIFO".to_owned(),
        (Kind::Socket, ..) => "socket".to_owned(),
        (Kind::Device, ..) => "device".to_owned(),
        (Kind::Absent, ..) => "nothing".to_owned(),
    }
}

fn directory(contents: &Contents) -> String {
    let Contents { files, others, directories, bytes, .. } = contents;
    if files + others + directories == 0 {
        return "an empty directory".to_owned();
    }
    format!("directory: {files} files ({bytes}), {others} links, {directories} directories")
}

/// Why nothing is at the path.
fn absence(answer: &Answer) -> String {
    let (path, end) = (quoted(&answer.path), quoted(&answer.end));
    let leads =
        if answer.links.is_empty() { path } else { format!("{path} leads to {end}, and that") };
    if let Some(note) = &answer.note {
        return format!("{leads} is not in the image: {}", Escaped(note));
    }
    if let Some(omission) = &answer.left_out {
        let (what, reason) = (quoted(&omission.path), Escaped(&omission.reason));
        // of the rest of a slim base the image has numbers alone
        if omission.reason.starts_with(NOT_REACHED) && omission.path != answer.end {
            return format!(
                "{leads} is not in the image: nothing that is packed reaches it, or it was never there ({what} is packed in part; {reason})"
            );
        }
        return format!("{leads} is not in the image: {what} was left out ({reason})");
    }
    if let Some(point) = &answer.bind_point {
        let (link, purpose) = (quoted(&point.path), Escaped(&point.purpose));
        return format!(
            "{leads} is not in the image: {link} is where a site may bind its own ({purpose})"
        );
    }
    format!("{leads} is not in the image")
}
