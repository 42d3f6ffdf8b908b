#!/usr/bin/python3
"""Holds the rules' and conditions' evaluation against PostgreSQL's, on random tables and rows.

    tests/property/run_property.py [--cases N] [--seed S] [--nightly] [--only NAME] [--build DIR]

Starts a private server, lets rules_property and conditions_property of build/release run against
it, and removes it. Each prints the seed; the same seed draws the same cases again. The last line
is "N passed, N failed, N skipped", of both.
"""
import argparse
import collections
import pathlib
import random
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "scenario"))

from world.cluster import Cluster  # noqa: E402  (its folder is known only here)

PROGRAMS = ("rules", "conditions")
CASES = 4000
NIGHTLY_CASES = 100_000


def run(program, cluster, cases, seed, totals):
    """Shows what the program prints, and adds up its last line; its exit status."""
    done = subprocess.run([program.resolve(), "--dsn", cluster.database("postgres").local(),
                           "--cases", str(cases), "--seed", str(seed)],
                          stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    for number, what in re.findall(r"(\d+) (passed|failed|skipped)", done.stdout):
        totals[what] += int(number)
    return done.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 40))
    parser.add_argument("--nightly", action="store_true", help=f"{NIGHTLY_CASES} cases of each")
    parser.add_argument("--only", choices=PROGRAMS)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    options = parser.parse_args()
    cases = options.cases or (NIGHTLY_CASES if options.nightly else CASES)
    totals, worst = collections.Counter(), 0

    # The server runs as another user, who must reach its folder.
    with tempfile.TemporaryDirectory(prefix="slackwater-property-") as folder:
        pathlib.Path(folder).chmod(0o755)
        cluster = Cluster(pathlib.Path(folder) / "server").create()
        try:
            for name in [options.only] if options.only else PROGRAMS:
                status = run(options.build / f"{name}_property", cluster, cases, options.seed,
                             totals)
                worst = max(worst, status if status >= 0 else 2)
        finally:
            cluster.destroy()
    print(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return worst


if __name__ == "__main__":
    sys.exit(main())
