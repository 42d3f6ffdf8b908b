"""The main job between servers of different major versions: copy, stream, types, TOAST, TRUNCATE, keys,
kill and resume, check, schema, readiness and cleanup.

The stories are those of the other files; here they are told again for each pair. The whole suite
for any pair: tests/run --source-version N --target-version M.
"""
import pytest

import test_made_types
from test_check import test_compatible  # noqa: F401
from test_cleanup import product, test_after_a_run  # noqa: F401
from test_keys import test_a_key_change_takes_the_columns_of_others_along  # noqa: F401
from test_kill_and_resume import (busy,  # noqa: F401
                                  test_a_change_made_during_the_copy_and_killed_after_it)
from test_schema import test_applied_and_applied_again  # noqa: F401
from test_toast import test_untouched_large_values_of_a_table_without_a_key  # noqa: F401
from test_truncate import test_truncate_of_several_tables_between_writes  # noqa: F401
from test_types import test_generated_and_identity_columns  # noqa: F401
from world.cluster import Cluster

PAIRS = [(14, 18), (18, 14), (16, 17)]


@pytest.fixture(scope="module", params=[
    pytest.param(pair, id=f"{pair[0]}to{pair[1]}",
                 marks=pytest.mark.xdist_group(f"versions{pair[0]}to{pair[1]}"))
    for pair in PAIRS])
def pair(request, folder):
    source, target = request.param
    clusters = [Cluster(folder / f"v{source}{target}{side}", version)
                for side, version in (("s", source), ("t", target))]
    try:
        yield [cluster.create() for cluster in clusters]
    finally:
        for cluster in clusters:
            cluster.destroy()


@pytest.fixture
def source_cluster(pair):
    return pair[0]


@pytest.fixture
def target_cluster(pair):
    return pair[1]


def test_the_releases_differ_and_check_says_what_that_means(world):
    source, target = (side.cluster.version for side in (world.source, world.target))
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    result = world.product().command("check", "--json")
    found = {finding["id"]: finding for finding in result.json["findings"]}
    assert result.status == 0
    assert ("target.older" in found) == (target < source)
    for side, major in ((world.source, source), (world.target, target)):
        assert side.value("SHOW server_version_num")[:2] == str(major)


def test_every_type(world):
    test_made_types.test_a_table_of_all_types(world, "binary", "DEFAULT")


def test_ready_says_go(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 500) i")
    product = world.product().start_streaming()  # noqa: F811
    world.source.run("UPDATE t SET v = 'new' WHERE id % 2 = 0", "DELETE FROM t WHERE id % 3 = 0")
    product.wait_caught_up()
    product.wait_status(lambda status: status["readiness"]["go"], "GO")
    assert product.command("ready").status == 0
    world.assert_equal()
    product.stop()
