"""What operators do to the queue, step by step: tests of a `desk`, which the tests of the embedded queue and
those of a cluster each start in their own way."""

import time

import pytest

from harness import free_port, send, wait_for

BODY = b"From: a@%s.example\r\nSubject: hello\r\n\r\nhi\r\n"


class Sites:
    """good.example with twin.example at the one, other.example at the other, found by MX; DSNs for
    one.example and two.example at the third. Mail is first tried again after an hour."""

    def __init__(self, rig):
        port = free_port()
        self.good, self.other, self.own = (rig.sink(address=f"127.0.0.{n}", port=port) for n in (2, 3, 4))
        zones = {"good.example": f"@ MX 10 mx\nmx A {self.good.address}\n",
                 "twin.example": "@ MX 10 mx.good.example.\n",
                 "other.example": f"@ MX 10 mx\nmx A {self.other.address}\n",
                 **{f"{name}.example": f"@ MX 10 mx\nmx A {self.own.address}\n" for name in ("one", "two")}}
        self.settings = {
            "sender": {"port": port, "retry": {"first": "1h", "max": "4h"}, "source_address": "127.0.0.1"},
            "dns": {"forward": [rig.nsd(zones).address], "trust_anchor": "none"}}


class Desk:
    """Two accounts (one.example, two.example). `control` answers shoutctl; who is started says restart(),
    door() (who accepts mail), loaded() (rows in memory) and events()."""

    def __init__(self, sites, control):
        self.good, self.other = sites.good, sites.other
        self.control = control
        self.accounts = {name: control.account_add(name, f"{name}.example") for name in ("one", "two")}

    def ctl(self, *words):
        return self.control.shoutctl(*words)

    def post(self, name, *recipients, more=b""):
        with self.door().smtp(account=self.accounts[name]) as client:
            return send(client, f"a@{name}.example", list(recipients), BODY % name.encode() + more)

    def rows(self, *words):
        return self.ctl("queue", "list", *words)["rows"]

    def total(self):
        """How many rows there are, once control has read them all."""
        def whole():
            page = self.ctl("queue", "list")
            return page if page["total_exact"] else None
        return wait_for(whole, what="control has read all rows")["total"]

    def wait(self, count):
        """Until so many rows are waiting."""
        wait_for(lambda: self.ctl("queue", "list")["total"] == count, 60, f"{count} rows")


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
    desk.ctl("queue", "retry", *words["none"])
    desk.ctl("queue", "retry", *as_words(words[kind]))
    wait_for(lambda: desk.events("delivered", first), 60, "the first goes")
    desk.ctl("queue", "bounce", *words["none"])
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
    desk.ctl("suspend", "--domain", "Twin.example")
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
