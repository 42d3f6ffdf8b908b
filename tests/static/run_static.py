#!/usr/bin/python3
"""Looks at the source and at what was built of it, without running it:

    tests/static/run_static.py [--only CHECK] [--jobs N]

Each check says what it found; the last line is "N passed, N failed, N skipped", in checks. What
clang-tidy and gcc's analyzer find is known by what the compiler sees of a file and by the settings:
what passed so before (build/static) is not looked at again.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = ROOT / "build" / "release"
PASSED = ROOT / "build" / "static"
SOURCES = ("src", "connectors", "transforms")
ANALYZED = ("src/base", "src/model", "src/spool")  # by gcc -fanalyzer: memory handled by hand


def run(*words):
    """(it is content, what it said)"""
    done = subprocess.run([str(word) for word in words], cwd=ROOT, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode == 0, done.stdout


def files(*patterns):
    """Of the source tree, not of build/ or what an editor left."""
    found = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
                            *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in found.stdout.split("\0") if name and (ROOT / name).is_file()]


def scripts(*interpreters):
    """Files whose first line names one of the interpreters."""
    for name in files():
        with open(ROOT / name, "rb") as file:
            first = file.readline(80).decode(errors="replace")
        if first.startswith("#!") and any(word in first for word in interpreters):
            yield name


def compiled(*folders):
    """The compiler's call for each file in the folders, without what it writes."""
    calls = {}  # some files are compiled for several programs
    for entry in json.loads((RELEASE / "compile_commands.json").read_text()):
        name = str(pathlib.Path(entry["file"]).relative_to(ROOT))
        words = [word for word in shlex.split(entry["command"]) if word != "ccache"]
        at = words.index("-o")
        if name.startswith(tuple(f"{folder}/" for folder in folders)):
            calls[name] = [*words[:at], *words[at + 2:]]
    return calls


def look_at(check, words, call):
    """Runs a check of one file, unless it passed before: known by the text that the compiler sees
    and by the settings."""
    seen = subprocess.run([*call, "-E"], cwd=RELEASE, capture_output=True).stdout
    settings = (ROOT / ".clang-tidy").read_bytes() + " ".join(map(str, words)).encode()
    mark = PASSED / hashlib.sha256(check.encode() + settings + seen).hexdigest()
    if mark.exists():
        return True, ""
    done = subprocess.run([str(word) for word in words], cwd=RELEASE, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode == 0:
        mark.touch()
    return done.returncode == 0, done.stdout


def look_at_all(check, words_for, calls, jobs):
    PASSED.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(lambda name: look_at(check, words_for(name), calls[name]), calls))
    return all(content for content, _ in found), "".join(
        said for content, said in found if not content)


def clang_tidy(jobs):
    return look_at_all("clang-tidy", lambda name: ["clang-tidy", "-p", RELEASE, "--quiet",
                                                   ROOT / name], compiled(*SOURCES), jobs)


def analyzer(jobs):
    calls = compiled(*ANALYZED)
    return look_at_all("analyzer", lambda name: [*calls[name], "-fanalyzer", "-o", "/dev/null"],
                       calls, jobs)


def cppcheck(jobs):
    # log.h and jansson make statements of macros, which it does not follow: it sees a call of an
    # unknown function, and a loop.
    return run("cppcheck", "--enable=warning,performance,portability", "--inline-suppr",
               "--std=c11", f"-j{jobs}", "--error-exitcode=1", "--quiet", "-D_GNU_SOURCE",
               "-DBASE_LOG_H", "-Djson_object_foreach(object, key, value)=for (;;)", "-I", "src", "-I", ".",
               f"--suppressions-list={ROOT / 'tests/static/cppcheck.txt'}", *SOURCES)


def shellcheck(_):
    return run("shellcheck", "-x", *scripts("bash", "/sh"))


def is_meant(finding):
    """The line says so itself ("# noqa"), which pyflakes does not read."""
    name, line, *_ = finding.split(":")
    return "# noqa" in (ROOT / name).read_text().splitlines()[int(line) - 1]


def pyflakes(_):
    _, said = run("pyflakes3", *sorted({*files("*.py"), *scripts("python")}))
    left = [finding for finding in said.splitlines() if not is_meant(finding)]
    return not left, "\n".join(left)


def clang_format(_):
    return run("clang-format", "--dry-run", "-Werror", *files("*.c", "*.h"))


def hardening(_):
    return run("tests/static/hardened", RELEASE / "slackwater")


CHECKS = {"hardening": hardening, "clang-format": clang_format, "shellcheck": shellcheck,
          "pyflakes": pyflakes, "cppcheck": cppcheck, "clang-tidy": clang_tidy,
          "analyzer": analyzer}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=CHECKS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    names = asked.only or list(CHECKS)
    failed = 0
    for name in names:
        began = time.monotonic()
        content, said = CHECKS[name](asked.jobs)
        failed += not content
        print(f"{name}: {'nothing found' if content else 'FAILED'} "
              f"({time.monotonic() - began:.0f} s)", flush=True)
        if not content:
            print(said, flush=True)
    print(f"{len(names) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


sys.exit(main())
