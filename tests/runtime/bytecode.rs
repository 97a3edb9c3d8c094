//! Compiled Python in images: it holds the time of its source, and no image may make it stale.

use std::collections::BTreeMap;
use std::path::Path;

use module_export::image::read::{FoundKind, Image};
use module_export::rootfs::ImagePath;
use serde_json::Value;

use super::apptainer::{User, run};
use super::minisim;
use crate::cli::session::{eessi, module_export};
use crate::common::TestEnv;

/// How many files of compiled Python an image has, and which of them are not of their source.
fn compiled(image: &Path) -> (u64, Vec<String>) {
    let image = Image::open(image).unwrap();
    let mut sources = BTreeMap::new();
    let mut compiled = Vec::new();
    image
        .walk(|path, found| {
            let FoundKind::File(file) = &found.kind else { return Ok(()) };
            if path.as_bytes().ends_with(b".py") {
                let size = u32::try_from(file.size()).unwrap();
                sources.insert(path.as_bytes().to_vec(), (found.metadata.mtime.seconds(), size));
            } else if path.as_bytes().ends_with(b".pyc") {
                compiled.push(path.clone());
            }
            Ok(())
        })
        .unwrap();
    let (mut count, mut stale) = (0, Vec::new());
    for path in compiled {
        let bytes = image.read(&path, 1 << 26).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        // others are checked by hash, or not at all
        if word(4) != 0 {
            continue;
        }
        let Some(of_source) = sources.get(&source_of(&path)) else { continue };
        count += 1;
        if (word(8), word(12)) != *of_source {
            stale.push(path.to_string());
        }
    }
    (count, stale)
}

/// Source: PEP 3147, for files in `__pycache__`.
fn source_of(path: &ImagePath) -> Vec<u8> {
    let (directory, name) = path.split().unwrap();
    let stem = name.split(|byte| *byte == b'.').next().unwrap();
    let above = directory.split().unwrap().0;
    above.join_name(&[stem, b".py"].concat()).as_bytes().to_vec()
}

#[test]
fn no_compiled_python_becomes_stale_in_any_format() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let mut counts = Vec::new();
    for format in [
        "sif --compression none",
        "squashfs --compression zstd:1",
        "oci --compression none",
        "oci-archive --compression none",
        "docker-archive",
        "tar",
        "tar.gz --compression gzip:1",
        "tar.zst --compression zstd:1",
        "sandbox",
    ] {
        // later than all sources, as a release's time is
        let words = format!("container -a A -q -n x --epoch 1795305600 --format {format}");
        let path = env.run(&mut module_export(&env, &session, &words)).success();
        let image = path.trim_end().replace("$ROOT", &env.root().to_string_lossy());
        let (count, stale) = compiled(Path::new(&image));
        assert_eq!(stale, [] as [&str; 0], "{format}");
        counts.push(count);
    }
    assert!(counts[0] > 300 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

#[test]
fn an_epoch_that_makes_compiled_python_stale_is_warned_of() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let warnings = |epoch: u32| -> (Vec<String>, u64, usize) {
        let words =
            format!("container -a A --json --force -n x --compression none --epoch {epoch}");
        let ran = env.run(&mut module_export(&env, &session, &words));
        let report: Value = serde_json::from_str(&ran.success()).unwrap();
        let all = report["warnings"].as_array().unwrap().iter();
        let all = all.map(|warning| warning.as_str().unwrap().to_owned());
        let (count, stale) = compiled(&env.work().join("x.sif"));
        (all.filter(|warning| warning.contains("compiled Python")).collect(), count, stale.len())
    };
    let (found, count, stale) = warnings(1_000_000_000);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(stale as u64 == count && found[0].contains(&format!("of {count} files")), "{found:?}");
    // its own word helps
    let earliest = found[0].rsplit(' ').next().unwrap().parse().unwrap();
    let (found, _, stale) = warnings(earliest);
    assert_eq!((found, stale), (Vec::new(), 0));
}

#[test]
fn python_itself_takes_every_compiled_file_for_valid() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let script = ["python", "-v", "-c", "import numpy"];
    let mut said = Vec::new();
    let mut command = exported.env.module_export();
    command.args(["run", "-q"]).arg(&exported.image).arg("--").args(script);
    said.push(exported.env.run(&mut command));
    for user in [User::Tests, User::Ordinary] {
        said.extend(run(exported, user, &["exec", "-C"], &script));
    }
    for ran in said {
        assert_eq!(ran.status, 0, "{ran}");
        let lines = |what: &str| ran.stderr.lines().filter(|line| line.contains(what)).count();
        assert!(lines(" matches ") > 50, "{ran}");
        assert_eq!(lines("stale"), 0, "{ran}");
        assert_eq!(lines("could not create"), 0, "nothing was compiled anew: {ran}");
    }
}
