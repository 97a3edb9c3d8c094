//! Shell and tools.

use std::path::Path;

use super::reason;
use crate::closure::ClosureError;
use crate::closure::collect::Collector;

/// Where a machine keeps its programs.
const DIRECTORIES: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Programs that start-up files, scripts of modules and a person at a prompt expect. POSIX's
/// utilities and GNU coreutils first, then what Lmod and MPI launchers call.
const TOOLS: &str = "
    bash sh dash env
    [ arch b2sum base32 base64 basename cat chgrp chmod chown cksum comm cp csplit cut date dd df
    dir dircolors dirname du echo expand expr factor false fmt fold groups head hostid id install
    join link ln logname ls md5sum mkdir mkfifo mktemp mv nice nl nohup nproc numfmt od paste
    pathchk pr printenv printf pwd readlink realpath rm rmdir seq sha1sum sha224sum sha256sum
    sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test
    timeout touch tr true truncate tsort tty uname unexpand uniq unlink users vdir wc who whoami
    yes
    grep egrep fgrep sed awk gawk mawk find xargs diff cmp tar gzip gunzip zcat bzip2 bunzip2 xz
    unxz less more which hostname ps pgrep pkill kill free uptime top getopt getent locale iconv
    tput tset clear reset infocmp column lscpu taskset setsid flock mountpoint nsenter file ldd
";

/// Programs that are asked for by these very paths.
const BY_PATH: [&str; 5] = ["/bin/sh", "/bin/bash", "/usr/bin/env", "/usr/bin/bash", "/bin/cat"];

/// Adds the tools that this machine has.
pub(super) fn add(collector: &mut Collector<'_>) -> Result<(), ClosureError> {
    for tool in TOOLS.split_whitespace() {
        let mut paths = DIRECTORIES.iter().map(|directory| Path::new(directory).join(tool));
        if let Some(path) = paths.find(|path| path.is_file()) {
            collector.add(&path, &reason(tool))?;
        }
    }
    for path in BY_PATH.map(Path::new) {
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            collector.add(path, &reason(&name))?;
        }
    }
    // `stdbuf` preloads a library that lies beside nothing else
    for path in ["/usr/libexec/coreutils/libstdbuf.so", "/usr/lib/coreutils/libstdbuf.so"] {
        collector.add(Path::new(path), &reason("stdbuf"))?;
    }
    Ok(())
}
