"""Thousands of messages that wait cost neither the others' delivery nor memory, and all of them arrive
in the end. `make bench-pile` measures the same with more."""

import re

import pytest

from harness import BUILD, send, wait_for

SENDER = "anna@customer.example"
PILE, GOOD = 3000, 300
BODY = b"From: anna@customer.example\r\nSubject: pile\r\n\r\n" + 57 * (b"x" * 70 + b"\r\n")
WINDOW = 250  # DEFERRAL_WINDOW


def rss_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024


@pytest.fixture
def pile(two_sites):
    """PILE messages wait for dead.example: (shout, good sink, dead sink, account, RSS before)."""
    shout, good, dead = two_sites
    account = shout.account_add()
    dead.on("rcpt", "451 4.3.0 not now")
    with shout.smtp("plain", account=account) as client:
        send(client, SENDER, ["first@good.example"], BODY)
        wait_for(lambda: len(good.find()) == 1, 60, "one message to warm up")
        before = rss_mb(shout.process.pid)
        for i in range(PILE):
            send(client, SENDER, [f"a{i}@dead.example"], BODY)
    wait_for(lambda: shout.metric("shout_sender_waiting") == PILE, 60, "a row each")
    return shout, good, dead, account, before


def recipients(sink):
    return sorted(to for message in sink.find() for to in message.recipients)


def test_good_mail_passes_a_pile_that_waits_in_little_memory(pile):
    shout, good, dead, account, before = pile
    with shout.smtp("plain", account=account) as client:
        for i in range(GOOD):
            send(client, SENDER, [f"b{i}@good.example"], BODY)
    wait_for(lambda: len(good.find()) == 1 + GOOD, 60, "all the good mail")
    wait_for(lambda: shout.metric("shout_sender_records") == 0, 60, "nothing is in hand")
    assert not dead.find()
    assert shout.metric("shout_sender_waiting") == PILE
    assert shout.metric("shout_sender_loaded") <= WINDOW
    assert shout.metric("shout_sender_timers") == 1
    # the site rests: few of them were ever tried
    assert len(shout.events("deferred")) < 100
    if BUILD.name == "build":  # sanitizers keep what is freed
        wait_for(lambda: rss_mb(shout.process.pid) < before + 16, what="memory is given back")


def test_a_retry_brings_all_of_the_pile(pile):
    shout, _, dead, _, _ = pile
    dead.rules.clear()
    shout.shoutctl("queue", "retry", "--site", "mx.dead.example")
    wait_for(lambda: shout.metric("shout_sender_waiting") == 0, 120, "no row is left")
    assert recipients(dead) == sorted(f"a{i}@dead.example" for i in range(PILE))
    assert shout.metric("shout_sender_loaded") == 0


def test_a_restart_finds_the_pile_again(pile):
    shout, _, dead, _, _ = pile
    shout.kill()
    dead.rules.clear()
    shout.restart()
    wait_for(lambda: shout.metric("shout_sender_waiting") == PILE, 60, "every row is counted")
    shout.shoutctl("queue", "retry", "--site", "mx.dead.example")
    wait_for(lambda: shout.metric("shout_sender_waiting") == 0, 120, "no row is left")
    assert recipients(dead) == sorted(f"a{i}@dead.example" for i in range(PILE))
