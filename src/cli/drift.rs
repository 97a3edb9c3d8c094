//! A repository may change while files are read from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::context::Context;
use crate::base::Escaped;
use crate::base::cvmfs::{self, Revision};

/// Variables that name paths in the repositories that an export reads from.
const NAMING: [&str; 3] = ["MODULEPATH", "_LMFILES_", "EESSI_CVMFS_REPO"];

/// Repositories as they were when the export began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Begun(BTreeMap<PathBuf, Revision>);

/// A repository before and after an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Repository {
    /// `/cvmfs/software.eessi.io`.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub(super) path: PathBuf,
    /// When the export began.
    pub(super) before: Revision,
    /// When it was done; `None` if the repository does not say any more.
    pub(super) after: Option<Revision>,
}

impl Begun {
    /// Asks the repositories of the session, and those of `include`.
    pub(super) fn look(context: &Context, include: &[PathBuf]) -> Self {
        let lists = NAMING.iter().filter_map(|name| context.environment.get(*name));
        let named = lists.flat_map(|list| list.split(':')).map(Path::new);
        let paths = named.chain(include.iter().map(PathBuf::as_path));
        let mut tops: Vec<_> = paths.filter_map(cvmfs::repository).collect();
        tops.sort();
        tops.dedup();
        Self(
            tops.into_iter()
                .filter_map(|top| Some((top.clone(), cvmfs::revision(&top)?)))
                .collect(),
        )
    }

    /// Asks again.
    pub(super) fn again(self) -> Vec<Repository> {
        let again = |(path, before): (PathBuf, Revision)| {
            let after = cvmfs::revision(&path);
            Repository { path, before, after }
        };
        self.0.into_iter().map(again).collect()
    }
}

impl Repository {
    /// A sentence, if another state is mounted now.
    pub(super) fn warning(&self) -> Option<String> {
        let after = self.after.as_ref().filter(|after| **after != self.before)?;
        Some(format!(
            "`{}` changed from {} to {} while the image was made, which may hold files of both: export again to be sure",
            Escaped(&self.path.to_string_lossy()),
            state(&self.before),
            state(after)
        ))
    }
}

fn state(revision: &Revision) -> String {
    let number = revision.revision.map(|number| format!("revision {number}"));
    let hash = revision.root_hash.as_ref().map(|hash| format!("root hash {hash}"));
    [number, hash].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_named_with_both_states() {
        let state = |number| Revision { revision: Some(number), root_hash: Some("ab".repeat(20)) };
        let of = |after| Repository { path: "/cvmfs/x".into(), before: state(6), after };
        assert_eq!(of(Some(state(6))).warning(), None);
        assert_eq!(of(None).warning(), None);
        let warning = of(Some(state(7))).warning().unwrap();
        for said in ["`/cvmfs/x`", "revision 6, root hash abab", "revision 7, root hash abab"] {
            assert!(warning.contains(said), "{warning}");
        }
    }
}
