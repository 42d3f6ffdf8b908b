"""Keys that are different at the source and the same at the target: `check` counts them, a run does
not begin, and the copy does not hide them."""
import pytest

from test_check_live import check, one

COARSER = [
    ("timestamptz", "date", "('2024-01-01 10:00Z'), ('2024-01-01 11:00Z')"),
    ("text", "int", "('1'), ('01')"),
    ("text", "uuid", "('6ba7b810-9dad-11d1-80b4-00c04fd430c8'),"
                     " ('6BA7B810-9dad-11d1-80b4-00c04fd430c8')"),
    ("timestamp", "timestamp(0)", "('2024-01-01 10:00:00.1'), ('2024-01-01 10:00:00.2')"),
    ("numeric", "numeric(10,1)", "(1.01), (1.02)"),
    ("text", "char(5)", "('a'), ('a  ')"),
    ("text", "varchar(3)", "('abc'), ('abc  ')"),
    ("text", "bool", "('t'), ('yes')"),
    ("float8", "float4", "(0.1), (0.10000000001)"),
    ("text", "citext", "('a'), ('A')"),
]


def make(world, source, target, values):
    world.target.run("CREATE EXTENSION citext",
                     f"CREATE TABLE t (id {target} PRIMARY KEY)")
    world.source.run(f"CREATE TABLE t (id {source} PRIMARY KEY)",
                     f"INSERT INTO t VALUES {values}")


@pytest.mark.parametrize("source, target, values", COARSER)
def test_a_key_of_a_coarser_type_is_counted_and_refused(world, source, target, values):
    make(world, source, target, values)
    _, found = check(world, 2)
    assert one(found, "key.may_collide")["validation"] == "1 in its way today", found
    result = world.product().run_to_end("--until-caught-up")
    assert result.status == 2, result.text
    assert "different values of source column \\\"id\\\"" in result.text
    assert world.target.value("SELECT count(*) FROM t") == 0


def test_keys_that_differ_today_run_with_a_warning(world):
    make(world, "text", "citext", "('a'), ('B')")
    _, found = check(world, 1)
    finding = one(found, "key.may_collide")
    assert (finding["severity"], finding["validation"]) == (
        "potentially_breaking", "nothing is in its way today")
    world.product().run_until_caught_up()
    assert world.target.rows("SELECT id FROM t ORDER BY id") == [("a",), ("B",)]


def test_equality_that_only_the_target_knows_is_said(world):
    """No query at the source groups by the target's collation."""
    world.target.run("CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2',"
                     " deterministic = false)", "CREATE TABLE t (id text COLLATE ci PRIMARY KEY)")
    world.source.run("CREATE TABLE t (id text PRIMARY KEY)", "INSERT INTO t VALUES ('a'), ('A')")
    _, found = check(world, 1)
    finding = one(found, "key.may_collide")
    assert "not deterministic" in finding["what"] and "only the target knows" in finding["what"]
    assert finding["validation_query"] == ""


@pytest.mark.parametrize("source, target", [
    ("int", "bigint"), ("bigint", "numeric"), ("uuid", "text"), ("varchar(10)", "text"),
    ("int", "varchar(20)"), ("date", "timestamptz"), ("bigint", "int"), ("timestamptz", "text"),
    ("numeric(10,2)", "numeric(12,4)"), ("citext", "citext"), ("char(4)", "text")])
def test_a_key_that_stays_apart_is_no_finding(world, source, target):
    world.both("CREATE EXTENSION citext")
    world.source.run(f"CREATE TABLE t (id {source} PRIMARY KEY)")
    world.target.run(f"CREATE TABLE t (id {target} PRIMARY KEY)")
    result = world.product().command("check", "--json")
    found = {finding["id"] for finding in result.json["findings"]}
    assert not found & {"key.may_collide", "primary_key.changed", "unique.added"}, found


def test_a_second_unique_of_a_coarser_type_is_counted(world):
    world.target.run("CREATE EXTENSION citext",
                     "CREATE TABLE t (id int PRIMARY KEY, mail citext UNIQUE)")
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, mail text UNIQUE)",
                     "INSERT INTO t VALUES (1, 'a'), (2, 'A'), (3, 'b')")
    _, found = check(world, 2)
    assert one(found, "unique.added")["validation"] == "1 in its way today"


def test_a_made_key_that_the_type_merges(world):
    """The texts differ; the type of the key's column does not tell them apart."""
    world.target.run("CREATE EXTENSION citext", "CREATE TABLE t (pk citext PRIMARY KEY, v int)")
    world.source.run("CREATE TABLE t (id text PRIMARY KEY, v int)",
                     "INSERT INTO t VALUES ('a', 1), ('A', 2)")
    _, found = check(world, 2, tables=[{
        "source": "t", "key": ["pk"], "columns": {"pk": {"template": "T#{id}"}}, "drop": ["id"]}])
    assert one(found, "key.may_collide")["validation"] == "1 in its way today"


@pytest.mark.parametrize("more", ["", ", v int"])
def test_the_copy_refuses_two_rows_with_one_key(world, more):
    """xxh64 has no SQL, so nobody counts before; the copy sees both rows."""
    world.target.run(f"CREATE TABLE t (pk text PRIMARY KEY{more})")
    world.source.run(f"CREATE TABLE t (a text, b text{more}, PRIMARY KEY (a, b))",
                     "INSERT INTO t (a, b) VALUES ('x', 'yz'), ('xy', 'z'), ('q', 'q')")
    tables = [{"source": "t", "key": ["pk"], "drop": ["a", "b"],
               "columns": {"pk": {"template": "{a}{b}", "hash": "xxh64"}}}]
    _, found = check(world, 1, tables=tables)
    assert "cannot be counted" in one(found, "key.may_collide")["what"]
    result = world.product(tables=tables).run_to_end("--until-caught-up")
    assert result.status == 3, result.text
    assert "two source rows have the same key" in result.text and "pk" in result.text
    assert world.target.value("SELECT count(*) FROM t") == 0


def test_a_junction_table_whose_keys_meet_does_not_begin(world):
    world.target.run("CREATE TABLE t (pk text PRIMARY KEY)")
    world.source.run("CREATE TABLE t (a text, b text, PRIMARY KEY (a, b))",
                     "INSERT INTO t VALUES ('x', 'yz'), ('xy', 'z')")
    result = world.product(tables=[{"source": "t", "key": ["pk"], "drop": ["a", "b"],
                                    "columns": {"pk": {"template": "{a}{b}"}}}]
                           ).run_to_end("--until-caught-up")
    assert result.status == 2, result.text
