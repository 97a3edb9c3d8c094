//! What packed files ask for, and is taken or not.

use super::*;

/// Writes an executable file.
fn program(path: &Path, bytes: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_interpreter_of_the_stack_comes_with_its_installation() {
    let mut repository = Repository::new();
    let prefix = repository.module("A/1");
    let python = repository.module("Python/3");
    repository.modules.pop();
    program(&repository.at(&format!("{python}/bin/python3.11")), b"#!/bin/sh\n", 0o755);
    repository.link(&format!("{python}/bin/python3"), "python3.11");
    let line = format!("#!{}/bin/python3\n", repository.at(&python).display());
    program(&repository.at(&format!("{prefix}/bin/script")), line.as_bytes(), 0o755);
    let closure = repository.closure();
    let reason = "f 644 script:$R/$SOFTWARE/software/A/1/bin/script";
    assert_eq!(repository.node(&closure, &format!("{python}/share/text")), reason);
    assert_eq!(repository.node(&closure, &format!("{python}/bin/python3")), "l python3.11");
    assert_eq!(closure.warnings, [""; 0]);
}

/// The closure of one module of a plain site on top of this machine; `home` is the exporter's.
fn of_site(top: &Path, include: &[PathBuf]) -> Closure {
    let bin = top.join("apps/foo/1.0/bin");
    let modulefile = top.join("modules/foo/1.0.lua");
    fs::create_dir_all(modulefile.parent().unwrap()).unwrap();
    fs::write(&modulefile, "").unwrap();
    let module = ModuleFiles {
        full_name: "foo/1.0".to_owned(),
        modulefile,
        easybuild_roots: Vec::new(),
        named: vec![bin.clone()],
    };
    let request = Request {
        modules: &[module],
        stack: &Stack::Site,
        base: Base::Host,
        beneath: None,
        include,
        exclude: &[],
        private: &[top.join("home")],
        path: &[bin],
        library_path: &[],
        stripped: &[],
        lmod: None,
        slim: None,
    };
    resolve(&request, &Silent, &Interrupt::default()).unwrap()
}

fn packs(closure: &Closure, path: &Path) -> bool {
    closure.rootfs.get(&image_path(path).unwrap()).is_some()
}

#[test]
fn nothing_of_a_person_and_nothing_closed_is_taken_for_a_script_a_link_or_a_program() {
    let directory = tempfile::tempdir().unwrap();
    let top = fs::canonicalize(directory.path()).unwrap();
    let at = |path: &str| top.join(path);
    program(&at("home/.ssh/id_rsa"), b"PRIVATE KEY", 0o600);
    program(&at("home/venv/bin/python"), b"#!/bin/sh\n", 0o755);
    program(&at("home/lib/ld.so"), &Sample::default().bytes(), 0o755);
    program(&at("data/text"), b"no program", 0o755);
    program(&at("data/closed"), b"#!/bin/sh\n", 0o700);
    symlink(at("home/venv/bin/python"), at("data/innocent")).unwrap();
    symlink("/bin/sh", at("home/sh")).unwrap();
    symlink(at("home/sh"), at("data/roundabout")).unwrap();
    let bin = |name: &str| at("apps/foo/1.0/bin").join(name);
    let asked = [
        "home/.ssh/id_rsa",
        "home/venv/bin/python",
        "data/text",
        "data/closed",
        "data/innocent",
        "data/roundabout",
    ];
    for (count, path) in asked.iter().enumerate() {
        program(
            &bin(&format!("s{count}")),
            format!("#!{}\n", at(path).display()).as_bytes(),
            0o755,
        );
    }
    symlink(at("home/venv/bin/python"), bin("link")).unwrap();
    let loader = at("home/lib/ld.so");
    let elf = Sample { interpreter: Some(loader.to_str().unwrap()), ..Sample::default() };
    program(&bin("elf"), &elf.bytes(), 0o755);
    let closure = of_site(&top, &[]);
    for path in asked.iter().chain(&["home/lib/ld.so", "home"]) {
        assert!(!packs(&closure, &at(path)), "{path}");
        let told = at(path).display().to_string();
        // nobody is told how to pack what its owner keeps to himself
        let is_closed = ["home/.ssh/id_rsa", "data/closed"].contains(path);
        let mut about = closure.warnings.iter().filter(|text| text.contains(&told));
        let warned = about.any(|text| text.contains("--include") != is_closed);
        assert!(warned || *path == "home", "{path}: {:#?}", closure.warnings);
    }
    let refused = closure.omissions.iter().filter(|one| one.reason.starts_with(NOT_TAKEN));
    assert_eq!(refused.count(), 7, "{:#?}", closure.omissions);
    let closure = of_site(&top, &[at("home/venv")]);
    assert!(packs(&closure, &at("home/venv/bin/python")) && !packs(&closure, &at("home/.ssh")));
}

#[test]
fn programs_that_links_lead_to_are_packed_and_data_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let top = fs::canonicalize(directory.path()).unwrap();
    let at = |path: &str| top.join(path);
    program(&at("data/x/bin/real"), b"#!/bin/sh\n", 0o755);
    program(&at("data/x/table"), b"numbers", 0o644);
    fs::create_dir_all(at("apps/foo/1.0/bin")).unwrap();
    symlink(at("data/x/bin/real"), at("apps/foo/1.0/bin/foo")).unwrap();
    symlink(at("data/x/table"), at("apps/foo/1.0/table")).unwrap();
    let closure = of_site(&top, &[]);
    let Some(Node::File(id)) = closure.rootfs.get(&image_path(&at("data/x/bin/real")).unwrap())
    else {
        panic!("the program is packed")
    };
    let reason = format!("link:{}", at("apps/foo/1.0/bin/foo").display());
    assert_eq!(*closure.rootfs.file(*id).reason, *reason);
    assert!(!packs(&closure, &at("data/x/table")));
    let [warning] = &closure.warnings[..] else { panic!("{:?}", closure.warnings) };
    assert!(warning.contains("table") && warning.contains("--include"), "{warning}");
}

#[test]
fn a_program_that_only_a_wrapper_names_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let top = fs::canonicalize(directory.path()).unwrap();
    let at = |path: &str| top.join(path);
    let real = at("apps/hid/2/bin/real");
    program(&real, b"#!/bin/sh\n", 0o755);
    let text = format!("#!/bin/sh\nexec {} \"$@\"\n", real.display());
    program(&at("apps/foo/1.0/bin/foo"), text.as_bytes(), 0o755);
    let closure = of_site(&top, &[]);
    assert!(!packs(&closure, &real));
    let [warning] = &closure.warnings[..] else { panic!("{:?}", closure.warnings) };
    for part in [&real, &at("apps/foo/1.0/bin/foo")] {
        assert!(warning.contains(part.to_str().unwrap()), "{warning}");
    }
    assert!(closure.omissions.iter().any(|one| one.path == real && one.reason == ONLY_NAMED));
    assert_eq!(of_site(&top, &[real]).warnings, [""; 0]);
}

#[test]
fn links_of_a_toolkit_into_the_sites_place_stay_and_nothing_behind_them_is_packed() {
    let mut repository = Repository::new();
    let prefix = repository.module("CUDA/12.1.1");
    let inside = "x86_64/software/CUDA/12.1.1/bin/nvcc";
    let behind = repository.root.path().join("site").join(inside);
    fs::create_dir_all(behind.parent().unwrap()).unwrap();
    fs::write(&behind, b"may not be handed on").unwrap();
    repository.link(&format!("{prefix}/bin/nvcc"), &format!("$R/host_injections/{inside}"));
    repository.file(&format!("{prefix}/lib64/libcudart.so.12"), b"may be");
    repository.file(&format!("{prefix}/lib64/libsecret.so"), b"may not be");
    let keep = vec!["libcudart*".to_owned()];
    repository.stripped =
        vec![Stripped { module: "CUDA/12.1.1".to_owned(), keep, listed_in: None }];
    let closure = repository.closure();
    let node = |path: &str| repository.node(&closure, path);
    assert_eq!(node(&format!("{prefix}/bin/nvcc")), format!("l $R/host_injections/{inside}"));
    assert!(node(&format!("{prefix}/lib64/libcudart.so.12")).starts_with("f "));
    assert_eq!(node(&format!("{prefix}/lib64/libsecret.so")), "-");
    for at in [behind, Path::new(INJECTIONS).join(inside)] {
        assert!(closure.rootfs.get(&image_path(&at).unwrap()).is_none(), "{}", at.display());
    }
    let bound = closure.bind_points.iter().any(|point| point.purpose.contains("CUDA"));
    assert!(bound, "{:?}", closure.bind_points);
    let left = closure.omissions.iter().filter(|one| one.reason == NOT_REDISTRIBUTABLE);
    assert_eq!(left.count(), 2, "the library and the text: {:?}", closure.omissions);
}
