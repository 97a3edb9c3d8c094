//! Images of every format: exported, inspected, run, exported again.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::session::{Session, eessi, module_export};
use crate::common::{TestEnv, tool};
use crate::image::tree::{Tree, on_disk};

const FORMATS: [(&str, &str); 9] = [
    ("sif", "sif"),
    ("oci", "oci"),
    ("oci-archive", "oci.tar"),
    ("docker-archive", "docker.tar"),
    ("tar", "tar"),
    ("tar.gz", "tar.gz"),
    ("tar.zst", "tar.zst"),
    ("squashfs", "squashfs"),
    ("sandbox", "sandbox"),
];

/// Exports to `directory`, with anything else that must not matter.
fn export(env: &TestEnv, session: &Session, format: &str, directory: &str, jobs: &str) -> PathBuf {
    let directory = env.root().join(directory);
    std::fs::create_dir_all(&directory).unwrap();
    let words = format!(
        "container -a A -q -n x --epoch 1795305600 --force --format {format} --jobs {jobs} -d {}",
        directory.display()
    );
    let mut command = module_export(env, session, &words);
    command.env("TZ", ["UTC", "Asia/Tokyo"][usize::from(jobs != "1")]);
    let ran = env.run(&mut command);
    let path = ran.success();
    PathBuf::from(path.trim_end().replace("$ROOT", &env.root().display().to_string()))
}

fn tree(path: &Path) -> Tree {
    if path.is_dir() {
        return on_disk(path);
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(path, directory.path().join("image")).unwrap();
    let mut tree = on_disk(directory.path());
    // only the content matters
    tree.retain(|name, _| name != "/");
    tree
}

#[test]
fn every_format_is_written_inspected_run_and_written_again_byte_for_byte() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    let mut manifests: Vec<Value> = Vec::new();
    for (format, ending) in FORMATS {
        let image = export(&env, &session, format, "one", "1");
        assert_eq!(image, env.root().join(format!("one/x.{ending}")));
        let shown = env.run(env.module_export().args(["inspect", "--json"]).arg(&image));
        manifests.push(serde_json::from_str(&shown.success()).unwrap());
        let mut run = env.module_export();
        // what is decompressed goes where it was told to, too
        run.env("TMPDIR", "/nowhere").args(["run", "--tmpdir"]).arg(env.root());
        run.arg(&image).args(["--", "sh", "-c", "echo $EBROOTWHICHTARGET"]);
        let answer = env.run(&mut run).success();
        assert_eq!(answer, format!("{}\n", session["EBROOTWHICHTARGET"]), "{format}");
        let first = tree(&image);
        for jobs in ["2", "7"] {
            let again = export(&env, &session, format, &format!("jobs{jobs}"), jobs);
            let mut second = tree(&again);
            // the copy's own times are no content
            if !again.is_dir() {
                let (one, two) = (std::fs::read(&image).unwrap(), std::fs::read(&again).unwrap());
                assert!(one == two, "{format} by {jobs} threads");
                second.clone_from(&first);
            }
            if format == "oci" {
                for tree in [&mut second, &mut first.clone()] {
                    tree.retain(|name, _| name.starts_with("/blobs/sha256/"));
                }
                let names = |tree: &Tree| -> Vec<String> {
                    tree.keys().filter(|name| name.contains("sha256/")).cloned().collect()
                };
                assert_eq!(names(&first), names(&second));
            } else {
                assert!(first == second, "{format} by {jobs} threads");
            }
        }
    }
    let first = manifests[0].clone();
    for (manifest, (format, _)) in manifests.iter_mut().zip(FORMATS) {
        // how it is compressed is the format's matter
        manifest["codec"] = first["codec"].clone();
        assert_eq!(*manifest, first, "{format}");
    }
}

#[test]
fn a_layout_takes_a_second_version_and_not_the_same_twice() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    let export = |words: &str| {
        let words = format!("container -a A -q -n x --format oci --epoch 1795305600 {words}");
        env.run(&mut module_export(&env, &session, &words))
    };
    assert_eq!(export("-v 1").success(), "$ROOT/work/x.oci\n");
    let blobs = || std::fs::read_dir(env.work().join("x.oci/blobs/sha256")).unwrap().count();
    let before = blobs();
    assert_eq!(export("-v 2").success(), "$ROOT/work/x.oci\n");
    assert_eq!(blobs(), before + 3, "the last layer, config and manifest are new");
    let twice = export("-v 2");
    assert!(twice.status == 1 && twice.stderr.contains("exists already"), "{twice}");
    export("-v 2 --force").success();
    let tags = module_export::image::oci::tags(&env.work().join("x.oci")).unwrap().unwrap();
    assert_eq!(tags, ["2026-11-22-1", "2026-11-22-2"]);
}

#[test]
fn the_identifier_is_of_the_content_and_not_of_who_exports_it() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    let export = |words: &str| -> Value {
        let words = format!("container -q --json {words}");
        let shown = env.run(&mut module_export(&env, &session, &words)).success();
        serde_json::from_str::<Value>(&shown).unwrap()["identifier"].clone()
    };
    let first = export("-a A -n one --epoch 1795305600");
    assert!(first.as_str().unwrap().starts_with("swh:1:dir:"), "{first}");
    for words in [
        "-a B -n two -v 2 --epoch 1795305601 --compression none",
        "-a B -n three --format oci",
        "-a B -n four --format tar.zst",
    ] {
        assert_eq!(export(words), first, "{words}");
    }
    std::fs::write(env.root().join("added"), "").unwrap();
    let added = env.root().join("added");
    assert_ne!(export(&format!("-a A -n five --include {}", added.display())), first);

    // where images tell it
    let sif = env.work().join("one.sif");
    let shown = env.run(env.module_export().args(["inspect", "--json"]).arg(&sif)).success();
    assert!(shown.contains("one"), "{shown}");
    let bytes = std::fs::read(&sif).unwrap();
    let text = first.as_str().unwrap().as_bytes();
    let times = bytes.windows(text.len()).filter(|window| *window == text).count();
    assert_eq!(times, 1, "in inspect-metadata.json; in labels.json it is compressed");
    let layout = std::fs::read_dir(env.work().join("three.oci/blobs/sha256")).unwrap();
    let tells =
        |path: &Path| std::fs::read(path).unwrap().windows(text.len()).any(|window| window == text);
    let documents = layout.filter(|entry| tells(&entry.as_ref().unwrap().path())).count();
    assert_eq!(documents, 2, "config and manifest");
}

#[test]
fn layers_are_as_many_as_asked_for() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let Some(skopeo) = tool("skopeo") else { return };
    for (flag, at_most) in [("", 10), ("--layers 3", 3), ("--layers 1", 2)] {
        let words = format!(
            "container -a A -q -n x --format oci-archive --compression none --force {flag}"
        );
        env.run(&mut module_export(&env, &session, &words)).success();
        let image = format!("oci-archive:{}", env.work().join("x.oci.tar").display());
        let mut inspect = Command::new(&skopeo);
        let shown = inspect.args(["inspect", &image]).output().unwrap();
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        let layers = shown["Layers"].as_array().unwrap().len();
        assert!(layers <= at_most && layers >= at_most.min(3), "{flag}: {layers}");
        let variables = shown["Env"].as_array().unwrap();
        let root = format!("EBROOTMINISIM={}", session["EBROOTMINISIM"]);
        assert!(variables.contains(&root.into()), "{variables:?}");
    }
}

#[test]
fn a_compression_that_the_format_has_no_place_for_is_refused() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    for (format, compression) in
        [("tar.gz", "zstd"), ("tar", "gzip"), ("sandbox", "gzip:9"), ("docker-archive", "zstd:3")]
    {
        let words = format!("container -a A -n x --format {format} --compression {compression}");
        let ran = env.run(&mut module_export(&env, &session, &words));
        assert!(ran.status == 2 && ran.stderr.contains("is not compressed with"), "{ran}");
    }
    assert_eq!(std::fs::read_dir(env.work()).unwrap().count(), 0);
}
