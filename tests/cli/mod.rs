//! The program as a user of a shell meets it.

mod container;
mod evaluation;
mod formats;
mod leftovers;
mod modulefiles;
mod on_top;
mod refusals;
pub(crate) mod session;
