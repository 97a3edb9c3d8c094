//! Errors become words, a way out, and an exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::base::{ByteSize, Escaped, Interrupted};
use crate::closure::ClosureError;
use crate::image::ImageError;
use crate::modulefile::{EvaluationError, Missing};

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
    #[error("the directory `{}` for the image {problem}", Escaped(&path.to_string_lossy()))]
    Destination { path: PathBuf, problem: &'static str },
    #[error("`{}` exists already", Escaped(&.0.to_string_lossy()))]
    NameTaken(PathBuf),
    #[error("not enough space on the file system of `{}`: up to {needed} needed, {available} free", Escaped(&path.to_string_lossy()))]
    NoSpace { path: PathBuf, needed: ByteSize, available: ByteSize },
    #[error("{count} warnings, and --strict treats them as errors; no image was written")]
    Strict { count: usize },
}

/// What a failed command leaves: a message on stderr and a status.
pub(super) fn exit_code(error: &anyhow::Error) -> u8 {
    if is_interrupt(error) {
        return 130;
    }
    if out_of_space(error) {
        return 4;
    }
    match error.downcast_ref::<Failure>() {
        Some(Failure::NoModules | Failure::NoSession | Failure::WrongSession(_)) => 3,
        Some(Failure::NoAuthor | Failure::Usage(_)) => 2,
        Some(Failure::NoSpace { .. }) => 4,
        Some(Failure::Strict { .. }) => 5,
        _ => 1,
    }
}

/// A transparent error hides its cause from the chain, so each room's own word is asked for.
fn is_interrupt(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Interrupted>()
            || matches!(cause.downcast_ref(), Some(EvaluationError::Interrupted))
            || matches!(cause.downcast_ref(), Some(ImageError::Interrupted(_)))
            || matches!(cause.downcast_ref(), Some(ClosureError::Interrupted(_)))
    })
}

fn out_of_space(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            )
        })
    })
}

/// The way out, where there is one that a flag or a command opens.
pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    if is_interrupt(error) {
        return None;
    }
    if out_of_space(error) {
        return Some("free some space, or choose another directory with -d".to_owned());
    }
    if let Some(EvaluationError::NotFound { missing, .. }) = error.downcast_ref() {
        return did_you_mean(missing);
    }
    let failure = error.downcast_ref::<Failure>()?;
    Some(match failure {
        Failure::NoModules => "load what you want to freeze (`module load GROMACS`), or name it: module-export container GROMACS -a AUTHOR".to_owned(),
        Failure::NoSession => "start Lmod first (EESSI: source /cvmfs/software.eessi.io/versions/VERSION/init/bash)".to_owned(),
        Failure::NoAuthor => "pass -a \"Your Name\", or set MODULE_EXPORT_AUTHOR once".to_owned(),
        Failure::Destination { .. } => "choose an existing directory that you may write to with -d".to_owned(),
        Failure::NameTaken(_) => "choose another name with -n, or replace it with --force".to_owned(),
        Failure::NoSpace { .. } => "free some space, or choose another directory with -d (and --tmpdir)".to_owned(),
        Failure::Strict { .. } => "mend what the warnings name, or drop --strict".to_owned(),
        Failure::Usage(_) | Failure::Cannot(_) | Failure::WrongSession(_) => return None,
    })
}

fn did_you_mean(missing: &[Missing]) -> Option<String> {
    let near: Vec<_> = missing
        .iter()
        .flat_map(|missing| &missing.near)
        .map(|name| format!("`{}`", Escaped(name)))
        .collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}

/// Prints `error` with its causes, its hint, and returns its status.
pub(super) fn report(error: &anyhow::Error, terminal: &super::terminal::Terminal) -> ExitCode {
    if is_interrupt(error) {
        terminal.error("interrupted; nothing was left behind");
    } else if !broken_pipe(error) {
        let mut text = error.to_string();
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            if !text.contains(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
        }
        terminal.error(&text);
        if let Some(hint) = hint(error) {
            terminal.hint(&hint);
        }
    }
    ExitCode::from(exit_code(error))
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
