"""An SMTP server that keeps what it gets, byte for byte, and misbehaves on request.

    sink = Sink(tls=context)
    sink.on("rcpt", "452 4.2.2 full", match="bob@", times=1)
    sink.on("dot", DROP, times=2)
    sink.on("banner", Delay(5))

Run as a program it serves until it is ended:  sink.py --port 2526 --directory DIR
"""

import argparse
import os
import re
import signal
import socket
import ssl
import struct
import threading
import time

DROP = object()   # close the connection without a word
RESET = object()  # the same with a TCP reset
HANG = object()   # never answer


class Delay:
    """Answer as usual, but only after some seconds, or as soon as the sink stops."""

    def __init__(self, seconds):
        self.seconds = seconds


class Message:
    def __init__(self, session, sender, mail_parameters, recipients, body):
        self.sender = sender                    # address, "" for the null sender
        self.mail_parameters = mail_parameters  # list of words
        self.recipients = recipients            # accepted addresses, in order
        self.recipient_parameters = {}
        self.body = body                        # bytes, CRLF, without dot-stuffing
        self.tls = session.tls_version
        self.helo = session.helo
        self.connection = session.number
        self.peer = session.peer                # the address that it came from
        self.begun = session.begun              # when MAIL came
        self.time = time.time()

    def header(self, name):
        """The first field of that name, unfolded, or None."""
        head = self.body.split(b"\r\n\r\n", 1)[0] + b"\r\n"
        found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*((?:.*\r\n)(?:[ \t].*\r\n)*)", head)
        return re.sub(rb"\r\n[ \t]+", b" ", found[1]).strip().decode("latin-1") if found else None


class _Rule:
    def __init__(self, step, action, match, times):
        self.step, self.action, self.times = step, action, times
        self.match = re.compile(match, re.I) if isinstance(match, str) else match

    def takes(self, step, text):
        if step != self.step or self.times == 0:
            return False
        if self.match is None:
            return True
        return bool(self.match.search(text) if hasattr(self.match, "search") else self.match(text))


class _Drop(Exception):
    pass


class _Session:
    """One connection. `step` names the place in the dialogue that a rule may take over."""

    def __init__(self, sink, connection, number):
        self.sink, self.socket, self.number = sink, connection, number
        self.reader = connection.makefile("rb", 65536)
        self.tls_version = self.helo = self.begun = None
        self.peer = connection.getpeername()[0]
        self.reset()

    def reset(self):
        self.sender, self.mail_parameters, self.recipients = None, [], []
        self.recipient_parameters = {}

    def run(self):
        try:
            self.reply("banner", "", f"220 {self.sink.name} ESMTP sink")
            while True:
                line = self.reader.readline(65536)
                if not line.endswith(b"\n"):
                    return
                if not self.command(line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")):
                    return
        except (_Drop, OSError, ssl.SSLError, ValueError):
            pass
        finally:
            self.close()

    def close(self):
        for thing in (self.reader, self.socket):
            try:
                thing.close()
            except OSError:
                pass

    def send(self, text):
        data = text if isinstance(text, bytes) else (text + "\r\n").encode("utf-8", "surrogateescape")
        self.socket.sendall(data)

    def reply(self, step, text, usual, before_good=None):
        """Sends the usual answer or what a rule says; returns whether it was a 2xx or 3xx, before
        which `before_good` is called."""
        action = self.sink.action(step, text)
        if callable(action):
            action = action(self, text)
        if isinstance(action, Delay):
            self.sink.stopping.wait(action.seconds)
            action = None
        if action is HANG:
            self.sink.stopping.wait()
            raise _Drop
        if action is RESET:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise _Drop
        if action is DROP:
            raise _Drop
        answer = usual if action is None else action
        good = (answer if isinstance(answer, bytes) else answer.encode())[:1] in (b"2", b"3")
        if good and before_good:
            before_good()
        self.send(answer)
        return good

    def command(self, line):
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        if verb in ("EHLO", "HELO"):
            return self.hello(verb, rest)
        if verb == "STARTTLS":
            return self.starttls()
        if verb == "MAIL":
            return self.mail(rest)
        if verb == "RCPT":
            return self.rcpt(rest)
        if verb == "DATA":
            return self.data()
        if verb == "QUIT":
            self.reply("quit", "", "221 2.0.0 bye")
            return False
        if verb == "RSET":
            self.reset()
            self.reply("rset", "", "250 2.0.0 ok")
        elif verb == "NOOP":
            self.reply("noop", "", "250 2.0.0 ok")
        else:
            self.reply("unknown", line, "500 5.5.2 what?")
        return True

    def hello(self, verb, rest):
        self.helo = rest
        self.reset()
        words = [self.sink.name]
        if verb == "EHLO":
            words += self.sink.extensions
            if self.sink.tls and not self.tls_version:
                words.append("STARTTLS")
        lines = [f"250{'-' if i + 1 < len(words) else ' '}{w}" for i, w in enumerate(words)]
        self.reply(verb.lower(), rest, "\r\n".join(lines))
        return True

    def starttls(self):
        if not self.sink.tls or self.tls_version:
            self.reply("starttls", "", "503 5.5.1 no")
            return True
        if self.reply("starttls", "", "220 2.0.0 go"):
            self.reader.close()
            self.socket = self.sink.tls.wrap_socket(self.socket, server_side=True)
            self.reader = self.socket.makefile("rb", 65536)
            self.tls_version = self.socket.version()
            self.helo = None
            self.reset()
        return True

    @staticmethod
    def path(rest):
        found = re.match(r"(?:FROM|TO):\s*<([^>]*)>\s*(.*)$", rest, re.I)
        return (found[1], found[2].split()) if found else (None, [])

    def mail(self, rest):
        sender, parameters = self.path(rest)
        if self.reply("mail", sender or "", "250 2.1.0 ok"):
            self.reset()
            self.sender, self.mail_parameters, self.begun = sender, parameters, time.time()
        return True

    def rcpt(self, rest):
        address, parameters = self.path(rest)
        if self.sender is None:
            self.send("503 5.5.1 MAIL first")
        elif self.reply("rcpt", address or "", "250 2.1.5 ok"):
            self.recipients.append(address)
            self.recipient_parameters[address] = parameters
        return True

    def data(self):
        if not self.recipients:
            self.reply("data", "", "554 5.5.1 no recipients")
            return True
        if not self.reply("data", "", "354 go"):
            return True
        message = Message(self, self.sender, self.mail_parameters, self.recipients, self.body())
        message.recipient_parameters = self.recipient_parameters
        # kept before the answer: who has read "250" finds it
        self.reply("dot", " ".join(self.recipients), f"250 2.0.0 ok {self.number}",
                   before_good=lambda: self.sink.keep(message))
        self.reset()
        return True

    def body(self):
        pieces = []
        while True:
            line = self.reader.readline()
            if not line.endswith(b"\n"):
                raise _Drop
            if line == b".\r\n":
                return b"".join(pieces)
            pieces.append(line[1:] if line.startswith(b".") else line)


class Sink:
    EXTENSIONS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN")

    def __init__(self, tls=None, name="sink.test", extensions=EXTENSIONS, address="127.0.0.1", port=0,
                 on_message=None):
        self.tls, self.name, self.extensions = tls, name, list(extensions)
        self.messages, self.rules, self.sessions = [], [], set()
        self.connections = 0
        self.on_message = on_message
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.address = address
        self.port = port
        self.listener = None
        self.resume()

    def resume(self):
        """Listens (again, on the same port)."""
        self.stopping.clear()
        self.listener = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, self.port))
        self.listener.listen(512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        """Closes the listener and every connection."""
        self.stopping.set()
        listener, self.listener = self.listener, None
        if listener:
            # close() alone leaves accept() in the other thread asleep
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.lock:
            sessions = list(self.sessions)
        for session in sessions:
            try:
                session.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @property
    def host(self):
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def on(self, step, action, match=None, times=None):
        """Takes over a step: banner ehlo helo starttls mail rcpt data dot rset quit. `action` is a
        reply, DROP, RESET, HANG, Delay or f(session, text) -> one of these or None; `match` a
        pattern for the address; `times` how often (None: always). The newest rule counts first."""
        rule = _Rule(step, action, match, times)
        with self.lock:
            self.rules.insert(0, rule)
        return rule

    def clear(self):
        with self.lock:
            self.rules.clear()
            self.messages.clear()

    def action(self, step, text):
        with self.lock:
            for rule in self.rules:
                if rule.takes(step, text):
                    if rule.times is not None:
                        rule.times -= 1
                    return rule.action
        return None

    def keep(self, message):
        with self.lock:
            self.messages.append(message)
        if self.on_message:
            self.on_message(message)

    def find(self, recipient=None, subject=None):
        """The messages kept so far that fit."""
        with self.lock:
            kept = list(self.messages)
        return [m for m in kept
                if (recipient is None or recipient in m.recipients)
                and (subject is None or m.header("Subject") == subject)]

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            # replies to pipelined commands are separate writes: each would wait for an ACK
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                session = _Session(self, connection, self.connections)
                self.sessions.add(session)
            threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session):
        try:
            session.run()
        finally:
            with self.lock:
                self.sessions.discard(session)


class Counter(Sink):
    """Keeps of each message only its name (the field X-Load-Id) and the id in our Received field:
    what counting thousands of them needs."""

    def __init__(self, **options):
        super().__init__(**options)
        self.received = []  # (name, id), as often as it came; "" where there is none

    @staticmethod
    def marks(message):
        head = message.body[:4096].split(b"\r\n\r\n", 1)[0]
        found = re.search(rb"X-Load-Id: (\S+)", head), re.search(rb"\bid (\S+)", head)
        return tuple(one[1].decode() if one else "" for one in found)

    def keep(self, message):
        # list.append needs no lock
        self.received.append(self.marks(message))

    def names(self):
        return [name for name, _ in list(self.received)]

    def count(self):
        """How many messages arrived, copies left out."""
        return len(set(self.names()))


def _main():
    parser = argparse.ArgumentParser(description="an SMTP server that writes each message to a file")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2526)
    parser.add_argument("--directory", required=True)
    args = parser.parse_args()
    os.makedirs(args.directory, exist_ok=True)
    count = 0

    def write(message):
        nonlocal count
        with sink.lock:
            count += 1
            name = os.path.join(args.directory, f"{count:06d}.eml")
        envelope = [f"X-Sink-From: <{message.sender}>"]
        envelope += [f"X-Sink-To: <{recipient}>" for recipient in message.recipients]
        with open(name + ".tmp", "wb") as out:
            out.write("".join(line + "\r\n" for line in envelope).encode() + message.body)
        os.rename(name + ".tmp", name)

    sink = Sink(address=args.address, port=args.port, on_message=write)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    done.wait()
    sink.stop()


if __name__ == "__main__":
    _main()
