//! Links of a layer that lead out of it: to what a site, the machine or its drivers bring.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::closure::collect::Collector;
use crate::closure::walk::Surveyed;
use crate::closure::{Cause, ClosureError, Reason};

/// Adds the links of `layer`, which has `survey` in it, that lead out of it, and those that lead to such a link. They cost
/// nothing, and a program finds through them what is bound there.
pub(super) fn add(
    collector: &mut Collector<'_>,
    layer: &Path,
    survey: &[Surveyed],
) -> Result<(), ClosureError> {
    let links = survey.iter().filter(|found| found.is_link).filter_map(|found| {
        let target = std::fs::read_link(&found.path).ok()?;
        Some((found.path.clone(), lexically(&found.path.parent()?.join(target))))
    });
    let reason: Reason = Cause::Core("site".to_owned()).into();
    for link in leading_out(links.collect(), layer) {
        collector.add(&link, &reason)?;
    }
    Ok(())
}

/// Those of `links`, each with where it leads, that lead out of `layer`, if through others of them.
fn leading_out(mut links: Vec<(PathBuf, PathBuf)>, layer: &Path) -> BTreeSet<PathBuf> {
    let mut out = BTreeSet::new();
    loop {
        let known = out.len();
        links.retain(|(link, target)| {
            let leads_out =
                !target.starts_with(layer) || target.ancestors().any(|up| out.contains(up));
            if leads_out {
                out.insert(link.clone());
            }
            !leads_out
        });
        if out.len() == known {
            return out;
        }
    }
}

/// `path` without `.` and `..`.
fn lexically(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_out_by_themselves_or_through_others() {
        let links = [
            ("/l/lib/libcuda.so", "libcuda.so.1"),
            ("/l/lib/libcuda.so.1", "/h/lib/libcuda.so.1"),
            ("/l/etc/hosts", "/etc/hosts"),
            ("/l/up", "../../x"),
            ("/l/site", "/h/site"),
            ("/l/bin/tool", "../site/tool"),
            ("/l/lib/libz.so", "libz.so.1"),
            ("/l/lib64", "lib"),
            ("/l/whole", "/l"),
        ];
        let links = links.map(|(link, target)| {
            let link = PathBuf::from(link);
            let target = lexically(&link.parent().unwrap().join(target));
            (link, target)
        });
        let want = [
            "/l/bin/tool",
            "/l/etc/hosts",
            "/l/lib/libcuda.so",
            "/l/lib/libcuda.so.1",
            "/l/site",
            "/l/up",
        ];
        let want = want.map(PathBuf::from).into();
        assert_eq!(leading_out(links.into(), Path::new("/l")), want);
    }
}
