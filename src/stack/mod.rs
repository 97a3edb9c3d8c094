//! Where the software lives: EESSI, or a plain site. No other room knows EESSI's layout.

use std::path::PathBuf;

/// Where the software of a session lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stack {
    /// A version of EESSI (or a look-alike).
    Eessi(Eessi),
    /// Any other site with Lmod.
    Site,
}

/// One version of EESSI as a session uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eessi {
    /// `/cvmfs/software.eessi.io`.
    pub repository: PathBuf,
    /// `2023.06`.
    pub version: String,
    /// `linux`.
    pub os_type: String,
    /// `x86_64`.
    pub cpu_family: String,
    /// `x86_64/intel/haswell`.
    pub target: String,
    /// `accel/nvidia/cc80`, where one is in use.
    pub accelerator: Option<String>,
}

impl Eessi {
    /// `<repository>/versions/<version>`.
    #[must_use]
    pub fn prefix(&self) -> PathBuf {
        self.repository.join("versions").join(&self.version)
    }

    /// The compatibility layer, `<prefix>/compat/<os>/<family>`.
    #[must_use]
    pub fn compatibility_layer(&self) -> PathBuf {
        self.prefix().join("compat").join(&self.os_type).join(&self.cpu_family)
    }

    /// `<prefix>/software/<os>/<target>`.
    #[must_use]
    pub fn software(&self) -> PathBuf {
        self.prefix().join("software").join(&self.os_type).join(&self.target)
    }
}

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
