"""Where a header ends, and what every reader behind us sees: first our own fields, then the customer's
bytes with the empty line that a real Postfix puts; nothing doubled, nothing folded into ours."""

import email
import re
import smtplib

import pytest

import harness
from harness import wait_for
from postfix import Postfix

OWN = b"From: <a@acme.example>\r\nTo: x@dest.example\r\n"
BODY = b"\r\nbody\r\nBcc: stays@b.example\r\nReturn-Path: <stays@b.example>\r\n"
HIDDEN = b"Bcc: hidden@b.example\r\n"
MBOX = b"From a@b Mon Jan  1 00:00:00 2024\r\n"
HEADERS = {
    "fields": OWN + HIDDEN + b"Subject: x\r\n",
    "a blank first": b" x y\r\n" + OWN,
    "a tab and a field first": b"\tX-Evil: y\r\n" + OWN,
    "blanks first": b" \t\r\n" + OWN,
    "a blank and a colon first": b" : x\r\n" + OWN,
    "no field first": b"hello world\r\n" + OWN,
    "an 8-bit line first": b"gr\xfc\xdfe\r\n" + OWN,
    "no field at all": b"hello\r\n",
    "nothing": b"",
    "no field in the middle": OWN + HIDDEN + b"no field\r\nSubject: x\r\n",
    "a wrapped line without its blank": OWN + b"Subject: a long\r\nsubject\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n",
    "a colon first": OWN + b": x\r\nSubject: x\r\n",
    "blanks in a name": OWN + b"Sub ject: x\r\nSubject: x\r\n",
    "8 bit in a name": OWN + b"X-\xc3\xa9: y\r\nSubject: x\r\n",
    "a control character in a name": OWN + b"X-\x01: y\r\nSubject: x\r\n",
    "DEL in a name": OWN + b"X-\x7f: y\r\nSubject: x\r\n",
    "the colon in a fold": OWN + b"Subject\r\n : x\r\n",
    "blanks before colons": OWN + b"Subject : x\r\nX\t \t: y\r\n z : t\r\nBcc : hidden@b.example\r\n",
    "a From with a blank": b"X: y\r\nFrom : <a@acme.example>\r\nDate\t: Mon, 1 Jan 2024 00:00:00 +0000\r\n",
    "a fold of blanks": OWN + b"X: y\r\n  \r\n\t\r\n z\r\nSubject: x\r\n",
    "a fold of blanks last": OWN + b"X: y\r\n \r\n",
    "an mbox line": MBOX + OWN + HIDDEN,
    "a quoted mbox line": b">>" + MBOX + OWN,
    "two mbox lines": MBOX + b">From c\r\n" + HIDDEN + OWN,
    "an mbox line and a fold": MBOX + b" x\r\n" + OWN,
    "an mbox line and no field": MBOX + b"hello\r\n" + OWN,
    "an mbox line in the middle": OWN + MBOX + b"Subject: x\r\n",
    "an mbox line behind a Bcc": HIDDEN + MBOX + OWN,
    "an mbox line in small letters": b"f" + MBOX[1:] + OWN,
    "a boundary": OWN + b"--b\r\nX: y\r\n",
    "a name of 3000": OWN + b"x" * 3000 + b": y\r\nSubject: x\r\n",
    "a line of 300 KB": OWN + b"y" * 300000 + b"\r\nSubject: x\r\n",
    "a line of 1 MB": OWN + b"y" * (1000 * 1000) + b"\r\n",
}
ENDS = {"with a body": BODY, "without": b"", "with an empty line": b"\r\n"}
MESSAGES = {f"{name}, {end}": header + rest for name, header in HEADERS.items() for end, rest in ENDS.items()
            if end == "with a body" or len(header) < 1000}


@pytest.fixture(scope="module")
def postfix(module_rig):
    """A real one, that delivers to a sink of its own: f(message) is what comes out."""
    sink = module_rig.sink()
    server = Postfix(module_rig.path("postfix"), harness.free_port(), {
        "relayhost": f"[127.0.0.1]:{sink.port}", "always_add_missing_headers": "yes", "smtp_line_length_limit": "0"})
    module_rig.add(server)
    server.start()
    server.wait_for(lambda: harness.accepts(("127.0.0.1", server.port)), what="Postfix listens")
    client = smtplib.SMTP("127.0.0.1", server.port, timeout=harness.DEADLINE)
    client.ehlo()
    count = 0

    def through(message):
        nonlocal count
        count += 1
        to = f"x{count}@dest.example"
        for line in ("MAIL FROM:<a@acme.example>", f"RCPT TO:<{to}>", "DATA"):
            assert client.docmd(line)[0] in (250, 354)
        client.sock.sendall(message + b".\r\n")
        assert client.getreply()[0] == 250
        return server.wait_for(lambda: sink.find(to), what="Postfix delivers")[0].body

    return through


def parts(message):
    """(fields, body), read as RFC 5322 has it: a body is there behind an empty line only."""
    fields, rest = [], message
    while found := re.match(rb"[!-9;-~]+[ \t]*:.*\r\n(?:[ \t].*\r\n)*", rest):
        fields.append(found[0])
        rest = rest[found.end():]
    assert rest == b"" or rest.startswith(b"\r\n"), rest[:80]
    return fields, rest


def named(fields, *names):
    return [field for field in fields if field.split(b":")[0].strip().lower() in names]


ADDED = (b"date", b"message-id", b"from")


def test_what_arrives_is_what_postfix_makes_of_it(ready, sink, postfix):
    """Postfix adds behind the customer's fields, we before our own; the rest is the same bytes."""
    one = ready()
    for name, message in MESSAGES.items():
        one.message(message + b".\r\n", rcpt="y@dest.example")
        session_id = one.see("250 2.0.0 queued as ").rsplit(" ", 1)[1]
        body = wait_for(lambda: [m.body for m in sink.find("y@dest.example") if session_id.encode() in m.body])[0]
        fields, rest = parts(body)
        trace = fields.index(named(fields, b"received")[0])
        ours, kept = fields[:trace], fields[trace + 1:]
        theirs, their_rest = parts(postfix(message))
        assert rest == their_rest, name
        assert session_id.encode() in fields[trace] and fields[trace].count(b"\r\n") == 3, name
        their_added = [field for field in named(theirs, *ADDED) if field not in kept]
        assert kept == [field for field in theirs[1:] if field not in their_added], name
        assert sorted(field.split(b":")[0].lower() for field in ours) == sorted(
            field.split(b":")[0].lower() for field in their_added), name
        assert b"hidden@" not in body, name
        parsed = email.message_from_bytes(body)
        assert not parsed.defects, (name, parsed.defects)
        for field in ("From", "Date", "Message-ID"):
            assert len(parsed.get_all(field)) == 1, name
        assert parsed.get("Received").endswith("+0000"), name


JUDGED = {
    "an empty group": ("From: Automated:;", "250 "),
    "folded, with blanks": ("From : Automated system : \r\n ;", "250 "),
    "with an address for its name": ('From: "x@other.example":;', "554 5.6.0 The From field holds no address"),
    "empty brackets": ("From: <>", "554 5.6.0 The From field holds no address"),
    "two words": ("From: Joe Public", "554 5.6.0 The From field cannot be read"),
    "no bracket": ("From: <a@acme.example", "554 5.6.0 The From field cannot be read"),
    "32": ("From: " + ", ".join(["a@acme.example"] * 32), "250 "),
    "33": ("From: " + ",\r\n ".join(["a@acme.example"] * 33), "554 5.6.0 The From field holds 33 of 32 addresses"),
    "two fields": ("From : a@acme.example\r\nFROM\t: a@acme.example", "554 5.6.0 More than one From field"),
    "100 hops": ("Received : x\r\n" * 100 + "From: a@acme.example", "250 "),
    "101 hops": ("Received: x\r\n" * 101 + "From: a@acme.example", "554 5.4.6 Mail loop: more than 100 Received fields"),
}


@pytest.mark.parametrize("fields, answer", JUDGED.values(), ids=JUDGED.keys())
def test_what_is_refused_is_told_why(ready, fields, answer):
    one = ready()
    one.message(f"{fields}\r\n\r\nx\r\n.\r\n".encode())
    one.see(answer)


def test_an_empty_group_goes_on_as_it_is(ready, sink):
    session_id = ready().accepted(b"From: Automated:;\r\n\r\nx\r\n.\r\n")
    body = wait_for(lambda: [m.body for m in sink.find() if session_id.encode() in m.body])[0]
    assert named(parts(body)[0], b"from") == [b"From: Automated:;\r\n"]
