"""Transactions of which a single look at the target tells whether it shows a prefix of them, and which.

Every source transaction takes the next number from a counter row whose lock it holds until it
commits, so that numbers are gapless and in commit order. The whole content of the tables is a
function of the last number.
"""
import contextlib
import threading

TABLES = ["CREATE TABLE counter (one int PRIMARY KEY, n bigint)",
          "CREATE TABLE sequence (n bigint PRIMARY KEY, writer int)",
          "CREATE TABLE total (one int PRIMARY KEY, sum bigint)",
          "CREATE TABLE latest (n bigint PRIMARY KEY, filler text)",   # the last ten
          "CREATE TABLE moving (n bigint PRIMARY KEY)",                # one row; its key changes
          "CREATE TABLE log (n bigint)"]                               # no key
START = ["INSERT INTO counter VALUES (1, 0)", "INSERT INTO total VALUES (1, 0)",
         "INSERT INTO moving VALUES (0)"]


def work(cursor, dice):
    cursor.execute("UPDATE counter SET n = n + 1 RETURNING n")
    number = cursor.fetchone()[0]
    cursor.execute("INSERT INTO sequence VALUES (%s, %s)", (number, dice.randrange(100)))
    cursor.execute("UPDATE total SET sum = sum + %s", (number,))
    cursor.execute("INSERT INTO latest VALUES (%s, %s)", (number, "x" * dice.randrange(3000)))
    cursor.execute("DELETE FROM latest WHERE n <= %s", (number - 10,))
    if dice.random() < 0.3:
        cursor.execute("SAVEPOINT s")
        cursor.execute("DELETE FROM sequence")
        cursor.execute("ROLLBACK TO s")
    cursor.execute("UPDATE moving SET n = %s", (number,))
    cursor.execute("INSERT INTO log VALUES (%s)", (number,))
    if dice.random() < 0.1:
        cursor.connection.rollback()  # its number goes to the next one


PICTURE = """
    SELECT (SELECT n FROM counter), (SELECT count(*) FROM sequence), (SELECT max(n) FROM sequence),
           (SELECT sum FROM total), (SELECT array_agg(n ORDER BY n) FROM latest),
           (SELECT array_agg(n) FROM moving), (SELECT count(*) FROM log),
           (SELECT count(DISTINCT n) FROM log), (SELECT max(n) FROM log)"""


def assert_prefix(row):
    """Every value is what the transactions 1..n leave behind. Returns n."""
    n = row[0]
    assert row == (n, n, n or None, n * (n + 1) // 2,
                   list(range(max(1, n - 9), n + 1)) or None, [n], n, n, n or None), row
    return n


class Reader(threading.Thread):
    """Looks at the target all the time, in one snapshot each.

        with Reader(target) as reader:
            reader.see_more(50, product)
    """

    def __init__(self, target):
        super().__init__()
        self.target, self.ending = target, threading.Event()
        self.looks, self.last, self.failure = 0, 0, None
        self.seen = set()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *failure):
        self.ending.set()
        self.join()
        if self.failure:
            raise self.failure

    def run(self):
        try:
            with contextlib.closing(self.target.connect()) as connection:
                connection.set_session(isolation_level="REPEATABLE READ", readonly=True,
                                       autocommit=False)
                while not self.ending.wait(0.002):
                    with connection.cursor() as cursor:
                        cursor.execute(PICTURE)
                        number = assert_prefix(cursor.fetchone())
                    connection.rollback()
                    assert number >= self.last, f"went back from {self.last} to {number}"
                    self.last = number
                    self.seen.add(number)
                    self.looks += 1
        except BaseException as error:
            self.failure = error

    def see_more(self, count, product):
        """Waits until so many more transactions have been seen at the target."""
        goal = self.last + count
        product.wait_status(lambda _: self.failure or self.last > goal, "the reader to see progress")


def assert_all(world):
    """All that the source has committed is there, and no part of anything else."""
    world.assert_equal()
    with world.target.session() as run:
        run.execute(PICTURE)
        assert assert_prefix(run.fetchone()) == world.source.value("SELECT n FROM counter")
