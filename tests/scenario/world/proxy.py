"""A relay between the program and a server, at which a test cuts, freezes, slows or kills."""
import socket
import struct
import threading

from .cluster import SECRET

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset


class Proxy:
    """Relays TCP to a database's server; `url()` is the DSN through it.

        with Proxy(world.target) as proxy:
            product = world.product(target={"dsn": proxy.url()})

    Attributes may be changed at any time: `piece` (bytes forwarded at once; None for all that
    came), `on_request` (called with each chunk that the program sends, before it is forwarded;
    returns False to drop it and its connection).
    """

    def __init__(self, database):
        self.database = database
        self.piece = None
        self.on_request = None
        self.lock = threading.Lock()
        self.pairs = []
        self.open = threading.Event()  # cleared: nothing passes, nothing is closed
        self.open.set()
        self.refusing = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()

    def url(self):
        return f"postgresql://postgres:{SECRET}@127.0.0.1:{self.port}/{self.database.name}"

    def close(self):
        self.refusing = True
        # An accept() under way keeps a closed listener listening; a shut-down one ends.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thaw()
        self.cut()

    def cut(self):
        """Resets every connection."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            reset(*pair)

    def freeze(self):
        """A black hole: connections stay and carry nothing."""
        self.open.clear()

    def thaw(self):
        self.open.set()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            if self.refusing:
                reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.database.cluster.port))
            except OSError:
                reset(client)
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((client, server))
            for ends in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source, sink, is_request):
        try:
            while data := source.recv(65536):
                self.open.wait()
                if is_request and self.on_request and not self.on_request(data):
                    break
                size = self.piece or len(data)
                for start in range(0, len(data), size):
                    self.open.wait()
                    sink.sendall(data[start:start + size])
        except OSError:
            pass
        reset(source, sink)


def reset(*ends):
    for end in ends:
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        end.close()
