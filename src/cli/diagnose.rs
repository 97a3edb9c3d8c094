//! Errors become words, a way out, and an exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use super::hints;
use crate::base::{ByteSize, Escaped, Interrupted};
use crate::closure::ClosureError;
use crate::image::ImageError;
use crate::modulefile::EvaluationError;

/// Failures that only the command line knows.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no modules are loaded, and none were named")]
    NoModules,
    #[error("this is no module session: neither Lmod nor loaded modules are in the environment")]
    NoSession,
    #[error("whom to name as the image's author is not known")]
    NoAuthor,
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    WrongSession(String),
    #[error("{0}")]
    Cannot(String),
    #[error("MODULEPATH is not set, so there is nowhere to look for modules")]
    NoModulepath,
    #[error("the directory `{}` for {place} {problem}", Escaped(&path.to_string_lossy()))]
    Directory { path: PathBuf, place: Place, problem: &'static str },
    #[error("`{}` exists already", Escaped(&.0.to_string_lossy()))]
    NameTaken(PathBuf),
    #[error("not enough space on the file system of `{}`: up to {needed} needed, {available} free", Escaped(&path.to_string_lossy()))]
    NoSpace { path: PathBuf, needed: ByteSize, available: ByteSize },
    #[error("`{}` has no list of its files, so it cannot say what is in it and why", Escaped(&.0.to_string_lossy()))]
    NoList(PathBuf),
    #[error("{count} warnings, and --strict treats them as errors; no image was written")]
    Strict { count: usize },
    #[error("what may not be handed on is not packed; {}", .0.join("; "))]
    Restricted(Vec<String>),
    #[error("{count} needs of packed files are not met in the image; no image was written")]
    Incomplete { count: usize },
}

impl Failure {
    /// The status that says it.
    pub(super) const fn status(&self) -> u8 {
        match self {
            Self::NoModules | Self::NoSession | Self::NoModulepath | Self::WrongSession(_) => 3,
            Self::NoAuthor | Self::Usage(_) => 2,
            Self::NoSpace { .. } => 4,
            Self::Strict { .. } | Self::Incomplete { .. } => 5,
            Self::Cannot(_)
            | Self::Directory { .. }
            | Self::NameTaken(_)
            | Self::Restricted(_)
            | Self::NoList(_) => 1,
        }
    }
}

/// What a directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The finished image (`-d`).
    Destination,
    /// The unfinished one (`--tmpdir`).
    Scratch,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Destination => "the image",
            Self::Scratch => "scratch",
        })
    }
}

/// What a failed command leaves: a message on stderr and a status.
pub(super) fn exit_code(error: &anyhow::Error) -> u8 {
    if is_interrupt(error) {
        return 130;
    }
    if broken_pipe(error) {
        return 0; // the work is done, and who asked for its result has seen enough
    }
    if out_of_space(error) {
        return 4;
    }
    if let Some(ClosureError::Exclude { .. }) = error.downcast_ref() {
        return 2;
    }
    error.downcast_ref().map_or(1, Failure::status)
}

/// A transparent error hides its cause from the chain, so each room's own word is asked for.
pub(super) fn is_interrupt(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Interrupted>()
            || matches!(cause.downcast_ref(), Some(EvaluationError::Interrupted))
            || matches!(cause.downcast_ref(), Some(ImageError::Interrupted(_)))
            || matches!(cause.downcast_ref(), Some(ClosureError::Interrupted(_)))
    })
}

pub(super) fn out_of_space(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            )
        })
    })
}

/// Prints `error` with its causes, its hint, and returns its status.
pub(super) fn report(error: &anyhow::Error, terminal: &super::terminal::Terminal) -> ExitCode {
    if is_interrupt(error) {
        terminal.error("interrupted; nothing was left behind");
    } else if !broken_pipe(error) {
        terminal.error(&in_words(error));
        if let Some(hint) = hints::hint(error) {
            terminal.hint(&hint);
        }
    }
    ExitCode::from(exit_code(error))
}

/// The error with its causes, each once.
fn in_words(error: &anyhow::Error) -> String {
    // what we read and write has a name; only stdout has none
    let stdout = error.is::<std::io::Error>();
    let mut text = if stdout { "cannot write to stdout".to_owned() } else { String::new() };
    for cause in error.chain() {
        let cause = plain(&cause.to_string());
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// `text` without the number that the standard library puts behind the system's words.
fn plain(text: &str) -> String {
    let Some((words, rest)) = text.split_once(" (os error ") else { return text.to_owned() };
    let Some((number, after)) = rest.split_once(')') else { return text.to_owned() };
    if number.parse::<u16>().is_ok() { format!("{words}{}", plain(after)) } else { text.to_owned() }
}

/// Whether whoever read our stdout has gone; other pipes' errors say more than the system's words.
fn broken_pipe(error: &anyhow::Error) -> bool {
    let error: Option<&std::io::Error> = error.downcast_ref();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_numbers_are_not_shown() {
        for (text, want) in [
            (
                "cannot open `x`: No such file or directory (os error 2)",
                "cannot open `x`: No such file or directory",
            ),
            ("a (os error 2) at b (os error 13)", "a at b"),
            ("`x (os error many)`", "`x (os error many)`"),
            ("cut (os error 2", "cut (os error 2"),
        ] {
            assert_eq!(plain(text), want);
        }
    }

    #[test]
    fn a_cause_that_its_error_names_is_not_said_twice() {
        let error = anyhow::anyhow!("gone").context("cannot read: gone").context("no image");
        assert_eq!(in_words(&error), "no image: cannot read: gone");
        let pipe = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(exit_code(&anyhow::Error::new(pipe)), 0);
        let full = anyhow::Error::new(std::io::Error::from_raw_os_error(28));
        assert_eq!(in_words(&full), "cannot write to stdout: No space left on device");
    }
}
