"""Our writes at the target are marked, so that a stream the other way can leave them out."""
from world import marks
from world.product import lsn

LOCAL = "SELECT data FROM pg_logical_slot_get_changes('back', NULL, NULL, 'only-local', '1') " \
        "WHERE data LIKE 'table public.%'"


def test_only_the_applications_own_writes_are_local(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE log (line text)")
    world.source.run("INSERT INTO t SELECT i, 'copied' FROM generate_series(1, 10) i")
    product = world.product().start_streaming()
    world.target.run("SELECT pg_create_logical_replication_slot('back', 'test_decoding')")
    world.source.run("INSERT INTO t VALUES (100, 'streamed')", "UPDATE t SET v = 'u' WHERE id = 1",
                     "DELETE FROM t WHERE id = 2", "INSERT INTO log VALUES ('streamed')")
    product.wait_caught_up()
    world.target.run("INSERT INTO t VALUES (500, 'own')")
    rows = [row[0] for row in world.target.rows(LOCAL)]
    assert rows == ["table public.t: INSERT: id[integer]:500 v[text]:'own'"]
    world.target.run("SELECT pg_drop_replication_slot('back')", "DELETE FROM t WHERE id = 500")
    world.assert_equal()
    marks.assert_undisturbed(product)


def test_the_origin_tells_how_far_the_target_is(world):
    """Progress lives with the data, also where PostgreSQL itself keeps it."""
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    product = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (1)")
    committed = lsn(world.source.value("SELECT pg_current_wal_insert_lsn()"))
    product.wait_caught_up()
    reached = world.target.value("""SELECT remote_lsn FROM pg_replication_origin_status s
                                    JOIN pg_replication_origin o ON o.roident = s.local_id
                                    WHERE roname = %s""", world.object_name)
    assert committed - 0x1000 <= lsn(reached) <= committed + 0x100000
