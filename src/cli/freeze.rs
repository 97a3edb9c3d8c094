//! From a live session to the environment that an image will have.

use std::collections::BTreeSet;
use std::path::Path;

use super::collections;
use super::context::Context;
use super::diagnose::Failure;
use super::frozen::Frozen;
use super::ownership::{elements_of, is_bare, is_overridable, is_site_word, touched_by};
use super::pinned::{pinned_target, request_overrides};
use super::wish::{Wish, options};
use crate::base::Escaped;
use crate::environment::fidelity;
use crate::environment::{Variables, leak};
use crate::gate;
use crate::modulefile::{Evaluation, EvaluationError, Limits, Options, Pin, Request};
use crate::session::foreign;
use crate::session::{Collection, Session, SessionModule};
use crate::stack::{LmodInstallation, Stack};

/// Where programs of the system are, besides those of the stack.
const SYSTEM_PATH: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Elements of a session's lists that are nobody's software.
const SYSTEM_ELEMENTS: &[&str] = &[
    "/snap/bin",
    "/usr/games",
    "/usr/local/games",
    "/usr/local/man",
    "/usr/local/share",
    "/usr/local/share/man",
    "/usr/share",
    "/usr/share/lmod/lmod/share/man",
    "/usr/share/man",
    "/var/lib/snapd/desktop",
];
/// The directory of the programs `module` and `ml` in an image.
pub(super) const OWN_BIN: &str = "/.module-export/bin";
/// Settings of Lmod that change what `module` does in the image. Others are the reader's, or lead
/// to files of the exporting site.
const LMOD_SETTINGS: &[&str] = &[
    "LMOD_AUTO_SWAP",
    "LMOD_CASE_INDEPENDENT_SORTING",
    "LMOD_DISABLE_SAME_NAME_AUTOSWAP",
    "LMOD_DOWNSTREAM_CONFLICTS",
    "LMOD_DUPLICATE_PATHS",
    "LMOD_EXACT_MATCH",
    "LMOD_EXTENDED_DEFAULT",
    "LMOD_PREPEND_BLOCK",
    "LMOD_SITE_NAME",
    "LMOD_TMOD_FIND_FIRST",
    "LMOD_TMOD_PATH_RULE",
];
/// Where the session's Lmod is.
const LMOD_PLACES: &[&str] = &[
    "LMOD_ROOT",
    "LMOD_PKG",
    "LMOD_DIR",
    "LMOD_CMD",
    "LMOD_VERSION",
    "LMOD_SETTARG_FULL_SUPPORT",
    "MODULESHOME",
    "LMOD_CONFIG_DIR",
    "LMOD_PACKAGE_PATH",
    "LMOD_RC",
];

/// Evaluates what `wish` asks for.
///
/// # Errors
/// No modules, not the session a flag needs, or what evaluation refuses.
pub(super) fn freeze(context: &Context, wish: &Wish) -> anyhow::Result<Frozen> {
    let mut session = Session::capture(context.environment.clone())?;
    let name = wish.evaluation.collection.as_ref();
    let collection = name.map(|name| collections::read(name, &session.environment)).transpose()?;
    if let Some(collection) = &collection {
        collections::restore(&mut session, collection);
    }
    if session.modules.is_empty() && wish.modules.is_empty() && collection.is_none() {
        return Err(if session.has_modules_command() {
            Failure::NoModules
        } else {
            Failure::NoSession
        }
        .into());
    }
    if session.modules.is_empty() && session.modulepath.is_empty() {
        return Err(Failure::NoModulepath.into());
    }
    let found = Stack::detect(&session.environment)?;
    let (lmod_version, options) = options(&wish.evaluation, &session.environment);
    let freezer =
        Freezer { context, session: &session, found: &found, collection, lmod_version, options };
    let stack = freezer.wanted_stack(wish)?;
    let base_modulepath = freezer.base_modulepath(&stack)?;
    let mut warnings = Vec::new();
    let (evaluation, start) = freezer.evaluate(wish, &stack, &base_modulepath, &mut warnings)?;
    warnings.extend(evaluation.messages.iter().filter(|m| m.warning).map(|message| {
        format!("{} says: {}", Escaped(&message.origin), Escaped(message.text.trim()))
    }));
    let mut frozen = Frozen {
        lmod: LmodInstallation::detect(&session.environment),
        variables: Variables::new(),
        unset: Vec::new(),
        differences: Vec::new(),
        foreign: Vec::new(),
        stack,
        evaluation,
        base_modulepath,
        warnings,
    };
    freezer.fill_variables(&mut frozen, &start);
    if wish.modules.is_empty() && !wish.generic && freezer.collection.is_none() {
        freezer.compare(&mut frozen);
    }
    Ok(frozen)
}

struct Freezer<'a> {
    context: &'a Context,
    session: &'a Session,
    found: &'a Stack,
    collection: Option<Collection>,
    lmod_version: String,
    options: Options,
}

impl Freezer<'_> {
    fn wanted_stack(&self, wish: &Wish) -> Result<Stack, Failure> {
        if !wish.generic {
            return Ok(self.found.clone());
        }
        let Stack::Eessi(eessi) = self.found else {
            return Err(Failure::WrongSession(
                "--generic needs an EESSI session: outside EESSI there is one build of each module"
                    .to_owned(),
            ));
        };
        let generic = eessi.generic();
        if generic.software().is_dir() {
            Ok(Stack::Eessi(generic))
        } else {
            Err(Failure::WrongSession(format!(
                "--generic: this stack has no generic builds (`{}` is not there)",
                Escaped(&generic.software().to_string_lossy())
            )))
        }
    }

    /// Whether the stack's variables come from a module rather than from the shell's start.
    fn stack_is_a_module(&self) -> bool {
        self.session.modules.iter().any(|module| module.short_name == "EESSI")
    }

    /// `MODULEPATH` as the session had it before its modules added to it; with another CPU
    /// target, that target's directories in place of the session's.
    fn base_modulepath(&self, stack: &Stack) -> anyhow::Result<Vec<String>> {
        if let Some(collection) = &self.collection {
            return Ok(collection.table.base_modulepath.clone());
        }
        let mut path = self.session.modulepath.clone();
        if !self.session.modules.is_empty() {
            let request = self.request_for_loaded(self.found, &path, Strategy::InLoadOrder);
            let evaluation = self.run(&request)?;
            let added: BTreeSet<_> = elements_of(&evaluation.changes, "MODULEPATH");
            path.retain(|directory| !added.contains(directory.as_str()));
        }
        if let (Stack::Eessi(found), Stack::Eessi(wanted)) = (self.found, stack)
            && found != wanted
            && !self.stack_is_a_module()
        {
            let own: BTreeSet<_> = found.modulepath().iter().map(text).collect();
            path.retain(|directory| !own.contains(directory));
            path.splice(0..0, wanted.modulepath().iter().map(text));
        }
        Ok(path)
    }

    fn evaluate(
        &self,
        wish: &Wish,
        stack: &Stack,
        modulepath: &[String],
        warnings: &mut Vec<String>,
    ) -> anyhow::Result<(Evaluation, Variables)> {
        if let Some(collection) = &self.collection {
            return self.evaluate_collection(collection, stack);
        }
        if !wish.modules.is_empty() {
            return self.evaluate_named(&wish.modules, stack, modulepath);
        }
        if wish.generic {
            return self.evaluate_generic(stack, modulepath);
        }
        let mut request = self.request_for_loaded(stack, modulepath, Strategy::AsAsked);
        let as_asked = self.run(&request);
        if let Ok(evaluation) = as_asked
            && self.same_modules(&evaluation)
        {
            return self.again_without(request, evaluation);
        }
        request = self.request_for_loaded(stack, modulepath, Strategy::InLoadOrder);
        let evaluation = self.run(&request)?;
        for name in &evaluation.unpinned {
            warnings.push(format!(
                "a loaded module asks for {}, which is not loaded in this session; the image does not have it either",
                Escaped(name)
            ));
        }
        let loaded: BTreeSet<_> = evaluation.modules.iter().map(|m| m.full_name.as_str()).collect();
        for module in self.session.modules.iter().filter(|m| !loaded.contains(m.full_name.as_str()))
        {
            warnings.push(format!(
                "{} is loaded in this session, but evaluating the modules anew unloads it; the image does not have it",
                Escaped(&module.full_name)
            ));
        }
        self.again_without(request, evaluation)
    }

    /// Modulefiles look at variables, and the session's hold what its modules set: evaluation
    /// starts again without these, as the session did. Which they are, an evaluation from a bare
    /// environment tells, too: a modulefile may set only what is not set yet.
    fn again_without(
        &self,
        request: Request,
        first: Evaluation,
    ) -> anyhow::Result<(Evaluation, Variables)> {
        let mut touched = touched_by(&first);
        let bare = request.environment.iter().filter(|(name, _)| is_bare(name));
        let bare = bare.map(|(name, value)| (name.clone(), value.clone())).collect();
        // one that fails without the user's own variables tells nothing
        if let Ok(evaluation) = self.run(&Request { environment: bare, ..request.clone() }) {
            touched.extend(touched_by(&evaluation));
        }
        let mut start = request.environment.clone();
        start.retain(|name, _| {
            matches!(name.as_str(), "PATH" | "MODULEPATH") || !touched.contains(name)
        });
        start.extend(request_overrides(&request));
        if start == request.environment {
            return Ok((first, start));
        }
        let request = Request { environment: start.clone(), ..request };
        Ok((self.run(&request)?, start))
    }

    fn evaluate_named(
        &self,
        names: &[String],
        stack: &Stack,
        modulepath: &[String],
    ) -> anyhow::Result<(Evaluation, Variables)> {
        let request = self.request(stack, modulepath, names.to_vec());
        let first = self.run(&request)?;
        self.again_without(request, first)
    }

    /// The modules of a collection, each by itself.
    fn evaluate_collection(
        &self,
        collection: &Collection,
        stack: &Stack,
    ) -> anyhow::Result<(Evaluation, Variables)> {
        let names = collections::names(collection, &self.session.environment);
        let mut request = self.request(stack, &collection.table.modulepath, names);
        request.options.collection = Some(collection.file.clone());
        let first = self.run(&request)?;
        let (mut evaluation, start) = self.again_without(request, first)?;
        collections::complete(&mut evaluation, collection);
        Ok((evaluation, start))
    }

    /// The same modules by name, looked up anew in the generic tree.
    fn evaluate_generic(
        &self,
        stack: &Stack,
        modulepath: &[String],
    ) -> anyhow::Result<(Evaluation, Variables)> {
        let names: Vec<_> = self.asked_for().map(|module| module.full_name.clone()).collect();
        let request = self.request(stack, modulepath, names);
        let evaluation = self.run(&request);
        let loaded: BTreeSet<_> = evaluation
            .iter()
            .flat_map(|evaluation| &evaluation.modules)
            .map(|module| module.full_name.clone())
            .collect();
        let missing: Vec<_> =
            self.session.modules.iter().filter(|m| !loaded.contains(&m.full_name)).collect();
        if evaluation.is_ok() && missing.is_empty() {
            return self.again_without(request, evaluation?);
        }
        let absent: Vec<_> = missing
            .into_iter()
            .filter(|module| self.has_no_build(stack, modulepath, module))
            .map(|module| Escaped(&module.full_name).to_string())
            .collect();
        match evaluation {
            Err(error) if absent.is_empty() => Err(error),
            // each has a build, but not together: what evaluation of all gave counts
            Ok(_) if absent.is_empty() => self.again_without(request, evaluation?),
            _ => Err(Failure::Cannot(format!(
                "--generic: no generic build of {}",
                absent.join(", ")
            ))
            .into()),
        }
    }

    fn has_no_build(&self, stack: &Stack, modulepath: &[String], module: &SessionModule) -> bool {
        let request = self.request(stack, modulepath, vec![module.full_name.clone()]);
        let result = self.run(&request);
        match result {
            Ok(evaluation) => !evaluation.modules.iter().any(|m| m.full_name == module.full_name),
            Err(error) => match error.downcast_ref::<EvaluationError>() {
                Some(EvaluationError::NotFound { missing, .. }) => {
                    missing.iter().any(|missing| missing.name == module.full_name)
                }
                _ => false,
            },
        }
    }

    fn asked_for(&self) -> impl Iterator<Item = &SessionModule> {
        self.session.modules.iter().filter(|module| module.stack_depth == 0)
    }

    fn same_modules(&self, evaluation: &Evaluation) -> bool {
        let ours: BTreeSet<_> =
            evaluation.modules.iter().map(|m| (&m.full_name, &m.file)).collect();
        let theirs: BTreeSet<_> =
            self.session.modules.iter().map(|m| (&m.full_name, &m.file)).collect();
        ours == theirs
    }

    fn request_for_loaded(
        &self,
        stack: &Stack,
        modulepath: &[String],
        strategy: Strategy,
    ) -> Request {
        let names = match strategy {
            Strategy::AsAsked => self.asked_for().map(|m| m.full_name.clone()).collect(),
            Strategy::InLoadOrder => {
                self.session.modules.iter().map(|m| m.full_name.clone()).collect()
            }
        };
        let pins = self.session.modules.iter().map(|module| Pin {
            short_name: module.short_name.clone(),
            full_name: module.full_name.clone(),
            file: module.file.clone(),
        });
        Request {
            pins: pins.collect(),
            pinned_only: matches!(strategy, Strategy::InLoadOrder),
            ..self.request(stack, modulepath, names)
        }
    }

    fn request(&self, stack: &Stack, modulepath: &[String], load: Vec<String>) -> Request {
        Request {
            environment: self.start(stack, modulepath),
            load,
            pins: Vec::new(),
            pinned_only: false,
            lmod_version: self.lmod_version.clone(),
            limits: Limits { time: self.context.evaluation_time, ..Limits::default() },
            options: self.options.clone(),
        }
    }

    /// The environment before any module: the session's without what modules leave, with the
    /// stack's own.
    fn start(&self, stack: &Stack, modulepath: &[String]) -> Variables {
        let session = &self.session.environment;
        let keep = |name: &str| LMOD_SETTINGS.contains(&name) || LMOD_PLACES.contains(&name);
        let mut start: Variables = session
            .iter()
            .filter(|(name, _)| name.as_str() != "LD_LIBRARY_PATH")
            .filter(|(name, _)| !leak::is_cleared(name) || keep(name) || is_site_word(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut path: Vec<String> = Vec::new();
        if let Stack::Eessi(eessi) = stack {
            start.extend(pinned_target(eessi));
            if !self.stack_is_a_module() {
                start.extend(eessi.variables());
                path.extend(eessi.path().iter().map(text));
            }
        }
        path.extend(SYSTEM_PATH.iter().map(|&element| element.to_owned()));
        path.push(OWN_BIN.to_owned());
        start.insert("PATH".to_owned(), path.join(":"));
        start.insert("MODULEPATH".to_owned(), modulepath.join(":"));
        start
    }

    fn run(&self, request: &Request) -> anyhow::Result<Evaluation> {
        log::debug!("evaluating {:?} by the rules of Lmod {}", request.load, request.lmod_version);
        crate::modulefile::evaluate_in_child(
            &self.context.program,
            request,
            &self.context.interrupt,
        )
        .map_err(anyhow::Error::new)
    }

    fn fill_variables(&self, frozen: &mut Frozen, start: &Variables) {
        let variables = &mut frozen.variables;
        let from_start = |name: &str| start.get(name).map(|value| (name.to_owned(), value.clone()));
        variables.extend(["PATH", "MODULEPATH"].into_iter().filter_map(from_start));
        variables
            .extend(LMOD_SETTINGS.iter().chain(LMOD_PLACES).filter_map(|name| from_start(name)));
        if let Stack::Eessi(eessi) = &frozen.stack {
            variables.extend(pinned_target(eessi));
            if !self.stack_is_a_module() {
                variables.extend(eessi.variables());
            }
        }
        for (name, value) in &frozen.evaluation.environment {
            if !leak::is_shell_name(name) {
                frozen.warnings.push(format!(
                    "a modulefile sets `{}`, which no shell can export; the image does not have it",
                    Escaped(name)
                ));
                continue;
            }
            if let Some(value) = value {
                variables.insert(name.clone(), value.clone());
            } else {
                variables.remove(name);
            }
        }
        let touched: BTreeSet<_> = frozen.evaluation.changes.iter().map(|c| &c.variable).collect();
        let is_unset = |name: &&String| !variables.contains_key(*name) && leak::is_shell_name(name);
        frozen.unset = touched.into_iter().filter(is_unset).cloned().collect();
    }

    /// The live session as an oracle.
    fn compare(&self, frozen: &mut Frozen) {
        let mut known: BTreeSet<String> =
            SYSTEM_PATH.iter().chain(SYSTEM_ELEMENTS).map(|&element| element.to_owned()).collect();
        known.insert(OWN_BIN.to_owned());
        let mut evaluated = frozen.evaluation.environment.clone();
        if let Stack::Eessi(eessi) = &frozen.stack {
            known.extend(eessi.path().iter().map(text));
            if !self.stack_is_a_module() {
                let own = eessi.variables().into_iter().filter(|(name, _)| !is_overridable(name));
                evaluated.extend(own.map(|(name, value)| (name, Some(value))));
            }
        }
        let session = &self.session.environment;
        let differences =
            fidelity::compare(session, &evaluated, &frozen.evaluation.changes, &known);
        let differences = differences.into_iter();
        frozen.differences =
            differences.map(|difference| difference.hidden(gate::looks_secret)).collect();
        for list in ["PATH", "LD_LIBRARY_PATH"] {
            known.extend(
                elements_of(&frozen.evaluation.changes, list).into_iter().map(str::to_owned),
            );
        }
        let own = self.context.program.parent();
        frozen.foreign = foreign::find(session, &known, own);
    }
}

/// How the loaded modules are loaded again.
#[derive(Debug, Clone, Copy)]
enum Strategy {
    /// Those that the user asked for, in order; the rest follows from them.
    AsAsked,
    /// Each by itself, in load order; nothing else.
    InLoadOrder,
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}
