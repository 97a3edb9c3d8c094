use super::*;

/// A module of this name whose modulefile names these paths.
fn module(full_name: &str, named: &[&Path]) -> ModuleFiles {
    ModuleFiles {
        full_name: full_name.to_owned(),
        modulefile: Path::new("/modulefiles").join(full_name),
        easybuild_roots: Vec::new(),
        named: named.iter().map(|&path| path.to_owned()).collect(),
    }
}

/// Runs `test` with a directory below which `paths` are directories.
fn with_directories(paths: &[&str], test: impl Fn(&Path)) {
    let root = tempfile::tempdir().unwrap();
    for path in paths {
        std::fs::create_dir_all(root.path().join(path)).unwrap();
    }
    test(root.path());
}

#[test]
fn a_prefix_is_found_from_name_version_and_subdirectories() {
    for (full_name, named, want) in [
        ("foo/1.0", "apps/foo/1.0/bin", Some("apps/foo/1.0")),
        ("foo/1.0", "apps/foo/1.0", Some("apps/foo/1.0")),
        ("Foo/1.0", "apps/foo/1.0-gpu/share/man", Some("apps/foo/1.0-gpu")),
        ("foo/1.0", "spack/foo-1.0-abcdef/lib", Some("spack/foo-1.0-abcdef")),
        ("foo/1.0", "apps/foo1.0/lib64/pkgconfig", Some("apps/foo1.0")),
        ("foo/1.0", "apps/foo/x86/1.0/bin", Some("apps/foo/x86/1.0")),
        ("foo/1.0", "2023/1.0/foo/bin", Some("2023/1.0/foo")),
        ("Core/foo/1.0", "apps/foo/1.0/bin", Some("apps/foo/1.0")),
        ("foo/1.0", "apps/foo/1.01/bin", Some("apps/foo/1.01")),
        ("foo", "apps/foo/bin", Some("apps/foo")),
        ("foo/1.0", "apps/bar/2/bin", Some("apps/bar/2")),
        ("foo/1.0", "apps/bar/2/share/man", Some("apps/bar/2")),
        ("foo/1.0", "apps/foo/1.0/lib/python3/site-packages", Some("apps/foo/1.0")),
        ("foo/1.0", "apps/data", None),
    ] {
        with_directories(&[named], |root| {
            let module = module(full_name, &[&root.join(named)]);
            let modules = [module.clone()];
            let found = Surroundings::new(&[], None, &modules).prefixes(&module);
            let want: Vec<_> = want.iter().map(|want| root.join(want)).collect();
            assert_eq!(found.paths, want, "{full_name} {named}");
            assert_eq!(found.warnings.len(), usize::from(want.is_empty()), "{full_name} {named}");
        });
    }
}

#[test]
fn directories_that_others_share_are_never_a_prefix() {
    let modules = [
        ModuleFiles { modulefile: "/apps/tree/modules/a/1".into(), ..module("a/1", &[]) },
        ModuleFiles { modulefile: "/apps/tree/modules/b/1".into(), ..module("b/1", &[]) },
    ];
    let private = [PathBuf::from("/users/jane")];
    let surroundings = Surroundings::new(&private, None, &modules);
    for (path, shared) in [
        ("/", true),
        ("/usr", true),
        ("/usr/local", true),
        ("/usr/local/bin", true),
        ("/usr/lib/x86_64-linux-gnu", true),
        ("/usr/local/foo", false),
        ("/opt", true),
        ("/opt/apps", true),
        ("/opt/foo", false),
        ("/home", true),
        ("/home/jane", true),
        ("/users", true),
        ("/users/jane", true),
        ("/users/jane/foo", false),
        ("/etc/foo", true),
        ("/tmp/foo", true),
        ("/proc/self/exe/x", true),
        ("/cvmfs/software.example", true),
        ("/apps/tree", true),
        ("/apps/tree/modules", true),
        ("/apps/tree/a/1", false),
    ] {
        assert_eq!(surroundings.is_shared(Path::new(path)), shared, "{path}");
    }
}

#[test]
fn the_prefix_that_easybuild_names_is_taken_and_missed_when_gone() {
    with_directories(&["a/1", "a/1/lib"], |root| {
        let gone = root.join("gone/1");
        let easybuild_roots = vec![root.join("a/1/"), gone.clone(), "/usr".into()];
        let named = [&*root.join("a/1/lib"), &*gone.join("bin"), &*root.join("none")];
        let module = ModuleFiles { easybuild_roots, ..module("a/1", &named) };
        let modules = [module.clone()];
        let found = Surroundings::new(&[], None, &modules).prefixes(&module);
        assert_eq!(found.paths, [root.join("a/1")]);
        let shared = "module `a/1`: its installation prefix `/usr` is a directory that others \
                      share; it is not packed whole";
        let missing =
            format!("module `a/1`: its installation prefix `{}` does not exist", gone.display());
        assert_eq!(found.warnings, [shared, &missing]);
    });
}

#[test]
fn a_module_none_of_whose_paths_exists_is_told_so_once() {
    with_directories(&["apps"], |root| {
        let named = [&*root.join("apps/foo/1.0/bin"), &*root.join("apps/foo/1.0/lib")];
        let module = module("foo/1.0", &named);
        let modules = [module.clone()];
        let found = Surroundings::new(&[], None, &modules).prefixes(&module);
        let prefix = root.join("apps/foo/1.0");
        let want = format!(
            "module `foo/1.0`: its installation prefix `{}` does not exist",
            prefix.display()
        );
        assert_eq!(found, Prefixes { paths: Vec::new(), warnings: vec![want] });
    });
}
