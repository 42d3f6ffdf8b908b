"""SIGTERM and SIGINT: no partial commit, status 0, out in under five seconds."""
import signal

import pytest

from world import load, marks, wait

ROWS = 20000


@pytest.fixture
def busy(world):
    world.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(world.source, ROWS)
    return world


def test_stopped_in_the_backfill_and_resumed(busy):
    with load.Stall(busy.target, "entries", f"NEW.account = {ROWS // 2}") as stall:
        product = busy.product().start()
        stall.wait_reached()
        product.stop()
    product.start_streaming()
    product.wait_caught_up()
    busy.assert_equal()
    marks.assert_undisturbed(product)


def test_stopped_while_it_streams_under_load_and_resumed(busy):
    product = busy.product().start_streaming()
    with load.Writers(busy.source, 3, load.accounts_work(ROWS)) as writers:
        for _ in range(3):
            writers.wait_commits(50)
            product.stop()
            writers.wait_commits(20)
            product.start_streaming()
    product.wait_caught_up()
    busy.assert_equal()
    marks.assert_undisturbed(product)


def test_stopped_while_the_apply_is_stuck(busy):
    product = busy.product().start_streaming()
    with load.Stall(busy.target, "accounts", "NEW.id = 900001") as stall:
        busy.source.run("BEGIN; INSERT INTO journal VALUES (now(), 'once');"
                        "INSERT INTO accounts VALUES (900001, 'x'); COMMIT")
        stall.wait_reached()
        product.stop()
        assert busy.target.value("SELECT count(*) FROM journal") == 0
    product.start_streaming()
    product.wait_caught_up()
    busy.assert_equal()
    marks.assert_undisturbed(product)


def test_stopped_while_the_target_is_away(make_world, source_cluster, make_cluster):
    target = make_cluster("target")
    world = make_world(source_cluster, target)
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    product = world.product().start_streaming()
    target.stop("immediate")
    world.source.run("INSERT INTO t VALUES (1)")
    wait.until(lambda: product.metric("phase", phase="waiting") == 1, "phase 'waiting'")
    product.stop()
    marks.assert_told(product, *marks.LOST)
    target.start()
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_stopped_while_the_source_is_away(make_world, make_cluster, target_cluster):
    source = make_cluster()
    world = make_world(source, target_cluster)
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    product = world.product().start_streaming()
    source.stop("immediate")
    wait.until(lambda: product.metric("phase", phase="waiting") == 1, "phase 'waiting'")
    product.stop()
    marks.assert_told(product, *marks.LOST)
    source.start()
    world.source.run("INSERT INTO t VALUES (1)")
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()


def test_stopped_while_the_slot_waits_for_an_open_transaction(world):
    """Nothing is begun, and nothing is left behind that a new start would not mend."""
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    with load.held(world.source, "INSERT INTO t VALUES (1)"):
        product = world.product().start()
        product.event("creating publication and slot; this waits for open transactions")
        product.stop()
    product.start_streaming()
    world.source.run("INSERT INTO t VALUES (2)")
    product.wait_caught_up()
    world.assert_equal()


def test_stopped_while_another_holds_the_migration(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    first = world.product().start_streaming()
    second = world.product().launch()
    second.event("listening")
    second.stop()
    world.source.run("INSERT INTO t VALUES (1)")
    first.wait_caught_up()
    world.assert_equal()


def test_sigint_is_a_clean_stop_too(busy):
    product = busy.product().start_streaming()
    product.child.send_signal(signal.SIGINT)
    assert product.wait_end(5) == 0
    marks.assert_told(product, "stopped")
