//! Layers of another image that lie beneath ours as they are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::Digest as _;

use super::documents::layer_type;
use super::layout::{Layout, NameOf};
use super::{LayerWritten, docker_layer, oci_blob};
use crate::base::{Digest, Epoch};
use crate::image::codec::Compression;
use crate::image::read::archive::{Packing, broken};
use crate::image::read::store::Extent;
use crate::image::tar::StreamWritten;
use crate::image::{ImageError, Watch};

/// An image whose layers are kept.
#[derive(Debug, Clone)]
pub struct KeptImage {
    /// From the bottom up.
    pub(in crate::image) layers: Vec<KeptLayer>,
    /// Its config.
    pub(in crate::image) config: Value,
    /// Digest of its manifest.
    pub(in crate::image) manifest: Digest,
}

/// A layer that is kept.
#[derive(Debug, Clone)]
pub struct KeptLayer {
    /// As it is.
    pub(in crate::image) raw: Extent,
    /// Its tar stream.
    pub(in crate::image) plain: Extent,
    pub(in crate::image) packing: Packing,
    /// SHA-256 as it is.
    pub(in crate::image) digest: Digest,
    /// SHA-256 of its tar stream.
    pub(in crate::image) diff_id: Digest,
}

impl KeptImage {
    /// Number of layers.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Digest of the manifest.
    #[must_use]
    pub const fn manifest(&self) -> Digest {
        self.manifest
    }
}

/// Whose archive or layout is written.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// What a layer is called.
    pub(super) name_of: NameOf,
    /// Whether layers are plain streams, whatever they were.
    is_plain: bool,
}

/// OCI's: layers as they are.
pub(super) const OCI: Kind = Kind { name_of: oci_blob, is_plain: false };
/// Docker's: plain layers.
pub(super) const DOCKER: Kind = Kind { name_of: docker_layer, is_plain: true };

/// Writes the layers of `base`; those that are there already are left alone.
pub(super) fn write(
    base: Option<&KeptImage>,
    layout: &mut Layout,
    kind: Kind,
    watch: Watch,
) -> Result<Vec<LayerWritten>, ImageError> {
    let mut written = Vec::new();
    let mut names = BTreeSet::new();
    for (number, layer) in base.iter().flat_map(|base| &base.layers).enumerate() {
        let (extent, digest, packing) = if kind.is_plain {
            (&layer.plain, layer.diff_id, Packing::None)
        } else {
            (&layer.raw, layer.digest, layer.packing)
        };
        let name = (kind.name_of)(digest);
        if names.insert(name.clone()) && !layout.has(&name) {
            copy(extent, digest, layout, kind, watch)?;
        }
        written.push(LayerWritten {
            title: format!("layer {} of the base", number + 1),
            media_type: media_type(packing),
            stream: StreamWritten { size: extent.size, digest, diff_id: layer.diff_id },
        });
    }
    Ok(written)
}

fn copy(
    extent: &Extent,
    want: Digest,
    layout: &mut Layout,
    kind: Kind,
    watch: Watch,
) -> Result<(), ImageError> {
    layout.blob(kind.name_of, |out| {
        let mut hasher = sha2::Sha256::new();
        extent.copy(|bytes| {
            watch.interrupt.check()?;
            hasher.update(bytes);
            out.write_all(bytes).map_err(ImageError::Write)
        })?;
        let digest = Digest::from_bytes(hasher.finalize().into());
        if digest != want {
            return Err(broken(&extent.path, "it has changed while it was read"));
        }
        Ok((extent.size, digest, ()))
    })?;
    Ok(())
}

fn media_type(packing: Packing) -> &'static str {
    match packing {
        Packing::Gzip => layer_type(Compression::DEFAULT),
        Packing::Zstd => layer_type(Compression::Zstd(3)),
        Packing::None => layer_type(Compression::None),
    }
}

/// The base's history, if it has a line for each layer; else one that has.
pub(super) fn history(base: &KeptImage, time: Epoch) -> Vec<Value> {
    let lines = base.config.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_layer = |line: &&Value| line.get("empty_layer") != Some(&Value::Bool(true));
    if lines.iter().filter(is_layer).count() == base.layers.len() {
        return lines;
    }
    let line = json!({ "created": time.timestamp(), "created_by": "a layer of the base" });
    vec![line; base.layers.len()]
}

/// The base's labels.
pub(super) fn labels(base: &KeptImage) -> BTreeMap<String, String> {
    let labels = base.config.pointer("/config/Labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// What else the base says of how it is run, and what holds for ours, too.
pub(super) fn settings(base: &KeptImage) -> BTreeMap<&'static str, Value> {
    let names = ["ExposedPorts", "Volumes", "StopSignal"];
    let found = names.into_iter().filter_map(|name| {
        let value = base.config.pointer("/config").and_then(|config| config.get(name))?;
        (!value.is_null()).then(|| (name, value.clone()))
    });
    found.collect()
}
