"""What happens beside the stream, or to its ends while nobody looks, is seen and not guessed."""
import threading

import pytest

from world import load, marks, wait

T = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def verdict(product, gate):
    return product.gates()[gate]["verdict"]


def test_a_slot_that_was_recreated_while_disconnected_is_a_gap(make_world, make_cluster,
                                                               target_cluster):
    source = make_cluster()
    world = make_world(source, target_cluster)
    world.both(T)
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (1, 'seen')")
    product.wait_caught_up()
    recreate = f"""DO $$ BEGIN
        PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots
            WHERE slot_name = '{world.object_name}';
        FOR i IN 1..200 LOOP
            BEGIN
                PERFORM pg_drop_replication_slot('{world.object_name}');
                EXIT;
            EXCEPTION WHEN object_in_use THEN PERFORM pg_sleep(0.01);
            END;
        END LOOP; END $$"""
    world.source.run(recreate, "INSERT INTO t VALUES (2, 'lost')",
                     f"SELECT pg_create_logical_replication_slot('{world.object_name}', 'pgoutput')",
                     "INSERT INTO t VALUES (3, 'after')")
    marks.assert_ended(product, 4, world.object_name, "backfill")
    assert world.target.value("SELECT count(*) FROM t WHERE id = 1") == 1
    assert not world.target.rows("SELECT FROM t WHERE id = 3")


def test_an_altered_publication_closes_a_gate_and_refuses_a_restart(world):
    world.both(T)
    product = world.product().start_streaming()
    wait.until(lambda: verdict(product, "source") == "GO", "the gate to open", 20)
    world.source.run(f"ALTER PUBLICATION {world.object_name} SET (publish = 'insert')")
    wait.until(lambda: verdict(product, "source") == "NO-GO", "the gate to close", 20)
    product.stop()
    result = product.run_to_end("--until-caught-up")
    assert result.status == 2 and "publish" in result.text, result.text


def test_a_partition_truncated_by_itself_closes_a_gate(world):
    for side in (world.source, world.target):
        side.run("CREATE TABLE k (id int PRIMARY KEY) PARTITION BY RANGE (id)",
                 "CREATE TABLE k1 PARTITION OF k FOR VALUES FROM (0) TO (100)",
                 "CREATE TABLE k2 PARTITION OF k FOR VALUES FROM (100) TO (200)")
    world.source.run("INSERT INTO k SELECT generate_series(95, 104)")
    product = world.product().start_streaming()
    wait.until(lambda: verdict(product, "source") == "GO", "the gate to open", 20)
    world.source.run("TRUNCATE k1")
    wait.until(lambda: verdict(product, "source") == "NO-GO", "the gate to close", 20)
    assert "k" in product.gates()["source"]["reason"]


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_a_table_that_was_out_of_the_publication_for_a_moment_closes_a_gate(world, running):
    """What was written meanwhile is nowhere in the stream, and the publication looks as ever."""
    world.both(T)
    product = world.product().start_streaming()
    wait.until(lambda: verdict(product, "source") == "GO", "the gate to open", 20)
    world.source.run("VACUUM FREEZE pg_publication", "VACUUM FULL pg_publication",
                     "VACUUM FULL pg_publication_rel")  # no news
    if not running:
        product.stop()
    world.source.run(f"ALTER PUBLICATION {world.object_name} DROP TABLE t",
                     "INSERT INTO t VALUES (1, 'unseen')",
                     f"ALTER PUBLICATION {world.object_name} ADD TABLE ONLY t",
                     "INSERT INTO t VALUES (2, 'seen')")
    if not running:
        product.start_streaming()
    product.wait_caught_up()
    marks.assert_gate(product, "source", "NO-GO")
    marks.assert_told(product, "the source is not as the migration began with it",
                      what="left the table out")
    product.stop()
    product.start_streaming("--redo", "public.t")
    product.wait_caught_up()
    marks.assert_gate(product, "source", "GO")
    world.assert_equal()
    product.stop()


def test_a_publication_that_left_out_updates_for_a_moment_closes_a_gate(world):
    world.both(T)
    product = world.product().start_streaming()
    wait.until(lambda: verdict(product, "source") == "GO", "the gate to open", 20)
    world.source.run(f"ALTER PUBLICATION {world.object_name} SET (publish = 'insert')",
                     f"ALTER PUBLICATION {world.object_name} "
                     "SET (publish = 'insert, update, delete, truncate')")
    wait.until(lambda: verdict(product, "source") == "NO-GO", "the gate to close", 20)
    assert "altered" in product.gates()["source"]["reason"]


@pytest.mark.parametrize("part", ["k1", "k1a"])
def test_a_partition_that_was_written_while_it_was_detached_closes_a_gate(world, part):
    world.both("CREATE TABLE k (id int PRIMARY KEY) PARTITION BY RANGE (id)",
               "CREATE TABLE k1 PARTITION OF k FOR VALUES FROM (0) TO (100) "
               "PARTITION BY RANGE (id)",
               "CREATE TABLE k1a PARTITION OF k1 FOR VALUES FROM (0) TO (50)")
    product = world.product().start_streaming()
    wait.until(lambda: verdict(product, "source") == "GO", "the gate to open", 20)
    world.source.run("VACUUM FULL pg_inherits")
    root, upper = ("k", 100) if part == "k1" else ("k1", 50)
    world.source.run(f"BEGIN; ALTER TABLE {root} DETACH PARTITION {part};"
                     f"INSERT INTO {part} VALUES (1);"
                     f"ALTER TABLE {root} ATTACH PARTITION {part} FOR VALUES FROM (0) TO ({upper});"
                     "COMMIT")
    wait.until(lambda: verdict(product, "source") == "NO-GO", "the gate to close", 20)
    assert "detached" in product.gates()["source"]["reason"]


def test_a_partition_that_came_and_went_keeps_a_gate_closed(world):
    """Its rows came by the root's stream; that they went with it did not. The catalog is as before."""
    world.source.run("CREATE TABLE k (id int PRIMARY KEY) PARTITION BY RANGE (id)",
                     "CREATE TABLE k1 PARTITION OF k FOR VALUES FROM (0) TO (100)")
    world.target.run("CREATE TABLE k (id int PRIMARY KEY)")
    product = world.product().start_streaming()
    product.stop()
    world.source.run("INSERT INTO k VALUES (1)", "ANALYZE k", "VACUUM FREEZE k", "GRANT SELECT ON k1 TO PUBLIC",
                     "CREATE INDEX ON k (id)", "ALTER TABLE k1 SET (fillfactor = 50)", "REINDEX TABLE k1",
                     "ALTER TABLE k1 ALTER id SET STATISTICS 10", "VACUUM FULL pg_class")  # daily life
    product.start_streaming()
    wait.until(lambda: verdict(product, "source") == "GO", "the gate to open", 20)
    world.source.run("CREATE TABLE k2 PARTITION OF k FOR VALUES FROM (100) TO (200)",
                     "INSERT INTO k VALUES (150)")
    wait.until(lambda: verdict(product, "source") == "NO-GO", "the gate to close", 20)
    product.wait_caught_up()
    world.source.run("DROP TABLE k2")
    wait.until(lambda: world.target.value("SELECT partitions ~ 'changed' FROM slackwater.copy"),
               "it to be kept", 20)
    product.stop()
    product.start_streaming()
    marks.assert_gate(product, "source", "NO-GO")
    product.stop()
    product.start_streaming("--redo", "public.k")
    product.wait_caught_up()
    marks.assert_gate(product, "source", "GO")
    world.assert_equal()
    product.stop()


def test_large_messages_of_the_application_move_nothing(world):
    """They are in the stream, and none of our business: no progress, no cut transaction."""
    world.both(T)
    product = world.product().start_streaming()
    seen = set()
    done = threading.Event()

    def watch():
        with world.target.session() as cursor:
            while not done.is_set():
                cursor.execute("SELECT (SELECT count(*) FROM t), "
                               "(SELECT lsn FROM slackwater.progress) = '0/0'")
                seen.add(cursor.fetchone())

    watcher = threading.Thread(target=watch)
    watcher.start()
    world.source.run(
        "SELECT pg_logical_emit_message(false, 'app', repeat('x', 9000000))",
        "BEGIN; INSERT INTO t SELECT i, 'a' FROM generate_series(1, 60000) i;"
        "SELECT pg_logical_emit_message(true, 'app', repeat('x', 30000000));"
        "INSERT INTO t SELECT i, 'b' FROM generate_series(60001, 90000) i; COMMIT")
    product.wait_caught_up()
    done.set()
    watcher.join()
    assert {count for count, _ in seen} <= {0, 90000}, seen
    assert not any(zero for _, zero in seen)
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_a_table_that_is_rewritten_as_its_copy_begins_is_copied_whole(world):
    """A rewrite is not versioned: the snapshot must come after it."""
    world.both("CREATE TABLE first (id int PRIMARY KEY, v text)",
               "CREATE TABLE z (id int PRIMARY KEY, n numeric(10,2))")
    world.source.run("INSERT INTO first SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i",
                     "INSERT INTO z SELECT i, i FROM generate_series(1, 1000) i")
    product = world.product(backfill={"workers": 1})

    def waiting(side, what):
        return lambda: side.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type "
                                  "= 'Lock' AND query LIKE %s", what)

    with load.held(world.target, "LOCK TABLE first IN SHARE MODE"):
        product.start()
        wait.until(waiting(world.target, "%first%"), "the first table's copy to wait", 30)
        altering = world.source.connect()
        with altering.cursor() as cursor:
            cursor.execute("BEGIN; ALTER TABLE z ALTER n TYPE numeric(12,4)")
    wait.until(waiting(world.source, "%z%"), "z's copy to wait", 30)
    altering.cursor().execute("COMMIT")
    altering.close()
    marks.assert_ended(product, 3, "numeric(12,4)")
    world.target.run("ALTER TABLE z ALTER n TYPE numeric(12,4)")
    product.start_streaming()
    world.source.run("INSERT INTO z VALUES (2000, 1)")
    product.wait_caught_up()
    assert world.target.value("SELECT count(*) FROM z") == 1001


def test_what_inherits_from_a_table_is_left_alone(world):
    world.both("CREATE TABLE p (id int PRIMARY KEY, v text)",
               "CREATE TABLE c (PRIMARY KEY (id)) INHERITS (p)")
    world.source.run("INSERT INTO p VALUES (1, 'p1'), (2, 'p2')",
                     "INSERT INTO c VALUES (1, 'c1'), (3, 'c3')")
    product = world.product().start_streaming()
    world.source.run("UPDATE ONLY p SET v = 'new' WHERE id = 1", "DELETE FROM ONLY p WHERE id = 2",
                     "UPDATE ONLY p SET id = 3 WHERE id = 1")
    product.wait_caught_up()
    same = "SELECT tableoid::regclass::text, id, v FROM p ORDER BY 1, 2"
    assert world.source.rows(same) == world.target.rows(same)
    world.source.run("TRUNCATE ONLY p")
    product.wait_caught_up()
    assert world.source.rows(same) == world.target.rows(same)
    marks.assert_undisturbed(product)


def test_an_unseen_write_is_not_forgotten_when_the_statistics_are_reset(world):
    world.both("CREATE TABLE n (a int)")
    world.source.run("INSERT INTO n VALUES (1)")
    product = world.product().start_streaming()
    wait.until(lambda: verdict(product, "replica_identity") == "GO", "the gate to open", 20)
    world.source.run("UPDATE n SET a = 2")
    wait.until(lambda: verdict(product, "replica_identity") == "NO-GO", "the gate to close", 20)
    world.source.run("SELECT pg_stat_reset()")
    wait.until(lambda: verdict(product, "replica_identity") == "UNKNOWN", "the reset to be seen",
               20)


def test_an_unseen_write_is_not_forgotten_when_the_source_crashes(make_world, make_cluster,
                                                                  target_cluster):
    """A crash throws the statistics away; an ordinary restart keeps them."""
    world = make_world(make_cluster(), target_cluster)
    world.both("CREATE TABLE n (a int)")
    world.source.run("INSERT INTO n VALUES (1)")
    product = world.product().start_streaming()
    product.stop()
    world.source.cluster.restart("fast")
    product.start_streaming()
    wait.until(lambda: verdict(product, "replica_identity") == "GO", "the gate to open", 20)
    product.stop()
    world.source.run("UPDATE n SET a = 2")
    world.source.cluster.restart("immediate")
    product.start_streaming()
    wait.until(lambda: verdict(product, "source") == "GO", "the look behind the statistics", 20)
    marks.assert_gate(product, "replica_identity", "UNKNOWN")
    product.stop()


def test_a_role_that_may_not_look_cannot_say_that_nothing_is_open(world):
    world.both(T)
    user = world.role(world.source, "reader", "REPLICATION")
    product = world.product()
    product.config["source"]["dsn"] = world.source.url(user)
    world.source.run(f"ALTER TABLE t OWNER TO {user}",
                     f"GRANT CREATE ON DATABASE {world.source.name} TO {user}")
    product.start_streaming()
    with world.source.session() as cursor:
        cursor.execute("BEGIN; SELECT 1")
        wait.until(lambda: verdict(product, "open_transactions") == "UNKNOWN", "the gate", 20)


def test_a_lag_that_nobody_asked_about_starts_the_hold_again(world):
    world.both(T)
    product = world.product(readiness={"hold": "2s", "max_lag": "1s"}).start_streaming()
    wait.until(lambda: verdict(product, "lag_hold") == "GO", "the hold", 30)
    with load.held(world.target, "LOCK TABLE t"):
        world.source.run("INSERT INTO t VALUES (1, 'late')")
        wait.until(lambda: world.target.value(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND now() - query_start > interval '3 s'"), "the target to have waited", 20)
    product.wait_caught_up()
    assert float(product.status()["lag"]["below_threshold_seconds"] or 0) < 3


@pytest.mark.parametrize("dsn", ["postgresql://app:s3cr3t/pw@host/db",
                                 "postgresql://app:s3cr3t@pw@host/db"])
def test_a_password_that_breaks_the_uri_is_not_shown(world, dsn):
    world.both(T)
    product = world.product()
    product.config["source"]["dsn"] = dsn
    for result in (product.run_to_end(), product.command("check")):
        assert result.status == 2
        assert "s3cr3t" not in result.text, result.text
