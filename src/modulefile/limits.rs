//! What a modulefile may use: watched from within the Lua machine.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::{HookTriggers, Lua, VmState};

use super::error::{Chain, EvaluationError};
use super::{Event, Limits};

/// Lua instructions between two looks at the clock.
const INSTRUCTIONS: u32 = 10_000;

/// Evaluations of one modulefile in a run after which it is taken for an endless recursion, as
/// Lmod 9 does.
const MOST_EVALUATIONS: u32 = 500;

/// Loads within each other at most. Lua itself allows 200 calls, each with one of them or a few.
const MOST_NESTED: u32 = 1000;

const ENDLESS: &str = "an endless recursion of loads";

/// Ends the Lua code that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Signal {
    /// The evaluation has failed; [`Watch::take_error`] says why. No `pcall` may catch it.
    #[error("the evaluation has ended")]
    End,
    /// `LmodBreak`: this modulefile ends and has done nothing.
    #[error("LmodBreak")]
    Break,
    /// A site's file uses something of Lmod's that we do not have, which has been said.
    #[error("what module-export does not have was used")]
    Unsupported,
}

/// A modulefile being evaluated.
#[derive(Debug, Clone)]
struct Running {
    full_name: String,
    file: PathBuf,
    used: Duration,
    /// Where the text that Lua runs was made from another one: its lines → those of the file.
    lines: Option<BTreeMap<u32, u32>>,
}

/// Knows what runs, for how long, and why it had to end.
#[derive(Debug)]
pub(super) struct Watch {
    limits: Limits,
    running: RefCell<Vec<Running>>,
    since: Cell<Instant>,
    error: RefCell<Option<EvaluationError>>,
    evaluations: RefCell<BTreeMap<PathBuf, u32>>,
    most_evaluations: u32,
    nesting: Cell<u32>,
}

impl Watch {
    /// `counted` is whether a modulefile may be evaluated so many times only, as Lmod has it.
    pub(super) fn new(limits: Limits, counted: bool) -> Rc<Self> {
        Rc::new(Self {
            most_evaluations: if counted { MOST_EVALUATIONS } else { u32::MAX },
            limits,
            running: RefCell::default(),
            since: Cell::new(now()),
            error: RefCell::default(),
            evaluations: RefCell::default(),
            nesting: Cell::default(),
        })
    }

    /// Sets memory limit and hook.
    pub(super) fn install(self: &Rc<Self>, lua: &Lua) -> mlua::Result<()> {
        lua.set_memory_limit(usize::try_from(self.limits.memory_bytes).unwrap_or(usize::MAX))?;
        let watch = Rc::clone(self);
        // For coroutines, too.
        let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
        lua.set_global_hook(triggers, move |lua, _| watch.check(lua).map(|()| VmState::Continue))
    }

    /// Fails once the evaluation has to end.
    fn check(&self, lua: &Lua) -> mlua::Result<()> {
        if self.error.borrow().is_some() {
            return Err(mlua::Error::external(Signal::End));
        }
        let used = self.running.borrow().last().map_or(Duration::ZERO, |running| running.used);
        if used + self.since.get().elapsed() <= self.limits.time {
            return Ok(());
        }
        let line = super::vm::current_line(lua);
        Err(self.limit("the modulefile", after(self.limits.time), line))
    }

    /// A modulefile begins.
    pub(super) fn enter(&self, full_name: &str, file: &Path) -> Event {
        self.pause();
        let depth = self.running.borrow().len();
        self.running.borrow_mut().push(Running {
            full_name: full_name.to_owned(),
            file: file.to_owned(),
            used: Duration::ZERO,
            lines: None,
        });
        Event::Modulefile { name: full_name.to_owned(), file: file.to_owned(), depth }
    }

    /// The modulefile that has begun is one to load.
    pub(super) fn count(&self) -> mlua::Result<()> {
        let mut evaluations = self.evaluations.borrow_mut();
        let count = evaluations.entry(self.file()).or_default();
        *count += 1;
        if *count <= self.most_evaluations {
            return Ok(());
        }
        let reason = format!("after {} evaluations of one modulefile", self.most_evaluations);
        Err(self.limit(ENDLESS, reason, None))
    }

    /// Loads within loads, also where none of their modulefiles runs at that time.
    pub(super) fn nested<R>(&self, load: impl FnOnce() -> mlua::Result<R>) -> mlua::Result<R> {
        let depth = self.nesting.get() + 1;
        if depth > MOST_NESTED {
            return Err(self.limit(ENDLESS, format!("at {MOST_NESTED} loads"), None));
        }
        self.nesting.set(depth);
        let result = load();
        self.nesting.set(depth - 1);
        result
    }

    /// The innermost modulefile has ended. The one that goes on is returned.
    pub(super) fn leave(&self) -> Option<Event> {
        let mut running = self.running.borrow_mut();
        running.pop();
        self.since.set(now());
        running.last().map(|outer| Event::Resumed(outer.file.clone()))
    }

    /// The clock of the innermost modulefile stops, for a command.
    pub(super) fn pause(&self) {
        if let Some(running) = self.running.borrow_mut().last_mut() {
            running.used += self.since.get().elapsed();
        }
        self.since.set(now());
    }

    /// The clock goes on; what ran since [`Self::pause`] does not count. The event has no file
    /// where no modulefile runs.
    pub(super) fn resume(&self) -> Event {
        self.since.set(now());
        Event::Resumed(self.file())
    }

    /// Full names of the modules being loaded.
    pub(super) fn chain(&self) -> Chain {
        Chain::shortened(self.running.borrow().iter().map(|running| running.full_name.clone()))
    }

    /// The modulefile being evaluated.
    pub(super) fn file(&self) -> PathBuf {
        self.running.borrow().last().map(|running| running.file.clone()).unwrap_or_default()
    }

    /// The text of the innermost modulefile is not its file's: a line in an error is one of the
    /// file's where `lines` has it, else unknown.
    pub(super) fn set_lines(&self, lines: BTreeMap<u32, u32>) {
        if let Some(running) = self.running.borrow_mut().last_mut() {
            running.lines = Some(lines);
        }
    }

    /// Ends the evaluation with `error`, unless it has ended for another reason.
    pub(super) fn end(&self, mut error: EvaluationError) -> mlua::Error {
        if let Some(lines) = self.running.borrow().last().and_then(|one| one.lines.as_ref()) {
            error.map_line(|line| lines.get(&line).copied());
        }
        self.error.borrow_mut().get_or_insert(error);
        mlua::Error::external(Signal::End)
    }

    /// Ends the evaluation because a limit was reached.
    pub(super) fn limit(&self, what: &str, reason: String, line: Option<u32>) -> mlua::Error {
        self.end(EvaluationError::Limit {
            what: what.to_owned(),
            reason,
            file: self.file(),
            line,
            chain: self.chain(),
        })
    }

    /// Whether the evaluation has to end.
    pub(super) fn has_ended(&self) -> bool {
        self.error.borrow().is_some()
    }

    /// Why the evaluation had to end.
    pub(super) fn take_error(&self) -> Option<EvaluationError> {
        self.error.borrow_mut().take()
    }
}

/// `after 30 s`.
pub(super) fn after(time: Duration) -> String {
    format!("after {} s", time.as_secs_f64())
}

fn now() -> Instant {
    Instant::now()
}
