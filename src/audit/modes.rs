//! Modes: as the image's list says, and as every image has them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::list::finding;
use super::{Finding, Listing, Severity};
use crate::rootfs::{BENEATH, Node, Resolved, Rootfs};

/// Directories in which everybody may write.
const WRITABLE: [&str; 2] = ["/tmp", "/var/tmp"];

/// Checks the modes of everything in `rootfs`: those of files are what `listing` says, nothing can
/// be written by others than its owner but `/tmp` and `/var/tmp`, everybody can read it all, and
/// nothing runs as somebody else. What a base of others' brought may be as they made it, and so may
/// directories, of which no list says whose they are, where there is such a base.
///
/// In a directory that somebody unpacked (`is_unpacked`) all may lack the permissions that their
/// umask took: that is told of once, and is no error.
#[must_use]
pub fn check_modes(listing: &Listing, rootfs: &Rootfs, is_unpacked: bool) -> Vec<Finding> {
    let based = rootfs.files().iter().any(|file| &*file.reason == BENEATH);
    let mut narrowed: BTreeSet<PathBuf> = BTreeSet::new();
    let mut findings = Vec::new();
    rootfs.walk(|path, node| {
        let (metadata, of_base, least) = match node {
            Node::Symlink(_) => return,
            Node::Directory(directory) => (directory.metadata, based, 0o555),
            Node::Special(special) => (special.metadata, &*special.reason == BENEATH, 0o444),
            Node::File(id) => {
                let file = rootfs.file(*id);
                (file.metadata, &*file.reason == BENEATH, 0o444)
            }
        };
        let path = path.as_path();
        let mode = metadata.mode;
        let listed = listing.mode(path);
        let want = listed.unwrap_or(mode | least);
        if is_unpacked && mode != want && mode & !want == 0 && mode & 0o700 == want & 0o700 {
            narrowed.insert(path.to_owned());
            return;
        }
        let what = match listed {
            Some(listed) if listed != mode => {
                Some(format!("its mode is {mode:04o}, and the list says {listed:04o}"))
            }
            _ if of_base => None,
            _ => breach(path, mode, least, node),
        };
        findings.extend(what.map(|what| finding(path, what)));
    });
    for path in WRITABLE.map(Path::new) {
        findings.extend(not_writable(rootfs, path, is_unpacked).map(|what| finding(path, what)));
    }
    if let Some(first) = narrowed.first() {
        let what = format!(
            "others than the owner have fewer permissions than in the image that was unpacked: here and at {} more places",
            narrowed.len() - 1
        );
        findings.push(Finding {
            severity: Severity::Warning,
            mend: String::new(),
            ..finding(first, what)
        });
    }
    findings
}

/// What an image must not have.
fn breach(path: &Path, mode: u16, least: u16, node: &Node) -> Option<String> {
    let is_writable = WRITABLE.iter().any(|writable| path == Path::new(writable));
    if mode & 0o6000 != 0 {
        return Some(format!("its mode {mode:04o} makes it run, or own, as somebody else"));
    }
    if mode & 0o022 != 0 && !is_writable {
        return Some(format!("its mode {mode:04o} lets others than its owner write"));
    }
    let others_run = matches!(node, Node::File(_)) && mode & 0o111 != 0 && mode & 0o111 != 0o111;
    if mode & least != least || others_run {
        return Some(format!("its mode {mode:04o} keeps others than its owner out"));
    }
    None
}

/// What is wrong with a directory in which everybody is to write.
fn not_writable(rootfs: &Rootfs, path: &Path, is_unpacked: bool) -> Option<String> {
    let mode = match rootfs.resolve(path.as_os_str().as_encoded_bytes()) {
        Resolved::Found(Some(Node::Directory(directory))) => directory.metadata.mode,
        Resolved::Found(_) => return Some("it is no directory".to_owned()),
        Resolved::Missing | Resolved::Loop => {
            return Some("it is not there, and programs write to it".to_owned());
        }
    };
    let needed = if is_unpacked { 0o300 } else { 0o777 };
    (mode & needed != needed).then(|| format!("its mode {mode:04o} does not let everybody write"))
}
