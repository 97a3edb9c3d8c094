//! The words of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::Epoch;
use crate::image::{Compression, Format};
use crate::stack::LuaVersion;

/// Freeze the environment modules you have loaded into one container image that runs anywhere
#[derive(Debug, Parser)]
#[command(
    name = "module-export",
    bin_name = "module-export",
    version,
    max_term_width = 100,
    propagate_version = false
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Freeze the loaded modules (or those named) into an image
    ///
    /// With modules loaded: module-export container -a "A. Author". The image's path is printed to
    /// stdout, everything else to stderr.
    #[command(visible_alias = "export-container", disable_version_flag = true)]
    Container(Box<Container>),
    /// Say what `container` would do with the same words, and write nothing
    ///
    /// Modules with their files and bytes, bytes by reasons, the biggest files, the space that is
    /// needed, what the proof of completeness finds. An author is not needed. The status is the one
    /// with which `container` would end.
    #[command(disable_version_flag = true, mut_args = hidden_in_plan)]
    Plan(Box<Container>),
    /// Evaluate modulefiles and print the environment they make
    Env(EnvVerb),
    /// Show author, version, modules and sizes of an image
    Inspect(Inspect),
    /// Check every digest of an image, and that nothing in it lacks anything
    ///
    /// Looks at the image alone. Status 5 if anything is altered or missing.
    Verify(Verify),
    /// Say why a file is in an image: the chain of reasons to what the user asked for
    ///
    /// As in: module-export why GROMACS.sif /bin/sh
    ///
    /// Links inside the image are followed, a directory is summed up by reasons, a name without `/`
    /// is looked for everywhere. Status 1, with the reason where there is one, for what is not in
    /// the image.
    Why(Why),
    /// Say what two images differ in: modules, environment, files
    ///
    /// As in: module-export diff old.sif new.sif
    ///
    /// The images may be of different formats. Of files, content, size, mode and target count,
    /// times do not. Status 0 whether they differ or not.
    Diff(Diff),
    /// Run a command in an image without any container runtime
    ///
    /// As in: module-export run GROMACS.sif -- gmx --version
    ///
    /// Needs user namespaces; where they are forbidden it says so and names the Apptainer command.
    Run(Run),
    /// Print the code that adds `module export …` to a shell
    ///
    /// After Lmod's own start-up file, on the command line or in the shell's own:
    ///
    ///   bash   source <(module-export hook bash)
    ///   zsh    source <(module-export hook zsh)
    ///   ksh    eval "$(module-export hook ksh)"
    ///   fish   module-export hook fish | source
    ///   tcsh   eval `module-export hook tcsh`
    #[command(verbatim_doc_comment)]
    Hook(Hook),
    /// Make a small sample stack from this machine's own programs, load it, export it, run it
    Demo(Demo),
}

/// Flags that say how an image is written: `plan` takes them, and they change nothing.
fn hidden_in_plan(arg: clap::Arg) -> clap::Arg {
    let only_for_writing = ["cache", "no_cache", "cache_verify", "jobs"];
    if only_for_writing.contains(&arg.get_id().as_str()) { arg.hide(true) } else { arg }
}

/// Messages and progress.
#[derive(Debug, Clone, Args)]
pub(super) struct Talk {
    /// Say more: every omission, every command that a modulefile ran
    #[arg(short = 'V', long, conflicts_with = "quiet", help_heading = "Output")]
    pub(super) verbose: bool,
    /// Say nothing but errors
    #[arg(short, long, help_heading = "Output")]
    pub(super) quiet: bool,
    /// Print the report as JSON to stdout
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
    /// Colours on stderr
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto, help_heading = "Output")]
    pub(super) color: When,
    /// Progress bar on stderr
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto, help_heading = "Output")]
    pub(super) progress: When,
}

impl Talk {
    /// Whether everything of a kind is to be named, and not only the first ones.
    pub(super) const fn names_all(&self) -> bool {
        self.verbose || self.json
    }
}

/// When to do something that only a terminal likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// If stderr is a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Container {
    /// Modules to load into a clean session instead of the loaded ones
    #[arg(value_name = "MODULE")]
    pub(super) modules: Vec<String>,
    /// Who publishes the image: `Name`, `Name <mail>`, `Name <https://orcid.org/…>`; repeatable
    #[arg(short, long = "author", value_name = "AUTHOR")]
    pub(super) author: Vec<String>,
    /// Name of the image (`/` becomes `_`); from the module loaded last if not given
    #[arg(short, long)]
    pub(super) name: Option<String>,
    /// Text appended to the version, which is the date
    #[arg(short = 'v', long = "version", value_name = "STRING")]
    pub(super) version: Option<String>,
    /// Existing directory in which the image lands
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(super) destination: PathBuf,
    /// Take the CPU family's generic build of every module in place of the tuned one
    #[arg(short, long)]
    pub(super) generic: bool,
    /// Kind of image: `sif`, `oci`, `oci-archive`, `docker-archive`, `tar`, `tar.gz`, `tar.zst`,
    /// `squashfs` or `sandbox`
    ///
    /// `oci` and `sandbox` are directories, made beside their final place; an image-layout that is
    /// there already is added to, under its version as tag.
    #[arg(short, long, value_name = "F", default_value_t = Format::Sif)]
    pub(super) format: Format,
    /// What lies under the modules: `compat` (EESSI's compatibility layer), `host` (this machine's own
    /// libraries and tools), or an image: a directory with a root file system, an OCI layout (`DIR` or
    /// `DIR:TAG`), an archive, a SIF or a squashfs [default: `compat` in EESSI, else `host`]
    ///
    /// An OCI image's layers are kept as they are in the formats `oci`, `oci-archive` and
    /// `docker-archive`; otherwise the base becomes a part of the image. `./host` names a directory.
    #[arg(long, value_name = "B")]
    pub(super) base: Option<BaseName>,
    /// Of what lies under the modules, only a core and what they reach
    ///
    /// Of a compatibility layer that leaves out compilers' headers, documentation, and every program
    /// that nothing packed names; `--include` adds some. Of this machine: tools for looking around.
    #[arg(long)]
    pub(super) slim: bool,
    /// `gzip`, `zstd`, `xz`, `lz4` or `none`, with a level as in `gzip:9`
    ///
    /// Every kernel mounts gzip; zstd is faster, but kernels before 4.14, EL7's and EL8's cannot
    /// mount it.
    #[arg(long, value_name = "C[:LEVEL]")]
    pub(super) compression: Option<Compression>,
    /// Layers of an OCI or Docker image, at most 100: what many modules need lies below
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) layers: u8,
    /// Directory for scratch; given explicitly, the image is built there and then moved
    #[arg(long, value_name = "DIR")]
    pub(super) tmpdir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) caching: CacheFlags,
    /// File or directory to add; repeatable
    #[arg(long, value_name = "PATH")]
    pub(super) include: Vec<PathBuf>,
    /// Pattern of absolute paths to leave out; repeatable
    #[arg(long, value_name = "GLOB")]
    pub(super) exclude: Vec<String>,
    /// Write the image although something in it lacks what it needs
    #[arg(long)]
    pub(super) allow_incomplete: bool,
    /// Pack software whose licence forbids to hand it on, since you have the right to or keep the
    /// image to yourself; the image records it
    #[arg(long)]
    pub(super) allow_restricted: bool,
    /// Threads [default: the cores of a batch job, else at most 8]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<std::num::NonZeroUsize>,
    /// Replace an existing image
    #[arg(long)]
    pub(super) force: bool,
    /// Treat warnings as errors (status 5)
    #[arg(long)]
    pub(super) strict: bool,
    /// Time of labels and generated files, and ceiling of all others, in seconds since 1970 UTC
    /// [default: `$SOURCE_DATE_EPOCH`]
    #[arg(long, value_name = "SECONDS")]
    pub(super) epoch: Option<Epoch>,
    #[command(flatten)]
    pub(super) evaluation: EvaluationFlags,
    #[command(flatten)]
    pub(super) talk: Talk,
}

/// Whether what earlier exports compressed is used.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct CacheFlags {
    /// Directory of compressed blocks and layers of earlier exports, of which at most 10 GiB or half
    /// of what is free are kept [default: `$MODULE_EXPORT_CACHE`, else none]
    ///
    /// What is in it already is neither read nor compressed; the image is the same.
    #[arg(long, value_name = "DIR")]
    pub(super) cache: Option<PathBuf>,
    /// Use no cache
    #[arg(long, conflicts_with = "cache")]
    pub(super) no_cache: bool,
    /// Read and compress everything, and compare it with what the cache has
    #[arg(long, conflicts_with = "no_cache")]
    pub(super) cache_verify: bool,
}

/// What lies under the modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BaseName {
    /// EESSI's compatibility layer.
    Compat,
    /// A closure of this machine's own libraries and tools.
    Host,
    /// A directory, archive or image.
    Image(PathBuf),
}

impl From<OsString> for BaseName {
    fn from(word: OsString) -> Self {
        match word.to_str() {
            Some("compat") => Self::Compat,
            Some("host") => Self::Host,
            _ => Self::Image(word.into()),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct EnvVerb {
    /// Modules to load; `-NAME`, after `--`, is one to unload
    #[arg(value_name = "MODULE")]
    pub(super) modules: Vec<String>,
    /// Start from this process's environment as it is, with no modules loaded
    #[arg(long)]
    pub(super) clean: bool,
    /// Directories with modulefiles, in place of `MODULEPATH`
    #[arg(long, value_name = "DIR[:DIR…]")]
    pub(super) modulepath: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = EnvFormat::Json)]
    pub(super) format: EnvFormat,
    #[command(flatten)]
    pub(super) evaluation: EvaluationFlags,
}

/// How modulefiles are evaluated.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Evaluation of modulefiles")]
pub(super) struct EvaluationFlags {
    /// Whose rules hold where Lmod's versions differ [default: the session's, else 9.2]
    #[arg(long, value_name = "V", value_parser = lmod_version)]
    pub(super) lmod_version: Option<String>,
    /// Whose numbers and library hold where versions of Lua differ: `5.1`, `5.2`, `5.3`, `5.4`,
    /// `luajit` [default: that of the session's Lmod, else 5.3]
    #[arg(long, value_name = "V")]
    pub(super) lua_version: Option<LuaVersion>,
    /// Let no modulefile run a command: one that would is an error
    #[arg(long)]
    pub(super) no_commands: bool,
    /// Run what modulefiles hand to the shell with `execute`, and count what it sets
    #[arg(long, conflicts_with = "no_commands")]
    pub(super) run_execute: bool,
    /// Restore a saved collection (`module save NAME`) in place of the loaded modules
    #[arg(long, value_name = "NAME", conflicts_with = "modules")]
    pub(super) collection: Option<String>,
}

/// Numbers with dots between them; what follows (`8.7.49-1`) does not count.
fn lmod_version(text: &str) -> Result<String, String> {
    let numbers = text.split_once('-').map_or(text, |(numbers, _)| numbers);
    if numbers.split('.').all(|number| number.parse::<u32>().is_ok()) {
        Ok(text.to_owned())
    } else {
        Err("give a version of Lmod such as 8.7.49".to_owned())
    }
}

/// Languages of `env`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EnvFormat {
    /// Modules and changed variables
    Json,
    /// bash, zsh, ksh, sh
    Sh,
    /// csh, tcsh
    Csh,
    /// fish
    Fish,
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The image
    pub(super) image: PathBuf,
    /// Print the manifest as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The image
    pub(super) image: PathBuf,
    /// Print the findings as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Treat warnings as errors (status 5)
    #[arg(long)]
    pub(super) strict: bool,
    /// Threads [default: as many as there are cores, at most 8]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<std::num::NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(super) struct Why {
    /// The image
    pub(super) image: PathBuf,
    /// An absolute path in it, or the name of a file alone
    pub(super) path: PathBuf,
    /// Print the chain as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The one image
    #[arg(value_name = "IMAGE")]
    pub(super) before: PathBuf,
    /// The other one
    #[arg(value_name = "IMAGE")]
    pub(super) after: PathBuf,
    /// Name every file
    #[arg(short = 'V', long)]
    pub(super) verbose: bool,
    /// Print the differences as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The image
    pub(super) image: PathBuf,
    /// Command and arguments [default: a shell]
    #[arg(last = true, value_name = "CMD")]
    pub(super) command: Vec<std::ffi::OsString>,
    /// Directory for the unpacked image
    #[arg(long, value_name = "DIR")]
    pub(super) tmpdir: Option<PathBuf>,
    /// Say nothing but errors
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Debug, Args)]
pub(super) struct Hook {
    /// bash, zsh, ksh, fish or tcsh; `eessi` for the snippet that EESSI's init can source
    #[arg(value_enum)]
    pub(super) shell: Shell,
}

/// Shells that hooks are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Ksh,
    Fish,
    #[value(alias = "csh")]
    Tcsh,
    Eessi,
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Directory for the sample stack and the image; kept [default: a temporary one, removed]
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
}
