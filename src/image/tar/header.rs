//! Headers of entries: ustar, with PAX records where a name or a link has no room in it, and sizes of
//! 8 GiB and more as a binary number, which all readers of our days know.

use tar::{EntryType, Header};

use crate::rootfs::Metadata;

/// Tar's unit, in bytes.
pub(in crate::image) const BLOCK_BYTES: usize = 512;

/// Bytes of the fields of a ustar header.
const NAME_BYTES: usize = 100;
const PREFIX_BYTES: usize = 155;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum EntryKind<'a> {
    /// A directory; its path gets a `/` at its end.
    Directory,
    /// A file of so many bytes.
    File(u64),
    /// Another name of the file at this path of the same stream (without a `/` before it).
    HardLink(&'a [u8]),
    /// A link with this target.
    Symlink(&'a [u8]),
    /// A named pipe.
    Fifo,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) struct Entry<'a> {
    /// Path without a `/` before or behind it.
    pub(in crate::image) path: &'a [u8],
    /// Mode and time.
    pub(in crate::image) metadata: Metadata,
    /// What it is.
    pub(in crate::image) kind: EntryKind<'a>,
}

/// Appends the entry's header, with a PAX header before it where it needs one.
pub(in crate::image) fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let path = match entry.kind {
        EntryKind::Directory => [entry.path, b"/"].concat(),
        _ => entry.path.to_vec(),
    };
    let (kind, size, target) = match entry.kind {
        EntryKind::Directory => (EntryType::Directory, 0, &b""[..]),
        EntryKind::File(size) => (EntryType::Regular, size, &b""[..]),
        EntryKind::HardLink(target) => (EntryType::Link, 0, target),
        EntryKind::Symlink(target) => (EntryType::Symlink, 0, target),
        EntryKind::Fifo => (EntryType::Fifo, 0, &b""[..]),
    };
    let split = split(&path);
    let mut records = Vec::new();
    if split.is_none() {
        record(&mut records, "path", &path);
    }
    if target.len() > NAME_BYTES {
        record(&mut records, "linkpath", target);
    }
    if !records.is_empty() {
        if std::str::from_utf8(&path).is_err() || std::str::from_utf8(target).is_err() {
            let mut first = Vec::new();
            record(&mut first, "hdrcharset", b"BINARY");
            records.splice(0..0, first);
        }
        let named = Fields { name: b"././@PaxHeader", prefix: b"", target: b"" };
        let metadata = Metadata { mode: 0o644, ..entry.metadata };
        put(out, named, EntryType::XHeader, metadata, records.len() as u64);
        out.extend_from_slice(&records);
        pad(out, records.len());
    }
    let (prefix, name) = split.unwrap_or((b"", start(&path, NAME_BYTES)));
    let fields = Fields { name, prefix, target: start(target, NAME_BYTES) };
    put(out, fields, kind, entry.metadata, size);
}

/// Zeros up to tar's next unit behind `length` bytes.
pub(super) fn pad(out: &mut Vec<u8>, length: usize) {
    out.resize(out.len() + length.next_multiple_of(BLOCK_BYTES) - length, 0);
}

#[derive(Clone, Copy)]
struct Fields<'a> {
    name: &'a [u8],
    prefix: &'a [u8],
    target: &'a [u8],
}

fn put(out: &mut Vec<u8>, fields: Fields, kind: EntryType, metadata: Metadata, size: u64) {
    let mut header = Header::new_ustar();
    if let Some(ustar) = header.as_ustar_mut() {
        fill(&mut ustar.name, fields.name);
        fill(&mut ustar.prefix, fields.prefix);
        fill(&mut ustar.linkname, fields.target);
    }
    header.set_entry_type(kind);
    header.set_mode(u32::from(metadata.mode));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(u64::from(metadata.mtime.seconds()));
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
}

fn fill(field: &mut [u8], text: &[u8]) {
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
}

fn start(text: &[u8], length: usize) -> &[u8] {
    text.get(..length).unwrap_or(text)
}

/// The path as prefix and name of a ustar header: the longest name that fits.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME_BYTES {
        return Some((b"", path));
    }
    // a directory's last `/` ends its name
    let body = path.strip_suffix(b"/").unwrap_or(path);
    let slashes = body.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let mut fitting =
        slashes.filter(|&at| (1..=PREFIX_BYTES).contains(&at) && path.len() - at - 1 <= NAME_BYTES);
    let at = fitting.next()?;
    Some((path.get(..at)?, path.get(at + 1..)?))
}

/// Appends `LENGTH key=value\n`, where LENGTH counts itself.
fn record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::base::Epoch;

    /// What the `tar` crate reads of what we wrote.
    fn read_back(entry: &Entry) -> (Vec<u8>, Vec<u8>, u64, EntryType, usize) {
        let mut bytes = Vec::new();
        encode(entry, &mut bytes);
        let length = bytes.len();
        let mut archive = tar::Archive::new(bytes.as_slice().chain(std::io::repeat(0)));
        let found = archive.entries().unwrap().next().unwrap().unwrap();
        let target = found.link_name_bytes().unwrap_or_default().into_owned();
        let kind = found.header().entry_type();
        (found.path_bytes().into_owned(), target, found.size(), kind, length)
    }

    #[test]
    fn names_of_any_length_come_back() {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let dir = |length: usize| b"d".repeat(length);
        for (what, path, blocks) in [
            ("short", b"usr/bin/a".to_vec(), 1),
            ("as long as the field", dir(100), 1),
            ("one more, nowhere to split", dir(101), 3),
            ("split", [dir(155), b"/".to_vec(), dir(100)].concat(), 1),
            ("prefix too long", [dir(156), b"/".to_vec(), dir(100)].concat(), 3),
            ("split in the middle", [dir(90), b"/".to_vec(), dir(90)].concat(), 1),
            ("long beyond measure", [dir(200), b"/".to_vec(), dir(2000)].concat(), 7),
            ("not UTF-8, short", b"a\xff".to_vec(), 1),
            ("not UTF-8, long", b"\xff".repeat(120), 3),
        ] {
            let entry = Entry { path: &path, metadata, kind: EntryKind::File(7) };
            let (name, _, size, kind, length) = read_back(&entry);
            assert_eq!((name, size, kind), (path, 7, EntryType::Regular), "{what}");
            assert_eq!(length, blocks * BLOCK_BYTES, "{what}");
        }
    }

    #[test]
    fn targets_and_sizes_of_any_length_come_back() {
        let metadata = Metadata { mode: 0o777, mtime: Epoch::GENERATED };
        for length in [1, 100, 101, 4095] {
            let target = b"t".repeat(length);
            for kind in [EntryKind::Symlink(&target), EntryKind::HardLink(&target)] {
                let (_, found, size, _, _) = read_back(&Entry { path: b"l", metadata, kind });
                assert_eq!((found, size), (target.clone(), 0));
            }
        }
        for size in [0, (1 << 33) - 1, 1 << 33, u64::from(u32::MAX) << 20] {
            let entry = Entry { path: b"f", metadata, kind: EntryKind::File(size) };
            assert_eq!(read_back(&entry).2, size);
        }
    }

    #[test]
    fn a_directory_ends_in_a_slash_wherever_it_is_split() {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        for path in
            [b"d".repeat(99), b"d".repeat(100), [b"d".repeat(50), b"e".repeat(60)].join(&b'/')]
        {
            let entry = Entry { path: &path, metadata, kind: EntryKind::Directory };
            assert_eq!(read_back(&entry).0, [&path[..], b"/"].concat());
        }
    }
}
