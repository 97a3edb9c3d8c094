//! `run`: a command in an image without any container runtime.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use super::args::Run;
use super::context::Context;
use super::diagnose::Failure;
use super::enter;
use super::output::check_room;
use super::scratch::Scratch;
use super::terminal::Terminal;
use crate::base::{ByteSize, Escaped, Interrupt};
use crate::image::ImageError;
use crate::image::read::{self, FoundKind, Image};
use crate::rootfs::ImagePath;

/// Blocks of most file systems, in bytes.
const BLOCK: u64 = 4096;
/// Variables that put libraries of the host under the image's programs.
const LOADER: &[&str] = &["LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT"];

/// Unpacks the image into scratch, runs the command in it, and clears the scratch away.
pub(super) fn run(context: &Context, words: &Run, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let parent = scratch_parent(context, words);
    let scratch = Scratch::new(&parent)?;
    let image = Image::open_in(&words.image, &parent)?;
    check_is_ours(&image, &words.image)?;
    check_room(&parent, unpacked_size(&image, &context.interrupt)?)?;
    let root = scratch.root();
    read::unpack_opened(&image, &root, terminal, &context.interrupt)?;
    drop(image);
    crate::base::Progress::finish(terminal);
    let status = run_in(context, words, &root)?;
    // only now: the command may have been using it
    if let Err(error) = scratch.close() {
        terminal.warning(&format!(
            "cannot remove the scratch directory `{}`: {error}",
            Escaped(&root.parent().unwrap_or(&root).to_string_lossy())
        ));
    }
    status.map_or_else(|| Err(forbidden(words).into()), |status| Ok(ExitCode::from(status)))
}

fn check_is_ours(image: &Image, path: &Path) -> anyhow::Result<()> {
    match image.find(&ImagePath::new(enter::ENTER.as_bytes())?) {
        Ok(_) => Ok(()),
        Err(ImageError::NotFound { .. }) => Err(Failure::Cannot(format!(
            "`{}` was not written by module-export: it has no `{}`",
            Escaped(&path.to_string_lossy()),
            enter::ENTER
        ))
        .into()),
        Err(error) => Err(error.into()),
    }
}

/// What the image's files and directories take on a disk.
fn unpacked_size(image: &Image, interrupt: &Interrupt) -> Result<ByteSize, ImageError> {
    let (mut bytes, mut linked) = (0_u64, BTreeSet::new());
    image.walk(|_, found| {
        interrupt.check()?;
        let size = match &found.kind {
            FoundKind::File(_) if found.links > 1 && !linked.insert(found.inode) => 0,
            FoundKind::File(file) => file.size().div_ceil(BLOCK).saturating_mul(BLOCK),
            FoundKind::Directory => BLOCK,
            FoundKind::Symlink(_) | FoundKind::Special(_) | FoundKind::Device => 0,
        };
        bytes = bytes.saturating_add(size);
        Ok(())
    })?;
    Ok(ByteSize(bytes))
}

fn scratch_parent(context: &Context, words: &Run) -> PathBuf {
    let parent = words.tmpdir.clone().unwrap_or_else(|| context.scratch());
    std::path::absolute(&parent).unwrap_or(parent)
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
    let mut command = Command::new(&context.program);
    command.arg(enter::WORD).arg(root).arg(working_directory(context));
    if words.command.is_empty() {
        command.arg("/.singularity.d/runscript");
    } else {
        command.args(&words.command);
    }
    for name in LOADER {
        command.env_remove(name);
    }
    // exported functions of the host's module system
    for name in functions() {
        command.env_remove(name);
    }
    let mut signals =
        Signals::new([SIGTERM, SIGHUP, SIGQUIT]).context("cannot watch for signals")?;
    // what came earlier was for us
    context.interrupt.check()?;
    let mut child = command.spawn().context("cannot start this program again")?;
    let status = wait(&mut signals, &mut child)?;
    if enter::was_forbidden(root) {
        return Ok(None);
    }
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(Some(u8::try_from(code).unwrap_or(1)))
}

/// Where we are: by the name in `PWD` if it is one of that directory, as links may have led there.
fn working_directory(context: &Context) -> PathBuf {
    let Ok(actual) = std::env::current_dir() else { return PathBuf::from("/") };
    let named = context.environment.get("PWD").map(PathBuf::from);
    named.filter(|named| is_plain(named) && is_same(named, &actual)).unwrap_or(actual)
}

/// Absolute, and without `.` and `..`.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity =
        |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    identity(one).is_some_and(|found| identity(other) == Some(found))
}

fn functions() -> Vec<std::ffi::OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_string_lossy().starts_with("BASH_FUNC_")).collect()
}

/// Waits for the command. What is typed (Ctrl-C, Ctrl-\) reaches it by itself, as it is in the
/// terminal's foreground, and is its own matter; a SIGTERM or SIGHUP that we get is passed on,
/// each time.
fn wait(signals: &mut Signals, child: &mut Child) -> anyhow::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the command")? {
            return Ok(status);
        }
        for signal in signals.pending() {
            let signal = match signal {
                SIGTERM => rustix::process::Signal::TERM,
                SIGHUP => rustix::process::Signal::HUP,
                _ => continue,
            };
            let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                // gone in the meantime: nothing to pass on to
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
