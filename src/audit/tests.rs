use super::*;
use crate::base::Digest;
use crate::base::Epoch;
use crate::elf::look_at;
use crate::elf::sample::Sample;
use crate::rootfs::{Content, File, ImagePath, Metadata, Node, Symlink};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Files whose bytes are in the tree.
struct Held<'a>(&'a Rootfs);

impl Contents for Held<'_> {
    fn look(&self, file: FileId) -> Look {
        let Content::Bytes(bytes) = &self.0.file(file).content else { return Look::Other };
        look_at(&bytes.as_slice())
    }

    fn bytes(&self, file: FileId, _limit: u64) -> Option<Vec<u8>> {
        match &self.0.file(file).content {
            Content::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

/// A small image.
struct Small {
    rootfs: Rootfs,
    environment: Variables,
    modules: Vec<Module>,
    omissions: Vec<Omission>,
    bind_points: Vec<BindPoint>,
    lost: BTreeSet<PathBuf>,
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text.as_bytes()).unwrap()
}

impl Small {
    /// With a loader whose own directory is `/lib64`, and a program that needs `liba.so.1`.
    fn new() -> Self {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let mut small = Self {
            rootfs: Rootfs::new(metadata),
            environment: [("PATH".to_owned(), "/bin:/opt/bin".to_owned())].into(),
            modules: Vec::new(),
            omissions: Vec::new(),
            bind_points: Vec::new(),
            lost: BTreeSet::new(),
        };
        small.rootfs.add_directory(&path("/opt/bin"), metadata).unwrap();
        small.file(LOADER, b"\0/lib64/\0/usr/lib64/\0");
        small.program("/bin/sh", &["liba.so.1"]);
        small.library("/lib64/liba.so.1", &[]);
        small
    }

    fn file(&mut self, at: &str, bytes: &[u8]) {
        let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
        let content = Content::Bytes(bytes.to_vec());
        let file = File { metadata, size: 0, content, reason: "t:".into() };
        self.rootfs.add_file(&path(at), file).unwrap();
    }

    fn program(&mut self, at: &str, needed: &[&str]) {
        let sample = Sample { interpreter: Some(LOADER), needed, ..Sample::default() };
        self.file(at, &sample.bytes());
    }

    fn library(&mut self, at: &str, needed: &[&str]) {
        let soname = at.rsplit('/').next();
        self.file(at, &Sample { needed, soname, ..Sample::default() }.bytes());
    }

    fn link(&mut self, at: &str, target: &str) {
        let (mtime, target) = (Epoch::GENERATED, target.as_bytes().to_vec());
        self.rootfs.add_symlink(&path(at), Symlink { mtime, target, reason: "t:".into() }).unwrap();
    }

    /// The findings as `severity check path: need`.
    fn findings(&self) -> Vec<String> {
        let findings = audit(&Subject {
            rootfs: &self.rootfs,
            contents: &Held(&self.rootfs),
            environment: &self.environment,
            modules: &self.modules,
            omissions: &self.omissions,
            bind_points: &self.bind_points,
            lost: &self.lost,
            interrupt: &Interrupt::default(),
        });
        let shown =
            |f: Finding| format!("{:?} {:?} {}: {}", f.severity, f.check, f.path.display(), f.need);
        findings.unwrap().into_iter().map(shown).collect()
    }
}

#[test]
fn a_complete_image_has_no_findings() {
    let mut small = Small::new();
    small.file("/bin/script", b"#!/bin/sh -e\n");
    small.link("/usr/bin/env", "/bin/sh");
    small.file("/bin/other", b"#!/usr/bin/env -S sh -x\n");
    small.link("/usr/lib/up", "../../bin");
    assert_eq!(small.findings(), [""; 0]);
}

#[test]
fn what_a_program_lacks_is_an_error_unless_it_was_left_out_or_is_a_driver() {
    let mut small = Small::new();
    small.program("/bin/x", &["liba.so.1", "libnone.so", "libcuda.so.1", "libout.so"]);
    let reason = crate::closure::LEFT_OUT_ON_REQUEST.to_owned();
    small.omissions = vec![Omission { path: "/lib64/libout.so".into(), reason }];
    let want = [
        "Error Library /bin/x: libnone.so",
        "Warning Library /bin/x: libout.so",
        "Expected Library /bin/x: libcuda.so.1",
    ];
    assert_eq!(small.findings(), want);
}

#[test]
fn a_program_needs_its_loader_and_one_for_another_machine_does_not() {
    let mut small = Small::new();
    let gone = Sample { interpreter: Some("/none/ld.so"), ..Sample::default() };
    small.file("/bin/x", &gone.bytes());
    small.file("/bin/y", &Sample { is_32_bit: true, is_big_endian: true, ..gone }.bytes());
    let want = ["Error Interpreter /bin/x: /none/ld.so", "Warning Interpreter /bin/y: /none/ld.so"];
    assert_eq!(small.findings(), want);
}

#[test]
fn a_plug_in_may_rely_on_what_its_program_has_loaded() {
    let mut small = Small::new();
    small.library("/app/lib/libown.so", &[]);
    small.library("/app/plugins/one.so", &["libown.so", "liba.so.1"]);
    assert_eq!(small.findings(), [""; 0]);
    small.library("/app/plugins/two.so", &["libnone.so"]);
    assert_eq!(small.findings(), ["Error Library /app/plugins/two.so: libnone.so"]);
}

#[test]
fn what_the_list_has_and_the_image_has_not_is_named_with_who_needs_it() {
    let mut small = Small::new();
    small.program("/bin/x", &["libb.so.1"]);
    // a link is there, what it leads to is not; another one by that name would be found later
    small.link("/lib64/libb.so.1", "libb.so.1.2");
    small.library("/usr/lib64/libb.so.1", &[]);
    small.file("/bin/script", b"#!/opt/bin/interpreter\n");
    small.file("/bin/other", b"#!/bin/env tool\n");
    small.program("/bin/env", &[]);
    small.lost =
        ["/lib64/libb.so.1.2", "/opt/bin/interpreter", "/opt/bin/tool"].map(PathBuf::from).into();
    let want = [
        "Error Script /bin/other: tool",
        "Error Script /bin/script: /opt/bin/interpreter",
        "Error Library /bin/x: libb.so.1",
        "Error Link /lib64/libb.so.1: libb.so.1.2",
    ];
    assert_eq!(small.findings(), want);
}

#[test]
fn what_never_was_there_is_a_warning() {
    let mut small = Small::new();
    small.file("/bin/a", b"#!/usr/bin/ruby\n");
    small.file("/bin/b", b"#!relative\n");
    small.file("/bin/c", b"\x7fELF\x02\x01\x01cut");
    small.file("/bin/d", format!("#!/{}\n", "x".repeat(1 << 20)).as_bytes());
    small.link("/bin/e", "loop");
    small.link("/bin/loop", "e");
    small.environment.insert("EBROOTX".to_owned(), "/opt/none".to_owned());
    small.file("/opt/x.pth", b"/opt/gone\nimport os\n");
    let found = small.findings();
    assert_eq!(found.len(), 8, "{found:#?}");
    assert!(found.iter().all(|text| text.starts_with("Warning ")), "{found:#?}");
}

#[test]
fn modules_have_their_file_and_what_they_depend_on() {
    let mut small = Small::new();
    small.modules = vec![Module {
        name: "app/1".to_owned(),
        requested: true,
        modulefile: "/m/app/1.lua".into(),
        prefixes: vec!["/opt/app".into()],
        dependencies: vec!["lib/1".to_owned()],
    }];
    let want = [
        "Error Module /m/app/1.lua: /m/app/1.lua",
        "Warning Module /m/app/1.lua: lib/1",
        "Warning Module /opt/app: /opt/app",
    ];
    assert_eq!(small.findings(), want);
}

#[test]
fn a_list_is_compared_in_both_directions() {
    let digest = Digest::of(b"x");
    let line = |path: &str| {
        format!("{{\"path\":\"{path}\",\"size\":1,\"sha256\":\"{digest}\",\"reason\":\"t:x\"}}\n")
    };
    let text = [
        line("/a"),
        line("/gone"),
        "{\"path\":\"/l\",\"target\":\"a\",\"reason\":\"\"}\n".to_owned(),
    ]
    .concat();
    let listing = Listing::parse(text.as_bytes()).unwrap();
    assert_eq!(listing.reason(Path::new("/a")), Some("t:x"));
    let mut small = Small::new();
    small.rootfs = Rootfs::new(Metadata { mode: 0o755, mtime: Epoch::GENERATED });
    small.file("/a", b"x");
    small.link("/l", "a");
    let (findings, lost) = listing.compare(&small.rootfs, |_| Ok((1, digest)));
    assert_eq!(findings.len(), 1);
    assert_eq!(lost, [PathBuf::from("/gone")].into());
    small.file("/added", b"x");
    let (findings, _) = listing.compare(&small.rootfs, |_| Ok((1, Digest::of(b"y"))));
    let paths: Vec<_> = findings.iter().map(|f| f.path.to_str().unwrap()).collect();
    assert_eq!(paths, ["/a", "/added", "/gone"]);
    for bad in ["{}", "{\"path\":\"/a\"}", "[", "{\"path_hex\":\"2f6\",\"kind\":\"fifo\"}"] {
        assert!(Listing::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(Listing::parse([line("/a"), line("/a")].concat().as_bytes()).is_err(), "twice");
}

#[test]
fn what_is_preloaded_has_to_be_there() {
    let mut small = Small::new();
    small.library("/opt/lib/libthere.so", &[]);
    let set = [
        ("LD_PRELOAD", "/opt/lib/libthere.so libthere.so /opt/lib/libgone.so"),
        ("LD_AUDIT", "libnone.so:libcuda.so.1"),
        ("JAVA_HOME", "/opt"),
    ];
    small.environment.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let want = [
        "Error Library /opt/lib/libgone.so: LD_PRELOAD",
        "Error Library libnone.so: LD_AUDIT",
        "Warning Directory /opt: /opt/bin/java",
        "Warning Library libthere.so: LD_PRELOAD",
    ];
    assert_eq!(small.findings(), want);
}

#[test]
fn a_plug_in_whose_need_is_in_another_installation_that_nobody_looks_in_is_a_warning() {
    let mut small = Small::new();
    let module = |name: &str| Module {
        name: name.to_owned(),
        modulefile: "/bin/sh".into(),
        prefixes: vec![format!("/opt/{name}").into()],
        dependencies: Vec::new(),
        requested: true,
    };
    small.modules = vec![module("one"), module("two")];
    small.library("/opt/one/plugins/own.so", &["libown.so"]);
    small.library("/opt/one/hidden/libown.so", &[]);
    small.library("/opt/one/plugins/far.so", &["libfar.so"]);
    small.library("/opt/two/hidden/libfar.so", &[]);
    assert_eq!(small.findings(), ["Warning Library /opt/one/plugins/far.so: libfar.so"]);
    small.environment.insert("LD_LIBRARY_PATH".to_owned(), "/opt/two/hidden".to_owned());
    assert_eq!(small.findings(), [""; 0]);
}

#[test]
fn files_are_shown_where_they_are() {
    let mut small = Small::new();
    let rpath = Some("$ORIGIN/../lib");
    let program = Sample { rpath, needed: &["libx.so"], ..Sample::default() };
    small.file("/app/bin/x", &Sample { interpreter: Some(LOADER), ..program }.bytes());
    small.library("/app/lib/libx.so", &["libnone.so"]);
    assert_eq!(small.findings(), ["Error Library /app/lib/libx.so: libnone.so"]);
}

#[test]
fn very_deep_directories_and_circles_are_no_end() {
    let mut small = Small::new();
    let deep = "/d".repeat(1500);
    small.file(&format!("{deep}/script"), b"#!/none\n");
    small.link("/loop", "/loop/loop");
    small.link("/up", "up/up");
    small.file("/bin/x", b"#!/loop/x\n");
    let found = small.findings();
    assert_eq!(found.len(), 4, "{}", found.len());
    assert!(found.iter().all(|text| text.starts_with("Warning ")));
}

#[test]
fn elf_files_of_every_kind_are_an_answer() {
    let mut small = Small::new();
    let foreign = Sample { is_32_bit: true, is_big_endian: true, ..Sample::default() };
    small.file("/opt/lib/libforeign.so", &Sample { needed: &["libnone.so"], ..foreign }.bytes());
    // one that needs itself, and two that need each other
    small.library("/lib64/libself.so", &["libself.so"]);
    small.library("/lib64/libone.so", &["libtwo.so"]);
    small.library("/lib64/libtwo.so", &["libone.so"]);
    small.program("/bin/x", &["libself.so", "libone.so"]);
    assert_eq!(small.findings(), [""; 0]);
    // a program that is its own loader, one that is a directory's, and an empty name
    small.file("/bin/own", &Sample { interpreter: Some("/bin/own"), ..Sample::default() }.bytes());
    small.file("/bin/of", &Sample { interpreter: Some("/lib64"), ..Sample::default() }.bytes());
    small.program("/bin/empty", &["", "/", "../x", "."]);
    let found = small.findings();
    assert!(found.iter().any(|text| text.starts_with("Error Interpreter /bin/of")), "{found:#?}");
    assert!(found.iter().any(|text| text.contains("/bin/empty")), "{found:#?}");
}

#[test]
fn a_program_with_a_name_of_its_own_is_a_program() {
    let mut small = Small::new();
    let named = Sample { soname: Some("tool"), interpreter: Some(LOADER), ..Sample::default() };
    small.file("/bin/tool", &Sample { needed: &["libnone.so"], ..named }.bytes());
    let own = Sample { soname: Some("libc.so.6"), interpreter: Some("/none/ld.so"), ..named };
    small.file("/lib64/libc.so.6", &own.bytes());
    assert_eq!(small.findings(), ["Error Library /bin/tool: libnone.so"]);
}

#[test]
fn every_name_of_a_file_is_looked_at_and_one_that_works_is_enough() {
    let mut small = Small::new();
    let rpath = Some("$ORIGIN/../lib");
    let program = Sample { rpath, needed: &["libx.so"], ..Sample::default() };
    small.file("/a/deep/x", &Sample { interpreter: Some(LOADER), ..program }.bytes());
    let Some(Node::File(id)) = small.rootfs.get(&path("/a/deep/x")) else { panic!("a file") };
    let id = *id;
    small.rootfs.add_hard_link(&path("/app/bin/x"), id).unwrap();
    let lacks = |path: &str| format!("{path}: libx.so");
    let [first, second] = ["/a/deep/x", "/app/bin/x"].map(lacks);
    let want = [format!("Error Library {first}"), format!("Error Library {second}")];
    assert_eq!(small.findings(), want);
    small.library("/app/lib/libx.so", &[]);
    assert_eq!(small.findings(), [format!("Warning Library {first}")]);
}

#[test]
fn what_is_loaded_into_every_program_is_looked_for_where_the_loader_looks() {
    let mut small = Small::new();
    for (value, want) in [
        ("liba.so.1", None),
        ("/lib64/liba.so.1:libpre.so", Some("Warning Library libpre.so: LD_PRELOAD")),
        ("libnone.so", Some("Error Library libnone.so: LD_PRELOAD")),
        ("/none.so", Some("Error Library /none.so: LD_PRELOAD")),
    ] {
        small.environment.insert("LD_PRELOAD".to_owned(), value.to_owned());
        if small.rootfs.get(&path("/app/libpre.so")).is_none() {
            small.library("/app/libpre.so", &[]);
        }
        assert_eq!(small.findings(), want.into_iter().collect::<Vec<_>>(), "{value}");
    }
}

#[test]
fn what_a_plug_in_lacks_on_request_is_said_even_if_its_like_is_elsewhere() {
    let mut small = Small::new();
    small.library("/app/other/libx.so", &[]);
    let runpath = Some("/app/lib");
    let plugin = Sample { needed: &["libx.so"], runpath, ..Sample::default() };
    small.file("/app/plugins/one.so", &plugin.bytes());
    assert_eq!(small.findings(), [""; 0]);
    let reason = crate::closure::LEFT_OUT_ON_REQUEST.to_owned();
    small.omissions = vec![Omission { path: "/app/lib/libx.so".into(), reason }];
    assert_eq!(small.findings(), ["Warning Library /app/plugins/one.so: libx.so"]);
}

#[test]
fn what_was_there_and_was_not_taken_is_an_error_where_a_command_needs_it() {
    let mut small = Small::new();
    let omission = |path: &str, reason: &str| Omission { path: path.into(), reason: reason.into() };
    small.omissions = vec![
        omission("/home/x/python", "not taken: it lies in a person's own directory"),
        omission("/apps/real", crate::closure::ONLY_NAMED),
    ];
    small.link("/opt/bin/link", "/home/x/python");
    small.file("/opt/bin/script", b"#!/home/x/python\n");
    small.file("/opt/share/script", b"#!/home/x/python\n");
    small.file("/opt/bin/wrapper", b"#!/bin/sh\nexec /apps/real\n");
    small.file("/opt/share/wrapper", b"#!/bin/sh\nexec /apps/real\n");
    let want = [
        "Error Link /opt/bin/link: /home/x/python",
        "Error Script /opt/bin/script: /home/x/python",
        "Warning Script /opt/bin/wrapper: /apps/real",
        "Warning Script /opt/share/script: /home/x/python",
    ];
    assert_eq!(small.findings(), want);
}

#[test]
fn a_carriage_return_behind_the_interpreter_is_told_of() {
    let mut small = Small::new();
    small.file("/bin/a", b"#!/bin/sh -e\r\n");
    assert_eq!(small.findings(), ["Warning Script /bin/a: /bin/sh"]);
}

#[test]
fn modes_are_as_the_list_says_and_as_images_have_them() {
    let digest = Digest::of(b"x");
    let listing = |mode: &str| {
        let line = format!(
            "{{\"path\":\"/a\",\"size\":1,\"mode\":\"{mode}\",\"sha256\":\"{digest}\",\"reason\":\"t:x\"}}\n"
        );
        Listing::parse(line.as_bytes()).unwrap()
    };
    let metadata = |mode| Metadata { mode, mtime: Epoch::GENERATED };
    let tree = |file: u16, directory: u16, tmp: u16| {
        let mut rootfs = Rootfs::new(metadata(0o755));
        let content = Content::Bytes(b"x".to_vec());
        let file = File { metadata: metadata(file), size: 1, content, reason: "t:x".into() };
        rootfs.add_file(&path("/a"), file).unwrap();
        for (at, mode) in [("/d", directory), ("/tmp", tmp), ("/var/tmp", 0o1777)] {
            rootfs.add_directory(&path(at), metadata(mode)).unwrap();
        }
        rootfs
    };
    let said = |listed: &str, rootfs: &Rootfs, unpacked: bool| -> Vec<String> {
        let findings = super::check_modes(&listing(listed), rootfs, unpacked);
        findings.iter().map(|f| format!("{:?} {}", f.severity, f.path.display())).collect()
    };
    assert_eq!(said("0755", &tree(0o755, 0o755, 0o1777), false), [""; 0]);
    for (listed, file, directory, want) in [
        ("0755", 0o644, 0o755, "Error /a"),
        ("4755", 0o4755, 0o755, "Error /a"),
        ("0755", 0o777, 0o755, "Error /a"),
        ("0600", 0o600, 0o755, "Error /a"),
        ("0755", 0o755, 0o777, "Error /d"),
        ("0755", 0o755, 0o750, "Error /d"),
        ("0755", 0o755, 0o2755, "Error /d"),
    ] {
        assert_eq!(
            said(listed, &tree(file, directory, 0o1777), false),
            [want],
            "{file:o} {directory:o}"
        );
    }
    assert_eq!(said("0755", &tree(0o755, 0o755, 0o755), false), ["Error /tmp"]);
    // a umask of 077 is its owner's affair, a lost right of the owner's is not
    assert_eq!(said("0755", &tree(0o700, 0o700, 0o1777), true), ["Warning /a"]);
    assert_eq!(said("0755", &tree(0o600, 0o755, 0o1777), true), ["Error /a"]);
    let none = super::check_modes(&Listing::default(), &Rootfs::new(metadata(0o755)), false);
    assert_eq!(none.len(), 2, "no /tmp, no /var/tmp");
    for bad in ["0x", "99"] {
        let text =
            format!("{{\"path\":\"/a\",\"size\":1,\"mode\":\"{bad}\",\"sha256\":\"{digest}\"}}");
        assert!(Listing::parse(text.as_bytes()).is_err(), "{bad}");
    }
}
