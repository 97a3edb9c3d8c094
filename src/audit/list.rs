//! The image's list of its files, against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::Bound;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Check, Finding, MEND_LOST, Severity, text};
use crate::base::Digest;
use crate::rootfs::{FileId, Node, Rootfs, SpecialKind};

/// `/.module-export/files.jsonl`: what an image holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    lines: BTreeMap<PathBuf, Line>,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    listed: Listed,
    /// Of a file; lists of older versions have none.
    mode: Option<u16>,
    reason: String,
}

/// What the list says of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A file of this size and digest.
    File(u64, Digest),
    /// A symbolic link.
    Link(Vec<u8>),
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
}

/// A line that says nothing.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the image's list of files is damaged")]
pub struct ListingError {
    /// Counted from 1.
    pub line: usize,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The links on the way, each with its target.
    pub links: Vec<(PathBuf, Vec<u8>)>,
    /// Where it ends, without links; there need not be anything.
    pub end: PathBuf,
    /// Whether it has no end.
    pub is_circle: bool,
}

/// As many links as Linux follows in one path.
const MAX_LINKS: usize = 40;

/// The names in `path`, without `.` and the root.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    })
}

/// A line as it is written.
#[derive(Deserialize)]
struct Written {
    path: Option<String>,
    path_hex: Option<String>,
    size: Option<u64>,
    sha256: Option<Digest>,
    target: Option<Value>,
    kind: Option<String>,
    mode: Option<String>,
    #[serde(default)]
    reason: String,
}

/// Files that the list cannot hold: itself, and labels, which tell of the whole.
const UNLISTED: [&str; 2] = ["/.module-export/files.jsonl", "/.singularity.d/labels.json"];

fn bytes_of_hex(hex: &str) -> Option<Vec<u8>> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = hex.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.last()?)?)).collect()
}

impl Written {
    fn understood(self) -> Option<(PathBuf, Line)> {
        let path = match (self.path, self.path_hex) {
            (Some(path), None) => path.into_bytes(),
            (None, Some(hex)) => bytes_of_hex(&hex)?,
            _ => return None,
        };
        let mode = match &self.mode {
            Some(mode) => Some(u16::from_str_radix(mode, 8).ok()?),
            None => None,
        };
        let listed = match (self.size, self.sha256, self.target, self.kind.as_deref()) {
            (Some(size), Some(digest), None, None) => Listed::File(size, digest),
            (None, None, Some(Value::String(target)), None) => Listed::Link(target.into_bytes()),
            (None, None, Some(target), None) => {
                Listed::Link(bytes_of_hex(target.get("hex")?.as_str()?)?)
            }
            (None, None, None, Some("fifo")) => Listed::Fifo,
            (None, None, None, Some("socket")) => Listed::Socket,
            _ => return None,
        };
        Some((OsString::from_vec(path).into(), Line { listed, mode, reason: self.reason }))
    }
}

impl Listing {
    /// Reads the list.
    ///
    /// # Errors
    /// [`ListingError`]; also for a path that is there twice.
    pub fn parse(text: &[u8]) -> Result<Self, ListingError> {
        let mut lines = BTreeMap::new();
        let rows = text.split(|&byte| byte == b'\n').enumerate();
        for (at, row) in rows.filter(|(_, row)| !row.is_empty()) {
            let damaged = || ListingError { line: at + 1 };
            let written: Written = serde_json::from_slice(row).map_err(|_| damaged())?;
            let (path, line) = written.understood().ok_or_else(damaged)?;
            if lines.insert(path, line).is_some() {
                return Err(damaged());
            }
        }
        Ok(Self { lines })
    }

    /// What is at `path`, links not followed, and why it is in the image.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<(&Listed, &str)> {
        self.lines.get(path).map(|line| (&line.listed, &*line.reason))
    }

    /// Everything in order of the path: what it is, and why.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Listed, &str)> {
        self.lines.iter().map(|(path, line)| (path.as_path(), &line.listed, &*line.reason))
    }

    /// Whether anything of the list lies in the directory `path`.
    #[must_use]
    pub fn has_below(&self, path: &Path) -> bool {
        let behind = (Bound::Excluded(path), Bound::Unbounded);
        let next = self.lines.range::<Path, _>(behind).next();
        next.is_some_and(|(next, _)| next.starts_with(path))
    }

    /// Whether no list says anything of `path`, as it tells of the list itself.
    #[must_use]
    pub fn is_unlisted(path: &Path) -> bool {
        UNLISTED.iter().any(|unlisted| path == Path::new(unlisted))
    }

    /// Follows `path`, which is absolute, through every link on the way and at its end.
    #[must_use]
    pub fn follow(&self, path: &Path) -> Way {
        let mut way = Way { links: Vec::new(), end: PathBuf::from("/"), is_circle: false };
        let mut todo: Vec<OsString> = names(path).collect();
        todo.reverse();
        while let Some(name) = todo.pop() {
            if name == ".." {
                way.end.pop();
                continue;
            }
            let next = way.end.join(&name);
            let Some(Listed::Link(target)) = self.lines.get(&next).map(|line| &line.listed) else {
                way.end = next;
                continue;
            };
            way.links.push((next, target.clone()));
            if way.links.len() > MAX_LINKS {
                way.is_circle = true;
                return way;
            }
            if target.first() == Some(&b'/') {
                way.end = PathBuf::from("/");
            }
            let target = PathBuf::from(OsString::from_vec(target.clone()));
            let names: Vec<_> = names(&target).collect();
            todo.extend(names.into_iter().rev());
        }
        way
    }

    /// Why what is at `path` is in the image, as `kind:detail`.
    #[must_use]
    pub fn reason(&self, path: &Path) -> Option<&str> {
        self.lines.get(path).map(|line| &*line.reason)
    }

    /// The mode of the file at `path`, if the list tells it.
    #[must_use]
    pub fn mode(&self, path: &Path) -> Option<u16> {
        self.lines.get(path)?.mode
    }

    /// What differs between the list and the tree, and the paths of the list that the tree has
    /// not. `digest` gives size and digest of a file's content, or why it cannot be read.
    #[must_use]
    pub fn compare(
        &self,
        rootfs: &Rootfs,
        digest: impl Fn(FileId) -> Result<(u64, Digest), String>,
    ) -> (Vec<Finding>, BTreeSet<PathBuf>) {
        let mut lost: BTreeSet<PathBuf> = self.lines.keys().cloned().collect();
        let mut findings = Vec::new();
        rootfs.walk(|path, node| {
            let path = path.as_path();
            let line = self.lines.get(path);
            lost.remove(path);
            if matches!(node, Node::Directory(_)) && line.is_none() || Self::is_unlisted(path) {
                return;
            }
            let Some(line) = line else {
                findings.push(finding(path, "it is not in the image's list of files".to_owned()));
                return;
            };
            if let Some(what) = difference(&line.listed, node, &digest) {
                findings.push(finding(path, what));
            }
        });
        for path in &lost {
            findings
                .push(finding(path, "the image's list has it, and the image has not".to_owned()));
        }
        (findings, lost)
    }
}

/// How `node` differs from what the list says.
fn difference(
    listed: &Listed,
    node: &Node,
    digest: impl Fn(FileId) -> Result<(u64, Digest), String>,
) -> Option<String> {
    match (listed, node) {
        (Listed::File(size, sha256), Node::File(id)) => match digest(*id) {
            Err(why) => Some(format!("it cannot be read: {why}")),
            Ok((now, _)) if now != *size => {
                Some(format!("it has {now} bytes, and the list says {size}"))
            }
            Ok((_, now)) => (now != *sha256).then(|| {
                format!(
                    "its content is not what was packed: SHA-256 {now}, and the list says {sha256}"
                )
            }),
        },
        (Listed::Link(target), Node::Symlink(link)) => (*target != link.target).then(|| {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (now, then) = (shown(&link.target), shown(target));
            format!("it leads to `{now}`, and the list says `{then}`")
        }),
        (Listed::Fifo, Node::Special(special)) if special.kind == SpecialKind::Fifo => None,
        (Listed::Socket, Node::Special(special)) if special.kind == SpecialKind::Socket => None,
        _ => Some("it is of another kind than the list says".to_owned()),
    }
}

/// The finding that something is not as the list, or every image, has it.
pub(super) fn finding(path: &Path, what: String) -> Finding {
    Finding {
        severity: Severity::Error,
        path: path.to_owned(),
        check: Check::List,
        need: text(path),
        what,
        needed_by: Vec::new(),
        mend: MEND_LOST.to_owned(),
    }
}
