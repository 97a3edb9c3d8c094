//! What a dynamic loader has built in.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::LoaderCache;

/// What is built into a dynamic loader: its default directories, and its cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    interpreter: PathBuf,
    directories: Vec<PathBuf>,
    cache_file: Option<PathBuf>,
    cache: LoaderCache,
    is_musl: bool,
}

/// Libraries that are parts of musl's loader, up to the dot.
///
/// Source: musl `ldso/dynlink.c`, `load_library`.
const PARTS_OF_MUSL: [&[u8]; 7] =
    [b"libc", b"libpthread", b"librt", b"libm", b"libdl", b"libutil", b"libxnet"];

impl Loader {
    /// The loader `interpreter`, `/lib64/ld-linux-x86-64.so.2`. What it has built in is read from
    /// its own bytes, since each prefix has its own; conventional directories take the place of
    /// what cannot be read. `read` gives the bytes of a file, links followed.
    pub fn new(interpreter: &Path, read: &dyn Fn(&Path) -> Option<Vec<u8>>) -> Self {
        if let Some(architecture) = architecture_of_musl(interpreter) {
            return Self::musl(interpreter, architecture, read);
        }
        let bytes = read(interpreter).unwrap_or_default();
        let mut directories = built_in_directories(&bytes);
        if directories.is_empty() {
            directories = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from).into();
        }
        let cache_file = built_in_cache(&bytes);
        let cache = cache_file.as_deref().and_then(read);
        let cache = cache.map(|bytes| LoaderCache::parse(&bytes)).unwrap_or_default();
        let interpreter = interpreter.to_owned();
        Self { interpreter, directories, cache_file, cache, is_musl: false }
    }

    /// musl's loader: its directories are in a file, or conventional.
    fn musl(
        interpreter: &Path,
        architecture: &OsStr,
        read: &dyn Fn(&Path) -> Option<Vec<u8>>,
    ) -> Self {
        let mut name = OsString::from("ld-musl-");
        name.push(architecture);
        name.push(".path");
        // `/lib/ld-musl-x86_64.so.1` reads `/etc/ld-musl-x86_64.path`
        let prefix = interpreter.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let list = read(&prefix.join("etc").join(name));
        let list = list.unwrap_or_else(|| b"/lib:/usr/local/lib:/usr/lib".to_vec());
        let directories = list.split(|byte| matches!(byte, b':' | b'\n'));
        let directories = directories.filter(|directory| directory.starts_with(b"/"));
        Self {
            interpreter: interpreter.to_owned(),
            directories: directories.map(|path| OsStr::from_bytes(path).into()).collect(),
            cache_file: None,
            cache: LoaderCache::default(),
            is_musl: true,
        }
    }

    /// Whether it is musl's, which looks in `LD_LIBRARY_PATH` first and lets libraries inherit any
    /// search path, and knows no versions.
    #[must_use]
    pub const fn is_musl(&self) -> bool {
        self.is_musl
    }

    /// Whether `name` is a part of the loader itself.
    pub(super) fn is_part(&self, name: &OsStr) -> bool {
        let stem = name.as_bytes().split(|&byte| byte == b'.').next().unwrap_or_default();
        let by_own_name = self.interpreter.file_name() == Some(name);
        by_own_name || self.is_musl && PARTS_OF_MUSL.contains(&stem)
    }

    pub(super) const fn cache(&self) -> &LoaderCache {
        &self.cache
    }

    /// The path by which programs ask for it.
    #[must_use]
    pub fn interpreter(&self) -> &Path {
        &self.interpreter
    }

    /// Directories that are searched last, in order.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Its cache, `/etc/ld.so.cache`, if it has one built in.
    #[must_use]
    pub fn cache_file(&self) -> Option<&Path> {
        self.cache_file.as_deref()
    }

    /// What `$LIB` stands for: `lib64`, `lib/x86_64-linux-gnu`.
    pub(super) fn library_directory(&self) -> PathBuf {
        let first = self.directories.first().map_or(Path::new(""), PathBuf::as_path);
        let names: Vec<_> = first.components().collect();
        let lib = names.iter().position(|c| c.as_os_str().as_bytes().starts_with(b"lib"));
        lib.and_then(|at| names.get(at..)).map_or_else(|| "lib64".into(), |c| c.iter().collect())
    }
}

/// The longest run of NUL-terminated paths that end in a slash: glibc's `system_dirs`.
fn built_in_directories(bytes: &[u8]) -> Vec<PathBuf> {
    let is_directory = |text: &[u8]| {
        text.len() > 1
            && text.starts_with(b"/")
            && text.ends_with(b"/")
            && text.iter().all(u8::is_ascii_graphic)
    };
    let mut best: Vec<&[u8]> = Vec::new();
    let mut run: Vec<&[u8]> = Vec::new();
    for text in bytes.split(|&byte| byte == 0) {
        if is_directory(text) {
            run.push(text);
            continue;
        }
        if run.len() > best.len() {
            best.clone_from(&run);
        }
        run.clear();
    }
    let best = if run.len() > best.len() { run } else { best };
    let path = |text: &&[u8]| Path::new(OsStr::from_bytes(text)).components().collect();
    if best.len() < 2 { Vec::new() } else { best.iter().map(path).collect() }
}

/// The path of the cache: a NUL-terminated absolute path that ends in `.so.cache`.
fn built_in_cache(bytes: &[u8]) -> Option<PathBuf> {
    let mut texts = bytes.split(|&byte| byte == 0);
    let path = texts.find(|text| text.starts_with(b"/") && text.ends_with(b".so.cache"))?;
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

/// `x86_64` of `/lib/ld-musl-x86_64.so.1`.
fn architecture_of_musl(interpreter: &Path) -> Option<&OsStr> {
    let name = interpreter.file_name()?.as_bytes().strip_prefix(b"ld-musl-")?;
    name.strip_suffix(b".so.1").map(OsStr::from_bytes)
}
