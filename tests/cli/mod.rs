//! The program as a user of a shell meets it.

pub(crate) mod base;
mod cache;
mod container;
mod determinism;
mod diff;
mod evaluation;
mod formats;
mod gate;
mod leaks;
mod leftovers;
mod licences;
mod modulefiles;
mod on_top;
mod plan;
mod refusals;
mod removal;
mod sbom;
pub(crate) mod session;
mod trouble;
mod verify;
mod why;
