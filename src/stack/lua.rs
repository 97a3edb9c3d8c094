//! The Lua that an Lmod runs on.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of Lua, as far as modulefiles can tell them apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LuaVersion {
    /// Lua 5.1: every number is a float that is written without `.0`.
    Lua51,
    /// `LuaJIT`: the language of 5.1, with some of 5.2.
    LuaJit,
    /// Lua 5.2.
    Lua52,
    /// Lua 5.3: integers and floats.
    #[default]
    Lua53,
    /// Lua 5.4.
    Lua54,
}

/// What is no version of Lua.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give 5.1, 5.2, 5.3, 5.4 or luajit")]
pub struct UnknownLua;

impl FromStr for LuaVersion {
    type Err = UnknownLua;

    fn from_str(text: &str) -> Result<Self, UnknownLua> {
        match text {
            "5.1" => Ok(Self::Lua51),
            "5.2" => Ok(Self::Lua52),
            "5.3" => Ok(Self::Lua53),
            "5.4" => Ok(Self::Lua54),
            "luajit" => Ok(Self::LuaJit),
            _ => Err(UnknownLua),
        }
    }
}

impl fmt::Display for LuaVersion {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Lua51 => "5.1",
            Self::LuaJit => "luajit",
            Self::Lua52 => "5.2",
            Self::Lua53 => "5.3",
            Self::Lua54 => "5.4",
        })
    }
}

/// Of a program, at most so much is looked at for its version, in bytes.
const LONGEST_PROGRAM: u64 = 16 << 20;

impl LuaVersion {
    /// The version that runs an Lmod: the program that its first line names, known by its name,
    /// else by the name of what that links to, else by the text it would print. Nothing is run.
    #[must_use]
    pub fn of_lmod(command: &Path) -> Option<Self> {
        let mut line = Vec::new();
        let script = BufReader::new(fs::File::open(command).ok()?);
        script.take(4096).read_until(b'\n', &mut line).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut words = line.strip_prefix("#!")?.split_whitespace();
        let first = words.next()?;
        let program = if first.ends_with("/env") {
            let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
            let places = ["/usr/local/bin", "/usr/bin", "/bin"].into_iter();
            places.map(|place| Path::new(place).join(name)).find(|at| at.is_file())?
        } else {
            PathBuf::from(first)
        };
        Self::of_program(&program)
    }

    fn of_program(program: &Path) -> Option<Self> {
        let real = fs::canonicalize(program).ok();
        Self::of_name(program)
            .or_else(|| Self::of_name(real.as_deref()?))
            .or_else(|| Self::of_contents(real.as_deref()?))
    }

    /// `lua5.3`, `lua-5.3`, `lua53`, `luajit-2.1`.
    fn of_name(program: &Path) -> Option<Self> {
        let name = program.file_name()?.to_str()?;
        let version = name.strip_prefix("lua")?;
        if version.starts_with("jit") {
            return Some(Self::LuaJit);
        }
        let digits: Vec<char> = version.chars().filter(char::is_ascii_digit).take(2).collect();
        match digits.as_slice() {
            ['5', minor] => format!("5.{minor}").parse().ok(),
            _ => None,
        }
    }

    /// What `lua -v` prints is part of the program.
    fn of_contents(program: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        fs::File::open(program).ok()?.take(LONGEST_PROGRAM).read_to_end(&mut bytes).ok()?;
        let find = |what: &[u8]| bytes.windows(what.len()).position(|part| part == what);
        if find(b"LuaJIT 2.").is_some() {
            return Some(Self::LuaJit);
        }
        let minor = *bytes.get(find(b"Lua 5.")? + 6)?;
        format!("5.{}", char::from(minor)).parse().ok()
    }

    /// Whether integers are numbers of their own.
    #[must_use]
    pub fn has_integers(self) -> bool {
        matches!(self, Self::Lua53 | Self::Lua54)
    }

    /// Lua's `_VERSION`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lua51 | Self::LuaJit => "Lua 5.1",
            Self::Lua52 => "Lua 5.2",
            Self::Lua53 => "Lua 5.3",
            Self::Lua54 => "Lua 5.4",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_line_tells_the_version() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("lua"), "\x7fELF…\0Lua 5.2.4  Copyright (C)\0").unwrap();
        fs::write(at("jit"), "\x7fELF…\0Lua 5.1\0LuaJIT 2.1.0-beta3\0").unwrap();
        fs::write(at("lua5.4"), "").unwrap();
        std::os::unix::fs::symlink("lua5.4", at("linked")).unwrap();
        let here = root.path().display();
        for (name, line, want) in [
            ("by name", "#!/usr/bin/lua5.3\n".to_owned(), Some(LuaVersion::Lua53)),
            ("by name, gone", "#!/gone/lua-5.1\n".to_owned(), Some(LuaVersion::Lua51)),
            ("digits", "#!/gone/lua53 -E\n".to_owned(), Some(LuaVersion::Lua53)),
            ("jit by name", "#! /gone/luajit-2.1\n".to_owned(), Some(LuaVersion::LuaJit)),
            ("by contents", format!("#!{here}/lua\n"), Some(LuaVersion::Lua52)),
            ("jit by contents", format!("#!{here}/jit\n"), Some(LuaVersion::LuaJit)),
            ("link", format!("#!{here}/linked\n"), Some(LuaVersion::Lua54)),
            ("unknown", "#!/gone/lua\n".to_owned(), None),
            ("no line", "print(1)\n".to_owned(), None),
        ] {
            fs::write(at("lmod"), line).unwrap();
            assert_eq!(LuaVersion::of_lmod(&at("lmod")), want, "{name}");
        }
        assert_eq!(LuaVersion::of_lmod(&at("none")), None);
    }

    #[test]
    fn versions_are_written_as_they_are_read() {
        for text in ["5.1", "5.2", "5.3", "5.4", "luajit"] {
            assert_eq!(text.parse::<LuaVersion>().unwrap().to_string(), text);
        }
        assert_eq!("5.0".parse::<LuaVersion>(), Err(UnknownLua));
    }
}
