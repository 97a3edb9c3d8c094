use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::base::{Interrupt, Silent};
use crate::closure::{Base, Closure, ModuleFiles, resolve};
use crate::rootfs::{Content, Node, Resolved};
use crate::stack::{LmodInstallation, Stack};

/// Packs a module whose only file is a script for this interpreter, on top of this machine.
fn pack(script: &str, lmod: Option<&LmodInstallation>) -> (tempfile::TempDir, Closure) {
    let root = tempfile::tempdir().unwrap();
    let bin = root.path().join("apps/foo/1.0/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("foo"), script).unwrap();
    fs::set_permissions(bin.join("foo"), fs::Permissions::from_mode(0o755)).unwrap();
    let modulefile = root.path().join("modules/foo/1.0.lua");
    fs::create_dir_all(modulefile.parent().unwrap()).unwrap();
    fs::write(&modulefile, "").unwrap();
    let module = ModuleFiles {
        full_name: "foo/1.0".to_owned(),
        modulefile,
        easybuild_roots: Vec::new(),
        named: vec![bin],
    };
    let request = Request {
        modules: &[module],
        stack: &Stack::Site,
        base: Base::Host,
        beneath: None,
        include: &[],
        exclude: &[],
        private: &[],
        path: &[],
        library_path: &[],
        stripped: &[],
        lmod,
        slim: None,
    };
    let closure = resolve(&request, &Silent, &Interrupt::default()).unwrap();
    (root, closure)
}

fn has(closure: &Closure, path: &Path) -> bool {
    let path = path.to_str().unwrap();
    matches!(closure.rootfs.resolve(path.as_bytes()), Resolved::Found(_))
}

#[test]
fn the_base_of_this_machine_holds_shell_tools_and_all_their_libraries() {
    let (root, closure) = pack("#!/bin/sh\n", None);
    let holds = |path: &str| has(&closure, Path::new(path));
    for path in ["/bin/sh", "/bin/bash", "/usr/bin/env", "/bin/ls", "/usr/bin/tar"] {
        assert_eq!(holds(path), Path::new(path).exists(), "{path}");
    }
    assert!(holds(root.path().join("apps/foo/1.0/bin/foo").to_str().unwrap()));
    for path in ["/etc/passwd", "/etc/shadow", "/etc/group", "/root", "/home"] {
        assert!(!holds(path), "{path}");
    }
    // what the real loader finds for the shell is there, under the same names
    let Ok(ldd) = std::process::Command::new("ldd").arg("/bin/bash").output() else {
        eprintln!("skipped: no ldd");
        return;
    };
    let listed = String::from_utf8(ldd.stdout).unwrap();
    let files: Vec<_> = listed.split_whitespace().filter(|word| word.starts_with('/')).collect();
    assert!(files.len() > 1, "{listed}");
    for file in files {
        assert!(holds(file), "{file}");
    }
}

#[test]
fn the_cache_of_the_loader_speaks_of_packed_libraries_only() {
    let (_root, closure) = pack("#!/bin/sh\n", None);
    let Some(path) = loader().and_then(|loader| loader.cache_file().map(Path::to_owned)) else {
        eprintln!("skipped: this machine's loader has no cache");
        return;
    };
    let at = crate::rootfs::image_path(&path).unwrap();
    let Some(Node::File(id)) = closure.rootfs.get(&at) else { panic!("no cache") };
    let Content::Bytes(bytes) = &closure.rootfs.file(*id).content else { panic!("of our own") };
    let cache = crate::elf::LoaderCache::parse(bytes);
    let libc = cache.files(std::ffi::OsStr::new("libc.so.6"));
    assert!(!libc.is_empty());
    assert!(libc.iter().all(|file| has(&closure, file)));
}

#[test]
fn the_interpreter_of_a_script_comes_with_its_library() {
    let perl = Path::new("/usr/bin/perl");
    if !perl.is_file() {
        eprintln!("skipped: no perl");
        return;
    }
    let (root, closure) = pack("#!/usr/bin/env perl\n", None);
    assert!(has(&closure, perl));
    let reason = format!("base:perl for {}/apps/foo/1.0/bin/foo", root.path().display());
    let count =
        |reason: &str| closure.rootfs.files().iter().filter(|file| *file.reason == *reason).count();
    assert_eq!(count(&reason), 1);
    let real = fs::canonicalize(perl).unwrap();
    assert!(count(&format!("interpreter:{}", real.display())) > 10);
}

#[test]
fn lmod_comes_with_its_tree_and_its_configuration_but_no_module_tree() {
    let lmod = tempfile::tempdir().unwrap();
    let at = |path: &str| lmod.path().join(path);
    for path in ["lmod/libexec/lmod", "lmod/init/bash", "etc/lmodrc.lua", "etc/modules/a/1.lua"] {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        fs::write(at(path), "").unwrap();
    }
    fs::create_dir_all(at("lua")).unwrap();
    for name in ["lfs.so", "unrelated.so"] {
        fs::write(at("lua").join(name), "").unwrap();
    }
    let text = format!("local sys_lua_cpath = \"{}/?.so;\"", at("lua").display());
    fs::write(at("lmod/libexec/lmod"), text).unwrap();
    let installation = LmodInstallation {
        command: at("lmod/libexec/lmod"),
        package: at("lmod"),
        version: None,
        configuration: vec![at("etc")],
    };
    let (_root, closure) = pack("#!/bin/sh\n", Some(&installation));
    for (path, packed) in [
        ("lmod/init/bash", true),
        ("etc/lmodrc.lua", true),
        ("etc/modules/a/1.lua", false),
        ("lua/lfs.so", true),
        ("lua/unrelated.so", false),
    ] {
        assert_eq!(has(&closure, &at(path)), packed, "{path}");
    }
}
