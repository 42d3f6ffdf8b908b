"""A connection is lost at every edge: at the n-th message of a story, from the program or to it.

A relay drops the message and resets its connection only. Lost from the program: the server does
not have it. Lost on the way back: the server has done what was asked, and nobody was told. A run
goes on by itself, and a command says what happened and may be given again.
"""
import os
import random

import pytest

from world import wait
from world.proxy import Proxy

TABLES = ["CREATE TABLE t (id int PRIMARY KEY, v text)",
          "CREATE TABLE log (line text)"]  # no key: a row twice would stay
LETTERS = 120
COPY_DATA = b"d"  # what the program tells a walsender; all else it asks of it comes at its start
NO_BAD = "ALTER TABLE t ADD CONSTRAINT no_bad CHECK (v <> 'bad')"


@pytest.fixture
def dice():
    seed = int(os.environ.get("SLACKWATER_SEED") or random.SystemRandom().randrange(1 << 30))
    print("seed", seed)
    return random.Random(seed)


@pytest.fixture(params=["source", "target"])
def side(request):
    return request.param


@pytest.fixture(params=["on_request", "on_reply"], ids=["asked", "answered"])
def way(request):
    return request.param


@pytest.fixture
def relayed(side, world):
    world.both(*TABLES)
    world.target.run(NO_BAD)
    with Proxy(getattr(world, side)) as proxy:
        product = world.product()
        product.config[side]["dsn"] = proxy.url()
        yield world, proxy, product
        product.kill9()


class Cut:
    """The `number`-th message from now on is dropped, and its connection; 0: all are counted.
    `of`: what begins with it counts."""

    def __init__(self, proxy, way, number=0, of=b""):
        self.proxy, self.way, self.number, self.of = proxy, way, number, of
        self.passed = 0

    def __enter__(self):
        setattr(self.proxy, self.way, self._pass)
        return self

    def __exit__(self, *failure):
        setattr(self.proxy, self.way, None)

    def _pass(self, data):
        if not data.startswith(self.of):
            return True
        with self.proxy.lock:
            self.passed += 1
            return self.passed != self.number

    def struck(self):
        return 0 < self.number <= self.passed


def edges(count, dice, nightly, share=8):
    """A few of them, drawn by the seed; nightly more, which is all of a short story."""
    return sorted(dice.sample(range(1, count + 1), min(60 if nightly else share, count)))


def change(world, number):
    """One transaction of all kinds, with a row that the target refuses; then a small one."""
    first = 1000 * number
    world.source.run(
        f"BEGIN; INSERT INTO t SELECT i, 'x' FROM generate_series({first}, {first + 49}) i; "
        f"UPDATE t SET id = -id WHERE id = {first}; UPDATE t SET v = 'y' WHERE id = {first + 1}; "
        f"DELETE FROM t WHERE id = {first + 2}; INSERT INTO t VALUES ({first + 100}, 'bad'); "
        f"INSERT INTO log VALUES ('one {number}'); COMMIT",
        f"INSERT INTO log VALUES ('two {number}')")


def parked(world):
    return [int(row[0]) for row in world.target.rows(
        "SELECT key->>'id' FROM slackwater.dead_letter WHERE state = 'parked' "
        "ORDER BY (key->>'id')::int")]


def assert_whole(world, numbers):
    """All but the refused rows, which are parked once each."""
    world.assert_equal_by({"t": "SELECT * FROM t WHERE v <> 'bad'", "log": "SELECT * FROM log"})
    assert parked(world) == [1000 * number + 100 for number in numbers]


@pytest.mark.limit(600)
def test_in_the_stream(relayed, side, way, nightly, dice):
    world, proxy, product = relayed
    product.start_streaming()
    of = COPY_DATA if (side, way) == ("source", "on_request") else b""
    with Cut(proxy, way, of=of) as cut:
        change(world, 1)
        product.wait_caught_up()
    numbers = [1]
    for edge in edges(cut.passed, dice, nightly):
        with Cut(proxy, way, edge, of) as cut:
            numbers.append(numbers[-1] + 1)
            change(world, numbers[-1])
            wait.until(cut.struck, f"message {edge}", 20)
            product.wait_caught_up()
    assert_whole(world, numbers)
    totals = product.status()["totals"]
    assert totals["reconnects"] + totals["retries"] >= 1
    product.stop()


def fill(world):
    world.source.run("INSERT INTO t SELECT i, CASE WHEN i = 1100 THEN 'bad' ELSE 'x' END "
                     "FROM generate_series(1001, 1300) i",
                     "INSERT INTO log SELECT 'line ' || i FROM generate_series(1, 300) i")


def is_told(text):
    return "connection lost" in text or "cannot connect to the " in text


def run_cut(product):
    """It comes to its end by itself; or it is still beginning, and says so."""
    product.launch("--until-caught-up")
    status = product.wait_end(60)
    if status != 0:
        assert status in (2, 4) and is_told(product.log_text()), f"{status} {product.log_text()}"
        assert '"event":"streaming"' not in product.log_text()
    return status == 0


@pytest.mark.limit(1200)
def test_from_nothing_to_the_end_of_the_copy(relayed, way, nightly, dice):
    """A new migration each time."""
    world, proxy, product = relayed
    fill(world)
    product.config["backfill"] = {"workers": 2, "chunk_rows": 100, "chunk_time": "1ms"}
    with Cut(proxy, way) as cut:
        product.run_until_caught_up()
    for edge in edges(cut.passed, dice, nightly, 4):
        assert product.command("cleanup", "--yes").status == 0
        product.config["migration"] = f"{world.migration}_{edge}"
        world.target.run("TRUNCATE t, log")
        with Cut(proxy, way, edge):
            ended = run_cut(product)
        if not ended:
            assert product.command("cleanup", "--yes").status == 0
            assert world.leftovers() == []
            product.run_until_caught_up()
        assert_whole(world, [1])


# -- commands ---------------------------------------------------------------------------------

def assert_told(result, edge):
    assert result.status == 2 and is_told(result.err), f"message {edge}: {result.status} {result.text}"


@pytest.fixture
def with_letters(world):
    """(proxy to the target, program behind it), with letters and no run."""
    world.both(*TABLES)
    world.target.run(NO_BAD)
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t SELECT CASE WHEN i % 100 = 0 THEN i / 100 ELSE i + 1000 END, "
                     "CASE WHEN i % 100 = 0 THEN 'bad' ELSE 'x' END FROM "
                     f"generate_series(1, {100 * LETTERS}) i")
    product.wait_caught_up()
    product.stop()
    with Proxy(world.target) as proxy:
        product.config["target"]["dsn"] = proxy.url()
        yield proxy, product


@pytest.mark.limit(600)
def test_dlq_that_changes_nothing(world, with_letters, way, nightly, dice):
    proxy, product = with_letters
    for words, status in ((["list"], 0), (["show", "3"], 0), (["retry", "3"], 1)):
        with Cut(proxy, way) as cut:
            whole = product.command("dlq", *words)
        assert whole.status == status, whole.text
        for edge in edges(cut.passed, dice, nightly, 5):
            with Cut(proxy, way, edge):
                found = product.command("dlq", *words)
            if (found.status, found.out) != (status, whole.out):  # else all was said by then
                assert_told(found, edge)
    assert parked(world) == list(range(1, LETTERS + 1))


@pytest.mark.limit(600)
@pytest.mark.parametrize("word", ["retry", "skip"])
def test_dlq_that_changes_something(world, with_letters, way, word, nightly, dice):
    """A letter for each message: it is made again, or skipped, once, whoever heard of it."""
    proxy, product = with_letters
    world.target.run("ALTER TABLE t DROP CONSTRAINT no_bad")
    with Cut(proxy, way) as cut:
        assert product.command("dlq", word, "1").status == 0
    for letter, edge in enumerate(edges(cut.passed, dice, nightly, 12), 2):
        with Cut(proxy, way, edge):
            first = product.command("dlq", word, str(letter))
        still = letter in parked(world)
        if first.status != 0:
            assert_told(first, edge)
        assert first.status != 0 or not still
        if still:
            again = product.command("dlq", word, str(letter))
            assert again.status == 0, f"after message {edge}: {again.text}"
    assert parked(world) == list(range(letter + 1, LETTERS + 1))
    there = letter if word == "retry" else 0
    assert world.target.value("SELECT count(*) FROM t WHERE v = 'bad'") == there
