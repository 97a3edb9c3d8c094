//! Software of no module that the user asked to pack: the variables that make programs find it.

use std::path::Path;

use super::finish::is_packed;
use super::frozen::Frozen;
use crate::environment::Variables;
use crate::rootfs::Rootfs;
use crate::session::foreign::Kind;
use crate::session::split_path;

/// Lets `variables` of the image lead to what is packed of the session's foreign software.
pub(super) fn apply(
    variables: &mut Variables,
    session: &Variables,
    frozen: &Frozen,
    rootfs: &Rootfs,
) {
    let packed = |path: &Path| is_packed(rootfs, path);
    for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        if let Some(value) = session.get(name).filter(|value| packed(Path::new(value))) {
            variables.insert(name.to_owned(), value.clone());
        }
    }
    for list in ["PATH", "LD_LIBRARY_PATH"] {
        add_elements(variables, session, list, &|element| {
            packed(Path::new(element))
                && frozen
                    .foreign
                    .iter()
                    .any(|foreign| Path::new(element).starts_with(&foreign.path))
        });
    }
    for foreign in frozen.foreign.iter().filter(|foreign| packed(&foreign.path)) {
        add_library(variables, foreign.kind, &foreign.path);
    }
}

/// Elements that came before the modules' own stay before them, the others come last.
fn add_elements(
    variables: &mut Variables,
    session: &Variables,
    name: &str,
    wanted: &dyn Fn(&str) -> bool,
) {
    let ours = variables.get(name).map(|list| split_path(list)).unwrap_or_default();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut modules_seen = false;
    for element in session.get(name).map(|list| split_path(list)).unwrap_or_default() {
        if ours.contains(&element) {
            modules_seen = true;
        } else if wanted(&element) {
            if modules_seen { after.push(element) } else { before.push(element) }
        }
    }
    if before.is_empty() && after.is_empty() {
        return;
    }
    let list: Vec<_> = before.into_iter().chain(ours).chain(after).collect();
    variables.insert(name.to_owned(), list.join(":"));
}

/// User libraries are off in an image, but for one that is packed.
fn add_library(variables: &mut Variables, kind: Kind, path: &Path) {
    let (off, on, value) = match kind {
        // BASE/lib/python3.11/site-packages
        Kind::PythonUserLibrary => ("PYTHONNOUSERSITE", "PYTHONUSERBASE", path.ancestors().nth(3)),
        Kind::RUserLibrary => ("R_LIBS_USER", "R_LIBS_USER", Some(path)),
        // DEPOT/packages
        Kind::JuliaUserLibrary => ("JULIA_LOAD_PATH", "JULIA_DEPOT_PATH", path.parent()),
        Kind::VirtualEnvironment | Kind::CondaEnvironment | Kind::Programs | Kind::Libraries => {
            return;
        }
    };
    if let Some(value) = value {
        variables.remove(off);
        variables.insert(on.to_owned(), value.to_string_lossy().into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_elements_keep_their_side_of_the_modules() {
        let list = |text: &str| -> Variables { [("PATH".to_owned(), text.to_owned())].into() };
        let mut variables = list("/m/bin:/usr/bin");
        let session = list("/venv/bin:/m/bin:/usr/bin:/home/me/bin:/x");
        add_elements(&mut variables, &session, "PATH", &|element| element != "/x");
        assert_eq!(variables, list("/venv/bin:/m/bin:/usr/bin:/home/me/bin"));
    }

    #[test]
    fn a_packed_user_library_is_switched_on() {
        let mut variables: Variables = [("PYTHONNOUSERSITE".to_owned(), "1".to_owned())].into();
        let site = Path::new("/home/me/.local/lib/python3.11/site-packages");
        add_library(&mut variables, Kind::PythonUserLibrary, site);
        assert_eq!(variables, [("PYTHONUSERBASE".to_owned(), "/home/me/.local".to_owned())].into());
    }
}
