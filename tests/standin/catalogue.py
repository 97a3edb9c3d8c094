"""What the look-alike holds: Debian packages and which module each belongs to."""

import re
from dataclasses import dataclass, field

VERSION = "2023.06"
TOOLCHAIN = "2022b"
GENERIC = "x86_64/generic"
# CPU target -> what gcc calls it
TARGETS = {GENERIC: "x86-64", "x86_64/intel/haswell": "haswell", "x86_64/amd/zen3": "znver3"}

# `a|b`: the first that this release of Debian has
COMPAT = """libc6 libgcc-s1 libstdc++6 bash coreutils grep sed gawk findutils debianutils procps ncurses-bin
ncurses-base lua5.3 lua-posix lua-filesystem lua-json lua-term tcl8.6 lmod less zlib1g libexpat1 libbz2-1.0
liblzma5 libssl3|libssl3t64 libuuid1 libtinfo6 libreadline8|libreadline8t64""".split()

# dependencies of packages that no program here needs; whole names
UNWANTED = re.compile(
    r"perl.*|lib.*-perl|libperl.*|libgdbm.*|libdb5.*|debconf|dpkg|init-system-helpers|mawk|tar|base-files|media-types"
    r"|mailcap|tzdata|netbase|passwd|adduser|login|usrmerge|libmd0|libaudit.*|libpam.*|python3.*|libpython3.*"
    r"|lib.*krb5.*|libgssapi.*|libkeyutils1|libcom-err2|libtirpc.*|libnsl2|readline-common|gcc-\d+-base|tcl"
)


@dataclass
class Module:
    """One EasyBuild-like module.

    `version` may hold `{}`: the version of the first package. `depends` are names of other modules.
    `source` is the C program to compile instead of unpacking packages. `style` is how dependencies are
    written: `depends_on` as newer EasyBuild does, `load` with a guard as older ones did.
    """

    name: str
    version: str
    packages: list[str] = field(default_factory=list)
    depends: list[str] = field(default_factory=list)
    text: str = ""
    module_class: str = "lib"
    source: str = ""
    style: str = "load"
    extensions: str = ""
    targets: tuple = tuple(TARGETS)


def module(name, version, packages="", depends="", text="", **more):
    return Module(name, version, packages.split(), depends.split(), text or name, **more)


CORE, FULL = "-GCCcore-12.2.0", "-GCC-12.2.0"
MODULES = [
    module("GCCcore", "12.2.0", "libgcc-s1 libstdc++6 libgomp1 libgfortran5 libquadmath0", "",
           "Run-time libraries of the GNU compilers:\n C++, Fortran and OpenMP", module_class="compiler"),
    module("GCC", "12.2.0", "", "GCCcore", "GNU compilers", module_class="toolchain"),
    module("numactl", "{}" + CORE, "libnuma1 numactl", "GCCcore", "Memory placement on NUMA machines"),
    module("SQLite", "{}" + CORE, "libsqlite3-0 sqlite3", "GCCcore", "A database in one file"),
    module("libffi", "{}" + CORE, "libffi8", "GCCcore", "Calls to functions known at run time only"),
    module("Python", "{}" + CORE,
           "python3.11|python3.13|python3.12 python3.11-minimal|python3.13-minimal|python3.12-minimal "
           "libpython3.11-minimal|libpython3.13-minimal|libpython3.12-minimal "
           "libpython3.11-stdlib|libpython3.13-stdlib|libpython3.12-stdlib",
           "GCCcore SQLite libffi", "The Python interpreter", module_class="lang"),
    module("LAPACK", "{}" + FULL, "liblapack3 libblas3", "GCC", "Dense linear algebra", module_class="numlib"),
    module("SciPy-bundle", "2023.02-gfbf-" + TOOLCHAIN, "python3-numpy", "GCC Python LAPACK",
           "Numerical Python", module_class="lang", style="depends_on", extensions="numpy/1.24.2"),
    module("GSL", "{}" + FULL, "libgsl27|libgsl28 libgslcblas0 gsl-bin", "GCC",
           "Numerical functions\nfor C and C++", module_class="numlib"),
    module("WhichTarget", "1.0" + CORE, "", "GCCcore", "Prints the CPU target of its build",
           source="whichtarget", module_class="tools"),
    module("TunedOnly", "2.1" + FULL, "", "GCC", "A program that nobody built for generic CPUs",
           source="whichtarget", module_class="tools", targets=tuple(t for t in TARGETS if t != GENERIC)),
    module("MiniSim", "1.4-foss-" + TOOLCHAIN, "", "GCC GSL SciPy-bundle WhichTarget",
           "A simulation\nof next to nothing:\nprints a Bessel function", source="minisim",
           module_class="chem", style="depends_on"),
]
BY_NAME = {entry.name: entry for entry in MODULES}


def with_dependencies(entry: Module) -> list[Module]:
    """The modules that `entry` loads, directly or not, in the order of their first mention."""
    found: list[Module] = []
    for name in entry.depends:
        direct = BY_NAME[name]
        found += [one for one in [direct, *with_dependencies(direct)] if one not in found]
    return found
