use super::*;
use crate::closure::tests::{LAYER, Repository};
use crate::environment::Variables;

/// A layer of which a module's script, its links and the environment name a part.
fn repository() -> Repository {
    let mut repository = Repository::new();
    let prefix = repository.module("A/1");
    let layer = repository.at(LAYER).to_str().unwrap().to_owned();
    for path in [
        "bin/bash",
        "usr/bin/env",
        "usr/bin/perl5.36",
        "usr/bin/named",
        "usr/bin/unnamed",
        "usr/share/perl5/strict.pm",
        "usr/share/Lmod/libexec/lmod",
        "usr/share/doc/perl/copyright",
        "usr/share/doc/perl/README",
        "usr/lib/one/data",
        "usr/lib/linked/data",
        "usr/lib/libunnamed.so.1",
        "usr/include/stdio.h",
        "etc/hosts.of.this",
        "share-of-none/x",
    ] {
        repository.file(&format!("{LAYER}/{path}"), b"");
    }
    let lmod =
        format!("#!{layer}/usr/bin/lua\nlocal sys_lua_path = \"{layer}/usr/share/lua/5/?.lua\"");
    repository.file(&format!("{LAYER}/usr/share/Lmod/libexec/lmod"), lmod.as_bytes());
    repository.file(&format!("{LAYER}/usr/share/lua/5/any.lua"), b"");
    repository.link(&format!("{LAYER}/usr/bin/perl"), "perl5.36");
    repository.link(&format!("{LAYER}/etc/hosts"), "/etc/hosts");
    repository.link(&format!("{LAYER}/usr/share/Lmod/data"), "../../lib/linked");
    let script = format!("#!{layer}/usr/bin/perl\nexec(\"{layer}/usr/bin/named\");\n");
    repository.file(&format!("{prefix}/bin/script"), script.as_bytes());
    repository.mode(&format!("{prefix}/bin/script"), 0o755);
    repository
}

#[test]
fn of_a_layer_the_core_and_what_something_reaches_is_packed_and_nothing_else() {
    let repository = repository();
    let layer = repository.at(LAYER).to_str().unwrap().to_owned();
    let variables: Variables = [
        ("PATH", format!("{layer}/usr/bin:{layer}/bin")),
        ("DATA_DIR", format!("{layer}/usr/lib/one")),
        ("INCLUDES", format!("{layer}/usr/include")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let closure = repository.slim(&variables);
    let script = "script:$R/$SOFTWARE/software/A/1/bin/script";
    for (path, want) in [
        ("bin/bash", "f 444 core:bash"),
        ("usr/bin/env", "f 444 core:env"),
        ("usr/bin/perl", "l perl5.36"),
        ("usr/bin/perl5.36", &format!("f 444 {script}")),
        ("usr/share/perl5/strict.pm", "f 444 interpreter:$R/$LAYER/usr/bin/perl5.36"),
        ("usr/bin/named", &format!("f 444 {script}")),
        ("usr/bin/unnamed", "-"),
        ("usr/share/Lmod/libexec/lmod", "f 444 core:lmod"),
        ("usr/share/lua/5/any.lua", "f 444 core:lmod"),
        ("usr/share/doc/perl/copyright", "f 444 core:licences"),
        ("usr/share/doc/perl/README", "-"),
        ("usr/lib/one/data", "f 444 environment:DATA_DIR"),
        ("usr/lib/linked/data", "f 444 link:$R/$LAYER/usr/share/Lmod/data"),
        ("usr/lib/libunnamed.so.1", "-"),
        ("usr/include", "d 755"),
        ("usr/include/stdio.h", "-"),
        ("etc/hosts", "l /etc/hosts"),
        ("share-of-none", "-"),
    ] {
        let got = repository.node(&closure, &format!("{LAYER}/{path}"));
        assert_eq!(got.replace("f 644", "f 444"), want, "{path}");
    }
    // a link of the layer to the machine is not a way out
    assert!(
        closure.rootfs.get(&crate::rootfs::image_path(Path::new("/etc/hosts")).unwrap()).is_none()
    );
}

#[test]
fn what_is_left_out_is_told_by_directory_and_counted() {
    let repository = repository();
    let closure = repository.slim(&Variables::new());
    let left: Vec<_> = repository.omissions(&closure);
    let left: Vec<_> = left.iter().filter(|text| text.contains(NOT_REACHED)).collect();
    assert_eq!(
        left,
        [
            "$R/$LAYER/etc not reached (--slim): 1 file or link, 0 B",
            "$R/$LAYER/share-of-none not reached (--slim): 1 file or link, 0 B",
            "$R/$LAYER/usr/bin not reached (--slim): 1 file or link, 0 B",
            "$R/$LAYER/usr/include not reached (--slim): 1 file or link, 0 B",
            "$R/$LAYER/usr/lib not reached (--slim): 2 files and links, 0 B",
            "$R/$LAYER/usr/share not reached (--slim): 1 file or link, 0 B",
        ]
    );
    let slim = closure.slim.unwrap();
    assert_eq!((slim.left_out, slim.openers.len()), (7, 0));
    assert!(slim.packed > 10, "{slim:?}");
}

#[test]
fn a_directory_of_many_packages_is_not_one_thing() {
    let layer = Path::new("/l");
    for (path, shared) in [
        ("/l", true),
        ("/l/usr", true),
        ("/l/usr/lib64", true),
        ("/l/lib64/gconv", true),
        ("/l/usr/share/locale", true),
        ("/elsewhere/x", true),
        ("/l/usr/lib64/sasl2", false),
        ("/l/etc/ssl", false),
    ] {
        assert_eq!(is_shared(layer, Path::new(path)), shared, "{path}");
    }
}

/// A layer with programs, and a module whose scripts start some by their names.
fn programs() -> (Repository, Variables) {
    let mut repository = Repository::new();
    let prefix = repository.module("A/1");
    for name in [
        "bash",
        "curl",
        "patch",
        "make",
        "zstd",
        "less",
        "size",
        "perl5.36",
        "perl-user",
        "objdump",
        "of-module",
        "of-code",
        "unnamed",
    ] {
        let text = if name == "perl-user" { "#!/bin/sh\nexec perl -e 1\n" } else { "" };
        repository.file(&format!("{LAYER}/usr/bin/{name}"), text.as_bytes());
        repository.mode(&format!("{LAYER}/usr/bin/{name}"), 0o755);
    }
    repository.link(&format!("{LAYER}/usr/bin/perl"), "perl5.36");
    let library = "#!/usr/bin/perl\nsystem('make', 'x');\n";
    repository.file(&format!("{LAYER}/usr/share/perl5/Pager.pm"), library.as_bytes());
    for (name, text) in [
        ("bin/script", "#!/bin/sh\n# make\ncurl x | patch -p1; perl-user; of-module\necho make\n"),
        ("bin/of-module", ""),
        ("lib/code.py", "import subprocess\nsubprocess.run(['objdump', '-p'])\nx = 'of-code'\n"),
    ] {
        repository.file(&format!("{prefix}/{name}"), text.as_bytes());
        repository.mode(&format!("{prefix}/{name}"), 0o755);
    }
    let at = |path: &str| repository.at(path).to_str().unwrap().to_owned();
    let path = format!("{}:{}", at(&format!("{prefix}/bin")), at(&format!("{LAYER}/usr/bin")));
    let variables = [("PATH".to_owned(), path)].into();
    (repository, variables)
}

#[test]
fn programs_that_scripts_start_by_name_are_packed_and_others_are_told_of() {
    let (repository, variables) = programs();
    let closure = repository.slim(&variables);
    let module = "$R/$SOFTWARE/software/A/1";
    let script = format!("f 755 script:{module}/bin/script");
    for (name, want) in [
        ("curl", &*script),
        ("patch", &script),
        ("make", "-"),
        ("perl-user", &script),
        ("perl5.36", "f 755 script:$R/$LAYER/usr/bin/perl-user"),
        ("objdump", &format!("f 755 script:{module}/lib/code.py")),
        ("of-module", "-"),
        ("of-code", "-"),
        ("unnamed", "-"),
    ] {
        assert_eq!(repository.node(&closure, &format!("{LAYER}/usr/bin/{name}")), want, "{name}");
    }
    let library = repository.node(&closure, &format!("{LAYER}/usr/share/perl5/Pager.pm"));
    assert_eq!(library, "f 644 interpreter:$R/$LAYER/usr/bin/perl5.36");
    let slim = closure.slim.unwrap();
    let callers: Vec<_> = slim
        .callers
        .iter()
        .map(|caller| (caller.path.file_name().unwrap().to_str().unwrap(), &*caller.not_packed))
        .collect();
    let want = [("Pager.pm", &["make".to_owned()][..]), ("code.py", &["of-code".to_owned()])];
    assert_eq!(callers, want);
    let left: Vec<_> = slim.programs_left_out.iter().collect();
    let [(directory, names)] = &left[..] else { panic!("{left:?}") };
    assert!(directory.ends_with("/usr/bin"), "{directory}");
    assert_eq!(*names, &["make", "of-code", "of-module", "size", "unnamed", "zstd"]);
}

#[test]
fn links_of_the_layer_into_the_sites_own_files_stay_and_are_bind_points() {
    let repository = Repository::new();
    let library = format!("{LAYER}/lib64/libcuda.so.1");
    repository.link(&library, "$R/host_injections/1/lib/libcuda.so.1");
    repository.link(&format!("{LAYER}/lib64/libcuda.so"), "libcuda.so.1");
    repository.link(&format!("{LAYER}/lib64/libother.so"), "libother.so.1");
    repository.file(&format!("{LAYER}/lib64/libother.so.1"), b"");
    let (full, slim) = (repository.closure(), repository.slim(&Variables::new()));
    assert_eq!(repository.node(&slim, &library), "l $R/host_injections/1/lib/libcuda.so.1");
    assert_eq!(repository.node(&slim, &format!("{LAYER}/lib64/libcuda.so")), "l libcuda.so.1");
    assert_eq!(repository.node(&slim, &format!("{LAYER}/lib64/libother.so")), "-");
    assert_eq!(slim.bind_points, full.bind_points);
    assert!(slim.bind_points.iter().any(|point| point.path == repository.at(&library)));
}

#[test]
fn what_no_image_has_of_a_layer_is_told_of_in_a_slim_one_too() {
    let repository = repository();
    repository.file(&format!("{LAYER}/var/db/x"), b"");
    repository.file(&format!("{LAYER}/var/lib/a.key"), b"");
    let (full, slim) = (repository.closure(), repository.slim(&Variables::new()));
    let slim = repository.omissions(&slim);
    for omission in repository.omissions(&full) {
        assert!(slim.contains(&omission), "{omission}: {slim:?}");
    }
}
