//! SIF files: what Apptainer says to them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use module_export::base::{Digest, Epoch};
use module_export::image::sif::{Architecture, SifOptions};
use module_export::image::{Format, Written};
use module_export::rootfs::{Content, File, Metadata, Rootfs, Symlink};

use super::samples::COMPRESSIONS;
use super::tools::{Mounted, is_root, run, skip, tool};
use super::tree::{IMPLIED, assert_same, bytes, expected, on_disk, path};
use super::write::{sif_options, write_format};

/// A user that the tests' set-up makes.
const ORDINARY: &str = "module-export-tester";

/// A root file system in which one static program is everything.
fn busybox_rootfs(busybox: &Path) -> Rootfs {
    let mut rootfs = Rootfs::new(IMPLIED);
    let program = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
    let file = File {
        metadata: program,
        size: fs::metadata(busybox).unwrap().len(),
        content: Content::Host(busybox.to_owned()),
        reason: "t:".into(),
    };
    rootfs.add_file(&path("/bin/busybox"), file).unwrap();
    for name in ["sh", "cat", "echo", "find", "id", "ls", "test", "true"] {
        let link =
            Symlink { mtime: Epoch::GENERATED, target: b"busybox".into(), reason: "t:".into() };
        rootfs.add_symlink(&path(format!("/bin/{name}")), link).unwrap();
    }
    for name in ["dev", "etc", "home", "proc", "root", "run", "sys", "usr", "var"] {
        rootfs.add_directory(&path(format!("/{name}")), program).unwrap();
    }
    for name in ["/tmp", "/var/tmp"] {
        rootfs.add_directory(&path(name), Metadata { mode: 0o1777, ..program }).unwrap();
    }
    for name in ["passwd", "group", "hosts", "resolv.conf", "nsswitch.conf", "localtime"] {
        rootfs.add_file(&path(format!("/etc/{name}")), bytes("")).unwrap();
    }
    let environment = "export FROZEN=yes\n";
    rootfs.add_file(&path("/.singularity.d/env/90-environment.sh"), bytes(environment)).unwrap();
    let runscript = File { metadata: program, ..bytes("#!/bin/sh\nexec \"$@\"\n") };
    rootfs.add_file(&path("/.singularity.d/runscript"), runscript).unwrap();
    rootfs.add_file(&path("/data/hello"), bytes("hello from inside\n")).unwrap();
    rootfs
}

fn write_sif(at: &Path, rootfs: &Rootfs, options: &SifOptions) -> Written {
    write_format(at, rootfs, Format::Sif, options)
}

/// `apptainer` as this user, and as an ordinary one if this is root.
fn apptainers() -> Vec<(&'static str, Vec<String>)> {
    let Some(program) = tool("apptainer") else { return Vec::new() };
    let program = program.into_os_string().into_string().unwrap();
    let mut all = vec![("this user", vec![program.clone()])];
    if is_root() {
        let home = format!("/home/{ORDINARY}");
        if Path::new(&home).is_dir() {
            let home = format!("HOME={home}");
            let words = ["setpriv", "--reuid", ORDINARY, "--regid", ORDINARY, "--init-groups"];
            let rest = ["env", "-i", &home, "PATH=/usr/bin:/bin", &program];
            all.push((
                "ordinary user",
                words.iter().chain(&rest).map(ToString::to_string).collect(),
            ));
        } else {
            skip(&format!("no user {ORDINARY}"));
        }
    }
    all
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir("/");
    command
}

#[test]
fn apptainer_runs_inspects_and_lists_our_sif() {
    let Some(busybox) = tool("busybox") else { return };
    let rootfs = busybox_rootfs(&busybox);
    let work = tempfile::tempdir().unwrap();
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for compression in COMPRESSIONS {
        let image = work.path().join("image.sif");
        let mut options = sif_options();
        options.squashfs.compression = compression;
        write_sif(&image, &rootfs, &options);
        for (who, words) in apptainers() {
            let exec = run(command(&words).args(["exec", "--containall"]).arg(&image).args([
                "sh",
                "-c",
                "cat /data/hello; echo $FROZEN",
            ]));
            assert_eq!(exec.stdout, b"hello from inside\nyes\n", "{who}");
            let run_it = run(command(&words).arg("run").arg(&image).args(["echo", "ran"]));
            assert_eq!(run_it.stdout, b"ran\n", "{who}");
            let labels = run(command(&words).arg("inspect").arg(&image));
            assert_eq!(labels.stdout, b"Author: A. Author\nVersion: 1\n", "{who}");
            let definition = run(command(&words).args(["inspect", "--deffile"]).arg(&image));
            assert!(definition.stdout.starts_with(b"Bootstrap: module-export"), "{who}");
            let list = run(command(&words).args(["sif", "list"]).arg(&image));
            let list = String::from_utf8(list.stdout).unwrap();
            for object in ["Def.FILE", "JSON.Generic", "SBOM", "FS (Squashfs/*System/amd64)"] {
                let object = object.replace("amd64", go_architecture());
                assert!(list.contains(&object), "{object} in {list}");
            }
        }
    }
}

fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[test]
fn the_partition_of_a_sif_can_be_mounted_from_its_offset() {
    let mut rootfs = Rootfs::new(IMPLIED);
    rootfs.add_file(&path("/file"), bytes("content")).unwrap();
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.sif");
    let written = write_sif(&image, &rootfs, &sif_options());
    let (partition, _) = written.squashfs.unwrap();
    assert_eq!(partition.start % 4096, 0);
    assert_eq!(partition.end % 4096, 0);
    let want = expected(&rootfs, &BTreeMap::new());
    let start = partition.start;
    if let Some(mounted) = Mounted::kernel(&image, start, &work.path().join("kernel")) {
        assert_same(&on_disk(mounted.path()), &want, "kernel");
    }
    if let Some(mounted) = Mounted::fuse(&image, start, &work.path().join("fuse")) {
        assert_same(&on_disk(mounted.path()), &want, "squashfuse");
    }
}

#[test]
fn the_digest_is_that_of_the_file_and_the_identity_that_of_the_content() {
    let mut rootfs = Rootfs::new(IMPLIED);
    rootfs.add_file(&path("/file"), bytes("content")).unwrap();
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.sif");
    let first = write_sif(&image, &rootfs, &sif_options());
    let file = fs::read(&image).unwrap();
    assert_eq!((first.size, first.digest), (file.len() as u64, Some(Digest::of(&file))));
    assert_eq!(&file[48..64], &first.uuid.unwrap());
    assert!(file.starts_with(b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0"));

    // over something longer, and other words around the same tree
    fs::write(&image, vec![0xff; 1 << 20]).unwrap();
    let again = write_sif(&image, &rootfs, &sif_options());
    assert_eq!(again, first);
    assert_eq!(fs::read(&image).unwrap(), file);

    rootfs.add_file(&path("/other"), bytes("content")).unwrap();
    assert_ne!(write_sif(&image, &rootfs, &sif_options()).uuid, first.uuid);
    let squashfs = write_format(&image, &rootfs, Format::Squashfs, &sif_options());
    assert_eq!(squashfs.digest, Some(Digest::of(&fs::read(&image).unwrap())));
}

#[test]
fn every_architecture_has_its_code_in_the_header() {
    let work = tempfile::tempdir().unwrap();
    for (architecture, code) in [
        (Architecture::X86_64, b"02\0"),
        (Architecture::Aarch64, b"04\0"),
        (Architecture::Riscv64, b"12\0"),
    ] {
        let image = work.path().join("image.sif");
        let options = SifOptions { architecture, ..sif_options() };
        write_sif(&image, &Rootfs::new(IMPLIED), &options);
        assert_eq!(&fs::read(&image).unwrap()[45..48], code);
    }
}

/// Bytes of the object in `slot`, as Apptainer finds it.
fn dumped(words: &[String], image: &Path, slot: &str) -> Vec<u8> {
    run(command(words).args(["sif", "dump", slot]).arg(image)).stdout
}

#[test]
fn apptainer_shows_header_and_objects_as_they_are() {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.sif");
    let Some((_, words)) = apptainers().into_iter().next() else { return };
    let mut options = sif_options();
    let shown = |options: &SifOptions, what: &[&str]| {
        write_sif(&image, &Rootfs::new(IMPLIED), options);
        let output = run(command(&words).args(["sif"]).args(what).arg(&image));
        String::from_utf8(output.stdout).unwrap()
    };
    for (architecture, name) in [
        (Architecture::X86_64, "amd64"),
        (Architecture::Aarch64, "arm64"),
        (Architecture::Riscv64, "riscv64"),
    ] {
        options.architecture = architecture;
        let header = shown(&options, &["header"]);
        for line in [
            &format!("Primary Architecture: {name}"),
            "Created At:           2023-11-14 22:13:20 +0000 UTC",
            "Descriptors Free:     44",
            "Descriptors Total:    48",
            "Data Offset:          32176",
        ] {
            assert!(header.contains(line), "{line}: {header}");
        }
        assert!(shown(&options, &["list"]).contains(&format!("*System/{name}")));
    }
    let sbom = shown(&options, &["info", "3"]);
    for line in ["Data Type:  SBOM", "Format:     spdx-json", "Name:       sbom.spdx.json"] {
        let (field, value) = line.split_once(':').unwrap();
        let is_there = |shown: &str| {
            shown
                .split_once(':')
                .is_some_and(|(f, v)| f.trim() == field && v.trim() == value.trim())
        };
        assert!(sbom.lines().any(is_there), "{line}: {sbom}");
    }
    for (slot, bytes) in
        [("1", &options.definition), ("2", &options.inspect_metadata), ("3", &options.sbom)]
    {
        assert_eq!(&dumped(&words, &image, slot), bytes);
    }
    options.sbom.clear();
    assert!(!shown(&options, &["list"]).contains("SBOM"), "no object without content");
}

#[test]
fn objects_are_added_and_the_image_is_signed_and_verified() {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image.sif");
    let Some((_, words)) = apptainers().into_iter().next() else { return };
    let Some(openssl) = tool("openssl") else { return };
    let mut rootfs = Rootfs::new(IMPLIED);
    rootfs.add_file(&path("/file"), bytes("content")).unwrap();
    let written = write_sif(&image, &rootfs, &sif_options());
    let (partition, _) = written.squashfs.unwrap();
    let before = fs::read(&image).unwrap();
    let at = |name: &str| work.path().join(name);
    fs::write(at("note"), "a note").unwrap();
    let add = ["sif", "add", "--datatype", "7", "--groupid", "1"];
    run(command(&words).args(add).arg(&image).arg(at("note")));
    assert_eq!(dumped(&words, &image, "5"), b"a note");
    let (key, public) = (at("key.pem"), at("public.pem"));
    run(Command::new(&openssl).args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&key));
    run(Command::new(&openssl).args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public));
    run(command(&words).args(["sign", "--key"]).arg(&key).arg(&image));
    let verify = || {
        let mut verify = command(&words);
        verify.args(["verify", "--all", "--key"]).arg(&public).arg(&image);
        verify.output().unwrap().status.success()
    };
    assert!(verify());
    let start = usize::try_from(partition.start).unwrap();
    let end = usize::try_from(partition.end).unwrap();
    let mut signed = fs::read(&image).unwrap();
    assert_eq!(signed[start..end], before[start..end], "the root file system stays where it is");
    signed[start + 200] ^= 1;
    fs::write(&image, signed).unwrap();
    assert!(!verify(), "a changed image is no longer the signed one");
}
