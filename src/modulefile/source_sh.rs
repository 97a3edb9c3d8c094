//! `source_sh`: what a shell script does to the environment, as calls of a modulefile.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::environment::path;

use super::api::apply_shell_change;
use super::evaluator::Evaluator;
use super::features::Feature;
use super::state::Mode;

/// One change that a script made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ShellChange {
    /// The variable has this value.
    Set(String, String),
    /// The element came in front.
    Prepend(String, String),
    /// The element came at the end.
    Append(String, String),
}

/// What a shell needs to be told.
struct Shell {
    name: &'static str,
    options: &'static [&'static str],
    stop_at_errors: &'static str,
    source: &'static str,
    redirect: &'static str,
    functions: &'static str,
}

const SHELLS: [Shell; 5] = [
    Shell {
        name: "bash",
        options: &["--noprofile", "--norc", "-c"],
        stop_at_errors: "set -e;",
        source: ".",
        redirect: "2>&1",
        functions: "declare -F",
    },
    Shell {
        name: "sh",
        options: &["-c"],
        stop_at_errors: "set -e;",
        source: ".",
        redirect: "2>&1",
        // Nothing between two semicolons: no such shell takes that, in Lmod neither.
        functions: "",
    },
    Shell {
        name: "ksh",
        options: &["-c"],
        stop_at_errors: "set -e;",
        source: ".",
        redirect: "2>&1",
        functions: "typeset +f",
    },
    Shell {
        name: "zsh",
        options: &["-f", "-c"],
        stop_at_errors: "setopt errexit;",
        source: ".",
        redirect: "2>&1",
        functions: "print -l ${(k)functions}",
    },
    Shell {
        name: "tcsh",
        options: &["-e", "-f", "-c"],
        stop_at_errors: "",
        source: "source",
        redirect: ">& /dev/stdout",
        functions: "echo",
    },
];

/// Separates the parts of what the shell prints.
const MARK: &str = "%__________module_export__________%";

/// Variables that tell of the shell or the terminal, not of what the script sets up.
const IGNORED: &[&str] = &[
    "_",
    "BASH_ENV",
    "COLUMNS",
    "DISPLAY",
    "EDITOR",
    "ENV",
    "ENV2",
    "GROUP",
    "HISTFILE",
    "HISTSIZE",
    "HOME",
    "HOST",
    "HOSTTYPE",
    "LC_ALL",
    "LINES",
    "LMOD_CMD",
    "LMOD_DIR",
    "LMOD_FULL_SETTARG_SUPPORT",
    "LMOD_PKG",
    "LMOD_ROOT",
    "LMOD_SETTARG_CMD",
    "LMOD_SETTARG_FULL_SUPPORT",
    "LMOD_VERSION",
    "LOGNAME",
    "MACHTYPE",
    "MAILER",
    "MODULESHOME",
    "OLDPWD",
    "OSTYPE",
    "PAGER",
    "PRINTER",
    "PS1",
    "PS2",
    "PWD",
    "REMOTEHOST",
    "REPLYTO",
    "SHELL",
    "SHLVL",
    "SSH_ASKPASS",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "TERM",
    "TTY",
    "TZ",
    "USER",
    "VENDOR",
    "VISUAL",
    "module",
];

/// Runs `script` (a file with arguments) in a shell and does what it did, or undoes it.
pub(super) fn source(evaluator: &Evaluator, shell: &str, script: &str) -> mlua::Result<()> {
    let (own, known) = {
        let state = evaluator.state.borrow();
        let own = state.frames.last().map(|frame| frame.short_name.clone()).unwrap_or_default();
        let known = state.module(&own).and_then(|entry| entry.scripts.get(script).cloned());
        (own, known)
    };
    let changes: Rc<[ShellChange]> = match known {
        Some(changes) => changes,
        None if evaluator.mode() == Mode::Unload => {
            if evaluator.request.options.continues {
                evaluator.warn(format!("source_sh: what `{script}` did earlier is not undone"));
            }
            return Ok(());
        }
        None => {
            let changes: Rc<[ShellChange]> = run(evaluator, shell, script)?.into();
            evaluator.state.borrow_mut().edit_module(&own, |entry| {
                entry.scripts.insert(script.to_owned(), Rc::clone(&changes));
            });
            changes
        }
    };
    for change in changes.iter() {
        apply_shell_change(evaluator, change);
    }
    Ok(())
}

fn run(evaluator: &Evaluator, shell: &str, script: &str) -> mlua::Result<Vec<ShellChange>> {
    let name = match shell {
        "csh" => "tcsh",
        "dash" => "sh",
        name => name,
    };
    let shell = SHELLS.iter().find(|shell| shell.name == name).unwrap_or(&SHELLS[0]);
    let text = script_text(shell, script);
    let path = evaluator.state.borrow_mut().getenv("PATH").unwrap_or_default();
    let program = find_program(shell.name, &path);
    let mut arguments = vec![program.as_str()];
    arguments.extend(shell.options);
    arguments.push(&text);
    let blank = [("LD_LIBRARY_PATH", ""), ("LD_PRELOAD", "")];
    let extra =
        if evaluator.rules.have(Feature::CaptureKeepsLibraries) { &[] } else { blank.as_slice() };
    let output = evaluator.run_program("source_sh", script, &arguments, extra)?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mark = format!("{MARK}\n");
    let parts: Vec<&str> = printed.split(mark.as_str()).collect();
    let [before, aliases, functions, said, after, new_aliases, new_functions, _] = parts.as_slice()
    else {
        let said = parts.get(3).copied().unwrap_or_default();
        let message = format!("source_sh: `{script}` failed: {}", said.trim());
        return Err(evaluator.refuse(message));
    };
    if !output.success {
        let message = format!("source_sh: `{script}` failed: {}", said.trim());
        return Err(evaluator.refuse(message));
    }
    note_new(evaluator, "set_alias", aliases, new_aliases);
    note_new(evaluator, "set_shell_function", functions, new_functions);
    Ok(compare(evaluator, &variables(before), &variables(after)))
}

fn script_text(shell: &Shell, script: &str) -> String {
    let Shell { stop_at_errors, source, redirect, functions, .. } = shell;
    let env =
        if std::path::Path::new("/usr/bin/env").exists() { "/usr/bin/env" } else { "/bin/env" };
    let shown =
        format!("{env} -0; echo '{MARK}'; alias; echo '{MARK}'; {functions}; echo '{MARK}'");
    format!("{stop_at_errors} {shown}; {source} {script} {redirect}; echo '{MARK}'; {shown};")
}

fn find_program(name: &str, path: &str) -> String {
    path.split(':')
        .filter(|directory| !directory.is_empty())
        .map(|directory| format!("{directory}/{name}"))
        .find(|file| rustix::fs::access(file.as_str(), rustix::fs::Access::EXEC_OK).is_ok())
        .unwrap_or_else(|| format!("/bin/{name}"))
}

fn note_new(evaluator: &Evaluator, function: &str, before: &str, after: &str) {
    for line in after.lines().filter(|line| !before.lines().any(|old| old == *line)) {
        evaluator.shell_text(function, line.to_owned());
    }
}

fn variables(block: &str) -> BTreeMap<&str, &str> {
    let pairs = block.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.trim_start_matches('\n'), value)).collect()
}

fn compare(
    evaluator: &Evaluator,
    before: &BTreeMap<&str, &str>,
    after: &BTreeMap<&str, &str>,
) -> Vec<ShellChange> {
    let mut changes = Vec::new();
    for (name, value) in after {
        let skipped = IGNORED.contains(name)
            || name.starts_with("_ModuleTable")
            || name.starts_with("BASH_FUNC_");
        if skipped || before.get(name) == Some(value) {
            continue;
        }
        let set = || ShellChange::Set((*name).to_owned(), (*value).to_owned());
        let Some(old) = before.get(name) else {
            changes.push(set());
            continue;
        };
        let split = |value: &str| path::split(value, ":", false, evaluator.rules.cleaning());
        let (old, new) = (split(old), split(value));
        let around = if evaluator.rules.have(Feature::SourcedElements) {
            added(&old, &new)
        } else {
            added_around(&old, &new)
        };
        match around {
            None => changes.push(set()),
            Some((front, end)) => {
                let front = front.into_iter().rev();
                changes.extend(front.map(|one| ShellChange::Prepend((*name).to_owned(), one)));
                let end = end.into_iter();
                changes.extend(end.map(|one| ShellChange::Append((*name).to_owned(), one)));
            }
        }
    }
    changes
}

/// New elements before and after the first one that is old; `None` if none is.
fn added(old: &[String], new: &[String]) -> Option<(Vec<String>, Vec<String>)> {
    let first = new.iter().position(|one| old.contains(one))?;
    let (front, rest) = new.split_at(first);
    let end = rest.iter().filter(|one| !old.contains(one)).cloned();
    Some((front.to_vec(), end.collect()))
}

/// What stands before and after the old elements in the new ones, if something was added.
///
/// As in Lmod, so many elements are compared as there are new ones, less one: what would be
/// compared after these counts as equal.
fn added_around(old: &[String], new: &[String]) -> Option<(Vec<String>, Vec<String>)> {
    if old.len() >= new.len() || new.len() == 1 {
        return None;
    }
    let last = new.len() - old.len();
    let (mut in_old, mut in_new) = (0, 0);
    for _ in 1..new.len() {
        if old.get(in_old) == new.get(in_new) {
            in_old += 1;
            in_new += 1;
            if in_old >= old.len() {
                break;
            }
        } else {
            in_new = in_new + 1 - in_old;
            in_old = 0;
            if in_new > last {
                return None;
            }
        }
    }
    let (front, rest) = new.split_at(in_new - in_old);
    Some((front.to_vec(), rest.get(old.len()..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_around_the_old_value_is_found() {
        let list = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        for (old, new, want) in [
            ("a b", "x a b", Some((vec!["x"], vec![]))),
            ("a b", "x a b y z", Some((vec!["x"], vec!["y", "z"]))),
            ("a b", "a x b", Some((vec!["a"], vec![]))),
            ("a", "b", None),
            ("a b", "x a c", Some((vec!["x"], vec![]))),
            ("a", "x y", Some((vec!["x"], vec![]))),
            ("a", "x y z", Some((vec!["x", "y"], vec![]))),
        ] {
            let got = added_around(&list(old), &list(new));
            let want = want.map(|(front, end): (Vec<&str>, Vec<&str>)| {
                let own = |list: Vec<&str>| -> Vec<String> {
                    list.into_iter().map(str::to_owned).collect()
                };
                (own(front), own(end))
            });
            assert_eq!(got, want, "{old} → {new}");
        }
    }
}
