"""What every command of shoutctl says that it did is so: by what the next command shows, and at SMTP, where it
counts."""

import itertools
import smtplib

import pytest

from harness import send, wait_for
from test_control import ctl

BODY = b"From: <me@%s>\r\nSubject: hello\r\n\r\nhi\r\n"


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    return module_rig.shout(redis, route=sink.host, certificate=certificate, settings={"ingress": {"threads": 1}})


NUMBERS = itertools.count()


class Account:
    """An account made by the words given, as shoutctl and as SMTP know it."""

    def __init__(self, shout, domain, *words):
        self.shout, self.domain = shout, domain
        self.made = shout.shoutctl("account", "add", "--name", "Old", "--contact", "old@a.example", "--domain", domain,
                                   "--verified", *words)
        self.id = self.made["account"]

    def do(self, verb, *words, people=False):
        """`account VERB`; for people, without --json, its output."""
        if not people:
            return self.shout.shoutctl("account", verb, self.id, *words)
        status, output, errors = ctl(self.shout, "account", verb, self.id, *words)
        assert status == 0 and not errors, errors
        return output

    def shown(self):
        """What `account show` tells of it, but for what every change changes."""
        shown = self.do("show")
        listed, = [one for one in self.shout.shoutctl("account", "list", "--limit", 1000)["accounts"]
                   if one["id"] == self.id]
        del shown["score"]
        for user in shown["users"]:  # of one account only, like the score
            del user["last"], user["failures"], user["last_failure"]
        assert listed == shown
        for words in (shown["name"], shown["contact"], shown["status"], shown["policy"]):
            assert words in self.do("show", people=True)
        return {key: value for key, value in shown.items() if key != "version"}

    def login(self, made=None):
        made = made or self.made
        with smtplib.SMTP("127.0.0.1", self.shout.ports["plain"], timeout=30) as client:
            try:
                return client.login(made["username"], made["password"])[0]
            except smtplib.SMTPAuthenticationError as refused:
                return refused.smtp_code

    def post(self, sender=None, header_from=None, source=None):
        """The code that a mail ends with: from `source`, an address, without AUTH."""
        address = (source, 0) if source else None
        with smtplib.SMTP("127.0.0.1", self.shout.ports["plain"], timeout=30, source_address=address) as client:
            client.ehlo()
            if not source:
                client.login(self.made["username"], self.made["password"])
            for code, _ in (client.mail(sender or f"me@{self.domain}"), client.rcpt("you@elsewhere.example")):
                if code != 250:
                    return code
            try:
                return client.data(BODY % (header_from or self.domain).encode())[0]
            except smtplib.SMTPDataError as refused:
                return refused.smtp_code


def test_add_makes_what_is_asked(shout):
    account = Account(shout, "add.example", "--domain=more.example=7", "--mode=credentials", "--policy=strict",
                      "--messages-hour", "10", "--messages-day=20", "--recipients-hour", "30", "--recipients-day=0",
                      "--ip=192.0.2.77")
    shown = account.shown()
    assert shown["domains"] == [{"name": "add.example", "verified": True},
                                {"name": "more.example", "verified": True, "mailboxes": 7}]
    assert shown["limits"] == {"messages_hour": 10, "messages_day": 20, "recipients_hour": 30, "recipients_day": 0}
    assert (shown["name"], shown["contact"], shown["status"], shown["policy"]) == ("Old", "old@a.example", "active",
                                                                                  "strict")
    assert shown["addresses"] == [{"address": "192.0.2.77", "active": True, "state": "active"}]
    assert [user["username"] for user in shown["users"]] == [account.made["username"]]
    assert account.login() == 235 and account.post() == 250
    assert account.post("me@more.example", "more.example") == 250


@pytest.mark.parametrize("words, field, value", [
    (("--name", "New & Söhne"), "name", "New & Söhne"), (("--name=--new",), "name", "--new"),
    (("--contact", "new@b.example"), "contact", "new@b.example"), (("--policy", "strict"), "policy", "strict"),
    (("--policy=resent",), "policy", "resent"), (("--messages-hour", "5"), "limits", {"messages_hour": 5}),
    (("--display-address", "pass"), "display_address", "pass"), (("--messages-day=5",), "limits", {"messages_day": 5}),
    (("--recipients-hour", "5", "--recipients-day=6"), "limits", {"recipients_hour": 5, "recipients_day": 6}),
    (("--messages-hour", "0"), "limits", {"messages_hour": 0})])
@pytest.mark.parametrize("people", [False, True])
def test_change_changes_what_is_given_and_nothing_else(shout, words, field, value, people):
    account = Account(shout, f"change{next(NUMBERS)}.example")
    before = account.shown()
    for _ in range(2):  # the same again is fine
        account.do("change", *words, people=people)
        shown = account.shown()
        expected = {**before, field: value, "changed": shown["changed"]}
        if field == "limits":
            expected["limits_in_force"] = {**before["limits_in_force"], **value}
        assert shown == expected and shown["changed"] > before["changed"]


def test_a_limit_of_its_own_goes_back_to_the_default_one(shout):
    account = Account(shout, "limits.example", "--messages-hour=5", "--recipients-day=default")
    before = account.shown()
    assert before["limits"] == {"messages_hour": 5} and before["limits_in_force"]["messages_hour"] == 5
    status, people, _ = ctl(shout, "account", "show", account.id)
    assert status == 0 and "messages_hour 5\n" in people and "recipients_day none (default)\n" in people
    account.do("change", "--messages-hour", "default", "--messages-day=0")
    after = account.shown()
    assert after["limits"] == {"messages_day": 0} and after["limits_in_force"]["messages_hour"] == 0
    _, people, _ = ctl(shout, "account", "show", account.id)
    assert "messages_hour none (default)\n" in people and "messages_day none\n" in people


def test_a_change_of_nothing_is_none(shout):
    account = Account(shout, "nothing.example")
    before = account.do("show")
    status, output, errors = ctl(shout, "account", "change", account.id)
    assert status == 2 and "--name, --contact" in errors and "--recipients-day" in errors and not output
    for words in (("--messages-hour", "many"), ("--messages-hour", "-1"), ("--messages-hour", "1.5"),
                  ("--messages-hour", "9" * 30), ("--policy", "Strict"), ("--display-address", "no"), ("--contact", "nobody"), ("--name", "a\nb")):
        status, output, errors = ctl(shout, "account", "change", account.id, *words)
        assert status == 1 and errors.startswith(f"shoutctl: {words[0]}: ") and not output, (words, errors)
    assert account.do("show") == before


FOREIGN = "me@%s", "elsewhere.example>\r\nSender: <me@%s"


class Counts:
    """Something at SMTP that two commands change there and back: (what it is, before, behind the first)."""

    def __init__(self, shout, number, there, back, look, values, *words):
        self.account = Account(shout, f"counts{number}.example", *words)
        self.there, self.back, self.values = there, back, values
        self.look = lambda: look(self.account)


def foreign(account):
    return account.post(*(text % account.domain for text in FOREIGN))


def shown(account):
    return account.post(None, f"{account.domain}> (ceo@named.example), <you@{account.domain}")


def other_domain(account):
    return account.post(f"me@other-{account.domain}", f"other-{account.domain}")


def test_what_is_changed_counts_at_smtp(shout):
    """Copies in memory, which each of them uses before, are five seconds old at most."""
    Account(shout, "named.example")
    cases = [Counts(shout, number, *case) for number, case in enumerate([
        (("change", "--policy", "strict"), ("change", "--policy=resent"), foreign, (250, 550)),
        (("change", "--display-address", "pass"), ("change", "--display-address=refuse"), shown, (550, 250)),
        (("change", "--messages-hour", "1"), ("change", "--messages-hour=0"), Account.post, (250, 451)),
        (("change", "--recipients-day", "1"), ("change", "--recipients-day=0"), Account.post, (250, 451)),
        (("disable",), ("enable",), Account.post, (250, 550)),
        (("add-domain", "--verified", "--domain", "Other-counts5.example"),
         ("remove-domain", "--domain=OTHER-counts5.example"), other_domain, (550, 250)),
        (("add-address", "--ip", "127.0.0.71"), ("remove-address", "--ip", "127.0.0.71"),
         lambda account: account.post(source="127.0.0.71"), (530, 250)),
        (("add-address", "--ip", "127.0.1.1/24"), ("remove-address", "--ip", "127.0.1.0/24"),
         lambda account: account.post(source="127.0.1.72"), (530, 250))])]
    for case in cases:
        wait_for(lambda: case.look() == case.values[0], what=case.there)
    for way, value in (("there", 1), ("back", 0)):
        for case in cases:
            case.account.do(*getattr(case, way))
        for case in cases:
            wait_for(lambda: case.look() == case.values[value], what=getattr(case, way))


def test_what_is_changed_is_shown(shout):
    account = Account(shout, "shown.example", "--mode", "ip", "--ip", "192.0.2.71")
    first = account.shown()
    for verb in ("disable", "disable", "enable", "enable"):
        assert account.do(verb)["status"] == account.shown()["status"] == f"{verb}d".replace("enabled", "active")
    for ip in ("192.0.2.72", "192.0.2.72/32"):
        account.do("add-address", "--ip", ip)
        assert [one["address"] for one in account.shown()["addresses"]] == ["192.0.2.71", "192.0.2.72"]
    account.do("remove-address", "--ip", "192.0.2.71")
    assert [one["address"] for one in account.shown()["addresses"]] == ["192.0.2.72"]
    for words, domain in ((("Other-Domain.example=3",), {"verified": False, "mailboxes": 3}),
                          (("other-domain.example", "--verified"), {"verified": True, "mailboxes": 3}),
                          (("OTHER-domain.example=4",), {"verified": True, "mailboxes": 4})):
        account.do("add-domain", "--domain", *words)
        assert account.shown()["domains"] == [*first["domains"], {"name": "other-domain.example", **domain}]
    account.do("remove-domain", "--domain", "OTHER-domain.example")
    assert account.shown()["domains"] == first["domains"]


def test_users_and_passwords_come_and_go(shout):
    account = Account(shout, "users.example")
    first, second, third = account.made, account.do("add-user"), account.do("add-user")
    users = (first, second, third)
    assert [account.login(user) for user in users] == [235] * 3
    assert {user["username"] for user in account.shown()["users"]} == {user["username"] for user in users}
    assert ctl(shout, "account", "password", account.id)[0] == 1  # of which?
    assert [account.login(user) for user in users] == [235] * 3
    newer = account.do("password", "--username", second["username"])
    account.do("remove-user", "--username", third["username"])
    assert {user["username"] for user in account.shown()["users"]} == {first["username"], second["username"]}
    for gone in (second, third):
        wait_for(lambda: account.login(gone) == 535)
    assert [account.login(user) for user in (first, newer)] == [235, 235]
    account.do("remove-user", "--username", second["username"])
    output = account.do("password", people=True)
    shown = dict(line.split(None, 1) for line in output.splitlines())
    for gone in (first, newer):
        wait_for(lambda: account.login(gone) == 535)
    assert account.login({"username": shown["Username"], "password": shown["Password"]}) == 235


def test_what_is_suspended_waits_and_what_is_bounced_is_gone(shout, sink):
    account = Account(shout, "queue.example")

    def post():
        with shout.smtp(account=account.made) as client:
            return send(client, "me@queue.example", "you@elsewhere.example", BODY % b"queue.example")

    shout.shoutctl("suspend", "--account", account.id, "--reason", "a look", "--for", "2h")
    shown, = shout.shoutctl("suspensions")["suspensions"]
    assert shown["selector"] == {"account": account.id} and shown["reason"] == "a look" and shown["until"]
    assert "a look" in ctl(shout, "suspensions")[1]
    first, second = post(), post()
    listed = ("queue", "list", "--account", account.id)
    wait_for(lambda: shout.shoutctl(*listed)["total"] == 2)
    assert [len(shout.shoutctl(*listed, *words)["rows"]) for words in
            (("--limit", 1), ("--id", first), ("--state", "held"), ("--domain", "elsewhere.example"))] == [1, 1, 0, 2]
    assert shout.shoutctl("queue", "show", first)["rows"][0]["suspension"]["reason"] == "a look"
    assert shout.shoutctl("why", first)["messages"][0]["state"] == "waiting"
    shout.shoutctl("queue", "bounce", first)
    wait_for(lambda: shout.shoutctl(*listed)["total"] == 1)
    assert ctl(shout, "queue", "show", first)[0] == 1
    wait_for(lambda: shout.shoutctl("why", first)["messages"][0]["state"] == "bounced")
    shout.shoutctl("suspend", "--id", first, "--reason", "too late")  # whose audit event names the message
    wait_for(lambda: "too late" in str(shout.shoutctl("why", first)["messages"][0]["events"][-1]))
    assert shout.shoutctl("why", first)["messages"][0]["state"] == "bounced"
    assert ctl(shout, "resume", "--account", account.id, "--site", "x")[0] == 1  # not exactly that one
    assert len(shout.shoutctl("suspensions")["suspensions"]) == 2
    shout.shoutctl("resume", "--account", account.id)
    shout.shoutctl("resume", "--id", first)
    assert shout.shoutctl("suspensions")["suspensions"] == []
    wait_for(lambda: shout.shoutctl("why", second)["messages"][0]["state"] == "delivered")
    wait_for(lambda: shout.shoutctl(*listed)["total"] == 0)
    assert not shout.events("delivered", first)


def test_retry_is_tried_now_and_rebuild_fills_redis(shout, sink, redis):
    account = Account(shout, "retry.example")
    rule = sink.on("rcpt", "451 4.2.2 later")
    with shout.smtp(account=account.made) as client:
        id = send(client, "me@retry.example", "you@elsewhere.example", BODY % b"retry.example")
    def tried():
        return [row for row in shout.shoutctl("queue", "list", "--id", id)["rows"] if row["attempts"] > 0]

    row, = wait_for(tried)
    assert row["last_reply"].startswith("451")
    sink.rules.remove(rule)
    shout.shoutctl("queue", "retry", id)
    wait_for(lambda: shout.events("delivered", id))
    key = f"user:{account.made['username']}"
    kept = redis.run("GET", key)
    redis.run("DEL", key)
    assert shout.shoutctl("rebuild")["entries"] > 0 and redis.run("GET", key) == kept
