//! What a file begins with: ELF, `#!`, or something else.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source::{ReadAt, read_start};
use super::{ElfError, ElfFacts, facts_of, open};
use crate::base::fs::PathContext as _;

/// Longest first line of a script that the kernel reads, in bytes.
///
/// Source: Linux `include/uapi/linux/binfmts.h`, `BINPRM_BUF_SIZE`.
const LINE: usize = 256;

/// What can be told of a file by its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// An ELF file.
    Elf(Arc<ElfFacts>),
    /// One that contradicts itself, and how.
    Damaged(String),
    /// A script that names its interpreter.
    Script(Shebang),
    /// Something else.
    Other,
    /// Nothing: it cannot be read, and why.
    Unreadable(String),
}

impl Look {
    /// The facts of an ELF file.
    #[must_use]
    pub const fn elf(&self) -> Option<&Arc<ElfFacts>> {
        match self {
            Self::Elf(facts) => Some(facts),
            _ => None,
        }
    }
}

/// The first line of a script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shebang {
    /// The program, as it stands there; it may be relative.
    pub program: PathBuf,
    /// What follows it: one argument to the kernel, blanks and all.
    pub argument: Option<Vec<u8>>,
}

impl Shebang {
    /// The first line of `text`, if it begins with `#!` and names a program. Of a longer line than
    /// the kernel reads, what the kernel reads counts; as for the kernel, a carriage return is a
    /// letter like any other.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.get(..LINE.min(text.len()))?;
        let line = text.strip_prefix(b"#!")?.split(|byte| matches!(byte, b'\n' | 0)).next()?;
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let line = trimmed(line, blank);
        let end = line.iter().position(blank).unwrap_or(line.len());
        let (program, rest) = line.split_at_checked(end)?;
        if program.is_empty() {
            return None;
        }
        let rest = trimmed(rest, blank);
        Some(Self {
            program: PathBuf::from(OsStr::from_bytes(program)),
            argument: (!rest.is_empty()).then(|| rest.to_vec()),
        })
    }

    /// Whether the line ends as lines of Windows do: its last word is not what it looks like.
    #[must_use]
    pub fn ends_in_carriage_return(&self) -> bool {
        let program = self.program.as_os_str().as_bytes();
        self.argument.as_deref().unwrap_or(program).ends_with(b"\r")
    }

    /// The program that `env` would start, where the interpreter is `env`: its name, or its path.
    #[must_use]
    pub fn program_of_env(&self) -> Option<PathBuf> {
        if self.program.file_name() != Some(OsStr::new("env")) {
            return None;
        }
        let argument = self.argument.as_deref()?;
        // without -S all of it is one name, which never has blanks on purpose
        let words = argument.split(|byte| matches!(byte, b' ' | b'\t'));
        let mut words = words.filter(|word| !word.is_empty());
        let mut options = true;
        while let Some(word) = words.next() {
            match EnvWord::of(word, options) {
                EnvWord::Program(name) => return Some(PathBuf::from(OsStr::from_bytes(name))),
                EnvWord::TakesNext => drop(words.next()),
                EnvWord::EndOfOptions => options = false,
                EnvWord::Other => {}
            }
        }
        None
    }
}

/// What a word that `env` is called with is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EnvWord<'a> {
    /// What it starts.
    Program(&'a [u8]),
    /// An option of which the next word is the value.
    TakesNext,
    /// `--`.
    EndOfOptions,
    /// A variable, or an option that is complete.
    Other,
}

impl<'a> EnvWord<'a> {
    /// Source: GNU coreutils' `env`; BSD's knows no other of these letters but `-P`, which takes a
    /// value too.
    fn of(word: &'a [u8], options: bool) -> Self {
        if !options || !word.starts_with(b"-") {
            return if word.contains(&b'=') { Self::Other } else { Self::Program(unquoted(word)) };
        }
        if let Some(long) = word.strip_prefix(b"--") {
            return match long {
                b"" => Self::EndOfOptions,
                b"unset" | b"chdir" | b"argv0" => Self::TakesNext,
                _ => long.strip_prefix(b"split-string=").map_or(Self::Other, Self::first_of_split),
            };
        }
        let letters = word.iter().enumerate().skip(1);
        for (at, letter) in letters {
            let rest = word.get(at + 1..).unwrap_or_default();
            match letter {
                b'S' => return Self::first_of_split(rest),
                b'u' | b'C' | b'a' | b'P' if rest.is_empty() => return Self::TakesNext,
                b'u' | b'C' | b'a' | b'P' => return Self::Other,
                _ => {}
            }
        }
        Self::Other
    }

    /// The word that stands joined to the option that splits: a word like others.
    fn first_of_split(word: &'a [u8]) -> Self {
        match trimmed(word, |byte| matches!(byte, b'"' | b'\'')) {
            [] => Self::Other,
            [b'-', ..] => Self::of(word, true),
            word => Self::of(word, false),
        }
    }
}

/// A word of a string that `env` splits, without quotes around it.
fn unquoted(word: &[u8]) -> &[u8] {
    trimmed(word, |byte| matches!(byte, b'"' | b'\''))
}

fn trimmed(mut text: &[u8], blank: impl Fn(&u8) -> bool) -> &[u8] {
    while let Some((_, rest)) = text.split_first().filter(|(first, _)| blank(first)) {
        text = rest;
    }
    while let Some((_, rest)) = text.split_last().filter(|(last, _)| blank(last)) {
        text = rest;
    }
    text
}

/// Looks at the file at `path`, links followed. Never blocks on a FIFO or a device.
#[must_use]
pub fn look(path: &Path) -> Look {
    let open = || -> Result<File, ElfError> { open(path) };
    match open() {
        Ok(file) => look_at(&file),
        Err(ElfError::Read(error)) => Look::Unreadable(error.to_string()),
        Err(ElfError::NotElf | ElfError::Malformed(_)) => Look::Other,
    }
}

/// Looks at a file wherever it is.
#[must_use]
pub fn look_at(source: &dyn ReadAt) -> Look {
    let mut line = [0; LINE];
    let count = match read_start(source, &mut line) {
        Ok(count) => count,
        Err(error) => return Look::Unreadable(error.to_string()),
    };
    let line = line.get(..count).unwrap_or_default();
    if line.starts_with(b"#!") {
        return Shebang::parse(line).map_or(Look::Other, Look::Script);
    }
    match facts_of(source, line) {
        Ok(facts) => Look::Elf(Arc::new(facts)),
        Err(ElfError::NotElf) => Look::Other,
        Err(error @ ElfError::Malformed(_)) => Look::Damaged(error.to_string()),
        Err(ElfError::Read(error)) => Look::Unreadable(error.to_string()),
    }
}

/// Reads the facts of the file at `path`, links followed. Never blocks on a FIFO or a device.
///
/// # Errors
/// [`ElfError`]; [`ElfError::NotElf`] for whatever is not a regular file that begins as ELF.
pub fn read(path: &Path) -> Result<ElfFacts, ElfError> {
    let file = open(path)?;
    let mut start = [0; 6];
    let count = read_start(&file, &mut start).at("read", path)?;
    facts_of(&file, start.get(..count).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_script_is_read_as_the_kernel_reads_it() {
        for (text, want) in [
            ("#!/bin/sh\necho", Some(("/bin/sh", None))),
            ("#! \t/usr/bin/perl -w -T \n", Some(("/usr/bin/perl", Some("-w -T")))),
            ("#!perl", Some(("perl", None))),
            ("#!/bin/sh\r\n", Some(("/bin/sh\r", None))),
            ("#!/bin/sh -e\r\n", Some(("/bin/sh", Some("-e\r")))),
            ("#!\n/bin/sh", None),
            ("#!", None),
            ("# !/bin/sh", None),
            ("", None),
        ] {
            let got = Shebang::parse(text.as_bytes());
            let want = want.map(|(program, argument)| Shebang {
                program: program.into(),
                argument: argument.map(|argument: &str| argument.into()),
            });
            assert_eq!(got, want, "{text:?}");
        }
        let long = format!("#!/{}\n", "x".repeat(1 << 20));
        let got = Shebang::parse(long.as_bytes()).unwrap();
        assert_eq!(got.program.as_os_str().len(), LINE - 2);
    }

    #[test]
    fn a_carriage_return_belongs_to_the_last_word() {
        for (text, ends) in [
            ("#!/bin/sh\r\n", true),
            ("#!/bin/sh -e\r\n", true),
            ("#!/bin/sh \r\n", true),
            ("#!/bin/sh\n\r", false),
        ] {
            assert_eq!(Shebang::parse(text.as_bytes()).unwrap().ends_in_carriage_return(), ends);
        }
    }

    #[test]
    fn what_env_starts_is_found_behind_its_options() {
        for (argument, want) in [
            ("python3", Some("python3")),
            ("-S A=b lua -l x", Some("lua")),
            ("-Sperl -w", Some("perl")),
            ("-i -u HOME /bin/ksh", Some("/bin/ksh")),
            ("--split-string=tool x", Some("tool")),
            ("--split-string tool x", Some("tool")),
            ("-S -u FOO prog", Some("prog")),
            ("-S --unset FOO --chdir=/x prog", Some("prog")),
            ("-vS -i A=b prog", Some("prog")),
            ("-S-i prog", Some("prog")),
            ("-iSprog", Some("prog")),
            ("-SA=b prog", Some("prog")),
            ("-S \"my-prog\" x", Some("my-prog")),
            ("-S -- -prog", Some("-prog")),
            ("-uFOO prog", Some("prog")),
            ("python3\r", Some("python3\r")),
            ("A=b", None),
            ("-S", None),
        ] {
            let text = format!("#!/usr/bin/env {argument}\n");
            let got = Shebang::parse(text.as_bytes()).unwrap().program_of_env();
            assert_eq!(got, want.map(PathBuf::from), "{argument}");
        }
        assert_eq!(Shebang::parse(b"#!/bin/sh x").unwrap().program_of_env(), None);
        assert_eq!(Shebang::parse(b"#!/bin/env").unwrap().program_of_env(), None);
    }
}
