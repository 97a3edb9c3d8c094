//! The Lmod that a session runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::environment::Variables;

/// An installed Lmod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LmodInstallation {
    /// `LMOD_CMD`, `/usr/share/lmod/lmod/libexec/lmod`.
    pub command: PathBuf,
    /// `LMOD_PKG`, the tree with `init`, `libexec`, `settarg` …
    pub package: PathBuf,
    /// `LMOD_VERSION`, where known.
    pub version: Option<String>,
    /// Site configuration: `LMOD_CONFIG_DIR`, entries of `LMOD_PACKAGE_PATH` and `LMOD_RC`, and
    /// `/etc/lmod`, those that exist.
    pub configuration: Vec<PathBuf>,
}

/// Variables that hold a path, or a list of paths, of Lmod's configuration.
const CONFIGURATION: [&str; 6] = [
    "LMOD_CONFIG_DIR",
    "LMOD_PACKAGE_PATH",
    "LMOD_RC",
    "LMOD_MODULERC",
    "LMOD_MODULERCFILE",
    "LMOD_ADMIN_FILE",
];

impl LmodInstallation {
    /// The Lmod of a session with these variables; `None` where there is none, or where it is gone.
    #[must_use]
    pub fn detect(environment: &Variables) -> Option<Self> {
        let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let command = match (get("LMOD_CMD"), get("LMOD_DIR")) {
            (Some(command), _) => PathBuf::from(command),
            (None, Some(libexec)) => Path::new(libexec).join("lmod"),
            (None, None) => return None,
        };
        if !command.is_absolute() || !command.is_file() {
            return None;
        }
        let around = || command.parent().and_then(Path::parent).map(Path::to_owned);
        let package = get("LMOD_PKG").map(PathBuf::from).filter(|package| package.is_dir());
        let package = package.or_else(around)?;
        let named = CONFIGURATION.iter().filter_map(|name| get(name));
        let named = named.flat_map(|list| list.split([':', ';'])).map(PathBuf::from);
        let configuration: BTreeSet<_> =
            named.chain([PathBuf::from("/etc/lmod")]).filter(|at| at.is_absolute()).collect();
        Some(Self {
            package,
            version: get("LMOD_VERSION").cloned(),
            configuration: configuration.into_iter().filter(|at| at.exists()).collect(),
            command,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lmod_is_where_the_session_says_if_it_is_there() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir_all(at("lmod/libexec")).unwrap();
        std::fs::create_dir_all(at("conf")).unwrap();
        std::fs::write(at("lmod/libexec/lmod"), "").unwrap();
        let variables = |rows: &[(&str, String)]| -> Variables {
            rows.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let rc = format!("{}:{}", at("gone/lmodrc.lua"), at("conf"));
        let session = variables(&[
            ("LMOD_CMD", at("lmod/libexec/lmod")),
            ("LMOD_VERSION", "8.7.30".to_owned()),
            ("LMOD_RC", rc),
        ]);
        let lmod = LmodInstallation::detect(&session).unwrap();
        assert_eq!(lmod.package, root.path().join("lmod"));
        assert_eq!(lmod.version.as_deref(), Some("8.7.30"));
        let mut configuration = lmod.configuration;
        configuration.retain(|path| path != Path::new("/etc/lmod"));
        assert_eq!(configuration, [root.path().join("conf")]);
        for (name, rows) in [
            ("no Lmod", vec![]),
            ("gone", vec![("LMOD_CMD", at("gone"))]),
            ("relative", vec![("LMOD_CMD", "lmod".to_owned())]),
        ] {
            assert_eq!(LmodInstallation::detect(&variables(&rows)), None, "{name}");
        }
    }
}
