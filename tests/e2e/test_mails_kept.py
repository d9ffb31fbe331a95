"""Mails that nobody asked for, and mails whose control is killed: each arrives at a mailbox, as one mail."""

import email
import email.policy
import itertools
import json
import re
import smtplib
import subprocess
import time

import pytest

from harness import BUILD, send, wait_for
from test_notices import SERVICE, text

BODY = b"From: me@%s\r\nSubject: x\r\n\r\nhi\r\n"
NUMBERS = itertools.count(1)
DAY_US = 86400 * 10**6
ITALIAN = {"in-force": "In vigore: IP pubblico", "grace": "Accesso precedente: fino al", "lapses": "scade il", "lapsed": "scaduto",
           "old": "credenziali", "greeting": "Gentile cliente,"}
ENGLISH = {"in-force": "In force: public IP", "grace": "Previous access: until", "lapses": "lapses on", "lapsed": "lapsed",
           "old": "credentials", "greeting": "Dear customer,"}
WORDS = {"it": ITALIAN, "en": ENGLISH}


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    return module_rig.shout(redis, route=sink.host, certificate=certificate,
                            settings={"service": SERVICE, "ingress": {"threads": 1}})


class Customer:
    def __init__(self, shout, sink, language):
        number = next(NUMBERS)
        self.shout, self.sink, self.domain, self.contact = shout, sink, f"kept-{number}.example", f"kept{number}@mailbox.example"
        self.words = WORDS[language]
        self.made = shout.shoutctl("account", "add", "--name", f"Kept {number}", "--contact", self.contact, "--domain", self.domain,
                                   "--verified", "--language", language)
        self.id, self.address = self.made["account"], f"127.5.9.{number}"
        self.mails(4)

    def all(self):
        return [email.message_from_bytes(one.body, policy=email.policy.default) for one in self.sink.find(recipient=self.contact)]

    def mails(self, count):
        return wait_for(lambda: (got := self.all())[count - 1:] and got)

    def about(self, words):
        """The mails whose subject has the words."""
        return [mail for mail in self.all() if words in mail["Subject"]]

    def one(self, words):
        wait_for(lambda: self.about(words), what=words)
        mail, = self.about(words)
        told = " ".join(text(mail).split())
        assert self.words["greeting"] in told and not any(other["greeting"] in told for other in WORDS.values() if other != self.words)
        return told

    def do(self, *words):
        return self.shout.shoutctl("account", *words)

    def smtp(self, source, made=None):
        client = smtplib.SMTP("127.0.0.1", self.shout.ports["plain"], timeout=60, source_address=(source, 0))
        client.ehlo()
        if made:
            client.login(made["username"], made["password"])
        return client

    def takes(self):
        with self.smtp(self.address) as client:
            return client.mail(f"me@{self.domain}")[0] == 250

    def post(self):
        with self.smtp(self.address) as client:
            send(client, f"me@{self.domain}", "you@elsewhere.example", BODY % self.domain.encode())

    def switch(self):
        self.do("mode", self.id, "ip", "--ip", self.address)
        wait_for(self.takes)
        self.post()
        wait_for(lambda: self.do("show", self.id)["mode"] == "ip")

    def edit(self, tmp_path, change):
        """Changes the account's entries in relay.config as time would have."""
        file = tmp_path / f"{self.id}.jsonl"
        self.do("export", self.id, "--output", file, "--force")
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines:
            change(line.get("document", line))
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.do("import", file, "--replace")


@pytest.fixture(params=["it", "en"])
def customer(request, shout, sink):
    return Customer(shout, sink, request.param)


def test_what_was_seen_is_told_once(shout, redis, customer, sink, tmp_path):
    customer.switch()
    told = customer.one(customer.words["in-force"])
    until = customer.do("show", customer.id)["grace"]["until"]
    assert until[:16].replace("T", " ") in told and customer.words["old"] in told
    assert any(customer.address in text(mail) for mail in customer.about("Configurazione") + customer.about("Configuration"))

    def ends_soon(entry):
        if "account" in entry and "grace" in entry["account"]:
            entry["account"]["grace"]["until_us"] = int(time.time() * 10**6) + 2 * DAY_US
    customer.edit(tmp_path, ends_soon)
    told = customer.one(customer.words["grace"])
    ending = customer.do("show", customer.id)["grace"]["until"]
    assert ending[:16].replace("T", " ") in told and customer.words["old"] in told
    assert "aggiornalo" not in told and "update it" not in told  # its server no longer uses the old way

    redis.run("FLUSHALL")
    shout.kill()
    shout.restart()
    shout.shoutctl("rebuild")
    other = Customer(shout, sink, "en")  # what a later round did
    other.switch()
    other.one(other.words["in-force"])
    assert len(customer.about(customer.words["grace"])) == len(customer.about(customer.words["in-force"])) == 1


def test_an_idle_address_is_told_twice(customer, tmp_path):
    customer.do("add-address", customer.id, "--ip", customer.address)
    idle = int(time.time() * 10**6) - 26 * DAY_US

    def unused(entry):
        for address in entry.get("addresses", []):
            address["used_us"] = idle
            address.pop("lapses_us", None)

    def over(entry):
        for address in entry.get("addresses", []):
            address["lapses_us"] = idle + 1
    customer.edit(tmp_path, unused)
    # addresses that are idle are looked at as soon as a control begins
    customer.shout.stop()
    customer.shout.restart()
    told = customer.one(f"{customer.address}: {customer.words['lapses']}")
    assert "25" in told
    customer.edit(tmp_path, over)
    customer.shout.stop()
    customer.shout.restart()
    told = customer.one(f"{customer.address}: {customer.words['lapsed']}")
    assert "30" in told and len(customer.about(customer.address)) == 2


def test_a_killed_control_loses_no_mail_and_sends_none_twice(rig, sink, certificate, dice):
    """Kills at any moment of a new account. A mail that the queue had when it was put again may come as two copies,
    with one Message-ID. A password whose process died is told to operators."""
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate, settings={"service": SERVICE})
    contacts = {}
    for number in range(8):
        contact = f"killed{number}-{dice.randrange(10**9)}@mailbox.example"
        adding = subprocess.Popen([str(BUILD / "shoutctl"), "-c", str(shout.file), "account", "add", "--name", "n", "--contact", contact,
                                   "--domain", f"killed{number}.example", "--verified", "--language", "en"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.random() * 0.1)
        shout.kill()
        adding.wait(60)
        shout.restart()
        contacts[contact] = None
    for account in shout.shoutctl("account", "list")["accounts"]:
        contacts[account["contact"]] = account["id"]

    def mails(contact):
        return [email.message_from_bytes(one.body, policy=email.policy.default) for one in sink.find(recipient=contact)]

    def of(contact):
        """Message-IDs by subject."""
        found = {}
        for mail in mails(contact):
            found.setdefault(mail["Subject"].removeprefix("[Mail Relay] "), set()).add(mail["Message-ID"])
        return found

    def unsent(account):
        return ["username", "password"] in [change.get("unsent") for change in
                                            shout.shoutctl("why", account, "--limit", 100)["changes"]]
    for contact, account in contacts.items():
        if account:
            wait_for(lambda: {"Mail Relay is active", "Configuration"} <= set(of(contact))
                     and ("Password" in of(contact) or unsent(account)), what=(contact, account))
            found = of(contact)
            assert all(len(ids) == 1 for ids in found.values()), found
        else:
            assert not of(contact)
    assert any(contacts.values())
    wait_for(lambda: shout.shoutctl("queue", "list")["total"] == 0)


def test_the_mails_that_were_sent_are_listed_and_go_where_they_are_wanted(shout, sink):
    customer = Customer(shout, sink, "en")
    listed = wait_for(lambda: (got := customer.do("notices", customer.id))["total"] == 4 and got["notices"])
    assert {one["mail"] for one in listed} == {"activation", "username", "password", "config-credentials"}
    assert all(one["to"] == customer.contact and one["about"] == "" for one in listed)
    customer.do("mail", "config", customer.id)
    wait_for(lambda: [one["mail"] for one in customer.do("notices", customer.id)["notices"]][0] == "config-credentials")
    shout.kill()
    shout.restart()
    assert customer.do("notices", customer.id)["total"] == 5

    assert customer.do("alerts", customer.id)["mails"]["virus"] == [customer.contact]
    told = customer.do("alerts", customer.id, "virus=a@mailbox.example,b@mailbox.example", "delay=nobody", "--at", "50,80")["alerts"]
    assert told["mails"]["virus"] == ["a@mailbox.example", "b@mailbox.example"] and told["mails"]["delay"] == []
    assert told["limits"] == [50, 80] and "password" in told["fixed"]
    assert customer.do("alerts", customer.id) == told
    told = customer.do("alerts", customer.id, "virus=contact", "--at", "default")["alerts"]
    assert told["mails"]["virus"] == [customer.contact] and told["mails"]["delay"] == [] and told["limits"] == [80, 100]
    for words, what in ((("password=nobody",), "cannot be sent elsewhere"), (("virus=nowhere",), "a mailbox"), (("--at", "101"), "1 to 100"),
                        (("--at", "x"), "--at")):
        refused = shout.shoutctl("account", "alerts", customer.id, *words, check=False)
        assert what in refused["error"], refused
    assert "no account" in shout.shoutctl("account", "notices", "k3m9x2p7qa", check=False)["error"]
