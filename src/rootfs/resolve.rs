//! Paths followed through symbolic links, inside the image only.

use super::{ImagePath, Node, Rootfs};

/// As many links as Linux follows in one path.
const MAX_LINKS: u32 = 40;

/// Where a path leads inside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved<'a> {
    /// To this node; `None` is the root directory.
    Found(Option<&'a Node>),
    /// To nothing.
    Missing,
    /// Round in a circle of links.
    Loop,
}

/// Where following a path ends.
pub(super) enum End {
    At(ImagePath),
    /// At a path of which there is nothing; with the names that were still to come.
    Outside(ImagePath),
    Loop,
}

impl Rootfs {
    /// Follows `path` through every link on the way and at its end, as a program inside the image
    /// would see it.
    #[must_use]
    pub fn resolve(&self, path: &[u8]) -> Resolved<'_> {
        match self.follow(path) {
            End::At(at) => Resolved::Found(self.get(&at)),
            End::Outside(_) => Resolved::Missing,
            End::Loop => Resolved::Loop,
        }
    }

    /// Where `path` leads out of the image: the path, without links, of which nothing is there.
    /// `None` if it leads to something, or round in a circle.
    #[must_use]
    pub fn leads_out_to(&self, path: &[u8]) -> Option<ImagePath> {
        match self.follow(path) {
            End::Outside(outside) => Some(outside),
            End::At(_) | End::Loop => None,
        }
    }

    pub(super) fn follow(&self, path: &[u8]) -> End {
        let mut todo: Vec<Vec<u8>> = components(path).rev().collect();
        let mut at = ImagePath::root();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == b".." {
                at = at.split().map_or_else(ImagePath::root, |(parent, _)| parent);
                continue;
            }
            let next = at.join_name(&name);
            match self.get(&next) {
                Some(Node::Symlink(link)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return End::Loop;
                    }
                    if link.target.first() == Some(&b'/') {
                        at = ImagePath::root();
                    }
                    todo.extend(components(&link.target).rev());
                }
                Some(Node::File(_) | Node::Special(_)) if todo.is_empty() => at = next,
                Some(Node::Directory(_)) => at = next,
                Some(Node::File(_) | Node::Special(_)) | None => {
                    let up = |at: &ImagePath| at.split().map_or_else(ImagePath::root, |(up, _)| up);
                    let rest = todo.iter().rev();
                    return End::Outside(rest.fold(next, |at, name| match &name[..] {
                        b".." => up(&at),
                        name => at.join_name(name),
                    }));
                }
            }
        }
        End::At(at)
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&b| b == b'/').filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::super::{Content, File, Metadata, Symlink};
    use super::*;
    use crate::base::Epoch;

    #[test]
    fn links_are_followed_inside_the_image_and_never_for_ever() {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(metadata);
        let path = |text: &str| ImagePath::new(text.as_bytes()).unwrap();
        let file =
            File { metadata, size: 0, content: Content::Bytes(Vec::new()), reason: "t:".into() };
        rootfs.add_file(&path("/usr/bin/bash"), file).unwrap();
        for (at, target) in [
            ("/bin", "usr/bin"),
            ("/usr/bin/sh", "bash"),
            ("/up", "../../../usr/./bin/sh"),
            ("/loop", "/loop"),
            ("/gone", "/nowhere"),
        ] {
            let target = target.as_bytes().to_vec();
            let link = Symlink { mtime: Epoch::GENERATED, target, reason: "t:".into() };
            rootfs.add_symlink(&path(at), link).unwrap();
        }
        for at in ["/bin/sh", "/up", "/usr/bin/../bin/bash"] {
            assert!(
                matches!(rootfs.resolve(at.as_bytes()), Resolved::Found(Some(Node::File(_)))),
                "{at}"
            );
        }
        assert_eq!(rootfs.resolve(b"/loop"), Resolved::Loop);
        assert_eq!(rootfs.resolve(b"/gone"), Resolved::Missing);
        assert_eq!(rootfs.resolve(b"/usr/bin/bash/x"), Resolved::Missing);
        assert_eq!(rootfs.resolve(b"/"), Resolved::Found(None));
        for (at, want) in [
            ("/gone", Some("/nowhere")),
            ("/gone/x", Some("/nowhere/x")),
            ("/gone/x/../y", Some("/nowhere/y")),
            ("/bin/none", Some("/usr/bin/none")),
            ("/bin/sh/x", Some("/usr/bin/bash/x")),
            ("/bin/sh", None),
            ("/loop", None),
        ] {
            assert_eq!(rootfs.leads_out_to(at.as_bytes()), want.map(path), "{at}");
        }
    }
}
