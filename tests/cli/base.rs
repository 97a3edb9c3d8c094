//! `--base`: modules over somebody else's image.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use module_export::base::Digest;
use module_export::image::read::{FoundKind, Image};
use module_export::rootfs::ImagePath;
use serde_json::Value;

use crate::common::{Ran, TestEnv, tool};

/// A module that is a script, in a session without Lmod.
fn session() -> TestEnv {
    let env = TestEnv::new();
    env.program("apps/tool/1.0/bin/tool", "#!/bin/sh\necho a tool\n");
    let prefix = env.root().join("apps/tool/1.0");
    let text = format!("prepend_path('PATH', '{}/bin')\n", prefix.display());
    env.write("mf/tool/1.0.lua", text);
    env
}

fn export(env: &TestEnv, base: &str, words: &str) -> Ran {
    let mut command = env.module_export();
    command.args(["container", "tool/1.0", "-a", "A", "-n", "x", "-q", "--epoch", "1795305600"]);
    command.args(words.split_whitespace()).args(["--base", base]);
    env.run(command.env("MODULEPATH", env.root().join("mf")))
}

#[track_caller]
fn run(env: &TestEnv, program: &Path, words: &[&str]) {
    env.run(env.command(program).args(words)).success();
}

/// A root file system in which one static program is everything: in `root`.
pub(crate) fn small_root(env: &TestEnv) -> Option<PathBuf> {
    let busybox = tool("busybox")?;
    let root = env.root().join("root");
    for name in ["usr/bin", "usr/lib", "etc", "opt/data", "opt/old", "tmp", "dev", "srv"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::copy(busybox, root.join("usr/bin/busybox")).unwrap();
    for name in ["sh", "ls", "cat", "env"] {
        symlink("busybox", root.join("usr/bin").join(name)).unwrap();
    }
    for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("srv/up", "/opt")] {
        symlink(target, root.join(link)).unwrap();
    }
    for (name, text) in [
        ("etc/passwd", "root:x:0:0::/:/bin/sh\nsomebody:x:7:7::/:/bin/sh\n"),
        ("etc/os-release", "NAME=Small\n"),
        ("opt/data/one", "one"),
        ("opt/data/two", "two"),
        ("opt/old/file", "old"),
    ] {
        fs::write(root.join(name), text).unwrap();
    }
    fs::hard_link(root.join("opt/data/two"), root.join("opt/data/twin")).unwrap();
    fs::set_permissions(root.join("opt/data/two"), fs::Permissions::from_mode(0o4660)).unwrap();
    Some(root)
}

/// The same as an image of two layers, of which the upper one takes away what `expected` lacks: in
/// the layout `layout`, with the tag `small`.
pub(crate) fn layout(env: &TestEnv, root: &Path) -> Option<PathBuf> {
    let umoci = tool("umoci")?;
    let layout = env.root().join("layout");
    let image = format!("{}:small", layout.display());
    let bundle = env.root().join("bundle");
    let bundle = bundle.to_str().unwrap();
    run(env, &umoci, &["init", "--layout", layout.to_str().unwrap()]);
    run(env, &umoci, &["new", "--image", &image]);
    let inside = |name: &str| format!("{bundle}/rootfs/{name}");
    let has_data = root.join("opt/data").is_dir();
    for change in ["add", "remove"].iter().take(if has_data { 2 } else { 1 }) {
        run(env, &umoci, &["unpack", "--rootless", "--image", &image, bundle]);
        if *change == "add" {
            let all = format!("{}/.", root.display());
            run(env, Path::new("/bin/cp"), &["--archive", &all, &inside("")]);
        } else {
            fs::remove_file(inside("opt/data/one")).unwrap();
            fs::remove_dir_all(inside("opt/old")).unwrap();
            fs::create_dir(inside("opt/old")).unwrap();
            fs::write(inside("opt/old/new"), "new").unwrap();
        }
        run(env, &umoci, &["repack", "--image", &image, bundle]);
        fs::remove_dir_all(bundle).unwrap();
    }
    let settings = ["PATH=/opt/tools:/usr/bin", "FROM_BASE=yes", "PYTHONPATH=/gone"];
    let settings = settings.map(|setting| format!("--config.env={setting}"));
    let mut words =
        vec!["config", "--image", &image, "--config.user", "7", "--config.label", "a=b"];
    words.extend(["--config.entrypoint", "/gone", "--config.exposedports", "80/tcp"]);
    words.extend(settings.iter().map(String::as_str));
    run(env, &umoci, &words);
    Some(layout)
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text.as_bytes()).unwrap()
}

fn text(image: &Image, at: &str) -> Option<String> {
    let bytes = image.read(&path(at), 1 << 24).ok()?;
    Some(String::from_utf8(bytes).unwrap())
}

/// What every image over the small root has.
fn assert_complete(env: &TestEnv, image: &Path, has_layers: bool, what: &str) {
    let image = Image::open(image).unwrap();
    let tool = env.root().join("apps/tool/1.0/bin/tool");
    for (at, want) in [
        (tool.to_str().unwrap(), Some("#!/bin/sh\necho a tool\n")),
        ("/etc/passwd", Some("root:x:0:0::/:/bin/sh\nsomebody:x:7:7::/:/bin/sh\n")),
        ("/opt/data/two", Some("two")),
        ("/opt/data/twin", Some("two")),
        ("/opt/data/one", (!has_layers).then_some("one")),
        ("/opt/old/file", (!has_layers).then_some("old")),
        ("/opt/old/new", has_layers.then_some("new")),
    ] {
        assert_eq!(text(&image, at).as_deref(), want, "{what}: {at}");
    }
    let bin = image.find(&path("/bin")).unwrap().kind;
    assert!(matches!(bin, FoundKind::Symlink(target) if target == b"usr/bin"), "{what}");
    let list = text(&image, "/.module-export/files.jsonl").unwrap();
    let digest = Digest::of(b"two").to_string();
    let line = list.lines().find(|line| line.contains("\"/opt/data/two\"")).unwrap();
    assert!(line.contains(&digest) && line.contains("\"base:\""), "{what}: {line}");
}

#[test]
fn a_base_of_any_kind_lies_under_the_modules_and_gives_the_same_bytes_again() {
    let env = session();
    let Some(root) = small_root(&env) else { return };
    let Some(layout) = layout(&env, &root) else { return };
    let (Some(skopeo), Some(mksquashfs)) = (tool("skopeo"), tool("mksquashfs")) else { return };
    let at = |name: &str| env.root().join(name).display().to_string();
    let (root, layout) = (root.display().to_string(), layout.display().to_string());
    let from = format!("oci:{layout}:small");
    for (flags, to) in [
        (&["--dest-compress-format", "zstd"][..], format!("oci:{}:small", at("zstd"))),
        (&[], format!("oci-archive:{}:small", at("oci.tar"))),
        (&[], format!("docker-archive:{}:small:1", at("docker.tar"))),
    ] {
        let words: Vec<&str> = ["copy", "--quiet"].iter().chain(flags).copied().collect();
        run(&env, &skopeo, &[&words[..], &[&from, &to]].concat());
    }
    run(&env, Path::new("/bin/tar"), &["-C", &root, "-czf", &at("root.tar.gz"), "."]);
    run(&env, &mksquashfs, &[&root, &at("root.squashfs"), "-quiet", "-no-progress"]);
    let mut kinds = vec![
        (root.clone(), "directory", "root", false),
        (at("root.tar.gz"), "tar", "root.tar.gz", false),
        (at("root.squashfs"), "squashfs", "root.squashfs", false),
        (format!("{layout}:small"), "oci", "layout:small", true),
        (at("zstd"), "oci", "zstd", true),
        (at("oci.tar"), "oci-archive", "oci.tar", true),
        (at("docker.tar"), "docker-archive", "docker.tar", true),
    ];
    if let Some(apptainer) = tool("apptainer") {
        run(&env, &apptainer, &["build", &at("root.sif"), &root]);
        kinds.push((at("root.sif"), "sif", "root.sif", false));
    }
    for (base, kind, name, has_layers) in kinds {
        export(&env, &base, "--format tar").success();
        let image = env.work().join("x.tar");
        assert_complete(&env, &image, has_layers, &base);
        let opened = Image::open(&image).unwrap();
        let manifest = text(&opened, "/.module-export/manifest.json").unwrap();
        assert!(!manifest.contains(&base), "no path of the user's: {manifest}");
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["base"]["kind"], kind);
        assert_eq!(manifest["base"]["name"], name);
        assert_eq!(manifest["base"]["digest"].is_string(), kind != "directory");
        let mode = |at: &str| opened.find(&path(at)).unwrap().metadata.mode;
        assert_eq!(
            [mode("/opt/data/two"), mode("/tmp"), mode("/opt")],
            [0o444 | 0o200, 0o1777, 0o755]
        );
        drop(opened);
        let first = fs::read(&image).unwrap();
        let scratch = env.root().join("scratch");
        fs::create_dir_all(&scratch).unwrap();
        let words = format!("--format tar --force --jobs 3 --tmpdir {}", scratch.display());
        export(&env, &base, &words).success();
        assert!(fs::read(&image).unwrap() == first, "{base}: the same bytes");
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "nothing is left behind");
        fs::remove_file(&image).unwrap();
    }
    // the other formats of what is merged
    for (format, ending) in [("sif", "sif"), ("squashfs", "squashfs"), ("sandbox", "sandbox")] {
        export(&env, &at("root.squashfs"), &format!("--format {format}")).success();
        assert_complete(&env, &env.work().join(format!("x.{ending}")), false, format);
    }
}

#[test]
fn layers_of_an_oci_base_stay_as_they_are() {
    let env = session();
    let Some(root) = small_root(&env) else { return };
    let Some(layout) = layout(&env, &root) else { return };
    let (Some(skopeo), Some(umoci)) = (tool("skopeo"), tool("umoci")) else { return };
    let inspect = |words: &[&str]| -> Value {
        let ran = env.run(env.command(&skopeo).arg("inspect").args(words));
        serde_json::from_str(&ran.success()).unwrap()
    };
    let base = format!("oci:{}:small", layout.display());
    let of_base = inspect(&[&base])["Layers"].as_array().unwrap().clone();
    let base_config = inspect(&["--config", &base]);
    for (format, ending, transport) in [
        ("oci", "oci", "oci:"),
        ("oci-archive", "oci.tar", "oci-archive:"),
        ("docker-archive", "docker.tar", "docker-archive:"),
    ] {
        export(&env, layout.to_str().unwrap(), &format!("--format {format} --layers 4")).success();
        let image = env.work().join(format!("x.{ending}"));
        let named = format!("{transport}{}", image.display());
        let layers = inspect(&[&named])["Layers"].as_array().unwrap().clone();
        let config = inspect(&["--config", &named]);
        assert_eq!(layers.len(), 4, "{format}");
        if format != "docker-archive" {
            assert_eq!(layers[..2], of_base[..], "{format}");
        }
        let diff_ids = |config: &Value| config["rootfs"]["diff_ids"].as_array().unwrap().clone();
        assert_eq!(diff_ids(&config)[..2], diff_ids(&base_config)[..], "{format}");
        assert_eq!(config["history"].as_array().unwrap().len(), {
            base_config["history"].as_array().unwrap().len() + 2
        });
        let settings = &config["config"];
        assert_eq!(settings["User"], Value::Null, "{settings}");
        assert_eq!(settings["Labels"]["a"], "b");
        assert!(settings["ExposedPorts"]["80/tcp"].is_object());
        assert!(settings["Entrypoint"].to_string().contains("/.module-export/enter"));
        let variables = settings["Env"].to_string();
        assert!(variables.contains("FROM_BASE=yes") && !variables.contains("PYTHONPATH"));
        let path = variables.split("\"PATH=").nth(1).unwrap();
        let (ours, theirs) = (path.find("/apps/tool/1.0/bin"), path.find("/opt/tools"));
        assert!(ours.is_some() && ours < theirs, "{path}");
        assert_complete(&env, &image, true, format);
    }
    let image = env.work().join("x.oci");
    for layer in &of_base {
        let name = layer.as_str().unwrap().replace(':', "/");
        let blob = |top: &Path| fs::read(top.join("blobs").join(&name)).unwrap();
        assert!(blob(&image) == blob(&layout), "{name}");
    }
    let bundle = env.root().join("unpacked");
    let image = format!("{}:{}", image.display(), "2026-11-22");
    run(&env, &umoci, &["unpack", "--rootless", "--image", &image, bundle.to_str().unwrap()]);
    let inside = bundle.join("rootfs");
    assert_eq!(fs::read(inside.join("opt/data/two")).unwrap(), b"two");
    assert!(!inside.join("opt/data/one").exists() && !inside.join("opt/old/file").exists());
    let mode = fs::metadata(inside.join("opt/data/two")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "a layer that is kept keeps its modes");
}

#[test]
fn what_cannot_be_a_base_is_refused_with_a_way_out() {
    let env = session();
    let Some(root) = small_root(&env) else { return };
    let copy = |name: &str| {
        let to = env.root().join(name);
        let words = ["--archive", root.to_str().unwrap(), to.to_str().unwrap()];
        run(&env, Path::new("/bin/cp"), &words);
        to
    };
    fs::remove_file(copy("no-shell").join("usr/bin/sh")).unwrap();
    let foreign = copy("foreign").join("usr/bin/busybox");
    let mut program = fs::read(&foreign).unwrap();
    program[18] ^= 0x40;
    fs::write(&foreign, program).unwrap();
    env.program("script/bin/sh", "#!/bin/true\n");
    fs::create_dir_all(env.root().join("empty")).unwrap();
    env.write("noise", "neither this nor that");
    let bytes = fs::read(tool("busybox").unwrap()).unwrap();
    env.write("file/bin/sh", &bytes);
    let blocked = env.root().components().nth(2).unwrap();
    env.write(format!("file/tmp/{}", blocked.as_os_str().to_str().unwrap()), "a file");
    for (base, status, words) in [
        ("no-shell", 1, "has no /bin/sh, without which no image of modules starts: choose another"),
        ("foreign", 1, "is for another kind of CPU than the modules"),
        ("script", 1, "no program of Linux"),
        ("empty", 1, "has no /bin/sh"),
        ("noise", 1, "is no readable image"),
        ("gone:1.0", 2, "skopeo copy docker://"),
        ("file", 1, "cannot lie over the base `file`"),
    ] {
        let ran = export(&env, &env.root().join(base).display().to_string(), "");
        assert!(ran.status == status && ran.stderr.contains(words), "{base}: {ran}");
        assert_eq!(fs::read_dir(env.work()).unwrap().count(), 0, "{base}");
    }
    let ran = export(&env, "/", "");
    assert!(ran.status == 1 && ran.stderr.contains("the root of this machine"), "{ran}");
    let ran = export(&env, "compat", "");
    assert!(ran.status == 3, "a word keeps its meaning: {ran}");
    fs::rename(&root, env.work().join("host")).unwrap();
    export(&env, "./host", "--format tar").success();
    let image = Image::open(&env.work().join("x.tar")).unwrap();
    assert_eq!(text(&image, "/etc/os-release").unwrap(), "NAME=Small\n");
}

/// A layout whose only layer is `layer`.
fn layout_of(env: &TestEnv, layer: &[u8], architecture: &str) -> PathBuf {
    let top = env.root().join("crafted");
    let _ = fs::remove_dir_all(&top);
    let blob = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        env.write(format!("crafted/blobs/sha256/{digest}"), bytes);
        serde_json::json!({ "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let diff_id = format!("sha256:{}", Digest::of(layer));
    let layer = blob(layer);
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    });
    let config = blob(config.to_string().as_bytes());
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let mut manifest = blob(manifest.to_string().as_bytes());
    manifest["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "one" });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    env.write("crafted/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    env.write("crafted/index.json", index.to_string());
    top
}

/// A tar stream of these entries: a path, and a file's content or `>` and a link's target.
fn stream(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_ustar();
        // past the checks of the crate
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o755);
        header.set_mtime(1);
        if let Some(target) = content.strip_prefix(b">") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
            header.set_size(0);
        } else {
            header.set_size(content.len() as u64);
        }
        header.set_cksum();
        let content = if content.starts_with(b">") { &[][..] } else { content };
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn a_hostile_or_damaged_image_is_an_error_or_stays_inside() {
    let env = session();
    let Some(busybox) = tool("busybox") else { return };
    let shell = fs::read(busybox).unwrap();
    let shell = ("bin/sh", shell.as_slice());
    let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let outside = env.root().join("outside");
    fs::create_dir(&outside).unwrap();
    let up = format!(">{}", "../".repeat(20) + outside.to_str().unwrap().trim_start_matches('/'));
    let absolute = format!(">{}", outside.display());
    let name = env.root().file_name().unwrap().to_str().unwrap();
    let prefix = format!("tmp/{name}/apps");
    for (entries, words) in [
        (vec![shell, ("../escaped", b"x")], "leads out of it"),
        (vec![shell, ("a/../../escaped", b"x")], "leads out of it"),
        (vec![shell, ("loop", b">loop"), ("loop/x", b"x")], "circle"),
        (vec![shell, ("a", b"x"), ("a/b", b"x")], "is no directory, but has entries"),
        (vec![shell, ("link", b">")], "link to nothing"),
        (vec![shell, (&prefix, b">apps")], "circle"),
    ] {
        let layout = layout_of(&env, &stream(&entries), architecture);
        for format in ["tar", "oci", "sandbox"] {
            let ran = export(&env, layout.to_str().unwrap(), &format!("--format {format}"));
            assert!(ran.status == 1 && ran.stderr.contains(words), "{words}: {ran}");
        }
    }
    for link in [&up, &absolute] {
        let entries = [shell, (&prefix, link.as_bytes()), ("etc", link.as_bytes())];
        let layout = layout_of(&env, &stream(&entries), architecture);
        for format in ["sandbox", "tar"] {
            let ran = export(&env, layout.to_str().unwrap(), &format!("--format {format} --force"));
            ran.success();
            let image = Image::open(&env.work().join(format!("x.{format}"))).unwrap();
            let inside = format!("{}/tool/1.0/bin/tool", outside.display());
            assert!(text(&image, &inside).is_some(), "where the link leads inside the root");
        }
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing was written outside");
    fs::remove_dir_all(env.work().join("x.sandbox")).unwrap();
    fs::remove_file(env.work().join("x.tar")).unwrap();

    let whole = stream(&[shell]);
    let layout = layout_of(&env, &whole, architecture);
    let blob = layout.join("blobs/sha256").join(Digest::of(&whole).to_string());
    let refused = |base: &str, words: &str| {
        let ran = export(&env, base, "--format oci");
        assert!(ran.status == 1 && ran.stderr.contains(words), "{words}: {ran}");
        assert_eq!(fs::read_dir(env.work()).unwrap().count(), 0, "{words}");
    };
    let base = layout.to_str().unwrap();
    refused(&format!("{base}:two"), "no image with the tag `two`, but `one`");
    let mut flipped = whole.clone();
    flipped[1000] ^= 1;
    fs::write(&blob, &flipped).unwrap();
    refused(base, "damaged: its SHA-256 is");
    fs::write(&blob, &whole[..whole.len() / 2]).unwrap();
    refused(base, "damaged");
    fs::remove_file(&blob).unwrap();
    refused(base, "it has no `blobs/sha256/");
    refused(layout_of(&env, &whole, "riscv64").to_str().unwrap(), "it is for riscv64");
    let archive = env.write("cut.tar", &whole[..whole.len() / 2]);
    refused(archive.to_str().unwrap(), "cut.tar");
}
