"""Listeners: TLS and its profiles, SNI, certificates read again, PROXY headers, limits, the end."""

import signal
import socket
import ssl
import struct
import subprocess

import dialogue
import pytest
from dialogue import CLOSED, KNOWN, letter, plain
from harness import EC_KEY, client_tls, make_certificate, wait_for

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source, command=0x21, tlv=b""):
    addresses = socket.inet_aton(source) + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 1234, 25) + tlv
    return V2 + bytes([command, 0x11]) + struct.pack("!H", len(addresses)) + addresses


def test_every_listener_takes_mail(ready, talk):
    ready("plain").accepted(letter())
    ready("implicit", tls=client_tls()).accepted(letter())
    for name in ("starttls", "optional"):
        one = talk(name)
        one.hello()
        one.ask("STARTTLS", "220 ")
        one.tls()
        one.ask("EHLO c", "250-")
        one.login()
        one.accepted(letter())


def limited(version):
    context = client_tls()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_0_works_on_the_legacy_listener_alone(ready, talk, door):
    one = ready("legacy", tls=limited(ssl.TLSVersion.TLSv1))
    assert one.socket.version() == "TLSv1"
    one.accepted(letter())
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(ssl.SSLError):
            talk("implicit", tls=limited(version))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        talk("implicit", tls=limited(version)).hello()
    assert wait_for(lambda: door.metric("shout_ingress_tls_total", 'result="failed"'))


def test_sni_picks_the_certificate_and_sighup_reads_it_again(rig, redis, sink):
    first, second = rig.path("first"), rig.path("second")
    for directory in (first, second):
        directory.mkdir()
    default = make_certificate(first, ("shout.test",))
    other = make_certificate(second, ("other.test",))
    shout = dialogue.start(rig, redis, sink, default, ("implicit", "plain"), tls={
        "certificate": str(default[0]), "key": str(default[1]),
        "more": [{"certificate": str(other[0]), "key": str(other[1])}]})

    def certificate(name):
        with socket.create_connection(("127.0.0.1", shout.ports["implicit"]), 10) as raw:
            with client_tls().wrap_socket(raw, server_hostname=name) as tls:
                return tls.getpeercert(binary_form=True)
    pem = {path: ssl.PEM_cert_to_DER_cert(path.read_text()) for path in (default[0], other[0])}
    assert certificate("shout.test") == pem[default[0]]
    assert certificate("other.test") == pem[other[0]]
    assert certificate("unknown.test") == pem[default[0]]
    with dialogue.Talk(shout.ports["implicit"], tls=client_tls()) as running:
        running.hello()
        make_certificate(first, ("shout.test",))
        renewed = ssl.PEM_cert_to_DER_cert(default[0].read_text())
        shout.process.send_signal(signal.SIGHUP)
        wait_for(lambda: certificate("shout.test") == renewed)
        running.ask("NOOP", "250 ")
        default[1].write_text("broken")
        shout.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "certificates stay as they were" in shout.log())
        assert certificate("shout.test") == renewed


@pytest.fixture(scope="module")
def two_kinds(module_rig, redis, sink):
    """A Shout with an ECDSA and an RSA certificate for its name: (shout, the RSA one's paths)."""
    pairs = []
    for kind, key_kind in (("ecdsa", EC_KEY), ("rsa", ["rsa:2048"])):
        directory = module_rig.path(kind)
        directory.mkdir()
        pairs.append(make_certificate(directory, ("shout.test",), key_kind))
    shout = dialogue.start(module_rig, redis, sink, pairs[0], ("plain", "implicit", "legacy"), tls={
        "certificate": str(pairs[0][0]), "key": str(pairs[0][1]),
        "more": [{"certificate": str(pairs[1][0]), "key": str(pairs[1][1])}]})
    return shout, pairs[1]


def certificate_for(shout, ciphers, name="shout.test"):
    """What a client gets that knows TLS 1.2 with these ciphers."""
    context = client_tls()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", shout.ports["implicit"]), 10) as raw:
        with context.wrap_socket(raw, server_hostname=name) as tls:
            return tls.getpeercert(binary_form=True)


@pytest.mark.parametrize("name", ["shout.test", None, "unknown.test"])
def test_an_rsa_and_an_ecdsa_certificate_serve_one_name(two_kinds, name):
    shout, rsa = two_kinds
    pem = ssl.PEM_cert_to_DER_cert(rsa[0].read_text())
    assert certificate_for(shout, "aRSA", name) == pem
    assert certificate_for(shout, "aECDSA", name) not in (pem, None)


def test_either_kind_of_certificate_is_read_again(two_kinds):
    shout, rsa = two_kinds
    ecdsa = certificate_for(shout, "aECDSA")
    make_certificate(rsa[0].parent, ("shout.test",), ["rsa:2048"])
    renewed = ssl.PEM_cert_to_DER_cert(rsa[0].read_text())
    shout.process.send_signal(signal.SIGHUP)
    wait_for(lambda: certificate_for(shout, "aRSA") == renewed)
    assert certificate_for(shout, "aECDSA") == ecdsa


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
@pytest.mark.parametrize("cipher", ["DHE-RSA-AES128-SHA", "DHE-RSA-AES256-SHA", "AES128-SHA", "ECDHE-RSA-AES128-SHA",
                                    "ECDHE-ECDSA-AES128-SHA"])
def test_an_old_device_finds_its_cipher_on_the_legacy_listener(two_kinds, version, cipher):
    shout = two_kinds[0]

    def connect(listener):
        return subprocess.run(
            ["openssl", "s_client", version, "-cipher", f"{cipher}:@SECLEVEL=0", "-brief", "-connect",
             f"127.0.0.1:{shout.ports[listener]}"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60).stderr
    assert f"Ciphersuite: {cipher}\n" in connect("legacy")
    assert "ESTABLISHED" not in connect("implicit")


PROXIED = {
    "version 1": b"PROXY TCP4 127.0.0.2 192.0.2.1 1234 25\r\n",
    "version 2": v2(KNOWN),
    "version 2 with TLVs": v2(KNOWN, tlv=b"\x04\x00\x10" + b"x" * 16),
}


@pytest.mark.parametrize("header", PROXIED.values(), ids=PROXIED.keys())
def test_a_proxy_says_who_the_client_is(talk, header):
    one = talk("proxy", first=header)
    one.hello()
    one.accepted(letter("a@ip.example"), sender="a@ip.example")


@pytest.mark.parametrize("header", PROXIED.values(), ids=PROXIED.keys())
def test_a_proxy_header_may_come_in_pieces_and_tls_behind_it(talk, header):
    one = talk("proxytls")
    for i in range(len(header)):
        one.raw(header[i:i + 1])
    one.tls()
    one.hello()
    one.accepted(letter("a@ip.example"), sender="a@ip.example")
    one = talk("proxytls", first=header, tls=client_tls())
    one.hello()


def test_a_proxy_may_speak_for_itself(talk):
    """LOCAL and UNKNOWN: health checks; the connection's own peer counts."""
    for header in (V2 + b"\x20\0\0\0", b"PROXY UNKNOWN\r\n"):
        one = talk("proxy", first=header)
        one.hello()
        one.ask("MAIL FROM:<a@ip.example>", "530 ")


NO_PROXY = {
    "SMTP": b"EHLO c\r\n",
    "garbage": b"\0" * 100,
    "half a header": b"PROXY TCP4 127.0.0.2\r\n",
    "a CR too many": b"PROXY TCP4 127.0.0.2 192.0.2.1 1234 25\r\r\n",
    "an endless one": b"PROXY TCP4 " + b"1" * 5000,
    "a bad version 2": V2 + b"\x31\x11\0\x0c" + b"x" * 12,
}


@pytest.mark.parametrize("data", NO_PROXY.values(), ids=NO_PROXY.keys())
def test_without_a_header_nobody_comes_through_the_proxy_s_listener(talk, data):
    talk("proxy", first=data).ended()


def test_a_header_is_taken_from_listed_proxies_only(talk):
    talk("proxy", source="127.0.0.7", first=PROXIED["version 1"]).ended()
    one = talk("plain", first=PROXIED["version 1"])
    one.run([(None, "(554 5.5.0|220) ")])


def small(rig, redis, sink, certificate, **settings):
    return dialogue.start(rig, redis, sink, certificate, ("plain", "optional", "implicit"), **settings)


def test_connections_of_one_address_are_limited(rig, redis, sink, certificate):
    shout = small(rig, redis, sink, certificate, connections_per_address=3)
    talks = [dialogue.Talk(shout.ports["plain"], source="127.0.0.8") for _ in range(3)]
    for one in talks:
        one.hello()
    with dialogue.Talk(shout.ports["plain"], source="127.0.0.8") as fourth:
        fourth.run([(None, "421 4.3.2 "), (None, CLOSED)])
    with dialogue.Talk(shout.ports["plain"], source="127.0.0.9") as other:
        other.hello()
    talks[0].ask("QUIT", "221 ")

    def again():
        with dialogue.Talk(shout.ports["plain"], source="127.0.0.8") as one:
            return one.see("(220|421) ").startswith("220")
    wait_for(again)
    for one in talks:
        one.socket.close()


def test_an_idle_client_hears_421(rig, redis, sink, certificate):
    shout = small(rig, redis, sink, certificate, timeout="10s")
    with dialogue.Talk(shout.ports["plain"]) as one:
        one.hello()
        one.run([(None, "421 4.4.2 "), (None, CLOSED)])


def test_a_graceful_stop_finishes_what_has_begun(rig, redis, sink, certificate):
    shout = small(rig, redis, sink, certificate)
    idle, busy, mailing = (dialogue.Talk(shout.ports["plain"]) for _ in range(3))
    for one in (idle, busy, mailing):
        one.hello()
        one.login()
    busy.message(b"From: a@acme.example\r\n\r\nhalf")
    mailing.begin()
    shout.process.terminate()
    idle.run([(None, "421 4.3.2 "), (None, CLOSED)])
    with pytest.raises(OSError):
        wait_for(lambda: socket.create_connection(("127.0.0.1", shout.ports["plain"]), 5).close())
    mailing.ask("DATA", "354 ")
    mailing.raw(letter()).run([(None, "250 2.0.0 queued"), (None, "421 4.3.2 "), (None, CLOSED)])
    busy.raw(b"\r\n.\r\n").run([(None, "250 2.0.0 queued"), (None, "421 4.3.2 "), (None, CLOSED)])
    assert shout.process.wait(30) == 0


def test_a_session_that_goes_away_in_the_middle_is_forgotten(door, ready):
    wait_for(lambda: door.metric("shout_ingress_sessions") == 0)
    one = ready()
    one.message(b"From: a@acme.example\r\n\r\nhalf")
    assert door.metric("shout_ingress_sessions") == 1
    one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.socket.close()
    wait_for(lambda: door.metric("shout_ingress_sessions") == 0)


def test_a_client_that_takes_no_replies_is_not_read_for_ever(ready, door):
    """It hears 421 for its errors sooner or later; what it sends after that is thrown away, up to 64 MB."""
    one = ready()
    lines, sent = b"MAIL FROM:<a@acme.example>\r\nRCPT TO:<x@d.example>\r\n" * 1000, 0
    with pytest.raises((TimeoutError, ConnectionError)):
        while sent < 1024 * 1024 * 1024:
            sent += one.socket.send(lines)


def test_a_full_queue_is_452_and_the_session_goes_on(rig, redis, sink, certificate):
    shout = dialogue.start(rig, redis, sink, certificate, ("plain",), stuck=True, queue={"map_size": "64M"})
    with dialogue.Talk(shout.ports["plain"]) as one:
        one.hello()
        one.login()
        for _ in range(1000):
            one.say("MAIL FROM:<a@acme.example>")
            if one.see("(250 |452 4.3.1 )").startswith("452"):
                break
            one.ask("RCPT TO:<x@dest.example>", "250 ")
            one.ask("DATA", "354 ")
            one.raw(letter(body="0123456789\r\n" * 18000))
            if one.see("(250 |452 4.3.1 )").startswith("452"):
                break
        else:
            raise AssertionError("1,000 large messages fit into 64 MB")
        one.ask("NOOP", "250 ")
    wait_for(lambda: "queue: failed: the queue has grown to queue.map_size" in shout.get("/readyz")[1])


def test_events_tell_what_was_accepted_and_what_was_not(ready, talk, door):
    one = ready("implicit", tls=client_tls())
    session_id = one.accepted(letter(subject="an event", extra="Message-ID: <e@acme.example>\r\n"))
    event = wait_for(lambda: door.events("accepted", session_id))[0]
    assert event["account"] == "acme" and event["credential"] == "joe@acme.example"
    assert event["client"] == "127.0.0.1" and event["helo"] == "client.example"
    assert event["tls"].startswith("TLSv1.") and event["from"] == "a@acme.example"
    assert event["to"] == ["x@dest.example"] and event["header_from"] == "a@acme.example"
    assert event["message_id"] == "<e@acme.example>" and event["size"] > 100


def test_floods_are_summed_up(rig, redis, sink, certificate):
    shout = small(rig, redis, sink, certificate)
    with dialogue.Talk(shout.ports["plain"], source="127.0.0.30") as one:
        one.hello()
        for _ in range(3):
            one.ask("AUTH PLAIN " + plain("nobody", "x"), "535 ")
        one.login("o", "pw")
        for _ in range(4):
            one.ask("MAIL FROM:<a@acme.example>", "550 5.7.1 ")
    with dialogue.Talk(shout.ports["optional"], source="127.0.0.30") as one:
        one.hello()
        one.ask("STARTTLS", "220 ")
        one.raw(b"this is no TLS\r\n" * 10)
    wait_for(lambda: shout.metric("shout_ingress_tls_total", 'result="failed"') == 1)
    assert shout.metric("shout_ingress_auth_total", 'result="failed"') == 3
    assert shout.metric("shout_ingress_auth_total", 'result="ok"') == 1
    assert shout.metric("shout_ingress_refused_total", 'reason="originator"') == 4
    assert shout.stop() == 0
    failed = shout.events("auth-failed")  # two when the first was told meanwhile
    assert sum(event["count"] for event in failed) == 3 and len(failed) <= 2
    for event in failed:
        assert event["username"] == "nobody" and event["client"] == "127.0.0.30" and "first" in event
        assert event["reason"] == "unknown user" and event["reply"] == "535 5.7.8 Wrong username or password"
        assert event["helo"] == "client.example" and event["command"] == "AUTH"
    rejected = [e for e in shout.events("rejected") if e.get("account") == "other"]
    assert sum(event["count"] for event in rejected) == 4 and len(rejected) <= 2
    assert rejected[0]["reply"].startswith("550 5.7.1 ") and rejected[0]["from"] == "a@acme.example"
    assert rejected[0]["username"] == "o" and rejected[0]["reason"] == "originator"
    tls, = shout.events("tls-failed")
    assert tls["count"] == 1 and tls["error"] and tls["command"] == "STARTTLS" and tls["helo"] == "client.example"


def test_metrics_count_messages_and_latency(ready, door):
    before = door.metric("shout_ingress_messages_total"), door.metric("shout_ingress_accept_seconds_count")
    ready().accepted(letter())
    assert door.metric("shout_ingress_messages_total") == before[0] + 1
    assert door.metric("shout_ingress_accept_seconds_count") == before[1] + 1
