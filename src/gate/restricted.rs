//! Software that may not be handed on, by the names of its modules.

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;

use super::names;
use crate::base::Escaped;
use crate::closure::{Handling, Restricted, Stripped};

/// The table that the program brings.
const SHIPPED: &str = include_str!("restricted.toml");

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Software {
    /// A part of its module's name, in any case; versions and variants may follow it there.
    pub name: String,
    /// Other such names.
    #[serde(default)]
    pub also: Vec<String>,
    /// Such names that other software may have: one of `signs` must be there, too.
    #[serde(default)]
    pub common: Vec<String>,
    /// Words of the module's name, paths or description that make a common name its own.
    #[serde(default)]
    pub signs: Vec<String>,
    /// Whether other software says with its name what it was built with or for: then only the last
    /// part of a short name counts, and of a path only the end.
    #[serde(default)]
    pub tag: bool,
    /// A glob of the versions that count; all without one.
    #[serde(default)]
    pub version: Option<String>,
    /// Why it may not be handed on, as a phrase.
    pub reason: String,
    /// Where that is written.
    #[serde(default)]
    pub source: String,
    /// Globs of the names of files that may be handed on.
    #[serde(default)]
    pub keep: Vec<String>,
    /// A file of the installation that lists such files itself.
    #[serde(default)]
    pub keep_listed_in: Option<String>,
}

/// A table of such software.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The rows: the first that fits counts.
    #[serde(default)]
    pub software: Vec<Software>,
}

/// What may be packed all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Everything.
    All,
    /// What has one of these names: `NAME`, or `NAME/VERSION` with a glob for the version.
    Names(Vec<String>),
}

/// A module as the table is asked about it.
#[derive(Debug, Clone, Default)]
pub struct Candidate<'a> {
    /// Its short name.
    pub short_name: &'a str,
    /// Its full name.
    pub full_name: &'a str,
    /// Its paths and texts, in which signs are looked for.
    pub evidence: Vec<String>,
}

/// What was found of the modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Modules of the table, in load order.
    pub restricted: Vec<Restricted>,
    /// What to leave out of those that may be packed in part.
    pub stripped: Vec<Stripped>,
    /// A sentence for each module that has a common name of such software, and no sign of being it.
    pub doubts: Vec<String>,
}

impl Judgement {
    /// The modules that may not be packed at all.
    pub fn refused(&self) -> impl Iterator<Item = &Restricted> {
        self.restricted.iter().filter(|row| row.handling == Handling::Refused)
    }
}

/// A row and the name by which it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit<'a> {
    pub(super) software: &'a Software,
    name: &'a str,
    version: String,
}

impl Hit<'_> {
    /// Bytes of the name.
    pub(super) fn name_bytes(&self) -> usize {
        self.name.len()
    }

    /// What follows the name.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it may be packed all the same.
    pub(super) fn is_allowed(&self, allowed: &Allowed) -> bool {
        [&*self.software.name, self.name].iter().any(|name| allowed.has(name, &self.version))
    }
}

impl Table {
    /// The table that the program brings.
    ///
    /// # Errors
    /// None: a test reads it. [`toml::de::Error`] where the file was made wrong.
    pub fn shipped() -> Result<Self, toml::de::Error> {
        toml::from_str(SHIPPED)
    }

    /// Puts the rows of `other` before those that are here.
    #[must_use]
    pub fn under(self, mut other: Vec<Software>) -> Self {
        other.extend(self.software);
        Self { software: other }
    }

    /// What the table says of modules.
    #[must_use]
    pub fn judge(&self, modules: &[Candidate<'_>], allowed: &Allowed) -> Judgement {
        let mut judgement = Judgement::default();
        for module in modules {
            let Some((hit, is_sure)) = self.find(module) else { continue };
            let (row, full_name) = (hit.software, module.full_name.to_owned());
            let is_allowed = hit.is_allowed(allowed) || allowed.has_module(module);
            if !is_sure {
                judgement.doubts.extend((!is_allowed).then(|| doubt(module, row)));
                continue;
            }
            let handling = if is_allowed {
                Handling::Allowed
            } else if row.keep.is_empty() && row.keep_listed_in.is_none() {
                Handling::Refused
            } else {
                judgement.stripped.push(Stripped {
                    module: full_name.clone(),
                    keep: row.keep.clone(),
                    listed_in: row.keep_listed_in.clone(),
                });
                Handling::Stripped
            };
            judgement.restricted.push(Restricted {
                module: full_name,
                reason: row.reason.clone(),
                source: row.source.clone(),
                handling,
            });
        }
        judgement
    }

    /// The row of a module, and whether there is no doubt that it is that software.
    pub(super) fn find(&self, module: &Candidate<'_>) -> Option<(Hit<'_>, bool)> {
        let hits = self.software.iter().filter_map(|row| row.hit(module));
        let mut doubtful = None;
        for (hit, is_sure) in hits {
            if is_sure {
                return Some((hit, true));
            }
            doubtful.get_or_insert(hit);
        }
        doubtful.map(|hit| (hit, false))
    }

    /// What is wrong with the rows, each as a sentence with the row's number.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mistake =
            |(at, row): (usize, &Software)| Some(format!("row {}: {}", at + 1, row.mistake()?));
        self.software.iter().enumerate().filter_map(mistake).collect()
    }
}

/// The sentence for a module with a common name.
fn doubt(module: &Candidate<'_>, row: &Software) -> String {
    format!(
        "the module {} has a name of {}, which may not be handed on ({}), but nothing else of it says that it is that: see whether it is",
        Escaped(module.full_name),
        row.name,
        row.reason
    )
}

impl Software {
    /// The names with whether each is its own.
    fn names(&self) -> impl Iterator<Item = (&String, bool)> {
        let own = std::iter::once(&self.name).filter(|name| !self.common.contains(name));
        let own = own.chain(&self.also).map(|name| (name, true));
        own.chain(self.common.iter().map(|name| (name, false)))
    }

    /// How a module has one of the names, and whether there is no doubt that it is this.
    fn hit(&self, module: &Candidate<'_>) -> Option<(Hit<'_>, bool)> {
        let parts: Vec<String> = module.full_name.split('/').map(names::normal).collect();
        let short = module.short_name.split('/').map(names::normal).collect::<Vec<_>>();
        let last = short.iter().rposition(|part| !names::is_version(part));
        let found = parts.iter().enumerate().flat_map(|(at, part)| {
            let behind = parts.get(at + 1..).unwrap_or_default().join("/");
            self.named(part, &behind).into_iter().map(move |(hit, is_own)| (at, hit, is_own))
        });
        let mut found = found.filter(|(at, hit, _)| {
            (!self.tag || Some(*at) == last || at + 1 == short.len()) && self.counts(&hit.version)
        });
        let (_, hit, is_own) = found.next()?;
        Some((hit, is_own || self.is_signed(module)))
    }

    /// How a part of a name or path has one of the names; `behind` is what comes after the part.
    pub(super) fn named<'a>(&'a self, part: &str, behind: &str) -> Vec<(Hit<'a>, bool)> {
        let hits = self.names().filter_map(move |(name, is_own)| {
            // a common word with something behind it is another one
            let with_variants = is_own && !self.tag;
            let rest = names::rest(part, &names::normal(name), with_variants)?;
            let version = if rest.is_empty() { behind } else { rest }.to_owned();
            Some((Hit { software: self, name, version }, is_own))
        });
        hits.collect()
    }

    /// Whether this version counts.
    pub(super) fn counts(&self, version: &str) -> bool {
        self.version.as_ref().is_none_or(|pattern| fits(pattern, version))
    }

    /// Whether a sign of it is there.
    pub(super) fn is_signed(&self, module: &Candidate<'_>) -> bool {
        let texts = module.evidence.iter().map(String::as_str).chain([module.full_name]);
        let words: Vec<String> = texts.map(words).collect();
        let has = |sign: &String| {
            // its own common name is no sign
            let sign = format!(" {} ", sign.to_lowercase());
            words.iter().any(|text| text.contains(&sign))
        };
        self.signs.iter().any(has)
    }

    fn mistake(&self) -> Option<String> {
        let names = std::iter::once(&self.name).chain(&self.also).chain(&self.common);
        if let Some(wrong) = names.into_iter().find_map(|name| wrong_name(name)) {
            return Some(wrong);
        }
        let bad = self.version.iter().chain(&self.keep).find(|pattern| glob(pattern).is_none())?;
        let (name, bad) = (Escaped(&self.name).to_string(), Escaped(bad).to_string());
        Some(format!("`{bad}` of `{name}` is not a pattern"))
    }
}

/// Lower-case words with blanks around each.
fn words(text: &str) -> String {
    let word = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let text: String = text.chars().map(word).collect();
    let words: Vec<_> = text.split_whitespace().collect();
    format!(" {} ", words.join(" "))
}

/// Why this can be no name of software.
fn wrong_name(name: &str) -> Option<String> {
    let fits = |c: char| c.is_alphanumeric() || "-_.+".contains(c);
    let wrong = name.is_empty() || !name.chars().all(fits);
    wrong.then(|| {
        format!(
            "`{}` is no name of software: a name is a part of a module's name without its version, such as `VASP`, of letters, digits and `-_.+`; `version` takes a pattern",
            Escaped(name)
        )
    })
}

impl Allowed {
    pub(super) fn has(&self, name: &str, version: &str) -> bool {
        let Self::Names(names) = self else { return true };
        names.iter().any(|allowed| match allowed.split_once('/') {
            None => allowed.eq_ignore_ascii_case(name),
            Some((own, pattern)) => own.eq_ignore_ascii_case(name) && fits(pattern, version),
        })
    }

    /// Whether a module is named as it is.
    fn has_module(&self, module: &Candidate<'_>) -> bool {
        let Self::Names(names) = self else { return true };
        let own = [module.full_name, module.short_name];
        names.iter().any(|allowed| own.iter().any(|own| own.eq_ignore_ascii_case(allowed)))
    }

    /// What is wrong with names of what may be packed, each as a sentence with the entry's number.
    #[must_use]
    pub fn mistakes(names: &[String]) -> Vec<String> {
        let mistake = |(at, text): (usize, &String)| {
            let (name, pattern) = text.split_once('/').unwrap_or((text, "*"));
            let wrong = wrong_name(name).or_else(|| {
                glob(pattern).is_none().then(|| format!("`{}` is not a pattern", Escaped(pattern)))
            })?;
            Some(format!(
                "entry {} of `allow-restricted`, `{}`: {wrong}; an entry is NAME, or NAME/VERSION with a pattern for the version",
                at + 1,
                Escaped(text)
            ))
        };
        names.iter().enumerate().filter_map(mistake).collect()
    }
}

fn fits(pattern: &str, version: &str) -> bool {
    glob(pattern).is_some_and(|glob| glob.is_match(version))
}

fn glob(pattern: &str) -> Option<GlobMatcher> {
    Some(GlobBuilder::new(pattern).build().ok()?.compile_matcher())
}

#[cfg(test)]
mod tests;
