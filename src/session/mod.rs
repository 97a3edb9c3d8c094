//! The shell's module session, from the variables it is handed.

use std::path::PathBuf;

use crate::environment::Variables;

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
}
