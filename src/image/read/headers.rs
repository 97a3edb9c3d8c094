//! Headers of the entries of an archive: no longer than they may be, and extended ones as POSIX has
//! them, whose values may hold any byte.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use tar::{Entry, EntryType, Header};

/// A header, with the long names that belong to it, has no more bytes: they are held in memory.
const LONGEST_HEADER: usize = 1 << 20;
/// Tar's unit, in bytes.
const BLOCK_BYTES: usize = 512;

/// What the extended headers before an entry say of it.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// What was read of the next header, while one is read.
#[derive(Debug, Default, Clone)]
pub(super) struct Watched(Rc<RefCell<Option<Vec<u8>>>>);

/// A reader of an archive that keeps what it reads of headers, and fails where one has no end.
pub(super) struct Limited<R> {
    from: R,
    header: Watched,
}

impl<R> Limited<R> {
    /// Reads `from`; the headers can be asked for by the second value.
    pub(super) fn new(from: R) -> (Self, Watched) {
        let header = Watched::default();
        (Self { from, header: header.clone() }, header)
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut header = self.header.0.borrow_mut();
        let Some(header) = &mut *header else { return self.from.read(to) };
        let room = to.len().min(LONGEST_HEADER - header.len());
        if room == 0 && !to.is_empty() {
            return Err(malformed(&format!("a header of more than {LONGEST_HEADER} bytes")));
        }
        let to = to.get_mut(..room).unwrap_or_default();
        let read = self.from.read(to)?;
        header.extend_from_slice(to.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl<R: Seek> Seek for Limited<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let Some(header) = &mut *self.header.0.borrow_mut() {
            // over what fills up a block
            header.resize(header.len().next_multiple_of(BLOCK_BYTES), 0);
        }
        self.from.seek(to)
    }
}

/// The next entry of an archive that is read through `header`; all of the one before it must have
/// been read.
pub(super) fn next_entry<'a, R: Read>(
    entries: &mut tar::Entries<'a, R>,
    header: &Watched,
) -> Option<io::Result<(Entry<'a, R>, Records)>> {
    header.0.replace(Some(Vec::new()));
    let entry = entries.next();
    let bytes = header.0.replace(None).unwrap_or_default();
    Some(entry?.and_then(|entry| Ok((entry, records(&bytes)?))))
}

/// The records of the extended headers that stand before the last header in `bytes`.
fn records(bytes: &[u8]) -> io::Result<Records> {
    let mut records = Records::new();
    // first may come what fills up the entry before
    let mut rest = bytes.get(bytes.len() % BLOCK_BYTES..).unwrap_or_default();
    while let Some((head, behind)) = rest.split_at_checked(BLOCK_BYTES) {
        let head = Header::from_byte_slice(head);
        let size = usize::try_from(head.entry_size()?).unwrap_or(usize::MAX);
        let padded = size.checked_next_multiple_of(BLOCK_BYTES).unwrap_or(usize::MAX);
        let Some((body, next)) = behind.split_at_checked(padded) else { break };
        if head.entry_type() == EntryType::XHeader && !behind.is_empty() {
            parse(body.get(..size).unwrap_or_default(), &mut records)?;
        }
        rest = next;
    }
    Ok(records)
}

/// Adds records of the form `LENGTH key=value\n`, where LENGTH counts all of it.
fn parse(mut body: &[u8], records: &mut Records) -> io::Result<()> {
    while !body.is_empty() {
        let record = one_record(body).ok_or_else(|| malformed("a broken extended header"))?;
        let (length, key, value) = record;
        records.insert(key.to_vec(), value.to_vec());
        body = body.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// Length, key and value of the first record.
fn one_record(body: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let space = body.iter().position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(body.get(..space)?).ok()?.parse().ok()?;
    let record = body.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((length, record.get(..equals)?, record.get(equals + 1..)?))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_hold_any_byte_and_lengths_are_believed_only_if_they_fit() {
        for (body, want) in [
            (&b"11 path=ab\n"[..], Some(&[(&b"path"[..], &b"ab"[..])][..])),
            (b"12 path=a\nb\n11 k=v=w=x\n", Some(&[(b"k", b"v=w=x"), (b"path", b"a\nb")])),
            (b"", Some(&[])),
            (b"6 k=v\n", Some(&[(b"k", b"v")])),
            (b"7 k=v\n", None),
            (b"5 k=v\n", None),
            (b"99999999999999999999999 k=v\n", None),
            (b"-6 k=v\n", None),
            (b"2 \n", None),
            (b"0 k=v\n", None),
            (b"4 kv\n", None),
            (b"no number", None),
        ] {
            let mut records = Records::new();
            let parsed = parse(body, &mut records);
            let shown = body.escape_ascii();
            assert_eq!(parsed.is_ok(), want.is_some(), "{shown}");
            let Some(want) = want else { continue };
            let found: Vec<_> = records.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
            assert_eq!(found, want, "{shown}");
        }
    }
}
