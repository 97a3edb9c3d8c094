//! One evaluation: from a request to what loading did.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mlua::{Lua, Table};

use crate::environment::leak;

use super::command::Runner;
use super::error::{Chain, EvaluationError, Missing};
use super::features::Feature;
use super::limits::Watch;
use super::names::rc::{self, Fault};
use super::names::{Names, ScanError};
use super::naming::{Name, Pins, Realm};
use super::rules::{self, Rules, Settled};
use super::state::{Entry, State, Status};
use super::tcl::Tcl;
use super::{Evaluation, Event, LoadedModule, Request, api, vm};

/// No modulefile is longer, in bytes.
const LONGEST_FILE: u64 = 64 << 20;

/// One evaluation.
pub(super) struct Evaluator<'a> {
    pub(super) lua: &'a Lua,
    pub(super) request: &'a Request,
    pub(super) rules: Settled,
    pub(super) pins: Pins<'a>,
    pub(super) watch: Rc<Watch>,
    pub(super) state: RefCell<State>,
    pub(super) names: RefCell<Names>,
    pub(super) runner: Runner,
    /// Globals of modulefiles.
    pub(super) sandbox: OnceCell<Table>,
    /// Functions of `site.lua`.
    pub(super) site: OnceCell<Table>,
    /// The site's files by the number in their name in Lua.
    pub(super) site_files: RefCell<Vec<PathBuf>>,
    /// What of the site's files could not be honoured.
    pub(super) left_out: RefCell<Vec<String>>,
    /// Lmod's settings that the site's files have assigned; `None` is off.
    pub(super) assigned: RefCell<BTreeMap<String, Option<String>>>,
    /// Where names were asked for that could not be found then.
    pub(super) asked: RefCell<BTreeMap<String, Chain>>,
    /// Properties that `add_property` may set: name → values.
    pub(super) properties: OnceCell<BTreeMap<String, BTreeSet<String>>>,
    pub(super) tcl: Tcl,
    observe: RefCell<&'a mut dyn FnMut(Event)>,
    /// Whether the rc files of site and user have been read.
    rc_read: Cell<bool>,
    /// The site's rc files, where a modulefile has set them.
    rc_list: RefCell<Option<String>>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(
        lua: &'a Lua,
        request: &'a Request,
        runner: Runner,
        observe: &'a mut dyn FnMut(Event),
    ) -> Self {
        let rules = Rules::new(&request.lmod_version, &request.environment);
        let names = vm::names(lua, rules::name_rules(&rules, &request.environment));
        let watch = Watch::new(request.limits, rules.have(Feature::EvaluationsCounted));
        Self {
            lua,
            request,
            rules: Settled::new(rules),
            pins: Pins::new(&request.pins),
            watch,
            state: RefCell::new(State::new(request.environment.clone())),
            names: RefCell::new(names),
            runner,
            sandbox: OnceCell::new(),
            site: OnceCell::new(),
            site_files: RefCell::default(),
            left_out: RefCell::default(),
            assigned: RefCell::default(),
            asked: RefCell::default(),
            properties: OnceCell::new(),
            tcl: Tcl::default(),
            observe: RefCell::new(observe),
            rc_read: Cell::new(false),
            rc_list: RefCell::default(),
        }
    }

    /// Loads what was requested.
    pub(super) fn run(&self) -> Result<Evaluation, EvaluationError> {
        let result = self.watch.install(self.lua).and_then(|()| {
            self.lua.scope(|scope| {
                api::install(scope, self)?;
                self.prepare_environment();
                self.read_site()?;
                self.hook("startup", self.command_name())?;
                if self.request.options.continues {
                    self.resume_session()?;
                }
                self.load_requested()?;
                self.must_be_loaded()?;
                self.restored()?;
                self.end_site()?;
                self.refuse_unprintable()?;
                self.run_executes()
            })
        });
        // What fails while Lua collects garbage fails silently.
        let reason = match result {
            Ok(()) if !self.watch.has_ended() => return Ok(self.finish()),
            Ok(()) => String::new(),
            Err(error) => vm::message(&error).0,
        };
        let unknown = || EvaluationError::Child { file: None, reason };
        let error = self.watch.take_error().unwrap_or_else(unknown);
        Err(error.after(&self.left_out.borrow()))
    }

    /// Tells whoever watches.
    pub(super) fn tell(&self, event: Option<Event>) {
        if let Some(event) = event {
            (self.observe.borrow_mut())(event);
        }
    }

    fn load_requested(&self) -> mlua::Result<()> {
        self.prepare_modulepath();
        let (mut unload, mut load) = (Vec::new(), Vec::new());
        for name in &self.request.load {
            if let Some(name) = name.strip_prefix('-') {
                unload.push(Name::new(Realm::Session, name));
            } else {
                let name = name.strip_prefix('+').unwrap_or(name);
                load.push(Name::new(Realm::Path, name));
            }
        }
        if !unload.is_empty() {
            self.unload_for_user(&mut unload, false)?;
        }
        self.load_for_user(&mut load)?;
        Ok(())
    }

    /// What Lmod sets in its own environment before it reads the first modulefile.
    fn prepare_environment(&self) {
        let mut state = self.state.borrow_mut();
        let version = &self.rules.version_text;
        let mut parts = version.split('.');
        for name in ["LMOD_VERSION_MAJOR", "LMOD_VERSION_MINOR", "LMOD_VERSION_SUBMINOR"] {
            state.set_private(name, Some(parts.next().unwrap_or("0")));
        }
        for (name, value) in [
            ("LMOD_VERSION", version.as_str()),
            ("ModuleTool", "Lmod"),
            ("ModuleToolVersion", version),
            ("LC_ALL", "C"),
        ] {
            state.set_private(name, Some(value));
        }
    }

    fn prepare_modulepath(&self) {
        let mut state = self.state.borrow_mut();
        if state.getenv("MODULEPATH").is_some() {
            state.make_list(&self.rules, "MODULEPATH", ":", true);
        }
        self.names.borrow_mut().set_modulepath(state.modulepath());
    }

    /// Reads what is in `MODULEPATH` and has not been read.
    pub(super) fn scan_modulepath(&self) -> mlua::Result<()> {
        if !self.rc_read.replace(true) {
            self.read_global_rc()?;
        }
        let ignored = |name: &str| self.rules.ignores(self.lua, name);
        let scanned = self.names.borrow_mut().scan(&ignored, &mut |path| self.read_rc(path));
        scanned.map_err(|error| match error {
            ScanError::Read(error) => error,
            ScanError::Fault(file, fault) => self.refuse_rc(&file, &fault),
        })
    }

    fn refuse_rc(&self, file: &Path, fault: &Fault) -> mlua::Error {
        self.refuse(format!("{}: {fault}", file.display()))
    }

    /// Takes `list` for the site's rc files from now on.
    pub(super) fn change_rc(&self, list: Option<String>) {
        self.names.borrow_mut().forget_rc();
        self.rc_list.replace(Some(list.unwrap_or_default()));
        self.rc_read.set(false);
    }

    /// The rc files of the site, read from the last to the first, then the user's.
    fn read_global_rc(&self) -> mlua::Result<()> {
        let list = self.rc_list.borrow().clone().unwrap_or_else(|| self.site_rc());
        let mut files: Vec<(PathBuf, char)> = Vec::new();
        for place in list.split(':').map(Path::new) {
            if self.rules.have(Feature::ModuleRcVariable) && place.is_dir() {
                files.extend(rules::rc_directory(place).into_iter().map(|file| (file, 's')));
            } else {
                files.push((place.to_owned(), 's'));
            }
        }
        files.reverse();
        if let Some(home) = self.request.environment.get("HOME") {
            let candidates = [".modulerc.lua", ".modulerc"].map(|name| Path::new(home).join(name));
            files.extend(
                candidates.into_iter().find(|file| is_readable(file)).map(|one| (one, 'u')),
            );
        }
        for (file, mark) in files.into_iter().filter(|(file, _)| is_readable(file)) {
            let lines = self.read_rc(&file)?;
            let added = self.names.borrow_mut().add_rc(&lines, mark);
            added.map_err(|fault| self.refuse_rc(&file, &fault))?;
        }
        Ok(())
    }

    /// The list of the site's rc files that the environment gives.
    fn site_rc(&self) -> String {
        let assigned = self.assigned.borrow();
        let get = |name: &str| {
            let assigned = assigned.get(name).cloned().flatten();
            assigned.or_else(|| self.request.environment.get(name).cloned())
        };
        let list = get("LMOD_MODULERC").filter(|_| self.rules.have(Feature::ModuleRcVariable));
        let default = |root: String| {
            let lua = format!("{root}/etc/rc.lua");
            if Path::new(&lua).is_file() { lua } else { format!("{root}/etc/rc") }
        };
        list.or_else(|| get("LMOD_MODULERCFILE"))
            .or_else(|| get("MODULERCFILE"))
            .or_else(|| get("LMOD_ROOT").map(default))
            .unwrap_or_default()
    }

    fn read_rc(&self, path: &Path) -> mlua::Result<Vec<rc::Line>> {
        let text = self.read_file(path)?;
        if path.extension().is_some_and(|extension| extension == "lua") {
            return vm::run_rc(self, path, &text);
        }
        self.tcl_rc(path, &text)
    }

    /// The contents of a file that is read whole, or why it cannot be read.
    pub(super) fn contents(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.state.borrow_mut().files_read.insert(path.to_owned());
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("not a regular file".to_owned());
        }
        if metadata.len() > LONGEST_FILE {
            return Err(format!("longer than {} MiB", LONGEST_FILE >> 20));
        }
        fs::read(path).map_err(|error| error.to_string())
    }

    /// The contents of a modulefile or rc file.
    pub(super) fn read_file(&self, path: &Path) -> mlua::Result<Vec<u8>> {
        self.contents(path).map_err(|reason| {
            let (file, chain) = (path.to_owned(), self.watch.chain());
            self.watch.end(EvaluationError::Unreadable { file, reason, chain })
        })
    }

    /// Fails unless everything requested is active.
    fn must_be_loaded(&self) -> mlua::Result<()> {
        let requested: Vec<Name> =
            self.state.borrow().requested.values().map(|(name, _)| name.clone()).collect();
        let (mut missing, mut refused) = (Vec::new(), Vec::new());
        for mut name in requested {
            self.look_up(&mut name)?;
            // Each look follows one more alias of an alias.
            self.look_up(&mut name)?;
            let lost = self.rules.have(Feature::TopStaysRequired)
                && name.resolved.as_ref().is_some_and(|resolved| resolved.file.is_none());
            if !lost && name.short_name().is_some_and(|name| self.state.borrow().is_active(name)) {
                continue;
            }
            if name.resolved.is_some_and(|resolved| resolved.file.is_some()) {
                refused.push(name.user);
            } else {
                missing.push(name.user);
            }
        }
        if let Some(first) = missing.first() {
            let chain = self.asked.borrow().get(first).cloned().unwrap_or_default();
            let missing = missing.iter().map(|name| self.missing(name)).collect();
            return Err(self.watch.end(EvaluationError::NotFound { missing, chain }));
        }
        if refused.is_empty() {
            return Ok(());
        }
        let message = format!("not loaded in the end: {}", refused.join(", "));
        Err(self.refuse(message))
    }

    /// A variable whose name begins with a dash comes first in what Lmod prints, and is an option
    /// to the shell that evaluates it. Before a list come the counts of its elements.
    fn refuse_unprintable(&self) -> mlua::Result<()> {
        let state = self.state.borrow();
        let first = state.set_names().find(|(name, _)| name.starts_with('-'));
        let name = first.filter(|(_, is_list)| !is_list).map(|(name, _)| name.clone());
        drop(state);
        match name {
            Some(name) => Err(self.refuse(format!(
                "it sets a variable called `{name}`: no shell evaluates what Lmod then prints"
            ))),
            None => Ok(()),
        }
    }

    fn missing(&self, name: &str) -> Missing {
        Missing { name: name.to_owned(), near: self.names.borrow().near(name) }
    }

    fn finish(&self) -> Evaluation {
        let mut state = self.state.borrow_mut();
        let (values, changes) = state.take_results();
        let before = &self.request.environment;
        let kept = |name: &String, value: &Option<String>| {
            is_internal(name)
                || before.get(name) == value.as_ref()
                || (value.is_some() && self.rules.quarantine.contains(name))
        };
        // Older versions print values so that the shell takes a newline for the end of the value.
        let whole = self.rules.have(Feature::NewlinesQuoted);
        let printed = |value: Option<String>| match value {
            Some(text) if !whole => text.split('\n').next().map(str::to_owned),
            other => other,
        };
        let environment = values
            .into_iter()
            .filter(|(name, value)| !kept(name, value) && leak::is_shell_name(name))
            .map(|(name, value)| (name, printed(value)))
            .collect();
        let order = state.in_order();
        let modules =
            order.iter().filter_map(|name| loaded_module(&state, name, &self.rules)).collect();
        Evaluation {
            modules,
            environment,
            changes,
            messages: std::mem::take(&mut state.messages),
            commands: std::mem::take(&mut state.commands),
            unpinned: std::mem::take(&mut state.unpinned),
            files_read: std::mem::take(&mut state.files_read).into_iter().collect(),
        }
    }
}

fn is_readable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::READ_OK).is_ok()
}

/// Whether the variable is Lmod's own.
fn is_internal(name: &str) -> bool {
    name.starts_with("_ModuleTable")
        || name.starts_with("__LMOD_")
        || matches!(name, "LOADEDMODULES" | "_LMFILES_")
}

fn loaded_module(state: &State, short_name: &str, rules: &Rules) -> Option<LoadedModule> {
    let entry: &Entry = state.module(short_name).filter(|one| one.status == Status::Active)?;
    let full_name = |name: &&String| state.module(name).map(|entry| entry.full_name.clone());
    let mut dependencies: Vec<&String> = entry.dependencies.keys().collect();
    dependencies.sort_by_key(|name| entry.dependencies.get(*name));
    Some(LoadedModule {
        short_name: short_name.to_owned(),
        full_name: entry.full_name.clone(),
        listed_name: if rules.lists_user_names { &entry.user_name } else { &entry.full_name }
            .clone(),
        user_name: entry.user_name.clone(),
        file: entry.file.clone(),
        stack_depth: entry.stack_depth,
        reference_count: entry.reference_count.and_then(|count| u32::try_from(count).ok()),
        weighted_version: entry.weight.clone(),
        properties: entry
            .properties
            .iter()
            .map(|(name, values)| (name.clone(), values.iter().cloned().collect()))
            .collect(),
        families: entry.families.clone(),
        dependencies: dependencies.iter().filter_map(full_name).collect(),
        whatis: entry.whatis.clone(),
        help: entry.help.clone(),
    })
}
