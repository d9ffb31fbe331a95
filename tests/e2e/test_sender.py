"""The sender between a real ingress and sinks: what waits, what comes back, and what a restart or an
operator does to it."""

import email
import email.policy
import re
import threading
import time

import pytest

from harness import EICAR, send, wait_for
from sink import Delay, Sink

SENDER = "anna@customer.example"
BODY = b"From: anna@customer.example\r\nMessage-ID: <1@customer.example>\r\nSubject: hello\r\n\r\nhi\r\n"


def names(shout, message_id):
    return [event["event"] for event in shout.events(message_id=message_id)]


def ended(shout, message_id, name, count=1):
    return wait_for(lambda: (found := shout.events(name, message_id)) and len(found) >= count and found,
                    60, f"{name} of {message_id}")


def report(sink, to=SENDER):
    """The DSN that came back to the sender: (text for people, fields for programs, third part)."""
    message = wait_for(lambda: sink.find(to), 60, "a DSN")[0]
    assert message.sender == ""
    parsed = email.message_from_bytes(message.body, policy=email.policy.default)
    assert parsed.get_content_type() == "multipart/report"
    people, programs, original = parsed.iter_parts()
    return people.get_content(), programs.as_string(), original.as_string()


class Site:
    """A Shout with accounts, delivering to one sink."""

    def __init__(self, rig, certificate, clamd=None, **sender):
        self.sink = rig.sink()
        self.shout = rig.shout(rig.redis(), clamd=clamd, route=self.sink.host, certificate=certificate,
                               settings={"sender": sender} if sender else None)
        self.account = self.shout.account_add()

    def post(self, *recipients, sender=SENDER, body=BODY):
        with self.shout.smtp(account=self.account) as client:
            return send(client, sender, list(recipients), body)


@pytest.fixture
def site(rig, certificate):
    return lambda **settings: Site(rig, certificate, **settings)


def test_a_deferred_message_is_tried_again_until_it_arrives(site):
    s = site()
    s.sink.on("rcpt", "451 4.2.2 come back later", times=2)
    message_id = s.post("bob@elsewhere.example")
    delivered, = ended(s.shout, message_id, "delivered")
    assert names(s.shout, message_id) == ["accepted", "deferred", "deferred", "delivered"]
    assert delivered["attempts"] == 3
    first = s.shout.events("deferred", message_id)[0]
    assert first["reply"].startswith("451 4.2.2") and first["attempts"] == 1 and first["due"]
    assert len(s.sink.find("bob@elsewhere.example")) == 1


def test_each_recipient_has_an_end_of_its_own(site):
    s = site()
    s.sink.on("rcpt", "451 4.2.2 later", match="later", times=1)
    s.sink.on("rcpt", "550 5.1.1 no such user", match="nobody")
    message_id = s.post("good@elsewhere.example", "later@elsewhere.example", "nobody@elsewhere.example")
    ended(s.shout, message_id, "delivered", 2)
    ends = {to: event["event"] for event in s.shout.events(message_id=message_id)
            if event["event"] in ("delivered", "bounced") for to in event["to"]}
    assert ends == {"good@elsewhere.example": "delivered", "later@elsewhere.example": "delivered",
                    "nobody@elsewhere.example": "bounced"}
    assert len(s.sink.find("good@elsewhere.example")) == 1
    assert len(s.sink.find("later@elsewhere.example")) == 1
    wait_for(lambda: s.shout.shoutctl("account", "show", s.account["account"])["score"]["7d"] == {
        "sent": 3, "strangers": 3, "recipients": 3, "hard_bounces": 1, "unknown_users": 1, "complaints": 0,
        "viruses": 0, "alerts": 0, "spam": 0}, what="the account's score")


def test_a_refusal_comes_back_as_a_dsn(site):
    s = site()
    s.sink.on("rcpt", "550 5.1.1 no such user", match="nobody")
    message_id = s.post("nobody@elsewhere.example")
    bounced, = ended(s.shout, message_id, "bounced")
    assert bounced["enhanced"] == "5.1.1" and bounced["to"] == ["nobody@elsewhere.example"]
    people, programs, original = report(s.sink)
    assert "nobody@elsewhere.example" in people
    assert "Action: failed" in programs and "Status: 5.1.1" in programs
    assert "550 5.1.1 no such user" in programs
    assert "hello" in original
    wait_for(lambda: s.shout.metric("shout_sender_records") == 0, what="nothing is in hand")


def test_refused_recipients_share_a_dsn(site):
    s = site()
    s.sink.on("rcpt", "550 5.1.1 no such user", match="nobody")
    message_id = s.post("nobody1@elsewhere.example", "nobody2@elsewhere.example")
    ended(s.shout, message_id, "bounced")
    people, programs, _ = report(s.sink)
    assert programs.count("Action: failed") == 2
    assert len(s.sink.find(SENDER)) == 1


def test_the_null_sender_and_notify_never_get_no_dsn(site):
    s = site()
    s.sink.on("rcpt", "550 5.1.1 no such user", match="nobody")
    ended(s.shout, s.post("nobody@elsewhere.example", sender=""), "bounced")
    with s.shout.smtp(account=s.account) as client:
        client.ehlo()
        client.mail(SENDER)
        client.rcpt("nobody@elsewhere.example", ["NOTIFY=NEVER"])
        text = client.data(BODY)[1]
    ended(s.shout, text.decode().rsplit(" ", 1)[1], "bounced")
    wait_for(lambda: s.shout.metric("shout_sender_records") == 0, what="nothing is in hand")
    assert not s.sink.find(SENDER) and not s.sink.find("")


def post_with_dsn(s, recipients, mail=(), body=BODY):
    """Posts with RFC 3461's parameters: (address, words) each. Returns the message's id."""
    with s.shout.smtp(account=s.account) as client:
        client.ehlo()
        assert client.mail(SENDER, list(mail))[0] == 250
        for address, words in recipients:
            assert client.rcpt(address, list(words))[0] == 250
        return client.data(body)[1].decode().rsplit(" ", 1)[1]


def without_dsn(sink):
    sink.extensions = [name for name in Sink.EXTENSIONS if name != "DSN"]


def test_a_hop_with_dsn_gets_every_parameter_as_it_came(site):
    s = site()
    notify, orcpt = "NOTIFY=SUCCESS,FAILURE,DELAY", "ORCPT=rfc822;b+2Bob+3D@elsewhere.example"
    message_id = post_with_dsn(s, [("bob@elsewhere.example", [notify, orcpt]),
                                   ("eve@elsewhere.example", ["NOTIFY=NEVER"]),
                                   ("joe@elsewhere.example", [])], ["RET=HDRS", "ENVID=QQ+2B+3D314"])
    ended(s.shout, message_id, "delivered")
    message, = s.sink.find("bob@elsewhere.example")
    assert {"RET=HDRS", "ENVID=QQ+2B+3D314"} <= set(message.mail_parameters)
    assert message.recipient_parameters == {"bob@elsewhere.example": [notify, orcpt],
                                            "eve@elsewhere.example": ["NOTIFY=NEVER"],
                                            "joe@elsewhere.example": []}
    wait_for(lambda: s.shout.metric("shout_sender_records") == 0, what="nothing is in hand")
    assert not s.sink.find(SENDER)


@pytest.mark.parametrize("ret", ["HDRS", "FULL"])
def test_a_hop_without_dsn_is_told_to_whom_asked_for_success(site, ret):
    s = site()
    without_dsn(s.sink)
    message_id = post_with_dsn(s, [("bob@elsewhere.example", ["NOTIFY=SUCCESS", "ORCPT=rfc822;b+2Bob@elsewhere.example"]),
                                   ("joe@elsewhere.example", ["NOTIFY=FAILURE"]), ("eve@elsewhere.example", [])],
                               [f"RET={ret}", "ENVID=QQ+2B314"])
    ended(s.shout, message_id, "delivered")
    message, = s.sink.find("bob@elsewhere.example")
    assert not [word for word in message.mail_parameters if word.startswith(("RET", "ENVID"))]
    assert message.recipient_parameters["bob@elsewhere.example"] == []
    _, programs, original = report(s.sink)
    parsed = email.message_from_bytes(s.sink.find(SENDER)[0].body, policy=email.policy.default)
    assert parsed.get_param("report-type") == "delivery-status"
    status = list(parsed.iter_parts())[1]
    assert status.get_content_type() == "message/delivery-status"
    of_message, of_bob = status.get_payload()
    assert of_message["Original-Envelope-Id"] == "QQ+314"
    assert of_message["Reporting-MTA"].startswith("dns;")
    assert of_bob["Original-Recipient"] == "rfc822;b+ob@elsewhere.example"
    assert of_bob["Final-Recipient"].replace(" ", "") == "rfc822;bob@elsewhere.example"
    assert of_bob["Action"] == "relayed" and of_bob["Status"].startswith("2.")
    assert "Will-Retry-Until" not in of_bob
    # RET is about failures: anything else returns the header alone (RFC 3461 4.3)
    assert "Subject: hello" in original and "hi" not in original.splitlines()
    wait_for(lambda: s.shout.metric("shout_sender_records") == 0, what="nothing is in hand")
    assert len(s.sink.find(SENDER)) == 1


@pytest.mark.parametrize("ret, kind", [("HDRS", "text/rfc822-headers"), ("FULL", "message/rfc822")])
def test_a_failure_returns_what_ret_asks_for(site, ret, kind):
    s = site()
    s.sink.on("rcpt", "550 5.1.1 no such user", match="nobody")
    post_with_dsn(s, [("nobody@elsewhere.example", ["NOTIFY=FAILURE"])], [f"RET={ret}", "ENVID=a+20b"])
    message, = wait_for(lambda: s.sink.find(SENDER), 60, "a DSN")
    _, status, original = email.message_from_bytes(message.body, policy=email.policy.default).iter_parts()
    assert original.get_content_type() == kind
    assert (b"\r\n\r\nhi\r\n" in message.body) == (ret == "FULL")
    assert status.get_payload()[0]["Original-Envelope-Id"] == "a b"
    assert status.get_payload()[1]["Action"] == "failed"


def test_a_dsn_that_cannot_be_delivered_ends_there(site):
    s = site()
    s.sink.on("rcpt", "550 5.1.1 no such user", match="nobody|anna")
    ended(s.shout, s.post("nobody@elsewhere.example"), "bounced")
    wait_for(lambda: [e for e in s.shout.events("bounced") if SENDER in e["to"]], what="its end")
    wait_for(lambda: s.shout.metric("shout_sender_records") == 0, what="nothing is in hand")
    assert len(s.shout.events("bounced")) == 2


def test_a_stop_awaits_the_reply_to_what_is_out(site):
    s = site()
    reached = threading.Event()
    s.sink.on("dot", lambda session, text: reached.set() or Delay(13), times=1)
    message_id = s.post("slow@elsewhere.example")
    assert reached.wait(60)
    assert s.shout.stop(60) == 0
    s.shout.start()
    ended(s.shout, message_id, "delivered")
    wait_for(lambda: s.shout.metric("shout_sender_records") == 0, what="nothing is in hand")
    assert len(s.sink.find("slow@elsewhere.example")) == 1


def test_a_delay_is_told_once(site):
    s = site(delay_dsn="1s")
    rule = s.sink.on("rcpt", "451 4.2.2 later", match="slow")
    message_id = s.post("slow@elsewhere.example")
    _, programs, _ = report(s.sink)
    assert "Action: delayed" in programs and "Will-Retry-Until" in programs
    before = len(s.shout.events("deferred", message_id))
    ended(s.shout, message_id, "deferred", before + 2)
    s.sink.rules.remove(rule)
    ended(s.shout, message_id, "delivered")
    assert len(s.sink.find(SENDER)) == 1


def test_mail_that_waits_too_long_expires(site):
    s = site(lifetime="3s")
    s.sink.on("rcpt", "451 4.2.2 later", match="never")
    message_id = s.post("never@elsewhere.example")
    expired, = ended(s.shout, message_id, "expired")
    assert expired["reply"].startswith("451 4.2.2") and expired["attempts"] >= 2
    _, programs, _ = report(s.sink)
    assert "Action: failed" in programs
    wait_for(lambda: s.shout.metric("shout_sender_waiting") == 0, what="no row is left")


def test_mail_for_a_site_that_is_down_expires_as_well(site):
    s = site(lifetime="3s")
    s.sink.stop()
    messages = [s.post(f"down{i}@elsewhere.example") for i in range(30)]
    for message_id in messages:
        ended(s.shout, message_id, "expired")
    s.sink.resume()
    wait_for(lambda: len(s.sink.find(SENDER)) == 30, 60, "a DSN each")


@pytest.mark.parametrize("how", ["stay", "kill"])
def test_each_mail_for_a_dead_site_is_reported_late_and_says_why(site, how):
    """Few of them are ever tried: the site rests."""
    s = site(delay_dsn="3s", lifetime="9s", retry={"first": "3s", "max": "1h"}, rest={"route": "3s"})
    s.sink.stop()
    messages = [s.post(f"down{i}@elsewhere.example") for i in range(40)]
    why = {("Connection refused while connecting", "127.0.0.1[127.0.0.1]")}
    rows = wait_for(lambda: len(rows := s.shout.shoutctl("queue", "list", "--limit", 100)["rows"]) == 40 and
                    all("last_reply" in row for row in rows) and rows, 60, "40 rows, each with its reason")
    assert {(row["last_reply"], row["last_host"]) for row in rows} == why
    assert sum(row["attempts"] == 0 for row in rows) >= 20
    if how == "kill":
        s.shout.kill()
        s.shout.restart()
    for name in ("delayed", "expired"):
        events = wait_for(lambda: len(found := s.shout.events(name)) >= 40 and found, 60, name)
        assert sorted(event["id"] for event in events) == sorted(messages)
        assert {(event["reply"], event["host"]) for event in events} == why
    s.sink.resume()
    wait_for(lambda: len(s.sink.find(SENDER)) == 2 * len(messages), 60, "two DSNs each")
    for message in s.sink.find(SENDER):
        assert b"Connection refused" in message.body


def test_a_site_that_greylists_soon_has_all_of_its_mail(rig, certificate):
    """It puts off whatever it sees first, and rests for that; what it has seen then goes first."""
    seen = set()
    sink = rig.sink(address="127.0.0.2")
    sink.on("rcpt", lambda session, text: None if text in seen else seen.add(text) or "451 4.7.1 greylisted")
    nsd = rig.nsd({"grey.example": f"@ MX 10 mx\nmx A {sink.address}\n"})
    shout = rig.shout(rig.redis(), certificate=certificate, settings={
        "sender": {"port": sink.port, "retry": {"first": "3s", "max": "1h"}},
        "dns": {"forward": [nsd.address], "trust_anchor": "none"}})
    with shout.smtp(account=shout.account_add()) as client:
        for i in range(60):
            send(client, SENDER, [f"u{i}@grey.example"], BODY)
    wait_for(lambda: len(sink.find()) == 60, 60, "all of it")


def test_mail_that_an_operator_suspended_is_late_as_well(site):
    s = site(delay_dsn="2s")
    s.shout.shoutctl("suspend", "--domain", "elsewhere.example")
    message_id, null = s.post("bob@elsewhere.example"), s.post("bob@elsewhere.example", sender="")
    never = post_with_dsn(s, [("bob@elsewhere.example", ["NOTIFY=NEVER"])])
    for late in (message_id, never):
        event, = ended(s.shout, late, "delayed")
        assert "suspended" in event["reply"] and event["attempts"] == 0
    _, programs, _ = report(s.sink)
    assert "Action: delayed" in programs and "suspended here" in programs
    s.shout.shoutctl("resume", "--domain", "elsewhere.example")
    for one in (message_id, null, never):
        ended(s.shout, one, "delivered")
    assert len(s.sink.find(SENDER)) == 1 and len(s.shout.events("delayed")) == 2


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_waiting_mail_survives_a_restart(site, how):
    s = site()
    rule = s.sink.on("rcpt", "451 4.2.2 later", match="wait")
    messages = [s.post(f"wait{i}@elsewhere.example", f"arrives{i}@elsewhere.example") for i in range(10)]
    for message_id in messages:
        ended(s.shout, message_id, "deferred")
    getattr(s.shout, how)()
    s.sink.rules.remove(rule)
    s.shout.restart()
    for message_id in messages:
        ended(s.shout, message_id, "delivered", 2)
    for i in range(10):
        assert len(s.sink.find(f"wait{i}@elsewhere.example")) == 1
        assert len(s.sink.find(f"arrives{i}@elsewhere.example")) == 1


def test_a_site_that_is_down_gets_its_mail_when_it_is_back(site):
    s = site()
    s.sink.stop()
    messages = [s.post(f"back{i}@elsewhere.example") for i in range(300)]
    ended(s.shout, messages[0], "deferred")
    s.sink.resume()
    for i in range(300):
        wait_for(lambda: s.sink.find(f"back{i}@elsewhere.example"), 60, f"back{i}")
    wait_for(lambda: s.shout.metric("shout_sender_waiting") == 0, 60, "no row is left")
    assert len(s.sink.find()) == 300


def test_more_recipients_than_a_transaction_takes(site):
    s = site()
    recipients = [f"many{i}@elsewhere.example" for i in range(250)]
    message_id = s.post(*recipients)
    wait_for(lambda: {to for e in s.shout.events("delivered", message_id) for to in e["to"]}
             == set(recipients), 60, "all are delivered")
    sizes = sorted(len(message.recipients) for message in s.sink.find())
    assert sizes == [50, 100, 100]


def test_redis_being_away_does_not_hold_mail_up(site, rig):
    s = site()
    with s.shout.smtp(account=s.account) as client:
        send(client, SENDER, ["one@elsewhere.example"], BODY)
        redis = next(thing for thing in rig.started if thing.name == "redis")
        redis.stop()
        message_id = send(client, SENDER, ["two@elsewhere.example"], BODY)
    ended(s.shout, message_id, "delivered")
    redis.start()


def test_held_mail_goes_on_when_it_is_released(site, clamd):
    s = site(clamd=clamd)
    infected = BODY + EICAR + b"\r\n"
    message_id = s.post("victim@elsewhere.example", "other@third.example", body=infected)
    ended(s.shout, message_id, "held")
    wait_for(lambda: s.shout.shoutctl("queue", "list", "--state", "held")["rows"], what="a held row")
    s.shout.shoutctl("queue", "release", message_id)
    ended(s.shout, message_id, "released")
    ended(s.shout, message_id, "delivered")
    wait_for(lambda: s.sink.find("victim@elsewhere.example"))
    wait_for(lambda: s.sink.find("other@third.example"))
    wait_for(lambda: s.shout.metric("shout_sender_waiting") == 0, what="no row is left")
    assert len(s.shout.events("released", message_id)) == 1


def test_what_is_found_after_a_release_stays_held(site, rig):
    clamd = rig.clamd()
    s = site(clamd=clamd)
    seen = s.post("seen@elsewhere.example", body=BODY + EICAR + b"\r\n")
    wait_for(lambda: s.shout.shoutctl("queue", "list", "--state", "held")["rows"], what="a held row")
    clamd.stop()
    unseen = s.post("unseen@elsewhere.example", body=BODY + EICAR + b"\r\n")
    s.shout.shoutctl("queue", "release", "--account", s.account["account"])
    ended(s.shout, seen, "delivered")
    clamd.start()
    ended(s.shout, unseen, "held")
    wait_for(lambda: s.shout.shoutctl("queue", "list", "--state", "held")["rows"], what="a held row")
    for command in ("suspend", "resume"):  # after which all rows meet the rules
        s.shout.shoutctl(command, "--account", s.account["account"])
    marker = s.post("marker@elsewhere.example")
    ended(s.shout, marker, "delivered")
    s.shout.stop()
    s.shout.restart()
    assert s.shout.shoutctl("queue", "list", "--state", "held")["total"] == 1
    assert not s.sink.find("unseen@elsewhere.example")
    s.shout.shoutctl("queue", "release", unseen)
    ended(s.shout, unseen, "delivered")


def test_mail_released_after_its_lifetime_is_tried_again_all_the_same(site, clamd):
    s = site(clamd=clamd, lifetime="1s")
    message_id = s.post("victim@elsewhere.example", body=BODY + EICAR + b"\r\n")
    accepted = time.time()
    ended(s.shout, message_id, "held")
    s.sink.on("rcpt", "451 4.7.1 greylisted", match="victim", times=1)  # the notices go on
    wait_for(lambda: time.time() > accepted + 2, what="its lifetime is over")
    s.shout.shoutctl("queue", "release", message_id)
    ended(s.shout, message_id, "delivered")
    assert names(s.shout, message_id) == ["accepted", "held", "released", "deferred", "delivered"]


def test_held_mail_expires(site, clamd):
    s = site(clamd=clamd, held_lifetime="2s")
    message_id = s.post("victim@elsewhere.example", body=BODY + EICAR + b"\r\n")
    ended(s.shout, message_id, "held")
    ended(s.shout, message_id, "expired")
    message = wait_for(lambda: [m for m in s.sink.find(SENDER) if not m.sender
                                and b"multipart/report" in m.body], 60, "a DSN")[0]
    assert EICAR not in message.body


def test_an_operator_retries_and_bounces(site):
    s = site(retry={"first": "1h", "max": "4h"})
    rule = s.sink.on("rcpt", "451 4.2.2 later", match="wait")
    first, second = s.post("wait1@elsewhere.example"), s.post("wait2@elsewhere.example")
    ended(s.shout, first, "deferred")
    ended(s.shout, second, "deferred")
    wait_for(lambda: s.shout.metric("shout_sender_waiting") == 2, what="two rows")
    s.sink.rules.remove(rule)
    s.shout.shoutctl("queue", "retry", first)
    ended(s.shout, first, "delivered")
    s.shout.shoutctl("queue", "bounce", second)
    bounced, = ended(s.shout, second, "bounced")
    assert "operator" in bounced["reason"]
    report(s.sink)
    wait_for(lambda: s.shout.metric("shout_sender_waiting") == 0, what="no row is left")


def test_a_dead_site_leaves_the_good_one_alone(two_sites):
    shout, good, dead = two_sites
    account = shout.account_add()
    dead.on("rcpt", "451 4.3.0 never")
    with shout.smtp(account=account) as client:
        for i in range(400):
            send(client, SENDER, [f"a{i}@dead.example"], BODY)
        for i in range(100):
            send(client, SENDER, [f"b{i}@good.example"], BODY)
    wait_for(lambda: len(good.find()) == 100, 60, "the good site's mail")
    wait_for(lambda: shout.metric("shout_sender_waiting") == 400, 60, "the dead site's rows")
    # one after another without a success: the site rests, most were never tried
    assert len(shout.events("deferred")) < 100
    assert shout.metric("shout_sender_sites_resting") == 1


def test_one_message_to_two_sites(two_sites):
    shout, good, dead = two_sites
    account = shout.account_add()
    dead.on("rcpt", "550 5.1.1 nobody here")
    with shout.smtp(account=account) as client:
        message_id = send(client, SENDER, ["a@good.example", "b@dead.example", "c@good.example"], BODY)
    delivered, = ended(shout, message_id, "delivered")
    bounced, = ended(shout, message_id, "bounced")
    assert sorted(delivered["to"]) == ["a@good.example", "c@good.example"]
    assert bounced["to"] == ["b@dead.example"]
    assert re.match(r"mx\.good\.example", delivered["site"])


def test_no_such_domain_bounces(two_sites):
    shout, _, _ = two_sites
    account = shout.account_add()
    with shout.smtp(account=account) as client:
        message_id = send(client, SENDER, ["a@nowhere.good.example", "b@good.example"], BODY)
    ended(shout, message_id, "delivered")
    bounced, = ended(shout, message_id, "bounced")
    assert bounced["enhanced"] == "5.1.2"
