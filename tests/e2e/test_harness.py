"""The test servers themselves: each really runs, and the sink keeps bytes and misbehaves on demand."""

import re
import smtplib
import socket
import subprocess

import pytest

from harness import EICAR, Sink, accepts, client_tls, free_port, make_certificate, send, server_tls, wait_for
from postfix import Postfix
from sink import DROP

BODY = b"Subject: x\r\n\r\n.\r\n..two\r\n\xff\x00raw\r\n" + b"a" * 102400 + b"\r\n"


@pytest.fixture
def client(rig):
    sink = rig.sink()
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=10) as client:
        yield sink, client


def test_sink_keeps_a_message_byte_for_byte(client):
    sink, smtp = client
    send(smtp, "a@b.example", ["c@d.example", "e@f.example"], BODY)
    message, = sink.find()
    assert message.body == BODY
    assert (message.sender, message.recipients) == ("a@b.example", ["c@d.example", "e@f.example"])


def test_sink_takes_a_30_mb_message(client):
    sink, smtp = client
    body = b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 400000
    send(smtp, "", "c@d.example", body)
    assert sink.find()[0].body == body


def test_sink_answers_by_script(client):
    sink, smtp = client
    sink.on("rcpt", "452 4.2.2 full", match="bob@", times=1)
    smtp.ehlo()
    smtp.mail("a@b.example")
    assert smtp.rcpt("bob@d.example")[0] == 452
    assert smtp.rcpt("bob@d.example")[0] == 250
    sink.on("data", DROP)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.docmd("DATA")


def test_sink_speaks_starttls(rig):
    directory = rig.path("certificate")
    directory.mkdir()
    sink = rig.sink(tls=server_tls(*make_certificate(directory)))
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=10) as smtp:
        smtp.starttls(context=client_tls())
        send(smtp, "a@b.example", "c@d.example", BODY)
    assert sink.find()[0].tls.startswith("TLSv1.")


def test_sink_can_stop_and_resume(rig):
    sink = rig.sink()
    sink.stop()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", sink.port), 2)
    sink.resume()
    smtplib.SMTP("127.0.0.1", sink.port, timeout=10).quit()


def test_clamd_finds_eicar(clamd):
    with socket.socket(socket.AF_UNIX) as scan:
        scan.connect(clamd.socket)
        scan.sendall(b"zINSTREAM\0" + len(EICAR).to_bytes(4, "big") + EICAR + b"\0\0\0\0")
        assert b"Eicar-Test-Signature" in scan.recv(256)


def test_redis_answers(redis):
    redis.run("SET", "a", "1")
    assert redis.run("GET", "a") == "1"


def test_nsd_serves_a_zone(rig):
    nsd = rig.nsd({"shop.example": "@ MX 10 mx\nmx A 127.0.0.9"})
    dns = pytest.importorskip("dns.resolver")
    resolver = dns.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], nsd.port
    assert str(resolver.resolve("shop.example", "MX")[0]) == "10 mx.shop.example."


def test_servers_are_gone_after_their_rig(rig):
    server = rig.redis()
    pid = server.process.pid
    rig.close()
    assert wait_for(lambda: subprocess.run(["kill", "-0", str(pid)], capture_output=True).returncode)
    rig.started.clear()


def test_a_postfix_that_does_not_deliver_tells_why(rig):
    sink = rig.sink()
    sink.on("mail", "451 4.3.0 not now")
    postfix = Postfix(rig.path("postfix"), free_port(), {"relayhost": f"[127.0.0.1]:{sink.port}"})
    rig.add(postfix)
    postfix.start()
    postfix.wait_for(lambda: accepts(("127.0.0.1", postfix.port)), what="Postfix listens")
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=30) as client:
        send(client, "a@b.example", "c@d.example", b"Subject: x\r\n\r\nx\r\n")

    def put_off():
        assert "status=deferred" not in postfix.story(), "it was put off"

    with pytest.raises(AssertionError) as failure:
        postfix.wait_for(put_off, what="it comes")
    told = str(failure.value)
    assert "it was put off" in told and "451 4.3.0 not now" in told
    assert re.search(r"^  (active|deferred)/\S+ 100700 \d+ bytes, -?[\d.]+ s old$", told, re.M)
