"""The network between the program and either server: resets, holes, crumbs, lost replies, TLS, names.

Each asserts the rows, the line in the log, the counter, and that the program lives on or how it ends.
"""
import os
import shutil
import subprocess

import pytest

from world import load, marks, process, wait
from world.proxy import Proxy

ROWS = 2000
# A connection's own limits, shorter than the program's, so that a test need not wait for those.
QUICK = "keepalives_idle=1&keepalives_interval=1&keepalives_count=2&tcp_user_timeout=2000"
NOTICED_SECONDS = 30


@pytest.fixture(params=["source", "target"])
def side(request):
    return request.param


@pytest.fixture
def relayed(side, world):
    """(world, proxy, program), with one side reached through the proxy."""
    world.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(world.source, ROWS)
    with Proxy(getattr(world, side)) as proxy:
        product = world.product()
        product.config[side]["dsn"] = proxy.url()
        yield world, proxy, product
        product.kill9()


def assert_noticed(product):
    marks.assert_told(product, *marks.LOST)
    marks.assert_shown(product, errors_total=marks.SOME)
    assert product.alive()


def write_and_wait(world, product, line, seconds=30):
    world.source.run(f"INSERT INTO journal VALUES (now(), '{line}')")
    wait.until(lambda: world.target.value("SELECT 1 FROM journal WHERE line = %s", line),
               f"the row '{line}'", seconds)
    product.wait_caught_up()
    world.assert_equal()


def test_connections_reset_again_and_again_under_load(relayed):
    world, proxy, product = relayed
    product.start_streaming()
    with load.Writers(world.source, 2, load.accounts_work(ROWS)) as writers:
        for _ in range(5):
            writers.wait_commits(40)
            proxy.cut()
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_lost_and_back(product)


def test_every_message_comes_in_small_pieces(relayed):
    world, proxy, product = relayed
    proxy.piece = 7
    product.start_streaming()
    with load.Writers(world.source, 2, load.accounts_work(ROWS)) as writers:
        writers.wait_commits(100)
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_a_line_of_few_bytes_a_second_is_slow_and_nothing_else(relayed):
    """Then of one: nothing comes any more, and it still answers and stops when it is told to."""
    world, proxy, product = relayed
    product.start_streaming()
    proxy.rate = 4000
    with load.Writers(world.source, 1, load.accounts_work(ROWS)) as writers:
        writers.wait_commits(20)
    product.wait_caught_up()
    assert product.status()["totals"]["reconnects"] == 0
    proxy.rate = 1
    world.source.run("INSERT INTO journal VALUES (now(), 'by the byte')")
    product.wait_status(lambda status: (status["lag"]["seconds"] or 0) > 1, "a lag")
    assert product.http("/healthz")[0] == 200
    marks.assert_shown(product, lag_seconds=marks.AtLeast(1))
    marks.assert_undisturbed(product)  # and stops
    proxy.rate = None
    product.start_streaming()  # where the old walsender holds the slot yet, at the second try
    product.wait_caught_up()
    world.assert_equal()


@pytest.mark.parametrize("side", ["target"], indirect=True)
def test_a_set_over_a_slow_line_is_no_dead_connection(relayed):
    """All of it is sent long before it is there: the server waits for us, and we for it."""
    world, proxy, product = relayed
    product.start_streaming()
    product.wait_caught_up()
    proxy.rate = 4000
    world.source.run("UPDATE accounts SET balance = balance + 1 WHERE id <= 500")  # some 80 kB
    product.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(product)
    proxy.rate = None


def test_a_black_hole_is_noticed_by_the_connections_own_limits(relayed, side):
    """Nothing is reset, nothing is acknowledged; a new connection would work."""
    world, proxy, product = relayed
    # The source's end of it must not hold the slot for the whole of the default minute.
    world.source.run(f"ALTER DATABASE {world.source.name} SET wal_sender_timeout = '3s'")
    product.config[side]["dsn"] = proxy.url(QUICK)
    product.start_streaming()
    product.wait_caught_up()
    proxy.freeze()
    write_and_wait(world, product, "after the hole", NOTICED_SECONDS)
    marks.assert_lost_and_back(product)


@pytest.mark.nightly
@pytest.mark.limit(150)
@pytest.mark.parametrize("how", ["freeze", "deafen"])
def test_a_dead_connection_is_noticed_within_thirty_seconds(relayed, side, how):
    """Whether nothing is acknowledged, or all of it and nobody reads it."""
    world, proxy, product = relayed
    world.source.run(f"ALTER DATABASE {world.source.name} SET wal_sender_timeout = '10s'")
    product.start_streaming()
    product.wait_caught_up()
    getattr(proxy, how)()
    write_and_wait(world, product, "after it", NOTICED_SECONDS)
    marks.assert_lost_and_back(product)


def test_a_half_open_connection_to_the_target_is_asked_about_from_outside(world):
    """All is acknowledged and nobody reads it: TCP itself notices nothing."""
    world.both(*load.ACCOUNTS.split(";"))
    with Proxy(world.target) as proxy:
        product = world.product(target={"dsn": proxy.url()}).start_streaming()
        product.wait_caught_up()
        proxy.deafen()
        write_and_wait(world, product, "after it", NOTICED_SECONDS)
        marks.assert_lost_and_back(product)


def test_a_commit_whose_reply_is_lost_is_looked_up_and_not_repeated(world):
    """The journal has no key: a row twice would stay."""
    world.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(world.source, ROWS)
    lost = []

    def lose(data):
        lost.append(b"COMMIT\0" in data)
        return not lost[-1]

    with Proxy(world.target) as proxy:
        product = world.product(target={"dsn": proxy.url()}).start_streaming()
        with load.Writers(world.source, 2, load.accounts_work(ROWS)) as writers:
            for number in range(1, 6):
                proxy.on_reply = lose
                wait.until(lambda: sum(lost) >= number, "a reply to be lost")
                proxy.on_reply = None
                writers.wait_commits(20)
        product.wait_caught_up()
        world.assert_equal()
        marks.assert_lost_and_back(product)


def test_a_message_that_makes_no_sense_ends_the_run_before_it(world):
    """A byte changed on the way: nothing is guessed, and nothing behind it is applied."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, line text)")

    def spoil(data):
        at = data.find(b"spoil me")
        new_row = data.rfind(b"N\x00\x02", 0, at)  # of two columns
        return data[:new_row] + b"?" + data[new_row + 1:] if at >= 0 and new_row >= 0 else True

    with Proxy(world.source) as proxy:
        source = {"dsn": proxy.url(), "heartbeat": "200ms"}
        product = world.product(source=source).start_streaming()
        world.source.run("INSERT INTO t VALUES (1, 'before')")
        product.wait_caught_up()
        proxy.on_reply = spoil
        world.source.run("INSERT INTO t VALUES (2, 'spoil me')", "INSERT INTO t VALUES (3, 'behind it')")
        end = marks.assert_ended(product, 4)
        assert end["class"] == "corrupt", end
        assert world.target.rows("SELECT id FROM t") == [(1,)]
        proxy.on_reply = None
        product.start_streaming()
        product.wait_caught_up()
        world.assert_equal()
        marks.assert_undisturbed(product)


# ---- TLS ----

@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with two authorities, each of which has signed a key for localhost."""
    path = tmp_path_factory.mktemp("tls")
    for name in ("good", "other"):
        for command in (
                f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.ca.key "
                f"-out {name}.ca.crt",
                f"req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {name}.key "
                f"-out {name}.csr",
                f"x509 -req -days 2 -in {name}.csr -CA {name}.ca.crt -CAkey {name}.ca.key "
                f"-CAcreateserial -out {name}.crt"):
            subprocess.run(["openssl", *command.split()], cwd=path, check=True, capture_output=True)
    return path


def install(cluster, certificates, name):
    for suffix, file in (("crt", "server.crt"), ("key", "server.key")):
        path = cluster.data / file
        shutil.copy(certificates / f"{name}.{suffix}", path)
        path.chmod(0o600)
        if process.SERVER_USER:
            shutil.chown(path, process.SERVER_USER, process.SERVER_USER)
    hba = cluster.data / "pg_hba.conf"
    hba.write_text("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
    cluster.database("postgres").run("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
    wait.until(lambda: cluster.database("postgres").value("SHOW ssl") == "on", "TLS")


def test_tls_is_used_and_a_wrong_certificate_is_refused(
        make_world, source_cluster, make_cluster, certificates):
    target = make_cluster()
    world = make_world(source_cluster, target)
    world.both("CREATE TABLE journal (at timestamptz, line text)")
    install(target, certificates, "good")
    plain = world.target.keywords().replace("127.0.0.1", "localhost")
    wanted = f"{plain} hostaddr=127.0.0.1 sslmode=verify-full sslrootcert={certificates}/%s.ca.crt"
    for dsn, word in ((f"{plain} hostaddr=127.0.0.1 sslmode=disable", "no pg_hba.conf entry"),
                      (wanted % "other", "certificate verify failed")):
        result = world.product(target={"dsn": dsn}).run_to_end()
        assert result.status == 2 and word in result.text, result.text
        assert world.leftovers() == []
    product = world.product(target={"dsn": wanted % "good"}).start_streaming()
    assert world.target.value("""SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity
                                 USING (pid) WHERE application_name = 'slackwater'""")
    write_and_wait(world, product, "by TLS")
    # Another key in mid-run: no session goes to it, and the run waits for the right one.
    install(target, certificates, "other")
    world.target.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                     "WHERE application_name = 'slackwater'")
    world.source.run("INSERT INTO journal VALUES (now(), 'waits')")
    wait.until(lambda: "certificate verify failed" in product.log_text(), "the refusal")
    assert_noticed(product)
    assert world.target.value("SELECT count(*) FROM journal WHERE line = 'waits'") == 0
    install(target, certificates, "good")
    write_and_wait(world, product, "again")
    marks.assert_lost_and_back(product)


# ---- names ----

NSS_WRAPPER = "libnss_wrapper.so"


def test_a_name_is_resolved_anew_for_each_connection(make_world, source_cluster, make_cluster):
    """As after a failover by DNS: the target is elsewhere, under the same name."""
    target = make_cluster()
    world = make_world(source_cluster, target)
    world.both("CREATE TABLE journal (at timestamptz, line text)")
    hosts = world.folder / "hosts"
    hosts.write_text("127.0.0.1 target.test\n")
    config = world.config(target={"dsn": world.target.url().replace("127.0.0.1", "target.test")})
    product = world.product_from(config, env={"LD_PRELOAD": NSS_WRAPPER,
                                              "NSS_WRAPPER_HOSTS": str(hosts)})
    product.start_streaming()
    write_and_wait(world, product, "there")
    world.target.run("ALTER SYSTEM SET listen_addresses = '127.0.0.2'")
    target.restart()
    world.source.run("INSERT INTO journal VALUES (now(), 'waits')")
    assert_noticed(product)
    hosts.write_text("127.0.0.2 target.test\n")
    os.utime(hosts, (1, 1))  # it is read again when its time is another, in seconds
    write_and_wait(world, product, "here")
    marks.assert_lost_and_back(product)
