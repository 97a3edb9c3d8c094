//! Modulefiles that misbehave: an error that names them, in time, with nothing left behind.

use std::time::{Duration, Instant};

use crate::common::TestEnv;

#[test]
fn a_modulefile_that_misbehaves_is_named() {
    let rows = [
        ("syntax", "setenv(\"A\" \"B\")\n", "bad/1.0.lua"),
        ("endless loop", "while true do end\n", "bad/1.0.lua"),
        (
            "endless loop behind pcall",
            "while true do pcall(function() while true do end end) end\n",
            "bad/1.0.lua",
        ),
        (
            "back-tracking",
            "local s = (\"a\"):rep(50); s:find((\"a?\"):rep(50) .. s)\n",
            "bad/1.0.lua",
        ),
        (
            "memory",
            "local t = {} ; for i = 1, 1e9 do t[i] = (\"x\"):rep(1000) .. i end\n",
            "bad/1.0.lua",
        ),
        ("one big string", "local s = (\"x\"):rep(1e10)\n", "bad/1.0.lua"),
        ("exit", "os.exit(0)\n", "bad/1.0.lua"),
        ("error", "LmodError(\"not \\27[31mtoday\")\n", "not \\u{1b}[31mtoday"),
    ];
    for (name, text, said) in rows {
        let env = TestEnv::new();
        env.write("modules/bad/1.0.lua", text);
        env.write("modules/good/1.0.lua", "depends_on(\"bad\")\n");
        let mut command = env.module_export();
        command
            .args(["container", "good", "-a", "A"])
            .env("MODULEPATH", env.root().join("modules"))
            .env("MODULE_EXPORT_EVALUATION_SECONDS", "2");
        let started = Instant::now();
        let ran = env.run(&mut command);
        assert!(started.elapsed() < Duration::from_secs(20), "{name}: {:?}", started.elapsed());
        assert_eq!(ran.status, 1, "{name}: {ran}");
        assert_eq!(ran.stdout, "", "{name}");
        assert!(ran.stderr.contains(said), "{name}: {ran}");
        assert!(
            !ran.stderr.contains('\u{1b}') && !ran.stderr.contains("panicked"),
            "{name}: {ran}"
        );
        assert_eq!(std::fs::read_dir(env.work()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn env_prints_modules_and_what_changed() {
    let env = TestEnv::new();
    env.write("modules/a/1.0.lua", "setenv(\"A\", 1)\nprepend_path(\"PATH\", \"/a/bin\")\n");
    env.write("modules/b/2.0.lua", "depends_on(\"a\")\nsetenv(\"B\", \"it's\")\nunsetenv(\"C\")\n");
    let run = |format: &str| {
        let mut command = env.module_export();
        command.args(["env", "--clean", "--modulepath"]).arg(env.root().join("modules"));
        command.args(["--format", format, "b"]).env("C", "c").env("PATH", "/bin");
        env.run(&mut command).success()
    };
    let document: serde_json::Value = serde_json::from_str(&run("json")).unwrap();
    assert_eq!(
        document,
        serde_json::json!({
            "modules": [
                { "name": "a/1.0", "file": "$ROOT/modules/a/1.0.lua" },
                { "name": "b/2.0", "file": "$ROOT/modules/b/2.0.lua" },
            ],
            "env": { "A": "1", "B": "it's", "C": null, "PATH": "/a/bin:/bin" },
        })
    );
    assert_eq!(
        run("sh"),
        "export A=1;\nexport B='it'\\''s';\nunset C;\nexport PATH=/a/bin:/bin;\n"
    );
    assert_eq!(
        run("csh"),
        "setenv A '1';\nsetenv B 'it'\\''s';\nunsetenv C;\nsetenv PATH '/a/bin:/bin';\n"
    );
    assert_eq!(
        run("fish"),
        "set -gx A '1';\nset -gx B 'it\\'s';\nset -e C;\nset -gx PATH '/a/bin:/bin';\n"
    );
}

#[test]
fn a_log_for_developers_is_off_unless_asked_for() {
    let env = TestEnv::new();
    env.write("modules/a/1.0.lua", "setenv(\"A\", 1)\n");
    env.write("home/none", "");
    let run = |level: &str| {
        let mut command = env.module_export();
        command.args(["container", "a", "-a", "A", "-d", "gone"]);
        command.env("MODULEPATH", env.root().join("modules")).env("MODULE_EXPORT_LOG", level);
        env.run(&mut command)
    };
    assert!(!run("").stderr.contains("evaluating ["), "off");
    assert!(run("debug").stderr.contains("DEBUG module_export::cli::freeze: evaluating [\"a\"]"));
    assert_eq!(run("loud").status, 2);
}
