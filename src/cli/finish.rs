//! What the image's environment can be only once its files are known.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::beneath::Foundation;
use super::diagnose::Failure;
use super::frozen::Frozen;
use super::{licences, sbom};
use crate::assemble::{
    Assembly, BaseLayer, Codec, Cpu, CpuGuard, Identity, Manifest, ManifestModule,
};
use crate::base::{Epoch, Escaped};
use crate::closure::{Base, Closure};
use crate::environment::Variables;
use crate::image::Identifier;
use crate::image::sif::Architecture;
use crate::rootfs::{Resolved, Rootfs};
use crate::session::split_path;
use crate::stack::{Eessi, Stack};

/// What keeps programs off the reader's home, and Lmod off its caches. A modulefile's own values
/// win.
const IMAGE_VARIABLES: &[(&str, &str)] = &[
    ("BASH_ENV", "/.module-export/bash_env"),
    ("JULIA_DEPOT_PATH", "/.module-export/home/.julia"),
    ("JULIA_LOAD_PATH", "@:@stdlib"),
    ("LMOD_IGNORE_CACHE", "yes"),
    ("LMOD_SHORT_TIME", "86400"),
    ("PYTHONNOUSERSITE", "1"),
    ("R_ENVIRON_USER", "/.module-export/home/.Renviron"),
    ("R_LIBS_USER", "/.module-export/home/R"),
    ("R_PROFILE_USER", "/.module-export/home/.Rprofile"),
];

/// What the user wants of the image.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) identity: Identity,
    pub(super) codec: Codec,
    pub(super) base: Base,
    pub(super) foundation: Option<&'a Foundation>,
    pub(super) epoch: Option<Epoch>,
    /// Absolute paths of `--include`.
    pub(super) include: &'a [PathBuf],
}

/// Everything that goes into the image.
pub(super) fn assembly(
    session: &Variables,
    frozen: &Frozen,
    closure: Closure,
    wanted: Wanted,
) -> Assembly {
    let Wanted { identity, codec, base, foundation, epoch, include } = wanted;
    let eessi = match &frozen.stack {
        Stack::Eessi(eessi) => Some(eessi),
        Stack::Site => None,
    };
    let layer = eessi.filter(|_| base != Base::Host).map(Eessi::compatibility_layer);
    let cpu = cpu(eessi);
    let guard = (!cpu.features.is_empty()).then(|| CpuGuard {
        target: cpu.targets.first().cloned().unwrap_or_default(),
        flags: cpu.features.clone(),
    });
    let modules = modules(frozen, &closure);
    let guarded = guarded(frozen, &closure, base, include);
    let kind = match base {
        Base::Host => "host",
        Base::CompatibilityLayer => "compat",
        Base::Foreign => foundation.map_or("", Foundation::kind),
    };
    let base = BaseLayer {
        kind: kind.to_owned(),
        name: foundation.map(|foundation| foundation.name.clone()),
        digest: foundation.and_then(Foundation::digest),
        path: layer.clone(),
        stack_version: eessi.map(|eessi| eessi.version.clone()),
    };
    let mut variables = environment(session, frozen, &closure.rootfs, layer.as_deref());
    if let Some(foundation) = foundation {
        foundation.add_variables(&mut variables);
    }
    Assembly {
        sbom: sbom::sbom(&identity, &modules, &base, epoch),
        licences: licences::documents(&modules, &closure, &base),
        identity,
        environment: variables,
        unset: frozen.unset.clone(),
        modules,
        guarded,
        base,
        guard,
        cpu,
        codec,
        epoch,
        identifier_placeholder: Identifier::PLACEHOLDER,
        layer,
        closure,
    }
}

fn environment(
    session: &Variables,
    frozen: &Frozen,
    rootfs: &Rootfs,
    layer: Option<&Path>,
) -> Variables {
    let mut variables: Variables =
        IMAGE_VARIABLES.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    variables.insert("LANG".to_owned(), locale(rootfs, layer).to_owned());
    variables.extend(frozen.variables.clone());
    super::included::apply(&mut variables, session, frozen, rootfs);
    let packed = |directories: Vec<String>| -> Vec<String> {
        directories
            .into_iter()
            .filter(|directory| {
                is_packed(rootfs, Path::new(directory)) || is_site(frozen, directory)
            })
            .collect()
    };
    let modulepath =
        packed(variables.get("MODULEPATH").map(|path| split_path(path)).unwrap_or_default());
    let base = packed(frozen.base_modulepath.clone());
    variables.extend(frozen.module_state(&modulepath, &base));
    variables.insert("MODULEPATH".to_owned(), modulepath.join(":"));
    place_lmod(&mut variables, rootfs, layer);
    variables
}

/// The session's Lmod, where it is packed; else the layer's own (a session may have come to EESSI
/// from its site's Lmod); else none, and then no setting of it either.
fn place_lmod(variables: &mut Variables, rootfs: &Rootfs, layer: Option<&Path>) {
    if variables.get("LMOD_CMD").is_some_and(|command| is_packed(rootfs, Path::new(command))) {
        return;
    }
    let own = layer.map(|layer| layer.join("usr/share/Lmod"));
    let Some(own) = own.filter(|own| is_packed(rootfs, &own.join("libexec/lmod"))) else {
        variables.retain(|name, _| !name.starts_with("LMOD_") || name.starts_with("LMOD_FAMILY_"));
        return;
    };
    let text = |path: &Path| path.to_string_lossy().into_owned();
    variables.remove("LMOD_VERSION");
    for (name, path) in [
        ("LMOD_CMD", own.join("libexec/lmod")),
        ("LMOD_DIR", own.join("libexec")),
        ("LMOD_PKG", own.clone()),
        ("LMOD_ROOT", own.clone()),
        ("MODULESHOME", own.clone()),
    ] {
        variables.insert(name.to_owned(), text(&path));
    }
}

/// Whether `directory` is one where a site may bind its own modules.
fn is_site(frozen: &Frozen, directory: &str) -> bool {
    matches!(&frozen.stack, Stack::Eessi(eessi) if Path::new(directory).starts_with(eessi.host_injections()))
}

/// Whether `path` is in the image.
pub(super) fn is_packed(rootfs: &Rootfs, path: &Path) -> bool {
    matches!(rootfs.resolve(path.as_os_str().as_bytes()), Resolved::Found(_))
}

/// A locale that the packed C library has, UTF-8 if possible; another would make every program
/// warn. Only a layer's own C library looks into the layer.
fn locale(rootfs: &Rootfs, layer: Option<&Path>) -> &'static str {
    let root = layer.unwrap_or(Path::new("/"));
    let directory = root.join("usr/lib/locale");
    let has = |name: &str| is_packed(rootfs, &directory.join(name));
    let found = if has("C.utf8") || has("C.UTF-8") {
        "C.UTF-8"
    } else if has("en_US.utf8") || has("locale-archive") {
        "en_US.UTF-8"
    } else {
        return "C";
    };
    let libraries =
        ["lib64/libc.so.6", "lib/libc.so.6", "usr/lib64/libc.so.6", "usr/lib/libc.so.6"];
    let looks_there = layer.is_none()
        || libraries.iter().any(|name| {
            let text = directory.as_os_str().as_bytes();
            std::fs::read(root.join(name))
                .is_ok_and(|libc| libc.windows(text.len()).any(|window| window == text))
        });
    if looks_there { found } else { "C" }
}

fn modules(frozen: &Frozen, closure: &Closure) -> Vec<ManifestModule> {
    let installations = frozen.evaluation.modules.iter().map(|module| {
        let installation = closure
            .installations
            .iter()
            .find(|installation| installation.module == module.full_name);
        let description = module.whatis.iter().find_map(|text| text.strip_prefix("Description:"));
        ManifestModule {
            name: module.full_name.clone(),
            requested: module.stack_depth == 0,
            modulefile: module.file.clone(),
            prefixes: installation.map(|i| i.prefixes.clone()).unwrap_or_default(),
            files: installation.map_or(0, |i| i.files),
            bytes: installation.map(|i| i.bytes).unwrap_or_default(),
            description: description.map(|text| text.trim().to_owned()),
            dependencies: module.dependencies.clone(),
        }
    });
    installations.collect()
}

/// The directories that a host's mount would hide: the stack, or each installation.
fn guarded(frozen: &Frozen, closure: &Closure, base: Base, include: &[PathBuf]) -> Vec<String> {
    let stack: Vec<_> = match &frozen.stack {
        Stack::Eessi(eessi) => vec![eessi.repository.clone()],
        Stack::Site => Vec::new(),
    };
    let mut roots = stack.clone();
    if base == Base::Host {
        // by this one file its directories are known; runtimes bind others into them
        roots.extend(std::fs::canonicalize("/bin/sh"));
    }
    let prefixes = closure.installations.iter().flat_map(|installation| &installation.prefixes);
    let included = include.iter().map(PathBuf::as_path);
    let modulefiles =
        closure.installations.iter().filter_map(|installation| installation.modulefile.parent());
    for path in prefixes.map(PathBuf::as_path).chain(modulefiles).chain(included) {
        if !stack.iter().any(|root| path.starts_with(root)) {
            roots.push(path.to_owned());
        }
    }
    let mut roots: Vec<_> = roots.iter().map(|root| root.to_string_lossy().into_owned()).collect();
    roots.sort();
    roots.dedup();
    roots
}

fn cpu(eessi: Option<&Eessi>) -> Cpu {
    let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
    let Some(eessi) = eessi else {
        return Cpu { targets: vec![machine.clone()], architecture: machine, features: Vec::new() };
    };
    let spec = eessi.target_specs().into_iter().find(|spec| spec.target == eessi.target);
    Cpu {
        architecture: eessi.cpu_family.clone(),
        targets: vec![eessi.target.clone()],
        features: spec.filter(|_| !eessi.is_generic()).map(|spec| spec.flags).unwrap_or_default(),
    }
}

/// The architecture that the stack's programs are for.
pub(super) fn architecture_of(stack: &Stack) -> Result<Architecture, Failure> {
    let eessi = match stack {
        Stack::Eessi(eessi) => Some(eessi),
        Stack::Site => None,
    };
    named(&cpu(eessi).architecture)
}

/// The architecture as a SIF names it.
pub(super) fn architecture(manifest: &Manifest) -> Result<Architecture, Failure> {
    named(&manifest.cpu.architecture)
}

fn named(architecture: &str) -> Result<Architecture, Failure> {
    architecture.parse().map_err(|_| {
        let name = Escaped(architecture);
        Failure::Cannot(format!("a SIF cannot name the architecture `{name}`"))
    })
}
