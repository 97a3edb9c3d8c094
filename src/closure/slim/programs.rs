//! Programs of a layer that packed files start by their names alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::calls::calls;
use super::commands::shell_commands;
use crate::closure::collect::Collector;
use crate::closure::walk::Surveyed;
use crate::closure::{ClosureError, Reason};
use crate::elf::Constants;
use crate::environment::Variables;

/// Where a layer keeps its programs.
const DIRECTORIES: [&str; 4] = ["usr/bin", "bin", "usr/sbin", "sbin"];

/// Names of programs that are as often something else where a program's constants have them: words
/// of a language, commands of its own, options.
const WORDS: &str = "
    arch as clear column comm cut date diff dir echo env expand expiry expr factor false file find
    fold free gold groups head hostid i386 info install join kill last less link linux32 linux64
    locale login look make man mesg more mount nice nm nologin passwd paste patch perl printf prove
    python reset rev screen script seq service shuf size skill sleep snice sort splain split stat
    strings strip sum sync tabs tail test time timeout top touch true truncate users vi view w watch
    which who write x86_64 yes
";

/// Those of them that are worth a word where they are not packed.
const PERHAPS: &str = "file install make man patch perl python strip";

/// Endings of scripts that are no shell's, and are read by an interpreter as modules or not.
const CODE: [&[u8]; 4] = [b".py", b".pm", b".pl", b".tcl"];

/// Endings of scripts that a shell reads.
const SHELL: [&[u8]; 6] = [b".sh", b".bash", b".csh", b".fish", b".ksh", b".zsh"];

/// What a file names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Started {
    /// What it starts.
    pub(super) certain: BTreeSet<Vec<u8>>,
    /// What it may start.
    pub(super) possible: BTreeSet<Vec<u8>>,
}

/// The programs of some layers.
#[derive(Debug, Default)]
pub(super) struct Programs {
    /// By their names.
    paths: BTreeMap<Vec<u8>, Vec<PathBuf>>,
    /// `PATH` of the image.
    search_path: Vec<PathBuf>,
}

impl Programs {
    /// The programs among what `layers` have.
    pub(super) fn new(survey: &[Surveyed], layers: &[PathBuf], variables: &Variables) -> Self {
        let mut programs = Self::default();
        let directories: BTreeSet<PathBuf> = layers
            .iter()
            .flat_map(|layer| DIRECTORIES.map(|directory| layer.join(directory)))
            .collect();
        for found in survey {
            let (Some(parent), Some(name)) = (found.path.parent(), found.path.file_name()) else {
                continue;
            };
            if directories.contains(parent) {
                let paths = programs.paths.entry(name.as_bytes().to_vec()).or_default();
                paths.push(found.path.clone());
            }
        }
        let path = variables.get("PATH").map(String::as_str).unwrap_or_default();
        programs.search_path = path.split(':').map(PathBuf::from).collect();
        programs
    }

    fn retain(&self, names: &mut BTreeSet<Vec<u8>>) {
        names.retain(|name| self.paths.contains_key(name));
    }

    /// What the script `text` at `path` starts. Of an interpreter's standard library a program uses
    /// little.
    pub(super) fn of_script(&self, path: &Path, text: &[u8], is_of_library: bool) -> Started {
        let mut started = if is_shell(path, text) {
            Started { certain: shell_commands(text), possible: BTreeSet::new() }
        } else {
            let calls = calls(text);
            Started { certain: calls.started, possible: calls.quoted }
        };
        if is_of_library {
            started.possible.append(&mut started.certain);
        }
        self.retain(&mut started.certain);
        self.retain(&mut started.possible);
        started.possible.retain(|name| {
            let tells = name.len() > 2 && (!is_word(name) || is_of(PERHAPS, name));
            tells && !started.certain.contains(name)
        });
        started
    }

    /// What the ELF file with these constants starts.
    pub(super) fn of_program(&self, constants: &Constants) -> Started {
        let mut started = Started::default();
        if !constants.starts_programs {
            return started;
        }
        for text in constants.texts() {
            // of a program's name and the option `--name`, linkers keep the longer text alone
            let text = text.strip_prefix(b"--").unwrap_or(text);
            if text.len() < 3 {
                continue;
            }
            if !self.paths.contains_key(text) {
                continue;
            }
            let names = if is_word(text) { &mut started.possible } else { &mut started.certain };
            names.insert(text.to_vec());
        }
        started.possible.retain(|name| is_of(PERHAPS, name));
        started
    }

    /// Adds the programs that are meant by `names`.
    pub(super) fn add(
        &self,
        collector: &mut Collector<'_>,
        names: &BTreeSet<Vec<u8>>,
        reason: &Reason,
    ) -> Result<(), ClosureError> {
        for name in names {
            if let Some(path) = self.meant(collector, name) {
                collector.add(&path, reason)?;
            }
        }
        Ok(())
    }

    /// The program of a layer that the image finds by `name`, if a module does not have one that
    /// comes before it.
    fn meant(&self, collector: &Collector<'_>, name: &[u8]) -> Option<PathBuf> {
        let paths = self.paths.get(name)?;
        for directory in &self.search_path {
            let path = directory.join(OsStr::from_bytes(name));
            if paths.contains(&path) {
                return path.is_file().then_some(path);
            }
            if path.is_file() && collector.holds(&path) {
                return None;
            }
        }
        None
    }

    /// Whether a program that the image would find by `name` is not packed.
    pub(super) fn lacks(&self, collector: &Collector<'_>, name: &[u8]) -> bool {
        self.meant(collector, name).is_some_and(|path| !collector.has(&path))
    }

    /// Names of what is not packed, by directory.
    pub(super) fn not_packed(&self, collector: &Collector<'_>) -> BTreeMap<String, Vec<String>> {
        let mut left: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, paths) in &self.paths {
            for path in paths {
                let is_packed =
                    collector.image(path).is_ok_and(|at| collector.rootfs.get(&at).is_some());
                if let (false, Some(parent)) = (is_packed, path.parent()) {
                    let names = left.entry(parent.to_string_lossy().into_owned()).or_default();
                    names.push(String::from_utf8_lossy(name).into_owned());
                }
            }
        }
        left
    }
}

fn is_word(name: &[u8]) -> bool {
    is_of(WORDS, name)
}

fn is_of(list: &str, name: &[u8]) -> bool {
    list.split_whitespace().any(|word| word.as_bytes() == name)
}

/// Whether a file of this name is a script although nothing else tells.
pub(super) fn is_code(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    CODE.iter().chain(&SHELL).any(|end| name.ends_with(end))
}

/// Whether a shell reads the script `text` at `path`.
fn is_shell(path: &Path, text: &[u8]) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let Some(line) = text.strip_prefix(b"#!").and_then(|text| text.split(|&b| b == b'\n').next())
    else {
        return SHELL.iter().any(|end| name.ends_with(end));
    };
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let name = |word: &[u8]| Path::new(OsStr::from_bytes(word)).file_name().map(OsStr::to_owned);
    let mut program = words.next().and_then(name);
    if program.as_deref() == Some(OsStr::new("env")) {
        program =
            words.find(|word| !word.starts_with(b"-") && !word.contains(&b'=')).and_then(name);
    }
    program.is_some_and(|program| program.as_bytes().ends_with(b"sh") && program != *"tclsh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_shells_are_told_by_first_line_or_name() {
        for (name, text, shell) in [
            ("x", "#!/bin/sh\n", true),
            ("x", "#! /usr/bin/env -S A=b bash -e\n", true),
            ("x", "#!/usr/bin/tclsh\n", false),
            ("x.sh", "#!/usr/bin/perl\n", false),
            ("x.sh", "make", true),
            ("x.py", "make", false),
            ("x", "#!", false),
        ] {
            assert_eq!(is_shell(Path::new(name), text.as_bytes()), shell, "{name} {text}");
        }
    }
}
