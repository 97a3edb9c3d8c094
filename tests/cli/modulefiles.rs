//! `env`, and the log. What misbehaves is in `tests/lmod/bad_input.rs`.

use crate::common::TestEnv;

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
