//! What to do about an error.

use super::diagnose::{Failure, Place, is_interrupt, out_of_space};
use crate::assemble::AssembleError;
use crate::base::Escaped;
use crate::closure::ClosureError;
use crate::image::ImageError;
use crate::modulefile::{EvaluationError, Missing};
use crate::session::SessionError;

/// The way out, where there is one.
pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    if is_interrupt(error) {
        return None;
    }
    if error.is::<std::io::Error>() {
        return None; // a result, not a file of ours
    }
    if out_of_space(error) {
        return Some("free some space, or choose another directory (-d, --tmpdir)".to_owned());
    }
    if let Some(error) = error.downcast_ref() {
        return about_evaluation(error);
    }
    let hint = if error.is::<SessionError>() {
        "start a new shell and load the modules again, or name them: module-export container MODULE… -a AUTHOR"
    } else if let Some(error) = error.downcast_ref() {
        about_closure(error)?
    } else if let Some(AssembleError::NoShell { .. }) = error.downcast_ref() {
        "leave less out (--exclude), or export where a shell can be read"
    } else if let Some(ImageError::Changed { .. } | ImageError::Altered { .. }) =
        error.downcast_ref()
    {
        "export again when nothing writes there, or leave the file out with --exclude"
    } else {
        about_failure(error.downcast_ref()?)?
    };
    Some(hint.to_owned())
}

fn about_failure(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::NoModules => {
            "load what you want to freeze (`module load GROMACS`), or name it: module-export container GROMACS -a AUTHOR"
        }
        Failure::NoSession | Failure::NoModulepath => {
            "start Lmod first (EESSI: source /cvmfs/software.eessi.io/versions/VERSION/init/bash)"
        }
        Failure::NoAuthor => "pass -a \"Your Name\", or set MODULE_EXPORT_AUTHOR once",
        Failure::Directory { place: Place::Destination, .. } => {
            "choose an existing directory that you may write to with -d"
        }
        Failure::Directory { place: Place::Scratch, .. } => {
            "choose an existing directory that you may write to with --tmpdir"
        }
        Failure::NameTaken(_) => "choose another name with -n, or replace it with --force",
        Failure::NoSpace { .. } => {
            "free some space, or choose another directory with -d (and --tmpdir)"
        }
        Failure::Strict { .. } => "mend what the warnings name, or drop --strict",
        Failure::Restricted(_) => {
            "export without it; if you have the right to hand it on, or keep the image to those who may have it, pass --allow-restricted (or name it in `allow-restricted` of the configuration file)"
        }
        Failure::Incomplete { .. } => {
            "load the modules that provide what lacks, add files with --include, or pass --allow-incomplete"
        }
        Failure::NoList(_) => "`verify` says what else is not as it was written",
        Failure::Usage(_) | Failure::Cannot(_) | Failure::WrongSession(_) => return None,
    })
}

fn about_closure(error: &ClosureError) -> Option<&'static str> {
    Some(match error {
        ClosureError::Exclude { .. } => {
            "give a pattern of absolute paths such as '/opt/**/doc'; `[[]` stands for a bracket itself"
        }
        ClosureError::Include(_) => "--include takes a file or directory that you can read",
        ClosureError::NoCompatibilityLayer => "use --base host",
        ClosureError::Interrupted(_) | ClosureError::Path(_) | ClosureError::Rootfs(_) => {
            return None;
        }
    })
}

fn about_evaluation(error: &EvaluationError) -> Option<String> {
    let hint = match error {
        EvaluationError::NotFound { missing, .. } => return Some(about_missing(missing)),
        EvaluationError::Refused { .. } => {
            "`module load` refuses it likewise: export without this module, or without what it does not go with"
        }
        EvaluationError::Lua { message, .. } if message.contains("call a nil value (global") => {
            "the modulefile calls what Lmod itself does not have: functions of a site's own SitePackage.lua are not known here; export without this module"
        }
        EvaluationError::NoCommands { .. } => {
            "if you trust the modulefile, export without --no-commands; else without this module"
        }
        EvaluationError::Lua { .. } | EvaluationError::Exit { .. } => {
            "the modulefile is at fault: tell who maintains it, or export without this module"
        }
        EvaluationError::Limit { reason, .. } if reason.starts_with("after ") => {
            "MODULE_EXPORT_EVALUATION_SECONDS allows more time; else export without this module"
        }
        EvaluationError::Limit { .. } | EvaluationError::Child { .. } => {
            "export without this module, and tell who maintains it"
        }
        EvaluationError::Tcl { .. } => {
            "install the package `tcl`, or name a `tclsh` in LMOD_TCLSH; else export without this module"
        }
        EvaluationError::Unreadable { .. } => {
            "ask who maintains it to let you read it, or export without this module"
        }
        EvaluationError::Interrupted => return None,
    };
    Some(hint.to_owned())
}

fn about_missing(missing: &[Missing]) -> String {
    let mut near: Vec<&String> = Vec::new();
    for name in missing.iter().flat_map(|missing| &missing.near) {
        if !near.contains(&name) {
            near.push(name);
        }
    }
    if let Some(hidden) = missing.iter().find(|missing| missing.near.contains(&missing.name)) {
        return format!(
            "no version of `{}` is visible: give a hidden one in full (module --show_hidden avail)",
            Escaped(&hidden.name)
        );
    }
    if near.is_empty() {
        return "`module avail` lists what MODULEPATH has, `module spider NAME` also what other modules would add".to_owned();
    }
    let near: Vec<_> = near.iter().map(|name| format!("`{}`", Escaped(name))).collect();
    format!("did you mean {}?", near.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_said_once_and_never_the_name_itself() {
        for (name, near, want) in [
            ("Helo", &["Hello", "Hello"][..], "did you mean `Hello`?"),
            ("Hi/3", &["Hi/2", "Hi/1"], "did you mean `Hi/2` or `Hi/1`?"),
            ("Hid", &["Hid"], "no version of `Hid` is visible"),
            ("Zebra", &[], "`module avail` lists"),
        ] {
            let near = near.iter().map(|&name| name.to_owned()).collect();
            let hint = about_missing(&[Missing { name: name.to_owned(), near }]);
            assert!(hint.starts_with(want), "{hint}");
        }
    }
}
