"""Partitioned tables at the source: published through the root."""
import pytest

from world import marks

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
