#!/usr/bin/python3
"""Runs the fuzz targets of build/fuzz, each from its seeds, its regressions and what it had found
of interest before (build/fuzz/corpus):

    tests/fuzz/run_fuzz.py [--seconds N] [--nightly] [--only TARGET] [--jobs N] [--build DIR] [--seed N]

The seed is 1, so that from the same inputs every run goes the same way; nightly each run has its own, which
a failure prints. Says what each has run and reached. An input that breaks a target is kept and its path printed,
with the end of what the sanitizer said; copied to tests/fuzz/regressions/TARGET, every build
runs it from then on. The last line is "N passed, N failed, N skipped", in targets.
"""
import argparse
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS = 60
NIGHTLY_SECONDS = 600
MOST_MEMORY = 2048  # MB
MOST_TIME = 20  # seconds, of one input
TAIL = 40  # lines of a failure
DICTIONARIES = {"config": "yaml.dict", "rules": "yaml.dict"}


def environment():
    symbolizer = next(filter(None, map(shutil.which, ("llvm-symbolizer", "llvm-symbolizer-14"))), "")
    return {**os.environ, "ASAN_SYMBOLIZER_PATH": symbolizer,
            "UBSAN_OPTIONS": f"print_stacktrace=1:external_symbolizer_path={symbolizer}"}


def fuzz(build, target, seconds, seed):
    """(ended well, what it has to say)"""
    corpus, crashes = build / "corpus" / target, build / "crashes" / target
    folders = [corpus, crashes, build / "seeds" / target, HERE / "regressions" / target]
    for folder in folders[:2]:
        folder.mkdir(parents=True, exist_ok=True)
    words = [build / "tests/fuzz" / f"fuzz_{target}", f"-max_total_time={seconds}",
             f"-seed={seed}", f"-timeout={MOST_TIME}", f"-rss_limit_mb={MOST_MEMORY}", "-print_final_stats=1",
             f"-artifact_prefix={crashes}/"]
    if target in DICTIONARIES:
        words.append(f"-dict={HERE / DICTIONARIES[target]}")
    words += [corpus] + [folder for folder in folders[2:] if folder.exists()]
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, errors="replace", env=environment())
    if done.returncode == 0:
        return True, said(done.stdout)
    kept = re.findall(r"Test unit written to (\S+)", done.stdout)
    return False, "\n".join([f"seed {seed}", *done.stdout.splitlines()[-TAIL:], *(
        f"\nthe input: {path}\nagain:     {words[0]} {path}\nfor ever:  cp {path} "
        f"{HERE.relative_to(ROOT)}/regressions/{target}/" for path in kept)])


def said(output):
    runs = re.findall(r"stat::number_of_executed_units: *(\d+)", output)
    reached = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)", output)
    edges, inputs = reached[-1] if reached else ("?", "?")
    return f"{runs[-1] if runs else '?'} runs, {edges} edges reached, {inputs} inputs kept"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--nightly", action="store_true")
    parser.add_argument("--only", action="append")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "fuzz")
    asked = parser.parse_args()
    seconds = asked.seconds or (NIGHTLY_SECONDS if asked.nightly else SECONDS)
    seed = asked.seed or (random.randrange(1, 1 << 31) if asked.nightly else 1)
    targets = asked.only or sorted(path.name.removeprefix("fuzz_")
                                   for path in (asked.build / "tests/fuzz").glob("fuzz_*")
                                   if path.is_file() and os.access(path, os.X_OK))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        running = {pool.submit(fuzz, asked.build.resolve(), target, seconds, seed): target
                   for target in targets}
        for run in concurrent.futures.as_completed(running):
            well, text = run.result()
            failed += not well
            print(f"{running[run]}: {'' if well else 'FAILED: '}{text}", flush=True)
    failed += not targets  # nothing was built: nothing is proven
    print(f"{len(targets) - failed if targets else 0} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


sys.exit(main())
