//! Archives and image-layouts: layers of tar, one put over the other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tar::EntryType;

use super::headers::{Limited, Records, next_entry};
use super::tree::{Kind, Place, Tree};
use crate::base::fs::PathContext as _;
use crate::base::{Digest, Epoch};
use crate::image::ImageError;
use crate::rootfs::{Metadata, SpecialKind};

/// No manifest, config or index is longer, in bytes.
const LONGEST_DOCUMENT: u64 = 64 << 20;
/// What is compressed as a whole unpacks to no more than so many times its size, unless that is
/// little: a few bytes of a hostile archive would fill a disk.
const MOST_TIMES: u64 = 200;
/// As much is always unpacked, in bytes.
const LITTLE: u64 = 256 << 20;
/// What takes a name of a lower layer away, and what takes all of them away.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The image in the layout in the directory `top`: the first of its index.
///
/// # Errors
/// A layout that is incomplete or damaged; a layer that is no tar stream.
pub(super) fn read_layout(top: &Path) -> Result<Tree, ImageError> {
    let blob = |digest: &str| -> Result<PathBuf, ImageError> {
        let hex = digest.strip_prefix("sha256:").and_then(|hex| hex.parse::<Digest>().ok());
        let hex = hex.ok_or_else(|| broken(top, &format!("`{digest}` is no SHA-256 digest")))?;
        Ok(top.join("blobs/sha256").join(hex.to_string()))
    };
    let document = |path: &Path| -> Result<Value, ImageError> {
        let file = File::open(path).at("open", path)?;
        let mut text = Vec::new();
        file.take(LONGEST_DOCUMENT).read_to_end(&mut text).at("read", path)?;
        serde_json::from_slice(&text).map_err(|error| broken(path, &error.to_string()))
    };
    let index = document(&top.join("index.json"))?;
    let manifest = document(&blob(manifest_digest(top, &index)?)?)?;
    let mut tree = Tree::new(top);
    for layer in list(top, &manifest, "layers")? {
        let digest = layer.get("digest").and_then(Value::as_str);
        let path = blob(digest.ok_or_else(|| broken(top, "a layer without a digest"))?)?;
        let file = File::open(&path).at("open", &path)?;
        add_layer(&mut tree, &path, file, Part::LAYER)?;
    }
    Ok(tree)
}

/// The image in the archive `path`: a layout, one of Docker's, or a root file system.
///
/// # Errors
/// As [`read_layout`].
pub(super) fn read_archive(path: &Path) -> Result<Tree, ImageError> {
    let (file, _) = plain(path, File::open(path).at("open", path)?, u64::MAX)?;
    let parts = parts(path, &file)?;
    let document = |name: &str| -> Result<Option<Value>, ImageError> {
        let Some(&(start, size)) = parts.get(name) else { return Ok(None) };
        let mut text = Vec::new();
        let mut reader = (&file).take(size.min(LONGEST_DOCUMENT));
        (&file).seek(SeekFrom::Start(start)).at("read", path)?;
        reader.read_to_end(&mut text).at("read", path)?;
        let parsed = serde_json::from_slice(&text);
        parsed.map(Some).map_err(|error| broken(path, &format!("{name}: {error}")))
    };
    let layers: Vec<String> = if let Some(index) = document("index.json")? {
        let named = |digest: &str| format!("blobs/{}", digest.replacen(':', "/", 1));
        let name = named(manifest_digest(path, &index)?);
        let missing = || broken(path, &format!("it has no `{name}`"));
        let manifest = document(&name)?.ok_or_else(missing)?;
        let layers = list(path, &manifest, "layers")?;
        layers.iter().filter_map(|l| l.get("digest")).filter_map(Value::as_str).map(named).collect()
    } else if let Some(manifest) = document("manifest.json")? {
        let first = manifest.get(0).ok_or_else(|| broken(path, "it has no image"))?;
        let layers = list(path, first, "Layers")?;
        layers.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    } else {
        let mut tree = Tree::new(path);
        add_layer(&mut tree, path, file, Part::ROOT)?;
        return Ok(tree);
    };
    let mut tree = Tree::new(path);
    for name in layers {
        let missing = || broken(path, &format!("it has no layer `{name}`"));
        let part = parts.get(&name).copied().ok_or_else(missing)?;
        let file = file.try_clone().at("read", path)?;
        add_layer(&mut tree, path, file, Part { range: Some(part), ..Part::LAYER })?;
    }
    Ok(tree)
}

/// Whether `path` begins as a tar stream does, compressed or not.
pub(super) fn is_archive(path: &Path) -> Result<bool, ImageError> {
    let mut start = Vec::new();
    let file = File::open(path).at("open", path)?;
    file.take(262).read_to_end(&mut start).at("read", path)?;
    Ok(start.starts_with(&GZIP)
        || start.starts_with(&ZSTD)
        || start.get(257..262) == Some(b"ustar"))
}

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn broken(path: &Path, what: &str) -> ImageError {
    ImageError::Malformed { path: path.to_owned(), what: what.to_owned() }
}

fn manifest_digest<'a>(image: &Path, index: &'a Value) -> Result<&'a str, ImageError> {
    let digest = index.pointer("/manifests/0/digest").and_then(Value::as_str);
    digest.ok_or_else(|| broken(image, "its index names no manifest"))
}

fn list<'a>(image: &Path, document: &'a Value, key: &str) -> Result<&'a Vec<Value>, ImageError> {
    let list = document.get(key).and_then(Value::as_array);
    list.ok_or_else(|| broken(image, &format!("its manifest has no list of {key}")))
}

/// Name, start and size of every file of a plain archive.
fn parts(path: &Path, file: &File) -> Result<BTreeMap<String, (u64, u64)>, ImageError> {
    let mut parts = BTreeMap::new();
    (&*file).seek(SeekFrom::Start(0)).at("read", path)?;
    let (from, header) = Limited::new(file);
    let mut archive = tar::Archive::new(from);
    let mut entries = archive.entries_with_seek().at("read", path)?;
    while let Some(entry) = next_entry(&mut entries, &header) {
        let (entry, _) = entry.map_err(|error| broken(path, &error.to_string()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").to_owned();
        parts.insert(name, (entry.raw_file_position(), entry.size()));
    }
    Ok(parts)
}

/// The file as it is where it is not compressed, else its decompressed copy in a file without a
/// name; and whether it was compressed. From where the file stands `size` bytes count.
fn plain(path: &Path, mut file: File, size: u64) -> Result<(File, bool), ImageError> {
    let start = file.stream_position().at("read", path)?;
    let mut magic = [0; 4];
    let read = crate::image::source::read_full(&mut file, &mut magic).at("read", path)?;
    file.seek(SeekFrom::Start(start)).at("read", path)?;
    let magic = magic.get(..read).unwrap_or_default();
    let mut reader: Box<dyn Read> = if magic.starts_with(&GZIP) {
        let from = BufReader::with_capacity(1 << 20, (&file).take(size));
        Box::new(flate2::bufread::MultiGzDecoder::new(from))
    } else if magic.starts_with(&ZSTD) {
        Box::new(zstd::Decoder::new((&file).take(size)).at("decompress", path)?)
    } else {
        return Ok((file, false));
    };
    let length = file.metadata().at("read", path)?.len();
    let compressed = length.saturating_sub(start).min(size);
    let most = compressed.saturating_mul(MOST_TIMES).max(LITTLE);
    let mut copy = tempfile::tempfile().at("make a file for what is in", path)?;
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
    Ok((copy, true))
}

/// What of a file is put over a tree.
#[derive(Clone, Copy)]
struct Part {
    /// Start and size; without, all of the file.
    range: Option<(u64, u64)>,
    /// Whether names that begin with `.wh.` take others away.
    has_whiteouts: bool,
}

impl Part {
    /// A layer of an image.
    const LAYER: Self = Self { range: None, has_whiteouts: true };
    /// A root file system.
    const ROOT: Self = Self { range: None, has_whiteouts: false };
}

/// Puts the archive in `file` over the tree.
fn add_layer(tree: &mut Tree, path: &Path, mut file: File, part: Part) -> Result<(), ImageError> {
    let (start, size) = part.range.unwrap_or((0, u64::MAX));
    file.seek(SeekFrom::Start(start)).at("read", path)?;
    let (file, was_compressed) = plain(path, file, size)?;
    let (start, size) = if was_compressed { (0, u64::MAX) } else { (start, size) };
    tree.next_layer();
    let number = tree.keep(path, file.try_clone().at("read", path)?);
    let layer = Layer { path, file: number, start, has_whiteouts: part.has_whiteouts };
    let (from, header) = Limited::new(BufReader::with_capacity(1 << 20, file.take(size)));
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
    Ok(())
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
