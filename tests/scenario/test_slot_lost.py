"""The slot is never recreated in silence and never trusted blindly: a gap is a stop, status 4."""
import contextlib
import shutil
import subprocess

import psycopg2
import psycopg2.extras
import pytest

from world import load, marks, wait
from world.product import lsn


@pytest.fixture
def stopped(world):
    """A migration that ran and stopped cleanly; its program."""
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    world.source.run("INSERT INTO t VALUES (1)")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (2)")
    product.wait_caught_up()
    product.stop()
    return product


def slots(world):
    return world.source.rows("""SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots
                                WHERE database = current_database()""")


def assert_lost(product, *words):
    assert product.run_to_end().status == 4
    marks.assert_ended(product, 4, *words)


def test_dropped_while_stopped(world, stopped):
    world.source.run("INSERT INTO t VALUES (3)",
                     f"SELECT pg_drop_replication_slot('{world.object_name}')")
    assert_lost(stopped, "slot", world.object_name, "backfill")
    assert slots(world) == []
    assert world.target.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]


def test_dropped_while_it_runs(world, stopped):
    stopped.start_streaming()

    def drop():
        world.source.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                         f"WHERE slot_name = '{world.object_name}' AND active")
        world.source.run("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                         f"WHERE slot_name = '{world.object_name}' AND NOT active")
        return not slots(world)

    wait.until(drop, "the slot to be dropped under the program", interval=0)
    world.source.run("INSERT INTO t VALUES (3)")
    marks.assert_ended(stopped, 4, "slot", world.object_name, "backfill")
    assert slots(world) == []
    assert world.target.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]


def test_recreated_by_others(world, stopped):
    world.source.run("INSERT INTO t VALUES (3)",
                     f"SELECT pg_drop_replication_slot('{world.object_name}')",
                     f"SELECT pg_create_logical_replication_slot('{world.object_name}', 'pgoutput')")
    before = slots(world)
    assert_lost(stopped, "slot")
    assert slots(world) == before


def test_advanced_by_others(world, stopped):
    world.source.run("INSERT INTO t VALUES (3)",
                     f"SELECT pg_replication_slot_advance('{world.object_name}', pg_current_wal_lsn())")
    before = slots(world)
    assert_lost(stopped, "slot")
    assert slots(world) == before
    assert world.target.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]


def test_held_by_another_process_it_is_waited_for(world, stopped):
    """As by one of ours on a host that the network has cut off: it backs off, and says who has it."""
    url = world.source.local() + " replication=database"
    with contextlib.closing(psycopg2.connect(
            url, connection_factory=psycopg2.extras.LogicalReplicationConnection)) as other:
        other.cursor().start_replication(world.object_name, decode=False, options={
            "proto_version": "1", "publication_names": world.object_name})
        world.source.run("INSERT INTO t VALUES (3)")
        stopped.launch()
        stopped.wait_listening()
        event = wait.until(lambda: next((entry for entry in stopped.events()
                                         if entry.get("sqlstate") == "55006"), None), "the refusal")
        assert "active for PID" in event["error"] and event["level"] == "warn"
        assert stopped.http("/readyz")[0] == 503
        assert world.target.value("SELECT count(*) FROM t WHERE id = 3") == 0
    stopped.wait_streaming()
    stopped.wait_caught_up()
    world.assert_equal()
    marks.assert_got_over(stopped, reconnects_total=marks.SOME)


def test_invalidated_for_want_of_wal(make_world, make_cluster, target_cluster):
    """max_slot_wal_keep_size: the server has thrown away what we needed."""
    source = make_cluster(max_slot_wal_keep_size="1MB", min_wal_size="32MB", max_wal_size="48MB")
    world = make_world(source, target_cluster)
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    product = world.product().start_streaming()
    product.stop()

    def lose():
        world.source.run("CREATE TABLE fill AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)",
                         "DROP TABLE fill", "SELECT pg_switch_wal()", "CHECKPOINT")
        return world.source.value("SELECT wal_status FROM pg_replication_slots") == "lost"

    wait.until(lose, "the slot to be lost", 60)
    assert_lost(product, "slot", "lost")


def test_another_server_behind_the_same_address(make_world, make_cluster, source_cluster,
                                                target_cluster, world, stopped):
    """Its slot of the same name proves nothing: the system identifier differs."""
    other = make_cluster()
    copy = other.create_database(world.source.name)
    copy.run("CREATE TABLE t (id int PRIMARY KEY)", f"CREATE PUBLICATION {world.object_name} FOR TABLE t",
             f"SELECT pg_create_logical_replication_slot('{world.object_name}', 'pgoutput')")
    stopped.config["source"]["dsn"] = copy.url()
    assert_lost(stopped, "system", "not the one")
    assert world.target.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]


KEPT = "SELECT coalesce(slot_restart, '0/0') FROM slackwater.migration"


def move_slot(world, product):
    """Until it is known that the slot needs less WAL than now."""
    began = lsn(world.source.value("SELECT restart_lsn FROM pg_replication_slots "
                                   "WHERE database = current_database()"))

    def moved():
        world.source.run("CHECKPOINT", "INSERT INTO t SELECT max(id) + 1 FROM t")
        product.wait_caught_up()
        return lsn(world.target.value(KEPT)) > began

    wait.until(moved, "the slot to move", 40)


def test_a_source_that_was_put_back_and_written_on_is_refused(make_world, make_cluster,
                                                              target_cluster):
    """A snapshot of its disk: same system, same timeline; and by the time that anybody looks it is
    beyond what was applied."""
    source = make_cluster()
    world = make_world(source, target_cluster)
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    world.source.run("INSERT INTO t VALUES (1)")
    product = world.product().start_streaming()
    product.wait_caught_up()
    product.stop()
    source.stop()
    subprocess.run(["cp", "-a", source.data, source.folder / "then"], check=True)
    source.start()
    product.start_streaming()
    move_slot(world, product)
    world.source.run("INSERT INTO t SELECT generate_series(1000, 2000)")
    product.wait_caught_up()
    applied = lsn(product.status()["lsn"]["applied"])
    product.stop()
    source.stop("immediate")
    shutil.rmtree(source.data)
    (source.folder / "then").rename(source.data)
    source.start()
    while lsn(world.source.value("SELECT pg_current_wal_lsn()")) <= applied:
        world.source.run("INSERT INTO t SELECT max(id) + n FROM t, generate_series(1, 10000) n "
                         "GROUP BY n")
    assert_lost(product, "put back to an older state", "cleanup")


def test_a_source_that_only_crashed_is_not_taken_for_one_that_was_put_back(
        make_world, make_cluster, target_cluster):
    """What was shown of the slot before it was on the disk goes back in a crash."""
    source = make_cluster()
    world = make_world(source, target_cluster)
    world.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(world.source, 100)
    kept = ["0/0"]

    def moved():
        world.source.run("CHECKPOINT")
        kept.append(world.target.value(KEPT))
        return lsn(kept[-1]) > lsn(kept[-2])

    with load.Writers(world.source, 2, load.accounts_work(100)) as writers:
        product = world.product().start_streaming()
        for _ in range(4):
            wait.until(moved, "the slot to move", 40)
            source.restart("immediate")
            writers.wait_commits(20)
    product.wait_caught_up()
    marks.assert_gate(product, "source", "GO")
    world.assert_equal()
    product.stop()


def test_a_source_that_failed_over_is_refused(make_world, source_with_standby, target_cluster):
    """Promoted a moment ago, without commits that the target has; a slot of the same name is there."""
    primary, standby = source_with_standby
    world = make_world(primary, target_cluster)
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (1)")
    product.wait_caught_up()
    wait.until(lambda: standby.database(world.source.name).value("SELECT count(*) FROM t") == 1,
               "the standby to follow")
    standby.database("postgres").run("SELECT pg_wal_replay_pause()")
    product.stop()
    standby.database("postgres").run("SELECT pg_wal_replay_resume()")
    standby.promote()
    wait.until(lambda: not standby.database("postgres").value("SELECT pg_is_in_recovery()"),
               "the standby to be a primary")
    survivor = standby.database(world.source.name)
    survivor.run(f"SELECT pg_create_logical_replication_slot('{world.object_name}', 'pgoutput')",
                 "INSERT INTO t SELECT generate_series(100, 2000)")
    product.config["source"]["dsn"] = survivor.url()
    assert_lost(product, "timeline 2", "began on timeline 1", "cleanup")
    assert world.target.rows("SELECT id FROM t") == [(1,)]


def test_progress_lost_at_the_target(world, stopped):
    """The control rows are gone but the slot has moved on: starting afresh needs a new copy."""
    world.target.run("DROP SCHEMA slackwater CASCADE",
                     "SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin "
                     f"WHERE roname = '{world.object_name}'")
    world.source.run("INSERT INTO t VALUES (3)")
    result = stopped.run_to_end("--until-caught-up")
    if result.status == 0:  # a full new copy is right as well; half of one is not
        world.assert_equal()
    else:
        assert result.status in (2, 4), result.text
