//! Data that libc and tools read: locale, terminals, character sets, certificates, time zone.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::Place;
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

/// What a layer has for itself that a machine has for all: where names are looked up, which
/// libraries its loader knows, the start-up files of its shell.
const OF_LAYER: [(&str, &str); 30] = [
    ("names", "/etc/nsswitch.conf"),
    ("names", "/etc/host.conf"),
    ("names", "/etc/gai.conf"),
    ("names", "/etc/services"),
    ("names", "/etc/protocols"),
    ("names", "/etc/rpc"),
    ("names", "/etc/networks"),
    ("names", "/etc/hosts"),
    ("names", "/etc/passwd"),
    ("names", "/etc/group"),
    ("names", "/etc/resolv.conf"),
    ("names", "/etc/mtab"),
    ("libraries", "/etc/ld.so.conf"),
    ("libraries", "/etc/ld.so.conf.d"),
    ("libraries", "/etc/ld.so.cache"),
    ("shell", "/etc/profile"),
    ("shell", "/etc/profile.env"),
    ("shell", "/etc/profile.d"),
    ("shell", "/etc/bash"),
    ("shell", "/etc/bash.bashrc"),
    ("shell", "/etc/inputrc"),
    ("shell", "/etc/environment"),
    ("shell", "/etc/DIR_COLORS"),
    ("layout", "/etc/os-release"),
    ("locale", "/etc/locale.conf"),
    ("locale", "/usr/lib/locale/locale-archive"),
    ("locale", "/usr/lib/locale/en_US.utf8"),
    ("locale", "/usr/lib64/locale"),
    ("timezone", "/etc/localtime"),
    ("awk", "/usr/share/awk"),
];

/// Adds the data of a place.
pub(super) fn add(collector: &mut Collector<'_>, place: &Place) -> Result<(), ClosureError> {
    for name in ["C.utf8", "C.UTF-8"] {
        let path = place.at("/usr/lib/locale").join(name);
        collector.add(&path, &place.reason("locale"))?;
    }
    for zone in ["UTC", "Etc/UTC", "GMT"] {
        let path = place.at("/usr/share/zoneinfo").join(zone);
        collector.add(&path, &place.reason("timezone"))?;
    }
    for file in CERTIFICATES {
        collector.add(&place.at(file), &place.reason("certificates"))?;
    }
    for directory in place.libraries() {
        for name in CONVERTERS {
            collector.add(&directory.join("gconv").join(name), &place.reason("gconv"))?;
        }
        for name in OPENED_BY_LIBC {
            collector.add(&directory.join(name), &place.reason("libc"))?;
        }
    }
    add_terminals(collector, place)
}

/// Adds what a layer needs of its own data besides.
pub(super) fn add_of_layer(
    collector: &mut Collector<'_>,
    place: &Place,
) -> Result<(), ClosureError> {
    for (what, path) in OF_LAYER {
        collector.add(&place.at(path), &place.reason(what))?;
    }
    // but scripts that make certificates, for which all of Perl would come along
    for top in ["/etc/ssl", "/usr/lib/ssl"].map(|top| place.at(top)) {
        for name in sorted_dir(&top).unwrap_or_default() {
            if name != "misc" {
                collector.add(&top.join(name), &place.reason("certificates"))?;
            }
        }
    }
    // every zone, once: `posix` and `right` hold all of them again
    let zones = place.at("/usr/share/zoneinfo");
    for name in sorted_dir(&zones).unwrap_or_default() {
        if name != "posix" && name != "right" {
            collector.add(&zones.join(name), &place.reason("timezone"))?;
        }
    }
    // services of names come in libraries of any name, a few kilobytes each
    for directory in place.libraries() {
        for name in sorted_dir(directory).unwrap_or_default() {
            if name.as_bytes().starts_with(b"libnss_") {
                collector.add(&directory.join(name), &place.reason("names"))?;
            }
        }
    }
    Ok(())
}

/// Adds descriptions of common terminals. They lie in directories named after their first letter,
/// or its code.
fn add_terminals(collector: &mut Collector<'_>, place: &Place) -> Result<(), ClosureError> {
    for top in TERMINFO.map(|top| place.at(top)) {
        for letter in sorted_dir(&top).unwrap_or_default() {
            let directory = top.join(letter);
            for name in sorted_dir(&directory).unwrap_or_default() {
                if is_common_terminal(&name) {
                    collector.add(&directory.join(name), &place.reason("terminfo"))?;
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
