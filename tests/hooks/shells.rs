//! The five shells.

use crate::common::tool;

/// A shell, and what a test needs to know of its language.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) name: &'static str,
    /// The text of its hook.
    pub(super) hook: &'static str,
    /// Options that keep it from reading start-up files.
    pub(super) plain: &'static [&'static str],
    /// The status of the last command.
    pub(super) status: &'static str,
}

pub(super) const BASH: Shell = Shell {
    name: "bash",
    hook: include_str!("../../hooks/bash.sh"),
    plain: &["--norc", "--noprofile"],
    status: "$?",
};
pub(super) const ZSH: Shell =
    Shell { name: "zsh", hook: include_str!("../../hooks/zsh.sh"), plain: &["-f"], status: "$?" };
pub(super) const KSH: Shell =
    Shell { name: "ksh", hook: include_str!("../../hooks/ksh.sh"), plain: &[], status: "$?" };
pub(super) const FISH: Shell = Shell {
    name: "fish",
    hook: include_str!("../../hooks/fish.fish"),
    plain: &["--no-config"],
    status: "$status",
};
pub(super) const TCSH: Shell = Shell {
    name: "tcsh",
    hook: include_str!("../../hooks/tcsh.csh"),
    plain: &["-f"],
    status: "$status",
};

pub(super) const SHELLS: [&Shell; 5] = [&BASH, &ZSH, &KSH, &FISH, &TCSH];

/// Those that are here; a missing one is said.
pub(super) fn installed() -> Vec<&'static Shell> {
    SHELLS.into_iter().filter(|shell| tool(shell.name).is_some()).collect()
}

impl Shell {
    /// The line that reads a file into the shell.
    pub(super) fn source(&self, path: &str) -> String {
        let word = if self.name == "ksh" { "." } else { "source" };
        format!("{word} {}\n", self.quoted(path))
    }

    /// `text` as one word.
    pub(super) fn quoted(&self, text: &str) -> String {
        match self.name {
            "fish" => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
            "tcsh" => format!("'{}'", text.replace('\'', "'\\''").replace('!', "\\!")),
            _ => format!("'{}'", text.replace('\'', "'\\''")),
        }
    }

    /// The line that puts the stdout of `command` into the variable `x`.
    pub(super) fn capture(&self, command: &str) -> String {
        match self.name {
            "fish" => format!("set x ({command})\n"),
            "tcsh" => format!("set x = \"`{command}`\"\n"),
            _ => format!("x=$({command})\n"),
        }
    }
}
