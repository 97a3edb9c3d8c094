//! Trees as EasyBuild writes them: flat, and in the hierarchy Core/Compiler/MPI.

mod recorded;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::oracle::{Load, differences, lmod_version};

/// Modules of the flat tree.
const FLAT: usize = 140;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// How a modulefile asks for its dependencies; EasyBuild has had all of these.
#[derive(Debug, Clone, Copy)]
enum Style {
    Guarded,
    DependsOn,
    Recursive,
}

fn dependency(style: Style, name: &str) -> String {
    match style {
        Style::Guarded => {
            format!("if not ( isloaded(\"{name}\") ) then\n    load(\"{name}\")\nend\n\n")
        }
        Style::DependsOn => format!("depends_on(\"{name}\")\n\n"),
        Style::Recursive => format!(
            "if mode() == \"unload\" or not isloaded(\"{name}\") then\n    load(\"{name}\")\nend\n\n"
        ),
    }
}

/// A modulefile of EasyBuild's making.
fn modulefile(
    name: &str,
    version: &str,
    style: Style,
    dependencies: &[String],
    more: &str,
) -> String {
    let root = format!("/apps/software/{name}/{version}");
    let upper = name.to_uppercase().replace('-', "MIN");
    let mut text = format!(
        "help([==[\n\nDescription\n===========\n{name} is a program with a long description.\n\n\
         More information\n================\n - Homepage: https://example.org/{name}\n]==])\n\n\
         whatis([==[Description: {name} is a program]==])\n\
         whatis([==[Homepage: https://example.org/{name}]==])\n\
         whatis([==[URL: https://example.org/{name}]==])\n\n\
         local root = \"{root}\"\n\nconflict(\"{name}\")\n\n"
    );
    for name in dependencies {
        text.push_str(&dependency(style, name));
    }
    for (variable, below) in [
        ("ACLOCAL_PATH", "share/aclocal"),
        ("CMAKE_LIBRARY_PATH", "lib64"),
        ("CPATH", "include"),
        ("LD_LIBRARY_PATH", "lib"),
        ("LD_LIBRARY_PATH", "lib64"),
        ("LIBRARY_PATH", "lib"),
        ("MANPATH", "share/man"),
        ("PATH", "bin"),
        ("PKG_CONFIG_PATH", "lib/pkgconfig"),
        ("XDG_DATA_DIRS", "share"),
    ] {
        writeln!(text, "prepend_path(\"{variable}\", pathJoin(root, \"{below}\"))").unwrap();
    }
    writeln!(text, "prepend_path(\"CMAKE_PREFIX_PATH\", root)").unwrap();
    writeln!(text, "setenv(\"EBROOT{upper}\", root)").unwrap();
    writeln!(text, "setenv(\"EBVERSION{upper}\", \"{version}\")").unwrap();
    writeln!(
        text,
        "setenv(\"EBDEVEL{upper}\", pathJoin(root, \"easybuild/{name}-{version}-easybuild-devel\"))"
    )
    .unwrap();
    text.push_str(more);
    text.push_str("\n-- Built with EasyBuild version 5.1.0\n");
    text
}

/// The modules on which the flat tree's `at`th depends: a fixed choice among earlier ones.
fn earlier(at: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = (1..=6)
        .map(|step| at.wrapping_mul(7 + step * 13) % at.max(1))
        .filter(|&one| one < at)
        .collect();
    chosen.push(at.saturating_sub(1));
    chosen.retain(|&one| one < at);
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn flat_name(at: usize) -> (String, String) {
    let names = ["zlib", "libxml2", "Python-bundle", "HDF5", "R-tools", "FFTW.MPI", "Perl"];
    let suffix = ["-GCCcore-13.2.0", "-foss-2023b", "-GCC-13.2.0", ""];
    (
        format!("{}{at}", names[at % names.len()]),
        format!("{}.{}.{}{}", at % 5 + 1, at, at % 3, suffix[at % suffix.len()]),
    )
}

fn make_flat(top: &Path) {
    for at in 0..FLAT {
        let (name, version) = flat_name(at);
        let style = [Style::Guarded, Style::DependsOn, Style::Recursive][at % 3];
        let dependencies: Vec<String> = earlier(at)
            .into_iter()
            .map(|one| {
                let (name, version) = flat_name(one);
                format!("{name}/{version}")
            })
            .collect();
        let more = match at % 4 {
            0 => "prepend_path(\"PYTHONPATH\", pathJoin(root, \"lib/python3.11/site-packages\"))\n",
            1 => "extensions(\"a/1.0, b/2.0\")\nappend_path(\"EBEXTS\", \"a-1.0\")\n",
            2 => {
                "pushenv(\"CC\", \"cc-\" .. myModuleVersion())\nsetenv(\"SLURM_MPI_TYPE\", \"pmix\")\n"
            }
            _ => {
                "if convertToCanonical(LmodVersion()) >= convertToCanonical(\"8.2.8\") then\n    \
                  extensions(\"x/1\")\nend\n"
            }
        };
        // FFTW.MPI as variable name would not be exported by a shell.
        let text =
            modulefile(&name, &version, style, &dependencies, more).replace("FFTW.MPI", "FFTWMPI");
        let name = name.replace("FFTW.MPI", "FFTWMPI");
        write(&top.join(&name).join(format!("{version}.lua")), &text);
        if at % 5 == 0 {
            let other = modulefile(&name, "0.9", style, &[], more);
            write(&top.join(&name).join("0.9.lua"), &other);
        }
    }
}

fn full_name(at: usize) -> String {
    let (name, version) = flat_name(at);
    format!("{}/{version}", name.replace("FFTW.MPI", "FFTWMPI"))
}

fn check(loads: &[(String, Load)], version: &str) {
    let found = differences(loads, version);
    assert!(found.is_empty(), "{} of {} differ:\n{}", found.len(), loads.len(), found.join("\n"));
}

#[test]
fn a_flat_tree_of_140_modules_loads_as_in_lmod() {
    let Some(version) = lmod_version() else { return };
    let top = tempfile::tempdir().unwrap();
    make_flat(top.path());
    let modulepath = top.path().display().to_string();
    let short = |at: usize| full_name(at).split('/').next().unwrap().to_owned();
    let words: Vec<Vec<String>> = vec![
        vec![full_name(FLAT - 1)],
        vec![full_name(40), full_name(30)],
        vec![full_name(30), full_name(40)],
        vec![short(60)],
        vec![full_name(25), format!("{}/0.9", short(25))],
        vec![full_name(22), full_name(21), format!("-{}", full_name(22))],
        vec![full_name(13), full_name(13)],
        vec![format!("{}/0.9", short(10)), full_name(24)],
        vec![full_name(70), "nothing".to_owned()],
    ];
    let loads = words.into_iter().map(|words| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let load =
            Load::new(&modulepath, &words).with("PYTHONPATH", "/home/mine").with("CC", "gcc");
        (words.join(" "), load)
    });
    check(&loads.collect::<Vec<_>>(), &version);
}

#[test]
fn a_hierarchy_loads_and_swaps_as_in_lmod() {
    let Some(version) = lmod_version() else { return };
    let top = tempfile::tempdir().unwrap();
    make_hierarchy(top.path());
    let core = top.path().join("Core").display().to_string();
    let loads = [
        "GCC OpenMPI app0",
        "GCC/12.3.0 OpenMPI app0 lib3",
        "GCC/12.3.0 OpenMPI app1 lib3 GCC/13.2.0",
        "GCC/13.2.0 OpenMPI app5 lib1 GCC/12.3.0",
        "GCC OpenMPI app2 iccifort",
        "iccifort OpenMPI app2 GCC",
        "GCC OpenMPI app2 -OpenMPI",
        "GCC OpenMPI app2 -GCC",
        "GCC lib0 lib1 lib2 tool4",
        "foss app5",
        "foss/2023a app5 foss/2023b",
        "app0",
        "GCC app0",
        "GCC/13.2.0 onlygcc13 GCC/12.3.0",
        "GCC/13.2.0 onlygcc13 GCC/12.3.0 GCC/13.2.0",
    ];
    let loads = loads.map(|words| {
        let list: Vec<&str> = words.split(' ').collect();
        (words.to_owned(), Load::new(&core, &list))
    });
    check(&loads, &version);
}

fn make_hierarchy(top: &Path) {
    let module = |place: &str, name: &str, version: &str, dependencies: &[&str], more: &str| {
        let dependencies: Vec<String> = dependencies.iter().map(|&one| one.to_owned()).collect();
        let text = modulefile(name, version, Style::DependsOn, &dependencies, more);
        write(&top.join(place).join(name).join(format!("{version}.lua")), &text);
    };
    let reveals =
        |place: &str| format!("prepend_path(\"MODULEPATH\", \"{}/{place}\")\n", top.display());
    for (compiler, version) in [("GCC", "12.3.0"), ("GCC", "13.2.0"), ("iccifort", "2023.1")] {
        let place = format!("Compiler/{compiler}/{version}");
        let more = format!("family(\"compiler\")\n{}", reveals(&place));
        module("Core", compiler, version, &[], &more);
        for at in 0..10 {
            module(&place, &format!("lib{at}"), "1.0", &[], "");
        }
        let mpi = format!("MPI/{compiler}/{version}/OpenMPI/4.1.6");
        let more = format!("family(\"mpi\")\n{}", reveals(&mpi));
        module(&place, "OpenMPI", "4.1.6", &["lib0/1.0", "lib1"], &more);
        for at in 0..10 {
            let library = format!("lib{at}/1.0");
            module(&mpi, &format!("app{at}"), "2.0", &[&library, "lib9"], "");
        }
        if version == "13.2.0" {
            module(&place, "onlygcc13", "1.0", &["lib4"], "");
        }
    }
    for at in 0..10 {
        module("Core", &format!("tool{at}"), "1.0", &[], "");
    }
    module("Core", "foss", "2023a", &["GCC/12.3.0", "OpenMPI/4.1.6"], "");
    module("Core", "foss", "2023b", &["GCC/13.2.0", "OpenMPI/4.1.6"], "");
}

#[test]
fn a_hundred_modules_take_no_time() {
    let top = tempfile::tempdir().unwrap();
    make_flat(top.path());
    let load = Load::new(&top.path().display().to_string(), &[&full_name(FLAT - 1)]);
    let begun = Instant::now();
    let evaluation = load.evaluate("9.2.9").unwrap();
    let took = begun.elapsed();
    assert!(evaluation.modules.len() > 100, "{}", evaluation.modules.len());
    eprintln!("{} modules in {took:?}", evaluation.modules.len());
    // The release build's bound is 0.1 s; this one is not optimised.
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn eessis_own_module_loads_as_in_lmod() {
    let Some(version) = lmod_version() else { return };
    let modules = "/cvmfs/software.eessi.io/init/modules";
    if !Path::new(modules).is_dir() {
        eprintln!("skipped: no EESSI at {modules}");
        return;
    }
    let loads = ["EESSI/2023.06", "EESSI/2023.06 GROMACS", "EESSI/2023.06 SciPy-bundle GROMACS"];
    let loads = loads.map(|words| {
        let list: Vec<&str> = words.split(' ').collect();
        (words.to_owned(), Load::new(modules, &list))
    });
    check(&loads, &version);
}
