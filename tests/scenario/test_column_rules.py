"""Column rules of every kind in a running migration, against SQL of the test's own."""
import pytest

from world import compare

SOURCE = [
    "CREATE TABLE owners (code text PRIMARY KEY, tenant int, nick char(6))",
    "INSERT INTO owners SELECT 'o' || i, 100 + i, 'n' || i FROM generate_series(1, 20) i",
    """CREATE TABLE t (id int PRIMARY KEY, owner text, mail text, age text, doc json, vip bool,
                       phone text)""",
]
TARGET = ["""CREATE TABLE t (id int PRIMARY KEY, tenant int NOT NULL, nick text, mail text,
                             digest text, age int, city text, extra jsonb, phone text, uid uuid)"""]

LOOKUP = {"table": "public.owners", "key": "code", "value": "tenant", "cache": 5}
COLUMNS = {
    "tenant": {"from": "owner", "lookup": LOOKUP},
    "nick": {"from": "owner", "lookup": {
        "query": "SELECT code AS c, nick AS n FROM public.owners", "key": "c", "value": "n",
        "on_miss": "keep"}},
    "mail": {"mask": "email"},
    "digest": {"from": "mail", "hash": "sha256", "salt": "pepper"},
    "age": {"cast": {"to": "integer", "on_error": "default", "default": -1}},
    "city": {"from": "doc", "json": {"pick": "$.home.city"}, "default": "?"},
    "extra": {"json": {"build": {"vip": "vip", "phone": "phone", "n": "id"}}},
    "phone": {"null_if": ["", "n/a"]},
    "uid": {"uuid5": {"namespace": "dns", "name": "{id}.example.org"}},
}
RULES = [{"source": "public.t", "columns": COLUMNS, "drop": ["owner", "doc", "vip"]}]

EXPECTED = {"public.t": """
    SELECT t.id, o.tenant, rtrim(o.nick), left(mail, 1) || '***@' || split_part(mail, '@', 2),
           encode(sha256(convert_to('pepper' || mail, 'UTF8')), 'hex'),
           CASE WHEN age ~ '^[0-9]+$' THEN age::int WHEN age IS NOT NULL THEN -1 END,
           coalesce(doc #>> '{home,city}', '?'),
           jsonb_build_object('vip', vip, 'phone', phone, 'n', t.id),
           nullif(nullif(phone, ''), 'n/a'),
           uuid_generate_v5(uuid_ns_dns(), t.id || '.example.org')
    FROM t JOIN owners o ON o.code = t.owner"""}


def fill(first, last):
    return f"""INSERT INTO t SELECT i, 'o' || 1 + i % 20, 'ü' || i || '@example.org',
        CASE WHEN i % 3 = 0 THEN 'old' ELSE i::text END,
        json_build_object('home', json_build_object('city', nullif('Zürich ' || i, 'Zürich 4'))),
        i % 2 = 0, (ARRAY['', 'n/a', '+41 ' || i])[1 + i % 3]
        FROM generate_series({first}, {last}) i"""


@pytest.fixture
def rules(world):
    world.source.run('CREATE EXTENSION "uuid-ossp"', *SOURCE, fill(1, 60))
    world.target.run(*TARGET)
    return world


def assert_equal(world):
    compare.assert_equal_by(world.source, world.target, EXPECTED)


def test_every_kind_in_the_copy_and_in_the_stream(rules):
    product = rules.product(tables=RULES).start_streaming()
    product.wait_caught_up()
    assert_equal(rules)
    rules.source.run(fill(61, 120), "UPDATE t SET owner = 'o7', age = '99' WHERE id % 5 = 0",
                     "UPDATE t SET doc = NULL, mail = 'é' || mail WHERE id % 7 = 0",
                     "UPDATE t SET id = id + 1000 WHERE id % 11 = 0", "DELETE FROM t WHERE id < 5")
    product.wait_caught_up()
    assert_equal(rules)
    product.assert_no_secret()


def test_a_lookup_that_finds_nothing_stops_the_run_and_says_where(rules):
    product = rules.product(tables=RULES, apply={"on_bad_row": "stop"}).start_streaming()
    rules.source.run("INSERT INTO t (id, owner, mail) VALUES (500, 'nobody', 'a@b')")
    assert product.wait_end() == 3
    text = product.log_text()
    assert "the lookup finds no row" in text and "public.t.tenant" in text
    rules.source.run("INSERT INTO owners VALUES ('nobody', 7, 'none')")
    product = rules.product(tables=RULES, apply={"on_bad_row": "stop"}).start_streaming()
    product.wait_caught_up()
    assert_equal(rules)


def test_a_lookup_connects_again_when_its_session_is_lost(rules):
    product = rules.product(tables=RULES).start_streaming()
    rules.source.run("INSERT INTO t SELECT 300 + i, 'o' || i, 'a@b' FROM generate_series(1, 20) i")
    product.wait_caught_up()
    rules.source.run("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE query LIKE '%AS l WHERE l.%' AND pid <> pg_backend_pid()""")
    rules.source.run("INSERT INTO t SELECT 400 + i, 'o' || i, 'a@b' FROM generate_series(1, 20) i")
    product.wait_caught_up()
    assert_equal(rules)


def test_a_lookup_whose_query_the_server_refuses_is_refused_before_the_run(rules):
    lookup = {"query": "SELECT code, nik FROM public.owners", "key": "code", "value": "nik"}
    wrong = {**COLUMNS, "nick": {"from": "owner", "lookup": lookup}}
    done = rules.product(tables=[{**RULES[0], "columns": wrong}]).run_to_end()
    assert done.status == 2
    assert r'column \"nik\" does not exist' in done.text


def test_a_lookup_of_a_table_that_is_not_there_is_refused_before_the_run(rules):
    wrong = {**COLUMNS, "tenant": {"from": "owner", "lookup": {**LOOKUP, "key": "kode"}}}
    product = rules.product(tables=[{**RULES[0], "columns": wrong}])
    done = product.run_to_end()
    assert done.status == 2
    assert r'table public.owners has no column \"kode\"; did you mean \"code\"?' in done.text


def test_preview_asks_lookups(rules):
    result = rules.product(tables=RULES).command("preview")
    assert result.status == 0, result.text


def test_lookups_of_rows_that_come_and_go(rules):
    """where beside a lookup: a row that enters and one that leaves are looked up like any other."""
    product = rules.product(tables=[{**RULES[0], "where": {"column": "id", "less": 1000}}])
    product.start_streaming().wait_caught_up()
    rules.source.run("UPDATE t SET id = id + 2000 WHERE id % 3 = 0")
    product.wait_caught_up()
    assert rules.target.value("SELECT count(*) FROM t") == \
        rules.source.value("SELECT count(*) FROM t WHERE id < 1000")
    rules.source.run("UPDATE t SET id = id - 2000 WHERE id > 2000")
    product.wait_caught_up()
    assert_equal(rules)


BROKEN_QUERIES = {
    "a row of the table is no number": "SELECT code::int AS k, nick AS v FROM public.marks",
    "the value divides by zero": "SELECT 1 AS k, (1 / (length(nick) - length(nick)))::text AS v"
                                 " FROM public.marks",
}


@pytest.mark.parametrize("query", BROKEN_QUERIES.values(), ids=BROKEN_QUERIES.keys())
@pytest.mark.parametrize("on_miss", ["null", "keep"])
def test_a_lookup_that_fails_over_its_own_data_is_no_miss(world, query, on_miss):
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, x text)", "INSERT INTO t VALUES (1, '1')",
                     "CREATE TABLE marks (code text, nick text)",
                     "INSERT INTO marks VALUES ('oops', 'zzz'), ('1', 'one')")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, x text)")
    result = world.product(apply={"on_bad_row": "stop"}, tables=[{"source": "t", "columns": {"x": {"lookup": {
        "query": query, "key": "k", "value": "v", "on_miss": on_miss}}}}]
        ).run_to_end("--until-caught-up")
    assert result.status == 3, result.text
    assert "mend the lookup's query" in result.text
    assert world.target.value("SELECT count(*) FROM t") == 0


def test_a_text_that_is_no_value_of_the_lookups_key_is_a_miss(world):
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, x text)",
                     "INSERT INTO t VALUES (1, '1'), (2, 'one'), (3, '99999999999')",
                     "CREATE TABLE marks (code int PRIMARY KEY, nick text)",
                     "INSERT INTO marks VALUES (1, 'first')")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, x text)")
    world.product(tables=[{"source": "t", "columns": {"x": {"lookup": {
        "table": "public.marks", "key": "code", "value": "nick", "on_miss": "keep"}}}}]
        ).run_until_caught_up()
    assert world.target.rows("SELECT x FROM t ORDER BY id") == [
        ("first",), ("one",), ("99999999999",)]
