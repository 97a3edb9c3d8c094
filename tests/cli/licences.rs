//! The image's folder of licences.

use std::path::{Path, PathBuf};

use module_export::image::read::Image;
use module_export::rootfs::ImagePath;
use serde_json::Value;

use super::session::{Session, eessi, module_export, shell};
use crate::common::{TestEnv, tool};

fn export(env: &TestEnv, session: &Session, name: &str, words: &str) -> PathBuf {
    let words = format!("container -q -a A -n {name} -f tar --epoch 1700000000 {words}");
    env.run(&mut module_export(env, session, &words)).success();
    env.work().join(format!("{name}.tar"))
}

fn read(image: &Path, path: &str) -> Vec<u8> {
    let path = ImagePath::new(path.as_bytes()).unwrap();
    Image::open(image).unwrap().read(&path, 1 << 24).unwrap()
}

fn components(image: &Path) -> Vec<Value> {
    let index = read(image, "/.module-export/licenses/index.json");
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["schema_version"], 1);
    index["components"].as_array().unwrap().clone()
}

fn named<'a>(components: &'a [Value], name: &str) -> &'a Value {
    let found = components.iter().find(|component| component["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {components:#?}"))
}

#[test]
fn every_module_tells_its_origin_and_its_licence_files_are_in_the_image() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    let full = export(&env, &session, "full", "");
    let slim = export(&env, &session, "slim", "--slim");
    for image in [&full, &slim] {
        let components = components(image);
        for module in session["LOADEDMODULES"].split(':') {
            assert_eq!(named(&components, module)["kind"], "module", "{module}");
        }
        let minisim = named(&components, "MiniSim/1.4-foss-2022b");
        assert_eq!(minisim["version"], "1.4");
        for file in components.iter().flat_map(|one| one["license_files"].as_array().unwrap()) {
            assert!(!read(image, file.as_str().unwrap()).is_empty(), "{file}");
        }
    }
    let readme = String::from_utf8(read(&full, "/.module-export/licenses/README.txt")).unwrap();
    assert!(readme.contains("\nmodule MiniSim/1.4-foss-2022b\n    version   1.4\n    licence "));
    // no licence of the layer is lost
    let licences = |image: &Path| -> Vec<String> {
        let list = String::from_utf8(read(image, "/.module-export/files.jsonl")).unwrap();
        let paths = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let paths = paths.filter_map(|line| line["path"].as_str().map(str::to_owned));
        paths.filter(|path| path.contains("/usr/share/doc/") && path.contains("opyright")).collect()
    };
    assert!(!licences(&full).is_empty());
    assert_eq!(licences(&slim), licences(&full));
}

#[test]
fn of_this_machine_the_packages_are_named_whose_files_are_packed() {
    let env = TestEnv::new();
    if tool("dpkg").is_none() {
        return;
    }
    env.program("apps/own/1.0/bin/own", "#!/bin/sh\n");
    let prefix = env.root().join("apps/own/1.0").display().to_string();
    env.write("modules/own/1.0.lua", format!("prepend_path('PATH', '{prefix}/bin')\n"));
    let session: Session = [
        ("MODULEPATH", env.root().join("modules").display().to_string()),
        ("PATH", "/usr/bin:/bin".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let image = export(&env, &session, "host", "own");
    let components = components(&image);
    let bash = named(&components, "bash");
    assert_eq!(bash["kind"], "package");
    assert!(bash["license"].as_str().unwrap().contains("GPL-3"), "{bash}");
    assert_eq!(bash["license_files"], serde_json::json!(["/usr/share/doc/bash/copyright"]));
    let text = std::fs::read("/usr/share/doc/bash/copyright").unwrap();
    assert_eq!(read(&image, "/usr/share/doc/bash/copyright"), text);
    let version = shell(&env, "export V=$(dpkg-query -W -f '${Version}' bash)")["V"].clone();
    assert_eq!(bash["version"], version);
    assert!(
        !components.iter().any(|component| component["name"] == "gcc"),
        "nothing of it is packed"
    );
}
