//! Trees that real EasyBuild wrote, and what Lmod does with every module of them.
//!
//! `tests/data/easybuild/` holds, compressed by zstd (`zstd -dc … | jq`):
//!
//! | file | what |
//! |---|---|
//! | `trees.json.zst` | flavour → path below `modules/all` → text |
//! | `lmod-V.json.zst` | flavour → words of one `module load` → what changed (null: refused) |
//!
//! with `@EB@` for the directory of the flavour. To make them again:
//!
//! ```text
//! tests/lmod/easybuild/generate DIRECTORY
//! EASYBUILD_TREES=DIRECTORY RECORD=1 cargo nextest run lmod::easybuild::recorded::record
//! RECORD=1 cargo nextest run lmod::easybuild::recorded::record                      # answers of Lmod 8
//! RECORD=1 LMOD_UNDER_TEST=/…/9.2.9/libexec/lmod cargo nextest run lmod::easybuild::recorded::record
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::oracle::{Load, differences, in_two, lmod_version, switch};

/// Flavour → path → text.
type Trees = BTreeMap<String, BTreeMap<String, String>>;

/// What one load changed; `None` if it was refused.
type Delta = Option<BTreeMap<String, Option<String>>>;

/// Flavour → words → what changed.
type Answers = BTreeMap<String, BTreeMap<String, Delta>>;

/// The directory of a flavour.
const PREFIX: &str = "@EB@";

const VERSIONS: [&str; 2] = ["8.6.19", "9.2.9"];

/// Flavours whose modulefiles we evaluate.
const EVALUATED: [&str; 4] = ["flat-lua", "flat-tcl", "hmns-lua", "hmns-tcl"];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/easybuild/{name}.json.zst"))
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let packed = fs::read(file(name)).unwrap();
    let size = zstd_safe::get_frame_content_size(&packed).unwrap().unwrap();
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap());
    zstd_safe::decompress(&mut text, &packed).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn write<T: serde::Serialize>(name: &str, value: &T) {
    let text = serde_json::to_vec_pretty(value).unwrap();
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(text.len()));
    zstd_safe::compress(&mut packed, &text, 22).unwrap();
    fs::create_dir_all(file(name).parent().unwrap()).unwrap();
    fs::write(file(name), packed).unwrap();
}

/// The trees as files, each flavour in a directory of its name.
struct Laid {
    top: TempDir,
    trees: Trees,
}

impl Laid {
    fn new() -> Self {
        let laid = Self { top: tempfile::tempdir().unwrap(), trees: read("trees") };
        for (flavour, tree) in &laid.trees {
            let prefix = laid.prefix(flavour);
            for (path, text) in tree {
                let path = Path::new(&prefix).join("modules/all").join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text.replace(PREFIX, &prefix)).unwrap();
            }
        }
        laid
    }

    fn prefix(&self, flavour: &str) -> String {
        self.top.path().join(flavour).display().to_string()
    }

    /// One load for each module, with what it takes to see it, and some swaps.
    fn loads(&self, flavour: &str) -> Vec<(String, Load)> {
        let hierarchical = flavour.starts_with("hmns");
        let start = if hierarchical { "modules/all/Core" } else { "modules/all" };
        let modulepath = format!("{}/{start}", self.prefix(flavour));
        let swaps = if hierarchical { HIERARCHICAL_SWAPS } else { FLAT_SWAPS };
        let paths = self.trees[flavour].keys().filter(|path| !path.contains("/.modulerc"));
        let paths = paths.map(|path| path.trim_end_matches(".lua"));
        let words = paths.map(|path| if hierarchical { words(path) } else { path.to_owned() });
        words
            .chain(swaps.map(str::to_owned))
            .map(|words| {
                let list: Vec<&str> = words.split(' ').collect();
                let load = Load::new(&modulepath, &list).with("LD_LIBRARY_PATH", "/opt/lib");
                (words, load)
            })
            .collect()
    }

    fn hide(&self, flavour: &str, delta: Delta) -> Delta {
        let prefix = self.prefix(flavour);
        let hide = |(name, value): (String, Option<String>)| {
            (name, value.map(|value| value.replace(&prefix, PREFIX)))
        };
        delta.map(|delta| delta.into_iter().map(hide).collect())
    }
}

const FLAT_SWAPS: [&str; 7] = [
    "Java/11",
    "foss/2023b foss/2023a",
    "GROMACS foss/2023a",
    "HDF5 GROMACS",
    "R -R GROMACS",
    "GCC/13.2.0 GCC/12.3.0 GCC/13.2.0",
    "GROMACS R GROMACS",
];

const HIERARCHICAL_SWAPS: [&str; 7] = [
    "Java/11",
    "foss/2023b GROMACS foss/2023a",
    "GCC/12.3.0 OpenMPI HDF5 GCC/13.2.0",
    "GCC/13.2.0 OpenMPI GCC/12.3.0 HDF5",
    "GCC/13.2.0 zlib Python GCC/12.3.0",
    "GCC/12.3.0 zlib GCC/13.2.0 GCC/12.3.0",
    "foss/2023a HDF5 foss/2023b -foss",
];

/// `MPI/GCC/13.2.0/OpenMPI/4.1.6/X/1` → `GCC/13.2.0 OpenMPI/4.1.6 X/1`.
fn words(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    parts.chunks(2).map(|pair| pair.join("/")).collect::<Vec<_>>().join(" ")
}

/// Packs what `generate` made.
fn pack(top: &Path) -> Trees {
    let mut trees = Trees::new();
    for flavour in ["flat-lua", "flat-tcl", "hmns-lua", "hmns-tcl"] {
        let prefix = top.join(flavour).canonicalize().unwrap_or_default();
        let all = prefix.join("modules/all");
        if !all.is_dir() {
            continue;
        }
        let mut tree = BTreeMap::new();
        let mut rest = vec![all.clone()];
        while let Some(directory) = rest.pop() {
            for name in module_export::base::fs::sorted_dir(&directory).unwrap() {
                let path = directory.join(name);
                if path.is_dir() {
                    rest.push(path);
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                let text = text.replace(&prefix.display().to_string(), PREFIX);
                let below = path.strip_prefix(&all).unwrap().display().to_string();
                tree.insert(below, text);
            }
        }
        trees.insert(flavour.to_owned(), tree);
    }
    trees
}

#[test]
fn record() {
    if switch("RECORD").is_none() {
        return;
    }
    if let Some(top) = switch("EASYBUILD_TREES") {
        write("trees", &pack(Path::new(&top)));
    }
    let version = lmod_version().unwrap();
    let laid = Laid::new();
    // What is recorded and still fits stays: `RECORD=all` asks for everything anew.
    let known =
        file(&format!("lmod-{version}")).exists() && switch("RECORD").as_deref() != Some("all");
    let mut answers: Answers =
        if known { read(&format!("lmod-{version}")) } else { Answers::new() };
    for flavour in laid.trees.keys() {
        if answers.contains_key(flavour) {
            continue;
        }
        let loads = laid.loads(flavour);
        let answered = in_two(&loads, &|(words, load): &(String, Load)| {
            (words.clone(), laid.hide(flavour, load.delta(&load.real().0)))
        });
        answers.insert(flavour.clone(), answered.into_iter().collect());
    }
    write(&format!("lmod-{version}"), &answers);
}

/// Compares every load of the flavours that begin like this.
fn check(version: &str, scheme: &str) {
    let laid = Laid::new();
    let answers: Answers = read(&format!("lmod-{version}"));
    for flavour in EVALUATED.into_iter().filter(|flavour| flavour.starts_with(scheme)) {
        let loads = laid.loads(flavour);
        assert!(loads.len() >= 150, "{flavour}: only {}", loads.len());
        let found = in_two(&loads, &|(words, load): &(String, Load)| {
            let ours = laid.hide(flavour, load.delta(&load.ours(version).0));
            let known = &answers[flavour][words];
            (ours != *known).then(|| format!("{flavour}: {words}: {}", first(known, &ours)))
        });
        let found: Vec<String> = found.into_iter().flatten().collect();
        assert!(
            found.is_empty(),
            "{} of {} differ:\n{}",
            found.len(),
            loads.len(),
            found.join("\n")
        );
    }
}

/// The first difference.
fn first(known: &Delta, ours: &Delta) -> String {
    let (Some(known), Some(ours)) = (known, ours) else {
        return (if known.is_none() { "only Lmod refuses" } else { "only we refuse" }).to_owned();
    };
    let mut names = known.keys().chain(ours.keys());
    let name = names.find(|name| known.get(*name) != ours.get(*name));
    name.map_or_else(String::new, |name| {
        format!("{name}\n    Lmod {:?}\n    ours {:?}", known.get(name), ours.get(name))
    })
}

#[test]
fn every_module_of_the_flat_trees_is_as_recorded_of_lmod_8() {
    check(VERSIONS[0], "flat");
}

#[test]
fn every_module_of_the_flat_trees_is_as_recorded_of_lmod_9() {
    check(VERSIONS[1], "flat");
}

#[test]
fn every_module_of_the_hierarchies_is_as_recorded_of_lmod_8() {
    check(VERSIONS[0], "hmns");
}

#[test]
fn every_module_of_the_hierarchies_is_as_recorded_of_lmod_9() {
    check(VERSIONS[1], "hmns");
}

#[test]
fn a_sample_of_the_trees_loads_as_in_the_lmod_that_is_there() {
    let Some(version) = lmod_version() else { return };
    let laid = Laid::new();
    for flavour in EVALUATED {
        let loads = laid.loads(flavour);
        let sample: Vec<_> = loads.iter().rev().step_by(loads.len() / 10).cloned().collect();
        let found = differences(&sample, &version);
        assert!(found.is_empty(), "{flavour}: {} differ:\n{}", found.len(), found.join("\n"));
    }
}
