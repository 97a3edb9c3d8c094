//! What Lua itself gives to modulefiles, where it must differ from Lua's own; rc files.

use std::cell::RefCell;
use std::path::Path;

use mlua::{Value, Variadic};

use super::super::evaluator::Evaluator;
use super::super::features::Feature;
use super::super::names::rc::Line;
use super::super::vm;
use super::Host;

pub(super) fn install<'env>(
    host: &Host<'_, 'env>,
    evaluator: &'env Evaluator<'_>,
) -> mlua::Result<()> {
    host.define("after_pcall", move |_, results: Variadic<Value>| {
        vm::after_pcall(evaluator, results)
    })?;
    host.define("read_file", move |lua, path: String| match evaluator.contents(Path::new(&path)) {
        Ok(text) => Ok((Some(lua.create_string(text)?), None)),
        Err(reason) => Ok((None, Some(format!("cannot open {path}: {reason}")))),
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
    if evaluator.rules.have(Feature::RcVirtual) {
        host.define("module_virtual", move |_, (name, target): (String, String)| {
            add(Some(Line::Virtual { name, target }))
        })?;
    }
    host.define("hide_version", move |_, name: String| add(Some(Line::Hide(name))))?;
    host.define("hide_modulefile", move |_, path: String| add(Some(Line::Hide(path))))?;
    for (name, since) in [
        ("hide", Feature::Hide),
        ("forbid", Feature::Hide),
        ("hideRegex", Feature::HidePatterns),
        ("forbidRegex", Feature::HidePatterns),
    ] {
        if evaluator.rules.have(since) {
            host.define(name, move |_, what: Value| {
                let said = evaluator.conditional(name, &what)?;
                lines.borrow_mut().extend(said);
                Ok(())
            })?;
        }
    }
    Ok(())
}
