"""`where`: rows enter and leave the target as their values say, whatever the stream tells of the
old row, and whatever is killed."""
import pytest

from world import compare, load

TABLE = """CREATE TABLE {name} (
    id bigint PRIMARY KEY, state text, amount numeric(12,2), note text)"""
LARGE = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 300))"

IDENTITIES = {
    "default": "ALTER TABLE items REPLICA IDENTITY DEFAULT",
    "full": "ALTER TABLE items REPLICA IDENTITY FULL",
}
CONDITIONS = {
    "not_in": ({"column": "state", "not_in": ["purged"]}, "state IS DISTINCT FROM 'purged'"),
    "key": ({"column": "id", "greater": 50}, "id > 50"),
    "any": ({"any": [{"column": "amount", "less_or_equal": 10},
                     {"all": [{"column": "state", "in": ["live", None]},
                              {"column": "note", "is_not_null": True}]}]},
            "coalesce(amount <= 10, false) OR "
            "((state = 'live' OR state IS NULL) AND note IS NOT NULL)"),
}

CHANGES = [
    "UPDATE items SET state = 'purged' WHERE id % 5 = 0",
    "UPDATE items SET state = 'live' WHERE id % 10 = 0",        # enters; note is not sent
    "UPDATE items SET amount = amount + 9 WHERE id % 3 = 0",
    "UPDATE items SET id = id + 200, state = 'live' WHERE id BETWEEN 20 AND 30",
    "UPDATE items SET id = id - 200, state = 'purged' WHERE id BETWEEN 95 AND 99",
    "UPDATE items SET note = NULL WHERE id % 7 = 0",
    f"UPDATE items SET note = {LARGE} WHERE id % 14 = 0",
    "DELETE FROM items WHERE id % 11 = 0",
    "BEGIN; INSERT INTO items VALUES (9001, 'live', 1, 'x'); "
    "UPDATE items SET state = 'purged' WHERE id = 9001; "
    "UPDATE items SET state = 'live', id = 9002 WHERE id = 9001; COMMIT",
]


def fill(first, last):
    return f"""INSERT INTO items SELECT i, (ARRAY['live','purged','new',NULL])[1 + i % 4], i % 40,
               CASE WHEN i % 3 = 0 THEN {LARGE} ELSE 'n' || i END
               FROM generate_series({first}, {last}) i"""


def make(world, identity):
    world.source.run(TABLE.format(name="items"), IDENTITIES[identity])
    world.target.run("CREATE SCHEMA app", TABLE.format(name="app.items"))


def rules(condition):
    return [{"source": "public.items", "target": "app.items", "where": condition}]


def assert_equal(world, condition):
    compare.assert_equal_by(world.source, world.target,
                            {"app.items": f"SELECT * FROM items WHERE {condition}"})


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("name", CONDITIONS)
def test_rows_enter_and_leave(world, name, identity):
    condition, sql = CONDITIONS[name]
    make(world, identity)
    world.source.run(fill(1, 100))
    product = world.product(tables=rules(condition)).start_streaming()
    product.wait_caught_up()
    assert_equal(world, sql)
    for change in CHANGES:
        world.source.run(change)
    product.wait_caught_up()
    assert_equal(world, sql)
    stream = product.table("public.items")["stream"]
    assert stream["applied"] > 0
    conflicts = product.table("public.items")["conflicts"]
    assert set(conflicts.values()) == {0}, conflicts


@pytest.mark.parametrize("identity", IDENTITIES)
def test_killed_at_any_time(world, identity):
    """Copy and stream, killed again and again under load."""
    condition, sql = CONDITIONS["any"]
    make(world, identity)
    world.source.run(fill(1, 300))

    def work(cursor, dice):
        row = dice.randint(1, 600)
        choice = dice.randrange(6)
        if choice == 0:
            cursor.execute("INSERT INTO items VALUES (%s, 'live', %s, %s) ON CONFLICT DO NOTHING",
                           (row, dice.randint(0, 40), "x" * dice.choice((1, 4000))))
        elif choice == 1:
            cursor.execute("DELETE FROM items WHERE id = %s", (row,))
        elif choice == 2:
            cursor.execute("UPDATE items SET id = id + 1000 WHERE id = %s", (row,))
        elif choice == 3:
            cursor.execute(f"UPDATE items SET note = {LARGE} WHERE id = %s", (row,))
        else:
            cursor.execute("UPDATE items SET state = %s, amount = %s WHERE id = %s",
                           (dice.choice(("live", "purged", None)), dice.randint(0, 40), row))

    with load.Writers(world.source, 2, work) as writers:
        product = world.product(tables=rules(condition))
        for _ in range(4):
            product.start()
            writers.wait_commits(60)
            product.kill9()
        product.start_streaming()
        writers.wait_commits(100)
    product.wait_caught_up()
    assert_equal(world, sql)


def test_a_template_of_a_value_that_was_not_sent(world):
    """Read again from the source; what changed it since follows in the stream."""
    world.source.run(TABLE.format(name="items"), fill(1, 30))
    world.target.run("CREATE SCHEMA app", TABLE.format(name="app.items"))
    product = world.product(tables=[{
        "source": "public.items", "target": "app.items",
        "columns": {"note": {"template": "{state}:{note}"}}}]).start_streaming()
    world.source.run("UPDATE items SET state = 'other' WHERE id % 2 = 0",
                     "BEGIN; UPDATE items SET state = 'then gone' WHERE id = 3; "
                     "DELETE FROM items WHERE id = 3; COMMIT",
                     "BEGIN; UPDATE items SET state = 'moves' WHERE id = 6; "
                     "UPDATE items SET id = 60 WHERE id = 6; COMMIT")
    product.wait_caught_up()
    compare.assert_equal_by(world.source, world.target, {
        "app.items": "SELECT id, state, amount, state || ':' || note FROM items"})


def test_check_says_what_a_condition_outside_the_identity_costs(world):
    make(world, "default")
    condition, _ = CONDITIONS["not_in"]
    result = world.product(tables=rules(condition)).command("check")
    assert "an old row cannot be judged" in result.text
    assert "REPLICA IDENTITY FULL" in result.text


# -- types that have an order -------------------------------------------------------------------

ORDERED = {  # column: (type, condition, the same in SQL, values)
    "d": ("date", {"greater": "0044-03-15 BC", "less_or_equal": "2024-02-29"},
          "d > '0044-03-15 BC' AND d <= '2024-02-29'",
          ("'infinity'", "'-infinity'", "'2024-02-29'", "'2024-03-01'", "'0044-03-15 BC'",
           "'0044-03-16 BC'", "'5874897-12-31'", "NULL")),
    "t": ("time", {"greater_or_equal": "23:59:59.999999"}, "t >= '23:59:59.999999'",
          ("'24:00'", "'23:59:59.999999'", "'23:59:59.999998'", "'00:00'", "NULL")),
    "ts": ("timestamp(3)", {"less": "2024-02-29T12:00:00.001"}, "ts < '2024-02-29 12:00:00.001'",
           ("'-infinity'", "'2024-02-29 12:00:00.0005'", "'2024-02-29 12:00'", "'infinity'", "NULL")),
    "tz": ("timestamptz", {"greater_or_equal": "2024-02-29 01:00+05:30", "not_equals": "infinity"},
           "tz >= '2024-02-29 01:00+05:30' AND tz <> 'infinity'",
           ("'2024-02-28 19:30+00'", "'2024-02-28 19:29:59+00'", "'2024-02-28 12:00-08'",
            "'infinity'", "'294276-12-31 00:00+00'", "NULL")),
    "u": ("uuid", {"less": "80000000-0000-0000-0000-000000000000"},
          "u < '80000000-0000-0000-0000-000000000000'",
          ("'7fffffff-ffff-ffff-ffff-ffffffffffff'", "'80000000000000000000000000000000'", "NULL")),
    "b": ("bytea", {"greater": r"\x00ff"}, r"b > '\x00ff'",
          (r"'\x00ff'", r"'\x00ff00'", r"'\x'", r"'\xff'", "NULL")),
    "f": ("bool", {"greater": False}, "f > false", ("true", "false", "NULL")),
    "c": ('text COLLATE "C"', {"less": "a"}, "c < 'a'", ("'Z'", "'a'", "'ä'", "''", "'B'", "NULL")),
    "m": ("moment", {"in": ["2024-01-01 02:00+02", None]},
          "m = '2024-01-01 00:00+00' OR m IS NULL",
          ("'2023-12-31 19:00-05'", "'2024-01-01 00:00:00.000001+00'", "NULL")),
}


@pytest.mark.parametrize("stream", ["binary", "text"])
def test_types_that_have_an_order(world, stream):
    """A target for each type; copied, inserted, and updated into and out of each."""
    odd = ", x xml" if stream == "text" else ""
    columns = ", ".join(f"{name} {kind[0]}" for name, kind in ORDERED.items())
    most = max(len(kind[3]) for kind in ORDERED.values())
    row = ["(" + ", ".join([str(i), *(kind[3][i % len(kind[3])] for kind in ORDERED.values())]) + ")"
           for i in range(most)]
    world.both("CREATE DOMAIN moment AS timestamptz")
    world.source.run(f"CREATE TABLE items (id int PRIMARY KEY, {columns}{odd})",
                     f"INSERT INTO items VALUES {', '.join(row)}")
    tables, expected = [], {}
    for name, (kind, condition, sql, _) in ORDERED.items():
        world.target.run(f"CREATE TABLE t_{name} (id int PRIMARY KEY, v {kind}{odd})")
        tables.append({"source": "items", "target": f"t_{name}", "columns": {"v": {"from": name}},
                       "drop": list(ORDERED), "where": {"column": name, **condition}})
        expected[f"t_{name}"] = f"SELECT id, {name}{', x' if odd else ''} FROM items WHERE {sql}"
    product = world.product(tables=tables)
    assert f"the stream carries values as {stream}" in product.command("check").out
    product.start_streaming()
    product.wait_caught_up()
    compare.assert_equal_by(world.source, world.target, expected)
    world.source.run("INSERT INTO items SELECT id + 100, "
                     f"{', '.join(ORDERED)}{', x' if odd else ''} FROM items")
    for name, (kind, _, _, values) in ORDERED.items():
        turned = " ".join(f"WHEN {i} THEN {value}" for i, value in enumerate(values[1:] + values[:1]))
        world.source.run(f"UPDATE items SET {name} = CAST(CASE id % {len(values)} {turned} END"
                         f" AS {kind.split(' ')[0]}) WHERE id < 100")
    product.wait_caught_up()
    compare.assert_equal_by(world.source, world.target, expected)


@pytest.mark.parametrize("condition, message", [
    ({"column": "at", "greater": "2024-01-01"}, "write a moment with its zone"),
    ({"column": "at", "less": "yesterday"}, '"yesterday" is no value of source column "at"'),
    ({"column": "state", "less": "m"}, 'COLLATE "C"'),
    ({"column": "span", "greater": "1 day"}, "have no order that is known here"),
])
def test_what_cannot_be_compared_is_refused(world, condition, message):
    world.both("CREATE TABLE items (id int PRIMARY KEY, state text, at timestamptz, span interval)")
    result = world.product(tables=[{"source": "items", "where": condition}]).command("check")
    assert result.status == 2 and message in result.text, result.text
