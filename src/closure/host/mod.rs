//! Shell, tools and data, as far as a module session uses them: of this machine, where it lies under
//! the modules of a plain site, or of a compatibility layer that is not packed whole. Libraries follow
//! from the ELF files.

mod cache;
mod data;
mod interpreters;
mod lmod;
mod place;
mod scripts;
mod tools;

use std::path::Path;

use super::collect::Collector;
use super::{Cause, ClosureError, Reason, Request};
use crate::elf::{self, Loader};
use crate::stack::LmodInstallation;

pub(super) use cache::add as add_loader_cache;
pub(super) use lmod::add_over_base as add_lmod_over_base;
pub(super) use place::Place;
pub(super) use scripts::Scripts;

/// Adds shell, tools, data and the session's Lmod.
pub(super) fn add(
    collector: &mut Collector<'_>,
    request: &Request<'_>,
) -> Result<(), ClosureError> {
    // where `/bin` and the like are links, programs are asked for through them
    for link in ["/bin", "/sbin", "/lib", "/lib64", "/usr/lib64", "/usr/tmp"] {
        if !Path::new(link).is_symlink() {
            continue;
        }
        let real = collector.follow(Path::new(link), &reason("layout"))?;
        if let Some(real) = real.filter(|real| real.is_dir()) {
            collector.make_directory(&real)?;
        }
    }
    let place = Place::this_machine();
    tools::add(collector, &place, request.slim.is_some())?;
    data::add(collector, &place)?;
    let Some(lmod) = request.lmod else { return Ok(()) };
    lmod::add(collector, lmod, &place)?;
    add_tcl(collector, request, &place)
}

/// Adds the core of a compatibility layer: what an image cannot do without, and a session in it
/// expects, whatever its modules are.
pub(super) fn add_core(
    collector: &mut Collector<'_>,
    request: &Request<'_>,
    place: &Place,
) -> Result<(), ClosureError> {
    tools::add(collector, place, true)?;
    data::add(collector, place)?;
    data::add_of_layer(collector, place)?;
    let package = place.at("/usr/share/Lmod");
    let own = LmodInstallation {
        command: package.join("libexec/lmod"),
        package,
        version: None,
        configuration: vec![place.at("/etc/lmod")],
    };
    let of_session = request.lmod.filter(|lmod| lmod.command.starts_with(place.root()));
    for lmod in of_session.into_iter().chain([&own]).filter(|lmod| lmod.command.is_file()) {
        lmod::add(collector, lmod, place)?;
    }
    add_tcl(collector, request, place)
}

/// Adds the Tcl with which the packed Lmod reads modulefiles in Tcl, where there are any.
fn add_tcl(
    collector: &mut Collector<'_>,
    request: &Request<'_>,
    place: &Place,
) -> Result<(), ClosureError> {
    let mut files = request.modules.iter().map(|module| &module.modulefile);
    if files.all(|file| file.extension().is_some_and(|extension| extension == "lua")) {
        return Ok(());
    }
    let Some(tclsh) = ["/usr/bin/tclsh", "/bin/tclsh", "/usr/local/bin/tclsh"]
        .map(|path| place.at(path))
        .into_iter()
        .find(|path| path.is_file())
    else {
        return Ok(());
    };
    collector.add(&tclsh, &place.reason("tclsh"))?;
    let program = std::fs::canonicalize(&tclsh).unwrap_or(tclsh);
    for directory in interpreters::library_directories(&program, place) {
        collector.add(&directory, &place.reason("tclsh"))?;
    }
    Ok(())
}

/// `base:<what>`.
fn reason(what: &str) -> Reason {
    Cause::Base(what.to_owned()).into()
}

/// What loads this machine's shell.
fn loader() -> Option<Loader> {
    let facts = elf::read(Path::new("/bin/sh")).ok()?;
    Some(Loader::new(&facts.interpreter?, &|path| std::fs::read(path).ok()))
}

#[cfg(test)]
mod tests;
