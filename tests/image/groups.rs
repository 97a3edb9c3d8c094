//! What a change in one installation leaves as it was.

use std::fs;

use module_export::base::Epoch;
use module_export::image::{Compression, Format};
use module_export::rootfs::{File, Rootfs};

use super::tree::{IMPLIED, bytes, noise, path};
use super::write::{sif_options, write_format};

/// Text that shrinks, different for each `seed`.
pub(super) fn text(seed: u64, size: usize) -> Vec<u8> {
    let noise = noise(seed, size / 16 + 1);
    let mut text = Vec::with_capacity(size + 16);
    for byte in noise {
        text.extend_from_slice(b"the same line ");
        text.extend([b'a' + byte % 16, b'a' + byte / 16]);
    }
    text.truncate(size);
    text
}

/// Three installations of 5 MB; in the first, a file has `more` bytes.
fn installations(reasons: [&str; 3], more: usize) -> Rootfs {
    let mut rootfs = Rootfs::new(IMPLIED);
    for (number, reason) in reasons.iter().enumerate() {
        for file in 0..170 {
            let grown = if (number, file) == (0, 3) { more } else { 0 };
            let content = text((number * 1000 + file) as u64, 30_000 + grown);
            let file_at = path(format!("/opt/{number}/{file:03}"));
            rootfs.add_file(&file_at, File { reason: (*reason).into(), ..bytes(content) }).unwrap();
        }
    }
    rootfs
}

/// How many percent of `new` stand somewhere in `old`.
fn percent_known(old: &[u8], new: &[u8]) -> usize {
    let mut known: Vec<&[u8]> = old.windows(16).collect();
    known.sort_unstable();
    let (mut found, mut all) = (0, 0);
    for part in new.chunks_exact(64) {
        found += usize::from(known.binary_search(&&part[..16]).is_ok());
        all += 1;
    }
    100 * found / all
}

#[test]
fn a_change_stays_inside_its_installation() {
    let mut sif = sif_options();
    sif.time = Epoch::GENERATED;
    let work = tempfile::tempdir().unwrap();
    for (format, compression) in
        [(Format::Squashfs, Compression::Zstd(1)), (Format::TarZst, Compression::Zstd(1))]
    {
        sif.squashfs.compression = compression;
        let image = |reasons, more| {
            let at = work.path().join("image");
            write_format(&at, &installations(reasons, more), format, &sif);
            fs::read(at).unwrap()
        };
        let apart = ["module:a", "module:b", "module:c"];
        let known = percent_known(&image(apart, 0), &image(apart, 20_001));
        assert!((60..75).contains(&known), "{format}: {known} %, and not two thirds");
        let joined = ["module:a"; 3];
        let known = percent_known(&image(joined, 0), &image(joined, 20_001));
        assert!(known < 20, "{format}: {known} % although nothing tells where packing begins anew");
        let (apart, joined) = (image(apart, 0).len(), image(joined, 0).len());
        assert!(apart < joined + joined / 500, "{format}: {apart} and {joined} bytes");
    }
}
