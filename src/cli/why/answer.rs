//! What is at a path of an image, and why.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::near;
use crate::audit::{Chain, Listed, Listing};
use crate::base::{ByteSize, Digest};
use crate::cli::tally::{Detail, Share, Tally};
use crate::cli::told::Told;
use crate::closure::{BindPoint, INJECTIONS, NOT_REACHED, Omission};
use crate::image::ImageError;
use crate::image::read::{Found, FoundKind, Image};
use crate::rootfs::{ImagePath, SpecialKind};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    File,
    Directory,
    Fifo,
    Socket,
    Device,
    /// Nothing.
    Absent,
}

/// A link on the way to a path's end.
#[derive(Debug, Serialize)]
pub(super) struct Hop {
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub(super) path: PathBuf,
    /// As it stands in the link.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub(super) target: PathBuf,
    /// Why the link is there.
    pub(super) chain: Chain,
}

/// What is in a directory.
#[derive(Debug, Serialize)]
pub(super) struct Contents {
    pub(super) files: u64,
    pub(super) others: u64,
    pub(super) directories: u64,
    pub(super) bytes: ByteSize,
    pub(super) shares: Vec<Share>,
}

/// What was found out of a path.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub(super) path: PathBuf,
    /// Its bytes, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    /// Links on the way, in order.
    pub(super) links: Vec<Hop>,
    /// Where it ends.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub(super) end: PathBuf,
    pub(super) kind: Kind,
    pub(super) size: Option<ByteSize>,
    sha256: Option<Digest>,
    /// Other names of the same file.
    #[serde(serialize_with = "crate::base::path_text::list")]
    pub(super) names: Vec<PathBuf>,
    /// Why what is at the end is there.
    pub(super) chain: Option<Chain>,
    /// What is in a directory.
    pub(super) contents: Option<Contents>,
    /// Where a site may bind its own files.
    pub(super) bind_point: Option<BindPoint>,
    /// What was left out.
    pub(super) left_out: Option<Omission>,
    /// What else may have been meant.
    #[serde(serialize_with = "crate::base::path_text::list")]
    pub(super) near: Vec<PathBuf>,
    /// What is odd, as a sentence.
    pub(super) note: Option<String>,
}

impl Answer {
    /// Looks `path` up, which is absolute.
    pub(super) fn find(image: &Image, told: &Told, path: &Path) -> anyhow::Result<Self> {
        let background = told.background();
        let way = told.listing.follow(path);
        let links = way.links.into_iter().map(|(path, target)| Hop {
            chain: background.chain(&path),
            target: PathBuf::from(OsStr::from_bytes(&target)),
            path,
        });
        let mut answer = Self { links: links.collect(), ..Self::nothing(path, way.end) };
        answer.bind_point = bind_point(told, &answer);
        if way.is_circle {
            answer.note = Some("its links go round in a circle".to_owned());
            return Ok(answer);
        }
        let found = match image.find(&ImagePath::new(answer.end.as_os_str().as_bytes())?) {
            Ok(found) => Some(found),
            Err(ImageError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        match found {
            Some(found) => answer.describe(image, told, &found)?,
            None => answer.explain_absence(told),
        }
        Ok(answer)
    }

    /// The answer where nothing has the name that was asked for.
    pub(super) fn unknown_name(told: &Told, name: &Path) -> Self {
        let mut answer = Self::nothing(name, name.to_owned());
        let named = |omission: &&Omission| omission.path.file_name() == name.file_name();
        answer.left_out = told.manifest.omissions.iter().find(named).cloned().or_else(|| {
            let name = name.to_string_lossy();
            let mut programs = told.manifest.programs_left_out.iter();
            let (directory, _) = programs.find(|(_, names)| names.iter().any(|n| *n == name))?;
            Some(Omission { path: Path::new(directory).join(&*name), reason: not_named() })
        });
        answer.near = near::names(&told.listing, name.as_os_str());
        answer
    }

    fn nothing(path: &Path, end: PathBuf) -> Self {
        let hex = |path: &Path| {
            let bytes = path.as_os_str().as_bytes();
            bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
        };
        Self {
            path: path.to_owned(),
            path_hex: path.to_str().is_none().then(|| hex(path)),
            links: Vec::new(),
            end,
            kind: Kind::Absent,
            size: None,
            sha256: None,
            names: Vec::new(),
            chain: None,
            contents: None,
            bind_point: None,
            left_out: None,
            near: Vec::new(),
            note: None,
        }
    }

    /// Whether there is nothing at the path.
    pub(super) fn is_absent(&self) -> bool {
        self.kind == Kind::Absent
    }

    fn describe(&mut self, image: &Image, told: &Told, found: &Found) -> anyhow::Result<()> {
        self.kind = match &found.kind {
            FoundKind::Directory => Kind::Directory,
            FoundKind::Special(SpecialKind::Fifo) => Kind::Fifo,
            FoundKind::Special(SpecialKind::Socket) => Kind::Socket,
            FoundKind::Device => Kind::Device,
            // of a link here, the list has something else, or nothing
            FoundKind::File(_) | FoundKind::Symlink(_) => Kind::File,
        };
        if let FoundKind::File(file) = &found.kind {
            self.size = Some(ByteSize(file.size()));
        }
        if let Some((Listed::File(_, digest), _)) = told.listing.get(&self.end) {
            self.sha256 = Some(*digest);
        }
        if self.kind == Kind::Directory {
            self.contents = Some(contents(image, &told.listing, &self.end)?);
            return Ok(());
        }
        if found.links > 1 {
            self.names = names(image, found.inode)?;
            self.names.retain(|name| *name != self.end);
        }
        let chain = told.background().chain(&self.end);
        if chain.steps.is_empty() {
            self.note = Some("the image's list does not have it, so it came there later: `verify` says what else is not as it was".to_owned());
        } else {
            self.chain = Some(chain);
        }
        Ok(())
    }

    /// Says what is known of what a slim base does not have: of programs, whether they were there.
    fn explain_slim(&mut self, told: &Told) {
        let parent = self.end.parent().unwrap_or(Path::new("/"));
        let parent = parent.to_string_lossy();
        let Some(programs) = told.manifest.programs_left_out.get(&*parent) else { return };
        let name = self.end.file_name().unwrap_or_default().to_string_lossy();
        if programs.contains(&name.into_owned()) {
            self.left_out = Some(Omission { path: self.end.clone(), reason: not_named() });
        } else {
            self.left_out = None;
            self.note = Some("what lies under the modules has no program of this name".to_owned());
        }
    }

    fn explain_absence(&mut self, told: &Told) {
        if told.listing.get(&self.end).is_some() {
            let note = "the image's list has it, and the image has lost it: `verify` says more";
            self.note = Some(note.to_owned());
            self.chain = Some(told.background().chain(&self.end));
            return;
        }
        let covers = |omission: &&Omission| {
            self.end.starts_with(&omission.path) || self.path.starts_with(&omission.path)
        };
        let covering = told.manifest.omissions.iter().filter(covers);
        self.left_out = covering.max_by_key(|left| left.path.as_os_str().len()).cloned();
        // of a directory in which not everything is packed that says less than where a link leads
        if self.bind_point.is_some() {
            self.left_out.take_if(|left| left.reason.starts_with(NOT_REACHED));
        }
        if self.left_out.as_ref().is_some_and(|left| left.reason.starts_with(NOT_REACHED)) {
            self.explain_slim(told);
        }
        if self.left_out.is_none() && self.bind_point.is_none() {
            self.near = near::paths(&told.listing, &self.end);
        }
    }
}

/// Why a slim base lacks a program that it could have.
fn not_named() -> String {
    format!("{NOT_REACHED}: nothing that is packed starts it or names it")
}

/// The per-site place that the path is, or leads through.
fn bind_point(told: &Told, answer: &Answer) -> Option<BindPoint> {
    let points = &told.manifest.bind_points;
    let leads_through = |point: &&BindPoint| {
        answer.path.starts_with(&point.path)
            || answer.links.iter().any(|link| link.path == point.path)
            || point.target.is_absolute() && answer.end.starts_with(&point.target)
    };
    let is_injected = |point: &&BindPoint| {
        answer.end.starts_with(INJECTIONS) && point.target == Path::new(INJECTIONS)
    };
    // the nearest one: links lead to EESSI's one link for all
    let mut found: Vec<_> = points.iter().filter(leads_through).collect();
    found.sort_by_key(|point| std::cmp::Reverse(point.path.as_os_str().len()));
    found.first().copied().or_else(|| points.iter().find(is_injected)).cloned()
}

/// All names of an inode.
fn names(image: &Image, inode: u32) -> Result<Vec<PathBuf>, ImageError> {
    let mut names = Vec::new();
    image.walk(|path, found| {
        if found.inode == inode {
            names.push(path.as_path().to_owned());
        }
        Ok(())
    })?;
    Ok(names)
}

/// What is in a directory, by reasons.
fn contents(image: &Image, listing: &Listing, directory: &Path) -> Result<Contents, ImageError> {
    let mut tally = Tally::by(Detail::Each);
    let (mut files, mut others, mut directories, mut bytes) = (0, 0, 0, 0_u64);
    let mut seen = BTreeSet::new();
    image.walk(|path, found| {
        let path = path.as_path();
        if path == directory || !path.starts_with(directory) {
            return Ok(());
        }
        let unlisted = if Listing::is_unlisted(path) { "generated:" } else { "" };
        let reason = listing.reason(path).unwrap_or(unlisted);
        match &found.kind {
            FoundKind::Directory => directories += 1,
            FoundKind::File(file) => {
                files += 1;
                if seen.insert(found.inode) {
                    bytes = bytes.saturating_add(file.size());
                }
                tally.add_file(reason, file.size(), found.inode);
            }
            _ => {
                others += 1;
                tally.add_other(reason);
            }
        }
        Ok(())
    })?;
    let shares = tally.into_shares();
    Ok(Contents { files, others, directories, bytes: ByteSize(bytes), shares })
}
