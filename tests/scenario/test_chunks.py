"""Tables are copied in chunks: over keys of every kind, and each chunk is there once it is."""
import collections

import pytest

from world import load, wait

SMALL = {"workers": 2, "chunk_rows": 500, "chunk_time": "1ms"}  # chunks of 500 rows

# DDL of a table t, and how its n rows are made; which tables are copied in chunks.
KEYS = {
    "int": ("id int PRIMARY KEY, v text",
            "SELECT i * 7, 'v' || i FROM generate_series(1, {n}) i"),
    "bigint-negative": ("id bigint PRIMARY KEY, v text",
                        "SELECT i - {n} / 2, 'v' || i FROM generate_series(1, {n}) i"),
    "bigint-extreme": ("id bigint PRIMARY KEY",
                       "SELECT i FROM generate_series(1, {n} - 4) i UNION ALL VALUES "
                       "(9223372036854775807), (9223372036854775806), (-9223372036854775808), (0)"),
    "smallint": ("id smallint PRIMARY KEY", "SELECT i - 2000 FROM generate_series(1, {n}) i"),
    "bool": ("b bool, id int, PRIMARY KEY (b, id)",
             "SELECT i % 10 = 0, i FROM generate_series(1, {n}) i"),
    "int-int": ("a int, b int, v text, PRIMARY KEY (a, b)",
                "SELECT i / 100, -i, 'v' FROM generate_series(1, {n}) i"),
    "skewed": ("a int, b int, v text, PRIMARY KEY (a, b)",
               "SELECT CASE WHEN i % 10 < 8 THEN 5 ELSE i / 50 END, i, 'v' "
               "FROM generate_series(1, {n}) i"),
    "one-leading-value": ("a int, b int, PRIMARY KEY (a, b)",
                          "SELECT 1, i FROM generate_series(1, {n}) i"),
    "prefix": ("a int, b numeric, c text, PRIMARY KEY (a, b)",
               "SELECT i / 300, i / 3.0, 'v' FROM generate_series(1, {n}) i"),
    "uuid": ("id uuid PRIMARY KEY, v text",
             "SELECT md5(i::text)::uuid, 'v' FROM generate_series(1, {n}) i"),
    "text-c": ('id text COLLATE "C" PRIMARY KEY, v text',
               r"SELECT CASE i % 4 WHEN 0 THEN E'o\'neil\\' WHEN 1 THEN '{{\"' WHEN 2 THEN 'ü,' "
               "ELSE '' END || i, 'v' FROM generate_series(1, {n}) i"),
    "varchar-c": ('id varchar(20) COLLATE "C" PRIMARY KEY',
                  "SELECT chr(33 + i % 90) || i FROM generate_series(1, {n}) i"),
    "name": ("id name PRIMARY KEY", "SELECT 'n' || i FROM generate_series(1, {n}) i"),
    "quoted": ('"Key \'1" int, "b""c" int, PRIMARY KEY ("Key \'1", "b""c")',
               "SELECT i / 9, i FROM generate_series(1, {n}) i"),
}
# Only the source knows the order of these: it is asked, and each lane is one chunk.
TYPES = [
    "CREATE EXTENSION citext", "CREATE EXTENSION ltree", "CREATE SCHEMA \"Od.d\"",
    "CREATE COLLATION \"Od.d\".\"Lo\"\"ose\" (provider = icu, locale = 'und-u-ks-level2',"
    " deterministic = false)",
    "CREATE TYPE \"Od.d\".\"Mo od\" AS ENUM (" +
    ", ".join(f"'{(17 * i) % 40} \"{{,'" for i in range(40)) + ")",
    'CREATE DOMAIN short AS varchar(40) COLLATE "und-x-icu" CHECK (VALUE <> \'\')',
]
MIXED = ("CASE i % 6 WHEN 0 THEN 'o''neil\\' WHEN 1 THEN '{{\"' WHEN 2 THEN 'ü,' WHEN 3 THEN 'OK' "
         "WHEN 4 THEN 'ok' ELSE '' END || i")
SERIES = "FROM generate_series(1, {n}) i"
ASKED = {
    "text-icu": ('id text COLLATE "und-x-icu" PRIMARY KEY, v text', f"SELECT {MIXED}, 'v' {SERIES}"),
    "text-libc": ('id text COLLATE "C.utf8" PRIMARY KEY', f"SELECT {MIXED} {SERIES}"),
    "text-loose": ('id text COLLATE "Od.d"."Lo""ose" PRIMARY KEY', f"SELECT {MIXED} {SERIES}"),
    "char": ('id char(20) COLLATE "und-x-icu" PRIMARY KEY', f"SELECT {MIXED} {SERIES}"),
    "domain": ("id short PRIMARY KEY", f"SELECT {MIXED} {SERIES}"),
    "citext": ("id citext PRIMARY KEY", f"SELECT {MIXED} {SERIES}"),
    "ltree": ("id ltree PRIMARY KEY", "SELECT ('a.' || i || '.b')::ltree " + SERIES),
    "enum-int": ('m "Od.d"."Mo od", i int, PRIMARY KEY (m, i)',
                 "SELECT (i % 40 || ' \"{{,')::\"Od.d\".\"Mo od\", i " + SERIES),
    "numeric": ("id numeric(20, 6) PRIMARY KEY",
                "SELECT (i - {n} / 2) / 7.0 FROM generate_series(2, {n}) i UNION ALL SELECT 'NaN'"),
    "float": ("id float8 PRIMARY KEY",
              "SELECT (i - {n} / 2) / 7.0::float8 FROM generate_series(4, {n}) i"
              " UNION ALL VALUES ('NaN'::float8), ('inf'), ('-inf')"),
    "timestamptz-text": ('at timestamptz(3), v text COLLATE "und-x-icu", PRIMARY KEY (at, v)',
                         "SELECT '2024-03-31 00:00+00'::timestamptz + i / 2 * interval '7 s', "
                         f"'v' || i {SERIES}"),
    "date": ("d date, i int, PRIMARY KEY (d, i)", f"SELECT '0001-01-01 BC'::date + i, i {SERIES}"),
    "interval": ("id interval PRIMARY KEY",
                 f"SELECT i * interval '-1 month 3 days 2 s' {SERIES}"),
    "inet": ("id inet PRIMARY KEY", f"SELECT '10.0.0.0'::inet + i * 7 {SERIES}"),
    "bytea": ("id bytea PRIMARY KEY", f"SELECT sha256(i::text::bytea) {SERIES}"),
    "range": ("id int4range PRIMARY KEY", f"SELECT int4range(i, i + 5) {SERIES}"),
    "money": ("id money PRIMARY KEY", f"SELECT (i / 8.0)::numeric::money {SERIES}"),
    "lsn": ("id pg_lsn PRIMARY KEY", f"SELECT '0/0'::pg_lsn + i * 1e9::numeric {SERIES}"),
    "bit": ("id bit varying(20) PRIMARY KEY", f"SELECT i::bit(16)::bit varying(20) {SERIES}"),
}
WHOLE = {
    "array": ("id text[] PRIMARY KEY", "SELECT ARRAY['v' || i] FROM generate_series(1, {n}) i"),
    "composite": ("id pair PRIMARY KEY",
                  "SELECT ROW(i, 'v')::pair FROM generate_series(1, {n}) i"),
    "keyless": ("v text, w int", "SELECT 'v' || i % 50, i % 3 FROM generate_series(1, {n}) i"),
}
PARTITIONED = [
    "CREATE TABLE t (a int, b int, v text, PRIMARY KEY (a, b)) PARTITION BY RANGE (a)",
    "CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (MINVALUE) TO (10)",
    "CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (10) TO (30) PARTITION BY HASH (b)",
    "CREATE TABLE t_high_0 PARTITION OF t_high FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    "CREATE TABLE t_high_1 PARTITION OF t_high FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    "CREATE TABLE t_rest PARTITION OF t DEFAULT",
]


def chunks(world, table="t"):
    """The chunk rows of a table, by lane: [(number, last key or None, rows), ...]."""
    lanes = collections.defaultdict(list)
    for lane, *rest in world.target.rows(
            """SELECT lane, number, upto, rows FROM slackwater.chunk
               WHERE migration = %s AND source = %s ORDER BY lane, number""",
            world.migration, f'"public"."{table}"'):
        lanes[lane].append(tuple(rest))
    return lanes


def copy_row(world, columns, table="t"):
    return world.target.rows(f"SELECT {columns} FROM slackwater.copy "
                             "WHERE migration = %s AND source = %s",
                             world.migration, f'"public"."{table}"')[0]


def assert_chunked(world, rows, table="t"):
    """Every lane is there from its first chunk to its end, and each row is in one chunk."""
    lanes = chunks(world, table)
    bounds, whole, finished = copy_row(
        world, "coalesce(cardinality(bounds), 0), whole, finished_at IS NOT NULL", table)
    assert finished
    assert list(lanes) == list(range(bounds + 1))
    for lane in lanes.values():
        assert [number for number, _, _ in lane] == list(range(len(lane)))
        assert [upto is None for _, upto, _ in lane] == [False] * (len(lane) - 1) + [True]
    assert sum(count for lane in lanes.values() for _, _, count in lane) == rows
    return whole


def fill(world, statement, rows, analyzed):
    world.source.run("INSERT INTO t " + statement.format(n=rows))
    if analyzed:
        world.source.run("ANALYZE t")


@pytest.mark.parametrize("analyzed", [True, False], ids=["analyzed", "no-statistics"])
@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_kind_are_copied_in_chunks(world, kind, analyzed):
    columns, statement = KEYS[kind]
    world.both(f"CREATE TABLE t ({columns})")
    fill(world, statement, 4000, analyzed)
    product = world.product(backfill=SMALL).start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    assert not assert_chunked(world, 4000)
    assert sum(map(len, chunks(world).values())) >= 8


@pytest.mark.parametrize("stream", ["binary", "text"])
@pytest.mark.parametrize("kind", ASKED)
def test_where_only_the_source_knows_the_order_it_is_asked(world, kind, stream):
    """Some chunks are loaded, one is in flight and others are to come: then changes come of all."""
    columns, statement = ASKED[kind]
    leading = columns.split()[0]
    world.both(*TYPES, f"CREATE TABLE t ({columns})")
    if stream == "text":
        world.both("CREATE TABLE other (id int PRIMARY KEY, q tsquery)")
    fill(world, statement, 4000, analyzed=stream == "text")
    middle = world.source.value(f"SELECT t::text FROM t ORDER BY {leading} OFFSET 2000 LIMIT 1")
    with load.Stall(world.target, "t", "NEW::text = " + quoted(middle)) as stall:
        product = world.product(backfill={**SMALL, "workers": 1}).start()
        stall.wait_reached()
        assert chunks(world), "the row in the middle was copied first"
        world.source.run(f"UPDATE t SET {leading} = {leading} WHERE hashtext(t::text) % 3 = 0",
                         "DELETE FROM t WHERE hashtext(t::text) % 3 = 1",
                         "INSERT INTO t " + statement.format(n=4600) + " ON CONFLICT DO NOTHING")
        stall.release()
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal("t")
    assert_asked(world, least=4)
    reads = wait.until(lambda: world.source.value(
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 't_pkey'"),
        "what was read of the key's index to be counted")
    assert reads < 3 * 4600, "each chunk read more of the index than its rows"


def quoted(text):
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def assert_asked(world, least=8, table="t"):
    """It was copied in many lanes, of one chunk each."""
    lanes = chunks(world, table)
    bounds, finished = copy_row(world, "cardinality(bounds), finished_at IS NOT NULL", table)
    assert finished and bounds + 1 >= least
    assert list(lanes) == list(range(bounds + 1))
    assert all(lane[0][:2] == (0, None) and len(lane) == 1 for lane in lanes.values())


def test_several_workers_share_a_table_that_the_source_orders(world):
    """Each is held at a row of its own lane."""
    world.both('CREATE TABLE t (id text COLLATE "und-x-icu" PRIMARY KEY)')
    fill(world, f"SELECT {MIXED} {SERIES}", 4000, analyzed=True)
    with load.Stall(world.target, "t", "true") as stall:
        product = world.product(backfill={**SMALL, "workers": 4}).start()
        wait.until(lambda: world.target.value(
            "SELECT count(*) = 4 FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event = 'advisory'"), "four workers at the table")
        stall.release()
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal("t")
    assert_asked(world, 16)


def test_a_large_table_has_as_many_lanes_as_it_has_chunks(world):
    """More than the statistics tell of: the table is sampled."""
    world.both("CREATE TABLE t (id numeric PRIMARY KEY, v text)")
    fill(world, f"SELECT i / 7.0, 'v' {SERIES}", 60000, analyzed=True)
    product = world.product(backfill={**SMALL, "chunk_rows": 200}).start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    assert_asked(world, 250)
    most = max(count for lane in chunks(world).values() for _, _, count in lane)
    assert most <= 400, "lanes are of very different size"


SKEWED = {
    "tenant-id": ("tenant int, id bigint, v text, PRIMARY KEY (tenant, id)",
                  "SELECT CASE WHEN i % 10 = 0 THEN i % 50 ELSE 7 END, i, 'v' "),
    "one-tenant": ("tenant uuid, id int, v text, PRIMARY KEY (tenant, id)",
                   "SELECT md5('')::uuid, i, 'v' "),
    "three-columns": ('tenant int, region text COLLATE "C", name text COLLATE "C", v text,'
                      " PRIMARY KEY (tenant, region, name)",
                      """SELECT 1 + i % 17 / 16, CASE WHEN i % 16 < 14 THEN '{{"\\' ELSE 'b' || i END,
                         'n' || i, 'v' """),
    # The source is asked where these lie.
    "text-id": ('tenant varchar(20) COLLATE "und-x-icu", id bigint, v text,'
                " PRIMARY KEY (tenant, id)",
                """SELECT CASE WHEN i % 10 = 0 THEN chr(65 + i % 50) ELSE 'Q"\\{{' END, i, 'v' """),
    "loose-text": ('tenant text COLLATE "Od.d"."Lo""ose", name text COLLATE "und-x-icu", v text,'
                   " PRIMARY KEY (tenant, name)",
                   f"SELECT CASE i % 3 WHEN 0 THEN 'ACME' ELSE 'acme' END, {MIXED}, 'v' "),
    "numeric-time": ("tenant numeric, at timestamptz, v text, PRIMARY KEY (tenant, at)",
                     "SELECT CASE i % 9 WHEN 0 THEN i % 7 WHEN 1 THEN 4.0 ELSE 4.00 END,"
                     " '2024-03-31'::timestamptz + i * interval '7 minutes', 'v' "),
}


@pytest.mark.parametrize("analyzed", [True, False], ids=["analyzed", "no-statistics"])
@pytest.mark.parametrize("kind", SKEWED)
def test_rows_that_share_a_leading_value_are_split_among_workers(world, kind, analyzed):
    """And what was planned so is gone on with after a kill."""
    columns, statement = SKEWED[kind]
    world.both(*TYPES, f"CREATE TABLE t ({columns})")
    fill(world, statement + SERIES, 8000, analyzed)
    with load.Stall(world.target, "t", "NEW.v = 'v'") as stall:
        product = world.product(backfill={**SMALL, "workers": 4}).start()
        wait.until(lambda: world.target.value(
            "SELECT count(*) = 4 FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event = 'advisory'"), "four workers at the table")
        product.kill9()
        bounds = copy_row(world, "bounds")
        stall.release()
    product.start_streaming()
    world.source.run("UPDATE t SET v = 'w' WHERE hashtext(t::text) % 3 = 0",
                     "DELETE FROM t WHERE hashtext(t::text) % 3 = 1")
    product.wait_caught_up()
    world.assert_equal()
    assert copy_row(world, "bounds") == bounds
    rows = [sum(count for _, _, count in lane) for lane in chunks(world).values()]
    assert len(rows) >= 14 and max(rows) < 8000 / 16 * 2.5, rows


def test_text_by_the_databases_own_collation(world):
    """It is ICU's, and the target's is C."""
    world.source.needs(15)  # ICU as a database's collation
    source = world.further_source(
        options="TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'und' LOCALE 'C'")
    for side in (source, world.target):
        side.run("CREATE TABLE t (id text PRIMARY KEY, v varchar)")
    source.run("INSERT INTO t " + f"SELECT {MIXED}, 'v' {SERIES}".format(n=4000), "ANALYZE")
    config = world.config(backfill=SMALL)
    config["source"]["dsn"] = source.url()
    product = world.product_from(config, source=source).start_streaming()
    source.run("UPDATE t SET v = 'w' WHERE hashtext(id) % 3 = 0",
               "UPDATE t SET id = lower(id) || 'x' WHERE hashtext(id) % 3 = 1")
    product.wait_caught_up()
    assert source.rows('SELECT * FROM t ORDER BY id COLLATE "C"') == \
        world.target.rows('SELECT * FROM t ORDER BY id COLLATE "C"')
    assert_asked(world)


@pytest.mark.parametrize("ddl", [
    "CREATE UNIQUE INDEX k ON t (id text_pattern_ops)",
    'CREATE UNIQUE INDEX k ON t (id COLLATE "ucs_basic")',
], ids=["operators", "collation"])
def test_an_index_in_another_order_than_its_column_bounds_no_chunks(world, ddl):
    """Each chunk would scan the table."""
    world.both('CREATE TABLE t (id text COLLATE "und-x-icu" NOT NULL)', ddl,
               "ALTER TABLE t REPLICA IDENTITY USING INDEX k")
    fill(world, f"SELECT {MIXED} {SERIES}", 4000, analyzed=True)
    product = world.product(backfill=SMALL).start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    assert chunks(world) == {0: [(0, None, 4000)]}


def test_another_version_of_the_collation_is_told(world):
    """Bounds that were in order may be in none now."""
    world.both('CREATE TABLE t (id text COLLATE "und-x-icu" PRIMARY KEY)')
    fill(world, f"SELECT {MIXED} {SERIES}", 4000, analyzed=True)
    middle = world.source.value("SELECT id FROM t ORDER BY id OFFSET 2000 LIMIT 1")
    with load.Stall(world.target, "t", "NEW.id = " + quoted(middle)) as stall:
        product = world.product(backfill={**SMALL, "workers": 1}).start()
        stall.wait_reached()
        product.kill9()
    [[key]] = world.target.rows("SELECT key FROM slackwater.copy")
    version = world.source.value(
        "SELECT pg_collation_actual_version(oid) FROM pg_collation WHERE collname = 'und-x-icu'")
    assert key == f'id pg_catalog.text COLLATE pg_catalog."und-x-icu" {version}'
    world.target.run("UPDATE slackwater.copy SET key = replace(key, "
                     f"'{version}', '0.0.{version}')")
    result = product.run_to_end("--until-caught-up")
    assert result.status == 2 and f"0.0.{version}" in result.text, result.text
    assert product.run_to_end("--until-caught-up", "--redo", "public.t").status == 0
    world.assert_equal()


@pytest.mark.parametrize("who", ["reader", "asker"])
@pytest.mark.parametrize("collation", ["und-x-icu", "default"])
def test_a_source_that_is_back_by_another_version_in_mid_run_is_read_no_further(
        world, collation, who):
    """Chunks would be of other rows than the bounds are held for."""
    world.source.needs(15)  # ICU as a database's collation
    source = world.further_source(
        options="TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'und' LOCALE 'C'")
    for side in (source, world.target):
        side.run(f'CREATE TABLE t (id text COLLATE "{collation}" PRIMARY KEY, v text)')
    source.run("INSERT INTO t " + f"SELECT {MIXED}, 'v' {SERIES}".format(n=4000), "ANALYZE")
    config = world.config(backfill={**SMALL, "workers": 1})
    config["source"]["dsn"] = source.url()
    product = world.product_from(config, source=source)
    last = source.value("SELECT id FROM t ORDER BY id DESC LIMIT 1")
    with load.Stall(world.target, "t", "NEW.id = " + quoted(last)) as stall:
        product.start()
        stall.wait_reached()
        source.run("CREATE OR REPLACE FUNCTION pg_catalog.pg_"
                   f"{'database_' if collation == 'default' else ''}collation_actual_version(oid)"
                   " RETURNS text LANGUAGE sql STABLE AS $$SELECT '0.0.1'::text$$")
        if who == "asker":
            source.run("UPDATE t SET v = 'w' WHERE id < 'm'")
        else:
            source.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                       " WHERE datname = current_database() AND query LIKE 'COPY (%'")
            stall.release()
        assert product.wait_end() == 2, product.log_text()
    assert "version 0.0.1 of its collation" in product.log_text()
    assert "run --redo" in product.log_text()
    result = product.run_to_end("--until-caught-up", "--redo", "public.t")
    assert result.status == 0, result.text
    assert source.value("SELECT count(*) FROM t") == world.target.value("SELECT count(*) FROM t")


def test_a_key_that_is_written_in_another_way_in_mid_run_is_told(world):
    """What was an enum's value in the bounds is none any more."""
    world.both("CREATE TYPE grade AS ENUM ('a', 'b', 'c', 'd')",
               "CREATE TABLE t (g grade, id int, v text, PRIMARY KEY (g, id))")
    fill(world, "SELECT (ARRAY['a', 'b', 'c', 'd'])[1 + i % 4]::grade, i, 'v' " + SERIES, 4000,
         analyzed=True)
    last = world.source.value("SELECT max(id) FROM t WHERE g = 'd'")
    with load.Stall(world.target, "t", f"NEW.id = {last}") as stall:
        product = world.product(backfill={**SMALL, "workers": 1}).start()
        stall.wait_reached()
        world.source.run("ALTER TYPE grade RENAME VALUE 'b' TO 'good'",
                         "UPDATE t SET v = 'w' WHERE id = 7")
        assert product.wait_end() == 3, product.log_text()
    assert "run --redo" in product.log_text()
    assert product.run_to_end("--until-caught-up").status != 0
    world.target.run("ALTER TYPE grade RENAME VALUE 'b' TO 'good'")
    result = product.run_to_end("--until-caught-up", "--redo", "public.t")
    assert result.status == 0, result.text
    world.assert_equal()


def test_the_session_that_asks_is_lost(world):
    world.both('CREATE TABLE t (id text COLLATE "und-x-icu" PRIMARY KEY, v text)')
    fill(world, f"SELECT {MIXED}, 'v' {SERIES}", 4000, analyzed=True)
    last = world.source.value("SELECT id FROM t ORDER BY id DESC LIMIT 1")
    asking = ("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
              " AND query LIKE 'SELECT width_bucket%%'")
    with load.Stall(world.target, "t", "NEW.id = " + quoted(last)) as stall:
        product = world.product(backfill={**SMALL, "workers": 1}).start()
        stall.wait_reached()
        first = "(SELECT id FROM t ORDER BY id LIMIT 1)"
        world.source.run(f"UPDATE t SET v = 'w' WHERE id = {first}")
        pid = wait.until(lambda: world.source.value(asking), "the session that asks")
        world.source.run(f"SELECT pg_terminate_backend({pid})",
                         f"UPDATE t SET v = 'x' WHERE id = {first}",
                         "DELETE FROM t WHERE id = (SELECT id FROM t ORDER BY id OFFSET 7 LIMIT 1)")
        again = wait.until(lambda: world.source.value(asking), "it to come again")
        assert again != pid
        stall.release()
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()
    wait.until(lambda: world.source.value(asking) is None, "the session to be closed")


def test_a_source_that_lets_nobody_in_for_a_while_is_asked_again(world):
    """The session that asks comes when the first change does."""
    role = world.role(world.source, "asker", "SUPERUSER")
    world.both('CREATE TABLE t (id text COLLATE "und-x-icu" PRIMARY KEY, v text)')
    fill(world, f"SELECT {MIXED}, 'v' {SERIES}", 4000, analyzed=True)
    last = world.source.value("SELECT id FROM t ORDER BY id DESC LIMIT 1")
    with load.Stall(world.target, "t", "NEW.id = " + quoted(last)) as stall:
        product = world.product(source={"dsn": world.source.url(role)},
                                backfill={**SMALL, "workers": 1}).start()
        stall.wait_reached()
        world.source.run(f"ALTER ROLE {role} NOLOGIN",
                         "UPDATE t SET v = 'w' WHERE id < 'm'")
        wait.until(lambda: product.log_text().count("is not permitted to log in") > 1,
                   "attempts to connect")
        world.source.run(f"ALTER ROLE {role} LOGIN")
        stall.release()
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()


@pytest.mark.parametrize("kind", WHOLE)
def test_a_table_without_a_key_of_known_order_is_one_chunk(world, kind):
    columns, statement = WHOLE[kind]
    world.both("CREATE TYPE pair AS (a int, b text)", f"CREATE TABLE t ({columns})")
    if kind == "keyless":
        world.source.run("ALTER TABLE t REPLICA IDENTITY FULL")
    fill(world, statement, 4000, analyzed=True)
    product = world.product(backfill=SMALL).start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    assert assert_chunked(world, 4000)
    assert chunks(world) == {0: [(0, None, 4000)]}


@pytest.mark.parametrize("analyzed", [True, False], ids=["analyzed", "no-statistics"])
@pytest.mark.parametrize("target", [PARTITIONED, PARTITIONED[:1] + PARTITIONED[5:]],
                         ids=["to-same", "to-otherwise"])
def test_a_partitioned_table_is_copied_through_its_root(world, target, analyzed):
    world.source.run(*PARTITIONED)
    world.target.run(*target)
    fill(world, "SELECT i / 100, i, 'v' FROM generate_series(1, {n}) i", 4000, analyzed)
    product = world.product(backfill=SMALL).start_streaming()
    world.source.run("UPDATE t SET a = a + 25 WHERE b % 5 = 0")
    product.wait_caught_up()
    world.assert_equal("t")
    assert not assert_chunked(world, 4000)


def test_a_table_that_inherits_is_a_table_of_its_own(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)",
               "CREATE TABLE child (PRIMARY KEY (id)) INHERITS (t)")
    world.source.run("INSERT INTO t SELECT i, 'p' FROM generate_series(1, 2000) i",
                     "INSERT INTO child SELECT i, 'c' FROM generate_series(1, 3000) i", "ANALYZE")
    product = world.product(backfill=SMALL).start_streaming()
    product.wait_caught_up()
    for only in ("ONLY t", "child"):
        query = f"SELECT count(*), min(v), sum(id) FROM {only}"
        assert world.source.rows(query) == world.target.rows(query)
    assert_chunked(world, 2000)
    assert_chunked(world, 3000, "child")


def test_an_empty_table_is_one_empty_chunk(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    product = world.product(backfill=SMALL).start_streaming()
    product.wait_caught_up()
    assert chunks(world) == {0: [(0, None, 0)]}


def test_rows_at_the_target_are_overwritten_chunk_by_chunk(world):
    """The application writes both sides: every chunk goes by a stage."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    fill(world, "SELECT i, 'source' FROM generate_series(1, {n}) i", 4000, analyzed=True)
    world.target.run("INSERT INTO t SELECT i, 'old' FROM generate_series(1, 4000, 7) i",
                     "INSERT INTO t VALUES (-1, 'its own')")
    product = world.product(backfill=SMALL).start_streaming()
    product.wait_caught_up()
    assert_chunked(world, 4000)
    assert copy_row(world, "staged") == (True,)
    world.target.run("DELETE FROM t WHERE id = -1")
    world.assert_equal()


def test_a_row_that_comes_to_the_target_during_the_copy_sends_its_chunk_through_the_stage(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    fill(world, "SELECT i, 'source' FROM generate_series(1, {n}) i", 4000, analyzed=True)
    with load.Stall(world.target, "t", "NEW.v = 'source' AND NEW.id % 500 = 1") as stall:
        product = world.product(backfill=SMALL).start()
        stall.wait_reached()
        # Both workers stand in the first lanes.
        world.target.run("INSERT INTO t VALUES (2500, 'mine'), (3000, 'mine'), (3500, 'mine')")
    product.wait_streaming()
    product.wait_caught_up()
    assert copy_row(world, "staged") == (True,)
    world.assert_equal()
    assert product.table("public.t")["copy"]["overwritten"] == 3
    assert product.log_text().count("the copy overwrites rows that others wrote") == 1


CLASHING = ("CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)",
            "SELECT i, i FROM generate_series(1, {n}) i")


@pytest.mark.parametrize("stall, theirs", [
    # Under a key of its own, before any chunk is there.
    ("NEW.id = 1", [(-5, 2)]),
    # Under a key that the chunk has too, after some chunks.
    ("NEW.id = 2400", [(2450, -1), (9999, 2460)]),
], ids=["no-chunk-yet", "a-key-of-the-chunk"])
def test_rows_of_others_that_clash_are_not_emptied_with_the_table(world, stall, theirs):
    world.both(CLASHING[0])
    fill(world, CLASHING[1], 4000, analyzed=True)
    product = world.product(
        backfill={**SMALL, "workers": 1}, apply={"on_bad_row": "stop"})
    with load.Stall(world.target, "t", stall) as stalled:
        product.start()
        stalled.wait_reached()
        world.target.run(*(f"INSERT INTO t VALUES ({id}, {u})" for id, u in theirs))
    assert product.wait_end(60) == 3
    assert "others wrote there: mend those" in product.log_text()
    assert copy_row(world, "staged") == (True,)  # also for the next run
    for row in theirs:
        assert world.target.rows("SELECT * FROM t WHERE id = %s", row[0]) == [row]
    world.target.run(*(f"DELETE FROM t WHERE id = {id}" for id, _ in theirs))
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()


def test_several_targets_of_one_table_share_its_chunks(world):
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.target.run("CREATE TABLE a (id int PRIMARY KEY, v text)",
                     "CREATE TABLE b (id int PRIMARY KEY, v text)")
    fill(world, "SELECT i, 'v' || i FROM generate_series(1, {n}) i", 4000, analyzed=True)
    product = world.product(backfill=SMALL, tables=[
        {"source": "public.t", "target": "public.a"},
        {"source": "public.t", "target": "public.b"}]).start_streaming()
    product.wait_caught_up()
    world.assert_equal_by({"a": "SELECT * FROM t", "b": "SELECT * FROM t"})
    assert_chunked(world, 8000)


def test_killed_in_mid_copy_it_keeps_the_chunks_that_are_there(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    fill(world, "SELECT i, 'v' FROM generate_series(1, {n}) i", 20000, analyzed=True)
    snapshots = ("SELECT lane, number, snapshot, finished_at FROM slackwater.chunk "
                 "WHERE migration = %s ORDER BY lane, number")
    with load.Stall(world.target, "t", "NEW.id % 10000 = 9999") as stall:
        product = world.product(backfill=SMALL).start()
        stall.wait_reached()
        wait.until(lambda: chunks(world), "a finished chunk")
        product.kill9()
    kept = world.target.rows(snapshots, world.migration)
    world.source.run("UPDATE t SET v = 'changed' WHERE id % 3 = 0", "DELETE FROM t WHERE id % 5 = 0",
                     "INSERT INTO t SELECT i, 'new' FROM generate_series(20001, 21000) i")
    product.start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    now = world.target.rows(snapshots, world.migration)
    assert kept and set(kept) < set(now), "chunks that were there were copied again"


def test_killed_while_a_chunk_commits_it_knows_what_came_of_it(world):
    """The COMMIT waits in the old server process; the next run ends that before it looks."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.target.run(
        f"""CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM pg_advisory_xact_lock_shared({load.Stall.KEY}); RETURN NULL; END$$""",
        """CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW WHEN (NEW.id = 1500) EXECUTE FUNCTION late()""",
        "ALTER TABLE t ENABLE ALWAYS TRIGGER late")
    fill(world, "SELECT i, 'v' FROM generate_series(1, {n}) i", 4000, analyzed=True)
    committing = ("SELECT array_agg(pid) FROM pg_stat_activity WHERE datname = current_database() "
                  "AND wait_event = 'advisory' AND query = 'COMMIT'")
    with load.held(world.target, f"SELECT pg_advisory_xact_lock({load.Stall.KEY})"):
        product = world.product(backfill=SMALL).start()
        old = wait.until(lambda: world.target.value(committing), "a chunk that commits")
        product.kill9()
        world.source.run("UPDATE t SET v = 'changed'")
        product.start()
        new = wait.until(lambda: [pid for pid in world.target.value(committing) or ()
                                  if pid not in old], "the chunk to be copied again")
        assert world.target.value(committing) == new, "the killed run's process lives on"
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()
    assert_chunked(world, 4000)


def test_lanes_do_not_wait_for_the_commits_of_one_another(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    fill(world, "SELECT i, 'v' FROM generate_series(1, {n}) i", 4000, analyzed=True)
    product = world.product(backfill=SMALL)
    product.run_to_end("--no-stream", "--backfill-only", "t")
    lanes = len(chunks(world))
    assert lanes > 2
    world.target.run(
        f"""CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM pg_advisory_xact_lock_shared({load.Stall.KEY}); RETURN NULL; END$$""",
        """CREATE CONSTRAINT TRIGGER late AFTER INSERT ON slackwater.chunk
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.lane = 0)
           EXECUTE FUNCTION late()""",
        "ALTER TABLE slackwater.chunk ENABLE ALWAYS TRIGGER late")
    with load.held(world.target, f"SELECT pg_advisory_xact_lock({load.Stall.KEY})"):
        product.start("--redo", "t")
        wait.until(lambda: sum(lane[-1][1] is None for lane in chunks(world).values()) == lanes - 1,
                   "all other lanes to end", 9)
        assert not chunks(world)[0]
    product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    product.wait_caught_up()
    world.assert_equal()
    assert_chunked(world, 4000)


@pytest.mark.limit(180)
def test_writers_on_the_keys_being_copied(world):
    world.both(*load.ACCOUNTS.split(";"))
    load.accounts_fill(world.source, 20000)
    world.source.run("ANALYZE")
    product = world.product(backfill=SMALL)
    with load.Writers(world.source, 3, load.accounts_work(20000)) as writers:
        product.start_streaming()
        writers.wait_commits(200)
    product.wait_caught_up()
    world.assert_equal()


def test_a_chunk_is_read_from_the_keys_index_whatever_the_statistics_say(world):
    """Statistics of another time, and indexes that look better: no scan of the table."""
    world.both("CREATE TABLE t (a int, b int, v text, PRIMARY KEY (a, b))")
    world.source.run("ALTER TABLE t SET (autovacuum_enabled = false)",
                     "CREATE INDEX ON t (a)", "CREATE INDEX ON t (b)",
                     "INSERT INTO t SELECT 1, i FROM generate_series(1, 1000) i", "ANALYZE t")
    fill(world, "SELECT i / 2000, 1000 + i, repeat('x', 50) FROM generate_series(1, {n}) i", 20000,
         analyzed=False)
    product = world.product(backfill=SMALL).start_streaming()
    product.wait_caught_up()
    world.assert_equal()
    chunk_count = sum(map(len, chunks(world).values()))
    assert chunk_count >= 30
    scans = ("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 't'",
             "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 't_pkey'",
             "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes "
             "WHERE relname = 't' AND indexrelname <> 't_pkey'")
    wait.until(lambda: world.source.value(scans[1]) >= chunk_count,
               "the scans of the key's index to be counted")
    assert world.source.value(scans[2]) == 0
    assert world.source.value(scans[0]) < chunk_count / 4  # others look at it too


IN_ORDER = {  # the index, another one, and the key that chunks go by; None: the table is one chunk
    "mixed": ("(a, b DESC)", None, "a pg_catalog.int4"),
    "descending": ("(a DESC, b DESC)", None, "a pg_catalog.int4, b pg_catalog.int4"),
    "another-serves": ("(a, b DESC)", "(a, b, c)", "a pg_catalog.int4, b pg_catalog.int4"),
    "another-on-some-rows": ("(a, b DESC)", "(a, b) WHERE a > 0", "a pg_catalog.int4"),
    "nulls-elsewhere": ("(a NULLS FIRST, b)", None, None),
    "collation-of-its-own": ('(c COLLATE "en_US")', None, None),
}


@pytest.mark.parametrize("kind", IN_ORDER)
def test_chunks_go_by_an_order_that_an_index_gives(world, kind):
    index, other, key = IN_ORDER[kind]
    if "COLLATE" in index:
        world.source.run('CREATE COLLATION "en_US" (provider = icu, locale = \'en-US\')')
    world.both('CREATE TABLE t (a int NOT NULL, b int NOT NULL, c text COLLATE "C" NOT NULL)')
    world.source.run(f"CREATE UNIQUE INDEX named ON t {index}",
                     "ALTER TABLE t REPLICA IDENTITY USING INDEX named")
    world.target.run("ALTER TABLE t ADD PRIMARY KEY " + ("(c)" if "(c" in index else "(a, b)"))
    if other:
        world.source.run(f"CREATE INDEX ON t {other}")
    fill(world, "SELECT i / 50, i, 'v' || i FROM generate_series(1, {n}) i", 4000, analyzed=True)
    product = world.product(backfill=SMALL).start_streaming()
    world.source.run("DELETE FROM t WHERE b % 5 = 0")
    product.wait_caught_up()
    world.assert_equal()
    whole, kept = copy_row(world, "whole, key")
    assert (None if whole else kept) == key
    assert key is None or sum(map(len, chunks(world).values())) >= 6


@pytest.mark.parametrize("columns, full", [
    ("id int PRIMARY KEY, e int NOT NULL UNIQUE, v text", True),
    ("id int, e int NOT NULL UNIQUE, v text, PRIMARY KEY (id, e)", False),
], ids=["key-outside-the-identity", "key-of-a-part-of-it"])
def test_a_key_that_moves_to_a_row_of_another_chunk_takes_no_row_along(world, columns, full):
    """The later chunk would have the key while the row that had it before is there still, and the
    change that takes it away is held up in the stream."""
    world.both("CREATE TABLE b (id int PRIMARY KEY)")
    world.source.run(f"CREATE TABLE t ({columns})")
    world.target.run("CREATE TABLE t (id int, e int PRIMARY KEY, v text)")
    if full:
        world.source.run("ALTER TABLE t REPLICA IDENTITY FULL")
    fill(world, "SELECT i, i, 'v' FROM generate_series(1, {n}) i", 30000, analyzed=True)
    product = world.product(backfill={**SMALL, "workers": 1},
                            tables=[{"source": "public.t", "key": ["e"]}, {"source": "public.b"}])
    assert product.run_to_end("--backfill-only", "b", "--no-stream").status == 0
    with load.Stall(world.target, "t", "NEW.id = 15000") as stall:
        product.start()
        stall.wait_reached()
        with load.held(world.target, "LOCK TABLE b IN SHARE MODE"):
            world.source.run("INSERT INTO b VALUES (1)", "UPDATE t SET e = -1 WHERE id = 1",
                             "UPDATE t SET e = 1, v = 'moved' WHERE id = 29999")
            stall.release()
            wait.until(lambda: copy_row(world, "finished_at") != (None,), "the copy", 30)
    product.wait_streaming()
    product.wait_caught_up()
    world.assert_equal()
    assert copy_row(world, "whole") == (True,)


@pytest.fixture
def killed(world):
    """A migration killed when some chunks of table t were there, and not started again."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    fill(world, "SELECT i, 'v' FROM generate_series(1, {n}) i", 20000, analyzed=True)
    with load.Stall(world.target, "t", "NEW.id % 10000 = 9999") as stall:
        product = world.product(backfill=SMALL).start()
        stall.wait_reached()
        wait.until(lambda: chunks(world), "a finished chunk")
        product.kill9()
    return product


@pytest.mark.parametrize("damage, words", [
    ("DELETE FROM slackwater.chunk WHERE number = 0", "slackwater.chunk has"),
    ("DELETE FROM slackwater.chunk", "slackwater.chunk has 0 of the"),
], ids=["a-chunk-gone", "all-chunks-gone"])
def test_what_was_copied_and_is_not_known_any_more_is_told(world, killed, damage, words):
    world.target.run(damage)
    result = killed.run_to_end("--until-caught-up")
    assert result.status == 2, result.text
    assert words in result.text and "run --redo" in result.text, result.text
    assert killed.run_to_end("--until-caught-up", "--redo", "public.t").status == 0
    world.assert_equal()


def test_a_target_emptied_in_mid_copy_is_told_and_copied_again(world, killed):
    world.target.run("TRUNCATE t")
    result = killed.run_to_end("--until-caught-up")
    assert "not one of its rows is at the target" in result.text and "--redo" in result.text
    assert killed.run_to_end("--until-caught-up", "--redo", "public.t").status == 0
    world.assert_equal()


def test_a_key_that_changes_in_mid_copy_is_refused_until_the_table_is_copied_again(world, killed):
    """What is kept of a copy is of the old key."""
    world.both("ALTER TABLE t ADD other int NOT NULL DEFAULT 0")
    world.source.run("UPDATE t SET other = -id")
    world.both("ALTER TABLE t DROP CONSTRAINT t_pkey")
    world.target.run("UPDATE t SET other = -id")
    world.both("ALTER TABLE t ADD PRIMARY KEY (other)")
    result = killed.run_to_end("--until-caught-up")
    assert result.status == 2 and "begun by the key (id pg_catalog.int4)" in result.text, result.text
    assert killed.run_to_end("--until-caught-up", "--redo", "public.t").status == 0
    world.assert_equal()
