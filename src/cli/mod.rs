//! The command line: typed words, messages, exit codes. The only room that prints.

mod args;
mod asked;
mod bar;
mod beneath;
mod bytecode;
mod caching;
mod collections;
mod config;
mod container;
mod context;
mod demo;
mod diagnose;
mod diff;
mod directory;
mod drift;
mod enter;
mod env_verb;
mod finish;
mod freeze;
mod frozen;
mod gate;
mod hints;
mod hook;
mod included;
mod inspect;
mod licences;
mod logger;
mod output;
mod ownership;
mod personal;
mod pinned;
mod plan;
mod privacy;
mod proof;
mod report;
mod run;
mod sbom;
mod scratch;
mod stale;
mod tally;
mod terminal;
mod told;
mod verdict;
mod verify;
mod why;
mod wish;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Verb};
use context::Context;
use diagnose::Failure;
use terminal::Terminal;

use crate::modulefile;

/// What Lmod's extension prints: the words joined by NUL, in hexadecimal.
const ARGV_HEX: &str = "--argv-hex";

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    match words.get(1).and_then(|word| word.to_str()) {
        Some(modulefile::SUBCOMMAND) => return evaluate(),
        Some(enter::WORD) => return enter_image(&words[2..]),
        _ => {}
    }
    let words = match typed(words) {
        Ok(words) => words,
        Err(failure) => return diagnose::report(&failure.into(), &Terminal::plain(false)),
    };
    match Cli::try_parse_from(&words) {
        Ok(cli) => perform(cli),
        Err(error) => usage(&error, &words),
    }
}

fn usage(error: &clap::Error, words: &[OsString]) -> ExitCode {
    // help and version are results; a closed stdout is quiet
    let _ = error.print();
    let typed = |flag: &str| words.iter().any(|word| word.to_string_lossy().starts_with(flag));
    let about = error.get(clap::error::ContextKind::InvalidArg).map(ToString::to_string);
    if about.is_some_and(|about| about.starts_with("--epoch")) && !typed("--epoch") {
        Terminal::plain(false).hint("this value comes from the variable SOURCE_DATE_EPOCH");
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn evaluate() -> ExitCode {
    match modulefile::serve(std::io::stdin(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn enter_image(words: &[OsString]) -> ExitCode {
    match enter::enter(words) {
        Ok(never) => match never {},
        // `run` explains it
        Err(error) if error.is::<enter::Forbidden>() => ExitCode::FAILURE,
        Err(error) => diagnose::report(&error, &Terminal::plain(false)),
    }
}

/// The words as a user typed them: those handed over by Lmod decoded, those of `module` turned
/// into ours.
fn typed(mut words: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    if words.get(1).is_some_and(|word| word == ARGV_HEX) {
        let hex = words.get(2).map(|word| word.as_bytes().to_vec()).unwrap_or_default();
        let program = words.swap_remove(0);
        let decoded = decode_hex(&hex)
            .ok_or_else(|| Failure::Usage(format!("{ARGV_HEX} is not for people")))?;
        words = std::iter::once(program).chain(decoded).collect();
        if words.get(1).is_some_and(|word| word == "export") {
            words.remove(1);
        }
    }
    if words.len() < 2 {
        words.push("--help".into());
    }
    Ok(words)
}

fn decode_hex(hex: &[u8]) -> Option<Vec<OsString>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !hex.len().is_multiple_of(2) {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        hex.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    Some(bytes?.split(|&byte| byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect())
}

fn perform(cli: Cli) -> ExitCode {
    let terminal = match &cli.verb {
        Verb::Container(words) | Verb::Plan(words) => Terminal::new(&words.talk),
        Verb::Run(words) => Terminal::plain(words.quiet),
        Verb::Env(_)
        | Verb::Inspect(_)
        | Verb::Verify(_)
        | Verb::Why(_)
        | Verb::Diff(_)
        | Verb::Hook(_)
        | Verb::Demo(_) => Terminal::plain(false),
    };
    let result = Context::new().and_then(|context| dispatch(&context, cli.verb, &terminal));
    terminal.abandon();
    result.unwrap_or_else(|error| diagnose::report(&error, &terminal))
}

fn dispatch(context: &Context, verb: Verb, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    logger::start(context)?;
    match verb {
        Verb::Container(words) => container::container(context, &words, terminal)?,
        Verb::Plan(words) => return plan::plan(context, &words, terminal),
        Verb::Env(words) => env_verb::env(context, &words, terminal)?,
        Verb::Inspect(words) => inspect::inspect(&words)?,
        Verb::Verify(words) => return verify::verify(context, &words, terminal),
        Verb::Diff(words) => diff::diff(&words)?,
        Verb::Why(words) => return why::why(&words, terminal),
        Verb::Hook(words) => hook::hook(context, &words)?,
        Verb::Demo(words) => demo::demo(context, &words, terminal)?,
        Verb::Run(words) => return run::run(context, &words, terminal),
    }
    Ok(ExitCode::SUCCESS)
}

/// The command line's definition, for completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn words_that_lmod_hands_over_are_those_that_were_typed() {
        let hex = |words: &[&str]| {
            words.join("\0").bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
        };
        for (words, want) in [
            (
                &["export-container", "-a", "Jane \"D\" Doe\n", ""][..],
                &["export-container", "-a", "Jane \"D\" Doe\n", ""][..],
            ),
            (&["export", "env", "x"], &["env", "x"]),
            (&["export"], &["--help"]),
        ] {
            let argv = ["module-export", ARGV_HEX, &hex(words)].map(OsString::from).to_vec();
            assert_eq!(typed(argv).unwrap()[1..], *want);
        }
        for bad in ["6", "zz", "+1"] {
            assert!(typed(["m", ARGV_HEX, bad].map(OsString::from).to_vec()).is_err(), "{bad}");
        }
    }
}
