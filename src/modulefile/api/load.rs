//! Functions that load and unload modules.

use mlua::{Lua, MultiValue, Table, Value};

use super::super::Message;
use super::super::evaluator::Evaluator;
use super::super::features::Feature;
use super::super::limits::Signal;
use super::super::names::{Bounds, Choice};
use super::super::naming::{Name, Realm};
use super::super::state::Mode;
use super::{Act, Call, Host, string};

pub(super) fn install<'env>(
    host: &Host<'_, 'env>,
    evaluator: &'env Evaluator<'_>,
) -> mlua::Result<()> {
    let ev = evaluator;
    host.define("load", move |_, arguments| ev.load_call("load", Loads::Required, arguments))?;
    host.define("try_load", move |_, arguments| ev.load_call("try_load", Loads::Try, arguments))?;
    host.define("always_load", move |_, arguments| {
        ev.load_call("always_load", Loads::Always, arguments)
    })?;
    host.define("load_any", move |_, arguments| ev.load_any(arguments))?;
    host.define("unload", move |_, arguments| ev.unload_call(arguments))?;
    host.define("depends_on", move |_, arguments| ev.depends_on(arguments))?;
    host.define("depends_on_any", move |_, arguments| ev.depends_on_any(arguments))?;
    host.define("inherit", move |_, ()| ev.inherit())?;
    host.define("purge", move |_, _: MultiValue| ev.purge())?;
    host.define("lmod_break", move |_, message: Value| ev.lmod_break(&message))?;
    host.define("atleast", |lua, (name, low): (Value, Value)| {
        choice(lua, "atleast", [name, low, Value::Nil])
    })?;
    host.define("atmost", |lua, (name, high): (Value, Value)| {
        choice(lua, "atmost", [name, Value::Nil, high])
    })?;
    host.define("between", |lua, (name, low, high): (Value, Value, Value)| {
        choice(lua, "between", [name, low, high])
    })?;
    host.define("latest", |lua, name: Value| choice(lua, "latest", [name, Value::Nil, Value::Nil]))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loads {
    Required,
    Try,
    Always,
}

/// What `atleast` and the like give to Lua.
fn choice(lua: &Lua, action: &str, [name, low, high]: [Value; 3]) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("__waterMark", "MName")?;
    table.set("__action", action)?;
    table.set("__name", name)?;
    table.set("__low", low)?;
    table.set("__high", high)?;
    Ok(table)
}

/// The name in what `atleast` and the like gave. `newer` ones know `>` as well.
pub(super) fn chosen_name(table: &Table, newer: bool) -> mlua::Result<Name> {
    let name = string(&table.raw_get("__name")?).unwrap_or_default();
    let action = string(&table.raw_get("__action")?).unwrap_or_default();
    let choice = if action == "latest" {
        Choice::Latest
    } else {
        let bound = |value: Value, signs: &[char]| {
            let text = string(&value)?;
            let sign = signs.iter().copied().find(|c| text.starts_with(*c) || text.ends_with(*c));
            let bare = sign.map(|sign| text.replace(sign, ""));
            Some((bare.unwrap_or(text), sign.is_some()))
        };
        let low = if newer { &['<', '>'][..] } else { &['<'] };
        let lower = bound(table.raw_get("__low")?, low);
        let upper = bound(table.raw_get("__high")?, &['<']);
        Choice::Between(Bounds { lower, upper })
    };
    Ok(Name::choosing(Realm::Path, &name, choice))
}

impl Evaluator<'_> {
    /// In which realm a call of the load family looks its names up.
    fn load_realm(&self) -> Realm {
        if self.mode() == Mode::Load { Realm::Path } else { Realm::Session }
    }

    fn load_names(
        &self,
        function: &str,
        realm: Realm,
        arguments: MultiValue,
    ) -> mlua::Result<Option<(Call, Vec<Name>)>> {
        let mut call = Call::new(arguments)?;
        let depends = function.starts_with("depends_on");
        if call.table.is_some() && (depends || !self.knows_tables()) {
            self.report(format!("{function}: its arguments must be names of modules"))?;
            return Ok(None);
        }
        if !self.are_modes_known(function, &call)? {
            return Ok(None);
        }
        if !matches!(function, "load" | "try_load") {
            call.modes.clear();
        }
        // What is done while unloading, since the call says so, is done as when loading.
        let realm = if call.act(self.mode()) == Act::Do { Realm::Path } else { realm };
        let realm = if function == "unload" { Realm::Session } else { realm };
        let mut arguments = call.arguments.clone();
        if self.knows_tables() && !depends {
            arguments.retain(|one| one.is_string() || one.is_table());
        }
        let mut names = self.module_names(function, realm, &arguments)?;
        if realm == Realm::Session && self.rules.have(Feature::Ranges) {
            // What `atleast` and the like chose is not chosen again to be undone.
            names.iter_mut().flatten().for_each(|name| name.realm = realm);
        }
        Ok(names.map(|names| (call, names)))
    }

    /// Returns what Lmod's function does: whether all are loaded (`try_load` tells nothing), in
    /// unload mode for each name whether it was there.
    fn load_call(&self, function: &str, kind: Loads, arguments: MultiValue) -> mlua::Result<Value> {
        let call = self.load_names(function, self.load_realm(), arguments)?;
        let Some((call, mut names)) = call.filter(|_| !self.is_managed()) else {
            return self.list(&[]);
        };
        match (call.act(self.mode()), kind) {
            (Act::Nothing, _) | (Act::Undo, Loads::Always) => Ok(Value::Nil),
            (Act::Undo, _) => self.list(&self.unload_within(&mut names)?),
            (Act::Do, kind) => {
                let all = self.in_mode(Mode::Load, || match kind {
                    Loads::Try => self.load(&mut names),
                    _ => self.load_for_user(&mut names),
                })?;
                self.note_dependencies(&names);
                Ok(if kind == Loads::Try { Value::Nil } else { Value::Boolean(all) })
            }
        }
    }

    fn list(&self, flags: &[bool]) -> mlua::Result<Value> {
        self.lua.create_sequence_from(flags.iter().copied()).map(Value::Table)
    }

    fn load_any(&self, arguments: MultiValue) -> mlua::Result<Value> {
        let call = self.load_names("load_any", self.load_realm(), arguments)?;
        let Some((_, mut names)) = call.filter(|_| !self.is_managed()) else {
            return self.list(&[]);
        };
        if self.mode() == Mode::Unload {
            return self.list(&self.unload_within(&mut names)?);
        }
        for name in &mut names {
            self.load(std::slice::from_mut(name))?;
            self.look_up(name)?;
            if self.is_loaded(name) {
                self.note_dependencies(std::slice::from_ref(name));
                return Ok(Value::Nil);
            }
        }
        if self.request.pinned_only {
            return Ok(Value::Nil);
        }
        Err(self.refuse(format!("none of these modules can be loaded: {}", show(&names))))
    }

    fn unload_call(&self, arguments: MultiValue) -> mlua::Result<Value> {
        match self.load_names("unload", Realm::Session, arguments)? {
            Some((call, mut names))
                if call.act(self.mode()) != Act::Nothing && !self.is_managed() =>
            {
                self.list(&self.unload_within(&mut names)?)
            }
            _ => self.list(&[]),
        }
    }

    /// Whether modules of a collection are being loaded, so that they load nothing themselves.
    fn is_managed(&self) -> bool {
        self.request.options.collection.is_some() && self.mode() == Mode::Load
    }

    fn is_loaded(&self, name: &Name) -> bool {
        self.state.borrow().is_loaded(name, &self.rules)
    }

    /// Remembers which modules the running modulefile asked for.
    fn note_dependencies(&self, names: &[Name]) {
        let mut state = self.state.borrow_mut();
        let Some(frame) = state.frames.last() else { return };
        let own = frame.short_name.clone();
        for short_name in names.iter().filter_map(Name::short_name) {
            state.edit_module(&own, |entry| {
                if short_name != own && !entry.dependencies.contains_key(short_name) {
                    let place = entry.dependencies.len();
                    entry.dependencies.insert(short_name.to_owned(), place);
                }
            });
        }
    }

    pub(super) fn depends_on(&self, arguments: MultiValue) -> mlua::Result<()> {
        let call = self.load_names("depends_on", self.load_realm(), arguments)?;
        let Some((call, mut names)) = call.filter(|_| !self.is_managed()) else { return Ok(()) };
        match call.act(self.mode()) {
            Act::Nothing => Ok(()),
            Act::Undo => self.forgo(&mut names),
            Act::Do => self.depend(&mut names),
        }
    }

    fn depend(&self, names: &mut [Name]) -> mlua::Result<()> {
        let newer = self.rules.have(Feature::CountsDependants);
        let mut wanted = Vec::new();
        for name in names.iter_mut() {
            self.look_up(name)?;
            if !self.is_loaded(name) {
                name.depends = newer;
                wanted.push(name.clone());
            } else if newer {
                self.count_dependant(name);
            }
        }
        self.load_for_user(&mut wanted)?;
        for name in names.iter_mut() {
            self.look_up(name)?;
            if !newer {
                self.must_be_known(name)?;
                self.count_dependant(name);
            }
        }
        self.note_dependencies(names);
        Ok(())
    }

    /// Older versions stumble over a dependency that has a name and could not be loaded.
    fn must_be_known(&self, name: &Name) -> mlua::Result<()> {
        let known = name.short_name().is_none_or(|name| self.state.borrow().module(name).is_some());
        if known {
            return Ok(());
        }
        Err(mlua::Error::RuntimeError(format!("depends_on: `{}` was not loaded", name.show())))
    }

    fn count_dependant(&self, name: &Name) {
        let Some(short_name) = name.short_name() else { return };
        let newer = self.rules.have(Feature::CountsDependants);
        self.state.borrow_mut().edit_module(short_name, |entry| {
            let counted =
                if newer { entry.reference_count.is_some() } else { entry.stack_depth > 0 };
            if counted {
                entry.reference_count = Some(entry.reference_count.unwrap_or(0) + 1);
            }
        });
    }

    /// Undoes `depends_on`: what nobody depends on any more is unloaded.
    fn forgo(&self, names: &mut [Name]) -> mlua::Result<()> {
        let newer = self.rules.have(Feature::CountsDependants);
        let mut unneeded = Vec::new();
        for name in names {
            self.look_up(name)?;
            let Some(short_name) = name.short_name() else { continue };
            let mut state = self.state.borrow_mut();
            let mut gone = false;
            state.edit_module(short_name, |entry| {
                entry.reference_count = entry.reference_count.map(|count| count - 1);
                gone = match entry.reference_count {
                    None => !newer && entry.stack_depth > 0,
                    Some(count) => count < 1 && (newer || entry.stack_depth > 0),
                };
            });
            if gone {
                unneeded.push(name.clone());
            }
        }
        self.unload_within(&mut unneeded)?;
        Ok(())
    }

    pub(super) fn depends_on_any(&self, arguments: MultiValue) -> mlua::Result<()> {
        let call = self.load_names("depends_on_any", self.load_realm(), arguments)?;
        let Some((call, mut names)) = call.filter(|_| !self.is_managed()) else { return Ok(()) };
        match call.act(self.mode()) {
            Act::Nothing => Ok(()),
            Act::Undo => self.forgo_any(&mut names),
            Act::Do => self.depend_on_any(&mut names),
        }
    }

    fn depend_on_any(&self, names: &mut [Name]) -> mlua::Result<()> {
        let mut first = None;
        for name in names.iter_mut() {
            self.look_up(name)?;
            if self.is_loaded(name) {
                self.count_dependant(name);
                first = Some(name.clone());
                break;
            }
        }
        if first.is_none() {
            first = names.iter().find(|name| name.resolved.is_some()).cloned();
            if let Some(name) = &mut first {
                name.depends = true;
                self.load_for_user(std::slice::from_mut(name))?;
            }
        }
        let Some(chosen) = first else {
            if self.request.pinned_only {
                return Ok(());
            }
            let message = format!("depends_on_any: none of {} can be loaded", show(names));
            return Err(self.refuse(message));
        };
        let short_name = chosen.short_name().unwrap_or_default().to_owned();
        self.note_dependencies(&[chosen]);
        let mut state = self.state.borrow_mut();
        let own = state.frames.last().map(|frame| frame.short_name.clone()).unwrap_or_default();
        state.edit_module(&own, |entry| entry.any_chosen.push(short_name));
        Ok(())
    }

    fn forgo_any(&self, names: &mut [Name]) -> mlua::Result<()> {
        let chosen = {
            let mut state = self.state.borrow_mut();
            let own = state.frames.last().map(|frame| frame.short_name.clone());
            let mut chosen = None;
            state.edit_module(&own.unwrap_or_default(), |entry| chosen = entry.any_chosen.pop());
            chosen
        };
        for name in names {
            self.look_up(name)?;
            if chosen.is_some() && name.short_name() == chosen.as_deref() {
                return self.forgo(std::slice::from_mut(name));
            }
        }
        Ok(())
    }

    fn inherit(&self) -> mlua::Result<()> {
        let Some(frame) = self.state.borrow().frames.last().cloned() else { return Ok(()) };
        let own = frame.short_name.clone();
        let file = if self.mode() == Mode::Unload {
            let mut file = None;
            self.state.borrow_mut().edit_module(&own, |entry| file = entry.inherited.pop());
            file
        } else {
            self.scan_modulepath()?;
            self.names.borrow().inherited(&frame.full_name, &frame.file)
        };
        let Some(file) = file else {
            let message = format!("no further `{}` to inherit from", frame.full_name);
            return self.report(message);
        };
        let mut name = Name::new(Realm::Path, &frame.full_name);
        name.resolved = Some(super::super::naming::Resolved {
            short_name: own.clone(),
            version: frame.version,
            file: Some(file.clone()),
            ..Default::default()
        });
        self.state.borrow_mut().push_frame(&name);
        self.evaluate_file(&frame.full_name, &file)?;
        let mut state = self.state.borrow_mut();
        state.pop_frame();
        if state.mode == Mode::Load {
            state.edit_module(&own, |entry| entry.inherited.push(file));
        }
        Ok(())
    }

    fn purge(&self) -> mlua::Result<()> {
        if self.mode() == Mode::Unload || self.is_managed() {
            return Ok(());
        }
        let loaded = self.state.borrow().in_order();
        let mut names: Vec<Name> =
            loaded.iter().rev().map(|name| Name::new(Realm::Session, name)).collect();
        self.unload_for_user(&mut names, false)
    }

    fn lmod_break(&self, message: &Value) -> mlua::Result<()> {
        let optional = self.rules.have(Feature::BreakIsSuccess) && message.is_nil();
        if !optional && self.strings("LmodBreak", std::slice::from_ref(message))?.is_none() {
            return Ok(());
        }
        let message = string(message);
        if self.mode() == Mode::Unload {
            return Ok(());
        }
        let mut state = self.state.borrow_mut();
        let origin = state.origin();
        if let Some(text) = message.filter(|text| !text.is_empty()) {
            state.messages.push(Message { origin, warning: false, text });
        }
        if let Some(frame) = state.frames.last().cloned() {
            let asked = if self.rules.have(Feature::BreakIsSuccess) {
                frame.user_name
            } else {
                frame.short_name
            };
            state.requested.remove(&asked);
        }
        // Where names are searched is not undone: Lmod, too, goes on with what it has scanned
        // until `MODULEPATH` changes again.
        state.roll_back();
        Err(mlua::Error::external(Signal::Break))
    }
}

pub(super) fn show(names: &[Name]) -> String {
    let names: Vec<String> = names.iter().map(Name::show).collect();
    names.join(", ")
}
