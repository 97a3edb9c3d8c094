//! The functions that modulefiles call. What is not here is pure Lua, in `lua/embedded`.

mod compat;
mod conditions;
mod fileop;
mod info;
mod load;
mod path;
mod query;
mod relation;
mod site;

pub(super) use path::apply_shell_change;

use std::cell::RefCell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use mlua::{FromLua, FromLuaMulti, IntoLuaMulti, Lua, MultiValue, Scope, Table, Value};

use super::dialect::JOINT;
use super::evaluator::Evaluator;
use super::features::Feature;
use super::names::{Choice, rc};
use super::naming::{Name, Realm};
use super::state::Mode;
use super::vm;

const FILES: &str = include_str!("../../../lua/embedded/files.lua");
const SANDBOX: &str = include_str!("../../../lua/embedded/sandbox.lua");
const PACKAGE: &str = include_str!("../../../lua/embedded/pkg.lua");
const SITE: &str = include_str!("../../../lua/embedded/site.lua");
const LMOD: &str = include_str!("../../../lua/embedded/lmod.lua");

/// Makes the globals of modulefiles, and those of a site's own files and of what modulefiles load
/// themselves.
pub(super) fn install<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    evaluator: &'env Evaluator<'_>,
) -> mlua::Result<()> {
    let lua = evaluator.lua;
    let host = Host { scope, table: lua.create_table()? };
    path::install(&host, evaluator)?;
    load::install(&host, evaluator)?;
    relation::install(&host, evaluator)?;
    info::install(&host, evaluator)?;
    query::install(&host, evaluator)?;
    fileop::install(&host, evaluator)?;
    compat::install(&host, evaluator)?;
    site::install(&host, evaluator)?;
    host.table.raw_set("own", lua.named_registry_value::<Value>(vm::KEPT)?)?;
    let files: Table = embedded(lua, "files", FILES)?.call(&host.table)?;
    let sandbox: Table = embedded(lua, "sandbox", SANDBOX)?.call((&host.table, &files))?;
    let package: Table = embedded(lua, "pkg", PACKAGE)?.call((&host.table, &sandbox))?;
    sandbox.raw_set("Pkg", package)?;
    sandbox.raw_set(JOINT, lua.globals().raw_get::<Value>(JOINT)?)?;
    let site: Table = embedded(lua, "site", SITE)?.call((&host.table, &sandbox, &files))?;
    embedded(lua, "lmod", LMOD)?.call::<()>((&host.table, &sandbox, &site))?;
    site.get::<mlua::Function>("seal")?.call::<()>(())?;
    drop(evaluator.sandbox.set(sandbox));
    drop(evaluator.site.set(site));
    Ok(())
}

fn embedded(lua: &Lua, name: &str, text: &str) -> mlua::Result<mlua::Function> {
    lua.load(text).set_name(format!("=lua/embedded/{name}.lua")).into_function()
}

/// Globals of rc files; calls are added to `lines`.
pub(super) fn rc_environment<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    evaluator: &'env Evaluator<'_>,
    lines: &'env RefCell<Vec<rc::Line>>,
) -> mlua::Result<Table> {
    let host = Host { scope, table: evaluator.lua.create_table()? };
    compat::install_rc(&host, evaluator, lines)?;
    // Chunks that an rc file loads have them, too.
    if let Some(site) = evaluator.site.get() {
        let globals: Table = site.get("globals")?;
        for pair in host.table.pairs::<Value, Value>() {
            let (name, value) = pair?;
            globals.raw_set(name, value)?;
        }
    }
    if let Some(sandbox) = evaluator.sandbox.get() {
        let subset = |library: &str, names: &str| -> mlua::Result<()> {
            let (from, to): (Table, _) = (sandbox.get(library)?, evaluator.lua.create_table()?);
            for name in names.split(' ') {
                to.set(name, from.get::<Value>(name)?)?;
            }
            host.table.set(library, to)
        };
        subset("os", "clock difftime time date getenv execute")?;
        subset("io", "stderr open close write")?;
        let newer = evaluator.rules.have(Feature::RcRequires);
        let loading = if newer { &["loadfile", "require"][..] } else { &[] };
        for name in ["pathJoin", "isDir", "isFile", "myConfig"].iter().chain(loading) {
            host.table.set(*name, sandbox.get::<Value>(*name)?)?;
        }
    }
    Ok(host.table)
}

/// Functions that live as long as the evaluation.
pub(super) struct Host<'scope, 'env: 'scope> {
    scope: &'scope Scope<'scope, 'env>,
    table: Table,
}

impl<'scope> Host<'scope, '_> {
    fn define<A, R>(
        &self,
        name: &str,
        function: impl Fn(&Lua, A) -> mlua::Result<R> + 'scope,
    ) -> mlua::Result<()>
    where
        A: FromLuaMulti,
        R: IntoLuaMulti,
    {
        self.table.set(name, self.scope.create_function(function)?)
    }
}

/// What a call does in the present mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// What it says.
    Do,
    /// The reverse.
    Undo,
    /// Nothing.
    Nothing,
}

/// A call's arguments, in list or table form.
#[derive(Debug)]
struct Call {
    arguments: Vec<Value>,
    table: Option<Table>,
    modes: Vec<String>,
}

impl Call {
    fn new(arguments: MultiValue) -> mlua::Result<Self> {
        let arguments: Vec<Value> = arguments.into_iter().collect();
        if let [Value::Table(table), ..] = arguments.as_slice()
            && !is_name(table)?
        {
            let arguments = table.sequence_values().collect::<mlua::Result<_>>()?;
            let mut modes = modes(table, "modeA")?;
            if modes.is_empty() {
                modes = self::modes(table, "mode")?;
            }
            return Ok(Self { arguments, table: Some(table.clone()), modes });
        }
        Ok(Self { arguments, table: None, modes: Vec::new() })
    }

    fn get(&self, index: usize) -> Value {
        self.arguments.get(index).cloned().unwrap_or(Value::Nil)
    }

    fn key(&self, name: &str) -> mlua::Result<Value> {
        self.table.as_ref().map_or(Ok(Value::Nil), |table| table.raw_get(name))
    }

    fn act(&self, mode: Mode) -> Act {
        if self.modes.is_empty() || self.modes.iter().any(|one| one == "normal") {
            return if mode == Mode::Load { Act::Do } else { Act::Undo };
        }
        let now = if mode == Mode::Load { "load" } else { "unload" };
        if self.modes.iter().any(|one| one == now) { Act::Do } else { Act::Nothing }
    }
}

fn modes(table: &Table, key: &str) -> mlua::Result<Vec<String>> {
    match table.raw_get(key)? {
        Value::Table(modes) => {
            modes.sequence_values::<mlua::LuaString>().map(|mode| Ok(text(&mode?))).collect()
        }
        _ => Ok(Vec::new()),
    }
}

/// Whether the table is what `atleast`, `between` and the like give.
fn is_name(table: &Table) -> mlua::Result<bool> {
    Ok(table.raw_get::<Value>("__waterMark")?.as_string().is_some_and(|mark| mark == "MName"))
}

/// Lua's text as ours; bytes that are not UTF-8 are replaced, NUL is left out as shells do.
pub(super) fn text(value: &mlua::LuaString) -> String {
    let mut text = value.to_string_lossy();
    text.retain(|c| c != '\0');
    text
}

/// A text that need not be UTF-8 in Lua.
struct Text(String);

impl FromLua for Text {
    fn from_lua(value: Value, lua: &Lua) -> mlua::Result<Self> {
        mlua::LuaString::from_lua(value, lua).map(|value| Self(text(&value)))
    }
}

/// The path or command that Lua's text is, byte for byte; but for NUL, which ends no such thing.
fn path_of(value: &mlua::LuaString) -> PathBuf {
    let bytes: Vec<u8> = value.as_bytes().iter().copied().filter(|byte| *byte != 0).collect();
    PathBuf::from(OsString::from_vec(bytes))
}

/// The text of a string argument.
fn string(value: &Value) -> Option<String> {
    match value {
        Value::String(value) => Some(text(value)),
        _ => None,
    }
}

/// A string, number or boolean as `tostring` writes it.
fn scalar(lua: &Lua, value: &Value) -> mlua::Result<Option<String>> {
    Ok(match value {
        Value::String(value) => Some(text(value)),
        Value::Boolean(value) => Some(value.to_string()),
        Value::Integer(_) | Value::Number(_) => {
            let write: mlua::Function = lua.globals().raw_get("tostring")?;
            Some(text(&write.call::<mlua::LuaString>(value)?))
        }
        _ => None,
    })
}

/// A number, or a text that is one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => Some(*number),
        #[allow(clippy::cast_precision_loss, reason = "priorities are small")]
        Value::Integer(number) => Some(*number as f64),
        Value::String(value) => text(value).trim().parse().ok(),
        _ => None,
    }
}

impl Evaluator<'_> {
    /// A call is wrong: an error while loading, a warning while unloading.
    fn report(&self, message: String) -> mlua::Result<()> {
        if self.mode() == Mode::Load {
            return Err(self.refuse(message));
        }
        self.warn(message);
        Ok(())
    }

    /// Warns whoever reads the messages.
    pub(super) fn warn(&self, text: String) {
        let mut state = self.state.borrow_mut();
        let origin = state.origin();
        state.messages.push(super::Message { origin, warning: true, text });
    }

    /// Whether the table form of calls on variables and loads is known.
    fn knows_tables(&self) -> bool {
        self.rules.have(Feature::Tables)
    }

    /// Whether the call's modes are such; reports it if one is none.
    fn are_modes_known(&self, function: &str, call: &Call) -> mlua::Result<bool> {
        let known = ["normal", "load", "unload"];
        match call.modes.iter().find(|mode| !known.contains(&mode.as_str())) {
            None => Ok(true),
            Some(mode) => {
                self.report(format!("{function}: `{mode}` is no mode"))?;
                Ok(false)
            }
        }
    }

    /// All arguments as strings; reports it if one is none.
    fn strings(&self, function: &str, arguments: &[Value]) -> mlua::Result<Option<Vec<String>>> {
        let texts: Option<Vec<String>> = arguments.iter().map(string).collect();
        if texts.is_none() {
            self.report(format!("{function}: its arguments must be strings"))?;
        }
        Ok(texts)
    }

    /// All arguments as names of modules; reports it if one is none.
    fn module_names(
        &self,
        function: &str,
        realm: Realm,
        arguments: &[Value],
    ) -> mlua::Result<Option<Vec<Name>>> {
        let mut names = Vec::new();
        for argument in arguments {
            match argument {
                Value::String(name) => names.push(Name::new(realm, &text(name))),
                Value::Table(table) if is_name(table)? => {
                    let newer = self.rules.have(Feature::Ranges);
                    let name = load::chosen_name(table, newer)?;
                    let there = newer && name.choice != Choice::Latest;
                    names.push(if there { Name { realm, ..name } } else { name });
                }
                _ => {
                    self.report(format!("{function}: its arguments must be names of modules"))?;
                    return Ok(None);
                }
            }
        }
        Ok(Some(names))
    }
}
