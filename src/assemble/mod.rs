//! Closure, frozen environment and documents become the image's root file system.

mod activation;
mod definition;
mod documents;
mod identifier;
mod layers;
mod manifest;
mod quote;
mod selftest;
mod shell;
mod skeleton;
#[cfg(test)]
mod tests;

use crate::base::{Digest, Epoch, Escaped};
use crate::closure::Closure;
use crate::environment::Variables;
use crate::rootfs::{FileId, ImagePath, Metadata, Node, Rootfs, RootfsError};

pub use activation::CpuGuard;
pub use identifier::Sha1Git;
pub use layers::{GENERATED_LAYER, LayerReasons, layers};
pub use manifest::{BaseLayer, Codec, Cpu, Lack, Manifest, ManifestModule, Tool};

/// What an image is called and who answers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name without directory and ending.
    pub name: String,
    /// Who publishes it, each as typed; no control characters.
    pub authors: Vec<String>,
    /// Version of the image: a date, with what the author appended.
    pub version: String,
}

/// Everything that an image holds.
#[derive(Debug)]
pub struct Assembly {
    /// Name, authors, version.
    pub identity: Identity,
    /// The files of the modules and of what lies beneath.
    pub closure: Closure,
    /// The frozen environment: every variable that the image exports.
    pub environment: Variables,
    /// Variables that modulefiles unset.
    pub unset: Vec<String>,
    /// The manifest's list of modules.
    pub modules: Vec<ManifestModule>,
    /// What lies under the modules.
    pub base: BaseLayer,
    /// On which CPUs the image may start; `None` where it starts on any of its architecture.
    pub guard: Option<CpuGuard>,
    /// Directories over which a host may mount something by accident.
    pub guarded: Vec<String>,
    /// CPU architecture and targets.
    pub cpu: Cpu,
    /// Codec of the image.
    pub codec: Codec,
    /// The bill of materials, in SPDX's JSON.
    pub sbom: String,
    /// The files of `/.module-export/licenses`, by their paths below it.
    pub licences: std::collections::BTreeMap<String, Vec<u8>>,
    /// Ceiling of all times; also the time of labels.
    pub epoch: Option<Epoch>,
    /// Stands for the content identifier in [`Assembled::inspect_metadata`], and is as long.
    pub identifier_placeholder: &'static str,
    /// Directory of the shell, `sh` and `env` to which `/bin/sh` and `/usr/bin/env` lead, where
    /// the closure does not bring them at these places itself.
    pub layer: Option<std::path::PathBuf>,
}

/// What the image engine needs.
#[derive(Debug)]
pub struct Assembled {
    /// The finished root file system.
    pub rootfs: Rootfs,
    /// `/.singularity.d/labels.json` and `/.module-export/files.jsonl`, whose contents are made last;
    /// see [`Assembled::late`].
    late: [FileId; 2],
    manifest_file: Option<FileId>,
    labels: definition::Labels,
    /// The definition file of a SIF.
    pub definition: String,
    /// The JSON object from which `apptainer inspect` answers.
    pub inspect_metadata: String,
    /// The bill of materials, as it stands in the image.
    pub sbom: String,
    /// The manifest, as it stands in the image.
    pub manifest: Manifest,
    /// The environment that a runtime starts every program with.
    pub environment: Variables,
}

/// What was read of a file.
#[derive(Debug, Clone, Copy)]
pub struct Contents {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of them.
    pub sha256: Digest,
    /// Their identifier in git and Software Heritage.
    pub sha1_git: Sha1Git,
}

/// The documents that tell of all others.
#[derive(Debug)]
pub struct Late {
    /// By file, in the order of their making.
    pub documents: Vec<(FileId, Vec<u8>)>,
    /// The content identifier, `swh:1:dir:…`; `None` where not every file was read.
    pub identifier: Option<String>,
}

impl Assembled {
    /// Has the image tell what it lacks.
    ///
    /// # Errors
    /// [`AssembleError::Json`].
    pub fn record(&mut self, lacks: Vec<Lack>) -> Result<(), AssembleError> {
        self.manifest.lacks = lacks;
        let text = documents::json(&self.manifest)?;
        if let Some(file) = self.manifest_file {
            self.rootfs.set_bytes(file, text.into_bytes());
        }
        Ok(())
    }

    /// The documents that are made when every other file has been read; `contents` says what was.
    ///
    /// # Errors
    /// [`AssembleError::Json`].
    pub fn late(
        &self,
        contents: impl Fn(FileId) -> Option<Contents>,
    ) -> Result<Late, AssembleError> {
        let sha1_git = |id| contents(id).map(|contents| contents.sha1_git);
        let identifier = identifier::identifier(&self.rootfs, sha1_git);
        let mut labels = self.labels.clone();
        labels.extend(identifier.clone().map(|text| (identifier::LABEL.to_owned(), text)));
        let digest = |id| contents(id).map(|contents| (contents.size, contents.sha256));
        let files = documents::file_list(&self.rootfs, digest);
        let documents = [documents::json(&labels)?.into_bytes(), files];
        Ok(Late { documents: self.late.into_iter().zip(documents).collect(), identifier })
    }
}

/// Starts a command in the image's environment where no container runtime has set it: for the
/// entrypoint of an OCI image.
pub const ENTRYPOINT: &str = "/.module-export/enter";
/// The interactive shell in which `module` works.
pub const SHELL: &str = "/.module-export/bin/shell";

/// Where an image keeps its manifest.
pub const MANIFEST: &str = "/.module-export/manifest.json";

/// Why an image cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// What we generate and what was packed want the same path.
    #[error("the image's own files do not fit beside the packed ones")]
    Rootfs(#[from] RootfsError),
    /// The image could not start anything.
    #[error(
        "the image would have no working `{shell}`: `{}` is not packed ({why})",
        Escaped(&missing.to_string_lossy())
    )]
    NoShell {
        /// The shell.
        shell: &'static str,
        /// What is not there: the shell, or what loads it.
        missing: std::path::PathBuf,
        /// Why not.
        why: String,
    },
    /// A document could not be written as JSON.
    #[error("cannot write a document as JSON")]
    Json(#[from] serde_json::Error),
}

/// Puts the image together.
///
/// # Errors
/// [`AssembleError`].
pub fn assemble(assembly: Assembly) -> Result<Assembled, AssembleError> {
    let manifest = manifest::manifest(&assembly);
    let scripts = activation::Scripts::new(&assembly);
    let definition = definition::definition(&assembly, &scripts);
    let labels = definition::labels(&assembly);
    let shown = definition::with_placeholder(&labels, assembly.identifier_placeholder);
    let inspect_metadata = definition::inspect_metadata(&shown, &scripts, &definition)?;
    let epoch = assembly.epoch;
    let environment = documents::environment(&assembly)?;

    let mut image = skeleton::Skeleton::new(assembly.closure.rootfs, epoch);
    image.add_root_directories()?;
    image.add_shell_links(assembly.layer.as_deref())?;
    image.add_etc()?;
    shell::check(
        image.rootfs(),
        &assembly.base,
        assembly.layer.as_deref(),
        &assembly.closure.omissions,
    )?;
    image.add_scripts(&scripts, &definition)?;
    let labels_file = image.add_late("/.singularity.d/labels.json")?;
    image.add_text("/.module-export/env.json", &environment, 0o644)?;
    image.add_text(MANIFEST, &documents::json(&manifest)?, 0o644)?;
    image.add_text("/.module-export/sbom.spdx.json", &assembly.sbom, 0o644)?;
    for (name, text) in assembly.licences {
        image.add_bytes(&format!("/.module-export/licenses/{name}"), text, 0o644)?;
    }
    let file_list = image.add_late("/.module-export/files.jsonl")?;
    let mut rootfs = image.into_rootfs();
    if let Some(ceiling) = epoch {
        rootfs.map_metadata(|_, metadata| Metadata {
            mtime: metadata.mtime.min(ceiling),
            ..metadata
        });
    }
    let (environment, sbom) = (assembly.environment, assembly.sbom);
    let late = [labels_file, file_list];
    let manifest_file = ImagePath::new(MANIFEST.as_bytes()).ok().and_then(|path| {
        let Some(Node::File(id)) = rootfs.get(&path) else { return None };
        Some(*id)
    });
    Ok(Assembled {
        rootfs,
        late,
        manifest_file,
        labels,
        definition,
        inspect_metadata,
        sbom,
        manifest,
        environment,
    })
}
