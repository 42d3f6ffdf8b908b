"""A row or a shape that cannot be carried stops the run at its place (status 3); nothing skipped."""
from world import marks

T = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def test_a_check_constraint_at_the_target_stops_it_before_the_row(world):
    world.source.run(T)
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, v text CHECK (v <> 'bad'))")
    product = world.product(apply={"on_bad_row": "stop"}).start_streaming()
    world.source.run("INSERT INTO t VALUES (1, 'good')", "INSERT INTO t VALUES (2, 'bad')",
                     "INSERT INTO t VALUES (3, 'good')")
    marks.assert_ended(product, 3, "public.t")
    assert world.target.rows("SELECT id FROM t") in ([(1,)], [])  # whole transactions, in order
    assert "'bad'" not in product.log_text()
    world.target.run("ALTER TABLE t DROP CONSTRAINT t_v_check")
    product.run_until_caught_up()
    world.assert_equal()


def test_a_bad_row_in_the_copy_stops_it(world):
    world.source.run(T, "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, v varchar(3))")
    product = world.product(apply={"on_bad_row": "stop"})
    result = product.run_to_end("--until-caught-up")
    assert result.status in (2, 3), result.text
    marks.assert_ended(product, result.status, "public.t")
    world.target.run("ALTER TABLE t ALTER v TYPE text")
    product.run_until_caught_up()
    world.assert_equal()


def test_a_column_added_at_the_source_stops_it_and_is_never_dropped_in_silence(world):
    world.both(T)
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (1, 'x')", "ALTER TABLE t ADD w int",
                     "INSERT INTO t VALUES (2, 'y', 7)")
    marks.assert_ended(product, 3, "public.t", "w")
    assert world.target.rows("SELECT id FROM t") in ([(1,)], [])
    world.target.run("ALTER TABLE t ADD w int")
    product.start_streaming()
    world.source.run("INSERT INTO t VALUES (3, 'z', 8)")
    product.wait_caught_up()
    world.assert_equal()


def test_a_column_dropped_and_added_again_never_puts_a_value_in_the_wrong_place(world):
    """A name that went to another column stops it; what the newest one was then, nobody can tell."""
    swap = ["ALTER TABLE t RENAME a TO x", "ALTER TABLE t RENAME b TO a", "ALTER TABLE t RENAME x TO b"]
    anew = ["ALTER TABLE t DROP a", "ALTER TABLE t ADD a int"]
    world.both("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (1, 1, 2)", *swap, "INSERT INTO t (id, a, b) VALUES (2, 1, 2)",
                     *anew, "INSERT INTO t (id, a, b) VALUES (3, 1, 2)")
    end = marks.assert_ended(product, 3)
    assert "was called" in str(end) or "cannot be told" in str(end), end
    assert world.target.rows("SELECT id, a, b FROM t") in ([(1, 1, 2)], [])
    world.target.run(*swap, *anew)
    product.start_streaming("--redo", "public.t")
    product.wait_caught_up()
    world.assert_equal()
