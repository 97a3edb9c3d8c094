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

    /// Whether the name is marked.
    pub(super) fn has(&self, name: &str) -> bool {
        self.whole.contains_key(name)
    }

    /// Marks by full name.
    pub(super) fn whole(&self) -> &BTreeMap<String, char> {
        &self.whole
    }

    /// Marks candidates of the module `short_name`; `target_of_virtual` is told a directory of
    /// `MODULEPATH` and the name of what may be a virtual module. Where a part of the short name is not among
    /// the marked ones, Lmod goes on with the next part all the same.
    ///
    /// # Errors
    /// [`Fault::MarkedModule`] if the module itself is marked, which Lmod does not bear.
    pub(super) fn apply(
        &self,
        short_name: &str,
        blocks: &mut [Vec<Candidate>],
        target_of_virtual: &dyn Fn(&str, &str) -> Option<String>,
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
            let Some(version) = &candidate.version else { continue };
            // A virtual module's mark is that of what it stands for.
            let stands_for = |marked: &String| {
                let target = target_of_virtual(&candidate.place, &format!("{short_name}/{marked}"));
                target.as_deref().and_then(|target| target.split_once('/'))
                    == Some((short_name, version.as_str()))
            };
            let mark = versions.get(version).or_else(|| {
                let mut marks = versions.iter().filter(|(marked, _)| stands_for(marked));
                marks.next().map(|(_, mark)| mark)
            });
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
