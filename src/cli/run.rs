//! `run`: a command in an image without any container runtime.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use anyhow::Context as _;

use super::args::Run;
use super::context::Context;
use super::diagnose::{Failure, Place};
use super::enter;
use super::output::takes_nothing;
use super::terminal::Terminal;
use crate::base::Escaped;
use crate::image;

/// Scratch directories are named `module-export-run-XXXXXX`.
const SCRATCH: &str = "module-export-run-";

/// Unpacks the image into scratch, runs the command in it, and clears the scratch away.
pub(super) fn run(context: &Context, words: &Run, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let parent = scratch_parent(context, words);
    let scratch = tempfile::Builder::new()
        .prefix(SCRATCH)
        .tempdir_in(&parent)
        .map_err(|error| takes_nothing(error, &parent, Place::Scratch))?;
    let root = scratch.path().join("root");
    image::read::unpack(&words.image, &root, terminal, &context.interrupt)?;
    crate::base::Progress::finish(terminal);
    if !root.join(".module-export/enter").exists() {
        return Err(Failure::Cannot(format!(
            "`{}` was not written by module-export: it has no `/.module-export/enter`",
            Escaped(&words.image.to_string_lossy())
        ))
        .into());
    }
    let status = run_in(context, words, &root)?;
    // only now: the command may have been using it
    scratch.close().context("cannot remove the scratch directory")?;
    status.map_or_else(|| Err(forbidden(words).into()), |status| Ok(ExitCode::from(status)))
}

fn scratch_parent(context: &Context, words: &Run) -> PathBuf {
    let named = || {
        context.environment.get("TMPDIR").filter(|dir| Path::new(dir).is_dir()).map(PathBuf::from)
    };
    words.tmpdir.clone().or_else(named).unwrap_or_else(|| PathBuf::from("/tmp"))
}

fn forbidden(words: &Run) -> Failure {
    let quoted = shell_words::quote(&words.image.to_string_lossy()).into_owned();
    let command =
        words.command.iter().map(|word| shell_words::quote(&word.to_string_lossy()).into_owned());
    let command: Vec<_> = command.collect();
    Failure::Cannot(format!(
        "this host forbids user namespaces, which running an image without a runtime needs. With Apptainer: apptainer exec {} {}",
        Escaped(&quoted),
        Escaped(&command.join(" "))
    ))
}

/// The command's status, as a shell would give it; `None` where namespaces are forbidden.
fn run_in(context: &Context, words: &Run, root: &Path) -> anyhow::Result<Option<u8>> {
    let directory = context.environment.get("PWD").map(PathBuf::from);
    let directory = directory.filter(|dir| dir.is_dir()).unwrap_or_else(|| PathBuf::from("/"));
    let mut command = Command::new(&context.program);
    command.arg(enter::WORD).arg(root).arg(directory);
    if words.command.is_empty() {
        command.arg("/.singularity.d/runscript");
    } else {
        command.args(&words.command);
    }
    // exported functions of the host's module system
    for name in functions() {
        command.env_remove(name);
    }
    let mut child = command.spawn().context("cannot start this program again")?;
    let status = wait(context, &mut child)?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(enter::NO_NAMESPACES) => None,
        (Some(code), _) => Some(u8::try_from(code).unwrap_or(1)),
        (None, signal) => Some(u8::try_from(128 + signal.unwrap_or(0)).unwrap_or(1)),
    })
}

fn functions() -> Vec<std::ffi::OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_string_lossy().starts_with("BASH_FUNC_")).collect()
}

/// Waits for the command. Ctrl-C reaches it by itself, as it is in the terminal's foreground; a
/// SIGTERM that we get is passed on.
fn wait(context: &Context, child: &mut Child) -> anyhow::Result<std::process::ExitStatus> {
    let mut passed_on = false;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the command")? {
            return Ok(status);
        }
        if context.interrupt.is_set() && !passed_on {
            passed_on = true;
            let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                // gone in the meantime: nothing to pass on to
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
