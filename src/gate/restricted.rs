//! Software that may not be handed on, by the names of its modules.

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;

use crate::base::Escaped;
use crate::closure::{Handling, Restricted, Stripped};

/// The table that the program brings.
const SHIPPED: &str = include_str!("restricted.toml");

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Software {
    /// The last part of its module's short name, in any case.
    pub name: String,
    /// Other such names.
    #[serde(default)]
    pub also: Vec<String>,
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

/// What was found of the modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Modules of the table, in load order.
    pub restricted: Vec<Restricted>,
    /// What to leave out of those that may be packed in part.
    pub stripped: Vec<Stripped>,
}

impl Judgement {
    /// The modules that may not be packed at all.
    pub fn refused(&self) -> impl Iterator<Item = &Restricted> {
        self.restricted.iter().filter(|row| row.handling == Handling::Refused)
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

    /// What the table says of modules, each with its short and its full name.
    #[must_use]
    pub fn judge<'a>(
        &self,
        modules: impl IntoIterator<Item = (&'a str, &'a str)>,
        allowed: &Allowed,
    ) -> Judgement {
        let mut judgement = Judgement::default();
        for (short_name, full_name) in modules {
            let version = full_name.strip_prefix(short_name).unwrap_or_default();
            let version = version.trim_start_matches('/');
            let name = short_name.rsplit('/').next().unwrap_or(short_name);
            let Some(row) = self.find(name, version) else { continue };
            let handling = if allowed.has(name, version) {
                Handling::Allowed
            } else if row.keep.is_empty() && row.keep_listed_in.is_none() {
                Handling::Refused
            } else {
                judgement.stripped.push(Stripped {
                    module: full_name.to_owned(),
                    keep: row.keep.clone(),
                    listed_in: row.keep_listed_in.clone(),
                });
                Handling::Stripped
            };
            judgement.restricted.push(Restricted {
                module: full_name.to_owned(),
                reason: row.reason.clone(),
                source: row.source.clone(),
                handling,
            });
        }
        judgement
    }

    /// The row of the software `name` of this version.
    #[must_use]
    pub fn find(&self, name: &str, version: &str) -> Option<&Software> {
        self.software.iter().find(|row| row.is(name, version))
    }

    /// The patterns of the table that are none, each as a sentence.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let patterns =
            |row: &Software| row.version.iter().chain(&row.keep).cloned().collect::<Vec<_>>();
        let wrong = |row: &Software| {
            let bad = patterns(row).into_iter().find(|pattern| glob(pattern).is_none())?;
            let (name, bad) = (Escaped(&row.name).to_string(), Escaped(&bad).to_string());
            Some(format!("`{bad}` of `{name}` is not a pattern"))
        };
        self.software.iter().filter_map(wrong).collect()
    }
}

impl Software {
    fn is(&self, name: &str, version: &str) -> bool {
        let named = |own: &String| own.eq_ignore_ascii_case(name);
        (named(&self.name) || self.also.iter().any(named))
            && self.version.as_ref().is_none_or(|pattern| fits(pattern, version))
    }
}

impl Allowed {
    pub(super) fn has(&self, name: &str, version: &str) -> bool {
        let Self::Names(names) = self else { return true };
        names.iter().any(|allowed| match allowed.split_once('/') {
            None => allowed.eq_ignore_ascii_case(name),
            Some((own, pattern)) => own.eq_ignore_ascii_case(name) && fits(pattern, version),
        })
    }
}

fn fits(pattern: &str, version: &str) -> bool {
    glob(pattern).is_some_and(|glob| glob.is_match(version))
}

fn glob(pattern: &str) -> Option<GlobMatcher> {
    Some(GlobBuilder::new(pattern).build().ok()?.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handling(table: &Table, name: &str, allowed: &Allowed) -> Option<Handling> {
        let short_name = name.rsplit_once('/').map_or(name, |(short_name, _)| short_name);
        let judgement = table.judge([(short_name, name)], allowed);
        judgement.restricted.first().map(|row| row.handling)
    }

    #[test]
    fn every_row_of_the_shipped_table_has_a_reason_and_a_source_and_no_name_stands_twice() {
        let table = Table::shipped().unwrap();
        assert_eq!(table.mistakes(), [""; 0]);
        let mut names = std::collections::BTreeSet::new();
        for row in &table.software {
            assert!(!row.reason.is_empty() && row.source.contains("http"), "{}", row.name);
            for name in std::iter::once(&row.name).chain(&row.also) {
                assert!(names.insert(name.to_lowercase()), "{name} stands twice");
            }
        }
    }

    #[test]
    fn modules_are_known_by_name_in_any_case_below_any_directory() {
        let table = Table::shipped().unwrap();
        let none = Allowed::Names(Vec::new());
        for (name, want) in [
            ("Gaussian/16.C.01-AVX2", Some(Handling::Refused)),
            ("chem/gaussian/g16", Some(Handling::Refused)),
            ("VASP/6.4.2-gomkl-2023a", Some(Handling::Refused)),
            ("CUDA/12.1.1", Some(Handling::Stripped)),
            ("cuda/12.4", Some(Handling::Stripped)),
            ("cuDNN/8.9.2.26-CUDA-12.1.1", Some(Handling::Stripped)),
            ("PGPLOT/5.2.2-GCCcore-11.3.0", Some(Handling::Refused)),
            ("CUDA-Samples/12.1", None),
            ("AmberTools/23.6", None),
            ("OpenMolcas/24.02", None),
            ("GROMACS/2024.1-foss-2023b", None),
            ("VASPKIT/1", None),
        ] {
            assert_eq!(handling(&table, name, &none), want, "{name}");
        }
    }

    #[test]
    fn a_site_adds_rows_and_allows_what_it_has_the_right_to() {
        let own = toml::from_str::<Table>(
            "[[software]]\nname = 'Ours'\nversion = '2.*'\nreason = 'secret'",
        );
        let table = Table::shipped().unwrap().under(own.unwrap().software);
        let none = Allowed::Names(Vec::new());
        assert_eq!(handling(&table, "Ours/2.1", &none), Some(Handling::Refused));
        assert_eq!(handling(&table, "Ours/3.0", &none), None);
        let some = Allowed::Names(vec!["vasp/6.*".to_owned(), "Ours".to_owned()]);
        assert_eq!(handling(&table, "VASP/6.4", &some), Some(Handling::Allowed));
        assert_eq!(handling(&table, "VASP/5.4", &some), Some(Handling::Refused));
        assert_eq!(handling(&table, "Ours/2.1", &some), Some(Handling::Allowed));
        assert_eq!(handling(&table, "CUDA/12", &Allowed::All), Some(Handling::Allowed));
        let bad: Table =
            toml::from_str("[[software]]\nname = 'X'\nreason = 'r'\nversion = '['").unwrap();
        assert_eq!(bad.mistakes(), ["`[` of `X` is not a pattern"]);
        assert!(toml::from_str::<Table>("[[software]]\nnaem = 'X'").is_err());
    }
}
