//! `why`: the reasons for a file being in an image, to what the user asked for.

mod answer;
mod near;
mod show;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::args::Why;
use super::diagnose::Failure;
use super::terminal::Terminal;
use super::told::Told;
use crate::base::Escaped;
use crate::image::read::Image;

use answer::Answer;

/// The answers, as `--json` prints them.
#[derive(Debug, Serialize)]
struct Answers {
    #[serde(serialize_with = "crate::base::path_text::one")]
    image: PathBuf,
    /// What was asked for.
    #[serde(serialize_with = "crate::base::path_text::one")]
    asked: PathBuf,
    /// One; as many as there are files of that name where only a name was given.
    #[serde(rename = "answers")]
    found: Vec<Answer>,
}

/// Says why something is in the image, or why not.
pub(super) fn why(words: &Why, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let is_name = !words.path.as_os_str().as_bytes().contains(&b'/');
    if !is_name && !words.path.is_absolute() {
        return Err(Failure::Usage(format!(
            "`{}` is neither an absolute path nor a name alone",
            Escaped(&words.path.to_string_lossy())
        ))
        .into());
    }
    let image = Image::open(&words.image)?;
    let told = Told::read(&image, &words.image)?;
    let paths =
        if is_name { named(&told, words.path.as_os_str()) } else { [words.path.clone()].into() };
    let mut answers = Vec::new();
    for path in &paths {
        answers.push(Answer::find(&image, &told, path)?);
    }
    if is_name && answers.is_empty() {
        answers.push(Answer::unknown_name(&told, &words.path));
    }
    let all_found = answers.iter().all(|answer| !answer.is_absent());
    let (image, asked) = (words.image.clone(), words.path.clone());
    show::show(&Answers { image, asked, found: answers }, words.json, terminal)?;
    Ok(if all_found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What has this name, wherever it lies; a directory is known by what is in it.
fn named(told: &Told, name: &OsStr) -> BTreeSet<PathBuf> {
    let paths = told.listing.iter().flat_map(|(path, _, _)| path.ancestors());
    paths.filter(|path| path.file_name() == Some(name)).map(Path::to_owned).collect()
}
