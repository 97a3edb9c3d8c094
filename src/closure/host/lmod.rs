//! The session's Lmod: its tree, its configuration, and the Lua modules that it loads.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Place, reason};
use crate::base::Escaped;
use crate::base::fs::sorted_dir;
use crate::closure::collect::Collector;
use crate::closure::{ClosureError, Reason};
use crate::stack::LmodInstallation;

/// What Lmod requires from outside its tree begins with one of these.
const LUA_MODULES: [&[u8]; 9] =
    [b"lfs", b"posix", b"term", b"json", b"dkjson", b"cjson", b"lpeg", b"re.lua", b"std"];

/// Most of `libexec/lmod` that is read for its search paths, in bytes.
const MAX_COMMAND: usize = 1 << 20;

/// Adds the installation.
pub(super) fn add(
    collector: &mut Collector<'_>,
    lmod: &LmodInstallation,
    place: &Place,
) -> Result<(), ClosureError> {
    let reason = place.reason("lmod");
    add_tree(collector, lmod, &reason)?;
    for directory in lua_directories(&command(lmod)) {
        if place.is_layer() {
            // it has Lua for Lmod alone
            if directory.starts_with(place.root()) {
                collector.add(&directory, &reason)?;
            }
            continue;
        }
        for name in sorted_dir(&directory).unwrap_or_default() {
            if LUA_MODULES.iter().any(|module| name.as_bytes().starts_with(module)) {
                collector.add(&directory.join(name), &reason)?;
            }
        }
    }
    Ok(())
}

/// Adds Lmod, which is Lua, where the base has the Lua that it runs by. This machine's Lua would
/// need this machine's libraries.
pub(in crate::closure) fn add_over_base(
    collector: &mut Collector<'_>,
    lmod: &LmodInstallation,
) -> Result<(), ClosureError> {
    let command = command(lmod);
    let lacks = match interpreter(&command) {
        Some(lua) if !collector.is_beneath(&lua) => Some(lua.to_string_lossy().into_owned()),
        None => Some("the Lua that its command names".to_owned()),
        Some(_) => {
            let directories = lua_directories(&command);
            let has = |names: &[&str]| {
                let mut paths =
                    directories.iter().flat_map(|at| names.iter().map(|name| at.join(name)));
                paths.any(|path| collector.is_beneath(&path))
            };
            let needs = [("lfs", &["lfs.so"][..]), ("posix", &["posix.so", "posix_c.so", "posix"])];
            let lacks = needs.iter().find(|(_, names)| !directories.is_empty() && !has(names));
            lacks.map(|(module, _)| format!("Lua's module {module}"))
        }
    };
    if let Some(lacks) = lacks {
        collector.warnings.push(format!(
            "the base lacks what this site's Lmod runs by ({}), so `module` does not work in the image; its modules are loaded all the same",
            Escaped(&lacks)
        ));
        return Ok(());
    }
    add_tree(collector, lmod, &reason("lmod"))
}

fn add_tree(
    collector: &mut Collector<'_>,
    lmod: &LmodInstallation,
    reason: &Reason,
) -> Result<(), ClosureError> {
    collector.add(&lmod.package, reason)?;
    collector.add(&lmod.command, reason)?;
    for path in &lmod.configuration {
        add_configuration(collector, path, reason)?;
    }
    Ok(())
}

/// The beginning of `libexec/lmod`.
fn command(lmod: &LmodInstallation) -> Vec<u8> {
    let mut command = std::fs::read(&lmod.command).unwrap_or_default();
    command.truncate(MAX_COMMAND);
    command
}

/// The program that the first line of `command` names.
fn interpreter(command: &[u8]) -> Option<PathBuf> {
    let line = command.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut words = words.map(|word| Path::new(OsStr::from_bytes(word)));
    let first = words.next()?;
    if !first.ends_with("env") {
        return Some(first.to_owned());
    }
    words
        .find(|word| !word.as_os_str().as_bytes().starts_with(b"-"))
        .map(|name| Path::new("/usr/bin").join(name))
}

/// Adds a file of Lmod's configuration, or the files in a directory of them. Directories in it are
/// often module trees, which are not packed.
fn add_configuration(
    collector: &mut Collector<'_>,
    path: &Path,
    reason: &Reason,
) -> Result<(), ClosureError> {
    let names = if path.is_dir() { sorted_dir(path).unwrap_or_default() } else { Vec::new() };
    let inside = names.into_iter().map(|name| path.join(name)).filter(|file| file.is_file());
    let itself = path.is_file().then(|| path.to_owned());
    for file in inside.chain(itself) {
        collector.add(&file, reason)?;
    }
    Ok(())
}

/// The directories of the templates, `/usr/share/lua/5.3/?.lua`, that the command has built in.
///
/// Source: Lmod `src/lmod.in.lua`, `sys_lua_path` and `sys_lua_cpath`.
fn lua_directories(command: &[u8]) -> BTreeSet<PathBuf> {
    let words = command.split(|byte| b";\"' \t\n".contains(byte));
    let templates = words.filter_map(|word| {
        let end = word.iter().position(|&byte| byte == b'?')?;
        let directory = word.get(..end)?.strip_suffix(b"/")?;
        Some(Path::new(OsStr::from_bytes(directory)))
    });
    templates.filter(|directory| directory.is_absolute()).map(Path::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_paths_are_found_in_the_command() {
        let command = br#"#!/usr/bin/lua5.3
            local sys_lua_path = "/usr/share/lua/5.3/?.lua;/usr/share/lua/5.3/?/init.lua;./?.lua"
            local sys_lua_cpath = "@sys@;/usr/lib/lua/5.3/?.so;/usr/lib/lua/5.3/loadall.so;"
            if x == '?' then end"#;
        let want = ["/usr/lib/lua/5.3", "/usr/share/lua/5.3"].map(PathBuf::from);
        assert_eq!(lua_directories(command), want.into());
    }
}
