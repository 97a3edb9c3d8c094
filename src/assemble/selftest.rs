//! The script behind `apptainer test`: is everything there, and can it be loaded?

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Assembly;
use super::quote::quote;
use crate::closure::Installation;
use crate::elf;
use crate::rootfs::{Content, Node, Resolved, Rootfs};

/// Files of a `bin` directory that are looked at for a program to load.
const MOST_LOOKED_AT: usize = 8;

/// Drivers of GPUs come with the machine that an image runs on.
const HEAD: &str = r#"#!/bin/sh
# Is every module's installation there, does the loader find the libraries of its programs, and
# does the module command know it?
failed=0
directory() {
    if [ -d "$2" ]; then echo "ok $1"; else echo "FAILED $1: no directory $2"; failed=1; fi
}
libraries() {
    if ! found=$("$2" --list "$3" 2>&1); then
        echo "FAILED $1: $2 cannot load $3"; failed=1
        return
    fi
    lacks=
    old=$IFS
    IFS='
'
    set -f
    for line in $found; do
        case $line in
        *libcuda.so* | *libnvidia* | *libnvcuvid*) ;;
        *"not found"*) lacks="$lacks $line" ;;
        esac
    done
    set +f
    IFS=$old
    if [ -z "$lacks" ]; then
        echo "ok $1: $3"
    else
        echo "FAILED $1: $3 lacks$lacks"; failed=1
    fi
}
"#;

pub(super) fn script(assembly: &Assembly) -> String {
    let mut text = HEAD.to_owned();
    let rootfs = &assembly.closure.rootfs;
    for installation in &assembly.closure.installations {
        let module = quote(&installation.module).into_owned();
        for prefix in &installation.prefixes {
            // writing to a String cannot fail
            let _ = writeln!(text, "directory {module} {}", shown(prefix));
        }
        if let Some((loader, program)) = program(rootfs, installation) {
            let _ = writeln!(text, "libraries {module} {} {}", shown(&loader), shown(&program));
        }
    }
    if assembly.environment.contains_key("LMOD_CMD") {
        text.push_str("if module list >/dev/null 2>&1; then echo ok module list; else echo FAILED module list; failed=1; fi\n");
    }
    text.push_str("exit $failed\n");
    text
}

fn shown(path: &Path) -> String {
    quote(&path.to_string_lossy()).into_owned()
}

/// A program of the installation, by its path in the image, and what loads it.
fn program(rootfs: &Rootfs, installation: &Installation) -> Option<(PathBuf, PathBuf)> {
    installation.prefixes.iter().find_map(|prefix| {
        let bin = prefix.join("bin");
        let found = rootfs.resolve(bin.as_os_str().as_bytes());
        let Resolved::Found(Some(Node::Directory(directory))) = found else { return None };
        let files = directory.entries().filter_map(|(name, node)| match node {
            Node::File(id) => Some((name, rootfs.file(*id))),
            _ => None,
        });
        let programs = files.filter(|(name, file)| {
            file.metadata.mode & 0o100 != 0 && std::str::from_utf8(name).is_ok()
        });
        programs.take(MOST_LOOKED_AT).find_map(|(name, file)| {
            let Content::Host(path) = &file.content else { return None };
            let loader = elf::read(path).ok()?.interpreter?;
            Some((loader, bin.join(std::ffi::OsStr::from_bytes(name))))
        })
    })
}
