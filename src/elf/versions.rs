//! Versions of symbols: which a file needs of which library, and which it defines itself.
//!
//! Source: Linux Standard Base, "Symbol Versioning"; glibc `elf/dl-version.c`.

use std::ffi::OsString;

use object::Endianness;
use object::endian::Endian as _;
use object::read::ReadRef;

use super::ElfError;

/// Versions that are believed in one file, needed or defined: glibc's own libraries have about
/// fifty, the most any known library has is some thousand.
const MAX_VERSIONS: usize = 1 << 14;

/// `VER_FLG_WEAK`: what lacks it still starts.
const WEAK: u16 = 2;

/// The versions that are needed of one library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededVersions {
    /// The library, by a name of `DT_NEEDED`.
    pub library: OsString,
    /// Each version's name, such as `GLIBC_2.34`; without the weak ones, whose lack is borne.
    pub versions: Vec<OsString>,
}

/// A table of the dynamic section: where it begins in the file, and how many records it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) offset: u64,
    pub(super) records: u64,
}

/// A field of a record.
struct Fields<'data> {
    bytes: &'data [u8],
    endian: Endianness,
}

impl Fields<'_> {
    fn half(&self, at: usize) -> u16 {
        let bytes = self.bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
        self.endian.read_u16(bytes.unwrap_or_default())
    }

    fn word(&self, at: usize) -> u64 {
        let bytes = self.bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u64::from(self.endian.read_u32(bytes.unwrap_or_default()))
    }
}

/// Reads records; counts them, so that records that point back to themselves come to an end.
struct Records<R> {
    data: R,
    endian: Endianness,
    left: usize,
}

impl<'data, R: ReadRef<'data>> Records<R> {
    fn read(&mut self, offset: u64, size: u64) -> Result<Fields<'data>, ElfError> {
        self.left = self.left.checked_sub(1).ok_or(ElfError::Malformed("too many versions"))?;
        let bytes = self.data.read_bytes_at(offset, size);
        let bytes = bytes.map_err(|()| ElfError::Malformed("version tables"))?;
        Ok(Fields { bytes, endian: self.endian })
    }
}

/// `offset` moved by `by`.
fn moved(offset: u64, by: u64) -> Result<u64, ElfError> {
    offset.checked_add(by).ok_or(ElfError::Malformed("version tables"))
}

/// What the table of `DT_VERNEED` says; `text` gives the string at a place of the string table.
///
/// # Errors
/// [`ElfError::Malformed`].
pub(super) fn needed<'data, R: ReadRef<'data>>(
    data: R,
    endian: Endianness,
    table: Table,
    text: impl Fn(u64) -> Result<OsString, ElfError>,
) -> Result<Vec<NeededVersions>, ElfError> {
    let mut records = Records { data, endian, left: MAX_VERSIONS };
    let mut found: Vec<(u64, Vec<u64>)> = Vec::new();
    let mut at = table.offset;
    for _ in 0..table.records {
        let need = records.read(at, 16)?;
        let mut versions = Vec::new();
        let mut below = moved(at, need.word(8))?;
        for _ in 0..need.half(2) {
            let version = records.read(below, 16)?;
            if version.half(4) & WEAK == 0 {
                versions.push(version.word(8));
            }
            if version.word(12) == 0 {
                break;
            }
            below = moved(below, version.word(12))?;
        }
        found.push((need.word(4), versions));
        if need.word(12) == 0 {
            break;
        }
        at = moved(at, need.word(12))?;
    }
    // strings come after all records: they lie elsewhere in the file
    let in_words = |(library, versions): (u64, Vec<u64>)| {
        let versions = versions.into_iter().map(&text).collect::<Result<_, _>>()?;
        Ok(NeededVersions { library: text(library)?, versions })
    };
    found.into_iter().map(in_words).collect()
}

/// The names of the versions in the table of `DT_VERDEF`, the file's own first; see [`needed`].
///
/// # Errors
/// [`ElfError::Malformed`].
pub(super) fn defined<'data, R: ReadRef<'data>>(
    data: R,
    endian: Endianness,
    table: Table,
    text: impl Fn(u64) -> Result<OsString, ElfError>,
) -> Result<Vec<OsString>, ElfError> {
    let mut records = Records { data, endian, left: MAX_VERSIONS };
    let mut names = Vec::new();
    let mut at = table.offset;
    for _ in 0..table.records {
        let definition = records.read(at, 20)?;
        // of further names, the parents', each has a definition of its own
        names.push(records.read(moved(at, definition.word(12))?, 8)?.word(0));
        if definition.word(16) == 0 {
            break;
        }
        at = moved(at, definition.word(16))?;
    }
    names.into_iter().map(text).collect()
}
