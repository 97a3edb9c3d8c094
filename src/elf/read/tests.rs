use super::*;
use crate::elf::read;
use crate::elf::sample::Sample;

/// Reads these bytes as a file.
fn read_bytes(bytes: &[u8]) -> Result<ElfFacts, ElfError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

const FULL: Sample = Sample {
    interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
    needed: &["liba.so.1", "libb.so.2", "liba.so.1"],
    filter: None,
    auxiliary: Some("libhelper.so"),
    audit: Some("libwatch.so:libwatch2.so"),
    soname: Some("libself.so.3"),
    rpath: Some("/r:/s"),
    runpath: Some("$ORIGIN/../lib"),
    flags_1: 0x801,
    is_32_bit: false,
    is_big_endian: false,
};

#[test]
fn every_class_and_byte_order_is_read() {
    for (is_32_bit, is_big_endian) in [(false, false), (false, true), (true, false), (true, true)] {
        let facts = read_bytes(&Sample { is_32_bit, is_big_endian, ..FULL }.bytes()).unwrap();
        let want = ElfFacts {
            architecture: Architecture {
                is_64_bit: !is_32_bit,
                is_little_endian: !is_big_endian,
                machine: if is_32_bit { 3 } else { 62 },
            },
            kind: Kind::Shared,
            interpreter: Some("/lib64/ld-linux-x86-64.so.2".into()),
            dynamic: true,
            needed: vec!["liba.so.1".into(), "libb.so.2".into()],
            optional: vec!["libhelper.so".into(), "libwatch.so".into(), "libwatch2.so".into()],
            soname: Some("libself.so.3".into()),
            rpath: Some("/r:/s".into()),
            runpath: Some("$ORIGIN/../lib".into()),
            no_default_directories: true,
            needed_versions: Vec::new(),
            defined_versions: Vec::new(),
        };
        assert_eq!(facts, want, "32-bit: {is_32_bit}, big-endian: {is_big_endian}");
    }
}

#[test]
fn what_filters_another_library_needs_it() {
    let facts = read_bytes(&Sample { filter: Some("libreal.so"), ..FULL }.bytes()).unwrap();
    assert_eq!(facts.needed, ["liba.so.1", "libb.so.2", "libreal.so"]);
}

#[test]
fn a_program_without_the_name_of_its_interpreter_is_damaged() {
    let error = read_bytes(&Sample { interpreter: Some(""), ..FULL }.bytes()).unwrap_err();
    assert!(matches!(error, ElfError::Malformed(_)), "{error:?}");
}

#[test]
fn strings_may_be_longer_than_a_page() {
    let long = vec!["/a/rather/long/directory"; 3000].join(":");
    let facts = read_bytes(&Sample { rpath: Some(&long), ..FULL }.bytes()).unwrap();
    assert_eq!(facts.rpath.unwrap().len(), long.len());
}

#[test]
fn a_file_cut_anywhere_is_an_answer_and_no_panic() {
    let bytes = FULL.bytes();
    assert!(read_bytes(&bytes).is_ok());
    for length in 0..bytes.len() {
        let got = read_bytes(&bytes[..length]);
        let want_other = length < 6;
        assert_eq!(matches!(got, Err(ElfError::NotElf)), want_other, "{length}: {got:?}");
        assert!(got.is_err(), "{length}");
    }
}

#[test]
fn no_byte_set_to_anything_makes_it_panic_or_take_memory() {
    let bytes = FULL.bytes();
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            let _ = read_bytes(&damaged);
        }
    }
}

#[test]
fn what_is_no_elf_file_is_said_to_be_none() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(matches!(read(&fifo), Err(ElfError::NotElf)), "a FIFO");
    assert!(matches!(read(directory.path()), Err(ElfError::NotElf)), "a directory");
    assert!(matches!(read(Path::new("/dev/zero")), Err(ElfError::NotElf)), "a device");
    assert!(matches!(read_bytes(b"#!/bin/sh\n"), Err(ElfError::NotElf)), "a script");
    assert!(matches!(read_bytes(b""), Err(ElfError::NotElf)), "an empty file");
    assert!(matches!(read(&directory.path().join("gone")), Err(ElfError::Read(_))), "gone");
}
