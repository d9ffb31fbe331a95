"""One account's slow mail does not make others' wait: a name server that keeps back what it is asked below
slow.example until the test lets it answer."""

import socket
import struct
import threading

from harness import send, wait_for

A, MX, AAAA = 1, 15, 28


def labels(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


class NameServer:
    """Every name has an MX, mx.quick.example, whose address is the sink's."""

    def __init__(self, address):
        self.sink = socket.inet_aton(address)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.kept, self.asked, self.lock = [], set(), threading.Lock()
        self.released = False
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            with self.lock:
                if query[12:end - 4].lower().endswith(labels("slow.example")) and not self.released:
                    self.asked.add(query[12:end - 4].lower())
                    self.kept.append((query, end, client))
                    continue
            self.answer(query, end, client)

    def answer(self, query, end, client):
        kind = struct.unpack(">H", query[end - 4:end - 2])[0]
        data = {MX: struct.pack(">H", 10) + labels("mx.quick.example"), A: self.sink}.get(kind)
        record = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 300, len(data)) + data if data else b""
        self.socket.sendto(query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, 1 if data else 0, 0, 0) + query[12:end]
                           + record, client)

    def release(self):
        with self.lock:
            self.released, kept = True, self.kept
        for one in kept:
            self.answer(*one)

    def stop(self):
        self.socket.close()


def test_slow_names_of_one_message_hold_up_neither_others_nor_its_own(rig, certificate):
    sink = rig.sink(address="127.0.0.2")
    names = rig.add(NameServer(sink.address))
    shout = rig.shout(rig.redis(), certificate=certificate, settings={
        "sender": {"port": sink.port}, "dns": {"forward": [names.address], "trust_anchor": "none"}})
    slow = [f"x@n{i}.slow.example" for i in range(300)]
    one, other = shout.account_add(), shout.account_add(name="other", domain="other.example")
    with shout.smtp(account=one) as client:
        for part in range(4):
            send(client, "boss@customer.example", [f"own{part}@quick.example"]
                 + [to.replace("@n", f"@m{part}-") for to in slow],
                 b"From: boss@customer.example\r\nSubject: slow\r\n\r\nHello.\r\n")
    wait_for(lambda: len(names.asked) >= 64, what="slow names are asked for")
    with shout.smtp(account=other) as client:
        for i in range(3):
            send(client, "boss@other.example", [f"other{i}@d{i}.example"],
                 b"From: boss@other.example\r\nSubject: quick\r\n\r\nHello.\r\n")
    for i in range(3):
        wait_for(lambda: sink.find(f"other{i}@d{i}.example"), what="the other account's mail")
    for part in range(4):
        wait_for(lambda: sink.find(f"own{part}@quick.example"), what="its own mail to a quick name")
    assert len(names.asked) <= 96, "one account has part of the look-ups only"
    names.release()
    wait_for(lambda: sink.find("x@m0-0.slow.example"), 60, "the slow ones come in the end")
