//! `ld.so.cache`: the libraries of the directories that a machine adds to the default ones.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// The contents of an `ld.so.cache`: library names and the files that go by them.
///
/// Source: glibc `sysdeps/generic/dl-cache.h`, `struct cache_file_new`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoaderCache {
    is_big_endian: bool,
    /// The byte of the header that tells the byte order; 0 in caches before glibc 2.33.
    flags: u8,
    /// In the order in which they stand there, by which the loader searches.
    entries: Vec<Entry>,
    /// Entries of a name.
    names: BTreeMap<OsString, Vec<PathBuf>>,
}

/// A row of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Kind of library: which loader it is for.
    flags: [u8; 4],
    name: OsString,
    path: PathBuf,
    /// Kernel that it needs, and features of the CPU, as they stand there.
    requirements: [u8; 12],
}

/// What a cache in today's format begins with.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// Bytes before the first entry, and bytes of an entry.
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// Where the flags stand in the header.
const FLAGS: usize = 28;

impl LoaderCache {
    /// Reads a cache; one of an unknown format, or damaged, is empty from there on.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        Self::parse_new(bytes).unwrap_or_default()
    }

    /// The files that go by the name `soname`, of whatever architecture, in the cache's order.
    #[must_use]
    pub fn files(&self, soname: &OsStr) -> &[PathBuf] {
        self.names.get(soname).map_or(&[], Vec::as_slice)
    }

    /// The bytes of a cache with the rows only whose file `keep` wants, for the basic variant of
    /// each CPU: rows for newer ones are found in the default directories.
    #[must_use]
    pub fn filtered(&self, keep: &dyn Fn(&Path) -> bool) -> Vec<u8> {
        let wanted = |entry: &&Entry| entry.is_for_every_cpu() && keep(&entry.path);
        let kept: Vec<_> = self.entries.iter().filter(wanted).collect();
        let texts: BTreeSet<&OsStr> =
            kept.iter().flat_map(|entry| [&*entry.name, entry.path.as_os_str()]).collect();
        let start = HEADER + kept.len() * ENTRY;
        let mut strings = Vec::new();
        let mut offsets = BTreeMap::new();
        for text in texts {
            offsets.insert(text, self.number(start + strings.len()));
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.number(kept.len()));
        bytes.extend(self.number(strings.len()));
        bytes.push(self.flags);
        bytes.resize(HEADER, 0);
        for entry in kept {
            bytes.extend(entry.flags);
            for text in [&*entry.name, entry.path.as_os_str()] {
                bytes.extend(offsets.get(text).copied().unwrap_or_default());
            }
            bytes.extend(entry.requirements);
        }
        bytes.extend(strings);
        bytes
    }

    fn parse_new(bytes: &[u8]) -> Option<Self> {
        // an old cache may come first: today's then follows it somewhere, aligned
        let start = bytes.windows(MAGIC.len()).position(|window| window == MAGIC)?;
        let bytes = bytes.get(start..)?;
        let count = take::<4>(bytes, 20)?;
        let fits = |count: u32| {
            let count = usize::try_from(count).ok()?;
            (count.checked_mul(ENTRY)? <= bytes.len()).then_some(count)
        };
        let little = fits(u32::from_le_bytes(count));
        let mut cache = Self { is_big_endian: little.is_none(), ..Self::default() };
        cache.flags = *bytes.get(FLAGS)?;
        let count = little.or_else(|| fits(u32::from_be_bytes(count)))?;
        for index in 0..count {
            let Some(entry) = cache.entry(bytes, HEADER + index * ENTRY) else { break };
            let paths = cache.names.entry(entry.name.clone()).or_default();
            if !paths.contains(&entry.path) {
                paths.push(entry.path.clone());
            }
            cache.entries.push(entry);
        }
        Some(cache)
    }

    /// The entry at `at`.
    fn entry(&self, bytes: &[u8], at: usize) -> Option<Entry> {
        let text = |at: usize| -> Option<OsString> {
            let word = take::<4>(bytes, at)?;
            let offset = if self.is_big_endian {
                u32::from_be_bytes(word)
            } else {
                u32::from_le_bytes(word)
            };
            let text = bytes.get(usize::try_from(offset).ok()?..)?;
            let end = text.iter().position(|&byte| byte == 0)?;
            Some(OsString::from_vec(text.get(..end)?.to_vec()))
        };
        Some(Entry {
            flags: take(bytes, at)?,
            name: text(at + 4)?,
            path: text(at + 8)?.into(),
            requirements: take(bytes, at + 12)?,
        })
    }

    /// A number as the file has it.
    fn number(&self, value: usize) -> [u8; 4] {
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

impl Entry {
    /// Whether it asks for nothing of the CPU.
    fn is_for_every_cpu(&self) -> bool {
        let hwcaps_directory = self.path.iter().any(|part| part == "glibc-hwcaps");
        self.requirements.iter().skip(4).all(|&byte| byte == 0) && !hwcaps_directory
    }
}

/// The `N` bytes at `at`.
fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache in today's format, little-endian.
    fn cache(rows: &[(&str, &str)]) -> Vec<u8> {
        let entry = |(name, path): &(&str, &str)| Entry {
            flags: 0x0303_u32.to_le_bytes(),
            name: name.into(),
            path: path.into(),
            requirements: [0; 12],
        };
        let entries = rows.iter().map(entry).collect();
        LoaderCache { entries, flags: 2, ..LoaderCache::default() }.filtered(&|_| true)
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
    fn rows_can_be_taken_out() {
        let hwcaps = "/a/glibc-hwcaps/x86-64-v3/libz.so.1";
        let bytes = cache(&[("libz.so.1", "/a/libz.so.1"), ("liba.so", "/a/liba.so")]);
        let kept = LoaderCache::parse(&bytes).filtered(&|path| path == Path::new("/a/liba.so"));
        assert_eq!(kept, cache(&[("liba.so", "/a/liba.so")]));
        assert_eq!(cache(&[("libz.so.1", hwcaps)]), cache(&[]));
    }

    #[test]
    fn a_damaged_cache_is_read_as_far_as_it_goes_and_never_beyond() {
        let bytes = cache(&[("liba.so", "/liba.so"), ("libb.so", "/libb.so")]);
        assert_eq!(LoaderCache::parse(&bytes).entries.len(), 2);
        for length in 0..bytes.len() {
            let parsed = LoaderCache::parse(&bytes[..length]);
            assert!(parsed.entries.len() < 2, "{length}");
        }
        let mut endless = bytes.clone();
        endless[20..24].copy_from_slice(&[0xff; 4]);
        assert!(LoaderCache::parse(&endless).entries.is_empty());
    }
}
