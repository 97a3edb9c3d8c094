//! What the program refuses, in which words, with which status, leaving nothing behind.

use super::session::{eessi, module_export};
use crate::common::TestEnv;

/// A plain site: one module of one script.
fn site(env: &TestEnv) {
    env.write(
        "modules/Hello/1.0.lua",
        format!("setenv(\"EBROOTHELLO\", \"{}\")\n", env.root().join("sw/Hello").display()),
    );
    env.program("sw/Hello/bin/hello", "#!/bin/sh\necho hello\n");
    for (name, text) in [
        ("Tcl/1.0", "#%Module\nsetenv X y\nno-such-command\n"),
        ("Broken/1.0.lua", "setenv(\"X\",\n"),
        ("Rival/1.0.lua", "conflict(\"Hello\")\n"),
        ("Hidden/.1.0.lua", "setenv(\"X\", \"y\")\n"),
    ] {
        env.write(format!("modules/{name}"), text);
    }
}

fn files(env: &TestEnv) -> usize {
    std::fs::read_dir(env.work()).unwrap().count()
}

#[test]
fn each_refusal_says_what_to_do_and_has_its_status() {
    let env = TestEnv::new();
    site(&env);
    env.write("work/taken.sif", "old");
    let rows = [
        (3, "container -a A", "no module session", "start Lmod first"),
        (2, "container Hello/1.0", "author", "pass -a"),
        (1, "container Hello/1.0 -a A -d gone", "`gone` for the image does not exist", "-d"),
        (
            1,
            "container Hello/1.0 -a A -d taken.sif",
            "`taken.sif` for the image is not a directory",
            "-d",
        ),
        (1, "container Hello/1.0 -a A -n taken", "exists already", "--force"),
        (1, "container Helo/1.0 -a A", "Helo/1.0", "Hello"),
        (3, "container Hello/1.0 -a A -g", "--generic needs an EESSI session", ""),
        (3, "container Hello/1.0 -a A --base compat", "--base compat needs an EESSI session", ""),
        (2, "container Hello/1.0 -a A --compression lzma", "lzma", "gzip"),
        (2, "container Hello/1.0 -a A --epoch -1", "-1", ""),
        (2, "container --nonsense", "--nonsense", ""),
        (1, "container Hello/9 -a A", "no such module: `Hello/9`", "did you mean `Hello/1.0`?"),
        (1, "container Zebra Hello -a A", "no such module: `Zebra`", "`module avail` lists"),
        (
            1,
            "container Hello Tcl -a A",
            "invalid command name \"no-such-command\"\n  in $ROOT/modules/Tcl/1.0, line 3",
            "without this module",
        ),
        (1, "container Hello Broken -a A", "Broken/1.0.lua, line", "the modulefile is at fault"),
        (1, "container Hello Rival -a A", "`Rival/1.0` cannot be loaded", "without this module"),
        (1, "container Hello Hidden -a A", "no such module: `Hidden`", "a hidden one in full"),
        (1, "container Hello/1.0 -a A -d /proc", "`/proc` for the image", "-d"),
        (
            1,
            "container Hello/1.0 -a A --tmpdir gone",
            "`gone` for scratch does not exist",
            "--tmpdir",
        ),
        (1, "container Hello/1.0 -a A --include /gone", "`/gone`", "--include"),
        (2, "container Hello/1.0 -a A --exclude [", "`[` is not a pattern", "give a pattern"),
        (2, "env Hello/1.0 --lmod-version new", "'new'", "8.7.49"),
        (3, "env GSL", "MODULEPATH is not set", "start Lmod first"),
        (1, "inspect gone.sif", "cannot open `gone.sif`: No such file or directory\n", ""),
        (1, "run taken.sif --tmpdir gone", "gone` for scratch does not exist", "--tmpdir"),
        (1, "run taken.sif", "`taken.sif` is no readable image", ""),
    ];
    for (status, words, said, way_out) in rows {
        let mut command = module_export(&env, &[].into(), words);
        if words.contains("Hel") {
            command.env("MODULEPATH", env.root().join("modules"));
        }
        let ran = env.run(&mut command);
        assert_eq!(ran.status, status, "{words}: {ran}");
        assert_eq!(ran.stdout, "", "{words}");
        assert!(ran.stderr.contains(said) && ran.stderr.contains(way_out), "{words}: {ran}");
        assert_eq!(files(&env), 1, "{words} left something behind");
    }
    assert_eq!(std::fs::read(env.work().join("taken.sif")).unwrap(), b"old");
}

#[test]
fn words_that_no_terminal_can_show_are_refused() {
    let env = TestEnv::new();
    site(&env);
    for words in [
        ["-a", "A\u{1b}[31m", "-n", "x"],
        ["-a", "A\nB", "-n", "x"],
        ["-a", " ", "-n", "x"],
        ["-a", "A", "-n", "x\ny"],
        ["-a", "A", "-n", ".."],
        ["-a", "A", "-v", "\u{202e}"],
    ] {
        let mut command = env.module_export();
        command
            .args(["container", "Hello/1.0"])
            .args(words)
            .env("MODULEPATH", env.root().join("modules"));
        let ran = env.run(&mut command);
        assert_eq!(ran.status, 2, "{words:?}: {ran}");
        assert!(!ran.stderr.contains('\u{1b}') && !ran.stderr.contains('\u{202e}'), "{words:?}");
        assert_eq!(files(&env), 0, "{words:?}");
    }
}

#[test]
fn a_damaged_session_is_an_error_and_never_a_guess() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load GSL") else { return };
    let damages: [(&str, &str, Option<&str>); 3] = [
        ("cut short", "_ModuleTable002_", None),
        ("not base64", "_ModuleTable001_", Some("!!!!")),
        ("not a number", "_ModuleTable_Sz_", Some("many")),
    ];
    for (said, name, value) in damages {
        let mut command = module_export(&env, &session, "container -a A");
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
        let ran = env.run(&mut command);
        assert_eq!(ran.status, 1, "{ran}");
        assert!(ran.stderr.contains(said), "{ran}");
        assert_eq!(files(&env), 0);
    }
}

#[test]
fn no_modules_is_status_3() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "true") else { return };
    let ran = env.run(&mut module_export(&env, &session, "container -a A"));
    assert_eq!(ran.status, 3, "{ran}");
    assert!(ran.stderr.contains("no modules are loaded"), "{ran}");
}

#[test]
fn a_module_without_generic_build_is_named() {
    let env = TestEnv::new();
    let Some(session) =
        eessi(&env, "export EESSI_SOFTWARE_SUBDIR_OVERRIDE=; module load MiniSim TunedOnly")
    else {
        return;
    };
    if session["EESSI_SOFTWARE_SUBDIR"].ends_with("generic") {
        return crate::common::skip("this CPU has no tuned build in the look-alike");
    }
    let ran = env.run(&mut module_export(&env, &session, "container -a A -g"));
    assert_eq!(ran.status, 1, "{ran}");
    assert!(ran.stderr.contains("no generic build of TunedOnly/2.1-GCC-12.2.0\n"), "{ran}");
    assert_eq!(files(&env), 0);
}
