"""Writers that keep the source busy, and ways to hold the target up."""
import contextlib
import random
import threading

import psycopg2

from . import wait


class Writers:
    """Threads that run `work(cursor, random)` in transactions of their own until stopped.

        with Writers(source, 3, work) as writers:
            writers.wait_commits(100)

    `work` is called inside a transaction; server errors (a restart, a deadlock, a duplicate)
    roll it back and the writer goes on. Anything else fails the test.
    """

    def __init__(self, database, count, work, seed=1):
        self.database = database
        self.work = work
        self.ending = threading.Event()
        self.commits = 0
        self.lock = threading.Lock()
        self.failure = None
        self.threads = [threading.Thread(target=self._main, args=(seed * 1000 + number,))
                        for number in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *failure):
        self.stop()

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        if self.failure:
            raise self.failure

    def wait_commits(self, count, seconds=60):
        """Waits for `count` more commits than there are now."""
        goal = self.commits + count
        wait.until(lambda: self.failure or self.commits >= goal, f"{count} commits", seconds)

    def _main(self, seed):
        dice = random.Random(seed)
        while not self.ending.is_set():
            try:
                with contextlib.closing(self.database.connect()) as connection:
                    connection.autocommit = False
                    while not self.ending.is_set():
                        self._transaction(connection, dice)
            except psycopg2.OperationalError:
                self.ending.wait(0.05)  # the server is away
            except BaseException as error:
                self.failure = error
                return

    def _transaction(self, connection, dice):
        try:
            with connection.cursor() as cursor:
                self.work(cursor, dice)
            connection.commit()
            with self.lock:
                self.commits += 1
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise psycopg2.OperationalError(str(error)) from error
        except psycopg2.Error:
            connection.rollback()


ACCOUNTS = """
    CREATE TABLE accounts (
        id bigint PRIMARY KEY, owner text NOT NULL, balance numeric(14,2) NOT NULL DEFAULT 0,
        changed timestamptz NOT NULL DEFAULT now(), note text);
    CREATE TABLE entries (
        account bigint NOT NULL, number bigint NOT NULL, amount numeric(14,2) NOT NULL,
        tags text[], PRIMARY KEY (account, number));
    CREATE TABLE journal (at timestamptz NOT NULL DEFAULT clock_timestamp(), line text)"""


def accounts_fill(database, rows):
    database.run(f"""
        INSERT INTO accounts SELECT i, 'owner ' || i, i % 1000, '2024-01-01'::timestamptz,
               repeat(md5(i::text), 3) FROM generate_series(1, {rows}) i""",
                 f"""INSERT INTO entries SELECT i, 1, i % 97, ARRAY['x', NULL, i::text]
               FROM generate_series(1, {rows}) i""")


def accounts_work(largest):
    """One transaction over accounts, entries and journal: changes of every kind."""
    def work(cursor, dice):
        account = dice.randint(1, largest)
        amount = dice.randint(-500, 500)
        kind = dice.randrange(10)
        if kind < 5:
            cursor.execute("UPDATE accounts SET balance = balance + %s, changed = now() "
                           "WHERE id = %s", (amount, account))
            cursor.execute("INSERT INTO entries VALUES (%s, %s, %s, %s) "
                           "ON CONFLICT DO NOTHING",
                           (account, dice.randint(2, 1 << 40), amount, ["load", None]))
        elif kind < 7:
            new = dice.randint(largest + 1, largest * 1000)
            cursor.execute("INSERT INTO accounts VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                           (new, f"new {new}", amount))
            cursor.execute("UPDATE accounts SET note = %s WHERE id = %s", ("w" * 3000, new))
        elif kind < 8:
            cursor.execute("DELETE FROM entries WHERE account = %s", (account,))
        elif kind < 9:  # a key change, through both tables
            cursor.execute("UPDATE accounts SET id = -id WHERE id = %s", (account,))
            cursor.execute("UPDATE entries SET account = -account WHERE account = %s",
                           (account,))
        else:
            cursor.execute("SAVEPOINT s")
            cursor.execute("DELETE FROM accounts WHERE id = %s", (account,))
            cursor.execute("ROLLBACK TO s" if dice.random() < 0.5 else "RELEASE s")
        cursor.execute("INSERT INTO journal (line) VALUES (%s)", (f"{kind} {account}",))
    return work


@contextlib.contextmanager
def held(database, *statements):
    """Runs the statements in a transaction that stays open for the block: locks, snapshots."""
    with contextlib.closing(database.connect()) as connection:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            for statement in statements:
                cursor.execute(statement)
            yield cursor
            if not connection.closed:
                cursor.execute("ROLLBACK")


@contextlib.contextmanager
def in_background(call):
    """Runs `call` in a thread beside the block, and waits for its end."""
    failures = []

    def run():
        try:
            call()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failures:
        raise failures[0]


class Stall:
    """Makes whoever writes a certain row wait: the program stands still at a known place.

    An always-enabled trigger asks for an advisory lock that this object holds until release().
    """

    KEY = 471147

    def __init__(self, database, table, condition):
        self.database = database
        database.run(f"""
            CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM pg_advisory_xact_lock({self.KEY}); RETURN NEW; END$$""",
                     f"""CREATE TRIGGER stall BEFORE INSERT OR UPDATE ON {table}
                         FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION stall()""",
                     f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER stall")
        self.holder = database.connect()
        with self.holder.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_lock({self.KEY})")

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.release()

    def wait_reached(self, seconds=60):
        wait.until(lambda: self.database.value(f"""
            SELECT count(*) FROM pg_locks
            WHERE locktype = 'advisory' AND objid = {self.KEY} AND NOT granted
              AND database = (SELECT oid FROM pg_database
                              WHERE datname = current_database())"""),
                   "the program to reach the stalled row", seconds)

    def release(self):
        self.holder.close()
