//! Modulefiles that misbehave: an error that names them, in time, and nothing left running.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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

/// Text of a modulefile, and what must be said about it.
const MISBEHAVIOUR: &[(&str, &str, &str)] = &[
    // time
    ("endless loop", "local x = 1 while true do x = x + 1 end", "after 1 s"),
    ("goto", "::again:: goto again", "after 1 s"),
    ("pcall", "while true do pcall(function() while true do end end) end", "after 1 s"),
    (
        "pcall in pcall",
        "while true do pcall(pcall, function() while true do end end) end",
        "after 1 s",
    ),
    ("tail calls", "local function f() return f() end f()", "after 1 s"),
    (
        "sort",
        "local t = {} for i = 1, 9e5 do t[i] = i end while true do table.sort(t, function(a, b) return a > b end) end",
        "after 1 s",
    ),
    (
        "callbacks of gsub",
        "while true do pcall(string.gsub, ('x'):rep(9), 'x', function() pcall(function() while true do end end) end) end",
        "after 1 s",
    ),
    ("chunks", "while true do load('x = 1') end", "after 1 s"),
    (
        "our own functions",
        "while true do isDir('/') pathJoin('a', 'b'); ('a:b'):split(':') end",
        "after 1 s",
    ),
    ("names", "while true do isAvail('bad') isloaded('good') end", "after 1 s"),
    ("variables", "while true do setenv('A', '1') unsetenv('A') end", "after 1 s"),
    ("lists", "for i = 1, 1e9 do append_path('P', '/x' .. i) end", "after 1 s"),
    ("pushes", "while true do pushenv('A', 'x') end", "after 1 s"),
    ("dependencies", "while true do depends_on('good') end", "after 1 s"),
    ("breaks", "while true do pcall(LmodBreak) end", "after 1 s"),
    ("texts", "while true do io.stderr:write('x') print('x') end", "after 1 s"),
    // time where Lua itself cannot be interrupted
    ("back and forth", "('a'):rep(50):find(('a?'):rep(50)..('a'):rep(50))", "after 1 s"),
    (
        "back and forth under pcall",
        "while true do pcall(string.find, ('a'):rep(50), ('a?'):rep(50) .. ('a'):rep(50)) end",
        "after 1 s",
    ),
    (
        "back and forth in gsub",
        "('a'):rep(50):gsub(('a?'):rep(50)..('a'):rep(50), '')",
        "after 1 s",
    ),
    ("long match", "('a'):rep(30000):match('.-.-.-b')", "after 1 s"),
    ("a device", "io.open('/dev/zero'):read('*a')", "stopped"),
    ("a pipe", "io.open('$TOP/pipe'):read('*a')", "after 1 s"),
    // memory
    ("one string", "local s = ('x'):rep(1e10)", "resulting string too large"),
    ("half the string", "local s = ('x'):rep(1e9) .. ('y'):rep(4e9)", "memory"),
    ("strings under pcall", "while true do pcall(string.rep, 'x', 1e9) end", "memory"),
    ("doubling", "local s = ('x'):rep(4e6) while true do s = s .. s end", "memory"),
    ("a table", "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end", "memory"),
    (
        "tables under pcall",
        "while true do pcall(function() local t = {} while true do t[#t + 1] = ('x'):rep(99999 + #t) end end) end",
        "memory",
    ),
    ("bytes", "('x'):rep(1e6):byte(1, -1)", "string slice too long"),
    ("unpacking", "unpack({}, 1, 1e8)", "too many results to unpack"),
    ("a wide number", "string.format('%99999999d', 1)", "invalid conversion"),
    ("a far place", "table.insert({}, 1e15, 1)", "position out of bounds"),
    ("dates", "while true do os.date(('%c'):rep(1e5)) end", "after 1 s"),
    // depth
    ("recursion", "local function f() return f() + 1 end f()", "stack overflow"),
    ("parentheses", "x = $DEEP", "limit of 200"),
    ("loads itself", "load('bad')", "bad/1.0"),
    ("loads each other", "load('loop')", "loop/1"),
    // endings
    ("syntax", "setenv(\"A\" \"B\")", "line 2"),
    ("unfinished", "if x", "line"),
    ("no such function", "error('x')", "line 2"),
    ("no coroutines", "coroutine.wrap(function() end)()", "coroutine"),
    ("error in pcall's function", "assert(pcall(assert, nil))", "assertion failed"),
    ("refuses", "LmodError('not \\27[31mtoday')", "not \\u{1b}[31mtoday"),
    ("refuses under pcall", "pcall(LmodError, 'not here')", "not here"),
    ("bytecode", "\u{1b}Lua\u{54}\0", "binary chunk"),
    ("NUL", "setenv('A', '1')\0", "unexpected symbol"),
    // commands
    ("slow", "subprocess('sleep 100')", "sleep 100"),
    ("slow under pcall", "pcall(subprocess, 'sleep 100')", "sleep 100"),
    ("captured", "capture('sleep 100')", "sleep 100"),
    ("read", "io.popen('sleep 100'):read('*a')", "sleep 100"),
    ("executed", "os.execute('sleep 100')", "sleep 100"),
    ("sourced", "source_sh('bash', '$TOP/slow.sh')", "slow.sh"),
    ("stays", "subprocess('sleep 100 & sleep 0')", "sleep 100"),
    ("talks", "capture('yes')", "of output"),
    ("too many", "while true do subprocess(':') end", "after 1000 commands"),
];

/// A directory of `MODULEPATH` whose module `good` loads `bad`.
fn misbehaving(text: &str) -> TempDir {
    let deep = format!("{}1{}", "(".repeat(9999), ")".repeat(9999));
    let top = tree(&[
        ("good/1.0.lua", "depends_on('bad')\n"),
        ("loop/1.lua", "load('loop2')"),
        ("loop2/1.lua", "load('loop')"),
        ("slow.sh", "sleep 100\n"),
    ]);
    let text = text.replace("$TOP", &top.path().display().to_string()).replace("$DEEP", &deep);
    let text = if text.starts_with('\u{1b}') { text } else { format!("\n{text}\n") };
    fs::create_dir_all(top.path().join("bad")).unwrap();
    fs::write(top.path().join("bad/1.0.lua"), text).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        top.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    top
}

/// Whether only the clock ends it; what something else ends may take its time on a busy machine.
fn ends_by_time(want: &str) -> bool {
    want.starts_with("after 1 s") || want.starts_with("after 0.5") || want.contains("sl")
}

/// What is wrong with how the program deals with one text.
fn wrong(name: &str, text: &str, want: &str) -> Option<String> {
    let top = misbehaving(text);
    let begun = Instant::now();
    // Whatever it uses beyond its own limits, the shell's ends it.
    let output = Command::new("/bin/sh")
        .args(["-c", "ulimit -v 6000000; exec \"$@\"", "sh"])
        .arg(program())
        .args(["env", "--clean", "--format", "json", "good"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("MODULEPATH", top.path())
        .env("TMPDIR", top.path())
        .env("MODULE_EXPORT_EVALUATION_SECONDS", if ends_by_time(want) { "1" } else { "20" })
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let left = module_export::base::fs::sorted_dir(top.path()).unwrap();
    let checks = [
        ("status", output.status.code() == Some(1)),
        ("stdout", output.stdout.is_empty()),
        ("reason", said.contains(want)),
        ("file", said.contains("/bad/1.0.lua") || said.contains("/loop")),
        ("chain", said.contains("good/1.0 loaded bad/1.0")),
        ("escape", !said.contains('\u{1b}')),
        ("panic", !said.contains("panicked")),
        ("time", begun.elapsed() < Duration::from_secs(30)),
        ("scratch", left.len() == 6),
    ];
    let failed: Vec<&str> =
        checks.iter().filter(|(_, fine)| !fine).map(|(what, _)| *what).collect();
    (!failed.is_empty())
        .then(|| format!("{name}: {} after {:?}:\n{said}", failed.join(", "), begun.elapsed()))
}

#[test]
fn a_modulefile_that_misbehaves_is_named_with_the_chain_that_led_to_it() {
    let found: Vec<String> = std::thread::scope(|scope| {
        let part = |at: usize| MISBEHAVIOUR.iter().skip(at).step_by(4);
        let workers: Vec<_> = (0..4)
            .map(|at| {
                scope.spawn(move || {
                    part(at).filter_map(|(name, text, want)| wrong(name, text, want)).collect()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|_| vec!["?".into()]))
            .collect()
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn within_the_process_the_same_limits_hold_where_lua_can_be_interrupted() {
    let texts = [
        ("while true do pcall(function() while true do end end) end", "after 0.5 s"),
        ("while true do pcall(string.rep, 'x', 1e9) end", "memory"),
        ("local function f() return f() + 1 end f()", "stack overflow"),
        ("subprocess('sleep 100')", "sleep 100"),
    ];
    for (text, want) in texts {
        let top = misbehaving(text);
        let mut request = request(top.path(), &["good"]);
        if !ends_by_time(want) {
            request.limits.time = Duration::from_secs(20);
        }
        let error = in_process(&request).unwrap_err().to_string();
        assert!(error.contains(want) && error.contains("/bad/1.0.lua"), "{text}: {error}");
        assert!(error.contains("good/1.0 loaded bad/1.0"), "{text}: {error}");
    }
}

#[test]
fn what_is_no_regular_file_is_no_modulefile() {
    let top = tree(&[("dir/1.lua/x", ""), ("sparse/1.lua", "")]);
    let path = |name: &str| top.path().join(name);
    for name in ["link", "device"] {
        fs::create_dir_all(path(name)).unwrap();
    }
    std::os::unix::fs::symlink("1.lua", path("link/1.lua")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path("device/1.lua")).unwrap();
    fs::File::options().write(true).open(path("sparse/1.lua")).unwrap().set_len(1 << 30).unwrap();
    for name in ["dir", "link", "device"] {
        let error = in_child(&request(top.path(), &[name])).unwrap_err();
        assert!(matches!(error, EvaluationError::NotFound { .. }), "{name}: {error:?}");
    }
    let error = in_child(&request(top.path(), &["sparse"])).unwrap_err();
    assert!(error.to_string().contains("longer than 64 MiB"), "{error}");
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

    // what a module adds hides it, and what comes then hides that no more
    let top = tree(&[("low/a/2.lua", "")]);
    let low = top.path().join("low");
    let text = format!("prepend_path('MODULEPATH', '{}')\n", low.display());
    fs::create_dir_all(top.path().join("top/a")).unwrap();
    fs::write(top.path().join("top/a/1.lua"), text).unwrap();
    let mut request = request(&top.path().join("top"), &["a", "a"]);
    request.lmod_version = "8.6.19".to_owned();
    request.environment.insert("TMPDIR".to_owned(), "/tmp".to_owned());
    let error = in_child(&request).unwrap_err();
    let EvaluationError::Limit { what, .. } = &error else { panic!("{error}") };
    assert_eq!(what, "an endless recursion of loads");
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
