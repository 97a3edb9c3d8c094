//! Every start of an image goes through its shell: without one there is no image.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{AssembleError, BaseLayer};
use crate::closure::Omission;
use crate::elf;
use crate::rootfs::{Content, Node, Resolved, Rootfs};

/// What runtimes and our own scripts start.
const SHELLS: [&str; 2] = ["/bin/sh", "/bin/bash"];

/// Checks that the shells are there, and what loads them.
///
/// # Errors
/// [`AssembleError::NoShell`].
pub(super) fn check(
    rootfs: &Rootfs,
    base: &BaseLayer,
    layer: Option<&Path>,
    omissions: &[Omission],
) -> Result<(), AssembleError> {
    // a base of one's own may well have no bash
    let shells = SHELLS.iter().take(if base.is_foreign() { 1 } else { SHELLS.len() });
    for &shell in shells {
        let missing = match found(rootfs, Path::new(shell)) {
            None => Some(PathBuf::from(shell)),
            Some(Content::Host(file)) => missing_for(rootfs, file),
            Some(_) => None,
        };
        if let Some(missing) = missing {
            let why = why(&missing, layer, omissions);
            return Err(AssembleError::NoShell { shell, missing, why });
        }
    }
    Ok(())
}

/// What the program in `file` needs first of all and the image lacks: its loader, or a library
/// whose name nothing has.
fn missing_for(rootfs: &Rootfs, file: &Path) -> Option<PathBuf> {
    let facts = elf::read(file).ok()?;
    if let Some(loader) = facts.interpreter.filter(|loader| found(rootfs, loader).is_none()) {
        return Some(loader);
    }
    let mut missing: BTreeSet<OsString> = facts.needed.into_iter().collect();
    rootfs.walk(|path, node| {
        if let (Node::File(_) | Node::Symlink(_), Some(name)) = (node, path.as_path().file_name()) {
            missing.remove(name);
        }
    });
    missing.pop_first().map(PathBuf::from)
}

/// The contents of the file to which `path` leads.
fn found<'a>(rootfs: &'a Rootfs, path: &Path) -> Option<&'a Content> {
    match rootfs.resolve(path.as_os_str().as_bytes()) {
        Resolved::Found(Some(Node::File(id))) => Some(&rootfs.file(*id).content),
        _ => None,
    }
}

/// Why there is nothing at `path`, as far as omissions tell.
fn why(path: &Path, layer: Option<&Path>, omissions: &[Omission]) -> String {
    let below = path.strip_prefix("/").unwrap_or(path);
    let in_layer = layer.map(|layer| layer.join(below));
    // what is left out may be a link itself
    let parent = path.parent().and_then(|parent| std::fs::canonicalize(parent).ok());
    let link = parent.zip(path.file_name()).map(|(parent, name)| parent.join(name));
    let places = [Some(path.to_owned()), std::fs::canonicalize(path).ok(), link, in_layer];
    let of_place = |omission: &&Omission| {
        let names_it = !path.is_absolute() && omission.path.file_name() == Some(path.as_os_str());
        names_it || places.iter().flatten().any(|place| place.starts_with(&omission.path))
    };
    match omissions.iter().find(of_place) {
        Some(omission) => omission.reason.clone(),
        None => "nothing that was packed leads there".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Epoch;
    use crate::rootfs::{File, ImagePath, Metadata, Symlink};

    fn rootfs(shells: &[&str]) -> Rootfs {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(metadata);
        for shell in shells {
            let content = Content::Bytes(Vec::new());
            let file = File { metadata, size: 0, content, reason: "test:".into() };
            rootfs.add_file(&ImagePath::new(shell.as_bytes()).unwrap(), file).unwrap();
        }
        rootfs
    }

    fn base(name: Option<&str>) -> BaseLayer {
        let (kind, name) = ("host".to_owned(), name.map(str::to_owned));
        BaseLayer { kind, name, digest: None, path: None, stack_version: None }
    }

    #[test]
    fn both_shells_have_to_be_there() {
        assert!(check(&rootfs(&SHELLS), &base(None), None, &[]).is_ok());
        assert!(check(&rootfs(&SHELLS[..1]), &base(Some("x.sif")), None, &[]).is_ok());
        let omission = Omission { path: "/bin".into(), reason: "left out on request".to_owned() };
        for (shells, shell, omissions, why) in [
            (&[][..], "/bin/sh", vec![omission], "left out on request"),
            (&["/bin/sh"], "/bin/bash", vec![], "nothing that was packed leads there"),
        ] {
            let error = check(&rootfs(shells), &base(None), None, &omissions).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(shell) && text.contains(why), "{text}");
        }
    }

    #[test]
    fn a_link_to_nothing_is_no_shell() {
        let mut rootfs = rootfs(&["/bin/bash"]);
        let target = b"/gone".to_vec();
        let link = Symlink { mtime: Epoch::GENERATED, target, reason: "test:".into() };
        rootfs.add_symlink(&ImagePath::new(b"/bin/sh").unwrap(), link).unwrap();
        assert!(check(&rootfs, &base(None), None, &[]).is_err());
    }
}
