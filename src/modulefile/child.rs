//! Evaluation in a process of its own: what Lua cannot stop, the parent can.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

use crate::base::Interrupt;

use super::command::{self, Runner, end_descendants, end_group};
use super::error::{Chain, EvaluationError};
use super::limits::after;
use super::{Evaluation, Event, Request};

/// The hidden subcommand of the program that calls [`serve`].
pub const SUBCOMMAND: &str = "__evaluate";

/// What the child's own watch gets before the parent steps in.
const GRACE: Duration = Duration::from_secs(2);

/// Between two looks at the interrupt flag.
const LOOK: Duration = Duration::from_millis(50);

/// A line from parent to child.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    request: Request,
    scratch: PathBuf,
}

/// A line from child to parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Event(Event),
    Done(Box<Evaluation>),
    Failed(EvaluationError),
}

/// Evaluates a request in a process of its own, `program __evaluate`.
///
/// No modulefile and no command runs longer than [`super::Limits::time`] (and 2 s), even where
/// Lua cannot stop it; the process and all that it started end with the call.
///
/// # Errors
/// As [`super::evaluate`]; [`EvaluationError::Child`] if the process fails, with the modulefile
/// that was running; [`EvaluationError::Interrupted`] once `interrupt` is set.
pub fn evaluate_in_child(
    program: &Path,
    request: &Request,
    interrupt: &Interrupt,
) -> Result<Evaluation, EvaluationError> {
    let failed = |error: io::Error| EvaluationError::Child {
        file: None,
        reason: format!("process could not be started: {error}"),
    };
    let scratch = command::scratch(&request.environment).map_err(failed)?;
    let order = Order { request: request.clone(), scratch: scratch.path().to_owned() };
    let child = Command::new(program)
        .arg(SUBCOMMAND)
        .env_clear()
        // Dates in Lua are local ones.
        .envs(request.environment.get_key_value("TZ").filter(|(_, zone)| !zone.contains('\0')))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    Supervised::new(child).run(&order, interrupt)
}

/// A child with what is known of its doing.
struct Supervised {
    child: Child,
    /// Names and files of the modulefiles that run, the outermost first.
    running: Vec<(String, PathBuf)>,
    command: Option<String>,
    group: Option<u32>,
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.end();
    }
}

impl Supervised {
    fn new(child: Child) -> Self {
        Self { child, running: Vec::new(), command: None, group: None }
    }

    fn run(mut self, order: &Order, interrupt: &Interrupt) -> Result<Evaluation, EvaluationError> {
        // Reading begins before writing ends: neither side may wait for the other.
        let lines = read_lines(self.child.stdout.take());
        let mut text = serde_json::to_vec(order).unwrap_or_default();
        text.push(b'\n');
        let stdin = self.child.stdin.take();
        let writer = std::thread::spawn(move || {
            stdin.map(|mut stdin| {
                // A child that has gone says so on the other side.
                drop(stdin.write_all(&text));
                // Kept open to the end: by its closing the child knows that we are gone.
                stdin
            })
        });
        let result = self.follow(&lines, order.request.limits.time, interrupt);
        self.end();
        drop(writer.join());
        result
    }

    fn follow(
        &mut self,
        lines: &Receiver<Line>,
        time: Duration,
        interrupt: &Interrupt,
    ) -> Result<Evaluation, EvaluationError> {
        let mut deadline = Instant::now() + time + GRACE;
        loop {
            if interrupt.is_set() {
                return Err(EvaluationError::Interrupted);
            }
            match lines.recv_timeout(LOOK) {
                Ok(Line::Done(evaluation)) => return Ok(*evaluation),
                Ok(Line::Failed(error)) => return Err(error),
                Ok(Line::Event(event)) => {
                    self.note(event);
                    deadline = Instant::now() + time + GRACE;
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                    return Err(self.too_long(time));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Modulefile { name, file, depth } => {
                self.running.truncate(depth);
                self.running.push((name, file));
            }
            Event::Resumed(file) => {
                let outer = self.running.iter().rposition(|(_, running)| *running == file);
                self.running.truncate(outer.map_or(0, |at| at + 1));
                self.command = None;
                self.group = None;
            }
            Event::Command(text) => self.command = Some(text),
            Event::Group(group) => self.group = Some(group),
        }
    }

    fn too_long(&self, time: Duration) -> EvaluationError {
        let what = match &self.command {
            Some(command) => format!("the command `{command}`"),
            None => "the modulefile".to_owned(),
        };
        EvaluationError::Limit {
            what,
            reason: after(time),
            file: self.file().unwrap_or_default(),
            line: None,
            chain: Chain::shortened(self.running.iter().map(|(name, _)| name.clone())),
        }
    }

    /// The modulefile that runs.
    fn file(&self) -> Option<PathBuf> {
        self.running.last().map(|(_, file)| file.clone())
    }

    /// The child has closed its output without a result.
    fn gone(&mut self) -> EvaluationError {
        let reason = match self.child.wait() {
            Ok(status) => describe(status),
            Err(error) => format!("process was lost: {error}"),
        };
        EvaluationError::Child { file: self.file(), reason }
    }

    fn end(&mut self) {
        if let Some(group) = self.group.take() {
            end_group(group);
        }
        // Once waited for, the group may be somebody else's.
        if matches!(self.child.try_wait(), Ok(None)) {
            end_descendants(self.child.id());
            end_group(self.child.id());
            drop(self.child.wait());
        }
    }
}

fn describe(status: ExitStatus) -> String {
    let signal = status.signal();
    let is = |one: Signal| signal == Some(one.as_raw());
    if is(Signal::ABORT) || is(Signal::SEGV) || is(Signal::BUS) {
        "needed more memory or stack than it may use".to_owned()
    } else if is(Signal::XCPU) || is(Signal::KILL) {
        "was ended by the system (processor time or memory used up)".to_owned()
    } else if let Some(signal) = signal {
        format!("was ended by signal {signal}")
    } else {
        format!("ended without a result (status {})", status.code().unwrap_or_default())
    }
}

fn read_lines(stdout: Option<impl Read + Send + 'static>) -> Receiver<Line> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let Some(stdout) = stdout else { return };
        for text in BufReader::new(stdout).split(b'\n') {
            let Ok(text) = text else { break };
            let Ok(line) = serde_json::from_slice(&text) else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The child's side: reads a request, evaluates it, writes events and the result.
///
/// Limits this process: address space (twice the Lua heap's limit and 1 GiB), processor time, no
/// core file. It ends with `input`, which is its parent's to close.
///
/// # Errors
/// If the request cannot be read or the result cannot be written.
pub fn serve(input: impl Read + Send + 'static, mut output: impl Write) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let mut text = Vec::new();
    input.read_until(b'\n', &mut text)?;
    let order: Order = serde_json::from_slice(&text)?;
    drop(text);
    limit_this_process(&order.request);
    end_with(input);
    let mut broken = None;
    let runner = Runner::new(Some(order.scratch), Some(lift_limits));
    let result = {
        let mut observe = |event: Event| {
            match &event {
                Event::Group(group) => OWN_GROUP.store(*group, Ordering::Relaxed),
                Event::Resumed(_) => OWN_GROUP.store(0, Ordering::Relaxed),
                Event::Modulefile { .. } | Event::Command(_) => {}
            }
            if broken.is_none()
                && let Err(error) = send(&mut output, &Line::Event(event))
            {
                broken = Some(error);
            }
        };
        super::evaluate_with(&order.request, runner, &mut observe)
    };
    end_descendants(std::process::id());
    if let Some(error) = broken {
        return Err(error);
    }
    let line = match result {
        Ok(evaluation) => Line::Done(Box::new(evaluation)),
        Err(error) => Line::Failed(error),
    };
    send(&mut output, &line)
}

fn send(output: &mut impl Write, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    output.write_all(&text)?;
    output.flush()
}

/// The group of processes that runs for us now, or 0.
static OWN_GROUP: AtomicU32 = AtomicU32::new(0);

/// Ends this process, and the group that runs for it, at the end of `input`: whatever ended our
/// parent, nothing of ours goes on.
fn end_with(mut input: impl Read + Send + 'static) {
    let watch = std::thread::Builder::new().spawn(move || {
        // No more comes; this waits for the end.
        drop(io::copy(&mut input, &mut io::sink()));
        match OWN_GROUP.load(Ordering::Relaxed) {
            0 => {}
            group => end_group(group),
        }
        end_descendants(std::process::id());
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
    });
    if watch.is_err() {
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    }
}

/// Sets soft limits only, so that commands can be given the former ones.
fn limit_this_process(request: &Request) {
    // A limit that cannot be set leaves the watch within Lua and the parent's clock.
    // What its commands leave behind comes to it, and ends with it.
    let _ = rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1));
    let memory = request.limits.memory_bytes.saturating_mul(2).saturating_add(1 << 30);
    let seconds = request.limits.time.as_secs().saturating_mul(20).max(600);
    soften(Resource::Core, 0);
    soften(Resource::Cpu, seconds);
    soften(Resource::As, memory);
}

fn soften(resource: Resource, limit: u64) {
    let now = rustix::process::getrlimit(resource);
    let limit = now.maximum.map_or(limit, |hard| limit.min(hard));
    let softened = Rlimit { current: Some(limit), maximum: now.maximum };
    let _ = rustix::process::setrlimit(resource, softened);
}

/// The address space limit of this process while it is lifted.
static OWN_LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);

fn lift_limits(lift: bool) {
    let now = rustix::process::getrlimit(Resource::As);
    if lift {
        OWN_LIMIT.store(now.current.unwrap_or(u64::MAX), Ordering::Relaxed);
        let lifted = Rlimit { current: now.maximum, maximum: now.maximum };
        let _ = rustix::process::setrlimit(Resource::As, lifted);
    } else {
        soften(Resource::As, OWN_LIMIT.load(Ordering::Relaxed));
    }
}
