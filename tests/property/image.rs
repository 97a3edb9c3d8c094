//! Any tree comes back from an image as it went in; any damage to an image is survived.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;

use module_export::base::Epoch;
use module_export::image::{Compression, ImageError, SquashfsOptions};
use module_export::rootfs::{Content, File, FileId, ImagePath, Metadata, Rootfs, Symlink};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::common::is_root;
use crate::image::read::{ours, theirs, without_links};
use crate::image::squashfs::{unsquashed, write_to};
use crate::image::tree::{IMPLIED, Shown, assert_same, expected, noise};

/// Something to put into a tree; what does not fit where it is to go is left out.
#[derive(Debug, Clone)]
pub(super) enum Thing {
    Directory(Metadata),
    File(Metadata, Bytes),
    Late(Metadata, Bytes),
    HardLink(usize),
    Symlink(Epoch, Vec<u8>),
}

/// Contents: a kind of bytes, of which there are so many.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bytes {
    Zeros(usize),
    Text(usize),
    Noise(u64, usize),
    /// Noise with a hole of so many bytes behind it.
    Holed(u64, usize),
}

impl Bytes {
    fn make(self) -> Vec<u8> {
        match self {
            Self::Zeros(size) => vec![0; size],
            Self::Text(size) => {
                b"all work and no play ".iter().copied().cycle().take(size).collect()
            }
            Self::Noise(seed, size) => noise(seed, size),
            Self::Holed(seed, size) => [noise(seed, 5000), vec![0; size], noise(seed, 10)].concat(),
        }
    }
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-c]{1,2}".prop_map(String::into_bytes),
        1 => vec(1_u8.., 1..=255),
        1 => Just(vec![b'l'; 255]),
    ]
}

fn paths() -> impl Strategy<Value = Vec<u8>> {
    vec(names(), 1..5).prop_map(|names| [&b"/"[..], &names.join(&b'/')].concat())
}

/// Sizes near the limits of blocks of 4 KiB are the ones that matter.
fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![0..100_usize, 4090..4100_usize, 8190..8195_usize, 0..40_000_usize]
}

fn contents() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        sizes().prop_map(Bytes::Zeros),
        sizes().prop_map(Bytes::Text),
        // few seeds, so that files are equal now and then
        (0..3_u64, sizes()).prop_map(|(seed, size)| Bytes::Noise(seed, size)),
        (0..3_u64, sizes()).prop_map(|(seed, size)| Bytes::Holed(seed, size)),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    (0..0o10000_u16, any::<u32>())
        // what whoever runs this can read and make, so that unpacked trees can be compared
        .prop_map(|(mode, time)| {
            let mask = if is_root() { 0o7777 } else { 0o755 };
            Metadata { mode: mode & mask | 0o700, mtime: Epoch::from_seconds(time) }
        })
}

pub(super) fn things() -> impl Strategy<Value = (Vec<u8>, Thing)> {
    let thing = prop_oneof![
        2 => metadata().prop_map(Thing::Directory),
        6 => (metadata(), contents()).prop_map(|(metadata, bytes)| Thing::File(metadata, bytes)),
        1 => (metadata(), contents()).prop_map(|(metadata, bytes)| Thing::Late(metadata, bytes)),
        1 => any::<usize>().prop_map(Thing::HardLink),
        2 => (any::<u32>(), vec(1_u8.., 1..300))
            .prop_map(|(time, target)| Thing::Symlink(Epoch::from_seconds(time), target)),
    ];
    (paths(), thing)
}

pub(super) fn build(things: Vec<(Vec<u8>, Thing)>) -> (Rootfs, BTreeMap<FileId, Vec<u8>>) {
    let mut rootfs = Rootfs::new(IMPLIED);
    let mut files = Vec::new();
    let mut late = BTreeMap::new();
    for (path, thing) in things {
        // `.` and `..` are no names
        let Ok(path) = ImagePath::new(&path) else { continue };
        match thing {
            Thing::Directory(metadata) => {
                let _ = rootfs.add_directory(&path, metadata);
            }
            Thing::File(metadata, bytes) => {
                let content = bytes.make();
                let size = content.len() as u64;
                let content = Content::Bytes(content);
                let file = File { metadata, size, content, reason: "t:".into() };
                files.extend(rootfs.add_file(&path, file));
            }
            Thing::Late(metadata, bytes) => {
                let file = File { metadata, size: 0, content: Content::Late, reason: "t:".into() };
                if let Ok(id) = rootfs.add_file(&path, file) {
                    files.push(id);
                    late.insert(id, bytes.make());
                }
            }
            Thing::HardLink(which) if !files.is_empty() => {
                let _ = rootfs.add_hard_link(&path, files[which % files.len()]);
            }
            Thing::HardLink(_) => {}
            Thing::Symlink(mtime, target) => {
                let link = Symlink { mtime, target, reason: "t:".into() };
                let _ = rootfs.add_symlink(&path, link);
            }
        }
    }
    (rootfs, late)
}

fn options() -> impl Strategy<Value = SquashfsOptions> {
    let compressions = prop_oneof![
        (1..=12_u8).prop_map(Compression::Gzip),
        (1..=5_u8).prop_map(Compression::Zstd),
        Just(Compression::None),
    ];
    (compressions, 12..=15_u32, 1..4_usize, any::<bool>(), any::<bool>()).prop_map(
        |(compression, log, jobs, export_table, digests)| SquashfsOptions {
            compression,
            block_bytes: 1 << log,
            jobs: NonZeroUsize::new(jobs).unwrap(),
            readers: NonZeroUsize::new(jobs).unwrap(),
            time: Epoch::GENERATED,
            digests,
            export_table,
            cache: None,
        },
    )
}

fn config() -> ProptestConfig {
    let finds = FileFailurePersistence::Direct("tests/property/image.finds");
    ProptestConfig {
        cases: 96,
        failure_persistence: Some(Box::new(finds)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_tree_comes_back_as_it_went_in(things in vec(things(), 0..60), options in options()) {
        let (rootfs, late) = build(things);
        let work = tempfile::tempdir().unwrap();
        let image = work.path().join("image.squashfs");
        write_to(&image, &rootfs, &options, &late).unwrap();
        let want = expected(&rootfs, &late);
        assert_same(&ours(&image).unwrap(), &want, "our reader");
        let long_links = want.values().any(Shown::long_link);
        if !long_links {
            // it refuses links of more than 255 bytes
            assert_same(&theirs(&image), &without_links(want.clone()), "backhand");
        }
        if let Some(got) = unsquashed(&image, &work.path().join("out")) {
            assert_same(&got, &want, "unsquashfs");
        }
    }

    #[test]
    fn damage_is_survived(
        things in vec(things(), 1..30),
        options in options(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let (rootfs, late) = build(things);
        let work = tempfile::tempdir().unwrap();
        let image = work.path().join("image.squashfs");
        write_to(&image, &rootfs, &options, &late).unwrap();
        let mut bytes = fs::read(&image).unwrap();
        let tables = usize::try_from(u64::from_le_bytes(bytes[64..72].try_into().unwrap())).unwrap();
        let used = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().unwrap())).unwrap();
        for (at, value) in damage {
            // the superblock and the tables, where it matters most
            let at = at.index(96 + used - tables);
            bytes[if at < 96 { at } else { tables + at - 96 }] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(&image, bytes).unwrap();
        let result = ours(&image);
        prop_assert!(matches!(result, Ok(_) | Err(ImageError::Malformed { .. })), "{result:?}");
    }
}
