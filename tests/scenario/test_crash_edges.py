"""kill -9 at every edge: at the n-th message that the program sends to a server.

A relay counts what the program sends and kills it there: before the message leaves, or after the
server has it (COMMIT among them: done, and nobody was told). Then it runs to the end without
disturbance. n grows until a run has no n-th message.
"""
import time

import pytest

from world import marks
from world.proxy import Proxy

TABLES = ["CREATE TABLE parent (id int PRIMARY KEY, v text)",
          "CREATE TABLE child (id int, n int, v text, PRIMARY KEY (id, n))",
          "CREATE TABLE log (line text)"]  # no key: a row twice would stay


def fill(first):
    return [f"INSERT INTO parent SELECT i, 'p' FROM generate_series({first}, {first + 49}) i",
            f"INSERT INTO child SELECT i, 1, 'c' FROM generate_series({first}, {first + 49}) i",
            f"INSERT INTO log SELECT 'fill ' || i FROM generate_series({first}, {first + 9}) i"]


def changes(number):
    first = number * 1000
    return [f"BEGIN; INSERT INTO log VALUES ('one {number}'); {'; '.join(fill(first))}; COMMIT",
            f"INSERT INTO log VALUES ('two {number}')",
            f"BEGIN; UPDATE parent SET id = -id WHERE id = {first}; UPDATE child SET n = n + 1; "
            f"DELETE FROM parent WHERE id = {first + 1}; INSERT INTO log VALUES ('three'); COMMIT"]


def kill_at(proxy, product, number, after):
    """The program dies at its `number`-th message through the proxy."""
    left = number

    def on_request(_):
        nonlocal left
        with proxy.lock:
            left -= 1
            if left == 0:
                product.child.kill()
            return left > 0 or bool(after and left == 0)

    proxy.on_request = on_request


def run_with_a_kill(proxy, product, number, after):
    """True if it was killed, False if it got through without a `number`-th message."""
    kill_at(proxy, product, number, after)
    product.launch("--until-caught-up")
    status = product.wait_end()
    proxy.on_request = None
    assert status in (0, -9), f"at message {number}: status {status}"
    return status == -9


@pytest.fixture(params=["source", "target"])
def relayed(request, world):
    world.both(*TABLES)
    world.source.run(*fill(1))
    with Proxy(getattr(world, request.param)) as proxy:
        product = world.product()
        product.config[request.param]["dsn"] = proxy.url()
        yield world, proxy, product
        product.kill9()


@pytest.mark.limit(600)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_in_the_stream(relayed, nightly, after):
    world, proxy, product = relayed
    product.run_until_caught_up()
    step = 1 if nightly else 4
    for number in range(1, 2000, step):
        world.source.run(*changes(number))
        if not run_with_a_kill(proxy, product, number, after):
            break
        product.run_until_caught_up()
        world.assert_equal()
    assert number > 2 * step
    world.assert_equal()
    since = time.time()
    product.start_streaming()
    product.wait_caught_up()
    marks.assert_resumed(product, since)


@pytest.mark.limit(600)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_in_the_backfill(relayed, nightly, after):
    """A new migration each time."""
    world, proxy, product = relayed
    name = world.migration
    step = 1 if nightly else 5
    for number in range(1, 2000, step):
        product.config["migration"] = f"{name}_{number}"
        world.target.run("TRUNCATE parent, child, log")
        killed = run_with_a_kill(proxy, product, number, after)
        product.run_until_caught_up()
        world.assert_equal()
        assert product.command("cleanup", "--yes").status == 0
        assert world.leftovers() == []
        if not killed:
            break
    assert number > 2 * step
