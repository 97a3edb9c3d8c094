//! Tcl modulefiles and rc files that go wrong, or would do harm.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use module_export::modulefile::{
    Evaluation, EvaluationError, Event, Limits, Options, Request, evaluate,
};

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = top.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    top
}

fn request(top: &Path, words: &[&str]) -> Request {
    let pairs = [
        ("PATH", "/usr/bin:/bin".to_owned()),
        ("HOME", "/nonexistent".to_owned()),
        ("MODULEPATH", top.display().to_string()),
    ];
    Request {
        environment: pairs.map(|(name, value)| (name.to_owned(), value)).into(),
        load: words.iter().map(|&word| word.to_owned()).collect(),
        pins: Vec::new(),
        pinned_only: false,
        lmod_version: "9.2.9".to_owned(),
        limits: Limits::default(),
        options: Options::default(),
    }
}

fn run(request: &Request) -> Result<Evaluation, EvaluationError> {
    evaluate(request, &mut |_| ())
}

/// A visible skip, or a panic where `REQUIRE_TOOLS=1`.
#[allow(clippy::disallowed_methods, reason = "a switch of the test run")]
fn tclsh_is_there() -> bool {
    let there = Path::new("/usr/bin/tclsh").exists();
    if !there {
        assert!(std::env::var("REQUIRE_TOOLS").is_err(), "no tclsh");
        eprintln!("skipped: no tclsh");
    }
    there
}

#[test]
fn a_program_that_is_no_tclsh_is_an_error_that_names_the_file() {
    let top = tree(&[
        ("x/1", "#%Module1.0\nsetenv A 1\n"),
        ("y/1.lua", ""),
        ("y/.version", "#%Module\nset ModulesVersion 1\n"),
    ]);
    let mut request = request(top.path(), &["x"]);
    request.environment.insert("LMOD_TCLSH".to_owned(), "/usr/bin/env".to_owned());
    let error = run(&request).unwrap_err();
    assert!(error.to_string().contains("/x/1"), "{error}");
    // A plain `.version` needs none.
    request.load = vec!["y".to_owned()];
    assert_eq!(run(&request).unwrap().modules.len(), 1);
}

#[test]
fn an_error_in_tcl_has_file_line_and_chain() {
    if !tclsh_is_there() {
        return;
    }
    let top = tree(&[
        ("a/1.lua", "load('b')"),
        ("b/1", "#%Module\nmodule load c\n"),
        ("c/1", "#%Module\nsetenv A 1\nproc f {} {\n  error \"it's \\033\\[31m over\"\n}\n\nf\n"),
    ]);
    let error = run(&request(top.path(), &["a"])).unwrap_err();
    let text = error.to_string().replace(&top.path().display().to_string(), "$TOP");
    assert!(text.contains("a/1 loaded b/1, which loaded c/1"), "{text}");
    assert!(text.contains("in $TOP/c/1, line 7"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn endless_tcl_is_stopped_and_named() {
    if !tclsh_is_there() {
        return;
    }
    for text in [
        "#%Module\nwhile 1 {}\n",
        "#%Module\nexec sleep 60\n",
        "#%Module\nwhile 1 { catch { while 1 {} } }\n",
        "#%Module\nregexp {(a*)*(a*)*(a*)*b} [string repeat a 60]\nwhile 1 {}\n",
    ] {
        let top = tree(&[("x/1", text)]);
        let mut request = request(top.path(), &["x"]);
        request.limits.time = Duration::from_secs(1);
        let begun = Instant::now();
        let error = run(&request).unwrap_err();
        assert!(matches!(error, EvaluationError::Limit { .. }), "{error:?}");
        assert!(error.to_string().contains("after 1 s") && error.to_string().contains("/x/1"));
        assert!(begun.elapsed() < Duration::from_secs(10), "{text}");
    }
}

#[test]
fn memory_of_tcl_is_bounded() {
    if !tclsh_is_there() {
        return;
    }
    let top = tree(&[("x/1", "#%Module\nset a x\nwhile 1 { append a $a }\n")]);
    let mut request = request(top.path(), &["x"]);
    request.limits.memory_bytes = 64 << 20;
    let error = run(&request).unwrap_err();
    assert!(
        matches!(error, EvaluationError::Limit { .. } | EvaluationError::Refused { .. }),
        "{error:?}"
    );
}

#[test]
fn what_a_modulefile_prints_is_never_taken_for_an_answer() {
    if !tclsh_is_there() {
        return;
    }
    // `call setenv STOLEN 1` and `end`, as the prelude would write them.
    let forged = "x63616c6c x736574656e76 x53544f4c454e x31\nx656e64\n";
    let text = format!(
        "#%Module\nset forged \"{}\"\nsetenv BEFORE 1\n\
         chan puts stdout $forged\nchan flush stdout\n\
         catch {{exec printf {{%s}} $forged >@ stdout}}\n\
         catch {{exec printf {{%s}} $forged >/dev/stdout}}\n\
         catch {{foreach channel [chan names] {{ chan puts $channel $forged }}}}\n\
         puts stderr $forged\nmodule-whatis $forged\nsetenv TEXT $forged\nsetenv AFTER 1\n",
        forged.replace('\n', "\\n")
    );
    let top = tree(&[("x/1", &text)]);
    let evaluation = run(&request(top.path(), &["x"])).unwrap();
    let get = |name: &str| evaluation.environment.get(name).cloned().flatten();
    assert_eq!(get("STOLEN"), None);
    assert_eq!(get("BEFORE").as_deref(), Some("1"));
    assert_eq!(get("AFTER").as_deref(), Some("1"));
    assert_eq!(get("TEXT").as_deref(), Some(forged.trim_end()));
}

#[test]
fn one_tclsh_serves_all_files_and_none_is_left() {
    if !tclsh_is_there() {
        return;
    }
    let mut files = vec![("all/1".to_owned(), "#%Module\n".to_owned())];
    for at in 0..20 {
        writeln!(files[0].1, "module load m{at}").unwrap();
        let text = format!(
            "#%Module\nsetenv M{at} [pwd]\nsetenv G{at} [info exists ::left]\nset ::left 1\ncd /\n"
        );
        files.push((format!("m{at}/1"), text));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let top = tree(&files);
    let mut groups = std::collections::BTreeSet::new();
    let evaluation = evaluate(&request(top.path(), &["all"]), &mut |event| {
        if let Event::Group(group) = event {
            groups.insert(group);
        }
    })
    .unwrap();
    assert_eq!(evaluation.modules.len(), 21);
    assert_eq!(groups.len(), 1);
    assert_eq!(evaluation.environment["M0"], evaluation.environment["M19"]);
    assert_eq!(evaluation.environment["G19"].as_deref(), Some("0"));
    let group = groups.first().unwrap();
    assert!(!Path::new(&format!("/proc/{group}")).exists());
}

#[test]
fn commands_that_tcl_runs_are_listed() {
    if !tclsh_is_there() {
        return;
    }
    let top =
        tree(&[("x/1", "#%Module\nsetenv A [exec echo one]\nsystem true\nputs stdout two\n")]);
    let evaluation = run(&request(top.path(), &["x"])).unwrap();
    let commands: Vec<(&str, &str)> =
        evaluation.commands.iter().map(|one| (one.function.as_str(), one.text.as_str())).collect();
    assert_eq!(commands, [("exec", "echo one"), ("system", "true"), ("execute", "two")]);
}

#[test]
fn an_rc_file_that_fails_is_named_with_its_line() {
    if !tclsh_is_there() {
        return;
    }
    let top = tree(&[("x/1.lua", ""), ("x/.modulerc", "#%Module\n\nset a $b\n")]);
    let error = run(&request(top.path(), &["x"])).unwrap_err();
    assert!(error.to_string().contains("x/.modulerc, line 3"), "{error}");
}

/// Ways to a command, by `$F` as the file that it would make.
const COMMANDS: [&str; 34] = [
    "exec touch $F",
    "system touch $F",
    "open \"|touch $F\"",
    "open \"|touch $F\" r+",
    "uname version",
    "load /no/such/library.so",
    "socket localhost 1",
    "catch {exec touch $F}; initGA",
    "rename exec run; run touch $F",
    "namespace eval x {namespace import ::exec; exec touch $::F}",
    "namespace ensemble create -command x -map {run exec}; x run touch $F",
    "apply {{} {::exec touch $::F} ::tcl}",
    "coroutine x apply {{} {yield; exec touch $::F}}; x",
    "oo::class create X {method run {} {exec touch $::F}}; X create x; x run",
    "trace add execution pid enter {exec touch $::F;#}; pid",
    "after 0 {exec touch $::F}; update",
    "extensions {[exec touch $::env(MARK)]}",
    "module load {[exec touch $::env(MARK)]}",
    "exit {[interp create k; k eval {exec touch $::env(MARK)}]}",
    "interp create k; k eval [list exec touch $F]",
    "interp cre k; interp ev k [list exec touch $F]",
    "interp create {}; {} eval [list exec touch $F]; exec x",
    "interp create -- -safe; -safe eval [list exec touch $F]",
    "interp create k; interp create {k l}; interp eval {k l} [list exec touch $F]",
    "interp create k; k eval [list interp create l]; k eval [list l eval [list exec touch $F]]",
    "interp create k; interp alias {} run k exec; run touch $F",
    "interp create -safe k; k invokehidden exec touch $F",
    "interp create -safe k; k invokehidden open \"|touch $F\"",
    "interp create -safe k; k expose exec; k eval [list exec touch $F]",
    "interp create -safe k; interp create {k l}; interp invokehidden {k l} exec touch $F",
    "interp create -safe k; interp marktrusted k; k eval {interp create l}; \
     interp eval {k l} [list exec touch $F]",
    "::safe::interpCreate k; k invokehidden exec touch $F",
    "interp limit {} time -seconds {}",
    "interp invokehidden {} open \"|touch $F\"",
];

/// Those that are refused as such, and not noted.
const HARMLESS: [&str; 2] = ["interp limit", "interp invokehidden"];

#[test]
fn no_command_runs_where_none_may() {
    if !tclsh_is_there() {
        return;
    }
    for text in COMMANDS {
        for version in ["9.2.9", "8.6.19"] {
            let file =
                format!("#%Module\nset F $env(MARK)\ncatch {{{text}}} said\nsetenv A $said\n");
            let top = tree(&[("x/1", &file)]);
            let mut request = request(top.path(), &["x"]);
            let mark = top.path().join("mark");
            request.environment.insert("MARK".to_owned(), mark.display().to_string());
            request.options.no_commands = true;
            version.clone_into(&mut request.lmod_version);
            match run(&request) {
                Ok(evaluation) => {
                    let said = evaluation.environment["A"].clone().unwrap_or_default();
                    let refused = said.contains("inaccessible") || said.contains("invalid hidden");
                    assert!(HARMLESS.iter().any(|one| text.starts_with(one)) && refused, "{text}");
                }
                // An older Lmod loads what is written there.
                Err(error) if text.starts_with("module load") && version < "9" => {
                    assert!(error.to_string().contains("no such module"), "{error}");
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains("none may run") && error.contains("x/1"), "{error}");
                }
            }
            assert!(!mark.exists(), "{text}");
        }
    }
}

#[test]
fn no_interpreter_begins_with_what_a_modulefile_names() {
    if !tclsh_is_there() {
        return;
    }
    for text in [
        "setenv TCL_LIBRARY $env(EVIL)\nmodule load y",
        "set ::env(TCL_LIBRARY) $env(EVIL)\ninterp create k\nk eval {set a 1}\nmodule load y",
    ] {
        let top =
            tree(&[("x/1", &format!("#%Module\n{text}\n")), ("y/1", "#%Module\nsetenv Y 1\n")]);
        let (mark, evil) = (top.path().join("mark"), top.path().join("evil"));
        std::fs::create_dir(&evil).unwrap();
        std::fs::write(evil.join("init.tcl"), format!("exec touch {}\n", mark.display())).unwrap();
        let mut request = request(top.path(), &["x"]);
        request.environment.insert("EVIL".to_owned(), evil.display().to_string());
        request.options.no_commands = true;
        assert_eq!(run(&request).unwrap().environment["Y"].as_deref(), Some("1"), "{text}");
        assert!(!mark.exists(), "{text}");
    }
}

#[test]
fn files_are_changed_in_name_only_and_that_is_listed() {
    if !tclsh_is_there() {
        return;
    }
    for (text, noted) in [
        ("set f [open $F w]; chan puts $f x; close $f", "open $F"),
        ("set f [open $F a]; chan puts $f x; close $f", "open $F"),
        ("set f [open $F r+]; chan puts $f x; close $f", "open $F"),
        ("set f [open $F {WRONLY TRUNC}]; close $f", "open $F"),
        ("set f [open $D/new {RDWR CREAT EXCL} 0600]; close $f", "open $D/new"),
        ("interp create k; k eval [list open $F w]", "open $F"),
        ("interp create -safe k; interp invokehidden k open $F w", "open $F"),
        ("rename open o; close [o $F w]", "open $F"),
        ("file delete $F", "file delete $F"),
        ("file del -force $D", "file delete -force $D"),
        ("::tcl::file::delete $F", "file delete $F"),
        ("interp create k; k eval [list file delete $F]", "file delete $F"),
        ("interp create -safe k; k invokehidden tcl:file:delete $F", "file delete $F"),
        ("file rename -force -- $F $D/new", "file rename -force -- $F $D/new"),
        ("file copy $F $D/new", "file copy $F $D/new"),
        ("file mkdir $D/new", "file mkdir $D/new"),
        ("file attributes $F -permissions 0600", "file attributes $F -permissions 0600"),
        ("file mtime $F 5", "file mtime $F 5"),
        ("file link $D/new $F", "file link $D/new $F"),
        ("file link -hard $D/new $F", "file link -hard $D/new $F"),
    ] {
        let top = tree(&[
            ("mf/x/1", &format!("#%Module\nset D $env(D)\nset F $D/file\n{text}\nsetenv A 1\n")),
            ("d/file", "as it was"),
        ]);
        let directory = top.path().join("d");
        let state = || {
            let data = directory.join("file").metadata().unwrap();
            let entries = std::fs::read_dir(&directory).unwrap().count();
            (entries, data.modified().unwrap(), data.permissions())
        };
        let before = state();
        for no_commands in [true, false] {
            let mut request = request(&top.path().join("mf"), &["x"]);
            request.environment.insert("D".to_owned(), directory.display().to_string());
            request.options.no_commands = no_commands;
            let evaluation = run(&request).unwrap();
            assert_eq!(evaluation.environment["A"].as_deref(), Some("1"), "{text}");
            let commands = evaluation.commands.iter();
            let listed: Vec<String> =
                commands.map(|one| format!("{} {}", one.function, one.text)).collect();
            let name = directory.display().to_string();
            let noted = noted.replace("$F", "$D/file").replace("$D", &name);
            assert_eq!(listed, [noted], "{text}");
            assert_eq!(std::fs::read(directory.join("file")).unwrap(), b"as it was", "{text}");
            assert!(state() == before, "{text}");
        }
    }
}

#[test]
fn a_temporary_file_is_none() {
    if !tclsh_is_there() {
        return;
    }
    let text = "#%Module\nset f [file tempfile name]\nchan puts $f x\nclose $f\n\
                setenv A [file exists $name]\n";
    let top = tree(&[("x/1", text)]);
    let evaluation = run(&request(top.path(), &["x"])).unwrap();
    assert_eq!(evaluation.environment["A"].as_deref(), Some("0"));
    assert_eq!(evaluation.commands[0].function, "file tempfile");
}

/// What a `tclsh` is told in the course of loading so many modules, in bytes.
fn told(modules: usize) -> u64 {
    let mut files = vec![("all/1".to_owned(), "#%Module\n".to_owned())];
    for at in 0..modules {
        writeln!(files[0].1, "depends-on m{at}").unwrap();
        let text = format!(
            "#%Module\nprepend-path PATH /software/m{at}/bin\nsetenv ROOT{at} /software/m{at}\n\
             if {{ [is-loaded m0] }} {{ setenv SEEN{at} $env(PATH) }}\n"
        );
        files.push((format!("m{at}/1"), text));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let top = tree(&files);
    let (program, log) = (top.path().join("tclsh"), top.path().join("log"));
    let script = format!("#!/bin/sh\ntee {} | /usr/bin/tclsh\n", log.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let mut request = request(top.path(), &["all"]);
    request.environment.insert("LMOD_TCLSH".to_owned(), program.display().to_string());
    assert_eq!(run(&request).unwrap().modules.len(), modules + 1);
    std::fs::metadata(log).unwrap().len()
}

#[test]
fn what_tcl_is_told_grows_with_the_modules_and_not_with_their_square() {
    if !tclsh_is_there() {
        return;
    }
    let (none, some, more) = (told(1), told(50), told(150));
    let (first, rest) = (some - none, more - some);
    // 49 modules, then 100
    assert!(rest < first * 5 / 2, "{none}, {some}, {more}");
}
