//! Formats other than SIF in a real Apptainer.

use super::apptainer::{User, apptainer, quiet};
use super::export;

#[test]
fn apptainer_runs_every_format_it_knows_with_nothing_of_the_host() {
    for (format, transport, ending) in [
        ("sandbox", "", "sandbox"),
        ("oci", "oci:", "oci"),
        ("oci-archive", "oci-archive:", "oci.tar"),
        ("docker-archive", "docker-archive:", "docker.tar"),
    ] {
        let plain =
            if format == "docker-archive" || format == "sandbox" { "none" } else { "gzip:1" };
        let flags = format!("--format {format} --compression {plain}");
        let Some(exported) = export("module load MiniSim", &flags) else { return };
        let image =
            format!("{transport}{}", exported.env.work().join(format!("image.{ending}")).display());
        let script = "minisim; echo $MODULEPATH $GIVEN; env | grep -c leak; module --terse list 2>&1 | grep -c MiniSim";
        let words = ["exec", "--env", "GIVEN=yes", &image, "bash", "-c", script];
        let Some(mut command) = apptainer(&exported, User::Tests, &words) else { return };
        command.env("MODULEPATH", "/leak").env("EBROOTX", "leak").env("PYTHONPATH", "/leak");
        let ran = exported.env.run(&mut command);
        assert!(format != "sandbox" || quiet(&ran), "{ran}");
        let modulepath = &exported.session["MODULEPATH"];
        let target = &exported.session["EESSI_SOFTWARE_SUBDIR"];
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!(lines[0], format!("{target} J0(1)=0.765198 dot=30"), "{format}: {ran}");
        assert!(lines[1].ends_with(" yes"), "{format}: {ran}");
        let last = modulepath.rsplit(':').next().unwrap();
        assert!(lines[1].contains(last), "{format}: {ran}");
        assert_eq!(lines[2..], ["0", "1"], "{format}: {ran}");
    }
}

#[test]
fn an_ordinary_user_runs_archives_and_sandboxes() {
    for (format, transport, ending) in
        [("sandbox", "", "sandbox"), ("oci-archive", "oci-archive:", "oci.tar")]
    {
        let flags = format!("--format {format} --compression none");
        let Some(exported) = export("module load WhichTarget", &flags) else { return };
        let image = exported.env.work().join(format!("image.{ending}"));
        let image = format!("{transport}{}", image.display());
        let words = ["exec", &image, "whichtarget"];
        let Some(mut command) = apptainer(&exported, User::Ordinary, &words) else { return };
        let ran = exported.env.run(&mut command);
        let target = &exported.session["EESSI_SOFTWARE_SUBDIR"];
        assert_eq!(ran.success(), format!("WhichTarget {target}\n"), "{format}");
    }
}
