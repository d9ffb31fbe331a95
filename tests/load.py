"""A load of SMTP sessions that notes what became of every message, and the account of it in the end.

    load = Load(["127.0.0.1:2525"], sessions=20).start()
    ...                                   # kill, pause, restart
    load.stop()
    print(balance(load, sink))            # lost, duplicates, extra

Each message carries its name in the field X-Load-Id. A session whose connection breaks connects
again, to the next of the addresses; it never sends a message twice.
"""

import base64
import collections
import contextlib
import itertools
import socket
import threading
import time

ACCEPTED = "accepted"  # 250 after the end of data: it must arrive
REFUSED = "refused"    # any other reply, to whatever command: it must not arrive
UNKNOWN = "unknown"    # the connection broke after the end of data: it may arrive
UNSENT = "unsent"      # it broke before: it must not arrive

AT_ONCE = 16384  # smaller messages are one write, that arrives as a whole


class Sent:
    """One message: its name, the address it was sent to, and what became of it."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.state = UNSENT
        self.code = 0   # of the reply that decided, as are:
        self.text = ""
        self.queued = None  # the id from "queued as"


class _Broken(Exception):
    pass


class _Refused(Exception):
    pass


class _Session(threading.Thread):
    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load, self.number = load, number
        self.turn = number  # of the address
        self.socket = self.reader = None

    def run(self):
        while self.load.wanted():
            if self.socket is None and not self.connect():
                time.sleep(0.002)
                continue
            self.message()
            if self.load.pause:
                self.load.stopping.wait(self.load.pause)
        self.close()

    @property
    def address(self):
        return self.load.addresses[self.turn % len(self.load.addresses)]

    def connect(self):
        host, _, port = self.address.rpartition(":")
        try:
            self.socket = socket.create_connection((host, int(port)), self.load.timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.reader = self.socket.makefile("rb")
            self.expect(220)
            self.command("EHLO load.example", 250)
            if self.load.login:
                token = "\0".join(["", *self.load.login]).encode()
                self.command("AUTH PLAIN " + base64.b64encode(token).decode(), 235)
        except _Refused as refused:
            self.load.note_turned_away(refused)
            self.close()
        except (OSError, _Broken):
            self.load.note_unconnected()
            self.close()
        return self.socket is not None

    def close(self):
        """The next connection goes to the next address."""
        for thing in (self.reader, self.socket):
            with contextlib.suppress(AttributeError, OSError):
                thing.close()
        self.socket = self.reader = None
        self.turn += 1

    def reply(self):
        """(code, text of the last line)"""
        while True:
            line = self.reader.readline()
            if not line.endswith(b"\n"):
                raise _Broken
            if line[3:4] != b"-":
                return int(line[:3]), line[4:].decode("latin-1").strip()

    def expect(self, wanted):
        code, text = self.reply()
        if code != wanted:
            raise _Refused(code, text)
        return text

    def command(self, line, wanted):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.expect(wanted)

    def message(self):
        sent = self.load.begin(self.address)
        if sent is None:
            return
        try:
            self.hand_over(sent)
        except _Refused as refused:
            sent.state = REFUSED
            sent.code, sent.text = refused.args
            self.close()
            self.load.stopping.wait(self.load.pause_refused)
        except (OSError, _Broken):
            self.close()

    def hand_over(self, sent):
        load = self.load
        self.socket.sendall(f"MAIL FROM:<{load.sender}>\r\nRCPT TO:<{load.recipient}>\r\nDATA\r\n".encode())
        for wanted in (250, 250, 354):
            self.expect(wanted)
        body = load.body(sent.name)
        head = len(body) - 5 if len(body) > AT_ONCE else 0
        self.socket.sendall(body[:head])
        sent.state = UNKNOWN
        self.socket.sendall(body[head:])
        text = self.expect(250)
        sent.code, sent.text, sent.queued = 250, text, text.rpartition(" ")[2]
        sent.state = ACCEPTED


class Load:
    """`sessions` clients that send to `addresses` ("host:port") until `count` messages are begun, or
    stop(). `pause` is what each waits between two messages; `login` is (username, password); `text`
    is what each message begins with."""

    _runs = itertools.count(1)

    def __init__(self, addresses, sessions=20, count=None, size=1000, pause=0, login=None,
                 sender="anna@customer.example", recipient="bob@elsewhere.example", timeout=60,
                 text=b""):
        self.addresses, self.count, self.pause, self.login = list(addresses), count, pause, login
        self.sender, self.recipient, self.timeout = sender, recipient, timeout
        self.pause_refused = max(pause, 0.02)
        self.filling = b"x" * 70 + b"\r\n"
        self.filling = text + self.filling * max(1, size // len(self.filling))
        self.run = next(self._runs)
        self.sent, self.turned_away = [], []
        self.unconnected = 0  # connections that nobody answered
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [_Session(self, number) for number in range(sessions)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        """No new message; waits until those in hand are decided."""
        self.stopping.set()
        return self.join()

    def join(self):
        """Waits until `count` messages are decided."""
        for thread in self.threads:
            thread.join(self.timeout + 30)
            assert not thread.is_alive(), "a session of the load hangs"
        return self

    def wanted(self):
        return not self.stopping.is_set() and (self.count is None or len(self.sent) < self.count)

    def begin(self, address):
        with self.lock:
            if not self.wanted():
                return None
            sent = Sent(f"{self.run}-{len(self.sent)}", address)
            self.sent.append(sent)
            return sent

    def body(self, name):
        head = f"From: {self.sender}\r\nTo: {self.recipient}\r\nSubject: load\r\nX-Load-Id: {name}\r\n\r\n"
        return head.encode() + self.filling + b".\r\n"

    def note_turned_away(self, refused):
        with self.lock:
            self.turned_away.append(refused.args)

    def note_unconnected(self):
        with self.lock:
            self.unconnected += 1

    def all(self, state):
        with self.lock:
            return [one for one in self.sent if one.state == state]

    def accepted(self):
        return len(self.all(ACCEPTED))

    def codes(self):
        """How often each code refused a message or a connection."""
        with self.lock:
            return collections.Counter([one.code for one in self.sent if one.state == REFUSED]
                                       + [code for code, _ in self.turned_away])


class Balance:
    """What was accepted against what arrived. `received` holds the name of each message as often as
    it arrived."""

    def __init__(self, sent, received):
        counts = collections.Counter(received)
        may = {one.name for one in sent if one.state in (ACCEPTED, UNKNOWN)}
        must = {one.name for one in sent if one.state == ACCEPTED}
        self.accepted = len(must)
        self.refused = sum(one.state == REFUSED for one in sent)
        self.unknown = sum(one.state == UNKNOWN for one in sent)
        self.unknown_arrived = len((may - must) & counts.keys())
        self.lost = sorted(must - counts.keys())
        self.duplicates = {name: count - 1 for name, count in counts.items() if count > 1}
        self.extra = sorted(counts.keys() - may)

    def __str__(self):
        return (f"{self.accepted} accepted, {len(self.lost)} lost, {sum(self.duplicates.values())} duplicates, "
                f"{len(self.extra)} extra, {self.refused} refused, {self.unknown} unknown "
                f"({self.unknown_arrived} of them arrived)")


def balance(load, sink):
    """`load` is a Load, or a list of them; `sink` a sink.Counter."""
    loads = load if isinstance(load, list) else [load]
    return Balance([one for each in loads for one in each.sent], sink.names())
