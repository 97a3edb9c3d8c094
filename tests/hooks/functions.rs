//! What is particular to the hooks: functions in front of Lmod's own.

use super::shells::{BASH, FISH, KSH, Shell, TCSH, ZSH, installed};
use super::{Site, Way, lmod};
use crate::common::Ran;

#[test]
fn reading_the_hook_twice_changes_nothing() {
    // the path has what is quoted in most ways
    let Some(site) = Site::new("it's $HOME") else { return };
    for (shell, show) in [
        (&BASH, "declare -f module ml"),
        (&ZSH, "functions module ml"),
        (&KSH, "typeset -f module ml __module_export_of_module __module_export_of_ml"),
        (&FISH, "functions module ml __module_export_of_module __module_export_of_ml"),
        (&TCSH, "alias; echo $LMOD_CMD:q $__MODULE_EXPORT_PROGRAM:q"),
    ] {
        if !installed().iter().any(|one| one.name == shell.name) {
            continue;
        }
        let again = shell.source(site.hook(shell).to_str().unwrap());
        let once = site.run(shell, Way::Hook, &site.session(shell, Way::Hook, show)).success();
        let twice =
            site.run(shell, Way::Hook, &site.session(shell, Way::Hook, &(again + show))).success();
        assert_eq!(once, twice, "{}", shell.name);
        assert!(once.contains("export"), "{}: {once}", shell.name);
    }
}

#[test]
fn a_path_with_quotes_is_one_word() {
    let Some(site) = Site::new("it's $HOME `id` \"x\" * \\n") else { return };
    // Lmod's alias for tcsh reads the path again, which no quoting survives
    for shell in installed().into_iter().filter(|shell| shell.name != "tcsh") {
        let script = site.session(shell, Way::Hook, "module export-container a");
        assert_eq!(
            site.run(shell, Way::Hook, &script).success(),
            "got <container> <a>\n",
            "{}",
            shell.name
        );
    }
}

#[test]
fn another_path_later_is_the_one_that_counts() {
    let Some(site) = Site::new("opt") else { return };
    for shell in installed() {
        let old =
            shell.hook.replace("@MODULE_EXPORT@", &shell.quoted("/nonexistent/module-export"));
        let old = site.env.write(format!("old.{}", shell.name), old);
        let mut script = shell.source(&format!("{}/init/{}", lmod(), shell.name));
        script += &shell.source(old.to_str().unwrap());
        script += &shell.source(site.hook(shell).to_str().unwrap());
        script += "module export plan\nml toy\n";
        let output = site.run(shell, Way::Hook, &script);
        assert_eq!(output.stdout, "got <plan>\n", "{}\n{}", shell.name, output.stderr);
        let refused = output.stderr.contains("unknown") && output.stderr.contains("toy");
        assert!(refused, "{}\n{}", shell.name, output.stderr);
    }
}

/// `set -e` is left out for ksh: Lmod's own function for it fails there (it uses `local`).
#[test]
fn strict_shells_are_not_disturbed() {
    let Some(site) = Site::new("opt") else { return };
    for (shell, strict) in
        [(&BASH, "set -euo pipefail\n"), (&ZSH, "setopt errexit nounset\n"), (&KSH, "set -u\n")]
    {
        let script = strict.to_owned()
            + &site.session(
                shell,
                Way::Hook,
                "module export plan\nml export-container\nmodule list",
            );
        let output = site.run(shell, Way::Hook, &script);
        assert_eq!(
            (output.status, &*output.stdout),
            (0, "got <plan>\ngot <container>\n"),
            "{}\n{}",
            shell.name,
            output.stderr
        );
        if shell.name == "ksh" {
            continue;
        }
        let script = strict.to_owned()
            + &site.session(shell, Way::Hook, "module export plan exit=6\necho unreached");
        let output = site.run(shell, Way::Hook, &script);
        assert_eq!(
            (output.status, &*output.stdout),
            (6, "got <plan> <exit=6>\n"),
            "{}",
            shell.name
        );
    }
}

#[test]
fn bash_functions_reach_child_shells_whole() {
    let Some(site) = Site::new("opt") else { return };
    let child = "module load toy; module export plan \"$TOY\"; ml export-container; ml list 2>&1 | grep -c toy";
    let script = site.session(
        &BASH,
        Way::Hook,
        &format!("bash -c '{child}'\nbash -c \"bash -c 'set -eu; module export x'\""),
    );
    let output = site.run(&BASH, Way::Hook, &script);
    assert_eq!(
        output.stdout, "got <plan> <loaded>\ngot <container>\n1\ngot <x>\n",
        "{}",
        output.stderr
    );
}

#[test]
fn where_a_site_exports_no_functions_the_hook_exports_none() {
    let Some(site) = Site::new("opt") else { return };
    let mut script = BASH.source(&format!("{}/init/bash", lmod())) + "export -nf module ml\n";
    script += &BASH.source(site.hook(&BASH).to_str().unwrap());
    script += "module export plan\nenv | grep -c '^BASH_FUNC_m'\n";
    assert_eq!(site.run(&BASH, Way::Hook, &script).stdout, "got <plan>\n0\n");
}

#[test]
fn a_shell_that_inherited_lmods_variables_alone_gets_a_module_command() {
    let Some(site) = Site::new("opt") else { return };
    for shell in installed().into_iter().filter(|shell| shell.name != "tcsh") {
        let text = format!(
            "module use {}/modulefiles\nmodule load toy\nmodule export plan $TOY\n",
            site.env.root().display()
        );
        let script = shell.source(site.hook(shell).to_str().unwrap()) + &text;
        let file = site.env.write(format!("child.{}", shell.name), script);
        let mut command = site.env.command(shell.name);
        command.args(shell.plain).arg(file).env("LMOD_CMD", format!("{}/libexec/lmod", lmod()));
        command.env("LMOD_DIR", format!("{}/libexec", lmod())).env("LMOD_PKG", lmod());
        let output = site.env.run(&mut command);
        assert_eq!(output.stdout, "got <plan> <loaded>\n", "{}\n{}", shell.name, output.stderr);
    }
}

#[test]
fn without_lmod_the_hook_is_silent() {
    let Some(site) = Site::new("opt") else { return };
    for shell in installed() {
        let script = shell.source(site.hook(shell).to_str().unwrap()) + "echo on\n";
        let output = site.run(shell, Way::Hook, &script);
        assert_eq!(
            (output.status, &*output.stdout, &*output.stderr),
            (0, "on\n", ""),
            "{}",
            shell.name
        );
    }
}

#[test]
fn an_lmod_that_comes_later_is_followed_at_the_next_prompt() {
    let Some(site) = Site::new("opt") else { return };
    for shell in [&BASH, &ZSH, &FISH]
        .into_iter()
        .filter(|shell| installed().iter().any(|one| one.name == shell.name))
    {
        let lines = shell.source(site.hook(shell).to_str().unwrap())
            + &shell.source(&format!("{}/init/{}", lmod(), shell.name))
            + "module export-container late\nexit\n";
        let got = typed_into(&site, shell, &lines);
        assert!(got.contains("got <container> <late>"), "{}\n{got}", shell.name);
    }
}

/// What an interactive shell shows on its terminal while `lines` are typed.
fn typed_into(site: &Site, shell: &Shell, lines: &str) -> String {
    let input = site.env.write(format!("typed.{}", shell.name), lines);
    let line = format!("{} {} -i", shell.name, shell.plain.join(" "));
    let mut command = site.env.command("script");
    command.args(["-qec", &line, "/dev/null"]).stdin(std::fs::File::open(input).unwrap());
    site.env.run(&mut command).stdout
}

#[test]
fn tcsh_reads_the_hook_by_eval_before_or_after_lmod() {
    let Some(site) = Site::new("opt") else { return };
    if !installed().iter().any(|shell| shell.name == "tcsh") {
        return;
    }
    let start = TCSH.source(&format!("{}/init/tcsh", lmod()));
    let hook = format!("eval `cat {}`\n", site.hook(&TCSH).display());
    for (name, script) in [("before", hook.clone() + &start), ("after", start + &hook)] {
        let output = site.run(&TCSH, Way::Hook, &(script + "module export-container 'a b' '*'\n"));
        assert_eq!(output.stdout, "got <container> <a b> <*>\n", "{name}\n{}", output.stderr);
    }
}

/// Runs a script that reads `hooks/eessi.sh` in a shell, the stand-in on its PATH or not.
fn with_eessi_snippet(site: &Site, shell: &str, script: &str, has_program: bool) -> Ran {
    let snippet = concat!(env!("CARGO_MANIFEST_DIR"), "/hooks/eessi.sh");
    let start =
        if shell == "dash" { String::new() } else { format!(". {}/init/{shell}\n", lmod()) };
    let file = site
        .env
        .write(format!("eessi.{shell}"), format!("{start}set -eu\n. {snippet}\n{script}\n"));
    let mut command = site.env.command(shell);
    command.arg(file);
    if has_program {
        let hooks = concat!(env!("CARGO_MANIFEST_DIR"), "/hooks");
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = hook ]; then exec sed \"s#@MODULE_EXPORT@#$0#\" {hooks}/$2.sh; fi\nexec '{}' \"$@\"\n",
            site.program.display()
        );
        site.env.program("path/module-export", &text);
        command.env("PATH", format!("/usr/bin:/bin:{}", site.env.root().join("path").display()));
    }
    site.env.run(&mut command)
}

#[test]
fn the_snippet_for_init_scripts_knows_its_shell() {
    let Some(site) = Site::new("opt") else { return };
    for shell in
        installed().into_iter().filter(|shell| ["bash", "zsh", "ksh"].contains(&shell.name))
    {
        let output = with_eessi_snippet(&site, shell.name, "module export-container 'a b'", true);
        assert_eq!(output.stdout, "got <container> <a b>\n", "{}\n{}", shell.name, output.stderr);
    }
}

#[test]
fn the_snippet_for_init_scripts_is_silent_where_it_can_do_nothing() {
    let Some(site) = Site::new("opt") else { return };
    for (shell, has_program) in
        [("bash", false), ("zsh", false), ("ksh", false), ("dash", false), ("dash", true)]
    {
        if crate::common::tool(shell).is_some() {
            let output = with_eessi_snippet(&site, shell, "echo on", has_program);
            assert_eq!(
                (output.status, &*output.stdout, &*output.stderr),
                (0, "on\n", ""),
                "{shell} {has_program}"
            );
        }
    }
}
