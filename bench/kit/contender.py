"""Who carries a backlog from a source database to a target database.

    prepare()   before the backlog is written: there is a slot, and it stands at the start
    start()     begins to catch up; returns at once
    finish()    after the last change was seen at the target: out, in order
    has_ended() by itself: then the last change must be there
    close()     nothing is left at the target that would keep its database; what is at the source
                goes with the database there
    pid         of the client, when there is one
"""
from world import wait
from world.product import Product


class Inside:
    """A contender that works inside the servers, as a background worker."""

    pid = None

    def has_ended(self):
        return False


class Slackwater:
    """`tables` is the file's; None carries every table as it is."""

    def __init__(self, name, folder, source, target, tables=None):
        self.name = name
        self.target = target
        config = {"migration": name.replace(" ", "_").replace(",", ""),
                  "source": {"dsn": source.local()},
                  "target": {"dsn": target.local()},
                  "http": {"listen": "127.0.0.1:0"}}
        if tables is not None:
            config["tables"] = tables
        self.product = Product(folder, source, config)

    def prepare(self):
        result = self.product.run_to_end("--no-backfill", "--until-caught-up")
        assert result.status == 0, result.err

    def start_streaming(self):
        """Begins a run without end; returns when it streams."""
        self.product.start_streaming("--no-backfill")
        self.pid = self.product.child.pid

    def start(self):
        self.product.launch("--no-backfill", "--until-caught-up")
        self.pid = self.product.child.pid

    def has_ended(self):
        return not self.product.alive()

    def finish(self):
        status = self.product.wait_end(120)
        assert status == 0, f"slackwater ended with {status}:\n{self.product.log_text()}"

    def close(self):
        self.product.kill9()


class Native(Inside):
    """A subscription as CREATE SUBSCRIPTION makes it, with one apply worker."""

    def __init__(self, name, source, target, tables):
        self.name = name
        self.source = source
        self.target = target
        self.tables = tables
        self.object = f"native_{target.name}"

    def prepare(self):
        self.publish()
        self.target.run(f"""
            CREATE SUBSCRIPTION {self.object} CONNECTION '{self.source.local()}'
            PUBLICATION {self.object}
            WITH (enabled = false, copy_data = false)""")

    def publish(self):
        self.source.run(f"CREATE PUBLICATION {self.object} FOR TABLE {', '.join(self.tables)}")

    def start(self):
        self.target.run(f"ALTER SUBSCRIPTION {self.object} ENABLE")

    def start_streaming(self):
        self.start()
        wait.until(lambda: self.source.value(
            "SELECT state = 'streaming' FROM pg_stat_replication WHERE application_name = %s",
            self.object), "the subscription to stream")

    def finish(self):
        self.target.run(f"ALTER SUBSCRIPTION {self.object} DISABLE")

    def close(self):
        """The worker must be gone, or it holds DROP DATABASE up."""
        self.target.run(f"ALTER SUBSCRIPTION {self.object} DISABLE",
                        f"ALTER SUBSCRIPTION {self.object} SET (slot_name = NONE)",
                        f"DROP SUBSCRIPTION {self.object}")
        wait.until(lambda: not self.target.value(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'logical replication worker'"), "the apply worker to go")


class Pglogical(Inside):
    """pglogical 2: a node on each side, a subscription between them."""

    def __init__(self, name, source, target, tables):
        self.name = name
        self.source = source
        self.target = target
        self.tables = tables

    def prepare(self):
        for side, node in ((self.source, "bench_source"), (self.target, "bench_target")):
            side.run("CREATE EXTENSION pglogical",
                     f"SELECT pglogical.create_node('{node}', '{side.local()}')")
        for table in self.tables:
            keyed = self.source.value(
                "SELECT 1 FROM pg_index WHERE indrelid = %s::regclass AND indisprimary", table)
            self.source.run("SELECT pglogical.replication_set_add_table("
                            f"'{'default' if keyed else 'default_insert_only'}', '{table}')")
        self.target.run(f"""
            SELECT pglogical.create_subscription('bench', '{self.source.local()}',
                synchronize_structure := false, synchronize_data := false)""")
        wait.until(lambda: self._status() == "replicating", "pglogical to replicate")
        self.target.run("SELECT pglogical.alter_subscription_disable('bench', true)")

    def start(self):
        self.target.run("SELECT pglogical.alter_subscription_enable('bench', true)")

    def finish(self):
        self.target.run("SELECT pglogical.alter_subscription_disable('bench', true)")

    def close(self):
        self.target.run("SELECT pglogical.drop_subscription('bench', true)")
        for side in (self.source, self.target):
            side.run("DROP EXTENSION pglogical CASCADE")

    def _status(self):
        return self.target.value("SELECT status FROM pglogical.show_subscription_status()")
