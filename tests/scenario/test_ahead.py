"""The next batch goes through rules and folding while the target is at the one before, which may yet
fail: whatever comes of that, the end is that of source order."""
import contextlib

from world import wait
from world.load import held
from world.product import ROOT

DEBUG_BINARY = ROOT / "build" / "asan" / "slackwater"  # has failpoints
T = "CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE, v text)"
LOG = "CREATE TABLE log (line text)"  # no key: a row twice would stay
ROWS = 200
WIDE = 45_000  # bytes: so that 200 rows fill a batch (8 MB)
SEEN = "ahead.made=delay(1ms)"  # leaves an event for each


def fill(source):
    source.run(f"INSERT INTO t SELECT i, 'c' || i, 'v' FROM generate_series(1, {ROWS}) i")


def rewritten(letter):
    """Each row gets another value, and one is logged."""
    return (f"BEGIN; UPDATE t SET v = repeat('{letter}', {WIDE}) || id; "
            f"INSERT INTO log VALUES ('{letter}'); COMMIT")


@contextlib.contextmanager
def queued(world):
    """What is committed in the block is received while a batch waits at the progress row, until one
    of 8 MB is in the queue and the next waits for room there."""
    product = world.products[-1]
    with held(world.target, "SELECT FROM slackwater.progress FOR UPDATE"):
        world.source.run("SELECT pg_logical_emit_message(true, 'x', 'y')")
        wait.until(lambda: world.target.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock'"), "the applier to wait")
        yield
        wait.until(lambda: product.status()["queue_bytes"] > 8_000_000, "the queue to be filled")


def made(product):
    return [event for event in product.all_events() if event.get("event") == "failpoint"]


def streaming(world, target=T, points="", **config):
    """Behind the copy: before that, changes are judged in their turn."""
    world.source.run(T, LOG)
    world.target.run(target, LOG)
    fill(world.source)
    product = world.product(**config)
    if points:
        product.binary = DEBUG_BINARY
        product.env["SLACKWATER_FAILPOINTS"] = points
    product.start_streaming()
    wait.until(lambda: product.status()["backfill"]["complete"], "the copy to be passed")
    return product


def test_a_backlog_goes_ahead_through_rules(world):
    rules = [{"source": "public.t", "columns": {"v": {"template": "{id}:{v}"}}},
             {"source": "public.log"}]
    product = streaming(world, tables=rules)
    with queued(world):
        world.source.run(*map(rewritten, "abcd"))
    product.wait_caught_up()
    world.assert_equal_by({"t": "SELECT id, code, id || ':' || v FROM t", "log": "TABLE log"})
    counts = product.status()["apply"]
    assert counts["batches_ahead"] >= 1 and counts["rows_staged"] >= 2 * ROWS, counts
    assert "slackwater_apply_batches_ahead_total" in product.http("/metrics")[2]


def test_the_batch_before_falls_back(world):
    product = streaming(world)
    with queued(world):
        world.source.run("UPDATE t SET code = 'x' WHERE id = 1", "UPDATE t SET code = 'c1' WHERE id = 2",
                         "UPDATE t SET code = 'c2' WHERE id = 1", *map(rewritten, "abcdef"))
    product.wait_caught_up()
    world.assert_equal()
    counts = product.status()["apply"]
    assert counts["fallbacks"] == 1 and counts["batches_ahead"] >= 1, counts


def test_the_batch_before_parks_a_key(world):
    """What was made of the next is thrown away: the key's changes there wait too."""
    checked = T.replace("UNIQUE", "UNIQUE CHECK (code <> 'bad')")
    product = streaming(world, checked, SEEN)
    with queued(world):
        world.source.run(*map(rewritten, "ab"), "INSERT INTO t VALUES (0, 'bad', 'v')",
                         *map(rewritten, "cd"))
    product.wait_caught_up()
    assert made(product)
    assert world.target.value("SELECT count(*) FROM slackwater.dead_letter") == 3
    assert world.target.rows("SELECT left(v, 1), count(*) FROM t GROUP BY 1") == [("d", ROWS)]
    assert world.target.rows("SELECT line FROM log ORDER BY 1") == [(line,) for line in "abcd"]


def test_rules_are_bound_anew_between(world):
    product = streaming(world, points=SEEN)
    with queued(world):
        world.source.run(*map(rewritten, "abc"), "ALTER TABLE t ADD w int",
                         "UPDATE t SET w = id WHERE id = 1", rewritten("d"))
    assert product.wait_end() == 3
    assert made(product)
    assert world.target.value("SELECT count(*) FROM t WHERE v LIKE 'd%'") == 0
    world.target.run("ALTER TABLE t ADD w int")
    product.run_until_caught_up()
    world.assert_equal()


def test_killed_when_the_next_is_made(world):
    product = streaming(world, points="ahead.made=kill")
    with queued(world):
        world.source.run(*map(rewritten, "abcd"))
    assert product.wait_end() == -9
    product.env["SLACKWATER_FAILPOINTS"] = ""
    product.run_until_caught_up()
    world.assert_equal()
