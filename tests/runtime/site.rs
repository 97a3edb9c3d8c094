//! A small plain site with real Lmod: software and modulefiles that no EasyBuild has made.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::session::{Session, shell};
use crate::common::{TestEnv, is_root, skip, tool};

/// Debian's Lmod.
const INIT: &str = "/usr/share/lmod/lmod/init/bash";

/// The site's directory. It lies where no runtime mounts anything of its own, and goes away with
/// this value.
pub(super) struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    /// Builds it; `None` where something for it is not installed.
    pub(super) fn new() -> Option<Self> {
        if !is_root() {
            skip("only root may put a site below /opt");
            return None;
        }
        for program in [INIT, "/usr/bin/python3", "/usr/bin/perl"] {
            if !Path::new(program).is_file() {
                skip(&format!("{program} is not there"));
                return None;
            }
        }
        let cc = tool("cc")?;
        let directory =
            tempfile::Builder::new().prefix("module-export-test-").tempdir_in("/opt").unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let site = Self { directory };
        site.configure_lmod();
        site.build(&cc);
        site.write_scripts();
        site.write_modulefiles();
        Some(site)
    }

    /// A path of the site, as text.
    pub(super) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text.replace("$SITE", &self.path(""))).unwrap();
        path
    }

    /// The session of somebody who loads modules here.
    pub(super) fn session(&self, env: &TestEnv, commands: &str) -> Session {
        let commands = format!(
            "export LMOD_RC={rc} LMOD_PACKAGE_PATH={conf}; source {INIT}; module use {core}; {commands}",
            rc = self.path("conf/lmodrc.lua"),
            conf = self.path("conf"),
            core = self.path("mf/Core"),
        );
        shell(env, &commands)
    }

    fn configure_lmod(&self) {
        self.write(
            "conf/lmodrc.lua",
            "propT = { state = { validT = { young = 1 }, displayT = { young = { short = '(Y)', \
             full_color = false, color = 'blue', doc = 'tested little' } } } }\n",
        );
        self.write(
            "conf/SitePackage.lua",
            "require('strict')\nlocal hook = require('Hook')\n\
             local function say(kind, a) if kind == 'avail' then a[#a + 1] = 'Ask us.' end return a end\n\
             hook.register('msgHook', say)\n",
        );
    }

    /// A program with one library that it finds by its RPATH and one that the modules name.
    fn build(&self, cc: &Path) {
        self.write("source/near.c", "int near(void) { return 40; }\n");
        self.write("source/far.c", "int far(void) { return 2; }\n");
        self.write(
            "source/tool.c",
            "#include <stdio.h>\nint near(void); int far(void);\nint main(void) { printf(\"the answer is %d\\n\", near() + far()); }\n",
        );
        for directory in ["tool/1.0/bin", "tool/1.0/lib", "far/1.0/lib", "gnu/1.0"] {
            fs::create_dir_all(self.path(&format!("apps/{directory}"))).unwrap();
        }
        self.library(cc, "near", "apps/tool/1.0/lib");
        self.library(cc, "far", "apps/far/1.0/lib");
        let (near, far) = (self.path("apps/tool/1.0/lib"), self.path("apps/far/1.0/lib"));
        self.compile(
            cc,
            &[
                &self.path("source/tool.c"),
                "-o",
                &self.path("apps/tool/1.0/bin/tool"),
                &format!("-L{near}"),
                "-lnear",
                &format!("-L{far}"),
                "-lfar",
                "-Wl,-rpath,$ORIGIN/../lib",
            ],
        );
    }

    /// Compiles `source/NAME.c` into a library that is called so.
    pub(super) fn library(&self, cc: &Path, name: &str, directory: &str) {
        fs::create_dir_all(self.path(directory)).unwrap();
        let source = self.path(&format!("source/{name}.c"));
        let library = self.path(&format!("{directory}/lib{name}.so"));
        let soname = format!("-Wl,-soname,lib{name}.so");
        self.compile(cc, &["-shared", "-fPIC", &source, "-o", &library, &soname]);
    }

    pub(super) fn compile(&self, cc: &Path, words: &[&str]) {
        let status = Command::new(cc).args(words).status().unwrap();
        assert!(status.success(), "{words:?} in {}", self.path(""));
    }

    fn write_scripts(&self) {
        for (name, text) in [
            (
                "sh-hello",
                "#!/bin/bash\nshopt -s extglob; echo \"bash ${SCRIPTS_WORD@Q}\" | sed s/b/B/\n",
            ),
            (
                "py-hello",
                "#!/usr/bin/python3\nimport json, hashlib, ssl, ctypes; print('Python', json.dumps([1]))\n",
            ),
            ("env-hello", "#!/usr/bin/env python3\nimport decimal; print('Python by env')\n"),
            (
                "pl-hello",
                "#!/usr/bin/perl\nuse strict; use POSIX; use File::Temp; print 'Perl ', floor(2.5), qq(\\n);\n",
            ),
        ] {
            let path = self.write(&format!("apps/scripts/2.0/bin/{name}"), text);
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn write_modulefiles(&self) {
        for (name, text) in [
            (
                "Core/gnu/1.0",
                "family('compiler')\nprepend_path('MODULEPATH', '$SITE/mf/gnu')\nsetenv('GNU_ROOT', '$SITE/apps/gnu/1.0')\n",
            ),
            (
                "gnu/tool/1.0",
                "depends_on('far/1.0')\nprepend_path('PATH', '$SITE/apps/tool/1.0/bin')\n",
            ),
            ("gnu/other/1.0", "setenv('OTHER', '1')\n"),
            ("Core/far/1.0", "prepend_path('LD_LIBRARY_PATH', '$SITE/apps/far/1.0/lib')\n"),
            (
                "Core/scripts/2.0",
                "add_property('state', 'young')\nlocal base = '$SITE/apps/scripts/2.0'\nprepend_path('PATH', pathJoin(base, 'bin'))\nsetenv('SCRIPTS_WORD', \"it's\")\n",
            ),
            (
                "Core/settings/1",
                "setenv('SETTINGS_MODE', 'fast')\nunsetenv('SETTINGS_GONE')\npushenv('CC', 'cc')\n",
            ),
            ("Core/unpacked/1", "family('compiler')\n"),
        ] {
            self.write(&format!("mf/{name}.lua"), text);
        }
    }
}
