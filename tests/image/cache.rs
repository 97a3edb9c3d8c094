//! Images made with what earlier ones left in a cache.

use std::collections::BTreeMap;
use std::fs::{self, File as HostFile, FileTimes};
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use module_export::base::{Digest, Interrupt, Silent, fs::sorted_dir};
use module_export::image::{
    Cache, CacheError, CacheOptions, CacheUse, Compression, FileDigest, Format, ImageError, Target,
    write,
};
use module_export::rootfs::{Content, File, Rootfs, Symlink};
use rustix::fs::inotify;

use super::groups::text;
use super::tools::{is_root, run};
use super::tree::{IMPLIED, Shown, bytes, noise, on_disk, path};
use super::write::{image_options, sif_options};
use crate::common::skip;

/// Every format, with a compression that is quick.
const FORMATS: [(Format, Compression); 10] = [
    (Format::Sif, Compression::Zstd(1)),
    (Format::Squashfs, Compression::Gzip(1)),
    (Format::Squashfs, Compression::None),
    (Format::Oci, Compression::Gzip(1)),
    (Format::OciArchive, Compression::Zstd(1)),
    (Format::DockerArchive, Compression::None),
    (Format::Tar, Compression::None),
    (Format::TarGz, Compression::Gzip(1)),
    (Format::TarZst, Compression::Zstd(1)),
    (Format::Sandbox, Compression::None),
];

/// Installations on disk.
struct Stack {
    top: tempfile::TempDir,
}

/// Names of the installations; what `image_options` gives a layer of its own is first.
const INSTALLATIONS: [&str; 4] = ["one", "two", "three", "four"];

impl Stack {
    fn new() -> Self {
        let stack = Self { top: tempfile::tempdir().unwrap() };
        for (number, name) in INSTALLATIONS.iter().enumerate() {
            let seed = number as u64 * 100;
            for file in 0..40 {
                stack.put(&format!("{name}/{file:02}"), &text(seed + file, 17_000 + 100 * number));
            }
            let large = if *name == "two" { 5 << 20 } else { 700_000 };
            stack.put(&format!("{name}/large"), &text(seed + 50, large));
            stack.put(&format!("{name}/holes"), &[noise(seed, 9000), vec![0; 600_000]].concat());
            stack.put(&format!("{name}/licence"), &text(7777, 3000));
            stack.put(&format!("{name}/licence.large"), &text(8888, 300_000));
            stack.put(&format!("{name}/empty"), b"");
        }
        stack
    }

    fn at(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn rootfs(&self) -> Rootfs {
        let mut rootfs = Rootfs::new(IMPLIED);
        for name in INSTALLATIONS {
            let directory = self.at(name);
            for file in sorted_dir(&directory).unwrap() {
                let host = directory.join(&file);
                let at = path(format!("/opt/{name}/{}", file.to_str().unwrap()));
                let (size, reason) = (host.metadata().unwrap().len(), format!("{name}:").into());
                let file = File { size, content: Content::Host(host), reason, ..bytes("") };
                rootfs.add_file(&at, file).unwrap();
            }
            let target = b"00".to_vec();
            let link = Symlink { mtime: IMPLIED.mtime, target, reason: format!("{name}:").into() };
            rootfs.add_symlink(&path(format!("/opt/{name}/link")), link).unwrap();
        }
        let made = File { reason: "generated:".into(), ..bytes("made for the image") };
        rootfs.add_file(&path("/etc/made"), made).unwrap();
        let late = File { content: Content::Late, size: 0, ..bytes("") };
        rootfs.add_file(&path("/list"), late).unwrap();
        rootfs
    }
}

/// A cache in `directory` that trusts files of this moment.
fn options(directory: &Path) -> CacheOptions {
    CacheOptions { settled: Duration::ZERO, ..CacheOptions::new(directory.to_owned()) }
}

/// What an export gives: the image's bytes, or the files of a directory.
fn export(
    rootfs: &Rootfs,
    (format, compression): (Format, Compression),
    jobs: usize,
    cache: Option<Arc<Cache>>,
) -> Result<Vec<u8>, ImageError> {
    let work = tempfile::tempdir().unwrap();
    let at = work.path().join("image");
    let mut sif = sif_options();
    sif.squashfs.compression = compression;
    sif.squashfs.jobs = NonZeroUsize::new(jobs).unwrap();
    sif.squashfs.readers = NonZeroUsize::new(8).unwrap();
    sif.squashfs.cache = cache;
    // a document that tells every digest
    let list = rootfs.files().iter().position(|file| file.content == Content::Late).unwrap();
    let mut late = |digests: &[Option<FileDigest>]| {
        let mut id = None;
        rootfs.walk(|_, node| {
            if let module_export::rootfs::Node::File(file) = node
                && file.index() == list
            {
                id = Some(*file);
            }
        });
        vec![(id.unwrap(), format!("{digests:?}").into_bytes())]
    };
    let options = image_options(&sif);
    let (progress, interrupt) = (&Silent, &Interrupt::default());
    if format.is_directory() {
        fs::create_dir(&at).unwrap();
        let target = Target::Directory(&at);
        write(rootfs, format, &options, target, &mut late, progress, interrupt)?;
        let mut tree = on_disk(&at);
        if format == Format::Oci {
            // the time of writing is that of its files
            for shown in tree.values_mut() {
                match shown {
                    Shown::Directory(_, time) | Shown::File(_, time, ..) => *time = 0,
                    _ => {}
                }
            }
        }
        return Ok(format!("{tree:?}").into_bytes());
    }
    let mut out = HostFile::options().read(true).write(true).create_new(true).open(&at).unwrap();
    let target = Target::File(&mut out);
    let written = write(rootfs, format, &options, target, &mut late, progress, interrupt)?;
    let image = fs::read(at).unwrap();
    assert_eq!(written.digest, Some(Digest::of(&image)));
    Ok(image)
}

/// The same with the cache in `directory`, and what that saved.
fn cached(
    rootfs: &Rootfs,
    format: (Format, Compression),
    jobs: usize,
    options: CacheOptions,
) -> (Vec<u8>, CacheUse, Vec<String>) {
    let cache = Arc::new(Cache::open(options).unwrap());
    let image = export(rootfs, format, jobs, Some(cache.clone())).unwrap();
    cache.finish();
    (image, cache.usage(), cache.warnings())
}

fn same(got: &[u8], want: &[u8], what: &str) {
    let differs = got.iter().zip(want).position(|(a, b)| a != b);
    if got.len() < 5000 {
        assert_eq!(String::from_utf8_lossy(got), String::from_utf8_lossy(want), "{what}");
    }
    assert!(got == want, "{what}: {} and {} bytes, {differs:?}", got.len(), want.len());
}

#[test]
fn images_have_the_same_bytes_with_a_cache_and_without() {
    let stack = Stack::new();
    for (number, format) in FORMATS.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let rootfs = stack.rootfs();
        let files = (rootfs.files().len() - 2) as u64;
        let cold = export(&rootfs, format, 2, None).unwrap();
        for (jobs, is_warm) in [(2, false), (1, true), (7, true)] {
            let (image, used, warnings) = cached(&rootfs, format, jobs, options(directory.path()));
            same(&image, &cold, &format!("{format:?}, {jobs} jobs"));
            assert_eq!(warnings, [] as [&str; 0]);
            if format.0 != Format::Sandbox {
                assert_eq!(used.known_files, if is_warm { files } else { 0 }, "{format:?}");
                // the late document and the piece that it is in
                assert!(!is_warm || used.added_bytes < 30_000, "{format:?}: {used:?}");
                assert!(!is_warm || used.found > 5, "{format:?}: {used:?}");
            }
        }
        for (change, size) in [("two/large", (5 << 20) + 1), ("four/x", 9)] {
            stack.put(change, &text(1000 + number as u64, size));
            let rootfs = stack.rootfs();
            let cold = export(&rootfs, format, 1, None).unwrap();
            for jobs in [2, 1] {
                let (image, used, _) = cached(&rootfs, format, jobs, options(directory.path()));
                same(&image, &cold, &format!("{format:?}, {jobs} jobs, {change} changed"));
                let is_new = u64::from(jobs == 2);
                assert!(format.0 == Format::Sandbox || used.known_files >= files - is_new);
            }
        }
    }
}

/// Counts what is opened below `directories`.
struct Watched(rustix::fd::OwnedFd);

impl Watched {
    fn new(stack: &Stack) -> Self {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        for name in INSTALLATIONS {
            inotify::add_watch(&fd, stack.at(name), inotify::WatchFlags::OPEN).unwrap();
        }
        Self(fd)
    }

    fn opened(&self) -> usize {
        let mut buffer = vec![std::mem::MaybeUninit::uninit(); 1 << 16];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        let mut opened = 0;
        while let Ok(event) = events.next() {
            let is_directory = event.events().contains(inotify::ReadFlags::ISDIR);
            opened += usize::from(!is_directory);
        }
        opened
    }
}

#[test]
fn nothing_is_opened_that_is_known() {
    let stack = Stack::new();
    for format in FORMATS.into_iter().filter(|(format, _)| *format != Format::Sandbox) {
        let directory = tempfile::tempdir().unwrap();
        let rootfs = stack.rootfs();
        let watched = Watched::new(&stack);
        cached(&rootfs, format, 2, options(directory.path()));
        assert_eq!(watched.opened(), rootfs.files().len() - 2, "{format:?}: all are read at first");
        cached(&rootfs, format, 2, options(directory.path()));
        assert_eq!(watched.opened(), 0, "{format:?}");
        stack.put("three/large", &text(31, 700_000));
        let rootfs = stack.rootfs();
        watched.opened();
        cached(&rootfs, format, 2, options(directory.path()));
        let opened = watched.opened();
        assert!((1..=40).contains(&opened), "{format:?}: {opened} after one has changed");
    }
}

#[test]
fn a_change_that_only_its_inode_tells_is_noticed() {
    let stack = Stack::new();
    let directory = tempfile::tempdir().unwrap();
    let format = (Format::TarZst, Compression::Zstd(1));
    let first = cached(&stack.rootfs(), format, 2, options(directory.path())).0;
    for name in ["one/03", "two/large"] {
        let old = stack.at(name).metadata().unwrap();
        let content = text(4242, usize::try_from(old.len()).unwrap());
        let file = HostFile::options().write(true).open(stack.at(name)).unwrap();
        std::io::Write::write_all(&mut &file, &content).unwrap();
        file.set_times(FileTimes::new().set_modified(old.modified().unwrap())).unwrap();
        let new = file.metadata().unwrap();
        let shown = |found: &fs::Metadata| (found.ino(), found.len(), found.modified().unwrap());
        assert_eq!(shown(&old), shown(&new));
    }
    let (second, used, _) = cached(&stack.rootfs(), format, 2, options(directory.path()));
    assert_ne!(first, second);
    same(&second, &export(&stack.rootfs(), format, 2, None).unwrap(), "as without a cache");
    assert_eq!(used.known_files, (stack.rootfs().files().len() - 4) as u64);
}

#[test]
fn a_file_that_was_just_written_is_not_trusted() {
    let stack = Stack::new();
    let directory = tempfile::tempdir().unwrap();
    let format = (Format::Squashfs, Compression::Zstd(1));
    let default = || CacheOptions::new(directory.path().to_owned());
    assert_eq!(default().settled, Duration::from_secs(2));
    for _ in 0..2 {
        stack.put("one/00", b"young");
        let (_, used, _) = cached(&stack.rootfs(), format, 2, default());
        let old = stack.at("two/00").metadata().unwrap().modified().unwrap().elapsed().unwrap();
        if old < Duration::from_secs(2) {
            assert_eq!(used.known_files, 0);
        }
    }
    std::thread::sleep(Duration::from_millis(2100));
    stack.put("one/00", b"young");
    cached(&stack.rootfs(), format, 2, default());
    let (_, used, _) = cached(&stack.rootfs(), format, 2, default());
    assert_eq!(used.known_files, (stack.rootfs().files().len() - 3) as u64, "all but that one");
}

fn packs(directory: &Path) -> Vec<PathBuf> {
    let names = sorted_dir(directory).unwrap();
    let paths = names.iter().map(|name| directory.join(name));
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "pack")).collect()
}

#[test]
fn a_damaged_cache_gives_the_same_image() {
    let stack = Stack::new();
    let rootfs = stack.rootfs();
    for format in [(Format::Sif, Compression::Zstd(1)), (Format::OciArchive, Compression::Gzip(1))]
    {
        let directory = tempfile::tempdir().unwrap();
        let cold = cached(&rootfs, format, 2, options(directory.path())).0;
        let [pack] = &packs(directory.path())[..] else { panic!("one pack was written") };
        let whole = fs::read(pack).unwrap();
        let mut warned = 0;
        for step in 0..12 {
            let at = step * (whole.len() - 1) / 11;
            let mut broken = whole.clone();
            if step % 3 == 0 {
                broken.truncate(at);
            } else {
                broken[at] ^= 1;
            }
            for old in packs(directory.path()) {
                fs::remove_file(old).unwrap();
            }
            fs::write(pack, broken).unwrap();
            let (image, _, warnings) = cached(&rootfs, format, 2, options(directory.path()));
            same(&image, &cold, &format!("{format:?}, broken at {at} of {}", whole.len()));
            warned += usize::from(!warnings.is_empty());
            let (image, used, warnings) = cached(&rootfs, format, 2, options(directory.path()));
            same(&image, &cold, "mended");
            assert!(warnings.is_empty() && used.found > 5, "{at}: {warnings:?}, {used:?}");
        }
        assert!(warned > 8, "{warned} of 12 were noticed");
    }
}

#[test]
fn several_exports_share_a_cache_at_the_same_time() {
    let stack = Stack::new();
    let directory = tempfile::tempdir().unwrap();
    let rootfs = stack.rootfs();
    let format = (Format::Squashfs, Compression::Zstd(1));
    let cold = export(&rootfs, format, 2, None).unwrap();
    std::thread::scope(|scope| {
        for jobs in [1, 2, 3, 4] {
            let (rootfs, cold, directory) = (&rootfs, &cold, directory.path());
            scope.spawn(move || {
                for round in 0..2 {
                    // so small that they push each other's out
                    let limit = if jobs % 2 == 0 { 4 << 20 } else { 1 << 30 };
                    let options = CacheOptions { limit, ..options(directory) };
                    let (image, _, warnings) = cached(rootfs, format, jobs, options);
                    same(&image, cold, &format!("{jobs} jobs, round {round}"));
                    assert_eq!(warnings, [] as [&str; 0]);
                }
            });
        }
    });
    let files = sorted_dir(directory.path()).unwrap().len();
    assert_eq!(files, packs(directory.path()).len() + 1, "the lock, and no half pack");
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let format = (Format::Squashfs, Compression::None);
    let limit = 30 << 20;
    let small = || CacheOptions { limit, ..options(directory.path()) };
    let (first, second) = (Stack::new(), Stack::new());
    for name in INSTALLATIONS {
        second.put(&format!("{name}/large"), &noise(9, 2 << 20));
        second.put(&format!("{name}/more"), &noise(10, 3 << 20));
    }
    for stack in [&first, &second, &first, &second, &second] {
        let rootfs = stack.rootfs();
        let (image, _, warnings) = cached(&rootfs, format, 2, small());
        same(&image, &export(&rootfs, format, 2, None).unwrap(), "with little room");
        assert_eq!(warnings, [] as [&str; 0]);
        let kept: u64 =
            packs(directory.path()).iter().map(|pack| pack.metadata().unwrap().len()).sum();
        assert!(kept <= limit && kept > 0, "{kept}");
    }
    let (_, used, _) = cached(&second.rootfs(), format, 2, small());
    assert!(used.found > 5, "the last one is still there: {used:?}");
}

#[test]
fn a_forged_entry_is_found_by_reading_everything_again() {
    let stack = Stack::new();
    let (good, evil) = (text(1, 20_000), text(2, 20_000));
    stack.put("one/good", &good);
    stack.put("one/evil", &evil);
    let directory = tempfile::tempdir().unwrap();
    let format = (Format::Sif, Compression::Zstd(1));
    let rootfs = stack.rootfs();
    let verify = || CacheOptions { verify: true, ..options(directory.path()) };
    let cold = cached(&rootfs, format, 2, options(directory.path())).0;
    same(&cached(&rootfs, format, 2, verify()).0, &cold, "verified");
    // the one is said to have the other's content; tables and their digest are the last thing
    let [pack] = &packs(directory.path())[..] else { panic!("one pack was written") };
    let mut forged = fs::read(pack).unwrap();
    let (from, to) = (Digest::of(&good), Digest::of(&evil));
    let at = forged.windows(32).rposition(|window| window == from.as_bytes()).unwrap();
    forged[at..at + 32].copy_from_slice(to.as_bytes());
    let footer = forged.len() - 64;
    let number = |at: usize| u64::from_le_bytes(forged[at..at + 8].try_into().unwrap());
    let tables = usize::try_from(number(footer) * 44 + number(footer + 8) * 64).unwrap();
    let digest = blake3::hash(&forged[footer - tables..footer]);
    forged[footer + 16..footer + 48].copy_from_slice(digest.as_bytes());
    fs::write(pack, &forged).unwrap();
    assert_ne!(cached(&rootfs, format, 2, options(directory.path())).0, cold, "it is believed");
    let cache = Arc::new(Cache::open(verify()).unwrap());
    let error = export(&rootfs, format, 2, Some(cache)).unwrap_err();
    assert!(error.to_string().contains("one/good"), "{error}");
    assert!(matches!(error, ImageError::CacheDiffers { .. }), "{error:?}");
}

#[test]
fn a_cache_that_others_can_write_to_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mode =
        |mode| fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
    for bits in [0o770, 0o707, 0o777, 0o722] {
        mode(bits);
        let error = Cache::open(options(directory.path())).unwrap_err();
        assert!(matches!(error, CacheError::Refused { .. }), "{bits:o}: {error}");
    }
    mode(0o755);
    let stack = Stack::new();
    let rootfs = stack.rootfs();
    cached(&rootfs, (Format::Sif, Compression::Zstd(1)), 2, options(directory.path()));
    for pack in packs(directory.path()) {
        assert_eq!(pack.metadata().unwrap().mode() & 0o777, 0o600);
    }
    let new = directory.path().join("a/new/one");
    Cache::open(options(&new)).unwrap();
    assert_eq!(new.metadata().unwrap().mode() & 0o777, 0o700);
    if !is_root() {
        return skip("not root: nobody else's directory to try");
    }
    std::os::unix::fs::chown(directory.path(), Some(12_345), None).unwrap();
    let error = Cache::open(options(directory.path())).unwrap_err();
    assert!(error.to_string().contains("belongs to somebody else"), "{error}");
}

#[test]
fn what_a_killed_export_left_is_cleared_and_a_running_ones_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (left, stack) = (directory.path().join("0123456789abcdef.part"), Stack::new());
    let format = (Format::Sif, Compression::Zstd(1));
    fs::write(&left, "half a pack").unwrap();
    fs::set_permissions(&left, fs::Permissions::from_mode(0o600)).unwrap();
    let running = HostFile::open(&left).unwrap();
    rustix::fs::flock(&running, rustix::fs::FlockOperation::LockExclusive).unwrap();
    cached(&stack.rootfs(), format, 2, options(directory.path()));
    assert!(left.exists(), "somebody still writes it");
    drop(running);
    // never finished: as good as killed
    let cache = Arc::new(Cache::open(options(directory.path())).unwrap());
    stack.put("one/00", b"new");
    export(&stack.rootfs(), format, 2, Some(cache)).unwrap();
    assert!(!left.exists());
    let (image, ..) = cached(&stack.rootfs(), format, 2, options(directory.path()));
    same(&image, &export(&stack.rootfs(), format, 2, None).unwrap(), "after a killed one");
    let files = sorted_dir(directory.path()).unwrap().len();
    assert_eq!(files, packs(directory.path()).len() + 1, "the lock, and no half pack");
}

#[test]
fn a_full_disk_ends_the_cache_and_not_the_export() {
    if !is_root() {
        return skip("not root: no small file system to try");
    }
    let directory = tempfile::tempdir().unwrap();
    let mut mount = std::process::Command::new("mount");
    run(mount.args(["-t", "tmpfs", "-o", "size=16m,mode=700", "none"]).arg(directory.path()));
    let format = (Format::Squashfs, Compression::None);
    let stack = Stack::new();
    let rootfs = stack.rootfs();
    let cold = export(&rootfs, format, 2, None).unwrap();
    let mut results = Vec::new();
    for fill in [11 << 20, 16 << 20] {
        let cache = Arc::new(Cache::open(options(directory.path())).unwrap());
        let _ = fs::write(directory.path().join("other"), vec![1; fill]);
        let image = export(&rootfs, format, 2, Some(cache.clone())).unwrap();
        cache.finish();
        results.push((image, cache.warnings()));
        fs::remove_file(directory.path().join("other")).unwrap();
    }
    run(std::process::Command::new("umount").arg(directory.path()));
    for (image, warnings) in results {
        same(&image, &cold, "on a full disk");
        let warning = warnings.first().map_or("", |warning| warning);
        assert!(warning.contains("nothing more is kept"), "{warnings:?}");
    }
}

#[test]
fn other_compressions_and_block_sizes_do_not_meet_in_a_cache() {
    let stack = Stack::new();
    let directory = tempfile::tempdir().unwrap();
    let rootfs = stack.rootfs();
    let mut images: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for round in 0..2 {
        for format in FORMATS {
            let cold = images
                .entry(format!("{format:?}"))
                .or_insert_with(|| export(&rootfs, format, 2, None).unwrap());
            let (image, ..) = cached(&rootfs, format, 2, options(directory.path()));
            same(&image, cold, &format!("{format:?}, round {round}"));
        }
        let other = (Format::Squashfs, Compression::Gzip(2));
        let (image, ..) = cached(&rootfs, other, 2, options(directory.path()));
        same(&image, &export(&rootfs, other, 2, None).unwrap(), "another level");
    }
}
