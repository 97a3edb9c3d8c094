//! Nothing that an evaluation has started goes on after it, whatever ends it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{TestEnv, is_root, skip, tool};

/// Modulefiles that do not end, and the process that then runs longest.
const ENDLESS: [(&str, &str, &str); 6] = [
    ("x/1", "#%Module\nwhile 1 {}\n", "tclsh"),
    ("x/1", "#%Module\nexec sh -c {sleep 300; true}\n", "sleep"),
    ("x/1", "#%Module\nsystem {sleep 300; true}\n", "sleep"),
    ("x/1.lua", "subprocess('sleep 300; true')\n", "sleep"),
    ("x/1.lua", "source_sh('bash', '$ROOT/endless')\n", "sleep"),
    ("x/.modulerc", "#%Module\nwhile 1 { catch { while 1 {} } }\n", "tclsh"),
];

fn world(file: &str, text: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("endless", "sleep 300\n");
    env.write("modules/x/2.lua", "");
    let text = text.replace("$ROOT", &env.root().to_string_lossy());
    env.write(Path::new("modules").join(file), text);
    env
}

fn load(env: &TestEnv, seconds: u32, version: &str) -> Command {
    let mut command = env.module_export();
    command.args(["env", "--clean", "--format", "json", "--modulepath"]);
    command.arg(env.root().join("modules")).args(["--lmod-version", version, "x/1"]);
    command.env("MODULE_EXPORT_EVALUATION_SECONDS", seconds.to_string());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Processes that work below the directory: id and command line.
fn below(root: &Path) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().map(Result::unwrap) {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else { continue };
        let at = std::fs::read_link(entry.path().join("cwd"));
        if at.is_ok_and(|at| at.starts_with(root)) {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push((id, String::from_utf8_lossy(&words).replace('\0', " ")));
        }
    }
    found
}

/// Waits until `done` likes the processes.
fn wait_for(env: &TestEnv, what: &str, done: impl Fn(&[(u32, String)]) -> bool) {
    for _ in 0..400 {
        let processes: Vec<_> = below(env.root());
        // one that has ended and is not waited for has no command line
        let alive: Vec<_> = processes.into_iter().filter(|(_, words)| !words.is_empty()).collect();
        if done(&alive) {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("{what}: {:?}", below(env.root()));
}

fn kill(id: u32) {
    let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

fn wait(mut child: Child) -> Option<i32> {
    child.wait().unwrap().code()
}

/// Starts each endless load, waits until it has come to its end, and lets `end` end it.
fn after_each(seconds: u32, end: impl Fn(&TestEnv, Child)) {
    if tool("tclsh").is_none() {
        return;
    }
    for (file, text, longest) in ENDLESS {
        let env = world(file, text);
        let child = load(&env, seconds, "9.2.9").spawn().unwrap();
        wait_for(&env, "never began", |all| all.iter().any(|(_, words)| words.contains(longest)));
        // the prelude is read first
        std::thread::sleep(Duration::from_millis(200));
        end(&env, child);
        wait_for(&env, &format!("left behind by {text}"), <[_]>::is_empty);
    }
}

#[test]
fn after_a_refusal_nothing_is_left() {
    after_each(1, |_, child| assert_eq!(wait(child), Some(1)));
}

#[test]
fn after_our_own_sudden_end_nothing_is_left() {
    after_each(60, |_, child| {
        kill(child.id());
        assert_eq!(wait(child), None);
    });
}

#[test]
fn after_the_sudden_end_of_the_evaluating_process_nothing_is_left() {
    after_each(60, |env, child| {
        let all = below(env.root());
        let evaluating = all.iter().find(|(_, words)| words.contains("__evaluate"));
        kill(evaluating.expect("one evaluates").0);
        assert_eq!(wait(child), Some(1));
    });
}

#[test]
fn where_there_is_no_tclsh_the_file_and_the_package_are_named() {
    if !is_root() {
        skip("only root hides a program");
        return;
    }
    let env = TestEnv::new();
    env.write("modules/x/1", "#%Module\nsetenv A 1\n");
    env.write("modules/y/1.lua", "load('x')\n");
    env.write("modules/z/1.lua", "setenv('A', '1')\n");
    env.write("modules/z/.modulerc", "#%Module\nmodule-version z/1 default\n");
    let script = "for one in /usr/bin/tclsh /bin/tclsh /usr/local/bin/tclsh /opt/local/bin/tclsh; do \
                  test ! -e $one || mount --bind /dev/null $one; done; exec \"$@\"";
    let run = |module: &str| {
        let mut command = env.command("unshare");
        command.args(["-m", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_module-export")]);
        command.args(["env", "--clean", "--format", "json", "--modulepath"]);
        env.run(command.arg(env.root().join("modules")).arg(module))
    };
    let refused = run("y");
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("needs `tclsh`"), "{refused}");
    assert!(refused.stderr.contains("y/1 loaded x/1"), "{refused}");
    assert!(refused.stderr.contains("in $ROOT/modules/x/1"), "{refused}");
    assert!(refused.stderr.contains("install the package `tcl`"), "{refused}");
    // a plain rc file needs none
    assert_eq!(run("z").status, 0);
}

#[test]
fn an_exit_leaves_everything_as_it_is_and_says_so() {
    let env = TestEnv::new();
    env.write("modules/a/1.lua", "setenv('A', '1')\nos.exit(0)\n");
    env.write("modules/f/1.lua", "os.exit(3)\n");
    env.write("modules/b/1.lua", "load('a')\n");
    env.write("modules/c/1", "#%Module\nsetenv C 1\nexit 0\n");
    env.write("modules/d/1.lua", "pcall(os.exit, 'word')\nsetenv('D', '1')\n");
    env.write("modules/e/1.lua", "");
    let run = |words: &[&str]| {
        let mut command = env.module_export();
        command.args(words).arg("--modulepath").arg(env.root().join("modules"));
        env.run(&mut command)
    };
    let nothing = serde_json::json!({ "modules": [], "env": {} });
    for (modules, file) in [(vec!["b"], "a/1.lua, line 2"), (vec!["e", "c"], "c/1")] {
        if file == "c/1" && tool("tclsh").is_none() {
            continue;
        }
        let ran = run(&[&["env", "--clean", "--format", "json"], modules.as_slice()].concat());
        assert!(ran.stderr.contains("warning: ") && ran.stderr.contains(file), "{ran}");
        let document: serde_json::Value = serde_json::from_str(&ran.clone().success()).unwrap();
        assert_eq!(document, nothing);
    }
    let failed = run(&["env", "--clean", "--format", "json", "f"]);
    assert_eq!(failed.status, 1, "{failed}");
    assert!(failed.stderr.contains("with status 3"), "{failed}");
    let ran = run(&["env", "--clean", "--format", "json", "d"]).success();
    assert!(ran.contains("\"D\": \"1\""), "{ran}");
    let mut container = env.module_export();
    container.args(["container", "-a", "Jane Doe", "-f", "squashfs", "a"]);
    container.env("MODULEPATH", env.root().join("modules"));
    let refused = env.run(&mut container);
    assert_eq!(refused.status, 1, "{refused}");
    assert!(refused.stderr.contains("a/1.lua, line 2"), "{refused}");
    assert_eq!(std::fs::read_dir(env.work()).unwrap().count(), 0);
}

#[test]
fn a_command_that_goes_its_own_way_ends_with_the_evaluation() {
    let away = "subprocess('setsid sleep 300 >/dev/null 2>&1 & true')\n";
    for (end, status) in [("", 0), ("while true do end\n", 1)] {
        let env = world("x/1.lua", &format!("{away}{end}"));
        assert_eq!(wait(load(&env, 1, "9.2.9").spawn().unwrap()), Some(status), "{end}");
        wait_for(&env, &format!("left behind before {end:?}"), <[_]>::is_empty);
    }
}
