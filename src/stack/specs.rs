//! Which CPUs a target's software runs on.

use std::path::Path;

use crate::base::fs::sorted_dir;

/// What a CPU target needs. EESSI's detection takes a target if the vendor is the CPU's and all
/// flags are among the CPU's; on aarch64 an unknown vendor counts as `0x41`.
///
/// Source: EESSI/software-layer-scripts `init/eessi_archdetect.sh`, `init/arch_specs/*.spec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSpec {
    /// `x86_64/intel/haswell`.
    pub target: String,
    /// As `/proc/cpuinfo` has it in `vendor_id` or `CPU implementer`: `GenuineIntel`, `0x41`;
    /// empty where any will do.
    pub vendor: String,
    /// As `/proc/cpuinfo` has them in `flags` or `Features`.
    pub flags: Vec<String>,
}

/// The specifications of the CPU family's targets in `directory`, in the order in which they
/// stand there (from worse to better); the built-in ones where there are none.
pub(super) fn of_family(directory: &Path, family: &str) -> Vec<TargetSpec> {
    let names = sorted_dir(directory).unwrap_or_default();
    let files = names.iter().map(|name| directory.join(name));
    let files = files.filter(|file| file.extension().is_some_and(|e| e == "spec"));
    let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    let packed: Vec<_> = texts.flat_map(|text| parse(&text, family)).collect();
    if packed.is_empty() { parse(BUILT_IN, family) } else { packed }
}

/// The lines `"target" "vendor" "flags"` of a specification file that are of this CPU family.
/// What follows the third text, and lines of another form, are comments.
fn parse(text: &str, family: &str) -> Vec<TargetSpec> {
    let line = |line: &str| {
        if line.trim_start().starts_with('#') {
            return None;
        }
        let mut quoted = line.split('"').skip(1).step_by(2);
        let (target, vendor, flags) = (quoted.next()?, quoted.next()?, quoted.next()?);
        target.strip_prefix(family)?.strip_prefix('/')?;
        Some(TargetSpec {
            target: target.to_owned(),
            vendor: vendor.to_owned(),
            flags: flags.split_whitespace().map(str::to_owned).collect(),
        })
    };
    text.lines().filter_map(line).collect()
}

/// The targets of EESSI 2025.06, for a stack that does not bring its own table.
const BUILT_IN: &str = r#"
"x86_64/intel/haswell" "GenuineIntel" "avx2 fma"
"x86_64/intel/skylake_avx512" "GenuineIntel" "avx2 fma avx512f avx512bw avx512cd avx512dq avx512vl"
"x86_64/intel/cascadelake" "GenuineIntel" "avx2 fma avx512f avx512bw avx512cd avx512dq avx512vl avx512_vnni"
"x86_64/intel/icelake" "GenuineIntel" "avx2 fma avx512f avx512bw avx512cd avx512dq avx512vl avx512_vnni avx512_vbmi2"
"x86_64/intel/sapphirerapids" "GenuineIntel" "avx2 fma avx512f avx512bw avx512cd avx512dq avx512vl avx512_bf16 amx_tile"
"x86_64/amd/zen2" "AuthenticAMD" "avx2 fma"
"x86_64/amd/zen3" "AuthenticAMD" "avx2 fma vaes"
"x86_64/amd/zen4" "AuthenticAMD" "avx2 fma vaes avx512f avx512ifma"
"x86_64/amd/zen5" "AuthenticAMD" "avx2 fma vaes avx512f avx512ifma avx512_vp2intersect avx_vnni movdiri"
"aarch64/a64fx" "0x46" "asimdhp sve"
"aarch64/neoverse_n1" "ARM" "asimddp"
"aarch64/neoverse_n1" "0x41" "asimddp"
"aarch64/neoverse_v1" "ARM" "asimddp svei8mm"
"aarch64/neoverse_v1" "0x41" "asimddp svei8mm"
"aarch64/nvidia/grace" "0x41" "sve2 sm3 sm4 svesm4"
"aarch64/google/axion" "0x41" "sve2 rng sm3 sm4 svesm4"
"ppc64le/power9le" "" "POWER9"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_line_is_three_quoted_texts() {
        let text = "# \"x86_64/comment\" \"a\" \"b\"\n\
            \"x86_64/intel/haswell\"\t\"GenuineIntel\"\t\"avx2 fma\"\t# Haswell, \"Broadwell\"\n\
            \"aarch64/a64fx\" \"0x46\" \"sve\"\n\
            \"x86_64/short\" \"a\"\n\
            \"x86_64/any\" \"\" \"\"\n";
        let spec = |target: &str, vendor: &str, flags: &[&str]| TargetSpec {
            target: target.to_owned(),
            vendor: vendor.to_owned(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        };
        assert_eq!(
            parse(text, "x86_64"),
            [
                spec("x86_64/intel/haswell", "GenuineIntel", &["avx2", "fma"]),
                spec("x86_64/any", "", &[]),
            ]
        );
        assert_eq!(parse(text, "x86"), []);
    }

    #[test]
    fn a_stack_without_its_own_table_has_the_built_in_one() {
        for (family, targets) in [("x86_64", 9), ("aarch64", 7), ("ppc64le", 1), ("mips", 0)] {
            assert_eq!(of_family(Path::new("/nowhere"), family).len(), targets, "{family}");
        }
    }
}
