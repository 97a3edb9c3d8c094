//! How many files, and how many bytes, are in an image for which reasons.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::{ByteSize, Escaped};
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

impl Share {
    /// The share on a line.
    pub(super) fn line(&self) -> String {
        let Self { files, others, bytes, says, .. } = self;
        let (bytes, says) = (bytes.to_string(), Escaped(says));
        format!("{bytes:>8} {files:>7} files {others:>6} links  {says}")
    }
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Each module, each layer.
    Each,
    /// All modules, all layers.
    Kinds,
}

/// Shares as they grow.
#[derive(Debug)]
pub(super) struct Tally {
    detail: Detail,
    shares: BTreeMap<String, Share>,
    /// Files with several names that were counted.
    seen: BTreeSet<u32>,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn by(detail: Detail) -> Self {
        Self { detail, shares: BTreeMap::new(), seen: BTreeSet::new() }
    }

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
        let (reason, says) = group(&Cause::parse(reason), self.detail);
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
pub(super) fn group(cause: &Cause, detail: Detail) -> (String, String) {
    let (all, each) = match cause {
        Cause::Module(name) => ("installations of modules", Some(format!("module {name}"))),
        Cause::Modulefile(name) => {
            ("modulefiles and what names them", Some(format!("modulefile of {name}")))
        }
        Cause::Layer(layer) => {
            let path = layer.to_string_lossy();
            ("compatibility layer", Some(format!("compatibility layer {path}")))
        }
        Cause::Include(path) => {
            ("what --include names", Some(format!("--include {}", path.to_string_lossy())))
        }
        Cause::Library { .. } => ("libraries that packed files need", None),
        Cause::Link(_) => ("what packed links lead to", None),
        Cause::BaseScript { .. } => ("interpreters of packed scripts", None),
        Cause::Script(_) => ("what packed scripts name", None),
        Cause::Interpreter(_) => ("libraries of interpreters", None),
        Cause::Constant(_) => ("what packed programs name", None),
        Cause::Environment(_) => ("what variables name", None),
        Cause::Base(_) => ("base of this machine", None),
        Cause::Beneath => ("the base", None),
        Cause::Core(_) => ("core of a slim base", None),
        Cause::Init(_) => ("start of a session", None),
        Cause::Generated => ("made for the image", None),
        Cause::Other(_) => ("other reasons", None),
    };
    match each {
        Some(each) if detail == Detail::Each => (cause.to_string(), each),
        _ => {
            let is_interpreter = matches!(cause, Cause::BaseScript { .. });
            let kind = if is_interpreter { "script" } else { cause.kind() };
            (format!("{kind}:"), all.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_file_with_two_names_count_once_and_its_names_each() {
        let mut tally = Tally::by(Detail::Each);
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
