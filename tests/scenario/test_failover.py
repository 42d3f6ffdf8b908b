"""A failover of the source (PostgreSQL 17 and later): with source.failover a standby keeps the slot, and
a promoted one is followed, if it has all that the target has; else refused, status 4."""
import pytest

from world import marks, servers, wait
from world.cluster import Cluster
from world.product import lsn
from world.standby import Standby

VERSION = max(servers.wanted("source"), 17)
SLOT = "SELECT failover, confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s"
T = "CREATE TABLE t (id int PRIMARY KEY, v text)"
ALL = "SELECT * FROM t ORDER BY id"
FOLLOWED = "the source was promoted: followed, for nothing that was applied is lost"


@pytest.fixture
def primary(folder):
    with Cluster(folder / "failover_primary", VERSION, hot_standby_feedback="on").running() as cluster:
        yield cluster


@pytest.fixture
def standby(primary, folder):
    """With the primary's slots in it, once the migration's is there."""
    primary.database("postgres").run("SELECT pg_create_physical_replication_slot('standby')")
    with Standby(folder / "failover_standby", primary, primary_slot_name="standby",
                 hot_standby_feedback="on").running() as standby:
        yield standby


@pytest.fixture
def world(make_world, primary, target_cluster):
    world = make_world(primary, target_cluster)
    world.both(T)
    world.source.run("INSERT INTO t SELECT i, 'copied' FROM generate_series(1, 100) i")
    return world


@pytest.fixture
def away(make_world, primary, make_cluster):
    """A target of its own, which may go away."""
    world = make_world(primary, make_cluster())
    world.both(T)
    return world


def migrate(world, **config):
    # A heartbeat is a transaction, and the slot is copied only in a moment when it lacks none.
    source = {"dsn": world.source.url(), "heartbeat": "10s", "failover": True}
    product = world.product(source=source, **config).start_streaming()
    world.source.run("INSERT INTO t VALUES (1001, 'streamed')")
    product.wait_caught_up()
    return product


def assert_followed(world, product, source):
    """It goes on behind the promoted one, and says so once."""
    product.run_until_caught_up()
    assert world.target.rows(ALL) == source.rows(ALL)
    assert len(marks.lines_of(product, FOLLOWED)) == 1, product.log_text()
    product.start_streaming()
    marks.assert_gate(product, "source", "GO")
    marks.assert_undisturbed(product)


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
    assert product.run_to_end("--until-caught-up").status == 4
    marks.assert_ended(product, 4, "promoted or restored")
    product.config["source"]["failover"] = True
    assert_followed(world, product, source)


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
    assert product.run_to_end("--until-caught-up").status == 4
    marks.assert_ended(product, 4, "the target has what the standby had not received", "new backfill")
    assert world.target.value("SELECT count(*) FROM t WHERE id >= 2000") == 0


# -- with a spool -----------------------------------------------------------------------------

def spooling(world):
    return migrate(world, spool={"dir": str(world.folder / "failover_spool"), "min_free": "1MB"})


def into_the_spool(world, product):
    """A row that the spool has, and the target has not; both the program and the target are stopped."""
    world.target.cluster.stop("immediate")
    product.wait_status(lambda status: status["phase"] == "waiting", "the target to be missed")
    world.source.run("INSERT INTO t VALUES (1002, 'in the spool')")
    position = world.source.value("SELECT pg_current_wal_insert_lsn()")
    wait.until(lambda: lsn(product.status()["lsn"]["acknowledged"]) >= lsn(position), "the spool to have it")
    product.stop()


@pytest.mark.limit(180)
def test_a_spool_goes_on_behind_a_promoted_standby(away, primary, standby):
    product = spooling(away)
    wait_for_the_slot(away, standby)
    into_the_spool(away, product)
    wait_for_the_rows(away, standby)
    primary.stop("immediate")
    source = promoted(away, standby, product)
    source.run("INSERT INTO t VALUES (1003, 'on the new primary')")
    away.target.cluster.start()
    for _ in range(2):  # the second finds a spool of the timeline before, or none
        product.start()
        product.event("streaming", 30)
        product.kill9()
    assert_followed(away, product, source)


@pytest.mark.limit(180)
def test_a_standby_that_lacks_what_the_spool_has_is_refused(away, primary, standby):
    product = spooling(away)
    wait_for_the_slot(away, standby)
    standby.stop()
    into_the_spool(away, product)
    primary.stop("immediate")
    standby.start()
    source = promoted(away, standby, product)
    source.run("INSERT INTO t SELECT i, 'new' FROM generate_series(2000, 2100) i")
    away.target.cluster.start()
    assert product.run_to_end("--until-caught-up").status == 4
    marks.assert_ended(product, 4, "has what it had not received")
    assert away.target.value("SELECT max(id) FROM t") == 1001
