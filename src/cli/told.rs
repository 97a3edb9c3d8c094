//! What an image tells of itself: manifest, list of files, environment.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::diagnose::Failure;
use super::inspect::MANIFEST_BYTES;
use super::proof;
use crate::assemble::{MANIFEST, Manifest};
use crate::audit::{Background, Listing, Module};
use crate::base::Escaped;
use crate::environment::Variables;
use crate::image::ImageError;
use crate::image::read::Image;
use crate::rootfs::ImagePath;

/// More than any list has.
pub(super) const LIST_BYTES: u64 = 4 << 30;

/// Documents of an image.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) manifest: Manifest,
    pub(super) listing: Listing,
    /// Empty where the image does not say it.
    pub(super) variables: Variables,
    modules: Vec<Module>,
}

/// `env.json`.
#[derive(Deserialize)]
struct Environment {
    variables: Variables,
}

impl Told {
    /// Reads the documents of `image`, which lies at `path`.
    ///
    /// # Errors
    /// It has no manifest or no list, or they are damaged.
    pub(super) fn read(image: &Image, path: &Path) -> anyhow::Result<Self> {
        let shown = path.to_string_lossy();
        let document =
            |path: &str, limit| Ok(image.read(&ImagePath::new(path.as_bytes())?, limit)?);
        let manifest = document(MANIFEST, MANIFEST_BYTES)
            .with_context(|| format!("`{}` has no manifest of module-export", Escaped(&shown)))?;
        let manifest: Manifest = serde_json::from_slice(&manifest)
            .with_context(|| format!("the manifest of `{}` is damaged", Escaped(&shown)))?;
        let list = document(LIST, LIST_BYTES).map_err(|error: anyhow::Error| {
            match error.downcast_ref() {
                Some(ImageError::NotFound { .. }) => Failure::NoList(path.to_owned()).into(),
                _ => error,
            }
        })?;
        let listing = Listing::parse(&list)
            .with_context(|| format!("`{}` cannot say what is in it", Escaped(&shown)))?;
        let variables = document("/.module-export/env.json", MANIFEST_BYTES)
            .and_then(|text| Ok(serde_json::from_slice::<Environment>(&text)?.variables));
        let modules = proof::modules(&manifest);
        Ok(Self { manifest, listing, variables: variables.unwrap_or_default(), modules })
    }

    /// What chains of reasons are made of.
    pub(super) fn background(&self) -> Background<'_> {
        let base = &self.manifest.base;
        Background {
            listing: &self.listing,
            modules: &self.modules,
            environment: &self.variables,
            layer: base.path.as_deref(),
            stack_version: base.stack_version.as_deref(),
            base: base.name.as_deref(),
        }
    }
}

/// Where an image keeps the list of its files.
const LIST: &str = "/.module-export/files.jsonl";
