//! Links that lead out of what is packed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::collect::{Collector, INJECTIONS};
use super::scope::{Follow, Scope, is_driver};
use super::{BindPoint, Cause, ClosureError, Reason};
use crate::base::Escaped;
use crate::rootfs::Node;

/// Links of which a warning gives the names.
const NAMED: usize = 3;

/// What an image has of its own, or a runtime puts there: a link to it is as it should be.
pub const OF_THE_RUNTIME: [&str; 10] = [
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/localtime",
    "/etc/mtab",
];

/// Follows links that lead out of the image: what belongs to the stack is added, links into the
/// site's own places become bind points, of others there is the warning that is returned. A link
/// that leads nowhere on this machine stays as it is.
pub(super) fn add(
    collector: &mut Collector<'_>,
    scope: &Scope<'_>,
) -> Result<Option<String>, ClosureError> {
    let mut astray: Vec<(PathBuf, PathBuf)> = Vec::new();
    // what is added may hold links of its own
    loop {
        astray.clear();
        let mut grown = false;
        for (link, outside) in leading_out(collector) {
            let of_site = outside.starts_with(INJECTIONS) && collector.injections().is_some();
            if of_site || outside.file_name().is_some_and(|name| is_driver(name.as_bytes())) {
                add_bind_point(collector, &link, &outside);
                continue;
            }
            if collector.is_beneath(&outside) {
                continue;
            }
            let Ok(metadata) = std::fs::metadata(&outside) else { continue };
            match scope.follow(&link, &outside, &metadata) {
                Follow::Yes => {
                    let reason: Reason = Cause::Link(link.clone()).into();
                    if collector.add(&outside, &reason)? {
                        grown = true;
                        continue;
                    }
                }
                Follow::Refused(why) => {
                    scope.refusals.note(&outside, why, Some(&link));
                    continue;
                }
                Follow::No => {}
            }
            let expected = OF_THE_RUNTIME.iter().any(|top| outside.starts_with(top));
            if !expected && !scope.in_layer(&link) {
                astray.push((link, outside));
            }
        }
        if !grown {
            break;
        }
    }
    Ok((!astray.is_empty()).then(|| warning(&astray)))
}

/// The links that lead out of the image, and where to.
fn leading_out(collector: &Collector<'_>) -> Vec<(PathBuf, PathBuf)> {
    let mut links = Vec::new();
    collector.rootfs.walk(|path, node| {
        if matches!(node, Node::Symlink(_)) {
            links.push(path.as_path().to_owned());
        }
    });
    let outside = |link: PathBuf| {
        let outside = collector.rootfs.leads_out_to(link.as_os_str().as_bytes())?;
        Some((link, outside.as_path().to_owned()))
    };
    links.into_iter().filter_map(outside).collect()
}

/// Declares that a site may bind its own files where `link` leads.
fn add_bind_point(collector: &mut Collector<'_>, link: &Path, outside: &Path) {
    let Ok(at) = collector.image(link) else { return };
    let Some(Node::Symlink(node)) = collector.rootfs.get(&at) else { return };
    let target = PathBuf::from(OsStr::from_bytes(&node.target));
    let has = |part: &str| outside.to_string_lossy().contains(part);
    let purpose = if has("/libcuda") || has("/libnvidia") || has("_nvidia.so") || has("/lib/nvidia")
    {
        "GPU driver libraries"
    } else if has("/software/CUDA") || has("/software/cuDNN") {
        "the site's CUDA installation"
    } else if has("/rpath_overrides/") {
        "the site's MPI"
    } else {
        "the site's own files"
    };
    let purpose = purpose.to_owned();
    collector.bind_points.insert(BindPoint { path: link.to_owned(), target, purpose });
}

/// One sentence for all links that lead astray.
fn warning(astray: &[(PathBuf, PathBuf)]) -> String {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let named = astray.iter().take(NAMED).map(|(link, outside)| {
        format!("`{}` to `{}`", Escaped(&text(link)), Escaped(&text(outside)))
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let remedy = "`--include PATH` adds what is needed";
    match astray.len() {
        1 => format!("a link leads to a file that is not packed: {named}; {remedy}"),
        count if count <= NAMED => {
            format!("{count} links lead to files that are not packed: {named}; {remedy}")
        }
        count => format!(
            "{count} links lead to files that are not packed: {named} and {} more; {remedy}",
            count - NAMED
        ),
    }
}
