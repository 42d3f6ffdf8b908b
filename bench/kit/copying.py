"""Who copies a table from a source database to an empty one that has its key.

    copy(meter)   from nothing to the last row committed, or for a subscription until the table
                  is in state r; meter.watch() the client
    close()       nothing is left at either side

Each works between a source that does not change and a target database of its own.
"""
import contextlib
import subprocess

from world import process, wait
from world.cluster import BIN

from .contender import Native, Slackwater
from .meter import Meter
from .race import Track, check_rows, digests

TURN_SECONDS = 3600


class SlackwaterCopy(Slackwater):
    """`run --no-stream`."""

    def __init__(self, name, folder, source, target, tables=None, **backfill):
        super().__init__(name, folder, source, target, tables)
        self.source = source
        self.product.config["backfill"] = backfill

    def copy(self, meter):
        self.product.launch("--no-stream")
        meter.watch(self.product.child.pid)
        status = self.product.wait_end(TURN_SECONDS)
        assert status == 0, f"slackwater ended with {status}:\n{self.product.log_text()}"

    def close(self):
        super().close()
        done = self.product.command("cleanup", "--yes")  # its slot would hold the source's WAL
        assert done.status == 0, done.text


class PsqlCopy:
    """psql's COPY, binary, into psql's COPY; workers share the table by ranges of its key."""

    def __init__(self, name, source, target, table, workers=1):
        self.name = name
        self.source = source
        self.target = target
        self.table = table
        self.workers = workers

    def copy(self, meter):
        first, last = self.source.rows(f"SELECT min(id), max(id) FROM {self.table}")[0]
        step = (last - first) // self.workers + 1
        pipes = [self._pipe(first + step * i, first + step * (i + 1))
                 for i in range(self.workers)]
        for ends in pipes:
            for end in ends:
                assert end.wait(TURN_SECONDS) == 0, f"{self.name}: psql failed"

    def _pipe(self, first, end):
        which = ("" if self.workers == 1 else
                 f" WHERE id >= {first} AND id < {end}")
        out = self._psql(self.source, stdout=subprocess.PIPE, command=(
            f"COPY (SELECT * FROM {self.table}{which}) TO STDOUT (FORMAT binary)"))
        into = self._psql(self.target, stdin=out.stdout, command=(
            f"COPY {self.table} FROM STDIN (FORMAT binary)"))
        out.stdout.close()  # the other psql has it
        return out, into

    @staticmethod
    def _psql(database, command, **streams):
        return process.spawn([BIN / "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d",
                              database.local(), "-c", command], **streams)

    def close(self):
        pass


class NativeCopy(Native):
    """CREATE SUBSCRIPTION with its initial copy."""

    def copy(self, meter):
        self.publish()
        self.target.run(f"CREATE SUBSCRIPTION {self.object} "
                        f"CONNECTION '{self.source.local()}' PUBLICATION {self.object}")
        wait.until(lambda: self.target.value(
            "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"),
            "the initial sync", TURN_SECONDS)

    def close(self):
        super().close()
        wait.until(lambda: not self.source.value(
            "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots "
            "WHERE database = current_database() AND NOT active"), "its slot to go")
        self.source.run(f"DROP PUBLICATION {self.object}")


class PgcopydbCopy:
    """pgcopydb copy table-data: the tables are there, with their keys."""

    command = ("copy", "table-data", "--not-consistent")

    def __init__(self, name, folder, source, target, jobs=1):
        self.name = name
        self.folder = folder
        self.source = source
        self.target = target
        self.jobs = jobs

    def copy(self, meter):
        child = process.spawn(
            ["pgcopydb", *self.command, "--source", self.source.local(),
             "--target", self.target.local(), "--dir", self.folder, "--table-jobs", self.jobs],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        meter.watch(child.pid)
        out, _ = child.communicate(timeout=TURN_SECONDS)
        assert child.returncode == 0, f"pgcopydb ended with {child.returncode}:\n{out[-3000:]}"

    def close(self):
        pass


class PgcopydbClone(PgcopydbCopy):
    """pgcopydb clone: an empty target; a table is shared in parts, and gets its key at last."""

    command = ("clone", "--split-tables-larger-than", "64MB")


class CopyTrack(Track):
    """Copies of one source database, which stays as it is; every turn has a fresh target."""

    def __init__(self, pair, what, fill, entries):
        super().__init__(pair, what, fill, entries)
        self.expected = {}
        self.bytes = 0  # of the source's table

    def __enter__(self):
        super().__enter__()
        self.bytes = self.source.value("SELECT pg_table_size('orders')")
        for entry in self.entries:  # also warms the source's caches
            self.expected[entry.name] = digests(self.source, entry.rows)
        return self

    def round(self, entries, keep, say):
        for entry in entries:
            sample = self._turn(entry)
            say(f"{entry.name}: {sample['seconds']:.2f} s")
            keep(entry.name, sample)

    def _turn(self, entry):
        with contextlib.ExitStack() as undo:
            target = self.fresh(undo, self.pair.target, self.targets[entry.name])
            contender = entry.make(self.source, target)
            undo.callback(contender.close)
            self.pair.settle()
            with Meter(self.pair) as meter:
                contender.copy(meter)
            check_rows(contender, self.expected[entry.name])
            return meter.sample
