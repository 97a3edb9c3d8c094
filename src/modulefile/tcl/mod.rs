//! Tcl modulefiles and Tcl rc files.
//!
//! Lmod translates a Tcl modulefile as a whole into Lua, and evaluates that: nothing takes effect
//! while the file runs. Here a `tclsh` runs the file and answers with what it said (`prelude.tcl`,
//! `server`), which is then written as the same Lua (`calls`).

mod calls;
mod environment;
mod literal;
mod server;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mlua::chunk::ChunkMode;

use self::calls::escape;
use self::environment::{Known, must_be_given};
use self::server::{Bounds, Failure, Question, Server, yes_or_no};
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
const TOLD: [(&str, Feature); 14] = [
    ("any", Feature::TclDependsOnAny),
    ("dynamic", Feature::TclDynamic),
    ("getenv", Feature::TclGetenv),
    ("help", Feature::TclHelp),
    ("numbers", Feature::TclNumbers),
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
    known: RefCell<Known>,
}

/// A file to run.
struct Run<'a> {
    file: &'a Path,
    text: &'a [u8],
    mode: &'a str,
    full_name: &'a str,
    user_name: &'a str,
}

impl Evaluator<'_> {
    /// What a Tcl modulefile says in the present mode.
    pub(super) fn tcl_modulefile(
        &self,
        full_name: &str,
        file: &Path,
        text: &[u8],
    ) -> mlua::Result<Calls> {
        let unloading = self.mode() == Mode::Unload;
        let mut calls = Calls::default();
        if !self.is_path_usable(file) {
            let message = "Lmod cannot hand this path to Tcl: it has blanks or signs of the shell";
            calls.fail(message, "0");
            return Ok(calls);
        }
        let user_name = self.state.borrow().frames.last().map(|frame| frame.user_name.clone());
        let user_name = user_name.unwrap_or_default();
        let mode = if unloading { "remove" } else { "load" };
        let run = Run { file, text, mode, full_name, user_name: &user_name };
        for record in self.run_tcl(&run)? {
            match record.first().map(String::as_str) {
                Some("failed") => {
                    let [_, message, line] = record.as_slice() else { continue };
                    calls.fail(message, line);
                    break;
                }
                Some("leak") => self.leak(&record),
                Some("note") => self.note_command(&record)?,
                Some("wrote") => self.note_write(&record),
                _ => calls.add(&record),
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
        let begun = self.watch.enter(&path.to_string_lossy(), path);
        self.tell(Some(begun));
        if !self.is_path_usable(path) {
            let message = "Lmod cannot hand the path of this rc file to Tcl: it has blanks or \
                           signs of the shell";
            return Err(self.refuse(message.to_owned()));
        }
        let run = Run { file: path, text, mode: "rc", full_name: "", user_name: "" };
        let mut text = String::new();
        for record in self.run_tcl(&run)? {
            match record.first().map(String::as_str) {
                Some("exited") => {
                    self.rc_exited(&record)?;
                    text.clear();
                }
                Some("failed") => return Err(self.rc_failed(&record)),
                Some("printed") if !self.rules.tcl_attached => {
                    return Err(self.refuse("the rc file prints a text".to_owned()));
                }
                Some("leak") => self.leak(&record),
                Some("note") => self.note_command(&record)?,
                Some("wrote") => self.note_write(&record),
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

    /// The rc file has ended the Tcl that reads it: where that is Lmod's own process, Lmod; else
    /// what it has said is lost, and Lmod looks at the status.
    fn rc_exited(&self, record: &[String]) -> mlua::Result<()> {
        drop(self.tcl.server.borrow_mut().take());
        let status = record.get(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        if self.rules.tcl_attached {
            let (file, chain) = (self.watch.file(), self.watch.chain());
            return Err(self.watch.end(EvaluationError::Exit { status, file, line: None, chain }));
        }
        match status {
            0 => Ok(()),
            _ => Err(self.refuse(format!("the rc file exits with status {status}"))),
        }
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

    /// Files are written in name only.
    fn note_write(&self, record: &[String]) {
        if let [_, function, text] = record {
            self.shell_text(function, text.clone());
        }
    }

    /// Whether the path survives on the command line that Lmod makes of it.
    fn is_path_usable(&self, path: &Path) -> bool {
        let signs = if self.rules.tcl_attached { " \t" } else { " \t\n;&|<>()$`\\\"'" };
        !path.to_string_lossy().contains(|c| signs.contains(c))
    }

    /// Whether `is-loaded` knows an active module by the name.
    fn is_known_as_loaded(&self, name: &str) -> bool {
        let state = self.state.borrow();
        let active = state.modules().filter(|(_, entry)| entry.status == Status::Active);
        let mut names = active.flat_map(|(name, entry)| [name, &entry.user_name, &entry.full_name]);
        names.any(|names| names.split(':').any(|one| one == name))
    }

    /// Runs a file of Tcl.
    fn run_tcl(&self, run: &Run) -> mlua::Result<Vec<Vec<String>>> {
        let Some(program) = self.tclsh() else {
            let (file, chain) = (run.file.to_owned(), self.watch.chain());
            return Err(self.watch.end(EvaluationError::Tcl { file, chain }));
        };
        self.watch.pause();
        self.tell(Some(Event::Command(format!("tclsh {}", run.file.display()))));
        let bounds = Bounds {
            deadline: Instant::now() + self.request.limits.time,
            memory_bytes: self.request.limits.memory_bytes,
        };
        let result = self.ask_tclsh(&program, bounds, run);
        if result.is_err() {
            drop(self.tcl.server.borrow_mut().take());
        }
        self.tell(Some(self.watch.resume()));
        result.map_err(|failure| self.tcl_failure(&program, &failure))
    }

    fn ask_tclsh(
        &self,
        program: &Path,
        bounds: Bounds,
        run: &Run,
    ) -> Result<Vec<Vec<String>>, Failure> {
        let directory = self.runner.directory(&self.request.environment)?;
        let mut server = self.tcl.server.borrow_mut();
        let fresh = server.is_none();
        if fresh {
            self.tcl.known.take();
            self.state.borrow_mut().touch_all();
            *server = Some(self.runner.lifted(|| Server::start(program, &directory))?);
        }
        let Some(server) = server.as_mut() else { return Err(Failure::Gone) };
        self.tell(Some(Event::Group(server.id())));
        if fresh {
            server.greet(bounds)?;
        }
        let given = must_be_given(run.text);
        let changes = if given { self.environment_for_tcl("") } else { Vec::new() };
        let told = TOLD.iter().filter(|(_, feature)| self.rules.have(*feature));
        let mut told: Vec<&str> = told.map(|(name, _)| *name).collect();
        if self.request.options.no_commands {
            told.push("no-commands");
        }
        let (told, file, directory) =
            (told.join(" "), run.file.to_string_lossy(), directory.to_string_lossy());
        let flag = |on: bool| if on { "1" } else { "0" };
        let (attached, given) = (flag(self.rules.tcl_attached), flag(given));
        let seconds = bounds.seconds_left().to_string();
        let words = [&self.rules.version_text, &told, attached, given, &seconds, &*directory];
        let words = words.into_iter().chain([run.mode, &file, run.full_name, run.user_name]);
        let words: Vec<&[u8]> = words.map(str::as_bytes).collect();
        let available = OnceCell::new();
        server.run(changes, &words, bounds, |question| match question {
            Question::Environment(name) => {
                [self.environment_for_tcl(&name).as_slice(), b"done\n"].concat()
            }
            Question::Loaded(name) => yes_or_no(self.is_known_as_loaded(&name)),
            // Rc files are read while names are being made; they cannot ask.
            Question::Available(name) => yes_or_no(
                available
                    .get_or_init(|| self.names.try_borrow().map(|names| names.listed()))
                    .as_ref()
                    .is_ok_and(|names| names.contains(&name)),
            ),
        })
    }

    /// Lines that tell Tcl how a variable, or (of an empty name) the environment, has changed.
    fn environment_for_tcl(&self, name: &str) -> Vec<u8> {
        let keeps = self.rules.tcl_attached || self.rules.have(Feature::CaptureKeepsLibraries);
        let hidden: &[&str] = if keeps { &[] } else { &["LD_LIBRARY_PATH", "LD_PRELOAD"] };
        let mut state = self.state.borrow_mut();
        let names = if name.is_empty() {
            let mut names = state.take_touched();
            names.extend(hidden.iter().map(|&name| name.to_owned()));
            names
        } else {
            BTreeSet::from([name.to_owned()])
        };
        self.tcl.known.borrow_mut().lines(names.into_iter().map(|name| {
            let is_hidden = hidden.contains(&name.as_str());
            let value = if is_hidden { Some(String::new()) } else { state.getenv(&name) };
            (name, value)
        }))
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
