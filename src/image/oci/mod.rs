//! OCI images: a layout in a directory or an archive, and Docker's own archive.
//!
//! Layers are streams of tar; a layer has what one reason brings or a few do, so
//! that images which share software share its layers. No layer replaces anything of one below it.

mod documents;
mod kept;
mod layers;
mod layout;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde_json::Value;

pub(super) use self::documents::REF_NAME;
pub use self::kept::{KeptImage, KeptLayer};
pub use self::layers::LayerPlan;
use self::layout::Layout;
pub use self::layout::UNFINISHED;
use super::sif::Architecture;
use super::tar::{Select, Stream, StreamOptions, StreamWritten, survey};
use super::{FileDigest, Identifier, ImageError, LateContents, Watch};
use crate::base::fs::PathContext as _;
use crate::base::{Digest, Epoch};
use crate::rootfs::Rootfs;

/// What an OCI image says of itself.
#[derive(Debug, Clone)]
pub struct OciOptions {
    /// The machine that the programs in it run on.
    pub architecture: Architecture,
    /// Name in a docker archive; see [`reference()`].
    pub repository: String,
    /// Tag, by which a layout's images are told apart; see [`reference()`].
    pub tag: String,
    /// Who publishes it.
    pub author: String,
    /// The environment that every program in it starts with.
    pub variables: BTreeMap<String, String>,
    /// What starts the command.
    pub entrypoint: Vec<String>,
    /// The command if none is given.
    pub command: Vec<String>,
    /// Annotations of the manifest; also its labels.
    pub annotations: BTreeMap<String, String>,
    /// One annotation more, known when everything has been read.
    pub identifier: Identifier,
    /// What is in which layer.
    pub layers: LayerPlan,
    /// The image whose layers lie beneath these, as they are.
    pub base: Option<KeptImage>,
}

impl OciOptions {
    /// All annotations.
    fn annotations(&self) -> BTreeMap<&str, &str> {
        let all = self.annotations.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.chain(self.identifier.get().map(|text| (Identifier::LABEL, text))).collect()
    }
}

/// A layer in its place.
struct LayerWritten {
    title: String,
    media_type: &'static str,
    stream: StreamWritten,
}

/// A finished image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OciWritten {
    /// Bytes of all blobs.
    pub(super) size: u64,
    /// Digest of the manifest.
    pub(super) manifest: Digest,
}

fn oci_blob(digest: Digest) -> String {
    format!("blobs/sha256/{digest}")
}

fn docker_layer(digest: Digest) -> String {
    format!("{digest}.tar")
}

fn docker_config(digest: Digest) -> String {
    format!("{digest}.json")
}

/// Writes an OCI image into the layout in `directory`: an empty directory, or a layout, to whose
/// images this one is added; blobs that are there already are not written. An image of the same
/// tag is replaced.
///
/// # Errors
/// As [`super::write`]; nothing of the layout has changed then.
pub(super) fn write_directory(
    rootfs: &Rootfs,
    options: (&OciOptions, &StreamOptions, Epoch),
    directory: &Path,
    late: &mut LateContents,
    watch: Watch,
) -> Result<OciWritten, ImageError> {
    let mut others = other_images(directory, &options.0.tag)?;
    let mut layout = Layout::directory(directory)?;
    let (written, descriptor) = write_image(rootfs, options, &mut layout, late, watch)?;
    others.push(descriptor);
    layout.file("oci-layout", documents::LAYOUT.as_bytes())?;
    layout.file("index.json", &documents::bytes(&documents::index(&others)))?;
    layout.finish()?;
    Ok(written)
}

/// Writes an OCI image as an archive.
///
/// # Errors
/// As [`super::write`].
pub(super) fn write_archive(
    rootfs: &Rootfs,
    options: (&OciOptions, &StreamOptions, Epoch),
    out: &mut File,
    late: &mut LateContents,
    watch: Watch,
) -> Result<OciWritten, ImageError> {
    let directories = ["blobs", "blobs/sha256"];
    let mut layout = Layout::archive(out, options.2, &directories)?;
    let (written, descriptor) = write_image(rootfs, options, &mut layout, late, watch)?;
    layout.file("oci-layout", documents::LAYOUT.as_bytes())?;
    layout.file("index.json", &documents::bytes(&documents::index(&[descriptor])))?;
    layout.finish()?;
    Ok(written)
}

/// Writes an image as `docker load` reads it.
///
/// # Errors
/// As [`super::write`].
pub(super) fn write_docker(
    rootfs: &Rootfs,
    (options, stream, time): (&OciOptions, &StreamOptions, Epoch),
    out: &mut File,
    late: &mut LateContents,
    watch: Watch,
) -> Result<OciWritten, ImageError> {
    let mut layout = Layout::archive(out, time, &[])?;
    let layers = write_layers(rootfs, (options, stream), &mut layout, kept::DOCKER, late, watch)?;
    let config = documents::bytes(&documents::config(options, time, &layers));
    let digest = layout.document(docker_config, &config)?;
    let manifest = documents::bytes(&documents::docker_manifest(options, digest, &layers));
    layout.file("manifest.json", &manifest)?;
    layout.finish()?;
    Ok(OciWritten { size: size_of(&layers, &[&config, &manifest]), manifest: digest })
}

fn write_image(
    rootfs: &Rootfs,
    (options, stream, time): (&OciOptions, &StreamOptions, Epoch),
    layout: &mut Layout,
    late: &mut LateContents,
    watch: Watch,
) -> Result<(OciWritten, Value), ImageError> {
    let layers = write_layers(rootfs, (options, stream), layout, kept::OCI, late, watch)?;
    let config = documents::bytes(&documents::config(options, time, &layers));
    let config_digest = layout.document(oci_blob, &config)?;
    let about_config = (config_digest, config.len());
    let manifest = documents::bytes(&documents::manifest(options, about_config, &layers));
    let digest = layout.document(oci_blob, &manifest)?;
    let size = size_of(&layers, &[&config, &manifest]);
    let descriptor = documents::descriptor(options, digest, manifest.len());
    Ok((OciWritten { size, manifest: digest }, descriptor))
}

fn size_of(layers: &[LayerWritten], documents: &[&Vec<u8>]) -> u64 {
    let documents: u64 = documents.iter().map(|bytes| bytes.len() as u64).sum();
    layers.iter().map(|layer| layer.stream.size).sum::<u64>() + documents
}

/// In a layer such a name would take another one away.
fn check_names(rootfs: &Rootfs) -> Result<(), ImageError> {
    let mut found = None;
    rootfs.walk(|path, _| {
        if path.split().is_some_and(|(_, name)| name.starts_with(b".wh.")) {
            found.get_or_insert_with(|| path.to_string());
        }
    });
    let reason = "in layers of images, names that begin with `.wh.` mean that others are removed";
    found.map_or(Ok(()), |what| Err(ImageError::Unrepresentable { what, reason }))
}

/// Writes all layers, the one with the late documents last.
fn write_layers(
    rootfs: &Rootfs,
    (options, stream): (&OciOptions, &StreamOptions),
    layout: &mut Layout,
    kind: kept::Kind,
    late: &mut LateContents,
    watch: Watch,
) -> Result<Vec<LayerWritten>, ImageError> {
    check_names(rootfs)?;
    let mut digests = vec![None::<FileDigest>; rootfs.files().len()];
    let total = survey(rootfs, Select::All)?;
    watch.progress.stage("writing the image", Some(total.planned.len() as u64), Some(total.bytes));
    let mut layers = kept::write(options.base.as_ref(), layout, kind, watch)?;
    let media_type = documents::layer_type(stream.compression);
    let keys = stream.keys();
    for (number, title) in options.layers.titles().enumerate() {
        let is_wanted = |node: &crate::rootfs::Node| options.layers.of(rootfs, node) == number;
        let select = Select::Only(&is_wanted);
        let source = Stream::new((rootfs, select), stream, &keys, watch)?;
        let is_there =
            |known: &StreamWritten| layout.has_blob(kind.name_of, known.digest, known.size);
        let written = if let Some(known) = source.known().filter(is_there) {
            source.note(&mut digests);
            known
        } else {
            let write = |out: &mut dyn std::io::Write| {
                let written = source.write(out, &mut digests, &mut *late)?;
                Ok((written.size, written.digest, written))
            };
            layout.blob(kind.name_of, write)?.2
        };
        layers.push(LayerWritten { title: title.to_owned(), media_type, stream: written });
    }
    watch.progress.finish();
    Ok(layers)
}

/// The images of a layout but the one of this tag; none in a directory without an index.
fn other_images(directory: &Path, tag: &str) -> Result<Vec<Value>, ImageError> {
    let path = directory.join("index.json");
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.at("read", &path)?,
    };
    let malformed =
        |what: &str| ImageError::Malformed { path: path.clone(), what: what.to_owned() };
    let index: Value =
        serde_json::from_slice(&text).map_err(|error| malformed(&error.to_string()))?;
    let images = index.get("manifests").and_then(Value::as_array);
    let images = images.ok_or_else(|| malformed("it has no list of manifests"))?;
    let is_other = |image: &&Value| {
        image.pointer("/annotations").and_then(|all| all.get(documents::REF_NAME))
            != Some(&tag.into())
    };
    Ok(images.iter().filter(is_other).cloned().collect())
}

/// The tags of the images in the layout in `directory`; `None` if it is no layout.
///
/// # Errors
/// A broken index.
pub fn tags(directory: &Path) -> Result<Option<Vec<String>>, ImageError> {
    if !directory.join("oci-layout").is_file() {
        return Ok(None);
    }
    let images = other_images(directory, "")?;
    let tag = |image: &Value| {
        let tag = image.pointer("/annotations")?.get(documents::REF_NAME)?;
        tag.as_str().map(str::to_owned)
    };
    Ok(Some(images.iter().filter_map(tag).collect()))
}

/// `name` as a repository and `version` as a tag: what they may not hold becomes `-`.
///
/// Source: distribution/reference `reference.go` (grammar).
#[must_use]
pub fn reference(name: &str, version: &str) -> (String, String) {
    let mut repository = String::new();
    for c in name.to_lowercase().chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
        // separators do not stand beside one another
        if c.is_ascii_alphanumeric()
            || repository.ends_with(|last: char| last.is_ascii_alphanumeric())
        {
            repository.push(c);
        }
    }
    let repository = repository.trim_end_matches(['.', '_', '-']);
    let repository = if repository.is_empty() { "image" } else { repository };
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let tag: String = version.chars().map(|c| if is_fit(c) { c } else { '-' }).take(128).collect();
    let tag = tag.trim_start_matches(['.', '-']);
    (repository.to_owned(), if tag.is_empty() { "latest" } else { tag }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_references() {
        for (name, version, repository, tag) in [
            (
                "EESSI_GROMACS_2024.1-foss-2023b",
                "2026-11-22",
                "eessi_gromacs_2024.1-foss-2023b",
                "2026-11-22",
            ),
            ("a+b++c", "1 of ü", "a-b-c", "1-of--"),
            ("__x__", "-.1", "x", "1"),
            ("ü", "", "image", "latest"),
        ] {
            assert_eq!(reference(name, version), (repository.to_owned(), tag.to_owned()));
        }
    }
}
