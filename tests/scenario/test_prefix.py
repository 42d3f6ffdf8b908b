"""The promise itself: what the target shows is always a prefix of the source's commit order.

Every source transaction takes the next number from a counter row whose lock it holds until it
commits, so that numbers are gapless and in commit order. The whole content of the tables is a
function of the last number, so that one snapshot at the target tells whether it is the image of
a prefix, and of which.
"""
import contextlib
import threading

import pytest

from world import load

TABLES = ["CREATE TABLE counter (one int PRIMARY KEY, n bigint)",
          "CREATE TABLE sequence (n bigint PRIMARY KEY, writer int)",
          "CREATE TABLE total (one int PRIMARY KEY, sum bigint)",
          "CREATE TABLE latest (n bigint PRIMARY KEY, filler text)",   # the last ten
          "CREATE TABLE moving (n bigint PRIMARY KEY)",                # one row; its key changes
          "CREATE TABLE log (n bigint)"]                               # no key
START = ["INSERT INTO counter VALUES (1, 0)", "INSERT INTO total VALUES (1, 0)",
         "INSERT INTO moving VALUES (0)"]


def work(cursor, dice):
    cursor.execute("UPDATE counter SET n = n + 1 RETURNING n")
    number = cursor.fetchone()[0]
    cursor.execute("INSERT INTO sequence VALUES (%s, %s)", (number, dice.randrange(100)))
    cursor.execute("UPDATE total SET sum = sum + %s", (number,))
    cursor.execute("INSERT INTO latest VALUES (%s, %s)", (number, "x" * dice.randrange(3000)))
    cursor.execute("DELETE FROM latest WHERE n <= %s", (number - 10,))
    if dice.random() < 0.3:
        cursor.execute("SAVEPOINT s")
        cursor.execute("DELETE FROM sequence")
        cursor.execute("ROLLBACK TO s")
    cursor.execute("UPDATE moving SET n = %s", (number,))
    cursor.execute("INSERT INTO log VALUES (%s)", (number,))
    if dice.random() < 0.1:
        cursor.connection.rollback()  # its number goes to the next one


PICTURE = """
    SELECT (SELECT n FROM counter), (SELECT count(*) FROM sequence), (SELECT max(n) FROM sequence),
           (SELECT sum FROM total), (SELECT array_agg(n ORDER BY n) FROM latest),
           (SELECT array_agg(n) FROM moving), (SELECT count(*) FROM log),
           (SELECT count(DISTINCT n) FROM log), (SELECT max(n) FROM log)"""


def assert_prefix(row):
    """Every value is what the transactions 1..n leave behind. Returns n."""
    n = row[0]
    assert row == (n, n, n or None, n * (n + 1) // 2,
                   list(range(max(1, n - 9), n + 1)) or None, [n], n, n, n or None), row
    return n


class Reader(threading.Thread):
    """Looks at the target all the time, in one snapshot each."""

    def __init__(self, target):
        super().__init__()
        self.target, self.ending = target, threading.Event()
        self.looks, self.last, self.failure = 0, 0, None
        self.seen = set()

    def run(self):
        try:
            with contextlib.closing(self.target.connect()) as connection:
                connection.set_session(isolation_level="REPEATABLE READ", readonly=True,
                                       autocommit=False)
                while not self.ending.wait(0.002):
                    with connection.cursor() as cursor:
                        cursor.execute(PICTURE)
                        number = assert_prefix(cursor.fetchone())
                    connection.rollback()
                    assert number >= self.last, f"went back from {self.last} to {number}"
                    self.last = number
                    self.seen.add(number)
                    self.looks += 1
        except BaseException as error:
            self.failure = error

    def finish(self):
        self.ending.set()
        self.join()
        if self.failure:
            raise self.failure


@pytest.mark.parametrize("kills", [0, 4], ids=["undisturbed", "killed"])
def test_the_target_is_always_a_prefix(world, nightly, kills):
    world.both(*TABLES)
    world.source.run(*START)
    product = world.product()
    with load.Writers(world.source, 4, work) as writers:
        writers.wait_commits(100)
        product.start_streaming()
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill")
        reader = Reader(world.target)
        reader.start()
        try:
            for _ in range(kills * (10 if nightly else 1)):
                goal = reader.last + 50
                product.wait_status(lambda _: reader.failure or reader.last > goal,
                                    "the reader to see progress")
                product.kill9()
                writers.wait_commits(20)
                product.start()
            writers.wait_commits(5000 if nightly else 500)
            writers.stop()
            product.wait_caught_up()
        finally:
            reader.finish()
    world.assert_equal()
    with world.target.session() as run:
        run.execute(PICTURE)
        assert assert_prefix(run.fetchone()) == world.source.value("SELECT n FROM counter")
    assert reader.looks > 50 and len(reader.seen) > 5, "it looked too seldom to prove anything"


def test_the_checker_sees_a_broken_prefix():
    whole = (12, 12, 12, 78, list(range(3, 13)), [12], 12, 12, 12)
    assert assert_prefix(whole) == 12
    assert assert_prefix((0, 0, None, 0, None, [0], 0, 0, None)) == 0
    for position, value in ((1, 11), (3, 66), (4, list(range(2, 12))), (5, [11]), (6, 13), (7, 11)):
        broken = whole[:position] + (value,) + whole[position + 1:]
        with pytest.raises(AssertionError):
            assert_prefix(broken)
