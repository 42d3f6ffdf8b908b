"""Names that need quoting, in schemas, tables, columns, keys, types and in the migration."""
from world import marks, wait

SCHEMAS = ["plain", "Upper Case", "with\"quote", "with'tick", "d.o.t", "back\\slash", "new\nline",
           "ünïcödé 中", "l" * 63, "select", "'; DROP TABLE t; --"]
COLUMNS = ["id", "ID", "with\"quote", "with'tick", "d.o.t", "back\\slash", "new\nline", "ünï 中",
           "c" * 63, "user", "%s", "$1", "{brace}", "a,b", "\"); DROP TABLE t; --", " ", "é" * 31]


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def test_names_that_need_quoting(world):
    columns = ", ".join(f"{quote(name)} text" for name in COLUMNS[2:])
    tables = []
    for number, schema in enumerate(SCHEMAS):
        table = f"{quote(schema)}.{quote(SCHEMAS[-1 - number])}"
        tables.append(table)
        world.both(f"CREATE SCHEMA {quote(schema)}",
                   f'CREATE TYPE {quote(schema)}.{quote("my enum")} AS ENUM (\'x y\', \'z\')',
                   f"""CREATE TABLE {table} ("id" int, "ID" int, {columns},
                       kind {quote(schema)}.{quote("my enum")},
                       PRIMARY KEY ("ID", {quote(COLUMNS[2])}))""")

    def fill(first):
        for table in tables:
            values = ", ".join("'v'" for _ in COLUMNS[2:])
            world.source.run(f"INSERT INTO {table} SELECT i, i, {values}, 'x y' "
                             f"FROM generate_series({first}, {first + 9}) i")

    fill(1)
    product = world.product(migration="Names-Of Things." + world.migration).start_streaming()
    slot = world.source.value(
        "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")
    assert slot.startswith("slackwater_names_of_things_" + world.migration), slot
    fill(101)
    for table in tables:
        sets = ", ".join(f"{quote(name)} = 'changed'" for name in COLUMNS[3:])
        world.source.run(f"""UPDATE {table} SET {sets}, kind = 'z' WHERE "ID" % 2 = 0""",
                         f"""UPDATE {table} SET "ID" = -"ID" WHERE "ID" % 5 = 0""",
                         f"""DELETE FROM {table} WHERE "ID" % 3 = 0""")
    product.wait_caught_up()
    world.assert_equal(*tables)
    marks.assert_undisturbed(product)
    # Its sessions end a moment after it, and one of them holds the origin.
    wait.until(lambda: world.target.rows(
        "SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = %s",
        slot), "the origin to be free")


def test_two_columns_that_differ_in_case_only_and_two_tables_of_one_name(world):
    world.both("CREATE SCHEMA a", "CREATE SCHEMA b",
               'CREATE TABLE a.t (id int PRIMARY KEY, x text, "X" text)',
               "CREATE TABLE b.t (x text, id int PRIMARY KEY)")
    world.source.run("INSERT INTO a.t VALUES (1, 'small', 'LARGE')",
                     "INSERT INTO b.t VALUES ('b', 1)")
    product = world.product().start_streaming()
    world.source.run("BEGIN; INSERT INTO a.t VALUES (2, 's', 'L'); INSERT INTO b.t VALUES ('c', 2);"
                     "UPDATE a.t SET \"X\" = NULL WHERE id = 1; DELETE FROM b.t WHERE id = 1; COMMIT")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_columns_in_another_order_and_a_dropped_column(world):
    """Columns are found by name, not by position."""
    world.source.run("CREATE TABLE t (gone int, a text, id int PRIMARY KEY, b text)",
                     "ALTER TABLE t DROP COLUMN gone",
                     "INSERT INTO t SELECT 'a' || i, i, 'b' || i FROM generate_series(1, 20) i")
    world.target.run("CREATE TABLE t (b text, id int PRIMARY KEY, a text)")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t SELECT 'a' || i, i, 'b' || i FROM generate_series(21, 40) i",
                     "UPDATE t SET b = a WHERE id % 2 = 0", "DELETE FROM t WHERE id % 3 = 0")
    product.wait_caught_up()
    world.assert_equal_by({"t": "SELECT b, id, a FROM t"})
    marks.assert_undisturbed(product)
