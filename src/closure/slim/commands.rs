//! Commands that a shell script starts: the first words of simple commands.

use std::collections::BTreeSet;

/// Commands that start what their arguments name.
const WRAPPERS: [&[u8]; 26] = [
    b"!", b"{", b"then", b"do", b"else", b"elif", b"if", b"while", b"until", b"time", b"command",
    b"exec", b"eval", b"builtin", b"which", b"type", b"hash", b"sudo", b"env", b"xargs", b"nohup",
    b"nice", b"ionice", b"setsid", b"stdbuf", b"timeout",
];

/// Options behind which a command stands.
const OPTIONS: [&[u8]; 3] = [b"-exec", b"-execdir", b"-ok"];

/// Words behind which a script stands as one quoted text.
const QUOTES_SCRIPT: [&[u8]; 3] = [b"-c", b"eval", b"trap"];

/// Scripts in texts of scripts that are looked into.
const DEPTH: u8 = 3;

/// Commands in commands that are told apart.
const MOST_OPEN: usize = 100;

/// Longest sum whose end is looked for, in bytes.
const LONGEST_SUM: usize = 4096;

/// The commands of `script` by the names under which they are started: neither functions of its own
/// nor what only the run can tell. What is looked up counts as started: the script goes another way
/// without it.
pub(super) fn shell_commands(script: &[u8]) -> BTreeSet<Vec<u8>> {
    commands(script, DEPTH)
}

fn commands(script: &[u8], depth: u8) -> BTreeSet<Vec<u8>> {
    let mut lexer = Lexer { text: script, depth, is_command: true, ..Lexer::default() };
    while let Some(byte) = lexer.next() {
        lexer.take(byte);
    }
    lexer.end_command();
    let Lexer { mut found, functions, .. } = lexer;
    found.retain(|name| !functions.contains(name));
    found
}

/// What the lexer is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// `( … )` or `$( … )`.
    Parentheses,
    Backquotes,
    DoubleQuotes,
}

/// Where the lexer goes on behind what it is inside of.
#[derive(Debug)]
struct Outer {
    inside: Inside,
    word: Option<Word>,
    is_command: bool,
    last: Vec<u8>,
}

/// A word as it grows.
#[derive(Debug, Clone, Default)]
struct Word {
    /// Without its quotes.
    bytes: Vec<u8>,
    /// Whether something in it is known to the run alone.
    expands: bool,
    is_quoted: bool,
}

#[derive(Debug, Default)]
struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// How many scripts deep may be looked.
    depth: u8,
    outer: Vec<Outer>,
    word: Option<Word>,
    /// Whether the next word is a command.
    is_command: bool,
    /// The last word of the command at hand.
    last: Vec<u8>,
    /// Commands that may turn out to be a pattern of `case`.
    pending: Vec<Vec<u8>>,
    /// Ends of texts that begin on the next line.
    documents: Vec<(Vec<u8>, bool)>,
    found: BTreeSet<Vec<u8>>,
    functions: BTreeSet<Vec<u8>>,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn word(&mut self) -> &mut Word {
        self.word.get_or_insert_default()
    }

    fn take(&mut self, byte: u8) {
        if self.is_quoted() {
            return self.take_quoted(byte);
        }
        match byte {
            b'\\' => match self.next() {
                Some(b'\n') | None => {}
                Some(escaped) => self.word().bytes.push(escaped),
            },
            b'\'' => self.take_single_quoted(),
            b'"' => {
                self.word().is_quoted = true;
                self.push(Inside::DoubleQuotes, None, Vec::new());
            }
            b'$' => self.take_expansion(),
            b'`' => self.take_backquote(),
            b' ' | b'\t' | b'\r' => self.end_word(),
            b'\n' => {
                self.end_command();
                self.skip_documents();
            }
            b';' | b'&' => self.end_command(),
            b'|' => self.end_simple_command(),
            b'(' => self.open(),
            b')' => self.close(),
            b'<' | b'>' => self.take_redirection(byte),
            b'#' if self.word.is_none() => {
                let line = self.rest().iter().position(|&byte| byte == b'\n');
                self.at += line.unwrap_or(self.rest().len());
            }
            _ => self.word().bytes.push(byte),
        }
    }

    fn take_quoted(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.outer.pop();
            }
            b'\\' => {
                if let Some(escaped) = self.next() {
                    self.word().bytes.push(escaped);
                }
            }
            b'$' => self.take_expansion(),
            b'`' => self.take_backquote(),
            _ => self.word().bytes.push(byte),
        }
    }

    fn take_single_quoted(&mut self) {
        let end = self.rest().iter().position(|&byte| byte == b'\'');
        let quoted = self.rest().get(..end.unwrap_or(self.rest().len())).unwrap_or_default();
        self.at += quoted.len() + 1;
        let word = self.word();
        word.is_quoted = true;
        word.bytes.extend_from_slice(quoted);
    }

    /// What follows a `$`.
    fn take_expansion(&mut self) {
        self.word().expands = true;
        if self.rest().starts_with(b"((") {
            // a sum: its end is that of the inner parentheses
            let sum = self.rest().get(..LONGEST_SUM).unwrap_or(self.rest());
            let end = memchr::memmem::find(sum, b"))");
            self.at += end.map_or(2, |end| end + 2);
        } else if self.rest().starts_with(b"(") {
            self.at += 1;
            self.enter(Inside::Parentheses);
        } else if self.rest().starts_with(b"{") {
            self.at += self.braces();
        }
    }

    /// How long the `{ … }` is that begins here.
    fn braces(&self) -> usize {
        let mut depth = 0_usize;
        for (at, byte) in self.rest().iter().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at + 1;
            }
        }
        self.rest().len()
    }

    fn take_backquote(&mut self) {
        if self.outer.iter().any(|outer| outer.inside == Inside::Backquotes) {
            self.leave(Inside::Backquotes);
        } else {
            self.word().expands = true;
            self.enter(Inside::Backquotes);
        }
    }

    fn is_quoted(&self) -> bool {
        self.outer.last().is_some_and(|outer| outer.inside == Inside::DoubleQuotes)
    }

    /// Goes into a command that is in a word, or in parentheses.
    fn enter(&mut self, inside: Inside) {
        self.flush();
        let (word, last) = (self.word.take(), std::mem::take(&mut self.last));
        self.push(inside, word, last);
        self.begin_command();
    }

    fn push(&mut self, inside: Inside, word: Option<Word>, last: Vec<u8>) {
        if self.outer.len() < MOST_OPEN {
            self.outer.push(Outer { inside, word, is_command: self.is_command, last });
        }
    }

    /// Goes on with the word in which a command was.
    fn leave(&mut self, inside: Inside) {
        self.end_command();
        while let Some(outer) = self.outer.pop() {
            if outer.inside == inside {
                (self.word, self.is_command, self.last) =
                    (outer.word, outer.is_command, outer.last);
                return;
            }
        }
    }

    fn open(&mut self) {
        let behind = self.rest().iter().find(|byte| !byte.is_ascii_whitespace());
        let is_array = self.word.as_ref().is_some_and(|word| word.bytes.ends_with(b"="));
        if is_array {
            let end = self.rest().iter().position(|&byte| byte == b')');
            self.at += end.map_or(self.rest().len(), |end| end + 1);
            return;
        }
        self.end_word();
        if behind == Some(&b')') {
            if let Some(name) = self.pending.pop() {
                self.functions.insert(name);
            }
            let end = self.rest().iter().position(|&byte| byte == b')').unwrap_or_default();
            self.at += end + 1;
            self.begin_command();
            return;
        }
        // behind them a pattern of `case`, or a condition of csh, may end
        self.is_command = true;
        self.enter(Inside::Parentheses);
    }

    fn close(&mut self) {
        if self.outer.iter().any(|outer| outer.inside == Inside::Parentheses) {
            return self.leave(Inside::Parentheses);
        }
        // the end of a pattern of `case`
        self.word = None;
        self.pending.clear();
        self.begin_command();
    }

    fn take_redirection(&mut self, byte: u8) {
        let digits = |word: &Word| word.bytes.iter().all(u8::is_ascii_digit);
        if self.word.as_ref().is_some_and(digits) {
            self.word = None;
        }
        self.end_word();
        let rest = self.rest();
        if rest.starts_with(b"(") {
            // a command in the place of a file
            self.at += 1;
            self.enter(Inside::Parentheses);
            return;
        }
        if byte == b'<' && rest.starts_with(b"<") && !rest.starts_with(b"<<") {
            self.at += 1;
            self.note_document();
            return;
        }
        let signs = rest.iter().take_while(|byte| b"<>&|".contains(byte)).count();
        self.at += signs;
        let blanks = self.rest().iter().take_while(|byte| b" \t".contains(byte)).count();
        self.at += blanks;
        // the file's name is no command
        let length = self.rest().iter().position(|byte| b" \t\r\n;|&()<>\"'$`".contains(byte));
        self.at += length.unwrap_or(self.rest().len());
    }

    /// Notes the end of a text that begins on the next line: `<<EOF`, `<<-'EOF'`.
    fn note_document(&mut self) {
        let is_indented = self.rest().starts_with(b"-");
        self.at += usize::from(is_indented);
        let blanks = self.rest().iter().take_while(|byte| b" \t".contains(byte)).count();
        self.at += blanks;
        let length = self.rest().iter().position(|byte| b" \t\r\n;|&()<>".contains(byte));
        let end = self.rest().get(..length.unwrap_or(self.rest().len())).unwrap_or_default();
        self.at += end.len();
        let end: Vec<u8> = end.iter().copied().filter(|byte| !b"'\"\\".contains(byte)).collect();
        if !end.is_empty() {
            self.documents.push((end, is_indented));
        }
    }

    fn skip_documents(&mut self) {
        for (end, is_indented) in std::mem::take(&mut self.documents) {
            for line in self.rest().split_inclusive(|&byte| byte == b'\n') {
                self.at += line.len();
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                let tabs = line.iter().take_while(|&&byte| is_indented && byte == b'\t').count();
                if line.get(tabs..) == Some(&*end) {
                    break;
                }
            }
        }
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        let is_script = word.is_quoted
            && self.depth > 0
            && QUOTES_SCRIPT.contains(&&*self.last)
            && word.bytes.iter().any(u8::is_ascii_whitespace);
        if is_script {
            self.found.extend(commands(&word.bytes, self.depth - 1));
        }
        if OPTIONS.contains(&&*word.bytes) {
            self.is_command = true;
        } else if self.is_command && !self.keeps_position(&word) {
            self.is_command = false;
            if WRAPPERS.contains(&&*word.bytes) {
                self.is_command = true;
            }
            if is_name(&word) {
                self.pending.push(word.bytes.clone());
            }
        }
        self.last = word.bytes;
    }

    /// Whether a command still comes behind `word`.
    fn keeps_position(&self, word: &Word) -> bool {
        let is_assignment = word.bytes.iter().position(|&byte| byte == b'=').is_some_and(|at| {
            let name = word.bytes.get(..at).unwrap_or_default();
            !name.is_empty()
                && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        // of a command before: `nice -n 5 make`
        let of_wrapper = WRAPPERS.contains(&&*self.last)
            || self.last.starts_with(b"-")
            || self.last.iter().all(u8::is_ascii_digit);
        let is_option =
            word.bytes.starts_with(b"-") || word.bytes.first().is_some_and(u8::is_ascii_digit);
        is_assignment || of_wrapper && !self.last.is_empty() && is_option
    }

    fn begin_command(&mut self) {
        self.is_command = true;
        self.last.clear();
    }

    /// At a `|`: in a pattern of `case` other words go before the `)`.
    fn end_simple_command(&mut self) {
        self.end_word();
        self.begin_command();
    }

    fn end_command(&mut self) {
        self.end_word();
        self.flush();
        self.begin_command();
    }

    fn flush(&mut self) {
        self.found.extend(self.pending.drain(..));
    }
}

/// Whether a word can be a program's name.
fn is_name(word: &Word) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+[".contains(byte);
    !word.expands && !word.bytes.is_empty() && word.bytes.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_of_simple_commands_are_commands_and_nothing_else_is() {
        for (script, want) in [
            ("curl -O x", "curl"),
            ("#!/bin/sh\n# make it\necho make # make\ntar x", "echo tar"),
            ("a | b && c || d; e & f\ng", "a b c d e f g"),
            ("x=$(curl y | tr a b) z", "curl tr z"),
            ("x=`curl y`; echo \"`patch`\" \"$(lscpu -p)\" '$(no)'", "curl echo lscpu patch"),
            ("if make; then openssl; else zstd; fi", "else fi if make openssl then zstd"),
            ("A=1 B='x y' make all", "make"),
            ("exec env -i A=b make", "env exec make"),
            (
                "nice -n 5 make; timeout 10 curl; xargs -n 1 -0 patch",
                "curl make nice patch timeout xargs",
            ),
            ("command -v zstd >/dev/null 2>&1 && zstd x", "command zstd"),
            (">out 2>err make <in", "make"),
            (
                "case $x in\n make|gmake) curl ;;\n (file) patch;; *) exit;;\nesac",
                "case curl esac exit file patch",
            ),
            ("make() { :; }\nmake x\nfile () {\n awk; }", "awk"),
            ("cat <<EOF | sed x\nmake it\nEOF\npatch", "cat patch sed"),
            ("cat <<-'E'\n\tmake\n\tE\npatch <<< make", "cat patch"),
            ("find . -name make -exec file {} +", "file find"),
            (
                "bash -c 'curl x | tar x'; eval \"make $y\"; echo -c 'a b'",
                "a bash curl echo eval make tar",
            ),
            ("$x make; ${y:-a b} make; $((1 + 2)) make", ""),
            ("\"make\" x; \\patch y; m'a'ke", "make patch"),
            ("A=(make curl) tar", "tar"),
            ("echo \"a; make\" b\\\n make", "echo"),
            ("x=\"$(curl \"a b\")\" make", "curl make"),
            ("(cd x; make) | gzip; diff <(sort a) b", "cd diff gzip make sort"),
            ("", ""),
            ("`\"(", ""),
            ("$(\"`)\")", ""),
            ("<<", ""),
        ] {
            let got: Vec<_> = shell_commands(script.as_bytes())
                .into_iter()
                .map(|name| String::from_utf8(name).unwrap())
                .collect();
            assert_eq!(got.join(" "), want, "{script}");
        }
    }
}
