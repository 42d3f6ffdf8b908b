"""A failover of the source (PostgreSQL 17 and later): with source.failover a standby keeps the slot, and
a promoted one is followed, if it has all that the target has; else refused, status 4."""
import pytest

from world import servers, wait
from world.cluster import Cluster
from world.product import lsn
from world.standby import Standby

VERSION = max(servers.wanted("source"), 17)
SLOT = "SELECT failover, confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s"


@pytest.fixture
def primary(folder):
    cluster = Cluster(folder / "failover_primary", VERSION, hot_standby_feedback="on")
    try:
        yield cluster.create()
    finally:
        cluster.destroy()


@pytest.fixture
def world(make_world, primary, target_cluster):
    world = make_world(primary, target_cluster)
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'copied' FROM generate_series(1, 100) i")
    return world


@pytest.fixture
def standby(world, primary, folder):
    """With the primary's slots in it, once the migration's is there."""
    primary.database("postgres").run("SELECT pg_create_physical_replication_slot('standby')")
    standby = Standby(folder / "failover_standby", primary, primary_slot_name="standby",
                      hot_standby_feedback="on")
    try:
        yield standby.create()
    finally:
        standby.destroy()


def migrate(world):
    # A heartbeat is a transaction, and the slot is copied only in a moment when it lacks none.
    source = {"dsn": world.source.url(), "heartbeat": "10s", "failover": True}
    product = world.product(source=source).start_streaming()
    world.source.run("INSERT INTO t VALUES (1001, 'streamed')")
    product.wait_caught_up()
    return product


def wait_for_the_slot(world, standby):
    """Until the standby's copy of the slot can be used. Asked to make it, it does not take the half
    minute that its worker may sleep. The copy is the session's own until the primary's slot has
    moved past what the standby has kept, which it does with snapshots in the WAL."""
    with standby.database("postgres").session() as run:
        def synced():
            world.source.run("SELECT pg_log_standby_snapshot()")
            run.execute("SELECT pg_sync_replication_slots()")
            run.execute("SELECT synced AND NOT temporary FROM pg_replication_slots "
                        "WHERE slot_name = %s", (world.object_name,))
            return run.fetchone() == (True,)
        wait.until(synced, "the standby to have the slot", 40, interval=0.2)


def wait_for_the_rows(world, standby):
    position = lsn(world.source.value("SELECT pg_current_wal_lsn()"))
    wait.until(lambda: lsn(standby.database("postgres").value("SELECT pg_last_wal_replay_lsn()"))
               >= position, "the standby to have the rows")


def promoted(world, standby, product):
    """The migration's source is the standby from here on."""
    standby.promote()
    product.config["source"]["dsn"] = standby.database(world.source.name).url()
    return standby.database(world.source.name)


@pytest.mark.limit(180)
def test_a_promoted_standby_is_followed(world, primary, standby):
    product = migrate(world)
    assert world.source.rows(SLOT, world.object_name)[0][0] is True
    wait_for_the_slot(world, standby)
    product.stop()
    world.source.run("INSERT INTO t VALUES (1002, 'not yet applied')")
    wait_for_the_rows(world, standby)
    primary.stop("immediate")
    source = promoted(world, standby, product)
    source.run("INSERT INTO t VALUES (1003, 'on the new primary')", "UPDATE t SET v = 'x' WHERE id = 1")
    product.config["source"]["failover"] = False
    result = product.run_to_end("--until-caught-up")
    assert result.status == 4 and "promoted or restored" in result.err
    product.config["source"]["failover"] = True
    result = product.run_until_caught_up()
    assert "the source was promoted: followed" in result.err
    assert world.target.rows("SELECT * FROM t ORDER BY id") == source.rows("SELECT * FROM t ORDER BY id")
    assert "was promoted" not in product.run_until_caught_up().err  # said once


@pytest.mark.limit(180)
def test_a_standby_that_lacks_what_was_applied_is_refused(world, primary, standby):
    product = migrate(world)
    wait_for_the_slot(world, standby)
    standby.stop()
    world.source.run("INSERT INTO t VALUES (1002, 'never at the standby')")
    product.wait_caught_up()
    product.stop()
    primary.stop("immediate")
    standby.start()
    source = promoted(world, standby, product)
    source.run("INSERT INTO t SELECT i, 'new' FROM generate_series(2000, 2100) i")
    result = product.run_to_end("--until-caught-up")
    assert result.status == 4
    assert "the target has what the standby had not received" in result.err
    assert "new backfill" in result.err
    assert world.target.value("SELECT count(*) FROM t WHERE id >= 2000") == 0


# -- with a spool -----------------------------------------------------------------------------

@pytest.fixture
def away(make_world, primary, make_cluster):
    """A target of its own, which may go away."""
    world = make_world(primary, make_cluster())
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    return world


def spooling(world):
    source = {"dsn": world.source.url(), "heartbeat": "10s", "failover": True}
    spool = {"dir": str(world.folder / "failover_spool"), "min_free": "1MB"}
    product = world.product(source=source, spool=spool).start_streaming()
    world.source.run("INSERT INTO t VALUES (1001, 'streamed')")
    product.wait_caught_up()
    return product


def into_the_spool(world, product):
    """A row that the spool has, and the target has not; both the program and the target are stopped."""
    world.target.cluster.stop("immediate")
    product.wait_status(lambda status: status["phase"] == "waiting", "the target to be missed")
    world.source.run("INSERT INTO t VALUES (1002, 'in the spool')")
    position = world.source.value("SELECT pg_current_wal_insert_lsn()")
    wait.until(lambda: lsn(product.status()["lsn"]["acknowledged"]) >= lsn(position), "the spool to have it")
    product.stop()


@pytest.fixture
def away_standby(away, primary, folder):
    primary.database("postgres").run("SELECT pg_create_physical_replication_slot('standby')")
    standby = Standby(folder / "failover_away_standby", primary, primary_slot_name="standby",
                      hot_standby_feedback="on")
    try:
        yield standby.create()
    finally:
        standby.destroy()


@pytest.mark.limit(180)
def test_a_spool_goes_on_behind_a_promoted_standby(away, primary, away_standby):
    product = spooling(away)
    wait_for_the_slot(away, away_standby)
    into_the_spool(away, product)
    wait_for_the_rows(away, away_standby)
    primary.stop("immediate")
    source = promoted(away, away_standby, product)
    source.run("INSERT INTO t VALUES (1003, 'on the new primary')")
    away.target.cluster.start()
    for _ in range(2):  # the second finds a spool of the timeline before, or none
        product.start()
        product.event("streaming", 30)
        product.kill9()
    product.run_until_caught_up()
    assert away.target.rows("SELECT * FROM t ORDER BY id") == source.rows("SELECT * FROM t ORDER BY id")
    followed = [event for event in product.all_events() if "was promoted: followed" in event["event"]]
    assert len(followed) == 1


@pytest.mark.limit(180)
def test_a_standby_that_lacks_what_the_spool_has_is_refused(away, primary, away_standby):
    product = spooling(away)
    wait_for_the_slot(away, away_standby)
    away_standby.stop()
    into_the_spool(away, product)
    primary.stop("immediate")
    away_standby.start()
    source = promoted(away, away_standby, product)
    source.run("INSERT INTO t SELECT i, 'new' FROM generate_series(2000, 2100) i")
    away.target.cluster.start()
    result = product.run_to_end("--until-caught-up")
    assert result.status == 4 and "has what it had not received" in result.err, result.text
    assert away.target.value("SELECT max(id) FROM t") == 1001
