"""What one customer, or some strangers, can do to a relay all at once, as a program of its own, so that the test's
own client does not wait for it: runs until it is told to end (or its mail is sent), then tells what came of it.

    flood = Flood("auth", port=2525, sources=["127.50.0.1"], each=4)
    ...
    flood.end()["535"]
"""

import asyncio
import base64
import collections
import contextlib
import itertools
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys

NEW_NAMES = itertools.count()
told = collections.Counter()  # what came of it, by code or word


class Flood:
    """Needs what the function of the attack's name below takes."""

    def __init__(self, attack, **options):
        self.process = subprocess.Popen([sys.executable, __file__, attack, json.dumps(options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = None

    def join(self, timeout=600):
        """Until all is sent; what came of it."""
        if self.told is None:
            out, _ = self.process.communicate(timeout=timeout)
            assert self.process.returncode == 0, out
            self.told = collections.Counter(json.loads(out))
        return self.told

    def end(self):
        if self.told is None:
            self.process.send_signal(signal.SIGTERM)
        return self.join()

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Turned(Exception):
    """Refused, or the connection is gone."""


class Peer:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def reply(self):
        while True:
            line = await self.reader.readline()
            if not line.endswith(b"\n"):
                raise Turned("closed")
            if line[3:4] != b"-":
                told[line[:3].decode()] += 1
                return line

    async def ask(self, line, wanted=None):
        self.writer.write(line.encode() + b"\r\n")
        await self.expect(wanted)

    async def expect(self, wanted):
        line = await self.reply()
        if line.startswith(b"421") or (wanted and not line.startswith(wanted.encode())):
            raise Turned(line.decode())

    async def rest(self):
        """Until the other side has enough."""
        while await self.reader.read(65536):
            pass
        raise Turned("closed")


@contextlib.asynccontextmanager
async def connected(source, port, tls=None):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0) if source else None, ssl=tls)
    told["connected"] += 1
    try:
        yield Peer(reader, writer)
    finally:
        # a reset: thousands of closed connections are not to stand in the kernel's tables
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def again_and_again(attempt):
    while True:
        try:
            await attempt()
        except Turned:
            told["turned away"] += 1
            await asyncio.sleep(0.05)
        except (OSError, ssl.SSLError, EOFError):
            told["broken"] += 1
            await asyncio.sleep(0.05)


async def everywhere(attempt, sources, each):
    await asyncio.gather(*(again_and_again(lambda source=source: attempt(source))
                           for source in sources for _ in range(each)))


# Strangers.

async def idle(sources, each, port):
    """Says EHLO, and sits there."""
    async def attempt(source):
        async with connected(source, port) as peer:
            await peer.expect("220")
            await peer.ask("EHLO c", "250")
            await peer.rest()
    await everywhere(attempt, sources, each)


async def auth(sources, each, port):
    """Wrong logins, each by a new name."""
    async def attempt(source):
        async with connected(source, port) as peer:
            await peer.expect("220")
            await peer.ask("EHLO c", "250")
            while True:
                token = base64.b64encode(f"\0name{next(NEW_NAMES)}-{source}\0wrong".encode()).decode()
                await peer.ask("AUTH PLAIN " + token)
    await everywhere(attempt, sources, each)


def anybody():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def handshakes(sources, each, port):
    """`port` speaks TLS at once."""
    context = anybody()

    async def attempt(source):
        async with connected(source, port, context):
            told["shaken"] += 1
    await everywhere(attempt, sources, each)


def client_hello():
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        anybody().wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


async def half_handshakes(sources, each, port):
    """Every other one breaks off in the middle of its first message, the others behind it."""
    hello, count = client_hello(), itertools.count()

    async def attempt(source):
        async with connected(source, port) as peer:
            peer.writer.write(hello if next(count) % 2 else hello[:100])
            await peer.rest()
    await everywhere(attempt, sources, each)


async def drip(sources, each, port):
    """A sign a second."""
    async def attempt(source):
        async with connected(source, port) as peer:
            await peer.expect("220")
            for sign in itertools.cycle(b"EHLO client.example\r\nNOOP\r\n"):
                peer.writer.write(bytes([sign]))
                await peer.writer.drain()
                await asyncio.sleep(1)
    await everywhere(attempt, sources, each)


async def connects(sources, each, port):
    async def attempt(source):
        async with connected(source, port):
            pass
    await everywhere(attempt, sources, each)


async def commands(sources, each, port):
    """A hundred at a time."""
    lines = "NOOP\r\nRSET\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"

    async def attempt(source):
        async with connected(source, port) as peer:
            await peer.expect("220")
            await peer.ask("EHLO c", "250")
            while True:
                peer.writer.write(lines.encode() * 25)
                for _ in range(100):
                    await peer.expect(None)
    await everywhere(attempt, sources, each)


async def doors(sources, each, ports):
    """Pages that are asked for and half requests without a token, at the API and the metrics page."""
    asks = itertools.cycle([
        b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /api/v1/accounts HTTP/1.1\r\nHost: a\r\n\r\n", b"",
        b"POST /api/v1/accounts HTTP/1.1\r\nContent-Length: 500000\r\nX: " + b"x" * 4000])
    places = itertools.cycle(ports)

    async def attempt(source):
        async with connected(source, next(places)) as peer:
            peer.writer.write(next(asks))
            answer = await peer.reader.read(65536)
            told["answered"] += bool(answer)
    await everywhere(attempt, sources, each)


# A customer.

async def logged_in(peer, login):
    await peer.expect("220")
    await peer.ask("EHLO c", "250")
    await peer.ask("AUTH PLAIN " + base64.b64encode("\0".join(["", *login]).encode()).decode(), "235")


async def mail(port, login, sender, recipient, count, connections=10, recipients=1, size=1000, text="", source=None):
    """`count` messages, each to as many `recipient`s, in whose text {n} is another number each; what can be
    pipelined is."""
    numbers, left = itertools.count(), itertools.count()
    filling = text.encode("latin-1") + (b"x" * 70 + b"\r\n") * max(1, size // 72)

    def envelope():
        lines = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{recipient.format(n=next(numbers))}>" for _ in range(recipients)),
                 "DATA", ""]
        return "\r\n".join(lines).encode()

    async def session():
        async with connected(source, port) as peer:
            await logged_in(peer, login)
            while next(left) < count:
                peer.writer.write(envelope())
                for _ in range(recipients + 1):
                    await peer.expect("250")
                await peer.expect("354")
                peer.writer.write(head.encode() + filling + b".\r\n")
                await peer.expect("250")
                told["accepted"] += 1
        raise asyncio.CancelledError

    head = f"From: {sender}\r\nTo: you@there.example\r\nSubject: flood\r\n\r\n"
    await asyncio.gather(*(again_and_again(session) for _ in range(connections)), return_exceptions=True)


async def loops(port, login, sender, connections=10, source=None):
    """Transactions that come to nothing, and commands that are refused."""
    lines = [f"MAIL FROM:<{sender}>", "RSET", "MAIL FROM:<ceo@victim.example>", "RCPT TO:<nobody", "RSET",
             f"MAIL FROM:<{sender}>", "RCPT TO:<a@b.example>", "RSET"]
    data = "".join(line + "\r\n" for line in lines).encode()

    async def attempt():
        async with connected(source, port) as peer:
            await logged_in(peer, login)
            while True:
                peer.writer.write(data * 10)
                for _ in range(10 * len(lines)):
                    await peer.expect(None)
    await asyncio.gather(*(again_and_again(attempt) for _ in range(connections)))


async def main():
    attack, options = sys.argv[1], json.loads(sys.argv[2])
    work = asyncio.ensure_future(globals()[attack](**options))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    print(json.dumps(told), flush=True)
    os._exit(0)  # not the thousands of connections one by one


if __name__ == "__main__":
    asyncio.run(main())
