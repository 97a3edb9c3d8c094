//! The definition file, labels, and what `apptainer inspect` reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::activation::Scripts;
use super::{AssembleError, Assembly};

/// Labels by name; `Author` and `Version` as the reference script wrote them.
pub(super) type Labels = BTreeMap<String, String>;

pub(super) fn labels(assembly: &Assembly) -> Labels {
    let modules: Vec<_> = assembly.modules.iter().map(|module| module.name.as_str()).collect();
    let rows = [
        ("Author", assembly.identity.authors.join(", ")),
        ("Version", assembly.identity.version.clone()),
        ("Name", assembly.identity.name.clone()),
        ("Modules", modules.join(":")),
        ("CpuTargets", assembly.cpu.targets.join(":")),
        ("Tool", format!("module-export {}", env!("CARGO_PKG_VERSION"))),
    ];
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Labels with one more, whose value is not known yet.
pub(super) fn with_placeholder(labels: &Labels, placeholder: &str) -> Labels {
    let mut labels = labels.clone();
    labels.insert(super::identifier::LABEL.to_owned(), placeholder.to_owned());
    labels
}

/// A definition file that says how the image was made. Its `%environment` and `%runscript` are
/// what `skopeo copy sif:` makes an OCI image's command from.
pub(super) fn definition(assembly: &Assembly, scripts: &Scripts) -> String {
    let mut text = format!(
        "Bootstrap: scratch\n\n# Not a recipe: written by module-export {} from modules loaded on a cluster.\n# /.module-export/manifest.json in the image lists them.\n\n%labels\n",
        env!("CARGO_PKG_VERSION")
    );
    for (name, value) in labels(assembly) {
        // writing to a String cannot fail
        let _ = writeln!(text, "    {name} {}", one_line(&value));
    }
    text.push_str("\n%environment\n    . /.module-export/activate.sh\n    . /.singularity.d/env/99-base.sh\n    . /.singularity.d/env/99-z-guard.sh\n\n%runscript\n");
    for line in scripts.runscript.lines().skip(1) {
        let _ = writeln!(text, "    {line}");
    }
    text.push_str("\n%test\n");
    for line in scripts.test.lines().skip(1) {
        let _ = writeln!(text, "    {line}");
    }
    text.push_str("\n%help\n");
    for line in scripts.help.lines() {
        let _ = writeln!(text, "    {}", line.replace('%', "%%"));
    }
    text
}

/// Sections of a definition file are lines: no value may start one.
fn one_line(value: &str) -> String {
    value.replace(|c: char| c.is_control(), " ")
}

pub(super) fn inspect_metadata(
    labels: &Labels,
    scripts: &Scripts,
    definition: &str,
) -> Result<String, AssembleError> {
    let metadata = json!({
        "data": { "attributes": {
            "labels": labels,
            "environment": { "/.singularity.d/env/90-environment.sh": scripts.activate,
                "/.singularity.d/env/99-z-guard.sh": scripts.guard,
            },
            "runscript": scripts.runscript,
            "test": scripts.test,
            "helpfile": scripts.help,
            "deffile": definition,
        } },
        "type": "container",
    });
    Ok(serde_json::to_string_pretty(&metadata)? + "\n")
}
