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
