"""A relay for fault tests: everything it delivers is counted by a sink that outlives it, and the load
comes from an address that names its account."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402
import sink as sinks  # noqa: E402
from load import Load, balance  # noqa: E402


class Relay:
    """`shout all` between a load and a Counter; `redis` (None: one of its own) and `clamd` (None: mail is not
    scanned)."""

    def __init__(self, rig, certificate, clamd=None, settings=None, redis=None, **options):
        self.redis, self.clamd, self.sink = redis or rig.redis(), clamd, rig.add(sinks.Counter())
        merged = {"log": {"level": "info"}, **(settings or {})}
        self.shout = rig.shout(self.redis, clamd=clamd, route=self.sink.host, certificate=certificate,
                               settings=merged, **options)
        self.shout.account_add(mode="ip", ip="127.0.0.1")
        self.account = self.shout.account_add("other", domain="other.example")

    @property
    def address(self):
        return f"127.0.0.1:{self.shout.ports['plain']}"

    def load(self, **options):
        return Load([self.address], **options)

    def settle(self, *loads):
        """Waits until all that was accepted has arrived, and nothing is left; the balance."""
        accepted = sum(load.accepted() for load in loads)
        harness.wait_for(lambda: self.sink.count() >= accepted, 90,
                         f"{accepted} messages arrive; {self.sink.count()} are there")
        harness.wait_for(self.is_empty, 90, "the queue is empty")
        return balance(list(loads), self.sink)

    def is_empty(self):
        return not any(self.shout.shoutctl("queue", "list")["queue"].values())


@pytest.fixture
def relay(rig, certificate):
    """relay(clamd=..., settings=...) -> Relay"""
    return lambda **options: Relay(rig, certificate, **options)
