//! Modulefiles, evaluated in embedded Lua as Lmod would.
//!
//! | file | holds |
//! |---|---|
//! | `evaluator` | one evaluation from request to result |
//! | `loading` | load, unload, swap, reload: in which order modulefiles run |
//! | `naming`, `names/` | from a name to a modulefile |
//! | `state` | variables and module table, with undo |
//! | `rules`, `features` | Lmod's settings, and where its versions differ |
//! | `vm`, `limits` | the Lua machine, and what stops it |
//! | `api/`, `lua/embedded/` | the functions that modulefiles call |
//! | `dialect` | texts for other versions of Lua |
//! | `tcl/` | Tcl modulefiles and rc files |
//! | `site` | the site's own files and hooks |
//! | `command`, `source_sh`, `execute` | programs that modulefiles run |
//! | `child` | evaluation in a process of its own |

mod api;
mod child;
mod command;
mod dialect;
mod error;
mod evaluator;
mod execute;
mod features;
mod limits;
mod loading;
mod names;
mod naming;
mod resumed;
mod rules;
mod site;
mod source_sh;
mod state;
mod tcl;
mod vm;

#[cfg(test)]
mod tests;

pub use child::{SUBCOMMAND, evaluate_in_child, serve};
pub use error::{Chain, EvaluationError, Missing};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::environment::{Change, Variables};
use crate::stack::LuaVersion;

/// Something begins; reported in order while evaluation runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Evaluation of this modulefile or rc file.
    Modulefile {
        /// The module's full name; an rc file's path.
        name: String,
        /// The file.
        file: PathBuf,
        /// How many others it is evaluated within.
        depth: usize,
    },
    /// It goes on in this modulefile, after a nested one or a command.
    Resumed(PathBuf),
    /// A command.
    Command(String),
    /// The command has started, as leader of this process group.
    Group(u32),
}

/// Evaluates a request in this process. Nothing of this process's own environment is read or
/// changed.
///
/// A search in a text that goes back and forth for ever cannot be stopped here: see
/// [`evaluate_in_child`].
///
/// # Errors
/// If Lmod would refuse the load, or a limit is reached; nothing has taken effect then.
pub fn evaluate(
    request: &Request,
    observe: &mut dyn FnMut(Event),
) -> Result<Evaluation, EvaluationError> {
    evaluate_with(request, command::Runner::default(), observe)
}

fn evaluate_with(
    request: &Request,
    runner: command::Runner,
    observe: &mut dyn FnMut(Event),
) -> Result<Evaluation, EvaluationError> {
    let failed = |reason: String| EvaluationError::Child { file: None, reason };
    std::thread::scope(|scope| {
        let (sender, events) = std::sync::mpsc::channel();
        let evaluation = move || {
            let lua = vm::new(request.options.lua);
            let lua = lua.map_err(|error| failed(format!("failed: {error}")))?;
            // Whoever no longer listens need not be told.
            let mut observe = move |event| drop(sender.send(event));
            evaluator::Evaluator::new(&lua, request, runner, &mut observe).run()
        };
        let worker = std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, evaluation)
            .map_err(|error| failed(format!("could not start: {error}")))?;
        events.iter().for_each(observe);
        worker.join().unwrap_or_else(|_| Err(failed("failed for a reason of its own".to_owned())))
    })
}

/// Stack of the thread that evaluates: Lua allows 200 nested calls, each load is one or more.
const STACK_BYTES: usize = 64 << 20;

/// What to evaluate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The environment to start from. `MODULEPATH` and Lmod's settings (`LMOD_*`) are read from it.
    pub environment: Variables,
    /// Names to load, in order, as one `module load` command line would have them.
    pub load: Vec<String>,
    /// Modules whose file is known already: a name that means such a module (its short name, full
    /// name, or typed name) is not looked up in `MODULEPATH`.
    pub pins: Vec<Pin>,
    /// A nested load of a module that is not pinned does nothing but leave a note
    /// ([`Evaluation::unpinned`]).
    pub pinned_only: bool,
    /// The Lmod whose rules and answers (`LmodVersion()`) hold, e.g. `8.7.30`.
    pub lmod_version: String,
    /// What evaluation may use.
    pub limits: Limits,
    /// How to evaluate, where that is a choice.
    pub options: Options,
}

/// How to evaluate, where that is a choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The Lua that Lmod runs on.
    pub lua: LuaVersion,
    /// A modulefile that runs a command is an error.
    pub no_commands: bool,
    /// What `execute` hands to the user's shell is run by a shell of ours once all is loaded, and
    /// what it changes in the environment counts.
    pub run_execute: bool,
    /// The environment is that of a session, whose loaded modules are loaded to begin with.
    pub continues: bool,
    /// The file of a saved collection whose modules these are: what modulefiles load themselves
    /// is among them, so their own calls that load and unload do nothing.
    pub collection: Option<PathBuf>,
}

/// A module whose file is known already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// `GCC`.
    pub short_name: String,
    /// `GCC/13.2.0`.
    pub full_name: String,
    /// The modulefile.
    pub file: PathBuf,
}

/// What evaluation may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// For one modulefile's own Lua code, and for each command that it runs.
    pub time: Duration,
    /// For the Lua heap.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(30), memory_bytes: 512 << 20 }
    }
}

/// What loading the requested modules did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The active modules, in load order (the order in which evaluation finished).
    pub modules: Vec<LoadedModule>,
    /// Every variable whose value changed, with its new value; `None` where it is unset now.
    /// Lmod's internal variables (`_ModuleTable*`, `LOADEDMODULES`, `_LMFILES_`, `__LMOD_*`) are
    /// not among them; `LMOD_FAMILY_*` are.
    pub environment: BTreeMap<String, Option<String>>,
    /// Each change in the order in which it was made.
    pub changes: Vec<Change>,
    /// Texts for the user, each from a modulefile.
    pub messages: Vec<Message>,
    /// Commands that modulefiles ran, and texts that they hand to the user's shell (which we do
    /// not run).
    pub commands: Vec<Command>,
    /// Names that nested loads asked for and [`Request::pinned_only`] left out.
    pub unpinned: Vec<String>,
    /// Every modulefile and rc file that was read.
    pub files_read: Vec<PathBuf>,
}

/// An active module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedModule {
    /// Lmod's `sn`: `GCC`.
    pub short_name: String,
    /// `GCC/13.2.0`; equal to the short name for a module without version.
    pub full_name: String,
    /// As `LOADEDMODULES` has it: the full name, unless the site has dots of hidden versions left
    /// out (`LMOD_DOT_HIDDEN_LOAD_ALIAS`); then as it was asked for.
    pub listed_name: String,
    /// As it was asked for: `GCC`.
    pub user_name: String,
    /// The modulefile.
    pub file: PathBuf,
    /// 0 for what the user asked for, else how deep in loads.
    pub stack_depth: u32,
    /// Number of modules that depend on it, where `depends_on` counted.
    pub reference_count: Option<u32>,
    /// Lmod's `wV`: the version in a form whose byte order is version order.
    pub weighted_version: String,
    /// `add_property` calls: name → values.
    pub properties: BTreeMap<String, Vec<String>>,
    /// Families it belongs to.
    pub families: Vec<String>,
    /// Full names of modules that it loaded or depends on.
    pub dependencies: Vec<String>,
    /// Texts of its `whatis` calls.
    pub whatis: Vec<String>,
    /// Text of its `help` call.
    pub help: Option<String>,
}

/// A text for the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Full name of the module it came from.
    pub origin: String,
    /// Whether it was a warning (`LmodWarning`).
    pub warning: bool,
    /// The text.
    pub text: String,
}

/// A command of a modulefile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Full name of the module it came from.
    pub origin: String,
    /// `subprocess`, `capture`, `source_sh`, `popen`, `os.execute`: run. `execute`, `set_alias`,
    /// `set_shell_function`, `complete`: text for the user's shell, not run.
    pub function: String,
    /// The text.
    pub text: String,
}
