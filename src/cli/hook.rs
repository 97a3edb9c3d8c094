//! `hook`: the code that adds our words to a shell's `module` function.

use std::io::Write as _;

use super::args::{Hook, Shell};
use super::context::Context;

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
    let program = context.program.to_string_lossy();
    let quoted = match words.shell {
        Shell::Fish => fish_quoted(&program),
        Shell::Tcsh => csh_quoted(&program),
        Shell::Bash | Shell::Zsh | Shell::Ksh | Shell::Eessi => {
            shell_words::quote(&program).into_owned()
        }
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(template.replace(PLACEHOLDER, &quoted).as_bytes())?;
    Ok(stdout.flush()?)
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
}
