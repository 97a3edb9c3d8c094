//! Why an evaluation ended early.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::Escaped;

/// Why an evaluation ended early. Nothing of it has taken effect then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationError {
    /// `MODULEPATH` has no such modules.
    #[error("no such module: {}{chain}", join(missing))]
    NotFound {
        /// What was not found.
        missing: Vec<Missing>,
        /// Where it was asked for.
        chain: Chain,
    },
    /// A modulefile or Lmod's rules refuse: `LmodError`, `conflict`, `prereq`, ….
    #[error("{}{chain}{}", Escaped(message), Place(file, *line))]
    Refused {
        /// The reason.
        message: String,
        /// The modulefile.
        file: PathBuf,
        /// Its line, where known.
        line: Option<u32>,
        /// The loads that led there.
        chain: Chain,
    },
    /// The Lua code is wrong.
    #[error("Lua error: {}{chain}{}", Escaped(message), Place(file, *line))]
    Lua {
        /// Lua's message.
        message: String,
        /// The modulefile.
        file: PathBuf,
        /// Its line, where known.
        line: Option<u32>,
        /// The loads that led there.
        chain: Chain,
    },
    /// The modulefile or rc file calls `os.exit` (`exit` in Tcl), with which Lmod itself ends:
    /// without a word, and with nothing loaded.
    #[error(
        "Lmod ends here with status {status}, and nothing is loaded: the file calls exit{chain}{}",
        Place(file, *line)
    )]
    Exit {
        /// Lmod's exit status.
        status: u8,
        /// The modulefile.
        file: PathBuf,
        /// Its line, where known.
        line: Option<u32>,
        /// The loads that led there.
        chain: Chain,
    },
    /// A modulefile used more than [`super::Limits`] allow.
    #[error("stopped {}: {what}{chain}{}", Escaped(reason), Place(file, *line))]
    Limit {
        /// What ran: `the modulefile`, or a command.
        what: String,
        /// Such as `after 30 s`.
        reason: String,
        /// The modulefile.
        file: PathBuf,
        /// Its line, where known.
        line: Option<u32>,
        /// The loads that led there.
        chain: Chain,
    },
    /// The modulefile's result depends on a command, and [`super::Options::no_commands`] is set.
    #[error(
        "{} would run the command `{}`, and none may run{chain}{}",
        Escaped(function), Escaped(command), Place(file, *line)
    )]
    NoCommands {
        /// The function that would run it.
        function: String,
        /// The command, as the modulefile wrote it.
        command: String,
        /// The modulefile.
        file: PathBuf,
        /// Its line, where known.
        line: Option<u32>,
        /// The loads that led there.
        chain: Chain,
    },
    /// The modulefile or rc file is written in Tcl, and there is no `tclsh`.
    #[error(
        "a file in Tcl needs `tclsh`, which is not in PATH{chain}\n  in {}",
        Escaped(&file.to_string_lossy())
    )]
    Tcl {
        /// The modulefile or rc file.
        file: PathBuf,
        /// The loads that led there.
        chain: Chain,
    },
    /// A modulefile or rc file cannot be read.
    #[error("cannot read {}: {reason}{chain}", Escaped(&file.to_string_lossy()))]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        reason: String,
        /// The loads that led there.
        chain: Chain,
    },
    /// The process that evaluates failed. `file` is the modulefile that was running.
    #[error("the evaluation {reason}{}", in_file(file.as_ref()))]
    Child {
        /// The modulefile that was running, where one was.
        file: Option<PathBuf>,
        /// What happened to the process.
        reason: String,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl EvaluationError {
    /// The error, which may come of what was left out before.
    pub(super) fn after(mut self, left_out: &[String]) -> Self {
        if let Self::Refused { message, .. } | Self::Lua { message, .. } = &mut self {
            for text in left_out {
                message.push_str("; before that, ");
                message.push_str(text);
            }
        }
        self
    }

    /// Exchanges the line for the one that it stands for.
    pub(super) fn map_line(&mut self, of: impl FnOnce(u32) -> Option<u32>) {
        match self {
            Self::Refused { line, .. }
            | Self::Lua { line, .. }
            | Self::Exit { line, .. }
            | Self::NoCommands { line, .. }
            | Self::Limit { line, .. } => *line = line.and_then(of),
            _ => {}
        }
    }
}

/// A name that means no module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// As it was asked for.
    pub name: String,
    /// Names that may have been meant, best first.
    pub near: Vec<String>,
}

/// Full names of the modules being loaded, the outermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain(pub Vec<String>);

impl Chain {
    /// These names; of an endless recursion the beginning and the end.
    pub(super) fn shortened(names: impl Iterator<Item = String>) -> Self {
        let names: Vec<String> = names.collect();
        if names.len() <= 8 {
            return Self(names);
        }
        let (first, last) = (names.iter().take(4), names.iter().skip(names.len() - 4));
        let dots = "…".to_owned();
        Self(first.chain(std::iter::once(&dots)).chain(last).cloned().collect())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (at, pair) in self.0.windows(2).enumerate() {
            let [outer, inner] = pair else { continue };
            if at == 0 {
                write!(f, "\n  {} loaded {}", Escaped(outer), Escaped(inner))?;
            } else {
                write!(f, ", which loaded {}", Escaped(inner))?;
            }
        }
        Ok(())
    }
}

/// A file with a line, on a line of its own; nothing where no modulefile was running.
struct Place<'a>(&'a PathBuf, Option<u32>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.0.as_os_str().is_empty() {
            return Ok(());
        }
        write!(f, "\n  in {}", Escaped(&self.0.to_string_lossy()))?;
        self.1.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}

fn join(missing: &[Missing]) -> String {
    let names: Vec<String> =
        missing.iter().map(|one| format!("`{}`", Escaped(&one.name))).collect();
    names.join(", ")
}

fn in_file(file: Option<&PathBuf>) -> String {
    file.map_or_else(String::new, |file| format!("\n  in {}", Escaped(&file.to_string_lossy())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_modulefile_line_and_chain() {
        let error = EvaluationError::Lua {
            message: "attempt to call a nil value (global 'error')".to_owned(),
            file: PathBuf::from("/m/C/3.lua"),
            line: Some(7),
            chain: Chain(vec!["A/1".to_owned(), "B/2".to_owned(), "C/3".to_owned()]),
        };
        assert_eq!(
            error.to_string(),
            "Lua error: attempt to call a nil value (global 'error')\n  \
             A/1 loaded B/2, which loaded C/3\n  in /m/C/3.lua, line 7"
        );
    }
}
