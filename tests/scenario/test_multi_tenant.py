"""A single-tenant shop becomes one tenant of many: the migration slackwater is made for.

What the target must hold is said here in SQL of the test's own.
"""
import pytest

from world import compare, load

TENANT = "00000000-0000-0000-0000-000000000001"
OTHER = "00000000-0000-0000-0000-00000000000f"

SOURCE = [
    "CREATE TYPE state AS ENUM ('a', 'd', 's')",
    """CREATE TABLE users (
        id bigint PRIMARY KEY, capsule_id int NOT NULL, first_name text NOT NULL,
        last_name text NOT NULL, email text UNIQUE, state state NOT NULL, bio text,
        tags text[], prefs jsonb, created timestamptz NOT NULL)""",
    """CREATE TABLE orders (
        id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON UPDATE CASCADE,
        total numeric(12,2), state state, placed timestamptz)""",
    """CREATE TABLE order_lines (
        order_id bigint REFERENCES orders ON DELETE CASCADE, line int, product text,
        quantity int, PRIMARY KEY (order_id, line))""",
    "CREATE TABLE devices (serial text PRIMARY KEY, user_id bigint, seen date)",
]

TARGET = [
    "CREATE SCHEMA app",
    """CREATE TABLE app.users (
        tenant_id uuid NOT NULL, id bigint NOT NULL, pk text NOT NULL UNIQUE, full_name text,
        email text, status text NOT NULL, capsule_id int, bio text, tags text[], prefs jsonb,
        created timestamptz, UNIQUE (tenant_id, email), PRIMARY KEY (tenant_id, id))""",
    """CREATE TABLE app.purchases (
        tenant_id uuid NOT NULL, id bigint NOT NULL, customer bigint, total numeric(12,2),
        status text, placed timestamptz, PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, customer) REFERENCES app.users (tenant_id, id))""",
    """CREATE TABLE app.purchase_lines (
        tenant_id uuid NOT NULL, order_id bigint, position int, product text, quantity int,
        PRIMARY KEY (tenant_id, order_id, position))""",
    "CREATE TABLE app.devices (pk text PRIMARY KEY, tenant_id uuid, user_id bigint, seen date)",
]

TENANT_ID = {"value": TENANT}
MAP = {"a": "active", "d": "deleted"}

RULES = [
    {"source": "public.users", "target": "app.users", "key": ["tenant_id", "id"],
     "columns": {
         "tenant_id": TENANT_ID,
         "pk": {"template": "TENANT#{tenant_id}#CAPSULE#{capsule_id}#USER#{id}"},
         "full_name": {"template": "{first_name} {last_name}"},
         "status": {"from": "state", "map": MAP, "default": "unknown"}},
     "drop": ["first_name", "last_name", "state"]},
    {"source": "public.orders", "target": "app.purchases", "key": ["tenant_id", "id"],
     "columns": {
         "tenant_id": TENANT_ID,
         "customer": {"from": "user_id"},
         "status": {"from": "state", "map": {"a": "open", "d": "void", "s": "sent"}}},
     "drop": ["user_id", "state"]},
    {"source": "public.order_lines", "target": "app.purchase_lines",
     "key": ["tenant_id", "order_id", "position"],
     "columns": {"tenant_id": TENANT_ID, "position": {"from": "line"}},
     "drop": ["line"]},
    {"source": "public.devices", "target": "app.devices", "key": ["pk"],
     "columns": {"tenant_id": TENANT_ID, "pk": {"template": "DEVICE#{serial}"}},
     "drop": ["serial"]},
]

EXPECTED = {
    "app.users": f"""
        SELECT '{TENANT}'::uuid, id,
               'TENANT#{TENANT}#CAPSULE#' || capsule_id || '#USER#' || id,
               first_name || ' ' || last_name, email,
               CASE state WHEN 'a' THEN 'active' WHEN 'd' THEN 'deleted' ELSE 'unknown' END,
               capsule_id, bio, tags, prefs, created FROM users""",
    "app.purchases": f"""
        SELECT '{TENANT}'::uuid, id, user_id, total,
               CASE state WHEN 'a' THEN 'open' WHEN 'd' THEN 'void' WHEN 's' THEN 'sent' END,
               placed FROM orders""",
    "app.purchase_lines": f"""
        SELECT '{TENANT}'::uuid, order_id, line, product, quantity FROM order_lines""",
    "app.devices": f"SELECT 'DEVICE#' || serial, '{TENANT}'::uuid, user_id, seen FROM devices",
}

LARGE = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 300))"


def fill(first, last):
    return [
        f"""INSERT INTO users SELECT i, i % 5, 'First' || i, 'Last "' || i || '"',
            'u' || i || '@example.org', (ARRAY['a','d','s'])[1 + i % 3]::state,
            CASE WHEN i % 4 = 0 THEN {LARGE} END, ARRAY['t', NULL, i::text],
            jsonb_build_object('i', i), '2024-01-01'::timestamptz + i * interval '1 hour'
            FROM generate_series({first}, {last}) i""",
        f"""INSERT INTO orders SELECT i, i, i * 1.10, NULLIF((ARRAY['a','d','s'])[1 + i % 3], 's')::state,
            NULL FROM generate_series({first}, {last}) i""",
        f"""INSERT INTO order_lines SELECT i, l, 'p' || l, l
            FROM generate_series({first}, {last}) i, generate_series(1, 3) l""",
        f"""INSERT INTO devices SELECT 's' || i, i, '2024-01-01' FROM generate_series({first}, {last}) i""",
    ]


CHANGES = [
    "UPDATE users SET state = 'd', first_name = 'Élodie' WHERE id % 3 = 0",
    "UPDATE users SET capsule_id = capsule_id + 10 WHERE id % 4 = 0",  # bio is not sent
    "UPDATE users SET bio = NULL WHERE id = 8",
    f"UPDATE users SET bio = {LARGE} WHERE id = 5",
    "UPDATE users SET id = id + 1000 WHERE id BETWEEN 10 AND 16",      # cascades to orders
    "UPDATE orders SET state = 's', total = NULL WHERE id % 5 = 0",
    "UPDATE order_lines SET line = line + 10 WHERE order_id % 6 = 0",
    "UPDATE devices SET serial = 'new-' || serial WHERE user_id % 7 = 0",
    "UPDATE devices SET seen = NULL WHERE user_id % 2 = 0",
    "BEGIN; DELETE FROM orders WHERE id IN (1, 2); DELETE FROM users WHERE id IN (1, 2);"
    "DELETE FROM devices WHERE user_id IN (1, 2); COMMIT",
    "BEGIN; UPDATE users SET id = -1 WHERE id = 20; UPDATE users SET id = 20 WHERE id = 21;"
    "UPDATE users SET id = 21 WHERE id = -1; COMMIT",
]


@pytest.fixture
def shop(world):
    world.source.run(*SOURCE)
    world.target.run(*TARGET)
    return world


def assert_equal(shop):
    compare.assert_equal_by(shop.source, shop.target, EXPECTED)


def test_copy_and_stream_through_the_rules(shop):
    shop.source.run(*fill(1, 60))
    product = shop.product(tables=RULES).start_streaming()
    product.wait_caught_up()
    assert_equal(shop)
    shop.source.run(*CHANGES, *fill(101, 160))
    product.wait_caught_up()
    assert_equal(shop)
    product.stop()
    shop.source.run(*fill(201, 220), "UPDATE users SET last_name = 'Away' WHERE id > 200")
    product.start_streaming()
    product.wait_caught_up()
    assert_equal(shop)


def test_other_tenants_rows_are_left_alone(shop):
    """Also by the copy's clean-up and by TRUNCATE: a constant key column says whose rows."""
    shop.target.run(f"INSERT INTO app.users (tenant_id, id, pk, status) "
                    f"VALUES ('{OTHER}', 1, 'other', 'theirs')",
                    f"INSERT INTO app.purchase_lines VALUES ('{OTHER}', 1, 1, 'theirs', 1)")
    shop.source.run(*fill(1, 30))
    product = shop.product(tables=RULES).start_streaming()
    shop.source.run("DELETE FROM order_lines WHERE order_id = 1", "TRUNCATE order_lines",
                    "INSERT INTO order_lines VALUES (3, 3, 'p', 3)")
    product.wait_caught_up()
    theirs = (f"SELECT count(*) FROM app.%s WHERE tenant_id = '{OTHER}'")
    assert shop.target.value(theirs % "users") == 1
    assert shop.target.value(theirs % "purchase_lines") == 1
    shop.target.run(f"DELETE FROM app.users WHERE tenant_id = '{OTHER}'",
                    f"DELETE FROM app.purchase_lines WHERE tenant_id = '{OTHER}'")
    assert_equal(shop)


def test_rules_while_the_source_is_written(shop):
    def work(cursor, dice):
        user = dice.randint(1, 500)
        choice = dice.randrange(4)
        if choice == 0:
            cursor.execute("UPDATE users SET state = %s, first_name = %s WHERE id = %s",
                           (dice.choice("ads"), f"n{dice.random()}", user))
        elif choice == 1:
            cursor.execute("DELETE FROM orders WHERE id = %s", (user,))
            cursor.execute("INSERT INTO orders VALUES (%s, %s, 1, 'a', now())", (user, user))
            cursor.execute("INSERT INTO order_lines VALUES (%s, 1, 'x', 1)", (user,))
        elif choice == 2:
            cursor.execute("UPDATE devices SET serial = %s WHERE user_id = %s",
                           (f"s{dice.random()}", user))
        else:
            cursor.execute("UPDATE order_lines SET line = -line WHERE order_id = %s", (user,))

    shop.source.run(*fill(1, 500))
    with load.Writers(shop.source, 3, work) as writers:
        product = shop.product(tables=RULES).start_streaming()
        writers.wait_commits(500)
    product.wait_caught_up()
    assert_equal(shop)
