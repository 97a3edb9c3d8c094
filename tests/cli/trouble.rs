//! What ends an export or the reading of an image early, in every format: a status, words, and
//! nothing left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use module_export::base::fs::sorted_dir;

use super::session::{Session, eessi, module_export};
use crate::common::{TestEnv, is_root, skip, tool};

const FILES: [&str; 7] =
    ["sif", "squashfs", "tar", "tar.gz", "tar.zst", "oci-archive", "docker-archive"];
const DIRECTORIES: [&str; 2] = ["oci", "sandbox"];

fn words(format: &str) -> String {
    let plain = ["sif", "squashfs", "oci", "oci-archive"].contains(&format);
    let compression = if plain { "--compression none" } else { "" };
    format!("container -a A -q -n x --format {format} {compression}")
}

/// Exports into the working directory; returns the image.
fn export(env: &TestEnv, session: &Session, format: &str) -> PathBuf {
    let path = env.run(&mut module_export(env, session, &words(format))).success();
    path.trim_end().replace("$ROOT", &env.root().to_string_lossy()).into()
}

/// The largest file of an image, or the image itself.
fn largest_file(image: &Path) -> (u64, PathBuf) {
    if !image.is_dir() {
        return (image.metadata().unwrap().len(), image.to_owned());
    }
    let below = sorted_dir(image).unwrap().into_iter().map(|name| image.join(name));
    let sizes = below.filter(|path| !path.is_symlink()).map(|path| largest_file(&path));
    sizes.max().unwrap_or_default()
}

fn clear(image: &Path) {
    assert!(Command::new("rm").arg("-rf").arg(image).status().unwrap().success());
}

#[track_caller]
fn assert_nothing_left(env: &TestEnv, what: &str) {
    for name in ["work", "tmp"] {
        let left = sorted_dir(&env.root().join(name)).unwrap();
        assert!(left.is_empty(), "{what}: {left:?} in {name}");
    }
}

/// As on a disk that takes no further byte of a file: the limit fails a write as that does, at
/// exactly this byte.
fn no_file_grows_beyond_any_byte(formats: &[&str]) {
    let Some(prlimit) = tool("prlimit") else { return };
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    for format in formats {
        let image = export(&env, &session, format);
        let size = largest_file(&image).0;
        clear(&image);
        for limit in [1, size / 2 + 13, size - 1] {
            let plain = module_export(&env, &session, &words(format));
            let mut command = env.command("/bin/sh");
            command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(&prlimit);
            command.arg(format!("--fsize={limit}")).arg("--");
            command.arg(plain.get_program()).args(plain.get_args());
            for (name, value) in plain.get_envs() {
                command.env(name, value.unwrap());
            }
            let ran = env.run(&mut command);
            let what = format!("{format} up to byte {limit} of {size}: {ran}");
            assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{what}");
            assert!(ran.stderr.contains("error: cannot write"), "{what}");
            assert!(ran.stderr.contains("File too large"), "{what}");
            assert_nothing_left(&env, &what);
        }
    }
}

#[test]
fn a_file_that_cannot_grow_at_any_byte_leaves_nothing() {
    no_file_grows_beyond_any_byte(&FILES[..4]);
}

#[test]
fn an_archive_or_directory_that_cannot_grow_at_any_byte_leaves_nothing() {
    no_file_grows_beyond_any_byte(&FILES[4..]);
    no_file_grows_beyond_any_byte(&DIRECTORIES);
}

#[test]
fn a_disk_that_somebody_else_fills_meanwhile_has_its_own_status() {
    if !is_root() {
        return skip("only root can mount a small file system");
    }
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load MiniSim") else { return };
    for format in ["sif", "oci-archive", "oci"] {
        let disk = env.work();
        env.run(env.command("mount").args(["-t", "tmpfs", "-o", "size=400m", "none"]).arg(&disk))
            .success();
        let words =
            format!("container -a A -n x -q --format {format} --compression gzip:12 --jobs 1");
        let child = module_export(&env, &session, &words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        // beyond the check of the space
        while used(&disk) < 1 << 20 {
            assert!(begun.elapsed() < Duration::from_secs(30), "no export began");
            std::thread::sleep(Duration::from_millis(2));
        }
        fill(&disk);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let left = sorted_dir(&disk).unwrap();
        env.run(env.command("umount").arg(&disk).current_dir("/")).success();
        assert_eq!(output.status.code(), Some(4), "{format}: {said}");
        assert!(said.contains("No space left on device"), "{format}: {said}");
        assert_eq!(left, ["filler"], "{format}");
        assert_nothing_left(&env, format);
    }
}

/// Bytes in use.
fn used(disk: &Path) -> u64 {
    let space = rustix::fs::statvfs(disk).unwrap();
    (space.f_blocks - space.f_bfree) * space.f_frsize
}

/// Takes all the room there is.
fn fill(disk: &Path) {
    let file = fs::File::create(disk.join("filler")).unwrap();
    let mut at = 0;
    for piece in [1 << 20, 4096] {
        let flags = rustix::fs::FallocateFlags::empty();
        while rustix::fs::fallocate(&file, flags, at, piece).is_ok() {
            at += piece;
        }
    }
}

#[test]
fn a_truncated_image_is_named_by_inspect_and_run() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    for format in FILES.into_iter().chain(["oci"]) {
        let image = export(&env, &session, format);
        let (size, file) = largest_file(&image);
        for part in [2, 10, 4000] {
            fs::File::options().write(true).open(&file).unwrap().set_len(size / part).unwrap();
            for verb in ["inspect", "run"] {
                let ran = env.run(env.module_export().arg(verb).arg(&image));
                let what = format!("{verb} of 1/{part} of {format}: {ran}");
                assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{what}");
                assert!(
                    ran.stderr.starts_with("error: ") && ran.stderr.contains("$ROOT/work/x."),
                    "{what}"
                );
                assert_eq!(sorted_dir(&env.root().join("tmp")).unwrap(), [""; 0], "{what}");
            }
        }
        clear(&image);
    }
}
