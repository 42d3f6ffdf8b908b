#!/usr/bin/python3
"""Runs Spin over docs/spec/handoff.pml: the algorithm must hold, and every mutant must be found wrong.

    tests/model/run_model.py [--nightly] [--only NAME] [--show NAME]

--nightly also runs the larger bounds; --show prints the shortest run, in words, that shows what is
wrong in a mutant. The last line is "N passed, N failed, N skipped".
"""
import argparse
import concurrent.futures
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

MODEL = pathlib.Path(__file__).resolve().parents[2] / "docs" / "spec" / "handoff.pml"

SECONDS = 240           # a run takes a few seconds on an idle machine
NIGHTLY_SECONDS = 3600
MEMORY = 3 << 30
NIGHTLY_MEMORY = 12 << 30

SAFETY, LIVENESS = "safety", "liveness"

# What the verifier says first when it finds something.
PROMISE = "assertion violated ( !(complete)||"
SLOT = "assertion violated (live.position>=acked)"
DEADLOCK = "invalid end state"
LIVELOCK = "acceptance cycle"


@dataclass(frozen=True)
class Run:
    name: str
    bounds: str         # what differs from the model's own; see its top
    how: str = SAFETY
    found: str = ""     # of a mutant: what must be found
    nightly: bool = False


CONFIGURATIONS = [
    Run("crashes", "TXNS=2 FAULTS=1"),
    Run("three transactions", "TXNS=3 FAULTS=1 KINDS=0"),
    Run("slot made late", "TXNS=2 FAULTS=1 KINDS=KEY_CHANGES SLOT_LATE=1"),
    Run("source crash", "TXNS=2 FAULTS=1 KINDS=TRUNCATES SOURCE_CRASH=1"),
    Run("row locks", "TXNS=2 FAULTS=1 KINDS=KEY_CHANGES ROW_LOCKS=1"),
    Run("clashes", "TXNS=2 FAULTS=1 KINDS=TRUNCATES CLASHES=1"),
    Run("failover", "TXNS=2 FAULTS=1 KINDS=TRUNCATES FAILOVER=1"),
    Run("ends", "TXNS=2 FAULTS=1 KINDS=TRUNCATES ROW_LOCKS=1", LIVENESS),
    Run("two faults", "TXNS=2 FAULTS=2", nightly=True),
    Run("two faults, slot made late", "TXNS=2 FAULTS=2 SLOT_LATE=1", nightly=True),
    Run("two faults, row locks", "TXNS=2 FAULTS=2 ROW_LOCKS=1", nightly=True),
    Run("two faults, source crash", "TXNS=2 FAULTS=2 SOURCE_CRASH=1", nightly=True),
    Run("two faults, failover and clashes",
        "TXNS=2 FAULTS=2 KINDS=TRUNCATES FAILOVER=1 CLASHES=1", nightly=True),
    Run("three transactions, key changes", "TXNS=3 FAULTS=1 KINDS=KEY_CHANGES", nightly=True),
    Run("three transactions, truncates", "TXNS=3 FAULTS=1 KINDS=TRUNCATES", nightly=True),
    Run("ends after a source crash", "TXNS=2 FAULTS=1 KINDS=0 SOURCE_CRASH=1", LIVENESS,
        nightly=True),
    Run("ends, all kinds", "TXNS=2 FAULTS=1 ROW_LOCKS=1", LIVENESS, nightly=True),
]

# The bounds of each are about the least that show it. Mutants are held against the promise alone,
# so that what is found is a row lost or wrong and not just a broken invariant.
MUTANTS = [
    Run("NOTE_NOT_PERSISTED", "FAULTS=1 KINDS=0", found=PROMISE),
    Run("REQUIRED_NOT_CHECKED", "FAULTS=0 KINDS=0", found=PROMISE),
    Run("UNSEEN_ADDED_AT_COMMIT", "FAULTS=0 KINDS=0", found=PROMISE),
    Run("REQUIRED_COPIED_AFTER_SNAPSHOT", "FAULTS=0 KINDS=0", found=PROMISE),
    Run("NOTE_ALONE_IS_NOT_WRITTEN", "FAULTS=1 KINDS=0", found=SLOT),
    Run("OTHER_SNAPSHOT_STORED", "FAULTS=1 KINDS=0", found=PROMISE),
    Run("IN_FLIGHT_NOT_AWAITED", "FAULTS=0 KINDS=0", found=PROMISE),
    Run("OPENING_NOT_AWAITED", "FAULTS=0 KINDS=0", found=PROMISE),
    Run("IN_FLIGHT_DROP_NOT_KEPT", "FAULTS=1 KINDS=0 SOURCE_CRASH=1", found=PROMISE),
    Run("APPLIED_NOT_KEPT", "FAULTS=1 KINDS=0 CLASHES=1", found=PROMISE),
    Run("PRUNED_BEFORE_SETTLED", "FAULTS=1 KINDS=0 SOURCE_CRASH=1", found=PROMISE),
    Run("ACK_BEFORE_FLUSH", "FAULTS=1 KINDS=0", found=SLOT),
    Run("CHUNK_NOT_FLUSHED", "FAULTS=1 KINDS=0", found=PROMISE),
    Run("COMPLETE_BEFORE_STREAM", "FAULTS=0 KINDS=0", found=PROMISE),
    Run("KEY_CHANGE_BY_OLD_CHUNK", "FAULTS=0 KINDS=KEY_CHANGES", found=PROMISE),
    Run("TRUNCATE_TAKES_ALL", "FAULTS=0 KINDS=TRUNCATES", found=PROMISE),
    Run("TRUNCATE_TAKES_NOTHING", "FAULTS=0 KINDS=TRUNCATES", found=PROMISE),
    Run("TRUNCATE_DOES_NOT_WAIT", "FAULTS=0 KINDS=TRUNCATES", found=PROMISE),
    Run("RESET_WITH_WORKERS", "FAULTS=0 KINDS=TRUNCATES", found=PROMISE),
    Run("RESET_FORGETS_UNSEEN", "FAULTS=1 KINDS=0 CLASHES=1", found=PROMISE),
    Run("ANEW_NOT_LOOKED_FOR", "FAULTS=1 KINDS=0 CLASHES=1", found=DEADLOCK),
    Run("CLASH_WAITS_THROUGH_ANEW", "FAULTS=1 KINDS=TRUNCATES CLASHES=1", found=DEADLOCK),
    Run("COMPARE_NOT_DONE", "FAULTS=1 KINDS=0 FAILOVER=1", found=PROMISE),
    Run("RESET_NOT_COMPARED", "FAULTS=1 KINDS=TRUNCATES FAILOVER=1", found=PROMISE),
    Run("SNAPSHOT_BEFORE_LOCK", "FAULTS=0 KINDS=TRUNCATES", found=PROMISE),
    Run("SNAPSHOT_NOT_FLUSHED", "FAULTS=1 KINDS=0 SOURCE_CRASH=1", found=PROMISE),
    Run("OUTCOME_GUESSED", "FAULTS=2 KINDS=0", found=PROMISE),
    Run("OUTCOME_READ_TOO_EARLY", "FAULTS=2 KINDS=0", found=PROMISE),
    Run("LATE_REPLY_BELIEVED", "FAULTS=1 KINDS=0 FAILOVER=1", found=PROMISE),
    Run("NO_LOCK_TIMEOUT", "FAULTS=0 ROW_LOCKS=1 KINDS=0", found=DEADLOCK),
    Run("TRANSACTION_CUT", "FAULTS=0 KINDS=BOTH_ROWS", found=PROMISE),
    Run("SNAPSHOT_KEPT", "FAULTS=0 KINDS=0", LIVENESS, found=LIVELOCK),
]


def defines(run):
    words = [f"-D{word}" for word in run.bounds.split()]
    if run.found:
        words += [f"-DMUTANT={run.name}", "-DTXNS=2", "-DPROMISE_ONLY"]
    return words + (["-DLIVENESS"] if run.how == LIVENESS else [])


def compiled(run):
    """Flags of the compiler and of the verifier. Mutants go breadth first, which finds the shortest
    run, and are over so soon that optimising would take longer."""
    if run.how == LIVENESS:
        return ["-O2", "-DNOREDUCE", "-DNFAIR=3"], ["-a", "-f", "-m1000000", "-w22"]
    if run.found:
        # A mutant that loses rows may get stuck as well: only the loss counts.
        ignored = [] if run.found == DEADLOCK else ["-E"]
        return ["-O0", "-DNOREDUCE", "-DSAFETY", "-DBFS"], ["-w20", *ignored]
    memory = ["-DCOLLAPSE"] if run.nightly else []
    return ["-O2", "-DNOREDUCE", "-DSAFETY", *memory], ["-m1000000", "-w24"]


def build(run, folder):
    compiler_flags, verifier_flags = compiled(run)
    subprocess.run(["spin", *defines(run), "-a", MODEL], cwd=folder, check=True,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    subprocess.run(["gcc", "-w", *compiler_flags, "-o", "pan", "pan.c"], cwd=folder, check=True,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    return ["./pan", *verifier_flags]


def verify(run, folder):
    """What the verifier printed."""
    seconds, memory = (NIGHTLY_SECONDS, NIGHTLY_MEMORY) if run.nightly else (SECONDS, MEMORY)
    command = build(run, folder)
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=seconds,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory))).stdout


def fault(run, text):
    """Why what was printed is not as it must be, or ''."""
    counted = re.search(r"errors: (\d+)", text)
    if not counted:
        return "the verifier did not finish"
    if run.found:
        return "" if run.found in text else "the mutant was not found as expected: " + run.found
    if counted.group(1) != "0":
        return "the algorithm was found wrong"
    if "Search not completed" in text or "max search depth" in text:
        return "the verifier did not look at everything"
    # A model that cannot reach its end would pass whatever it says.
    if run.how == SAFETY and re.search(r'"assert\(\(\(live\.value\[0\]==txn\[wal\]', text):
        return "no run reaches its end"
    return ""


def told(run, folder):
    """The run that the verifier found, in the model's own words."""
    trail = next(pathlib.Path(folder).glob("*.trail"), None)
    if trail is None:
        return ""
    text = subprocess.run(["spin", *defines(run), "-T", "-t", "-k", trail, MODEL], cwd=folder,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=SECONDS).stdout
    words = ("source:", "source ", "worker ", "target:", "target ", "apply:", "program ", "spin: text")
    return "".join(f"      {line}\n" for line in text.splitlines() if line.startswith(words))


def one(run, show=False):
    """(passed, what to print)"""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="slackwater-model-") as folder:
        try:
            text = verify(run, folder)
            wrong, story = fault(run, text), ""
            if show or (wrong and not run.found):
                story = told(run, folder)
        except subprocess.CalledProcessError as error:
            text, wrong, story = error.stdout.decode(), f"{error.cmd[0]} failed", ""
        except subprocess.TimeoutExpired:
            text, wrong, story = "", "it took too long", ""
    kind = "mutant" if run.found else "holds"
    states = re.search(r"(\S+) states, stored", text)
    line = (f"{'FAILED' if wrong else 'ok':6}  {kind}: {run.name} ({run.bounds}): "
            f"{int(float(states.group(1))) if states else 0:,} states, "
            f"{time.monotonic() - begun:.1f} s\n")
    if wrong:
        line += f"        {wrong}\n" + ("" if story else text[-3000:])
    return not wrong, line + story


def forgotten():
    """Mutants of the model that the table above does not have."""
    named = set(re.findall(r"wrong\((\w+)\)", MODEL.read_text())) - {"mutant"}
    return sorted(named ^ {run.name for run in MUTANTS})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nightly", action="store_true", help="also the larger bounds")
    parser.add_argument("--only", metavar="NAME", help="one configuration or mutant")
    parser.add_argument("--show", metavar="NAME", help="the same, and tell the run that was found")
    options = parser.parse_args()
    name = options.show or options.only

    runs = [run for run in CONFIGURATIONS + MUTANTS
            if (run.name == name if name else options.nightly or not run.nightly)]
    good = bad = 0
    for mutant in forgotten():
        print(f"FAILED  {mutant} is in the model or in the table of mutants, but not in both")
        bad += 1
    # The larger bounds one by one: each may take most of the memory.
    for group, workers in ((False, 2), (True, 1)):
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for passed, line in pool.map(lambda run: one(run, bool(options.show)),
                                         [run for run in runs if run.nightly == group]):
                print(line, end="", flush=True)
                good, bad = good + passed, bad + (not passed)
    print(f"\n{good} passed, {bad} failed, 0 skipped")
    return 0 if good and not bad else 1


if __name__ == "__main__":
    sys.exit(main())
