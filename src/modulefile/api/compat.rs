//! What Lua itself gives to modulefiles, where it must differ from Lua's own; rc files.

use std::cell::RefCell;

use mlua::{Value, Variadic};

use super::super::evaluator::Evaluator;
use super::super::features::Feature;
use super::super::names::rc::Line;
use super::super::vm;
use super::{Host, string};

pub(super) fn install<'env>(
    host: &Host<'_, 'env>,
    evaluator: &'env Evaluator<'_>,
) -> mlua::Result<()> {
    host.define("after_pcall", move |_, results: Variadic<Value>| {
        vm::after_pcall(evaluator, results)
    })?;
    host.define("read_file", move |lua, path: String| {
        evaluator.state.borrow_mut().files_read.insert(path.clone().into());
        match std::fs::read(&path) {
            Ok(text) => Ok((Some(lua.create_string(text)?), None)),
            Err(error) => Ok((None, Some(format!("cannot open {path}: {error}")))),
        }
    })
}

/// Functions of rc files.
pub(super) fn install_rc<'env>(
    host: &Host<'_, 'env>,
    evaluator: &'env Evaluator<'_>,
    lines: &'env RefCell<Vec<Line>>,
) -> mlua::Result<()> {
    let add = move |line: Option<Line>| {
        lines.borrow_mut().extend(line);
        Ok(())
    };
    host.define("module_version", move |_, words: Variadic<String>| {
        let mut words = words.into_iter();
        add(words.next().map(|module| Line::Version { module, names: words.collect() }))
    })?;
    host.define("module_alias", move |_, (name, target): (String, String)| {
        add(Some(Line::Alias { name, target }))
    })?;
    host.define("hide_version", move |_, name: String| add(Some(Line::Hide(name))))?;
    host.define("hide_modulefile", move |_, path: String| add(Some(Line::Hide(path))))?;
    if evaluator.rules.have(Feature::Hide) {
        host.define("hide", move |_, what: Value| add(named(&what)?.map(Line::Hide)))?;
        host.define("forbid", move |_, what: Value| add(named(&what)?.map(Line::Forbid)))?;
    }
    Ok(())
}

/// The name in `hide{name="x/1"}`, where it holds at all times and for everybody.
fn named(what: &Value) -> mlua::Result<Option<String>> {
    let Value::Table(table) = what else { return Ok(string(what)) };
    for condition in ["before", "after", "userA", "groupA", "notUserA", "notGroupA"] {
        if !table.raw_get::<Value>(condition)?.is_nil() {
            return Ok(None);
        }
    }
    Ok(string(&table.raw_get("name")?))
}
