//! The program as a user of a shell meets it.

pub(crate) mod base;
mod cache;
mod container;
mod determinism;
mod evaluation;
mod formats;
mod leftovers;
mod licences;
mod modulefiles;
mod on_top;
mod refusals;
mod sbom;
pub(crate) mod session;
mod trouble;
mod verify;
mod why;
