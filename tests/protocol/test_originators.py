"""No account as another: many spellings of others' domains, and mail that is not to be refused."""

import dialogue
import originators
import pytest


def answer(one, sender, fields):
    """The last reply to a message; an early one when MAIL is refused."""
    one.say(f"MAIL FROM:<{sender}> SMTPUTF8")
    reply = one.reply()
    if not reply.startswith("250 "):
        return reply
    one.ask("RCPT TO:<x@dest.example>", "250 ")
    one.ask("DATA", "354 ")
    fields = fields if isinstance(fields, bytes) else fields.encode()
    return one.raw(fields + b"\r\nTo: x@dest.example\r\n\r\nx\r\n.\r\n").reply()


def answers(ready, rows):
    """Few a session, since refusals count."""
    rows = list(rows)
    for first in range(0, len(rows), 5):
        one = ready()
        for sender, fields in rows[first:first + 5]:
            yield sender, fields, answer(one, sender, fields)
        one.socket.close()


def test_no_spelling_of_another_s_domain_passes(ready):
    rows = set(originators.spellings())
    assert len(rows) > 250
    passed = [row for row in answers(ready, rows) if row[2][:3] not in ("550", "554", "501", "553")]
    assert not passed, f"{len(passed)} of {len(rows)}"


def test_no_legitimate_originator_is_refused(ready):
    assert len(originators.LEGITIMATE) > 100
    refused = [row for row in answers(ready, originators.LEGITIMATE) if not row[2].startswith("250 2.0.0 queued")]
    assert not refused, f"{len(refused)} of {len(originators.LEGITIMATE)}"


@pytest.mark.parametrize("sender, fields, reply", [
    ("n@names.example", 'From: "ceo@other.example" <n@names.example>', "250 "),
    ("n@names.example", "From: n@names.example (ceo@other.example)", "250 "),
    ("n@names.example", "From: ceo@other.example\r\nSender: n@names.example", "550 5.7.1 From <ceo@other.example> belongs to another "),
    ("n@names.example", 'From: "ceo@other.example"\r\nSender: n@names.example', "550 5.7.1 From "),
    ("", 'From: "ceo@other.example" <>', "554 5.6.0 The From field holds no address"),
    ("", 'From: "ceo@other.example" <n@names.example>', "550 5.7.1 The name <other.example> belongs to another "),
])
def test_an_account_may_show_others_addresses_in_names_if_it_says_so(ready, sender, fields, reply):
    one = ready(user="names", password="pw")
    assert answer(one, sender, fields).startswith(reply)


def test_whose_a_domain_is_cannot_be_told_without_redis(module_rig, sink, certificate):
    """What needs no answer passes, what does is asked for again later."""
    redis = module_rig.redis()
    dialogue.seed_all(redis)
    shout = dialogue.start(module_rig, redis, sink, certificate, ("plain",))
    with dialogue.Talk(shout.ports["plain"]) as one:
        one.hello()
        one.login()
        for fields in ("From: x@gmail.example\r\nSender: joe@acme.example", 'From: "x@gmail.example" <joe@acme.example>',
                       "From: joe@acme.example\r\nSender: x@gmail.example"):
            assert answer(one, originators.OWN, fields).startswith("250 ")
        redis.stop()
        for fields in ("From: x@third.example\r\nSender: joe@acme.example", 'From: "x@third.example" <joe@acme.example>',
                       "From: joe@acme.example\r\nSender: x@third.example"):
            assert answer(one, originators.OWN, fields).startswith("451 4.3.0 ")
        assert answer(one, originators.OWN, "From: joe@acme.example").startswith("250 ")
