//! What of the person and the session must not be told, and software that hides behind other names.

use std::path::PathBuf;

use module_export::session::{ModuleTable, SessionModule, module_table};
use serde_json::Value;

use crate::common::{Ran, TestEnv};

/// A module of one program, whose modulefile has these further lines.
fn module(env: &TestEnv, name: &str, lines: &str) -> PathBuf {
    let prefix = env.root().join("sw").join(name);
    env.program(prefix.join("bin/tool"), "#!/bin/sh\necho a tool\n");
    let text = format!("setenv('EBROOTAPP', '{}')\n{lines}", prefix.display());
    env.write(format!("mf/{name}.lua"), text);
    prefix
}

fn export(env: &TestEnv, words: &str, user: &str) -> Ran {
    let mut command = env.module_export();
    command.arg("container").args(words.split_whitespace());
    command.args(["-a", "A. Author", "-n", "x", "-f", "tar", "--force", "--epoch", "1795305600"]);
    env.run(command.env("USER", user).env("MODULEPATH", env.root().join("mf")))
}

#[test]
fn a_secret_that_the_session_changed_is_told_nowhere() {
    let env = TestEnv::new();
    let lines = "setenv('DB_PASSWORD', 'x')\nsetenv('LINK', 'x')\nsetenv('PLAIN', 'x')\n";
    let prefix = module(&env, "App/1.0", lines);
    let loaded = SessionModule {
        short_name: "App".to_owned(),
        full_name: "App/1.0".to_owned(),
        user_name: "App".to_owned(),
        file: env.root().join("mf/App/1.0.lua"),
        ..SessionModule::default()
    };
    let modulepath = vec![env.root().join("mf").to_string_lossy().into_owned()];
    let table = ModuleTable {
        modules: vec![loaded.clone()],
        modulepath: modulepath.clone(),
        base_modulepath: modulepath,
        families: Vec::new(),
    };
    let secret = format!("{}{}", "realSecret", 77);
    for verb in ["plan", "container"] {
        for json in ["--json", "-V"] {
            let mut command = env.module_export();
            command.args([verb, "-a", "A. Author", "-n", "x", "-f", "tar", "--force", json]);
            command.env("MODULEPATH", env.root().join("mf"));
            command.env("LOADEDMODULES", "App/1.0").env("_LMFILES_", &loaded.file);
            command.envs(module_table::encode(&table)).env("EBROOTAPP", &prefix);
            let link = format!("https://jane:{secret}@x.org");
            command.env("DB_PASSWORD", &secret).env("LINK", link).env("PLAIN", "seen66");
            let ran = env.run(&mut command);
            for said in [
                "DB_PASSWORD has another value in this session",
                "LINK has another value in this session",
                "PLAIN is `seen66` in this session",
            ] {
                assert!(ran.stderr.contains(said), "{said}: {ran}");
            }
            assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(&secret), "{ran}");
            if json == "--json" {
                let report: Value = serde_json::from_str(&ran.stdout).unwrap();
                let differences = report["differences"].as_array().unwrap();
                let hidden = differences.iter().filter(|one| one["kind"] == "hidden");
                assert_eq!(hidden.count(), 2, "{ran}");
            }
        }
    }
    let image = std::fs::read(env.work().join("x.tar")).unwrap();
    assert!(!image.windows(secret.len()).any(|window| window == secret.as_bytes()));
}

#[test]
fn restricted_software_is_found_by_its_directory_whatever_the_module_is_called() {
    let env = TestEnv::new();
    let matlab = env.root().join("apps/MATLAB/R2023b");
    env.program(matlab.join("bin/matlab"), "#!/bin/sh\necho m\n");
    let path = format!("prepend_path('PATH', '{}')\n", matlab.join("bin").display());
    module(&env, "tools/1", &path);
    module(&env, "Hello/1.0", "");
    let include = format!("Hello --include {}", env.root().join("apps").display());
    for (words, why) in [
        (
            "tools",
            "which the module tools/1 brings, lies in a directory of MATLAB: commercial software",
        ),
        (include.as_str(), "which --include `$ROOT/apps` brings, lies in a directory of MATLAB"),
    ] {
        let refused = export(&env, words, "jane7");
        assert_eq!(refused.status, 1, "{refused}");
        assert!(refused.stderr.contains("`$ROOT/apps/MATLAB/R2023b/bin/matlab`"), "{refused}");
        assert!(refused.stderr.contains(why) && refused.stderr.contains("https://"), "{refused}");
        export(&env, &format!("{words} --allow-restricted"), "jane7").success();
    }
    export(&env, "Hello", "jane7").success();
    // a common word alone is told of, and no reason to refuse
    module(&env, "forge/0.3", "whatis('Description: a package manager')\n");
    let doubted = export(&env, "forge", "jane7");
    assert!(doubted.stderr.contains("the module forge/0.3 has a name of Forge"), "{doubted}");
    doubted.success();
    module(&env, "forge/23.1", "whatis('Description: Linaro Forge')\n");
    assert_eq!(export(&env, "forge/23.1", "jane7").status, 1);
}

#[test]
fn a_row_that_could_never_fit_is_an_error_that_names_the_file_and_the_row() {
    let env = TestEnv::new();
    module(&env, "Hello/1.0", "");
    let directory = "home/.config/module-export";
    let good = "[[software]]\nname = 'A'\nreason = 'r'\n";
    for (file, text, said) in [
        (
            "restricted.toml",
            format!("{good}[[software]]\nname = 'NAM*'\nreason = 'r'\n"),
            "/restricted.toml`, row 2: `NAM*` is no name of software: a name is a part of a module's name",
        ),
        (
            "restricted.toml",
            format!("{good}[[software]]\nname = ''\nreason = 'r'\n"),
            "/restricted.toml`, row 2: `` is no name of software",
        ),
        (
            "config.toml",
            "[[restricted]]\nname = 'NAMD/3.0'\nreason = 'r'\n".to_owned(),
            "/config.toml`, `restricted`, row 1: `NAMD/3.0` is no name",
        ),
        (
            "config.toml",
            "allow-restricted = ['VASP', '[']\n".to_owned(),
            "/config.toml`, entry 2 of `allow-restricted`, `[`: `[` is no name",
        ),
    ] {
        let path = env.write(format!("{directory}/{file}"), text);
        let wrong = export(&env, "Hello", "jane7");
        assert_eq!(wrong.status, 2, "{wrong}");
        assert!(wrong.stderr.contains(said), "{said}: {wrong}");
        std::fs::remove_file(path).unwrap();
    }
    export(&env, "Hello", "jane7").success();
}

#[test]
fn long_logs_and_files_of_settings_are_searched_and_all_is_named_on_request() {
    let env = TestEnv::new();
    let prefix = module(&env, "App/1.0", "");
    let home = env.root().join("home/secret");
    let filler = "checking for something... yes\n".repeat(40_000);
    let log = format!("{filler}cd {}\n{filler}", home.display());
    env.write(prefix.join("log/run.log"), log);
    env.write(prefix.join("etc/app.conf"), format!("DB_PASSWD={}77\n", "realSecret"));
    env.write(prefix.join(".netrc"), "machine a.org login jane password correct\n");
    for at in 0..30 {
        env.write(prefix.join(format!("etc/{at:02}.env")), format!("X_TOKEN=a1B2c3D4e5F6{at}\n"));
    }
    let ran = export(&env, "App", "jane7");
    let more = "more things of this kind were seen (--verbose names each)";
    assert!(ran.stderr.contains(more), "{ran}");
    for words in ["App -V", "App --json"] {
        let all = export(&env, words, "jane7");
        for at in 0..30 {
            assert!(all.stderr.contains(&format!("etc/{at:02}.env`")), "{at}: {all}");
        }
        for said in ["log/run.log`, line 40001", "etc/app.conf`, line 1", "/.netrc`, line 1"] {
            assert!(all.stderr.contains(said), "{said}: {all}");
        }
        let untold = !all.stderr.contains("more things") && !all.stderr.contains("realSecret");
        assert!(untold, "{all}");
    }
}

#[test]
fn a_user_whose_name_is_a_word_exports_under_strict() {
    let env = TestEnv::new();
    module(&env, "App/1.0", "");
    for user in ["image", "lmod", "command"] {
        let ran = export(&env, "App --strict", user);
        assert!(ran.status == 0 && !ran.stderr.contains("warning: "), "{user}: {ran}");
    }
    // what the session gives the image is told
    module(&env, "App/2.0", "setenv('OWNER', 'command')\n");
    let ran = export(&env, "App/2.0 -V", "command");
    for said in
        ["your user name (`command`) stands in `/.module-export/", "`$ROOT/mf/App/2.0.lua`, line 2"]
    {
        assert!(ran.stderr.contains(said), "{said}: {ran}");
    }
}
