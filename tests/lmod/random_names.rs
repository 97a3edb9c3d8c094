//! Random trees of modulefiles: what names mean, by real Lmod and by us.
//!
//! Versions of equal weight are left out: Lmod throws dice for them.
//!
//! `RANDOM_LOADS` says how many loads are compared (160 if unset), `RANDOM_SEED` where to begin;
//! where `RANDOM_KEEP` is set, the trees stay if something differs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::oracle::{Load, differences, lmod_version, switch};
use super::random::Dice;

const VERSIONS: [&str; 34] = [
    "1",
    "1.1",
    "1.10",
    "1.9",
    "2.0.1",
    "2.1rc1",
    "2.1",
    "2.2dev",
    "2.2beta",
    "2.2",
    "3-p1",
    "3.1",
    "3.1-foss-2023b",
    "3.1-GCC-12.3",
    "3.1_a",
    "3.1+cuda",
    "v4",
    "V5.1",
    ".6",
    ".7.1",
    "20230101",
    "1234567890123",
    "foss-2023b",
    "a",
    "b.lua",
    "10",
    "11.2",
    "1.10.2",
    "64",
    "0.9",
    "1.1-1",
    "5=x",
    "default",
    "2024a",
];
const NAMES: [&str; 5] = ["x", "y", "X", "x-y", "lib.z"];
const CATEGORIES: [&str; 3] = ["bio", "x", "c"];
const ODD_FILES: [&str; 12] = [
    "1.0~",
    "#1.5#",
    ".#2",
    "__x",
    ".1.0.swp",
    ".version-1",
    ".modulerc_old",
    "3 ",
    " 3.lua",
    "1.9.version.x",
    "README",
    ".git",
];
const DIRECTORIES: [&str; 5] = ["64", "1", "gcc-12", ".h", "2.1"];

/// One tree, and what is loaded from it.
struct Case {
    top: PathBuf,
    dice: Dice,
    tcl: bool,
    /// Names of files, to be asked for.
    full_names: BTreeSet<String>,
    aliases: BTreeSet<String>,
}

impl Case {
    fn write(&self, path: &str, text: &str) {
        let path = self.top.join(path);
        // What is there already is of another kind, perhaps.
        if fs::create_dir_all(path.parent().unwrap()).is_ok() {
            drop(fs::write(path, text));
        }
    }

    /// A modulefile of this name, without `.lua`, in a place.
    fn modulefile(&mut self, place: &str, name: &str) {
        self.full_names.insert(name.trim_end_matches(".lua").to_owned());
        let path = format!("{place}/{name}");
        if self.tcl && self.dice.roll(3) == 0 {
            self.write(&path, "#%Module1.0\nsetenv TCL 1\n");
        } else {
            let text = "setenv(\"GOT_\" .. myModuleName():gsub(\"%W\", \"_\"), myModuleFullName() .. \
                        \" \" .. myModuleUsrName() .. \" \" .. tostring(myModuleVersion()))\n";
            self.write(&format!("{path}.lua"), text);
        }
        if self.dice.roll(12) == 0 {
            self.write(&path, "#%Module1.0\nsetenv TCL 1\n");
        }
    }

    fn versions(&mut self, place: &str, name: &str) {
        for _ in 0..=self.dice.roll(4) {
            let version = self.dice.pick(&VERSIONS);
            self.modulefile(place, &format!("{name}/{version}"));
        }
        if self.dice.roll(4) == 0 {
            let odd = self.dice.pick(&ODD_FILES);
            let text = self.dice.pick(&["", "#%Module1.0\n", "text\n"]);
            self.write(&format!("{place}/{name}/{odd}"), text);
        }
        if self.dice.roll(2) == 0 {
            self.default(place, name);
        }
    }

    fn some_version(&mut self, name: &str) -> String {
        let below: Vec<String> = self
            .full_names
            .iter()
            .filter_map(|full| full.strip_prefix(&format!("{name}/")).map(str::to_owned))
            .collect();
        match below.len() {
            0 => "1".to_owned(),
            _ if self.dice.roll(8) == 0 => self.dice.pick(&VERSIONS).to_owned(),
            count => below[self.dice.roll(count)].clone(),
        }
    }

    /// Something that names a default in a directory.
    fn default(&mut self, place: &str, name: &str) {
        let version = self.some_version(name);
        let directory = self.top.join(place).join(name);
        if fs::create_dir_all(&directory).is_err() {
            return;
        }
        match self.dice.roll(9) {
            0 | 1 => {
                let ending = self.dice.pick(&[".lua", "", "/"]);
                let before = match self.dice.roll(3) {
                    0 => format!("{}/", directory.display()),
                    1 => "./".to_owned(),
                    _ => String::new(),
                };
                drop(symlink(format!("{before}{version}{ending}"), directory.join("default")));
            }
            2 => self.write(
                &format!("{place}/{name}/.version"),
                &format!("#%Module1.0\nset ModulesVersion \"{version}\"\n"),
            ),
            3 => self.write(&format!("{place}/{name}/.version"), "#%Module1.0\n"),
            4 => self.write(&format!("{place}/{name}/.version"), "set ModulesVersion 1\n"),
            5 => {
                let module = self.relative(name, &version);
                let names = self.dice.pick(&["default", "new default", "new", "new 1.1"]);
                let text = format!("#%Module1.0\nmodule-version {module} {names}\n");
                self.write(&format!("{place}/{name}/.modulerc"), &text);
                self.aliases.insert(format!("{name}/new"));
            }
            6 | 7 => {
                let module = self.relative(name, &version);
                let names = self.dice.pick(&[
                    "\"default\"",
                    "\"new\", \"default\"",
                    "\"new\"",
                    "\"stable\", \"9\"",
                ]);
                let text = format!("module_version(\"{module}\", {names})\n");
                self.write(&format!("{place}/{name}/.modulerc.lua"), &text);
                self.aliases.extend([format!("{name}/new"), format!("{name}/9")]);
            }
            _ => self.write(&format!("{place}/{name}/.modulerc.lua"), ""),
        }
    }

    fn relative(&mut self, name: &str, version: &str) -> String {
        if self.dice.roll(2) == 0 { format!("/{version}") } else { format!("{name}/{version}") }
    }

    /// Versions in directories.
    fn nested(&mut self, place: &str, name: &str) {
        for _ in 0..=self.dice.roll(2) {
            let below = format!("{name}/{}", self.dice.pick(&DIRECTORIES));
            self.versions(place, &below);
            if self.dice.roll(6) == 0 {
                let deeper = format!("{below}/{}", self.dice.pick(&DIRECTORIES));
                self.versions(place, &deeper);
            }
        }
        if self.dice.roll(2) == 0 {
            let version = self.dice.pick(&VERSIONS);
            self.modulefile(place, &format!("{name}/{version}"));
        }
        if self.dice.roll(4) > 0 {
            self.default(place, name);
        }
    }

    fn place(&mut self, place: &str, deep: bool) {
        fs::create_dir_all(self.top.join(place)).unwrap();
        for _ in 0..=self.dice.roll(3) {
            let name = self.dice.pick(&NAMES).to_owned();
            match self.dice.roll(if deep { 8 } else { 6 }) {
                0..=3 => self.versions(place, &name),
                4 => {
                    let category = self.dice.pick(&CATEGORIES);
                    self.versions(place, &format!("{category}/{name}"));
                }
                5 => self.modulefile(place, &name),
                _ => self.nested(place, &name),
            }
        }
        if self.dice.roll(5) == 0 {
            let text = self.rc(true);
            self.write(&format!("{place}/.modulerc.lua"), &text);
        }
    }

    fn some_name(&mut self) -> String {
        let names: Vec<String> = self.full_names.iter().chain(&self.aliases).cloned().collect();
        if names.is_empty() { "x/1".to_owned() } else { names[self.dice.roll(names.len())].clone() }
    }

    /// An rc file in Lua.
    fn rc(&mut self, tree: bool) -> String {
        let mut text = String::new();
        for _ in 0..=self.dice.roll(3) {
            let (name, other) = (self.some_name(), self.some_name());
            let alias = format!("al{}", self.dice.roll(3));
            let short = name.split('/').next().unwrap().to_owned();
            let line = match self.dice.roll(8) {
                0 => format!("module_alias(\"{alias}\", \"{name}\")"),
                // Only ahead: circles have a case of their own.
                1 => format!("module_alias(\"al0\", \"al{}\")", 1 + self.dice.roll(2)),
                2 | 3 => format!("module_version(\"{name}\", \"default\")"),
                4 => format!("module_version(\"{name}\", \"nick\")"),
                5 => format!("hide_version(\"{name}\")"),
                6 if tree => format!("module_alias(\"{alias}\", \"{short}\")"),
                6 => format!("module_version(\"{alias}\", \"default\")"),
                _ => format!("hide_version(\"{other}\")"),
            };
            if name.contains('/') || !line.starts_with("module_version(\"x") {
                text.push_str(&line);
                text.push('\n');
            }
            self.aliases.extend([alias, format!("{short}/nick")]);
        }
        text
    }

    /// A name as somebody may type it.
    fn typed(&mut self) -> String {
        let name = self.some_name();
        let parts: Vec<&str> = name.split('/').collect();
        let short = parts[..parts.len().saturating_sub(1).max(1)].join("/");
        match self.dice.roll(16) {
            0..=2 => name,
            3..=5 => short,
            6 => format!("{short}/default"),
            7 => format!("{name}/"),
            8 => format!("{name}.lua"),
            9 => name.replacen('/', "//", 1),
            10 => name.to_uppercase(),
            11 => parts[0].to_owned(),
            12 => format!("./{name}"),
            _ => {
                let cut = name.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
                let cut: Vec<usize> = cut.collect();
                if cut.is_empty() {
                    name
                } else {
                    name[..cut[self.dice.roll(cut.len())]].to_owned()
                }
            }
        }
    }

    /// A call's argument: a name or a choice among versions.
    fn argument(&mut self) -> String {
        let name = self.some_name();
        let short = name.rsplit_once('/').map_or(name.as_str(), |(short, _)| short).to_owned();
        let low = self.dice.pick(&["1", "<1.1", "1.9", "2.1rc1", "0", "<2.1"]);
        let high = self.dice.pick(&["3.1", "<3.1", "2.2", "1.10", "9", "20230101"]);
        match self.dice.roll(6) {
            0 => format!("between(\"{short}\", \"{low}\", \"{high}\")"),
            1 => format!("atleast(\"{short}\", \"{low}\")"),
            2 => format!("latest(\"{short}\")"),
            _ => format!("\"{}\"", self.typed()),
        }
    }

    /// Modules that ask: what each name is, and what calls of the load family do.
    fn askers(&mut self) {
        let mut text = String::new();
        for at in 0..25 {
            let name = self.typed();
            writeln!(text, "setenv(\"R{at}\", (isAvail(\"{name}\") or \"none\") .. \" {name}\")")
                .unwrap();
        }
        self.write("ask/ask_what.lua", &text);
        let mut text = String::new();
        for at in 0..3 {
            let (argument, other) = (self.argument(), self.typed());
            let call = self.dice.pick(&["load", "try_load", "try_load", "depends_on", "try_load"]);
            writeln!(text, "{call}({argument})").unwrap();
            writeln!(text, "setenv(\"L{at}\", tostring(isloaded(\"{other}\")))").unwrap();
        }
        self.write("ask/ask_load.lua", &text);
    }

    fn environment(&mut self, mut load: Load) -> Load {
        for (name, value) in [
            ("LMOD_EXACT_MATCH", "yes"),
            ("LMOD_EXTENDED_DEFAULT", "no"),
            ("LMOD_TMOD_FIND_FIRST", "yes"),
            ("LMOD_ALLOW_TCL_MFILES", "no"),
            ("LMOD_FILE_IGNORE_PATTERNS", "{\"^1\", \"%.9$\"}"),
        ] {
            if self.dice.roll(14) == 0 {
                load = load.with(name, value);
            }
        }
        let top = self.top.display().to_string();
        if self.dice.roll(14) == 0 {
            load = load.with("LMOD_MAXDEPTH", &format!("{top}/m0:1;{top}/m1:2"));
        }
        if self.dice.roll(4) == 0 {
            let (one, two) = (self.rc(false), self.rc(false));
            self.write("etc/one.lua", &one);
            self.write("etc/two.lua", &two);
            let variable = self.dice.pick(&["LMOD_MODULERC", "LMOD_MODULERCFILE"]);
            load = load.with(variable, &format!("{top}/etc/one.lua:{top}/none:{top}/etc/two.lua"));
        }
        if self.dice.roll(8) == 0 {
            let text = self.rc(false);
            self.write("home/.modulerc.lua", &text);
            load = load.with("HOME", &format!("{top}/home"));
        }
        load
    }
}

fn make(top: &Path, seed: u64) -> Vec<Load> {
    let mut case = Case {
        top: top.to_owned(),
        dice: Dice::new(seed),
        tcl: false,
        full_names: BTreeSet::new(),
        aliases: BTreeSet::new(),
    };
    case.tcl = case.dice.roll(4) == 0;
    let deep = case.dice.roll(2) == 0;
    let count = 1 + case.dice.roll(3);
    for at in 0..count {
        case.place(&format!("m{at}"), deep);
    }
    case.askers();
    let places: Vec<String> =
        (0..count).map(|at| format!("m{at}")).chain(["ask".to_owned()]).collect();
    let places: Vec<String> =
        places.iter().map(|place| top.join(place).display().to_string()).collect();
    let (one, two) = (case.typed(), case.typed());
    let load = case.environment(Load::new(&places.join(":"), &[]));
    let mut words = vec![vec!["ask_what".to_owned()]];
    if !case.tcl {
        words.extend([vec![one], vec![two.clone()], vec!["ask_load".to_owned(), two]]);
    }
    words.into_iter().map(|words| Load { words, ..load.clone() }).collect()
}

#[test]
fn random_names_mean_the_same() {
    let Some(version) = lmod_version() else { return };
    let number = |name: &str| switch(name).and_then(|text| text.parse::<u64>().ok());
    let first = number("RANDOM_SEED").unwrap_or(1);
    let count = number("RANDOM_LOADS").unwrap_or(160);
    let seeds = first..first + count.div_ceil(4);
    let tops: Vec<_> = seeds.clone().map(|_| tempfile::tempdir().unwrap()).collect();
    let loads: Vec<_> = seeds
        .zip(&tops)
        .flat_map(|(seed, top)| {
            make(top.path(), seed).into_iter().map(move |load| (format!("seed {seed}"), load))
        })
        .collect();
    let found = differences(&loads, &version);
    let shown = found.iter().take(12).cloned().collect::<Vec<_>>().join("\n");
    keep(tops, !found.is_empty());
    assert!(found.is_empty(), "{} of {} differ:\n{shown}", found.len(), loads.len());
}

/// Leaves the trees for whoever wants to look.
fn keep(tops: Vec<tempfile::TempDir>, differ: bool) {
    if differ && switch("RANDOM_KEEP").is_some() {
        for top in tops {
            drop(top.keep());
        }
    }
}
