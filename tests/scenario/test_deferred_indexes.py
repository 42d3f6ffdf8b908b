"""`backfill.defer_indexes`: secondary indexes go before a table is copied and come back after, as
they were, whatever is killed and whenever."""
import pytest

from world import load, wait
from test_handoff import BACKFILL, Items

DEFER = {**BACKFILL, "defer_indexes": True}

# All that tells one index from another.
CATALOG = """
    SELECT n.nspname, t.relname, c.relname, pg_get_indexdef(i.indexrelid), i.indisunique,
           i.indisprimary, i.indisexclusion, i.indimmediate, i.indisclustered, i.indisvalid,
           i.indisreplident, coalesce(s.spcname, ''), coalesce(c.reloptions::text, ''),
           coalesce(obj_description(c.oid, 'pg_class'), ''),
           coalesce(pg_get_constraintdef(k.oid), ''), coalesce(k.conname::text, ''),
           coalesce(obj_description(k.oid, 'pg_constraint'), ''), pg_get_userbyid(c.relowner),
           (SELECT array_agg((a.attnum, a.attstattarget)::text ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = c.oid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
    LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.conrelid = t.oid
                             AND k.contype IN ('p', 'u', 'x')
    WHERE n.nspname !~ '^(pg_|slackwater$)' ORDER BY 1, 2, 3"""


def left(world):
    return world.target.value("SELECT count(*) FROM slackwater.deferred_index"
                              " WHERE built_at IS NULL")


def index_names(world):
    return {row[0] for row in world.target.rows(
        "SELECT indexrelid::regclass::text FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid"
        " WHERE t.relnamespace = 'public'::regnamespace")}


def finish(world, product):
    product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    product.wait_caught_up()
    world.assert_equal()


def test_every_kind_comes_back_as_it_was(world):
    nulls = "NULLS NOT DISTINCT" if world.target.cluster.version >= 15 else ""
    world.both('CREATE TABLE "T x" (id int PRIMARY KEY, a int NOT NULL, b text, r int4range, u int,'
               ' k int UNIQUE)')
    world.source.run("""INSERT INTO "T x" SELECT i, i, 'b' || i, int4range(i, i + 1), i, i
                        FROM generate_series(1, 3000) i""")
    world.target.run(
        'CREATE UNIQUE INDEX same_as_key ON "T x" (id)',
        'CREATE INDEX "I plain" ON "T x" (b)',
        """COMMENT ON INDEX "I plain" IS 'it''s plain; -- no more'""",
        'CREATE INDEX expr ON "T x" (lower(b), (a + u))',
        "ALTER INDEX expr ALTER COLUMN 2 SET STATISTICS 777",
        """CREATE INDEX part ON "T x" USING btree (a DESC NULLS LAST, b COLLATE "C")
           INCLUDE (u) WITH (fillfactor = 55) WHERE b <> 'it''s; x'""",
        'CREATE INDEX hashed ON "T x" USING hash (b)',
        'CREATE UNIQUE INDEX uniq ON "T x" (u)',
        'ALTER TABLE "T x" ADD CONSTRAINT "C u" UNIQUE (a) INCLUDE (b) WITH (fillfactor = 60)',
        """COMMENT ON CONSTRAINT "C u" ON "T x" IS 'of a'""",
        """COMMENT ON INDEX "C u" IS 'of its index'""",
        'ALTER TABLE "T x" ADD CONSTRAINT late UNIQUE (u, a) DEFERRABLE INITIALLY DEFERRED',
        f'ALTER TABLE "T x" ADD CONSTRAINT nulls UNIQUE {nulls} (b)',
        """ALTER TABLE "T x" ADD CONSTRAINT apart EXCLUDE USING gist (r WITH &&)
           WITH (fillfactor = 70) WHERE (a > 0) DEFERRABLE""",
        'CREATE TABLE child (k int REFERENCES "T x" (k))',
        'CREATE UNIQUE INDEX ident ON "T x" (a, id)',
        'ALTER TABLE "T x" REPLICA IDENTITY USING INDEX ident',
        'ALTER TABLE "T x" CLUSTER ON "I plain"')
    before = world.target.rows(CATALOG)
    product = world.product(backfill=DEFER, tables=[{"source": 'public."T x"'}])
    stall = load.Stall(world.target, '"T x"', "NEW.id = 1500")
    with stall:
        product.start()
        stall.wait_reached()
        kept = index_names(world)
        assert kept == {'"T x_pkey"', "same_as_key", '"T x_k_key"', "ident"}, kept
    product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    product.wait_caught_up()
    assert world.target.rows(CATALOG) == before
    assert left(world) == 0
    assert world.target.value('SELECT count(*) FROM "T x"') == 3000
    product.event("index built")


def test_a_tablespace_is_kept(world, target_cluster):
    admin = target_cluster.database("postgres")
    admin.run("SET allow_in_place_tablespaces = on",
              f"CREATE TABLESPACE sp_{world.migration} LOCATION ''")
    try:
        world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
        world.target.run(f"CREATE INDEX i ON t (v) TABLESPACE sp_{world.migration}",
                         "CREATE INDEX j ON t (v)")
        before = world.target.rows(CATALOG)
        product = world.product(backfill=DEFER)
        product.start()
        finish(world, product)
        assert left(world) == 0
        assert world.target.rows(CATALOG) == before
        product.stop()
    finally:
        world.target.run("DROP TABLE t")
        admin.run(f"DROP TABLESPACE sp_{world.migration}")


def with_indexes(world):
    """A table of many chunks, whose unique key moves about while it is copied."""
    items = Items(world, "bigint")
    world.target.run("CREATE INDEX by_v ON items (v)",
                     "CREATE INDEX by_n ON items (n) WHERE n > 5",
                     "ALTER TABLE items ADD CONSTRAINT un UNIQUE (id, n)")
    return items


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_under_writes(world, seed):
    items = with_indexes(world)
    before = world.target.rows(CATALOG)
    product = world.product(backfill=DEFER)
    with load.Writers(world.source, 3, items.work, seed=seed) as writers:
        for turn in range(4):
            product.launch()
            writers.wait_commits(40 + 60 * turn + 37 * seed)
            product.kill9()
        product.config["backfill"] = BACKFILL if seed == 0 else DEFER  # what is dropped comes back
        product.start()
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
        writers.wait_commits(20)
    finish(world, product)
    assert left(world) == 0
    assert world.target.rows(CATALOG) == before


def test_killed_while_an_index_is_built(world):
    """The build waits for a transaction that is open at the target; the stream goes on."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 3000) i")
    world.target.run("CREATE TABLE other (a int)", "ALTER TABLE t ADD CONSTRAINT uv UNIQUE (v)")
    before = world.target.rows(CATALOG)
    product = world.product(backfill=DEFER, tables=[{"source": "public.t"}])
    with world.target.session() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("INSERT INTO other VALUES (1)")
        for _ in range(2):
            product.start()
            product.event("building an index that was dropped for the copy")
            wait.until(lambda: world.target.value(
                "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'"),
                "the build to wait", 30)
            assert product.table("public.t")["copy"]["state"] == "indexing"
            assert product.gates()["backfill"]["verdict"] == "NO-GO"
            assert "builds its indexes" in product.gates()["backfill"]["reason"]
            world.source.run("INSERT INTO t SELECT max(id) + 1, 'late' || max(id) FROM t")
            wait.until(lambda: world.target.value("SELECT max(id) FROM t") ==
                       world.source.value("SELECT max(id) FROM t"), "the stream to go on", 30)
            product.kill9()
        assert world.target.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 1
        cursor.execute("COMMIT")
    product.start()
    product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    product.wait_caught_up()
    assert world.target.rows(CATALOG) == before
    world.assert_equal("t")


def test_an_exclusion_does_not_wait_long_before_readers(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, r int4range)")
    world.source.run("INSERT INTO t SELECT i, int4range(i, i + 1) FROM generate_series(1, 1000) i")
    world.target.run("ALTER TABLE t ADD CONSTRAINT apart EXCLUDE USING gist (r WITH &&)")
    before = world.target.rows(CATALOG)
    product = world.product(backfill=DEFER)
    with load.Stall(world.target, "t", "NEW.id = 500") as stall:
        product.start()
        stall.wait_reached()
        with load.held(world.target, "SELECT count(*) FROM t"):
            stall.release()
            product.event("building an index that was dropped for the copy")
            wait.until(lambda: "the copy was interrupted, trying again" in product.log_text(),
                       "the build to give way", 30)
            assert world.target.value("SELECT count(*) FROM t") == 1000
    finish(world, product)
    assert world.target.rows(CATALOG) == before


def test_an_index_that_cannot_be_built_stops_the_run_until_that_is_mended(world):
    """Two rows of the source clash in a unique index that only the target has."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t VALUES (1, 'same'), (2, 'same')")
    world.target.run("CREATE UNIQUE INDEX uv ON t (v)", "CREATE INDEX iv ON t (v)")
    before = world.target.rows(CATALOG)
    product = world.product(backfill=DEFER)
    for _ in range(2):
        result = product.run_to_end()
        assert result.status == 3, result.text
        assert "CREATE UNIQUE INDEX uv ON public.t" in result.text, result.text
        assert "run again" in result.text
    assert left(world) == 2 and world.target.value("SELECT count(*) FROM t") == 2
    world.source.run("UPDATE t SET v = 'other' WHERE id = 2")
    product.start()
    finish(world, product)
    assert world.target.rows(CATALOG) == before


def test_a_unique_index_is_built_when_the_rows_are_of_one_time(world):
    """A value moves from a chunk that is copied to one that is to come: until the stream has
    brought the first, the target has it twice."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)")
    world.source.run("INSERT INTO t SELECT i, i FROM generate_series(1, 30000) i", "ANALYZE t")
    before = world.target.rows(CATALOG)
    product = world.product(backfill={**DEFER, "workers": 1})
    with load.Stall(world.target, "t", "NEW.id = 15000") as stall:
        product.start()
        stall.wait_reached()
        with load.held(world.target, "LOCK TABLE slackwater.progress IN SHARE MODE"):
            world.source.run("UPDATE t SET u = -1 WHERE id = 1",
                             "UPDATE t SET u = 1 WHERE id = 29999")
            stall.release()
            wait.until(lambda: world.target.value("SELECT count(*) FROM t") == 30000, "the copy",
                       60)
            assert world.target.value("SELECT count(*) FROM t WHERE u = 1") == 2
            assert product.table("public.t")["copy"]["state"] == "running"
    finish(world, product)
    assert world.target.rows(CATALOG) == before


def test_what_is_in_use_keeps_its_indexes(world):
    world.both("CREATE TABLE used (id int PRIMARY KEY, v text)",
               "CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
               "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000)",
               "CREATE TABLE no_key (a int)", "ALTER TABLE no_key REPLICA IDENTITY FULL")
    world.source.run("INSERT INTO used VALUES (1, 'a')", "INSERT INTO parts VALUES (1, 'a')",
                     "INSERT INTO no_key VALUES (1)")
    world.target.run("INSERT INTO used VALUES (5, 'theirs')", "CREATE INDEX ON used (v)",
                     "CREATE INDEX ON parts (v)", "CREATE INDEX ON no_key (a)")
    product = world.product(backfill=DEFER)
    product.start()
    product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    assert world.target.value("SELECT count(*) FROM slackwater.deferred_index") == 0


def test_cleanup_gives_them_back_or_says_how(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text, w text)")
    world.source.run("INSERT INTO t SELECT i, 'v' || i, 'w' FROM generate_series(1, 3000) i")
    world.target.run("CREATE INDEX iv ON t (v)", "CREATE UNIQUE INDEX uw ON t (w)")
    product = world.product(backfill=DEFER)
    stall = load.Stall(world.target, "t", "NEW.id = 1500")
    with stall:
        product.start()
        stall.wait_reached()
        product.kill9()
    assert index_names(world) == {"t_pkey"}
    result = product.command("cleanup", "--yes")
    assert result.status == 0, result.text
    assert "iv" in index_names(world)
    if "uw" not in index_names(world):
        assert "CREATE UNIQUE INDEX uw ON public.t" in result.text
    assert world.leftovers() == []


def test_a_table_made_again_defers_again(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i")
    world.target.run("CREATE INDEX iv ON t (v)")
    before = world.target.rows(CATALOG)
    product = world.product(backfill=DEFER)
    product.run_until_caught_up()
    product.start("--redo", "t")
    product.event("index built")
    finish(world, product)
    assert world.target.rows(CATALOG) == before


def test_without_the_stream_they_are_built_as_well(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i")
    world.target.run("CREATE INDEX iv ON t (v)", "ALTER TABLE t ADD UNIQUE (v)")
    before = world.target.rows(CATALOG)
    product = world.product(backfill=DEFER)
    result = product.run_to_end("--no-stream")
    assert result.status == 0, result.text
    assert world.target.rows(CATALOG) == before
