"""Where foreign keys are enforced at the target for what slackwater writes: the copy runs in chunks
beside the stream as ever, parents first, and nothing of the source's order is lost in between."""
import json
import os
import random

import pytest

from world import load, wait
from test_handoff import BACKFILL, chunks
from test_rights import DATA

PARENTS = 3000
CHILDREN = 9000


def plain_role(world, *tables):
    """A role that may write the tables and no more; foreign keys hold for it."""
    if world.roles:
        return world.roles[-1][1]
    role = world.role(world.target, "plain")
    world.target.run(f"GRANT CREATE ON DATABASE {world.target.name} TO {role}",
                     *(f"GRANT {DATA} ON {name} TO {role}" for name in tables))
    return role


def enforced(world, *tables, **config):
    """A program whose target role cannot have foreign keys off."""
    return world.product(target={"dsn": world.target.url(plain_role(world, *tables))}, **config)


def finish(world, product):
    product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    product.wait_caught_up()
    world.assert_equal()


class Family:
    """Three generations that cascade, and one that only points; keys are used again."""

    TABLES = ("grand", "parent", "child", "note")

    def __init__(self, world):
        world.both(
            "CREATE TABLE grand (id int PRIMARY KEY, v text)",
            "CREATE TABLE parent (id int PRIMARY KEY, v text,"
            " grand int REFERENCES grand ON DELETE CASCADE)",
            "CREATE TABLE child (id int PRIMARY KEY, v text,"
            " parent int NOT NULL REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE)",
            "CREATE TABLE note (id bigint PRIMARY KEY, child int REFERENCES child"
            " ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE, grand int REFERENCES grand ON DELETE SET NULL"
            " DEFERRABLE, v text)",
            "CREATE INDEX ON parent (grand)", "CREATE INDEX ON child (parent)",
            "CREATE INDEX ON note (child)", "CREATE INDEX ON note (grand)")
        world.source.run(
            f"INSERT INTO grand SELECT i, 'g' FROM generate_series(1, {PARENTS // 3}) i",
            f"INSERT INTO parent SELECT i, 'p', 1 + i % {PARENTS // 3}"
            f" FROM generate_series(1, {PARENTS}) i",
            f"INSERT INTO child SELECT i, repeat('c', 200), 1 + i % {PARENTS}"
            f" FROM generate_series(1, {CHILDREN}) i",
            f"INSERT INTO note SELECT i, 1 + i % {CHILDREN}, 1 + i % {PARENTS // 3},"
            f" repeat('n', 100) FROM generate_series(1, {CHILDREN}) i",
            "ANALYZE")

    @staticmethod
    def work(cursor, dice):
        kind = dice.randrange(10)
        parent = dice.randint(1, PARENTS)
        other = dice.randint(1, 3 * PARENTS)
        child = dice.randint(1, 3 * CHILDREN)
        if kind < 3:  # with its parent, or to whom it finds
            if dice.random() < 0.6:
                cursor.execute(f"INSERT INTO parent SELECT {other}, 'new', min(id) FROM grand"
                               " ON CONFLICT DO NOTHING")
            cursor.execute(f"INSERT INTO child SELECT {child}, 'new', id FROM parent"
                           f" WHERE id = {other} ON CONFLICT DO NOTHING")
            cursor.execute(f"INSERT INTO note SELECT {dice.randint(1, 1 << 40)}, id, NULL, 'new'"
                           f" FROM child WHERE id = {child}")
        elif kind < 5:  # to another parent
            cursor.execute(f"UPDATE child SET parent = {parent}, v = 'moved'"
                           f" WHERE id = {child} AND EXISTS (SELECT FROM parent"
                           f" WHERE id = {parent})")
        elif kind < 6:
            cursor.execute(f"DELETE FROM parent WHERE id = {parent}" if dice.random() < 0.5 else
                           f"UPDATE parent SET id = {other} WHERE id = {parent}")
        elif kind < 8:  # gone with its children, and back with others
            cursor.execute(f"DELETE FROM parent WHERE id = {parent}")
            cursor.execute(f"INSERT INTO parent SELECT {parent}, 'again', min(id) FROM grand")
            cursor.execute(f"INSERT INTO child VALUES ({child}, 'again', {parent})"
                           f" ON CONFLICT (id) DO UPDATE SET parent = {parent}, v = 'again'")
        elif kind < 9:
            cursor.execute(f"UPDATE child SET id = {dice.randint(1, 3 * CHILDREN)}"
                           f" WHERE id = {child}")
        else:
            cursor.execute(f"DELETE FROM grand WHERE id = {dice.randint(2, PARENTS // 3)}")


@pytest.mark.parametrize("number", range(4))
def test_families_are_copied_under_writes(world, number):
    seed = int(os.environ.get("SLACKWATER_SEED", random.randrange(1 << 30)))
    print(f"replay: SLACKWATER_SEED={seed}")
    dice = random.Random(seed)
    family = Family(world)
    product = enforced(world, *Family.TABLES, backfill=BACKFILL)
    with load.Writers(world.source, 3, family.work, seed=dice.randrange(1 << 30)) as writers:
        for _ in range(number % 3):
            product.launch()
            writers.wait_commits(dice.randrange(10, 400))
            product.kill9()
        product.start()
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 80)
        writers.wait_commits(20)
    product.wait_caught_up()
    assert chunks(world) > 8, "it was not copied in chunks"
    world.assert_equal()
    product.stop()


def copied_under(world, trouble):
    """Families are copied under writes, while the servers have trouble."""
    family = Family(world)
    product = enforced(world, *Family.TABLES, backfill=BACKFILL)
    with load.Writers(world.source, 4, family.work, seed=7) as writers:
        product.start()
        trouble(product, writers)
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 80)
    finish(world, product)


@pytest.mark.parametrize("side", ["source", "target"])
def test_families_are_copied_while_a_server_restarts(make_cluster, make_world, source_cluster,
                                                     target_cluster, side):
    cluster = make_cluster(side)
    world = make_world(cluster if side == "source" else source_cluster,
                       cluster if side == "target" else target_cluster)

    def restart(product, writers):
        product.event("streaming")
        for count in (10, 35):
            wait.until(lambda: chunks(world) > count, "some chunks")
            cluster.restart("immediate")
            writers.wait_commits(10)

    copied_under(world, restart)


def test_families_whose_commits_are_late_to_be_visible(make_cluster, make_world, target_cluster):
    """With a synchronous standby a commit is in the stream long before a snapshot sees it, and
    others that come behind it are seen before."""
    source = make_cluster(synchronous_standby_names="nobody", synchronous_commit="local")
    world = make_world(source, target_cluster)
    admin = source.database("postgres")

    def let_through(product, writers):
        late = [world.source.connect() for _ in range(3)]
        for number in range(6):
            def commit(cursor):
                cursor.execute("BEGIN; SET LOCAL synchronous_commit = on")
                Family.work(cursor, random.Random(number))
                cursor.execute("COMMIT")
            with load.in_background(lambda: [commit(c.cursor()) for c in late[number % 3:][:1]]):
                writers.wait_commits(30)
                admin.run("ALTER SYSTEM SET synchronous_standby_names = ''",
                          "SELECT pg_reload_conf()")
            admin.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
                      "SELECT pg_reload_conf()")
        admin.run("ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")

    copied_under(world, let_through)


def family_of_two(world, rows=4000, deferrable="", on_delete="CASCADE"):
    world.both("CREATE TABLE parent (id int PRIMARY KEY, v text)",
               "CREATE TABLE child (id int PRIMARY KEY, v text, parent int REFERENCES parent"
               f" ON DELETE {on_delete} {deferrable})", "CREATE INDEX ON child (parent)")
    world.source.run(f"INSERT INTO parent SELECT i, 'p' FROM generate_series(1, {rows}) i",
                     f"INSERT INTO child SELECT i, 'c', i FROM generate_series(1, {rows}) i",
                     "ANALYZE")


def test_an_orphan_stops_the_copy_and_is_named(world):
    family_of_two(world, on_delete="NO ACTION")
    world.source.run("ALTER TABLE child DROP CONSTRAINT child_parent_fkey",
                     "UPDATE child SET parent = 900000 WHERE id = 1234")
    product = enforced(world, "parent", "child", backfill=BACKFILL,
                       apply={"on_bad_row": "stop"})
    result = product.run_to_end()
    assert result.status == 3, result.text
    assert "child_parent_fkey" in result.text and "orphan" in result.text
    assert "900000" not in result.text, "a value was printed"
    world.source.run("DELETE FROM child WHERE id = 1234")
    product.run_until_caught_up()
    world.assert_equal()


def test_rows_that_refer_to_their_own_table(world):
    """One chunk, however large: parents may have any key."""
    world.both("CREATE TABLE node (id int PRIMARY KEY, up int REFERENCES node ON DELETE CASCADE)",
               "CREATE TABLE leaf (id int PRIMARY KEY, node int REFERENCES node ON DELETE CASCADE)")
    world.source.run(
        "INSERT INTO node SELECT i, CASE WHEN i < 5000 THEN least(i + 1 + i % 50, 5000) END"
        " FROM generate_series(1, 5000) i ORDER BY i DESC",
        "INSERT INTO leaf SELECT i, i FROM generate_series(1, 5000) i", "ANALYZE")

    def work(cursor, dice):
        node, new = dice.randint(1, 5000), dice.randint(5001, 100000)
        cursor.execute(f"INSERT INTO node VALUES ({new}, NULL) ON CONFLICT DO NOTHING")
        cursor.execute(f"UPDATE node SET up = {new} WHERE id = {node}")
        cursor.execute(f"INSERT INTO leaf VALUES ({new}, {new}) ON CONFLICT DO NOTHING")
        if dice.random() < 0.1:
            cursor.execute(f"DELETE FROM node WHERE id = {new - 1}")

    product = enforced(world, "node", "leaf", backfill=BACKFILL)
    with load.Writers(world.source, 2, work) as writers:
        product.start()
        writers.wait_commits(100)
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    finish(world, product)
    assert world.target.rows("SELECT source, count(*) > 1 FROM slackwater.chunk GROUP BY 1"
                             " ORDER BY 1") == [('"public"."leaf"', True),
                                                ('"public"."node"', False)]


def test_a_circle_is_named_before_anything_is_made(world):
    world.both("CREATE TABLE egg (id int PRIMARY KEY, hen int)",
               "CREATE TABLE hen (id int PRIMARY KEY, egg int REFERENCES egg)",
               "ALTER TABLE egg ADD FOREIGN KEY (hen) REFERENCES hen",
               "CREATE TABLE fox (id int PRIMARY KEY, hen int REFERENCES hen)")
    product = enforced(world, "egg", "hen", "fox")
    checked = product.command("check")
    assert checked.status == 2 and "go in a circle" in checked.text
    result = product.run_to_end()
    assert result.status == 2
    assert "public.hen -> public.egg -> public.hen" in result.text, result.text
    assert world.leftovers() == []


def test_a_child_joins_a_circle_that_is_copied(world):
    world.both("CREATE TABLE egg (id int PRIMARY KEY, hen int)",
               "CREATE TABLE hen (id int PRIMARY KEY, egg int REFERENCES egg)",
               "CREATE TABLE fox (id int PRIMARY KEY, hen int REFERENCES hen)")
    world.source.run("INSERT INTO egg VALUES (1, 1)", "INSERT INTO hen VALUES (1, 1)",
                     "INSERT INTO fox VALUES (1, 1)")
    rules = [{"source": "public.egg"}, {"source": "public.hen"}]
    product = enforced(world, "egg", "hen", "fox", tables=rules)
    product.run_until_caught_up()
    world.both("ALTER TABLE egg ADD FOREIGN KEY (hen) REFERENCES hen DEFERRABLE")
    product.config["tables"] = rules + [{"source": "public.fox"}]
    product.run_until_caught_up()
    world.assert_equal()


def test_a_copy_alone_cannot_wait_for_rows_that_come_meanwhile(world):
    family_of_two(world)
    product = enforced(world, "parent", "child", backfill=BACKFILL)
    result = product.run_to_end("--no-stream")
    assert result.status == 2 and "--until-caught-up" in result.text, result.text
    result = product.run_to_end("--backfill-only", "child", "--until-caught-up")
    assert result.status == 2 and "--backfill-only" in result.text, result.text
    result = product.run_to_end("--backfill-only", "parent", "--no-stream")
    assert result.status == 0, result.text
    assert world.target.value("SELECT count(*) FROM child") == 0
    result = product.run_to_end("--backfill-only", "child", "--until-caught-up")
    assert result.status == 0, result.text
    world.assert_equal()


def test_a_parent_is_copied_again_with_its_children(world):
    family_of_two(world)
    product = enforced(world, "parent", "child", backfill=BACKFILL)
    product.run_until_caught_up()
    world.target.run("UPDATE parent SET v = 'damaged'", "DELETE FROM child WHERE id % 3 = 0")
    result = product.run_to_end("--redo", "parent")
    assert result.status == 2 and "--redo" in result.text, result.text
    assert world.target.value("SELECT count(*) FROM child WHERE v = 'c'") > 0, "it was emptied"
    result = product.run_to_end("--redo", "child", "--until-caught-up")
    assert result.status == 0, result.text
    world.assert_equal("child")
    result = product.run_to_end("--redo", "parent", "--redo", "child", "--until-caught-up")
    assert result.status == 0, result.text
    world.assert_equal()


def test_a_child_joins(world):
    family_of_two(world)
    rules = [{"source": "public.parent"}]
    product = enforced(world, "parent", "child", backfill=BACKFILL, tables=rules)
    product.run_until_caught_up()
    world.source.run("INSERT INTO parent VALUES (100000, 'new')",
                     "INSERT INTO child VALUES (100000, 'new', 100000)")
    product.config["tables"] = rules + [{"source": "public.child"}]
    product.run_until_caught_up()
    world.assert_equal()


def test_a_parent_cannot_join_after_its_children(world):
    family_of_two(world, rows=1)
    rules = [{"source": "public.child"}]
    world.target.run("INSERT INTO parent VALUES (1, 'p')")
    product = enforced(world, "parent", "child", backfill=BACKFILL, tables=rules)
    product.run_until_caught_up()
    product.config["tables"] = rules + [{"source": "public.parent"}]
    result = product.run_to_end("--until-caught-up")
    assert result.status == 2 and "child" in result.text, result.text


def stalled_among_children(world, **options):
    """All parents are loaded, of the children some chunks, and one is held in flight."""
    family_of_two(world, **options)
    product = enforced(world, "parent", "child",
                       backfill={"workers": 1, "chunk_rows": 500, "chunk_time": "1ms"})
    return product, load.Stall(world.target, "child", "NEW.id = 2500")


def test_no_chunk_is_ahead_of_a_stream_that_the_target_has_lost(world):
    """A target that crashes takes back what the stream had applied, and a chunk that was let in for
    that is not to be committed. Here the position alone is taken back."""
    product, stall = stalled_among_children(world)
    with stall:
        product.start()
        stall.wait_reached()
        world.target.run(
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.lsn := '0/1'; RETURN NEW; END $$",
            "CREATE TRIGGER lose BEFORE UPDATE ON slackwater.progress"
            " FOR EACH ROW EXECUTE FUNCTION lose()")
        wait.until(lambda: world.target.value("SELECT lsn FROM slackwater.progress") == "0/1",
                   "the position to be lost")
        loaded = chunks(world)
        stall.release()
        wait.until(lambda: "it lacks what was copied or applied before" in product.log_text(),
                   "the chunk to be refused")
        assert chunks(world) == loaded
    world.target.run("DROP TRIGGER lose ON slackwater.progress", "DROP FUNCTION lose")
    finish(world, product)


def test_families_are_truncated_between_chunks(world):
    product, stall = stalled_among_children(world)
    with stall:
        product.start()
        stall.wait_reached()
        with load.in_background(lambda: world.source.run(
                "BEGIN; TRUNCATE parent, child; INSERT INTO parent SELECT i, 'w'"
                " FROM generate_series(1, 3000) i; INSERT INTO child SELECT i, 'w', i"
                " FROM generate_series(1, 3000) i; COMMIT")):
            wait.until(lambda: world.source.value(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'child'::regclass"),
                "the truncate to wait for the chunk")
            stall.release()
    finish(world, product)
    assert world.target.value("SELECT count(*) FROM child") == 3000


def test_what_cascades_at_the_target_is_no_conflict(world):
    """Of loaded chunks, of the one in flight, and of those to come."""
    product, stall = stalled_among_children(world)
    with stall:
        product.start()
        stall.wait_reached()
        world.source.run("DELETE FROM parent WHERE id % 10 = 0",
                         "INSERT INTO parent SELECT i, 'again' FROM generate_series(10, 4000, 20) i",
                         "INSERT INTO child SELECT i, 'again', i FROM generate_series(10, 4000, 20) i")
        stall.release()
    finish(world, product)
    assert product.table("public.child")["conflicts"]["delete_missing"] == 0


def test_keys_that_move_with_their_parents_are_no_conflict(world):
    """The child's key holds its parent's: the target's own cascade has moved it when its turn comes."""
    world.both("CREATE TABLE parent (id int PRIMARY KEY)",
               "CREATE TABLE child (parent int REFERENCES parent ON UPDATE CASCADE, n int, v text,"
               " PRIMARY KEY (parent, n))",
               "CREATE TABLE grand (parent int, n int, m int PRIMARY KEY, FOREIGN KEY (parent, n)"
               " REFERENCES child ON UPDATE CASCADE)")
    world.source.run("INSERT INTO parent SELECT generate_series(1, 9)",
                     "INSERT INTO child SELECT i, i, 'c' FROM generate_series(1, 9) i",
                     "INSERT INTO grand SELECT i, i, i FROM generate_series(1, 9) i")
    product = enforced(world, "parent", "child", "grand")
    product.start()
    finish(world, product)
    world.source.run("UPDATE parent SET id = id + 100 WHERE id < 4",
                     "BEGIN; UPDATE parent SET id = 50 WHERE id = 5;"
                     "UPDATE child SET v = 'new' WHERE parent = 50; COMMIT")
    finish(world, product)
    for table in "child", "grand":
        conflicts = product.table(f"public.{table}")["conflicts"]
        assert not any(conflicts.values()), (table, conflicts)


def test_the_order_within_a_transaction_may_wait_for_its_end(world):
    """A deferrable constraint is checked when the transaction is whole."""
    family_of_two(world, rows=1200, deferrable="DEFERRABLE", on_delete="NO ACTION")
    product = enforced(world, "parent", "child", backfill=BACKFILL)
    product.start()
    finish(world, product)
    world.source.run("BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO child VALUES (5000, 'x', 5000);"
                     "INSERT INTO parent VALUES (5000, 'x'); DELETE FROM parent WHERE id = 7;"
                     "INSERT INTO parent VALUES (7, 'again'); COMMIT")
    finish(world, product)


def test_a_target_that_holds_rows_already(world):
    """Staged, and upserted."""
    family_of_two(world)
    world.target.run("INSERT INTO parent SELECT i, 'old' FROM generate_series(1, 100) i",
                     "INSERT INTO child SELECT i, 'old', 1 FROM generate_series(1, 100) i")
    product = enforced(world, "parent", "child", backfill=BACKFILL)

    def work(cursor, dice):
        new = dice.randint(1, 100000)
        cursor.execute(f"DELETE FROM parent WHERE id = {new}")
        cursor.execute(f"INSERT INTO parent VALUES ({new}, 'new')")
        cursor.execute(f"INSERT INTO child VALUES ({new}, 'new', {new})"
                       f" ON CONFLICT (id) DO UPDATE SET parent = {new}")

    with load.Writers(world.source, 2, work) as writers:
        product.start()
        writers.wait_commits(100)
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    finish(world, product)


def test_deferred_indexes_of_families(world):
    family_of_two(world)
    world.both("ALTER TABLE child ADD u int", "CREATE UNIQUE INDEX ON child (u)")
    product = enforced(world, "parent", "child", backfill={**BACKFILL, "defer_indexes": True})
    role = world.roles[-1][1]
    world.target.run(f"GRANT CREATE ON SCHEMA public TO {role}",
                     f"ALTER TABLE child OWNER TO {role}", f"ALTER TABLE parent OWNER TO {role}")
    world.source.run("UPDATE child SET u = id")

    def work(cursor, dice):
        one, other = dice.randint(1, 4000), dice.randint(1, 4000)
        cursor.execute(f"UPDATE child SET u = NULL WHERE id = {one}")
        cursor.execute(f"UPDATE child SET u = {one}, parent = {one} WHERE id = {other}"
                       f" AND NOT EXISTS (SELECT FROM child WHERE u = {one})")

    with load.Writers(world.source, 2, work):
        product.start()
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 60)
    finish(world, product)
    assert world.target.value("SELECT count(*) FROM pg_indexes WHERE tablename = 'child'") == 3
    world.target.run("ALTER TABLE child OWNER TO postgres", "ALTER TABLE parent OWNER TO postgres")


def test_a_parents_key_changes_in_place(world):
    """Deleted and written anew, as keys are changed elsewhere, it would take its children along."""
    world.both("CREATE TABLE p (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v text)",
               "CREATE TABLE c (id int PRIMARY KEY, big text, p int REFERENCES p"
               " ON UPDATE CASCADE ON DELETE CASCADE)", "ALTER TABLE c ALTER big SET STORAGE EXTERNAL",
               "CREATE TABLE g (id int PRIMARY KEY, c int REFERENCES c ON DELETE CASCADE)")
    world.source.run("INSERT INTO p (id, v) SELECT i, 'p' FROM generate_series(1, 10) i",
                     "INSERT INTO c SELECT i, repeat('x', 5000), i FROM generate_series(1, 10) i",
                     "INSERT INTO g SELECT i, i FROM generate_series(1, 10) i")
    product = enforced(world, "p", "c", "g")
    product.start()
    finish(world, product)
    world.source.run("UPDATE p SET id = 100 WHERE id = 3", "UPDATE p SET v = 'u' WHERE id = 4",
                     "UPDATE p SET id = id + 1000, v = 'moved' WHERE id < 3")
    finish(world, product)


# ---- what check says, and the start with it ----

def checked(world, *tables, **config):
    """The findings about references, by id; of a role for which foreign keys hold, and of none."""
    assert not references(world.product(**config).command("check", "--json"))
    return references(enforced(world, *tables, **config).command("check", "--json"))


def references(result):
    return {finding["id"].removeprefix("target.reference_"): finding for finding in
            json.loads(result.out)["findings"] if finding["id"].startswith("target.reference_")
            and finding["id"] != "target.reference_index"}


def test_statements_that_write_a_row_and_its_parent_need_a_deferrable_key(world):
    """One statement at the source, several here: the key is checked after each."""
    world.both("CREATE TABLE node (id int PRIMARY KEY, tree int, up int REFERENCES node)")
    world.source.run("INSERT INTO node VALUES (1, 5, NULL), (2, 5, 1), (3, 5, 2)")
    found = checked(world, "node")
    assert found["immediate"]["severity"] == "potentially_breaking"
    product = enforced(world, "node", apply={"on_bad_row": "stop"})
    product.start()
    finish(world, product)
    world.source.run("DELETE FROM node WHERE tree = 5")
    assert product.wait_end() == 3
    world.target.run(found["immediate"]["sql"])
    assert "immediate" not in checked(world, "node")
    product.start()
    world.source.run("INSERT INTO node VALUES (12, 6, 11), (11, 6, NULL)")
    finish(world, product)
    world.target.run(found["immediate"]["rollback_sql"])
    assert "immediate" in checked(world, "node")


def test_a_delete_that_reaches_a_row_by_two_keys(world):
    """The row between its two steps refers to what the target's cascade has taken at once."""
    world.both("CREATE TABLE grand (id int PRIMARY KEY)",
               "CREATE TABLE parent (id int PRIMARY KEY, grand int REFERENCES grand"
               " ON DELETE CASCADE)",
               "CREATE TABLE note (id int PRIMARY KEY, grand int REFERENCES grand ON DELETE SET NULL,"
               " parent int REFERENCES parent ON DELETE SET NULL)")
    world.source.run("INSERT INTO grand VALUES (1)", "INSERT INTO parent VALUES (1, 1)",
                     "INSERT INTO note VALUES (1, 1, 1)")
    product = enforced(world, "grand", "parent", "note", apply={"on_bad_row": "stop"})
    found = [finding for finding in json.loads(product.command("check", "--json").out)["findings"]
             if finding["id"] == "target.reference_immediate"]
    assert {finding["object"]: finding["severity"] for finding in found} == {
        "public.note": "potentially_breaking", "public.parent": "non_breaking"}
    product.start()
    finish(world, product)
    world.source.run("DELETE FROM grand")
    assert product.wait_end() == 3
    world.target.run(*(finding["sql"] for finding in found))
    product.start()
    finish(world, product)


def test_a_target_that_cascades_by_itself_is_refused(world):
    """The source keeps what the target's own action would take."""
    world.both("CREATE TABLE parent (id int PRIMARY KEY)",
               "CREATE TABLE child (id int PRIMARY KEY, parent int)")
    world.source.run("ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES parent")
    world.target.run("ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES parent"
                     " ON DELETE SET NULL")
    assert checked(world, "parent", "child")["acts"]["severity"] == "breaking"
    result = enforced(world, "parent", "child").run_to_end()
    assert result.status == 2 and "child_parent_fkey" in result.text, result.text
    assert world.leftovers() == []
    world.target.run("ALTER TABLE child DROP CONSTRAINT child_parent_fkey,"
                     " ADD FOREIGN KEY (parent) REFERENCES parent")
    assert "acts" not in checked(world, "parent", "child")


def test_parents_that_leave_by_their_rules_take_no_children_along(world):
    """Where the condition reads but what the children refer to, the source lets none behind."""
    world.both("CREATE TABLE parent (tenant int, id int, live bool, PRIMARY KEY (tenant, id))",
               "CREATE TABLE child (id int PRIMARY KEY, tenant int, parent int, FOREIGN KEY"
               " (tenant, parent) REFERENCES parent ON DELETE CASCADE)")
    both = lambda where: [{"source": "public.parent", "where": where},
                          {"source": "public.child", "where": {"column": "tenant", "equals": 1}}]
    found = checked(world, "parent", "child", tables=both({"column": "live", "equals": True}))
    assert found["acts"]["severity"] == "breaking" and "public.parent" in found["acts"]["what"]
    assert "acts" not in checked(world, "parent", "child", tables=both({"column": "tenant", "equals": 1}))


def test_renamed_keys_are_the_sources(world):
    world.source.run("CREATE TABLE p (pid int PRIMARY KEY)",
                     "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE)")
    world.target.run("CREATE TABLE parent (id int PRIMARY KEY)",
                     "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent"
                     " ON DELETE CASCADE)")
    rules = [{"source": "public.p", "target": "public.parent", "columns": {"id": {"from": "pid"}}},
             {"source": "public.c", "target": "public.child", "columns": {"parent": {"from": "p"}}}]
    assert "acts" not in checked(world, "parent", "child", tables=rules)


def test_a_parents_key_must_be_settable(world):
    world.source.run("CREATE TABLE parent (id int PRIMARY KEY)")
    world.target.run("CREATE TABLE parent (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
    world.both("CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent)")
    found = checked(world, "parent", "child")["identity"]
    assert found["severity"] == "breaking"
    world.source.run("ALTER TABLE parent ALTER id ADD GENERATED ALWAYS AS IDENTITY")
    assert checked(world, "parent", "child")["identity"]["severity"] == "potentially_breaking"
    world.target.run(found["sql"])
    assert "identity" not in checked(world, "parent", "child")
    world.target.run(found["rollback_sql"])
    assert "identity" in checked(world, "parent", "child")


def test_a_copy_that_begins_anew_takes_no_rows_of_others(world):
    """A table of the application refers to the one that would be emptied."""
    world.both("CREATE TABLE parent (id int PRIMARY KEY, v text)")
    world.target.run("CREATE TABLE app (parent int REFERENCES parent ON DELETE CASCADE)")
    world.source.run("INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 4000) i", "ANALYZE")
    product = enforced(world, "parent",
                       backfill={"workers": 1, "chunk_rows": 500, "chunk_time": "1ms"})
    stall = load.Stall(world.target, "parent", "NEW.id = 2500")
    with stall:
        product.start()
        stall.wait_reached()
        world.target.run("INSERT INTO app VALUES (1), (2)")
        with load.in_background(lambda: world.source.run("TRUNCATE parent")):
            wait.until(lambda: world.source.value(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'parent'::regclass"),
                "the truncate to wait for the chunk")
            stall.release()
    assert product.wait_end() == 2
    assert "public.app" in product.log_text()
    assert world.target.value("SELECT count(*) FROM app") == 2
