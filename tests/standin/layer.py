"""The compatibility layer: a system of its own under the prefix, and what real ones carry besides programs."""

import os
import re
import socket
from pathlib import Path

import relocate
from packages import Shelf
from stack import Stack, write


def build(site: Stack, shelf: Shelf, unpacked: Path) -> None:
    names = shelf.of_compat()
    shelf.unpack(names, unpacked / "compat")
    for name in names:
        relocate.lay_out(unpacked / "compat" / name, site.layer, relocate.compat_place)
    place_loader(site)
    for link, target in (
        ("bin/sh", "bash"), ("usr/bin/awk", "gawk"), ("usr/bin/lua", "lua5.3"), ("usr/bin/tclsh", "tclsh8.6"),
        ("usr/lib/tcl8.6", "../share/tcltk/tcl8.6"),
    ):
        place = site.layer / link
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)
    rpath = [site.host_injections_of(site.layer) / "lib", *site.layer_libraries]
    relocate.set_search_paths(relocate.elf_files(site.layer), site.loader, rpath)
    relocate.set_shebangs(site.layer, site.layer)
    relocate_lmod(site)
    link_to_host(site)


def place_loader(site: Stack) -> None:
    """ld.so as a real file under EESSI's name, with the host's directories and cache taken out of it."""
    candidates = [p for p in site.layer.rglob("ld-linux-x86-64.so.2") if p.is_file() and not p.is_symlink()]
    data = candidates[0].read_bytes()
    directories = re.compile(rb"/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0")
    data = directories.sub(lambda found: found.group(0).replace(b"lib", b"LIB"), data)
    data = data.replace(b"/etc/ld.so.cache\0", b"/etc/LD.so.cache\0")
    for path in site.layer.rglob("ld-linux-x86-64.so.2"):
        path.unlink()
    write(site.loader, data, 0o755)


def relocate_lmod(site: Stack) -> None:
    """Every absolute path in Lmod's texts moves into the prefix; `/usr/bin/env` stays the host's."""
    prefix = str(site.layer).encode()
    path = re.compile(rb"(?<![\w.@/-])/(usr/share/lmod(?:/lmod)?|usr/lib/x86_64-linux-gnu|usr/(?:local/)?(?:bin|lib|share)"
                      rb"|etc/lmod)(?![\w.-])(?!/env\b)")
    moved = {b"usr/share/lmod/lmod": b"usr/share/Lmod", b"usr/share/lmod": b"usr/share/Lmod",
             b"usr/lib/x86_64-linux-gnu": b"usr/lib64"}

    def change(text: bytes) -> bytes:
        return path.sub(lambda found: prefix + b"/" + moved.get(found.group(1), found.group(1)), text)

    for file in sorted((site.layer / "usr/share/Lmod").rglob("*")):
        if file.is_file() and not file.is_symlink():
            relocate.rewrite(file, lambda text: keep_shebang(text, prefix, change))


def keep_shebang(text: bytes, prefix: bytes, change) -> bytes:
    """`change` for all but a first line that is in the prefix already."""
    first, newline, rest = text.partition(b"\n")
    if first.startswith(b"#!" + prefix):
        return first + newline + change(rest)
    return change(text)


def link_to_host(site: Stack) -> None:
    """What EESSI's layer takes from the machine it runs on."""
    for name in ("etc/group", "etc/passwd", "etc/hosts", "etc/resolv.conf", "etc/localtime", "lib64/libnss_centrifydc.so.2"):
        place = site.layer / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to("/" + name)


def misbehave(site: Stack) -> None:
    """Everything an export stumbles over, at least once."""
    root = site.layer
    for number in range(40):
        write(root / f"var/db/repos/gentoo/sys-libs/p{number}/p{number}-1.ebuild", "EAPI=8\n" * 20)
        write(root / f"var/cache/edb/dep/e{number}", f"DEPEND={number}\n")
    write(root / "var/db/pkg/sys-apps/x-1/environment.bz2", b"BZh9\x17rE8P\x90\0\0\0\0")
    write(root / "var/tmp/portage/sys-libs/x/temp/conftest.c", "int main(){}\n")
    write(root / "var/log/emerge.log", "1686745000:  >>> emerge something\n" * 100)
    write(root / "usr/share/misc/build.log", "a log outside var\n")
    restricted(root)
    links(site)
    odd_names(root)
    for entry in ("a pipe", "a socket"):
        (root / "var/run").mkdir(parents=True, exist_ok=True)
        (root / "var/run" / entry).unlink(missing_ok=True)
    os.mkfifo(root / "var/run/a pipe")
    os.mkfifo(root / "usr/share/misc/pipe")
    make_socket(root / "usr/share/misc/socket")
    make_socket(root / "var/run/a socket")
    markers(site)


def restricted(root: Path) -> None:
    """Modes that an ordinary reader, a kernel mount or the rules of the image mind."""
    write(root / "etc/shadow", "root:*:19000:0:99999:7:::\n", 0o600)
    write(root / "etc/sudoers", "root ALL=(ALL) ALL\n", 0o440)
    write(root / "usr/share/misc/readable-by-root", "0400\n", 0o400)
    write(root / "root/.bash_history", "emerge\n", 0o600)
    (root / "root").chmod(0o700)
    write(root / "usr/bin/setuid-tool", "#!/bin/sh\necho setuid\n", 0o4755)
    write(root / "usr/share/misc/writable", "by everyone\n", 0o666)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)


def links(site: Stack) -> None:
    root = site.layer
    driver = site.host_injections_of(root) / "lib/libcuda.so.1"
    for place, target in (
        ("usr/lib64/libgone.so", "libgone.so.9"), ("usr/lib/loop", "loop"), ("usr/lib/ping", "pong"), ("usr/lib/pong", "ping"),
        ("usr/share/nowhere", "../not/there/at/all"), ("usr/share/upwards", "../../../../../../../../../../etc/hostname"),
        ("etc/mtab", "/proc/self/mounts"), ("usr/tmp", "../var/tmp"), ("lib64/libcuda.so.1", driver),
        ("usr/share/absolute", root / "usr/share/misc"),
    ):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).unlink(missing_ok=True)
        (root / place).symlink_to(target)
    for number in range(3):
        twin = root / f"usr/bin/grep-twin-{number}"
        twin.unlink(missing_ok=True)
        os.link(root / "bin/grep" if (root / "bin/grep").exists() else root / "usr/bin/grep", twin)


def odd_names(root: Path) -> None:
    place = root / "usr/share/misc"
    for name in ("with spaces & (parens)", "new\nline", "-dash", "naïve", "quote's \"here\"", "$HOME", "back\\slash", "x" * 255):
        write(place / name, "odd\n")
    with open(os.fsencode(place) + b"/not-utf8-\xff\xfe", "wb") as file:
        file.write(b"odd\n")
    (root / "usr/share/empty").mkdir(exist_ok=True)
    write(place / "empty-file", "")
    with open(place / "sparse", "wb") as file:
        file.truncate(8 << 20)


def make_socket(path: Path) -> None:
    """A socket file; the address is short whatever the path, by way of the directory."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def markers(site: Stack) -> None:
    """CVMFS's own files: nested catalogues and where they are to be."""
    write(site.root / ".cvmfsdirtab", "/versions/*\n/versions/*/compat/linux/*\n/versions/*/software/linux/*/*/*/software/*/*\n")
    for place in [site.root, site.prefix, site.layer, site.layer / "var", *site.installations()]:
        write(place / ".cvmfscatalog", "")
