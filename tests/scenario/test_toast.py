"""A large value that an update does not touch is not sent, and must not get lost."""
import pytest

# Random hex does not compress, so it is stored out of line.
LARGE = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 400))"
TABLE = "CREATE TABLE t (id int PRIMARY KEY, n int, a text, b text, c bytea)"


def fill(world):
    world.source.run(f"""INSERT INTO t SELECT i, 0, {LARGE}, {LARGE} || i,
                         decode({LARGE}, 'hex') FROM generate_series(1, 20) i""")


def assert_stored_out_of_line(world):
    size = world.source.value("""SELECT pg_relation_size(reltoastrelid) FROM pg_class
                                 WHERE oid = 't'::regclass""")
    assert size > 100_000, "the values are not TOASTed: the test proves nothing"


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_untouched_large_values_stay(world, identity):
    world.both(TABLE)
    world.source.run(f"ALTER TABLE t REPLICA IDENTITY {identity}")
    fill(world)
    assert_stored_out_of_line(world)
    product = world.product().start_streaming()
    world.source.run(
        "UPDATE t SET n = 1 WHERE id <= 10",
        "UPDATE t SET n = 2, a = 'short' WHERE id = 1",
        f"UPDATE t SET b = {LARGE} WHERE id = 2",
        "UPDATE t SET a = NULL, c = NULL WHERE id = 3",
        "UPDATE t SET id = 104 WHERE id = 4",
        "UPDATE t SET id = 105, a = 'with the key' WHERE id = 5",
        f"BEGIN; UPDATE t SET a = {LARGE} WHERE id = 6; UPDATE t SET n = 3 WHERE id = 6; COMMIT",
        "BEGIN; UPDATE t SET id = 107 WHERE id = 7; UPDATE t SET n = 4 WHERE id = 107;"
        "UPDATE t SET id = 7 WHERE id = 107; COMMIT",
        f"BEGIN; INSERT INTO t VALUES (30, 0, {LARGE}, {LARGE}, NULL);"
        "UPDATE t SET n = 5 WHERE id = 30; COMMIT",
        f"BEGIN; DELETE FROM t WHERE id = 8; INSERT INTO t VALUES (8, 0, {LARGE}, 'b', NULL);"
        "UPDATE t SET n = 6 WHERE id = 8; COMMIT",
        "BEGIN; UPDATE t SET id = -1 WHERE id = 9; UPDATE t SET id = 9 WHERE id = 10;"
        "UPDATE t SET id = 10 WHERE id = -1; COMMIT")
    product.wait_caught_up()
    world.assert_equal()


def test_untouched_large_values_of_a_table_without_a_key(world):
    world.both("CREATE TABLE t (id int, n int, a text, b text, c bytea)")
    world.source.run("ALTER TABLE t REPLICA IDENTITY FULL")
    fill(world)
    product = world.product().start_streaming()
    world.source.run("UPDATE t SET n = 1 WHERE id <= 10", "UPDATE t SET id = 50 WHERE id = 1",
                     f"UPDATE t SET b = {LARGE} WHERE id = 2", "DELETE FROM t WHERE id = 3",
                     "UPDATE t SET a = NULL WHERE id = 4")
    product.wait_caught_up()
    world.assert_equal()


def test_a_large_value_in_the_key(world):
    """A wide key is sent with every change that touches it."""
    world.both("CREATE TABLE t (k text, n int, b text, PRIMARY KEY (k))")
    world.source.run("ALTER TABLE t ALTER k SET STORAGE EXTERNAL",
                     f"INSERT INTO t SELECT left(i || {LARGE}, 2500), i, {LARGE} "
                     "FROM generate_series(1, 10) i")
    product = world.product().start_streaming()
    world.source.run("UPDATE t SET n = -n", "UPDATE t SET k = 'new' WHERE n = -1",
                     "DELETE FROM t WHERE n = -2")
    product.wait_caught_up()
    world.assert_equal()
