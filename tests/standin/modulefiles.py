"""Modulefiles as EasyBuild generates them."""

from pathlib import Path

from catalogue import BY_NAME, Module
from stack import write

# variable -> the directory inside the installation that is put in front of it
PATHS = (("CMAKE_PREFIX_PATH", ""), ("CPATH", "include"), ("LIBRARY_PATH", "lib"), ("PATH", "bin"),
         ("PKG_CONFIG_PATH", "lib/pkgconfig"), ("XDG_DATA_DIRS", "share"))


def variable(name: str) -> str:
    """EasyBuild's spelling of a software name in EBROOT…"""
    return name.replace("+", "plus").replace("-", "min").replace(".", "").upper()


def write_module(tree: Path, entry: Module, prefix: Path, more: list[str] = ()) -> None:
    """The modulefile in modules/all, and its link under the module's class."""
    name = f"{entry.name}/{entry.version}.lua"
    write(tree / "modules/all" / name, "\n".join(lines_of(entry, prefix, list(more))) + "\n")
    link = tree / "modules" / entry.module_class / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tree / "modules/all" / name)


def lines_of(entry: Module, prefix: Path, more: list[str]) -> list[str]:
    return [*head(entry), f'local root = "{prefix}"', "", f'conflict("{entry.name}")', "", *extensions(entry),
            *dependencies(entry), *search_paths(entry, prefix), *identity(entry), *more,
            f"-- Built with EasyBuild version {'5.1.1' if entry.style == 'depends_on' else '4.9.4'}"]


def head(entry: Module) -> list[str]:
    page = f"https://example.org/{entry.name}"
    return ["help([==[", "", "Description", "===========", entry.text, "", "", "More information", "================",
            f" - Homepage: {page}", "]==])", "", f"whatis([==[Description: {entry.text.splitlines()[0]}]==])",
            f"whatis([==[Homepage: {page}]==])", f"whatis([==[URL: {page}]==])", ""]


def extensions(entry: Module) -> list[str]:
    if not entry.extensions:
        return []
    return ['if convertToCanonical(LmodVersion()) >= convertToCanonical("8.2.8") then',
            f'    extensions("{entry.extensions}")', "end", ""]


def dependencies(entry: Module) -> list[str]:
    lines = []
    for name in entry.depends:
        full = f"{name}/{BY_NAME[name].version}"
        if entry.style == "depends_on":
            lines += [f'depends_on("{full}")', ""]
        else:
            lines += [f'if not ( isloaded("{full}") ) then', f'    load("{full}")', "end", ""]
    return lines


def search_paths(entry: Module, prefix: Path) -> list[str]:
    lines = []
    for name, inside in PATHS:
        directory = prefix / inside
        if any(child.name != "easybuild" for child in directory.iterdir()) if directory.is_dir() else False:
            words = "".join(f', "{word}"' for word in inside.split("/") if word)
            lines.append(f'prepend_path("{name}", pathJoin(root{words}))' if inside else f'prepend_path("{name}", root)')
    for packages in sorted(prefix.glob("lib/python3*/site-packages")):
        if entry.name != "Python":
            lines.append(f'prepend_path("PYTHONPATH", pathJoin(root, "lib", "{packages.parent.name}", "site-packages"))')
    return lines


def identity(entry: Module) -> list[str]:
    name = variable(entry.name)
    return [f'setenv("EBROOT{name}", root)', f'setenv("EBVERSION{name}", "{entry.version.split("-")[0]}")',
            f'setenv("EBDEVEL{name}", pathJoin(root, "easybuild", "{entry.name}-{entry.version}-easybuild-devel"))', ""]


def write_aliases(tree: Path) -> None:
    """A second name for a version, as real stacks have."""
    full = f"MiniSim/{BY_NAME['MiniSim'].version}"
    write(tree / "modules/all/MiniSim/.modulerc.lua", f'module_version("{full}", "stable")\n')
