//! Archives and image-layouts: layers of tar, one put over the other.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use tar::EntryType;

use super::Choice;
use super::described::{self, Described};
use super::headers::{Limited, Records, next_entry};
use super::store::{Extent, Store};
use super::tree::{Kind, Place, Tree};
use crate::base::Epoch;
use crate::base::fs::PathContext as _;
use crate::image::ImageError;
use crate::rootfs::{Metadata, SpecialKind};

/// What is compressed as a whole unpacks to no more than so many times its size, unless that is
/// little: a few bytes of a hostile archive would fill a disk.
const MOST_TIMES: u64 = 200;
/// As much is always unpacked, in bytes.
const LITTLE: u64 = 256 << 20;
/// What takes a name of a lower layer away, and what takes all of them away.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The image in the layout in the directory `top`.
///
/// # Errors
/// A layout that is incomplete or damaged, or has no such image; a layer that is no tar stream.
pub(super) fn read_layout(top: &Path, choice: &Choice) -> Result<Layered, ImageError> {
    let store = Store::layout(top);
    let described = described::find(&store, choice)?;
    let described = described.ok_or_else(|| broken(top, "it has no index.json"))?;
    read_layers(&store, described, choice)
}

/// The image in the archive `path`: a layout, one of Docker's, or a root file system.
///
/// # Errors
/// As [`read_layout`].
pub(super) fn read_archive(path: &Path, choice: &Choice) -> Result<Layered, ImageError> {
    let file = super::source::open(path)?;
    let (file, _) = plain(path, file, u64::MAX, choice.scratch)?;
    let store = Store::archive(path, file)?;
    if let Some(described) = described::find(&store, choice)? {
        return read_layers(&store, described, choice);
    }
    let mut tree = Tree::new(path);
    add_layer(&mut tree, &store.all()?, false, choice.scratch)?;
    Ok(Layered { tree, described: None, layers: Vec::new() })
}

fn read_layers(
    store: &Store,
    described: Described,
    choice: &Choice,
) -> Result<Layered, ImageError> {
    let mut tree = Tree::new(store.path());
    let mut layers = Vec::new();
    for (name, digest) in &described.layers {
        let raw = store.open(name)?;
        if choice.is_strict()
            && let Some(digest) = digest
        {
            raw.check(*digest)?;
        }
        let (plain, packing) = add_layer(&mut tree, &raw, true, choice.scratch)?;
        layers.push(LayerData { raw, plain, packing });
    }
    Ok(Layered { tree, described: Some(described), layers })
}

/// An image of layers, or one archive.
#[derive(Debug)]
pub(in crate::image) struct Layered {
    pub(super) tree: Tree,
    /// What the image says of itself; none of a plain archive.
    pub(in crate::image) described: Option<Described>,
    pub(in crate::image) layers: Vec<LayerData>,
}

/// A layer.
#[derive(Debug)]
pub(in crate::image) struct LayerData {
    /// As it is in the image.
    pub(in crate::image) raw: Extent,
    /// Its tar stream.
    pub(in crate::image) plain: Extent,
    pub(in crate::image) packing: Packing,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum Packing {
    Gzip,
    Zstd,
    None,
}

/// Whether `path` begins as a tar stream does, compressed or not.
pub(super) fn is_archive(path: &Path) -> Result<bool, ImageError> {
    let mut start = Vec::new();
    let file = super::source::open(path)?;
    file.take(262).read_to_end(&mut start).at("read", path)?;
    Ok(start.starts_with(&GZIP)
        || start.starts_with(&ZSTD)
        || start.get(257..262) == Some(b"ustar"))
}

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub(in crate::image) fn broken(path: &Path, what: &str) -> ImageError {
    ImageError::Malformed { path: path.to_owned(), what: what.to_owned() }
}

/// The file as it is where it is not compressed, else its decompressed copy in a file without a
/// name, in the directory `scratch`. From where the file stands `size` bytes count.
fn plain(
    path: &Path,
    mut file: File,
    size: u64,
    scratch: Option<&Path>,
) -> Result<(File, Packing), ImageError> {
    let start = file.stream_position().at("read", path)?;
    let mut magic = [0; 4];
    let read = crate::image::source::read_full(&mut file, &mut magic).at("read", path)?;
    file.seek(SeekFrom::Start(start)).at("read", path)?;
    let magic = magic.get(..read).unwrap_or_default();
    let (mut reader, packing): (Box<dyn Read>, _) = if magic.starts_with(&GZIP) {
        let from = BufReader::with_capacity(1 << 20, (&file).take(size));
        (Box::new(flate2::bufread::MultiGzDecoder::new(from)), Packing::Gzip)
    } else if magic.starts_with(&ZSTD) {
        let reader = zstd::Decoder::new((&file).take(size)).at("decompress", path)?;
        (Box::new(reader), Packing::Zstd)
    } else {
        return Ok((file, Packing::None));
    };
    let length = file.metadata().at("read", path)?.len();
    let compressed = length.saturating_sub(start).min(size);
    let most = compressed.saturating_mul(MOST_TIMES).max(LITTLE);
    let mut copy = nameless(scratch).at("make a file for what is in", path)?;
    let mut out = io::BufWriter::with_capacity(1 << 20, &mut copy);
    let unpacked = io::copy(&mut (&mut reader).take(most.saturating_add(1)), &mut out);
    if unpacked.at("decompress", path)? > most {
        let what = format!("its {compressed} bytes become more than {most}, as no image does");
        return Err(broken(path, &what));
    }
    out.flush().at("decompress", path)?;
    drop(out);
    drop(reader);
    copy.seek(SeekFrom::Start(0)).at("read", path)?;
    Ok((copy, packing))
}

/// A file without a name, which goes away by itself.
pub(in crate::image) fn nameless(scratch: Option<&Path>) -> std::io::Result<File> {
    scratch.map_or_else(tempfile::tempfile, tempfile::tempfile_in)
}

/// Puts a layer, or a root file system without whiteouts, over the tree; returns its tar stream, and
/// how it is compressed.
fn add_layer(
    tree: &mut Tree,
    raw: &Extent,
    has_whiteouts: bool,
    scratch: Option<&Path>,
) -> Result<(Extent, Packing), ImageError> {
    let path = &*raw.path;
    let mut file = raw.file.try_clone().at("read", path)?;
    file.seek(SeekFrom::Start(raw.start)).at("read", path)?;
    let (file, packing) = plain(path, file, raw.size, scratch)?;
    let extent = if packing == Packing::None {
        raw.clone()
    } else {
        let size = file.metadata().at("read", path)?.len();
        Extent { file: Arc::new(file), path: Arc::clone(&raw.path), start: 0, size }
    };
    tree.next_layer();
    let number = tree.keep(path, Arc::clone(&extent.file));
    let layer = Layer { path, file: number, start: extent.start, has_whiteouts };
    let mut reader = &*extent.file;
    reader.seek(SeekFrom::Start(extent.start)).at("read", path)?;
    let reader = BufReader::with_capacity(1 << 20, reader.take(extent.size));
    let (from, header) = Limited::new(reader);
    let mut archive = tar::Archive::new(from);
    let wrong = |error: io::Error| broken(path, &error.to_string());
    let mut entries = archive.entries().map_err(wrong)?;
    while let Some(entry) = next_entry(&mut entries, &header) {
        let (mut entry, records) = entry.map_err(wrong)?;
        if entry.header().entry_type() != EntryType::XGlobalHeader {
            layer.add(tree, &entry, &records)?;
        }
        // what is left of it is skipped here, where its end may be missing
        let (size, read) = (entry.size(), io::copy(&mut entry, &mut io::sink()).map_err(wrong)?);
        if read < size {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let what = format!("its end is missing: `{name}` has {read} of {size} bytes");
            return Err(broken(path, &what));
        }
    }
    Ok((extent, packing))
}

/// An archive on its way into a tree.
struct Layer<'a> {
    path: &'a Path,
    /// Its number in the tree, and where in that file it begins.
    file: usize,
    start: u64,
    has_whiteouts: bool,
}

impl Layer<'_> {
    fn broken(&self, what: &str) -> ImageError {
        broken(self.path, what)
    }

    /// Adds an entry, or takes away what it says.
    fn add<R: Read>(
        &self,
        tree: &mut Tree,
        entry: &tar::Entry<'_, R>,
        records: &Records,
    ) -> Result<(), ImageError> {
        let name = records.get(&b"path"[..]).cloned();
        let name = name.unwrap_or_else(|| entry.path_bytes().into_owned());
        let shown = || String::from_utf8_lossy(&name).into_owned();
        if name.split(|byte| *byte == b'/').any(|part| part == b"..") {
            return Err(self.broken(&format!("the path `{}` leads out of it", shown())));
        }
        // only what is between the holes is there
        if entry.header().entry_type() == EntryType::GNUSparse
            || records.keys().any(|key| key.starts_with(b"GNU.sparse."))
        {
            let what = format!("`{}` was packed as a sparse file, which is not read here", shown());
            return Err(self.broken(&what));
        }
        let end = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (directory, last) = name.split_at(end);
        if self.has_whiteouts && last == OPAQUE {
            return tree.hide_lower(directory);
        }
        if let Some(hidden) = last.strip_prefix(WHITEOUT).filter(|_| self.has_whiteouts) {
            return tree.white_out(&[directory, hidden].concat());
        }
        self.put(tree, entry, records, &name)
    }

    fn put<R: Read>(
        &self,
        tree: &mut Tree,
        entry: &tar::Entry<'_, R>,
        records: &Records,
        name: &[u8],
    ) -> Result<(), ImageError> {
        let header = entry.header();
        let wrong = |error: io::Error| self.broken(&error.to_string());
        // the type is not part of the mode
        let mode = u16::try_from(header.mode().map_err(wrong)? & 0o7777).unwrap_or(0);
        let mtime = i64::try_from(header.mtime().map_err(wrong)?).unwrap_or(i64::MAX);
        let metadata = Metadata { mode, mtime: Epoch::clamped(mtime) };
        let target = || {
            let target = records.get(&b"linkpath"[..]).cloned();
            target.unwrap_or_else(|| entry.link_name_bytes().unwrap_or_default().into_owned())
        };
        let kind = match header.entry_type() {
            EntryType::Directory => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => {
                let place = Place::Part(self.file, self.start + entry.raw_file_position());
                Kind::File(place, entry.size())
            }
            EntryType::Symlink => Kind::Symlink(target()),
            EntryType::Link => return tree.link(name, &target()),
            EntryType::Fifo => Kind::Special(SpecialKind::Fifo),
            EntryType::Block | EntryType::Char => Kind::Device,
            other => return Err(self.broken(&format!("an entry of the unknown type {other:?}"))),
        };
        tree.put(name, metadata, kind).map(drop)
    }
}
