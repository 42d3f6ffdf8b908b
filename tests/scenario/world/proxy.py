"""A relay between the program and a server, at which a test cuts, freezes, slows or kills."""
import ctypes
import socket
import struct
import threading
import time

from .cluster import SECRET

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset
SO_ATTACH_FILTER = 26  # socket(7)
TICKS = 20  # a second, at which a limited rate is paid out


class Proxy:
    """Relays TCP to a database's server; `url()` is the DSN through it.

        with Proxy(world.target) as proxy:
            product = world.product(target={"dsn": proxy.url()})

    Attributes may be changed at any time: `piece` (bytes forwarded at once; None for all that
    came), `rate` (bytes a second in each direction; None for no limit), `on_request` and `on_reply`
    (called with each chunk that the program, or the server, sends, before it is forwarded: true for
    as it is, bytes for these instead, and what is false drops it and its connection).
    """

    def __init__(self, database):
        self.database = database
        self.piece = self.rate = None
        self.on_request = self.on_reply = None
        self.lock = threading.Lock()
        self.relays = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        # An accept() under way keeps a closed listener listening; a shut-down one ends.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def url(self, options=""):
        """`options` are libpq's, as the URI has them."""
        return (f"postgresql://postgres:{SECRET}@127.0.0.1:{self.port}/{self.database.name}"
                + (f"?{options}" if options else ""))

    def cut(self):
        """Resets every connection."""
        for relay in self._present():
            relay.reset()

    def freeze(self):
        """A black hole: the present connections stay, carry nothing and acknowledge nothing."""
        for relay in self._present():
            relay.freeze()

    def deafen(self):
        """Half-open: the server's ends are gone, and the program's stay. What it sends is
        acknowledged, and nobody reads it."""
        for relay in self._present():
            relay.deafen()

    def _present(self):
        with self.lock:
            self.relays = [relay for relay in self.relays if not relay.closed]
            return list(self.relays)

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.database.cluster.port))
            except OSError:
                client.close()
                continue
            with self.lock:
                self.relays.append(Relay(self, client, server))


class Relay:
    """One connection through the proxy."""

    def __init__(self, proxy, client, server):
        self.proxy, self.ends = proxy, (client, server)
        self.flowing = threading.Event()
        self.flowing.set()
        self.closed = self.deaf = False
        for end in self.ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for ends in ((client, server, True), (server, client, False)):
            threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source, sink, is_request):
        try:
            while data := source.recv(65536):
                self.flowing.wait()
                hook = self.proxy.on_request if is_request else self.proxy.on_reply
                answer = hook(data) if hook else True
                if not answer:
                    break
                self._forward(data if answer is True else answer, sink)
        except OSError:
            pass
        if not self.deaf:
            self.reset()

    def _forward(self, data, sink):
        """In pieces, and no faster than the rate, which may change meanwhile."""
        while data and not self.closed and not self.deaf:
            rate = self.proxy.rate
            size = self.proxy.piece or len(data)
            if rate:
                size = min(size, max(1, rate // TICKS))
            sink.sendall(data[:size])
            data = data[size:]
            if rate:
                time.sleep(max(1 / TICKS, 1 / rate))

    def deafen(self):
        self.deaf = True
        self.ends[1].shutdown(socket.SHUT_RDWR)

    def freeze(self):
        self.flowing.clear()
        for end in self.ends:
            drop_all_packets(end)

    def reset(self):
        self.closed = True
        self.flowing.set()
        for end in self.ends:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


def drop_all_packets(end):
    """The kernel drops what comes for this socket before TCP sees it, so nothing is ACKed."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
    end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                   struct.pack("HP", 1, ctypes.addressof(program)))
