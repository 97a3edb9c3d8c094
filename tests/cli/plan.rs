//! `plan`: what `container` does, without writing.

use serde_json::Value;

use module_export::base::fs::sorted_dir;

use super::base::small_root;
use super::session::{Session, eessi, module_export};
use crate::common::{Ran, TestEnv, is_root};

/// Runs a verb in the session, or, where that is empty, at a plain site of one module.
fn run(env: &TestEnv, session: &Session, verb: &str, words: &str) -> Ran {
    let mut command = module_export(env, session, &format!("{verb} {words}"));
    if session.is_empty() {
        command.env("MODULEPATH", env.root().join("mf"));
    }
    env.run(&mut command)
}

fn site(env: &TestEnv) {
    env.program("apps/tool/1.0/bin/tool", "#!/bin/sh\necho a tool\n");
    let bin = env.root().join("apps/tool/1.0/bin");
    env.write("mf/tool/1.0.lua", format!("prepend_path('PATH', '{}')\n", bin.display()));
}

#[track_caller]
fn assert_nothing_written(env: &TestEnv, what: &str) {
    for name in ["work", "tmp"] {
        assert_eq!(sorted_dir(&env.root().join(name)).unwrap(), [""; 0], "{what}: {name}");
    }
}

/// Plans with these words, exports with them, and compares.
#[track_caller]
fn assert_same(env: &TestEnv, session: &Session, words: &str) {
    let words = format!("-a A -n x -q --json --epoch 1795305600 {words}");
    let planned = run(env, session, "plan", &words).success();
    assert_nothing_written(env, &words);
    let planned: Value = serde_json::from_str(&planned).unwrap();
    let report = run(env, session, "container", &words).success();
    let report: Value = serde_json::from_str(&report).unwrap();
    for field in ["files", "content_bytes", "format", "manifest", "warnings", "findings"] {
        assert_eq!(planned[field], report[field], "{words}: {field}");
    }
    assert_eq!(planned["schema_version"], 1);
    assert_eq!(planned["status"], 0);
    let image = planned["image"].as_str().unwrap();
    assert!(report["image"].as_str().unwrap().ends_with(image.trim_start_matches('.')), "{image}");

    let sum = |list: &str, field: &str| -> u64 {
        let rows = planned[list].as_array().unwrap().iter();
        rows.map(|row| row[field].as_u64().unwrap()).sum()
    };
    assert_eq!(sum("reasons", "bytes"), report["content_bytes"].as_u64().unwrap(), "{words}");
    assert!(sum("reasons", "files") >= report["files"].as_u64().unwrap(), "names of files");
    let sizes = planned["biggest"].as_array().unwrap();
    assert!(sizes.len() == 10 && sizes[0]["bytes"].as_u64() >= sizes[9]["bytes"].as_u64());
    for space in planned["space"].as_array().unwrap() {
        assert!(space["needed"].as_u64() >= report["size"].as_u64(), "{words}");
        assert!(space["available"].as_u64() > space["needed"].as_u64(), "{words}");
    }
    std::fs::remove_dir_all(env.work().join("x.oci"))
        .or_else(|_| std::fs::remove_file(env.work().join("x.sif")))
        .unwrap();
}

#[test]
fn the_figures_of_a_plan_are_those_of_the_export() {
    let env = TestEnv::new();
    site(&env);
    if let Some(base) = small_root(&env) {
        let words = format!("tool/1.0 --format oci --base {}", base.display());
        assert_same(&env, &Session::new(), &words);
    }
    if let Some(session) = eessi(&env, "module load MiniSim") {
        assert_same(&env, &session, "--exclude **/libz.so* --compression zstd:1");
        let plan = |words: &str| -> Value {
            let words = format!("-n x -q --json --epoch 1795305600 {words}");
            serde_json::from_str(&run(&env, &session, "plan", &words).success()).unwrap()
        };
        let (full, slim) = (plan(""), plan("--slim"));
        let bytes = |planned: &Value| planned["content_bytes"].as_u64().unwrap();
        let (saved, told) =
            (bytes(&full) - bytes(&slim), full["slim_would_save"]["bytes"].as_u64().unwrap());
        // but for what the manifest and the list say of it
        assert!(saved.abs_diff(told) < 200_000 && told > 1_000_000, "{saved} {told}");
        assert_eq!([&slim["slim_would_save"], &full["slim"]], [&Value::Null; 2]);
        assert!(slim["slim"]["left_out"].as_u64() > Some(100), "{}", slim["slim"]);
    }
}

#[test]
fn a_plan_is_a_table_that_needs_no_author_and_takes_what_container_takes() {
    let env = TestEnv::new();
    site(&env);
    let Some(base) = small_root(&env) else { return };
    let words = format!("tool/1.0 -n x --base {} --cache gone --jobs 1", base.display());
    let table = run(&env, &Session::new(), "plan", &words).success();
    for part in [
        "./x.sif: ",
        "\nmodules\n",
        " 1 files * tool/1.0\n",
        "installations of modules\n",
        "\nbiggest files\n",
        "  destination `.`: up to ",
        "\nproof: 0 errors, ",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_nothing_written(&env, "a table");
    let help = run(&env, &Session::new(), "plan", "--help").success();
    assert!(help.contains("--exclude") && !help.contains("--cache"), "{help}");
}

#[test]
fn a_plan_ends_as_the_export_would() {
    let env = TestEnv::new();
    site(&env);
    let Some(base) = small_root(&env) else { return };
    let base = base.display().to_string();
    env.write("there/x.sif", "old");
    let there = env.root().join("there").display().to_string();
    for (status, words, said) in [
        (3, "-n x".to_owned(), "error: "),
        (1, "tool/9 -n x".to_owned(), "no such module: `tool/9`"),
        (3, "tool/1.0 --base compat".to_owned(), "--base compat needs an EESSI session"),
        (1, format!("tool/1.0 -n x --base {base} -d gone"), "`gone` for the image"),
        (1, format!("tool/1.0 -n x --base {base} --tmpdir gone"), "`gone` for scratch"),
        (1, format!("tool/1.0 -n x --base {base} -d {there}"), "exists already"),
        (0, format!("tool/1.0 -n x --base {base} -d {there} --force"), ""),
    ] {
        let plan = run(&env, &Session::new(), "plan", &words);
        assert!(plan.status == status && plan.stderr.contains(said), "{words}: {plan}");
        if status != 0 {
            let export = run(&env, &Session::new(), "container", &format!("{words} -a A"));
            assert_eq!(plan, export, "{words}");
        }
        assert_nothing_written(&env, &words);
    }
}

#[test]
fn a_plan_says_which_file_system_has_no_room() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    if !is_root() {
        return crate::common::skip("only root can mount a small file system");
    }
    let small = env.root().join("small");
    std::fs::create_dir(&small).unwrap();
    let mut mount = env.command("mount");
    let mounted = env.run(mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&small));
    if mounted.status != 0 {
        return crate::common::skip("nothing can be mounted here");
    }
    let words = format!("-q --json --tmpdir {}", small.display());
    let ran = run(&env, &session, "plan", &words);
    env.run(env.command("umount").arg(&small)).success();
    assert_eq!(ran.status, 4, "{ran}");
    assert!(ran.stderr.contains("not enough space on the file system of `$ROOT/small`"), "{ran}");
    let planned: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(planned["status"], 4);
    let places: Vec<_> = planned["space"].as_array().unwrap().iter().map(|s| &s["place"]).collect();
    assert_eq!(places, ["scratch", "destination"]);
}
