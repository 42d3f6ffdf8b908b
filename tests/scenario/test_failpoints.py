"""The program dies, fails or is slow at each edge that it has, under writers; nothing comes of it.

The edges are src/base/failpoints.def, compiled into the build with sanitizers only. Each must be
reached by each action that makes sense there: once in every run, 20 times with --nightly.
"""
import collections
import random
import re
import time

import pytest

from world import load, wait
from world.product import ROOT

DEBUG_BINARY = ROOT / "build" / "asan" / "slackwater"
TABLE = (ROOT / "src" / "base" / "failpoints.def").read_text()
POINTS = dict(re.findall(r'^FAILPOINT\(\w+, "([\w.]+)", (\w+),', TABLE, re.M))
ROWS = 1500
SMALL = {"workers": 2, "chunk_rows": 500, "chunk_time": "1ms"}
ENDS = (-9, 4)  # killed; a start that failed by what may pass
QUIET_SECONDS = 4  # without a new hit it is started again, with another seed

# What else must happen so that a point is reached.
TOGETHER = {"copy.outcome": "copy.committed=error@every2", "apply.recovered": "sink.begun=error@2",
            "sink.fallback": "set.sent=error@2"}
# Passed once in a run that nothing disturbs.
AT_START = {"stream.resumed", "stream.connected", "stream.started", "sink.connected",
            "apply.recovered", "sink.fallback"}


def of(*phases):
    return [name for name in POINTS if name.split(".")[0] in phases]


@pytest.fixture
def times(nightly):
    """How often each is to be hit."""
    return 20 if nightly else 1


@pytest.fixture
def seed():
    number = random.SystemRandom().randrange(1 << 30)
    print("seed", number)
    return number


class Struck:
    """A migration whose program is struck again and again while writers are at its tables."""

    def __init__(self, world, tables=6, **config):
        self.world, self.tables = world, tables
        names = [f"t{number}" for number in range(tables)]
        world.both(*load.ACCOUNTS.split(";"),
                   *(f"CREATE TABLE {name} (id int PRIMARY KEY, n int)" for name in names))
        load.accounts_fill(world.source, ROWS)
        world.source.run(*(f"INSERT INTO {name} SELECT i, 0 FROM generate_series(1, 600) i"
                           for name in names), "ANALYZE")
        self.product = world.product_from(world.config(backfill=SMALL, **config),
                                          binary=DEBUG_BINARY)
        self.writers = load.Writers(world.source, 2, self.work)

    def work(self, cursor, dice):
        load.accounts_work(ROWS)(cursor, dice)
        cursor.execute(f"UPDATE t{dice.randrange(self.tables)} SET n = n + 1 WHERE id = %s",
                       (dice.randint(1, 600),))

    def launch(self, points):
        self.product.env["SLACKWATER_FAILPOINTS"] = points
        self.product.launch()

    def kill_at(self, point, when=""):
        """One run, which ends there."""
        before = self.hits()[point, "kill"]
        self.launch(",".join(filter(None, (f"{point}=kill{when}", TOGETHER.get(point)))))
        assert self.product.wait_end(30 * wait.PATIENCE) == -9, point
        assert self.hits()[point, "kill"] == before + 1, point

    def hits(self):
        """{(point, action): how often}, over all runs."""
        return collections.Counter((event["name"], event["action"])
                                   for event in self.product.all_events()
                                   if event.get("event") == "failpoint")

    def assert_whole(self):
        """Undisturbed it comes to the end; both sides are equal, and the ledger adds up."""
        self.launch("")
        self.product.wait_listening()
        self.product.wait_streaming(90)
        self.writers.stop()
        self.product.wait_caught_up(90)
        self.world.assert_equal()
        totals = self.product.status()["totals"]
        self.product.stop()
        return totals


@pytest.mark.limit(1200)
def test_killed_as_the_migration_begins(world, times):
    struck = Struck(world)
    with struck.writers:
        for point in of("begin"):
            for _ in range(times):
                struck.kill_at(point)
                if point == "begin.started":
                    assert struck.product.command("cleanup", "--yes").status == 0
        struck.assert_whole()


@pytest.mark.limit(1200)
def test_a_begin_that_fails_leaves_nothing(world, times):
    struck = Struck(world)
    with struck.writers:
        for point in of("begin"):
            for _ in range(times):
                struck.launch(f"{point}=error")
                assert struck.product.wait_end() == 4, point
                assert f"failpoint {point}" in struck.product.log_text()
                if point == "begin.started":
                    assert struck.product.command("cleanup", "--yes").status == 0
                assert world.leftovers() == [], point
            assert struck.hits()[point, "error"] == times
        struck.assert_whole()


@pytest.mark.limit(2400)
def test_killed_in_the_copy(world, times):
    struck = Struck(world, tables=6 + 4 * times)
    with struck.writers:
        for _ in range(times):
            for point in of("copy"):
                struck.kill_at(point)
        struck.assert_whole()


@pytest.mark.limit(2400)
@pytest.mark.parametrize("engine, phases", [("auto", ("stream", "apply", "sink")),
                                            ("set", ("set", "sink"))])
def test_killed_in_the_stream(world, times, seed, engine, phases):
    struck = Struck(world, apply={"engine": engine})
    dice = random.Random(seed)
    points = [point for point in of(*phases)
              if engine == "set" or point not in ("sink.fallback",)]
    struck.product.run_until_caught_up()
    with struck.writers:
        for _ in range(times):
            for point in points:
                struck.kill_at(point, "" if point in AT_START else f"@{dice.randint(1, 4)}")
        struck.assert_whole()


def some_of(dice, points):
    """A list in which each point errs or waits, now and then."""
    entries = [f"seed={dice.randrange(1 << 30)}"]
    for point in points:
        share = 40 if point in AT_START else 30 if point.startswith("copy") else 8
        fails = POINTS[point] != "ERR_NONE" and dice.random() < 0.6
        entries.append(f"{point}={'error' if fails else 'delay(20ms)'}@{share}%")
    return ",".join(entries)


def due(hits, points, times):
    """The points and actions that were not hit often enough yet."""
    wanted = [(point, "delay") for point in points]
    wanted += [(point, "error") for point in points if POINTS[point] != "ERR_NONE"]
    return [pair for pair in wanted if hits[pair] < times]


@pytest.mark.limit(2400)
@pytest.mark.parametrize("phase", ["copy", "stream"])
def test_errors_and_delays_everywhere(world, times, seed, phase):
    """At several points of a run at once; a start that fails is made again."""
    struck = Struck(world, tables=6 + 10 * times, apply={"engine": "set"})
    dice = random.Random(seed)
    points = of("copy") if phase == "copy" else of("stream", "apply", "sink", "set")
    if phase == "stream":
        struck.product.run_until_caught_up()
    with struck.writers:
        while left := due(struck.hits(), points, times):
            struck.launch(some_of(dice, points))
            wait_for_hits(struck, points, times, left)
            struck.product.kill9()
        assert struck.assert_whole()["reconnects"] == 0


def wait_for_hits(struck, points, times, left):
    """Until no more of what is due comes, or the run ends."""
    def stands():
        nonlocal left, since
        if not struck.product.alive():
            assert struck.product.child.returncode in ENDS, struck.product.child.returncode
            return True
        now = due(struck.hits(), points, times)
        if now != left:
            left, since = now, time.monotonic()
        return not left or time.monotonic() - since > QUIET_SECONDS
    since = time.monotonic()
    wait.until(stands, "no more hits", 60, 0.2)


@pytest.mark.harness
def test_a_release_has_nothing_of_them():
    release = (ROOT / "build" / "release" / "slackwater").read_bytes()
    debug = DEBUG_BINARY.read_bytes()
    for name in ("SLACKWATER_FAILPOINTS", *POINTS):
        assert name.encode() in debug, name
        assert name.encode() not in release, name
