//! Tcl modulefiles and Tcl rc files.
//!
//! Lmod translates a Tcl modulefile as a whole into Lua, and evaluates that: nothing takes effect
//! while the file runs. Here a `tclsh` runs the file and answers with what it said (`prelude.tcl`,
//! `server`), which is then written as the same Lua (`calls`).

mod calls;
mod literal;
mod server;

use std::cell::{OnceCell, RefCell};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mlua::chunk::ChunkMode;

use crate::environment::Variables;

use self::calls::{Style, escape};
use self::server::{Bounds, Failure, Server};
use super::Event;
use super::error::EvaluationError;
use super::evaluator::Evaluator;
use super::features::Feature;
use super::limits::after;
use super::names::rc;
use super::state::{Mode, Status};

pub(super) use self::calls::Calls;
pub(super) use self::literal::parse as parse_literal;

/// Where a `tclsh` may be that `PATH` does not name.
const USUAL: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/opt/local/bin"];

/// What the prelude is told that this Lmod can do.
const TOLD: [(&str, Feature); 13] = [
    ("any", Feature::TclDependsOnAny),
    ("dynamic", Feature::TclDynamic),
    ("getenv", Feature::TclGetenv),
    ("help", Feature::TclHelp),
    ("options", Feature::TclOptions),
    ("reset", Feature::TclReset),
    ("shell", Feature::TclShellCompared),
    ("unknown", Feature::TclUnknownRefused),
    ("rc-accepted", Feature::TclHideAccepted),
    ("rc-hide", Feature::Hide),
    ("rc-info", Feature::TclRcInfo),
    ("rc-patterns", Feature::TclRcPatterns),
    ("rc-virtual", Feature::RcVirtual),
];

/// Tcl for one evaluation.
#[derive(Debug, Default)]
pub(super) struct Tcl {
    program: OnceCell<Option<PathBuf>>,
    server: RefCell<Option<Server>>,
}

impl Evaluator<'_> {
    /// What a Tcl modulefile says in the present mode.
    pub(super) fn tcl_modulefile(&self, full_name: &str, file: &Path) -> mlua::Result<Calls> {
        let unloading = self.mode() == Mode::Unload;
        let style = Style {
            mode: if unloading { "unload" } else { "load" },
            modes: self.rules.have(Feature::TclOptions),
            numbers: self.rules.have(Feature::TclNumbers),
        };
        let mut calls = Calls::default();
        if !self.is_path_usable(file) {
            let message = "Lmod cannot hand this path to Tcl: it has blanks or signs of the shell";
            calls.fail(message, "0");
            return Ok(calls);
        }
        let loaded = self.names_of_loaded();
        let user_name = self.state.borrow().frames.last().map(|frame| frame.user_name.clone());
        let user_name = user_name.unwrap_or_default();
        let mode = if unloading { "remove" } else { "load" };
        for record in self.run_tcl(file, &[mode, full_name, &user_name], &loaded)? {
            match record.first().map(String::as_str) {
                Some("failed") => {
                    let [_, message, line] = record.as_slice() else { continue };
                    calls.fail(message, line);
                    break;
                }
                Some("leak") => self.leak(&record),
                Some("note") => self.note_command(&record)?,
                _ => calls.add(style, &record),
            }
        }
        Ok(calls)
    }

    /// What an rc file in Tcl says.
    pub(super) fn tcl_rc(&self, path: &Path, text: &[u8]) -> mlua::Result<Vec<rc::Line>> {
        if let Some(lines) = std::str::from_utf8(text).ok().and_then(parse_literal)
            && self.is_path_usable(path)
        {
            return Ok(lines);
        }
        let begun = self.watch.enter(&path.to_string_lossy(), path)?;
        self.tell(Some(begun));
        if !self.is_path_usable(path) {
            let message = "Lmod cannot hand the path of this rc file to Tcl: it has blanks or \
                           signs of the shell";
            return Err(self.refuse(message.to_owned()));
        }
        let mut text = String::new();
        for record in self.run_tcl(path, &["rc", "", ""], &[])? {
            match record.first().map(String::as_str) {
                Some("failed") => return Err(self.rc_failed(&record)),
                Some("printed") if !self.rules.tcl_attached => {
                    return Err(self.refuse("the rc file prints a text".to_owned()));
                }
                Some("leak") => self.leak(&record),
                Some("note") => self.note_command(&record)?,
                _ => text.push_str(&rc_call(&record).unwrap_or_default()),
            }
        }
        let lines = RefCell::new(Vec::new());
        let result = self.lua.scope(|scope| {
            let environment = super::api::rc_environment(scope, self, &lines)?;
            let add = |version: String| {
                lines.borrow_mut().push(rc::Line::Default(version));
                Ok(())
            };
            environment.set("set_default_version", scope.create_function(move |_, v| add(v))?)?;
            let chunk = self.lua.load(&text).set_name("=rc file").set_mode(ChunkMode::Text);
            chunk.set_environment(environment).exec()
        });
        result.map_err(|error| self.watch.end(super::vm::error(self, &error)))?;
        self.tell(self.watch.leave());
        Ok(lines.into_inner())
    }

    fn rc_failed(&self, record: &[String]) -> mlua::Error {
        let [_, message, line] = record else { return self.refuse(String::new()) };
        self.watch.end(EvaluationError::Refused {
            message: message.clone(),
            file: self.watch.file(),
            line: line.parse().ok().filter(|line| *line > 0),
            chain: self.watch.chain(),
        })
    }

    /// Where Lmod runs Tcl in its own process, variables that a file sets itself stay there.
    fn leak(&self, record: &[String]) {
        if let [_, name, value @ ..] = record {
            let value = value.first().map(String::as_str);
            self.state.borrow_mut().set_private(name, value);
        }
    }

    fn note_command(&self, record: &[String]) -> mlua::Result<()> {
        let [_, function, text] = record else { return Ok(()) };
        self.shell_text(function, text.clone());
        if self.request.options.no_commands {
            return Err(self.forbid_command(function, text));
        }
        Ok(())
    }

    /// Whether the path survives on the command line that Lmod makes of it.
    fn is_path_usable(&self, path: &Path) -> bool {
        let signs = if self.rules.tcl_attached { " \t" } else { " \t\n;&|<>()$`\\\"'" };
        !path.to_string_lossy().contains(|c| signs.contains(c))
    }

    /// Names by which `is-loaded` knows the active modules.
    fn names_of_loaded(&self) -> Vec<String> {
        let state = self.state.borrow();
        let active = state.modules().filter(|(_, entry)| entry.status == Status::Active);
        let names = active.flat_map(|(name, entry)| [name, &entry.user_name, &entry.full_name]);
        names.flat_map(|name| name.split(':')).map(str::to_owned).collect()
    }

    /// Runs a file of Tcl; `about` is mode, full name and user name.
    fn run_tcl(
        &self,
        file: &Path,
        about: &[&str; 3],
        loaded: &[String],
    ) -> mlua::Result<Vec<Vec<String>>> {
        let Some(program) = self.tclsh() else {
            let (file, chain) = (file.to_owned(), self.watch.chain());
            return Err(self.watch.end(EvaluationError::Tcl { file, chain }));
        };
        self.watch.pause();
        self.tell(Some(Event::Command(format!("tclsh {}", file.display()))));
        let bounds = Bounds {
            deadline: Instant::now() + self.request.limits.time,
            memory_bytes: self.request.limits.memory_bytes,
        };
        let result = self.ask_tclsh(&program, bounds, file, about, loaded);
        if result.is_err() {
            drop(self.tcl.server.borrow_mut().take());
        }
        self.tell(self.watch.resume());
        result.map_err(|failure| self.tcl_failure(&program, &failure))
    }

    fn ask_tclsh(
        &self,
        program: &Path,
        bounds: Bounds,
        file: &Path,
        about: &[&str; 3],
        loaded: &[String],
    ) -> Result<Vec<Vec<String>>, Failure> {
        let directory = self.runner.directory(self.state.borrow_mut().environment())?;
        let mut server = self.tcl.server.borrow_mut();
        let fresh = server.is_none();
        if fresh {
            *server = Some(self.runner.lifted(|| Server::start(program, &directory))?);
        }
        let Some(server) = server.as_mut() else { return Err(Failure::Gone) };
        self.tell(Some(Event::Group(server.id())));
        if fresh {
            server.greet(bounds)?;
        }
        server.set_environment(&self.tcl_environment())?;
        let told = TOLD.iter().filter(|(_, feature)| self.rules.have(*feature));
        let mut told: Vec<&str> = told.map(|(name, _)| *name).collect();
        if self.request.options.no_commands {
            told.push("no-commands");
        }
        let (told, file, directory) =
            (told.join(" "), file.to_string_lossy(), directory.to_string_lossy());
        let attached = if self.rules.tcl_attached { "1" } else { "0" };
        let [mode, full_name, user_name] = *about;
        let mut words = vec![self.rules.version_text.as_str(), told.as_str(), attached];
        words.extend([&*directory, mode, &*file, full_name, user_name]);
        words.extend(loaded.iter().map(String::as_str));
        let words: Vec<&[u8]> = words.into_iter().map(str::as_bytes).collect();
        server.run(&words, bounds, || {
            // Rc files are read while names are being made; they cannot ask.
            self.names.try_borrow().map(|names| names.listed()).unwrap_or_default()
        })
    }

    /// What Tcl files see of the environment.
    fn tcl_environment(&self) -> Variables {
        let mut environment = self.state.borrow_mut().environment().clone();
        if !(self.rules.tcl_attached || self.rules.have(Feature::CaptureKeepsLibraries)) {
            for name in ["LD_LIBRARY_PATH", "LD_PRELOAD"] {
                environment.insert(name.to_owned(), String::new());
            }
        }
        environment
    }

    fn tcl_failure(&self, program: &Path, failure: &Failure) -> mlua::Error {
        let limits = self.request.limits;
        match failure {
            Failure::Time => self.watch.limit("the modulefile", after(limits.time), None),
            Failure::Memory => {
                let memory = crate::base::ByteSize(limits.memory_bytes);
                self.watch.limit("the modulefile", format!("at {memory} of memory"), None)
            }
            Failure::Gone => {
                self.refuse(format!("`{}` ended before the file's end", program.display()))
            }
            Failure::Io(error) => {
                self.refuse(format!("cannot run `{}`: {error}", program.display()))
            }
        }
    }

    /// The Tcl that there is: the session's own choice, Lmod's neighbour, or that of `PATH`.
    fn tclsh(&self) -> Option<PathBuf> {
        let find = || {
            let environment = &self.request.environment;
            let get = |name: &str| environment.get(name).map(String::as_str).unwrap_or_default();
            let path = get("PATH");
            let mut candidates = Vec::new();
            match get("LMOD_TCLSH") {
                "" => {}
                given if given.contains('/') => candidates.push(PathBuf::from(given)),
                given => candidates.extend(path.split(':').map(|one| Path::new(one).join(given))),
            }
            let lmod = Path::new(get("LMOD_CMD"));
            candidates.extend(lmod.ancestors().skip(1).map(|above| above.join("bin/tclsh")));
            let directories = path.split(':').chain(USUAL);
            candidates.extend(directories.map(|one| Path::new(one).join("tclsh")));
            candidates.into_iter().find(|file| {
                file.is_absolute()
                    && file.is_file()
                    && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
            })
        };
        self.tcl.program.get_or_init(find).clone()
    }
}

/// What a record of an rc file says, as a call.
fn rc_call(record: &[String]) -> Option<String> {
    let words: Vec<&str> = record.iter().map(String::as_str).collect();
    let mut text = String::new();
    match words.as_slice() {
        ["rc", function, words @ ..] => {
            // Lmod writes these as they are.
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            writeln!(text, "{function}({})", words.join(",")).ok()?;
        }
        ["version", module, names @ ..] => {
            let names: Vec<String> =
                names.iter().map(|name| format!("\"{}\"", name.replace('"', "\\\""))).collect();
            writeln!(text, "module_version(\"{module}\",{})", names.join(",")).ok()?;
        }
        ["conditional", function, name, conditions @ ..] => {
            write!(text, "if {function} then {function}{{name=\"{name}\"").ok()?;
            for pair in conditions.chunks(2) {
                let [key, value] = pair else { continue };
                // Lmod takes from Tcl what it refuses from Lua, and overlooks it.
                let idle: &[&str] = match *function {
                    "forbid" | "forbidRegex" => &["kind", "hidden-loaded"],
                    _ => &["message"],
                };
                if !idle.contains(key) {
                    text.push_str(&condition(key, value));
                }
            }
            text.push_str("} end\n");
        }
        _ => {}
    }
    Some(text)
}

/// A condition of `module-hide` or `module-forbid`. Lmod does not know its own `--not-user` and
/// `--not-group` again.
fn condition(key: &str, value: &str) -> String {
    let list = |key: &str| {
        let words: Vec<String> = value
            .split([' ', '\t', '\n', '\r', ','])
            .map(|word| format!("\"{}\"", escape(word)))
            .collect();
        format!(",{key}={{{}}}", words.join(","))
    };
    match key {
        "before" | "after" | "kind" | "message" => format!(",{key}={}", calls::literal(value)),
        "user" => list("userA"),
        "group" => list("groupA"),
        "hidden-loaded" => ",hidden_loaded=true".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_rc_files_become_calls() {
        for (record, want) in [
            (&["rc", "module_alias", "a", "b/1"][..], "module_alias(\"a\",\"b/1\")\n"),
            (&["version", "a/1", "x", "default"], "module_version(\"a/1\",\"x\",\"default\")\n"),
            (
                &["conditional", "hide", "a/1", "kind", "soft", "user", "me you", "not-user", "x"],
                "if hide then hide{name=\"a/1\",kind=\"soft\",userA={\"me\",\"you\"}} end\n",
            ),
        ] {
            let record: Vec<String> = record.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(rc_call(&record).unwrap(), want);
        }
    }
}
