//! `module-export run`: no container runtime at all.

use super::minisim;
use crate::common::{Ran, as_ordinary_user, is_root};

fn run(words: &[&str], ordinary: bool) -> Option<Ran> {
    let exported = minisim()?;
    let mut command = exported.env.module_export();
    command.arg("run").arg(&exported.image).arg("--").args(words).env("EBROOTLEAK", "/leak");
    if ordinary {
        command = as_ordinary_user(&command)?;
    }
    Some(exported.env.run(&mut command))
}

#[test]
fn a_command_runs_as_root_and_as_an_ordinary_user() {
    for ordinary in [false, true] {
        let Some(ran) = run(&["minisim"], ordinary) else { return };
        assert!(ran.success().contains("J0(1)=0.765198"), "ordinary: {ordinary}");
        let ran = run(&["bash", "-c", "echo $EBROOTLEAK; pwd; module --terse list 2>&1 | grep -c MiniSim; test -c /dev/null -a -r /proc/self/stat -a -d /sys -a -w /tmp && exit 7"], ordinary).unwrap();
        assert_eq!(
            (ran.status, ran.stdout.as_str()),
            (7, "\n$ROOT/work\n1\n"),
            "ordinary: {ordinary}: {ran}"
        );
    }
}

#[test]
fn the_image_cannot_be_changed_and_nothing_is_left_behind() {
    let Some(exported) = minisim() else { return };
    let ran = run(&["sh", "-c", "echo x > /etc/hosts.new"], is_root()).unwrap();
    assert_ne!(ran.status, 0, "{ran}");
    let left = std::fs::read_dir(exported.env.root().join("tmp")).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with("module-export-run-"))
        .collect();
    assert_eq!(left, [] as [&str; 0]);
}

#[test]
fn what_is_no_image_is_named() {
    let Some(exported) = minisim() else { return };
    let text = exported.env.write("work/text.sif", "no image");
    let cut = exported.env.root().join("work/cut.sif");
    std::fs::write(&cut, &std::fs::read(&exported.image).unwrap()[..1_000_000]).unwrap();
    for path in [text, cut, exported.env.root().join("gone.sif")] {
        let ran = exported
            .env
            .run(exported.env.module_export().arg("run").arg(&path).args(["--", "true"]));
        assert_eq!(ran.status, 1, "{ran}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(ran.stderr.contains(name) && !ran.stderr.contains("panicked"), "{ran}");
    }
}
