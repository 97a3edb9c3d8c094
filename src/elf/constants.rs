//! What an ELF file says beyond its dynamic section: whether it opens libraries by name while it
//! runs, and the texts among its constants.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use memchr::memmem;
use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader as _, Sym as _};
use object::{Endianness, ReadCache, ReadRef, elf};

use super::source::{ReadAt as _, Windows, read_start};
use super::{ElfError, open};
use crate::base::fs::PathContext as _;

/// Most that is read of a file's constants, in bytes.
const MAX_CONSTANTS: u64 = 8 << 20;

/// No table of dynamic symbols that is looked through is larger, in bytes.
const MAX_SYMBOLS: u64 = 64 << 20;

/// Functions that open a library by its name.
const OPENERS: [&[u8]; 7] = [
    b"dlopen",
    b"dlmopen",
    b"__libc_dlopen_mode",
    b"lt_dlopen",
    b"lt_dlopenext",
    b"lt_dlopenadvise",
    b"g_module_open",
];

/// Functions that look for a program on the search path and start it.
const STARTERS: [&[u8]; 6] =
    [b"system", b"popen", b"execlp", b"execvp", b"execvpe", b"posix_spawnp"];

/// The read-only data of an ELF file, and whether it opens libraries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constants {
    /// Whether it calls, or offers, a function that opens a library by its name.
    pub opens_libraries: bool,
    /// Whether it calls, or offers, a function that starts a program by its name.
    pub starts_programs: bool,
    data: Vec<u8>,
}

impl Constants {
    /// The constants of the file at `path`, links followed; of many megabytes the first.
    ///
    /// # Errors
    /// [`ElfError`].
    pub fn read(path: &Path) -> Result<Self, ElfError> {
        let file = open(path)?;
        let mut start = [0; 6];
        let count = read_start(&file, &mut start).at("read", path)?;
        let [magic @ .., class, _] = start;
        if count < start.len() || magic != elf::ELFMAG || file.size() == 0 {
            return Err(ElfError::NotElf);
        }
        let data = ReadCache::new(Windows::new(&file));
        match elf::FileClass(class) {
            elf::ELFCLASS32 => constants::<FileHeader32<Endianness>, _>(&data),
            elf::ELFCLASS64 => constants::<FileHeader64<Endianness>, _>(&data),
            _ => Err(ElfError::Malformed("unknown class")),
        }
    }

    /// The paths in them that lie at or below `top`.
    #[must_use]
    pub fn paths_below(&self, top: &Path) -> BTreeSet<PathBuf> {
        paths_below(&self.data, top)
    }

    /// The texts in them: what ends with a zero byte.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.data.split(|&byte| byte == 0).filter(|text| !text.is_empty())
    }

    /// The file names in them that look like a library's: `libz.so.1`.
    #[must_use]
    pub fn library_names(&self) -> BTreeSet<OsString> {
        let finder = memmem::find_iter(&self.data, b".so");
        finder.filter_map(|at| library_name(&self.data, at)).collect()
    }
}

/// The paths in `text`, a script or a program's constants, that lie at or below `top`.
#[must_use]
pub fn paths_below(text: &[u8], top: &Path) -> BTreeSet<PathBuf> {
    let top = top.as_os_str().as_bytes();
    let path = |at: usize| {
        let path = text.get(at..)?;
        let end = path.iter().position(|&byte| !in_path(byte)).unwrap_or(path.len());
        // the end of a sentence, or of a list
        let path = trim_end(path.get(..end)?);
        let below = path.get(top.len()..)?;
        let whole = below.is_empty() || below.starts_with(b"/");
        whole.then(|| Path::new(OsStr::from_bytes(path)).components().collect())
    };
    memmem::find_iter(text, top).filter_map(path).collect()
}

fn trim_end(mut path: &[u8]) -> &[u8] {
    while let Some(shorter) = path.strip_suffix(b".").or_else(|| path.strip_suffix(b"/")) {
        path = shorter;
    }
    path
}

/// Whether a path in a text goes on with this byte.
fn in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+@~".contains(&byte) || byte >= 0x80
}

/// The name around the `.so` at `at`.
fn library_name(data: &[u8], at: usize) -> Option<OsString> {
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+".contains(byte);
    let before = data.get(..at)?;
    let start = before.iter().rposition(|byte| !in_name(byte)).map_or(0, |last| last + 1);
    let behind = data.get(at..)?;
    let length = behind.iter().position(|byte| !in_name(byte)).unwrap_or(behind.len());
    let name = data.get(start..at.checked_add(length)?)?;
    let ends = name.get(at.checked_sub(start)?..)?.strip_prefix(b".so")?;
    let plausible = start < at && (ends.is_empty() || ends.starts_with(b"."));
    (plausible && name.len() < 256).then(|| OsString::from_vec(name.to_vec()))
}

/// The constants of the ELF file `data` of class `Elf`.
fn constants<'data, Elf, R>(data: R) -> Result<Constants, ElfError>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = Elf::parse(data).map_err(|_| ElfError::Malformed("file header"))?;
    let endian = header.endian().map_err(|_| ElfError::Malformed("byte order"))?;
    let sections = header.sections(endian, data);
    let sections = sections.map_err(|_| ElfError::Malformed("section headers"))?;
    let mut found = Constants::default();
    let mut left = MAX_CONSTANTS;
    for section in sections.iter() {
        let flags = section.sh_flags(endian).0;
        let size: u64 = section.sh_size(endian).into();
        let is_data = section.sh_type(endian) == elf::SHT_PROGBITS
            && flags & elf::SHF_ALLOC.0 != 0
            && flags & (elf::SHF_EXECINSTR.0 | elf::SHF_WRITE.0) == 0;
        if is_data && left > 0 {
            let offset: u64 = section.sh_offset(endian).into();
            let bytes = data.read_bytes_at(offset, size.min(left));
            let bytes = bytes.map_err(|()| ElfError::Malformed("constants"))?;
            found.data.extend_from_slice(bytes);
            found.data.push(0);
            left = left.saturating_sub(size);
        }
        if section.sh_type(endian) == elf::SHT_DYNSYM && size > MAX_SYMBOLS {
            return Err(ElfError::Malformed("dynamic symbols"));
        }
    }
    let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM);
    let symbols = symbols.map_err(|_| ElfError::Malformed("dynamic symbols"))?;
    let strings = symbols.strings();
    for name in symbols.iter().filter_map(|symbol| symbol.name(endian, strings).ok()) {
        found.opens_libraries |= OPENERS.contains(&name);
        found.starts_programs |= STARTERS.contains(&name);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_layer_are_found_wherever_they_stand() {
        let text = b"PERL=\"/l/x/usr/bin/perl\"\n-I/l/x/usr/include:/l/x/lib /l/xy/no /l/x. \0/l/x/\0see /l/x/etc/a.conf.";
        let want = ["/l/x", "/l/x/etc/a.conf", "/l/x/lib", "/l/x/usr/bin/perl", "/l/x/usr/include"];
        assert_eq!(paths_below(text, Path::new("/l/x")), want.map(PathBuf::from).into());
        assert_eq!(paths_below(b"", Path::new("/l/x")), BTreeSet::new());
    }

    #[test]
    fn names_of_libraries_are_told_from_other_words() {
        let data = b"libz.so.1\0%s/libq.so\0a.sock\0.so\0x.so.conf.d\0name.so".to_vec();
        let constants = Constants { opens_libraries: true, data, ..Constants::default() };
        let want = ["libq.so", "libz.so.1", "name.so", "x.so.conf.d"];
        assert_eq!(constants.library_names(), want.map(OsString::from).into());
    }

    #[test]
    fn the_shell_of_this_machine_has_constants_and_libc_opens_libraries() {
        let shell = Constants::read(Path::new("/bin/bash")).unwrap();
        assert!(!shell.paths_below(Path::new("/etc")).is_empty());
        assert!(!shell.starts_programs, "it looks for them itself");
        assert!(shell.texts().any(|text| text == b"BASH"));
        let libc = ["/lib64/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"].map(Path::new);
        let Some(libc) = libc.into_iter().find(|path| path.exists()) else { return };
        let libc = Constants::read(libc).unwrap();
        assert!(libc.opens_libraries);
        assert!(libc.library_names().contains(OsStr::new("libgcc_s.so.1")));
        for (name, bytes) in
            [("text", &b"#!/bin/sh"[..]), ("cut", b"\x7fELF\x02\x01\x01"), ("", b"")]
        {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            assert!(Constants::read(file.path()).is_err(), "{name}");
        }
    }
}
