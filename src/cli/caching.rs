//! The cache of an export: which one, and what is said of it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::args::CacheFlags;
use super::config::Config;
use super::context::Context;
use super::diagnose::Failure;
use crate::base::fs::PathContext as _;
use crate::base::{ByteSize, Escaped};
use crate::image::{Cache, CacheError, CacheOptions};

/// What the report says of the cache.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CacheReport {
    /// Where it is.
    #[serde(serialize_with = "crate::base::path_text::one")]
    directory: PathBuf,
    /// Files that were not read, or not all of them, since they were known.
    known_files: u64,
    /// Compressed pieces taken from it, and their bytes.
    found: u64,
    found_bytes: ByteSize,
    /// Those that were added.
    added: u64,
    added_bytes: ByteSize,
}

/// The cache of this export, if there is one, and why it cannot be used.
pub(super) struct Caching {
    directory: PathBuf,
    cache: Option<Arc<Cache>>,
    warning: Option<String>,
}

impl Caching {
    /// The cache that was asked for: by flag, by variable, by the config file.
    ///
    /// # Errors
    /// One that others can write to; nothing to verify. One that cannot be used is a warning.
    pub(super) fn open(
        context: &Context,
        words: &CacheFlags,
        config: &Config,
    ) -> anyhow::Result<Option<Self>> {
        let named = || {
            let variable = context.environment.get("MODULE_EXPORT_CACHE");
            let variable = variable.filter(|directory| !directory.is_empty()).map(PathBuf::from);
            variable.or_else(|| config.cache.clone())
        };
        let directory = if words.no_cache { None } else { words.cache.clone().or_else(named) };
        let Some(directory) = directory else {
            if words.cache_verify {
                let what = "--cache-verify needs a cache: name one with --cache";
                return Err(Failure::Usage(what.to_owned()).into());
            }
            return Ok(None);
        };
        let directory = std::path::absolute(&directory).at("find the place of", &directory)?;
        let verify = words.cache_verify;
        match Cache::open(CacheOptions { verify, ..CacheOptions::new(directory.clone()) }) {
            Ok(cache) => Ok(Some(Self { directory, cache: Some(Arc::new(cache)), warning: None })),
            Err(CacheError::Unusable { .. }) if verify => {
                let shown = directory.to_string_lossy();
                let what = format!("there is no cache to verify in `{}`", Escaped(&shown));
                Err(Failure::Cannot(what).into())
            }
            Err(error @ CacheError::Unusable { .. }) => {
                let error = anyhow::Error::from(error);
                let warning = Some(format!("{error:#}; the export goes on without it"));
                Ok(Some(Self { directory, cache: None, warning }))
            }
            Err(error @ CacheError::Refused { .. }) => Err(error.into()),
        }
    }

    /// The cache itself.
    pub(super) fn cache(&self) -> Option<Arc<Cache>> {
        self.cache.clone()
    }

    /// Keeps what was added.
    pub(super) fn finish(&self) {
        if let Some(cache) = &self.cache {
            cache.finish();
        }
    }

    /// What went wrong, each a sentence.
    pub(super) fn warnings(&self) -> Vec<String> {
        let of_cache = self.cache.as_ref().map(|cache| cache.warnings()).unwrap_or_default();
        self.warning.iter().cloned().chain(of_cache).collect()
    }

    /// What it saved.
    pub(super) fn report(&self) -> Option<CacheReport> {
        let used = self.cache.as_ref()?.usage();
        Some(CacheReport {
            directory: self.directory.clone(),
            known_files: used.known_files,
            found: used.found,
            found_bytes: ByteSize(used.found_bytes),
            added: used.added,
            added_bytes: ByteSize(used.added_bytes),
        })
    }
}

impl CacheReport {
    /// In a line.
    pub(super) fn line(&self) -> String {
        format!(
            "{} files known, {} found compressed, {} added",
            self.known_files, self.found_bytes, self.added_bytes
        )
    }
}
