//! The content identifier: a Software Heritage identifier of the packed stack.
//!
//! Source: SWHID specification 1.2 (ISO/IEC 18670), directories and contents, whose hashes are those
//! of git's trees and blobs; unlike git's, empty directories count.

use sha1::Digest as _;

use crate::rootfs::{Directory, FileId, Node, Rootfs};

/// The name of the label.
pub(super) const LABEL: &str = "org.softwareheritage.swhid";

/// SHA-1 as git computes it over an object.
pub type Sha1Git = [u8; 20];

/// What is made for an image, and tells its name, author and date: no part of the packed stack.
const OURS: [&[u8]; 2] = [b".module-export", b".singularity.d"];

/// `swh:1:dir:…` of everything in `rootfs` but the directories `/.module-export` and
/// `/.singularity.d`; `sha1_git` gives each file's. The same content has the same identifier in
/// every image, whoever made it and when. `None` if a file's is not known.
#[must_use]
pub(super) fn identifier(
    rootfs: &Rootfs,
    sha1_git: impl Fn(FileId) -> Option<Sha1Git>,
) -> Option<String> {
    let root = tree(rootfs, rootfs.root(), true, &sha1_git)?;
    let hex = root.iter().map(|byte| format!("{byte:02x}"));
    Some(format!("swh:1:dir:{}", hex.collect::<String>()))
}

fn tree(
    rootfs: &Rootfs,
    directory: &Directory,
    is_root: bool,
    sha1_git: &impl Fn(FileId) -> Option<Sha1Git>,
) -> Option<Sha1Git> {
    let mut entries = Vec::new();
    for (name, node) in directory.entries() {
        if is_root && OURS.contains(&name) {
            continue;
        }
        let (mode, hash) = match node {
            Node::Directory(below) => ("40000", tree(rootfs, below, false, sha1_git)?),
            Node::Symlink(link) => ("120000", object("blob", &link.target)),
            Node::File(id) if rootfs.file(*id).metadata.mode & 0o111 != 0 => {
                ("100755", sha1_git(*id)?)
            }
            Node::File(id) => ("100644", sha1_git(*id)?),
            // git has no such things, and they have no content
            Node::Special(_) => continue,
        };
        let is_directory = matches!(node, Node::Directory(_));
        entries.push((
            order(name, is_directory),
            [mode.as_bytes(), b" ", name, b"\0", &hash].concat(),
        ));
    }
    entries.sort();
    let body: Vec<u8> = entries.into_iter().flat_map(|(_, entry)| entry).collect();
    Some(object("tree", &body))
}

/// Git sorts a directory as if its name ended in a slash.
fn order(name: &[u8], is_directory: bool) -> Vec<u8> {
    let end: &[u8] = if is_directory { b"/" } else { b"" };
    [name, end].concat()
}

fn object(kind: &str, body: &[u8]) -> Sha1Git {
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("{kind} {}\0", body.len()));
    hasher.update(body);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Epoch;
    use crate::rootfs::{Content, File, ImagePath, Metadata, Symlink};

    #[test]
    fn the_identifier_is_gits_tree_without_what_was_made_for_the_image() {
        let metadata = |mode| Metadata { mode, mtime: Epoch::GENERATED };
        let path = |text: &str| ImagePath::new(text.as_bytes()).unwrap();
        let mut rootfs = Rootfs::new(metadata(0o755));
        let mut contents = Vec::new();
        for (name, mode, text) in [
            ("/a/run", 0o755, "#!/bin/sh\n"),
            ("/a.b", 0o644, "between `a` and `a/`\n"),
            ("/.module-export/manifest.json", 0o644, "the author"),
        ] {
            let content = Content::Bytes(text.into());
            let file = File { metadata: metadata(mode), size: 0, content, reason: "t:".into() };
            rootfs.add_file(&path(name), file).unwrap();
            contents.push(object("blob", text.as_bytes()));
        }
        rootfs.add_directory(&path("/empty"), metadata(0o755)).unwrap();
        let link =
            Symlink { mtime: Epoch::GENERATED, target: b"a/run".into(), reason: "t:".into() };
        rootfs.add_symlink(&path("/link"), link).unwrap();
        let got = identifier(&rootfs, |id| contents.get(id.index()).copied()).unwrap();
        // git init -q x && cd x && mkdir a && printf '#!/bin/sh\n' >a/run && chmod +x a/run &&
        // printf 'between `a` and `a/`\n' >a.b && ln -s a/run link && git add -A &&
        // (git ls-tree $(git write-tree); printf '040000 tree %s\tempty\n' $(git mktree </dev/null)) | git mktree
        assert_eq!(got, "swh:1:dir:e18660ee5bab7291910232d0334f22a1e13c4bb2");
        assert_eq!(identifier(&rootfs, |_| None), None);
    }
}
