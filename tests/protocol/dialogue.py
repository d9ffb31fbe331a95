"""SMTP dialogues with a real Shout, byte for byte: rows of what is sent and what has to come back."""

import base64
import hashlib
import hmac
import json
import os
import re
import socket

import harness

HELP = "https://shout.test/help"
DEADLINE = harness.DEADLINE

# name -> settings of a listener; every one has a port of its own
LISTENERS = {
    "plain": {"tls": "none", "auth_without_tls": "always"},
    "starttls": {"tls": "starttls", "tls_required": True},
    "implicit": {"tls": "implicit"},
    "optional": {"tls": "starttls"},
    "known": {"tls": "starttls", "auth_without_tls": "known-addresses"},
    "noauth": {"tls": "none", "auth": False},
    "legacy": {"tls": "implicit", "tls_profile": "legacy"},
    "proxy": {"tls": "none", "auth_without_tls": "always", "proxy": True, "proxies": ["127.0.0.1"]},
    "proxytls": {"tls": "implicit", "proxy": True, "proxies": ["127.0.0.0/30"]},
}
KNOWN = "127.0.0.2"  # the address of account "ipacct"
STRANGER = "127.0.0.3"


def verifier(password, iterations=4096):
    """The stored form of a password (shared/account/scram.h)."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()
    return f"SCRAM-SHA-256${iterations}:{b64(salt)}${b64(stored)}:{b64(server)}"


def seed(redis, name, domains, users=(), addresses=(), status="active", policy="resent", limits=None, **fields):
    """An account in Redis, in the documents that shared/account/account.h describes."""
    account = {"id": name, "name": name, "contact": f"it@{domains[0]}", "status": status,
               "policy": policy, "domains": list(domains), "limits": limits or {}, **fields}
    redis.run("SET", f"account:{{{name}}}", json.dumps(account))
    for domain in domains:
        redis.run("SET", f"domain:{domain}", json.dumps({"account": name}))
    for user, password, enabled in users:
        redis.run("SET", f"user:{user}", json.dumps(
            {"account": name, "enabled": enabled, "verifier": verifier(password)}))
    for address in addresses:
        redis.run("SET", f"ip:{address}", json.dumps({"account": name, "active": True}))


def seed_all(redis):
    seed(redis, "acme", ["acme.example", "acme.test"],
         users=[("joe@acme.example", "secret word", True), ("old@acme.example", "secret", False)])
    seed(redis, "strict", ["strict.example"], users=[("s", "pw", True)], policy="strict")
    seed(redis, "other", ["other.example", "xn--bcher-kva.example"], users=[("o", "pw", True)])
    seed(redis, "names", ["names.example"], users=[("names", "pw", True)], display_address="pass")
    seed(redis, "branch", ["branch.acme.example"])
    seed(redis, "stopped", ["stopped.example"], users=[("stopped", "pw", True)], status="disabled")
    seed(redis, "small", ["small.example"], users=[("small", "pw", True)], limits={"messages_hour": 2})
    seed(redis, "ipacct", ["ip.example"], addresses=[KNOWN])
    if redis.run("EXISTS", "config:applied") != "1":
        redis.run("SET", "config:applied", "1")


def start(rig, redis, sink, certificate, listeners=tuple(LISTENERS), stuck=False, queue=None, limits=None, **ingress):
    """`shout all` with the named listeners. `stuck`: its scanner has no clamd, so that mail stays where
    it is. Keywords are settings of ingress."""
    shout = harness.Shout(rig.path("shout"), redis, route=sink.host, certificate=certificate)
    shout.ports.update({name: harness.free_port() for name in LISTENERS if name not in shout.ports})
    listen = [{"address": f"127.0.0.1:{shout.ports[name]}", **LISTENERS[name]} for name in listeners]
    shout.settings["ingress"] |= {"listen": listen, "threads": 2, "recipients_max": 100,
                                  "message_size_limit": "1M", "help_url": HELP, **ingress}
    shout.settings["queue"] |= queue or {}
    shout.settings["limits"] |= limits or {}
    if stuck:
        shout.settings["scanner"] = {"enabled": True, "clamd": [f"unix:{rig.path('nobody')}"]}
        shout.ready = lambda: harness.accepts(("127.0.0.1", shout.ports[listeners[0]]))
    shout.write()
    rig.add(shout)
    return shout


class Talk:
    """A connection. say() sends a line, see() reads one reply and matches it whole."""

    def __init__(self, port, source=None, tls=None, first=b""):
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE,
                                               source_address=(source, 0) if source else None)
        if first:
            self.socket.sendall(first)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="shout.test")
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def raw(self, data):
        self.socket.sendall(data)
        return self

    def say(self, line):
        return self.raw(line.encode() + b"\r\n")

    def line(self):
        while b"\n" not in self.buffer:
            more = self.socket.recv(65536)
            assert more, f"closed after {self.buffer!r}"
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), line
        return line[:-1].decode()

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\n".join(lines)

    def see(self, pattern):
        """The reply begins with the pattern."""
        reply = self.reply()
        assert re.match(pattern, reply), f"{reply!r} does not begin with {pattern!r}"
        return reply

    def ask(self, line, pattern):
        self.say(line)
        return self.see(pattern)

    def run(self, rows):
        """Rows of (what is sent, what is replied): text is a line, bytes are raw, None is nothing;
        a reply of CLOSED is the end of the connection, None no reply at all."""
        for send, expect in rows:
            if isinstance(send, bytes):
                self.raw(send)
            elif send is not None:
                self.say(send)
            if expect is CLOSED:
                self.ended()
            elif expect is not None:
                self.see(expect)
        return self

    def ended(self):
        """The server has closed, and said nothing more."""
        try:
            rest = self.buffer + self.socket.recv(65536)
        except ConnectionResetError:
            rest = self.buffer
        assert rest == b"", rest

    def tls(self, context=None):
        assert self.buffer == b"", self.buffer
        self.socket = (context or harness.client_tls()).wrap_socket(
            self.socket, server_hostname="shout.test")
        return self

    def hello(self, name="client.example"):
        self.see("220 shout.test ESMTP Shout$")
        return self.ask(f"EHLO {name}", "250-shout.test\n")

    def login(self, user="joe@acme.example", password="secret word"):
        return self.ask(f"AUTH PLAIN {plain(user, password)}", "235 2.7.0 ")

    def begin(self, sender="a@acme.example", rcpt="x@dest.example"):
        self.ask(f"MAIL FROM:<{sender}>", "250 2.1.0 ")
        return self.ask(f"RCPT TO:<{rcpt}>", "250 2.1.5 ")

    def message(self, data, sender="a@acme.example", rcpt="x@dest.example"):
        """A whole transaction but for its last reply."""
        self.begin(sender, rcpt)
        self.ask("DATA", "354 ")
        return self.raw(data)

    def accepted(self, data, **names):
        """A whole transaction; the message's id."""
        self.message(data, **names)
        return self.see("250 2.0.0 queued as [0-9a-z]{26}$").rsplit(" ", 1)[1]


CLOSED = object()


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(user, password, other=""):
    return b64(f"{other}\0{user}\0{password}")


def letter(sender="a@acme.example", subject="hello", extra="", body="text"):
    """A small message, with the end of data."""
    return (f"From: <{sender}>\r\nTo: x@dest.example\r\nSubject: {subject}\r\n{extra}\r\n{body}\r\n"
            ".\r\n").encode()
