//! How many files, and how many bytes, are in an image for which reasons.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::ByteSize;
use crate::closure::Cause;

/// Files that are there for reasons of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Share {
    /// `module:GCC/13.2.0`, or `library:` for all libraries.
    pub(super) reason: String,
    /// The same in words.
    pub(super) says: String,
    /// Names of files; a hard-linked file counts by each.
    pub(super) files: u64,
    /// Links, FIFOs and sockets.
    pub(super) others: u64,
    /// Bytes of the files; a hard-linked one counts once.
    pub(super) bytes: ByteSize,
}

/// Shares as they grow.
#[derive(Debug, Default)]
pub(super) struct Tally {
    shares: BTreeMap<String, Share>,
    /// Files with several names that were counted.
    seen: BTreeSet<u32>,
}

impl Tally {
    /// Counts a name of a file; `identity` is the same for all its names.
    pub(super) fn add_file(&mut self, reason: &str, size: u64, identity: u32) {
        let is_new = self.seen.insert(identity);
        let share = self.share(reason);
        share.files += 1;
        if is_new {
            share.bytes.0 = share.bytes.0.saturating_add(size);
        }
    }

    /// Counts a link or something else without content.
    pub(super) fn add_other(&mut self, reason: &str) {
        self.share(reason).others += 1;
    }

    fn share(&mut self, reason: &str) -> &mut Share {
        let (reason, says) = group(&Cause::parse(reason));
        let new = Share { reason: reason.clone(), says, ..Share::default() };
        self.shares.entry(reason).or_insert(new)
    }

    /// The shares, the largest first.
    pub(super) fn into_shares(self) -> Vec<Share> {
        let mut shares: Vec<_> = self.shares.into_values().collect();
        shares.sort_by_key(|share| {
            (std::cmp::Reverse(share.bytes), std::cmp::Reverse(share.files), share.reason.clone())
        });
        shares
    }
}

/// The reasons that a reason is counted with, and what they are called.
fn group(cause: &Cause) -> (String, String) {
    let whole = cause.to_string();
    let kind = |kind: &str| format!("{kind}:");
    match cause {
        Cause::Module(name) => (whole, format!("module {name}")),
        Cause::Modulefile(name) => (whole, format!("modulefile of {name}")),
        Cause::Library { .. } => (kind("library"), "libraries that packed files need".to_owned()),
        Cause::Link(_) => (kind("link"), "what packed links lead to".to_owned()),
        Cause::BaseScript { .. } => (kind("script"), "interpreters of packed scripts".to_owned()),
        Cause::Script(_) => (kind("script"), "what packed scripts name".to_owned()),
        Cause::Constant(_) => (kind("constant"), "what packed programs name".to_owned()),
        Cause::Environment(_) => (kind("environment"), "what variables name".to_owned()),
        Cause::Base(_) => (kind("base"), "base of this machine".to_owned()),
        Cause::Beneath => (kind("base"), "the base".to_owned()),
        Cause::Core(_) => (kind("core"), "core of a slim base".to_owned()),
        Cause::Layer(layer) => (whole, format!("compatibility layer {}", layer.to_string_lossy())),
        Cause::Init(_) => (whole, "start of a session".to_owned()),
        Cause::Include(path) => (whole, format!("--include {}", path.to_string_lossy())),
        Cause::Generated => (whole, "made for the image".to_owned()),
        Cause::Other(_) => (kind(cause.kind()), kind(cause.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_file_with_two_names_count_once_and_its_names_each() {
        let mut tally = Tally::default();
        tally.add_file("module:a/1", 10, 1);
        tally.add_file("module:a/1", 10, 1);
        tally.add_file("library:x.so for /a", 30, 2);
        tally.add_file("library:y.so for /b", 5, 3);
        tally.add_other("module:a/1");
        let shares = tally.into_shares();
        let shown: Vec<_> = shares
            .iter()
            .map(|share| (&*share.reason, share.files, share.others, share.bytes.0))
            .collect();
        assert_eq!(shown, [("library:", 2, 0, 35), ("module:a/1", 2, 1, 10)]);
    }
}
