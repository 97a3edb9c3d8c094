//! Where an image keeps its documents and layers: files of a layout, or entries of an archive.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::Digest as _;
use tar::EntryType;

use super::archive::broken;
use super::headers::{Limited, next_entry};
use crate::base::Digest;
use crate::base::fs::PathContext as _;
use crate::image::ImageError;

/// No manifest, config or index is longer, in bytes.
const LONGEST_DOCUMENT: u64 = 64 << 20;
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A part of an open file.
#[derive(Debug, Clone)]
pub(in crate::image) struct Extent {
    pub(in crate::image) file: Arc<File>,
    /// What it is called, for messages.
    pub(in crate::image) path: Arc<Path>,
    pub(in crate::image) start: u64,
    pub(in crate::image) size: u64,
}

impl Extent {
    /// Hands all bytes to `take`, piece by piece.
    ///
    /// # Errors
    /// Those of `take`; a file that cannot be read, or is shorter than it was.
    pub(in crate::image) fn copy(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut done = 0;
        while done < self.size {
            let want = usize::try_from(self.size - done).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let part = buffer.get_mut(..want).unwrap_or_default();
            self.file.read_exact_at(part, self.start + done).at("read", &self.path)?;
            take(part)?;
            done += want as u64;
        }
        Ok(())
    }

    /// SHA-256 of the bytes.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(in crate::image) fn digest(&self) -> Result<Digest, ImageError> {
        let mut hasher = sha2::Sha256::new();
        self.copy(|bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        Ok(Digest::from_bytes(hasher.finalize().into()))
    }

    /// Checks that the bytes have this digest.
    ///
    /// # Errors
    /// [`ImageError::Malformed`] where they have another one.
    pub(in crate::image) fn check(&self, want: Digest) -> Result<(), ImageError> {
        let got = self.digest()?;
        if got == want {
            return Ok(());
        }
        let what = format!("damaged: its SHA-256 is {got}, and {want} is what the image says");
        Err(broken(&self.path, &what))
    }
}

/// An entry of an archive.
#[derive(Debug)]
pub(super) enum Part {
    /// Where its bytes begin, and how many there are.
    Bytes(u64, u64),
    /// It is another entry's: `docker save` wrote a layer once that several images have.
    Link(String),
}

/// Links from entry to entry that are followed.
const MOST_LINKS: usize = 8;

/// Where an image keeps its parts.
#[derive(Debug)]
pub(super) enum Store {
    /// Files below this directory.
    Layout(PathBuf),
    /// Entries of a plain archive, by name.
    Archive { path: PathBuf, file: Arc<File>, parts: BTreeMap<String, Part> },
}

impl Store {
    pub(super) fn layout(top: &Path) -> Self {
        Self::Layout(top.to_owned())
    }

    /// The plain archive `file`, which is called `path`.
    pub(super) fn archive(path: &Path, file: File) -> Result<Self, ImageError> {
        let parts = parts(path, &file)?;
        Ok(Self::Archive { path: path.to_owned(), file: Arc::new(file), parts })
    }

    /// What the image is called.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Layout(path) | Self::Archive { path, .. } => path,
        }
    }

    /// All of an archive.
    pub(super) fn all(&self) -> Result<Extent, ImageError> {
        match self {
            Self::Layout(path) => Err(broken(path, "it is a directory")),
            Self::Archive { path, file, .. } => {
                let size = file.metadata().at("read", path)?.len();
                Ok(Extent { file: Arc::clone(file), path: (**path).into(), start: 0, size })
            }
        }
    }

    /// The part `name`, which holds no `..`; `None` if there is none.
    fn find(&self, name: &str) -> Result<Option<Extent>, ImageError> {
        match self {
            Self::Layout(top) => {
                let path = top.join(name);
                if let Err(error) = path.metadata()
                    && error.kind() == std::io::ErrorKind::NotFound
                {
                    return Ok(None);
                }
                let file = super::source::open(&path)?;
                let found = file.metadata().at("read", &path)?;
                let path = Arc::from(path);
                Ok(Some(Extent { file: Arc::new(file), path, start: 0, size: found.len() }))
            }
            Self::Archive { path, file, parts } => {
                let mut part = parts.get(name);
                for _ in 0..MOST_LINKS {
                    let Some(Part::Link(target)) = part else { break };
                    part = parts.get(target);
                }
                let Some(Part::Bytes(start, size)) = part else { return Ok(None) };
                let (file, path) = (Arc::clone(file), (**path).into());
                Ok(Some(Extent { file, path, start: *start, size: *size }))
            }
        }
    }

    /// Whether there is a part `name`.
    pub(super) fn has(&self, name: &str) -> Result<bool, ImageError> {
        Ok(self.find(name)?.is_some())
    }

    /// The part `name`.
    pub(super) fn open(&self, name: &str) -> Result<Extent, ImageError> {
        self.find(name)?.ok_or_else(|| broken(self.path(), &format!("it has no `{name}`")))
    }

    /// The document `name`, and its bytes' digest; `None` if there is none.
    pub(super) fn document(&self, name: &str) -> Result<Option<(Value, Digest)>, ImageError> {
        let Some(part) = self.find(name)? else { return Ok(None) };
        if part.size > LONGEST_DOCUMENT {
            return Err(broken(self.path(), &format!("`{name}` has {} bytes", part.size)));
        }
        let mut text = Vec::new();
        part.copy(|bytes| {
            text.extend_from_slice(bytes);
            Ok(())
        })?;
        let parsed = serde_json::from_slice(&text);
        let parsed = parsed.map_err(|error| broken(self.path(), &format!("{name}: {error}")))?;
        Ok(Some((parsed, Digest::of(&text))))
    }
}

/// Every entry of a plain archive, by name.
fn parts(path: &Path, mut file: &File) -> Result<BTreeMap<String, Part>, ImageError> {
    let mut parts = BTreeMap::new();
    file.seek(SeekFrom::Start(0)).at("read", path)?;
    let (from, header) = Limited::new(file);
    let mut archive = tar::Archive::new(from);
    let mut entries = archive.entries_with_seek().at("read", path)?;
    while let Some(entry) = next_entry(&mut entries, &header) {
        let (entry, _) = entry.map_err(|error| broken(path, &error.to_string()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").to_owned();
        let target = entry.link_name_bytes().unwrap_or_default();
        let target = String::from_utf8_lossy(&target);
        let part = match entry.header().entry_type() {
            EntryType::Symlink => Part::Link(beside(&name, &target)),
            EntryType::Link => Part::Link(target.trim_start_matches("./").to_owned()),
            _ => Part::Bytes(entry.raw_file_position(), entry.size()),
        };
        parts.insert(name, part);
    }
    Ok(parts)
}

/// The entry that the link `name` leads to.
fn beside(name: &str, target: &str) -> String {
    let mut names: Vec<&str> = name.split('/').collect();
    names.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            part => names.push(part),
        }
    }
    names.join("/")
}
