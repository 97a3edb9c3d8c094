//! Where packing begins anew: at the first file of another installation, so that a change in one
//! leaves the compressed blocks of all others as they are.
//!
//! What belongs together is told by the reason for which a file is in the image. A boundary costs a
//! block that is not full, so small groups are packed with their neighbours.

use std::collections::BTreeSet;

use crate::rootfs::{File, FileId, Rootfs};

/// The files of `order` before which packing begins anew: at either end of every group that weighs
/// at least `enough`, and here and there between small ones.
///
/// A group is a run of files with the same reason; its weight is the sum of its files' weights. So
/// that what changes in small groups is not felt in all that follow, every fourth of them (told by
/// its reason alone) begins anew if as much came since the last boundary.
pub(super) fn beginnings(
    rootfs: &Rootfs,
    order: &[FileId],
    weight: impl Fn(&File) -> u64,
    enough: u64,
) -> BTreeSet<FileId> {
    let reason = |id: &FileId| &rootfs.file(*id).reason;
    let mut beginnings = BTreeSet::new();
    let mut since = 0_u64;
    let mut was_large = false;
    for group in order.chunk_by(|a, b| reason(a) == reason(b)) {
        let own: u64 = group.iter().map(|id| weight(rootfs.file(*id))).sum();
        let is_large = own >= enough;
        let Some(first) = group.first().filter(|_| since > 0) else {
            (since, was_large) = (own, is_large);
            continue;
        };
        if is_large || was_large || (since >= enough && is_chosen(reason(first))) {
            beginnings.insert(*first);
            since = 0;
        }
        since = since.saturating_add(own);
        was_large = is_large;
    }
    beginnings
}

fn is_chosen(reason: &str) -> bool {
    blake3::hash(reason.as_bytes()).as_bytes()[0] < 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Epoch;
    use crate::rootfs::{Content, ImagePath, Metadata};

    /// The numbers of the groups with which packing begins anew; a group is a file of this size.
    fn begun(groups: &[(&str, u64)]) -> Vec<usize> {
        let metadata = Metadata { mode: 0o644, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(metadata);
        let mut order = Vec::new();
        for (at, (reason, size)) in groups.iter().enumerate() {
            let path = ImagePath::new(format!("/{at}").as_bytes()).unwrap();
            let (content, reason) = (Content::Host("/".into()), (*reason).into());
            let file = File { metadata, size: *size, content, reason };
            order.push(rootfs.add_file(&path, file).unwrap());
        }
        let found = beginnings(&rootfs, &order, |file| file.size, 10);
        found.into_iter().map(FileId::index).collect()
    }

    #[test]
    fn large_groups_stand_alone_and_small_ones_with_their_neighbours() {
        for (groups, want) in [
            (&[("a", 10), ("b", 10)][..], &[1][..]),
            (&[("a", 10), ("b", 1), ("c", 1), ("d", 10)], &[1, 3]),
            (&[("a", 1), ("b", 1), ("c", 9)], &[]),
            (&[("a", 0), ("b", 10)], &[]),
            (&[("a", 5), ("a", 5), ("b", 1)], &[2]),
            (&[], &[]),
        ] {
            assert_eq!(begun(groups), want, "{groups:?}");
        }
    }

    #[test]
    fn a_change_among_small_groups_is_soon_forgotten() {
        let names: Vec<String> = (0..200).map(|number| format!("module:{number}")).collect();
        let groups = |first: u64| -> Vec<(&str, u64)> {
            let sizes = std::iter::once(first).chain(std::iter::repeat(3));
            names.iter().map(String::as_str).zip(sizes).collect()
        };
        let (one, other) = (begun(&groups(1)), begun(&groups(9)));
        assert!(one.len() > 10, "{one:?}");
        let later = |all: &[usize]| -> Vec<usize> {
            all.iter().copied().filter(|&number| number > 60).collect()
        };
        assert_eq!(later(&one), later(&other));
    }
}
