use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::environment::Operation;

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
    let environment = [("MODULEPATH", top.display().to_string()), ("PATH", "/bin".to_owned())];
    Request {
        environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
        load: load.iter().map(|&name| name.to_owned()).collect(),
        pins: Vec::new(),
        pinned_only: false,
        lmod_version: "9.2.9".to_owned(),
        limits: Limits::default(),
        options: Options::default(),
    }
}

fn evaluated(request: &Request) -> Evaluation {
    evaluate(request, &mut |_| ()).unwrap()
}

fn pin(top: &Path, full_name: &str) -> Pin {
    let short_name = full_name.split('/').next().unwrap();
    Pin {
        short_name: short_name.to_owned(),
        full_name: full_name.to_owned(),
        file: top.join(format!("{full_name}.lua")),
    }
}

#[test]
fn a_pinned_module_is_not_looked_up() {
    let top = tree(&[
        ("x/1.lua", "setenv('X','1')"),
        ("x/2.lua", "setenv('X','2')"),
        ("a/1.lua", "load('x')"),
    ]);
    for name in ["x", "x/1"] {
        let mut request = request(top.path(), &["a", name]);
        request.pins = vec![pin(top.path(), "x/1")];
        assert_eq!(evaluated(&request).environment["X"].as_deref(), Some("1"), "{name}");
    }
}

#[test]
fn with_pins_only_what_is_not_pinned_leaves_a_note() {
    let top = tree(&[
        ("a/1.lua", "load('x')\ndepends_on('gone/3')\nif not isloaded('y') then load('y') end"),
        ("x/1.lua", "setenv('X','1')"),
        ("y/1.lua", "setenv('Y','1')"),
    ]);
    let mut request = request(Path::new("/nonexistent"), &["a/1"]);
    request.pins = vec![pin(top.path(), "a/1"), pin(top.path(), "x/1")];
    request.pinned_only = true;
    let evaluation = evaluated(&request);
    let names: Vec<_> = evaluation.modules.iter().map(|one| one.full_name.as_str()).collect();
    assert_eq!(names, ["x/1", "a/1"]);
    assert_eq!(evaluation.unpinned, ["gone/3", "y"]);
    assert!(!evaluation.environment.contains_key("Y"));
}

#[test]
fn each_change_is_recorded_with_its_origin() {
    let top = tree(&[
        ("a/1.lua", "load('b')\nprepend_path('P','/a:/b/')\nsetenv('S',1)\nunsetenv('PATH')"),
        ("b/1.lua", "append_path('P','/z')\npushenv('S','b')\nremove_path('P','/q')"),
    ]);
    let changes = evaluated(&request(top.path(), &["a"])).changes;
    let change = |origin: &str, variable: &str, operation| Change {
        origin: origin.to_owned(),
        variable: variable.to_owned(),
        operation,
    };
    let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    assert_eq!(
        changes,
        [
            change("b/1", "P", Operation::Append(list(&["/z"]))),
            change("b/1", "S", Operation::Push("b".to_owned())),
            change("b/1", "P", Operation::Remove(list(&["/q"]))),
            change("a/1", "P", Operation::Prepend(list(&["/a", "/b"]))),
            change("a/1", "S", Operation::Set("1".to_owned())),
            change("a/1", "PATH", Operation::Unset),
        ]
    );
}

#[test]
fn the_environment_has_what_changed_and_only_that() {
    let top = tree(&[(
        "a/1.lua",
        "setenv('SAME','x')\nsetenv('NEW','1')\nunsetenv('GONE')\nprepend_path('P','/p')\n\
         remove_path('P','/p')\nsetenv('__LMOD_X','1')\nfamily('f')",
    )]);
    let mut request = request(top.path(), &["a"]);
    for (name, value) in [("SAME", "x"), ("GONE", "g")] {
        request.environment.insert(name.to_owned(), value.to_owned());
    }
    let environment = evaluated(&request).environment;
    let shown: Vec<_> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    let want = [
        ("GONE", None),
        ("LMOD_FAMILY_F", Some("a")),
        ("LMOD_FAMILY_F_VERSION", Some("1")),
        ("NEW", Some("1")),
    ];
    assert_eq!(shown, want);
}

#[test]
fn a_loaded_module_is_described() {
    let top = tree(&[
        (
            "a/1.10.lua",
            "whatis('Name: a')\nwhatis('URL: u')\nhelp('text')\nadd_property('lmod','sticky')\n\
             family('one')\ndepends_on('b','c')\nload('d')",
        ),
        ("b/1.lua", "depends_on('c')"),
        ("c/1.lua", ""),
        ("d/1.lua", ""),
    ]);
    let evaluation = evaluated(&request(top.path(), &["a/1"]));
    let a = evaluation.modules.last().unwrap();
    assert_eq!((a.short_name.as_str(), a.full_name.as_str()), ("a", "a/1.10"));
    assert_eq!(a.whatis, ["Name: a", "URL: u"]);
    assert_eq!(a.help.as_deref(), Some("text"));
    assert_eq!(a.properties["lmod"], ["sticky"]);
    assert_eq!(a.families, ["one"]);
    assert_eq!(a.dependencies, ["b/1", "c/1", "d/1"]);
    assert_eq!((a.stack_depth, a.reference_count), (0, None));
    assert_eq!(a.weighted_version, "000000001.000000010.*zfinal");
    let c = evaluation.modules.iter().find(|one| one.short_name == "c").unwrap();
    // It was loaded for `b`, and again for `a`, as Lmod does.
    assert_eq!((c.stack_depth, c.reference_count), (1, Some(1)));
    assert_eq!(evaluation.files_read.len(), 4);
}

#[test]
fn a_failed_load_changes_nothing_here_either() {
    let top = tree(&[("a/1.lua", "setenv('A','1')"), ("b/1.lua", "LmodError('no')")]);
    let error = evaluate(&request(top.path(), &["a", "b"]), &mut |_| ()).unwrap_err();
    let EvaluationError::Refused { message, line, .. } = error else { panic!("{error:?}") };
    assert_eq!((message.as_str(), line), ("no", Some(1)));
}

#[test]
fn events_tell_what_runs() {
    let top = tree(&[("a/1.lua", "load('b')\nsubprocess('true')"), ("b/1.lua", "")]);
    let mut events = Vec::new();
    evaluate(&request(top.path(), &["a"]), &mut |event| events.push(event)).unwrap();
    let file = |name: &str| top.path().join(name);
    let groups = events.extract_if(.., |event| matches!(event, Event::Group(_))).count();
    assert_eq!(groups, 1);
    assert_eq!(
        events,
        [
            Event::Modulefile { name: "a/1".to_owned(), file: file("a/1.lua"), depth: 0 },
            Event::Modulefile { name: "b/1".to_owned(), file: file("b/1.lua"), depth: 1 },
            Event::Resumed(file("a/1.lua")),
            Event::Command("true".to_owned()),
            Event::Resumed(file("a/1.lua")),
        ]
    );
}

#[test]
fn texts_for_the_shell_are_reported_and_not_run() {
    let top = tree(&[(
        "a/1.lua",
        "execute{cmd='touch /nonexistent/x', modeA={'load'}}\nexecute{cmd='no', modeA={'unload'}}\n\
         set_alias('ll','ls -l')\nprint('echo hi')\nLmodMessage('hello')\nLmodWarning('careful')",
    )]);
    let evaluation = evaluated(&request(top.path(), &["a"]));
    let commands: Vec<_> =
        evaluation.commands.iter().map(|one| (one.function.as_str(), one.text.as_str())).collect();
    let want =
        [("execute", "touch /nonexistent/x"), ("set_alias", "ll ls -l"), ("print", "echo hi")];
    assert_eq!(commands, want);
    let messages: Vec<_> =
        evaluation.messages.iter().map(|one| (one.warning, one.text.as_str())).collect();
    assert_eq!(messages, [(false, "hello"), (true, "careful")]);
}

#[test]
fn a_request_and_its_result_survive_json() {
    let top = tree(&[("a/1.lua", "setenv('A','ü\\n')\npushenv('B', false)")]);
    let request = request(top.path(), &["a"]);
    let text = serde_json::to_string(&request).unwrap();
    assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
    let evaluation = evaluated(&request);
    let text = serde_json::to_string(&evaluation).unwrap();
    assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), evaluation);
}

#[test]
fn the_stubs_for_editors_name_functions_that_there_are() {
    let stubs = include_str!("../../lua/types.lua");
    let names: Vec<&str> = stubs
        .lines()
        .filter_map(|line| line.strip_prefix("function ")?.split_once('('))
        .map(|(name, _)| name)
        .collect();
    assert!(names.len() > 80, "{}", names.len());
    // `colorize` is there but no function in this version.
    let checks: Vec<String> = names
        .iter()
        .filter(|name| **name != "colorize")
        .map(|name| format!("assert(type({name}) == 'function', '{name}')\n"))
        .collect();
    let top = tree(&[("a/1.lua", &checks.concat())]);
    evaluated(&request(top.path(), &["a"]));
}
