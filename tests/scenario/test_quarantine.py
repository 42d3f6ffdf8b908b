"""A bad row is parked with all that follows of its key, and the rest of its transaction goes on."""

T = "CREATE TABLE t (id int PRIMARY KEY, v text)"
CHECKED = "CREATE TABLE t (id int PRIMARY KEY, v text CONSTRAINT no_bad CHECK (v <> 'bad'))"


def letters(world, columns="source, operation, state, key->>'id', sqlstate"):
    return world.target.rows(f"SELECT {columns} FROM slackwater.dead_letter ORDER BY id")


def test_a_refused_row_is_parked_and_the_rest_of_its_transaction_applied(world):
    world.source.run(T)
    world.target.run(CHECKED)
    product = world.product().start_streaming()
    world.source.script("BEGIN; INSERT INTO t VALUES (1, 'good'), (2, 'bad'), (3, 'good'); COMMIT;")
    product.wait_caught_up()
    assert world.target.rows("SELECT id FROM t ORDER BY 1") == [(1,), (3,)]
    assert letters(world) == [('"public"."t"', "insert", "parked", "2", "23514")]
    table = product.table("public.t")
    assert table["stream"]["quarantined"] == 1
    gate = product.gates()["bad_rows"]
    assert gate["verdict"] == "NO-GO" and "dlq list" in gate["remedy"], gate


def test_later_changes_of_the_key_wait_behind_it_also_across_restarts(world):
    world.source.run(T)
    world.target.run(CHECKED)
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (1, 'bad'), (2, 'x')", "UPDATE t SET v = 'fine' WHERE id = 1")
    product.wait_caught_up()
    product.kill9()
    product.start_streaming()
    world.source.run("UPDATE t SET id = 7 WHERE id = 1", "UPDATE t SET v = 'finer' WHERE id = 7",
                     "INSERT INTO t VALUES (1, 'again')", "DELETE FROM t WHERE id = 2")
    product.wait_caught_up()
    assert world.target.rows("SELECT * FROM t") == []
    rows = letters(world, "operation, key->>'id', new_key->>'id', sqlstate, chain")
    assert [row[:4] for row in rows] == [
        ("insert", "1", None, "23514"), ("update", "1", None, None), ("update", "1", "7", None),
        ("update", "7", None, None), ("insert", "1", None, None)], rows
    assert {row[4] for row in rows} == {1}
