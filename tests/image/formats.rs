//! Every format that is no squashfs: read back by others.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use module_export::base::{Digest, Epoch, Interrupt, Silent};
use module_export::image::read::unpack;
use module_export::image::{Compression, Format, ImageOptions};
use module_export::rootfs::{File, FileId, Metadata, Rootfs, Special, SpecialKind};
use serde_json::Value;

use super::read::ours;
use super::samples::odd_tree;
use super::squashfs::unsquashed;
use super::tools::{is_root, run, skip, tool};
use super::tree::{IMPLIED, Shown, assert_same, bytes, expected, on_disk, path};
use super::write::{image_options, sif_options, try_write};

const STREAMS: [Format; 3] = [Format::Tar, Format::TarGz, Format::TarZst];

pub(crate) fn options(format: Format, jobs: usize) -> ImageOptions {
    let mut sif = sif_options();
    sif.squashfs.compression = format.default_compression();
    sif.squashfs.jobs = NonZeroUsize::new(jobs).unwrap();
    image_options(&sif)
}

/// The odd tree, cut into layers.
pub(super) fn layered() -> (Rootfs, BTreeMap<FileId, Vec<u8>>) {
    let (mut rootfs, documents) = odd_tree();
    for (name, reason) in [
        ("/lib/a", "one:"),
        ("/lib/b", "two:"),
        ("/lib/c/d", "one:"),
        ("/z", "two:"),
        ("/.singularity.d/x", "t:"),
    ] {
        let file = File { reason: reason.into(), ..bytes(name.repeat(100)) };
        rootfs.add_file(&path(name), file).unwrap();
    }
    (rootfs, documents)
}

/// Unpacks `archive` over what is in `to`, as root keeps it.
fn untar(archive: &Path, to: &Path) {
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--preserve-permissions", "--no-same-owner", "--warning=no-timestamp"]);
    match archive.extension().and_then(|end| end.to_str()) {
        Some("zst") => tar.arg("--zstd"),
        Some("gz") => tar.arg("--gzip"),
        _ => &mut tar,
    };
    run(tar.arg("--file").arg(archive).arg("--directory").arg(to));
}

#[test]
fn tar_unpacks_what_was_written() {
    let work = tempfile::tempdir().unwrap();
    let (rootfs, documents) = layered();
    for format in STREAMS {
        let archive = work.path().join(format!("image.{}", format.extension()));
        let written =
            try_write(&archive, &rootfs, format, &options(format, 3), &documents).unwrap();
        assert_eq!(written.size, fs::metadata(&archive).unwrap().len());
        let root = work.path().join(format.to_string());
        fs::create_dir(&root).unwrap();
        untar(&archive, &root);
        // the root itself is not in a stream
        fs::File::open(&root)
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1))
            .unwrap();
        assert_same(&on_disk(&root), &expected(&rootfs, &documents), &format.to_string());
    }
}

#[test]
fn a_sandbox_is_the_tree() {
    let work = tempfile::tempdir().unwrap();
    let (rootfs, documents) = layered();
    let root = work.path().join("sandbox");
    let options = options(Format::Sandbox, 1);
    let written = try_write(&root, &rootfs, Format::Sandbox, &options, &documents).unwrap();
    assert_same(&on_disk(&root), &expected(&rootfs, &documents), "sandbox");
    assert!(written.digest.is_none() && written.size > 1 << 20);
    assert!(fs::metadata(root.join("zero")).unwrap().blocks() < 100, "holes stay holes");
}

#[test]
fn a_socket_lies_in_file_systems_and_is_refused_by_archives() {
    let work = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::new(IMPLIED);
    let metadata = Metadata { mode: 0o600, mtime: Epoch::from_seconds(7) };
    let socket = Special { metadata, kind: SpecialKind::Socket, reason: "t:".into() };
    rootfs.add_special(&path("/run/socket"), socket).unwrap();
    for format in [Format::Squashfs, Format::Sandbox] {
        let image = work.path().join(format!("{format}.img"));
        try_write(&image, &rootfs, format, &options(format, 1), &BTreeMap::new()).unwrap();
        let shown = if format == Format::Squashfs {
            unsquashed(&image, &work.path().join("unsquashed"))
        } else {
            Some(on_disk(&image))
        };
        let Some(shown) = shown else { continue };
        assert_same(&shown, &expected(&rootfs, &BTreeMap::new()), "a socket");
    }
    for format in [Format::Tar, Format::OciArchive, Format::DockerArchive] {
        let image = work.path().join(format!("{format}.img"));
        let options = options(format, 1);
        let error = try_write(&image, &rootfs, format, &options, &BTreeMap::new()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("run/socket") && text.contains("no sockets"), "{text}");
    }
}

/// What our reader shows, without a root that streams have no entry for.
pub(super) fn read_back(
    image: &Path,
    rootfs: &Rootfs,
    documents: &BTreeMap<FileId, Vec<u8>>,
    what: &str,
) {
    let (mut found, mut want) = (ours(image).unwrap(), expected(rootfs, documents));
    for tree in [&mut found, &mut want] {
        tree.remove("/");
    }
    assert_same(&found, &want, what);
}

#[test]
fn our_reader_finds_what_was_written_in_every_format() {
    let work = tempfile::tempdir().unwrap();
    let (rootfs, documents) = layered();
    for name in [
        "sif",
        "squashfs",
        "oci",
        "oci-archive",
        "docker-archive",
        "tar",
        "tar.gz",
        "tar.zst",
        "sandbox",
    ] {
        let format: Format = name.parse().unwrap();
        let image = work.path().join(name);
        try_write(&image, &rootfs, format, &options(format, 2), &documents).unwrap();
        read_back(&image, &rootfs, &documents, name);
        let copy = work.path().join(format!("unpacked {name}"));
        unpack(&image, &copy, &Silent, &Interrupt::default()).unwrap();
        read_back(&copy, &rootfs, &documents, name);
    }
}

#[test]
fn archives_of_others_are_read() {
    let Some(skopeo) = tool("skopeo") else { return };
    let work = tempfile::tempdir().unwrap();
    let (rootfs, documents) = layered();
    let image = work.path().join("image");
    try_write(&image, &rootfs, Format::Oci, &options(Format::Oci, 2), &documents).unwrap();
    for transport in ["oci-archive", "docker-archive"] {
        let copy = work.path().join(transport);
        let mut copying = Command::new(&skopeo);
        copying.args(["copy", "--quiet", "--insecure-policy"]);
        copying.arg(format!("oci:{}:1.0", image.display()));
        run(copying.arg(format!("{transport}:{}:1.0", copy.display())));
        read_back(&copy, &rootfs, &documents, transport);
    }
    // as people make them: with `./` before every name
    let sandbox = work.path().join("sandbox");
    try_write(&sandbox, &rootfs, Format::Sandbox, &options(Format::Sandbox, 1), &documents)
        .unwrap();
    for (name, how) in [("gnu.tar", "--format=gnu"), ("pax.tar.gz", "--format=pax")] {
        let archive = work.path().join(name);
        let mut tar = Command::new("tar");
        tar.args(["--create", "--auto-compress", how, "--file"]).arg(&archive);
        run(tar.arg("--directory").arg(&sandbox).arg("."));
        read_back(&archive, &rootfs, &documents, name);
    }
}

#[test]
fn a_damaged_archive_is_an_error_and_does_no_harm() {
    let work = tempfile::tempdir().unwrap();
    let (rootfs, documents) = layered();
    for format in
        [Format::OciArchive, Format::DockerArchive, Format::Tar, Format::TarGz, Format::TarZst]
    {
        let image = work.path().join(format.to_string());
        try_write(&image, &rootfs, format, &options(format, 2), &documents).unwrap();
        let whole = fs::read(&image).unwrap();
        for part in 0..20 {
            fs::write(&image, &whole[..whole.len() * part / 20]).unwrap();
            let error = ours(&image).unwrap_err().to_string();
            assert!(error.contains(&*image.to_string_lossy()), "{format} {part}: {error}");
        }
        for place in (0..whole.len()).step_by(whole.len() / 60 + 1) {
            let mut changed = whole.clone();
            changed[place] ^= 0x41;
            fs::write(&image, &changed).unwrap();
            // an error or another tree, and never a panic
            drop(ours(&image));
        }
    }
}

/// Manifest and config of the only image in a layout.
fn documents_of(layout: &Path) -> (Value, Value) {
    let blob = |digest: &Value| -> Value {
        let name = digest.as_str().unwrap().replace(':', "/");
        serde_json::from_slice(&fs::read(layout.join("blobs").join(name)).unwrap()).unwrap()
    };
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let manifest = blob(&index["manifests"][0]["digest"]);
    let config = blob(&manifest["config"]["digest"]);
    (manifest, config)
}

/// The layers of a layout, one unpacked over the other.
fn unpacked(layout: &Path, to: &Path, ending: &str) {
    fs::create_dir(to).unwrap();
    let (manifest, _) = documents_of(layout);
    for layer in manifest["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap().replace("sha256:", "");
        let named = to.parent().unwrap().join(format!("{digest}{ending}"));
        fs::copy(layout.join("blobs/sha256").join(&digest), &named).unwrap();
        untar(&named, to);
    }
    fs::File::open(to)
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1))
        .unwrap();
}

#[test]
fn layers_make_the_tree_and_skopeo_believes_every_digest() {
    let work = tempfile::tempdir().unwrap();
    let (rootfs, documents) = layered();
    let Some(skopeo) = tool("skopeo") else { return };
    for (compression, ending) in [
        (Compression::Gzip(6), ".tar.gz"),
        (Compression::Zstd(3), ".tar.zst"),
        (Compression::None, ".tar"),
    ] {
        let top = work.path().join(ending);
        fs::create_dir(&top).unwrap();
        let mut options = options(Format::Oci, 2);
        options.sif.squashfs.compression = compression;
        for (format, transport) in [
            (Format::Oci, "oci"),
            (Format::OciArchive, "oci-archive"),
            (Format::DockerArchive, "docker-archive"),
        ] {
            let image = top.join(format.extension());
            try_write(&image, &rootfs, format, &options, &documents).unwrap();
            let copy = top.join(format!("copy-of-{transport}"));
            let mut copying = Command::new(&skopeo);
            copying.args(["copy", "--quiet", "--insecure-policy"]);
            let tag = if format == Format::DockerArchive { "" } else { ":1.0" };
            let from = format!("{transport}:{}{tag}", image.display());
            run(copying.arg(from).arg(format!("oci:{}:1.0", copy.display())));
            let (manifest, config) = documents_of(&copy);
            assert_eq!(manifest["layers"].as_array().unwrap().len(), 3);
            assert_eq!(config["config"]["Entrypoint"][0], "/bin/env");
            assert_eq!(config["config"]["Env"][0], "FROZEN=two words");
            let ending = if format == Format::DockerArchive { ".tar.gz" } else { ending };
            let root = top.join(format!("root-of-{transport}"));
            unpacked(&copy, &root, ending);
            assert_same(&on_disk(&root), &expected(&rootfs, &documents), transport);
        }
    }
}

#[test]
fn umoci_unpacks_a_layout() {
    let Some(umoci) = tool("umoci") else { return };
    if !is_root() {
        skip("not root: umoci would need subordinate users");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let (rootfs, documents) = layered();
    let (image, bundle) = (work.path().join("image"), work.path().join("bundle"));
    try_write(&image, &rootfs, Format::Oci, &options(Format::Oci, 2), &documents).unwrap();
    let image = format!("{}:1.0", image.display());
    run(Command::new(umoci).args(["unpack", "--image", &image]).arg(&bundle));
    let root = bundle.join("rootfs");
    let mut want = expected(&rootfs, &documents);
    let mut found = on_disk(&root);
    // umoci makes the root itself
    for tree in [&mut want, &mut found] {
        tree.remove("/");
    }
    assert_same(&found, &want, "umoci");
}

#[test]
fn a_layer_depends_on_its_own_content_alone() {
    let work = tempfile::tempdir().unwrap();
    let layers = |name: &str, change: &str| -> Vec<String> {
        let (mut rootfs, documents) = layered();
        rootfs.add_file(&path(format!("/lib/{change}")), bytes(change)).unwrap();
        let image = work.path().join(name);
        try_write(&image, &rootfs, Format::Oci, &options(Format::Oci, 2), &documents).unwrap();
        let (manifest, _) = documents_of(&image);
        let layers = manifest["layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    };
    let (first, second) = (layers("a", "x"), layers("b", "y"));
    assert_eq!(first[..2], second[..2]);
    assert_ne!(first[2], second[2]);
}

#[test]
fn a_layout_is_added_to_and_keeps_what_it_has() {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image");
    let mut sizes = Vec::new();
    for (tag, content) in [("1", "a"), ("2", "b"), ("2", "c")] {
        let (mut rootfs, documents) = layered();
        rootfs.add_file(&path("/lib/x"), bytes(content)).unwrap();
        let mut options = options(Format::Oci, 2);
        options.oci.tag = tag.to_owned();
        try_write(&image, &rootfs, Format::Oci, &options, &documents).unwrap();
        sizes.push(fs::read_dir(image.join("blobs/sha256")).unwrap().count());
    }
    assert_eq!(sizes, [5, 8, 11], "two of three layers are shared");
    let tags = module_export::image::oci::tags(&image).unwrap().unwrap();
    assert_eq!(tags, ["1", "2"]);
    let error = ours(&image).unwrap_err().to_string();
    assert!(error.contains("several images") && error.contains('1'), "{error}");
    for (tag, content) in [("1", "a"), ("2", "c")] {
        let tree = ours(&work.path().join(format!("image:{tag}"))).unwrap();
        let Shown::File(.., digest, _) = &tree["/lib/x"] else { panic!("{:?}", tree["/lib/x"]) };
        assert_eq!(*digest, Digest::of(content.as_bytes()), "{tag}");
    }
    assert!(ours(&work.path().join("image:3")).unwrap_err().to_string().contains("no image with"));
    let names: Vec<PathBuf> = fs::read_dir(&image).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn a_damaged_blob_of_a_layout_is_written_anew() {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image");
    let (rootfs, documents) = layered();
    let options = options(Format::Oci, 2);
    let write = || try_write(&image, &rootfs, Format::Oci, &options, &documents).unwrap();
    write();
    let blobs = image.join("blobs/sha256");
    let all = || -> BTreeMap<PathBuf, Vec<u8>> {
        let paths = fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path());
        paths.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
    };
    let whole = all();
    for (path, bytes) in &whole {
        // one is cut, in another a byte differs
        for damaged in [&bytes[..bytes.len() / 2], &[&[!bytes[0]], &bytes[1..]].concat()] {
            fs::write(path, damaged).unwrap();
            write();
            assert!(all() == whole, "{}", path.display());
        }
    }
}

#[test]
fn a_failed_export_leaves_a_layout_as_it_was() {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image");
    let (rootfs, documents) = layered();
    try_write(&image, &rootfs, Format::Oci, &options(Format::Oci, 2), &documents).unwrap();
    let before = on_disk(&image);
    let mut broken = rootfs.clone();
    let gone = module_export::rootfs::Content::Host("/gone".into());
    broken.add_file(&path("/zz/gone"), File { content: gone, size: 5, ..bytes("") }).unwrap();
    let changed = File { reason: "one:".into(), ..bytes("new") };
    broken.add_file(&path("/lib/new"), changed).unwrap();
    let error = try_write(&image, &broken, Format::Oci, &options(Format::Oci, 2), &documents);
    assert!(error.unwrap_err().to_string().contains("/gone"));
    let mut after = on_disk(&image);
    let mut before = before;
    for tree in [&mut before, &mut after] {
        tree.retain(|name, _| !name.ends_with("sha256") && name != "/");
    }
    assert_same(&after, &before, "layout");
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let work = tempfile::tempdir().unwrap();
    let (rootfs, documents) = layered();
    for format in
        [Format::Tar, Format::TarGz, Format::TarZst, Format::OciArchive, Format::DockerArchive]
    {
        let write = |jobs: usize| {
            let image = work.path().join(format!("{jobs}.{}", format.extension()));
            try_write(&image, &rootfs, format, &options(format, jobs), &documents).unwrap();
            fs::read(&image).unwrap()
        };
        let first = write(1);
        for jobs in [2, 7] {
            assert!(write(jobs) == first, "{format} by {jobs} threads");
        }
        let mut flipped = first.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        assert!(flipped != first, "a comparison that cannot fail is none");
    }
}

#[test]
fn a_stream_of_nothing_is_a_stream() {
    let work = tempfile::tempdir().unwrap();
    let rootfs = Rootfs::new(IMPLIED);
    for format in STREAMS {
        let archive = work.path().join(format!("empty.{}", format.extension()));
        try_write(&archive, &rootfs, format, &options(format, 1), &BTreeMap::new()).unwrap();
        let root = work.path().join(format.to_string());
        fs::create_dir(&root).unwrap();
        untar(&archive, &root);
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    }
}
