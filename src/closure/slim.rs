//! Of a compatibility layer only what an image needs: a core, and what packed files reach.
//!
//! Libraries, interpreters and links are followed as everywhere else. Beyond these, a packed file
//! reaches what its text or its constants name: absolute paths in the layer, programs that it starts
//! by their names, and, where it opens libraries while it runs, names of libraries.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::collect::Collector;
use super::libraries::Needs;
use super::packages::is_licence;
use super::walk::Surveyed;
use super::{Base, Cause, ClosureError, Omission, Reason, Request, eessi, host, parallel};
use crate::elf::{Constants, Object, paths_below};
use crate::environment::Variables;
use crate::rootfs::Content;
use crate::stack::Stack;

mod calls;
mod commands;
mod programs;
mod site;
mod told;

use programs::{Programs, Started};
pub use told::{Caller, NOT_REACHED, Opener, Slim};

/// Longest text that is searched for paths, in bytes.
const LONGEST_TEXT: u64 = 1 << 20;

/// Directories that are packed whole where something names them have at most as many files.
const MANY: usize = 2000;

/// Endings of texts that name paths although they are no scripts of their own.
const TEXTS: [&[u8]; 8] = [b".sh", b".csh", b".fish", b".lua", b".pc", b".pth", b".cfg", b".conf"];

/// Directories of a layer, below its top or `usr`, that hold what many packages put there: naming
/// one does not mean all of it. (Where Python and Perl name theirs, an interpreter is at work,
/// which brings it.)
const SHARED: [&str; 27] = [
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "libexec",
    "include",
    "share",
    "etc",
    "var",
    "tmp",
    "src",
    "lib/gcc",
    "lib/gconv",
    "lib64/gconv",
    "lib/locale",
    "lib64/locale",
    "lib/pkgconfig",
    "lib64/pkgconfig",
    "share/doc",
    "share/i18n",
    "share/info",
    "share/locale",
    "share/man",
    "share/pkgconfig",
    "share/terminfo",
    "share/zoneinfo",
];

/// Libraries that open plug-ins of a directory beside them: how the library's name begins, and the
/// directory's.
const PLUGINS: [(&[u8], &[u8]); 7] = [
    (b"libcrypto.so", b"ossl-modules"),
    (b"libcrypto.so", b"engines-"),
    (b"libibverbs.so", b"libibverbs"),
    (b"libsasl2.so", b"sasl2"),
    (b"libkrb5.so", b"krb5"),
    (b"libp11-kit.so", b"pkcs11"),
    (b"libpam.so", b"security"),
];

/// The layers of which only a part is to be packed.
pub(super) fn layers(request: &Request<'_>) -> Vec<PathBuf> {
    match (request.stack, request.base, request.slim) {
        (Stack::Eessi(eessi), Base::CompatibilityLayer, Some(_)) => {
            eessi::layers(eessi, request.lmod)
        }
        _ => Vec::new(),
    }
}

/// Adds the core of `layer`, and what the environment names in it.
pub(super) fn add_core(
    collector: &mut Collector<'_>,
    request: &Request<'_>,
    layer: &Path,
) -> Result<(), ClosureError> {
    // a layer's own links to the machine are for the runtime to fill
    collector.confined(Some(layer), |collector| {
        host::add_core(collector, request, &host::Place::layer(layer))?;
        add_licences(collector, layer)?;
        for (name, value) in request.slim.into_iter().flatten() {
            let reason: Reason = Cause::Environment(name.clone()).into();
            for path in paths_below(value.as_bytes(), layer) {
                add_named(collector, layer, &path, &reason)?;
            }
        }
        Ok(())
    })
}

/// Adds the licences of what the layer has: they are few and small, and hold for what is packed.
fn add_licences(collector: &mut Collector<'_>, layer: &Path) -> Result<(), ClosureError> {
    let reason: Reason = Cause::Core("licences".to_owned()).into();
    for directory in DOCUMENTS.map(|directory| layer.join(directory)) {
        if !directory.is_dir() {
            continue;
        }
        for found in collector.survey(&directory, &mut Vec::new())? {
            if found.path.file_name().is_some_and(is_licence) || !directory.ends_with("doc") {
                collector.add(&found.path, &reason)?;
            }
        }
    }
    Ok(())
}

/// Where a layer keeps documents of its packages: of `doc` only the licences are such.
const DOCUMENTS: [&str; 3] = ["usr/share/doc", "usr/share/licenses", "usr/share/common-licenses"];

/// Adds what lies at `path` of `layer`, which something names: a file; a directory with all that is
/// in it where that is one thing, else empty.
fn add_named(
    collector: &mut Collector<'_>,
    layer: &Path,
    path: &Path,
    reason: &Reason,
) -> Result<(), ClosureError> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    if !metadata.is_dir() {
        collector.add(path, reason)?;
        return Ok(());
    }
    let Some(real) = collector.follow(path, reason)? else { return Ok(()) };
    if !is_shared(layer, &real) && collector.survey(&real, &mut Vec::new())?.len() <= MANY {
        collector.add(&real, reason)?;
    } else {
        collector.make_directory(&real)?;
    }
    Ok(())
}

/// Whether the directory `real` of `layer` holds things of many packages.
pub(super) fn is_shared(layer: &Path, real: &Path) -> bool {
    let Ok(below) = real.strip_prefix(layer) else { return true };
    let below = below.strip_prefix("usr").unwrap_or(below);
    below.as_os_str().is_empty() || SHARED.iter().any(|shared| below == Path::new(shared))
}

/// The search for what packed files name, as it goes on.
#[derive(Debug)]
pub(super) struct Reach {
    layers: Vec<PathBuf>,
    /// What whole layers would be.
    survey: Vec<Surveyed>,
    /// Names of libraries in them.
    names: BTreeSet<OsString>,
    /// Files of the plan that were looked at.
    seen: usize,
    /// ELF files that were looked into.
    scanned: usize,
    openers: BTreeMap<PathBuf, Opener>,
    programs: Programs,
    /// Programs that files may start, by the files.
    callers: BTreeMap<PathBuf, BTreeSet<Vec<u8>>>,
    /// What no image has of the layers.
    private: Vec<Omission>,
}

impl Reach {
    /// The search in `layers`, of which it adds the links that lead out; in none there is nothing
    /// to find.
    pub(super) fn new(
        collector: &mut Collector<'_>,
        layers: Vec<PathBuf>,
        variables: Option<&Variables>,
    ) -> Result<Self, ClosureError> {
        let (mut survey, mut private) = (Vec::new(), Vec::new());
        for layer in &layers {
            let found = collector.survey(layer, &mut private)?;
            collector.confined(Some(layer), |collector| site::add(collector, layer, &found))?;
            survey.extend(found);
        }
        let no_variables = Variables::new();
        let programs = Programs::new(&survey, &layers, variables.unwrap_or(&no_variables));
        let names = survey.iter().filter_map(|found| found.path.file_name());
        let names = names.filter(|name| is_library(name)).map(OsStr::to_owned).collect();
        let (openers, callers) = (BTreeMap::new(), BTreeMap::new());
        let (seen, scanned) = (0, 0);
        Ok(Self { layers, survey, names, seen, scanned, openers, programs, callers, private })
    }

    /// Where the links of what is added are followed to: what all layers lie in.
    pub(super) fn confines(&self) -> Option<PathBuf> {
        let first = self.layers.first()?;
        let holds_all = |top: &&Path| self.layers.iter().all(|layer| layer.starts_with(top));
        first.ancestors().find(holds_all).map(Path::to_owned)
    }

    /// Adds what files name that joined the plan since the last time.
    pub(super) fn add(
        &mut self,
        collector: &mut Collector<'_>,
        libraries: &mut Needs<'_>,
    ) -> Result<(), ClosureError> {
        if self.layers.is_empty() {
            return Ok(());
        }
        let files = collector.rootfs.files().get(self.seen..).unwrap_or_default();
        self.seen = collector.rootfs.files().len();
        let (mut paths, mut texts) = (Vec::new(), Vec::new());
        for file in files {
            let Content::Host(path) = &file.content else { continue };
            if file.size <= LONGEST_TEXT && may_be_text(path, file.metadata.mode) {
                let is_of_library = file.reason.starts_with("interpreter:");
                texts.push((path.clone(), is_of_library));
            }
            paths.push(path.clone());
        }
        self.add_named_in_texts(collector, &texts)?;
        self.add_plugins(collector, &paths)?;
        self.add_named_in_programs(collector, libraries)
    }

    /// Adds what scripts, modulefiles and the like name.
    fn add_named_in_texts(
        &mut self,
        collector: &mut Collector<'_>,
        files: &[(PathBuf, bool)],
    ) -> Result<(), ClosureError> {
        let read = |(path, is_of_library): &(PathBuf, bool)| -> (Vec<BTreeSet<PathBuf>>, Started) {
            let Some(text) = text_of(path) else { return Default::default() };
            let names_paths = text.starts_with(b"#!") || is_text(path);
            let layers = self.layers.iter().filter(|_| names_paths);
            let paths = layers.map(|layer| paths_below(&text, layer)).collect();
            (paths, self.programs.of_script(path, &text, *is_of_library))
        };
        let named = parallel::map(files, collector.interrupt, read)?;
        for ((file, _), (named, started)) in files.iter().zip(named) {
            let reason: Reason = Cause::Script(collector.place(file)).into();
            for (layer, paths) in self.layers.iter().zip(named) {
                for path in paths {
                    // a directory that a script names is most often one to look in
                    match std::fs::metadata(&path) {
                        Ok(metadata) if metadata.is_dir() => {
                            if names_directories(file) {
                                add_named(collector, layer, &path, &reason)?;
                            }
                        }
                        Ok(_) => add_named(collector, layer, &path, &reason)?,
                        Err(_) => {}
                    }
                }
            }
            self.add_started(collector, file, started, &reason)?;
        }
        Ok(())
    }

    /// Adds the programs that `file` starts, and notes those that it may start.
    fn add_started(
        &mut self,
        collector: &mut Collector<'_>,
        file: &Path,
        started: Started,
        reason: &Reason,
    ) -> Result<(), ClosureError> {
        self.programs.add(collector, &started.certain, reason)?;
        if !started.possible.is_empty() {
            self.callers.insert(file.to_owned(), started.possible);
        }
        Ok(())
    }

    /// Adds the plug-ins of libraries that are known to have some.
    fn add_plugins(
        &self,
        collector: &mut Collector<'_>,
        files: &[PathBuf],
    ) -> Result<(), ClosureError> {
        for file in files.iter().filter(|file| self.layer_of(file).is_some()) {
            let (Some(name), Some(parent)) = (file.file_name(), file.parent()) else { continue };
            let begins = |start: &[u8]| name.as_bytes().starts_with(start);
            for (_, plugins) in PLUGINS.iter().filter(|(library, _)| begins(library)) {
                let reason: Reason = {
                    let user = collector.place(file);
                    Cause::Library { name: OsStr::from_bytes(plugins).to_owned(), user }.into()
                };
                for found in crate::base::fs::sorted_dir(parent).unwrap_or_default() {
                    if found.as_bytes().starts_with(plugins) && parent.join(&found).is_dir() {
                        collector.add(&parent.join(&found), &reason)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds what ELF files name: files by their paths, libraries that they may open.
    fn add_named_in_programs(
        &mut self,
        collector: &mut Collector<'_>,
        libraries: &mut Needs<'_>,
    ) -> Result<(), ClosureError> {
        let first = self.scanned;
        let objects = libraries.objects().get(first..).unwrap_or_default().to_vec();
        self.scanned += objects.len();
        let read = |object: &Object| -> Named {
            let constants = Constants::read(&object.path).unwrap_or_default();
            let mut names = BTreeSet::new();
            if constants.opens_libraries {
                names = constants.library_names();
                names.retain(|name| self.names.contains(name));
            }
            let paths = self.layers.iter().map(|layer| constants.paths_below(layer)).collect();
            let started = self.programs.of_program(&constants);
            Named { opens: constants.opens_libraries, names, paths, started }
        };
        let named = parallel::map(&objects, collector.interrupt, read)?;
        for (index, (object, named)) in objects.iter().zip(named).enumerate() {
            let reason: Reason = Cause::Constant(collector.place(&object.path)).into();
            self.add_started(collector, &object.path, named.started, &reason)?;
            for (layer, paths) in self.layers.iter().zip(&named.paths) {
                for path in paths {
                    add_constant(collector, layer, path, &object.path)?;
                }
            }
            let mut not_packed = Vec::new();
            for name in &named.names {
                if !libraries.add_opened(collector, first + index, name)? {
                    not_packed.push(name.to_string_lossy().into_owned());
                }
            }
            if named.opens {
                self.openers.insert(object.path.clone(), Opener::new(object, not_packed));
            }
        }
        Ok(())
    }

    fn layer_of(&self, path: &Path) -> Option<&PathBuf> {
        self.layers.iter().find(|layer| path.starts_with(layer))
    }
}

/// What an ELF file names.
struct Named {
    opens: bool,
    /// Libraries of the layers that it may open.
    names: BTreeSet<OsString>,
    /// Paths in each of the layers.
    paths: Vec<BTreeSet<PathBuf>>,
    started: Started,
}

/// Adds what `path`, a constant of `program`, leads to in `layer`: a file, or a directory of
/// plug-ins.
fn add_constant(
    collector: &mut Collector<'_>,
    layer: &Path,
    path: &Path,
    program: &Path,
) -> Result<(), ClosureError> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    let reason: Reason = Cause::Constant(collector.place(program)).into();
    if !metadata.is_dir() {
        collector.add(path, &reason)?;
        return Ok(());
    }
    let names = crate::base::fs::sorted_dir(path).unwrap_or_default();
    if names.iter().any(|name| is_library(name)) {
        add_named(collector, layer, path, &reason)?;
    }
    Ok(())
}

/// `libz.so.1`, `plugin.so`.
fn is_library(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".so") || memchr::memmem::find(name, b".so.").is_some()
}

/// Whether a file is worth opening in search of paths.
fn may_be_text(path: &Path, mode: u16) -> bool {
    mode & 0o111 != 0 || is_text(path) || programs::is_code(path)
}

/// Whether a file of this name names paths although it is no script.
fn is_text(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    TEXTS.iter().any(|end| name.ends_with(end))
}

/// Whether a text of this name has directories that must be there.
fn names_directories(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    [&b".pc"[..], b".pth", b"pyvenv.cfg"].iter().any(|end| name.ends_with(end))
}

/// The text of the file at `path` if it is one that names something.
fn text_of(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path).ok()?;
    let mut text = Vec::new();
    (&mut file).take(2).read_to_end(&mut text).ok()?;
    if !is_text(path) && !programs::is_code(path) && text != b"#!" {
        return None;
    }
    file.take(LONGEST_TEXT).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests;
