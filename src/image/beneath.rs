//! An image, archive or directory on which another image is built.
//!
//! Its tree becomes the lowest part of a root file system. What the format keeps as it is has its
//! contents read from there when they are written; what is compressed block by block is
//! decompressed once, into one file without a name. Layers of an OCI image may instead be kept:
//! then nothing of them is written anew.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest as _;

use super::hashing::{Hasher, Hashing};
use super::oci::{KeptImage, KeptLayer};
use super::read::{Choice, Chunk, Found, FoundFile, FoundKind, Image, Spool, Spooled, archive};
use super::sif::Architecture;
use super::{FileDigest, ImageError, Watch};
use crate::base::fs::PathContext as _;
use crate::base::{ByteSize, Digest, Interrupt, Progress};
use crate::rootfs::{
    BENEATH, Content, FileId, ImagePath, Metadata, Node, Part, Resolved, Rootfs, RootfsError,
    Special, Symlink,
};

/// How a base is opened.
#[derive(Debug, Clone, Copy)]
pub struct BeneathOptions<'a> {
    /// The tag of an image in a layout.
    pub tag: Option<&'a str>,
    /// The machine that it has to be for.
    pub architecture: Architecture,
    /// Directory for what has to be decompressed.
    pub scratch: &'a Path,
    /// Whether layers stay as they are, where there are any.
    pub keep_layers: bool,
}

/// What is built on.
#[derive(Debug)]
pub struct Beneath {
    /// `directory`, `tar`, `oci`, `oci-archive`, `docker-archive`, `sif` or `squashfs`.
    pub kind: &'static str,
    /// SHA-256 of the file, of an OCI image's manifest, of a Docker image's config; none of a
    /// directory.
    pub digest: Option<Digest>,
    /// Its tree; every file and link has the reason [`BENEATH`].
    pub rootfs: Rootfs,
    /// Devices, which no image has.
    pub devices: Vec<ImagePath>,
    /// What was passed over, as it cannot be read or is another file system.
    pub unreadable: Vec<PathBuf>,
    /// The environment that an OCI image gives to its programs.
    pub variables: BTreeMap<String, String>,
    /// Layers that stay as they are.
    pub kept: Option<KeptImage>,
    /// Digests of the files in such layers, by [`FileId::index`].
    pub digests: Vec<FileDigest>,
    image: Image,
    found: Vec<FoundFile>,
    /// Directory for what is too large for memory.
    scratch: PathBuf,
}

impl Beneath {
    /// Opens what is at `path`.
    ///
    /// # Errors
    /// What is no such image, or a broken one; one for another machine; an interrupt.
    pub fn open(
        path: &Path,
        options: &BeneathOptions,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Self, ImageError> {
        let watch = Watch { progress, interrupt };
        progress.stage("reading the base", None, None);
        let choice = Choice {
            tag: options.tag,
            architecture: Some(options.architecture),
            scratch: Some(options.scratch),
        };
        let image = Image::open_chosen(path, &choice)?;
        check_architecture(&image, options.architecture)?;
        let digest = digest(&image, path, watch)?;
        let kept = options.keep_layers.then(|| kept(&image)).transpose()?.flatten();
        let mut builder = Builder {
            image: &image,
            watch,
            keep: kept.is_some(),
            found: Vec::new(),
            rootfs: Rootfs::new(ROOT),
            names: BTreeMap::new(),
            devices: Vec::new(),
        };
        image.walk(|path, found| builder.add(path, found))?;
        let Builder { found, mut rootfs, devices, .. } = builder;
        let mut digests = Vec::new();
        if kept.is_some() {
            for file in &found {
                digests.push(file_digest(&image, file, watch)?);
            }
        } else if image.kind == "sif" || image.kind == "squashfs" {
            spool(&image, &found, &mut rootfs, options.scratch, watch)?;
        }
        rootfs.lie_beneath();
        progress.finish();
        Ok(Self {
            kind: image.kind,
            digest,
            rootfs,
            devices,
            unreadable: image.unreadable().to_vec(),
            variables: variables(&image),
            kept,
            digests,
            image,
            found,
            scratch: options.scratch.to_owned(),
        })
    }

    /// The content of the file to which `path` leads, if it has at most `limit` bytes; `None` if
    /// there is no file.
    ///
    /// # Errors
    /// A broken image.
    pub fn read(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>, ImageError> {
        let Resolved::Found(Some(Node::File(id))) = self.rootfs.resolve(path) else {
            return Ok(None);
        };
        let Some(file) = self.found.get(id.index()).filter(|file| file.size() <= limit) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        self.image.copy(file, |chunk| {
            match chunk {
                Chunk::Data(data) => bytes.extend_from_slice(data),
                Chunk::Hole(size) => bytes.resize(bytes.len().saturating_add(size as usize), 0),
            }
            Ok(())
        })?;
        Ok(Some(bytes))
    }

    /// The file `id`, to be read by offset.
    ///
    /// # Errors
    /// A broken image, or no room for a large file where scratch goes.
    pub fn spooled(&self, id: FileId) -> Result<Option<Spooled>, ImageError> {
        let Some(file) = self.found.get(id.index()) else { return Ok(None) };
        let mut spool = Spool::new(&self.scratch);
        self.image.copy(file, |chunk| {
            spool.take(&chunk);
            Ok(())
        })?;
        Ok(Some(spool.finish()?))
    }

    /// Bytes of the layers that stay as they are.
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        let layers = self.kept.iter().flat_map(|kept| &kept.layers);
        layers.map(|layer| layer.raw.size.max(layer.plain.size)).sum()
    }
}

/// What a tree without an entry for its root has there.
const ROOT: Metadata = Metadata { mode: 0o755, mtime: crate::base::Epoch::GENERATED };

struct Builder<'a> {
    image: &'a Image,
    watch: Watch<'a>,
    keep: bool,
    rootfs: Rootfs,
    /// By [`FileId::index`].
    found: Vec<FoundFile>,
    /// Files with several names, by the number of their inode.
    names: BTreeMap<u32, FileId>,
    devices: Vec<ImagePath>,
}

impl Builder<'_> {
    fn add(&mut self, path: &ImagePath, found: &Found) -> Result<(), ImageError> {
        self.watch.interrupt.check()?;
        let is_directory = matches!(found.kind, FoundKind::Directory);
        // what stays as it is stays as it is
        let metadata =
            if self.keep { found.metadata } else { normal(found.metadata, is_directory) };
        let reason = || BENEATH.into();
        let added = match &found.kind {
            FoundKind::Directory => self.rootfs.add_directory(path, metadata),
            FoundKind::Symlink(target) if target.is_empty() || target.contains(&0) => {
                return Err(self.image.broken(&format!("`{path}` is a link to nothing")));
            }
            FoundKind::Symlink(target) => {
                let (mtime, target) = (metadata.mtime, target.clone());
                self.rootfs.add_symlink(path, Symlink { mtime, target, reason: reason() })
            }
            FoundKind::Special(kind) => {
                self.rootfs.add_special(path, Special { metadata, kind: *kind, reason: reason() })
            }
            FoundKind::Device => {
                self.devices.push(path.clone());
                Ok(())
            }
            FoundKind::File(file) => self.add_file(path, found, file, metadata),
        };
        added.map_err(|error| self.image.broken(&error.to_string()))
    }

    fn add_file(
        &mut self,
        path: &ImagePath,
        found: &Found,
        file: &FoundFile,
        metadata: Metadata,
    ) -> Result<(), RootfsError> {
        if let Some(&id) = self.names.get(&found.inode).filter(|_| found.links > 1) {
            return self.rootfs.add_hard_link(path, id);
        }
        let place = if self.keep { None } else { self.image.place(file) };
        let content = place.unwrap_or(Content::Kept);
        let (size, reason) = (file.size(), BENEATH.into());
        let id =
            self.rootfs.add_file(path, crate::rootfs::File { metadata, size, content, reason })?;
        self.found.push(file.clone());
        if found.links > 1 {
            self.names.insert(found.inode, id);
        }
        Ok(())
    }
}

/// Readable by all, executable by all if by anyone, writable by the owner alone; directories that
/// anybody may write to are those of the image's own.
fn normal(metadata: Metadata, is_directory: bool) -> Metadata {
    let mode = metadata.mode;
    let executable = if mode & 0o111 == 0 { 0 } else { 0o111 };
    let mode = if is_directory { 0o755 } else { 0o444 | executable | mode & 0o200 };
    Metadata { mode, ..metadata }
}

/// Decompresses all files into one without a name, and lets their contents come from there.
fn spool(
    image: &Image,
    found: &[FoundFile],
    rootfs: &mut Rootfs,
    scratch: &Path,
    watch: Watch,
) -> Result<(), ImageError> {
    let bytes = found.iter().map(FoundFile::size).fold(0, u64::saturating_add);
    check_room(scratch, bytes)?;
    watch.progress.stage("unpacking the base", Some(found.len() as u64), Some(bytes));
    let name = "make a file for the base in";
    let file = archive::nameless(Some(scratch)).at(name, scratch)?;
    let mut out = std::io::BufWriter::with_capacity(1 << 20, &file);
    let mut starts = Vec::with_capacity(found.len());
    let mut at = 0;
    for entry in found {
        starts.push(at);
        image.copy(entry, |chunk| {
            watch.interrupt.check()?;
            match chunk {
                Chunk::Data(data) => out.write_all(data),
                Chunk::Hole(size) => std::io::copy(
                    &mut std::io::Read::take(std::io::repeat(0), size.into()),
                    &mut out,
                )
                .map(drop),
            }
            .at("write to a file for the base in", scratch)?;
            Ok(())
        })?;
        at += entry.size();
        watch.progress.advance(1, entry.size());
    }
    out.flush().at("write to a file for the base in", scratch)?;
    drop(out);
    let (file, path): (Arc<File>, Arc<Path>) = (Arc::new(file), scratch.into());
    rootfs.map_contents(|id, _| {
        let start = starts.get(id.index()).copied()?;
        Some(Content::Part(Part { file: Arc::clone(&file), start, path: Arc::clone(&path) }))
    });
    Ok(())
}

fn check_room(scratch: &Path, needed: u64) -> Result<(), ImageError> {
    let space = rustix::fs::statvfs(scratch).at("ask for the free space of", scratch)?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free >= needed {
        return Ok(());
    }
    let source = std::io::Error::new(
        std::io::ErrorKind::StorageFull,
        format!("{} needed, {} free", ByteSize(needed), ByteSize(free)),
    );
    Err(source).at("unpack the base in", scratch).map_err(Into::into)
}

fn check_architecture(image: &Image, wanted: Architecture) -> Result<(), ImageError> {
    let config = image.described.as_ref().map(|described| &described.config);
    let named = config.and_then(|config| config.get("architecture")).and_then(|name| name.as_str());
    match named {
        Some(named) if named != wanted.oci().0 => {
            Err(image.broken(&format!("it is for {named}, and the modules are for {wanted}")))
        }
        _ => Ok(()),
    }
}

fn digest(image: &Image, path: &Path, watch: Watch) -> Result<Option<Digest>, ImageError> {
    if let Some(described) = &image.described {
        return Ok(Some(described.identity));
    }
    if image.kind == "directory" {
        return Ok(None);
    }
    let mut file = File::open(path).at("open", path)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        watch.interrupt.check()?;
        let read = super::source::read_full(&mut file, &mut buffer).at("read", path)?;
        hasher.update(buffer.get(..read).unwrap_or_default());
        if read < buffer.len() {
            return Ok(Some(Digest::from_bytes(hasher.finalize().into())));
        }
    }
}

fn file_digest(image: &Image, file: &FoundFile, watch: Watch) -> Result<FileDigest, ImageError> {
    let mut hasher = Hasher::new(Hashing::Digests, file.size());
    let zeros = [0; 1 << 12];
    image.copy(file, |chunk| {
        watch.interrupt.check()?;
        match chunk {
            Chunk::Data(data) => hasher.update(data),
            Chunk::Hole(size) => {
                let mut left = size as usize;
                while left > 0 {
                    let now = left.min(zeros.len());
                    hasher.update(zeros.get(..now).unwrap_or_default());
                    left -= now;
                }
            }
        }
        Ok(())
    })?;
    // both were asked for
    hasher.digest(file.size()).ok_or(ImageError::Codec("digest"))
}

/// The layers, each checked against the digests that the image names; `None` where there are none.
fn kept(image: &Image) -> Result<Option<KeptImage>, ImageError> {
    let Some(described) = &image.described else { return Ok(None) };
    let names = described.config.pointer("/rootfs/diff_ids").and_then(|ids| ids.as_array());
    let names = names.map(Vec::as_slice).unwrap_or_default();
    if names.len() != image.layers.len() {
        let (ids, layers) = (names.len(), image.layers.len());
        return Err(image.broken(&format!("its config names {ids} layers, and it has {layers}")));
    }
    let mut layers = Vec::new();
    for ((layer, (_, digest)), name) in image.layers.iter().zip(&described.layers).zip(names) {
        let diff_id = layer.plain.digest()?;
        if name.as_str() != Some(&*format!("sha256:{diff_id}")) {
            let what = format!("a layer is sha256:{diff_id}, and not {name} as its config says");
            return Err(image.broken(&what));
        }
        let digest = match digest {
            Some(digest) => *digest,
            None => layer.raw.digest()?,
        };
        layers.push(KeptLayer {
            raw: layer.raw.clone(),
            plain: layer.plain.clone(),
            packing: layer.packing,
            digest,
            diff_id,
        });
    }
    let (config, manifest) = (described.config.clone(), described.identity);
    Ok(Some(KeptImage { layers, config, manifest }))
}

/// `Env` of the config.
fn variables(image: &Image) -> BTreeMap<String, String> {
    let described = image.described.as_ref();
    let list = described.and_then(|described| described.config.pointer("/config/Env"));
    let list = list.and_then(|list| list.as_array()).into_iter().flatten();
    let pairs = list.filter_map(|entry| entry.as_str()?.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
