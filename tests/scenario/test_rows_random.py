"""Random transactions against every way in which rules say which rows go where, and under what
key: conditions, routes, splits, keys made of several columns, long values that are not sent."""
import contextlib
import random

import pytest

from world import compare, load

SOURCE = """CREATE TABLE items (
    tenant int NOT NULL, id int NOT NULL, code text NOT NULL, state text, at timestamptz,
    note text, extra text, PRIMARY KEY (tenant, id));
    CREATE UNIQUE INDEX items_code ON items (tenant, code)"""
IDENTITIES = {
    "default": ("ALTER TABLE items REPLICA IDENTITY DEFAULT", "{tenant}#{id}",
                "tenant || '#' || id"),
    "full": ("ALTER TABLE items REPLICA IDENTITY FULL", "{tenant}#{id}", "tenant || '#' || id"),
    "full_other_key": ("ALTER TABLE items REPLICA IDENTITY FULL", "{tenant}/{code}",
                       "tenant || '/' || code"),
    "index": ("ALTER TABLE items REPLICA IDENTITY USING INDEX items_code", "{tenant}/{code}",
              "tenant || '/' || code"),
}
COLUMNS = "pk text PRIMARY KEY, state text, at timestamptz, body text, extra text"
DROP = ["tenant", "id", "code", "note"]
MADE = "state, at, coalesce(state, '-') || ':' || note, extra"
STATES = ("live", "old", "gone", None)


def entry(key, target="app.t", **more):
    columns = {"pk": {"template": key}, "body": {"template": "{s}:{note}"},
               "s": {"from": "state", "default": "-"}}
    return {"source": "public.items", "target": target, "columns": columns, "drop": DROP,
            "key": ["pk"], **more}


def with_where(key, sql, condition, holds):
    """`s` is made for the template and kept in a column of its own."""
    return ([f"CREATE TABLE app.t ({COLUMNS}, s text)"], [entry(key, where=condition)],
            {"app.t": f"SELECT {sql}, {MADE}, coalesce(state, '-') FROM items WHERE {holds}"})


def where_state(key, sql):
    return with_where(key, sql, {"column": "state", "not_in": ["gone"]},
                      "state IS DISTINCT FROM 'gone'")


def where_moment(key, sql):
    return with_where(key, sql, {"any": [
        {"column": "at", "greater_or_equal": "2024-01-02T00:00+02", "less": "2024-01-05 12:00Z"},
        {"column": "at", "equals": "infinity"}]},
        "at >= '2024-01-02 00:00+02' AND at < '2024-01-05 12:00+00' OR at = 'infinity'")


def where_long_value(key, sql):
    """The condition hangs on a value that is mostly not sent."""
    return with_where(key, sql, {"all": [{"column": "extra", "is_not_null": True},
                                         {"column": "state", "in": ["live", "old", None]}]},
                      "extra IS NOT NULL AND state IS DISTINCT FROM 'gone'")


def routed(key, sql):
    route = {"column": "state", "map": {"live": "app.live", "old": "app.old", "gone": "drop"},
             "default": "app.rest"}
    rule = entry(key, route=route)
    del rule["target"]
    select = f"SELECT {sql}, {MADE}, coalesce(state, '-') FROM items WHERE"
    return ([f"CREATE TABLE app.{name} ({COLUMNS}, s text)" for name in ("live", "old", "rest")],
            [rule], {"app.live": f"{select} state = 'live'", "app.old": f"{select} state = 'old'",
                     "app.rest": f"{select} state IS NULL"})


def split_into_one(key, sql):
    """Two entries with one target, told apart by a constant of the key."""
    def half(kind, where):
        return {"source": "public.items", "target": "app.t", "key": ["kind", "pk"], "where": where,
                "columns": {"kind": {"value": kind}, "pk": {"template": key},
                            "body": {"from": "note" if kind == "n" else "extra"}},
                "drop": [*DROP, "state", "at", "extra"]}
    return (["CREATE TABLE app.t (kind text, pk text, body text, PRIMARY KEY (kind, pk))"],
            [half("n", {"column": "state", "not_equals": "gone"}),
             half("e", {"column": "extra", "is_not_null": True})],
            {"app.t": f"SELECT 'n', {sql}, note FROM items WHERE state IS DISTINCT FROM 'gone'"
                      f" UNION ALL SELECT 'e', {sql}, extra FROM items WHERE extra IS NOT NULL"})


SHAPES = [where_state, where_moment, where_long_value, routed, split_into_one]


def long_value(dice):
    """Stored outside the row, if it does not stay short; some are compressed only."""
    return dice.choice((None, "", "s", "'q", "x" * 3000,
                        "".join(dice.choice("abcdefgh") for _ in range(6000)),
                        "\u00e9\U0001F600" * 900))


def moment(dice):
    return dice.choice((None, "infinity", "-infinity", "2024-01-01 22:00+00", "2024-01-05 12:00+00",
                        "2024-01-03 10:00+05:30", "0044-03-15 00:00+00 BC", "2024-01-01 21:59:59Z"))


COLUMN_VALUES = {"state": lambda dice: dice.choice(STATES), "at": moment, "note": long_value,
                 "extra": long_value}


def place(dice):
    return {"tenant": dice.randint(1, 2), "id": dice.randint(1, 12)}


def insert(cursor, dice):
    row = {**place(dice), **{name: draw(dice) for name, draw in COLUMN_VALUES.items()}}
    cursor.execute("INSERT INTO items (tenant, id, code, state, at, note, extra) SELECT %(tenant)s,"
                   " %(id)s, 'c' || %(id)s, %(state)s, %(at)s::timestamptz, %(note)s, %(extra)s"
                   " ON CONFLICT DO NOTHING", row)


def update(cursor, dice):
    names = dice.sample(sorted(COLUMN_VALUES), dice.randint(1, 2))
    row = {**place(dice), **{name: COLUMN_VALUES[name](dice) for name in names}}
    sets = ", ".join(f"{name} = %({name})s" for name in names)
    cursor.execute(f"UPDATE items SET {sets} WHERE tenant = %(tenant)s AND id = %(id)s", row)


FREE = ("WHERE tenant = %(tenant)s AND id = %(id)s AND NOT EXISTS (SELECT FROM items o WHERE"
        " o.tenant = %(to)s AND (o.id = %(new)s OR o.code = 'c' || %(new)s))")


def move(cursor, dice):
    """Another key, often with another place in the same change."""
    row = {**place(dice), "to": dice.randint(1, 2), "new": dice.randint(1, 12),
           "state": dice.choice(STATES)}
    more = dice.choice(("", ", state = %(state)s", ", extra = NULL", ", note = 'moved'"))
    cursor.execute(f"UPDATE items SET tenant = %(to)s, id = %(new)s, code = 'c' || %(new)s{more} "
                   + FREE, row)


def half_move(cursor, dice):
    """One of the two keys of the table changes, the other stays."""
    row = {**place(dice), "code": f"c{dice.randint(1, 12)}"}
    cursor.execute("UPDATE items SET code = %(code)s WHERE tenant = %(tenant)s AND id = %(id)s AND"
                   " NOT EXISTS (SELECT FROM items o WHERE o.tenant = %(tenant)s"
                   " AND o.code = %(code)s)", row)


def swap(cursor, dice):
    """Two rows trade keys by way of a third."""
    row = {"tenant": dice.randint(1, 2), "a": dice.randint(1, 12), "b": dice.randint(1, 12)}
    if row["a"] == row["b"]:
        return
    for old, new in (("a", "-1"), ("b", "a"), ("-1", "b")):
        old, new = (f"%({name})s" if name != "-1" else "-1" for name in (old, new))
        cursor.execute(f"UPDATE items SET id = {new}, code = 'swap' || {new} "
                       f"WHERE tenant = %(tenant)s AND id = {old}", row)
    cursor.execute("UPDATE items SET code = 'c' || id WHERE tenant = %(tenant)s AND code LIKE 'swap%%'"
                   " AND NOT EXISTS (SELECT FROM items o WHERE o.tenant = %(tenant)s AND"
                   " o.code = 'c' || items.id)", row)
    cursor.execute("UPDATE items SET code = 'd' || id WHERE code LIKE 'swap%'")


def delete(cursor, dice):
    cursor.execute("DELETE FROM items WHERE tenant = %(tenant)s AND id = %(id)s", place(dice))


def work(cursor, dice):
    for _ in range(dice.randint(1, 6)):
        action = dice.choice((insert, insert, update, update, update, move, half_move, swap, delete))
        action(cursor, dice)


def make(world, shape, identity):
    """The rules, and what the target should hold."""
    alter, key, sql = IDENTITIES[identity]
    tables, rules, expected = shape(key, sql)
    world.source.run(*SOURCE.split(";"), alter)
    world.target.run("CREATE SCHEMA app", *tables)
    return rules, expected


def transactions(world, dice, count):
    with contextlib.closing(world.source.connect()) as connection:
        connection.autocommit = False
        for _ in range(count):
            with connection.cursor() as cursor:
                work(cursor, dice)
            connection.commit()


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_random_transactions(world, shape, identity):
    """One writer, so that the seed replays; the target is compared again and again."""
    rules, expected = make(world, shape, identity)
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    transactions(world, dice, 40)
    product = world.product(tables=rules).start_streaming()
    for _ in range(4):
        transactions(world, dice, 60)
        product.wait_caught_up()
        compare.assert_equal_by(world.source, world.target, expected)
    product.kill9()
    transactions(world, dice, 60)
    product.start_streaming()
    product.wait_caught_up()
    compare.assert_equal_by(world.source, world.target, expected)
    assert world.source.value("SELECT count(*) FROM items") > 5


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("shape", [where_long_value, routed], ids=lambda shape: shape.__name__)
def test_random_writers_and_kills(world, shape, identity):
    """Rows are read again while others write them."""
    rules, expected = make(world, shape, identity)
    with load.Writers(world.source, 3, work) as writers:
        product = world.product(tables=rules)
        for _ in range(3):
            product.start()
            writers.wait_commits(80)
            product.kill9()
        product.start_streaming()
        writers.wait_commits(150)
    product.wait_caught_up()
    compare.assert_equal_by(world.source, world.target, expected)


NO_KEY = "CREATE TABLE bag (n int, state text, at time, note text)"
BAG_RULES = [{"source": "public.bag", "target": "app.bag",
              "where": {"any": [{"column": "at", "less": "12:00"},
                                {"column": "state", "in": ["live", None]}]},
              "columns": {"body": {"template": "{n}:{note}"}}, "drop": ["note"]}]
BAG = ("SELECT n, state, at, n || ':' || note FROM bag"
       " WHERE coalesce(at < '12:00', false) OR state IS NULL OR state = 'live'")


def handle(cursor, dice):
    """Equal rows are many, and one of them is meant."""
    row = {"n": dice.randint(1, 4), "state": dice.choice(STATES), "note": long_value(dice),
           "at": dice.choice(("00:00", "11:59:59.999999", "12:00", "24:00", None))}
    one = "WHERE ctid = (SELECT ctid FROM bag WHERE n = %(n)s LIMIT 1)"
    cursor.execute(dice.choice((
        "INSERT INTO bag VALUES (%(n)s, %(state)s, %(at)s, %(note)s)",
        "INSERT INTO bag SELECT n, state, at, note FROM bag WHERE n = %(n)s LIMIT 2",
        f"UPDATE bag SET state = %(state)s {one}", f"UPDATE bag SET at = %(at)s, n = n % 4 + 1 {one}",
        f"UPDATE bag SET note = %(note)s {one}", f"DELETE FROM bag {one}")).replace(" % ", " %% "), row)


def test_rows_without_a_key(world):
    world.source.run(NO_KEY, "ALTER TABLE bag REPLICA IDENTITY FULL")
    world.target.run("CREATE SCHEMA app",
                     "CREATE TABLE app.bag (n int, state text, at time, body text)")
    with load.Writers(world.source, 2, handle) as writers:
        writers.wait_commits(50)
        product = world.product(tables=BAG_RULES).start()
        writers.wait_commits(100)
        product.kill9()
        product.start_streaming()
        writers.wait_commits(150)
    product.wait_caught_up()
    compare.assert_equal_by(world.source, world.target, {"app.bag": BAG})
