//! `demo`: a sample stack of this machine's own programs, loaded, exported, and run.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Parser as _;

use super::args::{Cli, Demo, Verb};
use super::context::Context;
use super::diagnose::Failure;
use super::terminal::Terminal;
use crate::base::Escaped;
use crate::base::fs::PathContext as _;
use crate::environment::Variables;

/// A module of the sample stack.
struct Sample {
    name: &'static str,
    version: &'static str,
    about: &'static str,
    /// Programs of this machine that are copied into it.
    programs: &'static [&'static str],
    /// A script of its own: name and text.
    script: Option<(&'static str, &'static str)>,
    dependencies: &'static [&'static str],
}

const SAMPLES: &[Sample] = &[
    Sample {
        name: "TextTools",
        version: "1.0",
        about: "Programs that turn text into lines and sort them",
        programs: &["tr", "sort", "uniq", "head", "cat"],
        script: None,
        dependencies: &[],
    },
    Sample {
        name: "Calculator",
        version: "1.2",
        about: "awk, for numbers",
        programs: &["awk"],
        script: None,
        dependencies: &[],
    },
    Sample {
        name: "WordCount",
        version: "2.1",
        about: "Counts the words of a text",
        programs: &[],
        script: Some((
            "wordcount",
            "#!/bin/sh\n# how often each word comes, the most frequent first\ntr -cs '[:alpha:]' '\\n' | tr '[:upper:]' '[:lower:]' | sort | uniq -c | sort -k1,1nr -k2 | awk '$2 != \"\" {print $2, $1}'\n",
        )),
        dependencies: &["TextTools/1.0", "Calculator/1.2"],
    },
    Sample {
        name: "Report",
        version: "3.0",
        about: "Prints the most frequent word of a sample text",
        programs: &[],
        script: Some((
            "report",
            "#!/bin/sh\ncat \"$EBROOTREPORT/share/sample.txt\" | wordcount | head -n 1\n",
        )),
        dependencies: &["WordCount/2.1"],
    },
];

/// The text that the sample counts, and what must come of it.
const TEXT: &str = "the quick brown fox jumps over the lazy dog and over the fence\n";
const ANSWER: &str = "the 3";

/// Makes the stack, exports it, runs it, and says what it did.
pub(super) fn demo(context: &Context, words: &Demo, terminal: &Terminal) -> anyhow::Result<()> {
    let scratch = scratch()?;
    let directory = match &words.keep {
        Some(directory) => {
            std::fs::create_dir_all(directory).at("make the directory", directory)?;
            std::path::absolute(directory).at("find the place of", directory)?
        }
        None => scratch.path().to_owned(),
    };
    terminal.say(&format!(
        "1. a sample stack of {} modules in {}",
        SAMPLES.len(),
        Escaped(&directory.to_string_lossy())
    ));
    for sample in SAMPLES {
        install(context, sample, &directory)?;
    }
    terminal.say("2. module-export container Report/3.0 -a \"A. Author\" --base host");
    let image = export(context, &directory, terminal)?;
    terminal.say(&format!("3. module-export run {} -- report", Escaped(&image.to_string_lossy())));
    let answer = run(context, &image)?;
    if answer.trim() != ANSWER {
        bail!("the image answered `{}` where `{ANSWER}` is right", Escaped(answer.trim()));
    }
    terminal.say(&format!("   it answers: {}  (right)", Escaped(answer.trim())));
    if words.keep.is_some() {
        terminal.say(&format!("kept: {}", Escaped(&image.to_string_lossy())));
    } else {
        terminal.say("all of it removed again; --keep DIR keeps it");
    }
    Ok(())
}

/// Not below `/tmp`, which `run` shows as the host has it: the image's own files are to be used.
fn scratch() -> anyhow::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("module-export-demo-");
    builder
        .tempdir_in("/var/tmp")
        .or_else(|_| builder.tempdir())
        .context("cannot make a directory for the demo")
}

fn install(context: &Context, sample: &Sample, directory: &Path) -> anyhow::Result<()> {
    let prefix = directory.join("software").join(sample.name).join(sample.version);
    let bin = prefix.join("bin");
    for made in [&bin, &prefix.join("share")] {
        std::fs::create_dir_all(made).at("make the directory", made)?;
    }
    for program in sample.programs {
        let found = find(context, program)?;
        let options = fs_extra::file::CopyOptions::new().overwrite(true);
        fs_extra::file::copy(&found, bin.join(program), &options)
            .with_context(|| format!("cannot copy `{}`", Escaped(&found.to_string_lossy())))?;
        make_executable(&bin.join(program))?;
    }
    if let Some((name, text)) = sample.script {
        write(&bin.join(name), text)?;
        make_executable(&bin.join(name))?;
    }
    write(&prefix.join("share/sample.txt"), TEXT)?;
    let modules = directory.join("modules").join(sample.name);
    std::fs::create_dir_all(&modules).at("make the directory", &modules)?;
    write(&modules.join(format!("{}.lua", sample.version)), &modulefile(sample, &prefix))
}

fn find(context: &Context, program: &str) -> anyhow::Result<PathBuf> {
    let path = context.environment.get("PATH").map_or("/usr/bin:/bin", String::as_str);
    let found = which::which_in(program, Some(path), "/").map_err(|_| {
        Failure::Cannot(format!(
            "the demo copies this machine's `{program}`, and there is none in PATH"
        ))
    })?;
    Ok(std::fs::canonicalize(&found).at("look at", &found)?)
}

fn modulefile(sample: &Sample, prefix: &Path) -> String {
    let variable = sample.name.to_uppercase();
    let mut text = format!(
        "help([==[\n{about}\n]==])\n\nwhatis([==[Description: {about}]==])\n\nlocal root = {root}\n\nconflict(\"{name}\")\n\n",
        about = sample.about,
        name = sample.name,
        root = lua_string(prefix),
    );
    for dependency in sample.dependencies {
        let _ = writeln!(text, "depends_on(\"{dependency}\")");
    }
    let _ = write!(
        text,
        "prepend_path(\"PATH\", pathJoin(root, \"bin\"))\nsetenv(\"EBROOT{variable}\", root)\nsetenv(\"EBVERSION{variable}\", \"{}\")\n",
        sample.version
    );
    text
}

/// `path` as a Lua string of the form that holds any text.
fn lua_string(path: &Path) -> String {
    format!("[====[{}]====]", path.display())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    Ok(std::fs::write(path, text).at("write", path)?)
}

fn make_executable(path: &Path) -> anyhow::Result<()> {
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .at("set the mode of", path)?)
}

/// Exports `Report` from a session that knows the sample stack alone.
fn export(context: &Context, directory: &Path, terminal: &Terminal) -> anyhow::Result<PathBuf> {
    let kept = [
        "PATH",
        "HOME",
        "TMPDIR",
        "LMOD_CMD",
        "LMOD_PKG",
        "LMOD_DIR",
        "LMOD_VERSION",
        "MODULESHOME",
        "LMOD_ROOT",
    ];
    let mut environment: Variables = kept
        .iter()
        .filter_map(|name| {
            context.environment.get(*name).map(|value| ((*name).to_owned(), value.clone()))
        })
        .collect();
    environment
        .insert("MODULEPATH".to_owned(), directory.join("modules").to_string_lossy().into_owned());
    let session = Context {
        environment,
        not_text: Vec::new(),
        program: context.program.clone(),
        interrupt: context.interrupt.clone(),
        evaluation_time: context.evaluation_time,
        now: context.now,
    };
    let destination = directory.to_string_lossy().into_owned();
    let words = [
        "module-export",
        "container",
        "Report/3.0",
        "-a",
        "A. Author",
        "-n",
        "demo",
        "--base",
        "host",
        "--force",
        "-d",
        &destination,
    ];
    let Verb::Container(words) = Cli::try_parse_from(words)?.verb else {
        bail!("the demo's own words are wrong")
    };
    super::container::export(&session, &words, terminal)?.show(terminal);
    Ok(directory.join("demo.sif"))
}

/// What `report` in the image prints: in a root of its own, where nothing of the sample stack is
/// but what was packed.
fn run(context: &Context, image: &Path) -> anyhow::Result<String> {
    let output = Command::new(&context.program)
        .args(["run", "--quiet"])
        .arg(image)
        .args(["--", "report"])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start this program again")?;
    if !output.status.success() {
        bail!("the image's command failed ({})", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
