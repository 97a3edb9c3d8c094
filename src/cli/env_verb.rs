//! `env`: modulefiles evaluated, and the environment that they make.

use std::io::Write as _;

use serde_json::json;

use super::args::{EnvFormat, EnvVerb};
use super::collections;
use super::context::Context;
use super::diagnose::Failure;
use super::freeze;
use super::hook::{csh_quoted, fish_quoted};
use super::terminal::Terminal;
use super::wish::{self, Wish};
use crate::base::Escaped;
use crate::environment::{Variables, leak};
use crate::modulefile::{Evaluation, EvaluationError, Limits, Options, Request};
use crate::session::Collection;

/// Prints the environment.
pub(super) fn env(context: &Context, words: &EnvVerb, terminal: &Terminal) -> anyhow::Result<()> {
    let evaluation = if words.clean {
        evaluate_clean(context, words, terminal)?
    } else if !words.modules.is_empty() && words.evaluation.collection.is_none() {
        evaluate_on_top(context, words, terminal)?
    } else {
        let wish = Wish {
            modules: words.modules.clone(),
            generic: false,
            evaluation: words.evaluation.clone(),
        };
        let mut context = context.clone();
        context.environment.extend(words.modulepath.clone().map(|p| ("MODULEPATH".to_owned(), p)));
        freeze::freeze(&context, &wish)?.evaluation
    };
    for message in &evaluation.messages {
        let text = format!("{}: {}", Escaped(&message.origin), Escaped(message.text.trim()));
        if message.warning { terminal.warning(&text) } else { terminal.say(&text) }
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(printed(&evaluation, words.format)?.as_bytes())?;
    Ok(stdout.flush()?)
}

/// The session as it is, and then the modules named, as Lmod would load them now.
fn evaluate_on_top(
    context: &Context,
    words: &EnvVerb,
    terminal: &Terminal,
) -> anyhow::Result<Evaluation> {
    let mut environment = context.environment.clone();
    environment.extend(words.modulepath.clone().map(|path| ("MODULEPATH".to_owned(), path)));
    if environment.get("MODULEPATH").is_none_or(String::is_empty) {
        return Err(Failure::NoModulepath.into());
    }
    let (lmod_version, options) = wish::options(&words.evaluation, &environment);
    let request = Request {
        environment,
        load: words.modules.clone(),
        pins: Vec::new(),
        pinned_only: false,
        lmod_version,
        limits: Limits { time: context.evaluation_time, ..Limits::default() },
        options: Options { continues: true, ..options },
    };
    Ok(evaluated(context, &request, terminal)?.unwrap_or_default())
}

/// The process's environment, without modules that are loaded in it.
fn evaluate_clean(
    context: &Context,
    words: &EnvVerb,
    terminal: &Terminal,
) -> anyhow::Result<Evaluation> {
    let state = |name: &str| {
        name.starts_with("_ModuleTable")
            || name.starts_with("__LMOD_")
            || matches!(name, "LOADEDMODULES" | "_LMFILES_")
    };
    let mut environment: Variables = context
        .environment
        .iter()
        .filter(|(name, _)| !state(name))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    if let Some(modulepath) = &words.modulepath {
        environment.insert("MODULEPATH".to_owned(), modulepath.clone());
    }
    let name = words.evaluation.collection.as_ref();
    let collection = name.map(|name| collections::read(name, &environment)).transpose()?;
    if let Some(collection) = &collection {
        environment.insert("MODULEPATH".to_owned(), collection.table.modulepath.join(":"));
    }
    let nowhere = environment.get("MODULEPATH").is_none_or(String::is_empty);
    if nowhere && !words.modules.is_empty() {
        return Err(Failure::NoModulepath.into());
    }
    let (lmod_version, mut options) = wish::options(&words.evaluation, &environment);
    let mut load = words.modules.clone();
    if let Some(collection) = &collection {
        load = collections::names(collection, &environment);
        options.collection = Some(collection.file.clone());
    }
    let request = Request {
        environment,
        load,
        pins: Vec::new(),
        pinned_only: false,
        lmod_version,
        limits: Limits { time: context.evaluation_time, ..Limits::default() },
        options,
    };
    let Some(mut evaluation) = evaluated(context, &request, terminal)? else {
        return Ok(Evaluation::default());
    };
    if let Some(collection) = &collection {
        note_modulepath(&mut evaluation, collection, context);
    }
    Ok(evaluation)
}

/// `None` where a modulefile ends Lmod without a failure, and without any change.
fn evaluated(
    context: &Context,
    request: &Request,
    terminal: &Terminal,
) -> anyhow::Result<Option<Evaluation>> {
    match crate::modulefile::evaluate_in_child(&context.program, request, &context.interrupt) {
        Err(error @ EvaluationError::Exit { status: 0, .. }) => {
            terminal.warning(&error.to_string());
            Ok(None)
        }
        result => Ok(Some(result?)),
    }
}

/// The `MODULEPATH` with which a collection was restored is a change, too.
fn note_modulepath(evaluation: &mut Evaluation, collection: &Collection, context: &Context) {
    let path = collection.table.modulepath.join(":");
    if context.environment.get("MODULEPATH") != Some(&path) {
        evaluation.environment.entry("MODULEPATH".to_owned()).or_insert(Some(path));
    }
}

fn printed(evaluation: &Evaluation, format: EnvFormat) -> anyhow::Result<String> {
    if format == EnvFormat::Json {
        let modules = evaluation
            .modules
            .iter()
            .map(|module| json!({ "name": module.listed_name, "file": module.file }));
        let document =
            json!({ "modules": modules.collect::<Vec<_>>(), "env": evaluation.environment });
        return Ok(serde_json::to_string_pretty(&document)? + "\n");
    }
    let lines = evaluation.environment.iter().filter(|(name, _)| leak::is_shell_name(name));
    Ok(lines.map(|(name, value)| line(name, value.as_deref(), format)).collect())
}

fn line(name: &str, value: Option<&str>, format: EnvFormat) -> String {
    match (format, value) {
        (EnvFormat::Csh, Some(value)) => format!("setenv {name} {};\n", csh_quoted(value)),
        (EnvFormat::Csh, None) => format!("unsetenv {name};\n"),
        (EnvFormat::Fish, Some(value)) => format!("set -gx {name} {};\n", fish_quoted(value)),
        (EnvFormat::Fish, None) => format!("set -e {name};\n"),
        (EnvFormat::Sh | EnvFormat::Json, Some(value)) => {
            format!("export {name}={};\n", shell_words::quote(value))
        }
        (EnvFormat::Sh | EnvFormat::Json, None) => format!("unset {name};\n"),
    }
}
