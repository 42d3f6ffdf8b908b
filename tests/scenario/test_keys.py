"""Changes of keys, and values that trade places under unique indexes."""
from world import marks

DEFERRABLE = ("CREATE TABLE t (id int, v text, note text, "
              "PRIMARY KEY (id) DEFERRABLE INITIALLY IMMEDIATE)")


def fill(world, rows=20):
    world.source.run(f"INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, {rows}) i")


def test_a_key_change_moves_the_row(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    fill(world)
    product = world.product().start_streaming()
    world.source.run("UPDATE t SET id = 100 WHERE id = 1",
                     "UPDATE t SET id = 200, v = 'both' WHERE id = 2",
                     "UPDATE t SET id = -id WHERE id < 10",
                     "BEGIN; UPDATE t SET id = 300 WHERE id = 11; UPDATE t SET id = 11 WHERE id = 300;"
                     "UPDATE t SET id = 301 WHERE id = 12; DELETE FROM t WHERE id = 301;"
                     "INSERT INTO t VALUES (12, 'again'); UPDATE t SET id = 302 WHERE id = 12; COMMIT")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_a_key_change_takes_the_columns_of_others_along(world):
    """The application has a column of its own at the target; a missing row is still inserted."""
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.target.run("""CREATE TABLE t (id int PRIMARY KEY, v text, own text DEFAULT 'new',
                        number int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (id * 2) STORED)""")
    fill(world, 5)
    product = world.product().start_streaming()
    world.target.run("UPDATE t SET own = 'of ' || id", "DELETE FROM t WHERE id = 4")
    numbers = dict(world.target.rows("SELECT id, number FROM t"))
    world.source.run("UPDATE t SET id = 100 + id", "UPDATE t SET id = 300, v = 'w' WHERE id = 103")
    product.wait_caught_up()
    rows = world.target.rows("SELECT id, v, own, number, twice FROM t WHERE id <> 104 ORDER BY id")
    assert rows == [(101, "v1", "of 1", numbers[1], 202), (102, "v2", "of 2", numbers[2], 204),
                    (105, "v5", "of 5", numbers[5], 210), (300, "w", "of 3", numbers[3], 600)]
    assert world.target.rows("SELECT v, own FROM t WHERE id = 104") == [("v4", "new")]
    assert product.table("public.t")["conflicts"]["update_missing"] == 1


def test_a_chain_of_key_changes_that_walks_over_the_places_just_left(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    fill(world)
    product = world.product().start_streaming()
    walk = "; ".join(f"UPDATE t SET id = {number + 1} WHERE id = {number}"
                     for number in range(20, 0, -1))
    world.source.run(f"BEGIN; {walk}; COMMIT")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_delete_and_insert_of_the_same_key_in_one_transaction(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    fill(world)
    product = world.product().start_streaming()
    world.source.run("BEGIN; DELETE FROM t; INSERT INTO t SELECT i, 'new' FROM generate_series(5, 30) i;"
                     "DELETE FROM t WHERE id > 25; COMMIT")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_keys_swapped_through_a_third_value(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    fill(world)
    product = world.product().start_streaming()
    for _ in range(3):
        world.source.run("BEGIN; UPDATE t SET id = -1 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2;"
                         "UPDATE t SET id = 2 WHERE id = -1; COMMIT")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_keys_swapped_by_one_statement_under_a_deferrable_key(world):
    """A deferrable key is no replica identity, so the whole row is."""
    world.both(DEFERRABLE)
    world.source.run("ALTER TABLE t REPLICA IDENTITY FULL")
    fill(world)
    product = world.product().start_streaming()
    world.source.run("UPDATE t SET id = 3 - id WHERE id IN (1, 2)",
                     "UPDATE t SET id = id + 1",
                     "UPDATE t SET note = 'n' WHERE id = 5",
                     "DELETE FROM t WHERE id = 6")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_a_swap_that_the_targets_key_cannot_take_stops_before_it(world):
    """The target's key is not deferrable: two rows cannot trade keys there one by one."""
    world.source.run(DEFERRABLE, "ALTER TABLE t REPLICA IDENTITY FULL")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, v text, note text)")
    fill(world)
    product = world.product(apply={"on_bad_row": "stop"}).start_streaming()
    world.source.run("BEGIN; UPDATE t SET note = 'first' WHERE id = 9;"
                     "UPDATE t SET id = 3 - id WHERE id IN (1, 2); COMMIT")
    marks.assert_ended(product, 3, "public.t", "t_pkey")
    assert world.target.value("SELECT count(*) FROM t WHERE note = 'first'") == 0
    world.target.run("ALTER TABLE t DROP CONSTRAINT t_pkey",
                     "ALTER TABLE t ADD PRIMARY KEY (id) DEFERRABLE")
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()


def test_values_that_trade_places_under_a_secondary_unique_index(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text, "
               "CONSTRAINT u UNIQUE (v) DEFERRABLE INITIALLY IMMEDIATE)")
    fill(world)
    product = world.product().start_streaming()
    world.source.run(
        "UPDATE t SET v = CASE id WHEN 1 THEN 'v2' ELSE 'v1' END WHERE id IN (1, 2)",
        "BEGIN; UPDATE t SET v = NULL WHERE id = 3; UPDATE t SET v = 'v3' WHERE id = 4;"
        "UPDATE t SET v = 'v4' WHERE id = 3; COMMIT",
        "BEGIN; DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (500, 'v5'); COMMIT",
        "BEGIN; SET CONSTRAINTS u DEFERRED; INSERT INTO t VALUES (600, 'v6');"
        "DELETE FROM t WHERE id = 6; COMMIT",
        "UPDATE t SET v = 'v' || (21 - id) WHERE id BETWEEN 7 AND 14")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_a_unique_value_freed_and_taken_in_source_order(world):
    """The target's index is immediate; source order alone never clashes."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE)")
    fill(world)
    product = world.product().start_streaming()
    world.source.run(
        "BEGIN; UPDATE t SET v = 'free' WHERE id = 1; UPDATE t SET v = 'v1' WHERE id = 2;"
        "UPDATE t SET v = 'v2' WHERE id = 1; COMMIT",
        "BEGIN; DELETE FROM t WHERE id = 3; UPDATE t SET v = 'v3' WHERE id = 4; COMMIT",
        "BEGIN; UPDATE t SET v = 'v3!' WHERE id = 4; INSERT INTO t VALUES (30, 'v3'); COMMIT",
        "BEGIN; UPDATE t SET id = 50, v = 'v5!' WHERE id = 5; INSERT INTO t VALUES (5, 'v5'); COMMIT")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_foreign_keys_and_triggers_at_the_target_do_not_fire_again(world):
    world.both("CREATE TABLE parent (id int PRIMARY KEY)", """
        CREATE TABLE child (id int PRIMARY KEY,
            parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE
                       DEFERRABLE INITIALLY DEFERRED)""", "CREATE TABLE audit (id int PRIMARY KEY)")
    world.both("""
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO public.audit SELECT count(*) FROM public.audit; RETURN NEW; END$$""",
               "CREATE TRIGGER note AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION note()")
    world.source.run("INSERT INTO parent SELECT generate_series(1, 10)",
                     "INSERT INTO child SELECT i, i FROM generate_series(1, 10) i")
    product = world.product().start_streaming()
    world.source.run("BEGIN; INSERT INTO child VALUES (20, 20); INSERT INTO parent VALUES (20); COMMIT",
                     "UPDATE parent SET id = 30 WHERE id = 1", "DELETE FROM parent WHERE id = 2",
                     "BEGIN; DELETE FROM parent WHERE id = 3; INSERT INTO parent VALUES (3); COMMIT")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_updates_and_deletes_that_hit_nothing_are_counted(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    fill(world)
    product = world.product().start_streaming()
    product.wait_caught_up()
    world.target.run("DELETE FROM t WHERE id IN (1, 2)", "INSERT INTO t VALUES (50, 'mine')")
    world.source.run("UPDATE t SET v = 'u' WHERE id = 1", "DELETE FROM t WHERE id = 2",
                     "INSERT INTO t VALUES (50, 'theirs')")
    product.wait_caught_up()
    world.assert_equal()
    assert product.table("public.t")["conflicts"] == {
        "update_missing": 1, "delete_missing": 1, "insert_exists": 1}
    for kind, what in (("update_missing", "updates found no row"), ("delete_missing", "deletes found"),
                       ("insert_exists", "inserts found their key")):
        assert product.metric(f"table_conflict_{kind}_total", source="public.t") == 1
        told = marks.assert_told(product, "changes met other rows at the target than the source had", what=what)
        assert told["level"] == "warn" and "public" in told["table"], told
    product.stop()
