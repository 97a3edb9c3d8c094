//! What to freeze, and how to evaluate it.

use super::args::EvaluationFlags;
use crate::environment::Variables;
use crate::modulefile::Options;
use crate::stack::{LmodInstallation, LuaVersion};

/// The newest Lmod whose rules are known; for sessions that do not name theirs.
const NEWEST_LMOD: &str = "9.2";

/// Which modules to freeze.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    /// Names to load into a clean session; empty for the loaded modules.
    pub(super) modules: Vec<String>,
    /// The CPU family's generic builds.
    pub(super) generic: bool,
    /// How modulefiles are evaluated.
    pub(super) evaluation: EvaluationFlags,
}

/// The Lmod whose rules hold, and how to evaluate, as flags and the session say.
pub(super) fn options(flags: &EvaluationFlags, environment: &Variables) -> (String, Options) {
    let lmod_version = flags.lmod_version.as_ref().or(environment.get("LMOD_VERSION"));
    let lua = flags.lua_version.or_else(|| {
        let lmod = LmodInstallation::detect(environment)?;
        LuaVersion::of_lmod(&lmod.command)
    });
    let options = Options {
        lua: lua.unwrap_or_default(),
        no_commands: flags.no_commands,
        run_execute: flags.run_execute,
        continues: false,
        collection: None,
    };
    (lmod_version.map_or_else(|| NEWEST_LMOD.to_owned(), String::clone), options)
}
