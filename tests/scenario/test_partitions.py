"""Partitioned tables at the source: published through the root."""
import threading

import pytest

from world import load, marks, wait

PARTITIONED = [
    "CREATE TABLE p (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
    "CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a')",
    "CREATE TABLE p_b (v text, region text NOT NULL, id int NOT NULL, PRIMARY KEY (id, region))",
    "ALTER TABLE p ATTACH PARTITION p_b FOR VALUES IN ('b')",
    "CREATE TABLE p_rest PARTITION OF p DEFAULT PARTITION BY HASH (id)",
    "CREATE TABLE p_rest_0 PARTITION OF p_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    "CREATE TABLE p_rest_1 PARTITION OF p_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
]
PLAIN = ["CREATE TABLE p (id int, region text, v text, PRIMARY KEY (id, region))"]
OTHERWISE = [
    "CREATE TABLE p (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY RANGE (id)",
    "CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (MINVALUE) TO (100)",
    "CREATE TABLE p_high PARTITION OF p FOR VALUES FROM (100) TO (MAXVALUE)",
]


@pytest.mark.parametrize("target", [PLAIN, PARTITIONED, OTHERWISE],
                         ids=["to-plain", "to-same", "to-otherwise"])
def test_a_partitioned_table_with_rows_that_move(world, target):
    world.source.run(*PARTITIONED)
    world.target.run(*target)
    insert = ("INSERT INTO p SELECT i, substr('abcd', 1 + i %% 4, 1), 'v' || i "
              "FROM generate_series(%d, %d) i")
    world.source.run(insert % (1, 40))
    product = world.product().start_streaming()
    world.source.run(insert % (81, 120),
                     "UPDATE p SET region = 'b' WHERE region = 'a' AND id % 3 = 0",
                     "UPDATE p SET region = 'new', v = 'moved' WHERE id % 7 = 0",
                     "UPDATE p SET id = id + 200 WHERE id % 5 = 0",
                     "UPDATE p_b SET v = 'through the leaf'",
                     "DELETE FROM p WHERE id % 11 = 0", "INSERT INTO p_a VALUES (1000, 'a', 'leaf')")
    product.wait_caught_up()
    world.assert_equal("p")
    marks.assert_undisturbed(product)


def test_a_partition_attached_and_detached_while_it_streams(world):
    world.source.run(*PARTITIONED)
    world.target.run(*PLAIN)
    world.source.run("INSERT INTO p SELECT i, 'a', 'x' FROM generate_series(1, 10) i")
    product = world.product().start_streaming()
    world.source.run("CREATE TABLE p_c PARTITION OF p FOR VALUES IN ('c')",
                     "INSERT INTO p SELECT i, 'c', 'x' FROM generate_series(1, 10) i",
                     "UPDATE p SET region = 'c' WHERE region = 'a' AND id = 20", "TRUNCATE p_rest")
    product.wait_caught_up()
    world.assert_equal("p")
    # What a partition takes along when it goes is not in the stream: that is said, and counts.
    world.source.run("ALTER TABLE p DETACH PARTITION p_c")
    marks.assert_gate(product, "source", "NO-GO")
    assert "attached, detached" in product.gates()["source"]["reason"]
    warning = product.event("the source is not as the migration began with it")
    assert "public.p" in warning["what"]
    product.stop()


# -- new partitions: empty ones are no news --------------------------------------------------------

RANGES = "CREATE TABLE {0} (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)"
FIRST = "CREATE TABLE {0}_1 PARTITION OF {0} FOR VALUES FROM (0) TO (100)"
FLAT = "CREATE TABLE {0} (id int PRIMARY KEY, v text)"
TAKEN_IN = "a table has new partitions, empty as they came"


def roots(world, *names):
    for name in names:
        world.source.run(RANGES.format(name), FIRST.format(name), f"INSERT INTO {name} VALUES (1)")
        world.target.run(FLAT.format(name))


def wait_kept(world, *partitions):
    """The fingerprint at the target has these partitions of the source."""
    oids = [world.source.value("SELECT %s::regclass::oid", name) for name in partitions]
    wait.until(lambda: all(world.target.value("SELECT bool_or(partitions ~ %s) FROM slackwater.copy",
                                              rf"[| ]{oid}:") for oid in oids), "new partitions", 20)


def wait_changed(world, *tables):
    changed = "SELECT source FROM slackwater.copy WHERE partitions ~ 'changed' ORDER BY 1"
    counts = sorted(f'"public"."{name}"' for name in tables)
    wait.until(lambda: [row[0] for row in world.target.rows(changed)] == counts, "those that count", 20)


def test_partitions_that_are_made_empty_are_no_news(world):
    roots(world, "k")
    product = world.product().start_streaming()
    marks.assert_gate(product, "source", "GO")
    world.source.run("CREATE TABLE k_2 PARTITION OF k FOR VALUES FROM (100) TO (200)",
                     "CREATE TABLE k_3 (LIKE k INCLUDING ALL)", "ALTER TABLE k_3 SET (fillfactor = 50)",
                     "ALTER TABLE k ATTACH PARTITION k_3 FOR VALUES FROM (200) TO (300)",
                     "CREATE TABLE k_4 PARTITION OF k FOR VALUES FROM (300) TO (400) PARTITION BY RANGE (id)",
                     "CREATE TABLE k_4_1 PARTITION OF k_4 FOR VALUES FROM (300) TO (350)")
    wait_kept(world, "k_2", "k_3", "k_4", "k_4_1")
    assert product.event(TAKEN_IN)["table"] == '"public"."k"'
    world.source.run("INSERT INTO k SELECT generate_series(50, 349)", "UPDATE k SET v = 'u' WHERE id % 2 = 0",
                     "DELETE FROM k WHERE id % 5 = 0")
    product.wait_caught_up()
    world.assert_equal("k")
    marks.assert_gate(product, "source", "GO")
    product.kill9()
    world.source.run("UPDATE k_4_1 SET v = 'meanwhile'")
    product.start_streaming()
    product.wait_caught_up()
    marks.assert_gate(product, "source", "GO")
    world.assert_equal("k")
    world.source.run("TRUNCATE k_3")  # it is one of those that count now
    marks.assert_gate(product, "source", "NO-GO")
    product.stop()


def test_a_partition_that_brings_rows_along_closes_a_gate(world):
    roots(world, "k", "unlogged", "other")
    product = world.product().start_streaming()
    marks.assert_gate(product, "source", "GO")
    world.source.run("BEGIN; CREATE TABLE k_2 (LIKE k INCLUDING ALL); INSERT INTO k_2 VALUES (150);"
                     "ALTER TABLE k ATTACH PARTITION k_2 FOR VALUES FROM (100) TO (200); COMMIT")
    marks.assert_gate(product, "source", "NO-GO")
    assert "public.k " in product.gates()["source"]["reason"]
    # Of what is in this one the stream will never tell.
    world.source.run("CREATE UNLOGGED TABLE unlogged_2 PARTITION OF unlogged FOR VALUES FROM (100) TO (200)")
    wait_changed(world, "k", "unlogged")
    assert not marks.lines_of(product, TAKEN_IN)
    product.stop()


def test_what_came_to_a_new_partition_while_nobody_looked_counts(world):
    """Also where it has gone again: what took it away may not have been in the stream."""
    new = "CREATE TABLE {0}_2 PARTITION OF {0} FOR VALUES FROM (100) TO (200)"
    fill = "INSERT INTO {0} VALUES (150)"
    meanwhile = {
        "empty": [new],
        "filled": [new, fill],
        "truncated": [new, fill, "TRUNCATE {0}_2"],
        "detached": [new, fill, "ALTER TABLE {0} DETACH PARTITION {0}_2", "DELETE FROM {0}_2",
                     "ALTER TABLE {0} ATTACH PARTITION {0}_2 FOR VALUES FROM (100) TO (200)"],
        "vacuumed": [new, fill, "ALTER TABLE {0} DETACH PARTITION {0}_2", "DELETE FROM {0}_2",
                     "VACUUM {0}_2", "ALTER TABLE {0} ATTACH PARTITION {0}_2 FOR VALUES FROM (100) TO (200)"],
        "with_another": [new, "TRUNCATE {0}_1"],
    }
    roots(world, *meanwhile)
    product = world.product().start_streaming()
    marks.assert_gate(product, "source", "GO")
    product.stop()
    for name, statements in meanwhile.items():
        world.source.run(*(statement.format(name) for statement in statements))
    assert world.source.value("SELECT pg_relation_size('vacuumed_2')") == 0
    wait.until(lambda: world.source.value("SELECT n_tup_ins FROM pg_stat_user_tables "
                                          "WHERE relname = 'vacuumed_2'"), "the statistics", 20)
    product.start_streaming()
    wait_kept(world, "empty_2")
    wait_changed(world, *meanwhile.keys() - {"empty"})
    assert [event["table"] for event in marks.lines_of(product, TAKEN_IN)] == ['"public"."empty"']
    product.stop()


def test_a_new_partition_that_is_locked_is_looked_into_later(world):
    """Nothing but that one reading waits for it."""
    roots(world, "k")
    product = world.product().start_streaming()
    marks.assert_gate(product, "source", "GO")
    world.source.run("CREATE TABLE k_2 (LIKE k INCLUDING ALL)")
    with world.source.session() as attaching, world.source.session() as holding:
        attaching.execute("BEGIN; ALTER TABLE k ATTACH PARTITION k_2 FOR VALUES FROM (100) TO (200)")
        holder = threading.Thread(target=holding.execute, args=("BEGIN; LOCK TABLE k_2",))
        holder.start()  # has it as soon as it is attached
        wait.until(lambda: world.source.value("SELECT count(*) FROM pg_locks WHERE NOT granted "
                                              "AND relation = 'k_2'::regclass"), "the queue", 20)
        attaching.execute("COMMIT")
        holder.join()
        wait.until(lambda: "new partitions of public.k:" in product.gates()["source"]["reason"],
                   "the look in vain", 20)
        assert product.gates()["source"]["verdict"] == "UNKNOWN"
        assert product.gates()["slot"]["verdict"] == "GO"
        holding.execute("COMMIT")
    wait_kept(world, "k_2")
    marks.assert_gate(product, "source", "GO")
    product.stop()


def test_a_new_partition_is_recorded_once_the_target_lets_us(world):
    roots(world, "k")
    world.target.run("DROP TABLE k", RANGES.format("k"), "CREATE TABLE k_rest PARTITION OF k DEFAULT")
    product = world.product().start_streaming()
    marks.assert_gate(product, "source", "GO")
    waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%SET partitions%'"
    with load.held(world.target, "LOCK TABLE slackwater.copy"):
        world.source.run("CREATE TABLE k_2 PARTITION OF k FOR VALUES FROM (100) TO (200)")
        wait.until(lambda: world.target.value(f"SELECT count(*) {waiting}"), "the record to wait", 20)
        world.source.run("INSERT INTO k VALUES (150)")
        world.target.run(f"SELECT pg_terminate_backend(pid) {waiting}")
    wait_kept(world, "k_2")
    assert product.event(TAKEN_IN)["target"].startswith("partitioned: it needs a place")
    product.wait_caught_up()
    world.assert_equal("k")
    product.stop()
    product.start_streaming()
    marks.assert_gate(product, "source", "GO")
    product.stop()
