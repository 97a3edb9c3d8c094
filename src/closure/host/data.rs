//! Data that libc and tools read: locale, terminals, character sets, certificates, time zone.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::reason;
use crate::base::fs::sorted_dir;
use crate::closure::ClosureError;
use crate::closure::collect::Collector;

/// Where descriptions of terminals lie.
const TERMINFO: [&str; 5] = [
    "/usr/share/terminfo",
    "/lib/terminfo",
    "/usr/lib/terminfo",
    "/etc/terminfo",
    "/usr/share/lib/terminfo",
];

/// Whole names of terminals, and beginnings of names.
const TERMINALS: [&str; 12] = [
    "linux",
    "vt100",
    "vt102",
    "vt220",
    "ansi",
    "dumb",
    "cons25",
    "rxvt",
    "alacritty",
    "foot",
    "st",
    "st-256color",
];
const TERMINAL_FAMILIES: [&str; 4] = ["xterm", "screen", "tmux", "rxvt-unicode"];

/// Converters that `iconv` needs for what files are commonly written in.
const CONVERTERS: [&str; 9] = [
    "gconv-modules",
    "gconv-modules.cache",
    "gconv-modules.d",
    "UTF-16.so",
    "UTF-32.so",
    "UTF-7.so",
    "UNICODE.so",
    "ISO8859-1.so",
    "ISO8859-15.so",
];

/// Libraries that libc opens by name when it needs them.
const OPENED_BY_LIBC: [&str; 4] =
    ["libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2", "libnss_compat.so.2"];

/// Certificates of authorities, wherever a distribution keeps them in one file.
const CERTIFICATES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// Adds the data. `libraries` are the directories of this machine's libraries.
pub(super) fn add(
    collector: &mut Collector<'_>,
    libraries: &[PathBuf],
) -> Result<(), ClosureError> {
    for name in ["C.utf8", "C.UTF-8"] {
        collector.add(&Path::new("/usr/lib/locale").join(name), &reason("locale"))?;
    }
    for zone in ["UTC", "Etc/UTC", "GMT"] {
        collector.add(&Path::new("/usr/share/zoneinfo").join(zone), &reason("timezone"))?;
    }
    for file in CERTIFICATES {
        collector.add(Path::new(file), &reason("certificates"))?;
    }
    for directory in libraries {
        for name in CONVERTERS {
            collector.add(&directory.join("gconv").join(name), &reason("gconv"))?;
        }
        for name in OPENED_BY_LIBC {
            collector.add(&directory.join(name), &reason("libc"))?;
        }
    }
    add_terminals(collector)
}

/// Adds descriptions of common terminals. They lie in directories named after their first letter,
/// or its code.
fn add_terminals(collector: &mut Collector<'_>) -> Result<(), ClosureError> {
    for top in TERMINFO.map(Path::new) {
        for letter in sorted_dir(top).unwrap_or_default() {
            let directory = top.join(letter);
            for name in sorted_dir(&directory).unwrap_or_default() {
                if is_common_terminal(&name) {
                    collector.add(&directory.join(name), &reason("terminfo"))?;
                }
            }
        }
    }
    Ok(())
}

fn is_common_terminal(name: &OsStr) -> bool {
    let of_family = |family: &&str| name.as_bytes().starts_with(family.as_bytes());
    TERMINALS.iter().any(|terminal| name == *terminal) || TERMINAL_FAMILIES.iter().any(of_family)
}
