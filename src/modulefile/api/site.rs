//! What a site's own files ask of the evaluation; the rest of what they see is `site.lua`,
//! `lmod.lua` and `pkg.lua`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mlua::{Table, Value};

use super::super::evaluator::Evaluator;
use super::super::limits::Signal;
use super::super::naming::{Name, Realm};
use super::super::state::Status;
use super::super::vm;
use super::Host;

/// Libraries of Lmod that a site's files could ask for.
const LIBRARIES: &str = "Banner BeautifulTbl CTimer Cache ColumnTable Configuration DirTree Exec \
    HookArray LocationT MC_Access MC_CheckSyntax MC_ComputeHash MC_DependencyCk MC_Load MC_MgrLoad \
    MC_Refresh MC_Show MC_Spider MC_Unload MF_Base MF_Lua MF_TCL MN_Between MN_Exact MN_Latest \
    MN_Match MRC MainControl Master MasterControl Hub ModuleA ModuleStack Optiks Options PkgTACC \
    ReadLmodRC Spider Stack Timer Var base64 collectionFileA computeHashSum convertSh2MF json \
    mrc_funcs mrc_load mrc_sandbox replaceStr spiderCacheSupport BaseShell";

/// Globals of Lmod that a site's files could use.
const GLOBALS: &str = "Avail Category CollectionLst Disable GetDefault Help IsAvail IsLoaded \
    Keyword List Load_Try Load_Usr LmodErrorExit MCP MCPQ mcp mcpStack Overview Purge Purge_Usr \
    Refresh Reset Restore Save SaveList SearchCmd Show ShowResultsA SpiderCmd Shell Swap TableList \
    UnLoad UnUse Update Usage Use adminA allow_dups arrayiter buildMsg build_MT_envT dynamic_shell \
    expert getMT getModuleRCT hub initialize_lmod isEncodable master mergeEnvVars mrc_load myClean \
    pager path2pathA runTCLprog setStatusFlag stackTraceBackA unload_internal usePager \
    walk_spiderT Var Spider locatePkg localSoftware getStatusFlag shortLifeCache ancient \
    build_fullName splitNV reset_env dir_walk findInPath find_exec_path setfenv getfenv module \
    newproxy";

fn words(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

pub(super) fn install<'env>(host: &Host<'_, 'env>, ev: &'env Evaluator<'_>) -> mlua::Result<()> {
    install_settings(host, ev)?;
    install_modules(host, ev)?;
    install_system(host)?;
    let set = |names: &'static str| {
        move |lua: &mlua::Lua, ()| {
            lua.create_table_from(words(names).into_iter().map(|name| (name, true)))
        }
    };
    host.define("lmod_libraries", set(LIBRARIES))?;
    host.define("lmod_globals", set(GLOBALS))?;
    host.define("unsupported", move |_, what: String| {
        let (file, line) = vm::place(ev);
        let place = file.display();
        let line = line.map_or_else(String::new, |line| format!(", line {line}"));
        let warning = format!(
            "{place}{line} uses {what}, which module-export does not have: what this code would \
             do is left out"
        );
        ev.left_out.borrow_mut().push(warning.clone());
        ev.warn(warning);
        Err::<(), _>(mlua::Error::external(Signal::Unsupported))
    })?;
    host.define("caller_kind", |lua, ()| {
        // 0 is this function, 1 the metamethod that asks
        let kind = lua.inspect_stack(2, |debug| debug.source().what.to_owned());
        Ok(kind.unwrap_or_else(|| "C".to_owned()))
    })?;
    host.define("stack_info", move |lua, level: usize| {
        let info = lua.inspect_stack(level + 1, |debug| {
            let source = debug.source();
            (source.short_src.map(std::borrow::Cow::into_owned), source.what, debug.current_line())
        });
        let Some((source, what, line)) = info else { return Ok(None) };
        let source = source.unwrap_or_default();
        let file = vm::site_file(ev, &source).or_else(|| (what != "C").then(|| ev.watch.file()));
        let file = file.map_or(source, |file| format!("@{}", file.display()));
        let table = lua.create_table()?;
        table.set("short_src", file.trim_start_matches('@'))?;
        table.set("source", file)?;
        table.set("what", what)?;
        table.set("currentline", line.unwrap_or_default())?;
        Ok(Some(table))
    })?;
    host.define("site_file", move |_, path: PathBuf| {
        let mut files = ev.site_files.borrow_mut();
        let at = files.iter().position(|file| *file == path).unwrap_or_else(|| {
            files.push(path);
            files.len() - 1
        });
        Ok(format!("={}{at}", vm::SITE_CHUNK))
    })?;
    host.define("site_text", move |lua, text: mlua::LuaString| {
        match vm::translate(ev, &text.as_bytes()) {
            Ok(text) => Ok((Some(lua.create_string(text)?), None)),
            Err(error) => Ok((None, Some(error.to_string()))),
        }
    })?;
    host.define("modulefile_chunk", move |lua, text: mlua::LuaString| {
        match vm::chunk(ev, &text.as_bytes()) {
            Ok(function) => Ok((Some(function), None)),
            Err(error) => Ok((None, Some(lua.create_string(vm::message(&error).0)?))),
        }
    })
}

fn install_settings<'env>(host: &Host<'_, 'env>, ev: &'env Evaluator<'_>) -> mlua::Result<()> {
    host.define("setting", move |_, name: String| Ok(ev.setting(&name)))?;
    host.define("is_setting", move |_, name: String| Ok(ev.is_setting(&name)))?;
    host.define("assign", move |lua, (name, value): (String, Value)| {
        let value = match value {
            Value::Nil | Value::Boolean(false) => None,
            Value::Boolean(true) => Some("yes".to_owned()),
            other => lua.coerce_string(other)?.map(|text| super::text(&text)),
        };
        ev.assigned.borrow_mut().insert(name, value);
        Ok(())
    })?;
    host.define("words", move |lua, ()| {
        let words = std::iter::once("load").chain(ev.request.load.iter().map(String::as_str));
        lua.create_sequence_from(words)
    })?;
    host.define("site_name", move |_, ()| {
        Ok(ev.site_name()?.unwrap_or_else(|| "LMOD".to_owned()))
    })?;
    host.table.set("lua", ev.request.options.lua.to_string())?;
    host.table.set("has_integers", ev.request.options.lua.has_integers())?;
    host.define("lmod_directory", move |_, ()| {
        Ok(ev.lmod_directory().map(|at| format!("{}/", at.display())))
    })
}

fn install_modules<'env>(host: &Host<'_, 'env>, ev: &'env Evaluator<'_>) -> mlua::Result<()> {
    host.define("find", move |_, (realm, name): (String, String)| {
        let realm = if realm == "session" { Realm::Session } else { Realm::Path };
        let mut name = Name::new(realm, &name);
        ev.look_up(&mut name)?;
        ev.name_data(&name)
    })?;
    host.define("module", move |_, short_name: String| ev.module_data(&short_name))?;
    host.define("module_names", move |lua, ()| {
        let state = ev.state.borrow();
        lua.create_sequence_from(state.modules().map(|(name, _)| name.as_str()))
    })?;
    host.define("own_frame", move |_, ()| {
        let frame = ev.state.borrow().frames.last().map(|frame| frame.short_name.clone());
        frame.map_or(Ok(None), |name| ev.frame_data(&name))
    })?;
    host.define("depth", move |_, ()| Ok(ev.state.borrow().frames.len()))?;
    host.define("family_member", move |_, name: String| {
        Ok(ev.state.borrow().family(&name).cloned())
    })?;
    host.define("modulepath", move |lua, ()| {
        lua.create_sequence_from(ev.state.borrow().modulepath())
    })
}

fn install_system(host: &Host<'_, '_>) -> mlua::Result<()> {
    host.define("machine", |_, ()| {
        Ok(rustix::system::uname().machine().to_string_lossy().into_owned())
    })?;
    host.define("is_regular", |_, path: String| Ok(Path::new(&path).is_file()))?;
    host.define("readlink", |_, path: String| {
        let target = std::fs::read_link(path).ok();
        Ok(target.map(|target| target.to_string_lossy().into_owned()))
    })?;
    host.define("ids", |lua, ()| {
        let table = lua.create_table()?;
        table.set("uid", rustix::process::getuid().as_raw())?;
        table.set("gid", rustix::process::getgid().as_raw())?;
        table.set("euid", rustix::process::geteuid().as_raw())?;
        table.set("egid", rustix::process::getegid().as_raw())?;
        table.set("pid", rustix::process::getpid().as_raw_nonzero().get())?;
        Ok(table)
    })?;
    host.define("passwd", move |lua, user: Value| {
        let wanted = match &user {
            Value::Nil => rustix::process::getuid().as_raw().to_string(),
            other => lua.coerce_string(other.clone())?.map_or(String::new(), |t| super::text(&t)),
        };
        let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let mut fields = fields.filter(|fields| fields.len() >= 7);
        let found = fields.find(|fields| fields[..3].iter().any(|field| *field == wanted));
        let Some(fields) = found else { return Ok(None) };
        let table = lua.create_table()?;
        for (name, value) in
            ["name", "passwd", "uid", "gid", "gecos", "dir", "shell"].into_iter().zip(fields)
        {
            table.set(name, value)?;
        }
        Ok(Some(table))
    })
}

impl Evaluator<'_> {
    /// What a site's files may ask of a name.
    pub(in super::super) fn name_data(&self, name: &Name) -> mlua::Result<Table> {
        let table = self.lua.create_table()?;
        table.set("userName", name.user.as_str())?;
        table.set("visible", true)?;
        let Some(resolved) = &name.resolved else { return Ok(table) };
        table.set("sn", resolved.short_name.as_str())?;
        table.set("fullName", resolved.full_name())?;
        table.set("version", resolved.version.as_deref())?;
        table.set("wV", resolved.weight.as_str())?;
        table.set("stackDepth", resolved.stack_depth)?;
        if let Some(file) = &resolved.file {
            table.set("fn", file.to_string_lossy())?;
        }
        Ok(table)
    }

    fn frame_data(&self, short_name: &str) -> mlua::Result<Option<Table>> {
        let state = self.state.borrow();
        let Some(frame) = state.frames.last() else { return Ok(None) };
        let table = self.lua.create_table()?;
        table.set("sn", short_name)?;
        table.set("fullName", frame.full_name.as_str())?;
        table.set("userName", frame.user_name.as_str())?;
        table.set("version", frame.version.as_deref())?;
        table.set("fn", frame.file.to_string_lossy())?;
        table.set("visible", true)?;
        if let Some(entry) = state.module(short_name) {
            table.set("wV", entry.weight.as_str())?;
            table.set("stackDepth", entry.stack_depth)?;
        }
        Ok(Some(table))
    }

    fn module_data(&self, short_name: &str) -> mlua::Result<Option<Table>> {
        let state = self.state.borrow();
        let Some(entry) = state.module(short_name) else { return Ok(None) };
        let table = self.lua.create_table()?;
        table.set("fn", entry.file.to_string_lossy())?;
        table.set("fullName", entry.full_name.as_str())?;
        table.set("userName", entry.user_name.as_str())?;
        table.set("version", entry.full_name.strip_prefix(&format!("{short_name}/")))?;
        table.set("wV", entry.weight.as_str())?;
        table.set("stackDepth", entry.stack_depth)?;
        table.set("ref_count", entry.reference_count)?;
        let status = match entry.status {
            Status::Active => "active",
            Status::Pending => "pending",
            Status::Inactive => "inactive",
        };
        table.set("status", status)?;
        table.set("loadOrder", entry.order)?;
        let properties = self.lua.create_table()?;
        for (name, values) in &entry.properties {
            let values = values.iter().map(|value| (value.as_str(), 1));
            properties.set(name.as_str(), self.lua.create_table_from(values)?)?;
        }
        table.set("properties", properties)?;
        Ok(Some(table))
    }
}
