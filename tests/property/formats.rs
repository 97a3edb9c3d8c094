//! Any tree comes back from every format as it went in, by our reader and by one of somebody else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use module_export::image::Format;
use module_export::rootfs::{FileId, Rootfs};
use proptest::collection::vec;
use proptest::prelude::*;

use super::image::{build, things};
use crate::common::{is_root, skip, tool};
use crate::image::every_format::FORMATS;
use crate::image::formats::options;
use crate::image::read::ours;
use crate::image::tools::run;
use crate::image::tree::{Tree, assert_same, bytes, expected, on_disk, path};
use crate::image::write::try_write;

type Late = BTreeMap<FileId, Vec<u8>>;

/// With what a directory must have to be taken for an image, and without what no layer can hold.
fn made(things: Vec<(Vec<u8>, super::image::Thing)>) -> (Rootfs, Late) {
    let fits = |name: &[u8]| !name.starts_with(b".wh.");
    let mut things = things;
    things.retain(|(path, _)| path.split(|byte| *byte == b'/').all(fits));
    let (mut rootfs, late) = build(things);
    rootfs.add_file(&path("/.module-export/mark"), bytes("")).unwrap();
    (rootfs, late)
}

/// Streams and layers say nothing of the root.
fn without_root(mut tree: Tree) -> Tree {
    tree.remove("/");
    tree
}

/// What a program of others finds in an image, where there is one for the format.
fn by_others(image: &Path, format: Format, offset: u64, to: &Path) -> Option<Tree> {
    match format {
        Format::Sif | Format::Squashfs => {
            let mut command = Command::new(tool("unsquashfs")?);
            command.args(["-no-progress", "-offset", &offset.to_string(), "-d"]);
            run(command.arg(to).arg(image));
        }
        Format::Tar | Format::TarGz | Format::TarZst => {
            fs::create_dir(to).unwrap();
            let mut command = Command::new(tool("tar")?);
            command.args(["--extract", "--preserve-permissions", "--no-same-owner"]);
            // late files of several directories cannot all come last
            command.args([
                "--delay-directory-restore",
                "--warning=no-timestamp",
                "--auto-compress",
            ]);
            run(command.arg("--file").arg(image).arg("--directory").arg(to));
        }
        Format::Sandbox => return Some(on_disk(image)),
        Format::Oci | Format::OciArchive | Format::DockerArchive => return None,
    }
    Some(on_disk(to))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_comes_back_from_every_format(things in vec(things(), 0..40)) {
        let (rootfs, late) = made(things);
        let want = without_root(expected(&rootfs, &late));
        for format in FORMATS {
            let work = tempfile::tempdir().unwrap();
            let image = work.path().join(format!("image.{}", format.extension()));
            let written = try_write(&image, &rootfs, format, &options(format, 2), &late).unwrap();
            assert_same(&without_root(ours(&image).unwrap()), &want, &format!("our reader of {format}"));
            let offset = written.squashfs.map_or(0, |(range, _)| range.start);
            if let Some(found) = by_others(&image, format, offset, &work.path().join("out")) {
                assert_same(&without_root(found), &want, &format!("another's reader of {format}"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn umoci_finds_a_tree_as_it_went_in(things in vec(things(), 0..40)) {
        let Some(umoci) = tool("umoci") else { return Ok(()) };
        if !is_root() {
            skip("not root: umoci would need subordinate users");
            return Ok(());
        }
        let (rootfs, late) = made(things);
        let work = tempfile::tempdir().unwrap();
        let (image, bundle) = (work.path().join("image"), work.path().join("bundle"));
        try_write(&image, &rootfs, Format::Oci, &options(Format::Oci, 2), &late).unwrap();
        let image = format!("{}:1.0", image.display());
        run(Command::new(umoci).args(["unpack", "--image", &image]).arg(&bundle));
        let found = without_root(on_disk(&bundle.join("rootfs")));
        assert_same(&found, &without_root(expected(&rootfs, &late)), "umoci");
    }
}
