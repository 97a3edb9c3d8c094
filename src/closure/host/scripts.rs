//! Interpreters of the scripts that are packed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Place, interpreters};
use crate::closure::collect::Collector;
use crate::closure::libraries::Needs;
use crate::closure::refusal::Why;
use crate::closure::scope::{LARGEST_INSTALLATION, Scope};
use crate::closure::{Cause, ClosureError, Reason, Request};
use crate::elf::Shebang;
use crate::rootfs::Content;

/// The search for interpreters as it goes on.
#[derive(Debug)]
pub(in crate::closure) struct Scripts<'a> {
    /// Where `env` looks.
    path: Vec<PathBuf>,
    scope: &'a Scope<'a>,
    /// Where interpreters are taken from besides the stack.
    places: Vec<Place>,
    /// Files of the plan that were looked at.
    seen: usize,
    /// Interpreters that were dealt with.
    known: BTreeSet<Interpreter>,
}

/// What the first line of a script asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Interpreter {
    /// A program by its path.
    At(PathBuf),
    /// A program that `env` looks for.
    Named(PathBuf),
}

impl<'a> Scripts<'a> {
    /// The search for interpreters that these places, or the stack, have.
    pub(in crate::closure) fn new(
        request: &Request<'_>,
        scope: &'a Scope<'a>,
        places: Vec<Place>,
    ) -> Self {
        let system = ["/usr/bin", "/bin"].map(PathBuf::from);
        Self {
            path: request.path.iter().cloned().chain(system).collect(),
            scope,
            places,
            seen: 0,
            known: BTreeSet::new(),
        }
    }

    /// Adds the interpreters of scripts that joined the plan since the last time. `looked` has
    /// seen what each begins with.
    pub(in crate::closure) fn add(
        &mut self,
        collector: &mut Collector<'_>,
        looked: &Needs<'_>,
    ) -> Result<(), ClosureError> {
        let files = collector.rootfs.files().get(self.seen..).unwrap_or_default();
        self.seen = collector.rootfs.files().len();
        let programs: Vec<_> = files
            .iter()
            .filter(|file| file.metadata.mode & 0o111 != 0)
            .filter_map(|file| match &file.content {
                Content::Host(path) => Some(path.clone()),
                _ => None,
            })
            .collect();
        self.add_libraries(collector, &programs)?;
        // by the first script that asks for it
        let mut new: BTreeMap<Interpreter, PathBuf> = BTreeMap::new();
        for path in &programs {
            for interpreter in looked.script(path).iter().flat_map(interpreters_of) {
                if !self.known.contains(&interpreter) {
                    new.entry(interpreter).or_insert_with(|| path.clone());
                }
            }
        }
        for (interpreter, script) in &new {
            collector.interrupt.check()?;
            self.add_interpreter(collector, interpreter, script)?;
        }
        self.known.extend(new.into_keys());
        Ok(())
    }

    fn add_interpreter(
        &self,
        collector: &mut Collector<'_>,
        interpreter: &Interpreter,
        script: &Path,
    ) -> Result<(), ClosureError> {
        let program = match interpreter {
            Interpreter::At(path) => Some(path.clone()),
            Interpreter::Named(name) => self.find(collector, name),
        };
        let Some(program) = program.filter(|program| program.is_file()) else { return Ok(()) };
        let of_site = |site: &PathBuf| program.starts_with(site);
        let there_already = collector.holds(&program) || collector.is_beneath(&program);
        // a link to what is packed is something new, too
        if !collector.has(&program) && !collector.is_beneath(&program) {
            if let Some(why) = self.scope.refuses_program(&program) {
                self.scope.refusals.note(&program, why, Some(script));
                return Ok(());
            }
            if !there_already && collector.site_directories().iter().any(of_site) {
                return Ok(());
            }
        }
        if !there_already && let Some(installation) = self.scope.installation_of(&program) {
            return self.add_installation(collector, &program, &installation, script);
        }
        let mut places = self.places.iter();
        let Some(place) = places.find(|place| program.starts_with(place.root())) else {
            return Ok(());
        };
        let name = program.file_name().unwrap_or_default().to_owned();
        let user = collector.place(script);
        let reason: Reason = if place.is_layer() {
            Cause::Script(user).into()
        } else {
            Cause::BaseScript { name, user }.into()
        };
        if !collector.add(&program, &reason)? {
            return Ok(());
        }
        let Ok(real) = std::fs::canonicalize(&program) else { return Ok(()) };
        // an interpreter that a module brings has its library with it
        if !there_already || place.is_own(&real) {
            add_library(collector, &real, place)?;
        }
        Ok(())
    }

    /// Adds the standard libraries of interpreters of layers among `programs`, whatever these are
    /// packed for.
    fn add_libraries(
        &self,
        collector: &mut Collector<'_>,
        programs: &[PathBuf],
    ) -> Result<(), ClosureError> {
        for place in self.places.iter().filter(|place| place.is_layer()) {
            for program in programs.iter().filter(|program| place.is_own(program)) {
                let is_in_bin = program.parent().is_some_and(|parent| parent.ends_with("bin"));
                if is_in_bin && interpreters::is_interpreter(program) {
                    add_library(collector, program, place)?;
                }
            }
        }
        Ok(())
    }

    /// Adds the interpreter `program` of a script with the installation that it lies in: its
    /// library lies there, too.
    fn add_installation(
        &self,
        collector: &mut Collector<'_>,
        program: &Path,
        installation: &Path,
        script: &Path,
    ) -> Result<(), ClosureError> {
        let found = collector.survey(installation, &mut Vec::new())?;
        let bytes = found.iter().map(|found| found.bytes).sum::<u64>();
        if bytes > LARGEST_INSTALLATION {
            self.scope.refusals.note(program, Why::TooLarge, Some(script));
            return Ok(());
        }
        let reason: Reason = Cause::Script(collector.place(script)).into();
        // it lies outside of a layer
        collector.confined(None, |collector| {
            collector.add(installation, &reason)?;
            collector.add(program, &reason)
        })?;
        Ok(())
    }

    /// The program that `env` means by `name`. One in a person's directory is taken only if it is
    /// packed: it is not the modules'.
    fn find(&self, collector: &Collector<'_>, name: &Path) -> Option<PathBuf> {
        let candidates = self.path.iter().map(|directory| directory.join(name));
        candidates
            .filter(|path| path.is_absolute() && path.is_file())
            .find(|path| !self.scope.is_personal(path) || collector.holds(path))
    }
}

/// Adds the standard library of the interpreter at `program`, links followed.
fn add_library(
    collector: &mut Collector<'_>,
    program: &Path,
    place: &Place,
) -> Result<(), ClosureError> {
    let reason: Reason = Cause::Interpreter(collector.place(program)).into();
    for directory in interpreters::library_directories(program, place) {
        collector.add(&directory, &reason)?;
    }
    Ok(())
}

/// The interpreters that a script asks for: `env` counts as one, too.
fn interpreters_of(shebang: &Shebang) -> Vec<Interpreter> {
    if !shebang.program.is_absolute() {
        return Vec::new();
    }
    let named = shebang.program_of_env().map(|name| {
        if name.is_absolute() { Interpreter::At(name) } else { Interpreter::Named(name) }
    });
    [Interpreter::At(shebang.program.clone())].into_iter().chain(named).collect()
}
