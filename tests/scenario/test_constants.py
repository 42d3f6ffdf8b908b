"""Constants of the file, as values of the databases' own types: what is no value is refused before
anything runs, and what is one is found however it is spelled."""
import pytest

from test_check_live import check, one

SOURCE = ["CREATE TYPE state AS ENUM ('live', 'purged')",
          "CREATE DOMAIN grade AS int CHECK (VALUE BETWEEN 1 AND 6)",
          "CREATE TABLE t (id int PRIMARY KEY, state state, day date, at timestamptz, tags text[],"
          " price numeric(10,2), grade grade, span interval)",
          "INSERT INTO t VALUES (1, 'purged', '2024-01-02', '2024-01-02 00:00Z', '{x}', 1.5, 1, '1 h'),"
          " (2, 'live', '2024-02-03', '2024-02-03 04:05Z', '{y}', 2, 2, '2 h')"]

NO_VALUES = {
    "a label in another spelling": ({"column": "state", "not_in": ["Purged"]}, "did you mean"),
    "no date": ({"column": "day", "equals": "2024-13-45"}, "no value of source column"),
    "no array": ({"column": "tags", "equals": "x"}, "no value of source column"),
    "no number": ({"column": "grade", "in": ["seven"]}, "no value of source column"),
}

SPELLED = [{"column": "at", "equals": "2024-01-02T00:00:00Z"},
           {"column": "tags", "equals": "{ x }"},
           {"column": "price", "equals": "1.500"},
           {"column": "span", "equals": "60 minutes"},
           {"column": "state", "not_in": ["live"]}]


@pytest.fixture
def typed(world):
    world.source.run(*SOURCE)
    world.target.run(*SOURCE[:3])
    return world


@pytest.mark.parametrize("where, word", NO_VALUES.values(), ids=NO_VALUES.keys())
def test_a_condition_that_lists_no_value_is_refused(typed, where, word):
    _, found = check(typed, 2, tables=[{"source": "t", "where": where}])
    assert word in one(found, "rule.condition_value")["what"]
    assert typed.product(tables=[{"source": "t", "where": where}]).run_to_end().status == 2


@pytest.mark.parametrize("where", SPELLED, ids=lambda where: where["column"])
def test_a_condition_finds_a_value_however_it_is_spelled(typed, where):
    typed.product(tables=[{"source": "t", "where": where}]).run_until_caught_up()
    assert typed.target.rows("SELECT id FROM t") == [(1,)]


def test_a_route_finds_a_value_however_it_is_spelled(typed):
    typed.target.run("CREATE TABLE a (LIKE t INCLUDING ALL)")
    typed.product(tables=[{"source": "t", "route": {
        "column": "span", "map": {"60 minutes": "a"}, "default": "drop"}}]).run_until_caught_up()
    assert typed.target.rows("SELECT id FROM a") == [(1,)]


def test_a_map_and_null_if_find_a_value_however_it_is_spelled(typed):
    typed.target.run("CREATE TABLE m (id int PRIMARY KEY, price text, span text, day text)")
    typed.product(tables=[{
        "source": "t", "target": "m", "drop": ["state", "at", "tags", "grade"],
        "columns": {"price": {"map": {"1.5": "low"}, "default": "high"},
                    "day": {"map": {"2024-1-2": "second"}, "default": "other"},
                    "span": {"null_if": "60 minutes", "map": {"120 minutes": "two"}}}}]
        ).run_until_caught_up()
    assert typed.target.rows("SELECT * FROM m ORDER BY id") == [
        (1, "low", None, "second"), (2, "high", "two", "other")]


MADE = {
    "no date": {"day": {"value": "2024-13-45"}},
    "no label": {"state": {"from": "id", "map": {"1": "zzz"}, "default": "live"}},
    "one label of many": {"state": {"from": "id", "map": {"1": "live"}, "default": "zzz"}},
    "a fraction too many": {"price": {"value": "1.234"}},
    "outside the domain": {"grade": {"value": "7"}},
    "too long once made": {"code": {"value": "x", "hash": "sha256"}},
}


@pytest.mark.parametrize("columns", MADE.values(), ids=MADE.keys())
def test_a_constant_that_is_no_value_of_the_targets_column_is_refused(typed, columns):
    typed.target.run("ALTER TABLE t ADD code varchar(10)")
    _, found = check(typed, 2, tables=[{"source": "t", "columns": columns}])
    assert one(found, "rule.value")["severity"] == "breaking"


DISCRIMINATORS = [("numeric", "1", "1.0"), ("date", "2024-01-01", "2024-1-1"), ("citext", "t", "T"),
                  ("char(5)", "a", "a "), ("int", "1", "01"), ("text COLLATE ci", "t", "T")]


def merge(world, type_, first, second):
    world.target.run(
        "CREATE EXTENSION citext", "CREATE COLLATION ci (provider = icu,"
        " locale = 'und-u-ks-level2', deterministic = false)",
        f"CREATE TABLE m (o {type_}, id int, v text, PRIMARY KEY (o, id))")
    for name in ("a", "b"):
        world.source.run(f"CREATE TABLE {name} (id int PRIMARY KEY, v text)",
                         f"INSERT INTO {name} VALUES (1, 'of {name}')")
    return [{"source": name, "target": "m", "key": ["o", "id"], "columns": {"o": {"value": value}}}
            for name, value in (("a", first), ("b", second))]


@pytest.mark.parametrize("type_, first, second", DISCRIMINATORS)
def test_discriminators_that_are_one_value_tell_nothing_apart(world, type_, first, second):
    tables = merge(world, type_, first, second)
    _, found = check(world, 1 if "ci" in type_.split() else 2, tables=tables)
    assert "merge.no_discriminator" in found, found
    result = world.product(tables=tables).run_to_end("--until-caught-up")
    assert (result.status == 2) == ("merge.collision" in found), result.text
    if "ci" in type_.split():
        assert "cannot be counted" in one(found, "merge.no_discriminator")["what"]
    else:
        assert "merge.collision" in found, found


@pytest.mark.parametrize("type_, first, second", [
    ("numeric", "1", "2"), ("date", "2024-01-01", "2024-1-2"), ("citext", "t", "u"),
    ("char(5)", "a", "b"), ("text", "t", "T")])
def test_discriminators_that_differ_tell_rows_apart(world, type_, first, second):
    tables = merge(world, type_, first, second)
    found = {f["id"] for f in world.product(tables=tables).command("check", "--json").json["findings"]}
    assert not found & {"merge.no_discriminator", "merge.collision"}, found
    world.product(tables=tables).run_until_caught_up()
    assert world.target.rows("SELECT v FROM m ORDER BY v") == [("of a",), ("of b",)]
