#!/usr/bin/python3
"""Holds the rules' evaluation against PostgreSQL's, on random tables, rules and rows.

    tests/property/run_property.py [--cases N] [--seed S] [--nightly] [--program PATH]

Starts a private server, lets build/release/rules_property run against it, and removes it. The
seed is printed; the same seed draws the same cases again. The last line is "N passed, N failed,
N skipped".
"""
import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "scenario"))

from world.cluster import Cluster  # noqa: E402  (its folder is known only here)

CASES = 4000
NIGHTLY_CASES = 100_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 40))
    parser.add_argument("--nightly", action="store_true", help=f"{NIGHTLY_CASES} cases")
    parser.add_argument("--program", type=pathlib.Path,
                        default=ROOT / "build" / "release" / "rules_property")
    options = parser.parse_args()
    cases = options.cases or (NIGHTLY_CASES if options.nightly else CASES)

    # The server runs as another user, who must reach its folder.
    with tempfile.TemporaryDirectory(prefix="slackwater-property-") as folder:
        pathlib.Path(folder).chmod(0o755)
        cluster = Cluster(pathlib.Path(folder) / "server").create()
        try:
            done = subprocess.run([options.program.resolve(),
                                   "--dsn", cluster.database("postgres").local(),
                                   "--cases", str(cases), "--seed", str(options.seed)])
        finally:
            cluster.destroy()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
