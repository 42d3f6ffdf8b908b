"""The suite's own tools tell the truth: a comparison that never fails would prove nothing."""
import pytest

from world import compare, load, wait

pytestmark = pytest.mark.harness


@pytest.fixture
def pair(source_cluster, target_cluster):
    source = source_cluster.create_database("harness")
    target = target_cluster.create_database("harness")
    ddl = "CREATE TABLE t (id int, v numeric, w text)"
    rows = "INSERT INTO t VALUES (1, 1.0, NULL), (1, 1.0, NULL), (2, 'NaN', '')"
    for side in (source, target):
        side.run(ddl, rows)
    yield source, target
    for side in (source, target):
        side.cluster.drop_database("harness")


def test_equal_tables_are_equal(pair):
    compare.assert_equal(*pair)


@pytest.mark.parametrize("change", [
    "INSERT INTO t VALUES (3)",
    "DELETE FROM t WHERE id = 2",
    "DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)",
    "UPDATE t SET v = 1.00 WHERE id = 1",
    "UPDATE t SET w = '' WHERE id = 1",
    "UPDATE t SET w = NULL WHERE id = 2",
    "UPDATE t SET v = 0 WHERE id = 2",
])
def test_any_difference_is_seen(pair, change):
    pair[1].run(change)
    with pytest.raises(AssertionError, match="public"):
        compare.assert_equal(*pair)


def test_a_lost_table_is_seen(pair):
    pair[1].run("DROP TABLE t")
    with pytest.raises(Exception, match="does not exist"):
        compare.assert_equal(*pair)


def test_a_condition_that_never_comes_is_overdue():
    with pytest.raises(wait.Overdue, match="waited .* for godot"):
        wait.until(lambda: False, "godot", seconds=0.1)


def test_writers_write_and_stop(pair):
    source = pair[0]
    source.run(*load.ACCOUNTS.split(";"))
    load.accounts_fill(source, 100)
    with load.Writers(source, 2, load.accounts_work(100)) as writers:
        writers.wait_commits(200)
    assert source.value("SELECT count(*) FROM journal") >= 200
    assert source.value("SELECT count(*) FROM accounts WHERE id < 0") > 0


def test_a_stall_holds_a_writer_and_lets_it_go(pair):
    source = pair[0]
    with load.Stall(source, "t", "NEW.id = 77") as stall:
        with load.Writers(source, 1, lambda cursor, dice:
                          cursor.execute("INSERT INTO t VALUES (77)")) as writers:
            stall.wait_reached()
            assert source.value("SELECT count(*) FROM t WHERE id = 77") == 0
            stall.release()
            writers.wait_commits(3)
