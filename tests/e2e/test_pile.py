"""Thousands of messages that wait cost neither the others' delivery nor memory, and all of them arrive
in the end. `make bench-pile` measures the same with more."""

import re

import pytest

from harness import BUILD, wait_for
from load import Balance, Load

PILE, GOOD = 3000, 300
WINDOW = 250  # DEFERRAL_WINDOW


def rss_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024


class Pile:
    """PILE messages wait for dead.example, which answers 451; `before` is the RSS without them."""

    def __init__(self, shout, good, dead):
        self.shout, self.good, self.dead = shout, good, dead
        account = shout.account_add()
        self.login = account["username"], account["password"]
        dead.on("rcpt", "451 4.3.0 not now")
        self.send("a@good.example", 20)
        wait_for(lambda: len(good.find()) == 20, 60, "some mail to warm up")
        good.clear()
        self.before = rss_mb(shout.process.pid)
        self.load = self.send("a@dead.example", PILE)
        self.await_rows(PILE)

    def send(self, recipient, count):
        load = Load([f"127.0.0.1:{self.shout.ports['plain']}"], sessions=4, count=count, size=4096,
                    login=self.login, recipient=recipient).start().join()
        assert load.accepted() == count
        return load

    def await_rows(self, count):
        wait_for(lambda: self.shout.metric("shout_sender_waiting") == count, 120, f"{count} rows")


def assert_each_arrived_once(load, sink):
    balance = Balance(load.sent, [message.header("X-Load-Id") for message in sink.find()])
    assert not balance.lost and not balance.duplicates and not balance.extra, str(balance)


@pytest.fixture
def pile(two_sites):
    return Pile(*two_sites)


def test_good_mail_passes_a_pile_that_waits_in_little_memory(pile):
    shout = pile.shout
    good = pile.send("b@good.example", GOOD)
    wait_for(lambda: len(pile.good.find()) >= GOOD, 60, "all the good mail")
    wait_for(lambda: shout.metric("shout_sender_records") == 0, 60, "nothing is in hand")
    assert_each_arrived_once(good, pile.good)
    assert not pile.dead.find()
    assert shout.metric("shout_sender_waiting") == PILE
    assert shout.metric("shout_sender_loaded") <= WINDOW
    assert shout.metric("shout_sender_timers") == 1
    # the site rests: few of them were ever tried
    assert len(shout.events("deferred")) < 100
    if BUILD.name == "build":  # sanitizers keep what is freed
        wait_for(lambda: rss_mb(shout.process.pid) < pile.before + 16, what="memory is given back")


def test_a_retry_brings_all_of_the_pile(pile):
    pile.dead.clear()
    pile.shout.shoutctl("queue", "retry", "--site", "mx.dead.example")
    pile.await_rows(0)
    assert_each_arrived_once(pile.load, pile.dead)
    assert pile.shout.metric("shout_sender_loaded") == 0


def test_a_kill_finds_the_pile_again(pile):
    pile.shout.kill()
    pile.shout.restart()
    pile.await_rows(PILE)
    pile.dead.clear()
    pile.shout.shoutctl("queue", "retry", "--site", "mx.dead.example")
    pile.await_rows(0)
    assert_each_arrived_once(pile.load, pile.dead)
