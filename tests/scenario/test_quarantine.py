"""A bad row is parked with all that follows of its key, and the rest of its transaction goes on."""

T = "CREATE TABLE t (id int PRIMARY KEY, v text)"
CHECKED = "CREATE TABLE t (id int PRIMARY KEY, v text CONSTRAINT no_bad CHECK (v <> 'bad'))"


def letters(world, columns="source, operation, state, key->>'id', sqlstate"):
    return world.target.rows(f"SELECT {columns} FROM slackwater.dead_letter "
                             "ORDER BY lsn NULLS FIRST, id")


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


def test_rows_of_the_copy_are_parked_and_the_rest_of_their_chunk_loaded(world):
    world.source.run(T, "INSERT INTO t SELECT i, CASE WHEN i % 100 = 7 THEN 'bad' ELSE 'v' || i END "
                        "FROM generate_series(1, 1000) i")
    world.target.run(CHECKED)
    product = world.product().start_streaming()
    assert world.target.value("SELECT count(*) FROM t") == 990
    assert letters(world, "operation, sqlstate, new_row->>'v', lsn") == [("copy", "23514", "bad", None)] * 10
    assert product.table("public.t")["copy"]["rows"] == 990
    world.source.run("UPDATE t SET v = 'good now' WHERE id IN (7, 8)")
    product.wait_caught_up()
    assert world.target.rows("SELECT id FROM t WHERE v = 'good now'") == [(8,)]
    assert letters(world, "operation, key->>'id', sqlstate")[-1] == ("update", "7", None)


def test_a_copied_row_is_parked_whole_whichever_of_its_targets_refuses_it(world):
    world.source.run("CREATE TABLE s (id int PRIMARY KEY, a text, b text)",
                     "INSERT INTO s SELECT i, 'a' || i, CASE WHEN i = 5 THEN 'bad' ELSE 'b' END "
                     "FROM generate_series(1, 50) i")
    world.target.run("CREATE TABLE ta (id int PRIMARY KEY, a text)",
                     "CREATE TABLE tb (id int PRIMARY KEY, b text CHECK (b <> 'bad'))")
    product = world.product(tables=[
        {"source": "public.s", "target": "public.ta", "drop": ["b"]},
        {"source": "public.s", "target": "public.tb", "drop": ["a"]}]).start_streaming()
    world.source.run("UPDATE s SET a = 'new', b = 'bad' WHERE id = 6", "UPDATE s SET a = 'newer' WHERE id = 5")
    product.wait_caught_up()
    assert world.target.value("SELECT count(*) FROM ta") == 49
    assert world.target.value("SELECT count(*) FROM tb") == 49
    assert world.target.rows("SELECT a FROM ta WHERE id = 6") == [("a6",)]
    assert letters(world, "operation, new_row->>'a', new_row->>'b'") == [
        ("copy", "a5", "bad"), ("update", "new", "bad"), ("update", "newer", "bad")]


MEND = "ALTER TABLE t DROP CONSTRAINT no_bad"


def test_a_retry_makes_the_changes_of_a_key_again_in_order_while_the_run_goes_on(world):
    world.source.run(T)
    world.target.run(CHECKED)
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (1, 'bad'), (2, 'bad'), (3, 'x')",
                     "UPDATE t SET id = 11, v = 'fine' WHERE id = 1")
    product.wait_caught_up()
    listed = product.command("dlq", "list")
    assert listed.status == 0 and "id=2" in listed.out and "3 parked" in listed.out, listed.text
    refused = product.command("dlq", "retry", "2")
    assert refused.status == 1 and "no_bad" in refused.out, refused.text
    assert product.command("dlq", "retry", "--key", "id=1").status == 1
    world.target.run(MEND)
    done = product.command("dlq", "retry", "--all")
    assert done.status == 0 and "3 applied, 0 parked in all" in done.out, done.text
    world.assert_equal("t")
    assert product.table("public.t")["quarantine"] == {"dead_letters": 0, "parked_keys": 0, "copied": 0,
                                                        "breaker": "closed"}
    product.wait_status(lambda status: status["readiness"]["go"], "GO")
    world.source.run("UPDATE t SET v = 'after' WHERE id = 11")  # the key is free again
    product.wait_caught_up()
    world.assert_equal("t")


def test_without_a_run_the_command_does_it_itself(world):
    world.source.run(T)
    world.target.run(CHECKED)
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (1, 'bad'), (2, 'bad'), (3, 'x')")
    product.wait_caught_up()
    product.stop()
    assert product.command("dlq", "retry", "--all").status == 1
    skipped = product.command("dlq", "skip", "2")
    assert skipped.status == 0 and "1 skipped, 1 parked in all" in skipped.out, skipped.text
    world.target.run(MEND)
    assert product.command("dlq", "retry", "--all").status == 0
    assert world.target.rows("SELECT id FROM t ORDER BY 1") == [(1,), (3,)]
    shown = product.command("dlq", "show", "2", "--json")
    assert shown.json[0]["state"] == "skipped" and shown.json[0]["ended_by"], shown.text
    product.start_streaming()
    product.wait_status(lambda status: status["readiness"]["go"], "GO")
