//! Archives that nobody means well with: none leads out of where it is unpacked, none fills memory
//! or disk, and what is refused is refused in words.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use module_export::base::{Interrupt, Silent};
use module_export::image::ImageError;
use module_export::image::read::unpack;
use tar::{EntryType, Header};

use super::read::ours;
use super::tools::{run, tool};
use super::tree::{Shown, Tree};

/// An archive under construction.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn header(kind: EntryType, name: &[u8], target: &[u8], size: u64) -> Header {
        let mut header = Header::new_ustar();
        let ustar = header.as_ustar_mut().unwrap();
        ustar.name[..name.len()].copy_from_slice(name);
        ustar.linkname[..target.len()].copy_from_slice(target);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(70_000);
        header.set_gid(70_000);
        header.set_size(size);
        header.set_mtime(1);
        header.set_cksum();
        header
    }

    fn raw(mut self, header: &Header, content: &[u8]) -> Self {
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        let size = content.len() as u64;
        self.raw(&Self::header(EntryType::Regular, name.as_bytes(), b"", size), content)
    }

    fn entry(self, kind: EntryType, name: &str, target: &str) -> Self {
        self.raw(&Self::header(kind, name.as_bytes(), target.as_bytes(), 0), b"")
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut all = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length =
                (1..9).map(|digits| rest + digits).find(|n| n.to_string().len() + rest == *n);
            all.extend(format!("{} {key}=", length.unwrap()).bytes());
            all.extend(*value);
            all.push(b'\n');
        }
        let size = all.len() as u64;
        self.raw(&Self::header(EntryType::XHeader, b"pax", b"", size), &all)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// Names with their kinds: `d`, `l`, `s`, or a file's size and number of names.
fn shape(tree: &Tree) -> Vec<String> {
    let kind = |shown: &Shown| match shown {
        Shown::Directory(..) => "d".to_owned(),
        Shown::Symlink(_, target) => format!("l {target}"),
        Shown::File(_, _, links, size, ..) => format!("{size}x{links}"),
        _ => "s".to_owned(),
    };
    tree.iter()
        .filter(|(name, _)| *name != "/")
        .map(|(name, shown)| format!("{name} {}", kind(shown)))
        .collect()
}

/// Reads and unpacks `archive` beside a file that nothing may touch.
fn taken(archive: &[u8]) -> Result<Vec<String>, String> {
    let work = tempfile::tempdir().unwrap();
    let (image, inside) = (work.path().join("image"), work.path().join("a/b/c"));
    fs::create_dir_all(inside.parent().unwrap()).unwrap();
    fs::write(work.path().join("canary"), "alive").unwrap();
    fs::write(&image, archive).unwrap();
    let read = ours(&image).map(|tree| shape(&tree));
    let unpacked = unpack(&image, &inside, &Silent, &Interrupt::default());
    assert_eq!(fs::read(work.path().join("canary")).unwrap(), b"alive");
    let mut names: Vec<_> = Vec::new();
    for directory in [".", "a", "a/b"] {
        names.extend(module_export::base::fs::sorted_dir(&work.path().join(directory)).unwrap());
    }
    names.retain(|name| name != "c");
    assert_eq!(names, ["a", "canary", "image", "b"], "written outside");
    let broken = |error: ImageError| match error {
        ImageError::Malformed { what, .. } => what,
        error => format!("not malformed: {error}"),
    };
    if read.is_err() {
        assert!(unpacked.is_err(), "{unpacked:?}");
    }
    read.map_err(broken)
}

#[test]
fn nothing_leads_out_of_an_archive() {
    let up = Archive::default().file("../escape", b"x");
    assert_eq!(taken(&up.end()).unwrap_err(), "the path `../escape` leads out of it");
    let deep = Archive::default().file("a/../../../canary", b"x");
    assert!(taken(&deep.end()).unwrap_err().contains("leads out of it"));
    let by_pax = Archive::default().pax(&[("path", b"x/../../canary")]).file("harmless", b"x");
    assert!(taken(&by_pax.end()).unwrap_err().contains("leads out of it"));
    for (archive, want) in [
        (Archive::default().file("/etc/x", b"12"), &["/etc d", "/etc/x 2x1"][..]),
        (
            Archive::default().entry(EntryType::Symlink, "up", "../../..").file("up/canary", b"1"),
            &["/canary 1x1", "/up l ../../.."],
        ),
        (
            Archive::default().entry(EntryType::Symlink, "tmp", "/var").file("tmp/canary", b"1"),
            &["/tmp l /var", "/var d", "/var/canary 1x1"],
        ),
        (
            Archive::default()
                .entry(EntryType::Symlink, "b", "/a")
                .entry(EntryType::Directory, "b/", "")
                .file("b/c", b"1"),
            &["/b d", "/b/c 1x1"],
        ),
    ] {
        assert_eq!(taken(&archive.end()).unwrap(), want);
    }
}

#[test]
fn links_are_to_files_of_the_archive_or_refused() {
    for (target, want) in [
        ("first", Ok(["/first 3x2", "/second 3x2"])),
        ("./first", Ok(["/first 3x2", "/second 3x2"])),
        ("/first", Ok(["/first 3x2", "/second 3x2"])),
        ("../../first", Ok(["/first 3x2", "/second 3x2"])),
        ("/etc/passwd", Err("a hard link to `/etc/passwd`, which is no file in it")),
        ("../canary", Err("a hard link to `../canary`, which is no file in it")),
        ("", Err("a hard link to ``, which is no file in it")),
    ] {
        let archive =
            Archive::default().file("first", b"abc").entry(EntryType::Link, "second", target);
        let found = taken(&archive.end());
        assert_eq!(
            found,
            want.map(|names| names.map(str::to_owned).into()).map_err(str::to_owned),
            "{target}"
        );
    }
    let mut many = Archive::default();
    for number in 0..50 {
        many = many.entry(EntryType::Symlink, &format!("l{number}"), &format!("l{}", number + 1));
    }
    assert_eq!(taken(&many.file("l0/x", b"").end()).unwrap_err(), "its links go round in a circle");
}

#[test]
fn odd_entries_are_taken_as_tar_means_them() {
    for (what, archive, want) in [
        (
            "the last of several wins",
            Archive::default().file("a", b"1").file("a", b"22").file("./a", b"333"),
            &["/a 3x1"][..],
        ),
        (
            "a directory in place of a file, and the other way round",
            Archive::default()
                .file("a", b"1")
                .entry(EntryType::Directory, "a/", "")
                .file("a/b", b"")
                .file("a", b"1"),
            &["/a 1x1"],
        ),
        (
            "whiteouts, which are nothing special outside of layers",
            Archive::default().file("gone", b"").file(".wh.gone", b"1"),
            &["/.wh.gone 1x1", "/gone 0x1"],
        ),
        (
            "a name that looks like records",
            Archive::default().pax(&[("path", b"a\n15 path=/etc/x\n")]).file("f", b"1"),
            &["/a\\n15 path= d", "/a\\n15 path=/etc d", "/a\\n15 path=/etc/x\\n 1x1"],
        ),
        (
            "devices, which no user can make",
            Archive::default().entry(EntryType::Char, "null", "").entry(
                EntryType::Block,
                "sda",
                "",
            ),
            &["/null s", "/sda s"],
        ),
        (
            "a comment for all entries, as git writes it",
            Archive::default()
                .raw(
                    &Archive::header(EntryType::XGlobalHeader, b"g", b"", 16),
                    b"16 comment=abcd\n",
                )
                .file("a", b"1"),
            &["/a 1x1"],
        ),
    ] {
        assert_eq!(taken(&archive.end()).unwrap(), want, "{what}");
    }
    let below_a_file = Archive::default().file("a", b"1").file("a/b", b"1");
    assert!(taken(&below_a_file.end()).unwrap_err().contains("`/a` is no directory"));
}

#[test]
fn sizes_that_lie_are_found_out() {
    let lie = |size: u64| {
        let header = Archive::header(EntryType::Regular, b"f", b"", size);
        Archive::default().raw(&header, b"x").end()
    };
    for size in [10_000, 1 << 33, 1 << 62, u64::MAX - 600, u64::MAX] {
        let what = taken(&lie(size)).unwrap_err();
        assert!(!what.starts_with("not malformed"), "{size}: {what}");
    }
    // the long name of a future entry, as long as the archive
    let mut archive = Archive::header(EntryType::XHeader, b"x", b"", 1 << 40).as_bytes().to_vec();
    archive.resize(8 << 20, b'9');
    assert!(taken(&archive).unwrap_err().contains("a header of more than 1048576 bytes"));
    for kind in [EntryType::GNULongName, EntryType::GNULongLink] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(1 << 40);
        header.set_cksum();
        let mut archive = header.as_bytes().to_vec();
        archive.resize(4 << 20, b'n');
        assert!(taken(&archive).unwrap_err().contains("a header of more than"), "{kind:?}");
    }
    let long = vec![b'n'; 70_000];
    let archive = Archive::default().pax(&[("path", &long)]).file("f", b"");
    assert!(taken(&archive.end()).unwrap_err().contains("a path of more than 65536 bytes"));
}

#[test]
fn directories_that_are_only_implied_do_not_fill_the_memory() {
    // it brings 32760 directories, whose paths take 1 GiB
    let path = b"/d".repeat(32_760);
    let archive = Archive::default().pax(&[("path", &path)]).file("f", b"");
    assert_eq!(taken(&archive.end()).unwrap_err(), "very many paths that are very deep");
}

#[test]
fn a_tree_as_deep_as_people_make_them_is_read() {
    let mut archive = Archive::default();
    for depth in 1..=700 {
        let path = b"/d".repeat(depth);
        archive = archive.pax(&[("path", &path)]).entry(EntryType::Directory, "d", "");
    }
    let path = [&b"/d".repeat(700)[..], b"/f"].concat();
    let names = taken(&archive.pax(&[("path", &path)]).file("f", b"1").end()).unwrap();
    assert_eq!(names.len(), 701);
    assert_eq!(names.last().unwrap(), &format!("{}/f 1x1", "/d".repeat(700)));
}

#[test]
fn what_was_a_directory_is_looked_up_again_once_something_else_is_there() {
    let archive = Archive::default()
        .file("a/b/one", b"1")
        .entry(EntryType::Symlink, "a/b", "../c")
        .file("a/b/two", b"22");
    let want = ["/a d", "/a/b l ../c", "/c d", "/c/two 2x1"];
    assert_eq!(taken(&archive.end()).unwrap(), want);
}

#[test]
fn sparse_files_of_others_are_refused_by_name() {
    let Some(tar) = tool("tar") else { return };
    let work = tempfile::tempdir().unwrap();
    fs::create_dir(work.path().join("in")).unwrap();
    let file = fs::File::create(work.path().join("in/holes")).unwrap();
    file.set_len(1 << 20).unwrap();
    (&file).write_all(b"start").unwrap();
    for how in [
        &["--format=gnu"][..],
        &["--format=pax"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=0.0"],
    ] {
        let archive = work.path().join("archive");
        let mut packing = Command::new(&tar);
        packing.args(["--create", "--sparse", "--file"]).arg(&archive).args(how);
        run(packing.arg("--directory").arg(work.path()).arg("in"));
        let what = taken(&fs::read(&archive).unwrap()).unwrap_err();
        assert!(what.contains("holes` was packed as a sparse file"), "{how:?}: {what}");
    }
}

/// `size` bytes of zeros, compressed.
fn squeezed(zstd: bool, size: usize) -> Vec<u8> {
    let zeros = vec![0; size];
    if zstd {
        return zstd::encode_all(zeros.as_slice(), 3).unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&zeros).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_archive_that_unpacks_to_very_much_is_refused() {
    for (zstd, size) in [(false, 16 << 20), (true, 64 << 20)] {
        // one stream after the other, of which there might be any number: 320 MB in 1 MB at most
        let piece = squeezed(zstd, size);
        let bomb = piece.repeat((320 << 20) / size);
        assert!(bomb.len() < 1_400_000);
        let what = taken(&bomb).unwrap_err();
        let compressed = bomb.len();
        let most = (compressed * 200).max(256 << 20);
        assert_eq!(
            what,
            format!("its {compressed} bytes become more than {most}, as no image does")
        );
    }
}

/// A layout whose only layer is `layer`.
fn layout(top: &Path, layer: &[u8]) {
    fs::create_dir_all(top.join("blobs/sha256")).unwrap();
    let blob = |bytes: &[u8]| {
        let digest = module_export::base::Digest::of(bytes).to_string();
        fs::write(top.join("blobs/sha256").join(&digest), bytes).unwrap();
        format!("sha256:{digest}")
    };
    let manifest = format!(r#"{{"layers":[{{"digest":"{}"}}]}}"#, blob(layer));
    let index = format!(r#"{{"manifests":[{{"digest":"{}"}}]}}"#, blob(manifest.as_bytes()));
    fs::write(top.join("index.json"), index).unwrap();
    fs::write(top.join("oci-layout"), "{}").unwrap();
}

#[test]
fn layers_are_bounded_as_archives_are() {
    let work = tempfile::tempdir().unwrap();
    let error = |layer: &[u8]| {
        let top = work.path().join("layout");
        layout(&top, layer);
        let error = ours(&top).unwrap_err().to_string();
        fs::remove_dir_all(&top).unwrap();
        error
    };
    let bomb = squeezed(true, 64 << 20).repeat(5);
    assert!(error(&bomb).ends_with("as no image does"));
    assert!(error(&Archive::default().file("../x", b"").end()).ends_with("leads out of it"));
    assert!(error(b"no tar stream").contains("is no readable image"));
    let top = work.path().join("whiteouts");
    let layer =
        Archive::default().file(".wh.gone", b"").file("d/.wh..wh..opq", b"").file("d/x", b"1");
    layout(&top, &layer.end());
    assert_eq!(shape(&ours(&top).unwrap()), ["/d d", "/d/x 1x1"]);
    let top = work.path().join("elsewhere");
    layout(&top, &Archive::default().file("x", b"").end());
    for digest in ["sha256:../../../../etc/passwd", "md5:0", "sha256:", ""] {
        let index = format!(r#"{{"manifests":[{{"digest":"{digest}"}}]}}"#);
        fs::write(top.join("index.json"), index).unwrap();
        let error = ours(&top).unwrap_err().to_string();
        assert!(error.contains("is no SHA-256 digest"), "{error}");
    }
    for index in ["", "[]", "{", r#"{"manifests":[]}"#, &"[".repeat(100_000)] {
        fs::write(top.join("index.json"), index).unwrap();
        let error = ours(&top).unwrap_err().to_string();
        assert!(error.contains("is no readable image"), "{error}");
    }
}

#[test]
fn a_root_file_system_may_have_files_that_are_named_as_an_images_are() {
    for documents in [&["index.json"][..], &["manifest.json"], &["index.json", "manifest.json"]] {
        for text in ["{}", "[]", "no JSON", r#"[{"Config":"x"}]"#, r#"{"manifests":[]}"#] {
            let archive = documents
                .iter()
                .fold(Archive::default(), |archive, name| archive.file(name, text.as_bytes()));
            let want: Vec<_> =
                documents.iter().map(|name| format!("/{name} {}x1", text.len())).collect();
            assert_eq!(taken(&archive.file("x", b"1").end()).unwrap()[..want.len()], want);
        }
    }
}

#[test]
fn a_layer_that_docker_saved_as_a_link_to_another_is_found() {
    let layer = Archive::default().file("one", b"1").end();
    let manifest = |layers: &str| format!(r#"[{{"Config":"c.json","Layers":[{layers}]}}]"#);
    let saved = |manifest: &str| {
        Archive::default()
            .file("manifest.json", manifest.as_bytes())
            .file("c.json", b"{}")
            .file("a/layer.tar", &layer)
            .entry(EntryType::Symlink, "b/layer.tar", "../a/layer.tar")
            .entry(EntryType::Link, "c/layer.tar", "./a/layer.tar")
            .entry(EntryType::Symlink, "d/layer.tar", "../../../../c/layer.tar")
            .entry(EntryType::Symlink, "e/layer.tar", "layer.tar")
            .end()
    };
    for name in ["a", "b", "c", "d"] {
        let manifest = manifest(&format!(r#""{name}/layer.tar""#));
        assert_eq!(taken(&saved(&manifest)).unwrap(), ["/one 1x1"], "{name}");
    }
    let error = taken(&saved(&manifest(r#""e/layer.tar""#))).unwrap_err();
    assert_eq!(error, "it has no `e/layer.tar`");
}

#[test]
fn an_image_of_many_owners_is_read() {
    owners_are_read(2000);
}

#[test]
#[ignore = "mksquashfs takes a minute for so many owners"]
fn an_image_of_65535_owners_is_read() {
    owners_are_read(65_535);
}

/// Reads an image by others whose directories have so many owners, as many as there can be.
fn owners_are_read(count: u16) {
    let Some(mksquashfs) = tool("mksquashfs") else { return };
    let work = tempfile::tempdir().unwrap();
    let (image, archive) = (work.path().join("image"), work.path().join("archive"));
    let mut owned = Archive::default();
    for id in 0..u64::from(count) {
        let name = format!("d{id}/");
        let mut header = Archive::header(EntryType::Directory, name.as_bytes(), b"", 0);
        header.set_uid(id);
        header.set_gid(0);
        header.set_cksum();
        owned = owned.raw(&header, b"");
    }
    fs::write(&archive, owned.end()).unwrap();
    let mut making = Command::new(mksquashfs);
    making.arg("-").arg(&image).args(["-tar", "-no-progress", "-comp", "zstd"]);
    run(making.stdin(fs::File::open(&archive).unwrap()));
    let ids = u16::from_le_bytes(fs::read(&image).unwrap()[26..28].try_into().unwrap());
    assert_eq!(ids, count);
    assert_eq!(ours(&image).unwrap().len(), usize::from(count) + 1);
    assert_eq!(ours(&archive).unwrap().len(), usize::from(count) + 1);
}
