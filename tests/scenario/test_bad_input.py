"""Bad input is refused before anything runs: what, where, what to do; status 2; no trace."""
import re

import pytest

from world.cluster import SECRET, free_port

T = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def assert_refused(world, product, *patterns, commands=("run", "check")):
    """Both commands say it, with status 2, and leave nothing behind."""
    for command in commands:
        result = product.command(command, timeout=40)
        assert result.status == 2, f"{command}: {result.status}\n{result.text}"
        for pattern in patterns:
            assert re.search(pattern, result.text, re.I | re.S), (
                f"{command} does not say /{pattern}/:\n{result.text}")
    assert world.leftovers() == []


@pytest.fixture
def ready(world):
    """Both sides have table t; without the bad input it would run."""
    world.both(T)
    return world


# -- connections ------------------------------------------------------------------------------

@pytest.mark.parametrize("side", ["source", "target"])
def test_nobody_listens(ready, side):
    port = free_port()
    product = ready.product(**{side: {"dsn": f"postgresql://u:{SECRET}@127.0.0.1:{port}/nowhere"}})
    assert_refused(ready, product, side, f"127.0.0.1.*{port}|{port}.*127.0.0.1", "refused")


@pytest.mark.parametrize("side", ["source", "target"])
def test_no_such_database(ready, side):
    database = getattr(ready, side)
    dsn = database.url().replace("/" + database.name, "/no_such_database")
    assert_refused(ready, ready.product(**{side: {"dsn": dsn}}), side, "no_such_database")


def test_a_wrong_password(ready):
    role = ready.role(ready.source, "locked_out")
    ready.source.run(f"ALTER ROLE {role} PASSWORD 'the-right-one'")
    hba = ready.source.cluster.data / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n" + before)
    try:
        ready.source.run("SELECT pg_reload_conf()")
        product = ready.product(source={"dsn": ready.source.url(role)})
        assert_refused(ready, product, "source", "password authentication failed", role)
    finally:
        hba.write_text(before)
        ready.source.run("SELECT pg_reload_conf()")


def test_a_dsn_that_is_none(ready):
    product = ready.product(source={"dsn": f"postgresql://u:{SECRET}@host:port:port/?x=y"})
    assert_refused(ready, product, "source", "dsn|connection|port")


def test_no_dsn_at_all(ready):
    assert_refused(ready, ready.product_from(None), "source", "--source|SLACKWATER_SOURCE")


def test_a_variable_that_is_not_set(ready):
    product = ready.product(source={"dsn": "${SLACKWATER_NO_SUCH_VARIABLE}"})
    assert_refused(ready, product, r"slackwater\.yaml:\d+:\d+", "SLACKWATER_NO_SUCH_VARIABLE")


# -- servers ----------------------------------------------------------------------------------

def test_wal_level_replica(make_world, make_cluster, target_cluster):
    world = make_world(make_cluster(wal_level="replica"), target_cluster)
    world.both(T)
    assert_refused(world, world.product(), "wal_level", "replica", "logical", "restart")


def test_no_slot_free(make_world, make_cluster, target_cluster):
    source = make_cluster(max_replication_slots="1")
    world = make_world(source, target_cluster)
    world.both(T)
    world.source.run("SELECT pg_create_physical_replication_slot('taken')")
    product = world.product()
    for command in ("check", "run"):
        result = product.command(command)
        assert result.status == 2 and "max_replication_slots" in result.text, result.text
    world.source.run("SELECT pg_drop_replication_slot('taken')")
    assert world.leftovers() == []


# -- rights -----------------------------------------------------------------------------------

def test_a_source_role_without_replication(ready):
    role = ready.role(ready.source, "plain")
    ready.source.run(f"GRANT CREATE ON DATABASE {ready.source.name} TO {role}",
                     f"ALTER TABLE t OWNER TO {role}")
    product = ready.product(source={"dsn": ready.source.url(role)})
    assert_refused(ready, product, "REPLICATION", role)


def test_a_source_role_that_may_not_read(ready):
    role = ready.role(ready.source, "blind", "REPLICATION")
    ready.source.run(f"GRANT CREATE ON DATABASE {ready.source.name} TO {role}",
                     f"ALTER TABLE t OWNER TO {role}", f"REVOKE SELECT ON t FROM {role}")
    product = ready.product(source={"dsn": ready.source.url(role)})
    assert_refused(ready, product, "SELECT", r"public\.t")


def test_a_source_role_that_may_not_publish(ready):
    role = ready.role(ready.source, "guest", "REPLICATION")
    ready.source.run(f"GRANT CREATE ON DATABASE {ready.source.name} TO {role}",
                     f"GRANT SELECT ON t TO {role}")
    product = ready.product(source={"dsn": ready.source.url(role)})
    assert_refused(ready, product, r"public\.t", "own")


@pytest.mark.parametrize("missing", ["INSERT", "UPDATE", "DELETE"])
def test_a_target_role_that_may_not_write(ready, missing):
    role = ready.role(ready.target, "reader")
    rights = {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"} - {missing}
    ready.target.run(f"GRANT CREATE ON DATABASE {ready.target.name} TO {role}",
                     f"GRANT {', '.join(rights)} ON t TO {role}")
    product = ready.product(target={"dsn": ready.target.url(role)})
    assert_refused(ready, product, missing, r"public\.t", "GRANT")


def test_a_target_role_that_may_not_create_the_control_schema(ready):
    role = ready.role(ready.target, "writer")
    ready.target.run(f"GRANT ALL ON t TO {role}")
    product = ready.product(target={"dsn": ready.target.url(role)})
    assert_refused(ready, product, "CREATE", ready.target.name)


# -- schemas ----------------------------------------------------------------------------------

def rule(**more):
    return [{"source": "public.t", "target": "public.t", **more}]


@pytest.mark.parametrize("tables, patterns", [
    (rule(columns={"v": {"from": "vv"}}), [r"slackwater\.yaml:\d+:\d+", "vv", r"public\.t"]),
    (rule(columns={"w": {"from": "v"}}), [r"slackwater\.yaml:\d+:\d+", r"\bw\b", r"public\.t"]),
    (rule(columns={"v": {"template": "{id}-{nam}"}}), [r"slackwater\.yaml:\d+:\d+", "nam"]),
    (rule(key=["idd"]), [r"slackwater\.yaml:\d+:\d+", "idd", "did you mean.*id"]),
    (rule(drop=["vvv"]), [r"slackwater\.yaml:\d+:\d+", "vvv"]),
    (rule(key=["v"]), [r"slackwater\.yaml:\d+:\d+", r"public\.t\.v", "key"]),
    ([{"source": "public.t", "target": "app.nowhere"}],
     [r"slackwater\.yaml:\d+:\d+", r"app\.nowhere"]),
    ([{"source": "public.tt", "target": "public.t"}],
     [r"slackwater\.yaml:\d+:\d+", r"public\.tt", r"did you mean.*public\.t"]),
    (rule() + rule(), [r"slackwater\.yaml:\d+:\d+", r"public\.t"]),
], ids=["source-column", "target-column", "template-column", "key-column", "drop-column",
        "key-not-unique", "target-table", "source-table", "table-twice"])
def test_a_rule_that_does_not_bind(ready, tables, patterns):
    assert_refused(ready, ready.product(tables=tables), *patterns)


def test_a_type_that_cannot_be_cast(world):
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, v point)")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, v uuid)")
    for config in ({}, {"tables": rule()}):
        assert_refused(world, world.product(**config), r"public\.t\.v", "point", "uuid")


def test_a_source_column_that_has_no_place(world):
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, v text, extra int)")
    world.target.run(T)
    assert_refused(world, world.product(tables=rule()), "extra", r"public\.t", "drop")


def test_a_target_column_that_nobody_fills(world):
    world.source.run(T)
    world.target.run("CREATE TABLE t (id int PRIMARY KEY, v text, needed int NOT NULL)")
    assert_refused(world, world.product(), "needed", r"public\.t", "NOT NULL|default")


def test_nothing_to_migrate(world):
    world.source.run(T)
    assert_refused(world, world.product(), "table")


# -- the file ---------------------------------------------------------------------------------

GOOD = """\
migration: {migration}
source: {{ dsn: "{source}" }}
target: {{ dsn: "{target}" }}
"""


@pytest.mark.parametrize("text, patterns", [
    ("reediness: { hold: 1s }\n", [r":4:1\b", "reediness", "did you mean.*readiness"]),
    ("readiness: { hold: 1s, max_lagg: 1s }\n", [r":4:\d+", "max_lagg", "did you mean.*max_lag"]),
    ("readiness: { hold: 5 parsecs }\n", [r":4:\d+", "parsecs", "unit|duration|such as"]),
    ("readiness: { hold: 5 }\n", [r":4:\d+", "5", "unit|duration|such as"]),
    ("migration: again\n", [r":4:1\b", "migration", "duplicate|twice"]),
    ("http: { listen: nowhere }\n", ["nowhere"]),
    ("http: [1, 2]\n", [r":4:\d+", "http", "mapping"]),
    ("tables: 7\n", [r":4:\d+", "tables", "sequence|list"]),
    ("tables:\n  - source: public.t\n    target: public.t\n    kee: [id]\n",
     [r":7:5\b", "kee", "did you mean.*key"]),
    ("tables:\n  - source: public.t\n    target: public.t\n    columns:\n      v: { form: id }\n",
     [r":8:\d+", "form", "did you mean.*from"]),
    ("tables:\n  - source: public.t\n    target: public.t\n    columns:\n"
     "      v: { template: \"{id\" }\n", [r":8:\d+", "template|\\}|brace"]),
    ("backfill: { workers: -3 }\n", [r":4:\d+", "workers|-3"]),
    ("apply: { on_bad_row: shrug }\n", [r":4:\d+", "shrug", "quarantine|stop"]),
    ("tables: [\n", [r":[45]:\d+"]),
    ("a: &x 1\nb: *x\n", [r":[45]:\d+"]),
    ("\tbad: tab\n", [r":4:\d+"]),
    ("--- \nmigration: second\n", [r":\d+:\d+"]),
    ("? [complex]\n: key\n", [r":4:\d+"]),
], ids=lambda value: None if isinstance(value, list) else value.split(":")[0].strip() or "?")
def test_a_file_with_a_mistake(ready, text, patterns):
    good = GOOD.format(migration=ready.migration, source=ready.source.url(),
                       target=ready.target.url())
    assert_refused(ready, ready.product_from(good + text), r"slackwater\.yaml", *patterns)


def test_a_file_that_does_not_exist(ready):
    product = ready.product_from(None, flags=["-c", "/no/such/file.yaml"])
    assert_refused(ready, product, "/no/such/file.yaml")


@pytest.mark.parametrize("flags, pattern", [
    (["--no-such-flag"], "no-such-flag"), (["--log-level", "shout"], "shout"),
    (["--log-format", "xml"], "xml"), (["--until-lsn", "banana"], "banana"),
    (["surplus"], "surplus")])
def test_a_command_line_with_a_mistake(ready, flags, pattern):
    product = ready.product()
    result = product.command("run", *flags)
    assert result.status == 2 and pattern in result.text, result.text
    assert ready.leftovers() == []


def test_an_unknown_command_and_help(ready):
    product = ready.product()
    result = product.command("rnu")
    assert result.status == 2 and "rnu" in result.text
    result = product.command("--help")
    assert result.status == 0
    for command in ("run", "check", "status", "ready", "cleanup"):
        assert command in result.out


# -- names and labels ---------------------------------------------------------------------------

@pytest.mark.parametrize("rule, words", [
    ({"value": "actve"}, r'"actve" is no public\.state.*did you mean "active"'),
    ({"map": {"actve": "gone"}, "default": "gone"},
     r'"actve" is no value of source column "state" \(public\.state\); did you mean "active"'),
    ({"map": {"active": "gonne"}, "default": "gone"},
     r'"gonne" is no public\.state.*did you mean "gone"'),
    ({"null_if": "Active"}, r'"Active" is no value of source column "state" \(public\.state\); did you mean "active"'),
    ({"lookup": {"table": "pubic.lokup", "key": "a", "value": "b"}},
     r'no table pubic\.lokup; did you mean "public\.lookup"'),
])
def test_a_misspelt_name_is_told_the_nearest(world, rule, words):
    """With the place in the file, before the server could refuse a row for it."""
    world.both("CREATE TYPE state AS ENUM ('active', 'gone')",
               "CREATE TABLE t (id int PRIMARY KEY, state state)",
               "CREATE TABLE lookup (a state PRIMARY KEY, b state)")
    product = world.product(tables=[{"source": "public.t", "columns": {"state": rule}}])
    assert_refused(world, product, r"slackwater\.yaml:\d+:\d+", words, commands=("check",))


@pytest.mark.parametrize("entry, words", [
    ({"source": "pubic.*"}, r'matches pubic\.\*; did you mean "public"'),
    ({"source": "(*).tt"}, r'matches \(\*\)\.tt; did you mean "t"'),
    ({"source": "public.t", "where": {"column": "idd", "equals": 1}}, r'no column "idd"; did you mean "id"'),
])
def test_schema_tells_it_too(world, entry, words):
    """Where the target is still to be made."""
    world.source.run(T)
    result = world.product(tables=[entry]).command("schema")
    assert result.status == 2 and re.search(words, result.err), result.text
    assert re.search(r"slackwater\.yaml:\d+:\d+", result.err)


def test_control_tables_of_another_version(ready):
    product = ready.product().start_streaming()
    product.stop()
    ready.target.run("UPDATE slackwater.layout SET version = version - 1")
    result = product.command("run")
    assert result.status == 2 and "has layout" in result.text, result.text
    assert "the slackwater version that created it" in result.text, result.text
