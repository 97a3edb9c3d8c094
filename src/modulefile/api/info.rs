//! Functions that tell: messages, help, properties, and texts for the user's shell.

use std::collections::{BTreeMap, BTreeSet};

use mlua::chunk::ChunkMode;
use mlua::{MultiValue, Table, Value};

use super::super::evaluator::Evaluator;
use super::super::features::Feature;
use super::super::state::Mode;
use super::super::{Command, Message};
use super::{Host, Text, modes, scalar, string};

pub(super) fn install<'env>(
    host: &Host<'_, 'env>,
    evaluator: &'env Evaluator<'_>,
) -> mlua::Result<()> {
    let ev = evaluator;
    host.define("lmod_error", move |_, words| ev.lmod_error(words))?;
    host.define("lmod_system_error", move |_, words| Err::<(), _>(ev.refuse(ev.words(words)?)))?;
    host.define("lmod_warning", move |_, words| ev.message(true, words))?;
    host.define("lmod_message", move |_, words| ev.message(false, words))?;
    host.define("lmod_raw", move |_, words| ev.raw_message(words))?;
    host.define("whatis", move |_, words| {
        ev.describe("whatis", words, |entry, text| entry.whatis.push(text))
    })?;
    host.define("help", move |_, words| {
        ev.describe("help", words, |entry, text| {
            let help = entry.help.get_or_insert_default();
            help.push_str(&text);
        })
    })?;
    host.define("extensions", move |_, words| ev.describe("extensions", words, |_, _| ()))?;
    host.define("add_property", move |_, words| ev.property(words, true))?;
    host.define("remove_property", move |_, words| ev.property(words, false))?;
    host.define("execute", move |_, call: Value| ev.execute(&call))?;
    host.define("shell_text", move |_, (function, text): (String, Text)| {
        ev.shell_text(&function, text.0);
        Ok(())
    })?;
    for name in ["set_alias", "set_shell_function", "complete", "export_shell_function"] {
        host.define(name, move |_, words| ev.shell_definition(name, words))?;
    }
    for name in ["unset_alias", "unset_shell_function", "uncomplete"] {
        host.define(name, move |_, words| ev.shell_undefinition(name, words))?;
    }
    Ok(())
}

impl Evaluator<'_> {
    fn words(&self, words: MultiValue) -> mlua::Result<String> {
        let mut texts = Vec::new();
        for word in words {
            match &word {
                Value::Table(table) => {
                    let text = string(&table.raw_get("msg")?);
                    texts.extend(text.or(string(&table.raw_get(1)?)));
                }
                word => texts.extend(scalar(self.lua, word)?),
            }
        }
        Ok(texts.join(" ").trim_end().to_owned())
    }

    fn lmod_error(&self, words: MultiValue) -> mlua::Result<()> {
        let text = self.words(words)?;
        self.report(text)
    }

    fn message(&self, warning: bool, words: MultiValue) -> mlua::Result<()> {
        if self.is_quiet() {
            return Ok(());
        }
        let words: Vec<Value> = words.into_iter().collect();
        let sound = match words.as_slice() {
            [Value::Table(table)] => {
                let has = |key: &str| Ok::<_, mlua::Error>(string(&table.raw_get(key)?).is_some());
                has("msg")? || (warning && has("literal_msg")?)
            }
            [Value::Nil] => warning,
            // Words behind one that is nil are not looked at.
            words => words.iter().take_while(|word| !word.is_nil()).all(Value::is_string),
        };
        self.tell_user(warning, sound, words)
    }

    fn raw_message(&self, words: MultiValue) -> mlua::Result<()> {
        if self.is_quiet() {
            return Ok(());
        }
        let words: Vec<Value> = words.into_iter().collect();
        let sound = |word: &Value| word.is_string() || word.is_number() || word.is_integer();
        let sound = words.iter().all(sound);
        self.tell_user(false, sound, words)
    }

    fn is_quiet(&self) -> bool {
        let mut state = self.state.borrow_mut();
        ["LMOD_QUIET", "LMOD_EXPERT"].iter().any(|name| state.getenv(name).is_some())
    }

    fn tell_user(&self, warning: bool, sound: bool, words: Vec<Value>) -> mlua::Result<()> {
        if !sound {
            return Err(mlua::Error::runtime("the words of a message must be strings"));
        }
        let text = self.words(words.into_iter().collect())?;
        let mut state = self.state.borrow_mut();
        let origin = state.origin();
        state.messages.push(Message { origin, warning, text });
        Ok(())
    }

    fn describe(
        &self,
        function: &str,
        words: MultiValue,
        add: impl FnOnce(&mut super::super::state::Entry, String),
    ) -> mlua::Result<()> {
        let words: Vec<Value> = words.into_iter().collect();
        let Some(texts) = self.strings(function, &words)? else { return Ok(()) };
        if self.mode() == Mode::Load {
            let mut state = self.state.borrow_mut();
            let own = state.frames.last().map(|frame| frame.short_name.clone());
            state.edit_module(&own.unwrap_or_default(), |entry| add(entry, texts.join("")));
        }
        Ok(())
    }

    fn property(&self, words: MultiValue, add: bool) -> mlua::Result<()> {
        let words: Vec<Value> = words.into_iter().collect();
        let function = if add { "add_property" } else { "remove_property" };
        let Some(texts) = self.strings(function, &words)? else { return Ok(()) };
        let [name, values] = texts.as_slice() else {
            return self.report(format!("{function}: it needs a name and a value"));
        };
        if !add && self.mode() == Mode::Unload {
            return Ok(());
        }
        let name = name.trim();
        let values: Vec<&str> = values.split(':').collect();
        if self.properties.get().is_none() {
            drop(self.properties.set(known_properties(self)?));
        }
        let Some(known) = self.properties.get() else { return Ok(()) };
        let valid = known.get(name);
        if valid.is_none_or(|valid| values.iter().any(|value| !valid.contains(*value))) {
            let values = values.join(":");
            return self.report(format!("{function}: `{name}` = `{values}` is not declared"));
        }
        let add = add && self.mode() == Mode::Load;
        let mut state = self.state.borrow_mut();
        let own = state.frames.last().map(|frame| frame.short_name.clone()).unwrap_or_default();
        state.edit_module(&own, |entry| {
            let set = entry.properties.entry(name.to_owned()).or_default();
            for value in values {
                if add {
                    set.insert(value.to_owned());
                } else {
                    set.remove(value);
                }
            }
        });
        Ok(())
    }

    fn execute(&self, call: &Value) -> mlua::Result<()> {
        let parsed = match call {
            Value::Table(table) => {
                let command = string(&table.raw_get("cmd")?);
                let has_modes = table.raw_get::<Value>("modeA")?.is_table();
                command.filter(|_| has_modes).map(|command| (command, table.clone()))
            }
            _ => None,
        };
        let Some((command, table)) = parsed else {
            return self.report("execute: it needs `cmd` and `modeA`".to_owned());
        };
        let now = if self.mode() == Mode::Load { "load" } else { "unload" };
        if modes(&table, "modeA")?.iter().any(|one| one == now || one.eq_ignore_ascii_case("all")) {
            self.shell_text("execute", command);
        }
        Ok(())
    }

    /// Notes a text that the user's shell would run.
    pub(in super::super) fn shell_text(&self, function: &str, text: String) {
        let mut state = self.state.borrow_mut();
        let origin = state.origin();
        state.commands.push(Command { origin, function: function.to_owned(), text });
    }

    fn shell_definition(&self, function: &str, words: MultiValue) -> mlua::Result<()> {
        let words: Vec<Value> = words.into_iter().collect();
        let mut texts = Vec::new();
        for word in &words {
            texts.extend(scalar(self.lua, word)?);
        }
        if texts.len() < words.len() || texts.is_empty() {
            return self.report(format!("{function}: its arguments must be strings"));
        }
        if function == "complete" && texts.first().is_some_and(|shell| shell.trim() != "bash") {
            return Ok(());
        }
        let name = texts.first().map_or("", |name| name.trim()).to_owned();
        let load = self.mode() == Mode::Load;
        if matches!(function, "set_alias" | "set_shell_function") {
            if load && self.rules.have(Feature::AliasesChecked) && name.contains([' ', '\t']) {
                return self.report(format!("{function}: `{name}` is no name"));
            }
            let text = texts.get(1).filter(|_| load).cloned();
            self.state.borrow_mut().define(&self.rules, &name, text);
        }
        let text = texts.join(" ");
        if load {
            self.shell_text(function, text);
            return Ok(());
        }
        let mut state = self.state.borrow_mut();
        state.commands.retain(|one| !(one.function == function && one.text == text));
        Ok(())
    }

    fn shell_undefinition(&self, function: &str, words: MultiValue) -> mlua::Result<()> {
        let words: Vec<Value> = words.into_iter().collect();
        let Some(texts) = self.strings(function, &words)? else { return Ok(()) };
        if self.mode() == Mode::Load {
            if function != "uncomplete"
                && let Some(name) = texts.first()
            {
                self.state.borrow_mut().define(&self.rules, name.trim(), None);
            }
            self.shell_text(function, texts.join(" "));
        }
        Ok(())
    }
}

/// Properties that Lmod declares itself, and those of the site's `lmodrc.lua`.
fn known_properties(evaluator: &Evaluator) -> mlua::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut known: BTreeMap<String, BTreeSet<String>> = [
        ("state", "experimental testing obsolete"),
        ("lmod", "sticky"),
        ("arch", "mic offload gpu"),
        ("status", "active"),
    ]
    .into_iter()
    .map(|(name, values)| (name.to_owned(), values.split(' ').map(str::to_owned).collect()))
    .collect();
    for file in property_files(evaluator) {
        known.extend(declared_properties(evaluator, &file)?);
    }
    Ok(known)
}

/// Files that may declare properties, those that count most last.
fn property_files(evaluator: &Evaluator) -> Vec<String> {
    let get = |name: &str| evaluator.request.environment.get(name).cloned();
    let site = get("LMOD_CONFIG_DIR").unwrap_or_else(|| "/etc/lmod".to_owned());
    let mut files = vec![format!("{site}/lmodrc.lua"), "/etc/lmodrc.lua".to_owned()];
    files.extend(get("HOME").map(|home| format!("{home}/.lmodrc.lua")));
    let listed = get("LMOD_RC").unwrap_or_default();
    files.extend(listed.split(':').filter(|file| !file.is_empty()).map(str::to_owned));
    files.retain(|file| std::path::Path::new(file).is_file());
    files
}

fn declared_properties(
    evaluator: &Evaluator,
    file: &str,
) -> mlua::Result<BTreeMap<String, BTreeSet<String>>> {
    let lua = evaluator.lua;
    let text = evaluator.read_file(std::path::Path::new(file))?;
    // Lua passes over a first line that begins with `#`.
    let first = if text.starts_with(b"#") { text.iter().position(|&b| b == b'\n') } else { None };
    let text = text.get(first.unwrap_or(0)..).unwrap_or_default();
    let globals = lua.create_table()?;
    if let Some(sandbox) = evaluator.sandbox.get() {
        for pair in sandbox.pairs::<Value, Value>() {
            let (name, value) = pair?;
            globals.set(name, value)?;
        }
    }
    let translate = lua.create_function(|_, key: String| Ok(key))?;
    let require = lua.create_function(move |_, _: Value| Ok(translate.clone()))?;
    globals.set("require", require)?;
    lua.load(text).set_mode(ChunkMode::Text).set_environment(globals.clone()).exec()?;
    let mut declared = BTreeMap::new();
    if let Value::Table(properties) = globals.raw_get("propT")? {
        for pair in properties.pairs::<String, Table>() {
            let (name, property) = pair?;
            if let Value::Table(valid) = property.raw_get("validT")? {
                let values = valid.pairs::<String, Value>().map(|pair| Ok(pair?.0));
                declared.insert(name, values.collect::<mlua::Result<_>>()?);
            }
        }
    }
    Ok(declared)
}
