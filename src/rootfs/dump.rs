//! A root file system as text, one line a node, for tests and for people.

use std::fmt::Write as _;

use super::{Content, ImagePath, Metadata, Node, Rootfs, SpecialKind};

impl Rootfs {
    /// One line a node in the order of [`Rootfs::walk`]: mode, mtime, path, and what is there.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut text = String::new();
        line(&mut text, 'd', self.root().metadata, &ImagePath::root(), "");
        self.walk(|path, node| match node {
            Node::Directory(directory) => line(&mut text, 'd', directory.metadata, path, ""),
            Node::Symlink(link) => {
                let target =
                    format!(" -> {}", String::from_utf8_lossy(&link.target).escape_debug());
                line(&mut text, 'l', Metadata { mode: 0o777, mtime: link.mtime }, path, &target);
            }
            Node::Special(special) => {
                let kind = match special.kind {
                    SpecialKind::Fifo => 'p',
                    SpecialKind::Socket => 's',
                };
                line(&mut text, kind, special.metadata, path, "");
            }
            Node::File(id) => {
                let file = self.file(*id);
                let content = match &file.content {
                    Content::Host(from) => format!(" < {}", from.display()),
                    Content::Bytes(bytes) => format!(" = {} bytes", bytes.len()),
                    Content::Part(part) => format!(" < {} at {}", part.path.display(), part.start),
                    Content::Kept => " kept".to_owned(),
                    Content::Late => " late".to_owned(),
                };
                line(&mut text, '-', file.metadata, path, &format!("{content} ({})", file.reason));
            }
        });
        text
    }
}

fn line(text: &mut String, kind: char, metadata: Metadata, path: &ImagePath, rest: &str) {
    // writing to a String cannot fail
    let _ = writeln!(text, "{kind}{:04o} {} {path}{rest}", metadata.mode, metadata.mtime);
}

#[cfg(test)]
mod tests {
    use super::super::{File, Symlink};
    use super::*;
    use crate::base::Epoch;

    const PLAIN: Metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text.as_bytes()).unwrap()
    }

    fn file(text: &str) -> File {
        File {
            metadata: PLAIN,
            size: text.len() as u64,
            content: Content::Bytes(text.into()),
            reason: "test:x".into(),
        }
    }

    #[test]
    fn nodes_come_in_byte_order_directories_first() {
        let mut rootfs = Rootfs::new(PLAIN);
        let id = rootfs.add_file(&path("/a.b/x"), file("one")).unwrap();
        rootfs.add_hard_link(&path("/a/z"), id).unwrap();
        rootfs
            .add_symlink(
                &path("/a/l"),
                Symlink {
                    mtime: Epoch::GENERATED,
                    target: b"../x".into(),
                    reason: "test:l".into(),
                },
            )
            .unwrap();
        assert_eq!(
            rootfs.dump(),
            "d0755 1 /\nd0755 1 /a\nl0777 1 /a/l -> ../x\n-0755 1 /a/z = 3 bytes (test:x)\n\
             d0755 1 /a.b\n-0755 1 /a.b/x = 3 bytes (test:x)\n"
        );
    }

    #[test]
    fn nothing_is_replaced_and_nothing_lies_below_a_file() {
        let mut rootfs = Rootfs::new(PLAIN);
        rootfs.add_file(&path("/f"), file("one")).unwrap();
        for (at, want) in [
            ("/f", "`/f` is there already, and is something else"),
            ("/f/g", "`/f/g` cannot lie below `/f`, which is not a directory"),
            ("/f/g/h", "`/f/g/h` cannot lie below `/f`, which is not a directory"),
            ("/", "`/` is there already, and is something else"),
        ] {
            let error = rootfs.add_file(&path(at), file("two")).unwrap_err();
            assert_eq!(error.to_string(), want);
        }
    }
}
