"""`status` and `ready`: what the operator and the deployment script ask."""
import pytest

from world import load, wait
from world.cluster import free_port


@pytest.fixture
def product(world):
    """With a port that the other commands can know; `ready` asks the run over HTTP."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 1000) i")
    return world.product(http={"listen": f"127.0.0.1:{free_port()}"})


def wait_ready(product, seconds=30):
    return wait.until(lambda: product.command("ready").status == 0, "readiness GO", seconds, 0.2)


def test_nothing_runs(product):
    assert product.command("ready").status == 2
    assert product.command("status").status != 0


def test_a_run_on_a_free_port_is_found_all_the_same(world, product):
    """It leaves its address at the target, for the commands beside it."""
    product.config["http"] = {"listen": "127.0.0.1:0"}
    product.start_streaming()
    wait_ready(product)
    assert product.command("status", "--json").json["migration"] == world.migration
    product.stop()
    assert product.command("ready").status == 2


def test_go_no_go_and_go_again(world, product):
    product.start_streaming()
    wait_ready(product)
    assert product.http("/cutover")[0] == 200
    with load.held(world.target, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        world.source.run("INSERT INTO t VALUES (2000, 'held')")
        wait.until(lambda: product.command("ready").status == 1, "NO-GO while the lag is held", 30)
        result = product.command("ready")
        assert "NO-GO" in result.out and "lag" in result.out, result.out
    wait_ready(product)
    world.assert_equal()


def test_the_verdict_as_json(world, product):
    product.start_streaming()
    wait_ready(product)
    document = product.command("ready", "--json").json
    assert document["verdict"] == "GO"
    for gate in document["gates"]:
        assert gate["verdict"] == "GO" and gate["name"] and gate["why"], gate
        assert gate["value"] and gate["threshold"], gate
    assert {gate["name"] for gate in document["gates"]} >= {"backfill", "replica_identity"}


def test_the_hold_starts_again_after_a_flap(world, product):
    """GO needs the lag below for the whole hold, not a moment's luck."""
    product.config["readiness"] = {"hold": "60s", "max_lag": "5s"}
    product.start_streaming()
    product.wait_caught_up()
    result = product.command("ready")
    assert result.status == 1 and "hold" in result.out, result.out


def test_an_open_or_prepared_transaction_closes_the_gate(world, product):
    product.config["readiness"]["max_transaction"] = "1s"
    product.start_streaming()
    wait_ready(product)
    world.source.run("BEGIN; INSERT INTO t VALUES (3000); PREPARE TRANSACTION 'orphan'")
    wait.until(lambda: product.command("ready").status == 1, "NO-GO for the prepared one", 30, 0.2)
    assert "prepared" in product.command("ready").out
    world.source.run("ROLLBACK PREPARED 'orphan'")
    wait_ready(product)
    with load.held(world.source, "INSERT INTO t VALUES (4000)"):
        wait.until(lambda: product.command("ready").status == 1, "NO-GO for the open one", 30, 0.2)
    wait_ready(product)


def test_status_for_people_and_for_programs(world, product):
    product.start_streaming()
    world.source.run("INSERT INTO t SELECT i, 'y' FROM generate_series(1001, 1010) i",
                     "UPDATE t SET v = 'z' WHERE id <= 5", "DELETE FROM t WHERE id = 1")
    product.wait_caught_up()
    product.wait_status(lambda status: status["lag"]["end_to_end_seconds"] is not None,
                        "a heartbeat to come through")
    text = product.command("status")
    assert text.status == 0 and "public.t" in text.out, text.text
    document = product.command("status", "--json").json
    assert document["migration"] == world.migration
    assert document["backfill"]["complete"] is True
    table = document["tables"][0]
    assert (table["source"], table["copy"]["rows"]) == ("public.t", 1000)
    stream = table["stream"]
    assert (stream["inserts"], stream["updates"], stream["deletes"]) == (10, 5, 1)
    assert stream["received"] == 16


def test_lag_is_seen_while_the_target_is_held(world, product):
    product.start_streaming()
    product.wait_caught_up()
    with load.held(world.target, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        world.source.run("UPDATE t SET v = repeat('w', 1000)")
        product.wait_status(lambda status: (status["lag"]["bytes"] or 0) > 500_000, "byte lag", 20)
        product.wait_status(lambda status: (status["lag"]["seconds"] or 0) > 1.5, "time lag", 20)
        product.wait_status(lambda status: (status["lag"]["end_to_end_seconds"] or 0) > 1.5,
                            "end-to-end lag", 20)
    product.wait_status(lambda status: (9 if status["lag"]["seconds"] is None
                                        else status["lag"]["seconds"]) < 1, "the lag to go", 20)
    product.wait_caught_up()
    world.assert_equal()
