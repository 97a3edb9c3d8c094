//! Our evaluation against real Lmod, on the closure of the deepest module that EasyBuild made, each
//! in a new process, in the same run.
//!
//! `cargo bench --bench modules -- [--lmod /…/libexec/lmod] [--rounds N]`: medians of N rounds (5) of
//! CPU and wall time and peak memory (of our two processes together), then how evaluation grows with
//! the number of modulefiles, in Lua and in Tcl. The Lmod is Debian's unless another is named.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for us alone")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Flavour → path → text; see `tests/lmod/easybuild/recorded.rs`.
type Trees = BTreeMap<String, BTreeMap<String, String>>;

const OURS: &str = env!("CARGO_BIN_EXE_module-export");

fn main() {
    let mut words: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut option = |name: &str, default: &str| {
        words.iter().position(|word| word == name).map_or(default.to_owned(), |at| {
            words.remove(at);
            words.remove(at)
        })
    };
    let rounds: usize = option("--rounds", "5").parse().unwrap();
    let lmod = option("--lmod", "/usr/share/lmod/lmod/libexec/lmod");
    let top = tempfile::tempdir().unwrap();
    closure(top.path(), &lmod, rounds);
    growth(top.path(), rounds);
    growth_of_tcl(top.path(), rounds);
}

fn trees() -> Trees {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/easybuild/trees.json.zst");
    let packed = fs::read(file).unwrap();
    let size = zstd_safe::get_frame_content_size(&packed).unwrap().unwrap();
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap());
    zstd_safe::decompress(&mut text, &packed).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// One load of the deepest module, by Lmod and by us.
fn closure(top: &Path, lmod: &str, rounds: usize) {
    let modules = top.join("easybuild");
    let tree = trees().remove("flat-lua").unwrap();
    for (path, text) in &tree {
        write(&modules.join(path), &text.replace("@EB@", &modules.display().to_string()));
    }
    let deepest = tree.keys().find(|path| path.starts_with("R-bundle-Bioconductor/"));
    let name = deepest.unwrap().trim_end_matches(".lua").to_owned();
    let real = || {
        let mut command = clean(Command::new(lmod), &modules);
        command.args(["bash", "load", &name]);
        command
    };
    let (loaded, theirs) = (count(ours(&modules, &name)), median(rounds, &real));
    let ours = median(rounds, &|| ours(&modules, &name));
    println!("{name}: {loaded} modules of {} in the tree, median of {rounds}", tree.len());
    println!("{:10} {:>8} {:>8} {:>8}", "", "CPU s", "wall s", "peak MB");
    println!("{:10} {:8.3} {:8.3} {:8.1}", "Lmod", theirs.cpu, theirs.wall, theirs.peak);
    println!(
        "{:10} {:8.3} {:8.3} {:8.1}   CPU 1/{:.0}, wall 1/{:.0}, memory 1/{:.1}",
        "ours",
        ours.cpu,
        ours.wall,
        ours.peak,
        theirs.cpu / ours.cpu,
        theirs.wall / ours.wall,
        theirs.peak / ours.peak,
    );
}

/// Loads of ever more modules, each of which depends on a few before it.
fn growth(top: &Path, rounds: usize) {
    println!(
        "\n{:10} {:>8} {:>8} {:>8} {:>12}",
        "modules", "CPU s", "wall s", "peak MB", "CPU µs each"
    );
    for size in [250, 500, 1000] {
        let modules = top.join(size.to_string());
        for at in 0..size {
            write(&modules.join(format!("m{at}/1.0.lua")), &modulefile(at));
        }
        let all = format!(
            "for i = 0, {} do depends_on(\"m\" .. math.floor(i) .. \"/1.0\") end\n",
            size - 1
        );
        write(&modules.join("all/1.0.lua"), &all);
        assert_eq!(count(ours(&modules, "all")), size + 1);
        let result = median(rounds, &|| ours(&modules, "all"));
        #[allow(clippy::cast_precision_loss, reason = "for people to read")]
        let each = result.cpu * 1e6 / size as f64;
        println!(
            "{size:10} {:8.3} {:8.3} {:8.1} {each:12.0}",
            result.cpu, result.wall, result.peak
        );
    }
}

/// The same of modulefiles in Tcl, which all look at the environment.
fn growth_of_tcl(top: &Path, rounds: usize) {
    for size in [250, 500, 1000] {
        let modules = top.join(format!("tcl{size}"));
        let mut all = "#%Module\n".to_owned();
        for at in 0..size {
            writeln!(all, "depends-on m{at}/1.0").unwrap();
            let text = format!(
                "#%Module\nset root /apps/software/m{at}/1.0\nprepend-path PATH $root/bin\n\
                 prepend-path LD_LIBRARY_PATH $root/lib\nsetenv EBROOTM{at} $root\n\
                 setenv HOME{at} $env(HOME)\n"
            );
            write(&modules.join(format!("m{at}/1.0")), &text);
        }
        write(&modules.join("all/1.0"), &all);
        assert_eq!(count(ours(&modules, "all")), size + 1);
        let result = median(rounds, &|| ours(&modules, "all"));
        #[allow(clippy::cast_precision_loss, reason = "for people to read")]
        let each = result.cpu * 1e6 / size as f64;
        println!(
            "{size:6} Tcl {:8.3} {:8.3} {:8.1} {each:12.0}",
            result.cpu, result.wall, result.peak
        );
    }
}

fn modulefile(at: usize) -> String {
    let root = format!("/apps/software/m{at}/1.0");
    let mut text = format!("help([==[m{at}]==])\nwhatis(\"m{at}\")\nlocal root = \"{root}\"\n");
    let before: BTreeSet<usize> =
        [1, 2, 5, 11].iter().filter_map(|step| at.checked_sub(*step)).collect();
    for one in before {
        writeln!(text, "depends_on(\"m{one}/1.0\")").unwrap();
    }
    for (variable, below) in
        [("PATH", "bin"), ("LD_LIBRARY_PATH", "lib"), ("CPATH", "include"), ("MANPATH", "man")]
    {
        writeln!(text, "prepend_path(\"{variable}\", pathJoin(root, \"{below}\"))").unwrap();
    }
    writeln!(text, "setenv(\"EBROOTM{at}\", root)").unwrap();
    text
}

fn clean(mut command: Command, modules: &Path) -> Command {
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
    command.env("MODULEPATH", modules).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn ours(modules: &Path, name: &str) -> Command {
    let mut command = clean(Command::new(OURS), modules);
    command.args(["env", "--clean", "--format", "json", name]);
    command
}

fn count(mut command: Command) -> usize {
    let output = command.stdout(Stdio::piped()).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    document["modules"].as_array().unwrap().len()
}

#[derive(Clone, Copy)]
struct Measured {
    wall: f64,
    cpu: f64,
    peak: f64,
}

fn median(rounds: usize, command: &dyn Fn() -> Command) -> Measured {
    let results: Vec<Measured> = (0..rounds).map(|_| measure(&command())).collect();
    let middle = |key: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = results.iter().map(key).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Measured { wall: middle(|m| m.wall), cpu: middle(|m| m.cpu), peak: middle(|m| m.peak) }
}

/// Runs a command to its end, under the shell's `time`, which knows of milliseconds. Peak memory is asked
/// for again and again, of every process below that shell.
fn measure(command: &Command) -> Measured {
    let mut shell = Command::new("bash");
    shell.args(["-c", "TIMEFORMAT='%R %U %S'; time \"$@\" >/dev/null 2>&1", "bash"]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = shell.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peaks: BTreeMap<u32, f64> = BTreeMap::new();
    while child.try_wait().unwrap().is_none() {
        for id in below(child.id()) {
            peaks.extend(peak_of(id).map(|found| (id, found)));
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    let times: Vec<f64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    Measured { wall: times[0], cpu: times[1] + times[2], peak: peaks.values().sum() }
}

/// The processes below this one.
fn below(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let children: Vec<u32> =
        children.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    children.iter().flat_map(|&child| std::iter::once(child).chain(below(child))).collect()
}

fn peak_of(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1000.0)
}
