use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::*;
use crate::base::Silent;
use crate::elf::sample::Sample;
use crate::rootfs::{Node, image_path};
use crate::stack::Eessi;

mod taken;

/// A small EESSI in a temporary directory. Paths in tests stand for those below its repository.
pub(super) struct Repository {
    root: tempfile::TempDir,
    eessi: Eessi,
    modules: Vec<ModuleFiles>,
    stripped: Vec<Stripped>,
}

pub(super) const LAYER: &str = "versions/1/compat/linux/x86_64";
pub(super) const SOFTWARE: &str = "versions/1/software/linux/x86_64/generic";

impl Repository {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        // a temporary directory may itself be reached through a link
        let repository = fs::canonicalize(root.path()).unwrap().join("cvmfs/r");
        let eessi = Eessi {
            repository,
            version: "1".to_owned(),
            os_type: "linux".to_owned(),
            cpu_family: "x86_64".to_owned(),
            target: "x86_64/generic".to_owned(),
            accelerator: None,
            foreign_layer: None,
        };
        let made = Self { root, eessi, modules: Vec::new(), stripped: Vec::new() };
        made.file(&format!("{LAYER}/etc/os-release"), b"");
        made.file("versions/1/init/bash", b"");
        made.file(&format!("{SOFTWARE}/.lmod/lmodrc.lua"), b"");
        made.file(&format!("{SOFTWARE}/.lmod/cache/spiderT.lua"), b"");
        fs::create_dir_all(made.root.path().join("site/lib")).unwrap();
        made.link("host_injections", made.root.path().join("site").to_str().unwrap());
        made
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.eessi.repository.join(path)
    }

    pub(super) fn file(&self, path: &str, bytes: &[u8]) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target.replace("$R", self.eessi.repository.to_str().unwrap()), path).unwrap();
    }

    /// Makes a module with an installation that holds one file, and loads it.
    pub(super) fn module(&mut self, full_name: &str) -> String {
        let prefix = format!("{SOFTWARE}/software/{full_name}");
        self.file(&format!("{prefix}/share/text"), b"text");
        let modulefile = format!("{SOFTWARE}/modules/all/{full_name}.lua");
        self.file(&modulefile, b"");
        self.modules.push(ModuleFiles {
            full_name: full_name.to_owned(),
            modulefile: self.at(&modulefile),
            easybuild_roots: vec![self.at(&prefix)],
            named: Vec::new(),
        });
        prefix
    }

    fn resolve(&self, include: &[PathBuf], exclude: &[String]) -> Result<Closure, ClosureError> {
        self.resolve_with(include, exclude, None)
    }

    /// The closure with a part of the layer, in this environment.
    pub(super) fn slim(&self, variables: &Variables) -> Closure {
        self.resolve_with(&[], &[], Some(variables)).unwrap()
    }

    fn resolve_with(
        &self,
        include: &[PathBuf],
        exclude: &[String],
        slim: Option<&Variables>,
    ) -> Result<Closure, ClosureError> {
        let stack = Stack::Eessi(self.eessi.clone());
        let request = Request {
            modules: &self.modules,
            stack: &stack,
            base: Base::CompatibilityLayer,
            beneath: None,
            include,
            exclude,
            private: &[],
            path: &[],
            library_path: &[],
            stripped: &self.stripped,
            lmod: None,
            slim,
        };
        resolve(&request, &Silent, &Interrupt::default())
    }

    /// The closure with all of the layer.
    pub(super) fn closure(&self) -> Closure {
        self.resolve(&[], &[]).unwrap()
    }

    /// `path` without the temporary directory.
    fn shown(&self, path: &Path) -> String {
        let text = path.to_str().unwrap().replace(self.eessi.repository.to_str().unwrap(), "$R");
        text.replace(LAYER, "$LAYER").replace(SOFTWARE, "$SOFTWARE")
    }

    /// The node at a path below the repository, or at an absolute one: `d`, `f <mode> <reason>`,
    /// `l <target>`, `-`.
    pub(super) fn node(&self, closure: &Closure, path: &str) -> String {
        let path = self.at(path);
        match closure.rootfs.get(&image_path(&path).unwrap()) {
            None => "-".to_owned(),
            Some(Node::Special(special)) => format!("{:?}", special.kind),
            Some(Node::Directory(directory)) => format!("d {:o}", directory.metadata.mode),
            Some(Node::Symlink(link)) => {
                let target = std::str::from_utf8(&link.target).unwrap();
                format!("l {}", self.shown(Path::new(target)))
            }
            Some(Node::File(id)) => {
                let file = closure.rootfs.file(*id);
                let reason = self.shown(Path::new(&*file.reason));
                format!("f {:o} {reason}", file.metadata.mode)
            }
        }
    }

    pub(super) fn omissions(&self, closure: &Closure) -> Vec<String> {
        let rows = closure.omissions.iter();
        rows.map(|row| format!("{} {}", self.shown(&row.path), row.reason)).collect()
    }
}

#[test]
fn modules_layer_and_init_are_packed_and_other_modules_are_not() {
    let mut repository = Repository::new();
    repository.module("B/2");
    repository.module("A/1");
    repository.modules.remove(0);
    repository.file(&format!("{SOFTWARE}/modules/all/A/.modulerc.lua"), b"");
    repository.link(&format!("{SOFTWARE}/modules/all/A/default"), "1.lua");
    repository.file("init/modules/EESSI/2.lua", b"");
    repository.link("init/modules/EESSI/1.lua", "$R/versions/1/init/EESSI.lua");
    repository.file("versions/1/init/EESSI.lua", b"");
    let closure = repository.closure();
    for (path, want) in [
        ("versions/1/software/linux/x86_64/generic/software/A/1/share/text", "f 644 module:A/1"),
        ("versions/1/software/linux/x86_64/generic/modules/all/A/1.lua", "f 644 modulefile:A/1"),
        (
            "versions/1/software/linux/x86_64/generic/modules/all/A/.modulerc.lua",
            "f 644 modulefile:A/1",
        ),
        ("versions/1/software/linux/x86_64/generic/modules/all/A/default", "l 1.lua"),
        ("versions/1/software/linux/x86_64/generic/modules/all/B", "-"),
        ("versions/1/software/linux/x86_64/generic/software/B", "-"),
        ("versions/1/software/linux/x86_64/generic/.lmod/lmodrc.lua", "f 644 init:eessi"),
        ("versions/1/compat/linux/x86_64/etc/os-release", "f 644 compat:$R/$LAYER"),
        ("versions/1/init/bash", "f 644 init:eessi"),
        ("init/modules/EESSI/1.lua", "l $R/versions/1/init/EESSI.lua"),
        ("host_injections", "l /opt/eessi"),
        ("/opt/eessi", "d 755"),
    ] {
        assert_eq!(repository.node(&closure, path), want, "{path}");
    }
    assert_eq!(
        repository.omissions(&closure),
        [
            "$R/init/modules/EESSI/2.lua module of a version that is not packed",
            "$R/$SOFTWARE/.lmod/cache spider cache of modules that are not packed",
        ]
    );
    let [installation] = &closure.installations[..] else { panic!("one module") };
    assert_eq!((installation.files, installation.bytes), (1, ByteSize(4)));
    assert_eq!(closure.warnings, [""; 0]);
}

#[test]
fn ill_behaved_files_survive_or_are_reported() {
    let mut repository = Repository::new();
    let prefix = repository.module("A/1");
    let names = ["with space", "new\nline", "-dash", "naïve"];
    for name in names {
        repository.file(&format!("{prefix}/odd/{name}"), b"");
    }
    for (link, target) in [("gone", "nowhere"), ("loop", "loop"), ("up", "../../../..")] {
        repository.link(&format!("{prefix}/{link}"), target);
    }
    fs::hard_link(
        repository.at(&format!("{prefix}/share/text")),
        repository.at(&format!("{prefix}/share/again")),
    )
    .unwrap();
    for (name, mode) in [("setuid", 0o4755), ("secret", 0o400), ("shared", 0o664)] {
        repository.file(&format!("{prefix}/{name}"), b"");
        repository.mode(&format!("{prefix}/{name}"), mode);
    }
    let kind = rustix::fs::FileType::Fifo;
    let fifo = repository.at(&format!("{prefix}/fifo"));
    rustix::fs::mknodat(rustix::fs::CWD, fifo, kind, rustix::fs::Mode::RUSR, 0).unwrap();
    let socket = repository.at(&format!("{prefix}/socket"));
    let _listener = std::os::unix::net::UnixListener::bind(socket).unwrap();

    let closure = repository.closure();
    for name in names {
        let path = format!("{prefix}/odd/{name}");
        assert_eq!(repository.node(&closure, &path), "f 644 module:A/1", "{name}");
    }
    for (name, want) in [
        ("gone", "l nowhere"),
        ("loop", "l loop"),
        ("setuid", "f 755 module:A/1"),
        ("secret", "f 444 module:A/1"),
        ("shared", "f 644 module:A/1"),
        ("fifo", "-"),
        ("socket", "-"),
    ] {
        assert_eq!(repository.node(&closure, &format!("{prefix}/{name}")), want, "{name}");
    }
    let id = |name: &str| {
        let path = repository.at(&format!("{prefix}/share/{name}"));
        match closure.rootfs.get(&image_path(&path).unwrap()) {
            Some(Node::File(id)) => *id,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(id("text"), id("again"));
    let omissions = repository.omissions(&closure);
    for name in ["fifo FIFO", "socket socket"] {
        assert!(omissions.contains(&format!("$R/$SOFTWARE/software/A/1/{name}")), "{omissions:?}");
    }
    assert_eq!(closure.installations[0].bytes, ByteSize(4), "a hard-linked file counts once");
}

#[test]
fn a_layer_is_packed_without_what_is_private_or_of_the_moment() {
    let repository = Repository::new();
    for (path, mode) in [
        ("var/db/pkg/x", 0o644),
        ("var/lib/portage/config", 0o644),
        ("var/log/x", 0o644),
        ("usr/emerge.log", 0o644),
        ("etc/shadow", 0o600),
        ("root/.bash_history", 0o644),
        ("usr/bin/suid", 0o4711),
        (".cvmfscatalog", 0o644),
    ] {
        repository.file(&format!("{LAYER}/{path}"), b"");
        repository.mode(&format!("{LAYER}/{path}"), mode);
    }
    repository.link(&format!("{LAYER}/etc/passwd"), "/etc/passwd");
    repository.mode(&format!("{LAYER}/root"), 0o700);
    let closure = repository.closure();
    assert_eq!(
        repository.omissions(&closure),
        [
            "$R/$LAYER/.cvmfscatalog CVMFS marker",
            "$R/$LAYER/etc/shadow readable by its owner only",
            "$R/$LAYER/root readable by its owner only",
            "$R/$LAYER/usr/emerge.log log",
            "$R/$LAYER/var/db package database",
            "$R/$LAYER/var/log logs",
            "$R/$SOFTWARE/.lmod/cache spider cache of modules that are not packed",
        ]
    );
    let node = |path: &str| repository.node(&closure, &format!("{LAYER}/{path}"));
    assert_eq!(node("usr/bin/suid"), "f 755 compat:$R/$LAYER");
    assert_eq!(node("etc/passwd"), "l /etc/passwd");
    assert_eq!(closure.warnings, [""; 0]);
}

#[test]
fn links_out_of_the_image_are_followed_declared_or_warned_of() {
    let mut repository = Repository::new();
    let prefix = repository.module("A/1");
    repository.module("B/2");
    repository.modules.pop();
    let other = repository.root.path().join("elsewhere");
    fs::write(&other, b"").unwrap();
    repository.link(&format!("{prefix}/file"), "../../B/2/share/text");
    repository.link(&format!("{prefix}/directory"), "../../B/2");
    repository.link(&format!("{prefix}/cuda"), "$R/host_injections/lib/libcuda.so.1");
    repository.link(&format!("{prefix}/astray"), other.to_str().unwrap());
    repository.link(&format!("{prefix}/time"), "/etc/localtime");
    let closure = repository.closure();
    let reason = "f 644 link:$R/$SOFTWARE/software/A/1/directory";
    let text = format!("{SOFTWARE}/software/B/2/share/text");
    assert_eq!(repository.node(&closure, &text), reason);
    let points = closure.bind_points.iter();
    let points: Vec<_> = points
        .map(|p| {
            format!("{} {} {}", repository.shown(&p.path), repository.shown(&p.target), p.purpose)
        })
        .collect();
    assert_eq!(
        points,
        [
            "$R/host_injections /opt/eessi what a site adds to EESSI",
            "$R/$SOFTWARE/software/A/1/cuda $R/host_injections/lib/libcuda.so.1 GPU driver libraries",
        ]
    );
    let [warning] = &closure.warnings[..] else { panic!("{:?}", closure.warnings) };
    let prefix = repository.at(&prefix);
    let want = format!(
        "a link leads to a file that is not packed: `{}/astray` to `{}`; `--include PATH` adds what is needed",
        prefix.display(),
        other.display()
    );
    assert_eq!(*warning, want);
}

#[test]
fn modules_of_the_site_are_packed_where_the_link_leads_by_default() {
    let mut repository = Repository::new();
    let site = repository.root.path().join("site");
    fs::create_dir_all(site.join("software/S/1/bin")).unwrap();
    fs::write(site.join("software/S/1/bin/s"), b"").unwrap();
    fs::create_dir_all(site.join("modules/S")).unwrap();
    fs::write(site.join("modules/S/1.lua"), b"").unwrap();
    repository.modules.push(ModuleFiles {
        full_name: "S/1".to_owned(),
        modulefile: repository.at("host_injections/modules/S/1.lua"),
        easybuild_roots: vec![repository.at("host_injections/software/S/1")],
        named: Vec::new(),
    });
    let closure = repository.closure();
    assert_eq!(repository.node(&closure, "host_injections"), "l /opt/eessi");
    assert_eq!(repository.node(&closure, "/opt/eessi/software/S/1/bin/s"), "f 644 module:S/1");
    assert_eq!(repository.node(&closure, "/opt/eessi/modules/S/1.lua"), "f 644 modulefile:S/1");
    assert_eq!(closure.installations[0].files, 1);
}

#[test]
fn libraries_of_the_stack_that_no_module_brings_are_added() {
    let mut repository = Repository::new();
    let interpreter = repository.at(&format!("{LAYER}/lib64/ld-linux-x86-64.so.2"));
    let interpreter = interpreter.to_str().unwrap();
    let prefix = repository.module("A/1");
    let unloaded = repository.module("B/2");
    repository.modules.pop();
    let directory = repository.at(&unloaded).join("lib");
    let program = Sample {
        interpreter: Some(interpreter),
        needed: &["libb.so.2", "libnone.so", "libcuda.so.1"],
        rpath: Some(directory.to_str().unwrap()),
        ..Sample::default()
    };
    repository.file(&format!("{LAYER}/lib64/ld-linux-x86-64.so.2"), &Sample::default().bytes());
    repository.file(&format!("{prefix}/bin/program"), &program.bytes());
    repository.mode(&format!("{prefix}/bin/program"), 0o755);
    // a plug-in that relies on what its program has loaded
    let plugin = Sample { needed: &["libdeep.so"], ..Sample::default() };
    repository.file(&format!("{prefix}/lib/plugin.so"), &plugin.bytes());
    let library =
        Sample { soname: Some("libb.so.2"), needed: &["libdeep.so"], ..Sample::default() };
    repository.link(&format!("{unloaded}/lib/libb.so.2"), "libb.so.2.1");
    repository.file(&format!("{unloaded}/lib/libb.so.2.1"), &library.bytes());
    repository.file(&format!("{unloaded}/lib/libdeep.so"), &Sample::default().bytes());
    repository.file(&format!("{unloaded}/lib/libunneeded.so"), &Sample::default().bytes());
    let closure = repository.closure();
    let node = |name: &str| repository.node(&closure, &format!("{unloaded}/lib/{name}"));
    let program = "$R/$SOFTWARE/software/A/1/bin/program";
    assert_eq!(node("libb.so.2"), "l libb.so.2.1");
    assert_eq!(node("libb.so.2.1"), format!("f 644 library:libb.so.2 for {program}"));
    assert_eq!(node("libdeep.so"), format!("f 644 library:libdeep.so for {program}"));
    assert_eq!(node("libunneeded.so"), "-");
    let [warning] = &closure.warnings[..] else { panic!("{:?}", closure.warnings) };
    let want = format!("the library `libnone.so`, which `{program}` needs, is not packed");
    assert_eq!(repository.shown(Path::new(warning)), want);
}

#[test]
fn files_are_added_and_left_out_on_request() {
    let mut repository = Repository::new();
    let prefix = repository.module("A/1");
    repository.file(&format!("{prefix}/share/doc/x"), b"");
    let outside = repository.root.path().join("outside");
    fs::create_dir_all(outside.join("real")).unwrap();
    fs::write(outside.join("real/file"), b"").unwrap();
    symlink("real", outside.join("link")).unwrap();
    for fifo in ["fifo", "real/fifo"] {
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, outside.join(fifo), kind, mode, 0).unwrap();
    }
    let include = ["link", "fifo"].map(|name| outside.join(name));
    let closure = repository.resolve(&include, &["doc".to_owned()]).unwrap();
    let node = |name: &str| repository.node(&closure, outside.join(name).to_str().unwrap());
    assert_eq!(node("link"), "l real");
    assert!(node("real/file").starts_with("f 644 include:"), "{}", node("real/file"));
    assert_eq!((node("fifo"), node("real/fifo")), ("Fifo".to_owned(), "-".to_owned()));
    assert_eq!(repository.node(&closure, &format!("{prefix}/share/doc")), "-");
    let omission = "$R/$SOFTWARE/software/A/1/share/doc left out on request".to_owned();
    assert!(repository.omissions(&closure).contains(&omission));
    let gone = repository.resolve(&[outside.join("gone")], &[]);
    assert!(matches!(gone, Err(ClosureError::Include(_))));
}

#[test]
fn a_prefix_that_is_gone_is_a_warning_and_one_that_two_modules_share_is_packed_once() {
    let mut repository = Repository::new();
    let prefix = repository.module("A/1");
    repository.module("B/2");
    repository.module("C/3");
    repository.modules[1].easybuild_roots = vec![repository.at(&prefix)];
    fs::remove_dir_all(repository.at(&format!("{SOFTWARE}/software/C"))).unwrap();
    let closure = repository.closure();
    let [warning] = &closure.warnings[..] else { panic!("{:?}", closure.warnings) };
    assert_eq!(
        repository.shown(Path::new(warning)),
        "module `C/3`: its installation prefix `$R/$SOFTWARE/software/C/3` does not exist"
    );
    let prefixes: Vec<_> = closure.installations.iter().map(|i| i.prefixes.len()).collect();
    assert_eq!(prefixes, [1, 1, 0]);
    let text = format!("{prefix}/share/text");
    assert_eq!(repository.node(&closure, &text), "f 644 module:A/1");
}

#[test]
fn two_runs_give_the_same_plan() {
    let mut repository = Repository::new();
    let prefix = repository.module("A/1");
    for index in 0..300 {
        repository.file(&format!("{prefix}/d{}/{index}", index % 40), b"");
    }
    let (first, second) = (repository.closure(), repository.closure());
    assert_eq!(first.rootfs, second.rootfs);
    assert_eq!(first.rootfs.files().len(), 300 + 6 - 1);
}

#[test]
fn the_layer_of_a_plain_site_is_refused_and_an_interrupt_ends_the_work() {
    let mut repository = Repository::new();
    repository.module("A/1");
    let interrupt = Interrupt::default();
    interrupt.set();
    for (stack, interrupt) in
        [(Stack::Site, Interrupt::default()), (Stack::Eessi(repository.eessi.clone()), interrupt)]
    {
        let request = Request {
            modules: &repository.modules,
            stack: &stack,
            base: Base::CompatibilityLayer,
            beneath: None,
            include: &[],
            exclude: &[],
            private: &[],
            path: &[],
            library_path: &[],
            stripped: &[],
            lmod: None,
            slim: None,
        };
        let got = resolve(&request, &Silent, &interrupt).map(|_| ());
        match stack {
            Stack::Site => assert!(matches!(got, Err(ClosureError::NoCompatibilityLayer))),
            Stack::Eessi(_) => assert!(matches!(got, Err(ClosureError::Interrupted(_)))),
        }
    }
}
