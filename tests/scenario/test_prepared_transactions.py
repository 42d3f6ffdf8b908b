"""Prepared transactions arrive when they are committed, and not at all when they are rolled back;
also where the slot sends them when they are prepared (source.two_phase), and whatever is killed in
between. Large ones are streamed besides.
"""
import pytest

from world import marks, wait
from world.open_transactions import fill, opened, small_memory, wait_kept
from world.product import lsn

PREPARED = ["small", "large"]


@pytest.fixture(params=[True, False], ids=["two_phase", "at_commit"])
def product(world, request):
    world.both("CREATE TABLE a (id int PRIMARY KEY, v text)",
               "CREATE TABLE b (id int PRIMARY KEY, v text)")
    small_memory(world.source)
    product = world.product()
    product.config["source"]["two_phase"] = request.param
    product.two_phase = request.param
    return product


def prepare(world, gid, first, size):
    with opened(world.source) as run:
        run.execute("SAVEPOINT s; INSERT INTO a VALUES (-1, 'no'); ROLLBACK TO s")
        run.execute(fill(first, 3000 if size == "large" else 20))
        run.execute(f"PREPARE TRANSACTION '{gid}'")


def confirmed(world):
    return lsn(world.source.value("SELECT confirmed_flush_lsn FROM pg_replication_slots "
                                  "WHERE database = current_database()"))


def wait_held(product, count):
    """So many are held here. Else the server holds them; a large one it has streamed."""
    if product.two_phase:
        product.wait_status(lambda s: s["kept"]["prepared"] == count, f"{count} to be held")


@pytest.mark.parametrize("size", PREPARED)
def test_committed_or_rolled_back(world, product, size):
    product.start_streaming()
    assert world.source.value("SELECT two_phase FROM pg_replication_slots "
                              "WHERE database = current_database()") == product.two_phase
    for number, gid in enumerate(("one", "two", "three")):
        prepare(world, gid, 10_000 * (number + 1), size)
    world.source.run("INSERT INTO b VALUES (1, 'between')")
    wait_held(product, 3)
    product.wait_caught_up()
    assert world.target.value("SELECT count(*) FROM a") == 0
    marks.assert_gate(product, "prepared_transactions", "NO-GO")
    if product.two_phase:
        marks.assert_shown(product, kept_prepared_transactions=3)
    world.source.run("COMMIT PREPARED 'two'", "INSERT INTO b VALUES (2, 'behind two')",
                     "ROLLBACK PREPARED 'one'", "COMMIT PREPARED 'three'")
    product.wait_caught_up()
    wait_kept(product, 0)
    world.assert_equal()
    position = lsn(world.source.value("SELECT pg_current_wal_lsn()"))
    wait.until(lambda: confirmed(world) >= position, "the slot to be told", 30)
    marks.assert_undisturbed(product)


@pytest.mark.parametrize("size", PREPARED)
def test_killed_between_prepare_and_commit(world, product, size):
    """Others are committed and applied in between. Killed twice, the second time before it can
    have heard of the prepared one again: the slot must not have been told of what is behind it."""
    product.start_streaming()
    prepare(world, "one", 10_000, size)
    prepare(world, "gone", 40_000, size)
    world.source.run("INSERT INTO b VALUES (1, 'between')", fill(20_000, table="b"))
    wait_held(product, 2)
    product.wait_caught_up()
    if product.two_phase:
        assert confirmed(world) <= lsn(world.source.value("SELECT pg_current_wal_lsn()"))
    for number in range(3):
        product.kill9()
        world.source.run(f"INSERT INTO b VALUES ({number + 2}, 'while away')")
        product.start()
        product.event("streaming")
    product.wait_caught_up()
    wait_held(product, 2)
    product.kill9()
    world.source.run("COMMIT PREPARED 'one'", "ROLLBACK PREPARED 'gone'",
                     "INSERT INTO b VALUES (9, 'behind')")
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    assert world.target.value("SELECT count(*) FROM a") == (3000 if size == "large" else 20)
    product.stop()
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_prepared_in_mid_copy_and_committed_behind_it(world, product):
    """No snapshot sees it until it is committed, whichever chunk its rows are in."""
    world.source.run("INSERT INTO a SELECT i, 'x' FROM generate_series(1, 8000) i")
    product.config["backfill"] = {"chunk_rows": 500, "max_rows_per_second": 4000}
    product.start()
    product.wait_status(lambda s: s["backfill"]["rows"] > 500, "the copy to be under way")
    with opened(world.source) as run:
        run.execute("UPDATE a SET v = 'changed' WHERE id % 7 = 0")
        run.execute("DELETE FROM a WHERE id % 100 = 0")
        run.execute("INSERT INTO a SELECT -i, 'new' FROM generate_series(1, 100) i")
        run.execute("PREPARE TRANSACTION 'copied'")
    product.wait_status(lambda s: s["backfill"]["rows"] > 3000, "more to be copied")
    world.source.run("INSERT INTO b VALUES (1, 'beside')")
    wait_held(product, 1)
    world.source.run("COMMIT PREPARED 'copied'")
    product.wait_caught_up()
    world.assert_equal()


def test_one_from_before_the_slot_is_waited_for(world, product):
    prepare(world, "early", 1, "small")
    prepare(world, "never", 100, "small")
    product.start()
    wait.until(lambda: world.source.value("SELECT count(*) FROM pg_replication_slots "
                                          "WHERE database = current_database()"), "the slot")
    world.source.run("COMMIT PREPARED 'early'", "ROLLBACK PREPARED 'never'")
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()


def test_a_slot_keeps_the_way_it_was_made(world, product):
    """Switching the setting changes nothing for a migration that is under way."""
    product.start_streaming()
    prepare(world, "one", 10_000, "large")
    wait_held(product, 1)
    product.stop()
    product.config["source"]["two_phase"] = not product.two_phase
    product.start_streaming()
    prepare(world, "two", 20_000, "small")
    wait_held(product, 2)
    world.source.run("COMMIT PREPARED 'two'", "COMMIT PREPARED 'one'")
    product.wait_caught_up()
    world.assert_equal()


def test_a_slot_that_somebody_advanced_past_a_prepared_one_is_a_gap(world, product):
    product.start_streaming()
    prepare(world, "one", 10_000, "small")
    world.source.run("INSERT INTO b VALUES (1, 'behind')")
    wait_held(product, 1)
    product.wait_caught_up()
    product.stop()
    applied = world.target.value("SELECT lsn FROM slackwater.progress WHERE migration = %s",
                                 world.migration)
    world.source.run(f"SELECT pg_replication_slot_advance(slot_name, '{applied}') "
                     "FROM pg_replication_slots WHERE database = current_database()")
    product.launch()
    world.source.run("COMMIT PREPARED 'one'")
    if product.two_phase:
        marks.assert_ended(product, 4, "gap", "prepared transaction one")
    else:
        product.wait_listening()
        product.wait_caught_up()
        world.assert_equal()


def test_what_was_prepared_is_of_its_table_as_it_was_then(world, product):
    """And whoever follows, whose shape was described only with the prepared one."""
    world.both("ALTER TABLE a ADD w int")
    product.start_streaming()
    world.source.run("INSERT INTO b VALUES (1, 'known')")
    product.wait_caught_up()
    product.stop()
    prepare(world, "one", 10_000, "small")
    world.source.run("COMMIT PREPARED 'one'", "INSERT INTO a VALUES (1, 'behind', 1)",
                     "ALTER TABLE a DROP w")
    product.start_streaming()
    product.wait_caught_up()
    assert world.target.rows("SELECT id, v FROM a ORDER BY id") == \
        world.source.rows("SELECT id, v FROM a ORDER BY id")


@pytest.mark.parametrize("product", [True], ids=["two_phase"], indirect=True)
def test_one_that_has_no_room_here_is_named_with_the_way_out(world, product):
    """It comes again at each start of the stream, so that goes on by itself once there is room."""
    folder = world.folder / "temporary"
    folder.mkdir()
    product.config["source"] |= {"temporary_directory": str(folder), "streaming": False}
    product.start_streaming()
    folder.rmdir()
    with opened(world.source) as run:
        run.execute("INSERT INTO a SELECT i, repeat('x', 2000) FROM generate_series(1, 12000) i")
        run.execute("PREPARE TRANSACTION 'huge'")
    event = product.event("stream ended, starting again")
    assert '"huge"' in event["error"] and str(folder) in event["remedy"], event
    assert '"huge"' in product.status()["last_error"]["message"]
    folder.mkdir()
    product.wait_status(lambda s: s["kept"]["prepared"] == 1, "it to be held", 60)
    world.source.run("COMMIT PREPARED 'huge'")
    product.wait_caught_up()
    world.assert_equal()
