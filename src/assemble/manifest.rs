//! `/.module-export/manifest.json`, schema version 1.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Assembly;
use crate::base::{ByteSize, Digest, Epoch};
use crate::closure::{BindPoint, Omission, Restricted};

/// The manifest. Fields are only ever added to it; a change of meaning changes the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 1.
    pub schema_version: u32,
    /// What wrote the image.
    pub tool: Tool,
    /// How its blocks are compressed.
    pub codec: Codec,
    /// Name of the image.
    pub name: String,
    /// Who publishes it.
    pub authors: Vec<String>,
    /// Version of the image.
    pub version: String,
    /// `--epoch`, where given.
    pub epoch: Option<Epoch>,
    /// In load order.
    pub modules: Vec<ManifestModule>,
    /// On what it runs.
    pub cpu: Cpu,
    /// What lies under the modules.
    pub base: BaseLayer,
    /// Whether of what lies under the modules only a part is packed (`--slim`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slim: bool,
    /// Names of programs of what lies under the modules that `--slim` left out, by directory.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs_left_out: BTreeMap<String, Vec<String>>,
    /// What was left out, and why.
    pub omissions: Vec<Omission>,
    /// Links into per-site places.
    pub bind_points: Vec<BindPoint>,
    /// Modules that may not be handed on as a whole, and what was done with each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restricted: Vec<Restricted>,
    /// What the image is known to lack: what was left out on request and is needed, and what the
    /// proof of completeness found where the image was written all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Lack>,
}

/// A need that is not met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// `error` or `warning`.
    pub severity: String,
    /// The file that has the need.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub path: PathBuf,
    /// What it needs.
    pub need: String,
    /// What is wrong.
    pub what: String,
}

/// A program and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `module-export`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A compression and what makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Codec {
    /// `gzip`, `zstd`, `none`.
    pub compression: String,
    /// Its level, where it has one.
    pub level: Option<u32>,
    /// Library and version, which the bytes depend on.
    pub library: String,
}

/// A packed module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestModule {
    /// Full name.
    pub name: String,
    /// Whether the user asked for it, or another module did.
    pub requested: bool,
    /// Its modulefile.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub modulefile: PathBuf,
    /// Its installation prefixes.
    #[serde(serialize_with = "crate::base::path_text::list")]
    pub prefixes: Vec<PathBuf>,
    /// Files in them.
    pub files: u64,
    /// Bytes in them.
    pub bytes: ByteSize,
    /// The first `Description:` of its `whatis`.
    pub description: Option<String>,
    /// Full names of modules that it loads or depends on.
    pub dependencies: Vec<String>,
}

/// CPU architecture and targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// As `uname -m` says: `x86_64`.
    pub architecture: String,
    /// `x86_64/intel/haswell`; the architecture alone outside EESSI.
    pub targets: Vec<String>,
    /// Features that the first target needs, as `/proc/cpuinfo` names them.
    pub features: Vec<String>,
}

impl Cpu {
    /// Whether the programs are built for every CPU of their architecture.
    #[must_use]
    pub fn is_generic(&self) -> bool {
        self.targets.iter().any(|target| target.ends_with("/generic"))
    }
}

impl BaseLayer {
    /// Whether it is neither this machine's own nor the stack's.
    #[must_use]
    pub const fn is_foreign(&self) -> bool {
        self.name.is_some()
    }
}

/// What lies under the modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseLayer {
    /// `compat`, `host`, or what the base is: `directory`, `tar`, `oci`, `oci-archive`,
    /// `docker-archive`, `sif`, `squashfs`.
    pub kind: String,
    /// What a base of one's own is called, without directories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// SHA-256 of its file, its manifest (OCI) or its config (Docker).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Directory of the compatibility layer.
    #[serde(serialize_with = "crate::base::path_text::optional")]
    pub path: Option<PathBuf>,
    /// EESSI's version, where it is EESSI.
    pub stack_version: Option<String>,
}

pub(super) fn manifest(assembly: &Assembly) -> Manifest {
    Manifest {
        schema_version: 1,
        tool: Tool {
            name: "module-export".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        codec: assembly.codec.clone(),
        name: assembly.identity.name.clone(),
        authors: assembly.identity.authors.clone(),
        version: assembly.identity.version.clone(),
        epoch: assembly.epoch,
        modules: assembly.modules.clone(),
        cpu: assembly.cpu.clone(),
        base: assembly.base.clone(),
        slim: assembly.closure.slim.is_some(),
        programs_left_out: assembly
            .closure
            .slim
            .as_ref()
            .map(|slim| slim.programs_left_out.clone())
            .unwrap_or_default(),
        omissions: assembly.closure.omissions.clone(),
        bind_points: assembly.closure.bind_points.clone(),
        restricted: assembly.closure.restricted.clone(),
        lacks: Vec::new(),
    }
}
