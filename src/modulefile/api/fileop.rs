//! Functions on paths and files.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use mlua::{Lua, LuaString, Table, Value, Variadic};

use crate::base::fs::sorted_dir;
use crate::environment::path;

use super::super::evaluator::Evaluator;
use super::super::features::Feature;
use super::{Host, Text, path_of, string};

pub(super) fn install<'env>(
    host: &Host<'_, 'env>,
    evaluator: &'env Evaluator<'_>,
) -> mlua::Result<()> {
    install_paths(host, evaluator)?;
    host.define("isDir", |_, path: Option<LuaString>| {
        Ok(path.is_some_and(|path| path_of(&path).is_dir()))
    })?;
    host.define("isFile", move |_, path: Option<LuaString>| {
        Ok(evaluator.is_file(path.map(|path| path_of(&path)).as_deref()))
    })?;
    host.define("attributes", |lua, (path, follow): (LuaString, bool)| {
        let path = path_of(&path);
        let metadata = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        metadata.ok().map(|metadata| attributes(lua, &metadata)).transpose()
    })?;
    host.define("list_directory", |lua, path: LuaString| {
        let Ok(names) = sorted_dir(&path_of(&path)) else { return Ok(None) };
        let own = [".", ".."].map(OsString::from).into_iter();
        let names = own.chain(names).map(|name| lua.create_string(name.as_bytes()));
        names.collect::<mlua::Result<Vec<_>>>().map(Some)
    })?;
    host.define("uname", |lua, ()| {
        let uname = rustix::system::uname();
        let table = lua.create_table()?;
        table.set("sysname", uname.sysname().to_string_lossy())?;
        table.set("nodename", uname.nodename().to_string_lossy())?;
        table.set("release", uname.release().to_string_lossy())?;
        table.set("version", uname.version().to_string_lossy())?;
        table.set("machine", uname.machine().to_string_lossy())?;
        Ok(table)
    })
}

fn install_paths<'env>(host: &Host<'_, 'env>, evaluator: &'env Evaluator<'_>) -> mlua::Result<()> {
    host.define("path_regularize", move |_, (path, full): (Option<Text>, Value)| {
        let full = !matches!(full, Value::Nil | Value::Boolean(false));
        Ok(path.map(|path| evaluator.regularize(&path.0, full)))
    })?;
    host.define("pathJoin", move |_, parts: Variadic<Value>| evaluator.path_join(&parts))?;
    host.define("dirname", |lua, path: Option<LuaString>| {
        path.map(|path| lua.create_string(split(&path.as_bytes()).0)).transpose()
    })?;
    host.define("barefilename", |lua, path: Option<LuaString>| {
        path.map(|path| lua.create_string(split(&path.as_bytes()).1)).transpose()
    })?;
    host.define("splitFileName", |lua, path: Option<LuaString>| {
        let Some(path) = path else { return Ok((None, None)) };
        let path = path.as_bytes();
        let (directory, name) = split(&path);
        Ok((Some(lua.create_string(directory)?), Some(lua.create_string(name)?)))
    })?;
    host.define("extname", |lua, path: Option<LuaString>| {
        path.map(|path| lua.create_string(at_extension(&path.as_bytes()).1)).transpose()
    })?;
    host.define("removeExt", |lua, path: Option<LuaString>| {
        path.map(|path| lua.create_string(at_extension(&path.as_bytes()).0)).transpose()
    })?;
    host.define("realpath", |lua, path: Option<LuaString>| {
        let real = path.and_then(|path| {
            let path = path.as_bytes();
            fs::canonicalize(OsStr::from_bytes(path.trim_ascii())).ok()
        });
        real.map(|path| lua.create_string(path.as_os_str().as_bytes())).transpose()
    })
}

/// `a/b` → `a/` and `b`; a directory of none is `./`.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => path.split_at(at + 1),
        None => (b"./", path),
    }
}

/// The path before the extension of the last component, and that.
fn at_extension(path: &[u8]) -> (&[u8], &[u8]) {
    let last = path.iter().rposition(|byte| matches!(byte, b'/' | b'.'));
    let dot = last.filter(|at| path.get(*at) == Some(&b'.'));
    path.split_at(dot.unwrap_or(path.len()))
}

impl Evaluator<'_> {
    /// `None` where Lmod 9 gives nil.
    fn is_file(&self, path: Option<&Path>) -> Option<bool> {
        let Some(path) = path else { return Some(false) };
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return (!self.rules.have(Feature::IsFileNil)).then_some(false);
        };
        let link = metadata.file_type().is_symlink();
        if self.rules.have(Feature::IsFileNil) {
            return if link {
                fs::canonicalize(path).is_ok().then_some(true)
            } else {
                Some(!metadata.is_dir())
            };
        }
        Some(metadata.is_file() || link)
    }

    fn regularize(&self, path: &str, full: bool) -> String {
        let mut clean = path::regularize(path, self.rules.cleaning());
        if full {
            clean = without_parents(&clean);
        }
        // Older ones write an empty path as a blank.
        if clean.is_empty() && !self.rules.have(Feature::DelimitersCollapse) {
            " ".to_owned()
        } else {
            clean
        }
    }

    fn path_join(&self, parts: &[Value]) -> mlua::Result<String> {
        let mut joined: Vec<String> = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            if matches!(part, Value::Nil | Value::Boolean(false)) {
                continue;
            }
            let Some(text) = string(part) else {
                let reason = format!("pathJoin: argument {} is no string", at + 1);
                return Err(mlua::Error::RuntimeError(reason));
            };
            let text = text.trim();
            let part = if at > 0 { text.trim_start_matches('/') } else { text };
            let bare = part.trim_end_matches('/');
            if !bare.is_empty() {
                joined.push(bare.to_owned());
            } else if at == 0 && part.starts_with('/') {
                joined.push(String::new());
            }
        }
        let joined = if joined.len() == 1 && joined.concat().is_empty() {
            "/".to_owned()
        } else {
            joined.join("/")
        };
        Ok(self.regularize(&joined, false))
    }
}

/// Resolves `..` as Lmod does: at the beginning it vanishes.
fn without_parents(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        if part == ".." && kept.last() != Some(&"..") {
            kept.pop();
        } else {
            kept.push(part);
        }
    }
    kept.join("/")
}

/// What `lfs.attributes` tells of a file.
fn attributes(lua: &Lua, metadata: &fs::Metadata) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let kind = metadata.file_type();
    let mode = if kind.is_dir() {
        "directory"
    } else if kind.is_file() {
        "file"
    } else if kind.is_symlink() {
        "link"
    } else if kind.is_fifo() {
        "named pipe"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_char_device() {
        "char device"
    } else if kind.is_block_device() {
        "block device"
    } else {
        "other"
    };
    table.set("mode", mode)?;
    table.set("permissions", permissions(metadata.mode()))?;
    for (name, value) in [
        ("dev", metadata.dev()),
        ("ino", metadata.ino()),
        ("nlink", metadata.nlink()),
        ("uid", u64::from(metadata.uid())),
        ("gid", u64::from(metadata.gid())),
        ("rdev", metadata.rdev()),
        ("size", metadata.size()),
        ("blocks", metadata.blocks()),
        ("blksize", metadata.blksize()),
    ] {
        table.set(name, value)?;
    }
    table.set("access", metadata.atime())?;
    table.set("modification", metadata.mtime())?;
    table.set("change", metadata.ctime())?;
    Ok(table)
}

/// `rwxr-xr-x`.
fn permissions(mode: u32) -> String {
    let letters = "rwxrwxrwx".chars().enumerate();
    letters.map(|(at, letter)| if mode & (0o400 >> at) == 0 { '-' } else { letter }).collect()
}
