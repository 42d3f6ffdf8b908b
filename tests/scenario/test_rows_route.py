"""`route`, split and merge: one table into several, several into one."""
import pytest

from world import compare, load

COLUMNS = "id bigint PRIMARY KEY, kind text, n int, note text"
LARGE = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 300))"
ROUTE = [{"source": "public.items",
          "route": {"column": "kind", "map": {"a": "app.a", "b": "app.b", "x": "drop"},
                    "default": "app.other"}}]
ROUTED = {
    "app.a": "SELECT * FROM items WHERE kind = 'a'",
    "app.b": "SELECT * FROM items WHERE kind = 'b'",
    "app.other": "SELECT * FROM items WHERE kind IS NULL OR kind NOT IN ('a', 'b', 'x')",
}


def fill(table, first, last):
    return f"""INSERT INTO {table} SELECT i, (ARRAY['a','b','x','q',NULL])[1 + i % 5], i,
               CASE WHEN i % 3 = 0 THEN {LARGE} ELSE 'n' || i END
               FROM generate_series({first}, {last}) i"""


@pytest.fixture(params=["DEFAULT", "FULL"])
def routed(request, world):
    world.source.run(f"CREATE TABLE items ({COLUMNS})",
                     f"ALTER TABLE items REPLICA IDENTITY {request.param}", fill("items", 1, 200))
    world.target.run("CREATE SCHEMA app",
                     *[f"CREATE TABLE {name} ({COLUMNS})" for name in ROUTED])
    return world


def assert_routed(world):
    compare.assert_equal_by(world.source, world.target, ROUTED)


def test_rows_move_between_tables(routed):
    product = routed.product(tables=ROUTE).start_streaming()
    product.wait_caught_up()
    assert_routed(routed)
    routed.source.run(
        "UPDATE items SET kind = 'b' WHERE kind = 'a' AND id % 2 = 0",
        "UPDATE items SET kind = 'x' WHERE id % 7 = 0",
        "UPDATE items SET kind = NULL, id = id + 1000 WHERE id % 9 = 0",
        "UPDATE items SET n = -n WHERE id % 3 = 0",
        "DELETE FROM items WHERE id % 8 = 0",
        "BEGIN; UPDATE items SET kind = 'a' WHERE id = 2; UPDATE items SET kind = 'b' WHERE id = 2;"
        "UPDATE items SET kind = 'a', id = 5000 WHERE id = 2; COMMIT", fill("items", 3001, 3050))
    product.wait_caught_up()
    assert_routed(routed)
    conflicts = product.table("public.items")["conflicts"]
    assert set(conflicts.values()) == {0}, conflicts
    assert product.table("public.items")["target"] == "app.a, app.b, app.other"
    routed.source.run("TRUNCATE items", fill("items", 1, 10))
    product.wait_caught_up()
    assert_routed(routed)


def test_killed_at_any_time(routed):
    def work(cursor, dice):
        row = dice.randint(1, 400)
        choice = dice.randrange(5)
        if choice == 0:
            cursor.execute(f"INSERT INTO items VALUES (%s, 'a', 1, {LARGE}) "
                           "ON CONFLICT DO NOTHING", (row,))
        elif choice == 1:
            cursor.execute("DELETE FROM items WHERE id = %s", (row,))
        elif choice == 2:
            cursor.execute("UPDATE items SET id = id + 1000 WHERE id = %s", (row,))
        else:
            cursor.execute("UPDATE items SET kind = %s, n = %s WHERE id = %s",
                           (dice.choice(("a", "b", "x", "q", None)), dice.randint(0, 9), row))

    with load.Writers(routed.source, 2, work) as writers:
        product = routed.product(tables=ROUTE)
        for _ in range(4):
            product.start()
            writers.wait_commits(60)
            product.kill9()
        product.start_streaming()
        writers.wait_commits(100)
    product.wait_caught_up()
    assert_routed(routed)


def test_a_value_without_a_route_stops_the_run_and_resumes_when_it_has_one(world):
    world.source.run(f"CREATE TABLE items ({COLUMNS})")
    world.target.run("CREATE SCHEMA app", f"CREATE TABLE app.a ({COLUMNS})")
    rules = [{"source": "public.items", "route": {"column": "kind", "map": {"a": "app.a"}}}]
    product = world.product(tables=rules, apply={"on_bad_row": "stop"}).start_streaming()
    world.source.run("INSERT INTO items VALUES (1, 'a', 1, ''), (2, 'z', 2, '')")
    assert product.wait_end() == 3
    assert "route has no entry" in product.log_text()
    rules[0]["route"]["default"] = "drop"
    product.start_streaming()
    product.wait_caught_up()
    compare.assert_equal_by(world.source, world.target,
                            {"app.a": "SELECT * FROM items WHERE kind = 'a'"})


# -- split -------------------------------------------------------------------------------------

SPLIT = [
    {"source": "public.people", "target": "app.person", "drop": ["street", "bio"]},
    {"source": "public.people", "target": "app.address", "drop": ["name", "bio"],
     "columns": {"person": {"from": "id"}}, "key": ["person"],
     "where": {"column": "street", "is_not_null": True}},
    {"source": "public.people", "target": "app.texts", "key": ["kind", "id"],
     "columns": {"kind": {"value": "bio"}, "body": {"from": "bio"}},
     "drop": ["name", "street", "bio"]},
    {"source": "public.notes", "target": "app.texts", "key": ["kind", "id"],
     "columns": {"kind": {"value": "note"}}},
]
SPLIT[1]["drop"].append("id")
SPLIT_EXPECTED = {
    "app.person": "SELECT id, name FROM people",
    "app.address": "SELECT id, street FROM people WHERE street IS NOT NULL",
    "app.texts": "SELECT 'bio', id, bio FROM people UNION ALL SELECT 'note', id, body FROM notes",
}


@pytest.fixture
def split(world):
    world.source.run(
        "CREATE TABLE people (id bigint PRIMARY KEY, name text, street text, bio text)",
        "CREATE TABLE notes (id bigint PRIMARY KEY, body text)",
        f"""INSERT INTO people SELECT i, 'n' || i, CASE WHEN i % 3 > 0 THEN 's' || i END,
            CASE WHEN i % 2 = 0 THEN {LARGE} END FROM generate_series(1, 90) i""",
        "INSERT INTO notes SELECT i, 'body' || i FROM generate_series(1, 90) i")
    world.target.run(
        "CREATE SCHEMA app", "CREATE TABLE app.person (id bigint PRIMARY KEY, name text)",
        "CREATE TABLE app.address (person bigint PRIMARY KEY, street text NOT NULL)",
        "CREATE TABLE app.texts (kind text, id bigint, body text, PRIMARY KEY (kind, id))")
    return world


def test_a_table_is_split_and_merged_at_once(split):
    product = split.product(tables=SPLIT).start_streaming()
    product.wait_caught_up()
    split.assert_equal_by(SPLIT_EXPECTED)
    split.source.run("UPDATE people SET street = NULL WHERE id % 4 = 0",
                     "UPDATE people SET street = 'new' WHERE id % 6 = 0",
                     "UPDATE people SET id = id + 500 WHERE id % 7 = 0",
                     "UPDATE notes SET id = -id WHERE id % 5 = 0",
                     "DELETE FROM people WHERE id % 9 = 0", "DELETE FROM notes WHERE id = 1",
                     "INSERT INTO people VALUES (1001, 'x', NULL, 'y')")
    product.wait_caught_up()
    split.assert_equal_by(SPLIT_EXPECTED)
    split.source.run("TRUNCATE people", "INSERT INTO people VALUES (1, 'a', 'b', 'c')")
    product.wait_caught_up()
    split.assert_equal_by(SPLIT_EXPECTED)  # the notes among the texts are still there
    metrics = product.http("/metrics")[2]
    assert 'source="public.people",target="app.person, app.address, app.texts"' in metrics


def test_a_copy_killed_between_its_targets_begins_again(split):
    split.target.run("SET SESSION AUTHORIZATION DEFAULT")
    with load.Stall(split.target, "app.texts", "NEW.kind = 'bio' AND NEW.id = 50") as stall:
        product = split.product(tables=SPLIT).start()
        stall.wait_reached()
        product.kill9()
    assert split.target.value("SELECT count(*) FROM app.person") == 0
    product.start_streaming()
    product.wait_caught_up()
    split.assert_equal_by(SPLIT_EXPECTED)


# -- merge -------------------------------------------------------------------------------------

def tenants(world, numbers):
    for number in numbers:
        world.source.run(f"CREATE SCHEMA tenant_{number}",
                         f"CREATE TABLE tenant_{number}.orders (id bigint PRIMARY KEY, total int)",
                         f"INSERT INTO tenant_{number}.orders SELECT i, i * {number} "
                         "FROM generate_series(1, 50) i")


def test_tenants_are_merged_by_a_pattern(world):
    tenants(world, (1, 2, 3))
    world.target.run("CREATE SCHEMA app", """CREATE TABLE app.orders (
        tenant text, id bigint, total int, PRIMARY KEY (tenant, id))""")
    product = world.product(tables=[{
        "source": "tenant_(*).orders", "target": "app.orders", "exclude": ["tenant_3.*"],
        "columns": {"tenant": {"value": "t\\1"}}}]).start_streaming()
    world.source.run("UPDATE tenant_1.orders SET id = id + 100 WHERE id % 2 = 0",
                     "DELETE FROM tenant_2.orders WHERE id % 3 = 0", "TRUNCATE tenant_1.orders",
                     "INSERT INTO tenant_1.orders VALUES (7, 7)")
    product.wait_caught_up()
    world.assert_equal_by({"app.orders": """
        SELECT 't1', id, total FROM tenant_1.orders
        UNION ALL SELECT 't2', id, total FROM tenant_2.orders"""})


def test_each_schema_to_a_table_of_its_own(world):
    tenants(world, (1, 2))
    world.source.run("CREATE TABLE plain (id int PRIMARY KEY)", "INSERT INTO plain VALUES (1)",
                     "CREATE TABLE left_out (id int PRIMARY KEY)")
    world.target.run("CREATE SCHEMA app", "CREATE TABLE plain (id int PRIMARY KEY)",
                     *[f'CREATE TABLE app."{n}_orders" (id bigint PRIMARY KEY, total int)'
                       for n in (1, 2)])
    product = world.product(tables=[
        {"source": "public.*", "exclude": ["public.left_*"]},
        {"source": "tenant_(*).orders", "target": "app.\\1_orders"}]).start_streaming()
    world.source.run("UPDATE tenant_2.orders SET total = 0", "INSERT INTO plain VALUES (2)")
    product.wait_caught_up()
    world.assert_equal_by({"plain": "SELECT * FROM plain",
                           'app."1_orders"': "SELECT * FROM tenant_1.orders",
                           'app."2_orders"': "SELECT * FROM tenant_2.orders"})


def test_keys_that_collide_are_found_before_the_run(world):
    tenants(world, (1, 2))
    world.target.run("CREATE SCHEMA app",
                     "CREATE TABLE app.orders (id bigint PRIMARY KEY, total int)")
    rules = [{"source": "tenant_*.orders", "target": "app.orders"}]
    result = world.product(tables=rules).command("check")
    assert result.status == 2, result.text
    assert "50 key(s) stand in more than one of tenant_1.orders, tenant_2.orders" in result.text
    assert world.product(tables=rules).run_to_end().status == 2
    assert world.leftovers() == []
    world.source.run("UPDATE tenant_2.orders SET id = id + 1000")
    product = world.product(tables=rules).start_streaming()
    product.wait_caught_up()
    merged = "SELECT * FROM tenant_1.orders UNION ALL SELECT * FROM tenant_2.orders"
    world.assert_equal_by({"app.orders": merged})
    world.source.run("TRUNCATE tenant_1.orders")  # whose rows are these?
    assert product.wait_end() == 3
    assert "cannot be told" in product.log_text()
