"""`sql`: expressions that the target evaluates inside the write, in the copy and in the stream."""
import re

import pytest

from world import compare

LARGE = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 300))"

PEOPLE = """CREATE TABLE people (id int PRIMARY KEY, first_name text, last_name text, age int,
    bio text, extra text, code char(6), mood mood, tags text[], doc jsonb, born timestamptz)"""
MOOD = "CREATE TYPE mood AS ENUM ('sad', 'ok')"
TARGET = [
    "CREATE SCHEMA app",
    """CREATE TABLE app.people (id int PRIMARY KEY, sort_name varchar(60), age_group smallint,
        digest text, both_texts text, code text, mood text, tag text, a int, year int,
        born timestamptz)""",
]
DROP = ["first_name", "last_name", "age", "bio", "extra", "tags", "doc"]
COLUMNS = {
    "sort_name": {"sql": "upper(last_name) || ', ' || left(first_name, 1) -- as in the index"},
    "age_group": {"sql": "width_bucket(age, 0, 100, 10)"},
    "digest": {"sql": "md5(bio)"},
    "both_texts": {"sql": "md5(bio) || '/' || length(extra) || '/' || coalesce(age, 0)"},
    "code": {"sql": "code || '|'"},
    "mood": {"sql": "upper(mood::text)"},
    "tag": {"sql": "array_to_string(tags, '+', '?')"},
    "a": {"sql": "(doc->>'a')::int + 1"},
    "year": {"sql": "extract(year FROM born)"},
}
RULES = [{"source": "people", "target": "app.people", "drop": DROP, "columns": COLUMNS}]
EXPECTED = {"app.people": """
    SELECT id, upper(last_name) || ', ' || left(first_name, 1), width_bucket(age, 0, 100, 10),
           md5(bio), md5(bio) || '/' || length(extra) || '/' || coalesce(age, 0), code || '|',
           upper(mood::text), array_to_string(tags, '+', '?'), (doc->>'a')::int + 1,
           extract(year FROM born)::int, born FROM people"""}


def fill(first, last):
    return f"""INSERT INTO people SELECT i, 'Ж' || i, CASE WHEN i % 7 <> 0 THEN
        'O''Neil "' || i || E'" \\\\ {{x}}, NULL' END, nullif(i % 50, 7), {LARGE},
        CASE WHEN i % 2 = 0 THEN {LARGE} END, 'c' || i, 'ok', ARRAY['a', NULL, 'b,"' || i],
        '{{"a": 4}}', '1999-12-31 23:59:59.5+00' FROM generate_series({first}, {last}) i"""


def assert_equal(world):
    compare.assert_equal_by(world.source, world.target, EXPECTED)


@pytest.fixture
def people(world):
    world.source.run(MOOD, PEOPLE, fill(1, 60))
    world.target.run(*TARGET)
    return world


CHANGES = [
    fill(61, 80),
    "UPDATE people SET last_name = 'Neu' WHERE id % 5 = 0",       # bio and extra are not sent
    "UPDATE people SET age = age + 1 WHERE id % 3 = 0",           # both_texts: partly unchanged
    f"UPDATE people SET bio = {LARGE} WHERE id % 4 = 0",          # extra is not sent
    "UPDATE people SET id = id + 1000 WHERE id % 11 = 0",         # a key change, nothing else
    "UPDATE people SET id = id + 2000, age = 3 WHERE id % 13 = 0",
    "UPDATE people SET extra = NULL, bio = NULL WHERE id % 17 = 0",
    "DELETE FROM people WHERE id < 4",
    "BEGIN; INSERT INTO people (id, bio) VALUES (9000, 'b'); UPDATE people SET age = 9 "
    "WHERE id = 9000; UPDATE people SET id = 9001 WHERE id = 9000; COMMIT",
]


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_in_the_copy_and_in_the_stream(people, identity):
    people.source.run(f"ALTER TABLE people REPLICA IDENTITY {identity}")
    product = people.product(tables=RULES).start_streaming()
    product.wait_caught_up()
    assert_equal(people)
    people.source.run(*CHANGES)
    product.wait_caught_up()
    assert_equal(people)
    product.stop()
    assert product.command("check").status == 0
    for side in (people.source, people.target):
        assert side.cluster.complaints(side.name) == ""


def test_over_rows_that_the_application_wrote(people):
    people.target.run("INSERT INTO app.people (id, sort_name, year) VALUES (1, 'mine', 1), "
                      "(-1, 'only here', 2)")
    people.product(tables=RULES).run_until_caught_up()
    assert people.target.rows("SELECT sort_name FROM app.people WHERE id = -1") == [("only here",)]
    people.target.run("DELETE FROM app.people WHERE id = -1")
    assert_equal(people)


def test_an_unchanged_input_leaves_the_column_out_of_the_write(people):
    """The column is not made anew from what was not sent: what stands there stays."""
    columns = {name: COLUMNS[name] for name in COLUMNS if name != "both_texts"}
    rules = [{**RULES[0], "columns": columns}]
    product = people.product(tables=rules).start_streaming()
    product.wait_caught_up()
    people.target.run("UPDATE app.people SET digest = 'mine' WHERE id <= 2")
    people.source.run("UPDATE people SET first_name = 'x', age = 44 WHERE id = 1",
                      "UPDATE people SET id = 200, last_name = 'y' WHERE id = 2")
    product.wait_caught_up()
    assert people.target.rows("SELECT digest, sort_name FROM app.people WHERE id IN (1, 200) "
                              "ORDER BY id") == [
        ("mine", people.source.value("SELECT upper(last_name) || ', x' FROM people WHERE id = 1")),
        ("mine", "Y, Ж")]


def test_without_plpgsql_at_the_target(people):
    people.target.run("DROP EXTENSION plpgsql")
    people.product(tables=RULES).run_until_caught_up()
    assert_equal(people)


@pytest.mark.parametrize("identity", ["FULL", "DEFAULT"])
def test_a_table_without_a_key(world, identity):
    """FULL: rows are found by what the expression makes of the old values. DEFAULT: only
    inserts are carried; the copy is staged without a key."""
    world.source.run("CREATE TABLE log (n int, what text)",
                     f"ALTER TABLE log REPLICA IDENTITY {identity}",
                     "INSERT INTO log SELECT i % 5, 'w' || i % 3 FROM generate_series(1, 30) i")
    world.target.run("CREATE TABLE log (n int, short varchar(3), half numeric)")
    rules = [{"source": "log", "drop": ["what"], "columns": {
        "short": {"sql": "upper(what)"}, "half": {"sql": "n / 2.0"}}}]
    product = world.product(tables=rules).start_streaming()
    world.source.run("INSERT INTO log VALUES (7, 'new'), (NULL, NULL)")
    if identity == "FULL":
        world.source.run(
            "UPDATE log SET n = 6 WHERE ctid = (SELECT min(ctid) FROM log WHERE n = 1)",
            "UPDATE log SET what = 'z' WHERE n IS NULL",
            "DELETE FROM log WHERE ctid IN (SELECT min(ctid) FROM log GROUP BY what)")
    product.wait_caught_up()
    compare.assert_equal_by(world.source, world.target, {
        "log": "SELECT n, upper(what)::varchar(3), n / 2.0 FROM log"})


def test_each_row_gets_a_volatile_value_of_its_own(world):
    world.source.run("CREATE TABLE t (id int PRIMARY KEY)",
                     "INSERT INTO t SELECT generate_series(1, 100)")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, u uuid)")
    columns = {"u": {"sql": "gen_random_uuid()"}}
    product = world.product(tables=[{"source": "t", "columns": columns}])
    check = product.command("check")
    assert check.status == 1 and "volatile" in check.out, check.text
    product.run_until_caught_up()
    assert world.target.value("SELECT count(DISTINCT u) FROM t") == 100


def test_types_that_the_target_has_and_has_not(world):
    """An enum with its order, a domain, an extension's operators; an enum that is text there."""
    world.both("CREATE EXTENSION citext", "CREATE TYPE size AS ENUM ('small', 'big')",
               "CREATE DOMAIN cents AS int")
    world.source.run(MOOD, "CREATE TABLE t (id int PRIMARY KEY, s size, m mood, c citext, "
                           "d cents)",
                     "INSERT INTO t VALUES (1, 'small', 'ok', 'AbC', 5)")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, s bool, m text, c bool, d numeric)")
    columns = {"s": {"sql": "s < 'big'"}, "m": {"sql": "upper(m)"}, "c": {"sql": "c = 'aBc'"},
               "d": {"sql": "d / 100.0"}}
    product = world.product(tables=[{"source": "t", "columns": columns}]).start_streaming()
    world.source.run("INSERT INTO t VALUES (2, 'big', 'sad', 'x', 7)",
                     "UPDATE t SET s = 'big', c = 'ABC' WHERE id = 1")
    product.wait_caught_up()
    assert world.target.rows("SELECT id, s, m, c, d::text FROM t ORDER BY id") == [
        (1, False, "OK", True, "0.05000000000000000000"),
        (2, False, "SAD", False, "0.07000000000000000000")]


def test_a_sub_select_reads_the_target(world):
    """Also where its table is called like a column of the source: the column is what is meant."""
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, names text)",
                     "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    world.target.run("CREATE TABLE names (k text, v text)",
                     "INSERT INTO names VALUES ('a', 'Anna'), ('b', 'Bert')",
                     "CREATE TABLE t (id int PRIMARY KEY, name text, own text)")
    columns = {"name": {"sql": "(SELECT v FROM public.names WHERE k = \"names\")"},
               "own": {"sql": "(SELECT v FROM public.names WHERE names::text = k)"}}
    product = world.product(tables=[{"source": "t", "drop": ["names"], "columns": columns}])
    product.start_streaming()
    world.source.run("UPDATE t SET names = 'b' WHERE id = 1", "INSERT INTO t VALUES (3, 'c')")
    product.wait_caught_up()
    assert world.target.rows("SELECT id, name, own FROM t ORDER BY id") == [
        (1, "Bert", "Bert"), (2, "Bert", "Bert"), (3, None, None)]


def test_rows_that_enter_and_leave_partitions_and_targets(people):
    """With where and route, and a partitioned target."""
    people.target.run(
        "CREATE TABLE app.young (id int, sort_name text, size int) PARTITION BY RANGE (id)",
        "ALTER TABLE app.young ADD PRIMARY KEY (id)",
        "CREATE TABLE app.young1 PARTITION OF app.young FOR VALUES FROM (MINVALUE) TO (30)",
        "CREATE TABLE app.young2 PARTITION OF app.young FOR VALUES FROM (30) TO (MAXVALUE)")
    columns = {"sort_name": COLUMNS["sort_name"], "size": {"sql": "length(bio) + length(code)"}}
    rules = [{**RULES[0], "where": {"column": "age", "greater_or_equal": 30}},
             {"source": "people", "target": "app.young", "columns": columns,
              "drop": ["first_name", "last_name", "age", "bio", "extra", "code", "mood", "tags",
                       "doc", "born"], "where": {"column": "age", "less": 30}}]
    product = people.product(tables=rules).start_streaming()
    people.source.run(*CHANGES, "UPDATE people SET age = 60 - age WHERE id % 2 = 0")
    product.wait_caught_up()
    compare.assert_equal_by(people.source, people.target, {
        "app.people": EXPECTED["app.people"] + " WHERE age >= 30",
        "app.young": "SELECT id, upper(last_name) || ', ' || left(first_name, 1), "
                     "length(bio) + length(code) FROM people WHERE age < 30"})


def test_the_rights_that_it_takes(people):
    writer = people.role(people.target, "writer")
    people.target.run(
        f"GRANT CREATE ON DATABASE {people.target.name} TO {writer}",
        f"GRANT USAGE ON SCHEMA app TO {writer}", f"GRANT ALL ON app.people TO {writer}",
        f"REVOKE TEMPORARY ON DATABASE {people.target.name} FROM PUBLIC",
        "CREATE FUNCTION app.f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
        "REVOKE EXECUTE ON FUNCTION app.f FROM PUBLIC")
    rules = [{**RULES[0], "columns": {**COLUMNS, "tag": {"sql": "app.f(last_name)"}}}]
    product = people.product(target={"dsn": people.target.url(writer)}, tables=rules)
    assert "permission denied for function f" in product.command("check").out
    people.target.run(f"GRANT EXECUTE ON FUNCTION app.f TO {writer}")
    check = product.command("check")
    assert check.status == 2 and "may not make temporary tables" in check.out, check.text
    people.target.run(f"GRANT TEMPORARY ON DATABASE {people.target.name} TO {writer}")
    product.run_until_caught_up()
    assert people.target.value("SELECT tag FROM app.people WHERE id = 1") == \
        people.source.value("SELECT last_name FROM people WHERE id = 1")
    assert product.command("cleanup", "--yes").status == 0
    people.target.run(f"DROP OWNED BY {writer}")


# --- a row that an expression fails on ---

PRICES = ["CREATE TABLE prices (id int PRIMARY KEY, total int, n int, label text)"]
PRICES_TARGET = ["CREATE TABLE prices (id int PRIMARY KEY, code text, each int, number int)"]
PRICES_RULES = [{"source": "prices", "drop": ["total", "n", "label"], "columns": {
    "code": {"sql": "upper(label)"}, "each": {"sql": "total / n"},
    "number": {"sql": "label::int"}}}]


@pytest.mark.parametrize("row,column,why", [
    ("(2, 10, 0, '7')", "each", "division by zero"),
    ("(2, 10, 1, '5x')", "number", "invalid input syntax for type integer")])
def test_a_failing_expression_stops_the_stream_at_its_row(world, row, column, why):
    world.source.run(*PRICES)
    world.target.run(*PRICES_TARGET)
    product = world.product(tables=PRICES_RULES, apply={"on_bad_row": "stop"}).start_streaming()
    world.source.run("INSERT INTO prices VALUES (1, 10, 2, '5')",
                     f"INSERT INTO prices VALUES {row}",
                     "INSERT INTO prices VALUES (3, 9, 3, '6')")
    assert product.wait_end() == 3
    text = product.log_text()
    assert re.search(rf"insert on public.prices at LSN [0-9A-F]+/[0-9A-F]+ .*the sql of column "
                     rf"{column}: target: {why}", text), text
    assert world.target.rows("SELECT id, each FROM prices") in ([(1, 5)], [])
    world.source.run("UPDATE prices SET n = 5, label = '5' WHERE id = 2")
    mended = {"each": {"sql": "CASE WHEN n <> 0 THEN total / n END"},
              "number": {"sql": "CASE WHEN label ~ '^[0-9]+$' THEN label::int END"},
              "code": {"sql": "upper(label)"}}
    product = world.product(tables=[{**PRICES_RULES[0], "columns": mended}]).start_streaming()
    product.wait_caught_up()
    assert "the rules have changed since the last run" in product.log_text()
    assert world.target.rows("SELECT id, each, number FROM prices ORDER BY id") == [
        (1, 5, 5), (2, 2, 5), (3, 3, 6)]


def test_a_failing_expression_stops_the_copy_and_is_named(world):
    world.source.run(*PRICES, "INSERT INTO prices VALUES (1, 1, 1, '1'), (2, 1, 0, '1')")
    world.target.run(*PRICES_TARGET)
    result = world.product(tables=PRICES_RULES, apply={"on_bad_row": "stop"}).run_to_end("--until-caught-up")
    assert result.status == 3
    assert "loading table public.prices: the sql of column each: target: division by zero" \
        in result.text, result.text
    assert world.target.rows("SELECT * FROM prices") == []


def test_a_constraint_is_not_blamed_on_an_expression(world):
    world.source.run(*PRICES)
    world.target.run(*PRICES_TARGET, "ALTER TABLE prices ADD CHECK (each < 100)")
    product = world.product(tables=PRICES_RULES, apply={"on_bad_row": "stop"}).start_streaming()
    world.source.run("INSERT INTO prices VALUES (1, 500, 1, '1')")
    assert product.wait_end() == 3
    assert "the sql of column" not in product.log_text()
    assert "prices_each_check" in product.log_text()


# --- what is refused before anything runs ---

NO_EXPRESSIONS = [
    ("sort_name", "upper(lastname)", 'column "lastname" does not exist'),
    ("sort_name", "last_name; DROP TABLE app.people", "syntax error"),
    ("sort_name", "last_name); DROP TABLE app.people; --", "syntax error"),
    ("sort_name", "1) FROM (SELECT 1) AS q UNION SELECT (2", "not one expression by itself"),
    ("sort_name", "'a' END, CASE WHEN true THEN 'b'", "syntax error"),
    ("sort_name", "last_name, first_name", "not one expression by itself"),
    ("sort_name", "last_name /* without an end", "unterminated /* comment"),
    ("sort_name", "'without an end", "unterminated quoted string"),
    ("sort_name", "-- nothing", "syntax error"),
    ("sort_name", "max(last_name)", "an aggregate"),
    ("sort_name", "count(*) OVER ()", "a window function"),
    ("sort_name", "unnest(tags)", "a set of rows"),
    ("sort_name", "$1", "there is no parameter"),
    ("sort_name", "row_to_json(\"slackwater source row\")::text", "does not exist"),
    ("sort_name", "(WITH x AS (DELETE FROM app.people RETURNING id) SELECT min(id)::text FROM x)",
     "data-modifying statement"),
    ("a", "1/0", "division by zero"),
    ("a", "tags", "but expression is of type text[]"),
    ("a", "'12'", "but expression is of type text"),
    ("sort_name", "(SELECT string_agg(sort_name::text, ',') FROM app.sort_name)",
     "column of the target table"),
]


def test_what_is_no_scalar_expression_is_refused(people):
    people.target.run("CREATE TABLE app.sort_name (x int)")
    for column, expression, why in NO_EXPRESSIONS:
        rules = [{**RULES[0], "columns": {**COLUMNS, column: {"sql": expression}}}]
        product = people.product(tables=rules)
        check = product.command("check")
        assert check.status == 2 and why in check.out, check.text
        assert re.search(r"slackwater\.yaml:\d+:\d+: sql: ", check.out), check.text
        assert "FROM (SELECT" not in check.out, check.out  # our own text around it
        assert product.run_to_end("--until-caught-up").status == 2
    assert people.leftovers() == []
    assert people.target.rows("SELECT count(*) FROM app.people") == [(0,)]


def test_a_generated_column_and_a_key_are_refused(world):
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, n int, "
                     "g int GENERATED ALWAYS AS (n * 2) STORED)")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, g int)")
    rules = {"source": "t", "drop": ["n"], "columns": {"g": {"sql": "g + 1"}}}
    result = world.product(tables=[rules]).command("check")
    assert result.status == 2 and "is generated: its values are not in the stream" in result.out
    rules["columns"] = {"id": {"sql": "id + 1"}}
    result = world.product(tables=[rules]).command("check", "--json")
    assert result.status == 2 and "key.sql" in [f["id"] for f in result.json["findings"]]


def test_check_counts_rows_through_the_expression(people):
    people.target.run("ALTER TABLE app.people ADD CHECK (age_group < 3)")
    found = [f for f in people.product(tables=RULES).command("check", "--json").json["findings"]
             if f["id"] == "check.added"]
    rows = people.source.value(
        "SELECT count(*) FROM people WHERE width_bucket(age, 0, 100, 10) >= 3")
    assert found and found[0]["validation"] == f"{rows} in its way today", found


# --- preview and schema ---

def test_preview_asks_the_target_and_writes_nothing(people):
    rules = [{**RULES[0], "columns": {**COLUMNS, "tag": {"sql": "random()::text"}}}]
    product = people.product(tables=rules)
    row = product.command("preview", "--json", "--rows", "1").json["tables"][0]["rows"][0]
    values = {c["column"]: (c["value"], c["rule"]) for c in row["after"][0]["columns"]}
    assert values["sort_name"] == ("O'NEIL \"1\" \\ {X}, NULL, Ж", "sql")
    assert values["age_group"] == ("1", "sql") and values["year"] == ("1999", "sql")
    assert values["tag"] == ("(made anew by each write)", "sql")
    assert people.target.rows("SELECT count(*) FROM app.people") == [(0,)]
    people.source.run("UPDATE people SET doc = '{\"a\": \"x\"}'")
    result = product.command("preview", "--rows", "1")
    assert result.status == 1 and "REFUSED: target column app.people.a: target: invalid input" \
        in result.out, result.text


def test_schema_makes_the_columns_of_the_expressions_types(world):
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, a int, b text)",
                     "INSERT INTO t VALUES (1, 2, 'x')")
    columns = {"half": {"sql": "a / 2.0"}, "many": {"sql": "ARRAY[a, id]"},
               "named": {"sql": "b || a", "type": "varchar(20)"}}
    product = world.product(tables=[{"source": "t", "target": "t2", "drop": ["a", "b"],
                                     "columns": columns}])
    applied = product.command("schema", "--apply")
    assert applied.status == 0, applied.text
    assert world.target.rows("""SELECT attname::text, format_type(atttypid, atttypmod)
        FROM pg_attribute WHERE attrelid = 't2'::regclass AND attnum > 1 ORDER BY 1""") == [
        ("half", "numeric"), ("many", "integer[]"), ("named", "character varying(20)")]
    product.run_until_caught_up()
    assert world.target.rows("SELECT half::float, many, named FROM t2") == [(1.0, [2, 1], "x2")]


def test_schema_asks_for_a_type_where_the_source_cannot_tell(world):
    world.source.run("CREATE TABLE t (id int PRIMARY KEY)")
    product = world.product(tables=[{"source": "t", "columns": {"x": {"sql": "app.f(id)"}}}])
    result = product.command("schema")
    assert result.status == 2 and "x: { sql: ..., type: ... }" in result.text, result.text
