//! Programs that scripts in other languages than a shell's start.

use std::collections::BTreeSet;

use super::commands::shell_commands;

/// Functions of Python, Perl, Tcl, Lua and Lmod that start a program, or look for one.
const CALLS: [&[u8]; 31] = [
    b"system",
    b"popen",
    b"popen2",
    b"popen3",
    b"Popen",
    b"open2",
    b"open3",
    b"call",
    b"check_call",
    b"check_output",
    b"run",
    b"getoutput",
    b"getstatusoutput",
    b"subprocess",
    b"capture",
    b"execute",
    b"which",
    b"find_executable",
    b"can_run",
    b"exec",
    b"qx",
    b"execl",
    b"execlp",
    b"execv",
    b"execvp",
    b"execvpe",
    b"spawn",
    b"spawnl",
    b"spawnlp",
    b"spawnv",
    b"spawnvp",
];

/// Those of them that need no parentheses, in Perl and Tcl.
const BARE: [&[u8]; 3] = [b"system", b"exec", b"qx"];

/// Longest text between quotes that is looked into, in bytes.
const LONGEST: usize = 1000;

/// What a script names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Calls {
    /// Commands in the first argument of what starts programs.
    pub(super) started: BTreeSet<Vec<u8>>,
    /// Single words between quotes, where the script starts programs at all.
    pub(super) quoted: BTreeSet<Vec<u8>>,
}

/// The programs that `script` may start.
pub(super) fn calls(script: &[u8]) -> Calls {
    let mut calls = Calls::default();
    let mut at = 0;
    while let Some(start) =
        script.get(at..).and_then(|rest| memchr::memchr3(b'"', b'\'', b'`', rest)).map(|p| at + p)
    {
        let quote = script.get(start).copied().unwrap_or_default();
        let rest = script.get(start + 1..).unwrap_or_default();
        let rest = rest.get(..LONGEST).unwrap_or(rest);
        let end = rest.iter().position(|&byte| byte == quote || byte == b'\n');
        let text = end.and_then(|end| rest.get(..end)).unwrap_or_default();
        at = start + 1;
        if end.and_then(|end| rest.get(end)) != Some(&quote) {
            continue;
        }
        let before = script.get(..start).unwrap_or_default();
        let is_output = quote == b'`' && before.trim_ascii_end().ends_with(b"=");
        if quote != b'`' && is_argument_of_call(before) || is_output {
            calls.started.extend(shell_commands(text));
        } else if quote != b'`' && is_word(text) {
            calls.quoted.insert(text.to_vec());
        }
        // a quote in a comment must not turn all that follows inside out
        if is_word(text) {
            at = start + text.len() + 2;
        }
    }
    let is_call = |name: &&[u8]| memchr::memmem::find(script, name).is_some();
    if calls.started.is_empty() && !STARTERS.iter().any(is_call) {
        calls.quoted.clear();
    }
    calls
}

/// What a script has in it that starts programs.
const STARTERS: [&[u8]; 8] = [
    b"subprocess",
    b"os.system",
    b"popen",
    b"os.exec",
    b"os.spawn",
    b"os.execute",
    b"system(",
    b"exec(",
];

/// Whether what follows `before` is the first argument, or the first of a list of arguments, of what
/// starts programs.
fn is_argument_of_call(before: &[u8]) -> bool {
    // `f"…"`, `r"…"`
    let bare = match before.split_last_chunk::<2>() {
        Some((_, [b'(' | b'[' | b' ', b'f' | b'r' | b'b' | b'u'])) => {
            before.get(..before.len() - 1).unwrap_or_default()
        }
        _ => before,
    };
    let opens = |byte: &u8| byte.is_ascii_whitespace() || b"([{".contains(byte);
    let opened = bare.iter().rev().take_while(|byte| opens(byte)).count();
    let (bare, opened) = bare.split_at_checked(bare.len() - opened).unwrap_or_default();
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = bare.iter().rev().take_while(|byte| in_name(byte)).count();
    let name = bare.get(bare.len() - length..).unwrap_or_default();
    let is_bare = BARE.contains(&name) && !opened.is_empty();
    is_bare || opened.contains(&b'(') && CALLS.contains(&name)
}

fn is_word(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+".contains(byte);
    !text.is_empty() && text.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_arguments_of_what_starts_programs_are_told_from_other_texts() {
        for (script, started, quoted) in [
            ("subprocess.run(['objdump', '-p', x])", "objdump", "-p"),
            ("os.system(f\"curl -O {x} | tar x\")", "curl tar", ""),
            ("shutil.which(\n    'make')", "make", ""),
            ("system 'patch', $x; my $y = `lscpu -p`;", "lscpu patch", ""),
            ("local x = capture(\"zstd -V\")", "zstd", ""),
            ("print('make'); import subprocess", "", "make"),
            ("print('make')", "", ""),
            ("# don't\nos.system(\"curl x\")", "curl", ""),
            ("rerun('make'); x + `no` + \"`no`\"", "", ""),
            ("# run 'make x' first\nsystem('curl')", "curl", ""),
            ("`", "", ""),
            ("run('", "", ""),
        ] {
            let Calls { started: got, quoted: words } = calls(script.as_bytes());
            let text = |names: BTreeSet<Vec<u8>>| {
                let names = names.into_iter().map(|name| String::from_utf8(name).unwrap());
                names.collect::<Vec<_>>().join(" ")
            };
            assert_eq!((&*text(got), &*text(words)), (started, quoted), "{script}");
        }
    }
}
