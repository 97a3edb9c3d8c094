"""The modules of every CPU target: installation prefixes, EasyBuild's folders, modulefiles."""

import bz2
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import modulefiles
import relocate
from catalogue import BY_NAME, MODULES, TARGETS, Module, with_dependencies
from packages import Shelf, run
from stack import MADE, Stack, write

HERE = Path(__file__).resolve().parent


def build(site: Stack, shelf: Shelf, unpacked: Path) -> None:
    settle_versions(shelf)
    for entry in MODULES:
        packages = [shelf.chosen[name] for name in entry.packages]
        shelf.unpack(packages, unpacked / "modules" / entry.name)
    for target in TARGETS:
        for entry in MODULES:
            if target in entry.targets:
                install(site, entry, target, unpacked / "modules" / entry.name)
        modulefiles.write_aliases(site.target(target))
        compile_python(site, target)
        cuda(site, site.target(target))
        run("find", site.target(target) / "software", "-type", "f", "-exec", "chmod", "a-w", "{}", "+")


def settle_versions(shelf: Shelf) -> None:
    """`{}` in a module's version is the version of its first package."""
    for position, entry in enumerate(MODULES):
        if "{}" in entry.version:
            version = entry.version.format(shelf.version(entry.packages[0]))
            MODULES[position] = BY_NAME[entry.name] = replace(entry, version=version)


def prefix_of(site: Stack, entry: Module, target: str) -> Path:
    return site.target(target) / "software" / entry.name / entry.version


def install(site: Stack, entry: Module, target: str, unpacked: Path) -> None:
    """One installation: files, search paths, EasyBuild's folder, modulefile."""
    prefix = prefix_of(site, entry, target)
    prefix.mkdir(parents=True)
    for package in sorted(unpacked.iterdir()) if unpacked.is_dir() else []:
        relocate.lay_out(package, prefix, relocate.module_place)
    special_links(entry, prefix)
    if entry.source:
        compile_program(site, entry, target, prefix)
    relocate.set_search_paths(relocate.elf_files(prefix), site.loader, search_path(site, entry, target))
    relocate.set_shebangs(prefix, site.layer)
    easybuild_folder(entry, prefix)
    modulefiles.write_module(site.target(target), entry, prefix)


def search_path(site: Stack, entry: Module, target: str) -> list:
    """DT_RPATH as EasyBuild writes it: the site's overrides, itself, the dependencies, the layer."""
    rpath = [site.host_injections_of(site.target(target)) / "rpath_overrides/OpenMPI/system/lib"]
    rpath += ["$ORIGIN", "$ORIGIN/../lib"]
    for one in [entry, *with_dependencies(BY_NAME[entry.name])]:
        if (prefix_of(site, one, target) / "lib").is_dir():
            rpath.append(prefix_of(site, one, target) / "lib")
    return [*rpath, *site.layer_libraries]


def special_links(entry: Module, prefix: Path) -> None:
    """Names that users type and Debian spells otherwise."""
    if entry.name == "GCCcore":
        (prefix / "lib64").symlink_to("lib")
    if entry.name == "Python":
        program = next((prefix / "bin").glob("python3.*[0-9]"))
        for name in ("python3", "python"):
            (prefix / "bin" / name).symlink_to(program.name)


def compile_program(site: Stack, entry: Module, target: str, prefix: Path) -> None:
    """A C program and its library, compiled for the target; the library tells which."""
    (prefix / "bin").mkdir()
    (prefix / "lib").mkdir()
    flags = ["-O2", f"-march={TARGETS[target]}", f'-DTARGET="{target}"', f'-DNAME="{entry.name}"']
    library = prefix / "lib" / f"lib{entry.name.lower()}.so"
    run("gcc", *flags, "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-o", library, HERE / "source/target.c")
    needed = [library]
    if entry.source == "minisim":
        gsl = prefix_of(site, BY_NAME["GSL"], target) / "lib"
        needed += sorted(p for p in gsl.glob("lib*.so.*") if p.is_symlink())
    source = HERE / "source" / f"{entry.source}.c"
    program = prefix / "bin" / entry.name.lower()
    run("gcc", *flags, "-o", program, source, *needed, "-Wl,--allow-shlib-undefined", "-lm")


def easybuild_folder(entry: Module, prefix: Path) -> None:
    """What EasyBuild leaves behind: recipe, log (compressed), test report."""
    base, folder = f"{entry.name}-{entry.version}", prefix / "easybuild"
    dependencies = "".join(f"    ('{d}', '{BY_NAME[d].version.split('-')[0]}'),\n" for d in entry.depends)
    recipe = (
        f"easyblock = 'ConfigureMake'\n\nname = '{entry.name}'\nversion = '{entry.version.split('-')[0]}'\n\n"
        f"homepage = 'https://example.org/{entry.name}'\ndescription = \"\"\"{entry.text}\"\"\"\n\n"
        f"dependencies = [\n{dependencies}]\n\nmoduleclass = '{entry.module_class}'\n"
    )
    write(folder / f"{base}.eb", recipe)
    write(folder / "reprod" / f"{base}.eb", recipe)
    write(folder / f"{base}-easybuild-devel", f"#%Module\nsetenv EBROOT{modulefiles.variable(entry.name)} {prefix}\n")
    log = "".join(f"== 2023-06-15 12:00:00,{line:03} build.py INFO step {line} of {base}\n" for line in range(500))
    write(folder / f"easybuild-{base}-20230615.120000.log.bz2", bz2.compress(log.encode()))
    write(folder / f"easybuild-{base}-20230615.120000_test_report.md", "#### Test result\nfine\n")


def compile_python(site: Stack, target: str) -> None:
    """Byte code beside the sources, made by the stack's own Python: stale if an export changes times."""
    python = prefix_of(site, BY_NAME["Python"], target) / "bin/python3"
    places = [prefix_of(site, BY_NAME[name], target) / "lib" for name in ("Python", "SciPy-bundle")]
    settings = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
    subprocess.run([python, "-m", "compileall", "-q", "-j", "2", *places], env=settings,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def cuda(site: Stack, target: Path) -> None:
    """A package of which most may not be passed on: EESSI has links into host_injections instead."""
    tree, version = target / "accel/nvidia/cc80", "12.1.1"
    prefix = tree / "software/CUDA" / version
    full = site.root / "host_injections/x86_64/software/CUDA" / version
    write(prefix / "EULA.txt", "licence text\n")
    write(prefix / "lib/libcudart.so.12.1.105", bytes(range(256)) * 400)
    (prefix / "lib/libcudart.so.12").symlink_to("libcudart.so.12.1.105")
    for name in ("bin/nvcc", "bin/ptxas", "include/cuda.h", "lib/libcudadevrt.a"):
        (prefix / name).parent.mkdir(exist_ok=True)
        (prefix / name).symlink_to(full / name)
    entry = Module("CUDA", version, text="GPU programming, as far as it may be passed on", module_class="system")
    easybuild_folder(entry, prefix)
    modulefiles.write_module(tree, entry, prefix, ['setenv("EESSICUDAVERSION", "12.1.1")', 'add_property("arch","gpu")'])
