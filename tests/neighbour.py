"""A well-behaved customer beside others: how long its mail waits, and whether its logins are heard."""

import contextlib
import itertools
import math
import re
import smtplib
import threading
import time

from harness import DEADLINE, client_tls, wait_for
from sink import Sink

PAUSE_S = 0.2
LOGIN_EVERY = 4  # messages
LONGER_S = 5     # may a wait be, because of one account or 50 strangers


class Clock(Sink):
    """Keeps when each message's first copy came, by the field X-Load-Id; `count` is of all."""

    def __init__(self, **options):
        super().__init__(**options)
        self.came, self.count = {}, 0

    def keep(self, message):
        found = re.search(rb"X-Load-Id: (\S+)", message.body[:4096])
        with self.lock:
            self.count += 1
            if found:
                self.came.setdefault(found[1].decode(), time.monotonic())


class Waits:
    """In seconds, of each message: `door` until its 250, with a login now and then; `way` from there to the sink."""

    def __init__(self):
        self.door, self.way, self.refused = [], [], []

    def __str__(self):
        def three(values):
            ordered = sorted(values)
            return "/".join(f"{ordered[min(len(ordered) - 1, len(ordered) * part // 100)]:.2f}" for part in (50, 90, 100))
        return (f"250 after {three(self.door)} s, delivered {three(self.way)} s later "
                f"(median, 90 %, longest of {len(self.way)})")


class Neighbour:
    """It sends to `domains` in turn, {n} in them is a number that is new each time, whose mail comes to `sinks`; every
    few messages it comes from a new address and logs in."""

    SOURCES = (f"127.60.{third}.{fourth}" for third in range(256) for fourth in range(1, 255))
    names = itertools.count()

    def __init__(self, shout, account, domain, domains, sinks):
        self.shout, self.account, self.sender = shout, account, f"anna@{domain}"
        self.domains, self.sinks, self.client = itertools.cycle(domains), sinks, None

    def login(self):
        self.close()
        self.client = smtplib.SMTP("127.0.0.1", self.shout.ports["starttls"], timeout=DEADLINE,
                                   source_address=(next(self.SOURCES), 0))
        self.client.starttls(context=client_tls())
        self.client.login(self.account["username"], self.account["password"])

    def close(self):
        if self.client:
            self.client.close()
        self.client = None

    def post(self, name, waits):
        """Until it is accepted; what was refused is noted."""
        to = f"bob@{next(self.domains).format(n=next(self.names))}"
        text = f"From: {self.sender}\r\nTo: {to}\r\nSubject: hello\r\nX-Load-Id: {name}\r\n\r\nHello.\r\n"
        begun = time.monotonic()
        while True:
            try:
                if not self.client:
                    self.login()
                self.client.sendmail(self.sender, [to], text)
                break
            except (smtplib.SMTPException, OSError) as refused:
                waits.refused.append(repr(refused))
                self.close()
                assert time.monotonic() < begun + 2 * DEADLINE, waits.refused
                time.sleep(PAUSE_S)
        now = time.monotonic()
        waits.door.append(now - begun)
        return now

    def arrival(self, name):
        return next((sink.came[name] for sink in self.sinks if name in sink.came), None)

    def arrived(self, names):
        return all(self.arrival(name) for name in names)

    def measure(self, count, deadline=60):
        """Sends `count` messages and waits for them; what does not come has waited for endless time."""
        waits, accepted = Waits(), {}
        for number in range(count):
            if number % LOGIN_EVERY == 0:
                self.close()
            name = f"neighbour-{next(self.names)}"
            accepted[name] = self.post(name, waits)
            time.sleep(PAUSE_S)
        self.close()
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self.arrived(accepted), deadline)
        waits.way = [max(0, (self.arrival(name) or math.inf) - when) for name, when in accepted.items()]
        return waits


def rss_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024


class Footprint:
    """What the relay and its Redis hold at most within the block, beyond what they held before."""

    def __init__(self, shout, redis):
        self.shout, self.redis, self.over = shout, redis, threading.Event()
        self.rss_mb = self.keys = self.redis_kb = 0

    def look(self):
        used = int(re.search(r"used_memory_dataset:(\d+)", self.redis.run("INFO", "memory"))[1])
        return rss_mb(self.shout.process.pid), int(self.redis.run("DBSIZE")), used / 1024

    def watch(self):
        while not self.over.wait(0.5):
            self.note()

    def note(self):
        now = [new - old for new, old in zip(self.look(), self.before)]
        self.rss_mb, self.keys, self.redis_kb = map(max, (self.rss_mb, self.keys, self.redis_kb), now)

    def __enter__(self):
        self.before = self.look()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.note()

    def __str__(self):
        return f"+{self.rss_mb:.0f} MB, Redis +{self.keys} keys, +{self.redis_kb:.0f} KB"
