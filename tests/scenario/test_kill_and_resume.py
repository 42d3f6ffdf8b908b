"""kill -9 at any moment: nothing lost, doubled or partial."""
import contextlib
import pathlib
import re
import resource
import time

import pytest

from world import load, marks, wait
from world.product import SANITIZER

ROWS = 20000


@pytest.fixture
def busy(world):
    """Accounts with some rows, the same tables at the target."""
    world.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(world.source, ROWS)
    return world


@pytest.mark.parametrize("table, condition", [
    ("accounts", "NEW.id = 1"), ("accounts", f"NEW.id = {ROWS // 2}"),
    ("entries", f"NEW.account = {ROWS - 1}")], ids=["first-row", "mid-table", "later-table"])
def test_killed_at_a_known_row_of_the_backfill(busy, table, condition):
    with load.Writers(busy.source, 2, load.accounts_work(ROWS)) as writers:
        with load.Stall(busy.target, table, condition) as stall:
            product = busy.product().start()
            stall.wait_reached()
            writers.wait_commits(50)
            product.kill9()
        product.start_streaming()
        writers.wait_commits(50)
    product.wait_caught_up()
    busy.assert_equal()


def test_killed_again_and_again_during_the_backfill(busy):
    with load.Writers(busy.source, 2, load.accounts_work(ROWS)) as writers:
        product = busy.product()
        for number in range(4):
            product.launch()
            writers.wait_commits(20 + 30 * number)
            product.kill9()
        since = time.time()
        product.start_streaming()
    product.wait_caught_up()
    busy.assert_equal()
    marks.assert_resumed(product, since)


def test_killed_again_and_again_while_it_streams(busy):
    product = busy.product().start_streaming()
    with load.Writers(busy.source, 3, load.accounts_work(ROWS)) as writers:
        for number in range(5):
            product.wait_status(lambda status: status["totals"]["transactions"] >= 30 + 20 * number,
                                "some transactions to be applied")
            product.kill9()
            writers.wait_commits(50)
            since = time.time()
            product.start()
        product.wait_streaming()
    product.wait_caught_up()
    busy.assert_equal()
    marks.assert_resumed(product, since)


def test_killed_with_a_target_transaction_open(busy):
    """The apply stands in the middle of a batch; what it has written so far must vanish."""
    product = busy.product().start_streaming()
    with load.Stall(busy.target, "accounts", "NEW.id = 900002") as stall:
        busy.source.run("BEGIN; INSERT INTO accounts VALUES (900001, 'x'); "
                        "INSERT INTO journal VALUES (now(), 'once'); "
                        "INSERT INTO accounts VALUES (900002, 'x'); COMMIT")
        stall.wait_reached()
        product.kill9()
    product.start_streaming()
    product.wait_caught_up()
    busy.assert_equal()
    assert busy.target.value("SELECT count(*) FROM journal WHERE line = 'once'") == 1


def test_started_again_while_the_killed_ones_session_still_works(busy):
    """The old session may yet commit what it was sent; that must not happen twice."""
    product = busy.product().start_streaming()
    with load.Stall(busy.target, "accounts", "NEW.id = 900002") as stall:
        busy.source.run("BEGIN; INSERT INTO journal VALUES (now(), 'once'); "
                        "INSERT INTO accounts VALUES (900002, 'x'); COMMIT",
                        "INSERT INTO journal VALUES (now(), 'twice')")
        stall.wait_reached()
        product.kill9()
        product.launch()
        with contextlib.suppress(wait.Overdue):
            wait.until(lambda: not product.alive(), "a refusal", 3)
    if not product.alive():  # it may refuse as long as the other session holds the migration
        assert product.wait_end() != 0
        product.launch()
    product.address = product.event("listening")["address"]
    product.wait_streaming()
    product.wait_caught_up()
    busy.assert_equal()
    assert busy.target.value("SELECT count(*) FROM journal") == 2


def test_a_change_made_during_the_copy_and_killed_after_it(busy):
    """What came over the stream during the copy is still there after a restart."""
    with load.Stall(busy.target, "entries", f"NEW.account = {ROWS}") as stall:
        product = busy.product().start()
        stall.wait_reached()
        busy.source.run("UPDATE accounts SET note = 'during' WHERE id <= 100",
                        "DELETE FROM accounts WHERE id BETWEEN 101 AND 200",
                        "INSERT INTO journal VALUES (now(), 'during')",
                        "UPDATE entries SET number = 77 WHERE account = 5")
    product.wait_streaming()
    product.kill9()
    product.start_streaming()
    product.wait_caught_up()
    busy.assert_equal()


@pytest.mark.skipif(bool(SANITIZER), reason="the sanitizers reserve terabytes")
def test_with_no_more_memory_it_says_so_and_goes_on_when_there_is_some(busy):
    """It may end, or try again and again; what it has written stays whole."""
    product = busy.product().start_streaming()
    status = pathlib.Path(f"/proc/{product.child.pid}/status").read_text()
    now = int(re.search(r"^VmData:\s+(\d+) kB", status, re.M).group(1)) << 10
    resource.prlimit(product.child.pid, resource.RLIMIT_DATA, (now, now))
    with load.Writers(busy.source, 2, load.accounts_work(ROWS)) as writers:
        busy.source.run("INSERT INTO journal VALUES (now(), repeat('m', 60000000))")
        wait.until(lambda: "memory" in product.log_text(), "a word of it", 60)
        writers.wait_commits(20)
    if product.alive():
        product.kill9()
    else:
        assert product.wait_end() != 0
    since = time.time()
    product.start_streaming()
    product.wait_caught_up()
    busy.assert_equal()
    marks.assert_resumed(product, since)


def test_a_short_run_after_a_kill_finishes_the_work(busy):
    product = busy.product()
    with load.Stall(busy.target, "accounts", "NEW.id = 100") as stall:
        product.start()
        stall.wait_reached()
        product.kill9()
    product.run_until_caught_up()
    busy.assert_equal()
    busy.source.run("UPDATE accounts SET balance = -1", "DELETE FROM entries WHERE account % 3 = 0")
    product.run_until_caught_up()
    busy.assert_equal()
