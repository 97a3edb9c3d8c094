//! The CPU target that an image keeps, whatever machine it runs on.

use crate::environment::Variables;
use crate::modulefile::Request;
use crate::stack::Eessi;

/// The words that make EESSI's own scripts and module choose this target, on every machine.
pub(super) fn pinned_target(eessi: &Eessi) -> Variables {
    let mut variables: Variables = [
        ("EESSI_SOFTWARE_SUBDIR_OVERRIDE", eessi.target.clone()),
        ("EESSI_ARCHDETECT_OPTIONS_OVERRIDE", eessi.target.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Some(accelerator) = &eessi.accelerator {
        variables.insert("EESSI_ACCELERATOR_TARGET_OVERRIDE".to_owned(), accelerator.clone());
    }
    variables
}

/// Those words of a request's environment.
pub(super) fn request_overrides(request: &Request) -> Variables {
    let names = [
        "EESSI_SOFTWARE_SUBDIR_OVERRIDE",
        "EESSI_ARCHDETECT_OPTIONS_OVERRIDE",
        "EESSI_ACCELERATOR_TARGET_OVERRIDE",
    ];
    names
        .iter()
        .filter_map(|name| {
            request.environment.get(*name).map(|value| ((*name).to_owned(), value.clone()))
        })
        .collect()
}
