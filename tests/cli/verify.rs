//! `verify`, and the proof before an image is written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use module_export::base::fs::sorted_dir;
use serde_json::Value;

use super::session::{Session, eessi, module_export};
use crate::common::{Ran, TestEnv, is_root, skip, tool};

/// Exports the session; the image's path.
pub(super) fn export(env: &TestEnv, session: &Session, words: &str) -> PathBuf {
    let words = format!("container -a A -q -n x --epoch 1795305600 --force {words}");
    let path = env.run(&mut module_export(env, session, &words)).success();
    PathBuf::from(path.trim_end().replace("$ROOT", &env.root().display().to_string()))
}

fn verify(env: &TestEnv, image: &Path) -> Ran {
    env.run(env.module_export().args(["verify", "--json"]).arg(image))
}

/// The same where no `/cvmfs` exists; `None` where none can be hidden.
pub(super) fn verify_without_stack(env: &TestEnv, image: &Path) -> Option<Ran> {
    let flags = if is_root() { "-m" } else { "-rm" };
    let mut hidden = env.command("unshare");
    let script = "mount -t tmpfs none /cvmfs && test ! -e /cvmfs/module-export.test && exec \"$0\" verify --json \"$1\"";
    hidden.args([flags, "sh", "-c", script, env!("CARGO_BIN_EXE_module-export")]).arg(image);
    let ran = env.run(&mut hidden);
    if ran.stderr.contains("unshare") || ran.stderr.contains("mount:") {
        skip("mount namespaces are forbidden here");
        return None;
    }
    Some(ran)
}

/// The findings of this severity, as `check path: need`.
pub(super) fn findings(ran: &Ran, severity: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran}"));
    let all = report["findings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.filter(|finding| finding["severity"] == severity)
        .map(|finding| {
            let [check, path, need] = ["check", "path", "need"].map(|key| text(&finding[key]));
            format!("{check} {path}: {need}")
        })
        .collect()
}

#[test]
fn a_complete_image_of_any_format_is_found_to_be_so_where_its_stack_is_not() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let mut said: BTreeSet<String> = BTreeSet::new();
    for format in ["sif --compression zstd:1", "oci", "docker-archive", "tar.zst", "sandbox"] {
        let image = export(&env, &session, &format!("--format {format}"));
        let Some(ran) = verify_without_stack(&env, &image) else { return };
        assert_eq!(findings(&ran, "error"), [""; 0], "{format}: {}", ran.stderr);
        assert_eq!(ran.status, 0, "{format}");
        said.insert(findings(&ran, "warning").join("\n"));
    }
    assert_eq!(said.len(), 1, "every format tells the same: {said:#?}");
}

#[test]
fn whatever_is_altered_is_named() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    let image = export(&env, &session, "--format sandbox");
    let inside = |path: &str| image.join(path.trim_start_matches('/'));
    let root = &session["EBROOTWHICHTARGET"];
    let program = format!("{root}/bin/whichtarget");
    let clean = verify(&env, &image);
    assert_eq!(clean.status, 0, "{clean}");
    let strict = env.run(env.module_export().args(["verify", "--strict"]).arg(&image));
    let warned = !findings(&clean, "warning").is_empty();
    assert_eq!(strict.status, if warned { 5 } else { 0 }, "{strict}");

    let bytes = std::fs::read(inside(&program)).unwrap();
    let mut altered = bytes.clone();
    *altered.last_mut().unwrap() ^= 1;
    std::fs::write(inside(&program), &altered).unwrap();
    let want = |path: &str| vec![format!("list {path}: {path}")];
    let errors = || findings(&verify(&env, &image), "error");
    assert_eq!(errors(), want(&program));
    std::fs::write(inside(&program), &bytes).unwrap();

    let chmod = |path: &str, mode: u32| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(inside(path), permissions).unwrap();
    };
    let mode_of = |path: &str| {
        let metadata = std::fs::metadata(inside(path)).unwrap();
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777
    };
    for (path, mode) in
        [(&*program, 0o444), (&*program, 0o4777), (&*format!("{root}/bin"), 0o777), ("/tmp", 0o555)]
    {
        let was = mode_of(path);
        chmod(path, mode);
        assert_eq!(errors(), want(path), "{mode:o}");
        chmod(path, was);
    }

    std::fs::write(inside("/etc/added"), "x").unwrap();
    assert_eq!(errors(), want("/etc/added"));
    std::fs::remove_file(inside("/etc/added")).unwrap();

    std::fs::remove_file(inside("/bin/sh")).unwrap();
    let gone = errors();
    assert!(gone.contains(&"list /bin/sh: /bin/sh".to_owned()), "{gone:?}");
    std::os::unix::fs::symlink("/nowhere", inside("/bin/sh")).unwrap();
    let astray = errors();
    assert!(astray.contains(&"list /bin/sh: /bin/sh".to_owned()), "{astray:?}");

    std::fs::remove_file(inside("/.module-export/files.jsonl")).unwrap();
    let ran = verify(&env, &image);
    assert_eq!(ran.status, 5);
    assert_eq!(findings(&ran, "error"), want("/.module-export/files.jsonl"));
    std::fs::remove_file(inside("/.module-export/manifest.json")).unwrap();
    let ran = verify(&env, &image);
    assert!(ran.status == 1 && ran.stderr.contains("no manifest of module-export"), "{ran}");
}

#[test]
fn an_export_that_lacks_a_library_is_refused_unless_that_is_wanted() {
    let env = TestEnv::new();
    if tool("gcc").is_none() {
        return;
    }
    let Some(mut session) = eessi(&env, "module load WhichTarget") else { return };
    let app = env.root().join("apps/broken/1");
    std::fs::create_dir_all(app.join("bin")).unwrap();
    let gcc = |words: &[&str]| {
        let mut command = env.command("gcc");
        env.run(command.current_dir(&app).args(words)).success();
    };
    env.write("apps/broken/1/f.c", "int f(void) { return 1; }\nint main(void) { return f(); }\n");
    gcc(&["-shared", "-fPIC", "-o", "libneverthere.so", "f.c", "-Wl,-soname,libneverthere.so"]);
    let libraries = session["EPREFIX"].clone() + "/lib64";
    let loader =
        format!("-Wl,--dynamic-linker={libraries}/ld-linux-x86-64.so.2,-rpath,{libraries}");
    gcc(&["-o", "bin/broken", "f.c", "-Wl,--no-as-needed", "-L.", "-lneverthere", &loader]);
    std::fs::remove_file(app.join("libneverthere.so")).unwrap();
    // larger than what is kept in memory of a file while an image is read
    let large = app.join("bin/large");
    std::fs::copy(app.join("bin/broken"), &large).unwrap();
    std::fs::OpenOptions::new().write(true).open(&large).unwrap().set_len(40 << 20).unwrap();
    let modulefile =
        format!("setenv('EBROOTBROKEN', '{0}')\nprepend_path('PATH', '{0}/bin')\n", app.display());
    env.write("mf/broken/1.lua", modulefile);
    let path = format!("{}:{}", env.root().join("mf").display(), session["MODULEPATH"]);
    session.insert("MODULEPATH".to_owned(), path);
    let words = "container -a A -n x --epoch 1795305600 broken/1";
    let ran = env.run(&mut module_export(&env, &session, words));
    assert_eq!(ran.status, 5, "{ran}");
    assert!(ran.stderr.contains("libneverthere.so") && ran.stderr.contains("bin/broken"), "{ran}");
    assert!(ran.stderr.contains("--allow-incomplete"), "{ran}");
    assert_eq!(sorted_dir(&env.work()).unwrap(), [""; 0], "no image");

    let ran = env.run(&mut module_export(&env, &session, "plan -n x broken/1"));
    assert!(ran.status == 5 && ran.stdout.contains("\nproof: 2 errors, "), "{ran}");
    assert!(ran.stderr.contains("libneverthere.so"), "{ran}");

    let words = format!("{words} --allow-incomplete --json");
    let ran = env.run(&mut module_export(&env, &session, &words));
    let report: Value = serde_json::from_str(&ran.success()).unwrap();
    let lacks = report["manifest"]["lacks"].as_array().unwrap();
    let needs: Vec<_> = lacks.iter().map(|lack| &lack["need"]).collect();
    assert_eq!(needs, ["libneverthere.so"; 2]);
    let ran = verify(&env, &env.work().join("x.sif"));
    assert_eq!(ran.status, 5);
    let want = ["broken", "large"]
        .map(|name| format!("library $ROOT/apps/broken/1/bin/{name}: libneverthere.so"));
    assert_eq!(findings(&ran, "error"), want);
}

#[test]
fn what_was_left_out_on_request_is_a_warning_that_the_image_records() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let words = "container -a A -q -n x --epoch 1795305600 --json --exclude **/libz.so*";
    let report = env.run(&mut module_export(&env, &session, words)).success();
    let report: Value = serde_json::from_str(&report).unwrap();
    let strict = env.run(&mut module_export(&env, &session, &format!("{words} --force --strict")));
    assert!(strict.status == 5 && strict.stderr.contains("--strict treats them"), "{strict}");
    let lacks = report["manifest"]["lacks"].as_array().unwrap();
    assert!(!lacks.is_empty());
    assert!(lacks.iter().all(|lack| lack["severity"] == "warning"), "{lacks:?}");
    let ran = verify(&env, &env.work().join("x.sif"));
    assert_eq!(ran.status, 0, "{ran}");
    assert!(findings(&ran, "warning").iter().any(|text| text.ends_with(": libz.so.1")), "{ran}");
}
