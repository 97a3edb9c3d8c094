//! Runtimes and registries that nobody here wrote, and the OCI specification's own schemas.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use module_export::base::fs::sorted_dir;
use serde_json::{Value, json};

use super::export;
use crate::common::{TestEnv, as_ordinary_user, is_root, skip, tool};

/// Where Debian's `golang-github-opencontainers-image-spec-dev` has the schemas.
const SCHEMAS: &str = "/usr/share/gocode/src/github.com/opencontainers/image-spec/schema";

/// Prints what is wrong with the documents, a line each.
const VALIDATE: &str = r#"
import json, os, sys, warnings
warnings.simplefilter("ignore")
import jsonschema
load = lambda name: json.load(open(os.path.join(sys.argv[1], os.path.basename(name))))
for name, document in json.load(sys.stdin):
    schema = load(name)
    handlers = {"https": lambda uri: load(uri.split('#')[0])}
    resolver = jsonschema.RefResolver(schema["id"], schema, handlers=handlers)
    for error in jsonschema.Draft4Validator(schema, resolver=resolver).iter_errors(document):
        print(name, list(error.absolute_path), error.message)
"#;

/// What the schemas say against documents; `None` where there are no schemas or no validator.
fn objections(env: &TestEnv, documents: &[(&str, Value)]) -> Option<String> {
    if !Path::new(SCHEMAS).is_dir() {
        skip(&format!("{SCHEMAS} is not there (golang-github-opencontainers-image-spec-dev)"));
        return None;
    }
    let path = env.write("documents.json", json!(documents).to_string());
    let mut command = env.command("/usr/bin/python3");
    command.args(["-c", VALIDATE, SCHEMAS]).stdin(fs::File::open(path).unwrap());
    let ran = env.run(&mut command);
    if ran.stderr.contains("No module named 'jsonschema'") {
        skip("python3-jsonschema is not installed");
        return None;
    }
    Some(ran.success())
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn blob(layout: &Path, digest: &Value) -> PathBuf {
    layout.join("blobs").join(digest.as_str().unwrap().replace(':', "/"))
}

#[test]
fn every_document_of_a_layout_keeps_to_the_published_schemas() {
    for compression in ["gzip:1", "zstd:1", "none"] {
        let flags = format!("--format oci --compression {compression}");
        let Some(exported) = export("module load WhichTarget", &flags) else { return };
        let layout = exported.env.work().join("image.oci");
        let index = json_of(&layout.join("index.json"));
        let manifest = json_of(&blob(&layout, &index["manifests"][0]["digest"]));
        let config = json_of(&blob(&layout, &manifest["config"]["digest"]));
        let documents = [
            ("image-layout-schema.json", json_of(&layout.join("oci-layout"))),
            ("image-index-schema.json", index),
            ("image-manifest-schema.json", manifest),
            ("config-schema.json", config),
        ];
        let Some(found) = objections(&exported.env, &documents) else { return };
        assert_eq!(found, "", "{compression}");
        let places = [
            "/imageLayoutVersion",
            "/manifests/0/digest",
            "/layers/0/mediaType",
            "/rootfs/diff_ids",
        ];
        let spoilt =
            documents.clone().into_iter().zip(places).map(|((schema, mut document), at)| {
                *document.pointer_mut(at).unwrap() = json!(17);
                (schema, document)
            });
        let found = objections(&exported.env, &spoilt.collect::<Vec<_>>()).unwrap();
        for (schema, _) in documents {
            assert!(
                found.contains(schema),
                "a check by {schema} that cannot fail is none: {found}"
            );
        }
    }
}

/// Debian's registry on a port of this machine, as long as this value lives.
struct Registry {
    child: Child,
    address: String,
}

impl Registry {
    fn start(env: &TestEnv) -> Option<Self> {
        let program = tool("docker-registry")?;
        // free now, and nobody else is likely to take just this one
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let data = env.root().join("registry");
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp: {{addr: \"{address}\", secret: test}}\n",
            data.display()
        );
        let config = env.write("registry.yml", config);
        let mut command = env.command(program);
        command.arg("serve").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let registry = Self { child, address };
        for _ in 0..200 {
            if TcpStream::connect(&registry.address).is_ok() {
                return Some(registry);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the registry did not start");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // `sh -c 'exec …'`: the child is the registry itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_image_comes_back_from_a_registry_with_the_same_digests() {
    let Some(skopeo) = tool("skopeo") else { return };
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env) else { return };
    for compression in ["gzip:1", "zstd:1", "none"] {
        let flags = format!("--format oci --compression {compression}");
        let Some(exported) = export("module load WhichTarget", &flags) else { return };
        let layout = exported.env.work().join("image.oci");
        let index = json_of(&layout.join("index.json"));
        let tag = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
            .as_str()
            .unwrap();
        let name = compression.split(':').next().unwrap();
        let remote = format!("docker://{}/some/image:{name}", registry.address);
        let back = env.root().join(format!("back-{name}"));
        let copy = |from: &str, to: &str| {
            let mut copying = env.command(&skopeo);
            copying.args(["copy", "--quiet", "--insecure-policy", "--preserve-digests"]);
            copying.args(["--src-tls-verify=false", "--dest-tls-verify=false", from, to]);
            env.run(&mut copying).success();
        };
        copy(&format!("oci:{}:{tag}", layout.display()), &remote);
        copy(&remote, &format!("oci:{}:{tag}", back.display()));
        let returned = json_of(&back.join("index.json"));
        assert_eq!(returned["manifests"][0]["digest"], index["manifests"][0]["digest"], "{name}");
        let names = |layout: &Path| sorted_dir(&layout.join("blobs/sha256")).unwrap();
        assert_eq!(names(&back), names(&layout), "{name}");
        for digest in names(&layout) {
            let read = |layout: &Path| fs::read(layout.join("blobs/sha256").join(&digest)).unwrap();
            assert!(read(&back) == read(&layout), "{name}: {}", digest.display());
        }
    }
}

/// What runs podman where cgroups are of both kinds and limits may not be raised.
const PODMAN: &str = r#"set -e
umount -R /sys/fs/cgroup 2>/dev/null || :
mount -t cgroup2 none /sys/fs/cgroup
export CONTAINERS_CONF=$1/containers.conf
podman() { command podman --root "$1/root" --runroot "$1/run" --storage-driver overlay "${@:2}"; }
trap 'podman "$1" rmi --all --force >/dev/null 2>&1 || :' EXIT
podman "$1" load --quiet --input "$2"
files=$(ulimit -n)
podman "$1" run --rm --user 12345 --ulimit "nofile=$files:$files" --ulimit nproc=1000:1000 \
    "$(podman "$1" images --quiet | head -n 1)" sh -c "$3"
"#;

#[test]
fn podman_runs_it_as_any_user_who_reads_every_file() {
    if !is_root() {
        return skip("not root: no podman");
    }
    if tool("podman").is_none() || tool("crun").is_none() {
        return;
    }
    let flags = "--format oci-archive --compression none";
    let Some(exported) = export("module load MiniSim", flags) else { return };
    let env = &exported.env;
    env.write(
        "podman/containers.conf",
        "[containers]\ncgroups = \"disabled\"\nnetns = \"none\"\n[engine]\ncgroup_manager = \"cgroupfs\"\nruntime = \"crun\"\n",
    );
    let script = "id -u; minisim; find / -xdev -type f -path '/proc/*' -prune -o -type f ! -readable -print; \
                  find / -xdev -type d ! '(' -readable -executable ')' -print; \
                  find /cvmfs -type f -exec cat '{}' + >/dev/null; echo all read";
    let mut command = env.command("unshare");
    command.args(["--mount", "--propagation", "private", "bash", "-c", PODMAN, "bash"]);
    command.arg(env.root().join("podman")).arg(env.work().join("image.oci.tar")).arg(script);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let ran = env.run(&mut command);
    let unable =
        ["permission denied", "operation not permitted", "Operation not permitted", "fuse"];
    if ran.status != 0
        && unable.iter().any(|text| ran.stderr.contains(text))
        && !ran.stdout.contains("12345")
    {
        return skip(&format!("podman cannot run here: {}", ran.stderr));
    }
    let target = &exported.session["EESSI_SOFTWARE_SUBDIR"];
    let ran = ran.success();
    let (loaded, ran) = ran.split_once('\n').unwrap();
    assert!(loaded.starts_with("Loaded image: localhost/image:2"), "{loaded}");
    assert_eq!(ran, format!("12345\n{target} J0(1)=0.765198 dot=30\nall read\n"));
}

#[test]
fn bubblewrap_runs_a_sandbox_for_an_ordinary_user() {
    let Some(bwrap) = tool("bwrap") else { return };
    let Some(exported) = export("module load MiniSim", "--format sandbox --compression none")
    else {
        return;
    };
    let env = &exported.env;
    let mut command = env.command(bwrap);
    command.arg("--ro-bind").arg(env.work().join("image.sandbox")).arg("/");
    command.args([
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--tmpfs",
        "/tmp",
        "--unshare-all",
        "--clearenv",
    ]);
    command.args(["--chdir", "/", "/.module-export/enter", "minisim"]);
    let Some(mut command) = as_ordinary_user(&command) else { return };
    let ran = env.run(&mut command);
    let target = &exported.session["EESSI_SOFTWARE_SUBDIR"];
    assert_eq!(ran.success(), format!("{target} J0(1)=0.765198 dot=30\n"));
}

#[test]
fn an_ordinary_user_reads_every_file_of_a_mounted_image() {
    if !is_root() {
        return skip("not root: no kernel mount");
    }
    let flags = "--format squashfs --compression zstd:1";
    let Some(exported) = export("module load MiniSim", flags) else { return };
    let env = &exported.env;
    let mount = "mount -t squashfs -o loop,ro \"$0\" /mnt && cd /mnt && exec setpriv --reuid 12345 --regid 12345 \
                 --clear-groups -- find . -type f -exec cat {} + -o -type d ! '(' -readable -executable ')' -print | wc -c";
    let mut command = env.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", mount]);
    let ran = env.run(command.arg(env.work().join("image.squashfs")));
    if ran.stderr.contains("unknown filesystem") || ran.stderr.contains("loop device") {
        return skip(&format!("the kernel cannot mount squashfs here: {}", ran.stderr));
    }
    assert_eq!(ran.stderr, "");
    let read: u64 = ran.success().trim().parse().unwrap();
    assert!(read > 50 << 20, "{read} bytes");
}

#[test]
fn umoci_unpacks_an_exported_layout_for_an_ordinary_user_to_read() {
    let (Some(umoci), true) = (tool("umoci"), is_root()) else {
        return skip("umoci as root");
    };
    let Some(exported) = export("module load WhichTarget", "--format oci --compression gzip:1")
    else {
        return;
    };
    let env = &exported.env;
    let layout = env.work().join("image.oci");
    let index = json_of(&layout.join("index.json"));
    let tag =
        index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
    let image = format!("{}:{tag}", layout.display());
    let bundle = env.root().join("bundle");
    env.run(env.command(umoci).args(["unpack", "--image", &image]).arg(&bundle)).success();
    fs::set_permissions(&bundle, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new("find");
    command.arg(bundle.join("rootfs")).args(["!", "-type", "l", "!", "-readable", "-print"]);
    let Some(mut command) = as_ordinary_user(&command) else { return };
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(output.status.success() && bundle.join("rootfs/cvmfs").is_dir());
}
