"""How long after a commit's reply is the row visible at the target?

pgbench inserts at a steady rate and logs when each reply came. At the target the WAL says when the
transaction that holds the row was committed: that asks nobody while it is measured, and is right
for any contender (an applying session's commit timestamps are the source's own). A row can be
visible before the reply has reached the client: then the delay is below zero.
"""
import datetime
import re

from world import process, wait
from world.cluster import BIN

from .meter import Meter
from .race import Track, rotated

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


def delays(target, replies, committed):
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
    p99, and go to the case of run() and to `tail`."""

    def __init__(self, pair, folder, rate, seconds, entries, tail):
        super().__init__(pair, f"rate{rate}", fill, entries)
        self.folder = folder
        self.rate = rate
        self.seconds = seconds
        self.tail = tail

    def round(self, number, case, say):
        for entry in rotated(self.entries, number):
            sample = self.turn(entry)
            say(f"{case.name}, round {number + 1}: {entry.name}: p50 {sample['p50']:.2f} ms, "
                f"p99 {sample['p99']:.2f} ms")
            case.add(entry.name, sample)
            self.tail.add(entry.name, sample)

    def turn(self, entry):
        with self.contender(entry) as (source, contender):
            contender.prepare()
            contender.start_streaming()
            self.pair.settle()
            first = position(contender.target)
            with Meter(self.pair) as meter:
                meter.watch(contender.pid)
                replies = send(source, self.folder, self.rate, self.seconds)
                meter.stop_clock()
                sent = sum(map(len, replies.values()))
                wait.until(lambda: contender.target.value("SELECT count(*) FROM beat") == sent,
                           "every row to come", 120)
            committed = commits(contender.target.cluster, first, position(contender.target))
            ordered = delays(contender.target, replies, committed)
            return {**meter.sample, "rows": sent, "p50": percentile(ordered, 0.50),
                    "p99": percentile(ordered, 0.99), "most": ordered[-1]}
