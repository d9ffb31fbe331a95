"""Mails about what is observed: limits that are reached, and changes, gathered. As they arrive, in both languages."""

import email
import email.policy
import itertools

import pytest

from clock import Clock
from harness import Shout, send, wait_for
from test_notices import SERVICE, text

NUMBERS = itertools.count(1)
WORDS = {"it": {"limit": "Limite messaggi all'ora:", "changed": "Modifica completata", "name": "nome", "user": "nome utente"},
         "en": {"limit": "Limit messages per hour:", "changed": "Change completed", "name": "name", "user": "username"}}
GATHER_S = 300


class Customer:
    def __init__(self, shout, sink, language):
        number = next(NUMBERS)
        self.shout, self.sink, self.domain, self.contact = shout, sink, f"watch-{number}.example", f"watch{number}@mailbox.example"
        self.words = WORDS[language]
        self.made = shout.shoutctl("account", "add", "--name", f"Watch {number}", "--contact", self.contact, "--domain", self.domain,
                                   "--verified", "--language", language)
        self.id = self.made["account"]

    def do(self, verb, *words):
        return self.shout.shoutctl("account", verb, self.id, *words)

    def about(self, words, contact=None):
        mails = [email.message_from_bytes(one.body, policy=email.policy.default)
                 for one in self.sink.find(recipient=contact or self.contact)]
        return [mail for mail in mails if words in mail["Subject"]]

    def post(self, count):
        with self.shout.smtp(account=self.made) as client:
            for _ in range(count):
                send(client, f"me@{self.domain}", "you@elsewhere.example", b"From: me@%s\r\nSubject: x\r\n\r\nhi\r\n" % self.domain.encode())

    def uses(self, count):
        """Has a limit of ten messages an hour, and uses a part of it."""
        self.do("change", "--messages-hour", "10")
        wait_for(lambda: '"messages_hour":10' in self.shout.redis_server.run("GET", f"account:{{{self.id}}}").replace(" ", ""))
        self.post(count)


@pytest.fixture(scope="module")
def shout(module_rig, sink, certificate):
    """Its time of day can be moved. An account's copy in its one thread counts for 5 s."""
    redis, clock = module_rig.redis(), Clock(module_rig.directory)
    shout = Shout(module_rig.path("shout"), redis, route=sink.host, certificate=certificate,
                  settings={"service": SERVICE, "ingress": {"threads": 1}})
    shout.env, shout.clock, shout.redis_server = clock.env, clock, redis
    return module_rig.add(shout)


@pytest.mark.parametrize("language", ["it", "en"])
def test_a_limit_is_told_at_each_part_once(shout, sink, language):
    customer = Customer(shout, sink, language)
    limit = customer.words["limit"]
    customer.uses(8)
    wait_for(lambda: customer.about(f"{limit} 80 %"))
    assert "8 " in text(customer.about(limit)[0]) and " 10." in text(customer.about(limit)[0])
    customer.post(2)
    wait_for(lambda: customer.about(f"{limit} 100 %"))
    shout.redis_server.run("FLUSHALL")
    shout.kill()
    shout.restart()
    shout.shoutctl("rebuild")
    customer.post(10)
    other = Customer(shout, sink, language)
    other.do("alerts", "limit=other@mailbox.example,more@mailbox.example", "--at", "50")
    other.uses(9)
    for contact in ("other@mailbox.example", "more@mailbox.example"):
        wait_for(lambda: other.about(f"{limit} 50 %", contact))
    assert len(customer.about(limit)) == 2 and not other.about(limit)
    assert [one["about"] for one in customer.do("notices")["notices"] if one["mail"] == "limit"] == ["messages_hour 100", "messages_hour 80"]


@pytest.mark.parametrize("language", ["it", "en"])
def test_changes_are_gathered_into_one_mail(shout, sink, language):
    customer = Customer(shout, sink, language)
    customer.do("change", "--name", "New {Name} [x]")
    made = customer.do("add-user")
    customer.do("add-domain", "--domain", f"second.{customer.domain}", "--verified")
    shout.kill()
    shout.restart()
    ahead = getattr(shout, "ahead", 0)
    shout.clock.ahead(day=ahead + GATHER_S + 10)
    wait_for(lambda: customer.about(customer.words["changed"]), 60)
    told = text(customer.about(customer.words["changed"])[0])
    assert f"{customer.words['name']}: Watch" in told and "-> New {Name} [x]" in told and "control.token" in told
    assert f"{customer.words['user']} {made['username']}: " in told and f"second.{customer.domain}" in told
    assert made["password"] not in told and "SCRAM" not in told and "verifier" not in told
    shout.kill()
    shout.restart()
    customer.do("remove-user", "--username", made["username"])
    shout.clock.ahead(day=ahead + 2 * GATHER_S + 30)
    shout.ahead = ahead + 2 * GATHER_S + 30
    second = wait_for(lambda: (got := customer.about(customer.words["changed"]))[1:] and got[1], 60)
    assert made["username"] in text(second) and "->" not in text(second)
    assert len(customer.about(customer.words["changed"])) == 2
