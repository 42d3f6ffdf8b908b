"""The wall clock is stepped by an hour, on and back: timers are monotonic, and lag stays what it is."""
import datetime

import pytest

from world import load, marks, wait

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


@pytest.mark.parametrize("step", ["+3600", "-3600"], ids=["on", "back"])
def test_a_clock_that_steps_an_hour_moves_no_timer(world, step):
    world.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(world.source, 500)
    clock = world.folder / "clock"
    clock.write_text("+0\n")
    product = world.product_from(
        world.config(readiness={"hold": "1s", "max_lag": "10s"}),
        env={"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(clock),
             "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    product.start_streaming()
    with load.Writers(world.source, 2, load.accounts_work(500)) as writers:
        writers.wait_commits(30)
        clock.write_text(f"{step}\n")
        writers.wait_commits(60)
        product.wait_status(lambda status: status["lag"]["bytes"] is not None
                            and status["lag"]["bytes"] < 8 << 20, "a lag in bytes that is true")
    product.wait_caught_up()
    world.assert_equal()
    assert_stepped(product)
    wait.until(lambda: product.gates()["lag_hold"]["verdict"] == "GO", "the lag to hold", 15)
    assert 0 <= product.metric("lag_seconds") < 10
    marks.assert_undisturbed(product)


def assert_stepped(product):
    """It was this program's clock: what it tells the time by is an hour off."""
    told = datetime.datetime.fromisoformat(product.status()["at"].replace("Z", "+00:00"))
    off = told - datetime.datetime.now(datetime.timezone.utc)
    assert 3500 < abs(off.total_seconds()) < 3700, off
