"""Transactions that stay open at the source, large enough to be sent while they are."""
import contextlib

ROWS = 3000  # of about 100 bytes: several blocks


def small_memory(database):
    """The source may keep only 64 kB of a transaction, so that all but the smallest are streamed."""
    database.run(f'ALTER DATABASE "{database.name}" SET logical_decoding_work_mem = \'64kB\'')


@contextlib.contextmanager
def opened(database):
    """A cursor whose transaction the test ends."""
    with contextlib.closing(database.connect()) as connection:
        connection.autocommit = False
        with connection.cursor() as cursor:
            yield cursor


def fill(first, rows=ROWS, table="a"):
    return (f"INSERT INTO {table} SELECT i, md5(i::text) || repeat('x', 60) "
            f"FROM generate_series({first}, {first + rows - 1}) i")


def wait_kept(product, count, **more):
    """Until so many are kept by the program, and `kept` of /status is so."""
    return product.wait_status(
        lambda status: status["kept"]["transactions"] == count
        and all(status["kept"][name] == value for name, value in more.items()),
        f"{count} transactions to be kept")["kept"]
