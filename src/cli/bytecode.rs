//! Compiled Python that an early epoch makes useless.

use crate::base::{Epoch, Escaped};
use crate::rootfs::{FileId, ImagePath, Node, Rootfs};

/// Warns where `epoch` sets the time of a Python source back: compiled code holds its source's
/// time, and Python ignores it where that is another.
pub(super) fn warning(rootfs: &Rootfs, epoch: Option<Epoch>) -> Option<String> {
    let epoch = epoch?;
    let (mut count, mut latest, mut first) = (0_u64, epoch, None);
    rootfs.walk(|path, node| {
        let Node::File(_) = node else { return };
        let Some(id) = source_of(path).and_then(|source| file(rootfs, &source)) else { return };
        let time = rootfs.file(id).metadata.mtime;
        if time > epoch {
            count += 1;
            latest = latest.max(time);
            first.get_or_insert_with(|| path.to_string());
        }
    });
    let first = first?;
    Some(format!(
        "the epoch {epoch} lies before the time of the sources of {count} files of compiled Python, such as `{}`, which Python will not use; the earliest epoch that keeps them is {latest}",
        Escaped(&first)
    ))
}

fn file(rootfs: &Rootfs, path: &ImagePath) -> Option<FileId> {
    match rootfs.get(path) {
        Some(Node::File(id)) => Some(*id),
        _ => None,
    }
}

/// `x.py` for `__pycache__/x.cpython-311.opt-1.pyc`, and for an `x.pyc` beside it.
fn source_of(path: &ImagePath) -> Option<ImagePath> {
    let (directory, name) = path.split()?;
    let stem = name.strip_suffix(b".pyc")?;
    let (directory, stem) = match directory.split() {
        Some((above, b"__pycache__")) => (above, stem.split(|byte| *byte == b'.').next()?),
        _ => (directory, stem),
    };
    (!stem.is_empty()).then(|| directory.join_name(&[stem, b".py"].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::{Content, File, Metadata};

    #[test]
    fn compiled_code_whose_source_is_set_back_is_counted() {
        let mut rootfs = Rootfs::new(Metadata { mode: 0o755, mtime: Epoch::GENERATED });
        for (name, time) in [
            ("/p/a.py", 100),
            ("/p/__pycache__/a.cpython-311.pyc", 900),
            ("/p/__pycache__/a.cpython-311.opt-1.pyc", 900),
            ("/p/b.py", 300),
            ("/p/b.pyc", 300),
            ("/p/c.py", 900),
            ("/p/__pycache__/gone.cpython-311.pyc", 900),
            ("/p/.pyc", 900),
        ] {
            let metadata = Metadata { mode: 0o644, mtime: Epoch::from_seconds(time) };
            let content = Content::Bytes(Vec::new());
            let file = File { metadata, size: 0, content, reason: "t:".into() };
            rootfs.add_file(&ImagePath::new(name.as_bytes()).unwrap(), file).unwrap();
        }
        for (epoch, want) in [
            (None, None),
            (Some(300), None),
            (Some(200), Some(("of 1 files", "`/p/b.pyc`", "is 300"))),
            (Some(99), Some(("of 3 files", "`/p/__pycache__/a.cpython-311.opt-1.pyc`", "is 300"))),
        ] {
            let found = warning(&rootfs, epoch.map(Epoch::from_seconds));
            assert_eq!(found.is_some(), want.is_some(), "{epoch:?}: {found:?}");
            let (Some(found), Some((count, first, latest))) = (found, want) else { continue };
            assert!(
                found.contains(count) && found.contains(first) && found.ends_with(latest),
                "{found}"
            );
        }
    }
}
