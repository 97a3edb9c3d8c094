//! `verify` of images that lack one thing: written anew without it, looked at where their stack is
//! not.
//!
//! `REMOVALS=200 cargo test --test main what_is_taken -- --nocapture` takes more; `SEED` chooses them
//! again, and `SESSION`, commands of a shell, what is exported.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use module_export::base::fs::sorted_dir;

use super::session::{Session, eessi, shell};
use super::verify::{export, findings, verify_without_stack};
use crate::common::{TestEnv, tool};

/// What a file needs, by what `ld.so`, first lines of scripts and links say. Nothing of this comes
/// from the graph that is under test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    user: PathBuf,
    /// As the user asks for it: links on the way.
    path: PathBuf,
}

/// Something that is taken out, and those who need it.
#[derive(Debug)]
struct Victim {
    path: PathBuf,
    /// Programs, libraries and scripts that need it, as they ask for it.
    needs: Vec<Need>,
    /// Links that lead to it or through it.
    links: Vec<PathBuf>,
}

/// Everything below the directory `top` of the image in `image` but directories, by their paths in
/// the image.
fn files_below(image: &Path, top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in sorted_dir(&inside(image, top)).unwrap() {
        let path = top.join(name);
        if std::fs::symlink_metadata(inside(image, &path)).unwrap().is_dir() {
            found.extend(files_below(image, &path));
        } else {
            found.push(path);
        }
    }
    found
}

fn inside(image: &Path, path: &Path) -> PathBuf {
    image.join(path.strip_prefix("/").unwrap())
}

/// The links that `path` leads through in the image, and where it ends; `None` if it leads to
/// nothing, or round in a circle.
fn follow(image: &Path, path: &Path) -> Option<(Vec<PathBuf>, PathBuf)> {
    let names = |path: &Path| -> Vec<PathBuf> {
        let names = path.iter().filter(|name| *name != "/" && *name != ".");
        let mut names: Vec<_> = names.map(PathBuf::from).collect();
        names.reverse();
        names
    };
    let (mut todo, mut at, mut links) = (names(path), PathBuf::from("/"), Vec::new());
    while let Some(name) = todo.pop() {
        if name == Path::new("..") {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let Ok(target) = std::fs::read_link(inside(image, &next)) else {
            at = next;
            continue;
        };
        links.push(next);
        if links.len() > 40 {
            return None;
        }
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        todo.extend(names(&target));
    }
    std::fs::symlink_metadata(inside(image, &at)).is_ok().then_some((links, at))
}

/// What the programs, libraries and scripts of `files`, which lie at the same paths here, need.
fn needs(files: &[PathBuf], session: &Session) -> BTreeSet<Need> {
    let loader = session["EPREFIX"].clone() + "/lib64/ld-linux-x86-64.so.2";
    let mut needs = BTreeSet::new();
    for user in files {
        let Ok(metadata) = std::fs::symlink_metadata(user) else { continue };
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            continue;
        }
        let bytes = std::fs::read(user).unwrap();
        let paths = if bytes.starts_with(b"#!/") {
            let line = String::from_utf8_lossy(&bytes).lines().next().unwrap()[2..].to_owned();
            interpreters(&line, &session["PATH"])
        } else if bytes.starts_with(b"\x7fELF") {
            libraries(user, &loader)
        } else {
            Vec::new()
        };
        needs.extend(paths.into_iter().map(|path| Need { user: user.clone(), path }));
    }
    needs
}

/// The program that a first line names, and the one that `env` is to look for.
fn interpreters(line: &str, path: &str) -> Vec<PathBuf> {
    let mut words = line.split_whitespace();
    let first = PathBuf::from(words.next().unwrap());
    let name = words.next().filter(|word| first.ends_with("env") && !word.starts_with('-'));
    let candidates = name.map(|name| path.split(':').map(move |at| Path::new(at).join(name)));
    let found = candidates.into_iter().flatten().find(|candidate| candidate.is_file());
    [first].into_iter().chain(found).collect()
}

/// What `ld.so` loads for an ELF file, itself too.
fn libraries(file: &Path, loader: &str) -> Vec<PathBuf> {
    let mut command = Command::new(loader);
    let shown = command.arg(file).env_clear().env("LD_TRACE_LOADED_OBJECTS", "1").output();
    let shown = String::from_utf8_lossy(&shown.unwrap().stdout).into_owned();
    let path = |line: &str| {
        line.split(" => ").last().unwrap().split(" (0x").next().unwrap().trim().to_owned()
    };
    shown.lines().map(path).filter(|path| path.starts_with('/')).map(PathBuf::from).collect()
}

/// Everything that something needs, and every link, with who needs it.
fn victims(image: &Path, session: &Session) -> Vec<Victim> {
    let stack = files_below(image, Path::new("/cvmfs"));
    let mut found: BTreeMap<PathBuf, Victim> = BTreeMap::new();
    let mut victim = |path: &Path, need: Option<&Need>, link: Option<&Path>| {
        let new = Victim { path: path.to_owned(), needs: Vec::new(), links: Vec::new() };
        let victim = found.entry(path.to_owned()).or_insert(new);
        victim.needs.extend(need.cloned());
        victim.links.extend(link.map(Path::to_owned));
    };
    for need in needs(&stack, session) {
        let Some((links, end)) = follow(image, &need.path) else { continue };
        for path in links.iter().chain([&end]) {
            victim(path, Some(&need), None);
        }
    }
    for link in files_below(image, Path::new("/")) {
        if !inside(image, &link).is_symlink() {
            continue;
        }
        victim(&link, None, None);
        let through = follow(image, &link).map(|(through, _)| through);
        for path in through.iter().flatten().filter(|path| **path != link) {
            victim(path, None, Some(&link));
        }
    }
    found.into_values().collect()
}

/// Writes the tree anew: every fifth time as a squashfs, else as an archive.
fn write(env: &TestEnv, image: &Path, number: usize) -> PathBuf {
    let mksquashfs = if number % 5 == 4 { tool("mksquashfs") } else { None };
    let again = env.root().join(if mksquashfs.is_some() { "again.squashfs" } else { "again.tar" });
    let _ = std::fs::remove_file(&again);
    let mut command = if let Some(mksquashfs) = mksquashfs {
        let mut command = env.command(mksquashfs);
        command.arg(image).arg(&again).args(["-comp", "zstd", "-Xcompression-level", "1"]);
        command.args(["-no-xattrs", "-quiet", "-no-progress"]);
        command
    } else {
        let mut command = env.command("tar");
        command.arg("-C").arg(image).arg("-cf").arg(&again).arg(".");
        command
    };
    env.run(&mut command).success();
    again
}

/// Whether these errors name one of those who need the victim.
fn names_a_user(errors: &[String], victim: &Victim, readelf: &Path) -> bool {
    let is_named = |error: &String| {
        let (check, rest) = error.split_once(' ').unwrap();
        let (named, need) = rest.rsplit_once(": ").unwrap();
        let mut needs = victim.needs.iter();
        match check {
            "script" | "interpreter" => {
                needs.any(|n| Path::new(named) == n.user || Path::new(need) == n.path)
            }
            "library" => {
                let shown = Command::new(readelf).arg("-d").arg(named).output().unwrap();
                String::from_utf8_lossy(&shown.stdout).contains(&format!("[{need}]"))
                    && needs.any(|n| n.path.file_name() == Path::new(need).file_name())
            }
            _ => false,
        }
    };
    errors.iter().any(is_named)
}

#[test]
fn what_is_taken_out_of_an_image_is_named_with_its_user() {
    let env = TestEnv::new();
    let Some(readelf) = tool("readelf") else { return };
    let session = match std::env::var("SESSION") {
        Ok(commands) => Some(shell(&env, &commands)),
        Err(_) => eessi(&env, "module load MiniSim"),
    };
    let Some(session) = session else { return };
    let image = export(&env, &session, "--format sandbox");
    let number = |name: &str, default: u64| -> u64 {
        std::env::var_os(name).map_or(default, |text| text.to_str().unwrap().parse().unwrap())
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut state = number("SEED", now);
    let removals = usize::try_from(number("REMOVALS", 10)).unwrap();
    eprintln!("SEED={state}");
    // links of terminals and the like are many
    let (mut needed, mut others): (Vec<_>, Vec<_>) = victims(&image, &session)
        .into_iter()
        .partition(|victim| !victim.needs.is_empty() || !victim.links.is_empty());
    eprintln!("{} things that others need, {} links besides", needed.len(), others.len());
    assert!(needed.len() > 40 && needed.len() + others.len() >= removals.max(200));
    let (mut with_user, mut of_links, mut alone) = (0, 0, 0);
    for round in 0..removals {
        // Knuth's
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let is_other = round % 4 == 3 || needed.is_empty();
        let from = if is_other && !others.is_empty() { &mut others } else { &mut needed };
        let victim = from.swap_remove(usize::try_from(state >> 33).unwrap() % from.len());
        let kept = env.root().join("kept");
        std::fs::rename(inside(&image, &victim.path), &kept).unwrap();
        let again = write(&env, &image, round);
        std::fs::rename(&kept, inside(&image, &victim.path)).unwrap();
        let Some(ran) = verify_without_stack(&env, &again) else { return };
        let errors = findings(&ran, "error");
        let why = format!("{victim:#?}\n{errors:#?}\n{}", ran.stderr);
        assert_eq!(ran.status, 5, "{why}");
        let shown = victim.path.display();
        assert!(errors.contains(&format!("list {shown}: {shown}")), "{why}");
        for link in &victim.links {
            let start = format!("link {}: ", link.display());
            assert!(errors.iter().any(|error| error.starts_with(&start)), "{start}\n{why}");
        }
        if !victim.needs.is_empty() {
            assert!(names_a_user(&errors, &victim, &readelf), "{why}");
            with_user += 1;
        }
        of_links += usize::from(!victim.links.is_empty());
        alone += usize::from(victim.needs.is_empty() && victim.links.is_empty());
    }
    eprintln!(
        "{removals} taken: {with_user} that files need, {of_links} that links lead to, {alone} links that nothing needs"
    );
}
