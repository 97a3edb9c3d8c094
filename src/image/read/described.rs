//! Which image of a layout or archive, and what it says of itself.
//!
//! Source: opencontainers/image-spec `image-index.md`, `manifest.md`; moby `image/tarexport`.

use serde_json::Value;

use super::Choice;
use super::archive::broken;
use super::store::Store;
use crate::base::Digest;
use crate::image::ImageError;
use crate::image::oci::REF_NAME;

/// Indices of indices that are followed.
const DEEPEST: usize = 4;

/// An image of layers.
#[derive(Debug)]
pub(in crate::image) struct Described {
    /// `oci` or `docker`.
    pub(in crate::image) kind: &'static str,
    /// Digest of the manifest; of Docker's images that of the config.
    pub(in crate::image) identity: Digest,
    /// How a runtime starts it; null if it is not there.
    pub(in crate::image) config: Value,
    /// Name in the store and, where it is known, digest of each layer, from the bottom up.
    pub(in crate::image) layers: Vec<(String, Option<Digest>)>,
}

/// The chosen image; `None` in a store without any index.
pub(super) fn find(store: &Store, choice: &Choice) -> Result<Option<Described>, ImageError> {
    // a root file system may have files of these names, too
    if store.has("oci-layout")?
        && let Some((index, _)) = store.document("index.json")?
    {
        return oci(store, &index, choice).map(Some);
    }
    let Store::Archive { .. } = store else { return Ok(None) };
    match store.document("manifest.json") {
        Ok(Some((manifest, _))) if manifest.pointer("/0/Layers").is_some() => {
            docker(store, &manifest).map(Some)
        }
        _ => Ok(None),
    }
}

fn oci(store: &Store, index: &Value, choice: &Choice) -> Result<Described, ImageError> {
    let all = list(store, index, "manifests")?;
    let mut images: Vec<&Value> = match choice.tag {
        Some(tag) => all.iter().filter(|image| tag_of(image) == Some(tag)).collect(),
        None => all.iter().collect(),
    };
    if let (Some(tag), true) = (choice.tag, images.is_empty()) {
        let what = format!("it has no image with the tag `{tag}`, but {}", tags(all));
        return Err(broken(store.path(), &what));
    }
    let first = images.first().and_then(|image| tag_of(image));
    if images.iter().any(|image| tag_of(image) != first) {
        let what = format!(
            "it has several images: write `:` and the tag of one behind its name, {}",
            tags(all)
        );
        return Err(broken(store.path(), &what));
    }
    let mut nested;
    for _ in 0..DEEPEST {
        let Some(image) = of_architecture(&images, choice) else {
            return Err(broken(store.path(), &no_architecture(&images, choice)));
        };
        let (document, digest) = blob(store, image.get("digest"), choice)?;
        let Some(manifests) = document.get("manifests").and_then(Value::as_array) else {
            return described(store, &document, digest, choice);
        };
        nested = manifests.clone();
        images = nested.iter().collect();
    }
    Err(broken(store.path(), "its indices have no end"))
}

fn described(
    store: &Store,
    manifest: &Value,
    identity: Digest,
    choice: &Choice,
) -> Result<Described, ImageError> {
    let layers = list(store, manifest, "layers")?.iter().map(|layer| {
        let encrypted = layer.get("mediaType").and_then(Value::as_str);
        if encrypted.is_some_and(|media| media.ends_with("+encrypted")) {
            return Err(broken(store.path(), "its layers are encrypted"));
        }
        let digest = digest_of(store, layer.get("digest"))?;
        Ok((name_of(digest), Some(digest)))
    });
    let layers = layers.collect::<Result<_, _>>()?;
    let config = manifest.pointer("/config/digest");
    let config = if choice.is_strict() {
        blob(store, config, choice)?.0
    } else {
        digest_of(store, config)
            .ok()
            .and_then(|digest| store.document(&name_of(digest)).ok().flatten())
            .map_or(Value::Null, |(config, _)| config)
    };
    Ok(Described { kind: "oci", identity, config, layers })
}

fn docker(store: &Store, manifest: &Value) -> Result<Described, ImageError> {
    let first = manifest.get(0).ok_or_else(|| broken(store.path(), "it has no image"))?;
    let layers = list(store, first, "Layers")?;
    let layers = layers.iter().filter_map(Value::as_str);
    let layers = layers.map(|name| (name.to_owned(), None)).collect();
    let config = first.get("Config").and_then(Value::as_str);
    let config = config.map(|name| store.document(name)).transpose()?.flatten();
    let (config, identity) = config.unwrap_or_else(|| (Value::Null, Digest::of(b"")));
    Ok(Described { kind: "docker", identity, config, layers })
}

/// The image for the wanted architecture; one that names none will do, and the first where none
/// is wanted.
fn of_architecture<'a>(images: &[&'a Value], choice: &Choice) -> Option<&'a Value> {
    let Some(architecture) = choice.architecture else { return images.first().copied() };
    let (wanted, _) = architecture.oci();
    let named = |image: &&&Value| architecture_of(image) == Some(wanted);
    let silent = |image: &&&Value| architecture_of(image).is_none();
    images.iter().find(named).or_else(|| images.iter().find(silent)).copied()
}

fn architecture_of(image: &Value) -> Option<&str> {
    image.pointer("/platform/architecture").and_then(Value::as_str)
}

fn no_architecture(images: &[&Value], choice: &Choice) -> String {
    let wanted = choice.architecture.map_or("any", |architecture| architecture.oci().0);
    let there: Vec<&str> = images.iter().filter_map(|image| architecture_of(image)).collect();
    if there.is_empty() {
        return "its index names no manifest".to_owned();
    }
    format!("it has no image for {wanted}, but for {}", there.join(", "))
}

fn tag_of(image: &Value) -> Option<&str> {
    image.get("annotations").and_then(|all| all.get(REF_NAME)).and_then(Value::as_str)
}

fn tags(images: &[Value]) -> String {
    let tags: Vec<String> =
        images.iter().filter_map(tag_of).map(|tag| format!("`{tag}`")).collect();
    if tags.is_empty() { "images without tags".to_owned() } else { tags.join(", ") }
}

/// The document of this digest.
fn blob(
    store: &Store,
    digest: Option<&Value>,
    choice: &Choice,
) -> Result<(Value, Digest), ImageError> {
    let want = digest_of(store, digest)?;
    let name = name_of(want);
    let missing = || broken(store.path(), &format!("it has no `{name}`"));
    let (document, got) = store.document(&name)?.ok_or_else(missing)?;
    if choice.is_strict() && got != want {
        return Err(broken(store.path(), &format!("`{name}` is damaged: its SHA-256 is {got}")));
    }
    Ok((document, want))
}

fn digest_of(store: &Store, digest: Option<&Value>) -> Result<Digest, ImageError> {
    let text = digest.and_then(Value::as_str);
    let text = text.ok_or_else(|| broken(store.path(), "something in it has no digest"))?;
    let hex = text.strip_prefix("sha256:").and_then(|hex| hex.parse::<Digest>().ok());
    hex.ok_or_else(|| broken(store.path(), &format!("`{text}` is no SHA-256 digest")))
}

fn name_of(digest: Digest) -> String {
    format!("blobs/sha256/{digest}")
}

fn list<'a>(store: &Store, document: &'a Value, key: &str) -> Result<&'a Vec<Value>, ImageError> {
    let list = document.get(key).and_then(Value::as_array);
    list.ok_or_else(|| broken(store.path(), &format!("its manifest has no list of {key}")))
}
