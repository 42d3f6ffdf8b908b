"""A private PostgreSQL server and its databases."""
import contextlib
import io
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import psycopg2

from . import process, servers, wait

BIN = servers.TOOLS

# In every DSN that the program gets, and nowhere in what it prints (Product.assert_no_secret).
SECRET = "pa55-of-the-tests"

SETTINGS = {
    "wal_level": "logical",
    "fsync": "off",
    "shared_buffers": "64MB",
    "max_connections": 60,
    "max_replication_slots": 20,
    "max_wal_senders": 20,
    "max_prepared_transactions": 10,
    "max_wal_size": "2GB",
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %d %a: ",
}

HBA = """\
local all all                trust
host  all locked 127.0.0.1/32 scram-sha-256
host  all all    127.0.0.1/32 trust
host  replication all 127.0.0.1/32 trust
"""

COMPLAINT = re.compile(" (WARNING|ERROR|FATAL|PANIC): ")
STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


# Below the range that the kernel takes clients' ports from: a port that is free for the moment,
# or that a server gives up while it restarts, is not taken by a connection in the meantime.
PORTS = range(12000, 32000)


def free_port():
    """A port that nobody listens at. At random, since other test runs look for one as well."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def make_scratch():
    """A new folder with a short path (Unix sockets want that) that the server's user may enter."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sw", dir="/tmp"))
    path.chmod(0o755)
    return path


def remove_scratch(path):
    if not os.environ.get("SLACKWATER_KEEP"):
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder():
    """A scratch folder that is gone at the end, unless SLACKWATER_KEEP is set."""
    path = make_scratch()
    try:
        yield path
    finally:
        remove_scratch(path)


class Cluster:
    """One server in a folder of its own. create -> start -> (restart) -> destroy."""

    def __init__(self, folder, version=servers.USUAL, **settings):
        self.version = version  # the major
        self.programs = servers.programs(version)
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.settings = {**SETTINGS, **settings, "unix_socket_directories": str(self.folder)}
        self.port = free_port()
        self.server = None

    def create(self):
        self.folder.mkdir(mode=0o755, parents=True)
        self.log.touch()
        if process.SERVER_USER:
            shutil.chown(self.folder, process.SERVER_USER, process.SERVER_USER)
        process.run([self.programs / "initdb", "-D", self.data, "-U", "postgres", "--no-sync",
                     "--no-locale", "--encoding=UTF8", "--auth=trust"], as_server=True,
                    cwd=self.folder)
        lines = [f"{name} = '{value}'\n" for name, value in self.settings.items()]
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.writelines(lines)
        (self.data / "pg_hba.conf").write_text(HBA)
        self.start()
        return self

    def start(self):
        with open(self.log, "ab") as log:
            self.server = process.spawn(
                [self.programs / "postgres", "-D", self.data, "-p", self.port], as_server=True,
                on_orphan=signal.SIGINT, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
        wait.until(self._answers, f"the server in {self.folder} to start")

    def _answers(self):
        if self.server.poll() is not None:
            raise RuntimeError(f"the server did not start:\n{self.log_tail()}")
        with self.database("postgres").session():
            return True

    def stop(self, mode="fast"):
        if self.server is None:
            return
        if self.server.poll() is None:
            self.server.send_signal(STOP_SIGNALS[mode])
            try:
                self.server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.server.send_signal(signal.SIGQUIT)
                self.server.wait(timeout=30)
        self.server = None

    @contextlib.contextmanager
    def running(self):
        """Created for the block, and gone behind it."""
        try:
            yield self.create()
        finally:
            self.destroy()

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def destroy(self):
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, name):
        return Database(self, name)

    def create_database(self, name, options=""):
        self.database("postgres").run(f'CREATE DATABASE "{name}" {options}')
        return Database(self, name)

    def drop_database(self, name):
        """With all that would be in the way: slots, sessions, prepared transactions."""
        database, admin = self.database(name), self.database("postgres")
        if not admin.value("SELECT 1 FROM pg_database WHERE datname = %s", name):
            return
        for (gid,) in database.rows(
                "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
            database.run(f"ROLLBACK PREPARED '{gid}'")
        wait.until(lambda: drop_slots(admin, name), f"the slots of {name} to be released")
        admin.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def log_tail(self, lines=25):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def complaints(self, database, lines=15):
        """The last errors and warnings in this database, each shortened; none of a server that
        was taken down with its folder."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        found = [line[:500] for line in text.splitlines()
                 if f" {database} " in line and COMPLAINT.search(line)]
        return "\n".join(found[-lines:])


def drop_slots(admin, database):
    """Ends who uses them and drops them; true when none is left."""
    admin.run(f"""SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
                  WHERE database = '{database}' AND active""")
    admin.run(f"""SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                  WHERE database = '{database}' AND NOT active""")
    return not admin.value(
        "SELECT count(*) FROM pg_replication_slots WHERE database = %s", database)


class Database:
    """A database of a cluster, and short ways to use it. Sessions commit by themselves."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name

    def needs(self, version):
        """Skips the test on an older server."""
        if self.cluster.version < version:
            raise unittest.SkipTest(f"needs PostgreSQL {version}, not {self.cluster.version}")

    def url(self, user="postgres", password=SECRET):
        """The DSN as a URI, over TCP. The server trusts everyone but the role `locked`."""
        return (f"postgresql://{user}:{password}@127.0.0.1:{self.cluster.port}/{self.name}")

    def keywords(self, user="postgres", password=SECRET):
        """The DSN as keywords and values."""
        return (f"host=127.0.0.1 port={self.cluster.port} dbname={self.name} "
                f"user={user} password='{password}'")

    def local(self):
        """The DSN over the Unix socket, for tools."""
        return (f"host={self.cluster.folder} port={self.cluster.port} dbname={self.name} "
                "user=postgres client_encoding=UTF8")

    def connect(self):
        connection = psycopg2.connect(self.local(), connect_timeout=10)
        connection.autocommit = True
        return connection

    @contextlib.contextmanager
    def session(self):
        """A cursor in a session of its own: `with source.session() as run: run.execute(...)`."""
        with contextlib.closing(self.connect()) as connection:
            with connection.cursor() as cursor:
                yield cursor

    def run(self, *statements):
        """Runs the statements one by one in one session."""
        with self.session() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def script(self, text):
        """Runs a script as people do, with psql; what it prints."""
        done = subprocess.run([BIN / "psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", self.local()],
                              input=text, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stderr}\nof the script\n{text}"
        return done.stdout

    def rows(self, query, *values):
        with self.session() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall()

    def value(self, query, *values):
        rows = self.rows(query, *values)
        return rows[0][0] if rows else None

    def dump(self, query):
        """The rows of a query as the server's COPY lines, unsorted, as bytes."""
        out = io.BytesIO()
        with self.session() as cursor:
            cursor.execute("SET search_path = public")
            cursor.execute("SET DateStyle = 'ISO, YMD'; SET IntervalStyle = postgres;"
                           "SET TimeZone = 'UTC'; SET extra_float_digits = 1;"
                           "SET bytea_output = hex; SET quote_all_identifiers = off")
            cursor.copy_expert(f"COPY ({query}) TO STDOUT", out)
        return out.getvalue().splitlines()
