//! Functions that require and exclude modules.

use mlua::{MultiValue, Value};

use crate::environment::leak;

use super::super::evaluator::Evaluator;
use super::super::features::Feature;
use super::super::names::Choice;
use super::super::naming::{Name, Realm, Resolved, weight};
use super::super::state::{FamilySwap, Mode, Status};
use super::Host;
use super::load::show;

pub(super) fn install<'env>(
    host: &Host<'_, 'env>,
    evaluator: &'env Evaluator<'_>,
) -> mlua::Result<()> {
    let ev = evaluator;
    host.define("prereq", move |_, arguments| ev.prereq("prereq", arguments))?;
    host.define("prereq_any", move |_, arguments| ev.prereq("prereq_any", arguments))?;
    host.define("conflict", move |_, arguments| ev.conflict(arguments))?;
    host.define("family", move |_, name: Value| ev.family(&name))
}

impl Evaluator<'_> {
    fn prereq(&self, function: &str, arguments: MultiValue) -> mlua::Result<()> {
        if self.rules.auto_handling && self.rules.have(Feature::AutoHandling) {
            return match function {
                "prereq" => self.depends_on(arguments),
                _ => self.depends_on_any(arguments),
            };
        }
        let arguments: Vec<Value> = arguments.into_iter().collect();
        let names = self.module_names(function, Realm::Session, &arguments)?;
        let Some(names) = names.filter(|_| self.mode() == Mode::Load) else { return Ok(()) };
        let mut lacking = Vec::new();
        let count = names.len();
        for mut name in names {
            if !self.is_satisfied(&mut name)? {
                lacking.push(name);
            }
        }
        if lacking.is_empty() || (function == "prereq_any" && lacking.len() < count) {
            return Ok(());
        }
        let origin = self.state.borrow().origin();
        let which = if function == "prereq" { "these modules" } else { "one of these modules" };
        Err(self.refuse(format!("`{origin}` needs {which} loaded first: {}", show(&lacking))))
    }

    fn is_satisfied(&self, name: &mut Name) -> mlua::Result<bool> {
        self.look_up(name)?;
        if name.choice == Choice::Latest {
            let wanted = name.resolved.as_ref().map(Resolved::full_name);
            let state = self.state.borrow();
            let entry = name.short_name().and_then(|name| state.module(name));
            let entry = entry.filter(|entry| entry.status != Status::Inactive);
            return Ok(entry.is_some_and(|entry| Some(&entry.full_name) == wanted.as_ref()));
        }
        let state = self.state.borrow();
        let Some(short_name) = name.short_name() else { return Ok(false) };
        let entry = state.module(short_name).filter(|one| one.status != Status::Inactive);
        let Some(entry) = entry else { return Ok(false) };
        if let Some(bounds) = name.bounds() {
            return Ok(bounds.contain(&weight(&entry.full_name, short_name)));
        }
        let rest = entry.full_name.strip_prefix(&name.user);
        Ok(name.user == short_name
            || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    fn conflict(&self, arguments: MultiValue) -> mlua::Result<()> {
        let arguments: Vec<Value> = arguments.into_iter().collect();
        if !self.rules.have(Feature::Ranges) && self.strings("conflict", &arguments)?.is_none() {
            return Ok(());
        }
        let names = self.module_names("conflict", Realm::Session, &arguments)?;
        let Some(names) = names.filter(|_| self.mode() == Mode::Load) else { return Ok(()) };
        let mut found = Vec::new();
        for name in &names {
            let mut name = name.clone();
            self.look_up(&mut name)?;
            if self.is_in_conflict(&name) {
                found.push(name);
            }
        }
        let origin = self.state.borrow().origin();
        if !found.is_empty() {
            let message = format!(
                "`{origin}` cannot be loaded together with what is loaded: {}",
                show(&found)
            );
            return Err(self.refuse(message));
        }
        let mut state = self.state.borrow_mut();
        let own = state.frames.last().map(|frame| frame.short_name.clone()).unwrap_or_default();
        state.edit_module(&own, |entry| entry.conflicts.extend(names));
        Ok(())
    }

    fn is_in_conflict(&self, name: &Name) -> bool {
        let state = self.state.borrow();
        let Some(short_name) = name.short_name() else { return false };
        let entry = state.module(short_name).filter(|one| one.status == Status::Active);
        let Some(entry) = entry else { return false };
        if let Some(bounds) = name.bounds() {
            return bounds.contain(&weight(&entry.full_name, short_name));
        }
        name.user == short_name || name.user == entry.full_name
    }

    fn family(&self, name: &Value) -> mlua::Result<()> {
        let Some(names) = self.strings("family", std::slice::from_ref(name))? else {
            return Ok(());
        };
        let Some(family) = names.into_iter().next() else { return Ok(()) };
        if self.rules.have(Feature::NamesChecked) && !leak::is_shell_name(&family) {
            return self.report(format!("family: `{family}` is no name for a family"));
        }
        let prefixes = std::iter::once("LMOD".to_owned()).chain(self.site_name()?);
        let variables: Vec<String> =
            prefixes.map(|prefix| format!("{prefix}_FAMILY_{}", family.to_uppercase())).collect();
        let Some(frame) = self.state.borrow().frames.last().cloned() else { return Ok(()) };
        if self.mode() == Mode::Unload {
            for variable in &variables {
                self.undo_variable(variable);
                self.undo_variable(&format!("{variable}_VERSION"));
            }
            self.state.borrow_mut().set_family(&family, None);
            return Ok(());
        }
        self.replace_family_member(&family, &frame.short_name, &frame.full_name)?;
        let number = frame.version.unwrap_or_else(|| "false".to_owned());
        for variable in &variables {
            self.set_variable(variable, Some(frame.short_name.clone()));
            self.set_variable(&format!("{variable}_VERSION"), Some(number.clone()));
        }
        let mut state = self.state.borrow_mut();
        state.set_family(&family, Some(&frame.short_name));
        state.edit_module(&frame.short_name, |entry| entry.families.push(family));
        Ok(())
    }

    fn replace_family_member(&self, family: &str, new: &str, full_name: &str) -> mlua::Result<()> {
        let old = self.state.borrow().family(family).cloned();
        let Some(old) = old.filter(|old| old != new && !self.rules.expert) else { return Ok(()) };
        if !self.rules.auto_swap {
            let message = format!(
                "`{full_name}` and `{old}` are both of the family `{family}`: only one may be loaded"
            );
            return Err(self.refuse(message));
        }
        let mut state = self.state.borrow_mut();
        let user_name = |name: &str| state.module(name).map(|one| one.user_name.clone());
        let (old_user, new_user) = (user_name(&old), user_name(new));
        if let Some(old_user) = old_user {
            state.requested.remove(&old_user);
        }
        state.family_swaps.push(FamilySwap {
            old,
            new: new.to_owned(),
            new_full_name: full_name.to_owned(),
            new_user_name: new_user.unwrap_or_default(),
        });
        Ok(())
    }
}
