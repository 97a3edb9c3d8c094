//! Nothing that a modulefile can reach runs a program or writes a file, unless a command may run.

use std::fs;

use module_export::modulefile::{EvaluationError, Limits, Options, Request, evaluate};

/// Walks everything within reach.
const WALK: &str = include_str!("reach.lua");

struct Reach {
    top: tempfile::TempDir,
}

impl Reach {
    fn new(chunk: &str) -> Self {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("mf/w")).unwrap();
        let path = top.path().join("chunk.lua");
        fs::write(&path, chunk).unwrap();
        let text = format!("loadfile('{}')()\nsetenv('LOADED', '1')", path.display());
        fs::write(top.path().join("mf/w/1.lua"), text).unwrap();
        Self { top }
    }

    fn mark(&self) -> std::path::PathBuf {
        self.top.path().join("mark")
    }

    /// Loads without commands; a variable's value.
    fn value(&self, name: &str, chosen: Option<usize>) -> Option<String> {
        let mut environment: module_export::environment::Variables = [
            ("MODULEPATH", self.top.path().join("mf").display().to_string()),
            ("PATH", "/usr/bin:/bin".to_owned()),
            ("MARK", self.mark().display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        environment.extend(chosen.map(|at| ("CHOSEN".to_owned(), at.to_string())));
        let request = Request {
            environment,
            load: vec!["w".to_owned()],
            pins: Vec::new(),
            pinned_only: false,
            lmod_version: "9.2.9".to_owned(),
            limits: Limits::default(),
            options: Options { no_commands: true, ..Options::default() },
        };
        match evaluate(&request, &mut |_| ()) {
            Ok(evaluation) => evaluation.environment.get(name).cloned().flatten(),
            Err(EvaluationError::Child { reason, .. }) => panic!("{reason}"),
            Err(_) => None,
        }
    }
}

#[test]
fn no_function_within_reach_writes_or_runs_without_commands() {
    let reach = Reach::new(WALK);
    let count: usize = reach.value("COUNT", None).unwrap().parse().unwrap();
    assert!(count > 250, "only {count} functions found");
    for at in 1..=count {
        let name = reach.value("NAME", Some(at));
        assert!(!reach.mark().exists(), "function {at} of {count}: {name:?}");
    }
}

#[test]
fn strings_cannot_change_how_files_are_opened() {
    let chunk = "for name in next, getmetatable('').__index do\n\
                 getmetatable('').__index[name] = function() return nil end\n\
                 end\n\
                 for _, mode in ipairs({ 'w', 'a', 'r+', 'w+b', 'r\\0w', '\\0w', ' w', 'rw' }) do\n\
                 local opened, file = pcall(io.open, os.getenv('MARK'), mode)\n\
                 if opened and file then file:write('x') file:close() end\n\
                 end";
    let reach = Reach::new(chunk);
    assert_eq!(reach.value("LOADED", None).as_deref(), Some("1"));
    assert!(!reach.mark().exists());
}

#[test]
fn what_must_end_the_evaluation_goes_through_everything_that_catches() {
    for chunk in [
        "pcall(os.exit)",
        "xpcall(os.exit, function() end)",
        "coroutine.resume(coroutine.create(os.exit))",
        "pcall(coroutine.wrap(os.exit))",
        "pcall(table.sort, { 3, 2, 1 }, os.exit)",
        "(function() setmetatable({}, { __gc = function() os.exit(1) end }) end)() collectgarbage()",
        "pcall(string.gsub, 'x', 'x', function() os.exit() end)",
        "pcall(require('os').exit)",
        "pcall(load('os.exit()'))",
        "pcall(os.execute, 'true')",
        "pcall(coroutine.wrap(function() io.popen('true') end))",
    ] {
        assert_eq!(Reach::new(chunk).value("LOADED", None), None, "{chunk}");
    }
}
