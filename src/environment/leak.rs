//! Variables of a host's module session that must not reach programs in an image.
//!
//! A container runtime passes the caller's environment on. What a host's modules, Python, R and
//! so on put there would send the packed programs to files that are not in the image, or worse,
//! to other versions of them.

/// Names that are cleared when an image starts, before it sets its own: a trailing `*` stands
/// for any text.
pub const CLEARED: &[&str] = &[
    "BASH_ENV",
    "CONDA_*",
    "EB*",
    "EESSI_*",
    "ENV",
    "EPREFIX",
    "FPATH",
    "JULIA_*",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LD_AUDIT",
    "LD_PRELOAD",
    "LMOD_*",
    "LOADEDMODULES",
    "LOCPATH",
    "MODULEPATH",
    "MODULEPATH_ROOT",
    "MODULERCFILE",
    "MODULESHOME",
    "MODULES_*",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PYTHON*",
    "R_*",
    "VIRTUAL_ENV",
    "VIRTUAL_ENV_PROMPT",
    "_LMFILES_",
    "_ModuleTable*",
    "__EESSI_*",
    "__LMOD_*",
];

/// Whether an image clears the host's variable `name` even if it sets none of that name.
#[must_use]
pub fn is_cleared(name: &str) -> bool {
    name.starts_with("BASH_FUNC_")
        || CLEARED.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        })
}

/// Whether `name` is one that a POSIX shell can export.
#[must_use]
pub fn is_shell_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_state_is_cleared_and_variables_of_the_run_are_not() {
        for name in ["EBROOTGCC", "_ModuleTable001_", "BASH_FUNC_module%%", "PYTHONPATH", "R_LIBS"]
        {
            assert!(is_cleared(name), "{name}");
        }
        for name in
            ["SLURM_JOB_ID", "OMP_NUM_THREADS", "PMIX_RANK", "TERM", "RUSTUP_HOME", "HOME", "TZ"]
        {
            assert!(!is_cleared(name), "{name}");
        }
    }

    #[test]
    fn only_names_that_a_shell_can_export_are_shell_names() {
        for (name, want) in
            [("A_1", true), ("_", true), ("1A", false), ("A-B", false), ("", false), ("é", false)]
        {
            assert_eq!(is_shell_name(name), want, "{name}");
        }
    }
}
