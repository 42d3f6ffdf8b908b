"""The promise at every commit: whatever is killed, each state that the target ever committed is the
transformed image of a prefix of the source's commit order.

Neither side is asked what it thinks. Both servers' WAL is decoded by slots of the test's own: the
source's gives the true commit order, the target's every single commit that a reader could have
seen. Writers run without a common lock, and slackwater, the source and the target are killed at
random. `SLACKWATER_SEED` replays a round.
"""
import copy
import os
import random

import pytest

from world import load
from world.history import Image, Recorder, Transaction

ROUNDS, NIGHTLY_ROUNDS = 3, 100
KILLS, NIGHTLY_KILLS = 5, 8
ITEMS = 40
LOOKS = 40  # at least, at the end of a round
SOURCE = {"public.journal": ["writer", "number"], "public.item": ["id"]}
TARGET = {"app.history": ["tenant", "writer", "number"], "app.thing": ["tenant", "id"]}
RULES = [
    {"source": "public.journal", "target": "app.history", "key": ["tenant", "writer", "number"],
     "columns": {"tenant": {"value": "t1"}}},
    {"source": "public.item", "target": "app.thing", "key": ["tenant", "id"], "drop": ["amount"],
     "columns": {"tenant": {"value": "t1"}, "name": {"template": "THING#{id}"},
                 "total": {"from": "amount"}}},
]


def prepare(world):
    world.source.run(
        "CREATE TABLE journal (writer int, number bigint, xid text, line text, PRIMARY KEY (writer, number))",
        "CREATE TABLE item (id int PRIMARY KEY, amount int, owner int, filler text)",
        "CREATE SEQUENCE number")
    world.target.run(
        "CREATE SCHEMA app",
        "CREATE TABLE app.history (tenant text, writer int, number bigint, xid text, line text,"
        " PRIMARY KEY (tenant, writer, number))",
        "CREATE TABLE app.thing (tenant text, id int, name text, total int, owner int, filler text,"
        " PRIMARY KEY (tenant, id))")
    records = Recorder(world.source), Recorder(world.target)
    world.source.run(f"INSERT INTO item SELECT i, 0, 0, 'x' FROM generate_series(1, {ITEMS}) i")
    return records


def work(cursor, dice):
    """A transaction that changes items by key, and one line of the journal."""
    for _ in range(dice.choice([1, 1, 2, 5])):
        item, kind = dice.randint(1, ITEMS), dice.randrange(10)
        if kind < 5:
            cursor.execute("UPDATE item SET amount = amount + %s WHERE id = %s",
                           (dice.randint(-9, 9), item))
        elif kind < 6:
            cursor.execute("DELETE FROM item WHERE id = %s", (item,))
        elif kind < 8:
            cursor.execute("INSERT INTO item VALUES (%s, 0, %s, repeat('y', %s)) ON CONFLICT DO NOTHING",
                           (item, dice.randrange(9), dice.choice([1, 50, 3000])))
        elif kind < 9:
            cursor.execute("UPDATE item SET id = %s WHERE id = %s AND NOT EXISTS"
                           " (SELECT FROM item WHERE id = %s)", (item % ITEMS + 1, item, item % ITEMS + 1))
        else:
            cursor.execute("SAVEPOINT s; DELETE FROM item; ROLLBACK TO s")
    cursor.execute("INSERT INTO journal VALUES (%s, nextval('number'), pg_current_xact_id()::text,"
                   " %s)", (dice.randrange(4), "it's " + str(dice.random())))


def transformed(image):
    """What the rules make of the source's image."""
    def history(row):
        return {"tenant": "t1", **row}

    def thing(row):
        return {"tenant": "t1", "id": row["id"], "name": f"THING#{row['id']}",
                "total": row["amount"], "owner": row["owner"], "filler": row["filler"]}

    return {"app.history": {("t1", *key): history(row)
                            for key, row in image.tables["public.journal"].items()},
            "app.thing": {("t1", *key): thing(row)
                          for key, row in image.tables["public.item"].items()}}


def first_difference(ours, theirs):
    for table in theirs:
        for key in sorted({*ours[table], *theirs[table]}):
            if ours[table].get(key) != theirs[table].get(key):
                return f"{table} {key}: {ours[table].get(key)} instead of {theirs[table].get(key)}"
    return None


def check(source, target, since):
    """Every commit of the target after `since` (a WAL position) leaves the image of a prefix of the
    source's commits, none shorter than the one before. Returns how many states it looked at."""
    truth, seen = Image(SOURCE), Image(TARGET)
    ahead = iter(source)
    done = looks = 0
    for commit in target:
        seen.replay(commit)
        if commit.position <= since:
            continue
        count = len(seen.tables["app.history"])
        assert count >= done, f"the target went back from {done} to {count} transactions"
        while len(truth.tables["public.journal"]) < count:
            truth.replay(next(ahead))
        done = count
        difference = first_difference(seen.tables, transformed(truth))
        assert difference is None, f"at a commit of the target, {count} transactions: {difference}"
        looks += 1
    left = list(ahead)
    assert not left, f"the target ends {len(left)} transactions before the source"
    return looks


class Killer:
    """Kills one of the three by chance, and brings it back."""

    def __init__(self, world, product, dice):
        self.world, self.product, self.dice = world, product, dice

    def strike(self):
        victim = self.dice.choice(["slackwater", "slackwater", "source", "target", "target twice"])
        if victim == "slackwater":
            self.product.kill9()
            self.product.start()
        elif victim == "source":
            self.world.source.cluster.restart("immediate")
        else:
            for _ in range(victim.count(" ") + 1):
                self.world.target.cluster.restart("immediate")
        self.product.wait_streaming()
        return victim


@pytest.mark.limit(120)
@pytest.mark.parametrize("number", [
    *range(ROUNDS),
    *(pytest.param(n, marks=pytest.mark.nightly) for n in range(ROUNDS, NIGHTLY_ROUNDS))])
def test_every_commit_is_the_image_of_a_prefix(make_world, make_cluster, nightly, number):
    seed = int(os.environ.get("SLACKWATER_SEED") or random.randrange(1 << 32))
    print(f"SLACKWATER_SEED={seed}")
    dice = random.Random(seed)
    world = make_world(make_cluster(deadlock_timeout="20ms"), make_cluster())
    source, target = prepare(world)
    product = world.product(tables=RULES)
    with load.Writers(world.source, 4, work, seed=seed % 1000) as writers:
        writers.wait_commits(50)
        product.start_streaming()
        product.wait_caught_up()
        since = world.target.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        killer = Killer(world, product, dice)
        for _ in range(NIGHTLY_KILLS if nightly else KILLS):
            writers.wait_commits(dice.randint(5, 60))
            print("killed:", killer.strike())
        writers.wait_commits(100)
        product.wait_status(lambda status: status["totals"]["batches"] > LOOKS, "enough commits")
        writers.stop()
    product.wait_caught_up()
    looks = check(source.transactions(*SOURCE), target.transactions(*TARGET), since)
    assert looks > LOOKS / 2, f"{looks} commits of the target prove little"


def transaction(position, *changes):
    made = Transaction()
    made.position, made.changes = position, list(changes)
    return made


def line(number):
    return {"writer": "1", "number": str(number), "xid": "7", "line": "x"}


def item(amount):
    return {"id": "1", "amount": str(amount), "owner": "0", "filler": "x"}


def thing(total):
    return {"tenant": "t1", "id": "1", "name": "THING#1", "total": str(total), "owner": "0",
            "filler": "x"}


def two_histories():
    """Three transactions at the source, carried in two commits."""
    source = [transaction(n, ("public.journal", "INSERT", None, line(n)),
                          ("public.item", "UPDATE" if n > 1 else "INSERT", None, item(n)))
              for n in (1, 2, 3)]
    target = [transaction(10, ("app.history", "INSERT", None, {"tenant": "t1", **line(1)}),
                          ("app.thing", "INSERT", None, thing(1))),
              transaction(11, ("app.history", "INSERT", None, {"tenant": "t1", **line(3)}),
                          ("app.history", "INSERT", None, {"tenant": "t1", **line(2)}),
                          ("app.thing", "UPDATE", None, thing(3)))]
    return source, target


@pytest.mark.harness
def test_the_checker_sees_what_is_wrong():
    source, target = two_histories()
    assert check(source, target, 0) == 2
    with pytest.raises(AssertionError, match="2 transactions before"):
        check(source, target[:1], 0)
    for spoil in (lambda changes: changes.pop(1),                      # a line lost: never whole
                  lambda changes: changes[2][3].update(total="2"),     # an older value
                  lambda changes: changes[0][3].update(line="y"),
                  lambda changes: changes.append(("app.thing", "DELETE", thing(3), None)),
                  lambda changes: changes.append(changes[0])):         # doubled
        spoiled = copy.deepcopy(target)
        spoil(spoiled[1].changes)
        with pytest.raises((AssertionError, StopIteration)):
            check(source, spoiled, 0)


@pytest.mark.harness
def test_the_recorder_reads_what_the_server_writes(make_cluster):
    database = make_cluster().create_database("recorded")
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    recorder = Recorder(database)
    database.run("INSERT INTO t VALUES (1, 'it''s new-tuple: '), (2, NULL)",
                 "BEGIN; INSERT INTO t VALUES (9, 'no'); ROLLBACK", "UPDATE t SET id = 3 WHERE id = 1",
                 "UPDATE t SET v = 'w' WHERE id = 2", "DELETE FROM t WHERE id = 3")
    image = Image({"public.t": ["id"]})
    found = recorder.transactions("public.t")
    assert [len(each.changes) for each in found] == [2, 1, 1, 1]
    for each in found:
        image.replay(each)
    assert image.tables == {"public.t": {("2",): {"id": "2", "v": "w"}}}
    assert recorder.transactions("public.t") == [], "told twice"
