//! How far the closure may reach for what a packed file points at.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::prefixes::Surroundings;
use super::{Base, Request};
use crate::stack::{Eessi, Stack};

/// The places from which files may be added that nobody named.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    surroundings: Surroundings<'a>,
    eessi: Option<&'a Eessi>,
    base: Base,
    /// Compatibility layers of which only a part is packed.
    slim_layers: Vec<PathBuf>,
    /// Directories in which installations lie, of a plain site.
    neighbourhoods: Vec<PathBuf>,
}

/// What drivers of GPUs and other devices install beside their kernel modules. They fit the
/// machine's kernel, not the image: the runtime brings them.
const DRIVERS: [&[u8]; 12] = [
    b"libcuda.so",
    b"libcudadebugger.so",
    b"libnvidia-",
    b"libnvcuvid.so",
    b"libnvoptix.so",
    b"libGLX_nvidia.so",
    b"libEGL_nvidia.so",
    b"libGLESv1_CM_nvidia.so",
    b"libGLESv2_nvidia.so",
    b"libnvidia_",
    b"libvdpau_nvidia.so",
    b"libamdgpu_drv",
];

/// Where a machine keeps what its packages install.
const SYSTEM: [&str; 6] = ["/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"];

/// Whether a library of this name belongs to the machine's device drivers.
#[must_use]
pub fn is_driver(name: &[u8]) -> bool {
    DRIVERS.iter().any(|prefix| name.starts_with(prefix))
}

impl<'a> Scope<'a> {
    /// The scope of a request whose modules have these prefixes.
    pub(super) fn new(request: &Request<'a>, prefixes: &[Vec<PathBuf>]) -> Self {
        let eessi = match request.stack {
            Stack::Eessi(eessi) => Some(eessi),
            Stack::Site => None,
        };
        let surroundings = Surroundings::new(request.private, eessi, request.modules);
        // `/apps/software` of `/apps/software/GCC/13.2.0`
        let around = prefixes.iter().flatten().filter_map(|prefix| prefix.ancestors().nth(2));
        let mut neighbourhoods: Vec<_> =
            around.filter(|around| around.components().count() > 1).map(Path::to_owned).collect();
        neighbourhoods.sort_unstable();
        neighbourhoods.dedup();
        let slim_layers = super::slim::layers(request);
        Self { surroundings, eessi, base: request.base, slim_layers, neighbourhoods }
    }

    /// Whether a library at `path` may be added.
    pub(super) fn may_add_library(&self, path: &Path) -> bool {
        !path.file_name().is_some_and(|name| is_driver(name.as_bytes()))
            && (self.base == Base::Host || self.in_stack(path))
    }

    /// Whether what a link leads to may be added. A directory is, if it lies in one module's
    /// installation.
    pub(super) fn may_follow(&self, path: &Path, metadata: &fs::Metadata) -> bool {
        if path.file_name().is_some_and(|name| is_driver(name.as_bytes())) {
            return false;
        }
        if metadata.is_dir() {
            return self.in_installation(path) || self.in_slim_layer(path);
        }
        let of_base = self.base == Base::Host && SYSTEM.iter().any(|top| path.starts_with(top));
        self.in_stack(path) || of_base
    }

    /// Whether `path` lies in a compatibility layer, whose links to the machine are meant so.
    pub(super) fn in_layer(&self, path: &Path) -> bool {
        self.eessi.is_some_and(|eessi| {
            path.starts_with(eessi.compatibility_layer())
                || path
                    .strip_prefix(eessi.repository.join("versions"))
                    .is_ok_and(|below| below.iter().nth(1).is_some_and(|name| name == "compat"))
        })
    }

    /// Whether the directory `path` is one thing in a layer of which a part is packed.
    fn in_slim_layer(&self, path: &Path) -> bool {
        let mut layers = self.slim_layers.iter().filter(|layer| path.starts_with(layer));
        layers.any(|layer| !super::slim::is_shared(layer, path))
    }

    /// Whether `path` lies where the modules' installations lie.
    fn in_stack(&self, path: &Path) -> bool {
        match self.eessi {
            Some(eessi) => path.starts_with(&eessi.repository),
            None => self.neighbourhoods.iter().any(|around| path.starts_with(around)),
        }
    }

    /// Whether `path` lies in a single installation of the stack.
    fn in_installation(&self, path: &Path) -> bool {
        if let Some(eessi) = self.eessi {
            return super::prefixes::in_eessi(eessi, path).is_some();
        }
        let below = |around: &Path| path.strip_prefix(around).map_or(0, |b| b.iter().count());
        let of_base = self.base == Base::Host && below(Path::new("/usr")) >= 3;
        (of_base || self.neighbourhoods.iter().any(|around| below(around) >= 2))
            && !self.surroundings.is_shared(path)
    }
}
