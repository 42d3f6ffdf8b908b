"""A large value that an update does not touch is not sent, and must not get lost."""
import pytest

from world import marks, wait

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
    marks.assert_undisturbed(product, rows_read_again=identity != "FULL")


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
    marks.assert_undisturbed(product)


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
    marks.assert_undisturbed(product, rows_read_again=True)


def test_keys_of_extension_types_are_found_by_their_index_at_the_source(world):
    """A row that is read again, and a lookup: both by citext, with citext's own "="."""
    world.both("CREATE EXTENSION citext")
    world.source.run(
        "CREATE TABLE t (id citext PRIMARY KEY, a text, b text)",
        f"INSERT INTO t SELECT 'k' || i, 'X' || i, {LARGE} FROM generate_series(1, 5) i",
        "INSERT INTO t SELECT 'k' || i, 'X1', 'short' FROM generate_series(6, 5000) i",
        "CREATE TABLE names (code citext PRIMARY KEY, name text)",
        "INSERT INTO names SELECT 'x' || i, 'n' || i FROM generate_series(1, 5000) i",
        "ANALYZE t, names")
    world.target.run("CREATE TABLE t (id citext PRIMARY KEY, joined text, name text)")
    product = world.product(tables=[{
        "source": "t", "drop": ["a", "b"], "columns": {
            "joined": {"template": "{a}/{b}"},
            "name": {"from": "a", "lookup": {"table": "public.names", "key": "code",
                                             "value": "name"}}}}]).start_streaming()
    scans = "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN ('t', 'names') ORDER BY 1"
    used = "SELECT min(idx_scan) FROM pg_stat_user_tables WHERE relname IN ('t', 'names')"
    before = world.source.rows(scans)
    world.source.run("UPDATE t SET a = upper(a) || '0' WHERE id IN ('k1', 'k2', 'k3')")
    product.wait_caught_up()
    assert world.target.rows("SELECT name FROM t WHERE id IN ('k1', 'k2', 'k3') ORDER BY id") == [
        ("n10",), ("n20",), ("n30",)]
    product.stop()  # its sessions report what they did
    wait.until(lambda: world.source.value(used) > 0, "index scans of both tables")
    read_by_update = 1  # our own UPDATE may read the table
    after = dict(world.source.rows(scans))
    for name, count in before:
        assert after[name] <= count + read_by_update, (before, after)
