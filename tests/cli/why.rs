//! `why`: reasons for everything in an image, to what the user asked for.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use module_export::assemble::Manifest;
use module_export::audit::{Background, Listing, Module};
use module_export::closure::Cause;
use module_export::image::read::{FoundKind, Image};
use module_export::rootfs::ImagePath;
use serde_json::Value;

use super::base::small_root;
use super::session::{eessi, module_export};
use crate::common::{Ran, TestEnv, tool};

/// A plain site of two modules, of which one depends on the other.
fn site(env: &TestEnv) {
    let root = env.root().join("apps").display().to_string();
    env.program("apps/tool/1.0/bin/tool", "#!/usr/bin/env perl\nprint 1;\n");
    env.write("apps/data/2.0/share/one", "one");
    let one = env.root().join("apps/data/2.0/share/one");
    std::fs::hard_link(&one, one.with_file_name("twin")).unwrap();
    std::fs::write(one.with_file_name(OsStr::from_bytes(b"odd\xff")), "odd").unwrap();
    env.write("apps/data/2.0/easybuild/easybuild-data.log", "built");
    env.write("apps/data/2.0/share/notes.txt", "left out");
    env.write(
        "mf/tool/1.0.lua",
        format!("depends_on('data/2.0')\nprepend_path('PATH', '{root}/tool/1.0/bin')\n"),
    );
    env.write("mf/data/2.0.lua", format!("setenv('EBROOTDATA', '{root}/data/2.0')\n"));
}

/// Exports the site; the image's path.
fn export_site(env: &TestEnv, words: &str) -> PathBuf {
    let words = format!("container tool/1.0 -a A -n x -q --epoch 1795305600 {words}");
    let mut command = module_export(env, &[].into(), &words);
    let path = env.run(command.env("MODULEPATH", env.root().join("mf"))).success();
    PathBuf::from(path.trim_end().replace("$ROOT", &env.root().display().to_string()))
}

fn why(env: &TestEnv, image: &Path, path: &(impl AsRef<OsStr> + ?Sized), words: &[&str]) -> Ran {
    env.run(env.module_export().arg("why").arg(image).arg(path).args(words))
}

/// The only answer.
fn answer(env: &TestEnv, image: &Path, path: &(impl AsRef<OsStr> + ?Sized)) -> Value {
    let ran = why(env, image, path, &["--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran}"));
    let answers = report["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 1, "{ran}");
    assert_eq!(ran.status, i32::from(answers[0]["kind"] == "absent"), "{ran}");
    answers[0].clone()
}

/// The steps of an answer as `name: reason`.
fn steps(answer: &Value) -> Vec<String> {
    let steps = answer["chain"]["steps"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    steps.map(|step| format!("{}: {}", text(&step["name"]), text(&step["reason"]))).collect()
}

/// Everything in the image has a chain, and each ends where no reason is needed. Returns the kinds
/// of reasons that there were.
#[track_caller]
fn assert_all_explained(image: &Path) -> BTreeSet<String> {
    let image = Image::open(image).unwrap();
    let read = |path: &str| image.read(&ImagePath::new(path.as_bytes()).unwrap(), 1 << 30).unwrap();
    let manifest: Manifest =
        serde_json::from_slice(&read("/.module-export/manifest.json")).unwrap();
    let listing = Listing::parse(&read("/.module-export/files.jsonl")).unwrap();
    let modules: Vec<Module> = manifest
        .modules
        .iter()
        .map(|module| Module {
            name: module.name.clone(),
            requested: module.requested,
            modulefile: module.modulefile.clone(),
            prefixes: module.prefixes.clone(),
            dependencies: module.dependencies.clone(),
        })
        .collect();
    let background = Background {
        listing: &listing,
        modules: &modules,
        environment: &[].into(),
        layer: manifest.base.path.as_deref(),
        stack_version: manifest.base.stack_version.as_deref(),
        base: manifest.base.name.as_deref(),
    };
    let roots =
        ["requested", "base", "compat", "init", "include", "generated", "core", "environment"];
    let (mut seen, mut kinds) = (0, BTreeSet::new());
    image
        .walk(|path, found| {
            if matches!(found.kind, FoundKind::Directory) {
                return Ok(());
            }
            let chain = background.chain(path.as_path());
            let last = chain.steps.last().unwrap_or_else(|| panic!("{path} has no reason"));
            let kind = last.reason.split(':').next().unwrap();
            assert!(chain.complete && roots.contains(&kind), "{path}: {:#?}", chain.steps);
            let cause = Cause::parse(&chain.steps[0].reason);
            assert!(!matches!(cause, Cause::Other(_)), "{path}: {cause}");
            kinds.insert(cause.kind().to_owned());
            seen += 1;
            Ok(())
        })
        .unwrap();
    assert!(seen > 100, "{seen}");
    kinds
}

#[test]
fn everything_in_an_image_of_eessi_is_explained() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let words = "container -a A -q -n x --epoch 1795305600";
    env.run(&mut module_export(&env, &session, words)).success();
    let image = env.work().join("x.sif");
    let kinds = assert_all_explained(&image);
    for kind in ["module", "modulefile", "compat", "init", "generated"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }

    let words = "container -a A -q -n slim --slim --compression zstd:1 --epoch 1795305600";
    env.run(&mut module_export(&env, &session, words)).success();
    let kinds = assert_all_explained(&env.work().join("slim.sif"));
    assert!(kinds.contains("core") && kinds.contains("library"), "{kinds:?}");

    let layer = &session["EPREFIX"];
    check_what_a_slim_base_lacks(&env, &env.work().join("slim.sif"), layer);
    let shell = answer(&env, &image, "/bin/sh");
    assert_eq!(shell["links"][0]["path"], "/bin/sh");
    assert_eq!(shell["links"][0]["chain"]["steps"][0]["reason"], "generated:");
    assert!(shell["end"].as_str().unwrap().starts_with(&**layer), "{shell}");
    assert_eq!(
        steps(&shell).last().unwrap().split_once(": ").unwrap().1,
        format!("compat:{layer}")
    );

    let root = &session["EBROOTGSL"];
    let chain = steps(&answer(&env, &image, &format!("{root}/lib/libgsl.so.27")));
    let [file, modules @ ..] = &chain[..] else { panic!("{chain:?}") };
    assert!(file.ends_with(&format!("module:{}", root.rsplit("/software/").next().unwrap())));
    assert!(modules.iter().any(|step| step.contains("dependency:")), "{chain:?}");
    assert!(modules.last().unwrap().ends_with(": requested:"), "{chain:?}");
    assert!(modules.last().unwrap().starts_with("MiniSim/"), "{chain:?}");

    let log = answer(&env, &image, &format!("{layer}/var/log/emerge.log"));
    assert_eq!(log["left_out"]["reason"], "logs", "{log}");
    let host = "/cvmfs/module-export.test/host_injections";
    let link = answer(&env, &image, host);
    assert_eq!(link["bind_point"]["path"], host, "{link}");
    let ran = why(&env, &image, &format!("{host}/nvidia/libcuda.so"), &[]);
    assert!(ran.status == 1 && ran.stderr.contains("where a site may bind its own"), "{ran}");
}

/// What a slim image does not have is told from what was never there, as far as that is known.
fn check_what_a_slim_base_lacks(env: &TestEnv, image: &Path, layer: &str) {
    let report = env.run(env.module_export().args(["inspect", "--json"]).arg(image)).success();
    let manifest: Value = serde_json::from_str(&report).unwrap();
    let bin = format!("{layer}/usr/bin");
    let program = manifest["programs_left_out"][&*bin][0].as_str().unwrap();
    let program = format!("{bin}/{program}");
    let left = answer(env, image, &program);
    assert_eq!(left["left_out"]["path"], *program);
    // a link to what a site binds says more than that not all of its directory is packed
    let driver = format!("{layer}/lib64/libcuda.so.1");
    let ran = why(env, image, &driver, &[]);
    assert!(ran.status == 1 && ran.stderr.contains("where a site may bind its own"), "{ran}");
    let reason = "not reached (--slim): nothing that is packed starts it or names it";
    assert_eq!(left["left_out"]["reason"], reason);
    let never = answer(env, image, &format!("{bin}/never-existed"));
    assert_eq!(never["left_out"], Value::Null);
    let ran = why(env, image, &format!("{bin}/never-existed"), &[]);
    assert!(ran.stderr.contains("has no program of this name"), "{ran}");
    let data = why(env, image, &format!("{layer}/usr/share/never-existed"), &[]);
    assert!(data.stderr.contains("reaches it, or it was never there"), "{data}");
    // the nearest omission counts
    let log = answer(env, image, &format!("{layer}/var/log/emerge.log"));
    assert_eq!(log["left_out"]["reason"], "logs", "{log}");
}

#[test]
fn everything_in_an_image_of_a_plain_site_is_explained() {
    let env = TestEnv::new();
    site(&env);
    let image = export_site(&env, "--format squashfs --compression zstd:1");
    let kinds = assert_all_explained(&image);
    let has_perl = tool("perl").is_some();
    for kind in ["module", "modulefile", "library", "base", "generated"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
    let script = "$ROOT/apps/tool/1.0/bin/tool";
    if has_perl {
        let chain = steps(&answer(&env, &image, "/usr/bin/perl"));
        let want = [
            format!("/usr/bin/perl: base:perl for {script}"),
            format!("{script}: module:tool/1.0"),
            "tool/1.0: requested:".to_owned(),
        ];
        assert_eq!(chain, want);
    }
    let libc = answer(&env, &image, "libc.so.6");
    assert!(steps(&libc)[0].contains(": library:libc.so.6 for /"), "{libc}");
}

#[test]
fn each_question_has_its_answer_in_every_format() {
    let env = TestEnv::new();
    site(&env);
    let Some(base) = small_root(&env) else { return };
    let data = env.root().join("apps/data/2.0");
    let share = |name: &[u8]| data.join("share").join(OsStr::from_bytes(name));
    for format in ["sif", "oci", "docker-archive", "tar.zst", "sandbox"] {
        let words = format!("--format {format} --exclude *.txt --base {}", base.display());
        let image = export_site(&env, &words);
        let ran = why(&env, &image, &share(b"one"), &[]);
        assert_eq!(
            ran.success(),
            "$ROOT/apps/data/2.0/share/one  (file, 3 B)\n  \
                 it lies in the installation of the module data/2.0 (`$ROOT/apps/data/2.0`, which EBROOTDATA names)\n\
                 data/2.0  (module)\n  the module tool/1.0 loads it or depends on it\n\
                 tool/1.0  (module)\n  the user asked for it\n  \
                 another name of the same file: $ROOT/apps/data/2.0/share/twin\n",
            "{format}"
        );
        let odd = answer(&env, &image, &share(b"odd\xff"));
        assert!(odd["path_hex"].as_str().unwrap().ends_with("6f6464ff"), "{odd}");
        assert_eq!(odd["size"], 3, "{format}");

        let directory = answer(&env, &image, &data);
        let shares = directory["contents"]["shares"].as_array().unwrap();
        assert_eq!(shares.len(), 1, "{directory}");
        assert_eq!(shares[0]["reason"], "module:data/2.0");
        assert_eq!([&shares[0]["files"], &shares[0]["bytes"]], [&Value::from(3), &6.into()]);

        for (path, said, hint) in [
            (share(b"notes.txt"), "was left out (left out on request)", ""),
            (data.join("easybuild/easybuild-data.log"), "was left out (build log)", ""),
            (share(b"on"), "/share/on` is not in the image\n", "did you mean `$ROOT/apps/data"),
            ("/gone/one".into(), "`/gone/one` is not in the image\n", "/share/one`"),
            ("onee".into(), "`onee` is not in the image\n", "/one`"),
        ] {
            let ran = why(&env, &image, &path, &[]);
            assert_eq!((ran.status, &*ran.stdout), (1, ""), "{ran}");
            assert!(ran.stderr.contains(said) && ran.stderr.contains(hint), "{ran}");
        }
        std::fs::remove_dir_all(&image).or_else(|_| std::fs::remove_file(&image)).unwrap();
    }
}

#[test]
fn what_an_image_cannot_say_is_an_error_that_says_so() {
    let env = TestEnv::new();
    site(&env);
    let Some(base) = small_root(&env) else { return };
    let image = export_site(&env, &format!("--format sandbox --base {}", base.display()));
    let ran = why(&env, &image, "share/one", &[]);
    assert!(ran.status == 2 && ran.stderr.contains("neither an absolute path nor a name"), "{ran}");
    let tools = why(&env, &image, "bin", &["--json"]);
    let report: Value = serde_json::from_str(&tools.success()).unwrap();
    assert!(report["answers"].as_array().unwrap().len() > 1, "{report}");

    std::fs::write(image.join("etc/added"), "x").unwrap();
    let ran = why(&env, &image, "/etc/added", &[]);
    assert!(ran.success().contains("the image's list does not have it"));
    std::fs::remove_file(image.join("etc/hosts")).unwrap();
    let ran = why(&env, &image, "/etc/hosts", &[]);
    assert!(ran.status == 1 && ran.stderr.contains("the image has lost it"), "{ran}");

    std::fs::remove_file(image.join(".module-export/files.jsonl")).unwrap();
    let ran = why(&env, &image, "/bin/sh", &[]);
    assert!(ran.status == 1 && ran.stderr.contains("has no list of its files"), "{ran}");
    std::fs::remove_file(image.join(".module-export/manifest.json")).unwrap();
    let ran = why(&env, &image, "/bin/sh", &[]);
    assert!(ran.status == 1 && ran.stderr.contains("no manifest of module-export"), "{ran}");
}
