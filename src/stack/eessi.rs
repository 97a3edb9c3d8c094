//! EESSI's layout and variables.
//!
//! Source: EESSI/software-layer-scripts `init/eessi_environment_variables`,
//! `init/minimal_eessi_env`, `init/eessi_defaults`, `init/bash`.

use std::path::{Component, Path, PathBuf};

use super::StackError;
use super::specs::{self, TargetSpec};
use crate::base::fs::sorted_dir;
use crate::environment::Variables;

/// One version of EESSI as a session uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eessi {
    /// `/cvmfs/software.eessi.io`.
    pub repository: PathBuf,
    /// `2023.06`; with its suffix where it has one, `2025.06-001`.
    pub version: String,
    /// `linux`.
    pub os_type: String,
    /// `x86_64`.
    pub cpu_family: String,
    /// `x86_64/intel/haswell`.
    pub target: String,
    /// `accel/nvidia/cc80`, where one is in use.
    pub accelerator: Option<String>,
    /// The compatibility layer, where it is another than this version's own
    /// (`EESSI_COMPAT_LAYER_DIR`).
    pub foreign_layer: Option<PathBuf>,
}

impl Eessi {
    /// The EESSI that a session with these variables uses; `None` where it uses none.
    ///
    /// # Errors
    /// [`StackError`] if the variables contradict each other or what is on disk.
    pub(super) fn detect(environment: &Variables) -> Result<Option<Self>, StackError> {
        let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let need = |missing: &'static str| get(missing).ok_or(StackError::Unfinished { missing });
        let Some(prefix) = get("EESSI_PREFIX").map(|prefix| clean(Path::new(prefix))) else {
            return Ok(None);
        };
        let (repository, version) =
            split_prefix(&prefix).ok_or_else(|| StackError::NotAVersion(prefix.clone()))?;
        let target = need("EESSI_SOFTWARE_SUBDIR")?.trim_matches('/').to_owned();
        if !is_target(&target) {
            return Err(StackError::NotATarget(target));
        }
        let family = target.split('/').next().unwrap_or_default();
        let mut eessi = Self {
            repository,
            version,
            os_type: get("EESSI_OS_TYPE").map_or("linux", String::as_str).to_owned(),
            cpu_family: get("EESSI_CPU_FAMILY").map_or(family, String::as_str).to_owned(),
            accelerator: get("EESSI_ACCELERATOR_TARGET").cloned().filter(|accel| is_target(accel)),
            target,
            foreign_layer: None,
        };
        let layer = get("EESSI_EPREFIX").or_else(|| get("EPREFIX")).map(|p| clean(Path::new(p)));
        eessi.foreign_layer = layer.filter(|layer| *layer != eessi.compatibility_layer());
        let gone = [eessi.prefix(), eessi.compatibility_layer(), eessi.software()]
            .into_iter()
            .find(|directory| !directory.is_dir());
        gone.map_or(Ok(Some(eessi)), |directory| Err(StackError::Gone(directory)))
    }

    /// `<repository>/versions/<version>`.
    #[must_use]
    pub fn prefix(&self) -> PathBuf {
        self.repository.join("versions").join(&self.version)
    }

    /// The compatibility layer, `<prefix>/compat/<os>/<family>` unless the session uses another.
    #[must_use]
    pub fn compatibility_layer(&self) -> PathBuf {
        self.foreign_layer.clone().unwrap_or_else(|| {
            self.prefix().join("compat").join(&self.os_type).join(&self.cpu_family)
        })
    }

    /// `<prefix>/software/<os>/<target>`.
    #[must_use]
    pub fn software(&self) -> PathBuf {
        self.prefix().join("software").join(&self.os_type).join(&self.target)
    }

    /// `<repository>/versions/<version without suffix>/init`, where `init/bash` lies.
    #[must_use]
    pub fn init(&self) -> PathBuf {
        self.repository.join("versions").join(self.version_and_suffix().0).join("init")
    }

    /// Lmod's configuration of the target, `<software>/.lmod`.
    #[must_use]
    pub fn lmod_configuration(&self) -> PathBuf {
        self.software().join(".lmod")
    }

    /// `<repository>/host_injections`, the link by which a site adds its own.
    #[must_use]
    pub fn host_injections(&self) -> PathBuf {
        self.repository.join("host_injections")
    }

    /// Where a site's own installations for this target lie, below [`Self::host_injections`].
    #[must_use]
    pub fn site_software(&self) -> PathBuf {
        let software = self.software();
        let below = software.strip_prefix(self.repository.join("versions"));
        self.host_injections().join(below.unwrap_or(Path::new("")))
    }

    /// The same stack with the CPU family's generic target and no accelerator.
    #[must_use]
    pub fn generic(&self) -> Self {
        let target = format!("{}/generic", self.cpu_family);
        Self { target, accelerator: None, ..self.clone() }
    }

    /// Whether the target is the CPU family's generic one.
    #[must_use]
    pub fn is_generic(&self) -> bool {
        self.target.strip_prefix(&self.cpu_family) == Some("/generic")
    }

    /// The CPU targets of this family that have software, `x86_64/generic`, in byte order.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        let top = self.prefix().join("software").join(&self.os_type);
        let mut targets = Vec::new();
        for first in directories(&top.join(&self.cpu_family)) {
            let target = format!("{}/{first}", self.cpu_family);
            if top.join(&target).join("software").is_dir() {
                targets.push(target);
                continue;
            }
            let below = directories(&top.join(&target)).into_iter();
            let below = below.map(|second| format!("{target}/{second}"));
            targets.extend(below.filter(|target| top.join(target).join("software").is_dir()));
        }
        targets
    }

    /// What each CPU target of this family needs of a CPU, from the stack's own
    /// `init/arch_specs/*.spec`; a built-in table where the stack has none.
    #[must_use]
    pub fn target_specs(&self) -> Vec<TargetSpec> {
        specs::of_family(&self.init().join("arch_specs"), &self.cpu_family)
    }

    /// What `init/bash` of this version exports on a host whose best target this is, `PATH`,
    /// `MODULEPATH`, the prompt and Lmod's own variables apart.
    #[must_use]
    pub fn variables(&self) -> Variables {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let (version, suffix) = self.version_and_suffix();
        let (prefix, layer) = (self.prefix(), self.compatibility_layer());
        let (software, site) = (self.software(), self.site_software());
        let configuration = self.lmod_configuration();
        let rc = [&site.join(".lmod"), &configuration].map(|at| text(at.join("lmodrc.lua")));
        let mut variables: Variables = [
            ("EESSI_VERSION_DEFAULT", version.to_owned()),
            ("EESSI_VERSION", version.to_owned()),
            ("EESSI_SOFTWARE_LAYER_VERSION_SUFFIX", suffix.to_owned()),
            ("EESSI_CVMFS_REPO", text(self.repository.clone())),
            ("EESSI_PREFIX", text(prefix)),
            ("EESSI_INIT_PREFIX", text(self.init())),
            ("EESSI_USE_ARCHDETECT", "1".to_owned()),
            ("EESSI_USE_ARCHSPEC", "0".to_owned()),
            ("EESSI_OS_TYPE", self.os_type.clone()),
            ("EESSI_CPU_FAMILY", self.cpu_family.clone()),
            ("EPREFIX", text(layer.clone())),
            ("EESSI_EPREFIX", text(layer)),
            ("EESSI_SOFTWARE_SUBDIR", self.target.clone()),
            ("EESSI_SOFTWARE_PATH", text(software.clone())),
            ("EESSI_SITE_SOFTWARE_PATH", text(site.clone())),
            ("EESSI_MODULEPATH", text(software.join(MODULES))),
            ("EESSI_SITE_MODULEPATH", text(site.join(MODULES))),
            ("LMOD_CONFIG_DIR", text(configuration.clone())),
            ("LMOD_PACKAGE_PATH", text(configuration)),
            ("LMOD_RC", rc.join(":")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some(accelerator) = &self.accelerator {
            for name in ["EESSI_ACCEL_SUBDIR", "EESSI_ACCELERATOR_TARGET"] {
                variables.insert(name.to_owned(), accelerator.clone());
            }
            let modules = software.join(accelerator).join(MODULES);
            variables.insert("EESSI_MODULEPATH_ACCEL".to_owned(), text(modules));
        }
        variables
    }

    /// The directories that `init/bash` puts in front of `MODULEPATH`, first to last: the site's
    /// first. A site's accelerator modules are not among them, as an image never has them.
    #[must_use]
    pub fn modulepath(&self) -> Vec<PathBuf> {
        let accelerator = self.accelerator.iter().map(|at| self.software().join(at).join(MODULES));
        std::iter::once(self.site_software().join(MODULES))
            .chain(accelerator)
            .chain([self.software().join(MODULES)])
            .collect()
    }

    /// The directories that `init/bash` puts in front of `PATH`, first to last.
    #[must_use]
    pub fn path(&self) -> Vec<PathBuf> {
        let layer = self.compatibility_layer();
        vec![layer.join("usr/bin"), layer.join("bin")]
    }

    /// `2025.06` and `-001` of `2025.06-001`.
    fn version_and_suffix(&self) -> (&str, &str) {
        self.version.split_at(self.version.find('-').unwrap_or(self.version.len()))
    }
}

/// The module tree below a software directory that the init uses.
const MODULES: &str = "modules/all";

/// Repository and version of `<repository>/versions/<version>`.
fn split_prefix(prefix: &Path) -> Option<(PathBuf, String)> {
    let version = prefix.file_name()?.to_str()?.to_owned();
    let versions = prefix.parent()?;
    let repository = versions.parent().filter(|repository| repository.is_absolute())?;
    (versions.file_name()? == "versions" && repository.parent().is_some())
        .then(|| (repository.to_owned(), version))
}

/// `path` without repeated and trailing slashes and `.`.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

/// Whether `text` is a relative path of plain names.
fn is_target(text: &str) -> bool {
    !text.is_empty() && Path::new(text).components().all(|c| matches!(c, Component::Normal(_)))
}

/// Names of the directories in `directory`, in byte order; none if it cannot be read.
fn directories(directory: &Path) -> Vec<String> {
    let names = sorted_dir(directory).unwrap_or_default();
    let names = names.into_iter().filter(|name| directory.join(name).is_dir());
    names.filter_map(|name| name.into_string().ok()).collect()
}

#[cfg(test)]
mod tests;
