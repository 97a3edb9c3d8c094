//! Functions that ask: about modules, the environment, versions, and programs.

use mlua::{Lua, LuaString, Table, Value};

use super::super::evaluator::Evaluator;
use super::super::limits::Signal;
use super::super::names::version::canonical;
use super::super::naming::{Name, Realm};
use super::super::state::{Frame, Mode, Status};
use super::super::{error::EvaluationError, source_sh, vm};
use super::{Host, Text, path_of, string};

pub(super) fn install<'env>(
    host: &Host<'_, 'env>,
    evaluator: &'env Evaluator<'_>,
) -> mlua::Result<()> {
    install_modules(host, evaluator)?;
    install_own(host, evaluator)?;
    install_environment(host, evaluator)?;
    install_programs(host, evaluator)
}

fn install_modules<'env>(host: &Host<'_, 'env>, ev: &'env Evaluator<'_>) -> mlua::Result<()> {
    host.define("isloaded", move |_, name: Value| ev.isloaded(&name))?;
    host.define("isPending", move |_, name: Value| {
        let Some(name) = ev.one_name("isPending", &name, Realm::Session)? else { return Ok(false) };
        let state = ev.state.borrow();
        let Some(entry) = name.short_name().and_then(|one| state.module(one)) else {
            return Ok(false);
        };
        let named = Some(name.user.as_str()) == name.short_name() || name.user == entry.full_name;
        Ok(named && entry.status == Status::Pending)
    })?;
    host.define("isAvail", move |lua, name: Value| {
        let name = ev.one_name("isAvail", &name, Realm::Path)?;
        match name.and_then(|name| name.resolved).and_then(|resolved| resolved.file) {
            Some(file) => lua.create_string(file.as_os_str().as_encoded_bytes()).map(Value::String),
            None => Ok(Value::Boolean(false)),
        }
    })?;
    host.define("loaded_modules", move |lua, ()| ev.loaded_modules(lua))?;
    host.define("mode", move |_, ()| Ok(if ev.mode() == Mode::Load { "load" } else { "unload" }))?;
    host.define("moduleStackTraceBack", move |_, text: Option<Text>| {
        Ok(ev.trace_back(text.map(|text| text.0).as_deref()))
    })
}

fn install_own<'env>(host: &Host<'_, 'env>, ev: &'env Evaluator<'_>) -> mlua::Result<()> {
    host.define("myFileName", move |_, ()| {
        Ok(ev.frame().map(|frame| frame.file.to_string_lossy().into_owned()))
    })?;
    host.define("myModuleFullName", move |_, ()| Ok(ev.frame().map(|one| one.full_name)))?;
    host.define("myModuleName", move |_, ()| Ok(ev.frame().map(|one| one.short_name)))?;
    host.define("myModuleUsrName", move |_, ()| Ok(ev.frame().map(|one| one.user_name)))?;
    host.define("myModuleAliasName", move |_, ()| {
        let name = |frame: Frame| if frame.undotted { frame.full_name } else { frame.user_name };
        Ok(ev.frame().map(name))
    })?;
    host.define("myModuleVersion", move |lua, ()| {
        match ev.frame().and_then(|frame| frame.version) {
            Some(version) => Ok(Value::String(lua.create_string(version)?)),
            None => Ok(Value::Boolean(false)),
        }
    })?;
    host.define("requireFullName", move |_, ()| match ev.frame() {
        Some(frame) if frame.user_name != frame.full_name => ev.report(format!(
            "`{}` must be asked for by its full name, `{}`",
            frame.short_name, frame.full_name
        )),
        _ => Ok(()),
    })
}

fn install_environment<'env>(host: &Host<'_, 'env>, ev: &'env Evaluator<'_>) -> mlua::Result<()> {
    host.define("getenv", move |_, name: Text| Ok(ev.state.borrow_mut().getenv(&name.0)))?;
    host.define("set_private", move |_, (name, value): (Text, Option<Text>)| {
        ev.state.borrow_mut().set_private(&name.0, value.as_ref().map(|value| value.0.as_str()));
        Ok(())
    })?;
    host.define("LmodVersion", move |_, ()| Ok(ev.rules.version_text.clone()))?;
    host.define("since", move |_, (major, minor, patch): (u32, u32, u32)| {
        Ok(ev.rules.since(major, minor, patch))
    })?;
    host.define("convertToCanonical", |_, version: Option<mlua::LuaString>| {
        Ok(canonical(&version.map(|text| text.to_string_lossy()).unwrap_or_default()))
    })?;
    host.define("exit", move |_, status: Value| {
        let status = exit_status(&status)?;
        let line = vm::current_line(ev.lua);
        let (file, chain) = (ev.watch.file(), ev.watch.chain());
        Err::<(), _>(ev.watch.end(EvaluationError::Exit { status, file, line, chain }))
    })
}

/// The status that Lua's own `exit` makes of its argument.
fn exit_status(status: &Value) -> mlua::Result<u8> {
    let wrong =
        |what: &str| Err(mlua::Error::runtime(format!("bad argument #1 to 'exit' ({what})")));
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, and the system takes a byte"
    )]
    let byte = |number: f64| number.rem_euclid(256.0) as u8;
    let number = match status {
        Value::Nil => 0.0,
        Value::Boolean(well) => f64::from(u8::from(!well)),
        #[allow(clippy::cast_precision_loss, reason = "the system takes a byte")]
        Value::Integer(number) => number.rem_euclid(256) as f64,
        Value::Number(number) => *number,
        Value::String(text) => match text.to_string_lossy().trim().parse() {
            Ok(number) => number,
            Err(_) => return wrong("number expected, got string"),
        },
        other => return wrong(&format!("number expected, got {}", other.type_name())),
    };
    if number.fract() == 0.0 {
        Ok(byte(number))
    } else {
        wrong("number has no integer representation")
    }
}

fn install_programs<'env>(host: &Host<'_, 'env>, ev: &'env Evaluator<'_>) -> mlua::Result<()> {
    host.define("run", move |lua, (function, command, clean): (String, LuaString, bool)| {
        let text = super::text(&command);
        if is_log(&text) {
            // An export is no use of the module.
            ev.shell_text("logger", text);
            return Ok((lua.create_string("")?, true, 0));
        }
        let blank = [("LD_LIBRARY_PATH", ""), ("LD_PRELOAD", "")];
        let output =
            ev.run_command(&function, path_of(&command), if clean { &blank } else { &[] })?;
        Ok((lua.create_string(&output.stdout)?, output.success, output.code))
    })?;
    host.define("userInGroup", move |_, groups: mlua::Variadic<Text>| {
        ev.user_in(&groups.into_iter().map(|group| group.0).collect::<Vec<_>>())
    })?;
    host.define("identity", move |_, flag: String| ev.identity(&flag))?;
    host.define("source_sh", move |_, (shell, script): (Value, Value)| {
        match (string(&shell), string(&script)) {
            (Some(shell), Some(script)) => source_sh::source(ev, &shell, &script),
            _ => ev.report("source_sh: its arguments must be strings".to_owned()),
        }
    })?;
    host.define("check_end", move |_, ()| {
        if ev.watch.has_ended() { Err(mlua::Error::external(Signal::End)) } else { Ok(()) }
    })
}

/// Whether the command only tells the system's log.
fn is_log(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let logs = words.next().is_some_and(|program| program.rsplit('/').next() == Some("logger"));
    logs && !command.contains([';', '|', '\n', '`']) && !command.contains("$(")
}

impl Evaluator<'_> {
    /// The modulefiles that run as a table, the innermost first, below `heading`.
    fn trace_back(&self, heading: Option<&str>) -> String {
        let state = self.state.borrow();
        if state.frames.is_empty() {
            return String::new();
        }
        let rule = "-".repeat(15);
        let mut rows = vec![
            ("Module fullname".to_owned(), "Module Filename".to_owned()),
            (rule.clone(), rule),
        ];
        let frames = state.frames.iter().rev();
        rows.extend(frames.map(|one| (one.full_name.clone(), one.file.display().to_string())));
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let lines = rows.iter().map(|(name, file)| format!("    {name:width$}  {file}"));
        let heading = heading.unwrap_or("While processing the following module(s):\n");
        format!("{heading}{}", lines.collect::<Vec<_>>().join("\n"))
    }

    fn frame(&self) -> Option<Frame> {
        self.state.borrow().frames.last().cloned()
    }

    fn one_name(&self, function: &str, name: &Value, realm: Realm) -> mlua::Result<Option<Name>> {
        let texts = self.strings(function, std::slice::from_ref(name))?;
        let Some(text) = texts.and_then(|texts| texts.into_iter().next()) else {
            return Ok(None);
        };
        let mut name = Name::new(realm, &text);
        self.look_up(&mut name)?;
        Ok(Some(name))
    }

    fn isloaded(&self, name: &Value) -> mlua::Result<bool> {
        let Some(name) = self.one_name("isloaded", name, Realm::Session)? else {
            return Ok(false);
        };
        Ok(self.state.borrow().is_loaded(&name, &self.rules))
    }

    fn loaded_modules(&self, lua: &Lua) -> mlua::Result<Table> {
        let state = self.state.borrow();
        let list = lua.create_table()?;
        for short_name in state.in_order() {
            let Some(entry) = state.module(&short_name).filter(|one| one.status == Status::Active)
            else {
                continue;
            };
            let module = lua.create_table()?;
            module.set("sn", short_name)?;
            module.set("fullName", entry.full_name.as_str())?;
            module.set("name", entry.full_name.as_str())?;
            module.set("userName", entry.user_name.as_str())?;
            module.set("fn", entry.file.to_string_lossy())?;
            module.set("loadOrder", entry.order)?;
            module.set("stackDepth", entry.stack_depth)?;
            list.push(module)?;
        }
        Ok(list)
    }

    fn user_in(&self, groups: &[String]) -> mlua::Result<bool> {
        if rustix::process::geteuid().is_root() {
            return Ok(true);
        }
        let output = self.run_command("userInGroup", "groups", &[])?;
        let mine = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(mine.split_whitespace().any(|mine| groups.iter().any(|group| group == mine)))
    }
}
