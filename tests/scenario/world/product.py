"""slackwater as a user meets it: a configuration, commands, signals, HTTP, logs."""
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import yaml

from . import process, wait
from .cluster import SECRET

ROOT = pathlib.Path(__file__).resolve().parents[3]
SANITIZER = os.environ.get("SLACKWATER_SANITIZER")  # "address" or "thread"; else none
BINARY = pathlib.Path(os.environ.get("SLACKWATER_BINARY")
                      or ROOT / "build" / {"address": "asan", "thread": "tsan"}.get(SANITIZER, "release")
                      / "slackwater")
COUNTING = BINARY.parent.name == "coverage"
DEBUG_BINARY = BINARY if COUNTING else ROOT / "build" / "asan" / "slackwater"  # with failpoints
STOP_SECONDS = 5 * wait.PATIENCE
SAMPLE = re.compile(r"^slackwater_(\w+)\{(.*)\} (\S+)$", re.M)
LABEL = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')


class PlainDumper(yaml.SafeDumper):
    """Writes what occurs twice twice: the program refuses anchors."""

    def ignore_aliases(self, data):
        return True


def lsn(text):
    """'16/B374D848' as a number; 0 for one that is not known."""
    if text is None:
        return 0
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


@dataclasses.dataclass
class Result:
    """What a command left: its exit status and its output."""
    status: int
    out: str
    err: str

    @property
    def text(self):
        return self.out + self.err

    @property
    def json(self):
        return json.loads(self.out)


def start_together(products):
    """Starts `run` of several programs at the same time, and waits until all of them stream."""
    for product in products:
        product.launch()
    for product in products:
        product.wait_listening()
        product.wait_streaming()


class Product:
    """One migration's program: at most one `run` at a time, and commands beside it.

    `config` is a mapping (written as YAML), a text (written as it is) or None (no file, two
    DSNs only). Nothing is written to the databases before start() or command().
    """

    def __init__(self, folder, source, config, flags=(), env=None, binary=BINARY):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.source = source
        self.config = config
        self.binary = binary
        self.flags = list(flags)
        self.env = {**{name: value for name, value in os.environ.items()
                       if not name.startswith(("PG", "SLACKWATER_"))},
                    # what a test preloads comes before ASan, and is no allocator
                    "ASAN_OPTIONS": "verify_asan_link_order=0", **(env or {})}
        self.file = self.folder / "slackwater.yaml"
        self.log = self.folder / "log"
        self.log.touch()
        self.log_start = 0  # of the present run, in the log
        self.child = None
        self.address = None
        self.printed = []  # what commands and HTTP gave out

    # -- commands ---------------------------------------------------------------------------

    def arguments(self, command, *more):
        words = [self.binary, command, *self.flags]
        if self.config is not None:
            text = self.config
            if not isinstance(text, str):
                text = yaml.dump(text, Dumper=PlainDumper, sort_keys=False, allow_unicode=True)
            self.file.write_text(text)
            words += ["-c", self.file]
        return words + list(more)

    def command(self, command, *more, timeout=60, input=None):
        """Runs a command to its end and returns its Result."""
        child = process.spawn(self.arguments(command, *more), env=self.env, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, errors="replace")
        try:
            out, err = child.communicate(input or "", timeout=timeout * wait.PATIENCE)
        except BaseException:
            child.kill()
            child.wait()
            raise
        self.printed.append(out + err)
        with open(self.log, "a") as log:
            log.write(f"# {command} {' '.join(map(str, more))} -> {child.returncode}\n{err}")
        assert child.returncode >= 0, f"{command} died of signal {-child.returncode}:\n{err}"
        return Result(child.returncode, out, err)

    def run_to_end(self, *flags, timeout=120):
        """`run` that is expected to end by itself."""
        return self.command("run", "--log-format", "json", *flags, timeout=timeout)

    def run_until_caught_up(self, timeout=120):
        result = self.run_to_end("--until-caught-up", timeout=timeout)
        assert result.status == 0, f"run --until-caught-up ended with {result.status}"
        return result

    # -- the long run -----------------------------------------------------------------------

    def launch(self, *flags, command=("run", "--log-format", "json")):
        """Starts `run`, or another command, and returns at once."""
        assert self.child is None, "it runs already"
        self.address = None
        self.log_start = self.log.stat().st_size
        with open(self.log, "ab") as log:
            self.child = process.spawn(
                self.arguments(*command, *flags), env=self.env, stdout=log, stderr=log)
        return self

    def start(self, *flags):
        """Starts `run` and waits until it answers over HTTP."""
        self.launch(*flags)
        self.wait_listening()
        return self

    def wait_listening(self, seconds=30):
        self.address = self.event("listening", seconds)["address"]

    def start_streaming(self, *flags):
        """Starts `run` and waits until the backfill is complete and it streams."""
        self.start(*flags)
        self.wait_streaming()
        return self

    def lines(self):
        with open(self.log, "rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace").splitlines()

    def events(self):
        """The present run's log, as objects; what is no JSON is left out."""
        found = []
        for line in self.lines():
            try:
                found.append(json.loads(line))
            except ValueError:
                pass
        return [event for event in found if isinstance(event, dict)]

    def all_events(self):
        """The log's events, of all runs so far."""
        start, self.log_start = self.log_start, 0
        try:
            return self.events()
        finally:
            self.log_start = start

    def event(self, name, seconds=30):
        """The first log event of this name; waits for it, and fails if the run ends first."""
        def look():
            ended = self.child is not None and self.child.poll() is not None
            for event in self.events():
                if event.get("event") == name:
                    return event
            assert not ended, f"run ended with {self.child.returncode} before '{name}'"
            return None
        return wait.until(look, f"the log event '{name}'", seconds)

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def stop(self):
        """SIGTERM: out with status 0 in under five seconds."""
        assert self.alive(), f"run had ended by itself with {self.child and self.child.poll()}"
        began = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        try:
            status = self.child.wait(timeout=STOP_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError("SIGTERM did not end it within ten seconds") from None
        self.child = None
        took = time.monotonic() - began
        assert status == 0, f"SIGTERM: exit status {status}"
        assert took < STOP_SECONDS, f"SIGTERM: took {took:.1f} s"

    def kill9(self):
        if self.child is not None:
            if COUNTING:
                self._count()
            self.child.kill()
            self.child.wait()
            self.child = None

    def _count(self):
        """Killed all the same, having counted (tests/coverage)."""
        self.child.send_signal(signal.SIGUSR2)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(timeout=5)

    def wait_end(self, seconds=30):
        """Waits until the run ends by itself; its exit status."""
        wait.until(lambda: not self.alive(), "the run to end by itself", seconds)
        status, self.child = self.child.returncode, None
        return status

    def log_text(self):
        return "\n".join(self.lines())

    # -- what it says -----------------------------------------------------------------------

    def http(self, path, method="GET", headers=None):
        """(status, headers, body as text)."""
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10 * wait.PATIENCE)
        try:
            connection.request(method, path, headers=headers or {})
            reply = connection.getresponse()
            body = reply.read().decode()
            self.printed = self.printed[-20:] + [body]
            return reply.status, dict(reply.getheaders()), body
        finally:
            connection.close()

    def status(self):
        """The /status document."""
        code, _, body = self.http("/status")
        assert code == 200, body
        return json.loads(body)

    def table(self, source_name):
        """A table's part of /status."""
        return next(table for table in self.status()["tables"]
                    if table["source"] == source_name)

    def metric(self, name, **labels):
        """The sum of a metric's samples that have these labels; None where there is none."""
        values = [float(value) for found, named, value in SAMPLE.findall(self.http("/metrics")[2])
                  if found == name and labels.items() <= dict(LABEL.findall(named)).items()]
        return sum(values) if values else None

    def gates(self):
        """{name: gate} from /cutover."""
        return {gate["name"]: gate for gate in json.loads(self.http("/cutover")[2])["gates"]}

    def wait_status(self, condition, what, seconds=30):
        """Waits until condition(status) is true; fails at once if the run ends."""
        def look():
            assert self.alive(), f"run ended with {self.child.poll()} instead of {what}"
            document = self.status()
            return document if condition(document) else None
        return wait.until(look, what, seconds)

    def wait_streaming(self, seconds=60):
        def look():
            assert self.alive(), f"run ended with {self.child.poll()} instead of streaming"
            return self.http("/readyz")[0] == 200
        wait.until(look, "/readyz", seconds)

    def wait_caught_up(self, seconds=60):
        """Waits until all that is committed at the source by now is applied and durable.

        (What is only applied may still be lost with the target, and applied again.)
        """
        position = lsn(self.source.value("SELECT pg_current_wal_insert_lsn()"))
        document = self.wait_status(
            lambda status: status["backfill"]["complete"]
            and lsn(status["lsn"]["flushed"]) >= position,
            "the target to catch up", seconds)
        self.assert_ledger()
        return document

    def assert_ledger(self):
        """Every received change is accounted for, table by table (delivery rule 9)."""
        for table in self.status()["tables"]:
            stream = table["stream"]
            parts = [stream[name] for name in
                     ("applied", "filtered", "skipped_by_handoff", "quarantined")]
            assert stream["received"] == sum(parts), f"the ledger does not add up: {table}"

    def peak_memory(self):
        """The run's largest resident set so far, in bytes."""
        for line in pathlib.Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")

    # -- invariants of every test -----------------------------------------------------------

    def assert_no_secret(self):
        everything = self.log.read_text(errors="replace") + "".join(self.printed)
        assert SECRET not in everything, "a password was printed"

    def assert_no_sanitizer_report(self):
        text = self.log.read_text(errors="replace")
        for mark in ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:"):
            assert mark not in text, f"{mark} in the log"
