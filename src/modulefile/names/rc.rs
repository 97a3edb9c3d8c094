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
    /// `module_virtual(name, target)`: an alias of a module that is hidden.
    Virtual {
        /// The new name.
        name: String,
        /// What it means.
        target: String,
    },
    /// `hide_version`, `hide_modulefile`: a full name or a path.
    Hide(String),
    /// `hide`, `forbid` and the like.
    Rule {
        /// A name, the path of a modulefile, or a pattern.
        about: String,
        /// Whether it is a pattern.
        pattern: bool,
        /// What of it.
        says: Says,
    },
    /// `set ModulesVersion` of a `.version`.
    Default(String),
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// It is hidden so.
    Hidden(Hiding),
    /// It is forbidden: now, or for others and at other times.
    Forbidden(bool),
}

/// How something is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hiding {
    /// Not at all; not for this user at this time.
    Not,
    /// From listings only.
    Soft,
    /// It must be named in full.
    Hidden,
    /// It cannot be loaded.
    Hard,
}

/// What the files of one place say together.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tables {
    /// `GCC/new` → `GCC/13.2.0`.
    pub(crate) versions: BTreeMap<String, String>,
    /// Alias → name.
    pub(crate) aliases: BTreeMap<String, String>,
    /// Virtual module → what it stands for.
    pub(crate) virtuals: BTreeMap<String, String>,
    /// Virtual modules that are marked as default.
    pub(crate) virtual_defaults: Vec<String>,
    /// Names and paths that are hidden.
    pub(crate) hidden: BTreeMap<String, Hiding>,
    /// Patterns of such.
    pub(crate) hidden_patterns: BTreeMap<String, Hiding>,
    /// Names and paths that may not be loaded, or not by others or at other times.
    pub(crate) forbidden: BTreeMap<String, bool>,
    /// Patterns of such.
    pub(crate) forbidden_patterns: BTreeMap<String, bool>,
    /// Names marked as default, where the file is not of a directory of `MODULEPATH`.
    pub(crate) defaults: BTreeSet<String>,
}

/// Where an rc file is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// A file of the site or the user.
    Global,
    /// In a directory of `MODULEPATH`, with what the files of site and user say.
    Tree {
        /// The directory's name below that of `MODULEPATH`; `None` at its top.
        directory: Option<&'a str>,
        /// What the files of site and user say.
        global: &'a Tables,
        /// Targets of aliases may be relative, too.
        relative_targets: bool,
    },
}

/// Why an rc file ends the evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Aliases and version names lead back to where they began.
    Circle(String),
    /// A name that begins with `/` where no directory gives the rest of it.
    NoDirectory(String),
    /// A module is marked as default as if it were a version.
    MarkedModule(String),
    /// An entry of a directory has only blanks for its name.
    BlankName,
    /// A pattern, and what is wrong with it.
    Pattern(String, String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Circle(name) => {
                write!(f, "the aliases and version names of `{name}` go round in a circle")
            }
            Self::NoDirectory(name) => {
                write!(f, "an rc file says `{name}`, but it is in no module's directory")
            }
            Self::MarkedModule(name) => {
                write!(f, "an rc file marks the module `{name}` as default, not a version of it")
            }
            Self::BlankName => {
                f.write_str("it has an entry named by blanks: this Lmod never ends reading it")
            }
            Self::Pattern(pattern, reason) => {
                write!(f, "an rc file has the pattern `{pattern}`: {reason}")
            }
        }
    }
}

impl Tables {
    /// Adds the lines of a file. Returns the default that it names.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn add(&mut self, lines: &[Line], scope: Scope) -> Result<Option<String>, Fault> {
        let mut default = None;
        for line in lines {
            match line {
                Line::Version { module, names } => {
                    let written = scope.full(module)?;
                    let full_name = self.resolve(&written, scope)?;
                    if matches!(scope, Scope::Global) && !full_name.contains('/') {
                        continue;
                    }
                    for version in names {
                        if version == "default" && self.is_virtual(&written, scope) {
                            self.virtual_defaults.push(written.clone());
                            default = Some(written.clone());
                        } else {
                            self.name_version(&full_name, version, &mut default);
                        }
                    }
                }
                Line::Alias { name, target } => {
                    self.aliases.insert(scope.full(name)?, scope.target(target)?);
                }
                Line::Virtual { name, target } => {
                    let (name, target) = (scope.full(name)?, scope.target(target)?);
                    self.aliases.insert(name.clone(), target.clone());
                    self.hidden.insert(target.clone(), Hiding::Hidden);
                    self.virtuals.insert(name, target);
                }
                Line::Hide(what) => drop(self.hidden.insert(what.clone(), Hiding::Hidden)),
                Line::Rule { about, pattern, says } => self.rule(about, *pattern, *says),
                Line::Default(version) => default = Some(version.clone()),
            }
        }
        Ok(default)
    }

    fn name_version(&mut self, full_name: &str, version: &str, default: &mut Option<String>) {
        if version == "default" {
            self.defaults.insert(full_name.to_owned());
            *default = Some(full_name.to_owned());
        } else if let Some((shorter, _)) = full_name.rsplit_once('/') {
            self.versions.insert(format!("{shorter}/{version}"), full_name.to_owned());
        }
    }

    fn rule(&mut self, about: &str, pattern: bool, says: Says) {
        let about = about.to_owned();
        match (says, pattern) {
            (Says::Hidden(how), false) => drop(self.hidden.insert(about, how)),
            (Says::Hidden(how), true) => drop(self.hidden_patterns.insert(about, how)),
            (Says::Forbidden(now), false) => drop(self.forbidden.insert(about, now)),
            (Says::Forbidden(now), true) => drop(self.forbidden_patterns.insert(about, now)),
        }
    }

    /// Whether a file in a directory of `MODULEPATH` means a virtual module by `name`.
    fn is_virtual(&self, name: &str, scope: Scope) -> bool {
        let Scope::Tree { global, .. } = scope else { return false };
        self.virtuals.contains_key(name) || global.virtuals.contains_key(name)
    }

    fn resolve(&self, name: &str, scope: Scope) -> Result<String, Fault> {
        match scope {
            Scope::Global => resolve(name, &[self]),
            Scope::Tree { global, .. } => resolve(name, &[global, self]),
        }
    }
}

impl Scope<'_> {
    /// `/1.0` in the directory of `x` is `x/1.0`.
    fn full(self, module: &str) -> Result<String, Fault> {
        match self {
            Scope::Tree { directory, .. } if module.starts_with('/') => {
                let directory = directory.ok_or_else(|| Fault::NoDirectory(module.to_owned()))?;
                Ok(format!("{directory}{module}"))
            }
            _ => Ok(module.to_owned()),
        }
    }

    /// What an alias leads to.
    fn target(self, target: &str) -> Result<String, Fault> {
        match self {
            Scope::Tree { relative_targets: true, .. } if target.starts_with('/') => {
                self.full(target)
            }
            Scope::Tree { relative_targets: true, directory, .. } if target.starts_with('.') => {
                let directory = directory.ok_or_else(|| Fault::NoDirectory(target.to_owned()))?;
                Ok(format!("{directory}/{target}"))
            }
            _ => Ok(target.to_owned()),
        }
    }
}

/// Lmod overflows its stack at about this many steps.
const LONGEST_CHAIN: usize = 10_000;

/// Follows one alias, then version names with what they lead to, as the first of `tables` says
/// that knows a name. An alias of an alias is not followed, in Lmod neither; but a circle of
/// aliases is one.
///
/// # Errors
/// [`Fault::Circle`].
pub(crate) fn resolve(name: &str, tables: &[&Tables]) -> Result<String, Fault> {
    let alias = |name: &str| tables.iter().find_map(|one| one.aliases.get(name));
    let version = |name: &str| tables.iter().find_map(|one| one.versions.get(name));
    let mut resolved = name.to_owned();
    for _ in 0..LONGEST_CHAIN {
        if let Some(target) = alias(&resolved) {
            resolve_in_vain(target, name, &alias, &version)?;
            resolved.clone_from(target);
        }
        match version(&resolved) {
            Some(next) => resolved.clone_from(next),
            None => return Ok(resolved),
        }
    }
    Err(Fault::Circle(name.to_owned()))
}

/// Follows everything from `name` on, only to find circles.
fn resolve_in_vain<'a>(
    name: &'a str,
    typed: &str,
    alias: &dyn Fn(&str) -> Option<&'a String>,
    version: &dyn Fn(&str) -> Option<&'a String>,
) -> Result<(), Fault> {
    let mut todo = vec![name];
    for _ in 0..LONGEST_CHAIN {
        let Some(mut name) = todo.pop() else { return Ok(()) };
        if let Some(target) = alias(name) {
            todo.push(target);
            name = target;
        }
        if let Some(next) = version(name) {
            todo.push(next);
        }
    }
    Err(Fault::Circle(typed.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_resolve_through_aliases_and_versions_and_circles_are_faults() {
        let mut tables = Tables::default();
        let global = Tables::default();
        let scope = Scope::Tree { directory: Some("x"), global: &global, relative_targets: true };
        let default = tables.add(
            &crate::modulefile::tcl::parse_literal(
                "module-version /1.0 default stable\nmodule-alias y x/stable\n\
                 module-version v/1 2\nmodule-version v/2 1\nmodule-alias a y\n\
                 module-alias z /1.0\nmodule-alias p q\nmodule-alias q p\n",
            )
            .unwrap(),
            scope,
        );
        assert_eq!(default, Ok(Some("x/1.0".to_owned())));
        for (name, want) in [("y", "x/1.0"), ("a", "y"), ("z", "x/1.0"), ("none", "none")] {
            assert_eq!(tables.resolve(name, scope).as_deref(), Ok(want), "{name}");
        }
        for name in ["v/1", "p"] {
            let want = Err(Fault::Circle(name.to_owned()));
            assert_eq!(tables.resolve(name, scope), want, "{name}");
        }
    }

    #[test]
    fn a_relative_name_needs_a_directory() {
        let global = Tables::default();
        let scope = Scope::Tree { directory: None, global: &global, relative_targets: true };
        let lines = crate::modulefile::tcl::parse_literal("module-version /1.0 default\n").unwrap();
        let want = Err(Fault::NoDirectory("/1.0".to_owned()));
        assert_eq!(Tables::default().add(&lines, scope), want);
    }
}
