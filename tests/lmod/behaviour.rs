//! One small tree for each behaviour, in `tests/data/mf/<case>/`, with a `spec`:
//!
//! ```text
//! # what it shows
//! path: mf more        directories of MODULEPATH, below the case (`mf` if not given)
//! env: NAME=value      a variable to start with (repeatable; `$CASE` is the case's directory)
//! lua: 5.1 5.3         the Luas that run Lmod, each on its own (Debian's 5.3 if not given)
//! load: A B/1          words of one `module load` (repeatable: each starts anew)
//! live: WHY            depends on the machine: compared with the Lmod there, never with a record
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use module_export::stack::LuaVersion;

use super::oracle::{Load, differences, lmod_version};

pub(super) fn cases() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mf");
    let mut cases: Vec<PathBuf> = module_export::base::fs::sorted_dir(&top)
        .unwrap()
        .into_iter()
        .map(|name| top.join(name))
        .filter(|case| case.join("spec").is_file())
        .collect();
    cases.sort();
    cases
}

pub(super) fn loads(case: &Path) -> Vec<Load> {
    let spec = fs::read_to_string(case.join("spec")).unwrap();
    let lines = |key: &str| -> Vec<String> {
        let prefix = format!("{key}:");
        let lines = spec.lines().filter_map(|line| line.strip_prefix(&prefix));
        lines.map(|line| line.trim().replace("$CASE", &case.display().to_string())).collect()
    };
    let path = lines("path").pop().unwrap_or_else(|| "mf".to_owned());
    let path: Vec<String> =
        path.split(' ').map(|name| case.join(name).display().to_string()).collect();
    let environment = lines("env");
    let luas: Vec<Option<LuaVersion>> = match lines("lua").pop() {
        Some(versions) => versions.split(' ').map(|lua| Some(lua.parse().unwrap())).collect(),
        None => vec![None],
    };
    let load = |words: &str, lua| {
        let words: Vec<&str> = words.split(' ').filter(|word| !word.is_empty()).collect();
        let mut load = Load::new(&path.join(":"), &words);
        load.lua = lua;
        for pair in &environment {
            let (name, value) = pair.split_once('=').unwrap();
            load = load.with(name, value);
        }
        load
    };
    let all = lines("load");
    luas.iter().flat_map(|lua| all.iter().map(|words| load(words, *lua))).collect()
}

/// Compares every sixth case.
fn compare(part: usize) {
    let Some(version) = lmod_version() else { return };
    let mut all = Vec::new();
    for case in cases().into_iter().skip(part).step_by(6) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let loads = loads(&case);
        assert!(!loads.is_empty(), "{name} loads nothing");
        if loads.iter().any(|load| !load.can_run()) {
            continue;
        }
        all.extend(loads.into_iter().map(|load| (name.clone(), load)));
    }
    let found = differences(&all, &version);
    assert!(found.is_empty(), "{} of {} differ:\n{}", found.len(), all.len(), found.join("\n"));
}

#[test]
fn there_are_enough_cases() {
    assert!(cases().len() >= 400, "only {}", cases().len());
}

/// Six tests, so that they run beside each other.
macro_rules! parts {
    ($($name:ident $part:literal)*) => {
        $(
            #[test]
            fn $name() {
                compare($part);
            }
        )*
    };
}

parts! {
    behaviours_are_lmods_part_one 0
    behaviours_are_lmods_part_two 1
    behaviours_are_lmods_part_three 2
    behaviours_are_lmods_part_four 3
    behaviours_are_lmods_part_five 4
    behaviours_are_lmods_part_six 5
}
