//! Modules over a base of one's own, in a real Apptainer.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::Exported;
use super::apptainer::{User, apptainer, run};
use super::site::Site;
use crate::cli::base::layout;
use crate::cli::session::module_export;
use crate::common::{TestEnv, tool};

/// What Debian's Lmod runs by, and where its modules lie.
const LUA: [&str; 4] =
    ["/usr/bin/lua5.3", "/usr/share/lua/5.3", "/usr/lib/*/lua/5.3", "/usr/lib/lmod"];

/// Runs a shell command here.
#[track_caller]
fn shell(command: &str) -> String {
    let output = Command::new("/bin/bash").args(["-ec", command]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A root file system with this machine's shell, some tools and libraries, `with` all that.
fn small_system(env: &TestEnv, name: &str, with: &[&str]) -> PathBuf {
    let root = env.root().join(name);
    for directory in ["usr/bin", "usr/lib", "usr/lib64", "etc", "tmp", "dev", "proc", "sys"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for link in ["bin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), root.join(link)).unwrap();
    }
    fs::write(root.join("etc/os-release"), "NAME=Small\n").unwrap();
    let programs = "/bin/bash /bin/sh /bin/ls /bin/cat /usr/bin/env /bin/sed /usr/bin/tr";
    let with = with.join(" ");
    shell(&format!(
        "shopt -s nullglob; cd '{root}'
         for f in $(find -L {programs} {with} -type f); do
             mkdir -p \".${{f%/*}}\"; cp -L \"$f\" \".$f\"
             for l in $(ldd \"$f\" 2>/dev/null | grep -o '/[^ ]*'); do
                 mkdir -p \".${{l%/*}}\"; cp -Lu \"$l\" \".$l\"
             done
         done",
        root = root.display()
    ));
    root
}

fn export(site: &Site, words: &str) -> (Exported, String) {
    let env = TestEnv::new();
    let session = site.session(&env, "module load gnu tool settings");
    let words = format!("container -a A -n image --compression gzip:1 {words}");
    let ran = env.run(&mut module_export(&env, &session, &words));
    let warnings = ran.stderr.clone();
    ran.success();
    let image = env.work().join("image.sif");
    (Exported { env, session, image }, warnings)
}

#[test]
fn modules_run_over_a_base_of_any_kind_and_module_works_where_it_has_lua() {
    let Some(site) = Site::new() else { return };
    let here = TestEnv::new();
    let root = small_system(&here, "system", &LUA);
    let Some(apptainer_program) = tool("apptainer") else { return };
    let sif = here.root().join("system.sif");
    let mut build = here.command(apptainer_program);
    here.run(build.arg("build").arg(&sif).arg(&root)).success();
    for base in [&root, &sif] {
        let (exported, warnings) = export(&site, &format!("--base {}", base.display()));
        assert!(!warnings.contains("warning: "), "{warnings}");
        for user in [User::Tests, User::Ordinary] {
            let exec = |command: &[&str]| run(&exported, user, &["exec", "-C"], command).unwrap();
            assert_eq!(exec(&["tool"]).success(), "the answer is 42\n", "{user:?}");
            let of_base = exec(&["/bin/sh", "-c", "cat /etc/os-release; echo $SETTINGS_MODE"]);
            assert_eq!(of_base.success(), "NAME=Small\nfast\n", "{user:?}");
            let listed = exec(&["bash", "-c", "module --terse list"]);
            assert!(listed.stderr.contains("tool/1.0"), "{listed}");
            let again = "module unload tool; ! command -v tool && module load tool && tool";
            assert_eq!(exec(&["bash", "-c", again]).success(), "the answer is 42\n");
        }
        let ran = run(&exported, User::Tests, &["test", "-C"], &[]).unwrap();
        assert!(ran.clone().success().contains("/bin/tool\nok module list\n"), "{ran}");
    }
}

#[test]
fn layers_of_a_base_run_and_a_module_command_without_lua_says_so() {
    let Some(site) = Site::new() else { return };
    let here = TestEnv::new();
    let root = small_system(&here, "system", &[]);
    let Some(layout) = layout(&here, &root) else { return };
    let words = format!("--base {} --format oci-archive", layout.display());
    let (exported, warnings) = export(&site, &words);
    let lua =
        "the base lacks what this site's Lmod runs by (/usr/bin/lua5.3), so `module` does not";
    assert!(warnings.contains(lua), "{warnings}");
    let image = format!("oci-archive:{}", exported.env.work().join("image.oci.tar").display());
    let script = "tool; cat /etc/os-release; echo $SETTINGS_MODE $FROM_BASE; module list 2>&1";
    let words = ["exec", "-C", &image, "/bin/sh", "-c", script];
    let Some(mut command) = apptainer(&exported, User::Tests, &words) else { return };
    let ran = exported.env.run(&mut command);
    let want = "the answer is 42\nNAME=Small\nfast yes\nmodule: this image holds no Lmod; its modules are loaded already\n";
    assert_eq!((ran.status, ran.stdout.as_str()), (1, want), "{ran}");
}

#[test]
fn a_program_that_the_base_cannot_load_is_found_by_the_test_of_the_image() {
    let Some(site) = Site::new() else { return };
    let here = TestEnv::new();
    let Some(busybox) = tool("busybox") else { return };
    let root = here.root().join("static");
    for directory in ["bin", "tmp", "dev", "etc", "proc", "sys"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    symlink("busybox", root.join("bin/sh")).unwrap();
    let words = format!("--allow-incomplete --base {}", root.display());
    let (exported, warnings) = export(&site, &words);
    assert!(warnings.contains("ld-linux") && warnings.contains("is not packed"), "{warnings}");
    let Some(ran) = run(&exported, User::Tests, &["test", "-C"], &[]) else { return };
    assert!(ran.status != 0 && ran.stdout.contains("FAILED tool/1.0: "), "{ran}");
}
