"""`cleanup` leaves no trace on either side, and asks first."""
import pytest


@pytest.fixture
def product(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE no_key (a int)")
    world.source.run("INSERT INTO t VALUES (1)", "INSERT INTO no_key VALUES (1)")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (2)")
    product.wait_caught_up()
    return product


def test_after_a_run(world, product):
    product.stop()
    assert world.leftovers() != []
    result = product.command("cleanup", "--yes")
    assert result.status == 0, result.text
    assert world.leftovers() == []
    world.assert_equal()


def test_after_a_kill(world, product):
    product.kill9()
    assert product.command("cleanup", "--yes").status == 0
    assert world.leftovers() == []


def test_it_asks_and_takes_no_for_an_answer(world, product):
    product.stop()
    before = world.leftovers()
    assert product.command("cleanup", input="no\n").status != 0
    assert product.command("cleanup", input="").status != 0
    assert world.leftovers() == before


def test_it_refuses_while_the_migration_runs(world, product):
    assert product.command("cleanup", "--yes").status != 0
    world.source.run("INSERT INTO t VALUES (3)")
    product.wait_caught_up()
    world.assert_equal()


def test_with_nothing_there_and_twice(world, product):
    product.stop()
    for _ in range(2):
        assert product.command("cleanup", "--yes").status == 0
    assert world.leftovers() == []


def test_after_a_cleanup_the_migration_starts_afresh(world, product):
    product.stop()
    assert product.command("cleanup", "--yes").status == 0
    world.source.run("INSERT INTO t VALUES (3)", "DELETE FROM t WHERE id = 1")
    result = product.command("run", "--until-caught-up", "--log-format", "json")
    if result.status == 0:
        world.assert_equal()
    else:  # it may refuse to copy over rows that it does not know, but must say so
        assert result.status == 2 and "public.t" in result.text, result.text


def test_another_migration_is_left_alone(world, product):
    other = world.product(migration=world.migration + "_other",
                          tables=[{"source": "public.t", "target": "public.t"}])
    product.stop()
    assert product.command("cleanup", "--yes").status == 0
    other.run_until_caught_up()
    assert product.command("cleanup", "--yes").status == 0
    slots = world.source.rows("SELECT slot_name FROM pg_replication_slots "
                              "WHERE database = current_database()")
    assert slots == [(world.object_name + "_other",)]
