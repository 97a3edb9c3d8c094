//! Random modulefiles in random environments through real Lmod and ours.
//!
//! `RANDOM_LOADS` says how many loads are compared (24 if unset), `RANDOM_SEED` where to begin.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::oracle::{Load, differences, lmod_version};

/// Small numbers without end, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

const VARIABLES: [&str; 5] = ["PATH", "LD_LIBRARY_PATH", "P", "Q", "R"];
const ELEMENTS: [&str; 12] =
    ["/a", "/b", "/c", "/a/", "/a:/b", "/c:/a:/d", "//b", "/x/./y", "~/bin", "/e:", "/f::/g", "/h"];
const VALUES: [&str; 6] = ["one", "two words", "", "/a:/b", "x=y", "it's"];
const MODULES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// One call of a modulefile.
fn call(dice: &mut Dice, own: usize) -> String {
    let (variable, element, value) =
        (dice.pick(&VARIABLES), dice.pick(&ELEMENTS), dice.pick(&VALUES));
    let scalar = dice.pick(&["S", "T", "P"]);
    // Only modules further on in the list are asked for: there is no circle.
    let other = MODULES.get(own + 1 + dice.roll(MODULES.len())).copied();
    match dice.roll(16) {
        0..=3 => format!("prepend_path(\"{variable}\", \"{element}\")"),
        4..=6 => format!("append_path(\"{variable}\", \"{element}\")"),
        7 => format!("remove_path(\"{variable}\", \"{element}\")"),
        8 => {
            format!("prepend_path{{\"{variable}\", \"{element}\", priority={}}}", 10 + dice.roll(3))
        }
        9 => format!("setenv(\"{scalar}\", \"{value}\")"),
        // Lmod loses count of empty values put aside.
        10 => format!("pushenv(\"{scalar}\", \"{value}.\")"),
        11 => format!("unsetenv(\"{scalar}\")"),
        12 => format!("setenv(\"SEEN{own}\", tostring(os.getenv(\"{variable}\")))"),
        _ => match (other, dice.roll(4)) {
            (None, _) => "setenv(\"LAST\", \"1\")".to_owned(),
            (Some(name), 0) => format!("load(\"{name}\")"),
            (Some(name), 1) => format!("depends_on(\"{name}/{}\")", 1 + dice.roll(2)),
            (Some(name), 2) => format!("if not isloaded(\"{name}\") then load(\"{name}\") end"),
            (Some(name), _) => format!("depends_on(\"{name}\")"),
        },
    }
}

fn make(top: &Path, seed: u64) -> Load {
    let mut dice = Dice(seed);
    for (own, name) in MODULES.iter().enumerate() {
        for version in 1..=2 {
            let mut text = String::new();
            for _ in 0..dice.roll(7) {
                writeln!(text, "{}", call(&mut dice, own)).unwrap();
            }
            fs::create_dir_all(top.join(name)).unwrap();
            fs::write(top.join(name).join(format!("{version}.lua")), text).unwrap();
        }
    }
    let mut words = Vec::new();
    for _ in 0..=dice.roll(4) {
        let name = dice.pick(&MODULES);
        words.push(match dice.roll(4) {
            0 if !words.is_empty() => format!("-{name}"),
            1 => name.to_owned(),
            _ => format!("{name}/{}", 1 + dice.roll(2)),
        });
    }
    words.sort_by_key(|word| word.starts_with('-'));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut load = Load::new(&top.display().to_string(), &words);
    for name in ["P", "Q", "S", "LD_LIBRARY_PATH"] {
        if dice.roll(2) == 0 {
            load = load.with(name, dice.pick(&["/a:/b:/a", "/z", "", "/c::/d", "/u:/c:"]));
        }
    }
    load
}

#[allow(clippy::disallowed_methods, reason = "switches of the test run")]
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn random_modulefiles_do_the_same() {
    let Some(version) = lmod_version() else { return };
    let seeds = number("RANDOM_SEED", 1)..number("RANDOM_SEED", 1) + number("RANDOM_LOADS", 24);
    let tops: Vec<_> = seeds.clone().map(|_| tempfile::tempdir().unwrap()).collect();
    let loads: Vec<_> = seeds
        .zip(&tops)
        .map(|(seed, top)| (format!("seed {seed}"), make(top.path(), seed)))
        .collect();
    let found = differences(&loads, &version);
    let shown = found.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(found.is_empty(), "{} of {} differ:\n{shown}", found.len(), loads.len());
}
