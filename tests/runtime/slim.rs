//! An image with a part of the compatibility layer runs what one with all of it runs.

use std::path::Path;

use serde_json::Value;

use super::apptainer::{User, quiet, run};
use super::{Exported, export, minisim};
use crate::common::{Ran, as_ordinary_user};

/// What [`minisim`] is, with `--slim`.
fn slim() -> Option<Exported> {
    export("module load MiniSim", "--slim")
}

/// What is run in both, and a part of what must come of it.
const COMMANDS: [(&str, &str, &str); 8] = [
    ("a program", "minisim", "J0(1)=0.765198"),
    (
        "numpy",
        "python -c 'import numpy as n; print(round(float(n.linalg.inv(n.eye(3) * 4).trace()), 3), round(float(n.linalg.eigvalsh(n.diag([3.0, 1.0])).sum()), 3))'",
        "0.75 4.0",
    ),
    (
        "locale",
        "echo \"locale $LANG\"; printf '%s\\n' ä | wc -m; locale charmap 2>/dev/null",
        "locale ",
    ),
    ("module list", "module --terse list 2>&1", "MiniSim"),
    ("module avail", "module --terse avail 2>&1", "MiniSim"),
    (
        "module load",
        "module purge >/dev/null 2>&1; module load WhichTarget MiniSim 2>&1 || module load MiniSim 2>&1; minisim",
        "J0(1)=0.765198",
    ),
    (
        "tools",
        "printf '3 c\\n1 a\\n' | sort | sed 's/a/A/' | awk '{ print $2 $1 }' | grep -n A; seq 3 | tac | xargs; date -u -d @0 +%Y; mktemp -u | wc -l; [ -t 0 ] || echo no terminal",
        "1:A1\n3 2 1\n1970\n1\nno terminal",
    ),
    ("terminal", "TERM=xterm-256color tput colors 2>/dev/null; stty --version | head -1", "stty ("),
];

/// All of the commands as one script.
fn script() -> String {
    COMMANDS.map(|(name, script, _)| format!("echo '= {name}'; {script}")).join("; ")
}

/// Whether all of the commands have worked.
#[track_caller]
fn all_worked(ran: &Ran) {
    for (name, _, want) in COMMANDS {
        assert!(ran.stdout.contains(want), "{name}: {ran}");
    }
}

// the two images are made once: that takes longer than all that is done with them
#[test]
fn a_slim_image_runs_what_a_full_one_runs_and_lacks_nothing_that_anything_needs() {
    let (Some(full), Some(slim)) = (minisim(), slim()) else { return };
    check_what_is_left_out(&full, &slim);
    run_by_ourselves(&full, &slim);
    run_in_apptainer(&full, &slim);
}

fn run_by_ourselves(full: &Exported, slim: &Exported) {
    let run = |exported: &Exported| -> Option<Ran> {
        let mut command = exported.env.module_export();
        command.args(["run", "-q"]).arg(&exported.image).args(["--", "bash", "-c", &script()]);
        Some(exported.env.run(&mut as_ordinary_user(&command)?))
    };
    let Some(of_slim) = run(slim) else { return };
    all_worked(&of_slim);
    assert_eq!(of_slim, run(full).unwrap());
}

fn run_in_apptainer(full: &Exported, slim: &Exported) {
    let script = script();
    let (command, verb) = (["bash", "-c", &script], ["exec", "--containall"]);
    let Some(of_slim) = run(slim, User::Ordinary, &verb, &command) else { return };
    let of_full = run(full, User::Ordinary, &verb, &command).unwrap();
    assert!(quiet(&of_slim), "{of_slim}");
    assert_eq!(of_slim.stdout, of_full.stdout);
    all_worked(&of_slim);
}

/// The JSON that `module-export WORDS` prints.
fn json(exported: &Exported, words: &[&str], image: &Path) -> Value {
    let mut command = exported.env.module_export();
    let ran = exported.env.run(command.args(words).arg(image));
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran}"))
}

fn check_what_is_left_out(full: &Exported, slim: &Exported) {
    let warnings = |exported: &Exported| -> Vec<String> {
        let report = json(exported, &["verify", "--json"], &exported.image);
        assert_eq!(report["errors"], 0, "{report}");
        let findings = report["findings"].as_array().unwrap().iter();
        let warnings = findings.filter(|finding| finding["severity"] == "warning");
        warnings.map(|finding| format!("{} {}", finding["path"], finding["need"])).collect()
    };
    let of_full = warnings(full);
    for warning in warnings(slim) {
        assert!(of_full.contains(&warning), "only the slim image lacks {warning}");
    }
    let manifest = |exported: &Exported| json(exported, &["inspect", "--json"], &exported.image);
    assert_eq!(manifest(slim)["slim"], true);
    assert_eq!(manifest(full).get("slim"), None);
    let omissions = manifest(slim)["omissions"].as_array().unwrap().clone();
    let of_layer = omissions.iter().filter(|omission| {
        omission["reason"].as_str().unwrap().starts_with("not reached (--slim): ")
    });
    assert!((3..20).contains(&of_layer.count()), "{omissions:#?}");
    let size = |exported: &Exported| std::fs::metadata(&exported.image).unwrap().len();
    assert!(size(slim) < size(full), "{} {}", size(slim), size(full));
}

#[test]
fn a_base_that_others_made_cannot_be_slim() {
    let Some(full) = minisim() else { return };
    let base = full.env.root().join("base-of-others");
    std::fs::create_dir_all(base.join("bin")).unwrap();
    let words = format!("container -a A -n other --slim --base {}", base.display());
    let mut command = crate::cli::session::module_export(&full.env, &full.session, &words);
    let ran = full.env.run(&mut command);
    assert_eq!(ran.status, 2, "{ran}");
    assert!(ran.stderr.contains("--slim leaves nothing out of a base that others made"), "{ran}");
    assert!(!full.env.work().join("other.sif").exists());
}
