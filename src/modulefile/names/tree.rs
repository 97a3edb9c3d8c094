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
    /// The names of these, in the order in which the file system lists them.
    pub(crate) order: Vec<String>,
    /// Files that name a default, best first.
    pub(crate) default_files: Vec<DefaultFile>,
    /// A directory that has an entry named by nothing but blanks, here or below.
    pub(crate) blank_within: Option<PathBuf>,
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
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a rule of Lmod's")]
pub(crate) struct Rules<'a> {
    /// Whether files without `.lua` are left out.
    pub(crate) only_lua: bool,
    /// Whether a site leaves out files of this name (`LMOD_FILE_IGNORE_PATTERNS`).
    pub(crate) ignored: &'a dyn Fn(&str) -> bool,
    /// Directories whose names begin or end with a blank are left out, as files are.
    pub(crate) skip_blanks: bool,
    /// `.modulerc` and `.version` count only if they begin as Tcl modulefiles do, or are empty.
    pub(crate) check_rc: bool,
    /// What its owner may not read is left out, unless root looks.
    pub(crate) check_owner: bool,
    /// Root's rule: files of root that others may not read are left out.
    pub(crate) as_root: bool,
}

/// How deep directories are followed: a loop of links ends here.
const DEEPEST: usize = 32;

/// Scans `top`. What cannot be read is not there.
pub(crate) fn scan(top: &Path, rules: Rules) -> Directory {
    scan_below(top, "", rules, 0)
}

fn scan_below(path: &Path, prefix: &str, rules: Rules, depth: usize) -> Directory {
    let mut found = Directory::default();
    let mut ranked: Vec<(usize, DefaultFile)> = Vec::new();
    let mut below = Vec::new();
    for entry in entries(path) {
        let Some(kind) = kind_of(&entry, rules) else { continue };
        let name = entry.name.as_str();
        let full_name =
            if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        if name.trim_matches(is_blank).is_empty() {
            found.blank_within = Some(path.to_owned());
        }
        if kind == Kind::Directory && rules.skip_blanks && name.trim_matches(is_blank) != name {
            // Older ones take the blanks off and find nothing.
        } else if kind == Kind::Directory {
            below.push((full_name, entry.path));
        } else if name.trim_matches(is_blank) != name {
            // A name that nobody means to type.
        } else if let Some(rank) = default_rank(name) {
            if name != "default" && rules.check_rc && !is_rc(&entry.path) {
                continue;
            }
            if name == "default" && kind == Kind::File {
                found.files.insert(full_name, Modulefile { path: entry.path.clone(), lua: false });
            }
            ranked.push((rank, default_file(name, entry.path)));
        } else {
            add_file(&mut found.files, &full_name, entry.path, rules);
        }
    }
    for (full_name, path) in below.into_iter().filter(|_| depth < DEEPEST) {
        let directory = scan_below(&path, &full_name, rules, depth + 1);
        if let Some(place) = &directory.blank_within {
            found.blank_within = Some(place.clone());
        }
        if !directory.files.is_empty() || !directory.directories.is_empty() {
            found.order.push(full_name.clone());
            found.directories.insert(full_name, directory);
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
    rules: Rules,
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
    let target = target.to_string_lossy();
    let target = target.trim_end_matches('/');
    let target = target.rsplit_once('/').map_or(target, |(_, name)| name);
    DefaultFile::Link(target.strip_suffix(".lua").unwrap_or(target).to_owned())
}

/// Whether the file begins as a Tcl modulefile must.
fn is_tcl(path: &Path) -> bool {
    let mut head = [0_u8; 8];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut head).is_ok())
        && &head == b"#%Module"
}

/// Whether the file may name a default.
fn is_rc(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "lua")
        || fs::metadata(path).is_ok_and(|found| found.len() == 0)
        || is_tcl(path)
}

/// What Lua's `%s` is.
fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

struct Entry {
    name: String,
    path: PathBuf,
    /// Not followed.
    file_type: Option<fs::FileType>,
}

/// Entries that may count, in the file system's own order: of `default` and `default.lua` the
/// later one counts.
#[allow(clippy::disallowed_methods, reason = "file types come with the names; maps sort them")]
fn entries(directory: &Path) -> Vec<Entry> {
    let Ok(listing) = fs::read_dir(directory) else { return Vec::new() };
    listing
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(Entry { name, path: entry.path(), file_type: entry.file_type().ok() })
        })
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Link,
    Directory,
}

fn kind_of(entry: &Entry, rules: Rules) -> Option<Kind> {
    if !counts(&entry.name, rules) {
        return None;
    }
    let file_type = entry.file_type?;
    let plain = !rules.as_root && !rules.check_owner;
    if plain && file_type.is_file() {
        return Some(Kind::File);
    }
    if plain && file_type.is_dir() {
        return Some(Kind::Directory);
    }
    let link = entry.name == "default" && file_type.is_symlink();
    let metadata = if link { fs::symlink_metadata(&entry.path) } else { fs::metadata(&entry.path) };
    let metadata = metadata.ok()?;
    if rules.as_root && hidden_from_root(&metadata) {
        return None;
    }
    let kind = match metadata.file_type() {
        _ if link => Kind::Link,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_file() => Kind::File,
        _ => return None,
    };
    let needed = match kind {
        Kind::Directory => 0o500,
        Kind::File if default_rank(&entry.name).is_none() => 0o400,
        _ => 0,
    };
    let owners = rules.as_root || !rules.check_owner || metadata.mode() & needed == needed;
    owners.then_some(kind)
}

fn hidden_from_root(metadata: &Metadata) -> bool {
    metadata.uid() == 0 && metadata.mode() & 0o004 == 0
}

#[allow(clippy::case_sensitive_file_extension_comparisons, reason = "an editor's own spelling")]
fn counts(name: &str, rules: Rules) -> bool {
    const IGNORED: [&str; 5] = [".git", ".gitignore", ".svn", ".lua", ".DS_Store"];
    let ignored = IGNORED.contains(&name)
        || name.ends_with(['~', '#'])
        || name.starts_with('#')
        || name.starts_with(".#")
        || name.starts_with("__")
        || (name.starts_with('.') && name.ends_with(".swp"));
    !ignored && (default_rank(name).is_some() || !(rules.ignored)(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        only_lua: false,
        ignored: &|_| false,
        skip_blanks: true,
        check_rc: true,
        check_owner: false,
        as_root: false,
    };

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
        let tree = scan(top.path(), RULES);
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
        assert_eq!(scan(top.path(), RULES).directories.len(), 1);
    }
}
