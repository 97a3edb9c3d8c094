//! Random modulefiles in random environments through real Lmod and ours.
//!
//! `RANDOM_LOADS` says how many loads are compared with the live Lmod (160 if unset), `RANDOM_SEED`
//! where to begin. The long run, by hand:
//!
//! ```text
//! RANDOM_LOADS=2000 cargo nextest run random_trees
//! RANDOM_LOADS=2000 LMOD_UNDER_TEST=/…/9.2.9/libexec/lmod cargo nextest run random_trees
//! ```

mod tree;

pub(super) use tree::Dice;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::oracle::{Load, differences, lmod_version, switch};

/// Trees whose loads by Lmod 9 are recorded.
pub(super) const RECORDED: std::ops::Range<u64> = 1..301;

/// Writes the tree of a seed and returns the load to try on it.
pub(super) fn make(top: &Path, seed: u64) -> Load {
    let tree = tree::tree(seed);
    let top_text = top.display().to_string();
    for place in ["mf", "more1", "more2"] {
        fs::create_dir_all(top.join(place)).unwrap();
    }
    for (path, text) in &tree.files {
        let path = top.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("$TOP", &top_text)).unwrap();
    }
    let words: Vec<&str> = tree.words.iter().map(String::as_str).collect();
    let mut load = Load::new("", &words);
    for (name, value) in &tree.environment {
        load = load.with(name, &value.replace("$TOP", &top_text));
    }
    load
}

/// Many loads, with the directories that they need.
pub(super) fn loads(seeds: std::ops::Range<u64>) -> (Vec<TempDir>, Vec<(String, Load)>) {
    let tops: Vec<TempDir> = seeds.clone().map(|_| tempfile::tempdir().unwrap()).collect();
    let loads = seeds
        .zip(&tops)
        .map(|(seed, top)| (format!("seed {seed}"), make(top.path(), seed)))
        .collect();
    (tops, loads)
}

#[test]
fn random_trees_load_as_in_lmod() {
    let Some(version) = lmod_version() else { return };
    let number = |name: &str| switch(name).and_then(|text| text.parse::<u64>().ok());
    let first = number("RANDOM_SEED").unwrap_or(1);
    let count = number("RANDOM_LOADS").unwrap_or(160);
    let (_tops, loads) = loads(first..first + count);
    let found = differences(&loads, &version);
    let shown = found.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(found.is_empty(), "{} of {} differ:\n{shown}", found.len(), loads.len());
}
