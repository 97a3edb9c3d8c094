//! The globals of modulefiles are those of Lmod's `sandbox.lua`, no more and no fewer.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use super::oracle::{Load, lmod, lmod_version};

/// Names that Lmod's table of globals has, dotted for those in tables.
fn lmods_globals() -> BTreeSet<String> {
    let text = fs::read_to_string(lmod().with_file_name("sandbox.lua")).unwrap();
    let (_, body) = text.split_once("local sandbox_env = {").unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let code: Vec<&str> =
        body.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let mut names = BTreeSet::new();
    let mut table: Option<String> = None;
    for item in code.join("\n").split(',') {
        let Some((left, right)) = item.split_once('=') else { continue };
        let name = left.trim().trim_end_matches('}').trim();
        let (name, right) = match right.split_once('{') {
            Some((_, first)) if first.contains('=') => {
                names.insert(name.to_owned());
                table = Some(name.to_owned());
                first.split_once('=').map(|(name, right)| (name.trim(), right)).unwrap()
            }
            _ => (name, right),
        };
        let full = match &table {
            Some(table) => format!("{table}.{name}"),
            None => name.to_owned(),
        };
        names.insert(full);
        if right.contains('}') {
            table = None;
        }
    }
    names
}

/// Names that are `nil` in Lmod's Lua although the table lists them.
const EMPTY: [&str; 4] = ["package.loaders", "package.seeall", "table.tanh", "lfs.setmode"];

#[test]
fn modulefiles_see_exactly_lmods_globals() {
    let Some(version) = lmod_version() else { return };
    let globals = lmods_globals();
    assert!(globals.len() > 150, "only {} found", globals.len());
    let top = tempfile::tempdir().unwrap();
    let mut text = String::new();
    let others = [
        "error",
        "select",
        "setmetatable",
        "getmetatable",
        "rawget",
        "rawset",
        "rawequal",
        "rawlen",
        "xpcall",
        "coroutine",
        "debug",
        "utf8",
        "_G",
        "collectgarbage",
        "warn",
        "dofile",
        "loadstring",
        "math.pi",
        "math.random",
        "math.sqrt",
        "os.remove",
        "os.rename",
        "os.tmpname",
        "os.setlocale",
        "io.lines",
        "io.popen",
        "io.read",
        "io.input",
        "io.type",
        "table.pack",
        "table.move",
        "string.dump",
        "string.pack",
        "string.trim",
    ];
    let all: Vec<&str> = globals.iter().map(String::as_str).chain(others).collect();
    for (at, name) in all.iter().enumerate() {
        writeln!(text, "setenv('G{at}', type({name}))").unwrap();
    }
    fs::create_dir_all(top.path().join("x")).unwrap();
    fs::write(top.path().join("x/1.lua"), text).unwrap();
    let load = Load::new(&top.path().display().to_string(), &["x"]);
    let difference = load.difference(&version);
    let shown = difference.unwrap_or_default();
    let wrong: Vec<&&str> = all
        .iter()
        .enumerate()
        .filter(|(at, _)| shown.contains(&format!("\n  G{at}\n")))
        .map(|(_, name)| name)
        // Files are tables here, and what a host lacks may be there.
        .filter(|name| !EMPTY.contains(name) && !matches!(**name, "io.stdout" | "io.stderr"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}\n{shown}");
}
