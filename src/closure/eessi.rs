//! EESSI's own files: compatibility layer, init, Lmod's configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::collect::{Collector, INJECTIONS};
use super::{Base, BindPoint, Cause, ClosureError, Reason, Request, slim};
use crate::base::Epoch;
use crate::base::fs::sorted_dir;
use crate::stack::{Eessi, LmodInstallation};

/// Makes the rules for compatibility layers hold below those that will be packed. Comes before
/// anything is added, as a module may name a file of a layer.
pub(super) fn declare(collector: &mut Collector<'_>, eessi: &Eessi, request: &Request<'_>) {
    for layer in layers(eessi, request.lmod) {
        collector.policy.add_layer(layer);
    }
    if request.slim.is_some() {
        collector.policy.be_slim();
    }
}

/// Adds what a session of this EESSI needs besides its modules.
pub(super) fn add(
    collector: &mut Collector<'_>,
    eessi: &Eessi,
    request: &Request<'_>,
) -> Result<(), ClosureError> {
    if request.base != Base::Host {
        for layer in layers(eessi, request.lmod) {
            if request.slim.is_some() {
                slim::add_core(collector, request, &layer)?;
                continue;
            }
            let reason: Reason = Cause::Layer(layer.clone()).into();
            collector.add(&layer, &reason)?;
        }
    }
    add_init(collector, eessi)?;
    add_injections(collector, eessi)
}

/// The compatibility layers that a session uses: its version's own, and the one that its Lmod
/// lies in (`init/lmod/*` of 2023.06 takes that of 2025.06).
pub(super) fn layers(eessi: &Eessi, lmod: Option<&LmodInstallation>) -> Vec<PathBuf> {
    let own = eessi.compatibility_layer();
    let versions = eessi.repository.join("versions");
    let other = lmod.and_then(|lmod| {
        // <version>/compat/<os>/<family>
        let below = lmod.command.strip_prefix(&versions).ok()?;
        let layer: PathBuf = below.iter().take(4).collect();
        (below.iter().nth(1)? == "compat").then(|| versions.join(layer))
    });
    let other = other.filter(|other| *other != own && other.is_dir());
    std::iter::once(own).chain(other).collect()
}

/// Adds the init of this version and of the repository, and Lmod's configuration of the target.
fn add_init(collector: &mut Collector<'_>, eessi: &Eessi) -> Result<(), ClosureError> {
    let reason: Reason = Cause::Init("eessi".to_owned()).into();
    let configuration = eessi.lmod_configuration();
    for path in [
        eessi.init(),
        eessi.prefix().join("scripts"),
        eessi.repository.join("init/lmod"),
        configuration.clone(),
    ] {
        collector.add(&path, &reason)?;
    }
    // the EESSI module of this version, and no other
    let modules = eessi.repository.join("init/modules/EESSI");
    let wanted: BTreeSet<String> =
        [format!("{}.lua", eessi.version), ".modulerc.lua".into(), ".version".into()].into();
    for name in sorted_dir(&modules).unwrap_or_default() {
        let path = modules.join(&name);
        if name.to_str().is_some_and(|name| wanted.contains(name)) {
            collector.add(&path, &reason)?;
        } else if !collector.is_planned(&path) {
            collector.omit(&path, "module of a version that is not packed");
        }
    }
    Ok(())
}

/// Adds the link to the site's own files, and the empty directory that it leads to.
fn add_injections(collector: &mut Collector<'_>, eessi: &Eessi) -> Result<(), ClosureError> {
    let reason: Reason = Cause::Init("eessi".to_owned()).into();
    let link = eessi.host_injections();
    collector.put_link(&link, Path::new(INJECTIONS), Epoch::GENERATED, &reason)?;
    collector.make_directory(Path::new(INJECTIONS))?;
    collector.bind_points.insert(BindPoint {
        path: link,
        target: PathBuf::from(INJECTIONS),
        purpose: "what a site adds to EESSI".to_owned(),
    });
    Ok(())
}

impl Collector<'_> {
    /// Whether something is planned at exactly this path.
    fn is_planned(&self, path: &Path) -> bool {
        self.image(path).is_ok_and(|at| self.rootfs.get(&at).is_some())
    }
}
