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
use crate::elf::{
    Architecture, ElfFacts, Found, Kind, Loader, Look, Missing, Object, Search, Shebang,
    is_library_name,
};
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
    /// Libraries that were found through links and take their search path from there.
    linked: BTreeSet<PathBuf>,
    /// By interpreter.
    loaders: BTreeMap<PathBuf, Loader>,
    /// The commonest one of each architecture.
    common: BTreeMap<Architecture, PathBuf>,
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
            linked: BTreeSet::new(),
            loaders: BTreeMap::new(),
            common: BTreeMap::new(),
            packed: BTreeSet::new(),
            missing: BTreeSet::new(),
        }
    }

    /// What was seen of the files that were opened.
    pub(super) fn into_looks(self) -> BTreeMap<OsString, Look> {
        self.probe.into_looks()
    }

    /// The first line of the file at `path`, if it was opened and is a script.
    pub(super) fn script(&self, path: &Path) -> Option<Shebang> {
        self.probe.script(path)
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

    /// Knows the interpreters of `new`, and which is the commonest of each architecture: it loads
    /// libraries that nothing is known of.
    fn choose_loaders(&mut self, new: &[Object]) {
        let mut votes: BTreeMap<(Architecture, &Path), usize> = BTreeMap::new();
        for object in new {
            if let Some(interpreter) = object.interpreter() {
                *votes.entry((object.facts.architecture, interpreter)).or_default() += 1;
            }
        }
        let mut votes: Vec<_> = votes.into_iter().collect();
        votes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for ((architecture, interpreter), _) in votes {
            // its bytes are read whole
            if self.probe.facts(interpreter).is_none() {
                continue;
            }
            let loader = || Loader::new(interpreter, &|path| std::fs::read(path).ok());
            self.loaders.entry(interpreter.to_owned()).or_insert_with(loader);
            self.common.entry(architecture).or_insert_with(|| interpreter.to_owned());
        }
    }

    /// What loads `object`, or would load it into a program.
    fn loader_of(&self, object: &Object) -> Option<&Loader> {
        let own = object.interpreter().and_then(|interpreter| self.loaders.get(interpreter));
        let common = || self.loaders.get(self.common.get(&object.facts.architecture)?);
        own.or_else(common)
    }

    /// Adds the interpreter and the libraries that `object` names.
    fn add_needs_of(
        &mut self,
        collector: &mut Collector<'_>,
        object: &Object,
    ) -> Result<(), ClosureError> {
        // what is no program that loads others is nothing to be packed
        if let Some(interpreter) = object.interpreter()
            && interpreter.is_absolute()
            && self.probe.facts(interpreter).is_some()
        {
            let name = interpreter.as_os_str();
            self.pack(collector, interpreter, name, &object.path)?;
        }
        // nothing packed starts programs of this architecture
        if self.loader_of(object).is_none() {
            return Ok(());
        }
        for name in &object.facts.needed {
            collector.interrupt.check()?;
            self.add_library(collector, name, &[object])?;
        }
        for name in &object.facts.optional {
            if let Some(found) = self.search(name, &[object]) {
                self.pack(collector, &found.object.path, name, &object.path)?;
            }
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
        self.add_needs_of_linked(collector, &found.object)?;
        Ok(true)
    }

    /// Adds what `library` needs if it was found through a link: what stands for `$ORIGIN` is where
    /// the link is.
    fn add_needs_of_linked(
        &mut self,
        collector: &mut Collector<'_>,
        library: &Object,
    ) -> Result<(), ClosureError> {
        let facts = &library.facts;
        let lists = [&facts.runpath, &facts.rpath].into_iter().flatten();
        let mut has_origin = lists.map(|list| list.as_bytes().contains(&b'$'));
        if !has_origin.any(|has| has) || !self.linked.insert(library.path.clone()) {
            return Ok(());
        }
        if library.path.canonicalize().is_ok_and(|real| real == library.path) {
            return Ok(());
        }
        for name in &facts.needed {
            self.add_library(collector, name, &[library])?;
        }
        Ok(())
    }

    /// The library that `name` means to the first of `chain`.
    fn search(&self, name: &OsStr, chain: &[&Object]) -> Option<Found> {
        let program = chain.last().filter(|object| object.interpreter().is_some());
        let loader = self.loader_of(program.or(chain.first())?)?;
        let probe = |path: &Path| self.probe.facts(path);
        self.search_with(loader, &probe, &|path| self.probe.has_directory(path)).find(name, chain)
    }

    fn search_with<'s>(
        &'s self,
        loader: &'s Loader,
        probe: &'s dyn Fn(&Path) -> Facts,
        has_directory: &'s dyn Fn(&Path) -> bool,
    ) -> Search<'s> {
        Search { loader, library_path: self.library_path, probe, has_directory }
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
        // what has a search path of its own for what it loads, or a loader of its own
        let is_special = |object: &&Object| {
            let common = self.common.get(&object.facts.architecture);
            let own = object.interpreter().is_some_and(|own| common.is_some_and(|c| c != own));
            object.facts.rpath.is_some() || own
        };
        let special: Vec<Object> = self.objects.iter().filter(is_special).cloned().collect();
        for object in special {
            collector.interrupt.check()?;
            let Some(loader) = self.loader_of(&object) else { continue };
            let probe = |path: &Path| self.probe.facts(path);
            let has_directory = |path: &Path| self.probe.has_directory(path);
            let search = self.search_with(loader, &probe, &has_directory);
            for found in search.load(object.clone()).objects {
                let name = found.path.file_name().unwrap_or_default().to_owned();
                if wanted.contains(&*name) {
                    self.pack(collector, &found.path, &name, &object.path)?;
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

/// Whether a file is worth opening: reading a header fetches a whole file on some file systems.
fn may_be_elf(path: &Path, mode: u16) -> bool {
    mode & 0o111 != 0 || path.file_name().is_some_and(is_library_name)
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
