//! Random trees of modulefiles, each made from a number; the same number gives the same tree.
//!
//! Which file a name means is not what is tried here: names are few and plain.

use std::fmt::Write as _;

/// Small numbers without end, the same for the same seed.
#[derive(Debug)]
pub(in super::super) struct Dice(u64);

impl Dice {
    pub(in super::super) fn new(seed: u64) -> Self {
        // Neighbouring seeds shall have nothing in common.
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def0);
        dice.roll(2);
        dice.roll(2);
        dice
    }

    pub(in super::super) fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    /// True once in `times`.
    pub(in super::super) fn one_in(&mut self, times: usize) -> bool {
        self.roll(times) == 0
    }

    pub(in super::super) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

/// Modulefiles and the load to try on them. `$TOP` stands for the directory that holds them.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Path below `$TOP` and text.
    pub(super) files: Vec<(String, String)>,
    /// Variables to start with, `MODULEPATH` among them.
    pub(super) environment: Vec<(String, String)>,
    /// Words after `module load`.
    pub(super) words: Vec<String>,
}

const LISTS: [&str; 8] = ["PATH", "LD_LIBRARY_PATH", "P", "Q", "R", "P", "Q", "MANPATH"];
const ELEMENTS: [&str; 20] = [
    "/a", "/b", "/c", "/a/", "/a:/b", "/c:/a:/d", "//b", "/x/./y", "~/bin", "/e:", "/f::/g", "/h",
    "/a:/a", "", ":", "/b/../c", ".", ":/i", " /a", "/j//",
];
const VALUES: [&str; 8] = ["one", "two words", "", "/a:/b", "x=y", "it's", " blank ", "/c"];
const SCALARS: [&str; 4] = ["S", "T", "P", "U"];
/// Modules that are there from the beginning.
const MODULES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Modules of directories that others add to `MODULEPATH`.
const REVEALED: [&str; 3] = ["g", "h", "f"];
/// The first module, `f`, that other directories have as well.
const REVEALED_FROM: usize = 5;
const PRIORITIES: [&str; 6] = ["10", "20", "100", "0", "-10", "5"];

/// Makes trees: what it may use depends on the tree.
struct Maker {
    dice: Dice,
    /// Calls that only newer versions of Lmod have.
    modern: bool,
    /// Calls that come to an error now and then.
    rough: bool,
}

/// The tree of a seed.
pub(super) fn tree(seed: u64) -> Tree {
    let mut dice = Dice::new(seed);
    let (modern, rough) = (dice.one_in(2), dice.one_in(4));
    Maker { dice, modern, rough }.tree()
}

impl Maker {
    fn tree(mut self) -> Tree {
        let mut tree = Tree::default();
        for (own, name) in MODULES.iter().enumerate() {
            for version in 1..=2 {
                let text = self.modulefile(own);
                tree.files.push((format!("mf/{name}/{version}.lua"), text));
            }
        }
        for place in ["more1", "more2"] {
            for (at, name) in REVEALED.iter().enumerate() {
                for version in 1..=2 {
                    if self.dice.one_in(3) {
                        continue;
                    }
                    let text = self.modulefile(MODULES.len() + at);
                    tree.files.push((format!("{place}/{name}/{version}.lua"), text));
                }
            }
        }
        tree.environment = self.environment();
        tree.words = self.words();
        tree
    }

    fn words(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        for _ in 0..=self.dice.roll(5) {
            let name = if self.dice.one_in(16) {
                self.dice.pick(&REVEALED)
            } else {
                self.dice.pick(&MODULES)
            };
            words.push(match self.dice.roll(8) {
                0 if !words.is_empty() => format!("-{name}"),
                1..=4 => name.to_owned(),
                _ => format!("{name}/{}", 1 + self.dice.roll(2)),
            });
        }
        words
    }

    fn environment(&mut self) -> Vec<(String, String)> {
        let paths = ["$TOP/mf", "$TOP/mf", "$TOP/mf", "$TOP/mf:$TOP/more1", "$TOP/more2:$TOP/mf"];
        let mut pairs = vec![("MODULEPATH".to_owned(), self.dice.pick(&paths).to_owned())];
        let mut add = |name: &str, value: &str| pairs.push((name.to_owned(), value.to_owned()));
        for name in ["P", "Q", "S", "T", "LD_LIBRARY_PATH", "MANPATH"] {
            if !self.dice.one_in(2) {
                continue;
            }
            let values =
                ["/a:/b:/a", "/z", "", "/c::/d", "/u:/c:", ":/a", "/b:/c:/a:/d", "/a/:/b//", "::"];
            add(name, self.dice.pick(&values));
            if self.dice.one_in(4) {
                let counts = ["/a:2;/b:1", "/a:3;/c:1;/d:1", "/z:2", "/u:1", "/a:0", "", "/a:x;/b"];
                add(&format!("__LMOD_REF_COUNT_{name}"), self.dice.pick(&counts));
            }
            if self.dice.one_in(8) {
                let priorities = ["/a:10", "/b:-10;/a:10", "/c:20", "/z:-100", "/a:10;/b:10"];
                add(&format!("__LMOD_Priority_{name}"), self.dice.pick(&priorities));
            }
        }
        if self.dice.one_in(10) {
            // "one" and "false", as `pushenv` writes them
            add("__LMOD_STACK_S", self.dice.pick(&["b25l", "b25l:ZmFsc2U=", "ZmFsc2U=:b25l:b25l"]));
        }
        let settings = [
            ("LMOD_DUPLICATE_PATHS", "yes", 6),
            ("LMOD_TMOD_PATH_RULE", "yes", 8),
            ("LMOD_PREPEND_BLOCK", "no", 10),
            ("LMOD_PREPEND_BLOCK", "reverse", 20),
            ("LMOD_AUTO_SWAP", "no", 25),
            ("LMOD_DISABLE_SAME_NAME_AUTOSWAP", "yes", 25),
            ("MODULES_AUTO_HANDLING", "yes", 15),
            ("LMOD_DOWNSTREAM_CONFLICTS", "yes", 20),
            ("LMOD_EXPERT", "yes", 30),
        ];
        for (name, value, times) in settings {
            if self.dice.one_in(times) {
                add(name, value);
            }
        }
        pairs
    }

    fn modulefile(&mut self, own: usize) -> String {
        let mut text = String::new();
        for _ in 0..self.dice.roll(9) {
            let call = self.call(own);
            writeln!(text, "{call}").unwrap();
        }
        text
    }

    fn call(&mut self, own: usize) -> String {
        match self.dice.roll(24) {
            0..=9 => self.path_call(),
            10..=14 => self.scalar_call(own),
            15..=20 => self.load_call(own),
            21 => self.relation(own),
            // Whoever is in several directories would hide itself for ever.
            22 if own < REVEALED_FROM => self.modulepath_call(),
            _ => self.other_call(own),
        }
    }

    fn path_call(&mut self) -> String {
        let function = self.dice.pick(&[
            "prepend_path",
            "prepend_path",
            "append_path",
            "append_path",
            "remove_path",
        ]);
        let (variable, element) = (self.dice.pick(&LISTS), self.dice.pick(&ELEMENTS));
        match self.dice.roll(10) {
            0..=4 => format!("{function}(\"{variable}\", \"{element}\")"),
            5 => {
                let element = element.replace(':', ";");
                format!("{function}(\"W\", \"{element}\", \";\")")
            }
            6 => format!("{function}(\"{variable}\", \"{element}\", \";\")"),
            _ => {
                let mut keys = String::new();
                if self.dice.one_in(2) {
                    write!(keys, ", priority={}", self.dice.pick(&PRIORITIES)).unwrap();
                }
                if self.dice.one_in(4) {
                    let delimiter = self.dice.pick(&[":", ";", " "]);
                    write!(keys, ", delim=\"{delimiter}\"").unwrap();
                }
                if self.rough && self.dice.one_in(6) {
                    keys.push_str(self.dice.pick(&[", nodups=true", ", force=true"]));
                }
                keys.push_str(&self.mode());
                format!("{function}{{\"{variable}\", \"{element}\"{keys}}}")
            }
        }
    }

    /// A `modeA` key, or nothing.
    fn mode(&mut self) -> String {
        if !self.modern || !self.dice.one_in(3) {
            return String::new();
        }
        let modes = ["\"load\"", "\"unload\"", "\"normal\"", "\"load\", \"unload\""];
        format!(", modeA={{{}}}", self.dice.pick(&modes))
    }

    fn scalar_call(&mut self, own: usize) -> String {
        let (name, value) = (self.dice.pick(&SCALARS), self.dice.pick(&VALUES));
        let table = self.modern && self.dice.one_in(3);
        let value = match self.dice.roll(12) {
            0 => "10/4".to_owned(),
            1 => "7".to_owned(),
            2 => "true".to_owned(),
            _ => format!("\"{value}\""),
        };
        let arguments = match self.dice.roll(8) {
            0 | 1 => return format!("unsetenv(\"{name}\")"),
            2 => {
                let variable = self.dice.pick(&["P", "Q", "S", "T", "PATH", "W", "MANPATH"]);
                return format!("setenv(\"SEEN{own}\", tostring(os.getenv(\"{variable}\")))");
            }
            3 | 4 if self.dice.one_in(5) => format!("pushenv(\"{name}\", false)"),
            3 | 4 => format!("pushenv(\"{name}\", {value})"),
            5 => format!("setenv(\"{name}\", {value}, true)"),
            _ => format!("setenv(\"{name}\", {value})"),
        };
        if table {
            let mode = self.mode();
            return arguments.replace('(', "{").replace(')', &format!("{mode}}}"));
        }
        arguments
    }

    /// A module further on in the list: there is no circle.
    fn later(&mut self, own: usize) -> Option<String> {
        if self.dice.one_in(20) && own < MODULES.len() {
            return Some(self.dice.pick(&REVEALED[..2]).to_owned());
        }
        let name = MODULES.get(own + 1 + self.dice.roll(3))?;
        Some(match self.dice.roll(4) {
            0 => format!("{name}/1"),
            1 => format!("{name}/2"),
            _ => (*name).to_owned(),
        })
    }

    fn any(&mut self) -> String {
        let name = self.dice.pick(&["a", "b", "c", "d", "e", "f", "a", "b", "c", "d", "e", "g"]);
        if self.dice.one_in(3) {
            format!("{name}/{}", 1 + self.dice.roll(2))
        } else {
            name.to_owned()
        }
    }

    fn load_call(&mut self, own: usize) -> String {
        let Some(name) = self.later(own) else { return "setenv(\"LAST\", \"1\")".to_owned() };
        let other = self.later(own).unwrap_or_else(|| name.clone());
        let plain = name.split('/').next().unwrap_or_default().to_owned();
        match self.dice.roll(24) {
            0..=3 => format!("load(\"{name}\")"),
            4..=7 => format!("depends_on(\"{name}\")"),
            8 | 9 => format!("if not isloaded(\"{name}\") then load(\"{name}\") end"),
            10 => format!("depends_on(\"{name}\", \"{other}\")"),
            11 => format!("load(\"{name}\", \"{other}\")"),
            12 => format!("try_load(\"{name}\")"),
            13 => format!("try_load(\"{name}\", \"nothing\")"),
            14 => format!("load_any(\"{name}\", \"{other}\")"),
            15 => format!("always_load(\"{name}\")"),
            16 => format!("unload(\"{}\")", self.any()),
            17 => format!("if mode() == \"load\" then depends_on(\"{name}\") end"),
            18 if self.modern => format!("depends_on_any(\"{name}\", \"{other}\")"),
            18 => format!("if isloaded(\"{}\") then depends_on(\"{name}\") end", self.any()),
            19 => format!("load(atleast(\"{plain}\", \"2\"))"),
            20 => format!("depends_on(between(\"{plain}\", \"1\", \"<2\"))"),
            21 => format!("load(latest(\"{plain}\"))"),
            22 if self.modern => {
                let mode = self.mode();
                format!("load{{\"{name}\"{mode}}}")
            }
            22 => format!("if isAvail(\"{name}\") then load(\"{name}\") end"),
            _ => format!("depends_on(\"{}\")", self.any()),
        }
    }

    fn relation(&mut self, own: usize) -> String {
        match self.dice.roll(6) {
            0..=2 => format!("family(\"{}\")", self.dice.pick(&["one", "two"])),
            3 => format!("conflict(\"{}\")", self.any()),
            4 if self.rough => format!("prereq(\"{}\")", self.any()),
            4 => format!("prereq_any(\"{}\", \"{}\", \"{}\")", self.any(), self.any(), self.any()),
            _ => {
                let own = MODULES.get(own).copied().unwrap_or("g");
                format!("conflict(\"{own}\")")
            }
        }
    }

    fn modulepath_call(&mut self) -> String {
        let function = self.dice.pick(&[
            "prepend_path",
            "append_path",
            "prepend_path",
            "append_path",
            "remove_path",
        ]);
        let place =
            self.dice.pick(&["$TOP/more1", "$TOP/more2", "$TOP/more1:$TOP/more2", "$TOP/none"]);
        if self.dice.one_in(8) {
            return format!("{function}{{\"MODULEPATH\", \"{place}\", priority=10}}");
        }
        format!("{function}(\"MODULEPATH\", \"{place}\")")
    }

    fn other_call(&mut self, own: usize) -> String {
        match self.dice.roll(8) {
            0 => format!("setenv(\"MODE{own}\", mode())"),
            1 => format!("setenv(\"IS{own}\", tostring(isloaded(\"{}\")))", self.any()),
            2 => "setenv(\"ME_\" .. myModuleName(), myModuleFullName() .. \" \" .. myModuleUsrName())".to_owned(),
            3 if self.rough => "LmodBreak(\"enough\")".to_owned(),
            4 if self.rough && self.dice.one_in(4) => "LmodError(\"no\")".to_owned(),
            5 if self.rough && self.dice.one_in(3) => "purge()".to_owned(),
            6 => "count = (count or 0) + 1 setenv(\"COUNT\", count)".to_owned(),
            _ => format!("if mode() == \"unload\" then setenv(\"LEFT{own}\", \"1\") end"),
        }
    }
}
