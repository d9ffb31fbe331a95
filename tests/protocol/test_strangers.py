"""Who may be here: customers always, strangers as far as they are in nobody's way. Every stranger has an
address of its own on loopback."""

import contextlib
import socket

import dialogue
import pytest
from dialogue import CLOSED, letter
from harness import client_tls, wait_for

TURNED_OUT = "421 4.3.2 Idle, and others need this connection$"


@contextlib.contextmanager
def crowd(shout):
    """crowd(source) is a connection that has said EHLO; all are closed in the end."""
    talks = []

    def come(source, listener="plain", **options):
        talks.append(dialogue.Talk(shout.ports[listener], source=source, **options))
        return talks[-1]

    yield come
    for one in talks:
        one.socket.close()
    wait_for(lambda: shout.metric("shout_ingress_sessions") == 0)


def customer(come, source):
    one = come(source)
    one.hello()
    one.login()
    return one


@pytest.fixture(scope="module")
def narrow(module_rig, redis, sink, certificate):
    """20 places, 10 of them for strangers, 6 for those of one network."""
    return dialogue.start(module_rig, redis, sink, certificate, ("plain", "proxy"), connections_max=20,
                          connections_per_address=12, strangers_per_network=6)


def strangers(come, count, network):
    """One after the other."""
    talks = []
    for i in range(count):
        talks.append(come(f"127.{network}.{i}.1"))
        talks[-1].hello()
    return talks


def test_a_new_customer_comes_in_however_many_strangers_sit_there(narrow):
    before = narrow.metric("shout_ingress_turned_out_total")
    with crowd(narrow) as come:
        first, second, *_ = strangers(come, 10, 10)
        assert narrow.metric("shout_ingress_strangers") == 10
        customer(come, "127.10.100.1").accepted(letter())
        first.run([(None, TURNED_OUT), (None, CLOSED)])
        second.ask("NOOP", "250 ")
        assert narrow.metric("shout_ingress_strangers") == 9
        assert narrow.metric("shout_ingress_turned_out_total") == before + 1


def test_a_stranger_who_comes_further_is_behind_the_others(narrow):
    with crowd(narrow) as come:
        first, second, *_ = strangers(come, 10, 11)
        first.ask("NOOP", "250 ")
        first.ask("AUTH LOGIN", "334 ")
        come("127.11.100.1").hello()
        second.run([(None, TURNED_OUT), (None, CLOSED)])
        first.ask("*", "501 ")


def test_strangers_leave_the_places_of_who_is_known(narrow):
    with crowd(narrow) as come:
        first = customer(come, "127.12.100.1")
        strangers(come, 30, 12)
        assert narrow.metric("shout_ingress_strangers") == 10
        others = [come("127.12.100.1") for _ in range(9)]  # the address is known now
        for one in others:
            one.hello()
        for one in [first, *others]:
            one.ask("NOOP", "250 ")
        assert narrow.metric("shout_ingress_sessions") == 20
        customer(come, "127.12.100.1").accepted(letter())  # and the eleventh takes a stranger's
        assert wait_for(lambda: narrow.metric("shout_ingress_strangers") == 9)


def test_nobody_is_turned_out_of_a_transaction(narrow):
    with crowd(narrow) as come:
        busy = [customer(come, f"127.13.{i % 2}.1") for i in range(20)]
        for one in busy:
            one.begin()
        come("127.13.0.1").run([(None, "421 4.3.2 Too many connections, try again soon$"), (None, CLOSED)])
        come("127.13.9.1").run([(None, "421 4.3.2 Too many connections, try again soon$"), (None, CLOSED)])
        busy[0].ask("DATA", "354 ")
        busy[0].raw(letter()).see("250 2.0.0 queued")


def test_a_public_ip_is_known_by_its_mail(narrow):
    with crowd(narrow) as come:
        one = come(dialogue.KNOWN)
        one.hello()
        one.accepted(letter("a@ip.example"), sender="a@ip.example")
        strangers(come, 12, 14)
        come(dialogue.KNOWN).hello()
        assert narrow.metric("shout_ingress_strangers") == 10
        one.ask("NOOP", "250 ")


def test_a_network_has_its_share_of_strangers(narrow):
    with crowd(narrow) as come:
        elsewhere, = strangers(come, 1, 16)
        neighbour = come("127.15.0.1")
        neighbour.hello()
        others = [come(f"127.15.0.{i + 2}") for i in range(5)]
        for one in others:
            one.hello()
        come("127.15.0.7").hello()
        neighbour.run([(None, TURNED_OUT), (None, CLOSED)])
        for one in (*others, elsewhere):
            one.ask("NOOP", "250 ")


def proxied(client):
    return f"PROXY TCP4 {client} 192.0.2.1 1234 25\r\n".encode()


def test_a_proxy_s_clients_count_and_not_the_proxy(narrow):
    with crowd(narrow) as come:
        known = come(None, "proxy", first=proxied("192.0.2.9"))
        known.hello()
        known.login()
        many = [come(None, "proxy", first=proxied("192.0.2.9")) for _ in range(11)]
        for one in many:
            one.hello()
        thirteenth = come(None, "proxy", first=proxied("192.0.2.9"))
        thirteenth.run([(None, "421 4.3.2 Too many connections from your address$"), (None, CLOSED)])
        come(None, "proxy", first=proxied("192.0.2.10")).hello()
        for _ in range(13):  # the proxy's own, as its health checks
            come(None, "proxy", first=b"PROXY UNKNOWN\r\n").hello()
        known.ask("NOOP", "250 ")


def test_a_proxy_header_has_little_time_and_a_place_of_a_stranger(narrow):
    with crowd(narrow) as come:
        silent = [come(None, "proxy", first=b"PROXY TCP4") for _ in range(15)]
        assert wait_for(lambda: narrow.metric("shout_ingress_strangers") == 10)
        customer(come, "127.17.0.1").accepted(letter())
        silent[-1].ended()


@pytest.fixture(scope="module")
def strict(module_rig, redis, sink, certificate):
    """Little time, and low rates."""
    return dialogue.start(module_rig, redis, sink, certificate, ("plain", "optional", "implicit", "proxytls"),
                          stranger_timeout="1s",
                          stranger_rates={"connections": 12, "handshakes": 3, "commands": 10})


def ends(talk, command, text):
    """It says the command until it hears the end."""
    for _ in range(100000):
        talk.say(command)
        reply = talk.reply()
        if reply.startswith("421"):
            assert reply == text
            talk.ended()
            return
    raise AssertionError("no end")


def test_a_stranger_s_time_is_up_whatever_it_says(strict):
    with crowd(strict) as come:
        known = customer(come, "127.20.0.1")
        other = come("127.20.0.1")
        other.hello()
        dripping = come("127.20.0.2")
        dripping.hello()
        with contextlib.suppress(ConnectionError):
            while True:
                dripping.socket.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    dripping.see("421 4.4.2 Too long without mail, and not logged in$")
                    break
                dripping.raw(b"N")
        come("127.20.0.3").run([(None, "220 "), (None, "421 4.4.2 Too long without mail"), (None, CLOSED)])
        come("127.20.0.3", "implicit").ended()
        come(None, "proxytls").ended()
        known.accepted(letter())
        other.ask("NOOP", "250 ")


def test_a_stranger_s_connections_have_a_rate(strict):
    with crowd(strict) as come:
        for _ in range(12):
            come("127.21.0.1").see("220 ")
        refused = come("127.21.0.1")
        refused.run([(None, "421 4.7.0 Too many connections from your address in a minute$"), (None, CLOSED)])
        come("127.21.0.2").hello()
        customer(come, "127.21.0.3")
        for _ in range(20):
            come("127.21.0.3").see("220 ")
    assert strict.metric("shout_ingress_refused_total", 'reason="rate"') >= 1


def shake(come, source, listener):
    one = come(source, listener)
    if listener == "optional":
        one.hello()
        one.ask("STARTTLS", "220 ")
    one.tls()
    one.ask("EHLO c", "250") if listener == "optional" else one.hello()
    return one


@pytest.mark.parametrize("listener", ["optional", "implicit"])
def test_a_stranger_s_handshakes_have_a_rate(strict, listener):
    source = {"optional": "127.22.0.1", "implicit": "127.22.1.1"}[listener]
    with crowd(strict) as come:
        for _ in range(3):
            shake(come, source, listener)
        one = come(source, listener)
        if listener == "optional":
            one.hello()
            one.ask("STARTTLS", "421 4.7.0 Too many TLS handshakes from your address in a minute$")
        one.ended()
        customer(come, source)
        for _ in range(5):
            shake(come, source, listener)


POINTLESS = ["NOOP", "RSET", "VRFY x", "EXPN x", "HELP", "EHLO c", "HELO c", "X", "RCPT TO:<a@b.c>",
             "MAIL FROM:<a@acme.example>", "AUTH PLAIN !"]


@pytest.mark.parametrize("command", POINTLESS)
def test_a_stranger_s_commands_have_a_rate(strict, command):
    """Over all sessions of the address; not of another one."""
    source = f"127.23.{POINTLESS.index(command)}.1"
    text = "421 4.7.0 Too many commands without mail from your address in a minute"
    with crowd(strict) as come:
        first, second = come(source), come(source)
        for one in (first, second):
            one.see("220 ")
        first.ask("EHLO c", "250")
        for _ in range(4):
            first.ask("NOOP", "250 ")
        second.ask("EHLO c", "250")
        ends(second, command, text)
        first.ask("NOOP", text)
        come(f"127.23.{POINTLESS.index(command)}.2").hello()


def test_a_customer_s_commands_have_none(strict):
    with crowd(strict) as come:
        one = customer(come, "127.24.0.1")
        for _ in range(50):
            one.ask("NOOP", "250 ")


def test_floods_at_the_door_are_told_and_bounded(rig, redis, sink, certificate):
    shout = dialogue.start(rig, redis, sink, certificate, ("plain",), stranger_rates={"connections": 1})
    with crowd(shout) as come:
        come("127.25.0.1").hello()
        for _ in range(20):
            come("127.25.0.1").see("421 4.7.0 ")
    assert shout.stop() == 0
    events = [e for e in shout.events("rejected") if e["client"] == "127.25.0.1"]
    assert len(events) <= 2 and sum(e["count"] for e in events) == 20  # one of each loop
    assert {e["reply"] for e in events} == {"421 4.7.0 Too many connections from your address in a minute"}
