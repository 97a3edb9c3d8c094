//! What lies below a directory of `MODULEPATH`.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A directory with its modulefiles. Names are relative to the directory of `MODULEPATH`, without
/// `.lua`.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// Modulefiles by full name.
    pub(crate) files: BTreeMap<String, Modulefile>,
    /// Directories that hold any, by name.
    pub(crate) directories: BTreeMap<String, Directory>,
    /// Files that name a default, best first.
    pub(crate) default_files: Vec<DefaultFile>,
}

/// A modulefile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Modulefile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Whether it is Lua by its name.
    pub(crate) lua: bool,
}

/// A file that names a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DefaultFile {
    /// The link `default`, with the name that it gives.
    Link(String),
    /// `.modulerc.lua`, `.modulerc` or `.version`.
    Rc(PathBuf),
}

/// What is left out of a scan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Whether files without `.lua` are left out.
    pub(crate) only_lua: bool,
    /// Names like `.version-old` are left out (Lmod 9).
    pub(crate) skip_saved_rc: bool,
    /// Root's rule: files of root that others may not read are left out.
    pub(crate) as_root: bool,
}

/// How deep directories are followed: a loop of links ends here.
const DEEPEST: usize = 32;

/// Scans `top`. What cannot be read is not there.
pub(crate) fn scan(top: &Path, rules: &Rules) -> Directory {
    scan_below(top, "", rules, 0)
}

fn scan_below(path: &Path, prefix: &str, rules: &Rules, depth: usize) -> Directory {
    let mut found = Directory::default();
    let mut ranked: Vec<(usize, DefaultFile)> = Vec::new();
    for entry in entries(path) {
        let Some(kind) = kind_of(&entry, rules) else { continue };
        let name = entry.name.as_str();
        let full_name =
            if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        if kind == Kind::Directory {
            if depth < DEEPEST {
                let below = scan_below(&entry.path, &full_name, rules, depth + 1);
                if !below.files.is_empty() || !below.directories.is_empty() {
                    found.directories.insert(full_name, below);
                }
            }
        } else if let Some(rank) = default_rank(name) {
            if name == "default" && kind == Kind::File {
                found.files.insert(full_name, Modulefile { path: entry.path.clone(), lua: false });
            }
            ranked.push((rank, default_file(name, entry.path)));
        } else {
            add_file(&mut found.files, &full_name, entry.path, rules);
        }
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    found.default_files = ranked.into_iter().map(|(_, file)| file).collect();
    found
}

fn add_file(
    files: &mut BTreeMap<String, Modulefile>,
    full_name: &str,
    path: PathBuf,
    rules: &Rules,
) {
    let (name, lua) = match full_name.strip_suffix(".lua") {
        Some(name) => (name, true),
        None => (full_name, false),
    };
    if files.get(name).is_some_and(|known| known.lua) {
        return;
    }
    if lua || (!rules.only_lua && is_tcl(&path)) {
        files.insert(name.to_owned(), Modulefile { path, lua });
    }
}

fn default_rank(name: &str) -> Option<usize> {
    ["default", ".modulerc.lua", ".modulerc", ".version"].iter().position(|known| *known == name)
}

fn default_file(name: &str, path: PathBuf) -> DefaultFile {
    if name != "default" {
        return DefaultFile::Rc(path);
    }
    let target = fs::read_link(&path).unwrap_or(path);
    let target = target.file_name().map(|name| name.to_string_lossy().into_owned());
    let target = target.unwrap_or_default();
    DefaultFile::Link(target.strip_suffix(".lua").unwrap_or(&target).to_owned())
}

/// Whether the file begins as a Tcl modulefile must.
fn is_tcl(path: &Path) -> bool {
    let mut head = [0_u8; 8];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut head).is_ok())
        && &head == b"#%Module"
}

struct Entry {
    name: String,
    path: PathBuf,
    /// Not followed.
    file_type: Option<fs::FileType>,
}

/// Entries that may count, in byte order.
#[allow(clippy::disallowed_methods, reason = "file types come with the names; sorted below")]
fn entries(directory: &Path) -> Vec<Entry> {
    let Ok(listing) = fs::read_dir(directory) else { return Vec::new() };
    let mut entries: Vec<Entry> = listing
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(Entry { name, path: entry.path(), file_type: entry.file_type().ok() })
        })
        .collect();
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    entries
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Link,
    Directory,
}

fn kind_of(entry: &Entry, rules: &Rules) -> Option<Kind> {
    if !counts(&entry.name, rules) {
        return None;
    }
    let file_type = entry.file_type?;
    if !rules.as_root && file_type.is_file() {
        return Some(Kind::File);
    }
    if !rules.as_root && file_type.is_dir() {
        return Some(Kind::Directory);
    }
    if entry.name == "default" && file_type.is_symlink() {
        return Some(Kind::Link);
    }
    let metadata = fs::metadata(&entry.path).ok()?;
    if rules.as_root && hidden_from_root(&metadata) {
        return None;
    }
    match metadata.file_type() {
        kind if kind.is_dir() => Some(Kind::Directory),
        kind if kind.is_file() => Some(Kind::File),
        _ => None,
    }
}

fn hidden_from_root(metadata: &Metadata) -> bool {
    metadata.uid() == 0 && metadata.mode() & 0o004 == 0
}

#[allow(clippy::case_sensitive_file_extension_comparisons, reason = "an editor's own spelling")]
fn counts(name: &str, rules: &Rules) -> bool {
    const IGNORED: [&str; 5] = [".git", ".gitignore", ".svn", ".lua", ".DS_Store"];
    let ignored = IGNORED.contains(&name)
        || name.ends_with(['~', '#'])
        || name.starts_with('#')
        || name.starts_with(".#")
        || name.starts_with("__")
        || (name.starts_with('.') && name.ends_with(".swp"));
    let saved = name.starts_with(".version-") || name.starts_with(".modulerc-");
    let blanks = name.trim() != name;
    !ignored && !(rules.skip_saved_rc && (saved || blanks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_finds_modulefiles_and_what_names_their_default() {
        let top = tempfile::tempdir().unwrap();
        let make = |name: &str, text: &str| {
            let path = top.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        make("x/1.0.lua", "");
        make("x/2.0", "#%Module1.0\n");
        make("x/2.0.lua", "");
        make("x/notes.txt", "not a modulefile");
        make("x/3.0~", "#%Module");
        make("x/.version", "#%Module");
        make("empty/.version", "#%Module");
        make("meta.lua", "");
        std::os::unix::fs::symlink("1.0.lua", top.path().join("x/default")).unwrap();
        let tree = scan(top.path(), &Rules::default());
        assert_eq!(tree.files.keys().collect::<Vec<_>>(), ["meta"]);
        assert_eq!(tree.directories.keys().collect::<Vec<_>>(), ["x"]);
        let x = &tree.directories["x"];
        let files: Vec<_> = x.files.iter().map(|(name, file)| (name.as_str(), file.lua)).collect();
        assert_eq!(files, [("x/1.0", true), ("x/2.0", true)]);
        assert_eq!(x.default_files[0], DefaultFile::Link("1.0".to_owned()));
        assert_eq!(x.default_files[1], DefaultFile::Rc(top.path().join("x/.version")));
    }

    #[test]
    fn a_loop_of_links_ends() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("a")).unwrap();
        fs::write(top.path().join("a/1.lua"), "").unwrap();
        std::os::unix::fs::symlink("..", top.path().join("a/up")).unwrap();
        assert_eq!(scan(top.path(), &Rules::default()).directories.len(), 1);
    }
}
