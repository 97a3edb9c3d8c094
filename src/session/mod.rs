//! The shell's module session, from the variables it is handed.

mod collection;
pub mod foreign;
mod lua_table;
pub mod module_table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::environment::Variables;

pub use collection::{Collection, CollectionError};
pub use lua_table::SyntaxError;
pub use module_table::ModuleTable;

/// A module session as its variables show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// The whole environment.
    pub environment: Variables,
    /// Active modules in load order.
    pub modules: Vec<SessionModule>,
    /// `MODULEPATH` as it is now.
    pub modulepath: Vec<String>,
    /// `LMOD_VERSION`, where set.
    pub lmod_version: Option<String>,
}

/// A module of the session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionModule {
    /// `GCC`.
    pub short_name: String,
    /// `GCC/13.2.0`.
    pub full_name: String,
    /// As the user typed it; the full name where the session does not tell.
    pub user_name: String,
    /// Its modulefile.
    pub file: PathBuf,
    /// 0 where the user asked for it.
    pub stack_depth: u32,
    /// Lmod's `wV`; empty where the session does not tell.
    pub weighted_version: String,
    /// How many modules depend on it, where Lmod counts.
    pub reference_count: Option<u32>,
    /// Properties with their values: `("lmod", "sticky")`.
    pub properties: Vec<(String, String)>,
}

/// Why a session's variables cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// `_ModuleTable_Sz_` counts pieces that are not there.
    #[error("Lmod's module table is cut short: the variable `{0}` is missing")]
    MissingPiece(String),
    /// `_ModuleTable_Sz_` is no number.
    #[error("Lmod's module table is damaged: `_ModuleTable_Sz_` is `{}`, not a number", crate::base::Escaped(.0))]
    PieceCount(String),
    /// The pieces are not base64.
    #[error("Lmod's module table is damaged: `_ModuleTable001_` and its followers are not base64")]
    NotBase64,
    /// The decoded text is not a table of literals.
    #[error("Lmod's module table is damaged")]
    Table(#[source] SyntaxError),
    /// A module lacks what every module has.
    #[error("Lmod's module table is damaged: `{}` has no `{field}`", crate::base::Escaped(module))]
    ModuleWithout {
        /// Short name of the module.
        module: String,
        /// The field that is not there.
        field: &'static str,
    },
    /// `LOADEDMODULES` and `_LMFILES_` do not go together.
    #[error("`LOADEDMODULES` names {modules} modules, `_LMFILES_` {files} files")]
    Mismatch {
        /// Names in `LOADEDMODULES`.
        modules: usize,
        /// Files in `_LMFILES_`.
        files: usize,
    },
}

impl Session {
    /// Reads a session from its environment: from Lmod's module table, else from `LOADEDMODULES`
    /// and `_LMFILES_`. An environment without modules is a session without modules.
    ///
    /// # Errors
    /// [`SessionError`] where the variables contradict themselves or are damaged.
    pub fn capture(environment: Variables) -> Result<Self, SessionError> {
        let modulepath = environment.get("MODULEPATH").map(|p| split_path(p)).unwrap_or_default();
        let modules = match module_table::decode(&environment)? {
            Some(table) => table.modules,
            None => listed_modules(&environment)?,
        };
        let lmod_version = environment.get("LMOD_VERSION").cloned();
        Ok(Self { environment, modules, modulepath, lmod_version })
    }

    /// Whether the environment shows a module system at all.
    #[must_use]
    pub fn has_modules_command(&self) -> bool {
        ["LMOD_CMD", "MODULESHOME", "MODULEPATH", "LOADEDMODULES"]
            .iter()
            .any(|name| self.environment.get(*name).is_some_and(|value| !value.is_empty()))
    }
}

/// The elements of a colon list, empty ones dropped.
#[must_use]
pub fn split_path(text: &str) -> Vec<String> {
    text.split(':').filter(|element| !element.is_empty()).map(str::to_owned).collect()
}

fn listed_modules(environment: &Variables) -> Result<Vec<SessionModule>, SessionError> {
    let list = |name| environment.get(name).map(|text| split_path(text)).unwrap_or_default();
    let (names, files) = (list("LOADEDMODULES"), list("_LMFILES_"));
    if names.len() != files.len() {
        return Err(SessionError::Mismatch { modules: names.len(), files: files.len() });
    }
    Ok(names.into_iter().zip(files).map(|(name, file)| listed_module(&name, file.into())).collect())
}

/// Without a table the short name is all but the last component.
fn listed_module(full_name: &str, file: PathBuf) -> SessionModule {
    SessionModule {
        short_name: full_name.rsplit_once('/').map_or(full_name, |(name, _)| name).to_owned(),
        full_name: full_name.to_owned(),
        user_name: full_name.to_owned(),
        file,
        ..SessionModule::default()
    }
}
