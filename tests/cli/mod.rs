//! The program as a user of a shell meets it.

mod container;
mod evaluation;
mod leftovers;
mod modulefiles;
mod refusals;
pub(crate) mod session;
