"""The target is slow, locked or quarrelsome; the stream must live and every row arrive."""
import contextlib

import psycopg2
import pytest

from world import load, marks, wait


def build(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE u (id int PRIMARY KEY)")
    world.source.run("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 100) i")


def test_keepalives_are_answered_while_the_apply_is_stuck(world):
    """Longer than wal_sender_timeout: the server would drop a receiver that says nothing."""
    world.source.run(f"ALTER DATABASE {world.source.name} SET wal_sender_timeout = '3s'")
    build(world)
    product = world.product().start_streaming()
    walsender = "SELECT active_pid FROM pg_replication_slots WHERE database = current_database()"
    before = world.source.value(walsender)
    began = world.source.value("SELECT clock_timestamp()")
    with load.held(world.target, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        world.source.run("UPDATE t SET v = 'stuck'")
        wait.until(lambda: world.source.value(
            "SELECT clock_timestamp() > %s + interval '8 s'", began), "8 seconds", 20, 0.2)
        assert world.source.value(walsender) == before
    product.wait_caught_up()
    world.assert_equal()
    assert world.source.value(walsender) == before
    marks.assert_undisturbed(product)


def test_a_stream_larger_than_the_queue_waits_behind_a_stuck_apply(world):
    """Back-pressure: memory stays bounded, keepalives go on, nothing is lost."""
    world.source.run(f"ALTER DATABASE {world.source.name} SET wal_sender_timeout = '3s'")
    build(world)
    product = world.product().start_streaming()
    with load.held(world.target, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        world.source.run("UPDATE t SET v = 'stuck'")
        began = world.source.value("SELECT clock_timestamp()")
        for number in range(12):
            world.source.run(f"INSERT INTO t SELECT i, repeat(md5(i::text), 60) FROM "
                             f"generate_series({1000 + number * 5000}, {5999 + number * 5000}) i")
        wait.until(lambda: world.source.value(
            "SELECT clock_timestamp() > %s + interval '5 s'", began), "5 seconds", 20, 0.2)
        marks.assert_shown(product, queue_bytes=marks.SOME, lag_bytes=marks.AtLeast(10 << 20))
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_bounded(product, 256 << 20)
    marks.assert_undisturbed(product)


ROWS = {"narrow": ("id int PRIMARY KEY, v int", "i, i", 200_000),
        "wide": ("id int PRIMARY KEY, v text", "i, repeat(md5(i::text), 60)", 40_000)}


def wait_for_standstill(product):
    """Until something is queued and nothing more is received for a while."""
    seen = []

    def stands(status):
        seen.append(status["queue_bytes"] > 0 and status["lsn"]["received"])
        return len(seen) > 10 and seen[-1] and set(seen[-10:]) == {seen[-1]}
    product.wait_status(stands, "a full queue")


@pytest.mark.parametrize("rows", ROWS)
def test_memory_is_bounded_with_two_targets(world, rows):
    """What a split writes is twice what was received, and a large transaction is cut into pieces of
    twice a batch: together the most that a backlog can take."""
    columns, values, count = ROWS[rows]
    world.source.run(f"CREATE TABLE t ({columns})")
    world.target.run(f"CREATE TABLE a ({columns})", f"CREATE TABLE b ({columns})")
    product = world.product(tables=[{"source": "public.t", "target": f"public.{target}"}
                                    for target in "ab"]).start_streaming()
    with load.held(world.target, "LOCK TABLE b IN ACCESS EXCLUSIVE MODE"):
        world.source.run(f"BEGIN; INSERT INTO t SELECT {values} FROM generate_series(1, {count}) i;"
                         "UPDATE t SET v = v WHERE id > 0; COMMIT")
        wait_for_standstill(product)
    product.wait_caught_up(120)
    assert world.target.value("SELECT count(*) FROM a") == count
    marks.assert_bounded(product, 256 << 20)
    marks.assert_undisturbed(product)


def assert_tried_again(product, sqlstate):
    told = marks.assert_told(product, "target failed, trying again", sqlstate=sqlstate)
    assert told["level"] == "warn"
    marks.assert_got_over(product, retries_total=marks.SOME, errors_total=marks.SOME)


def test_lock_timeout_is_retried(world):
    world.target.run(f"ALTER DATABASE {world.target.name} SET lock_timeout = '300ms'")
    build(world)
    product = world.product().start_streaming()
    with load.held(world.target, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        world.source.run("BEGIN; INSERT INTO u VALUES (1); UPDATE t SET v = 'retried'; COMMIT")
        product.wait_status(lambda status: status["totals"]["retries"] >= 2, "two retries")
        assert world.target.value("SELECT count(*) FROM u") == 0
    product.wait_caught_up()
    world.assert_equal()
    assert_tried_again(product, "55P03")


def test_a_statement_timeout_of_the_database_is_none_of_ours(world):
    world.target.run(f"ALTER DATABASE {world.target.name} SET statement_timeout = '300ms'")
    build(world)
    product = world.product().start_streaming()
    with load.Stall(world.target, "t", "NEW.v = 'slow'") as stall:
        world.source.run("UPDATE t SET v = 'slow' WHERE id = 1")
        stall.wait_reached()
        product.wait_status(lambda status: (status["lag"]["seconds"] or 0) > 1, "the time-out to pass")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_deadlocks_with_the_application_are_retried(world):
    """The application locks t then u; the program writes u then t. It notices first."""
    world.target.run(f"ALTER DATABASE {world.target.name} SET deadlock_timeout = '2s'")
    build(world)
    world.source.run("INSERT INTO u SELECT generate_series(1, 10)")
    product = world.product().start_streaming()
    for number in range(2):
        with load.held(world.target, "SET LOCAL deadlock_timeout = '20s'",
                       f"SELECT * FROM t WHERE id = {number + 1} FOR UPDATE") as other:
            world.source.run(f"BEGIN; DELETE FROM u WHERE id = {number + 1}; "
                             f"UPDATE t SET v = 'd{number}' WHERE id = {number + 1}; COMMIT")
            wait.until(lambda: world.target.value(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"), "the program to wait", interval=0)
            with contextlib.suppress(psycopg2.errors.DeadlockDetected):  # when we came too late
                other.execute(f"SELECT * FROM u WHERE id = {number + 1} FOR UPDATE")
    product.wait_caught_up()
    world.assert_equal()
    assert_tried_again(product, "40P01")


def test_a_target_that_is_read_only_for_a_while(world):
    build(world)
    product = world.product().start_streaming()
    name = world.target.name
    world.target.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    end = ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
           "WHERE datname = current_database() AND pid <> pg_backend_pid()")
    world.target.run(end)
    world.source.run("INSERT INTO t VALUES (500, 'later')")
    marks.assert_told(product, "target failed, trying again", sqlstate="25006")
    with world.target.session() as run:
        run.execute("SET default_transaction_read_only = off")
        run.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    world.target.run(end)
    product.wait_caught_up()
    world.assert_equal()
    assert_tried_again(product, "25006")
