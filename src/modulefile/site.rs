//! A site's own files: which there are, what they say of Lmod's settings, and their hooks.

use std::path::PathBuf;

use mlua::{IntoLuaMulti, Value};

use super::evaluator::Evaluator;
use super::features::Feature;
use super::naming::Name;
use super::rules::{self, Rules};
use super::vm;

/// Where Lmod's configuration is unless `LMOD_CONFIG_DIR` says otherwise.
const CONFIGURATION: &str = "/etc/lmod";

/// Text that every Lmod ships as its `SitePackage.lua`, but for comments.
const PLACEHOLDER: &str = "require(\"strict\")";

/// Settings that Lmod has, with their defaults.
const SETTINGS: [(&str, &str); 32] = [
    ("LMOD_ADMIN_FILE", ""),
    ("LMOD_ALLOW_TCL_MFILES", "yes"),
    ("LMOD_ANCIENT_TIME", "86400"),
    ("LMOD_AUTO_SWAP", "yes"),
    ("LMOD_AVAIL_EXTENSIONS", "yes"),
    ("LMOD_AVAIL_STYLE", "<system>"),
    ("LMOD_CACHED_LOADS", "no"),
    ("LMOD_CASE_INDEPENDENT_SORTING", "no"),
    ("LMOD_COLORIZE", "no"),
    ("LMOD_CONFIG_DIR", CONFIGURATION),
    ("LMOD_DISABLE_NAME_AUTOSWAP", "no"),
    ("LMOD_DOWNSTREAM_CONFLICTS", "no"),
    ("LMOD_DUPLICATE_PATHS", "no"),
    ("LMOD_DYNAMIC_SPIDER_CACHE", "yes"),
    ("LMOD_EXACT_MATCH", "no"),
    ("LMOD_EXTENDED_DEFAULT", "yes"),
    ("LMOD_IGNORE_CACHE", "no"),
    ("LMOD_MODULERC", ""),
    ("LMOD_MPATH_AVAIL", "no"),
    ("LMOD_PACKAGE_PATH", ""),
    ("LMOD_PIN_VERSIONS", "no"),
    ("LMOD_PREPEND_BLOCK", "normal"),
    ("LMOD_RC", ""),
    ("LMOD_REDIRECT", "no"),
    ("LMOD_SETTARG_FULL_SUPPORT", "no"),
    ("LMOD_SITEPACKAGE_LOCATION", "<srctree>"),
    ("LMOD_SYSTEM_DEFAULT_MODULES", "__unknown__"),
    ("LMOD_TMOD_FIND_FIRST", "no"),
    ("LMOD_TMOD_PATH_RULE", "no"),
    ("LMOD_TRACING", "no"),
    ("LMOD_USE_DOT_CONFIG_ONLY", "no"),
    ("MODULES_AUTO_HANDLING", "no"),
];

/// Settings that Lmod has and that are off unless they have a text.
const TEXTS: [&str; 12] = [
    "LMOD_LANG",
    "LMOD_LD_LIBRARY_PATH",
    "LMOD_LD_PRELOAD",
    "LMOD_OVERRIDE_LANG",
    "LMOD_PAGER",
    "LMOD_SITEPACKAGE_PREPEND",
    "LMOD_SITE_MSG_FILE",
    "LMOD_SITE_NAME",
    "LMOD_SYSHOST",
    "LMOD_SYSTEM_NAME",
    "LMOD_TCLSH",
    "SITE_CONTROLLED_PREFIX",
];

/// Settings that older ones read before any file of the site.
const EARLY: [&str; 3] = ["LMOD_EXACT_MATCH", "LMOD_TMOD_FIND_FIRST", "LMOD_TMOD_PATH_RULE"];

impl Evaluator<'_> {
    /// A setting as a site's files have assigned it, as the environment has it, or as Lmod does.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        if let Some(assigned) = self.assigned.borrow().get(name) {
            return assigned.clone();
        }
        let default = SETTINGS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let set = self.request.environment.get(name);
        match (default, set) {
            (Some("yes" | "no"), Some(set)) => Some(match set.to_lowercase().as_str() {
                "" | "0" | "off" | "no" => "no".to_owned(),
                _ => "yes".to_owned(),
            }),
            (_, Some(set)) => Some(set.clone()),
            (default, None) => default.map(str::to_owned),
        }
    }

    /// Whether Lmod has such a setting.
    pub(super) fn is_setting(&self, name: &str) -> bool {
        SETTINGS.iter().any(|(known, _)| *known == name)
            || TEXTS.contains(&name)
            || self.assigned.borrow().contains_key(name)
    }

    /// Runs the site's files, and lets what they assign to settings hold.
    pub(super) fn read_site(&self) -> mlua::Result<()> {
        for file in self.early_files() {
            self.run_site_file(&file)?;
        }
        let (directories, file) = self.site_package();
        if let Some(site) = self.site.get() {
            site.get::<mlua::Function>("search")?.call::<()>(directories)?;
        }
        if let Some(file) = file {
            self.run_site_file(&file)?;
        }
        if !self.assigned.borrow().is_empty() {
            let mut environment = self.request.environment.clone();
            let late = self.rules.have(Feature::SettingsReadLate);
            for (name, value) in self.assigned.borrow().iter() {
                if !late && EARLY.contains(&name.as_str()) {
                    continue;
                }
                match value {
                    Some(value) => drop(environment.insert(name.clone(), value.clone())),
                    None => drop(environment.remove(name)),
                }
            }
            self.rules.settle(Rules::new(&self.request.lmod_version, &environment));
            let rules = rules::name_rules(&self.rules, &environment);
            self.names.replace(vm::names(self.lua, rules));
        }
        Ok(())
    }

    /// Files that are run before `SitePackage.lua` is looked for.
    fn early_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if self.rules.have(Feature::SitePackagePrepend) {
            let list = self.setting("LMOD_SITEPACKAGE_PREPEND").unwrap_or_default();
            files.extend(list.split(':').map(PathBuf::from));
        }
        let directory = self.setting("LMOD_CONFIG_DIR").unwrap_or_default();
        files.push(PathBuf::from(directory).join("lmod_config.lua"));
        files.retain(|file| file.is_absolute() && file.is_file());
        files
    }

    /// Where `require` looks for a site's files, and its `SitePackage.lua`.
    fn site_package(&self) -> (Vec<String>, Option<PathBuf>) {
        let mut list = self.setting("LMOD_PACKAGE_PATH").unwrap_or_default();
        if self.rules.have(Feature::ConfigurationSearched) {
            list = format!("{list}:{}", self.setting("LMOD_CONFIG_DIR").unwrap_or_default());
        }
        let directories: Vec<String> =
            list.split(':').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        let own = self.lmod_directory().map(|at| at.join("SitePackage.lua"));
        let own = own.filter(|file| !is_placeholder(file));
        let all = directories.iter().rev().map(|one| PathBuf::from(one).join("SitePackage.lua"));
        let file = all.chain(own).find(|file| file.is_file());
        (directories, file)
    }

    /// The directory of Lmod's program.
    pub(super) fn lmod_directory(&self) -> Option<PathBuf> {
        let environment = &self.request.environment;
        let command = environment.get("LMOD_CMD").map(PathBuf::from);
        let directory = environment.get("LMOD_DIR").map(PathBuf::from);
        directory.or_else(|| Some(command?.parent()?.to_owned())).filter(|at| at.is_absolute())
    }

    fn run_site_file(&self, file: &std::path::Path) -> mlua::Result<()> {
        let Some(site) = self.site.get() else { return Ok(()) };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let begun = self.watch.enter(&name, file);
        self.tell(Some(begun));
        let result = site.get::<mlua::Function>("run")?.call::<()>(file.to_string_lossy());
        let result = self.after_site_code(result);
        self.tell(self.watch.leave());
        result
    }

    /// Adds what the site's hook adds to every modulefile.
    pub(super) fn decorate(&self, text: &mut Vec<u8>) -> mlua::Result<()> {
        if !self.has_hook("decorate_module")? {
            return Ok(());
        }
        let Some(frame) = self.state.borrow().frames.last().cloned() else { return Ok(()) };
        let call = self.lua.create_table()?;
        call.set("path", frame.file.to_string_lossy())?;
        call.set("name", frame.short_name)?;
        let version = frame.version.map(|version| self.lua.create_string(version)).transpose()?;
        call.set("version", version.map_or(Value::Boolean(false), Value::String))?;
        call.set("contents", self.lua.create_string(&*text)?)?;
        if let Value::Table(lines) = self.hook("decorate_module", call)? {
            text.push(b'\n');
            for line in lines.sequence_values::<mlua::LuaString>() {
                text.extend_from_slice(&line?.as_bytes());
                text.push(b'\n');
            }
        }
        Ok(())
    }

    /// What a failure of a site's code means: what we cannot honour has been named, and ends that
    /// code only.
    fn after_site_code<T: Default>(&self, result: mlua::Result<T>) -> mlua::Result<T> {
        match result {
            Err(error) if self.watch.has_ended() || vm::is_break(&error) => Err(error),
            Err(error) if vm::is_unsupported(&error) => Ok(T::default()),
            Err(error) => Err(self.watch.end(vm::error(self, &error))),
            Ok(value) => Ok(value),
        }
    }

    /// Whether the site has registered such a hook.
    pub(super) fn has_hook(&self, name: &str) -> mlua::Result<bool> {
        let Some(site) = self.site.get() else { return Ok(false) };
        site.get::<mlua::Function>("exists")?.call(name)
    }

    /// Calls the site's hook, if there is one.
    pub(super) fn hook(&self, name: &str, arguments: impl IntoLuaMulti) -> mlua::Result<Value> {
        let Some(site) = self.site.get() else { return Ok(Value::Nil) };
        let mut all = arguments.into_lua_multi(self.lua)?;
        all.push_front(Value::String(self.lua.create_string(name)?));
        let result = site.get::<mlua::Function>("apply")?.call::<Option<Value>>(all);
        Ok(self.after_site_code(result)?.unwrap_or(Value::Nil))
    }

    /// The hook `load` or `unload` of a module that has just been evaluated.
    pub(super) fn hook_on(&self, hook: &str, name: &Name) -> mlua::Result<()> {
        if !self.has_hook(hook)? {
            return Ok(());
        }
        let Some(site) = self.site.get() else { return Ok(()) };
        let call = self.lua.create_table()?;
        let data = self.name_data(name)?;
        call.set("fn", data.get::<Value>("fn")?)?;
        call.set("modFullName", data.get::<Value>("fullName")?)?;
        if hook == "load" || self.rules.have(Feature::UnloadHookNames) {
            call.set("mname", site.get::<mlua::Function>("mname")?.call::<Value>(data)?)?;
        }
        self.hook(hook, call).map(drop)
    }

    /// Asks the site's hook which versions that a name may mean are hidden.
    pub(super) fn ask_what_is_visible(&self, name: &str) -> mlua::Result<()> {
        if !self.has_hook("isVisibleHook")? {
            return Ok(());
        }
        let mut hidden = std::collections::BTreeSet::new();
        let all = self.names.borrow().versions_for(name);
        let newer = self.rules.have(Feature::Hide);
        for one in all {
            let state = self.state.borrow();
            let listed = state.module(&one.short_name);
            let listed = newer && listed.is_some_and(|entry| entry.full_name == one.full_name);
            drop(state);
            if listed {
                continue;
            }
            let call = self.lua.create_table()?;
            call.set("fullName", one.full_name)?;
            call.set("sn", one.short_name)?;
            call.set("fn", one.path.to_string_lossy())?;
            call.set("mpath", one.place)?;
            call.set("isVisible", true)?;
            self.hook("isVisibleHook", &call)?;
            if matches!(call.get("isVisible")?, Value::Nil | Value::Boolean(false)) {
                hidden.insert(one.path);
            }
        }
        self.names.borrow_mut().site_hides(hidden);
        Ok(())
    }

    /// Whether a module is forbidden, by rc files and in the eyes of the site's hook, which is asked
    /// about those that rc files name.
    pub(super) fn is_forbidden(&self, name: &Name) -> mlua::Result<bool> {
        let forbidden = name.resolved.as_ref().and_then(|resolved| resolved.forbidden);
        let Some(now) = forbidden else { return Ok(false) };
        if !self.has_hook("isForbiddenHook")? {
            return Ok(now);
        }
        let call = self.name_data(name)?;
        call.set("forbiddenState", if now { "forbid" } else { "normal" })?;
        self.hook("isForbiddenHook", &call)?;
        let state: Value = call.get("forbiddenState")?;
        Ok(state.as_string().is_some_and(|state| state == "forbid"))
    }

    /// Prefix of the variables of families besides `LMOD`, in capitals or not as the site has it.
    pub(super) fn site_name(&self) -> mlua::Result<Option<String>> {
        let name = match self.site.get() {
            Some(_) => match self.hook("SiteName", ())? {
                Value::String(name) => Some(super::api::text(&name)),
                _ => None,
            },
            None => self.setting("LMOD_SITE_NAME"),
        };
        Ok(name.filter(|name| name != "LMOD"))
    }

    /// The hook `restore`, where a collection has been loaded.
    pub(super) fn restored(&self) -> mlua::Result<()> {
        let Some(file) = &self.request.options.collection else { return Ok(()) };
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let call = self.lua.create_table()?;
        call.set("collection", name.as_str())?;
        call.set("name", name.as_str())?;
        call.set("fn", file.to_string_lossy())?;
        self.hook("restore", call).map(drop)
    }

    /// The hook `finalize`, and what the site's files want done at the end.
    pub(super) fn end_site(&self) -> mlua::Result<()> {
        let Some(site) = self.site.get() else { return Ok(()) };
        self.hook("finalize", self.command_name())?;
        let result = site.get::<mlua::Function>("exit")?.call::<()>(());
        self.after_site_code(result)
    }

    /// How Lmod's hooks know the command `load`.
    pub(super) fn command_name(&self) -> &'static str {
        if self.rules.have(Feature::LongCommandNames) {
            "cmdfuncs.lua:(Load_Usr)      load"
        } else {
            "load"
        }
    }
}

/// Whether the file is the one that Lmod comes with, which does nothing.
fn is_placeholder(file: &std::path::Path) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return true };
    let code = text.lines().map(str::trim).filter(|line| !line.is_empty());
    code.filter(|line| !line.starts_with("--")).all(|line| line == PLACEHOLDER)
}
