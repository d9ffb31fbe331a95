"""What operators do to the queue, step by step: tests of a `desk`, which the tests of the embedded queue and
those of a cluster each start in their own way."""

import threading
import time

import pytest

from harness import EICAR, free_port, send, wait_for
from sink import Delay

BODY = b"From: a@%s.example\r\nSubject: hello\r\n\r\nhi\r\n"


class Sites:
    """good.example with twin.example at the one, other.example at the other, found by MX, and nobody at
    refused.example's host; DSNs for
    one.example and two.example at the third. Mail is first tried again after an hour."""

    def __init__(self, rig):
        port = free_port()
        self.good, self.other, self.own = (rig.sink(address=f"127.0.0.{n}", port=port) for n in (2, 3, 4))
        zones = {"good.example": f"@ MX 10 mx\nmx A {self.good.address}\n",
                 "twin.example": "@ MX 10 mx.good.example.\n",
                 "other.example": f"@ MX 10 mx\nmx A {self.other.address}\n",
                 "refused.example": "@ MX 10 mx\nmx A 127.0.0.9\n",
                 **{f"{name}.example": f"@ MX 10 mx\nmx A {self.own.address}\n" for name in ("one", "two")}}
        self.settings = {
            "sender": {"port": port, "retry": {"first": "1h", "max": "4h"}, "source_address": ["127.0.0.1"]},
            "dns": {"forward": [rig.nsd(zones).address], "trust_anchor": "none"}}


class Desk:
    """Two accounts (one.example, two.example). `control` answers shoutctl; who is started says restart(),
    door() (who accepts mail), loaded() (rows in memory), events(), open_by_metrics() (what is not
    delivered yet) and held_by_metrics()."""

    def __init__(self, sites, control):
        self.good, self.other = sites.good, sites.other
        self.control = control
        self.accounts = {name: control.account_add(name, f"{name}.example") for name in ("one", "two")}

    def ctl(self, *words):
        return self.control.shoutctl(*words)

    def refused(self, *words):
        """What a command says that is about nothing."""
        answer = self.control.shoutctl(*words, check=False)
        assert answer.get("error"), (words, answer)
        return answer["error"]

    def state(self, message_id):
        """Of a message that is not delivered yet, in a word."""
        shown = self.control.shoutctl("queue", "show", message_id, check=False)
        return None if "error" in shown else shown["rows"][0]["state"]

    def is_state(self, message_id, state):
        wait_for(lambda: self.state(message_id) == state, 60, f"{message_id} is {state}")

    def post(self, name, *recipients, more=b""):
        with self.door().smtp(account=self.accounts[name]) as client:
            return send(client, f"a@{name}.example", list(recipients), BODY % name.encode() + more)

    def rows(self, *words):
        """Those that wait or are held."""
        return [row for row in self.ctl("queue", "list", *words)["rows"] if row["state"] in ("waiting", "held")]

    def total(self):
        """How many rows there are, once control has read them all."""
        def whole():
            page = self.ctl("queue", "list")
            return page if page["total_exact"] else None
        return wait_for(whole, what="control has read all rows")["queue"]["rows"]

    def wait(self, count):
        """Until there are so many rows."""
        wait_for(lambda: self.ctl("queue", "list")["queue"]["rows"] == count, 60, f"{count} rows")


def selectors(desk, message_id):
    """Each one means the first message only."""
    return {
        "id": ("--id", message_id),
        "domain": ("--domain", "twin.example"),
        "site": ("--site", "mx.good.example"),
        "provider": ("--provider", "good.example"),
        "account": ("--account", desk.accounts["one"]["account"]),
        "credential": ("--credential", desk.accounts["one"]["username"]),
        "egress": ("--egress-ip", "127.0.0.1", "--site", "mx.good.example"),
        "none": ("--egress-ip", "127.0.0.9"),
    }


KINDS = ("id", "domain", "site", "provider", "account", "credential", "egress")


def as_words(words):
    """A rule names its message without --id."""
    return words[1:] if words[0] == "--id" else words


def test_a_retry_means_mail_whose_attempt_is_under_way(desk):
    """The attempt began before the command and fails after it: there is another one. The first time the
    mail is a record yet, the second time a row."""
    begun = []

    def fail(session, text):
        begun.append(text)
        time.sleep(2)
        return "451 4.2.2 later"

    desk.good.on("rcpt", fail, times=2)
    desk.post("one", "b@good.example")
    for attempt in (1, 2):
        wait_for(lambda: len(begun) == attempt, 60, f"attempt {attempt}")
        desk.ctl("queue", "retry", "--account", desk.accounts["one"]["account"])
    wait_for(lambda: desk.good.messages, 60, "the third attempt")
    desk.wait(0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_retry_and_a_bounce_mean_what_matches(desk, kind):
    rules = [sink.on("rcpt", "451 4.2.2 later") for sink in (desk.good, desk.other)]
    first, second = desk.post("one", "x@twin.example"), desk.post("two", "y@other.example")
    desk.wait(2)
    desk.good.rules.remove(rules[0])
    desk.other.rules.remove(rules[1])
    words = selectors(desk, first)
    desk.refused("queue", "retry", *words["none"])
    assert desk.ctl("queue", "retry", *as_words(words[kind]), "--dry-run")["matched"] == 1
    answer = desk.ctl("queue", "retry", *as_words(words[kind]))
    assert answer["matched"] == 1 and answer["exact"], answer
    wait_for(lambda: desk.events("delivered", first), 60, "the first goes")
    desk.refused("queue", "bounce", *words["none"])
    desk.ctl("queue", "bounce", "--account", desk.accounts["two"]["account"], "--domain", "other.example")
    wait_for(lambda: desk.events("bounced", second), 60, "the second ends")
    assert not desk.events("bounced", first) and not desk.events("delivered", second)
    assert len(desk.events("deferred", second)) == 1


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_suspension_holds_what_matches_until_it_is_resumed(desk, kind):
    words = selectors(desk, "0" * 26)
    desk.ctl("suspend", *words[kind], "--reason", "too many complaints")
    held, free = desk.post("one", "x@twin.example"), desk.post("two", "y@other.example")
    wait_for(lambda: desk.events("delivered", free), 60, "what is not meant goes")
    desk.wait(1)
    row, = desk.rows()
    assert row["id"] == held and row["attempts"] == 0
    desk.ctl("resume", *words[kind])
    delivered, = wait_for(lambda: desk.events("delivered", held), 60, "what was held goes")
    assert delivered["attempts"] == 1 and not desk.events("deferred", held)
    desk.wait(0)


def test_only_the_recipients_of_a_suspended_domain_wait(desk):
    desk.ctl("suspend", "--domain", "Twin.example.")
    message_id = desk.post("one", "x@twin.example", "y@good.example")
    wait_for(lambda: desk.good.find("y@good.example"), 60, "the other recipient")
    wait_for(lambda: [row["to"] for row in desk.rows()] == [["x@twin.example"]], what="the suspended one alone waits")
    desk.ctl("resume", "--domain", "twin.example")
    wait_for(lambda: len(desk.events("delivered", message_id)) == 2, 60, "both")


def test_only_the_recipients_of_a_domain_are_bounced(desk):
    rule = desk.good.on("rcpt", "451 4.2.2 later")
    message_id = desk.post("one", "x@twin.example", "y@good.example")
    desk.wait(1)
    desk.good.rules.remove(rule)
    desk.ctl("queue", "bounce", "--domain", "twin.example")
    bounced, = wait_for(lambda: desk.events("bounced", message_id), 60, "the bounce")
    assert bounced["to"] == ["x@twin.example"]
    row, = wait_for(lambda: [row for row in desk.rows("--id", message_id) if row["to"] == ["y@good.example"]],
                    what="the row without the bounced recipient")  # the event comes first
    assert row["attempts"] == 1
    desk.ctl("queue", "retry", message_id)
    wait_for(lambda: desk.good.find("y@good.example"), 60, "the other recipient")


def test_a_suspension_reaches_what_waits_and_what_comes(desk):
    rule = desk.good.on("rcpt", "451 4.2.2 later")
    waiting = [desk.post("one", f"x{i}@good.example") for i in range(5)]
    desk.wait(5)
    account = desk.accounts["one"]["account"]
    desk.ctl("suspend", "--account", account)
    desk.good.rules.remove(rule)
    desk.ctl("queue", "retry", "--account", account)
    later = desk.post("one", "y@good.example")
    free = desk.post("two", "z@good.example")
    wait_for(lambda: desk.events("delivered", free), 60, "the other account")
    desk.wait(6)
    assert not desk.events("delivered", later)
    assert {row["attempts"] for row in desk.rows() if row["id"] in waiting} == {1}
    wait_for(lambda: desk.loaded() == 0, 60, "no row in memory")
    desk.ctl("resume", "--account", account)
    for message_id in [*waiting, later]:
        wait_for(lambda: desk.events("delivered", message_id), 60, "all go")


def test_suspensions_survive_a_restart_and_end_by_themselves(desk):
    desk.ctl("suspend", "--site", "mx.good.example", "--for", "1h", "--reason", "their wish")
    desk.ctl("suspend", "--account", desk.accounts["two"]["account"], "--for", "1h")
    first, second = desk.post("one", "x@good.example"), desk.post("two", "y@other.example")
    desk.wait(2)
    desk.restart()
    listed = {tuple(one["selector"]): one for one in desk.ctl("suspensions")["suspensions"]}
    assert set(listed) == {("site",), ("account",)}
    assert listed[("site",)]["reason"] == "their wish" and listed[("site",)]["until"]
    free = desk.post("one", "z@other.example")
    wait_for(lambda: desk.events("delivered", free), 60, "what is not meant")
    assert not desk.events("delivered", first) and not desk.events("delivered", second)
    # the same one again is one: it gets another end
    desk.ctl("suspend", "--site", "mx.good.example", "--for", "1s")
    desk.ctl("suspend", "--account", desk.accounts["two"]["account"], "--for", "1s")
    for message_id in (first, second):
        wait_for(lambda: desk.events("delivered", message_id), 60, "it has ended")
    assert desk.ctl("suspensions")["suspensions"] == []


def test_one_message_is_suspended_while_it_waits(desk):
    rule = desk.good.on("rcpt", "451 4.2.2 later")
    first, second = desk.post("one", "x@good.example"), desk.post("one", "y@good.example")
    desk.wait(2)
    desk.good.rules.remove(rule)
    desk.ctl("suspend", "--id", first)
    desk.ctl("queue", "retry", "--domain", "good.example")
    wait_for(lambda: desk.events("delivered", second), 60, "the other one")
    assert not desk.events("delivered", first)
    desk.ctl("resume", "--id", first)
    wait_for(lambda: desk.events("delivered", first), 60, "the first")


def test_a_bounce_binds_mail_that_is_in_a_scan(desk):
    """By id, by account, and for one of two domains; a command about nothing says so, and what came after
    the command goes."""
    with desk.clamd.paused():
        named, part = desk.post("one", "a@good.example"), desk.post("one", "b@twin.example", "c@good.example")
        meant = [desk.post("two", f"d{i}@other.example") for i in range(2)]
        for message_id in (named, part, *meant):
            desk.is_state(message_id, "inbound")
        account = desk.accounts["two"]["account"]
        for words, matched in (((named,), 1), (("--account", account), 2), (("--domain", "TWIN.example."), 1),
                               (("--domain", "good.example"), 2)):
            answer = desk.ctl("queue", "bounce", *words, "--dry-run")
            assert answer == {"rule": None, "matched": matched, "exact": True, "dry_run": True}
        for words, matched in (((named,), 1), (("--account", account), 2), (("--domain", "twin.example"), 1)):
            assert desk.ctl("queue", "bounce", *words)["matched"] == matched
        assert "not held" in desk.refused("queue", "release", named)
        assert desk.ctl("queue", "retry", named)["matched"] == 1
        # where it will go is not known yet: the command is taken, and the number is not the last word
        answer = desk.ctl("queue", "bounce", "--site", "mx.nowhere.example", "--dry-run")
        assert answer["matched"] == 0 and not answer["exact"]
        later = desk.post("two", "e@other.example")
    for message_id in (named, part, *meant):
        wait_for(lambda one=message_id: desk.events("bounced", one), 60, "what was meant ends")
    for message_id, to in ((part, "c@good.example"), (later, "e@other.example")):
        delivered, = wait_for(lambda one=message_id: desk.events("delivered", one), 60, "what was not meant goes")
        assert delivered["to"] == [to]
    desk.wait(0)
    assert {to for sink in (desk.good, desk.other) for one in sink.messages for to in one.recipients} \
        == {"c@good.example", "e@other.example"}


def test_a_bounce_of_a_site_binds_mail_that_has_none_yet(desk):
    with desk.clamd.paused():
        meant, free = desk.post("one", "a@twin.example"), desk.post("one", "b@other.example")
        desk.is_state(free, "inbound")
        desk.ctl("queue", "bounce", "--site", "MX.good.example")
    wait_for(lambda: desk.events("bounced", meant), 60, "the bounce")
    wait_for(lambda: desk.events("delivered", free), 60, "the other one")
    assert not desk.good.messages


def test_an_attempt_is_broken_off_before_the_message_is_out(desk):
    desk.good.on("rcpt", Delay(300), match="slow")
    ids = [desk.post("one", f"slow{i}@good.example") for i in range(20)]  # more than have connections
    wait_for(lambda: desk.good.connections, 60, "an attempt")
    assert desk.ctl("queue", "bounce", "--domain", "good.example")["matched"] == len(ids)
    for message_id in ids:
        wait_for(lambda one=message_id: desk.events("bounced", one), 60, "the bounce")
        assert not desk.events("deferred", message_id)
    desk.good.clear()
    marker = desk.post("one", "marker@good.example")
    wait_for(lambda: desk.events("delivered", marker), 60, "the site is not to blame")
    assert [one.recipients for one in desk.good.messages] == [["marker@good.example"]]


def test_a_reply_after_the_message_is_out_counts(desk):
    """What was taken is delivered; what is refused for now is bounced instead of deferred."""
    told = threading.Event()
    asked = []

    def wait(answer):
        def reply(session, text):
            asked.append(answer)
            told.wait(60)
            return answer
        return reply

    desk.good.on("dot", wait("250 2.0.0 taken"), times=1)
    desk.other.on("dot", wait("451 4.3.0 later"), times=1)
    taken, refused = desk.post("one", "a@good.example"), desk.post("two", "b@other.example")
    wait_for(lambda: len(asked) == 2, 60, "both are out")
    for message_id in (taken, refused):
        desk.ctl("queue", "bounce", message_id)
    told.set()
    wait_for(lambda: desk.events("delivered", taken), 60, "the one that was taken")
    bounced, = wait_for(lambda: desk.events("bounced", refused), 60, "the other")
    assert bounced["attempts"] == 1 and bounced["reason"] == "bounced by the operator"
    assert not desk.events("bounced", taken)
    desk.wait(0)


def test_a_bounce_is_for_who_has_not_got_it(desk):
    rule = desk.good.on("rcpt", "451 4.2.2 later", match="late")
    message_id = desk.post("one", "late@good.example", "soon@other.example")
    wait_for(lambda: desk.events("delivered", message_id), 60, "one of two")
    desk.wait(1)
    desk.good.rules.remove(rule)
    assert desk.ctl("queue", "bounce", message_id)["matched"] == 1
    bounced, = wait_for(lambda: desk.events("bounced", message_id), 60, "the other one")
    assert bounced["to"] == ["late@good.example"]
    desk.wait(0)
    assert "no such message is open" in desk.refused("queue", "bounce", message_id)
    assert not desk.good.messages


def test_what_is_bounced_and_released_is_not_delivered(desk):
    """In either order; also when the mail is found infected only after the commands."""
    found = [desk.post("one", f"a{i}@good.example", more=EICAR) for i in range(2)]
    for message_id in found:
        desk.is_state(message_id, "held")
    assert "held: a release" in desk.refused("queue", "retry", found[0])
    with desk.clamd.paused():
        hidden = desk.post("two", "b@good.example", more=EICAR)
        desk.is_state(hidden, "inbound")
        desk.ctl("queue", "bounce", hidden)
        desk.ctl("queue", "release", "--account", desk.accounts["one"]["account"], "--dry-run")
        assert "not held" in desk.refused("queue", "release", hidden)
    for message_id in found:
        desk.ctl("queue", "bounce", message_id)
    for message_id in (*found, hidden):
        wait_for(lambda one=message_id: desk.events("bounced", one), 60, "the bounce")
    desk.wait(0)
    assert not desk.good.messages


def test_one_domain_has_many_forms(desk):
    """Where a selector names a domain or a host."""
    forms = ["b\u00fccher.example", "B\u00dcCHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.Example."]
    for given in forms:
        for back in forms:
            shown = desk.ctl("suspend", "--domain", given)["suspended"]
            assert shown["selector"] == {"recipient_domain": "xn--bcher-kva.example"}
            desk.ctl("resume", "--domain", back)
    desk.ctl("suspend", "--site", "MX.good.example.", "--provider", ".Good.Example")
    desk.ctl("resume", "--site", "mx.good.example", "--provider", "good.example")
    assert desk.ctl("suspensions")["suspensions"] == []
    for words in (("--domain", "a..example"), ("--domain", "a b"), ("--domain", "x@a.example"), ("--domain", "."),
                  ("--site", "mx..example"), ("--provider", "."), ("--account", "nobody"), ("--egress-ip", "127.1"),
                  ("--credential", "a b"), ("--id", "short")):
        for command in (("suspend",), ("resume",), ("queue", "bounce")):
            if command != ("queue", "bounce") or words[0] != "--id":
                assert desk.refused(*command, *words), words
