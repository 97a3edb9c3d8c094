//! A plain site without a compatibility layer: `--base host`, and the demo.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use module_export::image::read::Image;
use module_export::rootfs::ImagePath;
use serde_json::Value;

use super::Exported;
use super::apptainer::{User, apptainer, quiet, run, shell};
use super::site::Site;
use crate::cli::session::{Session, module_export};
use crate::common::{TestEnv, as_ordinary_user, tool};

/// What the session of the tests loads, in the order in which Lmod lists it.
const MODULES: &str = "module load gnu tool scripts settings";
const LOADED: [&str; 5] = ["gnu/1.0", "far/1.0", "tool/1.0", "scripts/2.0", "settings/1"];

#[test]
fn the_demo_proves_its_image_by_running_it() {
    let env = TestEnv::new();
    let ran = env.run(env.module_export().args(["demo", "--keep"]).arg(env.root().join("demo")));
    assert!(ran.stderr.contains("it answers: the 3"), "{ran}");
    assert!(env.root().join("demo/demo.sif").is_file());
}

#[test]
fn a_plain_site_works_in_its_image_as_at_home() {
    let Some(site) = Site::new() else { return };
    let env = TestEnv::new();
    let session = site.session(&env, MODULES);
    let words = "container -a A --compression gzip:1 -n image";
    let ran = env.run(&mut module_export(&env, &session, words));
    assert!(!ran.stderr.contains("warning: "), "{ran}");
    assert_eq!(ran.success(), "$ROOT/work/image.sif\n");
    let image = env.work().join("image.sif");
    let exported = Exported { env, session, image };
    runs_without_a_runtime(&exported);
    if tool("apptainer").is_none() {
        return;
    }
    for user in [User::Tests, User::Ordinary] {
        programs_run(&exported, user);
        variables_are_those_of_the_session(&exported, user);
        modules_tell_the_truth(&exported, &site, user);
        a_leaking_session_changes_nothing(&exported, user);
    }
    mounts_are_noticed(&exported, &site);
}

/// What each program of the site says.
const ANSWERS: [(&str, &str); 5] = [
    ("tool", "the answer is 42\n"),
    ("sh-hello", "Bash 'it'\\''s'\n"),
    ("py-hello", "Python [1]\n"),
    ("env-hello", "Python by env\n"),
    ("pl-hello", "Perl 2\n"),
];

fn runs_without_a_runtime(exported: &Exported) {
    for ordinary in [false, true] {
        let mut command = exported.env.module_export();
        let script = "for p in tool sh-hello py-hello env-hello pl-hello; do $p; done; module --terse list 2>&1 | grep -c /";
        command.args(["run", "-q"]).arg(&exported.image).args(["--", "bash", "-c", script]);
        if ordinary {
            let Some(wrapped) = as_ordinary_user(&command) else { return };
            command = wrapped;
        }
        let answers: String = ANSWERS.iter().map(|(_, answer)| *answer).collect();
        let ran = exported.env.run(&mut command);
        assert_eq!(ran.stderr, "", "ordinary: {ordinary}");
        assert_eq!(ran.success(), answers + "5\n", "ordinary: {ordinary}");
    }
}

fn programs_run(exported: &Exported, user: User) {
    for (program, answer) in ANSWERS {
        let Some(ran) = run(exported, user, &["exec", "--containall"], &[program]) else { return };
        assert!(quiet(&ran), "{user:?} {program}: {ran}");
        assert_eq!(ran.success(), answer, "{user:?} {program}");
    }
    let ran = run(exported, user, &["run", "-C"], &["tool"]).unwrap();
    assert_eq!(ran.success(), ANSWERS[0].1);
    let ran = run(exported, user, &["test", "-C"], &[]).unwrap();
    assert!(ran.clone().success().ends_with("ok module list\n"), "{ran}");
}

fn variables_are_those_of_the_session(exported: &Exported, user: User) {
    let Some(ran) = run(exported, user, &["exec", "-C"], &["env", "-0"]) else { return };
    let text = ran.success();
    let image: Session = text
        .split('\0')
        .filter_map(|entry| entry.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for name in [
        "GNU_ROOT",
        "SCRIPTS_WORD",
        "SETTINGS_MODE",
        "CC",
        "LOADEDMODULES",
        "_LMFILES_",
        "MODULEPATH",
        "LMOD_FAMILY_COMPILER",
        "LMOD_VERSION",
    ] {
        assert_eq!(image.get(name), exported.session.get(name), "{user:?} {name}");
    }
    assert!(image["PATH"].starts_with(exported.session["PATH"].split(":/usr/bin").next().unwrap()));
    assert!(image["LD_LIBRARY_PATH"].starts_with(&exported.session["LD_LIBRARY_PATH"]));
}

fn modules_tell_the_truth(exported: &Exported, site: &Site, user: User) {
    let exec = |command: &[&str]| run(exported, user, &["exec", "-C"], command).unwrap();
    let listed = |text: &str| -> Vec<String> {
        let names = text.lines().filter(|line| line.contains('/') && !line.contains("INFO"));
        names.filter(|line| !line.ends_with([':', '/'])).map(ToOwned::to_owned).collect()
    };
    let program = exec(&["module", "--terse", "list"]);
    assert_eq!(listed(&program.stderr), LOADED, "{user:?}: {program}");
    let bash = exec(&["bash", "-c", "module --terse list"]);
    assert_eq!((listed(&bash.stderr), bash.stdout.as_str()), (LOADED.map(Into::into).into(), ""));
    let (status, typed) = shell(exported, user, "module --terse list 2>&1\ntool\nexit 3\n");
    assert_eq!((status, listed(&typed)), (3, LOADED.map(Into::into).into()), "{typed}");
    assert!(typed.ends_with(ANSWERS[0].1), "{typed}");

    let avail = exec(&["module", "--terse", "avail"]);
    let mut available = listed(&avail.stderr);
    available.sort();
    let mut packed = LOADED;
    packed.sort_unstable();
    assert_eq!(available, packed, "what is packed, and nothing else: {avail}");
    // the site's own SitePackage.lua and lmodrc.lua speak
    let avail = exec(&["bash", "-c", "module avail 2>&1"]).stdout;
    assert!(avail.contains("Ask us.") && avail.contains("tested little"), "{avail}");
    let directories = [site.path("mf/gnu"), site.path("mf/Core")];
    assert!(directories.iter().all(|directory| avail.contains(directory)), "{avail}");

    let again = "module unload tool; command -v tool; echo ${LD_LIBRARY_PATH:-none}; module load tool && tool";
    let ran = exec(&["bash", "-c", again]);
    assert_eq!(ran.success(), format!("/.singularity.d/libs\n{}", ANSWERS[0].1), "{user:?}");
    let ran = exec(&["bash", "-c", "module load unpacked"]);
    assert!(ran.status == 1 && ran.stderr.contains("unknown"), "{ran}");
    let ran = exec(&["module", "load", "tool"]);
    assert!(ran.status == 1 && ran.stderr.contains("cannot load anything for its caller"), "{ran}");
}

/// All that the exporting shell had, worse things, and a locale that the image lacks.
fn a_leaking_session_changes_nothing(exported: &Exported, user: User) {
    let script = "tool; sh-hello; py-hello; env-hello; pl-hello; echo ${SETTINGS_GONE-unset}; module --terse list 2>&1 | grep -c /";
    let image = exported.image.to_str().unwrap();
    let Some(mut command) = apptainer(exported, user, &["exec", image, "bash", "-c", script])
    else {
        return;
    };
    for (name, value) in &exported.session {
        if !matches!(name.as_str(), "HOME" | "PATH" | "TMPDIR") {
            command.env(name, value);
        }
    }
    for (name, value) in [
        ("SETTINGS_GONE", "no"),
        ("SCRIPTS_WORD", "leak"),
        ("LC_ALL", "xx_XX.UTF-8"),
        ("LC_MESSAGES", "de_DE"),
        ("LANGUAGE", "de"),
        ("LD_LIBRARY_PATH", "/gone"),
        ("LD_PRELOAD", ""),
        ("MODULEPATH", "/gone"),
        ("LMOD_RC", "/gone"),
        ("PYTHONHOME", "/gone"),
        ("PERL5OPT", "-Mgone"),
    ] {
        command.env(name, value);
    }
    let ran = exported.env.run(&mut command);
    assert!(quiet(&ran), "{user:?}: {ran}");
    let answers: String = ANSWERS.iter().map(|(_, answer)| *answer).collect();
    assert_eq!(ran.success(), answers + "unset\n5\n", "{user:?}");
}

fn mounts_are_noticed(exported: &Exported, site: &Site) {
    let prefix = site.path("apps/tool/1.0");
    for (bind, noticed) in [
        (format!("/srv:{prefix}"), Some(prefix.as_str())),
        (format!("/srv:{prefix}/lib"), Some(&*format!("{prefix}/lib"))),
        ("/opt:/opt".to_owned(), Some("/opt")),
        ("/usr:/usr".to_owned(), Some("/usr")),
        // as runtimes do it with a driver's programs
        ("/usr/bin/true:/usr/bin/nvidia-smi".to_owned(), None),
        ("/srv:/srv".to_owned(), None),
    ] {
        let ran = run(exported, User::Tests, &["exec", "-C", "--bind", &bind], &["true"]).unwrap();
        match noticed {
            Some(path) => {
                assert!(ran.stderr.contains(&format!("over the packed {path},")), "{ran}");
            }
            None => assert!(quiet(&ran), "{bind}: {ran}"),
        }
        assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{bind}");
    }
}

/// The report of an export that succeeds.
fn report(env: &TestEnv, session: &Session, words: &str) -> Value {
    let words = format!("container -a A --json --force --compression none {words}");
    let ran = env.run(&mut module_export(env, session, &words));
    serde_json::from_str(&ran.clone().success()).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

fn strings(values: &Value) -> Vec<&str> {
    values.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect()
}

#[test]
fn what_is_gone_or_the_users_own_is_named() {
    let Some(site) = Site::new() else { return };
    let env = TestEnv::new();
    site.write(
        "mf/Core/home/1.lua",
        "setenv('CACHE_OF_HOME', pathJoin(os.getenv('HOME'), 'cache'))\nsetenv('HOMELESS', os.getenv('HOME') .. 'less')\n",
    );
    let session = site.session(&env, "module load gnu tool home");
    fs::rename(site.path("apps/far"), site.path("apps/away")).unwrap();
    let found = report(&env, &session, "--allow-incomplete");
    let want = [
        format!(
            "module `far/1.0`: its installation prefix `{}` does not exist",
            site.path("apps/far/1.0")
        ),
        format!(
            "the library `libfar.so`, which `{}` needs, is not packed",
            site.path("apps/tool/1.0/bin/tool")
        ),
        "home/1 sets CACHE_OF_HOME to a place in your home directory, `$ROOT/home/cache`, which the image does not have; whoever runs the image sees that path".to_owned(),
    ];
    assert_eq!(strings(&found["warnings"]), want);
    let mut strict = module_export(&env, &session, "container -a A -n strict --strict");
    assert_eq!(env.run(&mut strict).status, 5);
    assert!(!env.work().join("strict.sif").exists());
}

#[test]
fn an_image_without_a_working_shell_is_not_written() {
    let Some(site) = Site::new() else { return };
    let env = TestEnv::new();
    let session = site.session(&env, MODULES);
    for (exclude, lacks) in [
        ("/usr/bin/dash", "/bin/sh"),
        ("bash", "/bin/bash"),
        ("ld-linux*", "ld-linux"),
        ("libc.so.6", "libc.so.6"),
    ] {
        let mut command = module_export(&env, &session, "container -a A -n image --exclude");
        let ran = env.run(command.arg(exclude));
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{exclude}: {ran}");
        assert!(ran.stderr.contains("error: the image would have no working `/bin/"), "{ran}");
        assert!(ran.stderr.contains(lacks) && ran.stderr.contains("left out on request"), "{ran}");
        assert_eq!(fs::read_dir(env.work()).unwrap().count(), 0, "{exclude}");
    }
}

#[test]
fn an_ordinary_user_exports_the_same_bytes_but_for_what_is_closed_to_him() {
    let Some(site) = Site::new() else { return };
    let env = TestEnv::new();
    let session = site.session(&env, MODULES);
    let export = |name: &str, zone: &str, jobs: &str, ordinary: bool| -> Option<PathBuf> {
        let words = format!(
            "container -a A -q --epoch 1700000000 --compression gzip:1 -n same -d {name} --jobs {jobs}"
        );
        fs::create_dir(env.work().join(name)).unwrap();
        fs::set_permissions(env.work().join(name), Permissions::from_mode(0o777)).unwrap();
        let mut command = module_export(&env, &session, &words);
        command.env("TZ", zone).env("LC_ALL", if ordinary { "C" } else { "C.UTF-8" });
        if ordinary {
            command = as_ordinary_user(&command)?;
        }
        env.run(&mut command).success();
        Some(env.work().join(name).join("same.sif"))
    };
    let mine = export("mine", "UTC", "1", false).unwrap();
    let Some(his) = export("his", "Asia/Tokyo", "3", true) else { return };
    assert!(fs::read(&mine).unwrap() == fs::read(his).unwrap(), "the bytes differ");

    let closed = site.write("apps/tool/1.0/lib/closed", "secret");
    fs::set_permissions(&closed, Permissions::from_mode(0o600)).unwrap();
    let words = "container -a A --json --compression none";
    let mut command = as_ordinary_user(&module_export(&env, &session, words)).unwrap();
    let found: Value = serde_json::from_str(&env.run(&mut command).success()).unwrap();
    let omissions = found["manifest"]["omissions"].as_array().unwrap();
    let of_closed = omissions.iter().find(|omission| omission["path"] == closed.to_str().unwrap());
    assert_eq!(of_closed.unwrap()["reason"], "not readable");
}

#[test]
fn drivers_keys_accounts_and_slurm_files_stay_where_they_are() {
    let Some(site) = Site::new() else { return };
    let Some(cc) = tool("cc") else { return };
    let env = TestEnv::new();
    site.write("source/cuda.c", "int cuda(void) { return 1; }\n");
    site.write("source/gpu.c", "int cuda(void);\nint main(void) { return cuda(); }\n");
    site.library(&cc, "cuda", "driver/lib64");
    let driver = site.path("driver/lib64");
    fs::copy(site.path("driver/lib64/libcuda.so"), site.path("driver/lib64/libcuda.so.1")).unwrap();
    site.compile(
        &cc,
        &[
            &site.path("source/gpu.c"),
            "-o",
            &site.path("apps/gnu/1.0/gpu"),
            "-L",
            &driver,
            "-lcuda",
        ],
    );
    std::os::unix::fs::symlink("/etc/passwd", site.path("apps/gnu/1.0/accounts")).unwrap();
    site.write(
        "mf/Core/gpu/1.lua",
        "prepend_path('LD_LIBRARY_PATH', '$SITE/driver/lib64')\nsetenv('SLURM_CONF', '/etc/slurm/slurm.conf')\nsetenv('KEYS', '/etc/ssh')\nsetenv('ACCOUNTS', '/etc/passwd:/etc/shadow')\n",
    );
    let session = site.session(&env, "module load gnu gpu");
    let found = report(&env, &session, "-n image");
    let omissions = found["manifest"]["omissions"].to_string();
    assert!(omissions.contains("GPU driver library"), "{found}");
    let image = Image::open(&env.work().join("image.sif")).unwrap();
    let read = |path: &str| {
        let path = ImagePath::new(path.as_bytes()).unwrap();
        String::from_utf8(image.read(&path, 1 << 30).unwrap()).unwrap()
    };
    for line in read("/.module-export/files.jsonl").lines() {
        let file: Value = serde_json::from_str(line).unwrap();
        let path = file["path"].as_str().unwrap();
        for forbidden in
            ["libcuda", "/etc/shadow", "/etc/gshadow", "/etc/ssh/", "slurm", "munge", "_key"]
        {
            assert!(!path.contains(forbidden), "{path}");
        }
    }
    assert_eq!(
        read("/etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    );
    assert_eq!(read("/etc/group"), "root:x:0:\nnogroup:x:65534:\n");
    let mut command =
        module_export(&env, &session, "container -a A -n other --include /etc/shadow");
    assert_eq!(env.run(&mut command).status, 1);
}
