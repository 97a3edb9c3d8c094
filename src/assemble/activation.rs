//! The scripts that give programs in an image its environment.
//!
//! One text serves Apptainer, whose built-in shell reads `/.singularity.d/env/*.sh`, and any
//! POSIX shell (`/.module-export/activate.sh`). Apptainer hides the caller's variables while the
//! text runs, lists them in `__exported_env__`, and puts those back that are not set by then; one
//! that is set but empty is removed (read in its `action_script.sh`, seen with 1.4.5). It runs
//! without any program: built-ins alone are certain to be there.

use std::fmt::Write as _;

use super::Assembly;
use super::quote::quote;
use super::selftest;
use crate::environment::leak;

/// The CPU features without which the packed programs end in an illegal instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuGuard {
    /// `x86_64/intel/haswell`.
    pub target: String,
    /// As `/proc/cpuinfo` names them.
    pub flags: Vec<String>,
}

/// The texts of all scripts.
#[derive(Debug)]
pub(super) struct Scripts {
    /// `/.singularity.d/env/90-environment.sh` and `/.module-export/activate.sh`.
    pub(super) activate: String,
    /// `/.singularity.d/env/99-z-guard.sh`.
    pub(super) guard: String,
    /// `/.singularity.d/runscript`.
    pub(super) runscript: String,
    /// `/.singularity.d/test`.
    pub(super) test: String,
    /// `/.singularity.d/runscript.help`.
    pub(super) help: String,
}

/// Sets `LD_LIBRARY_PATH` so that libraries which a runtime binds in (`--nv`, `--rocm`) are found.
pub(super) const BASE_99: &str = "# Libraries that the runtime binds in come after the image's own.
export LD_LIBRARY_PATH=\"${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/.singularity.d/libs\"
";

/// Apptainer replaces the files of `/.singularity.d` that it knows when it makes a SIF of an OCI image
/// (seen with 1.4.5); this one stays.
pub(super) const AGAIN: &str = "# Where 90-environment.sh is not this image's own.
if [ -z \"${__me_active:-}\" ]; then
    . /.module-export/activate.sh
fi
unset __me_active
";

/// Starts a command in the image's environment where no container runtime set it.
pub(super) const ENTER: &str = "#!/bin/sh
. /.module-export/activate.sh
. /.singularity.d/env/99-base.sh
. /.singularity.d/env/99-z-guard.sh
exec \"$@\"
";

/// An interactive shell in which `module` works.
pub(super) const SHELL: &str = "#!/bin/sh
if [ -x /bin/bash ]; then
    SHELL=/bin/bash
    export SHELL
    exec /bin/bash --rcfile /.module-export/bashrc \"$@\"
fi
SHELL=/bin/sh
export SHELL
exec /bin/sh \"$@\"
";

/// Read by bash at the start of every script: defines functions, does nothing else.
pub(super) const BASH_ENV: &str = include_str!("scripts/bash_env");
/// Read by the interactive shell.
pub(super) const BASHRC: &str = include_str!("scripts/bashrc");
/// The programs `module` and `ml`, for `exec IMAGE module list`.
pub(super) const MODULE: &str = include_str!("scripts/module");
/// See [`MODULE`].
pub(super) const ML: &str = include_str!("scripts/ml");

impl Scripts {
    pub(super) fn new(assembly: &Assembly) -> Self {
        Self {
            activate: activate(assembly),
            guard: guard(assembly),
            runscript: RUNSCRIPT.to_owned(),
            test: selftest::script(assembly),
            help: help(assembly),
        }
    }
}

const RUNSCRIPT: &str = "#!/bin/sh
# Without arguments a shell, else the command given.
if [ $# -eq 0 ]; then
    exec /.module-export/bin/shell
fi
exec \"$@\"
";

fn activate(assembly: &Assembly) -> String {
    let mut text = CLEAR.replace("@CLEARED@", &leak::CLEARED.join("|"));
    if !assembly.unset.is_empty() {
        let names = assembly.unset.join(" ");
        // writing to a String cannot fail
        let _ = writeln!(
            text,
            "for __me_k in {names}; do\n    if [ -n \"${{__exported_env__+set}}\" ]; then export \"$__me_k=\"; else unset \"$__me_k\"; fi\ndone"
        );
    }
    for (name, value) in &assembly.environment {
        let _ = writeln!(text, "export {name}={}", quote(value));
    }
    text.push_str(DEFAULTS);
    text
}

/// Refuses a CPU, notices mounts: after everything that may say `MODULE_EXPORT_TARGET` or
/// `MODULE_EXPORT_STRICT`, which for Apptainer's `--env` is after `99-base.sh`.
fn guard(assembly: &Assembly) -> String {
    let mut text = "# Can this image run here, and is it all there? Built-ins only.\n".to_owned();
    if let Some(guard) = &assembly.guard {
        text.push_str(&cpu_check(&assembly.identity.name, guard));
    }
    if !assembly.guarded.is_empty() {
        text.push_str(&mount_check(assembly));
    }
    text
}

/// What is cleared, and the two words of ours that a caller may say.
const CLEAR: &str = r#"# The environment of this image, frozen by module-export. Any POSIX shell, and Apptainer's own.
# Empty is what Apptainer takes for "not to be passed on"; any other shell can say so itself.
if [ -z "${__exported_env__+set}" ]; then
    unset LD_LIBRARY_PATH
fi
__me_ifs=$IFS
IFS='
'
set -f
if [ -n "${__exported_env__+set}" ]; then
    __me_all=$__exported_env__
else
    __me_all=$(export -p)
fi
for __me_e in $__me_all; do
    __me_e=${__me_e#export }
    __me_e=${__me_e#declare -x }
    __me_k=${__me_e%%=*}
    case $__me_k in
    MODULE_EXPORT_TARGET) MODULE_EXPORT_TARGET=${MODULE_EXPORT_TARGET:-${__me_e#*=}} ;;
    MODULE_EXPORT_STRICT) MODULE_EXPORT_STRICT=${MODULE_EXPORT_STRICT:-${__me_e#*=}} ;;
    *[!A-Za-z0-9_]* | '' | [0-9]*) ;;
    @CLEARED@)
        if [ -n "${__exported_env__+set}" ]; then
            export "$__me_k="
        else
            unset "$__me_k"
        fi
        ;;
    esac
done
set +f
IFS=$__me_ifs
unset __me_e __me_ifs __me_all
"#;

const DEFAULTS: &str =
    "export SINGULARITY_SHELL=\"${SINGULARITY_SHELL:-/.module-export/bin/shell}\"
__me_active=yes
";

fn cpu_check(name: &str, guard: &CpuGuard) -> String {
    let flags: Vec<_> = guard.flags.iter().map(|flag| quote(flag)).collect();
    CPU.replace("@NAME@", &in_double_quotes(name))
        .replace("@TARGET@", &in_double_quotes(&guard.target))
        .replace("@FLAGS@", &flags.join(" "))
}

const CPU: &str = r#"case ${MODULE_EXPORT_TARGET:-} in
"")
    __me_flags=
    if [ -r /proc/cpuinfo ]; then
        while IFS= read -r __me_line; do
            case $__me_line in
            flags*:* | Features*:*) __me_flags=" ${__me_line#*:} "; break ;;
            esac
        done < /proc/cpuinfo
    fi
    __me_lacks=
    for __me_flag in @FLAGS@; do
        case "$__me_flags" in
        "" | *" $__me_flag "*) ;;
        *) __me_lacks="$__me_lacks $__me_flag" ;;
        esac
    done
    if [ -n "$__me_lacks" ]; then
        echo "@NAME@: built for @TARGET@, and this CPU lacks:$__me_lacks. Run it on a newer machine, or ask its author for one made with --generic (MODULE_EXPORT_TARGET=@TARGET@ starts it all the same)." >&2
        exit 1
    fi
    unset __me_flags __me_lacks __me_flag __me_line
    ;;
"@TARGET@") ;;
*)
    echo "@NAME@: MODULE_EXPORT_TARGET asks for a CPU target that is not packed; there is @TARGET@." >&2
    exit 1
    ;;
esac
"#;

/// Something mounted at, above or below a packed directory, from another device than the image.
fn mount_check(assembly: &Assembly) -> String {
    let mut over = Vec::new();
    for root in &assembly.guarded {
        let mut path = std::path::Path::new(root);
        over.push(format!("{}/*", pattern(root)));
        while path != std::path::Path::new("/") && !path.as_os_str().is_empty() {
            over.push(pattern(&path.to_string_lossy()));
            path = path.parent().unwrap_or(std::path::Path::new("/"));
        }
    }
    over.sort();
    over.dedup();
    let mut expected: Vec<_> = assembly
        .closure
        .bind_points
        .iter()
        .map(|bind| pattern(&bind.path.to_string_lossy()))
        .collect();
    expected.push("/.module-export".to_owned());
    MOUNTS
        .replace("@NAME@", &in_double_quotes(&assembly.identity.name))
        .replace("@EXPECTED@", &expected.join("|"))
        .replace("@OVER@", &over.join("|"))
}

const MOUNTS: &str = r#"if [ -r /proc/self/mountinfo ]; then
    __me_device=
    while IFS=' ' read -r __me_1 __me_2 __me_dev __me_3 __me_point __me_4; do
        case $__me_point in
        / | /.module-export) __me_device=$__me_dev ;;
        esac
    done < /proc/self/mountinfo
    __me_over=
    while IFS=' ' read -r __me_1 __me_2 __me_dev __me_3 __me_point __me_4; do
        if [ "$__me_dev" != "$__me_device" ]; then
            case $__me_point in
            @EXPECTED@) ;;
            @OVER@) __me_over=${__me_over:-$__me_point} ;;
            esac
        fi
    done < /proc/self/mountinfo
    if [ -n "$__me_over" ]; then
        if [ -n "${MODULE_EXPORT_STRICT:-}" ]; then
            echo "@NAME@: refused: the host has mounted something over the packed $__me_over. Start it without that bind (apptainer: --contain, --no-mount, or no --bind)." >&2
            exit 1
        fi
        echo "@NAME@: the host has mounted something over the packed $__me_over, so the host's files are used there. To use the image's: start it without that bind (apptainer: --contain, --no-mount, or no --bind)." >&2
    fi
    unset __me_device __me_over __me_1 __me_2 __me_3 __me_4 __me_dev __me_point
fi
"#;

/// `path` as a shell pattern that matches it alone, with the escapes of `/proc/self/mountinfo`.
fn pattern(path: &str) -> String {
    let escaped: String = path
        .chars()
        .map(|c| match c {
            ' ' => "\\040".to_owned(),
            '\t' => "\\011".to_owned(),
            '\n' => "\\012".to_owned(),
            '\\' => "\\134".to_owned(),
            c => c.to_string(),
        })
        .collect();
    quote(&escaped).into_owned()
}

/// `text` between double quotes of a shell script: without what a shell obeys there, and without
/// what a terminal obeys.
fn in_double_quotes(text: &str) -> String {
    crate::base::Escaped(text)
        .to_string()
        .chars()
        .map(|c| if "\"\\$`!".contains(c) { '_' } else { c })
        .collect()
}

fn help(assembly: &Assembly) -> String {
    let identity = &assembly.identity;
    let shown = |text: &str| crate::base::Escaped(text).to_string();
    let mut text = format!(
        "{} {}, by {}\n\nEnvironment modules with what they need, frozen by module-export {}.\n\n  apptainer exec IMAGE COMMAND    run a program of the modules below\n  apptainer shell IMAGE           a shell in which `module` works too\n  apptainer test IMAGE            is everything there?\n  module-export run IMAGE -- COMMAND    the same without any container runtime\n\nModules, in load order:\n",
        shown(&identity.name),
        shown(&identity.version),
        shown(&identity.authors.join(", ")),
        env!("CARGO_PKG_VERSION"),
    );
    for module in &assembly.modules {
        let _ = writeln!(text, "  {}", shown(&module.name));
    }
    let _ = writeln!(text, "\nCPU: {}", shown(&assembly.cpu.targets.join(", ")));
    text.push_str(match &assembly.guard {
        Some(_) => {
            "Other CPUs that lack its features are refused; MODULE_EXPORT_TARGET overrides.\n"
        }
        None if assembly.cpu.is_generic() => "Starts on any CPU of that family.\n",
        None => {
            "Made for CPUs like those of the machine that it comes from; nothing more is known.\n"
        }
    });
    if assembly.codec.compression == "zstd" {
        text.push_str("Compressed with zstd: kernels before 4.14, and those of EL7 and EL8, cannot mount it.\n");
    }
    text
}
