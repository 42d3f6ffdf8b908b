"""The set-wise engine against the ordered one: the same end by two ways, and what happens where the
fast way is closed."""
import contextlib
import os
import random

import pytest

from world import compare, wait
from world.load import held
from world.product import lsn

ROUNDS = 2  # of each, outside the nightly run; each draws a seed of its own

SOURCE = ("""CREATE TABLE items (tenant int, id bigint, code text NOT NULL, state text, note text,
             extra text, PRIMARY KEY (tenant, id), UNIQUE (code))""",
          "CREATE TABLE prices (sku text PRIMARY KEY, amount numeric(12,2), at timestamptz)",
          "CREATE TABLE scores (n numeric PRIMARY KEY, v int)",
          "CREATE TABLE log (at timestamptz, line text)",
          "CREATE TABLE bag (n int, note text)", "ALTER TABLE bag REPLICA IDENTITY FULL",
          "CREATE TABLE pairs (a int, b uuid, PRIMARY KEY (a, b))")
TARGET = ("CREATE SCHEMA app",
          """CREATE TABLE app.items (tenant int, pk text, code text NOT NULL UNIQUE, state text,
             body text, extra text, mark int NOT NULL, PRIMARY KEY (tenant, pk))""",
          *(text.replace("CREATE TABLE ", "CREATE TABLE app.") for text in SOURCE[1:]
            if text.startswith("CREATE")))
RULES = [{"source": "public.items", "target": "app.items", "key": ["tenant", "pk"],
          "columns": {"pk": {"template": "i{id}"}, "body": {"template": "{id}:{note}"},
                      "mark": {"value": "7"}}, "drop": ["id", "note"]},
         *({"source": f"public.{name}", "target": f"app.{name}"}
           for name in ("prices", "scores", "log", "bag", "pairs"))]
EXPECTED = {"app.items": "SELECT tenant, 'i' || id, code, state, id || ':' || note, extra, 7"
                         " FROM items",
            **{f"app.{name}": f"SELECT * FROM {name}"
               for name in ("prices", "scores", "log", "bag", "pairs")}}


def long_value(dice):
    """Stored outside the row, if it does not stay short."""
    return dice.choice((None, "", "s", "'q\\\t\n", "x" * 3000,
                        "".join(dice.choice("abcdefgh") for _ in range(6000))))


def draw(dice):
    return {"tenant": dice.randint(1, 2), "id": dice.randint(1, 25), "to": dice.randint(1, 25),
            "other": dice.randint(1, 25), "note": long_value(dice), "extra": long_value(dice),
            "state": dice.choice(("live", "old", None)), "number": dice.randint(1, 30)}


AT = "WHERE tenant = %(tenant)s AND id = %(id)s"
ACTIONS = [  # (weight, statements)
    (5, ["""INSERT INTO items SELECT %(tenant)s, %(id)s, %(tenant)s || 'c' || %(id)s, %(state)s,
            %(note)s, %(extra)s ON CONFLICT DO NOTHING"""]),
    (6, [f"UPDATE items SET state = %(state)s {AT}"]),
    (2, [f"UPDATE items SET note = %(note)s {AT}"]),
    (2, [f"UPDATE items SET extra = %(extra)s, note = %(note)s {AT}"]),
    (3, [f"DELETE FROM items {AT}"]),
    (3, [f"""UPDATE items SET id = %(to)s, state = 'moved' {AT} AND NOT EXISTS (
             SELECT FROM items o WHERE o.tenant = %(tenant)s AND o.id = %(to)s)"""]),
    # two rows trade their unique values by way of a third
    (0.2, ["UPDATE items SET code = 'x' || code WHERE tenant = %(tenant)s AND id IN (%(id)s, %(other)s)",
         """UPDATE items SET code = (SELECT substr(o.code, 2) FROM items o WHERE o.code LIKE 'x%%'
            AND o.id <> items.id UNION ALL SELECT substr(items.code, 2) LIMIT 1)
            WHERE code LIKE 'x%%'"""]),
    (5, ["""INSERT INTO prices VALUES ('p' || %(number)s, %(id)s / 3.0, now())
            ON CONFLICT (sku) DO UPDATE SET amount = EXCLUDED.amount"""]),
    (2, ["DELETE FROM prices WHERE sku = 'p' || %(number)s"]),
    (1, ["INSERT INTO scores VALUES (%(number)s / 2.0, 1) ON CONFLICT (n) DO UPDATE SET v = 2"]),
    (1, ["DELETE FROM scores WHERE n = %(number)s / 2.0"]),
    (4, ["INSERT INTO log VALUES (now(), %(state)s)"]),
    (1, ["INSERT INTO bag SELECT %(id)s, %(state)s FROM generate_series(1, 2)"]),
    (1, ["UPDATE bag SET note = 'n' WHERE ctid = (SELECT ctid FROM bag WHERE n = %(id)s LIMIT 1)"]),
    (1, ["DELETE FROM bag WHERE ctid = (SELECT ctid FROM bag WHERE n = %(id)s LIMIT 1)"]),
    (2, ["INSERT INTO pairs VALUES (%(id)s, md5(%(number)s::text)::uuid) ON CONFLICT DO NOTHING"]),
    (1, ["""UPDATE pairs SET a = a + 100 WHERE a = %(id)s AND NOT EXISTS (
            SELECT FROM pairs o WHERE o.a = pairs.a + 100 AND o.b = pairs.b)"""]),
    (1, ["DELETE FROM pairs WHERE a IN (%(id)s, %(to)s + 100)"]),
]
RARE = [["TRUNCATE prices"], ["TRUNCATE log, pairs"], ["TRUNCATE items"],
        ["SAVEPOINT s", "DELETE FROM items", "ROLLBACK TO s"]]


def act(cursor, dice):
    rare = dice.random() < 0.005
    statements = dice.choice(RARE) if rare else dice.choices(
        [action[1] for action in ACTIONS], [action[0] for action in ACTIONS])[0]
    row = draw(dice)
    for statement in statements:
        cursor.execute(statement, row)


def transactions(source, dice, count):
    with contextlib.closing(source.connect()) as connection:
        connection.autocommit = False
        for _ in range(count):
            with connection.cursor() as cursor:
                for _ in range(dice.choice((1, 1, 2, 4, 8, 60))):
                    act(cursor, dice)
            connection.commit()


def second_target(world):
    return world.further_source(world.target.cluster)


def pair_of(world, rules, engine):
    """The same migration twice: by the engine into the world's target, in order into another."""
    other = second_target(world)
    product = world.product(apply={"engine": engine}, tables=rules)
    config = world.config(apply={"engine": "ordered"}, tables=rules)
    config["migration"] += "o"
    config["target"] = {"dsn": other.keywords()}
    return other, product, world.product_from(config)


@contextlib.contextmanager
def backlog(world, *runs):
    """What is committed in the block waits at the progress row, so that it comes in one batch, if
    it is not too large. runs: (product, target)"""
    with contextlib.ExitStack() as stack:
        for _, target in runs:
            stack.enter_context(held(target, "SELECT FROM slackwater.progress FOR UPDATE"))
        world.source.run("SELECT pg_logical_emit_message(true, 'x', 'y')")
        for _, target in runs:
            wait.until(lambda side=target: side.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"), "the applier to wait")
        yield
        position = lsn(world.source.value("SELECT pg_current_wal_insert_lsn()"))
        for product, _ in runs:
            product.wait_status(lambda status: lsn(status["lsn"]["received"]) >= position,
                                "all to be received")


def conflicts(product):
    return {table["source"]: table["conflicts"] for table in product.status()["tables"]}


def apply_counts(product):
    return product.status()["apply"]


def sets_tried(product):
    counts = apply_counts(product)
    return counts["batches_set"] + counts["fallbacks"]


def same_ends(world, other, queries):
    for name in queries:
        compare.assert_same_rows(other, compare.whole_rows(name), world.target,
                                 compare.whole_rows(name), f"{name}, in order and in sets")


@pytest.mark.limit(240)
@pytest.mark.parametrize("engine", ("set", "auto"))
@pytest.mark.parametrize("number", [pytest.param(number, marks=[pytest.mark.nightly] * (number >= ROUNDS))
                                    for number in range(20)])
def test_sets_and_order_come_to_the_same(world, engine, number):
    """Random transactions of one writer, so that the seed replays them."""
    seed = int(os.environ.get("SLACKWATER_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"replay: SLACKWATER_SEED={seed} tests/run --only scenario -k 'come_to and {engine} and 0'")
    dice = random.Random(seed)
    world.source.run(*SOURCE)
    other, product, ordered = pair_of(world, RULES, engine)
    world.target.run(*TARGET)
    other.run(*TARGET)
    transactions(world.source, dice, 20)
    for one in (product, ordered):
        one.start_streaming()
    for round_number in range(6):
        held = round_number % 2 == 1  # what comes meanwhile is one batch, large enough for sets
        with backlog(world, (product, world.target), (ordered, other)) if held else \
                contextlib.nullcontext():
            transactions(world.source, dice, 60 if held else dice.choice((3, 20, 60)))
        for one in (product, ordered):
            one.wait_caught_up()
        same_ends(world, other, EXPECTED)
        world.assert_equal_by(EXPECTED)
        if round_number == 3:
            assert conflicts(product) == conflicts(ordered)
            tried = sets_tried(product)
            for one in (product, ordered):
                one.kill9()
            transactions(world.source, dice, 30)
            for one in (product, ordered):
                one.start_streaming()
    assert conflicts(product) == conflicts(ordered)
    assert tried > 0 and sets_tried(product) > 0
    assert apply_counts(ordered)["batches_set"] == 0


T = ("CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE, v text)",)
FILL = "INSERT INTO t SELECT i, 'c' || i, 'v' FROM generate_series(1, {0}) i"


def t_streaming(world, rows=0, engine="auto", target=T, on_bad_row="quarantine", **more):
    world.source.run(*T, FILL.format(rows))
    world.target.run(*target)
    return world.product(apply={"engine": engine, "on_bad_row": on_bad_row},
                         **more).start_streaming()


def test_a_swap_of_unique_values_falls_back_and_the_next_batch_goes_in_sets(world):
    product = t_streaming(world, 1000)
    with backlog(world, (product, world.target)):
        world.source.run("UPDATE t SET v = 'w'", "UPDATE t SET code = 'x' WHERE id = 1",
                         "UPDATE t SET code = 'c1' WHERE id = 2",
                         "UPDATE t SET code = 'c2' WHERE id = 1")
    product.wait_caught_up()
    world.assert_equal()
    first = apply_counts(product)
    assert first["fallbacks"] == 1, first
    with backlog(world, (product, world.target)):
        world.source.run("UPDATE t SET v = 'x'")
    product.wait_caught_up()
    world.assert_equal()
    second = apply_counts(product)
    assert second["fallbacks"] == 1 and second["rows_staged"] >= first["rows_staged"] + 1000, second
    assert "slackwater_apply_fallbacks_total" in product.http("/metrics")[2]


def test_rows_that_are_there_already_are_counted_once_and_copy_comes_back(world):
    product = t_streaming(world)
    world.target.run("INSERT INTO t SELECT i, 'c' || i, 'ours' FROM generate_series(1, 600, 2) i")
    for number in range(1, 17):
        with backlog(world, (product, world.target)):
            world.source.run(f"INSERT INTO t SELECT i, 'c' || i, 'v' FROM"
                             f" generate_series({100 * number - 99}, {100 * number}) i")
        product.wait_caught_up()
    world.assert_equal()
    counts = apply_counts(product)
    assert conflicts(product)["public.t"]["insert_exists"] == 300
    assert counts["fallbacks"] in (1, 2) and counts["rows_staged"] >= 400, counts
    assert counts["rows_copied"] > 0, counts


@pytest.mark.parametrize("engine", ("auto", "ordered"))
def test_missing_rows_are_counted_the_same_by_both_ways(world, engine):
    product = t_streaming(world, 500, engine)
    world.target.run("DELETE FROM t WHERE id % 10 = 0")
    with backlog(world, (product, world.target)):
        world.source.run("UPDATE t SET v = 'a' WHERE id <= 200", "UPDATE t SET v = 'b' WHERE id <= 100",
                         "DELETE FROM t WHERE id > 400",
                         "INSERT INTO t VALUES (1000, 'k', 'k'), (1001, 'l', 'l')",
                         "DELETE FROM t WHERE id = 1000")
    product.wait_caught_up()
    assert world.target.value("SELECT count(*) FROM t WHERE id % 10 = 0") == 20
    found = conflicts(product)["public.t"]
    assert (found["update_missing"], found["delete_missing"], found["insert_exists"]) == (20, 10, 0)
    assert apply_counts(product)["fallbacks"] == (engine == "auto")


def test_a_bad_row_of_a_large_batch_stops_it_at_its_place(world):
    target = ("CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE, v text CHECK (v <> 'bad'))",)
    product = t_streaming(world, 0, target=target, on_bad_row="stop")
    with backlog(world, (product, world.target)):
        world.source.run(FILL.format(300), "INSERT INTO t VALUES (301, 'c301', 'v')",
                         "INSERT INTO t SELECT i, 'c' || i, CASE i WHEN 400 THEN 'bad' ELSE 'v' END"
                         " FROM generate_series(302, 500) i", "INSERT INTO t VALUES (501, 'c501', 'v')")
    assert product.wait_end() == 3
    assert world.target.value("SELECT count(*) FROM t") == 301
    errors = [event for event in product.events() if event.get("level") == "error"]
    assert "insert on public.t at LSN" in str(errors), product.log_text()
    assert "'bad'" not in product.log_text()
    world.target.run("ALTER TABLE t DROP CONSTRAINT t_v_check")
    product.run_until_caught_up()
    world.assert_equal()


@pytest.mark.limit(180)
@pytest.mark.parametrize("bad", (False, True), ids=("a swap", "a bad row"))
def test_a_huge_transaction_falls_back_in_its_last_piece_only(world, bad):
    """Several batches, one target transaction: what is undone is the piece alone."""
    target = ("CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE, v text CHECK (v <> 'bad'))",)
    product = t_streaming(world, 50, target=target, on_bad_row="stop")
    with world.source.session() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO t SELECT i, 'c' || i, 'v' FROM generate_series(1001, 200000) i")
        cursor.execute("UPDATE t SET v = 'w' WHERE id % 3 = 0")
        if bad:
            cursor.execute("INSERT INTO t VALUES (900, 'c900', 'bad')")
        else:
            cursor.execute("UPDATE t SET code = 'x' WHERE id = 1")
            cursor.execute("UPDATE t SET code = 'c1' WHERE id = 2")
            cursor.execute("UPDATE t SET code = 'c2' WHERE id = 1")
        cursor.execute("COMMIT")
    if bad:
        assert product.wait_end(60) == 3
        assert world.target.value("SELECT count(*) FROM t") == 50
        world.target.run("ALTER TABLE t DROP CONSTRAINT t_v_check")
        product.run_until_caught_up()
    else:
        product.wait_caught_up(120)
        counts = apply_counts(product)
        assert counts["fallbacks"] == 1 and counts["rows_copied"] > 50000, counts
    world.assert_equal()


def test_a_kill_in_the_middle_of_a_batch_leaves_nothing_of_it(world):
    product = t_streaming(world, 500)
    for number in range(3):
        with held(world.target, "LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE"):
            world.source.run(f"UPDATE t SET v = 'n{number}'", f"DELETE FROM t WHERE id = {number + 1}",
                             f"INSERT INTO t SELECT i, 'c' || i, 'v' FROM"
                             f" generate_series({1000 * number + 1000}, {1000 * number + 1500}) i")
            wait.until(lambda: world.target.value(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"),
                "the applier to wait in mid-batch")
            product.kill9()
        assert world.target.value("SELECT count(*) FROM t WHERE v = %s", f"n{number}") == 0
        product.start_streaming()
        product.wait_caught_up()
        world.assert_equal()


def test_a_table_that_a_trigger_watches_sees_every_change_in_its_order(world):
    """Each change fires it once, also one that a later change would make needless."""
    world.both(*T, "CREATE TABLE seen (n int PRIMARY KEY, v text)")
    world.target.run(
        "CREATE TABLE notes (n serial, what text, seen bigint)",
        """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           INSERT INTO public.notes (what, seen)
           SELECT TG_OP || coalesce(NEW.v, ''), count(*) FROM public.seen;
           RETURN NULL; END $$""",
        "CREATE TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW"
        " EXECUTE FUNCTION note()", "ALTER TABLE t ENABLE ALWAYS TRIGGER watch")
    product = world.product(apply={"engine": "set"},
                            tables=[{"source": "public.t"}, {"source": "public.seen"}]).start_streaming()
    world.source.run("""DO $$ BEGIN
        INSERT INTO seen VALUES (1, 'a'), (2, 'b'); INSERT INTO t VALUES (1, 'c', 'x');
        DELETE FROM seen WHERE n = 1; UPDATE t SET v = 'y';
        INSERT INTO seen VALUES (3, 'c'), (4, 'd'); DELETE FROM t; END $$""")
    product.wait_caught_up()
    world.assert_equal("t", "seen")
    assert world.target.rows("SELECT what, seen FROM notes ORDER BY n") == [
        ("INSERTx", 2), ("UPDATEy", 1), ("DELETE", 3)]


def test_a_role_that_may_make_no_temporary_table_goes_without_stages(world):
    role = world.role(world.target, "plain")
    world.source.run(*T, FILL.format(300))
    world.target.run(*T, f"ALTER TABLE t OWNER TO {role}",
                     f"GRANT CREATE ON DATABASE {world.target.name} TO {role}",
                     f"REVOKE TEMP ON DATABASE {world.target.name} FROM PUBLIC")
    product = world.product(target={"dsn": world.target.keywords(role)}).start_streaming()
    with backlog(world, (product, world.target)):
        world.source.run("UPDATE t SET v = 'a'", "INSERT INTO t SELECT i, 'c' || i, 'v' FROM"
                         " generate_series(1001, 1300) i")
    product.wait_caught_up()
    world.assert_equal()
    counts = apply_counts(product)
    assert counts["rows_staged"] == 0 and counts["rows_single"] + counts["rows_copied"] > 0, counts
    product.stop()
    world.target.run("DROP SCHEMA slackwater CASCADE", f"DROP OWNED BY {role}")


def test_where_no_stage_can_be_made_it_learns_to_go_without(world):
    product = t_streaming(world, 300)
    world.target.run("""CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS
                        $$ BEGIN RAISE 'not here'; END $$""",
                     "CREATE EVENT TRIGGER forbid ON ddl_command_start"
                     " WHEN TAG IN ('CREATE TABLE AS') EXECUTE FUNCTION forbid()",
                     "ALTER EVENT TRIGGER forbid ENABLE ALWAYS")
    for value in "ab":
        with backlog(world, (product, world.target)):
            world.source.run(f"UPDATE t SET v = '{value}'")
        product.wait_caught_up()
        world.assert_equal()
    counts = apply_counts(product)
    assert counts["fallbacks"] == 1 and counts["rows_single"] == 300, counts


def test_an_unknown_engine_is_refused(world):
    result = world.product(apply={"engine": "fast"}).command("check")
    assert result.status == 2 and "expected auto, ordered or set" in result.text


KINDS = ("CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE, v text)",
         "CREATE TABLE t (id int PRIMARY KEY, code text, v text) PARTITION BY RANGE (id);"
         " CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (MINVALUE) TO (1000);"
         " CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (1000) TO (MAXVALUE)")


@pytest.mark.parametrize("target", KINDS, ids=("a table", "partitions"))
def test_deletes_of_rows_that_are_there_and_that_never_were_keep_apart(world, target):
    """In one stage each statement would see the other's rows, and none come out as expected."""
    product = t_streaming(world, 300, target=(target,))
    with backlog(world, (product, world.target)):
        world.source.run("DELETE FROM t WHERE id <= 100",
                         "INSERT INTO t SELECT i, 'c' || i, 'v' FROM generate_series(1001, 1100) i",
                         "DELETE FROM t WHERE id > 1000")
    product.wait_caught_up()
    world.assert_equal()
    counts = apply_counts(product)
    assert counts["fallbacks"] == 0 and counts["rows_staged"] == 200, counts


def test_a_missing_row_and_one_that_should_not_be_there_do_not_cancel_out(world):
    product = t_streaming(world, 300)
    world.target.run("DELETE FROM t WHERE id = 7", "INSERT INTO t VALUES (1007, 'ours', 'ours')")
    with backlog(world, (product, world.target)):
        world.source.run("DELETE FROM t WHERE id <= 100",
                         "INSERT INTO t SELECT i, 'c' || i, 'v' FROM generate_series(1001, 1100) i",
                         "DELETE FROM t WHERE id > 1000")
    product.wait_caught_up()
    world.assert_equal()
    found = conflicts(product)["public.t"]
    assert (found["insert_exists"], found["delete_missing"]) == (1, 1), found
    assert apply_counts(product)["fallbacks"] == 1


@pytest.mark.parametrize("target", KINDS, ids=("a table", "partitions"))
def test_inserts_and_upserts_of_one_table_keep_apart(world, target):
    """The condition reads what the identity does not hold, so an update is an upsert or a delete."""
    product = t_streaming(world, 300, target=(target,), tables=[
        {"source": "public.t", "where": {"column": "v", "not_equals": "out"}}])
    world.target.run("INSERT INTO t SELECT i, 'o' || i, 'ours' FROM generate_series(2001, 2004) i")
    for first in (2001, 3001):  # COPY meets keys, so the second time the inserts are staged
        with backlog(world, (product, world.target)):
            world.source.run("UPDATE t SET v = v || 'w' WHERE id <= 100", f"""INSERT INTO t SELECT
                i, 'c' || i, 'v' FROM generate_series({first}, {first + 99}) i""")
        product.wait_caught_up()
        world.assert_equal()
    counts = apply_counts(product)
    assert counts["fallbacks"] == 1 and counts["rows_staged"] == 200, counts
    # through partitions a statement does not see which rows were there, in order neither
    seen = 0 if "PARTITION" in target else 4
    assert conflicts(product)["public.t"]["insert_exists"] == seen


@pytest.mark.parametrize("engine", ("auto", "ordered"))
def test_a_row_of_ours_that_is_inserted_deleted_and_inserted_again_keeps_no_column(world, engine):
    """In order it is overwritten, deleted and new; an upsert alone would keep what no rule fills.
    There are too few rows for COPY, which would fall back."""
    product = t_streaming(world, 0, engine, target=(
        "CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE, v text, own text DEFAULT 'default')",))
    world.target.run("INSERT INTO t VALUES (1, 'c1', 'ours', 'ours'), (2, 'c2', 'ours', 'ours')")
    with backlog(world, (product, world.target)):
        world.source.run("INSERT INTO t SELECT i, 'c' || i, 'v' FROM generate_series(1, 60) i",
                         "DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 'c1', 'w')")
    product.wait_caught_up()
    assert world.target.rows("SELECT id, v, own FROM t WHERE id <= 3 ORDER BY id") == [
        (1, "w", "default"), (2, "v", "ours"), (3, "v", "default")]
    assert conflicts(product)["public.t"]["insert_exists"] == 2


STAGES_MOST = 256
STAGES = """SELECT count(*) FROM pg_class WHERE relname LIKE 'slackwater\\_set\\_%%'
            AND relpersistence = 't'"""


@pytest.mark.limit(120)
def test_beyond_so_many_stages_rows_go_one_by_one(world):
    """In one transaction, so that nothing can be given up in between."""
    tables = [f"t{i}" for i in range(STAGES_MOST // 2 + 4)]
    for name in tables:
        world.both(f"CREATE TABLE {name} (id int PRIMARY KEY, v text)")
    world.source.run(*(f"INSERT INTO {name} SELECT i, 'v' FROM generate_series(1, 6) i" for name in tables))
    product = world.product(apply={"engine": "set"},
                            tables=[{"source": f"public.{name}"} for name in tables]).start_streaming()
    product.wait_caught_up()
    for value in "ab":
        with world.source.session() as cursor:
            cursor.execute("BEGIN")
            for name in tables:
                cursor.execute(f"UPDATE {name} SET v = %s WHERE id > 4", (value,))
                cursor.execute(f"DELETE FROM {name} WHERE id <= {2 if value == 'a' else 4}")
            cursor.execute("COMMIT")
        product.wait_caught_up()
        world.assert_equal(*tables)
        assert world.target.value(STAGES) == STAGES_MOST
    counts = apply_counts(product)
    assert counts["fallbacks"] == 0 and counts["rows_staged"] == 4 * STAGES_MOST, counts
    assert counts["rows_single"] == 2 * 2 * 2 * len(tables) - 4 * STAGES_MOST, counts


WIDE = "repeat('v', 2000)"  # of some ten thousand such rows a transaction is cut into pieces


@pytest.mark.limit(180)
def test_after_a_fallback_the_pieces_behind_it_and_the_next_batches_go_on(world):
    """Undoing takes every prepared statement away, in mid-transaction too."""
    product = t_streaming(world, 50)
    swap = ("UPDATE t SET code = 'x' WHERE id = 1", "UPDATE t SET code = 'c1' WHERE id = 2",
            "UPDATE t SET code = 'c2' WHERE id = 1")
    insert = f"INSERT INTO t SELECT i, 'c' || i, {WIDE} FROM generate_series(%s, %s) i"
    with world.source.session() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(insert, (1001, 22000))
        for statement in swap:
            cursor.execute(statement)
        cursor.execute(insert, (22001, 70000))
        cursor.execute("COMMIT")
    product.wait_caught_up(120)
    world.assert_equal()
    before = apply_counts(product)
    assert before["fallbacks"] == 1 and before["rows_copied"] > 20000, before
    world.source.run("UPDATE t SET v = 'one' WHERE id = 3")
    with backlog(world, (product, world.target)):
        world.source.run("UPDATE t SET v = 'w' WHERE id <= 1500",
                         "UPDATE t SET code = 'x' WHERE id = 1", "UPDATE t SET code = 'c2' WHERE id = 2",
                         "UPDATE t SET code = 'c1' WHERE id = 1")
    product.wait_caught_up()
    world.source.run("UPDATE t SET v = 'two' WHERE id = 3")
    product.wait_caught_up()
    world.assert_equal()
    after = apply_counts(product)
    assert after["fallbacks"] == 2 and after["batches_ordered"] > before["batches_ordered"], after


def test_a_target_that_is_short_of_something_gets_the_batch_in_order(world):
    """Room for temporary tables, locks: order needs less of them, and a stage may do next time."""
    product = t_streaming(world, 300)
    world.target.run("""CREATE FUNCTION no_room() RETURNS event_trigger LANGUAGE plpgsql AS
                        $$ BEGIN RAISE 'no room' USING ERRCODE = 'disk_full'; END $$""",
                     "CREATE EVENT TRIGGER no_room ON ddl_command_start"
                     " WHEN TAG IN ('CREATE TABLE AS') EXECUTE FUNCTION no_room()",
                     "ALTER EVENT TRIGGER no_room ENABLE ALWAYS")
    with backlog(world, (product, world.target)):
        world.source.run("UPDATE t SET v = 'a'")
    product.wait_caught_up()
    world.assert_equal()
    assert apply_counts(product)["fallbacks"] == 1
    world.target.run("DROP EVENT TRIGGER no_room")
    with backlog(world, (product, world.target)):
        world.source.run("UPDATE t SET v = 'b'")
    product.wait_caught_up()
    world.assert_equal()
    counts = apply_counts(product)
    assert (counts["fallbacks"], counts["rows_staged"]) == (1, 300), counts


def test_rows_of_many_partitions_go_one_by_one(world):
    """A statement for all of them would lock every partition."""
    product = t_streaming(world, 300, target=(
        "CREATE TABLE t (id int PRIMARY KEY, code text, v text) PARTITION BY HASH (id)",
        """DO $$ BEGIN FOR i IN 0..69 LOOP EXECUTE format(
           'CREATE TABLE t_%s PARTITION OF t FOR VALUES WITH (MODULUS 70, REMAINDER %s)', i, i);
           END LOOP; END $$"""))
    with backlog(world, (product, world.target)):
        world.source.run("UPDATE t SET v = 'a' WHERE id > 100", "DELETE FROM t WHERE id <= 100")
    product.wait_caught_up()
    world.assert_equal()
    counts = apply_counts(product)
    assert (counts["fallbacks"], counts["rows_staged"], counts["rows_single"]) == (0, 0, 300), counts


@pytest.mark.parametrize("engine", ("auto", "ordered"))
def test_a_domain_that_allows_no_null_is_asked_both_ways(world, engine):
    product = t_streaming(world, 0, engine, on_bad_row="stop", target=(
        "CREATE DOMAIN given AS text CHECK (VALUE IS NOT NULL)",
        "CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE, v text, own given)"))
    with backlog(world, (product, world.target)):
        world.source.run(FILL.format(200))
    assert product.wait_end() == 3
    assert world.target.value("SELECT count(*) FROM t") == 0


def test_changes_that_were_folded_are_never_fewer_than_none(world):
    """A key change is one change and two rows."""
    product = t_streaming(world, 200)
    with backlog(world, (product, world.target)):
        world.source.run("UPDATE t SET id = id + 1000", "UPDATE t SET v = 'w' WHERE id <= 1010")
    product.wait_caught_up()
    world.assert_equal()
    assert apply_counts(product)["changes_folded"] == 10


def test_a_change_in_order_that_fails_for_what_went_in_sets_slows_those_tables_down(world):
    """Of two sources of one table one keeps order, for it writes an identity column. A unique value
    that it gave up is taken by the other, which comes first in sets."""
    world.source.run("CREATE TABLE a (id int PRIMARY KEY, code text, num int)",
                     "CREATE TABLE b (id int PRIMARY KEY, code text)",
                     "INSERT INTO b SELECT i, 'b' || i FROM generate_series(1, 100) i")
    world.target.run("""CREATE TABLE m (src text, id int, code text UNIQUE,
                        num int GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (src, id))""")
    product = world.product(tables=[
        {"source": f"public.{name}", "target": "public.m", "key": ["src", "id"],
         "columns": {"src": {"value": name}}} for name in "ab"]).start_streaming()
    for number in range(6):
        with backlog(world, (product, world.target)):
            world.source.run(f"INSERT INTO a VALUES (1, 'x{number}', 1)", "DELETE FROM a",
                             f"UPDATE b SET code = CASE id WHEN 1 THEN 'x{number}'"
                             f" ELSE 'b{number}_' || id END")
        product.wait_caught_up()
        compare.assert_same_rows(world.source, "SELECT id, code FROM b",
                                 world.target, "SELECT id, code FROM m", f"batch {number}")
    assert apply_counts(product)["fallbacks"] == 3, apply_counts(product)
