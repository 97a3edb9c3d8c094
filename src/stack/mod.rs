//! Where the software lives: EESSI, or a plain site; which packages lie under it. No other room knows
//! EESSI's layout.

mod eessi;
mod lmod;
mod lua;
mod packages;
mod specs;

use std::path::PathBuf;

use crate::base::Escaped;
use crate::environment::Variables;

pub use eessi::Eessi;
pub use lmod::LmodInstallation;
pub use lua::{LuaVersion, UnknownLua};
pub use packages::{Dpkg, Package, Portage, Source};
pub use specs::TargetSpec;

/// Where the software of a session lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stack {
    /// A version of EESSI (or a look-alike).
    Eessi(Eessi),
    /// Any other site with Lmod.
    Site,
}

/// A session that claims to be EESSI and is not.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The session sets some of EESSI's variables only.
    #[error(
        "`EESSI_PREFIX` is set, but `{missing}` is not: EESSI's initialisation has not finished"
    )]
    Unfinished {
        /// The variable that is missing.
        missing: &'static str,
    },
    /// `EESSI_PREFIX` is of another form than `<repository>/versions/<version>`.
    #[error("`EESSI_PREFIX` is `{}`, not `<repository>/versions/<version>`", Escaped(&.0.to_string_lossy()))]
    NotAVersion(PathBuf),
    /// `EESSI_SOFTWARE_SUBDIR` would lead out of the stack.
    #[error("`EESSI_SOFTWARE_SUBDIR` is `{}`, which is not a CPU target", Escaped(.0))]
    NotATarget(String),
    /// A directory that the session speaks of is not there.
    #[error("the session uses EESSI at `{}`, which is not there", Escaped(&.0.to_string_lossy()))]
    Gone(PathBuf),
}

impl Stack {
    /// The stack that a session with these variables uses. EESSI's `init/bash` and its `EESSI`
    /// module set the same ones; a session without `EESSI_PREFIX` is a plain site's.
    ///
    /// # Errors
    /// [`StackError`] if the variables contradict each other or what is on disk.
    pub fn detect(environment: &Variables) -> Result<Self, StackError> {
        Ok(Eessi::detect(environment)?.map_or(Self::Site, Self::Eessi))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_session_reaches_a_terminal_as_it_is() {
        let text = "/x/\u{1b}[31mred";
        for error in [
            StackError::NotAVersion(text.into()),
            StackError::NotATarget(text.to_owned()),
            StackError::Gone(text.into()),
        ] {
            assert!(error.to_string().contains("/x/\\u{1b}[31mred"), "{error:?}");
        }
    }
}
