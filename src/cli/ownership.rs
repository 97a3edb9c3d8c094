//! Which variables are the session's own, the stack's, or the modules'.

use std::collections::BTreeSet;

use crate::environment::{Change, Operation};
use crate::modulefile::Evaluation;

/// A word with which a site or user steers EESSI's own modulefile.
pub(super) fn is_site_word(name: &str) -> bool {
    name.starts_with("EESSI_MODULE_") && name != "EESSI_MODULEPATH"
}

/// Variables of the init that a user may have set to something else, without effect on the
/// modules: two switches, and where Lmod finds extensions such as ours.
pub(super) fn is_overridable(name: &str) -> bool {
    matches!(
        name,
        "EESSI_USE_ARCHDETECT" | "EESSI_USE_ARCHSPEC" | "LMOD_CONFIG_DIR" | "LMOD_PACKAGE_PATH"
    )
}

/// What every session has, whatever its user set.
pub(super) fn is_bare(name: &str) -> bool {
    ["EESSI_", "LMOD_"].iter().any(|start| name.starts_with(start))
        || matches!(
            name,
            "EPREFIX"
                | "HOME"
                | "LOGNAME"
                | "MODULEPATH"
                | "PATH"
                | "SHELL"
                | "TERM"
                | "TMPDIR"
                | "USER"
        )
}

/// The variables that modulefiles set, whether that was a change or not.
pub(super) fn touched_by(evaluation: &Evaluation) -> BTreeSet<String> {
    let changes = evaluation.changes.iter().map(|change| &change.variable);
    changes.chain(evaluation.environment.keys()).cloned().collect()
}

/// Elements that modules add to a path list.
pub(super) fn elements_of<'a>(changes: &'a [Change], variable: &str) -> BTreeSet<&'a str> {
    changes
        .iter()
        .filter(|change| change.variable == variable)
        .flat_map(|change| match &change.operation {
            Operation::Prepend(elements) | Operation::Append(elements) => elements.as_slice(),
            Operation::Set(_) | Operation::Push(_) | Operation::Unset | Operation::Remove(_) => &[],
        })
        .map(String::as_str)
        .collect()
}
