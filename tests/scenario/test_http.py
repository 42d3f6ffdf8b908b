"""The HTTP face, as a probe, a scraper, a browser and an attacker see it."""
import contextlib
import json
import re
import socket
import time

import pytest

from world import marks, wait
from world.load import Stall

SAMPLE = re.compile(r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\])*",?)*\})? '
                    r'(NaN|[+-]Inf|[-+0-9.eE]+)$')


@pytest.fixture
def product(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY)", 'CREATE TABLE "q""u\\o\nte" (id int PRIMARY KEY)')
    world.source.run("INSERT INTO t SELECT generate_series(1, 10)")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (11)")
    product.wait_caught_up()
    return product


def test_every_page(product):
    for path, code, kind in (("/", 200, "text/html"), ("/healthz", 200, "text/plain"),
                             ("/readyz", 200, "text/plain"), ("/metrics", 200, "text/plain"),
                             ("/status", 200, "application/json")):
        status, headers, body = product.http(path)
        assert status == code and body, path
        assert kind in headers["Content-Type"] or path in ("/healthz", "/readyz"), (path, headers)
    status, headers, body = product.http("/cutover")
    assert status in (200, 503) and "application/json" in headers["Content-Type"]
    document = json.loads(body)
    assert document["verdict"] == ("GO" if status == 200 else "NO-GO")
    assert document["gates"]


def test_the_page_fetches_nothing_from_outside(product):
    body = product.http("/")[2]
    assert not re.search(r'(src|href)\s*=\s*["\']?(https?:)?//', body), "an outside fetch"
    assert "viewport" in body and "prefers-color-scheme" in body


def test_other_paths_and_methods(product):
    for path in ("/nowhere", "/../etc/passwd", "/%2e%2e/etc/passwd", "/status/x", "//"):
        assert product.http(path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert product.http("/status", method)[0] == 405, method
    status, headers, body = product.http("/status", "HEAD")
    assert status == 200 and body == ""
    marks.assert_shown(product, http_refused_total=9)


def test_the_metrics_parse_and_count(product):
    body = product.http("/metrics")[2]
    values, described = {}, set()
    for line in body.splitlines():
        if line.startswith("# "):
            words = line.split(" ", 3)
            if words[1] == "TYPE":
                assert words[3] in ("counter", "gauge", "histogram", "summary"), line
                assert words[2] not in described, f"declared twice: {line}"
                described.add(words[2])
        elif line:
            assert SAMPLE.match(line), f"no metric line: {line!r}"
            name, value = line.rsplit(" ", 1)
            assert name not in values, f"sent twice: {name}"
            values[name] = float(value)
    names = {name.split("{")[0] for name in values}
    assert all(name.startswith("slackwater_") for name in names), names
    assert names <= described, names - described
    copied = [value for name, value in values.items()
              if "copied_rows" in name and '"public.t"' in name]
    assert copied == [10], values
    assert any("lag" in name for name in names)


def test_odd_requests_do_not_hold_it_up(product):
    host, _, port = product.address.rpartition(":")
    clients = [socket.create_connection((host, int(port))) for _ in range(20)]
    try:
        for number, client in enumerate(clients):
            client.sendall([b"GET /status HT", b"\x00\xff\xfe\r\n\r\n", b"GET / HTTP/1.1\r\nX: ",
                            b""][number % 4])
        assert product.http("/healthz")[0] == 200
        clients[2].sendall(b"x" * 200_000)
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        for client in clients:
            client.close()
    assert product.http("/healthz")[0] == 200
    product.stop()


def test_who_holds_every_connection_keeps_no_probe_out(product):
    """Slow headers, endless headers, nothing at all, from more clients than it admits."""
    host, _, port = product.address.rpartition(":")
    clients = []
    for number in range(120):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex((host, int(port)))
        clients.append((number, client))
    try:
        for _ in range(20):
            for number, client in clients:
                with contextlib.suppress(OSError):
                    client.send([b"G", b"X: y\r\n", b"x" * 5000][number % 3])
            began = time.monotonic()
            assert product.http("/healthz")[0] == 200
            assert time.monotonic() - began < 8 * wait.PATIENCE  # a request may take 20
    finally:
        for _, client in clients:
            client.close()
    assert product.http("/status")[0] == 200
    marks.assert_bounded(product, 256 << 20)
    marks.assert_shown(product, http_refused_total=marks.AtLeast(64))  # all that it admitted
    marks.assert_undisturbed(product)


def test_a_request_is_never_larger_than_it_may_be(product):
    host, _, port = product.address.rpartition(":")
    for start in (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
                  b"GET / HTTP/1.1\r\nX: " + b"b" * 100_000 + b"\r\n\r\n",
                  b"GET / HTTP/1.1\r\n" + b"Y: z\r\n" * 20_000 + b"\r\n",
                  b"POST /status HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                  b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=10) as client:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(start)
                reply = client.recv(64)
                assert reply == b"" or reply.split()[1] in (b"400", b"405", b"413", b"414", b"431"), \
                    (start[:40], reply)
        assert product.http("/healthz")[0] == 200
    marks.assert_shown(product, http_refused_total=5)
    marks.assert_undisturbed(product)


def test_readyz_and_cutover_before_the_backfill_is_complete(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    world.source.run("INSERT INTO t SELECT generate_series(1, 10)")
    with Stall(world.target, "t", "NEW.id = 5") as stall:
        product = world.product().start()
        stall.wait_reached()
        assert product.http("/healthz")[0] == 200
        assert product.http("/readyz")[0] == 503
        assert product.http("/cutover")[0] == 503
        assert product.gates()["backfill"]["verdict"] == "NO-GO"
        product.wait_status(lambda status: status["phase"] == "backfill", "the phase", 10)
        assert product.http("/readyz")[0] == 503
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()


@pytest.mark.parametrize("listen", ["taken", "256.0.0.1:80", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_had(world, listen):
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        if listen == "taken":
            listen = "127.0.0.1:%d" % taken.getsockname()[1]
        result = world.product(http={"listen": listen}).run_to_end()
    assert result.status == 2 and listen in result.text, result.text
    assert world.leftovers() == []
