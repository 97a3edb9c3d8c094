//! Libraries that packed programs and libraries need, and that no module brings.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::collect::Collector;
use super::probe::Probe;
use super::scope::{Scope, is_driver};
use super::{Cause, ClosureError, Reason, Request};
use crate::base::Escaped;
use crate::elf::{Architecture, ElfFacts, Found, Kind, Loader, Look, Missing, Object, Search};
use crate::rootfs::{Content, Node};

/// Missing libraries of which there is a warning each; the rest are counted.
const NAMED: usize = 10;

/// The search for libraries as it goes on. Each is searched as `ld.so` would for the file alone,
/// and then, for what is missing so, as loaded by each packed program.
pub(super) struct Needs<'a> {
    scope: &'a Scope<'a>,
    library_path: &'a [PathBuf],
    probe: Probe,
    /// Files of the plan that were looked at.
    seen: usize,
    /// Packed ELF files that the dynamic loader handles.
    objects: Vec<Object>,
    loaders: BTreeMap<Architecture, Loader>,
    /// Paths that were found to be in the image, or were added to it.
    packed: BTreeSet<OsString>,
    /// What nothing was found for.
    missing: BTreeSet<Missing>,
}

impl<'a> Needs<'a> {
    pub(super) fn new(
        collector: &Collector<'_>,
        request: &Request<'a>,
        scope: &'a Scope<'a>,
    ) -> Self {
        Self {
            scope,
            library_path: request.library_path,
            probe: Probe::new(collector.site_directories()),
            seen: 0,
            objects: Vec::new(),
            loaders: BTreeMap::new(),
            packed: BTreeSet::new(),
            missing: BTreeSet::new(),
        }
    }

    /// What was seen of the files that were opened.
    pub(super) fn into_looks(self) -> BTreeMap<OsString, Look> {
        self.probe.into_looks()
    }

    /// Packed ELF files that the dynamic loader handles, in the order in which they joined.
    pub(super) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Adds the library that the object of this index means if it opens `name` while it runs;
    /// returns whether there is one.
    pub(super) fn add_opened(
        &mut self,
        collector: &mut Collector<'_>,
        index: usize,
        name: &OsStr,
    ) -> Result<bool, ClosureError> {
        let Some(object) = self.objects.get(index).cloned() else { return Ok(false) };
        let found = self.search(name, &[&object]);
        for path in found.iter().flat_map(|found| found.variants.iter().chain([&found.object.path]))
        {
            // nobody says that it has to be there
            if self.scope.may_add_library(path) {
                let reason = reason(collector, name, &object.path);
                collector.add(path, &reason)?;
            }
        }
        Ok(found.is_some())
    }

    /// Adds the libraries that packed files need and that are not packed.
    pub(super) fn add(&mut self, collector: &mut Collector<'_>) -> Result<(), ClosureError> {
        self.add_reached(collector)?;
        let missing = self.missing_everywhere(collector);
        if !missing.is_empty() {
            self.add_inherited(collector, &missing)?;
            self.add_reached(collector)?;
        }
        Ok(())
    }

    /// A sentence for each library that is missing.
    pub(super) fn warnings(&self, collector: &Collector<'_>) -> Vec<String> {
        warnings(&self.missing_everywhere(collector))
    }

    /// Adds what files of the plan need, what that needs, and so on.
    fn add_reached(&mut self, collector: &mut Collector<'_>) -> Result<(), ClosureError> {
        loop {
            let new = self.look_at_new_files(collector)?;
            if new.is_empty() {
                return Ok(());
            }
            self.choose_loaders(&new);
            for object in &new {
                collector.interrupt.check()?;
                self.add_needs_of(collector, object)?;
            }
            self.objects.extend(new);
        }
    }

    /// The ELF files among those that joined the plan since the last time.
    fn look_at_new_files(
        &mut self,
        collector: &Collector<'_>,
    ) -> Result<Vec<Object>, ClosureError> {
        let files = collector.rootfs.files().get(self.seen..).unwrap_or_default();
        self.seen = collector.rootfs.files().len();
        let candidates: Vec<_> = files
            .iter()
            .filter_map(|file| match &file.content {
                Content::Host(path) if may_be_elf(path, file.metadata.mode) => Some(path.clone()),
                _ => None,
            })
            .collect();
        let facts = self.probe.read_all(&candidates, collector.interrupt)?;
        let objects = candidates.into_iter().zip(facts);
        Ok(objects
            .filter_map(|(path, facts)| Some(Object { path, facts: facts? }))
            .filter(|object| object.facts.dynamic && object.facts.kind != Kind::Other)
            .collect())
    }

    /// Makes the commonest interpreter of each architecture the one that loads its libraries.
    fn choose_loaders(&mut self, new: &[Object]) {
        let mut votes: BTreeMap<(Architecture, &Path), usize> = BTreeMap::new();
        for object in new {
            if let Some(interpreter) = interpreter(object) {
                *votes.entry((object.facts.architecture, interpreter)).or_default() += 1;
            }
        }
        let mut votes: Vec<_> = votes.into_iter().collect();
        votes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for ((architecture, interpreter), _) in votes {
            let loader = || Loader::new(interpreter, &|path| std::fs::read(path).ok());
            self.loaders.entry(architecture).or_insert_with(loader);
        }
    }

    /// Adds the interpreter and the libraries that `object` names.
    fn add_needs_of(
        &mut self,
        collector: &mut Collector<'_>,
        object: &Object,
    ) -> Result<(), ClosureError> {
        if let Some(interpreter) = interpreter(object) {
            let name = interpreter.as_os_str();
            self.pack(collector, interpreter, name, &object.path)?;
        }
        // nothing packed starts programs of this architecture
        if !self.loaders.contains_key(&object.facts.architecture) {
            return Ok(());
        }
        for name in &object.facts.needed {
            self.add_library(collector, name, &[object])?;
        }
        Ok(())
    }

    /// Adds the library that `name` means to the first of `chain`.
    fn add_library(
        &mut self,
        collector: &mut Collector<'_>,
        name: &OsStr,
        chain: &[&Object],
    ) -> Result<bool, ClosureError> {
        let Some(needing) = chain.first() else { return Ok(true) };
        let Some(found) = self.search(name, chain) else {
            self.missing.insert(Missing { object: needing.path.clone(), name: name.to_owned() });
            return Ok(false);
        };
        for path in std::iter::once(&found.object.path).chain(&found.variants) {
            self.pack(collector, path, name, &needing.path)?;
        }
        Ok(true)
    }

    /// The library that `name` means to the first of `chain`.
    fn search(&self, name: &OsStr, chain: &[&Object]) -> Option<Found> {
        let loader = self.loaders.get(&chain.first()?.facts.architecture)?;
        let probe = |path: &Path| self.probe.facts(path);
        Search { loader, library_path: self.library_path, probe: &probe }.find(name, chain)
    }

    /// Adds the file at `path` unless it is in the image; notes it as missing if it must not be.
    fn pack(
        &mut self,
        collector: &mut Collector<'_>,
        path: &Path,
        name: &OsStr,
        needing: &Path,
    ) -> Result<(), ClosureError> {
        if self.packed.contains(path.as_os_str()) {
            return Ok(());
        }
        let inside = collector.has(path) || collector.is_beneath(path);
        if !inside && is_driver(name.as_bytes()) {
            collector.omit(path, "GPU driver library");
            return Ok(());
        }
        let may_add = !inside && self.scope.may_add_library(path);
        let reason = reason(collector, name, needing);
        if inside || may_add && collector.add(path, &reason)? {
            self.packed.insert(path.into());
        } else {
            self.missing.insert(Missing { object: needing.to_owned(), name: name.to_owned() });
        }
        Ok(())
    }

    /// What is missing although nothing packed goes by its name. (A plug-in may rely on what the
    /// program that opens it has loaded.)
    fn missing_everywhere(&self, collector: &Collector<'_>) -> Vec<Missing> {
        if self.missing.is_empty() {
            return Vec::new();
        }
        let mut names: BTreeSet<OsString> =
            self.objects.iter().filter_map(|object| object.facts.soname.clone()).collect();
        for rootfs in std::iter::once(&collector.rootfs).chain(collector.beneath()) {
            rootfs.walk(|path, node| {
                let name = path.as_path().file_name().filter(|name| is_library_name(name));
                if let (Some(name), Node::File(_) | Node::Symlink(_)) = (name, node) {
                    names.insert(name.to_owned());
                }
            });
        }
        let absent = |missing: &&Missing| {
            !names.contains(&missing.name) && !is_driver(missing.name.as_bytes())
        };
        self.missing.iter().filter(absent).cloned().collect()
    }

    /// Adds what `missing` names where a program's own search path leads to it.
    fn add_inherited(
        &mut self,
        collector: &mut Collector<'_>,
        missing: &[Missing],
    ) -> Result<(), ClosureError> {
        let wanted: BTreeSet<&OsStr> = missing.iter().map(|missing| &*missing.name).collect();
        let programs: Vec<Object> = self
            .objects
            .iter()
            .filter(|object| interpreter(object).is_some() && object.facts.rpath.is_some())
            .cloned()
            .collect();
        for program in programs {
            collector.interrupt.check()?;
            let Some(loader) = self.loaders.get(&program.facts.architecture) else { continue };
            let probe = |path: &Path| self.probe.facts(path);
            let search = Search { loader, library_path: self.library_path, probe: &probe };
            let found = search.load(program.clone()).objects;
            for object in found {
                let name = object.path.file_name().unwrap_or_default().to_owned();
                if wanted.contains(&*name) {
                    self.pack(collector, &object.path, &name, &program.path)?;
                }
            }
        }
        Ok(())
    }
}

/// Why a library is packed.
fn reason(collector: &Collector<'_>, name: &OsStr, needing: &Path) -> Reason {
    Cause::Library { name: name.to_owned(), user: collector.place(needing) }.into()
}

/// What loads a program; `None` for a library, even one that names an interpreter so that it can
/// be run to show its version, as glibc's do.
fn interpreter(object: &Object) -> Option<&Path> {
    object.facts.interpreter.as_deref().filter(|_| object.facts.soname.is_none())
}

/// Whether a file is worth opening: reading a header fetches a whole file on some file systems.
fn may_be_elf(path: &Path, mode: u16) -> bool {
    mode & 0o111 != 0 || path.file_name().is_some_and(is_library_name)
}

/// `libz.so.1`, `plugin.so`.
fn is_library_name(name: &OsStr) -> bool {
    name.as_bytes().windows(3).any(|window| window == b".so")
}

/// A sentence for each library that is missing.
fn warnings(missing: &[Missing]) -> Vec<String> {
    let mut by_name: BTreeMap<&OsStr, Vec<&Path>> = BTreeMap::new();
    for missing in missing {
        by_name.entry(&missing.name).or_default().push(&missing.object);
    }
    let sentence = |(name, objects): (&&OsStr, &Vec<&Path>)| {
        let first = objects.first().map(|path| path.to_string_lossy()).unwrap_or_default();
        let more = match objects.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let (name, first) = (name.to_string_lossy(), Escaped(&first));
        format!("the library `{}`, which `{first}`{more} needs, is not packed", Escaped(&name))
    };
    let mut sentences: Vec<_> = by_name.iter().take(NAMED).map(sentence).collect();
    if by_name.len() > NAMED {
        let rest = by_name.len() - NAMED;
        sentences.push(format!("{rest} more libraries that packed files need are not packed"));
    }
    sentences
}

/// Facts that many objects share.
pub(super) type Facts = Option<Arc<ElfFacts>>;
