use std::collections::BTreeMap;

use super::*;
use crate::elf::Kind;

/// A machine: paths of ELF files and what they need.
#[derive(Default)]
struct Machine(BTreeMap<PathBuf, Arc<ElfFacts>>);

/// A 64-bit file that needs these names.
fn facts(needed: &[&str]) -> ElfFacts {
    let architecture = Architecture { is_64_bit: true, is_little_endian: true, machine: 62 };
    ElfFacts {
        kind: Kind::Shared,
        dynamic: true,
        needed: needed.iter().map(OsString::from).collect(),
        ..ElfFacts::empty(architecture)
    }
}

impl Machine {
    fn with(mut self, path: &str, facts: ElfFacts) -> Self {
        self.0.insert(path.into(), Arc::new(facts));
        self
    }

    fn and(self, paths: &[&str]) -> Self {
        paths.iter().fold(self, |machine, path| machine.with(path, facts(&[])))
    }

    /// What `program` loads and lacks, with `LD_LIBRARY_PATH=/env`.
    fn load(&self, loader: &Loader, program: &str) -> (Vec<String>, Vec<String>) {
        let probe = |path: &Path| self.0.get(path).cloned();
        let has_directory =
            |at: &Path| self.0.keys().any(|path| path.starts_with(at) || at.ends_with(".."));
        let library_path = &["/env".into()];
        let search = Search { loader, library_path, probe: &probe, has_directory: &has_directory };
        let program = PathBuf::from(program);
        let facts = self.0[&program].clone();
        let process = search.load(Object { path: program, facts });
        let libraries = process.objects.iter().skip(1).map(|object| object.path.clone());
        let shown = libraries.chain(process.variants).map(|path| path.display().to_string());
        let missing = process.missing.into_iter().map(|m| m.name.into_string().unwrap());
        (shown.collect(), missing.collect())
    }
}

/// A loader with the directories `/lib/x86_64-linux-gnu` and `/usr/lib/x86_64-linux-gnu` and
/// without a cache.
fn loader() -> Loader {
    let bytes = b"\x7fELF\0/tmp\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0other\0/x/\0";
    Loader::new(Path::new("/lib/ld.so"), &|_| Some(bytes.to_vec()))
}

#[test]
fn what_a_loader_has_built_in_is_read_from_it() {
    let bytes = b"\0/p/lib64/\0/p/usr/lib64/\0/p/etc/ld.so.cache\0glibc-ld.so.cache1.1\0";
    let loader = Loader::new(Path::new("/p/lib64/ld.so"), &|path| {
        (path == Path::new("/p/lib64/ld.so")).then(|| bytes.to_vec())
    });
    assert_eq!(loader.directories(), [Path::new("/p/lib64"), Path::new("/p/usr/lib64")]);
    assert_eq!(loader.cache_file(), Some(Path::new("/p/etc/ld.so.cache")));
    assert_eq!(loader.library_directory(), Path::new("lib64"));
    let unreadable = Loader::new(Path::new("/gone"), &|_| None);
    let conventional = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
    assert_eq!(unreadable.directories(), conventional.map(Path::new));
}

#[test]
fn directories_are_searched_in_the_order_of_the_manual() {
    let all = ["/rpath/l.so", "/env/l.so", "/runpath/l.so", "/lib/x86_64-linux-gnu/l.so"];
    let rpath = Some("/rpath".into());
    let runpath = Some("/runpath".into());
    for (name, rpath, runpath, present, want) in [
        ("rpath first", rpath.clone(), None, &all[..], Some("/rpath/l.so")),
        (
            "rpath is nothing beside a runpath",
            rpath.clone(),
            runpath.clone(),
            &all,
            Some("/env/l.so"),
        ),
        ("then the runpath", rpath, runpath, &all[2..], Some("/runpath/l.so")),
        ("then the defaults", None, None, &all[3..], Some("/lib/x86_64-linux-gnu/l.so")),
        ("nowhere", None, None, &[], None),
    ] {
        let program = ElfFacts { rpath, runpath, ..facts(&["l.so"]) };
        let machine = Machine::default().with("/bin/program", program).and(present);
        let (loaded, missing) = machine.load(&loader(), "/bin/program");
        assert_eq!(loaded, want.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(missing.is_empty(), want.is_some(), "{name}");
    }
}

#[test]
fn an_rpath_is_inherited_and_a_runpath_is_not() {
    for (name, program, found) in [
        ("rpath", ElfFacts { rpath: Some("/own".into()), ..facts(&["a.so"]) }, true),
        ("runpath", ElfFacts { runpath: Some("/own".into()), ..facts(&["a.so"]) }, false),
    ] {
        let machine = Machine::default()
            .with("/bin/program", program)
            .with("/own/a.so", facts(&["b.so"]))
            .and(&["/own/b.so"]);
        let (_, missing) = machine.load(&loader(), "/bin/program");
        assert_eq!(missing.is_empty(), found, "{name}");
    }
}

#[test]
fn a_name_loaded_once_is_not_searched_again() {
    let first = ElfFacts { soname: Some("alias.so".into()), ..facts(&["alias.so", "a.so"]) };
    let machine = Machine::default()
        .with("/bin/program", ElfFacts { rpath: Some("/own".into()), ..facts(&["a.so"]) })
        .with("/own/a.so", first);
    assert_eq!(machine.load(&loader(), "/bin/program"), (vec!["/own/a.so".to_owned()], vec![]));
}

#[test]
fn tokens_stand_for_directories_of_the_object_and_the_loader() {
    for (path, library) in [
        ("$ORIGIN/../lib", "/p/bin/../lib/l.so"),
        ("${ORIGIN}", "/p/bin/l.so"),
        ("/q/$LIB", "/q/lib/x86_64-linux-gnu/l.so"),
        ("/q/$PLATFORM/x", "/q/x86_64/x/l.so"),
        ("/q/$LIBRARY", "/q/$LIBRARY/l.so"),
        ("relative::/q", "/q/l.so"),
    ] {
        let program = ElfFacts { runpath: Some(path.into()), ..facts(&["l.so"]) };
        let machine = Machine::default().with("/p/bin/program", program).and(&[library]);
        let (loaded, _) = machine.load(&loader(), "/p/bin/program");
        assert_eq!(loaded, [library], "{path}");
    }
}

#[test]
fn libraries_of_another_architecture_are_passed_over() {
    let mut foreign = facts(&[]);
    foreign.architecture.is_64_bit = false;
    let machine = Machine::default()
        .with("/bin/program", facts(&["l.so"]))
        .with("/env/l.so", foreign)
        .and(&["/usr/lib/x86_64-linux-gnu/l.so"]);
    let (loaded, _) = machine.load(&loader(), "/bin/program");
    assert_eq!(loaded, ["/usr/lib/x86_64-linux-gnu/l.so"]);
}

#[test]
fn builds_for_newer_cpus_come_with_the_library() {
    let machine = Machine::default()
        .with("/bin/program", facts(&["l.so"]))
        .and(&["/lib/x86_64-linux-gnu/l.so", "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/l.so"]);
    let (loaded, _) = machine.load(&loader(), "/bin/program");
    let variant = "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/l.so";
    assert_eq!(loaded, ["/lib/x86_64-linux-gnu/l.so", variant]);
}

#[test]
fn a_library_may_forbid_the_default_directories() {
    let program = ElfFacts { no_default_directories: true, ..facts(&["l.so"]) };
    let machine =
        Machine::default().with("/bin/program", program).and(&["/lib/x86_64-linux-gnu/l.so"]);
    assert_eq!(machine.load(&loader(), "/bin/program").1, ["l.so"]);
}

#[test]
fn a_name_with_a_slash_is_a_path() {
    let machine = Machine::default()
        .with("/bin/program", facts(&["/a/l.so", "b/l.so"]))
        .and(&["/a/l.so", "/b/l.so"]);
    let (loaded, missing) = machine.load(&loader(), "/bin/program");
    assert_eq!((loaded, missing), (vec!["/a/l.so".to_owned()], vec!["b/l.so".to_owned()]));
}

#[test]
fn the_loader_of_musl_is_its_own_c_library_and_looks_in_its_own_order() {
    let interpreter = Path::new("/lib/ld-musl-x86_64.so.1");
    let loader = Loader::new(interpreter, &|path| {
        (path == Path::new("/etc/ld-musl-x86_64.path")).then(|| b"/m/lib\n/n/lib:rel".to_vec())
    });
    assert_eq!(loader.directories(), [Path::new("/m/lib"), Path::new("/n/lib")]);
    let program = ElfFacts { runpath: Some("/own".into()), ..facts(&["libc.so", "a.so"]) };
    let machine = Machine::default()
        .with("/bin/program", program)
        .with("/own/a.so", facts(&["b.so", "libm.so.6", "d.so"]))
        // inherited, although it is a RUNPATH; the environment comes before it
        .and(&["/own/b.so", "/env/d.so", "/own/d.so", "/lib/ld-musl-x86_64.so.1"]);
    let (found, missing) = machine.load(&loader, "/bin/program");
    let want = ["/lib/ld-musl-x86_64.so.1", "/own/a.so", "/own/b.so", "/env/d.so"];
    assert_eq!((found, missing), (want.map(str::to_owned).to_vec(), vec![]));
    let conventional = Loader::new(interpreter, &|_| None);
    let want = ["/lib", "/usr/local/lib", "/usr/lib"];
    assert_eq!(conventional.directories(), want.map(Path::new));
}

#[test]
fn no_search_path_is_so_long_that_it_never_ends() {
    let long: Vec<_> = (0..100_000).map(|at| format!("/d{at}")).collect();
    let needed: Vec<_> = (0..20).map(|at| format!("l{at}.so")).collect();
    let needed: Vec<_> = needed.iter().map(String::as_str).collect();
    let program = ElfFacts { rpath: Some(long.join(":").into()), ..facts(&needed) };
    let machine = Machine::default().with("/bin/program", program).and(&["/d9/l0.so"]);
    let (loaded, missing) = machine.load(&loader(), "/bin/program");
    assert_eq!((loaded, missing.len()), (vec!["/d9/l0.so".to_owned()], 19));
}
