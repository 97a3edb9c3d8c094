//! The image's bill of materials.

use crate::assemble::{BaseLayer, Identity, ManifestModule};
use crate::attest::{easyconfig, spdx};
use crate::base::Epoch;

/// The bill of materials of an image that holds these modules, in SPDX's JSON.
pub(super) fn sbom(
    identity: &Identity,
    modules: &[ManifestModule],
    base: &BaseLayer,
    epoch: Option<Epoch>,
) -> String {
    let modules = modules.iter().map(|module| spdx::Component {
        module: module.name.clone(),
        description: module.description.clone(),
        origin: module.prefixes.iter().find_map(|prefix| easyconfig::find(prefix)),
        dependencies: module.dependencies.clone(),
    });
    spdx::document(&spdx::Bill {
        name: identity.name.clone(),
        version: identity.version.clone(),
        authors: identity.authors.clone(),
        created: epoch.unwrap_or(Epoch::GENERATED),
        modules: modules.collect(),
        base: name_of(base),
    })
}

/// What lies under the modules, in words.
fn name_of(base: &BaseLayer) -> (String, Option<crate::base::Digest>) {
    if let Some(name) = &base.name {
        return (name.clone(), base.digest);
    }
    match (base.kind.as_str(), &base.stack_version) {
        ("compat", Some(version)) => (format!("EESSI compatibility layer {version}"), None),
        _ => ("libraries and tools of the exporting machine".to_owned(), None),
    }
}
