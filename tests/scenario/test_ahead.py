"""The next batch goes through rules and folding while the target is at the one before, which may yet
fail: whatever comes of that, the end is that of source order."""
from world import wait
from world.load import held
from world.product import ROOT, lsn

DEBUG_BINARY = ROOT / "build" / "asan" / "slackwater"  # has failpoints
T = "CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE, v text)"
LOG = "CREATE TABLE log (line text)"  # no key: a row twice would stay
ROWS = 200
WIDE = 43_000  # bytes: so that 200 rows fill a batch (8 MiB), and two are not too large together
SEEN = "ahead.made=delay(1ms)"  # leaves an event for each


def fill(source):
    source.run(f"INSERT INTO t SELECT i, 'c' || i, 'v' FROM generate_series(1, {ROWS}) i")


def rewritten(letter, *before):
    """A batch: after these statements, each row gets another value, and one is logged."""
    return "; ".join(("BEGIN", *before,
                      f"UPDATE t SET v = repeat('{letter}', {WIDE}) || id",
                      f"INSERT INTO log VALUES ('{letter}')", "COMMIT"))


def queue(world, first, second, third, *more):
    """The first batch waits for its table, before there is anything to be at work on, until the third
    is on its way: so the second is in the queue by then, and is what is made ahead."""
    product = world.products[-1]
    with held(world.target, "LOCK t"):
        world.source.run(first, second)
        behind = lsn(world.source.value("SELECT pg_current_wal_insert_lsn()"))
        world.source.run(third, *more)
        product.wait_status(lambda status: lsn(status["lsn"]["received"]) >= behind,
                            "the third to be received")


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
    queue(world, *map(rewritten, "abcd"))
    product.wait_caught_up()
    world.assert_equal_by({"t": "SELECT id, code, id || ':' || v FROM t", "log": "TABLE log"})
    counts = product.status()["apply"]
    assert counts["batches_ahead"] >= 1 and counts["rows_staged"] >= 2 * ROWS, counts
    assert "slackwater_apply_batches_ahead_total" in product.http("/metrics")[2]


def test_the_batch_before_falls_back(world):
    product = streaming(world)
    queue(world, rewritten("a", "UPDATE t SET code = 'x' WHERE id = 1",
                           "UPDATE t SET code = 'c1' WHERE id = 2",
                           "UPDATE t SET code = 'c2' WHERE id = 1"), *map(rewritten, "bcd"))
    product.wait_caught_up()
    world.assert_equal()
    counts = product.status()["apply"]
    assert counts["fallbacks"] == 1 and counts["batches_ahead"] >= 1, counts


def test_the_batch_before_parks_a_key(world):
    """What was made of the next is thrown away: the key's changes there wait too."""
    checked = T.replace("UNIQUE", "UNIQUE CHECK (code <> 'bad')")
    product = streaming(world, checked, SEEN)
    queue(world, rewritten("a", "INSERT INTO t VALUES (0, 'bad', 'v')"), *map(rewritten, "bcd"))
    product.wait_caught_up()
    assert made(product)
    assert world.target.value("SELECT count(*) FROM slackwater.dead_letter") == 1 + len("abcd")
    assert world.target.rows("SELECT left(v, 1), count(*) FROM t GROUP BY 1") == [("d", ROWS)]
    assert world.target.rows("SELECT line FROM log ORDER BY 1") == [(line,) for line in "abcd"]


def test_a_table_is_back_in_sets_in_between(world):
    """The next is folded when the batch before has not come to a table yet, which its changes end the
    pause of. So where they go is not what it would have been."""
    more = ["CREATE TABLE u (id int PRIMARY KEY, code text UNIQUE)", "CREATE TABLE gone (id int)"]
    world.target.run(*more)
    world.source.run(*more, "INSERT INTO u SELECT i, 'c' || i FROM generate_series(1, 9) i")
    product = streaming(world, apply={"engine": "set"})
    for one, other in (("c1", "c2"), ("c2", "c1")):  # no set can do that: a pause of one batch
        world.source.run("BEGIN; UPDATE u SET code = 'x' WHERE id = 1;"
                         f"UPDATE u SET code = '{one}' WHERE id = 2;"
                         f"UPDATE u SET code = '{other}' WHERE id = 1; COMMIT")
        product.wait_caught_up()
    assert product.status()["apply"]["fallbacks"] == 2
    ends_a_set = "INSERT INTO log VALUES ('e'), ('f'); TRUNCATE gone; UPDATE u SET code = 'a' || id"
    queue(world, rewritten("a").replace("COMMIT", ends_a_set + "; COMMIT"),
          rewritten("b", "UPDATE u SET code = 'b' || id"), *map(rewritten, "cd"))
    product.wait_caught_up()
    world.assert_equal()
    assert product.status()["apply"]["batches_ahead"] >= 1


def test_rules_are_bound_anew_between(world):
    product = streaming(world, points=SEEN)
    queue(world, *map(rewritten, "abc"), "ALTER TABLE t ADD w int",
          "UPDATE t SET w = id WHERE id = 1", rewritten("d"))
    assert product.wait_end() == 3
    assert made(product)
    assert world.target.value("SELECT count(*) FROM t WHERE v LIKE 'd%'") == 0
    world.target.run("ALTER TABLE t ADD w int")
    product.run_until_caught_up()
    world.assert_equal()


def test_killed_when_the_next_is_made(world):
    product = streaming(world, points="ahead.made=kill")
    queue(world, *map(rewritten, "abcd"))
    assert product.wait_end() == -9
    product.env["SLACKWATER_FAILPOINTS"] = ""
    product.run_until_caught_up()
    world.assert_equal()
