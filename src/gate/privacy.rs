//! What is searched: files that this program makes, and those of the site. What a stack publishes
//! anyway, and what a distribution brings, is not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::scan::{Depth, Scanner, Seen, Sighting};
use super::secrets::PUBLISHED_KEY;
use crate::base::{ByteSize, Escaped, Interrupt, Interrupted};
use crate::closure::{is_flexnet, parallel};
use crate::environment::Variables;
use crate::rootfs::{Content, FileId, Node, Resolved, Rootfs};

/// So many bytes of a file are searched.
pub const LONGEST: u64 = 1 << 24;
/// Longer files of an installation are data.
const INSTALLED: u64 = 1 << 20;
/// Sentences; the rest are counted.
const NAMED: usize = 20;
/// Files that a sentence names for the same thing.
const PLACES: usize = 3;

/// Directories of what this program makes.
const GENERATED: [&str; 2] = ["/.module-export", "/.singularity.d"];
/// Directories of the distribution.
const OF_THE_SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/// Endings of names of files that hold settings, logs or keys.
const ENDINGS: [&str; 30] = [
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
    "xml",
    "tcl",
    "pc",
    "la",
    "cmake",
    "pth",
    "mk",
    "netrc",
    "pgpass",
    "ppk",
];
/// Those of them in which people write settings.
const CONFIGURATION: [&str; 10] =
    ["cfg", "conf", "config", "ini", "env", "properties", "netrc", "pgpass", "toml", "npmrc"];
/// Whole names of files that hold settings or keys.
const NAMES: [&str; 16] = [
    "config",
    "credentials",
    "creds",
    "secrets",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    "Makefile.inc",
    "make.inc",
    "license.txt",
    "passwd",
    "htpasswd",
    "shadow",
    "Makefile",
    "Renviron.site",
    "Rprofile.site",
];
/// Directories of libraries that bring settings of their own, for everybody.
const OF_LIBRARIES: [&str; 8] = [
    "site-packages",
    "dist-packages",
    "node_modules",
    "share",
    "include",
    "library",
    "perl5",
    "site_perl",
];
/// Directories of an installation.
const OF_PACKAGES: [&str; 5] = ["bin", "lib", "lib64", "libexec", "src"];
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
    /// What this program writes into the image that comes from the session: only there can names be
    /// somebody's in what it makes.
    pub variables: &'a Variables,
    /// The first [`LONGEST`] bytes of a file.
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

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Everything that was seen, in order of path and line.
    pub leaks: Vec<Leak>,
    /// Files of which only the beginning was searched.
    pub partly: Vec<PathBuf>,
}

impl Search<'_> {
    /// Everything that is seen.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub fn leaks(&self) -> Result<Found, Interrupted> {
        let mut places = Vec::new();
        // the image tells of names in its paths anyway
        let mut told = BTreeSet::new();
        self.rootfs.walk(|path, node| {
            self.note_names(path.as_path(), &mut told);
            places.extend(self.place(path.as_path(), node));
        });
        let from_session = self.telling_variables();
        let found = parallel::map(&places, self.interrupt, |place| {
            let mut leaks = self.search(place, &from_session);
            leaks.retain(|leak| match &leak.sighting.seen {
                Seen::User(name) | Seen::Host(name) => !told.contains(name),
                Seen::Home(_) | Seen::Secret(_) => true,
            });
            leaks
        })?;
        let long = |(_, id, _): &&(PathBuf, FileId, Depth)| self.rootfs.file(*id).size > LONGEST;
        let partly = places.iter().filter(long).map(|(path, _, _)| path.clone()).collect();
        Ok(Found { leaks: found.into_iter().flatten().collect(), partly })
    }

    /// Notes the names that are a part of this path.
    fn note_names(&self, path: &Path, told: &mut BTreeSet<String>) {
        for name in self.scanner.names() {
            if !told.contains(name) && path.iter().any(|part| part == name) {
                told.insert(name.to_owned());
            }
        }
    }

    fn place(&self, path: &Path, node: &Node) -> Option<(PathBuf, FileId, Depth)> {
        let Node::File(id) = node else { return None };
        let file = self.rootfs.file(*id);
        if file.size == 0 {
            return None;
        }
        let depth = match &file.content {
            Content::Bytes(_) => Depth::Settings,
            Content::Host(source) => self.depth(path, source, &file.reason, file.size)?,
            Content::Part(_) | Content::Kept | Content::Late => return None,
        };
        (depth != Depth::Installed || file.size <= INSTALLED).then(|| (path.to_owned(), *id, depth))
    }

    /// Names of variables whose values have a name that is looked for.
    fn telling_variables(&self) -> Vec<&str> {
        let tells = |value: &str| {
            let seen =
                self.scanner.scan(value.as_bytes(), Depth::Settings, &|at| self.is_packed(at));
            seen.iter().any(|one| matches!(one.seen, Seen::User(_) | Seen::Host(_)))
        };
        let telling = self.variables.iter().filter(|(_, value)| tells(value));
        telling.map(|(name, _)| name.as_str()).collect()
    }

    fn is_packed(&self, at: &Path) -> bool {
        let found = self.rootfs.resolve(at.as_os_str().as_encoded_bytes());
        matches!(found, Resolved::Found(_))
    }

    /// How a file of this machine is searched; `None` if not at all.
    fn depth(&self, path: &Path, source: &Path, reason: &str, size: u64) -> Option<Depth> {
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
        let in_any =
            |directories: &[&str]| path.iter().any(|part| directories.iter().any(|of| part == *of));
        let of_library = in_any(&OF_EVERYBODY) || in_any(&OF_LIBRARIES);
        // what somebody asked for by its path may be their own, but for what packages bring
        let is_asked = reason.starts_with("include:")
            && size <= INSTALLED
            && !of_library
            && !in_any(&OF_PACKAGES);
        let name = path.file_name()?.to_string_lossy();
        // `.netrc`, `.aws/creds`
        let last = path.iter().rev().take(2);
        let is_dotted = last.into_iter().any(|part| part.as_encoded_bytes().starts_with(b"."));
        let is_named = NAMES.contains(&&*name);
        let lower = name.to_lowercase();
        let wanted = is_asked
            || has_ending(path, &ENDINGS)
            || is_dotted
            || is_named
            || lower.contains("licen")
            || lower.starts_with("_sysconfigdata")
            || lower == "sitecustomize.py";
        let is_configuration = is_asked
            || !of_library
                && (is_dotted || is_named || has_ending(path, &CONFIGURATION) || in_any(&["etc"]));
        let depth = if is_configuration { Depth::Configuration } else { Depth::Installed };
        wanted.then_some(depth)
    }

    fn search(
        &self,
        (path, id, depth): &(PathBuf, FileId, Depth),
        from_session: &[&str],
    ) -> Vec<Leak> {
        let Some(mut text) = (self.bytes)(*id) else { return Vec::new() };
        let is_generated = matches!(self.rootfs.file(*id).content, Content::Bytes(_));
        if is_generated {
            self.given.iter().for_each(|given| blank(&mut text, given.as_bytes()));
        }
        let mut seen = self.scanner.scan(&text, *depth, &|at| self.is_packed(at));
        if is_generated && seen.iter().any(is_name) {
            let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
            seen.retain(|one| {
                let line = lines.get(one.line.saturating_sub(1)).copied().unwrap_or_default();
                !is_name(one) || from_session.iter().any(|name| contains(line, name.as_bytes()))
            });
        }
        if path.iter().any(|name| OF_EVERYBODY.iter().any(|of| name == *of)) {
            seen.retain(|one| one.seen != Seen::Secret(PUBLISHED_KEY));
        }
        if is_flexnet(&text) {
            seen.push(Sighting { line: 1, seen: Seen::Secret("a licence key") });
        }
        if path.file_name().is_some_and(|name| name == ".pgpass" || name == "pgpass") {
            seen.extend(of_pgpass(&text));
        }
        let leak = |sighting| Leak { path: path.clone(), sighting };
        seen.into_iter().map(leak).collect()
    }
}

fn is_name(one: &Sighting) -> bool {
    matches!(one.seen, Seen::User(_) | Seen::Host(_))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}

/// The lines of `PostgreSQL`'s file of passwords: host, port, database, user, password.
fn of_pgpass(text: &[u8]) -> Vec<Sighting> {
    let has_password = |line: &[u8]| {
        let mut fields = line.split(|&byte| byte == b':').skip(4);
        !line.starts_with(b"#") && fields.next().is_some_and(|password| !password.is_empty())
    };
    let lines = text.split(|&byte| byte == b'\n').enumerate();
    let sighting = |(at, _)| Sighting { line: at + 1, seen: Seen::Secret("a password") };
    lines.filter(|(_, line)| has_password(line)).map(sighting).collect()
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

/// A sentence for each thing that was seen, with the places where it stands; where not `all` are
/// wanted, the rest is counted.
#[must_use]
pub fn sentences(found: &Found, all: bool) -> Vec<String> {
    let mut sentences = of_leaks(&found.leaks, all);
    if let Some(first) = found.partly.first() {
        let path = first.to_string_lossy();
        let others = match found.partly.len() - 1 {
            0 => String::new(),
            others => format!(" and of {others} other long files"),
        };
        sentences.push(format!(
            "only the first {} of `{}`{others} were searched for what tells of you: look at the rest before you hand the image on",
            ByteSize(LONGEST),
            Escaped(&path)
        ));
    }
    sentences
}

fn of_leaks(leaks: &[Leak], all: bool) -> Vec<String> {
    let (named, places_named) = if all { (usize::MAX, usize::MAX) } else { (NAMED, PLACES) };
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
    let mut sentences: Vec<_> = groups
        .iter()
        .take(named)
        .map(|(seen, places)| sentence(seen, places, places_named))
        .collect();
    if groups.len() > named {
        sentences.push(format!(
            "{} more things of this kind were seen (--verbose names each)",
            groups.len() - named
        ));
    }
    sentences
}

fn sentence(seen: &Seen, places: &[&Leak], most: usize) -> String {
    let place = |leak: &&Leak| {
        let path = leak.path.to_string_lossy();
        format!("`{}`, line {}", Escaped(&path), leak.sighting.line)
    };
    let named: Vec<_> = places.iter().take(most).map(place).collect();
    let more = match places.len().saturating_sub(most) {
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
mod tests;
