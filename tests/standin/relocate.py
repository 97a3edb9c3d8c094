"""Moves unpacked packages into a prefix: paths, links, ELF interpreters and RPATHs, `#!` lines."""

import os
import re
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packages import is_wanted

MULTIARCH = "x86_64-linux-gnu"
INTERPRETERS = re.compile(rb"#!\s*(?:/usr)?/bin/(sh|bash|lua5\.3|lua|tclsh[.\d]*|gawk|awk|sed|python3[.\d]*)(?=\s)")


def lay_out(package: Path, prefix: Path, new_place) -> None:
    """Copies an unpacked package to `prefix`; `new_place` maps a path inside it, links are made relative."""
    for directory, names, files in os.walk(package):
        inside = os.path.relpath(directory, package)
        for name in [*names, *files]:
            old = os.path.normpath(os.path.join(inside, name))
            if not is_wanted(old):
                if name in names:
                    names.remove(name)
                continue
            source, place = package / old, prefix / new_place(old)
            if source.is_symlink():
                copy_link(source, old, place, new_place)
            elif source.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                shutil.copy2(source, place)


def copy_link(source: Path, old: str, place: Path, new_place) -> None:
    """A link keeps its meaning: where its target went, seen from where it went itself."""
    target = os.readlink(source)
    absolute = target.lstrip("/") if target.startswith("/") else os.path.join(os.path.dirname(old), target)
    new = os.path.relpath(new_place(os.path.normpath(absolute)), os.path.dirname(new_place(old)) or ".")
    if new == place.name or (place.is_dir() and not place.is_symlink()):
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(new)


def compat_place(path: str) -> str:
    """Debian's place of a file -> its place in the compatibility layer (Gentoo's names)."""
    path = re.sub(rf"^(usr/)?lib/{MULTIARCH}", r"\1lib64", path)
    return re.sub(r"^usr/share/lmod/(lmod|\d[^/]*)(?=/|$)", "usr/share/Lmod", path)


def module_place(path: str) -> str:
    """Debian's place of a file -> its place in an installation prefix of EasyBuild."""
    for old, new in (
        (f"usr/lib/{MULTIARCH}/blas", "lib"), (f"usr/lib/{MULTIARCH}/lapack", "lib"),
        (f"usr/lib/{MULTIARCH}", "lib"), (f"lib/{MULTIARCH}", "lib"),
        ("usr/lib/python3/dist-packages", "lib/python3/site-packages"),
        ("usr/lib", "lib"), ("lib", "lib"), ("usr", ""), ("bin", "bin"), ("etc", "etc"),
    ):
        if path == old or path.startswith(old + "/"):
            return (new + path[len(old):]).lstrip("/") or "."
    return path


def elf_files(root: Path) -> list[Path]:
    """Every dynamic executable and library under `root`, each once."""
    found = []
    for directory, _, files in os.walk(root):
        for name in files:
            path = Path(directory, name)
            if path.is_symlink() or not path.is_file():
                continue
            with open(path, "rb") as file:
                head = file.read(18)
            if head[:4] == b"\x7fELF" and head[16:18] in (b"\x02\0", b"\x03\0"):
                found.append(path)
    return sorted(found)


def set_search_paths(files: list[Path], interpreter: Path, rpath: list, patchelf: tuple = ("patchelf",)) -> None:
    """Gives ELF files this interpreter (programs) and DT_RPATH (all); modes and times stay."""
    text = ":".join(map(str, rpath))

    def patch(path: Path) -> None:
        before = path.stat()
        path.chmod(before.st_mode | stat.S_IWUSR)
        # each fails where it does not apply: a library has no interpreter, a static file no search path
        for change in (("--set-interpreter", interpreter), ("--force-rpath", "--set-rpath", text)):
            subprocess.run([*patchelf, *change, path], stderr=subprocess.DEVNULL)
        path.chmod(stat.S_IMODE(before.st_mode))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    loaders = re.compile(r"^(ld-linux.*|libc)\.so\.\d$")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(patch, (p for p in files if not loaders.match(p.name))))


def drop_unprovided(root: Path) -> None:
    """Removes libraries (plug-ins of Python, of the shell) that need one of a package that was left out."""
    needs = {}
    for path in elf_files(root):
        listed = subprocess.run(["patchelf", "--print-needed", path], stdout=subprocess.PIPE, text=True, check=True)
        needs[path] = set(listed.stdout.split())
    while True:
        provided = {path.name for path in needs} | {
            name for _, _, files in os.walk(root) for name in files if ".so" in name}
        lacking = [path for path, wanted in needs.items() if not wanted <= provided]
        if not lacking:
            return
        for path in lacking:
            path.unlink()
            del needs[path]
            for link in path.parent.iterdir():  # links to it
                if link.is_symlink() and os.readlink(link) == path.name:
                    link.unlink()


def rewrite(path: Path, change) -> None:
    """Changes a file's bytes by `change`; mode and times stay, a hard link to it is not followed."""
    old = path.read_bytes()
    new = change(old)
    if new == old:
        return
    before = path.stat()
    path.unlink()
    path.write_bytes(new)
    path.chmod(stat.S_IMODE(before.st_mode))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def set_shebangs(root: Path, prefix: Path) -> None:
    """`#!/bin/sh` and its like name the compatibility layer's programs."""

    def line(match: re.Match) -> bytes:
        name = match.group(1).decode()
        if name.startswith("python"):  # whichever module gives it, as EasyBuild writes it
            return b"#!/usr/bin/env python3"
        name = {"lua": "lua5.3"}.get(name, name)
        place = "bin" if name in ("sh", "bash", "sed") else "usr/bin"
        return f"#!{prefix}/{place}/{name}".encode()

    for directory, _, files in os.walk(root):
        for name in files:
            path = Path(directory, name)
            if not path.is_symlink() and path.is_file() and path.open("rb").read(2) == b"#!":
                rewrite(path, lambda text: INTERPRETERS.sub(line, text, count=1) if text.startswith(b"#!") else text)
