"""Where foreign keys are enforced at the target for what slackwater writes: the copy runs in chunks
beside the stream as ever, parents first, and nothing of the source's order is lost in between."""
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
    role = world.role(world.target, "plain")
    world.target.run(f"GRANT CREATE ON DATABASE {world.target.name} TO {role}",
                     *(f"GRANT {DATA} ON {name} TO {role}" for name in tables))
    return role


@pytest.fixture
def enforced(world):
    """enforced(tables..., **config): a program whose target role cannot have foreign keys off."""
    roles = []

    def make(*tables, **config):
        roles.append(plain_role(world, *tables))
        return world.product(target={"dsn": world.target.url(roles[-1])}, **config)

    yield make
    for product in world.products:
        product.kill9()
    for role in roles:
        world.target.run(f"DROP OWNED BY {role} CASCADE")


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
            " parent int NOT NULL REFERENCES parent ON DELETE CASCADE)",
            "CREATE TABLE note (id bigint PRIMARY KEY, child int REFERENCES child"
            " ON DELETE SET NULL, grand int REFERENCES grand ON DELETE SET NULL, v text)",
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
            cursor.execute(f"DELETE FROM parent WHERE id = {parent}")
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
def test_families_are_copied_under_writes(world, enforced, number):
    seed = int(os.environ.get("SLACKWATER_SEED", random.randrange(1 << 30)))
    print(f"replay: SLACKWATER_SEED={seed}")
    dice = random.Random(seed)
    family = Family(world)
    product = enforced(*Family.TABLES, backfill=BACKFILL)
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
