//! What a slim base tells of itself: what is left out of it, and what may turn out to be missing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Reach;
use crate::base::ByteSize;
use crate::closure::collect::Collector;
use crate::elf::Object;

/// How the reason of what is left out of the base begins.
pub const NOT_REACHED: &str = "not reached (--slim)";

/// What was left out of the base, and what may turn out to be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slim {
    /// Files and links of the layers that are packed.
    pub packed: u64,
    /// Bytes of them.
    pub packed_bytes: ByteSize,
    /// Files and links that are not.
    pub left_out: u64,
    /// Bytes of them.
    pub left_out_bytes: ByteSize,
    /// Packed files that open libraries while they run, in byte order.
    pub openers: Vec<Opener>,
    /// Packed files that name programs of the layer that are not packed, in byte order.
    #[serde(default)]
    pub callers: Vec<Caller>,
    /// Names of the programs of the layers that are not packed, by the directory they lie in.
    #[serde(default)]
    pub programs_left_out: BTreeMap<String, Vec<String>>,
}

/// A packed file that opens libraries by name while it runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opener {
    /// The file.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub path: PathBuf,
    /// Where it looks besides the loader's directories: its RPATH or RUNPATH, as it stands there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search_path: Vec<String>,
    /// Libraries of the layer that it names and that are not packed, as its search path does not
    /// lead to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_packed: Vec<String>,
}

/// A packed file that may start programs by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Caller {
    /// The file.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub path: PathBuf,
    /// Programs of the layer that it names, where it may mean something else, and that are not
    /// packed.
    pub not_packed: Vec<String>,
}

impl Opener {
    pub(super) fn new(object: &Object, not_packed: Vec<String>) -> Self {
        let facts = &object.facts;
        let lists = facts.runpath.iter().chain(&facts.rpath).take(1);
        let search_path = lists.flat_map(|list| {
            let list = list.to_string_lossy().into_owned();
            list.split(':').map(str::to_owned).collect::<Vec<_>>()
        });
        Self { path: object.path.clone(), search_path: search_path.collect(), not_packed }
    }
}

impl Reach {
    /// Notes what is left out, one omission for each directory at the top of a layer, and counts it.
    pub(in crate::closure) fn finish(self, collector: &mut Collector<'_>) -> Slim {
        let mut slim = Slim {
            callers: self.callers(collector),
            programs_left_out: self.programs.not_packed(collector),
            ..Slim::default()
        };
        let mut left: BTreeMap<PathBuf, (u64, u64)> = BTreeMap::new();
        for found in &self.survey {
            let is_packed =
                collector.image(&found.path).is_ok_and(|at| collector.rootfs.get(&at).is_some());
            if is_packed {
                slim.packed += 1;
                slim.packed_bytes.0 += found.bytes;
                continue;
            }
            slim.left_out += 1;
            slim.left_out_bytes.0 += found.bytes;
            let Some(layer) = self.layers.iter().find(|layer| found.path.starts_with(layer)) else {
                continue;
            };
            let (entries, bytes) = left.entry(top_of(layer, &found.path)).or_default();
            *entries += 1;
            *bytes += found.bytes;
        }
        for (top, (entries, bytes)) in left {
            let bytes = ByteSize(bytes);
            let noun = if entries == 1 { "file or link" } else { "files and links" };
            collector.omit(&top, &format!("{NOT_REACHED}: {entries} {noun}, {bytes}"));
        }
        for omission in self.private {
            collector.omissions.insert(omission);
        }
        slim.openers = self.openers.into_values().collect();
        // what a name leads to may have joined for another reason
        for opener in &mut slim.openers {
            let packed = |name: &String| {
                let mut found = self.survey.iter().filter(|found| {
                    found.path.file_name().is_some_and(|known| known == OsStr::new(name))
                });
                // a link to what a site binds counts
                found.any(|found| {
                    let at = collector.image(&found.path);
                    at.is_ok_and(|at| collector.rootfs.get(&at).is_some())
                })
            };
            opener.not_packed.retain(|name| !packed(name));
        }
        slim
    }

    /// Files that name programs that are not packed.
    fn callers(&self, collector: &Collector<'_>) -> Vec<Caller> {
        let mut callers = Vec::new();
        for (path, names) in &self.callers {
            let lacking = names.iter().filter(|name| self.programs.lacks(collector, name));
            let not_packed: Vec<_> =
                lacking.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            if !not_packed.is_empty() {
                callers.push(Caller { path: path.clone(), not_packed });
            }
        }
        callers
    }
}

/// The directory of `layer` that `path` is counted with: at its top, or in `usr`.
fn top_of(layer: &Path, path: &Path) -> PathBuf {
    let Ok(below) = path.strip_prefix(layer) else { return layer.to_owned() };
    let depth = if below.starts_with("usr") { 2 } else { 1 };
    layer.join(below.iter().take(depth).collect::<PathBuf>())
}
