//! `ld.so.cache`: the libraries of the directories that a machine adds to the default ones.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// The contents of an `ld.so.cache`: library names and the files that go by them, in the order
/// in which they stand there.
///
/// Source: glibc `sysdeps/generic/dl-cache.h`, `struct cache_file_new`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoaderCache {
    files: BTreeMap<OsString, Vec<PathBuf>>,
}

/// What a cache in today's format begins with.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// Bytes before the first entry, and bytes of an entry.
const HEADER: usize = 48;
const ENTRY: usize = 24;

impl LoaderCache {
    /// Reads a cache; one of an unknown format, or damaged, is empty from there on.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        Self::parse_new(bytes).unwrap_or_default()
    }

    /// The files that go by the name `soname`, of whatever architecture.
    #[must_use]
    pub fn files(&self, soname: &OsStr) -> &[PathBuf] {
        self.files.get(soname).map_or(&[], Vec::as_slice)
    }

    fn parse_new(bytes: &[u8]) -> Option<Self> {
        // an old cache may come first: today's then follows it somewhere, aligned
        let start = bytes.windows(MAGIC.len()).position(|window| window == MAGIC)?;
        let bytes = bytes.get(start..)?;
        let little = u32::from_le_bytes(word(bytes, 20)?);
        let big = u32::from_be_bytes(word(bytes, 20)?);
        let fits = |count: u32| {
            let size = usize::try_from(count).ok()?.checked_mul(ENTRY)?;
            (size <= bytes.len()).then_some(count)
        };
        let (count, number): (u32, fn([u8; 4]) -> u32) = match fits(little) {
            Some(count) => (count, u32::from_le_bytes),
            None => (fits(big)?, u32::from_be_bytes),
        };
        let text = |at: usize| -> Option<OsString> {
            let offset = usize::try_from(number(word(bytes, at)?)).ok()?;
            let text = bytes.get(offset..)?;
            let end = text.iter().position(|&byte| byte == 0)?;
            Some(OsString::from_vec(text.get(..end)?.to_vec()))
        };
        let mut files: BTreeMap<OsString, Vec<PathBuf>> = BTreeMap::new();
        for index in 0..usize::try_from(count).ok()? {
            let at = HEADER + index * ENTRY;
            let (Some(name), Some(path)) = (text(at + 4), text(at + 8)) else { break };
            let paths = files.entry(name).or_default();
            if !paths.iter().any(|there| there.as_os_str() == path) {
                paths.push(PathBuf::from(path));
            }
        }
        Some(Self { files })
    }
}

/// The four bytes at `at`.
fn word(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache in today's format, little-endian.
    fn cache(rows: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::try_from(rows.len()).unwrap().to_le_bytes());
        bytes.resize(HEADER, 0);
        let mut strings = Vec::new();
        for (name, path) in rows {
            let start = HEADER + rows.len() * ENTRY;
            bytes.extend(0x0303_i32.to_le_bytes());
            for text in [name, path] {
                let offset = u32::try_from(start + strings.len()).unwrap();
                bytes.extend(offset.to_le_bytes());
                strings.extend(text.as_bytes());
                strings.push(0);
            }
            bytes.extend([0; 12]);
        }
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn a_cache_gives_the_files_of_a_name_in_order() {
        let bytes = cache(&[("libz.so.1", "/a/libz.so.1"), ("libz.so.1", "/b/libz.so.1")]);
        let parsed = LoaderCache::parse(&bytes);
        let want = [PathBuf::from("/a/libz.so.1"), PathBuf::from("/b/libz.so.1")];
        assert_eq!(parsed.files(OsStr::new("libz.so.1")), want);
        assert!(parsed.files(OsStr::new("libz.so.2")).is_empty());
        let mut after_an_old_one = b"ld.so-1.7.0\0\0\0\0\0".to_vec();
        after_an_old_one.extend(&bytes);
        assert_eq!(LoaderCache::parse(&after_an_old_one), parsed);
    }

    #[test]
    fn a_damaged_cache_is_read_as_far_as_it_goes_and_never_beyond() {
        let bytes = cache(&[("liba.so", "/liba.so"), ("libb.so", "/libb.so")]);
        for length in 0..bytes.len() {
            let parsed = LoaderCache::parse(&bytes[..length]);
            assert!(parsed.files.len() < 2, "{length}");
        }
        let mut endless = bytes.clone();
        endless[20..24].copy_from_slice(&[0xff; 4]);
        assert_eq!(LoaderCache::parse(&endless), LoaderCache::default());
    }
}
