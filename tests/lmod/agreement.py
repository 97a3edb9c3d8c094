#!/usr/bin/env python3
"""Compares our evaluation with real Lmod's on trees that are not ours: Lmod's own regression suites
(`rt/` of its sources) and module trees of public sites. Nothing of them is part of this project:
they are read from where you keep them, and only figures and differences are printed.

Collect the loads of Lmod's suites. SOURCES is a checkout of Lmod; it is copied to WORK first, since
its scripts create and remove files. Each script of `rt/*/*.tdesc` runs with real Lmod (--lmod, its
`libexec/lmod`); every `module` command is written down with the environment that the script itself
has made, as a load alone and as the list of all loads since the session began. To these come, for
every MODULEPATH seen, loads of every name and partial version that its files suggest, and pairs.

    tests/lmod/agreement.py suites --lmod /usr/share/lmod/lmod/libexec/lmod SOURCES WORK CASES.jsonl

Collect the loads of other trees: each TREE is a MODULEPATH (directories joined by `:`), NAME=VALUE
words are variables for all of them.

    tests/lmod/agreement.py trees CASES.jsonl [NAME=VALUE...] TREE...

Compare. What real Lmod answers is kept in CASES.jsonl.<version> beside the cases, so that a second
comparison runs only ours; --fresh asks it again.

    tests/lmod/agreement.py compare --ours target/debug/module-export \\
        --lmod /usr/share/lmod/lmod/libexec/lmod CASES.jsonl

A difference is: one loads and the other refuses, other modules, files or order, or another value of
any variable but the internal ones. The exit status is 1 if there are differences.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

SECONDS = 60
"""How long one load may take."""
SINGLES, PAIRS = 40, 8
"""At most so many loads of one name, and of two, for one MODULEPATH."""
VARIANT = 6
"""And for each other set of variables with the same MODULEPATH."""

# What the suite's scripts call and what it takes to write down what they do.
FUNCTIONS = r"""
findcmd () { dirname "$(command -v "${@: -1}")"; }
for nothing in wrapperDiff testFinish joinBase64Results cleanUp old_cleanUp regularize; do
  eval "$nothing () { :; }"
done
record=0
runLmod ()
{
  record=$((record + 1))
  env -0 > "$RECORDS/$record.before"
  printf '%s\0' "$@" > "$RECORDS/$record.words"
  eval "$(timeout 60 "$SUITES_LMOD" bash "$@" 2>/dev/null </dev/null)"
  env -0 > "$RECORDS/$record.after"
}
runLmodProtectedVars () { runLmod "$@"; }
runFish () { :; }
runR () { :; }
runJson () { :; }
runNushell () { :; }
"""


def internal(name):
    """Whether a variable belongs to the shell or to Lmod itself."""
    if name in ("PWD", "OLDPWD", "SHLVL", "_") or name.startswith(("_ModuleTable", "__LMOD_")):
        return True
    return name.startswith("LMOD_") and not name.startswith("LMOD_FAMILY_")


# --- collecting ------------------------------------------------------------------------------


def script_of(description):
    """The shell script of a `.tdesc` file, which is Lua."""
    lua = next(filter(None, map(shutil.which, ("lua", "lua5.4", "lua5.3", "lua5.1"))))
    code = f'dofile("{description}"); io.write(testdescript.runScript or "")'
    done = subprocess.run([lua, "-e", code], capture_output=True, check=False)
    if done.returncode:
        print(f"{description}: {done.stderr.decode('utf-8', 'replace')}", file=sys.stderr)
    return done.stdout.decode("utf-8", "replace")


def environment(file):
    """A NUL-separated dump as a table; without shell functions."""
    pairs = file.read_bytes().decode("utf-8", "surrogateescape").split("\0")
    found = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return {name: value for name, value in found.items() if not name.startswith("BASH_FUNC")}


def run_suite(description, work, lmod):
    """Runs one script; returns its steps as (before, words, after)."""
    test = description.parent
    output = test / "out"
    records = work / "records" / description.parent.name / description.stem
    for directory in (output, records):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    known = {"projectDir": work, "testDir": test, "outputDir": output}
    script = script_of(description)
    for name, value in known.items():
        script = script.replace(f"$({name})", str(value))
    script = re.sub(r"\$\((resultFn|runtimeFn)\)", "/dev/null", script)
    base = {name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ}
    base |= {name: str(value) for name, value in known.items()}
    base |= {"PATH": "/usr/bin:/bin", "HOME": str(output), "USER": "somebody"}
    base |= {"RECORDS": str(records), "SUITES_LMOD": str(lmod)}
    try:
        subprocess.run(
            ["/bin/bash", "-c", script], cwd=output, env=base, timeout=600,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        print(f"{description}: gave up after 600 s", file=sys.stderr)
    count = 1
    while (records / f"{count}.after").exists():
        step = [records / f"{count}.{part}" for part in ("before", "words", "after")]
        words = step[1].read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
        yield environment(step[0]), words, environment(step[2])
        count += 1


OPTIONS_WITH_VALUE = ("-w", "--width", "--location", "-s", "--style", "--pin_versions", "-D")
COMMANDS = {
    "load": "load", "add": "load", "try-load": "load", "try-add": "load", "try_load": "load",
    "swap": "load", "sw": "load", "switch": "load",
    "unload": "unload", "rm": "unload", "del": "unload", "delete": "unload",
    "use": "use", "unuse": "unuse", "purge": "reset", "reset": "reset", "restore": "reset",
}


def command_of(words):
    """The command and its words, without options before it."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in OPTIONS_WITH_VALUE else rest[1:]
    if not rest:
        return None, []
    return COMMANDS.get(rest[0]), rest[1:]


def use(path, command, words, directory):
    """MODULEPATH after `use` or `unuse`."""
    known = [entry for entry in path.split(":") if entry]
    named = [word for word in words if word[:1] != "-"]
    named = [os.path.normpath(os.path.join(directory, word)) for word in named]
    known = [entry for entry in known if entry not in named]
    if command == "unuse":
        return ":".join(known)
    if "-a" in words or "--append" in words:
        return ":".join(known + named)
    return ":".join(named[::-1] + known if len(named) < 2 else named + known)


def cases_of_suite(steps):
    """The loads of one script: (variables, words)."""
    shadow, last, session = {}, None, []
    for before, words, after in steps:
        before = {name: value for name, value in before.items() if not kept_out(name)}
        was = last if last is not None else {}
        for name in set(before) | set(was):
            if before.get(name) == was.get(name):
                continue
            if name == "MODULEPATH":
                session = []
            if name in before:
                shadow[name] = before[name]
            else:
                shadow.pop(name, None)
        if "_ModuleTable_Sz_" not in before:
            session = []
        last = {name: value for name, value in after.items() if not kept_out(name)}
        command, rest = command_of(words)
        if command in ("use", "unuse"):
            path = use(shadow.get("MODULEPATH", ""), command, rest, shadow.get("PWD", "/"))
            shadow["MODULEPATH"] = path
        elif command == "reset":
            session = []
        elif command in ("load", "unload"):
            named = [word for word in rest if word[:1] != "-" or command == "load"]
            if command == "unload":
                named = ["-" + word for word in named]
            if not named:
                continue
            variables = dict(shadow)
            yield variables, named
            session = session + named
            if len(session) > len(named):
                yield variables, session
        else:
            yield dict(shadow), []


def kept_out(name):
    """Variables of the recording and of Lmod's own state."""
    return name in ("RECORDS", "SUITES_LMOD", "OLDPWD", "SHLVL", "_", "LOADEDMODULES",
                    "_LMFILES_") or name.startswith(("_ModuleTable", "__LMOD_"))


def names_below(directory):
    """Every name that files below a directory of MODULEPATH suggest."""
    names = set()
    for place, directories, files in os.walk(directory, followlinks=True):
        directories.sort()
        if len(Path(place).parts) - len(Path(directory).parts) > 5:
            directories.clear()
        for file in files:
            if file.startswith((".modulerc", ".version")) or file.endswith("~"):
                continue
            full = os.path.relpath(os.path.join(place, file), directory)
            full = full[:-4] if full.endswith(".lua") else full
            names.add(full)
            parts = full.split("/")
            names.update("/".join(parts[:end]) for end in range(1, len(parts)))
            if len(parts) > 1:
                names.add("/".join(parts[:-1]) + "/default")
                for cut in re.finditer(r"[.\-_]", parts[-1]):
                    if cut.start():
                        names.add("/".join(parts[:-1]) + "/" + parts[-1][: cut.start()])
    return {name for name in names if not name.startswith("-")}


def cases_of_tree(variables, path, most=(SINGLES, PAIRS)):
    """Loads of one name and of two."""
    names = set()
    for directory in path.split(":"):
        if os.path.isdir(directory):
            names |= names_below(directory)
    if not names:
        return
    names = sorted(names)
    chance = random.Random(repr((path, len(variables))))
    one = {**variables, "MODULEPATH": path}
    singles = names if len(names) <= most[0] else sorted(chance.sample(names, most[0]))
    for name in singles:
        yield one, [name]
    for _ in range(min(most[1], len(names) - 1)):
        yield one, chance.sample(names, 2)


def write_cases(file, cases):
    """Writes each case once."""
    known = set()
    with open(file, "w", encoding="utf-8") as out:
        for suite, variables, words in cases:
            if not words or not variables.get("MODULEPATH"):
                continue
            key = json.dumps([sorted(variables.items()), words])
            if key in known:
                continue
            known.add(key)
            case = {"suite": suite, "env": variables, "words": words}
            out.write(json.dumps(case) + "\n")
    print(f"{len(known)} loads in {file}")


def collect_suites(options):
    """Runs every script and writes what they load."""
    work = Path(options.work).resolve()
    shutil.rmtree(work, ignore_errors=True)
    for part in ("rt", "init", "src", "tools"):
        shutil.copytree(Path(options.sources) / part, work / part, symlinks=True)
    with open(work / "rt/common_funcs.sh", "a", encoding="utf-8") as functions:
        functions.write(FUNCTIONS)
    descriptions = sorted((work / "rt").glob("*/*.tdesc"))

    def of_one(description):
        name = description.parent.name
        cases, seen = [], {}
        of_no_matter = ("PATH", "PWD", "COLUMNS", "TERM", "USER")
        for variables, words in cases_of_suite(run_suite(description, work, options.lmod)):
            cases.append((name, variables, words))
            path = variables.get("MODULEPATH", "")
            others = {n: v for n, v in variables.items() if n not in of_no_matter}
            seen.setdefault(json.dumps([path, sorted(others.items())]), (variables, path))
        return name, cases, list(seen.values())

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(of_one, descriptions))
    cases = [case for _, some, _ in results for case in some]
    for name, some, seen in results:
        used = {entry for _, path in seen for entry in path.split(":")}
        base = next((variables for _, variables, _ in some), None)
        whole = set()
        for variables, path in seen:
            most = (VARIANT, VARIANT // 3) if path in whole else (SINGLES, PAIRS)
            whole.add(path)
            cases.extend((name, *case) for case in cases_of_tree(variables, path, most))
        if base is None:
            base = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "USER": "somebody"}
        for tree in sorted((work / "rt" / name).glob("mf*")):
            if tree.is_dir() and str(tree) not in used:
                cases.extend((name, *case) for case in cases_of_tree(base, str(tree)))
    write_cases(options.cases, cases)


def collect_trees(options):
    """Writes loads of the trees named."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent/home", "USER": "somebody"}
    cases = []
    for word in options.trees:
        if re.match(r"[A-Za-z_]\w*=", word):
            name, value = word.split("=", 1)
            variables[name] = value
            continue
        cases.extend((word, *case) for case in cases_of_tree(dict(variables), word))
    write_cases(options.cases, cases)


# --- comparing -------------------------------------------------------------------------------


def comparable(variables):
    return {name: value for name, value in variables.items() if not internal(name)}


def real(lmod, case):
    """What real Lmod does: the environment, or `None` with what it says."""
    script = (
        f'text=$({lmod} bash load "$@"); code=$?; eval "$text"; status=$?; '
        # An Lmod that ends by a Lua error prints nothing.
        'test -n "$text" || status=$code; unset text code; '
        "printf '\\0@@%s\\0' $status; unset status; exec env -0"
    )
    try:
        done = subprocess.run(
            ["/bin/bash", "--noprofile", "--norc", "-c", script, "bash", *case["words"]],
            env=case["env"], timeout=SECONDS, stdin=subprocess.DEVNULL, capture_output=True,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        return None, "timeout"
    said = done.stderr.decode("utf-8", "replace")
    text = done.stdout.decode("utf-8", "surrogateescape")
    if "\0@@" not in text:
        return None, "the shell ended: " + said
    status, rest = text.split("\0@@", 1)[1].split("\0", 1)
    found = dict(pair.split("=", 1) for pair in rest.split("\0") if "=" in pair)
    # A warning makes Lmod 8 answer 1 although it has loaded everything.
    if status == "0" or "LOADEDMODULES" in found or "_ModuleTable_Sz_" in found:
        return comparable(found), said
    return None, said


def ours(program, version, case):
    """What we do, likewise."""
    command = [program, "env", "--clean", "--modulepath", case["env"]["MODULEPATH"]]
    command += ["--format", "json", "--lmod-version", version, "--", *case["words"]]
    try:
        done = subprocess.run(
            command, env=case["env"], timeout=SECONDS, stdin=subprocess.DEVNULL,
            capture_output=True, cwd="/",
        )
    except subprocess.TimeoutExpired:
        return None, "timeout"
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode != 0:
        return None, f"({done.returncode}) {said}"
    answer = json.loads(done.stdout.decode("utf-8", "surrogateescape"))
    found = dict(case["env"])
    for name, value in answer["env"].items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    if answer["modules"]:
        found["LOADEDMODULES"] = ":".join(one["name"] for one in answer["modules"])
        found["_LMFILES_"] = ":".join(one["file"] for one in answer["modules"])
    return comparable(found), said


def version_of(lmod):
    """The version in Lmod's own `Version.lua`."""
    text = Path(lmod).with_name("Version.lua").read_text(encoding="utf-8")
    found = re.search(r'function M\.tag.*?"([^"]+)"', text)
    return found.group(1) if found else "8.6.19"


def describe(expected, got):
    """The difference in words."""
    (theirs, they_said), (mine, i_said) = expected, got
    if theirs is None:
        return "  only Lmod refuses: " + " | ".join(they_said.split("\n"))[:600]
    if mine is None:
        return "  only we refuse: " + i_said.strip()[:600]
    lines = []
    for name in sorted(set(theirs) | set(mine)):
        if theirs.get(name) != mine.get(name):
            lines.append(f"  {name}\n    Lmod {theirs.get(name)!r}\n    ours {mine.get(name)!r}")
    return "\n".join(lines)


def compare(options):
    """Runs every case; prints differences and a table."""
    version = version_of(options.lmod)
    with open(options.cases, encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    if options.only:
        cases = [case for case in cases if re.search(options.only, case["suite"])]
    cases = cases[:: options.every]
    answers = Path(f"{options.cases}.{version}")
    known = {}
    if answers.exists() and not options.fresh:
        for line in answers.read_text(encoding="utf-8").splitlines():
            key, *answer = json.loads(line)
            known[key] = answer

    def of_one(case):
        key = hashlib.sha256(json.dumps(case, sort_keys=True).encode()).hexdigest()
        expected = known.get(key)
        if expected is None:
            expected = list(real(options.lmod, case))
            with open(answers, "a", encoding="utf-8") as out:
                out.write(json.dumps([key, *expected]) + "\n")
        if options.record:
            return case, expected, expected
        return case, expected, ours(os.path.abspath(options.ours), version, case)

    table, differ, done = {}, 0, 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for case, expected, got in pool.map(of_one, cases):
            row = table.setdefault(case["suite"], [0, 0])
            row[0] += 1
            done += 1
            if expected[0] == got[0] or expected[1] == "timeout":
                continue
            row[1] += 1
            differ += 1
            shown = {n: v for n, v in case["env"].items() if n not in ("PATH", "USER")}
            print(f"## {case['suite']}: load {' '.join(case['words'])}")
            print("  env " + " ".join(f"{n}={v!r}" for n, v in sorted(shown.items())))
            print(describe(expected, got), flush=True)
    print(f"\n| suite | loads | differ |\n|---|---|---|")
    for suite, (count, bad) in sorted(table.items()):
        if bad or options.all:
            print(f"| {suite} | {count} | {bad} |")
    print(f"\nLmod {version}: {done} loads, {differ} differ")
    return 1 if differ else 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    suites = verbs.add_parser("suites", help="collect the loads of Lmod's regression suites")
    suites.add_argument("--lmod", required=True)
    for name in ("sources", "work", "cases"):
        suites.add_argument(name)
    suites.set_defaults(run=collect_suites)
    trees = verbs.add_parser("trees", help="collect loads of module trees")
    trees.add_argument("cases")
    trees.add_argument("trees", nargs="+")
    trees.set_defaults(run=collect_trees)
    both = verbs.add_parser("compare", help="compare ours with real Lmod")
    both.add_argument("--lmod", required=True)
    both.add_argument("--ours", required=True)
    both.add_argument("--only", help="suites that match this expression")
    both.add_argument("--every", type=int, default=1, help="every Nth case only")
    both.add_argument("--jobs", type=int, default=2)
    both.add_argument("--fresh", action="store_true", help="ask real Lmod again")
    both.add_argument("--record", action="store_true", help="ask real Lmod only")
    both.add_argument("--all", action="store_true", help="list suites that agree as well")
    both.add_argument("cases")
    both.set_defaults(run=compare)
    options = parser.parse_args()
    sys.exit(options.run(options))


if __name__ == "__main__":
    main()
