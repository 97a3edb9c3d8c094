//! What lies under the modules of a plain site: this machine's shell, tools and data, as far as a
//! module session uses them. Libraries follow from the ELF files; nothing is packed whole.

mod cache;
mod data;
mod interpreters;
mod lmod;
mod scripts;
mod tools;

use std::path::{Path, PathBuf};

use super::collect::Collector;
use super::{Cause, ClosureError, Reason, Request};
use crate::elf::{self, Loader};

pub(super) use cache::add as add_loader_cache;
pub(super) use lmod::add_over_base as add_lmod_over_base;
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
    tools::add(collector)?;
    data::add(collector, &library_directories())?;
    let Some(lmod) = request.lmod else { return Ok(()) };
    lmod::add(collector, lmod)?;
    add_tcl(collector, request)
}

/// Adds the Tcl with which the packed Lmod reads modulefiles in Tcl, where there are any.
fn add_tcl(collector: &mut Collector<'_>, request: &Request<'_>) -> Result<(), ClosureError> {
    let mut files = request.modules.iter().map(|module| &module.modulefile);
    if files.all(|file| file.extension().is_some_and(|extension| extension == "lua")) {
        return Ok(());
    }
    let Some(tclsh) = ["/usr/bin/tclsh", "/bin/tclsh", "/usr/local/bin/tclsh"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.is_file())
    else {
        return Ok(());
    };
    collector.add(tclsh, &reason("tclsh"))?;
    let program = std::fs::canonicalize(tclsh).unwrap_or_else(|_| tclsh.to_owned());
    for directory in interpreters::library_directories(&program, &library_directories()) {
        collector.add(&directory, &reason("tclsh"))?;
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

/// Directories of this machine's libraries, links followed, each once.
fn library_directories() -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = Vec::new();
    for directory in loader().iter().flat_map(Loader::directories) {
        let Ok(real) = std::fs::canonicalize(directory) else { continue };
        if !directories.contains(&real) {
            directories.push(real);
        }
    }
    directories
}

#[cfg(test)]
mod tests;
