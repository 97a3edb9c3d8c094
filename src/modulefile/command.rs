//! Commands that modulefiles run.

use std::cell::{Cell, OnceCell};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tempfile::TempDir;

use crate::base::fs::sorted_dir;
use crate::environment::Variables;

use super::Event;
use super::evaluator::Evaluator;
use super::limits::after;

/// Commands in one evaluation at most.
const MOST_COMMANDS: u32 = 1000;

/// Output of one command at most, in bytes.
const LONGEST_OUTPUT: u64 = 64 << 20;

/// What a command said and how it ended.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) stdout: Vec<u8>,
    pub(super) success: bool,
    /// Exit code, or 128 + signal.
    pub(super) code: i32,
}

/// Runs commands.
#[derive(Debug, Default)]
pub(super) struct Runner {
    /// Working directory of commands, where the caller has made one.
    given: Option<PathBuf>,
    own: OnceCell<TempDir>,
    count: Cell<u32>,
    /// Lifts this process's own limits while a command is started.
    lift: Option<fn(bool)>,
}

impl Runner {
    /// A runner whose commands work in `scratch` (a new directory if `None`). `lift` is called
    /// with true before and false after a command is started.
    pub(super) fn new(scratch: Option<PathBuf>, lift: Option<fn(bool)>) -> Self {
        Self { given: scratch, lift, ..Self::default() }
    }

    /// Where commands work.
    pub(super) fn directory(&self, environment: &Variables) -> io::Result<PathBuf> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        if self.own.get().is_none() {
            let made = scratch(environment)?;
            drop(self.own.set(made));
        }
        Ok(self.own.get().map(|one| one.path().to_owned()).unwrap_or_default())
    }

    /// Does `start` without this process's own limits.
    pub(super) fn lifted<R>(&self, start: impl FnOnce() -> R) -> R {
        if let Some(lift) = self.lift {
            lift(true);
        }
        let started = start();
        if let Some(lift) = self.lift {
            lift(false);
        }
        started
    }
}

/// A directory for commands to work in.
pub(super) fn scratch(environment: &Variables) -> io::Result<TempDir> {
    let below = environment.get("TMPDIR").filter(|value| !value.is_empty());
    let make = |below: &str| tempfile::Builder::new().prefix("module-export-").tempdir_in(below);
    below.map_or_else(|| make("/tmp"), |below| make(below).or_else(|_| make("/tmp")))
}

impl Evaluator<'_> {
    /// Runs `text` in a shell with the evaluation's environment and notes it.
    pub(super) fn run_command(
        &self,
        function: &str,
        text: impl AsRef<OsStr>,
        extra: &[(&str, &str)],
    ) -> mlua::Result<Output> {
        let text = text.as_ref();
        let arguments = ["/bin/sh".as_ref(), "-c".as_ref(), text];
        self.run_program(function, &text.to_string_lossy(), &arguments, extra)
    }

    /// Runs a program; `text` stands for it in the record.
    pub(super) fn run_program(
        &self,
        function: &str,
        text: &str,
        arguments: &[impl AsRef<OsStr>],
        extra: &[(&str, &str)],
    ) -> mlua::Result<Output> {
        self.shell_text(function, text.to_owned());
        if self.request.options.no_commands && !matches!(function, "userInGroup" | "myConfig") {
            return Err(self.forbid_command(function, text));
        }
        self.runner.count.set(self.runner.count.get() + 1);
        if self.runner.count.get() > MOST_COMMANDS {
            let reason = format!("after {MOST_COMMANDS} commands");
            let line = super::vm::current_line(self.lua);
            return Err(self.watch.limit("the modulefile", reason, line));
        }
        self.watch.pause();
        self.tell(Some(Event::Command(text.to_owned())));
        let output = self.start(arguments, extra).and_then(|child| {
            self.tell(Some(Event::Group(child.id())));
            wait(child, self.request.limits.time)
        });
        self.tell(Some(self.watch.resume()));
        match output {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(reason)) => {
                let line = super::vm::current_line(self.lua);
                Err(self.watch.limit(&format!("the command `{text}`"), reason, line))
            }
            Err(error) => Err(self.refuse(format!("cannot run `{text}`: {error}"))),
        }
    }

    fn start(&self, arguments: &[impl AsRef<OsStr>], extra: &[(&str, &str)]) -> io::Result<Child> {
        let mut state = self.state.borrow_mut();
        let environment = state.environment();
        let directory = self.runner.directory(environment)?;
        let [program, arguments @ ..] = arguments else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let sound = |text: &&String| !text.contains('\0');
        let environment = environment.iter().filter(|(name, value)| {
            !name.is_empty() && !name.contains('=') && sound(name) && sound(value)
        });
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment)
            .envs(extra.iter().copied())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        self.runner.lifted(|| command.spawn())
    }
}

/// Waits for output and end; or says that it takes longer than `limit`, or that the output is too long.
/// Whatever the command has left running in its group is ended.
fn wait(mut child: Child, limit: Duration) -> io::Result<Result<Output, String>> {
    let deadline = Instant::now() + limit;
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stdout) = stdout {
            // What was read before a failure counts.
            drop(stdout.take(LONGEST_OUTPUT + 1).read_to_end(&mut bytes));
        }
        drop(sender.send(bytes));
    });
    let bytes = receiver.recv_timeout(limit).ok();
    let in_time = bytes.is_some() && has_ended_by(&child, deadline);
    end_group(child.id());
    let status = child.wait()?;
    drop(reader.join());
    let Some(stdout) = bytes.filter(|_| in_time) else { return Ok(Err(after(limit))) };
    if stdout.len() as u64 > LONGEST_OUTPUT {
        return Ok(Err(format!("after {} MiB of output", LONGEST_OUTPUT >> 20)));
    }
    Ok(Ok(Output { stdout, success: status.success(), code: code(status) }))
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Waits for the process without forgetting it, so that its group keeps its number.
fn has_ended_by(child: &Child, deadline: Instant) -> bool {
    let Some(pid) = pid(child.id()) else { return false };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let mut pause = Duration::from_micros(100);
    loop {
        match rustix::process::waitid(WaitId::Pid(pid), options) {
            Ok(Some(_)) | Err(_) => return true,
            Ok(None) if Instant::now() >= deadline => return false,
            Ok(None) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends every process of a group.
pub(super) fn end_group(leader: u32) {
    if let Some(pid) = pid(leader) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

/// Ends what the process has started, and what these have. Where a command of it has gone and left
/// others behind, they are the process's, if it is their "subreaper".
pub(super) fn end_descendants(of: u32) {
    // One that starts others while it ends may need another look.
    for _ in 0..3 {
        let all = descendants(of);
        for one in &all {
            let _ = rustix::process::kill_process(*one, Signal::KILL);
        }
        if all.is_empty() {
            return;
        }
    }
}

fn descendants(of: u32) -> Vec<Pid> {
    let mut found: Vec<Pid> = Vec::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for task in sorted_dir(Path::new(&format!("/proc/{parent}/task"))).unwrap_or_default() {
            let list = Path::new(&format!("/proc/{parent}/task")).join(task).join("children");
            let list = std::fs::read_to_string(list).unwrap_or_default();
            for id in list.split_whitespace().filter_map(|id| id.parse::<u32>().ok()) {
                let new = pid(id).filter(|one| !found.contains(one));
                if let Some(new) = new {
                    found.push(new);
                    parents.push(id);
                }
            }
        }
    }
    found
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}
