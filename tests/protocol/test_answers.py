"""Every row of the table of answers: what a client has to do to hear each of them."""

import re
import subprocess

import dialogue
import pytest
from dialogue import CLOSED, HELP, KNOWN, b64, letter, plain
from harness import wait_for

URL = re.escape(HELP)
HELLO = [(None, "220 shout.test ESMTP Shout$"), ("EHLO c.example", "250-")]
AUTH = [("AUTH PLAIN " + plain("joe@acme.example", "secret word"), "235 2.7.0 ")]
MAIL = [("MAIL FROM:<a@acme.example>", "250 2.1.0 ")]
RCPT = [("RCPT TO:<x@dest.example>", "250 2.1.5 ")]
DATA = [("DATA", "354 ")]
SENT = HELLO + AUTH + MAIL + RCPT + DATA
# C1, and what turns the direction of text
INVISIBLE = ["\u0080", "\u0085", "\u009b", "\u009f", "\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069"]

ROWS = {
    "queued": SENT + [(letter(), "250 2.0.0 queued as [0-9a-z]{26}$")],
    "no AUTH": HELLO + [("MAIL FROM:<a@acme.example>", "530 5.7.0 ")],
    "wrong password": HELLO + [("AUTH PLAIN " + plain("joe@acme.example", "wrong"), "535 5.7.8 ")],
    "unknown user": HELLO + [("AUTH PLAIN " + plain("nobody@acme.example", "wrong"), "535 5.7.8 ")],
    "disabled user": HELLO + [("AUTH PLAIN " + plain("old@acme.example", "secret"), "535 5.7.8 ")],
    "suspended account": HELLO + [("AUTH PLAIN " + plain("stopped", "pw"), "235 "),
                                  ("MAIL FROM:<a@stopped.example>", f"550 5.7.1 .*{URL}$")],
    "foreign MAIL FROM": HELLO + AUTH + [("MAIL FROM:<a@gmail.example>", f"550 5.7.1 <a@gmail.example> .*{URL}$")],
    "another account's MAIL FROM": HELLO + AUTH + [("MAIL FROM:<a@other.example>",
                                                    f"550 5.7.1 <a@other.example> .*{URL}$")],
    "foreign From": SENT + [(letter("b@gmail.example"), f"550 5.7.1 From <b@gmail.example> .*{URL}$")],
    "another account's From, our Sender": SENT + [
        (letter("b@other.example", extra="Sender: a@acme.example\r\n"), f"550 5.7.1 From <b@other.example> .*{URL}$")],
    "another account's From": SENT + [(letter("b@other.example"), f"550 5.7.1 From <b@other.example> .*{URL}$")],
    "too many recipients": HELLO + AUTH + MAIL + [(f"RCPT TO:<u{i}@d.example>", "250 ") for i in range(100)]
    + [("RCPT TO:<u100@d.example>", "452 4.5.3 "), ("RCPT TO:<u99@D.example.>", "250 ")] + DATA + [(letter(), "250 2.0.0 queued")],
    "too big by SIZE": HELLO + AUTH + [("MAIL FROM:<a@acme.example> SIZE=1048577", "552 5.3.4 "),
                                       ("MAIL FROM:<a@acme.example> SIZE=99999999999999999999", "552 5.3.4 "),
                                       ("MAIL FROM:<a@acme.example> SIZE=1048576", "250 ")],
    "too big in the end": SENT + [(b"x" * 76 + b"\r\n", None)] + [((b"x" * 76 + b"\r\n") * 15000, None)]
    + [(b".\r\n", "552 5.3.4 "), ("NOOP", "250 ")],
    "far too big": SENT + [((b"x" * 76 + b"\r\n") * 40000, "552 5.3.4 "), (None, CLOSED)],
    "unknown command": HELLO + [("FROBNICATE", "500 5.5.1 "), ("XCLIENT ADDR=1.2.3.4", "500 "),
                                ("ETRN x", "500 "), ("BDAT 5 LAST", "500 ")],
    "line too long": HELLO + [("NOOP " + "x" * 3000, "500 5.5.2 "), ("NOOP " + "x" * 100000, "500 5.5.2 "),
                              ("NOOP", "250 ")],
    "control characters": HELLO + [(b"NOOP \x01\r\n", "500 5.5.2 "), (b"NOOP \0\r\n", "500 5.5.2 ")],
    "invisible characters": HELLO + [(f"NOOP {c}", "501 5.5.2 ") for c in INVISIBLE] + [("NOOP \u00e9", "250 ")],
    "invisible characters in MAIL": HELLO + AUTH + [
        (f"MAIL FROM:<a{c}@acme.example> SMTPUTF8", "501 5.5.2 ") for c in INVISIBLE]
    + [("MAIL FROM:<a@acme.example> ENVID=a+C2+9Bb", "501 5.5.4 ")],
    "invisible characters in RCPT": HELLO + AUTH + MAIL + [
        (f"RCPT TO:<x@d{c}.example>", "501 5.5.2 ") for c in INVISIBLE]
    + [("RCPT TO:<x@d.example> ORCPT=rfc822;a+E2+80+AEb", "501 5.5.4 "), ("RCPT TO:<x@d.example>", "250 ")],
    "bad MAIL": HELLO + AUTH + [("MAIL", "501 5.1.7 "), ("MAIL FROM", "501 "), ("MAIL FROM:<a@b", "501 "),
                                ("MAIL FROM:<a@b..example>", "501 "), ("MAIL TO:<a@acme.example>", "501 "),
                                ("MAIL FROM:<a@acme.example> SIZE=x", "501 5.5.4 "),
                                ("MAIL FROM:<a@acme.example> BODY=x", "501 "),
                                ("MAIL FROM:<a@acme.example> RET=x", "501 "),
                                ("MAIL FROM:<a@acme.example> ENVID=", "501 "),
                                ("MAIL FROM:<a@acme.example> FOO=x", "555 5.5.4 "),
                                ("MAIL FROM:<\u00e9@acme.example>", "553 5.6.7 "),
                                ("MAIL FROM:<\u00e9@acme.example> SMTPUTF8", "250 ")],
    "bad RCPT": HELLO + AUTH + MAIL + [("RCPT", "501 5.1.3 "), ("RCPT TO:", "501 "), ("RCPT TO:<>", "501 "),
                                       ("RCPT TO:<x>", "550 5.1.3 "), ("RCPT TO:<a b@c.example>", "501 "),
                                       ("RCPT TO:<x@d.example> NOTIFY=NEVER,DELAY", "501 5.5.4 "),
                                       ("RCPT TO:<x@d.example> NOTIFY=", "501 "),
                                       ("RCPT TO:<x@d.example> ORCPT=x", "501 "),
                                       ("RCPT TO:<x@d.example> FOO", "555 5.5.4 "),
                                       ("RCPT TO:<\u00e9@d.example>", "553 5.6.7 "),
                                       ("RCPT TO:<x@d.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@d.example",
                                        "250 ")],
    "MAIL parameters twice": HELLO + AUTH + [
        (f"MAIL FROM:<a@acme.example> {words}", answer) for words, answer in (
            ("SIZE=1 SIZE=1", "501 5.5.4 .*: SIZE$"), ("BODY=7BIT BODY=8BITMIME", "501 5.5.4 "),
            ("SMTPUTF8 SMTPUTF8", "501 "), ("SMTPUTF8=x", "501 "), ("AUTH=<> AUTH=<>", "501 "),
            ("RET=FULL RET=FULL", "501 "), ("ENVID=a ENVID=a", "501 "), ("SIZE=1 FOO=2", "555 5.5.4 .*: FOO$"))]
    + [("RCPT TO:<x@d.example>", "503 ")] + MAIL,
    "a bad MAIL leaves nothing": HELLO + AUTH + [
        ("MAIL FROM:<a@acme.example> SMTPUTF8 SIZE=99999999 RET=FULL ENVID=x BODY=8BITMIME BODY=x", "501 "),
        ("MAIL FROM:<\u00e9@acme.example>", "553 "), ("DATA", "503 ")] + MAIL
    + [("RCPT TO:<\u00e9@d.example>", "553 5.6.7 ")],
    "a bad MAIL does not end the one before": HELLO + AUTH + MAIL + RCPT + [
        ("MAIL FROM:<b@acme.example> FOO", "503 "), ("MAIL", "503 "), ("EHLO", "501 "), ("HELO", "501 "),
        ("STARTTLS", "502 "), ("AUTH PLAIN x", "503 "), ("DATA x", "501 "), ("RCPT TO:<y@d.example> FOO", "555 "),
        ("NOPE", "500 ")] + DATA + [(letter(), "250 2.0.0 ")],
    "RCPT parameters twice": HELLO + AUTH + MAIL + [
        ("RCPT TO:<x@d.example> NOTIFY=NEVER NOTIFY=NEVER", "501 5.5.4 .*: NOTIFY$"),
        ("RCPT TO:<x@d.example> ORCPT=rfc822;a ORCPT=rfc822;a", "501 5.5.4 "),
        ("RCPT TO:<x@d.example> NOTIFY=DELAY FOO", "555 "), ("DATA", "503 ")],
    "bad HELO": [(None, "220 "), ("EHLO", "501 "), ("HELO", "501 ")],
    "MAIL before EHLO": [(None, "220 "), ("MAIL FROM:<a@acme.example>", "503 5.5.1 ")],
    "RCPT before MAIL": HELLO + AUTH + [("RCPT TO:<a@b.example>", "503 5.5.1 ")],
    "DATA before MAIL": HELLO + AUTH + [("DATA", "503 5.5.1 ")],
    "DATA without recipients": HELLO + AUTH + MAIL + [("DATA", "503 5.5.1 ")],
    "MAIL twice": HELLO + AUTH + MAIL + [("MAIL FROM:<a@acme.example>", "503 5.5.1 ")] + RCPT,
    "AUTH twice": HELLO + AUTH + [("AUTH PLAIN", "503 5.5.1 ")],
    "AUTH within MAIL": HELLO + AUTH + MAIL + [("AUTH PLAIN", "503 5.5.1 ")],
    "DATA with a parameter": HELLO + AUTH + MAIL + RCPT + [("DATA now", "501 5.5.4 ")] + DATA,
    "STARTTLS where there is none": HELLO + [("STARTTLS", "502 5.5.1 ")],
    "RSET forgets the transaction": HELLO + AUTH + MAIL + RCPT + [("RSET", "250 2.0.0 ")]
    + [("DATA", "503 ")] + MAIL,
    "EHLO forgets the transaction": HELLO + AUTH + MAIL + RCPT + [("EHLO c", "250-"), ("DATA", "503 ")] + MAIL,
    "a refused MAIL leaves nothing": HELLO + AUTH + [("MAIL FROM:<a@gmail.example>", "550 ")] + MAIL + RCPT,
    "NOOP VRFY EXPN HELP QUIT": HELLO + [("NOOP x", "250 2.0.0 "), ("VRFY joe", "252 2.1.5 "),
                                         ("EXPN list", "252 "), ("HELP", "214 2.0.0 "),
                                         ("QUIT", "221 2.0.0 "), (None, CLOSED)],
    "NUL": SENT + [(b"Subject: x\r\n\r\na\0b\r\n.\r\n", "554 5.6.0 "), ("NOOP", "250 ")],
    "two From fields": SENT + [(letter(extra="From: <b@acme.example>\r\n"), "554 5.6.0 ")],
    "From without an address": SENT + [(b"From: \r\n\r\nx\r\n.\r\n", "554 5.6.0 ")],
    "a mail loop": SENT + [(letter(extra="Received: x\r\n" * 101), "554 5.4.6 ")],
    "nearly a mail loop": SENT + [(letter(extra="Received: x\r\n" * 100), "250 2.0.0 ")],
    "a header beyond 256 KiB": SENT + [(letter(extra="X-A: b\r\n" * 40000), "554 5.6.0 ")],
    "a line beyond 1 MiB": SENT + [(letter(body="x" * 1048590), "5(52 5.3.4|54 5.6.0) ")],
    "HTTP": HELLO + [("GET / HTTP/1.1", "554 5.5.0 "), (None, CLOSED)],
    "too many errors": HELLO + [("FOO", "500 ")] * 20 + [("FOO", "500 "), (None, "421 4.7.0 "), (None, CLOSED)],
    "too many commands": HELLO + [("NOOP", "250 ")] * 99 + [("NOOP", "421 4.7.0 "), (None, CLOSED)],
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS.keys())
def test_answer(talk, rows):
    talk().run(rows)


def test_a_refused_starttls_leaves_the_transaction_alone(talk):
    one = talk("known", source=KNOWN)
    one.hello()
    one.begin("a@ip.example")
    one.run([("STARTTLS now", "501 5.5.4 "), ("EHLO", "501 5.5.4 "), ("DATA", "354 "),
             (letter("a@ip.example"), "250 2.0.0 ")])


@pytest.mark.parametrize("domain", ["xn--mnchen-3ya.example", "XN--MNCHEN-3YA.example.", "m\u00fcnchen.example",
                                    "M\u00dcNCHEN.Example.", "mu\u0308nchen\u3002example"])
def test_an_account_s_domain_is_its_own_however_it_is_written(redis, ready, domain):
    dialogue.seed(redis, "labels", ["labels.example", "xn--mnchen-3ya.example"], users=[("labels", "pw", True)])
    one = ready(user="labels", password="pw")
    one.accepted(letter(f"a@{domain}"), sender="a@labels.example")
    one.ask(f"MAIL FROM:<a@{domain}> SMTPUTF8", "250 ")
    ready().ask(f"MAIL FROM:<a@{domain}> SMTPUTF8", "550 5.7.1 ")


def test_quota_is_451_and_names_the_limit(ready):
    one = ready(user="small", password="pw")
    for _ in range(2):
        one.accepted(letter("a@small.example"), sender="a@small.example")
    one.begin("a@small.example")
    one.ask("DATA", r"451 4\.7\.1 .*messages per hour.* \d+ s$")
    one.ask("QUIT", "221 ")


def test_accounts_without_limits_have_the_default_ones(rig, redis, sink, certificate):
    dialogue.seed(redis, "free", ["free.example"], users=[("free", "pw", True)], limits={"messages_hour": 0})
    shout = dialogue.start(rig, redis, sink, certificate, ("plain",), limits={"default": {"messages_hour": 3}})
    for user, domain, passes in (("s", "strict.example", 3), ("small", "small.example", 2), ("free", "free.example", 4)):
        with dialogue.Talk(shout.ports["plain"]) as one:
            redis.run("DEL", "rate:{small}:gcra")
            one.hello()
            one.login(user, "pw")
            for _ in range(passes):
                one.accepted(letter(f"a@{domain}"), sender=f"a@{domain}")
            one.begin(f"a@{domain}")
            one.ask("DATA", "354 " if user == "free" else "451 4.7.1 .*messages per hour")


def test_mail_that_nobody_has_tried_to_deliver_is_capped(rig, redis, sink, certificate):
    """The scanner has no clamd, so everything stays in flight; other accounts go on."""
    shout = dialogue.start(rig, redis, sink, certificate, ("plain",), stuck=True, in_flight_max=3)
    with dialogue.Talk(shout.ports["plain"]) as one, dialogue.Talk(shout.ports["plain"]) as other:
        one.hello()
        one.login("s", "pw")
        for _ in range(3):
            one.accepted(letter("a@strict.example"), sender="a@strict.example")
        one.begin("a@strict.example")
        one.ask("DATA", r"451 4\.7\.1 .*messages in flight.* \d+ s$")
        other.hello()
        other.login("o", "pw")
        other.accepted(letter("a@other.example"), sender="a@other.example")


def test_little_free_space_is_452_before_the_queue_is_full(rig, redis, sink, certificate):
    """Of the disk or of the queue: one of the two has less than 90 % soon."""
    shout = dialogue.start(rig, redis, sink, certificate, ("plain",), stuck=True,
                           queue={"map_size": "64M", "min_free": 90})
    with dialogue.Talk(shout.ports["plain"]) as one:
        one.hello()
        one.login()

        def refused():
            one.say("MAIL FROM:<a@acme.example>")
            if one.see("(250|452 4.3.1) ").startswith("452"):
                return True
            one.ask("RCPT TO:<x@dest.example>", "250 ")
            one.ask("DATA", "354 ")
            one.raw(letter(body="0123456789\r\n" * 18000)).see("250 ")
            return False
        wait_for(refused)
        assert len(shout.events("accepted")) < 150
        one.ask("NOOP", "250 ")


def test_a_queue_that_does_not_answer_is_451(rig, redis, sink, certificate):
    """The disk takes longer than the 20 s that a client is kept waiting."""
    shout = dialogue.start(rig, redis, sink, certificate, ("plain",))
    with dialogue.Talk(shout.ports["plain"]) as one:
        one.hello()
        one.login()
        one.accepted(letter())
        slow = subprocess.Popen(["strace", "-f", "-e", "inject=fdatasync:delay_enter=60s", "-o", "/dev/null",
                                 "-p", str(shout.process.pid)], stderr=subprocess.PIPE, text=True)
        assert "attached" in slow.stderr.readline()
        try:
            one.message(letter()).see("451 4.3.0 ")
        finally:
            slow.terminate()
            slow.communicate()
        one.accepted(letter())


def test_recipients_after_far_too_many_end_the_session(ready):
    one = ready()
    one.ask("MAIL FROM:<a@acme.example>", "250 ")
    for i in range(100):
        one.ask(f"RCPT TO:<u{i}@d.example>", "250 ")
    for i in range(100):
        one.ask(f"RCPT TO:<v{i}@d.example>", "452 4.5.3 ")
    one.ask("RCPT TO:<w@d.example>", "421 4.5.3 ")
    one.ended()


# What is said in RCPT TO, and the recipients it means: as each was written at first.
MAILBOXES = {
    "the same text": (["<x@d.example>"] * 3, ["x@d.example"]),
    "the domain's case": (["<x@D.Example>", "<x@d.example>", "x@D.EXAMPLE"], ["x@D.Example"]),
    "a dot behind": (["<x@d.example.>", "<x@d.example>"], ["x@d.example"]),
    "quotes": (["<x.y@d.example>", '<"x.y"@d.example>', '<"x\\.y"@D.example>', '"x.y"@d.example.'], ["x.y@d.example"]),
    "quotes first": (['<"x"@d.example>', "<x@d.example>"], ['"x"@d.example']),
    "quotes that have to be": (['<"x y"@d.example>', '<"x\\ y"@D.example>'], ['"x y"@d.example']),
    "U-labels and A-labels": (["<x@b\u00fccher.example>", "<x@B\u00dcCHER.example.>", "<x@xn--bcher-kva.example>",
                               "<x@XN--BCHER-KVA.Example>", "<x@bu\u0308cher.example>"], ["x@b\u00fccher.example"]),
    "A-labels first": (["<x@xn--bcher-kva.example>", "<x@b\u00fccher.example>"], ["x@xn--bcher-kva.example"]),
    "dots of other scripts": (["<x@d.example>", "<x@d\u3002example>", "<x@d\uff0eexample\u3002>"], ["x@d.example"]),
    "a source route": (["<@r.example:x@d.example>", "<x@d.example>"], ["x@d.example"]),
    "an IPv6 literal": (["<x@[IPv6:2001:db8::1]>", "<x@[ipv6:2001:0DB8:0:0:0:0:0:1]>"], ["x@[IPv6:2001:db8::1]"]),
    "an IPv4 literal": (["<x@[192.0.2.1]>", "<x@[IPv6:::ffff:192.0.2.1]>"], ["x@[192.0.2.1]"]),
    "postmaster's case": (["<Postmaster@d.example>", "<POSTMASTER@D.example>"], ["Postmaster@d.example"]),
    "the local part's case": (["<x@d.example>", "<X@d.example>", '<"X"@d.example>'], ["x@d.example", "X@d.example"]),
    "the local part's accents": (["<\u00e9@d.example>", "<\u00c9@d.example>", '<"\u00e9"@D.example>'],
                                 ["\u00e9@d.example", "\u00c9@d.example"]),
    "other mailboxes": (["<x@d.example>", "<x@e.d.example>", "<x.@d.example>", "<x+y@d.example>", '<"x "@d.example>'],
                        ["x@d.example", "x@e.d.example", "x.@d.example", "x+y@d.example", '"x "@d.example']),
}


def accepted_to(one, door, paths, mail="", answer="250 2.1.5 "):
    """The recipients that the event names after a message to all the paths."""
    one.ask("MAIL FROM:<a@acme.example> SMTPUTF8" + mail, "250 ")
    for path in paths:
        one.ask("RCPT TO:" + path, answer)
    one.ask("DATA", "354 ")
    message_id = one.raw(letter()).see("250 2.0.0 queued").rsplit(" ", 1)[1]
    return wait_for(lambda: door.events("accepted", message_id))[0]["to"]


@pytest.mark.parametrize("paths, to", MAILBOXES.values(), ids=MAILBOXES.keys())
def test_one_mailbox_is_one_recipient(ready, door, paths, to):
    assert accepted_to(ready(), door, paths) == to


# Two RCPTs for one mailbox; what the next hop is told: NOTIFY's words, and ORCPT.
NOTICES = [
    ("", "", "", ""),
    ("NOTIFY=NEVER", "NOTIFY=NEVER", "NEVER", ""),
    ("NOTIFY=NEVER", "NOTIFY=SUCCESS", "SUCCESS", ""),
    ("NOTIFY=SUCCESS,DELAY", "NOTIFY=NEVER", "SUCCESS DELAY", ""),
    ("NOTIFY=SUCCESS", "NOTIFY=FAILURE", "SUCCESS FAILURE", ""),
    ("NOTIFY=SUCCESS", "", "SUCCESS FAILURE DELAY", ""),
    ("", "NOTIFY=NEVER", "FAILURE DELAY", ""),
    ("", "NOTIFY=FAILURE", "FAILURE DELAY", ""),
    ("ORCPT=rfc822;first@o.example", "ORCPT=rfc822;second@o.example", "", "rfc822;first@o.example"),
    ("", "ORCPT=rfc822;second@o.example", "", "rfc822;second@o.example"),
    ("NOTIFY=FAILURE", "NOTIFY=DELAY ORCPT=rfc822;a@o.example", "FAILURE DELAY", "rfc822;a@o.example"),
]


def test_of_two_rcpts_for_a_mailbox_each_gets_the_notices_it_asks_for(ready, sink):
    one = ready()
    for i, (first, second, _, _) in enumerate(NOTICES):
        one.ask("MAIL FROM:<a@acme.example>", "250 ")
        one.ask(f"RCPT TO:<n{i}@notices.example> {first}", "250 ")
        one.ask(f"RCPT TO:<n{i}@NOTICES.example> {second}", "250 ")
        one.ask("DATA", "354 ")
        one.raw(letter()).see("250 2.0.0 ")
    for i, (_, _, notify, orcpt) in enumerate(NOTICES):
        address = f"n{i}@notices.example"
        message = wait_for(lambda: sink.find(address))[0]
        assert message.recipients == [address]
        given = dict(word.split("=", 1) for word in message.recipient_parameters[address])
        assert sorted(given.get("NOTIFY", "").replace(",", " ").split()) == sorted(notify.split()), NOTICES[i]
        assert given.get("ORCPT", "") == orcpt, NOTICES[i]


POSTMASTERS = ["<Postmaster>", "<postmaster>", "<POSTMASTER>", "Postmaster", "< postmaster >", '<"Postmaster">',
               '<"post\\master">', '"POSTMASTER"', "<@r.example:Postmaster>", "<Postmaster> NOTIFY=NEVER",
               "<postmaster@shout.test>", "<PostMaster@SHOUT.test.>"]


def test_postmaster_needs_no_domain(ready, talk, door):
    one = ready()
    for path in POSTMASTERS[:-2]:
        assert accepted_to(one, door, [path]) == ["postmaster@shout.test"], path
    assert accepted_to(one, door, POSTMASTERS) == ["postmaster@shout.test"]
    assert accepted_to(one, door, ["<x@d.example>", "<Postmaster>"]) == ["x@d.example", "postmaster@shout.test"]
    one.ask("MAIL FROM:<a@acme.example>", "250 ")
    for path in ("<postmasters>", "<post.master>", '<"post master">', "<abuse>", "<root>", '<"postmaster ">'):
        one.ask("RCPT TO:" + path, "550 5.1.3 ")
    stranger = talk()
    stranger.hello()
    stranger.run([("MAIL FROM:<a@acme.example>", "530 5.7.0 "), ("RCPT TO:<Postmaster>", "503 "),
                  ("MAIL FROM:<>", "530 5.7.0 ")])


def test_mail_for_postmaster_is_like_any_other(ready, sink, rig, redis, certificate):
    own = dialogue.start(rig, redis, sink, certificate, ("plain",), postmaster="Ops@dest.example")
    with dialogue.Talk(own.ports["plain"]) as one:
        one.hello()
        one.login()
        one.ask("MAIL FROM:<a@acme.example>", "250 ")
        one.ask("RCPT TO:<Postmaster> ORCPT=rfc822;old@o.example", "250 ")
        one.ask("RCPT TO:<Ops@DEST.example>", "250 ")
        one.ask("DATA", "354 ")
        message_id = one.raw(letter(subject="for you")).see("250 ").rsplit(" ", 1)[1]
        assert wait_for(lambda: own.events("delivered", message_id))[0]["to"] == ["Ops@dest.example"]
        message, = sink.find("Ops@dest.example")
        assert message.recipients == ["Ops@dest.example"] and b"for <Ops@dest.example>" in message.body
        one.message(letter("b@gmail.example"), rcpt="postmaster").see("550 5.7.1 ")
        one.ask("MAIL FROM:<b@gmail.example>", "550 5.7.1 ")
    with dialogue.Talk(own.ports["plain"]) as one:
        one.hello()
        one.login("stopped", "pw")
        one.ask("MAIL FROM:<a@stopped.example>", "550 5.7.1 ")


def test_replies_leave_in_order(talk):
    """AUTH and the queue answer late; what is pipelined behind waits."""
    one = talk()
    one.hello()
    one.login()
    group = "MAIL FROM:<a@acme.example>\r\nRCPT TO:<bad>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n"
    one.raw(group.encode())
    one.run([(None, "250 2.1.0 "), (None, "550 5.1.3 "), (None, "250 2.1.5 "), (None, "354 ")])
    one.raw(letter() + group.encode())
    one.run([(None, "250 2.0.0 queued"), (None, "250 2.1.0 "), (None, "550 5.1.3 "),
             (None, "250 2.1.5 "), (None, "354 ")])
    one.raw(letter() + b"NOOP\r\nQUIT\r\n")
    one.run([(None, "250 2.0.0 queued"), (None, "250 2.0.0 Ok"), (None, "221 "), (None, CLOSED)])


def test_an_unauthenticated_session_hears_nothing_else_by_pipelining(talk):
    one = talk()
    one.hello()
    one.raw(b"MAIL FROM:<a@acme.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n")
    one.run([(None, "530 5.7.0 "), (None, "503 "), (None, "503 "), ("NOOP", "250 ")])


def test_ehlo_lists_what_works_and_nothing_else(talk):
    keywords = ["PIPELINING", "SIZE 1048576", "8BITMIME", "SMTPUTF8", "DSN"]
    auth = "AUTH PLAIN LOGIN SCRAM-SHA-256"
    expected = {
        "plain": keywords + [auth, "ENHANCEDSTATUSCODES"],
        "optional": keywords + ["STARTTLS", "ENHANCEDSTATUSCODES"],
        "starttls": keywords + ["STARTTLS", "ENHANCEDSTATUSCODES"],
        "noauth": keywords + ["ENHANCEDSTATUSCODES"],
        "known": keywords + ["STARTTLS", "ENHANCEDSTATUSCODES"],
    }
    for name, lines in expected.items():
        assert [line[4:] for line in talk(name).hello().split("\n")[1:]] == lines, name
    lines = [line[4:] for line in talk("known", source=KNOWN).hello().split("\n")[1:]]
    assert lines == keywords + ["STARTTLS", auth, "ENHANCEDSTATUSCODES"]


def test_helo_gets_one_line(talk):
    one = talk()
    one.see("220 ")
    one.ask("HELO c.example", "250 shout.test$")
    one.ask("AUTH LOGIN " + b64("joe@acme.example"), "334 ")
    one.ask(b64("secret word"), "235 ")
    one.accepted(letter())
