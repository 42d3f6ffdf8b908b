"""The program dies, fails or is slow at each edge that it has, under writers; nothing comes of it.

The edges are src/base/failpoints.def, compiled into the build with sanitizers only. Each must be
reached by each action that makes sense there: once in every run, 20 times with --nightly.
"""
import collections
import contextlib
import os
import random
import re
import time

import pytest

from world import load, marks, wait
from world.product import DEBUG_BINARY, ROOT

TABLE = (ROOT / "src" / "base" / "failpoints.def").read_text()
POINTS = dict(re.findall(r'^FAILPOINT\(\w+, "([\w.]+)", (\w+),', TABLE, re.M))
ROWS = 1500
SMALL = {"workers": 2, "chunk_rows": 500, "chunk_time": "1ms"}

# What else must happen so that a point is reached.
TOGETHER = {"copy.outcome": "copy.committed=error@every2", "apply.recovered": "sink.begun=error@2",
            "sink.fallback": "set.sent=error@every2"}
# Passed once in a run that nothing disturbs.
AT_START = {"stream.resumed", "stream.connected", "stream.started", "sink.connected", *TOGETHER}


def of(*phases):
    return [name for name in POINTS if name.split(".")[0] in phases]


@pytest.fixture
def times(nightly):
    """How often each is to be hit."""
    return 20 if nightly else 1


@pytest.fixture
def seed():
    number = int(os.environ.get("SLACKWATER_SEED") or random.SystemRandom().randrange(1 << 30))
    print("seed", number)
    return number


class Struck:
    """A migration whose program is struck again and again while writers are at its tables."""

    def __init__(self, world, tables=6, work=None, **config):
        self.world, self.tables = world, tables
        names = [f"t{number}" for number in range(tables)]
        world.both(*load.ACCOUNTS.split(";"),
                   *(f"CREATE TABLE {name} (id int PRIMARY KEY, n int)" for name in names))
        load.accounts_fill(world.source, ROWS)
        world.source.run(*(f"INSERT INTO {name} SELECT i, 0 FROM generate_series(1, 600) i"
                           for name in names), "ANALYZE")
        self.product = world.product_from(world.config(backfill=SMALL, **config),
                                          binary=DEBUG_BINARY)
        self.writers = load.Writers(world.source, 2, work or self.work)

    def work(self, cursor, dice):
        """At a rate that the sanitized program can follow."""
        time.sleep(0.02)
        load.accounts_work(ROWS)(cursor, dice)
        table, kind = f"t{dice.randrange(self.tables)}", dice.randrange(20)
        if kind == 0:  # enough for a stage
            cursor.execute(f"UPDATE {table} SET n = n + 1 WHERE id <= 100")
        elif kind == 1:  # and for a COPY
            first = dice.randrange(1000, 1 << 30)
            cursor.execute(f"INSERT INTO {table} SELECT i, 0 FROM generate_series(%s, %s) i "
                           "ON CONFLICT DO NOTHING", (first, first + 99))
        else:
            cursor.execute(f"UPDATE {table} SET n = n + 1 WHERE id = %s", (dice.randint(1, 600),))

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
        marks.assert_got_over(self.product, ready=1)


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
@pytest.mark.parametrize("engine", ["auto", "set"])
def test_killed_in_the_stream(world, times, seed, engine):
    struck = Struck(world, apply={"engine": engine})
    dice = random.Random(seed)
    points = [point for point in of("stream", "apply", "sink", "set")
              if (point in (*of("set"), "sink.fallback")) == (engine == "set")]
    struck.product.run_until_caught_up()
    with struck.writers:
        for _ in range(times):
            for point in points:
                struck.kill_at(point, "" if point in AT_START else f"@{dice.randint(1, 4)}")
        struck.assert_whole()


def entry(dice, point, action):
    """Somewhere in a run, once. An error at the very first connection would end the run."""
    if point not in AT_START:
        return f"{point}={action}@{dice.randint(1, 4)}"
    return f"{point}={action}@{1 if point in TOGETHER or action != 'error' else 2}"


def due(hits, points, action, times):
    return [point for point in points if hits[point, action] < times]


def strike_all(struck, points, action, number, dice):
    """All in one run, each once."""
    kind = action.split("(")[0]
    struck.launch(",".join(entry(dice, point, action) for point in points))
    wait.until(lambda: not struck.product.alive()
               or due(struck.hits(), points, kind, number) == [], "every point", 60, 0.2)
    assert due(struck.hits(), points, kind, number) == []
    struck.product.kill9()


@pytest.mark.limit(2400)
@pytest.mark.parametrize("action", ["error", "delay(100ms)"])
@pytest.mark.parametrize("phase", ["copy", "stream"])
def test_errors_and_delays_everywhere(world, times, seed, phase, action):
    """All in one run, each once; then the next."""
    struck = Struck(world, tables=6 + 10 * times, apply={"engine": "set"})
    dice = random.Random(seed)
    kind = action.split("(")[0]
    points = of("copy") if phase == "copy" else of("stream", "apply", "sink", "set")
    points = [point for point in points if POINTS[point] != "ERR_NONE" or kind == "delay"
              if point not in TOGETHER or kind == "error"]
    if phase == "stream":
        struck.product.run_until_caught_up()
    with struck.writers:
        for number in range(1, times + 1):
            strike_all(struck, points, action, number, dice)
        struck.assert_whole()


def large_work(cursor, dice):
    """A part of it is taken back, and now and then all of it."""
    time.sleep(0.3)
    table, first = f"t{dice.randrange(6)}", 1000 * dice.randrange(1, 1 << 20)
    cursor.execute(f"INSERT INTO {table} SELECT i, 0 FROM generate_series(%s, %s) i "
                   "ON CONFLICT DO NOTHING", (first, first + 799))
    cursor.execute(f"SAVEPOINT s; UPDATE {table} SET n = 1 WHERE id BETWEEN %s AND %s",
                   (first, first + 799))
    cursor.execute("ROLLBACK TO s")
    if dice.random() < 0.3:
        cursor.connection.rollback()


@pytest.mark.limit(2400)
@pytest.mark.parametrize("action", ["kill", "error", "delay(20ms)"])
def test_struck_while_transactions_are_open(world, times, seed, action):
    world.source.run(f'ALTER DATABASE "{world.source.name}" '
                     "SET logical_decoding_work_mem = '64kB'")
    struck = Struck(world, work=large_work)
    dice = random.Random(seed)
    points = of("open")
    struck.product.run_until_caught_up()
    with struck.writers:
        for number in range(1, times + 1):
            if action != "kill":
                strike_all(struck, points, action, number, dice)
            for point in points if action == "kill" else ():
                struck.kill_at(point, f"@{dice.randint(1, 4)}")
        struck.assert_whole()


# -- the spool --------------------------------------------------------------------------------

class Spooling(Struck):
    """Its target goes away in every run, so that there is something in the spool."""

    def __init__(self, world):
        super().__init__(world, tables=2,
                         spool={"dir": str(world.folder / "spool_struck"), "min_free": "1MB"})
        self.product.run_until_caught_up()

    def run_away(self, points, done):
        """One run, whose target goes away until the spool is in use, and comes back until it is
        not, again and again until all is done or the run has ended."""
        target = self.world.target.cluster
        self.launch(points)
        ended = lambda: not self.product.alive() or done()
        wait.until(lambda: ended() or '"streaming"' in self.product.log_text(), "the stream", 60)
        for _ in range(20):
            if ended():
                return
            target.stop("immediate")
            try:
                wait.until(lambda: ended() or self.holds(), "a spool", 60)
            finally:
                target.start()
            wait.until(lambda: ended() or not self.holds(), "an empty spool", 90)
        raise AssertionError(f"20 times away, and never {points}")

    def holds(self):
        sizes = []
        for file in (self.world.folder / "spool_struck").glob("*.spool"):
            with contextlib.suppress(FileNotFoundError):  # applied just now
                sizes.append(file.stat().st_size)
        return sum(sizes) > 20000


@pytest.mark.limit(2400)
def test_killed_at_the_spool(make_world, source_cluster, make_cluster, times):
    struck = Spooling(make_world(source_cluster, make_cluster()))
    with struck.writers:
        for _ in range(times):
            for point in of("spool"):
                struck.run_away(f"{point}=kill", lambda: False)
                assert struck.product.wait_end() == -9, point
        struck.assert_whole()


@pytest.mark.limit(2400)
@pytest.mark.parametrize("action", ["error", "delay(100ms)"])
def test_errors_and_delays_at_the_spool(make_world, source_cluster, make_cluster, times, action):
    struck = Spooling(make_world(source_cluster, make_cluster()))
    points, kind = of("spool"), action.split("(")[0]
    with struck.writers:
        for number in range(1, times + 1):
            struck.run_away(",".join(f"{point}={action}@1" for point in points),
                            lambda number=number: due(struck.hits(), points, kind, number) == [])
            assert due(struck.hits(), points, kind, number) == []
            struck.product.kill9()
        struck.assert_whole()


@pytest.mark.limit(1200)
def test_killed_as_rows_are_parked_and_made_again(world, times):
    """Each letter is there once, and each row in the end."""
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, v text)",
                     "INSERT INTO t VALUES (1, 'x'), (2, 'bad'), (3, 'x')")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, v text CONSTRAINT no_bad CHECK (v <> 'bad'))")
    product = world.product_from(world.config(), binary=DEBUG_BINARY)
    made_again = ("dlq.made", "dlq.retried")
    number = 100

    def launch(points):
        product.env["SLACKWATER_FAILPOINTS"] = points
        product.launch()
        product.env["SLACKWATER_FAILPOINTS"] = ""  # of the commands

    def parked():
        return [row[0] for row in world.target.rows(
            "SELECT key->>'id' FROM slackwater.dead_letter WHERE state = 'parked' "
            "ORDER BY (key->>'id')::int")]

    launch("dlq.copied=kill")
    assert product.wait_end(30 * wait.PATIENCE) == -9
    product.start_streaming()
    assert parked() == ["2"]
    for point in [point for point in of("dlq") if point not in ("dlq.copied", *made_again)] * times:
        product.stop()
        launch(f"{point}=kill")
        product.wait_listening()
        product.wait_streaming()
        number += 1
        world.source.run(f"INSERT INTO t VALUES ({number}, 'bad'), ({number + 1000}, 'x')")
        assert product.wait_end(30 * wait.PATIENCE) == -9, point
        product.start_streaming()
        product.wait_caught_up()
        assert parked() == ["2", *(str(i) for i in range(101, number + 1))]
    world.target.run("ALTER TABLE t DROP CONSTRAINT no_bad")
    for point in made_again:
        product.stop()
        launch(f"{point}=kill")
        product.wait_listening()
        product.wait_streaming()
        retried = product.command("dlq", "retry", "--key", f"id={parked()[0]}")  # by itself, when the run is dead
        assert product.wait_end(30 * wait.PATIENCE) == -9, point
        assert retried.status in (0, 2), retried.text
        product.start_streaming()
    assert product.command("dlq", "retry", "--all").status == 0
    product.wait_caught_up()
    world.assert_equal()
    assert parked() == []
    marks.assert_told(product, "failpoint", action="kill")
    marks.assert_shown(product, table_dead_letters=0, table_parked_keys=0)
    product.stop()


@pytest.mark.harness
def test_a_release_has_nothing_of_them():
    release = (ROOT / "build" / "release" / "slackwater").read_bytes()
    debug = DEBUG_BINARY.read_bytes()
    for name in ("SLACKWATER_FAILPOINTS", *POINTS):
        assert name.encode() in debug, name
        assert name.encode() not in release, name
