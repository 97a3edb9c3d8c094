//! Loading and unloading, as Lmod's `Hub` and `MainControl` do it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::EvaluationError;
use super::evaluator::Evaluator;
use super::features::Feature;
use super::limits::Signal;
use super::names::Choice;
use super::naming::{Name, Realm};
use super::state::{Entry, Mode, Status};
use super::vm;

/// Queued names that are tried again in one run.
const MOST_QUEUED: u32 = 10;

impl Evaluator<'_> {
    /// The mode in which functions of modulefiles act.
    pub(super) fn mode(&self) -> Mode {
        self.state.borrow().mode
    }

    /// Runs `work` in another mode.
    pub(super) fn in_mode<R>(
        &self,
        mode: Mode,
        work: impl FnOnce() -> mlua::Result<R>,
    ) -> mlua::Result<R> {
        let before = std::mem::replace(&mut self.state.borrow_mut().mode, mode);
        let result = work();
        self.state.borrow_mut().mode = before;
        result
    }

    /// Loads names that must be active in the end.
    pub(super) fn load_for_user(&self, names: &mut [Name]) -> mlua::Result<bool> {
        self.register(names);
        self.load(names)
    }

    pub(super) fn register(&self, names: &[Name]) {
        let mut state = self.state.borrow_mut();
        let depth = state.frames.len();
        for name in names {
            state.requested.insert(name.user.clone(), (name.clone(), depth));
        }
    }

    fn unregister(&self, names: &[Name]) {
        let newer = self.rules.have(Feature::TopStaysRequired);
        let mut state = self.state.borrow_mut();
        for name in names {
            let keep = newer && state.requested.get(&name.user).is_some_and(|(_, at)| *at == 0);
            if !keep {
                state.requested.remove(&name.user);
            }
        }
    }

    /// Loads names in order. Returns whether all are active.
    pub(super) fn load(&self, names: &mut [Name]) -> mlua::Result<bool> {
        self.watch.nested(|| {
            let mut all = true;
            for (at, name) in names.iter_mut().enumerate() {
                all &= self.load_one(name, at)?;
            }
            self.settle()?;
            self.load_queued()?;
            Ok(all)
        })
    }

    fn load_one(&self, name: &mut Name, at: usize) -> mlua::Result<bool> {
        self.look_up(name)?;
        let depth = self.state.borrow().frames.len();
        let Some(resolved) = name.resolved.clone() else {
            // A dependency may turn up later.
            if name.unfit && name.choice == Choice::Latest && !name.depends {
                return Err(self.refuse(format!("no version fits `{}`", name.show())));
            }
            self.not_found(name, at, depth);
            return Ok(if name.unfit { name.depends } else { at > 0 || depth > 0 });
        };
        if self.state.borrow().is_active(&resolved.short_name) {
            self.load_again(name, &resolved.full_name())?;
        } else if let Some(file) = &resolved.file {
            self.load_file(name, file)?;
        }
        let active = self.state.borrow().is_active(&resolved.short_name);
        self.swap_families(&resolved.full_name())?;
        Ok(active || (name.depends && self.rules.have(Feature::CountsDependants)))
    }

    fn not_found(&self, name: &Name, at: usize, depth: usize) {
        let mut chain = self.watch.chain();
        chain.0.push(name.user.clone());
        let mut state = self.state.borrow_mut();
        if self.request.pinned_only && depth > 0 {
            state.requested.remove(&name.user);
            if !state.unpinned.contains(&name.user) {
                state.unpinned.push(name.user.clone());
            }
            return;
        }
        self.asked.borrow_mut().insert(name.user.clone(), chain);
        if !name.unfit && (at > 0 || depth > 0) {
            let mut name = name.clone();
            name.reset();
            state.queue.push_back(name);
        }
    }

    /// The module is loaded, perhaps in another version: unload it, then load it.
    fn load_again(&self, name: &mut Name, full_name: &str) -> mlua::Result<()> {
        let short_name = name.short_name().unwrap_or_default().to_owned();
        let old = {
            let state = self.state.borrow();
            state.module(&short_name).map(|entry| entry.full_name.clone()).unwrap_or_default()
        };
        if self.rules.no_name_swap && old != full_name {
            let message = format!(
                "`{full_name}` cannot be loaded: `{old}` is loaded, and this site does not let \
                 one version replace another"
            );
            return Err(self.refuse(message));
        }
        self.unload_within(&mut [Name::new(Realm::Session, &short_name)])?;
        name.reset();
        let mut again = [name.clone()];
        self.in_mode(Mode::Load, || self.load_for_user(&mut again))?;
        let [again] = again;
        *name = again;
        Ok(())
    }

    fn load_file(&self, name: &Name, file: &Path) -> mlua::Result<()> {
        let Some(resolved) = name.resolved.clone() else { return Ok(()) };
        let (short_name, full_name) = (resolved.short_name.clone(), resolved.full_name());
        if self.is_forbidden(name)? {
            return Err(self.refuse(format!("`{full_name}` may not be loaded at this site")));
        }
        self.state.borrow_mut().push_frame(name);
        self.refuse_upstream_conflict(&short_name, &full_name)?;
        self.state.borrow_mut().set_module(&short_name, Some(pending(name, file)));
        let loaded = self.evaluate_file(&full_name, file)?;
        // A modulefile may have loaded another one of the same name over itself.
        let own = |entry: &Entry| entry.file == file;
        let active = loaded && self.state.borrow().module(&short_name).is_some_and(own);
        if active {
            self.state.borrow_mut().activate(&short_name);
            self.hook_on("load", name)?;
        }
        self.state.borrow_mut().pop_frame();
        Ok(())
    }

    fn refuse_upstream_conflict(&self, short_name: &str, full_name: &str) -> mlua::Result<()> {
        if !(self.rules.downstream_conflicts && self.rules.have(Feature::DownstreamConflicts)) {
            return Ok(());
        }
        let state = self.state.borrow();
        let upstream = state.modules().find(|(name, entry)| {
            *name != short_name
                && entry.status == Status::Active
                && entry.conflicts.iter().any(|one| one.user == short_name || one.user == full_name)
        });
        let upstream = upstream.map(|(_, entry)| entry.full_name.clone());
        drop(state);
        match upstream {
            Some(by) => {
                Err(self.refuse(format!("`{full_name}` conflicts with `{by}`, which is loaded")))
            }
            None => Ok(()),
        }
    }

    /// Evaluates a modulefile in the present mode. Returns false after `LmodBreak`.
    pub(super) fn evaluate_file(&self, full_name: &str, file: &Path) -> mlua::Result<bool> {
        let unloading = self.mode() == Mode::Unload;
        if unloading && !file.is_file() {
            return Ok(true);
        }
        self.tell(Some(self.watch.enter(full_name, file)));
        if !unloading {
            self.watch.count()?;
        }
        let mut text = self.lua_text(full_name, file)?;
        self.decorate(&mut text)?;
        let result = vm::run_modulefile(self, &text);
        let result = match result {
            Ok(()) => Ok(true),
            Err(_) if self.watch.has_ended() => Err(mlua::Error::external(Signal::End)),
            Err(error) if vm::is_break(&error) => Ok(false),
            Err(error) if vm::is_table(&error) => Ok(true),
            Err(error) if unloading && !vm::is_memory(&error) => Ok(true),
            Err(error) => Err(self.watch.end(vm::error(self, &error))),
        };
        self.tell(self.watch.leave());
        result
    }

    /// The Lua of a modulefile.
    fn lua_text(&self, full_name: &str, file: &Path) -> mlua::Result<Vec<u8>> {
        let text = self.read_file(file)?;
        if file.extension().is_some_and(|extension| extension == "lua") {
            return Ok(text);
        }
        let calls = self.tcl_modulefile(full_name, file, &text)?;
        self.watch.set_lines(calls.lines);
        Ok(calls.text.into_bytes())
    }

    /// Replaces members of families, once the newest of them has been evaluated.
    fn swap_families(&self, full_name: &str) -> mlua::Result<()> {
        let swaps = {
            let mut state = self.state.borrow_mut();
            if state.family_swaps.last().is_none_or(|swap| swap.new_full_name != full_name) {
                return Ok(());
            }
            std::mem::take(&mut state.family_swaps)
        };
        for swap in swaps.into_iter().rev() {
            self.state.borrow_mut().swapping += 1;
            let mut both = [&swap.old, &swap.new].map(|name| Name::new(Realm::Session, name));
            self.unload_for_user(&mut both, true)?;
            self.load(&mut [Name::new(Realm::Path, &swap.new_user_name)])?;
            self.state.borrow_mut().swapping -= 1;
        }
        Ok(())
    }

    /// Looks at all loaded modules again where `MODULEPATH` has changed.
    fn settle(&self) -> mlua::Result<()> {
        let due = {
            let mut state = self.state.borrow_mut();
            let due = state.modulepath_changed && state.frames.is_empty() && state.swapping == 0;
            if due {
                state.modulepath_changed = false;
            }
            due
        };
        if due && !self.in_mode(Mode::Load, || self.reload_all())? {
            self.state.borrow_mut().same = false;
        }
        Ok(())
    }

    fn load_queued(&self) -> mlua::Result<()> {
        let mut failed = false;
        loop {
            let name = {
                let mut state = self.state.borrow_mut();
                if state.same || state.queue_loads >= MOST_QUEUED {
                    break;
                }
                let Some(name) = state.queue.pop_front() else { break };
                state.queue_loads += 1;
                name
            };
            failed |= !self.load(&mut [name])?;
        }
        if failed {
            self.state.borrow_mut().same = true;
        }
        Ok(())
    }

    /// Loads modules anew whose names mean another file now. Returns whether nothing changed.
    fn reload_all(&self) -> mlua::Result<bool> {
        let mut same = true;
        let mut seen: Vec<(Name, Entry)> = Vec::new();
        let listed = self.state.borrow().in_order();
        for short_name in listed {
            let Some(entry) = self.state.borrow().module(&short_name).cloned() else { continue };
            let mut old = Name::new(Realm::Session, &entry.user_name);
            self.look_up(&mut old)?;
            if old.resolved.is_none() {
                continue;
            }
            same &= self.reload_one(&short_name, &entry, &mut old)?;
            seen.push((old, entry));
        }
        let mut state = self.state.borrow_mut();
        for (at, (name, entry)) in (1..).zip(seen) {
            let short_name = name.short_name().unwrap_or_default().to_owned();
            if !state.is_active(&short_name) {
                let inactive = Entry { status: Status::Inactive, order: -at, ..entry };
                state.set_module(&short_name, Some(inactive));
            }
        }
        Ok(same)
    }

    fn reload_one(&self, short_name: &str, entry: &Entry, old: &mut Name) -> mlua::Result<bool> {
        let mut new = Name::new(Realm::Path, &entry.user_name);
        new.depends = self.rules.have(Feature::CountsDependants)
            && entry.reference_count.is_some_and(|n| n > 0);
        if !self.state.borrow().is_active(short_name) {
            return Ok(!self.load(&mut [new])?);
        }
        self.look_up(&mut new)?;
        if new.resolved.as_ref().and_then(|one| one.file.as_ref()) == Some(&entry.file) {
            return Ok(true);
        }
        self.unload_within(std::slice::from_mut(old))?;
        new.reset();
        self.look_up(&mut new)?;
        if new.resolved.as_ref().is_none_or(|one| one.file.is_none()) {
            return Ok(true);
        }
        let loaded = self.load(&mut [new])?;
        let file = self.state.borrow().module(short_name).map(|entry| entry.file.clone());
        Ok(!(loaded && file.as_ref() != Some(&entry.file)))
    }

    /// Unloads modules for a modulefile. Returns which of them were there.
    pub(super) fn unload_within(&self, names: &mut [Name]) -> mlua::Result<Vec<bool>> {
        self.unregister(names);
        self.in_mode(Mode::Unload, || self.unload(names))
    }

    /// Unloads modules as the user would; sticky ones come back unless it is done by `force`.
    pub(super) fn unload_for_user(&self, names: &mut [Name], force: bool) -> mlua::Result<()> {
        self.unload_within(names)?;
        if force {
            return Ok(());
        }
        let sticky = self.state.borrow().sticky.clone();
        for (user_name, file) in sticky.into_iter().rev() {
            let mut name = Name::new(Realm::Path, &user_name);
            self.look_up(&mut name)?;
            let now = name.resolved.as_ref().and_then(|resolved| resolved.file.clone());
            if now == Some(file) {
                self.in_mode(Mode::Load, || self.load(&mut [name]))?;
            }
        }
        Ok(())
    }

    fn unload(&self, names: &mut [Name]) -> mlua::Result<Vec<bool>> {
        let mut gone = Vec::new();
        for name in names {
            self.look_up(name)?;
            let Some(resolved) = &name.resolved else {
                gone.push(false);
                continue;
            };
            let (short_name, full_name) = (resolved.short_name.clone(), resolved.full_name());
            let status = self.state.borrow().status(&short_name);
            match status {
                Some(Status::Inactive) => {
                    self.state.borrow_mut().set_module(&short_name, None);
                }
                Some(Status::Active) => self.unload_file(name, &short_name, &full_name)?,
                _ => {}
            }
            gone.push(matches!(status, Some(Status::Inactive | Status::Active)));
        }
        self.settle()?;
        Ok(gone)
    }

    fn unload_file(&self, name: &Name, short_name: &str, full_name: &str) -> mlua::Result<()> {
        let file: PathBuf = {
            let mut state = self.state.borrow_mut();
            state.push_frame(name);
            let Some(entry) = state.module(short_name) else { return Ok(()) };
            // `load(atleast(…))` undone means the file that it would choose now.
            let meant = name.resolved.as_ref().and_then(|resolved| resolved.file.clone());
            let (user_name, file) = (entry.user_name.clone(), entry.file.clone());
            let sticky = entry.properties.get("lmod").is_some_and(|all| all.contains("sticky"));
            if sticky {
                state.sticky.push((user_name, file.clone()));
            }
            state.edit_module(short_name, |entry| entry.status = Status::Pending);
            meant.unwrap_or(file)
        };
        let done = self.evaluate_file(full_name, &file)?;
        if done {
            self.state.borrow_mut().set_module(short_name, None);
            self.hook_on("unload", name)?;
        }
        self.state.borrow_mut().pop_frame();
        Ok(())
    }

    /// An error that ends the evaluation because a modulefile or a rule says so.
    pub(super) fn refuse(&self, message: String) -> mlua::Error {
        let ((file, line), chain) = (vm::place(self), self.watch.chain());
        self.watch.end(EvaluationError::Refused { message, file, line, chain })
    }

    /// The error of a modulefile that needs a command where none may run.
    pub(super) fn forbid_command(&self, function: &str, command: &str) -> mlua::Error {
        let ((file, line), chain) = (vm::place(self), self.watch.chain());
        let (function, command) = (function.to_owned(), command.to_owned());
        self.watch.end(EvaluationError::NoCommands { function, command, file, line, chain })
    }
}

/// The entry of a module that begins to load.
pub(super) fn pending(name: &Name, file: &Path) -> Entry {
    let resolved = name.resolved.clone().unwrap_or_default();
    Entry {
        full_name: resolved.full_name(),
        user_name: name.user.clone(),
        file: file.to_owned(),
        status: Status::Pending,
        order: -1,
        stack_depth: resolved.stack_depth,
        reference_count: name.depends.then_some(1),
        weight: resolved.weight,
        properties: BTreeMap::new(),
        families: Vec::new(),
        dependencies: BTreeMap::new(),
        whatis: Vec::new(),
        help: None,
        scripts: BTreeMap::new(),
        inherited: Vec::new(),
        any_chosen: Vec::new(),
        conflicts: Vec::new(),
    }
}
