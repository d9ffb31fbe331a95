"""The main job: a customer's mail goes in, is scanned, and comes out."""

import base64
import random
import re
import smtplib

import pytest

from harness import EICAR, send, wait_for

ORIGINATOR = "boss@customer.example"
HEADER = (b"From: Boss <boss@customer.example>\r\nTo: friend@elsewhere.example\r\n"
          b"Date: Tue, 24 Nov 2026 04:00:00 +0100\r\nMessage-ID: <1@customer.example>\r\n")


def attachment(size):
    """A message with a file of random bytes of that size."""
    return (b'MIME-Version: 1.0\r\nSubject: attachment\r\nContent-Type: multipart/mixed; boundary="b1"\r\n\r\n'
            b"--b1\r\nContent-Type: text/plain\r\n\r\nPlease find attached.\r\n"
            b"--b1\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
            b'Content-Disposition: attachment; filename="a.bin"\r\n\r\n'
            + base64.encodebytes(random.Random(1).randbytes(size)).replace(b"\n", b"\r\n") + b"--b1--\r\n")


BODIES = {
    "text": b"Subject: text\r\n\r\nGood morning.\r\n",
    "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n.two\r\n",
    "8-bit": b"Subject: 8-bit\r\n\r\n\xe4\xf6\xfc \xff\xfe\r\n",
    "998 octets": b"Subject: 998 octets\r\n\r\n" + b"a" * 998 + b"\r\n",
    "100 KB line": b"Subject: 100 KB line\r\n\r\n" + b"b" * 102400 + b"\r\n",
    "every octet but NUL": b"Subject: octets\r\n\r\n"
                           + bytes(set(range(1, 256)) - set(b"\r\n")) * 10 + b"\r\n",
    "blanks and empty lines": b"Subject: blanks\r\n\r\n\r\n \r\ntext \t\r\n\r\n\r\n",
    "a long field": b"References: " + b"<0123456789@customer.example> " * 1000 + b"\r\n\r\ntext\r\n",
    "fields folded and odd": b"subject:a\r\n\tb\r\n  c\r\nX-Empty:\r\nX-Blanks: \t \r\n\r\ntext\r\n",
    "UTF-8 fields": "Subject: perch\u00e9 no \u2709\r\nX-Note: \u00e9\r\n\r\ntext\r\n".encode(),
    "8-bit fields": b"Subject: caff\xe8 \xff\r\n\r\ntext\r\n",
    "empty": b"Subject: empty\r\n\r\n",
    "no blank line": b"Subject: no blank line\r\n",
    "300 KB": b"Subject: 300 KB\r\n\r\n" + (b"c" * 76 + b"\r\n") * 4000,
    "30 MB attachment": attachment(30 * 1024 * 1024),
}


def without_trace(body):
    """The message without our Received field before it."""
    field = re.match(rb"Received:.*\r\n(?:[ \t].*\r\n)*", body)
    assert field, body[:200]
    return body[field.end():]


def arrived(sink, recipient):
    return wait_for(lambda: sink.find(recipient), 60, f"{recipient} has mail")


@pytest.mark.parametrize("name", BODIES)
def test_a_message_arrives_byte_for_byte(shout, account, sink, name):
    recipient = re.sub(r"\W", "", name) + "@elsewhere.example"
    with shout.smtp("starttls", account) as client:
        send(client, ORIGINATOR, recipient, HEADER + BODIES[name])
    message, = arrived(sink, recipient)
    assert without_trace(message.body) == HEADER + BODIES[name]
    assert (message.sender, message.recipients) == (ORIGINATOR, [recipient])


def test_a_last_line_without_an_end_gets_one(shout, account, sink):
    """SMTP cannot say it otherwise (RFC 5321 4.1.1.4)."""
    with shout.smtp("starttls", account) as client:
        send(client, ORIGINATOR, "noend@elsewhere.example", HEADER + b"\r\nno end")
    message, = arrived(sink, "noend@elsewhere.example")
    assert without_trace(message.body) == HEADER + b"\r\nno end\r\n"


def test_utf8_travels_in_addresses_and_fields(shout, account, sink):
    sender, recipient = "caff\u00e8@customer.example", "\u8cb4\u65b9@\u4f8b\u3048.example"
    message = (f"From: Caff\u00e8 <{sender}>\r\nTo: <{recipient}>\r\nSubject: \u00e8\r\n"
               "Date: Tue, 24 Nov 2026 04:00:00 +0100\r\nMessage-ID: <u@customer.example>\r\n\r\n\u00e8\r\n").encode()
    with shout.smtp("starttls", account) as client:
        send(client, sender, recipient, message, ["SMTPUTF8", "BODY=8BITMIME"])
    got, = arrived(sink, recipient)
    assert without_trace(got.body) == message
    assert got.sender == sender and "SMTPUTF8" in got.mail_parameters


@pytest.mark.parametrize("kind", ["starttls", "implicit"])
def test_every_kind_of_tls_takes_mail(shout, account, sink, kind):
    recipient = f"{kind}@elsewhere.example"
    with shout.smtp(kind, account) as client:
        send(client, ORIGINATOR, recipient, HEADER + b"\r\nhello\r\n")
    arrived(sink, recipient)


def test_all_recipients_get_it_in_one_message(shout, account, sink):
    recipients = [f"many{i}@elsewhere.example" for i in range(50)]
    with shout.smtp("starttls", account) as client:
        send(client, ORIGINATOR, recipients, HEADER + b"\r\nhello\r\n")
    assert sorted(arrived(sink, recipients[0])[0].recipients) == sorted(recipients)


def test_eicar_is_held(shout, account, sink):
    with shout.smtp("starttls", account) as client:
        message_id = send(client, ORIGINATOR, "victim@elsewhere.example",
                          HEADER + b"Subject: virus\r\n\r\n" + EICAR + b"\r\n")
        # what was sent after it has arrived, so it would have as well
        event, = wait_for(lambda: shout.events("held", message_id), what="EICAR is held")
        send(client, ORIGINATOR, "after@elsewhere.example", HEADER + b"\r\nhello\r\n")
    arrived(sink, "after@elsewhere.example")
    assert "Eicar" in event["signature"]
    assert not sink.find("victim@elsewhere.example")


def test_a_message_leaves_two_events(shout, account, sink):
    with shout.smtp("starttls", account) as client:
        message_id = send(client, ORIGINATOR, "events@elsewhere.example", HEADER + b"\r\nhello\r\n")
    wait_for(lambda: shout.events("delivered", message_id), what="the delivered event")
    assert [e["event"] for e in shout.events(message_id=message_id)] == ["accepted", "delivered"]


def test_a_wrong_password_and_an_unknown_user_get_535(shout, account):
    for username, password in ((account["username"], "wrong"), ("nobody", "wrong")):
        with shout.smtp("starttls") as client:
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                client.login(username, password)
            assert refused.value.smtp_code == 535


def test_no_auth_gets_530(shout, account):
    with shout.smtp("starttls") as client:
        client.ehlo()
        assert client.mail(ORIGINATOR)[0] == 530


def test_another_accounts_from_gets_550(shout, account):
    shout.account_add(name="other", domain="other.example")
    with shout.smtp("starttls", account) as client:
        client.ehlo()
        code, text = client.mail("boss@other.example")
        if code == 250:
            code, text = client.rcpt("friend@elsewhere.example")
        assert code == 550, (code, text)


def test_queued_mail_survives_kill_9(rig, clamd, certificate):
    redis, sink = rig.redis(), rig.sink()
    sink.on("banner", "421 4.3.2 not now")
    shout = rig.shout(redis, clamd=clamd, route=sink.host, certificate=certificate)
    account = shout.account_add()
    with shout.smtp("starttls", account) as client:
        for i in range(20):
            send(client, ORIGINATOR, f"kill{i}@elsewhere.example", HEADER + b"\r\nhello\r\n")
    shout.kill()
    sink.rules.clear()
    shout.restart()
    wait_for(lambda: len({r for m in sink.find() for r in m.recipients}) == 20, 60, "all arrive")


def test_sigterm_stops_with_status_0_and_the_next_start_works(rig, clamd, certificate):
    redis, sink = rig.redis(), rig.sink()
    shout = rig.shout(redis, clamd=clamd, route=sink.host, certificate=certificate)
    assert shout.stop() == 0
    shout.restart()
    assert shout.stop() == 0
