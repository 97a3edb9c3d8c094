//! Functions that change variables.

use mlua::{MultiValue, Value};

use crate::environment::{ListEdit, Operation, Where, leak, path};

use super::super::evaluator::Evaluator;
use super::super::features::Feature;
use super::super::source_sh::ShellChange;
use super::super::state::{Mode, State};
use super::{Act, Call, Host, modes, number, scalar, string};

/// Variables that list the site's rc files.
const RC_LISTS: [&str; 3] = ["LMOD_MODULERC", "LMOD_MODULERCFILE", "MODULERCFILE"];

pub(super) fn install<'env>(
    host: &Host<'_, 'env>,
    evaluator: &'env Evaluator<'_>,
) -> mlua::Result<()> {
    host.define("setenv", move |_, arguments| evaluator.setenv(arguments))?;
    host.define("pushenv", move |_, arguments| evaluator.pushenv(arguments))?;
    host.define("unsetenv", move |_, arguments| evaluator.unsetenv(arguments))?;
    for (name, kind) in [
        ("prepend_path", PathCall::Prepend),
        ("append_path", PathCall::Append),
        ("remove_path", PathCall::Remove),
    ] {
        host.define(name, move |_, arguments| evaluator.path_call(name, kind, arguments))?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathCall {
    Prepend,
    Append,
    Remove,
}

/// A call on a path variable, checked.
struct PathArguments {
    variable: String,
    value: String,
    delimiter: String,
    priority: f64,
    no_duplicates: bool,
    force: bool,
}

impl Evaluator<'_> {
    fn setenv(&self, arguments: MultiValue) -> mlua::Result<()> {
        let Some((call, variable)) = self.variable_call("setenv", arguments, 2..=3)? else {
            return Ok(());
        };
        let Some(value) = scalar(self.lua, &call.get(1))? else {
            return self.report(wrong_value("setenv"));
        };
        let respect = !matches!(call.get(2), Value::Nil | Value::Boolean(false));
        match call.act(self.mode()) {
            Act::Do if respect && self.state.borrow_mut().getenv(&variable).is_some() => {}
            Act::Do => self.set_variable(&variable, Some(value)),
            Act::Undo => {
                // A number is never what the environment holds.
                let same = call.get(1).is_string()
                    && self.state.borrow_mut().getenv(&variable).as_ref() == Some(&value);
                let kept = respect && !same;
                if !kept {
                    self.undo_variable(&variable);
                }
            }
            Act::Nothing => {}
        }
        Ok(())
    }

    fn unsetenv(&self, arguments: MultiValue) -> mlua::Result<()> {
        let Some((call, variable)) = self.variable_call("unsetenv", arguments, 1..=2)? else {
            return Ok(());
        };
        // Older versions: only if it has this value.
        let respect = !matches!(call.get(2), Value::Nil | Value::Boolean(false));
        let kept =
            respect && self.state.borrow_mut().getenv(&variable) != scalar(self.lua, &call.get(1))?;
        if call.act(self.mode()) == Act::Do && !kept {
            self.set_variable(&variable, None);
        }
        Ok(())
    }

    fn pushenv(&self, arguments: MultiValue) -> mlua::Result<()> {
        let Some((call, variable)) = self.variable_call("pushenv", arguments, 2..=2)? else {
            return Ok(());
        };
        let value = match call.get(1) {
            Value::Boolean(false) => None,
            Value::Boolean(true) | Value::Integer(_) | Value::Number(_)
                if !self.rules.have(Feature::PushesNumbers) =>
            {
                return Err(mlua::Error::RuntimeError(
                    "pushenv: this Lmod takes strings and false only".to_owned(),
                ));
            }
            value => match scalar(self.lua, &value)? {
                None => return self.report(wrong_value("pushenv")),
                some => some,
            },
        };
        match call.act(self.mode()) {
            Act::Do => self.push_variable(&variable, value),
            Act::Undo => self.pop_variable(&variable)?,
            Act::Nothing => {}
        }
        Ok(())
    }

    /// The call with the name of the variable that it is about; `None` if it is wrong.
    fn variable_call(
        &self,
        function: &str,
        arguments: MultiValue,
        number: std::ops::RangeInclusive<usize>,
    ) -> mlua::Result<Option<(Call, String)>> {
        let call = Call::new(arguments)?;
        let named = string(&call.get(0)).filter(|_| call.table.is_none() || self.knows_tables());
        let Some(variable) = named else {
            self.report(format!("{function}: its first argument must be the name of a variable"))?;
            return Ok(None);
        };
        let variable = trimmed(&variable).to_owned();
        if self.is_bad_name(function, &variable)? {
            return Ok(None);
        }
        let count = call.arguments.len();
        if count < *number.start() || (self.knows_tables() && count > *number.end()) {
            self.report(format!("{function}: wrong number of arguments"))?;
            return Ok(None);
        }
        // Older versions take other things than strings as the last argument only.
        let rest = call.arguments.iter().enumerate().skip(1);
        let wrong = rest.into_iter().any(|(at, argument)| {
            let text = argument.is_string();
            !text && !(is_value(argument) && (self.knows_tables() || at + 1 == count))
        });
        if wrong {
            self.report(wrong_value(function))?;
            return Ok(None);
        }
        if !self.are_modes_known(function, &call)? {
            return Ok(None);
        }
        self.check_keys(function, &call)?;
        Ok(Some((call, variable)))
    }

    /// Sets or unsets a variable.
    pub(in super::super) fn set_variable(&self, variable: &str, value: Option<String>) {
        let operation = value.clone().map_or(Operation::Unset, Operation::Set);
        self.assign(variable, value, operation);
    }

    /// Unsets a variable while unloading. Newer versions go on seeing the former value.
    pub(in super::super) fn undo_variable(&self, variable: &str) {
        let keeps =
            self.rules.have(Feature::UndoneStaysVisible) && self.state.borrow().uses(variable);
        if keeps {
            self.state.borrow_mut().getenv(variable);
        }
        self.set_variable(variable, None);
        if keeps {
            self.state.borrow_mut().keep_in_environment(variable);
        }
    }

    fn assign(&self, variable: &str, value: Option<String>, operation: Operation) {
        {
            let mut state = self.state.borrow_mut();
            state.edit(&self.rules, variable, ":", |one| one.set(value));
            state.note(variable, operation);
        }
        self.has_changed(variable);
    }

    fn has_changed(&self, variable: &str) {
        if variable == "MODULEPATH" {
            let mut state = self.state.borrow_mut();
            state.modulepath_has_changed();
            self.names.borrow_mut().set_modulepath(state.modulepath());
        } else if RC_LISTS.contains(&variable) && self.rules.have(Feature::RcListsAct) {
            let list = self.state.borrow_mut().getenv(variable);
            self.change_rc(list);
        }
    }

    fn push_variable(&self, variable: &str, value: Option<String>) {
        let mut stack = self.saved_values(variable);
        let now = self.state.borrow_mut().getenv(variable);
        // Lmod does not write down that the first value put aside is an empty one.
        let lost = stack.is_empty() && now.as_deref() == Some("");
        if self.rules.have(Feature::PushesOldValue) {
            if !lost {
                stack.insert(0, now);
            }
        } else {
            // The newest entry is the value itself, the one below what it replaced.
            if stack.is_empty() && now.is_some() && !lost {
                stack.insert(0, now);
            }
            stack.insert(0, value.clone());
        }
        self.state.borrow_mut().set_stack(variable, stack);
        let operation = value.clone().map_or(Operation::Unset, Operation::Push);
        self.assign(variable, value, operation);
    }

    fn pop_variable(&self, variable: &str) -> mlua::Result<()> {
        let mut stack = self.saved_values(variable);
        let top = if stack.is_empty() { None } else { stack.remove(0) };
        let value = if self.rules.have(Feature::PushesOldValue) {
            top
        } else {
            stack.first().cloned().flatten()
        };
        self.state.borrow_mut().set_stack(variable, stack);
        let oldest = !self.rules.have(Feature::DelimitersCollapse);
        if oldest && value.as_deref() == Some("") {
            let reason = "pushenv: this Lmod cannot read the empty value that it put aside";
            return Err(mlua::Error::RuntimeError(reason.to_owned()));
        }
        self.set_variable(variable, value);
        Ok(())
    }

    /// What `pushenv` has put aside for a variable, in this evaluation or before.
    fn saved_values(&self, variable: &str) -> Vec<Option<String>> {
        let mut state = self.state.borrow_mut();
        if let Some(stack) = state.stack(variable) {
            return stack.clone();
        }
        let text = state.getenv(&format!("__LMOD_STACK_{variable}")).unwrap_or_default();
        text.split(':').filter(|one| !one.is_empty()).map(decode).collect()
    }

    fn path_call(&self, function: &str, kind: PathCall, arguments: MultiValue) -> mlua::Result<()> {
        let mut call = Call::new(arguments)?;
        if !self.knows_tables() {
            call.modes.clear();
        }
        let Some(mut arguments) = self.path_arguments(function, &call)? else { return Ok(()) };
        if kind == PathCall::Remove && self.knows_tables() {
            // Newer versions overlook the third argument here.
            arguments.delimiter = string(&call.key("delim")?).unwrap_or_else(|| ":".to_owned());
        }
        let (kind, at) = match (call.act(self.mode()), kind) {
            (Act::Nothing, _) => return Ok(()),
            (Act::Do, kind) => (kind, Where::All),
            (Act::Undo, PathCall::Prepend) => (PathCall::Remove, Where::First),
            (Act::Undo, PathCall::Append) => (PathCall::Remove, Where::Last),
            (Act::Undo, PathCall::Remove) => (PathCall::Remove, Where::All),
        };
        if arguments.delimiter.is_empty() && self.has_elements(&arguments) {
            let message = format!("{function}: an empty delimiter separates nothing");
            return Err(mlua::Error::RuntimeError(message));
        }
        self.edit_path(&arguments, kind, at);
        Ok(())
    }

    /// Whether the call would have to take a text apart by its own delimiter.
    fn has_elements(&self, arguments: &PathArguments) -> bool {
        let mut state = self.state.borrow_mut();
        let name = &arguments.variable;
        let is_there = |state: &mut State| state.getenv(name).is_some_and(|old| !old.is_empty());
        !state.is_list(name) && (!arguments.value.is_empty() || is_there(&mut state))
    }

    fn path_arguments(&self, function: &str, call: &Call) -> mlua::Result<Option<PathArguments>> {
        let texts = (string(&call.get(0)), string(&call.get(1)));
        let (Some(variable), Some(value)) = texts else {
            self.report(format!("{function}: its arguments must be strings"))?;
            return Ok(None);
        };
        let variable = if self.knows_tables() { variable } else { trimmed(&variable).to_owned() };
        if self.knows_tables() && (call.arguments.len() > 3 || !is_string_or_nil(&call.get(2))) {
            self.report(format!("{function}: wrong number or type of arguments"))?;
            return Ok(None);
        }
        if !self.are_modes_known(function, call)? {
            return Ok(None);
        }
        self.check_keys(function, call)?;
        let third = string(&call.get(2)).or(string(&call.key("delim")?));
        let priority = call.key("priority")?;
        let odd = number(&priority).is_none() && !priority.is_nil();
        if odd && self.knows_tables() {
            self.report(format!("{function}: a priority must be a number"))?;
            return Ok(None);
        }
        let priority = number(&priority).unwrap_or(0.0);
        if priority.is_nan() {
            let reason = format!("{function}: a priority must be a number");
            return Err(mlua::Error::RuntimeError(reason));
        }
        if self.is_bad_name(function, &variable)? {
            return Ok(None);
        }
        if !self.knows_tables() && priority != 0.0 && priority < 10.0 {
            self.report(format!("{function}: a priority must be 0 or at least 10"))?;
            return Ok(None);
        }
        let Some(value) = self.clean_value(&variable, value) else {
            if self.knows_tables() {
                self.report(format!("{function}: nothing to add to {variable}"))?;
            }
            return Ok(None);
        };
        let asked = !matches!(call.key("nodups")?, Value::Nil | Value::Boolean(false));
        Ok(Some(PathArguments {
            no_duplicates: self.rules.no_duplicates(&variable, asked),
            variable,
            value,
            delimiter: third.unwrap_or_else(|| ":".to_owned()),
            priority,
            force: !matches!(call.key("force")?, Value::Nil | Value::Boolean(false)),
        }))
    }

    fn is_bad_name(&self, function: &str, variable: &str) -> mlua::Result<bool> {
        let bad = self.rules.have(Feature::NamesChecked) && !leak::is_shell_name(variable);
        if bad {
            self.report(format!("{function}: `{variable}` is no name for a variable"))?;
        }
        Ok(bad)
    }

    /// Newer versions refuse keys that they do not know.
    fn check_keys(&self, function: &str, call: &Call) -> mlua::Result<()> {
        let variable = string(&call.get(0)).unwrap_or_default();
        let chosen = call.modes.iter().any(|mode| mode != "normal") || call.modes.len() > 1;
        if chosen && variable.eq_ignore_ascii_case("MODULEPATH") {
            self.report(format!("{function}: {variable} cannot depend on the mode"))?;
        }
        let Some(table) = call.table.as_ref().filter(|_| self.knows_tables()) else {
            return Ok(());
        };
        // `mode` is another name of `modeA`, where there is none.
        let other_name = modes(table, "modeA")?.is_empty() && !modes(table, "mode")?.is_empty();
        for pair in table.pairs::<Value, Value>() {
            let Some(key) = string(&pair?.0) else { continue };
            let known = ["n", "delim", "modeA", "priority", "kind"].contains(&key.as_str());
            let known = known || (key == "mode" && other_name);
            if !known && !key.starts_with('_') {
                self.report(format!("{function}: unknown key `{key}`"))?;
            }
        }
        Ok(())
    }

    /// Takes colons around and doubled off the value of the most used variables (newer ones). `None`:
    /// nothing is left to do.
    fn clean_value(&self, variable: &str, value: String) -> Option<String> {
        let cleaned = ["PATH", "LD_LIBRARY_PATH", "LIBRARY_PATH", "MODULEPATH"];
        if !self.rules.have(Feature::ColonsCleaned) || !cleaned.contains(&variable) {
            return Some(value);
        }
        let parts: Vec<&str> = trimmed(&value).split(':').filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join(":"))
    }

    fn edit_path(&self, arguments: &PathArguments, kind: PathCall, at: Where) {
        let PathArguments { variable, value, delimiter, no_duplicates, force, .. } = arguments;
        let sign = match (kind, at) {
            (PathCall::Prepend, _) | (PathCall::Remove, Where::First) => -1.0,
            _ => 1.0,
        };
        let edit =
            ListEdit { value, no_duplicates: *no_duplicates, priority: sign * arguments.priority };
        {
            let mut state = self.state.borrow_mut();
            if kind != PathCall::Remove || !state.uses(variable) {
                state.make_list(&self.rules, variable, delimiter, *no_duplicates);
            }
            let operation = state.edit(&self.rules, variable, delimiter, |one| match kind {
                PathCall::Prepend => Operation::Prepend(one.prepend(edit)),
                PathCall::Append => Operation::Append(one.append(edit)),
                PathCall::Remove => Operation::Remove(one.remove(edit, at, *force)),
            });
            state.note(variable, operation);
        }
        self.has_changed(variable);
    }
}

/// Does what a sourced script did, or undoes it.
pub(in super::super) fn apply_shell_change(evaluator: &Evaluator, change: &ShellChange) {
    let load = evaluator.mode() == Mode::Load;
    let element = |variable: &str, value: &str| PathArguments {
        no_duplicates: evaluator.rules.no_duplicates(variable, false),
        variable: variable.to_owned(),
        value: value.to_owned(),
        delimiter: ":".to_owned(),
        priority: 0.0,
        force: false,
    };
    match change {
        ShellChange::Set(variable, value) => {
            if load {
                evaluator.set_variable(variable, Some(value.clone()));
            } else {
                evaluator.undo_variable(variable);
            }
        }
        ShellChange::Prepend(variable, value) => {
            let kind = if load { PathCall::Prepend } else { PathCall::Remove };
            evaluator.edit_path(&element(variable, value), kind, Where::First);
        }
        ShellChange::Append(variable, value) => {
            let kind = if load { PathCall::Append } else { PathCall::Remove };
            evaluator.edit_path(&element(variable, value), kind, Where::Last);
        }
    }
}

fn wrong_value(function: &str) -> String {
    format!("{function}: its value must be a string, number or boolean")
}

fn is_value(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Integer(_) | Value::Number(_) | Value::Boolean(_))
}

/// Without Lua's blanks at both ends.
fn trimmed(text: &str) -> &str {
    text.trim_matches(path::is_space)
}

fn is_string_or_nil(value: &Value) -> bool {
    value.is_string() || value.is_nil()
}

/// An entry of `__LMOD_STACK_X`.
fn decode(entry: &str) -> Option<String> {
    use base64::Engine;
    if entry == "false" {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(entry).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
