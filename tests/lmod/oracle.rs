//! Real Lmod in a clean environment, and the same load by us.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use module_export::environment::Variables;
use module_export::modulefile::{Evaluation, EvaluationError, Limits, Options, Request, evaluate};
use module_export::stack::LuaVersion;
use tempfile::TempDir;

/// Where Debian's package has Lmod; `LMOD_UNDER_TEST` names another's `libexec/lmod`.
const DEBIANS: &str = "/usr/share/lmod/lmod/libexec/lmod";

/// A switch of the test run.
#[allow(clippy::disallowed_methods, reason = "a switch of the test run")]
pub(super) fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The Lmod that is the oracle.
pub(super) fn lmod() -> PathBuf {
    switch("LMOD_UNDER_TEST").unwrap_or_else(|| DEBIANS.to_owned()).into()
}

/// One `module load`.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// The whole environment.
    pub(super) environment: Variables,
    /// Words after `load`.
    pub(super) words: Vec<String>,
    /// The Lua that runs Lmod, where it is not that of the oracle's first line.
    pub(super) lua: Option<LuaVersion>,
}

/// What a load did, comparable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The environment afterwards, without internals, and `LOADEDMODULES` and `_LMFILES_`.
    Loaded(BTreeMap<String, String>),
    /// Refused: nothing changed.
    Refused,
}

/// Lmod's version, or `None` with a note (a panic where `REQUIRE_TOOLS=1`).
pub(super) fn lmod_version() -> Option<String> {
    let lmod = lmod();
    if !lmod.exists() {
        assert!(switch("REQUIRE_TOOLS").is_none(), "no Lmod at {}", lmod.display());
        eprintln!("skipped: no Lmod at {}", lmod.display());
        return None;
    }
    let version = lmod.with_file_name("Version.lua");
    let text = std::fs::read_to_string(version).unwrap();
    let tag = text.lines().find(|line| line.contains("function M.tag"));
    let quoted = tag.and_then(|line| line.split('"').nth(1)).unwrap_or("8.6.19");
    Some(quoted.to_owned())
}

/// A copy of the oracle that another version of Lua runs: its texts name interpreter and libraries.
fn lmod_on(lua: LuaVersion) -> PathBuf {
    static COPIES: OnceLock<Mutex<BTreeMap<LuaVersion, TempDir>>> = OnceLock::new();
    let mut copies = COPIES.get_or_init(Mutex::default).lock().unwrap();
    let copy = copies.entry(lua).or_insert_with(|| {
        let copy = tempfile::tempdir().unwrap();
        let from = lmod();
        let from = from.parent().and_then(|libexec| libexec.parent()).unwrap();
        copy_for(from, copy.path(), lua);
        copy
    });
    copy.path().join("libexec/lmod")
}

/// The program's name, and that of the directories where it looks for libraries.
fn names_of(lua: LuaVersion) -> (String, String) {
    match lua {
        LuaVersion::LuaJit => ("luajit".to_owned(), "5.1".to_owned()),
        other => (format!("lua{other}"), other.to_string()),
    }
}

fn copy_for(from: &Path, to: &Path, lua: LuaVersion) {
    let (program, libraries) = names_of(lua);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // libraries of C are of one version; Debian has those of the others where Lua looks
        if source.is_dir() && entry.file_name() != "lib" {
            copy_for(&source, &target, lua);
        } else if let Ok(text) = fs::read_to_string(&source) {
            let text = text.replace("lua5.3", &program);
            fs::write(&target, text.replace("lua/5.3", &format!("lua/{libraries}"))).unwrap();
            fs::set_permissions(&target, fs::metadata(&source).unwrap().permissions()).unwrap();
        }
    }
}

impl Load {
    /// A load in a clean environment with this `MODULEPATH`.
    pub(super) fn new(modulepath: &str, words: &[&str]) -> Self {
        let pairs = [
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/nonexistent/home"),
            ("USER", "somebody"),
            ("MODULEPATH", modulepath),
        ];
        Self {
            environment: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            words: words.iter().map(|&word| word.to_owned()).collect(),
            lua: None,
        }
    }

    /// The same load with one more variable.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Whether the Lua that it needs is here; a note (a panic where `REQUIRE_TOOLS=1`) if not.
    #[allow(clippy::disallowed_methods, reason = "a switch of the test run")]
    pub(super) fn can_run(&self) -> bool {
        let Some(lua) = self.lua else { return true };
        let program = format!("/usr/bin/{}", names_of(lua).0);
        let there = PathBuf::from(&program).exists();
        assert!(there || std::env::var("REQUIRE_TOOLS").is_err(), "no {program}");
        if !there {
            eprintln!("skipped: no {program}");
        }
        there
    }

    /// What we do.
    pub(super) fn evaluate(&self, version: &str) -> Result<Evaluation, EvaluationError> {
        let request = Request {
            environment: self.environment.clone(),
            load: self.words.clone(),
            pins: Vec::new(),
            pinned_only: false,
            lmod_version: version.to_owned(),
            limits: Limits::default(),
            options: Options { lua: self.lua.unwrap_or_default(), ..Options::default() },
        };
        evaluate(&request, &mut |_| ())
    }

    /// What we do, comparable.
    pub(super) fn ours(&self, version: &str) -> (Outcome, Option<EvaluationError>) {
        let evaluation = match self.evaluate(version) {
            Ok(evaluation) => evaluation,
            Err(error) => return (Outcome::Refused, Some(error)),
        };
        let mut environment = self.environment.clone();
        for (name, value) in &evaluation.environment {
            match value {
                Some(value) => drop(environment.insert(name.clone(), value.clone())),
                None => drop(environment.remove(name)),
            }
        }
        let join = |texts: Vec<String>| texts.join(":");
        if !evaluation.modules.is_empty() {
            let names = evaluation.modules.iter().map(|one| one.listed_name.clone()).collect();
            environment.insert("LOADEDMODULES".to_owned(), join(names));
            let files: Vec<PathBuf> =
                evaluation.modules.iter().map(|one| one.file.clone()).collect();
            let files = files.iter().map(|file| file.display().to_string()).collect();
            environment.insert("_LMFILES_".to_owned(), join(files));
        }
        (Outcome::Loaded(comparable(environment)), None)
    }

    /// What real Lmod does, with what it says.
    pub(super) fn real(&self) -> (Outcome, String) {
        let lmod = self.lua.map_or_else(lmod, lmod_on).display().to_string();
        // An Lmod that ends by a Lua error prints nothing; one of its loops takes more and more memory.
        let script = format!(
            "text=$(/usr/bin/timeout 60 {lmod} bash load \"$@\"); eval \"$text\"; status=$?; \
             test -n \"$text\" || status=1; unset text; \
             printf '%s\\0' $status; unset status; exec /usr/bin/env -0"
        );
        let output = Command::new("/bin/bash")
            .args(["--noprofile", "--norc", "-c", &script, "bash"])
            .args(&self.words)
            .env_clear()
            .envs(&self.environment)
            // the copy for another Lua is without it
            .envs(self.lua.map(|_| ("LMOD_FAST_TCL_INTERP", "no")))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        // What the shell itself printed while it ran Lmod's text comes before the status.
        let (status, rest) = printed.split_once('\0').unwrap();
        let environment: Variables = rest
            .split('\0')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        // A warning makes Lmod 8 answer 1 although it has loaded everything.
        let loaded = environment.contains_key("LOADEDMODULES")
            || environment.keys().any(|name| name.starts_with("_ModuleTable"));
        // Since 9.1 a name that could be loaded from elsewhere is a warning only, though it is not loaded.
        let elsewhere = said.contains("exist but cannot be loaded as");
        if (status.ends_with('0') || loaded) && !elsewhere {
            (Outcome::Loaded(comparable(environment)), said)
        } else {
            (Outcome::Refused, said)
        }
    }

    /// The first difference between Lmod and us, in words.
    pub(super) fn difference(&self, version: &str) -> Option<String> {
        let (real, said) = self.real();
        let (ours, error) = self.ours(version);
        if real == ours {
            return None;
        }
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        let detail = match (&real, &ours) {
            (Outcome::Loaded(real), Outcome::Loaded(ours)) => compare(real, ours),
            (Outcome::Loaded(_), Outcome::Refused) => format!("only we refuse: {error}"),
            _ => format!("only Lmod refuses: {said}"),
        };
        Some(format!("load {}: {detail}", self.words.join(" ")))
    }

    /// What a load changed; `None` if it was refused.
    pub(super) fn delta(&self, outcome: &Outcome) -> Option<BTreeMap<String, Option<String>>> {
        let Outcome::Loaded(after) = outcome else { return None };
        let before = comparable(self.environment.clone());
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        let gone = gone.map(|name| (name.clone(), None));
        let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
        let changed = changed.map(|(name, value)| (name.clone(), Some(value.clone())));
        Some(gone.chain(changed).collect())
    }
}

fn compare(real: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> String {
    let mut names: Vec<&String> = real.keys().chain(ours.keys()).collect();
    names.sort();
    names.dedup();
    let lines = names.into_iter().filter(|name| real.get(*name) != ours.get(*name));
    lines.fold(String::new(), |text, name| {
        let (real, ours) = (real.get(name), ours.get(name));
        format!("{text}\n  {name}\n    Lmod {real:?}\n    ours {ours:?}")
    })
}

/// Leaves out what belongs to the shell or to Lmod itself.
fn comparable(environment: Variables) -> BTreeMap<String, String> {
    let internal = |name: &str| {
        matches!(name, "PWD" | "OLDPWD" | "SHLVL" | "_")
            || name.starts_with("_ModuleTable")
            || name.starts_with("__LMOD_")
            || (name.starts_with("LMOD_") && !name.starts_with("LMOD_FAMILY_"))
    };
    environment.into_iter().filter(|(name, _)| !internal(name)).collect()
}

/// All differences of many loads, two at a time.
pub(super) fn differences(loads: &[(String, Load)], version: &str) -> Vec<String> {
    let found = in_two(loads, &|(name, load): &(String, Load)| {
        load.difference(version).map(|text| format!("{name}: {text}"))
    });
    found.into_iter().flatten().collect()
}

/// Does `work` on each item, two at a time.
pub(super) fn in_two<T: Sync, R: Send>(items: &[T], work: &(dyn Fn(&T) -> R + Sync)) -> Vec<R> {
    let half = items.len().div_ceil(2).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(half)
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<_>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}
