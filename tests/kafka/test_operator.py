"""What operators do to the queue in a cluster: two senders and two ingresses obey, also those that were away."""

import smtplib

import pytest

import kafka
from harness import EICAR, Shout, wait_for
from operator_steps import *  # noqa: F401, F403  (the steps that both queues take)
from operator_steps import Desk, Sites
from queue_steps import *  # noqa: F401, F403  (what they see)

SPREAD = 12  # messages, so that both senders have some
ROLES = {"control": "control", "scanner": "scanner", "sender-1": "sender", "sender-2": "sender",
         "ingress-1": "ingress", "ingress-2": "ingress"}


class Office(Desk):
    def __init__(self, rig, broker, redis, clamd, certificate):
        sites = Sites(rig)
        settings = {**sites.settings, "queue": broker.queue(partitions=6)}
        self.nodes = {name: Shout(rig.path(name), redis, role=role, clamd=clamd, certificate=certificate, settings=settings)
                      for name, role in ROLES.items()}
        kafka.topics(self.nodes["control"].file)
        for node in self.nodes.values():
            rig.add(node)
        self.senders = [self.nodes["sender-1"], self.nodes["sender-2"]]
        self.redis, self.clamd, self.turn = redis, clamd, 0
        super().__init__(sites, self.nodes["control"])
        self.both_own()

    def door(self):
        self.turn += 1
        return self.nodes[f"ingress-{self.turn % 2 + 1}"]

    def owned(self, sender):
        return sender.metric("shout_rows_partitions") or 0

    def both_own(self):
        wait_for(lambda: all(map(self.owned, self.senders)) and sum(map(self.owned, self.senders)) == 6, 90,
                 "both senders own partitions")

    def restart(self, *names):
        for name in names or self.nodes:
            self.nodes[name].kill()
            self.nodes[name].start(wait=False)
        for name in names or self.nodes:
            wait_for(self.nodes[name]._up, 60, f"{name} is ready")
        self.both_own()

    def ctl(self, *words):
        """What is suspended is so everywhere as soon as every sender has read it."""
        answer = super().ctl(*words)
        if words[0] in ("suspend", "resume"):
            count = len(super().ctl("suspensions")["suspensions"])
            wait_for(lambda: all(sender.metric("shout_sender_suspensions") == count
                                 for sender in self.senders if sender.running()), what="every sender knows")
        return answer

    def loaded(self):
        return sum(sender.metric("shout_sender_loaded") for sender in self.senders)

    def waiting(self, sender):
        return sender.metric("shout_sender_waiting") or 0

    def open_by_metrics(self):
        control = self.nodes["control"]
        return sum(control.metric("shout_queue_backlog", f'topic="mail.{topic}"') for topic in ("inbound", "ready")) \
            + sum(map(self.waiting, self.senders))

    def held_by_metrics(self):
        return sum(sender.metric("shout_sender_held") for sender in self.senders)

    def events(self, name, message_id):
        return [event for message in self.ctl("why", message_id)["messages"] for event in message["events"]
                if event["event"] == name]

    def clear(self):
        """Nothing waits, nothing is suspended, and no sender remembers a site."""
        for node in self.nodes.values():
            if not node.running():
                node.restart()
        self.good.clear()
        self.other.clear()
        for one in self.ctl("suspensions")["suspensions"]:
            words = {"recipient_domain": "domain", "egress_ip": "egress-ip"}
            self.ctl("resume", *(word for key, value in one["selector"].items()
                                 for word in (f"--{words.get(key, key)}", value)))
        for account in self.accounts.values():
            for action in ("release", "retry"):  # when there is anything
                self.control.shoutctl("queue", action, "--account", account["account"], check=False)
        self.wait(0)
        self.restart("sender-1", "sender-2")

    def spread(self, name, *recipients):
        """Mail that waits at both senders: the ids."""
        ids = [self.post(name, *recipients) for _ in range(SPREAD)]
        self.wait(SPREAD)
        wait_for(lambda: all(map(self.waiting, self.senders)), 30, "both senders have some")
        return ids

    def all_have(self, event, ids):
        wait_for(lambda: all(self.events(event, one) for one in ids), 90, f"all are {event}")


@pytest.fixture(scope="module")
def office(module_rig, broker, redis, clamd, certificate):
    return Office(module_rig, broker, redis, clamd, certificate)


@pytest.fixture
def desk(office):
    yield office
    office.clear()


@pytest.mark.parametrize("away", [("sender-1",), ("sender-1", "sender-2"), ("control",), ()])
def test_both_senders_obey_also_after_an_absence(desk, away):
    """`away` is killed before or (control) right after the commands."""
    desk.good.on("rcpt", "451 4.2.2 later")
    kept = desk.spread("two", "x@good.example")
    desk.good.clear()
    for name in away:
        if name != "control":
            desk.nodes[name].kill()
    account = desk.accounts["two"]["account"]
    desk.ctl("suspend", "--account", account, "--reason", "meant for both")
    desk.ctl("queue", "retry", "--account", account)
    for name in away:
        desk.nodes[name].kill()
        desk.nodes[name].restart()
    desk.both_own()
    free = [desk.post("one", "y@good.example") for _ in range(SPREAD)]
    desk.all_have("delivered", free)
    assert not any(desk.events("delivered", one) for one in kept)
    assert desk.total() == SPREAD
    desk.ctl("queue", "bounce", kept[0])
    desk.all_have("bounced", kept[:1])
    desk.ctl("resume", "--account", account)
    desk.all_have("delivered", kept[1:])
    assert not desk.events("delivered", kept[0])


def test_the_list_counts_what_waits_at_both_senders(desk):
    """From mail.state: also while no sender runs, and after control's restart."""
    desk.good.on("rcpt", "451 4.2.2 later")
    ids = desk.spread("one", "x@good.example")
    selectors = {"site": "mx.good.example", "provider": "good.example", "domain": "good.example",
                 "account": desk.accounts["one"]["account"], "credential": desk.accounts["one"]["username"],
                 "egress-ip": "127.0.0.1", "state": "waiting"}
    for sender in desk.senders:
        sender.kill()
    for _ in range(2):
        for name, value in selectors.items():
            page = desk.ctl("queue", "list", f"--{name}", value, "--limit", SPREAD - 1)
            assert page["total"] == SPREAD and len(page["rows"]) == SPREAD - 1, name
            rest, = desk.ctl("queue", "list", f"--{name}", value, "--after", page["next"])["rows"]
            assert sorted([rest["id"], *(row["id"] for row in page["rows"])]) == sorted(ids), name
        assert desk.ctl("queue", "list", "--site", "mx.other.example")["total"] == 0
        row, = desk.ctl("queue", "show", ids[0])["rows"]
        assert row["attempts"] == 1 and row["site"] == "mx.good.example" and "4.2.2" in row["last_reply"]
        desk.control.kill()
        desk.control.restart()
        desk.wait(SPREAD)
    desk.restart("sender-1", "sender-2")


def test_held_mail_is_released_at_both_senders(desk):
    ids = [desk.post("one", "x@good.example", more=EICAR) for _ in range(SPREAD)]
    wait_for(lambda: desk.ctl("queue", "list", "--state", "held")["total"] == SPREAD, 60, "all are held")
    desk.refused("queue", "retry", "--account", desk.accounts["one"]["account"])
    desk.refused("queue", "release", "--account", desk.accounts["two"]["account"])
    desk.ctl("queue", "release", ids[0])
    desk.all_have("delivered", ids[:1])
    assert desk.ctl("queue", "list", "--state", "held")["total"] == SPREAD - 1
    desk.nodes["sender-1"].kill()
    desk.ctl("queue", "release", "--domain", "good.example")
    desk.nodes["sender-1"].restart()
    desk.all_have("delivered", ids)
    desk.wait(0)


def test_mail_that_waits_for_a_sender_is_bounced(desk):
    for sender in desk.senders:
        sender.kill()
    ids = [desk.post("one", "x@good.example") for _ in range(SPREAD)]
    for message_id in ids:
        desk.is_state(message_id, "ready")
    assert desk.ctl("queue", "bounce", "--account", desk.accounts["one"]["account"], "--dry-run")["matched"] == SPREAD
    assert desk.ctl("queue", "bounce", ids[0])["matched"] == 1
    desk.control.kill()
    for node in (desk.control, *desk.senders):
        node.restart()
    desk.all_have("bounced", ids[:1])
    desk.all_have("delivered", ids[1:])
    assert not desk.events("delivered", ids[0])


def logs_in(node, account):
    try:
        node.smtp(account=account).quit()
    except smtplib.SMTPAuthenticationError:
        return False
    return True


def test_accounts_reach_both_ingresses(desk):
    ingresses = [desk.nodes["ingress-1"], desk.nodes["ingress-2"]]
    old = desk.control.account_add("three", "three.example")
    new = {**old, "password": desk.ctl("account", "password", old["account"])["password"]}
    desk.redis.run("FLUSHALL")
    assert desk.ctl("rebuild")["entries"] > 0
    for node in ingresses:
        assert logs_in(node, new) and not logs_in(node, old)
