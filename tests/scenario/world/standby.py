"""A physical standby of a cluster."""
import shutil

from . import process, wait
from .cluster import BIN, Cluster


class Standby(Cluster):
    """By pg_basebackup. create -> (promote) -> destroy."""

    def __init__(self, folder, primary):
        super().__init__(folder)
        self.primary = primary

    def create(self):
        self.folder.mkdir(mode=0o755, parents=True)
        self.log.touch()
        if process.SERVER_USER:
            shutil.chown(self.folder, process.SERVER_USER, process.SERVER_USER)
        process.run([BIN / "pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast",
                     "-d", f"host=127.0.0.1 port={self.primary.port} user=postgres "
                           "application_name=replica1"], as_server=True, cwd=self.folder)
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"unix_socket_directories = '{self.folder}'\n"
                       "wal_receiver_status_interval = 1\n")
        self.start()
        return self

    def promote(self):
        self.database("postgres").run("SELECT pg_promote()")
        wait.until(lambda: not self.database("postgres").value("SELECT pg_is_in_recovery()"),
                   "the standby to be a primary")
