"""What arrives: the bytes that were sent behind our Received field, and who may be its originator."""

import re

import dialogue
import pytest
from dialogue import KNOWN, letter
from harness import client_tls, wait_for

SINCE = "From: <a@acme.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@acme.example>\r\n"


def arrived(sink, door, session_id):
    """The message as the next hop got it: (Received field, the rest)."""
    def found():
        return [m for m in sink.find() if f" id {session_id}".encode() in m.body]
    body = wait_for(found, what=f"{session_id} arrives")[0].body
    trace = re.search(rb"^Received: (?:from .*?\r\n\t)?by shout\.test .*?\r\n(?![ \t])", body, re.S | re.M)
    return trace[0].decode(), body[trace.end():]


BODIES = {
    "plain text": b"hello\r\n",
    "empty": b"",
    "no line at all but a header": None,
    "dots": b".\r\n..\r\n.a\r\n...\r\nend.\r\n",
    "8 bit": bytes(range(1, 256)).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n",
    "empty lines": b"\r\n\r\n\r\n\r\n",
    "blanks at line ends": b"a \r\n\t\r\n",
    "998 octets": b"x" * 998 + b"\r\n",
    "100 KB in a line": b"y" * 100000 + b"\r\n",
    "what looks like fields": b"Bcc: stays@b.example\r\nReturn-Path: <stays@b.example>\r\n",
    "256 KiB and a little": (b"z" * 76 + b"\r\n") * 3400,
    "900 KB": bytes(b for b in range(32, 127)) * 2 + b"\r\n" + (b"w" * 60 + b".\r\n..\r\n") * 13000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_the_body_arrives_byte_for_byte(ready, sink, door, body):
    message = SINCE.encode() + (b"" if body is None else b"\r\n" + body)
    stuffed = re.sub(rb"(?m)^\.", b"..", message)
    one = ready("implicit", tls=client_tls())
    session_id = one.accepted(stuffed + b".\r\n")
    rest = arrived(sink, door, session_id)[1]
    assert rest == message or (body is None and rest.rstrip(b"\r\n") == message.rstrip(b"\r\n"))


@pytest.mark.parametrize("size", [100, 900000])
def test_a_line_that_is_no_field_gets_the_empty_line_that_makes_it_body(ready, sink, door, size):
    rest = "no field\r\nBcc: y\r\n\r\n" + "0123456789\r\n" * (size // 12)
    session_id = ready().accepted((SINCE + rest + ".\r\n").encode())
    assert arrived(sink, door, session_id)[1].decode() == SINCE + "\r\n" + rest


def test_a_header_beyond_256_kib_is_refused(ready):
    one = ready()
    one.message((SINCE + "X: y\r\n" * 45000 + "\r\nx\r\n.\r\n").encode())
    one.see("554 5.6.0 The header is larger than 256 KiB")


@pytest.mark.parametrize("size", [100, 300000, 900000])
def test_return_path_and_bcc_do_not_travel(ready, sink, door, size):
    hidden = "Return-Path: <r@acme.example>\r\nBCC: one@hidden.example,\r\n\ttwo@hidden.example\r\nbcc:\r\n"
    body = "\r\n" + "0123456789\r\n" * (size // 12)
    session_id = ready().accepted((hidden + SINCE + hidden + "X: y\r\n" + body + ".\r\n").encode())
    assert arrived(sink, door, session_id)[1].decode() == SINCE + "X: y\r\n" + body


def test_bare_line_ends_arrive_as_crlf(ready, sink, door):
    session_id = ready().accepted(SINCE.encode() + b"\r\na\nb\rc\n.\nd\r\n.\r\n")
    assert arrived(sink, door, session_id)[1] == SINCE.encode() + b"\r\na\r\nb\r\nc\r\n.\r\nd\r\n"


def test_received_names_id_account_and_protocol_but_not_the_client(ready, talk, sink, door):
    """RFC 3848, 6531; "for" with one recipient only."""
    data = (SINCE + "\r\nx\r\n.\r\n").encode()
    tls = client_tls()
    one = ready("implicit", tls=tls)
    trace = arrived(sink, door, one.accepted(data))[0]
    assert re.fullmatch(r"Received: by shout\.test with ESMTPSA id [0-9a-z]{26}\r\n\t\(account acme\)\r\n"
                        r"\tfor <x@dest\.example>; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\n", trace)
    one.ask("MAIL FROM:<a@acme.example>", "250 ")
    one.ask("RCPT TO:<x@dest.example>", "250 ")
    one.ask("RCPT TO:<secret@dest.example>", "250 ")
    one.ask("DATA", "354 ")
    trace = arrived(sink, door, one.raw(data).see("250 ").rsplit(" ", 1)[1])[0]
    assert "for <" not in trace and "secret" not in trace
    assert " with ESMTPA id " in arrived(sink, door, ready().accepted(data))[0]
    plain = talk("noauth", source=KNOWN)
    plain.hello()
    ours = data.replace(b"acme", b"ip")
    trace = arrived(sink, door, plain.accepted(ours, sender="a@ip.example"))[0]
    assert " with ESMTP id " in trace and KNOWN not in trace and "client.example" not in trace
    old = talk("noauth", source=KNOWN)
    old.see("220 ")
    old.ask("HELO old", "250 ")
    assert " with SMTP id " in arrived(sink, door, old.accepted(ours, sender="a@ip.example"))[0]


def test_received_names_the_client_when_configured(rig, redis, sink, certificate):
    shout = dialogue.start(rig, redis, sink, certificate, ("plain",), received_client_address=True)
    with dialogue.Talk(shout.ports["plain"], source="127.0.0.9") as one:
        one.hello("my pc(evil)")
        one.login()
        trace = arrived(sink, shout, one.accepted((SINCE + "\r\nx\r\n.\r\n").encode()))[0]
    assert trace.startswith("Received: from my_pc_evil_ ([127.0.0.9])\r\n\tby shout.test")


MISSING = "Subject: nothing else\r\n\r\nx\r\n.\r\n"


def test_a_missing_from_is_not_refused(ready, sink, door):
    session_id = ready().accepted(MISSING.encode())
    body = arrived(sink, door, session_id)
    assert b"Subject: nothing else\r\n\r\nx\r\n" in body[1]


OURS, FOREIGN, OTHERS = "a@acme.example", "b@gmail.example", "c@other.example"
POLICY = {
    # MAIL FROM, fields, the answer
    "own": (OURS, f"From: {OURS}", "250 "),
    "own, the other domain": (OURS, "From: z@ACME.test", "250 "),
    "own, with a display name that lies": (OURS, f'From: "{OTHERS}" <{OURS}>',
                                           "550 5.7.1 The name <other.example> belongs to another "),
    "own, with a foreign address for a name": (OURS, f'From: "{FOREIGN}" <{OURS}>', "250 "),
    "own, another's Sender": (OURS, f"From: {OURS}\r\nSender: {OTHERS}",
                              "550 5.7.1 Sender <c@other.example> belongs to another "),
    "below another's, our Sender": (OURS, f"From: x@a.b.other.example\r\nSender: {OURS}",
                                    "550 5.7.1 From <x@a.b.other.example> belongs to another "),
    "own, in a comment and folded": (OURS, f"From: x (y)\r\n <a@acme.\r\n\texample>", "250 "),
    "foreign": (OURS, f"From: {FOREIGN}", "550 5.7.1 From <b@gmail.example> "),
    "foreign, display name ours": (OURS, f'From: "{OURS}" <{FOREIGN}>', "550 5.7.1 "),
    "foreign, our Sender": (OURS, f"From: {FOREIGN}\r\nSender: {OURS}", "250 "),
    "foreign, our Resent-From": (OURS, f"From: {FOREIGN}\r\nResent-From: {OURS}", "250 "),
    "foreign, foreign Sender": (OURS, f"From: {FOREIGN}\r\nSender: {FOREIGN}", "550 5.7.1 "),
    "another's": (OURS, f"From: {OTHERS}", "550 5.7.1 From <c@other.example> "),
    "another's, our Sender": (OURS, f"From: {OTHERS}\r\nSender: {OURS}", "550 5.7.1 From <c@other.example> "),
    "another's with a dot behind, our Sender": (OURS, f"From: {OTHERS}.\r\nSender: {OURS}", "550 5.7.1 "),
    "another's in UTF-8, our Sender": (OURS, f"From: c@Bücher.example\r\nSender: {OURS}", "550 5.7.1 "),
    "another's with a full-width dot, our Sender": (OURS, f"From: c@other．example\r\nSender: {OURS}", "55[04] "),
    "another's second, our Sender": (OURS, f"From: {FOREIGN}, {OTHERS}\r\nSender: {OURS}",
                                     "550 5.7.1 From <c@other.example> "),
    "several, one foreign": (OURS, f"From: {OURS}, {FOREIGN}", "550 5.7.1 From <b@gmail.example> "),
    "without a domain": (OURS, "From: scanner", "550 5.7.1 "),
    "two fields": (OURS, f"From: {OURS}\r\nSubject: x\r\nfrom: {OURS}", "554 5.6.0 "),
    "two fields, one after a fold": (OURS, f"From: {OURS}\r\nTo: x,\r\n y\r\nFROM : {OTHERS}", "55[04] "),
    "behind a line that is no field, in what is body": (OURS, f"Subject: x\r\nno field\r\nFrom: {FOREIGN}", "250 "),
    "behind an mbox line, own": (OURS, f"From a Mon Jan 1\r\nFrom: {OURS}\r\nSubject: x", "250 "),
    "behind an mbox line, another's": (OURS, f"From a Mon Jan 1\r\nFrom: {OTHERS}", "550 5.7.1 From <c@other.example> "),
    "with blanks before the colon, foreign": (OURS, f"from : {FOREIGN}", "550 5.7.1 "),
    "with blanks before the colon, our Sender": (OURS, f"From\t: {FOREIGN}\r\nSender : {OURS}", "250 "),
    "a second one in what is body": (OURS, f"From: {OURS}\r\nno field\r\nFrom: {OTHERS}", "250 "),
    "our Sender in what is body vouches for nothing": (OURS, f"From: {FOREIGN}\r\nno field\r\nSender: {OURS}",
                                                       "550 5.7.1 "),
    "NDR, unroutable": ("", "From: MicrosoftExchange329e71ec88ae@corp.local", "250 "),
    "NDR, no address": ("", "From: <>", "250 "),
    "NDR, no domain": ("", "From: postmaster", "250 "),
    "NDR, own": ("", f"From: {OURS}", "250 "),
    "NDR, from a host of ours": ("", "From: MAILER-DAEMON@mail.acme.example (Mail Delivery System)", "250 "),
    "NDR, from another's host below our domain": ("", "From: x@branch.acme.example",
                                                  "550 5.7.1 From <x@branch.acme.example> belongs to another "),
    "from a host of ours, not an NDR": (OURS, "From: root@mail.acme.example", "550 5.7.1 "),
    "NDR, another's with a full-width dot": ("", "From: c@other\uff0eexample", "550 5.7.1 "),
    "NDR, foreign": ("", f"From: {FOREIGN}", "550 5.7.1 "),
    "NDR, another's": ("", f"From: {OTHERS}", "550 5.7.1 "),
    "NDR, another's, unreadable": ("", f"From: <{OTHERS}", "554 5.6.0 "),
    "NDR, too many to read": ("", "From: " + ", ".join([OTHERS] * 40), "554 5.6.0 "),
    "unroutable, not an NDR": (OURS, "From: x@corp.local", "550 5.7.1 "),
}


@pytest.mark.parametrize("sender, fields, answer", POLICY.values(), ids=POLICY.keys())
def test_policy(ready, sender, fields, answer):
    one = ready()
    one.message(f"{fields}\r\n\r\nx\r\n.\r\n".encode(), sender=sender)
    one.see(answer)


def test_a_strict_account_may_not_resend(ready):
    one = ready(user="s", password="pw")
    one.message(letter("b@gmail.example", extra="Sender: a@strict.example\r\n"), sender="a@strict.example")
    one.see("550 5.7.1 ")
    one.accepted(letter("a@strict.example"), sender="a@strict.example")


def test_a_refused_large_message_leaves_no_file(ready, door):
    one = ready()
    one.message(letter("b@gmail.example", body="0123456789\r\n" * 40000))
    one.see("550 5.7.1 ")
    one.message(b"From: a@acme.example\r\n\r\n" + b"0123456789\r\n" * 40000)
    one.socket.close()
    wait_for(lambda: not list((door.state_dir / "spool").iterdir()), what="the spool is empty")
