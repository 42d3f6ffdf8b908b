"""Large transactions come while they are open, are kept, and arrive whole when they are committed.

The source may keep only 64 kB of a transaction (logical_decoding_work_mem), so that all but the
smallest ones are streamed.
"""
import random
import shutil

import pytest

from world import load, marks, prefix
from world.load import Stall
from world.open_transactions import ROWS, fill, opened, small_memory, wait_kept


@pytest.fixture
def product(world):
    world.both("CREATE TABLE a (id int PRIMARY KEY, v text)",
               "CREATE TABLE b (id int PRIMARY KEY, v text)",
               "CREATE TABLE c (id int PRIMARY KEY, v text)")
    small_memory(world.source)
    world.source.run("INSERT INTO a SELECT -i, 'x' FROM generate_series(1, 10) i")
    return world.product()


@pytest.fixture
def running(product):
    return product.start_streaming()


def assert_arrived(world, product):
    """All of it, and no connection was lost, nothing parked, nothing written twice."""
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def assert_arrived_all_the_same(world, product, *told):
    """The same after a kill or a stop, whose sessions may be a moment in the way of the next run's."""
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_got_over(product, *told)


def test_an_open_transaction_is_kept_and_arrives_when_it_is_committed(world, running):
    with opened(world.source) as one, opened(world.source) as two, opened(world.source) as three:
        for cursor, first in ((one, 10_000), (two, 20_000), (three, 30_000)):
            cursor.execute(fill(first))
        world.source.run("INSERT INTO b VALUES (1, 'beside')")
        kept = wait_kept(running, 3)
        assert kept["memory_bytes"] + kept["file_bytes"] > 3 * 50_000
        running.wait_caught_up()
        assert world.target.value("SELECT count(*) FROM a WHERE id > 0") == 0
        two.connection.commit()
        one.connection.rollback()
        wait_kept(running, 1)
        three.execute("UPDATE a SET v = 'three' WHERE id IN (SELECT id FROM a ORDER BY id LIMIT 5)")
        three.connection.commit()
    wait_kept(running, 0, committed=2, memory_bytes=0, file_bytes=0)
    marks.assert_shown(running, kept_transactions=0, kept_committed_total=2)
    assert_arrived(world, running)
    assert world.target.value("SELECT count(*) FROM a") == 10 + 2 * ROWS


def test_what_a_savepoint_takes_back_never_arrives(world, running):
    """With the only description of a table in it, and a child that wrote before its parent."""
    with opened(world.source) as run:
        run.execute(fill(10_000))
        run.execute("SAVEPOINT outer_one")
        run.execute("SAVEPOINT inner_one")
        run.execute(fill(1, table="b"))
        run.execute("RELEASE inner_one")
        run.execute(fill(10_000, table="b"))
        run.execute("ROLLBACK TO outer_one")
        run.execute(fill(20_000, table="b"))  # described again
        run.execute("SAVEPOINT kept")
        run.execute(fill(20_000))
        run.execute("SAVEPOINT lost; DELETE FROM a; UPDATE b SET v = 'lost'; ROLLBACK TO lost")
        run.execute("RELEASE kept")
        run.execute("SAVEPOINT last")
        run.execute(fill(1, table="c"))
        wait_kept(running, 1)
        run.connection.commit()
    marks.assert_shown(running, kept_committed_total=1)
    assert_arrived(world, running)


def test_a_shape_that_only_an_aborted_transaction_described_is_described_again(world, running):
    with opened(world.source) as run:
        run.execute(fill(10_000, table="b"))
        wait_kept(running, 1)
        run.connection.rollback()
    wait_kept(running, 0)
    world.source.run("INSERT INTO b VALUES (1, 'small')")
    with opened(world.source) as run:  # known only from within, and then to all
        run.execute(fill(10_000, table="c"))
        wait_kept(running, 1)
        run.connection.commit()
    world.source.run("INSERT INTO c VALUES (1, 'small')")
    assert_arrived(world, running)


def test_truncate_and_harmless_ddl_within(world, running):
    with opened(world.source) as run:
        run.execute(fill(10_000))
        run.execute("TRUNCATE a, b")
        run.execute(fill(20_000))
        run.execute("SAVEPOINT s; TRUNCATE a; ROLLBACK TO s")
        run.execute("CREATE INDEX ON a (v); ALTER TABLE a ALTER v SET DEFAULT 'd';"
                    "CREATE TABLE other (id int PRIMARY KEY)")
        run.execute("INSERT INTO a (id) SELECT generate_series(30000, 31000)")
        run.execute("INSERT INTO other SELECT generate_series(1, 3000)")
        run.execute("DROP TABLE other")
        run.execute("DELETE FROM a WHERE id % 3 = 0")
        wait_kept(running, 1)
        run.connection.commit()
    assert_arrived(world, running)


def test_a_shape_that_was_taken_back_was_never_there(world, running):
    with opened(world.source) as run:
        run.execute(fill(10_000))
        run.execute("SAVEPOINT s")
        run.execute("ALTER TABLE a ADD COLUMN w int NOT NULL DEFAULT 7; ALTER TABLE a DROP COLUMN v")
        run.execute("INSERT INTO a SELECT i, i FROM generate_series(30000, 33000) i")
        wait_kept(running, 1)
        run.execute("ROLLBACK TO s")
        run.execute(fill(20_000))
        run.connection.commit()
    world.source.run("INSERT INTO a VALUES (1, 'behind')")
    assert_arrived(world, running)


def test_logical_messages_inside_and_outside(world, running):
    with opened(world.source) as run:
        run.execute(fill(10_000))
        run.execute(f"SELECT pg_logical_emit_message(true, '{world.object_name}', 'not ours 1')")
        run.execute("SELECT pg_logical_emit_message(true, 'stranger', repeat('x', 200000))")
        run.execute("SELECT pg_logical_emit_message(false, 'stranger', 'now')")
        run.execute(fill(20_000))
        wait_kept(running, 1)
        running.wait_status(lambda s: s["lag"]["end_to_end_seconds"] is not None, "a heartbeat")
        run.connection.commit()
    assert_arrived(world, running)


def cut_off(world, product):
    """The target's session is gone in mid-transaction; the program goes on."""
    world.target.run("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
    product.event("stream ended, starting again")


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_ended_in_mid_stream(world, running, end):
    """The server sends it again from its beginning."""
    with opened(world.source) as run:
        run.execute(fill(10_000))
        wait_kept(running, 1)
        world.source.run("INSERT INTO b VALUES (1, 'between')")
        running.kill9() if end == "kill" else running.stop()
        running.start_streaming()
        run.execute(fill(20_000))
        wait_kept(running, 1)
        run.connection.commit()
    assert_arrived_all_the_same(world, running, "resuming")


@pytest.mark.parametrize("end", ["kill", "stop", "cut"])
def test_ended_in_mid_replay(world, running, end):
    """The target never had a part of it."""
    with Stall(world.target, "a", "NEW.id = 12000") as stall:
        world.source.run(fill(10_000, 120_000))  # several pieces
        stall.wait_reached()
        world.source.run("INSERT INTO b VALUES (1, 'behind')")
        if end == "cut":
            cut_off(world, running)
        else:
            running.kill9() if end == "kill" else running.stop()
        assert world.target.value("SELECT count(*) FROM a WHERE id > 0") == 0
    if end != "cut":
        running.start_streaming()
    assert_arrived_all_the_same(world, running, *(marks.LOST if end == "cut" else ["resuming"]))


@pytest.mark.limit(1800)
def test_a_huge_transaction_in_bounded_memory(world, nightly):
    """One transaction at the target too: nobody sees a part."""
    rows = 10_000_000 if nightly else 300_000
    world.both("CREATE TABLE t (id bigint PRIMARY KEY, a int, v text)")
    if not nightly:
        small_memory(world.source)
    product = world.product().start_streaming()
    world.source.run(f"INSERT INTO t SELECT i, i % 1000, md5(i::text) "
                     f"FROM generate_series(1, {rows}) i")
    seen = set()

    def arrived(status):
        seen.add(world.target.value("SELECT count(*) FROM t"))
        return status["tables"][0]["stream"]["applied"] >= rows

    product.wait_status(arrived, "all rows", 900)
    assert product.status()["kept"]["committed"] == 1
    marks.assert_bounded(product, 256 << 20)
    product.wait_caught_up()
    assert seen <= {0, rows}
    digest = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM t"
    assert world.target.rows(digest) == world.source.rows(digest)


def test_without_room_open_transactions_are_left_to_the_source(world, product):
    folder = world.folder / "temporary"
    folder.mkdir()
    product.config["source"]["temporary_directory"] = str(folder)
    product.start_streaming()
    shutil.rmtree(folder)
    with opened(world.source) as run:
        run.execute(fill(10_000, 180_000))
        event = product.event("stream ended, starting again")
        assert "left to the source" in event["error"] and str(folder) in event["error"]
        product.wait_streaming()
        wait_kept(product, 0)
        run.connection.commit()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_lost_and_back(product, kept_committed_total=0, errors_total=marks.SOME)


def insert_one(cursor, dice):
    cursor.execute("INSERT INTO b VALUES (%s, 'x') ON CONFLICT DO NOTHING",
                   (dice.randrange(1 << 30),))


def test_far_behind_they_are_left_to_the_source_until_the_backlog_is_done(world, running):
    """Then the stream begins again by itself, which is no failure, and nobody waits for it."""
    running.stop()
    world.source.run(fill(10_000, 400_000))
    running.start_streaming()
    with load.Writers(world.source, 1, insert_one) as writers:
        running.wait_caught_up()
        assert running.status()["kept"]["committed"] == 0
        running.event("caught up: large transactions come while they are open from now on")
        writers.stop()
    with opened(world.source) as run:
        run.execute(fill(1_000_000))
        wait_kept(running, 1)
        run.connection.commit()
    assert_arrived(world, running)


def test_a_directory_that_is_none_is_refused(world, product):
    product.config["source"]["temporary_directory"] = "/nowhere/at/all"
    done = product.command("run", "--until-caught-up")
    assert done.status == 2 and "temporary_directory" in done.err, done.err
    assert world.leftovers() == []


def test_switched_off(world, product):
    product.config["source"]["streaming"] = False
    product.start_streaming()
    with opened(world.source) as run:
        run.execute(fill(10_000))
        product.wait_caught_up()
        assert product.status()["kept"]["transactions"] == 0
        run.connection.commit()
    assert_arrived(world, product)


def large_work(cursor, dice):
    """Random changes of random size, with savepoints nested and taken back."""
    depth = 0
    for _ in range(dice.randrange(2, 9)):
        kind = dice.randrange(8)
        table = dice.choice("abc")
        first = dice.randrange(20) * 1000
        if kind < 3:
            cursor.execute(f"INSERT INTO {table} SELECT i, repeat('{dice.choice('pqr')}', 80) "
                           f"FROM generate_series({first}, {first + dice.randrange(1, 999)}) i "
                           f"ON CONFLICT (id) DO UPDATE SET v = excluded.v")
        elif kind == 3:
            cursor.execute(f"DELETE FROM {table} WHERE id BETWEEN {first} AND {first + 500}")
        elif kind == 4:
            cursor.execute(f"UPDATE {table} SET v = v || 'u' WHERE id BETWEEN {first} "
                           f"AND {first + 300}")
        elif kind == 5 or depth == 0:
            depth += 1
            cursor.execute(f"SAVEPOINT s{depth}")
        else:
            cursor.execute(f"{dice.choice(['ROLLBACK TO', 'RELEASE'])} s{depth}")
            depth -= 1
    if dice.random() < 0.2:
        cursor.connection.rollback()


def test_many_at_once_with_savepoints_and_kills(world, running, nightly):
    streamed = 0
    with load.Writers(world.source, 4, large_work, seed=random.randrange(1 << 20)) as writers:
        for _ in range(30 if nightly else 3):
            writers.wait_commits(15)
            running.wait_status(lambda s: s["kept"]["committed"] > 0, "a streamed one")
            streamed += 1
            running.kill9()
            writers.wait_commits(5)
            running.start()
        writers.stop()
    assert_arrived_all_the_same(world, running, "resuming")


def wide_work(cursor, dice):
    """The transaction of prefix.py, most of the time with more than fits at the source."""
    cursor.execute("INSERT INTO ballast SELECT random() * 1e9, repeat('x', 100) "
                   "FROM generate_series(1, %s) ON CONFLICT DO NOTHING", (dice.randrange(1500),))
    cursor.execute("SAVEPOINT s; DELETE FROM ballast WHERE id % 2 = 0")
    cursor.execute("ROLLBACK TO s" if dice.random() < 0.5 else "RELEASE s")
    prefix.work(cursor, dice)


@pytest.mark.limit(300)
def test_the_target_is_always_a_prefix_while_transactions_are_streamed(world, nightly):
    world.both(*prefix.TABLES, "CREATE TABLE ballast (id bigint PRIMARY KEY, v text)")
    world.source.run(*prefix.START)
    small_memory(world.source)
    product = world.product().start_streaming()
    with load.Writers(world.source, 4, wide_work) as writers:
        writers.wait_commits(20)
        with prefix.Reader(world.target) as reader:
            for _ in range(20 if nightly else 2):
                reader.see_more(20, product)
                product.kill9()
                writers.wait_commits(10)
                product.start()
            writers.wait_commits(50)
            product.wait_status(lambda s: s["kept"]["committed"] > 0, "a streamed one")
            writers.stop()
            product.wait_caught_up()
    prefix.assert_all(world)


def test_in_the_copy_it_is_judged_by_the_whole_transaction(world):
    """It began before the slot's snapshot, wrote to many chunks under several xids, and commits
    in mid-copy."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 20000) i")
    small_memory(world.source)
    product = world.product(backfill={"workers": 2, "chunk_rows": 500,
                                      "max_rows_per_second": 8000})
    product.start()
    product.wait_status(lambda s: s["backfill"]["rows"] > 1000, "the copy to be under way")
    with opened(world.source) as run:
        for part in range(4):
            run.execute(f"SAVEPOINT s{part}")
            run.execute(f"UPDATE t SET v = 'changed' WHERE id % 4 = {part} AND id % 3 = 0")
        run.execute("ROLLBACK TO s3")
        run.execute("DELETE FROM t WHERE id % 100 = 0")
        wait_kept(product, 1)
        product.wait_status(lambda s: s["backfill"]["rows"] > 5000, "more to be copied")
        run.connection.commit()
    product.wait_caught_up()
    world.assert_equal()
