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
