//! What all integration tests share: a small world of their own, and the programs of others.

mod env;
mod tools;

#[allow(unused_imports, reason = "the areas take what they need")]
pub(crate) use env::{Ran, TestEnv};
#[allow(unused_imports, reason = "the areas take what they need")]
pub(crate) use tools::{as_ordinary_user, is_root, lookalike, skip, tool};
