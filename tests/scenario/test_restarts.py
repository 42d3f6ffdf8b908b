"""A server goes away under load and comes back: the program goes on by itself."""
import pytest

from world import load, marks, wait

ROWS = 5000


def build(make_world, source, target):
    world = make_world(source, target)
    world.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(world.source, ROWS)
    return world


def test_the_target_restarts_under_load(make_world, source_cluster, make_cluster):
    """immediate: what was not flushed is lost there, and applied again."""
    target = make_cluster("target")
    world = build(make_world, source_cluster, target)
    with load.Writers(world.source, 3, load.accounts_work(ROWS)) as writers:
        product = world.product().start_streaming()
        for mode in ("immediate", "fast", "immediate"):
            writers.wait_commits(100)
            target.restart(mode)
        writers.wait_commits(100)
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_lost_and_back(product)


def test_commits_that_the_target_lost_in_a_crash_are_applied_again(
        make_world, source_cluster, make_cluster):
    """A fast commit may be seen there and lost a moment later: the stored progress goes back."""
    target = make_cluster("target", wal_writer_delay="2s", wal_writer_flush_after="1GB")
    world = build(make_world, source_cluster, target)
    product = world.product().start_streaming()
    product.wait_caught_up()
    for number in range(3):
        first = 100 * number
        world.source.run(*(f"INSERT INTO journal VALUES (now(), '{line}')"
                           for line in range(first, first + 50)),
                         f"UPDATE accounts SET balance = {number}")
        wait.until(lambda: world.target.value("SELECT count(*) FROM journal WHERE line = %s",
                                              str(first + 49)), "the changes to be seen")
        target.restart("immediate")
        world.source.run("INSERT INTO journal VALUES (now(), 'after the crash')")
        product.wait_caught_up()
        world.assert_equal()
    marks.assert_lost_and_back(product)


def test_the_target_is_away_for_a_while_and_memory_stays_bounded(
        make_world, source_cluster, make_cluster):
    target = make_cluster("target")
    world = build(make_world, source_cluster, target)
    product = world.product().start_streaming()
    target.stop("immediate")
    for number in range(20):
        world.source.run(f"INSERT INTO journal SELECT now(), '{number} ' || repeat('j', 500) "
                         "FROM generate_series(1, 10000)")
    assert product.metric("resident_memory_bytes") < (256 << 20) * wait.PATIENCE
    target.start()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_lost_and_back(product)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_the_source_restarts_under_load(make_world, make_cluster, target_cluster, mode):
    source = make_cluster()
    world = build(make_world, source, target_cluster)
    with load.Writers(world.source, 3, load.accounts_work(ROWS)) as writers:
        product = world.product().start_streaming()
        for _ in range(2):
            writers.wait_commits(100)
            source.restart(mode)
        writers.wait_commits(100)
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_lost_and_back(product, reconnects_total=marks.SOME)


def test_the_target_restarts_in_the_middle_of_the_backfill(
        make_world, source_cluster, make_cluster):
    target = make_cluster("target")
    world = build(make_world, source_cluster, target)
    product = world.product()
    with load.Stall(world.target, "accounts", f"NEW.id = {ROWS // 2}") as stall:
        product.start()
        stall.wait_reached()
        target.restart("immediate")
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_lost_and_back(product)


def test_a_copied_table_that_the_target_lost_in_a_crash_is_copied_again(
        make_world, source_cluster, make_cluster):
    target = make_cluster("target", wal_writer_delay="2s", wal_writer_flush_after="1GB")
    world = build(make_world, source_cluster, target)
    product = world.product()
    with load.Stall(world.target, "entries", "NEW.account = 1") as stall:
        product.start()
        stall.wait_reached()
        wait.until(lambda: world.target.value("SELECT count(*) FROM accounts") == ROWS,
                   "the other table to be copied")
        target.restart("immediate")
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()


def test_a_target_without_what_was_copied_is_counted_anew(world):
    """As after a failover to a standby that was behind."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) i")
    product = world.product()
    assert product.run_to_end("--no-stream").status == 0
    world.source.run("UPDATE t SET v = 'changed' WHERE id % 2 = 0")
    with load.held(world.target, "SELECT FROM slackwater.progress FOR UPDATE") as cursor:
        product.start()
        product.event("backfill begins")
        assert product.table("public.t")["copy"]["rows"] == 1000
        cursor.execute("TRUNCATE t")
        cursor.execute("DELETE FROM slackwater.chunk")
        cursor.execute("DELETE FROM slackwater.lane")
        cursor.execute("UPDATE slackwater.copy SET finished_at = NULL")
        cursor.execute("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                          WHERE datname = current_database() AND pid <> pg_backend_pid()""")
        cursor.execute("COMMIT")
    product.event("the target is back without chunks that it had committed")
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()
    copy = product.table("public.t")["copy"]
    assert (copy["rows"], copy["chunks"], copy["state"]) == (1000, 1, "done"), copy
    marks.assert_got_over(product, table_copied_rows_total=1000)


def test_without_the_stream_a_target_without_what_was_copied_ends_the_run(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 20000) i", "ANALYZE t")
    product = world.product(backfill={"workers": 1, "chunk_rows": 500, "chunk_time": "1ms"})
    with load.Stall(world.target, "t", "NEW.id = 7500") as stall:
        product.start("--no-stream")
        stall.wait_reached()
        world.target.run("DELETE FROM slackwater.chunk", "DELETE FROM slackwater.lane")
    marks.assert_ended(product, 2, "it lacks what was copied or applied before", "run again")
    world.target.run("TRUNCATE t")
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()


def test_without_the_stream_chunks_that_clash_end_the_run_with_the_remedy(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)")
    world.source.run("INSERT INTO t SELECT i, i FROM generate_series(1, 30000) i", "ANALYZE t")
    product = world.product(backfill={"workers": 1, "chunk_rows": 500, "chunk_time": "1ms"})
    with load.Stall(world.target, "t", "NEW.id = 15000") as stall:
        product.start("--no-stream")
        stall.wait_reached()
        world.source.run("UPDATE t SET u = -1 WHERE id = 1", "UPDATE t SET u = 1 WHERE id = 29999")
    marks.assert_ended(product, 3, "duplicate key", "run without --no-stream")
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()


def test_the_source_restarts_in_the_middle_of_the_backfill(
        make_world, make_cluster, target_cluster):
    """The exported snapshot is gone; the copy must not go on with another one in silence."""
    source = make_cluster()
    world = build(make_world, source, target_cluster)
    product = world.product()
    with load.Writers(world.source, 2, load.accounts_work(ROWS)) as writers:
        with load.Stall(world.target, "accounts", f"NEW.id = {ROWS // 2}") as stall:
            product.start()
            stall.wait_reached()
            writers.wait_commits(30)
            source.restart("immediate")
            writers.wait_commits(30)
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_lost_and_back(product)


def test_sessions_ended_by_the_administrator(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    product = world.product().start_streaming()
    for number in range(3):
        side = (world.source, world.target)[number % 2]
        ended = side.value("""SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                              WHERE datname = current_database() AND pid <> pg_backend_pid()""")
        assert ended > 0
        world.source.run(f"INSERT INTO t VALUES ({number}, 'x')")
        wait.until(lambda: world.target.value("SELECT 1 FROM t WHERE id = %s", number),
                   "the row after the sessions were ended")
    product.wait_caught_up()
    world.assert_equal()


def test_a_target_that_lets_nobody_in_for_a_while_ends_no_copy(world):
    role = world.role(world.target, "writer", "SUPERUSER")
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 5000) i")
    product = world.product(target={"dsn": world.target.url(role)})
    with load.Stall(world.target, "t", "NEW.id = 2500") as stall:
        product.start()
        stall.wait_reached()
        world.target.run(f"ALTER ROLE {role} NOLOGIN")
        world.target.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                         f" WHERE usename = '{role}'")
        wait.until(lambda: product.log_text().count("is not permitted to log in") > 3,
                   "attempts to connect")
        world.target.run(f"ALTER ROLE {role} LOGIN")
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()
