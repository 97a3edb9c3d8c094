//! Images in a real Apptainer.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::{Exported, export, minisim};
use crate::common::{Ran, as_ordinary_user, tool};

/// Who runs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum User {
    /// As whom the tests run: root in CI, so that the kernel mounts the image.
    Tests,
    /// Somebody without rights: a user namespace, squashfuse.
    Ordinary,
}

pub(super) fn apptainer(exported: &Exported, user: User, words: &[&str]) -> Option<Command> {
    let mut command = exported.env.command(tool("apptainer")?);
    command.args(words);
    Some(match user {
        User::Tests => command,
        User::Ordinary => as_ordinary_user(&command)?,
    })
}

/// `apptainer VERB FLAGS… IMAGE COMMAND…`
pub(super) fn run(exported: &Exported, user: User, verb: &[&str], command: &[&str]) -> Option<Ran> {
    let image = exported.image.to_str().unwrap();
    let words: Vec<_> =
        verb.iter().copied().chain([image]).chain(command.iter().copied()).collect();
    Some(exported.env.run(&mut apptainer(exported, user, &words)?))
}

/// What every start must keep to: nothing on stdout but the command's, nothing on stderr but
/// Apptainer's own remarks.
pub(super) fn quiet(ran: &Ran) -> bool {
    ran.stderr
        .lines()
        .all(|line| line.contains("INFO:") || line.contains("WARNING:") || line.is_empty())
}

#[test]
fn programs_of_the_modules_run_with_nothing_of_the_host() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let target = &exported.session["EESSI_SOFTWARE_SUBDIR"];
    let answer = format!("{target} J0(1)=0.765198 dot=30\n");
    for user in [User::Tests, User::Ordinary] {
        let rows: [(&[&str], &str); 5] = [
            (&["minisim"], &answer),
            (&["python", "-c", "import numpy; print(numpy.arange(4) @ numpy.arange(4))"], "14\n"),
            (&["/bin/sh", "-c", "echo $EESSI_SOFTWARE_SUBDIR"], &format!("{target}\n")),
            (&["sh", "-c", "ls /cvmfs; ls -d /opt/eessi"], "module-export.test\n/opt/eessi\n"),
            (&["/usr/bin/env", "true"], ""),
        ];
        for (command, want) in rows {
            let Some(ran) = run(exported, user, &["exec", "--containall"], command) else { return };
            assert!(quiet(&ran), "{user:?} {command:?}: {ran}");
            assert_eq!(ran.success(), want, "{user:?} {command:?}");
        }
    }
}

#[test]
fn module_works_in_bash_in_the_shell_and_as_a_program() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    for user in [User::Tests, User::Ordinary] {
        let exec = |command: &[&str]| run(exported, user, &["exec", "-C"], command);
        let Some(ran) = exec(&["module", "--terse", "list"]) else { return };
        assert!(ran.stderr.contains("MiniSim/1.4-foss-2022b") && ran.stdout.is_empty(), "{ran}");
        let ran = exec(&["module", "load", "GSL"]).unwrap();
        assert_eq!(ran.status, 1);
        assert!(ran.stderr.contains("cannot load anything for its caller"), "{ran}");
        let ran = exec(&["bash", "-c", "module unload MiniSim; ! command -v minisim && module load MiniSim && minisim >/dev/null && echo again"]).unwrap();
        assert_eq!(ran.success(), "again\n", "{user:?}");
        let ran = exec(&["bash", "-c", "module --terse avail 2>&1 | grep -c TunedOnly"]).unwrap();
        assert_eq!(ran.stdout, "0\n", "what is not packed is not there: {ran}");
        assert_eq!(
            shell(exported, user, "module --terse list 2>&1 | grep -c MiniSim\nexit 3\n"),
            (3, "1\n".to_owned())
        );
    }
}

/// Status and stdout of `apptainer shell` with these lines typed.
pub(super) fn shell(exported: &Exported, user: User, typed: &str) -> (i32, String) {
    let image = exported.image.to_str().unwrap();
    let mut command = apptainer(exported, user, &["shell", "-C", image]).unwrap();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn inspect_help_test_and_run_answer() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let answer = |verb: &[&str], command: &[&str]| {
        run(exported, User::Tests, verb, command).map(Ran::success)
    };
    let Some(labels) = answer(&["inspect", "--labels"], &[]) else { return };
    assert!(labels.contains("Author: O'Hara\n") && labels.contains("Version: 20"), "{labels}");
    let definition = answer(&["inspect", "--deffile"], &[]).unwrap();
    for section in ["%labels", "%environment", "%runscript", "%test", "%help"] {
        assert!(definition.lines().any(|line| line == section), "{section}: {definition}");
    }
    assert!(answer(&["inspect", "--environment"], &[]).unwrap().contains("EBROOTMINISIM"));
    assert!(
        answer(&["inspect", "--runscript"], &[]).unwrap().contains("/.module-export/bin/shell")
    );
    assert!(answer(&["inspect", "--test"], &[]).unwrap().contains("MiniSim/1.4-foss-2022b"));
    assert!(answer(&["inspect", "--helpfile"], &[]).unwrap().contains("apptainer shell IMAGE"));
    let in_image = |path: &str| answer(&["exec", "-C"], &["cat", path]).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&answer(&["inspect", "--json", "--all"], &[]).unwrap()).unwrap();
    let attributes = &json["data"]["attributes"];
    for (name, path) in [
        ("runscript", "runscript"),
        ("test", "test"),
        ("helpfile", "runscript.help"),
        ("deffile", "Singularity"),
    ] {
        let path = format!("/.singularity.d/{path}");
        assert_eq!(attributes[name], in_image(&path).as_str(), "{name}");
    }
    assert!(answer(&["run-help"], &[]).unwrap().contains("MiniSim/1.4-foss-2022b"));
    let tested = answer(&["test"], &[]).unwrap();
    assert!(tested.ends_with("ok module list\n") && !tested.contains("FAILED"), "{tested}");
    assert!(tested.contains("/bin/minisim\n"), "its libraries were looked for: {tested}");
    assert!(answer(&["run", "-C"], &["minisim"]).unwrap().contains("J0(1)"));
}

#[test]
fn the_test_of_an_image_fails_where_something_is_broken() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let empty = exported.env.root().join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let root = |name: &str| exported.session[name].clone();
    for (hidden, line) in [
        (root("EBROOTGSL") + "/lib", "FAILED MiniSim/1.4-foss-2022b: "),
        (root("EBROOTMINISIM") + "/bin", "FAILED MiniSim/1.4-foss-2022b: "),
    ] {
        let bind = format!("{}:{hidden}", empty.display());
        let Some(ran) = run(exported, User::Tests, &["test", "-C", "--bind", &bind], &[]) else {
            return;
        };
        assert!(ran.status != 0 && ran.stdout.contains(line), "{hidden}: {ran}");
    }
}

#[test]
fn skopeo_makes_an_image_of_the_sif_that_starts_in_its_environment() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let Some(skopeo) = tool("skopeo") else { return };
    let to = exported.env.root().join("from-sif");
    let (from, target) = (exported.image.display(), to.display());
    let mut copy = exported.env.command(&skopeo);
    copy.args(["copy", "--quiet", &format!("sif:{from}"), &format!("dir:{target}")]);
    exported.env.run(&mut copy).success();
    let document = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(to.join(name)).unwrap()).unwrap()
    };
    let manifest = document("manifest.json");
    let blob = |descriptor: &serde_json::Value| {
        descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned()
    };
    let config = document(&blob(&manifest["config"]));
    assert_eq!(config["config"]["Cmd"], serde_json::json!(["/podman/runscript"]));
    // with nothing of the environment that `run` would give it
    let mut started = exported.env.module_export();
    started.args(["run", "-q"]).arg(to.join(blob(&manifest["layers"][0])));
    started.args(["--", "/usr/bin/env", "-i", "/podman/runscript", "minisim"]);
    let ran = exported.env.run(&mut started);
    assert!(ran.clone().success().contains("J0(1)=0.765198"), "{ran}");
}

#[test]
fn a_session_that_leaks_in_changes_nothing() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    for user in [User::Tests, User::Ordinary] {
        let show = [
            "bash",
            "-c",
            "minisim; python -c 'import numpy'; env | grep -E '^(EBROOTLEAK|LD_PRELOAD|LC_ALL|PERL5LIB)='; echo $SLURM_JOB_ID; module --terse list 2>&1 | grep -c /",
        ];
        let image = exported.image.to_str().unwrap();
        let words: Vec<_> = ["exec", image].into_iter().chain(show).collect();
        let Some(mut command) = apptainer(exported, user, &words) else { return };
        // all that the exporting shell had, and worse
        for (name, value) in &exported.session {
            if !matches!(name.as_str(), "HOME" | "PATH" | "TMPDIR") {
                command.env(name, value);
            }
        }
        command
            .env("EBROOTLEAK", "/leak")
            .env("PYTHONPATH", "/gone")
            .env("PYTHONHOME", "/gone")
            .env("PERL5LIB", "/gone")
            .env("LC_ALL", "xx_XX.UTF-8")
            .env("LD_LIBRARY_PATH", "/gone")
            .env("MODULEPATH", "/gone")
            .env("SLURM_JOB_ID", "7");
        let stdout = exported.env.run(&mut command).success();
        let lines: Vec<_> = stdout.lines().collect();
        assert!(lines[0].contains("J0(1)=0.765198"), "{stdout}");
        let modules = exported.session["LOADEDMODULES"].split(':').count().to_string();
        assert_eq!(lines[1..], ["7", &modules], "{user:?}");
    }
}

#[test]
fn the_callers_own_words_win_over_the_image() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let print = ["bash", "-c", "echo $PYTHONPATH $EBROOTGSL"];
    let Some(ran) = run(
        exported,
        User::Tests,
        &["exec", "-C", "--env", "PYTHONPATH=/mine,EBROOTGSL=/other"],
        &print,
    ) else {
        return;
    };
    assert_eq!(ran.success(), "/mine /other\n");
}

#[test]
fn a_mount_over_the_packed_stack_is_noticed_and_may_be_refused() {
    let Some(shared) = minisim() else { return };
    let exported = &*shared;
    let exec = |flags: &[&str]| {
        let verb: Vec<_> = ["exec", "-C"].into_iter().chain(flags.iter().copied()).collect();
        run(exported, User::Tests, &verb, &["true"])
    };
    let Some(ran) = exec(&["--bind", "/cvmfs:/cvmfs"]) else { return };
    assert!(ran.stderr.contains("the host has mounted something over the packed /cvmfs,"), "{ran}");
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""));
    let software = exported.session["EESSI_SOFTWARE_PATH"].clone();
    let ran = exec(&["--bind", &format!("/srv:{software}")]).unwrap();
    assert!(ran.stderr.contains(&format!("over the packed {software},")), "{ran}");
    // a site's own files under the declared bind point are welcome
    let ran = exec(&["--bind", "/srv:/opt/eessi"]).unwrap();
    assert!(quiet(&ran), "{ran}");
    let image = exported.image.to_str().unwrap();
    let mut strict =
        apptainer(exported, User::Tests, &["exec", "--bind", "/cvmfs:/cvmfs", image, "true"])
            .unwrap();
    let ran = exported.env.run(strict.env("MODULE_EXPORT_STRICT", "1"));
    assert_eq!(ran.status, 1, "{ran}");
    assert!(ran.stderr.contains("refused"), "{ran}");
}

#[test]
fn a_cpu_without_the_features_is_told_so_and_generic_runs_anywhere() {
    let Some(shared) = minisim() else { return };
    let tuned = &*shared;
    if tuned.session["EESSI_SOFTWARE_SUBDIR"].ends_with("generic") {
        return crate::common::skip("this CPU has no tuned build in the look-alike");
    }
    let old =
        tuned.env.write("old-cpu", "processor : 0\nvendor_id : GenuineIntel\nflags : fpu sse2\n");
    let bind = format!("{}:/proc/cpuinfo", old.display());
    for verb in ["exec", "run"] {
        let Some(ran) = run(tuned, User::Tests, &[verb, "--bind", &bind], &["minisim"]) else {
            return;
        };
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran}");
        assert!(ran.stderr.contains("this CPU lacks: avx2"), "{ran}");
    }
    let image = tuned.image.to_str().unwrap();
    let mut command =
        apptainer(tuned, User::Tests, &["exec", "--bind", &bind, image, "minisim"]).unwrap();
    let target = &tuned.session["EESSI_SOFTWARE_SUBDIR"];
    assert!(tuned.env.run(command.env("MODULE_EXPORT_TARGET", target)).success().contains("J0(1)"));

    let Some(generic) = export("module load MiniSim", "-g") else { return };
    let bind = format!("{}:/proc/cpuinfo", old.display());
    let ran = run(&generic, User::Tests, &["exec", "--bind", &bind], &["minisim"]).unwrap();
    assert_eq!(ran.success(), "x86_64/generic J0(1)=0.765198 dot=30\n");
    let prefix = &generic.session["EESSI_PREFIX"];
    let again = format!("source {prefix}/init/bash >/dev/null && module load MiniSim && minisim");
    let ran = run(&generic, User::Tests, &["exec", "-C"], &["bash", "-c", &again]).unwrap();
    assert_eq!(ran.success(), "x86_64/generic J0(1)=0.765198 dot=30\n");
}
