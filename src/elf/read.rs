//! Reads headers and dynamic section, and nothing else, of an ELF file.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _};
use object::read::{ReadCache, ReadRef};
use rustix::fs::{Mode, OFlags};

use super::source::{ReadAt, Windows};
use super::versions::{self, Table};
use super::{Architecture, ElfError, ElfFacts, Kind};
use crate::base::fs::PathContext as _;

/// Longest dynamic section and program header table that are believed, in bytes. Real ones are
/// of some kilobytes.
const MAX_TABLE: u64 = 1 << 20;

/// Longest interpreter path, and longest string of the dynamic section (`EasyBuild` writes search
/// paths of several kilobytes).
const MAX_STRING: u64 = 1 << 20;

/// Libraries that one file may need; what stacks have is a tenth of it.
const MOST_LIBRARIES: usize = 4096;

/// What of the dynamic section is a name or a list of names.
const STRINGS: [elf::DynamicTag; 8] = [
    elf::DT_NEEDED,
    elf::DT_SONAME,
    elf::DT_RPATH,
    elf::DT_RUNPATH,
    elf::DT_FILTER,
    elf::DT_AUXILIARY,
    elf::DT_AUDIT,
    elf::DT_DEPAUDIT,
];

/// `DF_1_NODEFLIB` in `DT_FLAGS_1`.
const NO_DEFAULT_LIBRARIES: u64 = 0x800;

/// Opens the regular file at `path`, links followed.
pub(super) fn open(path: &Path) -> Result<File, ElfError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).at("open", path)?);
    if !file.metadata().at("examine", path)?.is_file() {
        return Err(ElfError::NotElf);
    }
    Ok(file)
}

/// The facts of the file `source`, which begins with `start`.
pub(super) fn facts_of(source: &dyn ReadAt, start: &[u8]) -> Result<ElfFacts, ElfError> {
    let Some([a, b, c, d, class, _]) = start.first_chunk() else { return Err(ElfError::NotElf) };
    if [*a, *b, *c, *d] != elf::ELFMAG {
        return Err(ElfError::NotElf);
    }
    let data = ReadCache::new(Windows::new(source));
    match elf::FileClass(*class) {
        elf::ELFCLASS32 => facts::<FileHeader32<Endianness>, _>(&data),
        elf::ELFCLASS64 => facts::<FileHeader64<Endianness>, _>(&data),
        _ => Err(ElfError::Malformed("unknown class")),
    }
}

/// Facts of the ELF file `data` of class `Elf`.
fn facts<'data, Elf, R>(data: R) -> Result<ElfFacts, ElfError>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = Elf::parse(data).map_err(|_| ElfError::Malformed("file header"))?;
    let endian = header.endian().map_err(|_| ElfError::Malformed("byte order"))?;
    let architecture = Architecture {
        is_64_bit: header.is_class_64(),
        is_little_endian: header.is_little_endian(),
        machine: header.e_machine(endian).0,
    };
    let mut facts = ElfFacts::empty(architecture);
    facts.kind = match header.e_type(endian) {
        elf::ET_EXEC => Kind::Executable,
        elf::ET_DYN => Kind::Shared,
        _ => Kind::Other,
    };
    // the number of headers is in the header itself unless there are 65535 and more
    if header.e_phnum(endian) == elf::PN_XNUM {
        return Err(ElfError::Malformed("too many program headers"));
    }
    let segments = header.program_headers(endian, data);
    let segments = segments.map_err(|_| ElfError::Malformed("program headers"))?;
    for segment in segments {
        let size: u64 = segment.p_filesz(endian).into();
        match segment.p_type(endian) {
            elf::PT_INTERP if size <= MAX_STRING => {
                let path = segment.interpreter(endian, data);
                let path = path.map_err(|_| ElfError::Malformed("interpreter"))?;
                // the kernel starts nothing of this kind
                if path.is_some_and(<[u8]>::is_empty) {
                    return Err(ElfError::Malformed("empty name of an interpreter"));
                }
                facts.interpreter = path.map(|path| PathBuf::from(OsStr::from_bytes(path)));
            }
            elf::PT_DYNAMIC if size <= MAX_TABLE => {
                dynamic::<Elf, R>(&mut facts, segments, segment, endian, data)?;
            }
            elf::PT_INTERP | elf::PT_DYNAMIC => return Err(ElfError::Malformed("segment size")),
            _ => {}
        }
    }
    Ok(facts)
}

/// Fills in what the dynamic section in `segment` says.
fn dynamic<'data, Elf, R>(
    facts: &mut ElfFacts,
    segments: &[Elf::ProgramHeader],
    segment: &Elf::ProgramHeader,
    endian: Endianness,
    data: R,
) -> Result<(), ElfError>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let entries = segment.dynamic(endian, data);
    let entries = entries.map_err(|_| ElfError::Malformed("dynamic section"))?.unwrap_or_default();
    let entries: Vec<(elf::DynamicTag, u64)> = entries
        .iter()
        .map(|entry| (entry.d_tag(endian), entry.d_val(endian).into()))
        .take_while(|(tag, _)| *tag != elf::DT_NULL)
        .collect();
    facts.dynamic = true;
    let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    facts.no_default_directories =
        value(elf::DT_FLAGS_1).is_some_and(|flags| flags & NO_DEFAULT_LIBRARIES != 0);
    // a dynamic section without strings needs nothing
    let Some(address) = value(elf::DT_STRTAB) else { return Ok(()) };
    // where what is loaded at an address stands in the file
    let place = |address: u64| {
        segments.iter().find_map(|segment| {
            let (start, size): (u64, u64) =
                (segment.p_vaddr(endian).into(), segment.p_filesz(endian).into());
            let offset: u64 = segment.p_offset(endian).into();
            let inside = address.checked_sub(start).filter(|&inside| inside < size)?;
            (segment.p_type(endian) == elf::PT_LOAD).then(|| offset.checked_add(inside))?
        })
    };
    let strings = place(address);
    let text = |at: u64| {
        let text = strings.and_then(|strings| string(data, strings.checked_add(at)?));
        text.ok_or(ElfError::Malformed("string table"))
    };
    let mut seen = BTreeSet::new();
    for (tag, at) in entries.iter().filter(|(tag, _)| STRINGS.contains(tag)) {
        let text = text(*at)?;
        match *tag {
            elf::DT_SONAME => facts.soname = Some(text),
            elf::DT_RPATH => facts.rpath = Some(text),
            elf::DT_RUNPATH => facts.runpath = Some(text),
            _ if !seen.insert(text.clone()) => {}
            elf::DT_NEEDED | elf::DT_FILTER => facts.needed.push(text),
            elf::DT_AUXILIARY => facts.optional.push(text),
            // lists
            _ => {
                let names = text.as_bytes().split(|&byte| byte == b':');
                let names = names.filter(|name| !name.is_empty());
                facts.optional.extend(names.map(|name| OsStr::from_bytes(name).to_owned()));
            }
        }
    }
    if facts.needed.len() > MOST_LIBRARIES {
        return Err(ElfError::Malformed("more libraries than any program needs"));
    }
    let table = |start, count| -> Result<Option<Table>, ElfError> {
        let (Some(start), Some(records)) = (value(start), value(count)) else { return Ok(None) };
        let offset = place(start).ok_or(ElfError::Malformed("version tables"))?;
        Ok(Some(Table { offset, records }))
    };
    if let Some(table) = table(elf::DT_VERNEED, elf::DT_VERNEEDNUM)? {
        facts.needed_versions = versions::needed(data, endian, table, text)?;
    }
    if let Some(table) = table(elf::DT_VERDEF, elf::DT_VERDEFNUM)? {
        facts.defined_versions = versions::defined(data, endian, table, text)?;
    }
    Ok(())
}

/// The NUL-terminated string at `offset`; `None` if it does not end.
fn string<'data, R: ReadRef<'data>>(data: R, offset: u64) -> Option<OsString> {
    let left = data.len().ok()?.checked_sub(offset)?;
    let window = |size: u64| -> Option<OsString> {
        let bytes = data.read_bytes_at(offset, size.min(left)).ok()?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        Some(OsString::from_vec(bytes.get(..end)?.to_vec()))
    };
    [256, 16 << 10, MAX_STRING].into_iter().find_map(window)
}

#[cfg(test)]
mod tests;
