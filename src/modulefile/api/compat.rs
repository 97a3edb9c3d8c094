//! What Lua itself gives to modulefiles, where it must differ from Lua's own; rc files.

use std::cell::RefCell;
use std::path::Path;

use mlua::{Value, Variadic};

use super::super::evaluator::Evaluator;
use super::super::features::Feature;
use super::super::names::rc::Line;
use super::super::vm;
use super::{Host, scalar};

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
    let texts = move |function: &str, words: Variadic<Value>| evaluator.rc_texts(function, &words);
    host.define("module_version", move |_, words: Variadic<Value>| {
        if words.first().is_some_and(|module| !module.is_string()) {
            return Err(evaluator.refuse("module_version: it needs strings".to_owned()));
        }
        let mut words = texts("module_version", words)?.into_iter();
        add(words.next().map(|module| Line::Version { module, names: words.collect() }))
    })?;
    host.define("module_alias", move |_, (name, target): (Value, Value)| {
        let words = Variadic::from_iter([name, target]);
        match <[String; 2]>::try_from(texts("module_alias", words)?) {
            Ok([name, target]) => add(Some(Line::Alias { name, target })),
            // Older versions take half an alias and make nothing of it.
            Err(_) => Ok(()),
        }
    })?;
    if evaluator.rules.have(Feature::RcVirtual) {
        host.define("module_virtual", move |_, (name, target): (Value, Value)| {
            let words = Variadic::from_iter([name, target]);
            match <[String; 2]>::try_from(texts("module_virtual", words)?) {
                Ok([name, target]) => add(Some(Line::Virtual { name, target })),
                Err(_) => Ok(()),
            }
        })?;
    }
    for function in ["hide_version", "hide_modulefile"] {
        host.define(function, move |_, what: Value| {
            let words = texts(function, Variadic::from_iter([what]))?;
            add(words.into_iter().next().map(Line::Hide))
        })?;
    }
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

impl Evaluator<'_> {
    /// The arguments of a function of rc files. Newer versions take strings only.
    fn rc_texts(&self, function: &str, words: &[Value]) -> mlua::Result<Vec<String>> {
        if self.rules.have(Feature::RcTypesChecked) && !words.iter().all(Value::is_string) {
            return Err(self.refuse(format!("{function}: its arguments must be strings")));
        }
        let texts = words.iter().map(|word| scalar(self.lua, word));
        Ok(texts.collect::<mlua::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}
