"""The network between the program and either server: resets, black holes, crumbs."""
import pytest

from world import load, wait
from world.proxy import Proxy

ROWS = 2000


@pytest.fixture(params=["source", "target"])
def relayed(request, world):
    """(world, proxy, program), with one side reached through the proxy."""
    world.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(world.source, ROWS)
    with Proxy(getattr(world, request.param)) as proxy:
        product = world.product()
        product.config[request.param]["dsn"] = proxy.url()
        yield world, proxy, product
        product.kill9()


def test_connections_reset_again_and_again_under_load(relayed):
    world, proxy, product = relayed
    product.start_streaming()
    with load.Writers(world.source, 2, load.accounts_work(ROWS)) as writers:
        for _ in range(5):
            writers.wait_commits(40)
            proxy.cut()
    product.wait_caught_up()
    world.assert_equal()


def test_every_message_comes_in_small_pieces(relayed):
    world, proxy, product = relayed
    proxy.piece = 7
    product.start_streaming()
    with load.Writers(world.source, 2, load.accounts_work(ROWS)) as writers:
        writers.wait_commits(100)
    product.wait_caught_up()
    world.assert_equal()


@pytest.mark.nightly
@pytest.mark.limit(150)
def test_a_black_hole_is_noticed_within_thirty_seconds(relayed):
    """Nothing is reset, nothing is acknowledged; a new connection would work."""
    world, proxy, product = relayed
    # The source's end of it must not hold the slot for the whole of the default minute.
    world.source.run(f"ALTER DATABASE {world.source.name} SET wal_sender_timeout = '10s'")
    product.start_streaming()
    product.wait_caught_up()
    proxy.freeze()
    world.source.run("INSERT INTO journal VALUES (now(), 'after the hole')")
    wait.until(lambda: world.target.value("SELECT 1 FROM journal WHERE line = 'after the hole'"),
               "the row, over a new connection", 60)
    product.wait_caught_up()
    world.assert_equal()
