//! `container` on the look-alike of EESSI: what is written, and what is said about it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::session::{Session, eessi, module_export};
use crate::common::TestEnv;

/// Exports quickly: the codec is not what these tests are about.
const FAST: &str = "--compression none";

fn report(env: &TestEnv, session: &Session, words: &str) -> Value {
    let words = format!("container -a A --json --force {FAST} {words}");
    let ran = env.run(&mut module_export(env, session, &words));
    serde_json::from_str(&ran.clone().success()).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

fn warnings(report: &Value) -> Vec<&str> {
    report["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap()).collect()
}

#[test]
fn an_untouched_session_is_exported_without_a_warning() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let ran = env.run(&mut module_export(&env, &session, &format!("container -a A {FAST}")));
    assert!(!ran.stderr.contains("warning: "), "{ran}");
    let name = "EESSI_MiniSim_1.4-foss-2022b.sif";
    assert_eq!(ran.success(), format!("$ROOT/work/{name}\n"));
    let names: Vec<_> =
        std::fs::read_dir(env.work()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [name]);
}

#[test]
fn what_nobody_who_exports_can_mend_is_no_reason_to_refuse_under_strict() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load GSL") else { return };
    let strict = format!("container -a A --strict {FAST}");
    let strict = env.run(&mut module_export(&env, &session, &strict));
    assert!(strict.stderr.contains("lesser warnings"), "{strict}");
    strict.success();
}

#[test]
fn each_edit_of_the_session_gives_exactly_its_warning() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let root = &session["EBROOTGSL"];
    let rows = [
        (
            "EBROOTGSL",
            "/elsewhere".to_owned(),
            format!(
                "EBROOTGSL is `/elsewhere` in this session, but the modules set it to `{root}`; the image has the latter"
            ),
        ),
        (
            "LIBRARY_PATH",
            session["LIBRARY_PATH"].replace(&format!("{root}/lib"), "/dropped"),
            format!(
                "LIBRARY_PATH lacks `{root}/lib` in this session, which GSL/2.7.1-GCC-12.2.0 adds; the image has it"
            ),
        ),
        (
            "EESSI_SOFTWARE_PATH",
            "/x".to_owned(),
            format!(
                "EESSI_SOFTWARE_PATH is `/x` in this session, but the modules set it to `{}`; the image has the latter",
                session["EESSI_SOFTWARE_PATH"]
            ),
        ),
    ];
    for (name, value, want) in rows {
        let mut edited = session.clone();
        edited.insert(name.to_owned(), value);
        let report = report(&env, &edited, "");
        let mut found = warnings(&report);
        // a changed element is one that is missing and one that is foreign
        found.retain(|warning| !warning.contains("/dropped"));
        assert_eq!(found, [want.as_str()], "{name}");
    }
}

#[test]
fn software_that_no_module_gives_is_named_with_the_flag_that_packs_it() {
    let env = TestEnv::new();
    let Some(mut session) = eessi(&env, "module load GSL") else { return };
    let tool = env.program("extra/bin/tool", "#!/bin/sh\necho tool\n");
    let directory = tool.parent().unwrap().to_str().unwrap().to_owned();
    session.insert("PATH".to_owned(), format!("{directory}:{}", session["PATH"]));
    let found = report(&env, &session, "");
    let want = format!(
        "a directory of PATH that no module adds, at `{directory}` is not in the image: --include {directory} packs it"
    );
    assert_eq!(warnings(&found), [env.shown(&want)]);
    let included = report(&env, &session, &format!("--include {directory}"));
    assert_eq!(warnings(&included), [] as [&str; 0]);
    let strict = env.run(&mut module_export(
        &env,
        &session,
        &format!("container -a A --force --strict {FAST}"),
    ));
    assert_eq!(strict.status, 5, "{strict}");
}

#[test]
fn names_authors_and_versions_are_those_that_were_asked_for() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load GSL") else { return };
    let mut command =
        module_export(&env, &session, &format!("container --epoch 1795305600 --json {FAST}"));
    command.args(["-a", "O'Hara \"Jane\" <j@x.org>", "-a", "B", "-n", "../x", "-v", "two words"]);
    let report: Value = serde_json::from_str(&env.run(&mut command).success()).unwrap();
    assert_eq!(report["image"], "$ROOT/work/.._x.sif");
    assert!(env.work().join(".._x.sif").is_file());
    let manifest = &report["manifest"];
    assert_eq!(manifest["authors"], serde_json::json!(["O'Hara \"Jane\" <j@x.org>", "B"]));
    assert_eq!(manifest["version"], "2026-11-22-two words");
    assert_eq!(manifest["schema_version"], 1);
}

#[test]
fn the_same_session_gives_the_same_bytes() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    let export = |name: &str, zone: &str, jobs: &str| -> PathBuf {
        let words = format!(
            "container -a A -n {name} --epoch 1795305600 --jobs {jobs} -d {}",
            env.work().display()
        );
        let mut command = module_export(&env, &session, &words);
        command.env("TZ", zone).env("LC_ALL", "C").env("USER", zone);
        env.run(&mut command).success();
        env.work().join(format!("{name}.sif"))
    };
    let (first, second) =
        (export("x", "UTC", "1"), std::fs::read(export("x2", "Asia/Tokyo", "3")).unwrap());
    // the name is in the image: the same one again
    std::fs::rename(&first, env.work().join("kept.sif")).unwrap();
    let again = std::fs::read(export("x", "Asia/Tokyo", "3")).unwrap();
    let kept = std::fs::read(env.work().join("kept.sif")).unwrap();
    assert!(kept == again, "two exports of one session differ");
    assert!(kept != second, "another name gives another image: the comparison can fail");
}

#[test]
fn an_interrupted_export_leaves_nothing_and_says_so() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let mut command =
            module_export(&env, &session, "container -a A --compression gzip:12 --jobs 1");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_part(&env.work());
        // `sh -c 'exec …'`: the child is the program itself
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("interrupted; nothing was left behind"), "{said}");
        assert_eq!(std::fs::read_dir(env.work()).unwrap().count(), 0);
        assert_eq!(
            std::fs::read_dir(env.root().join("tmp")).unwrap().count(),
            0,
            "scratch is left"
        );
    }
}

fn wait_for_part(directory: &Path) {
    let begun = Instant::now();
    while std::fs::read_dir(directory).unwrap().count() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "no export began");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_export_is_cleared_by_the_next() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load GSL") else { return };
    let mut command =
        module_export(&env, &session, "container -a A --compression gzip:12 --jobs 1");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_part(&env.work());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        std::fs::read_dir(env.work()).unwrap().count(),
        1,
        "a killed process cannot clean up"
    );
    report(&env, &session, "-n next");
    let names: Vec<_> =
        std::fs::read_dir(env.work()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["next.sif"]);
}

#[test]
fn a_file_system_without_room_is_named_before_anything_is_written() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load GSL") else { return };
    if !crate::common::is_root() {
        return crate::common::skip("only root can mount a small file system");
    }
    let small = env.root().join("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |size: &str| {
        env.run(env.command("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(&small))
            .success();
    };
    mount("size=2m");
    let words = format!("container -a A {FAST} -d {}", small.display());
    let ran = env.run(&mut module_export(&env, &session, &words));
    let left = std::fs::read_dir(&small).unwrap().count();
    env.run(env.command("umount").arg(&small)).success();
    assert_eq!((ran.status, left), (4, 0), "{ran}");
    assert!(ran.stderr.contains("not enough space on the file system of `$ROOT/small`"), "{ran}");
}
