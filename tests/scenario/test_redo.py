"""`run --redo T`: one table is emptied and copied again while everything else streams."""
import random
import re
import time

import pytest

from world import load, wait
from test_handoff import BACKFILL, Items


def finish(world, product):
    product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    product.wait_caught_up()
    world.assert_equal()


def streamed_once(world, product):
    """The table is copied, passed and has had changes by the stream."""
    product.start()
    finish(world, product)
    product.stop()


def test_a_damaged_table_is_mended_while_others_stream(world):
    items = Items(world, "bigint")
    world.both("CREATE TABLE other (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO other VALUES (1, 'a')")
    product = world.product(backfill=BACKFILL)
    streamed_once(world, product)
    world.target.run("DELETE FROM items WHERE n % 3 = 0", "UPDATE items SET v = 'damaged'",
                     "INSERT INTO items VALUES (999999999, 0, 'stray', NULL)",
                     "UPDATE other SET v = 'kept as it is'")
    with load.Writers(world.source, 3, items.work, seed=1) as writers:
        product.start("--redo", "items")
        world.source.run("INSERT INTO other VALUES (2, 'b')")
        writers.wait_commits(100)
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
        writers.wait_commits(20)
    product.wait_caught_up()
    world.assert_equal("items")
    assert world.target.rows("SELECT * FROM other ORDER BY id") == [(1, "kept as it is"),
                                                                    (2, "b")]


@pytest.mark.parametrize("seed", range(3))
def test_killed_on_the_way_it_is_taken_up_again(world, seed):
    dice = random.Random(seed)
    items = Items(world, ["uuid", "two-integers", "text"][seed])
    product = world.product(backfill=BACKFILL)
    streamed_once(world, product)
    world.target.run("UPDATE items SET v = 'damaged'")
    with load.Writers(world.source, 3, items.work, seed=seed) as writers:
        product.start("--redo", "public.items")
        wait.until(lambda: "copied anew" in product.log_text(), "the redo", 30)
        for _ in range(3):
            writers.wait_commits(dice.randrange(10, 120))
            product.kill9()
            product.launch()
        writers.wait_commits(50)
    product.event("listening")
    product.address = product.event("listening")["address"]
    finish(world, product)


def test_what_was_applied_before_it_is_visible_is_not_lost(make_cluster, target_cluster,
                                                           make_world):
    """A commit that waits for a synchronous standby has reached the target by the stream, and no
    snapshot sees it yet: emptied with the table, it must come with the copy."""
    source = make_cluster()
    world = make_world(source, target_cluster)
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 10) i")
    product = world.product()
    streamed_once(world, product)
    admin = source.database("postgres")

    def standby(name):
        admin.run(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'",
                  "SELECT pg_reload_conf()")
        wait.until(lambda: admin.value("SHOW synchronous_standby_names") == name, "the reload")

    standby("nobody")
    with load.in_background(lambda: world.source.run("INSERT INTO t VALUES (11, 'unseen')")):
        try:
            wait.until(lambda: admin.value("SELECT count(*) FROM pg_stat_activity"
                                           " WHERE wait_event = 'SyncRep'"), "the commit to wait")
            product.start()
            wait.until(lambda: world.target.value("SELECT count(*) FROM t") == 11,
                       "the unseen row", 60)
            product.kill9()
            assert world.source.value("SELECT count(*) FROM t") == 10
            product.start("--redo", "t")
            product.event("a copy waits for transactions that are open at the source")
            assert not world.target.value("SELECT count(*) FROM slackwater.chunk")
        finally:
            standby("")
    finish(world, product)
    assert world.target.value("SELECT count(*) FROM t") == 11


def test_what_happened_unseen_is_in_the_new_copy(world):
    """The remedy for updates of a table without identity, and for a partition truncated alone."""
    world.both("CREATE TABLE n (a int)")
    for side in (world.source, world.target):
        side.run("CREATE TABLE k (id int PRIMARY KEY) PARTITION BY RANGE (id)",
                 "CREATE TABLE k1 PARTITION OF k FOR VALUES FROM (0) TO (100)",
                 "CREATE TABLE k2 PARTITION OF k FOR VALUES FROM (100) TO (200)")
    world.source.run("INSERT INTO n VALUES (1)", "INSERT INTO k SELECT generate_series(95, 104)")
    product = world.product()
    streamed_once(world, product)
    world.source.run("UPDATE n SET a = 2", "TRUNCATE k1")
    product.start()

    def verdicts(*wanted):
        return lambda: tuple(product.gates()[gate]["verdict"]
                             for gate in ("replica_identity", "source")) == wanted

    wait.until(verdicts("NO-GO", "NO-GO"), "the gates to close", 30)
    product.stop()
    product.start("--redo", "n", "--redo", "k")
    wait.until(verdicts("GO", "GO"), "the gates to open", 30)
    finish(world, product)


def test_statistics_that_were_reset_count_from_the_new_copy(world):
    world.both("CREATE TABLE n (a int)")
    world.source.run("INSERT INTO n VALUES (1)")
    product = world.product()
    streamed_once(world, product)
    world.source.run("SELECT pg_stat_reset()")

    def verdict(wanted):
        return lambda: (product.gates()["replica_identity"]["verdict"] == "GO") == wanted

    product.start()
    wait.until(verdict(False), "the gate to close", 30)
    product.stop()
    product.start("--redo", "n")
    wait.until(verdict(True), "the gate to open", 30)
    finish(world, product)


def test_what_a_table_is_measured_against_comes_with_its_emptying_or_not_at_all(world):
    world.both("CREATE TABLE n (a int)")
    world.source.run("INSERT INTO n VALUES (1)")
    product = world.product()
    streamed_once(world, product)
    world.source.run("UPDATE n SET a = 2")
    world.target.run(
        f"""CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM pg_advisory_xact_lock_shared({load.Stall.KEY}); RETURN NEW; END$$""",
        """CREATE TRIGGER late BEFORE UPDATE OF partitions ON slackwater.copy
           FOR EACH ROW EXECUTE FUNCTION late()""",
        "ALTER TABLE slackwater.copy ENABLE ALWAYS TRIGGER late")
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with load.held(world.target, f"SELECT pg_advisory_xact_lock({load.Stall.KEY})"):
        product.launch("--redo", "n")
        wait.until(lambda: world.target.value(waiting), "the redo to stand between", 30)
        product.kill9()
    world.target.run("DROP TRIGGER late ON slackwater.copy")
    assert world.target.value("SELECT a FROM n") == 1
    assert world.target.value("SELECT count(*) FROM slackwater.chunk") == 1
    product.start("--redo", "n")
    finish(world, product)
    wait.until(lambda: product.gates()["replica_identity"]["verdict"] == "GO", "the gate", 30)


def test_a_reader_of_the_target_holds_up_neither_the_copy_nor_other_readers(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) i")
    product = world.product()
    streamed_once(world, product)
    world.target.run("UPDATE t SET v = 'damaged'")

    def read(cursor, _dice):
        began = time.monotonic()
        cursor.execute("SELECT count(*) FROM t")
        assert time.monotonic() - began < 6, "readers stood behind the emptying"

    with load.held(world.target, "SELECT count(*) FROM t"), load.Writers(world.target, 1, read):
        product.start("--redo", "t")
        product.event("target tables are in use and cannot be truncated: their rows are deleted")
        finish(world, product)


def test_a_table_that_is_locked_is_emptied_when_it_is_free(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) i")
    product = world.product()
    streamed_once(world, product)
    world.target.run("UPDATE t SET v = 'damaged'")
    with load.held(world.target, "LOCK TABLE t IN SHARE MODE"):
        product.launch("--redo", "t")
        wait.until(lambda: "a table cannot be emptied yet, trying again" in product.log_text(),
                   "an attempt", 60)
    product.wait_listening()
    finish(world, product)


def test_it_is_refused_where_it_cannot_be_right(world):
    world.source.run("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)",
                     "CREATE TABLE orders (id int PRIMARY KEY)")
    world.target.run("CREATE TABLE ab (id int PRIMARY KEY)",
                     "CREATE TABLE orders (id int PRIMARY KEY)")
    world.source.run("INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (2)")
    product = world.product(tables=[{"source": "public.a", "target": "public.ab"},
                                    {"source": "public.b", "target": "public.ab"},
                                    {"source": "public.orders"}])
    product.start()
    product.wait_caught_up()
    product.stop()

    def refusal(*flags):
        result = product.run_to_end(*flags)
        assert result.status == 2, result.text
        return result.text

    assert "other source tables write there too" in refusal("--redo", "a")
    assert "did you mean public.orders" in refusal("--redo", "public.order")
    assert "--no-backfill" in refusal("--redo", "orders", "--no-backfill")
    assert world.target.value("SELECT count(*) FROM ab") == 2


def test_rows_of_other_owners_stay(world):
    world.source.run("CREATE TABLE u (id int PRIMARY KEY, v text)",
                     "INSERT INTO u VALUES (1, 'a'), (2, 'b')")
    world.target.run("CREATE TABLE u (tenant text, id int, v text, PRIMARY KEY (tenant, id))",
                     "INSERT INTO u VALUES ('other', 1, 'theirs')")
    product = world.product(tables=[{"source": "public.u",
                                     "columns": {"tenant": {"value": "mine"}}}])
    product.start()
    product.wait_caught_up()
    product.stop()
    world.target.run("UPDATE u SET v = 'damaged' WHERE tenant = 'mine'",
                     "INSERT INTO u VALUES ('mine', 9, 'stray')")
    result = product.run_to_end("--redo", "u", "--no-stream")
    assert result.status == 0, result.text
    assert world.target.rows("SELECT * FROM u ORDER BY 1, 2") == [
        ("mine", 1, "a"), ("mine", 2, "b"), ("other", 1, "theirs")]


# ---- --backfill-only ----

def oldest_noted(world):
    """The first xid that the handoff keeps until a snapshot has seen it; 0 with none."""
    note = world.target.value("SELECT note FROM slackwater.progress")
    return int(re.match(r"\d*", note).group() or 0)


def test_only_one_table_is_copied_and_the_others_wait(world):
    items = Items(world, "bigint")
    world.both("CREATE TABLE first (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO first SELECT i, 'a' FROM generate_series(1, 1000) i")
    product = world.product(backfill=BACKFILL)
    product.start("--backfill-only", "first")
    with load.Writers(world.source, 3, items.work, seed=5) as writers:
        product.wait_status(lambda status: status["phase"] == "streaming", "the stream", 60)
        world.source.run("INSERT INTO first VALUES (2000, 'b')")
        writers.wait_commits(200)
        wait.until(lambda: world.target.value("SELECT count(*) FROM first") == 1001,
                   "the change to the copied table", 30)
        assert product.table("public.items")["copy"]["state"] == "held"
        gate = product.gates()["backfill"]
        assert gate["verdict"] == "NO-GO" and "--backfill-only" in gate["reason"], gate
        mark = world.source.value("SELECT txid_current() % (1::bigint << 32)")
        wait.until(lambda: oldest_noted(world) > mark, "what a snapshot has seen to leave the note")
        product.kill9()
        assert world.target.value("SELECT count(*) FROM items") == 0
        writers.wait_commits(50)
        product.start()
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    finish(world, product)


def test_only_one_table_without_the_stream_and_bounded(world):
    for name in ("a", "b"):
        world.both(f"CREATE TABLE {name} (id int PRIMARY KEY)")
        world.source.run(f"INSERT INTO {name} SELECT generate_series(1, 100)")
    product = world.product()
    result = product.run_to_end("--backfill-only", "public.a", "--no-stream")
    assert result.status == 0, result.text
    assert world.target.value("SELECT count(*) FROM a") == 100
    assert world.target.value("SELECT count(*) FROM b") == 0
    world.source.run("INSERT INTO a VALUES (101)", "INSERT INTO b VALUES (101)")
    result = product.run_to_end("--backfill-only", "a", "--until-caught-up")
    assert result.status == 0, result.text
    assert world.target.value("SELECT count(*) FROM a") == 101
    assert world.target.value("SELECT count(*) FROM b") == 0
    product.run_until_caught_up()
    world.assert_equal()
