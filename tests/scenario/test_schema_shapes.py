"""`schema` where tables are not carried one by one: patterns, routes, splits and merges.

Each story ends as a migration does: the tables are made, `check` finds nothing that breaks, the
run carries rows, and the second phase builds the rest on them.
"""
import pytest

TENANT = [
    "CREATE SCHEMA tenant_{0}",
    "CREATE TABLE tenant_{0}.users (id bigserial PRIMARY KEY, mail varchar(40) NOT NULL UNIQUE)",
    """CREATE TABLE tenant_{0}.orders (
        id serial PRIMARY KEY, user_id bigint NOT NULL REFERENCES tenant_{0}.users,
        total numeric CHECK (total >= 0), state text NOT NULL DEFAULT 'new')""",
    "CREATE INDEX orders_user ON tenant_{0}.orders (user_id)",
    "COMMENT ON TABLE tenant_{0}.orders IS 'what is ordered'",
    "INSERT INTO tenant_{0}.users (mail) SELECT 'u' || i FROM generate_series(1, 10) i",
    "INSERT INTO tenant_{0}.orders (user_id, total) SELECT i, i FROM generate_series(1, 10) i",
]


def tenants(world, *names):
    for name in names:
        world.source.run(*[line.format(name) for line in TENANT])


def script(product, *flags):
    result = product.command("schema", *flags)
    assert result.status == 0, result.text
    return result.out


def assert_in(out, *words):
    for text in words:
        assert text in out, f"{text}\n-- not in --\n{out}"


def migrate(world, tables):
    """Both phases and a run between; returns what the phases printed."""
    product = world.product(tables=tables)
    before = product.command("schema", "--apply", "--phase", "before")
    assert before.status == 0, before.text
    check = product.command("check")
    assert check.status < 2, check.text
    product.run_until_caught_up()
    after = product.command("schema", "--apply", "--phase", "after")
    assert after.status == 0, after.text
    again = product.command("schema", "--apply")
    assert again.status == 0 and "made " not in again.out, again.text
    assert world.target.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
    assert world.target.value("SELECT count(*) FROM pg_constraint WHERE NOT convalidated") == 0
    product.run_until_caught_up()
    return before.out + after.out


# -- patterns -------------------------------------------------------------------------------

def test_a_pattern_to_a_table_each(world):
    """Names that were apart in schemas of their own meet in one."""
    tenants(world, "a", "b")
    migrate(world, [{"source": "tenant_(*).(*)", "target": "app.\\2_\\1"}])
    world.assert_equal_by({f"app.{table}_{tenant}": f"SELECT * FROM tenant_{tenant}.{table}"
                           for table in ("users", "orders") for tenant in "ab"})
    assert world.target.rows(
        "SELECT c.relname, i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c"
        " ON c.oid = i.indrelid WHERE NOT indisunique AND relnamespace = 'app'::regnamespace"
        " ORDER BY 1") == [
            ("orders_a", "app.orders_user"), ("orders_b", "app.orders_b_user")]
    assert world.target.rows(
        "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f' AND connamespace = 'app'::regnamespace ORDER BY 1") == [
            ("app.orders_a", "app.users_a"), ("app.orders_b", "app.users_b")]
    defaults = world.target.rows(
        "SELECT DISTINCT pg_get_serial_sequence('app.' || c, 'id')"
        " FROM unnest('{users_a,users_b,orders_a,orders_b}'::text[]) c ORDER BY 1")
    assert len(defaults) == 4, defaults


def test_excluded_and_named_tables_are_left_to_others(world):
    tenants(world, "a", "b", "test")
    out = script(world.product(tables=[
        {"source": "tenant_*.users", "exclude": ["tenant_test.*"]},
        {"source": "tenant_b.users", "target": "public.only_b"}]))
    assert_in(out, 'CREATE TABLE "tenant_a"."users"', 'CREATE TABLE "public"."only_b"')
    assert "tenant_test" not in out and '"tenant_b"."users"' not in out


# -- merge ----------------------------------------------------------------------------------

MERGED = [
    {"source": "tenant_(*).users", "target": "app.users", "key": ["tenant", "id"],
     "columns": {"tenant": {"value": "\\1"}}},
    {"source": "tenant_(*).orders", "target": "app.orders", "key": ["tenant", "id"],
     "columns": {"tenant": {"value": "\\1"}}},
]


def test_sources_of_one_shape_become_one_table(world):
    tenants(world, "a", "b", "c")
    out = migrate(world, MERGED)
    assert "left out" not in out, out
    world.assert_equal_by({f"app.{table}": " UNION ALL ".join(
        f"SELECT '{tenant}'::text, * FROM tenant_{tenant}.{table}" for tenant in "abc")
        for table in ("users", "orders")})
    assert world.target.rows(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'app.orders'::regclass AND contype <> 'n' ORDER BY 1") == [
            ("CHECK ((total >= (0)::numeric))",),
            ("FOREIGN KEY (tenant, user_id) REFERENCES app.users(tenant, id)",),
            ("PRIMARY KEY (tenant, id)",)]
    assert world.target.value(
        "SELECT count(*) FROM pg_index WHERE indrelid = 'app.users'::regclass") == 2


def test_columns_are_united(world):
    """What one lacks may be NULL, the wider type is taken, and what not all obey is left out."""
    tenants(world, "a", "b")
    world.source.run("ALTER TABLE tenant_a.users ALTER mail TYPE text, ADD a_only int NOT NULL DEFAULT 7",
                     "ALTER TABLE tenant_b.users ADD b_only date NOT NULL DEFAULT '2024-01-01',"
                     " ADD UNIQUE (b_only, id), ALTER id TYPE int, ADD CHECK (id > 0)",
                     "CREATE INDEX b_index ON tenant_b.users (b_only)",
                     "ALTER TABLE tenant_b.orders DROP CONSTRAINT orders_total_check,"
                     " DROP CONSTRAINT orders_user_id_fkey")
    out = migrate(world, MERGED)
    assert_in(out,
              "left out: constraint orders_total_check of tenant_a.orders: tenant_b.orders goes "
              'to "app"."orders" too, and has none like it',
              "left out: foreign key orders_user_id_fkey of tenant_a.orders: tenant_b.orders goes "
              'to "app"."orders" too, and has none like it',
              "left out: constraint users_id_check of tenant_b.users: tenant_a.users goes",
              "left out: unique constraint users_b_only_id_key of tenant_b.users: tenant_a.users",
              "made index b_index of app.users")
    assert world.target.rows(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
        " WHERE attrelid = 'app.users'::regclass AND attnum > 0 ORDER BY attnum") == [
            ("tenant", "text", True), ("id", "bigint", True), ("mail", "text", True),
            ("a_only", "integer", False), ("b_only", "date", False)]
    world.assert_equal_by({"app.users": """
        SELECT 'a'::text AS tenant, id, mail, a_only, NULL::date AS b_only FROM tenant_a.users
        UNION ALL SELECT 'b', id::bigint, mail::text, NULL::int, b_only FROM tenant_b.users"""})


def test_what_an_expression_makes_is_united_too(world):
    """Its type is the server's answer, one for each source."""
    tenants(world, "a", "b")
    rules = [{**MERGED[0], "columns": {**MERGED[0]["columns"], "size": {"sql": "length(mail)"}}}]
    migrate(world, rules)
    world.assert_equal_by({"app.users": " UNION ALL ".join(
        f"SELECT '{name}'::text AS tenant, id, mail, length(mail) AS size FROM tenant_{name}.users"
        for name in "ab")})


@pytest.mark.parametrize("change, words", (
    ("ALTER TABLE tenant_b.users ALTER mail TYPE int USING substr(mail, 2)::int",
     'target table app.users: column "mail" is character varying(40) by tenant_a.users and '
     'integer by tenant_b.users'),
    ("ALTER TABLE tenant_b.users DROP mail, ADD mail text GENERATED ALWAYS AS ('x') STORED",
     'column "mail" is generated by one of tenant_a.users and tenant_b.users'),
))
def test_conflicts_are_named(world, change, words):
    tenants(world, "a", "b")
    world.source.run(change)
    result = world.product(tables=MERGED).command("schema")
    assert result.status == 2 and words in result.err, result.text
    assert "yaml:" in result.err and ("type:" in result.err or "drop:" in result.err)


def test_the_file_decides_a_conflict(world):
    tenants(world, "a", "b")
    world.source.run("ALTER TABLE tenant_b.users ALTER mail TYPE int USING substr(mail, 2)::int")
    rules = [{**MERGED[0], "columns": {**MERGED[0]["columns"], "mail": {"type": "text"}}}]
    assert_in(script(world.product(tables=rules)), '"mail" text NOT NULL')


def test_keys_that_differ_are_named(world):
    tenants(world, "a", "b")
    rules = [{"source": "tenant_a.users", "target": "app.users", "key": ["tenant", "id"],
              "columns": {"tenant": {"value": "a"}}},
             {"source": "tenant_b.users", "target": "app.users", "key": ["id", "tenant"],
              "columns": {"tenant": {"value": "b"}}}]
    result = world.product(tables=rules).command("schema")
    assert result.status == 2, result.text
    assert "its key is [tenant, id] by tenant_a.users and [id, tenant] by tenant_b.users" in result.err


def test_partitions_of_a_merge_are_left_out_with_a_note(world):
    for name in "ab":
        world.source.run(f"CREATE SCHEMA tenant_{name}",
                         f"CREATE TABLE tenant_{name}.log (id int, at date, PRIMARY KEY (id, at))"
                         " PARTITION BY RANGE (at)",
                         f"CREATE TABLE tenant_{name}.log_1 PARTITION OF tenant_{name}.log DEFAULT")
    out = script(world.product(tables=[
        {"source": "tenant_(*).log", "target": "app.log", "key": ["tenant", "id", "at"],
         "columns": {"tenant": {"value": "\\1"}}}]))
    assert_in(out, "left out: the partitions of tenant_a.log: several sources go to")
    assert "PARTITION" not in out


# -- route ----------------------------------------------------------------------------------

EVENTS = [
    "CREATE TABLE actors (id int PRIMARY KEY)",
    """CREATE TABLE events (
        id bigserial PRIMARY KEY, kind text NOT NULL, actor int REFERENCES actors, code text UNIQUE)""",
    "CREATE INDEX events_actor ON events (actor)",
    "CREATE TABLE notes (id int PRIMARY KEY, event bigint REFERENCES events)",
    "INSERT INTO actors SELECT generate_series(1, 9)",
    "INSERT INTO events (kind, actor, code) SELECT (ARRAY['a','b','c'])[1 + i % 3], 1 + i % 9, i"
    " FROM generate_series(1, 90) i",
    "INSERT INTO notes SELECT i, i FROM generate_series(1, 90) i",
]


def test_every_table_of_a_route_is_made(world):
    world.source.run(*EVENTS)
    out = migrate(world, [
        {"source": "actors"}, {"source": "notes"},
        {"source": "events", "route": {
            "column": "kind", "map": {"a": "app.alpha", "b": "app.beta"}, "default": "app.rest"}}])
    assert_in(out, "left out: foreign key notes_event_fkey of public.notes: its parent gets some "
                   "of the rows only")
    for table, where in (("alpha", "kind = 'a'"), ("beta", "kind = 'b'"), ("rest", "kind = 'c'")):
        world.assert_equal_by({f"app.{table}": f"SELECT * FROM events WHERE {where}"})
        assert world.target.rows(
            "SELECT contype::text FROM pg_constraint"
            f" WHERE conrelid = 'app.{table}'::regclass AND contype <> 'n' ORDER BY 1") == [("f",), ("p",), ("u",)]
        assert world.target.value(
            f"SELECT count(*) FROM pg_index WHERE indrelid = 'app.{table}'::regclass") == 3
    assert world.target.value(
        "SELECT count(DISTINCT pg_get_expr(adbin, adrelid)) FROM pg_attrdef"
        " WHERE pg_get_expr(adbin, adrelid) ~ 'nextval'") == 1


# -- split ----------------------------------------------------------------------------------

def test_a_split_gives_each_part_what_it_can_keep(world):
    world.source.run(
        """CREATE TABLE people (id bigserial PRIMARY KEY, name text NOT NULL UNIQUE, street text,
           town text, CHECK (town <> ''), CHECK (name <> ''))""",
        "CREATE INDEX people_town ON people (town)",
        "CREATE TABLE visits (id int PRIMARY KEY, person bigint NOT NULL REFERENCES people)",
        "INSERT INTO people (name, street, town) SELECT 'n' || i, 's', 't' FROM generate_series(1, 9) i",
        "INSERT INTO visits SELECT i, i FROM generate_series(1, 9) i")
    out = migrate(world, [
        {"source": "people", "target": "app.address", "drop": ["name"],
         "where": {"column": "street", "is_not_null": True}},
        {"source": "people", "target": "app.person", "drop": ["street", "town"]},
        {"source": "visits"}])
    world.assert_equal_by({"app.person": "SELECT id, name FROM people",
                           "app.address": "SELECT id, street, town FROM people"})
    assert_in(out, "left out: check constraint people_name_check of public.people: it reads name",
              "made index people_town of app.address")
    assert world.target.value(
        "SELECT confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
        " AND conrelid = 'visits'::regclass") == "app.person"


def test_what_a_split_has_twice_has_two_names(world):
    """Indexes share the names of a schema, also those of unique keys and exclusions."""
    world.both("CREATE EXTENSION btree_gist")
    world.source.run(
        """CREATE TABLE people (id int PRIMARY KEY, name text, street text, mail text UNIQUE,
           during daterange, CONSTRAINT once EXCLUDE USING gist (mail WITH =, during WITH &&))""",
        "CREATE INDEX people_mail ON people (mail)",
        "INSERT INTO people VALUES (1, 'n', 's', 'm', '[2024-01-01,2024-02-01)')")
    rules = [{"source": "people", "target": "app.person", "drop": ["street"]},
             {"source": "people", "target": "app.address", "drop": ["name"]}]
    out = migrate(world, rules)
    assert_in(out, "made index people_mail of app.person",
              "made index address_mail of app.address",
              "made constraint people_mail_key of app.person",
              "made constraint address_mail_key of app.address",
              "made constraint once of app.person", "made constraint address_once of app.address",
              'index people_mail of public.people is called address_mail at "app"."address"',
              'constraint once of public.people is called address_once at "app"."address"')
    world.target.run("DROP SCHEMA app CASCADE")
    world.target.script(script(world.product(tables=rules), "--phase", "before"))
    world.target.script(script(world.product(tables=rules), "--phase", "after"))
