//! Paths that whoever asked for another one may have meant.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::audit::Listing;

/// How many are suggested at most.
const MOST: usize = 5;
/// Longer names are compared by their beginnings.
const LETTERS: usize = 128;

/// Paths near `path`, of which nothing is there: the same name elsewhere, then names like it in the
/// last directory on the way that is there.
pub(super) fn paths(listing: &Listing, path: &Path) -> Vec<PathBuf> {
    let mut near: Vec<PathBuf> = listing
        .iter()
        .map(|(found, _, _)| found)
        .filter(|found| found.file_name() == path.file_name())
        .take(MOST)
        .map(Path::to_owned)
        .collect();
    let there = path.ancestors().skip(1).find(|up| listing.has_below(up));
    let depth = there.map_or(0, |there| there.components().count());
    if let (Some(there), Some(name)) = (there, path.iter().nth(depth)) {
        let names = listing
            .iter()
            .filter_map(|(found, _, _)| found.strip_prefix(there).ok()?.iter().next());
        let names = nearest(name, names.collect());
        near.extend(names.into_iter().map(|name| there.join(name)));
    }
    near.truncate(MOST);
    near
}

/// Paths whose last name is like `name`.
pub(super) fn names(listing: &Listing, name: &OsStr) -> Vec<PathBuf> {
    let names = listing.iter().filter_map(|(found, _, _)| found.file_name()).collect();
    let near = nearest(name, names);
    let first = |name: &OsStr| {
        let mut paths = listing.iter().map(|(found, _, _)| found);
        paths.find(|found| found.file_name() == Some(name)).map(Path::to_owned)
    };
    near.into_iter().filter_map(first).collect()
}

/// Those of `names` that are like `name`, the likest first.
fn nearest<'a>(name: &OsStr, names: BTreeSet<&'a OsStr>) -> Vec<&'a OsStr> {
    let name = name.to_string_lossy().to_lowercase();
    let letters = name.chars().count();
    let limit = (1 + letters / 4).max(if letters > 2 { 2 } else { 1 });
    let mut ranked: Vec<(usize, &OsStr)> = names
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_string_lossy().to_lowercase();
            let distance = distance(&name, &lower);
            let contained = name.len() >= 3 && lower.contains(&name);
            (contained || distance <= limit).then_some((distance, candidate))
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// The number of letters to insert, delete or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(LETTERS).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (above, x) in a.chars().take(LETTERS).enumerate() {
        // one row of the table, made from the one above it
        let mut left = above + 1;
        let mut next = vec![left];
        for (pair, y) in row.windows(2).zip(&b) {
            let &[diagonal, up] = pair else { continue };
            left = (diagonal + usize::from(x != *y)).min(up + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_paths_have_the_same_name_or_one_like_it_in_the_same_place() {
        let paths_there =
            ["/usr/lib/libz.so.1", "/usr/lib/libzstd.so.1", "/opt/x/libz.so", "/usr/bin/x"];
        let line =
            |path: &&str| format!("{{\"path\":\"{path}\",\"target\":\"t\",\"reason\":\"\"}}\n");
        let text: String = paths_there.iter().map(line).collect();
        let listing = Listing::parse(text.as_bytes()).unwrap();
        for (asked, want) in [
            ("/usr/lib/libz.so", &["/opt/x/libz.so", "/usr/lib/libz.so.1"][..]),
            ("/usr/lbi/libz.so.1", &["/usr/lib/libz.so.1", "/usr/bin", "/usr/lib"]),
            ("/none/at/all", &[]),
        ] {
            let got = paths(&listing, Path::new(asked));
            assert_eq!(got, want.iter().map(PathBuf::from).collect::<Vec<_>>(), "{asked}");
        }
        let got = names(&listing, OsStr::new("libz.so.2"));
        assert_eq!(got, ["/usr/lib/libz.so.1", "/opt/x/libz.so"].map(PathBuf::from));
        for (a, b, want) in [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }
}
