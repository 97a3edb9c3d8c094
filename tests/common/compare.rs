//! Whether two images, files or directories, are the same in all that anybody can see.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use module_export::base::Digest;
use module_export::base::fs::sorted_dir;

/// What of a directory is compared; of a file it is always every byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Names, kinds, contents, targets, hard links, modes, and times to the nanosecond.
    Everything,
    /// The same without times and without modes of directories, which in an image-layout say when
    /// and by whom it was written.
    Layout,
}

/// The first things in which two images differ; none if they are the same.
pub(crate) fn differences(one: &Path, other: &Path, scope: Scope) -> Vec<String> {
    if one.is_dir() && other.is_dir() {
        return differing_entries(one, other, scope);
    }
    let (one, other) = (fs::read(one).unwrap(), fs::read(other).unwrap());
    let first = one.iter().zip(&other).position(|(one, other)| one != other);
    let lengths = (one.len() != other.len()).then(|| one.len().min(other.len()));
    first
        .or(lengths)
        .map(|at| format!("byte {at} of {} and {}", one.len(), other.len()))
        .into_iter()
        .collect()
}

fn differing_entries(one: &Path, other: &Path, scope: Scope) -> Vec<String> {
    let (one, other) = (listing(one, scope), listing(other, scope));
    let mut found = Vec::new();
    for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
        let (left, right) = (one.get(name), other.get(name));
        if left != right && found.len() < 10 {
            found.push(format!("{name}: {left:?} and {right:?}"));
        }
    }
    found
}

/// A line for each name below `top`, and for `top` itself.
fn listing(top: &Path, scope: Scope) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    let mut first = BTreeMap::new();
    let mut open = vec![(top.to_owned(), ".".to_owned())];
    while let Some((path, name)) = open.pop() {
        let found = path.symlink_metadata().unwrap();
        let what = if found.is_symlink() {
            format!("link {}", fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii())
        } else if found.is_dir() {
            for entry in sorted_dir(&path).unwrap() {
                let below = format!("{name}/{}", entry.as_bytes().escape_ascii());
                open.push((path.join(entry), below));
            }
            "directory".to_owned()
        } else if found.is_file() {
            format!("file {} {}", found.len(), Digest::of(&fs::read(&path).unwrap()))
        } else {
            format!("special {:o}", found.mode())
        };
        let (time, mode) = (found.mtime(), found.mode() & 0o7777);
        let line = match scope {
            Scope::Everything => format!("{what} {time}.{:09} {mode:04o}", found.mtime_nsec()),
            Scope::Layout if found.is_dir() => what,
            Scope::Layout => format!("{what} {mode:04o}"),
        };
        if !found.is_dir() {
            // a file is told by the names it has; the order of the walk is that of the names
            let names: &mut Vec<String> = first.entry(found.ino()).or_default();
            names.push(name.clone());
        }
        lines.insert(name, line);
    }
    for names in first.into_values().filter(|names| names.len() > 1) {
        let all = names.join(", ");
        for name in &names {
            let line = lines.entry(name.clone()).or_default();
            *line = format!("{line} is {all}");
        }
    }
    lines
}

/// Changes one bit in the middle of the largest file of an image, its times untouched.
pub(crate) fn flip_a_bit(image: &Path) {
    let mut largest = (0, image.to_owned());
    let mut open = vec![image.to_owned()];
    while let Some(path) = open.pop() {
        let found = path.symlink_metadata().unwrap();
        if found.is_dir() {
            open.extend(sorted_dir(&path).unwrap().iter().map(|name| path.join(name)));
        } else if found.is_file() && found.len() > largest.0 {
            largest = (found.len(), path);
        }
    }
    let found = largest.1.metadata().unwrap();
    let mut bytes = fs::read(&largest.1).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // in place, since a mode may forbid it to all but root
    fs::write(&largest.1, bytes).unwrap();
    let file = fs::File::open(&largest.1).unwrap();
    file.set_modified(found.modified().unwrap()).unwrap();
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::Duration;

    use super::*;

    fn tree() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("sub")).unwrap();
        for name in ["sub/a", "sub/b", "c"] {
            fs::write(top.path().join(name), "content").unwrap();
        }
        fs::hard_link(top.path().join("c"), top.path().join("d")).unwrap();
        symlink("a", top.path().join("sub/link")).unwrap();
        symlink("sub", top.path().join("directory link")).unwrap();
        for name in ["sub/a", "sub/b", "c", "sub", "."] {
            set_time(&top.path().join(name), 0);
        }
        for name in ["sub/link", "directory link"] {
            let time = rustix::fs::Timespec { tv_sec: 7, tv_nsec: 0 };
            let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(rustix::fs::CWD, top.path().join(name), &times, flags).unwrap();
        }
        top
    }

    fn set_time(path: &Path, nanoseconds: u64) {
        let time =
            std::time::UNIX_EPOCH + Duration::new(1000, 0) + Duration::from_nanos(nanoseconds);
        fs::File::open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn every_change_of_a_tree_is_noticed() {
        type Change = fn(&Path);
        let rows: [(&str, bool, Change); 9] = [
            ("a bit", true, flip_a_bit),
            ("a time of a file", false, |top| set_time(&top.join("sub/b"), 1)),
            ("a time of a directory", false, |top| set_time(&top.join("sub"), 1)),
            ("a mode", true, |top| {
                fs::set_permissions(top.join("sub/a"), Permissions::from_mode(0o600)).unwrap();
            }),
            ("a mode of a directory", false, |top| {
                fs::set_permissions(top.join("sub"), Permissions::from_mode(0o700)).unwrap();
            }),
            ("a target", true, |top| {
                fs::remove_file(top.join("sub/link")).unwrap();
                symlink("b", top.join("sub/link")).unwrap();
            }),
            ("a name less", true, |top| fs::remove_file(top.join("sub/b")).unwrap()),
            ("a name more", true, |top| fs::write(top.join("sub/more"), "").unwrap()),
            ("a hard link that is a copy", true, |top| {
                fs::remove_file(top.join("d")).unwrap();
                fs::write(top.join("d"), "content").unwrap();
                set_time(&top.join("d"), 0);
            }),
        ];
        let whole = tree();
        for scope in [Scope::Everything, Scope::Layout] {
            assert_eq!(differences(whole.path(), tree().path(), scope), [] as [&str; 0]);
            for (what, of_content, change) in rows {
                let changed = tree();
                change(changed.path());
                let noticed = !differences(whole.path(), changed.path(), scope).is_empty();
                assert_eq!(noticed, of_content || scope == Scope::Everything, "{what} {scope:?}");
            }
        }
    }

    #[test]
    fn every_change_of_a_file_is_noticed() {
        let top = tempfile::tempdir().unwrap();
        let (one, other) = (top.path().join("one"), top.path().join("other"));
        fs::write(&one, b"0123456789").unwrap();
        for (text, want) in [
            ("0123456789", None),
            ("0123496789", Some("byte 5 of 10 and 10")),
            ("0123456780", Some("byte 9 of 10 and 10")),
            ("012345678", Some("byte 9 of 10 and 9")),
            ("01234567890", Some("byte 10 of 10 and 11")),
        ] {
            fs::write(&other, text).unwrap();
            let found = differences(&one, &other, Scope::Everything);
            assert_eq!(found, want.into_iter().collect::<Vec<_>>());
        }
    }
}
