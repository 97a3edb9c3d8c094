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
    let mut differences = Vec::new();
    for (variable, value) in evaluated {
        if PERSONAL.contains(&variable.as_str()) {
            continue;
        }
        let live = session.get(variable);
        match (lists.get(variable), value) {
            (Some(origins), _) => {
                let value = value.as_deref().unwrap_or_default();
                compare_lists(variable, live, value, origins, known, &mut differences);
            }
            (None, Some(value)) if live != Some(value) => differences.push(Difference::Value {
                variable: variable.clone(),
                session: live.cloned(),
                evaluated: value.clone(),
            }),
            _ => {}
        }
    }
    differences
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
        let foreign = !origins.contains_key(element.as_str()) && !known.contains(element);
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
}
