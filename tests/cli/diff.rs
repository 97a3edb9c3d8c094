//! `diff`: what two images differ in.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::base::small_root;
use super::session::{eessi, module_export};
use crate::common::{Ran, TestEnv};

fn diff(env: &TestEnv, images: [&Path; 2], words: &[&str]) -> Ran {
    env.run(env.module_export().arg("diff").args(images).args(words))
}

/// The text of a list's rows.
fn rows(value: &Value, show: impl Fn(&Value) -> String) -> Vec<String> {
    value.as_array().unwrap().iter().map(show).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

#[test]
fn every_kind_of_change_is_named() {
    let env = TestEnv::new();
    let Some(base) = small_root(&env) else { return };
    let root = env.root().join("apps/tool");
    for version in ["1.0", "2.0"] {
        env.program(format!("apps/tool/{version}/bin/tool"), "#!/bin/sh\n");
        env.write(
            format!("mf/tool/{version}.lua"),
            format!(
                "prepend_path('PATH', '{0}/{version}/bin')\nsetenv('TOOL', '{version}')\n",
                root.display()
            ),
        );
    }
    env.write("mf/extra/1.lua", "setenv('EXTRA', 'yes')\n");
    let export = |name: &str, modules: &str, words: &str| -> PathBuf {
        let words = format!(
            "container {modules} -a A -n {name} -q --epoch 1795305600 --base {} {words}",
            base.display()
        );
        let mut command = module_export(&env, &[].into(), &words);
        env.run(command.env("MODULEPATH", env.root().join("mf"))).success();
        env.work().join(format!("{name}.sandbox"))
    };
    let one = export("same", "tool/1.0", "--format sandbox");
    let two = export("x", "tool/2.0 extra", "--format sandbox");
    let json = diff(&env, [&one, &two], &["--json"]).success();
    let all: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(all["same"], false);
    let modules =
        rows(&all["modules"], |m| format!("{} {}", text(&m["before"]), text(&m["after"])));
    assert_eq!(modules, ["- extra/1", "tool/1.0 tool/2.0"]);
    let variables = rows(&all["environment"], |v| text(&v["name"]).to_owned());
    for name in ["EXTRA", "TOOL", "PATH", "LOADEDMODULES"] {
        assert!(variables.contains(&name.to_owned()), "{name}: {variables:?}");
    }
    let shown = diff(&env, [&one, &two], &["--verbose"]).success();
    for line in [
        "image       same 2026-11-22 -> x 2026-11-22\n",
        "  ~ tool/1.0 -> tool/2.0\n",
        "  + extra/1\n",
        "  + EXTRA=yes\n",
        "  ~ LOADEDMODULES\n      - tool/1.0\n      + tool/2.0\n      + extra/1\n",
        "  ~ TOOL: 1.0 -> 2.0\n",
        "  ~ PATH\n      - $ROOT/apps/tool/1.0/bin\n      + $ROOT/apps/tool/2.0/bin\n",
        "  module tool/1.0: 1 removed (10 B)\n",
        "- $ROOT/apps/tool/1.0/bin/tool\n",
        "+ $ROOT/apps/tool/2.0/bin/tool\n",
        "~ /.module-export/env.json (content, size)\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }

    // the same image, altered by hand
    let copy = export("same", "tool/1.0", "--format sandbox --force --author B");
    std::fs::set_permissions(copy.join("etc/hosts"), Permissions::from_mode(0o600)).unwrap();
    std::fs::remove_file(copy.join("bin/sh")).unwrap();
    std::os::unix::fs::symlink("elsewhere", copy.join("bin/sh")).unwrap();
    std::fs::remove_file(copy.join("environment")).unwrap();
    std::fs::create_dir(copy.join("environment")).unwrap();
    std::fs::create_dir(copy.join("opt/empty")).unwrap();
    let other = export("same", "tool/1.0", "--format tar");
    let other = other.with_extension("tar");
    let json = diff(&env, [&other, &copy], &["--json"]).success();
    let all: Value = serde_json::from_str(&json).unwrap();
    let files = rows(&all["files"], |f| {
        format!("{} {}", text(&f["path"]), rows(&f["what"], |w| text(w).to_owned()).join(" "))
    });
    for want in ["/environment kind", "/etc/hosts mode", "/opt/empty ", "/usr/bin/sh target"] {
        assert!(files.contains(&want.to_owned()), "{want}: {files:?}");
    }
    assert_eq!([&all["modules"], &all["environment"]], [&Value::Array(vec![]); 2]);
    let authors = &all["authors"];
    assert_eq!([&authors["before"][0], &authors["after"][1]], ["A", "B"]);

    std::fs::remove_file(copy.join(".module-export/files.jsonl")).unwrap();
    let ran = diff(&env, [&other, &copy], &[]);
    assert!(ran.status == 1 && ran.stderr.contains("has no list of its files"), "{ran}");
}

#[test]
fn images_of_the_same_session_differ_in_nothing_whatever_their_formats() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    let export = |format: &str| -> PathBuf {
        let words = format!("container -a A -n x -q --epoch 1795305600 --format {format}");
        let path = env.run(&mut module_export(&env, &session, &words)).success();
        PathBuf::from(path.trim_end().replace("$ROOT", &env.root().display().to_string()))
    };
    let sif = export("sif --compression gzip:6");
    for format in ["oci", "docker-archive", "squashfs --compression gzip:6"] {
        let other = export(format);
        let all: Value =
            serde_json::from_str(&diff(&env, [&sif, &other], &["--json"]).success()).unwrap();
        let files = rows(&all["files"], |file| text(&file["path"]).to_owned());
        // the manifest says how an image is compressed
        let only_codec = all["codec"].is_null() || files == ["/.module-export/manifest.json"];
        assert!(only_codec && files.len() <= 1, "{format}: {files:?}");
        for field in ["identity", "tool", "cpu", "base", "authors"] {
            assert!(all[field].is_null(), "{format}: {field}");
        }
        assert_eq!([&all["modules"], &all["environment"]], [&Value::Array(vec![]); 2], "{format}");
    }
    assert_eq!(diff(&env, [&sif, &sif], &[]).success(), "no differences\n");
}
