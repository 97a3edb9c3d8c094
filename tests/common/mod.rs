//! What all integration tests share: a small world of their own, and the programs of others.

mod compare;
mod env;
mod tools;

#[allow(unused_imports, reason = "the areas take what they need")]
pub(crate) use compare::{Scope, differences, flip_a_bit};
#[allow(unused_imports, reason = "the areas take what they need")]
pub(crate) use env::{Ran, TestEnv};
#[allow(unused_imports, reason = "the areas take what they need")]
pub(crate) use tools::{as_ordinary_user, is_root, lookalike, skip, tool};
