"""Debian packages: fetched by apt with all they depend on, unpacked by dpkg-deb."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from catalogue import COMPAT, MODULES, UNWANTED

# documentation, but never the licences
NOT_UNPACKED = re.compile(
    r"^usr/share/(man|info|locale|perl5?|perl-openssl-defaults|lintian|bug|menu|applications|doc-base|bash-completion|zoneinfo)(/|$)"
    r"|^usr/share/doc/[^/]+/(?!copyright$)"
    r"|/python3(\.\d+)?/(.*/)?(tests?|idlelib|lib2to3|ensurepip|turtledemo|f2py|include|pydoc_data|distutils"
    r"|unittest|config-[^/]*|_examples|_pyinstaller|xmlrpc|msilib)(/|$)|\.pyi$"
    r"|^usr/lib/python3\.\d+/dist-packages(/|$)"
    r"|/__pycache__(/|$)|\.a$|^usr/lib/x86_64-linux-gnu/gconv/(?!gconv-modules|UTF|ISO8859-1\.)"
)


def run(*words, **more):
    """Runs a program that must succeed; its output is returned."""
    return subprocess.run([str(w) for w in words], check=True, text=True, stdout=subprocess.PIPE, **more).stdout


def first_available(alternatives: str) -> str:
    """Returns the first of `a|b|c` that this release has.

    `apt-cache show` fails for a name that is unknown or only mentioned by others.
    """
    names = alternatives.split("|")
    for name in names[:-1]:
        known = subprocess.run(["apt-cache", "show", name], capture_output=True, text=True)
        if known.returncode == 0 and known.stdout.strip():
            return name
    return names[-1]


class Shelf:
    """The .deb files: `deb` and `version` by package name, `owner` names the module of a package."""

    def __init__(self, directory: Path, chosen: dict[str, str]):
        self.chosen = chosen
        self.deb = {path.name.split("_")[0]: path for path in sorted(directory.glob("*.deb"))}
        self.owner = {chosen[p]: m.name for m in MODULES for p in m.packages}

    @classmethod
    def fill(cls, directory: Path) -> "Shelf":
        """Fetches what is missing, resolved as if nothing were installed; no network if all is there."""
        (directory / "partial").mkdir(parents=True, exist_ok=True)
        wanted = sorted({*COMPAT, *(p for m in MODULES for p in m.packages)})
        chosen = {name: first_available(name) for name in wanted}
        status = directory / "status"
        status.write_text("")
        run("apt-get", "-qq", "-y", "-d", "--no-install-recommends",
            "-o", f"Dir::State::status={status}", "-o", f"Dir::State::extended_states={status}",
            "-o", f"Dir::Cache::archives={directory}", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root",
            "install", *chosen.values())
        return cls(directory, chosen)

    def of_compat(self) -> list[str]:
        """The packages of the compatibility layer: what it asks for, and what no module owns."""
        asked = {self.chosen[name] for name in COMPAT}
        return sorted(p for p in self.deb if p in asked or (p not in self.owner and not UNWANTED.fullmatch(p)))

    def version(self, alternatives: str) -> str:
        """The upstream version of a package: `3.40.1` of `3.40.1-2+deb12u1`."""
        text = run("dpkg-deb", "-f", self.deb[self.chosen[alternatives]], "Version")
        return re.match(r"(?:\d+:)?(\d[\d.]*\d|\d)", text).group(1)

    def unpack(self, names: list[str], where: Path) -> None:
        """Unpacks packages into one tree, without documentation."""
        where.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name: self._unpack_one(name, where / name), names))

    def _unpack_one(self, name: str, where: Path) -> None:
        run("dpkg-deb", "-x", self.deb[name], where)


def is_wanted(path: str) -> bool:
    """Whether a path inside a package is unpacked at all."""
    return not NOT_UNPACKED.search(path)
