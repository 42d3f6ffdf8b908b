"""The spool: what comes while the target is slow or away is on a disk of ours, and the source may
forget it; then it is read back, and nothing is lost, doubled or out of order."""
import contextlib
import os
import pathlib
import random
import subprocess
import time

import pytest

from world import load, marks, wait
from world.product import lsn

MB = 1 << 20
SPOOLING = "what is received goes to the spool"
SLOT_AT = """SELECT confirmed_flush_lsn FROM pg_replication_slots
             WHERE database = current_database()"""
# About 1 kB, which compresses to half.
ROW = "i, (SELECT string_agg(md5(i::text || g), '') FROM generate_series(1, 30) g)"


def build(world, rows=100):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run(f"INSERT INTO t SELECT {ROW} FROM generate_series(1, {rows}) i")


def spooling(world, **spool):
    """A program that carries t, with a spool of its own."""
    folder = world.folder / f"spool{len(world.products)}"
    return world.product(tables=[{"source": "public.t"}], spool={"dir": str(folder), "min_free": "1MB", **spool})


def folder_of(product):
    return pathlib.Path(product.config["spool"]["dir"])


def segments(product):
    return sorted(folder_of(product).glob("*.spool"))


def write(world, megabytes, first=1000):
    """That much WAL, about, in transactions of a megabyte. The next free id."""
    for number in range(megabytes):
        world.source.run(f"INSERT INTO t SELECT {ROW} FROM generate_series("
                         f"{first + number * 1000}, {first + number * 1000 + 999}) i")
    return first + megabytes * 1000


def wait_acked(world, seconds=30):
    """Until the slot was told of all that is at the source by now."""
    position = lsn(world.source.value("SELECT pg_current_wal_insert_lsn()"))
    wait.until(lambda: lsn(world.source.value(SLOT_AT)) >= position, "the slot to move", seconds)


def wait_empty(product, seconds=30):
    product.wait_status(lambda status: status["spool"]["state"] == "idle", "an empty spool", seconds)
    assert segments(product) == []


def assert_full(product):
    marks.assert_told(product, "the spool is full: the source has to wait")
    marks.assert_shown(product, spool_full=1)


def assert_spooled(product):
    """It was used, is empty again, and nothing came of it twice."""
    marks.assert_told(product, SPOOLING)
    marks.assert_got_over(product, spool_bytes=0, spool_unread_batches=0, spool_full=0)


def test_a_target_that_is_away_does_not_hold_the_source_back(away):
    build(away)
    product = spooling(away).start_streaming()
    away.target.cluster.stop("immediate")
    write(away, 20)
    away.source.run("UPDATE t SET v = 'u' || id WHERE id % 7 = 0", "DELETE FROM t WHERE id % 11 = 0")
    wait_acked(away)
    status = product.status()
    assert status["spool"]["state"] == "in_use" and status["spool"]["bytes"] > MB
    assert status["phase"] == "waiting"
    marks.assert_shown(product, spool_bytes=marks.AtLeast(MB), spool_unread_batches=marks.SOME, spool_full=0)
    away.target.cluster.start()
    product.wait_caught_up()
    away.assert_equal()
    wait_empty(product)
    marks.assert_bounded(product, 128 * MB)
    assert_spooled(product)


def test_a_target_that_stands_still_does_not_hold_the_source_back(world):
    """The batch in hand and the queue are in memory only, so the spool has them too."""
    build(world)
    product = spooling(world).start_streaming()
    with load.held(world.target, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        write(world, 60)
        product.event(SPOOLING)
        wait_acked(world)
        assert "spool" in product.command("status").out
    product.wait_caught_up()
    world.assert_equal()
    wait_empty(product)
    product.event("the spool is read: what is received goes to the target")
    world.source.run("INSERT INTO t VALUES (-1, 'by the queue')")
    product.wait_caught_up()
    world.assert_equal()
    assert_spooled(product)


def test_without_a_spool_nothing_is_acknowledged_before_the_target_has_it(away):
    build(away)
    product = away.product().start_streaming()
    product.wait_caught_up()
    away.target.cluster.stop("immediate")
    position = lsn(away.source.value("SELECT pg_current_wal_insert_lsn()"))
    write(away, 5)
    product.wait_status(lambda status: status["totals"]["retries"] >= 3, "some retries")
    assert lsn(away.source.value(SLOT_AT)) <= position
    away.target.cluster.start()
    product.wait_caught_up()
    away.assert_equal()
    assert "config.no_spool" in product.command("check", "--json").out


@pytest.mark.parametrize("round", [0, *(pytest.param(n, marks=pytest.mark.nightly) for n in range(1, 5))])
def test_killed_while_it_spools_and_while_it_drains(away, round):
    dice = random.Random(round)
    away.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(away.source, 500)
    product = spooling(away)
    del product.config["tables"]
    product.start_streaming()
    with load.Writers(away.source, 3, load.accounts_work(500), seed=round) as writers:
        for _ in range(2):
            away.target.cluster.stop("immediate")
            product.wait_status(lambda status: status["spool"]["bytes"] > 20000, "a spool")
            writers.wait_commits(dice.randint(50, 300))
            product.kill9()
            away.target.cluster.start()
            for _ in range(3):  # in mid-drain, or not yet, or just behind it
                product.start()
                writers.wait_commits(dice.randint(5, 100))
                product.kill9()
            since = time.time()
            product.start_streaming()
    product.wait_caught_up()
    away.assert_equal()
    wait_empty(product)
    marks.assert_told(product, SPOOLING)
    marks.assert_resumed(product, since)


def spool_and_stop(away, megabytes=4):
    """A program that has stopped with a spool which the slot has gone beyond, and the target's
    server away."""
    build(away)
    product = spooling(away).start_streaming()
    product.wait_caught_up()
    away.target.cluster.stop("immediate")
    write(away, megabytes)
    wait_acked(away)
    product.stop()
    assert segments(product)
    away.target.cluster.start()
    return product


@pytest.mark.nightly
def test_resumes_from_the_spool_alone(away):
    product = spool_and_stop(away)
    product.start_streaming()
    product.event("spool found")
    product.wait_caught_up()
    away.assert_equal()
    wait_empty(product)


def test_a_torn_tail_that_was_not_acknowledged_comes_again(away):
    product = spool_and_stop(away)
    with open(segments(product)[-1], "ab") as file:
        file.write(os.urandom(5000))
    product.start_streaming()
    assert product.event("the spool ended in what was not whole: cut off")["bytes"] == 5000
    product.wait_caught_up()
    away.assert_equal()
    marks.assert_got_over(product, spool_cut_bytes=5000)


def flip(path, where):
    with open(path, "r+b") as file:
        file.seek(where)
        byte = file.read(1)[0]
        file.seek(where)
        file.write(bytes([byte ^ 4]))


def test_a_flipped_bit_in_what_the_slot_has_no_more_is_a_gap(away):
    product = spool_and_stop(away)
    file = segments(product)[0]
    flip(file, file.stat().st_size // 2)
    assert product.run_to_end().status == 4
    marks.assert_ended(product, 4, "gap", str(folder_of(product)))
    assert away.target.value("SELECT count(*) FROM t") == 100


def test_a_deleted_spool_is_a_gap(away):
    product = spool_and_stop(away)
    for file in segments(product):
        file.unlink()
    assert product.run_to_end().status == 4
    marks.assert_ended(product, 4, "gap", "spool")
    assert away.target.value("SELECT count(*) FROM t") == 100


@pytest.mark.nightly
def test_a_spool_that_is_not_given_any_more_is_a_gap(away):
    product = spool_and_stop(away)
    spool = product.config.pop("spool")
    assert product.run_to_end().status == 4
    marks.assert_ended(product, 4, "gap", "spool")
    product.config["spool"] = spool
    product.start_streaming()
    product.wait_caught_up()
    away.assert_equal()


@contextlib.contextmanager
def syncs_that(product, do):
    """Every fdatasync of the program fails, or takes long, as strace's `inject` says."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-q", "-p", str(product.child.pid), "-o", "/dev/null",
         "-e", "trace=fdatasync", "-e", f"inject=fdatasync:{do}"])
    try:
        wait.until(lambda: "TracerPid:\t0" not in pathlib.Path(
            f"/proc/{product.child.pid}/status").read_text(), "strace")
        yield
    finally:
        tracer.terminate()
        tracer.wait()


@pytest.mark.parametrize("damage", ["flipped", pytest.param("torn", marks=pytest.mark.nightly)])
def test_what_the_slot_still_has_is_fetched_again(away, damage):
    """Only what is synced is acknowledged: what is newer the slot has. No sync comes to its end."""
    build(away)
    product = spooling(away).start_streaming()
    product.wait_caught_up()
    away.target.cluster.stop("immediate")
    product.wait_status(lambda status: status["phase"] == "waiting", "the target to be missed")
    write(away, 1)
    wait.until(lambda: segments(product), "a spool")
    wait_acked(away)
    file = segments(product)[-1]
    with syncs_that(product, "delay_enter=60s"):
        size = file.stat().st_size
        write(away, 4, first=20000)
        with contextlib.suppress(wait.Overdue):  # it waits in a sync of what was there before
            wait.until(lambda: file.stat().st_size > size, "more of it", 10)
        product.kill9()
    if damage == "flipped":
        flip(file, file.stat().st_size - 100)
    else:
        os.truncate(file, file.stat().st_size - 100)
    away.target.cluster.start()
    product.start_streaming()
    product.wait_caught_up()
    away.assert_equal()
    marks.assert_got_over(product, "the spool ended in what was not whole: cut off",
                          spool_cut_bytes=marks.SOME)


@pytest.mark.nightly
def test_a_spool_deleted_after_all_was_applied_is_no_gap(world):
    build(world)
    product = spooling(world).start_streaming()
    with load.held(world.target, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        write(world, 50)
        product.event(SPOOLING)
    product.wait_caught_up()
    product.kill9()
    for file in segments(product):
        file.unlink()
    write(world, 1, first=90000)
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_max_bytes_has_the_source_wait_and_goes_on_by_itself(away):
    build(away)
    product = spooling(away, max_bytes="16MB").start_streaming()
    away.target.cluster.stop("immediate")
    write(away, 45)
    product.wait_status(lambda status: status["spool"]["state"] == "full", "a full spool")
    full = lsn(away.source.value(SLOT_AT))
    assert sum(file.stat().st_size for file in segments(product)) <= 16 * MB
    assert_full(product)
    assert lsn(away.source.value("SELECT pg_current_wal_insert_lsn()")) > full + 10 * MB
    away.target.cluster.start()
    product.wait_caught_up()
    away.assert_equal()
    wait_empty(product)
    assert_spooled(product)


def test_a_disk_without_room_has_the_source_wait(away, tmp_path):
    """On a disk of 8 MB, of which nothing is to be left free."""
    build(away)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path])
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        product = away.product(spool={"dir": str(tmp_path), "min_free": "0"}).start_streaming()
        away.target.cluster.stop("immediate")
        write(away, 40)
        product.wait_status(lambda status: status["spool"]["state"] == "full", "a full disk")
        assert_full(product)
        away.target.cluster.start()
        product.wait_caught_up()
        away.assert_equal()
        assert_spooled(product)
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


@pytest.mark.nightly
def test_min_free_has_the_source_wait(away):
    build(away)
    disk = os.statvfs(away.folder)
    left = disk.f_bavail * disk.f_frsize
    product = spooling(away, min_free=f"{left * 2}").start_streaming()
    away.target.cluster.stop("immediate")
    write(away, 2)
    product.wait_status(lambda status: status["spool"]["state"] == "full", "a full spool")
    assert segments(product) == []
    assert_full(product)
    away.target.cluster.start()
    product.wait_caught_up()
    away.assert_equal()
    assert_spooled(product)


def test_a_transaction_larger_than_the_spool_passes(away):
    build(away)
    product = spooling(away, max_bytes="16MB").start_streaming()
    away.target.cluster.stop("immediate")
    away.source.run(f"INSERT INTO t SELECT {ROW} FROM generate_series(1000, 61000) i")
    product.wait_status(lambda status: status["spool"]["state"] == "full", "a full spool")
    away.target.cluster.start()
    write(away, 1, first=200000)
    product.wait_caught_up(120)
    away.assert_equal()


def other_migration(world, product):
    """A program of another migration, of another table, with the same spool."""
    world.both("CREATE TABLE u (id int PRIMARY KEY)")
    return world.product(spool=product.config["spool"], migration=f"{world.migration}_2",
                         tables=[{"source": "public.u"}])


def test_another_process_has_the_folder(world):
    build(world)
    product = spooling(world).start_streaming()
    other = other_migration(world, product)
    assert other.run_to_end().status == 2
    marks.assert_ended(other, 2, "another process uses it")
    world.source.run("INSERT INTO t VALUES (-1, 'x')")
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_a_spool_of_another_migration_is_refused(away, make_world):
    product = spool_and_stop(away, 2)
    other = other_migration(away, product)
    assert other.run_to_end().status == 2
    marks.assert_ended(other, 2, "another migration")
    assert segments(product)
    product.start_streaming()
    product.wait_caught_up()
    away.assert_equal()


def test_a_failing_fsync_stops_it_and_is_not_tried_again(away):
    build(away)
    product = spooling(away)
    product.env["ASAN_OPTIONS"] += ":detect_leaks=0"  # which strace is in the way of
    product.start_streaming()
    with syncs_that(product, "error=EIO"):
        away.target.cluster.stop("immediate")
        write(away, 2)
        end = marks.assert_ended(product, 3, "fsync of a segment")
        assert end["class"] == "disk"
    away.target.cluster.start()
    product.start_streaming()
    product.wait_caught_up()
    away.assert_equal()


def test_cleanup_removes_it(away):
    product = spool_and_stop(away, 2)
    result = product.command("cleanup", "--yes")
    assert result.status == 0, result.text
    assert segments(product) == []
    assert away.leftovers() == []


def test_the_source_goes_while_the_target_is_away(make_world, make_cluster):
    """Both at once, and the other way round: whoever comes back first."""
    world = make_world(make_cluster(), make_cluster())
    build(world)
    product = spooling(world).start_streaming()
    world.target.cluster.stop("immediate")
    next_id = write(world, 3)
    wait_acked(world)
    world.source.cluster.restart("immediate")
    next_id = write(world, 3, next_id)
    wait_acked(world, 60)
    world.source.cluster.stop("immediate")
    world.target.cluster.start()
    world.source.cluster.start()
    write(world, 1, next_id)
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_told(product, SPOOLING)
    marks.assert_lost_and_back(product, reconnects_total=marks.SOME)


@pytest.mark.nightly
def test_the_copy_and_the_spool(away):
    """The target goes away in mid-copy; what the stream brings meanwhile is judged when it comes
    out of the spool, by the chunks that are loaded then."""
    away.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(away.source, 20000)
    product = away.product(spool={"dir": str(away.folder / "spool_copy"), "min_free": "1MB"},
                           backfill={"workers": 2, "chunk_rows": 200, "max_rows_per_second": 10000})
    with load.Writers(away.source, 3, load.accounts_work(20000)) as writers:
        product.start()
        product.event("streaming")
        for _ in range(3):
            writers.wait_commits(100)
            away.target.cluster.stop("immediate")
            product.wait_status(lambda status: status["spool"]["bytes"] > 5000
                                or status["backfill"]["complete"], "a spool")
            writers.wait_commits(100)
            away.target.cluster.start()
        product.kill9()
        product.start_streaming()
    product.wait_caught_up()
    away.assert_equal()


@pytest.mark.nightly
@pytest.mark.limit(1200)
def test_an_hour_away_under_load(away):
    """Hundreds of megabytes of WAL, kills in between."""
    away.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(away.source, 5000)
    away.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    product = spooling(away)
    del product.config["tables"]
    product.start_streaming()
    away.target.cluster.stop("immediate")
    with load.Writers(away.source, 3, load.accounts_work(5000)):
        write(away, 1000)
        wait_acked(away, 300)
        assert product.status()["spool"]["bytes"] > 50 * MB
    away.target.cluster.start()
    product.wait_caught_up(900)
    away.assert_equal()
    wait_empty(product)
    marks.assert_bounded(product, 128 * MB)
    assert_spooled(product)
