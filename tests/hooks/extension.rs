//! What is particular to the extension: it stands in every call of Lmod.

use std::path::Path;
use std::process::Command;

use super::shells::BASH;
use super::{Site, Way, lmod};

/// A call of Lmod itself, as shells make it, with the extension in `lmod_config.lua` or not.
fn call(site: &Site, program: &str, words: &[&str], extended: bool) -> Command {
    let mut command = site.env.command(Path::new(&lmod()).join("libexec").join(program));
    command.args(words);
    let config = if extended { "config" } else { "no-config" };
    command.env("LMOD_CONFIG_DIR", site.env.root().join(config));
    command.env("MODULEPATH", site.env.root().join("modulefiles"));
    command
}

#[test]
fn other_calls_are_untouched() {
    let Some(site) = Site::new("opt") else { return };
    for (program, words) in [
        ("lmod", &["bash", "load", "toy"][..]),
        ("lmod", &["bash", "-q", "list"]),
        ("lmod", &["tcsh", "--localvar", "histchars=!^", "load", "toy"]),
        ("lmod", &["fish", "--no_redirect", "list"]),
        ("lmod", &["python", "load", "toy"]),
        ("lmod", &["bash"]),
        ("lmod", &["bash", "list", "export"]),
        ("lmod", &["bash", "load", "export-container"]),
        ("lmod", &["bash", "exports"]),
        ("ml_cmd", &["toy"]),
        ("ml_cmd", &["export"]),
        ("ml_cmd", &["load", "export-container"]),
        ("ml_cmd", &[]),
        ("spider", &["-o", "softwarePage", "export"]),
    ] {
        let plain = site.env.run(&mut call(&site, program, words, false));
        let extended = site.env.run(&mut call(&site, program, words, true));
        assert_eq!(extended.stdout, plain.stdout, "{program} {words:?}");
        assert_eq!(
            (extended.status, extended.stderr),
            (plain.status, plain.stderr),
            "{program} {words:?}"
        );
    }
}

#[test]
fn words_that_shells_put_in_front_are_skipped() {
    let Some(site) = Site::new("opt") else { return };
    let hex = "6578706f72740070"; // export NUL p
    let want = format!("$ROOT/opt/lua/lmod/../../bin/module-export --argv-hex {hex} ;\n");
    for words in [
        &["bash", "export", "p"][..],
        &["bash", "--protected_vars", "export", "p"],
        &["fish", "--no_redirect", "export", "p"],
        &["tcsh", "--localvar", "histchars=!^", "export", "p"],
        &["zsh", "-q", "export", "p"],
    ] {
        let ran = site.env.run(&mut call(&site, "lmod", words, true));
        assert_eq!((ran.status, &*ran.stdout, &*ran.stderr), (0, &*want, ""), "{words:?}");
    }
}

#[test]
fn what_is_no_shell_gets_no_shell_code() {
    let Some(site) = Site::new("opt") else { return };
    for language in ["python", "perl", "ruby", "lisp", "cmake", "r"] {
        let ran = site.env.run(&mut call(&site, "lmod", &[language, "export-container"], true));
        assert_eq!((ran.status, &*ran.stdout), (1, ""), "{language}");
        assert!(
            ran.stderr.contains("call the program module-export itself"),
            "{language}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_missing_program_is_named_and_may_be_elsewhere() {
    let Some(site) = Site::new("opt") else { return };
    let elsewhere = site.env.root().join("elsewhere");
    std::fs::rename(&site.program, &elsewhere).unwrap();
    let text = format!(
        "module export plan\necho $?\nexport MODULE_EXPORT_BIN={}\nmodule export plan",
        elsewhere.display()
    );
    let ran = site.run(&BASH, Way::LmodConfig, &site.session(&BASH, Way::LmodConfig, &text));
    assert_eq!(ran.stdout, "1\ngot <plan>\n");
    assert!(
        ran.stderr.contains("is in none of: $ROOT/opt/lua/lmod/../../bin/module-export"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_path_that_the_installer_recorded_comes_first() {
    let Some(site) = Site::new("opt") else { return };
    let recorded = site.env.program("recorded here", "#!/bin/sh\necho recorded\n");
    let text = include_str!("../../lua/lmod/module_export.lua")
        .replace("@MODULE_EXPORT@", recorded.to_str().unwrap());
    site.env.write("opt/lua/lmod/module_export.lua", text);
    let script = site.session(
        &BASH,
        Way::LmodConfig,
        "export MODULE_EXPORT_BIN=/bin/false\nmodule export plan",
    );
    assert_eq!(site.run(&BASH, Way::LmodConfig, &script).success(), "recorded\n");
}

#[test]
fn nothing_in_the_extension_can_break_lmod() {
    let Some(site) = Site::new("opt") else { return };
    let extension = "opt/lua/lmod/module_export.lua";
    for (name, text) in [("a syntax error", Some("local = ;")), ("gone", None), ("empty", Some(""))]
    {
        match text {
            Some(text) => _ = site.env.write(extension, text),
            None => std::fs::remove_file(site.env.root().join(extension)).unwrap(),
        }
        for way in [Way::LmodConfig, Way::SitePackage] {
            let script = site.session(&BASH, way, "module load toy; echo $TOY");
            assert_eq!(site.run(&BASH, way, &script).success(), "loaded\n", "{name} {way:?}");
        }
    }
}

#[test]
fn our_site_package_asks_the_next_one_once_whatever_its_directory_is_called() {
    let Some(site) = Site::new("opt") else { return };
    let root = site.env.root().display();
    let ours = site.lua_directory();
    for (path, ours_is_found) in [
        (format!("{root}/site:{ours}"), true),
        (format!("{root}/site:{ours}/:{root}//opt/./lua/lmod:{ours}"), true),
        (format!("{ours}:{root}/site"), false), // Lmod looks at the last one first
    ] {
        let mut command = call(&site, "lmod", &["bash", "list"], false);
        let ran = site.env.run(command.env("LMOD_PACKAGE_PATH", &path));
        assert_eq!(ran.stderr.matches("the site was asked").count(), 1, "{path}\n{}", ran.stderr);
        let mut command = call(&site, "lmod", &["bash", "export", "x"], false);
        let ran = site.env.run(command.env("LMOD_PACKAGE_PATH", &path));
        assert_eq!(ran.stdout.contains("--argv-hex"), ours_is_found, "{path}\n{}", ran.stdout);
    }
    // with no site's own, Lmod's is next
    let mut command = call(&site, "lmod", &["bash", "load", "toy"], false);
    let ran = site.env.run(command.env("LMOD_PACKAGE_PATH", &ours));
    assert!(ran.success().contains("TOY"));
}
