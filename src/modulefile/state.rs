//! What an evaluation has done so far: variables, module table, frames, and how to undo a frame.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;

use crate::environment::{Change, Operation, Variable, Variables};

use super::naming::Name;
use super::rules::{self, Rules};
use super::source_sh::ShellChange;
use super::{Command, Message};

/// Whether modulefiles are being loaded or undone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// Functions do what they say.
    #[default]
    Load,
    /// Functions undo what they did.
    Unload,
}

/// Where a module of the table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Loaded.
    Active,
    /// Being loaded or unloaded.
    Pending,
    /// Was loaded, and `MODULEPATH` has it no longer.
    Inactive,
}

/// A module of the table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) full_name: String,
    pub(super) user_name: String,
    pub(super) file: PathBuf,
    pub(super) status: Status,
    /// Completion order; negative while inactive.
    pub(super) order: i64,
    pub(super) stack_depth: u32,
    pub(super) reference_count: Option<i64>,
    pub(super) weight: String,
    pub(super) properties: BTreeMap<String, BTreeSet<String>>,
    pub(super) families: Vec<String>,
    /// Short names, each with the number of those before it.
    pub(super) dependencies: BTreeMap<String, usize>,
    pub(super) whatis: Vec<String>,
    pub(super) help: Option<String>,
    /// What `source_sh` of each script amounts to, for undoing.
    pub(super) scripts: BTreeMap<String, Rc<[ShellChange]>>,
    /// Files that `inherit` went to, for undoing.
    pub(super) inherited: Vec<PathBuf>,
    /// What `depends_on_any` chose.
    pub(super) any_chosen: Vec<String>,
    /// Names with which this module does not go together.
    pub(super) conflicts: Vec<Name>,
}

/// A modulefile being evaluated.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) short_name: String,
    pub(super) full_name: String,
    pub(super) version: Option<String>,
    pub(super) user_name: String,
    /// Whether it was named without the dots that hide it.
    pub(super) undotted: bool,
    pub(super) file: PathBuf,
    serial: u64,
    journal: usize,
    changes: usize,
}

/// How things stood before a frame changed them.
#[derive(Debug)]
enum Undo {
    /// To this mark of its own; `None` if it was not in use.
    Variable(String, Option<usize>),
    Stack(String, Option<Vec<Option<String>>>),
    Module(String, Option<Box<Entry>>),
    Family(String, Option<String>),
    ModulepathChanged(bool),
}

/// Something with the frame for which the journal knows how it was.
#[derive(Debug, Clone)]
struct Tracked<T> {
    value: T,
    saved: u64,
}

impl<T> Tracked<T> {
    fn unsaved(value: T) -> Self {
        Self { value, saved: 0 }
    }
}

/// A family member to replace.
#[derive(Debug, Clone)]
pub(super) struct FamilySwap {
    pub(super) old: String,
    pub(super) new: String,
    pub(super) new_full_name: String,
    pub(super) new_user_name: String,
}

/// All that changes in the course of an evaluation.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The environment as commands and `os.getenv` see it, but for the `stale` variables.
    environment: Variables,
    variables: BTreeMap<String, Tracked<Variable>>,
    stale: BTreeSet<String>,
    /// What has changed in `environment` since it was last asked for that.
    touched: BTreeSet<String>,
    stacks: BTreeMap<String, Vec<Option<String>>>,
    modules: BTreeMap<String, Tracked<Entry>>,
    families: BTreeMap<String, String>,
    pub(super) modulepath_changed: bool,
    order: i64,
    pub(super) frames: Vec<Frame>,
    serial: u64,
    journal: Vec<Undo>,
    pub(super) mode: Mode,
    changes: Vec<Change>,
    pub(super) messages: Vec<Message>,
    pub(super) commands: Vec<Command>,
    pub(super) unpinned: Vec<String>,
    pub(super) files_read: BTreeSet<PathBuf>,
    /// What must be active in the end, by the name asked for, with the depth of the request.
    pub(super) requested: BTreeMap<String, (Name, usize)>,
    /// Names not found yet.
    pub(super) queue: VecDeque<Name>,
    pub(super) queue_loads: u32,
    /// Nothing has become loadable since the last look.
    pub(super) same: bool,
    pub(super) family_swaps: Vec<FamilySwap>,
    pub(super) swapping: u32,
    /// Sticky modules that were unloaded: user name and file.
    pub(super) sticky: Vec<(String, PathBuf)>,
}

impl State {
    pub(super) fn new(environment: Variables) -> Self {
        Self { environment, serial: 1, same: true, ..Self::default() }
    }

    /// Full name of the module whose modulefile runs; empty outside of any.
    pub(super) fn origin(&self) -> String {
        self.frames.last().map(|frame| frame.full_name.clone()).unwrap_or_default()
    }

    pub(super) fn push_frame(&mut self, name: &Name) {
        let resolved = name.resolved.clone().unwrap_or_default();
        self.serial += 1;
        self.frames.push(Frame {
            full_name: resolved.full_name(),
            short_name: resolved.short_name,
            version: resolved.version,
            user_name: name.user.clone(),
            undotted: resolved.undotted,
            file: resolved.file.unwrap_or_default(),
            serial: self.serial,
            journal: self.journal.len(),
            changes: self.changes.len(),
        });
    }

    pub(super) fn pop_frame(&mut self) {
        self.frames.pop();
        if self.frames.is_empty() {
            for undo in std::mem::take(&mut self.journal) {
                if let Undo::Variable(name, _) = undo
                    && let Some(tracked) = self.variables.get_mut(&name)
                {
                    tracked.value.settle();
                }
            }
        }
    }

    /// The innermost frame; 0 outside of any.
    fn serial(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.serial)
    }

    /// Undoes what the innermost frame did. The environment that commands see keeps it, as Lmod's.
    pub(super) fn roll_back(&mut self) {
        self.refresh_environment();
        let Some(frame) = self.frames.last() else { return };
        let (journal, changes) = (frame.journal, frame.changes);
        for undo in self.journal.split_off(journal).into_iter().rev() {
            match undo {
                Undo::Variable(name, None) => drop(self.variables.remove(&name)),
                Undo::Variable(name, Some(mark)) => {
                    if let Some(tracked) = self.variables.get_mut(&name) {
                        tracked.value.undo_to(mark);
                        tracked.saved = 0;
                    }
                }
                Undo::Stack(name, old) => restore(&mut self.stacks, name, old),
                Undo::Module(name, old) => {
                    restore(&mut self.modules, name, old.map(|entry| Tracked::unsaved(*entry)));
                }
                Undo::Family(name, old) => restore(&mut self.families, name, old),
                Undo::ModulepathChanged(old) => self.modulepath_changed = old,
            }
        }
        self.changes.truncate(changes);
    }

    fn record(&mut self, undo: impl FnOnce(&Self) -> Undo) {
        if !self.frames.is_empty() {
            let undo = undo(self);
            self.journal.push(undo);
        }
    }

    // ---- variables

    /// The value that `os.getenv` gives.
    pub(super) fn getenv(&mut self, name: &str) -> Option<String> {
        self.refresh(name);
        self.environment.get(name).cloned()
    }

    /// Sets a variable for this evaluation's eyes only (`posix.setenv`).
    pub(super) fn set_private(&mut self, name: &str, value: Option<&str>) {
        self.stale.remove(name);
        restore(&mut self.environment, name.to_owned(), value.map(str::to_owned));
        self.touched.insert(name.to_owned());
    }

    /// The environment that commands get.
    pub(super) fn environment(&mut self) -> &Variables {
        self.refresh_environment();
        &self.environment
    }

    /// The names whose values may have changed since this was last asked.
    pub(super) fn take_touched(&mut self) -> BTreeSet<String> {
        self.refresh_environment();
        std::mem::take(&mut self.touched)
    }

    /// Makes [`Self::take_touched`] name every variable.
    pub(super) fn touch_all(&mut self) {
        self.touched = self.environment.keys().cloned().collect();
    }

    fn refresh_environment(&mut self) {
        for name in self.stale.clone() {
            self.refresh(&name);
        }
    }

    fn refresh(&mut self, name: &str) {
        if !self.stale.remove(name) {
            return;
        }
        let value = self.variables.get(name).and_then(|tracked| tracked.value.value());
        restore(&mut self.environment, name.to_owned(), value);
        self.touched.insert(name.to_owned());
    }

    /// Lets `edit` change a variable. `delimiter` counts where this is its first use.
    pub(super) fn edit<R>(
        &mut self,
        rules: &Rules,
        name: &str,
        delimiter: &str,
        edit: impl FnOnce(&mut Variable) -> R,
    ) -> R {
        let serial = self.serial();
        let known = self.variables.get(name);
        if known.is_none_or(|tracked| tracked.saved != serial) {
            let mark = known.map(|tracked| tracked.value.mark());
            self.record(|_| Undo::Variable(name.to_owned(), mark));
        }
        let environment = &self.environment;
        let tracked = self.variables.entry(name.to_owned()).or_insert_with(|| {
            let value = environment.get(name).map(String::as_str);
            Tracked::unsaved(Variable::new(name, value, delimiter, rules.list, rules.cleaning()))
        });
        tracked.saved = serial;
        self.stale.insert(name.to_owned());
        let result = edit(&mut tracked.value);
        if serial == 0 {
            tracked.value.settle();
        }
        result
    }

    /// The name stands for an alias or function of the shell from now on. What modulefiles see in
    /// the environment stays, unless that is the first use of the name.
    pub(super) fn define(&mut self, rules: &Rules, name: &str, text: Option<String>) {
        self.refresh(name);
        let known = self.uses(name);
        self.edit(rules, name, ":", |variable| variable.define(text));
        self.stale.remove(name);
        if !known {
            self.set_private(name, None);
        }
    }

    /// Leaves in the environment that modulefiles see what stood there before the last edit.
    pub(super) fn keep_in_environment(&mut self, name: &str) {
        self.stale.remove(name);
    }

    /// Makes a list of the variable, if it is none.
    pub(super) fn make_list(
        &mut self,
        rules: &Rules,
        name: &str,
        delimiter: &str,
        no_duplicates: bool,
    ) {
        if !self.is_list(name) {
            let stored = rules::stored(&self.environment, name);
            let seen = self.getenv(name);
            self.edit(rules, name, delimiter, |variable| {
                if variable.value().is_none() {
                    variable.set(seen);
                }
                variable.make_list(no_duplicates, &stored);
            });
        }
    }

    /// Whether the variable was used as a list in this evaluation.
    pub(super) fn is_list(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|one| one.value.is_list())
    }

    /// Whether the variable was used in this evaluation.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// The elements of `MODULEPATH`.
    pub(super) fn modulepath(&self) -> Vec<String> {
        self.variables.get("MODULEPATH").map_or_else(Vec::new, |one| one.value.elements())
    }

    /// Notes that `MODULEPATH` has changed.
    pub(super) fn modulepath_has_changed(&mut self) {
        self.record(|state| Undo::ModulepathChanged(state.modulepath_changed));
        self.modulepath_changed = true;
    }

    /// The values that `pushenv` has put aside for a variable, newest first.
    pub(super) fn stack(&self, name: &str) -> Option<&Vec<Option<String>>> {
        self.stacks.get(name)
    }

    pub(super) fn set_stack(&mut self, name: &str, stack: Vec<Option<String>>) {
        self.record(|state| Undo::Stack(name.to_owned(), state.stacks.get(name).cloned()));
        self.stacks.insert(name.to_owned(), stack);
    }

    /// Notes a change for the record.
    pub(super) fn note(&mut self, variable: &str, operation: Operation) {
        let origin = self.origin();
        self.changes.push(Change { origin, variable: variable.to_owned(), operation });
    }

    /// Takes over a value that a text of `origin` has given a variable in a shell.
    pub(super) fn set_from_shell(
        &mut self,
        rules: &Rules,
        origin: &str,
        name: &str,
        value: Option<String>,
    ) {
        let operation = value.clone().map_or(Operation::Unset, Operation::Set);
        self.edit(rules, name, ":", |variable| variable.set(value));
        let (origin, variable) = (origin.to_owned(), name.to_owned());
        self.changes.push(Change { origin, variable, operation });
    }

    /// Names of variables that have been used and are set, and whether each is a list.
    pub(super) fn set_names(&self) -> impl Iterator<Item = (&String, bool)> {
        let set = self.variables.iter().filter(|(_, tracked)| tracked.value.value().is_some());
        set.map(|(name, tracked)| (name, tracked.value.is_list()))
    }

    /// Final values of all variables used, and the changes.
    pub(super) fn take_results(&mut self) -> (BTreeMap<String, Option<String>>, Vec<Change>) {
        let values = self
            .variables
            .iter()
            .filter(|(_, tracked)| !tracked.value.is_definition())
            .map(|(name, tracked)| (name.clone(), tracked.value.value()))
            .collect();
        (values, std::mem::take(&mut self.changes))
    }

    // ---- module table

    pub(super) fn module(&self, short_name: &str) -> Option<&Entry> {
        self.modules.get(short_name).map(|tracked| &tracked.value)
    }

    pub(super) fn modules(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.modules.iter().map(|(name, tracked)| (name, &tracked.value))
    }

    pub(super) fn status(&self, short_name: &str) -> Option<Status> {
        self.module(short_name).map(|entry| entry.status)
    }

    /// Whether the module is loaded.
    pub(super) fn is_active(&self, short_name: &str) -> bool {
        self.status(short_name) == Some(Status::Active)
    }

    pub(super) fn set_module(&mut self, short_name: &str, entry: Option<Entry>) {
        let saved = self.serial();
        let old = match entry {
            Some(value) => self.modules.insert(short_name.to_owned(), Tracked { value, saved }),
            None => self.modules.remove(short_name),
        };
        if old.as_ref().is_none_or(|old| old.saved != saved)
            || !self.modules.contains_key(short_name)
        {
            let old = old.map(|old| Box::new(old.value));
            self.record(|_| Undo::Module(short_name.to_owned(), old));
        }
    }

    /// Lets `edit` change a module of the table, if it is there.
    pub(super) fn edit_module(&mut self, short_name: &str, edit: impl FnOnce(&mut Entry)) {
        let serial = self.serial();
        let Some(tracked) = self.modules.get_mut(short_name) else { return };
        // Of a module with a thousand dependencies there is not a copy for each of them.
        if std::mem::replace(&mut tracked.saved, serial) != serial && serial != 0 {
            let old = Some(Box::new(tracked.value.clone()));
            self.journal.push(Undo::Module(short_name.to_owned(), old));
        }
        edit(&mut tracked.value);
    }

    /// The module has been evaluated.
    pub(super) fn activate(&mut self, short_name: &str) {
        self.order += 1;
        let order = self.order;
        self.edit_module(short_name, |entry| {
            entry.status = Status::Active;
            entry.order = order;
        });
    }

    /// Short names of modules that are not pending, active ones in load order, then inactive ones.
    pub(super) fn in_order(&self) -> Vec<String> {
        let mut listed: Vec<(bool, i64, &str, &String)> = self
            .modules()
            .filter(|(_, entry)| entry.status != Status::Pending)
            .map(|(name, entry)| {
                (entry.order <= 0, entry.order.abs(), entry.user_name.as_str(), name)
            })
            .collect();
        listed.sort();
        listed.into_iter().map(|(.., name)| name.clone()).collect()
    }

    pub(super) fn family(&self, family: &str) -> Option<&String> {
        self.families.get(family)
    }

    pub(super) fn set_family(&mut self, family: &str, member: Option<&str>) {
        self.record(|state| Undo::Family(family.to_owned(), state.families.get(family).cloned()));
        restore(&mut self.families, family.to_owned(), member.map(str::to_owned));
    }
}

fn restore<T>(map: &mut BTreeMap<String, T>, key: String, value: Option<T>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}
