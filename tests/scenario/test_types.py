"""Every type's every strange value arrives as it was: in the copy, in inserts and in updates."""
import psycopg2
import pytest

from world import marks, shapes

ODD_OUTPUT = {  # for values that travel as text: both sides write and read in ways of their own
    "source": ["DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'",
               "TimeZone = 'America/New_York'", "extra_float_digits = 0",
               "bytea_output = 'escape'"],
    "target": ["DateStyle = 'German'", "IntervalStyle = 'iso_8601'",
               "TimeZone = 'Australia/Lord_Howe'", "extra_float_digits = -15",
               "standard_conforming_strings = off", "search_path = ''",
               "default_transaction_isolation = 'serializable'", "quote_all_identifiers = on"],
}


def migrate(world, family, stream):
    product = world.product()
    world.source.run(*shapes.inserts(family, 1))
    assert product.command("check", "--json").json["formats"]["stream"]["format"] == stream
    product.start_streaming()
    world.source.run(*shapes.inserts(family, 1001))
    world.source.run(*shapes.updates(family))
    for table, _, _ in shapes.tables(family):
        world.source.run(f"DELETE FROM {table} WHERE id % 1000 = 1")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


@pytest.mark.parametrize("family", shapes.FAMILIES)
def test_values_of_a_family(world, family):
    shapes.prepare(world, family)
    world.both(*shapes.ddl(family))
    migrate(world, family, shapes.stream_format(world, [family]))


@pytest.mark.parametrize("family", sorted(set(shapes.FAMILIES) - shapes.TEXT_FAMILIES))
def test_values_of_a_family_as_text_between_servers_of_odd_habits(world, family):
    """A table that cannot travel in binary makes the stream use text for all."""
    shapes.prepare(world, family, "empties")
    world.both(*shapes.ddl(family), *shapes.ddl("empties"))
    for side, settings in ((world.source, ODD_OUTPUT["source"]),
                           (world.target, ODD_OUTPUT["target"])):
        side.run(*(f"ALTER DATABASE {side.name} SET {setting}" for setting in settings))
    migrate(world, family, "text")


@pytest.mark.parametrize("family", shapes.FAMILIES)
def test_rows_of_a_family_found_by_their_values(world, family):
    """No key and identity FULL: the old row is all there is to find a row by."""
    tables = [(f"r{number}", kind, literals)
              for number, (kind, literals) in enumerate(shapes.FAMILIES[family].items())]
    shapes.prepare(world, family)
    world.both(*(f"CREATE TABLE {table} (v {kind}, n int)" for table, kind, _ in tables))
    fill = []
    for table, kind, literals in tables:
        rows = ", ".join(f"(({literal})::{kind}, {n})" for n in (0, 0, 1)
                         for literal in [*literals, "NULL"])
        fill.append(f"INSERT INTO {table} VALUES {rows}")
        world.source.run(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
    world.source.run(*fill)
    product = world.product().start_streaming()
    for table, _, _ in tables:
        world.source.run(f"DELETE FROM {table} WHERE n = 1",
                         f"UPDATE {table} SET n = 5 WHERE ctid IN (SELECT min(ctid) FROM {table} "
                         "GROUP BY v::text)",
                         f"UPDATE {table} SET v = NULL WHERE n = 5 AND ctid = (SELECT max(ctid) FROM "
                         f"{table})")
    product.wait_caught_up()
    world.assert_equal()
    for table, _, _ in tables:
        conflicts = product.table(f"public.{table}")["conflicts"]
        assert not any(conflicts.values()), f"{table}: a row was not found: {conflicts}"


def assert_keys_work(world, tables):
    """[(table, type, literals)]: rows come, change, go and come back under their keys."""
    def insert(table, kind, literals):
        rows = ", ".join(f"(({literal})::{kind}, {n})" for n, literal in enumerate(literals))
        return f"INSERT INTO {table} VALUES {rows} ON CONFLICT DO NOTHING"

    usable = []
    for table, kind, literals in tables:
        small = [one for one in literals if "repeat" not in one or kind.startswith("bit")]
        create = f"CREATE TABLE {table} (k {kind} PRIMARY KEY, v int)"
        try:
            world.source.run(create, insert(table, kind, small),
                             f"SELECT k FROM {table} UNION ALL SELECT k FROM {table} ORDER BY k")
        except psycopg2.Error:
            world.source.run(f"DROP TABLE IF EXISTS {table}")
            continue  # the type has no order
        world.target.run(create)
        usable.append((table, kind, small))
    product = world.product().start_streaming()
    for one in usable:
        world.source.run(f"UPDATE {one[0]} SET v = v + 100", f"DELETE FROM {one[0]} WHERE v = 100",
                         insert(*one), f"DELETE FROM {one[0]} WHERE v = 101",
                         insert(*one), f"UPDATE {one[0]} SET v = -v")
    product.wait_caught_up()
    world.assert_equal()
    for table, kind, _ in usable:
        conflicts = product.table(f"public.{table}")["conflicts"]
        assert not any(conflicts.values()), f"{table} ({kind}): {conflicts}"
    return usable


def test_keys_of_every_type_that_can_be_one(world):
    shapes.prepare(world, *shapes.known(world))
    usable = assert_keys_work(world, [
        one for family in shapes.known(world) for one in shapes.tables(family) if one[1] != "hstore"])
    assert len(usable) > 50, "most types are meant to be tried"


def test_keys_of_types_whose_operators_an_extension_brings(world):
    """Their = stands in the extension's schema, which need not be in the search path."""
    world.both("CREATE SCHEMA ext", "CREATE EXTENSION hstore SCHEMA ext",
               "CREATE EXTENSION citext SCHEMA ext")
    usable = assert_keys_work(world, [("h", "ext.hstore", shapes.FAMILIES["documents"]["hstore"]),
                                      ("c", "ext.citext", ["'Ann'", "'BOB'", "'zoë'"])])
    assert len(usable) == 2


def test_an_enum_value_added_while_it_streams(world):
    world.both("CREATE TYPE mood AS ENUM ('a')", "CREATE TABLE t (id int PRIMARY KEY, m mood)")
    world.source.run("INSERT INTO t VALUES (1, 'a')")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (2, 'a')")
    product.wait_caught_up()
    world.target.run("ALTER TYPE mood ADD VALUE 'b'")
    world.source.run("ALTER TYPE mood ADD VALUE 'b'")
    world.source.run("INSERT INTO t VALUES (3, 'b')", "UPDATE t SET m = 'b' WHERE id = 1")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_generated_and_identity_columns(world):
    world.both("""
        CREATE TABLE stored (
            net numeric, id int PRIMARY KEY, gross numeric GENERATED ALWAYS AS (net * 1.2) STORED,
            note text)""", """
        CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)""", """
        CREATE TABLE default_ (k text PRIMARY KEY, n int GENERATED BY DEFAULT AS IDENTITY)""", """
        CREATE TABLE serial (id bigserial PRIMARY KEY, v text DEFAULT 'default')""")
    fill = ["INSERT INTO stored (net, id, note) SELECT i, (SELECT count(*) FROM stored) + i, 'x' "
            "FROM generate_series(1, 20) i",
            "INSERT INTO always (v) SELECT i FROM generate_series(1, 20) i",
            "INSERT INTO always OVERRIDING SYSTEM VALUE SELECT 1000 + max(id), 'o' FROM always",
            "INSERT INTO default_ (k) SELECT gen_random_uuid() FROM generate_series(1, 20)",
            "INSERT INTO serial (v) VALUES (NULL), ('set')"]
    world.source.run(*fill)
    product = world.product().start_streaming()
    world.source.run(*fill)
    world.source.run("UPDATE stored SET net = -net WHERE id % 2 = 0",
                     "UPDATE stored SET id = id + 500 WHERE id = 3",
                     "UPDATE always SET v = 'changed' WHERE id < 5",
                     "UPDATE always SET id = DEFAULT WHERE id = 6",
                     "UPDATE default_ SET n = DEFAULT WHERE n % 3 = 0",
                     "DELETE FROM stored WHERE id = 4", "DELETE FROM always WHERE id = 7",
                     "DELETE FROM default_ WHERE n = 8")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_an_identity_always_column_beside_the_key(world):
    """SQL lets an INSERT override it and an UPDATE not: the row must change all the same."""
    world.both("CREATE TABLE t (k text PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v text)")
    world.source.run("INSERT INTO t (k) SELECT i FROM generate_series(1, 20) i")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t (k) SELECT i FROM generate_series(21, 40) i",
                     "UPDATE t SET v = 'u' WHERE n % 2 = 0", "UPDATE t SET n = DEFAULT WHERE n % 3 = 0",
                     "UPDATE t SET k = 'key ' || k WHERE n = 5", "DELETE FROM t WHERE n = 7")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_source_in_another_encoding(world, source_cluster, encoding):
    source_cluster.drop_database(world.source.name)
    source_cluster.create_database(
        world.source.name, f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    insert = """INSERT INTO "größe" SELECT i, 'für ' || i || ' ÿ£' FROM generate_series(%d, %d) i"""
    world.both('CREATE TABLE "größe" (id int PRIMARY KEY, "wört" text)')
    world.source.run(insert % (1, 50))
    product = world.product().start_streaming()
    world.source.run(insert % (51, 100),
                     """UPDATE "größe" SET "wört" = 'ñ' WHERE id % 7 = 0""",
                     """DELETE FROM "größe" WHERE id % 9 = 0""")
    product.wait_caught_up()
    world.assert_equal('"größe"')
    marks.assert_undisturbed(product)
