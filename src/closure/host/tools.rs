//! Shell and tools.

use super::Place;
use crate::closure::ClosureError;
use crate::closure::collect::Collector;

/// Where a machine keeps its programs.
const DIRECTORIES: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Programs that start-up files, scripts of modules and a person at a prompt expect. POSIX's
/// utilities and GNU coreutils first, then what Lmod and MPI launchers call: Open MPI's does not start
/// without `ssh`, even where it needs none.
const TOOLS: &str = "
    bash sh dash env
    [ arch b2sum base32 base64 basename basenc cat chgrp chmod chown cksum comm cp csplit cut date dd
    df dir dircolors dirname du echo expand expr factor false fmt fold groups head hostid id install
    join link ln logname ls md5sum mkdir mkfifo mktemp mv nice nl nohup nproc numfmt od paste
    pathchk pr printenv printf pwd readlink realpath rm rmdir seq sha1sum sha224sum sha256sum
    sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test
    timeout touch tr true truncate tsort tty uname unexpand uniq unlink users vdir wc who whoami
    yes
    grep egrep fgrep sed awk gawk mawk find xargs diff cmp tar gzip gunzip zcat bzip2 bunzip2 xz
    unxz less more which hostname ps kill getopt getent locale iconv tput tset clear reset ldd
    ssh rsh
";

/// Programs for a person who looks around; a slim image does without.
const COMFORTS: &str = "
    pgrep pkill free uptime top infocmp column lscpu taskset setsid flock mountpoint nsenter file
";

/// Programs that are asked for by these very paths.
const BY_PATH: [&str; 5] = ["/bin/sh", "/bin/bash", "/usr/bin/env", "/usr/bin/bash", "/bin/cat"];

/// Adds the tools that the place has; with `slim` without the comforts.
pub(super) fn add(
    collector: &mut Collector<'_>,
    place: &Place,
    slim: bool,
) -> Result<(), ClosureError> {
    let comforts = if slim { "" } else { COMFORTS };
    for tool in TOOLS.split_whitespace().chain(comforts.split_whitespace()) {
        let paths = DIRECTORIES.iter().map(|directory| place.at(directory).join(tool));
        // a layer may have a program and a wrapper of it
        let count = if place.is_layer() { DIRECTORIES.len() } else { 1 };
        for path in paths.filter(|path| path.is_file()).take(count) {
            collector.add(&path, &place.reason(tool))?;
        }
    }
    for path in BY_PATH.map(|path| place.at(path)) {
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            collector.add(&path, &place.reason(&name))?;
        }
    }
    // `stdbuf` preloads a library that lies beside nothing else
    let fixed = ["/usr/libexec/coreutils/libstdbuf.so", "/usr/lib/coreutils/libstdbuf.so"];
    let libraries = place.libraries().iter().map(|at| at.join("coreutils/libstdbuf.so"));
    for path in fixed.map(|path| place.at(path)).into_iter().chain(libraries) {
        collector.add(&path, &place.reason("stdbuf"))?;
    }
    Ok(())
}
