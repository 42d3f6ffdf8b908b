"""A change of a parked row never overtakes it, however its key is written and wherever the row goes.

Each case is a row that is refused and then deleted, and a new row of the same key at the target, but
of another spelling. Were that taken for another row, it would be there at once, and the retried
DELETE would take it away.
"""
import pytest

BAD = "CHECK (v <> 'bad')"
MEND = "ALTER TABLE t DROP CONSTRAINT t_v_check"
FOLDED = "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"


def nightly(*case):
    """What goes the same way as another case, which is in every run."""
    return pytest.param(*case, marks=pytest.mark.nightly)


@pytest.mark.parametrize("source,target,first,second", [
    ("numeric", "numeric", "1.0", "1.00"),
    ("citext", "citext", "'a'", "'A'"),
    nightly("text COLLATE folded", "text COLLATE folded", "'a'", "'A'"),
    nightly("float8", "float8", "'0'", "'-0'"),
    nightly("interval", "interval", "'1 mon'", "'30 days'"),
    nightly("numeric[]", "numeric[]", "'{1.0}'", "'{1.00}'"),
    ("text", "citext", "'a'", "'A'"),  # two rows at the source, of which there is one at a time
], ids=lambda value: value.split()[-1].strip("'{}"))
def test_two_spellings_of_a_key_are_one(world, source, target, first, second):
    world.both("CREATE EXTENSION citext", FOLDED)
    world.source.run(f"CREATE TABLE t (id {source} PRIMARY KEY, v text)")
    world.target.run(f"CREATE TABLE t (id {target} PRIMARY KEY, v text {BAD})")
    overtakes_not(world, [f"INSERT INTO t VALUES ({first}, 'bad')", f"DELETE FROM t WHERE id = {first}",
                          f"INSERT INTO t VALUES ({second}, 'new')"])


def overtakes_not(world, changes, **config):
    product = world.product(**config).start_streaming()
    for change in changes:
        world.source.run(change)
    product.wait_caught_up()
    assert world.target.rows("SELECT * FROM t") == []
    product.kill9()  # what is parked is read from the target
    product.start_streaming()
    world.source.run("UPDATE t SET v = 'newer'")
    product.wait_caught_up()
    assert world.target.rows("SELECT * FROM t") == []
    world.target.run(MEND)
    retried = product.command("dlq", "retry", "--all")
    assert retried.status == 0 and "4 applied, 0 parked in all" in retried.out, retried.text
    assert world.target.rows("SELECT v FROM t") == [("newer",)]


def test_another_row_that_takes_over_the_targets_key_waits_too(world):
    """The target finds rows by less than the source: by a part of the old row that REPLICA IDENTITY FULL sends."""
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL UNIQUE, v text)",
                     "ALTER TABLE t REPLICA IDENTITY FULL")
    world.target.run(f"CREATE TABLE t (name text PRIMARY KEY, v text {BAD})")
    overtakes_not(world, ["INSERT INTO t VALUES (1, 'x', 'bad')", "DELETE FROM t WHERE id = 1",
                          "INSERT INTO t VALUES (2, 'x', 'new')"],
                  tables=[{"source": "public.t", "key": ["name"], "drop": ["id"]}])


def test_what_tells_rows_apart_does_so_beside_what_does_not(world):
    """Only rows of the same number wait: not the whole table."""
    world.source.run("CREATE TABLE t (n numeric, f float8, v text, PRIMARY KEY (n, f))")
    world.target.run(f"CREATE TABLE t (n numeric, f float8, v text {BAD}, PRIMARY KEY (n, f))")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (1.0, 1, 'bad')", "INSERT INTO t VALUES (1.00, 2, 'x'), (1.01, 1, 'y')")
    product.wait_caught_up()
    assert world.target.rows("SELECT v FROM t") == [("y",)]


def test_a_copied_row_of_several_targets_is_left_out_alone(world):
    """Its snapshot tells rows apart, whatever the stream may have of them later."""
    world.source.run("CREATE TABLE s (id float8 PRIMARY KEY, a text, b text)",
                     "INSERT INTO s SELECT i, 'a', CASE i WHEN 5 THEN 'bad' ELSE 'b' END FROM generate_series(1, 9) i")
    world.target.run("CREATE TABLE ta (id float8 PRIMARY KEY, a text)",
                     "CREATE TABLE tb (id float8 PRIMARY KEY, b text CHECK (b <> 'bad'))")
    world.product(tables=[{"source": "public.s", "target": "public.ta", "drop": ["b"]},
                          {"source": "public.s", "target": "public.tb", "drop": ["a"]}]).start_streaming()
    for table in ("ta", "tb"):
        assert world.target.value(f"SELECT count(*) FROM {table}") == 8
    assert world.target.rows("SELECT key->>'id' FROM slackwater.dead_letter") == [("5",)]


def rests_with_a_bad_row(world, *tables):
    world.both(*tables)
    world.target.run("ALTER TABLE t ADD CONSTRAINT t_v_check " + BAD)
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (1, 'bad', 1)")
    product.wait_caught_up()
    product.stop()
    return product


@pytest.mark.parametrize("change", ["ADD COLUMN w int", nightly("ALTER n TYPE numeric(5,2)")])
def test_a_whole_row_is_known_by_what_it_had_when_it_was_parked(world, change):
    """A column that came since, or has another type, is in no key that was parked before."""
    product = rests_with_a_bad_row(world, "CREATE TABLE t (id int, v text, n int)",
                                   "ALTER TABLE t REPLICA IDENTITY FULL")
    world.both("ALTER TABLE t " + change)
    world.source.run("UPDATE t SET v = 'new'")
    product.start_streaming()
    product.wait_caught_up()
    assert world.target.rows("SELECT * FROM t") == []
    world.target.run(MEND)
    retried = product.command("dlq", "retry", "--all")
    assert retried.status == 0 and "2 applied, 0 parked in all" in retried.out, retried.text
    world.assert_equal()


def test_rows_that_get_another_key_while_they_are_parked_stop_it_until_they_are_made(world):
    """By the new key nobody could tell that what comes is of the parked row."""
    product = rests_with_a_bad_row(world, "CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL)")
    world.both("ALTER TABLE t DROP CONSTRAINT t_pkey", "ALTER TABLE t ADD PRIMARY KEY (n)")
    world.source.run("UPDATE t SET v = 'new'")
    for _ in range(2):
        result = product.run_to_end("--until-caught-up")
        assert result.status == 3 and "other columns" in result.text and "dlq retry" in result.text, result.text
    assert world.target.rows("SELECT * FROM t") == []
    world.target.run(MEND)
    retried = product.command("dlq", "retry", "--all")
    assert retried.status == 0 and "1 applied, 0 parked in all" in retried.out, retried.text
    product.run_until_caught_up()
    world.assert_equal()
