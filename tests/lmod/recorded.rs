//! What Lmod 9 does, recorded: where tests run there is Debian's Lmod 8 only.
//!
//! `tests/data/oracles/` has the outcome of every case of `tests/data/mf` and of some random trees: what
//! changed in the environment, with `$CASE` for the case's directory. After a case was added or changed:
//!
//! ```text
//! RECORD=1 LMOD_UNDER_TEST=/…/lmod/9.2.9/libexec/lmod cargo nextest run lmod::recorded
//! ```
//!
//! runs what is new or different (seconds) and writes the files anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::oracle::{Load, in_two, lmod_version, switch};
use super::{behaviour, random};

/// The version that is recorded.
const VERSION: &str = "9.2.9";

/// One load and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Digest of modulefiles, environment, and words.
    input: String,
    /// What changed (null: unset); null if the load was refused.
    changed: Option<BTreeMap<String, Option<String>>>,
}

/// A load that has or needs a record.
struct Recordable {
    name: String,
    top: PathBuf,
    load: Load,
}

fn file(kind: &str) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/oracles");
    top.join(format!("lmod-{VERSION}-{kind}.json"))
}

fn read(kind: &str) -> BTreeMap<String, Record> {
    match fs::read(file(kind)) {
        Ok(text) => serde_json::from_slice(&text).unwrap(),
        Err(_) => BTreeMap::new(),
    }
}

impl Recordable {
    fn hide(&self, text: &str) -> String {
        text.replace(&self.top.display().to_string(), "$CASE")
    }

    /// A digest of everything that the outcome depends on.
    fn input(&self) -> String {
        let mut digest = Sha256::new();
        self.add_files(&self.top, &mut digest);
        let pairs = self.load.environment.iter().map(|(name, value)| format!("{name}={value}"));
        for text in pairs.chain(self.load.words.iter().cloned()) {
            digest.update(self.hide(&text).as_bytes());
            digest.update([0]);
        }
        let digest: Vec<u8> = digest.finalize().to_vec();
        digest.iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    fn add_files(&self, top: &Path, digest: &mut Sha256) {
        for name in module_export::base::fs::sorted_dir(top).unwrap() {
            let path = top.join(&name);
            if name == "spec" && top == self.top {
                continue;
            }
            digest.update(name.as_encoded_bytes());
            match fs::read_link(&path) {
                Ok(target) => digest.update(target.as_os_str().as_encoded_bytes()),
                Err(_) if path.is_dir() => self.add_files(&path, digest),
                Err(_) => {
                    let text = fs::read(&path).unwrap_or_default();
                    digest.update(self.hide(&String::from_utf8_lossy(&text)).as_bytes());
                }
            }
            digest.update([0]);
        }
    }

    fn record(&self, changed: Option<BTreeMap<String, Option<String>>>) -> Record {
        let hide =
            |(name, value): (String, Option<String>)| (name, value.map(|one| self.hide(&one)));
        let changed = changed.map(|changed| changed.into_iter().map(hide).collect());
        Record { input: self.input(), changed }
    }

    fn ours(&self) -> Record {
        self.record(self.load.delta(&self.load.ours(VERSION).0))
    }

    fn real(&self) -> Record {
        self.record(self.load.delta(&self.load.real().0))
    }
}

fn behaviours() -> Vec<Recordable> {
    let mut all = Vec::new();
    for top in behaviour::cases() {
        if fs::read_to_string(top.join("spec"))
            .unwrap()
            .lines()
            .any(|line| line.starts_with("live:"))
        {
            continue;
        }
        let case = top.file_name().unwrap().to_string_lossy().into_owned();
        let mut seen = BTreeMap::new();
        for load in behaviour::loads(&top) {
            let lua = load.lua.map_or_else(String::new, |lua| format!(" by Lua {lua}"));
            let name = format!("{case}: {}{lua}", load.words.join(" "));
            // The same words may be loaded twice, in other environments.
            let count = seen.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
            let name = if *count > 1 { format!("{name} ({count})") } else { name };
            all.push(Recordable { name, top: top.clone(), load });
        }
    }
    all
}

/// Compares all loads with their records; with `RECORD=1` makes those that are missing or stale.
fn check(kind: &str, all: &[Recordable]) {
    let mut known = read(kind);
    if switch("RECORD").is_some() {
        let version = lmod_version().unwrap_or_default();
        assert_eq!(version, VERSION, "LMOD_UNDER_TEST must name Lmod {VERSION}");
        let made = in_two(all, &|one: &Recordable| {
            let old = known.get(&one.name).filter(|old| old.input == one.input());
            (one.name.clone(), old.cloned().unwrap_or_else(|| one.real()))
        });
        known = made.into_iter().collect();
        fs::create_dir_all(file(kind).parent().unwrap()).unwrap();
        fs::write(file(kind), serde_json::to_string_pretty(&known).unwrap() + "\n").unwrap();
    }
    let found = in_two(all, &|one: &Recordable| {
        let ours = one.ours();
        // What is new or was changed is another test's business.
        let known = known.get(&one.name).filter(|known| known.input == ours.input)?;
        (*known != ours).then(|| difference(&one.name, known, &ours))
    });
    let found: Vec<String> = found.into_iter().flatten().collect();
    assert!(found.is_empty(), "{} of {} differ:\n{}", found.len(), all.len(), found.join("\n"));
}

fn difference(name: &str, known: &Record, ours: &Record) -> String {
    let (Some(known), Some(ours)) = (&known.changed, &ours.changed) else {
        let who = if known.changed.is_none() { "Lmod refuses" } else { "we refuse" };
        return format!("{name}: only {who}");
    };
    let mut names: Vec<&String> = known.keys().chain(ours.keys()).collect();
    names.sort();
    names.dedup();
    let lines = names.into_iter().filter(|name| known.get(*name) != ours.get(*name));
    lines.fold(format!("{name}:"), |text, name| {
        let (known, ours) = (known.get(name), ours.get(name));
        format!("{text}\n  {name}\n    Lmod {known:?}\n    ours {ours:?}")
    })
}

#[test]
fn behaviours_are_those_recorded_of_lmod_9() {
    check("mf", &behaviours());
}

#[test]
fn random_trees_load_as_recorded_of_lmod_9() {
    let (tops, loads) = random::loads(random::RECORDED);
    let all: Vec<Recordable> = tops
        .iter()
        .zip(loads)
        .map(|(top, (name, load))| Recordable { name, top: top.path().to_owned(), load })
        .collect();
    check("random", &all);
}

#[test]
fn every_case_has_a_record() {
    let known = read("mf");
    let all = behaviours();
    let fresh = |one: &&Recordable| known.get(&one.name).is_none_or(|it| it.input != one.input());
    let lacking: Vec<&String> = all.iter().filter(fresh).map(|one| &one.name).collect();
    assert!(lacking.is_empty(), "no record, or an old one: {lacking:?}");
}
