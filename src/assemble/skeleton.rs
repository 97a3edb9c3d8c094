//! What every image has besides the packed software.

use std::path::Path;

use super::AssembleError;
use super::activation::{self, Scripts};
use crate::base::Epoch;
use crate::rootfs::{
    Content, File, FileId, ImagePath, Metadata, Node, Resolved, Rootfs, RootfsError, Symlink,
};

/// Directories that runtimes mount on or programs expect.
const DIRECTORIES: &[&str] = &[
    "/dev",
    "/etc",
    "/home",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/srv",
    "/sys",
    "/usr",
    "/var",
    "/.singularity.d/libs",
    "/.module-export/home",
];
/// The only directories that everybody may write.
const WRITABLE: &[&str] = &["/tmp", "/var/tmp"];

/// Files of `/etc` that runtimes fill in or mount over; they must exist.
const ETC: &[(&str, &str)] = &[
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    ("/etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("/etc/resolv.conf", ""),
];

/// UTC in the format of tzfile(5), version 2: no transitions, one type.
const UTC: &[u8] =
    b"TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04\
\0\0\0\0\0\0UTC\0\
TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04\
\0\0\0\0\0\0UTC\0\nUTC0\n";

/// A root file system that gets the image's own files.
pub(super) struct Skeleton {
    rootfs: Rootfs,
    mtime: Epoch,
}

impl Skeleton {
    pub(super) fn new(rootfs: Rootfs, epoch: Option<Epoch>) -> Self {
        let mtime = epoch.map_or(Epoch::GENERATED, |epoch| epoch.min(Epoch::GENERATED));
        Self { rootfs, mtime }
    }

    pub(super) fn rootfs(&self) -> &Rootfs {
        &self.rootfs
    }

    pub(super) fn into_rootfs(self) -> Rootfs {
        self.rootfs
    }

    pub(super) fn add_root_directories(&mut self) -> Result<(), AssembleError> {
        for (paths, mode) in [(DIRECTORIES, 0o755), (WRITABLE, 0o1777)] {
            for path in paths {
                if self.rootfs.resolve(path.as_bytes()) == Resolved::Missing {
                    let metadata = Metadata { mode, mtime: self.mtime };
                    self.rootfs.add_directory(&parse(path)?, metadata)?;
                } else if let (Some(Node::Directory(_)), 0o1777) =
                    (self.rootfs.get(&parse(path)?), mode)
                {
                    let metadata = Metadata { mode, mtime: self.mtime };
                    self.rootfs.add_directory(&parse(path)?, metadata)?;
                }
            }
        }
        Ok(())
    }

    /// `/bin/sh`, `/bin/bash` and `/usr/bin/env` lead into the `layer`, where nothing is at these
    /// places already.
    pub(super) fn add_shell_links(&mut self, layer: Option<&Path>) -> Result<(), AssembleError> {
        let Some(layer) = layer else { return Ok(()) };
        for (link, candidates) in [
            ("/bin/sh", ["bin/sh", "bin/bash", "usr/bin/sh"]),
            ("/bin/bash", ["bin/bash", "usr/bin/bash", "bin/sh"]),
            ("/usr/bin/env", ["usr/bin/env", "bin/env", "bin/env"]),
        ] {
            use std::os::unix::ffi::OsStrExt as _;
            if matches!(self.rootfs.resolve(link.as_bytes()), Resolved::Found(_)) {
                continue;
            }
            let target = candidates.iter().map(|name| layer.join(name)).find(|target| {
                matches!(
                    self.rootfs.resolve(target.as_os_str().as_bytes()),
                    Resolved::Found(Some(_))
                )
            });
            if let Some(target) = target {
                self.add_link(link, target.as_os_str().as_bytes())?;
            }
        }
        Ok(())
    }

    pub(super) fn add_etc(&mut self) -> Result<(), AssembleError> {
        for (path, text) in ETC {
            if self.rootfs.resolve(path.as_bytes()) == Resolved::Missing {
                self.add_text(path, text, 0o644)?;
            }
        }
        if self.rootfs.resolve(b"/etc/localtime") == Resolved::Missing {
            self.add_bytes("/etc/localtime", UTC.to_vec(), 0o644)?;
        }
        Ok(())
    }

    pub(super) fn add_scripts(
        &mut self,
        scripts: &Scripts,
        definition: &str,
    ) -> Result<(), AssembleError> {
        let files: [(&str, &str, u16); 20] = [
            ("/.module-export/activate.sh", &scripts.activate, 0o644),
            ("/.module-export/enter", activation::ENTER, 0o755),
            ("/.module-export/bash_env", activation::BASH_ENV, 0o644),
            ("/.module-export/bashrc", activation::BASHRC, 0o644),
            ("/.module-export/bin/shell", activation::SHELL, 0o755),
            ("/.module-export/bin/module", activation::MODULE, 0o755),
            ("/.module-export/bin/ml", activation::ML, 0o755),
            ("/.singularity.d/Singularity", definition, 0o644),
            ("/.singularity.d/runscript", &scripts.runscript, 0o755),
            ("/.singularity.d/runscript.help", &scripts.help, 0o644),
            ("/.singularity.d/test", &scripts.test, 0o755),
            ("/.singularity.d/env/01-base.sh", "# see 90-environment.sh\n", 0o755),
            ("/.singularity.d/env/90-environment.sh", &scripts.activate, 0o755),
            ("/.singularity.d/env/91-module-export.sh", activation::AGAIN, 0o755),
            ("/.singularity.d/env/99-base.sh", activation::BASE_99, 0o755),
            ("/.singularity.d/env/99-z-guard.sh", &scripts.guard, 0o755),
            ("/.singularity.d/actions/exec", ACTION_EXEC, 0o755),
            ("/.singularity.d/actions/run", ACTION_RUN, 0o755),
            ("/.singularity.d/actions/shell", ACTION_SHELL, 0o755),
            ("/.singularity.d/actions/test", ACTION_TEST, 0o755),
        ];
        for (path, text, mode) in files {
            self.add_text(path, text, mode)?;
        }
        self.add_link("/singularity", b".singularity.d/runscript")?;
        self.add_link("/environment", b".singularity.d/env/90-environment.sh")
    }

    pub(super) fn add_text(
        &mut self,
        path: &str,
        text: &str,
        mode: u16,
    ) -> Result<(), AssembleError> {
        self.add_bytes(path, text.as_bytes().to_vec(), mode)
    }

    pub(super) fn add_late(&mut self, path: &str) -> Result<FileId, AssembleError> {
        Ok(self.rootfs.add_file(&parse(path)?, self.generated(Content::Late, 0, 0o644))?)
    }

    pub(super) fn add_bytes(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
        mode: u16,
    ) -> Result<(), AssembleError> {
        let size = bytes.len() as u64;
        self.rootfs.add_file(&parse(path)?, self.generated(Content::Bytes(bytes), size, mode))?;
        Ok(())
    }

    fn add_link(&mut self, path: &str, target: &[u8]) -> Result<(), AssembleError> {
        let link =
            Symlink { mtime: self.mtime, target: target.to_vec(), reason: "generated:".into() };
        Ok(self.rootfs.add_symlink(&parse(path)?, link)?)
    }

    fn generated(&self, content: Content, size: u64, mode: u16) -> File {
        File {
            metadata: Metadata { mode, mtime: self.mtime },
            size,
            content,
            reason: "generated:".into(),
        }
    }
}

/// Runtimes carry their own actions; these serve old ones, and people who use chroot.
const ACTION_EXEC: &str = "#!/bin/sh\nexec /.module-export/enter \"$@\"\n";
const ACTION_RUN: &str = "#!/bin/sh\nexec /.module-export/enter /.singularity.d/runscript \"$@\"\n";
const ACTION_SHELL: &str =
    "#!/bin/sh\nexec /.module-export/enter /.module-export/bin/shell \"$@\"\n";
const ACTION_TEST: &str = "#!/bin/sh\nexec /.module-export/enter /.singularity.d/test \"$@\"\n";

fn parse(path: &str) -> Result<ImagePath, AssembleError> {
    ImagePath::new(path.as_bytes()).map_err(|_| {
        // paths here are constants; an invalid one would be a bug, reported rather than a panic
        AssembleError::Rootfs(RootfsError::Occupied { path: ImagePath::root() })
    })
}
