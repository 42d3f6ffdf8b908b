"""Several migrations into one target: four shops become one, each by a program of its own.

What each carries is its own by a constant in the key. A mistake in that (the same constant twice,
none at all, the same migration's name) is refused, not mixed in silence.
"""
import concurrent.futures

import pytest

from world.product import start_together

SHOP = ["CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL)",
        """CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users,
           total numeric CHECK (total > 0))"""]


def fill(source, name):
    source.run(*SHOP, f"INSERT INTO users SELECT i, '{name}' || i FROM generate_series(1, 50) i",
               "INSERT INTO orders SELECT i, 1 + i % 50, i FROM generate_series(1, 200) i")


def rules(shop, *tables, shape="text"):
    return [{"source": f"public.{table}", "target": f"app.{table}", "key": ["shop", "id"],
             "columns": {"shop": {"value": shop, "type": shape}}}
            for table in tables or ("users", "orders")]


class Shops:
    def __init__(self, world, names):
        self.world = world
        self.sources = {name: world.source if i == 0 else world.further_source()
                        for i, name in enumerate(names)}
        self.programs = {}
        for name, source in self.sources.items():
            fill(source, name)
            self.programs[name] = self.program(name, rules(name))

    def program(self, name, tables, **more):
        source = self.sources[name]
        return self.world.product_from(self.world.config(
            migration=more.pop("migration", f"{self.world.migration}_{name}"), tables=tables,
            source={"dsn": source.url(), "heartbeat": "200ms"}, **more), source=source)

    def start(self):
        """All at once. (A child dies with the thread that made it, so no pool makes them.)"""
        start_together(self.programs.values())

    def everywhere(self, act):
        """act(program) for all of them at the same time."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return list(pool.map(act, self.programs.values()))

    def rows(self, table):
        return sorted((name, *row) for name, source in self.sources.items()
                      for row in source.rows(f"SELECT * FROM {table}"))

    def assert_equal(self):
        for table in ("users", "orders"):
            assert self.world.target.rows(
                f"SELECT * FROM app.{table} ORDER BY 1, 2") == self.rows(table)


def succeed(product, *words):
    result = product.command(*words)
    assert result.status == 0, result.text
    return result


def test_four_at_the_same_time(world):
    """From an empty target, without a control schema: everything begins at once."""
    shops = Shops(world, ["north", "south", "east", "west"])
    for program in shops.programs.values():
        succeed(program, "schema", "--apply", "--phase", "before")
    shops.start()
    for name, source in shops.sources.items():
        source.run("UPDATE users SET name = upper(name) WHERE id % 2 = 0",
                   "DELETE FROM orders WHERE id % 3 = 0",
                   "UPDATE orders SET id = id + 1000 WHERE id % 5 = 0",
                   f"INSERT INTO users VALUES (900, 'late {name}')")
    shops.everywhere(lambda program: program.wait_caught_up())
    shops.assert_equal()
    for program in shops.programs.values():
        succeed(program, "schema", "--apply", "--phase", "after")
    shops.sources["south"].run("TRUNCATE orders")
    shops.programs["south"].wait_caught_up()
    shops.assert_equal()
    shops.programs["east"].stop()
    succeed(shops.programs["east"], "cleanup", "--yes")
    for name in ("north", "south", "west"):
        shops.sources[name].run("UPDATE users SET name = 'after ' || name")
        shops.programs[name].wait_caught_up()
    shops.assert_equal()
    for name in ("north", "south", "west"):
        shops.programs[name].stop()
        succeed(shops.programs[name], "cleanup", "--yes")
    assert world.leftovers() == []


def test_one_begins_where_others_are_under_way(world):
    shops = Shops(world, ["north", "south"])
    north, south = shops.programs.values()
    succeed(north, "schema", "--apply")
    north.start_streaming()
    again = succeed(south, "schema", "--apply")
    assert "made " not in again.out, again.out
    south.start_streaming()
    for source in shops.sources.values():
        source.run("INSERT INTO users VALUES (100, 'x')", "DELETE FROM orders WHERE id < 9")
    shops.everywhere(lambda program: program.wait_caught_up())
    shops.assert_equal()


def test_a_second_shop_of_another_shape_is_refused_by_schema(world):
    shops = Shops(world, ["north", "south"])
    north, south = shops.programs.values()
    succeed(north, "schema", "--apply")
    shops.sources["south"].run("ALTER TABLE orders DROP CONSTRAINT orders_total_check",
                               "ALTER TABLE orders ALTER total TYPE text, ADD remark text")
    result = south.command("schema", "--apply")
    assert result.status == 2 and "app.orders" in result.err, result.text
    assert south.command("check").status == 2


@pytest.mark.parametrize("first, second, shape", (
    ("north", "north", "text"), ("7", "07", "int"),
    ("ab0fd1f8-6cf3-4e8c-8ac8-a7ae5fd4a1ab", "AB0FD1F8-6CF3-4E8C-8AC8-A7AE5FD4A1AB", "uuid"),
))
def test_the_same_constant_twice_is_refused(world, first, second, shape):
    """As the target's type has it, whatever the spelling."""
    shops = Shops(world, ["north", "south"])
    north = shops.program("north", rules(first, shape=shape))
    south = shops.program("south", rules(second, shape=shape))
    succeed(north, "schema", "--apply")
    north.start_streaming()
    before = world.target.rows("SELECT * FROM app.users ORDER BY 1, 2")
    check = south.command("check")
    assert check.status == 2 and f"{world.migration}_north" in check.text, check.text
    assert "target.claimed" in south.command("check", "--json").out
    result = south.run_to_end("--until-caught-up")
    assert result.status == 2 and f"{world.migration}_north" in result.text, result.text
    assert "app.users" in result.text or "app.orders" in result.text
    assert world.target.rows("SELECT * FROM app.users ORDER BY 1, 2") == before
    assert not shops.sources["south"].rows(
        "SELECT FROM pg_replication_slots WHERE database = current_database()")
    north.stop()
    assert south.command("check").status == 2  # it may resume any time
    succeed(north, "cleanup", "--yes")
    assert south.command("check").status < 2


def test_both_begin_at_once_with_the_same_constant(world):
    """One of them wins; the rows of the other are nowhere."""
    shops = Shops(world, ["north", "south"])
    shops.programs["south"] = shops.program("south", rules("north"))
    succeed(shops.programs["north"], "schema", "--apply")
    results = shops.everywhere(lambda program: program.run_to_end("--until-caught-up"))
    assert sorted(result.status for result in results) == [0, 2], results
    winner = "north" if results[0].status == 0 else "south"
    assert world.target.rows("SELECT id, name FROM app.users ORDER BY 1") == \
        shops.sources[winner].rows("SELECT * FROM users ORDER BY 1")


def test_without_a_constant_it_is_refused(world):
    """One that would write, and TRUNCATE, the rows of all."""
    shops = Shops(world, ["north", "south"])
    north = shops.programs["north"]
    succeed(north, "schema", "--apply")
    north.start_streaming()
    south = shops.program("south", [{
        "source": "public.users", "target": "app.users", "key": ["shop", "id"],
        "columns": {"shop": {"from": "name"}}}])
    result = south.run_to_end("--until-caught-up")
    assert result.status == 2 and "app.users" in result.text, result.text


def test_rules_changed_to_anothers_constant_are_refused(world):
    shops = Shops(world, ["north", "south"])
    north, south = shops.programs.values()
    succeed(north, "schema", "--apply")
    for program in (north, south):
        program.run_until_caught_up()
    south.config["tables"] = rules("north")
    result = south.run_to_end("--until-caught-up")
    assert result.status == 2 and f"{world.migration}_north" in result.text, result.text
    shops.assert_equal()


def test_the_same_name_for_two_sources_is_refused(world, target_cluster):
    """Also where the slot's name is free, since the second source is another server."""
    other = world.further_source(target_cluster)
    fill(world.source, "north")
    fill(other, "south")
    north = world.product(tables=rules("north"))
    south = world.product_from(world.config(
        tables=rules("south"), source={"dsn": other.url(), "heartbeat": "200ms"}), source=other)
    succeed(north, "schema", "--apply")
    north.start_streaming()
    running = south.run_to_end("--until-caught-up")
    assert running.status != 0 and "another" in running.text, running.text
    north.stop()
    stopped = south.run_to_end("--until-caught-up")
    assert stopped.status == 4, stopped.text
    assert world.target.value("SELECT count(*) FROM app.users WHERE shop = 'south'") == 0
    assert not other.rows("SELECT FROM pg_publication")
    north.run_until_caught_up()
