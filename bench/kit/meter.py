"""What a run took: seconds, CPU seconds by process, peak memory of the client.

A server's processes are looked at every 50 ms, so the last moments of one that ends by itself
can be missing from its CPU; the client's CPU is the kernel's own account of ended children.
"""
import os
import pathlib
import resource
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
PAUSE = 0.05

# What a server's process is called (its title holds the word), and what the bench calls it.
KINDS = (
    ("walsender", "walsender"),
    ("logical replication worker", "apply"),
    ("pglogical apply", "apply"),
    ("pglogical sync", "apply"),
    (" [local] ", None),  # a session: the side's own name
)
BACKGROUND = "background"


def cpu_seconds(pid):
    """User and system time of a process; None when it is gone."""
    try:
        # The name, in parentheses, may hold blanks and parentheses of its own.
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return (int(fields[11]) + int(fields[12])) / TICK


def title(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def peak_memory(pid):
    """The largest resident set so far, in bytes; 0 when the process is gone."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def kind_of(words, side):
    """`source` and `target` are the sessions at that side: COPY, or the applying session."""
    for mark, kind in KINDS:
        if mark in words:
            return kind or side
    return BACKGROUND


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """`with Meter(pair) as meter: ...` and then meter.sample. stop_clock() ends the seconds
    before the with ends; what is still to be tidied up then is not the contender's time."""

    def __init__(self, pair):
        self.postmasters = {"source": pair.source.cluster.server.pid,
                            "target": pair.target.cluster.server.pid}
        self.client = None
        self.memory = 0
        self.before = {}   # CPU of processes that were there at the start
        self.last = {}     # (side, pid): (kind, CPU)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._main)

    def __enter__(self):
        for side, postmaster in self.postmasters.items():
            for pid in children(postmaster):
                self.before[side, pid] = cpu_seconds(pid) or 0
        self.client_before = children_cpu()
        self.seconds = None
        self.began = time.monotonic()
        self.thread.start()
        return self

    def watch(self, pid):
        """The client's process, for its peak memory."""
        self.client = pid

    def stop_clock(self):
        self.seconds = time.monotonic() - self.began

    def __exit__(self, *failure):
        if self.seconds is None:
            self.stop_clock()
        self.ending.set()
        self.thread.join()

    @property
    def sample(self):
        cpu = {"client": round(children_cpu() - self.client_before, 3)}
        for (side, pid), (kind, seconds) in self.last.items():
            spent = seconds - self.before.get((side, pid), 0)
            cpu[kind] = round(cpu.get(kind, 0) + spent, 3)
        return {"seconds": round(self.seconds, 3), "cpu": cpu, "memory": self.memory}

    def _main(self):
        while not self.ending.wait(PAUSE):
            self._look()
        self._look()

    def _look(self):
        for side, postmaster in self.postmasters.items():
            for pid in children(postmaster):
                seconds = cpu_seconds(pid)
                if seconds is None:
                    continue
                kind = kind_of(title(pid), side)
                if kind == BACKGROUND and (side, pid) in self.last:
                    kind = self.last[side, pid][0]  # a title on its way to another
                self.last[side, pid] = (kind, seconds)
        if self.client is not None:
            self.memory = max(self.memory, peak_memory(self.client))
