//! Whether a part of a module's name, or of a path, names a piece of software.
//!
//! `VASP`, `vasp-6.4.2`, `VASP6.4.2`, `vasp_std` and `VASP-vtst` name VASP; `VASPKIT` and `vasp-tools` name
//! something else.

/// What follows a name where the same software comes in several builds or parts.
const VARIANTS: [&str; 74] = [
    "std",
    "gam",
    "ncl",
    "gamma",
    "sol",
    "vaspsol",
    "vtst",
    "beef",
    "wannier90",
    "plumed",
    "libxc",
    "mpi",
    "openmpi",
    "intelmpi",
    "impi",
    "mvapich2",
    "mpp",
    "smp",
    "serial",
    "parallel",
    "openmp",
    "omp",
    "threaded",
    "hybrid",
    "cpu",
    "gpu",
    "cuda",
    "rocm",
    "avx",
    "avx2",
    "avx512",
    "sse4",
    "sp",
    "dp",
    "single",
    "double",
    "academic",
    "student",
    "teaching",
    "research",
    "commercial",
    "binary",
    "bin",
    "base",
    "full",
    "suite",
    "bundle",
    "gui",
    "batch",
    "solver",
    "server",
    "desktop",
    "hpc",
    "linux",
    "linux64",
    "x86-64",
    "intel",
    "gnu",
    "gcc",
    "foss",
    "gomkl",
    "iomkl",
    "compilers",
    "compiler",
    "toolkit",
    "sdk",
    "fluent",
    "cfx",
    "mechanical",
    "workbench",
    "electronics",
    "multiphysics",
    "md",
    "optimizer",
];

/// A name in the form in which names are compared.
pub(super) fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// Whether a part says only a version: `2023`, `R1`, `v6.4.2`, `2023b-GCC`.
pub(super) fn is_version(part: &str) -> bool {
    let text = part.strip_prefix(['v', 'r', 'V', 'R']).unwrap_or(part);
    begins_with_version(text)
}

/// What follows `name` in `part`, both normal, if that is a version or a variant; empty if nothing
/// does.
pub(super) fn rest<'a>(part: &'a str, name: &str, with_variants: bool) -> Option<&'a str> {
    let rest = part.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let behind = rest.strip_prefix(['-', '.']);
    let Some(behind) = behind else {
        // `g169` is another number than `g16`
        let runs_on = name.ends_with(|c: char| c.is_ascii_digit());
        return (!runs_on && is_version(rest)).then_some(rest);
    };
    let is_revision = behind.starts_with(|c: char| c.is_ascii_alphabetic())
        && begins_with_version(behind.get(1..)?.trim_start_matches('.'));
    let is_variant = || {
        let fits = |variant: &str| {
            let left = behind.strip_prefix(variant);
            let left = left.map(|left| left.trim_start_matches(|c: char| c.is_ascii_digit()));
            left.is_some_and(|left| left.is_empty() || left.starts_with(['-', '.']))
        };
        VARIANTS.iter().any(|variant| fits(variant))
    };
    let fits = begins_with_version(behind) || is_version(behind) || is_revision;
    (fits || with_variants && is_variant()).then_some(behind)
}

/// Digits, then at most two letters and more digits: `6`, `2023b`, `2023r1`, but not `2matlab`.
fn begins_with_version(text: &str) -> bool {
    let first = text.split(['-', '_', '.', '+']).next().unwrap_or_default();
    let letters = first.trim_start_matches(|c: char| c.is_ascii_digit());
    if letters.len() == first.len() || matches!(first, "2d" | "3d") {
        return false;
    }
    let end = letters.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    letters.len() - end.len() <= 2 && end.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_variants_belong_to_a_name_and_other_words_do_not() {
        for (part, name, want) in [
            ("vasp", "vasp", Some("")),
            ("vasp-6.4.2", "vasp", Some("6.4.2")),
            ("vasp6.4.2", "vasp", Some("6.4.2")),
            ("vasp-std", "vasp", Some("std")),
            ("vasp-vtst3-mpi", "vasp", Some("vtst3-mpi")),
            ("vaspkit", "vasp", None),
            ("vasp-tools", "vasp", None),
            ("matlab-r2023b", "matlab", Some("r2023b")),
            ("matlabr2023b", "matlab", Some("r2023b")),
            ("abaqus2matlab", "abaqus", None),
            ("orca-3d-viewer", "orca", None),
            ("ansys2023r1", "ansys", Some("2023r1")),
            ("g16-c02", "g16", Some("c02")),
            ("g16.c.01", "g16", Some("c.01")),
            ("g169", "g16", None),
            ("ambertools23", "amber", None),
            ("cuda-samples", "cuda", None),
        ] {
            assert_eq!(rest(part, name, true), want, "{part}");
        }
        assert_eq!(rest("cuda-mpi", "cuda", false), None);
        for (part, want) in
            [("2023", true), ("R1", true), ("v6.4", true), ("2023b-GCC", true), ("bin", false)]
        {
            assert_eq!(is_version(part), want, "{part}");
        }
    }
}
