"""What the benches are made of. They use the servers and the program of the scenario tests.

    pair.py       the two servers, and databases copied from templates for every run
    shape.py      how rows stand at the target: as they are, or through rules
    workload.py   the table, and the writers of W1 to W6
    contender.py  who carries changes: slackwater, native subscription, pglogical
    copying.py    who copies a table: slackwater, psql pipes, native subscription, pgcopydb
    delay.py      from a commit's reply to the row at the target
    race.py       one backlog, several contenders, each in turn
    meter.py      what a run took: seconds, CPU by process, peak memory
    report.py     medians and ratios as a table, Markdown and JSON
    bench.py      flags, packages, the build

From tests/scenario/world: cluster.py, product.py, process.py and wait.py, as they are.
"""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "scenario"))
