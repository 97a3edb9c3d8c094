//! `hook`: the code that adds our words to a shell's `module` function.

use std::io::Write as _;
use std::path::Path;

use super::args::{Hook, Shell};
use super::context::Context;
use super::diagnose::Failure;
use crate::base::Escaped;

/// Stands for the quoted path of this program.
const PLACEHOLDER: &str = "@MODULE_EXPORT@";

/// Prints the hook.
pub(super) fn hook(context: &Context, words: &Hook) -> anyhow::Result<()> {
    let template = match words.shell {
        Shell::Bash => include_str!("../../hooks/bash.sh"),
        Shell::Zsh => include_str!("../../hooks/zsh.sh"),
        Shell::Ksh => include_str!("../../hooks/ksh.sh"),
        Shell::Fish => include_str!("../../hooks/fish.fish"),
        Shell::Tcsh => include_str!("../../hooks/tcsh.csh"),
        Shell::Eessi => include_str!("../../hooks/eessi.sh"),
    };
    let quoted = context.program.to_str().and_then(|program| match words.shell {
        Shell::Fish => Some(fish_quoted(program)),
        Shell::Tcsh => survives_eval(program).then(|| csh_quoted(program)),
        Shell::Bash | Shell::Zsh | Shell::Ksh | Shell::Eessi => {
            Some(shell_words::quote(program).into_owned())
        }
    });
    let quoted = quoted.ok_or_else(|| unquotable(&context.program))?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(template.replace(PLACEHOLDER, &quoted).as_bytes())?;
    Ok(stdout.flush()?)
}

/// Whether a quoted word is still itself after `` eval `…` `` of tcsh, which splits at blanks and
/// expands braces inside quotes.
fn survives_eval(program: &str) -> bool {
    let broken = |c: char| c.is_control() || matches!(c, '\'' | '!' | '\\' | '{' | '}');
    !program.contains(broken) && !program.contains("  ")
}

fn unquotable(program: &Path) -> Failure {
    Failure::Cannot(format!(
        "this shell cannot be given the program's path, `{}`: install it where the path has plain letters",
        Escaped(&program.to_string_lossy())
    ))
}

/// In single quotes fish obeys `\` and `'` alone.
pub(super) fn fish_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// In single quotes csh still obeys `!`, and a newline ends the string unless escaped.
pub(super) fn csh_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''").replace('!', "\\!").replace('\n', "\\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_one_word() {
        assert_eq!(fish_quoted(r"a'b\c $d"), r"'a\'b\\c $d'");
        assert_eq!(csh_quoted("a'b!c $d"), r"'a'\''b\!c $d'");
    }

    #[test]
    fn tcsh_gets_no_path_that_its_eval_would_break() {
        for path in ["/opt/a b/m", "/opt/$HOME/m", "/opt/*/m", "/opt/`id`/(x);&|\"/m"] {
            assert!(survives_eval(path), "{path}");
        }
        for path in ["/it's/m", "/a!b/m", "/a\nb/m", "/a\\b/m", "/{a,b}/m", "/a  b/m", "/a\tb/m"] {
            assert!(!survives_eval(path), "{path}");
        }
    }
}
