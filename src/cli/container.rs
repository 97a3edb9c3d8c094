//! `container`: from words to an image.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::{BaseName, Container};
use super::asked::{Asked, NAME_BYTES, Purpose, asked};
use super::beneath::{self, Foundation};
use super::bytecode;
use super::caching::Caching;
use super::context::Context;
use super::diagnose::Failure;
use super::drift;
use super::finish::{self, Wanted};
use super::freeze;
use super::frozen::Frozen;
use super::gate;
use super::output::{Kind, Output};
use super::privacy;
use super::proof;
use super::report::Report;
use super::terminal::Terminal;
use super::wish::Wish;
use crate::assemble::{self, Assembled, Codec, Identity};
use crate::audit::Finding;
use crate::base::{ByteSize, Epoch, Escaped, Progress as _};
use crate::closure::{self, Base, Closure, Slim};
use crate::image::{self, Identifier, ImageOptions, OciOptions, SifOptions, SquashfsOptions, oci};
use crate::rootfs::Rootfs;
use crate::stack::Stack;

/// Freezes the session into an image, and says what became of it.
pub(super) fn container(
    context: &Context,
    words: &Container,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let report = export(context, words, terminal)?;
    report.show(terminal);
    print(words, &report)
}

/// Freezes the session into an image.
pub(super) fn export(
    context: &Context,
    words: &Container,
    terminal: &Terminal,
) -> anyhow::Result<Report> {
    let started = Instant::now();
    context.end_at_second_signal()?;
    let (asked, frozen) = freeze(context, words, Purpose::Export, terminal)?;
    let begun = drift::Begun::look(context, &asked.include);
    let place = place(words, &asked, &frozen);
    let mut output =
        Output::begin(&words.destination, &place.file_name, place.kind(words), words.force)?;
    let gathered = gather(context, words, &asked, frozen, terminal)?;
    let mut prepared = prepare(context, words, &asked, gathered, terminal)?;
    proof::judge(&mut prepared.assembled, &prepared.findings, words.allow_incomplete, terminal)?;
    let verdict = prepared.verdict();
    gate::end_if_strict(words, (&prepared.warnings, &verdict), terminal)?;
    let written = write(context, words, &asked, &prepared, &mut output, terminal);
    // what a failed export compressed is of use to the next one
    if let Some(caching) = &asked.caching {
        caching.finish();
        prepared.warnings.extend(caching.warnings());
    }
    let (written, identifier) = written?;
    let repositories = gate::look_again(words, begun, &mut prepared.warnings, terminal)?;
    let path = output.commit()?;
    let Prepared { frozen, assembled, slim, warnings, findings, .. } = prepared;
    let (files, content_bytes) = totals(&assembled.rootfs);
    Ok(Report {
        image: absolute(&path),
        size: ByteSize(written.size),
        sha256: written.digest,
        format: words.format.to_string(),
        kind: words.format,
        manifest_digest: written.manifest,
        identifier,
        files,
        content_bytes,
        cache: asked.caching.as_ref().and_then(Caching::report),
        seconds: started.elapsed().as_secs_f64(),
        manifest: assembled.manifest,
        slim,
        warnings,
        findings,
        verdict,
        repositories,
        differences: frozen.differences,
        foreign: frozen.foreign,
        commands: frozen.evaluation.commands,
    })
}

/// The files of an image that is to be.
pub(super) struct Gathered {
    frozen: Frozen,
    foundation: Option<Foundation>,
    pub(super) closure: Closure,
    /// Everything the user should know, each a sentence.
    pub(super) warnings: Vec<String>,
}

/// Everything that is decided before an image is written.
pub(super) struct Prepared {
    pub(super) frozen: Frozen,
    foundation: Option<Foundation>,
    pub(super) assembled: Assembled,
    /// What `--slim` left out.
    pub(super) slim: Option<Slim>,
    /// Everything the user should know, each a sentence.
    pub(super) warnings: Vec<String>,
    /// What the proof of completeness found.
    pub(super) findings: Vec<Finding>,
}

impl Prepared {
    /// The base of which layers are kept as they are, if that is done.
    fn kept(&self) -> Option<&Foundation> {
        self.foundation.as_ref().filter(|foundation| foundation.kept().is_some())
    }
}

/// What an image is called in its directory, and its tag where a layout takes several.
pub(super) struct ImageName {
    pub(super) file_name: String,
    tag: String,
}

impl ImageName {
    /// What the image will be.
    pub(super) fn kind<'a>(&'a self, words: &'a Container) -> Kind<'a> {
        match words.format {
            image::Format::Oci => Kind::Layout(&self.tag),
            format if format.is_directory() => Kind::Directory,
            _ => Kind::File(words.tmpdir.as_deref()),
        }
    }
}

/// Checks what was asked for, and evaluates the modulefiles.
pub(super) fn freeze(
    context: &Context,
    words: &Container,
    purpose: Purpose,
    terminal: &Terminal,
) -> anyhow::Result<(Asked, Frozen)> {
    let asked = asked(context, words, purpose)?;
    terminal.stage("evaluating modulefiles", None, None);
    let wish = Wish {
        modules: words.modules.clone(),
        generic: words.generic,
        evaluation: words.evaluation.clone(),
    };
    let frozen = freeze::freeze(context, &wish)?;
    terminal.finish();
    Ok((asked, frozen))
}

/// Where the image goes.
pub(super) fn place(words: &Container, asked: &Asked, frozen: &Frozen) -> ImageName {
    let identity = identity(asked, frozen);
    let file_name = format!("{}.{}", identity.name, words.format.extension());
    ImageName { file_name, tag: oci::reference(&identity.name, &identity.version).1 }
}

/// Finds everything that goes into the image.
pub(super) fn gather(
    context: &Context,
    words: &Container,
    asked: &Asked,
    mut frozen: Frozen,
    terminal: &Terminal,
) -> anyhow::Result<Gathered> {
    let foundation = lay_foundation(context, words, &frozen, terminal)?;
    let mut closure =
        resolve(context, words, asked, &frozen, foundation.as_ref(), words.slim, terminal)?;
    if let Some(foundation) = &foundation {
        foundation.carry(&mut closure)?;
    }
    log::debug!(
        "closure: {} files, {} omissions, {} bind points",
        closure.rootfs.files().len(),
        closure.omissions.len(),
        closure.bind_points.len()
    );
    let mut warnings = warnings(context, words, asked, &mut frozen, &closure);
    warnings.extend(bytecode::warning(&closure.rootfs, asked.epoch));
    Ok(Gathered { frozen, foundation, closure, warnings })
}

/// Files and bytes of what `--slim` would pack; `None` where it leaves nothing out.
pub(super) fn if_slim(
    context: &Context,
    words: &Container,
    asked: &Asked,
    gathered: &Gathered,
    terminal: &Terminal,
) -> anyhow::Result<Option<(u64, ByteSize)>> {
    if words.slim || gathered.foundation.is_some() {
        return Ok(None);
    }
    let closure = resolve(context, words, asked, &gathered.frozen, None, true, terminal)?;
    Ok(Some(totals(&closure.rootfs)))
}

/// Puts the image together, as far as that goes without writing it, and looks for what it lacks.
pub(super) fn prepare(
    context: &Context,
    words: &Container,
    asked: &Asked,
    gathered: Gathered,
    terminal: &Terminal,
) -> anyhow::Result<Prepared> {
    let Gathered { frozen, foundation, mut closure, mut warnings } = gathered;
    let (looks, slim) = (std::mem::take(&mut closure.looks), closure.slim.clone());
    let assembled = put_together(context, words, &frozen, closure, foundation.as_ref(), asked)?;
    warnings.extend(privacy::warnings(context, words, &assembled, &frozen, &warnings)?);
    let findings =
        proof::find(&assembled, (&looks, foundation.as_ref()), terminal, &context.interrupt)?;
    Ok(Prepared { frozen, foundation, assembled, slim, warnings, findings })
}

/// At most so many bytes are written for the image.
pub(super) fn needed_space(words: &Container, prepared: &Prepared) -> ByteSize {
    let kept = prepared.kept();
    let above = kept.map(|kept| prepared.assembled.rootfs.above(kept.rootfs()));
    let rootfs = above.as_ref().unwrap_or(&prepared.assembled.rootfs);
    let estimate = image::estimate_bytes(rootfs, words.format);
    ByteSize(estimate.saturating_add(kept.map_or(0, Foundation::kept_bytes)))
}

fn default_name(frozen: &Frozen) -> String {
    let last = frozen.evaluation.modules.last().map_or("modules", |module| &module.full_name);
    let prefix = if matches!(frozen.stack, Stack::Eessi(_)) { "EESSI_" } else { "" };
    let name = format!("{prefix}{}", Escaped(last).to_string().replace('/', "_"));
    let fits = |&(at, c): &(usize, char)| at + c.len_utf8() <= NAME_BYTES;
    name.char_indices().take_while(fits).map(|(_, c)| c).collect()
}

fn base_of(words: &Container, frozen: &Frozen) -> Result<Base, Failure> {
    match (&words.base, &frozen.stack) {
        (Some(BaseName::Image(_)), _) => Ok(Base::Foreign),
        (Some(BaseName::Host), _) | (None, Stack::Site) => Ok(Base::Host),
        (Some(BaseName::Compat) | None, Stack::Eessi(_)) => Ok(Base::CompatibilityLayer),
        (Some(BaseName::Compat), Stack::Site) => Err(Failure::WrongSession(
            "--base compat needs an EESSI session: this site has no compatibility layer".to_owned(),
        )),
    }
}

/// Opens the base that was named, and checks that it will do.
fn lay_foundation(
    context: &Context,
    words: &Container,
    frozen: &Frozen,
    terminal: &Terminal,
) -> anyhow::Result<Option<Foundation>> {
    let architecture = finish::architecture_of(&frozen.stack)?;
    let foundation = beneath::open(context, words, architecture, terminal)?;
    if let Some(foundation) = &foundation {
        foundation.check(architecture, matches!(frozen.stack, Stack::Eessi(_)))?;
    }
    Ok(foundation)
}

fn resolve(
    context: &Context,
    words: &Container,
    asked: &Asked,
    frozen: &Frozen,
    foundation: Option<&Foundation>,
    slim: bool,
    terminal: &Terminal,
) -> anyhow::Result<Closure> {
    let home: Vec<_> = context.environment.get("HOME").map(PathBuf::from).into_iter().collect();
    let list = |name: &str| -> Vec<PathBuf> {
        let list = frozen.variables.get(name).map(|list| crate::session::split_path(list));
        list.unwrap_or_default().into_iter().map(Into::into).collect()
    };
    let path = list("PATH");
    let library_path = frozen.variables.get("LD_LIBRARY_PATH");
    let library_path = library_path.map(|list| crate::elf::library_path(list)).unwrap_or_default();
    let modules = frozen.module_files();
    let judgement = asked.licences.judge(frozen)?;
    let request = closure::Request {
        modules: &modules,
        stack: &frozen.stack,
        base: base_of(words, frozen)?,
        beneath: foundation.map(Foundation::rootfs),
        include: &asked.include,
        exclude: &words.exclude,
        private: &home,
        path: &path,
        library_path: &library_path,
        stripped: &judgement.stripped,
        lmod: frozen.lmod.as_ref(),
        slim: slim.then_some(&frozen.variables),
    };
    let mut closure = closure::resolve(&request, terminal, &context.interrupt)?;
    asked.licences.check_files(frozen, &closure)?;
    closure.restricted = judgement.restricted;
    Ok(closure)
}

fn warnings(
    context: &Context,
    words: &Container,
    asked: &Asked,
    frozen: &mut Frozen,
    closure: &Closure,
) -> Vec<String> {
    let mut warnings = std::mem::take(&mut frozen.warnings);
    let not_text =
        |name: &String| format!("the variable {} is not UTF-8 and was ignored", Escaped(name));
    warnings.extend(context.not_text.iter().map(not_text));
    warnings.extend(frozen.differences.iter().map(ToString::to_string));
    let foreign = frozen.foreign.iter();
    let foreign = foreign.filter(|one| !finish::is_packed(&closure.rootfs, &one.path));
    warnings.extend(foreign.map(ToString::to_string));
    warnings.extend(closure.warnings.iter().cloned());
    warnings.extend(gate::warnings(&asked.licences, words, frozen, closure));
    if let Some(home) = context.environment.get("HOME") {
        warnings.extend(super::personal::warnings(frozen, Path::new(home), &closure.rootfs));
    }
    warnings
}

fn put_together(
    context: &Context,
    words: &Container,
    frozen: &Frozen,
    closure: Closure,
    foundation: Option<&Foundation>,
    asked: &Asked,
) -> anyhow::Result<Assembled> {
    let codec = Codec {
        compression: asked.compression.name().to_owned(),
        level: asked.compression.level().map(u32::from),
        library: asked.compression.library(),
    };
    let wanted = Wanted {
        identity: identity(asked, frozen),
        codec,
        base: base_of(words, frozen)?,
        foundation,
        epoch: asked.epoch,
        include: &asked.include,
    };
    let assembly = finish::assembly(&context.environment, frozen, closure, wanted);
    Ok(assemble::assemble(assembly)?)
}

fn identity(asked: &Asked, frozen: &Frozen) -> Identity {
    Identity {
        name: asked.name.clone().unwrap_or_else(|| default_name(frozen)),
        authors: asked.authors.clone(),
        version: asked.version.clone(),
    }
}

fn write(
    context: &Context,
    words: &Container,
    asked: &Asked,
    prepared: &Prepared,
    output: &mut Output,
    terminal: &Terminal,
) -> anyhow::Result<(image::Written, Option<String>)> {
    let (assembled, kept) = (&prepared.assembled, prepared.kept());
    output.check_space(needed_space(words, prepared))?;
    let above = kept.map(|kept| assembled.rootfs.above(kept.rootfs()));
    let rootfs = above.as_ref().unwrap_or(&assembled.rootfs);
    let time = asked.epoch.unwrap_or(Epoch::GENERATED);
    let squashfs = SquashfsOptions {
        compression: asked.compression,
        jobs: asked.jobs,
        cache: asked.caching.as_ref().and_then(Caching::cache),
        ..SquashfsOptions::default()
    };
    let sif = SifOptions {
        architecture: finish::architecture(&assembled.manifest)?,
        definition: assembled.definition.clone().into_bytes(),
        inspect_metadata: assembled.inspect_metadata.clone().into_bytes(),
        identifier: Identifier::default(),
        sbom: assembled.sbom.clone().into_bytes(),
        time,
        squashfs,
    };
    let identifier = sif.identifier.clone();
    let oci = OciOptions {
        identifier: identifier.clone(),
        ..oci_options(words, (assembled, rootfs), kept, sif.architecture)?
    };
    let options = ImageOptions { sif, oci };
    let mut failure = None;
    let mut late = |digests: &[Option<image::FileDigest>]| {
        let contents = |id: crate::rootfs::FileId| {
            let read = digests.get(id.index()).copied().flatten();
            let image::FileDigest { size, sha256, sha1_git } =
                read.or_else(|| kept.and_then(|kept| kept.file_digest(id)))?;
            Some(assemble::Contents { size, sha256, sha1_git })
        };
        let made = assembled.late(contents).map_err(|error| failure = Some(error));
        let Ok(late) = made else { return Vec::new() };
        if let Some(text) = late.identifier {
            identifier.set(text);
        }
        late.documents
    };
    let written = image::write(
        rootfs,
        words.format,
        &options,
        output.target(),
        &mut late,
        terminal,
        &context.interrupt,
    )?;
    terminal.finish();
    match failure {
        Some(error) => Err(error.into()),
        None => Ok((written, options.sif.identifier.get().map(str::to_owned))),
    }
}

fn oci_options(
    words: &Container,
    (assembled, rootfs): (&Assembled, &Rootfs),
    kept: Option<&Foundation>,
    architecture: image::sif::Architecture,
) -> Result<OciOptions, Failure> {
    let manifest = &assembled.manifest;
    let (repository, tag) = oci::reference(&manifest.name, &manifest.version);
    let author = manifest.authors.join(", ");
    let time = manifest.epoch.unwrap_or(Epoch::GENERATED).timestamp();
    let modules: Vec<_> = manifest.modules.iter().map(|module| module.name.as_str()).collect();
    let annotations = [
        ("org.opencontainers.image.title", manifest.name.clone()),
        ("org.opencontainers.image.version", manifest.version.clone()),
        ("org.opencontainers.image.authors", author.clone()),
        ("org.opencontainers.image.created", time),
        (
            "org.opencontainers.image.description",
            format!("Environment modules: {}", modules.join(", ")),
        ),
    ];
    // the last layer is not among these
    let budget = usize::from(words.layers);
    let budget = kept.map_or(Ok(budget), |kept| kept.layers_left(budget))?.saturating_sub(1);
    let layers = assemble::layers(rootfs, &manifest.modules, budget);
    let mut annotations: std::collections::BTreeMap<_, _> =
        annotations.map(|(name, value)| (name.to_owned(), value)).into();
    let base = kept.and_then(Foundation::kept).cloned();
    if let Some(base) = &base {
        let digest = format!("sha256:{}", base.manifest());
        annotations.insert("org.opencontainers.image.base.digest".to_owned(), digest);
    }
    Ok(OciOptions {
        architecture,
        repository,
        tag,
        author,
        variables: assembled.environment.clone(),
        entrypoint: vec![assemble::ENTRYPOINT.to_owned()],
        command: vec![assemble::SHELL.to_owned()],
        annotations,
        identifier: Identifier::default(),
        layers: oci::LayerPlan::new(layers, assemble::GENERATED_LAYER),
        base,
    })
}

/// Files of an image, and their bytes.
pub(super) fn totals(rootfs: &Rootfs) -> (u64, ByteSize) {
    let files = rootfs.files();
    (files.len() as u64, ByteSize(files.iter().map(|file| file.size).sum()))
}

fn print(words: &Container, report: &Report) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if words.talk.json {
        serde_json::to_writer_pretty(&mut stdout, report).map_err(std::io::Error::from)?;
        writeln!(stdout)?;
    } else {
        use std::os::unix::ffi::OsStrExt as _;
        stdout.write_all(report.image.as_os_str().as_bytes())?;
        writeln!(stdout)?;
    }
    Ok(stdout.flush()?)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
