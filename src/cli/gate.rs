//! Whether what is to be packed may leave.

use super::args::Container;
use super::config::Config;
use super::diagnose::Failure;
use super::drift;
use super::frozen::Frozen;
use super::terminal::Terminal;
use super::verdict::Verdict;
use crate::base::Escaped;
use crate::closure::{Cause, Closure, Handling, Restricted};
use crate::gate::{self, Allowed, Candidate, Judgement, Table};
use crate::modulefile::LoadedModule;

/// The table of restricted software, and what of it may be packed.
pub(super) struct Licences {
    table: Table,
    allowed: Allowed,
}

impl Licences {
    pub(super) fn new(words: &Container, config: &Config) -> anyhow::Result<Self> {
        let allowed = if words.allow_restricted {
            Allowed::All
        } else {
            Allowed::Names(config.allow_restricted.clone())
        };
        Ok(Self { table: Table::shipped()?.under(config.restricted.clone()), allowed })
    }

    /// What the table says of the modules.
    ///
    /// # Errors
    /// [`Failure::Restricted`] if one may not be packed.
    pub(super) fn judge(&self, frozen: &Frozen) -> Result<Judgement, Failure> {
        let judgement = self.table.judge(&candidates(frozen), &self.allowed);
        let refused: Vec<_> = judgement.refused().map(phrase).collect();
        if refused.is_empty() { Ok(judgement) } else { Err(Failure::Restricted(refused)) }
    }

    /// Whether files that no module of it brings belong to software that may not be handed on: a
    /// library found by an `RPATH`, say, or a directory that a module of another name brings.
    ///
    /// # Errors
    /// [`Failure::Restricted`].
    pub(super) fn check_files(&self, frozen: &Frozen, closure: &Closure) -> Result<(), Failure> {
        let candidates = candidates(frozen);
        let found = gate::reached_files(&closure.rootfs, &self.table, &self.allowed, &candidates);
        if found.is_empty() {
            return Ok(());
        }
        Err(Failure::Restricted(found.iter().map(reached).collect()))
    }
}

/// A file and why it may not leave.
fn reached(one: &gate::Reached<'_>) -> String {
    let (path, software) = (one.path.to_string_lossy(), one.software);
    let why = match &one.cause {
        Cause::Module(name) => format!("which the module {} brings", Escaped(name)),
        Cause::Include(asked) => {
            format!("which --include `{}` brings", Escaped(&asked.to_string_lossy()))
        }
        Cause::Environment(name) => format!("which the variable {} names", Escaped(name)),
        _ => "which a packed file needs".to_owned(),
    };
    let (name, reason) = (Escaped(&software.name), Escaped(&software.reason));
    let source = match &*software.source {
        "" => String::new(),
        source => format!(" ({})", Escaped(source)),
    };
    format!("`{}`, {why}, lies in a directory of {name}: {reason}{source}", Escaped(&path))
}

/// The modules as the table is asked about them.
fn candidates(frozen: &Frozen) -> Vec<Candidate<'_>> {
    let files = frozen.module_files();
    let evidence = |module: &LoadedModule| {
        let text = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        let mut texts = vec![text(&module.file)];
        if let Some(files) = files.iter().find(|files| files.full_name == module.full_name) {
            texts.extend(files.easybuild_roots.iter().chain(&files.named).map(text));
        }
        texts.extend(module.whatis.iter().cloned());
        texts.extend(module.help.clone());
        texts
    };
    let modules = frozen.evaluation.modules.iter();
    modules
        .map(|module| Candidate {
            short_name: &module.short_name,
            full_name: &module.full_name,
            evidence: evidence(module),
        })
        .collect()
}

/// A module and why it may not leave.
fn phrase(row: &Restricted) -> String {
    let (module, reason) = (Escaped(&row.module), Escaped(&row.reason));
    if row.source.is_empty() {
        return format!("{module}: {reason}");
    }
    format!("{module}: {reason} ({})", Escaped(&row.source))
}

/// What was done with a restricted module, on one line.
pub(super) fn line(row: &Restricted) -> String {
    let (module, reason) = (Escaped(&row.module), Escaped(&row.reason));
    match row.handling {
        Handling::Allowed => {
            format!(
                "{module} is packed on request ({reason}): keep the image to those who may have it"
            )
        }
        Handling::Stripped | Handling::Refused => {
            format!("{module} is packed in part ({reason})")
        }
    }
}

/// What else should be looked at before the image is handed on.
pub(super) fn warnings(
    licences: &Licences,
    words: &Container,
    frozen: &Frozen,
    closure: &Closure,
) -> Vec<String> {
    let mut warnings = licences.table.judge(&candidates(frozen), &licences.allowed).doubts;
    warnings.extend(gate::access_warnings(&closure.closed, words.talk.names_all()));
    let keys = closure.omissions.iter().filter(|omission| omission.reason == "licence key");
    warnings.extend(keys.map(|omission| {
        let path = omission.path.to_string_lossy();
        format!("`{}` is a licence key and is left out: give it to the image where it runs, with --bind", Escaped(&path))
    }));
    warnings.extend(gate::licence_variables(&frozen.variables));
    let modules = frozen.evaluation.modules.iter();
    let files = modules.map(|module| (&*module.full_name, &*module.file));
    warnings.extend(gate::guarded_modulefiles(files));
    warnings
}

/// The repositories as they are now; a change is one more warning.
pub(super) fn look_again(
    words: &Container,
    begun: drift::Begun,
    warnings: &mut Vec<String>,
    terminal: &Terminal,
) -> Result<Vec<drift::Repository>, Failure> {
    let repositories = begun.again();
    let changes: Vec<_> = repositories.iter().filter_map(drift::Repository::warning).collect();
    warnings.extend(changes.iter().cloned());
    // what else there was to warn of has ended the export before, where it was to
    end_if_strict(words, (&changes, &Verdict::default()), terminal)?;
    Ok(repositories)
}

/// Ends the export at a warning, or at one of the proof's about what the export lost, where warnings
/// are errors.
pub(super) fn end_if_strict(
    words: &Container,
    (warnings, verdict): (&[String], &Verdict),
    terminal: &Terminal,
) -> Result<(), Failure> {
    let count = warnings.len() + verdict.warnings.len();
    if !words.strict || count == 0 {
        return Ok(());
    }
    for warning in warnings {
        terminal.warning(warning);
    }
    verdict.name_warnings(terminal);
    Err(Failure::Strict { count })
}
