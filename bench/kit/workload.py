"""The table, and what is written to it.

    W1  inserts, 100 rows a transaction
    W2  pgbench's TPC-B, scale 20
    W3  one transaction of inserts
    W4  updates of uniformly random keys, 10 a transaction
    W5  updates of 1,000 hot keys, 10 a transaction
    W6  4 inserts, 4 updates, 2 deletes a transaction
"""
from world import process
from world.cluster import BIN

from . import shape

TABLE = """
    CREATE TABLE orders (
        id bigint PRIMARY KEY, account bigint NOT NULL, name text NOT NULL,
        created timestamptz NOT NULL, amount numeric(12,2) NOT NULL, document jsonb,
        token uuid NOT NULL, active bool NOT NULL, quantity int NOT NULL, note text)"""

# The last thing written; who sees it at the target has seen all.
MARK = "CREATE TABLE mark (id int PRIMARY KEY)"

ROW = """
    i, i % 9973, 'name ' || i, '2024-01-01'::timestamptz + i * interval '1 second',
    (i % 100000) / 100.0, jsonb_build_object('place', jsonb_build_object('zip', i % 10000)),
    md5(i::text)::uuid, i % 3 = 0, (i % 1000)::int, {note}"""
SHORT = "'note ' || i % 1000"
# Ten million rows are 1.6 GB with it.
LONG = "repeat('x', (i % 20)::int)"


def insert(first, last, note=SHORT):
    return (f"INSERT INTO orders SELECT {ROW.format(note=note)} "
            f"FROM generate_series(({first})::bigint, {last}) i")


def make_tables(database):
    database.run(TABLE, MARK)


def filled(rows, note=SHORT):
    """For Side.template(): the tables, with `rows` orders."""
    def fill(database):
        make_tables(database)
        if rows:
            database.run(insert(1, rows, note))
    return fill


def loop(transactions, body):
    """`transactions` transactions of `body`, whose number is n."""
    return f"""
        DO $$ BEGIN
            FOR n IN 0..{transactions - 1} LOOP
                {body};
                COMMIT;
            END LOOP;
        END $$"""


def random_keys(count, most):
    return (f"ARRAY(SELECT 1 + floor(random() * {most})::bigint "
            f"FROM generate_series(1, {count}))")


UPDATE = ("UPDATE orders SET amount = amount + 0.01, quantity = quantity + 1, "
          "note = 'changed ' || quantity WHERE id = ANY ({keys})")


class Workload:
    """What one backlog is made of. `rows` orders stand before; `changes` is about how many
    changes are written (updates may draw a key twice)."""

    plain = shape.ORDERS
    ruled = shape.FIVE_RULES

    def __init__(self, name, what, statement, rows=0):
        self.name = name
        self.what = what
        self.statement = statement
        self.rows = rows

    def write(self, database):
        """Writes the backlog and its mark."""
        with database.session() as run:
            run.execute("SELECT setseed(0.5)")
            run.execute("SET synchronous_commit = off")
            run.execute(self.statement)
        write_mark(database)

    @property
    def fill(self):
        return filled(self.rows)


def write_mark(database):
    database.run("INSERT INTO mark VALUES (1)")


class TpcB:
    """W2: pgbench's own tables and transactions."""

    name = "W2"
    what = "TPC-B, 4 changes a transaction"
    plain = shape.TPC_B
    ruled = shape.TPC_B_RULES

    def __init__(self, scale, transactions):
        self.scale = scale
        self.transactions = transactions

    def fill(self, database):
        self._pgbench(database, "-i", "-q", "-s", str(self.scale))
        database.run(MARK)

    def write(self, database):
        clients = 4
        self._pgbench(database, "-n", "-c", clients, "-j", "2", "--random-seed=1",
                      "-t", str(self.transactions // clients))
        write_mark(database)

    @staticmethod
    def _pgbench(database, *arguments):
        # In one transaction each; what the source's disk does is not measured.
        environment = {"PATH": "/usr/bin:/bin", "PGOPTIONS": "-c synchronous_commit=off"}
        process.run([BIN / "pgbench", *arguments, database.local()], env=environment,
                    timeout=3600)


def workloads(changes):
    """W1 to W6 with about so many changes each."""
    rows = changes
    return [
        Workload("W1", "inserts, 100 a transaction",
                 loop(changes // 100, insert("n * 100 + 1", "n * 100 + 100"))),
        TpcB(max(1, changes // 50_000), changes * 15 // 100),
        Workload("W3", "inserts in one transaction", insert(1, changes)),
        Workload("W4", "updates of random keys, 10 a transaction",
                 loop(changes // 10, UPDATE.format(keys=random_keys(10, rows))), rows),
        Workload("W5", "updates of 1,000 hot keys, 10 a transaction",
                 loop(changes // 10, UPDATE.format(keys=random_keys(10, 1000))), rows),
        Workload("W6", "4 inserts, 4 updates, 2 deletes a transaction",
                 loop(changes // 10, "; ".join((
                     insert(f"{rows} + n * 4 + 1", f"{rows} + n * 4 + 4"),
                     UPDATE.format(keys=random_keys(4, rows)),
                     f"DELETE FROM orders WHERE id = ANY ({random_keys(2, rows)})"))), rows),
    ]
