//! Our evaluation against real Lmod, variable by variable.
//!
//! The oracle is Debian's Lmod 8; `LMOD_UNDER_TEST=/…/libexec/lmod` names another one. What Lmod 9 does
//! is recorded in `tests/data/oracles`; after a case was added or changed,
//! `RECORD=1 LMOD_UNDER_TEST=/…/9.2.9/libexec/lmod cargo nextest run lmod::recorded` brings it up to date.

mod bad_input;
mod behaviour;
mod easybuild;
mod oracle;
mod random;
mod random_names;
mod reach;
mod recorded;
mod sandbox;
mod tcl;
mod traps;
