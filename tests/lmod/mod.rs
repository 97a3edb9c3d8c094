//! Our evaluation against real Lmod, variable by variable.

mod bad_input;
mod behaviour;
mod easybuild;
mod oracle;
mod random;
mod sandbox;
