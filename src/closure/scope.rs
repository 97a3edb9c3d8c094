//! How far the closure may reach for what a packed file points at.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::prefixes::Surroundings;
use super::refusal::{self, Refusals, Why};
use super::{Base, Request};
use crate::elf::{self, Look};
use crate::rootfs::{Resolved, Rootfs};
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
    /// The exporting person's own directories.
    private: Vec<PathBuf>,
    /// What was asked for by its path.
    include: &'a [PathBuf],
    beneath: Option<&'a Rootfs>,
    /// What was asked for by packed files, and must not be added.
    pub(super) refusals: Refusals,
}

/// Whether to follow a link out of what is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// What it leads to is added.
    Yes,
    /// It is something that programs need, and must not be added.
    Refused(Why),
    /// It is left as it is.
    No,
}

/// An installation that a script's interpreter brings with it has at most so many bytes.
pub(super) const LARGEST_INSTALLATION: u64 = 4 << 30;

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
        // paths that were followed lie where links lead
        let real: Vec<_> =
            neighbourhoods.iter().filter_map(|at| fs::canonicalize(at).ok()).collect();
        neighbourhoods.extend(real.into_iter().filter(|at| at.components().count() > 1));
        neighbourhoods.sort_unstable();
        neighbourhoods.dedup();
        let slim_layers = super::slim::layers(request);
        let private = refusal::private(request.private);
        Self {
            surroundings,
            eessi,
            base: request.base,
            slim_layers,
            neighbourhoods,
            private,
            include: request.include,
            beneath: request.beneath,
            refusals: Refusals::default(),
        }
    }

    /// Whether a library at `path` may be added.
    pub(super) fn may_add_library(&self, path: &Path) -> bool {
        if path.file_name().is_some_and(|name| is_driver(name.as_bytes()))
            || self.base != Base::Host && !self.in_stack(path)
        {
            return false;
        }
        let is_elf = |path: &Path| matches!(elf::look(path), Look::Elf(_) | Look::Damaged(_));
        let Some(why) = self.refuses(path, 0o004, is_elf) else { return true };
        self.refusals.note(path, why, None);
        false
    }

    /// Why the program at `path`, which a script names, must not be added; `None` if it may be.
    pub(super) fn refuses_program(&self, path: &Path) -> Option<Why> {
        let runs = |path: &Path| matches!(elf::look(path), Look::Elf(_) | Look::Script(_));
        self.refuses(path, 0o005, runs)
    }

    /// Why the file at `path` must not be added: all that it leads through counts. Outside of the
    /// stack everybody has to have the permissions `needed`, and it has to be of the right `kind`.
    fn refuses(&self, path: &Path, needed: u32, kind: impl Fn(&Path) -> bool) -> Option<Why> {
        let way = refusal::way(path)?;
        if way.iter().any(|at| self.is_personal(at)) {
            return Some(Why::Personal);
        }
        let end = way.last()?;
        if self.in_stack(end) || self.is_included(end) {
            return None;
        }
        let metadata = fs::metadata(end).ok()?;
        if metadata.mode() & needed != needed {
            return Some(Why::Closed);
        }
        (!kind(end)).then_some(Why::NoProgram)
    }

    /// Whether to follow a link in `from` to what is at `path`. A directory is added if it lies in
    /// one module's installation.
    pub(super) fn follow(&self, from: &Path, path: &Path, metadata: &fs::Metadata) -> Follow {
        if path.file_name().is_some_and(|name| is_driver(name.as_bytes())) {
            return Follow::No;
        }
        let personal = refusal::way(path).iter().flatten().any(|at| self.is_personal(at));
        if metadata.is_dir() {
            let whole = self.in_installation(path) || self.in_slim_layer(path);
            return if whole && !personal { Follow::Yes } else { Follow::No };
        }
        let runs = metadata.mode() & 0o111 != 0;
        let refused = |why| if runs { Follow::Refused(why) } else { Follow::No };
        if personal {
            return refused(Why::Personal);
        }
        if self.in_stack(path) {
            return Follow::Yes;
        }
        if metadata.mode() & 0o004 == 0 {
            return refused(Why::Closed);
        }
        let of_machine = SYSTEM.iter().any(|top| path.starts_with(top));
        if of_machine && self.base == Base::Host {
            return Follow::Yes;
        }
        if !metadata.is_file() || self.in_layer(from) {
            return Follow::No;
        }
        match elf::look(path) {
            Look::Script(_) if self.base == Base::Host || !of_machine => Follow::Yes,
            Look::Elf(facts) => {
                let loader = facts.interpreter.as_deref();
                let starts = !of_machine && loader.is_none_or(|loader| self.has_loader(loader));
                if self.base == Base::Host || starts { Follow::Yes } else { refused(Why::Machine) }
            }
            Look::Script(_) => refused(Why::Machine),
            _ => Follow::No,
        }
    }

    /// Whether the image will have what loads a program, without this machine's.
    fn has_loader(&self, loader: &Path) -> bool {
        let found = self.beneath.map(|base| base.resolve(loader.as_os_str().as_bytes()));
        self.in_stack(loader) || matches!(found, Some(Resolved::Found(_)))
    }

    /// Whether `path` lies in a person's own directory, and in no installation of the modules
    /// there.
    pub(super) fn is_personal(&self, path: &Path) -> bool {
        let below = |around: &Path| path.strip_prefix(around).map_or(0, |b| b.iter().count());
        let of_modules = |home: &Path| {
            let own = |around: &&PathBuf| around.starts_with(home) && *around != home;
            self.neighbourhoods.iter().filter(own).any(|around| below(around) >= 2)
        };
        !self.is_included(path)
            && refusal::homes(path, &self.private).iter().any(|home| !of_modules(home))
    }

    /// Whether `path` was asked for.
    fn is_included(&self, path: &Path) -> bool {
        self.include.iter().any(|asked| path.starts_with(asked))
    }

    /// The directories that the modules' software lies in.
    pub(super) fn tops(&self) -> Vec<&Path> {
        match self.eessi {
            Some(eessi) => vec![&eessi.repository],
            None => self.neighbourhoods.iter().map(PathBuf::as_path).collect(),
        }
    }

    /// The installation of the stack that the program at `path` belongs to.
    pub(super) fn installation_of(&self, path: &Path) -> Option<PathBuf> {
        let end = refusal::way(path)?.pop()?;
        let prefix = match self.eessi {
            Some(eessi) => in_repository(eessi, &end)?,
            None => self.in_neighbourhood(&end)?,
        };
        (prefix.is_dir() && !self.surroundings.is_shared(&prefix)).then_some(prefix)
    }

    /// `/apps/software/Python/3.11` of `/apps/software/Python/3.11/bin/python3`.
    fn in_neighbourhood(&self, path: &Path) -> Option<PathBuf> {
        let around = self.neighbourhoods.iter().filter(|around| path.starts_with(around));
        let around = around.max_by_key(|around| around.components().count())?;
        let directory = path.parent()?;
        if directory.ends_with("bin") || directory.ends_with("sbin") {
            let prefix = directory.parent()?;
            return (prefix.starts_with(around) && prefix != around).then(|| prefix.to_owned());
        }
        let mut below = path.strip_prefix(around).ok()?.iter();
        let prefix = around.join(below.next()?).join(below.next()?);
        (prefix != path).then_some(prefix)
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

/// The installation that `path` lies in, of whatever CPU's software.
fn in_repository(eessi: &Eessi, path: &Path) -> Option<PathBuf> {
    path.strip_prefix(&eessi.repository).ok()?;
    let names: Vec<_> = path.iter().collect();
    // …/software/linux/x86_64/intel/haswell/software/Python/3.11/bin/python3
    let last = names.iter().rposition(|name| *name == "software")?;
    let first = names.iter().position(|name| *name == "software")?;
    (first < last && names.len() > last + 3).then(|| names.iter().take(last + 3).collect())
}
