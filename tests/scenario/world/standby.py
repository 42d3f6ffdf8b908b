"""A physical standby of a cluster: a copy of its files, made while it is stopped."""
import shutil

from . import process
from .cluster import Cluster


class Standby(Cluster):
    """create -> start -> (promote) -> destroy. Settings are the standby's own, beside the primary's."""

    def __init__(self, folder, primary, name="replica1", **settings):
        super().__init__(folder, primary.version)
        self.primary = primary
        self.own = settings
        self.name = name

    def create(self):
        self.folder.mkdir(mode=0o755, parents=True)
        self.log.touch()
        if process.SERVER_USER:
            shutil.chown(self.folder, process.SERVER_USER, process.SERVER_USER)
        self.primary.stop()
        process.run(["cp", "-a", self.primary.data, self.data], as_server=True)
        self.primary.start()
        conninfo = (f"host=127.0.0.1 port={self.primary.port} user=postgres dbname=postgres "
                    f"application_name={self.name}")
        own = {"unix_socket_directories": self.folder, "primary_conninfo": conninfo,
               "wal_receiver_status_interval": 1, **self.own}
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in own.items())
        (self.data / "standby.signal").touch()
        self.start()
        return self

    def promote(self):
        self.database("postgres").run("SELECT pg_promote()")
