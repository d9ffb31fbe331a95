"""Mail hosts that answer oddly, or not at all, and a broken or missing TLS: what that makes of the mail."""

import pytest

from harness import server_tls, wait_for
from sink import DROP
from test_sender import SENDER, Site, ended, names, report


@pytest.fixture
def site(rig, certificate):
    return lambda **settings: Site(rig, certificate, **settings)


def idle(shout):
    return wait_for(lambda: shout.metric("shout_sender_records") == 0
                    and shout.metric("shout_sender_waiting") == 0, 60, "nothing is left")


class Answer:
    """Says `data` in place of a reply, perhaps in pieces or before it closes the connection, and counts."""

    def __init__(self, *data, drop=False):
        self.data, self.drop, self.times = data, drop, 0

    def __call__(self, session, text):
        self.times += 1
        for piece in self.data[:None if self.drop else -1]:
            session.send(piece)
        return DROP if self.drop else self.data[-1]


TAKEN = {
    "codes": Answer(b"250-a\r\n", b"251 b\r\n"),
    "words": Answer(b"250-a\r\n", b"b\r\n", b"250 c\r\n"),
    "underline": Answer(b"250_ok\r\n"),
    "tab": Answer(b"250\tok\r\n"),
    "glued": Answer(b"250ok\r\n"),
    "blank": Answer(b" 250 ok\r\n"),
    "lf": Answer(b"250 ok\n"),
    "nul": Answer(b"250\0ok\r\n"),
    "late": Answer(b"please wait\r\n", b"250 ok\r\n"),
    "digits": Answer(b"25 ok\r\n"),
    "long": Answer(b"250 " + 10000 * b"x" + b"\r\n"),
    "two": Answer(b"250 ok\r\n550 no\r\n"),
    "endless": Answer(b"250 " + 100000 * b"x", drop=True),
    "lines": Answer(1000 * b"250-x\r\n", drop=True),
    "hung": Answer(b"250-a\r\n", drop=True),
    "cut": Answer(b"250 o", drop=True),
    "code": Answer(b"250", drop=True),
    "digit": Answer(b"2", drop=True),
}


def test_what_got_a_2xx_is_sent_once_however_it_was_said(site):
    s = site()
    for name, answer in TAKEN.items():
        s.sink.on("dot", answer, match=f"^{name}@")
    ids = {name: s.post(f"{name}@elsewhere.example") for name in TAKEN}
    for message_id in ids.values():
        ended(s.shout, message_id, "delivered")
    idle(s.shout)
    assert {name: names(s.shout, ids[name]) for name in TAKEN} == {
        name: ["accepted", "delivered"] for name in TAKEN}
    assert {name: answer.times for name, answer in TAKEN.items()} == dict.fromkeys(TAKEN, 1)


def test_a_refusal_in_several_codes_bounces_at_once_with_all_it_said(site):
    s = site()
    s.sink.on("rcpt", b"550-5.1.1 nobody\r\n554 5.1.1 really\r\n", match="^rcpt@")
    s.sink.on("dot", b"250-scanned\r\n550 5.7.1 and refused\r\n", match="^dot@")
    for to, said in (("rcpt", "550 5.1.1 nobody 554 5.1.1 really"), ("dot", "250 scanned 550 5.7.1 and refused")):
        message_id = s.post(f"{to}@elsewhere.example")
        bounced, = ended(s.shout, message_id, "bounced")
        assert names(s.shout, message_id) == ["accepted", "bounced"]
        assert bounced["reply"] == said and bounced["attempts"] == 1


def test_a_greeting_that_turns_into_a_refusal_keeps_why(site):
    s = site()
    s.sink.on("banner", b"220-hello\r\n521 no mail here\r\n", times=1)
    message_id = s.post("bob@elsewhere.example")
    ended(s.shout, message_id, "delivered")
    assert s.shout.events("deferred", message_id)[0]["reply"] == "220 hello 521 no mail here"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_gets_no_answer_is_sent_a_few_times_only_and_the_sender_hears_the_truth(site, how):
    s = site(ambiguous_retries=2)
    answer = Answer(b"hm\r\n", drop=True)
    s.sink.on("dot", answer, match="lost")
    s.sink.on("rcpt", "451 4.2.2 later", match="other", times=3)
    message_id = s.post("lost@elsewhere.example", "other@elsewhere.example")
    ended(s.shout, message_id, "deferred")
    wait_for(lambda: s.shout.metric("shout_sender_waiting"), what="a row")
    getattr(s.shout, how)()
    s.shout.restart()
    expired, = ended(s.shout, message_id, "expired")
    assert expired["to"] == ["lost@elsewhere.example"] and expired["ambiguous"] == 3
    assert "it may have arrived" in expired["reply"]
    # whoever was not in it has a time of his own
    ended(s.shout, message_id, "delivered")
    idle(s.shout)
    assert answer.times in ((3, 4) if how == "kill" else (3,))  # one may have been in flight
    counts = [e["ambiguous"] for e in s.shout.events("deferred", message_id) if "ambiguous" in e]
    assert counts == [1, 2]
    people, programs, _ = report(s.sink)
    assert "IT MAY HAVE BEEN DELIVERED" in people and "3 times" in people
    assert "Action: failed" in programs and "Status: 5.4.2" in programs
    assert not s.shout.events("bounced", message_id)


def broken_tls(session, text):
    """Takes STARTTLS and closes in the handshake."""
    session.send("220 2.0.0 go")
    return DROP


@pytest.mark.parametrize("how", ["broken", "refused", "stripped"])
def test_a_host_that_had_tls_gets_no_clear_text_also_after_a_restart(site, certificate, how):
    s = site()
    tls = s.sink.tls = server_tls(*certificate)
    ended(s.shout, s.post("first@elsewhere.example"), "delivered")
    assert s.sink.find("first@elsewhere.example")[0].tls
    s.shout.restart() if not s.shout.stop() else pytest.fail("no clean stop")
    rule = s.sink.on("starttls", "454 4.7.0 not now" if how == "refused" else broken_tls)
    s.sink.tls = tls if how != "stripped" else None
    message_id = s.post("second@elsewhere.example")
    deferred = ended(s.shout, message_id, "deferred", 2)[0]
    assert "no clear text for a host that had TLS lately; " in deferred["reply"]
    assert not s.sink.find("second@elsewhere.example")
    s.sink.rules.remove(rule)
    s.sink.tls = tls
    delivered, = ended(s.shout, message_id, "delivered")
    assert delivered["tls"] and s.sink.find("second@elsewhere.example")[0].tls
    assert s.shout.metric("shout_sender_lost_tls_total") == 0


def test_a_refusal_for_lack_of_tls_starts_it_at_once(site, certificate):
    s = site()
    s.sink.tls = server_tls(*certificate)
    s.sink.on("starttls", broken_tls, times=1)
    s.sink.on("mail", lambda session, text: None if session.tls_version
              else "530 5.7.0 Must issue a STARTTLS command first")
    message_id = s.post("bob@elsewhere.example")
    delivered, = ended(s.shout, message_id, "delivered")
    assert names(s.shout, message_id) == ["accepted", "delivered"]
    assert delivered["tls"] and delivered["attempts"] == 1
    assert s.sink.connections == 3  # the handshake that broke, clear text, TLS


def test_a_host_never_seen_with_tls_gets_clear_text_in_the_same_attempt(site, certificate):
    s = site()
    s.sink.tls = server_tls(*certificate)
    s.sink.on("starttls", broken_tls)
    message_id = s.post("bob@elsewhere.example")
    delivered, = ended(s.shout, message_id, "delivered")
    assert delivered["attempts"] == 1 and "tls" not in delivered
