//! What killed runs leave behind: names that say which host may clear them.
//!
//! Who works on a file holds a lock on it; but locks of some network file systems are known to
//! one host only, so a file is cleared by the host that made it.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Characters that `tempfile` puts behind the prefix.
const RANDOM: usize = 6;

/// `word` and this host's name, for a temporary name to begin with.
pub(super) fn prefix(word: &str) -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("{word}{}-", in_a_name(&host))
}

fn in_a_name(host: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' };
    host.chars().map(plain).collect()
}

/// Whether `name` is a temporary one with this prefix: `node-` is not that of `node-1`.
pub(super) fn is_named(name: &str, prefix: &str, suffix: &str) -> bool {
    let random = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(suffix));
    random.is_some_and(|random| {
        random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// The file, locked by us; `None` if somebody else holds the lock.
pub(super) fn locked(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_one_host() {
        let ours = prefix(".module-export-");
        assert!(is_named(&format!("{ours}aB3xyZ.part"), &ours, ".part"));
        for (name, prefix) in [
            (".x-node-1-aB3xyZ.part", ".x-node-"),
            (".x-other-aB3xyZ.part", ".x-node-"),
            (".x-node-aB3xyZ", ".x-node-"),
            (".x-node-.part", ".x-node-"),
            (".x-node-a/3xyZ.part", ".x-node-"),
        ] {
            assert!(!is_named(name, prefix, ".part"), "{name}");
        }
    }

    #[test]
    fn a_hosts_name_is_made_fit_for_a_file() {
        assert_eq!(in_a_name("n-1.site"), "n-1.site");
        assert_eq!(in_a_name("a/b\n"), "a_b_");
    }
}
