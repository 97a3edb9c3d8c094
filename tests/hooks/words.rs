//! Words, status and streams, by every way into every shell.

use super::shells::Shell;
use super::{Way, everywhere};

/// What is typed after `module export-container`, and the words that must arrive.
struct Typed {
    text: &'static str,
    words: &'static [&'static str],
}

const fn typed(text: &'static str, words: &'static [&'static str]) -> Typed {
    Typed { text, words }
}

/// These arrive by every way in every shell.
const PLAIN: &[Typed] = &[
    typed("", &[]),
    typed("-a me -g --json", &["-a", "me", "-g", "--json"]),
    typed("-- -x", &["--", "-x"]),
    typed("Ñandú", &["Ñandú"]),
    typed("export export-container", &["export", "export-container"]),
    typed("a=b,c:d/e.f+g@h%i", &["a=b,c:d/e.f+g@h%i"]),
];
/// These are read twice by Lmod's own function for fish, so they arrive there by the hook alone.
const QUOTED: &[Typed] = &[
    typed("-a 'Jane Doe' -g", &["-a", "Jane Doe", "-g"]),
    typed("\"it's\"", &["it's"]),
    typed("'\"quoted\"'", &["\"quoted\""]),
    typed("'*' '?' '[a]' '~' '{b,c}'", &["*", "?", "[a]", "~", "{b,c}"]),
    typed("'$HOME' '$(id)' '#'", &["$HOME", "$(id)", "#"]),
    typed("'' x ''", &["", "x", ""]),
    typed("'a   b' ' c '", &["a   b", " c "]),
    typed("'a;b' 'c&d' 'e|f' 'g>h'", &["a;b", "c&d", "e|f", "g>h"]),
];
/// These are read again inside backquotes by Lmod's alias for tcsh.
const HARD: &[Typed] = &[
    typed("'`id`'", &["`id`"]),
    typed("'a!b' '!!'", &["a!b", "!!"]),
    typed("'two\nlines'", &["two\nlines"]),
    typed("'a\\z'", &["a\\z"]),
];

/// The rows that a shell passes on unharmed.
fn rows(shell: &Shell, way: Way) -> Vec<&'static Typed> {
    let mut rows: Vec<_> = PLAIN.iter().collect();
    if shell.name != "fish" || way == Way::Hook {
        rows.extend(QUOTED);
    }
    if shell.name != "tcsh" && (shell.name != "fish" || way == Way::Hook) {
        rows.extend(HARD);
    }
    rows
}

/// A word as the stand-in shows it.
fn in_brackets(word: &&str) -> String {
    format!("<{}>", word.replace('\n', "\\n"))
}

#[test]
fn words_arrive_as_they_were_typed() {
    everywhere("opt", |site, shell, way| {
        let rows = rows(shell, way);
        let calls: Vec<_> =
            rows.iter().map(|row| format!("module export-container {}", row.text)).collect();
        let shown = |row: &&Typed| {
            let words = [&["container"], row.words].concat();
            format!("got {}", words.iter().map(in_brackets).collect::<Vec<_>>().join(" "))
        };
        let want: Vec<_> = rows.iter().map(shown).collect();
        let output = site.run(shell, way, &site.session(shell, way, &calls.join("\n")));
        let got: Vec<_> = output.stdout.lines().collect();
        assert_eq!(got, want, "{} {way:?}\n{}", shell.name, output.stderr);
    });
}

#[test]
fn export_takes_a_verb_and_alone_asks_for_help() {
    everywhere("opt", |site, shell, way| {
        let script = site.session(
            shell,
            way,
            "module export plan GROMACS\nmodule export\nml export-container -g",
        );
        let want = "got <plan> <GROMACS>\ngot\ngot <container> <-g>\n";
        assert_eq!(site.run(shell, way, &script).stdout, want, "{} {way:?}", shell.name);
    });
}

#[test]
fn the_status_is_the_programs() {
    everywhere("opt", |site, shell, way| {
        let text = format!(
            "module export plan exit=5\necho {0}\nmodule export-container exit=3\necho {0}\nml export-container exit=4\necho {0}\nmodule export plan\necho {0}",
            shell.status
        );
        let output = site.run(shell, way, &site.session(shell, way, &text));
        let statuses: Vec<_> =
            output.stdout.lines().filter(|line| !line.starts_with("got")).collect();
        assert_eq!(statuses, ["5", "3", "4", "0"], "{} {way:?}", shell.name);
    });
}

#[test]
fn stdout_holds_the_result_alone_and_can_be_captured() {
    everywhere("opt", |site, shell, way| {
        let text = shell.capture("module export-container -g") + "echo \"x is $x\"";
        let output = site.run(shell, way, &site.session(shell, way, &text));
        assert_eq!(output.stdout, "x is got <container> <-g>\n", "{} {way:?}", shell.name);
        assert!(output.stderr.contains("a message\n"), "{} {way:?}: {}", shell.name, output.stderr);
    });
}

#[test]
fn lmod_goes_on_as_before() {
    everywhere("opt", |site, shell, way| {
        let text = format!(
            "ml toy\necho \"TOY is $TOY\"\nmodule is-loaded toy\necho {0}\nmodule load no-such-module\necho {0}\nml export\necho {0}\nmodule list",
            shell.status
        );
        let output = site.run(shell, way, &site.session(shell, way, &text));
        // for a missing module; `export` is a module's name to `ml`
        assert_eq!(
            output.stdout, "TOY is loaded\n0\n1\n1\n",
            "{} {way:?}\n{}",
            shell.name, output.stderr
        );
        assert!(output.stderr.contains("1) toy/1.0"), "{} {way:?}\n{}", shell.name, output.stderr);
        let asked = output.stderr.contains("the site was asked");
        assert_eq!(asked, way == Way::SitePackage, "{} {way:?}\n{}", shell.name, output.stderr);
    });
}

#[test]
fn a_program_below_a_directory_with_blanks_is_found() {
    everywhere("my programs/of mine", |site, shell, way| {
        let output = site.run(shell, way, &site.session(shell, way, "module export plan a"));
        assert_eq!(output.stdout, "got <plan> <a>\n", "{} {way:?}\n{}", shell.name, output.stderr);
    });
}

#[test]
fn the_program_has_the_terminal() {
    everywhere("opt", |site, shell, way| {
        let script = site.session(shell, way, "module export-container terminal");
        let file = site.env.write(format!("terminal.{}", shell.name), script);
        let line = format!("{} {} {}", shell.name, shell.plain.join(" "), file.display());
        let mut script = site.env.command("script");
        script.args(["-qec", &line, "/dev/null"]);
        site.prepare(way, &mut script);
        // Lmod's function for fish ends in `| source -`
        let stdin = if shell.name == "fish" && way != Way::Hook { "0:no" } else { "0:tty" };
        let got = site.env.run(&mut script).stdout;
        assert!(
            got.contains(&format!("<terminal> {stdin} 1:tty 2:tty")),
            "{} {way:?}\n{got}",
            shell.name
        );
    });
}
