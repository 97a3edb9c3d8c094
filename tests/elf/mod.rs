//! What is read of ELF files, and where libraries are found, against `ld.so` and binutils.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use module_export::base::fs::sorted_dir;
use module_export::elf::{self, ElfFacts, Kind, Loader, Object, Search};

use crate::common::{TestEnv, lookalike, tool};

/// Files below `top` that may be ELF files, links not followed.
fn candidates(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in sorted_dir(top).unwrap() {
        let path = top.join(&name);
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            found.extend(candidates(&path));
        } else if metadata.is_file()
            && (metadata.permissions().mode() & 0o111 != 0
                || name.to_string_lossy().contains(".so"))
        {
            found.push(path);
        }
    }
    found
}

/// Facts of host files, each read once.
#[derive(Default)]
struct Facts(RefCell<BTreeMap<PathBuf, Option<Arc<ElfFacts>>>>);

impl Facts {
    fn of(&self, path: &Path) -> Option<Arc<ElfFacts>> {
        let mut known = self.0.borrow_mut();
        known.entry(path.to_owned()).or_insert_with(|| elf::read(path).ok().map(Arc::new)).clone()
    }
}

/// Names of libraries, and the file each leads to; `None` for what is not found.
type Libraries = BTreeMap<String, Option<PathBuf>>;

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// What `ld.so` would load, by the way that `ldd` asks it; `None` for what it cannot load at all.
fn listed(loader: &Path, file: &Path, library_path: &str) -> Option<Libraries> {
    let mut command = Command::new(loader);
    command.arg(file).env_clear().env("LD_TRACE_LOADED_OBJECTS", "1");
    if !library_path.is_empty() {
        command.env("LD_LIBRARY_PATH", library_path);
    }
    let shown = command.output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    if text.is_empty() || text.contains("statically linked") {
        return None;
    }
    let mut libraries = Libraries::new();
    for line in text.lines() {
        let line = line.trim();
        let (name, path) = match line.split_once(" => ") {
            Some((name, "not found")) => (name, None),
            Some((name, path)) => (name, Some(path)),
            None => (line, Some(line)),
        };
        let without_address = |text: &str| text.split(" (0x").next().unwrap().to_owned();
        let name = without_address(name);
        // the kernel's own is no file
        if name.starts_with("linux-vdso") {
            continue;
        }
        let name = Path::new(&name).file_name().unwrap().to_string_lossy().into_owned();
        libraries.insert(name, path.map(|path| real(Path::new(&without_address(path)))));
    }
    Some(libraries)
}

/// The same by our search; libraries that `ld.so` calls by another name have that of their file.
fn searched(facts: &Facts, loader: &Loader, file: &Path, library_path: &str) -> Libraries {
    let probe = |path: &Path| facts.of(path);
    let library_path = elf::library_path(library_path);
    let (library_path, has_directory) = (&library_path, &|path: &Path| path.is_dir());
    let search = Search { loader, library_path, probe: &probe, has_directory };
    let program = Object { path: file.to_owned(), facts: facts.of(file).unwrap() };
    let process = search.load(program);
    let mut libraries = Libraries::new();
    for object in process.objects.iter().skip(1) {
        libraries.insert(object.path.display().to_string(), Some(real(&object.path)));
    }
    for missing in process.missing {
        libraries.insert(missing.name.into_string().unwrap(), None);
    }
    libraries
}

/// Files that were found, links followed, and names that were not.
fn outcome(libraries: &Libraries) -> (BTreeSet<&Path>, BTreeSet<&str>) {
    let found = libraries.values().flatten().map(PathBuf::as_path).collect();
    let missing = libraries.iter().filter(|(_, path)| path.is_none()).map(|(name, _)| &**name);
    (found, missing.collect())
}

fn loader(path: &Path) -> Loader {
    Loader::new(path, &|path| std::fs::read(path).ok())
}

/// Compares every ELF file below `top`; how many there were.
fn compare(top: &Path, interpreter: &Path) -> usize {
    let (facts, loader) = (Facts::default(), loader(interpreter));
    let mut compared = 0;
    let mut differences = Vec::new();
    for file in candidates(top) {
        let Some(own) = facts.of(&file) else { continue };
        if !own.dynamic || own.kind == Kind::Other {
            continue;
        }
        // what loads the others is loaded by the kernel
        if own.interpreter.is_none() && file.file_name() == interpreter.file_name() {
            continue;
        }
        let Some(theirs) = listed(interpreter, &file, "") else { continue };
        let ours = searched(&facts, &loader, &file, "");
        if outcome(&ours) != outcome(&theirs) {
            differences.push(format!("{}\n ld.so {theirs:?}\n ours  {ours:?}", file.display()));
        }
        compared += 1;
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    compared
}

#[test]
fn every_library_of_the_look_alike_is_found_where_its_own_loader_finds_it() {
    let Some(prefix) = lookalike() else { return };
    let interpreter = prefix.join("compat/linux/x86_64/lib64/ld-linux-x86-64.so.2");
    assert!(compare(&prefix, &interpreter) > 400);
}

/// Takes a minute.
#[test]
#[ignore = "needs a large stack at /cvmfs/software.eessi.io"]
fn every_library_of_a_large_stack_is_found_where_its_own_loader_finds_it() {
    let prefix = Path::new("/cvmfs/software.eessi.io/versions/2023.06");
    let interpreter = prefix.join("compat/linux/x86_64/lib64/ld-linux-x86-64.so.2");
    let compared = compare(prefix, &interpreter);
    eprintln!("{compared} files compared");
    assert!(compared > 1000);
}

/// Builds `text` with gcc in `directory`.
fn gcc(directory: &Path, words: &str) {
    let mut command = Command::new("gcc");
    command.args(words.split_whitespace()).current_dir(directory);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{words}: {}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn search_paths_of_every_kind_lead_where_the_loader_goes() {
    if tool("gcc").is_none() {
        return;
    }
    let env = TestEnv::new();
    let top = env.root().join("tree");
    for directory in ["a", "b", "c", "env", "app/bin", "app/lib", "deep/x/y"] {
        std::fs::create_dir_all(top.join(directory)).unwrap();
    }
    std::fs::write(top.join("f.c"), "int f(void) { return 1; }\n").unwrap();
    std::fs::write(top.join("main.c"), "int main(void) { return 0; }\n").unwrap();
    let shown = top.display();
    let always = "-Wl,--no-as-needed";
    let (old, new) = ("-Wl,--disable-new-dtags", "-Wl,--enable-new-dtags");
    // leaves: the same name in many places
    for directory in ["a", "b", "c", "env", "app/lib"] {
        gcc(&top, &format!("-shared -o {directory}/libleaf.so f.c -Wl,-soname,libleaf.so"));
    }
    gcc(&top, "-shared -o deep/x/y/libonly.so f.c -Wl,-soname,libonly.so");
    // in the middle: with RPATH, RUNPATH, neither, and one without a name of its own
    for (name, flags) in [
        ("rpath", format!("{old} -Wl,-rpath,{shown}/b")),
        ("runpath", format!("{new} -Wl,-rpath,{shown}/b")),
        ("plain", String::new()),
        ("origin", format!("{old} -Wl,-rpath,$ORIGIN/../lib:${{ORIGIN}}/../../c")),
        ("nowhere", format!("{new} -Wl,-rpath,{shown}/none")),
    ] {
        let soname =
            if name == "plain" { String::new() } else { format!("-Wl,-soname,lib{name}.so") };
        gcc(
            &top,
            &format!("-shared -o app/lib/lib{name}.so f.c {always} -La -lleaf {flags} {soname}"),
        );
    }
    let mut programs = Vec::new();
    for middle in ["rpath", "runpath", "plain", "origin", "nowhere"] {
        for (kind, tags) in [("old", old), ("new", new)] {
            for (place, rpath) in [
                ("origin", "$ORIGIN/../lib".to_owned()),
                ("both", format!("{shown}/c:{shown}/app/lib")),
                ("last", format!("{shown}/none:$ORIGIN/../../deep/x/../../app/lib/")),
            ] {
                let name = format!("app/bin/{middle}-{kind}-{place}");
                gcc(
                    &top,
                    &format!(
                        "-o {name} main.c {always} {tags} -Wl,-rpath,{rpath} -Wl,-rpath-link,a -Lapp/lib -l{middle}"
                    ),
                );
                programs.push(top.join(name));
            }
        }
    }
    let flags = format!("{always} {old} -Wl,-rpath,{shown}/$LIB/../app/lib -Wl,-z,nodefaultlib");
    gcc(&top, &format!("-o app/bin/nodeflib main.c {flags} -Wl,-rpath-link,a -Lapp/lib -lrpath"));
    programs.push(top.join("app/bin/nodeflib"));
    // a program that is started through a link keeps to where it really is
    let facts = Facts::default();
    let interpreter = facts.of(&programs[0]).unwrap().interpreter.clone().unwrap();
    let loader = loader(&interpreter);
    let mut found = BTreeSet::new();
    for program in &programs {
        for library_path in ["", &format!("{shown}/env"), &format!("{shown}/gone:{shown}/deep/x/y")]
        {
            let theirs = listed(&interpreter, program, library_path).unwrap();
            let ours = searched(&facts, &loader, program, library_path);
            let why = format!("{} with {library_path:?}", program.display());
            assert_eq!(outcome(&ours), outcome(&theirs), "{why}");
            found.extend(theirs.into_values());
        }
    }
    let leaf = |directory: &str| Some(real(&top.join(directory).join("libleaf.so")));
    for want in ["b", "c", "env", "app/lib"] {
        assert!(found.contains(&leaf(want)), "no program of the test finds {want}'s: {found:?}");
    }
    assert!(found.contains(&None), "one lacks something");
}

#[test]
fn what_few_programs_do_leads_where_the_loader_goes_too() {
    if tool("gcc").is_none() {
        return;
    }
    let env = TestEnv::new();
    let top = env.root().join("tree");
    let directories =
        ["caps/glibc-hwcaps/x86-64-v2", "kind/x86_64", "bin", "aux", "view", "real", "other"];
    for directory in directories {
        std::fs::create_dir_all(top.join(directory)).unwrap();
    }
    // what the platform is called depends on CPU and glibc
    for name in ["haswell", "xeon_phi"] {
        std::os::unix::fs::symlink("x86_64", top.join("kind").join(name)).unwrap();
    }
    std::fs::write(top.join("f.c"), "int f(void) { return 1; }\n").unwrap();
    std::fs::write(top.join("main.c"), "int main(void) { return 0; }\n").unwrap();
    let shown = top.display();
    let library = |place: &str, name: &str, flags: &str| {
        let soname = format!("-Wl,-soname,lib{name}.so");
        gcc(&top, &format!("-shared -o {place}/lib{name}.so f.c {soname} {flags}"));
    };
    library("caps/glibc-hwcaps/x86-64-v2", "caps", "");
    library("kind/x86_64", "kind", "");
    library("aux", "helper", "");
    library("aux", "filtee", "");
    let auxiliary = "-Wl,--enable-new-dtags -Wl,-rpath,$ORIGIN/../aux";
    library("bin", "auxiliary", &format!("{auxiliary} -Wl,-f,libhelper.so"));
    library("bin", "filter", &format!("{auxiliary} -Wl,-F,libfiltee.so"));
    // a view: a library by a link, and what it needs beside the link
    library("other", "beside", "");
    let origin = "-Wl,--no-as-needed -Wl,--enable-new-dtags -Wl,-rpath,$ORIGIN";
    library("real", "linked", &format!("-Lother -lbeside {origin}"));
    std::os::unix::fs::symlink("../real/liblinked.so", top.join("view/liblinked.so")).unwrap();
    std::fs::rename(top.join("other/libbeside.so"), top.join("view/libbeside.so")).unwrap();
    library("other", "environment", "");
    let mut programs = Vec::new();
    for (name, places, flags) in [
        ("caps", "caps/glibc-hwcaps/x86-64-v2", "$ORIGIN/../caps"),
        ("kind", "kind/x86_64", "$ORIGIN/../kind/$PLATFORM"),
        ("auxiliary", "bin", "$ORIGIN"),
        ("filter", "bin", "$ORIGIN"),
        ("linked", "view", "$ORIGIN/../view"),
        ("environment", "other", "$ORIGIN/gone"),
    ] {
        let flags = format!("-Wl,--enable-new-dtags -Wl,-rpath,{flags} -Wl,-rpath-link,view:aux");
        let flags = format!("{flags} -Wl,--no-as-needed -Wl,--allow-shlib-undefined");
        gcc(&top, &format!("-o bin/{name} main.c {flags} -L{places} -l{name}"));
        programs.push(top.join("bin").join(name));
    }
    let facts = Facts::default();
    let interpreter = facts.of(&programs[0]).unwrap().interpreter.clone().unwrap();
    let loader = loader(&interpreter);
    let environments =
        [String::new(), format!("{shown}/none;$ORIGIN/../other"), format!("{shown}/other;:rel")];
    let mut missing = BTreeSet::new();
    for program in &programs {
        for library_path in &environments {
            let theirs = listed(&interpreter, program, library_path).unwrap();
            let ours = searched(&facts, &loader, program, library_path);
            let why = format!("{} with {library_path:?}", program.display());
            assert_eq!(outcome(&ours), outcome(&theirs), "{why}");
            missing.extend(outcome(&theirs).1.into_iter().map(str::to_owned));
        }
    }
    assert_eq!(
        missing.into_iter().collect::<Vec<_>>(),
        ["libenvironment.so"],
        "only without a path"
    );
}

#[test]
fn versions_of_symbols_are_those_that_readelf_shows() {
    let (Some(prefix), Some(readelf)) = (lookalike(), tool("readelf")) else { return };
    let facts = Facts::default();
    let top = prefix.join("compat");
    let files: Vec<_> = candidates(&top).into_iter().filter(|f| facts.of(f).is_some()).collect();
    let shown = Command::new(readelf).arg("-VW").args(&files).output().unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    // of each file, `library version` and `version`
    let mut theirs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let (mut file, mut library) = ("", "");
    for line in text.lines() {
        let after = |mark: &str| -> Option<&str> {
            line.split_once(mark).and_then(|(_, rest)| rest.split_whitespace().next())
        };
        if let Some(name) = line.strip_prefix("File: ") {
            file = name;
        } else if let Some(name) = after("  File: ") {
            library = name;
        } else if line.contains("  Name: ") && !line.contains("Index:") {
            if !line.contains("WEAK") {
                let name = after("  Name: ").unwrap();
                theirs.entry(file).or_default().insert(format!("{library} {name}"));
            }
        } else if line.contains("Index:") {
            theirs.entry(file).or_default().insert(after("  Name: ").unwrap().to_owned());
        }
    }
    assert!(theirs.len() > 100, "{}", theirs.len());
    for path in &files {
        let facts = facts.of(path).unwrap();
        let mut ours: BTreeSet<String> =
            facts.defined_versions.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        for need in &facts.needed_versions {
            let library = need.library.to_string_lossy();
            ours.extend(need.versions.iter().map(|v| format!("{library} {}", v.to_string_lossy())));
        }
        let want = theirs.remove(path.to_str().unwrap()).unwrap_or_default();
        assert_eq!(ours, want, "{}", path.display());
    }
}

/// What pax-utils' `lddtree` finds for each file; it reads files as we do, and starts nothing.
fn by_lddtree(lddtree: &Path, files: &[PathBuf]) -> BTreeMap<PathBuf, Libraries> {
    // its own first line asks for whatever Python comes first in PATH
    let shown =
        Command::new("/usr/bin/python3").arg(lddtree).args(files).env_clear().output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let text = String::from_utf8(shown.stdout).unwrap();
    let mut found: BTreeMap<PathBuf, Libraries> = BTreeMap::new();
    let mut of_file = PathBuf::new();
    for line in text.lines() {
        if let Some((path, _)) = line.split_once(" (interpreter => ") {
            of_file = path.into();
            found.entry(of_file.clone()).or_default();
        } else if let Some((name, path)) = line.trim().split_once(" => ") {
            let path = (path != "None").then(|| real(Path::new(path)));
            found.get_mut(&of_file).unwrap().insert(name.to_owned(), path);
        }
    }
    found
}

#[test]
fn lddtree_finds_the_same_libraries_for_every_program_of_the_look_alike() {
    let (Some(prefix), Some(lddtree)) = (lookalike(), tool("lddtree")) else { return };
    let interpreter = prefix.join("compat/linux/x86_64/lib64/ld-linux-x86-64.so.2");
    let (facts, loader) = (Facts::default(), loader(&interpreter));
    let is_program = |file: &PathBuf| {
        let facts = facts.of(file);
        // glibc's libraries name one only to show their version
        let starts = |facts: Arc<ElfFacts>| facts.interpreter.is_some() && facts.soname.is_none();
        facts.is_some_and(|facts| facts.dynamic && starts(facts))
    };
    let files: Vec<_> = candidates(&prefix).into_iter().filter(is_program).collect();
    let mut theirs = by_lddtree(&lddtree, &files);
    let mut differences = Vec::new();
    for file in &files {
        let ours = searched(&facts, &loader, file, "");
        let theirs = theirs.remove(file).unwrap_or_default();
        // it takes what loads the others for a library where one needs it by name
        let without_loader = |mut libraries: Libraries| {
            libraries.retain(|_, path| path.as_ref() != Some(&real(&interpreter)));
            libraries
        };
        let (ours, theirs) = (without_loader(ours), without_loader(theirs));
        if outcome(&ours) != outcome(&theirs) {
            differences.push(format!("{}\n lddtree {theirs:?}\n ours {ours:?}", file.display()));
        }
    }
    assert!(files.len() > 100, "{}", files.len());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
