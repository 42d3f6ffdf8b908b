"""Where a secret may stand, and where it never shows.

Besides these, every test of the suite looks for the DSNs' password in whatever was printed
(Product.assert_no_secret).
"""
import os
import pathlib
import resource
import signal

import pytest

from world import marks, wait
from world.cluster import SECRET
from world.product import SANITIZER


@pytest.fixture
def tables(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t VALUES (1, 'x')")
    return world


def assert_streams(world, product):
    world.source.run("INSERT INTO t SELECT max(id) + 1, 'y' FROM t")
    product.wait_caught_up(seconds=15)
    world.assert_equal()


def test_dsns_from_a_file_and_from_the_environment(tables):
    secret = tables.folder / "dsn"
    secret.write_text(tables.source.url() + "\n")
    config = tables.config(source={"dsn": f"file:{secret}", "heartbeat": "200ms"},
                           target={"dsn": "${MY_TARGET}"})
    product = tables.product_from(config, env={"MY_TARGET": tables.target.keywords()})
    product.start_streaming()
    assert_streams(tables, product)


def test_a_password_rotated_in_its_file_is_read_again(tables):
    role = tables.role(tables.target, "rotated", "SUPERUSER PASSWORD 'first'")
    hba = tables.target.cluster.data / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n" + before)
    secret = tables.folder / "dsn"
    try:
        tables.target.run("SELECT pg_reload_conf()")
        secret.write_text(tables.target.url(role, "first"))
        product = tables.product(target={"dsn": f"file:{secret}"}).start_streaming()
        tables.target.run(f"ALTER ROLE {role} PASSWORD 'second'")
        secret.write_text(tables.target.url(role, "second"))
        tables.target.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                          f"WHERE usename = '{role}'")
        assert_streams(tables, product)
        marks.assert_lost_and_back(product)
    finally:
        hba.write_text(before)
        tables.target.run("SELECT pg_reload_conf()", f"DROP OWNED BY {role}")


def test_a_password_given_as_a_flag_is_not_left_for_ps_to_show(tables):
    product = tables.product(source={}, target={})
    product.config.pop("source")
    product.config.pop("target")
    product.flags = ["--source", tables.source.url(), "--target", tables.target.keywords()]
    product.start_streaming()
    cmdline = pathlib.Path(f"/proc/{product.child.pid}/cmdline").read_bytes().decode()
    assert "run" in cmdline
    assert SECRET not in cmdline
    assert_streams(tables, product)


def test_nothing_secret_and_no_rows_in_a_debug_log(tables):
    product = tables.product().start("--log-level", "debug")
    product.wait_streaming()
    tables.source.run("INSERT INTO t VALUES (77, 'a value that is nobody''s business')")
    product.wait_caught_up()
    product.stop()
    assert "nobody's business" not in product.log.read_text()


@pytest.mark.skipif(bool(SANITIZER), reason="builds for debugging leave cores")
def test_a_core_is_never_written(tables):
    product = tables.product()
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    product.start_streaming()
    pid = product.child.pid
    resource.prlimit(pid, resource.RLIMIT_CORE, (hard, hard))
    product.child.send_signal(signal.SIGABRT)
    _, status = os.waitpid(pid, 0)
    product.child = None
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)


def test_a_refused_login_names_the_role_and_not_the_password(tables):
    product = tables.product(target={"dsn": tables.target.url("nobody_of_that_name")})
    result = product.run_to_end()
    assert result.status == 2 and "nobody_of_that_name" in result.text
    wait.until(lambda: tables.leftovers() == [], "nothing left behind", 5)
