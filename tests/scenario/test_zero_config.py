"""Two DSNs and no file: pgbench's four tables, one of which has no key."""
import contextlib
import socket

import pytest

from world import process, wait
from world.cluster import BIN, free_port
from world.servers import own_tool

TABLES = [f"public.pgbench_{name}" for name in ("accounts", "branches", "tellers", "history")]


def pgbench(database, *arguments):
    return process.spawn([BIN / "pgbench", *arguments, database.local()], stdout=-3, stderr=-3)


@pytest.fixture
def bench(world, nightly):
    """pgbench's tables, filled at the source, their schema at the target."""
    assert pgbench(world.source, "-i", "-q", "-s", "20" if nightly else "5").wait(60) == 0
    schema = process.run([own_tool("pg_dump", world.source.cluster.version), "-s", "-d", world.source.local()])
    load = process.spawn([BIN / "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", world.target.local()],
                         stdin=-1, stdout=-3, text=True)
    load.communicate(schema)
    assert load.returncode == 0
    return world


# There is one such port, so one of these tests at a time.
at_the_default_port = pytest.mark.xdist_group("default_port")


@pytest.fixture
def default_port():
    """Without a file, http.listen is 127.0.0.1:8087."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8087))
        except OSError:
            pytest.skip("port 8087, slackwater's default, is taken on this machine")


def assert_default_names(world):
    assert world.source.rows("SELECT slot_name FROM pg_replication_slots "
                             "WHERE database = current_database()") == [("slackwater_default",)]
    world.migration = "default"  # what close() has to clean up


def given(world, how):
    if how == "flags":
        return {"flags": ["--source", world.source.url(), "--target", world.target.url()]}
    return {"env": {"SLACKWATER_SOURCE": world.source.url(),
                    "SLACKWATER_TARGET": world.target.keywords()}}


@at_the_default_port
@pytest.mark.limit(240)
@pytest.mark.parametrize("how", ["flags", "environment"])
def test_pgbench_under_load(bench, how, nightly, default_port):
    product = bench.product_from(None, **given(bench, how))
    load = pgbench(bench.source, "-n", "-c", "4", "-T", "60" if nightly else "10")
    product.start_streaming()
    assert product.address == "127.0.0.1:8087"
    assert_default_names(bench)
    assert load.wait(90) == 0
    product.wait_caught_up()
    bench.assert_equal(*TABLES)
    assert bench.source.value("SELECT count(*) FROM pgbench_history") > 1000
    if nightly:
        wait.until(lambda: product.command("ready").status == 0, "ready", 90, 0.5)
    else:  # the default hold of 60 s is the only thing that is missing
        closed = {name for name, gate in product.gates().items() if gate["verdict"] != "GO"}
        assert all(name.startswith("lag") or "error" in name for name in closed), closed
    product.stop()


def test_pgbench_ends_with_ready(bench):
    product = bench.product(http={"listen": f"127.0.0.1:{free_port()}"})
    load = pgbench(bench.source, "-n", "-c", "4", "-T", "5")
    product.start_streaming()
    assert load.wait(60) == 0
    product.wait_caught_up()
    bench.assert_equal(*TABLES)
    wait.until(lambda: product.command("ready").status == 0, "ready", 30, 0.2)
    product.stop()


@at_the_default_port
@pytest.mark.parametrize("how", ["flags", "environment"])
def test_pgbench_until_caught_up(bench, how, default_port):
    product = bench.product_from(None, **given(bench, how))
    product.run_until_caught_up()
    bench.assert_equal(*TABLES)
    assert pgbench(bench.source, "-n", "-c", "4", "-t", "300").wait(60) == 0
    product.run_until_caught_up()
    bench.assert_equal(*TABLES)
    assert_default_names(bench)


def test_bounded_runs(bench):
    """--no-backfill takes the present state as given; --until-lsn stops at a position."""
    product = bench.product()
    first = bench.source.value("SELECT pg_current_wal_insert_lsn()")
    result = product.run_to_end("--until-lsn", first)
    assert result.status == 0, result.text
    bench.assert_equal(*TABLES)
    bench.source.run("INSERT INTO pgbench_history (tid) VALUES (77)")
    middle = bench.source.value("SELECT pg_current_wal_insert_lsn()")
    assert product.run_to_end("--until-lsn", middle).status == 0
    assert bench.target.value("SELECT count(*) FROM pgbench_history WHERE tid = 77") == 1
