"""The two servers of a bench. Durable and roomy, as in production; the tests' are neither."""
import contextlib

from world import wait
from world.cluster import Cluster, drop_slots

SETTINGS = {
    "fsync": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",          # no checkpoint falls into a run: each begins with one
    "checkpoint_timeout": "30min",
    "autovacuum": "off",            # nor does a vacuum
    # A subscription that is enabled soon after another need not wait five seconds.
    "wal_retrieve_retry_interval": "200ms",
    "max_worker_processes": 16,
    "listen_addresses": "",
}


class Side:
    """One server: templates, made once, and databases copied from them for each run."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.numbers = {}
        # pglogical's workers do not answer when DROP DATABASE asks all to close its files, and
        # it waits for them without end: there databases stay until the servers go.
        self.keeps = "pglogical" in cluster.settings.get("shared_preload_libraries", "")

    def template(self, name, fill):
        """The database `name`, filled by fill(database) and left without sessions."""
        database = self.cluster.create_database(name)
        fill(database)
        database.run("VACUUM (ANALYZE)")
        return database

    def copy(self, template, name):
        """A fresh database from the template, under a name that was not used before."""
        self.numbers[name] = self.numbers.get(name, 0) + 1
        name = f"{name}_{self.numbers[name]}"
        # As files: the other strategy would write the whole database to the WAL.
        return self.cluster.create_database(
            name, f'TEMPLATE "{template.name}" STRATEGY file_copy')

    def drop(self, database):
        """With its slots, which would hold WAL."""
        if self.keeps:
            admin = self.cluster.database("postgres")
            wait.until(lambda: drop_slots(admin, database.name), "the slots to be released")
        else:
            self.cluster.drop_database(database.name)

    def settle(self):
        """What earlier steps left to write is written, so that it is not on the next bill."""
        self.cluster.database("postgres").run("CHECKPOINT")


class Pair:
    """`with Pair(folder, **settings) as pair:` source and target, gone at the end."""

    def __init__(self, folder, **settings):
        self.settings = {**SETTINGS, **settings}
        self.source = Side(Cluster(folder / "s", **self.settings))
        self.target = Side(Cluster(folder / "t", **self.settings))

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            for side in (self.source, self.target):
                undo.callback(side.cluster.destroy)
                side.cluster.create()
            self.undo = undo.pop_all()
        return self

    def __exit__(self, *failure):
        self.undo.close()

    def version(self):
        return "PostgreSQL " + self.source.cluster.database("postgres").value("SHOW server_version")

    def settle(self):
        self.source.settle()
        self.target.settle()
