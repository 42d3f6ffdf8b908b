"""The handoff from chunks to stream: writers at full speed on the very keys that are being
copied, workers killed at random, and both sides equal in the end, every time."""
import os
import random

import pytest

from world import load, wait

ROWS = 8000
ROUNDS = 11  # each shape once
NIGHTLY_ROUNDS = 200

# Small chunks, many of them, by more workers than there are cores.
BACKFILL = {"workers": 4, "chunk_rows": 500, "chunk_time": "20ms"}

# What the key of row number i is, for i from 1 to ROWS and beyond.
SHAPES = {
    "bigint": ("id bigint", "id", "{i}::bigint * 7 - 20000"),
    "two-integers": ("a int, b int", "a, b", "({i} % 40)::int, ({i} / 40)::int"),
    "uuid": ("id uuid", "id", "md5(({i})::text)::uuid"),
    "text": ('id text COLLATE "C"', "id", "'k' || ({i} % 977)::text || '-' || ({i})::text"),
    "skewed": ("a smallint, b bigint", "a, b",
               "CASE WHEN {i} % 10 = 0 THEN {i} % 50 ELSE 7 END::smallint, {i}::bigint"),
    # The source is asked where these lie.
    "text-icu": ('id text COLLATE "und-x-icu"', "id",
                 "CASE {i} % 3 WHEN 0 THEN 'K' WHEN 1 THEN 'k' ELSE 'ê' END"
                 " || ({i} % 977)::text || '-' || ({i})::text"),
    "numeric": ("id numeric", "id", "({i} - 4000) / 7.0"),
    "timestamptz": ("at timestamptz, n2 int", "at, n2",
                    "'2024-03-31'::timestamptz + ({i} / 3) * interval '7 minutes', ({i} % 3)::int"),
    "text-integer": ('a varchar(20) COLLATE "und-x-icu", b int', "a, b",
                     "chr(65 + {i} % 58), {i}::int"),
    "skewed-text": ('a text COLLATE "und-x-icu", b numeric', "a, b",
                    "CASE WHEN {i} % 10 = 0 THEN chr(65 + {i} % 58) ELSE 'most' END, {i} / 3.0"),
    "citext": ("id citext", "id", "(chr(65 + {i} % 2 * 32 + {i} % 26) || ({i})::text)::citext"),
}
# In whose world the stream is text: a type that only travels so.
TEXT_STREAM = ("numeric", "text-integer")


class Items:
    """A table of one of the shapes, at both sides, filled at the source."""

    def __init__(self, world, shape):
        columns, self.key, self.value = SHAPES[shape]
        world.both("CREATE EXTENSION citext")
        if shape in TEXT_STREAM:
            world.both("CREATE TABLE other (id int PRIMARY KEY, q tsquery)")
        world.both(f"CREATE TABLE items ({columns}, n int NOT NULL, v text, big text,"
                   f" PRIMARY KEY ({self.key}))",
                   "ALTER TABLE items ALTER big SET STORAGE EXTERNAL")
        self.key_row = f"({self.key})"
        world.source.run(
            f"INSERT INTO items SELECT {self.value.format(i='i')}, i, 'first ' || i,"
            f" CASE WHEN i % 8 = 0 THEN repeat(md5(i::text), 90) END"
            f" FROM generate_series(1, {ROWS}) i", "ANALYZE items")

    def of(self, number):
        return f"{self.key_row} = ({self.value.format(i=number)})"

    def work(self, cursor, dice):
        number = dice.randint(1, ROWS)
        other = dice.randint(ROWS + 1, 3 * ROWS)
        kind = dice.randrange(10)
        if kind < 4:
            cursor.execute(f"UPDATE items SET v = 'w' || {other} WHERE {self.of(number)}")
        elif kind < 6:
            cursor.execute(f"INSERT INTO items SELECT {self.value.format(i=other)}, {other}, 'new'"
                           " ON CONFLICT DO NOTHING")
        elif kind < 7:
            cursor.execute(f"DELETE FROM items WHERE {self.of(number)}")
        elif kind < 9:  # to another chunk, as a rule, with its long value unsent
            cursor.execute(f"UPDATE items SET {self.key_row} = ROW({self.value.format(i=other)})"
                           f" WHERE {self.of(number)}")
        else:  # there and back, in one transaction
            cursor.execute(f"UPDATE items SET {self.key_row} = ROW({self.value.format(i=other)}),"
                           f" n = n + 1 WHERE {self.of(number)}")
            cursor.execute(f"UPDATE items SET {self.key_row} = ROW({self.value.format(i=number)})"
                           f" WHERE {self.of(other)}")


def chunks(world):
    return world.target.value("SELECT count(*) FROM slackwater.chunk")


def one_round(world, dice, shape):
    items = Items(world, shape)
    product = world.product(backfill=BACKFILL)
    with load.Writers(world.source, 3, items.work, seed=dice.randrange(1 << 30)) as writers:
        for _ in range(dice.randrange(3)):
            product.launch()
            writers.wait_commits(dice.randrange(10, 150))
            product.kill9()
        product.start()
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
        writers.wait_commits(20)
    assert chunks(world) > 4, "it was not copied in chunks"
    product.wait_caught_up()
    world.assert_equal("items")
    product.stop()


@pytest.mark.parametrize("number", [
    pytest.param(number, marks=[pytest.mark.nightly] * (number >= ROUNDS))
    for number in range(NIGHTLY_ROUNDS)])
def test_writers_at_the_keys_being_copied(world, number):
    seed = int(os.environ.get("SLACKWATER_SEED", random.randrange(1 << 30)))
    print(f"replay: SLACKWATER_SEED={seed} tests/run --only scenario -k 'copied and {number}'")
    one_round(world, random.Random(seed), list(SHAPES)[number % len(SHAPES)])


def stalled_in_mid_copy(world, rows=5000):
    """A table of which some chunks are loaded, one is held in flight and others are to come."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text, u int)")
    world.source.run(f"INSERT INTO t SELECT i, 'v' || i, i FROM generate_series(1, {rows}) i",
                     "ANALYZE t")
    product = world.product(backfill={"workers": 1, "chunk_rows": 500, "chunk_time": "1ms"})
    return product, load.Stall(world.target, "t", "NEW.id = 2500")


def finish(world, product):
    product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    product.wait_caught_up()
    world.assert_equal()


def test_a_truncate_between_chunks(world):
    product, stall = stalled_in_mid_copy(world)
    with stall:
        product.start()
        stall.wait_reached()
        assert chunks(world) > 0
        with load.in_background(lambda: world.source.run(
                "BEGIN; TRUNCATE t; INSERT INTO t SELECT i, 'w', i FROM generate_series(1, 3000) i;"
                " COMMIT")):
            wait.until(lambda: world.source.value(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"),
                "the truncate to wait for the chunk")
            stall.release()
    finish(world, product)
    assert world.target.value("SELECT count(*) FROM t") == 3000


def test_a_change_waits_for_its_chunk_in_flight(world):
    product, stall = stalled_in_mid_copy(world)
    with stall:
        product.start()
        stall.wait_reached()
        world.source.run("UPDATE t SET v = 'changed' WHERE id = 2500",
                         "DELETE FROM t WHERE id = 2499", "UPDATE t SET id = -1 WHERE id = 1",
                         "UPDATE t SET id = 1 WHERE id = 4999",
                         "UPDATE t SET id = 10000 WHERE id = 2501")
        stall.release()
    finish(world, product)


def test_a_unique_value_that_moves_between_chunks(world):
    """Chunks are of different times, so a value that moved from one row to another may be in
    both: the source never had it twice, and both sides must be equal in the end."""
    product, stall = stalled_in_mid_copy(world)
    world.both("ALTER TABLE t ADD UNIQUE (u)")
    with stall:
        product.start()
        stall.wait_reached()
        # Row 1 is copied already; 4000 is to come, and will have what row 1 had.
        world.source.run("UPDATE t SET u = -1 WHERE id = 1", "UPDATE t SET u = 1 WHERE id = 4000",
                         "UPDATE t SET u = 4000 WHERE id = 1",
                         "UPDATE t SET u = u + 100000 WHERE id % 7 = 0")
        stall.release()
    finish(world, product)


def test_a_row_of_the_applications_in_the_way_of_a_chunk(world):
    product, stall = stalled_in_mid_copy(world)
    with stall:
        product.start()
        stall.wait_reached()
        world.target.run("INSERT INTO t VALUES (4000, 'by the application', 4000)")
        stall.release()
    finish(world, product)


def test_finished_chunks_survive_a_kill(world):
    product, stall = stalled_in_mid_copy(world)
    with stall:
        product.start()
        stall.wait_reached()
        before = world.target.rows("SELECT lane, number, snapshot, finished_at"
                                   " FROM slackwater.chunk ORDER BY 1, 2")
        product.kill9()
        stall.release()
    product.start()
    finish(world, product)
    after = world.target.rows("SELECT lane, number, snapshot, finished_at FROM slackwater.chunk")
    assert before and set(before) < set(after)
