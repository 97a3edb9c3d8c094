//! ELF files find what loads them, their libraries, and the versions of symbols in these.
//!
//! Each program is loaded as its own `ld.so` would. A library that no program loads at its start is
//! opened by one that runs already: it may rely on what that has loaded, so it lacks only what
//! nothing in the image goes by the name of.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::view::View;
use super::{Check, Finding, MEND_LOST, MEND_MISSING, Severity, preload, text, versions};
use crate::base::Interrupted;
use crate::closure::{is_driver, parallel};
use crate::elf::{
    Architecture, ElfFacts, Kind, Loader, Look, Object, Process, Search, is_library_name,
    library_path,
};
use crate::rootfs::{FileId, Node};

/// Files that a finding names as those that need it.
const NAMED: usize = 3;
/// No loader and no cache of one has more bytes.
const LONGEST_LOADER: u64 = 64 << 20;

/// What is wrong with a file, and for which program.
struct Lack {
    finding: Finding,
    program: PathBuf,
}

/// What is known of the whole image.
pub(super) struct Image<'a, 's> {
    pub(super) view: &'a View<'s>,
    library_path: Vec<PathBuf>,
    /// The first name of each file.
    first_names: BTreeMap<FileId, &'a Path>,
    /// By interpreter.
    loaders: BTreeMap<PathBuf, Loader>,
    /// The commonest one of each architecture.
    common: BTreeMap<Architecture, PathBuf>,
    /// Names by which something can be loaded, and the versions that it defines.
    names: BTreeMap<OsString, BTreeSet<OsString>>,
    /// Names of what programs load at their start.
    loaded: BTreeSet<OsString>,
    /// Where libraries are, by their names.
    places: BTreeMap<OsString, Vec<PathBuf>>,
}

/// What ELF files lack.
pub(super) fn check(view: &View<'_>) -> Result<Vec<Finding>, Interrupted> {
    let mut objects = Vec::new();
    let mut findings = Vec::new();
    for (path, id) in &view.candidates {
        match view.look(*id) {
            Some(Look::Elf(facts)) if facts.dynamic && facts.kind != Kind::Other => {
                objects.push(Object { path: path.clone(), facts: Arc::clone(facts) });
            }
            Some(Look::Damaged(why) | Look::Unreadable(why)) => findings.push(Finding {
                severity: Severity::Warning,
                path: path.clone(),
                check: Check::Elf,
                need: String::new(),
                what: why.clone(),
                needed_by: Vec::new(),
                mend: String::new(),
            }),
            _ => {}
        }
    }
    let mut image = Image::new(view, &objects);
    findings.extend(preload::check(&image));
    let (programs, libraries): (Vec<_>, Vec<_>) =
        objects.into_iter().partition(|object| object.interpreter().is_some());
    let interrupt = view.subject.interrupt;
    let checked = parallel::map(&programs, interrupt, |program| image.check_program(program))?;
    let mut lacks = Vec::new();
    let mut proven: BTreeSet<PathBuf> = BTreeSet::new();
    for (lack, loaded) in checked {
        lacks.extend(lack);
        proven.extend(loaded);
    }
    image.note_loaded(&proven);
    // of libraries that programs load all is known
    let is_proven = |library: &&Object| {
        image.real_path(&library.path).is_some_and(|path| proven.contains(&path))
    };
    let rest: Vec<_> = libraries.iter().filter(|library| !is_proven(library)).collect();
    let checked = parallel::map(&rest, interrupt, |library| image.check_plugin(library))?;
    lacks.extend(checked.into_iter().flatten());
    findings.extend(merged(image.by_names(lacks)));
    Ok(findings)
}

/// Each lack once, with some of the programs that suffer from it.
fn merged(lacks: Vec<Lack>) -> Vec<Finding> {
    let mut by_finding: BTreeMap<Finding, BTreeSet<PathBuf>> = BTreeMap::new();
    for Lack { finding, program } in lacks {
        let users = by_finding.entry(finding).or_default();
        users.insert(program);
    }
    let with_users = |(finding, users): (Finding, BTreeSet<PathBuf>)| {
        let others = users.into_iter().filter(|user| *user != finding.path);
        Finding { needed_by: others.take(NAMED).collect(), ..finding }
    };
    by_finding.into_iter().map(with_users).collect()
}

impl<'a, 's> Image<'a, 's> {
    fn new(view: &'a View<'s>, objects: &[Object]) -> Self {
        let read = |path: &Path| view.subject.contents.bytes(view.file(path)?, LONGEST_LOADER);
        let mut votes: BTreeMap<(Architecture, &Path), usize> = BTreeMap::new();
        for object in objects {
            if let Some(interpreter) = object.interpreter() {
                *votes.entry((object.facts.architecture, interpreter)).or_default() += 1;
            }
        }
        let mut votes: Vec<_> = votes.into_iter().collect();
        votes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut common = BTreeMap::new();
        let mut loaders = BTreeMap::new();
        for ((architecture, interpreter), _) in votes {
            if view.file(interpreter).is_some() {
                common.entry(architecture).or_insert_with(|| interpreter.to_owned());
            }
            let loader = || Loader::new(interpreter, &read);
            loaders.entry(interpreter.to_owned()).or_insert_with(loader);
        }
        let list = view.subject.environment.get("LD_LIBRARY_PATH").map(String::as_str);
        let library_path = library_path(list.unwrap_or_default());
        let mut first_names: BTreeMap<FileId, &Path> = BTreeMap::new();
        for (path, id) in &view.candidates {
            first_names.entry(*id).or_insert(path);
        }
        let mut places: BTreeMap<OsString, Vec<PathBuf>> = BTreeMap::new();
        for object in objects {
            for name in names_of(object) {
                places.entry(name).or_default().push(object.path.clone());
            }
        }
        let names = names(view, objects);
        Self {
            view,
            library_path,
            first_names,
            loaders,
            common,
            names,
            loaded: BTreeSet::new(),
            places,
        }
    }

    /// `lacks`, those of a file that another name of it does not suffer from as warnings: what
    /// stands for `$ORIGIN` differs from name to name.
    fn by_names(&self, mut lacks: Vec<Lack>) -> Vec<Lack> {
        let suffering: BTreeSet<&Path> = lacks.iter().map(|lack| lack.program.as_path()).collect();
        let mut sound: BTreeMap<FileId, &Path> = BTreeMap::new();
        for (path, id) in &self.view.candidates {
            if !suffering.contains(path.as_path()) {
                sound.insert(*id, path);
            }
        }
        let sound: BTreeMap<PathBuf, &Path> = lacks
            .iter()
            .filter_map(|lack| {
                let other = sound.get(&self.view.file(&lack.program)?)?;
                Some((lack.program.clone(), *other))
            })
            .collect();
        for lack in &mut lacks {
            if let Some(other) = sound.get(&lack.program)
                && lack.finding.severity == Severity::Error
                && lack.finding.mend != MEND_LOST
            {
                let finding = &mut lack.finding;
                finding.severity = Severity::Warning;
                finding.mend.clear();
                let other = text(other);
                finding.what = format!("{} (its other name `{other}` finds all)", finding.what);
            }
        }
        lacks
    }

    fn search_with<'b>(
        &'b self,
        loader: &'b Loader,
        probe: &'b dyn Fn(&Path) -> Option<Arc<ElfFacts>>,
        has_directory: &'b dyn Fn(&Path) -> bool,
    ) -> Search<'b> {
        Search { loader, library_path: &self.library_path, probe, has_directory }
    }

    /// Whether any program, whose own search path is not asked, finds the library `name`.
    pub(super) fn finds(&self, name: &OsStr) -> bool {
        let probe = |path: &Path| self.view.elf(path);
        self.common.iter().any(|(architecture, interpreter)| {
            let Some(loader) = self.loaders.get(interpreter) else { return false };
            let has_directory = |path: &Path| self.view.may_have(path);
            let search = self.search_with(loader, &probe, &has_directory);
            search.find(name, &[&Object::nameless(*architecture)]).is_some()
        })
    }

    /// What the program lacks, and the libraries that it loads.
    fn check_program(&self, program: &Object) -> (Vec<Lack>, Vec<PathBuf>) {
        let Some(interpreter) = program.interpreter() else { return Default::default() };
        let mut lacks = Vec::new();
        let lack = |finding| Lack { finding, program: program.path.clone() };
        let loader = self.loaders.get(interpreter).filter(|_| self.view.has_program(interpreter));
        let Some(loader) = loader else {
            // what is for another kind of machine is data here
            let foreign =
                !self.common.contains_key(&program.facts.architecture) && !self.common.is_empty();
            let severity = if foreign { Severity::Warning } else { Severity::Error };
            let need = interpreter.as_os_str();
            let path = &program.path;
            let finding = self.view.absent(Check::Interpreter, path, need, interpreter, severity);
            lacks.push(lack(finding));
            return (lacks, Vec::new());
        };
        let (process, lost) = self.load(loader, program);
        for (asked, at) in lost {
            lacks.push(lack(lost_library(&process, program, &asked, &at)));
        }
        for missing in &process.missing {
            if !lacks.iter().any(|lack| missing.name == *lack.finding.need) {
                lacks.push(lack(self.missing(loader, &process, program, missing)));
            }
        }
        for finding in versions::check(loader, &process, None) {
            lacks.push(lack(finding));
        }
        let paths = process.objects.into_iter().skip(1);
        // by the path that the list of libraries has it under
        let real = paths.filter_map(|object| self.real_path(&object.path));
        (lacks, real.collect())
    }

    /// The first name of the file at `path`.
    fn real_path(&self, path: &Path) -> Option<PathBuf> {
        self.first_names.get(&self.view.file(path)?).map(|path| (*path).to_owned())
    }

    /// Notes which libraries programs load at their start.
    fn note_loaded(&mut self, loaded: &BTreeSet<PathBuf>) {
        for path in loaded {
            let soname = self.view.elf(path).and_then(|facts| facts.soname.clone());
            self.loaded.extend(soname.into_iter().chain(path.file_name().map(OsStr::to_owned)));
        }
    }

    /// The finding for a library that is in the image, but where nothing looks for it: neither in
    /// the installation of the library that needs it, nor loaded by any program.
    fn out_of_reach(&self, library: &Object, name: &OsStr) -> Option<Finding> {
        if self.loaded.contains(name) {
            return None;
        }
        let modules = self.view.subject.modules.iter();
        let home = modules
            .flat_map(|module| &module.prefixes)
            .find(|prefix| library.path.starts_with(prefix))?;
        let places = self.places.get(name)?;
        let place = places.first()?;
        if places.iter().any(|place| place.starts_with(home)) {
            return None;
        }
        let need = name.to_string_lossy().into_owned();
        Some(Finding {
            severity: Severity::Warning,
            path: library.path.clone(),
            check: Check::Library,
            what: format!(
                "the library `{need}` is there as `{}`, where neither this file nor any program looks for it",
                text(place)
            ),
            need,
            needed_by: Vec::new(),
            mend: "load the module that sets LD_LIBRARY_PATH to it, if the plug-in is used"
                .to_owned(),
        })
    }

    /// What a library lacks that no program loads at its start.
    fn check_plugin(&self, library: &Object) -> Vec<Lack> {
        let loader = self.common.get(&library.facts.architecture);
        // nothing in the image starts programs of this architecture
        let Some(loader) = loader.and_then(|path| self.loaders.get(path)) else {
            return Vec::new();
        };
        let lack = |finding| Lack { finding, program: library.path.clone() };
        let (process, lost) = self.load(loader, library);
        let mut lacks: Vec<_> = lost
            .iter()
            .map(|(asked, at)| lack(lost_library(&process, library, asked, at)))
            .collect();
        for missing in &process.missing {
            let said = lacks.iter().any(|lack| missing.name == *lack.finding.need);
            if said {
                continue;
            }
            if !self.names.contains_key(&missing.name) {
                lacks.push(lack(self.missing(loader, &process, library, missing)));
            } else if missing.object == library.path {
                let tried = self.tried(loader, &process, library, missing);
                let excluded = self.excluded(&tried, missing);
                let finding = excluded.or_else(|| self.out_of_reach(library, &missing.name));
                lacks.extend(finding.map(lack));
            }
        }
        lacks.extend(versions::check(loader, &process, Some(&self.names)).into_iter().map(lack));
        lacks
    }

    /// What `ld.so` loads for `program`, and the paths at which it would find something had the
    /// image not lost it, with what was lost.
    fn load(&self, loader: &Loader, program: &Object) -> (Process, BTreeMap<PathBuf, PathBuf>) {
        let lost = RefCell::new(BTreeMap::new());
        let probe = |path: &Path| -> Option<Arc<ElfFacts>> {
            let found = self.view.elf(path);
            if found.is_none()
                && let Some(at) = self.view.lost(path)
            {
                lost.borrow_mut().insert(path.to_owned(), at);
            }
            found
        };
        let has_directory = |path: &Path| self.view.may_have(path);
        let search = self.search_with(loader, &probe, &has_directory);
        let process = search.load(program.clone());
        (process, lost.into_inner())
    }

    /// The finding for a library that was not found.
    fn missing(
        &self,
        loader: &Loader,
        process: &Process,
        program: &Object,
        missing: &crate::elf::Missing,
    ) -> Finding {
        let name = missing.name.to_string_lossy().into_owned();
        let finding = |severity, what: String, mend: &str| Finding {
            severity,
            path: missing.object.clone(),
            check: Check::Library,
            need: name.clone(),
            what,
            needed_by: Vec::new(),
            mend: mend.to_owned(),
        };
        if is_driver(missing.name.as_bytes()) {
            let what = format!("the library `{name}` is a driver of the machine that it runs on");
            return finding(Severity::Expected, what, "");
        }
        let tried = self.tried(loader, process, program, missing);
        self.excluded(&tried, missing).unwrap_or_else(|| {
            let places = tried.len();
            let what = format!("the library `{name}` is in none of the {places} places searched");
            finding(Severity::Error, what, MEND_MISSING)
        })
    }

    /// Where a library was looked for.
    fn tried(
        &self,
        loader: &Loader,
        process: &Process,
        program: &Object,
        missing: &crate::elf::Missing,
    ) -> BTreeSet<PathBuf> {
        let tried = RefCell::new(BTreeSet::new());
        let probe = |path: &Path| {
            tried.borrow_mut().insert(path.to_owned());
            None
        };
        let search = self.search_with(loader, &probe, &|path| !path.ends_with("glibc-hwcaps"));
        let object = process.objects.iter().find(|object| object.path == missing.object);
        let chain: Vec<&Object> = object.into_iter().chain([program]).collect();
        let none = search.find(&missing.name, &chain);
        debug_assert!(none.is_none(), "the probe finds nothing");
        tried.into_inner()
    }

    /// The finding if the user left out what is `missing` in one of the places where it was `tried`.
    fn excluded(
        &self,
        tried: &BTreeSet<PathBuf>,
        missing: &crate::elf::Missing,
    ) -> Option<Finding> {
        tried.iter().find(|path| self.view.is_excluded(path))?;
        let name = missing.name.to_string_lossy().into_owned();
        Some(Finding {
            severity: Severity::Warning,
            path: missing.object.clone(),
            check: Check::Library,
            what: format!("the library `{name}` was left out on request"),
            need: name,
            needed_by: Vec::new(),
            mend: String::new(),
        })
    }
}

/// The finding for a library that would be found at `asked` had the image not lost `at`.
fn lost_library(process: &Process, program: &Object, asked: &Path, at: &Path) -> Finding {
    let name = asked.file_name().unwrap_or_default();
    let needs = |object: &&Object| {
        let of_name = |need: &OsString| Path::new(need).file_name() == Some(name);
        object.facts.needed.iter().any(of_name)
    };
    let user = process.objects.iter().find(needs).unwrap_or(program);
    Finding {
        severity: Severity::Error,
        path: user.path.clone(),
        check: Check::Library,
        need: name.to_string_lossy().into_owned(),
        what: format!("the library `{}` is gone: the image's list has it", text(at)),
        needed_by: Vec::new(),
        mend: MEND_LOST.to_owned(),
    }
}

/// The names of a library: its own, and its file's.
fn names_of(object: &Object) -> BTreeSet<OsString> {
    let own = [object.facts.soname.as_deref(), object.path.file_name()];
    own.into_iter().flatten().map(OsStr::to_owned).collect()
}

/// The names by which libraries can be loaded, with the versions that these define.
fn names(view: &View<'_>, objects: &[Object]) -> BTreeMap<OsString, BTreeSet<OsString>> {
    let mut names: BTreeMap<OsString, BTreeSet<OsString>> = BTreeMap::new();
    for object in objects {
        for name in names_of(object) {
            let versions = names.entry(name).or_default();
            versions.extend(object.facts.defined_versions.iter().cloned());
        }
    }
    for (link, _) in &view.links {
        let name = link.file_name().unwrap_or_default();
        let leads_there = || {
            let found = view.subject.rootfs.resolve(link.as_os_str().as_bytes());
            matches!(found, crate::rootfs::Resolved::Found(Some(Node::File(_))))
        };
        if is_library_name(name) && !names.contains_key(name) && leads_there() {
            names.insert(name.to_owned(), BTreeSet::new());
        }
    }
    names
}
