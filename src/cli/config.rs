//! The configuration files: the user's over the site's.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::diagnose::Failure;
use crate::base::Escaped;
use crate::base::fs::PathContext as _;
use crate::environment::Variables;
use crate::gate::{Allowed, Software, Table};
use crate::image::Compression;

/// Settings that flags and variables override.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Config {
    /// Who publishes images: a name or a list of names.
    #[serde(default)]
    pub(super) author: Option<Authors>,
    /// As `--compression`.
    #[serde(default, deserialize_with = "compression")]
    pub(super) compression: Option<Compression>,
    /// As `--jobs`.
    #[serde(default)]
    pub(super) jobs: Option<std::num::NonZeroUsize>,
    /// As `--cache`: an absolute path.
    #[serde(default, deserialize_with = "absolute")]
    pub(super) cache: Option<PathBuf>,
    /// Names of restricted software that may be packed: `NAME` or `NAME/VERSION`.
    #[serde(default)]
    pub(super) allow_restricted: Vec<String>,
    /// Further software that may not be handed on; `restricted.toml` beside this file has such
    /// rows, too, as `[[software]]`.
    #[serde(default)]
    pub(super) restricted: Vec<Software>,
}

/// One name, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Authors {
    One(String),
    Several(Vec<String>),
}

impl Authors {
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(author) => vec![author],
            Self::Several(authors) => authors,
        }
    }
}

impl Config {
    /// Reads the site's file and the user's over it; files that are not there say nothing.
    pub(super) fn read(environment: &Variables) -> anyhow::Result<Self> {
        let site = Self::from_directory(Path::new("/etc/module-export"))?;
        let user = match user_directory(environment) {
            Some(path) => Self::from_directory(&path)?,
            None => Self::default(),
        };
        Ok(Self {
            allow_restricted: [user.allow_restricted, site.allow_restricted].concat(),
            restricted: [user.restricted, site.restricted].concat(),
            author: user.author.or(site.author),
            compression: user.compression.or(site.compression),
            jobs: user.jobs.or(site.jobs),
            cache: user.cache.or(site.cache),
        })
    }

    fn from_directory(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join("config.toml");
        let mut config: Self = from_file(&path)?;
        let rows = Table { software: config.restricted.clone() };
        let mut mistakes: Vec<_> =
            rows.mistakes().into_iter().map(|mistake| format!("`restricted`, {mistake}")).collect();
        mistakes.extend(Allowed::mistakes(&config.allow_restricted));
        end_at(&path, &mistakes)?;
        let path = directory.join("restricted.toml");
        let table: Table = from_file(&path)?;
        end_at(&path, &table.mistakes())?;
        config.restricted.extend(table.software);
        Ok(config)
    }
}

/// The first of the mistakes in a file, if there is one.
fn end_at(path: &Path, mistakes: &[String]) -> Result<(), Failure> {
    let Some(mistake) = mistakes.first() else { return Ok(()) };
    let path = path.to_string_lossy();
    Err(Failure::Usage(format!("in the configuration file `{}`, {mistake}", Escaped(&path))))
}

fn from_file<T: Default + serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| wrong(path, &text, &error).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error).at("read the configuration file", path)?,
    }
}

/// The file with the line that is wrong.
fn wrong(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    Failure::Usage(format!(
        "in the configuration file `{}`, line {}: {}",
        Escaped(&path.to_string_lossy()),
        before.matches('\n').count() + 1,
        Escaped(error.message())
    ))
}

fn compression<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Compression>, D::Error> {
    String::deserialize(input)?.parse().map(Some).map_err(serde::de::Error::custom)
}

/// A path that means the same wherever the tool is called.
fn absolute<'de, D: Deserializer<'de>>(input: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(input)?;
    if path.is_absolute() {
        return Ok(Some(path));
    }
    Err(serde::de::Error::custom("`cache` is not an absolute path"))
}

fn user_directory(environment: &Variables) -> Option<PathBuf> {
    let set = |name: &str| {
        environment.get(name).filter(|value| value.starts_with('/')).map(PathBuf::from)
    };
    let directory =
        set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(directory.join("module-export"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_one_author_or_several_and_nothing_unknown() {
        let parse = |text| toml::from_str::<Config>(text);
        let authors = |text| parse(text).unwrap().author.unwrap().into_vec();
        assert_eq!(authors("author = 'A'"), ["A"]);
        assert_eq!(authors("author = ['A', 'B']"), ["A", "B"]);
        assert!(parse("compression = 'zstd:3'").unwrap().compression.is_some());
        for (text, said) in [
            ("\nauhtor = 'A'", "line 2: unknown field `auhtor`"),
            ("jobs = 0", "line 1: invalid value"),
            ("compression = 'x'", "line 1: `x` is no compression"),
            ("author = 'A", "line 1: "),
            ("cache = 'there'", "line 1: `cache` is not an absolute path"),
        ] {
            let error = wrong(Path::new("/c.toml"), text, &parse(text).unwrap_err()).to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
