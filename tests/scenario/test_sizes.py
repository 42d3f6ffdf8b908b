"""Very wide, very long, very large, and nothing at all."""
import pytest

from world import marks
from world.product import SANITIZER

MIB = 1 << 20


def test_sixteen_hundred_columns(world):
    """Sixty rows of them are more than one statement's 65,535 parameters."""
    columns = ", ".join(f"c{number} int" for number in range(1599))
    world.both(f"CREATE TABLE wide (id int PRIMARY KEY, {columns})")
    insert = ("INSERT INTO wide SELECT i, " + ", ".join(["i"] * 1599)
              + " FROM generate_series(%d, %d) i")
    world.source.run(insert % (1, 60))
    product = world.product().start_streaming()
    world.source.run(insert % (61, 120))
    world.source.run("UPDATE wide SET c1 = -1, c1598 = NULL WHERE id % 2 = 0",
                     "DELETE FROM wide WHERE id % 3 = 0")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_a_table_without_columns(world):
    world.both("CREATE TABLE nothing ()", "CREATE TABLE t (id int PRIMARY KEY)")
    world.source.run("INSERT INTO nothing DEFAULT VALUES", "INSERT INTO nothing DEFAULT VALUES")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO nothing DEFAULT VALUES", "INSERT INTO t VALUES (1)")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_a_key_of_all_columns(world):
    world.both("CREATE TABLE pairs (a int, b text, PRIMARY KEY (a, b))")
    world.source.run("INSERT INTO pairs SELECT i, i FROM generate_series(1, 20) i")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO pairs SELECT i, i FROM generate_series(21, 40) i",
                     "UPDATE pairs SET b = b || 'x' WHERE a % 2 = 0", "UPDATE pairs SET a = a",
                     "DELETE FROM pairs WHERE a % 5 = 0")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_a_value_of_twenty_megabytes(world):
    world.both("CREATE TABLE long (id int PRIMARY KEY, t text, b bytea, n int)")
    value = "INSERT INTO long VALUES (%d, repeat('0123456789', 2 << 20), NULL, 0)"
    binary = "INSERT INTO long VALUES (%d, NULL, decode(repeat('00ff', 10 << 20), 'hex'), 0)"
    world.source.run(value % 1, binary % 2)
    product = world.product().start_streaming()
    world.source.run(value % 11, binary % 12, "UPDATE long SET n = 1",
                     "UPDATE long SET t = t || 'end' WHERE id = 1")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


@pytest.mark.skipif(bool(SANITIZER), reason="the sanitizers' own memory is in the way")
def test_a_transaction_of_300_000_rows_in_bounded_memory(world):
    world.both("CREATE TABLE many (id int PRIMARY KEY, v text)",
               "CREATE TABLE other (id int PRIMARY KEY)")
    product = world.product().start_streaming()
    world.source.run("""
        BEGIN;
        INSERT INTO other VALUES (1);
        INSERT INTO many SELECT i, md5(i::text) || repeat('x', 200) FROM generate_series(1, 300000) i;
        UPDATE many SET v = 'short' WHERE id % 10 = 0;
        DELETE FROM many WHERE id % 7 = 0;
        INSERT INTO other VALUES (2);
        COMMIT""")
    product.wait_caught_up(seconds=80)
    world.assert_equal()
    marks.assert_bounded(product, 256 * MIB)
    marks.assert_undisturbed(product)


@pytest.mark.skipif(bool(SANITIZER), reason="the sanitizers' own memory is in the way")
def test_a_backfill_of_300_000_rows_in_bounded_memory(world):
    world.both("CREATE TABLE many (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO many SELECT i, md5(i::text) || repeat('x', 400) "
                     "FROM generate_series(1, 300000) i")
    product = world.product().start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_bounded(product, 256 * MIB)
    marks.assert_undisturbed(product)


@pytest.mark.nightly
@pytest.mark.limit(900)
def test_five_thousand_tables(world):
    names = [f"t{number}" for number in range(5000)]
    for first in range(0, 5000, 500):
        some = names[first:first + 500]
        world.both("; ".join(f"CREATE TABLE {name} (id int PRIMARY KEY, v text)" for name in some))
        world.source.run("; ".join(f"INSERT INTO {name} VALUES (1, 'copy')" for name in some))
    product = world.product().launch()
    product.wait_listening(240)  # both catalogs, bound and checked
    product.wait_streaming(600)
    for first in range(0, 5000, 500):
        world.source.run("; ".join(f"INSERT INTO {name} VALUES (2, 'stream')"
                                   for name in names[first:first + 500]))
    product.wait_caught_up(300)
    world.assert_equal(*names[::50])
    assert world.target.value("SELECT sum(n_tup_ins) FROM pg_stat_user_tables") >= 10000
    marks.assert_bounded(product, 256 * MIB)
    marks.assert_undisturbed(product)


@pytest.mark.nightly
@pytest.mark.limit(600)
@pytest.mark.skipif(bool(SANITIZER), reason="the sanitizers' own memory is in the way")
def test_a_value_of_two_hundred_megabytes(world):
    """In the copy and in the stream. Held several times over, and given back."""
    world.both("CREATE TABLE long (id int PRIMARY KEY, b bytea, n int)")
    insert = "INSERT INTO long VALUES (%d, decode(repeat('00ff', 100 << 20), 'hex'), 0)"
    world.source.run(insert % 1)
    product = world.product().start_streaming()
    world.source.run(insert % 2, "UPDATE long SET n = 1", "DELETE FROM long WHERE id = 1")
    product.wait_caught_up(300)
    query = "SELECT id, length(b), md5(b), n FROM long"
    assert world.source.rows(query) == world.target.rows(query)
    marks.assert_bounded(product, 8 * 200 * MIB)
    marks.assert_undisturbed(product)


def test_three_hundred_tables(world):
    names = [f"t{number}" for number in range(300)]
    world.both("; ".join(f"CREATE TABLE {name} (id int PRIMARY KEY, v text)" for name in names))
    world.source.run("; ".join(f"INSERT INTO {name} VALUES (1, 'copy')" for name in names))
    product = world.product().start_streaming()
    world.source.run("; ".join(f"INSERT INTO {name} VALUES (2, 'stream')" for name in names),
                     "; ".join(f"UPDATE {name} SET v = 'u' WHERE id = 1" for name in names[::2]))
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)
