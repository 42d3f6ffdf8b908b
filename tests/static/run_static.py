#!/usr/bin/python3
"""Looks at the source and at what was built of it, without running it:

    tests/static/run_static.py [--only CHECK] [--jobs N]

Each check says what it found; the last line is "N passed, N failed, N skipped", in checks. What
clang-tidy finds in a file is known by the file's content, its headers' and the settings': files
that passed so before (build/static) are not looked at again.
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


def known_by(entry):
    """What a translation unit's verdict depends on: the text that the compiler sees of it, and
    the settings."""
    words = shlex.split(entry["command"])
    words = [word for word in words if word != "ccache"]
    at = words.index("-o")
    seen = subprocess.run([*words[:at], *words[at + 2:], "-E"], cwd=entry["directory"],
                          capture_output=True).stdout
    return hashlib.sha256(seen + (ROOT / ".clang-tidy").read_bytes()).hexdigest()


def tidy(entry):
    mark = PASSED / known_by(entry)
    if mark.exists():
        return True, ""
    content, said = run("clang-tidy", "-p", RELEASE, "--quiet", entry["file"])
    if content:
        mark.touch()
    return content, said


def clang_tidy(jobs):
    PASSED.mkdir(parents=True, exist_ok=True)
    entries = json.loads((RELEASE / "compile_commands.json").read_text())
    entries = [entry for entry in entries
               if pathlib.Path(entry["file"]).relative_to(ROOT).parts[0] in SOURCES]
    entries = {entry["file"]: entry for entry in entries}  # some are compiled for several programs
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(tidy, entries.values()))
    return all(content for content, _ in found), "".join(said for content, said in found if not content)


def cppcheck(jobs):
    # log.h and jansson make statements of macros, which it does not follow: it sees a call of an
    # unknown function, and a loop.
    return run("cppcheck", "--enable=warning,performance,portability", "--inline-suppr",
               "--std=c11", f"-j{jobs}", "--error-exitcode=1", "--quiet", "-D_GNU_SOURCE",
               "-DBASE_LOG_H", "-Djson_object_foreach(object, key, value)=for (;;)", "-I", "src", "-I", ".",
               f"--suppressions-list={ROOT / 'tests/static/cppcheck.txt'}", *SOURCES)


def shellcheck(_):
    return run("shellcheck", "-x", *scripts("bash", "/sh"))


def pyflakes(_):
    return run("pyflakes3", *sorted({*files("*.py"), *scripts("python")}))


def hardening(_):
    return run("tests/static/hardened", RELEASE / "slackwater")


CHECKS = {"hardening": hardening, "shellcheck": shellcheck, "pyflakes": pyflakes,
          "cppcheck": cppcheck, "clang-tidy": clang_tidy}


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
