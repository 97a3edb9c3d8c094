//! `module export …` in real shells under a real Lmod: by the hooks, and by Lmod's extension.
//!
//! The program itself is a stand-in that tells which words reached it.

mod extension;
mod functions;
mod real;
mod shells;
mod words;

use std::path::PathBuf;
use std::process::Command;

use crate::common::{Ran, TestEnv, skip};
use shells::Shell;

/// Debian's Lmod, or the one named by `MODULE_EXPORT_TEST_LMOD` (the directory that holds `init/`).
fn lmod() -> String {
    let named = std::env::var_os("MODULE_EXPORT_TEST_LMOD");
    named.map_or("/usr/share/lmod/lmod".into(), |path| path.into_string().unwrap())
}

/// Prints the words it got, one line a call; ends with N if a word is `exit=N`; tells about its terminal if
/// a word is `terminal`. Decodes `--argv-hex` as the real program does.
const STAND_IN: &str = r#"#!/bin/bash
if [[ $1 == --argv-hex ]]; then
    hex=$2 word=
    set --
    while [[ $hex ]]; do
        pair=${hex:0:2} hex=${hex:2}
        if [[ $pair == 00 ]]; then
            set -- "$@" "$word"
            word=
        else
            printf -v letter "\\x$pair"
            word+=$letter
        fi
    done
    set -- "$@" "$word"
    case $1 in
        export-container) set -- container "${@:2}" ;;
        export) shift ;;
    esac
fi
line= status=0
for word; do
    line+=" <${word//$'\n'/\\n}>"
    case $word in
        exit=*) status=${word#exit=} ;;
        terminal) for n in 0 1 2; do if [[ -t $n ]]; then line+=" $n:tty"; else line+=" $n:no"; fi; done ;;
    esac
done
echo "got$line"
echo "a message" >&2
exit "$status"
"#;

/// How `module export` comes into a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `module-export hook SHELL`, after Lmod's start-up file.
    Hook,
    /// The extension, loaded by the site's `lmod_config.lua`.
    LmodConfig,
    /// The extension, loaded by our `SitePackage.lua` in front of the site's.
    SitePackage,
}

const WAYS: [Way; 3] = [Way::Hook, Way::LmodConfig, Way::SitePackage];

/// A world with an installed stand-in, a modulefile and a site's SitePackage.lua.
struct Site {
    env: TestEnv,
    program: PathBuf,
}

impl Site {
    /// `None` if there is no Lmod here. The program is `$ROOT/<prefix>/bin/module-export`.
    fn new(prefix: &str) -> Option<Self> {
        if !std::path::Path::new(&lmod()).join("init/bash").is_file() {
            skip("Lmod is not installed");
            return None;
        }
        let env = TestEnv::new();
        let program = env.program(format!("{prefix}/bin/module-export"), STAND_IN);
        env.write("modulefiles/toy/1.0.lua", "setenv(\"TOY\", \"loaded\")\n");
        env.write("site/SitePackage.lua", "io.stderr:write(\"the site was asked\\n\")\n");
        for (name, text) in [
            ("module_export.lua", include_str!("../../lua/lmod/module_export.lua")),
            ("SitePackage.lua", include_str!("../../lua/lmod/SitePackage.lua")),
        ] {
            env.write(format!("{prefix}/lua/lmod/{name}"), text);
        }
        let installed = env.root().join(prefix).to_str().unwrap().to_owned();
        let sample = include_str!("../../lua/lmod/lmod_config.lua")
            .replace("/opt/module-export", &installed);
        env.write("config/lmod_config.lua", sample);
        Some(Self { env, program })
    }

    /// The environment that `way` needs around a shell.
    fn prepare(&self, way: Way, command: &mut Command) {
        let root = self.env.root().to_str().unwrap();
        let package_path = format!("{root}/site:{}", self.lua_directory());
        match way {
            Way::Hook => {}
            Way::LmodConfig => _ = command.env("LMOD_CONFIG_DIR", format!("{root}/config")),
            Way::SitePackage => _ = command.env("LMOD_PACKAGE_PATH", package_path),
        }
    }

    /// The directory of the extension.
    fn lua_directory(&self) -> String {
        let prefix = self.program.parent().and_then(|bin| bin.parent()).unwrap();
        prefix.join("lua/lmod").to_str().unwrap().to_owned()
    }

    /// A script that starts Lmod, with our words known by `way`; then `text`.
    fn session(&self, shell: &Shell, way: Way, text: &str) -> String {
        let mut script = shell.source(&format!("{}/init/{}", lmod(), shell.name));
        if way == Way::Hook {
            script += &shell.source(self.hook(shell).to_str().unwrap());
        }
        script + &format!("module use {}/modulefiles\n", self.env.root().display()) + text + "\n"
    }

    /// Writes the hook with the program's path in it, as `module-export hook SHELL` prints it.
    fn hook(&self, shell: &Shell) -> PathBuf {
        let quoted = shell.quoted(self.program.to_str().unwrap());
        self.env
            .write(format!("hook.{}", shell.name), shell.hook.replace("@MODULE_EXPORT@", &quoted))
    }

    /// Runs a script in a shell that reads no start-up file of its own.
    fn run(&self, shell: &Shell, way: Way, script: &str) -> Ran {
        let file = self.env.write(format!("script.{}", shell.name), script);
        let mut command = self.env.command(shell.name);
        command.args(shell.plain).arg(file);
        self.prepare(way, &mut command);
        self.env.run(&mut command)
    }
}

/// Calls `test` for every shell that is installed and every way.
fn everywhere(prefix: &str, test: impl Fn(&Site, &Shell, Way)) {
    let Some(site) = Site::new(prefix) else { return };
    for shell in shells::installed() {
        for way in WAYS {
            test(&site, shell, way);
        }
    }
}
