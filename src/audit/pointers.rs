//! Files of languages and build tools name paths.

use std::path::{Path, PathBuf};

use super::view::{Absence, View};
use super::{Check, Finding, Severity};
use crate::base::Interrupted;
use crate::closure::parallel;
use crate::rootfs::FileId;

/// No such file has more bytes.
const LONGEST: u64 = 1 << 18;
/// What mends a path that leads to nothing.
const MEND: &str = "add what it names with --include, if something in the image needs it";

/// What a file is, and so which of its paths count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Python's list of further directories.
    PathList,
    /// A virtual environment's settings.
    VirtualEnvironment,
    /// pkg-config's.
    PkgConfig,
    /// What a package tells `CMake`.
    CMake,
    /// libtool's.
    Libtool,
    /// What Python was built with.
    Sysconfig,
    /// What Perl was built with.
    PerlConfig,
    /// R's own environment.
    REnvironment,
    /// The script that starts R.
    RScript,
    /// Java's security settings.
    JavaSecurity,
}

impl Kind {
    fn of(name: &[u8]) -> Option<Self> {
        let ends = |end: &[u8]| name.ends_with(end);
        let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
        Some(match name {
            b"pyvenv.cfg" => Self::VirtualEnvironment,
            b"Config.pm" => Self::PerlConfig,
            b"Renviron" => Self::REnvironment,
            b"R" => Self::RScript,
            b"java.security" => Self::JavaSecurity,
            _ if ends(b".pth") => Self::PathList,
            _ if ends(b".pc") => Self::PkgConfig,
            _ if ends(b".la") => Self::Libtool,
            _ if ends(b".py") && name.starts_with(b"_sysconfigdata") => Self::Sysconfig,
            _ if ends(b"Config.cmake") || ends(b"-config.cmake") => Self::CMake,
            _ if ends(b".cmake") && (has(b"Targets") || has(b"-targets")) => Self::CMake,
            _ => return None,
        })
    }
}

/// Whether a file at this path is read here.
pub(super) fn names_paths(path: &Path) -> bool {
    let kind = Kind::of(path.file_name().unwrap_or_default().as_encoded_bytes());
    kind.is_some_and(|kind| kind != Kind::RScript || path.ends_with("bin/R"))
}

/// The paths in such files that lead to nothing.
pub(super) fn check(view: &View<'_>) -> Result<Vec<Finding>, Interrupted> {
    let one = |(path, id): &(PathBuf, FileId)| -> Vec<Finding> {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let Some(kind) = Kind::of(name) else { return Vec::new() };
        let bytes = view.subject.contents.bytes(*id, LONGEST).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let absent = |at: &str| {
            let at = Path::new(at);
            let known = view.has(at) || matches!(view.absence(at), Absence::Expected(_));
            let need = at.as_os_str();
            (!known).then(|| {
                let finding = view.absent(Check::Pointer, path, need, at, Severity::Warning);
                let plain = finding.mend.is_empty() && finding.severity == Severity::Warning;
                if plain { Finding { mend: MEND.to_owned(), ..finding } } else { finding }
            })
        };
        paths_in(kind, &text).into_iter().filter_map(absent).collect()
    };
    let findings = parallel::map(&view.pointers, view.subject.interrupt, one)?;
    Ok(findings.into_iter().flatten().collect())
}

/// The absolute paths that a file of this kind names, and that something follows.
fn paths_in(kind: Kind, text: &str) -> Vec<&str> {
    let lines = text.lines();
    match kind {
        Kind::PathList => lines.filter_map(absolute).collect(),
        Kind::VirtualEnvironment => {
            lines.filter_map(setting).filter(|(name, _)| *name == "home").filter_map(path).collect()
        }
        // of other words of pkg-config most hold options
        Kind::PkgConfig => {
            let named = |name: &str| name.ends_with("prefix") || name.ends_with("dir");
            lines.filter_map(setting).filter(|(name, _)| named(name)).filter_map(path).collect()
        }
        Kind::CMake => lines.filter(|line| of_target(line)).flat_map(quoted).collect(),
        Kind::Libtool => {
            let named = |name: &str| ["dependency_libs", "libdir"].contains(&name);
            let values = lines.filter_map(setting).filter(|(name, _)| named(name));
            let words = values.flat_map(|(_, value)| value.trim_matches('\'').split_whitespace());
            words.filter_map(|word| absolute(word.strip_prefix("-L").unwrap_or(word))).collect()
        }
        Kind::Sysconfig => {
            let named = ["prefix", "exec_prefix", "BINDIR", "LIBDEST", "INCLUDEPY"];
            lines
                .filter_map(entry)
                .filter(|(name, _)| named.contains(name))
                .filter_map(path)
                .collect()
        }
        Kind::PerlConfig => {
            let named = ["privlibexp", "archlibexp"];
            lines
                .filter_map(entry)
                .filter(|(name, _)| named.contains(name))
                .filter_map(path)
                .collect()
        }
        Kind::REnvironment => {
            let code = lines.filter(|line| !line.trim_start().starts_with('#'));
            code.flat_map(quoted).collect()
        }
        Kind::RScript => {
            let named = |name: &str| name == "R_HOME_DIR";
            lines.filter_map(setting).filter(|(name, _)| named(name)).filter_map(path).collect()
        }
        Kind::JavaSecurity => {
            let code = lines.filter(|line| !line.trim_start().starts_with('#'));
            let files =
                code.filter_map(setting).filter_map(|(_, value)| value.strip_prefix("file:"));
            files.filter_map(absolute).collect()
        }
    }
}

/// `text`, if it is an absolute path and nothing else.
fn absolute(text: &str) -> Option<&str> {
    let text = text.trim();
    let plain = !text.contains(['$', ' ', '<', '>', '@', '*', '?', '`', '{', '"', '\'']);
    (text.starts_with('/') && text.len() > 1 && plain).then_some(text)
}

/// Name and value of `name = value`.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    Some((name.trim(), value.trim()))
}

/// Name and value of `'name': 'value',` or `name => 'value',`.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once("=>").or_else(|| line.split_once(": "))?;
    Some((name.trim().trim_matches('\'').trim_matches('"'), value.trim().trim_end_matches(',')))
}

fn path<'a>((_, value): (&'a str, &'a str)) -> Option<&'a str> {
    absolute(value.trim_end_matches(';').trim_matches(['\'', '"']))
}

/// The absolute paths between quotation marks, each of a list by itself.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    let parts = line.split(['"', '\'']).skip(1).step_by(2);
    parts.flat_map(|part| part.split(';')).filter_map(absolute)
}

/// Whether a line of `CMake` says where a target or a directory is.
fn of_target(line: &str) -> bool {
    let line = line.trim_start();
    let words = [
        "IMPORTED_LOCATION",
        "IMPORTED_IMPLIB",
        "INTERFACE_INCLUDE_DIRECTORIES",
        "INTERFACE_LINK_LIBRARIES",
        "INTERFACE_LINK_DIRECTORIES",
        "set_and_check",
    ];
    !line.starts_with('#') && words.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_paths_that_something_follows_count() {
        for (name, text, want) in [
            ("x.pth", "import x\n/a/b\n../c\n", &["/a/b"][..]),
            ("pyvenv.cfg", "home = /usr/bin\nversion = 3\nprompt = /x\n", &["/usr/bin"]),
            (
                "x.pc",
                "prefix=/a\nlibdir=${prefix}/lib\nLibs: -L/b\nincludedir = /c\n",
                &["/a", "/c"],
            ),
            (
                "xTargets-release.cmake",
                "  IMPORTED_LOCATION_RELEASE \"${_IMPORT_PREFIX}/lib/x.so\"\n  INTERFACE_LINK_LIBRARIES \"/a/liby.so;z;$<LINK_ONLY:w>;/b/libv.a\"\n# INTERFACE_LINK_LIBRARIES \"/no\"\nset(X \"/no\")\n",
                &["/a/liby.so", "/b/libv.a"],
            ),
            ("x-config.cmake", "set_and_check(X_DIR \"/a\")\n", &["/a"]),
            (
                "libx.la",
                "# -L/no\ndependency_libs=' -L/a/lib /b/liby.la -lz'\nlibdir='/c'\n",
                &["/a/lib", "/b/liby.la", "/c"],
            ),
            (
                "_sysconfigdata__linux_x86_64.py",
                "build_time_vars = {'AR': '/no',\n 'prefix': '/a',\n 'LIBDEST': '/a/lib',\n",
                &["/a", "/a/lib"],
            ),
            ("Config.pm", "    privlibexp => '/a',\n    sitelibexp => '/no',\n", &["/a"]),
            ("Renviron", "PAGER=${PAGER-'/usr/bin/less'}\n## '/no'\n", &["/usr/bin/less"]),
            ("R", "R_HOME_DIR=/a/lib/R\nif test -d /no; then\n", &["/a/lib/R"]),
            ("java.security", "a.source=file:/a\n#b=file:/no\nc=d\n", &["/a"]),
        ] {
            let kind = Kind::of(name.as_bytes()).unwrap();
            assert_eq!(paths_in(kind, text), want, "{name}");
        }
        for name in ["xTargets.txt", "config.cmake.in", "x.py", "Rscript"] {
            assert_eq!(Kind::of(name.as_bytes()), None, "{name}");
        }
    }
}
