//! The live session as an oracle: does evaluation give what the shell has?

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Change, Operation, Variables};
use crate::base::Escaped;

/// A difference between the session's environment and the one that its modulefiles give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Difference {
    /// Another value.
    Value {
        /// The variable.
        variable: String,
        /// What the session has; `None` where it is unset.
        session: Option<String>,
        /// What the modulefiles give, and the image will have.
        evaluated: String,
    },
    /// The session has a value where the modulefiles unset the variable.
    Unset {
        /// The variable.
        variable: String,
    },
    /// A path list of the session lacks an element that a module adds.
    Missing {
        /// The variable.
        variable: String,
        /// The element.
        element: String,
        /// Full name of the module.
        origin: String,
    },
    /// A path list of the session has an element that neither a module nor the stack adds.
    Extra {
        /// The variable.
        variable: String,
        /// The element.
        element: String,
    },
    /// The same elements of modules in another order.
    Order {
        /// The variable.
        variable: String,
    },
    /// Something else than the modules give, of which nothing may be shown.
    Hidden {
        /// The variable.
        variable: String,
    },
}

impl Difference {
    /// The same without its values where `is_secret`, asked with the variable's name and each value.
    #[must_use]
    pub fn hidden(self, is_secret: impl Fn(&str, &str) -> bool) -> Self {
        let (variable, values) = match &self {
            Self::Value { variable, session, evaluated } => {
                (variable, vec![session.as_deref().unwrap_or_default(), evaluated])
            }
            Self::Missing { variable, element, .. } | Self::Extra { variable, element } => {
                (variable, vec![element.as_str()])
            }
            Self::Unset { .. } | Self::Order { .. } | Self::Hidden { .. } => return self,
        };
        if values.into_iter().any(|value| is_secret(variable, value)) {
            return Self::Hidden { variable: variable.clone() };
        }
        self
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { variable, session: Some(session), evaluated } => write!(
                f,
                "{} is `{}` in this session, but the modules set it to `{}`; the image has the latter",
                Escaped(variable),
                Escaped(session),
                Escaped(evaluated)
            ),
            Self::Value { variable, session: None, evaluated } => write!(
                f,
                "{} is not set in this session, but the modules set it to `{}`; the image has that",
                Escaped(variable),
                Escaped(evaluated)
            ),
            Self::Unset { variable } => write!(
                f,
                "{} is set in this session, but the modules unset it; the image does not have it",
                Escaped(variable)
            ),
            Self::Missing { variable, element, origin } => write!(
                f,
                "{} lacks `{}` in this session, which {} adds; the image has it",
                Escaped(variable),
                Escaped(element),
                Escaped(origin)
            ),
            Self::Extra { variable, element } => write!(
                f,
                "{} holds `{}` in this session, which no module adds; the image does not have it",
                Escaped(variable),
                Escaped(element)
            ),
            Self::Hidden { variable } => write!(
                f,
                "{} has another value in this session than the modules give it (not shown: it looks secret); the image has the modules'",
                Escaped(variable)
            ),
            Self::Order { variable } => write!(
                f,
                "{} has the modules' directories in another order in this session; the image has the modules' order",
                Escaped(variable)
            ),
        }
    }
}

/// Names of variables that each session has for itself.
const PERSONAL: &[&str] = &["PS1", "PWD", "OLDPWD", "SHLVL", "_", "MODULEPATH"];

/// Lists whose foreign elements are software; `session::foreign` names these.
const SEARCHED: &[&str] = &["PATH", "LD_LIBRARY_PATH"];

/// Compares the `session`'s variables with those that evaluation gave: `evaluated` holds the final
/// values, `changes` every change in order, `known` the elements that are no module's but belong
/// to the stack or the system.
#[must_use]
pub fn compare(
    session: &Variables,
    evaluated: &BTreeMap<String, Option<String>>,
    changes: &[Change],
    known: &BTreeSet<String>,
) -> Vec<Difference> {
    let lists = path_lists(changes);
    let is_set = |name: &str| session.get(name).is_some_and(|live| !live.is_empty());
    let unset = unset_by(changes).into_iter();
    let unset =
        unset.filter(|name| is_set(name) && !evaluated.get(*name).is_some_and(Option::is_some));
    let mut differences: Vec<_> =
        unset.map(|name| Difference::Unset { variable: name.to_owned() }).collect();
    for (variable, value) in evaluated {
        let live = session.get(variable);
        if PERSONAL.contains(&variable.as_str()) || live == value.as_ref() {
            continue;
        }
        match (lists.get(variable), value) {
            (Some(origins), _) if is_colon_list(value.as_deref(), origins) => {
                let value = value.as_deref().unwrap_or_default();
                compare_lists(variable, live, value, origins, known, &mut differences);
            }
            (_, Some(value)) if live != Some(value) => differences.push(Difference::Value {
                variable: variable.clone(),
                session: live.cloned(),
                evaluated: value.clone(),
            }),
            _ => {}
        }
    }
    differences
}

/// Variables whose last change was to unset them.
fn unset_by(changes: &[Change]) -> BTreeSet<&str> {
    let mut unset = BTreeSet::new();
    for change in changes {
        if change.operation == Operation::Unset {
            unset.insert(change.variable.as_str());
        } else {
            unset.remove(change.variable.as_str());
        }
    }
    unset
}

/// Elements of path lists that modules add, each with the module that added it last.
type Origins<'a> = BTreeMap<&'a str, &'a str>;

fn path_lists(changes: &[Change]) -> BTreeMap<String, Origins<'_>> {
    let mut lists: BTreeMap<String, Origins<'_>> = BTreeMap::new();
    for change in changes {
        match &change.operation {
            Operation::Prepend(elements) | Operation::Append(elements) => {
                let list = lists.entry(change.variable.clone()).or_default();
                list.extend(
                    elements.iter().map(|element| (element.as_str(), change.origin.as_str())),
                );
            }
            Operation::Set(_) | Operation::Push(_) | Operation::Unset => {
                lists.remove(&change.variable);
            }
            Operation::Remove(_) => {}
        }
    }
    lists
}

/// Whether a list is one of colons: with another delimiter the elements are not found in it.
fn is_colon_list(value: Option<&str>, origins: &Origins<'_>) -> bool {
    let elements: BTreeSet<_> = value.unwrap_or_default().split(':').collect();
    value.is_none() || origins.keys().any(|element| elements.contains(element))
}

fn compare_lists(
    variable: &str,
    live: Option<&String>,
    evaluated: &str,
    origins: &Origins<'_>,
    known: &BTreeSet<String>,
    differences: &mut Vec<Difference>,
) {
    let split = |text: &str| {
        text.split(':').filter(|e| !e.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    // also what a module set as a whole before others added to it
    let ours_all: BTreeSet<_> = split(evaluated).into_iter().collect();
    let ours: Vec<_> =
        split(evaluated).into_iter().filter(|e| origins.contains_key(e.as_str())).collect();
    let live = live.map(|text| split(text)).unwrap_or_default();
    let present: BTreeSet<_> = live.iter().cloned().collect();
    let before = differences.len();
    for element in ours.iter().filter(|element| !present.contains(*element)) {
        differences.push(Difference::Missing {
            variable: variable.to_owned(),
            element: element.clone(),
            origin: origins.get(element.as_str()).copied().unwrap_or_default().to_owned(),
        });
    }
    let mut seen = BTreeSet::new();
    let searched = if SEARCHED.contains(&variable) { &[][..] } else { &live };
    for element in searched {
        let foreign = !origins.contains_key(element.as_str())
            && !known.contains(element)
            && !ours_all.contains(element);
        if foreign && seen.insert(element) {
            differences.push(Difference::Extra {
                variable: variable.to_owned(),
                element: element.clone(),
            });
        }
    }
    let theirs: Vec<_> = live.iter().filter(|e| origins.contains_key(e.as_str())).collect();
    if differences.len() == before && !theirs.into_iter().eq(&ours) {
        differences.push(Difference::Order { variable: variable.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(variable: &str, operation: Operation) -> Change {
        Change { origin: "a/1".to_owned(), variable: variable.to_owned(), operation }
    }

    fn differences(path: &str, root: Option<&str>) -> Vec<String> {
        let changes = [
            change("MANPATH", Operation::Prepend(vec!["/a/bin".to_owned()])),
            change("MANPATH", Operation::Prepend(vec!["/b/bin".to_owned()])),
            change("ROOT", Operation::Set("/a".to_owned())),
        ];
        let evaluated = [
            ("MANPATH".to_owned(), Some("/b/bin:/a/bin:/usr/bin".to_owned())),
            ("ROOT".to_owned(), Some("/a".to_owned())),
        ];
        let mut session: Variables = [("MANPATH".to_owned(), path.to_owned())].into();
        session.extend(root.map(|root| ("ROOT".to_owned(), root.to_owned())));
        let known = ["/usr/bin".to_owned(), "/bin".to_owned()].into();
        compare(&session, &evaluated.into(), &changes, &known)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn each_difference_is_named_and_nothing_else() {
        let rows: [(&str, Option<&str>, &[&str]); 6] = [
            ("/b/bin:/a/bin:/bin", Some("/a"), &[]),
            (
                "/b/bin:/a/bin",
                Some("/x"),
                &[
                    "ROOT is `/x` in this session, but the modules set it to `/a`; the image has the latter",
                ],
            ),
            (
                "/b/bin:/a/bin",
                None,
                &[
                    "ROOT is not set in this session, but the modules set it to `/a`; the image has that",
                ],
            ),
            (
                "/a/bin",
                Some("/a"),
                &["MANPATH lacks `/b/bin` in this session, which a/1 adds; the image has it"],
            ),
            (
                "/venv/bin:/b/bin:/a/bin",
                Some("/a"),
                &[
                    "MANPATH holds `/venv/bin` in this session, which no module adds; the image does not have it",
                ],
            ),
            (
                "/a/bin:/b/bin",
                Some("/a"),
                &[
                    "MANPATH has the modules' directories in another order in this session; the image has the modules' order",
                ],
            ),
        ];
        for (path, root, want) in rows {
            assert_eq!(differences(path, root), want, "{path}");
        }
    }

    #[test]
    fn lists_that_modules_set_extend_or_write_without_colons_are_no_differences() {
        let changes = [
            change("X", Operation::Set("/a:/b".to_owned())),
            change("X", Operation::Prepend(vec!["/c".to_owned()])),
            change("F", Operation::Append(vec!["-a".to_owned()])),
            change("F", Operation::Append(vec!["-b".to_owned()])),
            change("U", Operation::Unset),
        ];
        let variables = |rows: &[(&str, &str)]| -> Variables {
            rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let evaluated = variables(&[("X", "/c:/a:/b"), ("F", "-a -b")]);
        let evaluated: BTreeMap<_, _> =
            evaluated.into_iter().map(|(name, value)| (name, Some(value))).collect();
        let differences = |rows: &[(&str, &str)]| -> Vec<String> {
            compare(&variables(rows), &evaluated, &changes, &BTreeSet::new())
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(differences(&[("X", "/c:/a:/b"), ("F", "-a -b")]), [""; 0]);
        assert_eq!(
            differences(&[("X", "/c:/a:/zz:/b"), ("F", "-a -c"), ("U", "u")]),
            [
                "U is set in this session, but the modules unset it; the image does not have it",
                "F is `-a -c` in this session, but the modules set it to `-a -b`; the image has the latter",
                "X holds `/zz` in this session, which no module adds; the image does not have it",
            ]
        );
    }

    #[test]
    fn what_looks_secret_is_not_told() {
        let variable = "DB_PASSWORD".to_owned();
        let value = |text: &str| text.to_owned();
        for difference in [
            Difference::Value {
                variable: variable.clone(),
                session: Some(value("live77")),
                evaluated: value("old66"),
            },
            Difference::Value {
                variable: variable.clone(),
                session: None,
                evaluated: value("old66"),
            },
            Difference::Extra { variable: variable.clone(), element: value("live77") },
        ] {
            let kept = difference.clone().hidden(|_, value| value == "other");
            assert_eq!(kept, difference);
            let hidden = difference.hidden(|name, _| name == "DB_PASSWORD");
            let json = serde_json::to_string(&hidden).unwrap();
            for text in [hidden.to_string(), json] {
                assert!(text.contains("DB_PASSWORD"), "{text}");
                assert!(!text.contains("77") && !text.contains("66"), "{text}");
            }
        }
    }
}
