"""How long after a commit is the row visible at the target?

pgbench inserts at a steady rate. The WAL of either side says when the transaction that holds the
row was committed there: that asks nobody while it is measured, and is right for any contender (an
applying session's commit timestamps are the source's own). The source's moment is before its WAL is
flushed, the client's reply after it, so a row can be visible before the reply has come; how long
after the reply, as pgbench logs it, is in the samples as well.
"""
import datetime
import re

from world import process, wait
from world.cluster import BIN

from .meter import Meter
from .race import Track, forget

CLIENTS = 8
TABLE = "CREATE TABLE beat (id bigserial PRIMARY KEY, client int NOT NULL, body text NOT NULL)"
SCRIPT = "INSERT INTO beat (client, body) VALUES (:client_id, 'a row like many')"
COMMIT = re.compile(r"tx:\s+(\d+),.*desc: COMMIT (\S+ \S+) UTC")


def fill(database):
    database.run(TABLE)


def send(database, folder, rate, seconds):
    """{client: [microseconds since the epoch at which each reply came]}"""
    script, log = folder / "script.sql", folder / "replies"
    script.write_text(SCRIPT + ";\n")
    process.run([BIN / "pgbench", "-n", "-M", "prepared", "-c", CLIENTS, "-R", rate,
                 "-T", seconds, "-f", script, "-l", f"--log-prefix={log}", database.local()],
                timeout=10 * seconds + 60)
    replies = {}
    for path in folder.glob("replies.*"):
        for line in path.read_text().splitlines():
            client, _, _, _, epoch, micro, *_ = line.split()
            replies.setdefault(int(client), []).append(int(epoch) * 1_000_000 + int(micro))
        path.unlink()
    return replies


def position(database):
    """The WAL position of now, and what is before it is on the disk: this commit waits for it."""
    database.run("SELECT pg_logical_emit_message(true, 'bench', '')")
    return database.value("SELECT pg_current_wal_flush_lsn()")


def commits(cluster, first, last):
    """{xid: microseconds since the epoch} of the server's commits between two positions."""
    out = process.run([BIN / "pg_waldump", "-p", cluster.data / "pg_wal", "-s", first, "-e", last,
                       "--rmgr=Transaction"], as_server=True, cwd=cluster.folder)
    found = {}
    for xid, text in COMMIT.findall(out):
        moment = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
        found[int(xid)] = round(moment.timestamp() * 1e6)
    return found


def delays(source, target, begun, committed):
    """Milliseconds from each row's commit at the source to that at the target, sorted."""
    there = dict(target.rows("SELECT id, xmin::text::bigint FROM beat"))
    return sorted((committed[there[row]] - begun[xid]) / 1000
                  for row, xid in source.rows("SELECT id, xmin::text::bigint FROM beat"))


def delays_after_reply(target, replies, committed):
    """Milliseconds from each reply to the row's commit at the target, sorted."""
    found = []
    for client, moments in replies.items():
        rows = target.rows("SELECT xmin::text::bigint FROM beat WHERE client = %s ORDER BY id",
                           client)
        assert len(rows) == len(moments), f"client {client}: {len(moments)} sent, {len(rows)} came"
        found += [(committed[xid] - moment) / 1000 for (xid,), moment in zip(rows, moments)]
    return sorted(found)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class DelayTrack(Track):
    """A steady rate of inserts, while one contender after the other streams. Samples hold p50 and
    p99, and these after the reply; they go to the case of run() and to `tail`."""

    def __init__(self, pair, folder, rate, seconds, entries, tail):
        super().__init__(pair, f"rate{rate}", fill, entries)
        self.folder = folder
        self.rate = rate
        self.seconds = seconds
        self.tail = tail

    def round(self, entries, keep, say):
        for entry in entries:
            sample = self.turn(entry)
            say(f"{entry.name}: p50 {sample['p50']:.2f} ms, p99 {sample['p99']:.2f} ms; after the "
                f"reply {sample['reply_p50']:.2f} and {sample['reply_p99']:.2f} ms")
            keep(entry.name, sample)
            if keep != forget:
                self.tail.add(entry.name, sample)

    def turn(self, entry):
        with self.contender(entry) as (source, contender):
            contender.prepare()
            contender.start_streaming()
            self.pair.settle()
            first = position(source), position(contender.target)
            with Meter(self.pair) as meter:
                meter.watch(contender.pid)
                replies = send(source, self.folder, self.rate, self.seconds)
                meter.stop_clock()
                sent = sum(map(len, replies.values()))
                wait.until(lambda: contender.target.value("SELECT count(*) FROM beat") == sent,
                           "every row to come", 120)
            begun = commits(source.cluster, first[0], position(source))
            committed = commits(contender.target.cluster, first[1], position(contender.target))
            ordered = delays(source, contender.target, begun, committed)
            after = delays_after_reply(contender.target, replies, committed)
            return {**meter.sample, "rows": sent, "most": ordered[-1],
                    "p50": percentile(ordered, 0.50), "p99": percentile(ordered, 0.99),
                    "reply_p50": percentile(after, 0.50), "reply_p99": percentile(after, 0.99)}
