//! Versions that files of the site and the user mark as defaults.

use std::collections::BTreeMap;

use super::groups::mark_last;
use super::rc::Fault;
use super::search::Candidate;

/// Marked names, whole and part by part.
#[derive(Debug, Default)]
pub(super) struct Marks {
    whole: BTreeMap<String, char>,
    parts: BTreeMap<String, Part>,
}

/// What follows after a part of names.
#[derive(Debug, Default)]
struct Part {
    mark: Option<char>,
    next: BTreeMap<String, Part>,
}

impl Marks {
    /// Marks a name; `s` stands for the site, `u` for the user.
    pub(super) fn add(&mut self, name: &str, mark: char) {
        self.whole.insert(name.to_owned(), mark);
        let mut parts = &mut self.parts;
        let mut rest = name;
        while let Some((first, after)) = rest.split_once('/') {
            parts = &mut parts.entry(first.to_owned()).or_default().next;
            rest = after;
        }
        parts.entry(rest.to_owned()).or_default().mark = Some(mark);
    }

    /// Marks by full name.
    pub(super) fn whole(&self) -> &BTreeMap<String, char> {
        &self.whole
    }

    /// Marks candidates of the module `short_name`. Where a part of the short name is not among
    /// the marked ones, Lmod goes on with the next part all the same.
    ///
    /// # Errors
    /// [`Fault::MarkedModule`] if the module itself is marked, which Lmod does not bear.
    pub(super) fn apply(
        &self,
        short_name: &str,
        blocks: &mut [Vec<Candidate>],
    ) -> Result<(), Fault> {
        let mut parts = &self.parts;
        let mut found = false;
        let mut names = short_name.split('/').peekable();
        while let Some(name) = names.next() {
            found = false;
            let Some(part) = parts.get(name) else { continue };
            if part.next.is_empty() {
                return match names.peek() {
                    None => Err(Fault::MarkedModule(short_name.to_owned())),
                    Some(_) => Ok(()),
                };
            }
            parts = &part.next;
            found = true;
        }
        if !found {
            return Ok(());
        }
        let mut versions = BTreeMap::new();
        collect(parts, "", &mut versions);
        for candidate in blocks.iter_mut().flatten() {
            let mark = candidate.version.as_ref().and_then(|version| versions.get(version));
            if let Some(mark) = mark {
                candidate.weight = mark_last(&candidate.weight, *mark);
            }
        }
        Ok(())
    }
}

/// Marked versions: where one is the beginning of another, only the other counts.
fn collect(parts: &BTreeMap<String, Part>, before: &str, into: &mut BTreeMap<String, char>) {
    for (name, part) in parts {
        let version = if before.is_empty() { name.clone() } else { format!("{before}/{name}") };
        if part.next.is_empty() {
            into.extend(part.mark.map(|mark| (version, mark)));
        } else {
            collect(&part.next, &version, into);
        }
    }
}
