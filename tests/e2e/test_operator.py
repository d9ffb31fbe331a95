"""What operators do to the queue: retry, bounce and release by each selector, suspend and resume, and
that senders which were away do it when they return."""

import json
import subprocess
import time

import pytest

from harness import BUILD, free_port, send, wait_for

BODY = b"From: a@%s.example\r\nSubject: hello\r\n\r\nhi\r\n"


class Desk:
    """Two accounts (one.example, two.example) and two sites (good.example with twin.example at the one,
    other.example at the other), found by MX. Mail is first tried again after an hour."""

    def __init__(self, rig, certificate):
        port = free_port()
        self.good, self.other = rig.sink(address="127.0.0.2", port=port), rig.sink(address="127.0.0.3", port=port)
        zones = {"good.example": f"@ MX 10 mx\nmx A {self.good.address}\n",
                 "twin.example": "@ MX 10 mx.good.example.\n",
                 "other.example": f"@ MX 10 mx\nmx A {self.other.address}\n"}
        nsd = rig.nsd(zones)
        self.shout = rig.shout(rig.redis(), certificate=certificate, settings={
            "sender": {"port": port, "retry": {"first": "1h", "max": "4h"}, "source_address": "127.0.0.1"},
            "dns": {"forward": [nsd.address], "trust_anchor": "none"}})
        self.accounts = {name: self.shout.account_add(name, f"{name}.example") for name in ("one", "two")}

    def post(self, name, *recipients):
        with self.shout.smtp(account=self.accounts[name]) as client:
            return send(client, f"a@{name}.example", list(recipients), BODY % name.encode())

    def rows(self, *words):
        return self.shout.shoutctl("queue", "list", *words)["rows"]

    def wait(self, count):
        """Until so many rows are waiting."""
        wait_for(lambda: self.shout.shoutctl("queue", "list")["total"] == count, 60, f"{count} rows")

    def events(self, name, message_id):
        return self.shout.events(name, message_id)


@pytest.fixture
def desk(rig, certificate):
    return Desk(rig, certificate)


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


@pytest.mark.parametrize("kind", KINDS)
def test_a_retry_and_a_bounce_mean_what_matches(desk, kind):
    rules = [sink.on("rcpt", "451 4.2.2 later") for sink in (desk.good, desk.other)]
    first, second = desk.post("one", "x@twin.example"), desk.post("two", "y@other.example")
    desk.wait(2)
    desk.good.rules.remove(rules[0])
    desk.other.rules.remove(rules[1])
    words = selectors(desk, first)
    desk.shout.shoutctl("queue", "retry", *words["none"])
    desk.shout.shoutctl("queue", "retry", *as_words(words[kind]))
    wait_for(lambda: desk.events("delivered", first), 60, "the first goes")
    desk.shout.shoutctl("queue", "bounce", *words["none"])
    desk.shout.shoutctl("queue", "bounce", "--account", desk.accounts["two"]["account"], "--domain", "other.example")
    wait_for(lambda: desk.events("bounced", second), 60, "the second ends")
    assert not desk.events("bounced", first) and not desk.events("delivered", second)
    assert len(desk.events("deferred", second)) == 1


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_suspension_holds_what_matches_until_it_is_resumed(desk, kind):
    words = selectors(desk, "0" * 26)
    desk.shout.shoutctl("suspend", *words[kind], "--reason", "too many complaints")
    held, free = desk.post("one", "x@twin.example"), desk.post("two", "y@other.example")
    wait_for(lambda: desk.events("delivered", free), 60, "what is not meant goes")
    desk.wait(1)
    row, = desk.rows()
    assert row["id"] == held and row["attempts"] == 0
    desk.shout.shoutctl("resume", *words[kind])
    delivered, = wait_for(lambda: desk.events("delivered", held), 60, "what was held goes")
    assert delivered["attempts"] == 1 and not desk.events("deferred", held)
    desk.wait(0)


def test_only_the_recipients_of_a_suspended_domain_wait(desk):
    desk.shout.shoutctl("suspend", "--domain", "Twin.example")
    message_id = desk.post("one", "x@twin.example", "y@good.example")
    wait_for(lambda: desk.good.find("y@good.example"), 60, "the other recipient")
    wait_for(lambda: [row["to"] for row in desk.rows()] == [["x@twin.example"]], what="the suspended one alone waits")
    desk.shout.shoutctl("resume", "--domain", "twin.example")
    wait_for(lambda: len(desk.events("delivered", message_id)) == 2, 60, "both")


def test_only_the_recipients_of_a_domain_are_bounced(desk):
    rule = desk.good.on("rcpt", "451 4.2.2 later")
    message_id = desk.post("one", "x@twin.example", "y@good.example")
    desk.wait(1)
    desk.good.rules.remove(rule)
    desk.shout.shoutctl("queue", "bounce", "--domain", "twin.example")
    bounced, = wait_for(lambda: desk.events("bounced", message_id), 60, "the bounce")
    assert bounced["to"] == ["x@twin.example"]
    row, = wait_for(lambda: [row for row in desk.rows("--id", message_id) if row["to"] == ["y@good.example"]],
                    what="the row without the bounced recipient")  # the event comes first
    assert row["attempts"] == 1
    desk.shout.shoutctl("queue", "retry", message_id)
    wait_for(lambda: desk.good.find("y@good.example"), 60, "the other recipient")


def test_a_suspension_reaches_what_waits_and_what_comes(desk):
    rule = desk.good.on("rcpt", "451 4.2.2 later")
    waiting = [desk.post("one", f"x{i}@good.example") for i in range(5)]
    desk.wait(5)
    account = desk.accounts["one"]["account"]
    desk.shout.shoutctl("suspend", "--account", account)
    desk.good.rules.remove(rule)
    desk.shout.shoutctl("queue", "retry", "--account", account)
    later = desk.post("one", "y@good.example")
    free = desk.post("two", "z@good.example")
    wait_for(lambda: desk.events("delivered", free), 60, "the other account")
    desk.wait(6)
    assert not desk.shout.events("delivered", later)
    assert {row["attempts"] for row in desk.rows() if row["id"] in waiting} == {1}
    wait_for(lambda: desk.shout.metric("shout_sender_loaded") == 0, 60, "no row in memory")
    desk.shout.shoutctl("resume", "--account", account)
    for message_id in [*waiting, later]:
        wait_for(lambda: desk.events("delivered", message_id), 60, "all go")


def test_suspensions_survive_a_restart_and_end_by_themselves(desk):
    desk.shout.shoutctl("suspend", "--site", "mx.good.example", "--for", "1h", "--reason", "their wish")
    desk.shout.shoutctl("suspend", "--account", desk.accounts["two"]["account"], "--for", "1h")
    first, second = desk.post("one", "x@good.example"), desk.post("two", "y@other.example")
    desk.wait(2)
    desk.shout.kill()
    desk.shout.restart()
    listed = {tuple(one["selector"]): one for one in desk.shout.shoutctl("suspensions")["suspensions"]}
    assert set(listed) == {("site",), ("account",)}
    assert listed[("site",)]["reason"] == "their wish" and listed[("site",)]["until"]
    free = desk.post("one", "z@other.example")
    wait_for(lambda: desk.events("delivered", free), 60, "what is not meant")
    assert not desk.events("delivered", first) and not desk.events("delivered", second)
    # the same one again is one: it gets another end
    desk.shout.shoutctl("suspend", "--site", "mx.good.example", "--for", "1s")
    desk.shout.shoutctl("suspend", "--account", desk.accounts["two"]["account"], "--for", "1s")
    for message_id in (first, second):
        wait_for(lambda: desk.events("delivered", message_id), 60, "it has ended")
    assert desk.shout.shoutctl("suspensions")["suspensions"] == []


def write_config(shout, entries):
    """Entries of relay.config, written while nobody runs."""
    lines = "".join(f" {key.encode().hex()}\n {json.dumps(value).encode().hex()}\n" for key, value in entries.items())
    subprocess.run(["mdb_load", "-n", "-s", "config", shout.state_dir / "queue.mdb"], text=True, check=True,
                   input=f"VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n{lines}DATA=END\n")


def test_commands_while_no_sender_runs_are_done_when_it_returns(desk):
    rules = [sink.on("rcpt", "451 4.2.2 later") for sink in (desk.good, desk.other)]
    first, second = desk.post("one", "x@good.example"), desk.post("two", "y@other.example")
    third = desk.post("two", "z@good.example")
    desk.wait(3)
    account = desk.accounts["one"]["account"]
    desk.shout.shoutctl("suspend", "--account", account)
    desk.shout.shoutctl("queue", "retry", first)
    desk.shout.stop()
    desk.good.rules.remove(rules[0])
    desk.other.rules.remove(rules[1])
    now = int(time.time() * 1e6)
    write_config(desk.shout, {
        f"rule/{1:020}": {"number": 1, "action": "bounce", "selector": {"account": "long-gone"},
                          "accepted_before_us": now - 7 * 86400_000_000, "by": "me"},
        f"suspension/account={account}": {"selector": {"account": account}, "until_us": 1},
        f"suspension/credential={desk.accounts['two']['username']}":
            {"version": now, "selector": {"credential": desk.accounts["two"]["username"]}},
        **{f"rule/{now + i:020}": {"number": now + i, "action": action, "selector": selector,
                                   "accepted_before_us": now, "by": "me"}
           for i, (action, selector) in enumerate([("retry", {"account": account}),
                                                   ("bounce", {"recipient_domain": "other.example"})])}})
    desk.shout.restart()
    wait_for(lambda: desk.events("delivered", first), 60, "the retry")
    wait_for(lambda: desk.events("bounced", second), 60, "the bounce")
    desk.shout.kill()
    desk.shout.restart()
    desk.shout.shoutctl("queue", "retry", third)
    marker = desk.post("one", "marker@good.example")
    wait_for(lambda: desk.events("delivered", marker), 60, "what is not meant")
    assert not desk.events("delivered", third) and len(desk.events("bounced", second)) == 1
    desk.shout.stop()
    kept = subprocess.run(["mdb_dump", "-n", "-p", "-s", "config", desk.shout.state_dir / "queue.mdb"], text=True,
                          capture_output=True, check=True).stdout
    # what is over is gone: the rule after 6 days, the suspension after its end
    assert f"rule/{now:020}" in kept and f"rule/{1:020}" not in kept and f"suspension/account={account}" not in kept


def ctl(shout, *words):
    done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, *map(str, words)], timeout=60, capture_output=True,
                          text=True)
    return done.returncode, done.stdout, done.stderr


def test_one_message_is_suspended_while_it_waits(desk):
    rule = desk.good.on("rcpt", "451 4.2.2 later")
    first, second = desk.post("one", "x@good.example"), desk.post("one", "y@good.example")
    desk.wait(2)
    desk.good.rules.remove(rule)
    desk.shout.shoutctl("suspend", "--id", first)
    desk.shout.shoutctl("queue", "retry", "--domain", "good.example")
    wait_for(lambda: desk.events("delivered", second), 60, "the other one")
    assert not desk.events("delivered", first)
    desk.shout.shoutctl("resume", "--id", first)
    wait_for(lambda: desk.events("delivered", first), 60, "the first")


def test_what_people_read_and_what_is_refused(desk):
    assert "Nothing is suspended" in ctl(desk.shout, "suspensions")[1]
    assert ctl(desk.shout, "suspend", "--site", "MX.good.example", "--for", "2h", "--reason", "why not")[0] == 0
    status, output, _ = ctl(desk.shout, "suspensions")
    assert status == 0 and "site mx.good.example" in output and "why not" in output
    for words, expected in ((("suspend",), 1), (("resume",), 1), (("resume", "--site", "mx.other.example"), 1),
                            (("suspend", "--egress-ip", "here"), 1), (("suspend", "--site", "x", "--for", "soon"), 2),
                            (("suspend", "--id", "short"), 1), (("suspend", "--credential", "x" * 500), 1),
                            (("resume", "--site", "mx.good.example"), 0)):
        assert ctl(desk.shout, *words)[0] == expected, words
