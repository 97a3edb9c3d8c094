//! Programs of others.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(super) use crate::common::{is_root, skip, tool};

/// Runs a command that must succeed.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A mount that goes away with this value.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Mounts `image` (from `offset` on) read-only on the new directory `at`.
    pub(super) fn kernel(image: &Path, offset: u64, at: &Path) -> Option<Self> {
        if !is_root() {
            skip("not root: no kernel mount");
            return None;
        }
        std::fs::create_dir(at).unwrap();
        let options = format!("loop,ro,offset={offset}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "squashfs", "-o", &options]).arg(image).arg(at);
        let output = mount.output().unwrap();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            let unable = ["unknown filesystem", "loop device", "permission denied"];
            assert!(unable.iter().any(|text| errors.contains(text)), "{errors}");
            skip(&format!("the kernel cannot mount squashfs here: {errors}"));
            return None;
        }
        Some(Self(at.to_owned()))
    }

    /// The same by squashfuse.
    pub(super) fn fuse(image: &Path, offset: u64, at: &Path) -> Option<Self> {
        let program = tool("squashfuse")?;
        if !Path::new("/dev/fuse").exists() {
            skip("no /dev/fuse");
            return None;
        }
        std::fs::create_dir(at).unwrap();
        let mut mount = Command::new(program);
        let output =
            mount.arg("-o").arg(format!("offset={offset}")).arg(image).arg(at).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        if !is_root() && errors.contains("not permitted") {
            skip(&format!("no FUSE mounts for users here: {errors}"));
            return None;
        }
        assert!(output.status.success(), "{errors}");
        Some(Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg(&self.0).status().is_ok_and(|s| s.success());
        if !gone {
            let _ = Command::new("fusermount").arg("-u").arg(&self.0).status();
        }
    }
}
