//! The JSON documents of an image. Keys are sorted, since `serde_json`'s maps are.
//!
//! Source: opencontainers/image-spec `config.md`, `manifest.md`, `image-layout.md`.

use serde_json::{Value, json};

use super::{LayerWritten, OciOptions, kept};
use crate::base::{Digest, Epoch};
use crate::image::codec::Compression;
use crate::image::sif::Architecture;

pub(super) const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// The annotation by which tools find an image in a layout.
pub(in crate::image) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Where `podman load`, `docker load` and containerd look for the whole name.
const FULL_NAME: &str = "io.containerd.image.name";

pub(super) fn layer_type(compression: Compression) -> &'static str {
    match compression {
        Compression::Gzip(_) => "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::Zstd(_) => "application/vnd.oci.image.layer.v1.tar+zstd",
        // others are refused before anything is written
        Compression::Xz(_) | Compression::Lz4 | Compression::None => {
            "application/vnd.oci.image.layer.v1.tar"
        }
    }
}

pub(super) fn bytes(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

/// A digest as OCI writes it.
fn named(digest: Digest) -> String {
    format!("sha256:{digest}")
}

/// How a runtime starts the image, and what its layers are.
pub(super) fn config(options: &OciOptions, time: Epoch, layers: &[LayerWritten]) -> Value {
    let (architecture, variant) = options.architecture.oci();
    let diff_ids: Vec<_> = layers.iter().map(|layer| named(layer.stream.diff_id)).collect();
    let base = options.base.as_ref();
    let ours = layers.get(base.map_or(0, |base| base.layers.len())..).unwrap_or_default();
    let mut history = base.map(|base| kept::history(base, time)).unwrap_or_default();
    history.extend(
        ours.iter().map(|layer| json!({ "created": time.timestamp(), "created_by": layer.title })),
    );
    let variables: Vec<_> =
        options.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut labels = base.map(kept::labels).unwrap_or_default();
    let annotations = options.annotations();
    let annotations = annotations.iter();
    labels.extend(annotations.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut config = json!({
        "architecture": architecture,
        "os": "linux",
        "created": time.timestamp(),
        "author": options.author,
        "config": {
            "Env": variables,
            "Entrypoint": options.entrypoint,
            "Cmd": options.command,
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": history,
    });
    for (name, value) in base.map(kept::settings).unwrap_or_default() {
        config["config"][name] = value;
    }
    if let Some(variant) = variant {
        config["variant"] = json!(variant);
    }
    config
}

/// The manifest: config and layers by digest.
pub(super) fn manifest(
    options: &OciOptions,
    (config, config_bytes): (Digest, usize),
    layers: &[LayerWritten],
) -> Value {
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| {
            json!({
                "mediaType": layer.media_type,
                "digest": named(layer.stream.digest),
                "size": layer.stream.size,
                "annotations": { "org.opencontainers.image.title": layer.title },
            })
        })
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": CONFIG_TYPE,
            "digest": named(config),
            "size": config_bytes,
        },
        "layers": layers,
        "annotations": options.annotations(),
    })
}

/// What an index says of an image.
pub(super) fn descriptor(options: &OciOptions, manifest: Digest, size: usize) -> Value {
    let (architecture, variant) = options.architecture.oci();
    let mut platform = json!({ "architecture": architecture, "os": "linux" });
    if let Some(variant) = variant {
        platform["variant"] = json!(variant);
    }
    json!({
        "mediaType": MANIFEST_TYPE,
        "digest": named(manifest),
        "size": size,
        "annotations": {
            REF_NAME: options.tag,
            FULL_NAME: format!("localhost/{}:{}", options.repository, options.tag),
        },
        "platform": platform,
    })
}

/// An index of these images.
pub(super) fn index(descriptors: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": descriptors })
}

/// `manifest.json` of a docker archive.
pub(super) fn docker_manifest(
    options: &OciOptions,
    config: Digest,
    layers: &[LayerWritten],
) -> Value {
    let layers: Vec<_> =
        layers.iter().map(|layer| super::docker_layer(layer.stream.digest)).collect();
    json!([{
        "Config": super::docker_config(config),
        "RepoTags": [format!("{}:{}", options.repository, options.tag)],
        "Layers": layers,
    }])
}

impl Architecture {
    /// Go's name of the architecture, and its variant, as OCI has them.
    pub(in crate::image) fn oci(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::X86_64 => ("amd64", None),
            Self::Aarch64 => ("arm64", Some("v8")),
            Self::Riscv64 => ("riscv64", None),
            Self::Ppc64le => ("ppc64le", None),
            Self::S390x => ("s390x", None),
        }
    }
}
