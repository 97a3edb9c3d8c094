use super::*;

fn candidate(name: &str) -> Candidate<'_> {
    let short_name = name.rsplit_once('/').map_or(name, |(short_name, _)| short_name);
    Candidate { short_name, full_name: name, evidence: Vec::new() }
}

fn handling(table: &Table, name: &str, allowed: &Allowed) -> Option<Handling> {
    let judgement = table.judge(&[candidate(name)], allowed);
    judgement.restricted.first().map(|row| row.handling)
}

#[test]
fn every_row_of_the_shipped_table_has_a_reason_and_a_source_and_no_name_stands_twice() {
    let table = Table::shipped().unwrap();
    assert_eq!(table.mistakes(), [""; 0]);
    let mut names = std::collections::BTreeSet::new();
    for row in &table.software {
        assert!(!row.reason.is_empty() && row.source.contains("http"), "{}", row.name);
        assert!(row.common.is_empty() || !row.signs.is_empty(), "{}", row.name);
        for (name, _) in row.names() {
            assert!(names.insert(name.to_lowercase()), "{name} stands twice");
        }
    }
}

#[test]
fn modules_are_known_by_any_part_of_their_name_with_versions_and_variants() {
    let table = Table::shipped().unwrap();
    let none = Allowed::Names(Vec::new());
    for name in [
        "Gaussian/16.C.01-AVX2",
        "chem/gaussian/g16",
        "chem/g16",
        "gaussian-16",
        "g16-c02",
        "G16/C.02",
        "VASP/6.4.2-gomkl-2023a",
        "vasp-6.4.2",
        "VASP6.4.2",
        "vasp_std",
        "VASP-vtst",
        "vasp/std/6.4.2",
        "PGPLOT/5.2.2-GCCcore-11.3.0",
        "ansys/2023/R1",
        "ansys2023r1",
        "ansys-fluent",
        "MATLAB-R2023b",
        "MATLAB/R2023b",
        "orca-6.0",
        "abaqus-2023",
        "turbomole-7.7",
        "comsol62",
        "amber24",
        "LS-DYNA-MPP",
        "LS-DYNA/MPP-R13",
        "lsdyna/13",
        "nvidia-compilers",
        "nvhpc/23.9",
        "NAMD/3.0",
        "vmd-1.9.4",
        "star-ccm+/2306",
        "crystal17",
        "STAR-CCM+/18.06.006",
    ] {
        assert_eq!(handling(&table, name, &none), Some(Handling::Refused), "{name}");
    }
    for name in [
        "CUDA/12.1.1",
        "cuda/12.4",
        "cuda-12.1/1",
        "CUDAcore/11.3",
        "cuDNN/8.9.2.26-CUDA-12.1.1",
        "cuTENSOR/2.0",
        "icx",
        "intel/2023a",
        "intel/compiler/2023.2",
        "intel-compilers/2023.1.0",
        "nvidia/cuda/12.1",
        "icc/2023.2.1",
    ] {
        assert_eq!(handling(&table, name, &none), Some(Handling::Stripped), "{name}");
    }
}

#[test]
fn free_software_with_such_words_in_its_name_is_free() {
    let table = Table::shipped().unwrap();
    let none = Allowed::Names(Vec::new());
    for name in [
        "CUDA-Samples/12.1-GCC-12.3.0-CUDA-12.1.1",
        "AmberTools/23.6-foss-2023a",
        "OpenMolcas/24.02",
        "GROMACS/2024.1-foss-2023b",
        "GROMACS/2023.3-foss-2022a-CUDA-11.7.0-PLUMED-2.9.0",
        "VASPKIT/1.5",
        "plotly-orca/1.3.1",
        "orca-counter/1.0",
        "gaussian-basis-tools/2",
        "py-cuda-utils/1",
        "PyCUDA/2024.1",
        "numba-cuda/0.4",
        "cuda-python/12.4",
        "UCX-CUDA/1.14.1-GCCcore-12.3.0-CUDA-12.1.1",
        "NCCL/2.18.3-GCCcore-12.3.0-CUDA-12.1.1",
        "OSU-Micro-Benchmarks/7.2-gompi-2023a-CUDA-12.1.1",
        "intel-compute-runtime/23",
        "impi/2021.9.0-intel-compilers-2023.1.0",
        "imkl/2023.1.0",
        "iimpi/2023a",
        "tbb/2021.11.0",
        "IntelPython/3",
        "intel/mkl/2023.2",
        "compiler-rt/17.0",
        "compiler/1.0",
        "MATIO/1.5",
        "libmatheval/1.1.11",
        "Abaqus2Matlab/2",
        "namdtools/1",
        "GAMSAT/1",
        "VMDtools/1",
        "SASA/1.0",
        "Mapler/1.0",
        "MAFFT/7.520",
        "Maple-diff/2",
        "ASE/3.22.1",
        "pymatgen/2023",
        "DL_POLY_4/5.0.0",
        "Molden/7.1",
        "cclib/1.8",
        "PLUMED/2.9.0-foss-2023a",
        "OpenFOAM/v2306",
        "AMS-tools/2",
        "Stacks/2.62",
        "Rosetta-scripts-docs/1",
        "idl4py/1",
        "FORGEpy/1",
        "SASS/3",
        "g2clib/1.6.3",
        "GaussPy/1",
        "Octave/8.2.0",
        "OpenMPI/4.1.5-NVHPC-23.7",
        "OpenMPI/cuda-12.1",
        "HDF5/1.14-intel-2023a",
        "FFTW/3.3.10-intel",
        "tecplot-reader/1",
        "nagios/4",
        "CRYSTALpytools/2023",
        "crystal/1.9",
        "R-sas7bdat/0.8",
        "stata-kernel/1",
        "matlab-proxy/0.9",
        "spglib/2.0",
        "SciPy-bundle/2023.07-gfbf-2023a",
        "Modeltest-NG/0.1.7",
    ] {
        let judgement = table.judge(&[candidate(name)], &none);
        let found = judgement.restricted.first().map(|row| row.reason.clone());
        assert_eq!((found, judgement.stripped.len()), (None, 0), "{name}");
    }
}

#[test]
fn a_common_word_needs_a_second_sign_and_is_doubted_without_one() {
    let table = Table::shipped().unwrap();
    let none = Allowed::Names(Vec::new());
    for (name, evidence, want) in [
        ("forge/23.1", "/opt/linaro/forge/23.1/bin", Some(Handling::Refused)),
        ("linaro/forge/23.1", "", Some(Handling::Refused)),
        ("forge/0.3", "/apps/forge/0.3 Description: a package manager", None),
        ("idl/8.8", "Interactive Data Language", Some(Handling::Refused)),
        ("idl/1.0", "an interface description language", None),
        ("sas/9.4", "/opt/SASHome/SASFoundation/9.4", Some(Handling::Refused)),
        ("sas/1.0", "small-angle scattering", None),
        (
            "compiler/2023.2.1",
            "/opt/intel/oneapi/compiler/2023.2.1/linux/bin",
            Some(Handling::Stripped),
        ),
        ("compiler/12", "/apps/compiler/12/bin", None),
    ] {
        let mut module = candidate(name);
        module.evidence = vec![evidence.to_owned()];
        let judgement = table.judge(&[module.clone()], &none);
        let found = judgement.restricted.first().map(|row| row.handling);
        assert_eq!(found, want, "{name} {evidence}");
        assert_eq!(judgement.doubts.len(), usize::from(want.is_none()), "{name} {evidence}");
        let all = table.judge(&[module], &Allowed::All);
        assert_eq!(all.doubts, [""; 0]);
    }
}

#[test]
fn a_site_adds_rows_and_allows_what_it_has_the_right_to() {
    let own =
        toml::from_str::<Table>("[[software]]\nname = 'Ours'\nversion = '2.*'\nreason = 'secret'");
    let table = Table::shipped().unwrap().under(own.unwrap().software);
    let none = Allowed::Names(Vec::new());
    assert_eq!(handling(&table, "Ours/2.1", &none), Some(Handling::Refused));
    assert_eq!(handling(&table, "Ours/3.0", &none), None);
    let some = ["vasp/6.*", "Ours", "comsol"].map(str::to_owned);
    let some = Allowed::Names(some.to_vec());
    for (name, want) in [
        ("VASP/6.4", Handling::Allowed),
        ("vasp-6.4.2", Handling::Allowed),
        ("VASP/5.4", Handling::Refused),
        ("Ours/2.1", Handling::Allowed),
        ("comsol62", Handling::Allowed),
    ] {
        assert_eq!(handling(&table, name, &some), Some(want), "{name}");
    }
    assert_eq!(handling(&table, "CUDA/12", &Allowed::All), Some(Handling::Allowed));
    assert!(toml::from_str::<Table>("[[software]]\nnaem = 'X'").is_err());
}

#[test]
fn a_row_or_an_entry_that_could_never_fit_is_a_mistake_that_is_named() {
    for (name, version, said) in [
        ("X", "[", "row 1: `[` of `X` is not a pattern"),
        ("NAM*", "*", "row 1: `NAM*` is no name of software: a name is a part of"),
        ("NAMD/3.0", "*", "row 1: `NAMD/3.0` is no name"),
        ("", "*", "row 1: `` is no name"),
    ] {
        let text = format!("[[software]]\nname = '{name}'\nreason = 'r'\nversion = '{version}'");
        let table: Table = toml::from_str(&text).unwrap();
        let mistakes = table.mistakes();
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(said), "{mistakes:?}");
    }
    let entries = ["VASP", "VASP/6.*", "[", "NAMD/[", "/3", ""].map(str::to_owned);
    let mistakes = Allowed::mistakes(&entries);
    assert_eq!(mistakes.len(), 4, "{mistakes:?}");
    assert!(mistakes[0].starts_with("entry 3 of `allow-restricted`, `[`: "), "{mistakes:?}");
    assert!(mistakes[1].contains("NAMD/[`: `[` is not a pattern"), "{mistakes:?}");
}
