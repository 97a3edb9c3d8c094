//! What must not leave: software that may not be handed on, licences, what others could not read.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use module_export::image::read::Image;
use module_export::rootfs::ImagePath;
use serde_json::Value;

use crate::common::{Ran, TestEnv};

/// A site with these modules, each of one program.
fn site(env: &TestEnv, modules: &[&str]) {
    for name in modules {
        let prefix = env.root().join("sw").join(name);
        env.program(prefix.join("bin/tool"), "#!/bin/sh\necho a tool\n");
        let text = format!("setenv('EBROOT{}', '{}')\n", name.len(), prefix.display());
        env.write(format!("mf/{name}.lua"), text);
    }
}

fn export(env: &TestEnv, modules: &str, words: &str) -> Ran {
    let mut command = env.module_export();
    command.arg("container").args(modules.split_whitespace());
    command.args(["-a", "A. Author", "-n", "x", "-f", "tar", "--epoch", "1795305600"]);
    command.args(words.split_whitespace());
    env.run(command.env("MODULEPATH", env.root().join("mf")))
}

fn manifest(env: &TestEnv) -> Value {
    let image = Image::open(&env.work().join("x.tar")).unwrap();
    let path = ImagePath::new(b"/.module-export/manifest.json").unwrap();
    serde_json::from_slice(&image.read(&path, 1 << 24).unwrap()).unwrap()
}

fn has(env: &TestEnv, path: &Path) -> bool {
    let image = Image::open(&env.work().join("x.tar")).unwrap();
    let path = ImagePath::new(path.as_os_str().as_encoded_bytes()).unwrap();
    image.find(&path).is_ok()
}

fn files(env: &TestEnv) -> usize {
    std::fs::read_dir(env.work()).unwrap().count()
}

#[test]
fn software_that_may_not_be_handed_on_is_refused_by_name_and_packed_only_on_request() {
    let env = TestEnv::new();
    site(&env, &["VASP/6.4.2", "Hello/1.0"]);
    let refused = export(&env, "Hello VASP", "");
    assert_eq!((refused.status, files(&env)), (1, 0), "{refused}");
    for said in ["VASP/6.4.2", "research group", "https://www.vasp.at", "--allow-restricted"] {
        assert!(refused.stderr.contains(said), "{said}: {refused}");
    }
    export(&env, "Hello", "").success();
    assert_eq!(manifest(&env)["restricted"], Value::Null);
    let allowed = export(&env, "VASP", "--allow-restricted --force --strict");
    assert_eq!(allowed.status, 0, "{allowed}");
    assert!(allowed.stderr.contains("VASP/6.4.2 is packed on request"), "{allowed}");
    let manifest = manifest(&env);
    let row = &manifest["restricted"][0];
    assert_eq!((&row["module"], &row["handling"]), (&"VASP/6.4.2".into(), &"allowed".into()));
}

#[test]
fn a_site_names_software_of_its_own_and_what_it_has_the_right_to_hand_on() {
    let env = TestEnv::new();
    site(&env, &["VASP/6.4.2", "Ours/1.0", "Theirs/2.0"]);
    let configuration = "home/.config/module-export";
    env.write(
        format!("{configuration}/config.toml"),
        "allow-restricted = ['vasp/6.*']\n[[restricted]]\nname = 'Theirs'\nreason = 'they said so'\n",
    );
    env.write(
        format!("{configuration}/restricted.toml"),
        "[[software]]\nname = 'Ours'\nversion = '1.*'\nreason = 'not published yet'\n",
    );
    export(&env, "VASP", "").success();
    for (module, reason) in [("Ours", "not published yet"), ("Theirs", "they said so")] {
        let refused = export(&env, module, "--force");
        assert_eq!(refused.status, 1, "{refused}");
        assert!(refused.stderr.contains(reason), "{refused}");
    }
    env.write(format!("{configuration}/restricted.toml"), "[[software]]\nnaem = 'Ours'\n");
    let wrong = export(&env, "VASP", "--force");
    assert_eq!(wrong.status, 2, "{wrong}");
    assert!(wrong.stderr.contains("restricted.toml`, line 2: unknown field `naem`"), "{wrong}");
}

#[test]
fn of_a_toolkit_only_what_its_licence_lists_is_packed() {
    let env = TestEnv::new();
    site(&env, &["CUDA/12.1.1"]);
    let prefix = env.root().join("sw/CUDA/12.1.1");
    let eula = "2.6. Attachment A\n\nLinux libspecial.so, libspecial_static.a\n2.7. Attachment B\n";
    for (name, text) in [
        ("EULA.txt", eula),
        ("lib64/libcudart.so.12.1.105", "runtime"),
        ("lib64/libspecial_static.a", "listed"),
        ("lib64/libsecret.so.1", "secret"),
        ("include/cuda.h", "secret"),
        ("easybuild/CUDA-12.1.1.eb", "name = 'CUDA'"),
    ] {
        env.write(prefix.join(name), text);
    }
    // as EESSI does it: a link into the site's own place, which must never be followed
    let site = env.root().join("site/nvcc");
    env.write(&site, "secret");
    symlink("libcudart.so.12.1.105", prefix.join("lib64/libcudart.so.12")).unwrap();
    let ran = export(&env, "CUDA", "");
    assert!(ran.stderr.contains("CUDA/12.1.1 is packed in part"), "{ran}");
    ran.success();
    for (name, packed) in [
        ("EULA.txt", true),
        ("lib64/libcudart.so.12.1.105", true),
        ("lib64/libcudart.so.12", true),
        ("lib64/libspecial_static.a", true),
        ("easybuild/CUDA-12.1.1.eb", true),
        ("lib64/libsecret.so.1", false),
        ("include/cuda.h", false),
        ("bin/tool", false),
    ] {
        assert_eq!(has(&env, &prefix.join(name)), packed, "{name}");
    }
    let manifest = manifest(&env);
    assert_eq!(manifest["restricted"][0]["handling"], "stripped");
    let omissions = manifest["omissions"].as_array().unwrap();
    let reasons = omissions.iter().filter(|one| {
        one["reason"].as_str().is_some_and(|reason| reason.contains("licence does not let"))
    });
    assert_eq!(reasons.count(), 3, "{omissions:?}");
}

#[test]
fn licence_keys_stay_behind_and_licence_texts_do_not() {
    let env = TestEnv::new();
    site(&env, &["App/1.0"]);
    let prefix = env.root().join("sw/App/1.0");
    for (name, text) in [
        ("licenses/license.dat", "SERVER lic1 001122334455 27000\nVENDOR app\n"),
        ("app.lic", "KEY=0123456789\n"),
        ("LICENSE", "Copyright Jane. Permission is granted.\n"),
    ] {
        env.write(prefix.join(name), text);
    }
    env.write("mf/App/1.0.lua", format!(
        "setenv('EBROOTAPP', '{}')\nsetenv('APP_LICENSE_FILE', '27000@lic1')\nif userInGroup('app') then end\n",
        prefix.display()
    ));
    let ran = export(&env, "App", "");
    for said in [
        "`$ROOT/sw/App/1.0/app.lic` is a licence key",
        "`$ROOT/sw/App/1.0/licenses/license.dat` is a licence key",
        "sets APP_LICENSE_FILE to `27000@lic1`",
        "App/1.0 is for members of a group (`$ROOT/mf/App/1.0.lua`, line 3)",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {ran}");
    }
    ran.success();
    for (name, packed) in [("licenses/license.dat", false), ("app.lic", false), ("LICENSE", true)] {
        assert_eq!(has(&env, &prefix.join(name)), packed, "{name}");
    }
    let strict = export(&env, "App", "--force --strict");
    assert_eq!(strict.status, 5, "{strict}");
}

#[test]
fn what_not_everybody_can_read_is_named_once() {
    let env = TestEnv::new();
    site(&env, &["Open/1.0", "Closed/1.0"]);
    let prefix = env.root().join("sw/Closed/1.0");
    env.write(prefix.join("bin/one"), "1");
    set_permissions(prefix.join("bin/one"), Permissions::from_mode(0o640)).unwrap();
    set_permissions(&prefix, Permissions::from_mode(0o750)).unwrap();
    let secret = env.write("sw/Open/1.0/data", "x");
    set_permissions(&secret, Permissions::from_mode(0o640)).unwrap();
    let ran = export(&env, "Open Closed", "");
    for said in ["`$ROOT/sw/Closed/1.0` and what is in it", "`$ROOT/sw/Open/1.0/data` where"] {
        assert_eq!(ran.stderr.matches(said).count(), 1, "{said}: {ran}");
    }
    assert!(!ran.stderr.contains("bin/one"), "{ran}");
    assert!(ran.stderr.contains("mode 0750, group "), "{ran}");
}

/// Random enough, and no whole token in this file for others' scanners to find.
fn token() -> String {
    format!("{}_{}", "ghp", "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ")
}

/// The same as the user `jane7`.
fn export_as_jane(env: &TestEnv, modules: &str, words: &str) -> Ran {
    let mut command = env.module_export();
    command.arg("container").args(modules.split_whitespace());
    command.args([
        "-a",
        "jane7 <jane7@example.org>",
        "-n",
        "x",
        "-f",
        "tar",
        "--epoch",
        "1795305600",
    ]);
    command.args(words.split_whitespace()).env("USER", "jane7");
    env.run(command.env("MODULEPATH", env.root().join("mf")))
}

#[test]
fn what_tells_of_the_person_who_exports_is_found_wherever_it_is_planted() {
    let env = TestEnv::new();
    site(&env, &["App/1.0"]);
    let clean = export_as_jane(&env, "App", "--strict");
    assert!(clean.status == 0 && !clean.stderr.contains("warning: "), "{clean}");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let home = env.root().join("home/secret");
    let prefix = env.root().join("sw/App/1.0");
    let modulefile = env.root().join("mf/App/1.0.lua");
    let old = std::fs::read_to_string(&modulefile).unwrap();
    let by = "-- by jane7\n";
    env.write(&modulefile, format!("{old}{by}setenv('APP_TOKEN', '{}')\n", token()));
    env.write(prefix.join("easybuild/test_report.md"), "fine\n\nbuilt by jane7\n");
    env.write(prefix.join("etc/app.cfg"), format!("a = 1\nlog = {}\n", home.display()));
    env.write(prefix.join("app.log"), format!("started on {host}\n"));
    env.write(prefix.join("etc/credentials"), format!("key: {}\n", token()));
    env.write(prefix.join("src/notes.c"), format!("/* {} */\n", token()));
    let ran = export_as_jane(&env, "App", "--force --json");
    for said in [
        "your user name (`jane7`) stands in `$ROOT/mf/App/1.0.lua`, line 2; `$ROOT/sw/App/1.0/easybuild/test_report.md`, line 3:",
        "`$ROOT/home/secret`, a place in your home directory that the image does not have, stands in `$ROOT/sw/App/1.0/etc/app.cfg`, line 2:",
        "what looks like a token of GitHub stands in `$ROOT/sw/App/1.0/etc/credentials`, line 1:",
        "what looks like a token of GitHub stands in `$ROOT/mf/App/1.0.lua`, line 3:",
        "what looks like a token of GitHub stands in `/.module-export/",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {ran}");
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let warnings = report["warnings"].as_array().unwrap();
        assert!(warnings.iter().any(|one| one.as_str().unwrap().contains(said)), "{said}");
    }
    // names such as `runner` or `debian` tell nothing
    if host.len() >= 12 {
        assert!(ran.stderr.contains("app.log`, line 1"), "{host}: {ran}");
    }
    assert!(!ran.stderr.contains("notes.c"), "sources are not searched: {ran}");
    assert!(!ran.stderr.contains(&token()) && !ran.stdout.contains(&token()), "it is never told");
    let strict = export_as_jane(&env, "App", "--force --strict");
    assert_eq!(strict.status, 5, "{strict}");
}

#[test]
fn files_of_every_bad_kind_are_findings_or_none_and_the_image_is_made() {
    let env = TestEnv::new();
    site(&env, &["Bad/1.0"]);
    let bin = env.root().join("sw/Bad/1.0/bin");
    let good = std::fs::read("/bin/true").unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    for (name, bytes) in [
        ("cut", good[..200].to_vec()),
        ("other-class", changed(4, 1)),
        ("other-order", changed(5, 2)),
        ("no-class", changed(4, 9)),
        ("many-headers", changed(57, 0xff)),
        ("far-headers", changed(38, 0xff)),
        ("four-bytes", b"\x7fELF".to_vec()),
        ("long-line", format!("#!/{}\n", "x".repeat(1 << 20)).into_bytes()),
        ("no-program", b"#!\n".to_vec()),
        ("itself", format!("#!{}\n", bin.join("itself").display()).into_bytes()),
    ] {
        env.write(bin.join(name), bytes);
        set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    for (link, target) in [("loop", "loop"), ("one", "two"), ("two", "one"), ("up", "up/up")] {
        symlink(target, bin.join(link)).unwrap();
    }
    // deep, if not as deep as a path can be
    let mut deep = bin.join("deep");
    while deep.as_os_str().len() < 900 {
        deep.push("d".repeat(4));
    }
    std::fs::create_dir_all(&deep).unwrap();
    let ran = export(&env, "Bad", "--json");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran}"));
    let findings = report["findings"].as_array().unwrap();
    let of = |name: &str| {
        let found =
            findings.iter().find(|one| one["path"] == env.shown(bin.join(name).to_str().unwrap()));
        found.map(|one| one["severity"].as_str().unwrap())
    };
    for name in ["cut", "other-order", "no-class", "long-line", "loop", "one", "up"] {
        assert_eq!(of(name), Some("warning"), "{name}: {findings:#?}");
    }
    assert!(findings.iter().all(|one| one["severity"] != "error"), "{findings:#?}");
    let verified = env.run(env.module_export().arg("verify").arg(env.work().join("x.tar")));
    assert_eq!(verified.status, 0, "{verified}");
    // what is deep goes with the rest
    let gone = std::process::Command::new("rm").arg("-rf").arg(bin.join("deep")).status();
    assert!(gone.unwrap().success());
}
