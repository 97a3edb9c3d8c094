//! The house rules that a compiler does not check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use module_export::base::fs::sorted_dir;

/// The rooms from left to right; a room imports only from those further right.
const ROOMS: &[&[&str]] = &[
    &["cli"],
    &["assemble", "image", "attest", "audit", "gate"],
    &["closure"],
    &["modulefile"],
    &["session", "stack"],
    &["environment", "elf", "rootfs"],
    &["base"],
];
/// Lines of a file, without its tests.
const MAX_LINES: usize = 500;
/// Packages in Cargo.lock: each is somebody else's code in a binary that people run on their data.
const MAX_PACKAGES: usize = 220;
/// What a newcomer sees first.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "lua",
    "hooks",
    "tests",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `directory` (a path inside the project), in byte order, as paths inside the project.
fn files_below(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in sorted_dir(&root().join(directory)).unwrap() {
        let path = Path::new(directory).join(name);
        if root().join(&path).is_dir() {
            found.extend(files_below(path.to_str().unwrap()));
        } else {
            found.push(path);
        }
    }
    found
}

fn rust_files(directory: &str) -> Vec<PathBuf> {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    files_below(directory).into_iter().filter(is_rust).collect()
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// `text` without lines that are comments alone.
fn code_of(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether a file holds nothing but tests.
fn is_test_file(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

/// The first names of every `crate::…` path: `a` and `b` of `crate::a::X` and `crate::{a, b::Y}`.
fn rooms_named_in(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (place, found) in code.match_indices("crate::") {
        let rest = &code[place + found.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            names.extend(top_level_words(group));
        } else {
            names.insert(first_word(rest));
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first word of each item of `a::B, c::{D, E}}…`, up to the closing brace of the group.
fn top_level_words(group: &str) -> Vec<String> {
    let mut words = vec![first_word(group)];
    let mut depth = 0;
    for (place, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => words.push(first_word(&group[place + 1..])),
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn paths_of_every_spelling_are_seen_by_the_check_of_imports() {
    for (code, want) in [
        ("use crate::base::Digest;", &["base"][..]),
        ("use crate::{elf::{A, B}, rootfs::Node,\n    base};", &["base", "elf", "rootfs"]),
        ("fn f() { crate::image::write() }", &["image"]),
        ("pub(in crate::image) fn f() {}", &["image"]),
        ("let x = 1;", &[]),
    ] {
        assert_eq!(Vec::from_iter(rooms_named_in(code)), want, "{code}");
    }
}

#[test]
fn a_room_imports_only_from_rooms_further_right() {
    let place_of = |room: &str| ROOMS.iter().position(|column| column.contains(&room));
    let mut wrong = Vec::new();
    for path in rust_files("src") {
        let inside = path.strip_prefix("src").unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some(here) = place_of(room) else {
            let known = ["lib", "main"].contains(&room);
            assert!(known, "{}: no room of that name in tests/architecture.rs", path.display());
            continue;
        };
        for name in rooms_named_in(&code_of(&text_of(&path))) {
            let allowed = name == room || place_of(&name).is_some_and(|there| there > here);
            if !allowed {
                wrong.push(format!("{}: crate::{name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_room_of_a_subject_names_its_package() {
    let owners = [
        ("mlua", "modulefile"),
        ("clap", "cli"),
        ("anyhow", "cli"),
        ("indicatif", "cli"),
        ("backhand", "image"),
    ];
    for path in rust_files("src") {
        let code = code_of(&text_of(&path));
        for (package, room) in owners {
            let named = code.contains(&format!("{package}::"));
            assert!(
                !named || path.starts_with(Path::new("src").join(room)),
                "{}: {package}",
                path.display()
            );
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut long = Vec::new();
    for path in
        ["src", "lua", "hooks", "tests/standin", "tests/setup"].into_iter().flat_map(files_below)
    {
        if is_test_file(path.strip_prefix("tests").unwrap_or(&path)) {
            continue;
        }
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().count();
        if lines > MAX_LINES {
            long.push(format!("{}: {lines}", path.display()));
        }
    }
    assert!(long.is_empty(), "over {MAX_LINES} lines: {long:#?}");
}

/// The file that has to declare `path` as a module, and whether it does.
fn is_declared(path: &Path) -> bool {
    let is_folder_root = path.ends_with("mod.rs");
    let directory = path.parent().unwrap();
    let (name, parent) = if is_folder_root {
        (directory.file_name().unwrap(), directory.parent().unwrap())
    } else {
        (path.file_stem().unwrap(), directory)
    };
    let declaration = format!("mod {};", name.to_str().unwrap());
    let declaring = ["lib.rs", "main.rs", "mod.rs"].map(|file| parent.join(file));
    let beside = parent.with_extension("rs");
    declaring.iter().chain([&beside]).any(|file| {
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        let private =
            |line: &str| line == declaration || line.ends_with(&format!(") {declaration}"));
        text.lines().any(|line| private(line.trim_start_matches("pub ")))
    })
}

#[test]
fn no_file_is_forgotten_by_the_compiler() {
    let roots = ["src/lib.rs", "src/main.rs", "tests/main.rs"].map(PathBuf::from);
    for path in rust_files("src").into_iter().chain(rust_files("tests")) {
        let other_target = path.starts_with("tests/fuzz") || path.starts_with("tests/bench");
        if !roots.contains(&path) && !other_target {
            assert!(
                is_declared(&path),
                "{}: no `mod` names it, so nobody compiles it",
                path.display()
            );
        }
    }
}

#[test]
fn unsafe_code_gives_its_reason() {
    for path in rust_files("src").into_iter().chain(rust_files("tests")) {
        let text = text_of(&path);
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let is_unsafe =
                ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|word| code.contains(word));
            let in_text = code.contains('"');
            let before = lines[number.saturating_sub(6)..number].iter();
            if is_unsafe && !in_text {
                let explained = before.clone().any(|line| line.contains("SAFETY:"));
                assert!(explained, "{}:{}: unsafe without SAFETY", path.display(), number + 1);
            }
        }
    }
}

/// Names at the top, as Git has them; without Git, as they are.
fn top_level_names() -> Vec<String> {
    let git = Command::new("git").arg("-C").arg(root()).arg("ls-files").output();
    let listing = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let names: BTreeSet<String> = match listing {
        Some(bytes) if !bytes.is_empty() => String::from_utf8_lossy(&bytes)
            .lines()
            .filter_map(|line| line.split('/').next().map(str::to_owned))
            .collect(),
        _ => sorted_dir(root())
            .unwrap()
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect(),
    };
    names.into_iter().filter(|name| name != "target").collect()
}

#[test]
fn the_top_level_is_the_users() {
    for name in top_level_names() {
        assert!(
            name.starts_with('.') || TOP_LEVEL.contains(&name.as_str()),
            "what is `{name}` at the top level?"
        );
    }
}

#[test]
fn no_leftovers_of_tools_are_kept() {
    for path in ["src", "lua", "hooks", "tests"].into_iter().flat_map(files_below) {
        let name = path.to_string_lossy().into_owned();
        // modulefiles with such names are what some cases are about
        if name.starts_with("tests/data/mf/") {
            continue;
        }
        let leftover = [".pending-snap", ".snap.new", ".orig", ".rej", ".bak", "~"]
            .iter()
            .any(|end| name.ends_with(end));
        assert!(!leftover, "{name}");
    }
}

#[test]
fn dependencies_stay_few() {
    let packages = text_of(Path::new("Cargo.lock")).matches("[[package]]").count();
    assert!(
        packages <= MAX_PACKAGES,
        "{packages} packages in Cargo.lock, at most {MAX_PACKAGES} are allowed"
    );
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    for path in ["src", "lua", "hooks", "tests"].into_iter().flat_map(files_below) {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for mark in marks {
            assert!(!text.contains(mark), "{}: {mark}", path.display());
        }
    }
}
