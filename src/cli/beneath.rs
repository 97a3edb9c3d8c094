//! `--base`: an image, archive or directory that lies under the modules.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::args::{BaseName, Container};
use super::context::Context;
use super::diagnose::Failure;
use super::terminal::Terminal;
use crate::base::{Digest, Escaped};
use crate::closure::{Closure, Omission};
use crate::elf;
use crate::environment::{Variables, leak};
use crate::image::oci::KeptImage;
use crate::image::read::Spooled;
use crate::image::sif::Architecture;
use crate::image::{Beneath, BeneathOptions, FileDigest, Format};
use crate::rootfs::{FileId, Resolved, Rootfs};
use crate::session::split_path;

/// No shell is larger, in bytes.
const LARGEST_SHELL: u64 = 64 << 20;
/// Layers that overlayfs can stack, with one to spare for what a container writes.
const MOST_LAYERS: usize = 127;
/// Names that a warning gives.
const NAMED: usize = 3;
/// What a base says of the process that was to run in it, and not of its programs.
const OF_THE_PROCESS: [&str; 8] =
    ["HOME", "HOSTNAME", "LANG", "PWD", "SHELL", "TERM", "USER", "container"];
/// Lists to which the base's elements are added.
const LISTS: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// What lies under the modules.
#[derive(Debug)]
pub(super) struct Foundation {
    beneath: Beneath,
    /// Its name without directories.
    pub(super) name: String,
    top: PathBuf,
}

/// Opens what `--base` names; `None` where it names none, or one of this machine's own.
pub(super) fn open(
    context: &Context,
    words: &Container,
    architecture: Architecture,
    terminal: &Terminal,
) -> anyhow::Result<Option<Foundation>> {
    let Some(BaseName::Image(named)) = &words.base else { return Ok(None) };
    let (path, tag) = path_and_tag(named)?;
    let scratch = words.tmpdir.clone().unwrap_or_else(|| context.scratch());
    let keep_layers =
        matches!(words.format, Format::Oci | Format::OciArchive | Format::DockerArchive);
    let options =
        BeneathOptions { tag: tag.as_deref(), architecture, scratch: &scratch, keep_layers };
    let beneath = Beneath::open(&path, &options, terminal, &context.interrupt)
        .with_context(|| format!("--base `{}`", shown(named)))?;
    let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = tag.map_or(name.clone(), |tag| format!("{name}:{tag}"));
    Ok(Some(Foundation { beneath, name, top: path }))
}

fn shown(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}

/// `DIR:TAG` is a layout's image, unless something of that name is there.
fn path_and_tag(named: &Path) -> Result<(PathBuf, Option<String>), Failure> {
    if named.exists() {
        return Ok((named.to_owned(), None));
    }
    let text = named.to_string_lossy();
    match text.rsplit_once(':') {
        Some((path, tag)) if Path::new(path).join("oci-layout").is_file() => {
            Ok((path.into(), Some(tag.to_owned())))
        }
        _ => Err(Failure::Usage(format!(
            "--base: there is no `{0}`. Give compat, host, a directory with a root file system, an OCI layout (DIR or DIR:TAG), an archive or a SIF; of a registry's image first make one: skopeo copy docker://{0} oci:DIR:TAG",
            shown(named)
        ))),
    }
}

impl Foundation {
    /// Its tree.
    pub(super) fn rootfs(&self) -> &Rootfs {
        &self.beneath.rootfs
    }

    /// `sif`, `oci`, `directory` …
    pub(super) fn kind(&self) -> &'static str {
        self.beneath.kind
    }

    /// The file at `path`, links followed, of at most `limit` bytes; `None` if there is none.
    pub(super) fn read(&self, path: &[u8], limit: u64) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.beneath.read(path, limit)?)
    }

    /// The file `id`, to be read by offset.
    pub(super) fn spooled(&self, id: FileId) -> anyhow::Result<Option<Spooled>> {
        Ok(self.beneath.spooled(id)?)
    }

    /// By which it is known.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.beneath.digest
    }

    /// Its layers, where they stay as they are.
    pub(super) fn kept(&self) -> Option<&KeptImage> {
        self.beneath.kept.as_ref()
    }

    /// Bytes of these layers.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.beneath.kept_bytes()
    }

    /// What was read of a file in these layers.
    pub(super) fn file_digest(&self, id: FileId) -> Option<FileDigest> {
        self.beneath.digests.get(id.index()).copied()
    }

    /// Checks that a shell of this machine starts in it. With a `layer` there is another shell.
    pub(super) fn check(&self, architecture: Architecture, has_layer: bool) -> anyhow::Result<()> {
        let refuse = |why: &str| {
            Failure::Cannot(format!("the base `{}` {why}: choose another one", Escaped(&self.name)))
        };
        let Some(shell) = self.beneath.read(b"/bin/sh", LARGEST_SHELL)? else {
            if has_layer {
                return Ok(());
            }
            return Err(refuse("has no /bin/sh, without which no image of modules starts").into());
        };
        let mut copy = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        copy.write_all(&shell).context("cannot write a temporary file")?;
        let facts = elf::read(copy.path())
            .map_err(|_| refuse("has a /bin/sh that is no program of Linux"))?;
        if facts.architecture.machine != machine(architecture) || !facts.architecture.is_64_bit {
            let why = format!(
                "is for another kind of CPU than the modules, which are for {architecture}"
            );
            return Err(refuse(&why).into());
        }
        if let Some(loader) = facts.interpreter {
            use std::os::unix::ffi::OsStrExt as _;
            let found = self.rootfs().resolve(loader.as_os_str().as_bytes());
            if !matches!(found, Resolved::Found(Some(_))) {
                let why = format!("lacks `{}`, which loads its /bin/sh", shown(&loader));
                return Err(refuse(&why).into());
            }
        }
        Ok(())
    }

    /// Lays what was packed over it; notes what is left out of it.
    pub(super) fn carry(&self, closure: &mut Closure) -> anyhow::Result<()> {
        let mut rootfs = self.rootfs().clone();
        let upper = std::mem::replace(&mut closure.rootfs, rootfs.clone());
        rootfs.lay_over(upper).with_context(|| {
            format!("the modules cannot lie over the base `{}`", Escaped(&self.name))
        })?;
        closure.rootfs = rootfs;
        if self.kept().is_none() {
            let devices = self.beneath.devices.iter().map(|path| Omission {
                path: path.as_path().to_owned(),
                reason: "device of the base".to_owned(),
            });
            let unreadable = self.beneath.unreadable.iter().map(|path| Omission {
                path: Path::new("/").join(path.strip_prefix(&self.top).unwrap_or(path)),
                reason: "of the base, not readable or another file system".to_owned(),
            });
            closure.omissions.extend(devices.chain(unreadable));
            closure.omissions.sort();
        }
        closure.warnings.extend(self.warnings());
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let unreadable: Vec<String> =
            self.beneath.unreadable.iter().map(|path| shown(path)).collect();
        if !unreadable.is_empty() {
            warnings.push(format!(
                "what cannot be read of the base, or is another file system in it, is left out: {}",
                few(&unreadable)
            ));
        }
        let names = self.beneath.variables.keys().filter(|name| is_modules_own(name));
        let names: Vec<String> = names.map(|name| Escaped(name).to_string()).collect();
        if !names.is_empty() {
            warnings.push(format!(
                "of the base's variables, the image does not have those that modules decide: {}",
                few(&names)
            ));
        }
        warnings
    }

    /// Adds the base's variables to those of the image, under them.
    pub(super) fn add_variables(&self, variables: &mut Variables) {
        for (name, value) in &self.beneath.variables {
            if LISTS.contains(&name.as_str()) {
                let mut list = variables.get(name).map(|list| split_path(list)).unwrap_or_default();
                for element in split_path(value) {
                    if !list.contains(&element) {
                        list.push(element);
                    }
                }
                variables.insert(name.clone(), list.join(":"));
            } else if leak::is_shell_name(name)
                && !is_modules_own(name)
                && !OF_THE_PROCESS.contains(&name.as_str())
            {
                variables.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    /// How many layers may be added to its own, of `budget` altogether.
    pub(super) fn layers_left(&self, budget: usize) -> Result<usize, Failure> {
        let kept = self.kept().map_or(0, KeptImage::layers);
        let ours = budget.saturating_sub(kept).max(2);
        if kept + ours <= MOST_LAYERS {
            return Ok(ours);
        }
        Err(Failure::Cannot(format!(
            "the base `{}` has {kept} layers, and with those of the modules there would be more than the {MOST_LAYERS} that can be mounted: squash it first, or write another format",
            Escaped(&self.name)
        )))
    }
}

fn is_modules_own(name: &str) -> bool {
    !LISTS.contains(&name) && leak::is_cleared(name)
}

fn few(names: &[String]) -> String {
    let some = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect::<Vec<_>>();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    some.join(", ") + &more
}

/// `e_machine` of the programs of an architecture. Source: glibc `elf/elf.h`.
const fn machine(architecture: Architecture) -> u16 {
    match architecture {
        Architecture::X86_64 => 62,
        Architecture::Aarch64 => 183,
        Architecture::Riscv64 => 243,
        Architecture::Ppc64le => 21,
        Architecture::S390x => 22,
    }
}
