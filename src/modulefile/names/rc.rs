//! Files that give versions names and modules aliases, and hide some.

use std::collections::{BTreeMap, BTreeSet};

/// One line of such a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// `module_version(module, versions…)`.
    Version {
        /// `GCC/13.2.0`, or `/13.2.0` in the directory of `GCC`.
        module: String,
        /// Names that it gets.
        names: Vec<String>,
    },
    /// `module_alias(name, target)`.
    Alias {
        /// The new name.
        name: String,
        /// What it means.
        target: String,
    },
    /// `hide_version`, `hide_modulefile`: a full name or a path.
    Hide(String),
    /// `forbid`: a full name.
    Forbid(String),
    /// `set ModulesVersion` of a `.version`.
    Default(String),
}

/// What the files of one place say together.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tables {
    /// `GCC/new` → `GCC/13.2.0`.
    pub(crate) versions: BTreeMap<String, String>,
    /// Alias → name.
    pub(crate) aliases: BTreeMap<String, String>,
    /// Full names and paths that are hidden.
    pub(crate) hidden: BTreeSet<String>,
    /// Full names that may not be loaded.
    pub(crate) forbidden: BTreeSet<String>,
    /// Full names marked as default.
    pub(crate) defaults: BTreeSet<String>,
}

impl Tables {
    /// Adds the lines of a file in the module directory `name` (`None` at the top of a directory
    /// of `MODULEPATH`, and for files outside). Returns the default that it names.
    pub(crate) fn add(&mut self, lines: &[Line], name: Option<&str>) -> Option<String> {
        let mut default = None;
        for line in lines {
            match line {
                Line::Version { module, names } => {
                    let full_name = self.resolve(&full(module, name));
                    for version in names {
                        self.name_version(&full_name, version, &mut default);
                    }
                }
                Line::Alias { name: alias, target } => {
                    self.aliases.insert(full(alias, name), target.clone());
                }
                Line::Hide(what) => drop(self.hidden.insert(what.clone())),
                Line::Forbid(what) => drop(self.forbidden.insert(what.clone())),
                Line::Default(version) => default = Some(version.clone()),
            }
        }
        default
    }

    fn name_version(&mut self, full_name: &str, version: &str, default: &mut Option<String>) {
        if version == "default" {
            self.defaults.insert(full_name.to_owned());
            *default = Some(full_name.to_owned());
        } else if let Some((shorter, _)) = full_name.rsplit_once('/') {
            self.versions.insert(format!("{shorter}/{version}"), full_name.to_owned());
        }
    }

    fn resolve(&self, name: &str) -> String {
        resolve(name, &|key| self.aliases.get(key).cloned(), &|key| self.versions.get(key).cloned())
    }
}

/// `/1.0` in the directory of `x` is `x/1.0`.
fn full(module: &str, directory: Option<&str>) -> String {
    match directory {
        Some(directory) if module.starts_with('/') => format!("{directory}{module}"),
        _ => module.to_owned(),
    }
}

/// Follows one alias, then version names with what they lead to; a circle ends. An alias of an
/// alias is not followed, in Lmod neither.
pub(crate) fn resolve(
    name: &str,
    alias: &dyn Fn(&str) -> Option<String>,
    version: &dyn Fn(&str) -> Option<String>,
) -> String {
    let mut name = name.to_owned();
    for _ in 0..100 {
        if let Some(target) = alias(&name) {
            name = target;
        }
        match version(&name) {
            Some(next) if next != name => name = next,
            _ => break,
        }
    }
    name
}

/// Reads the Tcl of a `.modulerc` or `.version` line by line: the commands that name versions,
/// with words in braces or quotes. Anything else is passed over.
pub(crate) fn parse_tcl(text: &str) -> Vec<Line> {
    text.lines().filter_map(|line| tcl_line(&tcl_words(line))).collect()
}

fn tcl_line(words: &[String]) -> Option<Line> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["module-version", module, names @ ..] => Some(Line::Version {
            module: (*module).to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }),
        ["module-alias", name, target] => {
            Some(Line::Alias { name: (*name).to_owned(), target: (*target).to_owned() })
        }
        ["hide-version" | "hide-modulefile" | "module-hide", what] => {
            Some(Line::Hide((*what).to_owned()))
        }
        ["module-forbid", what] => Some(Line::Forbid((*what).to_owned())),
        ["set", "ModulesVersion", version] => Some(Line::Default((*version).to_owned())),
        _ => None,
    }
}

fn tcl_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.chars().next() {
        if first == '#' || first == ';' {
            break;
        }
        let (word, after) = match first {
            '"' => rest[1..].split_once('"').unwrap_or((&rest[1..], "")),
            '{' => rest[1..].split_once('}').unwrap_or((&rest[1..], "")),
            _ => {
                let end = rest.find([' ', '\t', ';']).unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcl_lines_are_read() {
        let lines = parse_tcl(
            "#%Module1.0\n\
             module-version x/1.0 default stable\n\
             module-alias \"y\" {x/stable} ;# comment\n\
             hide-version x/0.9\n\
             set ModulesVersion \"2.0\"\n\
             if { $a } { puts x }\n",
        );
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3], Line::Default("2.0".to_owned()));
    }

    #[test]
    fn names_resolve_through_aliases_and_versions_and_circles_end() {
        let mut tables = Tables::default();
        let default = tables.add(
            &parse_tcl(
                "module-version /1.0 default stable\nmodule-alias y x/stable\n\
                 module-version v/1 2\nmodule-version v/2 1\nmodule-alias a y\n",
            ),
            Some("x"),
        );
        assert_eq!(default.as_deref(), Some("x/1.0"));
        assert_eq!(tables.resolve("y"), "x/1.0");
        assert_eq!(tables.resolve("a"), "y");
        assert!(tables.resolve("v/1").starts_with("v/"));
    }
}
