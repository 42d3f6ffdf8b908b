"""What waits for what: large batches while behind, and nothing that waits for what never comes."""
from world import load, wait


def build(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("CREATE TABLE elsewhere (id bigserial PRIMARY KEY, v text)")


def only_t(world):
    return world.product(tables=[{"source": "public.t"}])


def write_elsewhere(cursor, _):
    """The walsender reads through all of it and sends nothing."""
    cursor.execute("INSERT INTO elsewhere (v) SELECT repeat('x', 100) FROM generate_series(1, 2000)")


def is_there(world, key):
    return lambda: world.target.value("SELECT 1 FROM t WHERE id = %s", key)


def test_a_backlog_of_small_transactions_becomes_few_batches(world):
    build(world)
    product = only_t(world).start_streaming()
    product.stop()
    world.source.run("""
        DO $$ BEGIN
            FOR n IN 1..4000 LOOP
                INSERT INTO t VALUES (n, 'small');
                COMMIT;
            END LOOP;
        END $$""")
    world.source.run("SELECT pg_sleep(0.4)")  # the last of them is late as well
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal("t")
    # One, were it not for moments in which this machine has something else to do.
    assert product.status()["totals"]["batches"] < 60


def test_a_lone_transaction_is_applied_while_others_write_what_is_not_ours(world):
    build(world)
    product = only_t(world).start_streaming()
    with load.Writers(world.source, 2, write_elsewhere) as writers:
        writers.wait_commits(20)
        for key in range(5):
            world.source.run(f"INSERT INTO t VALUES ({key}, 'lone')")
            wait.until(is_there(world, key), f"row {key}")
            writers.wait_commits(1)
    product.wait_caught_up()
    world.assert_equal("t")


def test_what_is_ours_does_not_wait_for_the_end_of_a_backlog_that_is_not(world):
    """A row early in a backlog, behind it only what the walsender leaves out."""
    build(world)
    product = only_t(world).start_streaming()
    product.stop()
    world.source.run("INSERT INTO t VALUES (1, 'early')")
    with load.Writers(world.source, 2, write_elsewhere) as writers:
        writers.wait_commits(100)
        product.start_streaming()
        wait.until(is_there(world, 1), "the early row")
        world.source.run("INSERT INTO t VALUES (2, 'late')")
        wait.until(is_there(world, 2), "the late row")
        writers.wait_commits(1)
    product.wait_caught_up()
    world.assert_equal("t")
