//! The child of `run`: a new root in namespaces of its own, then the command.
//!
//! The image is untrusted. While the host can still be reached, nothing is made or mounted at a
//! path of the image that leads through a link; all other paths are looked up only after the
//! image has become all there is.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

/// First word of the hidden command line: `__enter ROOT DIRECTORY COMMAND…`.
pub(super) const WORD: &str = "__enter";
/// The host's root while mounts are made; no image of ours has a directory of that name.
const HOST: &str = "/.module-export-host";
/// The script of the image that sets its environment and starts a command.
pub(super) const ENTER: &str = crate::assemble::ENTRYPOINT;
/// Files of the host that say who the user is and how to reach others.
const HOST_FILES: &[&str] =
    &["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/localtime"];

/// Becomes the command; returns only if that fails.
pub(super) fn enter(words: &[OsString]) -> anyhow::Result<std::convert::Infallible> {
    let [root, directory, command @ ..] = words else { bail!("`{WORD}` is not for people") };
    let (root, directory) = (Path::new(root), Path::new(directory));
    let shown = Shown::find(directory);
    let entered = new_namespaces().and_then(|()| {
        copy_host_files(root);
        change_root(root)
    });
    if let Err(error) = entered {
        if error.is::<Forbidden>() {
            std::fs::write(marker(root), "").context("cannot write to the scratch directory")?;
        }
        return Err(error);
    }
    // no command is to go on in a root that the next run may clear away
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    mount_host(&shown)?;
    if rustix::process::chdir(directory).is_err() {
        rustix::process::chdir("/").context("cannot go to the image's root")?;
    }
    let error = std::process::Command::new(ENTER).args(command).exec();
    Err(error).with_context(|| format!("cannot start `{ENTER}` of the image"))
}

/// The error of a host that forbids namespaces.
#[derive(Debug, thiserror::Error)]
#[error("this host does not let you make namespaces")]
pub(super) struct Forbidden(#[source] Errno);

/// Whether [`enter`] into `root` has ended with [`Forbidden`]. No exit status says that: a
/// command may have any.
pub(super) fn was_forbidden(root: &Path) -> bool {
    marker(root).exists()
}

fn marker(root: &Path) -> PathBuf {
    root.with_file_name("forbidden")
}

/// Some hosts (`AppArmor`'s of Ubuntu) let everyone make a namespace and nothing be done in it.
fn allowed<T, E: Into<io::Error>>(result: Result<T, E>, what: &'static str) -> anyhow::Result<T> {
    result.map_err(|error| {
        let error = error.into();
        match Errno::from_io_error(&error) {
            Some(errno @ (Errno::PERM | Errno::ACCESS)) => Forbidden(errno).into(),
            _ => anyhow::Error::new(error).context(what),
        }
    })
}

fn new_namespaces() -> anyhow::Result<()> {
    const WHAT: &str = "cannot set up the user namespace";
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    // who is root needs no user namespace, and may be forbidden one
    if uid.is_root() && unshare(UnshareFlags::NEWNS).is_ok() {
        return Ok(());
    }
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(Forbidden)?;
    // the user stays who they are
    allowed(std::fs::write("/proc/self/setgroups", "deny"), WHAT)?;
    for (file, id) in [("uid_map", uid.as_raw()), ("gid_map", gid.as_raw())] {
        allowed(std::fs::write(format!("/proc/self/{file}"), format!("{id} {id} 1")), WHAT)?;
    }
    Ok(())
}

#[allow(unsafe_code, reason = "rustix has no safe form of this call")]
fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: what makes the call unsafe is unsharing file descriptors (CLONE_FILES); it is not
    // among the flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

fn change_root(root: &Path) -> anyhow::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    allowed(rustix::mount::mount_change("/", private), "cannot separate mounts from the host's")?;
    allowed(rustix::mount::mount_bind_recursive(root, root), "cannot mount the image")?;
    let host = root.join(HOST.trim_start_matches('/'));
    std::fs::create_dir(&host).context("cannot make a directory in the image")?;
    allowed(rustix::process::pivot_root(root, &host), "cannot make the image the root")?;
    rustix::process::chdir("/").context("cannot go to the image's root")
}

/// The host's directories that the command sees: under which name, and what is there with links
/// resolved as the host does.
#[derive(Debug)]
struct Shown {
    tmp: PathBuf,
    /// Home and working directory, each by all names that it is known by.
    own: Vec<(PathBuf, PathBuf)>,
}

impl Shown {
    /// To be called while the host's root is ours.
    fn find(directory: &Path) -> Self {
        let mut own = Vec::new();
        for name in home().into_iter().chain([directory.to_owned()]) {
            // what is not there cannot be shown
            let Ok(there) = std::fs::canonicalize(&name) else { continue };
            // links of the host below it may say either
            own.push((there.clone(), there.clone()));
            own.push((name, there));
        }
        own.retain(|(name, _)| name != Path::new("/"));
        Self { tmp: std::fs::canonicalize("/tmp").unwrap_or_else(|_| PathBuf::from("/tmp")), own }
    }
}

fn mount_host(shown: &Shown) -> anyhow::Result<()> {
    for name in ["/proc", "/sys", "/dev"].map(Path::new) {
        bind(name, name).with_context(|| format!("cannot mount {}", name.display()))?;
    }
    let tmp = Path::new("/tmp");
    check_no_links(Path::new("/"), tmp).context("cannot mount /tmp")?;
    let own_tmp = is_packed(tmp);
    if !own_tmp {
        bind(tmp, &shown.tmp).context("cannot mount /tmp")?;
    }
    for (name, there) in &shown.own {
        // a directory that cannot be shown is no reason not to run
        let _ = show(name, there);
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
    std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

fn on_host(path: &Path) -> PathBuf {
    Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path))
}

/// Mounts the host's directory `there` unless it is seen already or the image has its own.
fn show(name: &Path, there: &Path) -> io::Result<()> {
    check_no_links(Path::new("/"), name)?;
    // below /tmp, or home and working directory the same: there already
    if is_same(name, &on_host(there)) || is_packed(name) {
        return Ok(());
    }
    bind(name, there)
}

/// Mounts the host's directory `there`, a path without links, at `name` in the image.
fn bind(name: &Path, there: &Path) -> io::Result<()> {
    check_no_links(Path::new("/"), name)?;
    std::fs::create_dir_all(name)?;
    Ok(rustix::mount::mount_bind_recursive(on_host(there), name)?)
}

/// Fails if a part of `path`, looked up below `root`, is a link: in an image it may lead anywhere.
fn check_no_links(root: &Path, path: &Path) -> io::Result<()> {
    let mut here = root.to_owned();
    for part in path.components() {
        match part {
            Component::RootDir => continue,
            Component::Normal(name) => here.push(name),
            _ => return Err(io::Error::other("its name has `..` in it")),
        }
        match here.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
            Ok(found) if found.is_symlink() => {
                return Err(io::Error::other("the image has a symbolic link there"));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity =
        |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    identity(one).is_some_and(|found| identity(other) == Some(found))
}

/// Whether the image has something in the directory `path`: that is not hidden.
fn is_packed(path: &Path) -> bool {
    crate::base::fs::sorted_dir(path).is_ok_and(|names| !names.is_empty())
}

/// Puts copies of the host's files in place of the image's: a mount could be written through.
fn copy_host_files(root: &Path) {
    for file in HOST_FILES {
        // the image's own will do
        let _ = copy_host_file(root, Path::new(file));
    }
}

fn copy_host_file(root: &Path, file: &Path) -> io::Result<()> {
    check_no_links(root, file)?;
    let to = root.join(file.strip_prefix("/").unwrap_or(file));
    if !to.is_file() || !file.is_file() {
        return Ok(());
    }
    // a new file: the old one may have other names
    let new = root.with_file_name("copied");
    std::fs::write(&new, std::fs::read(file)?)?;
    std::fs::rename(new, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_that_a_link_leads_to_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("real/dir")).unwrap();
        std::os::unix::fs::symlink("/tmp", root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("gone", root.path().join("real/dangling")).unwrap();
        for (path, fine) in [
            ("/", true),
            ("/real/dir", true),
            ("/real/new/deeper", true),
            ("/link", false),
            ("/link/x", false),
            ("/real/dangling", false),
            ("/real/../link", false),
            ("/real/dir/../../..", false),
        ] {
            assert_eq!(check_no_links(root.path(), Path::new(path)).is_ok(), fine, "{path}");
        }
    }

    #[test]
    fn what_a_restricted_namespace_refuses_is_a_namespace_that_is_forbidden() {
        for (errno, is_forbidden) in [
            (Errno::PERM, true),
            (Errno::ACCESS, true),
            (Errno::NOSPC, false),
            (Errno::INVAL, false),
        ] {
            let error = allowed::<(), _>(Err(errno), "cannot mount the image").unwrap_err();
            assert_eq!(error.is::<Forbidden>(), is_forbidden, "{errno}");
        }
    }

    #[test]
    fn a_file_of_the_host_is_copied_over_the_images_and_never_through_a_link() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        let outside = scratch.path().join("outside");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(&outside, "own").unwrap();
        let host = Path::new("/etc/passwd");
        copy_host_file(&root, host).unwrap();
        assert!(!root.join("etc/passwd").exists(), "only where the image has one");
        std::fs::hard_link(&outside, root.join("etc/passwd")).unwrap();
        copy_host_file(&root, host).unwrap();
        let text = std::fs::read(host).unwrap();
        assert_eq!(std::fs::read(root.join("etc/passwd")).unwrap(), text);
        std::fs::remove_file(root.join("etc/passwd")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("etc/passwd")).unwrap();
        copy_host_file(&root, host).unwrap_err();
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "own");
    }
}
