//! stderr: messages, colours, progress. stdout carries results only.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{Talk, When};
use crate::base::{ByteSize, Progress};

/// Where messages go. Texts from files must have been escaped by who hands them in.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "four independent switches of the user")]
pub(super) struct Terminal {
    quiet: bool,
    pub(super) verbose: bool,
    color: bool,
    bar: bool,
    stage: Mutex<Option<Stage>>,
}

#[derive(Debug)]
struct Stage {
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
    files: u64,
    bytes: u64,
    with_bytes: bool,
}

impl Terminal {
    pub(super) fn new(talk: &Talk) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let wanted = |when| match when {
            When::Auto => is_terminal,
            When::Always => true,
            When::Never => false,
        };
        Self {
            quiet: talk.quiet,
            verbose: talk.verbose,
            color: wanted(talk.color),
            bar: wanted(talk.progress) && !talk.quiet,
            stage: Mutex::new(None),
        }
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
        // a closed stderr is nobody's loss
        let _ = if self.color && !label.is_empty() {
            writeln!(std::io::stderr(), "\x1b[{color}m{label}\x1b[0m{text}")
        } else {
            writeln!(std::io::stderr(), "{label}{text}")
        };
    }

    fn with_stage(&self, act: impl FnOnce(&mut Option<Stage>)) {
        // a poisoned lock means that another thread panicked: progress is the least concern then
        act(&mut self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn new_bar(&self, name: &str, files: Option<u64>, bytes: Option<u64>) -> Option<ProgressBar> {
        if !self.bar {
            return None;
        }
        let (length, template) = match (bytes, files) {
            (Some(bytes), _) => {
                (bytes, "{prefix} [{bar:30}] {bytes}/{total_bytes} {msg} {eta} left")
            }
            (None, Some(files)) => (files, "{prefix} [{bar:30}] {pos}/{len} files {eta} left"),
            (None, None) => (0, "{prefix} {spinner} {pos} files {elapsed}"),
        };
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar =
            ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(8));
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(name.to_owned());
        Some(bar)
    }
}

impl Terminal {
    /// Ends the stage without a word, for work that failed.
    pub(super) fn abandon(&self) {
        self.with_stage(|stage| {
            if let Some(bar) = stage.take().and_then(|stage| stage.bar) {
                bar.finish_and_clear();
            }
        });
    }
}

/// A stage shorter than this is not worth a line of its own.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

impl Progress for Terminal {
    fn stage(&self, name: &str, files: Option<u64>, bytes: Option<u64>) {
        self.finish();
        let bar = self.new_bar(name, files, bytes);
        self.with_stage(|stage| {
            *stage = Some(Stage {
                name: name.to_owned(),
                bar,
                started: Instant::now(),
                files: 0,
                bytes: 0,
                with_bytes: bytes.is_some(),
            });
        });
    }

    fn advance(&self, files: u64, bytes: u64) {
        self.with_stage(|stage| {
            let Some(stage) = stage else { return };
            stage.files += files;
            stage.bytes += bytes;
            if let Some(bar) = &stage.bar {
                bar.set_position(if stage.with_bytes { stage.bytes } else { stage.files });
                if stage.with_bytes && files > 0 {
                    bar.set_message(format!("{} files", stage.files));
                }
            }
        });
    }

    fn finish(&self) {
        self.with_stage(|stage| {
            let Some(stage) = stage.take() else { return };
            if let Some(bar) = stage.bar {
                bar.finish_and_clear();
            }
            let seconds = stage.started.elapsed();
            if !self.quiet && (self.verbose || seconds >= WORTH_A_LINE) {
                let bytes = if stage.bytes > 0 {
                    format!(", {}", ByteSize(stage.bytes))
                } else {
                    String::new()
                };
                self.line(
                    "",
                    "",
                    &format!(
                        "{}: {} files{bytes}, {:.1} s",
                        stage.name,
                        stage.files,
                        seconds.as_secs_f64()
                    ),
                );
            }
        });
    }
}
