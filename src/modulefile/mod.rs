//! Modulefiles, evaluated in embedded Lua as Lmod would.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::environment::{Change, Variables};

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
