"""Whose a domain is: shown by a TXT record that a check sees, asked for or daily; lost without it; what a pending account
may do, and what its customer hears: at SMTP, by the API, by shoutctl and in the mailbox."""

import email
import email.policy
import itertools
import json
import time

import pytest

from harness import wait_for
from test_control import ctl
from test_tokens import ask

NUMBERS = itertools.count(1)
SERVICE = {"name": "Relay", "hosts": ["shout01.relay.example"], "spf": "_spf.relay.example", "addresses": ["192.0.2.25"],
           "support": "help@relay.example"}
FINE = '@ TXT "v=spf1 include:_spf.relay.example -all"'
NAMES = ("proved", "pending", "customer", "lost", "told", "operator", "gone", "signed")


@pytest.fixture(scope="module")
def nsd(module_rig):
    return module_rig.nsd({"relay.example": '_spf TXT "v=spf1 ip4:192.0.2.25 -all"', **{f"{name}.example": FINE for name in NAMES}})


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate, nsd):
    return module_rig.shout(redis, route=sink.host, certificate=certificate, settings={
        "service": SERVICE, "dns": {"forward": [nsd.address], "trust_anchor": "none"}})


class Customer:
    def __init__(self, shout, domain, *words, **token):
        self.shout, self.domain, self.contact = shout, domain, f"it{next(NUMBERS)}@mailbox.example"
        self.made = shout.shoutctl("account", "add", "--name", "Acme", "--contact", self.contact, "--domain", domain, "--language", "en", *words)
        self.id = self.made["account"]
        self.seen = 0

    def token(self, scope="write"):
        return self.shout.shoutctl("token", "add", "--account", self.id, "--label", scope, "--scope", scope)["secret"]

    def domains(self):
        return {one["name"]: one for one in self.shout.shoutctl("account", "domains", self.id)["domains"]}

    def state(self, domain=None):
        return self.domains()[domain or self.domain]["state"]

    def check(self):
        return self.shout.shoutctl("account", "check", self.id, "--domain", self.domain)["domains"][0]

    def mail(self, domain=None):
        with self.shout.smtp("starttls", self.made) as smtp:
            code, text = smtp.mail(f"me@{domain or self.domain}")
            return code, text.decode()

    def mails(self, sink, count):
        """The next mails to the contact: {subject: text}."""
        arrived = wait_for(lambda: (got := sink.find(recipient=self.contact)[self.seen:])[count - 1:] and got)
        self.seen += count
        parsed = [email.message_from_bytes(one.body, policy=email.policy.default) for one in arrived]
        return {mail["Subject"].removeprefix("[Mail Relay] "): mail.get_content() for mail in parsed}

    def rewrite(self, tmp_path, **fields):
        """Changes what relay.config has of its first domain, as a file of another relay might."""
        file = tmp_path / "account.json"
        self.shout.shoutctl("account", "export", self.id, "--output", file, "--force")
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines:
            if "account" in line and isinstance(line["account"], dict):
                line["account"]["domains"][0].update(fields)
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.shout.shoutctl("account", "import", file, "--replace")

    def due(self, redis, domain=None):
        """Has the daily look take place now; what it saw."""
        before = self.domains()[domain or self.domain]["at"]
        redis.run("ZADD", "domains:due", 0, f"{self.id}/{domain or self.domain}")
        return wait_for(lambda: (now := self.domains()[domain or self.domain])["at"] != before and now)


def publish(nsd, domain, text):
    nsd.stop()
    nsd.write_zone(domain, f"{FINE}\n{text}")
    nsd.start()


def us(days):
    return int((time.time() + days * 86400) * 1e6)


def test_a_pending_account_logs_in_and_begins_with_its_first_domain(shout, sink, nsd):
    customer = Customer(shout, "pending.example", "--pending")
    assert shout.shoutctl("account", "show", customer.id)["status"] == "pending"
    mails = customer.mails(sink, 3)
    record = customer.domains()["pending.example"]["record"]
    assert set(mails) == {"Username", "Password", "Configuration"}
    assert f'_shout.pending.example  TXT  "{record["value"]}"' in mails["Configuration"]
    code, text = customer.mail()
    assert code == 550 and "5.7.1" in text and "not active yet" in text and "http" in text, text
    assert customer.check()["state"] == "unverified"
    publish(nsd, "pending.example", f'_shout TXT "{record["value"]}"')
    report = wait_for(lambda: (one := customer.check())["state"] == "verified" and one)
    assert report["verified"] and report["ready"] and report["status"] == "active" and report["mails"] == ["activation"]
    assert set(customer.mails(sink, 1)) == {"Mail Relay is active"}
    wait_for(lambda: customer.mail()[0] == 250)
    assert "mails" not in customer.check()  # it begins once
    by_audit = [event for event in shout.shoutctl("why", customer.id)["changes"] if event["what"] == "domain.check"]
    assert len(by_audit) == 1


def test_an_operator_may_let_a_pending_account_begin(shout, sink):
    customer = Customer(shout, "begins.example", "--pending")
    customer.mails(sink, 3)
    done = shout.shoutctl("account", "enable", customer.id)
    assert done["status"] == "active" and done["began"] and done["mails"] == ["activation"]
    other = Customer(shout, "vouched.example", "--pending")
    other.mails(sink, 3)
    assert shout.shoutctl("account", "add-domain", other.id, "--domain", "vouched.example", "--verified")["mails"] == ["activation"]
    wait_for(lambda: other.mail()[0] == 250)


def test_a_customer_adds_a_domain_and_proves_it(shout, redis, nsd):
    customer = Customer(shout, "own.example", "--verified")
    path = f"accounts/{customer.id}/domains"
    write = customer.token()
    status, answer, _ = ask(shout, write, "POST", path, {"name": "customer.example", "verified": True})
    assert status == 403 and answer["field"] == "verified"
    assert ask(shout, write, "POST", path, {"name": "customer.example"})[0] == 201
    assert ask(shout, write, "GET", path)[0] == 403  # another scope
    listed = {one["name"]: one for one in ask(shout, customer.token("read"), "GET", path)[1]["domains"]}
    one = listed["customer.example"]
    assert (one["state"], one["verified"], one["ready"], one["at"], one["checks"]) == ("unverified", False, False, None, None)
    code, text = customer.mail("customer.example")
    assert code == 550 and "not yours to send from" in text
    publish(nsd, "customer.example", f'_shout TXT "{one["record"]["value"]}"')
    seen = customer.due(redis, "customer.example")  # by the daily look
    assert seen["state"] == "verified" and seen["ready"] and seen["checks"]["ownership"]["state"] == "ok"
    wait_for(lambda: customer.mail("customer.example")[0] == 250)
    told = [event for event in shout.shoutctl("why", customer.id)["changes"] if event["what"] == "domain.check"]
    assert [event["by"] for event in told] == ["housekeeping"]
    assert ask(shout, write, "DELETE", f"{path}/customer.example")[0] == 200


def test_anothers_domain_is_nobodys_in_particular(shout):
    one, two = Customer(shout, "taken.example", "--verified"), Customer(shout, "taker.example", "--verified")
    root = (shout.state_dir / "control.token").read_text().strip()
    status, answer, _ = ask(shout, two.token(), "POST", f"accounts/{two.id}/domains", {"name": "Taken.example"})
    assert status == 409 and answer["error"] == "taken.example is registered already: write to help@relay.example"
    assert one.id in ask(shout, root, "POST", f"accounts/{two.id}/domains", {"name": "taken.example"})[1]["error"]  # operators hear whose


def test_an_address_of_a_customers_own_wish_waits(shout):
    customer = Customer(shout, "addressed.example", "--verified")
    answer = ask(shout, customer.token(), "POST", f"accounts/{customer.id}/addresses", {"address": "9.8.7.6"})[1]
    assert answer["state"] == "waiting"
    assert shout.shoutctl("account", "add-address", customer.id, "--ip", "9.8.7.5")["addresses"] == ["9.8.7.5"]
    states = {one["address"]: one["state"] for one in shout.shoutctl("account", "show", customer.id)["addresses"]}
    assert states == {"9.8.7.6": "waiting", "9.8.7.5": "active"}


def test_a_lost_domain_is_refused_after_its_grace(shout, sink, redis, tmp_path):
    """The record is not there; the clock is moved by what relay.config says of the days before."""
    customer = Customer(shout, "lost.example", "--verified")
    customer.mails(sink, 4)
    customer.rewrite(tmp_path, proof="dns")
    assert customer.due(redis)["state"] == "verified"  # the first day
    text = customer.mails(sink, 1)["lost.example: DNS record to fix"]
    record = customer.domains()["lost.example"]["record"]
    assert f'_shout.lost.example  TXT  "{record["value"]}"' in text and "refused" not in text
    assert customer.due(redis)["state"] == "verified"  # the same day: no second mail, and no second miss
    customer.rewrite(tmp_path, missed=2, missed_us=us(-1.1))
    lost = customer.due(redis)
    assert lost["state"] == "lost" and lost["verified"] and lost["refused_from"]
    wait_for(lambda: customer.mail()[0] == 250)  # a time of grace
    customer.rewrite(tmp_path, lost_us=us(-8))
    refused = customer.due(redis)
    assert refused["state"] == "lost" and not refused["verified"] and not refused["ready"]
    code, text = wait_for(lambda: (answer := customer.mail())[0] == 550 and answer)
    assert "5.7.1" in text and "http" in text
    assert len(sink.find(recipient=customer.contact)) == customer.seen  # one mail a day


def test_a_dns_that_does_not_answer_takes_nothing_away(shout, redis, tmp_path):
    customer = Customer(shout, "unanswered.org", "--verified")
    customer.rewrite(tmp_path, proof="dns", missed=2, missed_us=us(-2))
    seen = customer.due(redis)
    assert seen["checks"]["ownership"]["state"] == "unknown" and seen["state"] == "verified" and not seen["ready"]
    customer.rewrite(tmp_path, missed=3, lost_us=us(-30))
    assert customer.due(redis)["verified"]
    wait_for(lambda: customer.mail()[0] == 250)


def test_the_key_that_signs_has_to_be_in_the_dns(shout, sink, redis, nsd):
    customer = Customer(shout, "signed.example", "--verified")
    customer.mails(sink, 4)
    assert "dkim" not in customer.check()["checks"]
    shown = shout.shoutctl("dkim", "enable", "signed.example")
    value = next(key["record"]["value"] for key in shown["keys"] if key["selector"] == "shout1")
    parts = " ".join(f'"{value[at:at + 200]}"' for at in range(0, len(value), 200))
    missing = customer.due(redis)
    row = missing["checks"]["dkim"]
    assert not missing["ready"] and row["state"] == "missing" and row["record"]["value"] == value
    assert row["record"]["name"] == "shout1._domainkey.signed.example"
    assert "DKIM key" in customer.mails(sink, 1)["signed.example: DNS record to fix"]
    publish(nsd, "signed.example", 'shout1._domainkey TXT "v=DKIM1; k=rsa; p=AAAA"')
    row = wait_for(lambda: (one := customer.check()["checks"]["dkim"])["state"] == "syntax" and one)
    assert "another key" in row["problem"] and row["found"] == ["v=DKIM1; k=rsa; p=AAAA"]
    shout.shoutctl("dkim", "disable", "signed.example")
    report = customer.check()
    assert "dkim" not in report["checks"] and report["ready"]
    shout.shoutctl("dkim", "enable", "signed.example")
    publish(nsd, "signed.example", f"shout1._domainkey TXT {parts}")
    wait_for(lambda: (one := customer.check())["checks"]["dkim"]["state"] == "ok" and one["ready"], 90)


def test_what_an_operator_vouches_for_stays(shout, redis):
    customer = Customer(shout, "operator.example", "--verified")
    seen = customer.due(redis)
    assert seen["state"] == "verified" and seen["checks"]["ownership"]["state"] == "operator" and seen["ready"]


def test_a_domain_that_went_is_looked_at_no_more(shout, redis):
    customer = Customer(shout, "gone.example", "--verified")
    customer.due(redis)
    member = f"{customer.id}/gone.example"
    assert redis.run("ZSCORE", "domains:due", member) and redis.run("HEXISTS", f"reports:{{{customer.id}}}", "gone.example") == "1"
    shout.shoutctl("account", "remove-domain", customer.id, "--domain", "gone.example")
    redis.run("ZADD", "domains:due", 0, member)
    wait_for(lambda: not redis.run("ZSCORE", "domains:due", member))
    wait_for(lambda: redis.run("HEXISTS", f"reports:{{{customer.id}}}", "gone.example") == "0")


def test_a_start_puts_all_domains_into_the_queue(shout, redis):
    """Also after Redis has forgotten it; spread over a day, and in the same place each time."""
    customer = Customer(shout, "queued.example", "--verified")
    member = f"{customer.id}/queued.example"
    due = []
    for _ in range(2):
        redis.run("DEL", "domains:due")
        shout.stop()
        shout.start()
        wait_for(lambda: redis.run("ZSCORE", "domains:due", member))
        due.append(float(redis.run("ZSCORE", "domains:due", member)) - time.time())
    assert all(-60 < one < 86460 for one in due) and abs(due[0] - due[1]) < 60


def test_pages_of_domains(shout):
    domains = [f"p{number}.paged.example" for number in range(5)]
    account = shout.account_add(domain=domains)["account"]
    got, after = [], []
    while True:
        page = shout.shoutctl("account", "domains", account, "--limit", 2, *after)
        assert page["total"] == 5 and len(page["domains"]) <= 2
        got += [one["name"] for one in page["domains"]]
        if not page["next"]:
            break
        after = ["--after", page["next"]]
    assert got == domains


def test_a_suspension_says_why_and_ends_by_itself(shout, sink):
    customer = Customer(shout, "suspended.example", "--verified")
    customer.mails(sink, 4)
    assert ctl(shout, "account", "disable", customer.id, "--until", "2020-01-01")[0] == 1
    shout.shoutctl("account", "disable", customer.id, "--reason", "too many complaints", "--until", "2199-01-01")
    text = " ".join(customer.mails(sink, 1)["Service suspended"].split())
    assert "too many complaints" in text and "2199-01-01 00:00 UTC" in text
    shown = shout.shoutctl("account", "show", customer.id)
    assert (shown["status"], shown["reason"], shown["until"]) == ("disabled", "too many complaints", "2199-01-01T00:00:00.000Z")
    wait_for(lambda: customer.mail()[0] == 550)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    shout.shoutctl("account", "disable", customer.id, "--until", soon)
    shown = wait_for(lambda: (now := shout.shoutctl("account", "show", customer.id))["status"] == "active" and now)
    assert "reason" not in shown and "until" not in shown
    wait_for(lambda: customer.mail()[0] == 250)
