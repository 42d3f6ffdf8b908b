"""Types made of other types, between clusters that number them differently: values arrive as they
were, in the copy and in the stream, or a word is said before anything runs."""
import os
import random

import pytest

from world import marks, shapes


def oids(side, *names):
    return [side.value("SELECT %s::regtype::oid::bigint", name) for name in names]


def travels(world, status=0, **config):
    """{column: (how, why)} of all tables, and the formats that `check` prints."""
    result = world.product(**config).command("check", "--json")
    assert result.status == status, result.text
    formats = result.json["formats"]
    return {column["column"]: (column["travels"], column["reason"])
            for table in formats["tables"] for column in table["columns"]}, formats


# -- one table of all types -----------------------------------------------------------------


def columns_of(families):
    """[(column, type, literals)]"""
    return [(f"c{number}", kind, literals) for number, (kind, literals) in enumerate(
        one for family in families for one in shapes.FAMILIES[family].items())]


def wide_rows(columns, first):
    """Every literal of every column; a column with fewer is NULL then."""
    for row in range(max(len(literals) for _, _, literals in columns) + 1):
        values = ", ".join(f"({literals[row]})::{kind}" if row < len(literals) else "NULL"
                           for _, kind, literals in columns)
        yield f"INSERT INTO everything VALUES ({first + row}, {values})"


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
@pytest.mark.parametrize("stream", ["binary", "text"])
def test_a_table_of_all_types(world, stream, identity):
    families = sorted(family for family in shapes.known(world)
                      if stream == "text" or family not in shapes.TEXT_FAMILIES)
    columns = columns_of(families)
    assert len(columns) > (150 if stream == "text" else 120)
    shapes.prepare(world, *families)
    world.both("CREATE TABLE everything (id int PRIMARY KEY, "
               + ", ".join(f"{name} {kind}" for name, kind, _ in columns) + ")")
    world.source.run(f"ALTER TABLE everything REPLICA IDENTITY {identity}",
                     *wide_rows(columns, 1))
    product = world.product()
    _, formats = travels(world)
    assert formats["stream"]["format"] == shapes.stream_format(world, families)
    product.start_streaming()
    world.source.run(*wide_rows(columns, 1001))
    for name, _, _ in columns:
        world.source.run(f"UPDATE everything t SET {name} = n.{name} FROM everything n "
                         "WHERE n.id = (t.id % 1000 * 7) % 9 + 1001 AND t.id > 1")
    world.source.run("DELETE FROM everything WHERE id % 1000 = 2",
                     "UPDATE everything SET id = id + 5000 WHERE id % 1000 = 3")
    product.wait_caught_up()
    world.assert_equal()
    assert not any(product.table("public.everything")["conflicts"].values())


# -- random types ---------------------------------------------------------------------------
    marks.assert_undisturbed(product)


LEAVES = [("int", ["1", "-2147483648", "0"]), ("text", ["''", "'a,b'", "'(\"x\"\\)'", "'NULL'"]),
          ("mood", ["'ok'", "'very happy'", "'O''Neil, \"q\" \\ {x}'"]),
          ("numeric", ["'NaN'", "-0.10", "1e100"]), ("moods", ["'{sad,NULL}'", "'[4:4]={ok}'"]),
          ("hstore", ["'a=>NULL'", "''"]), ("float_range", ["'[1.5,NaN)'", "'empty'"]),
          ("positive", ["7"]), ("xml", ["'<a/>'"]), ("bytea", ["'\\x00ff'"]),
          ("pair_range", ["pair_range(ROW(1, 'a'), NULL)", "'empty'"])]


class Types:
    """Types made at random, and expressions of their values."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.statements = []
        self.made = {}  # name -> function that gives an expression

    def name(self):
        return f"made_{len(self.made)}"

    def draw(self, depth):
        """(type, function)"""
        if depth == 0 or self.dice.random() < 0.2:
            kind, literals = self.dice.choice(LEAVES)
            return kind, lambda: f"({self.dice.choice(literals)})::{kind}"
        return self.dice.choice([self.array, self.composite, self.composite, self.domain])(depth)

    def or_null(self, give):
        return "NULL" if self.dice.random() < 0.2 else give()

    def array(self, depth):
        kind, give = self.draw(depth - 1)
        if kind.endswith("[]"):
            return kind, give  # arrays of arrays are arrays of more dimensions

        def array():
            if self.dice.random() < 0.2:
                return f"'{{}}'::{kind}[]"
            one = [self.or_null(give) for _ in range(self.dice.randrange(1, 4))]
            if self.dice.random() < 0.3:
                return (f"array_fill(({one[0]})::{kind}, ARRAY[{self.dice.randrange(1, 3)}, 2], "
                        f"ARRAY[{self.dice.randrange(-3, 4)}, 5])")
            return f"ARRAY[{', '.join(f'({value})::{kind}' for value in one)}]::{kind}[]"

        return f"{kind}[]", array

    def composite(self, depth):
        fields = [self.draw(depth - 1) for _ in range(self.dice.randrange(1, 4))]
        name = self.name()
        self.statements.append(
            f"CREATE TYPE {name} AS ("
            + ", ".join(f"f{number} {kind}" for number, (kind, _) in enumerate(fields)) + ")")

        def composite():
            return "ROW(" + ", ".join(self.or_null(give) for _, give in fields) + f")::{name}"

        self.made[name] = composite
        return name, composite

    def domain(self, depth):
        kind, give = self.draw(depth - 1)
        name = self.name()
        self.statements.append(f"CREATE DOMAIN {name} AS {kind}")
        self.made[name] = give
        return name, lambda: f"({give()})::{name}"


def test_values_of_random_types(world, nightly):
    seed = int(os.environ.get("UNIT_SEED") or random.randrange(2**32))
    print(f"seed: UNIT_SEED={seed}")
    types = Types(seed)
    columns = [types.draw(4) for _ in range(200 if nightly else 40)]
    shapes.prepare(world)
    world.both(*types.statements, "CREATE TABLE t (id int PRIMARY KEY, "
               + ", ".join(f"c{n} {kind}" for n, (kind, _) in enumerate(columns)) + ")",
               "ALTER TABLE t REPLICA IDENTITY FULL")

    def insert(first):
        for row in range(first, first + 10):
            world.source.run(f"INSERT INTO t VALUES ({row}, "
                             + ", ".join(types.or_null(give) for _, give in columns) + ")")

    insert(1)
    how, formats = travels(world)
    assert formats["stream"]["format"] == "binary", seed
    assert any(way == "binary, OIDs rewritten" for way, _ in how.values()), seed
    product = world.product().start_streaming()
    insert(11)
    for number, (_, give) in enumerate(columns):
        world.source.run(f"UPDATE t SET c{number} = {types.or_null(give)} WHERE id % 3 = 0")
    world.source.run("DELETE FROM t WHERE id % 7 = 0")
    product.wait_caught_up()
    world.assert_equal()


# -- what meets what ------------------------------------------------------------------------


def test_types_are_the_same_by_what_they_are_made_of(world):
    """Another schema, an attribute that was dropped, a domain instead of its base; and the row
    type of a table."""
    world.source.run("CREATE TYPE mood AS ENUM ('a', 'b')", "CREATE DOMAIN counted AS int",
                     "CREATE EXTENSION hstore",
                     "CREATE TYPE part AS (n counted, gone text, m mood)",
                     "ALTER TYPE part DROP ATTRIBUTE gone",
                     "CREATE TABLE recorded (id int PRIMARY KEY, gone int, m mood[])",
                     "ALTER TABLE recorded DROP COLUMN gone",
                     "CREATE TABLE t (id int PRIMARY KEY, p part[], r recorded, h hstore[])")
    world.target.run("CREATE SCHEMA app", "CREATE SCHEMA ext", "CREATE EXTENSION hstore SCHEMA ext",
                     "CREATE TYPE app.mood AS ENUM ('a', 'b')",
                     "CREATE TYPE app.part AS (n int, m app.mood)",
                     "CREATE TABLE recorded (id int PRIMARY KEY, m app.mood[])",
                     "CREATE TABLE t (id int PRIMARY KEY, p app.part[], r recorded, h ext.hstore[])")
    insert = "INSERT INTO t SELECT i, ARRAY[ROW(i, 'b'), NULL]::part[], ROW(i, '{a,b}')::recorded, " \
             "ARRAY['a=>1', NULL]::hstore[] FROM generate_series(%d, %d) i"
    world.source.run(insert % (1, 5))
    how, formats = travels(world, 1)
    assert formats["stream"]["format"] == "binary"
    assert {how[column][0] for column in "prh"} == {"binary, OIDs rewritten"}
    product = world.product().start_streaming()
    world.source.run(insert % (6, 10), "UPDATE t SET h = h || ARRAY[''::hstore] WHERE id < 8")
    product.wait_caught_up()
    world.assert_equal("t")


@pytest.mark.parametrize("fields, word", [
    ("b text, a int", 'field 1 is "a" in public.pair of the source, "b" in public.pair of the target'),
    ("a int, c text", 'field 2 is "b" in public.pair of the source, "c" in public.pair of the target'),
    ("a int", "public.pair has 2 field(s) at the source, public.pair has 1 at the target"),
    ("a bigint, b text", 'field "a" of public.pair is integer at the source, bigint at the target'),
])
def test_composites_that_differ_are_refused(world, fields, word):
    world.source.run("CREATE TYPE pair AS (a int, b text)")
    world.target.run(f"CREATE TYPE pair AS ({fields})")
    world.both("CREATE TYPE holder AS (p pair[])",
               "CREATE TABLE t (id int PRIMARY KEY, h holder[])")
    result = world.product().command("check")
    assert result.status == 2 and word in result.out, result.text
    product = world.product()
    ended = product.run_to_end("--until-caught-up")
    assert ended.status == 2 and word in ended.text.replace('\\"', '"'), ended.text
    assert "slackwater_" not in str(world.leftovers()), "it was refused before anything was made"


def test_check_says_how_each_column_travels_and_which_decides(world):
    world.both("CREATE EXTENSION isn")
    world.target.run("CREATE TYPE earlier AS (n int)")
    world.both("CREATE TYPE mood AS ENUM ('a')",
               "CREATE TABLE t (id int PRIMARY KEY, m mood, ms mood[], b isbn)",
               "CREATE TABLE u (id int PRIMARY KEY, c regclass, cs regclass[])")
    source, target = (oids(side, "mood")[0] for side in (world.source, world.target))
    assert source != target
    how, formats = travels(world)
    assert how == {
        "id": ("binary", ""), "m": ("binary", ""), "b": ("text", "it has no binary form"),
        "ms": ("binary, OIDs rewritten",
               f"public.mood is OID {source} at the source, {target} at the target"),
        "c": ("text", "it holds OIDs of its cluster"),
        "cs": ("text", "regclass in it: it holds OIDs of its cluster")}
    assert formats["stream"]["format"] == "text"
    assert formats["stream"]["reason"] == (
        "public.u.c (regclass: it holds OIDs of its cluster) and 1 more column(s)")
    keepers = [column["column"] for table in formats["tables"] for column in table["columns"]
               if column["keeps_stream_text"]]
    assert keepers == ["c", "cs"]
    text = world.product().command("check").out
    assert "    ms public.mood[]: binary, OIDs rewritten (public.mood is OID" in text
    assert "    c regclass: text (it holds OIDs of its cluster); the stream is text" in text
    assert "    b public.isbn: text (it has no binary form)\n" in text
    how, formats = travels(world, tables=[{"source": "t", "columns": {"b": {"value": None}}}])
    assert how["b"] == ("made", "a constant")
    _, formats = travels(world, tables=[{"source": "t"}])
    assert formats["stream"]["format"] == "binary", "isbn comes as text in any stream"
    where = {"column": "b", "not_in": ["0-393-04002-X"]}
    _, formats = travels(world, tables=[{"source": "t", "where": where}])
    assert formats["stream"]["format"] == "binary"


def test_labels_are_looked_for_wherever_an_enum_lies(world):
    world.source.run("CREATE TYPE mood AS ENUM ('a', 'b')")
    world.target.run("CREATE TYPE mood AS ENUM ('a')")
    world.both("CREATE TYPE part AS (m mood[], again mood)",
               "CREATE TABLE t (id int PRIMARY KEY, p part[])")
    result = world.product().command("check", "--json")
    found = [one for one in result.json["findings"] if one["id"] == "column.enum_labels"]
    assert result.status == 1 and len(found) == 1, result.text
    assert "enum public.mood of column public.t.p lacks 'b'" in found[0]["what"]


# -- one value, several ways ----------------------------------------------------------------


def test_a_value_of_two_targets_and_a_row_that_is_read_again(world):
    """The source's bytes stay as they came: two targets get them, and the row is found again by
    a key that holds OIDs of the source."""
    world.target.run("CREATE TYPE earlier AS (n int)")
    world.both("CREATE TYPE mood AS ENUM ('a', 'b', 'c')",
               "CREATE TABLE t (k mood[] PRIMARY KEY, n int, big text)",
               "ALTER TABLE t ALTER big SET STORAGE EXTERNAL")
    world.target.run("ALTER TABLE t ADD joined text",
                     "CREATE TABLE keys (k mood[] PRIMARY KEY)")
    world.source.run("INSERT INTO t VALUES ('{a}', 1, repeat('x', 5000)), ('{b,NULL}', 2, NULL)")
    product = world.product(tables=[
        {"source": "t", "columns": {"joined": {"template": "{n} {big}"}}},
        {"source": "t", "target": "keys", "drop": ["n", "big"]}]).start_streaming()
    world.source.run("INSERT INTO t VALUES ('{c}', 3, repeat('y', 5000))",
                     "UPDATE t SET n = 10 WHERE k = '{c}'", "UPDATE t SET k = '{c,c}' WHERE n = 10",
                     "UPDATE t SET n = 11 WHERE n = 1", "DELETE FROM t WHERE n = 2")
    product.wait_caught_up()
    world.assert_equal_by({"t": "SELECT k, n, big, n || ' ' || big FROM t",
                           "keys": "SELECT k FROM t"})


def test_a_type_that_changes_under_the_stream_stops_it(world):
    world.target.run("CREATE TYPE earlier AS (n int)")
    world.both("CREATE TYPE part AS (n int)", "CREATE TABLE t (id int PRIMARY KEY, p part[])")
    product = world.product(apply={"on_bad_row": "stop"}).start_streaming()
    world.source.run("ALTER TYPE part ADD ATTRIBUTE m text",
                     "INSERT INTO t VALUES (1, ARRAY[ROW(1, 'lost?')]::part[])")
    assert product.wait_end() == 3
    assert world.target.value("SELECT count(*) FROM t") == 0
    world.target.run("ALTER TYPE part ADD ATTRIBUTE m text")
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()
