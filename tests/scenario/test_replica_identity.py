"""Tables whose rows are named by something else than a primary key, or by nothing."""
from world import marks, wait


def test_full_identity_with_duplicate_rows_and_nulls(world):
    """An update or delete means one row of equal ones."""
    world.both("CREATE TABLE t (a int, b text, c numeric, d jsonb, e float8)")
    world.source.run("ALTER TABLE t REPLICA IDENTITY FULL", """
        INSERT INTO t SELECT i % 3, NULLIF(i % 2, 0), 1.0, '{"a": 1}', 'NaN'
        FROM generate_series(1, 24) i""",
                     "INSERT INTO t VALUES (NULL, NULL, NULL, NULL, NULL), "
                     "(NULL, NULL, NULL, NULL, NULL), (9, '', 1.00, '[]', '-0')")
    product = world.product().start_streaming()
    one = "(SELECT min(ctid) FROM t WHERE a = %d)"
    world.source.run(
        f"DELETE FROM t WHERE ctid = {one % 0}",
        f"UPDATE t SET b = 'changed' WHERE ctid = {one % 1}",
        f"UPDATE t SET a = NULL WHERE ctid = {one % 2}",
        "UPDATE t SET c = NULL WHERE a = 0",
        "UPDATE t SET b = b",
        "DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a IS NULL AND d IS NULL)",
        "UPDATE t SET e = 0 WHERE a = 9",
        "INSERT INTO t SELECT * FROM t LIMIT 5",
        "UPDATE t SET a = a + 1")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_full_identity_over_types_without_equality(world):
    """json, xml and point have no = operator; their rows are found all the same."""
    world.both("CREATE TABLE t (a int, j json, x xml, p point, c char(9))")
    world.source.run("ALTER TABLE t REPLICA IDENTITY FULL",
                     """INSERT INTO t SELECT i, '{"a":  1}', '<a/>', '(1,2)', 'x'
                        FROM generate_series(1, 6) i""")
    product = world.product().start_streaming()
    world.source.run("UPDATE t SET j = '[]' WHERE a = 1", "DELETE FROM t WHERE a = 2",
                     "UPDATE t SET x = NULL, p = NULL WHERE a = 3", "DELETE FROM t WHERE a = 3")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_full_identity_with_a_key(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("ALTER TABLE t REPLICA IDENTITY FULL",
                     "INSERT INTO t SELECT i, i FROM generate_series(1, 20) i")
    product = world.product().start_streaming()
    world.source.run("UPDATE t SET v = 'u' WHERE id < 5", "UPDATE t SET id = id + 100 WHERE id < 3",
                     "DELETE FROM t WHERE id > 15")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_identity_by_an_index(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL, v text)",
               "CREATE UNIQUE INDEX by_code ON t (code)",
               "CREATE TABLE u (code text NOT NULL, part int NOT NULL, v text)",
               "CREATE UNIQUE INDEX u_by_code ON u (part, code)")
    world.source.run("ALTER TABLE t REPLICA IDENTITY USING INDEX by_code",
                     "ALTER TABLE u REPLICA IDENTITY USING INDEX u_by_code",
                     "INSERT INTO t SELECT i, 'c' || i, i FROM generate_series(1, 20) i",
                     "INSERT INTO u SELECT 'c' || i, i % 3, i FROM generate_series(1, 20) i")
    product = world.product().start_streaming()
    for table in "tu":
        world.source.run(f"UPDATE {table} SET v = 'u' WHERE code < 'c14'",
                         f"UPDATE {table} SET code = code || 'x' WHERE code < 'c12'",
                         f"DELETE FROM {table} WHERE code > 'c5'")
    world.source.run("UPDATE t SET id = id + 100 WHERE id < 4")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


SWITCHED = ["CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL, v text)",
            "CREATE UNIQUE INDEX by_code ON t (code)"]


def test_identity_switched_to_full_and_back_while_it_streams(world):
    world.both(*SWITCHED)
    world.source.run("INSERT INTO t SELECT i, 'c' || i, i FROM generate_series(1, 20) i")
    product = world.product().start_streaming()
    for number, identity in enumerate(["FULL", "DEFAULT", "FULL"]):
        world.source.run(f"UPDATE t SET v = 'a{number}' WHERE id % 4 = {number}",
                         f"ALTER TABLE t REPLICA IDENTITY {identity}",
                         f"UPDATE t SET v = 'b{number}' WHERE id % 3 = {number}",
                         f"UPDATE t SET id = id + 100 WHERE id = {number + 1}",
                         f"DELETE FROM t WHERE id = 10 + {number}")
    product.wait_caught_up()
    world.assert_equal()


def test_identity_switched_to_other_columns_stops_it_or_goes_on_but_never_guesses(world):
    world.both(*SWITCHED)
    world.source.run("INSERT INTO t SELECT i, 'c' || i, i FROM generate_series(1, 20) i")
    product = world.product(apply={"on_bad_row": "stop"}).start_streaming()
    world.source.run("UPDATE t SET v = 'before' WHERE id = 1",
                     "ALTER TABLE t REPLICA IDENTITY USING INDEX by_code",
                     "UPDATE t SET v = 'after' WHERE id <= 2",
                     "DELETE FROM t WHERE id = 3")
    wait.until(lambda: not product.alive() or world.target.value(
        "SELECT count(*) FROM t WHERE id = 3") == 0, "an end or the delete")
    if product.alive():
        product.wait_caught_up()
        world.assert_equal()
    else:
        marks.assert_ended(product, 3, "public.t")
        assert world.target.rows("SELECT v FROM t WHERE id <= 3 ORDER BY id") == [
            ("before",), ("2",), ("3",)]


def insert_only_tables(world):
    world.both("CREATE TABLE no_key (a int, b text)",
               "CREATE TABLE nothing (id int PRIMARY KEY, b text)",
               "CREATE TABLE keyed (id int PRIMARY KEY, b text)")
    world.source.run("ALTER TABLE nothing REPLICA IDENTITY NOTHING",
                     "INSERT INTO no_key SELECT i % 3, 'x' FROM generate_series(1, 9) i",
                     "INSERT INTO nothing SELECT i, 'x' FROM generate_series(1, 9) i")


def test_tables_without_identity_take_inserts_and_truncates(world):
    insert_only_tables(world)
    product = world.product().start_streaming()
    world.source.run("INSERT INTO no_key VALUES (1, 'x'), (1, 'x'), (NULL, NULL)",
                     "INSERT INTO nothing VALUES (20, 'x')", "INSERT INTO keyed VALUES (1, 'x')",
                     "UPDATE keyed SET b = 'u'")
    product.wait_caught_up()
    world.assert_equal()
    wait.until(lambda: product.gates()["replica_identity"]["verdict"] == "GO", "the gate", 10)
    world.source.run("TRUNCATE no_key", "INSERT INTO no_key VALUES (5, 'after')")
    product.wait_caught_up()
    world.assert_equal()
    published = dict(world.source.rows("SELECT pubname, pubupdate FROM pg_publication"))
    assert published == {world.object_name: True, world.object_name + "_insert_only": False}
    assert product.metric("table_insert_only") == 2
    marks.assert_undisturbed(product)


def test_a_write_that_cannot_be_seen_works_at_the_source_and_closes_the_gate(world):
    insert_only_tables(world)
    product = world.product().start_streaming()
    world.source.run("UPDATE no_key SET b = 'unseen' WHERE a = 1", "DELETE FROM nothing WHERE id = 1")

    def closed():
        gate = product.gates()["replica_identity"]
        return gate if gate["verdict"] == "NO-GO" else None

    gate = wait.until(closed, "the replica_identity gate to close", 20)
    assert gate["verdict"] == "NO-GO"
    assert "no_key" in gate["reason"] or "nothing" in gate["reason"]
    assert gate["remedy"]
    assert product.http("/cutover")[0] == 503
    marks.assert_shown(product, table_unseen_writes=marks.SOME, ready=0)
