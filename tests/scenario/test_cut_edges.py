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
    """The `number`-th message from now on is dropped, and its connection; 0: all are counted."""

    def __init__(self, proxy, way, number=0):
        self.proxy, self.way, self.number = proxy, way, number
        self.passed = 0

    def __enter__(self):
        setattr(self.proxy, self.way, self._pass)
        return self

    def __exit__(self, *failure):
        setattr(self.proxy, self.way, None)

    def _pass(self, _):
        with self.proxy.lock:
            self.passed += 1
            return self.passed != self.number

    def struck(self):
        return 0 < self.number <= self.passed


def edges(count, dice, nightly, share=8):
    """All of them nightly, else a few."""
    every = range(1, count + 1)
    return every if nightly else sorted(dice.sample(every, min(share, count)))


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
def test_in_the_stream(relayed, way, nightly, dice):
    world, proxy, product = relayed
    product.start_streaming()
    with Cut(proxy, way) as cut:
        change(world, 1)
        product.wait_caught_up()
    numbers = [1]
    for edge in edges(cut.passed, dice, nightly):
        with Cut(proxy, way, edge) as cut:
            numbers.append(numbers[-1] + 1)
            change(world, numbers[-1])
            wait.until(cut.struck, f"message {edge}", 20)
            product.wait_caught_up()
    assert_whole(world, numbers)
    totals = product.status()["totals"]
    print(totals, len(numbers))
    assert totals["reconnects"] + totals["retries"] >= 1
    product.stop()
