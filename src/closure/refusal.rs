//! What packed files ask for and must not be added: nobody else's business, or of no use elsewhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::collect::{Collector, names};
use crate::base::Escaped;

/// How the reason of such an omission begins.
pub const NOT_TAKEN: &str = "not taken: ";

/// The reason of a program of which only the text of a script speaks.
pub const ONLY_NAMED: &str = "not taken: only the text of a script names it";

/// Such files of which a warning each tells; the rest are counted.
const NAMED: usize = 10;

/// Links that one path may lead through; the kernel's limit.
const MAX_LINKS: u32 = 40;

/// Directories that hold persons' own directories.
const OF_PERSONS: [&str; 1] = ["/home"];

/// Directories of one person each.
const OF_ONE: [&str; 1] = ["/root"];

/// Why something is not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It lies in a person's own directory.
    Personal,
    /// Not everybody has the permission at its source.
    Closed,
    /// It is something else than what asks for it takes it for.
    NoProgram,
    /// It runs on this machine only.
    Machine,
    /// The installation that it belongs to is very large.
    TooLarge,
    /// A script's text names it, which need not mean that it is used.
    OnlyNamed,
}

impl Why {
    /// The reason of the omission.
    const fn reason(self) -> &'static str {
        match self {
            Self::Personal => "not taken: it lies in a person's own directory",
            Self::Closed => "not taken: not everybody may read and run it",
            Self::NoProgram => "not taken: it is neither a program nor a script",
            Self::Machine => "not taken: it needs this machine's own libraries",
            Self::TooLarge => "not taken: the installation that it belongs to is very large",
            Self::OnlyNamed => ONLY_NAMED,
        }
    }
}

/// What was refused, and for whom.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    noted: RefCell<BTreeMap<PathBuf, (Why, Option<PathBuf>)>>,
}

impl Refusals {
    /// Notes that `path`, which `user` asks for, is not added. The first word counts.
    pub(super) fn note(&self, path: &Path, why: Why, user: Option<&Path>) {
        let mut noted = self.noted.borrow_mut();
        noted.entry(path.to_owned()).or_insert_with(|| (why, user.map(Path::to_owned)));
    }

    /// Whether `path` was refused.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.noted.borrow().contains_key(path)
    }

    /// Tells of what was refused and did not come along for another reason.
    pub(super) fn tell(&self, collector: &mut Collector<'_>) {
        let mut sentences = Vec::new();
        for (path, (why, user)) in self.noted.borrow().iter() {
            if collector.has(path) || collector.is_beneath(path) {
                continue;
            }
            sentences.push(sentence(path, *why, user.as_deref()));
            collector.omit(path, why.reason());
        }
        let more = sentences.len().saturating_sub(NAMED);
        collector.warnings.extend(sentences.into_iter().take(NAMED));
        if more > 0 {
            collector.warnings.push(format!(
                "{more} more files that packed ones ask for are not packed: the manifest lists them"
            ));
        }
    }
}

fn sentence(path: &Path, why: Why, user: Option<&Path>) -> String {
    let is_closed = fs::metadata(path).is_ok_and(|found| found.mode() & 0o004 == 0);
    let path = path.to_string_lossy();
    let path = Escaped(&path);
    let reason = why.reason();
    let reason = reason.strip_prefix(NOT_TAKEN).unwrap_or(reason);
    let asks = match (why, user.map(|user| user.to_string_lossy())) {
        (Why::OnlyNamed, Some(user)) => {
            let user = Escaped(&user);
            return format!(
                "`{user}` names `{path}`, which no packed module brings; `--include {path}` adds it"
            );
        }
        (_, Some(user)) => format!("`{path}`, which `{}` asks for,", Escaped(&user)),
        (_, None) => format!("`{path}`, which packed files ask for,"),
    };
    // what its owner keeps to himself is not to be asked for by mistake: it may be a key
    let remedy = if is_closed {
        String::new()
    } else {
        format!("; `--include {path}` adds it all the same")
    };
    format!("{asks} is not packed: {reason}{remedy}")
}

/// The persons' own directories of a request, as they are named and where links lead.
pub(super) fn private(asked: &[PathBuf]) -> Vec<PathBuf> {
    let real = asked.iter().filter_map(|path| fs::canonicalize(path).ok());
    let all = asked.iter().cloned().chain(real);
    // a service's home may be `/`
    all.filter(|path| path.is_absolute() && path.components().count() > 1).collect()
}

/// The persons' own directories that `path` lies in, or is.
pub(super) fn homes(path: &Path, private: &[PathBuf]) -> Vec<PathBuf> {
    let known = private.iter().filter(|home| path.starts_with(home)).cloned();
    let one = OF_ONE.iter().map(PathBuf::from).filter(|home| path.starts_with(home));
    let of_persons = OF_PERSONS.iter().filter_map(|top| {
        let person = path.strip_prefix(top).ok()?.iter().next()?;
        Some(Path::new(top).join(person))
    });
    known.chain(one).chain(of_persons).collect()
}

/// Where `path` leads on this machine: the links on the way, and at last its end, which has no
/// link in it; `None` if it leads round in a circle.
pub(super) fn way(path: &Path) -> Option<Vec<PathBuf>> {
    let mut todo: VecDeque<OsString> = names(path).collect();
    let (mut at, mut way) = (PathBuf::from("/"), Vec::new());
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let Ok(target) = fs::read_link(&next) else {
            at = next;
            continue;
        };
        way.push(next);
        links += 1;
        if links > MAX_LINKS {
            return None;
        }
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
            todo.push_front(name);
        }
    }
    way.push(at);
    Some(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_in_the_directories_of_persons() {
        let private = ["/data/people/joe".into()];
        for (path, want) in [
            ("/home/joe/.ssh/id_rsa", &["/home/joe"][..]),
            ("/home", &[]),
            ("/homes/x", &[]),
            ("/root/x", &["/root"]),
            ("/data/people/joe", &["/data/people/joe"]),
            ("/data/people/jane", &[]),
        ] {
            let want: Vec<_> = want.iter().map(PathBuf::from).collect();
            assert_eq!(homes(Path::new(path), &private), want, "{path}");
        }
        assert!(super::private(&["/".into(), "relative".into()]).is_empty());
    }

    #[test]
    fn a_way_names_every_link_on_it() {
        let directory = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(directory.path()).unwrap();
        let at = |name: &str| top.join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/file"), b"").unwrap();
        std::os::unix::fs::symlink("real", at("one")).unwrap();
        std::os::unix::fs::symlink(at("one/file"), at("two")).unwrap();
        std::os::unix::fs::symlink("circle", at("circle")).unwrap();
        assert_eq!(way(&at("real/../two")).unwrap(), ["two", "one", "real/file"].map(at));
        assert_eq!(way(&at("none/x")).unwrap(), [at("none/x")]);
        assert_eq!(way(&at("circle")), None);
    }
}
