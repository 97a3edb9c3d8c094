//! `verify`, and the proof before an image is written.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use module_export::base::fs::sorted_dir;
use serde_json::Value;

use super::session::{Session, eessi, module_export};
use crate::common::{Ran, TestEnv, is_root, skip, tool};

/// Exports the session; the image's path.
fn export(env: &TestEnv, session: &Session, words: &str) -> PathBuf {
    let words = format!("container -a A -q -n x --epoch 1795305600 --force {words}");
    let path = env.run(&mut module_export(env, session, &words)).success();
    PathBuf::from(path.trim_end().replace("$ROOT", &env.root().display().to_string()))
}

fn verify(env: &TestEnv, image: &Path) -> Ran {
    env.run(env.module_export().args(["verify", "--json"]).arg(image))
}

/// The findings of this severity, as `check path: need`.
fn findings(ran: &Ran, severity: &str) -> Vec<String> {
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
        let flags = if is_root() { "-m" } else { "-rm" };
        let mut hidden = env.command("unshare");
        let script = "mount -t tmpfs none /cvmfs && test ! -e /cvmfs/module-export.test && exec \"$0\" verify --json \"$1\"";
        hidden.args([flags, "sh", "-c", script, env!("CARGO_BIN_EXE_module-export")]).arg(&image);
        let ran = env.run(&mut hidden);
        if ran.stderr.contains("unshare") || ran.stderr.contains("mount:") {
            return skip("mount namespaces are forbidden here");
        }
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
    assert!(ran.status == 5 && ran.stdout.contains("\nproof: 1 errors, "), "{ran}");
    assert!(ran.stderr.contains("libneverthere.so"), "{ran}");

    let words = format!("{words} --allow-incomplete --json");
    let ran = env.run(&mut module_export(&env, &session, &words));
    let report: Value = serde_json::from_str(&ran.success()).unwrap();
    let lacks = report["manifest"]["lacks"].as_array().unwrap();
    assert_eq!(lacks.len(), 1, "{lacks:?}");
    assert_eq!(lacks[0]["need"], "libneverthere.so");
    let ran = verify(&env, &env.work().join("x.sif"));
    assert_eq!(ran.status, 5);
    let want = "library $ROOT/apps/broken/1/bin/broken: libneverthere.so";
    assert_eq!(findings(&ran, "error"), [want]);
}

#[test]
fn what_was_left_out_on_request_is_a_warning_that_the_image_records() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let words = "container -a A -q -n x --epoch 1795305600 --json --exclude **/libz.so*";
    let report = env.run(&mut module_export(&env, &session, words)).success();
    let report: Value = serde_json::from_str(&report).unwrap();
    let lacks = report["manifest"]["lacks"].as_array().unwrap();
    assert!(!lacks.is_empty());
    assert!(lacks.iter().all(|lack| lack["severity"] == "warning"), "{lacks:?}");
    let ran = verify(&env, &env.work().join("x.sif"));
    assert_eq!(ran.status, 0, "{ran}");
    assert!(findings(&ran, "warning").iter().any(|text| text.ends_with(": libz.so.1")), "{ran}");
}

/// Files below `top`, links not followed.
fn files_below(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in sorted_dir(top).unwrap() {
        let path = top.join(name);
        if std::fs::symlink_metadata(&path).unwrap().is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// What programs and scripts of `files` need, by what `ld.so` and their first lines say: paths,
/// and who needs them.
fn needs(files: &[PathBuf], loader: &str) -> BTreeMap<PathBuf, PathBuf> {
    let mut needs = BTreeMap::new();
    for file in files {
        let Ok(metadata) = std::fs::symlink_metadata(file) else { continue };
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            continue;
        }
        let bytes = std::fs::read(file).unwrap();
        if bytes.starts_with(b"#!/") {
            let line = String::from_utf8_lossy(&bytes).lines().next().unwrap()[2..].to_owned();
            needs.insert(PathBuf::from(line.split(' ').next().unwrap()), file.clone());
        } else if bytes.starts_with(b"\x7fELF") {
            let mut command = Command::new(loader);
            let shown = command.arg(file).env_clear().env("LD_TRACE_LOADED_OBJECTS", "1").output();
            for line in String::from_utf8_lossy(&shown.unwrap().stdout).lines() {
                let path = line.split(" => ").last().unwrap().split(" (0x").next().unwrap().trim();
                if path.starts_with('/') {
                    needs.insert(PathBuf::from(path), file.clone());
                }
            }
        }
    }
    needs
}

/// Where `path` leads in the tree in `image`; its last link is followed only if `to_the_end`.
fn follow(image: &Path, path: &Path, to_the_end: bool) -> PathBuf {
    let mut todo: Vec<PathBuf> =
        path.strip_prefix("/").unwrap().iter().rev().map(PathBuf::from).collect();
    let mut at = PathBuf::from("/");
    while let Some(name) = todo.pop() {
        if name == Path::new("..") {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let target = std::fs::read_link(image.join(next.strip_prefix("/").unwrap()));
        match target {
            Ok(target) if to_the_end || !todo.is_empty() => {
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                let names = target.iter().filter(|name| *name != "/" && *name != ".");
                let names: Vec<PathBuf> = names.map(PathBuf::from).collect();
                todo.extend(names.into_iter().rev());
            }
            _ => at = next,
        }
    }
    at
}

/// `REMOVALS` says how many; `SEED` says which.
#[test]
fn what_is_taken_out_of_an_image_is_named_with_its_user() {
    let env = TestEnv::new();
    let Some(readelf) = tool("readelf") else { return };
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let image = export(&env, &session, "--format sandbox");
    let number = |name: &str, default: u64| -> u64 {
        std::env::var_os(name).map_or(default, |text| text.to_str().unwrap().parse().unwrap())
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut state = number("SEED", now);
    eprintln!("SEED={state}");
    let inside = |path: &Path| image.join(path.strip_prefix("/").unwrap());
    let top = image.join("cvmfs");
    let at_source: Vec<PathBuf> = files_below(&top)
        .into_iter()
        .map(|path| Path::new("/").join(path.strip_prefix(&image).unwrap()))
        .collect();
    let loader = session["EPREFIX"].clone() + "/lib64/ld-linux-x86-64.so.2";
    let needs: Vec<(PathBuf, PathBuf)> = needs(&at_source, &loader)
        .into_iter()
        .filter(|(path, _)| std::fs::symlink_metadata(inside(path)).is_ok())
        .collect();
    assert!(needs.len() > 20, "{needs:?}");
    for _ in 0..number("REMOVALS", 10) {
        // Knuth's
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (path, user) = &needs[usize::try_from(state >> 33).unwrap() % needs.len()];
        // the link, or the file that it leads to
        let gone = follow(&image, path, state & 1 << 32 == 0);
        let kept = env.root().join("kept");
        std::fs::rename(inside(&gone), &kept).unwrap();
        let ran = verify(&env, &image);
        std::fs::rename(&kept, inside(&gone)).unwrap();
        let why = format!("{} for {}: {}", gone.display(), user.display(), ran.stderr);
        assert_eq!(ran.status, 5, "{why}");
        let errors = findings(&ran, "error");
        let shown = gone.display();
        assert!(errors.contains(&format!("list {shown}: {shown}")), "{why}");
        let of_user = errors.iter().any(|error| {
            let (check, rest) = error.split_once(' ').unwrap();
            let (named, need) = rest.rsplit_once(": ").unwrap();
            match check {
                "script" | "interpreter" => Path::new(named) == user || Path::new(need) == path,
                "library" => {
                    let shown = Command::new(&readelf).arg("-d").arg(named).output().unwrap();
                    String::from_utf8_lossy(&shown.stdout).contains(&format!("[{need}]"))
                        && Path::new(need).file_name() == path.file_name()
                }
                _ => false,
            }
        });
        assert!(of_user, "{why}\n{errors:#?}");
    }
}
