"""The places of the look-alike, its init, and what all stages share."""

import os
import stat
import subprocess
import sys
from pathlib import Path

from catalogue import TARGETS, VERSION

# when everything that is generated here was "made": 2023-06-15 12:00:00 UTC
MADE = 1686830400


def write(path: Path, content, mode: int = 0o644) -> None:
    """Writes text or bytes, making the directories; an earlier file is replaced, not followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)


class Stack:
    """Where things are: EESSI's layout under `root`, the repository's mount point."""

    def __init__(self, root: Path):
        self.root = root
        self.prefix = root / "versions" / VERSION
        self.layer = self.prefix / "compat/linux/x86_64"
        self.loader = self.layer / "lib64/ld-linux-x86-64.so.2"
        self.layer_libraries = [self.layer / "lib64", self.layer / "usr/lib64"]

    def target(self, target: str) -> Path:
        """Root of one CPU target's software: holds software/, modules/, .lmod/."""
        return self.prefix / "software/linux" / target

    def host_injections_of(self, path: Path) -> Path:
        """The site's counterpart of a path of the repository."""
        return self.root / "host_injections" / path.relative_to(self.root / "versions")

    def installations(self) -> list[Path]:
        """Every installation prefix of every target."""
        return sorted(path.parent for path in self.prefix.glob("software/linux/x86_64/**/software/*/*/easybuild"))


def install_init(site: Stack, here: Path) -> None:
    """init/, scripts of Lmod per target with their spider caches, links of the repository's root."""
    for source in sorted((here / "init").rglob("*")):
        if source.is_file():
            text = source.read_text().replace("@ROOT@", str(site.root)).replace("@VERSION@", VERSION)
            mode = stat.S_IMODE(source.stat().st_mode) | 0o444
            write(site.prefix / "init" / source.relative_to(here / "init"), text, mode)
    for target in TARGETS:
        for source in sorted((here / "lmod").iterdir()):
            text = source.read_text().replace("@SOFTWARE@", str(site.target(target)))
            write(site.target(target) / ".lmod" / source.name, text)
        build_cache(site, site.target(target))
    (site.root / "host_injections").symlink_to("/opt/eessi")
    Path("/opt/eessi").mkdir(exist_ok=True)
    (site.root / "latest").symlink_to(f"versions/{VERSION}")


def build_cache(site: Stack, target: Path) -> None:
    """Lmod's spider cache, made by the layer's own Lmod."""
    cache = target / ".lmod/cache"
    cache.mkdir(parents=True)
    tool = site.layer / "usr/share/Lmod/libexec/update_lmod_system_cache_files"
    environment = {"PATH": f"{site.layer}/usr/bin:{site.layer}/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C",
                   "LMOD_PACKAGE_PATH": str(target / ".lmod"), "LMOD_RC": str(target / ".lmod/lmodrc.lua")}
    done = subprocess.run([tool, "-d", cache, "-t", cache / "timestamp", target / "modules/all"],
                          env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"standin: Lmod makes no cache for {target}:\n{done.stderr}")


def fix_times(root: Path, started: float) -> None:
    """Whatever was generated now gets one old time; what came from packages keeps its own."""
    for directory, names, files in os.walk(root, topdown=False):
        for name in [*files, *(n for n in names if os.path.islink(os.path.join(directory, n)))]:
            path = os.path.join(directory, name)
            if os.lstat(path).st_mtime >= started:
                os.utime(path, (MADE, MADE), follow_symlinks=False)
        os.utime(directory, (MADE, MADE))
