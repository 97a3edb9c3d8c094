//! Variables, and what changes them, each change with its origin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub mod path;
mod variable;

pub use variable::{ListEdit, ListRules, Stored, Variable, Where};

/// Names and values of environment variables.
pub type Variables = BTreeMap<String, String>;

/// One call of a modulefile that changes a variable, as it stood in the modulefile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Full name of the module whose modulefile made the call, `GCC/13.2.0`.
    pub origin: String,
    /// The variable.
    pub variable: String,
    /// What the call does to it.
    pub operation: Operation,
}

/// What a call does to a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `setenv`.
    Set(String),
    /// `pushenv`.
    Push(String),
    /// `unsetenv`, `pushenv(name, false)`.
    Unset,
    /// `prepend_path`: the elements after splitting and cleaning, in the order given.
    Prepend(Vec<String>),
    /// `append_path`.
    Append(Vec<String>),
    /// `remove_path`.
    Remove(Vec<String>),
}

pub mod fidelity;
pub mod leak;
