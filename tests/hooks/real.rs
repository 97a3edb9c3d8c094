//! The real program behind `module`: the hook as it prints it, and the extension.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::shells::{BASH, Shell};
use super::{Site, Way, everywhere, lmod};
use crate::common::Ran;

const PROGRAM: &str = env!("CARGO_BIN_EXE_module-export");
/// The codec and the host's libraries are not what these tests are about.
const FAST: &str = "--compression none";

impl Site {
    /// The same site with the real program in place of the stand-in.
    fn with_the_program(&self) -> &Self {
        if !self.program.is_symlink() {
            std::fs::remove_file(&self.program).unwrap();
            symlink(PROGRAM, &self.program).unwrap();
        }
        self
    }

    /// Runs `text` in a session with `toy` loaded, our words known as the manual says.
    fn real(&self, shell: &Shell, way: Way, text: &str) -> Ran {
        self.with_the_program();
        let mut script = shell.source(&format!("{}/init/{}", lmod(), shell.name));
        if way == Way::Hook {
            script += manual(shell);
        }
        let root = self.env.root().display();
        let script = script + &format!("module use {root}/modulefiles\nmodule load toy\n") + text;
        let script = script.replace("$PROGRAM", self.program.to_str().unwrap());
        self.run(shell, way, &script)
    }

    fn images(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.env.work()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The line that the manual tells a user to type.
fn manual(shell: &Shell) -> &'static str {
    match shell.name {
        "ksh" => "eval \"$($PROGRAM hook ksh)\"\n",
        "fish" => "$PROGRAM hook fish | source\n",
        "tcsh" => "eval `$PROGRAM hook tcsh`\n",
        "zsh" => "source <($PROGRAM hook zsh)\n",
        _ => "source <($PROGRAM hook bash)\n",
    }
}

#[test]
fn an_image_is_written_and_its_path_alone_is_on_stdout() {
    everywhere("opt", |site, shell, way| {
        // Lmod's own function for fish splits words at blanks
        let author = if shell.name == "fish" && way != Way::Hook { "me" } else { "'A. Author'" };
        let text = format!(
            "module export-container -a {author} {FAST}\necho {}\n{}echo \"x is $x\"\n",
            shell.status,
            shell.capture(&format!("module export container -a me -n two {FAST}")),
        );
        let ran = site.real(shell, way, &text);
        let work = "$ROOT/work";
        let want = format!("{work}/toy_1.0.sif\n0\nx is {work}/two.sif\n");
        assert_eq!(ran.stdout, want, "{} {way:?}\n{}", shell.name, ran.stderr);
        assert_eq!(site.images(), ["toy_1.0.sif", "two.sif"], "{} {way:?}", shell.name);
        for image in site.images() {
            std::fs::remove_file(site.env.work().join(image)).unwrap();
        }
    });
}

#[test]
fn statuses_tell_what_kind_of_failure_it_was() {
    everywhere("opt", |site, shell, way| {
        let calls = [
            ("module export-container -a A -d gone", 1),
            ("module export-container --nonsense", 2),
            ("module export-container", 2),
            ("module export nonsense", 2),
            ("module export container nonesuch -a A", 1),
            ("module export env toy/1.0", 0),
            ("module export-container --help", 0),
        ];
        let text: Vec<_> = calls
            .iter()
            .map(|(call, status)| format!("{call}\necho status {} {status}\n", shell.status))
            .collect();
        let ran = site.real(shell, way, &text.concat());
        let lines = ran.stdout.lines().filter(|line| line.starts_with("status "));
        let pairs: Vec<_> = lines.map(|line| line.split(' ').skip(1).collect::<Vec<_>>()).collect();
        assert_eq!(pairs.len(), calls.len(), "{} {way:?}\n{}", shell.name, ran.stderr);
        for ((call, _), pair) in calls.iter().zip(&pairs) {
            assert_eq!(pair[0], pair[1], "{call} in {} {way:?}\n{}", shell.name, ran.stderr);
        }
        assert_eq!(site.images(), [""; 0], "{} {way:?}", shell.name);
    });
}

#[test]
fn alone_it_helps_and_env_prints_what_the_modules_set() {
    everywhere("opt", |site, shell, way| {
        let ran = site.real(shell, way, "module export\n");
        assert_eq!(ran.status, 0, "{} {way:?}\n{}", shell.name, ran.stderr);
        for word in ["Usage:", "container", "env", "hook"] {
            assert!(ran.stdout.contains(word), "{} {way:?}: {}", shell.name, ran.stdout);
        }
        let ran = site.real(shell, way, "module export env\n");
        let printed: serde_json::Value = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{} {way:?}: {error}\n{ran}", shell.name));
        assert_eq!(printed["env"]["TOY"], "loaded", "{} {way:?}", shell.name);
        assert_eq!(printed["modules"][0]["name"], "toy/1.0", "{} {way:?}", shell.name);
    });
}

/// A copy of the program in a directory of this name, or a hard link to it where that is possible.
fn program_in(site: &Site, directory: &str) -> PathBuf {
    let path = site.env.root().join(directory).join("module-export");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    if std::fs::hard_link(PROGRAM, &path).is_err() {
        std::fs::copy(PROGRAM, &path).unwrap();
    }
    path
}

#[test]
fn a_path_that_the_shell_cannot_take_is_an_error_and_no_code() {
    let Some(site) = Site::new("opt") else { return };
    for (directory, shells_that_refuse) in [
        ("a b $HOME `id`", &[][..]),
        ("it's", &["tcsh"]),
        ("a!b", &["tcsh"]),
        ("two\nlines", &["tcsh"]),
        ("{a,b}", &["tcsh"]),
    ] {
        let program = program_in(&site, directory);
        for shell in ["bash", "zsh", "ksh", "fish", "tcsh", "eessi"] {
            let ran = site.env.run(site.env.command(&program).args(["hook", shell]));
            if shells_that_refuse.contains(&shell) {
                assert_eq!((ran.status, &*ran.stdout), (1, ""), "{directory} {shell}: {ran}");
                assert!(ran.stderr.contains("cannot be given the program's path"), "{ran}");
            } else {
                assert!(!ran.clone().success().contains("@MODULE_EXPORT@"), "{directory} {shell}");
            }
        }
    }
}

#[test]
fn in_bash_a_path_of_any_kind_works() {
    let Some(site) = Site::new("opt") else { return };
    let program = program_in(&site, "it's $HOME\n{x}! \\ `id`");
    let quoted = BASH.quoted(program.to_str().unwrap());
    let script = BASH.source(&format!("{}/init/bash", lmod()))
        + &format!("source <({quoted} hook bash)\nmodule export --version\n");
    let version = format!("module-export {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(site.run(&BASH, Way::Hook, &script).success(), version);
}
