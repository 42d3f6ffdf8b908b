"""`preview`: real rows before and after the rules, with what made each value; nothing written."""
import json
import re

import pytest

SOURCE = [
    "CREATE TYPE state AS ENUM ('a', 'd')",
    "CREATE TABLE people (id bigint PRIMARY KEY, first_name text, last_name text, state state, "
    "bio text, born timestamptz, note text)",
    """INSERT INTO people VALUES
       (1, 'Ada', 'Lovelace', 'a', NULL, '1815-12-10 00:00Z', 'NULL'),
       (2, '', 'Łukasiewicz 日本語', 'd', E'two\\nlines\\x1b[31m', NULL, NULL)""",
    "CREATE TABLE empty (id int PRIMARY KEY)",
]
TARGET = [
    "CREATE SCHEMA app",
    "CREATE TABLE app.people (tenant_id uuid, id bigint, full_name text, status text, bio text, "
    "born timestamptz, note text, PRIMARY KEY (tenant_id, id))",
    "CREATE TABLE empty (id int PRIMARY KEY)",
]
TENANT = "00000000-0000-0000-0000-000000000001"
RULES = [
    {"source": "people", "target": "app.people", "key": ["tenant_id", "id"],
     "columns": {"tenant_id": {"value": TENANT},
                 "full_name": {"template": "{first_name} {last_name}"},
                 "status": {"from": "state", "map": {"a": "active"}, "default": "unknown"}},
     "drop": ["first_name", "last_name", "state"]},
    {"source": "empty"},
]

@pytest.fixture
def people(world):
    world.source.run(*SOURCE)
    world.target.run(*TARGET)
    return world


def preview(world, *flags, columns=None, tables=RULES):
    product = world.product(tables=tables)
    product.env["LC_ALL"] = "C.UTF-8"
    if columns:
        product.env["COLUMNS"] = str(columns)
    return product.command("preview", *flags)


@pytest.mark.parametrize("columns", (80, 120))
def test_side_by_side(people, columns):
    result = preview(people, columns=columns)
    assert result.status == 0, result.text
    assert all(len(line) <= columns for line in result.out.splitlines()), result.out
    assert re.search(r"^public\.people -> app\.people, row 1$", result.out, re.M)
    assert re.search(r"first_name\s+Ada\s+full_name\s+Ada Lovelace\s+template$", result.out, re.M)
    assert re.search(r"state\s+a\s+status\s+active\s+from, map$", result.out, re.M)
    assert re.search(r"^  id\s+1\s+id\s+1\s+carried$", result.out, re.M)
    assert "empty: no rows" in result.out


def test_null_is_no_text(people):
    out = preview(people).out
    assert re.search(r"bio\s+NULL\s+bio\s+NULL\s+carried", out)
    assert re.search(r'note\s+"NULL"\s+note\s+"NULL"\s+carried', out)
    assert re.search(r'first_name\s+""', out)
    assert r"two\nlines\x1b" in out and "\x1b" not in out


def test_as_json(people):
    document = preview(people, "--json", "--rows", "1", "--table", "public.people").json
    [table] = document["tables"]
    [row] = table["rows"]
    assert table["source"] == "public.people" and row["result"] == "written"
    assert row["before"]["bio"] is None and row["before"]["note"] == "NULL"
    [written] = row["after"]
    columns = {column["column"]: column for column in written["columns"]}
    assert written["target"] == "app.people"
    assert columns["tenant_id"]["value"] == TENANT and columns["tenant_id"]["rule"] == "value"
    assert columns["status"] == {
        "column": "status", "value": "active", "rule": "from, map", "reads": ["state"],
        "where": columns["status"]["where"]}
    assert re.search(r"yaml:\d+:\d+$", columns["status"]["where"])
    assert columns["id"]["rule"] == "carried" and columns["id"]["where"] is None


def test_a_row_that_the_rules_refuse(people):
    rules = [{**RULES[0], "columns": {**RULES[0]["columns"],
                                      "status": {"from": "state", "map": {"a": "active"}}}}]
    result = preview(people, tables=rules)
    assert result.status == 1, result.text
    assert "row 1" in result.out and "REFUSED" in result.out


def test_rows_before_one_that_cannot_be_read(world, source_cluster):
    """The database knows no encoding, and the second row is no UTF-8."""
    name = f"{world.source.name}_ascii"
    source_cluster.create_database(name, "ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        database = source_cluster.database(name)
        database.run("CREATE TABLE t (id int PRIMARY KEY, v text)",
                     r"INSERT INTO t VALUES (1, 'x'), (2, convert_from('\xff41', 'SQL_ASCII'))")
        world.target.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
        config = world.config()
        config["source"]["dsn"] = database.url()
        result = world.product_from(config).command("preview", "--json")
        assert result.status == 2, result.text
        document = json.loads(result.out)
        assert [row["before"] for row in document["tables"][0]["rows"]] == [{"id": "1", "v": "x"}]
        assert "0xff" in document["error"] and "0xff" in result.err
    finally:
        source_cluster.drop_database(name)


def test_nothing_is_written(people):
    """Neither side would let it: both databases are read-only by default."""
    for side in (people.source, people.target):
        side.run(f'ALTER DATABASE "{side.name}" SET default_transaction_read_only = on')
    result = preview(people)
    assert result.status == 0, result.text
    assert people.leftovers() == []
    assert people.target.value("SELECT count(*) FROM app.people") == 0


@pytest.mark.parametrize("flags, words", (
    (["--table", "nobody"], "nobody"),
    (["--rows", "0"], "--rows 0"),
))
def test_refusals(people, flags, words):
    result = preview(people, *flags)
    assert result.status == 2 and words in result.err


def test_rules_that_do_not_bind(people):
    result = preview(people, tables=[{"source": "people", "target": "app.nobody"}])
    assert result.status == 2 and "app.nobody" in result.err
