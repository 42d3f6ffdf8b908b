"""What people do to the schema, the publication and the rules while a migration is under way."""
import pytest

from world import compare, load, wait

T = "CREATE TABLE t (id int PRIMARY KEY, v text)"


@pytest.mark.parametrize("statements", [
    ["INSERT INTO parent SELECT i, 'p' FROM generate_series(101, 110) i",
     "INSERT INTO child SELECT i, 'c', 'w' FROM generate_series(105, 115) i"],
    ["UPDATE parent SET v = 'both'", "UPDATE ONLY parent SET v = 'parent only' WHERE id < 8",
     "UPDATE child SET v = 'child' WHERE id < 7"],
    ["DELETE FROM parent WHERE id = 7", "DELETE FROM ONLY parent WHERE id = 8",
     "DELETE FROM child WHERE id = 9", "UPDATE ONLY parent SET id = 90 WHERE id = 6"],
    ["TRUNCATE ONLY parent"], ["TRUNCATE child"], ["TRUNCATE parent"]],
    ids=["insert", "update", "delete", "truncate-only-parent", "truncate-child", "truncate-both"])
def test_a_parent_and_its_inheriting_children_are_tables_of_their_own(world, statements):
    """What says "parent" means the children too unless it says ONLY: in the copy, and in writes."""
    world.both("CREATE TABLE parent (id int PRIMARY KEY, v text)",
               "CREATE TABLE child (w text, PRIMARY KEY (id)) INHERITS (parent)")
    world.source.run("INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 10) i",
                     "INSERT INTO child SELECT i, 'c', 'w' FROM generate_series(5, 15) i")
    product = world.product().start_streaming()
    world.source.run(*statements)
    product.wait_caught_up()
    for table in ("ONLY parent", "child"):
        query = compare.whole_rows(table)
        compare.assert_same_rows(world.source, query, world.target, query, table)


def test_row_security_hides_no_row_from_the_copy_in_silence(world):
    world.both(T)
    role = world.role(world.source, "owner", "REPLICATION")
    world.source.run("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 10) i",
                     f"GRANT CREATE ON DATABASE {world.source.name} TO {role}",
                     f"ALTER TABLE t OWNER TO {role}",
                     "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
                     "ALTER TABLE t FORCE ROW LEVEL SECURITY",
                     "CREATE POLICY half ON t USING (id <= 5)")
    product = world.product(source={"dsn": world.source.url(role)})
    result = product.run_to_end("--until-caught-up")
    if result.status == 0:
        world.assert_equal()
    else:
        assert result.status in (2, 3) and "public.t" in result.text, result.text
    product.command("cleanup", "--yes")
    world.source.run(f"REASSIGN OWNED BY {role} TO postgres", f"DROP OWNED BY {role}")


def wait_go(product):
    wait.until(lambda: product.http("/cutover")[0] == 200, "GO", 30)


def withdrawn(product):
    """The run ended by itself, or does not say GO any more."""
    return not product.alive() or product.http("/cutover")[0] == 503


def test_a_table_taken_out_of_the_publication_is_noticed(world):
    """Its changes are lost from then on: the verdict must not stay GO."""
    world.both(T, "CREATE TABLE u (id int PRIMARY KEY)")
    product = world.product().start_streaming()
    wait_go(product)
    world.source.run(f"ALTER PUBLICATION {world.object_name} DROP TABLE t",
                     "INSERT INTO t VALUES (1, 'not published')", "INSERT INTO u VALUES (1)")
    wait.until(lambda: withdrawn(product), "NO-GO, or an end with a message", 30)


def test_a_dropped_publication_is_noticed(world):
    world.both(T)
    product = world.product().start_streaming()
    wait_go(product)
    world.source.run(f"DROP PUBLICATION {world.object_name}", "INSERT INTO t VALUES (1, 'lost')")
    wait.until(lambda: withdrawn(product), "NO-GO, or an end with a message", 30)


def test_a_table_renamed_at_the_source_stops_it_or_goes_on_under_its_rule(world):
    world.both(T)
    product = world.product().start_streaming()
    wait_go(product)
    world.source.run("INSERT INTO t VALUES (1, 'before')", "ALTER TABLE t RENAME TO other",
                     "INSERT INTO other VALUES (2, 'after')")
    wait.until(lambda: world.target.value("SELECT 1 FROM t WHERE id = 2") or withdrawn(product),
               "a stop, the row, or NO-GO", 30)
    wait.until(lambda: not product.alive() or world.target.value("SELECT v FROM t WHERE id = 1")
               == "before", "the row from before")


def test_a_table_added_on_both_sides_after_the_start_is_copied_or_named(world):
    """The next run sees a table that it has never copied."""
    world.both(T)
    product = world.product()
    product.run_until_caught_up()
    world.both("CREATE TABLE late (id int PRIMARY KEY)")
    world.source.run("INSERT INTO late VALUES (1)", "INSERT INTO t VALUES (1, 'x')")
    result = product.run_to_end("--until-caught-up")
    if result.status == 0:
        world.assert_equal()
    else:
        assert result.status == 2 and "late" in result.text, result.text


def test_rules_changed_after_the_copy_are_refused_or_carried_through(world):
    """Old rows by the old rule, new rows by the new one: that would be no image of the source."""
    world.source.run(T, "INSERT INTO t VALUES (1, 'x')")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, v text, k text)")

    def rules(template):
        return [{"source": "public.t", "target": "public.t",
                 "columns": {"k": {"template": template}}}]

    product = world.product(tables=rules("old-{id}"))
    product.run_until_caught_up()
    world.source.run("INSERT INTO t VALUES (2, 'y')")
    product.config["tables"] = rules("new-{id}")
    result = product.run_to_end("--until-caught-up")
    kinds = {row[0] for row in world.target.rows("SELECT left(k, 3) FROM t")}
    assert result.status == 2 or len(kinds) == 1 or "rule" in result.text.lower(), (
        f"{kinds} side by side and nothing said:\n{result.text}")


def test_rows_that_stood_at_the_target_before(world):
    """The application may dual-write: the source wins its keys, others stay, and it is said."""
    world.both(T)
    world.source.run("INSERT INTO t VALUES (1, 'source'), (2, 'source')")
    world.target.run("INSERT INTO t VALUES (1, 'old'), (99, 'stray')")
    product = world.product()
    assert product.command("check").status == 1
    result = product.run_until_caught_up()
    assert "public.t" in result.text and "holds rows" in result.text, result.text
    assert world.target.rows("SELECT * FROM t ORDER BY id") == [
        (1, "source"), (2, "source"), (99, "stray")]


def test_extra_columns_at_the_target_keep_what_the_application_wrote(world):
    world.source.run(T, "INSERT INTO t SELECT i, 'x' FROM generate_series(1, 10) i")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, v text, extra int DEFAULT 7, "
                     "made text GENERATED ALWAYS AS (v || '!') STORED)")
    product = world.product().start_streaming()
    product.wait_caught_up()
    world.target.run("UPDATE t SET extra = 8 WHERE id = 1")
    world.source.run("UPDATE t SET v = 'y' WHERE id = 1", "INSERT INTO t VALUES (20, 'z')")
    product.wait_caught_up()
    assert world.target.rows("SELECT * FROM t WHERE id IN (1, 2, 20) ORDER BY id") == [
        (1, "y", 8, "y!"), (2, "x", 7, "x!"), (20, "z", 7, "z!")]


def test_types_that_differ_and_fit(world):
    """Wider, narrower where the values allow it, text (as the type prints) for anything."""
    world.source.run("CREATE TYPE mood AS ENUM ('a', 'b')", """
        CREATE TABLE t (id int PRIMARY KEY, i int, n numeric(10,2), m mood, ts timestamp, j json,
                        c char(5), v varchar(10), u uuid, b boolean, a int[])""",
                     """INSERT INTO t SELECT i, i, i * 1.5, 'a', '2024-01-01', '{"x":  1}', 'abc', 'v',
                        gen_random_uuid(), true, ARRAY[i] FROM generate_series(1, 10) i""")
    world.target.run("""
        CREATE TABLE t (id bigint PRIMARY KEY, i numeric, n text, m text, ts date, j jsonb,
                        c text, v varchar(5), u text, b text, a text)""")
    product = world.product().start_streaming()
    world.source.run("""INSERT INTO t SELECT id + 100, -i, n, 'b', ts, j, c, v, u, false, a FROM t""",
                     "UPDATE t SET n = NULL, i = 7, c = 'x', b = NULL WHERE id % 2 = 0",
                     "UPDATE t SET id = -id WHERE id % 3 = 0", "DELETE FROM t WHERE id = 5")
    product.wait_caught_up()
    world.assert_equal_by({"t": """SELECT id::bigint, i::numeric, n::text, m::text, ts::date,
                                   j::jsonb, trim(c), v, u::text, left(b::text, 1),
                                   a::text FROM t"""})


@pytest.mark.parametrize("flag", ["--no-stream", "--no-backfill"])
def test_half_a_run_and_then_the_other_half(world, flag):
    world.both(T)
    world.source.run("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 10) i")
    product = world.product()
    if flag == "--no-stream":
        assert product.run_to_end(flag).status == 0
        world.assert_equal()
    else:
        world.target.run("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 10) i")
        assert product.run_to_end(flag, "--until-caught-up").status == 0
    world.source.run("INSERT INTO t VALUES (11, 'y')", "DELETE FROM t WHERE id = 1")
    product.run_until_caught_up()
    world.assert_equal()


def test_until_caught_up_ends_under_load(world):
    """What the source held at its start is the goal, not a moving one."""
    world.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(world.source, 1000)
    product = world.product()
    with load.Writers(world.source, 3, load.accounts_work(1000)) as writers:
        for _ in range(3):
            writers.wait_commits(50)
            product.run_until_caught_up(timeout=40)
    product.run_until_caught_up()
    world.assert_equal()
