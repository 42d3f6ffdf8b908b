"""A table joins a migration under way: published without keeping writers out, then copied so that
nothing that was written before it was published is missing."""
import pytest

from world import load, wait
from test_handoff import BACKFILL, Items


def rule(*names):
    return [{"source": f"public.{name}"} for name in names]


def under_way(world, **config):
    """A migration of one table that streams; then stopped."""
    world.both("CREATE TABLE old (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO old VALUES (1, 'a')")
    product = world.product(tables=rule("old"), backfill=BACKFILL, **config)
    product.start()
    product.wait_caught_up()
    product.stop()
    return product


def finish(world, product):
    product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    product.wait_caught_up()
    world.assert_equal()


def test_a_table_joins_under_writes(world):
    product = under_way(world)
    items = Items(world, "bigint")
    product.config["tables"] = rule("old", "items")
    with load.Writers(world.source, 3, items.work, seed=3) as writers:
        writers.wait_commits(50)
        product.start()
        world.source.run("INSERT INTO old VALUES (2, 'b')")
        writers.wait_commits(100)
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
        writers.wait_commits(20)
    finish(world, product)
    assert "rules have changed" not in product.log_text()
    wait.until(lambda: product.gates()["source"]["verdict"] == "GO", "the gate", 30)
    product.stop()
    product.run_until_caught_up()


def test_what_a_transaction_wrote_before_the_publication_comes_with_the_copy(world):
    """It goes on afterwards: half of it is in the stream, and all of it must be in the copy."""
    product = under_way(world)
    world.both("CREATE TABLE young (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO young SELECT i, 'v' FROM generate_series(1, 10) i")
    product.config["tables"] = rule("old", "young")
    with world.source.session() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO young VALUES (100, 'before')")
        cursor.execute("UPDATE young SET v = 'before' WHERE id = 1")
        product.start()
        product.event("a copy waits for transactions that are open at the source")
        product.wait_status(lambda status: [wait["reason"] for wait in status["backfill"]["waiting"]]
                            == ["open_transactions"], "the reason")
        world.source.run("INSERT INTO young VALUES (200, 'beside')",
                         "INSERT INTO old VALUES (2, 'streams on')")
        wait.until(lambda: world.target.value("SELECT count(*) FROM old") == 2, "the stream", 30)
        cursor.execute("INSERT INTO young VALUES (101, 'after')")
        cursor.execute("UPDATE young SET v = v || ' and after' WHERE id IN (1, 2)")
        assert world.target.value("SELECT count(*) FROM young") == 0
        cursor.execute("COMMIT")
    world.source.run("INSERT INTO young VALUES (300, 'later')")
    finish(world, product)


def waits_for(database, query):
    return lambda: database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type ="
                                  " 'Lock' AND query LIKE %s", query)


def test_killed_at_each_step_it_goes_on(world):
    product = under_way(world)
    world.both("CREATE TABLE young (id int PRIMARY KEY, v text)")
    world.source.run("INSERT INTO young SELECT i, 'v' FROM generate_series(1, 5000) i",
                     "ANALYZE young")
    product.config["tables"] = rule("old", "young")
    with load.held(world.source, "LOCK TABLE young IN SHARE UPDATE EXCLUSIVE MODE"):
        product.launch()
        wait.until(waits_for(world.source, "%ALTER PUBLICATION%"), "the publication", 30)
        world.source.run("INSERT INTO young VALUES (10001, 'writers are not kept out')")
        product.kill9()
    with load.held(world.target, "LOCK TABLE slackwater.copy IN SHARE MODE"):
        product.launch()
        wait.until(waits_for(world.target, "INSERT INTO slackwater.copy%"), "the record", 30)
        product.kill9()
        world.source.run("INSERT INTO young VALUES (10002, 'published')")
    stall = load.Stall(world.target, "young", "NEW.id = 2500")
    with stall:
        product.launch()
        stall.wait_reached()
        product.kill9()
        world.source.run("UPDATE young SET v = 'w' WHERE id IN (1, 2500, 4999)")
    product.start()
    finish(world, product)


def test_a_table_without_identity_joins_where_there_was_none(world):
    product = under_way(world)
    world.both("CREATE TABLE no_key (a int)")
    world.source.run("INSERT INTO no_key SELECT generate_series(1, 10)")
    product.config["tables"] = rule("old", "no_key")
    product.start()
    world.source.run("INSERT INTO no_key VALUES (11)")
    finish(world, product)


def test_a_new_table_that_a_pattern_matches_joins_at_the_next_start(world):
    world.both("CREATE TABLE e_one (id int PRIMARY KEY)")
    product = world.product(tables=[{"source": "public.e_*"}])
    product.start()
    product.wait_caught_up()
    product.stop()
    world.source.run("CREATE TABLE e_two (id int PRIMARY KEY)", "INSERT INTO e_two VALUES (1)")
    result = product.run_to_end("--until-caught-up")
    assert result.status == 2 and "e_two" in result.text, result.text  # not at the target yet
    world.target.run("CREATE TABLE e_two (id int PRIMARY KEY)")
    result = product.run_to_end("--no-backfill")
    assert result.status == 2 and "joins a migration under way" in result.text, result.text
    product.run_until_caught_up()
    world.assert_equal()


def test_until_a_new_table_joins_it_closes_a_gate(world):
    """Its rows are at the source alone. One that the rules do not take is none of ours."""
    world.both("CREATE TABLE a (id int PRIMARY KEY)")
    product = world.product(tables=[{"source": "public.*", "exclude": ["public.log_*"]}])
    product.start_streaming()

    def verdict():
        return product.gates()["schema"]["verdict"]

    wait.until(lambda: verdict() == "GO", "the gate to open", 20)
    world.source.run("CREATE TABLE log_1 (id int)", "CREATE SCHEMA other",
                     "CREATE TABLE other.t (id int)", "CREATE TEMP TABLE b (id int)",
                     "CREATE TABLE young (id int PRIMARY KEY)", "INSERT INTO young VALUES (1)")
    wait.until(lambda: verdict() == "NO-GO", "the gate to close", 20)
    assert "public.young was made since" in product.gates()["schema"]["reason"]
    product.stop()
    world.target.run("CREATE TABLE young (id int PRIMARY KEY)")
    product.start_streaming()
    product.wait_caught_up()
    wait.until(lambda: verdict() == "GO", "the gate to open again", 20)
    world.assert_equal("public.a", "public.young")


def test_it_may_wait_for_another_run(world):
    product = under_way(world)
    world.both("CREATE TABLE young (id int PRIMARY KEY)")
    world.source.run("INSERT INTO young VALUES (1)")
    product.config["tables"] = rule("old", "young")
    result = product.run_to_end("--backfill-only", "old", "--until-caught-up")
    assert result.status == 0, result.text
    assert world.target.value("SELECT count(*) FROM young") == 0
    world.source.run("INSERT INTO young VALUES (2)")
    product.run_until_caught_up()
    world.assert_equal()


@pytest.mark.parametrize("tables", [["young"], ["young", "other"]])
def test_a_table_cannot_be_taken_out(world, tables):
    product = under_way(world)
    world.both("CREATE TABLE young (id int PRIMARY KEY)", "CREATE TABLE other (id int PRIMARY KEY)")
    product.config["tables"] = rule(*tables)
    result = product.run_to_end("--until-caught-up")
    assert result.status == 2 and "old" in result.text and "restore its rule" in result.text
    assert world.source.rows("SELECT tablename FROM pg_publication_tables") == [("old",)]
