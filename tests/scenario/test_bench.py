"""The benches do not rot: one of them runs, on tiny data, and says what it measured."""
import json
import os
import signal
import subprocess
import sys

from world import process
from world.product import BINARY, ROOT

CASES = ["copy", "W1"]
CONTENDERS = ["no rules", "ten rules"]


def test_rules_quick_writes_what_it_measured(tmp_path):
    bench = process.spawn(
        [ROOT / "bench" / "rules", "--quick", "--rows", "2000", "--changes", "1000",
         "--only", ",".join(CASES), "--output", tmp_path],
        env={**os.environ, "SLACKWATER_BINARY": str(BINARY)}, on_orphan=signal.SIGTERM,
        text=True, stdout=subprocess.PIPE, stderr=sys.stderr)
    out, _ = bench.communicate()
    assert bench.returncode == 0
    report = json.loads((tmp_path / "rules.json").read_text())
    assert [case["case"] for case in report["cases"]] == CASES
    for case in report["cases"]:
        assert sorted(row["contender"] for row in case["contenders"]) == CONTENDERS
        for row in case["contenders"]:
            assert row["took"]["median"] > 0 and row["memory"] > 0, row
            assert case["case"] in out and row["contender"] in out
        assert case["goals"][0]["ratio"]["median"] > 0
    assert "| copy | ten rules |" in (tmp_path / "rules.md").read_text()
