//! The same session gives the same bytes whoever exports it, wherever, and however the stack
//! happens to lie on its disk: every format, by a comparison that is shown to fail.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use module_export::base::fs::sorted_dir;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::session::{Session, eessi};
use crate::common::{Scope, TestEnv, differences, flip_a_bit, is_root, skip};

/// Circumstances of an export, none of which may matter.
struct Circumstances {
    name: &'static str,
    /// Nobody that this machine knows; only root can be somebody else.
    user: Option<u32>,
    umask: &'static str,
    zone: &'static str,
    locale: &'static str,
    jobs: &'static str,
    /// Whether the stack and what is included lie on another file system, where their directories
    /// were filled the other way round.
    rebuilt: bool,
    /// Whether scratch and destination lie on another file system.
    memory: bool,
    /// Whether the unfinished image is somewhere else than the finished one.
    tmpdir: bool,
}

const CIRCUMSTANCES: [Circumstances; 3] = [
    Circumstances {
        name: "one",
        user: None,
        umask: "0",
        zone: "UTC",
        locale: "C",
        jobs: "1",
        rebuilt: false,
        memory: false,
        tmpdir: false,
    },
    Circumstances {
        name: "two",
        user: Some(64_001),
        umask: "077",
        zone: "Asia/Tokyo",
        locale: "tr_TR.UTF-8",
        jobs: "2",
        rebuilt: true,
        memory: true,
        tmpdir: false,
    },
    Circumstances {
        name: "three",
        user: Some(64_002),
        umask: "022",
        zone: "America/St_Johns",
        locale: "C.UTF-8",
        jobs: "7",
        rebuilt: false,
        memory: false,
        tmpdir: true,
    },
];

/// Where the stack is for everybody.
const STACK: &str = "/cvmfs/module-export.test";

/// What is exported, and where it lies otherwise.
struct World {
    env: TestEnv,
    session: Session,
    /// On another file system: `stack` and `extra` rebuilt, and room for images.
    memory: tempfile::TempDir,
}

impl World {
    fn new() -> Option<Self> {
        let env = TestEnv::new();
        let session = eessi(&env, "module load WhichTarget")?;
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        fs::set_permissions(memory.path(), Permissions::from_mode(0o755)).unwrap();
        let world = Self { env, session, memory };
        extra(&world.extra());
        if is_root() {
            rebuild(&world.extra(), &world.memory.path().join("extra"));
            rebuild(Path::new(STACK), &world.memory.path().join("stack"));
            world.check_that_orders_differ();
        } else {
            skip("not root: no other users, and no other file system below the same path");
        }
        Some(world)
    }

    /// A directory that `--include` packs.
    fn extra(&self) -> PathBuf {
        self.env.root().join("extra")
    }

    /// Rebuilding is to change something.
    fn check_that_orders_differ(&self) {
        let order = |directory: &Path| -> Vec<_> {
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        };
        let rebuilt = self.memory.path().join("extra");
        let (one, other) = (order(&self.extra().join("many")), order(&rebuilt.join("many")));
        assert!(one.len() == other.len() && one != other, "both directories have one order");
        let device = |path: &Path| path.metadata().unwrap().dev();
        assert_ne!(device(&rebuilt), device(Path::new(STACK)));
    }

    /// The directory `name` of these circumstances, for everybody to write into.
    fn place(&self, here: &Circumstances, name: &str) -> PathBuf {
        let top = if here.memory { self.memory.path() } else { self.env.root() };
        let place = top.join(here.name).join(name);
        fs::create_dir_all(&place).unwrap();
        fs::set_permissions(&place, Permissions::from_mode(0o777)).unwrap();
        place
    }

    fn export(&self, format: &str, here: &Circumstances) -> PathBuf {
        let destination = self.place(here, "images");
        let mut command = self.command(here);
        command.args(["container", "-a", "A", "-q", "-n", "x", "--epoch", "1795305600"]);
        command.args(["--format", format, "--jobs", here.jobs]);
        // which root could read, and others not
        command.args(["--exclude", "*/readable-by-root"]);
        command.arg("--include").arg(self.extra());
        command.arg("-d").arg(&destination);
        if here.tmpdir && format != "oci" && format != "sandbox" {
            command.arg("--tmpdir").arg(self.place(here, "tmpdir"));
        }
        let path = self.env.run(&mut command).success();
        let path = path.trim_end().replace("$ROOT", &self.env.root().to_string_lossy());
        assert!(Path::new(&path).starts_with(&destination), "{path}");
        path.into()
    }

    /// The program under test in these circumstances.
    fn command(&self, here: &Circumstances) -> Command {
        let memory = self.memory.path().display();
        let (mut mounts, mut command) = (String::new(), Command::new("/bin/sh"));
        if is_root() {
            command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "/bin/sh"]);
            if here.rebuilt {
                let extra = self.extra();
                mounts = format!(
                    "mount --bind {memory}/stack {STACK}; mount --bind {memory}/extra {};",
                    extra.display()
                );
            }
        }
        let user = here.user.filter(|_| is_root()).map_or(String::new(), |user| {
            format!("setpriv --reuid {user} --regid {user} --clear-groups --")
        });
        let script = format!(
            "set -e; {mounts} umask {}; cd {}; exec {user} \"$0\" \"$@\"",
            here.umask,
            self.place(here, "work").display()
        );
        command.args(["-c", &script, env!("CARGO_BIN_EXE_module-export")]);
        command.env_clear().envs(&self.session);
        for (name, value) in [("TZ", here.zone), ("LANG", here.locale), ("LC_ALL", here.locale)] {
            command.env(name, value);
        }
        for name in ["USER", "LOGNAME", "HOSTNAME"] {
            command.env(name, here.name);
        }
        command.env("HOME", self.place(here, "home")).env("TMPDIR", self.place(here, "tmp"));
        command
    }
}

/// A directory that has everything in it that is hard to write the same twice.
fn extra(top: &Path) {
    let noise = crate::image::tree::noise;
    for name in ["data", "many", "empty", "py/__pycache__", "open"] {
        fs::create_dir_all(top.join(name)).unwrap();
    }
    fs::write(top.join("data/large"), noise(1, 400_000)).unwrap();
    fs::hard_link(top.join("data/large"), top.join("a name before")).unwrap();
    fs::write(top.join("data/copy"), noise(1, 400_000)).unwrap();
    fs::File::create(top.join("data/sparse")).unwrap().set_len(1 << 20).unwrap();
    for number in 0..300_usize {
        fs::write(top.join(format!("many/{number}")), noise(2, number * 7)).unwrap();
    }
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe \xe4");
    fs::write(top.join(odd), "not text").unwrap();
    fs::write(top.join("a".repeat(255)), "long").unwrap();
    symlink("data/large", top.join("link")).unwrap();
    symlink("/nowhere", top.join("dangling")).unwrap();
    fs::write(top.join("open/file"), "for all").unwrap();
    fs::write(top.join("py/setuid"), "#!/bin/sh\n").unwrap();
    for (name, mode) in [("open/file", 0o666), ("open", 0o777), ("py/setuid", 0o6755)] {
        fs::set_permissions(top.join(name), Permissions::from_mode(mode)).unwrap();
    }
    let mut seconds = 1_500_000_000;
    set_times_below(top, &mut seconds);
}

/// Times with nanoseconds, of links too.
fn set_times_below(path: &Path, seconds: &mut i64) {
    if path.symlink_metadata().unwrap().is_dir() {
        for name in sorted_dir(path).unwrap() {
            set_times_below(&path.join(name), seconds);
        }
    }
    *seconds += 1;
    set_time(path, Timespec { tv_sec: *seconds, tv_nsec: 123_456_789 });
}

fn set_time(path: &Path, time: Timespec) {
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Copies a tree, everything in reverse order.
fn rebuild(from: &Path, to: &Path) {
    let mut linked = BTreeMap::new();
    rebuild_below(from, to, &mut linked);
}

fn rebuild_below(from: &Path, to: &Path, linked: &mut BTreeMap<u64, PathBuf>) {
    let found = from.symlink_metadata().unwrap();
    if found.is_symlink() {
        symlink(fs::read_link(from).unwrap(), to).unwrap();
    } else if found.is_dir() {
        fs::create_dir(to).unwrap();
        for name in sorted_dir(from).unwrap().iter().rev() {
            rebuild_below(&from.join(name), &to.join(name), linked);
        }
        fs::set_permissions(to, found.permissions()).unwrap();
    } else if let Some(first) = linked.get(&found.ino()) {
        fs::hard_link(first, to).unwrap();
    } else if found.is_file() {
        fs::copy(from, to).unwrap();
        linked.insert(found.ino(), to.to_owned());
    } else {
        // a socket or FIFO
        let copied = Command::new("cp").arg("--archive").arg(from).arg(to).status().unwrap();
        assert!(copied.success(), "{}", from.display());
    }
    set_time(to, Timespec { tv_sec: found.mtime(), tv_nsec: found.mtime_nsec() });
}

#[track_caller]
fn are_the_same_in_all_circumstances(formats: &[&str]) {
    let Some(world) = World::new() else { return };
    let [first, others @ ..] = &CIRCUMSTANCES;
    for format in formats {
        let scope = if *format == "oci" { Scope::Layout } else { Scope::Everything };
        let want = world.export(format, first);
        for here in others {
            let got = world.export(format, here);
            let found = differences(&got, &want, scope);
            assert!(found.is_empty(), "{format}, circumstances {}: {found:#?}", here.name);
            flip_a_bit(&got);
            let found = differences(&got, &want, scope);
            assert!(!found.is_empty(), "{format}: a comparison that cannot fail is none");
        }
    }
}

#[test]
fn sif_squashfs_and_tar_are_the_same_in_all_circumstances() {
    are_the_same_in_all_circumstances(&["sif", "squashfs", "tar"]);
}

#[test]
fn compressed_streams_and_docker_archives_are_the_same_in_all_circumstances() {
    are_the_same_in_all_circumstances(&["tar.gz", "tar.zst", "docker-archive"]);
}

#[test]
fn layouts_archives_of_them_and_sandboxes_are_the_same_in_all_circumstances() {
    are_the_same_in_all_circumstances(&["oci", "oci-archive", "sandbox"]);
}
