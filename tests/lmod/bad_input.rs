//! Modulefiles that misbehave: an error that names them, in time, and nothing left running.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use module_export::base::Interrupt;
use module_export::environment::Variables;
use module_export::modulefile::{
    Evaluation, EvaluationError, Limits, Options, Request, evaluate, evaluate_in_child,
};
use tempfile::TempDir;

/// A directory of `MODULEPATH` with these modulefiles.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let top = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = top.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    top
}

fn request(top: &Path, load: &[&str]) -> Request {
    let environment: Variables = [
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ("MODULEPATH".to_owned(), top.display().to_string()),
        ("TMPDIR".to_owned(), top.display().to_string()),
    ]
    .into();
    Request {
        environment,
        load: load.iter().map(|&name| name.to_owned()).collect(),
        pins: Vec::new(),
        pinned_only: false,
        lmod_version: "8.7.30".to_owned(),
        limits: Limits { time: Duration::from_millis(500), memory_bytes: 96 << 20 },
        options: Options::default(),
    }
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_module-export"))
}

fn in_process(request: &Request) -> Result<Evaluation, EvaluationError> {
    evaluate(request, &mut |_| ())
}

fn in_child(request: &Request) -> Result<Evaluation, EvaluationError> {
    evaluate_in_child(&program(), request, &Interrupt::default())
}

#[test]
fn a_modulefile_that_misbehaves_is_named() {
    let cases = [
        ("syntax", "setenv(\"A\",\"1\")\nif x\n", "line 3"),
        ("unknown function", "\nerror(\"x\")\n", "line 2"),
        ("endless loop", "local x = 1\nwhile true do x = x + 1 end", "after 0.5 s"),
        (
            "endless loop of pcall",
            "while true do pcall(function() while true do end end) end",
            "after 0.5 s",
        ),
        (
            "pcall in pcall",
            "while true do pcall(pcall, function() while true do end end) end",
            "after 0.5 s",
        ),
        ("gigabytes of strings", "local s = ('x'):rep(1e9) .. ('y'):rep(4e9)", "memory"),
        (
            "gigabytes in a table",
            "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
            "memory",
        ),
        (
            "gigabytes under pcall",
            "while true do pcall(function() local t = {} while true do t[#t + 1] = ('x'):rep(99999 + #t) end end) end",
            "memory",
        ),
        ("exit", "setenv(\"A\",\"1\")\nos.exit(0)", "os.exit"),
        ("exit under pcall", "pcall(os.exit, 0)", "os.exit"),
        ("endless recursion", "local function f() return f() + 1 end f()", "stack overflow"),
        ("loads itself", "load('x')", "x"),
        ("binary", "\u{1b}Lua", "binary chunk"),
        ("slow command", "subprocess('sleep 100')", "sleep 100"),
        ("command that stays", "subprocess('sleep 100 & sleep 0')", "sleep 100"),
        ("too many commands", "while true do subprocess('true') end", "commands"),
        ("refuses", "LmodError('not here')", "not here"),
        ("refuses under pcall", "pcall(LmodError, 'not here')", "not here"),
    ];
    for (name, text, want) in cases {
        let top = tree(&[("x/1.lua", text), ("outer/1.lua", "load('x/1')\n")]);
        let mut request = request(top.path(), &["outer"]);
        if !want.starts_with("after") && !want.starts_with("sleep") {
            // Something else ends it, at its leisure.
            request.limits.time = Duration::from_secs(30);
        }
        for evaluate in [in_process, in_child] {
            let begun = Instant::now();
            let error = evaluate(&request).unwrap_err();
            let shown = error.to_string();
            assert!(shown.contains(want), "{name}: {shown}");
            assert!(shown.contains("/x/1.lua"), "{name}: {shown}");
            assert!(shown.contains("outer/1 loaded x/1"), "{name}: {shown}");
            assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
        }
    }
}

#[test]
fn what_lua_cannot_stop_the_parent_stops() {
    let backtrack = "('a'):rep(50):find(('a?'):rep(50) .. ('a'):rep(50))";
    for text in
        [backtrack.to_owned(), format!("while true do pcall(function() {backtrack} end) end")]
    {
        let top = tree(&[
            ("x/1.lua", &text),
            ("outer/1.lua", "load('y')\nload('x/1')\n"),
            ("y/1.lua", ""),
        ]);
        let begun = Instant::now();
        let error = in_child(&request(top.path(), &["outer"])).unwrap_err();
        assert!(error.to_string().contains("/x/1.lua"), "{error}");
        assert!(matches!(error, EvaluationError::Limit { .. }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn an_interrupt_ends_the_child_and_its_command() {
    let top = tree(&[("x/1.lua", "subprocess('echo $$ > pid; exec sleep 100')")]);
    let mut request = request(top.path(), &["x"]);
    request.limits.time = Duration::from_secs(60);
    let interrupt = Interrupt::default();
    let begun = Instant::now();
    let error = std::thread::scope(|scope| {
        let setter = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            interrupt.set();
        });
        let result = evaluate_in_child(&program(), &request, &interrupt);
        setter.join().unwrap();
        result.unwrap_err()
    });
    assert_eq!(error, EvaluationError::Interrupted);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let left = module_export::base::fs::sorted_dir(top.path()).unwrap();
    assert_eq!(left, ["x"], "scratch is gone");
}

#[test]
fn a_program_that_is_none_is_an_error() {
    let top = tree(&[("x/1.lua", "")]);
    for program in ["/nonexistent/program", "/bin/true", "/bin/echo"] {
        let result = evaluate_in_child(
            Path::new(program),
            &request(top.path(), &["x"]),
            &Interrupt::default(),
        );
        assert!(matches!(result, Err(EvaluationError::Child { .. })), "{program}: {result:?}");
    }
}

#[test]
fn child_and_process_give_the_same() {
    let top = tree(&[
        ("x/1.lua", "setenv('A', subprocess('printf hi'))\nload('y')\nwhatis('w')\nhelp('h')"),
        ("y/2.lua", "prepend_path('P', '/y')\nLmodMessage('m')"),
    ]);
    let request = request(top.path(), &["x"]);
    let here = in_process(&request).unwrap();
    assert_eq!(in_child(&request).unwrap(), here);
    assert_eq!(here.environment["A"].as_deref(), Some("hi"));
    assert_eq!(here.modules[1].whatis, ["w"]);
    assert_eq!(here.modules[1].help.as_deref(), Some("h"));
    assert_eq!(here.modules[1].dependencies, ["y/2"]);
    assert_eq!(here.messages[0].text, "m");
    assert_eq!(here.messages[0].origin, "y/2");
}

#[test]
fn a_long_chain_of_loads_works_and_an_endless_one_ends() {
    let files: Vec<(String, String)> = (0..80)
        .map(|at| (format!("m{at}/1.lua"), format!("load('m{}')\nsetenv('M{at}','1')", at + 1)))
        .chain([("m80/1.lua".to_owned(), String::new())])
        .collect();
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let top = tree(&files);
    let evaluation = in_child(&request(top.path(), &["m0"])).unwrap();
    assert_eq!(evaluation.modules.len(), 81);
    assert_eq!(evaluation.modules[0].full_name, "m80/1");
}

#[test]
fn a_name_that_is_missing_comes_with_near_ones_and_the_chain() {
    let top = tree(&[("GROMACS/2024.1.lua", ""), ("a/1.lua", "load('GROMCAS')")]);
    let error = in_process(&request(top.path(), &["a"])).unwrap_err();
    let EvaluationError::NotFound { missing, chain } = error else { panic!("{error:?}") };
    assert_eq!(missing[0].name, "GROMCAS");
    assert_eq!(missing[0].near, ["GROMACS"]);
    assert_eq!(chain.0, ["a/1", "GROMCAS"]);
}

#[test]
fn a_tcl_modulefile_is_named() {
    let top = tree(&[("x/1", "#%Module1.0\nsetenv A 1\n")]);
    let error = in_process(&request(top.path(), &["x"])).unwrap_err();
    assert!(matches!(error, EvaluationError::Tcl { .. }));
    assert!(error.to_string().contains("/x/1") && error.to_string().contains("not supported yet"));
}

#[test]
fn commands_get_no_stdin_and_an_empty_directory() {
    let top = tree(&[(
        "x/1.lua",
        "setenv('IN', subprocess('cat; ls -A; echo $A'))\nsetenv('A','1')\n\
         setenv('OUT', subprocess('echo $A'))",
    )]);
    let evaluation = in_child(&request(top.path(), &["x"])).unwrap();
    assert_eq!(evaluation.environment["IN"].as_deref(), Some("\n"));
    assert_eq!(evaluation.environment["OUT"].as_deref(), Some("1\n"));
    assert_eq!(evaluation.commands[0].function, "subprocess");
}
