//! What is never packed, wherever it is met.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::ClosureError;
use super::scope::is_driver;
use super::stripped::{NOT_REDISTRIBUTABLE, Rule};
use crate::base::Escaped;
use crate::stack::Eessi;

/// The reason of what `--exclude` names.
pub const LEFT_OUT_ON_REQUEST: &str = "left out on request";

/// Rules by which a path is left out.
#[derive(Debug)]
pub(super) struct Policy {
    excludes: GlobSet,
    /// What the user wrote, and whether anything matched it.
    patterns: Vec<(String, AtomicBool)>,
    /// Which of them each glob stands for.
    meanings: Vec<usize>,
    repository: Option<PathBuf>,
    layers: Vec<PathBuf>,
    stripped: Vec<Rule>,
    /// Whether of layers only a part is packed.
    slim: bool,
}

/// What a rule looks at besides the path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) is_directory: bool,
    pub(super) is_symlink: bool,
    /// Permission bits.
    pub(super) mode: u32,
}

impl Policy {
    /// The rules for this stack and these patterns of the user's.
    pub(super) fn new(excludes: &[String], eessi: Option<&Eessi>) -> Result<Self, ClosureError> {
        let mut set = GlobSetBuilder::new();
        let mut meanings = Vec::new();
        for (at, pattern) in excludes.iter().enumerate() {
            let error = |source| ClosureError::Exclude { glob: pattern.clone(), source };
            let trimmed = pattern.strip_suffix('/').unwrap_or(pattern);
            set.add(GlobBuilder::new(trimmed).build().map_err(error)?);
            meanings.push(at);
            if !trimmed.contains('/') {
                // a bare name means that name anywhere
                set.add(GlobBuilder::new(&format!("**/{trimmed}")).build().map_err(error)?);
                meanings.push(at);
            }
        }
        let error = |source| ClosureError::Exclude { glob: excludes.join(", "), source };
        Ok(Self {
            excludes: set.build().map_err(error)?,
            patterns: excludes.iter().map(|glob| (glob.clone(), AtomicBool::new(false))).collect(),
            meanings,
            repository: eessi.map(|eessi| eessi.repository.clone()),
            layers: Vec::new(),
            stripped: Vec::new(),
            slim: false,
        })
    }

    /// Makes the rules for compatibility layers hold below `layer`.
    pub(super) fn add_layer(&mut self, layer: PathBuf) {
        self.layers.push(layer);
    }

    /// Whether `path` lies in the stack's own repository.
    pub(super) fn is_published(&self, path: &Path) -> bool {
        self.repository.as_ref().is_some_and(|repository| path.starts_with(repository))
    }

    /// Makes a rule hold for what may be packed of an installation.
    pub(super) fn strip(&mut self, rule: Rule) {
        self.stripped.push(rule);
    }

    /// Leaves out of interpreters of layers what only serves to build against them.
    pub(super) fn be_slim(&mut self) {
        self.slim = true;
    }

    /// Whether a pattern of the user's means `path`.
    fn is_excluded(&self, path: &Path) -> bool {
        let globs = self.excludes.matches(path);
        let of = |glob: &usize| self.patterns.get(*self.meanings.get(*glob)?);
        for (_, matched) in globs.iter().filter_map(of) {
            matched.store(true, Ordering::Relaxed);
        }
        !globs.is_empty()
    }

    /// A sentence for each pattern of the user's that nothing matched.
    pub(super) fn idle_patterns(&self) -> Vec<String> {
        let idle = self.patterns.iter().filter(|(_, matched)| !matched.load(Ordering::Relaxed));
        let sentence = |(pattern, _): &(String, AtomicBool)| {
            let hint = real_place(pattern).map_or_else(String::new, |(link, real)| {
                let (link, real) = (link.to_string_lossy(), real.to_string_lossy());
                format!(": `{}` is a link, name `{}`", Escaped(&link), Escaped(&real))
            });
            format!("`--exclude {}` left nothing out{hint}", Escaped(pattern))
        };
        idle.map(sentence).collect()
    }

    /// Why the thing at `path` is left out; `None` if it is not.
    pub(super) fn omission(&self, path: &Path, kind: Kind) -> Option<&'static str> {
        if !self.excludes.is_empty() && self.is_excluded(path) {
            return Some(LEFT_OUT_ON_REQUEST);
        }
        let name = path.file_name().unwrap_or_default().as_bytes();
        let is_file = !kind.is_directory && !kind.is_symlink;
        if is_file && self.stripped.iter().any(|rule| rule.forbids(path, name)) {
            return Some(NOT_REDISTRIBUTABLE);
        }
        if self.is_published(path) {
            if name.starts_with(b".cvmfs") {
                return Some("CVMFS marker");
            }
            if path.ends_with(".lmod/cache") {
                return Some("spider cache of modules that are not packed");
            }
        }
        let layer = self.layers.iter().find_map(|layer| path.strip_prefix(layer).ok());
        if let Some(reason) = layer.and_then(|below| in_layer(below, name, kind)) {
            return Some(reason);
        }
        if self.slim && kind.is_directory && layer.is_some_and(|below| is_for_builds(below, name)) {
            return Some("for building against an interpreter");
        }
        if let Some(reason) = of_this_machine(path, name, kind) {
            return Some(reason);
        }
        // a toolkit's own stubs are for linking only; a link holds nothing, and says where a
        // site's driver belongs
        let is_stub = path.parent().is_some_and(|parent| parent.ends_with("stubs"));
        if !kind.is_directory && !kind.is_symlink && is_driver(name) && !is_stub {
            return Some("GPU driver library");
        }
        let by_easybuild = path.parent().is_some_and(|parent| parent.ends_with("easybuild"));
        (!kind.is_directory && by_easybuild && is_build_log(name)).then_some("build log")
    }
}

/// The directory that a pattern begins with, and where it is, if links lead there.
fn real_place(pattern: &str) -> Option<(PathBuf, PathBuf)> {
    let plain = pattern.split(['*', '?', '[', '{']).next()?;
    let directory = Path::new(plain.rsplit_once('/')?.0);
    let real = std::fs::canonicalize(directory).ok()?;
    (directory.is_absolute() && real != directory).then(|| (directory.to_owned(), real))
}

/// Why the thing at `path` of this machine itself is left out: it is nobody else's business.
fn of_this_machine(path: &Path, name: &[u8], kind: Kind) -> Option<&'static str> {
    let below = path.strip_prefix("/etc").or_else(|_| path.strip_prefix("/var")).ok()?;
    let top = below.iter().next()?.as_bytes();
    let in_etc = path.starts_with("/etc");
    if kind.is_symlink || kind.is_directory && below.iter().count() == 1 && !in_etc {
        return None;
    }
    match top {
        b"passwd" | b"passwd-" | b"group" | b"group-" if in_etc => return Some("account file"),
        b"slurm" | b"slurm-llnl" | b"munge" if in_etc => return Some("Slurm file"),
        b"ssh" | b"krb5.keytab" if in_etc => return Some("keys of this machine"),
        _ => {}
    }
    let others = if kind.is_directory { 0o005 } else { 0o004 };
    if kind.mode & others != others {
        return Some("readable by its owner only");
    }
    private_name(if in_etc { b"etc" } else { b"var" }, name)
}

/// Why the thing at `below` a compatibility layer is left out.
fn in_layer(below: &Path, name: &[u8], kind: Kind) -> Option<&'static str> {
    match below.to_str() {
        Some("var/cache") => return Some("package cache"),
        Some("var/db") => return Some("package database"),
        Some("var/tmp") => return Some("temporary files"),
        Some("var/log") => return Some("logs"),
        _ => {}
    }
    let mut names = below.iter().map(std::ffi::OsStr::as_bytes);
    let top = names.next().unwrap_or_default();
    if top == b"tmp" && names.next().is_some() {
        return Some("temporary file");
    }
    if kind.is_symlink {
        return None;
    }
    if [&b"etc"[..], b"var", b"root", b"home"].contains(&top) {
        let others = if kind.is_directory { 0o005 } else { 0o004 };
        if kind.mode & others != others {
            return Some("readable by its owner only");
        }
        if let Some(reason) = private_name(top, name) {
            return Some(reason);
        }
    }
    if kind.is_directory {
        return None;
    }
    if is_build_log(name) {
        return Some(if name.starts_with(b"easybuild-") { "build log" } else { "log" });
    }
    None
}

/// Whether the directory at `below` a layer holds headers of Perl, or Python's static library.
fn is_for_builds(below: &Path, name: &[u8]) -> bool {
    let mut above = below.iter().rev().skip(1).map(std::ffi::OsStr::as_bytes);
    match name {
        b"CORE" => above.any(|name| name.starts_with(b"perl")),
        _ if name.starts_with(b"config-") => above.next().is_some_and(|n| n.starts_with(b"python")),
        _ => false,
    }
}

/// Why a file of this name is nobody else's business.
fn private_name(top: &[u8], name: &[u8]) -> Option<&'static str> {
    let starts = |prefix: &[u8]| name.starts_with(prefix);
    if top == b"etc" && (starts(b"shadow") || starts(b"gshadow") || starts(b"sudoers")) {
        return Some("account file");
    }
    if starts(b"ssh_host_") && name.ends_with(b"_key") {
        return Some("host key");
    }
    if top == b"var" && name.ends_with(b".key") || name == b".ssh" || name == b".gnupg" {
        return Some("private key");
    }
    let history = starts(b".") && name.ends_with(b"_history");
    (history || name == b".lesshst" || name == b".viminfo").then_some("shell history")
}

/// `*.log`, and `easybuild-*.log` as `EasyBuild` compresses it.
fn is_build_log(name: &[u8]) -> bool {
    let plain = name.ends_with(b".log");
    let packed = [&b".log.bz2"[..], b".log.gz", b".log.xz"];
    plain || name.starts_with(b"easybuild-") && packed.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Kind = Kind { is_directory: false, is_symlink: false, mode: 0o644 };
    const DIRECTORY: Kind = Kind { is_directory: true, is_symlink: false, mode: 0o755 };
    const LINK: Kind = Kind { is_directory: false, is_symlink: true, mode: 0o777 };

    fn policy(excludes: &[&str]) -> Policy {
        let excludes: Vec<_> = excludes.iter().map(|&glob| glob.to_owned()).collect();
        let eessi = Eessi {
            repository: "/r".into(),
            version: "1".to_owned(),
            os_type: "linux".to_owned(),
            cpu_family: "x86_64".to_owned(),
            target: "x86_64/generic".to_owned(),
            accelerator: None,
            foreign_layer: None,
        };
        let mut policy = Policy::new(&excludes, Some(&eessi)).unwrap();
        policy.add_layer("/r/layer".into());
        policy
    }

    #[test]
    fn rules_hold_where_they_are_meant_to() {
        let secret = Kind { mode: 0o600, ..FILE };
        let closed = Kind { mode: 0o700, ..DIRECTORY };
        for (path, kind, want) in [
            ("/r/layer/var/cache", DIRECTORY, Some("package cache")),
            ("/r/layer/var/db", DIRECTORY, Some("package database")),
            ("/r/layer/var/tmp", DIRECTORY, Some("temporary files")),
            ("/r/layer/var/log", DIRECTORY, Some("logs")),
            ("/r/layer/var/lib", DIRECTORY, None),
            ("/r/layer/usr/var/db", DIRECTORY, None),
            ("/r/other/var/db", DIRECTORY, None),
            ("/r/layer/usr/emerge.log", FILE, Some("log")),
            ("/r/layer/usr/emerge.log", DIRECTORY, None),
            ("/r/layer/usr/catalog", FILE, None),
            ("/r/software/x/data.log", FILE, None),
            ("/r/software/x/easybuild/easybuild-x.log.bz2", FILE, Some("build log")),
            ("/r/software/x/easybuild/x.eb", FILE, None),
            ("/r/software/x/easybuild-x.log.gz", FILE, None),
            ("/r/.cvmfscatalog", FILE, Some("CVMFS marker")),
            ("/elsewhere/.cvmfscatalog", FILE, None),
            ("/r/s/.lmod/cache", DIRECTORY, Some("spider cache of modules that are not packed")),
            ("/r/layer/etc/shadow", secret, Some("readable by its owner only")),
            ("/r/layer/etc/shadow-", FILE, Some("account file")),
            ("/r/layer/etc/shadow", LINK, None),
            ("/r/layer/etc/passwd", FILE, None),
            ("/r/layer/root", closed, Some("readable by its owner only")),
            ("/r/layer/home/x/.bash_history", FILE, Some("shell history")),
            ("/r/layer/var/lib/a.key", FILE, Some("private key")),
            ("/r/layer/usr/lib/a.key", FILE, None),
            ("/r/layer/usr/lib/private", secret, None),
            ("/r/software/x/private", secret, None),
            ("/etc/passwd", FILE, Some("account file")),
            ("/etc/shadow", secret, Some("readable by its owner only")),
            ("/etc/slurm", DIRECTORY, Some("Slurm file")),
            ("/etc/ssh", DIRECTORY, Some("keys of this machine")),
            ("/etc/ssl/private", closed, Some("readable by its owner only")),
            ("/etc/lmod/modulespath", FILE, None),
            ("/home/jane/apps", closed, None),
            ("/apps/driver/lib/libcuda.so.1", FILE, Some("GPU driver library")),
            ("/apps/driver/lib/libcuda.so.1", LINK, None),
            ("/apps/CUDA/lib64/stubs/libcuda.so", FILE, None),
            ("/apps/CUDA/lib64/libcudart.so", FILE, None),
            ("/r/layer/tmp", DIRECTORY, None),
            ("/r/layer/tmp/x", FILE, Some("temporary file")),
        ] {
            assert_eq!(policy(&[]).omission(Path::new(path), kind), want, "{path} {kind:?}");
        }
    }

    #[test]
    fn a_slim_layer_has_nothing_for_builds_against_its_interpreters() {
        let mut slim = policy(&[]);
        slim.be_slim();
        let why = Some("for building against an interpreter");
        for (path, kind, want) in [
            ("/r/layer/usr/lib64/perl5/5.36/x86_64-linux/CORE", DIRECTORY, why),
            ("/r/layer/usr/lib64/perl5/5.36/CORE", FILE, None),
            ("/r/layer/usr/lib64/perl5/5.36/CORE.pm", DIRECTORY, None),
            ("/r/layer/usr/lib/other/CORE", DIRECTORY, None),
            ("/r/layer/usr/lib/python3.11/config-3.11-x86_64", DIRECTORY, why),
            ("/r/layer/usr/lib/python3.11/site-packages/config-x", DIRECTORY, None),
            ("/r/software/perl5/CORE", DIRECTORY, None),
        ] {
            assert_eq!(slim.omission(Path::new(path), kind), want, "{path}");
            assert_eq!(policy(&[]).omission(Path::new(path), kind), None, "{path}");
        }
    }

    #[test]
    fn a_pattern_means_the_whole_path_or_a_name_anywhere() {
        for (pattern, path, left_out) in [
            ("*.a", "/p/lib/libx.a", true),
            ("*.a", "/p/lib/libx.ab", false),
            ("/p/doc/", "/p/doc", true),
            ("/p/doc", "/q/p/doc", false),
            ("doc", "/p/share/doc", true),
            ("/p/**/test", "/p/a/b/test", true),
            ("/p/{a,b}/*", "/p/b/x", true),
        ] {
            let got = policy(&[pattern]).omission(Path::new(path), FILE);
            assert_eq!(got, left_out.then_some("left out on request"), "{pattern} {path}");
        }
        let policy = policy(&["*.a", "doc", "/none/*"]);
        policy.omission(Path::new("/p/lib/libx.a"), FILE);
        policy.omission(Path::new("/p/share/doc"), DIRECTORY);
        assert_eq!(policy.idle_patterns(), ["`--exclude /none/*` left nothing out"]);
        let error = Policy::new(&["[".to_owned()], None);
        assert!(matches!(error, Err(ClosureError::Exclude { .. })));
    }
}
