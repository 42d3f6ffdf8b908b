"""Source transactions arrive whole, or not at all."""
import pytest

from world import marks, wait
from world.load import held
from world.product import lsn

TABLES = ["CREATE TABLE a (id int PRIMARY KEY, v text)",
          "CREATE TABLE b (id int PRIMARY KEY, v text)"]


@pytest.fixture
def product(world):
    world.both(*TABLES)
    world.source.run("INSERT INTO a SELECT i, 'x' FROM generate_series(1, 10) i")
    return world.product().start_streaming()


def test_a_transaction_over_two_tables_is_seen_whole(world, product):
    """Half of the target's readers would see a without b if it were split."""
    for number in range(100, 400):
        world.source.run(f"BEGIN; INSERT INTO a VALUES ({number}); "
                         f"INSERT INTO b VALUES ({number}); COMMIT")
        if number % 10 == 0:
            only_a, only_b = world.target.rows(
                """SELECT count(*) FILTER (WHERE b.id IS NULL),
                          count(*) FILTER (WHERE a.id IS NULL)
                   FROM (SELECT * FROM a WHERE id >= 100) a FULL JOIN b USING (id)""")[0]
            assert (only_a, only_b) == (0, 0)
    product.wait_caught_up()
    world.assert_equal()


def test_rolled_back_work_never_arrives(world, product):
    world.source.run(
        "BEGIN; INSERT INTO a VALUES (100); ROLLBACK",
        "BEGIN; INSERT INTO a VALUES (101); SAVEPOINT s; INSERT INTO a VALUES (102);"
        "SAVEPOINT t; INSERT INTO a VALUES (103); RELEASE t; ROLLBACK TO s;"
        "INSERT INTO a VALUES (104); COMMIT",
        "BEGIN; SAVEPOINT s; UPDATE a SET v = 'no'; ROLLBACK TO s; COMMIT",
        "DO $$ BEGIN FOR i IN 1..200 LOOP BEGIN INSERT INTO b VALUES (i, 'y');"
        "IF i % 3 = 0 THEN RAISE 'no'; END IF; EXCEPTION WHEN OTHERS THEN NULL; END;"
        "END LOOP; END $$")
    product.wait_caught_up()
    world.assert_equal()
    assert world.target.value("SELECT count(*) FROM b") == 134
    marks.assert_undisturbed(product)


def test_a_prepared_transaction_arrives_when_it_is_committed(world, product):
    world.source.run("BEGIN; INSERT INTO a VALUES (200, 'p'); UPDATE a SET v = 'p' WHERE id = 1;"
                     "PREPARE TRANSACTION 'one'",
                     "BEGIN; INSERT INTO b VALUES (201, 'p'); PREPARE TRANSACTION 'two'",
                     "INSERT INTO a VALUES (202, 'between')")
    product.wait_caught_up()
    assert world.target.rows("SELECT id FROM a WHERE id >= 200") == [(202,)]
    product.wait_status(lambda status: status["transactions"]["prepared"] == 2,
                        "the prepared transactions to be seen")
    world.source.run("COMMIT PREPARED 'one'", "ROLLBACK PREPARED 'two'")
    product.wait_caught_up()
    world.assert_equal()
    assert world.target.value("SELECT count(*) FROM a WHERE id = 200") == 1
    marks.assert_undisturbed(product)


def test_a_prepared_transaction_survives_a_restart_of_the_program(world, product):
    world.source.run("BEGIN; INSERT INTO a VALUES (200, 'p'); PREPARE TRANSACTION 'one'",
                     "INSERT INTO a VALUES (202, 'between')")
    product.wait_caught_up()
    product.stop()
    world.source.run("COMMIT PREPARED 'one'")
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_an_open_transaction_from_before_the_start_is_not_lost(world):
    """It began before the slot and commits after the copy."""
    world.both(*TABLES)
    with world.source.session() as run:
        run.execute("BEGIN; INSERT INTO a VALUES (1, 'early')")
        product = world.product().start()
        wait.until(lambda: world.source.value(
            "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"),
                   "the slot being made")
        run.execute("INSERT INTO b VALUES (1, 'early'); COMMIT")
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()


def test_empty_transactions_and_other_databases_let_the_slot_move(world, product):
    """WAL that holds nothing for us must not be held back (feedback goes on)."""
    world.source.run("CREATE TABLE elsewhere (id int)")
    for _ in range(20):
        world.source.run("BEGIN; SELECT txid_current(); COMMIT", "INSERT INTO elsewhere VALUES (1)")
    world.source.run("SELECT pg_logical_emit_message(true, 'stranger', 'hello')",
                     "SELECT pg_logical_emit_message(false, 'stranger', 'hello')",
                     "SELECT pg_switch_wal()")
    end = lsn(world.source.value("SELECT pg_current_wal_lsn()"))
    wait.until(lambda: lsn(world.source.value(
        "SELECT confirmed_flush_lsn FROM pg_replication_slots "
        "WHERE database = current_database()")) >= end, "confirmed_flush to pass", 30)
    world.source.run("DROP TABLE elsewhere")
    world.assert_equal()
    marks.assert_shown(product, table_received_total=0, applied_lsn_bytes=marks.AtLeast(end))
    marks.assert_undisturbed(product)


def test_the_slot_is_told_only_what_is_durable_at_the_target(world, product):
    """Ack rule: confirmed_flush never passes what the target has committed."""
    before = lsn(world.source.value("SELECT pg_current_wal_lsn()"))
    with held(world.target, "LOCK TABLE a IN ACCESS EXCLUSIVE MODE"):
        world.source.run("INSERT INTO a VALUES (500, 'held')")
        after = lsn(world.source.value("SELECT pg_current_wal_lsn()"))
        product.wait_status(lambda status: lsn(status["lsn"]["received"]) >= after,
                            "the change to be received")
        for _ in range(20):
            world.source.run("SELECT txid_current()")
            confirmed = lsn(world.source.value(
                "SELECT confirmed_flush_lsn FROM pg_replication_slots "
                "WHERE database = current_database()"))
            assert confirmed < after, "acknowledged and not applied"
    assert before < after
    product.wait_caught_up()
    world.assert_equal()
