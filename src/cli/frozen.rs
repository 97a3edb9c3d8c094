//! The environment that an image will have, and what it was made from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::closure::ModuleFiles;
use crate::environment::fidelity::Difference;
use crate::environment::{Operation, Variables};
use crate::modulefile::{Evaluation, LoadedModule};
use crate::session::foreign::Foreign;
use crate::session::{ModuleTable, SessionModule, split_path};
use crate::stack::{LmodInstallation, Stack};

/// The environment of an image, and what it was made from.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) stack: Stack,
    pub(super) lmod: Option<LmodInstallation>,
    pub(super) evaluation: Evaluation,
    /// Every variable that the image exports, as far as evaluation decides it.
    pub(super) variables: Variables,
    /// Variables that modulefiles unset.
    pub(super) unset: Vec<String>,
    /// `MODULEPATH` without what modules add.
    pub(super) base_modulepath: Vec<String>,
    pub(super) differences: Vec<Difference>,
    pub(super) foreign: Vec<Foreign>,
    pub(super) warnings: Vec<String>,
}

impl Frozen {
    /// The modules with every path that their modulefiles name.
    pub(super) fn module_files(&self) -> Vec<ModuleFiles> {
        let mut by_origin: BTreeMap<&str, (BTreeSet<PathBuf>, BTreeSet<PathBuf>)> = BTreeMap::new();
        for change in &self.evaluation.changes {
            let (roots, named) = by_origin.entry(&change.origin).or_default();
            let is_root = change.variable.starts_with("EBROOT");
            match &change.operation {
                Operation::Set(value) | Operation::Push(value) if is_root => {
                    roots.extend(absolute(value));
                }
                Operation::Set(value) | Operation::Push(value) => {
                    named.extend(split_path(value).iter().filter_map(|element| absolute(element)));
                }
                Operation::Prepend(elements) | Operation::Append(elements) => {
                    // directories of modulefiles are no software
                    if change.variable != "MODULEPATH" {
                        named.extend(elements.iter().filter_map(|element| absolute(element)));
                    }
                }
                Operation::Unset | Operation::Remove(_) => {}
            }
        }
        let modules = self.evaluation.modules.iter().map(|module| {
            let (roots, named) = by_origin.remove(module.full_name.as_str()).unwrap_or_default();
            ModuleFiles {
                full_name: module.full_name.clone(),
                modulefile: module.file.clone(),
                easybuild_roots: roots.into_iter().collect(),
                named: named.into_iter().collect(),
            }
        });
        modules.collect()
    }

    /// Lmod's own variables for the modules of the image, whose final `MODULEPATH` this is.
    pub(super) fn module_state(&self, modulepath: &[String], base: &[String]) -> Variables {
        let modules = &self.evaluation.modules;
        let join = |texts: Vec<String>| texts.join(":");
        let mut state: Variables = [
            ("LOADEDMODULES", join(modules.iter().map(|m| m.full_name.clone()).collect())),
            (
                "_LMFILES_",
                join(modules.iter().map(|m| m.file.to_string_lossy().into_owned()).collect()),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let families = modules
            .iter()
            .flat_map(|m| m.families.iter().map(|f| (f.clone(), m.short_name.clone())));
        let table = ModuleTable {
            modules: modules.iter().map(session_module).collect(),
            modulepath: modulepath.to_vec(),
            base_modulepath: base.to_vec(),
            families: families.collect(),
        };
        state.extend(crate::session::module_table::encode(&table));
        state
    }
}

fn session_module(module: &LoadedModule) -> SessionModule {
    SessionModule {
        short_name: module.short_name.clone(),
        full_name: module.full_name.clone(),
        user_name: module.user_name.clone(),
        file: module.file.clone(),
        stack_depth: module.stack_depth,
        weighted_version: module.weighted_version.clone(),
        reference_count: module.reference_count,
        properties: module
            .properties
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.clone())))
            .collect(),
    }
}

fn absolute(text: &str) -> Option<PathBuf> {
    Path::new(text).is_absolute().then(|| PathBuf::from(text))
}
