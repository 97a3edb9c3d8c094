//! Interpreters of the scripts that are packed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Place, interpreters};
use crate::closure::collect::Collector;
use crate::closure::{Cause, ClosureError, Reason, Request, parallel};
use crate::rootfs::Content;

/// Longest first line of a script that the kernel reads, in bytes.
const LINE: u64 = 256;

/// The search for interpreters as it goes on.
#[derive(Debug)]
pub(in crate::closure) struct Scripts<'a> {
    /// Where `env` looks.
    path: Vec<PathBuf>,
    private: &'a [PathBuf],
    /// Where interpreters are taken from.
    places: Vec<Place>,
    /// Files of the plan that were looked at.
    seen: usize,
    /// Interpreters that were dealt with.
    known: BTreeSet<Interpreter>,
}

/// What the first line of a script asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Interpreter {
    /// A program by its path.
    At(PathBuf),
    /// A program that `env` looks for.
    Named(PathBuf),
}

impl<'a> Scripts<'a> {
    /// The search for interpreters that these places have.
    pub(in crate::closure) fn new(request: &Request<'a>, places: Vec<Place>) -> Self {
        let system = ["/usr/bin", "/bin"].map(PathBuf::from);
        Self {
            path: request.path.iter().cloned().chain(system).collect(),
            private: request.private,
            places,
            seen: 0,
            known: BTreeSet::new(),
        }
    }

    /// Adds the interpreters of scripts that joined the plan since the last time, and what these
    /// need, which may be scripts again.
    pub(in crate::closure) fn add(
        &mut self,
        collector: &mut Collector<'_>,
    ) -> Result<(), ClosureError> {
        loop {
            let files = collector.rootfs.files().get(self.seen..).unwrap_or_default();
            self.seen = collector.rootfs.files().len();
            let executable = |mode: u16| mode & 0o111 != 0;
            let paths: Vec<_> = files
                .iter()
                .filter(|file| executable(file.metadata.mode))
                .filter_map(|file| match &file.content {
                    Content::Host(path) => Some(path.clone()),
                    _ => None,
                })
                .collect();
            self.add_libraries(collector, &paths)?;
            let asked = parallel::map(&paths, collector.interrupt, |path| interpreter_of(path))?;
            // by the first script that asks for it
            let mut new: BTreeMap<Interpreter, &Path> = BTreeMap::new();
            for (path, asked) in paths.iter().zip(asked) {
                for interpreter in asked.into_iter().flatten() {
                    if !self.known.contains(&interpreter) {
                        new.entry(interpreter).or_insert(path);
                    }
                }
            }
            if new.is_empty() {
                return Ok(());
            }
            for (interpreter, script) in &new {
                self.add_interpreter(collector, interpreter, script)?;
            }
            self.known.extend(new.into_keys());
        }
    }

    fn add_interpreter(
        &self,
        collector: &mut Collector<'_>,
        interpreter: &Interpreter,
        script: &Path,
    ) -> Result<(), ClosureError> {
        let program = match interpreter {
            Interpreter::At(path) => Some(path.clone()),
            Interpreter::Named(name) => self.find(collector, name),
        };
        let Some(program) = program.filter(|program| program.is_file()) else { return Ok(()) };
        let mut places = self.places.iter();
        let Some(place) = places.find(|place| program.starts_with(place.root())) else {
            return Ok(());
        };
        let name = program.file_name().unwrap_or_default().to_owned();
        let user = collector.place(script);
        let reason: Reason = if place.is_layer() {
            Cause::Script(user).into()
        } else {
            Cause::BaseScript { name, user }.into()
        };
        let there_already = collector.holds(&program);
        if !collector.add(&program, &reason)? {
            return Ok(());
        }
        let Ok(real) = std::fs::canonicalize(&program) else { return Ok(()) };
        // an interpreter that a module brings has its library with it
        if !there_already || place.is_own(&real) {
            add_library(collector, &real, place)?;
        }
        Ok(())
    }

    /// Adds the standard libraries of interpreters of layers among `programs`, whatever these are
    /// packed for.
    fn add_libraries(
        &self,
        collector: &mut Collector<'_>,
        programs: &[PathBuf],
    ) -> Result<(), ClosureError> {
        for place in self.places.iter().filter(|place| place.is_layer()) {
            for program in programs.iter().filter(|program| place.is_own(program)) {
                let is_in_bin = program.parent().is_some_and(|parent| parent.ends_with("bin"));
                if is_in_bin && interpreters::is_interpreter(program) {
                    add_library(collector, program, place)?;
                }
            }
        }
        Ok(())
    }

    /// The program that `env` means by `name`. One in a private directory is taken only if it is
    /// packed: it is a person's, not the modules'.
    fn find(&self, collector: &Collector<'_>, name: &Path) -> Option<PathBuf> {
        let candidates = self.path.iter().map(|directory| directory.join(name));
        candidates.filter(|path| path.is_absolute() && path.is_file()).find(|path| {
            !self.private.iter().any(|private| path.starts_with(private)) || collector.holds(path)
        })
    }
}

/// Adds the standard library of the interpreter at `program`, links followed.
fn add_library(
    collector: &mut Collector<'_>,
    program: &Path,
    place: &Place,
) -> Result<(), ClosureError> {
    let reason: Reason = Cause::Interpreter(collector.place(program)).into();
    for directory in interpreters::library_directories(program, place) {
        collector.add(&directory, &reason)?;
    }
    Ok(())
}

/// The interpreters that the file at `path` asks for: `env` counts as one, too.
fn interpreter_of(path: &Path) -> Option<Vec<Interpreter>> {
    let mut line = Vec::new();
    File::open(path).ok()?.take(LINE).read_to_end(&mut line).ok()?;
    parse(&line)
}

/// The interpreters that a script beginning with `text` asks for.
fn parse(text: &[u8]) -> Option<Vec<Interpreter>> {
    let line = text.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let program = Path::new(OsStr::from_bytes(words.next()?));
    if !program.is_absolute() {
        return None;
    }
    let mut found = vec![Interpreter::At(program.to_owned())];
    if program.file_name() == Some(OsStr::new("env")) {
        let is_option = |word: &&[u8]| word.starts_with(b"-") || word.contains(&b'=');
        if let Some(name) = words.find(|word| !is_option(word)) {
            found.push(Interpreter::Named(PathBuf::from(OsStr::from_bytes(name))));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_script_names_its_interpreter() {
        let at = |path: &str| Interpreter::At(path.into());
        let named = |name: &str| Interpreter::Named(name.into());
        for (text, want) in [
            ("#!/bin/sh\necho", vec![at("/bin/sh")]),
            ("#! /usr/bin/perl -w\n", vec![at("/usr/bin/perl")]),
            ("#!/usr/bin/env python3\n", vec![at("/usr/bin/env"), named("python3")]),
            ("#!/usr/bin/env -S A=b lua -l x", vec![at("/usr/bin/env"), named("lua")]),
            ("#!/bin/env", vec![at("/bin/env")]),
            ("#!perl\n", vec![]),
            ("#!\n", vec![]),
            ("\x7fELF", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_or_default(), want, "{text:?}");
        }
    }
}
