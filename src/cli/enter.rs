//! The child of `run`: a new root in namespaces of its own, then the command.
//!
//! The image is untrusted: every path in it is looked up only after it has become the root, so
//! that its links lead nowhere else.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

/// First word of the hidden command line: `__enter ROOT DIRECTORY COMMAND…`.
pub(super) const WORD: &str = "__enter";
/// The host's root while mounts are made; no image of ours has a directory of that name.
const HOST: &str = "/.module-export-host";
/// The script of the image that sets its environment and starts a command.
const ENTER: &str = "/.module-export/enter";
/// Files of the host that say who the user is and how to reach others.
const HOST_FILES: &[&str] =
    &["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/localtime"];

/// Status where namespaces are not to be had; `run` explains it.
pub(super) const NO_NAMESPACES: u8 = 251;

/// Becomes the command; returns only if that fails.
pub(super) fn enter(words: &[OsString]) -> anyhow::Result<std::convert::Infallible> {
    let [root, directory, command @ ..] = words else { bail!("`{WORD}` is not for people") };
    let (root, directory) = (Path::new(root), Path::new(directory));
    new_namespaces()?;
    change_root(root)?;
    mount_host(directory)?;
    let error = std::process::Command::new(ENTER).args(command).exec();
    Err(error).with_context(|| format!("cannot start `{ENTER}` of the image"))
}

/// The error of a host that forbids namespaces.
#[derive(Debug, thiserror::Error)]
#[error("this host does not let you make namespaces")]
pub(super) struct Forbidden(#[source] rustix::io::Errno);

fn new_namespaces() -> anyhow::Result<()> {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    // who is root needs no user namespace, and may be forbidden one
    if uid.is_root() && unshare(UnshareFlags::NEWNS).is_ok() {
        return Ok(());
    }
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(Forbidden)?;
    // the user stays who they are
    std::fs::write("/proc/self/setgroups", "deny").context("cannot set up the user namespace")?;
    for (file, id) in [("uid_map", uid.as_raw()), ("gid_map", gid.as_raw())] {
        std::fs::write(format!("/proc/self/{file}"), format!("{id} {id} 1"))
            .context("cannot set up the user namespace")?;
    }
    Ok(())
}

#[allow(unsafe_code, reason = "rustix has no safe form of this call")]
fn unshare(flags: UnshareFlags) -> Result<(), rustix::io::Errno> {
    // SAFETY: what makes the call unsafe is unsharing file descriptors (CLONE_FILES); it is not
    // among the flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

fn change_root(root: &Path) -> anyhow::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).context("cannot separate mounts from the host's")?;
    rustix::mount::mount_bind_recursive(root, root).context("cannot mount the image")?;
    let host = root.join(HOST.trim_start_matches('/'));
    std::fs::create_dir(&host).with_context(|| format!("cannot make `{}`", host.display()))?;
    rustix::process::pivot_root(root, &host).context("cannot make the image the root")?;
    rustix::process::chdir("/").context("cannot go to the image's root")
}

fn mount_host(directory: &Path) -> anyhow::Result<()> {
    for name in ["/proc", "/sys", "/dev"] {
        bind(Path::new(name)).with_context(|| format!("cannot mount {name}"))?;
    }
    let own_tmp = is_packed(Path::new("/tmp"));
    if !own_tmp {
        bind(Path::new("/tmp")).context("cannot mount /tmp")?;
    }
    let home = home();
    for path in home.iter().map(PathBuf::as_path).chain([directory]) {
        // below /tmp, or home and directory the same: there already
        if !same(path) && !is_packed(path) {
            // a directory that cannot be shown is no reason not to run
            let _ = bind(path);
        }
    }
    for file in HOST_FILES {
        if Path::new(file).exists() && on_host(Path::new(file)).is_file() {
            let _ = bind(Path::new(file));
        }
    }
    if rustix::process::chdir(directory).is_err() {
        rustix::process::chdir("/").context("cannot go to the image's root")?;
    }
    rustix::mount::unmount(HOST, UnmountFlags::DETACH)
        .context("cannot let go of the host's root")?;
    let _ = std::fs::remove_dir(HOST);
    // as in a SIF, the image is read-only; where the kernel refuses that, it is a private copy
    if !own_tmp {
        let _ = rustix::mount::mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, "");
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "this process exists to pass its environment on")]
fn home() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute() && home != Path::new("/"))
}

fn on_host(path: &Path) -> PathBuf {
    Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path))
}

fn bind(path: &Path) -> std::io::Result<()> {
    let source = on_host(path);
    if source.is_dir() {
        std::fs::create_dir_all(path)?;
    }
    Ok(rustix::mount::mount_bind_recursive(&source, path)?)
}

/// Whether `path` shows the host's directory already.
fn same(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity =
        |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    identity(path).is_some_and(|here| identity(&on_host(path)) == Some(here))
}

/// Whether the image has something in the directory `path`: that is not hidden.
fn is_packed(path: &Path) -> bool {
    crate::base::fs::sorted_dir(path).is_ok_and(|names| !names.is_empty())
}
