"""What only newer sources have: why a slot was invalidated (17), an idle slot's time (18), origins that
are left out (16), generated columns that are not stored (18)."""
import pytest

from world import marks, servers, wait
from world.cluster import Cluster

pytestmark = pytest.mark.xdist_group("newer_servers")

VERSION = max(servers.wanted("source"), 18)


@pytest.fixture(scope="module")
def newer(folder):
    with Cluster(folder / "newer", VERSION).running() as cluster:
        yield cluster


@pytest.fixture
def world(make_world, newer, target_cluster):
    world = make_world(newer, target_cluster)
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t VALUES (1, 'copied')")
    return world


@pytest.fixture
def idle_timeout(newer):
    """Sets how long a slot may be idle; as it was after the test."""
    admin = newer.database("postgres")

    def set_to(value):
        admin.run(f"ALTER SYSTEM SET idle_replication_slot_timeout = '{value}'",
                  "SELECT pg_reload_conf()")
        wait.until(lambda: admin.value("SHOW idle_replication_slot_timeout") == value, "the setting")

    yield set_to
    admin.run("ALTER SYSTEM RESET idle_replication_slot_timeout", "SELECT pg_reload_conf()")


def findings(product):
    return {finding["id"]: finding for finding in product.command("check", "--json").json["findings"]}


def test_a_slot_that_was_idle_for_too_long(world, idle_timeout):
    idle_timeout("1s")
    product = world.product()
    assert "1s" in findings(product)["source.slot_idle_timeout"]["what"]
    product.start_streaming()
    product.stop()

    def lose():
        world.source.run("CHECKPOINT")
        return world.source.value("SELECT invalidation_reason FROM pg_replication_slots "
                                  "WHERE slot_name = %s", world.object_name) == "idle_timeout"

    wait.until(lose, "the slot to be given up")
    assert product.run_to_end().status == 4
    marks.assert_ended(product, 4, "invalidated: nobody read from it for as long as idle_replication_slot_timeout")
    assert world.target.rows("SELECT id FROM t") == [(1,)]


def test_the_gate_foresees_that_an_idle_slot_is_given_up(world, idle_timeout):
    idle_timeout("10min")
    product = world.product().start_streaming()

    def foreseen():
        """Somebody ends the walsender again and again: most of the time nobody reads."""
        world.source.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                         f"WHERE slot_name = '{world.object_name}' AND active")
        return product.status()["slot"]["seconds_to_loss"]

    assert product.status()["slot"]["seconds_to_loss"] is None
    assert 500 < wait.until(foreseen, "the loss to be foreseen", interval=0.1) <= 600
    wait.until(lambda: product.status()["slot"]["seconds_to_loss"] is None, "the stream to be back")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_lost_and_back(product, reconnects_total=marks.SOME)


def test_changes_with_an_origin_are_left_out(world):
    """As the reverse of another migration, whose writes must not go back."""
    source = {"dsn": world.source.url(), "heartbeat": "200ms", "origin": "none"}
    product = world.product(source=source).start_streaming()
    with world.source.session() as run:
        run.execute("SELECT pg_replication_origin_create(%s)", (f"{world.object_name}_test",))
        run.execute("SELECT pg_replication_origin_session_setup(%s)", (f"{world.object_name}_test",))
        run.execute("INSERT INTO t VALUES (2, 'came by replication')")
    world.source.run("INSERT INTO t VALUES (3, 'own')")
    product.wait_caught_up()
    assert world.target.rows("SELECT id FROM t ORDER BY id") == [(1,), (3,)]
    product.stop()


def test_wishes_that_an_older_source_cannot_fulfil_are_refused(make_world, make_cluster, target_cluster):
    world = make_world(make_cluster(version=15), target_cluster)
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    source = {"dsn": world.source.url(), "origin": "none", "failover": True}
    result = world.product(source=source).command("check")
    assert result.status == 2
    assert "source.failover needs PostgreSQL 17" in result.out
    assert "source.origin: none needs PostgreSQL 16" in result.out
    assert world.product(source=source).run_to_end().status == 2
    assert not world.leftovers()


def test_columns_that_are_generated_and_not_stored(world):
    """The schema makes them anew; neither the copy nor the stream carries them."""
    world.both("DROP TABLE t")
    world.source.run("""CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL,
        twice int GENERATED ALWAYS AS (a * 2) VIRTUAL, half int GENERATED ALWAYS AS (a / 2) STORED)""",
        "INSERT INTO t (id, a) VALUES (1, 10)")
    product = world.product()
    made = product.command("schema", "--apply")
    assert made.status == 0, made.text
    product.start_streaming()
    world.source.run("INSERT INTO t (id, a) VALUES (2, 20)", "UPDATE t SET a = 30 WHERE id = 1")
    product.wait_caught_up()
    assert world.target.rows("SELECT * FROM t ORDER BY id") == [(1, 30, 60, 15), (2, 20, 40, 10)]
    world.assert_equal()
    product.stop()


def test_infinite_intervals_to_a_server_that_knows_none(make_world, newer, make_cluster):
    """In binary they would arrive as numbers of years; as text they are refused, the row named."""
    world = make_world(newer, make_cluster(version=15))
    world.both("CREATE TABLE t (id int PRIMARY KEY, i interval)")
    world.source.run("INSERT INTO t VALUES (1, '1 mon -1 day')")
    product = world.product(apply={"on_bad_row": "stop"})
    formats = product.command("check", "--json").json["formats"]
    assert formats["stream"]["format"] == "text"
    product.start_streaming()
    world.source.run("INSERT INTO t VALUES (2, 'infinity')")
    marks.assert_ended(product, 3, "invalid input syntax for type interval", "infinity")
    assert world.target.value("SELECT count(*) FROM t") == 1
