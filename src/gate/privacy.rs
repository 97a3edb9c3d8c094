//! What is searched: files that this program makes, and those of the site. What a stack publishes
//! anyway, and what a distribution brings, is not.

use std::path::{Path, PathBuf};

use super::scan::{Depth, Scanner, Seen, Sighting};
use crate::base::{Escaped, Interrupt, Interrupted};
use crate::closure::{is_flexnet, parallel};
use crate::rootfs::{Content, FileId, Node, Resolved, Rootfs};

/// No file that is searched has more bytes.
pub const LONGEST: u64 = 1 << 18;
/// Sentences; the rest are counted.
const NAMED: usize = 20;
/// Files that a sentence names for the same thing.
const PLACES: usize = 3;

/// Directories of what this program makes.
const GENERATED: [&str; 2] = ["/.module-export", "/.singularity.d"];
/// Directories of the distribution.
const OF_THE_SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/// Endings of names of files that hold settings, logs or keys.
const ENDINGS: [&str; 20] = [
    "cfg",
    "conf",
    "config",
    "ini",
    "toml",
    "yaml",
    "yml",
    "json",
    "env",
    "sh",
    "csh",
    "fish",
    "bashrc",
    "log",
    "out",
    "pem",
    "key",
    "properties",
    "lua",
    "modulerc",
];
/// Whole names of such files.
const NAMES: [&str; 9] = [
    "config",
    "credentials",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    "Makefile.inc",
    "make.inc",
    "license.txt",
    "passwd",
];
/// Directories in which keys are there for everybody.
const OF_EVERYBODY: [&str; 7] = ["test", "tests", "testing", "testdata", "examples", "doc", "docs"];

/// What is searched, and how.
pub struct Search<'a> {
    /// The image's tree.
    pub rootfs: &'a Rootfs,
    /// What publishes itself: EESSI's repository.
    pub published: Option<&'a Path>,
    /// What the search looks for.
    pub scanner: &'a Scanner,
    /// Texts that the user gave for the image, such as the author's name: they say nothing new.
    pub given: &'a [String],
    /// The bytes of a file that has at most so many.
    pub bytes: &'a (dyn Fn(FileId) -> Option<Vec<u8>> + Sync),
    /// Asks for an end of the work.
    pub interrupt: &'a Interrupt,
}

impl std::fmt::Debug for Search<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("published", &self.published).finish_non_exhaustive()
    }
}

/// Something seen in a file of the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// The file in the image.
    pub path: PathBuf,
    /// Where in it, and what.
    pub sighting: Sighting,
}

impl Search<'_> {
    /// Everything that is seen, in order of path and line.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub fn leaks(&self) -> Result<Vec<Leak>, Interrupted> {
        let places = self.places();
        let found = parallel::map(&places, self.interrupt, |place| self.search(place))?;
        Ok(found.into_iter().flatten().collect())
    }

    fn places(&self) -> Vec<(PathBuf, FileId, Depth)> {
        let mut places = Vec::new();
        self.rootfs.walk(|path, node| {
            let Node::File(id) = node else { return };
            let file = self.rootfs.file(*id);
            if file.size > LONGEST || file.size == 0 {
                return;
            }
            let path = path.as_path();
            let depth = match &file.content {
                Content::Bytes(_) => Some(Depth::Settings),
                Content::Host(source) => self.depth(path, source, &file.reason),
                Content::Part(_) | Content::Kept | Content::Late => None,
            };
            if let Some(depth) = depth {
                places.push((path.to_owned(), *id, depth));
            }
        });
        places
    }

    /// How a file of this machine is searched; `None` if not at all.
    fn depth(&self, path: &Path, source: &Path, reason: &str) -> Option<Depth> {
        if self.published.is_some_and(|published| source.starts_with(published)) {
            return None;
        }
        let is_log =
            path.iter().any(|name| name == "easybuild") || has_ending(path, &["log", "out"]);
        if reason.starts_with("modulefile:") || path.starts_with("/etc") || is_log {
            return Some(Depth::Settings);
        }
        let of_system = OF_THE_SYSTEM.iter().any(|top| path.starts_with(top));
        if of_system && !path.starts_with("/usr/local") {
            return None;
        }
        let name = path.file_name()?.to_string_lossy();
        let wanted = has_ending(path, &ENDINGS)
            || name.starts_with('.')
            || NAMES.contains(&&*name)
            || name.to_lowercase().contains("licen");
        wanted.then_some(Depth::Installed)
    }

    fn search(&self, (path, id, depth): &(PathBuf, FileId, Depth)) -> Vec<Leak> {
        let Some(mut text) = (self.bytes)(*id) else { return Vec::new() };
        if matches!(self.rootfs.file(*id).content, Content::Bytes(_)) {
            self.given.iter().for_each(|given| blank(&mut text, given.as_bytes()));
        }
        let is_packed = |at: &Path| {
            let found = self.rootfs.resolve(at.as_os_str().as_encoded_bytes());
            matches!(found, Resolved::Found(_))
        };
        let mut seen = self.scanner.scan(&text, *depth, &is_packed);
        if path.iter().any(|name| OF_EVERYBODY.iter().any(|of| name == *of)) {
            seen.retain(|one| one.seen != Seen::Secret("a private key"));
        }
        if is_flexnet(&text) {
            seen.push(Sighting { line: 1, seen: Seen::Secret("a licence key") });
        }
        let leak = |sighting| Leak { path: path.clone(), sighting };
        seen.into_iter().map(leak).collect()
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|end| endings.iter().any(|ending| end == *ending))
}

/// Puts blanks over every `given` in `text`.
fn blank(text: &mut [u8], given: &[u8]) {
    if given.is_empty() {
        return;
    }
    let mut at = 0;
    while let Some(place) = text.get_mut(at..at + given.len()) {
        if place == given {
            place.fill(b' ');
            at += given.len();
        } else {
            at += 1;
        }
    }
}

/// A sentence for each thing that was seen, with the places where it stands.
#[must_use]
pub fn sentences(leaks: &[Leak]) -> Vec<String> {
    // two tokens may be of one kind and two; what is generated says the same thing many times
    let generated = |leak: &Leak| GENERATED.iter().any(|top| leak.path.starts_with(top));
    let together = |one: &Leak, other: &Leak| {
        one.sighting.seen == other.sighting.seen
            && (!matches!(one.sighting.seen, Seen::Secret(_)) || generated(one) && generated(other))
    };
    let mut groups: Vec<(&Seen, Vec<&Leak>)> = Vec::new();
    for leak in leaks {
        let known = |(_, places): &&mut (&Seen, Vec<&Leak>)| {
            places.first().is_some_and(|first| together(first, leak))
        };
        match groups.iter_mut().find(known) {
            Some((_, places)) => places.push(leak),
            None => groups.push((&leak.sighting.seen, vec![leak])),
        }
    }
    let mut sentences: Vec<_> =
        groups.iter().take(NAMED).map(|(seen, places)| sentence(seen, places)).collect();
    if groups.len() > NAMED {
        sentences.push(format!("{} more things of this kind were seen", groups.len() - NAMED));
    }
    sentences
}

fn sentence(seen: &Seen, places: &[&Leak]) -> String {
    let place = |leak: &&Leak| {
        let path = leak.path.to_string_lossy();
        format!("`{}`, line {}", Escaped(&path), leak.sighting.line)
    };
    let named: Vec<_> = places.iter().take(PLACES).map(place).collect();
    let more = match places.len().saturating_sub(PLACES) {
        0 => String::new(),
        more => format!(" and {more} more places"),
    };
    let what = match seen {
        Seen::Home(path) => {
            format!(
                "`{}`, a place in your home directory that the image does not have,",
                Escaped(path)
            )
        }
        Seen::User(name) => format!("your user name (`{}`)", Escaped(name)),
        Seen::Host(name) => format!("this machine's name (`{}`)", Escaped(name)),
        Seen::Secret(what) => format!("what looks like {what}"),
    };
    format!("{what} stands in {}{more}: whoever has the image can read it", named.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Epoch;
    use crate::gate::Person;
    use crate::rootfs::{File, ImagePath, Metadata};

    /// What is seen in these files: path, source (none for a generated one), reason, text.
    fn seen(files: &[(&str, bool, &str, &str)]) -> Vec<String> {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let mut rootfs = Rootfs::new(metadata);
        let mut texts = Vec::new();
        for (path, generated, reason, text) in files {
            let content = if *generated {
                Content::Bytes(text.as_bytes().to_vec())
            } else {
                Content::Host(path.into())
            };
            let size = text.len() as u64;
            let file = File { metadata, size, content, reason: (*reason).into() };
            rootfs.add_file(&ImagePath::new(path.as_bytes()).unwrap(), file).unwrap();
            texts.push(text.as_bytes().to_vec());
        }
        let person = Person::new(Some("/home/jane"), Some("jane"), &["mercury".to_owned()]);
        let scanner = Scanner::new(&person).unwrap();
        let search = Search {
            rootfs: &rootfs,
            published: Some(Path::new("/cvmfs/r")),
            scanner: &scanner,
            given: &["Jane <jane@example.org>".to_owned()],
            bytes: &|id| texts.get(id.index()).cloned(),
            interrupt: &Interrupt::default(),
        };
        let leaks = search.leaks().unwrap();
        leaks.iter().map(|leak| format!("{} {}", leak.path.display(), leak.sighting.line)).collect()
    }

    #[test]
    fn what_is_made_here_and_what_is_the_sites_is_searched() {
        let all = "nothing\nby jane on mercury\n";
        for (path, generated, reason, text, want) in [
            ("/.module-export/env.json", true, "generated:", all, 2),
            ("/.module-export/a", true, "generated:", "Jane <jane@example.org>", 0),
            ("/apps/mf/a/1.lua", false, "modulefile:a/1", all, 2),
            ("/etc/x", false, "base:etc", all, 2),
            ("/apps/a/easybuild/a.eb", false, "module:a/1", all, 2),
            ("/apps/a/run.log", false, "module:a/1", all, 2),
            ("/apps/a/x.cfg", false, "module:a/1", all, 0),
            ("/apps/a/x.cfg", false, "module:a/1", "/home/jane/x", 1),
            ("/apps/a/x.c", false, "module:a/1", "/home/jane/x", 0),
            ("/usr/share/x.cfg", false, "base:", "/home/jane/x", 0),
            ("/usr/local/x.cfg", false, "include:/usr/local", "/home/jane/x", 1),
            ("/cvmfs/r/mf/a/1.lua", false, "modulefile:a/1", all, 0),
            ("/apps/a/my-license", false, "module:a/1", "SERVER a 001122334455 1\n", 1),
        ] {
            let found = seen(&[(path, generated, reason, text)]);
            assert_eq!(found.len(), want, "{path}: {found:?}");
        }
    }

    #[test]
    fn a_name_is_told_once_with_its_places_and_a_secret_never() {
        let leak =
            |path: &str, line, seen| Leak { path: path.into(), sighting: Sighting { line, seen } };
        let user = || Seen::User("jane".to_owned());
        let secret = || Seen::Secret("a password");
        let leaks = [
            leak("/a", 1, user()),
            leak("/a", 2, secret()),
            leak("/b", 3, user()),
            leak("/c", 4, secret()),
            leak("/.module-export/env.json", 5, secret()),
            leak("/.singularity.d/env/90.sh", 6, secret()),
        ];
        assert_eq!(
            sentences(&leaks),
            [
                "your user name (`jane`) stands in `/a`, line 1; `/b`, line 3: whoever has the image can read it",
                "what looks like a password stands in `/a`, line 2: whoever has the image can read it",
                "what looks like a password stands in `/c`, line 4: whoever has the image can read it",
                "what looks like a password stands in `/.module-export/env.json`, line 5; `/.singularity.d/env/90.sh`, line 6: whoever has the image can read it",
            ]
        );
    }
}
