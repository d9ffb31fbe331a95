"""Redis, clamd or the next hop goes away in mid-load and comes back: known clients keep working,
unknown ones are told to come again, nothing is lost and nobody has to help."""

import contextlib
import smtplib
import time

import pytest

from harness import wait_for
from load import REFUSED
from scale import scale
from sink import HANG

AWAY_S = scale("SHOUT_OUTAGE_S")


@contextlib.contextmanager
def killed(server):
    server.kill()
    try:
        yield
    finally:
        server.start()


def paused(server):
    return server.paused()


@contextlib.contextmanager
def stopped(sink):
    sink.stop()
    try:
        yield
    finally:
        sink.resume()


@contextlib.contextmanager
def hanging(sink):
    """It takes connections and answers nothing."""
    rules = [sink.on(step, HANG) for step in ("banner", "mail")]
    try:
        yield
    finally:
        for rule in rules:
            sink.rules.remove(rule)


def outage(load, away, check=lambda: None):
    """Mail flows, then something is away for AWAY_S while the load goes on."""
    wait_for(lambda: load.accepted() > 200, what="mail flows")
    with away:
        end = time.monotonic() + AWAY_S
        while time.monotonic() < end:
            check()
            time.sleep(0.1)
        during = load.accepted()
    wait_for(lambda: load.accepted() > during + 200, 60, "mail flows again")


def unknown_is_told_to_come_again(relay):
    """What a client that Shout has never seen hears: (AUTH, MAIL)."""
    with smtplib.SMTP("127.0.0.1", relay.shout.ports["plain"], timeout=60,
                      source_address=("127.0.0.77", 0)) as client:
        client.ehlo()
        mail = client.mail("anna@customer.example")[0]
    with relay.shout.smtp("plain") as client:
        client.ehlo()
        try:
            auth = client.login("nobody", "wrong")[0]
        except smtplib.SMTPAuthenticationError as refused:
            auth = refused.smtp_code
    return auth, mail


@pytest.mark.parametrize("away", [paused, killed])
def test_without_redis_known_clients_keep_working_and_unknown_ones_wait(relay, tell, away):
    r = relay()
    load = r.load(sessions=8, pause=0.01).start()
    heard = []
    outage(load, away(r.redis), lambda: heard.append(unknown_is_told_to_come_again(r)))
    result = r.settle(load.stop())
    tell(f"Redis {away.__name__}: {result}")
    assert not result.lost and not result.extra and not load.codes()
    assert heard and {auth for auth, _ in heard} == {454} and {mail for _, mail in heard} <= {451, 454}
    # the answer is the right one again, once every thread has its connection: until then one may say 535 and
    # another 451, and each 535 brings this address nearer to being shut out
    wait_for(lambda: "redis: ready" in r.shout.get("/readyz")[1], what="Redis is connected to")
    wait_for(lambda: unknown_is_told_to_come_again(r) == (535, 530), what="Redis is asked again")


@pytest.mark.parametrize("away", [paused, killed])
def test_without_clamd_mail_is_accepted_and_waits(relay, rig, tell, away):
    r = relay(clamd=rig.clamd(), settings={"scanner": {"timeout": "2s"}})
    load = r.load(sessions=8, pause=0.02).start()
    outage(load, away(r.clamd))
    result = r.settle(load.stop())
    tell(f"clamd {away.__name__}: {result}")
    assert not result.lost and not result.extra and not result.duplicates and not load.codes()
    assert not r.shout.events("held")


@pytest.mark.parametrize("away", [stopped, hanging])
def test_without_the_next_hop_mail_is_accepted_and_waits(relay, tell, away):
    r = relay(settings={"sender": {"timeout": {"command": "1s", "dot": "1s"}}})
    load = r.load(sessions=8, pause=0.02).start()
    outage(load, away(r.sink))
    result = r.settle(load.stop())
    tell(f"next hop {away.__name__}: {result}")
    assert not result.lost and not result.extra and not load.codes()
    assert not r.shout.events("bounced")


def test_a_crash_while_redis_is_away_refuses_nobody_for_good(relay, tell):
    r = relay()
    load = r.load(sessions=8, pause=0.01).start()
    wait_for(lambda: load.accepted() > 200, what="mail flows")
    with killed(r.redis):
        r.shout.kill()
        r.shout.start(wait=False)
        wait_for(lambda: len(load.all(REFUSED)) > 20, what="nobody is known")
        assert unknown_is_told_to_come_again(r) == (454, 451)
        before = load.accepted()
    wait_for(lambda: load.accepted() > before + 200, 60, "mail flows again")
    result = r.settle(load.stop())
    tell(f"crash without Redis: {result}")
    assert not result.lost and not result.extra
    assert set(load.codes()) <= {451, 454}
