//! Images of any format, written by us.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use module_export::base::{Epoch, Interrupt, Silent};
use module_export::image::oci::LayerPlan;
use module_export::image::sif::SifOptions;
use module_export::image::{
    FileDigest, Format, Identifier, ImageError, ImageOptions, OciOptions, SquashfsOptions, Target,
    Written, write,
};
use module_export::rootfs::{FileId, Rootfs};

/// What `apptainer inspect` is to say.
pub(super) const INSPECT: &str = r##"{"data":{"attributes":{"labels":{"Author":"A. Author","Version":"1"},
"environment":{},"runscript":"#!/bin/sh\nexec \"$@\"\n","deffile":"Bootstrap: module-export\n"}},"type":"container"}"##;

/// Options of a SIF.
pub(super) fn sif_options() -> SifOptions {
    SifOptions {
        architecture: std::env::consts::ARCH.parse().unwrap(),
        definition: b"Bootstrap: module-export\n%environment\n  export A=1\n".to_vec(),
        inspect_metadata: INSPECT.into(),
        identifier: Identifier::default(),
        sbom: b"{\"spdxVersion\":\"SPDX-2.3\"}\n".to_vec(),
        time: Epoch::from_seconds(1_700_000_000),
        squashfs: SquashfsOptions::default(),
    }
}

/// Options of every format: files whose reason is `one:` or `two:` have layers of their own.
pub(super) fn image_options(sif: &SifOptions) -> ImageOptions {
    let layers = ["one", "two"].map(|name| (name.to_owned(), vec![format!("{name}:")]));
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let oci = OciOptions {
        architecture: sif.architecture,
        repository: "some/image".to_owned(),
        tag: "1.0".to_owned(),
        author: "A. Author".to_owned(),
        variables: [("PATH", "/bin"), ("FROZEN", "two words")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        entrypoint: words(&["/bin/env"]),
        command: words(&["/bin/sh", "-c", "echo started"]),
        annotations: [("org.opencontainers.image.title".to_owned(), "some image".to_owned())]
            .into(),
        identifier: Identifier::default(),
        layers: LayerPlan::new(layers.into(), "rest"),
        base: None,
    };
    ImageOptions { sif: sif.clone(), oci }
}

/// Writes an image to `at`, with these late documents.
pub(crate) fn try_write(
    at: &Path,
    rootfs: &Rootfs,
    format: Format,
    options: &ImageOptions,
    documents: &BTreeMap<FileId, Vec<u8>>,
) -> Result<Written, ImageError> {
    let mut late = |digests: &[Option<FileDigest>]| {
        assert!(digests.iter().filter(|digest| digest.is_none()).count() >= documents.len());
        documents.iter().map(|(id, bytes)| (*id, bytes.clone())).collect()
    };
    let (progress, interrupt) = (&Silent, &Interrupt::default());
    if format.is_directory() {
        fs::create_dir_all(at).unwrap();
        let target = Target::Directory(at);
        return write(rootfs, format, options, target, &mut late, progress, interrupt);
    }
    let mut out = fs::OpenOptions::new();
    let mut out = out.read(true).write(true).create(true).truncate(true).open(at).unwrap();
    write(rootfs, format, options, Target::File(&mut out), &mut late, progress, interrupt)
}

/// Writes an image without late documents to `at`.
pub(super) fn write_format(
    at: &Path,
    rootfs: &Rootfs,
    format: Format,
    sif: &SifOptions,
) -> Written {
    try_write(at, rootfs, format, &image_options(sif), &BTreeMap::new()).unwrap()
}
