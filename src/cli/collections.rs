//! A saved collection in place of the loaded modules.

use super::diagnose::Failure;
use crate::base::Escaped;
use crate::environment::Variables;
use crate::modulefile::Evaluation;
use crate::session::{Collection, Session, module_table, split_path};

/// Reads the collection of this name for a session with these variables.
///
/// # Errors
/// There is none, it is damaged, or it was saved in a session that began with another
/// `MODULEPATH`: Lmod does not restore it either.
pub(super) fn read(name: &str, environment: &Variables) -> anyhow::Result<Collection> {
    let collection = Collection::read(name, environment)?;
    let began = match module_table::decode(environment)? {
        Some(table) if !table.base_modulepath.is_empty() => table.base_modulepath,
        _ => environment.get("MODULEPATH").map(|path| split_path(path)).unwrap_or_default(),
    };
    let saved = &collection.table.base_modulepath;
    if !began.is_empty() && !saved.is_empty() && began != *saved {
        return Err(Failure::Cannot(format!(
            "the collection `{}` was saved in a session that began with MODULEPATH={}; this one began with {}",
            Escaped(name),
            Escaped(&saved.join(":")),
            Escaped(&began.join(":")),
        ))
        .into());
    }
    if collection.table.modules.is_empty() {
        let message = format!("the collection `{}` has no modules", Escaped(name));
        return Err(Failure::Cannot(message).into());
    }
    Ok(collection)
}

/// Puts the collection's modules in place of the session's.
pub(super) fn restore(session: &mut Session, collection: &Collection) {
    session.modules.clear();
    session.modulepath.clone_from(&collection.table.modulepath);
}

/// The names with which its modules are loaded: as they were asked for, so that defaults are
/// followed, unless the site or user has Lmod pin versions.
pub(super) fn names(collection: &Collection, environment: &Variables) -> Vec<String> {
    let pin = environment.get("LMOD_PIN_VERSIONS").map(|value| value.to_lowercase());
    let pin = pin.is_some_and(|value| !matches!(value.as_str(), "" | "0" | "no" | "off"));
    let name = |module: &crate::session::SessionModule| {
        if pin { module.full_name.clone() } else { module.user_name.clone() }
    };
    collection.table.modules.iter().map(name).collect()
}

/// What the collection knows of how its modules came to be loaded.
pub(super) fn complete(evaluation: &mut Evaluation, collection: &Collection) {
    for module in &mut evaluation.modules {
        let saved = collection.table.modules.iter().find(|one| one.short_name == module.short_name);
        if let Some(saved) = saved {
            module.stack_depth = saved.stack_depth;
            module.reference_count = saved.reference_count;
        }
    }
}
