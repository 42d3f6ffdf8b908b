"""The source's tables are altered while changes of theirs lie in the spool: what is stored is read
by what its columns were called, or the run stops. Never is a value in the wrong column."""
import pytest

from test_spool import segments, wait_acked, wait_empty
from world import marks

T = "CREATE TABLE t (id int PRIMARY KEY, v text, n text)"
SWAP = ("ALTER TABLE t RENAME COLUMN v TO x", "ALTER TABLE t RENAME COLUMN n TO v",
        "ALTER TABLE t RENAME COLUMN x TO n")
STORED = ("INSERT INTO t VALUES (2, 'v2', 'n2')", "UPDATE t SET v = 'v1' WHERE id = 1")


def begun(world, *tables):
    world.both(*(tables or (T,)))
    world.source.run("INSERT INTO t VALUES (1, '1', '1')")
    folder = world.folder / "spool_shapes"
    product = world.product(spool={"dir": str(folder), "min_free": "1MB"}).start_streaming()
    product.wait_caught_up()
    return product


def store(world, product, *statements):
    """The statements' changes are in the spool, and the slot has gone beyond them."""
    world.target.cluster.stop("immediate")
    product.wait_status(lambda status: status["phase"] == "waiting", "the target to be missed")
    world.source.run(*statements)
    wait_acked(world)


def stored(world, statements, *tables):
    """The same, and it does not run any more; the target is back."""
    product = begun(world, *tables)
    store(world, product, *statements)
    product.stop()
    assert segments(product)
    world.target.cluster.start()
    return product


def goes_on(world, product, *flags):
    product.start_streaming(*flags)
    product.wait_caught_up()
    world.assert_equal()
    wait_empty(product)
    marks.assert_got_over(product, "spool found", spool_unread_batches=0)


def test_columns_that_trade_names_before_a_restart(away):
    product = stored(away, STORED)
    away.both(*SWAP)
    away.source.run("INSERT INTO t (id, v, n) VALUES (3, 'v3', 'n3')",
                    "UPDATE t SET v = 'later' WHERE id = 2")
    goes_on(away, product)


@pytest.mark.nightly
def test_a_column_that_is_renamed_before_a_restart(away):
    product = stored(away, STORED)
    away.both("ALTER TABLE t RENAME COLUMN v TO w", "ALTER TABLE t ADD COLUMN v text")
    away.source.run("INSERT INTO t (id, v) VALUES (3, 'new v')")
    goes_on(away, product)


def test_a_column_that_is_renamed_while_the_target_is_away(away):
    """What comes then is stored by a process that cannot read it, and read by one that can."""
    product = begun(away)
    rename = "ALTER TABLE t RENAME COLUMN v TO w"
    store(away, product, *STORED, rename, "INSERT INTO t (id, w) VALUES (3, 'w3')")
    away.target.cluster.start()
    assert product.wait_end(60) == 3, product.log_text()
    marks.assert_ended(product, 3, "public.t")
    away.target.run(rename)
    goes_on(away, product)


def test_a_name_that_was_never_seen_stops_it_until_the_table_is_copied_anew(away):
    product = stored(away, (*STORED, "ALTER TABLE t RENAME COLUMN v TO w",
                            "INSERT INTO t (id, w) VALUES (3, 'w3')"))
    away.source.run("ALTER TABLE t RENAME COLUMN w TO z")
    away.target.run("ALTER TABLE t RENAME COLUMN v TO z")
    assert product.run_to_end("--until-caught-up").status == 3
    marks.assert_ended(product, 3, "--redo public.t")
    goes_on(away, product, "--redo", "public.t")


@pytest.mark.nightly
def test_a_table_that_is_renamed_before_a_restart(away):
    product = stored(away, STORED)
    away.both("ALTER TABLE t RENAME TO u")
    goes_on(away, product)


# -- how values are written -------------------------------------------------------------------

def test_values_of_another_type_that_lie_there_in_binary(away):
    """All comes as text then; what is stored is made text."""
    table = "CREATE TABLE t (id int PRIMARY KEY, v text, n int)"
    product = stored(away, ("INSERT INTO t VALUES (2, 'v2', -2)", "DELETE FROM t WHERE id = 1"), table)
    away.both("ALTER TABLE t ALTER COLUMN n TYPE bigint")
    away.source.run("UPDATE t SET n = 1 << 30 WHERE id = 2", "INSERT INTO t VALUES (1, 'again', 1)")
    goes_on(away, product)


def test_binary_values_of_which_no_text_can_be_made_stop_it(away):
    table = "CREATE TABLE t (id int PRIMARY KEY, v numeric, n int)"
    product = stored(away, ("INSERT INTO t VALUES (2, 2.5, 2)",), table)
    away.both("ALTER TABLE t ALTER COLUMN n TYPE bigint")
    assert product.run_to_end("--until-caught-up").status == 3
    marks.assert_ended(product, 3, "--redo public.t")
    assert away.target.value("SELECT count(*) FROM t") == 1
    goes_on(away, product, "--redo", "public.t")


def test_values_that_lie_there_as_text_have_all_come_as_text(away):
    """So that a key is the same bytes wherever it comes from."""
    table = "CREATE TABLE t (id int PRIMARY KEY, v text, n {})"
    away.source.run(table.format("numeric"))
    away.target.run(table.format("text"))
    away.source.run("INSERT INTO t VALUES (1, 'v', 1)")
    folder = away.folder / "spool_text"
    product = away.product(spool={"dir": str(folder), "min_free": "1MB"}).start_streaming()
    product.wait_caught_up()
    store(away, product, "INSERT INTO t VALUES (2, 'v2', 2)", "UPDATE t SET v = 'w' WHERE id = 1")
    product.stop()
    away.target.cluster.start()
    away.target.run("ALTER TABLE t ALTER COLUMN n TYPE numeric USING n::numeric")
    away.source.run("UPDATE t SET v = 'later'", "DELETE FROM t WHERE id = 2")
    product.start_streaming()
    product.wait_caught_up()
    product.event("the stream comes as text until the next start")
    away.assert_equal()
    wait_empty(product)
    product.stop()
    product.start_streaming()
    assert "until the next start" not in product.log_text()
