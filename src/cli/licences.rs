//! The image's folder of licences.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::assemble::{BaseLayer, ManifestModule};
use crate::attest::easyconfig;
use crate::attest::licences::{Component, index, readme};
use crate::closure::{Closure, is_licence};
use crate::rootfs::{Directory, Node, Rootfs, image_path};
use crate::stack::{Package, Source};

/// The folder's place in an image.
const FOLDER: &str = "/.module-export/licenses";

/// The files of the folder, by their paths below it.
pub(super) fn documents(
    modules: &[ManifestModule],
    closure: &Closure,
    base: &BaseLayer,
) -> BTreeMap<String, Vec<u8>> {
    let rootfs = &closure.rootfs;
    let of_base = base.name.iter().map(|name| Component {
        kind: "base",
        name: name.clone(),
        version: base.digest.map(|digest| format!("sha256:{digest}")),
        ..Component::default()
    });
    let packages = &closure.packages;
    let components: Vec<_> = modules
        .iter()
        .map(|module| of_module(module, rootfs))
        .chain(of_base)
        .chain(packages.packages.iter().map(|package| of_package(package, closure)))
        .collect();
    let texts = packages.texts.iter();
    let texts = texts.map(|(name, text)| (format!("texts/{name}"), text.clone()));
    let documents = [
        ("index.json".to_owned(), index(&components).into_bytes()),
        ("README.txt".to_owned(), readme(&components).into_bytes()),
    ];
    documents.into_iter().chain(texts).collect()
}

fn of_module(module: &ManifestModule, rootfs: &Rootfs) -> Component {
    let origin = module.prefixes.iter().find_map(|prefix| easyconfig::find(prefix));
    let origin = origin.unwrap_or_default();
    let version = module.name.rsplit_once('/').map(|(_, version)| version.to_owned());
    let files = module.prefixes.iter().flat_map(|prefix| licence_files(rootfs, prefix));
    Component {
        kind: "module",
        name: module.name.clone(),
        version: origin.version.or(version),
        license: origin.licence,
        homepage: origin.homepage,
        sources: origin.sources,
        license_files: files.collect(),
    }
}

fn of_package(package: &Package, closure: &Closure) -> Component {
    let own = package.documents.iter().flat_map(|at| licence_files(&closure.rootfs, at));
    let named = package.texts.iter().filter(|name| closure.packages.texts.contains_key(*name));
    let named = named.map(|name| format!("{FOLDER}/texts/{name}"));
    Component {
        kind: "package",
        name: package.name.clone(),
        version: package.version.clone(),
        license: package.licence.clone(),
        homepage: package.homepage.clone(),
        sources: package.sources.iter().map(Source::clone).collect(),
        license_files: own.chain(named).collect(),
    }
}

/// Licence files of the image at and below `top`, in byte order.
fn licence_files(rootfs: &Rootfs, top: &Path) -> Vec<String> {
    let Ok(at) = image_path(top) else { return Vec::new() };
    let mut found = Vec::new();
    if let Some(Node::Directory(directory)) = rootfs.get(&at) {
        gather(directory, at.as_path(), &mut found);
    }
    found.iter().map(|path| path.to_string_lossy().into_owned()).collect()
}

fn gather(directory: &Directory, at: &Path, found: &mut Vec<PathBuf>) {
    for (name, node) in directory.entries() {
        let name = std::ffi::OsStr::from_bytes(name);
        match node {
            Node::Directory(below) => gather(below, &at.join(name), found),
            Node::File(_) | Node::Symlink(_) if is_licence(name) => found.push(at.join(name)),
            _ => {}
        }
    }
}
