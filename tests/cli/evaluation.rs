//! Flags that say how modulefiles are evaluated.

use std::path::Path;

use crate::common::TestEnv;

fn ran(env: &TestEnv, words: &[&str]) -> (i32, serde_json::Value, String) {
    let mut command = env.module_export();
    command.args(["env", "--clean", "--modulepath"]).arg(env.root().join("modules")).args(words);
    command.env("PATH", "/usr/bin:/bin").env("HOME", env.root().join("home"));
    let ran = env.run(&mut command);
    let document = serde_json::from_str(&ran.stdout).unwrap_or_default();
    (ran.status, document, ran.stderr)
}

#[test]
fn a_modulefile_that_would_run_a_command_is_named_where_none_may_run() {
    let rows = [
        ("subprocess", "setenv('A', subprocess('echo hi'))\n"),
        ("capture", "setenv('A', capture('echo hi'))\n"),
        ("os.execute", "os.execute('true')\n"),
        ("popen", "io.popen('echo hi')\n"),
        ("source_sh", "source_sh('bash', '/dev/null')\n"),
    ];
    for (function, text) in rows {
        let env = TestEnv::new();
        env.write("modules/x/1.0.lua", text);
        let (status, _, said) = ran(&env, &["--no-commands", "x"]);
        assert_eq!(status, 1, "{function}: {said}");
        assert!(said.contains(&format!("{function} would run the command")), "{said}");
        assert!(said.contains("/modules/x/1.0.lua, line 1"), "{said}");
        if function != "source_sh" {
            assert_eq!(ran(&env, &["x"]).0, 0, "{function}");
        }
    }
}

#[test]
fn a_command_has_an_empty_directory_and_no_input() {
    let env = TestEnv::new();
    env.write(
        "modules/x/1.0.lua",
        "setenv('FILES', subprocess('ls -A | wc -l'):match('%d+'))\nsetenv('INPUT', subprocess('wc -c'):match('%d+'))\n",
    );
    let (_, document, _) = ran(&env, &["x"]);
    assert_eq!(document["env"], serde_json::json!({ "FILES": "0", "INPUT": "0" }));
}

#[test]
fn what_modulefiles_hand_to_the_shell_counts_if_asked_for() {
    let env = TestEnv::new();
    env.write(
        "modules/x/1.0.lua",
        "setenv('A', 'a')\n\
         execute{cmd='export B=${A}b; unset GONE; PATH=/x:$PATH; C=local', modeA={'load'}}\n\
         execute{cmd='false; exit 3', modeA={'load'}}\n\
         execute{cmd='export D=\"$B\"\"\\n\"', modeA={'load'}}\n\
         execute{cmd='export NEVER=1', modeA={'unload'}}\n",
    );
    let run = |words: &[&str]| {
        let mut command = env.module_export();
        command.args(["env", "--clean", "--modulepath"]).arg(env.root().join("modules"));
        command.args(words).env("PATH", "/usr/bin:/bin").env("GONE", "1");
        let document: serde_json::Value =
            serde_json::from_str(&env.run(&mut command).success()).unwrap();
        document["env"].clone()
    };
    assert_eq!(run(&["x"]), serde_json::json!({ "A": "a" }));
    assert_eq!(
        run(&["--run-execute", "x"]),
        serde_json::json!({
            "A": "a", "B": "ab", "D": "ab\n", "GONE": null, "PATH": "/x:/usr/bin:/bin"
        })
    );
}

#[test]
fn numbers_are_those_of_the_lua_asked_for() {
    let env = TestEnv::new();
    env.write("modules/x/1.0.lua", "setenv('A', 10/2)\nsetenv('V', _VERSION .. 4/2)\n");
    for (version, number, name) in [
        ("5.1", "5", "Lua 5.12"),
        ("5.2", "5", "Lua 5.22"),
        ("luajit", "5", "Lua 5.12"),
        ("5.3", "5.0", "Lua 5.32.0"),
        ("5.4", "5.0", "Lua 5.42.0"),
    ] {
        let (_, document, _) = ran(&env, &["--lua-version", version, "x"]);
        assert_eq!(document["env"], serde_json::json!({ "A": number, "V": name }), "{version}");
    }
    let (status, _, said) = ran(&env, &["--lua-version", "5.5", "x"]);
    assert_eq!(status, 2);
    assert!(said.contains("give 5.1, 5.2, 5.3, 5.4 or luajit"), "{said}");
}

#[test]
fn the_lua_is_that_of_the_sessions_lmod() {
    let env = TestEnv::new();
    env.write("modules/x/1.0.lua", "setenv('A', 10/2)\n");
    for (line, number) in [("#!/gone/lua5.1\n", "5"), ("#!/gone/lua5.3\n", "5.0")] {
        env.write("lmod/libexec/lmod", line);
        let mut command = env.module_export();
        command.args(["env", "--clean", "--modulepath"]).arg(env.root().join("modules")).arg("x");
        command.env("LMOD_CMD", env.root().join("lmod/libexec/lmod"));
        let document: serde_json::Value =
            serde_json::from_str(&env.run(&mut command).success()).unwrap();
        assert_eq!(document["env"]["A"], number, "{line}");
    }
}

fn collection(modules: &Path) -> String {
    let modules = modules.display();
    format!(
        "-- -*- lua -*-\n_ModuleTable_ = {{ MTversion = 3, mT = {{\n\
         a = {{ fn = \"{modules}/a/1.lua\", fullName = \"a/1\", loadOrder = 2, stackDepth = 0,\n\
         status = \"active\", userName = \"a\" }},\n\
         b = {{ fn = \"{modules}/b/1.lua\", fullName = \"b/1\", loadOrder = 1, stackDepth = 1,\n\
         status = \"active\", userName = \"b\" }} }},\n\
         mpathA = {{ \"{modules}\" }}, systemBaseMPATH = \"{modules}\" }}\n"
    )
}

#[test]
fn a_collection_is_restored_as_it_was_saved() {
    let env = TestEnv::new();
    env.write(
        "modules/a/1.lua",
        "load('b', 'c')\ndepends_on_any('c')\npurge()\nsetenv('A', '1')\n",
    );
    for version in ["1", "2"] {
        env.write(format!("modules/b/{version}.lua"), format!("setenv('B', '{version}')\n"));
        env.write(format!("modules/c/{version}.lua"), "setenv('C', '1')\n");
    }
    env.write("home/.lmod.d/work", collection(&env.root().join("modules")));
    let names = |document: &serde_json::Value| -> Vec<String> {
        let modules = document["modules"].as_array().cloned().unwrap_or_default();
        modules
            .iter()
            .map(|module| module["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let (_, document, said) = ran(&env, &["--collection", "work"]);
    // defaults are followed, and modulefiles load nothing themselves
    assert_eq!(names(&document), ["b/2", "a/1"], "{said}");
    assert_eq!(
        document["env"],
        serde_json::json!({ "A": "1", "B": "2", "MODULEPATH": "$ROOT/modules" })
    );

    let mut command = env.module_export();
    command.args(["env", "--collection", "work"]).env("LMOD_PIN_VERSIONS", "yes");
    command.env("HOME", env.root().join("home")).env("MODULEPATH", env.root().join("modules"));
    let document: serde_json::Value =
        serde_json::from_str(&env.run(&mut command).success()).unwrap();
    assert_eq!(names(&document), ["b/1", "a/1"]);

    let (status, _, said) = ran(&env, &["--collection", "play"]);
    assert_eq!(status, 1);
    assert!(said.contains("there is no collection `play`; there are `work`"), "{said}");
    env.write("modules/none/1.lua", "");
    command = env.module_export();
    command.args(["env", "--collection", "work"]).env("MODULEPATH", "/elsewhere");
    let ran = env.run(command.env("HOME", env.root().join("home")));
    assert_eq!(ran.status, 1, "{ran}");
    assert!(ran.stderr.contains("this one began with /elsewhere"), "{ran}");
}

#[test]
fn what_a_sites_file_needs_and_we_do_not_have_is_named() {
    let env = TestEnv::new();
    env.write("modules/x/1.lua", "setenv('A', '1')\nif late then setenv('B', '1') end\n");
    env.write(
        "site/SitePackage.lua",
        "require('strict')\n\
         local hook = require('Hook')\n\
         hook.register('load', function(t)\n  setenv('HOOKED', '1')\n  Spider.go(t)\nend)\n\
         local cache = require('Cache')\n\
         sandbox_registration{ late = true }\n",
    );
    let mut command = env.module_export();
    command.args(["env", "--clean", "--modulepath"]).arg(env.root().join("modules")).arg("x");
    let ran = env.run(command.env("LMOD_PACKAGE_PATH", env.root().join("site")));
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["env"], serde_json::json!({ "A": "1", "HOOKED": "1" }));
    for said in [
        "/site/SitePackage.lua, line 7 uses Lmod's library `Cache`",
        "/site/SitePackage.lua, line 5 uses Lmod's `Spider`",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {ran}");
    }
}

#[test]
fn a_sites_file_that_fails_is_named_with_its_line() {
    let env = TestEnv::new();
    env.write("modules/x/1.lua", "setenv('A', from_site())\n");
    for (text, said) in [
        ("local t = nil\nt.x = 1\n", "SitePackage.lua, line 2"),
        ("local = 1\n", "SitePackage.lua, line 1"),
        ("sandbox_registration{ from_site = function()\n error('no') end }\n", "Lua error: no"),
        ("sandbox_registration{ from_site = function()\n return Spider end }\n", "Lmod's `Spider`"),
    ] {
        env.write("site/SitePackage.lua", text);
        let mut command = env.module_export();
        command.args(["env", "--clean", "--modulepath"]).arg(env.root().join("modules")).arg("x");
        let ran = env.run(command.env("LMOD_PACKAGE_PATH", env.root().join("site")));
        assert_eq!(ran.status, 1, "{text}: {ran}");
        assert!(ran.stderr.contains(said), "{text}: {ran}");
    }
}
