//! Differences for people and as JSON.

use std::fmt::Display;
use std::io::Write as _;

use super::files::{FileChange, Summary};
use super::{Differences, ModuleChange, Pair, VariableChange};
use crate::assemble::{BaseLayer, Codec, Cpu, Tool};
use crate::base::Escaped;
use crate::cli::args::Diff;

/// Prints what differs.
pub(super) fn show(differences: &Differences, words: &Diff) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if words.json {
        serde_json::to_writer_pretty(&mut stdout, differences).map_err(std::io::Error::from)?;
        writeln!(stdout)?;
    } else {
        stdout.write_all(text(differences, words.verbose).as_bytes())?;
    }
    Ok(stdout.flush()?)
}

fn text(differences: &Differences, verbose: bool) -> String {
    if differences.same {
        return "no differences\n".to_owned();
    }
    let mut lines = Vec::new();
    lines.extend(pair("image", differences.identity.as_ref(), Clone::clone));
    lines.extend(pair("author", differences.authors.as_ref(), |authors| authors.join(", ")));
    lines.extend(pair("made by", differences.tool.as_ref(), tool));
    lines.extend(pair("codec", differences.codec.as_ref(), codec));
    lines.extend(pair("CPU", differences.cpu.as_ref(), cpu));
    lines.extend(pair("base", differences.base.as_ref(), base));
    section(&mut lines, "modules", differences.modules.iter().map(module));
    section(&mut lines, "environment", differences.environment.iter().flat_map(variable));
    section(&mut lines, "files", differences.summary.iter().map(summary));
    if verbose {
        lines.extend(differences.files.iter().map(file));
    } else if !differences.files.is_empty() {
        lines.push("(--verbose names each file)".to_owned());
    }
    lines.join("\n") + "\n"
}

fn section(lines: &mut Vec<String>, title: &str, rows: impl Iterator<Item = String>) {
    let before = lines.len();
    lines.push(title.to_owned());
    lines.extend(rows.map(|row| format!("  {row}")));
    if lines.len() == before + 1 {
        lines.truncate(before);
    }
}

/// What it is called in both, if that differs.
fn pair<T>(title: &str, pair: Option<&Pair<T>>, shown: impl Fn(&T) -> String) -> Option<String> {
    let Pair { before, after } = pair?;
    let (before, after) = (shown(before), shown(after));
    Some(format!("{title:<11} {} -> {}", Escaped(&before), Escaped(&after)))
}

fn tool(tool: &Tool) -> String {
    format!("{} {}", tool.name, tool.version)
}

fn codec(codec: &Codec) -> String {
    let level = codec.level.map(|level| format!(":{level}")).unwrap_or_default();
    format!("{}{level} ({})", codec.compression, codec.library)
}

fn cpu(cpu: &Cpu) -> String {
    let features = cpu.features.join(" ");
    let needs = if features.is_empty() { features } else { format!(" (needs {features})") };
    format!("{}{needs}", cpu.targets.join(", "))
}

fn base(base: &BaseLayer) -> String {
    let name = base.name.iter().map(|name| format!(" {name}"));
    let digest = base.digest.iter().map(|digest| format!(" (sha256:{digest})"));
    let path = base.path.iter().map(|path| format!(" {}", path.to_string_lossy()));
    let stack = base.stack_version.iter().map(|version| format!(" of EESSI {version}"));
    let parts = name.chain(digest).chain(path).chain(stack);
    parts.fold(base.kind.clone(), |text, part| text + &part)
}

fn module(change: &ModuleChange) -> String {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("~ {} -> {}", Escaped(before), Escaped(after)),
        (Some(before), None) => format!("- {}", Escaped(before)),
        (None, after) => format!("+ {}", Escaped(after.as_deref().unwrap_or_default())),
    }
}

fn variable(change: &VariableChange) -> Vec<String> {
    let name = Escaped(&change.name);
    match (&change.before, &change.after, &change.elements) {
        (_, _, Some(elements)) => {
            let order = elements.added.is_empty() && elements.removed.is_empty();
            let first = format!("~ {name}{}", if order { " (in another order)" } else { "" });
            let row = |sign: char| move |text: &String| format!("    {sign} {}", Escaped(text));
            let removed = elements.removed.iter().map(row('-'));
            [first].into_iter().chain(removed).chain(elements.added.iter().map(row('+'))).collect()
        }
        (Some(before), Some(after), None) => {
            vec![format!("~ {name}: {} -> {}", Escaped(before), Escaped(after))]
        }
        (Some(before), None, None) => vec![format!("- {name}={}", Escaped(before))],
        (None, after, None) => {
            vec![format!("+ {name}={}", Escaped(after.as_deref().unwrap_or_default()))]
        }
    }
}

fn summary(summary: &Summary) -> String {
    let mut parts = Vec::new();
    let mut part = |count: u64, what: &str, bytes: &dyn Display| {
        if count > 0 {
            parts.push(format!("{count} {what}{bytes}"));
        }
    };
    part(summary.added, "added", &format!(" ({})", summary.added_bytes));
    part(summary.removed, "removed", &format!(" ({})", summary.removed_bytes));
    part(summary.changed, "changed", &"");
    format!("{}: {}", Escaped(&summary.says), parts.join(", "))
}

fn file(change: &FileChange) -> String {
    let path = change.path.to_string_lossy();
    let path = Escaped(&path);
    match (&change.before, &change.after) {
        (None, _) => format!("+ {path}"),
        (_, None) => format!("- {path}"),
        _ => format!("~ {path} ({})", change.what.join(", ")),
    }
}
