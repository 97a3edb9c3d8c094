//! What an export was asked for, from the command line, variables and the config file.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::args::{BaseName, Container};
use super::caching::Caching;
use super::config::Config;
use super::context::Context;
use super::diagnose::Failure;
use super::gate::Licences;
use crate::base::fs::PathContext as _;
use crate::base::{Epoch, Escaped};
use crate::image::Compression;

/// As many threads as a login node's other users will bear.
const POLITE_JOBS: usize = 8;
/// A file name has at most 255 bytes; the ending needs some.
pub(super) const NAME_BYTES: usize = 240;

/// What was asked for, checked.
pub(super) struct Asked {
    pub(super) authors: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) version: String,
    pub(super) compression: Compression,
    pub(super) jobs: NonZeroUsize,
    pub(super) epoch: Option<Epoch>,
    pub(super) include: Vec<PathBuf>,
    pub(super) caching: Option<Caching>,
    pub(super) licences: Licences,
}

/// What it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An image.
    Export,
    /// To say what would be written: nobody has to answer for that, and no cache is opened.
    Plan,
}

/// Checks what was asked for.
///
/// # Errors
/// A [`Failure`] of usage; a cache or config file that cannot be used.
pub(super) fn asked(
    context: &Context,
    words: &Container,
    purpose: Purpose,
) -> anyhow::Result<Asked> {
    if words.slim && matches!(words.base, Some(BaseName::Image(_))) {
        return Err(Failure::Usage(
            "--slim leaves nothing out of a base that others made: give --base compat or --base host with it, or no --slim".to_owned(),
        )
        .into());
    }
    let config = Config::read(&context.environment)?;
    let compression = compression(words, &config)?;
    let epoch = words.epoch.map_or_else(|| source_date_epoch(context), |epoch| Ok(Some(epoch)))?;
    let date = epoch.unwrap_or(context.now).date();
    let version = match &words.version {
        Some(text) => format!("{date}-{}", printable("the version (-v)", text)?),
        None => date,
    };
    let is_export = purpose == Purpose::Export;
    let caching = if is_export { Caching::open(context, &words.caching, &config)? } else { None };
    let authors = authors(context, words, &config)?;
    if is_export && authors.is_empty() {
        return Err(Failure::NoAuthor.into());
    }
    Ok(Asked {
        licences: Licences::new(words, &config)?,
        caching,
        authors,
        name: words.name.as_deref().map(file_name).transpose()?,
        version,
        compression,
        jobs: words.jobs.or(config.jobs).unwrap_or_else(|| default_jobs(context)),
        epoch,
        include: included(&words.include)?,
    })
}

/// Absolute paths of what is to be added.
fn included(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let absolute = |path: &PathBuf| std::path::absolute(path).at("find the place of", path);
    Ok(paths.iter().map(absolute).collect::<Result<_, _>>()?)
}

/// What was asked for on the command line; the config file's where the format takes it.
fn compression(words: &Container, config: &Config) -> Result<Compression, Failure> {
    let format = words.format;
    match words.compression {
        Some(asked) if !format.takes(asked) => Err(Failure::Usage(format!(
            "the format {format} is not compressed with {asked}, but with {}",
            format.default_compression()
        ))),
        Some(asked) => Ok(asked),
        None => Ok(config
            .compression
            .filter(|asked| format.takes(*asked))
            .unwrap_or(format.default_compression())),
    }
}

/// `SOURCE_DATE_EPOCH`, where it is set and not empty.
fn source_date_epoch(context: &Context) -> Result<Option<Epoch>, Failure> {
    let text = context.environment.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty());
    let parsed = text.map(|text| text.parse().map_err(|_| text)).transpose();
    parsed.map_err(|text| {
        let text = Escaped(text);
        Failure::Usage(format!(
            "SOURCE_DATE_EPOCH is `{text}`, not a number of seconds up to 4294967295"
        ))
    })
}

fn authors(context: &Context, words: &Container, config: &Config) -> Result<Vec<String>, Failure> {
    let authors = if words.author.is_empty() {
        match context
            .environment
            .get("MODULE_EXPORT_AUTHOR")
            .filter(|author| !author.trim().is_empty())
        {
            Some(author) => vec![author.clone()],
            None => config.author.clone().map(super::config::Authors::into_vec).unwrap_or_default(),
        }
    } else {
        words.author.clone()
    };
    authors.iter().map(|author| printable("the author (-a)", author)).collect()
}

/// `text` trimmed, if it is one line that a terminal can show.
fn printable(what: &str, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::Usage(format!("{what} is empty")));
    }
    if Escaped(text).to_string() != text {
        return Err(Failure::Usage(format!(
            "{what} holds characters that cannot be shown: `{}`",
            Escaped(text)
        )));
    }
    Ok(text.to_owned())
}

/// The image's name as a file name.
fn file_name(name: &str) -> Result<String, Failure> {
    let name = printable("the name (-n)", name)?.replace('/', "_");
    if name == "." || name == ".." {
        return Err(Failure::Usage(format!("the name (-n) `{name}` is a directory's")));
    }
    if name.len() > NAME_BYTES {
        return Err(Failure::Usage(format!("the name (-n) is longer than {NAME_BYTES} bytes")));
    }
    Ok(name)
}

/// All cores of a batch job; else as many as leave a login node to its other users.
fn default_jobs(context: &Context) -> NonZeroUsize {
    let allowed = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let in_job = ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"]
        .iter()
        .any(|name| context.environment.contains_key(*name));
    let polite = NonZeroUsize::new(POLITE_JOBS).unwrap_or(NonZeroUsize::MIN);
    if in_job { allowed } else { allowed.min(polite) }
}
