//! Images on record: a small one of each format, as text that can be read and compared.
//!
//! A difference is a change of the bytes that users get: it is meant, and its commit says why.
//! `UPDATE_GOLDEN=1 cargo nextest run golden` writes the records anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use module_export::base::Epoch;
use module_export::base::fs::sorted_dir;
use module_export::image::Format;
use module_export::image::sif::Architecture;
use module_export::rootfs::{Content, File, FileId, Metadata, Rootfs, Symlink};

use super::every_format::FORMATS;
use super::formats::options;
use super::tree::{IMPLIED, bytes, path};
use super::write::try_write;

/// One of everything, and little of it.
fn tree() -> (Rootfs, BTreeMap<FileId, Vec<u8>>) {
    let mut rootfs = Rootfs::new(IMPLIED);
    let program = Metadata { mode: 0o755, mtime: Epoch::from_seconds(1_600_000_000) };
    let file =
        File { metadata: program, reason: "one:".into(), ..bytes("#!/bin/sh\necho hello\n") };
    let hello = rootfs.add_file(&path("/bin/hello"), file).unwrap();
    rootfs.add_hard_link(&path("/bin/same"), hello).unwrap();
    let text = File { reason: "two:".into(), ..bytes("a line\n".repeat(100)) };
    rootfs.add_file(&path("/lib/text"), text).unwrap();
    rootfs.add_file(&path("/lib/empty"), bytes("")).unwrap();
    rootfs.add_file(&path(b"/lib/\xff"), bytes("a name that is no text")).unwrap();
    let target = b"../bin/hello".to_vec();
    let link = Symlink { mtime: Epoch::from_seconds(7), target, reason: "two:".into() };
    rootfs.add_symlink(&path("/lib/link"), link).unwrap();
    rootfs.add_directory(&path("/tmp"), Metadata { mode: 0o1777, ..IMPLIED }).unwrap();
    let late = File { content: Content::Late, size: 0, ..bytes("") };
    let list = rootfs.add_file(&path("/.module-export/files.jsonl"), late).unwrap();
    (rootfs, BTreeMap::from([(list, b"{}\n".to_vec())]))
}

/// A file as `offset: 16 bytes in hexadecimal | as text`, a `*` for lines of zeros.
fn dump(bytes: &[u8], out: &mut String) {
    let mut skipped = false;
    for (number, line) in bytes.chunks(16).enumerate() {
        if line.iter().all(|byte| *byte == 0) && number > 0 {
            if !skipped {
                out.push_str("*\n");
            }
            skipped = true;
            continue;
        }
        skipped = false;
        let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text =
            line.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' });
        let text: String = text.collect();
        writeln!(out, "{:06x}: {:<47} {text}", number * 16, hex.join(" ")).unwrap();
    }
    writeln!(out, "{:06x}", bytes.len()).unwrap();
}

/// Mode, time and number of names, where they are part of the image.
fn rights(path: &Path, of_tree: bool) -> String {
    let found = path.metadata().unwrap();
    let names = if found.is_dir() { 1 } else { found.nlink() };
    if of_tree {
        format!(" {:04o} {} {names}", found.mode() & 0o7777, found.mtime())
    } else {
        String::new()
    }
}

/// An image as text: the file, or every file of the directory behind its name.
fn shown(image: &Path, of_tree: bool) -> String {
    let mut out = String::new();
    let mut open: Vec<(PathBuf, String)> = vec![(image.to_owned(), String::new())];
    while let Some((path, name)) = open.pop() {
        if path.is_symlink() {
            writeln!(out, "== {name} -> {}", fs::read_link(&path).unwrap().display()).unwrap();
        } else if path.is_dir() {
            let below = sorted_dir(&path).unwrap();
            open.extend(below.iter().rev().map(|entry| {
                let shown = entry.as_encoded_bytes().escape_ascii();
                (path.join(entry), format!("{name}/{shown}"))
            }));
            writeln!(out, "== {name}/{}", rights(&path, of_tree)).unwrap();
        } else {
            if !name.is_empty() {
                writeln!(out, "== {name}{}", rights(&path, of_tree)).unwrap();
            }
            let bytes = fs::read(&path).unwrap();
            match std::str::from_utf8(&bytes) {
                Ok(text) if !text.contains('\0') => writeln!(out, "{text}").unwrap(),
                _ => dump(&bytes, &mut out),
            }
        }
    }
    out
}

#[test]
fn images_are_byte_for_byte_those_on_record() {
    let work = tempfile::tempdir().unwrap();
    let (rootfs, documents) = tree();
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden");
    for format in FORMATS {
        let image = work.path().join(format.to_string());
        let mut options = options(format, 2);
        options.sif.architecture = Architecture::X86_64;
        options.oci.architecture = Architecture::X86_64;
        try_write(&image, &rootfs, format, &options, &documents).unwrap();
        let got = shown(&image, format == Format::Sandbox);
        let record = records.join(format!("{format}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(&records).unwrap();
            fs::write(&record, &got).unwrap();
        }
        let want = fs::read_to_string(&record).unwrap();
        let differing =
            got.lines().zip(want.lines()).enumerate().find(|(_, (got, want))| got != want);
        let first = differing
            .map(|(number, (got, want))| format!("line {}: {got}\ninstead of {want}", number + 1));
        assert!(
            got == want,
            "{format} is not what {} has, {}",
            record.display(),
            first.unwrap_or_default()
        );
    }
}
