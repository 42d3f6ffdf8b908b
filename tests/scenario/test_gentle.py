"""The copy keeps to its limits, stands back for replicas, pauses when it is told to, and says how
far it is."""
import datetime
import signal
import threading

import psycopg2
import pytest

from world import wait

CHUNKS = {"workers": 2, "chunk_rows": 500, "chunk_time": "1ms", "order": "parents_first"}


def fill(world, rows, width=8):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run(f"INSERT INTO t SELECT i, repeat('x', {width}) FROM generate_series(1, {rows}) i",
                     "ANALYZE t")


def seconds_between(product, first, second):
    def at(event):
        return datetime.datetime.fromisoformat(product.event(event)["ts"].replace("Z", "+00:00"))
    return (at(second) - at(first)).total_seconds()


def waiting(status):
    return {wait["reason"]: wait["detail"] for wait in status["backfill"]["waiting"]}


def round_trip(world):
    """A change goes through the stream."""
    mark = world.source.value("INSERT INTO mark VALUES (DEFAULT) RETURNING id")
    wait.until(lambda: world.target.value("SELECT 1 FROM mark WHERE id = %s", mark), "the stream")


def assert_stands(world, product):
    """The chunks under way end; then none is copied for two seconds while the stream carries on."""
    def stands():
        began, before = product.status()["uptime_seconds"], copied(world)
        while product.status()["uptime_seconds"] < began + 2:
            round_trip(world)
        return copied(world) == before

    wait.until(stands, "two seconds without a chunk")
    assert product.status()["phase"] == "backfill"


def copied(world):
    return world.target.value("SELECT count(*) FROM slackwater.chunk WHERE source = %s",
                              '"public"."t"')


def fill_with_marks(world, rows):
    """The table that is being copied, and one that is copied first, to see the stream by."""
    world.both("CREATE TABLE mark (id bigserial PRIMARY KEY)",
               "CREATE TABLE t (id int PRIMARY KEY, v text, m bigint REFERENCES mark)")
    world.source.run(f"INSERT INTO t SELECT i, repeat('x', 8) FROM generate_series(1, {rows}) i",
                     "ANALYZE t")


def start_copying(product):
    product.start()
    product.wait_status(
        lambda status: status["backfill"]["chunks"] > 3 and status["lsn"]["received"],
        "the copy to be under way")
    return product


# ---- limits ----

@pytest.mark.parametrize("limit,rows,width", [
    ({"max_rows_per_second": 2000}, 12000, 8),
    ({"max_bytes_per_second": "100kB"}, 1200, 480),
], ids=["rows", "bytes"])
def test_limits_hold_over_all_workers(world, limit, rows, width):
    """Six seconds' worth; a run without limits takes a fraction of one."""
    fill(world, rows, width)
    product = world.product(backfill={"workers": 3, **limit}).start()
    status = product.wait_status(lambda status: "rate_limit" in waiting(status),
                                 "the limit to be said")
    assert "limited to" in waiting(status)["rate_limit"]
    took = seconds_between(product, "backfill begins", "table copied")
    assert 4.5 < took < 30 * wait.PATIENCE
    product.wait_caught_up()
    world.assert_equal()


def test_a_limit_does_not_slow_the_stream(world):
    fill_with_marks(world, 20000)
    product = start_copying(world.product(backfill={**CHUNKS, "max_rows_per_second": 2000}))
    world.source.run("INSERT INTO mark SELECT FROM generate_series(1, 30000)")
    wait.until(lambda: world.target.value("SELECT count(*) FROM mark") == 30000, "the stream")
    assert product.status()["phase"] == "backfill"
    product.wait_caught_up()
    world.assert_equal()


# ---- pause and resume ----

def test_pause_and_resume_by_command(world):
    fill_with_marks(world, 40000)
    product = start_copying(world.product(backfill={**CHUNKS, "max_rows_per_second": 8000}))
    assert product.command("pause").status == 0
    status = product.wait_status(lambda status: status["backfill"]["paused"], "the pause")
    assert status["phase"] == "backfill"
    assert "slackwater resume" in waiting(status)["paused"]
    assert_stands(world, product)
    assert 'slackwater_backfill_paused{migration="%s"} 1' % world.migration in \
        product.http("/metrics")[2]
    assert "paused" in product.command("status").out
    assert "already" in product.command("pause").out
    assert product.command("resume").status == 0
    product.event("backfill resumed")
    product.wait_caught_up()
    assert "is not paused" in product.command("resume").out
    world.assert_equal()


def test_a_pause_by_signal_outlives_a_kill_and_ends_by_signal(world):
    fill_with_marks(world, 40000)
    product = start_copying(world.product(backfill={**CHUNKS, "max_rows_per_second": 8000}))
    product.child.send_signal(signal.SIGUSR1)
    product.event("backfill paused")
    wait.until(lambda: world.target.value("SELECT paused FROM slackwater.migration"), "its record")
    assert_stands(world, product)
    product.kill9()
    product.start()
    product.wait_status(lambda status: status["phase"] == "backfill" and
                        status["backfill"]["paused"], "the pause after the restart")
    assert_stands(world, product)
    product.stop()
    product.start()
    product.wait_status(lambda status: status["backfill"]["paused"], "the pause")
    product.child.send_signal(signal.SIGUSR2)
    product.wait_caught_up()
    assert not world.target.value("SELECT paused FROM slackwater.migration")
    world.assert_equal()


def test_a_truncate_during_a_pause_holds_up_nothing(world):
    """The stream makes the table's copy begin anew, so no worker may sit on the table."""
    fill_with_marks(world, 40000)
    product = start_copying(world.product(backfill={**CHUNKS, "max_rows_per_second": 8000}))
    wait.until(lambda: copied(world) > 2, "some chunks")
    assert product.command("pause").status == 0
    product.event("backfill paused")
    world.source.run("TRUNCATE t", "INSERT INTO t SELECT generate_series(1, 5000), 'new'")
    round_trip(world)
    assert product.command("resume").status == 0
    product.wait_caught_up()
    world.assert_equal()


def test_pause_of_a_migration_that_is_not_there_says_so(world):
    result = world.product().command("pause")
    assert result.status == 2
    assert "was begun at this target" in result.err
    assert not world.leftovers()


# ---- pressure ----

def is_replaying(primary):
    return primary.database("postgres").value(
        "SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication "
        "WHERE application_name = 'replica1'")


def test_a_replica_that_falls_behind_holds_back_new_chunks(make_world, source_with_standby,
                                                          target_cluster):
    primary, standby = source_with_standby
    world = make_world(primary, target_cluster)
    fill_with_marks(world, 60000)
    wait.until(lambda: is_replaying(primary), "the standby to follow")
    product = start_copying(world.product(backfill={**CHUNKS, "max_replica_lag": "2s",
                                      "max_rows_per_second": 6000}))
    standby.database("postgres").run("SELECT pg_wal_replay_pause()")
    status = product.wait_status(lambda status: "replica_lag" in waiting(status),
                                 "the replica to be seen behind")
    assert "replica1" in waiting(status)["replica_lag"]
    assert status["backfill"]["pressure"]["replica_lag_seconds"] > 2
    assert status["backfill"]["pressure"]["standbys"] == 1
    assert_stands(world, product)
    standby.database("postgres").run("SELECT pg_wal_replay_resume()")
    product.event("backfill no longer held back")
    product.wait_caught_up()
    world.assert_equal()


def test_a_role_that_may_not_see_the_replicas_is_told(make_world, source_with_standby,
                                                      target_cluster):
    """A limit that cannot be measured holds the copy back, and says what to grant."""
    primary, _ = source_with_standby
    world = make_world(primary, target_cluster)
    fill(world, 1000)
    role = "mover"  # it goes with its server
    world.source.run(f"CREATE ROLE {role} LOGIN REPLICATION", f"GRANT CREATE ON DATABASE {world.source.name} TO {role}",
                     f"ALTER TABLE t OWNER TO {role}")
    config = world.config(backfill={"max_replica_lag": "5s"})
    config["source"]["dsn"] = world.source.url(user=role)
    product = world.product_from(config)
    assert "source.pressure_hidden" in product.command("check", "--json").out
    product.start()
    status = product.wait_status(lambda status: "replica_lag" in waiting(status), "the reason")
    product.wait_status(lambda status: "pg_monitor" in waiting(status).get("replica_lag", ""),
                        "what to grant")
    assert status["backfill"]["rows"] == 0
    world.source.run(f"GRANT pg_monitor TO {role}")
    product.wait_caught_up()
    world.assert_equal()


def test_without_replicas_the_limit_holds_nothing_back(world):
    fill(world, 1000)
    product = world.product(backfill={"max_replica_lag": "1s"}).start_streaming()
    product.wait_caught_up()
    world.assert_equal()


def sleep(connection):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(600)")
    except psycopg2.errors.QueryCanceled:
        pass


def test_a_busy_source_holds_back_new_chunks(make_world, make_cluster, target_cluster):
    world = make_world(make_cluster(), target_cluster)
    fill_with_marks(world, 40000)
    product = start_copying(world.product(backfill={**CHUNKS, "max_source_load": 3,
                                      "max_rows_per_second": 6000}))
    sleepers = [world.source.connect() for _ in range(4)]
    threads = [threading.Thread(target=sleep, args=(sleeper,)) for sleeper in sleepers]
    for thread in threads:
        thread.start()
    try:
        status = product.wait_status(lambda status: "source_load" in waiting(status), "the load")
        assert status["backfill"]["pressure"]["source_active_sessions"] >= 4
        assert_stands(world, product)
    finally:
        for sleeper in sleepers:
            sleeper.cancel()
        for thread in threads:
            thread.join()
        for sleeper in sleepers:
            sleeper.close()
    product.wait_caught_up()
    world.assert_equal()


def test_a_target_that_is_slow_to_commit_holds_back_new_chunks(make_world, source_cluster,
                                                               make_cluster):
    """A synchronous standby that is not there makes every durable commit wait."""
    cluster = make_cluster("target")
    world = make_world(source_cluster, cluster)
    fill_with_marks(world, 40000)
    product = start_copying(world.product(backfill={**CHUNKS, "max_target_latency": "300ms",
                                      "max_rows_per_second": 6000}))
    admin = cluster.database("postgres")
    admin.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
    product.wait_status(lambda status: "target_latency" in waiting(status), "the latency", 60)
    admin.run("SET synchronous_commit = local",
              "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
    product.event("backfill no longer held back")
    product.wait_caught_up()
    world.assert_equal()


def update_slowly(connection):
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
        cursor.execute("UPDATE t SET v = 'new' WHERE id = 1")


def test_commits_that_are_not_visible_yet_are_what_it_waits_for(make_world, make_cluster,
                                                                target_cluster):
    """A commit that waits for a synchronous standby is in the WAL, and in no snapshot."""
    cluster = make_cluster(synchronous_standby_names="nobody", synchronous_commit="local")
    world = make_world(cluster, target_cluster)
    fill_with_marks(world, 40000)
    product = start_copying(world.product(backfill={**CHUNKS, "max_rows_per_second": 6000}))
    connection = world.source.connect()
    thread = threading.Thread(target=update_slowly, args=(connection,))
    thread.start()
    try:
        product.wait_status(lambda status: "commits" in waiting(status), "the wait")
    finally:
        cluster.database("postgres").run("ALTER SYSTEM SET synchronous_standby_names = ''",
                                         "SELECT pg_reload_conf()")
        thread.join()
        connection.close()
    done = product.wait_caught_up()
    assert not done["backfill"]["waiting"]
    world.assert_equal()


# ---- progress ----

@pytest.mark.parametrize("statistics", ["right", "none", "too-low", "too-high"])
def test_halfway_the_time_left_is_about_right(world, statistics):
    """Within a factor of two, whatever the statistics say."""
    rows = 40000
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("ALTER TABLE t SET (autovacuum_enabled = off)",
                     f"INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, {rows}) i")
    if statistics != "none":
        world.source.run("ANALYZE t")
    if statistics.startswith("too"):
        tuples = rows // 10 if statistics == "too-low" else rows * 10
        world.source.run(f"UPDATE pg_class SET reltuples = {tuples} WHERE relname = 't'")
    product = world.product(backfill={"workers": 2, "chunk_rows": 500,
                                      "max_rows_per_second": 2500}).start()
    seen = []

    def look(status):
        copy = next(table["copy"] for table in status["tables"] if table["source"] == "public.t")
        seen.append((copy, status["backfill"]))
        return copy["rows"] >= rows * 0.55

    half = product.wait_status(look, "half of the table", 60)
    left = (rows - half["backfill"]["rows"]) / 2500
    for part in (half["backfill"], half["tables"][0]["copy"]):
        assert left / 2 < part["eta_seconds"] < left * 2, (left, part)
        assert 2500 * 0.7 < part["rows_per_second"] < 2500 * 1.3
        assert rows * 0.6 < part["estimated_rows"] < rows * 1.6
    for parts in seen:
        for part in parts:
            assert 0 <= part["share"] < 1
            assert part["eta_seconds"] is None or part["eta_seconds"] >= 0
            assert part["estimated_rows"] is None or part["rows"] <= part["estimated_rows"]
    assert half["phase"] == "backfill" and half["tables"][0]["copy"]["chunks"] > 5
    assert "left" in product.command("status").out
    product.wait_caught_up()
    done = product.status()
    assert done["backfill"]["share"] == 1 and done["backfill"]["estimated_rows"] == rows
