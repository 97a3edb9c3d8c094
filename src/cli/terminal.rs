//! stderr: messages, colours, progress. stdout carries results only.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::args::{Talk, When};
use super::bar::Position;
use crate::base::{ByteSize, Progress};

/// Back to the first column, and nothing on the line.
const CLEAR: &str = "\r\x1b[2K";
/// Room for the `^C` that a terminal shows, so that it never begins a line of its own.
const MARGIN: usize = 3;

/// Where messages go. Texts from files must have been escaped by who hands them in.
#[derive(Debug)]
pub(super) struct Terminal {
    quiet: bool,
    pub(super) verbose: bool,
    color: bool,
    shown: Shown,
    stage: Mutex<Option<Stage>>,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Not at all.
    Never,
    /// A line now and then, for logs.
    Lines,
    /// One line, written over.
    Bar,
}

impl Shown {
    /// The time between two looks at it.
    fn pause(self) -> Duration {
        match self {
            Self::Never => Duration::MAX,
            Self::Lines => Duration::from_secs(30),
            Self::Bar => Duration::from_millis(125),
        }
    }
}

#[derive(Debug)]
struct Stage {
    name: String,
    started: Instant,
    drawn: Instant,
    files: (u64, Option<u64>),
    bytes: (u64, Option<u64>),
}

impl Stage {
    fn position(&self) -> Position<'_> {
        Position {
            name: &self.name,
            files: self.files,
            bytes: self.bytes,
            elapsed: self.started.elapsed(),
        }
    }
}

impl Terminal {
    pub(super) fn new(talk: &Talk) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let color = match talk.color {
            When::Auto => is_terminal,
            When::Always => true,
            When::Never => false,
        };
        let shown = match talk.progress {
            When::Never => Shown::Never,
            _ if talk.quiet => Shown::Never,
            When::Always => Shown::Bar,
            When::Auto if is_terminal => Shown::Bar,
            When::Auto => Shown::Lines,
        };
        Self { quiet: talk.quiet, verbose: talk.verbose, color, shown, stage: Mutex::new(None) }
    }

    /// For commands without these flags.
    pub(super) fn plain(quiet: bool) -> Self {
        let talk =
            Talk { verbose: false, quiet, json: false, color: When::Auto, progress: When::Auto };
        Self::new(&talk)
    }

    pub(super) fn error(&self, text: &str) {
        self.line("error: ", "1;31", text);
    }

    pub(super) fn hint(&self, text: &str) {
        self.line("hint: ", "36", text);
    }

    pub(super) fn warning(&self, text: &str) {
        if !self.quiet {
            self.line("warning: ", "33", text);
        }
    }

    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            self.line("", "", text);
        }
    }

    fn line(&self, label: &str, color: &str, text: &str) {
        // a bar that is shown goes out of the way, and comes back with the next step
        let clear = if self.shown == Shown::Bar && self.lock().is_some() {
            CLEAR
        } else {
            Default::default()
        };
        let label = if self.color && !label.is_empty() {
            format!("\x1b[{color}m{label}\x1b[0m")
        } else {
            label.to_owned()
        };
        put(&format!("{clear}{label}{}\n", shortened(text)));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Stage>> {
        // a poisoned lock means that another thread panicked: progress is the least concern then
        self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn draw(&self, stage: &mut Stage) {
        stage.drawn = Instant::now();
        match self.shown {
            Shown::Never => {}
            Shown::Lines => put(&format!("{}\n", stage.position().line(usize::MAX))),
            Shown::Bar => put(&format!("{CLEAR}{}", stage.position().line(width()))),
        }
    }

    /// Ends the stage without a word, for work that failed.
    pub(super) fn abandon(&self) {
        drop(self.end());
    }

    fn end(&self) -> Option<Stage> {
        let stage = self.lock().take()?;
        if self.shown == Shown::Bar {
            put(CLEAR);
        }
        Some(stage)
    }
}

/// No word is shown with more characters: of a longer path the middle says least.
const LONGEST_WORD: usize = 600;

/// `text` with the middle of very long words left out.
fn shortened(text: &str) -> String {
    let short = |word: &str| {
        let count = word.chars().count();
        if count <= LONGEST_WORD {
            return word.to_owned();
        }
        let kept = LONGEST_WORD / 2;
        let first: String = word.chars().take(kept).collect();
        let last: String = word.chars().skip(count - kept).collect();
        format!("{first}[… {} characters …]{last}", count - 2 * kept)
    };
    if text.len() <= LONGEST_WORD {
        return text.to_owned();
    }
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

/// Writes to stderr in one piece. A closed stderr is nobody's loss.
fn put(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// How many columns a line of progress may have.
fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
    let columns = if columns == 0 { 80 } else { usize::from(columns) };
    columns.saturating_sub(MARGIN)
}

/// A stage shorter than this is not worth a line of its own.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

impl Progress for Terminal {
    fn stage(&self, name: &str, files: Option<u64>, bytes: Option<u64>) {
        self.finish();
        let now = Instant::now();
        let mut stage = Stage {
            name: name.to_owned(),
            started: now,
            drawn: now,
            files: (0, files),
            bytes: (0, bytes),
        };
        if self.shown == Shown::Bar {
            self.draw(&mut stage);
        }
        *self.lock() = Some(stage);
    }

    fn advance(&self, files: u64, bytes: u64) {
        let mut stage = self.lock();
        let Some(stage) = stage.as_mut() else { return };
        stage.files.0 += files;
        stage.bytes.0 += bytes;
        if stage.drawn.elapsed() >= self.shown.pause() {
            self.draw(stage);
        }
    }

    fn finish(&self) {
        let Some(stage) = self.end() else { return };
        let seconds = stage.started.elapsed();
        if !self.quiet && (self.verbose || seconds >= WORTH_A_LINE) {
            let mut facts = Vec::new();
            if stage.files.0 > 0 {
                facts.push(format!("{} files", stage.files.0));
            }
            if stage.bytes.0 > 0 {
                facts.push(ByteSize(stage.bytes.0).to_string());
            }
            facts.push(format!("{:.1} s", seconds.as_secs_f64()));
            self.line("", "", &format!("{}: {}", stage.name, facts.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_long_paths_the_middle_is_left_out() {
        let path = format!("/first{}/last", "/naïve".repeat(2000));
        let shown = shortened(&format!("cannot make `{path}`: name too long"));
        assert!(shown.len() < 1000 && shown.starts_with("cannot make `/first/naïve"), "{shown}");
        assert!(shown.ends_with("/last`: name too long") && shown.contains("characters …]"));
        let many = "word ".repeat(1000);
        assert_eq!(shortened(&many), many);
    }
}
