//! The bill of materials, looked at by SPDX's own tools.

use std::path::Path;

use module_export::image::read::Image;
use module_export::rootfs::ImagePath;
use serde_json::Value;

use super::session::{eessi, module_export};
use crate::common::{TestEnv, tool};

/// Whether SPDX's validator has nothing against the document; `None` where it is not installed.
fn is_valid(env: &TestEnv, document: &Path) -> Option<bool> {
    let mut validator = env.command(tool("pyspdxtools")?);
    let ran = env.run(validator.arg("--infile").arg(document));
    eprintln!("{ran}");
    Some(ran.status == 0)
}

#[test]
fn the_golden_bill_of_materials_is_valid_and_a_broken_one_is_not() {
    let env = TestEnv::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sbom.spdx.json");
    let Some(valid) = is_valid(&env, &golden) else { return };
    assert!(valid);
    let broken = std::fs::read_to_string(&golden).unwrap().replace("DEPENDS_ON", "DEPENDS");
    let broken = env.write("broken.spdx.json", broken);
    assert_eq!(is_valid(&env, &broken), Some(false), "a check that cannot fail is none");
}

#[test]
fn an_image_carries_a_valid_bill_of_its_modules() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let words = "container -q -a Somebody -n x --format tar --epoch 1700000000";
    env.run(&mut module_export(&env, &session, words)).success();
    let image = Image::open(&env.work().join("x.tar")).unwrap();
    let path = |text: &str| ImagePath::new(text.as_bytes()).unwrap();
    let text = image.read(&path("/.module-export/sbom.spdx.json"), 1 << 20).unwrap();
    let list = image.read(&path("/.module-export/files.jsonl"), 1 << 24).unwrap();
    let list = String::from_utf8(list).unwrap();
    let digest = module_export::base::Digest::of(&text).to_string();
    let line = list.lines().find(|line| line.contains("sbom.spdx.json")).unwrap();
    assert!(line.contains(&digest) && line.contains("\"generated:\""), "{line}");

    let bill: Value = serde_json::from_slice(&text).unwrap();
    let packages = bill["packages"].as_array().unwrap();
    let of_module = |module: &str| {
        let comment = format!("environment module {module}");
        let found = packages.iter().find(|package| package["comment"] == comment.as_str());
        found.unwrap_or_else(|| panic!("{module} in {packages:?}"))
    };
    for module in session["LOADEDMODULES"].split(':') {
        of_module(module);
    }
    let minisim = of_module("MiniSim/1.4-foss-2022b");
    assert_eq!((&minisim["name"], &minisim["versionInfo"]), (&"MiniSim".into(), &"1.4".into()));
    let needs = |from: &Value, to: &Value| {
        bill["relationships"].as_array().unwrap().iter().any(|relationship| {
            relationship["relationshipType"] == "DEPENDS_ON"
                && relationship["spdxElementId"] == from["SPDXID"]
                && relationship["relatedSpdxElement"] == to["SPDXID"]
        })
    };
    let gsl = session["LOADEDMODULES"].split(':').find(|name| name.starts_with("GSL/")).unwrap();
    assert!(needs(minisim, of_module(gsl)));
    let file = env.write("x.spdx.json", &text);
    assert_ne!(is_valid(&env, &file), Some(false));
}
