//! The Lua machine: running modulefiles and rc files, and what their errors mean.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, StdLib, Value, Variadic};

use crate::stack::LuaVersion;

use super::dialect;
use super::error::EvaluationError;
use super::evaluator::Evaluator;
use super::features::Feature;
use super::limits::Signal;
use super::names::{NameRules, Names, rc};

/// The name under which Lua knows every modulefile.
const CHUNK: &str = "modulefile";

/// Beginning of the name under which Lua knows a site's file; its number follows.
pub(super) const SITE_CHUNK: &str = "site file ";

const DIALECT: &str = include_str!("../../lua/embedded/dialect.lua");
const STRINGS: &str = include_str!("../../lua/embedded/strings.lua");
const OWN: &str = include_str!("../../lua/embedded/own.lua");

/// Where [`new`] leaves what `own.lua` keeps for our own Lua code.
pub(super) const KEPT: &str = "module-export own";

/// A machine with the libraries that Lmod's sandbox draws from, as `version` has them.
pub(super) fn new(version: LuaVersion) -> mlua::Result<Lua> {
    let libraries = StdLib::STRING
        | StdLib::TABLE
        | StdLib::MATH
        | StdLib::OS
        | StdLib::IO
        | StdLib::COROUTINE
        | StdLib::UTF8;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    let joint: Value = lua
        .load(DIALECT)
        .set_name("=lua/embedded/dialect.lua")
        .call((version.to_string(), version.name()))?;
    lua.load(STRINGS).set_name("=lua/embedded/strings.lua").exec()?;
    let own: Value = lua.load(OWN).set_name("=lua/embedded/own.lua").eval()?;
    lua.set_named_registry_value(KEPT, own)?;
    lua.globals().raw_set(dialect::JOINT, joint)?;
    Ok(lua)
}

/// The text for our Lua.
pub(super) fn translate<'t>(evaluator: &Evaluator, text: &'t [u8]) -> mlua::Result<Cow<'t, [u8]>> {
    dialect::translate(text, evaluator.request.options.lua).map_err(|refused| {
        let message = format!("{CHUNK}:{}: {refused}", refused.line);
        mlua::Error::SyntaxError { message, incomplete_input: false }
    })
}

/// Names that the machine matches with patterns.
pub(super) fn names(lua: &Lua, rules: NameRules) -> Names {
    let mut names = Names::new(rules);
    let machine = lua.clone();
    names.match_by(Box::new(move |name, pattern| matches(&machine, name, pattern)));
    names
}

/// Whether `name` has a part that the Lua pattern matches; if the pattern is none, why.
fn matches(lua: &Lua, name: &str, pattern: &str) -> Result<bool, String> {
    let find = || lua.globals().get::<mlua::Table>("string")?.get::<Function>("find");
    let found = find().and_then(|find| find.call::<Option<i64>>((name, pattern)));
    found.map(|at| at.is_some()).map_err(|error| message(&error).0)
}

/// The text of a modulefile as a function whose globals are the sandbox's.
pub(super) fn chunk(evaluator: &Evaluator, text: &[u8]) -> mlua::Result<Function> {
    let Some(sandbox) = evaluator.sandbox.get() else {
        return evaluator.lua.create_function(|_, ()| Ok(()));
    };
    let make = |text: &[u8]| {
        let chunk = evaluator.lua.load(text).set_name(format!("={CHUNK}"));
        chunk.set_mode(ChunkMode::Text).set_environment(sandbox.clone()).into_function()
    };
    match translate(evaluator, text)? {
        Cow::Borrowed(text) => make(text),
        // A chain of very many concatenations is too long with joints in it.
        Cow::Owned(new) => make(&new).or_else(|error| make(text).map_err(|_| error)),
    }
}

/// Runs the text of a modulefile in the sandbox.
pub(super) fn run_modulefile(evaluator: &Evaluator, text: &[u8]) -> mlua::Result<()> {
    chunk(evaluator, text)?.call(())
}

/// Runs the text of an rc file and returns what it says.
pub(super) fn run_rc(
    evaluator: &Evaluator,
    path: &Path,
    text: &[u8],
) -> mlua::Result<Vec<rc::Line>> {
    let begun = evaluator.watch.enter(&path.to_string_lossy(), path);
    evaluator.tell(Some(begun));
    let lines = RefCell::new(Vec::new());
    let result = evaluator.lua.scope(|scope| {
        let environment = super::api::rc_environment(scope, evaluator, &lines)?;
        environment
            .raw_set(dialect::JOINT, evaluator.lua.globals().raw_get::<Value>(dialect::JOINT)?)?;
        evaluator
            .lua
            .load(&*translate(evaluator, text)?)
            .set_name(format!("={CHUNK}"))
            .set_mode(ChunkMode::Text)
            .set_environment(environment)
            .exec()
    });
    if let Err(failure) = result {
        let ended = error(evaluator, &failure);
        let harmless = evaluator.rules.have(Feature::RcErrorsWarn)
            && !evaluator.watch.has_ended()
            && matches!(ended, EvaluationError::Lua { .. });
        if !harmless {
            return Err(evaluator.watch.end(ended));
        }
        evaluator.warn(ended.to_string());
    }
    evaluator.tell(evaluator.watch.leave());
    Ok(lines.into_inner())
}

/// The line of a modulefile that made the call being served.
pub(super) fn current_line(lua: &Lua) -> Option<u32> {
    (0..8).find_map(|level| {
        lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let ours = source.short_src.as_deref() == Some(CHUNK);
            ours.then(|| debug.current_line()).flatten()
        })
        .flatten()
        .and_then(|line| u32::try_from(line).ok())
    })
}

/// The file and line of modulefile or site's file that made the call being served.
pub(super) fn place(evaluator: &Evaluator) -> (PathBuf, Option<u32>) {
    let found = (0..12).find_map(|level| {
        let frame = evaluator.lua.inspect_stack(level, |debug| {
            let source = debug.source().short_src.as_deref().map(str::to_owned);
            (source, debug.current_line().and_then(|line| u32::try_from(line).ok()))
        });
        let (source, line) = frame?;
        let source = source?;
        if source == CHUNK {
            return Some((evaluator.watch.file(), line));
        }
        Some((site_file(evaluator, &source)?, line))
    });
    found.unwrap_or_else(|| (evaluator.watch.file(), None))
}

/// The site's file that Lua knows by this name.
pub(super) fn site_file(evaluator: &Evaluator, name: &str) -> Option<PathBuf> {
    let number: usize = name.strip_prefix(SITE_CHUNK)?.parse().ok()?;
    evaluator.site_files.borrow().get(number).cloned()
}

/// Whether the error is that a site's file uses something that we do not have.
pub(super) fn is_unsupported(error: &mlua::Error) -> bool {
    error.downcast_ref::<Signal>() == Some(&Signal::Unsupported)
}

/// Whether the error is `LmodBreak`.
pub(super) fn is_break(error: &mlua::Error) -> bool {
    error.downcast_ref::<Signal>() == Some(&Signal::Break)
}

/// Whether the error is a table: Lmod takes all of them for `LmodBreak`'s, and reports none.
pub(super) fn is_table(error: &mlua::Error) -> bool {
    let mlua::Error::RuntimeError(text) = error else { return false };
    let text = text.split("\nstack traceback:").next().unwrap_or_default();
    let address = text.strip_prefix("table: 0x");
    address.is_some_and(|address| address.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether the error is that memory is used up.
pub(super) fn is_memory(error: &mlua::Error) -> bool {
    error
        .chain()
        .any(|one| matches!(one.downcast_ref::<mlua::Error>(), Some(mlua::Error::MemoryError(_))))
}

/// What a failed modulefile means.
pub(super) fn error(evaluator: &Evaluator, error: &mlua::Error) -> EvaluationError {
    let (mut message, mut line) = message(error);
    let (mut file, chain) = (evaluator.watch.file(), evaluator.watch.chain());
    if let Some((name, rest)) = message.split_once(':')
        && let Some(own) = site_file(evaluator, name)
        && let Some((number, rest)) = rest.split_once(':')
    {
        (file, line) = (own, number.parse().ok());
        message = rest.trim_start().to_owned();
    }
    if is_memory(error) {
        let memory = crate::base::ByteSize(evaluator.request.limits.memory_bytes);
        let (what, reason) = ("the modulefile".to_owned(), format!("at {memory} of memory"));
        return EvaluationError::Limit { what, reason, file, line, chain };
    }
    if message.contains("C stack overflow") {
        let (what, reason) = ("a recursion".to_owned(), "at Lua's limit of 200 calls".to_owned());
        return EvaluationError::Limit { what, reason, file, line, chain };
    }
    EvaluationError::Lua { message, file, line, chain }
}

/// Lua's message without position and trace, and the line.
pub(super) fn message(error: &mlua::Error) -> (String, Option<u32>) {
    let (text, trace) = match error {
        mlua::Error::CallbackError { traceback, cause } => {
            let mut cause = cause;
            while let mlua::Error::CallbackError { cause: inner, .. } = &**cause {
                cause = inner;
            }
            (text_of(cause), traceback.clone())
        }
        other => (text_of(other), String::new()),
    };
    let text = text.split("\nstack traceback:").next().unwrap_or_default().to_owned();
    match split_position(&text) {
        Some((line, rest)) => (rest.to_owned(), Some(line)),
        None => (text, position_in(&trace)),
    }
}

fn text_of(error: &mlua::Error) -> String {
    match error {
        mlua::Error::RuntimeError(text)
        | mlua::Error::MemoryError(text)
        | mlua::Error::SyntaxError { message: text, .. } => text.clone(),
        other => other.to_string(),
    }
}

/// `modulefile:12: text`.
fn split_position(text: &str) -> Option<(u32, &str)> {
    let rest = text.strip_prefix(CHUNK)?.strip_prefix(':')?;
    let (line, rest) = rest.split_once(':')?;
    Some((line.parse().ok()?, rest.trim_start()))
}

fn position_in(trace: &str) -> Option<u32> {
    trace.lines().find_map(|line| split_position(line.trim()).map(|(line, _)| line))
}

/// What `pcall` of the sandbox returns: a failure that it may not catch goes on.
pub(super) fn after_pcall(
    evaluator: &Evaluator,
    results: Variadic<mlua::Value>,
) -> mlua::Result<Variadic<mlua::Value>> {
    if evaluator.watch.has_ended() {
        return Err(mlua::Error::external(Signal::End));
    }
    let mut results = results;
    if let [mlua::Value::Boolean(false), reason] = results.as_mut_slice() {
        let memory = match reason {
            mlua::Value::Error(error) => is_memory(error),
            mlua::Value::String(text) => text.as_bytes() == b"not enough memory",
            _ => false,
        };
        if memory {
            let failure = mlua::Error::MemoryError("not enough memory".to_owned());
            let ended = error(evaluator, &failure);
            return Err(evaluator.watch.end(ended));
        }
        // Lua's own functions fail with a text, and so do ours; a signal must stay one.
        if let mlua::Value::Error(error) = reason
            && error.downcast_ref::<Signal>().is_none()
        {
            *reason = mlua::Value::String(evaluator.lua.create_string(message(error).0)?);
        }
    }
    Ok(results)
}
