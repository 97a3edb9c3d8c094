//! Texts are searched for what tells of a person or a place, and for secrets.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};

use super::secrets::{SHAPES, Shape};
use super::{assigned, secrets};

/// Names that tell nothing of a person.
const NOBODY: [&str; 72] = [
    "root",
    "user",
    "users",
    "admin",
    "test",
    "guest",
    "nobody",
    "build",
    "builder",
    "runner",
    "ubuntu",
    "debian",
    "centos",
    "rocky",
    "ec2-user",
    "opc",
    "vagrant",
    "docker",
    "jenkins",
    "easybuild",
    "eessi",
    "spack",
    "module",
    "modules",
    "software",
    "image",
    "images",
    "shell",
    "local",
    "linux",
    "data",
    "lmod",
    "apps",
    "work",
    "home",
    "share",
    "shared",
    "science",
    "student",
    "staff",
    "install",
    "installer",
    "package",
    "packages",
    "container",
    "config",
    "default",
    "environment",
    "python",
    "system",
    "service",
    "services",
    "server",
    "backup",
    "project",
    "projects",
    "group",
    "library",
    "source",
    "sources",
    "tools",
    "temp",
    "name",
    "file",
    "files",
    "path",
    "version",
    "author",
    "license",
    "public",
    "cluster",
    "compute",
];
/// Names that tell nothing of a place.
const NOWHERE: [&str; 24] = [
    "localhost",
    "localdomain",
    "login",
    "node",
    "head",
    "master",
    "debian",
    "ubuntu",
    "runner",
    "linux",
    "data",
    "server",
    "cluster",
    "compute",
    "build",
    "builder",
    "test",
    "host",
    "local",
    "image",
    "shell",
    "module",
    "modules",
    "container",
];
/// What is no text has a zero among its first bytes.
const PROBE: usize = 8192;
/// A shorter name is too often a word.
const SHORTEST: usize = 4;

/// The person who exports, and the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    home: Option<String>,
    user: Option<String>,
    hosts: Vec<String>,
}

impl Person {
    /// Who has this home and name, at the machine with these names: what tells nothing is left out.
    #[must_use]
    pub fn new(home: Option<&str>, user: Option<&str>, hosts: &[String]) -> Self {
        let home = home.map(|home| home.trim_end_matches('/'));
        let tells = |home: &&str| {
            let parts = Path::new(home).iter().count();
            // `/root` is everybody's
            home.starts_with('/') && parts > 2
        };
        let user = user.filter(|user| is_telling(user, &NOBODY));
        let mut hosts: Vec<String> =
            hosts.iter().filter(|host| is_telling(host, &NOWHERE)).cloned().collect();
        hosts.sort();
        hosts.dedup();
        // the short name stands in the long one
        let owned = |text: &str| text.to_owned();
        Self { home: home.filter(tells).map(owned), user: user.map(owned), hosts }
    }
}

fn is_telling(name: &str, words: &[&str]) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    let numberless = first.trim_end_matches(|c: char| c.is_ascii_digit());
    first.len() >= SHORTEST && !words.contains(&first) && !words.contains(&numberless)
}

/// What a text is searched for besides tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Names and passwords, too: people or this program wrote it here.
    Settings,
    /// Passwords, too: people may have written it here.
    Configuration,
    /// The home directory and tokens alone.
    Installed,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// A path in the home directory.
    Home(String),
    /// The user's name.
    User(String),
    /// A name of the machine.
    Host(String),
    /// Something secret, which is not told.
    Secret(&'static str),
}

/// Something seen in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// From 1.
    pub line: usize,
    /// What.
    pub seen: Seen,
}

/// A search for everything at once.
pub struct Scanner {
    needles: AhoCorasick,
    texts: Vec<String>,
    kinds: Vec<Needle>,
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner").field("needles", &self.kinds.len()).finish_non_exhaustive()
    }
}

enum Needle {
    Home,
    User(String),
    Host(String),
    Shape(&'static Shape),
    /// A part of a name of secrets.
    Name,
}

impl Needle {
    /// Whether its letters have their case.
    fn is_exact(&self) -> bool {
        match self {
            Self::Home | Self::User(_) | Self::Host(_) => true,
            Self::Shape(shape) => shape.exact,
            Self::Name => false,
        }
    }
}

impl Scanner {
    /// A search for what tells of this person, and for secrets.
    ///
    /// # Errors
    /// Should the names be too long for a search.
    pub fn new(person: &Person) -> Result<Self, aho_corasick::BuildError> {
        let mut kinds = Vec::new();
        let mut texts: Vec<String> = Vec::new();
        let mut add = |text: &str, needle| {
            texts.push(text.to_owned());
            kinds.push(needle);
        };
        if let Some(home) = &person.home {
            add(home, Needle::Home);
        }
        if let Some(user) = &person.user {
            add(user, Needle::User(user.clone()));
        }
        for host in &person.hosts {
            add(host, Needle::Host(host.clone()));
        }
        for shape in SHAPES {
            add(shape.start, Needle::Shape(shape));
        }
        for part in assigned::PARTS {
            add(part, Needle::Name);
        }
        let needles = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(&texts)?;
        Ok(Self { needles, texts, kinds })
    }

    /// The names of a person and places that are looked for.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().filter_map(|kind| match kind {
            Needle::User(name) | Needle::Host(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// What is seen in a text, each once a line; nothing in what is no text. Paths that are packed
    /// have to be in the image, and are in its list of files anyway.
    #[must_use]
    pub fn scan(
        &self,
        text: &[u8],
        depth: Depth,
        is_packed: &dyn Fn(&Path) -> bool,
    ) -> Vec<Sighting> {
        if text.get(..PROBE.min(text.len())).is_none_or(|start| start.contains(&0)) {
            return Vec::new();
        }
        let mut seen = Vec::new();
        for found in self.needles.find_overlapping_iter(text) {
            let at = found.pattern().as_usize();
            let (Some(needle), Some(own)) = (self.kinds.get(at), self.texts.get(at)) else {
                continue;
            };
            let is_own = text.get(found.range()) == Some(own.as_bytes());
            if !is_own && needle.is_exact() {
                continue;
            }
            if let Some(what) = see(text, (found.start(), found.end()), needle, depth, is_packed) {
                seen.push((found.start(), what));
            }
        }
        let mut sightings = with_lines(text, seen);
        sightings.dedup();
        // a long name of a machine holds the short one
        let all = sightings.clone();
        sightings.retain(|one| {
            let Seen::Host(host) = &one.seen else { return true };
            let longer = |other: &Sighting| matches!(&other.seen, Seen::Host(name) if name.len() > host.len() && name.starts_with(host.as_str()));
            !all.iter().any(|other| other.line == one.line && longer(other))
        });
        sightings
    }
}

/// Whether what a variable holds should not be shown: its name says so, or its value.
#[must_use]
pub fn looks_secret(name: &str, value: &str) -> bool {
    assigned::is_secret_variable(name) || secrets::has_shape(value.as_bytes())
}

fn see(
    text: &[u8],
    (start, end): (usize, usize),
    needle: &Needle,
    depth: Depth,
    is_packed: &dyn Fn(&Path) -> bool,
) -> Option<Seen> {
    let rest = text.get(end..)?;
    let before = start.checked_sub(1).and_then(|at| text.get(at)).copied();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts = !before.is_some_and(is_word);
    let ends = !rest.first().copied().is_some_and(is_word);
    match needle {
        Needle::Shape(shape) => {
            let wanted = depth != Depth::Installed || !shape.in_settings;
            let word = !shape.is_word || starts;
            (wanted && word && (shape.follows)(rest)).then_some(Seen::Secret(shape.what))
        }
        Needle::Name => {
            let wanted = depth != Depth::Installed;
            wanted.then(|| assigned::seen(text, start, end)).flatten().map(Seen::Secret)
        }
        Needle::Home => {
            let option = text.get(..start)?.ends_with(b"-I") || text.get(..start)?.ends_with(b"-L");
            let inside = before.is_some_and(|byte| is_word(byte) || b"/.-".contains(&byte));
            let whole = rest.first().is_none_or(|&byte| !is_word(byte) && !b".-".contains(&byte));
            let path = path_around(text, start);
            let path = String::from_utf8_lossy(path).into_owned();
            (whole && (option || !inside) && !is_packed(Path::new(&path)))
                .then_some(Seen::Home(path))
        }
        Needle::User(name) | Needle::Host(name) => {
            if depth != Depth::Settings || !starts || !ends {
                return None;
            }
            let path = path_around(text, start);
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            if path.is_absolute() && is_packed(path) {
                return None;
            }
            Some(match needle {
                Needle::User(_) => Seen::User(name.clone()),
                _ => Seen::Host(name.clone()),
            })
        }
    }
}

/// The path that the byte at `at` is in.
fn path_around(text: &[u8], at: usize) -> &[u8] {
    let belongs =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@~".contains(byte) || !byte.is_ascii();
    let before = text.get(..at).unwrap_or_default();
    let start = before.iter().rposition(|byte| !belongs(byte)).map_or(0, |found| found + 1);
    let after = text.get(at..).unwrap_or_default();
    let end = after.iter().position(|byte| !belongs(byte)).unwrap_or(after.len());
    let path = text.get(start..at + end).unwrap_or_default();
    // `-I/home/jane`
    let root = path.iter().position(|&byte| byte == b'/').unwrap_or(0);
    let is_option = path.starts_with(b"-");
    if is_option { path.get(root..).unwrap_or_default() } else { path }
}

/// Places as lines, in order; a path in a home stands for the user's name in it.
fn with_lines(text: &[u8], mut seen: Vec<(usize, Seen)>) -> Vec<Sighting> {
    seen.sort();
    let (mut line, mut at) = (1, 0);
    let mut sightings: Vec<Sighting> = Vec::new();
    for (place, what) in seen {
        let skipped = text.get(at..place).unwrap_or_default();
        line += skipped.split(|&byte| byte == b'\n').count().saturating_sub(1);
        at = place;
        let of_home = |other: &Sighting| other.line == line && matches!(other.seen, Seen::Home(_));
        if matches!(what, Seen::User(_)) && sightings.iter().rev().take(8).any(of_home) {
            continue;
        }
        let one = Sighting { line, seen: what };
        if !sightings.iter().rev().take_while(|other| other.line == line).any(|other| *other == one)
        {
            sightings.push(one);
        }
    }
    sightings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str, depth: Depth) -> Vec<String> {
        let hosts = ["login7".to_owned(), "mercury".to_owned(), "mercury.example.org".to_owned()];
        let person = Person::new(Some("/home/jane/"), Some("jane"), &hosts);
        let packed = |path: &Path| path.starts_with("/home/jane/apps");
        let sightings = Scanner::new(&person).unwrap().scan(text.as_bytes(), depth, &packed);
        sightings.into_iter().map(|one| format!("{} {:?}", one.line, one.seen)).collect()
    }

    #[test]
    fn names_are_whole_words_and_paths_are_those_that_are_not_packed() {
        for (text, want) in [
            ("a\ncd /home/jane/x y\n", &["2 Home(\"/home/jane/x\")"][..]),
            ("-I/home/jane/include", &["1 Home(\"/home/jane/include\")"]),
            ("/home/jane/apps/lib", &[]),
            ("/home/janet /data/home/jane", &["1 User(\"jane\")"]),
            ("by jane, jane", &["1 User(\"jane\")"]),
            ("Janet trojane jane_2", &[]),
            (
                "on mercury.example.org\nmercury\n",
                &["1 Host(\"mercury.example.org\")", "2 Host(\"mercury\")"],
            ),
            ("login7", &[]),
            ("http://a:b1c2@x.org", &["1 Secret(\"a user name with its password\")"]),
            ("password: hunter2", &["1 Secret(\"a password\")"]),
            ("AWS_SECRET_ACCESS_KEY=a1B2c3D4e5F6", &["1 Secret(\"a token\")"]),
            ("authorization: Basic amFuZTpodW50ZXIy", &["1 Secret(\"a token\")"]),
            ("JANE Mercury", &[]),
            ("\0/home/jane/x", &[]),
        ] {
            assert_eq!(scan(text, Depth::Settings), want, "{text}");
        }
        let text = "by jane on mercury\npassword: hunter2\n";
        assert_eq!(scan(text, Depth::Installed), [""; 0]);
        assert_eq!(scan(text, Depth::Configuration), ["2 Secret(\"a password\")"]);
        assert_eq!(scan("cd /home/jane", Depth::Installed), ["1 Home(\"/home/jane\")"]);
    }

    #[test]
    fn names_that_everybody_has_tell_nothing() {
        let hosts = ["localhost.localdomain", "login1", "node042", "x1"].map(str::to_owned);
        for (home, user) in [
            ("/root", "root"),
            ("/", "nobody"),
            ("", "bob"),
            ("/home", "user1"),
            ("", "shell"),
            ("", "lmod"),
        ] {
            assert_eq!(Person::new(Some(home), Some(user), &hosts), Person::default(), "{home}");
        }
    }
}
