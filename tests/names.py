"""A resolver for tests: every name has an MX whose address depends on what the name is below, and some
names are answered late."""

import heapq
import itertools
import select
import socket
import struct
import threading
import time

A, MX = 1, 15
NEVER = None


def labels(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def name_of(wire):
    parts = []
    while wire[0]:
        parts.append(wire[1:1 + wire[0]].decode())
        wire = wire[1 + wire[0]:]
    return ".".join(parts).lower()


class NameServer:
    """`sites` maps the end of a name to the address of its MX ("" matches all), `hosts` to the name of the latter; what
    ends with a key of `slow` is answered so many seconds late, or, with NEVER, not before release()."""

    def __init__(self, sites, slow=None, hosts=None, at=("127.0.0.1", 0)):
        self.sites, self.slow, self.hosts = sites, slow or {}, hosts or {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(at)
        self.address = "%s:%d" % self.socket.getsockname()
        self.asked = set()  # slow names
        self.released = self.stopped = False
        self.error = 0  # an RCODE for everything instead
        self.late, self.order = [], itertools.count()  # (when, order, query, end, client)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.stopped:
            now = time.monotonic()
            while self.late and (self.released or self.late[0][0] <= now):
                self.answer(*heapq.heappop(self.late)[2:])
            if select.select([self.socket], [], [], min(0.05, max(0, self.late[0][0] - now) if self.late else 0.05))[0]:
                self.take(*self.socket.recvfrom(4096))

    def take(self, query, client):
        end = query.index(b"\0", 12) + 5
        name = name_of(query[12:])
        seconds = next((s for ending, s in self.slow.items() if name.endswith(ending)), 0)
        if seconds == 0:
            self.answer(query, end, client)
            return
        self.asked.add(name)
        due = float("inf") if seconds is NEVER else time.monotonic() + seconds
        heapq.heappush(self.late, (due, next(self.order), query, end, client))

    def answer(self, query, end, client):
        if self.error:
            self.socket.sendto(query[:2] + struct.pack(">HHHHH", 0x8180 | self.error, 1, 0, 0, 0) + query[12:end], client)
            return
        name, kind = name_of(query[12:]), struct.unpack(">H", query[end - 4:end - 2])[0]
        site, address = next((ending, where) for ending, where in self.sites.items() if name.endswith(ending))
        host = next((host for ending, host in self.hosts.items() if name.endswith(ending)), f"mx.{site or 'any.example'}")
        data = {MX: struct.pack(">H", 10) + labels(host),
                A: socket.inet_aton(address)}.get(kind)
        record = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 300, len(data)) + data if data else b""
        self.socket.sendto(query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, 1 if data else 0, 0, 0) + query[12:end]
                           + record, client)

    def release(self):
        self.released = True

    def stop(self):
        self.stopped = True
        self.thread.join()
        self.socket.close()
