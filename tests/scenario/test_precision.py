"""A type with less room inside: what it would round, cut or refuse is said and counted by `check`."""
import pytest

from test_check_live import check, one

DOMAINS = ["CREATE DOMAIN tenths AS numeric(10,1)", "CREATE DOMAIN outer_tenths AS tenths",
           "CREATE DOMAIN short AS varchar(3)", "CREATE DOMAIN seconds AS timestamp(0)"]

CASES = [
    ("numeric(10,4)[]", "numeric(10,1)[]", "'{1.2345}'", "'{1.2000}'", "column.precision_lost"),
    ("interval", "interval(0)", "'1.7 seconds'", "'2 seconds'", "column.precision_lost"),
    ("interval", "interval day", "'1 day 5 hours'", "'3 days'", "column.precision_lost"),
    ("numeric(10,4)", "tenths", "1.2345", "1.2", "column.precision_lost"),
    ("numeric(10,4)", "outer_tenths", "1.2345", "1.2", "column.precision_lost"),
    ("timestamp", "seconds", "'2024-01-01 10:00:00.777'", "'2024-01-01 10:00:00'",
     "column.precision_lost"),
    ("varchar(50)[]", "varchar(3)[]", "'{abcdef}'", "'{abc}'", "column.type_narrowed"),
    ("text", "short", "'abcdefgh'", "'abc'", "column.type_narrowed"),
]


@pytest.mark.parametrize("source, target, bad, good, name", CASES)
def test_less_room_is_counted(world, source, target, bad, good, name):
    world.source.run(f"CREATE TABLE t (id int PRIMARY KEY, v {source})",
                     f"INSERT INTO t VALUES (1, {good})")
    world.target.run(*DOMAINS, f"CREATE TABLE t (id int PRIMARY KEY, v {target})")
    _, found = check(world, 1)
    assert one(found, name)["validation"] == "nothing is in its way today"
    world.source.run(f"INSERT INTO t VALUES (2, {bad})")
    _, found = check(world, 2)
    assert one(found, name)["validation"] == "1 in its way today"


def test_a_key_of_a_domain_that_rounds_is_counted(world):
    world.source.run("CREATE TABLE t (id numeric(10,4) PRIMARY KEY)",
                     "INSERT INTO t VALUES (1.21), (1.22)")
    world.target.run(*DOMAINS, "CREATE TABLE t (id outer_tenths PRIMARY KEY)")
    _, found = check(world, 2)
    assert one(found, "key.may_collide")["validation"] == "1 in its way today"
