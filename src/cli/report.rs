//! What an export did, for people and as JSON.

use std::path::PathBuf;

use serde::Serialize;

use super::caching::CacheReport;
use super::terminal::Terminal;
use super::verdict::Verdict;
use crate::assemble::Manifest;
use crate::audit::Finding;
use crate::base::{ByteSize, Digest, Escaped};
use crate::closure::{NOT_REACHED, Slim};
use crate::environment::fidelity::Difference;
use crate::image::{Format, oci};
use crate::modulefile::Command;
use crate::session::foreign::Foreign;

/// The report of `container`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The image.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub(super) image: PathBuf,
    /// Its size in bytes.
    pub(super) size: ByteSize,
    /// What kind of image it is.
    pub(super) format: String,
    #[serde(skip)]
    pub(super) kind: Format,
    /// SHA-256 of the file; of a directory there is none.
    pub(super) sha256: Option<Digest>,
    /// The digest by which registries know an OCI image.
    pub(super) manifest_digest: Option<Digest>,
    /// Of the packed stack without labels: `swh:1:dir:…`, the same for every author and date.
    pub(super) identifier: Option<String>,
    /// Files in it, and their bytes before compression.
    pub(super) files: u64,
    pub(super) content_bytes: ByteSize,
    /// What the cache saved, if there is one.
    pub(super) cache: Option<CacheReport>,
    /// Wall-clock seconds.
    pub(super) seconds: f64,
    /// As it stands in the image.
    pub(super) manifest: Manifest,
    /// What `--slim` left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slim: Option<Slim>,
    /// Everything the user should know, each a sentence.
    pub(super) warnings: Vec<String>,
    /// What the proof of completeness found.
    pub(super) findings: Vec<Finding>,
    /// The same in short.
    #[serde(skip)]
    pub(super) verdict: Verdict,
    /// The CVMFS repositories of the session, before and after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) repositories: Vec<super::drift::Repository>,
    /// Those of them that the fidelity check found.
    pub(super) differences: Vec<Difference>,
    /// Those that name software which no module gives.
    pub(super) foreign: Vec<Foreign>,
    /// What modulefiles ran, or handed to the shell.
    pub(super) commands: Vec<Command>,
}

/// How many of a kind are listed where nobody asked for all.
const FEW: usize = 6;

impl Report {
    /// The warnings and the closing report, to stderr.
    pub(super) fn show(&self, terminal: &Terminal) {
        for warning in &self.warnings {
            terminal.warning(warning);
        }
        if terminal.verbose {
            self.verdict.name_warnings(terminal);
            self.verdict.name_lesser(terminal);
        }
        let manifest = &self.manifest;
        let path = self.image.to_string_lossy();
        terminal.say(&format!(
            "{}: {} ({} in {} files before compression), {:.1} s",
            Escaped(&path),
            self.size,
            self.content_bytes,
            self.files,
            self.seconds
        ));
        if let Some(digest) = self.sha256 {
            terminal.say(&format!("  sha256     {digest}"));
        }
        if let Some(digest) = self.manifest_digest {
            terminal.say(&format!("  manifest   sha256:{digest}"));
        }
        if let Some(identifier) = &self.identifier {
            terminal.say(&format!("  content    {identifier}"));
        }
        if let Some(cache) = &self.cache {
            terminal.say(&format!("  cache      {}", cache.line()));
        }
        terminal.say(&format!("  modules    {}", self.modules(terminal.verbose)));
        terminal.say(&format!("  starts on  {}", starts_on(manifest)));
        terminal.say(&format!("  proof      {}", self.verdict.summary()));
        self.show_slim(terminal);
        for row in &manifest.restricted {
            terminal.say(&format!("  licence    {}", super::gate::line(row)));
        }
        self.show_omissions(terminal);
        for bind in &manifest.bind_points {
            if terminal.verbose {
                let (path, target) = (bind.path.to_string_lossy(), bind.target.to_string_lossy());
                terminal.say(&format!(
                    "  bind point {} -> {} ({})",
                    Escaped(&path),
                    Escaped(&target),
                    Escaped(&bind.purpose)
                ));
            }
        }
        if !manifest.bind_points.is_empty() && !terminal.verbose {
            terminal.say(&format!(
                "  binds      {} × link into a per-site place, kept as a link (--verbose names each)",
                manifest.bind_points.len()
            ));
        }
        if manifest.codec.compression == "zstd" {
            terminal.say("  mounts on  kernels from 4.14 on, not EL7's and EL8's (zstd)");
        }
        for command in self.commands.iter().filter(|_| terminal.verbose) {
            terminal.say(&format!(
                "  {} of {}: {}",
                Escaped(&command.function),
                Escaped(&command.origin),
                Escaped(&command.text)
            ));
        }
        for (at, line) in self.ways_to_run(&path).iter().enumerate() {
            let title = if at == 0 { "run it" } else { "" };
            terminal.say(&format!("  {title:<10} {}", Escaped(line)));
        }
    }

    /// Commands that start something in the image.
    fn ways_to_run(&self, path: &str) -> Vec<String> {
        let quoted = shell_words::quote(path);
        let ours = format!("module-export run {quoted} -- COMMAND");
        let reference = || {
            let (repository, tag) = oci::reference(&self.manifest.name, &self.manifest.version);
            format!("{repository}:{tag}")
        };
        let apptainer = |transport: &str| {
            let image = format!("{transport}{path}");
            format!("apptainer exec {} COMMAND", shell_words::quote(&image))
        };
        match self.kind {
            Format::Sif | Format::Squashfs | Format::Sandbox => vec![apptainer(""), ours],
            Format::Oci | Format::OciArchive => {
                let transport = if self.kind == Format::Oci { "oci:" } else { "oci-archive:" };
                // a layout may hold other images, too
                let (_, tag) = oci::reference(&self.manifest.name, &self.manifest.version);
                let tag = if self.kind == Format::Oci { format!(":{tag}") } else { String::new() };
                let image = format!("{transport}{path}{tag}");
                let image = shell_words::quote(&image);
                vec![
                    format!("podman run --rm {image} COMMAND"),
                    format!("apptainer exec {image} COMMAND"),
                ]
            }
            Format::DockerArchive => vec![
                format!("docker load --input {quoted} && docker run --rm {} COMMAND", reference()),
                apptainer("docker-archive:"),
            ],
            Format::Tar | Format::TarGz | Format::TarZst => vec![format!(
                "mkdir DIR && tar -xpf {quoted} -C DIR && module-export run DIR -- COMMAND"
            )],
        }
    }

    fn modules(&self, all: bool) -> String {
        let names: Vec<_> = self
            .manifest
            .modules
            .iter()
            .filter(|m| all || m.requested)
            .map(|m| Escaped(&m.name).to_string())
            .collect();
        let rest = self.manifest.modules.len() - names.len();
        let more = if rest > 0 { format!(" and {rest} that they load") } else { String::new() };
        names.join(", ") + &more
    }

    fn show_slim(&self, terminal: &Terminal) {
        let Some(slim) = self.slim.as_ref().filter(|slim| slim.left_out > 0) else { return };
        terminal.say(&format!(
            "  slim       {} of the layer's {} files and links, {} of {}",
            slim.packed,
            slim.packed + slim.left_out,
            slim.packed_bytes,
            ByteSize(slim.packed_bytes.0.saturating_add(slim.left_out_bytes.0))
        ));
        let guesses = slim.openers.iter().filter(|opener| !opener.not_packed.is_empty());
        let guesses: Vec<_> = guesses.collect();
        if !guesses.is_empty() && !terminal.verbose {
            terminal.say(&format!(
                "             {} of {} files that open libraries while they run name some that are not packed (--verbose names each)",
                guesses.len(),
                slim.openers.len()
            ));
        }
        if !slim.callers.is_empty() && !terminal.verbose {
            terminal.say(&format!(
                "             {} files may start programs that are not packed (--verbose names each)",
                slim.callers.len()
            ));
        }
        for caller in slim.callers.iter().filter(|_| terminal.verbose) {
            terminal.say(&format!(
                "  may start  {}: {} (not packed)",
                Escaped(&caller.path.to_string_lossy()),
                Escaped(&caller.not_packed.join(", "))
            ));
        }
        for (directory, names) in slim.programs_left_out.iter().filter(|_| terminal.verbose) {
            terminal.say(&format!(
                "  left out   programs of {}: {}",
                Escaped(directory),
                Escaped(&names.join(" "))
            ));
        }
        for opener in guesses.iter().filter(|_| terminal.verbose) {
            terminal.say(&format!(
                "  may open   {}: {} (not packed)",
                Escaped(&opener.path.to_string_lossy()),
                Escaped(&opener.not_packed.join(", "))
            ));
        }
    }

    fn show_omissions(&self, terminal: &Terminal) {
        let omissions = &self.manifest.omissions;
        if terminal.verbose {
            for omission in omissions {
                terminal.say(&format!(
                    "  left out   {} ({})",
                    Escaped(&omission.path.to_string_lossy()),
                    Escaped(&omission.reason)
                ));
            }
            return;
        }
        let mut reasons: Vec<(&str, usize)> = Vec::new();
        for omission in omissions.iter().filter(|left| !left.reason.starts_with(NOT_REACHED)) {
            match reasons.iter_mut().find(|(reason, _)| *reason == omission.reason) {
                Some((_, count)) => *count += 1,
                None => reasons.push((&omission.reason, 1)),
            }
        }
        reasons.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let few: Vec<_> = reasons
            .iter()
            .take(FEW)
            .map(|(reason, count)| format!("{count} × {}", Escaped(reason)))
            .collect();
        let more = if reasons.len() > FEW { ", …" } else { "" };
        if !few.is_empty() {
            terminal.say(&format!("  left out   {}{more} (--verbose names each)", few.join(", ")));
        }
    }
}

fn starts_on(manifest: &Manifest) -> String {
    let cpu = &manifest.cpu;
    let (architecture, targets) = (Escaped(&cpu.architecture), cpu.targets.join(", "));
    if cpu.is_generic() {
        format!("any {architecture} CPU ({})", Escaped(&targets))
    } else if cpu.features.is_empty() {
        format!("{architecture} CPUs like this machine's; what they must have is not known")
    } else {
        let features = cpu.features.join(" ");
        format!("{architecture} CPUs with {} ({})", Escaped(&features), Escaped(&targets))
    }
}
